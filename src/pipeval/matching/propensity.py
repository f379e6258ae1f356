"""The propensity score: how likely a firm with these covariates is to be treated, by logit.

No score is handed out that does not exist: a constant or collinear covariate, separation and failure to converge are errors
that name the covariate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, optimize, special, stats

from ..errors import DesignError, EstimationError
from .design_matrix import expand, is_numeric, levels, numbers

_MAX_STEPS = 50
_STEP_TOLERANCE = 1e-10  # of a coefficient, covariates in standard deviations
_RANK_TOLERANCE = 1e-8
_INFORMATION_LEFT = 1e-8  # of that without covariates, in the direction in which least is left


@dataclass(frozen=True, slots=True, eq=False)
class Propensity:
    """A fitted score.

    Attributes
    ----------
    scores : Series
        By firm: the probability of treatment, strictly between 0 and 1.
    logit : Series
        By firm: its logarithm of odds, the linear predictor.
    coefficients : DataFrame
        One row a term: `covariate, estimate, std_error, statistic, p_value`; the first is the constant.
    """

    scores: pd.Series
    logit: pd.Series
    coefficients: pd.DataFrame


def propensity(treated: Sequence[bool], x: pd.DataFrame) -> Propensity:
    """The probability of treatment given the covariates, by maximum likelihood of a logit.

    Parameters
    ----------
    treated : sequence of bool
        One a row of `x`.
    x : DataFrame
        One row a firm, one column a covariate, none missing. Numbers and booleans enter as they stand; anything else as one
        indicator a level but the first.

    Raises
    ------
    DesignError
        When an arm is empty, or a covariate is constant or an exact combination of others.
    EstimationError
        Under separation, when a covariate or a combination tells treated from control without error and the likelihood has no
        maximum (Albert & Anderson 1984), and when Newton's steps do not converge.

    Notes
    -----
    Newton–Raphson on Σ d log p + (1 − d) log(1 − p), p = 1 / (1 + exp(−xβ)); standard errors from the inverse information.

    Examples
    --------
    >>> fit = propensity([True, True, False, False, False], pd.DataFrame({"size": [3.0, 1.0, 2.0, 1.0, 0.0]}))
    >>> fit.scores.round(3).tolist()
    [0.785, 0.28, 0.543, 0.28, 0.113]
    """
    d = np.asarray(treated, dtype=bool)
    if d.all() or not d.any():
        raise DesignError(f"a propensity score needs treated and control firms; found {d.sum()} treated, {(~d).sum()} controls")
    raw, terms, sources = expand(x, x.columns, drop_first=True)
    _refuse_constant(raw, terms, x)
    centre, scale = raw.mean(axis=0), raw.std(axis=0)
    # in standard deviations: the unit a covariate is measured in decides neither the rank nor the steps
    z = np.column_stack([np.ones(len(d)), (raw - centre) / scale])
    _refuse_collinear(z, ["the constant", *terms])
    beta, information = _newton(d, z, x, sources)
    back = np.diag(np.r_[1.0, 1.0 / scale])
    back[0, 1:] = -centre / scale
    linear = np.full(len(d), beta[0])
    for j in range(1, len(beta)):
        linear += z[:, j] * beta[j]  # not a matrix product, whose rounding depends on the row: equal firms score exactly equal
    coefficients = _coefficients(["constant", *terms], back @ beta, back @ linalg.inv(information) @ back.T)
    logit = pd.Series(linear, index=x.index, name="logit")
    return Propensity(pd.Series(special.expit(linear), index=x.index, name="propensity_score"), logit, coefficients)


def _coefficients(terms: list[str], estimate: np.ndarray, variance: np.ndarray) -> pd.DataFrame:
    std_error = np.sqrt(np.diag(variance))
    statistic = estimate / std_error
    table = {"covariate": terms, "estimate": estimate, "std_error": std_error, "statistic": statistic}
    return pd.DataFrame(table | {"p_value": 2 * stats.norm.sf(np.abs(statistic))})


def _refuse_constant(raw: np.ndarray, terms: list[str], x: pd.DataFrame) -> None:
    flat = [t for t, column in zip(terms, raw.T, strict=True) if np.ptp(column) == 0]
    flat += [str(name) for name in x.columns if not is_numeric(x[name]) and len(levels(x[name])) < 2]
    if flat:
        raise DesignError(
            f"a covariate of the propensity score must vary between the firms compared; constant: {', '.join(flat)}. "
            "Leave it out of match.covariates"
        )


def _refuse_collinear(z: np.ndarray, terms: list[str]) -> None:
    r = linalg.qr(z, mode="r")[0][: z.shape[1]]
    free = np.abs(np.diag(r)) > _RANK_TOLERANCE * np.sqrt(len(z)) if len(z) >= z.shape[1] else np.zeros(z.shape[1], bool)
    if free.all():
        return
    if len(z) < z.shape[1]:
        raise DesignError(f"the propensity score needs more firms than terms; found {len(z)} firms, {z.shape[1]} terms")
    j = int(np.argmin(free))
    share = linalg.lstsq(z[:, :j], z[:, j])[0]
    partners = [t for t, b in zip(terms[:j], share, strict=True) if abs(b) > 1e-6 and t != "the constant"]
    raise DesignError(
        f"no covariate of the propensity score may be an exact combination of others; '{terms[j]}' is one of "
        f"{', '.join(partners)}. Leave one of them out of match.covariates"
    )


def _newton(d: np.ndarray, z: np.ndarray, x: pd.DataFrame, sources: list[str]) -> tuple[np.ndarray, np.ndarray]:
    beta = np.zeros(z.shape[1])
    beta[0] = np.log(d.mean() / (1 - d.mean()))
    loss = _loss(beta, d, z)
    floor = _INFORMATION_LEFT * np.linalg.eigvalsh(d.mean() * (1 - d.mean()) * z.T @ z)[0]
    for _ in range(_MAX_STEPS):
        p = special.expit(z @ beta)
        information = (z * (p * (1 - p))[:, None]).T @ z
        if np.linalg.eigvalsh(information)[0] < floor:  # probabilities run to 0 and 1: a coefficient is on its way to infinity
            break
        step = np.linalg.solve(information, z.T @ (d - p))
        while _loss(beta + step, d, z) > loss + 1e-9 * abs(loss) and np.abs(step).max() > _STEP_TOLERANCE:
            step = step / 2
        beta = beta + step
        loss = _loss(beta, d, z)
        if np.abs(step).max() < _STEP_TOLERANCE:
            return beta, information
    _refuse_separation(d, z, x, sources)
    raise EstimationError(
        f"the propensity score did not converge in {_MAX_STEPS} Newton steps, and no covariate separates the arms: look for a "
        f"covariate with extreme values among {', '.join(map(str, x.columns))}; take its logarithm or leave it out"
    )


def _loss(beta: np.ndarray, d: np.ndarray, z: np.ndarray) -> float:
    linear = z @ beta
    return float(np.logaddexp(0, linear).sum() - linear[d].sum())


def _refuse_separation(d: np.ndarray, z: np.ndarray, x: pd.DataFrame, sources: list[str]) -> None:
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
