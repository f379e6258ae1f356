"""Effects by imputation: one model of untreated outcomes, fitted where firms are untreated, says what treated firms would have had.

Legend: `y` outcomes (firms, periods); `seen` untreated and observed; `w` weights of firms; `x` covariates, the first column ones;
`psi` influence.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..errors import DesignError, EstimationError, Note, some, warn
from ..study.specs import DidSpec
from .att_gt import missing_covariates
from .cells import Cell, cell_keys, cluster_labels, cohort_weights, sampling_weights, seen_always, weightless
from .covariates import covariates
from .effects import Effects, effects_from
from .untreated import Untreated, model_columns, untreated_model

PLAIN = DidSpec()


class _Setting(NamedTuple):
    """What both public functions start from."""

    firm_id: pd.Index
    periods: np.ndarray
    cohort: np.ndarray
    y: np.ndarray  # missing values are 0
    observed: np.ndarray  # with a weight and covariates
    model: Untreated
    notes: tuple[Note, ...]


def imputation_cells(
    panel: Panel,
    outcome: str,
    spec: DidSpec = PLAIN,
    weights: pd.Series | None = None,
    clusters: pd.Series | pd.DataFrame | None = None,
) -> Effects:
    """One row a cohort and period from entry on: the mean difference of outcomes and what untreated ones predict, in their units.

    Parameters
    ----------
    panel : Panel
        Firms with their cohort and covariates; outcomes by period. Firms may miss periods.
    outcome : str
        A column of `panel.outcomes`.
    spec : DidSpec
        Covariates of firms, anticipation, weights, clusters, level and `sampling: balanced` are read.
    weights : Series, optional
        Sampling weights by `firm_id`, taken as known; by default what `spec.weights` says. Firms without a weight leave.
    clusters : Series or DataFrame, optional
        Cluster by `firm_id`, two columns for two-way clusters; by default what `spec.cluster` says.

    Returns
    -------
    Effects
        The columns of `att_gt`: `cohort, period, event_time, base_period` (the last untreated period of the cohort), `phase`
        (`anticipation`, `post`), `span` (period − base period), `weight_treated`. `aggregate` takes them. `n_control`
        counts firms of other cohorts seen untreated at least twice.

    Raises
    ------
    DesignError
        Without treated firms or without a cell that can be imputed; with fewer than three clusters.
    EstimationError
        When covariates are collinear; it names them.

    Warns
    -----
    PipevalWarning
        `never_untreated`: treated firms without an untreated observation. `no_comparison`: cells in whose period no firm is
        untreated. `not_identified`: single firm-periods whose untreated outcome nothing determines. All are left out.

    Notes
    -----
    Borusyak, Jaravel and Spiess (2024), section 4.1: y_it(0) = α_i + β_t + x_i′γ_t is fitted on observations with t < cohort −
    anticipation, by least squares; an effect is y_it less its prediction; a cell is their mean. Identified when, without the
    programme, firms alike in x would have changed alike on average, in every period. With v_it the weight of an observation
    in a cell's estimate, the influence of a firm is Σ_t v_it ε_it (section 4.3), the residual of a treated observation
    being taken from the mean effect of its cohort and period: averages of cells then have the same influence as their own
    estimate. It is conservative where effects differ within a cell. (With unequal weights Borusyak et al. weigh that mean by v².)

    Examples
    --------
    >>> import warnings; warnings.simplefilter("ignore")
    >>> wide = pd.DataFrame({1: [1.0, 2.0, 1.0, 3.0, 2.0], 2: [4.0, 6.0, 2.0, 4.5, 2.5]}, index=list("abcde"))
    >>> frame = wide.stack().rename("y").rename_axis(["firm", "year"]).reset_index()
    >>> frame["start"] = frame["firm"].map({"a": 2, "b": 2}).fillna(0)
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> imputation_cells(panel, "y").table[["cohort", "period", "estimate", "n_treated", "n_control"]].round(3).to_dict("records")
    [{'cohort': 2, 'period': 2, 'estimate': 2.5, 'n_treated': 2, 'n_control': 3}]
    """
    setting = _prepared(panel, outcome, spec, weights)
    cells, share, weight, notes = _cells(setting, spec)
    model, y = setting.model, setting.y
    column = np.searchsorted(setting.periods, [cell.period for cell in cells])
    effect = (y - model.predicted(y))[:, column]
    estimate = (share * effect).sum(axis=0)
    psi = share * (effect - estimate)
    moments, error = model.adjoint(share, column), model.w[:, None] * model.residuals(y)
    for a in range(model.x.shape[1]):
        psi -= (error * model.x[:, [a]]) @ moments[:, :, a].T
    fitted = model.seen.sum(axis=1) > 1  # a single observation is absorbed by the firm's own effect
    control = fitted[:, None] & (setting.cohort[:, None] != np.array([cell.cohort for cell in cells]))
    labels = cluster_labels(panel.firms, spec.cluster) if clusters is None else clusters
    arrays = psi, share, control
    keys = cell_keys(cells).assign(weight_treated=weight)
    return effects_from(keys, estimate, arrays, setting.firm_id, labels, spec.level, setting.notes + notes)


def imputation_leads(
    panel: Panel,
    outcome: str,
    leads: int,
    spec: DidSpec = PLAIN,
    weights: pd.Series | None = None,
    clusters: pd.Series | pd.DataFrame | None = None,
) -> Effects:
    """One row an event time before entry: how far treated firms stand from where earlier periods and other firms put them.

    A regression of untreated observations on firm and period effects (covariates times periods) and one dummy for each of the
    last `leads` event times before entry, or before anticipation sets in. Effects after entry play no part in it, so the test
    of these rows (`pretrend_test`) is independent of them when errors are alike and unrelated.

    Parameters
    ----------
    leads : int
        How many event times; earlier untreated periods of treated firms, and all of other firms, are the reference.
    panel, outcome, spec, weights, clusters
        As in `imputation_cells`.

    Returns
    -------
    Effects
        Keys `term` ("event_time"), `event_time`, `phase` ("pre") and `span`: the row's mean were treated firms on a trend of
        slope 1 of their own, the same regression of (period − cohort) for firms that are ever treated and 0 for others. With
        one cohort this is event time less its mean over the reference periods; 0 where no firm is never treated, as a trend
        common to all is then beyond any test. `n_control` counts firms fitted that are not in the row; where every
        firm is, those at another event time while others were at this one.

    Raises
    ------
    DesignError
        When `leads` is below 1 or no treated firm is observed in them.
    EstimationError
        When the dummies are collinear with firm and period effects.

    Notes
    -----
    Borusyak, Jaravel and Spiess (2024), section 4.4, test 1. Influence of firm i: (D̃′WD̃)⁻¹ w_i Σ_t d̃_it e_it, d̃ what the
    model leaves of the dummies.

    Examples
    --------
    >>> import warnings; warnings.simplefilter("ignore")
    >>> rows = [(i, t, 4 * (i < 3), i + (i < 3) * (t == 3) + 0.1 * (i * t) % 1) for i in range(8) for t in range(1, 5)]
    >>> frame = pd.DataFrame(rows, columns=["firm", "year", "start", "y"])
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> imputation_leads(panel, "y", 1).table[["event_time", "phase", "span"]].round(9).to_dict("records")
    [{'event_time': -1, 'phase': 'pre', 'span': 1.5}]
    """
    if leads < 1:
        raise DesignError(f"leads: at least 1 period before entry is tested; found {leads}")
    setting = _prepared(panel, outcome, spec, weights)
    model, y = setting.model, setting.y
    event = np.where(np.isfinite(setting.cohort)[:, None], setting.periods - setting.cohort[:, None], np.nan)
    times = [k for k in range(-leads - spec.anticipation, -spec.anticipation) if (model.seen & (event == k)).any()]
    if not times:
        raise DesignError(f"no treated firm is observed untreated in the last {leads} periods before entry; add earlier periods")
    dummies = [(model.seen & (event == k)).astype(float) for k in times]
    left = [model.residuals(d) for d in dummies]
    gram = np.array([[_total(model, one, other) for other in dummies] for one in left])
    _refuse_absorbed(gram, np.array([_total(model, d, d) for d in dummies]), times)
    own_trend = np.nan_to_num(event)
    estimate = np.linalg.solve(gram, [_total(model, one, y) for one in left])
    span = np.linalg.solve(gram, [_total(model, one, own_trend) for one in left])
    error = model.residuals(y) - sum(b * one for b, one in zip(estimate, left, strict=True))
    scores = np.column_stack([model.w * (one * error).sum(axis=1) for one in left])
    psi = np.linalg.solve(gram, scores.T).T
    mass = np.column_stack([model.w * d.sum(axis=1) for d in dummies])
    fitted = (model.seen.sum(axis=1) > 1)[:, None]
    others = fitted & (mass == 0)
    beside = fitted & np.column_stack([(model.seen & d.any(axis=0) & (d == 0)).any(axis=1) for d in dummies])
    control = np.where(others.any(axis=0), others, beside)
    keys = pd.DataFrame({"term": "event_time", "event_time": times, "phase": "pre", "span": np.where(np.abs(span) < 1e-9, 0, span)})
    labels = cluster_labels(panel.firms, spec.cluster) if clusters is None else clusters
    return effects_from(keys, estimate, (psi, mass / mass.sum(axis=0), control), setting.firm_id, labels, spec.level, setting.notes)


def _total(model: Untreated, one: np.ndarray, other: np.ndarray) -> float:
    return float(model.w @ (one * other).sum(axis=1))


def _prepared(panel: Panel, outcome: str, spec: DidSpec, weights: pd.Series | None) -> _Setting:
    panel, notes = seen_always(panel, outcome) if spec.sampling == "balanced" else (panel, ())
    notes += weightless(panel.firms, spec, weights)
    weights = sampling_weights(panel.firms, spec, weights)
    wide = panel.wide(outcome).dropna(axis=1, how="all")
    if wide.shape[1] == 0:
        raise DesignError(f"outcome '{outcome}' has no value in any period")
    if weights is not None and (not isinstance(weights, pd.Series) or weights.index.nlevels > 1):
        raise DesignError(
            "imputation compares all cohorts with all untreated firms: weights are a Series by firm_id, one a firm; with a matched "
            "sample use method: reg, dr or ipw, or sum its weights over cohorts"
        )
    cohort, periods = panel.firms["cohort"].to_numpy(float), wide.columns.to_numpy()
    _refuse_untreated(cohort, periods)
    moving = [name for name in spec.covariates if name not in panel.firms.columns and name in panel.outcomes.columns]
    if moving:
        raise DesignError(
            f"imputation takes covariates of firms, which the programme cannot move; {', '.join(moving)} varies over periods. "
            "Put its value before the programme into panel.firms, or use method: reg, dr or ipw"
        )
    cov = covariates(panel.firms, spec.covariates)
    w = next(iter(cohort_weights(weights, panel.firms).values()))
    y = wide.to_numpy(float)
    notes += missing_covariates(cov, y, wide.index)
    observed = ~np.isnan(y) & (~cov.missing & (w > 0))[:, None]
    seen = observed & (periods < cohort[:, None] - spec.anticipation)
    fitted = seen.sum(axis=1) > 1
    if not fitted.any():
        raise DesignError(
            "imputation needs firms observed untreated in two periods or more; there is none. Add periods before entry or "
            "firms that are never treated"
        )
    x = model_columns(cov, fitted, w)
    return _Setting(wide.index, periods, cohort, np.nan_to_num(y), observed, untreated_model(seen, w, x), notes)


def _refuse_untreated(cohort: np.ndarray, periods: np.ndarray) -> None:
    if not (cohort <= periods.max()).any():
        raise DesignError(f"no firm is treated within the periods {periods.min()}–{periods.max()}: nothing to estimate")


def _cells(setting: _Setting, spec: DidSpec) -> tuple[list[Cell], np.ndarray, np.ndarray, tuple[Note, ...]]:
    """Cells that can be imputed, each firm's share in them (firms, cells), their weight, and notes on what is left out."""
    model, cohort, periods = setting.model, setting.cohort, setting.periods
    due = setting.observed & (periods >= cohort[:, None] - spec.anticipation)
    ready = due & model.seen.any(axis=1)[:, None]
    imputed = ready & model.known()
    alone = ready & ~imputed  # single firm-periods: those of cells that are lost whole leave it below
    cells, columns, lost, unseen = [], [], [], []
    for g in np.unique(cohort[cohort <= periods.max() + spec.anticipation]):
        before = periods[periods < g - spec.anticipation]
        own = cohort == g
        for j in np.flatnonzero(periods >= g - spec.anticipation) if len(before) else ():
            cell = Cell(g, int(periods[j]), int(before.max()), "post" if periods[j] >= g else "anticipation")
            if imputed[own, j].any():
                cells.append(cell)
                columns.append(own * imputed[:, j] * model.w)
            else:
                (lost if ready[own, j].any() else unseen).append(str(cell))
                alone[own, j] = False
    notes = _left_out(setting, (due & ~ready).any(axis=1), alone, lost, unseen)
    if not cells:
        raise DesignError(
            f"no cell can be imputed: {'; '.join(map(str, notes)) or 'no treated firm is observed after entry'}. Add periods "
            "before entry, or firms never or later treated"
        )
    weighted = np.column_stack(columns)
    weight = weighted.sum(axis=0)
    return cells, weighted / weight, weight, tuple(warn(note) for note in notes)


