"""The Excel annex: every table of the bundle in full, one sheet each, behind a sheet of contents."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pandas as pd

from .bundle import Bundle, spreadsheet_safe
from .labels import coded, outcome_label
from .tables import heading, read_layout, sided
from .text import Text
from .word import repacked

_FORMATS = {
    "int": "#,##0",
    "year": "0",
    "dec1": "#,##0.0",
    "dec2": "#,##0.00",
    "dec3": "#,##0.000",
    "pct": "0.0%",
    "points": "0.000",
    "ratio": "0.000",
    "p": "0.000",
    "money": "#,##0",
    "num": "General",
    "effect": "0.0%",
    "by_unit": "General",
}


def annex(bundle: Bundle, text: Text, path: Path) -> Path:
    """Write the workbook: headings and labels in the language of `text`, the bundle's own column names in the second row.

    The same bundle gives the same bytes. Texts are written as texts: one that a spreadsheet would read as a formula gets a leading
    apostrophe.
    """
    from openpyxl import Workbook

    book = Workbook()
    stamp = datetime.fromisoformat(str(bundle.study.get("as_of", "2000-01-01"))[:10])
    book.properties.created = book.properties.modified = stamp
    book.properties.creator = "pipeval"
    contents = book.active
    contents.title = text.say("contents")[:31]
    names = [name for name in bundle.tables if bundle.has(name)]
    _heading(contents, [text.heading("table"), text.heading("text", "annex"), text.heading("n")], [24, 70, 10])
    for name in names:
        caption = text.say(f"table.{name}.caption") if text.has(f"table.{name}.caption") else name
        contents.append([name, caption, len(bundle.tables[name].rows)])
        contents.cell(contents.max_row, 1).hyperlink = f"#'{name[:31]}'!A1"
        contents.cell(contents.max_row, 1).style = "Hyperlink"
        _sheet(book.create_sheet(name[:31]), bundle.table(name), name, bundle, text)
    book.save(path)
    # openpyxl writes the hour of saving, whatever its properties say.
    hour = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")
    day = stamp.strftime("%Y-%m-%dT00:00:00Z").encode()
    return repacked(path, {"docProps/core.xml": lambda part: hour.sub(rb"\g<1>" + day, part)})


def _sheet(sheet, frame: pd.DataFrame, name: str, bundle: Bundle, text: Text) -> None:
    kinds = read_layout().kinds
    labels = {c: sided(c, text)[0] for c in frame.columns}
    formats = [_FORMATS.get(kinds.get(labels[c], "num"), "General") for c in frame.columns]
    shown = [frame[c].map(lambda v, c=c: _value(v, labels[c], kinds.get(labels[c], "num"), bundle, text)) for c in frame.columns]
    headings = [heading(c, text, name) for c in frame.columns]
    widths = [min(48, max([len(words), *(len(str(v)) for v in column)]) + 2) for words, column in zip(headings, shown, strict=True)]
    _heading(sheet, headings, widths)
    _names(sheet, list(frame.columns))
    for row in zip(*shown, strict=True):
        sheet.append(list(row))
    for i, number_format in enumerate(formats, start=1):
        for (cell,) in sheet.iter_rows(min_row=3, min_col=i, max_col=i):
            if isinstance(cell.value, int | float) and not isinstance(cell.value, bool):
                cell.number_format = number_format
    if len(frame.columns):
        sheet.auto_filter.ref = sheet.dimensions.replace("A1", "A2")


def _heading(sheet, headings: list[str], widths: list[float]) -> None:
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter

    sheet.append([spreadsheet_safe(h) for h in headings])
    for cell in sheet[1]:
        cell.font = Font(bold=True, color="FFFFFF")
        cell.fill = PatternFill("solid", fgColor="0B3C5D")
        cell.alignment = Alignment(wrap_text=True, vertical="bottom")
    for i, width in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(i)].width = max(9, width)
    sheet.freeze_panes = "A2"


def _names(sheet, names: list[str]) -> None:
    from openpyxl.styles import Font

    sheet.append([spreadsheet_safe(n) for n in names])
    for cell in sheet[2]:
        cell.font = Font(italic=True, size=9, color="5A6772")
    sheet.freeze_panes = "A3"


def _value(value, column: str, kind: str, bundle: Bundle, text: Text):
    if value is None or value != value:
        return None
    if isinstance(value, str):
        word = (
            outcome_label(value, bundle, text.language)
            if kind == "outcome"
            else coded(column, value, bundle, text)
            if kind in ("code", "light", "year")
            else value
        )
        return spreadsheet_safe(word)
    return value
