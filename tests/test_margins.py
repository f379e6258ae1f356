"""Amounts with zeros: three margins by hand, transitions, what is refused by name, and Poisson rows before entry."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from pipeval.data.panel import NEVER, Panel
from pipeval.data.transformed import refuse_log_of_zero
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.inference import pretrend_test
from pipeval.did.margins import MARGINS, margin_effects, margins_table, transition_table
from pipeval.did.poisson import poisson_att
from pipeval.errors import DesignError, EstimationError, PipevalWarning, collected
from pipeval.study.specs import DidSpec

CLOSED, ITERATED = 1e-8, 1e-6
YEARS = range(1, 8)


def quietly(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return call(*args, **options)


def tiny(rows: dict[str, tuple], **columns) -> Panel:
    """`rows`: firm -> (cohort, amount in period 1, 2, …)."""
    firms = pd.DataFrame({"cohort": {k: float(v[0]) for k, v in rows.items()}}).assign(**columns)
    long = {(k, t): y for k, v in rows.items() for t, y in enumerate(v[1:], 1)}
    return Panel(firms, pd.DataFrame({"y": list(long.values())}, index=pd.MultiIndex.from_tuples(long), dtype=float))


def sellers(n: int = 240, seed: int = 3, drift: float = 0.0, never: bool = True) -> Panel:
    """Amounts with many zeros over seven years; cohorts 4, 5, 6 (and never); `drift` is the treated's own trend."""
    rng = np.random.default_rng(seed)
    cohort = rng.choice([4.0, 5.0, 6.0, NEVER if never else 99.0], n, p=[0.2, 0.2, 0.2, 0.4])
    treated, x = np.isfinite(cohort), rng.normal(size=n)
    size, t = rng.normal(size=(n, 1)), np.array(YEARS)
    after = t >= cohort[:, None]
    sells = rng.random((n, len(t))) < 0.6
    log = (
        2
        + size * 0.5
        + 0.1 * t
        + 0.03 * t * x[:, None]
        + drift * t * treated[:, None]
        + 0.2 * after
        + rng.normal(0, 0.4, (n, len(t)))
    )
    firms = pd.DataFrame({"cohort": cohort, "x": x, "area": np.arange(n) % 40})
    index = pd.MultiIndex.from_product([range(n), YEARS])
    return Panel(firms, pd.DataFrame({"y": (sells * np.exp(log)).ravel(), "size": np.repeat(size, len(t))}, index=index))


# margins ---------------------------------------------------------------------------------------------------------------------

# a starts to sell, b and c go on, d never sells | e starts, f and g go on, h stops
BY_HAND = {
    "a": (2, 0, 5), "b": (2, 2, 6), "c": (2, 4, 4), "d": (2, 0, 0),
    "e": (NEVER, 0, 3), "f": (NEVER, 2, 4), "g": (NEVER, 3, 3), "h": (NEVER, 4, 0),
}  # fmt: skip


def test_three_margins_by_hand():
    """Sellers rise by 1/4 against 0; those who go on grow by ln 3, ln 1 against ln 2, ln 1; totals by 15/6 against 10/9."""
    table = quietly(margins_table, tiny(BY_HAND), "y").set_index("margin")
    assert list(table.index) == list(MARGINS)
    wanted = [0.25, (np.log(3) - np.log(2)) / 2, np.log((15 / 6) / (10 / 9))]
    np.testing.assert_allclose(table["estimate"], wanted, atol=CLOSED)
    np.testing.assert_allclose(table["share"], [0.25, np.expm1(wanted[1]), (15 / 6) / (10 / 9) - 1], atol=CLOSED)
    assert table["n_treated"].tolist() == [4, 2, 4] and table["n_control"].tolist() == [4, 2, 4]
    assert table["conditional"].tolist() == [False, True, False]
    low = [table.loc["extensive", "conf_low"], *np.expm1(table["conf_low"].iloc[1:])]
    np.testing.assert_allclose(table["share_low"], low, atol=CLOSED)


def test_a_year_or_all_of_them():
    panel = sellers()
    one, every = quietly(margins_table, panel, "y", year=6), quietly(margins_table, panel, "y")
    assert one["period"].tolist() == [6, 6, 6] and "period" not in every
    log = panel.outcomes.assign(y=np.log(panel.outcomes["y"].where(panel.outcomes["y"] > 0)))
    twin = aggregate(quietly(att_gt, Panel(panel.firms, log), "y"), "period").table.set_index("period")
    columns = ["estimate", "std_error", "conf_low", "df", "n_treated"]
    np.testing.assert_allclose(one.loc[1, columns].astype(float), twin.loc[6, columns].astype(float), atol=CLOSED)
    total = poisson_att(panel, "y", by="overall").table
    np.testing.assert_allclose(every.loc[2, columns].astype(float), total.loc[0, columns].astype(float), atol=CLOSED)
    with pytest.raises(DesignError, match="no effect in 3: the years with treated and comparison firms are 4, 5, 6, 7"):
        quietly(margins_table, panel, "y", year=3)


