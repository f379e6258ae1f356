"""Figures of effects: what stands where, in per cent, and with which words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from axes_fixture import axes, legend, ticks
from matplotlib.colors import to_hex

from pipeval.figures.axes import BLUE, ORANGE, PALE, QUIET
from pipeval.figures.choices import CHOICES, curve, curve_choices, curve_rows
from pipeval.figures.doubts import honest_sets, sensitivity, sensitivity_rows
from pipeval.figures.effects import detectable, dose_curve, event_study, forest, shown
from pipeval.report.bundle import Bundle
from pipeval.report.drawing import FIGURES, draw, figures_of
from pipeval.report.text import languages, read_text

LOG = float(np.log(1.1))  # ten per cent
TARGET = read_text("en").say("figure.target")


def points(ax, colour: str) -> np.ndarray:
    """Where points of one colour stand, face or edge."""
    found = []
    for c in ax.collections:
        colours = {to_hex(v) for v in (*c.get_facecolor(), *c.get_edgecolor())}
        if colour.lower() in colours and len(c.get_offsets()) and hasattr(c, "get_sizes") and len(c.get_sizes()):
            found.append(np.asarray(c.get_offsets()))
    return np.vstack(found) if found else np.empty((0, 2))


def segments(ax, colour: str) -> np.ndarray:
    """Ends of the lines of one colour: x and y of both."""
    found = [np.reshape(s, 4) for c in ax.collections if hasattr(c, "get_segments") and to_hex(c.get_color()[0]) == colour.lower()
             for s in c.get_segments() if len(s) == 2]  # fmt: skip
    return np.array(found)


# curve


def curve_table() -> pd.DataFrame:
    """Six rows: a headline, two more of the same question, one of another, one that failed and one that repeats."""
    estimate = [LOG, 0.05, 0.2, 0.15, np.nan, 0.05]
    table = pd.DataFrame({
        "estimate": estimate, "question": ["same", "same", "same", "other", "same", "same"], "headline": [True, *[False] * 5],
        "note": ["", "", "", "", "no firm is left in this sample", "repeats"],
        "design": ["common_support", "pool", "own", "pool", "pool", "pool"], "method": ["reg", "reg", "reg", "dr", "dr", "reg"],
        "adjusted": "plan", "base": "year_before", "sample": ["all", "all", "all", "balanced", "all", "all"], "outliers": "kept",
    })  # fmt: skip
    return table.assign(conf_low=table["estimate"] - 0.02, conf_high=table["estimate"] + 0.02)


def test_failed_and_repeated_rows_are_not_drawn():
    rows = curve_rows(curve_table())
    assert rows["estimate"].round(3).tolist() == [0.05, round(LOG, 3), 0.15, 0.2] and rows["x"].tolist() == [0, 1, 2, 3]


def test_the_curve_is_in_order_with_the_headline_marked():
    ax = axes()
    curve(curve_table(), ax, scale="log")
    np.testing.assert_allclose(points(ax, ORANGE), [[1, 10.0]])
    np.testing.assert_allclose(points(ax, BLUE), [[0, 100 * np.expm1(0.05)], [3, 100 * np.expm1(0.2)]])
    np.testing.assert_allclose(segments(ax, ORANGE)[0], [1, 100 * np.expm1(LOG - 0.02), 1, 100 * np.expm1(LOG + 0.02)])
    np.testing.assert_allclose(segments(ax, PALE)[0], [2, 100 * np.expm1(0.13), 2, 100 * np.expm1(0.17)])
    assert legend(ax) == ["Another question (other firms or another effect)", "Same question", "Headline"]
    assert ax.get_ylabel() == "Effect (%)"


def test_each_choice_has_its_line_under_its_estimate():
    ax = axes()
    curve_choices(curve_table(), ax)
    names = ticks(ax.yaxis)
    assert names == [
        "Common support",
        "Whole pool",
        "Match, as planned",
        "Regression",
        "Doubly robust",
        "All firms",
        "Firms seen every year",
    ]
    assert [t.get_text() for t in ax.texts] == ["Firms", "Method", "Sample"]  # a group with one choice has none
    places = dict(zip(names, ax.get_yticks(), strict=True))
    marked = {tuple(p) for p in points(ax, ORANGE).tolist()}
    assert marked == {(1, places["Common support"]), (1, places["Regression"]), (1, places["All firms"])}
    marks = {tuple(p) for c in ax.collections for p in np.asarray(c.get_offsets()).tolist()}
    assert marks >= {
        (0, places["Whole pool"]),
        (2, places["Doubly robust"]),
        (2, places["Firms seen every year"]),
        (3, places["Match, as planned"]),
    }
    assert len(marks) == 4 * 3  # one a row and group


def test_a_choice_without_words_is_still_drawn():
    table = curve_table().assign(outliers=["kept", "trimmed", "kept", "kept", "kept", "kept"])
    ax = axes()
    curve_choices(table, ax)
    assert "trimmed" in ticks(ax.yaxis)


# sensitivity


def tables() -> dict[str, pd.DataFrame]:
    return {
        "effects": pd.DataFrame({"outcome": ["y", "y", "z"], "headline": [False, True, True], "estimate": [9.0, LOG, 9.0],
                                 "conf_low": [9.0, 0.05, 9.0], "conf_high": [9.0, 0.14, 9.0]}),
        "few_clusters": pd.DataFrame({"outcome": "y", "kind": ["CR1", "CR2"], "estimate": LOG, "conf_low": [0.03, -0.01],
                                      "conf_high": [0.16, 0.2]}),
        "attrition_bounds": pd.DataFrame({"outcome": "y", "row": ["response_weighted", "lee"], "estimate": [0.09, np.nan],
                                          "conf_low": [0.02, 0.0], "conf_high": [0.15, 0.18], "lower": [np.nan, 0.07],
                                          "upper": [np.nan, 0.12]}),
        "left_out": pd.DataFrame({"outcome": "y", "by": ["business_cluster", "business_cluster", "branch"],
                                  "estimate": [0.08, 0.11, 0.5]}),
        "honest": pd.DataFrame({"outcome": "y", "kind": ["relative_magnitude", "relative_magnitude", "smoothness"],
                                "bound": [1.0, 0.5, 0.0], "estimate": LOG, "conf_low": [-0.1, -0.02, 0.03],
                                "conf_high": [0.3, 0.2, 0.2]}),
        "trend_power": pd.DataFrame({"outcome": ["y"], "note": ["pre-trend power is for effects that are differences"]}),
    }  # fmt: skip


def test_the_doubts_are_rows_of_one_outcome_in_order():
    rows = sensitivity_rows(tables(), "y")
    assert rows["row"].tolist() == [
        "headline", "business_clusters", "response_weighted", "lee", "without_business_cluster", "honest", "honest",
    ]  # fmt: skip
    assert rows["bound"].tolist()[-2:] == [0.5, 1.0] and rows.loc[1, "conf_low"] == -0.01
    assert rows.loc[4, ["lower", "upper"]].tolist() == [0.08, 0.11]
    assert sensitivity_rows({}, "y").empty
    refused = {"honest": pd.DataFrame([{"outcome": "y", "note": "why"}])}
    assert sensitivity_rows(refused, "y").empty


def test_the_headline_and_its_doubts_share_an_axis():
    ax = axes()
    rows = sensitivity_rows(tables(), "y")
    sensitivity(rows, ax, scale="log", target=0.1)
    names = ticks(ax.yaxis)
    assert names[::-1][0] == "Headline" and names[0] == "Trends may differ by 1.0 × what was seen before"
    lines = {line.get_label(): line.get_xdata()[0] for line in ax.lines}
    assert lines[TARGET] == pytest.approx(10) and 0 in lines.values()
    ends = segments(ax, BLUE)
    np.testing.assert_allclose(ends[ends[:, 1] == 6][0, [0, 2]], 100 * np.expm1([0.05, 0.14]))
    bars = {round(bar.get_x(), 3): round(bar.get_x() + bar.get_width(), 3) for bar in ax.patches if 0.3 < bar.get_height() < 0.5}
    assert bars == {round(100 * np.expm1(a), 3): round(100 * np.expm1(b), 3) for a, b in ((0.07, 0.12), (0.08, 0.11))}
    assert legend(ax) == [
        TARGET,
        "Confidence interval",
        "Interval that allows for a difference in trends",
        "Bounds or range",
    ]
    quiet = axes()
    sensitivity(rows, quiet, scale="level")
    assert TARGET not in legend(quiet) and quiet.get_xlabel() == "Effect (in the outcome's unit)"


# effects by year, by outcome, and what can be detected


def path() -> pd.DataFrame:
    return pd.DataFrame({
        "term": ["event_time"] * 3 + ["average"], "event_time": [-2.0, -1.0, 0.0, np.nan], "estimate": [0.02, 0.0, LOG, LOG],
        "conf_low": [-0.05, np.nan, 0.02, 0.02], "conf_high": [0.09, np.nan, 0.17, 0.17],
        "band_low": [-0.08, np.nan, -0.01, np.nan], "band_high": [0.12, np.nan, 0.2, np.nan],
    })  # fmt: skip


@pytest.mark.parametrize(
    ("scale", "top", "words"),
    [("poisson", 10, "Effect (%)"), ("", LOG, "Effect (log or proportion)"), ("yes_no", 100 * LOG, "Effect (percentage points)")],
)
def test_event_studies_are_drawn_in_the_unit_of_their_scale(scale, top, words):
    ax = axes()
    event_study(path(), ax, scale=scale)
    drawn = points(ax, BLUE)
    assert len(drawn) == 3 and drawn[:, 1].max() == pytest.approx(top)  # the average has no place on it
    assert ax.get_ylabel() == words
    factor = shown(pd.Series([-0.08, 0.12]), scale)
    np.testing.assert_allclose(segments(ax, PALE)[0], [-2, factor[0], -2, factor[1]])
    plain = axes()
    event_study(path().drop(columns=["band_low", "band_high"]), plain)
    assert legend(plain) == ["Pointwise interval"]


def test_an_event_that_reaches_far_is_cut_and_says_how_far():
    ax = axes()
    event_study(
        path().assign(conf_high=[0.09, np.nan, np.log(9), 0.17], band_high=[0.12, np.nan, np.log(10), np.nan]), ax, scale="log"
    )
    assert ax.get_ylim()[1] < 30 and [t.get_text() for t in ax.texts] == ["800"]
    arrows = [c for c in ax.collections if not c.get_clip_on()]
    assert len(arrows) == 1 and arrows[0].get_offsets()[0].tolist() == [0, ax.get_ylim()[1]]


def doses() -> pd.DataFrame:
    return pd.DataFrame({
        "division": ["dose", "dose", "dose", "trend", "component"], "group": ["high", "low", "middle", "per_step", "both"],
        "estimate": [LOG, 0.0, 0.05, 0.02, 9.0], "conf_low": [0.05, -0.1, 0.0, -0.01, 8.0], "conf_high": [0.2, 0.1, 0.1, 0.05, 9.5],
        "n_treated": [30.0, 1200.0, 20.0, np.nan, 50.0],
    })  # fmt: skip


def test_doses_stand_in_order_with_their_intervals_and_the_trend():
    ax = axes()
    dose_curve(doses(), ax, scale="log")
    dots, trend = ax.containers[0].lines[0], next(line for line in ax.lines if line.get_label() == "Trend over the three")
    np.testing.assert_allclose(dots.get_xydata(), [[0, 0], [1, 100 * np.expm1(0.05)], [2, 10]])
    ends = np.array(ax.containers[0].lines[2][0].get_segments())[:, :, 1]
    np.testing.assert_allclose(ends, 100 * np.expm1([[-0.1, 0.1], [0.0, 0.1], [0.05, 0.2]]))
    middle = (LOG + 0.05) / 3
    np.testing.assert_allclose(trend.get_ydata(), 100 * np.expm1([middle - 0.02, middle, middle + 0.02]))
    assert ticks(ax.xaxis) == ["Low\n(1,200)", "Middle\n(20)", "High\n(30)"]
    two = axes()
    dose_curve(doses()[lambda t: t["group"] != "middle"], two)
    assert legend(two) == ["Confidence interval"] and ticks(two.xaxis) == ["Low\n(1,200)", "High\n(30)"]


def test_honest_sets_widen_with_the_bound_and_say_where_zero_comes_in():
    ax = axes()
    honest_sets(tables()["honest"].assign(breakdown=0.3), ax, scale="log")
    ends = segments(ax, QUIET)
    np.testing.assert_allclose(
        ends, [[0.5, 100 * np.expm1(-0.02), 0.5, 100 * np.expm1(0.2)], [1, 100 * np.expm1(-0.1), 1, 100 * np.expm1(0.3)]]
    )
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["Zero excluded up to"].get_xdata()[0] == 0.3 and lines["Headline"].get_ydata()[0] == pytest.approx(10)
    assert ticks(ax.xaxis) == ["0.0", "0.5", "1.0"]
    late = axes()
    honest_sets(tables()["honest"].assign(breakdown=1.9), late)
    assert late.get_xlim()[1] > 1.9  # a line beyond the axis would read as none
    lost = axes()
    honest_sets(tables()["honest"].assign(breakdown=0.0), lost)
    assert "Zero excluded up to" not in legend(lost)


def wide() -> pd.DataFrame:
    """Three effects of like size and one that reaches ten times as far."""
    return pd.DataFrame({
        "name": ["a", "b", "c", "far"], "effect": [0.05, 0.06, -0.04, 0.9], "effect_low": [0.01, 0.02, -0.1, -0.2],
        "effect_high": [0.09, 0.1, 0.02, 3.0], "target": [0.1, np.nan, -0.05, 0.05], "mde": [0.08, 0.07, -0.06, 1.3],
    })  # fmt: skip


def test_a_wide_interval_does_not_hide_the_others():
    ax = axes()
    forest(wide(), ax)
    low, high = ax.get_xlim()
    assert -12 < low < -10 and 10 < high < 12
    assert [t.get_text() for t in ax.texts] == ["90 (−20 to 300)"]
    np.testing.assert_allclose(segments(ax, BLUE)[0, [0, 2]], [low, high])  # bottom row, cut at both ends
    assert legend(ax) == [TARGET, "Minimum detectable effect"]
    np.testing.assert_allclose(np.sort(points(ax, ORANGE)[:, 0]), [-5, 5, 10])
    near = axes()
    forest(wide().iloc[:3], near)
    assert not near.texts and len(points(near, BLUE)) == 3


def test_bars_that_reach_far_are_cut_and_say_how_far():
    table = wide().assign(
        detectable=[True, None, False, False], mde=[0.08, 0.07, 0.06, 1.3], mde_simulated=[0.09, np.nan, np.nan, np.nan]
    )
    ax = axes()
    detectable(table, ax)
    assert [t.get_text() for t in ax.texts] == ["130"] and max(bar.get_width() for bar in ax.patches) < 15
    assert legend(ax) == [TARGET, "Minimum detectable effect, simulated", "Detectable: Yes", "Detectable: No"]
    np.testing.assert_allclose(np.sort(points(ax, ORANGE)[:, 0]), [5, 5, 10])  # a size: the sign that is sought is not drawn
    plain = axes()
    detectable(table.drop(columns="mde_simulated"), plain)
    assert "Minimum detectable effect, simulated" not in legend(plain)


def test_one_row_and_no_numbers_are_drawn_too():
    forest(wide().iloc[:1], axes())
    forest(wide().iloc[:1].assign(effect_low=np.nan, effect_high=np.nan, target=np.nan, mde=np.nan), axes())
    curve(curve_table().iloc[:0], axes())
    curve_choices(curve_table().iloc[:0], axes())
    sensitivity(sensitivity_rows({}, "y"), axes())


# figures of a report


def bundle() -> Bundle:
    outcome = {"id": "y", "scale": "log", "relevant_effect": 0.1, "direction": "increase", "label": {"en": "Sales", "es": "Ventas"}}
    placebo = {"id": "z", "scale": "log", "untouched": True, "label": {"en": "Rain", "es": "Lluvia"}}
    made = tables()
    effects = made["effects"].assign(scale="log", effect=0.1, effect_low=0.05, effect_high=0.15, mde=0.08)
    power = pd.DataFrame(
        {"outcome": ["y", "z"], "scale": "log", "mde_share": [0.08, 0.02], "target": [0.1, np.nan], "detectable": [True, None]}
    )
    extra = {
        "effects": effects, "power": power, "simulated_power": pd.DataFrame({"outcome": ["y"], "mde_share": [0.09]}),
        "curve": curve_table().assign(outcome="y"), "event_study": path().assign(outcome="y"),
        "sensitivity": pd.DataFrame({"outcome": ["y"], "check": ["curve"]}),
    }  # fmt: skip
    return Bundle.build({"study": "demo", "outcomes": [outcome, placebo]}, made | extra)


def test_every_figure_of_effects_is_drawn(tmp_path):
    made = draw(bundle(), tmp_path, read_text("es"))
    assert set(made) == {"power", "effects", "event_study", "curve", "sensitivity", "honest"}
    assert all(path.stat().st_size > 5000 for path in made.values())


def test_what_the_programme_cannot_move_is_not_among_its_effects():
    for name in ("effects", "power"):
        figure = FIGURES[name][1](bundle(), read_text("en"))
        assert ticks(figure.axes[0].yaxis) == ["Sales"]


def test_target_and_detectable_effect_stand_on_the_side_that_is_sought():
    made = bundle()
    made.study["outcomes"][0]["direction"] = "decrease"
    ax = FIGURES["effects"][1](made, read_text("en")).axes[0]
    np.testing.assert_allclose(points(ax, ORANGE), [[-10, 0]])
    np.testing.assert_allclose(points(ax, QUIET), [[-8, 0]])


def test_a_figure_says_what_it_shows():
    titles = {name: FIGURES[name][1](bundle(), read_text("en")).get_suptitle() for name in ("curve", "sensitivity")}
    assert titles == {
        "curve": "Sales: 3 ways of asking the same question",
        "sensitivity": "Sales: the headline and what could move it",
    }


def test_every_word_of_the_curve_is_in_every_language():
    for language in languages():
        text = read_text(language)
        keys = [f"figure.curve.{column}.{code}" for column, codes in CHOICES.items() for code in ("heading", *codes)]
        keys += [f"figure.{name}.{part}" for name in figures_of("final") | figures_of("midterm") for part in ("caption", "alt")]
        assert [k for k in keys if not text.has(k)] == []
