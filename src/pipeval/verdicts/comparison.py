"""The programme's effects beside those that similar evaluations found. Nothing is pooled: methods, firms and years differ."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..did.estimate import as_share
from ..study.specs import Outcome, Study

MEANINGS = {
    "sales": ("sales", None),
    "productivity": ("value_added", "jobs"),
    "value_added": ("value_added", None),
    "exports": ("exports", None),
    "employment": ("jobs", None),
    "prices": ("price", None),
    "survival": ("alive", None),
}
"""What the usual words for outcomes mean here: a measure, and the measure it is divided by."""

COLUMNS = (
    "study", "country", "outcome", "benchmark", "scale", "effect", "effect_low", "effect_high", "horizon", "method", "source",
    "own_effect", "own_low", "own_high", "own_horizon", "position", "note",
)  # fmt: skip


def comparison_table(benchmarks: pd.DataFrame, paths: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row an effect of a similar evaluation, and the programme's own effect as long after entry.

    Parameters
    ----------
    benchmarks : DataFrame
        `study, country, outcome, effect_pct, ci_lo, ci_hi, horizon_years, method, source`. An outcome is one of the study's by
        its id, by its measure, or by a usual word (`MEANINGS`); of several, the first without `among`.
    paths : DataFrame
        Effects by time since entry: `outcome, event_time, estimate, conf_low, conf_high`.
    study : Study
        Its outcomes.

    Returns
    -------
    DataFrame
        `study, country, outcome` (the study's; empty where it has none), `benchmark` (the word of the other study), `scale` (of
        the own outcome), `effect, effect_low, effect_high` (shares), `horizon` (years after entry), `method, source`,
        `own_effect, own_low, own_high` (shares) at `own_horizon`, the year after entry nearest to `horizon` that was estimated.
        `position`: own effect *higher* or *lower* when the two intervals lie apart, *similar* when they meet, *not_known* without
        both. `note`: no_own_outcome, no_own_effect, no_interval, horizon_differs, no_horizon (the last own year is shown); the
        last two with `_no_interval` behind when both hold.

    Examples
    --------
    >>> from types import SimpleNamespace as Plan
    >>> sales = Plan(id="ln_sales", measure="sales", per=None, scale="log", among={})
    >>> path = pd.DataFrame({"outcome": ["ln_sales"], "event_time": [2], "estimate": [0.1], "conf_low": [0.0], "conf_high": [0.2]})
    >>> other = pd.DataFrame({"study": ["X"], "outcome": ["sales"], "effect_pct": [5.0], "horizon_years": [3.0]})
    >>> comparison_table(other, path, Plan(outcomes=(sales,)))[["outcome", "effect", "own_horizon", "note"]].values.tolist()
    [['ln_sales', 0.05, 2.0, 'horizon_differs_no_interval']]
    """
    names = ["study", "country", "outcome", "effect_pct", "ci_lo", "ci_hi", "horizon_years", "method", "source"]
    rows = [_row(r, paths, study) for r in benchmarks.reindex(columns=names).to_dict("records")]
    numbers = ["effect", "effect_low", "effect_high", "horizon", "own_effect", "own_low", "own_high", "own_horizon"]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(numbers, float))


def own_outcome(word: str, study: Study) -> Outcome | None:
    """The study's outcome that another evaluation's word means: by id, by measure, or by `MEANINGS`; none if there is none."""
    key = str(word).strip().lower()
    measure = MEANINGS.get(key, (key, None))
    matches = [o for o in study.outcomes if o.id == key] + [o for o in study.outcomes if (o.measure, o.per) == measure]
    return next((o for o in sorted(matches, key=lambda o: bool(o.among))), None)


def _row(other: dict, paths: pd.DataFrame, study: Study) -> dict:
    own = own_outcome(other["outcome"], study)
    row = {
        "study": other["study"], "country": other["country"], "outcome": "" if own is None else own.id,
        "benchmark": other["outcome"], "scale": "" if own is None else own.scale,
        "effect": other["effect_pct"] / 100, "effect_low": other["ci_lo"] / 100, "effect_high": other["ci_hi"] / 100,
        "horizon": other["horizon_years"], "method": other["method"], "source": other["source"],
    }  # fmt: skip
    path = pd.DataFrame() if own is None else paths[(paths["outcome"] == own.id) & (paths["event_time"] >= 0)]
    path = path.dropna(subset=["estimate"]) if len(path) else path
    if path.empty:
        return row | {"position": "not_known", "note": "no_own_outcome" if own is None else "no_own_effect"}
    row |= _nearest(path, row["horizon"], own.scale)
    differs = "no_horizon" if np.isnan(row["horizon"]) else "horizon_differs" if row["own_horizon"] != row["horizon"] else ""
    bare = "no_interval" if np.isnan([row["effect_low"], row["effect_high"]]).any() else ""
    return row | {"position": _position(row), "note": "_".join(filter(None, (differs, bare)))}


def _nearest(path: pd.DataFrame, horizon: float, scale: str) -> dict:
    """The own effect as many years after entry, or the nearest estimated (the earlier of two); the last without a horizon."""
    times = path["event_time"].astype(float)
    place = times.idxmax() if np.isnan(horizon) else (times - horizon).abs().sort_index().sort_values(kind="stable").index[0]
    at = path.loc[place]
    names = {"own_effect": "estimate", "own_low": "conf_low", "own_high": "conf_high"}
    return {own: float(as_share(at[name], scale)) for own, name in names.items()} | {"own_horizon": float(at["event_time"])}


def _position(row: dict) -> str:
    ends = [row.get(n, np.nan) for n in ("effect_low", "effect_high", "own_low", "own_high")]
    if np.isnan(ends).any():
        return "not_known"
    low, high, own_low, own_high = ends
    return "higher" if own_low > high else "lower" if own_high < low else "similar"
