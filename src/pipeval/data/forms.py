"""Blank tables of the data contract: what a coordinator fills in, on a screen or by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from ..errors import PipevalError, UsageError, some
from ..study.files import nearest
from ..study.specs import Source
from .contract import TABLES
from .read import SUFFIXES, read_file
from .schema import Column

WORKBOOK = "forms.xlsx"
_INK, _PALE, _EDGE = "0B3C5D", "DCE6EE", "8FA3B3"
_WIDE = {"id": 14, "text": 20, "code": 18, "date": 13, "money": 14}
_FORMATS = {
    "id": "@",
    "text": "@",
    "code": "@",
    "date": "yyyy-mm-dd",
    "int": "0",
    "bool": "0",
    "money": "#,##0.0",
    "num": "General",
}


def blank_tables(currency: str = "MXN", names: Collection[str] = ()) -> dict[str, pd.DataFrame]:
    """Each table of the contract without a row, by name; all of them, or those named.

    Columns are named as the files have them for a programme in this currency. What each one means and why it is kept is told by
    `data.schema.data_dictionary`.

    Raises
    ------
    UsageError
        When a name is no table of the contract.

    Examples
    --------
    >>> list(blank_tables("UYU", ["other_support"])["other_support"])
    ['firm_id', 'programme', 'start_on', 'amount_usd']
    >>> "sales_kuyu" in blank_tables("UYU")["survey"]
    True
    """
    unknown = sorted(set(names) - set(TABLES))
    if unknown:
        raise UsageError(f"no such table of the contract: {some(unknown, 'table')}; {nearest(unknown[0], TABLES)}")
    return {name: pd.DataFrame(columns=list(table.named(currency))) for name, table in TABLES.items() if not names or name in names}


def write_blank(folder: str | Path, currency: str = "MXN", names: Collection[str] = ()) -> list[Path]:
    """Write each blank table as `<name>.csv` into a folder: the header and no row. A file that is there already is never touched.

    Raises
    ------
    PipevalError
        When a file is there already, or the folder cannot be written.
    """
    folder = Path(folder)
    files = {folder / f"{name}.csv": table for name, table in blank_tables(currency, names).items()}
    _refuse_to_replace(folder, list(files))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, table in files.items():
            table.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
    except OSError as error:
        raise PipevalError(f"cannot write to {folder}: {error.strerror or error}; choose another folder") from None
    return list(files)


def write_workbook(folder: str | Path, words: Mapping[str, str], currency: str = "MXN", names: Collection[str] = ()) -> Path:
    """Write the blank tables as one workbook, `forms.xlsx`: a guide, a sheet a table, and a sheet of codes.

    A table's sheet is named as the table and begins with its header, so that it is read as `forms.xlsx::<table>`. Columns carry
    their number format, cells of a code a list to choose from, headings a remark that explains them; needed ones are dark.

    Parameters
    ----------
    words : mapping of str to str
        What is printed, as `new.words.form_words` has it. Meanings of tables and columns that it lacks are those of the contract.

    Raises
    ------
    PipevalError
        When the workbook is there already, cannot be written, or the package openpyxl is missing.
    """
    chosen = blank_tables(currency, names)
    path = Path(folder) / WORKBOOK
    _refuse_to_replace(Path(folder), [path])
    try:
        from openpyxl import Workbook
    except ImportError:
        raise PipevalError('the workbook needs the package openpyxl: python -m pip install "pipeval[report]"') from None
    book = Workbook()
    guide, codes = book.active, book.create_sheet(words["sheet.codes"])
    guide.title = words["sheet.guide"]
    places = _codes(codes, chosen, words)
    _guide(guide, chosen, words, currency)
    for name in chosen:
        _form(book.create_sheet(name, len(book.sheetnames) - 1), name, words, currency, places)
    book.properties.creator = "pipeval"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        book.save(path)
    except OSError as error:
        raise PipevalError(f"cannot write to {folder}: {error.strerror or error}; choose another folder") from None
    return path


def unfilled(folder: str | Path, source: Source, names: Collection[str] = tuple(TABLES)) -> list[str]:
    """The tables of a data folder that have a file (or sheet) and no row in it, by name.

    `source` is the section `data` of a study: it names files and says how CSV is written.
    """
    empty = []
    for name in names:
        file, _, sheet = source.files.get(name, "").partition("::")
        found = [Path(folder) / end for end in ([file] if file else [f"{name}{suffix}" for suffix in SUFFIXES])]
        path = next((p for p in found if p.is_file()), None)
        if path is not None and read_file(path, sheet or None, source).empty:
            empty.append(name)
    return empty


def _refuse_to_replace(folder: Path, files: list[Path]) -> None:
    there = [path.name for path in files if path.exists()]
    if there:
        raise PipevalError(f"a blank table would replace a file of {folder}: {some(there, 'file')}; choose an empty folder")


def _meaning(table: str, column: Column, words: Mapping[str, str]) -> str:
    return words.get(f"columns.{table}.{column.name}") or words.get(f"columns.{column.name}") or column.meaning


def _unit(column: Column, words: Mapping[str, str], currency: str) -> str:
    if column.kind == "money":
        return words["unit.money"].format(currency=currency)
    return words.get(f"unit.{column.unit}", column.unit)


def _range(column: Column) -> str:
    """The range as it is printed: 0 – 12, ≥ 0."""
    if column.low is None and column.high is None:
        return ""
    if column.low is None or column.high is None:
        return f"≤ {column.high:g}" if column.low is None else f"≥ {column.low:g}"
    return f"{column.low:g} – {column.high:g}"


def _codes(sheet, chosen: Collection[str], words: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Fill the sheet of codes; by table and column, the cells that hold its list."""
    _heading(sheet, [words[f"heading.{h}"] for h in ("table", "column", "code", "meaning")], [18, 22, 20, 60])
    places = {}
    for name in chosen:
        for column in TABLES[name].columns:
            first = sheet.max_row + 1
            for code in column.codes:
                said = words.get(f"codes.{column.name}.{code}") or words.get(f"codes.{code}", "")
                sheet.append([name, column.name, code, said])
            if column.codes:
                places[name, column.name] = f"'{sheet.title}'!$C${first}:$C${sheet.max_row}"
    for cells in sheet.iter_rows(min_row=2, min_col=3, max_col=3):
        cells[0].number_format = "@"
    sheet.auto_filter.ref = sheet.dimensions
    return places


