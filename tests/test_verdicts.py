"""Verdicts by hand: every state of attainment, every grade of evidence, and that the two are never merged."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval.did.estimate import as_share
from pipeval.errors import DesignError
from pipeval.study.logframe import Indicator, LogFrame
from pipeval.study.specs import Study
from pipeval.verdicts.attainment import STATES, Attained, attainment, joined
from pipeval.verdicts.change import aggregate
from pipeval.verdicts.evidence import GRADES, count_row, evidence, joint_evidence
from pipeval.verdicts.inputs import Inputs, column_of, measured, members, selected
from pipeval.verdicts.judge import COLUMNS, aggregator_strip, attained, verdict_table
from pipeval.verdicts.ladder import design_lights, rests_on
from pipeval.verdicts.readings import documents
from pipeval.verdicts.remarks import REMARKS, remark_text

NAN = float("nan")
TEXT = {"es": "Indicador", "en": "Indicator"}


def study(stage="final", as_of="2007-03-31", year=2006, **changes) -> Study:
    base = {
        "study": "by_hand",
        "stage": stage,
        "as_of": as_of,
        "programme": {"id": "P", "name": {"en": "P"}},
        "data": {"folder": "data"},
        "calendar": {"project_start": "2003-07-01", "first_disbursement": "2003-07-01"},
        "baseline": {"year": 2003},
        "treatment": {"reference_year": year},
        "money": {"headline": "real", "deflator": "inpc", "base_year": 2003},
        "outcomes": [
            {"id": "ln_sales", "measure": "sales", "label": TEXT},
            {"id": "ln_scrap", "measure": "scrap", "label": TEXT, "direction": "decrease", "relevant_effect": 0.2},
        ],
        "match": {"covariates": ["x"]},
        "logframe": "frame.yaml",
        "verdicts": {"primary": ["G1", "G2", "G3"]},
    }
    return Study(**(base | changes))


def row(**changes) -> Indicator:
    base = {
        "id": "P1",
        "level": "purpose",
        "text": TEXT,
        "kind": "growth",
        "measure": "sales",
        "due": {"months": 36},
        "target": 0.2,
    }
    return Indicator(**(base | changes))


def measures(sales_2003: dict, sales_2006: dict, closed=()) -> pd.DataFrame:
    """Real sales of both years; a firm without a number did not answer."""
    ids = sorted(sales_2003)
    frame = pd.DataFrame(
        {
            "sales": [values.get(i, NAN) for values in (sales_2003, sales_2006) for i in ids],
            "status": ["alive"] * len(ids) + ["exited" if i in closed else "alive" for i in ids],
        },
        index=pd.MultiIndex.from_tuples([(i, y) for y in (2003, 2006) for i in ids], names=["firm_id", "period"]),
    )
    return frame.sort_index()


REAL = measures(
    {"a": 100.0, "b": 100.0, "c": 200.0, "d": 100.0, "e": 50.0, "f": 0.0, "x": 1000.0},
    {"a": 150.0, "b": 90.0, "c": 240.0, "f": 10.0, "x": 1.0},
    closed=["d"],
)
FIRMS = pd.DataFrame(
    {
        "arm": ["beneficiary"] * 6 + ["nonparticipant"],
        "sector": ["shoes", "shoes", "shoes", "clay", "clay", "clay", "clay"],
        "exp_status_baseline": ["none", "none", "indirect", "none", "indirect", "direct", "none"],
        "letter_on": pd.to_datetime(["2003-10-01", "2003-11-01", "2004-06-01", "2003-12-31", None, None, None]),
    },
    index=pd.Index(list("abcdefx"), name="firm_id"),
)
INPUTS = Inputs(REAL, REAL.assign(sales=REAL["sales"] * np.tile([1.0, 1.2], 7)), FIRMS, {})
BENEFICIARIES = {"population": {"arm": ["beneficiary"]}}


# ---- attainment: growth


def test_growth_of_a_total_over_the_same_firms():
    """Survivors a, b, c, f: 400 → 490. Firm e is silent at the end and leaves both ends; d closed."""
    found = attainment(row(**BENEFICIARIES), INPUTS, study())
    assert (found.state, found.n, found.baseline, found.current) == ("met", 4, 400, 490)
    assert found.change == pytest.approx(0.225)
    assert found.nominal_change == pytest.approx(490 * 1.2 / 400 - 1)
    assert set(found.remarks) == {"no_answer=1", "closed_left_out=1"}
    expected = {"total": 0.225, "mean": 0.2, "median": 0.2, "exits_as_zero": 490 / 500 - 1, "current_prices": 0.47}
    assert found.strip == pytest.approx(expected)


def test_closed_firms_are_zero_where_the_row_says_so_with_survivors_beside():
    found = attainment(row(exits="zero", **BENEFICIARIES), INPUTS, study())
    assert found.change == pytest.approx(-0.02) and found.state == "not_met" and found.n == 5
    assert found.strip["survivors_only"] == pytest.approx(0.225)
    assert "closed_as_zero=1" in found.remarks


@pytest.mark.parametrize(
    ("target", "strict", "state"),
    [
        (0.225, False, "met"),
        (0.225, True, "partly_met"),  # "more than" is not "at least"
        (0.30, False, "partly_met"),  # 0.225 is exactly 75 % of it
        (0.3001, False, "not_met"),
        (None, False, "not_measurable"),
    ],
)
def test_states_of_a_due_row(target, strict, state):
    assert attainment(row(target=target, strict=strict, **BENEFICIARIES), INPUTS, study()).state == state


def test_partly_met_starts_where_the_study_says():
    strict = study(verdicts={"partly_from": 0.9})
    assert attainment(row(target=0.30, **BENEFICIARIES), INPUTS, strict).state == "not_met"


def test_mean_and_median_leave_out_a_firm_with_nothing_at_the_base():
    found = attainment(row(aggregation="median", **BENEFICIARIES), INPUTS, study())
    assert found.change == pytest.approx(0.2) and "zero_base=1" in found.remarks


def test_a_decrease_is_good_where_the_row_says_so():
    found = attainment(row(direction="decrease", target=0.02, exits="zero", **BENEFICIARIES), INPUTS, study())
    assert found.state == "met" and found.change == pytest.approx(-0.02) and found.value == pytest.approx(0.02)


def test_a_ratio_is_the_ratio_of_sums():
    panel = pd.DataFrame({"base": [10.0, 90.0], "now": [30.0, 90.0], "base_per": [1.0, 9.0], "now_per": [2.0, 6.0]})
    assert aggregate(panel, "total") == pytest.approx((10, 15, 0.5))
    assert aggregate(panel, "mean") == pytest.approx((10, 15, 0.5))
    assert np.isnan(aggregate(panel.assign(now_per=0.0), "total")[2])
    assert np.isnan(aggregate(panel[:0], "mean")[2])


def test_a_ratio_leaves_closed_firms_out():
    jobs = REAL.assign(jobs=np.where(REAL["sales"].notna(), 10.0, NAN))
    found = attainment(row(per="jobs", exits="zero", **BENEFICIARIES), Inputs(jobs, jobs, FIRMS), study())
    assert found.n == 4 and found.change == pytest.approx(0.225)
    # with the closed firm in the sums of the base: (490 / 40) / (1000 / 110) - 1, its base being 600 of 70 jobs
    jobs.loc[("d", 2003), ["sales", "jobs"]] = [600.0, 70.0]
    found = attainment(row(per="jobs", **BENEFICIARIES), Inputs(jobs, jobs, FIRMS), study())
    assert found.strip["exits_as_zero"] == pytest.approx(490 / 40 / (1000 / 110) - 1)
    mean = attainment(row(per="jobs", aggregation="mean", **BENEFICIARIES), Inputs(jobs, jobs, FIRMS), study())
    assert "exits_as_zero" not in mean.strip


def test_what_nobody_sells_has_no_price():
    """A closed firm's sales are zero, its price is not: the strip never counts it as such."""
    prices = REAL.rename(columns={"sales": "price"})
    found = attainment(row(measure="price", aggregation="mean", **BENEFICIARIES), Inputs(prices, prices, FIRMS), study())
    assert {"survivors_only", "exits_as_zero"}.isdisjoint(found.strip) and "closed_left_out=1" in found.remarks


