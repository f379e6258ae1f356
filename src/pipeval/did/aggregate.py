"""Averages of ATT(g,t): every summary is a weight matrix over one table of cells."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from ..errors import DesignError
from .effects import Effects, effects_from


def aggregate(
    effects: Effects,
    by: Literal["overall", "cohort", "event_time", "period"],
    window: tuple[int, int] | None = None,
    balanced_to: int | None = None,
    shares: Literal["estimated", "known"] = "estimated",
) -> Effects:
    """One row a cohort, event time or period (or one row in all): the mean effect over the treated firms described.

    Parameters
    ----------
    effects : Effects
        From `att_gt`.
    by : str
        `overall`, `cohort` and `period` average cells after treatment; `event_time` also shows those before.
    window : (int, int), optional
        First and last event time that enter.
    balanced_to : int, optional
        Only cohorts observed at least this many periods after entry, up to that event time: every event time then
        averages the same cohorts.
    shares : str
        `estimated`: that another sample would have cohorts of other sizes is part of the uncertainty. `known`: it is not;
        with `comparison: never_treated` and no covariates this is the interaction-weighted estimator of Sun and Abraham (2021).

    Returns
    -------
    Effects
        Keys `term` and the name of `by` (`event_time` also `phase` and `span`). Unless `by` is `overall`, a last row
        `term == "average"`, whose key is NaN, averages the rows after treatment: event times and periods alike, cohorts
        by the treated firms their cells hold on average.

    Raises
    ------
    DesignError
        When no cell remains, or `effects` are not cells of `att_gt`.

    Notes
    -----
    A cell weighs the treated firms (their weight) observed in it, Callaway and Sant'Anna (2021), table 1. The weights
    are estimated shares: with a_ik the share of firm i in cell k's treated and ω_k the cell's, firm i's influence on
    the mean θ is Σ_k ω_k ψ_ik + Σ_k ω_k a_ik (ATT_k − θ), and the treated firms the mean describes are Σ_k ω_k a_ik. The
    second sum is left out of shares taken as known.
    """
    if "weight_treated" not in effects.table:
        raise DesignError(
            "aggregate takes the cells of att_gt; for poisson_att name the summary there (by=...), as a ratio of totals"
        )
    cells = _selected(effects.table, by, window, balanced_to)
    if len(cells) == 0:
        raise DesignError(
            f"no cell to average by {by}: the effects hold event times {effects.table['event_time'].min()} to "
            f"{effects.table['event_time'].max()}; widen the window or look at why cells after treatment are missing"
        )
    keys, weights = _shares(cells, by)
    estimate, arrays = weighted(effects, cells.index.to_numpy(), weights, shares == "known")
    if by in ("event_time", "period"):
        keys, estimate, arrays = _with_mean(keys, estimate, arrays, by)
    return effects_from(keys, estimate, arrays, effects.firm_id, effects.clusters, effects.level, effects.notes)


def weighted(effects: Effects, columns: np.ndarray, shares: np.ndarray, known: bool = False):
    """Means of cells with shares (cells, rows; columns sum to 1): estimates and (influence, treated_weight, control)."""
    att = effects.table["estimate"].to_numpy(float)
    full = np.zeros((len(att), shares.shape[1]))  # over all cells: a product with zeros needs no copy of the columns
    full[columns] = shares
    att = np.where(full.any(axis=1), att, 0.0)
    estimate, treated = att @ full, effects.treated_weight @ full
    influence = effects.influence @ full
    if not known:
        influence += effects.treated_weight @ (att[:, None] * full)
        influence -= treated * estimate
    control = np.column_stack([effects.control[:, use].any(axis=1) for use in (full > 0).T])
    return estimate, (influence, treated, control)


def _selected(table: pd.DataFrame, by: str, window, balanced_to) -> pd.DataFrame:
    cells = table if by == "event_time" else table[table["event_time"] >= 0]
    if balanced_to is not None:
        reach = table.groupby("cohort")["event_time"].max()
        earliest = balanced_to - (table["period"].max() - table["period"].min())
        cells = cells[cells["cohort"].map(reach) >= balanced_to]
        cells = cells[cells["event_time"].between(earliest, balanced_to)]
    if window is not None:
        cells = cells[cells["event_time"].between(*window)]
    if by == "event_time":  # a base period is 0 by construction: it would dilute an estimate of the same event time
        estimated = cells["phase"] != "base"
        cells = cells[estimated | ~estimated.groupby(cells["event_time"]).transform("any")]
    return cells


def _shares(cells: pd.DataFrame, by: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Keys of the rows and each cell's share in them (cells, rows)."""
    weight = cells["weight_treated"].to_numpy(float)
    if by == "overall":
        return pd.DataFrame({"term": ["overall"]}), (weight / weight.sum())[:, None]
    values = np.sort(cells[by].unique())
    inside = cells[by].to_numpy()[:, None] == values
    shares = weight[:, None] * inside
    keys = pd.DataFrame({"term": by, by: values.astype(float)})
    if by == "cohort":
        per_cell = weight / cells.groupby("cohort")["cohort"].transform("size").to_numpy()
        shares = np.column_stack([shares, per_cell])
        keys.loc[len(keys)] = ["average", np.nan]
    shares = shares / shares.sum(axis=0)
    if by == "event_time":
        keys["phase"] = [cells["phase"].to_numpy()[inside[:, k]][0] for k in range(len(values))]
        keys["span"] = cells["span"].to_numpy(float) @ shares
    return keys, shares


def _with_mean(keys: pd.DataFrame, estimate, arrays, by: str):
    """Rows and, last, the plain mean of those after treatment."""
    after = np.flatnonzero(keys[by] >= 0) if by == "event_time" else np.arange(len(keys))
    if len(after) == 0:
        return keys, estimate, arrays
    influence, treated, control = arrays
    extra = dict.fromkeys(keys.columns, np.nan) | {"term": "average"} | ({"phase": "post"} if "phase" in keys else {})
    keys = pd.concat([keys, pd.DataFrame([extra])], ignore_index=True)
    arrays = (
        np.column_stack([influence, influence[:, after].mean(axis=1)]),
        np.column_stack([treated, treated[:, after].mean(axis=1)]),
        np.column_stack([control, control[:, after].any(axis=1)]),
    )
    return keys, np.append(estimate, estimate[after].mean()), arrays
