"""Power by formula: what may be read, how firms are counted, and the effect that is wanted, sign and scale included."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval import NEVER, Panel, att_gt
from pipeval.did.design_effect import intraclass
from pipeval.did.detectable import detectable_table
from pipeval.did.placebo import placebo_error
from pipeval.did.poisson import poisson_att
from pipeval.did.power import detectable, firms_needed, lost_a_year, mde, sd_of_change
from pipeval.errors import DesignError, collected
from pipeval.matching.match import match
from pipeval.report.sentences import allowances
from pipeval.report.text import escape, read_text
from pipeval.study.specs import DidSpec, Outcome, Power

BASE, YEAR = 2003, 2005


def made(n: int = 60, seed: int = 0) -> Panel:
    """Years 2001 to 2005; `y` a random walk in logs, `sold` an amount with zeros; a third treated from 2004; weights 1 and 3."""
    rng = np.random.default_rng(seed)
    ids, years = pd.Index([f"f{i:03d}" for i in range(n)], name="firm_id"), np.arange(2001, 2006)
    cohort = rng.permutation(np.repeat([2004.0, NEVER], [n // 3, n - n // 3]))
    y = rng.normal(0, 0.2, (n, 5)).cumsum(axis=1)
    sold = rng.gamma(2, 5, (n, 5)) * (rng.random((n, 1)) < 0.8)
    index = pd.MultiIndex.from_product([ids, years], names=["firm_id", "period"])
    firms = pd.DataFrame({"cohort": cohort, "size": rng.normal(size=n), "weight": np.tile([1.0, 3.0], n // 2)}, ids)
    return Panel(firms, pd.DataFrame({"y": y.ravel(), "sold": sold.ravel()}, index))


def row_of(small, panel: Panel, did=None, **changes) -> pd.Series:
    study = small.read()
    outcome = Outcome(**{"id": "y", "measure": "sales", "scale": "log", "label": {}, "relevant_effect": 0.2} | changes)
    spec = study.match.model_copy(update={"covariates": ("size",), "exact": (), "caliper": None})
    update = {"outcomes": (outcome,), "match": spec, "did": study.did.changed({"method": "reg"} | (did or {}))}
    update["treatment"] = study.treatment.model_copy(update={"reference_year": YEAR})
    with collected():
        sample = match(panel.firms, spec, until=YEAR)
        return detectable_table(panel, sample, study.model_copy(update=update)).iloc[0]


def both_arms(change: pd.Series, panel: Panel) -> float:
    """The root of the arms' variances, each from its own mean, averaged with weights 1/n₁ and 1/n₀."""
    arms = change.groupby(np.isfinite(panel.firms["cohort"]))
    return float(np.sqrt((arms.var() / arms.count()).sum() / (1 / arms.count()).sum()))


def test_the_table_by_hand_and_from_the_years_before_alone(small):
    panel = made()
    row = row_of(small, panel)
    wide = panel.wide("y")
    sd = both_arms(wide[2003] - wide[2001], panel)
    assert (row["horizon"], row["source"], row["n_treated"], row["n_control"]) == (2, "observed", 20, 40)
    assert row["sd_change"] == pytest.approx(sd, abs=1e-12)
    multiple = stats.t.ppf(0.975, 58) + stats.t.ppf(0.8, 58)
    assert row["mde"] == pytest.approx(multiple * sd * np.sqrt(1 / 20 + 1 / 40), abs=1e-12)
    assert row["mde_share"] == pytest.approx(np.expm1(row["mde"])) and row["detectable"] == (row["mde_share"] <= 0.2)
    late = panel.outcomes.index.get_level_values("period") > BASE
    spoilt = Panel(panel.firms, panel.outcomes * np.where(late, 1e9, 1)[:, None])
    pd.testing.assert_series_equal(row_of(small, spoilt), row)


def test_a_decrease_is_a_decrease(small):
    """A fall by 20 % is −ln .8 = .223 log points, a rise by 20 % only .182."""
    up, down = (row_of(small, made(), direction=d) for d in ("increase", "decrease"))
    assert up["mde"] == down["mde"] and down["mde_share"] == pytest.approx(-np.expm1(-down["mde"]))
    assert up["firms_needed"] == firms_needed(np.log(1.2), up["sd_change"], 2.0, Power())
    assert down["firms_needed"] == firms_needed(np.log(0.8), up["sd_change"], 2.0, Power()) < up["firms_needed"]


