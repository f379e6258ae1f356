"""Is the log frame fit to be judged? A SMART test of each indicator, before any outcome is read.

Specific, measurable, with a base year, a due date, a target, a direction and a source (the criteria of Dini, Guaipatín and Rivas
2005, baseline chapter), attainable by the firms that could count, with the data and the estimate that its verdict needs. What is
found carries the code of the question to send back to the designers; the report holds its wording.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date

import pandas as pd

from .calendar import due_dates, indicator_due
from .logframe import Indicator, LogFrame
from .specs import IN_MONEY, Study

CHECKS = (
    "specific", "measurable", "aggregation", "prices", "currency", "base_year", "due", "timely", "target", "direction", "source",
    "feasibility", "data", "evidence",
)  # fmt: skip

_MONEY = (*IN_MONEY, "price")

Finding = tuple[str, str, str]  # check, result, detail

DETAILS: dict[str, str] = {
    "": "",
    "population_open": "whose figures are meant is not said",
    "population_assumed": "whose figures are meant is an assumption",
    "firms_not_named": "the firms meant are not named",
    "unit_missing": "no unit",
    "aggregation_assumed": "the total or the mean of firms is not said",
    "volume_or_value": "volume may be value or quantity",
    "range_as_target": "the target is a range",
    "real_or_nominal": "constant or current prices is not said",
    "currency_missing": "no currency",
    "due_after_evaluation": "falls due after the evaluation that judges it: {value}",
    "base_year_of_study": "not said; the study's base year is used",
    "base_year_missing": "no base year",
    "due_missing": "no due date",
    "due_needs_calendar": "the due date counts from a calendar that the study lacks",
    "target_missing": "no target: the row is not measurable",
    "direction_assumed": "the direction is an assumption",
    "source_missing": "no means of verification",
    "eligible_unknown": "the number of firms that could count was not given",
    "eligible": "the target exceeds the number that could count: {value}",
    "together": "together with {value} the target asks for more firms than could count",
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
    """One row an indicator and check: `indicator, check, result` (ok, warn, fail), `detail`, a code of `DETAILS`, and `question`.

    `question` is the code of what to ask the designers: `ask_` and the detail's code, with its value; empty where nothing is asked.

    Parameters
    ----------
    logframe : LogFrame
        What is examined.
    study : Study, optional
        Supplies the base year, the calendar, the outcomes and the day of the evaluation.
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
        found = (
            *_worded(indicator),
            *_smart(indicator, study),
            *_attainable(indicator, logframe, eligible_counts),
            *_served(indicator, study, tables),
        )
        rows += [(indicator.id, check, result, detail, detail and f"ask_{detail}") for check, result, detail in found]
    return pd.DataFrame(rows, columns=["indicator", "check", "result", "detail", "question"])


def _worded(row: Indicator) -> Iterator[Finding]:
    """What the wording leaves open: whose figures, in what units and money, added up how."""
    of_firms = row.kind in ("growth", "transition") or (row.kind == "share" and bool(row.measure) and row.table is None)
    if of_firms and not row.population:
        yield "specific", "warn", "population_open"
    elif not row.firms and "reading_thirty_fixed_beforehand" in row.remarks:
        yield "specific", "warn", "firms_not_named"
    else:
        yield "specific", *_warn_if("reading_population_direct" in row.remarks, "population_assumed")
    volume = "reading_volume_as_value" in row.remarks
    yield "measurable", *(_warn_if(volume, "volume_or_value") if row.unit else ("warn", "unit_missing"))
    if row.kind != "growth":
        return
    assumed = {"reading_total_of_firms", "reading_mean_of_firms"} & set(row.remarks) or "aggregation" not in row.model_fields_set
    yield "aggregation", *_warn_if(bool(assumed), "aggregation_assumed")
    if row.measure in _MONEY:
        yield "prices", *_warn_if(row.real is None, "real_or_nominal")
        if not row.real:  # a change at constant prices is the same in every currency of that year
            yield "currency", *_warn_if(row.currency is None, "currency_missing")


def _smart(row: Indicator, study: Study | None) -> Iterator[Finding]:
    if row.kind in ("growth", "transition"):
        yield "base_year", *_warn_if(row.base_year is None, "base_year_of_study" if study else "base_year_missing")
    due = indicator_due(row, study.calendar) if study is not None else None
    lacking = row.due is not None and row.due.date is None and study is not None and due is None
    yield "due", *(("fail", "due_missing") if row.due is None else _warn_if(lacking, "due_needs_calendar"))
    if due is not None:
        yield "timely", *_warn_if(due > _judged_on(study), f"due_after_evaluation={due.isoformat()}")
    if row.target is None and row.kind not in ("milestone", "joint"):
        yield "target", "warn" if row.derived else "fail", "target_missing"
    else:
        yield "target", *_warn_if("reading_range_lower_end" in row.remarks, "range_as_target")
    yield "direction", *_warn_if("reading_direction_increase" in row.remarks, "direction_assumed")
    yield "source", *_warn_if(not row.sources, "source_missing")


def _judged_on(study: Study) -> date:
    """The day on which targets are judged: this evaluation, or the final one while it lies ahead."""
    if study.stage in ("final", "expost"):
        return study.as_of
    final = due_dates(study.calendar).set_index("event").at["final", "on"].date() if study.calendar else study.as_of
    return max(final, study.as_of)


def _attainable(row: Indicator, logframe: LogFrame, eligible_counts: Mapping[str, int] | None) -> Iterator[Finding]:
    if row.target is None or row.kind not in ("transition", "count"):
        return
    eligible = (eligible_counts or {}).get(row.id)
    if eligible is None:
        if row.kind == "transition":
            yield "feasibility", "warn", "eligible_unknown"
    elif row.target > eligible:
        yield "feasibility", "fail", f"eligible={eligible}"
    else:
        rivals = [other.id for other in logframe.indicators if _competes(row, other) and row.target + other.target > eligible]
        yield "feasibility", *_warn_if(bool(rivals), f"together={', '.join(rivals)}")


def _competes(row: Indicator, other: Indicator) -> bool:
    """Whether two counts draw on the same firms, so that a firm that counts in one cannot count in the other.

    A firm that now exports directly is no indirect exporter: two targets may together ask for more firms than there are.
    """
    changes = row.kind == other.kind == "transition" and other.id != row.id and other.target is not None
    nested = set(row.source_statuses) >= set(other.source_statuses) and row.population == other.population
    return changes and nested and not set(row.target_statuses) & set(other.target_statuses)


def _served(row: Indicator, study: Study | None, tables: Collection[str] | None) -> Iterator[Finding]:
    if tables is not None:
        absent = [t for t in row.needs if t not in tables]
        yield "data", *_warn_if(bool(absent), f"table_missing={', '.join(absent)}")
    if row.kind == "growth" and row.vs_control:
        outcomes = [o.id for o in study.outcomes] if study else [row.effect]
        detail = "effect_missing" if row.effect is None else f"effect_unknown={row.effect}"
        yield "evidence", *_warn_if(row.effect is None or row.effect not in outcomes, detail)


def _warn_if(condition: bool, detail: str) -> tuple[str, str]:
    return ("warn", detail) if condition else ("ok", "")
