"""Figures of money and schedule.

What was planned or owed is grey and dotted, what was done blue, what was spent orange and dashed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..report.text import Text, read_text
from .axes import BLUE, ORANGE, PALE, QUIET, days, numbered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PLAN = {"color": QUIET, "linestyle": ":", "linewidth": 1.6}
_DONE = {"color": BLUE, "linestyle": "-", "linewidth": 1.8}
_SPENT = {"color": ORANGE, "linestyle": "--", "linewidth": 1.6}


def disbursement(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Cumulative disbursement in million US dollars, a stepped line a source.

    `table` (`disbursement`): on, source, cumulative_usd.
    """
    text = text or read_text("en")
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
    _millions(ax, table["on"], text)


def s_curve(table: pd.DataFrame, ax: Axes, text: Text | None = None, component: str = "total") -> None:
    """Planned value, earned value and actual cost over time, in per cent of the whole plan; what was done ends at the evaluation.

    `table` (`monitoring.progress.progress_path`): on, component, share_planned, share_earned, share_spent.
    """
    text = text or read_text("en")
    rows = table[table["component"].astype(str) == component]
    rows = rows.assign(on=pd.to_datetime(rows["on"])).sort_values("on")
    lines = {
        "share_planned": (_PLAN, "planned_value"),
        "share_earned": (_DONE, "earned_value"),
        "share_spent": (_SPENT, "actual_cost"),
    }
    for column, (look, words) in lines.items():
        known = rows[rows[column].notna()]
        if len(known):
            ax.plot(known["on"], 100 * known[column], label=text.say(f"figure.{words}"), **look)
    done = rows[rows["share_earned"].notna()]
    if len(done):
        ax.axvline(done["on"].iloc[-1], color=PALE, linewidth=0.8, zorder=0)
    ax.set_ylim(bottom=0)
    days(ax, rows["on"], text)
    _percent(ax, text.say("figure.percent_of_plan"), text)


def cofinancing_path(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """The share of services' cost that the programme paid by quarter, beside the schedule; a larger dot is a dearer quarter.

    `table` (`monitoring.cofinancing.cofinancing_path`): period_end, scheduled, rate, total_usd.
    """
    text = text or read_text("en")
    rows = table.assign(on=pd.to_datetime(table["period_end"])).sort_values("on")
    ax.plot(rows["on"], 100 * rows["scheduled"], label=text.say("figure.scheduled_rate"), **_PLAN)
    known = rows[rows["rate"].notna()]
    ax.plot(known["on"], 100 * known["rate"], color=BLUE, linewidth=1.0, zorder=2)
    largest = known["total_usd"].max()
    size = 12 + 70 * known["total_usd"] / largest if largest > 0 else 30
    ax.scatter(known["on"], 100 * known["rate"], s=size, color=BLUE, zorder=3, label=text.say("figure.realised_rate"))
    ax.set_ylim(0, 100)
    days(ax, rows["on"], text)
    _percent(ax, text.say("figure.percent_of_cost"), text)


def counterpart_path(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """What the counterpart owed pari passu and what it paid, in million US dollars; the gap is shaded where it lies too far behind.

    `table` (`monitoring.counterpart.counterpart_path`): on, due_usd, paid_usd, behind.
    """
    text = text or read_text("en")
    rows = table.assign(on=pd.to_datetime(table["on"])).sort_values("on")
    due, paid = rows["due_usd"] / 1e6, rows["paid_usd"] / 1e6
    behind = rows["behind"].astype(str).isin(["True", "1", "1.0"]).to_numpy()
    if behind.any():
        # each step by hand: a masked stepped filling stops at its last day instead of the next one
        on, low, high = (np.repeat(v.to_numpy(), 2) for v in (rows["on"], paid, due))
        where = np.repeat(behind, 2)[:-1]
        look = {"color": PALE, "alpha": 0.6, "linewidth": 0, "label": text.say("figure.behind")}
        ax.fill_between(on[1:], low[:-1], high[:-1], where=where, **look)
    ax.step(rows["on"], due, where="post", label=text.say("figure.counterpart_due"), **_PLAN)
    ax.step(rows["on"], paid, where="post", label=text.say("figure.counterpart_paid"), **_DONE)
    _millions(ax, table["on"], text)


def _millions(ax: Axes, on: pd.Series, text: Text) -> None:
    """Million dollars from nothing upwards, and the days."""
    ax.set_ylim(bottom=0)
    numbered(ax.yaxis, text)
    days(ax, on, text)
    ax.set_ylabel(text.say("figure.disbursed"))
    ax.grid(axis="y")


def _percent(ax: Axes, words: str, text: Text) -> None:
    ax.yaxis.set_major_formatter(lambda v, _: text.number(v, "int"))
    ax.set_ylabel(words)
    ax.grid(axis="y")