def test_weights_count_firms_by_what_they_tell(small):
    panel = made()
    row = row_of(small, panel, {"weights": "weight"})
    w, treated = panel.firms["weight"], np.isfinite(panel.firms["cohort"])
    wanted = [(w[arm].sum() ** 2 / (w[arm] ** 2).sum()) for arm in (treated, ~treated)]
    assert [row["n_treated"], row["effective"]] == pytest.approx(wanted) and row["mde"] > row_of(small, panel)["mde"]
    assert row["n_control"] == 40 and row_of(small, panel)["effective"] == pytest.approx(40)  # firms, and what they tell
    alike = panel.firms["weight"] * 0 + 7
    found = sd_of_change(panel, "y", 2, weights=alike)
    assert found["n_treated"] == 20 and isinstance(found["n_treated"], int) and found["n_control"] == pytest.approx(40)


def test_amounts_with_zeros_have_the_error_of_a_placebo(small):
    panel = made()
    years = panel.outcomes.index.get_level_values("period")
    before = Panel(panel.firms.assign(cohort=panel.firms["cohort"].replace(2004.0, BASE)), panel.outcomes[years <= BASE])
    with collected():
        table = poisson_att(before, "sold", DidSpec(), by="period").table.set_index("period")
    one = table.loc[BASE, "std_error"]
    assert placebo_error(panel, "sold", BASE, 1, DidSpec()) == pytest.approx(one, abs=1e-12)
    assert placebo_error(panel, "sold", BASE, 4, DidSpec()) == pytest.approx(2 * one, abs=1e-12)
    assert np.isnan(placebo_error(panel, "sold", 2001, 1, DidSpec()))  # no year before it
    row = row_of(small, panel, id="sold", scale="poisson")
    multiple = stats.t.ppf(0.975, 58) + stats.t.ppf(0.8, 58)
    assert row["source"] == "placebo" and row["mde"] == pytest.approx(multiple * np.sqrt(2) * one, rel=1e-9)
    assert row["firms_needed"] == firms_needed(np.log(1.2), row["sd_change"], 2.0, Power())


def test_firms_needed_detect_what_they_are_needed_for():
    for effect, ratio in ((0.2, 1.0), (-0.1, 2.0), (0.5, 0.5)):
        n = firms_needed(effect, 0.5, ratio, Power())
        assert detectable(0.5, n, ratio * n, Power()) <= abs(effect) < detectable(0.5, n - 1, ratio * (n - 1), Power())
    assert np.isnan(firms_needed(0.0, 0.5, 1.0, Power())) and np.isnan(detectable(0.5, 1, 1, Power()))


def unlike(rng, n1=150, n0=300) -> Panel:
    """Treated firms lie a standard deviation apart; changes vary alike around a line in x."""
    n = n1 + n0
    x = rng.normal(size=n) + (np.arange(n) < n1)
    firms = pd.DataFrame({"cohort": np.where(np.arange(n) < n1, 4.0, np.inf), "x": x}, index=pd.Index(range(n), name="firm_id"))
    change = 0.3 * x + rng.normal(size=n)
    y = {(i, t): 0.0 if t == 1 else change[i] for i in range(n) for t in (1, 3)}
    late = {(i, 5): change[i] + 0.3 * x[i] + rng.normal() for i in range(n)}
    outcomes = pd.Series(y | late).rename_axis(["firm_id", "period"]).rename("y").to_frame().sort_index()
    return Panel(firms, outcomes)


def test_arms_that_are_unlike_cost_effective_controls():
    """Outcome regression's error is σ√(1/n₁ + x̄₁′(X₀′X₀)⁻¹x̄₁), so 1/n₀ is the second term; a firm without x does not count."""
    panel = unlike(np.random.default_rng(2))
    found = sd_of_change(panel, "y", 2, ["x"])
    x = np.column_stack([np.ones(450), panel.firms["x"]])
    mean = x[:150].mean(axis=0)
    assert found["effective"] == pytest.approx(1 / (mean @ np.linalg.inv(x[150:].T @ x[150:]) @ mean), rel=1e-10)
    assert found["effective"] < 160 < found["n_control"] == 300 and found["sd"] == pytest.approx(1.0, abs=0.1)
    assert sd_of_change(panel, "y", 2)["effective"] == pytest.approx(300)
    holes = Panel(panel.firms.assign(x=panel.firms["x"].where(panel.firms.index % 3 > 0)), panel.outcomes)
    assert sd_of_change(holes, "y", 2, ["x"])[["n_treated", "n_control"]].tolist() == [100, 200]


