"""Effects by group, over a dose, and on firms reached indirectly; the support that firms received."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval.data.load import Tables
from pipeval.data.panel import NEVER, Panel
from pipeval.data.support import support_table
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.dose import dose_slope, dose_trend
from pipeval.did.effects import effects_from
from pipeval.did.inference import cluster_codes, covariance
from pipeval.did.multiple import holm
from pipeval.did.subgroups import difference_table, equality_test, spillover_effects, subgroup_effects
from pipeval.errors import DesignError, EstimationError, PipevalWarning, collected
from pipeval.matching.match import match
from pipeval.study.match_spec import MatchSpec
from pipeval.study.specs import DidSpec

CLOSED = 1e-8
ADJUSTED = DidSpec(method="reg", covariates=("x", "group"), comparison="never_treated")
STAGGERED = (NEVER, NEVER, 3, 4, 5)


def made(n: int = 150, seed: int = 0, cohorts=STAGGERED, missing: float = 0.0) -> Panel:
    """Five periods; group 0, 1, 2 of a firm decides its effect (1, 2, 3) and its level."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"F{i:03d}" for i in range(n)], name="firm_id")
    firms = pd.DataFrame({"cohort": np.resize(np.array(cohorts, float), n)}, index=ids)
    firms["group"] = np.array(["small", "middle", "large"])[rng.integers(0, 3, n)]
    firms["x"] = rng.normal(size=n)
    firms["place"] = rng.integers(0, 40, n)
    y = rng.normal(size=(n, 5)) + rng.normal(size=(n, 1)) + 0.3 * np.arange(5) + 0.2 * firms[["x"]].to_numpy() * np.arange(5)
    effect = firms["group"].map({"small": 1.0, "middle": 2.0, "large": 3.0}).to_numpy()
    y += (np.arange(1, 6) >= firms[["cohort"]].to_numpy()) * effect[:, None]
    y[rng.random((n, 5)) < missing] = np.nan
    outcomes = pd.DataFrame(y, ids, pd.Index(range(1, 6), name="period")).stack(future_stack=True).rename("y").to_frame()
    return Panel(firms, outcomes)


def quiet(function, *arguments, **named):
    with collected():
        return function(*arguments, **named)


def row_of(panel: Panel, ids, spec=DidSpec(), period: int | None = None):  # noqa: B008
    """The naive twin: the estimator on a panel of these firms alone."""
    cells = quiet(att_gt, panel.keep(ids, "test", "other"), "y", spec)
    table = quiet(aggregate, cells, "overall" if period is None else "period").table
    return table.iloc[0] if period is None else table[table["period"] == period].iloc[0]


@pytest.mark.parametrize("period", [None, 5])
@pytest.mark.parametrize("spec", [DidSpec(), DidSpec(covariates=("x",)), ADJUSTED], ids=["plain", "dr", "reg"])
def test_a_group_is_the_panel_of_its_firms(spec, period):
    panel = made(240, missing=0.1)
    found = quiet(subgroup_effects, panel, "y", panel.firms["group"], spec, period=period).table.set_index("group")
    assert found.index.tolist() == ["large", "middle", "small"]
    for name, row in found.iterrows():
        alone = row_of(panel, panel.firms.index[panel.firms["group"] == name], spec, period)
        columns = ["estimate", "std_error", "p_value", "df", "n_treated", "n_control"]
        assert row[columns].astype(float).to_numpy() == pytest.approx(alone[columns].astype(float).to_numpy(), abs=CLOSED)


@pytest.mark.parametrize("period", [None, 4, 5])
def test_groups_average_to_the_whole(period):
    panel = made(missing=0.1)
    groups = panel.firms["group"].where(np.isfinite(panel.firms["cohort"]))  # only treated firms have one
    found = quiet(subgroup_effects, panel, "y", groups, within=False, period=period)
    whole = row_of(panel, panel.firms.index, period=period)
    share = pd.Series(0.0, groups.index)
    cells = quiet(aggregate, quiet(att_gt, panel, "y"), "overall" if period is None else "period")
    column = 0 if period is None else int(np.flatnonzero(cells.table["period"] == period)[0])
    share[:] = cells.treated_weight[:, column]
    share = share.groupby(groups).sum()
    table = found.table.set_index("group")
    assert float((table["estimate"] * share).sum()) == pytest.approx(whole["estimate"], abs=CLOSED)
    assert table["n_treated"].sum() == whole["n_treated"]
    assert (table["n_control"] >= whole["n_control"] - panel.firms["cohort"].gt(5).sum()).all()


