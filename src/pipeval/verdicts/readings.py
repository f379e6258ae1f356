"""What the tables say about transitions, counts, shares and milestones, before they are judged.

Each function takes an indicator, the inputs and the study, and returns a `Reading`: the value that is compared with the target
and what stands beside it. Nothing here knows whether the target was reached. Growth is read in `change`.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from ..study.calendar import indicator_due
from ..study.logframe import Indicator
from ..study.specs import Study
from .inputs import Inputs, Reading, at, closed_by, column_of, measured, members, over, selected, years
from .net import changed_status


def transition(indicator: Indicator, inputs: Inputs, study: Study) -> Reading:
    """Firms of one export status at the baseline that have another now; silent and closed firms are not counted."""
    if "exp_status" not in inputs.nominal:
        return Reading(remarks=("no_measure=exp_status",))
    ids = members(indicator, inputs.firms)
    start, success = changed_status(indicator, inputs, study)
    start = start.reindex(ids)
    eligible = ids[start.isin(indicator.source_statuses)]
    success = success[eligible]
    closed = closed_by(inputs.nominal, years(indicator, study)[1]).reindex(eligible, fill_value=False) & (success == 0)
    answered = int(success.notna().sum() - closed.sum())
    remarks = _counted(
        {"no_answer": success.isna().sum(), "closed_not_counted": closed.sum(), "status_unknown": start.isna().sum()}
    )
    total = float(success.sum()) if answered else np.nan
    return Reading(total, 0.0, total, n=answered, eligible=len(eligible), remarks=remarks)


def count(indicator: Indicator, inputs: Inputs, study: Study) -> Reading:
    """Rows, or distinct ids, of a table that fulfil the indicator's conditions.

    With `each` it is the smallest group's count, with `each_year` that of the poorest full calendar year between the project's
    start and the due date.
    """
    table = _table(indicator, inputs)
    if table is None:
        return Reading(remarks=(f"no_table={indicator.table}",))
    absent = _absent(indicator, table)
    if absent:
        return Reading(remarks=tuple(f"no_column={c}" for c in absent))
    rows = _counting_rows(indicator, table, inputs, study, study.as_of)
    due = indicator_due(indicator, study.calendar)
    if indicator.each_year:
        return _yearly(indicator, rows, study, due)
    value, strip = _number(indicator, rows)
    past = indicator.dated is not None and due is not None and due < study.as_of
    by_due = _number(indicator, _counting_rows(indicator, table, inputs, study, due))[0] if past else np.nan
    of_firms = indicator.distinct == "firm_id"
    eligible = len(members(indicator, inputs.firms)) if of_firms and indicator.population else None
    start = indicator.base_value or 0.0
    return Reading(value, start, value, n=len(rows), eligible=eligible, lasting="ref_year" not in table, by_due=by_due, strip=strip)


def share(indicator: Indicator, inputs: Inputs, study: Study) -> Reading:
    """Share of firms whose row fulfils `where`, among those whose row is filled; or one sum as a share of another.

    The sums are of measures in the base and the reference year or, where a table is named, of its columns up to the evaluation.
    """
    base, now = years(indicator, study)
    if indicator.measure and indicator.table:
        return _share_of_table(indicator, inputs, study)
    if indicator.measure:
        frame = measured(inputs, (indicator.measure, indicator.per))
        absent = [m for m in (indicator.measure, indicator.per) if m and m not in frame.columns]
        if absent:
            return Reading(remarks=tuple(f"no_measure={m}" for m in absent))
        (before, _), (after, n) = (_share_of_sums(indicator, frame, inputs, year) for year in (base, now))
    else:
        table = _table(indicator, inputs)
        if table is None:
            return Reading(remarks=(f"no_table={indicator.table}",))
        absent = [c for c in indicator.where if c not in table.columns]
        if absent:
            return Reading(remarks=tuple(f"no_column={c}" for c in absent))
        (before, _), (after, n) = (_share_of_firms(indicator, table, inputs, year) for year in (base, now))
        before = before if "ref_year" in table else np.nan  # a table without years has no earlier state
    sign = 1 if indicator.direction == "increase" else -1
    return Reading(sign * after, before, after, n=n)


def documents(indicator: Indicator, inputs: Inputs, study: Study) -> tuple[str, float]:
    """The documents that prove an indicator, joined by semicolons, and the share of its proofs that was seen.

    Proofs are the milestones done by the evaluation, of whatever kind the indicator is; for figures of direct exports, the
    declarations that customs hold of the firms said to export in the reference year. NaN where neither is at hand.
    """
    rows = inputs.tables.get("milestones", pd.DataFrame(columns=["indicator_id"]))
    rows = rows[rows["indicator_id"].astype(object) == (indicator.milestone or indicator.id)]
    if len(rows):
        rows = rows[pd.to_datetime(rows["done_on"]) <= pd.Timestamp(study.as_of)]
    if len(rows):
        names = rows["document"].dropna().astype(str) if "document" in rows else []
        return "; ".join(dict.fromkeys(names)), float(selected(rows, {"verified": (True,)}).mean())
    exports = indicator.measure in ("exports", "exports_direct", "exports_usd") or "direct" in indicator.target_statuses
    customs = inputs.tables.get("customs")
    if not exports or customs is None or customs.empty or "exports_direct" not in inputs.nominal:
        return "", np.nan
    now = years(indicator, study)[1]
    said = at(inputs.nominal, "exports_direct", now).reindex(members(indicator, inputs.firms))
    declared = customs.loc[(customs["year"] == now) & (customs["fob_usd"] > 0), "firm_id"]
    exporters = said.index[said > 0]
    return "", float(exporters.isin(declared).mean()) if len(exporters) else np.nan


def milestone(indicator: Indicator, inputs: Inputs, study: Study) -> Reading:
    """How many of the milestone's rows are done by the evaluation, with their document seen."""
    table = inputs.tables.get("milestones")
    if table is None:
        return Reading(needed=1.0, remarks=("no_table=milestones",))
    rows = table[table["indicator_id"].astype(object) == (indicator.milestone or indicator.id)]
    if rows.empty:
        return Reading(needed=1.0, remarks=("no_milestone_row",))
    done = pd.to_datetime(rows["done_on"]) <= pd.Timestamp(study.as_of)
    seen = selected(rows, {"verified": (True,)})
    value = float((done & seen).sum())
    remarks = _counted({"done_not_verified": (done & ~seen).sum()})
    if "due_on" in rows and (done & seen & (pd.to_datetime(rows["done_on"]) > pd.to_datetime(rows["due_on"]))).any():
        remarks += ("done_late",)
    return Reading(value, 0.0, value, n=len(rows), needed=float(len(rows)), lasting=True, remarks=remarks)