def test_the_formula_has_the_error_of_the_adjusted_estimate():
    errors, stated = [], []
    for seed in range(20):
        panel = unlike(np.random.default_rng(seed))
        table = att_gt(panel, "y", DidSpec(method="reg", covariates=("x",))).table
        errors.append(table.loc[table["period"] == 5, "std_error"].iloc[0])
        spread = sd_of_change(panel, "y", 2, ["x"])
        stated.append(spread["sd"] * np.sqrt(1 / spread["n_treated"] + 1 / spread["effective"]))
    assert np.mean(stated) == pytest.approx(np.mean(errors), rel=0.03)  # the counts of firms would give a fifth less


# ---------------------------------------------------------------- firms that are lost, clusters that share


def spread_of(**changes) -> pd.Series:
    own = {"sd": 0.5, "basis": "observed", "level": 7.0, "n_treated": 100, "n_control": 300.0, "reason": "", "horizon": 3}
    return pd.Series(own | {"lost": 0.0, "icc": np.nan, "mates": 0.0, "clusters": np.nan} | changes)


def test_what_a_cluster_shares_by_hand():
    """Groups {1, 2}, {4, 5, 6}, {0}: B = (2·2.25 + 3·4 + 9)/2 = 12.75, W = 2.5/3, n₀ = (6 − 14/6)/2 = 11/6."""
    values, groups = np.array([1.0, 2.0, 4.0, 5.0, 6.0, 0.0]), np.array([7, 7, 3, 3, 3, 9])
    wanted = (12.75 - 2.5 / 3) / (12.75 + 5 / 6 * 2.5 / 3)
    assert intraclass(values, groups) == pytest.approx(wanted, abs=1e-12)
    order = [4, 0, 5, 2, 1, 3]
    assert intraclass(values[order] + 100, groups[order]) == pytest.approx(wanted, abs=1e-10)
    assert intraclass(np.array([1.0, -1.0, 1.0, -1.0]), np.array([0, 0, 1, 1])) == 0.0  # less alike than at random
    for few in (np.zeros(6, int), np.arange(6)):
        assert np.isnan(intraclass(values, few))
    assert np.isnan(intraclass(np.ones(6), groups))


def test_each_block_takes_a_degree_of_freedom():
    """Two blocks, each with groups {1, 3} and {5, 7}: B = (8 + 8)·2/(4 − 2) = 16, W = 8/4 = 2, n₀ = (8 − 4)/2 = 2."""
    values, groups, blocks = np.tile([1.0, 3.0, 5.0, 7.0], 2), np.array([0, 0, 1, 1] * 2), np.repeat([0, 1], 4)
    assert intraclass(values + 50 * blocks, groups, blocks) == pytest.approx((16 - 2) / (16 + 2), abs=1e-12)
    assert np.isnan(intraclass(values, blocks, blocks))  # one group in each


def test_firms_lost_between_surveys_by_hand():
    """Ten firms in 2000, eight of them later on; of 8 + 1 in 2002 six in 2003: stay .8 · 6/9, in three years."""
    seen = {2000: range(10), 2002: [*range(8), 10], 2003: [*range(6), 11], 2004: range(2)}
    rows = [(f"f{i:02d}", y) for y, firms in seen.items() for i in firms]
    ids = pd.Index(sorted({f for f, _ in rows}), name="firm_id")
    outcomes = pd.DataFrame({"y": 1.0, "z": np.nan}, pd.MultiIndex.from_tuples(rows, names=["firm_id", "period"]))
    outcomes.loc[("f03", 2003), :] = np.nan, 5.0  # a figure of another outcome: still there
    panel = Panel(pd.DataFrame({"cohort": [2004.0] * 4 + [NEVER] * (len(ids) - 4)}, ids), outcomes.sort_index())
    assert lost_a_year(panel, 2004) == pytest.approx(1 - (0.8 * 6 / 9) ** (1 / 3), abs=1e-12)
    assert lost_a_year(panel, 2003) == pytest.approx(1 - 0.8**0.5, abs=1e-12)
    assert lost_a_year(panel, 2002) == lost_a_year(panel, 1990) == 0.0
    without = Panel(panel.firms, outcomes.drop([(f"f{i:02d}", 2002) for i in (0, 1)]).sort_index())
    assert lost_a_year(without, 2004) == pytest.approx(1 - (0.8 * 4 / 7) ** (1 / 3), abs=1e-12)  # who comes back was not lost


