"""Coverage, services, clusters, sources and the information system: by hand, on the edge, and over the shipped sample."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval.data.check import check
from pipeval.data.load import Tables, load
from pipeval.monitoring.clusters import cluster_funnel, cluster_scoreboard, typology_table
from pipeval.monitoring.context import export_trend
from pipeval.monitoring.cooperation import cooperation_table, joint_actions_table
from pipeval.monitoring.coverage import coverage_table, selection_table, served_by_group
from pipeval.monitoring.delivery import delivery_tables, quarter_table
from pipeval.monitoring.information import (
    freshness_table,
    other_programmes_table,
    scorecard,
    staff_table,
    system_steps,
    turnover_table,
)
from pipeval.monitoring.outputs import activity_matrix, outputs_table
from pipeval.monitoring.services import (
    assistance_by_subject,
    counted_apart,
    missions_table,
    received_table,
    services_table,
)
from pipeval.monitoring.sources import (
    attendance_pairs,
    cost_by_component,
    export_pairs,
    exports_by_year,
    id_matches,
    sources_table,
)
from pipeval.study.params import read_study
from pipeval.study.programme_specs import Coverage

ROOT = Path(__file__).parents[1]
AS_OF = date(2005, 3, 31)

FIRMS = pd.DataFrame(
    [
        ("a", "beneficiary", "shoes", 2004, "2003-12-01", "f", 1.0, 90.0, "C1"),
        ("b", "beneficiary", "shoes", 2005, "2004-02-01", "m", 0.0, 70.0, "C1"),
        ("c", "beneficiary", "clay", 2004, "2004-02-01", "m", 1.0, 80.0, "C2"),
        ("d", "beneficiary", "clay", 2006, "2004-02-01", None, np.nan, 60.0, None),
        ("e", "beneficiary", "clay", 2006, "2005-06-01", "f", 1.0, 50.0, None),  # registers after the evaluation
        ("i", "indirect", "shoes", None, None, "m", 0.0, np.nan, None),
        ("n", "nonparticipant", "shoes", None, None, "m", 0.0, np.nan, "C1"),
    ],
    columns=[
        "firm_id",
        "arm",
        "sector",
        "entry_year",
        "registered_on",
        "owner_gender",
        "group_experience",
        "priority_score",
        "cluster_id",
    ],
).set_index("firm_id")

SERVICES = pd.DataFrame(
    [
        ("S1", "a", "A1", "2004-02-01", "workshop", "cooperation", "group", "1", "E1", 2, 100, 60, 4, 1),
        ("S2", "c", "A1", "2004-02-01", "workshop", "cooperation", "group", "1", "E1", 1, 100, 60, 5, 0),
        ("S3", "a", "A2", "2004-05-01", "training", "quality", "group", "2.1", "E2", 2, 50, 30, 3, 1),
        ("S4", "a", "A3", "2004-08-01", "ta_individual", "quality", "individual", "2.1", None, np.nan, 900, 450, 4, 1),
        ("S5", "c", "A3", "2005-02-01", "ta_individual", "design", "individual", "2.2", None, np.nan, 700, np.nan, np.nan, 1),
        ("S6", "n", "A2", "2004-05-01", "training", "quality", "group", "2.1", "E2", 1, 50, 30, 3, np.nan),
    ],
    columns=["service_id", "firm_id", "activity_id", "start_on", "activity_type", "subject", "mode", "component", "event_id",
             "persons_trained", "total_cost_usd", "programme_paid_usd", "quality_score", "need_matched"],
).assign(start_on=lambda t: pd.to_datetime(t["start_on"]), days=1.0)  # fmt: skip

ATTENDANCE = pd.DataFrame(
    [("E1", "p1", "a"), ("E1", "p2", "a"), ("E1", "p3", "c"), ("E1", "o1", None), ("E2", "p1", "a"), ("E2", "p4", "b")],
    columns=["event_id", "person_key", "firm_id"],
)


# ---- coverage


def test_coverage_counts_registered_entered_and_served_by_arm_and_sector():
    plan = Coverage(planned={"beneficiary": {"all": 8, "shoes": 4}, "indirect": {"all": 5}}, potential=20)
    table = coverage_table(FIRMS, SERVICES, plan, AS_OF).set_index(["arm", "sector"])
    everyone = table.loc[("beneficiary", "all")]
    assert everyone[["n_registered", "n_entered", "n_served"]].tolist() == [4, 3, 2]  # e registers later
    assert everyone["progress"] == 0.5 and everyone["share"] == 0.5
    assert everyone["share_low"] == pytest.approx(0.15003898915214947, abs=1e-8)
    assert table.loc[("beneficiary", "shoes")][["planned", "n_registered", "n_served", "progress"]].tolist() == [4, 2, 1, 0.5]
    assert np.isnan(table.loc[("beneficiary", "clay"), "planned"]) and np.isnan(table.loc[("beneficiary", "clay"), "progress"])


def test_the_two_figures_of_indirect_firms_are_never_one():
    plan = Coverage(planned={"indirect": {"all": 300}}, potential=2000)
    row = coverage_table(FIRMS, SERVICES, plan, AS_OF).query("arm == 'indirect' and sector == 'all'").iloc[0]
    assert (row["planned"], row["potential"]) == (300, 2000)
    assert row["progress"] == 1 / 300 and row["progress_potential"] == 1 / 2000
    assert np.isnan(row["n_entered"])  # no indirect firm has a year of entry: unknown, not none
    others = coverage_table(FIRMS, SERVICES, plan, AS_OF).query("arm != 'indirect'")
    assert others["potential"].isna().all()


def test_services_to_non_participants_are_seen_but_are_no_coverage():
    row = coverage_table(FIRMS, SERVICES, Coverage(), AS_OF).query("arm == 'nonparticipant' and sector == 'all'").iloc[0]
    assert row["n_served"] == 1 and np.isnan(row["share"])


def test_a_planned_sector_without_firms_is_a_row_of_zero():
    table = coverage_table(FIRMS, None, Coverage(planned={"beneficiary": {"toys": 6}}), AS_OF).set_index(["arm", "sector"])
    assert table.loc[("beneficiary", "toys"), "n_registered"] == 0 and table.loc[("beneficiary", "toys"), "progress"] == 0
    assert table["n_served"].isna().all() and table["share"].isna().all()  # no table of services


def test_served_by_group_and_by_kind_of_support():
    table = served_by_group(FIRMS, SERVICES).set_index(["received", "covariate", "group"])
    assert table.loc[("service", "owner_gender", "f")][["n_firms", "n_served"]].tolist() == [2, 1]
    assert table.loc[("service", "owner_gender", "m")][["n_firms", "n_served"]].tolist() == [2, 1]
    assert table.loc[("service", "owner_gender", "not_known")][["n_firms", "n_served"]].tolist() == [1, 0]
    assert table.loc[("service", "group_experience", "yes"), "share"] == pytest.approx(2 / 3)
    assert "branch" not in table.index.get_level_values("covariate")  # a characteristic that no firm has
    assert table.loc["assistance"].groupby("covariate")["n_firms"].sum().eq(5).all()


def test_ranking_criteria_of_served_and_others():
    row = selection_table(FIRMS, SERVICES).set_index(["received", "covariate"]).loc[("service", "priority_score")]
    assert row[["n_served", "n_other", "mean_served", "mean_other", "gap"]].tolist() == [2, 3, 85, 60, 25]
    # Welch by hand: variances 50 and 100, standard error √(50/2 + 100/3)
    assert (row["conf_low"] + row["conf_high"]) / 2 == pytest.approx(25)
    error = np.sqrt(50 / 2 + 100 / 3)
    degrees = error**4 / ((50 / 2) ** 2 / 1 + (100 / 3) ** 2 / 2)
    from scipy.stats import t

    assert row["conf_high"] - 25 == pytest.approx(t.ppf(0.975, degrees) * error, abs=1e-8)
    alone = selection_table(FIRMS.loc[["a", "b"]], SERVICES)
    assert alone["conf_low"].isna().all() and alone["gap"].notna().any()


# ---- services


def test_firms_events_and_persons_are_counted_apart():
    table = counted_apart(SERVICES, ATTENDANCE).set_index("component")
    assert table.index.tolist() == ["1", "2", "2.1", "2.2", "total"]
    columns = ["n_services", "n_events", "n_firms", "n_persons", "n_participations", "n_firms_added"]
    assert table.loc["1", columns].tolist() == [2, 1, 2, 4, 3, 2]
    assert table.loc["2", columns].tolist() == [4, 1, 3, 2, 3, 4]  # a: training and assistance, counted once
    assert table.loc["total", columns].tolist() == [6, 2, 3, 5, 6, 6]  # p1 came twice and is one person
    assert np.isnan(table.loc["2.2", "n_events"])
    assert counted_apart(SERVICES)["n_persons"].isna().all()


def test_services_by_component_type_subject_and_mode():
    table = services_table(SERVICES, ATTENDANCE).set_index(["component", "activity_type", "subject", "mode"])
    row = table.loc[("2.1", "training", "quality", "group")]
    assert row[["n_services", "n_events", "n_firms", "n_persons", "n_participations", "days"]].tolist() == [2, 1, 2, 2, 3, 2]
    assert row["programme_share"] == 0.6 and row["share"] == 1 and row["n_need"] == 1
    assisted = table.loc[("2.2", "ta_individual", "design", "individual")]
    assert assisted["cost_usd"] == 700 and np.isnan(assisted["paid_usd"]) and np.isnan(assisted["programme_share"])
    assert np.isnan(assisted["quality_mean"]) and assisted["n_quality"] == 0
    workshop = table.loc[("1", "workshop", "cooperation", "group")]
    assert workshop["quality_mean"] == 4.5 and workshop["share"] == 0.5
    blind = services_table(SERVICES.assign(subject=None), by=("subject",))
    assert blind["subject"].tolist() == ["not_known"] and blind["n_services"].tolist() == [6]


def test_the_programmes_share_is_of_services_whose_amounts_are_known():
    given = pd.DataFrame(
        {"firm_id": ["a", "b"], "component": "1", "total_cost_usd": [100.0, np.nan], "programme_paid_usd": [40.0, 30.0]}
    )
    row = services_table(given, by=("component",)).iloc[0]
    assert (row["programme_share"], row["paid_usd"]) == (0.4, 70)


def test_the_share_of_needs_matched_has_the_level_asked_for():
    given = pd.DataFrame({"firm_id": list("abcd"), "component": "1", "need_matched": [1.0, 1, 0, 1]})
    wide, narrow = (services_table(given, by=("component",), level=level).iloc[0] for level in (0.95, 0.5))
    assert wide["share"] == narrow["share"] == 0.75 and wide["share_low"] < narrow["share_low"]


def test_c22_asks_for_both_in_the_same_firm():
    table = received_table(SERVICES, FIRMS).set_index(["sector", "received"])["n_served"]
    assert table["all", "assistance"] == 2 and table["all", "training"] == 1  # n is no beneficiary
    assert table["all", "assistance_and_training"] == 1 and table["all", "need_matched"] == 1
    assert table["clay", "assistance"] == 1 and table["clay", "assistance_and_training"] == 0
    unasked = received_table(SERVICES.assign(need_matched=np.nan), FIRMS)
    assert "need_matched" not in unasked["received"].tolist()


def test_assistance_by_subject():
    table = assistance_by_subject(SERVICES).set_index("subject")
    assert table.index.tolist() == ["design", "quality"]
    assert table.loc["quality", ["n_services", "n_firms", "paid_usd", "n_matched"]].tolist() == [1, 1, 450, 1]


def test_missions_by_sector_and_year_against_the_plan():
    trips = [("a", "M1", "2004-03-01"), ("b", "M1", "2004-03-01"), ("a", "M2", "2004-09-01"), ("c", "M3", "2004-10-01"),
             ("a", "M4", "2005-02-01")]  # fmt: skip
    went = pd.DataFrame(trips, columns=["firm_id", "event_id", "start_on"])
    went = went.assign(activity_id="A9", component="2", activity_type="mission", service_id=went.index.astype(str))
    plan = pd.DataFrame(
        {"activity_id": ["A9"], "planned_start": ["2004-01-01"], "planned_end": ["2006-06-30"], "planned_qty": [12]}
    )
    table = missions_table(went, FIRMS, plan, AS_OF).set_index(["sector", "year"])
    assert (table["planned"] == 2).all()  # 12 over two sectors and three years
    assert table["n_events"].to_dict() == {("clay", 2004): 1, ("clay", 2005): 0, ("shoes", 2004): 2, ("shoes", 2005): 1}
    assert table["status"].to_dict() == {
        ("clay", 2004): "below", ("clay", 2005): "in_progress", ("shoes", 2004): "reached", ("shoes", 2005): "in_progress",
    }  # fmt: skip
    assert table.loc[("shoes", 2004), "n_firms"] == 2
    assert set(missions_table(went, FIRMS, None, AS_OF)["status"]) == {"not_known"}
    assert missions_table(went, FIRMS, plan, date(2008, 1, 31))["year"].max() == 2006  # the plan's end
    days = missions_table(went.assign(event_id=None), FIRMS, plan, AS_OF)  # without event ids, an activity and day
    assert days["n_events"].tolist() == table["n_events"].tolist()
    assert missions_table(SERVICES, FIRMS, plan, AS_OF).empty


# ---- outputs

PLAN = pd.DataFrame(
    {
        "activity_id": ["A1", "A2", "A3", "A4"],
        "component": ["1", "2", "2", "2"],
        "unit": ["workshops", "courses", "firms", "products"],
        "planned_qty": [4.0, 2.0, 4.0, 5.0],
        "actual_qty": [np.nan, 3.0, np.nan, 2.0],
        "planned_end": ["2004-06-30", "2004-06-30", "2006-06-30", "2006-06-30"],
        "actual_start": ["2004-01-01", "2004-01-01", "2004-07-01", None],
        "actual_end": [None, "2004-06-20", None, None],
        "quality_score": [np.nan, 2.9, 3.0, 4.0],
    }
)


def test_variances_of_quantity_date_and_quality():
    table = outputs_table(PLAN, AS_OF, 3.0, SERVICES).set_index("activity_id")
    assert table["status"].tolist() == ["delayed", "done", "in_progress", "pending"]
    assert table["days_late"].tolist()[:2] == [274, -10] and table["days_late"].isna().tolist()[2:] == [True, True]
    assert table["quantity_from"].tolist() == ["services", "stated", "services", "not_known"]
    assert table["actual_qty"].tolist()[:3] == [1, 3, 2]  # one event; as stated; two firms
    assert np.isnan(table.loc["A4", "actual_qty"])  # stated for an activity that has not begun: not known by then
    assert table["difference_qty"].tolist()[:3] == [-3, 1, -2]
    assert table["quality"].tolist() == ["not_known", "low", "good", "not_known"]
    assert outputs_table(PLAN, AS_OF).set_index("activity_id").loc["A1", "quantity_from"] == "not_known"


def test_activities_by_component_with_cost_users_and_usefulness():
    answers = pd.DataFrame(
        [("A1", "1", "usefulness", 4), ("A1", "1", "usefulness", 2), ("A1", "1", "timeliness", 5), ("A3", "2.1", "design", 5)],
        columns=["activity_id", "component", "item", "score"],
    )
    ledger = pd.DataFrame({"kind": ["expense", "disbursement"], "activity_id": "A1", "component": "1", "amount_usd": [70.0, 9.0]})
    table = activity_matrix(PLAN, SERVICES, ledger, answers, ATTENDANCE).set_index(["activity_id", "component"])
    assert table.index.tolist() == [("A1", "1"), ("A2", "2"), ("A3", "2"), ("A3", "2.1"), ("A3", "2.2"), ("A4", "2")]
    assert table.loc[("A1", "1"), ["n_services", "n_firms", "n_persons", "cost_usd", "ledger_usd"]].tolist() == [2, 2, 4, 200, 70]
    assert table.loc[("A1", "1"), ["usefulness", "n_usefulness"]].tolist() == [3, 2]
    assert table.loc[("A3", "2"), ["n_firms", "cost_usd", "cost_per_firm", "usefulness"]].tolist() == [2, 1600, 800, 5]
    assert table.loc[("A3", "2.1"), ["part", "n_firms", "usefulness"]].tolist() == ["component", 1, 5]
    assert np.isnan(table.loc[("A3", "2.2"), "usefulness"]) and np.isnan(table.loc[("A3", "2.2"), "actual_qty"])
    assert table.loc[("A4", "2"), "n_services"] == 0 and np.isnan(table.loc[("A4", "2"), "cost_per_firm"])
    assert activity_matrix(PLAN)["n_services"].isna().all()


def test_quarters_have_no_holes():
    ledger = pd.DataFrame(
        [("2003-11-01", "disbursement", 80.0), ("2004-02-01", "expense", 10.0), ("2004-03-31", "expense", 5.0)],
        columns=["on", "kind", "amount_usd"],
    )
    milestones = pd.DataFrame({"done_on": ["2004-05-01", None, "2004-06-30"]})
    table = quarter_table(SERVICES, ledger, milestones, date(2005, 2, 15)).set_index("quarter")
    assert table.index.tolist() == ["2003Q4", "2004Q1", "2004Q2", "2004Q3", "2004Q4", "2005Q1"]
    assert table["n_services"].tolist() == [0, 2, 2, 1, 0, 1]
    assert table["n_firms"].tolist() == [0, 2, 2, 1, 0, 1] and table["n_new_firms"].tolist() == [0, 2, 1, 0, 0, 0]
    assert table["expense_usd"].tolist() == [0, 15, 0, 0, 0, 0] and table["disbursed_usd"].iloc[0] == 80
    assert table["n_milestones"].tolist() == [0, 0, 2, 0, 0, 0]
    assert table["complete"].tolist() == [True] * 5 + [False]
    assert quarter_table(SERVICES, None, None, AS_OF)["expense_usd"].isna().all()
    assert quarter_table(SERVICES, None, None, AS_OF)["complete"].iloc[-1]  # the evaluation is on the quarter's last day
    assert quarter_table(None, None, None, AS_OF).empty


# ---- clusters

CLUSTERS = pd.DataFrame(
    {
        "cluster_id": ["C1", "C2", "C3"],
        "sector": ["shoes", "clay", "clay"],
        "branch": ["shoes", "clay", "clay"],
        "cluster_type": ["horizontal", "local", "horizontal"],
        "members_planned": [3.0, 2.0, 2.0],
        "identified_on": pd.to_datetime(["2003-11-01", "2003-11-01", None]),
        "plan_approved_on": pd.to_datetime(["2004-01-01", "2004-02-01", None]),
        "formed_on": pd.to_datetime(["2004-05-01", None, None]),
        "joint_sale_on": pd.to_datetime(["2006-01-01", None, None]),
        "legal_entity": [1.0, 1.0, 0.0],
        "joint_actions_planned": [4.0, 0.0, np.nan],
        "joint_actions_done": [3.0, 1.0, np.nan],
    }
)
ACTIONS = pd.DataFrame(
    [
        ("C1", "a", "2004-06-01", "purchase", 10.0, 1.0),
        ("C1", "b", "2004-06-01", "purchase", 30.0, 3.0),
        ("C1", "a", "2004-07-01", "fair", np.nan, np.nan),
    ],
    columns=["cluster_id", "firm_id", "on", "type", "value_kmxn", "saving_kmxn"],
)


def test_scoreboard_of_clusters():
    firms = FIRMS.assign(exited_on=pd.Series({"b": "2004-12-01"}), closed_on=pd.NaT)
    table = cluster_scoreboard(CLUSTERS, firms, AS_OF, SERVICES, ACTIONS).set_index("cluster_id")
    assert table["n_members"].tolist() == [1, 1, 0]  # b has left, n took no part
    assert table["stage"].tolist() == ["legal", "plan_approved", "none"]  # the joint sale comes after the evaluation
    assert table["n_milestones"].tolist() == [4, 2, 0]  # the legal form of a cluster not formed does not count
    assert table["joint_actions_done"].tolist() == [2, 0, 0] and table.loc["C1", "share"] == 0.5
    assert np.isnan(table.loc["C2", "share"])
    assert table.loc["C1", ["joint_value_k", "saving_k"]].tolist() == [40, 4]
    assert table["cost_usd"].tolist() == [1050, 800, 0] and table.loc["C1", "paid_usd"] == 540
    month = 365.25 / 12
    np.testing.assert_allclose(table["months_to_form"], [121 / month, 424 / month, np.nan])
    np.testing.assert_allclose(table["lag_months"], [-303 / 2 / month, 303 / 2 / month, np.nan])
    assert table["slower"].tolist() == [False, True, False]
    stated = cluster_scoreboard(CLUSTERS, firms, AS_OF).set_index("cluster_id")
    assert stated.loc["C1", "joint_actions_done"] == 3 and stated["cost_usd"].isna().all()
    later = cluster_scoreboard(CLUSTERS, firms, date(2006, 2, 1)).set_index("cluster_id")
    assert later.loc["C1", "stage"] == "joint_sale" and later.loc["C1", "n_milestones"] == 5


def test_a_cluster_that_formed_late_is_no_longer_slower():
    own = pd.DataFrame({"cluster_id": ["C1", "C2", "C3"], "plan_approved_on": "2004-01-01"})
    own["formed_on"] = ["2004-02-01", "2005-01-01", None]
    board = cluster_scoreboard(own, FIRMS.iloc[:0], date(2006, 1, 1))
    assert board["slower"].tolist() == [False, False, True]
    late = cluster_scoreboard(own.iloc[:2], FIRMS.iloc[:0], date(2006, 1, 1))
    assert late["lag_months"].iloc[1] > 0 and not late["slower"].any()


def test_funnel_of_clusters():
    table = cluster_funnel(CLUSTERS, AS_OF).set_index(["sector", "stage"])
    assert table.loc[("all", "identified"), "n"] == 2 and table.loc[("all", "identified"), "share"] == pytest.approx(2 / 3)
    assert table.loc[("clay", "formed"), "n"] == 0 and table.loc[("shoes", "legal"), "n"] == 1
    counts = table.loc["all", "n"].tolist()
    assert counts == [2, 2, 1, 1, 0]


def test_typology_says_what_may_be_monitored():
    table = typology_table(CLUSTERS, FIRMS).set_index("cluster_type")
    assert table.loc["horizontal"].tolist() == [2, 2, 1, "high", "all_participants", "same_sector"]
    assert table.loc["local"].tolist() == [1, 1, 0, "low", "sector_area", "other_area"]
    assert typology_table(CLUSTERS.assign(cluster_type=None), FIRMS).empty


def test_joint_actions_and_their_saving():
    table = joint_actions_table(ACTIONS, CLUSTERS).set_index(["sector", "type"])
    assert table.loc[("shoes", "purchase"), ["n", "n_clusters", "n_firms", "joint_value_k", "saving_k"]].tolist() == [
        1,
        1,
        2,
        40,
        4,
    ]
    assert table.loc[("all", "purchase"), "saving_share"] == 0.1
    assert np.isnan(table.loc[("all", "fair"), "joint_value_k"]) and np.isnan(table.loc[("all", "fair"), "saving_share"])


def test_cooperation_compares_the_same_firms():
    answers = pd.DataFrame(
        [
            ("a", 2003, 1.0, 0.0),
            ("a", 2005, 3.0, 5.0),
            ("b", 2003, 2.0, 0.0),
            ("b", 2005, 2.0, 0.0),
            ("c", 2005, 9.0, 9.0),
            ("n", 2003, 1.0, 0.0),
            ("n", 2005, 1.0, 0.0),
        ],
        columns=["firm_id", "ref_year", "n_ties", "joint_sales_kmxn"],
    )
    table = cooperation_table(answers, FIRMS, 2003).set_index(["arm", "measure"])
    ties = table.loc[("beneficiary", "n_ties")]
    assert ties[["n", "mean_base", "mean", "mean_change"]].tolist() == [2, 1.5, 2.5, 1.0]  # c was not asked in the base year
    from scipy.stats import t

    assert ties["conf_high"] == pytest.approx(1 + t.ppf(0.975, 1) * np.sqrt(2) / np.sqrt(2))
    assert table.loc[("beneficiary", "joint_sales"), ["mean_base", "mean"]].tolist() == [0, 0.5]
    assert np.isnan(table.loc[("nonparticipant", "n_ties"), "conf_low"])
    assert cooperation_table(answers, FIRMS, 2005).empty and cooperation_table(answers.iloc[:0], FIRMS, 2003).empty


# ---- sources

SURVEY = pd.DataFrame(
    [
        ("a", 2003, 100.0, 1.0, "2004-02-01", "complete"),
        ("a", 2004, 100.0, 1.0, "2005-02-01", "complete"),
        ("b", 2004, 50.0, 1.0, "2005-02-01", "partial"),
        ("c", 2004, 0.0, 0.0, "2005-02-01", "complete"),
        ("d", 2004, np.nan, 0.5, "2005-02-01", "refusal"),
        ("n", 2004, np.nan, 0.5, "2005-02-01", "complete"),
        ("i", 2004, np.nan, np.nan, None, "not_found"),
    ],
    columns=["firm_id", "ref_year", "export_direct_usd", "export_direct_kmxn", "interview_on", "response"],
).assign(interview_on=lambda t: pd.to_datetime(t["interview_on"]))
CUSTOMS = pd.DataFrame(
    [
        ("a", 2003, 100.0),
        ("a", 2004, 60.0),
        ("a", 2004, 21.0),
        ("c", 2004, 5.0),
        ("n", 2004, 60.0),
        ("i", 2004, 4.0),
        ("a", 2005, 9.0),
    ],
    columns=["firm_id", "year", "fob_usd"],
)
RATES = pd.Series({2003: 10.0, 2004: 10.0})


def test_survey_and_customs_firm_by_firm():
    pairs = export_pairs(SURVEY, CUSTOMS, RATES).set_index(["firm_id", "year"])
    assert pairs["reason"].to_dict() == {
        ("a", 2003): "agrees",
        ("a", 2004): "agrees",  # 81 of 100: just inside
        ("b", 2004): "survey_only",
        ("c", 2004): "customs_only",
        ("d", 2004): "survey_only",  # 0.5 thousand pesos at 10
        ("n", 2004): "differs",  # 50 against 60? no: 0.5 thousand at 10 pesos are 50 dollars, 60 at customs
        ("i", 2004): "no_answer",
    } | {("n", 2004): pairs.loc[("n", 2004), "reason"]}
    assert pairs.loc[("n", 2004), "survey_usd"] == 50 and pairs.loc[("n", 2004), "reason"] == "agrees"  # a gap of 10 of 60
    assert pairs.loc[("a", 2004), "ratio"] == 0.81
    apart = export_pairs(SURVEY, CUSTOMS.replace({"fob_usd": {21.0: 19.9}}), RATES).set_index(["firm_id", "year"])
    assert apart.loc[("a", 2004), "reason"] == "differs"
    assert export_pairs(SURVEY, CUSTOMS).set_index(["firm_id", "year"]).loc[("n", 2004), "reason"] == "no_answer"


def test_exports_by_year_sum_the_same_firms():
    table = exports_by_year(export_pairs(SURVEY, CUSTOMS, RATES)).set_index("year")
    columns = ["n_survey", "n_customs", "n_both", "n_survey_only", "n_customs_only", "n_no_answer", "n", "n_agree"]
    assert table.loc[2004, columns].tolist() == [4, 3, 2, 2, 1, 1, 5, 2]
    assert table.loc[2004, ["survey_usd", "customs_usd"]].tolist() == [250, 146]  # the silent firm is in neither sum
    assert table.loc[2004, "share"] == 0.4
    assert 2005 not in table.index  # the survey does not reach it


def test_services_against_the_ledger():
    ledger = pd.DataFrame(
        [
            ("2004-03-01", "expense", "mif", "1", 125.0),
            ("2004-03-01", "expense", "mif", "2", 1000.0),
            ("2004-03-01", "expense", "counterpart", "1", 99.0),
            ("2004-03-01", "disbursement", "mif", None, 500.0),
            ("2004-03-01", "expense", "mif", "4", 7.0),
            ("2005-03-01", "expense", "mif", "1", 7.0),
        ],
        columns=["on", "kind", "source", "component", "amount_usd"],
    )
    table = cost_by_component(SERVICES, ledger, 0.10).set_index(["component", "year"])
    assert table.index.tolist() == [("1", 2004), ("1", 2005), ("2", 2004)]  # component 4 gives no services
    assert table.loc[("1", 2004), ["services_usd", "ledger_usd", "difference_usd", "ratio"]].tolist() == [120, 125, 5, 0.96]
    assert table["status"].tolist() == ["agrees", "ledger_only", "ledger_higher"]
    assert table.loc[("2", 2004), "services_usd"] == 510
    less = cost_by_component(SERVICES, ledger.assign(amount_usd=ledger["amount_usd"] / 4), 0.10)
    assert less["status"].tolist() == ["services_higher", "ledger_only", "services_higher"]
    alone = cost_by_component(SERVICES, ledger[ledger["component"] == "2"], 0.10).set_index(["component", "year"])
    assert alone.loc[("1", 2004), "status"] == "services_only"


def test_persons_of_services_and_of_attendance_lists():
    table = attendance_pairs(SERVICES, ATTENDANCE).set_index(["event_id", "firm_id"])
    assert table["reason"].to_dict() == {
        ("E1", "a"): "agrees",
        ("E1", "c"): "agrees",
        ("E2", "a"): "differs",
        ("E2", "b"): "attendance_only",
        ("E2", "n"): "services_only",
    }
    assert attendance_pairs(SERVICES, ATTENDANCE.assign(event_id="other")).empty


def test_ids_refer_to_what_exists():
    frames = {
        "enterprises": FIRMS.reset_index().query("firm_id != 'n'"),
        "services": SERVICES.assign(provider_id=None),
        "attendance": ATTENDANCE,
        "activities": PLAN,
        "clusters": CLUSTERS.iloc[:1],
    }
    table = id_matches(frames).set_index(["table", "column"])
    assert table.loc[("services", "firm_id"), ["n", "n_found"]].tolist() == [3, 2]
    assert table.loc[("services", "activity_id"), "share"] == 1
    assert table.loc[("enterprises", "cluster_id"), ["n", "n_found"]].tolist() == [2, 1]
    assert ("services", "provider_id") not in table.index and ("survey", "firm_id") not in table.index


def test_sources_in_one_table():
    pairs = export_pairs(SURVEY, CUSTOMS, RATES)
    people = attendance_pairs(SERVICES, ATTENDANCE)
    ids = pd.DataFrame({"table": ["services"], "column": ["firm_id"], "refers_to": ["enterprises"], "n": [4], "n_found": [3]})
    costs = pd.DataFrame({"status": ["ledger_higher", "services_higher"], "services_usd": [10.0, 30.0], "ledger_usd": [20.0, 10.0]})
    table = sources_table(pairs, costs, people, ids).set_index("comparison")
    assert table.loc["exports", ["n", "n_agree", "first_total", "second_total"]].tolist() == [6, 3, 350, 246]
    assert table.loc["costs", ["n", "n_agree", "ratio"]].tolist() == [2, 1, 0.75]
    assert table.loc["persons", ["n", "n_agree"]].tolist() == [5, 2]
    assert table.loc["ids", "share"] == 0.75 and np.isnan(table.loc["ids", "ratio"])
    assert sources_table(None, None, None, ids.iloc[:0]).empty


def test_export_trend_follows_the_same_firms_and_shows_no_firm():
    ids = [f"F{i}" for i in range(6)]
    answers = pd.DataFrame(
        {"firm_id": ids * 2, "ref_year": [2003] * 6 + [2004] * 6, "export_direct_usd": [10.0] * 6 + [15.0] * 5 + [np.nan]}
    )
    firms = pd.DataFrame({"arm": "beneficiary", "branch": ["shoes"] * 5 + ["clay"]}, index=ids)
    table = export_trend(answers, firms, 2003).set_index(["branch", "period"])
    assert table.loc[("all", 2004), ["n", "exports_usd", "base_usd", "export_index"]].tolist() == [5, 75, 50, 150]
    assert table.loc[("all", 2003), "base_usd"] == 60 and table.loc[("all", 2003), "export_index"] == 100
    assert np.isnan(table.loc[("clay", 2003), "exports_usd"]) and np.isnan(table.loc[("clay", 2003), "export_index"])
    assert export_trend(answers, firms, 1999).empty


# ---- information


def test_freshness_by_sector():
    table = freshness_table(SURVEY, FIRMS, AS_OF, 12).set_index("sector")
    assert table.loc["shoes", ["n_firms", "n_fresh", "share"]].tolist() == [2, 2, 1]
    assert table.loc["clay", ["n_firms", "n_fresh"]].tolist() == [3, 1]  # a refusal is no answer
    assert table.loc["all", "months_old"] == pytest.approx(58 / (365.25 / 12))
    late = freshness_table(SURVEY, FIRMS, date(2006, 3, 31), 12).set_index("sector")
    assert late.loc["all", "n_fresh"] == 0
    closed = freshness_table(SURVEY, FIRMS.assign(closed_on=pd.Series({"d": pd.Timestamp("2004-12-01")})), AS_OF)
    assert closed.set_index("sector").loc["clay", "n_firms"] == 2
    assert freshness_table(SURVEY.assign(interview_on=pd.NaT), FIRMS, AS_OF).empty


def test_staff_turnover_and_empty_posts():
    team = pd.DataFrame(
        [("p", "head", "2004-01-01", "2004-01-31"), ("q", "head", "2004-02-11", None), ("r", "aide", "2004-01-01", "2004-03-31"),
         ("s", "clerk", "2005-01-01", None)],
        columns=["staff_key", "post", "started_on", "left_on"],
    )  # fmt: skip
    table = staff_table(team, date(2004, 4, 30)).set_index("post")
    month = 365.25 / 12
    assert table.index.tolist() == ["aide", "head"]  # the clerk comes later
    assert table.loc["head", ["n_holders", "n_changes", "held"]].tolist() == [2, 1, True]
    assert table.loc["head", "vacant_months"] == pytest.approx(10 / month)
    assert table.loc["head", "share"] == pytest.approx(111 / 121)
    assert table.loc["aide", "vacant_months"] == pytest.approx(30 / month) and not table.loc["aide", "held"]
    row = turnover_table(table.reset_index()).iloc[0]
    assert row[["n_posts", "n_changed", "n_vacant", "share"]].tolist() == [2, 1, 1, 0.5]
    assert row["changes_per_year"] == pytest.approx(12 / (242 / month))
    assert turnover_table(staff_table(team.iloc[:0], AS_OF)).empty


def test_other_programmes_by_arm():
    support = pd.DataFrame(
        [("a", "capital", 100.0), ("a", "capital", 50.0), ("a", "clean", np.nan), ("n", "capital", 10.0), ("zzz", "capital", 1.0)],
        columns=["firm_id", "programme", "amount_usd"],
    )
    table = other_programmes_table(support, FIRMS).set_index(["programme", "arm"])
    assert table.loc[("capital", "beneficiary"), ["n_firms", "n_arm", "amount_usd", "share"]].tolist() == [1, 5, 150, 0.2]
    assert table.loc[("any", "beneficiary"), "n_firms"] == 1 and table.loc[("any", "nonparticipant"), "share"] == 1
    assert np.isnan(table.loc[("clean", "beneficiary"), "amount_usd"])
    assert table.loc[("clean", "indirect"), "share"] == 0
    assert other_programmes_table(support.iloc[:0], FIRMS).empty


def test_steps_of_the_information_system():
    ratings = pd.DataFrame(
        [
            ("monitoring", "users", "r1", 4, "2005-01-01"),
            ("monitoring", "users", "r2", 3, "2005-01-01"),
            ("monitoring", "users", "r1", 1, "2004-01-01"),
            ("monitoring", "needs", "r1", 2, "2005-01-01"),
            ("capacity", "method", "r1", 4, "2005-01-01"),
            ("monitoring", "formats", "r1", 1, "2005-01-01"),
        ],
        columns=["rubric", "criterion", "rater", "score", "rated_on"],
    )
    table = system_steps(ratings).set_index("step")
    assert table.loc["users", ["score", "n_raters", "status"]].tolist() == [3.5, 2, "in_place"]
    assert table["status"][["needs", "formats", "method"]].tolist() == ["partly", "absent", "not_known"]
    assert len(table) == 8


def _scored(study, faults=None, **frames):
    faults = pd.DataFrame({"table": []}) if faults is None else faults
    return scorecard(Tables(frames), faults, FIRMS, study).set_index("table")


def test_scorecard_by_hand():
    study = read_study(ROOT / "params" / "guanajuato_final.yaml").model_copy(update={"as_of": AS_OF})
    services = SERVICES.assign(provider_id=["P1", None, None, None, None, None], mode=None)
    services["end_on"] = pd.to_datetime(["2004-02-02", None, None, None, None, None])  # an end may not have come yet
    faults = pd.DataFrame({"table": ["services"]})
    row = _scored(study, faults, services=services).loc["services"]
    assert row["complete_needed"] == 1  # service_id, firm_id, start_on and activity_type
    # nine other columns hold a value and concern every row; of their 54 cells, 5 providers, an amount, a score and an answer lack
    assert row["complete_other"] == pytest.approx(46 / 54) and row["n_columns_empty"] == 1
    assert row["last_on"] == pd.Timestamp("2005-02-01") and row["months_old"] == pytest.approx(58 / (365.25 / 12))
    assert row["share_recent"] == pytest.approx(4 / 6) and row["queries_per_100"] == pytest.approx(100 / 6)
    assert row["share_covered"] == 0.4  # a and c of five beneficiaries
    assert row[["n_passed", "n_rules", "score"]].tolist() == [2, 4, 2]  # complete and fresh; not consistent, not covering
    answered = _scored(study, survey=SURVEY).loc["survey"]
    assert answered["share_covered"] == 0.6  # a, b and c answered
    empty = _scored(study, services=services.iloc[:0]).loc["services"]
    assert empty["score"] == 0 and np.isnan(empty["complete_needed"])
    calm = _scored(study, staff=pd.DataFrame({"staff_key": ["p"], "post": "head", "started_on": pd.to_datetime(["2001-01-01"])}))
    assert calm.loc["staff", "score"] == 4  # nobody new for years is no fault


# ---- all of it


def _evaluation(name: str):
    study = read_study(ROOT / "params" / f"{name}.yaml")
    tables = load(study)
    return tables, check(tables, study), tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id"), study


@pytest.fixture(scope="module")
def midterm():
    return _evaluation("guanajuato_midterm")


@pytest.fixture(scope="module")
def final():
    return _evaluation("guanajuato_final")


@pytest.fixture(scope="module")
def final_tables(final):
    return delivery_tables(*final)


@pytest.fixture(scope="module")
def few(midterm):
    """The midterm evaluation of thirty firms, small enough to be run over and over."""
    tables, faults, firms, study = midterm
    kept = [*firms.index[firms["arm"] == "beneficiary"][:24], *firms.index[firms["arm"] != "beneficiary"][:6]]
    small = {n: f[f["firm_id"].isin(kept)] if "firm_id" in f and n != "ledger" else f.head(30) for n, f in tables.frames.items()}
    return tables.with_frames(small), faults, firms.loc[kept], study


PROMISED = {
    "coverage", "served_groups", "selection", "other_programmes", "services", "counted_apart", "received", "assistance", "missions",
    "outputs", "activity_matrix", "quarters", "clusters", "cluster_funnel", "typology", "cooperation", "sources", "exports_by_year",
    "cost_by_component", "id_matches", "export_pairs", "export_trend", "information", "freshness",
}  # fmt: skip


@pytest.mark.parametrize("stage", ["midterm", "final"])
def test_delivery_over_the_sample(stage, request):
    tables, faults, firms, study = request.getfixturevalue(stage)
    found = request.getfixturevalue("final_tables") if stage == "final" else delivery_tables(tables, faults, firms, study)
    assert found.keys() >= PROMISED
    services = tables["services"]
    total = found["counted_apart"].set_index("component").loc["total"]
    assert total["n_services"] == len(services) and total["n_firms"] == services["firm_id"].nunique()
    assert total["n_firms_added"] > total["n_firms"]
    assert found["services"]["n_services"].sum() == len(services)
    np.testing.assert_allclose(found["services"]["cost_usd"].sum(), services["total_cost_usd"].sum())
    assert found["quarters"]["n_new_firms"].sum() == services["firm_id"].nunique()
    ours = found["coverage"].query("arm == 'beneficiary' and sector == 'all'").iloc[0]
    assert (ours["planned"], ours["progress"]) == (200, 1)
    assert set(found["missions"]["planned"]) == {2.0} and set(found["missions"]["sector"]) == {"leather_footwear", "ceramics"}
    assert found["clusters"]["months"].min() > 0 and found["quarters"]["complete"].all()
    for table in found.values():
        shares = [c for c in table if c.startswith("share") or c.startswith("complete_")]
        assert not (table[shares] < 0).any(axis=None)
        assert not table.columns.isin(["staff_key", "person_key"]).any()
    assert [n for n, t in found.items() if "firm_id" in t] == ["export_pairs"]


def test_what_was_found_in_the_final_evaluation(final, final_tables):
    found = final_tables
    received = found["received"].set_index(["sector", "received"])["n_served"]
    services = final[0]["services"]
    helped = set(services.loc[services["activity_type"].isin(["ta_individual", "ta_group"]), "firm_id"])
    trained = set(services.loc[services["activity_type"] == "training", "firm_id"])
    assert received["all", "assistance_and_training"] == len(helped & trained) >= 60
    exports = found["exports_by_year"]
    assert exports["year"].tolist() == [2002, 2003, 2004, 2005, 2006] and (exports["share"] > 0.9).all()
    assert (found["id_matches"]["share"] == 1).all()
    assert found["cluster_funnel"].query("sector == 'all'")["n"].iloc[0] == 16


def test_tables_without_rows_are_left_out(few):
    tables, faults, firms, study = few
    bare = Tables({name: tables[name] for name in ("enterprises", "survey")})
    found = delivery_tables(bare, faults, firms, study)
    assert "coverage" in found and not {"services", "outputs", "clusters", "staff", "quarters", "export_pairs"} & set(found)
    for names in (("survey", "clusters", "customs"), ("services", "activities", "rubrics")):
        found = delivery_tables(tables.with_frames({n: tables[n].iloc[:0] for n in names}), faults, firms, study)
        assert all(len(t) for t in found.values())
    hollow = tables.with_frames({n: f.iloc[:0] for n, f in tables.frames.items() if n != "enterprises"})
    assert "coverage" in delivery_tables(hollow, faults.iloc[:0], firms, study)
    assert delivery_tables(tables, faults, firms.iloc[:1], study)["coverage"]["n_registered"].max() == 1
    assert "coverage" not in delivery_tables(hollow, faults, firms.iloc[:0], study.model_copy(update={"coverage": Coverage()}))


def test_rows_in_another_order_change_nothing(few):
    tables, faults, firms, study = few
    before = {name: frame.copy() for name, frame in tables.frames.items()}
    mixed = {n: f.sample(frac=1, random_state=7) for n, f in tables.frames.items() if n not in ("activities", "staff")}
    one = delivery_tables(tables, faults, firms, study)
    other = delivery_tables(tables.with_frames(mixed), faults, firms.sample(frac=1, random_state=3), study)
    assert one.keys() == other.keys()
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, other[name], obj=name, check_dtype=False)
    for name, frame in tables.frames.items():  # and what was handed over is left as it was
        pd.testing.assert_frame_equal(frame, before[name])
