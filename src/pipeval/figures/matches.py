"""Figures of a match: balance, support and distributions.

Treated blue, controls grey, matched controls orange; after matching hatched or dashed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..errors import DataError
from ..report.text import Text, read_text
from .axes import BLUE, INK, ORANGE, PALE, QUIET, numbered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LIMITS = (0.10, 0.25)
_MOST = 1500  # points of one strip; more would be one blot
_GOLDEN = (5**0.5 - 1) / 2


def love_plot(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Absolute standardised differences before (hollow), after matching and weighted, with the limits 0.10 and 0.25.

    `table` (`balance`): covariate, kind, sample, smd and, if it is there, name (the words for the covariate).
    """
    text = text or read_text("en")
    sized = table.assign(size=table["smd"].abs()).dropna(subset=["size"])
    wide = sized.pivot_table(index=["kind", "covariate"], columns="sample", values="size", sort=False)
    first = "before" if "before" in wide else next(iter(wide), None)
    wide = wide.sort_values(first, kind="stable") if first else wide
    y = np.arange(len(wide))
    looks = {"before": ("white", BLUE, "o"), "after": (BLUE, BLUE, "D"), "weighted": (ORANGE, ORANGE, "s")}
    for sample, (face, edge, marker) in looks.items():
        if sample in wide:
            look = {"facecolors": face, "edgecolors": edge, "marker": marker, "s": 22, "zorder": 3, "clip_on": False}
            ax.scatter(wide[sample], y, label=text.label("sample", sample), **look)
    ax.hlines(y, wide.min(axis=1), wide.max(axis=1), color=PALE, linewidth=1.5, zorder=2)
    words = text.say("figure.limit", {"low": text.number(_LIMITS[0], "dec2"), "high": text.number(_LIMITS[1], "dec2")})
    for limit in _LIMITS:
        ax.axvline(limit, color=QUIET, linestyle="--", linewidth=0.8, label=words if limit == _LIMITS[0] else None)
    words = table.drop_duplicates("covariate").set_index("covariate").get("name", pd.Series(dtype=object))
    ax.set_yticks(y, [words.get(c) or text.label("covariate", c) for _, c in wide.index], fontsize=7.5)
    ax.set_ylim(-0.7, max(len(wide), 1) - 0.3)
    ax.set_xlim(left=0)
    numbered(ax.xaxis, text)
    ax.set_xlabel(text.say("figure.smd"))
    ax.grid(axis="x")