def test_the_formula_with_loss_and_clusters_by_hand():
    """Bloom's multiple with 25 − 1 degrees of freedom, √(1 + 4 · .1) for what clusters share, 1 − .9³ of the firms lost."""
    one = np.sqrt(1 / 100 + 1 / 300)
    plain, stay = mde(spread_of(), Power(attrition=0.0)), 0.9**3
    assert plain["mde"] == pytest.approx((stats.t.ppf(0.975, 398) + stats.t.ppf(0.8, 398)) * 0.5 * one, abs=1e-12)
    assert (plain["attrition"], plain["design_effect"]) == (0.0, 1.0) and np.isnan([plain["icc"], plain["clusters"]]).all()
    lost = mde(spread_of(lost=0.1), Power(), 0.2)
    df = 400 * stay - 2
    wanted = (stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)) * 0.5 * one / np.sqrt(stay)
    assert lost["mde"] == pytest.approx(wanted, abs=1e-12) and lost["attrition"] == pytest.approx(1 - stay)
    assert (lost["n_treated"], lost["n_control"]) == (100, 300.0)
    assert abs(lost["firms_needed"] - mde(spread_of(), Power(), 0.2)["firms_needed"] / stay) <= 1 / stay + 1
    both = mde(spread_of(lost=0.1, icc=0.1, mates=4.0, clusters=25), Power(), 0.2)
    multiple = stats.t.ppf(0.975, 24) + stats.t.ppf(0.8, 24)
    assert both["mde"] == pytest.approx(multiple * 0.5 * np.sqrt(1.4) * one / np.sqrt(stay), abs=1e-12)
    assert (both["icc"], both["design_effect"], both["clusters"]) == (0.1, pytest.approx(1.4), 25)
    n = both["firms_needed"]
    spread = 0.5 * np.sqrt(1.4)
    found = [detectable(spread, k, 3 * k, Power(), 1 - stay, k / 4) for k in (n, n - 1)]  # a cluster for four treated firms
    assert found[0] <= 0.2 < found[1]


def test_what_is_declared_goes_before_what_is_learnt():
    spread = spread_of(lost=0.1, icc=0.1, mates=4.0, clusters=25)
    found = mde(spread, Power(attrition=0.02, icc=0.3))
    assert found["attrition"] == pytest.approx(1 - 0.98**3) and (found["icc"], found["design_effect"]) == (0.3, pytest.approx(2.2))
    alone = mde(spread_of(), Power(icc=0.3))
    assert alone["design_effect"] == 1.0 and np.isnan(alone["icc"])  # firms are the clusters: nothing is shared
    assert "declare power.icc" in mde(spread_of(mates=4.0, clusters=25), Power())["reason"]
    assert "found 1" in mde(spread_of(icc=0.0, mates=99.0, clusters=1), Power())["reason"]
    two, three = (mde(spread_of(icc=0.1, mates=9.0, clusters=g), Power()) for g in (2, 3))
    assert np.isnan(two["mde"]) and "found 2" in two["reason"] and three["mde"] > 0  # as the estimate itself
    assert mde(spread_of(mates=4.0, clusters=25), Power(icc=0.0))["design_effect"] == 1.0


def grouped(n: int = 12) -> Panel:
    """Years 2002 and 2003; six treated firms in clusters of three, two and one, six others alone."""
    ids = pd.Index([f"f{i:02d}" for i in range(n)], name="firm_id")
    change = np.array([1.0, 2, 3, 5, 6, 9, 1, 0, -1, 2, 4, 3])
    index = pd.MultiIndex.from_product([ids, [2002, 2003]], names=["firm_id", "period"])
    firms = pd.DataFrame({"cohort": [2004.0] * 6 + [NEVER] * 6, "group": [*"aaabbc", *[None] * 6]}, ids)
    return Panel(firms, pd.DataFrame({"y": np.column_stack([np.zeros(n), change]).ravel()}, index))


