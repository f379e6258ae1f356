"""Effects on amounts with zeros, as per cent of what they would have been: Poisson by cohort and period.

Amounts such as export sales are zero for most small firms. A logarithm drops them and ln(1 + x) depends on the currency
unit; the exponential mean model does neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from ..data.panel import NEVER, Panel
from ..errors import DesignError, EstimationError, Note, some, warn
from ..matching.matched import MatchedSample
from ..study.specs import DidSpec
from .att_gt import PLAIN, sample_clusters
from .cells import Cell, cell_keys, cluster_labels, cohort_weights, sampling_weights, seen_always, weightless
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
from .kernel import CellError, logit
from .matched import adjustment, broken_sets, refuse_unfit, within_window
from .poisson_model import PoissonCell, base_period, poisson_cells

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
        logit, whatever `spec.method` says. Totals are of whoever is seen in a period: `sampling: both_ends` and
        `cross_sections` are the same here, `balanced` keeps the firms seen in all. `spec.base` and `spec.lag` are not used:
        `lag: ancova` has no counterpart in growth rates, and a note says so.
    by : str
        `cell`: one row a cohort and period. Otherwise the ratio of sums over the cells after treatment of each cohort,
        event time or period, or over all; never a mean of logs. `event_time` also has rows before entry, whatever the
        comparison, so that `pretrend_test` and `bands` work on it.

    Returns
    -------
    Effects
        `exp(estimate) − 1` is the effect in per cent of the counterfactual. Columns `observed` and `counterfactual` are
        weighted totals in units of the outcome. NaN where the observed total is zero (−100 %): a note names it.

    Raises
    ------
    DesignError
        Without treated firms, untreated firms, or a period before treatment; with covariates on a matched sample whose weights were
        estimated or whose controls serve again.
    EstimationError
        When the outcome is negative, or covariates are collinear or separate a cohort from its comparison.

    Notes
    -----
    Wooldridge (2023), pooled Poisson quasi-likelihood with a mean exp(α_cohort + λ_period) for untreated firms, fitted
    to untreated cells only, which equals the pooled regression with a dummy for every treated cell. The outcome need
    not be a count, nor its variance equal its mean. Identified when growth *rates* would have been parallel. With
    `comparison: not_yet_treated` cohorts count as untreated until entry; with `never_treated` each cohort only in its
    base period, which also gives cells before treatment.

    Rows before entry, `not_yet_treated`: under the pooled model a cohort's own years before entry are what it is compared
    with, and their residuals sum to nothing. So each cohort's leads come from a second model in which it enters with its
    base period only and every other cohort until entry: growth from that period to the one before entry (`span` < 0),
    against firms still untreated. Rows after entry are those of the pooled model, whose level before entry is the mean of
    all untreated years; sets under bounded violations, which need one base period for every row, take `never_treated`.

    With weights by (cohort, firm_id) each cohort is fitted beside its own comparison. With covariates so is each cohort and set of
    periods in which the same firms are still untreated: those firms, times the odds of belonging to the cohort rather than to them
    given the covariates, so that they stay like the cohort when others enter. The influence includes the estimated odds. A
    covariate that is an outcome of the panel has its value in the cohort's base period.

    Examples
    --------
    >>> amounts = {"a": [2, 4, 9], "b": [4, 2, 15], "c": [1, 3, 2], "d": [3, 0, 4], "e": [2, 3, 6]}
    >>> rows = [(firm, year, y, 3 if firm in "ab" else 0) for firm, v in amounts.items() for year, y in enumerate(v, 1)]
    >>> frame = pd.DataFrame(rows, columns=["firm", "year", "y", "start"])
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> import warnings; warnings.simplefilter("ignore")
    >>> table = poisson_att(panel, "y").table  # the treated sold 24 and would have sold 12: twice as much
    >>> table[["observed", "counterfactual"]].round(6).to_numpy().tolist(), round(float(np.exp(table["estimate"].item())), 6)
    ([[24.0, 12.0]], 2.0)
    """
    if spec.sampling == "balanced":
        kept, note = seen_always(panel, outcome)
        effects = poisson_att(kept, outcome, spec.changed({"sampling": "both_ends"}), weights, clusters, by)
        return replace(effects, notes=note + effects.notes)
    wide = amounts(panel, outcome)
    sample = weights if isinstance(weights, MatchedSample) else None
    notes, weights = weightless(panel.firms, spec, weights), sampling_weights(panel.firms, spec, weights)
    if spec.lag == "ancova":
        text = "lag: ancova has no counterpart for an effect in per cent of a total; growth rates are compared"
        notes += (warn(Note("lag_not_used", text, {})),)
    if sample is not None:
        refuse_unfit(sample, spec, odds=bool(spec.covariates))
        weights, clusters = sample.weights, sample_clusters(sample, panel.firms, spec) if clusters is None else clusters
    weigh = cohort_weights(weights, panel.firms)
    cells, more = _all_cells(panel, wide, spec, weigh, (weights is not None and weights.index.nlevels == 2, by))
    notes += more
    if sample is not None:
        cells, more = within_window(cells, sample)
        notes += more
    cells = [c for c in cells if by in ("cell", "event_time") or c.period >= c.cohort]
    if not cells:
        raise DesignError("no treated cell can be estimated: " + ("; ".join(map(str, notes)) or "none lies after treatment"))
    keys, groups = _grouped(cells, by)
    estimate, totals, arrays = _ratios(cells, groups, None if sample is None else _adjusted_by(sample, wide.index, weigh, panel))
    if sample is not None:
        after = [np.column_stack([getattr(c, arm) for c in cells if c.phase == "post"]) for arm in ("weight", "control")]
        notes += broken_sets(sample, wide.index, after[0] > 0, after[1])
    keys = pd.concat([keys, totals], axis=1)
    if np.isnan(estimate).any():
        zero = [" ".join(map(str, row)) for row in keys[np.isnan(estimate)].iloc[:, :2].to_numpy()]
        text = "the treated firms' total is zero, an effect of −100 % without an interval: {rows}"
        notes += (warn(Note("zero_total", text, {"rows": some(zero, "row")})),)
    labels = cluster_labels(panel.firms, spec.cluster) if clusters is None else clusters
    return effects_from(keys, estimate, arrays, wide.index, labels, spec.level, notes)