@pytest.mark.parametrize("within", [True, False])
def test_one_group_is_the_whole(within):
    panel = made()
    found = quiet(subgroup_effects, panel, "y", pd.Series("all", panel.firms.index), within=within).table.iloc[0]
    whole = row_of(panel, panel.firms.index)
    for name in ("estimate", "std_error", "p_value", "conf_low", "n_treated", "n_control"):
        assert found[name] == pytest.approx(whole[name], abs=CLOSED), name


def test_weights_by_firm_and_by_cohort_are_kept():
    panel = made()
    weights = pd.Series(np.random.default_rng(1).uniform(0.5, 2, len(panel.firms)), panel.firms.index)
    by_cohort = pd.concat(dict.fromkeys(np.unique(panel.firms["cohort"]), weights), names=["cohort", "firm_id"])
    one, two = (quiet(subgroup_effects, panel, "y", panel.firms["group"], weights=w).table for w in (weights, by_cohort))
    pd.testing.assert_frame_equal(one, two)
    ids = panel.firms.index[panel.firms["group"] == "small"]
    cells = quiet(att_gt, panel.keep(ids, "test", "other"), "y", weights=weights)
    assert one["estimate"].iloc[2] == pytest.approx(quiet(aggregate, cells, "overall").table["estimate"].iloc[0], abs=CLOSED)


def test_sampling_weights_and_balanced_firms_of_the_spec():
    panel = made(240, missing=0.05)
    weighted = Panel(panel.firms.assign(w=np.random.default_rng(1).uniform(0.5, 2, 240)), panel.outcomes)
    for spec in (DidSpec(weights="w"), DidSpec(sampling="balanced"), DidSpec(weights="w", method="imputation")):
        found = quiet(subgroup_effects, weighted, "y", panel.firms["group"], spec).table.iloc[0]
        alone = row_of(weighted, panel.firms.index[panel.firms["group"] == "large"], spec)
        assert found["estimate"] == pytest.approx(alone["estimate"], abs=CLOSED), spec
        assert found["std_error"] == pytest.approx(alone["std_error"], abs=CLOSED) and found["n_treated"] == alone["n_treated"]
    never = panel.firms.index[np.isinf(panel.firms["cohort"])]
    leaks = quiet(spillover_effects, weighted, "y", never[::2], never[1::2], 3, DidSpec(weights="w"), 5).table
    wide, w = weighted.wide("y"), weighted.firms["w"]
    change = (wide[5] - wide[2]).dropna()
    means = [np.average(change[ids], weights=w[ids]) for ids in (change.index.intersection(never[k::2]) for k in (0, 1))]
    assert leaks["estimate"].iloc[0] == pytest.approx(means[0] - means[1], abs=CLOSED)


def test_order_of_rows_firms_and_names_of_groups_do_not_matter():
    panel = made()
    found = quiet(subgroup_effects, panel, "y", panel.firms["group"]).table
    shuffled = panel.firms["group"].sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(quiet(subgroup_effects, panel, "y", shuffled).table, found)
    ordered = panel.firms["group"].astype(pd.CategoricalDtype(["small", "middle", "large"], ordered=True))
    by_category = quiet(subgroup_effects, panel, "y", ordered).table
    assert by_category["group"].tolist() == ["small", "middle", "large"]
    assert by_category["estimate"].tolist() == found["estimate"].tolist()[::-1]


