"""The wild cluster bootstrap of one contrast of a linear regression: p-values and, by inverting the test, intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from ..errors import DesignError
from .cluster_errors import Fit

BLOCK = 4_000_000  # multipliers held at once
TIE = 1e-10  # two statistics closer than this share are the same number
WEBB = np.sqrt(np.array([1.5, 1.0, 0.5, 0.5, 1.0, 1.5])) * np.array([-1, -1, -1, 1, 1, 1])
RADEMACHER = np.array([-1.0, 1.0])
LAWS = {"rademacher": RADEMACHER, "webb": WEBB}


class _Draws(NamedTuple):
    """Each draw as a function of δ = null − estimate: its numerator n0 + n1 δ and its variance v0 + v1 δ + v2 δ²."""

    n0: np.ndarray
    n1: np.ndarray
    v0: np.ndarray
    v1: np.ndarray
    v2: np.ndarray


def wild_bootstrap(
    fit: Fit,
    null: float = 0.0,
    law: Literal["rademacher", "webb"] = "rademacher",
    restricted: bool = True,
    draws: int = 9999,
    seed: int = 20031121,
    level: float = 0.95,
) -> dict:
    """The p-value that the contrast is `null` and the interval of all values that are not rejected.

    Parameters
    ----------
    fit : Fit
        From `cluster_errors.fitted`.
    null : float
        The value tested.
    law : str
        Multipliers of the clusters' residuals: `rademacher` ±1, or Webb's (2023) six values, for fewer than about ten clusters.
    restricted : bool
        Residuals of the fit in which the contrast is `null` (WCR, the better one); else those of the fit itself (WCU).
    draws : int
        Draws; where the law has no more combinations than that over the clusters, each is taken once.
    seed : int
        Of the draws.
    level : float
        Of the interval.

    Returns
    -------
    dict
        `p_value`, `statistic` (by CR1 with G/(G−1)), `conf_low, conf_high` (of the convex hull of what is not rejected), `draws`,
        `enumerated`, `reason` (why the interval is NaN; empty otherwise).

    Raises
    ------
    DesignError
        For another law, or without draws.

    Notes
    -----
    Cameron, Gelbach and Miller (2008); computed from sums by cluster as in Roodman, MacKinnon, Nielsen and Webb (2019, section
    5). The p-value is the share of draws with |t*| > |t|; those that tie with the sample (all multipliers alike) do not
    count, but it is never below the least that draws can tell: the share of those ties, or 1/(draws + 1). Interval bounds are
    found by bisection to 1e-9 of a standard error. With few treated clusters WCR rejects too seldom and WCU too often (MacKinnon
    and Webb 2017).

    Examples
    --------
    >>> import numpy as np
    >>> from pipeval.did.cluster_errors import fitted
    >>> d = np.repeat([0.0, 1.0], 8)
    >>> y = np.array([1.0, 2, 2, 3, 1, 2, 3, 2, 4, 5, 3, 6, 4, 5, 5, 4])
    >>> fit = fitted(y, np.column_stack([np.ones(16), d]), np.ones(16), np.repeat(np.arange(8), 2), np.array([0.0, 1.0]))
    >>> found = wild_bootstrap(fit)
    >>> found["draws"], found["p_value"], round(found["statistic"], 3)
    (256, 0.0078125, 9.354)
    """
    if law not in LAWS or draws < 1:
        raise DesignError(f"the bootstrap takes at least one draw of {' or '.join(LAWS)}; found {draws} of '{law}'")
    groups = len(fit.starts)
    values = LAWS[law]
    enumerated = groups * np.log(len(values)) <= np.log(draws) + TIE
    count = len(values) ** groups if enumerated else draws
    drawn = _drawn(fit, values, count, enumerated, seed)
    if not restricted:
        drawn = drawn._replace(n1=np.zeros(count), v1=np.zeros(count), v2=np.zeros(count))
    variance = _sample_variance(fit)
    least = len(values) / count if enumerated and restricted else 1 / (count + 1)

    def p_value(delta: float) -> float:
        tested = drawn.n0 + drawn.n1 * delta
        spread = drawn.v0 + drawn.v1 * delta + drawn.v2 * delta**2
        beyond = tested**2 * variance > delta**2 * spread * (1 + TIE)
        return max(float(beyond.mean()), least)

    std_error = float(np.sqrt(variance))
    low, high, reason = _inverted(p_value, std_error, level, least)
    return {
        "p_value": p_value(null - fit.estimate),
        "statistic": (fit.estimate - null) / std_error,
        "conf_low": fit.estimate + low,
        "conf_high": fit.estimate + high,
        "draws": count,
        "enumerated": bool(enumerated),
        "reason": reason,
    }


def _sums(fit: Fit, values: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values, fit.starts, axis=0)


def _sample_variance(fit: Fit) -> float:
    groups = len(fit.starts)
    return float((_sums(fit, fit.w * fit.z * fit.residual) ** 2).sum() * groups / (groups - 1))


def _drawn(fit: Fit, values: np.ndarray, count: int, enumerated: bool, seed: int) -> _Draws:
    """The draws, a block at a time.

    With s_g the clusters' sums of w z u, t_g those of w x u and b_g those of w z x, a draw v has numerator Σ v s, T = Σ v t, and
    cluster sums v_g s_g − b_g′T, the columns of x being orthonormal. Residuals under the null are u − δ z / Σ w z², so all of
    them are linear in δ.
    """
    groups = len(fit.starts)
    wz = fit.w * fit.z
    moved = -fit.z / (wz @ fit.z)
    s = np.column_stack([_sums(fit, wz * fit.residual), _sums(fit, wz * moved)])
    b = _sums(fit, fit.x * wz[:, None])
    t = [_sums(fit, fit.x * (fit.w * u)[:, None]) for u in (fit.residual, moved)]
    linear = np.hstack([s, *t, s[:, :1] * b, s[:, 1:] * b])
    squares = np.column_stack([s[:, 0] ** 2, 2 * s[:, 0] * s[:, 1], s[:, 1] ** 2])
    meat = b.T @ b
    k = b.shape[1]
    parts = []
    for v in _multipliers(values, groups, count, enumerated, seed):
        sums = v @ linear
        one, two, first, second = (sums[:, 2 + j * k : 2 + (j + 1) * k] for j in range(4))
        own = (v**2) @ squares
        v0 = own[:, 0] - 2 * (first * one).sum(1) + ((one @ meat) * one).sum(1)
        v1 = own[:, 1] - 2 * (first * two + second * one).sum(1) + 2 * ((one @ meat) * two).sum(1)
        v2 = own[:, 2] - 2 * (second * two).sum(1) + ((two @ meat) * two).sum(1)
        factor = groups / (groups - 1)
        parts.append(np.vstack([sums[:, 0], sums[:, 1], factor * v0, factor * v1, factor * v2]))
    return _Draws(*np.hstack(parts))


def _multipliers(values: np.ndarray, groups: int, count: int, enumerated: bool, seed: int) -> Iterator[np.ndarray]:
    """Blocks (draws, groups) of multipliers: every combination once, or at random."""
    rng = np.random.default_rng(seed)
    size = max(BLOCK // groups, 1)
    for start in range(0, count, size):
        end = min(start + size, count)
        if enumerated:
            place = len(values) ** np.arange(groups)
            yield values[np.arange(start, end)[:, None] // place % len(values)]
        else:
            yield values[rng.integers(0, len(values), (end - start, groups))]


def _inverted(p_value, std_error: float, level: float, least: float) -> tuple[float, float, str]:
    """The ends, as distances from the estimate, of what a test at 1 − level does not reject."""
    alpha = 1 - level
    if least > alpha:
        return np.nan, np.nan, f"the draws tell no p-value below {least:.3g} apart: too few clusters for an interval at {level:g}"
    ends = []
    for side in (-1.0, 1.0):
        reach = 2.0
        while p_value(side * reach * std_error) > alpha and reach < 2**40:
            reach *= 2
        if reach >= 2**40:
            return np.nan, np.nan, "no value, however far, is rejected: too few treated clusters for an interval"
        grid = side * std_error * np.linspace(0, reach, 65)
        inside = max(j for j in range(65) if j == 0 or p_value(grid[j]) > alpha)
        accepted, rejected = grid[inside], grid[inside + 1]
        while abs(rejected - accepted) > 1e-9 * std_error:
            middle = (accepted + rejected) / 2
            accepted, rejected = (middle, rejected) if p_value(middle) > alpha else (accepted, middle)
        ends.append((accepted + rejected) / 2)
    return ends[0], ends[1], ""
