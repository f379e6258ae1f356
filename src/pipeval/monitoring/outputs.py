"""Outputs against plan, activity by activity, and what each activity cost and was worth to its users."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from .services import given, persons

COLUMNS = (
    "activity_id", "component", "description_es", "description_en", "unit", "planned_qty", "actual_qty", "share",
    "planned_end", "actual_end", "status", "quantity_from", "difference_qty", "days_late", "quality_score", "quality",
)  # fmt: skip
COUNTED = {"firms": "firm_id", "services": "service_id"} | dict.fromkeys(
    ("workshops", "courses", "fairs", "missions", "events"), "event_id"
)
"""Units of a plan that services can count, and the id whose distinct values they are."""

_USE = (
    "n_services", "n_firms", "n_persons", "cost_usd", "paid_usd", "cost_per_firm", "ledger_usd", "usefulness", "n_usefulness",
)  # fmt: skip


def outputs_table(activities: pd.DataFrame, as_of: date, low: float = 3.0, services: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row an activity: planned and actual quantity, date and quality, and where it stands on the day of the evaluation.

    `share` is actual over planned quantity, NaN without a plan; `difference_qty` actual minus planned. `quantity_from` says where
    the quantity comes from: *stated*; *services*, counted there while an activity that has begun states none; or *not_known*.
    `status` is computed from dates: *done* (ended by then), *delayed* (should have ended and has not), *in_progress* (begun),
    *pending* (not begun); a cancelled activity stays *cancelled*. `days_late` counts from the planned end to the actual one, or to
    `as_of` for a delayed activity; negative when it ended early, NaN while it is not due. `quality` reads `quality_score`: *good*,
    *low* (below `low`) or *not_known*. The three variances are those that the midterm evaluation asks for (Dini, Guaipatín and
    Rivas 2005: quantity, quality, schedule).

    Columns that the table lacks are empty; nothing raises.

    >>> plan = pd.DataFrame({"activity_id": ["A1"], "planned_qty": [4.0], "actual_qty": [3.0], "planned_end": ["2004-06-30"]})
    >>> outputs_table(plan, date(2004, 7, 10)).iloc[0][["share", "status", "days_late", "quality"]].map(str).tolist()
    ['0.75', 'delayed', '10.0', 'not_known']
    """
    table = activities.reindex(columns=[*dict.fromkeys((*COLUMNS, "actual_start"))])
    today = pd.Timestamp(as_of)
    begun, ended, due = (pd.to_datetime(table[c]) for c in ("actual_start", "actual_end", "planned_end"))
    ended = ended.where(ended <= today)
    cancelled = table["status"].astype(object) == "cancelled"
    conditions = [cancelled, ended.notna(), due < today, begun <= today]
    table["status"] = np.select([c.to_numpy(bool) for c in conditions], ["cancelled", "done", "delayed", "in_progress"], "pending")
    waiting = table["status"] == "pending"  # what is stated of an activity that has not begun was not known by then
    planned, actual, score = (table[c].astype(float) for c in ("planned_qty", "actual_qty", "quality_score"))
    actual, score = actual.mask(waiting), score.mask(waiting)
    counted = pd.Series(np.nan, index=table.index) if services is None else _counted(table, given(services))
    table["quantity_from"] = np.select([actual.notna().to_numpy(), counted.notna().to_numpy()], ["stated", "services"], "not_known")
    table["actual_qty"] = actual = actual.fillna(counted)
    table["share"] = actual / planned.where(planned > 0)
    table["difference_qty"] = actual - planned
    until = ended.where(table["status"] != "delayed", today).where(table["status"].isin(["done", "delayed"]))
    table["days_late"] = (until - due).dt.days.astype(float)
    table["quality"] = np.select([score.isna().to_numpy(), (score < low).to_numpy()], ["not_known", "low"], "good")
    return table.assign(actual_end=ended, quality_score=score)[list(COLUMNS)].reset_index(drop=True)


def _counted(plan: pd.DataFrame, services: pd.DataFrame) -> pd.Series:
    """What services show of each activity, in the unit of its plan; NaN where they cannot, or show none."""
    counts = {unit: services.groupby("activity_id")[column].nunique() for unit, column in COUNTED.items()}
    found = [counts[u].get(a, 0) if u in counts else 0 for u, a in zip(plan["unit"], plan["activity_id"], strict=True)]
    return pd.Series(found, index=plan.index, dtype=float).replace(0.0, np.nan)


def activity_matrix(
    activities: pd.DataFrame,
    services: pd.DataFrame | None = None,
    ledger: pd.DataFrame | None = None,
    satisfaction: pd.DataFrame | None = None,
    attendance: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row an activity, and one for each component that paid for it: outputs, cost, users and what they think of its use.

    Productivity alone cannot say which activity mattered (Dini, Guaipatín and Rivas 2005): hence figures by activity and component.

    Returns
    -------
    DataFrame
        `activity_id, component, part` (*whole*; *component* where services of the activity were charged to several),
        `description_es, description_en, unit, actual_qty` (of the whole only), `n_services, n_firms` (distinct users), `n_persons`,
        `cost_usd` and `paid_usd` (by the programme) of its services, `cost_per_firm`, `ledger_usd` (expenses entered for it),
        `usefulness` (mean score of its item *usefulness*; of every item where it has none) with `n_usefulness`. NaN where no table
        says.
    """
    plan = activities.reindex(columns=["activity_id", "component", "description_es", "description_en", "unit", "actual_qty"])
    used = None if services is None else given(services)
    rows = []
    for activity in plan.to_dict("records"):
        key = activity["activity_id"]
        rows.append(activity | {"part": "whole"} | _use(key, None, used, ledger, satisfaction, attendance))
        charged = [] if used is None else sorted(used.loc[used["activity_id"] == key, "component"].dropna().unique())
        for component in charged if len(charged) > 1 else ():
            part = activity | {"component": component, "part": "component", "actual_qty": np.nan}
            rows.append(part | _use(key, component, used, ledger, satisfaction, attendance))
    return pd.DataFrame(rows, columns=["activity_id", "component", "part", *plan.columns[2:], *_USE])


def _use(key: str, component: str | None, services, ledger, satisfaction, attendance) -> dict:
    """What an activity, or one component's part of it, cost, and who used it."""
    found = dict.fromkeys(_USE, np.nan)
    if services is not None:
        own = _of(services, key, component)
        cost, n_firms = own["total_cost_usd"].sum(min_count=1), own["firm_id"].nunique()
        found |= {"n_services": len(own), "n_firms": n_firms, "n_persons": persons(own["event_id"].dropna().unique(), attendance)}
        found |= {"cost_usd": cost, "paid_usd": own["programme_paid_usd"].sum(min_count=1)}
        found["cost_per_firm"] = cost / n_firms if n_firms else np.nan
    if ledger is not None and "activity_id" in ledger and ledger["activity_id"].notna().any():
        entered = _of(ledger[ledger["kind"] == "expense"], key, component)
        found["ledger_usd"] = entered["amount_usd"].sum()
    if satisfaction is not None and "activity_id" in satisfaction:
        answers = _of(satisfaction, key, component)
        asked = answers[answers["item"] == "usefulness"] if (answers["item"] == "usefulness").any() else answers
        found |= {"usefulness": asked["score"].mean(), "n_usefulness": int(asked["score"].notna().sum())}
    return found


def _of(table: pd.DataFrame, key: str, component: str | None) -> pd.DataFrame:
    own = table[table["activity_id"] == key]
    return own if component is None else own[own["component"] == component]
