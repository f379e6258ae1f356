"""The Excel annex: every table of the bundle in full, a sheet each, in the order of the report, behind a sheet of contents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from .bundle import Bundle
from .labels import coded, outcome_label
from .paper import Paper
from .sentences import programme_name
from .sheets import (
    FACE,
    PLAIN,
    QUIET,
    TONES,
    WIDEST,
    cell,
    fit,
    heading_rows,
    height,
    lines_of,
    printable,
    put,
    save_book,
    sheet_name,
    shown_length,
    width,
)
from .tables import PAIRED, _tone, heading, note_values, read_layout, sided, source_line
from .text import Text

_HEAD = 3  # the row of headings: above it stand the title and the note
_NOTE_WIDTH = 90  # characters in a line of a note, at least
_FAR = 150  # characters after which the first column stays in sight
_OWN_PAGES = re.compile(r"\bann?ex", re.IGNORECASE)  # a sentence that sends the reader of the report to this workbook


@dataclass(frozen=True, slots=True)
class _Listed:
    """A table as the contents list it: its sheet, its number in the report if it is printed there, caption and note."""

    table: str
    sheet: str
    numbers: tuple[int, ...]
    section: str
    caption: str
    note: str


@dataclass(frozen=True, slots=True)
class _Look:
    """The accent colour, and the styles of cells met so far: making one is slow, so cells of one look share it."""

    accent: str
    styles: dict[tuple, Any] = field(default_factory=dict)

    def put(self, sheet, place: tuple[int, int], value: Any, style: tuple[str, bool, bool, str]) -> None:
        """Write a cell; `style`: its number format, whether it stands at the top, whether it wraps, the tone of a verdict word.

        The sign of a verdict belongs to the format, so that the word can be filtered and sorted.
        """
        from openpyxl.styles import Alignment, Border, Font, Side

        number, top, wrap, tone = style
        at = put(sheet, *place, value)
        if style in self.styles:
            at._style = copy(self.styles[style])
            return
        at.number_format = f'"{TONES[tone][0]} "@' if tone else number
        at.border = Border(bottom=Side(style="hair", color="AEB8C1"))
        at.font = Font(name=FACE, size=10, bold=bool(tone), color=TONES[tone][1] if tone else "000000")
        at.alignment = Alignment(vertical="top" if top else None, wrap_text=wrap or None)
        self.styles[style] = copy(at._style)


def annex(paper: Paper) -> Path:
    """Write `annex.<language>.xlsx` of a report; tables carry the numbers that they have there."""
    printed = paper.source.read_text(encoding="utf-8")
    return workbook(paper.bundle, paper.text, paper.target("annex", "xlsx"), printed, paper.look.accent)


def workbook(bundle: Bundle, text: Text, path: Path, printed: str = "", accent: str = "#0b3c5d") -> Path:
    """Write every table of the bundle in the language of `text`: headings and codes as words, the columns' own names below.

    Sheets stand in the order of the report, what it does not print after it; then the meaning of the columns, the codes behind the
    words, and where everything came from. `printed` is the Markdown of the report, from which the tables take their numbers.
    The same bundle gives the same bytes. Texts are written as texts: one that a spreadsheet would read as a formula gets a
    leading apostrophe.
    """
    from openpyxl import Workbook

    book, look = Workbook(), _Look(accent.lstrip("#").upper())
    listed = _listed(bundle, text, printed)
    contents = book.active
    contents.title = sheet_name(text.say("contents"), [])
    for one in listed:
        _table_sheet(book.create_sheet(one.sheet), one, bundle, text, look)
    for key, rows in (
        ("definitions", _definitions(listed, bundle, text)),
        ("codes", _codes(bundle, text)),
        ("origin", _origin(bundle, text)),
    ):
        _list_sheet(book, _said(key, text), rows, bundle, text, look)
    _contents(contents, listed, bundle, text, look)
    stamp = datetime.fromisoformat(str(bundle.study.get("as_of", "2000-01-01"))[:10])
    return save_book(book, path, stamp, programme_name(bundle, text))


def _listed(bundle: Bundle, text: Text, printed: str) -> list[_Listed]:
    """The tables that have rows: those of the report's outline in its order, then the others."""
    layout = read_layout()
    place, table_of = {}, {}
    for section in layout.stages.get(bundle.study.get("stage", "final"), ()):
        for block in layout.sections[section]:
            table = block.get("table") or block.get("findings")
            if table:
                place.setdefault(table, (section, block.get("name", table)))
                table_of[block.get("name", table).replace("_", "-")] = table
    numbers: dict[str, list[int]] = {}
    for number, name in enumerate(re.findall(r"^:+ \{#tbl-([\w-]+)", printed, re.MULTILINE), start=1):
        numbers.setdefault(table_of.get(name, ""), []).append(number)
    names = [name for name in [*place, *(n for n in bundle.tables if n not in place)] if bundle.has(name)]
    found: list[_Listed] = []
    for name in names:
        section, block = place.get(name, ("", name))
        sheet = sheet_name(name, [text.say("contents")[:31], *(one.sheet for one in found)])
        caption, note = _words_around(name, block, bundle, text)
        title = text.say(f"section.{section}") if section and numbers.get(name) else ""
        found.append(_Listed(name, sheet, tuple(numbers.get(name, ())), title, caption, note))
    return found


