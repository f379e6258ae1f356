"""Every figure: from the tables of a bundle, from edge cases and in every language; the bench's names are complete."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from bundle_fixture import whole
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text as Words

from pipeval import figures
from pipeval.errors import DataError
from pipeval.report.bundle import Bundle
from pipeval.report.document import markdown
from pipeval.report.drawing import FIGURES, draw, figures_of
from pipeval.report.tables import read_layout
from pipeval.report.text import languages, read_text

BUNDLE = whole()
# A figure and the table of the bundle that it draws; those of a match have tables of `matching`, made here.
TABLES = {
    "cofinancing_path": "cofinancing_path",
    "counterpart_path": "counterpart_path",
    "disbursement": "disbursement",
    "dose_curve": "dose",
    "event_study": "event_study",
    "honest_sets": "honest",
    "love_plot": "balance",
    "overlap": "overlap",
    "price_split": "prices",
    "response_map": "response_map",
    "return_distribution": "return_draws_hist",
    "s_curve": "progress_path",
    "sample_flow": "sample_flow",
    "satisfaction_bars": "satisfaction_shares",
    "status_flows": "transitions",
    "tornado": "return_tornado",
    "trends": "trends",
    "curve": "curve",
    "curve_choices": "curve",
}
SCORES = np.linspace(0.1, 0.9, 8)
ARMS = ["treated", "control"] * 4
POWER, EFFECTS, HONEST = (BUNDLE.table(name) for name in ("power", "effects", "honest"))
MADE = {
    "benchmark_forest": BUNDLE.table("comparison").assign(name="Real sales"),
    "densities": pd.DataFrame({"sample": ["before"] * 4 + ["after"] * 4, "arm": ARMS, "score": SCORES, "density": 1.0}),
    "detectable": POWER.assign(name=POWER["outcome"], mde=POWER["mde_share"]),
    "ecdf_plot": pd.DataFrame({"covariate": "ln_age", "sample": "before", "arm": ARMS, "value": SCORES, "share": SCORES}),
    "forest": EFFECTS.assign(name=EFFECTS["outcome"], target=0.05),
    "qq_plot": pd.DataFrame({"covariate": "ln_age", "sample": "before", "treated": SCORES, "control": SCORES + 0.1}),
    "score_jitter": pd.DataFrame({"firm_id": list("abcdefgh"), "arm": ARMS, "status": "matched", "score": SCORES, "weight": 1.0}),
    "sensitivity": figures.sensitivity_rows({"effects": EFFECTS, "honest": HONEST}, HONEST["outcome"].iloc[0]),
}
ROWS = {"curve_rows", "sensitivity_rows"}  # tables that figures are drawn from
NAMES = sorted({*TABLES, *MADE})


def example(name: str) -> pd.DataFrame:
    table = MADE[name] if name in MADE else BUNDLE.table(TABLES[name])
    if name in ("dose_curve", "event_study", "honest_sets", "trends", "curve", "curve_choices"):
        return table[table["outcome"] == table["outcome"].iloc[0]]
    return table


def painted(name: str, table: pd.DataFrame, language: str = "en"):
    """The axes, drawn to the last label, with every warning an error."""
    figure = Figure(figsize=(6.6, 3.2), layout="constrained")
    ax = figure.subplots()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(figures, name)(table, ax, read_text(language))
        FigureCanvasAgg(figure).draw()
    return ax


def said(figure) -> list[str]:
    return [w.get_text() for w in figure.findobj(Words) if w.get_text()]


def test_every_figure_of_the_package_is_tried_here():
    assert set(figures.__all__) == {*NAMES, *ROWS} and list(figures.__all__) == sorted(figures.__all__)
    assert all(name in dir(figures) and getattr(figures, name).__doc__ for name in figures.__all__)
    with pytest.raises(AttributeError, match=r"no attribute 'forrest'; it has .*forest"):
        figures.forrest  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_words_are_english_unless_a_language_is_given(name):
    plain = Figure(figsize=(6.6, 3.2), layout="constrained")
    getattr(figures, name)(example(name), plain.subplots())
    FigureCanvasAgg(plain).draw()
    assert said(plain) == said(painted(name, example(name)).figure)


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_speaks_every_language(name, language):
    ax = painted(name, example(name), language)
    assert not [w for w in said(ax.figure) if "figure." in w or "code." in w]
    assert name == "response_map" or ax.get_xlabel() or ax.get_ylabel()


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_and_one_row_are_drawn(name):
    table = example(name)
    if name == "qq_plot":
        with pytest.raises(DataError, match="quantiles are drawn of numbers"):
            painted(name, table.assign(treated=np.nan, control=np.nan))
    else:
        painted(name, table.iloc[:0])
    painted(name, table.iloc[:1])


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"qq_plot"}))
def test_numbers_that_are_all_missing_are_drawn_as_nothing(name):
    table = example(name)
    keys = (
        "period",
        "event_time",
        "score",
        "bin_low",
        "bin_high",
        "component",
        "bound",
        "value",
        "weight",
        "horizon",
        "own_horizon",
    )
    numbers = [c for c in table.select_dtypes("number") if name == "price_split" or c not in keys]
    painted(name, table.assign(**dict.fromkeys(numbers, np.nan)))


@pytest.mark.parametrize("name", ["sample_flow", "status_flows", "trends", "price_split"])
def test_one_arm_is_drawn_alone(name):
    table = example(name)
    column = "arm" if "arm" in table else "group"
    ax = painted(name, table[table[column] == table[column].iloc[0]])
    assert len(ax.get_legend_handles_labels()[1]) >= 1


@pytest.mark.parametrize("name", ["forest", "detectable"])
def test_twelve_outcomes_have_each_their_line(name):
    table = pd.concat([example(name).head(4)] * 3).head(12).assign(name=[f"Outcome number {i}" for i in range(12)])
    ax = painted(name, table)
    assert len(ax.get_yticks()) == len(table) == 12


# the figures of a report


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("name", sorted(FIGURES))
def test_every_figure_of_a_report_fits_the_page_without_collisions(name, language):
    assert BUNDLE.has(FIGURES[name][0])
    figure = FIGURES[name][1](BUNDLE, read_text(language))
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas.draw()
    assert figure.get_figwidth() == 6.6  # the width of the text on A4: a point is a point on paper
    assert min(w.get_fontsize() for w in figure.findobj(Words) if w.get_text().strip()) >= 7
    for ax in figure.axes:
        outer = [w.get_window_extent(canvas.get_renderer()) for w in (ax.xaxis.label, ax.yaxis.label, ax.title)]
        assert all(box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1 for box in outer if box.width)
        for axis in (ax.xaxis, ax.yaxis):
            labels = [w for w in axis.get_ticklabels() if w.get_text() and not w.get_rotation()]
            boxes = [w.get_window_extent(canvas.get_renderer()).shrunk(0.9, 0.9) for w in labels]
            assert not any(left.overlaps(right) for left, right in pairwise(boxes))


def test_the_same_bundle_gives_the_same_bytes(tmp_path):
    text = read_text("es", "es_CO")
    first = draw(BUNDLE, tmp_path / "first", text)
    assert set(first) == set(FIGURES) & figures_of("final")
    assert sum(path.stat().st_size for path in first.values()) < 4_000_000
    some = Bundle.build(BUNDLE.study, {name: BUNDLE.table(name) for name in ("transitions", "overlap", "disbursement")})
    again = draw(some, tmp_path / "again", text)
    assert len(again) == 3 and all(path.read_bytes() == first[name].read_bytes() for name, path in again.items())


def test_only_what_a_report_shows_is_drawn(tmp_path):
    stages = read_layout().stages
    assert set().union(*map(figures_of, stages)) <= set(FIGURES)
    midterm = whole("midterm")
    made = draw(midterm, tmp_path, read_text("en"))
    assert set(made) <= figures_of("midterm") and "curve" not in made
    body = markdown(midterm, read_text("en"), made)
    assert all(path.as_posix() in body for path in made.values())


@pytest.mark.parametrize(("locale", "number", "wrong"), [("es_CO", "0,1", "0.1"), ("es_MX", "0.1", "0,1")])
def test_numbers_on_axes_are_written_by_locale(locale, number, wrong):
    figure = FIGURES["balance"][1](BUNDLE, read_text("es", locale))
    FigureCanvasAgg(figure).draw()
    ticks = [w.get_text() for w in figure.axes[0].get_xticklabels()]
    assert any(t.startswith(number) for t in ticks) and not any(wrong in t for t in ticks)
