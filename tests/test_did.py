"""The estimation room: hand-computed examples, invariances, and what bad input meets."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval.data.panel import NEVER, Panel
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.counts import net_count
from pipeval.did.inference import cluster_codes, cluster_sums, multipliers, pretrend_test
from pipeval.did.kernel import CellError, two_by_two
from pipeval.did.multiple import holm
from pipeval.did.poisson import poisson_att
from pipeval.did.power import mde, sd_of_change
from pipeval.did.twfe import twfe
from pipeval.errors import DataError, DesignError, EstimationError, PipevalError, PipevalWarning
from pipeval.study.specs import DidSpec, Power

CLOSED, ITERATED = 1e-8, 1e-6


def quietly(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return call(*args, **options)


def tiny(rows: dict[str, tuple], **columns) -> Panel:
    """`rows`: firm -> (cohort, outcome in period 1, 2, …)."""
    firms = pd.DataFrame({"cohort": {k: float(v[0]) for k, v in rows.items()}}).rename_axis("firm_id")
    for name, values in columns.items():
        firms[name] = values
    long = {(k, t): y for k, v in rows.items() for t, y in enumerate(v[1:], 1)}
    index = pd.MultiIndex.from_tuples(long, names=["firm_id", "period"])
    return Panel(firms, pd.DataFrame({"y": list(long.values())}, index=index, dtype=float))


def made(n: int = 160, seed: int = 1, effect: float = 0.3, periods: int = 6, zeros: bool = False) -> Panel:
    """Cohorts 3, 4, 5 and never, trends by x1, a two-valued and a three-valued covariate."""
    rng = np.random.default_rng(seed)
    x1, x2 = rng.normal(size=n), rng.integers(0, 2, n)
    cohort = rng.choice([3.0, 4.0, 5.0, NEVER], n, p=[0.2, 0.2, 0.15, 0.45])
    kind = rng.choice(["a", "b", "c"], n)
    firm = rng.normal(size=n)
    frames = []
    for t in range(1, periods + 1):
        y = firm + 0.1 * t + 0.05 * t * x1 + effect * (cohort <= t) + rng.normal(0, 0.3, n)
        amount = rng.poisson(np.exp(0.3 * y)) if zeros else np.exp(y)
        frames.append(pd.DataFrame({"firm_id": np.arange(n), "period": t, "y": y, "amount": amount}))
    outcomes = pd.concat(frames).set_index(["firm_id", "period"])
    firms = pd.DataFrame({"cohort": cohort, "x1": x1, "x2": x2, "kind": kind, "area": np.arange(n) % 40})
    return Panel(firms.rename_axis("firm_id"), outcomes)


def changed(panel: Panel, change) -> Panel:
    """The panel whose outcome `y` is `change(y, period, cohort)`, arrays over firm-periods."""
    firm, period = (panel.outcomes.index.get_level_values(k) for k in (0, 1))
    y = change(panel.outcomes["y"].to_numpy(), period.to_numpy(), panel.firms["cohort"].reindex(firm).to_numpy())
    return Panel(panel.firms, panel.outcomes.assign(y=y))


FOUR = {"a": (2, 1, 4), "b": (2, 2, 6), "c": (NEVER, 1, 2), "d": (NEVER, 3, 4.5), "e": (NEVER, 2, 2.5)}


# hand-computed -----------------------------------------------------------------------------------------------------------


def test_one_cohort_is_the_two_by_two():
    """Changes 3, 4 | 1, 1.5, .5: 3.5 − 1 = 2.5; influence squares (2·.5²)/4 + (2·.5²)/9 times 5/4."""
    effects = quietly(att_gt, tiny(FOUR), "y")
    row = effects.table.set_index("period").loc[2]
    assert row["estimate"] == pytest.approx(2.5, abs=CLOSED)
    std_error = np.sqrt((0.5 / 4 + 0.5 / 9) * 5 / 4)
    assert row["std_error"] == pytest.approx(std_error, abs=CLOSED)
    half = stats.t.ppf(0.975, 4) * std_error
    assert (row["conf_low"], row["conf_high"]) == pytest.approx((2.5 - half, 2.5 + half), abs=CLOSED)
    assert (row["df"], row["n_treated"], row["n_control"], row["n_clusters"]) == (4, 2, 3, 5)
    assert row["p_value"] == pytest.approx(2 * stats.t.sf(2.5 / std_error, 4), abs=CLOSED)
    base = effects.table.set_index("period").loc[1]
    assert base["estimate"] == 0
    assert np.isnan(base[["std_error", "p_value", "conf_low", "df"]].astype(float)).all()


@pytest.mark.parametrize("method", ["dr", "ipw", "reg"])
def test_without_covariates_every_method_is_the_difference_of_means(method):
    rng = np.random.default_rng(2)
    dy, d, w = rng.normal(size=30), (np.arange(30) < 11).astype(float), rng.uniform(0.5, 2, 30)
    att, psi = two_by_two(dy, d, np.ones((30, 1)), w, method)
    means = [np.average(dy[d == k], weights=w[d == k]) for k in (0, 1)]
    assert att == pytest.approx(means[1] - means[0], abs=CLOSED)
    twin = np.where(d == 1, w * (dy - means[1]) / w[d == 1].sum(), -w * (dy - means[0]) / w[d == 0].sum())
    np.testing.assert_allclose(psi, twin, atol=CLOSED)


def test_a_saturated_covariate_is_the_mean_over_its_cells():
    """With one 0/1 covariate all three methods average the cells' differences with the treated's shares (standardisation)."""
    dy = np.array([4.0, 5, 6, 10, 1, 2, 3, 2, 7, 5])
    d = np.array([1.0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    x = np.array([0.0, 0, 0, 1, 0, 0, 0, 0, 1, 1])
    wanted = 0.75 * (5 - 2) + 0.25 * (10 - 6)
    for method in ("dr", "ipw", "reg"):
        att, psi = two_by_two(dy, d, np.column_stack([np.ones(10), x]), np.ones(10), method)
        assert att == pytest.approx(wanted, abs=CLOSED)
        assert psi.sum() == pytest.approx(0, abs=CLOSED)


def test_reg_is_doubly_robust_with_a_constant_score():
    """Covariates unrelated to treatment by construction: the logit's score is constant, so dr and reg agree."""
    rng = np.random.default_rng(3)
    half = rng.normal(size=(20, 2))
    x = np.column_stack([np.ones(40), np.vstack([half, half])])
    d, dy = np.repeat([1.0, 0.0], 20), rng.normal(size=40)
    found = [two_by_two(dy, d, x, np.ones(40), m)[0] for m in ("dr", "reg")]
    assert found[0] == pytest.approx(found[1], abs=CLOSED)


