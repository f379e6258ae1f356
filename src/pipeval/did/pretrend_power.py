"""What a pre-trend test could have missed (Roth 2022), and effects with a trend of the treated taken out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ..errors import DesignError
from .effects import Effects, effects_from
from .inference import pretrend_test

ALPHA = 0.05
COLUMNS = (
    "power", "slope", "target", "bias", "bias_given_passed", "coverage_given_passed", "power_rows", "bias_given_rows_passed",
    "coverage_given_rows_passed", "reason",
)  # fmt: skip


class Rows(NamedTuple):
    """The rows before entry and three targets after it, with their joint covariance (pre rows first)."""

    covariance: np.ndarray
    span: np.ndarray
    df: int
    pre: int
    names: tuple[str, ...]


def pretrend_power(
    event_study: Effects,
    slopes: Sequence[float] | None = None,
    powers: Sequence[float] = (0.5, 0.8),
    draws: int = 10_000,
    seed: int = 20031121,
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """One row a linear violation of parallel trends and target: how surely the pre-trend test finds it, the harm if not.

    Parameters
    ----------
    event_study : Effects
        `aggregate(..., by="event_time")`, with rows before and after entry.
    slopes : sequence of float, optional
        Violations in units of the outcome per period; by default those that the joint test at 5 % detects with `powers`.
    powers : sequence of float
        Between 0.05 and 1; not used when `slopes` are given.
    draws, seed : int
        Of the simulation behind the columns that are conditional on passing.
    weights : array, optional
        Of the rows after entry in the target `average`; by default alike.

    Returns
    -------
    DataFrame
        `power` (of the joint test, `inference.pretrend_test`), `slope`, `target` (first, average, last row after entry), `bias`
        (slope × periods since the base), `bias_given_passed` (mean bias over samples that pass the test),
        `coverage_given_passed` (share of those samples whose interval at the level of `event_study` holds the true effect);
        `power_rows, bias_given_rows_passed, coverage_given_rows_passed` the same under the rule that no single row before
        entry differs from 0 at 5 %; `reason` why a row is NaN, empty otherwise.

    Raises
    ------
    DesignError
        When a power is out of range, no row after entry has a standard error, or weights are not one a row.

    Notes
    -----
    Roth (2022), sections I and II. Estimates are drawn from N(slope × span, V), V their joint cluster covariance, and as V is
    estimated tests and intervals share a draw of χ²/df in its place, df that of the joint test: its statistic is then
    noncentral F, as in the closed form of `power`. Passing does not remove bias: where rows before and after entry move
    together it may add some.

    Examples
    --------
    >>> import warnings; warnings.simplefilter("ignore")
    >>> from pipeval import Panel, aggregate, att_gt
    >>> noise = np.random.default_rng(1).normal(0, 0.1, (20, 5))
    >>> rows = [(i, t, 3 * (i < 6), (i < 6) * (t > 2) + noise[i, t]) for i in range(20) for t in range(1, 5)]
    >>> frame = pd.DataFrame(rows, columns=["firm", "year", "start", "y"])
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> pretrend_power(aggregate(att_gt(panel, "y"), "event_time"), slopes=[0.1])[["target", "bias"]].round(3).to_dict("records")
    [{'target': 'first', 'bias': 0.1}, {'target': 'average', 'bias': 0.15}, {'target': 'last', 'bias': 0.2}]
    """
    test = pretrend_test(event_study)
    asked = {"slope": list(slopes)} if slopes is not None else {"power": list(powers)}
    if test["reason"]:
        blank = dict.fromkeys(COLUMNS, np.nan) | {"target": None, "reason": test["reason"]}
        key = next(iter(asked))
        return pd.DataFrame([blank | {key: value} for value in asked[key]], columns=list(COLUMNS))
    if slopes is None:
        slopes = [pretrend_test(event_study, power=p, alpha=ALPHA)["detectable"] for p in powers]
    rows = _rows(event_study, weights, int(test["df2"]))
    drawn = _drawn(rows, draws, seed)
    found = [row for slope in slopes for row in _passed(rows, float(slope), drawn, event_study.level)]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _rows(event_study: Effects, weights: np.ndarray | None, df: int) -> Rows:
    table = event_study.table
    known = table["std_error"].notna() & table["event_time"].notna()
    pre = np.flatnonzero((table["phase"] == "pre") & known)
    post = np.flatnonzero((table["phase"] == "post") & known)
    if len(post) == 0:
        raise DesignError("no row after entry has a standard error: there is no effect to be biased")
    post = post[np.argsort(table["event_time"].to_numpy(float)[post])]
    covariance, _ = event_study.covariance(np.concatenate([pre, post]))
    q, k = len(pre), len(post)
    if weights is not None and np.shape(weights) != (k,):
        raise DesignError(f"one weight for each of the {k} rows after entry; found {np.size(weights)}")
    chosen = np.zeros((q + 3, q + k))
    chosen[:q, :q] = np.eye(q)
    chosen[q, q], chosen[q + 1, q:], chosen[q + 2, q + k - 1] = 1, 1 / k if weights is None else weights, 1
    span = chosen @ table["span"].to_numpy(float)[np.concatenate([pre, post])]
    return Rows(chosen @ covariance @ chosen.T, span, df, q, ("first", "average", "last"))


def _drawn(rows: Rows, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sampling errors (draws, rows) and the estimated scale of their covariance (draws,); the same for every slope."""
    rng = np.random.default_rng(seed)
    value, vector = np.linalg.eigh(rows.covariance)
    root = vector * np.sqrt(np.maximum(value, 0))
    return rng.standard_normal((draws, len(value))) @ root.T, rng.chisquare(rows.df, draws) / rows.df


