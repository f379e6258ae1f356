"""Plots of value for money: what stands where, and with which words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from axes_fixture import axes, legend, ticks
from matplotlib.colors import to_hex

from pipeval.figures import benchmark_forest, return_distribution, tornado
from pipeval.figures.axes import BLUE, PALE, QUIET
from pipeval.report.text import languages, read_text

TORNADO = pd.DataFrame(
    {
        "input": ["effect", "displacement"],
        "input_low": [0.03, 0.1],
        "input_high": [0.15, 0.4],
        "npv_low_usd": [-1e6, 2e6],
        "npv_high_usd": [3e6, 0.5e6],
        "central_usd": 1e6,
    }
)
BINS = pd.DataFrame({"bin_low": [-2e6, -0.4e6, 1e6], "bin_high": [-0.4e6, 1e6, 3e6], "share": [0.2, 0.3, 0.5]})


def forest_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "name": ["Sales", "Sales", "Jobs", "Prices"],
            "outcome": ["s", "s", "j", "p"],
            "study": list("ABCD"),
            "horizon": [2.0, 3.0, np.nan, 1.0],
            "effect": [0.05, 0.10, 0.02, 0.03],
            "effect_low": [0.01, np.nan, 0.0, 0.0],
            "effect_high": [0.09, np.nan, 0.04, 0.1],
            "own_effect": [0.06, 0.06, 0.01, np.nan],
            "own_low": [0.02, 0.02, -0.02, np.nan],
            "own_high": [0.10, 0.10, 0.04, np.nan],
            "own_horizon": [2.0, 2.0, 2.0, np.nan],
        }
    )


def test_tornado_bars_start_at_the_central_value():
    ax = axes()
    tornado(TORNADO, ax)
    bars = [(b.get_x(), b.get_width(), b.get_y() + b.get_height() / 2, to_hex(b.get_facecolor())) for b in ax.patches]
    assert bars == [
        (1.0, pytest.approx(1.0), 0.0, PALE),
        (1.0, pytest.approx(-2.0), 1.0, PALE),
        (1.0, pytest.approx(-0.5), 0.0, BLUE.lower()),
        (1.0, pytest.approx(2.0), 1.0, BLUE.lower()),
    ]
    assert ticks(ax.yaxis) == ["Taken from other firms", "Effect in the reference year"]  # the widest on top
    assert [t.get_text() for t in ax.texts] == ["10.0%", "3.0%", "40.0%", "15.0%"]
    assert len(legend(ax)) == 3


def test_the_distribution_tells_loss_from_gain():
    ax = axes()
    return_distribution(BINS, ax)
    bars = {round(b.get_x(), 6): (b.get_width(), b.get_height(), to_hex(b.get_facecolor())) for b in ax.patches}
    assert bars == {
        -2.0: (pytest.approx(1.6), pytest.approx(20), PALE),
        -0.4: (pytest.approx(1.4), pytest.approx(30), BLUE.lower()),
        1.0: (pytest.approx(2.0), pytest.approx(50), BLUE.lower()),
    }
    assert legend(ax) == ["Costs exceed benefits", "Benefits exceed costs"]
    only = axes()
    return_distribution(BINS.iloc[2:], only)
    assert legend(only) == ["Benefits exceed costs"]


def test_the_forest_draws_the_own_effect_once_and_no_line_without_an_interval():
    ax = axes()
    benchmark_forest(forest_table(), ax)
    names = ticks(ax.yaxis)
    assert names == ["Sales (year 2)", "A (year 2)", "B (year 3)", "Jobs (year 2)", "C"]
    found = [(round(float(c.get_offsets()[0][0]), 6), to_hex(c.get_edgecolor()[0])) for c in ax.collections if len(c.get_offsets())
             and hasattr(c, "get_sizes") and len(c.get_sizes())]  # fmt: skip
    blue, grey = BLUE.lower(), QUIET.lower()
    assert found == [(6.0, blue), (5.0, grey), (10.0, grey), (1.0, blue), (2.0, grey)]
    lines = [s for c in ax.collections if hasattr(c, "get_segments") for s in c.get_segments() if len(s) == 2]
    assert len(lines) == 4  # study B published no interval
    assert sorted(legend(ax)) == ["Similar evaluations", "This programme"]
    y = ax.get_yticks()
    assert (np.diff(y) < 0).all()


def test_an_interval_far_beyond_the_others_ends_in_an_arrow():
    far = forest_table()
    far.loc[2, ["own_effect", "own_low", "own_high"]] = [0.6, -0.1, 2.0]
    ax = axes()
    benchmark_forest(far, ax)
    assert ax.get_xlim()[1] < 30
    assert [t.get_text() for t in ax.texts] == ["60 (−10 to 200)"]


@pytest.mark.parametrize("language", languages())
def test_every_language_has_the_words(language):
    text = read_text(language)
    for paint, table in ((tornado, TORNADO), (return_distribution, BINS), (benchmark_forest, forest_table())):
        ax = axes()
        paint(table, ax, text)
        said = [*legend(ax), ax.get_xlabel(), ax.get_ylabel(), *ticks(ax.yaxis)]
        assert not any("figure." in w or "_" in w for w in said)


def test_a_table_without_rows_draws_empty_axes():
    for paint, table in ((tornado, TORNADO), (return_distribution, BINS), (benchmark_forest, forest_table())):
        ax = axes()
        paint(table.iloc[:0], ax)
        assert not ax.patches
