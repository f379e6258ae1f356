"""What could move a headline effect, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..report.text import Text, read_text
from .axes import BLUE, INK, ORANGE, PALE, QUIET, cut, numbered
from .effects import effect_axis, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHECKS = ("headline", "business_clusters", "response_weighted", "detrended", "lee", "lee_tightened", "without_business_cluster")


def sensitivity_rows(tables: Mapping[str, pd.DataFrame], outcome: str) -> pd.DataFrame:
    """One row a way of doubting the headline of one outcome, in the order in which they are drawn.

    `tables` holds any of `effects`, `few_clusters`, `attrition_bounds`, `trend_power`, `left_out`, `honest`. Columns `row` (a code:
    headline, business_clusters (CR2), response_weighted, detrended, lee, lee_tightened, without_business_cluster, honest), `bound`
    (of an honest set), `estimate, conf_low, conf_high`, `lower, upper` (bounds, or the range over what was left out).
    """
    part = {name: t[t["outcome"] == outcome] for name, t in tables.items() if "outcome" in t}
    found = []
    picks = (
        ("effects", "headline", True, "headline"),
        ("few_clusters", "kind", "CR2", "business_clusters"),
        ("attrition_bounds", "row", "response_weighted", "response_weighted"),
        ("attrition_bounds", "row", "lee", "lee"),
        ("attrition_bounds", "row", "lee_tightened", "lee_tightened"),
        ("trend_power", "row", "detrended", "detrended"),
    )
    for name, column, value, row in picks:
        if column in part.get(name, ()):
            found.append(part[name][part[name][column] == value].head(1).assign(row=row))
    if "by" in part.get("left_out", ()):
        rows = part["left_out"].query("by == 'business_cluster'")["estimate"].dropna()
        if len(rows):
            found.append(pd.DataFrame([{"row": "without_business_cluster", "lower": rows.min(), "upper": rows.max()}]))
    if "kind" in part.get("honest", ()):
        sets = part["honest"].query("kind == 'relative_magnitude'").sort_values("bound")
        found.append(sets[["bound", "conf_low", "conf_high"]].assign(row="honest"))
    columns = ["row", "bound", "estimate", "conf_low", "conf_high", "lower", "upper"]
    table = pd.concat([f.reindex(columns=columns).astype(dict.fromkeys(columns[1:], float)) for f in found if len(f)] or [
        pd.DataFrame(columns=columns)], ignore_index=True)  # fmt: skip
    table = table.dropna(subset=columns[2:], how="all")
    order = {name: i for i, name in enumerate((*_CHECKS, "honest"))}
    return table.sort_values("row", key=lambda r: r.map(order), kind="stable", ignore_index=True)


def sensitivity(table: pd.DataFrame, ax: Axes, text: Text | None = None, scale: str = "", target: float | None = None) -> None:
    """The headline and every way of doubting it on one axis: intervals as lines, bounds as bars, honest sets dashed.

    `table`: as `sensitivity_rows`. `target` is the relevant effect, a share (for `level`, in the outcome's unit).
    """
    text = text or read_text("en")
    rows = table.iloc[::-1].reset_index(drop=True)
    rows = rows.assign(**{c: shown(rows[c], scale) for c in ("estimate", "conf_low", "conf_high", "lower", "upper")})
    y = np.arange(len(rows), dtype=float)
    is_set = (rows["row"] == "honest").to_numpy()
    main = (rows["row"] == "headline").to_numpy()
    ax.axvline(0, color=INK, linewidth=0.8)
    if target is not None:
        at = target if scale == "level" else 100 * target
        ax.axvline(at, color=ORANGE, linewidth=1.4, linestyle="--", label=text.say("figure.target"))
    if main.any():
        ax.axvspan(*rows.loc[main, ["conf_low", "conf_high"]].iloc[0], color=PALE, alpha=0.3, linewidth=0, zorder=0)
    bars = rows["lower"].notna().to_numpy()
    looks = (
        (~is_set, {"color": BLUE, "linewidth": 1.6}, "figure.interval"),
        (is_set, {"color": QUIET, "linewidth": 1.6, "linestyle": (0, (3, 1.5))}, "figure.honest_set"),
    )
    for chosen, look, words in looks:
        chosen = chosen & rows["conf_low"].notna().to_numpy()
        if chosen.any():
            ax.hlines(y[chosen], rows["conf_low"][chosen], rows["conf_high"][chosen], label=text.say(words), **look)
    if bars.any():
        ends = (rows["upper"] - rows["lower"])[bars]
        ax.barh(y[bars], ends, left=rows["lower"][bars], height=0.42, facecolor=PALE, edgecolor=BLUE, linewidth=1, zorder=3,
                label=text.say("figure.bounds"))  # fmt: skip
    ax.scatter(rows["estimate"][main], y[main], color=BLUE, marker="D", s=34, zorder=4)
    ax.scatter(rows["estimate"][~main], y[~main], facecolors="white", edgecolors=BLUE, s=28, zorder=4)
    ax.set_yticks(y, [_check_name(row, text) for row in rows.to_dict("records")])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    numbered(ax.xaxis, text)
    ax.set_xlabel(effect_axis(scale, text))
    ax.grid(axis="x")


def honest_sets(table: pd.DataFrame, ax: Axes, text: Text | None = None, scale: str = "") -> None:
    """Interval of the effect against how far trends may have departed from parallel, and where it first holds zero.

    `table` (`honest`, one outcome): kind, bound, estimate, conf_low, conf_high, breakdown (NaN where it is not known). The sets of
    kind `relative_magnitude` are drawn: a bound of 1 allows departures as large as the largest between two years before entry.
    """
    text = text or read_text("en")
    rows = table[(table["kind"] == "relative_magnitude") & table["conf_low"].notna()].sort_values("bound")
    rows = rows.assign(x=rows["bound"], **{c: shown(rows[c], scale) for c in ("estimate", "conf_low", "conf_high")})
    ax.axhline(0, color=INK, linewidth=0.8)
    if len(rows):
        ax.axhline(rows["estimate"].iloc[0], color=BLUE, linewidth=1, linestyle=":", label=text.say("figure.headline"))
        look = {"color": QUIET, "linewidth": 1.8, "linestyle": (0, (3, 1.5))}
        ax.vlines(rows["x"], rows["conf_low"], rows["conf_high"], label=text.say("figure.honest_set"), **look)
        for end in ("conf_low", "conf_high"):
            ax.scatter(rows["x"], rows[end], color=QUIET, marker="_", s=60, linewidth=1.6)
    known = rows["breakdown"].dropna() if "breakdown" in rows else rows["x"].iloc[:0]
    known = known[known.astype(float) <= 2 * max([1.0, *rows["x"]])]  # further out every interval drawn excludes zero
    if len(known) and known.iloc[0] > 0:
        ax.axvline(known.iloc[0], color=ORANGE, linewidth=1.2, linestyle="--", label=text.heading("breakdown"))
    cut(ax, rows[["x", "estimate", "conf_low", "conf_high"]].astype(float), {"color": QUIET}, text)
    ax.set_xlim(0, max([1.0, *rows["x"], *known]) * 1.15)
    ax.set_xticks([0, *rows["x"]], [text.number(b, "dec1") for b in (0, *rows["x"])])
    numbered(ax.yaxis, text)
    ax.set_xlabel(text.label("kind", "relative_magnitude"))
    ax.set_ylabel(effect_axis(scale, text))
    ax.grid(axis="y")


def _check_name(row: dict, text: Text) -> str:
    bound = text.number(row["bound"], "dec1") if np.isfinite(row["bound"]) else ""
    return text.say(f"figure.sensitivity.{row['row']}", {"bound": bound})
