"""Intervals for shares: the one place where a share gets its confidence limits."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm


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
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)
