"""Was the target reached? The gross change against what the log frame promised, whoever caused it.

The states: *met*; *partly_met*, from `study.verdicts.partly_from` of the target; *not_met*; *not_yet_due*, when the due date lies
after the evaluation (the value so far is `interim`); *not_measurable*, without a target or data; *infeasible*, when the target
exceeds the number of firms that could fulfil it. Milestones and running counts cannot be undone, so they may be met early.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from ..study.calendar import indicator_due
from ..study.logframe import Indicator
from ..study.specs import Study
from .change import growth
from .inputs import Inputs, Reading, years
from .readings import count, milestone, share, transition

STATES = ("met", "partly_met", "not_met", "not_yet_due", "not_measurable", "infeasible")

_READ = {"growth": growth, "transition": transition, "count": count, "share": share, "milestone": milestone}
_ABSENT = ("no_table", "no_column", "no_measure", "no_milestone_row", "no_estimate", "no_full_year")
_TOLERANCE = 1e-9  # a share computed from sums may miss its target in the last bit


@dataclass(frozen=True, slots=True)
class Attained:
    """The first axis of a verdict.

    `value` is what `target` is compared with, signed so that more is better: the change of a growth row, the count of a count
    row. `change` and `nominal_change` are shares, of growth rows only. `strip` holds other readings of the same indicator
    (total, mean, median; with or without closed firms; by group; `projection`, compounded from the base to the due year).
    """

    state: str
    value: float = np.nan
    baseline: float = np.nan
    current: float = np.nan
    change: float = np.nan
    nominal_change: float = np.nan
    n: int = 0
    interim: float = np.nan
    target: float = np.nan
    due: date | None = None
    strip: dict[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def attainment(
    indicator: Indicator,
    inputs: Inputs,
    study: Study,
    differences: Mapping[str, float] | None = None,
) -> Attained:
    """Whether an indicator's target was reached at `study.as_of`.

    Parameters
    ----------
    indicator : Indicator
        The row of the log frame.
    inputs : Inputs
        Measures, firms and tables.
    study : Study
        Base and reference year, headline money, the rule for *partly met*, the evaluation's date and stage.
    differences : mapping of str to float, optional
        For a row of kind difference: the difference from the control group by indicator id, signed so that more is better.

    Returns
    -------
    Attained
        Numbers are NaN where undefined; nothing raises for missing data.
    """
    if indicator.kind == "joint":
        return joined(indicator, {}, study)
    difference = indicator.kind == "difference"
    reading = _difference(indicator, differences or {}, study) if difference else reading_of(indicator, inputs, study)
    due = indicator_due(indicator, study.calendar)
    target = indicator.target if indicator.target is not None else reading.needed
    state, remarks = _state(indicator, reading, target, due, study)
    return Attained(
        state=state,
        value=reading.value,
        baseline=reading.baseline,
        current=reading.current,
        change=reading.change,
        nominal_change=reading.nominal_change,
        n=reading.n,
        interim=reading.value if state == "not_yet_due" else np.nan,
        target=np.nan if target is None else target,
        due=due,
        strip=reading.strip | _projection(indicator, reading, due, study),
        remarks=(*_wording(indicator), *reading.remarks, *remarks, *_dated(indicator, study)),
    )


def reading_of(indicator: Indicator, inputs: Inputs, study: Study) -> Reading:
    """What the tables say of one indicator in the study's reference year; those that read others together have no such reading."""
    return _READ[indicator.kind](indicator, inputs, study)


def joined(indicator: Indicator, parts: Mapping[str, Attained], study: Study) -> Attained:
    """Whether every indicator that a joint one names was reached: its value is how many were, its target how many there are.

    Partly met when some, not all, are met or partly met. One that cannot be measured or attained, or is not due, decides.
    """
    states = {key: parts[key].state if key in parts else "not_measurable" for key in indicator.of}
    deciding = [s for s in ("infeasible", "not_measurable", "not_yet_due") if s in states.values()]
    reached = float(sum(s == "met" for s in states.values()))
    known = [s for s in states.values() if s in ("met", "partly_met", "not_met")]
    if deciding:
        state = deciding[0]
    else:
        state = "met" if set(known) == {"met"} else "not_met" if set(known) == {"not_met"} else "partly_met"
    unknown = tuple(f"part_unknown={key}" for key, s in states.items() if s == "not_measurable")
    value = np.nan if not known or unknown else reached
    return Attained(
        state=state,
        value=value,
        n=min((parts[key].n for key in indicator.of if key in parts), default=0),
        interim=value if state == "not_yet_due" else np.nan,
        target=float(len(indicator.of)),
        due=indicator_due(indicator, study.calendar),
        remarks=(*_wording(indicator), *unknown),
    )


