"""What verdicts are read from, and what a reading is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..data.measures import ANSWERED
from ..study.calendar import indicator_due
from ..study.logframe import Indicator, Where
from ..study.specs import Study


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What verdicts are read from.

    Attributes
    ----------
    real, nominal : DataFrame
        Measures at constant and at current prices, index (`firm_id`, `period`); `status` is alive, exited or no_answer,
        `exp_status` none, indirect or direct.
    firms : DataFrame
        Firms with the columns of the enterprises table, index `firm_id`; may leave out branches without evaluated outcomes.
    tables : mapping of str to DataFrame
        The other tables, as loaded: nothing later than the evaluation.
    """

    real: pd.DataFrame
    nominal: pd.DataFrame
    firms: pd.DataFrame
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """One indicator as read: `value` is what the target is compared with, signed so that more is better."""

    value: float = np.nan
    baseline: float = np.nan
    current: float = np.nan
    change: float = np.nan
    nominal_change: float = np.nan
    n: int = 0
    eligible: int | None = None  # how many could be counted at most
    needed: float | None = None  # the target, where the table states it and the log frame does not
    by_due: float = np.nan  # the count on the due date, where rows are dated
    lasting: bool = False  # once reached it stays reached: milestones and running counts
    strip: dict[str, float] = field(default_factory=dict)  # other ways to read the same thing
    remarks: tuple[str, ...] = ()


def selected(frame: pd.DataFrame, where: Where) -> pd.Series:
    """Which rows have, in every named column, one of the listed codes; a missing value never matches."""
    keep = pd.Series(True, index=frame.index)
    for column, codes in where.items():
        if column not in frame.columns:
            return pd.Series(False, index=frame.index)
        values = frame[column].astype(object)
        keep &= values.isin(list(codes)) & values.notna()
    return keep


def members(indicator: Indicator, firms: pd.DataFrame) -> pd.Index:
    """Firms of the indicator's population; of these, the ones that it names, where it names any."""
    ids = firms.index[selected(firms, indicator.population)]
    return ids[ids.isin(indicator.firms)] if indicator.firms else ids


def column_of(table: pd.DataFrame, name: str) -> str:
    """The table's column of that name; of money, the one with the unit behind it, so that a log frame fits any currency.

    >>> column_of(pd.DataFrame(columns=["firm_id", "saving_kmxn"]), "saving")
    'saving_kmxn'
    """
    money = [c for c in table if re.fullmatch(rf"{re.escape(name)}_k[a-z]{{3}}", c)]
    return money[0] if name not in table and money else name


def measured(inputs: Inputs, names: Iterable[str | None], real: bool = False) -> pd.DataFrame:
    """The measures, at constant or current prices, and beside them the numbers of the survey that `names` asks for.

    A log frame may ask for a number that is no measure of its own (unit costs, joint purchases). Money is found without the
    unit in its column's name and is known at current prices only.
    """
    frame, survey = (inputs.real if real else inputs.nominal), inputs.tables.get("survey")
    if survey is None:
        return frame
    answered = survey[survey["response"].isin(ANSWERED)] if "response" in survey else survey
    rows = answered.drop_duplicates(["firm_id", "ref_year"]).set_index(["firm_id", "ref_year"])
    found = {}
    for name in (n for n in names if n and n not in frame.columns):
        column = column_of(rows, name)
        if column in rows and not (real and column != name) and pd.api.types.is_numeric_dtype(rows[column]):
            found[name] = rows[column].astype(float).reindex(frame.index)
    return frame.assign(**found) if found else frame


def years(indicator: Indicator, study: Study) -> tuple[int, int]:
    """The base year, and the year compared with it: the reference year, or the year the target fell due if that is earlier."""
    due = indicator_due(indicator, study.calendar)
    now = study.treatment.reference_year
    return indicator.base_year or study.baseline.year, now if due is None else min(now, due.year)


def at(frame: pd.DataFrame, measure: str, year: int) -> pd.Series:
    """One measure in one year, by firm."""
    return frame.loc[frame.index.get_level_values("period") == year, measure].droplevel("period")


def closed_by(frame: pd.DataFrame, year: int) -> pd.Series:
    """By firm: had it closed by that year?"""
    if "status" not in frame:
        return pd.Series(False, index=frame.index.get_level_values("firm_id").unique())
    past = frame.loc[frame.index.get_level_values("period") <= year, "status"] == "exited"
    return past.groupby(level="firm_id").any()


def over(top: float, bottom: float) -> float:
    """A quotient, NaN where the denominator is not positive."""
    return top / bottom if bottom > 0 else np.nan
