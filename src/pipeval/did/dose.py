"""Effects and dose: do firms that received more gain more? An association, whose causal reading needs more than parallel trends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from ..data.panel import Panel
from ..errors import DesignError, Note, some, warn
from ..study.specs import DidSpec
from .att_gt import cluster_labels
from .cells import sampling_weights, weightless
from .covariates import Covariates, covariates, explain
from .effects import Effects, effects_from
from .inference import apart, joint_covariance
from .kernel import CellError, least_squares
from .subgroups import FEWEST, PLAIN


def dose_trend(
    effects: Effects, scores: Sequence[float] | None = None, direction: Literal["increase", "decrease"] = "increase"
) -> pd.Series:
    """The straight line through the effects of ordered dose groups, and whether every step goes the right way.

    Parameters
    ----------
    effects : Effects
        One row a dose group, in order (`subgroup_effects` with `within=False`).
    scores : sequence of float, optional
        The dose that each row stands for; by default 1, 2, …: the slope is then per step.
    direction : str
        The way in which effects are expected to move with the dose.

    Returns
    -------
    Series
        The tidy columns of the slope (`estimate` per unit of score; degrees of freedom by `joint_covariance`); `p_not_linear` (that
        the groups lie on a line; NaN with two), `p_monotone` (of "some step does not go in `direction`": the largest one-sided p of
        the steps, an intersection–union test, so small only when every step is established), `n_rows, reason`.

    Notes
    -----
    Generalised least squares on the joint covariance V of the rows: θ = (X′V⁻¹X)⁻¹X′V⁻¹b, X = (1, score). An association with
    dose: groups of different dose differ in why they got it. A causal slope needs the average effect of a dose to be the
    same whoever received it (strong parallel trends; Callaway, Goodman-Bacon and Sant'Anna 2024).

    Raises
    ------
    DesignError
        When scores are not one a row, or not ascending.
    """
    score = np.arange(1.0, len(effects.table) + 1) if scores is None else np.asarray(scores, float)
    if score.shape != (len(effects.table),) or not (np.diff(score) > 0).all():
        raise DesignError(f"scores are one ascending number a row ({len(effects.table)} rows); found {some(score, 'score')}")
    rows = np.flatnonzero(effects.table["std_error"].notna())
    names = ("estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "df", "p_not_linear", "p_monotone")
    empty = dict.fromkeys(names, np.nan) | {"n_rows": len(rows)}
    if len(rows) < 2:
        return pd.Series({**empty, "reason": "fewer than two dose groups have an estimate with a standard error"})
    variance, df = joint_covariance(effects, rows)
    if not apart(variance, df):
        return pd.Series({**empty, "reason": f"{df + 1} clusters cannot tell {len(rows)} dose groups apart"})
    b = effects.table["estimate"].to_numpy(float)[rows]
    slope, error, misfit = _line(b, variance, score[rows])
    t, half = slope / error, stats.t.ppf((1 + effects.level) / 2, df) * error
    steps = np.diff(np.eye(len(rows)), axis=0)
    sign = -1.0 if direction == "decrease" else 1.0
    step_t = sign * (steps @ b) / np.sqrt(np.diag(steps @ variance @ steps.T))
    q = len(rows) - 2
    values = (slope, error, t, 2 * stats.t.sf(abs(t), df), slope - half, slope + half, df)
    lack = float(stats.f.sf(misfit / q, q, df)) if q else np.nan
    found = dict(zip(names, (*map(float, values), lack, float(stats.t.sf(step_t, df).max())), strict=True))
    return pd.Series({**found, "n_rows": len(rows), "reason": ""})


def _line(b: np.ndarray, variance: np.ndarray, score: np.ndarray) -> tuple[float, float, float]:
    """Slope by generalised least squares, its standard error, and the weighted sum of squared residuals."""
    x = np.column_stack([np.ones(len(b)), score])
    bread = np.linalg.inv(x.T @ np.linalg.solve(variance, x))
    coefficients = bread @ x.T @ np.linalg.solve(variance, b)
    residual = b - x @ coefficients
    return float(coefficients[1]), float(np.sqrt(bread[1, 1])), float(residual @ np.linalg.solve(variance, residual))


def dose_slope(
    panel: Panel,
    outcome: str,
    dose: pd.Series,
    period: int,
    spec: DidSpec = PLAIN,
    adjust: Sequence[str] | None = None,
    clusters: pd.Series | pd.DataFrame | None = None,
) -> Effects:
    """One row: by how much more a treated firm changed per unit of dose, among treated firms alike in the covariates.

    An association with dose, adjusted for `adjust`: parallel trends without treatment do not make it causal. That needs firms of
    every dose to have reacted alike to any one dose (strong parallel trends; Callaway, Goodman-Bacon and Sant'Anna 2024): no
    selection of dose on the gain. Comparison firms do not enter.

    Parameters
    ----------
    panel, outcome, clusters
        As `att_gt` takes them.
    dose : Series
        By `firm_id`, for instance thousands of dollars; treated firms without a dose leave with a note.
    period : int
        The change runs from each cohort's base period (the last observed before entry, less `spec.anticipation`) to this one.
    adjust : sequence of str, optional
        Columns of `panel.firms` that decided the dose; by default `spec.covariates`. Cohorts always have their own constants.

    Returns
    -------
    Effects
        Keys `term` (dose), `period, adjusted_for`. `treated_weight` and `control` are the treated firms with more and with less
        dose than their covariates suggest: the slope compares these.

    Raises
    ------
    DesignError
        When fewer than five treated firms have a dose and a change, or fewer than columns + 3.
    EstimationError
        When the covariates determine the dose or each other.

    Notes
    -----
    Least squares of the change on dose, cohort constants and covariates; influence ψᵢ = d̃ᵢ eᵢ / Σ d̃², d̃ the residual of the
    dose on the rest and e that of the regression.

    Examples
    --------
    >>> frame = pd.DataFrame({"firm": np.tile(np.arange(8), 2), "year": np.repeat([1, 2], 8), "start": 2})
    >>> dose = pd.Series([1.0, 1, 2, 2, 3, 3, 4, 4])
    >>> frame["y"] = np.r_[np.zeros(8), 0.5 * dose + np.tile([0.1, -0.1], 4)]
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> from pipeval.errors import collected
    >>> with collected():
    ...     slope = dose_slope(panel, "y", dose, 2)
    >>> slope.table["estimate"].round(6).item()
    0.5
    """
    names = list(spec.covariates if adjust is None else adjust)
    change, notes = _change(panel, outcome, period, spec)
    amount = dose.reindex(panel.firms.index).astype(float)
    cov = covariates(panel.firms, names)
    lost = change.index[change.notna() & (amount.isna() | cov.missing)]
    if len(lost):
        notes += (
            warn(Note("no_dose", "treated firms without a dose or a covariate are left out: {firms}", {"firms": some(lost)})),
        )
    notes += weightless(panel.firms, spec, None)
    given = sampling_weights(panel.firms, spec, None)
    weight = np.ones(len(panel.firms)) if given is None else given.reindex(panel.firms.index).fillna(0.0).to_numpy(float)
    rows = np.flatnonzero((change.notna() & amount.notna()).to_numpy() & ~cov.missing & (weight > 0))
    columns, labels = _dose_columns(panel, amount, cov, rows)
    if len(rows) < max(FEWEST, columns.shape[1] + 3):
        raise DesignError(
            f"the slope over dose needs treated firms with a dose and a change up to {period}; {len(rows)} for {columns.shape[1]} "
            "coefficients are too few. Use fewer covariates"
        )
    try:
        beta, psi = least_squares(change.to_numpy()[rows], columns, weight[rows])
        rest = [j for j in range(columns.shape[1]) if j != 1]
        residual = columns[:, 1] - columns[:, rest] @ least_squares(columns[:, 1], columns[:, rest], weight[rows])[0]
    except CellError as error:
        raise explain(error, labels, f"slope over dose in {period}") from None
    influence, more, less = (np.zeros((len(panel.firms), 1)) for _ in range(3))
    influence[rows, 0] = psi[:, 1]
    above = weight[rows] * np.maximum(residual, 0)
    more[rows, 0] = above / above.sum()
    less[rows, 0] = residual < 0
    keys = pd.DataFrame({"term": ["dose"], "period": period, "adjusted_for": ", ".join(names)})
    by = cluster_labels(panel.firms, spec.cluster) if clusters is None else clusters
    return effects_from(keys, beta[[1]], (influence, more, less > 0), panel.firms.index, by, spec.level, notes)


def _change(panel: Panel, outcome: str, period: int, spec: DidSpec) -> tuple[pd.Series, tuple[Note, ...]]:
    """By firm: the change from its cohort's base period to `period`; NaN for comparison firms and those not yet treated."""
    wide = panel.wide(outcome).dropna(axis=1, how="all")
    if period not in wide:
        raise DesignError(f"outcome '{outcome}' is not observed in {period}; it is in {', '.join(map(str, wide.columns))}")
    cohort, change = panel.firms["cohort"], pd.Series(np.nan, index=wide.index)
    always = []
    for g in np.unique(cohort[cohort <= period]):
        before = wide.columns[wide.columns <= g - 1 - spec.anticipation]
        if len(before):
            mine = cohort == g
            change[mine] = wide.loc[mine, period] - wide.loc[mine, before.max()]
        else:
            always.append(f"{g:g}")
    if not always:
        return change, ()
    text = "cohort(s) {cohorts} have no period before treatment: their firms are left out"
    return change, (warn(Note("always_treated", text, {"cohorts": ", ".join(always)})),)


def _dose_columns(panel: Panel, amount: pd.Series, cov: Covariates, rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Constant, dose, a column a further cohort, covariates: array (len(rows), k) and the columns' names."""
    columns, labels = [np.ones(len(rows)), amount.to_numpy()[rows]], ["constant", "dose"]
    categories = [("cohort", *pd.factorize(panel.firms["cohort"], sort=True)), *cov.levels]
    for name, codes, levels in categories:
        for level in np.unique(codes[rows])[1:]:
            columns.append((codes[rows] == level).astype(float))
            labels.append(f"{name} = {levels[level]}")
    columns += [cov.numbers[rows, j] for j in range(len(cov.names))]
    return np.column_stack(columns), [*labels, *cov.names]
