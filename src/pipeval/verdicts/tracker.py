"""The indicators year by year beside the path that was planned: what the coordinating unit follows, and the midterm report prints.

Nothing here is a verdict: a row says where an indicator stands, not whether its target was met nor who moved it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from ..study.calendar import indicator_due
from ..study.logframe import Indicator, LogFrame
from ..study.specs import Study
from .attainment import reading_of
from .inputs import Inputs, Reading

COLUMNS = (
    "id",
    "level",
    "component",
    "kind",
    "unit",
    "direction",
    "period",
    "due",
    "value",
    "planned",
    "target",
    "n",
    "status",
    "early",
)
STATUSES = ("on_path", "ahead", "behind", "no_path", "not_known")

_OF_A_YEAR = ("growth", "transition", "share")
_WHOLE = ("count", "transition", "milestone")
_CLOSE = 1e-9


def tracker_table(logframe: LogFrame, inputs: Inputs, study: Study) -> pd.DataFrame:
    """One row an indicator and year, from the base to the reference year: where it stands and where it was to stand.

    Parameters
    ----------
    logframe, inputs, study
        What was promised, what was collected, what was decided.

    Returns
    -------
    DataFrame
        `id, level, component, kind, unit, direction, period, due, value, planned, target, n, status, early`. `value` is what was
        observed, in its own sign: the change since the base year of a growth row, the share of a share row, the number so far of
        the others (at the year's end, or at the evaluation if that comes first). `planned` is the log frame's own path for the
        year, else a straight line from the base to the target at the due date (of counts: whole units; of milestones: those due
        by then), the target afterwards; NaN without a target or, of a share, without a figure for the base. A row with a target
        for each year shows each full year for itself.
        `status`: *behind* when the value is worse than `partly_from` of the planned one, or than the target once that is due;
        *ahead* when it is better by the same factor before the due date; else *on_path*; *no_path* without a planned value;
        *not_known* without an observed one. Rows that read others together (difference, joint) have no path and are left out.
    """
    last = study.treatment.reference_year
    rows = []
    for indicator in (i for i in logframe.indicators if not i.of):
        base = indicator.base_year or study.baseline.year
        start = _start(indicator, inputs, study)
        rows += [_row(indicator, year, start, inputs, study) for year in range(base, last + 1)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["due"] = pd.to_datetime(table["due"])
    return table.astype({"value": float, "planned": float, "target": float, "n": float, "early": bool, "period": int})


def _row(indicator: Indicator, year: int, start: float, inputs: Inputs, study: Study) -> dict:
    on = min(date(year, 12, 31), study.as_of)
    reading = _read(indicator, year, inputs, study)
    due = indicator_due(indicator, study.calendar)
    target = indicator.target if indicator.target is not None else reading.needed
    planned = _planned(indicator, year, on, start, target, inputs, study)
    sign = -1.0 if indicator.direction == "decrease" and indicator.kind == "growth" else 1.0
    value = _own_sign(indicator, reading)
    return {
        "id": indicator.id, "level": indicator.level, "component": indicator.component, "kind": indicator.kind,
        "unit": indicator.unit, "direction": indicator.direction, "period": year, "due": due,
        "value": value, "planned": planned, "target": np.nan if target is None else sign * target,
        "n": reading.n or np.nan, "status": _status(indicator, value, planned, _passed(indicator, year, on, due), study),
        "early": study.stage == "midterm",
    }  # fmt: skip


def _read(indicator: Indicator, year: int, inputs: Inputs, study: Study) -> Reading:
    """The indicator as it stood at the end of a year: with no due date, so that years after it are read too."""
    then = study.treatment.model_copy(update={"reference_year": year})
    until = study.model_copy(update={"treatment": then, "as_of": min(date(year, 12, 31), study.as_of)})
    reading = reading_of(indicator.model_copy(update={"due": None}), inputs, until)
    if indicator.each_year:  # each year stands for itself
        own = [n for key, n in reading.strip.items() if key.split()[-1] == str(year)]
        return replace(reading, value=min(own, default=np.nan))
    return reading


def _first_year(study: Study) -> int:
    """The first full calendar year of the project."""
    start = study.calendar.project_start if study.calendar else date(study.baseline.year, 1, 1)
    return start.year + (start > date(start.year, 1, 1))


def _own_sign(indicator: Indicator, reading: Reading) -> float:
    if indicator.kind == "growth":
        return reading.change
    return reading.current if indicator.kind == "share" else reading.value


def _start(indicator: Indicator, inputs: Inputs, study: Study) -> float:
    """Where the path begins."""
    if indicator.kind == "share":
        return _read(indicator, indicator.base_year or study.baseline.year, inputs, study).baseline
    return (indicator.base_value or 0.0) if indicator.kind == "count" else 0.0


def _planned(indicator: Indicator, year: int, on: date, start: float, target: float | None, inputs: Inputs, study: Study) -> float:
    due = indicator_due(indicator, study.calendar)
    if year in indicator.path:
        return indicator.path[year]
    if target is None or due is None:
        return np.nan
    if indicator.each_year:
        return target if date(year, 12, 31) <= due and year >= _first_year(study) else np.nan
    end = -target if indicator.direction == "decrease" and indicator.kind == "growth" else target
    if _passed(indicator, year, on, due):
        return end
    if indicator.kind == "milestone":
        return _milestones_due(indicator, on, target, inputs)
    line = start + (end - start) * _elapsed(indicator, year, on, due, study)
    return float(np.floor(line + _CLOSE)) if indicator.kind in _WHOLE else line


def _passed(indicator: Indicator, year: int, on: date, due: date | None) -> bool:
    """Whether the target was due by the end of what a row describes: a year's figures, or a day's count."""
    if due is None:
        return False
    return year >= due.year if indicator.kind in _OF_A_YEAR else on >= due


def _elapsed(indicator: Indicator, year: int, on: date, due: date, study: Study) -> float:
    if indicator.kind in _OF_A_YEAR:
        base = indicator.base_year or study.baseline.year
        return (year - base) / (due.year - base)
    start = study.calendar.project_start if study.calendar else date(study.baseline.year, 12, 31)
    return float(np.clip((on - start).days / max((due - start).days, 1), 0, 1))


def _milestones_due(indicator: Indicator, on: date, target: float, inputs: Inputs) -> float:
    rows = inputs.tables.get("milestones")
    if rows is None or "due_on" not in rows:
        return 0.0
    rows = rows[rows["indicator_id"].astype(object) == (indicator.milestone or indicator.id)]
    return float(min((pd.to_datetime(rows["due_on"]) <= pd.Timestamp(on)).sum(), target))


def _status(indicator: Indicator, value: float, planned: float, passed: bool, study: Study) -> str:
    if np.isnan(value):
        return "not_known"
    if np.isnan(planned):
        return "no_path"
    sign = -1.0 if indicator.direction == "decrease" else 1.0
    better, wanted, band = sign * value, sign * planned, study.verdicts.partly_from
    if passed:
        reached = better > wanted + _CLOSE if indicator.strict else better >= wanted - _CLOSE
        return "on_path" if reached else "behind"
    low, high = sorted((wanted * band, wanted / band))
    if better < low - _CLOSE:
        return "behind"
    return "ahead" if better > high + _CLOSE and not indicator.each_year else "on_path"
