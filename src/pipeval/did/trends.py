"""Raw trends: how outcomes moved before any adjustment, base year = 100."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from ..data.panel import Panel
from ..matching.matched import MatchedSample
from ..study.specs import Study


def trends_table(panel: Panel, sample: MatchedSample, study: Study) -> pd.DataFrame:
    """Mean of each log outcome by year, base year = 100: treated firms, matched controls, all comparison firms that answer."""
    treated = panel.firms["cohort"] <= study.treatment.reference_year
    never = np.isinf(panel.firms["cohort"])
    matched = sample.weights.groupby(level="firm_id").sum()
    matched = matched[matched.index.isin(panel.firms.index[never])]
    groups = {
        "treated": pd.Series(1.0, index=panel.firms.index[treated]),
        "matched": matched,
        "comparison": pd.Series(1.0, index=panel.firms.index[never]),
    }
    z = float(stats.norm.ppf(0.5 + study.did.level / 2))
    rows = []
    for outcome in (o for o in study.outcomes if o.scale == "log" and not o.among):
        wide = panel.wide(outcome.id)
        if study.baseline.year not in wide or wide[study.baseline.year].notna().sum() == 0:
            continue
        change = wide.sub(wide[study.baseline.year], axis=0)
        rows += [_trend_row(outcome.id, p, g, change[p].reindex(w.index), w, z) for g, w in groups.items() for p in wide.columns]
    return pd.DataFrame(rows, columns=["outcome", "period", "group", "mean", "conf_low", "conf_high", "n"])


def _trend_row(outcome: str, period: int, group: str, change: pd.Series, weight: pd.Series, z: float) -> tuple:
    seen = change.notna()
    n, w, y = int(seen.sum()), weight[seen].to_numpy(), change[seen].to_numpy()
    if n < 2:
        return outcome, period, group, np.nan, np.nan, np.nan, n
    mean = np.average(y, weights=w)
    error = np.sqrt((w**2 * (y - mean) ** 2).sum()) / w.sum()
    return outcome, period, group, *(100 * np.exp(mean + k * error) for k in (0, -z, z)), n
