"""The return by hand: discounting, rates, draws, and the flows that a programme's tables give."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from pydantic import ValidationError
from scipy import stats

from pipeval.data.measures import MONEY
from pipeval.study.params import read_study
from pipeval.study.programme_specs import Assumptions, Return
from pipeval.study.specs import IN_MONEY, Outcome, Study
from pipeval.verdicts.flows import Draws, Flows, benefits, central, draws, last_full_year, outlays, programme_flows
from pipeval.verdicts.rates import npv, payback, rate_of_return
from pipeval.verdicts.returns import (
    assumptions_table,
    break_even_table,
    histogram_table,
    return_table,
    return_tables,
    tornado_table,
    year_table,
    yearly_gain,
)

CERTAIN = Return(
    outcome="ln_va", surplus_share=0.5, discount=0.10, horizon_years=2, persistence=(0.5, 0.5, 0.5), displacement=(0.2, 0.2, 0.2),
    draws=200,
)  # fmt: skip


def flows(error: float = 0.0, df: float = np.inf) -> Flows:
    """Costs of 100 in 2004 and 50 in 2005; effects of 5 % and 10 % on 1,000 and 2,000 in 2005 and 2006."""
    estimate = np.log([1.05, 1.10])
    effects = pd.DataFrame({"estimate": estimate, "std_error": error, "level_usd": [1000.0, 2000.0]}, index=[2005, 2006])
    return Flows(effects, pd.Series({2004: 100.0, 2005: 50.0}), df)


# by hand: what is kept of the gain is 0.5 × 0.8 = 0.4
GAINS = np.array([0.0, 0.4 * 50, 0.4 * 200, 0.4 * 100, 0.4 * 50])
NET = GAINS - np.array([100.0, 50.0, 0.0, 0.0, 0.0])


def test_certain_flows_are_discounted_by_hand():
    table = return_table(flows(), CERTAIN, draws(CERTAIN, np.inf)).set_index("measure")
    value = sum(f / 1.1**t for t, f in enumerate(NET))
    ratio = sum(g / 1.1**t for t, g in enumerate(GAINS)) / (100 + 50 / 1.1)
    assert table.loc["npv_usd", ["central", "drawn_mean", "drawn_median", "drawn_low", "drawn_high"]].to_numpy(float) == (
        pytest.approx([value] * 5, abs=1e-8)
    )
    assert table.loc["bcr", "central"] == pytest.approx(ratio, abs=1e-10)
    assert table.loc["npv_usd", "share_positive"] == float(value > 0) and table["n_undefined"].eq(0).all()


def test_rate_of_return_is_the_root_of_the_polynomial():
    roots = np.roots(NET[::-1])  # in the discount factor 1 / (1 + rate)
    factor = [r.real for r in roots if abs(r.imag) < 1e-12 and r.real > 0]
    assert len(factor) == 1
    assert rate_of_return(NET)[0] == pytest.approx(1 / factor[0] - 1, abs=1e-9)
    rng = np.random.default_rng(1)
    streams = np.hstack([-rng.uniform(50, 150, (20, 1)), rng.uniform(10, 60, (20, 5))])
    rates = rate_of_return(streams)
    for stream, rate in zip(streams, rates, strict=True):
        factor = [r.real for r in np.roots(stream[::-1]) if abs(r.imag) < 1e-9 and r.real > 0]
        assert rate == pytest.approx(1 / factor[0] - 1, abs=1e-8) and npv(stream, rate)[0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("stream", [[-1.0, -2.0], [3.0, 1.0], [0.0, 0.0], [-100.0, 230.0, -132.0]])
def test_no_rate_or_several_is_undefined(stream):
    assert np.isnan(rate_of_return(np.array([stream]))).all()


def test_payback_is_the_last_year_below_zero_plus_one():
    streams = np.array([[-100, 150, -80, 40, 0], [10, 0, 0, 0, 0], [-10, 5, 5, 0, 0], [-10, 0, 0, 0, 0]], float)
    assert payback(streams)[:3].tolist() == [3.0, 0.0, 2.0] and np.isnan(payback(streams)[3])


def test_benefits_by_year():
    assert benefits(flows(), CERTAIN, central(CERTAIN))[0] == pytest.approx(GAINS, abs=1e-10)
    assert outlays(flows(), CERTAIN).tolist() == [100.0, 50.0, 0.0, 0.0, 0.0]


def test_a_year_without_an_estimate_has_no_benefit_and_a_cost_after_the_horizon_counts():
    table = flows().effects.copy()
    table.loc[2005, "estimate"] = np.nan
    late = Flows(table, pd.Series({2004: 100.0, 2010: 7.0}))
    gained = benefits(late, CERTAIN, central(CERTAIN))[0]
    assert gained == pytest.approx([0, 0, 80, 40, 20, 0, 0], abs=1e-10)
    assert outlays(late, CERTAIN).sum() == 107.0
    assert np.isnan(year_table(late, CERTAIN).set_index("period").loc[2005, "effect"])


def test_the_benefit_cost_ratio_is_linear_in_the_income_share():
    ratios = []
    for share in (0.2, 0.4, 0.8):
        spec = CERTAIN.model_copy(update={"surplus_share": share})
        ratios.append(return_table(flows(0.02), spec, draws(spec, 50.0)).set_index("measure").loc["bcr", "drawn_mean"])
    assert np.array(ratios) / ratios[0] == pytest.approx([1, 2, 4], rel=1e-10)


def test_mean_of_the_draws_is_the_analytic_mean():
    """One year, one effect: E exp(−b − s z) is lognormal, E(1 − d) that of the triangle; the level observed is known."""
    effects = pd.DataFrame({"estimate": [0.1], "std_error": [0.05], "level_usd": [1000.0]}, index=[2006])
    spec = Return(
        outcome="y",
        surplus_share=0.5,
        horizon_years=1,
        discount=0.0,
        persistence=(0.2, 0.6, 1.0),
        displacement=(0.0, 0.3, 0.6),
        draws=200_000,
    )
    got = return_table(Flows(effects, pd.Series({2006: 10.0})), spec, draws(spec, np.inf)).set_index("measure")
    mean = (1 - np.exp(-0.1 + 0.05**2 / 2)) * 1000 * np.exp(0.1) * 0.5 * (1 - 0.3) * (1 + 0.6) - 10
    spread = 0.05 * 1000 * 0.5 * 0.7 * 1.6
    assert got.loc["npv_usd", "drawn_mean"] == pytest.approx(mean, abs=6 * spread / np.sqrt(spec.draws))


def test_draws_follow_their_distributions_and_their_seed():
    spec = CERTAIN.model_copy(update={"persistence": (0.5, 0.8, 1.0), "displacement": (0.0, 0.25, 0.5), "draws": 100_000})
    drawn = draws(spec, 5.0)
    assert stats.kstest(drawn.z, "t", args=(5,)).pvalue > 0.001
    assert drawn.persistence.mean() == pytest.approx(2.3 / 3, abs=0.002) and drawn.displacement.mean() == pytest.approx(
        0.25, abs=0.002
    )
    assert (draws(spec, 5.0).z == drawn.z).all() and (draws(spec.model_copy(update={"seed": 1}), 5.0).z != drawn.z).any()


def test_a_hopeless_programme_never_pays():
    bad = flows()
    bad.effects["estimate"] = -0.1
    table = return_table(bad, CERTAIN, draws(CERTAIN, np.inf)).set_index("measure")
    assert table.loc["npv_usd", "share_positive"] == 0 and table.loc["payback", "share_positive"] == 0
    assert np.isnan(table.loc["irr", ["central", "drawn_median", "share_positive"]].astype(float)).all()
    assert table.loc["irr", "n_undefined"] == CERTAIN.draws


def test_undefined_draws_rank_as_the_worst():
    spec = CERTAIN.model_copy(update={"draws": 4000})
    table = return_table(flows(0.2), spec, draws(spec, np.inf)).set_index("measure")
    assert 0 < table.loc["payback", "n_undefined"] < 4000
    assert np.isnan(table.loc["payback", "drawn_high"]) and np.isfinite(table.loc["payback", "drawn_low"])
    assert np.isnan(table.loc["payback", "drawn_mean"])
    assert table.loc["payback", "share_positive"] == pytest.approx(1 - table.loc["payback", "n_undefined"] / 4000)


def test_tornado_moves_one_input_at_a_time():
    spec = CERTAIN.model_copy(update={"persistence": (0.0, 0.5, 1.0), "displacement": (0.0, 0.2, 0.4)})
    table = tornado_table(flows(0.01), spec).set_index("input")
    assert table["swing_usd"].is_monotonic_decreasing and table.loc["surplus_share", "basis"] == "convention"
    assert table["central_usd"].nunique() == 1
    z = stats.norm.ppf(0.95)
    assert table.loc["effect", ["input_low", "input_high"]].to_numpy(float) == pytest.approx(
        np.expm1(np.log(1.1) + np.array([-z, z]) * 0.01)
    )
    low = 0.5 - 0.5 * (1 - np.sqrt(0.10))  # the 5 % quantile of a triangle from 0 to 1
    assert table.loc["persistence", "input_low"] == pytest.approx(low, abs=1e-10)
    by_hand = sum(v / 1.1**t for t, v in enumerate([-100, 0.4 * 50 - 50, 80, 80 * low, 80 * low**2]))
    assert table.loc["persistence", "npv_low_usd"] == pytest.approx(by_hand, abs=1e-8)
    assert table.loc["displacement", "npv_high_usd"] < table.loc["displacement", "npv_low_usd"]
    assert table.loc["discount", ["input_low", "input_high"]].to_numpy(float) == pytest.approx([0.06, 0.14])


def test_break_even_values_bring_the_npv_to_zero():
    table = break_even_table(flows(), CERTAIN).set_index("input")
    at = table.loc["surplus_share", "break_even"]
    spec = CERTAIN.model_copy(update={"surplus_share": at})
    assert return_table(flows(), spec, central(spec))["central"].iloc[0] == pytest.approx(0, abs=1e-6)
    effect = table.loc["effect", "break_even"]
    moved = flows()
    moved.effects["estimate"] += np.log1p(effect) - np.log(1.1)
    moved.effects["level_usd"] *= 1.1 / (1 + effect)  # what was observed stays
    assert return_table(moved, CERTAIN, central(CERTAIN))["central"].iloc[0] == pytest.approx(0, abs=1e-6)
    free = Flows(flows().effects, pd.Series({2004: 0.01}))
    found = break_even_table(free, CERTAIN).set_index("input")
    assert found.loc["persistence", "note"] == "always" and np.isnan(found.loc["persistence", "break_even"])
    dear = Flows(flows().effects, pd.Series({2004: 1e6}))
    assert break_even_table(dear, CERTAIN).set_index("input").loc["persistence", "note"] == "never"


def test_histogram_holds_every_draw():
    spec = CERTAIN.model_copy(update={"draws": 1000})
    table = histogram_table(flows(0.05), spec, draws(spec, 10.0))
    assert table["n"].sum() == 1000 and table["share"].sum() == pytest.approx(1) and len(table) == 40
    assert (table["bin_high"].iloc[:-1].to_numpy() == table["bin_low"].iloc[1:].to_numpy()).all()
    assert histogram_table(flows(), CERTAIN, draws(CERTAIN, np.inf))["n"].tolist() == [200]


def test_year_table_adds_up_to_the_npv():
    table = year_table(flows(), CERTAIN)
    assert table["basis"].tolist() == ["before", "estimated", "estimated", "projected", "projected"]
    assert table["effect"].tolist() == pytest.approx([np.nan, 0.05, 0.10, 0.05, 0.025], nan_ok=True)
    assert table["discounted_usd"].sum() == pytest.approx(npv(NET, 0.10)[0], abs=1e-8)


def test_the_note_says_what_if_unless_the_evidence_is_good():
    levels = SimpleNamespace(firms=pd.DataFrame({"n_firms": [3], "n_responding": [2]}, index=[2006]), fx=10.0, base_year=2003,
                             cost_current_usd=pd.Series([150.0]), notes=("current_dollars",))  # fmt: skip
    study = SimpleNamespace(returns=CERTAIN, outcome=lambda key: SimpleNamespace(scale="log"))
    notes = {
        g: return_tables(flows(), levels, study, g)["return"]["note"].unique().tolist()
        for g in ("demonstrated", "indicative", "inconclusive", "not_assessed")
    }
    assert notes == {"demonstrated": [""], "indicative": [""], "inconclusive": ["what_if"], "not_assessed": ["what_if"]}
    table = assumptions_table(flows(), levels, study).set_index("input")
    assert table.loc["effect", "note"] == "mean_of_logs" and table.loc["cost_usd", "note"] == "current_dollars"
    assert table.loc["cost_current_usd", "value"] == 150.0 and table.loc["fx", "period"] == 2003


def test_yearly_gain_has_the_interval_of_the_effect():
    study = SimpleNamespace(returns=CERTAIN, did=SimpleNamespace(level=0.90))
    gain = yearly_gain(flows(0.01, 30.0), study)
    half = stats.t.ppf(0.95, 30) * 0.01
    expected = 2200 - 2200 / 1.1 / np.exp(np.array([0, -half, half]))
    assert [gain["gain"], gain["gain_low"], gain["gain_high"]] == pytest.approx(expected)
    assert gain["cost_usd"] == pytest.approx(flows().costs.sum())


def test_no_draw_contradicts_the_level_observed():
    """However large the effect, it has added less than the firms had; years before the reference year move alike."""
    spec = CERTAIN.model_copy(update={"surplus_share": 1.0, "displacement": (0.0, 0.0, 0.0)})
    made = flows(0.05)
    observed = made.effects["level_usd"] * np.exp(made.effects["estimate"])
    for z in (-3.0, 2.0, 100.0):
        drawn = Draws(np.array([z]), np.array([0.5]), np.array([0.0]))
        got = benefits(made, spec, drawn)[0]
        by_hand = observed * (1 - np.exp(-made.effects["estimate"] - z * made.effects["std_error"]))
        assert got[1:3] == pytest.approx(by_hand.to_numpy()) and (got[1:3] <= observed.to_numpy()).all()
        assert got[3:] == pytest.approx(got[2] * np.array([0.5, 0.25]))


# from tables


class Plan(SimpleNamespace):
    def outcome(self, key):
        return next(o for o in self.outcomes if o.id == key)


def plan(**changes) -> Plan:
    own = Outcome(id="ln_va", measure="value_added", label={"en": "Value added"})
    base = {
        "returns": CERTAIN, "outcomes": [own], "as_of": date(2007, 3, 31), "assumptions": Assumptions(),
        "money": SimpleNamespace(base_year=2003, fx="fx", headline="real"), "baseline": SimpleNamespace(year=2003),
        "programme": SimpleNamespace(currency="MXN"), "treatment": SimpleNamespace(reference_year=2006),
    }  # fmt: skip
    return Plan(**(base | changes))


def given() -> dict:
    """Four treated firms: one closed, one silent in 2006; a fifth enters later; a control."""
    firms = pd.DataFrame({"cohort": [2005.0, 2005.0, 2006.0, 2005.0, 2007.0, np.inf]}, index=list("abcdef"))
    index = pd.MultiIndex.from_product([firms.index, [2005, 2006]], names=["firm_id", "period"])
    frame = pd.DataFrame({"value_added": 0.0, "status": "alive"}, index=index)
    for key, value in {
        ("a", 2005): 10.0,
        ("a", 2006): 11.0,
        ("b", 2005): 20.0,
        ("c", 2006): 33.0,
        ("f", 2006): 999.0,
        ("e", 2006): 99.0,
    }.items():
        frame.loc[key, "value_added"] = value
    frame["value_added"] = frame["value_added"].where(frame["value_added"] > 0)
    frame.loc[("b", 2006), "status"] = "no_answer"
    frame.loc[("d",), "status"] = "exited"
    series = pd.DataFrame(
        [("fx", 2003, 10.0), ("fx", 2006, 99.0), ("us_cpi", 2003, 100.0), ("us_cpi", 2004, 125.0), ("us_cpi", 2007, 500.0)],
        columns=["series", "year", "value"],
    )
    ledger = pd.DataFrame({
        "on": pd.to_datetime(["2003-05-01", "2004-05-01", "2004-06-01", "2004-07-01"]), "amount_usd": [100.0, 50.0, 25.0, 999.0],
        "kind": ["expense", "expense", "counterpart_contribution", "disbursement"], "source": ["mif", "mif", "counterpart", "mif"],
    })  # fmt: skip
    services = pd.DataFrame({"start_on": pd.to_datetime(["2004-02-01"]), "firm_paid_usd": [50.0]})
    effects = pd.DataFrame({"outcome": ["ln_va"], "headline": [True], "estimate": [np.log(1.1)], "std_error": [0.02], "df": [40.0]})
    years = pd.DataFrame(
        {"outcome": "ln_va", "period": [2005.0, 2006.0], "estimate": [np.log(1.05), 9.0], "std_error": [0.01, 9.0]}
    )
    return {
        "tables": {"series": series, "ledger": ledger, "services": services}, "measured": SimpleNamespace(headline=frame),
        "firms": firms, "found": {"effects": effects, "att_by_period": years},
    }  # fmt: skip


def test_levels_costs_and_effects_by_hand():
    made, levels = programme_flows(**given(), study=plan())
    assert made.effects["estimate"].tolist() == pytest.approx(np.log([1.05, 1.10])) and made.df == 40.0
    # 2005: a and b answer, d is closed. 2006: a and c of a, b, c. Thousand pesos at 10 pesos a dollar
    expected = [1000 * 30 / 1.05 / 10, 1000 * 44 / 1.1 * 3 / 2 / 10]
    assert made.effects["level_usd"].tolist() == pytest.approx(expected)
    assert levels.firms.to_dict("list") == {"n_firms": [2, 3], "n_responding": [2, 2]}
    assert levels.cost_current_usd.to_dict() == {2003: 100.0, 2004: 125.0}
    assert made.costs.to_dict() == {2003: 100.0, 2004: 100.0} and levels.notes == ()


def test_costs_stay_current_without_an_index_and_later_years_take_the_last_known():
    case = given()
    case["tables"]["ledger"].loc[0, "on"] = pd.Timestamp("2006-05-01")
    made, levels = programme_flows(**case, study=plan())
    assert made.costs.to_dict() == {2004: 100.0, 2006: 80.0}  # the index of 2007 was not known in March 2007
    case["tables"]["series"] = case["tables"]["series"].query("series == 'fx'")
    made, levels = programme_flows(**case, study=plan())
    assert levels.notes == ("current_dollars",) and made.costs.to_dict() == {2004: 125.0, 2006: 100.0}
    assert last_full_year(plan()) == 2006 and last_full_year(plan(as_of=date(2006, 12, 31))) == 2006


@pytest.mark.parametrize("lacking", ["effects", "fx", "costs", "returns", "answers"])
def test_without_what_it_needs_there_is_no_return(lacking):
    case, study = given(), plan()
    if lacking == "effects":
        case["found"] = {"effects": case["found"]["effects"].assign(std_error=np.nan)}
    if lacking == "fx":
        study = plan(money=SimpleNamespace(base_year=2003, fx=None, headline="real"))
    if lacking == "costs":
        case["tables"] = {"series": case["tables"]["series"]}
    if lacking == "returns":
        study = plan(returns=None)
    if lacking == "answers":
        case["measured"].headline["value_added"] = np.nan
    assert programme_flows(**case, study=study) is None


def test_only_totals_in_money_have_a_return():
    jobs = Outcome(id="ln_va", measure="value_added", per="jobs", label={"en": "x"})
    sales = Outcome(id="ln_sales", measure="sales", label={"en": "x"})
    values = read_study(ROOT / "params" / "guanajuato_final.yaml").model_dump() | {"returns": {"outcome": "ln_va"}}
    assert Study(**values | {"outcomes": (sales.model_copy(update={"id": "ln_va"}),)}).returns.outcome == "ln_va"
    said = "returns.outcome: only a log or Poisson outcome.*found ln_va \\(log of value_added per jobs\\).*that can: ln_sales"
    with pytest.raises(ValidationError, match=said):
        Study(**values | {"outcomes": (jobs, sales)})
    for scale, measure in (("level", "sales"), ("log", "jobs"), ("log", "price"), ("yes_no", "exports")):
        other = Outcome(id="ln_va", measure=measure, scale=scale, label={"en": "x"})
        with pytest.raises(ValidationError, match="add one, such as a log of sales"):
            Study(**values | {"outcomes": (other,)})
    assert {*IN_MONEY, "price"} == set(MONEY)


def test_an_earlier_year_without_an_estimate_is_said():
    case = given()
    case["found"]["att_by_period"] = None
    case["found"] = {"effects": case["found"]["effects"]}
    made, levels = programme_flows(**case, study=plan())
    assert levels.notes == ("year_without_estimate",) and np.isnan(made.effects.loc[2005, "estimate"])
    assert benefits(made, CERTAIN, central(CERTAIN))[0][2] == 0.0
