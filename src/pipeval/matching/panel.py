"""Panel matching: each entry cohort apart, on what was known of its firms and their candidates the year before it entered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ..data.panel import NEVER, Panel
from ..errors import DesignError, EstimationError, Note, collected, some, warn
from ..study.match_spec import PAIRS, MatchSpec
from ..study.specs import Study
from .design_matrix import require_columns
from .entrance import known_groups
from .match import match, reserves
from .matched import MatchedSample
from .propensity import propensity

LEVEL, GROWTH = "base_", "growth_"


def match_controls(panel: Panel, study: Study, spec: MatchSpec | None = None) -> MatchedSample:
    """The study's match, or another, of the firms of the panel: `match`, or `match_panel` where it is by cohort.

    Outcome levels and growth among its columns (`base_`, `growth_`) are declared as such.
    """
    spec, until = spec or study.match, study.treatment.reference_year
    if spec.by_cohort:
        return match_panel(panel, spec, until=until, anticipation=study.did.anticipation)
    return match(panel.firms, spec, until=until, **_named(spec))


def match_panel(
    panel: Panel,
    spec: MatchSpec,
    *,
    until: float | None = None,
    anticipation: int = 0,
    lags: int = 2,
) -> MatchedSample:
    """The control group of each entry cohort, chosen with the calendar of that cohort (Imai, Kim and Wang 2023).

    For cohort g, columns `base_<outcome>` hold the outcome in the year before entry, b = g − 1 − anticipation, and
    `growth_<outcome>` its change over up to `lags` years until b; other columns are those of the firms. Candidates are
    never-treated firms and, with `spec.window = W`, those that enter after g + W + anticipation. Without replacement a firm serves
    one cohort only, the earliest choosing first.

    Parameters
    ----------
    panel : Panel
        Outcomes are read up to b only.
    spec : MatchSpec
        With `by_cohort: true`.
    until : float, optional
        Last cohort that is matched.
    anticipation : int
        Years before entry in which firms may already react, as in `DidSpec`.
    lags : int
        Years of growth.

    Returns
    -------
    MatchedSample
        `scores` are of one model for all cohorts, on the columns of `panel.firms`, so that one support can be drawn; pairs were
        chosen by each cohort's own score. `unmatched` gives a treated firm its own cohort's reason, a control the reason of the
        last cohort that might have taken it. A firm may be a control of one cohort and treated in a later one.

    Raises
    ------
    DesignError
        When `spec` is not by cohort, no cohort can be matched, or none has a year before entry.

    Notes
    -----
    A cohort that cannot be matched is left out with a note that says why.
    """
    entered = _cohorts(panel, spec, until, anticipation, lags)
    samples, notes, taken = [], [], pd.Index([])
    for g in entered:
        try:
            with collected() as remarks:
                values = _as_of(panel, spec, g, anticipation, lags)
                served = values.index.isin(taken) & (values["cohort"] == NEVER).to_numpy()
                _somebody_left(values, served)
                plain = _of_one_cohort(spec, values.index)
                one = match(values[~served], plain, **_named(spec))
        except (DesignError, EstimationError) as error:
            text = "cohort {cohort} is not matched: {reason}"
            notes.append(warn(Note("cohort_not_matched", text, {"cohort": f"{g:g}", "reason": str(error)})))
            continue
        notes += remarks
        samples.append((g, one, values, values.index[~served]))
        if spec.method in PAIRS and not spec.replace:
            taken = taken.union(one.sets.loc[one.sets["role"] == "control", "firm_id"])
    if not samples:
        raise DesignError("no entry cohort could be matched: " + "; ".join(map(str, notes)))
    distinct = tuple(warn(n) for n in {str(n): n for n in notes}.values())
    found = _stacked(panel, spec, samples, np.inf if until is None else until)
    return replace(found, anticipation=anticipation, notes=distinct)


def _cohorts(panel: Panel, spec: MatchSpec, until: float | None, anticipation: int, lags: int) -> np.ndarray:
    """The entry cohorts that are matched, once it is proved that the columns asked for exist."""
    if not spec.by_cohort:
        raise DesignError("match_panel matches each cohort apart: set match.by_cohort: true, or use match")
    if anticipation < 0 or lags < 1:
        raise DesignError(f"anticipation is 0 years or more and lags 1 or more; found {anticipation} and {lags}")
    history = [prefix + outcome for prefix in (LEVEL, GROWTH) for outcome in panel.outcomes]
    known = panel.firms.assign(**dict.fromkeys([*history, "probability", "linear_predictor"], 0.0)) if spec.columns else panel.firms
    require_columns(known, spec.columns, "the columns of match")
    known_groups(panel.firms.index, spec.never_together)
    cohort = panel.firms["cohort"].to_numpy()
    entered = np.unique(cohort[np.isfinite(cohort)])
    matched = entered[entered <= (np.inf if until is None else until)]
    if len(matched) == 0:
        raise DesignError(f"no firm enters up to {until:g}; cohorts are {some([f'{g:g}' for g in entered], 'cohort')}")
    return matched


def _somebody_left(values: pd.DataFrame, served: np.ndarray) -> None:
    if served.any() and not (values.loc[~served, "cohort"] == NEVER).any():
        raise DesignError(f"all {int(served.sum())} candidates serve earlier cohorts; take a smaller match.ratio, or replace: true")


def _of_one_cohort(spec: MatchSpec, ids: pd.Index) -> MatchSpec:
    """The spec of one cohort's match: its firms apart, reserves later, when every cohort has its controls."""
    names = set(ids.astype(str))
    groups = [[name for name in group if name in names] for group in spec.never_together]
    kept = tuple(tuple(group) for group in groups if len(group) > 1)
    return spec.changed({"by_cohort": False, "window": None, "backups": 0, "never_together": kept})


