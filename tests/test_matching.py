"""Matching: what is true of every matched sample, hand examples, naive twins, invariances, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from valid_sample import check_matched_sample

from pipeval.data.panel import NEVER, Panel
from pipeval.errors import DataError, DesignError, EstimationError, PipevalWarning
from pipeval.matching.balance import balance_table, effective_sample_size, match_summary, overlap_table
from pipeval.matching.match import match
from pipeval.matching.pool import comparable, pool_table
from pipeval.matching.propensity import propensity
from pipeval.study.match_spec import MatchSpec
from pipeval.study.specs import Treatment


def made(n_treated: int, n_control: int, seed: int = 0, ties: bool = False) -> pd.DataFrame:
    """Firms with trends in size; with `ties`, covariates of few values."""
    rng = np.random.default_rng(seed)
    n = n_treated + n_control
    frame = pd.DataFrame(
        {
            "cohort": np.r_[rng.choice([2004.0, 2005.0, 2006.0], n_treated), np.full(n_control, NEVER)],
            "size": rng.normal(size=n) + np.r_[np.full(n_treated, 0.5), np.zeros(n_control)],
            "age": rng.normal(size=n),
            "chamber": rng.random(n) < 0.4,
            "branch": rng.choice(["ceramics", "footwear", "leather"], n),
            "town": rng.choice(["Leon", "Celaya", None], n, p=[0.5, 0.3, 0.2]),
        },
        index=pd.Index([f"F{i:04d}" for i in range(n)], name="firm_id"),
    )
    if ties:
        frame[["size", "age"]] = frame[["size", "age"]].round(0)
    return frame.sample(frac=1, random_state=seed)


COVARIATES = ("size", "age", "chamber", "branch")
DESIGNS = {
    "optimal": {"caliper": 0.25},
    "optimal_exact": {"exact": ("branch", "chamber"), "covariates": ("size", "age"), "caliper": 0.25},
    "optimal_wide": {"distance": "probability"},
    "optimal_narrow": {"caliper": 0.01},
    "optimal_two": {"ratio": 2, "caliper": 0.3, "exact": ("branch",)},
    "optimal_mahalanobis": {"distance": "mahalanobis", "caliper": 0.4},
    "optimal_apart": {"antiexact": ("town",), "caliper": 0.5, "ratio": 2},
    "nearest": {"method": "nearest", "caliper": 0.25},
    "nearest_smallest": {"method": "nearest", "order": "smallest"},
    "nearest_data": {"method": "nearest", "order": "data", "exact": ("branch",)},
    "nearest_closest": {"method": "nearest", "order": "closest", "caliper": 0.5},
    "nearest_random": {"method": "nearest", "order": "random", "seed": 7},
    "nearest_ratio": {"method": "nearest", "ratio": 3, "exact": ("branch",), "caliper": 0.25},
    "nearest_variable": {"method": "nearest", "ratio": 1, "ratio_range": (1, 3)},
    "nearest_narrow": {"method": "nearest", "caliper": 0.01},
    "nearest_raw": {"method": "nearest", "caliper": 0.05, "caliper_unit": "raw", "distance": "probability"},
    "nearest_probit": {"method": "nearest", "link": "probit", "caliper": 0.2},
    "nearest_calipers": {"method": "nearest", "distance": "mahalanobis", "calipers": {"size": 0.4, "probability": 0.2}},
    "nearest_robust": {"method": "nearest", "distance": "robust_mahalanobis", "exact": ("branch",), "covariates": ("size", "age")},
    "nearest_euclidean": {"method": "nearest", "distance": "scaled_euclidean", "order": "closest", "antiexact": ("town",)},
    "nearest_own": {"method": "nearest", "distance": "column", "distance_column": "age", "caliper": 0.3},
    "nearest_backups": {"method": "nearest", "caliper": 0.5, "backups": 2},
    "nearest_mixed": {"method": "nearest", "distance": "mahalanobis", "distance_covariates": ("age",), "caliper": 0.2},
    "never_together": {
        "method": "nearest",
        "never_together": (("F0001", "F0060", "F0061"), ("F0001", "F0070"), ("F0002", "F0071")),
    },
    "replace": {"method": "nearest", "replace": True, "caliper": 0.25},
    "replace_ratio": {"method": "nearest", "replace": True, "ratio": 4, "exact": ("branch",), "caliper": 0.1},
    "replace_capped": {"method": "nearest", "replace": True, "reuse": 3, "ratio": 2},
    "full": {"method": "full"},
    "full_caliper": {"method": "full", "caliper": 0.1, "exact": ("branch",)},
    "full_mahalanobis": {"method": "full", "distance": "mahalanobis", "calipers": {"size": 0.5}},
    "subclass": {"method": "subclass", "subclasses": 4},
    "cem": {"method": "cem", "covariates": ("size", "age", "branch"), "cutpoints": {"size": 4, "age": (-0.5, 0.5)}},
    "exact": {"method": "cem", "covariates": (), "exact": ("branch", "chamber")},
    "ipw": {"method": "ipw"},
    "ebal": {"method": "ebal", "covariates": ("size", "age", "chamber")},
    "cbps": {"method": "cbps", "covariates": ("size", "age")},
    "minmax": {"method": "nearest", "support": "minmax"},
    "crump": {"method": "full", "support": "crump"},
}
ONE_COHORT = {
    "atc": {"method": "nearest", "estimand": "atc", "replace": True},
    "atc_optimal": {"estimand": "atc", "caliper": 0.5},
    "atc_full": {"method": "full", "estimand": "atc"},
    "ate_full": {"method": "full", "estimand": "ate"},
    "ate_subclass": {"method": "subclass", "estimand": "ate"},
    "atc_cem": {"method": "cem", "covariates": ("size", "branch"), "estimand": "atc"},
    "ate_ipw": {"method": "ipw", "estimand": "ate"},
    "ato": {"method": "ipw", "estimand": "ato"},
    "atc_ebal": {"method": "ebal", "estimand": "atc", "covariates": ("size", "age")},
    "ate_cbps": {"method": "cbps", "estimand": "ate", "covariates": ("size", "age")},
}


def spec(**choices) -> MatchSpec:
    return MatchSpec(**({"covariates": COVARIATES} | choices))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.filterwarnings("ignore::pipeval.errors.PipevalWarning")
def test_every_design_makes_a_valid_sample(design, ties):
    firms = made(50, 80, seed=3, ties=ties)
    firms.loc[firms.index[:5], "age"] = np.nan
    for until in (None, 2005):
        check_matched_sample(match(firms, spec(**DESIGNS[design]), until=until), firms, until=until)


@pytest.mark.parametrize("design", ONE_COHORT)
def test_every_estimand_of_one_cohort_makes_a_valid_sample(design):
    firms = made(50, 80, seed=3)
    firms["cohort"] = firms["cohort"].where(np.isinf(firms["cohort"]), 2004)
    check_matched_sample(match(firms, spec(**ONE_COHORT[design])), firms)
    with pytest.raises(DesignError, match="with 3 entry cohorts .* no entry year"):
        match(made(50, 80, seed=3), spec(**ONE_COHORT[design]))


# --- hand examples -----------------------------------------------------------------------------------------------------------


def five() -> pd.DataFrame:
    """Treated at 5 and 4, controls at 4.4, 6.5 and 0: the score rises with x, so that distances are proportional to those of x."""
    ids = pd.Index(["t5", "t4", "c44", "c65", "c0"], name="firm_id")
    return pd.DataFrame({"cohort": [2004, 2005, NEVER, NEVER, NEVER], "x": [5.0, 4.0, 4.4, 6.5, 0.0]}, index=ids)


def pairs_of(sample) -> dict:
    return sample.pairs.groupby("treated_id")["control_id"].agg(list).to_dict()


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"method": "nearest"}, {"t5": ["c44"], "t4": ["c65"]}),  # .6 + 2.5: the first takes what the second needs
        ({"method": "nearest", "order": "smallest"}, {"t4": ["c44"], "t5": ["c65"]}),
        ({"method": "nearest", "order": "data"}, {"t5": ["c44"], "t4": ["c65"]}),
        ({"method": "optimal"}, {"t4": ["c44"], "t5": ["c65"]}),  # .4 + 1.5
        ({"method": "nearest", "replace": True}, {"t5": ["c44"], "t4": ["c44"]}),
        ({"method": "nearest", "replace": True, "ratio": 2}, {"t5": ["c44", "c65"], "t4": ["c44", "c65"]}),
        ({"method": "nearest", "ratio": 2}, {"t5": ["c44", "c0"], "t4": ["c65"]}),  # one each in the first round
    ],
)
def test_five_firms_by_hand(choices, expected):
    sample = match(five(), spec(covariates=("x",), caliper=None, **choices))
    assert pairs_of(sample) == expected
    check_matched_sample(sample, five())


def test_a_control_of_two_cohorts_weighs_in_each():
    sample = match(five(), spec(covariates=("x",), caliper=None, method="nearest", replace=True))
    assert sample.weights.to_dict() == {(2004, "c44"): 1, (2004, "t5"): 1, (2005, "c44"): 1, (2005, "t4"): 1}
    assert sample.clusters.to_dict() == {"c44": "c44", "t4": "t4", "t5": "t5"}


def test_reasons_by_hand():
    firms = five().assign(branch=["a", "b", "a", "a", "a"])
    assert match(firms, spec(covariates=("x",), exact=("branch",), caliper=None)).unmatched.to_numpy().tolist() == [
        ["c0", "control", "not_chosen"],
        ["c65", "control", "not_chosen"],
        ["t4", "treated", "no_partner_in_exact_cell"],
    ]
    sample = match(five().drop("c65"), spec(covariates=("x",), method="nearest", caliper=0.5))
    assert sample.unmatched.set_index("firm_id")["reason"]["t4"] == "pool_exhausted" or pairs_of(sample) == {"t4": ["c44"]}
    assert match_summary(sample)["n_firms"].sum() == 4
    far = pd.concat([five(), pd.DataFrame({"cohort": [2004.0], "x": [20.0]}, index=["t20"])])
    sample = match(far, spec(covariates=("x",), caliper=0.4))
    assert sample.unmatched.set_index("firm_id")["reason"]["t20"] == "caliper"
    check_matched_sample(sample, far)


def test_later_cohorts_are_neither_matched_nor_used():
    sample = match(five(), spec(covariates=("x",), caliper=None), until=2004)
    assert sample.unmatched.set_index("firm_id")["reason"]["t4"] == "later_cohort"
    alone = match(five().drop("t4"), spec(covariates=("x",), caliper=None))
    pd.testing.assert_series_equal(sample.scores, alone.scores)
    pd.testing.assert_frame_equal(balance_table(five(), sample), balance_table(five().drop("t4"), alone))


# --- invariances -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_optimal_never_costs_more_than_greedy(seed):
    firms = made(80, 160, seed=seed)
    greedy, best = (match(firms, spec(method=m, exact=("branch",))) for m in ("nearest", "optimal"))
    assert len(best.pairs) >= len(greedy.pairs)
    if len(best.pairs) == len(greedy.pairs):
        assert best.pairs["distance"].sum() <= greedy.pairs["distance"].sum() + 1e-12


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("design", [d for d in DESIGNS if d != "nearest_data"])
@pytest.mark.filterwarnings("ignore::pipeval.errors.PipevalWarning")
def test_the_order_of_rows_decides_nothing(design, ties):
    firms = made(60, 120, seed=4, ties=ties)
    one, other = (match(f, spec(**DESIGNS[design])) for f in (firms, firms.sample(frac=1, random_state=9)))
    pd.testing.assert_frame_equal(one.sets, other.sets)
    pd.testing.assert_frame_equal(one.unmatched, other.unmatched)


def test_order_data_follows_the_rows():
    firms = five()
    backwards = spec(covariates=("x",), caliper=None, method="nearest", order="data")
    assert pairs_of(match(firms.iloc[::-1], backwards)) == {"t4": ["c44"], "t5": ["c65"]} != pairs_of(match(firms, backwards))


@pytest.mark.parametrize("design", [d for d in DESIGNS if d not in ("nearest_random", "never_together")])  # by the firms' ids
@pytest.mark.filterwarnings("ignore::pipeval.errors.PipevalWarning")
def test_names_units_and_later_outcomes_decide_nothing(design):
    firms = made(60, 120, seed=5)
    asked = spec(**DESIGNS[design])
    plain = match(firms, asked)
    new_name = dict(zip(firms.index, np.random.default_rng(1).permutation([f"x{i}" for i in range(len(firms))])))
    others = [match(firms.assign(sales_2006=np.random.default_rng(2).normal(size=len(firms))), asked)]
    renamed = match(firms.rename(new_name), asked)
    others.append(dataclasses.replace(renamed, sets=renamed.sets.replace({v: k for k, v in new_name.items()})))
    if not asked.calipers and not asked.cutpoints:  # in the unit of a column
        unit = {"size": firms["size"] * 1e6 - 3, "age": firms["age"] / 1e4}
        others.append(match(firms.assign(**unit), asked))
    for other in others:
        if (
            design == "optimal_apart"
        ):  # on a line, sets that swap partners may cost the same: the least total is one, the sets are not
            assert other.sets["distance"].sum() == pytest.approx(plain.sets["distance"].sum())
        else:
            pd.testing.assert_series_equal(other.weights.sort_index(), plain.weights, atol=1e-7)


@pytest.mark.parametrize("dtype", ["Float64", "double[pyarrow]", "object"])
def test_the_storage_of_a_number_decides_nothing(dtype):
    firms = made(40, 80, seed=6)
    firms.loc[firms.index[0], "size"] = np.nan
    other = firms.astype({"size": dtype})
    if dtype == "object":
        other.loc[firms.index[0], "size"] = None
    other["chamber"] = other["chamber"].astype("boolean")
    pd.testing.assert_frame_equal(match(firms, spec()).sets, match(other, spec()).sets)


# --- propensity --------------------------------------------------------------------------------------------------------------


def test_the_score_is_the_logit_of_statsmodels():
    import statsmodels.api as sm

    firms = made(80, 200, seed=7)
    treated = np.isfinite(firms["cohort"])
    fit = propensity(treated, firms[list(COVARIATES)])
    design = firms[["size", "age"]].assign(chamber=firms["chamber"] * 1.0)
    design = design.assign(footwear=(firms["branch"] == "footwear") * 1.0, leather=(firms["branch"] == "leather") * 1.0)
    other = sm.Logit(treated * 1.0, sm.add_constant(design)).fit(disp=0, tol=1e-12)
    assert fit.coefficients["covariate"].tolist() == ["constant", "size", "age", "chamber", "branch=footwear", "branch=leather"]
    for name, numbers in {"estimate": other.params, "std_error": other.bse, "p_value": other.pvalues}.items():
        np.testing.assert_allclose(fit.coefficients[name], numbers, rtol=1e-6)
    np.testing.assert_allclose(fit.scores, other.predict(), rtol=1e-6)


def test_separation_names_the_covariate():
    firms = made(40, 80, seed=8)
    treated = np.isfinite(firms["cohort"])
    grown = firms.assign(grown=np.where(treated, 1.0 + firms["size"] ** 2, -(firms["age"] ** 2)))
    with pytest.raises(EstimationError, match=r"'grown' is never lower among the treated.*separation.*exactly on that"):
        match(grown, spec(covariates=("size", "grown")))
    quasi = firms.assign(listed=treated & firms["chamber"])
    with pytest.raises(EstimationError, match="'listed' is never lower among the treated"):
        match(quasi, spec(covariates=("size", "listed")))
    town = firms.assign(town=np.where(treated & firms["chamber"], "A", firms["branch"]))
    with pytest.raises(EstimationError, match="firms with town = A are treated"):
        match(town, spec(covariates=("size", "town")))


def test_a_combination_that_separates_is_named():
    rng = np.random.default_rng(0)
    x, gap = rng.normal(size=60), np.r_[rng.uniform(0.1, 1, 30), -rng.uniform(0.1, 1, 30)]
    firms = pd.DataFrame({"cohort": np.r_[np.full(30, 2004.0), np.full(30, NEVER)], "a": x, "b": gap - x, "z": rng.normal(size=60)})
    with pytest.raises(EstimationError, match=r"a combination of a, b.*tells treated from control"):
        match(firms, spec(covariates=("a", "b", "z")))


def test_constant_and_collinear_covariates_are_named():
    firms = made(30, 60, seed=9)
    with pytest.raises(DesignError, match="constant: one"):
        match(firms.assign(one=3.0), spec(covariates=("size", "one")))
    with pytest.raises(DesignError, match="constant: country"):
        match(firms.assign(country="mx"), spec(covariates=("size", "country")))
    with pytest.raises(DesignError, match="'total' is one of size, age"):
        match(firms.assign(total=2 * firms["size"] - firms["age"] + 1), spec(covariates=("size", "chamber", "age", "total")))


def test_what_cannot_be_matched_is_refused():
    firms = made(30, 60, seed=9)
    with pytest.raises(DesignError, match=r"'siz' is not one\. Did you mean 'size'"):
        match(firms, spec(covariates=("siz",)))
    with pytest.raises(DataError, match=r"repeated: 1 firm \(F00"):
        match(pd.concat([firms, firms.iloc[:1]]), spec())
    with pytest.raises(DataError, match=r"covariate 'size' must be finite.*1 firm .F00"):
        match(firms.assign(size=[np.inf, *firms["size"].iloc[1:]]), spec())
    with pytest.raises(DesignError, match=r"found 30 treated of 30 and 0 controls of 60"):
        match(firms.assign(age=firms["age"].where(np.isfinite(firms["cohort"]))), spec())
    with pytest.raises(DesignError, match=r"found 0 treated \(cohorts up to 2000\)"):
        match(firms, spec(), until=2000)
    with pytest.raises(DesignError, match="no firm found a partner: 30 with nobody of the other arm in their exact cell"):
        match(firms.assign(arm=np.isfinite(firms["cohort"])), spec(exact=("arm",)))
    with pytest.raises(DataError, match="cohort must be a period"):
        match(firms.assign(cohort=np.nan), spec())


def test_matching_on_an_outcome_is_noted():
    firms = made(30, 60, seed=10)
    with pytest.warns(PipevalWarning, match=r"pre-programme level of an outcome \(size\).*regression to the mean"):
        sample = match(firms, spec(), outcome_levels=["size", "sales"])
    assert [n.key for n in sample.notes] == ["match_on_outcome_level"] and "note: controls are matched" in repr(sample)
    with pytest.warns(PipevalWarning, match=r"change of an outcome \(age\).*no evidence"):
        sample = match(firms, spec(), outcome_growth=["age"])
    assert [n.key for n in sample.notes] == ["match_on_growth"]
    assert match(firms, spec(), outcome_levels=["sales"]).notes == ()


def test_a_sample_shows_itself():
    firms = made(30, 60, seed=11)
    sample = match(firms, spec(exact=("branch",), caliper=0.25))
    assert "optimal 1:1 on the linear_predictor, without replacement, caliper 0.25 sd, exact branch" in repr(sample)
    assert repr(sample).startswith(f"MatchedSample: {len(sample.pairs)} treated of 30 with {len(sample.pairs)} controls")
    assert "<table" in sample._repr_html_()


# --- balance -----------------------------------------------------------------------------------------------------------------


def test_balance_by_hand():
    firms = pd.DataFrame(
        {
            "cohort": [2004, 2004, NEVER, NEVER, NEVER],
            "x": [2.0, 4.0, 1.0, 3.0, np.nan],
            "yes": [1, 0, 0, 0, 1],
            "k": ["u", "v", "u", "u", "v"],
        },
        index=list("abcde"),
    )
    table = balance_table(firms, pd.Series({"a": 1.0, "b": 1.0, "c": 0.5, "d": 1.5})).set_index(["covariate", "sample"])
    assert table.index.get_level_values(0).unique().tolist() == ["x", "yes", "k=u", "k=v"]
    before, after = table.loc[("x", "before")], table.loc[("x", "after")]
    assert before[["mean_treated", "mean_control", "n_control"]].tolist() == [3, 2, 2]
    assert before["sd_treated"] == after["sd_treated"] == pytest.approx(np.sqrt(2))
    assert before["smd"] == pytest.approx(1 / np.sqrt(2)) and before["variance_ratio"] == 1
    # control mass .5 at 1 and 1.5 at 3, treated 1 at 2 and at 4: steps −.25, .25, −.5, 0
    assert after["mean_control"] == 2.5 and after["ecdf_max"] == after["ks"] == 0.5 and after["ecdf_mean"] == 0.25
    assert after["ess_control"] == pytest.approx(4 / 2.5) and after["ess_treated"] == 2
    # Σw(x − x̄)² = .5·2.25 + 1.5·.25 = 1.5, times 2 / (4 − 2.5)
    assert after["variance_ratio"] == pytest.approx(2 / (1.5 * 2 / 1.5))
    yes = table.loc[("yes", "before")]
    assert yes["sd_treated"] == 0.5 and yes["ks"] == pytest.approx(1 / 2 - 1 / 3) and np.isnan(yes["variance_ratio"])


def test_balance_is_undefined_not_zero():
    firms = pd.DataFrame({"cohort": [2004, 2004, NEVER, NEVER], "x": [2.0, 2.0, 1.0, 3.0]}, index=list("abcd"))
    table = balance_table(firms, pd.Series({"a": 1.0}))
    assert table["smd"].isna().all() and np.isnan(table.loc[1, "mean_control"]) and np.isnan(table.loc[1, "ks"])
    assert np.isnan(effective_sample_size([0, 0]))
    with pytest.raises(DesignError, match="Did you mean 'x'"):
        balance_table(firms, pd.Series({"a": 1.0}), ["xx"])


def test_balance_of_a_sample_reads_score_covariates_and_exact_variables():
    firms = made(60, 120, seed=12)
    sample = match(firms, spec(covariates=("size", "age"), exact=("branch",)))
    table = balance_table(firms, sample)
    names = ["propensity_score", "size", "age", "branch=ceramics", "branch=footwear", "branch=leather"]
    assert table["covariate"].unique().tolist() == names
    after = table[table["sample"] == "after"].set_index("covariate")
    np.testing.assert_allclose(after.loc[names[3:], "smd"], 0, atol=1e-12)
    by_pairs = firms.loc[sample.pairs["control_id"], "size"].mean()
    assert after.loc["size", "mean_control"] == pytest.approx(by_pairs)
    only = balance_table(firms.assign(change=firms["size"] ** 2), sample, ["change"])
    assert only["covariate"].tolist() == ["change", "change"]


def test_balance_adds_a_control_over_cohorts():
    firms = pd.concat([five(), pd.DataFrame({"cohort": [2005.0], "x": [6.4]}, index=["t64"])])
    sample = match(firms, spec(covariates=("x",), caliper=None, method="nearest", replace=True))
    assert pairs_of(sample) == {"t4": ["c44"], "t5": ["c44"], "t64": ["c65"]}
    after = balance_table(firms, sample, ["x"]).set_index("sample").loc["after"]
    assert after["mean_control"] == pytest.approx((2 * 4.4 + 6.5) / 3)
    assert (after["n_control"], after["ess_control"]) == (2, pytest.approx(9 / 5))


def test_overlap_counts_every_firm_once():
    firms = made(60, 120, seed=13)
    sample = match(firms, spec())
    table = overlap_table(sample.scores, np.isfinite(firms["cohort"]), sample.weights, bins=7)
    assert table["n_treated"].sum() == 60 and table["n_control"].sum() == 120
    assert table["weight_control"].sum() == pytest.approx(len(sample.pairs))
    assert (table["bin_low"].iloc[1:].to_numpy() == table["bin_high"].iloc[:-1].to_numpy()).all()
    summary = match_summary(sample).set_index(["role", "status"])
    assert summary.loc[("control", "matched"), "ess"] == pytest.approx(len(sample.pairs)) and summary["n_firms"].sum() == 180


# --- pool --------------------------------------------------------------------------------------------------------------------


def pool_panel(**columns) -> Panel:
    firms = pd.DataFrame(
        {
            "cohort": [2004, 2005, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER],
            "arm": ["beneficiary"] * 3 + ["indirect"] + ["nonparticipant"] * 5,
            "branch": ["footwear", "footwear", "garment", "footwear", "footwear", "leather", "leather", "garment", "footwear"],
            "business_cluster": ["k1", None, "k2", None, "k2", None, None, None, "k9"],
            "other_programme": [True, False, False, False, True, True, False, False, None],
            "eligible": [True, False, True, True, True, False, False, True, None],
        },
        index=pd.Index(list("abcdefghi"), name="firm_id"),
    ).assign(**columns)
    outcomes = pd.DataFrame({"y": 1.0}, index=pd.MultiIndex.from_product([firms.index, [2003, 2004]], names=["firm_id", "period"]))
    return Panel(firms, outcomes)


def test_each_firm_leaves_the_pool_by_its_first_reason():
    panel = pool_panel()
    kept = comparable(panel, Treatment(reference_year=2006, branches=("footwear", "leather")))
    assert dict(zip(kept.ledger["firm_id"], kept.ledger["reason"])) == {
        "c": "other_beneficiary",
        "d": "indirect",
        "e": "same_cluster",  # of a beneficiary outside the definition, and before other_programme
        "f": "other_programme",
        "g": "ineligible",
        "h": "outside_branches",
    }
    assert kept.firms.index.tolist() == ["a", "b", "i"] and (kept.ledger["stage"] == "pool").all()
    table = pool_table(kept, panel.firms)
    assert table["reason"].tolist()[:2] == ["other_beneficiary", "indirect"]
    assert table.set_index(["reason", "arm"])["n"].to_dict() == {
        ("other_beneficiary", "beneficiary"): 1,
        ("indirect", "indirect"): 1,
        ("same_cluster", "nonparticipant"): 1,
        ("other_programme", "nonparticipant"): 1,
        ("ineligible", "nonparticipant"): 1,
        ("outside_branches", "nonparticipant"): 1,
        ("treated_in_other_programme", "beneficiary"): 1,
        ("kept", "beneficiary"): 2,
        ("kept", "nonparticipant"): 1,
    }


def test_rules_can_hold_for_the_treated_too():
    kept = comparable(pool_panel(), Treatment(reference_year=2006), controls_only=())
    assert kept.ledger.set_index("firm_id")["reason"].loc[["a", "b"]].tolist() == ["other_programme", "ineligible"]


def test_only_columns_present_are_applied():
    panel = pool_panel()
    bare = Panel(panel.firms[["cohort"]], panel.outcomes)
    kept = comparable(bare, Treatment(reference_year=2006, branches=("footwear",)))
    assert len(kept.firms) == 9 and len(kept.ledger) == 0
    assert pool_table(kept, bare.firms).to_numpy().tolist() == [["kept", "never_treated", 7], ["kept", "treated", 2]]
    listed = Panel(panel.firms[["cohort"]].assign(in_both_lists=[True] * 3 + [False] * 6), panel.outcomes)
    assert comparable(listed, Treatment(reference_year=2006)).ledger["firm_id"].tolist() == ["c"]


def test_a_word_is_not_a_yes():
    with pytest.raises(DataError, match="column 'other_programme' must hold yes or no as true and false"):
        comparable(pool_panel(other_programme="no"), Treatment(reference_year=2006))
