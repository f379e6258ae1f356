"""Growth of a measure since the base year, over the same firms at both ends."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.measures import MONEY
from ..study.logframe import Indicator
from ..study.specs import Study
from .inputs import Inputs, Reading, at, closed_by, measured, members, over, years

SUMS = (*(m for m in MONEY if m != "price"), "exports_usd", "jobs", "workers_unpaid")
"""Measures of which a closed firm has none: they add up over firms."""


def growth(indicator: Indicator, inputs: Inputs, study: Study) -> Reading:
    """Change of a measure between the base and the reference year, over the same firms at both ends.

    A firm that did not answer at one end is left out at both. A closed firm counts as zero where the indicator says so, and is
    left out otherwise; the other figure stands in the strip (of a ratio: closed firms in the sums of the base only). Totals are
    sums (a ratio is the ratio of sums); mean and median are of the firms' own changes, for firms with a positive base.
    """
    real = indicator.real is not False and study.money.headline == "real"
    frame = measured(inputs, (indicator.measure, indicator.per), real)
    absent = [m for m in (indicator.measure, indicator.per) if m and m not in frame.columns]
    if absent:
        return Reading(remarks=tuple(f"no_measure={m}" for m in absent))
    pairs, remarks = paired(indicator, inputs, frame, study)
    closed = pairs["exited"]
    zero = indicator.exits == "zero" and indicator.per is None
    panel = pairs if zero else pairs[~closed]
    if closed.any():
        remarks += (f"closed_as_zero={closed.sum()}" if zero else f"closed_left_out={closed.sum()}",)
    baseline, current, change = aggregate(panel, indicator.aggregation)
    strip = {how: aggregate(panel, how)[2] for how in ("total", "mean", "median")}
    if closed.any() and _adds_up(indicator):
        other = pairs[~closed] if zero else pairs
        strip["survivors_only" if zero else "exits_as_zero"] = aggregate(other, indicator.aggregation)[2]
    money = indicator.real is not False
    nominal_change = _change_of(indicator, inputs, inputs.nominal, study, indicator.measure) if money else np.nan
    if real and not np.isnan(nominal_change):
        strip["current_prices"] = nominal_change
    for measure in indicator.beside:
        strip[measure] = _change_of(indicator, inputs, frame, study, measure)
    if indicator.real and not real:
        remarks += ("headline_nominal",)
    if indicator.aggregation != "total" and (panel["base"] <= 0).any():
        remarks += (f"zero_base={(panel['base'] <= 0).sum()}",)
    sign = 1 if indicator.direction == "increase" else -1
    return Reading(sign * change, baseline, current, change, nominal_change, len(panel), strip=strip, remarks=remarks)


def _adds_up(indicator: Indicator) -> bool:
    """Whether a closed firm's figure can be zero: sales can, the price of what nobody sells cannot; of a ratio, both sums can."""
    if indicator.per:
        return indicator.aggregation == "total"
    return indicator.measure != "price" and (indicator.aggregation == "total" or indicator.measure in SUMS)


def paired(indicator: Indicator, inputs: Inputs, frame: pd.DataFrame, study: Study) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """One row a firm with an answer at the base and, unless it closed, at the reference year.

    Columns `base, now` and, for a ratio, `base_per, now_per`; `exited` marks closed firms, whose `now` is zero.
    """
    base, now = years(indicator, study)
    ids = members(indicator, inputs.firms)
    per = indicator.per
    columns = {"base": (indicator.measure, base), "now": (indicator.measure, now)}
    columns |= {"base_per": (per, base), "now_per": (per, now)} if per else {}
    table = pd.DataFrame({name: at(frame, measure, year).reindex(ids) for name, (measure, year) in columns.items()})
    exited = closed_by(frame, now).reindex(ids, fill_value=False) & table["now"].isna()
    ends = [c for c in table if c.startswith("now")]
    table.loc[exited, ends] = 0.0
    complete = table.notna().all(axis=1)
    silent = int((~complete).sum())
    return table[complete].assign(exited=exited[complete]), ((f"no_answer={silent}",) if silent else ())


def aggregate(panel: pd.DataFrame, how: str) -> tuple[float, float, float]:
    """Level at the base, level now, and change, as a total, a mean or a median; NaN where not defined.

    >>> panel = pd.DataFrame({"base": [100.0, 300.0], "now": [150.0, 300.0]})
    >>> [aggregate(panel, how)[2] for how in ("total", "mean")]
    [0.125, 0.25]
    """
    ratio = "base_per" in panel
    if panel.empty:
        return np.nan, np.nan, np.nan
    if how == "total":
        sums = panel.drop(columns="exited", errors="ignore").sum()
        before, after = (sums["base"], sums["now"])
        if ratio:
            before, after = over(before, sums["base_per"]), over(after, sums["now_per"])
        return float(before), float(after), float(over(after, before) - 1)
    before, after = panel["base"], panel["now"]
    if ratio:
        before = before / panel["base_per"].where(panel["base_per"] > 0)
        after = after / panel["now_per"].where(panel["now_per"] > 0)
    change = after / before.where(before > 0) - 1
    return tuple(float(getattr(column, how)()) for column in (before, after, change))


def _change_of(indicator: Indicator, inputs: Inputs, frame: pd.DataFrame, study: Study, measure: str) -> float:
    if measure not in frame.columns:
        return np.nan
    panel, _ = paired(indicator.model_copy(update={"measure": measure}), inputs, frame, study)
    if indicator.exits != "zero" or indicator.per:
        panel = panel[~panel["exited"]]
    return aggregate(panel, indicator.aggregation)[2]
