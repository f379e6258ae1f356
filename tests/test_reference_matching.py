"""Matched pairs, weights, calipers, scores and balance against R's MatchIt: tests/reference/matchit_*."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval.data.panel import NEVER
from pipeval.matching.balance import balance_table
from pipeval.matching.match import match
from pipeval.study.specs import MatchSpec

HERE = Path(__file__).parent
check_matched_sample = runpy.run_path(str(HERE / "test_matching.py"))["check_matched_sample"]
EXPECTED = json.loads((HERE / "reference/matchit_units/expected.json").read_text(encoding="utf-8"))
BASE = {
    "covariates": ("x1", "x2", "x3", "x4", "exporter", "sector"),
    "method": "nearest",
    "distance": "probability",
    "caliper": None,
}
CASES = {
    "nn": {},
    "nn_smallest": {"order": "smallest"},
    "nn_data": {"order": "data"},
    "nn_linear": {"distance": "logit"},
    "nn_replace": {"replace": True},
    "nn_ratio3": {"ratio": 3},
    "nn_ratio2_replace": {"ratio": 2, "replace": True},
    "nn_caliper02_linear": {"distance": "logit", "caliper": 0.2},
    "nn_exact_sector": {"exact": ("sector",)},
    "nn_exact_sector_region": {"distance": "logit", "caliper": 0.25, "exact": ("sector", "region")},
    "optimal": {"method": "optimal"},
}
COLUMNS = {
    "Means Treated": "mean_treated",
    "Means Control": "mean_control",
    "Std. Mean Diff.": "smd",
    "Var. Ratio": "variance_ratio",
    "eCDF Mean": "ecdf_mean",
    "eCDF Max": "ecdf_max",
}


@pytest.fixture(scope="module")
def firms() -> pd.DataFrame:
    units = pd.read_csv(HERE / "reference/matchit_units/units.csv", index_col="unit").rename_axis("firm_id")
    return units.assign(cohort=np.where(units["treat"] == 1, 2004.0, NEVER)).drop(columns=["treat", "y"])


@pytest.fixture(scope="module")
def samples(firms) -> dict:
    return {case: match(firms, MatchSpec(**(BASE | choices))) for case, choices in CASES.items()}


def partners(pairs: dict) -> dict[str, list[str]]:
    """MatchIt's pairs with its single values and blanks taken out."""
    lists = {t: [c for c in (found if isinstance(found, list) else [found]) if c] for t, found in pairs.items()}
    return {t: found for t, found in lists.items() if found}


@pytest.mark.parametrize("case", CASES)
def test_sample_is_valid(case, samples, firms):
    check_matched_sample(samples[case], firms)


def test_scores(samples, firms):
    np.testing.assert_allclose(samples["nn"].scores[firms.index], EXPECTED["scores"]["probability"], atol=1e-6)


@pytest.mark.parametrize("case", [c for c in CASES if c != "optimal"])
def test_pairs_are_the_same_to_the_last(case, samples):
    ours = samples[case].pairs.groupby("treated_id")["control_id"].agg(list).to_dict()
    assert ours == partners(EXPECTED["cases"][case]["pairs"])


@pytest.mark.parametrize("case", [c for c in CASES if "weights" in EXPECTED["cases"][c]])
def test_weights(case, samples):
    """MatchIt scales the weights of matched controls to a mean of one; ours sum to the number of treated."""
    theirs = pd.Series(EXPECTED["cases"][case]["weights"]).sort_index()
    ours = samples[case].weights.droplevel("cohort").reindex(theirs.index)
    np.testing.assert_allclose(ours / ours.mean(), theirs, atol=1e-8)
    assert len(theirs) == samples[case].pairs["control_id"].nunique()


@pytest.mark.parametrize("case", [c for c in CASES if "caliper" in EXPECTED["cases"][c]])
def test_caliper_is_in_deviations_of_all_scores(case, samples):
    assert samples[case].caliper == pytest.approx(EXPECTED["cases"][case]["caliper"], abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_balance(case, samples, firms):
    ours = balance_table(firms, samples[case]).set_index(["covariate", "sample"])
    stored = {"before": EXPECTED["balance_before"]}
    if case != "optimal":  # other pairs, of smaller distance
        stored["after"] = EXPECTED["cases"][case]["balance_after"]
    for sample, rows in stored.items():
        for name, row in rows.items():
            if name == "distance" and samples[case].spec.distance == "logit":
                continue  # theirs is of the logit, our table shows the probability
            key = {"distance": "propensity_score"}.get(name, name.replace("sector", "sector="))
            theirs = np.array([np.nan if row[column] is None else row[column] for column in COLUMNS])
            tolerance = 1e-6 if name == "distance" else 1e-8  # the score is iterated, all else is in closed form
            np.testing.assert_allclose(ours.loc[(key, sample), list(COLUMNS.values())].to_numpy(float), theirs, atol=tolerance)
    control = ours.loc[("x1", "after")]
    if case != "optimal":
        assert control["ess_control"] == pytest.approx(EXPECTED["cases"][case]["nn"]["Matched (ESS)"]["Control"], abs=1e-8)
        assert control["n_control"] == EXPECTED["cases"][case]["nn"]["Matched"]["Control"]


def test_optimal_costs_no_more_than_theirs(samples):
    """MatchIt's optimal solver stops at a tolerance; the true optimum lies below both it and greedy matching."""
    score = samples["optimal"].scores
    theirs = partners(EXPECTED["cases"]["optimal"]["pairs"])
    total = sum(abs(score[t] - score[c]) for t, found in theirs.items() for c in found)
    ours = samples["optimal"].pairs
    assert len(ours) == len(theirs)
    assert ours["distance"].sum() < total
    assert ours["distance"].sum() < samples["nn"].pairs["distance"].sum()
