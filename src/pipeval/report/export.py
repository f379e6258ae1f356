"""One table as a file of its own: as a reader sees it (Excel, LaTeX, Word, HTML, CSV) or as data for Stata, R and Python."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from html import escape as html_escape
from importlib.resources import files
from pathlib import Path

import pandas as pd
from pandas.api.types import is_scalar

from ..errors import DataError, PipevalError, some
from .bundle import Bundle, spreadsheet_safe
from .data_files import write_parquet, write_stata
from .labels import coded
from .sheets import fit, heading_rows, number_format, number_kind, put, save_book, sheet_name, shown_length, width
from .tables import LEFT_KINDS, formatted, heading, read_layout, sided
from .text import NO_CHARACTER, Text, read_text
from .word import finish, reference, repacked

_NO_STUDY = Bundle.build({}, {})
_ACCENT = "0B3C5D"
_SHEET_ROWS = 1_048_576 - 8  # what an Excel sheet holds, less title, headings and note
_ROOM = 3.5  # characters that the margins of a cell take
_PORTRAIT, _LANDSCAPE = 112, 170  # characters of table text side by side on a page of A4
_TABLE_SIZE = 16  # half points of table text in the house style
_TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # active in some languages of babel
    "[": "{[}",
    "]": "{]}",
    "\u2212": "$-$",
    "\u2014": "---",
    "\u00a0": "~",
}


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as printed: its name in the data, its heading, its format, and whether it is set to the left."""

    name: str
    heading: str
    kind: str
    left: bool
    label: str  # the column whose words and formats it takes


@dataclass(frozen=True, slots=True)
class _Paper:
    """A table ready to be written: `columns`, `frame` of plain values (undefined is None), the words round it."""

    frame: pd.DataFrame
    columns: list[_Column]
    text: Text
    title: str
    note: str

    def cells(self) -> list[list[str]]:
        """Every cell as printed, plain text."""
        rows = self.frame.to_dict("records")
        return [[_printed(column, row, self.text) for column in self.columns] for row in rows]

    def values(self) -> pd.DataFrame:
        """Numbers as numbers, codes as words, texts that a spreadsheet cannot take for a formula."""
        return pd.DataFrame(
            {c.name: [_worded(c, value, self.text) for value in self.frame[c.name]] for c in self.columns}, dtype=object
        )


