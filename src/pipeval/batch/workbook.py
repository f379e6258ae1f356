"""The roll-up workbook of a folder of reports: a row a study, and a row a study and indicator with every number of its verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..report.bundle import spreadsheet_safe
from ..report.sheets import (
    FACE,
    PLAIN,
    TONES,
    WIDEST,
    fit,
    heading_rows,
    number_format,
    number_kind,
    printable,
    put,
    save_book,
    shown_length,
    width,
)
from ..report.tables import _tone
from ..report.text import Text, in_language
from .index import made, reason, standing
from .pages import Standing

OVERVIEW = (
    "study", "programme", "stage", "as_of", "state", "why", "message", "made", "minutes", "verdicts_moved", "numbers_moved",
    "commit",
)  # fmt: skip
"""The columns of the sheet of studies."""

VERDICTS = (
    "study", "stage", "state", "indicator", "text", "level", "unit", "baseline", "value", "target", "change", "effect",
    "effect_low", "effect_high", "p_value", "mde", "attainment", "evidence", "due",
)  # fmt: skip
"""The columns of the sheet of verdicts; `mde` is the smallest effect that the sample could detect."""

_ACCENT = "0B3C5D"
_STATE_TONES = {"current": "good", "stale": "fair", "failed": "bad", "missing": "open", "unknown": "open"}
_NUMBERS = ("baseline", "value", "target", "change", "effect", "effect_low", "effect_high", "p_value", "mde")
_EPOCH = datetime(2000, 1, 1)


def roll_up(found: Sequence[Standing], text: Text) -> bytes:
    """The workbook as bytes: sheets of studies and of verdicts, with filters and frozen headings; the same standings give the same.

    Numbers are whole and only shown rounded; a text that a spreadsheet would read as a formula gets a leading apostrophe.
    """
    from openpyxl import Workbook

    book = Workbook()
    _sheet(book.active, "overview", OVERVIEW, [_overview(one, text) for one in found], text)
    rows = [_verdict(one, row, text) for one in found if one.report for row in one.report.get("verdicts") or ()]
    _sheet(book.create_sheet(), "verdicts", VERDICTS, rows, text)
    with TemporaryDirectory() as folder:
        return save_book(book, Path(folder) / "verdicts.xlsx", _stamp(found), text.say("batch.title")).read_bytes()


def _stamp(found: Sequence[Standing]) -> datetime:
    """The day of the newest report, the one date that the workbook carries."""
    days = [day for one in found if (day := _day(one.known.get("finished")))]
    return max(days, default=_EPOCH)


def _day(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def _overview(one: Standing, text: Text) -> list[tuple[Any, str, str]]:
    """The cells of one study: value, number format, tone."""
    record, report = one.known, one.report or {}
    programme = record.get("programme") or {}
    seconds, moved, git = report.get("seconds"), report.get("moved") or {}, record.get("git") or {}
    message = one.failure.get("message") if one.failure else None
    why = [reason(words, text) for words in one.why if words != message] if one.state != "unknown" else []
    why += [standing(one, text)] if one.stands else []
    values = {
        "study": one.study,
        "programme": in_language(programme.get("name") or {}, text.language, str(programme.get("id") or "")),
        "stage": text.label("stage", record.get("stage")),
        "state": text.say(f"batch.state.{one.state}"),
        "why": "; ".join(why),
        "message": message,
        "made": made(report, text) if report else None,
        "verdicts_moved": moved.get("verdicts"),
        "numbers_moved": moved.get("numbers"),
        "commit": str(git["commit"])[:12] + ("+" if git.get("changed") else "") if git.get("commit") else None,
    }
    cells = {name: (value, PLAIN, "") for name, value in values.items()}
    cells["state"] = (values["state"], PLAIN, _STATE_TONES[one.state])
    cells["as_of"] = _date(record.get("as_of"))
    cells["minutes"] = (seconds / 60 if isinstance(seconds, int | float) else None, "#,##0.0", "")
    return [cells[column] for column in OVERVIEW]


def _verdict(one: Standing, row: Mapping[str, Any], text: Text) -> list[tuple[Any, str, str]]:
    """The cells of one verdict: value, number format, tone."""
    cells: dict[str, tuple[Any, str, str]] = {
        "study": (one.study, PLAIN, ""),
        "stage": (text.label("stage", one.known.get("stage")), PLAIN, ""),
        "state": (text.say(f"batch.state.{one.state}"), PLAIN, _STATE_TONES[one.state]),
        "indicator": (str(row.get("indicator")), PLAIN, ""),
        "text": (in_language(row.get("text") or {}, text.language), PLAIN, ""),
        "due": _date(row.get("due")),
    }
    for column in ("level", "unit"):
        cells[column] = (text.label(column, row.get(column)), PLAIN, "")
    for axis in ("attainment", "evidence"):
        code = row.get(axis)
        cells[axis] = (text.label(axis, code) or None, PLAIN, _tone(str(code)) if code else "")
    for column in _NUMBERS:
        value = row.get(column)
        known = isinstance(value, int | float) and not isinstance(value, bool)
        cells[column] = (value, number_format(number_kind(column, dict(row)), value, text), "") if known else (None, PLAIN, "")
    return [cells[column] for column in VERDICTS]


def _date(value: Any) -> tuple[Any, str, str]:
    day = _day(value)
    return (day, "yyyy-mm-dd", "") if day else (value or None, PLAIN, "")


def _sheet(sheet, name: str, columns: Sequence[str], rows: list[list[tuple[Any, str, str]]], text: Text) -> None:
    """A sheet with its headings above its rows, filters on them, and heading and first column in sight."""
    from openpyxl.utils import get_column_letter

    sheet.title = text.say(f"batch.sheet.{name}")
    headings = [text.entries.get(f"batch.column.{column}") or text.heading(column) for column in columns]
    lengths = [max((shown_length(_seen(row[i][0]), row[i][1]) for row in rows), default=0) for i in range(len(columns))]
    widths = [width(words, column, [longest]) for words, column, longest in zip(headings, columns, lengths, strict=True)]
    fit(sheet, widths)
    heading_rows(sheet, 1, headings, (), _ACCENT)
    styles: dict[tuple[str, str, bool], Any] = {}
    for i, row in enumerate(rows, start=2):
        for j, (value, number, tone) in enumerate(row, start=1):
            _put(sheet, (i, j), value, (number, tone, lengths[j - 1] > WIDEST), styles)
    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{max(2, len(rows) + 1)}"
    printable(sheet, sum(widths), "1:1", text.say("batch.title"), text)


def _seen(value: Any) -> Any:
    return spreadsheet_safe(value) or None


def _put(sheet, place: tuple[int, int], value: Any, style: tuple[str, str, bool], styles: dict) -> None:
    """Write a cell; cells of one look share it, since making one is slow. The sign of a verdict belongs to the format."""
    from copy import copy

    from openpyxl.styles import Alignment, Font

    at = put(sheet, *place, value or (value if isinstance(value, int | float) else None))
    number, tone, wrap = style
    if style in styles:
        at._style = copy(styles[style])
        return
    at.number_format = f'"{TONES[tone][0]} "@' if tone else number
    at.font = Font(name=FACE, size=10, bold=bool(tone), color=TONES[tone][1] if tone else "000000")
    at.alignment = Alignment(vertical="top", wrap_text=wrap or None)
    styles[style] = copy(at._style)