def test_influence_predicts_the_effect_of_reweighting_one_firm():
    """The influence is the derivative of the estimate in a firm's weight: the naive twin of every term in psi."""
    rng = np.random.default_rng(4)
    n = 60
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    d = (rng.random(n) < 1 / (1 + np.exp(-x[:, 1]))).astype(float)
    dy, w = x[:, 1] ** 2 + rng.normal(size=n) + d, rng.uniform(0.5, 2, n)
    for method in ("dr", "ipw", "reg"):
        _, psi = two_by_two(dy, d, x, w, method)
        for i in range(0, n, 7):
            h = 1e-5 * w[i]
            up, down = w.copy(), w.copy()
            up[i], down[i] = w[i] + h, w[i] - h
            slope = (two_by_two(dy, d, x, up, method)[0] - two_by_two(dy, d, x, down, method)[0]) / (2e-5)
            assert psi[i] == pytest.approx(slope, abs=1e-6)


def test_a_comparison_firm_is_untreated_at_both_ends():
    """Cohort 3's pre-period row 1←2 may not use cohort 2, which jumps at its entry in the base period."""
    rows = {f"g{i}": (3, 0, 0.1 * i, 5 + i) for i in range(3)}
    rows |= {f"h{i}": (2, 0, 100, 100 + i) for i in range(3)}
    rows |= {f"n{i}": (NEVER, 0, 0.2 * i, 0) for i in range(3)}
    table = quietly(att_gt, tiny(rows), "y").table
    row = table[(table["cohort"] == 3) & (table["period"] == 1)]
    assert row["n_control"].item() == 3
    assert row["estimate"].item() == pytest.approx(-0.1 + 0.2, abs=CLOSED)


def test_a_later_cohort_compares_until_it_enters():
    rows = {"a": (2, 0, 2, 3), "b": (2, 0, 2.5, 3), "c": (3, 0, 1, 9), "d": (3, 0, 1.5, 9)}
    effects = quietly(att_gt, tiny(rows), "y")
    cells = effects.table[effects.table["phase"] != "base"].set_index(["cohort", "period"])
    assert list(cells.index) == [(2, 2)], "nothing is left to compare in period 3, nor for cohort 3 before"
    assert cells.loc[(2, 2), "estimate"] == pytest.approx(1.0, abs=CLOSED)
    assert "no_comparison" in {n.key for n in effects.notes}


def test_matched_weights_compare_a_cohort_with_its_own_partners():
    rows = {"a": (2, 0, 3, 3), "b": (2, 0, 5, 5), "c": (3, 0, 0, 7), "d": (3, 0, 0, 8)}
    rows |= {"n1": (NEVER, 0, 1, 1), "n2": (NEVER, 0, 2, 2), "n3": (NEVER, 0, 4, 5), "n4": (NEVER, 0, 6, 7)}
    index = pd.MultiIndex.from_tuples([(2, k) for k in ("a", "b", "n1", "n2")] + [(3, k) for k in ("c", "d", "n3", "n4")])
    effects = quietly(
        att_gt, tiny(rows), "y", weights=pd.Series([1.0, 1, 1.5, 0.5, 1, 1, 1, 1], index.set_names(["cohort", "firm_id"]))
    )
    cells = effects.table.set_index(["cohort", "period"])
    assert cells.loc[(2, 2), "estimate"] == pytest.approx(4 - (1.5 * 1 + 0.5 * 2) / 2, abs=CLOSED)
    assert cells.loc[(3, 3), "estimate"] == pytest.approx(7.5 - 1.0, abs=CLOSED)
    assert cells.loc[(2, 2), "n_control"] == 2, "cohort 3 and its partners stay out"


def test_firms_seen_at_both_ends_enter_and_an_aggregate_counts_them():
    """Cohort 2 has two firms in period 2 and one in period 3: the overall mean is over three firm-periods."""
    rows = FOUR | {
        "a": (2, 1, 4, 6),
        "b": (2, 2, 6, np.nan),
        "c": (NEVER, 1, 2, 3),
        "d": (NEVER, 3, 4.5, 4),
        "e": (NEVER, 2, 2.5, 5),
    }
    effects = quietly(att_gt, tiny(rows), "y")
    cells = effects.table.set_index("period")
    assert cells.loc[3, ["n_treated", "n_control"]].tolist() == [1, 3]
    assert cells.loc[3, "estimate"] == pytest.approx(5 - 2, abs=CLOSED)
    assert np.isnan(cells.loc[3, "std_error"]), "one treated firm has no variance"
    overall = quietly(aggregate, effects, "overall")
    assert overall.table["estimate"].item() == pytest.approx((2 * 2.5 + 3) / 3, abs=CLOSED)
    np.testing.assert_allclose(overall.treated_weight[:, 0], [2 / 3, 1 / 3, 0, 0, 0], atol=CLOSED)


