"""The starting point: what firms of each kind looked like in the base year."""

from __future__ import annotations

import pandas as pd

from ..data.measures import Measures
from ..study.specs import Study

ALL = "all"
"""The code of "every branch" or "every size" in a table."""


def baseline_indicators(measured: Measures, firms: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Each measure in the base year, by arm × branch × size class.

    Returns
    -------
    DataFrame
        `measure, arm, branch, size_class, n, mean, median, sd, n_missing`; money in thousands at base-year prices. `all` stands for
        every branch or size; `sd` is NaN for a single firm.
    """
    base = measured.headline.xs(study.baseline.year, level="period") if _has_base(measured, study) else measured.headline.iloc[:0]
    names = list(dict.fromkeys(n for o in study.outcomes for n in (o.measure, o.per) if n))
    numbers = base[[n for n in names if n != "alive"]].copy()
    for o in study.outcomes:
        if o.per:
            numbers[f"{o.measure}_per_{o.per}"] = base[o.measure] / base[o.per].where(base[o.per] > 0)
    groups = firms[["arm", "branch", "size_class"]].reindex(numbers.index)
    pieces = []
    for branch, size in ((False, False), (True, False), (False, True), (True, True)):
        keys = groups.assign(branch=groups["branch"] if branch else ALL, size_class=groups["size_class"] if size else ALL).dropna()
        pieces.append(_describe(numbers.loc[keys.index], keys))
    table = pd.concat(pieces, ignore_index=True)
    order = {n: i for i, n in enumerate(numbers)}
    return table.sort_values(
        ["measure", "arm", "branch", "size_class"], key=lambda c: c.map(order) if c.name == "measure" else c != ALL, kind="stable"
    ).reset_index(drop=True)


def _has_base(measured: Measures, study: Study) -> bool:
    return study.baseline.year in measured.headline.index.get_level_values("period")


def _describe(numbers: pd.DataFrame, keys: pd.DataFrame) -> pd.DataFrame:
    long = numbers.melt(ignore_index=False, var_name="measure", value_name="value").join(keys)
    grouped = long.groupby(["measure", "arm", "branch", "size_class"], observed=True)["value"]
    table = grouped.agg(n="count", mean="mean", median="median", sd="std", firms="size").reset_index()
    table["n_missing"] = table.pop("firms") - table["n"]
    return table
