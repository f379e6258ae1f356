"""Diagnostics of a control group: balance, joint test, distances, the map of pairs, distributions."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from pipeval.errors import DataError, DesignError
from pipeval.matching.balance import balance_table, short_balance
from pipeval.matching.distributions import ecdf_table, quantile_table, score_density_table, score_table
from pipeval.matching.match import match
from pipeval.matching.match_map import covariate_distance_table, distance_table, match_map, reason_table
from pipeval.matching.matched import MatchedSample
from pipeval.matching.orthogonality import orthogonality_table, orthogonality_test
from pipeval.matching.terms import terms
from pipeval.study.match_spec import MatchSpec

REFERENCE = Path(__file__).parent / "reference"
COBALT = json.loads((REFERENCE / "cobalt_units/expected.json").read_text(encoding="utf-8"))["cases"]
MATCHIT = json.loads((REFERENCE / "matchit_units/expected.json").read_text(encoding="utf-8"))["cases"]
COVARIATES = ("x1", "x2", "x3", "x4", "exporter", "sector")
COLUMNS = ["set_id", "cohort", "firm_id", "role", "rank", "distance", "weight"]


@pytest.fixture(scope="module")
def units() -> pd.DataFrame:
    table = pd.read_csv(REFERENCE / "matchit_units/units.csv", index_col="unit").rename_axis("firm_id")
    return table.assign(cohort=np.where(table["treat"] == 1, 2004.0, np.inf)).drop(columns=["treat", "y"])


@pytest.fixture(scope="module")
def pairs(units) -> MatchedSample:
    return match(units, MatchSpec(covariates=COVARIATES, method="nearest", caliper=0.2, ratio=2))


def small() -> pd.DataFrame:
    """Two cohorts, three controls; `f` enters too late to be among them."""
    firms = {
        "cohort": [2004.0, 2005.0, np.inf, np.inf, np.inf],
        "size": [1.0, 4.0, 2.0, 3.0, 9.0],
        "branch": ["leather", "footwear", "leather", "footwear", "leather"],
    }
    return pd.DataFrame(firms, index=pd.Index(list("abcde"), name="firm_id"))


def sample_of(rows: list[tuple], estimand: str = "att", method: str = "nearest", **parts) -> MatchedSample:
    """A sample of these rows of `sets`, whatever they are."""
    given = {
        "scores": pd.Series(dtype=float),
        "propensity": pd.DataFrame(),
        "unmatched": pd.DataFrame({"firm_id": [], "role": [], "reason": []}, dtype="str"),
    } | parts
    spec = MatchSpec(covariates=("size",), method=method, estimand=estimand)
    return MatchedSample(sets=pd.DataFrame(rows, columns=COLUMNS), spec=spec, **given)


def two_sets(**parts) -> MatchedSample:
    rows = [
        (1, 2004.0, "a", "treated", 0, np.nan, 1.0),
        (1, 2004.0, "c", "control", 1, 1.0, 0.5),
        (1, 2004.0, "d", "control", 2, 2.0, 0.5),
        (2, 2005.0, "b", "treated", 0, np.nan, 1.0),
        (2, 2005.0, "e", "control", 1, 5.0, 1.0),
    ]
    return sample_of(rows, **parts)


def weighted(firms: pd.DataFrame, weights: list, estimand: str) -> MatchedSample:
    """A weighting: one set of everyone."""
    treated = np.isfinite(firms["cohort"])
    sets = {"set_id": 1, "cohort": 2004.0, "firm_id": firms.index, "role": np.where(treated, "treated", "control")}
    sets = pd.DataFrame(sets | {"rank": 0, "distance": np.nan, "weight": weights})
    spec = MatchSpec(covariates=COVARIATES, method="ipw", estimand=estimand)
    nobody = pd.DataFrame({"firm_id": [], "role": [], "reason": []}, dtype="str")
    return MatchedSample(sets=sets, scores=pd.Series(dtype=float), propensity=pd.DataFrame(), unmatched=nobody, spec=spec)


# the table of balance


@pytest.mark.parametrize("case", COBALT)
def test_balance_is_that_of_cobalt(case, units):
    stored = COBALT[case]
    ours = balance_table(units, weighted(units, stored["weights"], stored["estimand"])).set_index(["sample", "covariate"])
    theirs = pd.DataFrame(stored["balance"]).query("var != 'prop.score'")
    names = theirs["var"].str.replace("sector_", "sector=")
    assert set(ours["denominator"]) == {{"att": "treated", "ate": "pooled"}[stored["estimand"]]}
    for sample, mark in (("before", "Un"), ("after", "Adj")):
        rows = ours.loc[sample].loc[names]
        for column, name in (("smd", "Diff"), ("variance_ratio", "V.Ratio"), ("ks", "KS")):
            expected = pd.to_numeric(theirs[f"{name}.{mark}"]).to_numpy(float)
            np.testing.assert_allclose(rows[column].to_numpy(float), expected, atol=1e-8)


def test_the_denominator_follows_the_estimand():
    firms = small()
    spreads = {"treated": np.std([1, 4], ddof=1), "control": np.std([2, 3, 9], ddof=1)}
    spreads["pooled"] = np.sqrt((spreads["treated"] ** 2 + spreads["control"] ** 2) / 2)
    for estimand, whose in (("att", "treated"), ("atc", "control"), ("ate", "pooled"), ("ato", "pooled")):
        table = balance_table(firms, sample_of(two_sets().sets.to_numpy().tolist(), estimand, "ipw"), ["size", "branch"])
        rows = table[table["covariate"] == "size"].set_index("sample")
        assert set(table["denominator"]) == {whose}
        np.testing.assert_allclose(rows["smd"], [(2.5 - 14 / 3) / spreads[whose], (2.5 - 5.75) / spreads[whose]], atol=1e-12)
        np.testing.assert_allclose(rows["sd_treated"], spreads["treated"], atol=1e-12)
    leather = table[table["covariate"] == "branch=leather"]["smd"].iloc[0]
    assert leather == pytest.approx((1 / 2 - 2 / 3) / np.sqrt((1 / 4 + 2 / 9) / 2))


def test_balance_by_hand_with_several_weights_and_a_missing_value():
    firms = small()
    firms.loc["e", "size"] = np.nan
    rows = balance_table(firms, two_sets(), ["size"]).set_index("sample")
    assert rows[["n_treated", "n_control"]].to_numpy().tolist() == [[2, 2], [2, 2]]
    after = rows.loc["after"]
    assert (after["mean_treated"], after["mean_control"], after["mean_difference"], after["ess_control"]) == (2.5, 2.5, 0, 2)
    # values 1 (t) 2 (c) 3 (c) 4 (t): |½|, |½ − ½|, |½ − 1|, 0
    assert (after["ecdf_mean"], after["ecdf_max"]) == pytest.approx((0.25, 0.5))


def test_distribution_distances_agree_with_a_naive_twin():
    rng = np.random.default_rng(3)
    firms = pd.DataFrame({"cohort": np.where(np.arange(90) < 30, 2004, np.inf), "x": rng.integers(0, 12, 90) / 2.0})
    firms.loc[5, "x"] = np.nan
    weights = pd.Series(rng.uniform(0, 2, 90) * rng.integers(0, 2, 90), index=firms.index)
    table = balance_table(firms, weights, ["x"]).set_index("sample")
    known = firms.dropna()
    for sample, w in (("before", pd.Series(1.0, index=firms.index)), ("after", weights)):
        gaps = []
        for value in np.unique(known["x"]):
            shares = []
            for arm in (np.isfinite(known["cohort"]), np.isinf(known["cohort"])):
                of_arm = w[known.index][arm]
                shares.append(of_arm[known["x"][arm] <= value].sum() / of_arm.sum())
            gaps.append(abs(shares[0] - shares[1]))
        found = table.loc[sample, ["ecdf_mean", "ecdf_max", "ks"]].to_numpy(float)
        np.testing.assert_allclose(found, [np.mean(gaps), max(gaps), max(gaps)], atol=1e-12)


def test_a_firm_is_treated_in_its_own_cohort_and_a_control_of_an_earlier_one():
    firms = small()
    rows = [
        (1, 2004.0, "a", "treated", 0, np.nan, 1.0),
        (1, 2004.0, "b", "control", 1, 3.0, 1.0),
        (2, 2005.0, "b", "treated", 0, np.nan, 1.0),
        (2, 2005.0, "c", "control", 1, 2.0, 1.0),
    ]
    sample = sample_of(rows)
    after = balance_table(firms, sample, ["size"]).set_index("sample").loc["after"]
    assert (after["mean_treated"], after["mean_control"]) == (2.5, 3.0)
    by_weights = balance_table(firms, sample.weights, ["size"]).set_index("sample").loc["after"]
    numbers = ["mean_treated", "mean_control", "smd", "ecdf_mean", "n_treated", "n_control"]
    pd.testing.assert_series_equal(by_weights[numbers], after[numbers])


def test_squares_and_products():
    firms = small().assign(exporter=[1, 0, 1, 0, 1], twice=[2.0, 8.0, 4.0, 6.0, 18.0])
    table = balance_table(firms, two_sets(), ["size", "branch", "exporter"], squares=True, interactions=True)
    assert table["covariate"].drop_duplicates().tolist() == [
        "size", "branch=footwear", "branch=leather", "exporter", "size^2", "size*branch=footwear", "size*branch=leather",
        # exporter is leather: its products repeat others or are constant
    ]  # fmt: skip
    square = table[table["covariate"] == "size^2"].set_index("sample")
    assert square.loc["before", "mean_treated"] == 8.5 and square.loc["after", "mean_control"] == (0.5 * (4 + 9) + 81) / 2
    missing = firms.assign(size=firms["size"].where(firms.index != "a"))
    values = dict(terms(missing, ["size", "exporter"], interactions=True))["size*exporter"]
    assert np.isnan(values[0]) and values[2] == 2


def test_the_default_score_is_neither_squared_nor_multiplied(pairs, units):
    names = balance_table(units, pairs, squares=True, interactions=True)["covariate"].unique()
    assert names[0] == "propensity_score" and not any("propensity_score" in n for n in names[1:])
    assert {"x1^2", "x1*x2", "exporter*sector=B"} <= set(names)
    assert not {"exporter^2", "sector=A*sector=B", "propensity_score^2"} & set(names)


def test_p_values_before_are_those_of_welch(units, pairs):
    table = balance_table(units, pairs, ["x1", "exporter"])
    treated = np.isfinite(units["cohort"])
    for name in ("x1", "exporter"):
        row = table[(table["covariate"] == name) & (table["sample"] == "before")].iloc[0]
        test = stats.ttest_ind(units.loc[treated, name], units.loc[~treated, name], equal_var=False)
        assert row["p_value"] == pytest.approx(test.pvalue, abs=1e-10)
        assert row["mean_difference"] == row["mean_treated"] - row["mean_control"]


def least_squares(firms: pd.DataFrame, sample: MatchedSample, x: pd.DataFrame, y: str | None = None):
    """statsmodels on the weighted firms, clustered by set with no more than G/(G − 1)."""
    weights = sample.weights.groupby(level=-1).sum()
    groups = sample.clusters.loc[weights.index]
    d = np.isfinite(firms["cohort"].loc[weights.index]).astype(float)
    design = sm.add_constant(d if y else x.loc[weights.index].astype(float))
    target = x.loc[weights.index, y] if y else d
    count = groups.nunique()
    fit = sm.WLS(target, design, weights=weights).fit(
        cov_type="cluster", cov_kwds={"groups": pd.factorize(groups)[0], "use_correction": False, "df_correction": True}, use_t=True
    )
    return fit, count


def test_p_values_after_are_weighted_and_clustered_by_set(units, pairs):
    table = balance_table(units, pairs, ["x1"]).set_index("sample")
    fit, groups = least_squares(units, pairs, units, "x1")
    error = fit.bse.iloc[1] * np.sqrt(groups / (groups - 1))
    p_value = 2 * stats.t.sf(abs(fit.params.iloc[1]) / error, groups - 1)
    assert groups == pairs.sets["set_id"].nunique() < len(pairs.weights)
    assert table.loc["after", "p_value"] == pytest.approx(p_value, abs=1e-10)
    by_firm = balance_table(units, pairs.weights, ["x1"]).set_index("sample").loc["after", "p_value"]
    assert abs(by_firm - p_value) > 1e-4  # without sets a firm is its own cluster


def test_undefined_is_nan():
    firms = small().assign(same=1.0)
    row = balance_table(firms, two_sets(), ["same"]).iloc[0]
    assert row[["smd", "variance_ratio", "p_value"]].isna().all() and row["mean_difference"] == 0
    alone = balance_table(firms, pd.Series({"a": 1.0}), ["size"]).set_index("sample").loc["after"]
    assert alone[["mean_control", "smd", "ks", "ecdf_mean", "p_value", "ess_control"]].isna().all()


def test_faults_of_a_balance_table():
    with pytest.raises(DesignError, match="'siz' is not one. Did you mean 'size'"):
        balance_table(small(), two_sets(), ["siz"])
    with pytest.raises(DataError, match=r"repeated: 1 firm \(a\)"):
        balance_table(pd.concat([small(), small().loc[["a"]]]), two_sets(), ["size"])


def test_balance_of_many_firms_takes_seconds():
    """Twenty covariates at 5,000 treated and 100,000 controls: a tenth of what is promised, and far below it."""
    rng = np.random.default_rng(1)
    n = 105_000
    firms = pd.DataFrame(
        rng.normal(size=(n, 20)), columns=[f"x{i}" for i in range(20)], index=pd.Index([f"F{i:06d}" for i in range(n)])
    )
    firms["cohort"] = np.where(np.arange(n) < 5_000, 2004.0, np.inf)
    weights = pd.Series(1.0, index=firms.index[:10_000])
    start = time.process_time()
    assert len(balance_table(firms, weights)) == 40
    assert time.process_time() - start < 2


# the joint test


def test_joint_test_is_that_of_least_squares(units, pairs):
    dummies = pd.get_dummies(units["sector"], prefix="sector", prefix_sep="=").astype(float)
    x = pd.concat([units[["x1", "x2", "x3", "x4", "exporter"]], dummies.iloc[:, :-1]], axis=1)
    table = orthogonality_table(units, pairs).set_index("sample")
    d = np.isfinite(units["cohort"]).astype(float)
    before = sm.OLS(d, sm.add_constant(x)).fit(cov_type="HC0", use_t=True)
    after, groups = least_squares(units, pairs, x)
    for sample, fit, n in (("before", before, len(units)), ("after", after, groups)):
        b, v = fit.params.iloc[1:].to_numpy(), fit.cov_params().iloc[1:, 1:].to_numpy() * n / (n - 1)
        statistic = b @ np.linalg.solve(v, b) / len(b)
        row = table.loc[sample]
        assert row["statistic"] == pytest.approx(statistic, rel=1e-8)
        assert (row["df"], row["df_resid"], row["n_clusters"]) == (8, n - 1, n)
        assert row["p_value"] == pytest.approx(stats.f.sf(statistic, 8, n - 1), abs=1e-10)
    assert (table["dropped"] == "sector=D").all()
    assert table.loc["before", "p_value"] < 1e-6 < table.loc["after", "p_value"]
    series = orthogonality_test(units, pairs)
    assert series["statistic_after"] == table.loc["after", "statistic"] and series["df_before"] == 8


def test_joint_test_leaves_out_what_others_imply(units, pairs):
    doubled = units.assign(copy=2 * units["x1"] - units["x2"], same=3.0)
    table = orthogonality_table(doubled, pairs, ["x1", "x2", "copy", "same"])
    assert table["dropped"].tolist() == ["copy, same"] * 2 and table["df"].tolist() == [2, 2]
    pd.testing.assert_frame_equal(
        table.drop(columns="dropped"), orthogonality_table(units, pairs, ["x2", "x1"]).drop(columns="dropped"), rtol=1e-9
    )


def test_joint_test_needs_more_clusters_than_terms():
    table = orthogonality_table(small(), two_sets(), ["size", "branch"]).set_index("sample")
    assert np.isnan(table.loc["after", "p_value"]) and table.loc["after", "df"] == 2


# distances and maps


@pytest.mark.parametrize("case", ["nn", "nn_ratio3", "maha"])
def test_pair_distances_are_those_of_matchit(case, units):
    found = [(t, c) for t, ids in MATCHIT[case]["pairs"].items() for c in " ".join(np.atleast_1d(ids)).split()]
    frame = pd.DataFrame(found, columns=["treated", "control"])
    frame["set"] = pd.factorize(frame["treated"])[0] + 1
    rows = [(s, 2004.0, t, "treated", 0, np.nan, 1.0) for s, t in frame.groupby("set")["treated"].first().items()]
    rows += [(s, 2004.0, c, "control", 1, 0.0, 1.0) for s, c in zip(frame["set"], frame["control"], strict=True)]
    ours = covariate_distance_table(units, sample_of(rows), COVARIATES).set_index("covariate")
    theirs = MATCHIT[case]["balance_after"]
    names = [name for name in ours.index if name.replace("=", "") in theirs]
    assert len(names) == 9
    expected = [theirs[name.replace("=", "")]["Std. Pair Dist."] for name in names]
    np.testing.assert_allclose(ours.loc[names, "pair_distance"].to_numpy(float), np.array(expected, float), atol=1e-8)
    assert (ours["n_pairs"] == len(frame)).all()


def test_distances_by_hand():
    table = distance_table(two_sets(caliper=6.0)).set_index("cohort")
    assert table.loc["all", ["n_pairs", "mean", "median", "max", "caliper"]].tolist() == [3, 8 / 3, 2, 5, 6]
    assert table.loc["all", "p95"] == pytest.approx(2 + 0.9 * 3)
    assert table.loc[["2004", "2005"], "mean"].tolist() == [1.5, 5]
    rows = covariate_distance_table(small(), two_sets(), ["size"]).iloc[0]
    assert rows["mean_absolute_difference"] == (1 + 2 + 5) / 3 and rows["n_pairs"] == 3
    weights = sample_of(two_sets().sets.to_numpy().tolist(), method="ipw")
    assert distance_table(weights)[["n_pairs", "mean"]].isna().sum(axis=1).tolist() == [1]
    assert covariate_distance_table(small(), weights, ["size"])["n_pairs"].tolist() == [0]


def test_map_of_pairs_with_reserves():
    reserves = pd.DataFrame([(1, 2004.0, "e", "backup", 1, 8.0, 0.0)], columns=COLUMNS)
    table = match_map(two_sets(backups=reserves), small(), ["size", "branch"])
    assert list(table.columns) == [
        "set_id", "cohort", "treated_id", "control_id", "rank", "role", "distance", "weight",
        "size_treated", "size_control", "branch_treated", "branch_control",
    ]  # fmt: skip
    assert table[["treated_id", "control_id", "role", "weight", "size_treated", "size_control"]].to_numpy().tolist() == [
        ["a", "c", "control", 0.5, 1, 2],
        ["a", "d", "control", 0.5, 1, 3],
        ["a", "e", "backup", 0, 1, 9],
        ["b", "e", "control", 1, 4, 9],
    ]


def test_map_of_stars_and_of_the_effect_on_controls():
    star = [
        (1, 2004.0, "a", "treated", 1, 1.0, 1.0),
        (1, 2004.0, "c", "control", 0, np.nan, 1.0),
        (1, 2005.0, "b", "treated", 1, 2.0, 1.0),
        (1, 2005.0, "c", "control", 0, np.nan, 1.0),
    ]
    table = match_map(sample_of(star, method="full"), small())
    assert table[["cohort", "treated_id", "control_id", "distance", "weight"]].to_numpy().tolist() == [
        [2004, "a", "c", 1, 1],
        [2005, "b", "c", 2, 1],
    ]
    swapped = [
        (1, 2004.0, "c", "control", 0, np.nan, 1.0),
        (1, 2004.0, "a", "treated", 1, 1.0, 0.5),
        (1, 2004.0, "b", "treated", 2, 2.0, 0.5),
    ]
    table = match_map(sample_of(swapped, "atc"), small(), ["size"])
    assert table[["rank", "weight", "size_treated"]].to_numpy().tolist() == [[1, 0.5, 1], [2, 0.5, 4]]


def test_map_without_pairs_is_one_row_a_firm():
    sample = sample_of(two_sets().sets.to_numpy().tolist(), method="subclass")
    table = match_map(sample, small(), ["size"])
    assert list(table.columns) == ["set_id", "cohort", "firm_id", "role", "weight", "size"]
    assert table["size"].tolist() == [1, 2, 3, 4, 9]
    with pytest.raises(DesignError, match="match map"):
        match_map(sample, small(), ["colour"])


def test_the_weights_of_a_map_sum_to_those_of_the_sample(pairs, units):
    table = match_map(pairs, units, ["x1"])
    by_control = table.groupby("control_id")["weight"].sum()
    weights = pairs.weights.droplevel("cohort")
    np.testing.assert_allclose(by_control, weights[by_control.index])
    np.testing.assert_allclose(table.groupby("treated_id")["weight"].sum(), 1)
    assert len(table) == len(pairs.pairs) and (units["x1"].loc[table["control_id"]].to_numpy() == table["x1_control"]).all()


def test_every_firm_not_used_has_one_reason():
    out = pd.DataFrame({"firm_id": ["y", "x", "a"], "role": "control", "reason": ["not_chosen", "caliper", "caliper"]})
    ledger = pd.DataFrame(
        {"firm_id": ["x", "z", "w"], "stage": ["pool", "pool", "outcome"], "reason": ["indirect", "ineligible", "off_support"]}
    )
    assert reason_table(two_sets(unmatched=out), ledger).to_numpy().tolist() == [
        ["x", "pool", "indirect"],
        ["y", "match", "not_chosen"],
        ["z", "pool", "ineligible"],
    ]
    assert reason_table(two_sets()).empty and list(reason_table(two_sets()).columns) == ["firm_id", "stage", "reason"]


def test_used_and_not_used_are_everyone(pairs, units):
    table = reason_table(pairs)
    assert sorted([*table["firm_id"], *pairs.sets["firm_id"]]) == sorted(units.index)


# distributions


def test_scores_and_densities(pairs, units):
    table = score_table(pairs)
    assert table["firm_id"].tolist() == sorted(pairs.scores.index)
    assert ((table["arm"] == "treated").to_numpy() == np.isfinite(units["cohort"].loc[table["firm_id"]])).all()
    matched = table[table["status"] == "matched"]
    assert set(matched["firm_id"]) == set(pairs.sets["firm_id"])
    assert matched[matched["arm"] == "control"]["weight"].sum() == pytest.approx(
        matched[matched["arm"] == "treated"]["weight"].sum()
    )
    density = score_density_table(pairs, points=400)
    for _, rows in density.groupby(["sample", "arm"]):
        assert np.trapezoid(rows["density"], rows["score"]) == pytest.approx(1, abs=0.03)
    assert len(density) == 4 * 400
    assert score_density_table(two_sets()).empty  # a match without a score


def test_density_is_the_sum_of_its_kernels(pairs):
    treated = score_table(pairs).query("arm == 'treated'")["score"].to_numpy()
    rows = score_density_table(pairs, points=9).query("arm == 'treated' and sample == 'before'")
    width = 0.9 * min(treated.std(), stats.iqr(treated, interpolation="inverted_cdf") / 1.34) * len(treated) ** -0.2
    expected = [
        sum(stats.norm.pdf((at - s) / width).mean() / width for s in (treated, -treated, 2 - treated)) for at in rows["score"]
    ]
    np.testing.assert_allclose(rows["density"], expected, rtol=1e-4)


def test_distribution_functions_and_quantiles_by_hand():
    firms = small()
    table = ecdf_table(firms, two_sets(), "size").set_index(["sample", "arm"])
    assert table.loc[("after", "control"), "value"].tolist() == [1, 2, 3, 4, 9]
    assert table.loc[("after", "control"), "share"].tolist() == [0, 0.25, 0.5, 0.5, 1]
    assert table.loc[("before", "treated"), "share"].tolist() == [0.5, 0.5, 0.5, 1, 1]
    quantiles = quantile_table(firms, two_sets(), "size", points=3)
    assert quantiles[["level", "treated", "control"]].to_numpy().tolist()[3:] == [[0.25, 1, 2], [0.5, 1, 3], [0.75, 4, 9]]
    with pytest.raises(DesignError, match="'branch' holds"):
        ecdf_table(firms, two_sets(), "branch")


def test_a_long_distribution_is_thinned_but_exact(pairs, units):
    table = ecdf_table(units, pairs, "x1", points=50)
    rows = table[(table["sample"] == "before") & (table["arm"] == "control")]
    assert len(rows) == 50
    controls = units.loc[np.isinf(units["cohort"]), "x1"]
    assert rows["share"].tolist() == [(controls <= v).mean() for v in rows["value"]]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_or_of_no_firm_are_refused(wrong):
    weights = pd.Series(1.0, index=small().index)
    weights.iloc[1] = wrong
    with pytest.raises(DataError, match=f"missing or infinite for 1 firm \\({weights.index[1]}\\)"):
        balance_table(small(), weights, ["size"])
    with pytest.raises(DataError, match=r"of 2 firms \(q, r\) none is"):
        balance_table(small(), pd.Series(1.0, index=["q", "r"]), ["size"])


@pytest.mark.parametrize("table", [balance_table, orthogonality_table, covariate_distance_table, lambda f, s: match_map(s, f)])
def test_arguments_in_each_others_place_are_refused(table):
    with pytest.raises(DesignError, match="firms is a DataFrame and the sample a MatchedSample.*found MatchedSample and DataFrame"):
        table(two_sets(), small())


def test_a_map_and_pair_distances_need_a_sample():
    for made in (lambda: match_map(pd.Series([1.0]), small()), lambda: covariate_distance_table(small(), pd.Series([1.0]))):
        with pytest.raises(DesignError, match="a MatchedSample; found DataFrame and Series"):
            made()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([[1], [2], [1], [3]], "'odd' holds lists"),
        ([1j, 2, 3, 4], "'odd' holds complex numbers"),
        (pd.to_datetime(["2001-02-03"] * 3 + [None]), "'odd' holds dates. Make them numbers"),
        (list(pd.to_datetime(["2001-02-03"] * 4).date), "'odd' holds dates"),
        (pd.period_range("2001", periods=4, freq="Y"), "'odd' holds dates"),
        (pd.to_timedelta([1, 2, 3, 4], unit="D"), "'odd' holds spans of time"),
    ],
)
def test_columns_that_are_neither_numbers_nor_levels_are_refused(values, said):
    firms = pd.DataFrame({"cohort": [1, 1, np.inf, np.inf], "odd": values}, index=list("abcd"))
    weights = pd.Series(1.0, index=list("abcd"))
    with pytest.raises(DesignError, match=said):
        balance_table(firms, weights, ["odd"])
    with pytest.raises(DesignError, match=said):
        match(firms, MatchSpec(covariates=("odd",)))


def test_two_columns_of_one_name_are_refused():
    firms = pd.DataFrame([[1, 2.0, 3.0], [np.inf, 1.0, 2.0]], index=list("ab"), columns=["cohort", "size", "size"])
    with pytest.raises(DesignError, match=r"told apart by name; 1 name \(size\) stands for several"):
        balance_table(firms, pd.Series(1.0, index=list("ab")), ["size"])


def test_a_short_table_is_the_long_one_side_by_side(units, pairs):
    table = balance_table(units, pairs)
    short = short_balance(table)
    assert list(short.columns) == [
        "covariate", "mean_treated_before", "mean_control_before", "smd_before", "mean_treated_after", "mean_control_after",
        "smd_after", "variance_ratio_after", "ks_after", "p_value_after",
    ]  # fmt: skip
    assert list(short["covariate"]) == list(dict.fromkeys(table["covariate"]))
    for name, values in short.set_index("covariate").items():
        column, _, sample = name.rpartition("_")
        expected = table[table["sample"] == sample].set_index("covariate")[column]
        pd.testing.assert_series_equal(values, expected, check_names=False)