def test_the_overall_influence_is_that_of_the_pooled_firm_periods():
    """A hand twin with estimated shares: each firm-period deviates from the *overall* mean, not from its cell's."""
    panel = made(60)
    effects = att_gt(panel, "y", DidSpec(comparison="never_treated"))
    overall = aggregate(effects, "overall")
    y, cohort = panel.wide("y").to_numpy(), panel.firms["cohort"].to_numpy()
    never = cohort == NEVER
    cells = [(g, t) for g in (3, 4, 5) for t in range(g, 7)]
    total = sum((cohort == g).sum() for g, _ in cells)
    theta = overall.table["estimate"].item()
    psi = np.zeros(len(y))
    for g, t in cells:
        dy = y[:, t - 1] - y[:, g - 2]
        own = cohort == g
        psi += own * (dy - dy[never].mean() - theta) / total
        psi -= never * (dy - dy[never].mean()) / never.sum() * own.sum() / total
    np.testing.assert_allclose(overall.influence[:, 0], psi, atol=CLOSED)


def test_universal_base_is_a_sum_of_varying_steps_with_one_comparison_group():
    panel = made()
    spec = {"comparison": "never_treated"}
    one = att_gt(panel, "y", DidSpec(**spec)).table.set_index(["cohort", "period"])["estimate"]
    steps = att_gt(panel, "y", DidSpec(base="varying", **spec)).table.set_index(["cohort", "period"])["estimate"]
    assert one.loc[5, 2] == pytest.approx(-(steps.loc[5, 3] + steps.loc[5, 4]), abs=CLOSED)
    assert one.loc[5, 6] == pytest.approx(steps.loc[5, 6], abs=CLOSED)


def test_a_base_period_that_nobody_saw_is_replaced_by_the_one_before():
    panel = made()
    gap = Panel(panel.firms, panel.outcomes[panel.outcomes.index.get_level_values(1) != 3])
    effects = quietly(att_gt, gap, "y")
    assert effects.table.groupby("cohort")["base_period"].first().to_dict() == {3: 2, 4: 2, 5: 4}
    assert "base_moved" in {n.key for n in effects.notes}


def test_clusters():
    """Two firms that move together: the cluster sum is twice the firm's, so its variance is twice the firms'."""
    panel = made(80)
    twice = pd.concat([panel.firms, panel.firms.set_axis(panel.firms.index + 1000)]).rename_axis("firm_id")
    copy = panel.outcomes.copy()
    copy.index = pd.MultiIndex.from_arrays(
        [copy.index.get_level_values(0) + 1000, copy.index.get_level_values(1)], names=copy.index.names
    )
    effects = att_gt(Panel(twice, pd.concat([panel.outcomes, copy])), "y", DidSpec(covariates=("x1",)))
    single = att_gt(panel, "y", DidSpec(covariates=("x1",)))
    np.testing.assert_allclose(effects.table["estimate"], single.table["estimate"], atol=ITERATED)
    n = single.table["n_clusters"]
    ratio = effects.table["std_error"] / single.table["std_error"]
    wanted = np.sqrt(0.5 * (2 * n / (2 * n - 1)) / (n / (n - 1)))
    np.testing.assert_allclose(ratio.dropna(), wanted[ratio.notna()], atol=ITERATED)
    pairs = effects.clustered(pd.Series(effects.firm_id % 1000, effects.firm_id))
    np.testing.assert_allclose(pairs.table["std_error"], single.table["std_error"], atol=ITERATED)
    np.testing.assert_array_equal(pairs.table["df"], single.table["df"])


