"""The flow of firms drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..report.text import Text, read_text
from .axes import BLUE, INK, ORANGE, PALE, SKY, numbered

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def sample_flow(table: pd.DataFrame, ax: Axes, text: Text | None = None) -> None:
    """Firms left at each stage, a row a stage and a bar an arm. `table` (`sample_flow`): arm, stage, n."""
    text = text or read_text("en")
    wide = table.pivot_table(index="stage", columns="arm", values="n", sort=False, aggfunc="sum", min_count=1)
    wide = wide.loc[[s for s in dict.fromkeys(table["stage"]) if s in wide.index]]
    height = 0.8 / max(len(wide.columns), 1)
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
        ax.bar_label(bars, [text.number(v, "int") if np.isfinite(v) else "" for v in wide[arm]], padding=3, fontsize=7.5, color=INK)
    ax.set_yticks(np.arange(len(wide)), [text.label("stage", s) for s in wide.index])
    ax.invert_yaxis()
    ax.set_xlabel(text.say("figure.firms"))
    numbered(ax.xaxis, text)
    ax.margins(x=0.08)
    ax.grid(axis="x")
