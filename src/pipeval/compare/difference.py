"""What moved between two bundles: verdicts, numbers and texts cell by cell, rows that came or went."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..report.bundle import Bundle, TableData


@dataclass(frozen=True, slots=True)
class VerdictMoved:
    """One axis (`attainment` or `evidence`) of one indicator's verdict; None where the indicator is not judged."""

    indicator: str
    axis: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class CellMoved:
    """One cell of a result table; `kind` is `number` or `text`, `change` and `relative` are None where they are undefined.

    `row` is the row's key as text, `cohort=2003, period=2005`; `keys` the same as a mapping.
    """

    table: str
    row: str
    keys: dict[str, Any]
    column: str
    kind: str
    old: Any
    new: Any
    change: float | None
    relative: float | None


@dataclass(frozen=True, slots=True)
class RowMoved:
    """One row of a result table that was `added` or `removed`."""

    table: str
    row: str
    keys: dict[str, Any]
    side: str


@dataclass(frozen=True, slots=True)
class Moved:
    """What differs between two bundles.

    Attributes
    ----------
    verdicts : tuple of VerdictMoved
        In the order of the log frame.
    numbers : tuple of CellMoved
        Cells of rows that both have, numbers and texts (`kind`).
    rows : tuple of RowMoved
        Rows, and whole tables, that only one has.
    ambiguous : dict
        Table → rows that no key tells apart; they were matched by content and order.
    compared : int
        Cells compared.
    """

    verdicts: tuple[VerdictMoved, ...] = ()
    numbers: tuple[CellMoved, ...] = ()
    rows: tuple[RowMoved, ...] = ()
    ambiguous: dict[str, int] | None = None
    compared: int = 0

    @property
    def identical(self) -> bool:
        """Whether nothing moved."""
        return not (self.verdicts or self.numbers or self.rows)


VERDICTS = "verdicts"
AXES = ("attainment", "evidence")
"""The table of verdicts and its two axes; they are told apart from other cells."""

RESULTS = frozenset([
    "actual_end", "agrees", "appropriability", "attainment", "basis", "benchmark", "bimodal", "behind", "binding", "complete",
    "consequence", "contradicts", "controls", "conversion", "date", "delivered", "denominator", "detail", "detectable", "direction",
    "document", "dropped", "due", "early", "evidence", "evidence_ref", "evidenced", "excludes_zero", "figure", "first_money",
    "followed", "headline", "held", "indicators", "last_on", "lights", "locked_on", "met", "monitor", "new", "next_due", "no_gap",
    "note", "old", "outside", "over", "owner", "passed", "planned_end", "position", "primary", "quality", "quantity_from",
    "question", "reached", "reading", "reason", "remarks", "result", "same_sign", "sha256", "significant", "slower", "stance",
    "statement", "status", "testable", "timing", "triangulation", "value", "verified", "version", "worst",
])  # fmt: skip
"""Columns that hold what was found, not which row it is: verdicts, reasons, labels, results, statuses, lights."""

WHOLE_KEYS = frozenset([
    "year", "period", "cohort", "event_time", "base_period", "span", "rank", "score", "severity", "treated", "untreated",
    "multiple", "bound",
])  # fmt: skip
"""Columns of numbers that say which row it is."""

OWN_KEYS = {
    "budget_shares": ("component",),
    "calendar": ("event", "rule"),
    "corrections": ("table", "key", "column"),
    "deviations": ("key",),
    "firms_not_used": ("firm_id", "stage", "reason"),
    "match_map": ("cohort", "treated_id", "control_id", "role"),
    "match_summary": ("role", "status"),
    "opinion_flags": ("wave", "by", "component", "activity_id", "item", "reason"),
    "plan_status": (),
    "pool": ("reason", "arm"),
    "readings": ("id", "reading"),
    "territory": ("territory", "year", "sector", "measure", "source", "figure"),
    "tracker": ("id", "period"),
    "unmatched": ("role", "reason"),
}
"""The whole key of tables in which a word that elsewhere is a result says which row it is, or the other way round."""