def _words_around(name: str, block: str, bundle: Bundle, text: Text) -> tuple[str, str]:
    """Caption and note of the whole table; what is true of the printed excerpt alone is left out."""
    frame = bundle.table(name)
    several = "outcome" in frame and frame["outcome"].nunique() > 1
    values = note_values(frame, bundle, text)
    caption, note = (
        next((text.entries[key] for key in (f"table.{name}.{part}", f"table.{block}.{part}") if text.has(key)), "")
        for part in ("caption", "note")
    )
    if several:
        caption = re.sub(r"\W*\{outcome\}", "", caption)
    parts = [s for s in re.split(r"(?<=[.;])\s+", note) if not (_OWN_PAGES.search(s) or (several and "{outcome}" in s))]
    filled = [re.sub(r"\{(\w+)\}", lambda m: values.get(m[1], "—"), words) for words in (caption, " ".join(parts))]
    source = source_line(name, bundle, text)
    return _plain(filled[0]) or name.replace("_", " "), _plain(" ".join(part for part in (filled[1], source) if part))


def _plain(markdown: str) -> str:
    """Markdown as plain text: without its marks and escapes."""
    bare = re.sub(r"(?<!\\)[*`]+", "", re.sub(r"\[([^\]]*)\](\{[^}]*\}|\([^)]*\))", r"\1", markdown))
    return re.sub(r"\\([^\w\s])", r"\1", bare).strip()


def _letter(number: int) -> str:
    from openpyxl.utils import get_column_letter

    return get_column_letter(number)


def _said(key: str, text: Text) -> str:
    return text.entries.get(f"annex.{key}") or key.replace("_", " ")


def _title(one: _Listed, text: Text) -> str:
    return f"{text.say('word.table')} {', '.join(map(str, one.numbers))}. {one.caption}" if one.numbers else one.caption


def _table_sheet(sheet, one: _Listed, bundle: Bundle, text: Text, look: _Look) -> None:
    frame = _own_language(bundle.table(one.table), text)
    columns = [str(c) for c in frame.columns]
    lit = {c for c in columns if read_layout().kinds.get(c) == "light"}
    rows = [
        [(*cell(c, row, bundle, text), _tone(str(row[c])) if c in lit else "") for c in columns] for row in frame.to_dict("records")
    ]
    headings = [_heading(c, one.table, text) for c in columns]
    _body(sheet, headings, columns, rows, look)
    wide = sum(sheet.column_dimensions[_letter(i)].width for i in range(1, len(columns) + 1))
    sheet.freeze_panes = f"{'B' if wide > _FAR else 'A'}{_HEAD + 2}"
    _above(sheet, _title(one, text), one.note, len(columns), text)
    printable(sheet, wide, f"{_HEAD}:{_HEAD + 1}", programme_name(bundle, text), text)