@pytest.mark.parametrize("choices", [{"sampling": "cross_sections"}, {"method": "imputation"}])
def test_the_intensive_margin_is_of_those_who_go_on_whatever_the_spec(choices):
    panel = sellers()
    found = quietly(margins_table, panel, "y", DidSpec(**choices)).set_index("margin")["estimate"]
    plain = quietly(margins_table, panel, "y").set_index("margin")["estimate"]
    assert found["intensive"] == plain["intensive"] and found["total"] == plain["total"]


def test_the_rows_hold_jointly():
    """Side by side their influences give what each alone gives, by firm and by cluster."""
    panel = sellers()
    effects = quietly(margin_effects, panel, "y", DidSpec(covariates=("x",)))
    assert effects.influence.shape == (240, 3)
    alone = poisson_att(panel, "y", DidSpec(covariates=("x",)), by="overall")
    np.testing.assert_allclose(effects.influence[:, 2], alone.influence[:, 0], atol=CLOSED)
    grouped = effects.clustered(panel.firms["area"]).table
    assert grouped["n_clusters"].tolist() == [40, 40, 40]
    assert effects.bands().table["band_low"].notna().all()


def test_the_unit_of_money_moves_log1p_and_no_margin():
    """Firms that start to sell from zero: ln(1 + x) says what the currency says; the three margins do not hear of it."""
    pesos = tiny({k: (v[0], *(100 * np.array(v[1:]))) for k, v in BY_HAND.items()})
    thousands = tiny({k: (v[0], *(np.array(v[1:]) / 10)) for k, v in BY_HAND.items()})
    tables = [quietly(margins_table, p, "y").drop(columns="margin").astype(float) for p in (pesos, thousands)]
    np.testing.assert_allclose(tables[0], tables[1], atol=CLOSED)
    logs = [Panel(p.firms, np.log1p(p.outcomes)) for p in (pesos, thousands)]
    found = [quietly(aggregate, quietly(att_gt, p, "y"), "overall").table["estimate"].item() for p in logs]
    change = [np.log1p(k * np.array([5, 6, 4, 0])).sum() - np.log1p(k * np.array([0, 2, 4, 0])).sum() for k in (100, 0.1)]
    change0 = [np.log1p(k * np.array([3, 4, 3, 0])).sum() - np.log1p(k * np.array([0, 2, 3, 4])).sum() for k in (100, 0.1)]
    np.testing.assert_allclose(found, (np.array(change) - change0) / 4, atol=CLOSED)
    assert found[0] > 5 * found[1]  # the same firms, the same sales: 1.7 "log points" or 0.1


def test_a_closed_firm_is_zero_in_the_total_and_gone_from_the_intensive_margin():
    closed = tiny(BY_HAND | {"b": (2, 2, 0)})
    missing = tiny(BY_HAND | {"b": (2, 2, np.nan)})
    zero, gone = (quietly(margins_table, p, "y").set_index("margin") for p in (closed, missing))
    assert zero.loc["total", "estimate"] == pytest.approx(np.log((9 / 6) / (10 / 9)), abs=CLOSED)
    assert gone.loc["total", "estimate"] == pytest.approx(np.log((9 / 6 * 4 / 3) / (10 / 9)), abs=CLOSED)  # means: 9/3 against 6/4
    assert zero.loc["intensive", "estimate"] == pytest.approx(0 - np.log(2) / 2, abs=CLOSED)
    assert zero.loc["extensive", "estimate"] == pytest.approx(0, abs=CLOSED)
    assert zero.loc["extensive", "n_treated"] == 4 and gone.loc["extensive", "n_treated"] == 3


def test_a_margin_that_cannot_be_estimated_is_nan_and_says_why():
    nobody_goes_on = {k: (*v[:2], 0 if v[1] else 3) for k, v in BY_HAND.items()}
    with collected() as notes:
        table = margins_table(tiny(nobody_goes_on), "y").set_index("margin")
    assert table["estimate"].isna().tolist() == [False, True, False] and table["conditional"].tolist() == [False, True, False]
    assert any(n.key == "margin_undefined" and n.values["margin"] == "intensive" for n in notes)