def _passed(rows: Rows, slope: float, drawn: tuple[np.ndarray, np.ndarray], level: float) -> list[dict]:
    """One dict a target for one slope."""
    error, scale = drawn
    q, covariance = rows.pre, rows.covariance[: rows.pre, : rows.pre]
    inverse, critical = np.linalg.inv(covariance), stats.f.isf(ALPHA, q, rows.df)
    before = error[:, :q] + slope * rows.span[:q]
    joint = np.einsum("ij,jk,ik->i", before, inverse, before) / q <= critical * scale
    single = stats.t.isf(ALPHA / 2, rows.df) * np.sqrt(scale[:, None] * np.diag(covariance))
    each = (np.abs(before) <= single).all(axis=1)
    noncentrality = slope**2 * float(rows.span[:q] @ inverse @ rows.span[:q])
    power = float(stats.ncf.sf(critical, q, rows.df, noncentrality)) if noncentrality > 0 else ALPHA
    found = []
    for k, name in enumerate(rows.names, start=q):
        bias = slope * rows.span[k]
        wrong = error[:, k] + bias
        half = stats.t.ppf((1 + level) / 2, rows.df) * np.sqrt(scale * rows.covariance[k, k])
        covered = np.abs(wrong) <= half
        (bias_joint, cover_joint), (bias_each, cover_each) = (
            (wrong[kept].mean(), covered[kept].mean()) if kept.any() else (np.nan, np.nan) for kept in (joint, each)
        )
        numbers = (power, slope, name, bias, bias_joint, cover_joint, 1 - each.mean(), bias_each, cover_each, "")
        found.append(dict(zip(COLUMNS, numbers, strict=True)))
    return found


def detrended(event_study: Effects) -> Effects:
    """The rows after entry, less the straight line that the treated were on before it: effects with a trend of their own.

    Parameters
    ----------
    event_study : Effects
        `aggregate(..., by="event_time")`.

    Returns
    -------
    Effects
        The rows after entry and their average, keys as in `event_study`.

    Raises
    ------
    DesignError
        Without a row before entry that has a standard error, or without a row after it.

    Notes
    -----
    With s a row's span (periods since its base), the line through 0 in the base period has slope γ̂ = Σ s b / Σ s² over the rows
    before entry, and a row after becomes b − γ̂ s; the influence of γ̂ is subtracted likewise. Unbiased when violations are a
    straight line; the further a row lies from entry, the more the error of the slope counts.

    Examples
    --------
    >>> import warnings; warnings.simplefilter("ignore")
    >>> from pipeval import Panel, aggregate, att_gt
    >>> noise = np.random.default_rng(1).normal(0, 0.1, (20, 5))
    >>> rows = [(i, t, 3 * (i < 6), (i < 6) * ((t > 2) + 0.5 * t) + noise[i, t]) for i in range(20) for t in range(1, 5)]
    >>> frame = pd.DataFrame(rows, columns=["firm", "year", "start", "y"])
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> detrended(aggregate(att_gt(panel, "y"), "event_time")).table[["event_time", "estimate"]].round(2).to_dict("records")
    [{'event_time': 0.0, 'estimate': 0.93}, {'event_time': 1.0, 'estimate': 0.81}, {'event_time': nan, 'estimate': 0.87}]
    """
    table = event_study.table
    pre = np.flatnonzero((table["phase"] == "pre") & table["std_error"].notna())
    post = np.flatnonzero((table["phase"] == "post") & table["event_time"].notna())
    average = np.flatnonzero((table["phase"] == "post") & table["event_time"].isna())
    if len(pre) == 0 or len(post) == 0:
        side = "before entry, beside the base period," if len(pre) == 0 else "after entry"
        raise DesignError(f"a trend of the treated is fitted before entry and carried past it: no row {side} has an estimate")
    span = table["span"].to_numpy(float)
    share = span[pre] / (span[pre] ** 2).sum()
    rows = np.concatenate([post, average])
    ahead = span[rows]
    ahead[np.isnan(ahead)] = span[post].mean()
    estimate = table["estimate"].to_numpy(float)
    slope, influence = share @ estimate[pre], event_study.influence[:, pre] @ share
    keys = [c for c in table.columns if c in ("term", "event_time", "phase", "span")]
    arrays = (
        event_study.influence[:, rows] - np.outer(influence, ahead),
        event_study.treated_weight[:, rows],
        event_study.control[:, rows] | event_study.control[:, pre].any(axis=1)[:, None],
    )
    return effects_from(
        table.iloc[rows][keys],
        estimate[rows] - slope * ahead,
        arrays,
        event_study.firm_id,
        event_study.clusters,
        event_study.level,
        event_study.notes,
    )
