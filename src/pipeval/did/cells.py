"""Which cells a design has: cohort, period and base period; which firms each compares, with which weights and clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..data.panel import NEVER, Panel
from ..errors import DesignError, Note, some, warn
from ..matching.matched import MatchedSample
from ..study.files import nearest
from ..study.specs import DidSpec


class Cell(NamedTuple):
    """One cohort between two periods; `phase` is pre, base, anticipation or post."""

    cohort: float
    period: int
    base_period: int
    phase: str

    def __str__(self) -> str:
        return f"cohort {self.cohort:g}, {self.base_period}→{self.period}"


def cell_keys(cells: Sequence) -> pd.DataFrame:
    """The key columns of cells, one row each: `cohort, period, event_time, base_period, phase, span`."""
    return pd.DataFrame({
        "cohort": [int(c.cohort) for c in cells],
        "period": [c.period for c in cells],
        "event_time": [int(c.period - c.cohort) for c in cells],
        "base_period": [c.base_period for c in cells],
        "phase": [c.phase for c in cells],
        "span": [c.period - c.base_period for c in cells],
    })  # fmt: skip


def plan(cohort: np.ndarray, periods: np.ndarray, spec: DidSpec) -> tuple[list[Cell], tuple[Note, ...]]:
    """Every cell that the design asks for, before looking at who is observed; cohorts without a base period leave with a note.

    With `lag: ancova` only those from entry on: before it the outcome would be regressed on a mean that holds it.

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
        if spec.lag == "ancova" and phase == "pre":
            continue
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


def sampling_weights(
    firms: pd.DataFrame, spec: DidSpec, weights: pd.Series | MatchedSample | None
) -> pd.Series | MatchedSample | None:
    """The weights given, or the column of `firms` that `spec.weights` names; None for neither.

    Raises
    ------
    DesignError
        When the column does not exist, or would compete with a matched sample's weights.
    """
    if spec.weights is None or isinstance(weights, pd.Series):
        return weights
    if weights is not None:
        raise DesignError(
            f"weights: '{spec.weights}' would weight a matched sample a second time; leave did.weights out, or compare all firms"
        )
    if spec.weights not in firms.columns:
        raise DesignError(f"weights: {nearest(spec.weights, firms.columns)}; '{spec.weights}' is no column of the panel's firms")
    return firms[spec.weights].dropna()


def weightless(firms: pd.DataFrame, spec: DidSpec, weights: pd.Series | MatchedSample | None) -> tuple[Note, ...]:
    """A note naming the firms that leave because the column that `spec.weights` names is missing for them."""
    if spec.weights is None or weights is not None or spec.weights not in firms.columns or firms[spec.weights].notna().all():
        return ()
    gone = firms.index[firms[spec.weights].isna()]
    text = "left out, without a value of the weight {column}: {firms}"
    return (warn(Note("missing_weight", text, {"column": spec.weights, "firms": some(gone)})),)


def seen_always(panel: Panel, outcome: str) -> tuple[Panel, tuple[Note, ...]]:
    """The firms with the outcome in every period in which any firm has it, and a note naming the others."""
    wide = panel.wide(outcome).dropna(axis=1, how="all")
    always = wide.notna().all(axis=1)
    gone = wide.index[~always & wide.notna().any(axis=1)]
    if not always.any():
        raise DesignError(f"sampling: balanced needs firms with '{outcome}' in all periods and there is none; use both_ends")
    note = Note("not_seen_always", "left out, not observed in every period: {firms}", {"firms": some(gone)})
    return panel.keep(wide.index[always], "did", "not_seen_always"), (warn(note),) if len(gone) else ()


def cluster_labels(firms: pd.DataFrame, cluster: str | tuple[str, str]) -> pd.Series | pd.DataFrame | None:
    """The labels that a params file names: None for firms, else a column of `firms`, or two for two-way clusters."""
    if isinstance(cluster, tuple):
        return pd.concat([cluster_labels(firms, name) for name in cluster], axis=1)
    if cluster == "firm_id":
        return None
    if cluster == "set_id":
        raise DesignError("cluster: set_id needs a matched sample; pass its sets as clusters, or use cluster: firm_id")
    if cluster not in firms.columns:
        raise DesignError(f"cluster: '{cluster}' must be firm_id, set_id or a column of the panel's firms: {list(firms.columns)}")
    return firms[cluster]
