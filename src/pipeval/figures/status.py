"""Export status at the start and at the end, as flows between the two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..report.text import Text, read_text
from .axes import BLUE, INK, PALE, QUIET, SKY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STATES = {"direct": (BLUE, ""), "indirect": (SKY, "///"), "none": (PALE, ""), "closed": (QUIET, "xx"), "unknown": ("white", "...")}
_BAR = 0.2  # width of a bar, where the flows of an arm are 1 long
_ROOM = 0.75  # between two arms
_WRITTEN = 4.0  # per cent of the firms; a thinner flow has no room for its number


def status_flows(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """From the status at the start (left bar) to that at the end (right bar), arm by arm; a band is as wide as its firms are many.

    `table` (`transitions`): arm, from, to (direct, indirect, none, closed, unknown), n. Heights are per cent of the arm's firms,
    numbers are firms; a band has the colour of the status that it leaves, and no number where it is thinner than 4 per cent.
    """
    text = text or read_text("en")
    ticks, names, seen = [], [], set()
    rows = table[table["n"] > 0]
    for k, (arm, moves) in enumerate(rows.groupby("arm", sort=False)):
        left = k * (1 + 2 * _BAR + _ROOM)
        wide = moves.pivot_table(index="from", columns="to", values="n", aggfunc="sum", fill_value=0)
        wide = wide.reindex(index=list(_STATES), columns=list(_STATES), fill_value=0).astype(float)
        total = wide.to_numpy().sum()
        _bands(ax, wide, left + _BAR, total, text)
        for x, sums in ((left, wide.sum(axis=1)), (left + _BAR + 1, wide.sum(axis=0))):
            _column(ax, sums, x, total, text)
            seen |= set(sums.index[sums > 0])
        ticks += [left + _BAR / 2, left + 1.5 * _BAR + 1]
        names += [text.say("figure.initial"), text.say("figure.final_state")]
        words = f"{text.label('arm', arm)} ({text.number(total, 'int')})"
        ax.text(left + _BAR + 0.5, 103, words, ha="center", va="bottom", fontsize=8, fontweight="bold", color=INK)
    for state, (colour, hatch) in _STATES.items():
        if state in seen:
            look = {"facecolor": colour, "hatch": hatch, "edgecolor": QUIET if colour == "white" else "white", "linewidth": 0.5}
            ax.bar(0, 0, 0, label=text.label("to", state), **look)
    ax.set_xticks(ticks, names)
    ax.set_xlim(-0.1, max([*ticks, 1.0]) + _BAR / 2 + 0.1)
    ax.set_ylim(0, 112)
    ax.spines["left"].set_bounds(0, 100)
    ax.set_yticks(range(0, 101, 20), [text.number(v, "int") for v in range(0, 101, 20)])
    ax.set_ylabel(text.say("figure.share_percent"))


def _column(ax: Axes, sums: pd.Series, x: float, total: float, text: Text) -> None:
    """One bar: the states from the bottom up, with their firms."""
    floor = 0.0
    for state in reversed(_STATES):
        height = 100 * sums[state] / total
        colour, hatch = _STATES[state]
        if height:
            look = {"color": colour, "hatch": hatch, "edgecolor": QUIET if colour == "white" else "white", "linewidth": 0.5}
            ax.bar(x, height, _BAR, bottom=floor, align="edge", zorder=3, **look)
            if height >= _WRITTEN:
                ink = "white" if colour == BLUE else INK
                box = {"facecolor": colour, "edgecolor": "none", "pad": 0.6}
                number = text.number(sums[state], "int")
                at = (x + _BAR / 2, floor + height / 2)
                ax.text(*at, number, ha="center", va="center", fontsize=7, color=ink, bbox=box, zorder=4)
        floor += height


def _bands(ax: Axes, wide: pd.DataFrame, left: float, total: float, text: Text) -> None:
    """The bands of an arm, from the bottom up at both ends; those of firms that changed are darker."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    start = dict(zip(reversed(_STATES), _floors(wide.sum(axis=1)) * 100 / total, strict=True))
    end = dict(zip(reversed(_STATES), _floors(wide.sum(axis=0)) * 100 / total, strict=True))
    turn = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    for state in reversed(_STATES):
        for to in reversed(_STATES):
            height = 100 * wide.at[state, to] / total
            if not height:
                continue
            a, b, right, half = start[state], end[to], left + 1, left + 0.5
            there = [(left, a), (half, a), (half, b), (right, b)]
            back = [(right, b + height), (half, b + height), (half, a + height), (left, a + height)]
            colour = QUIET if _STATES[state][0] == "white" else _STATES[state][0]
            look = {"facecolor": colour, "alpha": 0.3 if state == to else 0.65, "edgecolor": "white", "linewidth": 0.4, "zorder": 2}
            ax.add_patch(PathPatch(Path([*there, *back, (left, a)], turn), **look))
            if height >= _WRITTEN:
                at, side = ((left + 0.07, a), "left") if state != to else ((half, (a + b) / 2), "center")
                number = text.number(wide.at[state, to], "int")
                ax.text(at[0], at[1] + height / 2, number, ha=side, va="center", fontsize=7, color=INK, zorder=5)
            start[state] += height
            end[to] += height


def _floors(sums: pd.Series) -> np.ndarray:
    """Where each state begins, from the bottom up."""
    heights = sums.to_numpy(float)[::-1]
    return np.cumsum(heights) - heights