def _named(spec: MatchSpec) -> dict[str, tuple[str, ...]]:
    """Which columns are levels and changes of an outcome: `match` says what that costs."""
    return {
        "outcome_levels": tuple(c for c in spec.columns if c.startswith(LEVEL)),
        "outcome_growth": tuple(c for c in spec.columns if c.startswith(GROWTH)),
    }


def _as_of(panel: Panel, spec: MatchSpec, g: float, anticipation: int, lags: int) -> pd.DataFrame:
    """Cohort `g` and its candidates with their columns as of the year before entry; candidates' cohort is infinite."""
    base = g - 1 - anticipation
    before = panel.periods[panel.periods <= base]
    if len(before) == 0:
        raise DesignError(f"no year before entry is observed (needed: {base:g} or earlier)")
    cohort = panel.firms["cohort"]
    horizon = np.inf if spec.window is None else g + spec.window + anticipation
    at_risk = (cohort == g) | (cohort == NEVER) | (cohort > horizon)
    values = panel.firms[at_risk].copy()
    last, first = before.max(), before[before >= before.max() - lags].min()
    for name in spec.columns:
        for prefix in (LEVEL, GROWTH):
            outcome = name.removeprefix(prefix)
            if name.startswith(prefix) and outcome in panel.outcomes:
                wide = panel.wide(outcome).loc[values.index]
                if prefix == GROWTH and first == last:
                    raise DesignError(f"'{name}' needs two years up to {base:g}; only {last} is observed")
                values[name] = wide[last] if prefix == LEVEL else wide[last] - wide[first]
    values["cohort"] = np.where(cohort[at_risk] == g, g, NEVER)
    return values