def test_clusters_of_the_treated_by_hand():
    """Σn²/N − 1 = 14/6 − 1 = 4/3 for the treated and 0 for the others: 2/3 where the arms vary alike; three clusters count."""
    panel = grouped()
    found = sd_of_change(panel, "y", 1, clusters=panel.firms["group"])
    wanted = intraclass(np.array([1.0, 2, 3, 5, 6, 9]), np.array([0, 0, 0, 1, 1, 2]))
    assert found["icc"] == pytest.approx(wanted, abs=1e-12) and 0.5 < wanted < 1
    assert (found["mates"], found["clusters"]) == (pytest.approx(2 / 3), 3)
    alone = sd_of_change(panel, "y", 1)
    assert np.isnan(alone["icc"]) and (alone["mates"], alone["sd"]) == (0.0, found["sd"])
    weights = pd.Series([2.0, 1, 1, 1, 1, 1] + [1.0] * 6, panel.firms.index)
    heavy = sd_of_change(panel, "y", 1, weights=weights, clusters=panel.firms["group"])
    own, other = (16 + 4 + 1) / 9 - 1, 0.0  # Σ W_c²/Σw² − 1
    shares = np.array([9 / 49, 1 / 6])
    assert heavy["mates"] == pytest.approx(shares @ [own, other] / shares.sum())


def test_two_ways_of_clusters_add_less_what_they_cross():
    panel = grouped()
    one, two = panel.firms["group"].fillna("others"), pd.Series([*"xyzxyz", *"uvwrst"], panel.firms.index)
    found = sd_of_change(panel, "y", 1, clusters=pd.concat([one, two], axis=1))
    alone = [sd_of_change(panel, "y", 1, clusters=way) for way in (one, two)]
    assert [way["mates"] for way in alone] == pytest.approx([(4 / 3 + 5) / 2, 1 / 2])
    assert found["mates"] == pytest.approx((4 / 3 + 5) / 2 + 1 / 2)  # no two firms meet in both ways
    assert found["icc"] * found["mates"] == pytest.approx(sum(way["icc"] * way["mates"] for way in alone))
    same = sd_of_change(panel, "y", 1, clusters=pd.concat([one, one], axis=1))
    assert same[["icc", "mates"]].tolist() == pytest.approx(alone[0][["icc", "mates"]].tolist())  # met twice, counted once
    inside = sd_of_change(panel, "y", 1, clusters=pd.concat([one, one.str.replace("b", "a")], axis=1))
    wider = sd_of_change(panel, "y", 1, clusters=one.str.replace("b", "a"))
    assert inside["mates"] == pytest.approx(wider["mates"])  # clusters within clusters: the larger ones


def test_arms_that_vary_unlike_enter_as_they_do_in_the_error():
    """The error of a difference of means is √(s₁²/n₁ + s₀²/n₀): the few treated firms vary three times as much as the others."""
    rng = np.random.default_rng(4)
    size = np.array([3.0] * 30 + [1.0] * 270)
    rows = {(i, t): v for i, sd in enumerate(size) for t, v in ((1, 0.0), (2, rng.normal(0, sd)))}
    firms = pd.DataFrame({"cohort": np.where(size == 3, 3.0, NEVER)}, pd.Index(range(300), name="firm_id"))
    panel = Panel(firms, pd.Series(rows, name="y").rename_axis(["firm_id", "period"]).to_frame())
    change, treated = panel.wide("y")[2], size == 3
    error = np.sqrt(change[treated].var() / 30 + change[~treated].var() / 270)
    found = sd_of_change(panel, "y", 1)
    assert found["sd"] * np.sqrt(1 / 30 + 1 / 270) == pytest.approx(error, rel=1e-12)
    assert found["sd"] > 1.7 * change.std()
    shifted = Panel(firms, panel.outcomes + 5 * treated.repeat(2)[:, None] * np.tile([0, 1], 300)[:, None])
    assert sd_of_change(shifted, "y", 1)["sd"] == pytest.approx(found["sd"])  # that arms went apart is no spread