def amounts(panel: Panel, outcome: str) -> pd.DataFrame:
    """The outcome, firms × periods, proved to be at least 0.

    Raises
    ------
    EstimationError
        Naming the firms with negative amounts.
    """
    wide = panel.wide(outcome).dropna(axis=1, how="all")
    negative = (wide < 0).any(axis=1)
    if negative.any():
        raise EstimationError(
            f"a Poisson mean needs amounts of at least 0; outcome '{outcome}' is negative for {some(wide.index[negative])}"
        )
    return wide


class _Job(NamedTuple):
    """One untreated model: the cohorts described, before entry or not, the firms compared and the periods told (None: all)."""

    cohorts: list[float]
    leads: bool = False
    rivals: np.ndarray | None = None
    only: tuple[int, ...] | None = None


def _all_cells(
    panel: Panel, wide: pd.DataFrame, spec: DidSpec, weigh: dict[float, np.ndarray], how: tuple[bool, By]
) -> tuple[list[PoissonCell], tuple[Note, ...]]:
    """The cells of every cohort: all from one model, or each cohort beside its own comparison; leads beside them.

    `how`: whether each cohort has weights of its own, and the summary asked for.
    """
    cohort, last = panel.firms["cohort"].to_numpy(float), wide.columns.max() if wide.shape[1] else -np.inf
    treated = [g for g, w in weigh.items() if g <= last and w[cohort == g].any()]
    if not treated:
        raise DesignError("no firm is treated within the periods: nothing to estimate")
    if spec.comparison == "never_treated" and not (cohort == NEVER).any():
        raise DesignError("comparison: never_treated needs never-treated firms and there is none; use comparison: not_yet_treated")
    leads = how[1] == "event_time" and spec.comparison == "not_yet_treated"
    if spec.covariates:
        jobs = [job for g in treated for job in _beside(g, cohort, wide.columns.to_numpy(), spec, leads)]
    else:
        jobs = [_Job([g]) for g in treated] if how[0] else [_Job(treated)]
        jobs += [_Job([g], True) for g in treated] if leads else []
    weights, remarks = _with_odds(jobs, panel, wide, spec, weigh)
    notes = {str(n): n for n in remarks}
    cells = []
    for job, (w, score) in zip(jobs, weights, strict=True):
        found, remarks = poisson_cells(_until(wide, job), cohort, w, job.cohorts, spec, score, job.leads, job.only)
        cells += found
        notes |= {str(n): warn(n) for n in remarks if str(n) not in notes}
    return cells, tuple(notes.values())


