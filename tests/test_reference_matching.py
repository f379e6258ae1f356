"""Pairs, sets, strata, weights, calipers, scores, balance and effects against R's MatchIt: tests/reference/matchit_units."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from valid_sample import check_matched_sample

from pipeval.data.panel import NEVER
from pipeval.did.matched_effect import matched_effect
from pipeval.matching.balance import balance_table
from pipeval.matching.match import match
from pipeval.study.match_spec import PAIRS, STRATA, MatchSpec

HERE = Path(__file__).parent
STORED = json.loads((HERE / "reference/matchit_units/expected.json").read_text(encoding="utf-8"))
EXPECTED = STORED["cases"] | json.loads((HERE / "reference/matchit_units/expected_sets.json").read_text(encoding="utf-8"))["cases"]
BASE = {"covariates": ("x1", "x2", "x3", "x4", "exporter", "sector"), "method": "nearest"}
SCORE, LINEAR = {"distance": "probability"}, {"distance": "linear_predictor"}
MAHALANOBIS = {"distance": "mahalanobis"}
EDGES = {"x1": (-1.0, 0.0, 1.0), "x2": (-1.0, 0.0, 1.0), "x3": (0.7, 1.0, 1.5), "x4": (-0.5, 0.5)}
CASES = {
    "nn": SCORE,
    "nn_smallest": SCORE | {"order": "smallest"},
    "nn_data": SCORE | {"order": "data"},
    "nn_closest": SCORE | {"order": "closest"},
    "nn_linear": LINEAR,
    "nn_probit": SCORE | {"link": "probit"},
    "nn_replace": SCORE | {"replace": True},
    "nn_ratio3": SCORE | {"ratio": 3},
    "nn_ratio2_replace": SCORE | {"ratio": 2, "replace": True},
    "nn_ratio_variable": SCORE | {"ratio": 2, "ratio_range": (1, 4)},
    "nn_reuse2": SCORE | {"replace": True, "reuse": 2},
    "nn_caliper02_linear": LINEAR | {"caliper": 0.2},
    "nn_caliper_x1": SCORE | {"caliper": 0.1, "calipers": {"x1": 0.3}},
    "nn_exact_sector": SCORE | {"exact": ("sector",)},
    "nn_exact_sector_region": LINEAR | {"caliper": 0.25, "exact": ("sector", "region")},
    "nn_antiexact_region": SCORE | {"antiexact": ("region",)},
    "nn_atc": SCORE | {"estimand": "atc", "replace": True},
    "discard_both": SCORE | {"support": "minmax"},
    # without a score MatchIt takes the firms in the order of the data
    "maha": MAHALANOBIS | {"order": "data"},
    "maha_replace": MAHALANOBIS | {"replace": True},
    "maha_exact_caliper": MAHALANOBIS | {"order": "data", "exact": ("sector",), "calipers": {"x1": 0.5}},
    "robust_maha": {"distance": "robust_mahalanobis", "order": "data"},
    "scaled_euclid": {"distance": "scaled_euclidean", "order": "data"},
    "mahvars": MAHALANOBIS
    | {"distance_covariates": ("x1", "x2", "x3", "x4"), "calipers": {"probability": EXPECTED["mahvars"]["caliper"]["1"]}},
    "optimal": SCORE | {"method": "optimal"},
    "optimal2": SCORE | {"method": "optimal", "ratio": 2},
    "full": SCORE | {"method": "full"},
    "subclass6": SCORE | {"method": "subclass", "subclasses": 6},
    "subclass5_ate": SCORE | {"method": "subclass", "subclasses": 5, "estimand": "ate"},
    "cem": {"method": "cem", "cutpoints": EDGES},
    "exact": {"method": "cem", "covariates": (), "exact": ("sector", "exporter", "region")},
}
MINIMISED = ("optimal", "optimal2", "full")
"""MatchIt minimises these to a tolerance: ours must cost no more, and need not be the same sets."""

SAME = [c for c in CASES if c not in MINIMISED]
COLUMNS = {
    "Means Treated": "mean_treated",
    "Means Control": "mean_control",
    "Std. Mean Diff.": "smd",
    "Var. Ratio": "variance_ratio",
    "eCDF Mean": "ecdf_mean",
    "eCDF Max": "ecdf_max",
}


@pytest.fixture(scope="module")
def units() -> pd.DataFrame:
    found = pd.read_csv(HERE / "reference/matchit_units/units.csv", index_col="unit").rename_axis("firm_id")
    return found.assign(cohort=np.where(found["treat"] == 1, 2004.0, NEVER))


@pytest.fixture(scope="module")
def firms(units) -> pd.DataFrame:
    return units.drop(columns=["treat", "y"])


@pytest.fixture(scope="module")
def samples(firms) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the support rule says whom it leaves out: tested in test_matching
        return {case: match(firms, MatchSpec(**(BASE | choices))) for case, choices in CASES.items()}


def by_seeker(sample) -> dict[str, list[str]]:
    """Who each firm that sought was given, in the order found."""
    seeks, serves = ("control_id", "treated_id") if sample.spec.estimand == "atc" else ("treated_id", "control_id")
    return sample.pairs.sort_values("rank", kind="stable").groupby(seeks)[serves].agg(list).to_dict()


def theirs(case: str) -> dict[str, list[str]]:
    return {firm: found.split() for firm, found in EXPECTED[case]["pairs"].items()}


def test_every_stored_case_is_checked():
    assert set(CASES) == set(EXPECTED)


@pytest.mark.parametrize("case", CASES)
def test_sample_is_valid(case, samples, firms):
    check_matched_sample(samples[case], firms)


def test_scores(samples, firms):
    np.testing.assert_allclose(samples["nn"].scores[firms.index], STORED["scores"]["probability"], atol=1e-6)


def test_probit_scores_are_likelier_than_theirs(samples, firms):
    """R's glm stops at a relative change of 1e-8 in the deviance, five digits from the maximum: ours lies above it, beside theirs."""
    treated = np.isfinite(firms["cohort"]).to_numpy()
    ours, stored = samples["nn_probit"].scores[firms.index].to_numpy(), np.array(STORED["scores"]["probit"])
    likelihood = [np.log(np.where(treated, p, 1 - p)).sum() for p in (ours, stored)]
    assert 0 <= likelihood[0] - likelihood[1] < 1e-5
    assert np.abs(ours - stored).max() < 1e-5