def _guide(sheet, chosen: Collection[str], words: Mapping[str, str], currency: str) -> None:
    """How to fill the workbook in, then every column of every table."""
    from openpyxl.styles import Alignment, Font

    sheet.append([words["guide.title"]])
    sheet["A1"].font = Font(name="Calibri", bold=True, size=16, color=_INK)
    for key in ("first", "names", "needed", "empty", "forms", "codes"):
        sheet.append([words[f"guide.{key}"].format(currency=currency)])
        row = sheet.max_row
        sheet.merge_cells(start_row=row, start_column=1, end_row=row, end_column=7)
        sheet.cell(row, 1).alignment = Alignment(wrap_text=True, vertical="top")
        sheet.row_dimensions[row].height = 32
    sheet.append([])
    heads = [words[f"heading.{h}"] for h in ("table", "column", "meaning", "kind", "unit", "values", "needed")]
    _heading(sheet, heads, [18, 26, 60, 22, 16, 42, 11])
    start = sheet.max_row
    for name in chosen:
        sheet.append([name, "", words.get(f"tables.{name}") or TABLES[name].meaning])
        for cell in sheet[sheet.max_row]:
            cell.font = Font(name="Calibri", bold=True, color=_INK)
        sheet.cell(sheet.max_row, 1).hyperlink = f"#'{name}'!A1"
        for heading, column in TABLES[name].named(currency).items():
            values = ", ".join(column.codes) or _range(column)
            cells = [name, heading, _meaning(name, column, words), words[f"kind.{column.kind}"], _unit(column, words, currency)]
            sheet.append([*cells, values, words["yes"] if column.needed else ""])
            deep = max(-(-len(cells[2]) // 55), -(-len(values) // 40), 1)
            sheet.row_dimensions[sheet.max_row].height = 15 * deep
    for cells in sheet.iter_rows(min_row=start, min_col=3, max_col=6):
        for cell in cells if cells[1].value else ():  # the sentence about a table runs over the empty cells beside it
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    sheet.auto_filter.ref = f"A{start}:G{sheet.max_row}"
    sheet.sheet_view.showGridLines = False
    sheet.freeze_panes = None  # the advice above would take up the screen


def _form(sheet, name: str, words: Mapping[str, str], currency: str, places: Mapping[tuple[str, str], str]) -> None:
    """One blank table: its header, and for each column its width, number format, remark and what may be entered."""
    from openpyxl.comments import Comment
    from openpyxl.utils import get_column_letter

    columns = TABLES[name].named(currency)
    _heading(sheet, list(columns), [max(_WIDE.get(c.kind, 11), len(h) + 3) for h, c in columns.items()])
    sheet.freeze_panes = "B2"
    for place, column in enumerate(columns.values(), start=1):
        letter, cell = get_column_letter(place), sheet.cell(1, place)
        if not column.needed:
            _optional(cell)
        sheet.column_dimensions[letter].number_format = _FORMATS[column.kind]
        told = [_meaning(name, column, words), words[f"kind.{column.kind}"], _unit(column, words, currency), _range(column)]
        told += [words["heading.needed"]] if column.needed else []
        cell.comment = Comment("\n".join(filter(None, told)), "pipeval", width=300, height=100)
        rule = _rule(column, words, places.get((name, column.name), ""))
        if rule is not None:
            rule.add(f"{letter}2:{letter}1048576")
            sheet.add_data_validation(rule)


def _rule(column: Column, words: Mapping[str, str], listed: str):
    """What Excel lets into a cell: a code of the list, 0 or 1, a date; a number out of range is asked about and may stay."""
    from openpyxl.worksheet.datavalidation import DataValidation

    if column.codes:
        return DataValidation(
            "list", listed, allow_blank=True, showErrorMessage=True, errorTitle="pipeval", error=words["fault.code"]
        )
    if column.kind == "bool":
        return DataValidation("list", '"1,0"', allow_blank=True, showErrorMessage=True, error=words["kind.bool"])
    if column.kind == "date":
        return DataValidation(
            "date", formula1="1", operator="greaterThan", allow_blank=True, showErrorMessage=True, error=words["fault.date"]
        )
    if column.kind not in ("int", "num", "money") or (column.low is None and column.high is None):
        return None
    low, high = -1e15 if column.low is None else column.low, 1e15 if column.high is None else column.high
    kind = "whole" if column.kind == "int" else "decimal"
    asked = words["fault.number"].format(range=_range(column))
    return DataValidation(
        kind,
        f"{low:.0f}",
        f"{high:.0f}",
        operator="between",
        allow_blank=True,
        showErrorMessage=True,
        errorStyle="warning",
        error=asked,
    )


def _heading(sheet, headings: list[str], widths: list[float]) -> None:
    """A header row below what the sheet holds, in white on dark blue, that stays in sight."""
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.properties import PageSetupProperties

    sheet.append(headings)
    for cell in sheet[sheet.max_row]:
        cell.font = Font(name="Calibri", bold=True, color="FFFFFF")
        cell.fill = PatternFill("solid", fgColor=_INK)
        cell.alignment = Alignment(vertical="center")
    for place, width in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(place)].width = width
    sheet.page_setup.orientation, sheet.page_setup.fitToHeight = "landscape", 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.freeze_panes = f"A{sheet.max_row + 1}"


def _optional(cell) -> None:
    from openpyxl.styles import Border, Font, PatternFill, Side

    cell.font = Font(name="Calibri", color="1F2A33")
    cell.fill = PatternFill("solid", fgColor=_PALE)
    cell.border = Border(bottom=Side("thin", color=_EDGE))
