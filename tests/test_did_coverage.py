"""Estimators and inference in `benchmarks/did_coverage.py`: each design runs, and intervals and tests hold what they claim."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval import DidSpec, aggregate, att_gt
from pipeval.errors import collected

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
DRAWS = 30


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("did_coverage")


@pytest.fixture
def studies(script):
    return importlib.import_module("did_studies")


@pytest.fixture
def truths(script):
    return importlib.import_module("did_truths")


def test_a_draw_depends_on_its_number_alone(script):
    both, second = script.drawn("counts", 0, 2), script.drawn("counts", 1, 2)
    pd.testing.assert_frame_equal(both[both["draw"] == 1].reset_index(drop=True), second)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("cluster", ["firm_id", ("town", "buyer")])
def test_summaries_are_those_of_the_package(truths, cluster, known):
    world = truths.worlds.crossed(np.random.default_rng(3))
    with collected():
        cells = att_gt(world.panel(), "y", DidSpec(cluster=cluster))
        for by in truths.SUMMARIES:
            table = aggregate(cells, by, shares="known" if known else "estimated").bands(truths.DRAWN).table
            table, found = table[table["std_error"].notna()], truths.summary(cells, by, known)
            for name, column in (("estimate", "estimate"), ("std_error", "std_error"), ("low", "conf_low")):
                np.testing.assert_allclose(getattr(found, name), table[column], rtol=1e-12)
            if by != "overall":
                np.testing.assert_allclose(found.band_high, table["band_high"], rtol=1e-12)


def test_truth_is_averaged_as_estimates_are(truths):
    """With the true effects in the place of the estimates, `aggregate` gives the truths."""
    world = truths.worlds.plain(np.random.default_rng(1))
    with collected():
        cells = att_gt(world.panel(), "y", DidSpec())
        own = truths.own_cells(cells, world)
        after = cells.only(np.flatnonzero(cells.table["event_time"] >= 0))
        exact = replace(after, table=after.table.assign(estimate=own["value"]))
        for by in truths.SUMMARIES:
            found, true = aggregate(exact, by).table, truths.averaged(own, by)
            np.testing.assert_allclose(found["estimate"], list(true.values()), rtol=1e-12)


def test_bands_accept_three_standard_errors(script):
    assert script.accepted("exact", 1000) == pytest.approx((0.9293, 0.9707), abs=1e-4)
    assert script.accepted("least", 1000)[1] == 1 and script.accepted("most", 1000)[0] == 0
    rows = pd.DataFrame([(k, "a", "b", 0.0, 1.0, float(k >= 80), np.nan, "exact") for k in range(1000)])
    rows.columns = ["draw", *script.Row._fields]
    assert script.judged(rows, 1001).iloc[0][["failed", "verdict"]].tolist() == [1, "outside"]
    assert script.judged(rows[rows["draw"] >= 40], 1000).iloc[0]["verdict"] == "inside"


def test_the_section_is_put_between_its_markers(script, monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    monkeypatch.setattr(script, "PAGE", page)
    page.write_text("# Before\n", encoding="utf-8")
    script.written("first\n")
    page.write_text(page.read_text(encoding="utf-8") + "\nafter\n", encoding="utf-8")
    script.written("second\n")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Before\n") and text.endswith("after\n") and "second" in text and "first" not in text


@pytest.mark.slow
def test_intervals_bands_and_tests_hold_what_they_claim(script):
    """Few draws, so that only what is badly wrong is seen; docs/validation.md holds a thousand."""
    outside = []
    for name in script.STUDIES:
        table = script.judged(script.drawn(name, 0, DRAWS), DRAWS)
        wrong = table[(table["verdict"] == "outside") | (table["failed"] > DRAWS / 10)]
        outside += [(name, *row) for row in wrong[["estimator", "inference", "share", "own", "failed"]].itertuples(index=False)]
    unexplained = [row for row in outside if not script.reason(*row[:3])]
    assert not unexplained, unexplained
