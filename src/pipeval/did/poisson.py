"""Effects on amounts with zeros, as per cent of what they would have been: Poisson by cohort and period.

Amounts such as export sales are zero for most small firms. A logarithm drops them and ln(1 + x) depends on the currency
unit; the exponential mean model does neither.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..errors import DesignError, EstimationError, Note, some, warn
from ..matching.matched import MatchedSample
from ..study.specs import DidSpec
from .att_gt import PLAIN, cluster_labels, missing_covariates, sample_clusters
from .cells import Cell, cohort_weights
from .covariates import Covariates, cell_columns, covariates_by_cell, explain
from .effects import Effects, effects_from
from .kernel import CellError, logit
from .matched import adjustment, refuse_unfit, within_window
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
        logit, whatever `spec.method` says; `spec.base`, `spec.sampling` and `spec.lag` are not used.
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
        Without treated firms, untreated firms, or a period before treatment.
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

    With covariates, or weights by (cohort, firm_id), each cohort is fitted beside its own comparison: firms that enter
    later or never, times the odds of belonging to the cohort given the covariates. The influence includes the estimated
    odds. A covariate that is an outcome of the panel has its value in the cohort's base period.

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
    wide = amounts(panel, outcome)
    sample = weights if isinstance(weights, MatchedSample) else None
    if sample is not None:
        refuse_unfit(sample, spec)
        weights, clusters = sample.weights, sample_clusters(sample, panel.firms, spec) if clusters is None else clusters
    cells, notes = _all_cells(panel, wide, spec, weights, sample, by)
    if sample is not None:
        cells, more = within_window(cells, sample)
        notes += more
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


def _all_cells(
    panel: Panel, wide: pd.DataFrame, spec: DidSpec, weights: pd.Series | None, sample: MatchedSample | None, by: By
) -> tuple[list[PoissonCell], list[Note]]:
    """The cells of every cohort: all from one model, or each cohort beside its own comparison; leads beside them."""
    cohort, last = panel.firms["cohort"].to_numpy(float), wide.columns.max() if wide.shape[1] else -np.inf
    weigh = cohort_weights(weights, panel.firms)
    treated = [g for g, w in weigh.items() if g <= last and w[cohort == g].any()]
    if not treated:
        raise DesignError("no firm is treated within the periods: nothing to estimate")
    each = bool(spec.covariates) or (weights is not None and weights.index.nlevels == 2)
    second = by == "event_time" and spec.comparison == "not_yet_treated"
    jobs = [([g], False) for g in treated] if each else [(treated, False)]
    jobs += [([g], True) for g in treated] if second else []
    fixed, covariates_of = covariates_by_cell(panel, spec.changed({"lag": "difference"}), wide)
    notes = {str(n): n for n in missing_covariates(fixed, wide.to_numpy(), wide.index)}
    cells, odds = [], {}
    for group, leads in jobs:
        g, w, score = group[0], weigh[group[0]], None
        base = base_period(g, wide.columns.to_numpy(), spec.anticipation)
        if spec.covariates and base is not None:
            if g not in odds:
                cov = covariates_of(Cell(g, base, base, "base"))
                odds[g] = _odds(cov, cohort, np.where(wide.notna().any(axis=1), w, 0.0), g)
            w, score = odds[g]
        found, remarks = poisson_cells(wide, cohort, w, group, spec, score, leads)
        if sample is not None and g in sample.estimated:
            found = [_reweighted(c, adjustment(sample, wide.index, g), w, cohort == g) for c in found]
        cells += found
        notes |= {str(n): warn(n) for n in remarks if str(n) not in notes}
    return cells, list(notes.values())


def _reweighted(cell: PoissonCell, adjust, w: np.ndarray, treated: np.ndarray) -> PoissonCell:
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


def _grouped(cells: list[PoissonCell], by: By) -> tuple[pd.DataFrame, list[list[int]]]:
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


def _ratios(cells: list[PoissonCell], groups: list[list[int]]):
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
