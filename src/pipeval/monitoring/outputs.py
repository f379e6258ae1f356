"""Outputs against plan, activity by activity."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

COLUMNS = (
    "activity_id", "component", "description_es", "description_en", "unit", "planned_qty", "actual_qty", "share",
    "planned_end", "actual_end", "status",
)  # fmt: skip


def outputs_table(activities: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """One row an activity: planned and actual quantity, planned and actual end, and where it stands on the day of the evaluation.

    `share` is actual over planned quantity, NaN without a plan. `status` is computed from dates: *done* (ended by then), *delayed*
    (should have ended and has not), *in_progress* (begun), *pending* (not begun); a cancelled activity stays *cancelled*.

    Columns that the table lacks are empty; nothing raises.
    """
    table = activities.reindex(columns=[*COLUMNS, "actual_start"])
    today = pd.Timestamp(as_of)
    begun, ended, due = (pd.to_datetime(table[c]) for c in ("actual_start", "actual_end", "planned_end"))
    ended = ended.where(ended <= today)
    cancelled = table["status"].astype(object) == "cancelled"
    conditions = [cancelled, ended.notna(), due < today, begun <= today]
    table["status"] = np.select([c.to_numpy(bool) for c in conditions], ["cancelled", "done", "delayed", "in_progress"], "pending")
    planned = table["planned_qty"].astype(float)
    table["share"] = table["actual_qty"].astype(float) / planned.where(planned > 0)
    return table.assign(actual_end=ended)[list(COLUMNS)].reset_index(drop=True)