def _counted(numbers: dict[str, int]) -> tuple[str, ...]:
    return tuple(f"{code}={int(number)}" for code, number in numbers.items() if number)


def _table(indicator: Indicator, inputs: Inputs) -> pd.DataFrame | None:
    if indicator.table == "enterprises" and "enterprises" not in inputs.tables:
        return inputs.firms.reset_index()
    return inputs.tables.get(indicator.table)  # every firm, those of branches without evaluated outcomes too


def _absent(indicator: Indicator, table: pd.DataFrame) -> list[str]:
    columns = {*indicator.where, *indicator.filled, indicator.dated, indicator.distinct}
    columns |= {indicator.by} if "firm_id" not in table else set()
    columns |= {c for group in indicator.where_all for c in group}
    return sorted(c for c in columns if c and c not in table.columns)


def _counting_rows(indicator: Indicator, table: pd.DataFrame, inputs: Inputs, study: Study, until: date) -> pd.DataFrame:
    rows = table[selected(table, indicator.where)]
    if indicator.population and "firm_id" in rows:
        rows = rows[rows["firm_id"].isin(members(indicator, inputs.firms))]
    if "ref_year" in rows:
        rows = rows[rows["ref_year"] == years(indicator, study)[1]]
    rows = rows.dropna(subset=list(indicator.filled))
    if indicator.dated:
        rows = rows[pd.to_datetime(rows[indicator.dated]) <= pd.Timestamp(until)]
    for group in indicator.where_all:
        rows = rows[rows[indicator.distinct].isin(rows.loc[selected(rows, group), indicator.distinct])]
    if indicator.by and indicator.by not in rows and "firm_id" in rows:
        firms = inputs.tables["enterprises"].set_index("firm_id") if "enterprises" in inputs.tables else inputs.firms
        rows = rows.assign(**{indicator.by: rows["firm_id"].map(firms.get(indicator.by, pd.Series(dtype=object)))})
    return rows


