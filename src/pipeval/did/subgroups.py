"""Effects by group of the treated: do they differ, and do they reach firms that were not supported?"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from ..data.panel import NEVER, Panel
from ..errors import DesignError, EstimationError, Note, collected, some, warn
from ..matching.matched import MatchedSample
from ..study.specs import DidSpec
from .aggregate import aggregate
from .att_gt import att_gt, cluster_labels, sample_clusters
from .cells import sampling_weights, weightless
from .effects import Effects, effects_from
from .inference import apart, joint_covariance
from .multiple import holm, romano_wolf

PLAIN = DidSpec()
FEWEST = 5
"""Treated, and comparison, firms below which a group has no estimate."""


def subgroup_effects(
    panel: Panel,
    outcome: str,
    groups: pd.Series,
    spec: DidSpec = PLAIN,
    weights: pd.Series | MatchedSample | None = None,
    clusters: pd.Series | pd.DataFrame | None = None,
    within: bool = True,
    period: int | None = None,
) -> Effects:
    """One row a group: the effect on its treated firms, in units of the outcome, all over the same firms.

    Parameters
    ----------
    panel, outcome, spec, clusters
        As `att_gt` takes them.
    groups : Series
        By `firm_id`; rows come in the order of its categories, else sorted. Firms without a group are treated in no row.
    weights : Series or MatchedSample, optional
        As in `att_gt`. Of a matched sample, the sets that hold treated firms of the group.
    within : bool
        Whether comparison firms must be of the group too: right for what both arms have (branch, size). With False a group's
        treated firms meet all comparison firms: for what only treated firms have (dose, component).
    period : int, optional
        The effect in this period; by default over all cells after treatment.

    Returns
    -------
    Effects
        Keys `group, reason`. A group with fewer than five treated or five comparison firms, or whose estimation failed, is a
        row of NaN that says why in `reason` and in a note.

    Raises
    ------
    DesignError
        When no firm has a group, no group can be estimated, or the weights of a matched sample were estimated or its controls
        serve again: what that adds to the uncertainty cannot be told apart by group.

    Notes
    -----
    `att_gt` with the other groups' firms weighing nothing: with `within=False` firms of other groups and the same cohort only, so
    that they still serve as comparison until they enter (with `method: imputation` they leave altogether). Then, without
    covariates, the effects averaged by treated firms are the effect on all.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame({"firm": np.tile(np.arange(24), 2), "year": np.repeat([1, 2], 24)})
    >>> frame["start"] = 2 * (frame["firm"] % 2)
    >>> frame["y"] = (frame["year"] == 2) * (frame["start"] == 2) * (frame["firm"] // 12 + 1.0) + rng.normal(0, 0.1, 48)
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> size = pd.Series(np.where(panel.firms.index < 12, "small", "large"), panel.firms.index)
    >>> with collected():
    ...     by_size = subgroup_effects(panel, "y", size)
    >>> by_size.table.set_index("group")["estimate"].round(1).to_dict()
    {'large': 2.0, 'small': 1.0}
    """
    label = groups.reindex(panel.firms.index)
    if label.isna().all():
        raise DesignError("groups are a Series by firm_id; none of its ids is a firm of the panel")
    cohort = panel.firms["cohort"].to_numpy(float)
    notes = _ungrouped(label, cohort) + weightless(panel.firms, spec, weights)
    weights, spec = sampling_weights(panel.firms, spec, weights), spec.changed({"weights": None})
    if isinstance(weights, MatchedSample):
        _refuse_estimated(weights)
        clusters = sample_clusters(weights, panel.firms, spec) if clusters is None else clusters
    names = label.cat.categories if isinstance(label.dtype, pd.CategoricalDtype) else np.sort(label.dropna().unique())
    rows = []
    for name in names:
        mine = (label == name).to_numpy()
        treated = int((mine & np.isfinite(cohort)).sum())
        if treated < FEWEST:
            rows.append(f"{treated} treated firms; at least {FEWEST} are needed")
            continue
        own = _weights_of(panel.firms, mine, weights, within, spec.method == "imputation")
        rows.append(_one_row(panel, outcome, spec, own, period))
    return _stacked(pd.DataFrame({"group": list(names)}), rows, panel, spec, clusters, notes)


def _ungrouped(label: pd.Series, cohort: np.ndarray) -> tuple[Note, ...]:
    lost = label.index[label.isna().to_numpy() & np.isfinite(cohort)]
    if not len(lost):
        return ()
    return (warn(Note("no_group", "treated firms without a group, in no row: {firms}", {"firms": some(lost)})),)


def _refuse_estimated(sample: MatchedSample) -> None:
    if not sample.clusters_are_sets:
        raise DesignError(
            f"effects by group take matched sets without replacement; match.method: {sample.spec.method}"
            f"{' with replace' if sample.spec.replace else ''} has weights whose uncertainty is not told apart by group. Match "
            "each group by itself, or adjust by covariates on the common support"
        )


def _weights_of(firms: pd.DataFrame, mine: np.ndarray, weights, within: bool, one: bool) -> pd.Series:
    """Weights by (cohort, firm) under which only the group's treated firms, and the comparison it may have, count.

    With `one` weights by firm, for a model of all cohorts at once: treated firms of other groups leave altogether.
    """
    cohort = firms["cohort"].to_numpy(float)
    if isinstance(weights, MatchedSample):
        base = _set_weights(weights, firms.index[mine])
        kept = base.index.get_level_values("firm_id").isin(firms.index[mine])
        return base.where(kept, 0.0) if within else base
    if one:
        base = 1.0 if weights is None else weights.reindex(firms.index).fillna(0.0).to_numpy()
        return pd.Series(np.where(mine | (np.isinf(cohort) & (not within)), base, 0.0), firms.index)
    parts = {}
    if isinstance(weights, pd.Series) and weights.index.nlevels == 2:
        by_cohort = {g: weights[weights.index.get_level_values(0) == g].droplevel(0) for g in np.unique(cohort)}
    else:
        by_cohort = dict.fromkeys(np.unique(cohort), weights)
    for g, given in by_cohort.items():
        base = 1.0 if given is None else given.reindex(firms.index).fillna(0.0).to_numpy()
        parts[g] = pd.Series(np.where(mine if within else mine | (cohort != g), base, 0.0), firms.index)
    return pd.concat(parts, names=["cohort", "firm_id"])


def _set_weights(sample: MatchedSample, group: pd.Index) -> pd.Series:
    """By cohort and firm: treated firms of the group weigh as they did, controls by the group's share of their set's treated."""
    sets = sample.sets
    mine = sets["role"].eq("treated") & sets["firm_id"].isin(group)
    key = ["set_id", "cohort"]
    treated = sets["weight"].where(sets["role"] == "treated", 0.0)
    whole = treated.groupby([sets[k] for k in key]).transform("sum")
    part = treated.where(mine, 0.0).groupby([sets[k] for k in key]).transform("sum")
    share = np.where(sets["role"] == "treated", mine.astype(float), part / whole)
    return (sets["weight"] * share).groupby([sets["cohort"], sets["firm_id"]]).sum()


def _one_row(panel: Panel, outcome: str, spec: DidSpec, weights: pd.Series, period: int | None) -> tuple | str:
    """Estimate, arrays (one column each) and notes; or why there is none."""
    try:
        with collected():
            cells = att_gt(panel, outcome, spec, weights, periods=None if period is None else (period,))
            found = aggregate(cells, "overall" if period is None else "period")
    except (DesignError, EstimationError) as error:
        return str(error)
    row = 0
    if period is not None:
        here = np.flatnonzero(found.table["period"] == period)
        if not len(here):
            return f"no effect can be estimated in {period}"
        row = int(here[0])
    counts = found.table.loc[row, ["n_treated", "n_control"]].astype(int)
    if (counts < FEWEST).any():
        return f"{counts['n_treated']} treated and {counts['n_control']} comparison firms; at least {FEWEST} of each are needed"
    place, arrays = panel.firms.index.get_indexer(found.firm_id), []
    for name in ("influence", "treated_weight", "control"):
        own = getattr(found, name)
        arrays.append(np.zeros((len(panel.firms), 1), own.dtype))  # sampling: balanced leaves firms out
        arrays[-1][place, 0] = own[:, row]
    return float(found.table.at[row, "estimate"]), tuple(arrays)


def _stacked(keys: pd.DataFrame, rows: list, panel: Panel, spec: DidSpec, clusters, notes: tuple[Note, ...] = ()) -> Effects:
    """One `Effects` of rows made by `_one_row` over the panel's firms; those without an estimate are NaN and noted."""
    reason = [r if isinstance(r, str) else "" for r in rows]
    if all(reason):
        listed = "; ".join(f"{k}: {r}" for k, r in zip(keys.iloc[:, 0], reason, strict=True))
        raise DesignError(f"no group can be estimated: {listed}. Merge groups, or use fewer covariates")
    n = len(panel.firms)
    empty = (np.nan, (np.zeros((n, 1)), np.zeros((n, 1)), np.zeros((n, 1), bool)))
    full = [empty if isinstance(r, str) else r for r in rows]
    arrays = tuple(np.column_stack([r[1][k] for r in full]) for k in range(3))
    for name, why in zip(keys.iloc[:, 0], reason, strict=True):
        if why:
            notes += (warn(Note("no_group_effect", "no effect for {group}: {reason}", {"group": str(name), "reason": why})),)
    labels = cluster_labels(panel.firms, spec.cluster) if clusters is None else clusters
    estimate = np.array([r[0] for r in full])
    return effects_from(keys.assign(reason=reason), estimate, arrays, panel.firms.index, labels, spec.level, notes)


def equality_test(effects: Effects) -> pd.Series:
    """The test that every row has one and the same effect: `statistic` (F), `df1, df2, p_value, n_rows, reason`.

    Rows without a standard error do not enter; `df2` by `joint_covariance`. W = (Cb)′(CVC′)⁻¹(Cb) with C the
    differences from the first row, F = W/df1.

    Examples
    --------
    >>> psi = np.kron(np.eye(2), np.array([[1.0], [-1.0], [1.0], [-1.0]])) / 2
    >>> arms = np.kron(np.eye(2), np.array([[1.0], [1.0], [0.0], [0.0]]))
    >>> arrays = psi, arms / 2, np.kron(np.eye(2), np.array([[0], [0], [1], [1]])) > 0
    >>> with collected():
    ...     two = effects_from(pd.DataFrame({"group": ["a", "b"]}), np.array([1.0, 3.0]), arrays, pd.RangeIndex(8), None, 0.95)
    >>> equality_test(two)[["statistic", "df1", "df2"]].round(6).to_dict()
    {'statistic': 1.5, 'df1': 1, 'df2': 7}
    """
    rows = np.flatnonzero(effects.table["std_error"].notna())
    result = {"statistic": np.nan, "df1": max(len(rows) - 1, 0), "df2": np.nan, "p_value": np.nan, "n_rows": len(rows)}
    if len(rows) < 2:
        return pd.Series({**result, "reason": "fewer than two groups have an estimate with a standard error"})
    variance, df = joint_covariance(effects, rows)
    contrast = np.column_stack([-np.ones(len(rows) - 1), np.eye(len(rows) - 1)])
    return pd.Series(
        {
            **result,
            **_wald(contrast @ effects.table["estimate"].to_numpy(float)[rows], contrast @ variance @ contrast.T, df),
        }
    )


def _wald(gap: np.ndarray, variance: np.ndarray, df: int) -> dict:
    """F test that `gap` is zero; a reason where clusters cannot tell its parts apart."""
    if not apart(variance, df - 1):  # one more row than differences
        return {"reason": f"{df + 1} clusters cannot tell {len(gap)} differences apart"}
    statistic = float(gap @ np.linalg.solve(variance, gap)) / len(gap)
    return {"statistic": statistic, "df2": df, "p_value": float(stats.f.sf(statistic, len(gap), df)), "reason": ""}


def difference_table(
    effects: Effects, against: Literal["first", "rest"] = "first", draws: int = 999, seed: int = 20031121
) -> pd.DataFrame:
    """One row a group: its effect less that of the first group with an estimate, or of all the others together.

    Parameters
    ----------
    effects : Effects
        From `subgroup_effects`.
    against : str
        `rest` averages the other groups by their treated firms, the shares taken as known.
    draws, seed : int
        Of `romano_wolf`.

    Returns
    -------
    DataFrame
        `group, against`, the tidy columns of the difference, and `p_holm, p_romano_wolf` over the rows. NaN where a group has
        no estimate.

    Raises
    ------
    DesignError
        When fewer than two groups have an estimate.
    """
    table, key = effects.table, effects.table.columns[0]
    known = np.flatnonzero(table["std_error"].notna())
    if len(known) < 2:
        raise DesignError("differences need at least two groups with an estimate and a standard error; merge groups")
    shown = [k for k in range(len(table)) if against == "rest" or k != known[0]]
    weight = table["n_treated"].to_numpy(float)
    contrast = np.zeros((len(table), len(shown)))
    for column, k in enumerate(shown):
        other = known[known != k] if against == "rest" else known[:1]
        contrast[other, column] -= weight[other] / weight[other].sum()
        contrast[k, column] += 1.0
    estimate = np.array([effects.table["estimate"].to_numpy(float)[c != 0] @ c[c != 0] for c in contrast.T])
    share = np.abs(contrast) / np.abs(contrast).sum(axis=0)
    arrays = (effects.influence @ contrast, effects.treated_weight @ share, effects.control.astype(float) @ share > 0)
    other = "rest" if against == "rest" else table[key].iloc[known[0]]
    keys = pd.DataFrame({key: table[key].iloc[shown].to_numpy(), "against": other})
    with collected():
        found = effects_from(keys, estimate, arrays, effects.firm_id, effects.clusters, effects.level)
    return found.table.assign(p_holm=holm(found.table["p_value"]), p_romano_wolf=romano_wolf(found, draws, seed))


def spillover_effects(
    everyone: Panel,
    outcome: str,
    reached: pd.Index,
    controls: pd.Index,
    start: int,
    spec: DidSpec = PLAIN,
    period: int | None = None,
) -> Effects:
    """Whether effects leak: firms reached indirectly against firms far from the programme, and what ignoring them does.

    Parameters
    ----------
    everyone : Panel
        All firms; those with a finite cohort that are not `reached` are the direct beneficiaries.
    reached, controls : Index
        Firms reached without support, and firms that nothing reached: by `firm_id`, apart from each other.
    start : int
        The period from which those reached could feel it.
    period : int, optional
        The effect in this period; by default over all cells after entry.

    Returns
    -------
    Effects
        Keys `term, reason`: `indirect` (reached against controls), `direct` (beneficiaries against controls), `direct_naive`
        (beneficiaries against controls and reached together: what an evaluation that did not tell them apart would print). A row
        that cannot be estimated is NaN with its reason. `direct` less `direct_naive` is the bias from contaminated controls.

    Raises
    ------
    DesignError
        When a firm is both reached and a control, or no row can be estimated.
    """
    firms = everyone.firms
    both = reached.intersection(controls)
    if len(both):
        raise DesignError(f"a firm is reached or a control, not both: {some(both)}")
    is_reached, is_control = firms.index.isin(reached), firms.index.isin(controls)
    direct = np.isfinite(firms["cohort"].to_numpy()) & ~is_reached & ~is_control
    never = np.where(direct, firms["cohort"].to_numpy(float), NEVER)
    arms = {
        "indirect": (np.where(is_reached, float(start), NEVER), is_reached | is_control),
        "direct": (never, direct | is_control),
        "direct_naive": (never, direct | is_control | is_reached),
    }
    base, rows = sampling_weights(firms, spec, None), []
    base = 1.0 if base is None else base.reindex(firms.index).fillna(0.0).to_numpy()
    for cohort, inside in arms.values():
        panel = replace(everyone, firms=firms.assign(cohort=cohort))
        rows.append(_one_row(panel, outcome, spec, pd.Series(inside * base, firms.index), period))
    return _stacked(pd.DataFrame({"term": list(arms)}), rows, everyone, spec, None)
