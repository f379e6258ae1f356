"""The specification curve drawn: the estimates in their order, and below them which choices each row made.

Both figures read one outcome's table of `robustness.curve.specification_curve` and place a row at the same x; they are drawn one
above the other on a shared axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..report.text import Text, read_text
from .axes import BLUE, INK, ORANGE, PALE, SKY, numbered
from .effects import effect_axis, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHOICES = {
    "design": ("common_support", "pool", "own", "full", "ebal"),
    "method": ("reg", "dr", "dr_improved", "ipw", "imputation"),
    "adjusted": ("plan", "short", "score", "nothing"),
    "base": ("year_before", "one_earlier", "mean_before"),
    "sample": ("all", "balanced", "without_other_programmes"),
    "outliers": ("kept", "winsorised"),
}
_OTHER = "#98a4af"  # lighter than the blue, in grey too
_GAP = 0.7  # rows between two groups of choices


def curve_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that are drawn, by estimate, with their place `x`: those that failed or repeat another are left out."""
    rows = table[table["estimate"].notna() & (table["note"].fillna("") == "")]
    rows = rows.sort_values("estimate", kind="stable", ignore_index=True)
    return rows.assign(x=np.arange(len(rows)))


def curve(table: pd.DataFrame, ax: Axes, text: Text | None = None, scale: str = "") -> None:
    """Estimates from the smallest to the largest with their intervals; the headline a diamond, rows of another question pale.

    `table`: estimate, conf_low, conf_high, question, headline, note. `scale` is the outcome's.
    """
    text = text or read_text("en")
    rows = curve_rows(table)
    rows = rows.assign(**{c: shown(rows[c], scale) for c in ("estimate", "conf_low", "conf_high")})
    width = float(np.clip(120 / max(len(rows), 1), 0.5, 1.6))
    main = rows["headline"].astype(bool)
    same = (rows["question"] == "same") & ~main
    looks = ((~same & ~main, PALE, _OTHER, "figure.other_question"), (same, SKY, BLUE, "figure.same_question"))
    for chosen, bar, dot, words in looks:
        part = rows[chosen]
        if len(part):
            ax.vlines(part["x"], part["conf_low"], part["conf_high"], color=bar, linewidth=width)
            ax.scatter(part["x"], part["estimate"], color=dot, s=6 * width, zorder=3)
            ax.scatter([], [], color=dot, s=20, label=text.say(words))
    ax.axhline(0, color=INK, linewidth=0.8)
    for row in rows[main].itertuples():
        ax.vlines(row.x, row.conf_low, row.conf_high, color=ORANGE, linewidth=1.8, zorder=4)
        ax.scatter(row.x, row.estimate, color=ORANGE, edgecolors=INK, linewidth=0.6, marker="D", s=38, zorder=5,
                   label=text.say("figure.headline"))  # fmt: skip
    ax.margins(x=0.01)
    numbered(ax.yaxis, text)
    ax.set_ylabel(effect_axis(scale, text))
    ax.grid(axis="y")


def curve_choices(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """A mark for each choice of each row, in the order of `curve`: a line of marks a choice, groups apart.

    `table`: the columns of `CHOICES` beside those of `curve`. A group with a single choice is left out.
    """
    text = text or read_text("en")
    rows = curve_rows(table)
    places, names, groups = _lines(rows, text)
    x, main = rows["x"].to_numpy(float), rows["headline"].to_numpy(bool)
    same = (rows["question"] == "same").to_numpy() & ~main
    size = float(np.clip(5000 / max(len(rows), 1), 14, 30))
    for (column, code), y in places.items():
        mine = (rows[column] == code).to_numpy()
        for chosen, colour in ((mine & ~same & ~main, _OTHER), (mine & same, BLUE)):
            ax.scatter(
                x[chosen], np.full(chosen.sum(), y), color=colour, marker="|" if len(rows) > 60 else "s", s=size, linewidth=0.8
            )
        ax.scatter(
            x[mine & main], np.full((mine & main).sum(), y), color=ORANGE, edgecolors=INK, marker="D", s=20, linewidth=0.6, zorder=4
        )
    for middle, heading in groups:
        ax.text(1.01, middle, heading, transform=ax.get_yaxis_transform(), fontsize=7, fontweight="bold", va="center", color=INK)
    ax.set_yticks(list(places.values()), names, fontsize=7)
    ax.set_ylim(max(places.values(), default=0) + 0.7, -0.7)
    ax.margins(x=0.01)
    ax.set_xlabel(text.say("figure.rows_by_estimate"))
    ax.grid(axis="y", linewidth=0.4)


def _lines(rows: pd.DataFrame, text: Text) -> tuple[dict[tuple[str, str], float], list[str], list[tuple[float, str]]]:
    """Where each choice has its line, its name, and the middle and heading of each group; known codes first."""
    places, names, groups, at = {}, [], [], 0.0
    for column, known in CHOICES.items():
        there = set(rows[column]) if column in rows else set()
        codes = [c for c in known if c in there] + sorted(there - set(known))
        if len(codes) < 2:
            continue
        for i, code in enumerate(codes):
            places[column, code] = at + i
            key = f"figure.curve.{column}.{code}"
            names.append(text.say(key) if text.has(key) else text.label(column, code))
        groups.append((at + (len(codes) - 1) / 2, text.say(f"figure.curve.{column}.heading")))
        at += len(codes) + _GAP
    return places, names, groups
