"""ATT(g,t): the effect on each cohort in each period, which firms a cell compares, and between which two periods."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..data.panel import NEVER, Panel
from ..errors import DesignError, EstimationError, Note, some, warn
from ..matching.matched import MatchedSample
from ..study.specs import DidSpec
from .covariates import Covariates, cell_columns, covariates, explain
from .effects import Effects, effects_from
from .kernel import CellError, logit, score_columns, two_by_two
from .matched import adjustment, broken_sets, joined_clusters, refuse_unfit, within_window

PLAIN = DidSpec()


class Cell(NamedTuple):
    """One cohort between two periods; `phase` is pre, base, anticipation or post."""

    cohort: float
    period: int
    base_period: int
    phase: str

    def __str__(self) -> str:
        return f"cohort {self.cohort:g}, {self.base_period}→{self.period}"


def att_gt(
    panel: Panel,
    outcome: str,
    spec: DidSpec = PLAIN,
    weights: pd.Series | MatchedSample | None = None,
    clusters: pd.Series | None = None,
) -> Effects:
    """One row a cohort and period: the average effect on the firms of the cohort, in units of the outcome.

    Parameters
    ----------
    panel : Panel
        Firms with their cohort and covariates; outcomes by period.
    outcome : str
        A column of `panel.outcomes`.
    spec : DidSpec
        Method, covariates, comparison, base period, anticipation, clusters, level.
    weights : MatchedSample or Series, optional
        A matched sample: its weights by cohort, so that a cohort is compared with its own partners only, its clusters, and
        what its making adds to the uncertainty (`did.matched.adjustment`). Or a Series by `firm_id`: sampling weights taken as
        known. Firms without a weight enter no cell.
    clusters : Series, optional
        Cluster by `firm_id`; by default what `spec.cluster` says, with a matched sample joined with its own clusters.

    Returns
    -------
    Effects
        Keys `cohort, period, event_time, base_period, phase, span` (period − base period) and `weight_treated`, the
        weight of the treated firms in the cell. The base period itself is a row with estimate 0 and no standard error.

    Raises
    ------
    DesignError
        Without treated firms, without comparison firms for any cell, with fewer than three clusters.
    EstimationError
        When covariates are collinear or separate a cell; it names them.

    Notes
    -----
    Callaway and Sant'Anna (2021), equations 2.4–2.9. A comparison firm has cohort > max(t, b) + anticipation: untreated
    at both ends. Firms observed at both ends of a cell enter it. Identified when, without the programme, treated and
    comparison firms alike in the covariates would have changed alike.

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
    wide = panel.wide(outcome).dropna(axis=1, how="all")
    if wide.shape[1] == 0:
        raise DesignError(f"outcome '{outcome}' has no value in any period")
    cohort = panel.firms["cohort"].to_numpy(float)
    cov = covariates(panel.firms, spec.covariates)
    y = wide.to_numpy(float)
    notes = missing_covariates(cov, y, wide.index)
    cells, plan_notes = plan(cohort, wide.columns.to_numpy(), spec)
    sample = weights if isinstance(weights, MatchedSample) else None
    if sample is not None:
        refuse_unfit(sample, spec)
        cells, window_notes = within_window(cells, sample)
        plan_notes += window_notes
        clusters = sample_clusters(sample, panel.firms, spec) if clusters is None else clusters
    weigh = cohort_weights(weights if sample is None else sample.weights, panel.firms)
    run = _run(cells, y, wide.columns, cohort, cov, weigh, spec)
    keys, estimate, arrays, run_notes = _assembled(run, len(wide))
    if sample is not None:
        after = (keys["phase"] == "post").to_numpy()
        run_notes += broken_sets(sample, wide.index, arrays[1][:, after] > 0, arrays[2][:, after])
        for g in np.unique(keys["cohort"]):
            rows, adjust = (keys["cohort"] == g).to_numpy(), adjustment(sample, wide.index, float(g))
            if adjust is not None:
                inside = (arrays[1][:, rows] > 0) | arrays[2][:, rows]
                arrays[0][:, rows] = adjust(arrays[0][:, rows], weigh[float(g)], cohort == g, inside)
    labels = cluster_labels(panel.firms, spec.cluster) if clusters is None else clusters
    return effects_from(keys, estimate, arrays, wide.index, labels, spec.level, notes + plan_notes + run_notes)


