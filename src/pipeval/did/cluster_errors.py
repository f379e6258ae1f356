"""Cluster standard errors of one contrast of a linear regression when clusters are few, with their degrees of freedom.

Legend: `y` outcome, `x` columns (n, k), `w` weights taken as known, `codes` whole numbers of the clusters, `contrast` (k,): what
is estimated is contrast @ beta. A fit keeps its columns orthonormal, X′WX = I, so that H = XX′W; Ω = X′W²X. Nothing here is rows
× rows, nor a cluster's size squared.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np

from ..errors import DesignError, EstimationError
from .kernel import CellError, refuse_collinear

Kind = Literal["CR0", "CR1", "CR2", "CR3"]
REPEATED = 1e-13  # a direction of a cluster's columns smaller than this, squared and beside the others, repeats them
NO_LEVERAGE_LEFT = 1e-10  # an eigenvalue of I − H at or below this is zero: the cluster determines a coefficient alone


class Fit(NamedTuple):
    """A weighted least squares fit and the contrast in it, rows in order of their cluster.

    `order` sorts the given rows; `starts` begins each cluster; `x` are the columns made orthonormal, X′WX = I, and `beta` and
    `contrast` are in their terms; `z` = X·contrast, so that estimate − truth = Σ w z ε.
    """

    order: np.ndarray
    starts: np.ndarray
    x: np.ndarray
    w: np.ndarray
    residual: np.ndarray
    z: np.ndarray
    contrast: np.ndarray
    beta: np.ndarray
    estimate: float


def fitted(y: np.ndarray, x: np.ndarray, w: np.ndarray, codes: np.ndarray, contrast: np.ndarray) -> Fit:
    """The fit behind every row of a table of few-cluster inference; rows without weight leave.

    Raises
    ------
    DesignError
        With fewer than three clusters.
    EstimationError
        When a column is determined by others.
    """
    codes = np.unique(codes[w > 0], return_inverse=True)[1]
    groups = int(codes.max()) + 1 if len(codes) else 0
    if groups <= 2:
        raise DesignError(
            f"inference needs at least three clusters; found {groups}: one gives no variance, two an interval 6 times too wide "
            "to say anything. Cluster by firm or more finely"
        )
    order = np.flatnonzero(w > 0)[np.argsort(codes, kind="stable")]
    y, x, w, codes = y[order].astype(float), x[order].astype(float), w[order].astype(float), np.sort(codes)
    root = np.sqrt(w)
    try:
        refuse_collinear((x * w[:, None]).T @ x)
    except CellError as error:
        raise EstimationError(
            f"columns {list(error.columns)} of the regression are constant or determined by others: {x.shape[1]} columns, "
            f"{len(y)} rows. Use fewer covariates"
        ) from None
    q, r = np.linalg.qr(x * root[:, None])
    beta, contrast = q.T @ (root * y), np.linalg.solve(r.T, contrast)
    x = q / root[:, None]
    starts = np.searchsorted(codes, np.arange(groups))
    return Fit(order, starts, x, w, y - x @ beta, x @ contrast, contrast, beta, float(contrast @ beta))


def cluster_errors(
    y: np.ndarray, x: np.ndarray, w: np.ndarray, codes: np.ndarray, contrast: np.ndarray, kind: Kind = "CR2"
) -> tuple[float, float, float]:
    """Estimate, standard error and Satterthwaite degrees of freedom of contrast @ beta.

    Parameters
    ----------
    y, w, codes : array (n,)
        Outcome, weights at least 0 and taken as known, cluster of each row.
    x : array (n, k)
        Columns of full rank, the constant among them where there is one.
    contrast : array (k,)
        The combination of coefficients.
    kind : str
        `CR0` sums of residuals as they are (Liang and Zeger 1986); `CR1` times √(G/(G−1)); `CR2` residuals scaled by
        (I − H)^−½ of their cluster, unbiased when errors are alike and independent (Bell and McCaffrey 2002); `CR3` by
        (I − H)⁻¹, close to leaving a cluster out.

    Raises
    ------
    DesignError
        With fewer than three clusters, or another kind.
    EstimationError
        When a column is determined by others.

    Notes
    -----
    Pustejovsky and Tipton (2018), equations 4–11, with errors alike and independent as working model: CR2 solves
    A (I−H)(I−H)′ A = I in each cluster by the symmetric pseudo-inverse, so that a cluster which determines a coefficient alone is
    no obstacle. df = (tr P)²/tr P², P the variance of the cluster sums under the working model, which is diagonal plus rank 2k.

    Examples
    --------
    >>> import numpy as np
    >>> y, d = np.array([1.0, 2, 3, 5, 6, 7]), np.array([0.0, 0, 0, 1, 1, 1])
    >>> x = np.column_stack([np.ones(6), d])
    >>> estimate, se, df = cluster_errors(y, x, np.ones(6), np.arange(6), np.array([0.0, 1.0]))
    >>> round(estimate, 3), round(se, 3), round(df, 3)  # CR2 on single rows: Welch's t
    (4.0, 0.816, 4.0)
    """
    fit = fitted(y, x, w, codes, contrast)
    std_error, df = fit_errors(fit, kind)
    return fit.estimate, std_error, df


def fit_errors(fit: Fit, kind: Kind) -> tuple[float, float]:
    """Standard error and Satterthwaite degrees of freedom of a fit; see `cluster_errors`."""
    if kind not in get_args(Kind):
        raise DesignError(f"kind is one of {', '.join(get_args(Kind))}; found '{kind}'")
    groups = len(fit.starts)
    p = fit.w * fit.z
    if kind == "CR1":
        p = p * np.sqrt(groups / (groups - 1))
    elif kind in ("CR2", "CR3"):
        p = _adjusted(fit, p, kind)
    variance = float((np.add.reduceat(p * fit.residual, fit.starts) ** 2).sum())
    diagonal = np.add.reduceat(p**2, fit.starts)
    a = np.add.reduceat(fit.x * p[:, None], fit.starts)
    b = np.add.reduceat(fit.x * (fit.w * p)[:, None], fit.starts)
    wide, low_rank = np.hstack([a, b]), _left_over(fit)
    inside = ((wide @ low_rank) * wide).sum(axis=1)
    crossed = low_rank @ (wide.T @ wide)
    trace = (diagonal + inside).sum()
    squares = (diagonal**2 + 2 * diagonal * inside).sum() + np.trace(crossed @ crossed)
    return float(np.sqrt(variance)), float(trace**2 / squares)


def _left_over(fit: Fit) -> np.ndarray:
    """C of (I − H)(I − H)′ = I + ZCZ′ with Z = (X, WX): Ω, the variance of beta under the working model, and −I beside it."""
    weighted = fit.x * fit.w[:, None]
    meat, one = weighted.T @ weighted, np.eye(weighted.shape[1])
    return np.block([[meat, -one], [-one, 0 * one]])


def _adjusted(fit: Fit, p: np.ndarray, kind: Kind) -> np.ndarray:
    """The rows of `p` times their cluster's adjustment, a cluster at a time; clusters of one row all at once."""
    out = p.copy()
    ends = np.append(fit.starts[1:], len(p))
    k, middle = fit.x.shape[1], _left_over(fit)
    meat = middle[:k, :k]
    middle = -np.eye(k) if kind == "CR3" else middle
    single = fit.starts[ends - fit.starts == 1]
    x, w = fit.x[single], fit.w[single]
    leverage = (x**2).sum(axis=1) * w
    left = 1 - leverage if kind == "CR3" else 1 - 2 * leverage + ((x @ meat) * x).sum(axis=1)
    out[single] *= _power(left, kind)
    for start, end in zip(fit.starts, ends, strict=True):
        if end - start > 1:
            rows = slice(start, end)
            out[rows] = _cluster_adjusted(fit.x[rows], fit.w[rows], p[rows], middle, kind)
    return out