def write_table(
    frame: pd.DataFrame | pd.Series, path: str | Path, *, language: str = "en", title: str = "", note: str = ""
) -> Path:
    """Write a table of codes and numbers, by the ending of `path`: Excel, LaTeX (booktabs), Word, HTML, CSV, Stata or Parquet.

    Headings and the words for codes are those of the report in this language. Word, HTML and LaTeX hold numbers as printed in the
    report; Excel and CSV hold them in full. Whatever a text contains, it stays text: it becomes neither markup nor a
    formula. Stata (`.dta`, format 118) and Parquet hold data: the columns under their own names. In Stata headings are variable
    labels, codes are numbers with value labels in this language, yes and no are 1 and 0, dates are %td; what is undefined or
    infinite is missing, and a name that Stata does not take is changed and stands in the label. In Parquet codes stay codes. The
    file appears whole or not at all.

    Parameters
    ----------
    frame : DataFrame or Series
        One row a line. An index that carries a name becomes columns. A Series needs a name, as weights have.
    path : str or Path
        Folders on the way are made.
    language : str
        One of the languages of the report; the number format follows it.
    title, note : str
        Above and below the table. CSV and Parquet hold the table alone, Stata the title too, as the label of the data.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    DataError
        For another ending, something that is no DataFrame, two columns of one name, cells that hold lists or tables, more rows
        than an Excel sheet holds, or a column of Stata or Parquet that holds both numbers and texts.
    UsageError
        For a language that has no text.

    Notes
    -----
    LaTeX needs the packages booktabs and, for accents, any engine that reads UTF-8. The same table gives the same bytes.

    Examples
    --------
    >>> import tempfile
    >>> frame = pd.DataFrame({"covariate": ["ln_workers"], "smd": [0.1234]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_table(frame, Path(folder) / "balance.csv").read_text(encoding="utf-8-sig"))
    Characteristic,Std. diff.
    Workers (log),0.1234
    <BLANKLINE>
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise DataError(f"a table is written as {', '.join(_WRITERS)}; found '{path.name}'. Choose one of these endings")
    frame = frame.to_frame() if isinstance(frame, pd.Series) and frame.name is not None else frame
    _refuse_no_table(frame)
    text, title, note = read_text(language), _line(title), _line(note)
    paper = _Paper(_flat(frame), [], text, title, note) if suffix in _DATA else _paper(frame, text, title, note)
    if suffix == ".xlsx" and len(frame) > _SHEET_ROWS:
        raise DataError(f"an Excel sheet holds {_SHEET_ROWS} rows; the table has {len(frame)}. Write it as .csv, or cut it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # beside the target: a move within one disk is all or nothing
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            made = Path(scratch) / f"table{suffix}"
            _WRITERS[suffix](paper, made)
            made.replace(path)
    except OSError as error:
        raise PipevalError(f"cannot write {path}: {error.strerror or error}; choose another folder") from None
    return path


def _refuse_no_table(frame: pd.DataFrame) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"a table is a DataFrame; found {type(frame).__name__}. A Series becomes one by its to_frame()")
    names = [n for n in frame.index.names if n is not None] + list(frame.columns)
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise DataError(f"the columns of a table must be told apart by name; repeated: {some(twice, 'name')}. Rename or drop them")
    nested = [name for name in frame.columns if frame[name].dtype == object and not frame[name].map(is_scalar).all()]
    if nested:
        raise DataError(f"a cell of a table holds one value; lists or tables in {some(nested, 'column')}. Write them as text")


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """The index that carries a name as columns; any other goes."""
    names = [name for name in frame.index.names if name is not None]
    return frame.reset_index(names) if names else frame


def _paper(frame: pd.DataFrame, text: Text, title: str, note: str) -> _Paper:
    plain = Bundle.build({}, {"table": frame}).table("table")
    plain = plain.astype(object).where(plain.notna(), None)
    return _Paper(plain, [_column(name, plain[name], text) for name in plain.columns], text, title, note)


def _column(name: str, values: pd.Series, text: Text) -> _Column:
    kinds = read_layout().kinds
    label, _ = sided(name, text)
    kind = kinds.get(label) or ("text" if label.endswith("_id") else "num")
    words = any(isinstance(value, str) for value in values)
    return _Column(name, _line(heading(name, text)), kind, kind in LEFT_KINDS or words, label)


def _printed(column: _Column, row: dict, text: Text) -> str:
    value = row[column.name]
    if column.kind == "text" and column.label == column.name:
        return _line("—" if value is None else value)
    if column.label != column.name:
        row = {column.label: value}
    return _line(formatted(column.label, row, _NO_STUDY, text))


def _worded(column: _Column, value, text: Text):
    if isinstance(value, bool):
        return text.say("yes" if value else "no")
    if not isinstance(value, str):
        return value
    worded = value if column.kind in ("text", "outcome") else coded(column.label, value, _NO_STUDY, text)
    return spreadsheet_safe(_line(worded))


def _line(text) -> str:
    """One line of printable text; no-break spaces stay."""
    return NO_CHARACTER.sub("", re.sub(r"[^\S\u00a0]+", " ", str(text))).strip(" ")


def _write_csv(paper: _Paper, path: Path) -> None:
    table = paper.values()
    table.columns = [spreadsheet_safe(c.heading) for c in paper.columns]
    table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8-sig")  # the mark tells Excel that accents are UTF-8


def _write_xlsx(paper: _Paper, path: Path) -> None:
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font

    book = Workbook()
    sheet = book.active
    sheet.title = sheet_name(paper.title, []) if paper.title else paper.text.heading("table")
    heading_rows(sheet, 1, [c.heading for c in paper.columns], [c.name for c in paper.columns], _ACCENT)
    lengths = [0] * len(paper.columns)
    shown = paper.values().itertuples(index=False, name=None)
    for i, (row, whole) in enumerate(zip(shown, paper.frame.to_dict("records"), strict=True), start=3):
        for j, (column, value) in enumerate(zip(paper.columns, row, strict=True)):
            number = _number_format(column, value, whole, paper.text)
            lengths[j] = max(lengths[j], shown_length(value, number))
            if value is not None:
                put(sheet, i, j + 1, value, number)
    fit(sheet, [width(c.heading, c.name, [n]) for c, n in zip(paper.columns, lengths, strict=True)])
    sheet.freeze_panes = "A3"
    last = len(paper.frame) + 2
    if paper.columns:
        sheet.auto_filter.ref = f"A2:{sheet.cell(last, len(paper.columns)).coordinate}"
    for row, words, font in ((last + 2, paper.title, Font(bold=True)), (last + 3, paper.note, Font(italic=True, color="5A6772"))):
        if words:
            cell = put(sheet, row, 1, words)
            cell.font, cell.alignment = font, Alignment(wrap_text=False)
    save_book(book, path, datetime(2000, 1, 1), paper.title)


def _number_format(column: _Column, value, row: dict, text: Text) -> str:
    if isinstance(value, str) or value is None:
        return "General"
    kind = number_kind(column.label, {**row, column.label: value})
    return number_format("year" if column.kind == "text" else kind, value, text)


def _write_tex(paper: _Paper, path: Path) -> None:
    rows = [" & ".join(_tex(cell) for cell in row) + r" \\" for row in [[c.heading for c in paper.columns], *paper.cells()]]
    lines = [r"\begin{table}", r"\centering"]
    lines += [rf"\caption{{{_tex(paper.title)}}}"] if paper.title else []
    lines += [rf"\begin{{tabular}}{{{''.join('l' if c.left else 'r' for c in paper.columns)}}}", r"\toprule", rows[0], r"\midrule"]
    lines += [*rows[1:], r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip\footnotesize {_tex(paper.note)}"] if paper.note else []
    path.write_text("\n".join([*lines, r"\end{table}", ""]), encoding="utf-8", newline="\n")


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def _write_html(paper: _Paper, path: Path) -> None:
    style = files("pipeval.report").joinpath("template", "style.css").read_text(encoding="utf-8")
    page = (
        f'<!DOCTYPE html>\n<html lang="{paper.text.language}">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html_escape(paper.title or paper.text.heading('table'))}</title>\n<style>\n{style}</style>\n</head>\n"
        f'<body>\n<main style="padding: 2rem; overflow-x: auto">\n{_html(paper)}</main>\n</body>\n</html>\n'
    )
    path.write_text(page, encoding="utf-8", newline="\n")


def _html(paper: _Paper) -> str:
    aligns = ["" if c.left else ' style="text-align: right"' for c in paper.columns]
    cells = paper.cells()
    lines = ["<table>"] + ([f"<caption>{html_escape(paper.title)}</caption>"] if paper.title else [])
    lines += ["<colgroup>", *(f'<col style="width: {w:.1f}%">' for w in _shares(paper, cells)), "</colgroup>"]
    heads = "".join(f"<th{a}>{html_escape(c.heading)}</th>" for c, a in zip(paper.columns, aligns, strict=True))
    lines += [f"<thead><tr>{heads}</tr></thead>", "<tbody>"]
    for row in cells:
        lines.append("<tr>" + "".join(f"<td{a}>{html_escape(cell)}</td>" for cell, a in zip(row, aligns, strict=True)) + "</tr>")
    lines += ["</tbody>", "</table>"]
    lines += [f'<div class="note" data-custom-style="Table Note"><p>{html_escape(paper.note)}</p></div>'] if paper.note else []
    return "\n".join([*lines, ""])


def _needs(paper: _Paper, cells: list[list[str]]) -> list[float]:
    """Characters that each column cannot do without: its longest word, up to 24."""
    words = [
        [len(w) * 1.1 for w in c.heading.split()] + [len(w) for row in cells for w in row[i].split(" ")]
        for i, c in enumerate(paper.columns)
    ]
    return [_ROOM + min(24, max([3, *found])) for found in words]


def _shares(paper: _Paper, cells: list[list[str]]) -> list[float]:
    """Per cent of the width for each column: what it needs, then what the page has room for, up to 40 characters a cell."""
    need = _needs(paper, cells)
    want = [max(n, _ROOM + min(40, max((len(row[i]) for row in cells), default=0))) for i, n in enumerate(need)]
    page = _PORTRAIT if sum(need) <= _PORTRAIT else _LANDSCAPE
    spare = max(page - sum(need), 0) / max(sum(want) - sum(need), 1e-9)
    width = [n + min(spare, 1) * (w - n) for n, w in zip(need, want, strict=True)]
    return [100 * w / sum(width) for w in width]


def _write_docx(paper: _Paper, path: Path) -> None:
    from .paper import epoch, run_pandoc
    from .word import default_reference

    folder = path.parent
    (folder / "table.htm").write_text(_html(paper), encoding="utf-8", newline="\n")
    like = reference(default_reference(), folder / "like.docx", (paper.title, ""), ("", paper.text.say("word.page")))
    options = ["--from=html-raw_html", "--to=docx", f"--metadata=lang:{paper.text.language}", f"--reference-doc={like.resolve()}"]
    run_pandoc(["table.htm", *options, f"--output={path.name}"], folder, epoch(_NO_STUDY))
    finish(path, [])
    wide = sum(_needs(paper, paper.cells()))
    if wide > _PORTRAIT:
        size = round(_TABLE_SIZE * min(1, _LANDSCAPE / wide))
        repacked(path, {"word/document.xml": _across, "word/styles.xml": lambda part: _smaller(part, size)})


def _smaller(part: bytes, size: int) -> bytes:
    """The styles with table text of this size, in half points."""
    start = part.index(b'w:styleId="TableText"')
    old, new = (f'w:val="{n}"'.encode() for n in (_TABLE_SIZE, size))
    return part[:start] + part[start:].replace(b"w:sz " + old, b"w:sz " + new, 1).replace(b"w:szCs " + old, b"w:szCs " + new, 1)


def _across(part: bytes) -> bytes:
    """The page turned, and every width of the table with it."""
    part = re.sub(rb"<w:pgSz[^>]*/>", b'<w:pgSz w:w="16838" w:h="11906" w:orient="landscape"/>', part)
    wider = _LANDSCAPE / _PORTRAIT
    return re.sub(rb'(<w:(?:tblW|gridCol|tcW)[^>]*?w:w=")(\d+)', lambda m: m[1] + str(round(int(m[2]) * wider)).encode(), part)


_DATA: dict[str, Callable[[_Paper, Path], None]] = {
    ".dta": lambda paper, path: write_stata(paper.frame, paper.text, paper.title, path),
    ".parquet": lambda paper, path: write_parquet(paper.frame, path),
}

_WRITERS: dict[str, Callable[[_Paper, Path], None]] = {
    **_DATA,
    ".xlsx": _write_xlsx,
    ".tex": _write_tex,
    ".docx": _write_docx,
    ".html": _write_html,
    ".csv": _write_csv,
}