def test_the_strip_holds_current_prices_beside_real_ones():
    found = attainment(row(**BENEFICIARIES), INPUTS, study())
    assert found.strip["current_prices"] == found.nominal_change == pytest.approx(490 * 1.2 / 400 - 1)
    assert "current_prices" not in attainment(row(real=False, **BENEFICIARIES), INPUTS, study()).strip


def test_headline_money():
    nominal = study(money={"headline": "nominal", "deflator": None})
    found = attainment(row(real=True, **BENEFICIARIES), INPUTS, nominal)
    assert found.change == pytest.approx(490 * 1.2 / 400 - 1) and "headline_nominal" in found.remarks
    jobs_like = attainment(row(real=False, **BENEFICIARIES), INPUTS, study())
    assert jobs_like.change == pytest.approx(490 * 1.2 / 400 - 1) and np.isnan(jobs_like.nominal_change)


def test_what_was_not_collected_is_a_stated_gap():
    found = attainment(row(measure="price", **BENEFICIARIES), INPUTS, study())
    assert (found.state, found.remarks) == ("not_measurable", ("no_measure=price",))
    neither = attainment(row(population={"arm": ["alien"]}, target=None), INPUTS, study())
    assert neither.remarks == ("target_not_stated", "no_data")
    nobody = attainment(row(population={"arm": ["alien"]}), INPUTS, study())
    assert nobody.state == "not_measurable" and nobody.remarks == ("no_data",) and nobody.n == 0
    assert attainment(row(population={"colour": ["red"]}), INPUTS, study()).n == 0


# ---- attainment: due dates and stages


def test_a_row_is_not_judged_before_it_is_due():
    found = attainment(row(level="goal", due={"years": 5}, target=0.01, **BENEFICIARIES), INPUTS, study())
    assert found.state == "not_yet_due" and found.due == date(2008, 7, 1)
    assert found.interim == pytest.approx(0.225)
    assert found.strip["projection"] == pytest.approx(1.225 ** (5 / 3) - 1)


def test_a_goal_is_never_judged_at_the_midterm():
    early = study(stage="midterm", as_of="2007-03-31")
    found = attainment(row(level="goal", target=0.01, **BENEFICIARIES), INPUTS, early)
    assert found.state == "not_yet_due" and "early" in found.remarks
    assert attainment(row(target=0.01, **BENEFICIARIES), INPUTS, early).state == "met"


def test_on_the_due_day_the_row_is_due():
    assert attainment(row(**BENEFICIARIES), INPUTS, study(as_of="2006-07-01")).state == "met"
    assert attainment(row(**BENEFICIARIES), INPUTS, study(as_of="2006-06-30")).state == "not_yet_due"


def test_an_old_target_is_judged_in_the_year_it_fell_due():
    found = attainment(row(**BENEFICIARIES), INPUTS, study(stage="expost", as_of="2009-03-31", year=2008))
    assert found.change == pytest.approx(0.225) and "judged_in=2006" in found.remarks


def test_without_a_calendar_a_row_is_judged_at_the_evaluation():
    found = attainment(row(**BENEFICIARIES), INPUTS, study(calendar=None))
    assert found.state == "met" and "no_due_date" in found.remarks


# ---- attainment: transitions

STATUS = pd.DataFrame(
    {
        "exp_status": ["direct", "none", "direct", None, None, "direct", "direct"] + ["direct", "direct", "none"] + [None] * 4,
        "status": ["alive", "alive", "alive", "exited", "no_answer", "alive", "alive"] + ["alive"] * 7,
    },
    index=pd.MultiIndex.from_tuples([(i, y) for y in (2006, 2005) for i in "abcdefx"], names=["firm_id", "period"]),
).sort_index()


def transition(**changes) -> Indicator:
    base = {"kind": "transition", "measure": None, "from": ["none", "indirect"], "to": ["direct"], "target": 2, **BENEFICIARIES}
    return row(**(base | changes))


def test_a_transition_counts_firms_of_the_population_once():
    """Starting statuses: a, b, c, d, e. Now direct: a, c. Closed: d. Silent: e. Firm f exported before; x is no beneficiary."""
    found = attainment(transition(), Inputs(STATUS, STATUS, FIRMS), study())
    assert (found.state, found.value, found.n) == ("met", 2, 3)
    assert set(found.remarks) == {"no_answer=1", "closed_not_counted=1"}


def test_an_ongoing_exporter_exports_two_years_in_a_row():
    found = attainment(transition(consecutive=2), Inputs(STATUS, STATUS, FIRMS), study())
    assert found.value == 1 and found.state == "not_met"  # a in both years, c only in the last


