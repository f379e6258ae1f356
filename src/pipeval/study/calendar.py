"""The programme's dates, all derived from the three that the params file states.

Month and year indicators count from `project_start`; the eighteen-month trigger of the midterm evaluation counts from
`first_disbursement`; the final evaluation falls three months before `last_disbursement`.
"""

from __future__ import annotations

import calendar as months_of
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from .specs import Calendar

if TYPE_CHECKING:
    from .logframe import Indicator

_MIDTERM_MONTHS = 18  # after the first disbursement (donors memorandum 6.4)
_FINAL_MONTHS = 3  # before the last disbursement (donors memorandum 6.5)


def add_months(day: date, months: int) -> date:
    """The same day of the month `months` later (earlier when negative), or that month's last day where it is shorter.

    >>> add_months(date(2004, 1, 31), 1), add_months(date(2007, 1, 1), -3)
    (datetime.date(2004, 2, 29), datetime.date(2006, 10, 1))
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, months_of.monthrange(year, month + 1)[1]))


def anchors(calendar: Calendar) -> dict[str, date]:
    """The dates from which an indicator's due date may be counted, by name."""
    last = calendar.last_disbursement or add_months(calendar.first_disbursement, calendar.disbursement_months)
    return {
        "project_start": calendar.project_start,
        "first_disbursement": calendar.first_disbursement,
        "execution_end": add_months(calendar.project_start, calendar.execution_months),
        "last_disbursement": last,
    }


def indicator_due(indicator: Indicator, calendar: Calendar | None) -> date | None:
    """The day on which an indicator's target falls due; none when it states no date or the study has no calendar.

    >>> from types import SimpleNamespace as row
    >>> calendar = Calendar(project_start=date(2003, 7, 1), first_disbursement=date(2003, 7, 1))
    >>> indicator_due(row(due=row(date=None, months=36, years=None, start="project_start")), calendar)
    datetime.date(2006, 7, 1)
    """
    due = indicator.due
    if due is None or due.date is not None:
        return due and due.date
    if calendar is None:
        return None
    return add_months(anchors(calendar)[due.start], (due.months or 0) + 12 * (due.years or 0))


def due_dates(
    calendar: Calendar,
    ledger: pd.DataFrame | None = None,
    budget: pd.DataFrame | None = None,
    plans_ready: date | bool | None = None,
) -> pd.DataFrame:
    """One row an event of the programme's calendar: when it falls, by which rule, and whether that rule binds.

    The midterm evaluation has two candidates: eighteen months after the first disbursement, or the day on which the
    integration plans are ready and more than `midterm_share` of the funds is disbursed. The earlier one binds.

    Parameters
    ----------
    calendar : Calendar
        The three stated dates and the durations.
    ledger : DataFrame, optional
        `on, kind, source, amount_usd`; without it the disbursement candidate has no date.
    budget : DataFrame, optional
        `source, budget_usd`: what a share disbursed is a share of.
    plans_ready : date or False, optional
        When the integration plans were ready; False while one is known to be missing: the disbursement candidate has no date then.
        Without it disbursement alone decides that candidate.

    Returns
    -------
    DataFrame
        Columns `event, on (NaT while unknown), rule, binding`.

    Examples
    --------
    >>> dates = due_dates(Calendar(project_start=date(2003, 7, 1), first_disbursement=date(2003, 7, 1))).set_index("event")
    >>> str(dates.loc["final", "on"].date())
    '2006-10-01'
    """
    start = anchors(calendar)
    eighteen = add_months(calendar.first_disbursement, _MIDTERM_MONTHS)
    disbursed = _share_reached(calendar, ledger, budget)
    if plans_ready is False:
        disbursed = None
    elif disbursed is not None and plans_ready is not None:
        disbursed = max(disbursed, plans_ready)
    share_binds = disbursed is not None and disbursed < eighteen
    last_rule = "stated" if calendar.last_disbursement else "months_after_first_disbursement"
    rows = [
        ("project_start", start["project_start"], "stated", True),
        ("first_disbursement", start["first_disbursement"], "stated", True),
        ("midterm", eighteen, "months_after_first_disbursement", not share_binds),
        ("midterm", disbursed, "share_disbursed", share_binds),
        ("execution_end", start["execution_end"], "months_after_start", True),
        ("final", add_months(start["last_disbursement"], -_FINAL_MONTHS), "months_before_last_disbursement", True),
        ("last_disbursement", start["last_disbursement"], last_rule, True),
        ("goal_due", add_months(start["project_start"], 12 * calendar.goal_years), "years_after_start", True),
    ]
    table = pd.DataFrame(rows, columns=["event", "on", "rule", "binding"])
    return table.assign(on=pd.to_datetime(table["on"]))


_TRIGGER = {"midterm": "midterm", "final": "final", "expost": "goal_due"}  # stage of a study -> the event it is made for


def evaluation_timing(dates: pd.DataFrame, as_of: date, stage: str) -> pd.DataFrame:
    """One row an event of `due_dates`: whether it has come by `as_of`, and by how many days the evaluation misses its trigger.

    Parameters
    ----------
    dates : DataFrame
        `event, on, rule, binding`, as `due_dates` returns them.
    as_of : date
        The date of the evaluation.
    stage : str
        The study's stage: `midterm` and `final` have a trigger, `expost` falls due with the goal.

    Returns
    -------
    DataFrame
        The columns of `dates`, then `status` (*passed*, *ahead*, *not_known* without a date) and `late_by_days`: days from the
        trigger that binds this stage to `as_of`, negative when the evaluation comes before it; NaN in every other row.

    Examples
    --------
    >>> dates = due_dates(Calendar(project_start=date(2003, 7, 1), first_disbursement=date(2003, 7, 1)))
    >>> timing = evaluation_timing(dates, date(2007, 3, 31), "final").set_index("event")
    >>> float(timing.loc["final", "late_by_days"])
    181.0
    """
    days = (pd.Timestamp(as_of) - pd.to_datetime(dates["on"])).dt.days
    own = (dates["event"] == _TRIGGER.get(stage)) & dates["binding"].astype(bool)
    status = pd.Series("ahead", index=dates.index).mask(days >= 0, "passed").mask(days.isna(), "not_known")
    return dates.assign(status=status, late_by_days=days.where(own).astype(float))


def _share_reached(calendar: Calendar, ledger: pd.DataFrame | None, budget: pd.DataFrame | None) -> date | None:
    """The first day on which more than the midterm share of the funds has been paid in."""
    if ledger is None or budget is None or ledger.empty:
        return None
    paid = ledger[ledger["kind"].isin(["disbursement", "counterpart_contribution"]) & (ledger["source"] != "firms")]
    funds = budget[budget["source"] != "firms"]
    if calendar.midterm_basis == "mif":
        paid, funds = paid[paid["source"] == "mif"], budget[budget["source"] == "mif"]
    by_day = paid.groupby(pd.to_datetime(paid["on"]))["amount_usd"].sum().sort_index().cumsum()
    reached = by_day.index[by_day > calendar.midterm_share * funds["budget_usd"].sum()]
    return reached[0].date() if len(reached) else None
