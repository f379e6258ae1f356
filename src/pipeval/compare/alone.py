"""What one cause alone makes of what has no change to add up: rows that came or went, texts, sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..report.bundle import Bundle, TableData
from ..report.text import Text
from .causes import CAUSES
from .difference import CellMoved, Moved, RowMoved, row_key, same
from .sentences import aligned, in_order, spoken


@dataclass(frozen=True, slots=True)
class OtherDue:
    """A row that came or went (`column` empty), or a cell without a change that adds up: a text, a number that came or went.

    `due` names the causes that alone make it what it is now; empty when only together they do, None when it is not known.
    """

    table: str
    row: str
    column: str
    due: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class SentenceMoved:
    """A sentence of one language's report that reads otherwise; None where there is none. `due` as in `OtherDue`."""

    section: str
    old: str | None
    new: str | None
    due: tuple[str, ...] | None = None


def others(moved: Moved, alone: Mapping[str, Bundle]) -> tuple[OtherDue, ...]:
    """Cells without a change, in the order of `moved.numbers`, then `moved.rows`.

    `alone` is what each cause alone makes of the old study.
    """
    rows: dict[tuple[str, str, tuple[str, ...]], dict[tuple, dict[str, Any]]] = {}

    def row(cause: str, one: CellMoved | RowMoved) -> dict[str, Any] | None:
        place = (cause, one.table, tuple(one.keys))
        if place not in rows:
            rows[place] = _rows(alone[cause].tables.get(one.table), place[2])
        return rows[place].get(row_key(one.keys, place[2]))

    def due(one: CellMoved | RowMoved) -> tuple[str, ...] | None:
        if not alone or "#" in one.keys:  # rows that no key tells apart cannot be found again
            return None
        return tuple(cause for cause in CAUSES if cause in alone and _as_now(one, row(cause, one)))

    cells = [OtherDue(c.table, c.row, c.column, due(c)) for c in moved.numbers if c.change is None]
    return (*cells, *(OtherDue(r.table, r.row, "", due(r)) for r in moved.rows))


def sentences_due(old: Bundle, new: Bundle, text: Text, alone: Mapping[str, Bundle]) -> tuple[SentenceMoved, ...]:
    """The sentences of two reports that differ, in the order of the newer one; tables, figures and provenance are left out.

    Sentences on an indicator stand under the section and its id, for their words alone may not name it. They are plain text,
    without markup. `text` is the language without a study's own words: each bundle brings its own. `alone` is what each cause
    alone makes of the old study; with none, no cause is named.
    """
    before, after = (spoken(bundle, text) for bundle in (old, new))
    pairs = [(s, *pair) for s in in_order(before, after) for pair in aligned(before.get(s, []), after.get(s, []))]
    if not pairs:
        return ()
    read = {cause: spoken(bundle, text) for cause, bundle in alone.items()}

    def due(section: str, was: str | None, reads: str | None) -> tuple[str, ...] | None:
        if not read:
            return None
        said = {cause: read[cause].get(section, []) for cause in CAUSES if cause in read}
        return tuple(cause for cause, lines in said.items() if (was not in lines if reads is None else reads in lines))

    return tuple(SentenceMoved(*pair, due(*pair)) for pair in pairs)


def _rows(table: TableData | None, keys: tuple[str, ...]) -> dict[tuple, dict[str, Any]]:
    if table is None or not set(keys) <= set(table.columns):
        return {}
    found = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    return {row_key(row, keys): row for row in found}


def _as_now(one: CellMoved | RowMoved, row: dict[str, Any] | None) -> bool:
    if isinstance(one, RowMoved):
        return (row is not None) == (one.side == "added")
    return row is not None and one.column in row and same(row[one.column], one.new)