@pytest.mark.parametrize(("target", "state"), [(5, "not_met"), (6, "infeasible")])
def test_a_target_above_the_eligible_firms_is_infeasible(target, state):
    found = attainment(transition(target=target), Inputs(STATUS, STATUS, FIRMS), study())
    assert found.state == state and found.value == 2
    assert ("eligible=5" in found.remarks) == (state == "infeasible")


def test_infeasible_is_said_before_the_due_date():
    found = attainment(transition(target=6), Inputs(STATUS, STATUS, FIRMS), study(as_of="2005-01-31", year=2005))
    assert found.state == "infeasible"


# ---- attainment: counts, shares, milestones

SERVICES = pd.DataFrame(
    {
        "firm_id": ["a", "a", "a", "b", "c", "c", "x", "x"],
        "activity_type": ["ta", "training", "ta", "ta", "training", "ta", "ta", "training"],
        "start_on": pd.to_datetime(
            ["2004-01-01", "2004-02-01", "2005-01-01", "2004-01-01", "2004-01-01", "2007-06-01", "2004-01-01", "2004-01-01"]
        ),
    }
)


def count(**changes) -> Indicator:
    base = {"kind": "count", "measure": None, "table": "services", "distinct": "firm_id", "target": 2}
    return row(**(base | changes))


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({}, 4),
        ({"distinct": None}, 8),
        ({"where": {"activity_type": ["training"]}}, 3),
        ({"where_all": [{"activity_type": ["ta"]}, {"activity_type": ["training"]}]}, 3),  # both: a, c, x
        ({"where_all": [{"activity_type": ["ta"]}, {"activity_type": ["training"]}], "dated": "start_on"}, 2),  # c's came later
        ({"population": {"arm": ["beneficiary"]}}, 3),
    ],
)
def test_counts_are_of_distinct_firms(changes, value):
    inputs = Inputs(REAL, REAL, FIRMS, {"services": SERVICES})
    assert attainment(count(**changes), inputs, study()).value == value


def test_every_group_must_reach_the_target():
    letters = count(table="enterprises", dated="letter_on", by="sector", each=["shoes", "clay"], target=1, due={"months": 6})
    found = attainment(letters, INPUTS, study())
    assert (found.state, found.value, found.strip) == ("met", 1, {"shoes": 3, "clay": 1})
    assert "done_late" not in found.remarks
    assert attainment(letters.model_copy(update={"target": 2.0}), INPUTS, study()).state == "not_met"


def test_firms_of_other_branches_are_counted_where_the_register_is_at_hand():
    letters = count(table="enterprises", dated="letter_on", by="sector", each=["shoes", "clay"], target=1)
    shoes = FIRMS[FIRMS["sector"] == "shoes"]
    assert attainment(letters, Inputs(REAL, REAL, shoes), study()).value == 0
    assert attainment(letters, Inputs(REAL, REAL, shoes, {"enterprises": FIRMS.reset_index()}), study()).value == 1


def test_a_count_reached_after_its_due_date_says_so():
    letters = count(table="enterprises", dated="letter_on", target=4, due={"months": 6})
    found = attainment(letters, INPUTS, study())
    assert found.state == "met" and "done_late" in found.remarks


def test_a_running_count_may_be_met_early_but_not_a_status_of_one_year():
    inputs = Inputs(REAL, REAL, FIRMS, {"services": SERVICES, "survey": pd.DataFrame({"firm_id": ["a", "b"], "ref_year": 2004})})
    early = study(stage="midterm", as_of="2005-01-31", year=2004)
    found = attainment(count(), inputs, early)
    assert found.state == "met" and "ahead_of_due" in found.remarks
    assert attainment(count(table="survey"), inputs, early).state == "not_yet_due"


def test_counts_without_their_table_or_column():
    assert attainment(count(), INPUTS, study()).remarks == ("no_table=services",)
    inputs = Inputs(REAL, REAL, FIRMS, {"services": SERVICES})
    found = attainment(count(where={"subject": ["design"]}), inputs, study())
    assert (found.state, found.remarks) == ("not_measurable", ("no_column=subject",))


def test_share_of_firms_that_fulfil_everything_among_those_that_answered():
    survey = pd.DataFrame(
        {
            "firm_id": list("abcdex"),
            "ref_year": 2006,
            "env": pd.array([True, True, False, True, None, False], dtype="boolean"),
            "osh": pd.array([True, False, True, True, True, False], dtype="boolean"),
        }
    )
    share = row(kind="share", measure=None, table="survey", where={"env": [True], "osh": [True]}, target=0.5, **BENEFICIARIES)
    found = attainment(share, Inputs(REAL, REAL, FIRMS, {"survey": survey}), study())
    assert (found.state, found.value, found.n) == ("met", 0.5, 4)
    assert np.isnan(found.baseline)


def test_share_of_sums():
    frame = REAL.assign(joint=REAL["sales"] * 0.25)
    found = attainment(
        row(kind="share", measure="joint", per="sales", target=None, **BENEFICIARIES), Inputs(frame, frame, FIRMS), study()
    )
    assert found.state == "not_measurable" and found.value == pytest.approx(0.25) and "target_not_stated" in found.remarks


MILESTONES = pd.DataFrame(
    {
        "indicator_id": ["C4.1", "C4.1", "C4.2", "C4.2", "C4.2", "C4.2", "C9"],
        "due_on": pd.to_datetime(["2004-07-31", "2005-07-31"] + ["2006-07-31"] * 5),
        "done_on": pd.to_datetime(["2004-08-19", "2005-07-08", "2006-07-10", "2006-07-24", "2006-12-05", None, "2007-05-01"]),
        "verified": [True, True, True, True, False, False, True],
    }
)


@pytest.mark.parametrize(
    ("key", "target", "state", "value", "remarks"),
    [
        ("C4.1", 2, "met", 2, ("done_late",)),
        ("C4.1", None, "met", 2, ("done_late",)),  # every row of the register
        ("C4.2", 4, "not_met", 2, ("done_not_verified=1",)),
        ("C9", None, "not_met", 0, ()),  # done after the evaluation
        ("C7", None, "not_measurable", NAN, ("no_milestone_row",)),
    ],
)
def test_milestones_count_when_done_and_verified(key, target, state, value, remarks):
    found = attainment(
        row(id=key, kind="milestone", measure=None, target=target), Inputs(REAL, REAL, FIRMS, {"milestones": MILESTONES}), study()
    )
    assert found.state == state and found.remarks == remarks
    np.testing.assert_equal(found.value, value)