def _beside(g: float, cohort: np.ndarray, periods: np.ndarray, spec: DidSpec, leads: bool) -> list[_Job]:
    """The models of one cohort when comparison firms are weighted to be like it: one for all periods with the same ones.

    Odds make the comparison like the cohort as a whole: when some of them enter, those left need odds of their own.
    """
    base = base_period(g, periods, spec.anticipation)
    if base is None:
        return [_Job([g])]
    if spec.comparison == "never_treated":
        return [_Job([g], rivals=cohort == NEVER)]
    by_rivals: dict[tuple, list[int]] = {}
    for t in periods[periods >= g - spec.anticipation]:
        by_rivals.setdefault(tuple(np.unique(cohort[cohort > t + spec.anticipation])), []).append(int(t))
    jobs = [_Job([g], False, np.isin(cohort, kept), tuple(own)) for kept, own in by_rivals.items()]
    before = tuple(int(t) for t in periods[periods <= base])
    return jobs + ([_Job([g], True, (cohort > base + spec.anticipation) & (cohort != g), before)] if leads else [])


def _until(wide: pd.DataFrame, job: _Job) -> pd.DataFrame:
    """The periods up to the last one that the job tells, in all of which those compared are untreated."""
    return wide if job.only is None else wide.loc[:, wide.columns <= max(job.only)]


def _with_odds(
    jobs: list[_Job], panel: Panel, wide: pd.DataFrame, spec: DidSpec, weigh: dict[float, np.ndarray]
) -> tuple[list[tuple], list[Note]]:
    """Weights and what estimated odds owe to their estimation (None: known), a job each; notes on who leaves for covariates."""
    cohort, periods = panel.firms["cohort"].to_numpy(float), wide.columns.to_numpy()
    fixed, covariates_of = covariates_by_cell(panel, spec.changed({"lag": "difference"}), wide)
    notes = list(missing_covariates(fixed, wide.to_numpy(), wide.index))
    found, outside, gone = [], [], np.zeros(len(cohort), bool)
    for job in jobs:
        g = job.cohorts[0]
        if job.rivals is None:
            found.append((weigh[g], None))
            continue
        base = base_period(g, periods, spec.anticipation)
        cov = covariates_of(Cell(g, base, base, "base"))
        there = (job.rivals | (cohort == g)) & _until(wide, job).notna().any(axis=1).to_numpy() & (weigh[g] > 0)
        gone |= there & cov.missing & ~fixed.missing
        odds, left = _odds(cov, cohort, np.where(there, weigh[g], 0.0), g)
        found.append(odds)
        outside.append(left)
    return found, notes + [warn(n) for n in without_covariate(wide.index[gone]) + outside_support(outside)]


Adjusted = Callable[[float, np.ndarray, np.ndarray], np.ndarray]


