"""The propensity score: how likely a firm with these covariates is to be treated, by logit or probit.

No score is handed out that does not exist: a constant or collinear covariate, separation and failure to converge are errors
that name the covariate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import linalg, optimize, special, stats

from ..errors import DesignError, EstimationError
from .design_matrix import expand, in_range, is_numeric, levels, numbers

_MAX_STEPS = 50
_STEP_TOLERANCE = 1e-10  # of a coefficient, covariates in standard deviations
_RANK_TOLERANCE = 1e-8
_CLEARLY_FREE = 1e-6  # of the smallest eigenvalue of the correlations: above it there is no doubt about the rank
_FLAT = 1e-12  # a deviation below so much of the mean is rounding
_BLOCK = 1 << 12  # firms handled at once, so that they stay in the processor's cache
_ONE_THREAD = 1 << 18  # multiplications: larger products are split between threads, which wait for each other on a busy machine
_START_ROWS = 20_000
_FAR = 20.0  # a probit's linear predictor beyond which a firm tells less than 1e-85 about it
_INFORMATION_LEFT = 1e-8  # of that without covariates, in the direction in which least is left

LEAST, MOST = np.finfo(float).tiny, 1 - np.finfo(float).epsneg
"""The least and the greatest score: the numbers next to 0 and to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Propensity:
    """A fitted score.

    Attributes
    ----------
    scores : Series
        By firm: the probability of treatment, strictly between 0 and 1: one that rounds to either is the number next to it.
    linear : Series
        By firm: the linear predictor, which under `link="logit"` is the logarithm of the odds.
    coefficients : DataFrame
        One row a term: `covariate, estimate, std_error, statistic, p_value`; the first is the constant.
    """

    scores: pd.Series
    linear: pd.Series
    coefficients: pd.DataFrame


def propensity(treated: Sequence[bool], x: pd.DataFrame, link: Literal["logit", "probit"] = "logit") -> Propensity:
    """The probability of treatment given the covariates, by maximum likelihood of a logit or a probit.

    Parameters
    ----------
    treated : sequence of bool
        One a row of `x`.
    x : DataFrame
        One row a firm, one column a covariate, none missing. Numbers and booleans enter as they stand; anything else as one
        indicator a level but the first.
    link : {"logit", "probit"}
        The probability is 1 / (1 + exp(−xβ)), or the normal distribution function of xβ.

    Raises
    ------
    DesignError
        When an arm is empty, or a covariate is constant or an exact combination of others.
    EstimationError
        Under separation, when a covariate or a combination tells treated from control without error and the likelihood has no
        maximum (Albert & Anderson 1984), and when Newton's steps do not converge.

    Notes
    -----
    Newton–Raphson on Σ d log p + (1 − d) log(1 − p); standard errors from the inverse expected information. In large data
    the steps start from the maximum of every k-th row and end on all of them.

    Examples
    --------
    >>> fit = propensity([True, True, False, False, False], pd.DataFrame({"size": [3.0, 1.0, 2.0, 1.0, 0.0]}))
    >>> fit.scores.round(3).tolist()
    [0.785, 0.28, 0.543, 0.28, 0.113]
    """
    d = np.asarray(treated, dtype=bool)
    if d.all() or not d.any():
        raise DesignError(f"a propensity score needs treated and control firms; found {d.sum()} treated, {(~d).sum()} controls")
    columns, terms, sources = _columns(x)
    columns, power = map(list, zip(*map(in_range, columns), strict=True)) if columns else ([], [])
    _refuse_constant(columns, terms, x)
    z, centre, scale = standardised(columns)
    gram = weighted_gram(z)
    _refuse_collinear(z, gram, ["the constant", *terms])
    found = _maximum(d, z, gram, link)
    if found is None:
        refuse_separation(d, z, x, sources)
        raise EstimationError(
            f"the propensity score did not converge in {_MAX_STEPS} Newton steps, and no covariate separates the arms: look for a "
            f"covariate with extreme values among {', '.join(map(str, x.columns))}; take its logarithm or leave it out"
        )
    beta, information = found
    linear = _linear(z, beta)
    p = np.clip(PROBABILITY[link](linear), LEAST, MOST)
    if link != "logit":  # the logit's observed information is the expected one
        information = weighted_gram(z, expected_information(linear, p, link))
    back = np.diag(np.r_[1.0, 1.0 / scale])
    back[0, 1:] = -centre / scale
    coefficients = _coefficients(["constant", *terms], back @ beta, back @ linalg.inv(information) @ back.T, power)
    return Propensity(
        pd.Series(p, index=x.index, name="propensity_score"),
        pd.Series(linear, index=x.index, name="linear_predictor"),
        coefficients,
    )


