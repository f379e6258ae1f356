"""Costs, comparison, causal chain, sustainability and assumptions: by hand, at the edges, and over the shipped sample."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace as Plan

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval.data.contract import TABLES
from pipeval.data.load import load
from pipeval.data.measures import measures
from pipeval.data.treatment import build_panel
from pipeval.errors import collected
from pipeval.study.logframe import Link, read_logframe
from pipeval.study.params import read_study
from pipeval.study.specs import Cofinance, Outcome
from pipeval.verdicts.assumptions import context_table, monitor_table, real_exchange_rate, register_table, survey_price
from pipeval.verdicts.chain import STATES, chain_table, link_status
from pipeval.verdicts.comparison import comparison_table, own_outcome
from pipeval.verdicts.costs import (
    contributions,
    cost_by_component,
    cost_per_effect,
    cost_per_firm,
    cost_per_output,
    cost_per_unit,
    spending,
)
from pipeval.verdicts.sustainability import direction, sustainability_table
from pipeval.verdicts.value import outcome_grade, value_tables

ROOT = Path(__file__).resolve().parents[1]


def day(*texts: str) -> pd.Series:
    return pd.Series(pd.to_datetime(list(texts)))


# costs


def ledger() -> pd.DataFrame:
    return pd.DataFrame({
        "on": day("2003-01-05", "2004-02-01", "2004-03-01", "2004-04-01", "2004-05-01"),
        "kind": ["expense", "counterpart_contribution", "disbursement", "expense", "revolving_replenish"],
        "source": ["mif", "counterpart", "mif", "firms", "mif"], "component": ["1", "2", None, "2", None],
        "activity_id": ["A1", None, None, None, None], "amount_usd": [100.0, 40.0, 500.0, 7.0, 3.0],
    })  # fmt: skip


def services() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "service_id": list("wxyz"),
            "firm_id": ["f", "f", "g", "h"],
            "component": ["1", "2.1", "2.2", "2"],
            "activity_id": ["A1", "A2", "A2", None],
            "activity_type": ["diagnosis", "ta_group", "fair", "fair"],
            "start_on": day("2004-01-01", "2004-06-01", "2005-01-01", "2005-02-01"),
            "total_cost_usd": [10.0, 30.0, 30.0, 30.0],
            "programme_paid_usd": [7.0, 15.0, 10.0, np.nan],
            "firm_paid_usd": [3.0, 15.0, 20.0, 2.0],
            "quality_score": [2.0, 4.0, 4.0, 5.0],
        }
    )


def test_every_source_counts_once():
    table = cost_by_component(spending(ledger(), services())).set_index(["component", "source"])["cost_usd"]
    assert table.to_dict() == {
        ("1", "mif"): 100.0,
        ("1", "firms"): 3.0,
        ("1", "all"): 103.0,
        ("2", "counterpart"): 40.0,
        ("2", "firms"): 37.0,
        ("2", "all"): 77.0,
        ("all", "mif"): 100.0,
        ("all", "counterpart"): 40.0,
        ("all", "firms"): 40.0,
        ("all", "all"): 180.0,
    }
    only = spending(ledger(), None)
    assert only.loc[only["source"] == "firms", "cost_usd"].tolist() == [7.0]


def test_counterpart_expenses_replace_its_contributions():
    own = ledger()
    own.loc[4, ["kind", "source", "component"]] = ["expense", "counterpart", "2"]
    assert spending(own, None).query("source == 'counterpart'")["cost_usd"].tolist() == [3.0]


def test_cost_per_output_prefers_the_ledger():
    plan = pd.DataFrame({"activity_id": ["A1", "A2", "A3"], "component": ["1", "2", "2"], "planned_qty": [4.0, 5.0, 0.0],
                         "actual_qty": [2.0, 0.0, 1.0], "planned_cost_usd": [100.0, np.nan, 10.0]})  # fmt: skip
    table = cost_per_output(plan, ledger(), services()).set_index("activity_id")
    assert table["basis"].tolist() == ["ledger", "services", "not_known"]
    assert table["cost_usd"].tolist() == pytest.approx([103.0, 60.0, np.nan], nan_ok=True)
    assert table["unit_cost_usd"].tolist() == pytest.approx([51.5, np.nan, np.nan], nan_ok=True)
    assert table["planned_unit_cost_usd"].tolist() == pytest.approx([25.0, np.nan, np.nan], nan_ok=True)


def test_cost_per_firm_counts_firms_once():
    table = cost_per_firm(spending(ledger(), services()), services()).set_index("component")
    assert table["n_firms"].to_dict() == {"1": 1, "2": 3, "all": 3} and table["n_services"].to_dict() == {"1": 1, "2": 3, "all": 4}
    assert table["cost_per_firm_usd"].to_dict() == pytest.approx({"1": 103.0, "2": 77 / 3, "all": 60.0})


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        ((10, 5, 20), (10, 5, 20, "")),
        ((10, -5, 25), (10, 4, np.nan, "no_upper")),
        ((-1, -3, 5), (np.nan, 20, np.nan, "no_upper")),
        ((-2, -3, -1), (np.nan, np.nan, np.nan, "no_gain")),
        ((10, 0, 20), (10, 5, np.nan, "no_upper")),
        ((10, np.nan, 20), (np.nan, np.nan, np.nan, "not_known")),
    ],
)
def test_cost_per_unit_of_effect(effect, expected):
    row = cost_per_unit(100.0, *effect)
    assert list(row.values())[:3] == pytest.approx(expected[:3], nan_ok=True) and row["note"] == expected[3]


def test_the_interval_of_a_cost_covers_as_often_as_that_of_the_effect():
    rng = np.random.default_rng(7)
    b = rng.normal(4.0, 1.0, 4000)
    half, truth = stats.norm.ppf(0.975), 100 / 4.0
    rows = pd.DataFrame([cost_per_unit(100.0, x, x - half, x + half) for x in b])
    covered = (rows["cost_low_usd"] <= truth) & ~(rows["cost_high_usd"] < truth)
    assert covered.mean() == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 4000))


def test_cost_per_effect_takes_the_sought_sign_and_leaves_levels_out():
    effects = pd.DataFrame({"outcome": ["cost", "level"], "scale": ["log", "level"], "direction": ["decrease", "increase"],
                            "effect": [-0.05, 3.0], "effect_low": [-0.10, 1.0], "effect_high": [-0.02, 5.0]})  # fmt: skip
    counts = pd.DataFrame({"indicator": ["P3"], "net": [10.0], "net_low": [-1.0], "net_high": [20.0]})
    gain = {"outcome": "ln_va", "gain": 50.0, "gain_low": 10.0, "gain_high": 100.0, "cost_usd": 80.0}
    table = cost_per_effect(100.0, effects, counts, gain).set_index("row")
    assert table["unit"].to_dict() == {"cost": "percentage_point", "P3": "net_exporter", "ln_va": "usd_a_year"}
    assert table.loc["cost", ["gain", "gain_low", "gain_high", "cost_per_unit_usd", "cost_low_usd", "cost_high_usd"]].astype(
        float
    ).tolist() == (pytest.approx([5, 2, 10, 20, 10, 50]))
    assert table.loc["P3", "note"] == "no_upper" and table.loc["ln_va", "cost_per_unit_usd"] == 1.6
    assert table["cost_usd"].to_dict() == {"cost": 100.0, "P3": 100.0, "ln_va": 80.0}  # constant dollars against constant dollars
    assert table.loc["ln_va", ["cost_low_usd", "cost_high_usd"]].tolist() == [0.8, 8.0]


def test_contributions_are_labelled_associations():
    dose = pd.DataFrame(
        {
            "outcome": "y",
            "division": ["dose", "component", "per_thousand_usd", "assistance"],
            "group": ["low", "both", "slope", "yes"],
            "estimate": [1.0, 2.0, 3.0, np.nan],
        }
    )
    table = contributions(dose)
    assert table["division"].tolist() == ["component", "per_thousand_usd"] and table["reading"].unique().tolist() == ["association"]


# comparison


def outcome(key: str, measure: str, **more) -> Outcome:
    return Outcome(id=key, measure=measure, label={"en": key}, **more)


OUTCOMES = Plan(
    outcomes=(
        outcome("some", "sales", among={"exp_status_baseline": ("direct",)}),
        outcome("ln_sales", "sales"),
        outcome("ln_va_job", "value_added", per="jobs"),
        outcome("survival", "alive", scale="share"),
    )
)


def test_a_word_finds_its_outcome():
    found = {
        w: getattr(own_outcome(w, OUTCOMES), "id", None)
        for w in ("sales", " Productivity", "ln_va_job", "survival", "alive", "employment", "happiness")
    }
    assert found == {
        "sales": "ln_sales",
        " Productivity": "ln_va_job",
        "ln_va_job": "ln_va_job",
        "survival": "survival",
        "alive": "survival",
        "employment": None,
        "happiness": None,
    }


def test_comparison_takes_the_nearest_year_and_pools_nothing():
    path = pd.DataFrame({"outcome": "ln_sales", "event_time": [-2, 0, 1, 2, 3], "estimate": [9.0, 0.01, 0.05, 0.10, np.nan],
                         "conf_low": [8.0, -0.01, 0.03, 0.08, np.nan], "conf_high": [10.0, 0.03, 0.07, 0.12, np.nan]})  # fmt: skip
    other = pd.DataFrame(
        {
            "study": list("ABCDEFG"),
            "outcome": ["sales"] * 5 + ["productivity", "happiness"],
            "effect_pct": [5.0, 1.0, 20.0, 4.0, 4.0, 1.0, 1.0],
            "ci_lo": [4.0, 0.0, 15.0, np.nan, 3.0, 0.0, 0.0],
            "ci_hi": [6.0, 2.0, 25.0, np.nan, 5.0, 2.0, 2.0],
            "horizon_years": [1, 2, 7, 1.5, np.nan, 1, 1],
        }
    )
    table = comparison_table(other, path, OUTCOMES)
    assert len(table) == 7 and table["own_horizon"].tolist() == pytest.approx([1, 2, 2, 1, 2, np.nan, np.nan], nan_ok=True)
    assert table["note"].tolist() == [
        "",
        "",
        "horizon_differs",
        "horizon_differs_no_interval",
        "no_horizon",
        "no_own_effect",
        "no_own_outcome",
    ]
    assert table["position"].tolist() == ["similar", "higher", "lower", "not_known", "higher", "not_known", "not_known"]
    assert table.loc[0, ["own_effect", "own_low", "own_high"]].astype(float).tolist() == pytest.approx(
        np.expm1([0.05, 0.03, 0.07]).tolist()
    )
    assert table.loc[0, ["effect", "effect_low", "effect_high"]].astype(float).tolist() == pytest.approx([0.05, 0.04, 0.06])
    assert comparison_table(other.iloc[:0], path, OUTCOMES).empty


# chain

RULES = [
    (("met", "met", "demonstrated"), {}, "supported"),
    (("met", "not_met", "demonstrated"), {}, "supported"),
    (("met", "met", "demonstrated"), {"doubted": True}, "consistent"),
    (("met", "met", "demonstrated"), {"against": True}, "weak"),
    (("partly_met", "met", "demonstrated"), {}, "consistent"),
    (("met", "not_yet_due", "indicative"), {}, "consistent"),
    (("met", "met", "descriptive"), {}, "consistent"),
    (("met", "met", "inconclusive"), {}, "weak"),
    (("met", "not_met", "inconclusive"), {}, "weak"),
    (("met", "not_met", "descriptive"), {}, "broken"),
    (("met", "met", "adverse"), {}, "broken"),
    (("met", "not_yet_due", "target_ruled_out"), {}, "broken"),
    (("not_met", "met", "demonstrated"), {}, "broken"),
    (("not_met", "met", "demonstrated"), {"cause": "indicative"}, "consistent"),
    (("infeasible", "met", "descriptive"), {"cause": "inconclusive"}, "broken"),
    (("not_measurable", "met", "demonstrated"), {"cause": "demonstrated"}, "not_known"),
    (("not_yet_due", "met", "demonstrated"), {}, "not_known"),
    (("met", "not_measurable", "descriptive"), {}, "not_known"),
    (("met", "not_yet_due", "not_assessed"), {}, "not_known"),
    (("", "", ""), {}, "not_known"),
]


@pytest.mark.parametrize(("ends", "more", "expected"), RULES)
def test_rules_of_a_link(ends, more, expected):
    assert link_status(*ends, **more) == expected


def small_chain(activity_types=("fair",)) -> Plan:
    frame = read_logframe("guanajuato")
    link = Link(**{"from": "C2.2", "to": "G2"}, text={"es": "a", "en": "b"}, activity_types=activity_types)
    return frame.model_copy(update={"links": (link,)})


def test_a_link_gathers_its_evidence():
    verdicts = pd.DataFrame({"id": ["C2.2", "G2"], "attainment": ["met", "met"], "evidence": ["descriptive", "demonstrated"]})
    dose = pd.DataFrame(
        {
            "outcome": ["ln_va_job", "ln_va_job"],
            "division": ["dose", "per_thousand_usd"],
            "group": "x",
            "estimate": [1.0, -0.01],
            "p_value": [0.0, 0.2],
        }
    )
    heard = pd.DataFrame({"id": ["G2"], "triangulation": ["mixed"], "contradicts": [0]})
    row = chain_table(small_chain(), verdicts, services(), dose, heard).iloc[0]
    assert row[["n_services", "n_firms", "dose_estimate", "dose_p", "triangulation", "status"]].tolist() == [
        2.0,
        2.0,
        -0.01,
        0.2,
        "mixed",
        "supported",
    ]
    against = chain_table(small_chain(), verdicts, services(), dose.assign(p_value=0.01), heard).iloc[0]
    assert against["status"] == "weak"
    assert chain_table(small_chain(), verdicts, None, None, heard.assign(contradicts=1))["status"].item() == "consistent"
    assert (
        chain_table(small_chain(), verdicts, None, None, heard.assign(triangulation="agree_contradicts"))["status"].item() == "weak"
    )
    never = chain_table(small_chain(("mission",)), verdicts, services(), None, heard).iloc[0]
    assert never["n_services"] == 0 and never["status"] == "consistent"  # nothing of what was to carry it was given
    bare = chain_table(small_chain(()), verdicts).iloc[0]
    assert np.isnan(bare["n_services"]) and bare["triangulation"] == "not_known" and bare["status"] == "supported"
    assert chain_table(small_chain(), verdicts.iloc[:0])["status"].item() == "not_known"


@pytest.mark.parametrize("name", ["guanajuato", "dini"])
def test_shipped_chains_lead_from_components_to_the_top(name):
    frame = read_logframe(name)
    order = {"activity": 0, "component": 1, "purpose": 2, "goal": 3}
    levels = {i.id: order[i.level] for i in frame.indicators}
    codes = {c.name: c.codes for c in TABLES["services"].columns}["activity_type"]
    assert len(frame.links) >= 12 and {levels[k.target] for k in frame.links} >= {1, 2}
    for link in frame.links:
        assert levels[link.source] <= levels[link.target] and set(link.activity_types) <= set(codes)
        assert set(link.text) == {"es", "en", "pt"} and all(len(t) < 140 for t in link.text.values())
    assert len({(k.source, k.target) for k in frame.links}) == len(frame.links)


# sustainability


def test_direction_of_shares_follows_their_interval():
    assert direction(0.5, 0.35, 0.3, 0.7) == "same" and direction(0.5, 0.71, 0.3, 0.7) == "worse"
    assert direction(1.05, 1.0) == "same" and direction(1.2, 1.0) == "better" and direction(np.nan, 1.0) == "not_known"


def lasting() -> tuple[dict, pd.DataFrame, pd.DataFrame, Plan]:
    firms = pd.DataFrame({"cohort": [2004.0, 2005.0, 2004.0, np.inf], "cluster_id": ["K", "K", "L", None]}, index=list("fghi"))
    index = pd.MultiIndex.from_product([firms.index, range(2003, 2007)], names=["firm_id", "period"])
    frame = pd.DataFrame({"sales": 100.0, "joint_sales": 0.0, "exp_status": "none"}, index=index)
    frame.loc[("f", 2006), "joint_sales"] = 30.0
    frame.loc[[("f", 2005), ("h", 2005)], "joint_sales"] = 10.0
    frame.loc[[("f", 2004), ("f", 2005), ("g", 2004), ("h", 2005), ("i", 2005), ("i", 2006)], "exp_status"] = "direct"
    clusters = pd.DataFrame({"cluster_id": ["K", "L", "M"], "formed_on": day("2004-01-01", "2004-01-01", "NaT"),
                             "joint_sale_on": day("2005-01-01", "2005-01-01", "NaT"), "legal_entity": [1.0, 0.0, 1.0]})  # fmt: skip
    actions = pd.DataFrame({"cluster_id": ["K", "K", "L", "K"], "firm_id": list("fghf"), "type": "purchase",
                            "on": day("2006-09-01", "2006-09-01", "2005-09-01", "2003-01-01")})  # fmt: skip
    study = Plan(as_of=date(2007, 3, 31), treatment=Plan(reference_year=2006), baseline=Plan(year=2003), did=Plan(level=0.95),
                 outcome=lambda key: Plan(scale="log"))  # fmt: skip
    return {"clusters": clusters, "joint_actions": actions}, frame, firms, study


def test_signs_of_acting_together_and_of_exports_that_last():
    tables, frame, firms, study = lasting()
    table = sustainability_table(tables, frame, firms, None, study).set_index("row")
    assert table.loc["joint_actions", ["value", "before", "direction"]].tolist() == [1.0, 1.0, "same"]
    assert table.loc["clusters_acting", ["value", "before", "n"]].astype(float).tolist() == [0.5, 0.5, 2.0]
    assert table.loc["joint_sales_share", ["value", "before", "n"]].astype(float).tolist() == pytest.approx([0.1, 20 / 300, 3])
    assert table.loc["clusters_selling", ["value", "before"]].astype(float).tolist() == [0.5, 1.0]
    assert table.loc["legal_form", ["value", "direction", "note"]].tolist() == [0.5, "not_known", "descriptive"]
    # f exports in 2004 and 2005, h in 2005 only, g before its entry only, i is no participant
    assert table.loc["exporting_two_years", ["value", "n"]].astype(float).tolist() == [0.5, 2.0]


def test_signs_of_the_agency_and_of_knowledge():
    _, frame, firms, study = lasting()
    bought = pd.DataFrame(
        {
            "firm_id": ["f", "f", "g", "g", "h", "i"],
            "start_on": day("2004-01-01", "2005-06-01", "2004-01-01", "2004-06-01", "2004-01-01", "2006-01-01"),
            "total_cost_usd": 100.0,
            "programme_paid_usd": [70.0, 40.0, 70.0, 60.0, 70.0, 20.0],
            "firm_paid_usd": [30.0, 60.0, 30.0, 40.0, 30.0, 80.0],
        }
    )
    few = bought.tail(1).assign(start_on=pd.Timestamp("2007-01-01"), firm_paid_usd=1.0)  # a year of closing accounts
    bought = pd.concat([*[bought] * 10, *[few] * 9], ignore_index=True)
    booked = pd.DataFrame(
        {
            "on": day("2005-01-01", "2006-01-01", "2007-01-15"),
            "kind": "expense",
            "source": "mif",
            "amount_usd": [10400.0, 5200.0, 9e6],
        }
    )
    rated = pd.DataFrame(
        {
            "rubric": ["capacity"] * 3 + ["sustainability"] * 2,
            "subject": "agency",
            "criterion": ["team", "team", "plans", "fees", "knowledge"],
            "rated_on": day("2005-01-01", "2007-01-01", "2007-01-01", "2007-01-01", "2007-01-01"),
            "score": [2, 3, 4, 1, 4],
        }
    )
    said = pd.DataFrame(
        {
            "wave": ["midterm"] * 2 + ["final"] * 2,
            "item": "would_pay",
            "score": [1.0, 1.0, 1.0, 0.0],
            "answered_on": day(*["2005-01-01"] * 2, *["2006-09-01"] * 2),
        }
    )
    tables = {"services": bought, "ledger": booked, "rubrics": rated, "satisfaction": said}
    table = sustainability_table(tables, frame, firms, None, study).set_index("row")
    assert table.loc["capacity_score", ["value", "before", "n", "direction"]].tolist() == [3.0, 2.0, 1.0, "better"]
    assert table.loc["overhead_per_service", ["value", "before", "direction"]].tolist() == [500.0, 1000.0, "better"]
    assert table.loc["bought_again", ["value", "n"]].astype(float).tolist() == pytest.approx([1 / 3, 3])  # i began too late to tell
    assert table.loc["bought_again_dearer", "value"] == 1.0
    assert table.loc["firm_share", ["value", "before"]].astype(float).tolist() == pytest.approx([0.8, 130 / 400])
    assert table.loc["would_pay", ["value", "before"]].astype(float).tolist() == [0.5, 1.0]
    assert table.loc[["rubric_fees", "rubric_knowledge"], "sense"].tolist() == ["agency", "knowledge"]
    assert table.loc["rubric_fees", "direction"] == "not_known"


@pytest.mark.parametrize(("last", "expected"), [(0.10, "same"), (0.01, "worse"), (0.30, "better")])
def test_an_effect_lasts_when_the_last_lies_within_the_first_interval(last, expected):
    _, frame, firms, study = lasting()
    path = pd.DataFrame(
        {
            "outcome": "y",
            "event_time": [-1, 0, 2],
            "estimate": [0.9, 0.10, last],
            "conf_low": 0.05,
            "conf_high": 0.15,
            "n_treated": 9,
        }
    )
    row = sustainability_table({}, frame, firms, path, study).set_index("row").loc["effect_last"]
    assert (
        row["direction"] == expected
        and row["value"] == pytest.approx(np.expm1(last))
        and row["before"] == pytest.approx(np.expm1(0.1))
    )


# assumptions


def monitored(**changes) -> Plan:
    base = {
        "as_of": date(2009, 3, 31), "baseline": Plan(year=2003, pre_years=(2002,)), "treatment": Plan(reference_year=2004),
        "money": Plan(fx="fx_mxn_usd", deflator="inpc"), "opinions": Plan(low=3.0),
        "assumptions": Plan(foreign_prices="us_cpi", tolerance=0.10, response=0.70, exports="exports_usd"),
        "cofinance": Cofinance(), "calendar": Plan(first_disbursement=date(2004, 1, 1)),
    }  # fmt: skip
    return Plan(**(base | changes))


def test_real_exchange_rate_of_the_sample():
    """Computed apart: fx × us_cpi / inpc over its value of 2003, from the published annual averages."""
    series = pd.read_csv(ROOT / "data" / "sample" / "series.csv")
    rate = real_exchange_rate(series, monitored())
    assert rate.loc[2003:].to_dict() == pytest.approx(
        {2003: 100, 2004: 102.6, 2005: 98.4, 2006: 98.2, 2007: 97.3, 2008: 98.0}, abs=0.06
    )
    table = monitor_table({"series": series}, pd.DataFrame(), monitored())
    assert table["status"].unique().tolist() == ["holds"] and table["note"].unique().tolist() == ["bilateral_rate"]
    tight = Plan(foreign_prices="us_cpi", tolerance=0.025, response=1, exports="x")
    strict = monitor_table({"series": series}, pd.DataFrame(), monitored(assumptions=tight))
    assert strict.loc[strict["status"] == "broken", "period"].tolist() == [2007]
    early = monitor_table({"series": series}, pd.DataFrame(), monitored(as_of=date(2006, 3, 31)))
    assert early["period"].max() == 2005  # the average of 2006 was not known in March
    assert real_exchange_rate(series.query("series != 'us_cpi'"), monitored()).empty


def test_response_counts_firms_not_known_to_be_closed():
    firms = pd.DataFrame({"arm": ["beneficiary"] * 3 + ["nonparticipant"]}, index=list("abcd"))
    survey = pd.DataFrame(
        {
            "firm_id": list("abcda"),
            "ref_year": [2004] * 4 + [2002],
            "response": ["complete", "refusal", "closed", "partial", "refusal"],
        }
    )
    table = monitor_table({"survey": survey}, firms, monitored()).set_index("group")
    assert table["value"].to_dict() == {"beneficiary": 0.5, "nonparticipant": 1.0}
    assert table["status"].to_dict() == {"beneficiary": "broken", "nonparticipant": "holds"}


def test_sector_exports_and_services():
    totals = pd.DataFrame(
        {
            "sector": ["shoes"] * 3 + ["pots"],
            "year": [2002, 2003, 2004, 2002],
            "measure": "exports_usd",
            "source": "s",
            "value": [50.0, 100.0, 80.0, 5.0],
            "territory": "G",
        }
    )
    table = monitor_table({"territory_totals": totals, "services": services()}, pd.DataFrame(), monitored())
    shoes = table[table["group"] == "shoes"]
    assert shoes[["period", "value", "status"]].values.tolist() == [[2004, 80.0, "broken"]]
    assert table.loc[table["group"] == "pots", ["status", "note"]].values.tolist() == [["not_known", "one_year"]]
    quality = table[table["row"] == "service_quality"].set_index("period")
    assert quality["value"].to_dict() == {2004: 3.0, 2005: 4.5} and quality.loc[2004, "status"] == "holds"
    paid = table[table["row"] == "firm_share"].set_index("period")
    assert paid["value"].to_dict() == pytest.approx({2004: 18 / 40, 2005: 22 / 60})
    months = (services()["start_on"] - pd.Timestamp("2004-01-01")).dt.days / 30.4375
    due = 1 - (0.7 - 0.4 * months / 36)
    assert paid.loc[2005, "limit"] == pytest.approx(due.iloc[2:].mean() - 0.10)
    assert register_table(read_logframe("guanajuato"), table).set_index("id")["status"].to_dict().items() >= {
        ("markets", "broken"), ("staff", "not_testable"), ("peso", "not_known"), ("service_quality", "holds")}  # fmt: skip


def test_register_cites_the_indicators_that_rest_on_an_assumption():
    table = register_table(read_logframe("guanajuato"), monitor_table({}, pd.DataFrame(), monitored())).set_index("id")
    assert "G1" in table.loc["peso", "indicators"].split(";") and table.loc["peso", "followed"] == "real_exchange_rate"
    assert set(table["status"]) == {"not_known", "not_testable"}


def test_context_shows_no_sum_of_fewer_than_five_firms():
    names = [f"F{i:02d}" for i in range(15)]
    firms = pd.DataFrame(
        {
            "cohort": [2004.0] * 5 + [np.inf] * 10,
            "municipality": ["A"] * 11 + ["B"] * 4,
            "arm": ["beneficiary"] * 5 + ["nonparticipant"] * 10,
        },
        index=names,
    )
    index = pd.MultiIndex.from_product([names, [2002, 2003, 2004]], names=["firm_id", "period"])
    frame = pd.DataFrame({"sales": np.tile([1.0, 2.0, 3.0], 15)}, index=index)
    frame.loc[("F00", 2002), "sales"] = np.nan
    table = context_table({}, frame, firms, monitored())
    assert table["group"].unique().tolist() == ["comparison_near"] and table["n_firms"].unique().tolist() == [6.0]
    assert table["base_100"].tolist() == [50.0, 100.0, 150.0] and table["value"].tolist() == [6.0, 12.0, 18.0]
    firms.loc["F05", "arm"] = "indirect"
    assert context_table({}, frame, firms, monitored())["n_firms"].unique().tolist() == [5.0]


def test_survey_price_asks_for_nothing_more_where_the_target_can_be_seen():
    power = pd.DataFrame(
        {
            "outcome": ["a", "b", "c"],
            "target": [0.1, 0.1, np.nan],
            "mde_share": [0.05, 0.2, 0.1],
            "n_treated": [100, 100, 100],
            "n_control": [150.0, 150.0, 150.0],
            "firms_needed": [50.0, 401.0, 10.0],
        }
    )
    budget = pd.DataFrame({"component": ["1", "evaluation"], "budget_usd": [5.0, 28000.0]})
    table = survey_price(power, budget).set_index("outcome")
    assert table["extra_firms"].to_dict() == {"a": 0.0, "b": 301 + 602 - 150} and table["ratio"].to_dict() == {"a": 0.5, "b": 4.01}
    assert table["evaluation_usd"].unique().tolist() == [28000.0] and survey_price(power)["evaluation_usd"].isna().all()


# everything


@pytest.fixture(scope="module")
def sample():
    """The final study of the sample with its tables, measures and firms; effects are made up."""
    study = read_study(ROOT / "params" / "guanajuato_final.yaml")
    with collected():
        tables = load(study)
        measured = measures(tables, study)
        firms = build_panel(tables, measured, study, "component2").firms
    effects = pd.DataFrame(
        {
            "outcome": ["ln_sales", "ln_va"],
            "scale": "log",
            "direction": "increase",
            "headline": True,
            "estimate": [0.06, 0.09],
            "std_error": 0.03,
            "df": 300.0,
            "p_value": [0.046, 0.003],
            "effect": [0.062, 0.094],
            "effect_low": [0.003, 0.035],
            "effect_high": [0.12, 0.16],
        }
    )
    years = pd.DataFrame({"outcome": "ln_va", "period": [2004.0, 2005.0], "estimate": [0.04, 0.06], "std_error": 0.03})
    found = {"effects": effects, "att_by_period": years}
    frame = read_logframe("guanajuato")
    verdicts = pd.DataFrame({"id": [i.id for i in frame.indicators], "attainment": "met", "evidence": "descriptive"})
    return study, tables, measured, firms, found, verdicts, frame


def test_the_sample_gives_every_table(sample):
    study, tables, measured, firms, found, verdicts, frame = sample
    made = value_tables(tables.frames, measured, firms, found, verdicts, None, study, frame)
    assert {
        "costs",
        "cost_per_output",
        "cost_per_firm",
        "cost_per_effect",
        "return",
        "return_years",
        "return_tornado",
        "return_break_even",
        "return_draws_hist",
        "return_assumptions",
        "chain",
        "sustainability",
        "assumptions_monitor",
        "assumptions",
        "context",
    } <= set(made)
    total = made["costs"].query("component == 'all' and source == 'all'")["cost_usd"].item()
    own = (
        tables["ledger"].query("kind in ('expense', 'counterpart_contribution')")["amount_usd"].sum()
        + tables["services"]["firm_paid_usd"].sum()
    )
    assert total == pytest.approx(own) == pytest.approx(made["cost_per_effect"]["cost_usd"].iloc[0])
    assert made["return"]["evidence"].unique().tolist() == ["not_assessed"] and made["return"]["note"].unique().tolist() == [
        "what_if"
    ]
    assert made["return_years"]["discounted_usd"].sum() == pytest.approx(made["return"]["central"].iloc[0])
    assert set(made["chain"]["status"]) <= set(STATES) and made["sustainability"]["row"].is_unique
    assert made["cost_per_effect"]["unit"].tolist() == ["percentage_point", "percentage_point", "usd_a_year"]
    for name, table in made.items():
        assert len(table) and not table.columns.duplicated().any(), name


def test_the_return_takes_the_grade_of_its_outcome(sample):
    study, _, _, _, found, verdicts, frame = sample
    checks = pd.DataFrame({"check": ["pre_trend"], "result": ["pass"], "outcome": ["ln_va"]})
    assert outcome_grade(study, verdicts, frame, found | {"design_checks": checks}) == "demonstrated"
    assert outcome_grade(study, verdicts, frame, found | {"design_checks": checks.assign(result="fail")}) == "inconclusive"
    for unseen in (checks.assign(outcome="ln_sales"), checks.assign(check="support")[["check", "result"]]):
        # nobody looked at the trend of this outcome before the programme
        assert outcome_grade(study, verdicts, frame, found | {"design_checks": unseen}) == "indicative"
    on_sales = study.model_copy(update={"returns": study.returns.model_copy(update={"outcome": "ln_sales"})})
    graded = verdicts.assign(evidence=verdicts["evidence"].where(verdicts["id"] != "G1", "indicative"))
    assert outcome_grade(on_sales, graded, frame, found | {"design_checks": checks}) == "indicative"


def test_the_midterm_has_costs_but_neither_return_nor_cost_per_effect(sample):
    study, tables, measured, firms, found, verdicts, frame = sample
    early = study.model_copy(update={"stage": "midterm"})
    made = value_tables(tables.frames, measured, firms, found, verdicts, None, early, frame)
    assert "costs" in made and not {"return", "cost_per_effect", "return_years"} & set(made)


def test_empty_and_missing_tables_leave_their_tables_out(sample):
    study, tables, measured, firms, found, verdicts, frame = sample
    empty = {name: table.iloc[:0] for name, table in tables.frames.items()}
    for given, seen in ((empty, found), ({}, {}), (empty, {})):
        made = value_tables(given, measured, firms, seen, verdicts, None, study, frame)
        assert "return" not in made and "costs" not in made and "cost_per_output" not in made
        assert set(made["assumptions"]["status"]) <= {"not_known", "not_testable"}


def test_rows_in_another_order_change_nothing(sample):
    study, tables, measured, firms, found, verdicts, frame = sample
    mixed = {name: table.sample(frac=1, random_state=1) for name, table in tables.frames.items()}
    one, two = (value_tables(t, measured, firms, found, verdicts, None, study, frame) for t in (tables.frames, mixed))
    for name in ("costs", "return", "cost_per_firm", "sustainability", "assumptions_monitor"):
        pd.testing.assert_frame_equal(one[name], two[name])
