"""Plots: each draws one tidy table on given axes and can be used alone.

Axes carry their units, every estimate its interval. The colours are Okabe and Ito's (2008), told apart by colour-blind readers;
markers, dashes and lightness tell them apart in grey.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .text import Text, read_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET = "#1b2733", "#5a6772"
BLUE, ORANGE, GREEN, SKY, PALE = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#c9d2da"
_GROUPS = {"treated": (BLUE, "o", "-"), "matched": (ORANGE, "s", "--"), "comparison": (QUIET, "^", ":")}


def trends(table: pd.DataFrame, ax: Axes, text: Text) -> None:
    """Mean of one outcome by group and year (base year = 100) with its interval.

    `table`: period, group, mean, conf_low, conf_high.
    """
    shift = {"treated": -0.06, "matched": 0.06}
    for group, (colour, marker, dash) in _GROUPS.items():
        rows = table[table["group"] == group].sort_values("period")
        if rows.empty:
            continue
        x = rows["period"].to_numpy(float) + shift.get(group, 0.0)
        error = _error(rows, "mean")
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
    _years(ax, table["period"])
    ax.set_ylabel(text.say("figure.base_100"))
    ax.grid(axis="y")


def love_plot(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Absolute standardised differences before (hollow), after matching and weighted, with the limits 0.10 and 0.25.

    `table`: covariate, kind, sample, smd. Without `text` the words are English.
    """
    text = text or read_text("en")
    wide = table.assign(size=table["smd"].abs()).pivot_table(
        index=["kind", "covariate"], columns="sample", values="size", sort=False
    )
    order = wide.get("before", wide.iloc[:, 0]).sort_values().index
    wide = wide.loc[order]
    y = np.arange(len(wide))
    looks = {"before": ("white", BLUE, "o"), "after": (BLUE, BLUE, "D"), "weighted": (ORANGE, ORANGE, "s")}
    for sample, (face, edge, marker) in looks.items():
        if sample in wide:
            ax.scatter(
                wide[sample], y, facecolors=face, edgecolors=edge, marker=marker, s=22, zorder=3, label=text.label("sample", sample)
            )
    ax.hlines(y, wide.min(axis=1), wide.max(axis=1), color=PALE, linewidth=1.5, zorder=2)
    for limit in (0.10, 0.25):
        ax.axvline(limit, color=QUIET, linestyle="--", linewidth=0.8, label=text.say("figure.limit") if limit == 0.10 else None)
    words = table.drop_duplicates("covariate").set_index("covariate").get("name", pd.Series(dtype=object))
    ax.set_yticks(y, [words.get(c) or text.label("covariate", c) for _, c in wide.index], fontsize=7.5)
    ax.set_ylim(-0.7, len(wide) - 0.3)
    ax.set_xlim(left=0)
    ax.set_xlabel(text.say("figure.smd"))
    ax.grid(axis="x")


def overlap(table: pd.DataFrame, ax: Axes, text: Text) -> None:
    """Treated firms above, comparison firms below (hatched: weighted), by estimated probability.

    `table`: bin_low, bin_high, n_treated, n_control, weight_control.
    """
    width, low = table["bin_high"] - table["bin_low"], table["bin_low"]
    ax.bar(low, table["n_treated"], width, align="edge", color=BLUE, edgecolor="white", label=text.label("group", "treated"))
    ax.bar(low, -table["n_control"], width, align="edge", color=PALE, edgecolor="white", label=text.label("group", "comparison"))
    if "weight_control" in table and table["weight_control"].notna().any():
        ax.bar(
            low,
            -table["weight_control"],
            width,
            align="edge",
            facecolor="none",
            edgecolor=ORANGE,
            hatch="////",
            linewidth=1,
            label=text.say("figure.control_weighted"),
        )
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.yaxis.set_major_formatter(lambda v, _: text.number(abs(v), "int"))
    ax.set_xlabel(text.say("figure.score"))
    ax.set_ylabel(text.say("figure.firms"))