def sized(size: np.ndarray, treated: np.ndarray, seed: int, **columns) -> Panel:
    """One change before the programme (periods 1 and 2, entry in 3), normal with standard deviation `size`."""
    rng = np.random.default_rng(seed)
    ids = pd.Index(range(len(size)), name="firm_id")
    y = np.column_stack([np.zeros(len(size)), rng.normal(0, size)])
    index = pd.MultiIndex.from_product([ids, [1, 2]], names=["firm_id", "period"])
    firms = pd.DataFrame({"cohort": np.where(treated, 3.0, NEVER), **columns}, ids)
    return Panel(firms, pd.DataFrame({"y": y.ravel()}, index))


def stated(found: pd.Series) -> float:
    """The error that the formula takes, of firms that stand alone."""
    return found["sd"] * np.sqrt(1 / found["n_treated"] + 1 / found["effective"])


def test_heavy_firms_that_vary_more_count_with_their_weight():
    """The variance of a weighted mean is Σw²σ²/(Σw)²."""
    n, treated = 400, np.arange(400) < 200
    size = np.where(np.arange(n) % 2, 2.0, 1.0)
    weights = np.where(size == 2, 5.0, 1.0)
    true = sum((weights[arm] ** 2 @ size[arm] ** 2) / weights[arm].sum() ** 2 for arm in (treated, ~treated))
    draws = (sized(size, treated, k) for k in range(20))
    found = [sd_of_change(p, "y", 1, weights=pd.Series(weights, p.firms.index)) for p in draws]
    assert np.mean([stated(row) ** 2 for row in found]) == pytest.approx(true, rel=0.05)


def test_the_formula_holds_where_spread_goes_with_a_covariate():
    """Outcome regression's error is that of its weights on residuals: controls like treated firms count, be they calm or wild."""
    rng = np.random.default_rng(8)
    treated = np.arange(450) < 150
    x = rng.normal(size=450) + treated
    full = np.column_stack([np.ones(450), x])
    control = full[~treated] @ np.linalg.inv(full[~treated].T @ full[~treated]) @ full[treated].mean(axis=0)
    for slope in (0.4, -0.4):
        size = np.exp(slope * x)
        true = (size[treated] ** 2).sum() / 150**2 + control**2 @ size[~treated] ** 2
        found = [stated(sd_of_change(sized(size, treated, k, x=x), "y", 1, ["x"])) ** 2 for k in range(150)]
        assert np.mean(found) == pytest.approx(true, rel=0.05)


def test_controls_unlike_any_treated_firm_have_no_part():
    """Regression gives firms of a category without treated firms a weight of rounding size; their spread is not the study's."""
    kind = np.array([*"ab"] * 25 + ["a", "b", "z"] * 100)
    treated = np.arange(350) < 50
    panel = sized(np.where(kind == "z", 30.0, 1.0), treated, 1, kind=kind)
    found = sd_of_change(panel, "y", 1, ["kind"])
    inside = panel.keep(panel.firms.index[kind != "z"], stage="test", reason="z")
    assert found["n_control"] == 200
    assert found["sd"] == pytest.approx(sd_of_change(inside, "y", 1, ["kind"])["sd"], rel=0.01) and found["sd"] < 1.2


def test_the_design_effect_is_that_of_the_arm_that_varies():
    """Treated firms in clusters of ten that share .3, controls alone: Var = σ₁²(1 + 9·.3)/n + σ₀²/n."""
    n, group = 200, np.r_[np.repeat(np.arange(20), 10), np.arange(200) + 20]
    treated = np.arange(2 * n) < n
    for one, other in ((2.0, 1.0), (1.0, 2.0)):
        rng, found = np.random.default_rng(5), []
        for _ in range(40):
            panel = sized(np.where(treated, one * np.sqrt(0.7), other), treated, int(rng.integers(1 << 30)))
            shared = np.where(treated, one * np.sqrt(0.3) * rng.normal(size=2 * n)[group % (2 * n)], 0.0)
            panel = Panel(panel.firms, panel.outcomes + np.column_stack([np.zeros(2 * n), shared]).ravel()[:, None])
            row = sd_of_change(panel, "y", 1, clusters=pd.Series(group, panel.firms.index))
            found.append(stated(row) ** 2 * (1 + row["mates"] * row["icc"]))
        assert np.mean(found) == pytest.approx((one**2 * 3.7 + other**2) / n, rel=0.08)