def test_conditions_never_match_what_is_missing():
    frame = pd.DataFrame({"flag": pd.array([1, 0, None], dtype="Int64"), "code": ["a", None, "b"]})
    assert selected(frame, {"flag": (True,)}).tolist() == [True, False, False]
    assert selected(frame, {"code": ("a", "b"), "flag": (0, 1)}).tolist() == [True, False, False]


# ---- evidence: the grades, in their order

CHECKS = pd.DataFrame(
    {"check": ["support", "pretrend", "attrition"], "result": ["pass", "pass", "not_testable"], "outcome": [None, "ln_sales", None]}
)


def estimate(value, error=0.03, **more) -> dict:
    return {"estimate": value, "std_error": error, "df": 60, "direction": "increase", "scale": "log", "outcome": "ln_sales"} | more


@pytest.mark.parametrize(
    ("found", "grade", "remarks"),
    [
        (estimate(0.20), "demonstrated", ()),
        (estimate(0.08), "demonstrated", ("smaller_than_target",)),  # p = .010
        (estimate(0.20, p_adjusted=0.06), "indicative", ()),  # significant alone, not after Holm
        (estimate(-0.08), "adverse", ()),
        (estimate(-0.03), "target_ruled_out", ()),  # bound −.03 + 1.671 × .03 = .0201
        (estimate(0.048), "indicative", ()),  # p = .115; bound .0981; 1.296 × .03 = .0389
        (estimate(0.044, error=0.01), "demonstrated", ("smaller_than_target",)),  # ruled out too, but demonstrated comes first
        (estimate(0.034), "target_ruled_out", ()),  # bound .0841 < ln 1.1 = .0953
        (estimate(0.034, error=0.04), "inconclusive", ()),  # bound .1008
        (estimate(-0.02, error=0.10), "inconclusive", ()),
        (estimate(NAN), "not_assessed", ("no_estimate",)),
        (estimate(0.2, error=0.0), "not_assessed", ("no_estimate",)),
        (None, "not_assessed", ("no_estimate",)),
    ],
)
def test_grades_in_their_order(found, grade, remarks):
    assert evidence(found, None, 0.10) == (grade, remarks)


def test_ruled_out_comes_before_indicative():
    """Right sign, 80 % interval above zero (.03 − 1.296 × .018 > 0), yet the bound .0601 lies below ln 1.1."""
    assert evidence(estimate(0.03, error=0.018), None, 0.10)[0] == "target_ruled_out"


@pytest.mark.parametrize(
    ("result", "grade"),
    [("pass", "demonstrated"), ("not_testable", "demonstrated"), ("mild", "indicative"), ("fail", "inconclusive")],
)
def test_design_checks_bar_what_they_should(result, grade):
    checks = pd.DataFrame({"check": ["pretrend"], "result": [result]})
    found, remarks = evidence(estimate(0.20), checks, 0.10)
    assert found == grade
    assert remarks == (() if result == "pass" else (f"check_{result}=pretrend",))


def test_a_check_of_another_outcome_does_not_count():
    checks = CHECKS.assign(result=["pass", "fail", "pass"])
    assert evidence(estimate(0.20), checks, 0.10)[0] == "inconclusive"
    assert evidence(estimate(0.20, outcome="ln_price"), checks, 0.10) == ("demonstrated", ())


def test_inconclusive_says_whether_the_sample_could_have_told():
    wide = estimate(0.034, error=0.10)
    assert evidence(wide, None, 0.10, mde=0.28) == ("inconclusive", ("cannot_detect_target",))
    assert evidence(wide, None, 0.10, mde=0.08) == ("inconclusive", ())


def test_lower_is_better_where_the_outcome_says_so():
    down = {"direction": "decrease", "outcome": "ln_scrap"}
    assert evidence(estimate(-0.30, **down), None, 0.20) == ("demonstrated", ())  # −26 %
    assert evidence(estimate(-0.20, **down), None, 0.20) == ("demonstrated", ("smaller_than_target",))  # −18 %
    assert evidence(estimate(0.30, **down), None, 0.20)[0] == "adverse"
    # a fall of 20 % is ln 0.8 = −.2231: the bound .18 + 1.671 × .026 = .2234 does not rule it out, .18 + .0418 does
    assert evidence(estimate(-0.18, error=0.026, p_value=0.3, **down), None, 0.20)[0] == "indicative"
    assert evidence(estimate(-0.18, error=0.025, p_value=0.3, **down), None, 0.20)[0] == "target_ruled_out"


def test_relevant_effects_in_units_stay_in_units():
    assert evidence(estimate(0.08, scale="share"), None, 0.08) == ("demonstrated", ())
    assert evidence(estimate(0.08, scale="share"), None, 0.081) == ("demonstrated", ("smaller_than_target",))
    assert as_share(np.log(1.1), "poisson") == pytest.approx(0.1) and as_share(0.1, "yes_no") == 0.1


def test_few_degrees_of_freedom_weaken_the_grade():
    assert evidence(estimate(0.07, df=60), None, 0.05)[0] == "demonstrated"
    assert evidence(estimate(0.07, df=2), None, 0.05)[0] == "indicative"  # p = .145, 80 % bound .07 − 1.886 × .03


def test_a_count_is_graded_like_any_estimate():
    clear, vague = count_row(15, 4, 26), count_row(15, -1, 31)
    assert clear["std_error"] == pytest.approx(11 / stats.norm.ppf(0.975))
    assert evidence(clear, None, 30) == ("demonstrated", ("smaller_than_target",))
    assert evidence(vague, None, 30)[0] == "target_ruled_out"  # 15 + 1.645 × 8.163 = 28.4
    assert evidence(vague, None, 28)[0] == "indicative"
    assert evidence(count_row(-15, -26, -4), None, 30)[0] == "adverse"
    assert evidence(count_row(NAN, NAN, NAN), None, 30)[0] == "not_assessed"


GOOD, WEAK, BAD, FLAT = estimate(0.20), estimate(0.05), estimate(-0.20), estimate(0.02, error=0.10)


