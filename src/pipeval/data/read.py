"""One file to one frame, and one raw column to one proved column."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from ..study.files import UNPRINTABLE
from ..study.specs import Source
from .schema import Column
from .size import proved_cells, proved_csv, proved_size, proved_unpacked
from .workbook import sheet_cells

SUFFIXES = (".csv", ".xlsx", ".dta", ".parquet")

_LONGEST_HEADER = 1_000_000  # characters
_FEWEST_SEPARATORS = 4  # of a row: an address of two lines holds fewer

_NUMBERS = ("num", "money", "int")
_LARGEST = 2.0**53
_YES = ("1", "1.0", "true", "yes", "sí", "si", "sim", "verdadero", "verdadeiro")
_NO = ("0", "0.0", "false", "no", "não", "nao", "falso")
_TRUE = dict.fromkeys(_YES, 1.0) | dict.fromkeys(_NO, 0.0)
_ISO = re.compile(r"[12]\d{3}-\d{2}-\d{2}(?=$|[T ])")  # a date, perhaps with a time of day


def read_file(path: Path, sheet: str | None, source: Source) -> pd.DataFrame:
    """A file as a frame of texts or typed values, by its extension; its rows are numbered as in a spreadsheet.

    Rows without any value and columns without a name are left out. The value labels of a Stata file stand in `attrs["labels"]`:
    column → number as text → word.

    Raises
    ------
    DataError
        When the file cannot be read, is larger than a table may be, holds no header, or lacks the sheet.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path.name}: tables come as {', '.join(SUFFIXES)}; save it as one of these")
    proved_size(path)
    try:
        frame = _READERS[path.suffix.lower()](path, sheet, source)
    except DataError:
        raise
    except ImportError as error:
        raise DataError(f"{path.name}: reading {path.suffix} needs the package {error.name}; install it, or save as CSV") from None
    except UnicodeDecodeError:
        hint = "set data.encoding in params (latin-1 or cp1252 for old Windows files, utf-16 for Excel's Unicode text)"
        raise DataError(f"{path.name} is not {source.encoding} text; {hint}") from None
    except Exception as error:  # what a damaged file raises depends on the reader: BadZipFile, struct.error, ArrowInvalid …
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"cannot read {path.name}: {reason}. Open it, and save it again as {path.suffix} or as CSV") from None
    labels = {str(name).strip(): words for name, words in frame.attrs.pop("labels", {}).items()}
    frame.columns = ["" if pd.isna(c) else str(c).strip() for c in frame.columns]
    frame = frame.loc[:, frame.columns != ""].set_axis(range(2, len(frame) + 2), axis=0)
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise DataError(f"{path.name}: each column stands once; '{repeated[0]}' stands twice. Rename or remove one")
    frame = frame.drop(index=_blank_rows(frame))
    frame.attrs["labels"] = labels
    return frame


def _blank_rows(frame: pd.DataFrame) -> pd.Index:
    blank = frame.index
    for name in frame:
        column = frame.loc[blank, name]
        blank = blank[column.isna() | (column == "")]
        if blank.empty:
            break
    return blank


def _csv(path: Path, sheet, source: Source) -> pd.DataFrame:
    encoding = "utf-8-sig" if source.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else source.encoding
    with path.open(encoding=encoding, newline="") as file:
        first = file.readline(_LONGEST_HEADER)
        blank = not file.read(_LONGEST_HEADER).strip()
    if not first.strip():
        raise DataError(f"{path.name}: the first row must hold the names of the columns, even without firms; it is empty")
    separator = source.separator
    if separator not in first and any(mark in first for mark in ";\t,"):
        separator = next(m for m in ";\t," if m in first)
        if not blank:  # a blank table, as it was handed out, is no fault of one who fills in the others in Excel
            seems = f"its separator seems {separator!r}: set data.separator, or save the file as the others are"
            raise DataError(f"{path.name}: one column found where several stand; {seems}")
    lines = proved_csv(path, first, separator)
    cells = pd.read_csv(
        path, sep=separator, encoding=encoding, dtype=object, keep_default_na=False, header=None, skip_blank_lines=False
    )
    if len(cells) < lines:
        _no_row_swallowed(path, cells, separator)
    return _headed(cells)


def _no_row_swallowed(path: Path, cells: pd.DataFrame, separator: str) -> None:
    """Refuse a quotation mark that opens in one row and closes in another: the cell then holds whole rows, separators and all."""
    width = cells.shape[1] - 1
    if width < _FEWEST_SEPARATORS:
        return
    for name in cells:
        texts = cells[name][cells[name].str.contains("\n", regex=False, na=False)]
        held = texts.str.count(re.escape(separator)) >= width * texts.str.count("\n")
        if held.any():
            row = held.idxmax() + 1
            raise DataError(
                f"{path.name}: a quotation mark in row {row} holds the rows below it in one cell; close it or remove it"
            )


def _headed(cells: pd.DataFrame) -> pd.DataFrame:
    """The first row as names: pandas would rename a column that stands twice."""
    return cells.iloc[1:].set_axis(cells.iloc[0].tolist(), axis=1)


