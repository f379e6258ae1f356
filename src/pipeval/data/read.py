"""One file to one frame, and one raw column to one proved column."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from ..study.specs import Source
from .schema import Column

SUFFIXES = (".csv", ".xlsx", ".dta", ".parquet")

_NUMBERS = ("num", "money", "int")
_TRUE = {"1": 1.0, "1.0": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "false": 0.0}
_ISO = re.compile(r"[12]\d{3}-\d{2}-\d{2}(?=$|[T ])")  # a date, perhaps with a time of day


def read_file(path: Path, sheet: str | None, source: Source) -> pd.DataFrame:
    """A file as a frame of texts or typed values, by its extension; its rows are numbered as in a spreadsheet.

    Rows without any value and columns without a name are left out.

    Raises
    ------
    DataError
        When the file cannot be read, holds no header, or lacks the sheet.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path.name}: tables come as {', '.join(SUFFIXES)}; save it as one of these")
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
    frame.columns = ["" if pd.isna(c) else str(c).strip() for c in frame.columns]
    frame = frame.loc[:, frame.columns != ""].set_axis(range(2, len(frame) + 2), axis=0)
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise DataError(f"{path.name}: each column stands once; '{repeated[0]}' stands twice. Rename or remove one")
    return frame.drop(index=_blank_rows(frame))


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
        first = file.readline()
    if not first.strip():
        raise DataError(f"{path.name}: the first row must hold the names of the columns, even without firms; it is empty")
    if source.separator not in first and any(mark in first for mark in ";\t,"):
        mark = next(m for m in ";\t," if m in first)
        raise DataError(f"{path.name}: one column found where several stand; its separator seems {mark!r}: set data.separator")
    return _headed(
        pd.read_csv(
            path, sep=source.separator, encoding=encoding, dtype=object, keep_default_na=False, header=None, skip_blank_lines=False
        )
    )


def _excel(path: Path, sheet: str | None, source: Source) -> pd.DataFrame:
    with pd.ExcelFile(path, engine="openpyxl") as book:
        if sheet is not None and sheet not in book.sheet_names:
            raise DataError(f"{path.name} has no sheet '{sheet}'; it has {', '.join(map(str, book.sheet_names))}")
        name = sheet if sheet is not None else book.sheet_names[0]
        cells = pd.read_excel(book, sheet_name=name, dtype=object, header=None, keep_default_na=False, na_values=[""])
    if cells.empty:
        raise DataError(f"{path.name}: the first row of sheet '{name}' must hold the names of the columns; the sheet is empty")
    return _headed(cells)


def _headed(cells: pd.DataFrame) -> pd.DataFrame:
    """The first row as names: pandas would rename a column that stands twice."""
    return cells.iloc[1:].set_axis(cells.iloc[0].tolist(), axis=1)


_READERS = {
    ".csv": _csv,
    ".xlsx": _excel,
    ".dta": lambda path, sheet, source: pd.read_stata(path, convert_missing=False),
    ".parquet": lambda path, sheet, source: pd.read_parquet(path),
}


def prove(raw: pd.Series, column: Column, source: Source, recode: dict[str, str]) -> tuple[pd.Series, pd.Series]:
    """A raw column as its proved kind, and a mask of the cells that are not of that kind (they become missing).

    Numbers become float, booleans 0.0/1.0, dates timestamps, everything else text without outer spaces. A code mapped to the
    empty text is missing.
    """
    try:
        place, distinct = pd.factorize(raw)  # each distinct value is read once
    except TypeError:  # lists and the like, which Parquet can hold
        place, distinct = pd.factorize(raw.astype("str"))
    values = distinct.astype(object)
    texts = [value.strip() or None if isinstance(value, str) else _plain(value) for value in values]
    if source.decimal == "," and column.kind in _NUMBERS:
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
        good = np.isfinite(numbers) & ((column.kind != "int") | (numbers == np.round(numbers)))
        return np.where(good, numbers, np.nan), good
    if column.kind == "bool":
        truths = np.array([_TRUE.get(str(t).lower(), np.nan) for t in texts])
        return truths, ~np.isnan(truths)
    if column.kind == "date":
        dates = np.array([_date(t) for t in texts], dtype="datetime64[s]")
        return dates, ~np.isnat(dates)
    good = np.array([not column.codes or t in column.codes for t in texts])
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
