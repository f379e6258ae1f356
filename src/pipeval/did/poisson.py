"""Effects on amounts with zeros, as per cent of what they would have been: Poisson by cohort and period.

Amounts such as export sales are zero for most small firms. A logarithm drops them and ln(1 + x) depends on the currency
unit; the exponential mean model does neither.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from ..data.panel import NEVER, Panel
from ..errors import DesignError, EstimationError, Note, some, warn
from ..matching.matched import MatchedSample
from ..study.specs import DidSpec
from .att_gt import PLAIN, cluster_labels, cohort_weights, missing_covariates, sample_clusters
from .covariates import Covariates, cell_columns, covariates, explain
from .effects import Effects, effects_from
from .kernel import CellError, logit
from .matched import adjustment, refuse_unfit, within_window

By = Literal["cell", "overall", "cohort", "event_time", "period"]


def poisson_att(
    panel: Panel,
    outcome: str,
    spec: DidSpec = PLAIN,
    weights: pd.Series | MatchedSample | None = None,
    clusters: pd.Series | None = None,
    by: By = "cell",
) -> Effects:
    """One row a treated cell (or summary of cells): log of the treated firms' total over their counterfactual total.

    Parameters
    ----------
    panel, outcome, spec, weights, clusters
        As in `att_gt`; the outcome is at least 0. With covariates, comparison firms are weighted by the odds of a
        logit, whatever `spec.method` says; `spec.base` is not used.
    by : str
        `cell`: one row a cohort and period. Otherwise the ratio of sums over the cells after treatment of each cohort,
        event time or period, or over all; never a mean of logs.

    Returns
    -------
    Effects
        `exp(estimate) − 1` is the effect in per cent of the counterfactual. Columns `observed` and `counterfactual` are
        weighted totals in units of the outcome. NaN where the observed total is zero (−100 %): a note names it.

    Raises
    ------
    DesignError
        Without treated firms, untreated firms, or a period before treatment.
    EstimationError
        When the outcome is negative, or covariates are collinear or separate a cohort from its comparison.

    Notes
    -----
    Wooldridge (2023), pooled Poisson quasi-likelihood with a mean exp(α_cohort + λ_period) for untreated firms, fitted
    to untreated cells only, which equals the pooled regression with a dummy for every treated cell. The outcome need
    not be a count, nor its variance equal its mean. Identified when growth *rates* would have been parallel. With
    `comparison: not_yet_treated` cohorts count as untreated until entry; with `never_treated` each cohort only in its
    base period, which also gives rows before treatment.

    With covariates, or weights by (cohort, firm_id), each cohort is fitted beside its own comparison: firms that enter
    later or never, times the odds of belonging to the cohort given the covariates. The influence includes the estimated
    odds.
    """
    wide = panel.wide(outcome).dropna(axis=1, how="all")
    negative = (wide < 0).any(axis=1)
    if negative.any():
        raise EstimationError(
            f"a Poisson mean needs amounts of at least 0; outcome '{outcome}' is negative for {some(wide.index[negative])}"
        )
    sample = weights if isinstance(weights, MatchedSample) else None
    if sample is not None:
        refuse_unfit(sample, spec)
        weights, clusters = sample.weights, sample_clusters(sample, panel.firms, spec) if clusters is None else clusters
    cohort = panel.firms["cohort"].to_numpy(float)
    weigh = cohort_weights(weights, panel.firms)
    last = wide.columns.max() if wide.shape[1] else -np.inf
    treated = [g for g, w in weigh.items() if g <= last and w[cohort == g].any()]
    if not treated:
        raise DesignError("no firm is treated within the periods: nothing to estimate")
    cov = covariates(panel.firms, spec.covariates)
    each = spec.covariates or (weights is not None and weights.index.nlevels == 2)
    cells, notes = [], list(missing_covariates(cov, wide.to_numpy(), wide.index))
    for group in [[g] for g in treated] if each else [treated]:
        w, score = weigh[group[0]], None
        if spec.covariates:
            w, score = _odds(cov, cohort, np.where(wide.notna().any(axis=1), w, 0.0), group[0])
        found, remarks = _cells(wide, cohort, w, group, spec, score)
        if sample is not None and group[0] in sample.estimated:
            found = [_reweighted(c, adjustment(sample, wide.index, group[0]), w, cohort == group[0]) for c in found]
        if sample is not None:
            found, more = within_window(found, sample)
            notes += more
        cells += found
        notes += [warn(n) for n in remarks]
    cells = [c for c in cells if by in ("cell", "event_time") or c.period >= c.cohort]
    if not cells:
        raise DesignError("no treated cell can be estimated: " + ("; ".join(map(str, notes)) or "none lies after treatment"))
    keys, groups = _grouped(cells, by)
    estimate, totals, arrays = _ratios(cells, groups)
    keys = pd.concat([keys, totals], axis=1)
    if np.isnan(estimate).any():
        zero = [" ".join(map(str, row)) for row in keys[np.isnan(estimate)].iloc[:, :2].to_numpy()]
        text = "the treated firms' total is zero, an effect of −100 % without an interval: {rows}"
        notes.append(warn(Note("zero_total", text, {"rows": some(zero, "row")})))
    labels = cluster_labels(panel.firms, spec.cluster) if clusters is None else clusters
    return effects_from(keys, estimate, arrays, wide.index, labels, spec.level, tuple(notes))


class _Cell(NamedTuple):
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


def _reweighted(cell: _Cell, adjust, w: np.ndarray, treated: np.ndarray) -> _Cell:
    """The cell with what the estimation of the firms' weights adds to its untreated mean and to its totals."""
    psi, observed, counterfactual = adjust(np.column_stack([cell.psi, cell.observed, cell.counterfactual]), w, treated).T
    return cell._replace(psi=psi, observed=observed, counterfactual=counterfactual)


