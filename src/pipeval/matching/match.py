"""Who is compared with whom: the control group by pairs, sets, strata or weights, chosen before outcomes are seen.

`match` is handed the firms and what was known of them before the programme, never their outcomes. It is the one front door:
whatever the method, the same steps in the same order and the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import DesignError, EstimationError, Note, collected, warn
from ..study.match_spec import STRATA, WEIGHTING, MatchSpec
from .design_matrix import expand
from .entrance import Entrants, cells, entrants, problem
from .full import full_sets
from .matched import Estimated, MatchedSample, set_table, words
from .nearest import backup_pairs, nearest_pairs, variable_quota
from .neighbours import why_single
from .optimal import optimal_pairs
from .problem import Pairs, Problem
from .strata import coarsened, subclasses
from .weighting import Weighting, cbps, entropy, ipw


class _Found(NamedTuple):
    """What a method found; `place` are the positions of the firms in sets, however often."""

    sets: pd.DataFrame
    place: np.ndarray
    caliper: float = np.inf
    backups: pd.DataFrame | None = None
    space: pd.DataFrame | None = None
    estimated: Mapping[float, Estimated] = MappingProxyType({})
    notes: tuple[Note, ...] = ()


def match(
    firms: pd.DataFrame,
    spec: MatchSpec,
    *,
    until: float | None = None,
    outcome_levels: Sequence[str] = (),
    outcome_growth: Sequence[str] = (),
) -> MatchedSample:
    """The control group of the treated firms, made as `spec` decides.

    Parameters
    ----------
    firms : DataFrame
        Index `firm_id`; `cohort` (finite: treated, infinite: never treated); covariates as known before treatment.
    spec : MatchSpec
        Method, estimand, covariates, distance, calipers, exact columns.
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
        When a column does not exist, an arm is empty, a covariate is constant or collinear, no set can be made, or the estimand
        is not defined for several entry cohorts.
    EstimationError
        When a score that is needed does not exist (separation) or does not converge, or weights cannot balance a covariate.

    Notes
    -----
    A firm with a missing covariate leaves first. The score is fitted on the firms that remain, those off the support leave, and
    a caliper in standard deviations is of the score of those left, both arms. Of firms equally near, the one whose `firm_id`
    sorts first is taken, so the order of rows decides nothing, except the turns of firms under `order: data`.

    Examples
    --------
    >>> firms = pd.DataFrame(
    ...     {"cohort": [2004, 2004, np.inf, np.inf, np.inf], "size": [3.0, 1.0, 2.0, 1.1, 0.0]},
    ...     index=pd.Index(["a", "b", "c", "d", "e"], name="firm_id"),
    ... )
    >>> sample = match(firms, MatchSpec(covariates=("size",)))
    >>> sample.pairs[["treated_id", "control_id"]].to_numpy().tolist()
    [['a', 'c'], ['b', 'd']]
    >>> sample.unmatched.to_numpy().tolist()
    [['e', 'control', 'not_chosen']]
    """
    if spec.by_cohort:
        raise DesignError(
            "match.by_cohort matches each entry cohort on what was known the year before: use match_panel, with a panel"
        )
    notes = _notes(spec, outcome_levels, outcome_growth)
    of = entrants(firms, spec, until)
    method = _stratified if spec.method in STRATA else _weighted if spec.method in WEIGHTING else _partnered
    found = method(of)
    return MatchedSample(
        sets=found.sets,
        scores=of.fit.scores if of.fit is not None else pd.Series(dtype=float, name="propensity_score"),
        propensity=of.fit.coefficients if of.fit is not None else pd.DataFrame(columns=["covariate", "estimate", "std_error"]),
        unmatched=_unmatched(of, found.place),
        spec=spec,
        caliper=found.caliper,
        backups=found.backups,
        space=found.space,
        estimated=dict(found.estimated),
        notes=(*notes, *of.notes, *found.notes),
    )


def _partnered(of: Entrants) -> _Found:
    """Pairs and full matching: sets of one firm that seeks and those that serve it, or the reverse."""
    spec = of.spec
    seek, serve = of.arms
    posed, width = problem(of)
    if spec.method == "full":
        return _Found(*_full_table(of, posed), width)
    turn = _turn(of, seek)
    i, j, rank = _pairs(of, posed, turn)
    single = np.setdiff1d(np.arange(len(seek)), i)
    of.reason[seek[single]] = why_single(posed, single)[single]
    if len(i) == 0:
        raise DesignError(_nobody(of.reason[seek]))
    sets = _pair_table(of, posed, (i, j, rank))
    backups = _backups(of, posed, (i, j, rank)) if spec.backups else None
    space = _space(of, posed, np.r_[np.unique(i), len(seek) + np.unique(j)]) if spec.replace else None
    return _Found(sets, np.r_[seek[i], serve[j]], width, backups, space)


_WORDS = {
    "no_partner_in_exact_cell": ("with nobody of the other arm in their exact cell", "drop a variable from match.exact"),
    "caliper": ("with nobody inside their calipers", "widen match.caliper and match.calipers"),
    "kept_apart": ("whose only candidates must be kept apart from them", "look at match.antiexact and match.never_together"),
    "pool_exhausted": ("whose candidates were taken", "add controls"),
}


def _nobody(reason: np.ndarray) -> str:
    """That nobody found a partner, why, and what to do."""
    why = pd.Series(reason).value_counts()
    found = ", ".join(f"{n} {_WORDS[key][0]}" for key, n in why.items())
    return f"no firm found a partner: {found}. Likeliest first: " + "; ".join(_WORDS[key][1] for key in why.index)


def _pairs(of: Entrants, posed: Problem, turn: np.ndarray) -> Pairs:
    spec = of.spec
    if spec.method == "optimal":
        return optimal_pairs(posed, spec.ratio)
    quota = np.full(len(posed.seek), spec.ratio)
    if spec.ratio_range is not None:
        value = of.axis[of.used]
        higher = value[posed.seek].mean() > value[posed.serve].mean()
        quota = variable_quota(value[posed.seek], bool(higher), spec.ratio, *spec.ratio_range, len(posed.serve))
    reuse = (spec.reuse or np.inf) if spec.replace else 1
    return nearest_pairs(posed, turn, quota, order=spec.order, reuse=reuse)


def _turn(of: Entrants, seek: np.ndarray) -> np.ndarray:
    """The order in which those who seek choose, as places in `seek`."""
    if of.spec.method != "nearest" or (of.spec.replace and of.spec.reuse is None) or of.spec.order == "closest":
        return np.arange(len(seek))
    if of.spec.order == "random":
        return np.random.default_rng(of.spec.seed).permutation(len(seek))
    if of.spec.order == "data":
        return np.argsort(of.row[seek], kind="stable")
    value = (of.axis if of.axis is not None else of.linear)[seek]
    return np.argsort(-value if of.spec.order == "largest" else value, kind="stable")


def _pair_table(of: Entrants, posed: Problem, pairs: Pairs) -> pd.DataFrame:
    i, j, rank = pairs
    seek, serve = of.arms
    head, number = np.unique(i, return_inverse=True)
    away = posed.distance(posed.seek[i], posed.serve[j])
    return set_table(
        of.firms,
        np.r_[np.arange(len(head)), number],
        np.r_[seek[head], serve[j]],
        np.r_[np.zeros(len(head), int), rank],
        np.r_[np.full(len(head), np.nan), away],
        of.spec.estimand,
    )


def reserves(firms: pd.DataFrame, spec: MatchSpec, sets: pd.DataFrame, closed: Sequence = ()) -> pd.DataFrame:
    """Ranked reserve controls of the sets that `match` made of these firms by this spec, nobody of `closed` among them.

    One row a reserve, columns as `MatchedSample.sets`, role `backup`, weight 0.
    """
    with collected():  # said when the sets were made
        of = entrants(firms, spec)
    posed, _ = problem(of)
    seek, serve = of.arms
    at = pd.Index(of.firms.index).get_indexer(sets["firm_id"])
    head = sets["rank"].to_numpy() == 0
    number = sets["set_id"].to_numpy()
    seeker = pd.Series(np.searchsorted(seek, at[head]), index=number[head])
    i, j = seeker[number[~head]].to_numpy(), np.searchsorted(serve, at[~head])
    return _backups(of, posed, (i, j, sets["rank"].to_numpy()[~head]), closed)


def _backups(of: Entrants, posed: Problem, pairs: Pairs, closed: Sequence = ()) -> pd.DataFrame:
    seek, serve = of.arms
    i, j, rank = pairs
    free = ~of.firms.index[serve].isin(closed)
    free[j] = True  # those of the sets themselves: taken, but known to be
    place = np.cumsum(free) - 1
    open_to = replace(posed, serve=posed.serve[free])
    i, j, rank = backup_pairs(open_to, (i, place[j], rank), _turn(of, seek), of.spec.backups)
    at = serve[free][j]
    of.reason[at] = "reserve"
    columns = {
        "set_id": np.searchsorted(np.unique(pairs[0]), i) + 1,
        "cohort": of.firms["cohort"].to_numpy(float)[seek[i]],
        "firm_id": of.firms.index[at],
        "role": words(["backup"], np.zeros(len(i), int)),
        "rank": rank,
        "distance": posed.distance(posed.seek[i], open_to.serve[j]),
        "weight": 0.0,
    }
    return pd.DataFrame(columns).sort_values(["set_id", "rank"], ignore_index=True)


def _space(of: Entrants, posed: Problem, who: np.ndarray) -> pd.DataFrame:
    """Where the firms in sets stand; `who` counts those who seek, then those who serve."""
    at = np.sort(np.r_[posed.seek, posed.serve][who])
    columns = {"cell": posed.cell[at]} | {f"x{k + 1}": column for k, column in enumerate(posed.points[at].T)}
    return pd.DataFrame(columns, index=of.firms.index[of.used[at]])


def _full_table(of: Entrants, posed: Problem) -> tuple[pd.DataFrame, np.ndarray]:
    """The sets of full matching, and who is in them."""
    number = full_sets(posed)
    seek, _ = of.arms
    single = np.flatnonzero(number[posed.seek] < 0)
    of.reason[seek[single]] = why_single(posed, single)[single]
    if (number < 0).all():
        raise DesignError(_nobody(of.reason[seek]))
    inside = np.flatnonzero(number >= 0)
    number = number[inside]
    is_seek = np.isin(inside, posed.seek)
    n_seek = np.bincount(number[is_seek], minlength=number.max() + 1)
    centre_seeks = n_seek[number] == 1  # one that seeks and those that serve it; else one that serves several
    centre = np.zeros(number.max() + 1, int)
    middle = is_seek == centre_seeks
    centre[number[middle]] = inside[middle]
    away = np.where(middle, np.nan, posed.distance(inside, centre[number]))
    order = np.lexsort((away, number))
    rank = np.zeros(len(inside), int)
    start = np.r_[0, np.flatnonzero(np.diff(number[order])) + 1]
    rank[order] = np.arange(len(order)) - np.repeat(start, np.diff(np.r_[start, len(order)])) + 1
    place = of.used[inside]
    return set_table(of.firms, number, place, np.where(middle, 0, rank), away, of.spec.estimand), place


def _stratified(of: Entrants) -> _Found:
    """Strata: every stratum with firms of both arms is a set."""
    spec, d = of.spec, of.treated[of.used]
    pool = of.firms.iloc[of.used]
    if spec.method == "cem":
        x = pool[list(dict.fromkeys([*spec.covariates, *spec.exact]))]
        stratum = coarsened(x, d, spec.cutpoints, spec.exact)
    else:
        stratum = subclasses(of.axis[of.used], d, cells(pool, spec.exact), spec.subclasses, spec.estimand)
    inside = np.flatnonzero(stratum >= 0)
    of.reason[of.used[stratum < 0]] = "no_partner_in_exact_cell"
    if len(inside) == 0:
        raise DesignError(
            "no stratum holds firms of both arms: use fewer covariates in match.covariates and match.exact, or fewer cutpoints"
        )
    # numbered in the order of the first firm, whatever the method called them
    first = np.unique(stratum[inside], return_index=True)[1]
    number = np.argsort(np.argsort(first))[np.unique(stratum[inside], return_inverse=True)[1]]
    place = of.used[inside]
    rank = np.where(of.treated[place], 0, 1)
    return _Found(set_table(of.firms, number, place, rank, np.full(len(place), np.nan), spec.estimand), place)


def _weighted(of: Entrants) -> _Found:
    """Weightings: one set a cohort, fitted on its treated firms and all controls."""
    cohort = of.firms["cohort"].to_numpy(float)
    tables, estimated, notes = [], {}, ()
    for number, g in enumerate(np.unique(cohort[of.used][of.treated[of.used]])):
        place = of.used[(cohort[of.used] == g) | ~of.treated[of.used]]
        found = _weigh(of, place, g)
        ids = of.firms.index[place]
        rank = np.where(of.treated[place], 0, 1)
        columns = {"set_id": number + 1, "cohort": g, "firm_id": ids, "role": words(["treated", "control"], rank), "rank": rank}
        tables.append(pd.DataFrame(columns | {"distance": np.nan, "weight": found.weights}).sort_values("rank", kind="stable"))
        estimated[float(g)] = Estimated(ids, found.derivative, found.influence)
        notes += found.notes
    return _Found(pd.concat(tables, ignore_index=True), of.used, estimated=estimated, notes=notes)


def _weigh(of: Entrants, place: np.ndarray, g: float) -> Weighting:
    spec, d = of.spec, of.treated[place]
    x, names, _ = expand(of.firms.iloc[place], list(dict.fromkeys(spec.covariates)), drop_first=True)
    try:
        if spec.method == "ipw":
            return ipw(d, x, spec.estimand, spec.link, names=names)
        if spec.method == "ebal":
            return entropy(d, x, spec.estimand, spec.moments, names)
        return cbps(d, x, spec.estimand, names)
    except (DesignError, EstimationError) as error:
        raise type(error)(
            f"weights of cohort {g:g} ({d.sum()} treated firms, {(~d).sum()} controls; each cohort has its own): {error}"
        ) from None


def _unmatched(of: Entrants, place: np.ndarray) -> pd.DataFrame:
    single = np.ones(len(of.firms), bool)
    single[place] = False
    code, reasons = pd.factorize(of.reason[single])
    return pd.DataFrame(
        {
            "firm_id": of.firms.index[single],
            "role": words(["control", "treated"], of.treated[single].astype(int)),
            "reason": words(reasons, code),
        }
    )


def _notes(spec: MatchSpec, outcome_levels: Sequence[str], outcome_growth: Sequence[str]) -> tuple[Note, ...]:
    on_level = [name for name in spec.columns if name in outcome_levels]
    on_growth = [name for name in spec.columns if name in outcome_growth]
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
