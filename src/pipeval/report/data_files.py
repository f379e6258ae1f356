"""One table for another program: Stata's `.dta`, with labels on variables and values, and Parquet."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api import types

from ..errors import DataError, PipevalError, some
from .bundle import Bundle
from .labels import coded, outcome_label
from .tables import heading, read_layout, sided
from .text import Text

_NO_STUDY = Bundle.build({}, {})
_NAME, _LABEL, _TEXT = 32, 80, 2045  # characters of a name and of a label, bytes of a text that is no strL
_MOST_CODES = 1000
_LARGEST = 2**53  # beyond it a Stata number is not whole any more
_TAKEN = {
    "_all",
    "_b",
    "_coef",
    "_cons",
    "_cor",
    "_n",
    "_pi",
    "_pred",
    "_rc",
    "_se",
    "_skip",
    "_N",
    "byte",
    "double",
    "float",
    "if",
    "in",
}
_TAKEN |= {"int", "long", "strL", "using", "with"}
_DAY = r"[12]\d{3}-[01]\d-[0-3]\d"
_WORDED = ("code", "light", "outcome")


def write_stata(frame: pd.DataFrame, text: Text, title: str, path: Path) -> None:
    """Write the frame as Stata 14 and later read it (format 118, Unicode); codes become numbers with value labels in this language.

    A name that Stata does not take is changed, and the label of the variable keeps the old one in brackets. Yes and no are 1 and 0,
    days %td, times %tc, long texts strL; undefined and infinite are missing.

    Raises `DataError` for a table without columns, and for a column that holds both numbers and texts, or neither.
    """
    if not len(frame.columns):
        raise DataError("a Stata file needs at least one column; the table has none")
    names = stata_names([str(c) for c in frame.columns])
    data, labels, values, dates, long = {}, {}, {}, {}, []
    for column, name in zip(frame.columns, names, strict=True):
        series = _typed(frame[column].reset_index(drop=True), str(column))
        labels[name] = _label(str(column), name, text)
        if types.is_datetime64_any_dtype(series):
            dates[name] = "td" if (series.dropna() == series.dropna().dt.normalize()).all() else "tc"
        elif types.is_string_dtype(series):
            words = _value_labels(series, str(column), text)
            if words:
                codes = {code: i for i, code in enumerate(words, start=1)}
                values[name] = {i: words[code] for code, i in codes.items()}
                series = series.map(codes).astype(float)
            else:
                series = series.astype(object).where(series.notna(), "")
                long += [name] if max((len(v.encode()) for v in series), default=0) > _TEXT else []
        elif types.is_bool_dtype(frame[column].dtype) or _is_truth(frame[column]):
            values[name] = {0: text.say("no"), 1: text.say("yes")}
        data[name] = series
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas tells of wider numbers, which Stata holds as they are
        pd.DataFrame(data).to_stata(
            path,
            version=118,
            write_index=False,
            time_stamp=datetime(2000, 1, 1),  # the same table gives the same bytes
            data_label=title[:_LABEL],
            variable_labels=labels,
            value_labels=values,
            convert_dates=dates,
            convert_strl=long,
        )


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """Write the frame as Parquet under its own names: codes stay codes, infinite stays infinite.

    Raises `DataError` for a column that holds both numbers and texts, `PipevalError` where the package that writes it is missing.
    """
    typed = {str(c): _typed(frame[c].reset_index(drop=True), str(c), exact=True) for c in frame.columns}
    try:
        pd.DataFrame(typed, index=range(len(frame))).to_parquet(path, index=False)
    except ImportError:
        raise PipevalError("writing .parquet needs the package pyarrow; install it, or write .csv") from None


def stata_names(columns: Sequence[str]) -> list[str]:
    """Names that Stata takes, one a column, all different: letters, digits and _, at most 32, no reserved word.

    >>> stata_names(["ln_sales", "año", "2004", "in", "x^2", "x*2"])
    ['ln_sales', 'ano', '_2004', 'in_', 'x_2', 'x_2_2']
    """
    names: list[str] = []
    for column in columns:
        plain = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode()
        name = re.sub(r"\W+", "_", plain) or "_v"
        name = f"_{name}" if name[0].isdigit() else name
        name = f"{name}_" if name in _TAKEN or re.fullmatch(r"str\d+", name) or name == "_" else name
        stem, name, n = name[:_NAME], name[:_NAME], 2
        while name.lower() in {other.lower() for other in names}:
            name, n = f"{stem[: _NAME - 1 - len(str(n))]}_{n}", n + 1
        names.append(name)
    return names


def _label(column: str, name: str, text: Text) -> str:
    """What the variable is called on paper and, where its name had to change, what it was called before."""
    words = " ".join(heading(column, text).split())
    before = f" [{column}]" if column != name else ""
    return words[: max(0, _LABEL - len(before))] + before[:_LABEL]


def _is_truth(series: pd.Series) -> bool:
    present = series.dropna()
    return series.dtype == object and len(present) > 0 and all(isinstance(v, bool | np.bool_) for v in present)


def _typed(series: pd.Series, column: str, exact: bool = False) -> pd.Series:
    """The column as numbers, dates or texts; `exact` keeps whole numbers, yes and no and infinity as they are.

    An infinite number and one beyond Stata's range are missing otherwise; whole numbers too long for it become texts.
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        kind = series.cat.categories.dtype
        series = series.astype("Int64" if types.is_integer_dtype(kind) else "boolean" if types.is_bool_dtype(kind) else kind)
    if series.dtype == object:
        series = _inferred(series, column)
    if types.is_datetime64_any_dtype(series):
        return series.dt.tz_localize(None) if getattr(series.dtype, "tz", None) else series
    if types.is_string_dtype(series):
        if read_layout().kinds.get(column) == "day" and series.dropna().str.fullmatch(_DAY).all():
            return pd.to_datetime(series)
        return series.astype("str").map(lambda v: v.replace("\0", ""), na_action="ignore")
    if not (types.is_bool_dtype(series) or types.is_numeric_dtype(series)) or types.is_complex_dtype(series):
        raise DataError(f"a column of a data file holds numbers, texts or dates; '{column}' holds {series.dtype}. Turn it into one")
    if exact:
        return series
    if types.is_integer_dtype(series) and series.notna().any() and series.abs().max() > _LARGEST:
        return series.astype("str")
    numbers = series.astype("Float64").to_numpy(float, na_value=np.nan)
    whole = types.is_bool_dtype(series) or types.is_integer_dtype(series)
    known = np.isfinite(numbers) & (np.abs(numbers) < 8.9e307)
    kept = pd.Series(np.where(known, numbers, np.nan))
    return kept.astype("int8" if types.is_bool_dtype(series) else "int64") if whole and known.all() else kept