def test_a_group_too_small_stays_as_a_row_and_says_why():
    panel = made()
    groups = panel.firms["group"].copy()
    groups[panel.firms.index[panel.firms["cohort"] == 3][:4]] = "rare"
    with pytest.warns(PipevalWarning, match="no effect for rare: 4 treated firms; at least 5 are needed"):
        found = subgroup_effects(panel, "y", groups)
    row = found.table.set_index("group").loc["rare"]
    assert row[["estimate", "std_error", "p_value"]].isna().all() and "4 treated" in row["reason"]
    assert [n.key for n in found.notes] == ["no_group_effect"]
    assert found.table["std_error"].notna().sum() == 3
    groups[panel.firms.index[panel.firms["cohort"] == 3]] = "rare"  # treated firms, but no comparison firms of the group
    with pytest.warns(PipevalWarning, match="no effect for rare: no cell can be estimated"):
        subgroup_effects(panel, "y", groups)
    with pytest.warns(PipevalWarning, match="no effect for few: 30 treated and 3 comparison firms"):
        few = pd.Series(np.where(panel.firms["cohort"] == 3, "few", "other"), panel.firms.index)
        few[panel.firms.index[np.isinf(panel.firms["cohort"])][:3]] = "few"
        subgroup_effects(panel, "y", few)


def test_groups_that_cannot_be():
    panel = made()
    with pytest.raises(DesignError, match="none of its ids is a firm"):
        subgroup_effects(panel, "y", pd.Series({"Z": "small"}))
    with pytest.raises(DesignError, match="no group can be estimated: "):
        subgroup_effects(panel, "y", pd.Series(panel.firms.index, panel.firms.index))
    with pytest.warns(PipevalWarning, match=r"without a group, in no row: 1 firm \(F002\)"):
        subgroup_effects(panel, "y", panel.firms["group"].drop("F002"))


def test_a_gap_in_another_year_does_not_cost_the_effect_in_this_one():
    panel = made(cohorts=(NEVER, 3))
    rare = panel.firms["group"].mask(panel.firms["cohort"] == 3).eq("small")
    outcomes = panel.outcomes.copy()
    outcomes.loc[(panel.firms.index[rare], 4), "y"] = np.nan
    gap = Panel(panel.firms.assign(kind=np.where(panel.firms["group"] == "small", "s", "o")), outcomes)
    spec = DidSpec(method="reg", covariates=("group",))  # in period 4 no comparison firm is small
    with pytest.raises(EstimationError, match="group"):
        att_gt(gap, "y", spec)
    found = quiet(subgroup_effects, gap, "y", pd.Series("all", gap.firms.index), spec, period=5).table.iloc[0]
    assert found["estimate"] == pytest.approx(row_of(panel, panel.firms.index, spec, 5)["estimate"], abs=CLOSED)


def test_imputation_by_group_is_imputation_of_the_group():
    panel = made()
    spec = DidSpec(method="imputation")
    within = quiet(subgroup_effects, panel, "y", panel.firms["group"], spec).table.set_index("group")["estimate"]
    everyone = quiet(subgroup_effects, panel, "y", panel.firms["group"], spec, within=False).table.set_index("group")["estimate"]
    mine = panel.firms["group"] == "small"
    never = np.isinf(panel.firms["cohort"])
    assert within["small"] == pytest.approx(row_of(panel, panel.firms.index[mine], spec)["estimate"], abs=CLOSED)
    assert everyone["small"] == pytest.approx(row_of(panel, panel.firms.index[mine | never], spec)["estimate"], abs=CLOSED)


def test_matched_pairs_by_group():
    panel = made(200, cohorts=(NEVER, NEVER, NEVER, 4))
    sample = quiet(match, panel.firms, MatchSpec(covariates=("x",), method="optimal", caliper=None))
    found = quiet(subgroup_effects, panel, "y", panel.firms["group"], weights=sample, within=False, period=5).table.set_index(
        "group"
    )
    wide = panel.wide("y")
    change = wide[5] - wide[3]
    pairs = sample.pairs
    gap = change[pairs["treated_id"]].to_numpy() - change[pairs["control_id"]].to_numpy()
    group = panel.firms.loc[pairs["treated_id"], "group"].to_numpy()
    for name, row in found.iterrows():
        mine = gap[group == name]
        assert row["estimate"] == pytest.approx(mine.mean(), abs=CLOSED)
        assert row["std_error"] == pytest.approx(mine.std(ddof=1) / np.sqrt(len(mine)), abs=CLOSED)  # the pair is the cluster
    again = quiet(match, panel.firms, MatchSpec(covariates=("x",), method="nearest", replace=True, caliper=None))
    with pytest.raises(DesignError, match="nearest with replace"):
        subgroup_effects(panel, "y", panel.firms["group"], weights=again)