def _stata(path: Path, sheet, source: Source) -> pd.DataFrame:
    """Numbers as numbers, whatever labels they bear; each of Stata's missing values (., .a to .z) is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # texts of old files in another encoding, which are read as Latin-1
        with pd.read_stata(path, convert_categoricals=False, iterator=True) as reader:
            rows, variables = _stata_header(path, reader)
            proved_cells(path, rows, len(variables))
            frame, sets = reader.read(), reader.value_labels()
    for name, (shown, _) in variables.items():
        if shown.startswith("%ty"):
            frame[name] = frame[name].dt.year
    frame.attrs["labels"] = {
        name: {str(int(number)): str(word) for number, word in sets[label].items()}
        for name, (_, label) in variables.items()
        if label in sets
    }
    return frame


def _stata_header(path: Path, reader) -> tuple[int, dict[str, tuple[str, str]]]:
    """How many rows a Stata file says it has, and of each variable its format and the set of labels that it bears.

    The public side of pandas' reader tells none of the three: it names the sets, not who bears them, and counts rows by reading
    them, when a file that lies about its size has been believed. A pandas that keeps them elsewhere is named, not the file.
    """
    try:
        reader._ensure_open()
        told = zip(reader._varlist, reader._fmtlist, reader._lbllist, strict=True)
        return reader._nobs, {name: (shown, label) for name, shown, label in told}
    except AttributeError as error:
        found = f"pandas {pd.__version__} reads Stata files in another way ({error.name} is gone)"
        raise DataError(f"{path.name}: {found}; save the table as CSV or Parquet, or install an earlier pandas") from None


def _parquet(path: Path, sheet, source: Source) -> pd.DataFrame:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        proved_cells(path, file.metadata.num_rows, file.metadata.num_columns)
        proved_unpacked(path, sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups)))
        nested = [field.name for field in file.schema_arrow if field.type.num_fields]
    frame = pd.read_parquet(path)
    for name in nested:  # lists and the like hold no value of the contract: their text is shown as a fault
        frame[name] = frame[name].map(str, na_action="ignore")
    return frame


_READERS = {
    ".csv": _csv,
    ".xlsx": lambda path, sheet, source: _headed(pd.DataFrame(sheet_cells(path, sheet), dtype=object)),
    ".dta": _stata,
    ".parquet": _parquet,
}


def with_labels(recode: Mapping[str, str], column: Column, labels: Mapping[str, str]) -> dict[str, str]:
    """What each text of a column stands for, when its numbers bear labels: params may name the number or the word.

    Where they name neither, a word that is a code of the contract stands for it, in a column of texts the word is the value, and
    in one of yes and no a word that says either wins over its number; ids, numbers and dates keep the number.

    >>> arm = Column("arm", "code", "", "", codes=("beneficiary", "control"))
    >>> with_labels({"Tratada": "beneficiary"}, arm, {"1": "Tratada", "2": "control", "3": "?"})
    {'Tratada': 'beneficiary', '1': 'beneficiary', '2': 'control'}
    """
    meant = dict(recode)
    for number, word in labels.items():
        word = word.strip()
        if number in recode:
            continue
        if word in recode:
            meant[number] = recode[word]
        elif word in column.codes or (column.kind == "text" and word):
            meant[number] = word
        elif column.kind == "bool" and (word.lower() in _TRUE or number not in _TRUE):  # a 1 that is called no is no yes
            meant[number] = word
    return meant


def prove(raw: pd.Series, column: Column, source: Source, recode: dict[str, str]) -> tuple[pd.Series, pd.Series]:
    """A raw column as its proved kind, and a mask of the cells that are not of that kind (they become missing).

    Numbers become float (one beyond 2⁵³, where single units are lost, is none), booleans 0.0/1.0, dates timestamps, everything
    else text without outer spaces; a text with control characters is of no kind. A code mapped to the empty text is missing.
    """
    try:
        place, distinct = pd.factorize(raw)  # each distinct value is read once
    except TypeError:  # lists and the like, which Parquet can hold
        place, distinct = pd.factorize(raw.astype("str"))
    values = distinct.astype(object)
    texts = [value.strip() or None if isinstance(value, str) else _plain(value) for value in values]
    if source.decimal == "," and column.kind in (*_NUMBERS, "bool"):
        texts = [_full_stop(t) if isinstance(v, str) and t and t not in recode else t for v, t in zip(values, texts, strict=True)]
    if recode:
        texts = [recode.get(t, t) or None for t in texts]
    proved, good = _proved([*texts, None], column)  # the last stands for missing, which factorize calls −1
    bad = ~good & np.array([t is not None for t in (*texts, None)])
    return pd.Series(proved.take(place), index=raw.index), pd.Series(bad[place], index=raw.index)


def _proved(texts: list[str | None], column: Column) -> tuple[np.ndarray | pd.api.extensions.ExtensionArray, np.ndarray]:
    """The texts as the column's kind, missing where they are not of it, and which are."""
    if column.kind in _NUMBERS:
        numbers = pd.to_numeric(np.array(texts, dtype=object), errors="coerce").astype(float)
        good = (np.abs(numbers) <= _LARGEST) & ((column.kind != "int") | (numbers == np.round(numbers)))
        return np.where(good, numbers, np.nan), good
    if column.kind == "bool":
        truths = np.array([_TRUE.get(str(t).lower(), np.nan) for t in texts])
        return truths, ~np.isnan(truths)
    if column.kind == "date":
        dates = np.array([_date(t) for t in texts], dtype="datetime64[s]")
        return dates, ~np.isnat(dates)
    good = np.array([t is None or (t in column.codes if column.codes else not UNPRINTABLE.search(t)) for t in texts])
    return pd.array([t if ok else None for t, ok in zip(texts, good, strict=True)], dtype="str"), good


def _full_stop(text: str) -> str:
    """A number of a file with decimal commas; where 1.234 may be a thousand, it is none."""
    return "?" if "." in text else text.replace(",", ".")


def _plain(value) -> str | None:
    """A typed cell as text, or None when it is missing; 101.0 of a spreadsheet is the text 101."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _date(text: str | None) -> np.datetime64:
    try:
        return np.datetime64(text[:10] if text is not None and _ISO.match(text) else "NaT", "s")
    except ValueError:
        return np.datetime64("NaT", "s")
