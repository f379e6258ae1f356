"""The 2×2 difference-in-differences on repeated cross-sections: levels of whoever is seen in either period.

Legend as in `kernel`, one row an observation; `y` the level of the outcome, `late` 1 in the later of the two samples (the
period of the cell), 0 in its base period. A firm seen in both has two rows, whose influences are added afterwards.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from .kernel import fitted_score, least_squares, refuse_lone_weight, score_columns


def two_samples(
    y: np.ndarray,
    late: np.ndarray,
    d: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    method: Literal["dr", "ipw", "reg"] = "dr",
) -> tuple[float, np.ndarray]:
    """The effect on the treated in one cell and each observation's influence on it.

    Parameters
    ----------
    y, late, d, w : array (n,)
        Level of the outcome, sample (1 the cell's period, 0 its base), treated (0/1), positive weights.
    x : array (n, k)
        Covariates, the first column ones; their distribution among the treated is taken to be the same in both samples.

    Returns
    -------
    att : float
        In units of `y`.
    psi : array (n,)
        Influence, divided by n; sums to zero.

    Raises
    ------
    CellError
        As in `kernel.two_by_two`.

    Notes
    -----
    Sant'Anna and Zhao (2020), section 2: `dr` is the locally efficient of their two estimators for cross-sections
    (equation 3.4), with a logit over both samples and a regression for each arm and sample; `reg` and `ipw` its two halves, the
    weights normalised. All are a difference between the samples of "treated minus what they would have been".

    Examples
    --------
    >>> import numpy as np
    >>> y, late = np.array([1.0, 2, 5, 6, 1, 3, 2, 4]), np.array([0.0, 0, 1, 1, 0, 0, 1, 1])
    >>> att, psi = two_samples(y, late, np.repeat([1.0, 0.0], 4), np.ones((8, 1)), np.ones(8))
    >>> float(att), float(psi.sum().round(12))
    (3.0, 0.0)
    """
    ps, score_psi = fitted_score(d, x, w, method)
    odds = w * (1 - d) * ps / (1 - ps)
    gaps = []
    for sample in (late, 1 - late):
        refuse_lone_weight(odds * sample, d, score_columns(x, method))
        gaps.append(_gap(y, sample, d, x, w, (method, odds, score_psi)))
    (after, psi_after), (before, psi_before) = gaps
    return after - before, psi_after - psi_before


def _gap(y, sample, d, x, w, score: tuple) -> tuple[float, np.ndarray]:
    """Treated minus their comparison in one sample, and its influence."""
    method, odds, score_psi = score
    if method == "reg":
        own, own_psi = _mean(y, w * d * sample)
        other, other_psi = _predicted(y, x, w * (1 - d) * sample, w * d)
        return own - other, own_psi - other_psi
    if method == "ipw":
        own, psi = _mean(y, w * d * sample)
        residual = y
    else:
        own_beta, own_ols = least_squares(y, x, w * d * sample)
        beta, ols_psi = least_squares(y, x, w * (1 - d) * sample)
        own, psi = _mean(x @ (own_beta - beta), w * d)
        psi = psi + (own_ols - ols_psi) @ _centre(x, w * d) + ols_psi @ _centre(x, odds * sample)
        residual = y - x @ beta
    other, other_psi = _mean(residual, odds * sample)
    weight = odds * sample
    # the score moves the weights of the comparison firms: ∂mean/∂γ = Σ weight (residual − mean) x / Σ weight
    columns = score_columns(x, method)
    slope = (weight * (residual - other)) @ columns / weight.sum()
    return own - other, psi - other_psi - score_psi @ slope


def _mean(values: np.ndarray, weight: np.ndarray) -> tuple[float, np.ndarray]:
    total = weight.sum()
    mean = float(weight @ values / total)
    return mean, weight * (values - mean) / total


def _centre(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return weight @ x / weight.sum()


def _predicted(y, x, fit: np.ndarray, at: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean over the weights `at` of the regression fitted with the weights `fit`."""
    beta, ols_psi = least_squares(y, x, fit)
    mean, psi = _mean(x @ beta, at)
    return mean, psi + ols_psi @ _centre(x, at)
