"""Plots of effects: each draws one tidy table on given axes and can be used alone.

Colours and marks are those of `plots`. Without `text` the words are English. With `scale`, the outcome's own (`log`, `poisson`,
`share`, `yes_no` or `level`), logarithms are drawn as per cent and shares as points; without it, estimates are drawn as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .match_plots import _ticks
from .plots import BLUE, INK, ORANGE, PALE, QUIET
from .text import Text, read_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ENDS = ("conf_low", "conf_high", "band_low", "band_high")
_CHECKS = ("headline", "business_clusters", "response_weighted", "detrended", "lee", "lee_tightened", "without_business_cluster")
_FAR = 3.0  # a row that reaches this many times as far as the middle one leaves the axis, and its numbers are written


def shown(values: pd.Series, scale: str) -> pd.Series:
    """Estimates as they are drawn: per cent of logarithms and ratios, points of shares, anything else as it is.

    >>> shown(pd.Series([0.0953]), "log").round(2).item(), shown(pd.Series([0.02]), "share").item()
    (10.0, 2.0)
    """
    values = pd.to_numeric(values, errors="coerce")
    if scale in ("log", "poisson"):
        return 100 * np.expm1(values)
    return 100 * values if scale in ("share", "yes_no") else values


def effect_axis(scale: str, text: Text) -> str:
    """The words along an axis of effects on that scale.

    >>> effect_axis("log", read_text("en")), effect_axis("yes_no", read_text("es"))
    ('Effect (%)', 'Efecto (puntos porcentuales)')
    """
    if scale in ("share", "yes_no"):
        return text.say("figure.effect_points")
    return text.say({"": "figure.effect_log", "level": "figure.effect_unit"}.get(scale, "figure.effect_share"))


def event_study(table: pd.DataFrame, ax: Axes, text: Text | None = None, scale: str = "") -> None:
    """Effects by years since entry: thin bars pointwise, pale bars simultaneous, hollow before entry.

    `table`: event_time, estimate, conf_low, conf_high, band_low, band_high (the last two may be missing).
    """
    text = text or read_text("en")
    rows = table[table["event_time"].notna() & table["estimate"].notna()].sort_values("event_time")
    rows = rows.assign(**{c: shown(rows[c], scale) for c in rows if c in _ENDS or c == "estimate"})
    x = rows["event_time"].to_numpy(float)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.axvline(-0.5, color=QUIET, linewidth=0.8, linestyle="--")
    if {"band_low", "band_high"} <= set(rows.columns):
        ax.vlines(x, rows["band_low"], rows["band_high"], color=PALE, linewidth=7, label=text.say("figure.simultaneous"))
    ax.vlines(x, rows["conf_low"], rows["conf_high"], color=BLUE, linewidth=1.4, label=text.say("figure.pointwise"))
    for when, face in ((x < 0, "white"), (x >= 0, BLUE)):
        ax.scatter(x[when], rows["estimate"][when], facecolors=face, edgecolors=BLUE, s=28, zorder=3)
    ax.set_xticks(np.unique(x).astype(int))
    _ticks(ax.yaxis, text)
    ax.set_xlabel(text.say("figure.event_time"))
    ax.set_ylabel(effect_axis(scale, text))
    ax.grid(axis="y")


def forest(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Effects in per cent (points for shares) with intervals; a bar at each target, a hollow diamond at what could be detected.

    `table`: name, effect, effect_low, effect_high, target (shares; NaN where there is none) and, if it is there, mde, with the sign
    that is sought. An interval that would make the others unreadable ends in an arrow, its numbers beside it.
    """
    text = text or read_text("en")
    rows = table.iloc[::-1].reset_index(drop=True)
    columns = [c for c in ("effect", "effect_low", "effect_high", "target", "mde") if c in rows]
    drawn = 100 * rows[columns].apply(pd.to_numeric, errors="coerce")
    low, high = _limits(drawn)
    y = np.arange(len(rows))
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.hlines(y, drawn["effect_low"].clip(low, high), drawn["effect_high"].clip(low, high), color=BLUE, linewidth=1.8)
    _points(ax, drawn["effect"], y, (low, high), {"color": BLUE, "s": 34, "zorder": 3})
    marks = {"target": {"color": ORANGE, "marker": "|", "s": 220, "linewidth": 2.4, "zorder": 4}}
    marks["mde"] = {"facecolors": "white", "edgecolors": QUIET, "marker": "D", "s": 26, "linewidth": 1.2, "zorder": 3}
    for column, look in marks.items():
        if column in drawn and drawn[column].notna().any():
            _points(ax, drawn[column], y, (low, high), look | {"label": text.say(f"figure.{column}")})
    for at, row in zip(y, drawn.to_dict("records"), strict=True):
        sides = ((row["effect_low"] < low, low, "<"), (row["effect_high"] > high, high, ">"))
        past = [(end, arrow) for beyond, end, arrow in sides if beyond]
        for end, arrow in past:
            ax.scatter(end, at, color=BLUE, marker=arrow, s=30, zorder=3, clip_on=False)
        if past:
            ends = {"low": text.number(row["effect_low"], "int"), "high": text.number(row["effect_high"], "int")}
            _beside(ax, f"{text.number(row['effect'], 'int')} ({text.say('interval', ends)})", (high, at))
    _named(ax, rows["name"], y, (low, high), text)
    ax.set_xlabel(text.say("figure.effect_percent"))