def _state(
    indicator: Indicator, reading: Reading, target: float | None, due: date | None, study: Study
) -> tuple[str, tuple[str, ...]]:
    said = any(remark.startswith(_ABSENT) for remark in reading.remarks)
    gap = ("no_data",) if np.isnan(reading.value) and not said else ()
    if target is None:
        return "not_measurable", gap if "target_not_stated" in indicator.remarks else ("target_not_stated", *gap)
    if np.isnan(reading.value):
        return "not_measurable", gap
    if reading.eligible is not None and indicator.direction == "increase" and target > reading.eligible:
        return "infeasible", (f"eligible={reading.eligible}",)
    early_goal = study.stage == "midterm" and indicator.level == "goal"
    waiting = due is not None and due > study.as_of
    reached = _reaches(reading.value, target, indicator)
    if early_goal or waiting:
        if reached and reading.lasting and not early_goal:
            return "met", ("ahead_of_due",)
        return "not_yet_due", ("early",) if study.stage == "midterm" else ()
    remarks = () if due is not None else ("no_due_date",)
    if reached and reading.by_due < target:
        remarks += ("done_late",)
    if reached:
        return "met", remarks
    if target > 0 and reading.value >= study.verdicts.partly_from * target - _TOLERANCE:
        return "partly_met", remarks
    return "not_met", remarks


def _wording(indicator: Indicator) -> tuple[str, ...]:
    """How the wording was read; once the firms are named, that they must be is no longer to be said."""
    if not indicator.firms:
        return indicator.remarks
    return (*(r for r in indicator.remarks if r != "reading_thirty_fixed_beforehand"), f"named_firms={len(indicator.firms)}")


def _dated(indicator: Indicator, study: Study) -> tuple[str, ...]:
    _, now = years(indicator, study)
    of_a_year = indicator.kind in ("growth", "transition", "share", "difference")
    return (f"judged_in={now}",) if of_a_year and now != study.treatment.reference_year else ()


def _reaches(value: float, target: float, indicator: Indicator) -> bool:
    if indicator.kind == "share" and indicator.direction == "decrease":
        target = -target  # a share is compared as it stands: no more than the target
    return value > target + _TOLERANCE if indicator.strict else value >= target - _TOLERANCE


def _difference(indicator: Indicator, differences: Mapping[str, float], study: Study) -> Reading:
    """How many of the rows in `of` are better than the control group; all of them, or each for itself."""
    values = {key: differences.get(key, np.nan) for key in indicator.of}
    strip = {key: float(v) for key, v in values.items()}
    unknown = tuple(f"no_estimate={key}" for key, v in values.items() if np.isnan(v))
    how = indicator.combine or study.verdicts.joint
    remarks = (f"read_{how}", *unknown)
    if unknown and (how == "all" or len(unknown) == len(values)):
        return Reading(strip=strip, remarks=remarks)
    known = [v for v in values.values() if not np.isnan(v)]
    worst = min(known)  # all are better exactly when the worst one is
    return Reading(worst, strip=strip, remarks=remarks)


def _projection(indicator: Indicator, reading: Reading, due: date | None, study: Study) -> dict[str, float]:
    """The change by the due year if the yearly pace since the base year held; growth rows not yet due only."""
    base, now = years(indicator, study)
    if indicator.kind != "growth" or due is None or due <= study.as_of or now <= base or not reading.change > -1:
        return {}
    return {"projection": (1 + reading.change) ** ((due.year - base) / (now - base)) - 1}