def _yearly(indicator: Indicator, rows: pd.DataFrame, study: Study, due: date | None) -> Reading:
    """The count of the poorest year, and by group and year the counts that it is the smallest of."""
    start = study.calendar.project_start if study.calendar else date(study.baseline.year, 1, 1)
    last = min(study.as_of, due) if due else study.as_of
    full = range(start.year + (start > date(start.year, 1, 1)), last.year + (last >= date(last.year, 12, 31)))
    strip, counts = {}, []
    for year in full:
        value, groups = _number(indicator, rows[pd.to_datetime(rows[indicator.dated]).dt.year == year])
        counts.append(value)
        strip |= {f"{group} {year}": n for group, n in groups.items()} or {str(year): value}
    if not counts:
        return Reading(remarks=("no_full_year",))
    return Reading(min(counts), 0.0, min(counts), n=len(rows), strip=strip)


def _share_of_table(indicator: Indicator, inputs: Inputs, study: Study) -> Reading:
    table = _table(indicator, inputs)
    if table is None:
        return Reading(remarks=(f"no_table={indicator.table}",))
    columns = [column_of(table, c) for c in (indicator.measure, indicator.per) if c]
    absent = [c for c in columns if c not in table.columns] + _absent(indicator, table)
    if absent:
        return Reading(remarks=tuple(f"no_column={c}" for c in absent))
    rows = _counting_rows(indicator, table, inputs, study, study.as_of).dropna(subset=columns)
    part, whole = rows[columns[0]].astype(float), rows[columns[-1]].astype(float)
    value = float(over(part.sum(), whole.sum()) if indicator.per else part.mean())
    return Reading(value if indicator.direction == "increase" else -value, np.nan, value, n=len(rows))


def _number(indicator: Indicator, rows: pd.DataFrame) -> tuple[float, dict[str, float]]:
    """The count, and the counts by group of which it is the smallest."""
    groups = {str(g): rows[selected(rows, {indicator.by: (g,)})] for g in indicator.each} or {"": rows}
    numbers = {g: float(part[indicator.distinct].nunique() if indicator.distinct else len(part)) for g, part in groups.items()}
    return min(numbers.values()), numbers if indicator.each else {}


def _share_of_sums(indicator: Indicator, frame: pd.DataFrame, inputs: Inputs, year: int) -> tuple[float, int]:
    ids = members(indicator, inputs.firms)
    part = at(frame, indicator.measure, year).reindex(ids).astype(float)
    if indicator.per is None:
        return float(part.mean()), int(part.notna().sum())
    whole = at(frame, indicator.per, year).reindex(ids).astype(float)
    both = part.notna() & whole.notna()
    return float(over(part[both].sum(), whole[both].sum())), int(both.sum())


def _share_of_firms(indicator: Indicator, table: pd.DataFrame, inputs: Inputs, year: int) -> tuple[float, int]:
    rows = table[table["firm_id"].isin(members(indicator, inputs.firms))]
    if "ref_year" in rows:
        rows = rows[rows["ref_year"] == year]
    rows = rows.dropna(subset=list(indicator.where))
    return (float(selected(rows, indicator.where).mean()) if len(rows) else np.nan), len(rows)
