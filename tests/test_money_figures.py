"""Plots of money and schedule: what stands where, and with which words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from axes_fixture import axes
from matplotlib.colors import to_hex
from matplotlib.dates import num2date

from pipeval.figures import cofinancing_path, counterpart_path, s_curve
from pipeval.figures.axes import BLUE, ORANGE, QUIET
from pipeval.report.text import languages, read_text


def line(ax, colour: str) -> tuple[list[str], list[float]]:
    """Days and heights of the line of one colour."""
    own = next(o for o in ax.lines if to_hex(o.get_color()) == colour.lower() and not o.get_label().startswith("_"))
    days = [str(d)[:10] for d in np.asarray(own.get_xdata(), dtype="datetime64[D]")]
    return days, np.asarray(own.get_ydata(), dtype=float).tolist()


PROGRESS = pd.DataFrame({
    "on": ["2004-03-31", "2004-01-31", "2004-02-29", "2004-01-31"], "component": ["total", "total", "total", "1"],
    "share_planned": [1.0, 0.25, 0.5, 0.9], "share_earned": [np.nan, 0.2, 0.35, 0.9], "share_spent": [np.nan, 0.3, 0.4, 0.9],
})  # fmt: skip
COFINANCED = pd.DataFrame({
    "period_end": ["2003-09-30", "2003-12-31", "2004-03-31"], "scheduled": [0.68, 0.65, 0.62], "rate": [0.6, np.nan, 0.5],
    "total_usd": [100.0, 0.0, 400.0],
})  # fmt: skip
OWED = pd.DataFrame({
    "on": ["2004-01-01", "2004-02-01", "2004-03-01"], "due_usd": [1e6, 2e6, 2e6], "paid_usd": [5e5, 5e5, 2e6],
    "behind": [False, True, False],
})  # fmt: skip


def test_the_plan_goes_on_and_what_was_done_ends_at_the_evaluation():
    ax = axes()
    s_curve(PROGRESS, ax)
    assert line(ax, QUIET) == (["2004-01-31", "2004-02-29", "2004-03-31"], [25.0, 50.0, 100.0])
    assert line(ax, BLUE) == (["2004-01-31", "2004-02-29"], [20.0, 35.0])
    assert line(ax, ORANGE)[1] == [30.0, 40.0]
    assert ax.get_legend_handles_labels()[1] == ["Planned", "Done", "Spent"] and ax.get_ylabel() == "% of the plan"
    assert ax.get_ylim()[0] == 0


def test_one_component_and_a_plan_without_a_ledger():
    ax = axes()
    s_curve(PROGRESS, ax, component="1")
    assert line(ax, BLUE) == (["2004-01-31"], [90.0])
    bare = axes()
    s_curve(PROGRESS.assign(share_spent=np.nan), bare)
    assert bare.get_legend_handles_labels()[1] == ["Planned", "Done"]


def test_a_quarter_without_services_has_no_dot():
    ax = axes()
    cofinancing_path(COFINANCED, ax)
    dots = ax.collections[0]
    np.testing.assert_allclose(dots.get_offsets()[:, 1], [60, 50])
    assert [num2date(x).date().isoformat() for x in dots.get_offsets()[:, 0]] == ["2003-09-30", "2004-03-31"]
    assert dots.get_sizes()[0] < dots.get_sizes()[1]  # the dearer quarter
    assert line(ax, QUIET)[1] == [68, 65, 62]
    assert ax.get_ylim() == (0, 100) and ax.get_legend_handles_labels()[1] == ["By the schedule", "Paid"]


def test_the_gap_is_shaded_only_where_it_is_too_wide():
    ax = axes()
    counterpart_path(OWED, ax)
    assert line(ax, QUIET)[1] == [1.0, 2.0, 2.0] and line(ax, BLUE)[1] == [0.5, 0.5, 2.0]
    assert ax.get_ylabel() == "Million US$"
    shade = ax.collections[0].get_paths()[0].vertices
    assert {str(num2date(x).date()) for x in shade[:, 0]} == {"2004-02-01", "2004-03-01"} and shade[:, 1].max() == 2
    assert shade[:, 1].min() == 0.5
    kept = axes()
    counterpart_path(OWED.assign(behind=False), kept)
    assert not kept.collections and len(kept.get_legend_handles_labels()[1]) == 2


@pytest.mark.parametrize("language", languages())
def test_every_language_has_the_words(language):
    text = read_text(language)
    for paint, table in ((s_curve, PROGRESS), (cofinancing_path, COFINANCED), (counterpart_path, OWED)):
        ax = axes()
        paint(table, ax, text)
        ax.figure.canvas.draw()
        assert all(ax.get_legend_handles_labels()[1]) and text.has(f"figure.{paint.__name__}.caption")


def test_nothing_to_draw_draws_nothing():
    for paint, table in ((s_curve, PROGRESS), (cofinancing_path, COFINANCED), (counterpart_path, OWED)):
        ax = axes()
        paint(table.iloc[:0], ax)
        ax.figure.canvas.draw()
