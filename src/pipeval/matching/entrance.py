"""Who enters a match: the firms proved, scored and trimmed to the common support, and the problem they pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..errors import DataError, DesignError, EstimationError, Note, counted, some, warn
from ..study.match_spec import COVARIATE_DISTANCES, SCORES, STRATA, WEIGHTING, MatchSpec
from .design_matrix import expand, is_numeric, numbers, require_columns
from .distances import whiten
from .line import codes
from .problem import Problem
from .propensity import Propensity, propensity
from .support import on_support, support_note

_SCORE_COLUMNS = ("probability", "linear_predictor")


@dataclass(frozen=True, slots=True, eq=False)
class Entrants:
    """The firms of a match, in the order of their ids, and which of them are still in it.

    Attributes
    ----------
    firms : DataFrame
        All firms handed in, with `cohort` and the columns asked for.
    treated : array of bool
    used : array of positions, ascending
        Those still in the match.
    row : array
        The row each firm had in the table it came from.
    reason : array of str
        Why a firm is out; `not_chosen` for those still in.
    fit : Propensity or None
        Of the firms that were in when it was fitted, in their order.
    score, linear : arrays
        By firm: the probability and the linear predictor, NaN without.
    """

    firms: pd.DataFrame
    spec: MatchSpec
    treated: np.ndarray
    used: np.ndarray
    row: np.ndarray
    reason: np.ndarray
    fit: Propensity | None = None
    score: np.ndarray | None = None
    linear: np.ndarray | None = None
    notes: tuple[Note, ...] = ()

    @property
    def arms(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of those who seek partners and of those who serve: treated and controls; for the ATC the other way round."""
        d = self.treated[self.used]
        both = self.used[d], self.used[~d]
        return both[::-1] if self.spec.estimand == "atc" else both

    @property
    def axis(self) -> np.ndarray | None:
        """By firm: the value that `distance` and `caliper` are measured on, where a score is asked for."""
        if self.spec.distance == "column":
            return numbers(self.firms[self.spec.distance_column])
        return self.score if self.spec.distance == "probability" else self.linear


def entrants(firms: pd.DataFrame, spec: MatchSpec, until: float | None = None) -> Entrants:
    """The firms that are matched: proved, with every column asked for, scored, and on the common support."""
    firms, row = _proved(firms, spec)
    treated = np.isfinite(firms["cohort"].to_numpy(float))
    reason = np.full(len(firms), "not_chosen", dtype=object)
    later = np.zeros(len(firms), bool) if until is None else treated & (firms["cohort"].to_numpy() > until)
    missing = _missing(firms, spec) & ~later
    reason[later], reason[missing] = "later_cohort", "missing_covariate"
    used = np.flatnonzero(~missing & ~later)
    _both_arms(treated, used, until)
    _one_cohort(firms["cohort"].to_numpy()[used], spec)
    return _on_support(_scored(Entrants(firms, spec, treated, used, row, reason)))


def problem(of: Entrants) -> tuple[Problem, float]:
    """The entrants as arrays, and the caliper on the score in its own unit."""
    spec, used = of.spec, of.used
    seek, serve = of.arms
    place = np.full(len(of.firms), -1)
    place[used] = np.arange(len(used))
    pool = of.firms.iloc[used]
    axis = None if of.axis is None else of.axis[used]
    width = np.inf
    if spec.caliper is not None:
        width = spec.caliper if spec.caliper_unit == "raw" else float(spec.caliper * axis.std(ddof=1))
    calipers = [(axis, width)] if spec.caliper is not None else []
    given = {"probability": of.score, "linear_predictor": of.linear}
    calipers += [(given[name][used] if name in given else numbers(pool[name]), float(wide)) for name, wide in spec.calipers.items()]
    if spec.distance in COVARIATE_DISTANCES:
        x, names, _ = expand(pool, list(dict.fromkeys(spec.distance_covariates or spec.covariates)))
        points = whiten(x, spec.distance, of.treated[used], names)
    else:
        points = axis[:, None]
    apart = [cells(pool, [name], missing_apart=True) for name in spec.antiexact] + _groups(pool.index, spec.never_together)
    found = Problem(place[seek], place[serve], points, cells(pool, spec.exact), tuple(calipers), tuple(apart))
    return found, width


