"""Figures of effects.

With `scale`, the outcome's own (`log`, `poisson`, `share`, `yes_no` or `level`), logarithms are drawn as per cent and shares as
points; without it, estimates are drawn as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..report.text import Text, read_text
from .axes import BLUE, INK, ORANGE, PALE, QUIET, beside, cut, error_bars, limits_of, named, numbered, points_within

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ENDS = ("conf_low", "conf_high", "band_low", "band_high")
_DOSES = {"low": 0, "middle": 1, "high": 2}


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

    `table`: event_time, estimate, conf_low, conf_high, band_low, band_high (the last two may be missing). An interval that would
    make the others unreadable ends in an arrow with its number.
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
    drawn = [c for c in ("estimate", *_ENDS) if c in rows]
    cut(ax, rows[drawn].astype(float).assign(x=x), {"color": BLUE}, text)
    ax.set_xticks(np.unique(x).astype(int), [text.number(t, "int") for t in np.unique(x)])
    numbered(ax.yaxis, text)
    ax.set_xlabel(text.say("figure.event_time"))
    ax.set_ylabel(effect_axis(scale, text))
    ax.grid(axis="y")


def dose_curve(table: pd.DataFrame, ax: Axes, text: Text | None = None, scale: str = "") -> None:
    """Effects by amount of support received with their intervals, the number of firms below, and the trend over the amounts.

    `table` (`dose`, one outcome): division (`dose` for the amounts, `trend` for the line), group (low, middle, high), estimate,
    conf_low, conf_high, n_treated. The line passes through the mean of the amounts; it is left out unless all three are known.
    """
    text = text or read_text("en")
    rows = table[(table["division"] == "dose") & table["estimate"].notna()]
    rows = rows.assign(x=rows["group"].map(_DOSES)).dropna(subset=["x"]).sort_values("x")
    values = rows.assign(**{c: shown(rows[c], scale) for c in ("estimate", "conf_low", "conf_high")})
    ax.axhline(0, color=INK, linewidth=0.8)
    if len(rows):
        look = {"color": BLUE, "marker": "o", "linestyle": "none", "markersize": 5.5, "elinewidth": 1.6}
        ax.errorbar(values["x"], values["estimate"], error_bars(values, "estimate"), label=text.say("figure.interval"), **look)
    slope = table.loc[table["division"] == "trend", "estimate"].dropna()
    if len(rows) == len(_DOSES) and len(slope):
        line = rows["estimate"].mean() + slope.iloc[0] * (rows["x"] - 1)
        look = {"color": ORANGE, "linestyle": "--", "linewidth": 1.4, "label": text.label("division", "trend")}
        ax.plot(rows["x"], shown(line, scale), **look)
    cut(ax, values[["x", "estimate", "conf_low", "conf_high"]].astype(float), {"color": BLUE}, text)
    names = [f"{text.label('group', g)}\n({text.number(n, 'int')})" for g, n in zip(rows["group"], rows["n_treated"], strict=True)]
    ax.set_xticks(rows["x"], names)
    ax.set_xlim(-0.5, len(_DOSES) - 0.5)
    numbered(ax.yaxis, text)
    ax.set_xlabel(text.label("division", "dose"))
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
    low, high = limits_of(drawn)
    y = np.arange(len(rows))
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.hlines(y, drawn["effect_low"].clip(low, high), drawn["effect_high"].clip(low, high), color=BLUE, linewidth=1.8)
    points_within(ax, drawn["effect"], y, (low, high), {"color": BLUE, "s": 34, "zorder": 3})
    marks = {"target": {"color": ORANGE, "marker": "|", "s": 220, "linewidth": 2.4, "zorder": 4}}
    marks["mde"] = {"facecolors": "white", "edgecolors": QUIET, "marker": "D", "s": 26, "linewidth": 1.2, "zorder": 3}
    for column, look in marks.items():
        if column in drawn and drawn[column].notna().any():
            points_within(ax, drawn[column], y, (low, high), look | {"label": text.say(f"figure.{column}")})
    for at, row in zip(y, drawn.to_dict("records"), strict=True):
        sides = ((row["effect_low"] < low, low, "<"), (row["effect_high"] > high, high, ">"))
        past = [(end, arrow) for beyond, end, arrow in sides if beyond]
        for end, arrow in past:
            ax.scatter(end, at, color=BLUE, marker=arrow, s=30, zorder=3, clip_on=False)
        if past:
            ends = {"low": text.number(row["effect_low"], "int"), "high": text.number(row["effect_high"], "int")}
            beside(ax, f"{text.number(row['effect'], 'int')} ({text.say('interval', ends)})", (high, at))
    named(ax, rows["name"], y, (low, high), text)
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
    high = limits_of(drawn)[1]
    y = np.arange(len(rows))
    for flag, look in ((True, {"color": BLUE}), (False, {"facecolor": PALE, "edgecolor": QUIET, "hatch": "///"})):
        chosen = (rows["detectable"] == flag).to_numpy()
        if chosen.any():
            words = f"{text.heading('detectable')}: {text.say('yes' if flag else 'no')}"
            ax.barh(y[chosen], drawn["mde"][chosen].clip(upper=high), height=0.55, linewidth=0.6, label=words, **look)
    target = {"color": ORANGE, "marker": "|", "s": 260, "linewidth": 2.4, "zorder": 4, "label": text.say("figure.target")}
    points_within(ax, drawn["target"].abs(), y, (0, high), target)
    if "mde_simulated" in drawn and drawn["mde_simulated"].notna().any():
        look = {"facecolors": "white", "edgecolors": INK, "marker": "D", "s": 30, "linewidth": 1.2, "zorder": 5}
        points_within(ax, drawn["mde_simulated"], y, (0, high), look | {"label": text.say("figure.mde_simulated")})
    for at, value in zip(y, drawn["mde"], strict=True):
        if value > high:
            beside(ax, text.number(value, "int"), (high, at))
    named(ax, rows["name"], y, (0, high), text)
    ax.set_xlabel(text.say("figure.mde_percent"))
