"""Arithmetic of money over time: one row a stream, one column a year, the first year undiscounted."""

from __future__ import annotations

import numpy as np

_GRID = np.linspace(np.log(0.01), np.log(101.0), 400)  # ln(1 + rate), from −99 % to 10,000 %


def npv(flows: np.ndarray, rate: float) -> np.ndarray:
    """The present value of each stream in its first year.

    >>> npv(np.array([[-100.0, 121.0]]), 0.10).round(9).tolist()
    [10.0]
    """
    flows = np.atleast_2d(flows)
    return flows @ (1 + rate) ** -np.arange(flows.shape[1], dtype=float)


def rate_of_return(flows: np.ndarray) -> np.ndarray:
    """The rate at which each stream is worth nothing; NaN when no rate does it, or more than one.

    A rate between −99 % and 10,000 % is sought on a grid and refined by bisection.

    >>> rate_of_return(np.array([[-100.0, 60.0, 60.0], [-1.0, -1.0, -1.0], [-100.0, 230.0, -132.0]])).round(4).tolist()
    [0.1307, nan, nan]
    """
    flows = np.atleast_2d(np.asarray(flows, float))
    power = -np.arange(flows.shape[1], dtype=float)
    positive = flows @ np.exp(power[:, None] * _GRID) > 0
    changes = positive[:, 1:] != positive[:, :-1]
    found = changes.sum(axis=1) == 1
    place = changes.argmax(axis=1)
    low, high = _GRID[place].copy(), _GRID[place + 1].copy()
    falling = positive[np.arange(len(flows)), place]
    for _ in range(60):
        middle = (low + high) / 2
        above = (flows * np.exp(power * middle[:, None])).sum(axis=1) > 0
        left = above != falling
        low, high = np.where(left, low, middle), np.where(left, middle, high)
    return np.where(found, np.expm1((low + high) / 2), np.nan)


def payback(flows: np.ndarray) -> np.ndarray:
    """Years from the first until the running sum stays at or above zero; NaN where it ends below.

    >>> payback(np.array([[-100.0, 60.0, 60.0], [-100.0, 10.0, 10.0]])).tolist()
    [2.0, nan]
    """
    below = np.cumsum(np.atleast_2d(flows), axis=1) < 0
    last = below.shape[1] - below[:, ::-1].argmax(axis=1)
    years = np.where(below.any(axis=1), last, 0).astype(float)
    return np.where(below[:, -1], np.nan, years)
