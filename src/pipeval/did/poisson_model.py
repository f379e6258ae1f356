"""The untreated mean behind Poisson effects: exp(α_cohort + λ_period), fitted to untreated cells, and its influence."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..data.panel import NEVER
from ..errors import EstimationError, Note, some
from ..study.specs import DidSpec


class PoissonCell(NamedTuple):
    """A treated cell: totals by firm (observed, counterfactual) and each firm's influence on the log of the untreated mean."""

    cohort: float
    period: int
    base_period: int
    phase: str
    observed: np.ndarray
    counterfactual: np.ndarray
    psi: np.ndarray
    weight: np.ndarray
    control: np.ndarray


class _Fit(NamedTuple):
    """One untreated model: arrays (cohorts, periods) of what is fitted, exposure and log means; influence on its parameters."""

    groups: np.ndarray
    fitted: np.ndarray
    exposure: np.ndarray
    log_mean: np.ndarray
    inside: np.ndarray
    weight: np.ndarray
    y: np.ndarray
    psi: np.ndarray


def poisson_cells(
    wide: pd.DataFrame,
    cohort: np.ndarray,
    w: np.ndarray,
    treated: list[float],
    spec: DidSpec,
    score: tuple | None = None,
    leads: bool = False,
    only: Collection[int] | None = None,
) -> tuple[list[PoissonCell], list[Note]]:
    """The cells of the cohorts `treated` beside their comparison firms, all from one untreated model.

    Parameters
    ----------
    wide : DataFrame
        Amounts, firms × periods.
    cohort, w : array (n_firms,)
        First treated period and weight of each firm.
    treated : list of float
        The cohorts that are described.
    spec : DidSpec
        Comparison and anticipation.
    score : tuple, optional
        What estimated odds add to an influence: covariates of the comparison firms, influence on the logit's coefficients.
    leads : bool
        Only cells before entry. The cohorts described then tell the untreated mean in their base period alone, so that a row
        before entry is no part of what it is compared with; other cohorts still tell it until they enter.
    only : collection of int, optional
        The periods whose cells are wanted.

    Returns
    -------
    list of PoissonCell, list of Note
        The cells that have a comparison, and a note on those that have none.
    """
    periods = wide.columns.to_numpy()
    alone = treated if leads or spec.comparison == "never_treated" else []
    fit = _fit(wide, cohort, w, treated, alone, spec)
    enters = ((fit.inside @ fit.fitted) * fit.weight).any(axis=1)
    cells, lost, no_base = [], [], []
    for j, g in enumerate(fit.groups):
        if g not in treated or not fit.fitted[j].any():
            no_base += [f"{g:g}"] if g in treated else []
            continue
        base, told = periods[fit.fitted[j]].max(), _untreated(g, periods, spec.anticipation, g in alone)
        for k in np.flatnonzero(~told & (fit.exposure[j] > 0)):
            t = periods[k]
            phase = "post" if t >= g else "anticipation" if t >= g - spec.anticipation else "pre"
            if (leads and phase != "pre") or (only is not None and t not in only):
                continue
            if np.isnan(fit.log_mean[j, k]):
                lost.append(f"cohort {g:g} in {t}")
                continue
            own = fit.inside[:, j] * fit.weight[:, k]
            psi = fit.psi[:, j] + fit.psi[:, len(fit.groups) + k]
            if score is not None:
                psi = psi + score[1] @ (score[0].T @ psi)
            totals = own * fit.y[:, k], own * np.exp(fit.log_mean[j, k])
            cells.append(PoissonCell(g, int(t), int(base), phase, *totals, psi, own, enters & (cohort != g)))
    return cells, _remarks(no_base, lost)


def _remarks(no_base: list[str], lost: list[str]) -> list[Note]:
    notes = []
    if no_base:
        text = "cohort(s) left out, without an untreated period or with a total of zero there, so without a growth rate: {cohorts}"
        notes.append(Note("no_base_total", text, {"cohorts": ", ".join(no_base)}))
    if lost:
        notes.append(Note("no_comparison", "left out, without comparison firms: {cells}", {"cells": some(lost, "cell")}))
    return notes