def test_a_span_that_two_firms_tell_tells_nothing():
    rng = np.random.default_rng(9)
    ids = pd.Index(range(300), name="firm_id")
    y = rng.normal(size=(300, 3)).cumsum(axis=1)
    y[:298, 0] = np.nan  # two controls alone answered in the first year
    index = pd.MultiIndex.from_product([ids, [1, 2, 3]], names=["firm_id", "period"])
    firms = pd.DataFrame({"cohort": np.where(np.arange(300) < 100, 4.0, NEVER)}, ids)
    found = sd_of_change(Panel(firms, pd.DataFrame({"y": y.ravel()}, index)), "y", 2)
    assert (found["basis"], found["spans"]) == ("one_span", (1,)) and found["sd"] == pytest.approx(np.sqrt(2), rel=0.1)


def test_an_arm_of_a_few_firms_takes_the_variance_of_both():
    treated = np.arange(303) < 3
    found = [sd_of_change(sized(np.ones(303), treated, k), "y", 1)["sd"] for k in range(30)]
    assert 0.85 < min(found) and max(found) < 1.15


def test_rounding_is_no_variation(small):
    panel = made()
    years = panel.outcomes.index.get_level_values("period").to_numpy()
    still = panel.outcomes.assign(y=np.repeat(np.linspace(5, 9, 60), 5) + 0.1 * years, sold=7.0)
    for outcome in ({}, {"id": "sold", "scale": "poisson"}):
        row = row_of(small, Panel(panel.firms, still), **outcome)
        assert np.isnan([row["mde"], row["firms_needed"]]).all() and row["reason"] == "no variation before the programme"
    group = pd.Series(np.arange(60) % 6, panel.firms.index)
    calm = panel.outcomes["y"].where(~np.isfinite(panel.firms["cohort"].repeat(5).to_numpy()), 0.1 * years)
    found = mde(sd_of_change(Panel(panel.firms, calm.to_frame()), "y", 1, before=2004, clusters=group), Power())
    assert np.isnan(found["mde"]) == np.isnan(found["design_effect"])


@pytest.mark.parametrize(
    ("arm", "years", "reason"),
    [
        ("treated", [2003], "no treated or no comparison firm"),
        ("control", [2003], "no treated or no comparison firm"),
        ("treated", [2001, 2002], "no placebo estimate could be made"),
        ("both", [2001, 2002, 2003], "no period before 2004: no change without the programme is observed"),
    ],
)
def test_an_amount_that_tells_nothing_says_why(small, arm, years, reason):
    panel = made()
    own = np.isfinite(panel.firms["cohort"].repeat(5).to_numpy())
    inside = {"treated": own, "control": ~own, "both": np.ones(len(own), bool)}[arm]
    silent = inside & panel.outcomes.index.get_level_values("period").isin(years)
    told = panel.outcomes.assign(sold=panel.outcomes["sold"].mask(silent))
    row = row_of(small, Panel(panel.firms, told), id="sold", scale="poisson")
    assert np.isnan(row["mde"]) and row["reason"] == reason


def test_clusters_needed_are_a_whole_number_of_firms():
    for n_treated in range(5, 40):
        for clusters in range(3, 30):
            needed = firms_needed(0.5, 0.5, 1.0, Power(), clusters=clusters / n_treated)
            assert needed >= 3 * n_treated / clusters - 1e-6


def test_a_covariate_of_the_outcomes_is_read_before_the_programme():
    panel = unlike(np.random.default_rng(3))
    moving = pd.Series({(i, 3): x for i, x in panel.firms["x"].items()}, name="z")
    both = Panel(panel.firms[["cohort"]], panel.outcomes.assign(z=moving.rename_axis(["firm_id", "period"])))
    fixed, read = sd_of_change(panel, "y", 2, ["x"]), sd_of_change(both, "y", 2, ["z"])
    assert read[["sd", "effective"]].tolist() == pytest.approx(fixed[["sd", "effective"]].tolist())
    with pytest.raises(DesignError, match="covariate 'z' is read before 1 and no period is earlier"):
        sd_of_change(both, "y", 2, ["z"], before=1)


