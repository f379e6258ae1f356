"""Robust confidence sets of Rambachan and Roth (2023), on arrays: what an event study says when trends need not be parallel.

Symbols as in `honest_design`: β = τ + δ, θ = Σ l τ over the periods after the base. Critical values are normal.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import stats
from scipy.optimize import brentq, minimize_scalar, nnls
from scipy.special import ndtr

from .honest_design import design_of
from .honest_moments import accepted, moments_of

DOUBLINGS = 20  # a breakdown beyond 2²⁰ times its scale is given as infinite


def smoothness_set(beta, covariance, event_time, weights, bound: float, level: float = 0.95) -> tuple[float, float]:
    """The shortest fixed-length confidence interval for θ when the slope of δ changes by at most `bound` a period.

    Parameters
    ----------
    beta, covariance : array (rows,), array (rows, rows)
        Event-study estimates, without the base period, and their covariance.
    event_time : array of int (rows,)
        Increasing, consecutive but for one gap: the base period.
    weights : array
        l, one number a row after the base period. A row with weight 0 (anticipation) is not used, but violations build up over it.
    bound : float
        M ≥ 0, in units of the outcome: |(δ₊ − δ) − (δ − δ₋)| ≤ M. At 0 violations are a straight line.
    level : float
        Of the interval.

    Returns
    -------
    (float, float)

    Raises
    ------
    DesignError
        Without a period before or after the base, or with gaps.
    EstimationError
        When a number is missing or the covariance is singular.

    Notes
    -----
    Rambachan and Roth (2023), section 4.1; Armstrong and Kolesár (2018). The interval is v′β̂ ± σ·cv(B/σ), σ² = v′Σv, cv(t) the
    `level` quantile of |N(t, 1)|. As τ is free, v equals l after the base. Writing δ by its slope at entry and its second
    differences d, bias is finite when Σ_k k·v₋ₖ = Σ_k k·l_k =: c₀ and is then Σ c_j d_j, so B = M Σ|c_j|, with
    c_j = Σ_{k>j} (k−j) l_k after and c_j = Σ_{k>j} (k−j) v₋ₖ before the base. The half-length is convex in the c_j before the base:
    σ is least for given Σ|c_j| on a path of non-negative least squares, and the half-length has one minimum along that path.

    Examples
    --------
    One period before and one after, straight-line violations: the estimate is β₀ + β₋₂.

    >>> low, high = smoothness_set([0.1, 0.5], np.diag([0.01, 0.01]), [-2, 0], [1.0], 0.0)
    >>> round(low, 4), round(high, 4)
    (0.3228, 0.8772)
    """
    design = design_of(beta, covariance, event_time, weights, bound, level)
    pre, post, weights = design.pre, len(design.weights), design.weights
    steps = np.arange(1.0, post + 1)
    at_entry = float(weights @ steps)
    later = sum(abs(weights @ np.maximum(steps - j, 0.0)) for j in range(1, post))
    # v₋ₖ is the second difference of c at k: rows farthest period first, columns c₀, c₁, …
    second = np.eye(pre) - 2 * np.eye(pre, k=1) + np.eye(pre, k=2)
    root = np.linalg.cholesky(design.covariance).T
    load = root @ np.vstack([second[::-1], np.zeros((post, pre))])
    fixed = load[:, 0] * at_entry + root[:, pre:] @ weights

    def interval(c: np.ndarray) -> tuple[float, float]:
        sd = float(np.linalg.norm(fixed + load[:, 1:] @ c))
        bias = bound * (abs(at_entry) + later + np.abs(c).sum())
        v = np.concatenate([(second @ np.append(at_entry, c))[::-1], weights])
        return sd * folded_quantile(bias / sd, level), float(v @ design.beta)

    half, centre = min(interval(c) for c in _frontier(load[:, 1:], fixed, lambda c: interval(c)[0], bound))
    return centre - half, centre + half


def _frontier(load: np.ndarray, fixed: np.ndarray, length, bound: float) -> list[np.ndarray]:
    """Candidates for the shortest interval: least variance, least bias, and the best between them."""
    free = np.linalg.lstsq(load, -fixed, rcond=None)[0]
    if load.shape[1] == 0 or bound == 0:
        return [free]
    n = load.shape[1]
    scale = np.linalg.norm(load) ** 2 / n

    def at(log_price: float) -> np.ndarray:
        price = np.full((1, 2 * n), np.sqrt(scale) * np.exp(log_price / 2))
        c = nnls(np.vstack([np.hstack([load, -load]), price]), np.append(-fixed, 0.0))[0]
        return c[:n] - c[n:]

    grid = np.linspace(-20, 20, 41)  # a grid first: far out the length is flat and would mislead a search
    best = int(np.argmin([length(at(g)) for g in grid]))
    ends = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(lambda g: length(at(g)), bounds=ends, method="bounded", options={"xatol": 1e-9})
    return [free, np.zeros(n), at(grid[best]), at(found.x)]


def folded_quantile(shift: float, level: float) -> float:
    """The `level` quantile of |N(shift, 1)|.

    >>> round(folded_quantile(0.0, 0.95), 6), round(folded_quantile(5.0, 0.95) - 5, 6)
    (1.959964, 1.644854)
    """
    shift = abs(shift)
    low, high = shift + stats.norm.ppf(level), shift + stats.norm.ppf((1 + level) / 2)

    def short(c):
        return ndtr(c - shift) - ndtr(-c - shift) - level

    if short(low) >= 0:
        return float(low)
    return float(high) if short(high) <= 0 else brentq(short, low, high, xtol=1e-14)


def relative_magnitude_set(beta, covariance, event_time, weights, bound: float, level: float = 0.95) -> tuple[float, float]:
    """The confidence set for θ when no step of δ after the base exceeds `bound` times the largest step before it.

    Parameters
    ----------
    beta, covariance, event_time, weights, level
        As in `smoothness_set`.
    bound : float
        M̄ ≥ 0: |δ_{t+1} − δ_t| ≤ M̄ max_s |δ_{s+1} − δ_s|, t from the base on, s before it. At 0 trends are parallel after the base
        and the set is the ordinary interval.

    Returns
    -------
    (float, float)
        The hull of the accepted values.

    Raises
    ------
    DesignError, EstimationError
        As in `smoothness_set`.

    Notes
    -----
    Rambachan and Roth (2023), sections 2.3 and 3; Andrews, Roth and Pakes (2023), hybrid of the conditional and the least
    favourable test with κ = (1 − level)/10. The restriction is a union, over the largest step s and its sign, of polyhedra
    ±D_t δ ≤ M̄ x, x = ±D_s δ; a value is in the set when one of them accepts it. With free τ the dual of the test's linear programme
    has its vertices in closed form: with g_t = Σ_{k≥t} l_k they are the moments ±(l′β − θ) ≤ M̄ Σ|g_t| x, and 0 ≤ 2M̄ x once a step.
    So the test reads two normal variables only, its least favourable critical value is a one-dimensional integral and nothing is
    simulated. The ends are found by bisection.

    Examples
    --------
    >>> low, high = relative_magnitude_set([0.1, 0.5], np.diag([0.01, 0.01]), [-2, 0], [1.0], 1.0)
    >>> round(low, 4), round(high, 4)
    (0.164, 0.836)
    """
    design = design_of(beta, covariance, event_time, weights, bound, level)
    if bound == 0:
        loading = np.append(np.zeros(design.pre), design.weights)
        half = float(stats.norm.ppf((1 + level) / 2) * np.sqrt(loading @ design.covariance @ loading))
        centre = float(loading @ design.beta)
        return centre - half, centre + half
    found = [
        ends for s in range(design.pre) for sign in (1.0, -1.0) if (ends := accepted(moments_of(design, s, sign, bound), level))
    ]
    return min(low for low, _ in found), max(high for _, high in found)


SETS = {"smoothness": smoothness_set, "relative_magnitude": relative_magnitude_set}


def breakdown(
    kind: Literal["smoothness", "relative_magnitude"], beta, covariance, event_time, weights, level: float = 0.95
) -> float:
    """The bound up to which the set excludes zero: how large violations may be before the sign of θ is open.

    0 when the set at bound 0 holds zero; infinite when zero stays outside at 2²⁰ (relative magnitudes) or 2²⁰ standard errors of θ
    (smoothness).

    >>> round(breakdown("relative_magnitude", [0.1, 0.5], np.diag([0.01, 0.01]), [-2, 0], [1.0]), 3)
    1.705
    """
    confidence_set = SETS[kind]

    def clear(bound: float) -> float:
        low, high = confidence_set(beta, covariance, event_time, weights, bound, level)
        return max(low, -high)

    if clear(0.0) <= 0:
        return 0.0
    loading = np.append(np.zeros(len(beta) - len(weights)), weights)
    scale = 1.0 if kind == "relative_magnitude" else float(np.sqrt(loading @ np.asarray(covariance) @ loading))
    inner, outer = 0.0, scale
    for _ in range(DOUBLINGS):
        if clear(outer) <= 0:
            return float(brentq(clear, inner, outer, xtol=1e-9 * scale, rtol=1e-9))
        inner, outer = outer, 2 * outer
    return np.inf