IGNORED = {"match_map": ("set_id",)}
"""Columns that only number what the other columns already say."""

_TEXTS = re.compile(r"_(es|en|pt)$")
_SAME, _NOTHING = 1e-9, 1e-12


def moved(old: Bundle, new: Bundle) -> Moved:
    """What moved from one bundle to the other.

    Rows are matched by the fewest leading key columns that tell them apart in both tables; where none do, equal rows first and
    the rest in order. A number moved when it is not the same to 1e-9 of its size, nor to 1e-12 of the largest of its column.

    >>> import pandas as pd
    >>> one = Bundle.build({"study": "a"}, {"flow": pd.DataFrame({"arm": ["treated", "control"], "share": [0.5, 0.25]})})
    >>> two = Bundle.build({"study": "a"}, {"flow": pd.DataFrame({"arm": ["control", "treated"], "share": [0.25, 0.4]})})
    >>> [(cell.row, cell.column, cell.old, cell.new) for cell in moved(one, two).numbers]
    [('arm=treated', 'share', 0.5, 0.4)]
    """
    numbers: list[CellMoved] = []
    rows: list[RowMoved] = []
    ambiguous, compared = {}, 0
    for name in sorted(old.tables.keys() | new.tables.keys()):
        before, after = (b.tables.get(name) or TableData(columns=[], rows=[]) for b in (old, new))
        pairs, unclear = matched_rows(name, before, after)
        if unclear:
            ambiguous[name] = unclear
        columns = _compared_columns(name, before, after)
        largest = {column: _largest(before, after, column) for column in columns}
        for keys, i, j in pairs:
            if i is None or j is None:
                rows.append(RowMoved(name, row_text(keys), keys, "added" if i is None else "removed"))
                continue
            compared += len(columns)
            one, two = (dict(zip(t.columns, t.rows[place], strict=True)) for t, place in ((before, i), (after, j)))
            numbers += _cells(name, keys, one, two, largest)
    return Moved(_verdicts(old, new), tuple(numbers), tuple(rows), ambiguous, compared)


def key_columns(name: str, *tables: TableData) -> list[str]:
    """The columns of a result table that may say which row it is, in order: those that all the tables have."""
    if name in OWN_KEYS:
        return [c for c in OWN_KEYS[name] if all(c in t.columns for t in tables)]
    first, *others = tables
    shared = [c for c in first.columns if all(c in t.columns for t in others)]
    return [c for c in shared if _may_be_key(c, [v for t in tables for v in _values(t, c)])]


def matched_rows(name: str, old: TableData, new: TableData) -> tuple[list[tuple[dict, int | None, int | None]], int]:
    """Rows of two tables beside each other as `(keys, place in the old, place in the new)`, and how many no key tells apart."""
    candidates = key_columns(name, *[t for t in (old, new) if t.columns])
    frames = [[dict(zip(t.columns, row, strict=True)) for row in t.rows] for t in (old, new)]
    keys = candidates if name in OWN_KEYS else _fewest(candidates, frames)
    groups: dict[tuple, tuple[list[int], list[int]]] = {}
    for side, frame in enumerate(frames):
        for place, row in enumerate(frame):
            groups.setdefault(row_key(row, keys), ([], []))[side].append(place)
    pairs, unclear = [], 0
    for before, after in groups.values():
        row = frames[0][before[0]] if before else frames[1][after[0]]
        shown = {c: row[c] for c in keys}
        if max(len(before), len(after)) == 1:
            pairs.append((shown, before[0] if before else None, after[0] if after else None))
        else:
            unclear += max(len(before), len(after))
            pairs += [(shown | {"#": n}, i, j) for n, i, j in _told_apart(before, after, frames)]
    return pairs, unclear


def _fewest(candidates: list[str], frames: list[list[dict]]) -> list[str]:
    """As few leading columns, one at least, as tell the rows of each frame apart; all when they do not."""
    for count in range(min(1, len(candidates)), len(candidates) + 1):
        if all(len({row_key(row, candidates[:count]) for row in frame}) == len(frame) for frame in frames):
            return candidates[:count]
    return candidates