def standardised(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A constant and the columns in standard deviations (n × 1 + p, column by column in memory), their means and deviations.

    In standard deviations the unit a covariate is measured in decides neither the rank nor the steps of a solution. A
    constant column keeps a deviation of 1.
    """
    n, p = len(columns[0]), len(columns)
    z = np.empty((n, 1 + p), order="F")
    z[:, 0] = 1.0
    centre, scale = np.empty(p), np.ones(p)
    for j, column in enumerate(columns):
        centre[j] = column.mean()
        own = np.subtract(column, centre[j], out=z[:, 1 + j])
        spread = np.sqrt(own @ own / n)
        if spread > _FLAT * abs(centre[j]):
            scale[j] = spread
            own /= spread
    return z, centre, scale


def weighted_gram(z: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Σᵢ weightᵢ zᵢ zᵢ′, block by block, so that nothing of the size of `z` is allocated."""
    if weight is None:
        return z.T @ z
    total, rows = np.zeros((z.shape[1], z.shape[1])), _rows_at_once(z)
    for start in range(0, len(z), rows):
        part = z[start : start + rows]
        total += (part * weight[start : start + rows, None]).T @ part
    return total


def _rows_at_once(z: np.ndarray) -> int:
    return max(1, min(_BLOCK, _ONE_THREAD // z.shape[1] ** 2))


PROBABILITY = {"logit": special.expit, "probit": special.ndtr}
"""By link: the probability that a linear predictor stands for."""


def slope(linear: np.ndarray, p: np.ndarray, link: str) -> np.ndarray:
    """The derivative of the probability with respect to the linear predictor."""
    return p * (1 - p) if link == "logit" else np.exp(-0.5 * linear**2) / np.sqrt(2 * np.pi)


def expected_information(linear: np.ndarray, p: np.ndarray, link: str) -> np.ndarray:
    """The weight of each firm in the expected information: slope² / (p (1 − p))."""
    if link == "logit":
        return p * (1 - p)
    linear = np.clip(linear, -_FAR, _FAR)
    return slope(linear, p, link) ** 2 / (special.ndtr(linear) * special.ndtr(-linear))


def likelihood_terms(d: np.ndarray, linear: np.ndarray, link: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The log likelihood of each firm, its derivative by the linear predictor, and minus the second derivative."""
    if link == "logit":
        t = np.exp(-np.abs(linear))  # at most 1: nothing overflows
        larger = 1 / (1 + t)
        p = np.where(linear > 0, larger, t * larger)
        return d * linear - np.maximum(linear, 0.0) - np.log1p(t), d - p, t * larger * larger
    sign = np.where(d, 1.0, -1.0)
    value = special.log_ndtr(sign * linear)
    mills = sign * np.exp(-0.5 * linear**2 - value) / np.sqrt(2 * np.pi)
    return value, mills, mills * (mills + linear)


def _columns(x: pd.DataFrame) -> tuple[list[np.ndarray], list[str], list[str]]:
    parts = [expand(x, [name], drop_first=True) for name in x.columns]  # one by one: each column whole in memory
    columns = [column for matrix, _, _ in parts for column in matrix.T]
    return columns, [term for _, terms, _ in parts for term in terms], [source for _, _, sources in parts for source in sources]


def _linear(z: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """zβ, by columns: the rounding of a matrix product depends on the row, and equal firms must score exactly equal."""
    linear = np.full(len(z), beta[0])
    for start in range(0, len(z), _BLOCK):
        part = linear[start : start + _BLOCK]
        for j in range(1, len(beta)):
            part += z[start : start + _BLOCK, j] * beta[j]
    return linear


def _coefficients(terms: list[str], estimate: np.ndarray, variance: np.ndarray, power: list[int]) -> pd.DataFrame:
    std_error = np.sqrt(np.diag(variance))
    statistic = estimate / std_error
    estimate, std_error = (np.r_[values[:1], np.ldexp(values[1:], -np.array(power, int))] for values in (estimate, std_error))
    table = {"covariate": terms, "estimate": estimate, "std_error": std_error, "statistic": statistic}
    return pd.DataFrame(table | {"p_value": 2 * stats.norm.sf(np.abs(statistic))})


def _refuse_constant(columns: list[np.ndarray], terms: list[str], x: pd.DataFrame) -> None:
    flat = [t for t, column in zip(terms, columns, strict=True) if np.ptp(column[:_BLOCK]) == 0 and np.ptp(column) == 0]
    flat += [str(name) for name in x.columns if not is_numeric(x[name]) and len(levels(x[name])) < 2]
    if flat:
        raise DesignError(
            f"a covariate of the propensity score must vary between the firms compared; constant: {', '.join(flat)}. "
            "Leave it out of match.covariates"
        )


def _refuse_collinear(z: np.ndarray, gram: np.ndarray, terms: list[str]) -> None:
    if len(z) > z.shape[1] and np.linalg.eigvalsh(gram)[0] > _CLEARLY_FREE * len(z):
        return
    r = linalg.qr(z, mode="r")[0][: z.shape[1]]  # the products above hold half the digits only
    free = np.abs(np.diag(r)) > _RANK_TOLERANCE * np.sqrt(len(z)) if len(z) >= z.shape[1] else np.zeros(z.shape[1], bool)
    if free.all():
        return
    if len(z) < z.shape[1]:
        raise DesignError(f"the propensity score needs more firms than terms; found {len(z)} firms, {z.shape[1]} terms")
    j = int(np.argmin(free))
    share = linalg.lstsq(z[:, :j], z[:, j])[0]
    partners = [t for t, b in zip(terms[:j], share, strict=True) if abs(b) > 1e-6 and t != "the constant"]
    if not partners:
        raise DesignError(
            f"a covariate of the propensity score must vary by more than rounding; '{terms[j]}' does not. "
            "Subtract its mean, or leave it out of match.covariates"
        )
    raise DesignError(
        f"no covariate of the propensity score may be an exact combination of others; '{terms[j]}' is one of "
        f"{', '.join(partners)}. Leave one of them out of match.covariates"
    )


def _maximum(d: np.ndarray, z: np.ndarray, gram: np.ndarray, link: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The coefficients of largest likelihood and the observed information there, or None where the steps do not end."""
    share = d.mean()
    start = np.zeros(z.shape[1])
    start[0] = np.log(share / (1 - share)) if link == "logit" else special.ndtri(share)
    every = len(d) // _START_ROWS
    if every > 1 and 0 < d[::every].sum() < len(d[::every]):
        part = np.asfortranarray(z[::every])
        found = _newton(d[::every], part, start, weighted_gram(part), link)
        start = start if found is None else found[0]
    return _newton(d, z, start, gram, link)


def _newton(d: np.ndarray, z: np.ndarray, beta: np.ndarray, gram: np.ndarray, link: str) -> tuple[np.ndarray, np.ndarray] | None:
    alone = np.array([np.log(d.mean() / (1 - d.mean())) if link == "logit" else special.ndtri(d.mean())])
    floor = _INFORMATION_LEFT * expected_information(alone, PROBABILITY[link](alone), link)[0] * np.linalg.eigvalsh(gram)[0]
    loss, score, information = _likelihood(beta, d, z, link)
    for _ in range(_MAX_STEPS):
        if np.linalg.eigvalsh(information)[0] < floor:  # probabilities run to 0 and 1: a coefficient is on its way to infinity
            return None
        step = np.linalg.solve(information, score)
        after = _likelihood(beta + step, d, z, link) if np.abs(step).max() > _STEP_TOLERANCE else None
        while after and after[0] > loss + 1e-9 * abs(loss):
            step = step / 2
            after = _likelihood(beta + step, d, z, link) if np.abs(step).max() > _STEP_TOLERANCE else None
        beta = beta + step
        if after is None:
            return beta, information
        loss, score, information = after
    return None


def _likelihood(beta: np.ndarray, d: np.ndarray, z: np.ndarray, link: str) -> tuple[float, np.ndarray, np.ndarray]:
    """Minus the log likelihood, its gradient (of the log likelihood) and the information, in one pass over the firms."""
    loss, score, information = 0.0, np.zeros(len(beta)), np.zeros((len(beta), len(beta)))
    rows = _rows_at_once(z)
    for start in range(0, len(d), rows):
        part, arm = z[start : start + rows], d[start : start + rows]
        linear = part @ beta
        value, first, second = likelihood_terms(arm, linear, link)
        loss -= value.sum()
        score += first @ part
        information += (part * second[:, None]).T @ part
    return float(loss), score, information


def refuse_separation(d: np.ndarray, z: np.ndarray, x: pd.DataFrame, sources: list[str]) -> None:
    """Raise when a covariate, or a combination of them, tells treated from control without error; `z` holds a constant first."""
    found = [why for name in x.columns if (why := _separates(d, x[name]))]
    if not found:
        sign = np.where(d, 1.0, -1.0)[:, None] * z
        # a direction in which every firm lies on its own arm's side: Konis (2007), as a linear program
        search = optimize.linprog(-sign.sum(axis=0), A_ub=-sign, b_ub=np.zeros(len(d)), bounds=(-1, 1), method="highs")
        if search.status != 0 or -search.fun < 1e-6:
            return
        names = dict.fromkeys(s for s, b in zip(sources, search.x[1:], strict=True) if abs(b) > 1e-6)
        found = [f"a combination of {', '.join(map(str, names))} tells treated from control"]
    raise EstimationError(
        f"the propensity score does not exist: {'; '.join(found)} (separation). In this order: match exactly on that "
        "covariate instead, merge its levels, or leave it out of match.covariates"
    )


def _separates(d: np.ndarray, column: pd.Series) -> str:
    if not is_numeric(column):
        for level in levels(column):
            inside = (column == level).to_numpy(dtype=bool)
            if d[inside].all() or not d[inside].any():
                return f"all {inside.sum()} firms with {column.name} = {level} are {'treated' if d[inside].all() else 'controls'}"
        return ""
    values = numbers(column)
    for arm, side in ((d, "treated"), (~d, "controls")):
        if values[arm].min() >= values[~arm].max():
            return f"'{column.name}' is never lower among the {side} ({values[arm].min():g} or more) than among the others"
    return ""