def _odds(cov: Covariates, cohort: np.ndarray, w: np.ndarray, g: float):
    """Weights times the odds of belonging to cohort `g` rather than entering later or never; and what the odds add to an influence.

    The second value is (x of the comparison firms, influence on the logit's coefficients), arrays over all firms:
    weights of comparison firms are exp(x'β), so that an estimate moves by Σ ψᵢ xᵢ for a unit of β.
    """
    rows = np.flatnonzero((w > 0) & ~cov.missing & (cohort >= g))
    d = (cohort[rows] == g).astype(float)
    if d.all() or not d.any():
        return np.where(cohort >= g, w, 0.0), None
    where, names = f"cohort {g:g} (Poisson)", ["constant"]
    try:
        stay, x, names, _ = cell_columns(cov, rows, d)
        rows, d = rows[stay], d[stay]
        ps, psi = logit(d, x, w[rows])
    except CellError as error:
        raise explain(error, names, where) from None
    except EstimationError as error:
        raise EstimationError(f"{where}: {error}") from None
    weight, columns, score = np.zeros(len(w)), np.zeros((len(w), x.shape[1])), np.zeros((len(w), x.shape[1]))
    weight[rows] = w[rows] * np.where(d == 1, 1.0, ps / (1 - ps))
    columns[rows], score[rows] = x * (1 - d)[:, None], psi
    return weight, (columns, score)


