"""What is measured of each firm and year, in current and in constant money.

`measures` turns the survey into one row a firm and year; `outcome_values` puts one outcome of the params on its scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import DesignError, Note, some, warn
from ..study.files import nearest
from ..study.specs import Outcome, Study
from .load import Tables
from .money import by_year, deflator, series_values
from .prices import fisher_prices

MONEY = (
    "sales",
    "domestic_sales",
    "exports_direct",
    "exports_indirect",
    "exports",
    "value_added",
    "inputs",
    "payroll",
    "joint_sales",
    "price",
)
"""Measures in national money: they differ between current and constant prices."""

ANSWERED = ("complete", "partial")


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """One row a firm and year (index `firm_id, period`), at current (`nominal`) and constant prices (`real`).

    Columns: `sales, domestic_sales, exports_direct, exports_indirect, exports, value_added, inputs, payroll, joint_sales` (thousand
    the currency), `price` (Fisher index of unit values, base year = 1), `exports_usd` (US$, current), `jobs` (persons or full-time
    equivalents), `workers_unpaid`, `recall_flag` (1 where figures were given from memory), `alive` (1/0), `exp_status` (none, indirect,
    direct), `status` (alive, exited, no_answer), and the numbers the study added. `unit` says what money is in.
    """

    real: pd.DataFrame
    nominal: pd.DataFrame
    headline: pd.DataFrame
    notes: tuple[Note, ...]


def measures(tables: Tables, study: Study) -> Measures:
    """The measures of every firm and year of the survey.

    Part years are annualised (with a note). Constant prices use the series named in params; without a deflator, `real` is empty of
    money and the headline is nominal.
    """
    survey = tables["survey"]
    index = pd.MultiIndex.from_arrays([survey["firm_id"], survey["ref_year"].astype(int)], names=["firm_id", "period"])
    rows = survey.set_axis(index, axis=0)
    nominal, notes = _nominal(rows, study)
    nominal["status"], nominal["alive"] = _status(rows, tables)
    nominal["exp_status"] = _export_status(nominal, rows["exp_status"])
    nominal["price"] = fisher_prices(tables, study).reindex(index) if "product_sales" in tables else np.nan
    nominal = nominal.sort_index()
    real = _constant(nominal, tables, study)
    nominal["exports_usd"] = real["exports_usd"] = _dollars(nominal, rows, tables, study)
    headline = nominal if study.money.headline == "nominal" else real
    return Measures(real, nominal, headline, notes)


def _nominal(rows: pd.DataFrame, study: Study) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    cur = study.programme.currency.lower()
    part = rows["months_covered"].between(0, 12, inclusive="neither")
    year = (12 / rows["months_covered"]).where(part, 1.0)
    answered = rows["response"].isin(ANSWERED)
    flow = {
        name: (rows[f"{column}_k{cur}"] * year).where(answered)
        for name, column in {
            "sales": "sales", "domestic_sales": "domestic_sales", "exports_direct": "export_direct", "exports_indirect": "export_indirect",
            "inputs": "intermediate_inputs", "payroll": "payroll", "joint_sales": "joint_sales", "inventory_change": "inventory_change",
        }.items()
    }  # fmt: skip
    table = pd.DataFrame(flow)
    table["exports"] = table["exports_direct"] + table["exports_indirect"]
    stock = table.pop("inventory_change")
    table["value_added"] = table["sales"] - table["inputs"] + (0 if stock.isna().all() else stock)
    table["jobs"] = _jobs(rows, study).where(answered)
    table["workers_unpaid"] = rows["workers_unpaid"].where(answered)
    table["recall_flag"] = rows["recall_flag"].where(answered)
    for name in study.data.extra.get("survey", {}):
        table[name] = rows[name].where(answered)
    notes = ()
    if part.any():
        firms = rows.index[part].get_level_values(0).unique()
        text = "figures of part of a year were annualised (× 12 / months): {firms}"
        notes = (warn(Note("annualised", text, {"firms": some(firms)})),)
    return table, notes


def _jobs(rows: pd.DataFrame, study: Study) -> pd.Series:
    if study.jobs_basis == "fte":
        return rows["fte"]
    unpaid = rows["workers_unpaid"]
    return rows["workers_paid"] + (0 if unpaid.isna().all() else unpaid)


def _status(rows: pd.DataFrame, tables: Tables) -> tuple[pd.Series, pd.Series]:
    """`status` of each firm-year and whether the firm was alive: closed by record or by answer, and closed ever after."""
    closed_on = tables["enterprises"].set_index("firm_id")["closed_on"]
    closed_on = closed_on[~closed_on.index.duplicated()]
    year_closed = rows.index.get_level_values(0).map(closed_on.dt.year)
    closed = (rows["response"] == "closed") | (rows.index.get_level_values(1) > year_closed)
    closed = closed.sort_index().groupby(level=0).cummax().reindex(rows.index)
    answered = rows["response"].isin(ANSWERED)
    status = pd.Series(np.select([closed, answered], ["exited", "alive"], "no_answer"), index=rows.index)
    seen = answered | (rows["response"] == "refusal")
    return status, pd.Series(np.select([closed, seen], [0.0, 1.0], np.nan), index=rows.index)


def _export_status(table: pd.DataFrame, reported: pd.Series) -> pd.Series:
    """Direct if it exports under its own name, indirect if only through others; by amounts, else as reported."""
    by_amount = np.select([table["exports_direct"] > 0, table["exports_indirect"] > 0], ["direct", "indirect"], "none")
    known = table["exports_direct"].notna() & table["exports_indirect"].notna()
    return pd.Series(by_amount, index=table.index).where(known, reported.where(table["sales"].notna()))


def _constant(nominal: pd.DataFrame, tables: Tables, study: Study) -> pd.DataFrame:
    real = nominal.copy()
    money = [c for c in MONEY if c in real]
    if study.money.deflator is None:
        real[money] = np.nan
        return real
    if "series" not in tables:
        raise DesignError(
            f"constant prices need the table series with '{study.money.deflator}'; add it, "
            "or say money.headline: nominal and deflator: null"
        )
    factor = deflator(tables["series"], study.money.deflator, study.money.base_year)
    years = pd.Series(real.index.get_level_values(1), index=real.index)
    real[money] = real[money].mul(by_year(factor, years, f"the deflator '{study.money.deflator}'"), axis=0)
    return real


def _dollars(nominal: pd.DataFrame, rows: pd.DataFrame, tables: Tables, study: Study) -> pd.Series:
    """Direct exports in US$ at the annual average rate: converted from national money, else as reported."""
    reported = rows["export_direct_usd"].reindex(nominal.index).where(nominal["sales"].notna())
    if study.money.fx is None or "series" not in tables:
        return reported
    rate = series_values(tables["series"], study.money.fx)
    years = pd.Series(nominal.index.get_level_values(1), index=nominal.index)
    return (1000 * nominal["exports_direct"] / by_year(rate, years, f"the exchange rate '{study.money.fx}'")).fillna(reported)


def outcome_values(outcome: Outcome, table: pd.DataFrame) -> pd.Series:
    """One outcome on its scale, by firm and period; NaN where the scale is not defined (the log of zero).

    Raises
    ------
    DesignError
        When params name a measure that does not exist.
    """
    for name in filter(None, (outcome.measure, outcome.per)):
        if name not in table:
            numeric = [c for c in table if pd.api.types.is_numeric_dtype(table[c])]
            raise DesignError(f"outcome {outcome.id}: there is no measure '{name}'; {nearest(name, numeric)}")
    values = table[outcome.measure].astype(float)
    if outcome.exits == "zero":
        values = values.mask(table["status"] == "exited", 0.0)
    if outcome.per:
        values = values / table[outcome.per].where(table[outcome.per] > 0)
    if outcome.scale == "log":
        return np.log(values.where(values > 0))
    if outcome.scale == "yes_no":
        return (values > 0).astype(float).where(values.notna())
    return values