def plan(cohort: np.ndarray, periods: np.ndarray, spec: DidSpec) -> tuple[list[Cell], tuple[Note, ...]]:
    """Every cell that the design asks for, before looking at who is observed; cohorts without a base period leave with a note.

    Raises
    ------
    DesignError
        When no firm is treated within the periods, none has a period before, or there is no never-treated firm to
        compare with.
    """
    treated = np.unique(cohort[np.isfinite(cohort)])
    treated = treated[treated <= periods.max()]
    if len(treated) == 0:
        raise DesignError(f"no firm is treated within the periods {periods.min()}–{periods.max()}: nothing to estimate")
    if spec.comparison == "never_treated" and not (cohort == NEVER).any():
        raise DesignError("comparison: never_treated needs never-treated firms and there is none; use comparison: not_yet_treated")
    cells, always, moved = [], [], []
    for g in treated:
        last = g - 1 - spec.anticipation
        before = periods[periods <= last]
        if len(before) == 0:
            always.append(g)
            continue
        base = int(before.max())
        if base != last:
            moved.append(f"{g:g} ({base})")
        cells += _cohort_cells(g, base, periods, spec)
    notes = []
    if always:
        firms = int(np.isin(cohort, always).sum())
        notes.append(warn(Note(
            "always_treated", "cohort(s) {cohorts} have no period before treatment: their {n} firms are left out",
            {"cohorts": ", ".join(f"{g:g}" for g in always), "n": firms},
        )))  # fmt: skip
    if moved:
        notes.append(warn(Note(
            "base_moved", "the period before treatment is not observed; cohort (base period used instead): {cohorts}",
            {"cohorts": ", ".join(moved)},
        )))  # fmt: skip
    if not cells:
        raise DesignError(
            "no cohort has a period before treatment: every treated firm is treated in all periods. Add earlier periods"
        )
    return cells, tuple(notes)


def _cohort_cells(g: float, base: int, periods: np.ndarray, spec: DidSpec) -> list[Cell]:
    cells = []
    for position, t in enumerate(periods):
        phase = "post" if t >= g else "anticipation" if t >= g - spec.anticipation else "pre"
        if spec.base == "universal":
            cells.append(Cell(g, int(t), base, "base" if t == base else phase))
        elif phase != "pre":
            cells.append(Cell(g, int(t), base, phase))
        elif position > 0:
            cells.append(Cell(g, int(t), int(periods[position - 1]), phase))
    return cells


def comparison_firms(cohort: np.ndarray, cell: Cell, spec: DidSpec) -> np.ndarray:
    """Which firms (bool) may be compared with the cell's cohort: untreated, and not about to be, at both ends."""
    if spec.comparison == "never_treated":
        return cohort == NEVER
    return (cohort > max(cell.period, cell.base_period) + spec.anticipation) & (cohort != cell.cohort)


def cohort_weights(weights: pd.Series | None, firms: pd.DataFrame) -> dict[float, np.ndarray]:
    """One array of weights over `firms` a cohort; firms without a weight weigh 0.

    Raises
    ------
    DesignError
        When a weight is negative or missing, repeated, or none belongs to a firm of the panel.
    """
    cohorts = [float(g) for g in np.unique(firms["cohort"])]
    if weights is None:
        return dict.fromkeys(cohorts, np.ones(len(firms)))
    values = weights.astype(float)
    wrong = values.isna() | (values < 0) | np.isinf(values)
    if wrong.any():
        raise DesignError(f"weights must be finite and at least 0; they are not for {some(values.index[wrong])}")
    if not values.index.is_unique:
        raise DesignError(f"each weight stands once; repeated: {some(values.index[values.index.duplicated()].unique())}")
    if values.index.nlevels == 1:
        one = values.reindex(firms.index).fillna(0.0).to_numpy()
        by_cohort = dict.fromkeys(cohorts, one)
    else:
        own = values.index.get_level_values(0).astype(float)
        flat = pd.Series(values.to_numpy(), index=values.index.get_level_values(1))
        by_cohort = {g: flat[own == g].reindex(firms.index).fillna(0.0).to_numpy() for g in cohorts}
    if not any(w.any() for w in by_cohort.values()):
        raise DesignError("weights are a Series by firm_id, or by (cohort, firm_id); none of its ids is a firm of the panel")
    return by_cohort


def sample_clusters(sample: MatchedSample, firms: pd.DataFrame, spec: DidSpec) -> pd.Series:
    """The clusters of a matched sample, joined with the column that `spec.cluster` names, if it names one."""
    if spec.cluster in ("firm_id", "set_id"):
        return sample.clusters
    return joined_clusters(sample, cluster_labels(firms, spec.cluster))


def cluster_labels(firms: pd.DataFrame, cluster: str) -> pd.Series | None:
    """The labels that a params file names: None for firms, else a column of `firms`."""
    if cluster == "firm_id":
        return None
    if cluster == "set_id":
        raise DesignError("cluster: set_id needs a matched sample; pass its sets as clusters, or use cluster: firm_id")
    if cluster not in firms.columns:
        raise DesignError(f"cluster: '{cluster}' must be firm_id, set_id or a column of the panel's firms: {list(firms.columns)}")
    return firms[cluster]