def _cells(
    wide: pd.DataFrame, cohort: np.ndarray, w: np.ndarray, treated: list[float], spec: DidSpec, score: tuple | None = None
) -> tuple[list[_Cell], list[Note]]:
    """The cells of these cohorts beside their comparison firms, all from one untreated model."""
    periods = wide.columns.to_numpy()
    y = wide.to_numpy(float)
    weight = np.where(np.isnan(y), 0.0, w[:, None])
    y = np.nan_to_num(y)
    groups = np.array(
        [g for g in np.unique(cohort[weight.any(axis=1)]) if spec.comparison == "not_yet_treated" or g == NEVER or g in treated]
    )
    inside = (cohort[:, None] == groups).astype(float)
    total, exposure = inside.T @ (weight * y), inside.T @ weight
    untreated = np.array([_untreated(g, periods, spec) for g in groups]) & (exposure > 0)
    fitted = _with_totals(untreated, total)
    log_mean, inverse = untreated_model(total, exposure, fitted)
    residual = weight * (y - inside @ np.where(fitted, np.exp(log_mean), 0)) * (inside @ fitted)
    psi = np.column_stack([inside * residual.sum(axis=1, keepdims=True), residual]) @ inverse
    enters = ((inside @ fitted) * weight).any(axis=1)
    cells, lost, no_base = [], [], []
    for j, g in enumerate(groups):
        if g not in treated or not fitted[j].any():
            no_base += [f"{g:g}"] if g in treated else []
            continue
        base = periods[fitted[j]].max()
        for k, t in enumerate(periods):
            if _untreated(g, periods, spec)[k] or exposure[j, k] == 0:
                continue
            if np.isnan(log_mean[j, k]):
                lost.append(f"cohort {g:g} in {t}")
                continue
            phase = "post" if t >= g else "anticipation" if t >= g - spec.anticipation else "pre"
            own = inside[:, j] * weight[:, k]
            log_psi = psi[:, j] + psi[:, len(groups) + k]
            if score is not None:
                log_psi = log_psi + score[1] @ (score[0].T @ log_psi)
            cells.append(
                _Cell(
                    g, int(t), int(base), phase, own * y[:, k], own * np.exp(log_mean[j, k]), log_psi, own, enters & (cohort != g)
                )
            )
    notes = []
    if no_base:
        text = "cohort(s) left out, without an untreated period or with a total of zero there, so without a growth rate: {cohorts}"
        notes.append(Note("no_base_total", text, {"cohorts": ", ".join(no_base)}))
    if lost:
        notes.append(Note("no_comparison", "left out, without comparison firms: {cells}", {"cells": some(lost, "cell")}))
    return cells, notes


def _untreated(g: float, periods: np.ndarray, spec: DidSpec) -> np.ndarray:
    """The periods (bool) in which cohort `g` tells the untreated mean."""
    before = periods < g - spec.anticipation
    if spec.comparison == "not_yet_treated" or g == NEVER or not before.any():
        return before
    return periods == periods[before].max()


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


def _grouped(cells: list[_Cell], by: By) -> tuple[pd.DataFrame, list[list[int]]]:
    """Keys of the rows and which cells each one sums."""
    frame = pd.DataFrame({
        "cohort": [int(c.cohort) for c in cells],
        "period": [c.period for c in cells],
        "event_time": [int(c.period - c.cohort) for c in cells],
        "base_period": [c.base_period for c in cells],
        "phase": [c.phase for c in cells],
        "span": [c.period - c.base_period for c in cells],
    })  # fmt: skip
    if by == "cell":
        return frame, [[k] for k in range(len(cells))]
    if by == "overall":
        return pd.DataFrame({"term": ["overall"]}), [list(range(len(cells)))]
    groups = frame.groupby(by).indices
    keys = pd.DataFrame({"term": by, by: list(groups)})
    if by == "event_time":
        keys["phase"] = [frame["phase"][rows[0]] for rows in groups.values()]
        keys["span"] = [frame["span"][rows].mean() for rows in groups.values()]
    return keys, [list(rows) for rows in groups.values()]


def _ratios(cells: list[_Cell], groups: list[list[int]]):
    """Log ratios of totals, the totals, and (influence, treated_weight, control); the delta method, shares of firms included."""
    estimate, totals, influence, treated, control = [], [], [], [], []
    for group in groups:
        mine = [cells[k] for k in group]
        observed, counterfactual = sum(c.observed for c in mine), sum(c.counterfactual for c in mine)
        top, bottom = observed.sum(), counterfactual.sum()
        parameters = sum(c.counterfactual.sum() * c.psi for c in mine) / bottom
        estimate.append(np.log(top / bottom) if top > 0 else np.nan)
        influence.append(observed / top - counterfactual / bottom - parameters if top > 0 else np.zeros(len(observed)))
        weight = sum(c.weight for c in mine)
        treated.append(weight / weight.sum())
        control.append(np.any([c.control for c in mine], axis=0))
        totals.append((top, bottom))
    arrays = np.column_stack(influence), np.column_stack(treated), np.column_stack(control)
    return np.array(estimate), pd.DataFrame(totals, columns=["observed", "counterfactual"]), arrays