def _told_apart(before: list[int], after: list[int], frames: list[list[dict]]) -> list[tuple[int, int | None, int | None]]:
    """Numbered rows of one key: those that are the same in both are each other's, the rest are paired in order."""
    places: dict[str, list[int]] = {}
    for j in after:
        places.setdefault(_content(frames[1][j]), []).append(j)
    twin = {i: places[text].pop(0) for i in before if places.get(text := _content(frames[0][i]))}
    free = sorted(j for rest in places.values() for j in rest)
    pairs = [(i, twin[i] if i in twin else free.pop(0) if free else None) for i in before]
    return [(n, i, j) for n, (i, j) in enumerate([*pairs, *((None, j) for j in free)], start=1)]


def _content(row: dict) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False)


def _may_be_key(column: str, values: list) -> bool:
    if column in RESULTS or _TEXTS.search(column):
        return False
    present = [v for v in values if v is not None]
    if column in WHOLE_KEYS:
        return not any(isinstance(v, bool | list | dict) for v in present)
    return bool(present) and all(isinstance(v, str) for v in present)


def _compared_columns(name: str, old: TableData, new: TableData) -> list[str]:
    left_out = (*IGNORED.get(name, ()), *(AXES if name == VERDICTS else ()))
    return [c for c in dict.fromkeys([*old.columns, *new.columns]) if c not in left_out]


def _cells(name: str, keys: dict, old: dict, new: dict, largest: dict[str, float]) -> list[CellMoved]:
    found = []
    for column, size in largest.items():
        a, b = old.get(column), new.get(column)
        if not same(a, b, size):
            number = all(v is None or _is_number(v) for v in (a, b))
            change = float(b) - float(a) if number and a is not None and b is not None else None
            relative = change / abs(a) if change is not None and a else None
            found.append(CellMoved(name, row_text(keys), keys, column, "number" if number else "text", a, b, change, relative))
    return found


def same(a: Any, b: Any, largest: float = 0.0) -> bool:
    """Whether two cells say the same: numbers to 1e-9 of their size or 1e-12 of `largest`, undefined is undefined.

    >>> same(1.0, 1.0 + 1e-12), same(1.0, 1.001), same(None, None), same(None, 0.0), same(True, 1)
    (True, False, True, False, False)
    """
    if _is_number(a) and _is_number(b):
        return not (abs(a - b) > _SAME * max(abs(a), abs(b)) and abs(a - b) > _NOTHING * largest)
    return type(a) is type(b) and a == b


def _largest(old: TableData, new: TableData, column: str) -> float:
    return max((abs(v) for t in (old, new) for v in _values(t, column) if _is_number(v)), default=0.0)


def _values(table: TableData, column: str) -> list:
    if column not in table.columns:
        return []
    place = table.columns.index(column)
    return [row[place] for row in table.rows]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def row_key(row: Mapping[str, Any], columns: Sequence[str]) -> tuple:
    """The values of a row's key columns; whole numbers are the same however they were written."""
    values = (row[c] for c in columns)
    return tuple(int(v) if isinstance(v, float) and v.is_integer() else v for v in values)


def row_text(keys: dict) -> str:
    """The key of a row as text, `cohort=2003, period=2005`."""
    return ", ".join(f"{column}={value:g}" if isinstance(value, float) else f"{column}={value}" for column, value in keys.items())


def _verdicts(old: Bundle, new: Bundle) -> tuple[VerdictMoved, ...]:
    before, after = ({row["id"]: row for row in verdict_rows(b)} for b in (old, new))
    pairs = ((i, axis, before.get(i, {}).get(axis), after.get(i, {}).get(axis)) for i in before | after for axis in AXES)
    return tuple(VerdictMoved(*pair) for pair in pairs if pair[2] != pair[3])


def verdict_rows(bundle: Bundle) -> list[dict]:
    """The rows of the table of verdicts as mappings; none when the stage judges nothing."""
    table = bundle.tables.get(VERDICTS)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows] if table else []