def test_full_matching_shares_controls_by_the_treated_of_their_set():
    panel = made(120, cohorts=(NEVER, 4))
    sample = quiet(match, panel.firms, MatchSpec(covariates=("x",), method="full", caliper=None))
    found = quiet(subgroup_effects, panel, "y", panel.firms["group"], weights=sample, within=False, period=5).table
    whole = quiet(aggregate, quiet(att_gt, panel, "y", weights=sample), "period").table
    whole = whole.loc[whole["period"] == 5, "estimate"].item()
    assert np.average(found["estimate"], weights=found["n_treated"]) == pytest.approx(whole, abs=CLOSED)


def test_equality_of_two_groups_by_hand():
    panel = made(cohorts=(NEVER, 4))
    groups = panel.firms["group"].replace("middle", "small")
    found = quiet(subgroup_effects, panel, "y", groups, period=5)
    b, se = found.table["estimate"], found.table["std_error"]
    test = equality_test(found)
    assert test["statistic"] == pytest.approx((b[0] - b[1]) ** 2 / (se**2).sum(), abs=CLOSED)  # groups share no firm
    assert (test["df1"], test["df2"], test["n_rows"]) == (1, len(panel.firms) - 1, 2)
    assert test["p_value"] == pytest.approx(stats.f.sf(test["statistic"], 1, test["df2"]), abs=CLOSED)


def test_equality_does_not_depend_on_the_first_group_and_sees_shared_controls():
    panel = made()
    found = quiet(subgroup_effects, panel, "y", panel.firms["group"], within=False)
    ordered = panel.firms["group"].astype(pd.CategoricalDtype(["middle", "small", "large"]))
    other = quiet(subgroup_effects, panel, "y", ordered, within=False)
    assert equality_test(found)["statistic"] == pytest.approx(equality_test(other)["statistic"], abs=CLOSED)
    v = covariance(found.influence, cluster_codes(None, found.firm_id), found.member)
    b = found.table["estimate"].to_numpy()
    gap, contrast = b[1:] - b[0], np.array([[-1, 1, 0], [-1, 0, 1]])
    assert v[0, 1] > 0
    assert equality_test(found)["statistic"] == pytest.approx(gap @ np.linalg.inv(contrast @ v @ contrast.T) @ gap / 2, abs=CLOSED)
    assert equality_test(found)["p_value"] < 1e-3


def test_equality_that_cannot_be_tested_says_so():
    panel = made()
    groups = pd.Series("all", panel.firms.index)
    groups.iloc[[2, 7]] = "two"
    test = equality_test(quiet(subgroup_effects, panel, "y", groups))
    assert np.isnan(test["p_value"]) and "fewer than two groups" in test["reason"]
    few = quiet(subgroup_effects, panel, "y", panel.firms["group"], clusters=panel.firms["place"] % 3)
    assert "3 clusters cannot tell 2 differences apart" in equality_test(few)["reason"]


def test_equality_holds_its_level():
    """Three groups of 20 firms with one effect, against the same 40 comparison firms."""
    rng, rejected = np.random.default_rng(1), 0
    treated = np.vstack([np.kron(np.eye(3), np.full((20, 1), 1 / 20)), np.zeros((40, 3))])
    control = np.r_[np.zeros(60), np.ones(40)][:, None] * np.ones(3)
    for _ in range(200):
        change = rng.normal(size=100)
        means = np.array([change[20 * k : 20 * k + 20].mean() for k in range(3)]), change[60:].mean()
        influence = treated * (change[:, None] - means[0]) - control / 40 * (change[:, None] - means[1])
        keys = pd.DataFrame({"group": range(3)})
        effects = effects_from(keys, means[0] - means[1], (influence, treated, control > 0), pd.RangeIndex(100), None, 0.95)
        rejected += equality_test(effects)["p_value"] < 0.05
    assert abs(rejected / 200 - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 200)


