"""Colours, and what axes of several figures share.

The colours are those of Okabe and Ito (2008), told apart by colour-blind readers; markers, dashes, hatches and lightness tell them
apart in grey. An institution's accent does not change them: a colour means the same in every report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..report.text import Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

INK, QUIET = "#1b2733", "#5a6772"
BLUE, ORANGE, SKY, PALE = "#0072B2", "#D55E00", "#56B4E9", "#c9d2da"
_FAR = 3.0  # a row that reaches this many times as far as the middle one leaves the axis, and its numbers are written
_YEAR = 0.36  # inches that a year needs
_QUARTERS, _YEARS = 400, 730  # days beyond which half-years, and years, are named along an axis of days


def numbered(axis: Axis, text: Text, size: bool = False) -> None:
    """Numbers along the axis, all with the decimals that its steps need; `size`: without their sign."""

    def written(value: float, _) -> str:
        step = np.diff(axis.get_majorticklocs()[:2])
        step = abs(step[0]) if len(step) and step[0] else 1.0
        decimals = next((d for d in range(3) if abs(step * 10**d - round(step * 10**d)) < 1e-6 and step * 10**d > 0.5), 3)
        return text.number(abs(value) if size else value, ("int", "dec1", "dec2", "dec3")[decimals])

    axis.set_major_formatter(written)


def error_bars(rows: pd.DataFrame, middle: str) -> np.ndarray:
    """How far each interval reaches below and above its middle, as matplotlib wants it."""
    return np.vstack([rows[middle] - rows["conf_low"], rows["conf_high"] - rows[middle]]).clip(min=0)


def years(ax: Axes, periods: pd.Series) -> None:
    """Whole years along x, the last one always; every second one, third one … where the axes are too narrow for all."""
    known = np.unique(pd.to_numeric(periods, errors="coerce").dropna().to_numpy(float)).astype(int)
    room = ax.get_position().width * ax.figure.get_figwidth() / _YEAR if len(known) else 1.0
    step = max(1, int(np.ceil(len(known) / max(room, 1.0))))
    shown = known[::-1][::step][::-1]
    ax.set_xticks(shown, [str(y) for y in shown])
    ax.set_xticks(known, minor=True)


def days(ax: Axes, on: pd.Series, text: Text) -> None:
    """Days along x: a tick at each new year and a small one at each quarter; within two years months, by locale."""
    from babel.dates import format_skeleton
    from matplotlib.dates import MonthLocator, YearLocator, num2date

    known = pd.to_datetime(on, errors="coerce").dropna()
    if known.empty:
        return
    span = (known.max() - known.min()).days
    if span > _QUARTERS:
        ax.xaxis.set_minor_locator(MonthLocator((1, 4, 7, 10)))
    if span > _YEARS:
        ax.xaxis.set_major_locator(YearLocator())
        ax.xaxis.set_major_formatter(lambda at, _: str(num2date(at).year))
        return
    ax.xaxis.set_major_locator(MonthLocator((1, 7) if span > _QUARTERS else (1, 4, 7, 10)))
    ax.xaxis.set_major_formatter(lambda at, _: format_skeleton("yMMM", num2date(at), locale=text.locale))


def limits_of(drawn: pd.DataFrame) -> tuple[float, float]:
    """The ends of an axis that the rows reaching far beyond the others do not stretch."""
    reach = drawn.abs().max(axis=1)
    near = drawn[~(reach > _FAR * reach.median())]
    if not np.isfinite(near.to_numpy(float)).any():
        return 0.0, 1.0
    low, high = min(near.min().min(), 0.0), max(near.max().max(), 0.0)
    room = 0.06 * (high - low)
    return (low - room if low < 0 else 0.0), high + room


def points_within(ax: Axes, values: pd.Series, y: np.ndarray, limits: tuple[float, float], look: dict) -> None:
    """The values that lie on the axis, as points."""
    inside = values.between(*limits).to_numpy()
    ax.scatter(values[inside], y[inside], **look)


def beside(ax: Axes, words: str, at: tuple[float, float]) -> None:
    """Small words to the right of a place, outside the axes too."""
    ax.annotate(words, at, (6, 0), textcoords="offset points", va="center", fontsize=7.5, annotation_clip=False)


def named(ax: Axes, names: pd.Series, y: np.ndarray, limits: tuple[float, float], text: Text) -> None:
    """A name a line along y, and numbers between the limits along x."""
    ax.set_yticks(y, names)
    ax.set_ylim(-0.6, len(y) - 0.4)
    if limits[1] > limits[0]:
        ax.set_xlim(*limits)
    numbered(ax.xaxis, text)
    ax.grid(axis="x")


def cut(ax: Axes, rows: pd.DataFrame, look: dict, text: Text) -> tuple[float, float]:
    """Set the y axis so that no far interval hides the others; one that is cut ends in an arrow with the number of its end.

    `rows`: x, conf_low, conf_high and any other columns drawn. Returns the ends of the axis.
    """
    low, high = limits_of(rows.drop(columns="x"))
    beyond = ((rows["conf_low"] < low, "conf_low", low, "v"), (rows["conf_high"] > high, "conf_high", high, "^"))
    for chosen, column, end, mark in beyond:
        for x, value in rows.loc[chosen, ["x", column]].to_numpy(float):
            ax.scatter(x, end, marker=mark, s=26, zorder=4, clip_on=False, **look)
            ax.annotate(text.number(value, "int"), (x, end), (5, 0), textcoords="offset points", va="center", fontsize=7, color=INK)
    if high > low:
        ax.set_ylim(low, high)
    return low, high