def _inferred(series: pd.Series, column: str) -> pd.Series:
    """A column of anything as what all its values are."""
    present = series[series.notna()]
    if all(isinstance(v, str) for v in present) and len(present):
        return series.astype("str")
    if all(isinstance(v, bool | np.bool_) for v in present) and len(present):
        return series.astype("boolean")
    if all(isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in present):
        return pd.to_numeric(series).astype(float)
    if all(isinstance(v, date | np.datetime64) for v in present):
        return pd.to_datetime(series)
    kinds = sorted({type(v).__name__ for v in present})
    raise DataError(
        f"a column of a data file holds one kind of value; '{column}' holds {some(kinds, 'kind')}. "
        "Write its numbers as texts, or make two columns of it"
    )


def _value_labels(series: pd.Series, column: str, text: Text) -> dict[str, str]:
    """Code → word for a column of codes; empty for other texts, for codes without words and for too many of them."""
    label, _ = sided(column, text)
    kind = read_layout().kinds.get(label)
    codes = sorted(series.dropna().unique())
    known = kind in _WORDED or any(text.has(f"code.{label}.{code}") for code in codes[:_MOST_CODES])
    if not known or not codes or len(codes) > _MOST_CODES:
        return {}
    words = {
        c: outcome_label(c, _NO_STUDY, text.language) if kind == "outcome" else coded(label, c, _NO_STUDY, text) for c in codes
    }
    if all(word == code for code, word in words.items()):
        return {}
    spoken = list(words.values())
    return {code: word if spoken.count(word) == 1 else f"{word} ({code})" for code, word in words.items()}
