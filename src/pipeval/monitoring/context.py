"""What became of the sectors meanwhile: direct exports of surveyed firms by branch and arm."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.disclosure import FEWEST_SHOWN
from .sources import reported_exports


def export_trend(survey: pd.DataFrame, firms: pd.DataFrame, base_year: int, rates: pd.Series | None = None) -> pd.DataFrame:
    """One row a branch (*all* together), arm and year: direct exports in US$ against the base year.

    `branch, arm, period, n` (firms with a figure in that year and in the base year), `n_exporting` (of them, in that year),
    `exports_usd` and `base_usd` (sums of the same firms, then and in the base year), `export_index` (base year = 100). They are
    NaN where fewer than five firms exported in either year: a sum of few firms would show one of them. The context against which a
    programme's firms are read: a sector that grows lifts participants too, and a base year at the bottom of a slump flatters every
    later one.

    >>> asked = pd.DataFrame({"firm_id": [*"abcde"] * 2, "ref_year": [2003] * 5 + [2004] * 5})
    >>> asked["export_direct_usd"] = [50.0] * 5 + [60.0] * 5
    >>> firms = pd.DataFrame({"arm": "beneficiary", "branch": "footwear"}, index=[*"abcde"])
    >>> export_trend(asked, firms, 2003).query("branch == 'all' and period == 2004")[["n", "export_index"]].to_numpy().tolist()
    [[5.0, 120.0]]
    """
    wide = reported_exports(survey, rates).unstack("year")
    columns = ["branch", "arm", "period", "n", "n_exporting", "exports_usd", "base_usd", "export_index"]
    if base_year not in wide:
        return pd.DataFrame(columns=columns)
    known = firms.reindex(wide.index)
    branches = known["branch"] if "branch" in known else pd.Series(np.nan, index=wide.index, dtype=object)
    rows = []
    for branch in [*sorted(branches.dropna().unique()), "all"]:
        inside = wide if branch == "all" else wide[branches == branch]
        for arm, part in inside.groupby(known["arm"].reindex(inside.index)):
            for year in sorted(wide.columns):
                both = part[[base_year, year]].dropna() if year != base_year else part[[year]].dropna()
                exporting, before = (int((both[y] > 0).sum()) for y in (year, base_year))
                shown = min(exporting, before) >= FEWEST_SHOWN
                now, then = (both[y].sum() if shown else np.nan for y in (year, base_year))
                rows.append([branch, arm, int(year), len(both), exporting, now, then, 100 * now / then])
    table = pd.DataFrame(rows, columns=columns)
    return table[table["n"] > 0].reset_index(drop=True)