@pytest.mark.parametrize("case", [c for c in SAME if "pairs" in EXPECTED[c]])
def test_pairs_are_the_same_to_the_last(case, samples):
    assert by_seeker(samples[case]) == theirs(case)


@pytest.mark.parametrize("case", [c for c in SAME if "subclass" in EXPECTED[c]])
def test_strata_are_the_same(case, samples, firms):
    stored = pd.Series(EXPECTED[case]["subclass"].split(), index=firms.index)
    stored = stored[stored != "."]
    ours = samples[case].sets.set_index("firm_id")["set_id"]
    assert set(ours.index) == set(stored.index)
    both = pd.DataFrame({"ours": ours, "stored": stored}).drop_duplicates()
    assert len(both) == both["ours"].nunique() == both["stored"].nunique()


@pytest.mark.parametrize("case", [c for c in SAME if "weights" in EXPECTED[c]])
def test_weights(case, samples, firms):
    """MatchIt scales an arm's weights to a mean of one; ours follow the estimand."""
    stored = pd.Series(EXPECTED[case]["weights"], index=firms.index)
    ours = samples[case].weights.droplevel("cohort").reindex(firms.index).fillna(0.0)
    for arm in (np.isinf(firms["cohort"]), np.isfinite(firms["cohort"])):
        np.testing.assert_allclose(ours[arm] / ours[arm].mean(), stored[arm] / stored[arm].mean(), atol=1e-8)


@pytest.mark.parametrize("case", ["nn_caliper02_linear", "nn_exact_sector_region", "nn_caliper_x1"])
def test_caliper_is_in_deviations_of_all_scores(case, samples):
    assert samples[case].caliper == pytest.approx(EXPECTED[case]["caliper"]["1"], abs=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_balance(case, samples, firms):
    sample = samples[case]
    stored = {}
    if sample.spec.estimand == "att":
        stored["before"] = STORED["balance_before"]
    if case in SAME:  # else other pairs, of smaller distance
        stored["after"] = EXPECTED[case]["balance_after"]
    ours = balance_table(firms.assign(propensity_score=sample.scores), sample, ["propensity_score", *firms.columns.drop("cohort")])
    ours = ours.set_index(["covariate", "sample"])
    for when, rows in stored.items():
        for name, row in rows.items():
            if name == "distance" and (sample.spec.distance != "probability" or sample.spec.link == "probit"):
                continue  # theirs is of the linear predictor, our table shows the probability
            key = {"distance": "propensity_score"}.get(name, name.replace("sector", "sector="))
            kept = [c for c in COLUMNS if c in row]
            reference = np.array([np.nan if row[c] is None else row[c] for c in kept], float)
            tolerance = 1e-6 if name == "distance" else 1e-8  # the score is iterated, all else is in closed form
            np.testing.assert_allclose(ours.loc[(key, when), [COLUMNS[c] for c in kept]].to_numpy(float), reference, atol=tolerance)
    if case in SAME and sample.spec.estimand == "att":
        control, counted = ours.loc[("x1", "after")], EXPECTED[case]["nn"]
        assert control["ess_control"] == pytest.approx(counted["Matched (ESS)"]["Control"], abs=1e-8)
        assert control["n_control"] == counted["Matched"]["Control"]


@pytest.mark.parametrize("case", SAME)
def test_effect(case, samples, units):
    """The difference in weighted means; where MatchIt's error is by set, ours is the same but for its factor (n − 1)/(n − 2)."""
    sample = samples[case]
    row = matched_effect(sample, units["y"]).table.iloc[0]
    stored = EXPECTED[case]["effect"]
    assert row["estimate"] == pytest.approx(stored["estimate"], abs=1e-8)
    if stored["vcov"] == "vcovCL subclass" and sample.clusters_are_sets:
        n = row["n_treated"] + row["n_control"]
        assert row["std_error"] * np.sqrt((n - 1) / (n - 2)) == pytest.approx(stored["se"], abs=1e-8)


@pytest.mark.parametrize("case", MINIMISED)
def test_minimised_costs_no_more_than_theirs(case, samples, firms):
    score = samples[case].scores
    if case == "full":
        stored = pd.DataFrame({"set": EXPECTED[case]["subclass"].split(), "x": score[firms.index].to_numpy()}, index=firms.index)
        treated = np.isfinite(firms["cohort"])
        total = 0.0
        for _, group in stored.groupby("set"):
            one, other = (group.loc[treated[group.index] == arm, "x"].to_numpy() for arm in (True, False))
            assert min(len(one), len(other)) == 1
            total += np.abs(one[:, None] - other).sum()
    else:
        total = sum(abs(score[t] - score[c]) for t, found in theirs(case).items() for c in found)
        assert len(samples[case].pairs) == sum(map(len, theirs(case).values()))
    assert samples[case].pairs["distance"].sum() <= total + 1e-9
    if case == "optimal":
        assert samples[case].pairs["distance"].sum() < samples["nn"].pairs["distance"].sum()


def test_kinds_are_covered(samples):
    assert {s.spec.method for s in samples.values()} == {*PAIRS, *STRATA, "full"}