def _body(sheet, headings: Sequence[str], names: Sequence[str], rows: list[list[tuple[Any, str, str]]], look: _Look) -> None:
    """Headings, names and rows, each cell a value, its number format and its tone; long texts wrap."""
    lengths = [max((shown_length(value, number) for value, number, _ in column), default=0) for column in zip(*rows, strict=True)]
    widths = [
        width(h, c, [n]) for h, c, n in zip(headings, names or [""] * len(headings), lengths or [0] * len(headings), strict=True)
    ]
    fit(sheet, widths)
    heading_rows(sheet, _HEAD, headings, names, look.accent)
    first, long = _HEAD + 1 + bool(names), [n > WIDEST for n in lengths]
    for i, row in enumerate(rows, start=first):
        for j, (value, number, tone) in enumerate(row, start=1):
            look.put(sheet, (i, j), value, (number, any(long), long[j - 1], tone))
        if any(long):
            most = max(
                (lines_of(v[0], w) for v, w, far in zip(row, widths, long, strict=True) if far and isinstance(v[0], str)), default=1
            )
            sheet.row_dimensions[i].height = height(most)
    sheet.auto_filter.ref = f"A{first - 1}:{_letter(len(headings))}{max(first, first + len(rows) - 1)}"


def _heading(column: str, table: str, text: Text) -> str:
    """The heading of a column; one that says the same in several languages has one for all."""
    return heading(next((name for name in PAIRED if re.fullmatch(rf"{name}_[a-z]{{2}}", column)), column), text, table)


def _own_language(frame: pd.DataFrame, text: Text) -> pd.DataFrame:
    """The frame with one of the columns that say the same in several languages: this one's, else English, else the first."""
    for name in PAIRED:
        sisters = [c for c in frame.columns if re.fullmatch(rf"{name}_[a-z]{{2}}", str(c))]
        kept = next((c for c in (f"{name}_{text.language}", f"{name}_en") if c in sisters), sisters[0] if sisters else "")
        frame = frame.drop(columns=[c for c in sisters if c != kept])
    return frame


def _above(sheet, title: str, note: str, n_columns: int, text: Text) -> None:
    """The title, its link back to the contents, and the note across as many columns as a line of it needs."""
    from openpyxl.styles import Alignment, Font

    at = put(sheet, 1, 1, title)
    at.font = Font(name=FACE, bold=True, size=13)
    _link(at, text.say("contents"), _said("back", text))
    span, wide = 0, 0.0
    while wide < _NOTE_WIDTH:
        span += 1
        wide += sheet.column_dimensions[_letter(span)].width if span <= n_columns else 9
    at = put(sheet, 2, 1, note or None)
    at.font, at.alignment = Font(name=FACE, size=9, color=QUIET), Alignment(wrap_text=True, vertical="top")
    if span > 1:
        sheet.merge_cells(start_row=2, start_column=1, end_row=2, end_column=span)
    sheet.row_dimensions[2].height = height(lines_of(note, wide), 9) + 3


def _link(at, sheet: str, tip: str = "") -> None:
    """Make the cell a link to the top of another sheet of the workbook; its own look stays."""
    from openpyxl.worksheet.hyperlink import Hyperlink

    target = sheet[:31].replace("'", "''")
    at.hyperlink = Hyperlink(ref=at.coordinate, location=f"'{target}'!A1", tooltip=tip or None)