def _stacked(panel: Panel, spec: MatchSpec, samples: list[tuple], until: float) -> MatchedSample:
    """One sample of all cohorts; sets are numbered on."""
    sets, start = [], []
    for _, one, *_ in samples:
        start.append(sum(int(s["set_id"].nunique()) for s in sets))
        sets.append(one.sets.assign(set_id=one.sets["set_id"] + start[-1]))
    table = pd.concat(sets, ignore_index=True)
    values = pd.concat({g: frame[["cohort", *_held(spec, frame)]] for g, _, frame, _ in samples}, names=["at", "firm_id"])
    spaces = {g: one.space for g, one, *_ in samples if one.space is not None}
    scores, coefficients = _pooled_score(panel, spec, [g for g, *_ in samples])
    backups = _reserves(spec, samples, start, table) if spec.backups else None
    return replace(
        samples[0][1],
        sets=table,
        scores=scores,
        propensity=coefficients,
        unmatched=_unmatched(panel, samples, table, until, [] if backups is None else backups["firm_id"]),
        spec=spec,
        caliper=max(one.caliper for _, one, *_ in samples),
        backups=backups,
        space=pd.concat(spaces, names=["at", "firm_id"]) if spaces else None,
        estimated={g: e for _, one, *_ in samples for g, e in one.estimated.items()},
        values=values,
    )


def _held(spec: MatchSpec, frame: pd.DataFrame) -> list[str]:
    return [c for c in spec.columns if c in frame]


def _reserves(spec: MatchSpec, samples: list[tuple], start: list[int], sets: pd.DataFrame) -> pd.DataFrame:
    """Reserves of all sets, the earliest cohort choosing first among the controls that no cohort took."""
    closed, found = sets.loc[sets["role"] == "control", "firm_id"].tolist(), []
    for (_, one, values, inside), before in zip(samples, start, strict=True):
        asked = _of_one_cohort(spec, values.index).changed({"backups": spec.backups})
        mine = reserves(values.loc[inside], asked, one.sets, closed)
        closed += mine["firm_id"].tolist()
        found.append(mine.assign(set_id=mine["set_id"] + before))
    return pd.concat(found, ignore_index=True)


def _pooled_score(panel: Panel, spec: MatchSpec, cohorts: list[float]) -> tuple[pd.Series, pd.DataFrame]:
    """One score for the firms of all cohorts matched and those that never enter, on what `panel.firms` holds."""
    names = [c for c in dict.fromkeys(spec.covariates) if c in panel.firms]
    firms = panel.firms[panel.firms["cohort"].isin([*cohorts, NEVER])]
    firms = firms[firms[names].notna().all(axis=1)]
    if not names:
        return pd.Series(dtype=float, name="propensity_score"), pd.DataFrame(columns=["covariate", "estimate", "std_error"])
    fit = propensity(np.isfinite(firms["cohort"].to_numpy()), firms[names], spec.link)
    return fit.scores, fit.coefficients


def _unmatched(panel: Panel, samples: list[tuple], sets: pd.DataFrame, until: float, reserved: Sequence) -> pd.DataFrame:
    cohort = panel.firms["cohort"]
    matched = {role: set(sets.loc[sets["role"] == role, "firm_id"]) for role in ("treated", "control")}
    found = pd.concat([one.unmatched for _, one, *_ in samples], ignore_index=True)
    found = found.drop_duplicates(["firm_id", "role"], keep="last")
    as_control = found["role"] == "control"
    # who serves somewhere, is treated somewhere, or enters later, has another place to be told of
    elsewhere = matched["control"] | matched["treated"] | set(cohort.index[np.isfinite(cohort)])
    found = found[~(as_control & found["firm_id"].isin(elsewhere))]
    found.loc[found["firm_id"].isin(reserved) & (found["role"] == "control"), "reason"] = "reserve"
    known = set(found["firm_id"]) | matched["treated"] | matched["control"]
    rest = [i for i in cohort.index if i not in known]
    reason = np.where(cohort[rest] > until, "later_cohort", "cohort_not_matched")
    left = pd.DataFrame({"firm_id": rest, "role": np.where(np.isfinite(cohort[rest]), "treated", "control"), "reason": reason})
    return pd.concat([found, left], ignore_index=True).sort_values("firm_id", ignore_index=True)
