"""What `did_coverage.py` compares: true effects by cell, averaged as estimates are; what a draw says of an interval or a test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

import did_worlds as worlds
import numpy as np
import pandas as pd
from did_worlds import LAST, World
from scipy import stats

from pipeval.did.aggregate import weighted
from pipeval.did.effects import Effects
from pipeval.did.inference import (
    cluster_codes,
    counting_clusters,
    covariance,
    critical_value,
    critical_value_normal,
    intervals,
    standard_errors,
)
from pipeval.errors import DesignError, EstimationError

SEED, LEVEL, MANY = 20031121, 0.95, 200_000
DRAWN = 399  # multiplier draws of bands and step-downs
REPLICATIONS = 199  # of the wild bootstrap and of randomisation


class Row(NamedTuple):
    """What one draw says of an estimator and its inference.

    `hit`: the interval holds the truth of the population drawn from, the band all of it, the test rejects. `own`: the interval
    holds the mean effect of exactly the treated firms that this estimate describes. `kind`: how the share of hits is judged.
    """

    estimator: str
    inference: str
    deviation: float
    std_error: float
    hit: float
    own: float
    kind: str


def cell_truth(world: World, mask: np.ndarray, values: np.ndarray | None = None, weight: np.ndarray | None = None) -> pd.DataFrame:
    """One row a cohort and year from entry on: the mean of `values` (the effect) over the firms of `mask`, and their weight."""
    values = world.effect if values is None else values
    w = np.ones(len(world.cohort)) if weight is None else weight
    rows = []
    for g in np.unique(world.cohort[world.cohort <= LAST]):
        for j, t in enumerate(worlds.YEARS):
            if t >= g:
                use = (world.cohort == g) & mask[:, j]
                rows.append((g, t, t - g, np.average(values[use, j], weights=w[use]), w[use].sum()))
    return pd.DataFrame(rows, columns=["cohort", "period", "event_time", "value", "mass"])


def seen_at_both_ends(world: World) -> np.ndarray:
    """Array of bool (firms, years): seen then and in the year before entry."""
    base = np.where(world.cohort <= LAST, world.cohort - 1 - worlds.FIRST, 0).astype(int)
    return world.seen & world.seen[np.arange(len(base)), base][:, None]


@lru_cache(maxsize=1)
def population(world: Callable, **options) -> World:
    """A draw so large that its means are the truth."""
    return world(np.random.default_rng(SEED), n=MANY, **options)


@lru_cache(maxsize=16)
def truth_of(world: Callable, rule: str = "both_ends", weighted: bool = False, values: str = "effect") -> pd.DataFrame:
    """The truth by cell for firms seen at both ends, always, in the year itself, or whether seen or not (`any`)."""
    whole = population(world)
    masks = {
        "both_ends": lambda: seen_at_both_ends(whole),
        "always": lambda: np.repeat(whole.seen.all(axis=1, keepdims=True), whole.seen.shape[1], axis=1),
        "then": lambda: whole.seen,
        "any": lambda: np.ones(whole.seen.shape, bool),
    }
    return cell_truth(whole, masks[rule](), getattr(whole, values), whole.firms["weight"] if weighted else None)


def averaged(cells: pd.DataFrame, by: str) -> dict:
    """Key of a summary's row to its truth, averaged as `aggregate` does; `average` is the key of the mean of the rows."""
    v, m = cells["value"].to_numpy(), cells["mass"].to_numpy()
    if by == "overall":
        return {"overall": float(v @ m / m.sum())}
    keys, place = np.unique(cells[by].to_numpy(float), return_inverse=True)
    mass = np.bincount(place, m)
    rows = np.bincount(place, v * m) / mass
    share = mass / np.bincount(place) if by == "cohort" else np.ones(len(keys))
    return dict(zip(keys.tolist(), rows.tolist(), strict=True)) | {"average": float(rows @ share / share.sum())}


def own_cells(cells: Effects, world: World) -> pd.DataFrame:
    """The truth by cell for exactly the firms that these cells describe."""
    table = cells.table
    after = np.flatnonzero(table["event_time"] >= 0)
    column = table["period"].to_numpy(int)[after] - worlds.FIRST
    values = (cells.treated_weight[:, after] * world.effect[cells.firm_id][:, column]).sum(axis=0)
    keys = table.iloc[after][["cohort", "period", "event_time"]].reset_index(drop=True)
    return keys.assign(value=values, mass=table["weight_treated"].to_numpy()[after])


def held(row: pd.Series, truth: float, low: str = "conf_low", high: str = "conf_high") -> float:
    return float(row[low] <= truth <= row[high]) if np.isfinite(row[low]) and np.isfinite(row[high]) else np.nan


def point(estimator: str, inference: str, row: pd.Series, truth: float, own: float = np.nan, kind: str = "exact") -> Row:
    """A row of a table of effects with its pointwise interval."""
    inside = held(row, own) if np.isfinite(own) else np.nan
    return Row(estimator, inference, row["estimate"] - truth, row["std_error"], held(row, truth), inside, kind)


def rejects(estimator: str, inference: str, p_value: float, kind: str = "size") -> Row:
    return Row(estimator, inference, np.nan, np.nan, float(p_value <= 1 - LEVEL) if np.isfinite(p_value) else np.nan, np.nan, kind)


