"""Honest sensitivity of an event study: what remains of an effect when trends were not quite parallel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ..errors import DesignError, EstimationError, Note, warn
from .effects import Effects
from .honest_design import base_period
from .honest_sets import SETS, breakdown
from .inference import cluster_codes, count_clusters

CLUSTERS_A_ROW = 2
"""Treated clusters an event time below which sets are refused: at 95 %, under straight violations, they then miss 15 % or more."""


class Target(NamedTuple):
    """The arrays that `honest_sets` takes, and the effect they are about."""

    beta: np.ndarray
    covariance: np.ndarray
    event_time: np.ndarray
    weights: np.ndarray


def honest_table(
    event_study: Effects,
    kind: Literal["relative_magnitude", "smoothness"],
    bounds: Sequence[float],
    target: Literal["first", "average"] | int | np.ndarray = "first",
    level: float | None = None,
) -> pd.DataFrame:
    """One row a bound: the confidence interval of an effect when violations of parallel trends are no larger than the bound.

    Parameters
    ----------
    event_study : Effects
        `aggregate(..., by="event_time")` of cells with a universal base period.
    kind : str
        `relative_magnitude`: no step of the violation after the base exceeds the bound times the largest step before it.
        `smoothness`: its slope changes by at most the bound, in units of the outcome, from one period to the next.
    bounds : sequence of float
        Each at least 0.
    target : str, int or array
        `first` period after entry, `average` of all of them with equal weight (the last row of the aggregate), or an event time; an
        array weighs the rows after entry otherwise (`path_to`), the last row being that mean.
    level : float, optional
        By default that of `event_study`.

    Returns
    -------
    DataFrame
        `kind, bound, estimate, conf_low, conf_high, excludes_zero, breakdown` (the bound up to which zero is excluded; the same
        in every row) and `reason`: why the interval is NaN, empty otherwise.

    Raises
    ------
    DesignError
        When `event_study` is not an event study, or holds no such target; when weights do not make up the last row.

    Notes
    -----
    Rambachan and Roth (2023); see `honest_sets`. The sets rest on normal critical values and are refused (a `reason`) with fewer
    than two clusters of treated firms an event time; the covariance is scaled so that relative magnitudes at bound 0 give the
    interval of the event study itself, t(G−1) included. Periods of anticipation may hold effects:
    they have no weight, and violations build up over them. Event times may average different cohorts;
    `aggregate(..., balanced_to=...)` keeps them the same.

    Examples
    --------
    >>> import warnings; warnings.simplefilter("ignore")
    >>> from pipeval import Panel, aggregate, att_gt
    >>> noise = np.random.default_rng(1).normal(0, 0.1, (20, 5))
    >>> rows = [(i, t, 3 * (i < 6), (i < 6) * (t > 2) + noise[i, t]) for i in range(20) for t in range(1, 5)]
    >>> frame = pd.DataFrame(rows, columns=["firm", "year", "start", "y"])
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> table = honest_table(aggregate(att_gt(panel, "y"), "event_time"), "relative_magnitude", [0, 1])
    >>> table[["bound", "conf_low", "excludes_zero"]].round(3).to_dict("records")
    [{'bound': 0.0, 'conf_low': 0.861, 'excludes_zero': True}, {'bound': 1.0, 'conf_low': 0.798, 'excludes_zero': True}]
    """
    if kind not in SETS:
        raise DesignError(f"kind is one of {', '.join(SETS)}; found '{kind}'")
    low = [b for b in bounds if not b >= 0]
    if low:
        raise DesignError(f"bounds on violations are numbers of at least 0; found {low[0]}")
    rows = _event_rows(event_study.table)
    own, loading = _target_rows(event_study.table, rows, target)
    level = event_study.level if level is None else level
    estimate = float(event_study.table["estimate"].iloc[own])
    blank = {"kind": kind, "bound": np.nan, "estimate": estimate, "conf_low": np.nan, "conf_high": np.nan}
    blank |= {"excludes_zero": None, "breakdown": np.nan, "reason": ""}
    try:
        _refuse_unfit(event_study.table, rows)
        study = _arrays(event_study, rows, (own, loading), level)
        ends = [SETS[kind](*study, float(bound), level) for bound in bounds]
        limit = breakdown(kind, *study, level)
    except (DesignError, EstimationError) as fault:
        return pd.DataFrame([blank | {"bound": float(b), "reason": str(fault)} for b in bounds], columns=list(blank))
    found = [
        blank | {"bound": float(b), "conf_low": a, "conf_high": z, "excludes_zero": a > 0 or z < 0, "breakdown": limit}
        for b, (a, z) in zip(bounds, ends, strict=True)
    ]
    return pd.DataFrame(found, columns=list(blank))


def _event_rows(table: pd.DataFrame) -> np.ndarray:
    """Positions of the rows that are estimated, one an event time, in its order."""
    if not {"event_time", "phase"} <= set(table) or "cohort" in table:
        raise DesignError('an event study has one row an event time: aggregate(effects, by="event_time")')
    rows = np.flatnonzero(table["event_time"].notna() & (table["phase"] != "base"))
    if table["event_time"].iloc[rows].duplicated().any():
        raise DesignError("an event study has one row an event time; for several outcomes or groups take them one by one")
    return rows[np.argsort(table["event_time"].to_numpy(float)[rows], kind="stable")]


def _target_rows(table: pd.DataFrame, rows: np.ndarray, target) -> tuple[int, np.ndarray]:
    """Position of the target's own row, and the weight in it of every row in `rows`."""
    after = rows[table["phase"].to_numpy()[rows] == "post"]
    times = table["event_time"].to_numpy(float)[after]
    if isinstance(target, np.ndarray):
        if target.shape != after.shape:
            raise DesignError(f"one weight for each of the {len(after)} rows after entry; found {target.size}")
        own, chosen = np.flatnonzero(table["event_time"].isna()), after
    elif target == "average":
        own, chosen = np.flatnonzero(table["event_time"].isna()), after
    else:
        own = chosen = after[:1] if target == "first" else after[times == target]
    if len(own) != 1 or len(chosen) == 0:
        raise DesignError(
            f"target is first, average or one of the event times after entry {times.astype(int).tolist()}; found {target}, "
            "which is not among the rows"
        )
    loading = np.isin(rows, chosen) / len(chosen)
    if isinstance(target, np.ndarray):
        loading[np.isin(rows, after)] = target
        mean, last = loading @ table["estimate"].to_numpy(float)[rows], table["estimate"].iloc[int(own[0])]
        if not abs(mean - last) <= 1e-8 * max(1.0, abs(last)):
            raise DesignError(f"with these weights the rows after entry make up {mean:.6g}; the last row is {last:.6g}")
    return int(own[0]), loading