@pytest.mark.parametrize(
    ("rows", "grade"),
    [
        ((GOOD, GOOD, GOOD), "demonstrated"),
        ((GOOD, WEAK, GOOD), "indicative"),
        ((GOOD, FLAT, GOOD), "inconclusive"),
        ((GOOD, FLAT, BAD), "adverse"),
        ((GOOD, estimate(0.0), GOOD), "target_ruled_out"),
        ((GOOD, None, GOOD), "not_assessed"),
        # intersection–union: each at 5 % unadjusted, whatever Holm says of it singly
        (tuple(estimate(0.20, p_value=0.04, p_adjusted=0.12) for _ in range(3)), "demonstrated"),
    ],
)
def test_better_on_all(rows, grade):
    assert joint_evidence(rows, None, (0.1, 0.1, 0.1))[0] == grade


# ---- the table

FRAME = LogFrame(
    id="by_hand",
    title=TEXT,
    goal=TEXT,
    purpose=TEXT,
    indicators=[
        row(id="G1", level="goal", due={"years": 5}, effect="ln_sales", **BENEFICIARIES),
        row(id="G2", level="goal", due={"years": 5}, effect="ln_scrap", direction="decrease", **BENEFICIARIES),
        row(id="G3", level="goal", due={"years": 5}, effect="absent", **BENEFICIARIES),
        row(id="G4", level="goal", due={"years": 5}, kind="difference", measure=None, of=["G1", "G2"], target=0, strict=True),
        row(id="P1", effect="ln_sales", **BENEFICIARIES),
        row(id="P2", **BENEFICIARIES),
        transition(id="P3"),
        row(id="C4.1", level="component", kind="milestone", measure=None, target=2),
    ],
)
FULL = Inputs(
    REAL.assign(exp_status=STATUS["exp_status"]), REAL.assign(exp_status=STATUS["exp_status"]), FIRMS, {"milestones": MILESTONES}
)
EFFECTS = pd.DataFrame(
    {
        "outcome": ["ln_sales", "ln_scrap"],
        "scale": "log",
        "estimate": [0.20, -0.10],
        "std_error": [0.08, 0.09],
        "df": [60.0, NAN],
        "p_value": [0.0152, NAN],
    }
)
COUNTS = pd.DataFrame(
    {
        "indicator": ["P3"], "gross": [2], "expected": [0.5], "net": [1.5], "net_low": [0.2], "net_high": [2.8],
        "n_eligible": [5], "n_without_counterfactual": [1],
    }
)  # fmt: skip
POWER = pd.DataFrame({"outcome": ["ln_sales", "ln_scrap"], "mde": [np.log(1.25), 0.2]})


def test_the_verdict_table_keeps_the_axes_apart():
    table = verdict_table(FRAME, study(), FULL, EFFECTS, COUNTS, CHECKS, POWER).set_index("id")
    assert table.reset_index().columns.tolist() == FRAME.worded(COLUMNS)
    assert set(table["attainment"]) <= set(STATES) and set(table["evidence"]) <= set(GRADES)
    assert table["attainment"].to_dict() == {
        "G1": "not_yet_due", "G2": "not_yet_due", "G3": "not_yet_due", "G4": "not_yet_due",
        "P1": "met", "P2": "met", "P3": "met", "C4.1": "met",
    }  # fmt: skip
    assert table["evidence"].to_dict() == {
        "G1": "demonstrated", "G2": "inconclusive", "G3": "not_assessed", "G4": "inconclusive",
        "P1": "demonstrated", "P2": "descriptive", "P3": "demonstrated", "C4.1": "descriptive",
    }  # fmt: skip
    p = 2 * stats.norm.sf(0.10 / 0.09)
    assert table.loc["G1", "p_adjusted"] == pytest.approx(0.0304) and table.loc["G2", "p_adjusted"] == pytest.approx(p)
    assert np.isnan(table.loc["P1", "p_adjusted"]) and "secondary" in table.loc["P1", "remarks"]
    assert table.loc["G1", "effect"] == pytest.approx(np.exp(0.20) - 1)
    assert table.loc["G1", "effect_low"] == pytest.approx(np.exp(0.20 - stats.t.ppf(0.975, 60) * 0.08) - 1)
    assert table.loc["G1", "mde"] == pytest.approx(0.25)
    assert table.loc["G2", "relevant_effect"] == 0.2 and table.loc["G1", "relevant_effect"] == 0.2
    assert table.loc["P3", ["effect", "effect_low", "gross", "expected"]].tolist() == pytest.approx([1.5, 0.2, 2, 0.5])
    assert "without_counterfactual=1" in table.loc["P3", "remarks"]
    assert table.loc["G1", "due"] == pd.Timestamp("2008-07-01")
    assert "no_comparison" in table.loc["P2", "remarks"] and "no_estimate" in table.loc["G3", "remarks"]


def test_every_remark_has_a_sentence():
    for stage in ("final", "midterm", "expost"):
        as_of = "2009-03-31" if stage == "expost" else "2007-03-31"
        table = verdict_table(FRAME, study(stage, as_of=as_of), FULL, EFFECTS, COUNTS, CHECKS.assign(result="mild"), POWER)
        for remark in ";".join(table["remarks"]).split(";"):
            assert not remark or remark_text(remark)
    assert all("impact" not in sentence.lower() for sentence in REMARKS.values())


def test_at_the_midterm_goals_get_no_verdict_on_either_axis():
    table = verdict_table(FRAME, study("midterm"), FULL, EFFECTS, COUNTS, None, POWER).set_index("id")
    goals = table[table["level"] == "goal"]
    assert set(goals["attainment"]) == {"not_yet_due"} and set(goals["evidence"]) == {"not_assessed"}
    assert goals["remarks"].str.contains("early_no_verdict").all()
    assert goals.loc["G1", "effect"] == pytest.approx(np.exp(0.20) - 1)  # estimated and shown, labelled early
    assert "early" in table.loc["P1", "remarks"].split(";")


def test_goals_are_judged_when_due():
    table = verdict_table(FRAME, study("expost", as_of="2009-03-31"), FULL, EFFECTS, COUNTS, None, POWER).set_index("id")
    assert table.loc["G1", ["attainment", "evidence"]].tolist() == ["met", "demonstrated"]
    assert table.loc["G4", "attainment"] == "met"  # the smaller of .20 and .10 log points, both better, as a share
    assert table.loc["G4", "value"] == pytest.approx(1 - np.exp(-0.10))


