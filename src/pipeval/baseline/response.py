"""Who answered, who closed, and who is left at each step."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from ..data.measures import Measures
from ..data.panel import Panel


def response_table(measured: Measures, firms: pd.DataFrame) -> pd.DataFrame:
    """Response by arm and year.

    Returns
    -------
    DataFrame
        `arm, period, n_registered` (firms of the arm), `n_responding, n_closed, response_rate` (of the firms registered).
    """
    status = measured.headline["status"].unstack().reindex(firms.index)
    rows = [
        {
            "arm": arm,
            "period": period,
            "n_registered": len(part),
            "n_responding": int((part[period] == "alive").sum()),
            "n_closed": int((part[period] == "exited").sum()),
        }
        for arm, part in status.groupby(firms["arm"])
        for period in status.columns
    ]
    table = pd.DataFrame(rows)
    return table.assign(response_rate=table["n_responding"] / table["n_registered"])


def response_test(panel: Panel, outcome: str, base_year: int) -> pd.DataFrame:
    """Whether treated and comparison firms that answered in the base year go on answering alike.

    One row a later year: `period, n_treated, n_control, difference` (treated minus comparison, share still observed),
    `std_error` (unpooled), `p_value` (normal). NaN where an arm has no firm in the base year.
    """
    wide = panel.wide(outcome).notna()
    if base_year not in wide:
        return pd.DataFrame(columns=["period", "n_treated", "n_control", "difference", "std_error", "p_value"])
    there = wide[wide[base_year]]
    treated = np.isfinite(panel.firms.loc[there.index, "cohort"])
    rows = []
    for period in (p for p in wide.columns if p > base_year):
        t, c = there.loc[treated, period], there.loc[~treated, period]
        error = np.sqrt(sum(x.mean() * (1 - x.mean()) / len(x) for x in (t, c))) if len(t) and len(c) else np.nan
        difference = t.mean() - c.mean() if len(t) and len(c) else np.nan
        p = 2 * stats.norm.sf(abs(difference) / error) if error > 0 else np.nan
        rows.append([period, len(t), len(c), difference, error, p])
    return pd.DataFrame(rows, columns=["period", "n_treated", "n_control", "difference", "std_error", "p_value"])


def sample_flow(firms: pd.DataFrame, stages: dict[str, pd.Index]) -> pd.DataFrame:
    """How many firms of each arm reach each stage, from the register to the estimate (`arm, stage, n`).

    >>> firms = pd.DataFrame({"arm": ["beneficiary", "nonparticipant"]}, index=["a", "b"])
    >>> sample_flow(firms, {"register": firms.index, "analysed": pd.Index(["a"])})["n"].tolist()
    [1, 1, 1, 0]
    """
    arms = sorted(firms["arm"].unique())
    rows = [(arm, stage, int((firms.loc[ids, "arm"] == arm).sum())) for stage, ids in stages.items() for arm in arms]
    return pd.DataFrame(rows, columns=["arm", "stage", "n"])
