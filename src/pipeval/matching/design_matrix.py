"""Covariates as numbers: what a column of firms becomes before it enters a model or a balance table."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd

from ..errors import DataError, DesignError, some

_EXPONENT = 300  # of 2: squares of larger numbers, summed over firms, may overflow
_DATES = "dates. Make them numbers, the year for one, or text if they are levels"
_SPANS = "spans of time. Make them numbers, the years for one"
_NEITHER = dict.fromkeys(("date", "datetime", "datetime64", "period"), _DATES) | {
    "timedelta": _SPANS,
    "timedelta64": _SPANS,
    "complex": "complex numbers. Take their real part or their size",
}
"""By the kind of a column that no model takes: what it holds, and what to do."""


def require_columns(firms: pd.DataFrame, names: Sequence[str], what: str) -> None:
    """Refuse a name that is not a column of `firms`, with the nearest one that is, or that is two of them."""
    twice = [name for name in dict.fromkeys(names) if (firms.columns == name).sum() > 1]
    if twice:
        raise DesignError(f"{what} must be told apart by name; {some(twice, 'name')} stands for several. Rename or drop the others")
    for name in names:
        if name not in firms.columns:
            near = get_close_matches(name, list(map(str, firms.columns)), n=1)
            raise DesignError(
                f"{what} must be columns of the firms; '{name}' is not one. "
                + (f"Did you mean '{near[0]}'?" if near else f"The firms have {', '.join(map(str, firms.columns))}")
            )


def is_numeric(column: pd.Series) -> bool:
    """Whether a column is used as it stands; every other column becomes one indicator a level.

    Raises
    ------
    DesignError
        When it holds dates, spans of time, complex numbers or lists, which are neither numbers nor levels.
    """
    kind = pd.api.types.infer_dtype(column, skipna=True) if column.dtype == object or column.dtype.kind in "mMc" else ""
    kind = "period" if isinstance(column.dtype, pd.PeriodDtype) else kind
    if kind in _NEITHER:
        raise DesignError(f"covariates are numbers or levels; '{column.name}' holds {_NEITHER[kind]}")
    if kind == "mixed" and not column.map(pd.api.types.is_hashable).all():
        raise DesignError(f"covariates are numbers or levels; '{column.name}' holds lists. Give one value a firm")
    if column.dtype == object:  # numbers beside None
        return kind in ("integer", "floating", "mixed-integer-float", "boolean", "decimal")
    return pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)


def numbers(column: pd.Series) -> np.ndarray:
    """A numeric or boolean column as floats, missing as NaN; an infinite value is a fault of the data.

    Raises
    ------
    DataError
        When a value is infinite.
    """
    values = column.to_numpy(dtype=float, na_value=np.nan)
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(
            f"covariate '{column.name}' must be finite or missing; it is infinite for {some(column.index[infinite])}: "
            "a logarithm of zero? set it missing"
        )
    return values


def in_range(column: np.ndarray) -> tuple[np.ndarray, int]:
    """A column divided by a power of 2 so that its squares are numbers too, and the power: 0 but for absurd units.

    >>> in_range(np.array([2.0**601, 0.0]))
    (array([0.5, 0. ]), 602)
    """
    power = int(np.frexp(max(column.max(initial=0.0), -column.min(initial=0.0)))[1])
    return (column, 0) if abs(power) < _EXPONENT else (np.ldexp(column, -power), power)


def levels(column: pd.Series) -> list:
    """The values of a categorical column that occur, in the order of its categories, sorted otherwise."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.remove_unused_categories().cat.categories)
    found = list(column.dropna().unique())
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=str)


def expand(firms: pd.DataFrame, columns: Sequence[str], drop_first: bool = False) -> tuple[np.ndarray, list[str], list[str]]:
    """Columns as a matrix of floats: one column for a number, one indicator a level for anything else.

    Parameters
    ----------
    firms : DataFrame
        One row a firm.
    columns : sequence of str
        What to expand, in order.
    drop_first : bool
        Leave out each first level, so that a model with a constant is not collinear.

    Returns
    -------
    matrix : array, firms × terms
        NaN where the column is missing.
    terms : list of str
        `column` for a number, `column=level` for an indicator.
    sources : list of str
        The column each term comes from.

    Examples
    --------
    >>> frame = pd.DataFrame({"size": [3, 5], "branch": ["leather", "footwear"]})
    >>> expand(frame, ["size", "branch"])[1]
    ['size', 'branch=footwear', 'branch=leather']
    """
    parts, terms, sources = [], [], []
    for name in columns:
        column = firms[name]
        if is_numeric(column):
            new = [(str(name), numbers(column))]
        else:
            missing = column.isna().to_numpy()
            new = [
                (f"{name}={level}", np.where(missing, np.nan, (column == level).fillna(False).to_numpy(dtype=float)))
                for level in levels(column)[drop_first:]
            ]
        for term, values in new:
            parts.append(values)
            terms.append(term)
            sources.append(name)
    matrix = np.column_stack(parts) if parts else np.empty((len(firms), 0))
    return matrix, terms, sources