def overlap(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Treated firms above, comparison firms below (hatched: weighted), by estimated probability.

    `table` (`overlap`): bin_low, bin_high, n_treated, n_control and, if it is there, weight_control.
    """
    text = text or read_text("en")
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
    numbered(ax.xaxis, text)
    ax.set_xlabel(text.say("figure.score"))
    ax.set_ylabel(text.say("figure.firms"))


def densities(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Densities of the score, treated above and controls below the line: filled before matching, outlined after.

    `table` (`score_density_table`): sample, arm, score, density.
    """
    text = text or read_text("en")
    looks = {
        ("before", "treated"): ({"facecolor": BLUE, "alpha": 0.3, "linewidth": 0}, text.label("group", "treated")),
        ("before", "control"): ({"facecolor": PALE, "linewidth": 0}, text.label("group", "comparison")),
        ("after", "treated"): ({"facecolor": "none", "edgecolor": BLUE, "linewidth": 1.4}, text.say("figure.matched_treated")),
        ("after", "control"): (
            {"facecolor": "none", "edgecolor": ORANGE, "hatch": "////", "linewidth": 1.4},
            text.say("figure.matched_control"),
        ),
    }
    for (sample, arm), (look, words) in looks.items():
        rows = table[(table["sample"] == sample) & (table["arm"] == arm)]
        if len(rows):
            sign = 1 if arm == "treated" else -1
            ax.fill_between(rows["score"], 0, sign * rows["density"], label=words, **look)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.margins(x=0)
    numbered(ax.xaxis, text)
    numbered(ax.yaxis, text, size=True)
    ax.set_xlabel(text.say("figure.score"))
    ax.set_ylabel(text.say("figure.density"))


def ecdf_plot(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Distribution functions of one covariate: treated and controls, before and after matching.

    `table` (`ecdf_table`): covariate, sample, arm, value, share. The treated are drawn once where matching kept them all.
    """
    text = text or read_text("en")
    looks = {
        ("before", "control"): (QUIET, ":", text.label("group", "comparison")),
        ("after", "control"): (ORANGE, "--", text.say("figure.matched_control")),
        ("before", "treated"): (BLUE, "-", text.label("group", "treated")),
        ("after", "treated"): (BLUE, "-.", text.say("figure.matched_treated")),
    }
    drawn = []
    for (sample, arm), (colour, dash, words) in looks.items():
        rows = table[(table["sample"] == sample) & (table["arm"] == arm)].sort_values("value")
        share = rows["share"].to_numpy(float)
        if not len(rows) or (arm == "treated" and any(np.allclose(share, other) for other in drawn)):
            continue
        if arm == "treated":
            drawn.append(share)
        ax.step(rows["value"], 100 * share, where="post", color=colour, linestyle=dash, linewidth=1.5, label=words)
    ax.set_ylim(0, 101)
    ax.margins(x=0.01)
    numbered(ax.xaxis, text)
    numbered(ax.yaxis, text)
    ax.set_xlabel(_covariate(table, text))
    ax.set_ylabel(text.say("figure.share_below"))
    ax.grid(axis="y")


def qq_plot(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Quantiles of the treated against those of the controls: hollow before matching, filled after; on the line they agree.

    `table` (`quantile_table`): covariate, sample, level, treated, control.
    """
    text = text or read_text("en")
    looks = {"before": ("white", QUIET, "o"), "after": (BLUE, BLUE, "D")}
    for sample, (face, edge, mark) in looks.items():
        rows = table[table["sample"] == sample]
        ax.scatter(
            rows["control"], rows["treated"], s=16, facecolors=face, edgecolors=edge, marker=mark, linewidth=0.8, zorder=3,
            label=text.label("sample", sample),
        )  # fmt: skip
    values = table[["treated", "control"]].to_numpy(float)
    if not np.isfinite(values).any():
        raise DataError(f"quantiles are drawn of numbers; found none for '{_covariate(table, text)}'. Is an arm empty?")
    low, high = np.nanmin(values), np.nanmax(values)
    room = 0.04 * (high - low or 1.0)
    ax.plot([low - room, high + room], [low - room, high + room], color=INK, linewidth=0.8, zorder=2)
    ax.set_xlim(low - room, high + room)
    ax.set_ylim(low - room, high + room)
    ax.set_aspect("equal")
    for axis in (ax.xaxis, ax.yaxis):
        numbered(axis, text)
    name = _covariate(table, text)
    ax.set_xlabel(text.say("figure.quantile_control", {"name": name}))
    ax.set_ylabel(text.say("figure.quantile_treated", {"name": name}))
    ax.grid()


def score_jitter(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """The score of each firm as a point, in four strips: unmatched and matched treated, matched and unmatched controls.

    `table` (`score_table`): firm_id, arm, status, score, weight. A strip of more than 1,500 firms shows as many, evenly spread over
    their scores; the number beside its name counts them all. A matched control is as large as its weight.
    """
    text = text or read_text("en")
    strips = [("treated", "unmatched"), ("treated", "matched"), ("control", "matched"), ("control", "unmatched")]
    names = []
    for line, (arm, status) in enumerate(strips):
        rows = table[(table["arm"] == arm) & (table["status"] == status)].sort_values(["score", "firm_id"])
        names.append(f"{text.say(f'figure.{status}_{arm}')}\n({text.number(len(rows), 'int')})")
        if len(rows) > _MOST:
            rows = rows.iloc[np.linspace(0, len(rows) - 1, _MOST).round().astype(int)]
        height = (np.arange(len(rows)) * _GOLDEN) % 1 - 0.5  # spreads evenly, and the same each time
        matched = status == "matched"
        colour = (BLUE if arm == "treated" else ORANGE) if matched else QUIET
        size = np.clip(12 * rows["weight"].to_numpy(float), 4, 80) if matched else 10
        face = colour if matched else "none"
        mark = "o" if arm == "treated" else "s"
        ax.scatter(
            rows["score"], line + 0.6 * height, s=size, facecolors=face, edgecolors=colour, marker=mark, alpha=0.6, linewidth=0.6
        )
    ax.hlines(np.arange(3) + 0.5, *ax.get_xlim(), color=PALE, linewidth=0.8)
    ax.margins(x=0)
    ax.set_yticks(range(4), names)
    ax.set_ylim(3.5, -0.5)
    numbered(ax.xaxis, text)
    ax.set_xlabel(text.say("figure.score"))


def _covariate(table: pd.DataFrame, text: Text) -> str:
    return text.label("covariate", table["covariate"].iloc[0]) if len(table) else ""
