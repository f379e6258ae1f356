"""The test of Andrews, Roth and Pakes (2023) that one value of an effect agrees with violations of bounded steps.

Symbols as in `honest_design`; D takes first differences of δ through the base period.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri_exp

from .honest_design import Design

NODES, MASS = np.polynomial.legendre.leggauss(100)


class Moments(NamedTuple):
    """One polyhedron at θ = 0: it holds when every `loading` @ (l′β − θ, x) has a mean of at most 0.

    `point` is the estimate of (l′β, x), `covariance` theirs. The first two rows of `loading` (rows, 2) bound θ below and above.
    """

    point: np.ndarray
    covariance: np.ndarray
    loading: np.ndarray


def moments_of(design: Design, s: int, sign: float, bound: float) -> Moments:
    """The dual vertices when the largest step before the base is step `s`, of this sign."""
    rows = len(design.beta)
    levels = np.insert(np.eye(rows), design.pre, 0.0, axis=0)
    steps = np.diff(levels, axis=0)
    before, after = sign * steps[s], steps[design.pre :]
    target = np.append(np.zeros(design.pre), design.weights)
    up, down = (np.sqrt(_quadratic(k * after - bound * before, design.covariance)) for k in (1.0, -1.0))
    tail = np.cumsum(design.weights[::-1])[::-1]
    plus, minus = np.maximum(tail, 0), np.maximum(-tail, 0)
    reach = bound * np.abs(tail).sum()
    both = np.column_stack([np.zeros(len(up)), -2 * bound / (up + down)])
    low = np.array([1.0, -reach]) / (plus @ up + minus @ down)
    high = np.array([-1.0, -reach]) / (plus @ down + minus @ up)
    pair = np.stack([target, before])
    return Moments(pair @ design.beta, pair @ design.covariance @ pair.T, np.vstack([low, high, both]))


def _quadratic(rows: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    return np.einsum("ij,jk,ik->i", rows, covariance, rows)


def least_favourable(moments: Moments, probability: float) -> float:
    """The quantile of the largest moment when all means are 0, from the integral over x of the normal law of l′β given x."""
    (var_y, cov), (_, var_x) = moments.covariance
    low, high, both = moments.loading[0], moments.loading[1], moments.loading[2:, 1]
    sd_x, slope = np.sqrt(var_x), cov / var_x
    spread = np.sqrt(max(var_y - cov * slope, 0.0)) + 1e-300

    def short(c: float) -> float:
        start, stop = max(c / both.min(), -9 * sd_x), 9 * sd_x
        x = start + (NODES + 1) / 2 * (stop - start)
        top, bottom = (c - low[1] * x) / low[0], (c - high[1] * x) / high[0]
        inside = ndtr((top - slope * x) / spread) - ndtr((bottom - slope * x) / spread)
        density = np.exp(-((x / sd_x) ** 2) / 2) / (sd_x * np.sqrt(2 * np.pi))
        return float((MASS * density * np.maximum(inside, 0)).sum() * (stop - start) / 2) - probability

    return brentq(short, 0.0, 10.0, xtol=1e-10)  # no moment has a standard deviation above 1


def accepts(moments: Moments, theta: np.ndarray, critical: float, level: float) -> np.ndarray:
    """Which values of θ (bool) the hybrid test does not reject; `critical` is the least favourable critical value."""
    size, kappa = 1 - level, (1 - level) / 10
    values = moments.loading @ (moments.point[:, None] - np.stack([theta, np.zeros_like(theta)]))
    largest, star = values.max(axis=0), values.argmax(axis=0)
    joint = moments.loading @ moments.covariance @ moments.loading.T
    variance = joint[star, star]
    ratio = joint[:, star] / variance
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = (values - ratio * largest) / (1 - ratio)
    floor = np.where(ratio < 1 - 1e-9, crossing, -np.inf).max(axis=0)
    ceiling = np.minimum(np.where(ratio > 1 + 1e-9, crossing, np.inf).min(axis=0), critical)
    sd = np.sqrt(variance)
    quantile = _truncated_quantile(1 - (size - kappa) / (1 - kappa), floor / sd, ceiling / sd)
    return (largest <= critical) & (largest / sd <= np.maximum(quantile, 0))


def _truncated_quantile(probability: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Quantile of a standard normal between `low` and `high`, from logarithms of upper tails."""
    tail = np.logaddexp(np.log1p(-probability) + log_ndtr(-low), np.log(probability) + log_ndtr(-high))
    return -ndtri_exp(np.minimum(tail, -1e-300))


def accepted(moments: Moments, level: float) -> tuple[float, float] | None:
    """The outermost values that one polyhedron accepts; None when it accepts none."""
    critical = least_favourable(moments, 1 - (1 - level) / 10)
    y, x = moments.point
    # beyond these values, or if x is too far below 0, the least favourable test rejects alone
    low, high = (y - (critical - row[1] * x) / row[0] for row in moments.loading[:2])
    if low >= high or (moments.loading[2:, 1] * x > critical).any():
        return None
    grid = np.linspace(low, high, 401)
    inside = np.flatnonzero(accepts(moments, grid, critical, level))
    if len(inside) == 0:
        return None
    step = grid[1] - grid[0]

    def edge(within: float, towards: float) -> float:
        """The last accepted value between one that is accepted and the next of the grid."""
        for _ in range(6):
            points = np.linspace(towards, within, 65)
            k = int(np.argmax(accepts(moments, points, critical, level)))  # the innermost is accepted
            within, towards = points[k], points[max(k - 1, 0)]
        return float(within)

    return edge(grid[inside[0]], grid[inside[0]] - step), edge(grid[inside[-1]], grid[inside[-1]] + step)