def test_a_row_of_two_clusters_has_no_standard_error_beside_one_that_has():
    panel = made()
    two = panel.firms["cohort"].eq(3) | (panel.firms["cohort"].eq(NEVER) & (panel.firms.index % 2 == 0))
    weights = pd.concat({3.0: two[two].astype(float), 4.0: (~two)[~two].astype(float)}, names=["cohort", "firm_id"])
    labels = pd.Series(np.where(two, np.arange(len(two)) % 4 // 2, 100 + np.arange(len(two))), panel.firms.index)
    effects = quietly(att_gt, panel, "y", weights=weights, clusters=labels)
    post = effects.table[effects.table["phase"] == "post"].groupby("cohort")
    assert post["n_clusters"].max().to_dict()[3] == 2
    assert post["std_error"].count().to_dict() == {3: 0, 4: 3}


def test_a_firm_without_a_label_is_its_own_cluster():
    codes = cluster_codes(pd.Series(["s", "s"], index=["a", "c"]), pd.Index(list("abcd")))
    assert codes[0] == codes[2]
    assert len(set(codes)) == 3
    np.testing.assert_array_equal(cluster_sums(np.array([[1.0], [2], [3], [4]]), codes)[codes[0]], [4])


def test_controls_that_stand_alone_do_not_count_beside_clusters_of_treated_firms():
    panel = made()
    labels = panel.firms["area"].where(panel.firms["cohort"] < NEVER)
    effects = quietly(att_gt(panel, "y").clustered, labels)
    own = labels.astype(object).where(labels.notna(), panel.firms.index.map(lambda i: f"alone {i}"))
    for k in np.flatnonzero(effects.table["std_error"].notna()):
        here = own[effects.member[:, k]].value_counts()
        holding = set(own[effects.treated_weight[:, k] > 0])
        counting = sum(1 for cluster, size in here.items() if size > 1 or cluster in holding)
        assert effects.table["df"][k] == counting - 1 < effects.table["n_clusters"][k] - 1
    path = quietly(aggregate(effects, "period").bands)  # and no summary loses it
    assert (path.table["df"] < path.table["n_clusters"] - 1).all()
    firms = att_gt(panel, "y").table
    assert (firms["df"] == firms["n_clusters"] - 1)[firms["std_error"].notna()].all(), "firms are clusters of one treated each"


# summaries, bands, tests -------------------------------------------------------------------------------------------------


def test_summaries_describe_their_firms():
    effects = att_gt(made(), "y")
    for by in ("overall", "cohort", "event_time", "period"):
        found = aggregate(effects, by)
        np.testing.assert_allclose(found.treated_weight.sum(axis=0), 1, atol=CLOSED)
        assert (found.table["term"].iloc[-1] == "average") == (by != "overall")
        assert not (found.table["std_error"] == 0).any()


def test_bands_hold_their_rows_together():
    found = aggregate(att_gt(made(), "y"), "event_time").bands(draws=999, seed=7)
    again = aggregate(att_gt(made(), "y"), "event_time").bands(draws=999, seed=7)
    pd.testing.assert_frame_equal(found.table, again.table)
    rows = found.table[(found.table["term"] != "average") & found.table["std_error"].notna()]
    width = (rows["band_high"] - rows["estimate"]) / rows["std_error"]
    normal = stats.norm.isf(stats.t.sf(width, rows["df"]))  # one critical value, carried to the tails of t(G − 1)
    assert normal == pytest.approx(normal[0], abs=1e-6)
    assert stats.norm.ppf(0.975) < width.iloc[0] < stats.norm.ppf(1 - 0.025 / len(rows)) * 1.1
    assert found.table.loc[found.table["term"] == "average", "band_low"].isna().all()
    assert found.clustered(None).table.get("band_low") is None, "bands of other clusters are not carried over"


@pytest.mark.parametrize("law", ["rademacher", "mammen"])
def test_multipliers_have_mean_zero_and_variance_one(law):
    draws = multipliers(50, 4000, 1, law)
    assert abs(draws.mean()) < 4 / np.sqrt(draws.size)
    assert draws.var() == pytest.approx(1, abs=0.02)
    if law == "mammen":
        assert (draws**3).mean() == pytest.approx(1, abs=0.05)


def test_pretrend_test_and_what_it_would_detect():
    flat, steep = made(400), changed(made(400), lambda y, t, g: y + 0.3 * t * (g < NEVER))
    spec = DidSpec(comparison="never_treated")
    quiet_test, loud = (pretrend_test(aggregate(att_gt(p, "y", spec), "event_time")) for p in (flat, steep))
    assert loud["p_value"] < 1e-4 < quiet_test["p_value"]
    assert loud["detectable"] == pytest.approx(quiet_test["detectable"], rel=1e-6), "it depends on precision, not on what was found"
    assert 0 < quiet_test["detectable"] < 0.3
    cells = pretrend_test(att_gt(flat, "y"))
    assert (cells["df1"], cells["n_rows"], cells["reason"]) == (1 + 2 + 3, 6, "")


def test_detectable_slope_has_the_power_it_claims():
    """One pre row: noncentral F with the slope's noncentrality gives 80 % at 5 %."""
    test = pretrend_test(att_gt(made(), "y", DidSpec(comparison="never_treated")))
    effects = att_gt(made(), "y", DidSpec(comparison="never_treated"))
    rows = np.flatnonzero(effects.table["phase"] == "pre")
    groups = effects.table["n_clusters"].to_numpy()[rows]
    scaled = effects.influence[:, rows] * np.sqrt(groups / (groups - 1))
    mean = test["detectable"] * effects.table["span"].to_numpy()[rows]
    nc = mean @ np.linalg.solve(scaled.T @ scaled, mean)
    critical = stats.f.isf(0.05, test["df1"], test["df2"])
    assert stats.ncf.sf(critical, test["df1"], test["df2"], nc) == pytest.approx(0.8, abs=1e-6)


def test_no_pre_period_is_said_not_tested():
    found = pretrend_test(quietly(att_gt, tiny(FOUR), "y"))
    assert np.isnan(found["p_value"])
    assert "no period before" in found["reason"]


def test_holm():
    assert holm(pd.Series([0.01, np.nan, 0.02, 0.5], list("abcd"))).fillna(-1).tolist() == [0.03, -1, 0.04, 0.5]
    assert holm(pd.Series([0.6, 0.7])).tolist() == [1.0, 1.0]


# invariances ---------------------------------------------------------------------------------------------------------------

SPECS = [
    DidSpec(),
    DidSpec(method="dr", covariates=("x1", "kind")),
    DidSpec(method="ipw", covariates=("x1",)),
    DidSpec(method="reg", covariates=("x1", "x2")),
]


def compared(one: Panel, other: Panel, spec: DidSpec, shift: float = 0.0, scale: float = 1.0) -> None:
    a, b = (quietly(att_gt, p, "y", spec).table.set_index(["cohort", "period"]) for p in (one, other))
    post = (a["phase"] == "post").to_numpy()
    np.testing.assert_allclose(b["estimate"], a["estimate"] * scale + shift * post, atol=ITERATED)
    np.testing.assert_allclose(b["std_error"], a["std_error"] * scale, atol=ITERATED)


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.method}-{len(s.covariates)}")
def test_invariances(spec):
    panel = made()
    n = len(panel.firms)
    rng = np.random.default_rng(8)
    firm_effect = np.repeat(rng.normal(0, 50, n), 6)
    compared(panel, changed(panel, lambda y, t, g: y + firm_effect), spec)
    compared(panel, changed(panel, lambda y, t, g: y + 10 * np.sin(t)), spec)
    compared(panel, changed(panel, lambda y, t, g: y * 250), spec, scale=250)
    compared(panel, changed(panel, lambda y, t, g: y + 0.7 * (g <= t)), spec, shift=0.7)
    shuffled = Panel(panel.firms.sample(frac=1, random_state=1), panel.outcomes.sample(frac=1, random_state=2))
    compared(panel, shuffled, spec)
    names = {k: f"F{(k * 37) % n:04d}" for k in range(n)}
    compared(panel, Panel(panel.firms.rename(index=names), panel.outcomes.rename(index=names, level=0)), spec)


@pytest.mark.parametrize("spec", SPECS[:2], ids=["plain", "dr"])
def test_always_treated_firms_change_nothing(spec):
    panel = made()
    extra = panel.firms.head(20).set_axis(range(5000, 5020)).assign(cohort=1.0)
    rows = panel.outcomes.loc[:19].reset_index().assign(firm_id=lambda f: f["firm_id"] + 5000, y=lambda f: f["y"] * 9)
    more = Panel(
        pd.concat([panel.firms, extra]).rename_axis("firm_id"), pd.concat([panel.outcomes, rows.set_index(["firm_id", "period"])])
    )
    compared(panel, more, spec)
    found = quietly(att_gt, more, "y", spec)
    assert "20 firms" in next(str(n) for n in found.notes if n.key == "always_treated")
    assert not found.member[-20:].any()


def test_covariates_on_any_scale_and_any_coding_give_the_same():
    panel = made()
    firms = panel.firms.assign(x1=panel.firms["x1"] * 1e6 + 3e7, x2=panel.firms["x2"].map({0: "no", 1: "yes"}))
    typed = firms.assign(x2=firms["x2"].astype("category"), x1=firms["x1"].astype("Float64"))
    for other in (firms, typed):
        compared(panel, Panel(other, panel.outcomes), DidSpec(covariates=("x1", "x2")))


def test_unit_weights_and_scaled_weights_change_nothing():
    panel = made()
    spec = DidSpec(covariates=("x1",))
    plain = att_gt(panel, "y", spec).table
    for w in (1.0, 40.0):
        found = att_gt(panel, "y", spec, weights=pd.Series(w, panel.firms.index)).table
        np.testing.assert_allclose(found[["estimate", "std_error"]], plain[["estimate", "std_error"]], atol=ITERATED)


# faults ----------------------------------------------------------------------------------------------------------------------


def faulty(error, match: str, panel: Panel, spec: DidSpec = SPECS[0], outcome: str = "y", **options) -> None:
    with pytest.raises(error, match=match):
        quietly(att_gt, panel, outcome, spec, **options)


def test_designs_that_cannot_be_estimated():
    panel = made()
    firms = panel.firms
    never = firms["cohort"] == NEVER
    faulty(DesignError, "no firm is treated", panel.keep(firms.index[never], "t", "t"))
    faulty(DesignError, "never_treated needs", panel.keep(firms.index[~never], "t", "t"), DidSpec(comparison="never_treated"))
    faulty(DesignError, "without comparison firms", panel.keep(firms.index[firms["cohort"] == 4], "t", "t"))
    faulty(DesignError, "treated in all periods", Panel(firms.assign(cohort=np.where(never, NEVER, 1.0)), panel.outcomes))
    faulty(DesignError, "not in the panel", panel, outcome="profit")
    faulty(DesignError, r"did you mean 'x1'", panel, DidSpec(covariates=("x_1",)))


def test_clusters_that_cannot_carry_inference():
    panel = made()
    ids = panel.firms.index
    faulty(DesignError, "at least three clusters; found 1: one cluster", panel, clusters=pd.Series(1, ids))
    faulty(DesignError, r"found 2: .*t\(1\)", panel, clusters=pd.Series(np.arange(len(ids)) % 2, ids))
    faulty(DesignError, "none of its ids", panel, clusters=pd.Series(1, ["x", "y"]))
    faulty(DesignError, "set_id needs a matched sample", panel, DidSpec(cluster="set_id"))
    faulty(DesignError, "must be firm_id, set_id or a column", panel, DidSpec(cluster="arena"))
    with pytest.warns(PipevalWarning, match=r"as few as 3 clusters.*t\(2\)"):
        effects = att_gt(panel, "y", clusters=pd.Series(np.arange(len(ids)) % 3, ids))
    assert (effects.table["df"].dropna() == 2).all()
    assert [n.key for n in effects.notes] == ["few_clusters"]
    assert quietly(att_gt, panel, "y", DidSpec(cluster="area")).table["n_clusters"].max() == 40


def test_weights_that_are_no_weights():
    panel = made()
    ids = panel.firms.index
    faulty(DesignError, "at least 0; they are not for 1 firm", panel, weights=pd.Series([-1.0], [3]))
    faulty(DesignError, "none of its ids", panel, weights=pd.Series(1.0, ["x", "y"]))
    faulty(DesignError, "repeated", panel, weights=pd.Series(1.0, [1, 1]))
    faulty(DesignError, "at least 0", panel, weights=pd.Series(np.nan, ids))


def test_covariates_that_fail_are_named():
    panel = made()
    firms = panel.firms.assign(flat=3.0, double=panel.firms["x1"] * 2 + 1, tell=np.where(panel.firms["cohort"] < NEVER, 5.0, 0.0))
    firms["tell"] += np.linspace(0, 1, len(firms))
    firms["sector"] = np.where(firms["cohort"] == 4, "shoes", "other")
    bad = Panel(firms, panel.outcomes)
    faulty(EstimationError, "constant or collinear covariate: 'flat'", bad, DidSpec(covariates=("x1", "flat")))
    faulty(EstimationError, "cohort 3, .*collinear covariate: 'x1', 'double'", bad, DidSpec(covariates=("x1", "x2", "double")))
    faulty(EstimationError, "separation: 'tell'", bad, DidSpec(covariates=("x1", "tell"), comparison="never_treated"))
    faulty(EstimationError, r"cohort 4, .*'sector' = shoes \(\d+ treated firms\)", bad, DidSpec(covariates=("sector",)))
    infinite = Panel(firms.assign(x1=np.where(firms.index == 7, np.inf, firms["x1"])), panel.outcomes)
    faulty(DataError, r"infinite for 1 firm \(7\)", infinite, DidSpec(covariates=("x1",)))


def test_separation_by_two_covariates_together_is_found():
    rng = np.random.default_rng(5)
    a = rng.normal(size=(60, 2))
    d = (a.sum(axis=1) > 0).astype(float)
    with pytest.raises(CellError) as found:
        two_by_two(rng.normal(size=60), d, np.column_stack([np.ones(60), a]), np.ones(60))
    assert found.value.kind == "separation"


def test_a_firm_without_its_covariate_leaves_with_a_note():
    panel = made()
    firms = panel.firms.assign(x1=panel.firms["x1"].where(panel.firms.index > 6))
    with pytest.warns(PipevalWarning, match=r"missing covariate: 7 firms \(0, 1, 2, 3, 4, …\)"):
        found = att_gt(Panel(firms, panel.outcomes), "y", DidSpec(covariates=("x1",)))
    without = att_gt(panel.keep(panel.firms.index[7:], "t", "t"), "y", DidSpec(covariates=("x1",)))
    np.testing.assert_allclose(found.table["estimate"], without.table["estimate"], atol=ITERATED)
    assert not found.member[:7].any()


def test_comparison_firms_of_a_level_without_treated_leave():
    """They carry no weight in an effect on the treated: the estimate is that without them, and a note says so."""
    panel = made()
    lone = panel.firms["cohort"].eq(NEVER) & (panel.firms.index % 3 == 0)
    bad = Panel(panel.firms.assign(kind=panel.firms["kind"].mask(lone, "z")), panel.outcomes)
    found = quietly(att_gt, bad, "y", DidSpec(covariates=("kind",)))
    kept = att_gt(panel.keep(panel.firms.index[~lone], "t", "t"), "y", DidSpec(covariates=("kind",)))
    np.testing.assert_allclose(found.table["estimate"], kept.table["estimate"], atol=ITERATED)
    assert "outside_support" in {n.key for n in found.notes}


def test_a_standard_error_is_never_zero():
    rows = {"a": (2, 0, 3), "b": (2, 1, 4), "c": (NEVER, 0, 1), "d": (NEVER, 5, 6), "e": (NEVER, 2, 3)}
    effects = quietly(att_gt, tiny(rows), "y")
    assert effects.table["estimate"].tolist() == [0, 2]
    assert effects.table["std_error"].isna().all()
    assert "no_std_error" in {n.key for n in effects.notes}


def test_an_effect_shows_itself():
    effects = att_gt(made(), "y")
    assert "estimate" in repr(effects)
    assert "<table" in effects._repr_html_()


def test_summaries_refuse_what_they_cannot_average():
    effects = att_gt(made(), "y")
    with pytest.raises(DesignError, match="no cell to average"):
        aggregate(effects, "overall", window=(8, 9))
    with pytest.raises(DesignError, match="takes the cells of att_gt"):
        aggregate(aggregate(effects, "period"), "overall")


# Poisson ---------------------------------------------------------------------------------------------------------------------

AMOUNTS = {"a": (3, 2, 4, 9), "b": (3, 4, 2, 15), "c": (NEVER, 1, 3, 2), "d": (NEVER, 3, 0, 4), "e": (NEVER, 2, 3, 6)}


def test_poisson_is_the_ratio_of_growth_rates():
    """Base period only: (24/6) / (12/6) = 2; with all untreated periods the cohort's level is its total share before."""
    base = quietly(poisson_att, tiny(AMOUNTS), "y", DidSpec(comparison="never_treated")).table.set_index("period")
    assert base.loc[3, "estimate"] == pytest.approx(np.log((24 / 6) / (12 / 6)), abs=CLOSED)
    assert base.loc[1, "estimate"] == pytest.approx(np.log((6 / 6) / (6 / 6)), abs=CLOSED)
    pooled = quietly(poisson_att, tiny(AMOUNTS), "y").table
    assert pooled["estimate"].item() == pytest.approx(np.log((24 / 12) / (12 / 12)), abs=CLOSED)
    assert pooled[["observed", "counterfactual"]].to_numpy().tolist() == [[24, pytest.approx(12)]]


def test_poisson_influence_is_the_derivative_in_a_firms_weight():
    panel = made(50, zeros=True)
    w = pd.Series(1.0, panel.firms.index)
    for by, spec in (("cell", DidSpec()), ("overall", DidSpec()), ("overall", DidSpec(covariates=("x1", "x2")))):
        effects = quietly(poisson_att, panel, "amount", spec, weights=w, by=by)
        for i in (0, 11, 23, 37):
            up, down = w.copy(), w.copy()
            up[i], down[i] = 1 + 1e-4, 1 - 1e-4
            a, b = (quietly(poisson_att, panel, "amount", spec, weights=v, by=by).table["estimate"].to_numpy() for v in (up, down))
            np.testing.assert_allclose(effects.influence[i], (a - b) / 2e-4, atol=1e-6)


def test_poisson_knows_no_currency_and_sums_before_it_divides():
    panel = made(zeros=True)
    cells = poisson_att(panel, "amount")
    other = poisson_att(Panel(panel.firms, panel.outcomes * 1000), "amount")
    np.testing.assert_allclose(other.table["estimate"], cells.table["estimate"], atol=CLOSED)
    np.testing.assert_allclose(other.table["std_error"], cells.table["std_error"], atol=CLOSED)
    period = poisson_att(panel, "amount", by="period").table.set_index("period")
    sums = cells.table.groupby("period")[["observed", "counterfactual"]].sum()
    np.testing.assert_allclose(period["estimate"], np.log(sums["observed"] / sums["counterfactual"]), atol=CLOSED)
    assert quietly(cells.clustered, panel.firms["area"]).table["n_clusters"].max() == 40


def test_poisson_with_covariates_compares_like_with_like():
    """Amounts of firms with x2 = 1 triple each period, the others' stay; the cohort holds mostly the former; no effect."""
    rows = {f"t{k}": (3, 1, 3, 9) for k in range(6)} | {f"u{k}": (3, 2, 2, 2) for k in range(2)}
    rows |= {f"n{k}": (NEVER, 1, 3, 9) for k in range(3)} | {f"m{k}": (NEVER, 2, 2, 2) for k in range(9)}
    panel = tiny(rows, x2=[int(k[0] in "tn") for k in rows])
    plain = quietly(poisson_att, panel, "y").table["estimate"].item()
    adjusted = quietly(poisson_att, panel, "y", DidSpec(covariates=("x2",))).table["estimate"].item()
    assert plain > 0.3
    assert adjusted == pytest.approx(0, abs=ITERATED)
    unlike = tiny(rows, x2=[int(k[0] in "tu") for k in rows])
    with pytest.raises(EstimationError, match=r"'x2' = 1 \(8 treated firms\)"):
        quietly(poisson_att, unlike, "y", DidSpec(covariates=("x2",)))


def test_poisson_faults():
    with pytest.raises(EstimationError, match=r"negative for 1 firm \(a\)"):
        poisson_att(tiny(AMOUNTS | {"a": (3, -2, 4, 9)}), "y")
    zero = quietly(poisson_att, tiny(AMOUNTS | {"a": (3, 2, 4, 0), "b": (3, 4, 2, 0)}), "y")
    assert zero.table["estimate"].isna().all()
    assert zero.table["observed"].item() == 0
    assert "zero_total" in {n.key for n in zero.notes}
    with pytest.raises(DesignError, match="total of zero"):
        quietly(poisson_att, tiny(AMOUNTS | {"a": (3, 0, 0, 9), "b": (3, 0, 0, 9)}), "y")
    with pytest.raises(DesignError, match="without comparison firms"):
        quietly(poisson_att, tiny({k: v for k, v in AMOUNTS.items() if k in "ab"}), "y")


def test_poisson_on_matched_weights_fits_each_cohort_beside_its_partners():
    panel = made(120, zeros=True)
    cohort = panel.firms["cohort"]
    never = cohort.index[cohort == NEVER]
    partners = {3.0: never[:20], 4.0: never[20:40]}
    index = [(g, k) for g, p in partners.items() for k in [*cohort.index[cohort == g], *p]]
    weights = pd.Series(1.0, pd.MultiIndex.from_tuples(index, names=["cohort", "firm_id"]))
    found = poisson_att(panel, "amount", weights=weights).table.set_index(["cohort", "period"])
    alone = panel.keep([*cohort.index[cohort == 4], *partners[4.0]], "t", "t")
    twin = poisson_att(alone, "amount").table.set_index(["cohort", "period"])
    assert set(found.index.get_level_values(0)) == {3, 4}
    np.testing.assert_allclose(found.loc[[4], ["estimate", "std_error"]], twin[["estimate", "std_error"]], atol=CLOSED)


# counts, power, two-way fixed effects ---------------------------------------------------------------------------------------


def test_net_count_by_hand():
    """None: 4 treated, 3 answers, 2 successes; controls 1 of 4. Indirect: 2 treated, 1 of 2; controls 1 of 2. Lone: no controls."""
    arms = [
        ("none", True, [1, 1, 0, np.nan]),
        ("none", False, [1, 0, 0, 0]),
        ("indirect", True, [1, 0]),
        ("indirect", False, [1, 0]),
    ]
    arms += [("lone", True, [1, 1])]
    rows = [(s, d, y) for s, d, ys in arms for y in ys]
    frame = pd.DataFrame(rows, columns=["status", "treated", "success"])
    found = quietly(net_count, frame["treated"], frame["status"], frame["success"])
    table = found.table.set_index("measure")
    assert table["estimate"].to_dict() == pytest.approx(
        {"gross": 4 * 2 / 3 + 1, "expected": 4 / 4 + 1, "net": 8 / 3 - 1}, abs=CLOSED
    )
    assert table[["n_described", "n_answered", "n_without_counterfactual", "gross_without_counterfactual"]].iloc[0].tolist() == [
        6,
        5,
        2,
        2,
    ]
    squares = 16 / 9 * (2 / 9 * 3) + 4 / 4 * 0.5 + 16 / 16 * 0.75 + 4 / 4 * 0.5
    assert table.loc["net", "std_error"] == pytest.approx(np.sqrt(squares * 11 / 10), abs=CLOSED)


def test_net_count_faults():
    ids = range(4)
    treated, status = pd.Series([True, True, False, False], ids), pd.Series("x", ids)
    with pytest.raises(DataError, match="1, 0 or missing"):
        net_count(treated, status, pd.Series([1, 2, 0, 0], ids))
    with pytest.raises(DesignError, match="both treated and controls"):
        net_count(treated, status, pd.Series([1, 1, np.nan, np.nan], ids))


def test_spread_of_change_is_read_before_the_programme_only():
    panel = made(400)
    later = changed(panel, lambda y, t, g: np.where(t >= 3, y * 100, y))
    for spread in (sd_of_change(panel, "y", 1), sd_of_change(later, "y", 1)):
        assert spread["basis"] == "observed"
        arms = panel.wide("y")[[1, 2]].diff(axis=1)[2].groupby(np.isfinite(panel.firms["cohort"]))
        pooled = (arms.var() / arms.count()).sum() / (1 / arms.count()).sum()
        assert spread["sd"] == pytest.approx(np.sqrt(pooled), abs=CLOSED)
    assert sd_of_change(panel, "y", 3)["basis"] == "one_span"
    sorting = np.repeat(panel.firms["x1"].to_numpy(), 6)
    sorted_panel = changed(panel, lambda y, t, g: y + 2 * t * sorting)
    assert sd_of_change(sorted_panel, "y", 1)["sd"] > 4 * sd_of_change(sorted_panel, "y", 1, covariates=("x1", "kind"))["sd"]


def test_spread_of_change_is_extended_along_a_line():
    """Random walk: Var(k) = k; so four periods ahead the standard deviation is 2."""
    rng = np.random.default_rng(6)
    n = 4000
    y = np.cumsum(rng.normal(size=(n, 4)), axis=1)
    rows = {k: (4 if k < n // 2 else NEVER, *y[k]) for k in range(n)}
    spread = sd_of_change(tiny(rows), "y", 4)
    assert (spread["basis"], spread["spans"], spread["n_treated"]) == ("extrapolated", (1, 2), n // 2)
    assert spread["sd"] == pytest.approx(2, rel=0.05)


def test_what_cannot_be_known_before_is_nan_with_a_reason():
    spread = sd_of_change(tiny(FOUR), "y", 1)
    found = mde(spread, Power(), 0.1, "log")
    assert np.isnan([spread["sd"], found["mde"], found["firms_needed"]]).all()
    assert "one period before 2" in found["reason"]
    with pytest.raises(DesignError, match="at least one period"):
        sd_of_change(tiny(FOUR), "y", 0)


def test_minimum_detectable_effect_keeps_its_promise():
    """A t-test at 5 % finds an effect of that size four times in five (normal limit); weights cost firms."""
    spread = pd.Series({"sd": 2.0, "basis": "observed", "level": 8.0, "n_treated": 5000, "n_control": 5000.0, "reason": ""})
    found = mde(spread, Power())
    shift = found["mde"] / (2.0 * np.sqrt(2 / 5000))
    assert stats.norm.sf(1.96 - shift) == pytest.approx(0.8, abs=1e-3)
    assert mde(spread, Power(), scale="poisson")["mde"] == pytest.approx(found["mde"] / 8)
    panel = made()
    weights = pd.Series(1.0, panel.firms.index)
    weights[panel.firms["cohort"] == NEVER] = np.where(np.arange((panel.firms["cohort"] == NEVER).sum()) < 5, 50.0, 0.01)
    found = sd_of_change(panel, "y", 1, weights=weights)
    assert found["effective"] == pytest.approx(5, abs=0.2)
    assert found["n_control"] == (panel.firms["cohort"] == NEVER).sum()


def test_two_way_fixed_effects_are_the_two_by_two_with_one_cohort_and_two_periods():
    panel = tiny(FOUR)
    row = quietly(twfe, panel, "y").iloc[0]
    assert row["estimate"] == pytest.approx(2.5, abs=CLOSED)
    assert (row["n_treated"], row["n_control"], row["negative_weight"]) == (2, 3, 0)


def test_two_way_fixed_effects_refuse_what_is_not_identified():
    with pytest.raises(EstimationError, match="'post' is collinear"):
        quietly(twfe, tiny({"a": (2, 1, 3), "b": (2, 2, 5), "c": (2, 2, 6)}), "y")
    with pytest.raises(EstimationError, match="'event time 9' is collinear"):
        quietly(twfe, made(), "y", event_times=(0, 9))
    with pytest.raises(DesignError, match="none is observed"):
        quietly(twfe, tiny({"a": (NEVER, 1, 3), "b": (NEVER, 2, 5)}), "y")


def test_two_way_fixed_effects_show_their_negative_weights():
    early = made(seed=3)
    firms = early.firms.assign(cohort=np.where(early.firms["cohort"] == NEVER, 6.0, np.where(early.firms["cohort"] == 3, 2.0, 5.0)))
    assert twfe(Panel(firms, early.outcomes), "y")["negative_weight"].item() > 0


def test_every_fault_is_the_packages_own():
    for error in (DataError, DesignError, EstimationError):
        assert issubclass(error, PipevalError)
