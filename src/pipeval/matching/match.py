"""Who is compared with whom: the control group, chosen by propensity score within exact cells and a caliper.

`match` is handed the firms and what was known of them before the programme, never their outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..errors import DataError, DesignError, Note, some, warn
from ..study.specs import MatchSpec
from .design_matrix import is_numeric, numbers, require_columns
from .line import Line, line
from .matched import MatchedSample, sets_from_pairs
from .nearest import nearest_with_replacement, nearest_without_replacement
from .optimal import optimal_pairs
from .propensity import propensity


def match(
    firms: pd.DataFrame,
    spec: MatchSpec,
    *,
    until: float | None = None,
    outcome_levels: Sequence[str] = (),
    outcome_growth: Sequence[str] = (),
) -> MatchedSample:
    """Matched sets of each treated firm with never-treated controls, as `spec` decides.

    Parameters
    ----------
    firms : DataFrame
        Index `firm_id`; `cohort` (finite: treated, infinite: never treated); covariates as known before treatment.
    spec : MatchSpec
        Covariates, exact cells, method, distance, caliper, ratio, replacement, order.
    until : float, optional
        Last cohort that is matched. Firms of later cohorts are neither matched nor controls.
    outcome_levels, outcome_growth : sequence of str
        Which columns are pre-programme levels, and which pre-programme changes, of an outcome. Matching on one is allowed
        and noted: on levels the estimate picks up regression to the mean, on changes the pre-trend test proves nothing.

    Returns
    -------
    MatchedSample

    Raises
    ------
    DataError
        When a firm stands twice, a cohort is missing or a covariate is infinite.
    DesignError
        When a column does not exist, an arm is empty, a covariate is constant or collinear, or no pair can be made.
    EstimationError
        When the propensity score does not exist (separation) or does not converge.

    Notes
    -----
    A firm with a missing covariate leaves first. The score is fitted on the firms that remain; distance is the absolute
    difference of its logit or probability, and a caliper of c admits distances up to c standard deviations of that scale over
    both arms. Of controls equally near, the one whose `firm_id` sorts first is taken, so the order of rows decides nothing,
    except the turns of treated firms under `order: data`.

    Examples
    --------
    >>> firms = pd.DataFrame(
    ...     {"cohort": [2004, 2004, np.inf, np.inf, np.inf], "size": [3.0, 1.0, 2.0, 1.1, 0.0]},
    ...     index=pd.Index(["a", "b", "c", "d", "e"], name="firm_id"),
    ... )
    >>> sample = match(firms, MatchSpec(covariates=("size",), caliper=None))
    >>> sample.pairs[["treated_id", "control_id"]].to_numpy().tolist()
    [['a', 'c'], ['b', 'd']]
    >>> sample.unmatched.to_numpy().tolist()
    [['e', 'control', 'not_chosen']]
    """
    firms, data_order = _checked(firms, spec)
    cohort = firms["cohort"].to_numpy(float)
    treated = np.isfinite(cohort)
    reason = np.full(len(firms), "not_chosen", dtype=object)
    later = np.zeros(len(firms), bool) if until is None else treated & (cohort > until)
    missing = firms[[*spec.covariates, *spec.exact]].isna().to_numpy().any(axis=1) & ~later
    reason[later], reason[missing] = "later_cohort", "missing_covariate"
    used = np.flatnonzero(~missing & ~later)
    _both_arms(treated, used, until)
    pool = firms.iloc[used]
    fit = propensity(treated[used], pool[list(dict.fromkeys(spec.covariates))])
    d, c = used[treated[used]], used[~treated[used]]
    value = np.full(len(firms), np.nan)
    value[used] = fit.logit if spec.distance == "logit" else fit.scores
    width = np.inf if spec.caliper is None else float(spec.caliper * value[used].std(ddof=1))
    cell = np.zeros(len(firms), int)
    cell[used] = _cells(pool, spec.exact)
    on = line(value[d], cell[d], value[c], cell[c], width)
    i, j, rank = _pairs(on, spec, value[d], data_order[d])
    _some_pairs(i, on)
    i, j = d[i], c[j]
    reason[d] = _why_single(on)
    single = np.ones(len(firms), bool)
    single[i] = single[j] = False
    unmatched = {"firm_id": firms.index[single], "role": np.where(treated, "treated", "control")[single], "reason": reason[single]}
    return MatchedSample(
        sets=sets_from_pairs(firms, i, j, rank, np.abs(value[i] - value[j])),
        scores=fit.scores,
        propensity=fit.coefficients,
        unmatched=pd.DataFrame(unmatched).astype({"reason": "str"}),
        spec=spec,
        caliper=width,
        notes=_notes(spec, outcome_levels, outcome_growth),
    )


def _checked(firms: pd.DataFrame, spec: MatchSpec) -> tuple[pd.DataFrame, np.ndarray]:
    """The firms in the order of their ids, and the row each had: one row each, with whole cohorts and finite covariates."""
    require_columns(firms, ["cohort", *spec.covariates, *spec.exact], "match.covariates and match.exact")
    if not firms.index.is_unique:
        repeated = firms.index[firms.index.duplicated()].unique()
        raise DataError(f"each firm stands once in the table matched; repeated: {some(repeated)}. Keep one row of each")
    missing = firms.index[firms["cohort"].isna()]
    if len(missing):
        raise DataError(f"cohort must be a period, or infinite for never treated; missing for {some(missing)}")
    for name in spec.covariates:
        if is_numeric(firms[name]):
            numbers(firms[name])
    order = firms.index.argsort()
    return firms[list(dict.fromkeys(["cohort", *spec.covariates, *spec.exact]))].iloc[order], np.asarray(order)


def _both_arms(treated: np.ndarray, used: np.ndarray, until: float | None) -> None:
    n_treated, n_control = int(treated[used].sum()), int((~treated[used]).sum())
    if n_treated == 0 or n_control == 0:
        when = "" if until is None else f" (cohorts up to {until:g})"
        raise DesignError(
            f"matching needs treated firms and never-treated controls with no covariate missing; found {n_treated} treated{when} "
            f"of {treated.sum()} and {n_control} controls of {(~treated).sum()}. Look for a covariate that is missing for one arm"
        )


def _cells(pool: pd.DataFrame, exact: Sequence[str]) -> np.ndarray:
    """A whole number a firm, equal where all of `exact` are."""
    cell = np.zeros(len(pool), int)
    for name in exact:
        code, levels = pd.factorize(pool[name])
        cell = np.unique(cell * len(levels) + code, return_inverse=True)[1]
    return cell


def _pairs(on: Line, spec: MatchSpec, score: np.ndarray, data_order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if spec.method == "optimal":
        return optimal_pairs(on)
    if spec.replace:
        return nearest_with_replacement(on, spec.ratio)
    key = {"largest": -score, "smallest": score, "data": data_order}[spec.order]
    return nearest_without_replacement(on, np.argsort(key, kind="stable"), spec.ratio)


def _why_single(on: Line) -> np.ndarray:
    """By treated: what kept it single, if it is."""
    near = on.nearest()
    return np.select([np.isinf(near), near > on.width], ["no_partner_in_exact_cell", "caliper"], "pool_exhausted")


def _some_pairs(i: np.ndarray, on: Line) -> None:
    if len(i) == 0:
        empty = int(np.isinf(on.nearest()).sum())
        raise DesignError(
            f"no treated firm found a partner: of {len(on.t)}, {empty} have no control in their exact cell and {len(on.t) - empty} "
            "none inside the caliper. Drop a variable from match.exact, or widen match.caliper"
        )


def _notes(spec: MatchSpec, outcome_levels: Sequence[str], outcome_growth: Sequence[str]) -> tuple[Note, ...]:
    asked = list(dict.fromkeys([*spec.covariates, *spec.exact]))
    on_level = [name for name in asked if name in outcome_levels]
    on_growth = [name for name in asked if name in outcome_growth]
    notes = []
    if on_level:
        text = (
            "controls are matched on the pre-programme level of an outcome ({columns}): in differences the estimate then picks up "
            "regression to the mean and may be biased by a large part of the effect; compare it with the row that does not"
        )
        notes.append(warn(Note("match_on_outcome_level", text, {"columns": ", ".join(on_level)})))
    if on_growth:
        text = (
            "controls are matched on pre-programme change of an outcome ({columns}): parallel trends before the programme are then "
            "made by the matching, and the pre-trend test is no evidence"
        )
        notes.append(warn(Note("match_on_growth", text, {"columns": ", ".join(on_growth)})))
    return tuple(notes)
