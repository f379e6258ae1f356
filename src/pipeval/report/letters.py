"""Letters that ask firms about their figures: one page a firm, and a sheet on which the answers come back as corrections."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from ..data.check import check
from ..data.contract import TABLES
from ..data.load import Tables, load
from ..errors import PipevalError, UsageError
from ..study.files import write_whole
from ..study.params import read_study
from ..study.specs import Study
from .bundle import spreadsheet_safe
from .labels import figure_name, study_text
from .paper import READER
from .text import Text, escape, in_language
from .word import default_reference, finish, reference, repacked

AGENCY = ""
"""The key of the page for the executing agency: what a firm cannot answer."""

_SHEET = ["table", "key", "column", "old", "new", "source", "date"]
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
_RULE = {"firm": 12, "year": 14, "name": 26, "value": 18, "asked": 40, "answer": 24}  # widths of the columns


def firm_rules(text: Text) -> list[str]:
    """The rules of the check under which a firm is asked; under every other rule the executing agency is."""
    return [key.removeprefix("letter.ask.") for key in text.entries if key.startswith("letter.ask.")]


def query_letters(faults: pd.DataFrame, tables: Tables, study: Study, language: str) -> dict[str, str]:
    """One letter an addressee, as Markdown: each firm by its id, then the executing agency under the empty key.

    A firm is asked about its own figures only, in its own words and without any statistic; what only the agency can answer (ids,
    arms, subsidies, files) is asked of the agency. Everything that comes from the files is escaped.

    Parameters
    ----------
    faults : DataFrame
        As `data.check.check` gives them.
    tables : Tables
        As `data.load.load` gives them: the rows of the faults are theirs.
    study : Study
    language : str
        One that has a text file.

    Raises
    ------
    UsageError
        When there is no text file of this language.
    """
    text = study_text(study, language)
    asked = faults[faults["rule"].isin(firm_rules(text)) & (faults["firm_id"] != "")]
    rest = faults.drop(index=asked.index)
    letters = {firm: _letter(firm, rows, tables, study, text) for firm, rows in asked.groupby("firm_id", sort=True)}
    return letters | ({AGENCY: _letter(AGENCY, rest, tables, study, text)} if len(rest) else {})


def _say(text: Text, key: str, values: dict[str, str] | None = None) -> str:
    return text.say(f"letter.{key}", values)


def _letter(firm: str, rows: pd.DataFrame, tables: Tables, study: Study, text: Text) -> str:
    known = {
        "programme": escape(in_language(study.programme.name, text.language, study.programme.id)),
        "firm": escape(firm),
        "agency": escape(study.programme.executing_agency or study.programme.id),
    }
    end = "_agency" if firm == AGENCY else ""
    parts = [f"# {_say(text, f'heading{end}', known)}", *(_say(text, f"{key}{end}", known) for key in ("greeting", "why"))]
    parts.insert(1, f"**{_say(text, 'subject', known)}**")
    parts += [_table(rows, tables, study, text, agency=firm == AGENCY), _say(text, f"how{end}", known)]
    parts += [] if end else [_say(text, "use")]
    parts += [_say(text, "thanks"), _say(text, "signed", known)]
    parts += [] if end else [_say(text, "signature") + " " + escape("_" * 30)]
    return "\n\n".join(parts) + "\n"


def _table(rows: pd.DataFrame, tables: Tables, study: Study, text: Text, agency: bool) -> str:
    columns = ["firm", "year", "name", "value", "asked"] if agency else ["year", "name", "value", "asked", "answer"]
    lines = [
        "| " + " | ".join(_say(text, c) for c in columns) + " |",
        "| " + " | ".join("-" * _RULE[c] for c in columns) + " |",
    ]
    for fault in rows.to_dict("records"):
        kind = "agency" if text.has(f"letter.agency.{fault['rule']}") else "ask"
        cells = {
            "firm": escape(fault["firm_id"]) or "—",
            "year": _when(fault, tables, study, text),
            "name": _name(fault, study, text),
            "value": _value(fault["value"], str(fault["column"]), text),
            "asked": _say(text, f"{kind}.{fault['rule']}"),
            "answer": " ",
        }
        lines.append("| " + " | ".join(cells[c] for c in columns) + " |")
    return "\n".join(lines)


def _when(fault: dict, tables: Tables, study: Study, text: Text) -> str:
    """The year or the date of what is asked about."""
    row = _row(fault, tables)
    if str(fault["column"]).endswith("_baseline"):
        return str(study.baseline.year)
    for name in ("ref_year", "year"):
        if row is not None and pd.notna(row.get(name)):
            return str(int(row[name]))
    known_on = TABLES[fault["table"]].known_on if fault["table"] in TABLES else None
    if row is None or known_on is None or pd.isna(row.get(known_on)):
        return "—"
    return escape(text.day(str(row[known_on])[:10]))


def _row(fault: dict, tables: Tables) -> pd.Series | None:
    if fault["table"] not in tables or fault["row"] not in tables[fault["table"]].index:
        return None
    return tables[fault["table"]].loc[fault["row"]]


def _name(fault: dict, study: Study, text: Text) -> str:
    """A column as the firm would call it; one without words prints by its name in the file."""
    return figure_name(str(fault["column"]), study.programme.currency, text) or escape(fault["column"])


def _value(value, column: str, text: Text) -> str:
    """A cell as it is printed: codes in words, dates and numbers by locale, a year without a separator."""
    if value is None or (not isinstance(value, str) and pd.isna(value)) or value == "":
        return _say(text, "missing")
    if isinstance(value, pd.Timestamp):
        return escape(text.day(value.strftime("%Y-%m-%d")))
    if isinstance(value, str):
        return escape(text.label("exp_status_baseline" if column == "exp_status" else column, value))
    digits = next((n for n in (0, 1) if round(float(value), n) == value), 2)
    kind = "year" if column.endswith("_year") and not digits else ("int", "dec1", "dec2")[digits]
    return escape(text.number(float(value), kind))


def answer_sheet(faults: pd.DataFrame, tables: Tables, study: Study) -> pd.DataFrame:
    """One row a cell that is asked about, in the columns of the table corrections: answered, it loads as `corrections`.

    `table, key, column, old, new, source, date`. `new` repeats `old`, because an empty one would blank the figure: a row without
    an answer changes nothing. Cells of a key, and rows that are missing altogether, cannot be corrected this way: they have no row.
    """
    rows = []
    for fault in faults.to_dict("records"):
        row, table = _row(fault, tables), TABLES.get(fault["table"])
        if row is None or fault["column"] in table.key or fault["column"] not in table.named(study.programme.currency):
            continue
        key = "|".join(_text(row[part], study) for part in table.key)
        old = _text(row[fault["column"]], study)
        rows.append([fault["table"], key, fault["column"], old, old, "", ""])
    return pd.DataFrame(rows, columns=_SHEET).drop_duplicates(["table", "key", "column"], ignore_index=True)


def _text(value, study: Study) -> str:
    """A cell as the files write it: every digit, the study's decimal sign, ISO dates."""
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d")
    return np.format_float_positional(float(value), trim="-").replace(".", study.data.decimal)