def test_amounts_on_a_match_have_the_error_of_a_matched_placebo(small):
    """The match has used the covariates: its weights make the placebo, and no odds besides."""
    panel, study = made(), small.read()
    spec = study.match.model_copy(update={"covariates": ("size",), "exact": (), "caliper": None})
    outcome = Outcome(id="sold", measure="sales", scale="poisson", label={}, relevant_effect=0.2)
    did = study.did.changed({"covariates": ("size",), "cluster": "set_id"})
    update = {"outcomes": (outcome,), "match": spec, "did": did, "headline": "matched"}
    update["treatment"] = study.treatment.model_copy(update={"reference_year": YEAR})
    years = panel.outcomes.index.get_level_values("period")
    before = Panel(panel.firms.assign(cohort=panel.firms["cohort"].replace(2004.0, BASE)), panel.outcomes[years <= BASE])
    with collected():
        sample = match(panel.firms, spec, until=YEAR)
        row = detectable_table(panel, sample, study.model_copy(update=update)).iloc[0]
        kept = sample.weights.droplevel("cohort")
        table = poisson_att(before, "sold", DidSpec(), kept, by="period").table.set_index("period")
    error = table.loc[BASE, "std_error"] * np.sqrt(2)
    df = row["n_treated"] + row["effective"] - 2
    assert row["source"] == "placebo"
    assert row["mde"] == pytest.approx((stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)) * error, rel=1e-9)


def test_the_table_takes_clusters_from_the_study_and_loss_from_the_surveys(small):
    panel = made()
    firms = panel.firms.assign(group=np.where(np.isfinite(panel.firms["cohort"]), np.arange(60) % 5, np.nan))
    panel = Panel(firms, panel.outcomes)
    plain, row = row_of(small, panel), row_of(small, panel, {"cluster": "group"})
    assert (plain["design_effect"], plain["attrition"]) == (1.0, 0.0) and np.isnan([plain["icc"], plain["clusters"]]).all()
    treated = firms["group"].dropna()
    own = (panel.wide("y")[2003] - panel.wide("y")[2001]).groupby(np.isfinite(firms["cohort"])).var() / [40, 20]
    mates = ((treated.value_counts() ** 2).sum() / 20 - 1) * own[True] / own.sum()  # the arms as they enter the variance
    assert row["clusters"] == treated.nunique() and row["icc"] >= 0
    assert row["design_effect"] == pytest.approx(1 + row["icc"] * mates)
    df = treated.nunique() - 1
    multiple = stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)
    error = row["sd_change"] * np.sqrt(row["design_effect"] * (1 / 20 + 1 / 40))
    assert row["mde"] == pytest.approx(multiple * error, abs=1e-12)
    sold = row_of(small, panel, {"cluster": "group"}, id="sold", scale="poisson")
    assert sold["design_effect"] == 1.0 and sold["clusters"] == row["clusters"]  # its placebo is clustered already
    gone = panel.outcomes.drop([(f, y) for f in firms.index[:6] for y in (2002, 2003)])
    lost = row_of(small, Panel(firms, gone))
    assert lost["attrition"] == pytest.approx(1 - 0.9)  # two years of the two that follow
    with pytest.raises(DesignError, match="'nowhere' must be"):
        row_of(small, panel, {"cluster": "nowhere"})


@pytest.mark.parametrize("language", ["en", "es", "pt"])
def test_the_report_says_what_the_formula_allows_for(language):
    text = read_text(language)
    study = {"treatment": {"reference_year": 2006}, "did": {"cluster": "business_cluster"}}
    rows = pd.DataFrame({"mde_share": [0.1, np.nan], "attrition": [0.087, 0.5], "icc": [0.08, 0.9], "design_effect": [1.46, 9.0]})
    lost, shared = allowances(rows, study, text)
    assert "2006" in lost and escape(text.number(0.087, "pct0")) in lost
    assert escape(text.number(0.08, "dec2")) in shared and escape(text.number(1.46, "dec2")) in shared
    assert escape(text.label("cluster", "business_cluster")) in shared
    alone = rows.assign(icc=np.nan, design_effect=1.0)
    assert allowances(alone, study, text) == [lost] and allowances(alone.assign(attrition=0.0), study, text) == []
    assert allowances(rows[["mde_share"]], study, text) == []
