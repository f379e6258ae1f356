"""Figures of value for money."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..report.text import Text, read_text
from .axes import BLUE, INK, ORANGE, PALE, QUIET, beside, limits_of, numbered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = {"own": ["own_effect", "own_low", "own_high"], "other": ["effect", "effect_low", "effect_high"]}


def tornado(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """The net present value when one input alone is low (hatched) or high, the input that matters most on top.

    `table`: input, input_low, input_high, npv_low_usd, npv_high_usd, central_usd (NPV by the central values). The values of the
    input stand beside its bars, in per cent.
    """
    text = text or read_text("en")
    rows = table.iloc[::-1].reset_index(drop=True)
    y = np.arange(len(rows), dtype=float)
    middle = float(rows["central_usd"].iloc[0]) / 1e6 if len(rows) else 0.0
    looks = {"low": {"color": PALE, "hatch": "///", "edgecolor": QUIET}, "high": {"color": BLUE, "edgecolor": BLUE}}
    for end, look in looks.items():
        reach = rows[f"npv_{end}_usd"].to_numpy(float) / 1e6
        ax.barh(y, reach - middle, left=middle, height=0.6, linewidth=0.6, label=text.say(f"figure.value_{end}"), **look)
        for at, x, value in zip(y, reach, rows[f"input_{end}"], strict=True):
            right = x >= middle
            ax.annotate(text.number(value, "pct"), (x, at), (4 if right else -4, 0), textcoords="offset points", va="center",
                        ha="left" if right else "right", fontsize=7.5, zorder=4,
                        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})  # fmt: skip
    ax.axvline(middle, color=INK, linewidth=0.8)
    ax.axvline(0, color=ORANGE, linewidth=1.2, linestyle="--", label=text.say("figure.no_gain"))
    ax.set_yticks(y, [text.label("input", name) for name in rows["input"]])
    ax.margins(x=0.16)
    numbered(ax.xaxis, text)
    ax.set_xlabel(text.say("figure.npv_million"))
    ax.grid(axis="x")


def return_distribution(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """How the draws of the net present value are spread: hatched where the programme costs more than it brings.

    `table`: bin_low, bin_high, share. A bin that zero cuts is hatched as a loss when its middle is below zero.
    """
    text = text or read_text("en")
    low, high = (table[c].to_numpy(float) / 1e6 for c in ("bin_low", "bin_high"))
    gain = low + high > 0
    looks = ((~gain, {"color": PALE, "hatch": "///"}, "figure.loss"), (gain, {"color": BLUE}, "figure.gain"))
    for chosen, look, words in looks:
        if chosen.any():
            ax.bar(low[chosen], 100 * table["share"].to_numpy(float)[chosen], (high - low)[chosen], align="edge", edgecolor="white",
                   linewidth=0.5, label=text.say(words), **look)  # fmt: skip
    ax.axvline(0, color=ORANGE, linewidth=1.2, linestyle="--")
    numbered(ax.xaxis, text)
    numbered(ax.yaxis, text)
    ax.set_xlabel(text.say("figure.npv_million"))
    ax.set_ylabel(text.say("figure.draws_percent"))
    ax.grid(axis="y")


def benchmark_forest(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Effects of similar evaluations (hollow; no line where no interval was published) and the own ones beside them (filled).

    `table`: name (words for the own outcome), outcome, study, horizon, effect, effect_low, effect_high, own_effect, own_low,
    own_high, own_horizon (shares). Rows without an own outcome are not drawn. Nothing is averaged. An interval that would make the
    others unreadable ends in an arrow, its numbers beside it.
    """
    text = text or read_text("en")
    known = table[table["own_effect"].notna() & table["effect"].notna()]
    each = [known[names].astype(float).set_axis(_NAMES["other"], axis=1) for names in _NAMES.values()]
    limits = limits_of(100 * pd.concat(each)) if len(known) else (0.0, 1.0)
    y, names, at = [], [], 0.0
    for _, rows in known.groupby("outcome", sort=False):
        drawn = [("own", row) for row in rows.drop_duplicates("own_horizon").to_dict("records")]
        drawn += [("other", row) for row in rows.to_dict("records")]
        for whose, row in drawn:
            at -= 1.0
            _drawn(ax, row, whose, (limits, at), text)
            y.append(at)
            own = whose == "own"
            names.append(_titled(str(row["name" if own else "study"]), row["own_horizon" if own else "horizon"], text))
        at -= 0.6
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks(y, names, fontsize=7.5)
    ax.set_xlim(*limits)
    numbered(ax.xaxis, text)
    ax.set_xlabel(text.say("figure.effect_percent"))
    ax.grid(axis="x")


def _drawn(ax: Axes, row: dict, whose: str, place: tuple[tuple[float, float], float], text: Text) -> None:
    """One effect with its interval; one that reaches past the axis ends in an arrow, with its numbers beside it."""
    (left, right), at = place
    value, low, high = (100 * float(row[n]) for n in _NAMES[whose])
    colour, width, words = (BLUE, 1.8, "figure.own_effect") if whose == "own" else (QUIET, 1.2, "figure.other_study")
    if np.isfinite([low, high]).all():
        ax.hlines(at, max(low, left), min(high, right), color=colour, linewidth=width)
    sides = (((low < left) | (value < left), left, "<"), ((high > right) | (value > right), right, ">"))
    past = [(end, mark) for beyond, end, mark in sides if beyond]
    for end, mark in past:
        ax.scatter(end, at, color=colour, marker=mark, s=30, zorder=3, clip_on=False)
    if past:
        ends = {"low": text.number(low, "int"), "high": text.number(high, "int")}
        written = text.number(value, "int") + (f" ({text.say('interval', ends)})" if np.isfinite([low, high]).all() else "")
        beside(ax, written, (right, at))
    if left <= value <= right:
        seen = text.say(words) in ax.get_legend_handles_labels()[1]
        look = {"color": BLUE, "marker": "D", "s": 34} if whose == "own" else {"facecolors": "white", "edgecolors": QUIET, "s": 28}
        ax.scatter(value, at, zorder=3, label=None if seen else text.say(words), **look)


def _titled(name: str, horizon: float, text: Text) -> str:
    return name if not np.isfinite(horizon) else f"{name} ({text.say('figure.years_after', {'n': text.number(horizon, 'int')})})"