def test_an_amount_is_not_negative_and_not_a_logarithm_of_zero():
    with pytest.raises(EstimationError, match=r"negative for 1 firm \(a\)"):
        margins_table(tiny(BY_HAND | {"a": (2, 0, -1)}), "y")
    with pytest.raises(DesignError, match="'z' is not in the panel"):
        margins_table(tiny(BY_HAND), "z")
    panel = tiny(BY_HAND)
    with pytest.raises(DesignError, match="depends on the currency unit"):
        margins_table(Panel(panel.firms, panel.outcomes.rename(columns={"y": "ihs_y"})), "ihs_y")


@pytest.mark.parametrize(
    "name",
    ["log1p_x", "LN1P exports", "exports_log1p", "ln_1p_x", "lnp1", "log_plus_one_exports", "ln_exports_plus_1", "log(1 + x)",
     "ln(x+1)", "asinh_exports", "exports_arcsinh", "arsinh", "ihs_exports", "exports_ihs", "inverse_hyperbolic_sine_x",
     "ln_1plus_x"],
)  # fmt: skip
def test_a_logarithm_of_zero_is_known_by_its_name(name):
    with pytest.raises(DesignError, match="margins_table"):
        refuse_log_of_zero(name)


@pytest.mark.parametrize(
    "name",
    ["ln_exports", "log_sales", "relationships", "delhihs", "ln_p10", "log_1990", "plus_one", "ln_surplus", "log(x)", "sinh"],
)
def test_an_honest_name_passes(name):
    refuse_log_of_zero(name)


# transitions -----------------------------------------------------------------------------------------------------------------


def test_transitions_by_arm():
    codes = {"a": ("none", "direct"), "b": ("none", "none"), "c": ("direct", None), "d": ("none", "none"), "e": ("direct", "none")}
    status = pd.Series({(k, t): s for k, v in codes.items() for t, s in zip((2003, 2006), v)})
    arm = pd.Series({"a": "treated", "b": "treated", "c": "treated", "d": "control"})
    table = transition_table(status, arm, 2003, 2006)
    assert table.to_dict("split")["data"] == [
        ["control", "none", "none", 1, 1.0],
        ["treated", "none", "direct", 1, 0.5],
        ["treated", "none", "none", 1, 0.5],
    ]  # c is seen once, e has no arm
    assert list(transition_table(status, arm, 2003, 2009).columns) == ["arm", "from", "to", "n", "share"]
    assert len(transition_table(status, arm, 2003, 2009)) == 0


# Poisson before entry --------------------------------------------------------------------------------------------------------


def test_leads_by_hand():
    """Cohort 3 grows from year 1 to 2 by 8/4, later entrants and never-treated by 9/6; later cohorts count as untreated then."""
    rows = {"a": (3, 1, 3, 9), "b": (3, 3, 5, 9), "c": (4, 2, 2, 3), "d": (NEVER, 1, 3, 4), "e": (NEVER, 3, 4, 5)}
    table = quietly(poisson_att, tiny(rows), "y", by="event_time").table.set_index("event_time")
    assert table["phase"].to_dict() == {-2: "pre", 0: "post"} and table.loc[-2, "span"] == -1
    assert table.loc[-2, "estimate"] == pytest.approx(np.log((4 / 8) / (6 / 9)), abs=CLOSED)
    assert table["observed"].tolist() == [4, 18]
    cells = quietly(poisson_att, tiny(rows), "y").table
    assert (cells["phase"] == "post").all()
    assert cells["estimate"].item() == pytest.approx(table.loc[0, "estimate"], abs=CLOSED)


def test_one_cohort_has_the_leads_of_the_base_period_comparison():
    panel = sellers()
    one = panel.keep(panel.firms.index[panel.firms["cohort"].isin([5.0, NEVER])], "t", "t")
    for spec in (DidSpec(), DidSpec(covariates=("x",)), DidSpec(anticipation=1)):
        found, twin = (
            poisson_att(one, "y", s, by="event_time").table.set_index("event_time")
            for s in (spec, spec.changed({"comparison": "never_treated"}))
        )
        before = twin.index[twin["phase"] == "pre"]
        np.testing.assert_allclose(found["observed"], twin["observed"], atol=CLOSED)
        assert list(found.index) == list(twin.index) and len(before) == 3 - spec.anticipation
        columns = ["estimate", "std_error", "span", "n_treated", "n_control"]
        np.testing.assert_allclose(found.loc[before, columns], twin.loc[before, columns], atol=ITERATED)