def _cluster_adjusted(x, w, p, middle, kind: Kind) -> np.ndarray:
    """One cluster: I − H is the identity but in the few directions that its columns span, so only those are decomposed."""
    if kind == "CR3":  # √W (I − H) W^−½ is symmetric
        root = np.sqrt(w)
        return root * _along(x * root[:, None], middle, p / root, kind)
    return _along(np.hstack([x, x * w[:, None]]), middle, p, kind)


def _along(z: np.ndarray, middle: np.ndarray, p: np.ndarray, kind: Kind) -> np.ndarray:
    """(I + ZCZ′) to the power of the kind, times p, through Z′Z: rows are read twice and never decomposed."""
    gram = z.T @ z
    scale = np.sqrt(np.diag(gram))
    scale[scale == 0] = 1.0
    size, axes = np.linalg.eigh(gram / np.outer(scale, scale))
    kept = size > REPEATED
    axes = axes[:, kept] / scale[:, None]
    basis = axes / np.sqrt(size[kept])  # Z @ basis is orthonormal
    held = gram @ basis
    values, vectors = np.linalg.eigh(held.T @ middle @ held)
    directions = basis @ vectors
    return p + z @ (directions @ ((_power(1 + values, kind) - 1) * (directions.T @ (z.T @ p))))


def _power(values: np.ndarray, kind: Kind) -> np.ndarray:
    """values^−½ (CR2) or values^−1 (CR3); zero where nothing is left, as in a pseudo-inverse."""
    left = values > NO_LEVERAGE_LEFT
    safe = np.where(left, values, 1.0)
    return np.where(left, safe ** (-0.5 if kind == "CR2" else -1.0), 0.0)