def detectable(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Minimum detectable effect against the target: a dark bar reaches no further than its target, a hatched one does.

    `table`: name, mde, target (shares), detectable and, if it is there, mde_simulated, which is a hollow diamond. A bar that would
    make the others unreadable is cut, its number beside it.
    """
    text = text or read_text("en")
    rows = table.iloc[::-1].reset_index(drop=True)
    columns = [c for c in ("mde", "target", "mde_simulated") if c in rows]
    drawn = 100 * rows[columns].apply(pd.to_numeric, errors="coerce")
    high = _limits(drawn)[1]
    y = np.arange(len(rows))
    for flag, look in ((True, {"color": BLUE}), (False, {"facecolor": PALE, "edgecolor": QUIET, "hatch": "///"})):
        chosen = (rows["detectable"] == flag).to_numpy()
        if chosen.any():
            words = f"{text.heading('detectable')}: {text.say('yes' if flag else 'no')}"
            ax.barh(y[chosen], drawn["mde"][chosen].clip(upper=high), height=0.55, linewidth=0.6, label=words, **look)
    target = {"color": ORANGE, "marker": "|", "s": 260, "linewidth": 2.4, "zorder": 4, "label": text.say("figure.target")}
    _points(ax, drawn["target"].abs(), y, (0, high), target)
    if "mde_simulated" in drawn and drawn["mde_simulated"].notna().any():
        look = {"facecolors": "white", "edgecolors": INK, "marker": "D", "s": 30, "linewidth": 1.2, "zorder": 5}
        _points(ax, drawn["mde_simulated"], y, (0, high), look | {"label": text.say("figure.mde_simulated")})
    for at, value in zip(y, drawn["mde"], strict=True):
        if value > high:
            _beside(ax, text.number(value, "int"), (high, at))
    _named(ax, rows["name"], y, (0, high), text)
    ax.set_xlabel(text.say("figure.mde_percent"))


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
    _ticks(ax.xaxis, text)
    ax.set_xlabel(effect_axis(scale, text))
    ax.grid(axis="x")


def _check_name(row: dict, text: Text) -> str:
    bound = text.number(row["bound"], "dec1") if np.isfinite(row["bound"]) else ""
    return text.say(f"figure.sensitivity.{row['row']}", {"bound": bound})


def _limits(drawn: pd.DataFrame) -> tuple[float, float]:
    """The ends of an axis that the rows reaching far beyond the others do not stretch."""
    reach = drawn.abs().max(axis=1)
    near = drawn[~(reach > _FAR * reach.median())]
    low, high = min(near.min().min(), 0.0), max(near.max().max(), 0.0)
    room = 0.06 * (high - low)
    return (low - room if low < 0 else 0.0), high + room


def _points(ax: Axes, values: pd.Series, y: np.ndarray, limits: tuple[float, float], look: dict) -> None:
    """The values that lie on the axis, as points."""
    inside = values.between(*limits).to_numpy()
    ax.scatter(values[inside], y[inside], **look)


def _beside(ax: Axes, words: str, at: tuple[float, float]) -> None:
    ax.annotate(words, at, (6, 0), textcoords="offset points", va="center", fontsize=7.5, annotation_clip=False)


def _named(ax: Axes, names: pd.Series, y: np.ndarray, limits: tuple[float, float], text: Text) -> None:
    ax.set_yticks(y, names)
    ax.set_ylim(-0.6, len(y) - 0.4)
    if limits[1] > limits[0]:
        ax.set_xlim(*limits)
    _ticks(ax.xaxis, text)
    ax.grid(axis="x")