def test_leads_need_no_never_treated_firm():
    """A cohort far off serves as comparison; earlier cohorts serve until they enter."""
    panel = sellers(never=False)
    table = poisson_att(panel, "y", by="event_time").table.set_index("event_time")
    assert (table["phase"] == "pre").tolist() == [True] * 4 + [False] * 4
    assert table.loc[-5, "n_control"] == 240 - (panel.firms["cohort"] == 6).sum()
    assert not pretrend_test(poisson_att(panel, "y", by="event_time"))["reason"]


def test_influence_before_entry_is_the_derivative_in_a_firms_weight():
    panel = sellers(70)
    w = pd.Series(1.0, panel.firms.index)
    for spec in (DidSpec(), DidSpec(covariates=("x", "size"))):
        effects = poisson_att(panel, "y", spec, weights=w, by="event_time")
        for i in (0, 13, 29, 51):
            ends = []
            for step in (1e-4, -1e-4):
                v = w.copy()
                v[i] += step
                ends.append(poisson_att(panel, "y", spec, weights=v, by="event_time").table["estimate"].to_numpy())
            np.testing.assert_allclose(effects.influence[i], (ends[0] - ends[1]) / 2e-4, atol=1e-6)


def test_the_pretrend_test_reads_a_poisson_event_study():
    calm, steep = (pretrend_test(poisson_att(sellers(800, drift=d), "y", by="event_time")) for d in (0.0, 0.25))
    assert calm["df1"] == 4 and calm["p_value"] > 0.01 and calm["detectable"] > 0
    assert steep["p_value"] < 0.001
    joint = poisson_att(sellers(), "y", by="event_time").bands()
    assert joint.table["band_low"].notna().all()


@pytest.mark.slow
def test_the_pretrend_test_rejects_as_often_as_it_says():
    draws = 400
    rejected = [pretrend_test(poisson_att(sellers(seed=s), "y", by="event_time"))["p_value"] < 0.1 for s in range(draws)]
    assert abs(np.mean(rejected) - 0.1) < 3 * np.sqrt(0.1 * 0.9 / draws)


def test_a_covariate_that_moves_is_read_in_the_base_period():
    panel = sellers()
    moving = panel.outcomes.assign(z=np.repeat(panel.firms["x"].to_numpy(), 7) * (panel.outcomes.index.get_level_values(1) == 4))
    one = panel.firms.index[panel.firms["cohort"].isin([5.0, NEVER])]
    with_z = Panel(panel.firms, moving).keep(one, "t", "t")
    found = poisson_att(with_z, "y", DidSpec(covariates=("z",))).table
    twin = poisson_att(with_z, "y", DidSpec(covariates=("x",))).table
    np.testing.assert_allclose(found[["estimate", "std_error"]], twin[["estimate", "std_error"]], atol=ITERATED)


def test_with_one_dummy_a_cell_firm_effects_change_nothing():
    """Firm-effects Poisson on two periods is a binomial share of each firm's total (Hausman, Hall and Griliches 1984)."""
    panel = sellers(60)
    both = panel.outcomes.index.get_level_values(1).isin([5, 6]) & (
        panel.firms["cohort"].reindex(panel.outcomes.index.get_level_values(0)) >= 6
    )
    part = Panel(panel.firms[panel.firms["cohort"] >= 6], panel.outcomes[both.to_numpy()])
    wide, treated = part.wide("y"), (part.firms["cohort"] == 6).to_numpy()
    share = [wide.loc[arm, 6].sum() / wide.loc[arm].to_numpy().sum() for arm in (treated, ~treated)]
    conditional = np.log(share[0] / (1 - share[0])) - np.log(share[1] / (1 - share[1]))
    assert poisson_att(part, "y").table["estimate"].item() == pytest.approx(conditional, abs=CLOSED)


# choices of a Poisson effect -------------------------------------------------------------------------------------------------


def test_odds_are_against_those_compared():
    """With never-treated firms alone as comparison, cohorts that enter later have no part in the odds."""
    panel, spec = sellers(), DidSpec(covariates=("x",), comparison="never_treated")
    alone = panel.keep(panel.firms.index[panel.firms["cohort"].isin([4.0, NEVER])], "t", "t")
    every, one = (poisson_att(p, "y", spec).table for p in (panel, alone))
    columns = ["period", "estimate", "std_error", "counterfactual"]
    np.testing.assert_allclose(every.loc[every["cohort"] == 4, columns], one[columns], atol=ITERATED)