def missing_covariates(cov: Covariates, y: np.ndarray, firm_id: pd.Index) -> tuple[Note, ...]:
    """A note naming the firms with outcomes that leave because a covariate is missing."""
    gone = cov.missing & ~np.isnan(y).all(axis=1)
    if not gone.any():
        return ()
    return (warn(Note("missing_covariate", "left out for a missing covariate: {firms}", {"firms": some(firm_id[gone])})),)


def _run(cells, y, periods, cohort, cov: Covariates, weigh, spec: DidSpec) -> list[tuple]:
    """One tuple a cell: (cell, att, rows of firms, d, w, psi, comparison firms outside the support), or (cell, why not)."""
    column = {int(p): j for j, p in enumerate(periods)}
    seen = ~np.isnan(y)
    usable = {g: (w > 0) & ~cov.missing for g, w in weigh.items()}
    out, fits = [], {}
    for cell in cells:
        j, b = column[cell.period], column[cell.base_period]
        own = cohort == cell.cohort
        rows = np.flatnonzero(seen[:, j] & seen[:, b] & usable[cell.cohort] & (own | comparison_firms(cohort, cell, spec)))
        d = own[rows].astype(float)
        w = weigh[cell.cohort][rows]
        if cell.phase == "base":
            out.append((cell, 0.0, rows, d, w, np.zeros(len(rows)), {}) if d.any() else (cell, "no_treated"))
        elif not d.any():
            out.append((cell, "no_treated"))
        elif d.all():
            out.append((cell, "no_comparison"))
        else:
            out.append(_estimated(cell, y[rows, j] - y[rows, b], rows, d, w, cov, spec.method, fits))
    return out


def _estimated(cell: Cell, dy, rows, d, w, cov: Covariates, method: str, fits: dict) -> tuple:
    """One cell's entry of `_run`; `fits` keeps what cells of the same firms share: covariate columns and logit."""
    names, key = ["constant"], (cell.cohort, rows.tobytes())
    try:
        if key not in fits:
            stay, x, names, outside = cell_columns(cov, rows, d)
            fits[key] = stay, x, names, outside, logit(d[stay], score_columns(x, method), w[stay])
        stay, x, names, outside, score = fits[key]
        dy, rows, d, w = dy[stay], rows[stay], d[stay], w[stay]
        att, psi = two_by_two(dy, d, x, w, method, score)
    except CellError as error:
        raise explain(error, names, str(cell)) from None
    except EstimationError as error:
        raise EstimationError(f"{cell}: {error}") from None
    return cell, att, rows, d, w, psi, outside


def _assembled(run: list[tuple], n_firms: int):
    """Keys, estimates, arrays and notes of the cells that could be estimated."""
    done = [r for r in run if len(r) > 2]
    notes = []
    for why, text in (("no_comparison", "without comparison firms"), ("no_treated", "without treated firms observed at both ends")):
        lost = [str(r[0]) for r in run if r[1] == why]
        if lost:
            notes.append(Note(why, "left out, " + text + ": {cells}", {"cells": some(lost, "cell")}))
    if all(r[0].phase == "base" for r in done):
        reasons = "; ".join(map(str, notes)) or "only base periods are observed"
        raise DesignError(
            f"no cell can be estimated: {reasons}. Look at who is observed before and after, and at the comparison group"
        )
    outside = sorted({name for r in done for name in r[6]})
    if outside:
        most = max(sum(r[6].values()) for r in done)
        notes.append(Note(
            "outside_support", "comparison firms with a level of {names} no treated firm has are left out: up to {n} in a cell",
            {"names": ", ".join(outside), "n": most},
        ))  # fmt: skip
    influence, treated, control = (
        np.zeros((n_firms, len(done))),
        np.zeros((n_firms, len(done))),
        np.zeros((n_firms, len(done)), bool),
    )
    weight = np.zeros(len(done))
    for k, (_, _, rows, d, w, psi, _) in enumerate(done):
        influence[rows, k] = psi
        weight[k] = w @ d
        treated[rows, k] = w * d / weight[k]
        control[rows, k] = d == 0
    cells = [r[0] for r in done]
    keys = pd.DataFrame({
        "cohort": [int(c.cohort) for c in cells],
        "period": [c.period for c in cells],
        "event_time": [int(c.period - c.cohort) for c in cells],
        "base_period": [c.base_period for c in cells],
        "phase": [c.phase for c in cells],
        "span": [c.period - c.base_period for c in cells],
        "weight_treated": weight,
    })  # fmt: skip
    return keys, np.array([r[1] for r in done]), (influence, treated, control), tuple(warn(n) for n in notes)