def _safe(value: str) -> str:
    """A negative number stays a number; any other text that a spreadsheet would run gets an apostrophe."""
    return value if _NUMBER.fullmatch(value) else spreadsheet_safe(value)


def write_letters(
    folder: Path, letters: dict[str, str], sheet: pd.DataFrame, study: Study, language: str, formats: Sequence[str] = ("docx", "md")
) -> list[Path]:
    """Write `letters.<language>.docx` and `.md`, one page an addressee, and the sheet as `answers.csv` and `answers.xlsx`.

    The sheet is written with the separator, the decimal sign and the encoding of the study's files.

    Raises
    ------
    UsageError
        When a format is neither docx nor md.
    PipevalError
        When the folder cannot be written to.
    """
    unknown = [f for f in formats if f not in ("docx", "md")]
    if unknown:
        raise UsageError(f"letters are written as docx or md; found '{unknown[0]}'")
    text = study_text(study, language)
    book = "\n".join(letters.values()) or f"# {_say(text, 'document')}\n\n{_say(text, 'nothing')}\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        if "md" in formats:
            written.append(folder / f"letters.{language}.md")
            write_whole(written[-1], book.encode())
        if "docx" in formats:
            written.append(_docx(book, folder / f"letters.{language}.docx", study, text))
        return [*written, *_write_sheet(folder, sheet.map(_safe), study)]
    except OSError as error:
        raise PipevalError(f"cannot write to {folder}: {error.strerror}; choose another folder with --letters") from None


def _write_sheet(folder: Path, sheet: pd.DataFrame, study: Study) -> list[Path]:
    from openpyxl import Workbook

    lines = sheet.to_csv(index=False, sep=study.data.separator, lineterminator="\n")
    write_whole(folder / "answers.csv", lines.encode(study.data.encoding, errors="xmlcharrefreplace"))
    book = Workbook()
    page = book.active
    for row in [_SHEET, *sheet.to_numpy().tolist()]:
        page.append(row)
    for cell in page[1]:
        page.column_dimensions[cell.column_letter].width = 24
    page.freeze_panes = "A2"
    book.save(folder / "answers.xlsx")
    return [folder / "answers.csv", folder / "answers.xlsx"]


def _docx(book: str, target: Path, study: Study, text: Text) -> Path:
    """The letters as a Word file in the house styles, each on a page of its own."""
    import pypandoc

    with TemporaryDirectory() as scratch:
        source, like = Path(scratch) / "letters.md", Path(scratch) / "reference.docx"
        source.write_text(book, encoding="utf-8", newline="\n")
        header, footer = (_say(text, "document"), study.programme.id), (study.study, _say(text, "page"))
        reference(default_reference(), like, header, footer)
        options = [f"--from={READER}", "--to=docx", "--standalone", "--columns=10", "--wrap=none", f"--reference-doc={like}"]
        command = [pypandoc.get_pandoc_path(), str(source), *options, f"--output={target}"]
        done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise PipevalError(f"pandoc could not write the letters: {done.stderr.decode(errors='replace').strip()[:500]}")
    return repacked(finish(target, []), {"word/document.xml": _paged})


def _paged(document: bytes) -> bytes:
    """Every first-order heading but the first begins a page."""
    heading = re.compile(rb'(<w:pStyle w:val="Heading1"\s*/>)')
    first, *rest = heading.split(document, maxsplit=1)
    return first + rest[0] + heading.sub(rb"\1<w:pageBreakBefore/>", rest[1]) if rest else document


def study_letters(params: str | Path, data: Path | None, folder: Path, language: str | None) -> list[Path]:
    """Check a study's files and write the letters and the answer sheet; the language defaults to the first of its report."""
    study = read_study(params, data)
    chosen = language or study.report.languages[0]
    tables = load(study)
    faults = check(tables, study)
    letters = query_letters(faults, tables, study, chosen)
    written = write_letters(folder, letters, answer_sheet(faults, tables, study), study, chosen)
    print(f"{study.study}: {len([k for k in letters if k])} letters to firms in {folder}")
    return written
