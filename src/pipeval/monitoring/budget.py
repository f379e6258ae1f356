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
        line without a budget). Without a ledger the last two are NaN. Expenses outside every line form rows with a zero budget.

    Examples
    --------
    >>> lines = pd.DataFrame({"component": ["1", "2"], "source": "mif", "budget_usd": [100.0, 300.0]})
    >>> budget_table(lines)["budget_share"].tolist()
    [0.25, 0.75]
    """
    lines = budget.groupby(["component", "source"], sort=False)["budget_usd"].sum()
    table = lines.to_frame()
    if ledger is not None:
        spent = _until(_executed(ledger), as_of)
        component = spent["component"].astype(object)
        planned = set(budget["component"].astype(object))
        component = component.where(component.isin(planned), component.astype(str).str.partition(".")[0])
        executed = spent.groupby([component.rename("component"), "source"])["amount_usd"].sum()
        table = table.join(executed.rename("executed_usd"), how="outer").fillna(0.0)
        table = table.reindex([*lines.index, *table.index.difference(lines.index)])
    else:
        table["executed_usd"] = np.nan
    table["budget_share"] = table["budget_usd"] / table["budget_usd"].sum()
    table["share"] = table["executed_usd"] / table["budget_usd"].where(table["budget_usd"] > 0)
    return table.reset_index()[["component", "source", "budget_usd", "budget_share", "executed_usd", "share"]]


def budget_check(budget: pd.DataFrame, printed: Mapping[str, float]) -> pd.DataFrame:
    """One row a component: its share of the budget as printed and as computed from the amounts, in per cent.

    `agrees` holds when the computed share, rounded to the one decimal of print, is the printed one.

    >>> lines = pd.DataFrame({"component": ["1", "2"], "source": "mif", "budget_usd": [100.0, 300.0]})
    >>> budget_check(lines, {"1": 25.0, "2": 74.0})["agrees"].tolist()
    [True, False]
    """
    by_component = budget.groupby("component", sort=False)["budget_usd"].sum()
    computed = 100 * by_component / by_component.sum()
    table = pd.DataFrame({"budget_usd": by_component, "printed": pd.Series(dict(printed), dtype=float), "computed": computed})
    table = table.reindex(by_component.index)
    table["difference"] = table["computed"] - table["printed"]
    table["agrees"] = (table["difference"].abs() <= 0.05 + 1e-9) | table["printed"].isna()
    return table.rename_axis("component").reset_index()


def disbursement_path(ledger: pd.DataFrame, budget: pd.DataFrame, as_of: date | None = None) -> pd.DataFrame:
    """One row a source and day of payment: paid in so far, and as a share of what that source promised.

    Columns `on, source, cumulative_usd, share`; the source `total` adds MIF and counterpart.
    """
    entries = _until(ledger, as_of)
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


def _executed(ledger: pd.DataFrame) -> pd.DataFrame:
    spent = ledger["kind"] == "expense"
    if not (spent & (ledger["source"] == "counterpart")).any():  # else the same money would count twice
        spent |= ledger["kind"] == "counterpart_contribution"
    return ledger[spent]


def _until(ledger: pd.DataFrame, as_of: date | None) -> pd.DataFrame:
    return ledger if as_of is None else ledger[pd.to_datetime(ledger["on"]) <= pd.Timestamp(as_of)]
