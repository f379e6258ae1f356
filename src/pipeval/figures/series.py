"""Figures of what happened, without a claim of effect: raw trends, and sales taken apart into price and quantity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..report.text import Text, read_text
from .axes import BLUE, INK, ORANGE, PALE, QUIET, error_bars, numbered, years

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GROUPS = {"treated": (BLUE, "o", "-"), "matched": (ORANGE, "s", "--"), "comparison": (QUIET, "^", ":")}
_SPLIT = ("value", "price", "laspeyres", "paasche", "volume", "quantity", "mix")
_BARS = ((PALE, "///"), (BLUE, ""))


def trends(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Mean of one outcome by group and year (base year = 100) with its interval.

    `table` (`trends`, one outcome): period, group (treated, matched, comparison: all, unmatched too), mean, conf_low, conf_high.
    """
    text = text or read_text("en")
    shift = {"treated": -0.1, "matched": 0.1}
    for group, (colour, marker, dash) in _GROUPS.items():
        rows = table[table["group"] == group].sort_values("period")
        if rows.empty:
            continue
        x = rows["period"].to_numpy(float) + shift.get(group, 0.0)
        error = error_bars(rows, "mean")
        ax.errorbar(
            x,
            rows["mean"],
            yerr=error,
            color=colour,
            marker=marker,
            linestyle=dash,
            markersize=4,
            linewidth=1.4,
            elinewidth=0.8,
            label=text.label("group", group),
        )
    ax.axhline(100, color=PALE, linewidth=0.8, zorder=0)
    years(ax, table["period"])
    numbered(ax.yaxis, text)
    ax.set_ylabel(text.say("figure.base_100"))
    ax.grid(axis="y")


def price_split(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Change of the value sold and of the prices, quantities and mix that it is made of, a bar a group, in per cent.

    `table` (`prices`): group, value, price, laspeyres, paasche, volume, quantity, mix (each to the base year, 1 = no change; NaN
    where not known). The line on a price runs between the indices of Laspeyres and Paasche. The parts multiply, they do not add.
    """
    text = text or read_text("en")
    table = table.reindex(columns=["group", *_SPLIT], fill_value=np.nan)
    split = table[["quantity", "mix"]].notna().all(axis=None) and len(table)
    parts = ["value", "price", *(("quantity", "mix") if split else ("volume",))]
    groups = list(dict.fromkeys(table["group"]))
    height = 0.8 / max(len(groups), 1)
    for i, (group, (colour, hatch)) in enumerate(zip(groups, _BARS, strict=False)):
        row = table[table["group"] == group].iloc[0]
        y = np.arange(len(parts)) + (i - (len(groups) - 1) / 2) * height
        change = 100 * (row[parts].astype(float).to_numpy() - 1)
        look = {"color": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0, "label": text.label("group", group)}
        ax.barh(y, change, height * 0.9, **look)
        index = 100 * (row[["laspeyres", "paasche"]].astype(float).to_numpy() - 1)
        ax.hlines(y[1], index.min(), index.max(), color=INK, linewidth=1.6, zorder=4)
        for at, value in zip(y, change, strict=True):
            if np.isfinite(value):
                side = {"xytext": (5, 0), "ha": "left"} if value >= 0 else {"xytext": (-5, 0), "ha": "right"}
                look = {"textcoords": "offset points", "va": "center", "fontsize": 7.5, "color": INK}
                ax.annotate(text.number(value, "dec1"), (value, at), **side, **look)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks(np.arange(len(parts)), [text.heading("value_change" if p == "value" else p, "prices") for p in parts])
    ax.invert_yaxis()
    ax.margins(x=0.12)
    numbered(ax.xaxis, text)
    ax.set_xlabel(text.heading("value_change", "baseline_update"))
    ax.grid(axis="x")