def _adjusted_by(sample: MatchedSample, firm_id: pd.Index, weigh: dict[float, np.ndarray], panel: Panel) -> Adjusted:
    """What a cohort, its part of a row's influence (n,) and the firms in it (bool) become once the match is accounted for."""
    cohort = panel.firms["cohort"].to_numpy(float)
    known = {g: adjustment(sample, firm_id, g) for g in np.unique(sample.sets["cohort"].astype(float))}

    def adjusted(g: float, part: np.ndarray, inside: np.ndarray) -> np.ndarray:
        if known.get(g) is None:
            return part
        w, treated = weigh[g], cohort == g
        # a cohort's part of a ratio of sums need not sum to zero: its mean is the cohort's share in the sums, not the match's doing
        share = np.zeros(len(part)) if g in sample.estimated else treated * w * (part.sum() / (treated @ w))
        return known[g]((part - share)[:, None], w, treated, inside[:, None])[:, 0] + share

    return adjusted


def _odds(cov: Covariates, cohort: np.ndarray, w: np.ndarray, g: float) -> tuple[tuple, dict[str, int]]:
    """Weights times the odds of belonging to cohort `g` rather than to its comparison, with what the odds add to an influence.

    The second of these is (x of the comparison firms, influence on the logit's coefficients), arrays over all firms:
    weights of comparison firms are exp(x'β), so that an estimate moves by Σ ψᵢ xᵢ for a unit of β. Beside them the comparison
    firms left out by covariate, as no treated firm is like them.
    """
    rows = np.flatnonzero((w > 0) & ~cov.missing)
    d = (cohort[rows] == g).astype(float)
    if d.all() or not d.any():
        return (np.where(cov.missing, 0.0, w), None), {}
    where, names = f"cohort {g:g} (Poisson)", ["constant"]
    try:
        stay, x, names, outside = cell_columns(cov, rows, d)
        rows, d = rows[stay], d[stay]
        ps, psi = logit(d, x, w[rows])
    except CellError as error:
        raise explain(error, names, where) from None
    except EstimationError as error:
        raise EstimationError(f"{where}: {error}") from None
    weight, columns, score = np.zeros(len(w)), np.zeros((len(w), x.shape[1])), np.zeros((len(w), x.shape[1]))
    weight[rows] = w[rows] * np.where(d == 1, 1.0, ps / (1 - ps))
    columns[rows], score[rows] = x * (1 - d)[:, None], psi
    return (weight, (columns, score)), outside


def _grouped(cells: list[PoissonCell], by: By) -> tuple[pd.DataFrame, list[list[int]]]:
    """Keys of the rows and which cells each one sums."""
    frame = cell_keys(cells)
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


def _ratios(cells: list[PoissonCell], groups: list[list[int]], adjusted: Adjusted | None):
    """Log ratios of totals, the totals, and (influence, treated_weight, control); the delta method, shares of firms included."""
    estimate, totals, influence, treated, control = [], [], [], [], []
    for group in groups:
        mine = [cells[k] for k in group]
        observed, counterfactual = sum(c.observed for c in mine), sum(c.counterfactual for c in mine)
        top, bottom = observed.sum(), counterfactual.sum()
        estimate.append(np.log(top / bottom) if top > 0 else np.nan)
        own = np.zeros(len(observed))
        for g in sorted({c.cohort for c in mine}) if top > 0 else ():
            part, inside = np.zeros(len(own)), np.zeros(len(own), bool)
            for c in (c for c in mine if c.cohort == g):
                part += c.observed / top - (c.counterfactual + c.counterfactual.sum() * c.psi) / bottom
                inside |= (c.weight > 0) | c.control
            own += part if adjusted is None else adjusted(g, part, inside)
        influence.append(own)
        weight = sum(c.weight for c in mine)
        treated.append(weight / weight.sum())
        control.append(np.any([c.control for c in mine], axis=0))
        totals.append((top, bottom))
    arrays = np.column_stack(influence), np.column_stack(treated), np.column_stack(control)
    return np.array(estimate), pd.DataFrame(totals, columns=["observed", "counterfactual"]), arrays