def _left_out(setting: _Setting, never: np.ndarray, alone: np.ndarray, lost: list[str], unseen: list[str]) -> list[Note]:
    notes = []
    if never.any():
        text = "left out, never observed untreated, so nothing says what they would have had: {firms}"
        notes.append(Note("never_untreated", text, {"firms": some(setting.firm_id[never])}))
    if lost:
        notes.append(Note("no_comparison", "left out, without comparison firms: {cells}", {"cells": some(lost, "cell")}))
    if unseen:
        text = "left out, without treated firms observed at both ends: {cells}"
        notes.append(Note("no_treated", text, {"cells": some(unseen, "cell")}))
    if alone.any():
        ids = [f"{setting.firm_id[i]} in {setting.periods[j]}" for i, j in np.argwhere(alone)]
        text = "left out, as no untreated firm links them to the periods before: {observations}"
        notes.append(Note("not_identified", text, {"observations": some(ids, "firm-period")}))
    return notes


def _refuse_absorbed(gram: np.ndarray, raw: np.ndarray, times: list[int]) -> None:
    """Refuse dummies that firm and period effects, or one another, determine."""
    values, vectors = np.linalg.eigh(gram / np.sqrt(np.outer(raw, raw)))
    if values[0] > 1e-9:
        return
    culprits = [f"{k:g}" for k, part in zip(times, vectors[:, 0], strict=True) if abs(part) > 0.1]
    raise EstimationError(
        f"event time(s) {', '.join(culprits)} are collinear with firm and period effects. Likeliest first: "
        "(1) leads reach back to the first period of every treated firm and no firm is never treated: ask for fewer; "
        "(2) no other firm is untreated then"
    )