def banded(
    estimator: str, inference: str, key: np.ndarray, ends: tuple[np.ndarray, np.ndarray], truth: dict, kind: str = "exact"
) -> Row:
    """Whether the band holds the whole path, years before entry (truth 0) among it."""
    low, high = ends
    known = np.isfinite(low)
    true = np.array([truth.get(k, 0.0) for k in key[known].tolist()])
    inside = ((low[known] <= true) & (high[known] >= true)).all()
    return Row(estimator, inference, np.nan, np.nan, float(inside), np.nan, kind)


def band(estimator: str, inference: str, effects: Effects, truth: dict, by: str, kind: str = "exact") -> Row:
    """The band of a summary, made here."""
    key, low, high = (effects.bands(DRAWN).table[name].to_numpy(float) for name in (by, "band_low", "band_high"))
    return banded(estimator, inference, key, (low, high), truth, kind)


def in_year(effects: Effects, year: int = LAST) -> pd.Series:
    """The row of a year of a summary by period."""
    return effects.table[effects.table["period"] == year].iloc[0]


SUMMARIES = ("period", "overall", "event_time", "cohort")


class Summary(NamedTuple):
    """What `aggregate(...).bands()` gives, as arrays over its rows, the average last; its tables would cost ten times as much."""

    key: np.ndarray
    estimate: np.ndarray
    std_error: np.ndarray
    low: np.ndarray
    high: np.ndarray
    band_low: np.ndarray
    band_high: np.ndarray

    def row(self, k: int) -> dict:
        names = ("estimate", "std_error", "conf_low", "conf_high")
        return dict(zip(names, (v[k] for v in (self.estimate, self.std_error, self.low, self.high)), strict=True))


def shares_of(cells: Effects, by: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells that enter, the keys of the rows, and each cell's share in them (cells, rows)."""
    table = cells.table
    event, weight = table["event_time"].to_numpy(), table["weight_treated"].to_numpy(float)
    use = np.flatnonzero((table["phase"] != "base").to_numpy() if by == "event_time" else event >= 0)
    weight = weight[use]
    if by == "overall":
        return use, np.array([np.nan]), (weight / weight.sum())[:, None]
    keys, place = np.unique(table[by].to_numpy(float)[use], return_inverse=True)
    shares = weight[:, None] * (place[:, None] == np.arange(len(keys)))
    if by == "cohort":
        keys, shares = np.append(keys, np.nan), np.column_stack([shares, weight / np.bincount(place)[place]])
    return use, keys, shares / shares.sum(axis=0)


def summary(cells: Effects, by: str, known: bool = False) -> Summary:
    """The rows of `aggregate` with pointwise intervals and bands, through the same functions of influence."""
    use, key, shares = shares_of(cells, by)
    estimate, (psi, treated, control) = weighted(cells, use, shares, known)
    if by in ("event_time", "period"):
        after = key >= 0
        key, estimate = np.append(key, np.nan), np.append(estimate, estimate[after].mean())
        psi, treated = (np.column_stack([a, a[:, after].mean(axis=1)]) for a in (psi, treated))
        control = np.column_stack([control, control[:, after].any(axis=1)])
    codes, member = cluster_codes(cells.clusters, cells.firm_id), control | (treated > 0)
    error = standard_errors(psi, codes, member)[0]
    found = intervals(estimate, error, counting_clusters(member, treated > 0, codes) - 1.0, LEVEL)
    rows = np.flatnonzero(np.isfinite(key))
    band = np.full((2, len(key)), np.nan)
    if len(rows):
        if codes.ndim == 2:
            critical = critical_value_normal(covariance(psi[:, rows], codes, member[:, rows]), LEVEL, DRAWN, SEED)
        else:
            critical = critical_value(psi[:, rows], error[rows], codes, LEVEL, DRAWN, SEED)
        critical = stats.t.isf(stats.norm.sf(critical), np.asarray(found["df"], float)[rows])
        half = np.maximum(critical * error[rows], (found["conf_high"] - estimate)[rows])
        band[:, rows] = estimate[rows] - half, estimate[rows] + half
    return Summary(key, estimate, error, found["conf_low"], found["conf_high"], *band)


def summarised(
    estimator: str, cells: Effects, world: World, truth: pd.DataFrame, by: Iterable[str] = SUMMARIES, kind: str = "exact",
    known: bool = False, inference: str = "",
) -> list[Row]:  # fmt: skip
    """The rows that a report prints of these cells: the reference year, the mean over all, bands by event time, cohort and year."""
    own, rows, suffix = own_cells(cells, world), [], f", {inference}" if inference else ""
    for name in by:
        true, mine = averaged(truth, name), averaged(own, name)
        found = summary(cells, name, known)
        if name == "overall":
            rows.append(point(estimator, "overall" + suffix, found.row(0), true[name], mine[name], kind))
            continue
        if name == "period":
            row = found.row(int(np.flatnonzero(found.key == LAST)[0]))
            rows.append(point(estimator, f"year {LAST}" + suffix, row, true[LAST], mine[LAST], kind))
        else:
            label = name.replace("_", " ")
            rows.append(point(estimator, f"mean over {label}s" + suffix, found.row(-1), true["average"], mine["average"], kind))
        rows.append(
            banded(
                estimator, f"band by {name.replace('_', ' ')}" + suffix, found.key, (found.band_low, found.band_high), true, kind
            )
        )
    return rows


def attempt(run: Callable[[], Iterable[Row]]) -> list[Row]:
    """The rows, or none where the estimator refused the draw: they count as failed."""
    try:
        return list(run())
    except (DesignError, EstimationError):
        return []
