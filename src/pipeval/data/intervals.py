"""Intervals for shares, means and differences: the one place where what is counted or averaged gets its confidence limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import norm, t


def wilson(k, n, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the Wilson score interval for each share ``k / n``.

    Parameters
    ----------
    k, n
        Numbers of successes and of trials: scalars or arrays of one shape.
    level
        Confidence level, above 0 and below 1.

    Returns
    -------
    tuple of numpy.ndarray
        Low and high limits as shares in [0, 1]; NaN where ``n`` is 0 or missing or ``k`` is missing.

    Notes
    -----
    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22. Unlike
    the textbook interval it never leaves [0, 1] and keeps a width when the share is 0 or 1.

    Examples
    --------
    >>> low, high = wilson([0, 5], [10, 10])
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([0.0, 0.2366], [0.2775, 0.7634])
    """
    k, n = np.broadcast_arrays(np.asarray(k, dtype=float), np.asarray(n, dtype=float))
    n = np.where(n > 0, n, np.nan)
    z2 = norm.ppf(0.5 + level / 2) ** 2
    share = k / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    low, high = np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)
    return np.where(share == 0, 0.0, low)[()], np.where(share == 1, 1.0, high)[()]  # exactly, whatever the rounding


def with_share(table: pd.DataFrame, k: str | pd.Series, n: str | pd.Series, level: float) -> pd.DataFrame:
    """The table with `share` (`k` over `n`, its columns or other counts) and its Wilson limits `share_low, share_high`.

    NaN where `n` is 0 or either is missing.

    >>> with_share(pd.DataFrame({"k": [5, 0], "n": [10, 0]}), "k", "n", 0.95).round(4).iloc[0, 2:].tolist()
    [0.5, 0.2366, 0.7634]
    """
    top, bottom = ((table[c] if isinstance(c, str) else c).astype(float) for c in (k, n))
    low, high = wilson(top.to_numpy(), bottom.to_numpy(), level)
    return table.assign(share=top / bottom.where(bottom > 0), share_low=low, share_high=high)


def mean_interval(values: pd.Series, level: float) -> tuple[float, float, float]:
    """Mean of the values that are known, and its limits by Student's t; the limits are NaN under two values or without spread.

    >>> [round(x, 4) for x in mean_interval(pd.Series([1.0, 2.0, 3.0]), 0.95)]
    [2.0, -0.4841, 4.4841]
    """
    known = values.dropna()
    n, mean = len(known), known.mean()
    half = t.ppf(0.5 + level / 2, n - 1) * known.std(ddof=1) / np.sqrt(n) if n > 1 and known.nunique() > 1 else np.nan
    return float(mean), float(mean - half), float(mean + half)


def welch(one: pd.Series, other: pd.Series, level: float) -> tuple[float, float, float, float]:
    """Mean of one group less that of another, its limits and the p-value of no difference (Welch 1947).

    The limits and the p-value are NaN where a group has fewer than two values or neither varies.

    >>> [round(x, 4) for x in welch(pd.Series([1.0, 2.0, 3.0]), pd.Series([2.0, 4.0]), 0.95)]
    [-1.0, -6.977, 4.977, 0.4921]
    """
    difference, counts = float(one.mean() - other.mean()), np.array([len(one), len(other)])
    if counts.min() < 2 or max(one.nunique(), other.nunique()) < 2:
        return difference, np.nan, np.nan, np.nan
    parts = np.array([one.var(), other.var()]) / counts
    error, freedom = np.sqrt(parts.sum()), parts.sum() ** 2 / (parts**2 / (counts - 1)).sum()
    half = t.ppf(0.5 + level / 2, freedom) * error
    return difference, float(difference - half), float(difference + half), float(2 * t.sf(abs(difference) / error, freedom))