def test_better_than_controls_row_by_row_is_as_good_as_its_weakest_row():
    each = study("expost", as_of="2009-03-31", verdicts={"primary": ["G1", "G2"], "joint": "each"})
    table = verdict_table(FRAME, each, FULL, EFFECTS, COUNTS, None, POWER).set_index("id")
    assert table.loc["G4", "evidence"] == "inconclusive" and "read_each" in table.loc["G4", "remarks"]


def test_one_row_worse_than_controls_is_not_better_on_all():
    worse = EFFECTS.assign(estimate=[0.20, 0.05])
    table = verdict_table(FRAME, study("expost", as_of="2009-03-31"), FULL, worse, COUNTS).set_index("id")
    assert table.loc["G4", "attainment"] == "not_met"


def test_two_estimates_of_one_outcome_are_refused():
    with pytest.raises(DesignError, match="two rows for 1 outcome"):
        verdict_table(FRAME, study(), FULL, pd.concat([EFFECTS, EFFECTS[:1]]))


def test_the_strip_shows_every_way_to_read_a_row():
    strip = aggregator_strip(attained(FRAME, FULL, study())).set_index(["id", "reading"])["value"]
    assert strip["P1", "total"] == pytest.approx(0.225) and strip["P1", "exits_as_zero"] == pytest.approx(-0.02)


def test_changing_the_currency_unit_changes_no_verdict():
    thousand = Inputs(
        FULL.real.assign(sales=FULL.real["sales"] * 1000),
        FULL.nominal.assign(sales=FULL.nominal["sales"] * 1000),
        FIRMS,
        FULL.tables,
    )
    columns = ["attainment", "evidence", "change", "nominal_change", "value", "interim", "projection"]
    before, after = (verdict_table(FRAME, study(), i, EFFECTS, COUNTS)[columns] for i in (FULL, thousand))
    pd.testing.assert_frame_equal(before, after, rtol=1e-12)


def test_net_counts_face_only_the_checks_that_bear_on_them():
    """Balance says nothing of a comparison within one export status; attrition does."""
    ids = [i.id for i in FRAME.indicators if i.kind == "transition" and i.id in set(COUNTS["indicator"])]
    assert ids

    def graded(check: str | None) -> list[str]:
        checks = None if check is None else pd.DataFrame({"check": [check], "result": ["fail"]})
        table = verdict_table(FRAME, study("expost", as_of="2009-03-31"), FULL, EFFECTS, COUNTS, checks, POWER)
        return table.set_index("id").loc[ids, "evidence"].tolist()

    assert graded("balance") == graded(None) != graded("attrition")


# ---- what may be counted: numbers of the survey, named firms, years, sums of a table


SURVEY = pd.DataFrame(
    {
        "firm_id": ["a", "b", "c", "d"] * 2,
        "ref_year": [2003] * 4 + [2006] * 4,
        "response": ["complete"] * 6 + ["refusal", "closed"],
        "cost_index": [100.0, 100.0, 100.0, 100.0, 90.0, 80.0, 50.0, NAN],
        "joint_kmxn": [0.0, 0.0, 0.0, 0.0, 30.0, 18.0, 1.0, NAN],
    }
)
ASKED = Inputs(REAL, REAL, FIRMS, {"survey": SURVEY})


def test_a_log_frame_may_ask_for_a_number_of_the_survey():
    """Only answers count: c refused, d closed. Costs fall by 10 and 20 %; 48 of the 240 that a and b sold was sold jointly."""
    costs = row(measure="cost_index", aggregation="mean", real=False, direction="decrease", target=0.05, **BENEFICIARIES)
    found = attainment(costs, ASKED, study())
    assert (found.state, found.n) == ("met", 2) and found.change == pytest.approx(-0.15)
    together = row(kind="share", measure="joint", per="sales", target=0.1, **BENEFICIARIES)
    assert attainment(together, ASKED, study()).value == pytest.approx(48 / 240)
    assert column_of(SURVEY, "joint") == "joint_kmxn" and column_of(SURVEY, "absent") == "absent"
    # money that only the survey holds is not known at constant prices
    assert "joint" not in measured(ASKED, ["joint"], real=True) and "cost_index" in measured(ASKED, ["cost_index"], real=True)
    assert attainment(row(measure="joint", **BENEFICIARIES), ASKED, study()).remarks == ("no_measure=joint",)


def test_only_the_firms_named_beforehand_count():
    thirty = {"remarks": ["reading_thirty_fixed_beforehand"], **BENEFICIARIES}
    assert "reading_thirty_fixed_beforehand" in attainment(row(**thirty), INPUTS, study()).remarks
    named = row(firms=["a", "c", "x"], **thirty)
    assert list(members(named, FIRMS)) == ["a", "c"]  # x is no beneficiary
    found = attainment(named, INPUTS, study())
    assert found.n == 2 and found.change == pytest.approx(390 / 300 - 1)
    assert "named_firms=3" in found.remarks and "reading_thirty_fixed_beforehand" not in found.remarks


EVENTS = pd.DataFrame(
    {
        "firm_id": ["a", "b", "a", "d", "d", "d", "a", "d"],
        "event_id": ["m1", "m1", "m2", "m3", "m4", "m5", "m6", "m7"],
        "start_on": pd.to_datetime(
            ["2004-03-01"] * 2 + ["2004-12-31", "2004-05-01", "2005-01-01", "2005-06-01"] + ["2005-02-01"] * 2
        ),
    }
)


def test_each_full_year_must_reach_the_target():
    """Two sectors: shoes 2 and 1 (m1, m2; m6), clay 1 and 3 (m3; m4, m5, m7). Half years at either end do not count."""
    missions = row(
        kind="count", measure=None, table="services", distinct="event_id", dated="start_on", by="sector", each=["shoes", "clay"],
        each_year=True, target=1,
    )  # fmt: skip
    inputs = Inputs(REAL, REAL, FIRMS, {"services": EVENTS})
    found = attainment(missions, inputs, study())
    assert found.strip == {"shoes 2004": 2, "clay 2004": 1, "shoes 2005": 1, "clay 2005": 3}
    assert (found.state, found.value) == ("met", 1)
    assert attainment(missions.model_copy(update={"target": 2.0}), inputs, study()).state == "not_met"
    early = attainment(missions, inputs, study(as_of="2004-12-30", year=2004))
    assert (early.state, early.remarks) == ("not_measurable", ("no_full_year",))
    first = attainment(missions, inputs, study(as_of="2004-12-31", year=2004))
    assert (first.state, first.value) == ("not_yet_due", 1)  # a later year may still miss it