def _fit(wide: pd.DataFrame, cohort: np.ndarray, w: np.ndarray, treated: list[float], alone: list[float], spec: DidSpec) -> _Fit:
    """The untreated model of these cohorts and their comparison; cohorts in `alone` enter with their base period only."""
    periods, y = wide.columns.to_numpy(), wide.to_numpy(float)
    weight = np.where(np.isnan(y), 0.0, w[:, None])
    y = np.nan_to_num(y)
    here = np.unique(cohort[weight.any(axis=1)])
    groups = np.array([g for g in here if spec.comparison == "not_yet_treated" or g == NEVER or g in treated])
    inside = (cohort[:, None] == groups).astype(float)
    total, exposure = inside.T @ (weight * y), inside.T @ weight
    untreated = np.array([_untreated(g, periods, spec.anticipation, g in alone) for g in groups]) & (exposure > 0)
    fitted = _with_totals(untreated, total)
    log_mean, inverse = untreated_model(total, exposure, fitted)
    residual = weight * (y - inside @ np.where(fitted, np.exp(log_mean), 0)) * (inside @ fitted)
    psi = np.column_stack([inside * residual.sum(axis=1, keepdims=True), residual]) @ inverse
    return _Fit(groups, fitted, exposure, log_mean, inside, weight, y, psi)


def base_period(g: float, periods: np.ndarray, anticipation: int) -> int | None:
    """The last of the `periods` in which cohort `g` is untreated and not about to be treated; None without one."""
    before = periods[periods < g - anticipation]
    return int(before.max()) if len(before) else None


def _untreated(g: float, periods: np.ndarray, anticipation: int, base_only: bool) -> np.ndarray:
    """The periods (bool) in which cohort `g` tells the untreated mean."""
    return periods == base_period(g, periods, anticipation) if base_only else periods < g - anticipation


def _with_totals(untreated: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Untreated cells whose cohort and period have positive totals: a total of zero has no logarithm, so no parameter."""
    kept = untreated
    while True:
        positive = np.where(kept, total, 0)
        new = kept & (positive.sum(axis=1) > 0)[:, None] & (positive.sum(axis=0) > 0)
        if (new == kept).all():
            return kept
        kept = new


def untreated_model(
    total: np.ndarray, exposure: np.ndarray, fitted: np.ndarray, iterations: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    """Log means α_cohort + λ_period fitted to the `fitted` cells (cohorts, periods), NaN where unidentified; the inverse Hessian.

    Totals by cell are sufficient for the Poisson mean, so Newton's method runs on them rather than on firms. Parameters
    are cohorts then periods; the minimum-norm step takes care of the one that is redundant.

    Raises
    ------
    EstimationError
        When Newton's method does not converge.
    """
    n_groups, n_periods = total.shape
    design = np.zeros((n_groups, n_periods, n_groups + n_periods))
    design[np.arange(n_groups), :, np.arange(n_groups)] = 1
    design[:, np.arange(n_periods), n_groups + np.arange(n_periods)] = 1
    if not fitted.any():
        return np.full(total.shape, np.nan), np.zeros((design.shape[2],) * 2)
    x, out, exposed = design[fitted], total[fitted], exposure[fitted]
    beta = np.linalg.lstsq(x, np.log((out + out.mean() / 10) / exposed), rcond=None)[0]
    for _ in range(iterations):
        mean = exposed * np.exp(np.clip(x @ beta, -700, 700))
        step = np.linalg.pinv((x * mean[:, None]).T @ x, hermitian=True, rcond=1e-12) @ (x.T @ (out - mean))
        beta = beta + np.clip(step, -2, 2)
        if np.abs(x @ step).max() < 1e-9:
            break
    else:
        raise EstimationError(
            "the Poisson mean by cohort and period did not converge: too many cells with a total of zero; merge cohorts"
        )
    inverse = np.linalg.pinv((x * mean[:, None]).T @ x, hermitian=True, rcond=1e-12)
    span = np.linalg.pinv(x) @ x
    identified = np.abs(design - design @ span).max(axis=2) < 1e-8
    return np.where(identified, design @ beta, np.nan), inverse
