"""One file to one frame, and one raw column to one proved column."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from ..study.specs import Source
from .schema import Column

SUFFIXES = (".csv", ".xlsx", ".dta", ".parquet")

_TRUE = {"1": 1.0, "1.0": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "false": 0.0}


def read_file(path: Path, sheet: str | None, source: Source) -> pd.DataFrame:
    """A file as a frame of texts or typed values, by its extension; its rows are numbered as in a spreadsheet.

    Raises
    ------
    DataError
        When the file cannot be read, holds no header, or lacks the sheet.
    """
    try:
        frame = _READERS[path.suffix.lower()](path, sheet, source)
    except KeyError:
        raise DataError(f"{path.name}: tables come as {', '.join(SUFFIXES)}; save it as one of these") from None
    except ImportError as error:
        raise DataError(f"{path.name}: reading {path.suffix} needs the package {error.name}; install it, or save as CSV") from None
    except UnicodeDecodeError:
        hint = "set data.encoding in params (latin-1 or cp1252 for old Windows files)"
        raise DataError(f"{path.name} is not {source.encoding} text; {hint}") from None
    except (OSError, ValueError, LookupError) as error:
        raise DataError(f"cannot read {path.name}: {' '.join(str(error).split())[:200]}") from None
    frame.columns = [str(c).strip() for c in frame.columns]
    repeated = sorted({c for c in frame.columns if list(frame.columns).count(c) > 1})
    if repeated:
        raise DataError(f"{path.name}: each column stands once; '{repeated[0]}' stands twice")
    return frame.set_axis(range(2, len(frame) + 2), axis=0)


def _csv(path: Path, sheet, source: Source) -> pd.DataFrame:
    encoding = "utf-8-sig" if source.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else source.encoding
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path, sep=source.separator, encoding=encoding, dtype=str, keep_default_na=False, index_col=False, header=None
            )
    except pd.errors.EmptyDataError:
        raise DataError(f"{path.name} is empty; a table needs a header row, even without firms") from None
    header = frame.iloc[0].tolist()
    if len(header) == 1 and any(mark in header[0] for mark in ";\t,"):
        mark = next(m for m in ";\t," if m in header[0])
        raise DataError(f"{path.name}: one column found where several stand; its separator seems {mark!r}: set data.separator")
    return frame.iloc[1:].set_axis(header, axis=1)


def _excel(path: Path, sheet: str | None, source: Source) -> pd.DataFrame:
    with pd.ExcelFile(path, engine="openpyxl") as book:
        if sheet is not None and sheet not in book.sheet_names:
            raise DataError(f"{path.name} has no sheet '{sheet}'; it has {', '.join(map(str, book.sheet_names))}")
        return book.parse(sheet if sheet is not None else book.sheet_names[0], dtype=object)


_READERS = {
    ".csv": _csv,
    ".xlsx": _excel,
    ".dta": lambda path, sheet, source: pd.read_stata(path, convert_missing=False),
    ".parquet": lambda path, sheet, source: pd.read_parquet(path),
}


def prove(raw: pd.Series, column: Column, source: Source, recode: dict[str, str]) -> tuple[pd.Series, pd.Series]:
    """A raw column as its proved kind, and a mask of the cells that are not of that kind (they become missing).

    Numbers become float, booleans 0.0/1.0, dates timestamps, everything else text without outer spaces.
    """
    plain = [_plain(v) for v in raw.astype(object)]
    values = pd.Series([recode.get(v, v) for v in plain], index=raw.index, dtype=object)
    filled = values.notna()
    if column.kind in ("num", "money", "int"):
        proved = _numbers(values, source.decimal)
        bad = filled & (~np.isfinite(proved) | ((column.kind == "int") & (proved != np.round(proved))))
    elif column.kind == "bool":
        proved = pd.Series([_TRUE.get(str(v).lower(), np.nan) for v in values], index=raw.index, dtype=float)
        bad = filled & proved.isna()
    elif column.kind == "date":
        proved = pd.Series([_date(v) for v in values], index=raw.index, dtype="datetime64[s]")
        bad = filled & proved.isna()
    else:
        proved = values.astype("str").where(filled)
        bad = filled & ~proved.isin(column.codes) if column.codes else pd.Series(False, index=raw.index)
    return proved.mask(bad), bad


def _plain(value):
    """A cell as None, a text without outer spaces, or itself; 101.0 of a spreadsheet is the text 101."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _numbers(values: pd.Series, decimal: str) -> pd.Series:
    if decimal == ",":  # texts only: a spreadsheet's numbers have no separators
        texts = [v.replace(".", "?").replace(",", ".") if isinstance(v, str) and "," in v else v for v in values]
        values = pd.Series(texts, index=values.index, dtype=object)
    return pd.to_numeric(values, errors="coerce").astype(float)


def _date(text: str | None):
    try:
        return pd.NaT if text is None else pd.Timestamp(_iso(text)).as_unit("s")
    except ValueError:
        return pd.NaT


def _iso(text: str) -> str:
    if len(text) < 10 or text[4] != "-" or text[7] != "-":
        raise ValueError("dates are written year-month-day")
    return text[:10]