def test_differences():
    panel = made()
    found = quiet(subgroup_effects, panel, "y", panel.firms["group"], within=False)
    b, v = found.table["estimate"].to_numpy(), covariance(found.influence, cluster_codes(None, found.firm_id), found.member)
    first = difference_table(found)
    assert first["group"].tolist() == ["middle", "small"] and (first["against"] == "large").all()
    assert first["estimate"].to_numpy() == pytest.approx(b[1:] - b[0], abs=CLOSED)
    assert first["std_error"].to_numpy() == pytest.approx(np.sqrt([v[k, k] + v[0, 0] - 2 * v[0, k] for k in (1, 2)]), rel=5e-3)
    assert first["p_holm"].tolist() == holm(first["p_value"]).tolist()
    assert (first["p_romano_wolf"] <= first["p_holm"] + 0.03).all()
    rest = difference_table(found, "rest")
    n = found.table["n_treated"].to_numpy()
    expected = [b[k] - np.average(np.delete(b, k), weights=np.delete(n, k)) for k in range(3)]
    assert rest["estimate"].to_numpy() == pytest.approx(expected, abs=CLOSED)
    two = quiet(subgroup_effects, panel, "y", panel.firms["group"].replace("middle", "small"), within=False)
    one, test = difference_table(two).iloc[0], equality_test(two)
    assert one["statistic"] ** 2 == pytest.approx(test["statistic"], rel=5e-3) and one["p_holm"] == one["p_value"]


def test_differences_keep_the_group_without_an_effect():
    panel = made()
    groups = panel.firms["group"].copy()
    groups[panel.firms.index[panel.firms["cohort"] == 3][:4]] = "a rare one"
    table = difference_table(quiet(subgroup_effects, panel, "y", groups, within=False))
    assert table["against"].unique().tolist() == ["large"]
    assert table["group"].tolist() == ["a rare one", "middle", "small"]
    assert table["estimate"].isna().tolist() == [True, False, False] and np.isnan(table["p_romano_wolf"].iloc[0])