def test_a_share_of_a_tables_sums_runs_up_to_the_evaluation():
    costs = pd.DataFrame(
        {
            "firm_id": ["a", "b", "x"],
            "start_on": pd.to_datetime(["2004-01-01", "2005-01-01", "2008-01-01"]),
            "paid_kmxn": [30.0, 60.0, 100.0],
            "total": [100.0, 100.0, 100.0],
        }
    )
    paid = row(kind="share", table="services", measure="paid", per="total", dated="start_on", target=0.5)
    found = attainment(paid, Inputs(REAL, REAL, FIRMS, {"services": costs}), study())
    assert (found.state, found.n) == ("partly_met", 2) and found.value == pytest.approx(0.45) and np.isnan(found.baseline)
    assert attainment(paid, INPUTS, study()).remarks == ("no_table=services",)
    bare = Inputs(REAL, REAL, FIRMS, {"services": costs.drop(columns="total")})
    assert attainment(paid, bare, study()).remarks == ("no_column=total",)


# ---- several rows read together


def state(word: str, n: int = 9) -> Attained:
    return Attained(state=word, n=n)


@pytest.mark.parametrize(
    ("states", "expected", "value"),
    [
        (("met", "met"), "met", 2),
        (("met", "not_met"), "partly_met", 1),
        (("partly_met", "not_met"), "partly_met", 0),
        (("not_met", "not_met"), "not_met", 0),
        (("met", "not_yet_due"), "not_yet_due", 1),
        (("met", "not_measurable"), "not_measurable", NAN),
        (("not_yet_due", "infeasible"), "infeasible", NAN),
    ],
)
def test_a_joint_row_is_met_when_each_of_its_parts_is(states, expected, value):
    both = row(id="C2", kind="joint", measure=None, of=["C2a", "C2b"], target=None)
    found = joined(both, dict(zip(("C2a", "C2b"), map(state, states), strict=True)), study())
    assert found.state == expected and found.target == 2
    np.testing.assert_equal(found.value, value)
    assert ("part_unknown=C2b" in found.remarks) == (states[1] == "not_measurable")


def test_a_joint_row_is_demonstrated_when_each_of_its_parts_is():
    parts = [
        row(id="C2a", effect="ln_sales", **BENEFICIARIES),
        row(id="C2b", effect="ln_scrap", direction="decrease", **BENEFICIARIES),
    ]
    both = row(id="C2", kind="joint", measure=None, of=["C2a", "C2b"], target=None)
    frame = LogFrame(id="joint", title=TEXT, goal=TEXT, purpose=TEXT, indicators=[both, *parts])
    strong = EFFECTS.assign(estimate=[0.30, -0.40])
    table = verdict_table(frame, study(), FULL, strong, None, None, POWER).set_index("id")
    assert table["evidence"].tolist() == ["demonstrated"] * 3
    assert table.loc["C2", "attainment"] == "partly_met" and table.loc["C2", "value"] == 1  # sales met, their fall not
    weak = verdict_table(frame, study(), FULL, EFFECTS, None, None, POWER).set_index("id")
    assert weak.loc["C2", "evidence"] == "inconclusive"
    plain = [p.model_copy(update={"effect": None}) for p in parts]
    bare = LogFrame(id="joint", title=TEXT, goal=TEXT, purpose=TEXT, indicators=[both, *plain])
    assert verdict_table(bare, study(), FULL, EFFECTS).set_index("id").loc["C2", "evidence"] == "descriptive"


def test_a_target_of_a_later_day_is_not_ruled_out_jointly_either():
    parts = [row(id=k, effect=e, **BENEFICIARIES) for k, e in (("C2a", "ln_sales"), ("C2b", "ln_scrap"))]
    tiny = EFFECTS[["outcome", "scale"]].assign(estimate=[0.001, 0.002], std_error=0.01)
    for due, grade in (({"months": 36}, "target_ruled_out"), ({"years": 9}, "inconclusive")):
        both = row(id="C2", kind="joint", measure=None, of=["C2a", "C2b"], target=None, due=due)
        own = [p.model_copy(update={"due": both.due}) for p in parts]
        frame = LogFrame(id="joint", title=TEXT, goal=TEXT, purpose=TEXT, indicators=[both, *own])
        upwards = study().model_copy(update={"outcomes": ()})  # the direction is the indicator's
        assert verdict_table(frame, upwards, FULL, tiny)["evidence"].tolist() == [grade] * 3


# ---- who could count (T02, T24)


def of_status(n_none: int, n_indirect_arm: int) -> Inputs:
    """Baseline non-exporters: `n_none` direct beneficiaries, `n_indirect_arm` indirect ones; one in ten now exports indirectly."""
    n = n_none + n_indirect_arm
    ids = [f"F{i:03d}" for i in range(n)]
    firms = pd.DataFrame(
        {"arm": ["beneficiary"] * n_none + ["indirect"] * n_indirect_arm, "exp_status_baseline": "none"},
        index=pd.Index(ids, name="firm_id"),
    )
    now = pd.DataFrame(
        {"exp_status": ["indirect" if i % 10 == 0 else "none" for i in range(n)], "status": "alive"},
        index=pd.MultiIndex.from_product([ids, [2006]], names=["firm_id", "period"]),
    )
    return Inputs(now, now, firms)


@pytest.mark.parametrize(
    ("arms", "state", "eligible"), [(["beneficiary"], "infeasible", 115), (["beneficiary", "indirect"], "not_met", 337)]
)
def test_two_hundred_new_exporters_are_asked_of_whom(arms, state, eligible):
    """The printed target exceeds the direct beneficiaries that did not export; counting indirect ones it can be attained."""
    inputs = of_status(115, 222)
    asked = transition(**{"from": ["none"], "to": ["indirect"], "target": 200, "population": {"arm": arms}})
    found = attainment(asked, inputs, study())
    assert found.state == state and found.n == eligible
    assert ("eligible=115" in found.remarks) == (state == "infeasible")


# ---- what a verdict rests on

