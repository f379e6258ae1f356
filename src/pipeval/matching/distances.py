"""Covariate distances as points: rows mapped so that their Euclidean distance is the distance asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from ..errors import DesignError, some
from .design_matrix import in_range

_RANK_TOLERANCE = 1e-9  # an eigenvalue below this share of the largest is none: a column that others determine
_BLOCK = 1 << 12  # firms handled at once, so that they stay in the processor's cache


def whiten(
    x: np.ndarray,
    kind: Literal["mahalanobis", "robust_mahalanobis", "scaled_euclidean"],
    treated: np.ndarray,
    names: Sequence[str] = (),
) -> np.ndarray:
    """The rows of `x` as points whose Euclidean distance is the distance `kind`.

    Parameters
    ----------
    x : array (n, p)
        One row a firm, finite numbers; a column of categories enters as one indicator a level, all levels.
    kind : str
        mahalanobis: √((a − b)′ S⁻¹ (a − b)), S the covariance within the two arms, pooled with divisor n − 2 (Rubin 1980).
        robust_mahalanobis: the same of the columns' ranks over both arms (ties share their mean rank), S the covariance of the
        ranks rescaled so that each variance is that of untied ranks: a rare indicator does not outweigh a common one, and an
        outlier does not inflate the variance of its column (Rosenbaum 2010, chapter 8).
        scaled_euclidean: each column over its standard deviation within the two arms.
    treated : array (n,) of bool
        The arm of each firm.
    names : sequence of str, optional
        Names of the columns of `x`, for messages.

    Returns
    -------
    array (n, q)
        q is the rank of S: columns that others determine add nothing, nor do columns that do not vary. Equal rows become equal
        points to the last bit. Where nothing varies, one column of zeros: every firm is as near as any other.

    Raises
    ------
    DesignError
        When a column is constant within both arms and differs between them: S knows no unit for it. Ranks over both arms do.

    Examples
    --------
    >>> x = np.array([[0.0, 5.0], [2.0, 5.0], [0.0, 5.0], [2.0, 5.0]])
    >>> whiten(x, "scaled_euclidean", np.array([True, True, False, False])).round(3).tolist()
    [[0.0], [1.414], [0.0], [1.414]]
    """
    x = np.array(x, dtype=float, order="F")
    treated = np.asarray(treated, bool)
    if kind == "robust_mahalanobis":
        x = np.asfortranarray(stats.rankdata(x, axis=0)) if len(x) else x
        moments, untied = _covariance(x, np.ones((len(x), 1))), len(x) * (len(x) + 1) / 12
        scale = np.sqrt(_inverse(np.diag(moments)) * untied)
        return _project(x, _root(moments * scale * scale[:, None]))
    for j, column in enumerate(x.T):
        x[:, j] = in_range(column)[0]
    moments = _covariance(x, np.column_stack([treated, ~treated]))
    scale = np.sqrt(_inverse(np.diag(moments)))
    _refuse_telling(x, scale == 0, names)
    if kind == "scaled_euclidean" and scale.any():
        return x[:, scale > 0] * scale[scale > 0]
    # in standard deviations: a column's unit decides nothing about the rank
    return _project(x * scale, _root(moments * scale * scale[:, None]))


def _refuse_telling(x: np.ndarray, flat: np.ndarray, names: Sequence[str]) -> None:
    """Raise when a column that is `flat` within the arms is not so between them."""
    telling = [j for j in np.flatnonzero(flat) if len(x) and np.ptp(x[:, j]) > 0]
    if telling:
        raise DesignError(
            "a covariate of the distance must vary within an arm; constant in both and different between them: "
            f"{some([names[j] for j in telling] if len(names) else telling, 'column')}. "
            "No control is near any treated firm in it: merge its levels, or leave it out"
        )


def _covariance(x: np.ndarray, arms: np.ndarray) -> np.ndarray:
    """The covariance of the columns around the means of each arm, with divisor n less the number of arms that hold a firm."""
    around, filled = np.zeros_like(x), 0
    for arm in arms.T.astype(bool):
        filled += bool(arm.any())
        for j in range(x.shape[1] if arm.any() else 0):
            column = x[arm, j]
            around[arm, j] = column - column.mean() if np.ptp(column) > 0 else 0.0  # else the mean may miss it by a rounding
    p = x.shape[1]
    moments = np.zeros((p, p))
    for a in range(p):
        for b in range(a, p):
            moments[a, b] = moments[b, a] = (around[:, a] * around[:, b]).sum()
    return moments / max(len(x) - filled, 1)


def _inverse(variance: np.ndarray) -> np.ndarray:
    return np.divide(1.0, variance, out=np.zeros_like(variance), where=variance > 0)


def _root(moments: np.ndarray) -> np.ndarray:
    """A matrix (p, q) whose product with its transpose is the generalised inverse of `moments`."""
    value, vector = np.linalg.eigh(moments)
    kept = value > _RANK_TOLERANCE * max(value.max(initial=0.0), 0.0)
    return vector[:, kept] / np.sqrt(value[kept])


def _project(x: np.ndarray, root: np.ndarray) -> np.ndarray:
    points = np.zeros((len(x), max(root.shape[1], 1)))
    for start in range(0, len(x), _BLOCK):
        rows = x[start : start + _BLOCK]
        for k in range(root.shape[1]):
            place = np.zeros(len(rows))
            for j in range(x.shape[1]):
                place += rows[:, j] * root[j, k]  # not a matrix product, whose rounding depends on the row
            points[start : start + _BLOCK, k] = place
    return points
