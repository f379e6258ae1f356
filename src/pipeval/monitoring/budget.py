"""Budget against execution, disbursements over time, and the co-financing path.

Percentages are always computed from amounts and never stored: the approved budget of the sample programme prints four that do
not follow from its own amounts (`budget_check`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

PAID_IN = {"mif": "disbursement", "counterpart": "counterpart_contribution"}
"""The kind of ledger entry by which each source pays in."""

UNASSIGNED = "unassigned"
"""The component, or source, of money whose entry does not say it."""

_MUST_SAY = {  # kind of entry -> what its record must tell (donors memorandum 5.10); money from a source belongs to no component
    "disbursement": ("source", "document"),
    "expense": ("source", "component", "activity_id", "document"),
    "counterpart_contribution": ("source", "component", "document", "in_kind"),
    "revolving_replenish": ("source", "document"),
}


def budget_table(budget: pd.DataFrame, ledger: pd.DataFrame | None = None, as_of: date | None = None) -> pd.DataFrame:
    """One row a component and source: what was approved and what was spent by `as_of`.

    Parameters
    ----------
    budget : DataFrame
        `component, source, budget_usd`.
    ledger : DataFrame, optional
        `on, kind, source, component, amount_usd`. What a source executed are its expenses; the counterpart's contributions stand
        for them where it has entered no expenses. A subcomponent (2.1) belongs to its component where it has no line of its own.
    as_of : date, optional
        Later entries are left out.

    Returns
    -------
    DataFrame
        `component, source, budget_usd, budget_share` (of the whole budget), `executed_usd, share` (executed / budget, NaN for a
        line without a budget). Without a ledger the last two are NaN. Expenses outside every line form rows with a zero budget;
        those whose entry names no component, or no source, stand under `unassigned`.

    Examples
    --------
    >>> lines = pd.DataFrame({"component": ["1", "2"], "source": "mif", "budget_usd": [100.0, 300.0]})
    >>> budget_table(lines)["budget_share"].tolist()
    [0.25, 0.75]
    """
    lines = budget.groupby(["component", "source"], sort=False)["budget_usd"].sum()
    table = lines.to_frame()
    if ledger is not None:
        spent = spending(ledger, budget, as_of)
        executed = spent.groupby(["component", "source"])["amount_usd"].sum()
        table = table.join(executed.rename("executed_usd"), how="outer").fillna(0.0)
        table = table.reindex([*lines.index, *table.index.difference(lines.index)])
    else:
        table["executed_usd"] = np.nan
    table["budget_share"] = table["budget_usd"] / table["budget_usd"].sum()
    table["share"] = table["executed_usd"] / table["budget_usd"].where(table["budget_usd"] > 0)
    return table.reset_index()[["component", "source", "budget_usd", "budget_share", "executed_usd", "share"]]


def budget_check(budget: pd.DataFrame, printed: Mapping[str, float]) -> pd.DataFrame:
    """One row a component: its share of the budget as the document prints it and as its amounts give it, in per cent.

    Columns `component, budget_usd, printed, computed, gap` (computed − printed, percentage points), `agrees`: the computed share,
    rounded to the one decimal of print, is the printed one. What is printed for a component without a budget does not agree.

    >>> lines = pd.DataFrame({"component": ["1", "2"], "source": "mif", "budget_usd": [100.0, 300.0]})
    >>> budget_check(lines, {"1": 25.0, "2": 74.0})["agrees"].tolist()
    [True, False]
    """
    by_component = budget.groupby("component", sort=False)["budget_usd"].sum()
    said = pd.Series({str(c): share for c, share in dict(printed).items()}, dtype=float)
    table = pd.DataFrame({"budget_usd": by_component, "printed": said, "computed": 100 * by_component / by_component.sum()})
    table = table.reindex([*by_component.index, *(c for c in said.index if c not in by_component.index)])
    table["gap"] = table["computed"] - table["printed"]
    table["agrees"] = (table["gap"].abs() <= 0.05 + 1e-9) | table["printed"].isna()
    return table.rename_axis("component").reset_index()


def budget_sources(budget: pd.DataFrame) -> pd.DataFrame:
    """One row a component, and one for `total`: what the financier and the counterpart promised, and the financier's share.

    Columns `component, mif_usd, counterpart_usd, budget_usd, share_mif` (NaN for a line without money).

    >>> lines = pd.DataFrame({"component": ["1", "1"], "source": ["mif", "counterpart"], "budget_usd": [300.0, 100.0]})
    >>> budget_sources(lines)["share_mif"].tolist()
    [0.75, 0.75]
    """
    wide = budget.pivot_table(index="component", columns="source", values="budget_usd", aggfunc="sum", sort=False)
    wide = wide.reindex(columns=list(PAID_IN)).fillna(0.0)
    wide.loc["total"] = wide.sum()
    table = wide.rename(columns=lambda source: f"{source}_usd").rename_axis(columns=None)
    table["budget_usd"] = table.sum(axis=1)
    table["share_mif"] = table["mif_usd"] / table["budget_usd"].where(table["budget_usd"] > 0)
    return table.rename_axis("component").reset_index()


def budget_years(budget: pd.DataFrame, ledger: pd.DataFrame, as_of: date | None = None) -> pd.DataFrame:
    """One row a component, source and year: what was spent in the year and since the start, by `as_of`.

    Columns `component, source, period, executed_usd, cumulative_usd, share` (spent since the start / budget; NaN without a budget).
    Every year from the first entry to the last has a row, in the order of the budget's lines; a line with neither budget nor
    spending has none. The rows of the last year add up to `budget_table`.
    """
    spent = spending(ledger, budget, as_of)
    lines = budget.groupby(["component", "source"], sort=False)["budget_usd"].sum()
    years = pd.to_datetime(spent["on"]).dt.year.rename("period")
    by_year = spent.groupby(["component", "source", years])["amount_usd"].sum().unstack("period")
    if by_year.empty:
        return pd.DataFrame(columns=["component", "source", "period", "executed_usd", "cumulative_usd", "share"])
    by_year = by_year.reindex(columns=range(int(years.min()), int(years.max()) + 1))
    known = lines.index.append(by_year.index.difference(lines.index))
    by_year = by_year.reindex(known).fillna(0.0)
    by_year = by_year[(by_year.sum(axis=1) != 0) | (lines.reindex(known).fillna(0.0) > 0)]
    table = by_year.rename_axis(columns="period").stack().rename("executed_usd").reset_index()
    table["cumulative_usd"] = table.groupby(["component", "source"], sort=False)["executed_usd"].cumsum()
    promised = pd.MultiIndex.from_frame(table[["component", "source"]]).map(lines.where(lines > 0).to_dict())
    return table.assign(share=table["cumulative_usd"] / pd.to_numeric(promised))


def unassigned_entries(ledger: pd.DataFrame, as_of: date | None = None) -> pd.DataFrame:
    """One row a kind of entry and a thing that its record must tell: how many entries do not tell it, and how much money.

    Records must identify the source of money, the account, the goods or services, and the cost of each component's activities
    (donors memorandum 5.10). Columns `kind, item` (source, component, activity_id, document, in_kind), `n, n_missing, share`
    (of the entries that tell it), `missing_usd`.
    """
    entries = until(ledger, as_of)
    rows = []
    for kind, columns in _MUST_SAY.items():
        own = entries[entries["kind"] == kind]
        for column in columns if len(own) else ():
            silent = own[column].isna() if column in own else pd.Series(True, index=own.index)
            money = own.loc[silent, "amount_usd"].sum()
            rows.append((kind, column, len(own), int(silent.sum()), 1 - silent.mean(), float(money)))
    return pd.DataFrame(rows, columns=["kind", "item", "n", "n_missing", "share", "missing_usd"])


def disbursement_path(ledger: pd.DataFrame, budget: pd.DataFrame, as_of: date | None = None) -> pd.DataFrame:
    """One row a source and day of payment: paid in so far, and as a share of what that source promised.

    Columns `on, source, cumulative_usd, share`; the source `total` adds MIF and counterpart.
    """
    entries = until(ledger, as_of)
    paid = entries[entries["kind"] == entries["source"].map(PAID_IN)]
    paths = []
    for source in (*PAID_IN, "total"):
        own = paid if source == "total" else paid[paid["source"] == source]
        lines = budget[budget["source"].isin(PAID_IN)] if source == "total" else budget[budget["source"] == source]
        by_day = own.groupby(pd.to_datetime(own["on"]))["amount_usd"].sum().sort_index().cumsum()
        promised = lines["budget_usd"].sum()
        share = by_day / promised if promised > 0 else by_day * np.nan
        paths.append(
            pd.DataFrame({"on": by_day.index, "source": source, "cumulative_usd": by_day.to_numpy(), "share": share.to_numpy()})
        )
    return pd.concat(paths, ignore_index=True)


def spending(ledger: pd.DataFrame, budget: pd.DataFrame, as_of: date | None = None) -> pd.DataFrame:
    """One row an entry that spends: `on, component, source, amount_usd`, its component and source as the budget has them.

    What a source spends are its expenses; the counterpart's contributions stand for them where it has entered no expenses.
    """
    entries = until(ledger, as_of)
    spent = entries["kind"] == "expense"
    if not (spent & (entries["source"] == "counterpart")).any():  # else the same money would count twice
        spent |= entries["kind"] == "counterpart_contribution"
    own = entries[spent]
    source = own["source"].astype(object).where(own["source"].notna(), UNASSIGNED)
    return pd.DataFrame({"on": own["on"], "component": line_of(own["component"], budget), "source": source,
                         "amount_usd": own["amount_usd"].astype(float)})  # fmt: skip


def line_of(component: pd.Series, budget: pd.DataFrame | None) -> pd.Series:
    """The budget line of each component: its own, or that of the component to which a subcomponent belongs.

    >>> lines = pd.DataFrame({"component": ["1", "2"]})
    >>> line_of(pd.Series(["2.1", "1", None]), lines).tolist()
    ['2', '1', 'unassigned']
    """
    own = component.astype(object)
    planned = set() if budget is None else set(budget["component"].astype(object))
    whole = own.map(lambda c: c if c in planned else str(c).partition(".")[0], na_action="ignore")
    return whole.where(own.notna(), UNASSIGNED)


def until(ledger: pd.DataFrame, as_of: date | None) -> pd.DataFrame:
    """The entries up to that day; all of them without one."""
    return ledger if as_of is None else ledger[pd.to_datetime(ledger["on"]) <= pd.Timestamp(as_of)]
