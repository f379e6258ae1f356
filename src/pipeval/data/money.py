"""Money: from current pesos to constant pesos and to dollars, by one documented table of series.

The series table has one row a series and year: `series, year, value, base, source, vintage`. A price index is a number that is
100 in its base year; an exchange rate is national currency per US dollar, annual average.
"""

from __future__ import annotations

import pandas as pd

from ..errors import DataError, DesignError, some
from ..study.files import nearest


def series_values(series: pd.DataFrame, name: str) -> pd.Series:
    """The values of one series by year.

    Raises
    ------
    DesignError
        When the series is not in the table, or is given on more than one base.
    """
    rows = series[series["series"] == name]
    if rows.empty:
        raise DesignError(
            f"params name the series '{name}', which the series table lacks; {nearest(name, series['series'].unique())}"
        )
    bases = rows["base"].dropna().unique() if "base" in rows else []
    if len(bases) > 1:
        raise DesignError(f"a series has one base year; '{name}' mixes {some(bases, 'base')}. Chain them to one base first")
    once = rows.dropna(subset=["year"]).drop_duplicates("year")  # a year that stands twice is a fault of its own
    return once.set_index("year")["value"].astype(float).sort_index()


def deflator(series: pd.DataFrame, name: str, base_year: int) -> pd.Series:
    """What to multiply current money of each year by to express it at prices of `base_year`.

    >>> table = pd.DataFrame({"series": "inpc", "year": [2003, 2006], "value": [100.0, 112.81]})
    >>> (112.81 * deflator(table, "inpc", 2003)).round(9).to_dict()
    {2003: 112.81, 2006: 100.0}
    """
    index = series_values(series, name)
    if base_year not in index.index:
        raise DesignError(
            f"the deflator '{name}' has no value for the base year {base_year}; it has {index.index.min()}–{index.index.max()}"
        )
    if (index <= 0).any():
        raise DataError(f"a price index is positive; '{name}' is not in {some(index.index[index <= 0], 'year')}")
    return index[base_year] / index


def by_year(factor: pd.Series, years: pd.Series, what: str) -> pd.Series:
    """`factor` looked up for each row's year; a year without a value is an error, not a gap."""
    lacking = sorted(set(years.unique()) - set(factor.index))
    if lacking:
        raise DataError(f"{what} needs a value for every year of the survey; missing {some(lacking, 'year')}")
    return years.map(factor)
