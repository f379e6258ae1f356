"""The cells of one sheet of an Excel workbook, and what a workbook may not hold.

A formula without its result, cells that are merged, and an error of the spreadsheet would all read as missing values: the first two
are refused, the third is kept as its text (#DIV/0!), which no column of numbers takes.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from ..errors import DataError, some
from .size import MOST_CELLS, proved_cells, proved_unpacked

_CELL = re.compile(
    rb"<(?:\w+:)?c\b([^>]*)>\s*<(?:\w+:)?f\b[^>]*?(?:/>|>[^<]*</(?:\w+:)?f>)\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</"
)
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*?ref="([A-Z0-9:]+)"')
_PLACE = re.compile(rb'\br="([A-Z]+[0-9]+)"')
_STEP, _OVERLAP = 1 << 20, 1 << 14


def sheet_cells(path: Path, sheet: str | None) -> list[list[Any]]:
    """The rows of a sheet, the header first, all of one length; the first sheet when none is named.

    Raises
    ------
    DataError
        When the sheet is not there or is empty, holds more cells than a table may, merged cells, or formulas without results.
    """
    with ZipFile(path) as archive:
        proved_unpacked(path, sum(part.file_size for part in archive.infolist()))
        _no_entities(path, archive)
    from openpyxl import load_workbook

    with warnings.catch_warnings(), path.open("rb") as file:  # closed here, for a damaged book is left open by its reader
        warnings.simplefilter("ignore")  # of styles and lists to choose from, and of dates that are none: these read as errors
        book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        try:
            page = book[_named(path, sheet, book.sheetnames)]
            if not hasattr(page, "reset_dimensions"):
                raise DataError(
                    f"{path.name}: '{page.title}' is a chart, not a table; name the sheet of the table as {path.name}::sheet"
                )
            rows = _rows(path, page)
            with book._archive.open(page._worksheet_path) as part:
                _nothing_hidden(path, page.title, part)
        finally:
            book.close()
    if not rows:
        raise DataError(
            f"{path.name}: the first row of sheet '{page.title}' must hold the names of the columns; the sheet is empty"
        )
    return rows


def _named(path: Path, sheet: str | None, names: list[str]) -> str:
    if sheet is not None and sheet not in names:
        raise DataError(f"{path.name} has no sheet '{sheet}'; it has {', '.join(names)}")
    return sheet if sheet is not None else names[0]


def _rows(path: Path, page) -> list[list[Any]]:
    """The rows down to the last that holds anything; counted on the way, because one far cell makes a sheet of millions."""
    page.reset_dimensions()
    rows, width, last = [], 0, 0
    for row in page.iter_rows(values_only=True):
        values = list(row)
        while values and (values[-1] is None or values[-1] == ""):
            values.pop()
        rows.append(values)
        if values:
            width, last = max(width, len(values)), len(rows)
        if width and last * width > MOST_CELLS:
            proved_cells(path, last, width)
    return [row + [None] * (width - len(row)) for row in rows[:last]]


def _no_entities(path: Path, archive: ZipFile) -> None:
    """Refuse a part that declares entities: no program writes one, and it may unfold without end."""
    for info in archive.infolist():
        with archive.open(info) as part:
            if b"<!DOCTYPE" in part.read(4096):
                raise DataError(
                    f"{path.name}: {info.filename} declares a document type; open the workbook and save it again as .xlsx"
                )


def _nothing_hidden(path: Path, title: str, part) -> None:
    """Refuse merged cells, and formulas that hold no result."""
    empty: dict[str, None] = {}
    merged: dict[str, None] = {}
    kept = b""
    while step := part.read(_STEP):
        text = kept + step
        merged |= dict.fromkeys(place.decode() for place in _MERGED.findall(text))
        for found in _CELL.finditer(text) if b"<f" in text or b":f" in text else ():
            place = _PLACE.search(found[1])
            if place and b't="str"' not in found[1]:  # a formula that gives an empty text has one
                empty[place[1].decode()] = None
        kept = text[-_OVERLAP:]
    if empty:
        raise DataError(
            f"{path.name}: the results of formulas must be saved with them; sheet '{title}' lacks those of {some(empty, 'cell')}. "
            "Open the workbook in a spreadsheet program and save it, or paste the values"
        )
    if merged:
        raise DataError(
            f"{path.name}: every row holds its own values; sheet '{title}' has merged cells, {some(merged, 'range')}. "
            "Undo the merge and fill each cell"
        )