ALL_PASS = pd.DataFrame({"check": ["support", "balance", "pre_trend", "attrition", "clusters"], "result": "pass"})
LADDER = LogFrame(
    id="ladder",
    title=TEXT,
    goal=TEXT,
    purpose=TEXT,
    indicators=[
        row(id="G1", effect="ln_sales", **BENEFICIARIES),
        row(id="G2", **BENEFICIARIES),
        row(id="G4", kind="difference", measure=None, of=["G1", "G2"], target=0),
        transition(id="P3"),
        count(id="C1"),
        row(id="C2", kind="milestone", measure=None, target=1),
        row(id="C3", kind="share", measure=None, table="satisfaction", where={"item": ["benefit_seen"], "score": [1]}, target=0.5),
        row(id="C4", kind="share", measure=None, table="satisfaction", where={"item": ["usefulness"], "score": [5]}, target=0.5),
        row(id="C5", kind="share", measure="joint", per="sales", **BENEFICIARIES),
    ],
)
NUMBERS = Attained(state="met", value=1.0, baseline=1.0)


def ground(key: str, checks=ALL_PASS, found=NUMBERS, **changes) -> tuple:
    plan = study(did={"covariates": ["x"]}, **changes)
    rows = {"G1": {"outcome": "ln_sales"}, "P3": {}}
    rest = rests_on(LADDER.indicator(key), LADDER, plan, found, rows, checks)
    return rest["oecd_step"], rest["sms"]


def failing(check: str, result: str = "fail") -> pd.DataFrame:
    return ALL_PASS.assign(result=ALL_PASS["result"].where(ALL_PASS["check"] != check, result))


def test_the_step_of_evidence_follows_from_kind_design_and_checks():
    assert ground("G1") == (6, 3)
    assert ground("G1", failing("pre_trend", "not_testable")) == (5, 3)
    assert ground("G1", failing("attrition", "mild")) == (5, 3)
    assert ground("G1", failing("balance")) == (4, 2)
    assert ground("G1", failing("clusters", "mild")) == (6, 3)
    assert ground("G1", failing("clusters")) == (5, 2)
    assert ground("G1", None) == (5, 3)
    assert ground("P3") == (4, 2)  # equal in export status only
    assert ground("G2") == (1, 1) and ground("C5") == (1, 1)
    for key in ("C1", "C2"):
        np.testing.assert_equal(ground(key), (1, NAN))
    np.testing.assert_equal(ground("C3"), (3, NAN))
    np.testing.assert_equal(ground("C4"), (2, NAN))
    assert ground("G4") == (1, 1)  # as low as its lowest part
    made = LADDER.model_copy(update={"indicators": (*LADDER.indicators, row(id="C9", kind="joint", measure=None, of=["G1", "C1"]))})
    rest = rests_on(
        made.indicator("C9"), made, study(did={"covariates": ["x"]}), NUMBERS, {"G1": {"outcome": "ln_sales"}}, ALL_PASS
    )
    np.testing.assert_equal((rest["oecd_step"], rest["sms"]), (1, NAN))  # a part that is only counted is not compared
    np.testing.assert_equal(ground("G2", found=Attained(state="not_measurable")), (NAN, 0))


def test_without_adjustment_or_match_firms_are_typical_not_comparable():
    plan = study()
    rest = rests_on(LADDER.indicator("G1"), LADDER, plan, NUMBERS, {"G1": {"outcome": "ln_sales"}}, ALL_PASS)
    assert (rest["oecd_step"], rest["sms"]) == (4, 2)
    matched = plan.model_copy(update={"headline": "matched"})
    assert rests_on(LADDER.indicator("G1"), LADDER, matched, NUMBERS, {"G1": {}}, ALL_PASS)["oecd_step"] == 6


def test_lights_are_those_of_the_outcome_and_the_worse_of_two():
    checks = pd.DataFrame(
        {
            "check": ["support", "pre_trend", "pre_trend", "attrition"],
            "result": ["pass", "mild", "fail", "pass"],
            "outcome": [None, "ln_sales", "ln_price", None],
        }
    )
    assert design_lights(checks, "ln_sales") == {"support": "pass", "pre_trend": "mild", "attrition": "pass"}
    assert design_lights(checks, "ln_sales", ("attrition",)) == {"attrition": "pass"}
    assert design_lights(None, "ln_sales") == {} and design_lights(checks[:0], None) == {}
    table = verdict_table(FRAME, study(), FULL, EFFECTS, COUNTS, checks, POWER).set_index("id")
    assert table.loc["G1", "lights"] == "support:pass;pre_trend:mild;attrition:pass"
    assert table.loc["P3", "lights"] == "attrition:pass" and table.loc["P2", "lights"] == ""
    assert table.loc["G4", "lights"] == "support:pass;pre_trend:mild;attrition:pass"


def test_the_ladder_enters_neither_axis():
    axes = ["attainment", "evidence", "effect", "value"]
    one, other = (verdict_table(FRAME, study(did={"covariates": c}), FULL, EFFECTS, COUNTS, CHECKS, POWER) for c in ((), ("x",)))
    pd.testing.assert_frame_equal(one[axes], other[axes])
    assert not one["oecd_step"].equals(other["oecd_step"])


def test_proofs_are_documents_seen_or_declarations_found():
    registered = MILESTONES.assign(document=[f"Minutes {i}" for i in range(7)])
    inputs = Inputs(REAL, REAL, FIRMS, {"milestones": registered})
    assert documents(row(id="C4.1"), inputs, study()) == ("Minutes 0; Minutes 1", 1.0)
    named, seen = documents(row(id="C4.2"), inputs, study())
    assert named == "Minutes 2; Minutes 3; Minutes 4" and seen == pytest.approx(2 / 3)  # of three done one was not verified
    np.testing.assert_equal(documents(row(id="C7"), inputs, study()), ("", NAN))
    np.testing.assert_equal(documents(row(id="C9"), inputs, study()), ("", NAN))  # done after the evaluation
    exports = REAL.assign(exports_direct=[1.0 if i in "abx" else 0.0 for i in REAL.index.get_level_values(0)])
    customs = pd.DataFrame({"firm_id": ["a", "b", "x"], "year": [2006, 2005, 2006], "fob_usd": [9.0, 9.0, 9.0]})
    books = Inputs(exports, exports, FIRMS, {"customs": customs})
    assert documents(row(measure="exports", **BENEFICIARIES), books, study()) == ("", 0.5)  # a is found, b was the year before
    np.testing.assert_equal(documents(row(**BENEFICIARIES), books, study()), ("", NAN))
    np.testing.assert_equal(documents(row(measure="exports"), INPUTS, study()), ("", NAN))
