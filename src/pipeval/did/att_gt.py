"""ATT(g,t): the effect on each cohort in each period, which firms a cell compares, and between which two periods."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..errors import DesignError, EstimationError, Note, some, warn
from ..matching.matched import MatchedSample
from ..study.specs import DidSpec
from .cells import (
    Cell,
    cell_keys,
    cluster_labels,
    cohort_weights,
    comparison_firms,
    plan,
    sampling_weights,
    seen_always,
    weightless,
)
from .covariates import (
    Covariates,
    cell_columns,
    covariates_by_cell,
    explain,
    missing_covariates,
    outside_support,
    without_covariate,
)  # fmt: skip
from .effects import Effects, effects_from
from .kernel import CellError, fitted_score, two_by_two
from .matched import adjustment, broken_sets, joined_clusters, refuse_unfit, within_window
from .sections import two_samples

PLAIN = DidSpec()


def att_gt(
    panel: Panel,
    outcome: str,
    spec: DidSpec = PLAIN,
    weights: pd.Series | MatchedSample | None = None,
    clusters: pd.Series | pd.DataFrame | None = None,
    periods: Collection[int] | None = None,
) -> Effects:
    """One row a cohort and period: the average effect on the firms of the cohort, in units of the outcome.

    Parameters
    ----------
    panel : Panel
        Firms with their cohort and covariates; outcomes by period.
    outcome : str
        A column of `panel.outcomes`.
    spec : DidSpec
        Method, covariates, sampling, lag, comparison, base period, anticipation, clusters, level.
    weights : MatchedSample or Series, optional
        A matched sample: its weights by cohort, so that a cohort is compared with its own partners only, its clusters, and
        what its making adds to the uncertainty (`did.matched.adjustment`). Or a Series by `firm_id`: sampling weights taken as
        known, by default the column of the firms that `spec.weights` names. Firms without a weight enter no cell.
    clusters : Series or DataFrame, optional
        Cluster by `firm_id`, two columns for two ways; by default what `spec.cluster` says, with a matched sample joined
        with its own clusters.
    periods : collection of int, optional
        Only the rows of these periods, for instance the year that a study reports; the others are not estimated.

    Returns
    -------
    Effects
        Keys `cohort, period, event_time, base_period, phase, span` (period − base period) and `weight_treated`, the
        weight of the treated firms in the cell. The base period itself is a row with estimate 0 and no standard error.
        With `lag: ancova` there is no row before entry.

    Raises
    ------
    DesignError
        Without treated firms, without comparison firms for any cell, with fewer than three clusters; a matched sample
        with `method: imputation`, which fits one model to all firms.
    EstimationError
        When covariates are collinear or separate a cell; it names them.

    Notes
    -----
    Callaway and Sant'Anna (2021), equations 2.4–2.9. A comparison firm has cohort > max(t, b) + anticipation: untreated
    at both ends. Firms observed at both ends of a cell enter it; with `sampling: balanced` those observed in every
    period, with `cross_sections` those observed at either end, each counted once in `n_treated` and `weight_treated`; with `lag:
    ancova` those observed in the cell's period and at least once before entry.
    Identified when, without the programme, treated and comparison firms alike in the covariates would have changed
    alike; with `lag: ancova` (McKenzie 2012), when those alike in the covariates and the mean before entry would have had
    the same level.

    Examples
    --------
    >>> import pandas as pd
    >>> wide = pd.DataFrame({1: [1.0, 2.0, 1.0, 3.0, 2.0], 2: [4.0, 6.0, 2.0, 4.5, 2.5]}, index=list("abcde"))
    >>> frame = wide.stack().rename("y").rename_axis(["firm", "year"]).reset_index()
    >>> frame["start"] = frame["firm"].map({"a": 2, "b": 2}).fillna(0)
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> import warnings; warnings.simplefilter("ignore")
    >>> att_gt(panel, "y").table[["cohort", "period", "estimate", "n_treated", "n_control"]].round(3).to_dict("records")[1]
    {'cohort': 2, 'period': 2, 'estimate': 2.5, 'n_treated': 2, 'n_control': 3}
    """
    sample = weights if isinstance(weights, MatchedSample) else None
    if spec.sampling == "balanced":
        kept, note = seen_always(panel, outcome)
        effects = att_gt(kept, outcome, spec.changed({"sampling": "both_ends"}), weights, clusters, periods)
        return replace(effects, notes=note + effects.notes)
    if spec.method == "imputation":
        if sample is not None:
            raise DesignError(
                "method: imputation fits one untreated model to all firms and cannot keep a cohort beside its own partners; with a "
                "matched sample use method: reg"
            )
        from .imputation import imputation_cells

        return _of_periods(imputation_cells(panel, outcome, spec, weights, clusters), periods)
    notes, weights = weightless(panel.firms, spec, weights), sampling_weights(panel.firms, spec, weights)
    wide = panel.wide(outcome).dropna(axis=1, how="all")
    if wide.shape[1] == 0:
        raise DesignError(f"outcome '{outcome}' has no value in any period")
    cohort = panel.firms["cohort"].to_numpy(float)
    fixed, covariates_of = covariates_by_cell(panel, spec, wide)
    notes += missing_covariates(fixed, wide.to_numpy(), wide.index)
    cells, plan_notes = plan(cohort, wide.columns.to_numpy(), spec)
    cells = [c for c in cells if periods is None or c.period in periods]
    if sample is not None:
        refuse_unfit(sample, spec)
        cells, window_notes = within_window(cells, sample)
        plan_notes += window_notes
        clusters = sample_clusters(sample, panel.firms, spec) if clusters is None else clusters
    weigh = cohort_weights(weights if sample is None else sample.weights, panel.firms)
    data = _Data(wide.to_numpy(float), {int(p): j for j, p in enumerate(wide.columns)}, cohort, weigh, covariates_of)
    keys, estimate, arrays, run_notes = _assembled(_run(cells, data, spec, fixed.missing), wide.index)
    if sample is not None:
        after = (keys["phase"] == "post").to_numpy()
        run_notes += broken_sets(sample, wide.index, arrays[1][:, after] > 0, arrays[2][:, after])
        for g in np.unique(keys["cohort"]):
            rows, adjust = (keys["cohort"] == g).to_numpy(), adjustment(sample, wide.index, float(g))
            if adjust is not None and spec.sampling == "cross_sections":
                raise DesignError(
                    f"match.method: {sample.spec.method}: what such a match adds to the uncertainty is known for changes of firms "
                    "seen at both ends; use sampling: both_ends"
                )
            if adjust is not None:
                inside = (arrays[1][:, rows] > 0) | arrays[2][:, rows]
                arrays[0][:, rows] = adjust(arrays[0][:, rows], weigh[float(g)], cohort == g, inside)
    labels = cluster_labels(panel.firms, spec.cluster) if clusters is None else clusters
    return effects_from(keys, estimate, arrays, wide.index, labels, spec.level, notes + plan_notes + run_notes)


def _of_periods(effects: Effects, periods: Collection[int] | None) -> Effects:
    if periods is None:
        return effects
    rows = effects.table["period"].isin(list(periods)).to_numpy()
    if not rows.any():
        raise DesignError(f"no cell can be estimated in {some(periods, 'period')}")
    arrays = {name: getattr(effects, name)[:, rows] for name in ("influence", "treated_weight", "control")}
    return replace(effects, table=effects.table[rows].reset_index(drop=True), **arrays)


def sample_clusters(sample: MatchedSample, firms: pd.DataFrame, spec: DidSpec) -> pd.Series:
    """The clusters of a matched sample, joined with the column that `spec.cluster` names, if it names one."""
    if spec.cluster in ("firm_id", "set_id"):
        return sample.clusters
    if isinstance(spec.cluster, tuple):
        raise DesignError(
            f"cluster: {list(spec.cluster)}: a matched sample joins its sets with one column; name one, the coarser of the two"
        )
    return joined_clusters(sample, cluster_labels(firms, spec.cluster))


class _Data(NamedTuple):
    """What the cells read: outcome (firms, periods), the column of a period, cohort, weights by cohort, covariates of a cell."""

    y: np.ndarray
    column: dict[int, int]
    cohort: np.ndarray
    weigh: dict[float, np.ndarray]
    covariates_of: Callable[[Cell], Covariates]


class _Fit(NamedTuple):
    """A cell and its estimate, arrays over the firms `rows`."""

    cell: Cell
    att: float
    rows: np.ndarray
    d: np.ndarray
    w: np.ndarray
    psi: np.ndarray
    outside: dict[str, int]  # comparison firms outside the support, by covariate
    gone: np.ndarray  # firms left out for a covariate missing in the cell's base period


def _run(cells: list[Cell], data: _Data, spec: DidSpec, known: np.ndarray) -> list:
    """A `_Fit` a cell, or (cell, why not); `known` are firms whose missing covariate has been told already."""
    seen = ~np.isnan(data.y)
    out, shared = [], {}
    for cell in cells:
        own = data.cohort == cell.cohort
        cov = data.covariates_of(cell)
        ends = [seen[:, data.column[cell.period]]]
        if spec.lag == "difference":
            ends.append(seen[:, data.column[cell.base_period]])
        here = np.logical_and.reduce(ends) if spec.sampling != "cross_sections" else np.logical_or.reduce(ends)
        here &= (data.weigh[cell.cohort] > 0) & (own | comparison_firms(data.cohort, cell, spec))
        rows = np.flatnonzero(here & ~cov.missing)
        gone = np.flatnonzero(here & cov.missing & ~known)
        d = own[rows].astype(float)
        w = data.weigh[cell.cohort][rows]
        counts = _sampled(seen[rows][:, [data.column[cell.period], data.column[cell.base_period]]], d, spec)
        if not counts[1]:
            out.append((cell, "no_treated"))
        elif cell.phase == "base":
            out.append(_Fit(cell, 0.0, rows, d, w, np.zeros(len(rows)), {}, gone))
        elif not counts[0]:
            out.append((cell, "no_comparison"))
        else:
            out.append(_estimated(_Fit(cell, np.nan, rows, d, w, np.zeros(0), {}, gone), cov, data, spec, shared))
    return out


def _sampled(seen: np.ndarray, d: np.ndarray, spec: DidSpec) -> list[bool]:
    """Whether the comparison and the treated firms are observed where the cell needs them."""
    if spec.sampling == "both_ends":
        return [(d == arm).any() for arm in (0, 1)]
    return [seen[d == arm].any(axis=0).all() for arm in (0, 1)]


def _estimated(fit: _Fit, cov: Covariates, data: _Data, spec: DidSpec, shared: dict) -> _Fit:
    """One cell estimated; `shared` holds what consecutive cells of the same firms have in common: columns and score."""
    names, cell = ["constant"], fit.cell
    j, b = data.column[cell.period], data.column[cell.base_period]
    try:
        old = shared.get("rows")
        if old is None or shared["cov"] is not cov or shared["cohort"] != cell.cohort or not np.array_equal(old, fit.rows):
            shared.clear()
            stay, x, names, outside = cell_columns(cov, fit.rows, fit.d)
            score = fitted_score(fit.d[stay], x, fit.w[stay], spec.method) if spec.sampling == "both_ends" else None
            shared.update(rows=fit.rows, cov=cov, cohort=cell.cohort, fit=(stay, x, names, outside, score))
        stay, x, names, outside, score = shared["fit"]
        rows, d, w = fit.rows[stay], fit.d[stay], fit.w[stay]
        late, early = data.y[rows, j], data.y[rows, b]
        if spec.sampling == "cross_sections":
            att, psi = _both_samples(late, early, d, x, w, spec.method)
        else:
            att, psi = two_by_two(late if spec.lag == "ancova" else late - early, d, x, w, spec.method, score)
    except CellError as error:
        raise explain(error, names, str(cell)) from None
    except EstimationError as error:
        raise EstimationError(f"{cell}: {error}") from None
    return fit._replace(att=att, rows=rows, d=d, w=w, psi=psi, outside=outside)


def _both_samples(late, early, d, x, w, method: str) -> tuple[float, np.ndarray]:
    """Each period's firms as a sample of their own, a firm's influence the sum over those in which it is seen."""
    firm = np.concatenate([np.flatnonzero(~np.isnan(values)) for values in (early, late)])
    is_late = np.repeat([0.0, 1.0], [np.count_nonzero(~np.isnan(values)) for values in (early, late)])
    y = np.where(is_late == 1, late[firm], early[firm])
    att, psi = two_samples(y, is_late, d[firm], x[firm], w[firm], method)
    return att, np.bincount(firm, psi, len(d))


def _assembled(run: list, firm_id: pd.Index):
    """Keys, estimates, arrays and notes of the cells that could be estimated."""
    done = [r for r in run if isinstance(r, _Fit)]
    notes = _remarks(run, done, firm_id)
    if all(r.cell.phase == "base" for r in done):
        reasons = "; ".join(map(str, notes)) or "only base periods are observed"
        raise DesignError(
            f"no cell can be estimated: {reasons}. Look at who is observed before and after, and at the comparison group"
        )
    shape = len(firm_id), len(done)
    influence, treated, control = (np.zeros(shape, kind, order="F") for kind in (float, float, bool))  # filled by column
    weight = np.array([r.w @ r.d for r in done])
    for k, r in enumerate(done):
        influence[r.rows, k] = r.psi
        treated[r.rows, k] = r.w * r.d / weight[k]
        control[r.rows, k] = r.d == 0
    keys = cell_keys([r.cell for r in done]).assign(weight_treated=weight)
    return keys, np.array([r.att for r in done]), (influence, treated, control), tuple(warn(n) for n in notes)


def _remarks(run: list, done: list[_Fit], firm_id: pd.Index) -> list[Note]:
    """Which cells could not be estimated, and which firms left for want of a covariate or of support."""
    notes = []
    for why, text in (("no_comparison", "without comparison firms"), ("no_treated", "without treated firms observed at both ends")):
        lost = [str(r[0]) for r in run if r[1] == why]
        if lost:
            notes.append(Note(why, "left out, " + text + ": {cells}", {"cells": some(lost, "cell")}))
    gone = firm_id[np.unique(np.concatenate([r.gone for r in done]))] if done else firm_id[:0]
    return notes + without_covariate(gone) + outside_support([r.outside for r in done])