def _contents(sheet, listed: Sequence[_Listed], bundle: Bundle, text: Text, look: _Look) -> None:
    """One row a table: its number in the report, what it shows, its sheet, its rows, its section and its note."""
    from openpyxl.styles import Alignment, Font

    put(sheet, 1, 1, programme_name(bundle, text)).font = Font(name=FACE, bold=True, size=15)
    stage = text.say(f"stage.{bundle.study.get('stage', 'final')}")
    put(sheet, 2, 1, f"{stage} · {text.day(bundle.study.get('as_of'), 'long')}").font = Font(name=FACE, size=11, color=QUIET)
    widths = [12, 56, 26, 11, 28, 76]
    fit(sheet, widths)
    headings = [_said("number", text), _said("shows", text), _said("sheet", text), text.heading("n_rows")]
    heading_rows(sheet, 5, [*headings, text.heading("section"), text.heading("note")], (), look.accent)
    for i, one in enumerate(listed, start=6):
        values = [
            ", ".join(map(str, one.numbers)),
            one.caption,
            one.sheet,
            len(bundle.tables[one.table].rows),
            one.section,
            one.note,
        ]
        for j, value in enumerate(values, start=1):
            look.put(sheet, (i, j), None if value == "" else value, ("#,##0" if j == 4 else PLAIN, True, j in (2, 5, 6), ""))
        for j in (2, 3):
            _link(sheet.cell(i, j), one.sheet)
            sheet.cell(i, j).font = Font(name=FACE, size=10, color="0563C1", underline="single")
        sheet.row_dimensions[i].height = height(max(lines_of(str(v), w) for v, w in zip(values, widths, strict=True)))
    sheet.merge_cells("A3:E3")
    at = put(sheet, 3, 1, _said("read", text))
    at.font, at.alignment = Font(name=FACE, size=9, color=QUIET), Alignment(wrap_text=True, vertical="top")
    sheet.row_dimensions[3].height = height(lines_of(_said("read", text), sum(widths[:5])), 9) + 3
    sheet.auto_filter.ref = f"A5:F{max(6, 5 + len(listed))}"
    sheet.freeze_panes = "A6"
    printable(sheet, sum(widths), "5:5", programme_name(bundle, text), text)


def _definitions(listed: Sequence[_Listed], bundle: Bundle, text: Text) -> list[list]:
    """One row a column of the tables: its name, its heading, what it means where words exist, how it is shown, where it stands."""
    kinds, where, headings = read_layout().kinds, {}, {}
    for one in listed:
        for column in _own_language(bundle.table(one.table).iloc[:0], text).columns:
            where.setdefault(column, []).append(one.sheet)
            headings.setdefault(column, {})[_heading(column, one.table, text)] = None
    rows = [
        [
            text.heading("column"),
            _said("heading", text),
            _said("meaning", text),
            _said("shown", text),
            _said("sheets", text),
        ]
    ]
    for column in sorted(where):
        kind = f"annex.kind.{kinds.get(sided(column, text)[0], 'num')}"
        meaning = text.entries.get(f"definition.{column}", "")
        shown = text.say(kind) if text.has(kind) else ""
        rows.append([column, "; ".join(headings[column]), meaning, shown, ", ".join(where[column])])
    return rows


def _codes(bundle: Bundle, text: Text) -> list[list]:
    """One row a code that the tables show as a word: the column, the code in the files, the word."""
    kinds, found = read_layout().kinds, {}
    for name in bundle.tables:
        frame = bundle.table(name)
        for column in frame.columns:
            label, _ = sided(str(column), text)
            kind = kinds.get(label, "num")
            if kind in ("text", "day"):
                continue
            for code in frame[column].dropna().unique() if frame[column].dtype == object else ():
                if isinstance(code, str) and code:
                    word = outcome_label(code, bundle, text.language) if kind == "outcome" else coded(label, code, bundle, text)
                    found |= {(label, code): word} if word != code else {}
    return [
        [text.heading("column"), _said("code", text), _said("word", text)],
        *([*key, found[key]] for key in sorted(found)),
    ]


def _origin(bundle: Bundle, text: Text) -> list[list]:
    """One row a fact about how the numbers came about: versions, the seed, and the files read with their hashes."""
    rows = [[text.heading("key"), text.heading("value")]]
    for key, value in bundle.provenance.items():
        label = text.label("provenance", key)
        pairs = value.items() if isinstance(value, dict) else [("", value)]
        rows += [[f"{label}: {name}" if name else label, str(shown)] for name, shown in pairs]
    return rows


def _list_sheet(book, title: str, rows: list[list[str]], bundle: Bundle, text: Text, look: _Look) -> None:
    """A sheet of plain texts under one row of headings."""
    sheet = book.create_sheet(sheet_name(title, book.sheetnames))
    _body(sheet, rows[0], (), [[(value or None, PLAIN, "") for value in row] for row in rows[1:]], look)
    wide = sum(sheet.column_dimensions[_letter(i)].width for i in range(1, len(rows[0]) + 1))
    sheet.freeze_panes = f"A{_HEAD + 1}"
    _above(sheet, title, "", len(rows[0]), text)
    printable(sheet, wide, f"{_HEAD}:{_HEAD}", programme_name(bundle, text), text)
