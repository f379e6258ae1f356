"""Plots of opinions draw their tables: positions, numbers, marks and words in both languages."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from axes_fixture import drawn, ticks
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from pipeval.figures import response_map, satisfaction_bars
from pipeval.report.text import languages, read_text


def shares(counts: dict[tuple[str, str], list[int]]) -> pd.DataFrame:
    rows = [
        (component, item, score, n, n / sum(numbers))
        for (component, item), numbers in counts.items()
        for score, n in enumerate(numbers, start=1)
    ]
    return pd.DataFrame(rows, columns=["component", "item", "score", "n", "share"]).assign(wave="final")


TABLE = shares({("2.1", "usefulness"): [0, 1, 2, 4, 3], ("2.1", "environment"): [8, 2, 0, 2, 8]})

MAP = pd.DataFrame(
    [
        ("usefulness", "all", "all", 4.0, "none"),
        ("environment", "all", "all", 2.9, "low_divided"),
        ("usefulness", "branch", "leather", 3.5, "divided"),
        ("usefulness", "branch", "footwear", 2.5, "low"),
        ("environment", "branch", "leather", np.nan, "few"),
        ("usefulness", "size_class", "small", 4.5, "none"),
        ("usefulness", "size_class", "micro", 1.0, "low"),
    ],
    columns=["item", "characteristic", "group", "mean", "reason"],
).assign(by="component", component="2.1", activity_id=None)


def written(ax) -> list[str]:
    return [t.get_text() for t in ax.texts]


def test_bars_diverge_from_the_middle_of_score_three():
    ax = drawn(satisfaction_bars, TABLE)
    parts = [[(bar.get_x(), bar.get_width()) for bar in container] for container in ax.containers]
    assert len(parts) == 5
    first, second = ([score[row] for score in parts] for row in (0, 1))
    np.testing.assert_allclose([w for _, w in first], [0, 0.1, 0.2, 0.4, 0.3], atol=1e-12)
    assert first[0][0] == pytest.approx(-0.2) and first[3][0] == pytest.approx(0.1)  # half of score 3 on either side
    assert second[0][0] == pytest.approx(-0.5) and second[3][0] == pytest.approx(0.0)
    assert ax.yaxis_inverted() and ax.get_xlim() == (-1, 1)


def test_bars_say_their_numbers_and_answers():
    ax = drawn(satisfaction_bars, TABLE)
    assert sorted(written(ax)) == sorted(["10", "20", "40", "30", "40", "10", "10", "40"])
    assert [label.endswith(end) for label, end in zip(ticks(ax.yaxis), ("(10)", "(20)"), strict=True)] == [True, True]
    assert not any(label.startswith(("-", "−")) for label in ticks(ax.xaxis))


def test_bars_can_be_told_apart_in_grey():
    ax = drawn(satisfaction_bars, TABLE)
    looks = {
        (c[0].get_hatch(), round(float(np.dot(to_rgb(c[0].get_facecolor()), (0.299, 0.587, 0.114))), 1)) for c in ax.containers
    }
    assert len(looks) == 5


def cells(ax) -> dict[tuple[int, int], Rectangle]:
    return {(round(r.get_x() + 0.5), round(r.get_y() + 0.5)): r for r in ax.patches if r.get_width() == 1}


def test_map_has_a_cell_an_answered_pair():
    ax = drawn(response_map, MAP)
    found = cells(ax)
    assert len(found) == len(MAP)
    assert [at for at, cell in found.items() if cell.get_hatch()] == [(1, 1)]
    lightness = {at: sum(to_rgb(cell.get_facecolor())) for at, cell in found.items() if not cell.get_hatch()}
    assert max(lightness, key=lightness.get) == (3, 0)  # the lowest mean is the palest
    assert min(lightness, key=lightness.get) == (4, 0)


def test_map_marks_what_its_numbers_cannot_say():
    ax = drawn(response_map, MAP)
    words = written(ax)
    assert {"4.0", "2.9 ▼↔", "3.5 ↔", "2.5 ▼", "4.5", "1.0 ▼"} <= set(words)
    assert len(ax.get_legend_handles_labels()[1]) == 3
    assert len(ax.lines) == 2  # between three characteristics


def test_map_orders_sizes_and_names_activities():
    ax = drawn(response_map, MAP)
    text = read_text("en")
    assert ticks(ax.xaxis)[-2:] == [text.label("size_class", "micro"), text.label("size_class", "small")]
    by_activity = MAP.assign(by="activity", component=None, activity_id="A010")
    assert ticks(drawn(response_map, by_activity).yaxis)[0].startswith("A010")


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize(("function", "table"), [(satisfaction_bars, TABLE), (response_map, MAP)])
def test_words_are_those_of_the_language(function, table, language):
    ax = drawn(function, table, read_text(language))
    words = [*ticks(ax.xaxis), *ticks(ax.yaxis), *ax.get_legend_handles_labels()[1], ax.get_xlabel(), *written(ax)]
    assert not any("_" in word or "figure." in word for word in words)
    assert any(read_text(language).label("item", "environment") in word for word in words)
    assert read_text(language).label("item", "environment") != "environment"


@pytest.mark.parametrize(("function", "table"), [(satisfaction_bars, TABLE), (response_map, MAP)])
def test_an_empty_table_draws_empty_axes(function, table):
    ax = drawn(function, table.iloc[:0])
    assert ticks(ax.yaxis) == []