def test_leads_with_covariates_have_later_entrants_beside_them():
    panel = sellers()
    two = panel.keep(panel.firms.index[panel.firms["cohort"].isin([4.0, 6.0, NEVER])], "t", "t")
    table = poisson_att(two, "y", DidSpec(covariates=("x",)), by="event_time").table.set_index("event_time")
    assert table.loc[-3, "n_control"] == (two.firms["cohort"] > 4).sum()
    assert table.loc[-4, "n_control"] == (two.firms["cohort"] > 6).sum()


def entrants_by_kind(n: int = 4000) -> Panel:
    """No effect; firms of one kind grow faster, and more of them enter in years 3 and 4: those left are unlike the first."""
    rng = np.random.default_rng(1)
    kind, u, t = rng.integers(0, 2, n), rng.random(n), np.arange(1, 6)
    odds = np.where(kind[:, None] == 1, [0.2, 0.7], [0.1, 0.2])
    cohort = np.select([u < odds[:, 0], u < odds[:, 1]], [3.0, 4.0], NEVER)
    y = rng.poisson(np.exp(2 + 0.25 * kind[:, None] * (t - 2) + 0.1 * t))
    index = pd.MultiIndex.from_product([range(n), t])
    return Panel(pd.DataFrame({"cohort": cohort, "kind": kind.astype(float)}), pd.DataFrame({"y": y.ravel()}, index=index))


def test_the_comparison_stays_alike_when_others_enter():
    """With one kind of firm at a time the answer is known: the ratio of totals within a kind, summed over the treated's kinds."""
    panel = entrants_by_kind()
    table = poisson_att(panel, "y", DidSpec(covariates=("kind",))).table
    assert (table["estimate"].abs() < 3.5 * table["std_error"]).all() and table["std_error"].max() < 0.03
    wide, cohort, kind = panel.wide("y"), panel.firms["cohort"], panel.firms["kind"]
    share = {k: ((cohort == 3) & (kind == k)).sum() / ((cohort > 4) & (kind == k)).sum() for k in (0.0, 1.0)}
    w = np.where(cohort == 3, 1.0, kind.map(share)) * ((cohort == 3) | (cohort > 4))
    total = {arm: wide[[1, 2, 4]].mul(w * rows, axis=0).sum() for arm, rows in ((1, cohort == 3), (0, cohort > 4))}
    growth = [total[arm][4] / (total[arm][1] + total[arm][2]) for arm in (1, 0)]
    row = table[(table["cohort"] == 3) & (table["period"] == 4)]
    assert row["estimate"].item() == pytest.approx(np.log(growth[0] / growth[1]), abs=ITERATED)


def test_balanced_keeps_firms_seen_in_every_year():
    panel = sellers()
    seen = np.random.default_rng(0).random(len(panel.outcomes)) > 0.02
    holes = Panel(panel.firms, panel.outcomes[seen])
    with pytest.warns(PipevalWarning, match="not observed in every period"):
        found = poisson_att(holes, "y", DidSpec(sampling="balanced"))
    whole = holes.wide("y").dropna().index
    twin = poisson_att(holes.keep(whole, "t", "t"), "y")
    pd.testing.assert_frame_equal(found.table, twin.table)
    assert len(found.firm_id) == len(whole) < len(panel.firms)


def test_who_leaves_a_poisson_effect_is_said_once():
    panel = sellers()
    firms = panel.firms.assign(kind=np.where(np.isinf(panel.firms["cohort"]) & (panel.firms["x"] > 1), "rare", "usual"))
    firms.loc[[2, 5], "x"] = np.nan
    odd = Panel(firms, panel.outcomes)
    with collected() as notes:
        effects = poisson_att(odd, "y", DidSpec(covariates=("kind", "x"), lag="ancova"), by="event_time")
    assert sorted(n.key for n in notes) == ["lag_not_used", "missing_covariate", "outside_support"]
    assert {n.key for n in effects.notes} == {n.key for n in notes}
    assert next(n for n in notes if n.key == "outside_support").values == {
        "names": "kind",
        "n": int((firms["kind"] == "rare").sum()),
    }
    with collected() as notes:
        margin_effects(odd, "y", DidSpec(covariates=("kind", "x")))
    assert sum(n.key == "missing_covariate" for n in notes) == 1


def test_never_treated_needs_never_treated_firms():
    panel = sellers()
    entered = panel.keep(panel.firms.index[np.isfinite(panel.firms["cohort"])], "t", "t")
    with pytest.raises(DesignError, match="needs never-treated firms and there is none"):
        poisson_att(entered, "y", DidSpec(comparison="never_treated"))
