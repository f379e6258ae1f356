"""A weight a firm: by the odds of the score, by entropy balancing, or by a score that balances; with what its estimation costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, optimize, sparse, special

from ..errors import DesignError, EstimationError, Note, warn
from .propensity import (
    LEAST,
    MOST,
    PROBABILITY,
    likelihood_terms,
    propensity,
    refuse_separation,
    slope,
    standardised,
    weighted_gram,
)

Matrix = np.ndarray | sparse.csr_array

_MAX_STEPS = 100
_TOLERANCE = 1e-8  # of every imbalance, in standard deviations
_DEPENDENT = 1e-10  # a moment of which others explain all but this share of its variance says nothing of its own
_SINGULAR = 1e-13  # of the arm's total: less curvature than that in some direction, and the weights run away
_DECREMENT = 1e-16  # of the arm's total: a step that promises no more than that is the last
_CONCENTRATED = 0.1  # of the weight of an arm of more than 20 firms on one
_TREATED, _CONTROLS, _FIRMS = "treated firms", "controls", "firms"


@dataclass(frozen=True, slots=True, eq=False)
class Weighting:
    """Estimated weights, and what an estimator needs to count the cost of their estimation.

    Attributes
    ----------
    weights : array (n,)
        By firm. att: treated 1 and the controls sum to the number of treated; atc the mirror image; ate, ato: each arm sums
        to the number of firms.
    derivative : array (n, k), dense or sparse
        ∂weight / ∂β, of the weight as normalised.
    influence : array (n, k), dense or sparse
        Influence of each firm on the estimated β: estimate − truth ≈ Σᵢ influenceᵢ.
    notes : tuple of Note
        What needs reading.
    """

    weights: np.ndarray
    derivative: Matrix
    influence: Matrix
    notes: tuple[Note, ...] = ()


def ipw(
    treated: np.ndarray,
    x: np.ndarray,
    estimand: str = "att",
    link: str = "logit",
    score: np.ndarray | None = None,
    names: Sequence[str] = (),
) -> Weighting:
    """Weights by the odds of the propensity score.

    Parameters
    ----------
    treated : array (n,) of bool
    x : array (n, p)
        Covariates of the score, without a constant.
    estimand : {"att", "atc", "ate", "ato"}
        With e the score, treated and controls weigh 1 and e / (1 − e); (1 − e) / e and 1; 1 / e and 1 / (1 − e); 1 − e and e
        (overlap weights, Li, Morgan & Zaslavsky 2018), before they are normalised.
    link : {"logit", "probit"}
    score : array (n,), optional
        Probabilities already fitted by maximum likelihood on these very firms, covariates and link.
    names : sequence of str, optional
        Names of the columns of `x`, for messages.

    Raises
    ------
    DesignError, EstimationError
        As `propensity`, where the score is fitted here; EstimationError when a score is 0 or 1.

    Notes
    -----
    β̂ − β ≈ H⁻¹ Σᵢ sᵢ with H the observed information and sᵢ the score of the likelihood.

    Examples
    --------
    >>> x = np.array([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0]])
    >>> ipw(np.array([True, False, False, True, True, False]), x).weights.round(6).tolist()
    [1.0, 0.5, 0.5, 1.0, 1.0, 2.0]
    """
    d, x = _arms(treated, x)
    if score is None:
        linear = propensity(d, pd.DataFrame(x, columns=_names(x, names)), link).linear.to_numpy()
    else:
        score = np.asarray(score, float)
        linear = special.logit(score) if link == "logit" else special.ndtri(score)
    z = standardised(x.T)[0]
    e = PROBABILITY[link](linear)
    rest = PROBABILITY[link](-linear)
    certain = (e <= 2 * LEAST) | (e >= MOST)
    if certain.any():
        raise EstimationError(
            f"every score must lie between 0 and 1; it is 0 or 1 for {certain.sum()} firms, with an infinite weight or none. "
            "Trim by match.support: crump, or leave out the covariate that decides treatment"
        )
    weight, by_score = {
        "att": (np.where(d, 1.0, e / rest), np.where(d, 0.0, 1 / rest**2)),
        "atc": (np.where(d, rest / e, 1.0), np.where(d, -1 / e**2, 0.0)),
        "ate": (np.where(d, 1 / e, 1 / rest), np.where(d, -1 / e**2, 1 / rest**2)),
        "ato": (np.where(d, rest, e), np.where(d, -1.0, 1.0)),
    }[estimand]
    derivative = _rows(z, by_score * slope(linear, e, link))
    _, first, second = likelihood_terms(d, linear, link)
    influence = _influence(weighted_gram(z, second), z, first)
    return _normalised(d, weight, derivative, influence, estimand)


def entropy(treated: np.ndarray, x: np.ndarray, estimand: str = "att", moments: int = 1, names: Sequence[str] = ()) -> Weighting:
    """Entropy balancing: the weights nearest to equal ones under which the moments agree exactly (Hainmueller 2012).

    Parameters
    ----------
    treated : array (n,) of bool
    x : array (n, p)
        Covariates, without a constant.
    estimand : {"att", "atc", "ate"}
        att: controls are weighted to the moments of the treated; atc the mirror image; ate: both arms to those of all.
    moments : {1, 2, 3}
        Means; and variances; and covariances.
    names : sequence of str, optional
        Names of the columns of `x`, for messages.

    Raises
    ------
    EstimationError
        When no positive weights give the moments, naming the covariates; and when an imbalance of more than 1e-8 standard
        deviations is left.

    Notes
    -----
    Weights are exp(zβ); β minimises Σ exp(zβ) − t′β over the weighted arm, t the target's totals, by Newton's method with
    step halving. A moment that others determine (the square of a 0/1 covariate, all but 1e-10 of its variance) is left out. The
    influence on β̂ counts that the target's moments are estimated too: H⁻¹ (target's zᵢ − weighted arm's exp(zᵢβ) zᵢ).

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [0.0], [1.0], [3.0]])
    >>> w = entropy(np.array([True, True, False, False, False]), x).weights
    >>> float((w[2:] @ x[2:, 0] / 2).round(9))
    1.5
    """
    d, x = _arms(treated, x)
    z, terms = _moments(x, moments, _names(x, names))
    if estimand == "ate":
        one, zero = (_dual(z, arm, 1.0, np.ones(len(d)), terms, side) for arm, side in ((d, _TREATED), (~d, _CONTROLS)))
        weight, derivative = one[0] + zero[0], np.vstack([one[1].T, zero[1].T]).T
        return _normalised(d, weight, derivative, np.vstack([one[2].T, zero[2].T]).T, estimand)
    focal = d if estimand == "att" else ~d
    weight, derivative, influence = _dual(z, ~focal, 1.0, focal.astype(float), terms, _CONTROLS if estimand == "att" else _TREATED)
    return _normalised(d, weight + focal, derivative, influence, estimand)


def cbps(treated: np.ndarray, x: np.ndarray, estimand: str = "att", names: Sequence[str] = ()) -> Weighting:
    """Covariate balancing propensity score, just identified: the logit under whose weights the means agree (Imai & Ratkovic 2014).

    Parameters
    ----------
    treated : array (n,) of bool
    x : array (n, p)
        Covariates, without a constant.
    estimand : {"att", "atc", "ate"}
        The weights are those of `ipw`; β solves Σ (d − (1 − d) e / (1 − e)) z = 0, its mirror image, or
        Σ (d / e − (1 − d) / (1 − e)) z = 0, in place of the equations of the likelihood.
    names : sequence of str, optional
        Names of the columns of `x`, for messages.

    Raises
    ------
    EstimationError
        As `entropy`.

    Notes
    -----
    The equations are the gradient of a convex function (the sum of the odds of the arm each firm is not in, plus a linear
    term), which Newton's method minimises. For att and atc that function is the one of entropy balancing on means: the
    weights are the same.

    Examples
    --------
    >>> x = np.array([[1.0], [2.0], [0.0], [1.0], [3.0]])
    >>> w = cbps(np.array([True, True, False, False, False]), x).weights
    >>> float((w[2:] @ x[2:, 0] / 2).round(9))
    1.5
    """
    if estimand != "ate":
        return entropy(treated, x, estimand, 1, names)
    d, x = _arms(treated, x)
    z, terms = _moments(x, 1, _names(x, names))
    sign = np.where(d, -1.0, 1.0)
    odds, derivative, influence = _dual(z, np.ones(len(d), bool), sign, -sign, terms, _FIRMS)
    return _normalised(d, 1.0 + odds, derivative, influence, estimand)


def _arms(treated: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    d, x = np.asarray(treated, bool), np.asarray(x, float)
    if d.all() or not d.any():
        raise DesignError(f"weights need treated and control firms; found {d.sum()} treated, {(~d).sum()} controls")
    return d, x


def _names(x: np.ndarray, names: Sequence[str]) -> list[str]:
    return list(map(str, names)) if len(names) else [f"column {j + 1}" for j in range(x.shape[1])]


def _moments(x: np.ndarray, moments: int, names: list[str]) -> tuple[np.ndarray, list[str]]:
    """The constant and the moments in standard deviations, without those that others determine; and what each is."""
    z = standardised(x.T)[0]
    terms = list(names)
    if moments > 1:
        p = z.shape[1]
        pairs = [(j, j) for j in range(1, p)]
        pairs += [(j, k) for j in range(1, p) for k in range(j + 1, p)] if moments > 2 else []
        products = standardised([z[:, j] * z[:, k] for j, k in pairs])[0]
        z = np.vstack([z.T, products.T[1:]]).T
        terms += [f"{names[j - 1]}²" if j == k else f"{names[j - 1]} × {names[k - 1]}" for j, k in pairs]
    keep = _independent(weighted_gram(z) / len(z))
    return z.T[keep].T, ["the constant", *(terms[j - 1] for j in keep[1:])]


def _independent(gram: np.ndarray) -> list[int]:
    """The columns that those before them do not determine: Cholesky's pivots, one after the other."""
    rest, keep = gram.copy(), []
    for j in range(len(gram)):
        if rest[j, j] > _DEPENDENT * max(gram[j, j], 1.0):
            keep.append(j)
            rest = rest - np.outer(rest[:, j], rest[j]) / rest[j, j]
    return keep