def independent(b, se) -> object:
    """Effects of unrelated rows: each of 40 firms, 20 of them comparison."""
    n = 40
    psi = np.kron(np.diag(np.asarray(se, float)), np.resize([1.0, -1.0], n)[:, None]) / np.sqrt(n) * np.sqrt((n - 1) / n)
    arms = [np.kron(np.eye(len(b)), np.repeat(arm, n // 2)[:, None]) for arm in ([1 / 20, 0], [0, 1])]
    keys = pd.DataFrame({"group": range(len(b))})
    return effects_from(keys, np.asarray(b, float), (psi, arms[0], arms[1] > 0), pd.RangeIndex(n * len(b)), None, 0.95)


def test_trend_over_independent_doses_is_weighted_least_squares():
    b, se, score = np.array([0.1, 0.3, 0.2, 0.6]), np.array([0.1, 0.2, 0.1, 0.3]), np.array([0.0, 1.0, 2.0, 5.0])
    found = dose_trend(independent(b, se), score)
    w = 1 / se**2
    centre = np.average(score, weights=w)
    slope = (w * (score - centre) * b).sum() / (w * (score - centre) ** 2).sum()
    error = 1 / np.sqrt((w * (score - centre) ** 2).sum())
    assert found["estimate"] == pytest.approx(slope, abs=CLOSED) and found["std_error"] == pytest.approx(error, abs=CLOSED)
    assert found["df"] == 159 and found["p_value"] == pytest.approx(2 * stats.t.sf(slope / error, 159), abs=CLOSED)
    residual = b - np.average(b, weights=w) - slope * (score - centre)
    assert found["p_not_linear"] == pytest.approx(stats.f.sf((w * residual**2).sum() / 2, 2, 159), abs=CLOSED)
    steps = np.diff(b) / np.sqrt(se[1:] ** 2 + se[:-1] ** 2)
    assert found["p_monotone"] == pytest.approx(stats.t.sf(steps, 159).max(), abs=CLOSED)
    down = dose_trend(independent(-b, se), score, direction="decrease")
    assert down["p_monotone"] == pytest.approx(found["p_monotone"]) and down["estimate"] == pytest.approx(-slope)


def test_trend_over_two_doses_is_their_difference():
    found = dose_trend(independent([0.2, 0.7], [0.1, 0.2]), [1.0, 3.0])
    assert found["estimate"] == pytest.approx(0.25, abs=CLOSED) and np.isnan(found["p_not_linear"])
    assert found["std_error"] == pytest.approx(np.sqrt(0.05) / 2, abs=CLOSED)


def test_a_straight_dose_is_monotone_and_linear():
    panel = made(600)
    dose = panel.firms["group"].astype(pd.CategoricalDtype(["small", "middle", "large"], ordered=True))
    found = dose_trend(quiet(subgroup_effects, panel, "y", dose, within=False))
    assert found["conf_low"] < 1 < found["conf_high"] and found["p_monotone"] < 0.01 < found["p_not_linear"]


def test_trend_that_cannot_be():
    with pytest.raises(DesignError, match="one ascending number a row"):
        dose_trend(independent([0.2, 0.7], [0.1, 0.2]), [3.0, 1.0])
    panel = made()
    one = dose_trend(quiet(subgroup_effects, panel, "y", pd.Series("all", panel.firms.index)))
    assert np.isnan(one["estimate"]) and "fewer than two" in one["reason"]


def test_slope_over_dose_is_least_squares_among_the_treated():
    panel = made(missing=0.1)
    rng = np.random.default_rng(5)
    dose = pd.Series(rng.gamma(2, 1, len(panel.firms)), panel.firms.index)
    found = quiet(dose_slope, panel, "y", dose, 5, DidSpec(covariates=("x", "group")))
    wide = panel.wide("y")
    cohort = panel.firms["cohort"]
    change = pd.Series({i: wide.at[i, 5] - wide.at[i, int(g) - 1] for i, g in cohort.items() if np.isfinite(g)}).dropna()
    firms = panel.firms.loc[change.index]
    dummies = pd.get_dummies(firms[["cohort", "group"]].astype(str), drop_first=True).astype(float)
    x = np.column_stack([dose[change.index], np.ones(len(change)), dummies, firms["x"]])
    bread = np.linalg.inv(x.T @ x)
    beta = bread @ x.T @ change
    residual = (change - x @ beta).to_numpy()
    n = len(change)
    error = np.sqrt((bread @ (x.T * residual**2) @ x @ bread)[0, 0] * n / (n - 1))
    row = found.table.iloc[0]
    assert row["estimate"] == pytest.approx(beta[0], abs=CLOSED) and row["std_error"] == pytest.approx(error, abs=CLOSED)
    assert row["n_treated"] + row["n_control"] == n and row["adjusted_for"] == "x, group"
    scaled = quiet(dose_slope, panel, "y", 1000 * dose, 5, DidSpec(covariates=("x", "group"))).table.iloc[0]
    assert scaled["statistic"] == pytest.approx(row["statistic"], abs=CLOSED)
    assert 1000 * scaled["estimate"] == pytest.approx(row["estimate"], abs=CLOSED)


def test_slope_counts_a_firm_by_its_sampling_weight():
    panel = made(60, cohorts=(NEVER, 4))
    dose = pd.Series(np.random.default_rng(2).random(60), panel.firms.index)
    weighted = Panel(panel.firms.assign(w=np.resize([1.0, 1.0, 1.0, 3.0], 60)), panel.outcomes)
    found = quiet(dose_slope, weighted, "y", dose, 5, DidSpec(weights="w")).table["estimate"].item()
    treated = weighted.firms.index[weighted.firms["cohort"] == 4]
    change = (weighted.wide("y")[5] - weighted.wide("y")[3])[treated]
    assert found == pytest.approx(np.polyfit(dose[treated], change, 1, w=np.sqrt(weighted.firms.loc[treated, "w"]))[0], abs=CLOSED)


def test_slope_adjusts_for_what_decided_the_dose():
    rng = np.random.default_rng(8)
    panel = made(600, cohorts=(NEVER, 3))
    dose = panel.firms["x"] + 0.5 * rng.normal(size=600)  # growth follows x too, and the dose does nothing
    naive, adjusted = (quiet(dose_slope, panel, "y", dose, 5, adjust=names).table.iloc[0] for names in ((), ("x",)))
    assert naive["p_value"] < 0.01 < adjusted["p_value"]


def test_slope_that_cannot_be():
    panel = made(40)
    with pytest.raises(DesignError, match=r"not observed in 9; it is in 1, 2"):
        dose_slope(panel, "y", pd.Series(1.0, panel.firms.index), 9)
    with pytest.raises(EstimationError, match="'dose'"):
        dose_slope(panel, "y", pd.Series(1.0, panel.firms.index), 5)
    with pytest.raises(DesignError, match="too few"), pytest.warns(PipevalWarning, match="without a dose"):
        dose_slope(panel, "y", pd.Series(range(4), panel.firms.index[panel.firms["cohort"] == 3][:4]), 5)
    with pytest.warns(PipevalWarning, match="cohort.s. 1 have no period before"):
        dose_slope(made(60, cohorts=(1, 3)), "y", pd.Series(np.random.default_rng(0).random(60), made(60).firms.index), 5)


def test_spillover():
    panel = made(90, cohorts=(NEVER, NEVER, 3))
    rng = np.random.default_rng(0)
    never = panel.firms.index[np.isinf(panel.firms["cohort"])]
    reached = never[rng.random(len(never)) < 0.5]
    controls = never.difference(reached)
    found = quiet(spillover_effects, panel, "y", reached, controls, 3, period=5).table.set_index("term")
    wide = panel.wide("y")
    change = wide[5] - wide[2]
    direct = panel.firms.index.difference(never)
    expected = [
        change[reached].mean() - change[controls].mean(),
        change[direct].mean() - change[controls].mean(),
        change[direct].mean() - change[never].mean(),
    ]
    assert found["estimate"].to_numpy() == pytest.approx(expected, abs=CLOSED)
    bias = found.at["direct", "estimate"] - found.at["direct_naive", "estimate"]
    assert bias == pytest.approx(len(reached) / len(never) * found.at["indirect", "estimate"], abs=CLOSED)
    alone = panel.keep(reached.union(controls), "test", "other")
    alone = Panel(alone.firms.assign(cohort=np.where(alone.firms.index.isin(reached), 3.0, NEVER)), alone.outcomes)
    twin = quiet(aggregate, quiet(att_gt, alone, "y"), "period").table.query("period == 5")["std_error"].item()
    assert found.at["indirect", "std_error"] == pytest.approx(twin, abs=CLOSED)
    with pytest.raises(DesignError, match=r"not both: 1 firm"):
        spillover_effects(panel, "y", reached, controls.union(reached[:1]), 3)


def test_spillover_without_reached_firms_keeps_the_other_rows():
    panel = made(90, cohorts=(NEVER, NEVER, 3))
    never = panel.firms.index[np.isinf(panel.firms["cohort"])]
    with pytest.warns(PipevalWarning, match="no effect for indirect"):
        found = spillover_effects(panel, "y", never[:0], never, 3).table
    assert found["estimate"].isna().tolist() == [True, False, False]
    assert found["estimate"].iloc[1] == found["estimate"].iloc[2]


class Decided:
    """The part of a study that the table of support reads."""

    class treatment:
        definition, branches = "beneficiary", ()


def tables(**changed) -> Tables:
    firms = pd.DataFrame({"firm_id": [f"F{i}" for i in range(8)], "arm": ["beneficiary"] * 6 + ["nonparticipant"] * 2})
    firms["entry_year"] = [2004, 2004, 2004, 2005, 2005, 2007, None, None]
    services = pd.DataFrame(
        [
            ("F0", "2004-03-01", "workshop", "1", 1, 100.0),
            ("F1", "2004-03-01", "ta_group", "2.2", 5, 400.0),
            ("F1", "2005-03-01", "training", "1", 2, 200.0),
            ("F2", "2004-03-01", "ta_individual", "2.1", 3, 900.0),
            ("F2", "2007-01-01", "ta_individual", "1", 9, 9000.0),
            ("F3", "2005-06-01", "fair", "4", 1, 50.0),
            ("F5", "2007-06-01", "fair", "1", 1, 70.0),
        ],
        columns=["firm_id", "start_on", "activity_type", "component", "days", "programme_paid_usd"],
    ).assign(start_on=lambda f: pd.to_datetime(f["start_on"]))
    return Tables({"enterprises": firms, "services": services} | changed)


def test_support_counts_what_happened_up_to_the_year():
    found = support_table(tables(), Decided, 2006)
    assert found["received_usd"].tolist() == [100, 600, 900, 50, 0, 0, 0, 0]
    assert found["n_services"].tolist() == [1, 2, 1, 1, 0, 0, 0, 0] and found["days"].tolist() == [1, 7, 3, 1, 0, 0, 0, 0]
    assert found["component"].astype(object).fillna("").tolist() == ["component1", "both", "component2", "", "", "", "", ""]
    assert found["assistance"].tolist() == ["no", "yes", "yes", "no", "no", "no", "no", "no"]
    # thirds of the five treated by 2006: 0, 50 | 100 | 600, 900 by mid-rank; the firm that enters in 2007 has no dose
    assert found["dose"].astype(object).fillna("").tolist() == ["middle", "high", "high", "low", "low", "", "", ""]
    later = support_table(tables(), Decided, 2007)
    assert later.at["F2", "received_usd"] == 9900 and later.at["F2", "component"] == "both" and later.at["F5", "dose"] == "middle"


def test_equal_amounts_are_one_dose():
    services = tables()["services"].assign(programme_paid_usd=100.0).drop_duplicates("firm_id")
    found = support_table(tables(services=services), Decided, 2006)
    assert found.loc[["F0", "F1", "F2", "F3"], "dose"].nunique() == 1


def test_support_says_what_it_does_not_know():
    services = tables()["services"]
    services.loc[2, "programme_paid_usd"] = np.nan
    with pytest.warns(PipevalWarning, match=r"programme_paid_usd is not known for every service of 1 firm \(F1\)"):
        found = support_table(tables(services=services), Decided, 2006)
    assert np.isnan(found.at["F1", "received_usd"]) and found.at["F1", "days"] == 7 and pd.isna(found.at["F1", "dose"])
    with pytest.raises(DesignError, match="needs the table services"):
        support_table(Tables({"enterprises": tables()["enterprises"]}), Decided, 2006)


def test_the_ledger_serves_where_services_carry_no_amounts():
    services = tables()["services"].assign(programme_paid_usd=np.nan)
    ledger = pd.DataFrame(
        [
            ("2004-01-01", "expense", "mif", "F0", 70.0),
            ("2004-01-01", "counterpart_contribution", "firms", "F0", 30.0),
            ("2004-01-01", "expense", "counterpart", "F0", 20.0),
            ("2009-01-01", "expense", "mif", "F0", 10.0),
            ("2004-01-01", "expense", "mif", None, 500.0),
        ],
        columns=["on", "kind", "source", "firm_id", "amount_usd"],
    ).assign(on=lambda f: pd.to_datetime(f["on"]))
    found = support_table(tables(services=services, ledger=ledger), Decided, 2006)
    assert found["received_usd"].tolist() == [70, 0, 0, 0, 0, 0, 0, 0]
    with pytest.warns(PipevalWarning, match="no dose in money"):
        found = support_table(tables(services=services), Decided, 2006)
    assert found["received_usd"].isna().all() and found["dose"].isna().all() and found.at["F1", "n_services"] == 2


def test_nothing_here_warns_on_a_clean_panel():
    panel = made(300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        subgroup_effects(panel, "y", panel.firms["group"], within=False, period=5)
        dose_slope(panel, "y", panel.firms["x"], 5)
