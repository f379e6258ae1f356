"""Figures of opinions; hatching, lightness, numbers and marks tell in grey what colours tell."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..report.text import Text, read_text
from .axes import BLUE, INK, ORANGE, PALE, QUIET, SKY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SCORES = {1: (ORANGE, "///"), 2: ("#f0b48a", "..."), 3: (PALE, ""), 4: (SKY, ""), 5: (BLUE, "")}
_WRITTEN = 0.07  # a narrower part of a bar has no room for its number
_ORDER = ("micro", "small", "medium", "large", "none", "indirect", "direct")
_MARKS = {"low": "\u25bc", "divided": "\u2194", "low_divided": "\u25bc\u2194"}


def satisfaction_bars(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """One bar an item and component: scores 1 and 2 to the left, 4 and 5 to the right, 3 across the middle, in per cent of answers.

    `table` (`satisfaction_shares`, one wave): component, item, score, n, share. The number of answers stands beside the name.
    """
    text = text or read_text("en")
    order = list(dict.fromkeys(zip(table["component"], table["item"], strict=True)))
    wide = table.set_index(["component", "item", "score"])["share"].unstack().reindex(columns=list(_SCORES)).fillna(0.0)
    wide = wide.loc[order] if order else wide
    answers = table.groupby(["component", "item"])["n"].sum()
    y = np.arange(len(wide))
    floor = -(wide[1] + wide[2] + wide[3] / 2).to_numpy(float)
    for score, (colour, hatch) in _SCORES.items():
        share = wide[score].to_numpy(float)
        label = text.say("figure.scored", {"score": str(score)})
        ax.barh(y, share, 0.72, left=floor, color=colour, hatch=hatch, edgecolor="white", linewidth=0.5, label=label)
        for at, start, part in zip(y, floor, share, strict=True):
            if part >= _WRITTEN:
                look = {"facecolor": colour, "edgecolor": "none", "pad": 0.8}
                ink = "white" if score == 5 else INK
                words = text.number(100 * part, "int")
                ax.text(start + part / 2, at, words, ha="center", va="center", fontsize=7, color=ink, bbox=look)
        floor = floor + share
    ax.axvline(0, color=INK, linewidth=0.8)
    names = [f"{_place(key[0], key[1], text)} ({text.number(answers[key], 'int')})" for key in wide.index]
    ax.set_yticks(y, names, fontsize=7.5)
    ax.invert_yaxis()
    ax.set_xlim(-1, 1)
    ax.set_xticks(np.linspace(-1, 1, 5), [text.number(abs(100 * v), "int") for v in np.linspace(-1, 1, 5)])
    ax.set_xlabel(text.say("figure.answers_percent"))
    ax.grid(axis="x")


def _place(where: str, item: str, text: Text, column: str = "component") -> str:
    """Component, or activity, and item as a row is named."""
    name = text.label("component", where) if column == "component" else str(where)
    return f"{name} · {text.label('item', item)}"


def response_map(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """A cell an item and kind of firm with its mean score; darker is higher, and marks say where to ask again.

    `table` (`response_map`, one wave, by component or by activity): by, component, activity_id, item, characteristic, group, mean,
    reason. A triangle marks a low mean, an arrow opinions that are divided; a hatched cell has too few answers, an empty one none.
    """
    from matplotlib.colors import LinearSegmentedColormap

    text = text or read_text("en")
    place = table["component"].where(table["by"] == "component", table["activity_id"])
    keyed = table.assign(place=place).set_index(["place", "item", "characteristic", "group"])[["mean", "reason"]]
    rows = list(dict.fromkeys(keyed.index.droplevel(["characteristic", "group"])))
    columns = list(dict.fromkeys(keyed.index.droplevel(["place", "item"])))
    characteristics = list(dict.fromkeys(c for c, _ in columns))
    columns.sort(key=lambda key: (characteristics.index(key[0]), _ORDER.index(key[1]) if key[1] in _ORDER else -1))
    shades = LinearSegmentedColormap.from_list("opinions", ["white", SKY])
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if (*row, *column) in keyed.index:
                _cell(ax, (j, i), keyed.loc[(*row, *column)], shades, text)
    names = [text.label(c, g) if c != "all" else text.label("branch", "all") for c, g in columns]
    ax.set_xticks(np.arange(len(columns)), names, fontsize=7, rotation=35, ha="right")
    by = table["by"].iloc[0] if len(table) else "component"
    ax.set_yticks(np.arange(len(rows)), [_place(where, item, text, by) for where, item in rows], fontsize=7.5)
    ax.set_xlim(-0.5, max(len(columns), 1) - 0.5)
    ax.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    ax.tick_params(length=0)
    _separated(ax, [c for c, _ in columns], text)
    for mark, key in (("v", "opinion_low"), (r"$\leftrightarrow$", "opinion_divided")):
        ax.scatter([], [], marker=mark, color=INK, s=60, label=text.say(f"figure.{key}"))
    ax.bar([0], [0], facecolor="white", edgecolor=QUIET, hatch="////", linewidth=0, label=text.say("figure.opinion_few"))


def _cell(ax: Axes, at: tuple[int, int], cell: pd.Series, shades, text: Text) -> None:
    """One cell: its shade, its number and its mark."""
    from matplotlib.patches import Rectangle

    corner = (at[0] - 0.5, at[1] - 0.5)
    if pd.isna(cell["mean"]):
        ax.add_patch(Rectangle(corner, 1, 1, facecolor="white", edgecolor=PALE, hatch="////", linewidth=0.5))
        return
    depth = float(np.clip((cell["mean"] - 1) / 4, 0, 1))
    ax.add_patch(Rectangle(corner, 1, 1, facecolor=shades(depth), edgecolor="white", linewidth=1))
    words = " ".join(filter(None, [text.number(cell["mean"], "dec1"), _MARKS.get(cell["reason"], "")]))
    weight = "bold" if cell["reason"] in _MARKS else "normal"
    ax.text(*at, words, ha="center", va="center", fontsize=7, fontweight=weight, color=INK)


def _separated(ax: Axes, characteristics: list[str], text: Text) -> None:
    """A line between characteristics, and their names above."""
    starts = [k for k, c in enumerate(characteristics) if k == 0 or c != characteristics[k - 1]]
    for start, end in zip(starts, starts[1:] + [len(characteristics)] * bool(starts), strict=True):
        if start:
            ax.axvline(start - 0.5, color=INK, linewidth=1.2)
        if characteristics[start] != "all":
            words = fill(text.heading(characteristics[start]), max(8, 7 * (end - start)), break_long_words=False)
            ax.text((start + end - 1) / 2, -0.62, words, ha="center", va="bottom", fontsize=7, color=QUIET, linespacing=0.95)