def _dual(
    z: np.ndarray, arm: np.ndarray, sign: float | np.ndarray, target: np.ndarray, terms: list[str], side: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Minimise Σ_arm exp(sign · zβ) − Σ targetᵢ zᵢβ: the arm's weights exp(sign · zβ), their derivative, influence on β̂."""
    own, s = (z, sign) if arm.all() else (z.T[:, arm].T, sign)
    total = target @ z
    mass = float(total[0]) if np.isscalar(s) else float(len(z))
    start = np.zeros(z.shape[1])
    if np.isscalar(s):
        start[0] = np.log(mass / len(own))
    beta, settled = _minimum(own, s, total, start, mass)
    weight = np.zeros(len(z))
    weight[arm] = np.exp(s * (own @ beta)) if settled else np.nan
    signed = weight * s
    if not np.abs(signed @ z - total).max() <= _TOLERANCE * mass:
        raise EstimationError(_why_not(own, s, total / mass, beta, terms, side))
    return weight, _rows(z, signed), _influence(weighted_gram(own, weight[arm]), z, target - signed)


def _minimum(z: np.ndarray, sign: float | np.ndarray, total: np.ndarray, beta: np.ndarray, mass: float) -> tuple[np.ndarray, bool]:
    """β, and whether it is a minimum; without one, weights run to zero and curvature with them."""
    loss, weight, gradient = _loss(beta, z, sign, total)
    for _ in range(_MAX_STEPS):
        curvature = weighted_gram(z, weight)
        spread = np.linalg.eigvalsh(curvature)
        if spread[0] < _SINGULAR * max(mass, spread[-1]):
            break
        step = -np.linalg.solve(curvature, gradient)
        descent = gradient @ step
        if -descent < _DECREMENT * mass:  # not the length of the step, which rounding keeps up where moments are nearly collinear
            return beta + step, True
        fraction, after = 1.0, _loss(beta + step, z, sign, total)
        while after[0] > loss + 1e-4 * fraction * descent + 1e-12 * abs(loss) and fraction > 1e-9:
            fraction /= 2
            after = _loss(beta + fraction * step, z, sign, total)
        beta, (loss, weight, gradient) = beta + fraction * step, after
    return beta, False


def _loss(beta: np.ndarray, z: np.ndarray, sign: float | np.ndarray, total: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    with np.errstate(over="ignore"):
        weight = np.exp(sign * (z @ beta))
    loss = float(weight.sum() - total @ beta)
    return loss, weight, (weight * sign) @ z - total if np.isfinite(loss) else np.full(len(beta), np.inf)


def _why_not(z: np.ndarray, sign: float | np.ndarray, target: np.ndarray, beta: np.ndarray, terms: list[str], side: str) -> str:
    if np.isscalar(sign):
        short = _out_of_reach(z, target, terms)
    else:
        refuse_separation(sign < 0, z, pd.DataFrame(z[:, 1:], columns=terms[1:]), terms[1:])
        short = []
    if not short:
        far = [f"'{terms[j]}'" for j in 1 + np.argsort(-np.abs(beta[1:]))[:5]]
        short = [f"all of them, or on the edge only, where weights are zero; look at {', '.join(far)}"]
    return (
        f"the weights must balance every moment to {_TOLERANCE:g} standard deviations; no positive weights of the {side} reach "
        f"{'; '.join(short)}. In this order: match.support: hull, so that firms beyond the reach of the {side} leave; merge "
        "levels, coarsen or leave out what is named; fewer match.moments; method: ipw with estimand: ato, or pairs inside a caliper"
    )


def _out_of_reach(z: np.ndarray, target: np.ndarray, terms: list[str]) -> list[str]:
    """The moments that no positive weights of these firms reach: alone, or, where each alone could be reached, together."""
    beyond = []
    for j in range(1, z.shape[1]):
        low, high = z[:, j].min(), z[:, j].max()
        far, end = (target[j] - high, "largest") if target[j] - high > low - target[j] else (low - target[j], "smallest")
        if far > _TOLERANCE:
            beyond.append(f"'{terms[j]}' (aimed at {far:.2g} standard deviations beyond the {end} value)")
        elif far > -_TOLERANCE:
            beyond.append(f"'{terms[j]}' (aimed at the {end} value itself)")
    if beyond:
        return beyond
    k = z.shape[1]
    free = np.eye(k)[:, 1:]  # the weights' sum holds; what a moment lacks is paid for
    cost = np.r_[np.zeros(len(z)), np.ones(2 * (k - 1))]
    search = optimize.linprog(cost, A_eq=np.hstack([z.T, free, -free]), b_eq=target, bounds=(0, None), method="highs")
    if search.status != 0 or search.fun < _TOLERANCE:
        return []
    lacks = search.x[len(z) :].reshape(2, k - 1).sum(axis=0)
    together = [f"'{terms[j]}'" for j in range(1, k) if lacks[j - 1] > _TOLERANCE]
    return [f"all means at once: with the others held, {', '.join(together)} cannot be reached"]


def _normalised(d: np.ndarray, weight: np.ndarray, derivative: np.ndarray, influence: np.ndarray, estimand: str) -> Weighting:
    """Scale each estimated arm to its total, the derivative alike, and note an arm that hangs on one firm."""
    totals = {"att": ((~d, d.sum()),), "atc": ((d, (~d).sum()),)}.get(estimand, ((d, len(d)), (~d, len(d))))
    notes = []
    for arm, total in totals:
        inside = arm.astype(float)
        share = weight * (inside / (inside @ weight))
        scale = np.where(arm, total / (inside @ weight), 1.0)
        for j, slope_of_mass in enumerate(inside @ derivative):
            derivative[:, j] = scale * (derivative[:, j] - share * slope_of_mass)
        weight = weight * scale
        if share.max() > _CONCENTRATED and arm.sum() > 20:
            key, side = ("weight_on_one_treated", _TREATED) if arm is d else ("weight_on_one_control", _CONTROLS)
            text = f"one firm carries {{share:.0%}} of the weight of {{n}} {side}: the estimate hangs on it"
            notes.append(warn(Note(key, text, {"share": float(share.max()), "n": int(arm.sum())})))
    return Weighting(weight, derivative, influence, tuple(notes))


def _rows(z: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Each row times its factor, column by column in memory as `z` is."""
    return np.multiply(z, factor[:, None], order="F")


def _influence(curvature: np.ndarray, z: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """By firm: curvature⁻¹ z · factor."""
    return (linalg.inv(curvature) @ _rows(z, factor).T).T
