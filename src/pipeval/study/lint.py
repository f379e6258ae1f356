"""Is the log frame fit to be judged? A SMART test of each indicator, before any outcome is read.

Specific, measurable, with a base year, a due date, a target, a direction and a source (the criteria of Dini, Guaipatín and Rivas
2005, baseline chapter), attainable by the firms that could count, with the data and the estimate that its verdict needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import pandas as pd

from .calendar import indicator_due
from .logframe import Indicator, LogFrame
from .specs import Study

CHECKS = ("specific", "measurable", "base_year", "due", "target", "direction", "source", "feasibility", "data", "evidence")

DETAILS: dict[str, str] = {
    "": "",
    "population_open": "whose figures are meant is not said",
    "unit_missing": "no unit",
    "base_year_of_study": "not said; the study's base year is used",
    "base_year_missing": "no base year",
    "due_missing": "no due date",
    "due_needs_calendar": "the due date counts from a calendar that the study lacks",
    "target_missing": "no target: the row is not measurable",
    "direction_assumed": "the direction is an assumption",
    "source_missing": "no means of verification",
    "eligible_unknown": "the number of firms that could count was not given",
    "eligible": "the target exceeds the number that could count: {value}",
    "table_missing": "needs the table {value}",
    "effect_unknown": "no outcome of the study is called {value}",
    "effect_missing": "a comparison is asked for, but no outcome is named",
}
"""Detail code → English sentence; `{value}` is what stands after `=`."""


def lint(
    logframe: LogFrame,
    study: Study | None = None,
    eligible_counts: Mapping[str, int] | None = None,
    tables: Collection[str] | None = None,
) -> pd.DataFrame:
    """One row an indicator and check: `indicator, check, result` (ok, warn, fail) and `detail`, a code of `DETAILS`.

    Parameters
    ----------
    logframe : LogFrame
        What is examined.
    study : Study, optional
        Supplies the base year, the calendar and the outcomes.
    eligible_counts : mapping of str to int, optional
        By indicator id, how many firms could count at most. A target above it fails: arithmetic, not performance.
    tables : collection of str, optional
        Tables at hand. Without it the check `data` is left out.

    Examples
    --------
    >>> from pipeval.study.logframe import read_logframe
    >>> rows = lint(read_logframe("guanajuato"), eligible_counts={"P4": 115})
    >>> rows.query("result == 'fail'")[["indicator", "check", "detail"]].values.tolist()
    [['P4', 'feasibility', 'eligible=115']]
    """
    rows = []
    for indicator in logframe.indicators:
        found = (*_smart(indicator, study), *_attainable(indicator, eligible_counts), *_served(indicator, study, tables))
        rows += [(indicator.id, check, result, detail) for check, result, detail in found]
    return pd.DataFrame(rows, columns=["indicator", "check", "result", "detail"])


def _smart(row: Indicator, study: Study | None) -> Iterator[tuple[str, str, str]]:
    of_firms = row.kind in ("growth", "difference", "transition") or (row.kind == "share" and bool(row.measure))
    yield "specific", *_warn_if(of_firms and not row.population, "population_open")
    yield "measurable", *_warn_if(not row.unit, "unit_missing")
    if row.kind in ("growth", "difference", "transition"):
        yield "base_year", *_warn_if(row.base_year is None, "base_year_of_study" if study else "base_year_missing")
    lacking = row.due is not None and row.due.date is None and study is not None and indicator_due(row, study.calendar) is None
    yield "due", *(("fail", "due_missing") if row.due is None else _warn_if(lacking, "due_needs_calendar"))
    yield "target", *(("fail", "target_missing") if row.target is None and row.kind != "milestone" else ("ok", ""))
    yield "direction", *_warn_if("reading_direction_increase" in row.remarks, "direction_assumed")
    yield "source", *_warn_if(not row.sources, "source_missing")


def _attainable(row: Indicator, eligible_counts: Mapping[str, int] | None) -> Iterator[tuple[str, str, str]]:
    if row.target is None or row.kind not in ("transition", "count"):
        return
    eligible = (eligible_counts or {}).get(row.id)
    if eligible is not None:
        yield "feasibility", *(("fail", f"eligible={eligible}") if row.target > eligible else ("ok", ""))
    elif row.kind == "transition":
        yield "feasibility", "warn", "eligible_unknown"


def _served(row: Indicator, study: Study | None, tables: Collection[str] | None) -> Iterator[tuple[str, str, str]]:
    if tables is not None:
        absent = [t for t in row.needs if t not in tables]
        yield "data", *_warn_if(bool(absent), f"table_missing={', '.join(absent)}")
    if row.kind == "growth" and row.vs_control:
        outcomes = [o.id for o in study.outcomes] if study else [row.effect]
        detail = "effect_missing" if row.effect is None else f"effect_unknown={row.effect}"
        yield "evidence", *_warn_if(row.effect is None or row.effect not in outcomes, detail)


def _warn_if(condition: bool, detail: str) -> tuple[str, str]:
    return ("warn", detail) if condition else ("ok", "")