def sample_flow(table: pd.DataFrame, ax: Axes, text: Text) -> None:
    """Firms left at each stage, a row a stage and a bar an arm. `table`: arm, stage, n."""
    wide = table.pivot_table(index="stage", columns="arm", values="n", sort=False)
    wide = wide.loc[list(dict.fromkeys(table["stage"]))]
    height = 0.8 / len(wide.columns)
    looks = [(BLUE, ""), (PALE, ""), (ORANGE, "..."), (SKY, "///")]
    for i, arm in enumerate(wide.columns):
        colour, hatch = looks[i % len(looks)]
        y = np.arange(len(wide)) + (i - (len(wide.columns) - 1) / 2) * height
        bars = ax.barh(
            y,
            wide[arm],
            height=height * 0.92,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            linewidth=0,
            label=text.label("arm", arm),
        )
        ax.bar_label(bars, [text.number(v, "int") for v in wide[arm]], padding=3, fontsize=7.5, color=INK)
    ax.set_yticks(np.arange(len(wide)), [text.label("stage", s) for s in wide.index])
    ax.invert_yaxis()
    ax.set_xlabel(text.say("figure.firms"))
    ax.margins(x=0.08)
    ax.grid(axis="x")


def export_status(table: pd.DataFrame, ax: Axes, text: Text) -> None:
    """Share of firms by export status at the start and at the end, a pair of bars an arm. `table`: arm, from, to, n."""
    looks = {
        "direct": (BLUE, ""),
        "indirect": (SKY, "///"),
        "none": (PALE, ""),
        "closed": (QUIET, "xx"),
        "unknown": ("white", ".."),
    }
    codes = [c for c in looks if c in set(table["from"]) | set(table["to"])]
    bars, names = [], []
    for arm, rows in table.groupby("arm", sort=False):
        for column, word in (("from", "figure.initial"), ("to", "figure.final_state")):
            counts = rows.groupby(column)["n"].sum()
            bars.append(100 * counts / counts.sum())
            names.append(f"{text.label('arm', arm)}\n{text.say(word)}")
    x = np.arange(len(bars)) + np.repeat(np.arange(len(bars) // 2), 2) * 0.5
    floor = np.zeros(len(bars))
    for code in codes:
        heights = np.array([b.get(code, 0.0) for b in bars])
        colour, hatch = looks[code]
        ax.bar(
            x,
            heights,
            0.8,
            bottom=floor,
            color=colour,
            hatch=hatch,
            edgecolor=QUIET if colour == "white" else "white",
            linewidth=0.5,
            label=text.label("to", code),
        )
        for at, base, h in zip(x, floor, heights, strict=True):
            if h >= 5:
                ax.text(
                    at,
                    base + h / 2,
                    text.number(h, "int"),
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color="white" if code == "direct" else INK,
                    bbox={"facecolor": colour, "edgecolor": "none", "pad": 1},
                )
        floor += heights
    ax.set_xticks(x, names, fontsize=9 if len(names) < 5 else 7)
    ax.set_ylabel(text.say("figure.share_percent"))
    ax.set_ylim(0, 100)


def disbursement(table: pd.DataFrame, ax: Axes, text: Text) -> None:
    """Cumulative disbursement in million US dollars, a stepped line a source. `table`: on, source, cumulative_usd."""
    looks = [(BLUE, "-"), (ORANGE, "--"), (QUIET, ":")]
    for i, (source, rows) in enumerate(table.groupby("source", sort=False)):
        rows = rows.assign(on=pd.to_datetime(rows["on"])).sort_values("on")
        colour, dash = looks[i % len(looks)]
        ax.step(
            rows["on"],
            rows["cumulative_usd"] / 1e6,
            where="post",
            color=colour,
            linestyle=dash,
            linewidth=1.8,
            label=text.label("source", source),
        )
    ax.yaxis.set_major_formatter(lambda v, _: text.number(v, "dec1"))
    ax.set_ylabel(text.say("figure.disbursed"))
    ax.set_ylim(bottom=0)
    ax.grid(axis="y")


def _error(rows: pd.DataFrame, middle: str) -> np.ndarray:
    return np.vstack([rows[middle] - rows["conf_low"], rows["conf_high"] - rows[middle]]).clip(min=0)


def _years(ax: Axes, periods: pd.Series) -> None:
    years = np.unique(periods.to_numpy(float)).astype(int)
    ax.set_xticks(years, [str(y) for y in years])
