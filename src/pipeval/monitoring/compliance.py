"""Compliance with environmental and safety norms: how many firms comply, and how many came to comply or ceased to.

Rates of participants are not effects; the same rates of other firms stand beside them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from ..data.intervals import wilson

NORMS = {"env": "env_compliant", "osh": "osh_compliant"}
"""Norms, and the columns of the survey by which firms themselves say that they comply."""

_STATES = ["source", "norm", "firm_id", "compliant_base", "compliant_now", "planned"]
_KEY = ["source", "norm", "by", "group", "arm"]
_RATES = [*_KEY, "moment", "n", "share", "share_low", "share_high", "n_planned"]
_CHANGE = [
    *_KEY,
    "n",
    "share_base",
    "share_now",
    "n_gained",
    "n_lost",
    "difference",
    "difference_low",
    "difference_high",
    "p_value",
]


def inspected_states(compliance: pd.DataFrame, base_year: int) -> pd.DataFrame:
    """One row a norm and firm inspected: complied at the start, and complies now.

    The start is the firm's first inspection by the end of the year after the base year, when that year is surveyed; now is its last
    inspection after that. `source` (inspection), `norm, firm_id, compliant_base, compliant_now` (1, 0 or NaN), `planned` (1 where a
    firm that did not comply at the start had it in its plan). Norm `both` holds the firms inspected on both.
    """
    rows = compliance.dropna(subset=["compliant", "on"]).sort_values("on", kind="stable")
    early = rows["on"].dt.year <= base_year + 1
    keys = ["norm", "firm_id"]
    base = (
        rows[early]
        .drop_duplicates(keys)
        .set_index(keys)[["compliant", "plan_provided"]]
        .set_axis(["compliant_base", "planned"], axis=1)
    )
    now = rows[~early].drop_duplicates(keys, keep="last").set_index(keys)["compliant"].rename("compliant_now")
    ends = base.join(now, how="outer").astype(float).reset_index()
    return _with_both(ends.assign(source="inspection"))


def declared_states(survey: pd.DataFrame, base_year: int, year: int) -> pd.DataFrame:
    """One row a norm and firm surveyed: says that it complies in the base year and in `year`; columns as `inspected_states`.

    `planned` is NaN: the survey does not ask.
    """
    found = []
    for norm, column in NORMS.items():
        wide = survey.pivot_table(index="firm_id", columns="ref_year", values=column, aggfunc="last")
        wide = wide.reindex(columns=[base_year, year]).astype(float).set_axis(["compliant_base", "compliant_now"], axis=1)
        found.append(wide.dropna(how="all").reset_index().assign(source="survey", norm=norm, planned=np.nan))
    return _with_both(pd.concat(found, ignore_index=True))


def _with_both(states: pd.DataFrame) -> pd.DataFrame:
    """The states of every norm, and those of all norms together: complies with each."""
    ends = ["compliant_base", "compliant_now", "planned"]
    grouped = states.groupby(["source", "firm_id"])
    both = grouped[ends].min().where(grouped[ends].count() == len(NORMS))
    both["planned"] = np.nan  # a plan is for one norm
    table = pd.concat([states[_STATES], both.reset_index().assign(norm="both")[_STATES]], ignore_index=True)
    return table[table[["compliant_base", "compliant_now"]].notna().any(axis=1)].reset_index(drop=True)


def compliance_rates(states: pd.DataFrame, types: pd.DataFrame, by: tuple[str, ...], level: float = 0.95) -> pd.DataFrame:
    """One row a norm, group of firms, arm and moment: how many comply.

    Parameters
    ----------
    states : DataFrame
        From `inspected_states` or `declared_states`, or both.
    types : DataFrame
        The firms by `firm_id`: `arm` and the columns of `by`; one that is not there is passed over.
    by : tuple of str
        What to tell groups by; the rows of all firms come first (`by` and `group` all).
    level : float
        Of the Wilson interval.

    Returns
    -------
    DataFrame
        `source` (inspection, survey), `norm` (env, osh, both), `by, group, arm, moment` (base, now), `n` (firms with an answer
        then), `share, share_low, share_high, n_planned` (of those that did not comply at first, how many had it in their plan; NaN
        without that record or at a later moment).
    """
    rows = []
    for key, part in _groups(states, types, by):
        for moment in ("base", "now"):
            known = part[f"compliant_{moment}"].dropna()
            if known.empty:
                continue
            low, high = map(float, wilson(known.sum(), len(known), level))
            failed = part[part["compliant_base"] == 0]
            planned = failed["planned"].sum() if moment == "base" and failed["planned"].notna().any() else np.nan
            rows.append((*key, moment, len(known), known.mean(), low, high, planned))
    return pd.DataFrame(rows, columns=_RATES)


def compliance_change(states: pd.DataFrame, types: pd.DataFrame, by: tuple[str, ...], level: float = 0.95) -> pd.DataFrame:
    """One row a norm, group of firms and arm: firms seen at both moments, and how many came to comply or ceased to.

    Parameters as for `compliance_rates`.

    Returns
    -------
    DataFrame
        `source, norm, by, group, arm, n` (firms seen at both), `share_base, share_now, n_gained` (did not comply, now do),
        `n_lost, difference` (share now less before) with its interval `difference_low, difference_high`, and `p_value` that gains
        and losses are as likely.

    Notes
    -----
    Exact test of McNemar (1947) on the firms that changed, NaN where none did; the interval is that of paired shares (Wald,
    adjusted by adding one half to each cell: Agresti and Min 2005).
    """
    rows = []
    for key, part in _groups(states.dropna(subset=["compliant_base", "compliant_now"]), types, by):
        before, after = part["compliant_base"] > 0, part["compliant_now"] > 0
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        p_value = stats.binomtest(gained, gained + lost).pvalue if gained + lost else np.nan
        middle = (gained - lost) / (len(part) + 2)
        spread = np.sqrt((gained + lost + 1) - (gained - lost) ** 2 / (len(part) + 2)) / (len(part) + 2)
        half = stats.norm.ppf(0.5 + level / 2) * spread
        shares = before.mean(), after.mean(), gained, lost, after.mean() - before.mean()
        rows.append((*key, len(part), *shares, max(middle - half, -1.0), min(middle + half, 1.0), p_value))
    return pd.DataFrame(rows, columns=_CHANGE)


def _groups(states: pd.DataFrame, types: pd.DataFrame, by: tuple[str, ...]):
    """Key and rows of every group of firms."""
    arm = states["firm_id"].map(types["arm"]).rename("arm")
    kinds = {"all": pd.Series("all", index=states.index)} | {c: states["firm_id"].map(types[c]) for c in by if c in types}
    for column, kind in kinds.items():
        for (source, norm, group, who), part in states.groupby(["source", "norm", kind.rename("group"), arm], sort=True):
            yield (source, norm, column, group, who), part


def compliance_path(compliance: pd.DataFrame, types: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row a norm, arm and quarter: firms inspected in it and the share that complied at their last inspection of the quarter.

    `norm, arm, quarter` (2004Q3), `n, share, share_low, share_high` (Wilson).
    """
    rows = compliance.dropna(subset=["compliant", "on"]).sort_values("on", kind="stable")
    rows = rows.assign(quarter=rows["on"].dt.to_period("Q").astype(str), arm=rows["firm_id"].map(types["arm"]))
    last = rows.groupby(["norm", "arm", "quarter", "firm_id"])["compliant"].last().astype(float)
    table = last.groupby(level=["norm", "arm", "quarter"]).agg(n="size", complied="sum").reset_index()
    low, high = wilson(table["complied"], table["n"], level)
    table = table.assign(share=table["complied"] / table["n"], share_low=low, share_high=high)
    return table[["norm", "arm", "quarter", "n", "share", "share_low", "share_high"]]