def cells(pool: pd.DataFrame, columns: Sequence[str], missing_apart: bool = False) -> np.ndarray:
    """A whole number a firm, equal where all of `columns` are; −1 for a missing value if `missing_apart`."""
    cell = np.zeros(len(pool), int)
    for name in columns:
        code, found = pd.factorize(pool[name])
        cell = code if missing_apart else codes(cell * (len(found) + 1) + code)[1]
    return cell


def _groups(ids: pd.Index, groups: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Never-together groups as labels: groups without a common member share an array."""
    arrays: list[np.ndarray] = []
    names = ids.astype(str) if groups else ids
    for number, group in enumerate(groups):
        members = np.flatnonzero(names.isin(list(group)))
        free = next((a for a in arrays if (a[members] < 0).all()), None)
        if free is None:
            free = np.full(len(ids), -1)
            arrays.append(free)
        free[members] = number
    return arrays


def _proved(firms: pd.DataFrame, spec: MatchSpec) -> tuple[pd.DataFrame, np.ndarray]:
    """The firms in the order of their ids, and the row each had: one row each, with whole cohorts and finite covariates."""
    asked = [name for name in spec.columns if name not in _SCORE_COLUMNS]
    require_columns(firms, ["cohort", *asked], "the columns of match")
    if firms.index.isna().any():
        nameless = counted(int(firms.index.isna().sum()), "row")
        raise DataError(f"every firm needs an id; {nameless} without one. Name the firms in the index")
    if not firms.index.is_unique:
        repeated = firms.index[firms.index.duplicated()].unique()
        raise DataError(f"each firm stands once in the table matched; repeated: {some(repeated)}. Keep one row of each")
    cohort = firms["cohort"]
    if not pd.api.types.is_numeric_dtype(cohort):
        cohort = pd.to_numeric(cohort.astype(object), errors="coerce")
    cohort = cohort.to_numpy(float, na_value=np.nan)
    wrong = firms.index[np.isnan(cohort) | np.isneginf(cohort)]
    if len(wrong):
        raise DataError(
            f"cohort must be a period, or infinite for never treated; it is neither for {some(wrong)}. "
            "Panel.from_frame takes missing, 0 and −1 for never too"
        )
    known_groups(firms.index, spec.never_together)
    for name in asked:
        if is_numeric(firms[name]):
            numbers(firms[name])
    as_number = [*spec.calipers, *([spec.distance_column] if spec.distance_column else [])]
    words = [name for name in as_number if name not in _SCORE_COLUMNS and not is_numeric(firms[name])]
    if words:
        raise DesignError(f"a caliper and a distance need numbers; {', '.join(words)} hold words. Name them in match.exact instead")
    order = _order(firms.index)
    return firms[list(dict.fromkeys(["cohort", *asked]))].assign(cohort=cohort).iloc[order], order


def _order(ids: pd.Index) -> np.ndarray:
    """The positions of the firms in the order of their ids; numbers and words together as words."""
    try:
        return np.arange(len(ids)) if ids.is_monotonic_increasing else np.asarray(ids.argsort())
    except TypeError:
        return np.argsort([str(i) for i in ids], kind="stable")


def known_groups(ids: pd.Index, groups: Sequence[Sequence[str]]) -> None:
    """Refuse a never-together group that names a firm which is none."""
    unknown = sorted({name for group in groups for name in group} - set(ids.astype(str))) if groups else []
    if unknown:
        raise DesignError(f"match.never_together lists firm ids; {some(unknown)} is no firm of the table. Correct or remove it")


def _missing(firms: pd.DataFrame, spec: MatchSpec) -> np.ndarray:
    """Firms that lack a column of the match; a firm without a value to be kept apart by is not kept apart."""
    need = [name for name in spec.columns if name not in (*_SCORE_COLUMNS, *spec.antiexact)]
    missing = np.zeros(len(firms), bool)
    for name in need:
        missing |= firms[name].isna().to_numpy()
    return missing


def _both_arms(treated: np.ndarray, used: np.ndarray, until: float | None) -> None:
    n_treated, n_control = int(treated[used].sum()), int((~treated[used]).sum())
    if n_treated == 0 or n_control == 0:
        when = "" if until is None else f" (cohorts up to {until:g})"
        if treated.all():
            raise DesignError(
                f"matching needs controls: never treated is written as an infinite cohort, and all {len(treated)} firms have a "
                "period. Panel.from_frame takes missing, 0 and −1 for never too"
            )
        raise DesignError(
            f"matching needs treated firms and never-treated controls with no covariate missing; found {n_treated} treated{when} "
            f"of {treated.sum()} and {n_control} controls of {(~treated).sum()}. Look for a covariate that is missing for one arm"
        )


def _one_cohort(cohort: np.ndarray, spec: MatchSpec) -> None:
    entered = np.unique(cohort[np.isfinite(cohort)])
    if spec.estimand != "att" and len(entered) > 1:
        raise DesignError(
            f"estimand {spec.estimand} speaks of firms that never entered, and with {len(entered)} entry cohorts "
            f"({some([f'{g:g}' for g in entered], 'cohort')}) they have no entry year to be compared at. "
            "Ask for att, or match one cohort at a time"
        )


def _needs_score(spec: MatchSpec) -> bool:
    stars = spec.method not in (*STRATA, *WEIGHTING)
    by_score = spec.distance in SCORES and (stars or spec.method == "subclass")
    in_order = spec.method == "nearest" and spec.order in ("largest", "smallest") and not spec.replace and spec.distance != "column"
    limits = spec.caliper is not None and spec.distance != "column"
    named = any(name in _SCORE_COLUMNS for name in spec.calipers)
    return by_score or in_order or limits or named or spec.support != "none" or spec.method == "ipw"


def _scored(of: Entrants) -> Entrants:
    """With the propensity score; without one where it does not exist and nothing needs it, and then with a note."""
    if not of.spec.covariates:
        return of
    x = of.firms.iloc[of.used][list(dict.fromkeys(of.spec.covariates))]
    try:
        fit = propensity(of.treated[of.used], x, of.spec.link)
    except (DesignError, EstimationError) as error:
        if _needs_score(of.spec.model_copy(update={"order": "data"})):
            raise
        if _needs_score(of.spec):
            raise type(error)(f"{error}. Or set match.order: data, which needs no score") from None
        text = "no propensity score could be fitted, so support and overlap cannot be shown: {reason}"
        return replace(of, notes=(*of.notes, warn(Note("no_score", text, {"reason": str(error)}))))
    score, linear = np.full(len(of.firms), np.nan), np.full(len(of.firms), np.nan)
    score[of.used], linear[of.used] = fit.scores.to_numpy(), fit.linear.to_numpy()
    return replace(of, fit=fit, score=score, linear=linear)


def _on_support(of: Entrants) -> Entrants:
    """Without the firms whose score lies off the support; the score is not fitted again."""
    if of.spec.support == "none":
        return of
    d = of.treated[of.used]
    found = on_support(of.score[of.used], d, of.spec.support, of.spec.estimand)
    of.reason[of.used[~found.kept]] = "off_support"
    kept = of.used[found.kept]
    before, after = (int(d.sum()), int((~d).sum())), (int(of.treated[kept].sum()), int((~of.treated[kept]).sum()))
    note = support_note(before, after, of.spec.support, of.spec.estimand)
    return replace(of, used=kept, notes=of.notes if note is None else (*of.notes, warn(note)))
