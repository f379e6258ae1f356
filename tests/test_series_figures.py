"""Figures of what happened, by year, price, stage and export status: what is drawn is what the tables say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from axes_fixture import ticks
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from pipeval.figures import disbursement, price_split, sample_flow, status_flows, trends
from pipeval.figures.axes import BLUE, INK, ORANGE, PALE, QUIET, days, years
from pipeval.report.text import read_text

MOVES = pd.DataFrame(
    [
        ("beneficiary", "direct", "direct", 20),
        ("beneficiary", "direct", "none", 5),
        ("beneficiary", "none", "direct", 15),
        ("beneficiary", "none", "none", 60),
        ("nonparticipant", "indirect", "indirect", 6),
        ("nonparticipant", "none", "indirect", 0),
        ("nonparticipant", "none", "closed", 2),
    ],
    columns=["arm", "from", "to", "n"],
)
SPLIT = pd.DataFrame({
    "group": ["comparison", "treated"], "value": [0.9, 1.32], "price": [1.2, 1.1], "laspeyres": [1.25, 1.08],
    "paasche": [1.15, 1.12], "volume": [0.75, 1.2], "quantity": [np.nan, np.nan], "mix": [np.nan, np.nan],
})  # fmt: skip


def axes(width: float = 6.6):
    return Figure(figsize=(width, 3)).subplots()


def bands(ax) -> list[tuple[float, float, float]]:
    """Where each band starts, and its height at both ends."""
    found = []
    for patch in ax.patches:
        if isinstance(patch, PathPatch):
            v = patch.get_path().vertices
            found.append((v[0, 0], v[7, 1] - v[0, 1], v[4, 1] - v[3, 1]))
    return found


def test_bands_are_as_wide_as_their_firms_are_many():
    ax = axes()
    status_flows(MOVES, ax)
    found = bands(ax)
    assert all(a == pytest.approx(b) for _, a, b in found)
    first, second = sorted({x for x, _, _ in found})
    assert sorted(round(h) for x, h, _ in found if x == first) == [5, 15, 20, 60]  # of 100 firms: per cent are firms
    assert sorted(round(h, 6) for x, h, _ in found if x == second) == [25.0, 75.0]  # 2 and 6 of 8; no band without firms
    for start in (first, second):
        assert sum(h for x, h, _ in found if x == start) == pytest.approx(100)


def test_bars_hold_the_firms_of_each_status_at_both_ends():
    ax = axes()
    status_flows(MOVES, ax)
    bars = {}
    for bar in ax.patches:
        if not isinstance(bar, PathPatch) and bar.get_height():
            bars.setdefault(round(bar.get_x(), 3), []).append(
                (round(bar.get_y()), round(bar.get_height()), to_hex(bar.get_facecolor()))
            )
    columns = [bars[x] for x in sorted(bars)]
    assert columns[:2] == [[(0, 75, PALE), (75, 25, BLUE.lower())], [(0, 65, PALE), (65, 35, BLUE.lower())]]
    written = [t.get_text() for t in ax.texts]
    assert {"Beneficiaries (100)", "Non-participants (8)", "75", "65", "60", "15", "20", "5"} <= set(written)
    assert ticks(ax.xaxis) == ["Initial", "Final"] * 2
    assert ax.get_legend_handles_labels()[1] == ["Direct", "Indirect", "Does not export", "Closed"]


def test_a_band_too_thin_for_its_number_has_none():
    ax = axes()
    status_flows(MOVES.replace({"n": {5: 1, 60: 64}}), ax)
    assert "1" not in [t.get_text() for t in ax.texts]


def test_prices_and_volume_are_bars_of_per_cent():
    ax = axes()
    price_split(SPLIT, ax)
    widths = [[round(b.get_width(), 6) for b in c] for c in ax.containers]
    assert widths == [[-10, 20, -25], [32, 10, 20]]
    assert ticks(ax.yaxis) == ["Value", "Price", "Volume"]
    assert [t.get_text() for t in ax.texts] == ["−10.0", "20.0", "−25.0", "32.0", "10.0", "20.0"]
    lines = sorted(tuple(np.round(s[:, 0], 6)) for c in ax.collections for s in c.get_segments())
    assert lines == [(8.0, 12.0), (15.0, 25.0)] and to_hex(ax.collections[0].get_color()[0]) == INK
    assert ax.get_legend_handles_labels()[1] == ["All comparison firms", "Treated"] and ax.get_xlabel() == "Change (%)"


def test_quantity_and_mix_take_the_place_of_volume_when_both_are_known():
    ax = axes()
    price_split(SPLIT.assign(quantity=1.1, mix=0.95), ax)
    assert ticks(ax.yaxis) == ["Value", "Price", "Quantity", "Mix"]
    half = axes()
    price_split(SPLIT.assign(quantity=[1.1, np.nan], mix=0.95), half)
    assert ticks(half.yaxis) == ["Value", "Price", "Volume"]


def test_trends_are_the_means_and_intervals_of_each_group():
    table = pd.DataFrame({
        "period": [2003, 2004] * 3, "group": ["treated"] * 2 + ["matched"] * 2 + ["comparison"] * 2,
        "mean": [100, 104, 100, 101, 100, 99],
        "conf_low": [100, 101, 100, 98, 100, 97], "conf_high": [100, 108, 100, 103, 100, 102],
    })  # fmt: skip
    ax = axes()
    trends(table, ax)
    for container, colour, mean, ends in zip(
        ax.containers, (BLUE, ORANGE, QUIET), ([100, 104], [100, 101], [100, 99]), ([101, 108], [98, 103], [97, 102]), strict=True
    ):
        assert to_hex(container.lines[0].get_color()) == colour.lower() and container.lines[0].get_ydata().tolist() == mean
        assert container.lines[2][0].get_segments()[1][:, 1].tolist() == ends
    assert ticks(ax.xaxis) == ["2003", "2004"]


def test_years_are_whole_and_thinned_from_the_last_where_there_is_no_room():
    wide, narrow = axes(), axes(1.8)
    for ax in (wide, narrow):
        years(ax, pd.Series([2001.0, 2002, 2003, 2004, 2005, 2006, np.nan]))
    assert ticks(wide.xaxis) == ["2001", "2002", "2003", "2004", "2005", "2006"]
    assert ticks(narrow.xaxis) == ["2002", "2004", "2006"]


def test_days_are_years_in_the_long_run_and_months_by_locale_in_the_short():
    long, short = axes(), axes()
    disbursement(pd.DataFrame({"on": ["2003-07-01", "2006-02-01"], "source": "mif", "cumulative_usd": [1e5, 2e6]}), long)
    assert {"2004", "2005", "2006"} <= set(ticks(long.xaxis)) and long.lines[0].get_ydata().tolist() == [0.1, 2.0]
    days(short, pd.Series(["2004-01-15", "2004-09-30"]), read_text("es", "es_MX"))
    short.plot(pd.to_datetime(["2004-01-15", "2004-09-30"]), [0, 1])
    assert {"abr 2004", "jul 2004"} <= set(ticks(short.xaxis))


def test_firms_left_at_each_stage_are_bars_with_their_numbers():
    table = pd.DataFrame(
        {"arm": ["beneficiary", "nonparticipant"] * 2, "stage": ["register"] * 2 + ["analysed"] * 2, "n": [200, 1500, 133, np.nan]}
    )
    ax = axes()
    sample_flow(table, ax)
    assert [[b.get_width() for b in c] for c in ax.containers] == [[200, 133], pytest.approx([1500, np.nan], nan_ok=True)]
    assert [t.get_text() for t in ax.texts] == ["200", "133", "1,500", ""] and ticks(ax.yaxis) == ["Register", "Analysed"]