def _refuse_unfit(table: pd.DataFrame, rows: np.ndarray) -> None:
    """A named reason when the rows are not differences from one base period."""
    base = table.loc[table["phase"] == "base", "event_time"]
    before = table["phase"].to_numpy()[rows] == "pre"
    if not before.any():
        raise DesignError("no period before the programme beside the base period: nothing says how large violations may be")
    if len(base) == 0:
        raise DesignError(
            "bounds on violations need every row measured from one base period, and these are not (a varying base, or a model "
            "fitted to all periods): use att_gt with base: universal"
        )
    event_time, span = (table[c].to_numpy(float)[rows] for c in ("event_time", "span"))
    moved = (np.abs(span - (event_time - base.iloc[0])) > 1e-9).any() or len(base) > 1
    if moved or base_period(event_time) != base.iloc[0]:
        raise DesignError(
            "bounds on violations need one base period for all cohorts and no gap; some cohorts start from an earlier period, as "
            "the one before entry is not observed"
        )
    if (table["phase"].to_numpy()[rows] == "anticipation").any():
        n = int((table["phase"].to_numpy()[rows] == "anticipation").sum())
        warn(Note(
            "honest_anticipation", "{n} period(s) of anticipation may hold effects: no weight, and violations build up over them",
            {"n": n},
        ))  # fmt: skip


def _refuse_few(event_study: Effects, rows: np.ndarray) -> None:
    """The sets take the covariance of the rows as known: too few clusters of treated firms do not let them."""
    treated = (event_study.treated_weight[:, rows] > 0).any(axis=1, keepdims=True)
    clusters = int(count_clusters(treated, cluster_codes(event_study.clusters, event_study.firm_id))[0])
    if clusters < CLUSTERS_A_ROW * len(rows):
        raise EstimationError(
            f"the sets rest on normal critical values, which {clusters} clusters of treated firms cannot bear for {len(rows)} "
            f"event times; at least {CLUSTERS_A_ROW * len(rows)} are needed. Use a narrower window, "
            "aggregate(..., window=(first, last)), or finer clusters"
        )


def _arrays(event_study: Effects, rows: np.ndarray, target: tuple[int, np.ndarray], level: float) -> Target:
    table, (own, loading) = event_study.table, target
    event_time = table["event_time"].to_numpy(float)[rows].astype(int)
    after = table["phase"].to_numpy()[rows] != "pre"
    unknown = event_time[table["std_error"].isna().to_numpy()[rows]].tolist()
    if unknown:
        raise EstimationError(
            f"event time(s) {unknown} have no standard error: leave them out, aggregate(..., window=(first, last))"
        )
    _refuse_few(event_study, rows)
    covariance, _ = event_study.covariance(rows)
    half = stats.t.ppf((1 + level) / 2, table["df"].iloc[own]) * table["std_error"].iloc[own]
    scale = (half / stats.norm.ppf((1 + level) / 2)) ** 2 / (loading @ covariance @ loading)
    return Target(table["estimate"].to_numpy(float)[rows], covariance * scale, event_time, loading[after])
