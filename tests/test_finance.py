"""Money and schedule: budget, co-financing, counterpart, progress, reports, conditions, evaluation dates, by hand."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval.data.contract import TABLES
from pipeval.data.load import Tables, load
from pipeval.monitoring.budget import (
    budget_check,
    budget_sources,
    budget_table,
    budget_years,
    line_of,
    unassigned_entries,
)
from pipeval.monitoring.cofinancing import (
    above_schedule,
    cap_breaches,
    cap_summary,
    cofinancing_groups,
    cofinancing_path,
    firm_share_trend,
    priced,
)
from pipeval.monitoring.counterpart import counterpart_path, counterpart_table, firm_contributions
from pipeval.monitoring.finance import finance_tables
from pipeval.monitoring.obligations import (
    conditions_table,
    report_calendar,
    report_summary,
    revolving_fund,
    revolving_summary,
)
from pipeval.monitoring.progress import plan_values, progress_path, progress_quarter, progress_table
from pipeval.study.calendar import due_dates, evaluation_timing
from pipeval.study.params import read_study
from pipeval.study.programme_specs import Reporting
from pipeval.study.specs import Calendar, Cofinance, Study

ROOT = Path(__file__).resolve().parents[1]


@cache
def sample(stage: str) -> tuple[Tables, Study]:
    """The shipped sample as one of its evaluations knows it."""
    study = read_study(ROOT / "params" / f"guanajuato_{stage}.yaml")
    return load(study), study


CALENDAR = Calendar(project_start=date(2003, 7, 1), first_disbursement=date(2003, 7, 1))
START, RULE = date(2003, 7, 1), Cofinance()
BUDGET = pd.DataFrame(
    [("1", "mif", 100.0), ("1", "counterpart", 40.0), ("2", "mif", 300.0), ("2", "counterpart", 160.0), ("3", "counterpart", 0.0)],
    columns=["component", "source", "budget_usd"],
)


def frame(name: str, rows: list[dict]) -> pd.DataFrame:
    """Rows as the contract has them: every column, dates as dates, numbers as numbers."""
    columns = TABLES[name].named("MXN")
    table = pd.DataFrame(rows, columns=list(columns))
    for column, spec in columns.items():
        if spec.kind == "date":
            table[column] = pd.to_datetime(table[column]).astype("datetime64[s]")
        elif spec.kind in ("num", "bool", "int", "money"):
            table[column] = table[column].astype(float)
        else:
            table[column] = table[column].astype("str").where(table[column].notna())
    return table


def entries(*rows: tuple) -> pd.DataFrame:
    """Entries of the ledger: on, kind, source, component, amount and, if told, in kind."""
    names = ("on", "kind", "source", "component", "amount_usd", "in_kind")
    filled = [dict(zip(names, row, strict=False)) | {"entry_id": f"L{i}", "document": "V"} for i, row in enumerate(rows)]
    return frame("ledger", filled)


def services(*rows: tuple) -> pd.DataFrame:
    """Services: firm, start, component, cost, paid by the programme and, if told, activity and event."""
    names = ("firm_id", "start_on", "component", "total_cost_usd", "programme_paid_usd", "activity_id", "event_id")
    filled = [dict(zip(names, row, strict=False)) | {"service_id": f"S{i}"} for i, row in enumerate(rows)]
    return frame("services", [r | {"firm_paid_usd": r["total_cost_usd"] - r["programme_paid_usd"]} for r in filled])


LEDGER = entries(
    ("2003-07-01", "disbursement", "mif", None, 80.0),
    ("2003-09-30", "expense", "mif", "1", 30.0),
    ("2003-12-31", "counterpart_contribution", "counterpart", "1", 10.0, 0),
    ("2004-02-01", "disbursement", "mif", None, 120.0),
    ("2004-03-31", "expense", "mif", "2.1", 50.0),
    ("2004-05-01", "counterpart_contribution", "counterpart", "2.2", 60.0, 1),
    ("2004-06-01", "counterpart_contribution", "counterpart", "2", 16.0),
    ("2004-07-01", "expense", "firms", "2", 5.0),
    ("2004-08-01", "expense", "mif", None, 7.0),
)


# ---- budget


def test_four_percentages_of_the_approved_budget_do_not_follow_from_its_amounts():
    tables, study = sample("final")
    check = budget_check(tables["budget"], study.funds.printed).set_index("component")
    assert check["printed"].to_dict() == {"1": 7.6, "2": 74.0, "3": 14.0, "4": 2.0, "evaluation": 1.4, "contingencies": 1.0}
    np.testing.assert_allclose(check["computed"], [7.31, 74.18, 13.76, 2.35, 1.4, 1.0], atol=1e-9)
    np.testing.assert_allclose(check["gap"], [-0.29, 0.18, -0.24, 0.35, 0, 0], atol=1e-9)
    assert check["agrees"].tolist() == [False, False, False, False, True, True]


def test_a_share_printed_for_no_line_of_the_budget_does_not_agree():
    check = budget_check(BUDGET, {"4": 2.0}).set_index("component")
    assert not check.loc["4", "agrees"] and np.isnan(check.loc["4", "computed"]) and check["agrees"].sum() == 3


def test_the_financiers_share_of_each_line():
    table = budget_sources(sample("final")[0]["budget"]).set_index("component")
    shares = (100 * table["share_mif"]).round(1).to_dict()
    assert shares == {"1": 76.3, "2": 53.9, "3": 0.0, "4": 87.2, "evaluation": 100.0, "contingencies": 100.0, "total": 50.0}
    assert table.loc["total", ["mif_usd", "counterpart_usd", "budget_usd"]].tolist() == [1e6, 1e6, 2e6]
    assert np.isnan(budget_sources(BUDGET).set_index("component").loc["3", "share_mif"])


def test_money_without_a_component_is_not_lost():
    table = budget_table(BUDGET, LEDGER).set_index(["component", "source"])
    assert table.loc[("unassigned", "mif"), "executed_usd"] == 7 and table.loc[("2", "mif"), "executed_usd"] == 50
    assert table["executed_usd"].sum() == 30 + 10 + 50 + 60 + 16 + 5 + 7
    assert np.isnan(table.loc[("unassigned", "mif"), "share"])
    assert line_of(pd.Series(["2.1", "2.2", "5.1", None]), BUDGET).tolist() == ["2", "2", "5", "unassigned"]
    assert line_of(pd.Series(["2.1"]), BUDGET.assign(component="2.1")).tolist() == ["2.1"]


def test_spending_by_year_adds_up_to_the_budget_table():
    years = budget_years(BUDGET, LEDGER, date(2004, 12, 31)).set_index(["component", "source", "period"])
    assert years.loc[("1", "mif", 2003), "executed_usd"] == 30 and years.loc[("1", "mif", 2004), "cumulative_usd"] == 30
    assert years.loc[("1", "mif", 2004), "share"] == 0.3 and years.loc[("2", "counterpart", 2004), "share"] == 76 / 160
    assert np.isnan(years.loc[("2", "firms", 2004), "share"])
    last = years.xs(2004, level="period")["cumulative_usd"]
    whole = budget_table(BUDGET, LEDGER, date(2004, 12, 31)).set_index(["component", "source"])["executed_usd"]
    np.testing.assert_allclose(last, whole.reindex(last.index))
    assert ("3", "counterpart") not in last.index  # neither budget nor spending
    assert budget_years(BUDGET, LEDGER, date(2003, 12, 31)).reset_index()["period"].unique().tolist() == [2003]
    assert budget_years(BUDGET, LEDGER.iloc[:0]).empty


def test_what_entries_do_not_say():
    table = unassigned_entries(LEDGER).set_index(["kind", "item"])
    assert table.loc[("expense", "component"), ["n", "n_missing", "share", "missing_usd"]].tolist() == [4, 1, 0.75, 7.0]
    assert table.loc[("expense", "activity_id"), "missing_usd"] == 30 + 50 + 5 + 7
    assert table.loc[("counterpart_contribution", "in_kind"), "missing_usd"] == 16
    assert ("disbursement", "component") not in table.index  # lump sums belong to no component
    assert table.loc[("disbursement", "source"), "share"] == 1 and "revolving_replenish" not in table.index.get_level_values(0)
    assert len(unassigned_entries(LEDGER.iloc[:0])) == 0


# ---- co-financing

SERVICES = services(
    ("A", "2003-07-01", "1", 100.0, 70.0),
    ("B", "2003-09-30", "1", 300.0, 130.0),
    ("A", "2004-12-30", "2.1", 100.0, 50.0),
    ("C", "2006-12-31", "2.2", 200.0, 90.0),
    ("C", "2007-01-01", "2.2", -5.0, 90.0),
)


def test_golden_path_of_cofinancing():
    np.testing.assert_allclose(RULE.rate(np.array([0, 18, 36])), [0.70, 0.50, 0.30], atol=1e-12)
    assert RULE.rate(np.linspace(0, 36, 361)).mean() == pytest.approx(0.50, abs=1e-12)
    rows = priced(SERVICES, RULE, START)
    assert len(rows) == 4 and rows["rate"].tolist() == [0.7, 130 / 300, 0.5, 0.45]
    assert rows["scheduled"][0] == 0.7 and rows["scheduled"][3] == 0.3
    assert rows["scheduled"][2] == pytest.approx(0.7 - 0.4 * (548 / 30.4375) / 36)
    assert len(priced(SERVICES, RULE, START, date(2004, 12, 29))) == 2


def test_a_cost_that_is_not_recorded_is_the_sum_of_the_payments():
    table = SERVICES.assign(total_cost_usd=np.nan)
    assert priced(table, RULE, START)["total_usd"].tolist() == [100, 300, 100, 200]  # the last pays 90 of -5: nothing is above zero


def test_a_service_that_firms_paid_alone_is_a_rate_of_zero():
    alone = services(("A", "2003-07-01", "1", 100.0, 0.0), ("B", "2003-07-01", "1", 100.0, 100.0))
    assert priced(alone, RULE, START)["rate"].tolist() == [0, 1]
    paid = firm_contributions(alone, None, date(2004, 1, 1)).set_index("component")
    assert paid.loc["total", ["n_firms", "services_usd", "share"]].tolist() == [1, 100, 0.5]  # B paid nothing


def test_rate_by_quarter_is_a_ratio_of_sums():
    path = cofinancing_path(priced(SERVICES, RULE, START), RULE, START, date(2007, 1, 15)).set_index("period_end")
    assert len(path) == 15 and path.index[0] == pd.Timestamp("2003-09-30") and path.index[-1] == pd.Timestamp("2007-03-31")
    first = path.iloc[0]
    assert first["rate"] == 200 / 400 and first["firm_share"] == 0.5 and first["n"] == 2 and first["n_firms"] == 2
    assert np.isnan(path.iloc[1]["rate"]) and path.iloc[1]["n"] == 0
    assert path["scheduled"].iloc[0] == pytest.approx(0.7 - 0.4 * (45 / 30.4375) / 36)
    assert (path["scheduled"].diff().dropna() <= 0).all() and path["scheduled"].iloc[-1] == pytest.approx(0.3)


def test_average_by_component_and_cluster():
    rows = priced(SERVICES, RULE, START)
    cluster = pd.Series({"A": "C1", "B": None, "C": "C2"})
    table = cofinancing_groups(rows, RULE, cluster).set_index(["by", "group"])
    assert table.index.tolist() == [
        ("all", "all"), ("component", "1"), ("component", "2.1"), ("component", "2.2"), ("cluster", "C1"), ("cluster", "C2")
    ]  # fmt: skip
    assert table.loc[("all", "all"), "rate"] == pytest.approx(340 / 700) and (table["average"] == 0.5).all()
    assert table.loc[("cluster", "C1"), ["n", "n_firms", "rate"]].tolist() == [2, 1, 0.6]
    assert table.loc[("cluster", "C2"), "difference"] == pytest.approx(-0.05)
    assert table["status"].to_dict()[("cluster", "C2")] == "above"  # 45 % where the schedule says 30
    assert table["status"].to_dict()[("component", "1")] == "below"  # 50 % where it says 67, weighted by cost
    scheduled = (0.7 * 100 + (0.7 - 0.4 * (91 / 30.4375) / 36) * 300) / 400
    assert table.loc[("component", "1"), "scheduled"] == pytest.approx(scheduled)
    assert (cofinancing_groups(rows, RULE)["by"] != "cluster").all()
    assert table.loc[("component", "2.1"), "status"] == "within"


def test_the_share_that_firms_pay_rises_along_a_line():
    days = ["2004-02-01", "2004-05-01", "2004-08-01", "2005-02-01"]
    rows = priced(services(*[("A", d, "1", 100.0, p) for d, p in zip(days, (60.0, 50.0, 40.0, 20.0), strict=True)]), RULE, START)
    table = firm_share_trend(rows, RULE).set_index(["by", "group"])
    row = table.loc[("all", "all")]
    assert row["change_quarter"] == pytest.approx(0.10) and row["change_low"] == pytest.approx(0.10)  # on the line: no error
    assert row["n_quarters"] == 4 and row["share_first"] == 0.4 and row["share_last"] == 0.8
    assert row["scheduled_change"] == pytest.approx(0.4 / 12, abs=1e-3)  # forty points in twelve quarters
    assert row["demand"] == 0.5  # quarters 0, 1 | 2 (middle), 4: one after for two before
    short = firm_share_trend(rows.iloc[:2], RULE).iloc[0]
    assert np.isnan(short["change_quarter"]) and short["share_last"] == 0.5


def test_the_interval_of_the_slope_is_that_of_least_squares():
    days = ["2004-02-01", "2004-05-01", "2004-08-01", "2004-11-01"]
    shares = np.array([0.40, 0.50, 0.45, 0.65])
    rows = priced(services(*[("A", d, "1", 100.0, 100 * (1 - s)) for d, s in zip(days, shares, strict=True)]), RULE, START)
    row = firm_share_trend(rows, RULE).iloc[0]
    slope = np.polyfit(range(4), shares, 1)[0]
    left = shares - np.polyval(np.polyfit(range(4), shares, 1), range(4))
    half = 4.302652729911275 * np.sqrt(left @ left / 2 / 5)  # t of 2 degrees of freedom, 97.5 %
    assert row["change_quarter"] == pytest.approx(slope) and row["change_high"] - row["change_low"] == pytest.approx(2 * half)


def test_the_cap_counts_every_service_of_a_firm():
    paid = services(
        ("A", "2004-01-01", "1", 9000.0, 5000.0), ("A", "2004-06-01", "2.1", 9000.0, 2500.0),
        ("B", "2004-01-01", "1", 9000.0, 7600.0),
        ("C", "2004-01-01", "1", 1000.0, 6750.0), ("D", "2004-01-01", "1", 500.0, 0.0), ("E", "2004-01-01", "1", 500.0, 6749.0),
    )  # fmt: skip
    over = cap_breaches(paid, RULE)
    assert over.to_dict("records") == [{"firm_id": "B", "programme_usd": 7600.0, "excess_usd": 100.0, "n": 1}]
    row = cap_summary(paid, RULE).iloc[0]
    assert row[["n_firms", "n_near", "n_over", "max_usd", "median_usd", "share"]].tolist() == [4, 2, 1, 7600, 7125, 0.75]
    assert cap_breaches(paid, RULE, date(2003, 12, 31)).empty
    assert np.isnan(cap_summary(paid.iloc[:0], RULE)["share"].iloc[0])


def test_payments_above_the_schedule():
    rows = priced(services(("A", "2003-07-01", "1", 100.0, 80.0), ("B", "2003-07-01", "1", 100.0, 85.0)), RULE, START)
    over = above_schedule(rows, RULE)
    assert over["firm_id"].tolist() == ["B"] and over["difference"].tolist() == pytest.approx([0.15])
    assert over["excess_usd"].tolist() == pytest.approx([15.0])
    assert above_schedule(rows.iloc[:0], RULE).empty


# ---- counterpart


def test_the_counterpart_owes_the_financiers_share():
    path = counterpart_path(BUDGET, LEDGER, date(2004, 12, 31), 0.10).set_index("on")
    assert path.index.is_monotonic_increasing and path.index[-1] == pd.Timestamp("2004-12-31")
    assert path.loc["2003-07-01"].tolist() == [0.2, 0.0, 40.0, 0.0, 0.0, True]  # 80 of 400; the counterpart owes 20 % of 200
    assert path.loc["2003-12-31", "fulfilment"] == 0.25
    last = path.iloc[-1]
    assert last[["share_mif", "due_usd", "paid_usd", "fulfilment"]].tolist() == [0.5, 100.0, 86.0, 0.86] and not last["behind"]
    assert path.loc["2004-05-01", "behind"]  # 50 % against 35 %
    early = counterpart_path(BUDGET, LEDGER, date(2003, 6, 30), 0.10)
    assert len(early) == 1 and np.isnan(early["fulfilment"].iloc[0]) and not early["behind"].iloc[0]


def test_counterpart_by_component_in_cash_and_in_kind():
    table = counterpart_table(BUDGET, LEDGER, date(2004, 12, 31), 0.10).set_index("component")
    assert table.index.tolist() == ["1", "2", "total"]
    assert table.loc["2", ["due_usd", "paid_usd", "cash_usd", "in_kind_usd", "unspecified_usd"]].tolist() == [80, 76, 0, 60, 16]
    assert table.loc["total", ["due_usd", "paid_usd", "fulfilment"]].tolist() == [100, 86, 0.86]
    assert table["behind"].to_dict() == {"1": True, "2": False, "total": False}
    assert table.loc["total", "share_in_kind"] == 60 / 70
    nothing = counterpart_table(BUDGET, LEDGER.iloc[:0], date(2004, 12, 31), 0.10).set_index("component")
    assert nothing["paid_usd"].sum() == 0 and nothing["fulfilment"].isna().all() and not nothing["behind"].any()


def test_without_a_contribution_of_the_financier_nothing_is_said_to_be_due():
    own = BUDGET[BUDGET["source"] == "counterpart"]
    table = counterpart_table(own, LEDGER, date(2004, 12, 31), 0.10)
    assert table[["due_usd", "fulfilment"]].isna().all(axis=None) and not table["behind"].any()
    assert counterpart_path(own, LEDGER, date(2004, 12, 31), 0.10)["due_usd"].isna().all()


def test_expenses_stand_for_contributions_where_there_are_none():
    own = entries(("2004-01-01", "disbursement", "mif", None, 400.0), ("2004-01-02", "expense", "counterpart", "1", 20.0))
    assert counterpart_table(BUDGET, own, date(2004, 2, 1), 0.1).set_index("component").loc["1", "fulfilment"] == 0.5
    firms = entries(("2004-01-03", "counterpart_contribution", "firms", "1", 90.0))  # not the counterpart's, whatever its kind
    both = pd.concat([own, firms], ignore_index=True)
    assert counterpart_table(BUDGET, both, date(2004, 2, 1), 0.1).set_index("component").loc["1", "fulfilment"] == 0.5
    assert counterpart_path(BUDGET, both, date(2004, 2, 1), 0.1)["paid_usd"].max() == 20


def test_what_firms_pay_is_not_the_counterparts():
    table = firm_contributions(SERVICES, LEDGER, date(2006, 12, 31)).set_index("component")
    assert table.loc["1"].tolist() == [2, 200, 0.5, 0] and table.loc["2"].tolist() == [2, 160, 160 / 300, 5]
    assert table.loc["total"].tolist() == [3, 360, 360 / 700, 5]
    negative = firm_contributions(SERVICES, LEDGER, date(2007, 1, 31)).set_index("component")  # a payment below zero is a fault
    pd.testing.assert_frame_equal(negative, table)
    alone = firm_contributions(None, LEDGER, date(2006, 12, 31)).set_index("component")
    assert alone.loc["total", "ledger_usd"] == 5 and np.isnan(alone.loc["total", "services_usd"])
    assert firm_contributions(SERVICES.iloc[:0], None, date(2006, 12, 31)).empty


# ---- reports, revolving fund, conditions


def given(*rows: tuple) -> pd.DataFrame:
    return frame("reports", [dict(zip(("kind", "period_end", "due_on", "delivered_on"), r, strict=True)) for r in rows])


def test_reports_are_due_by_the_calendar():
    table = report_calendar(CALENDAR, Reporting(), date(2007, 12, 31))
    counts = table["kind"].value_counts().to_dict()
    assert counts == {"quarterly": 14, "semiannual": 7, "final": 1, "committee": 1}
    half = table[table["kind"] == "semiannual"]
    assert half["period_end"].iloc[0] == pd.Timestamp("2003-12-31") and half["due"].iloc[0] == pd.Timestamp("2004-01-30")
    once = table.set_index("kind").loc[["final", "committee"], "due"]
    assert once.tolist() == [pd.Timestamp("2007-01-31"), pd.Timestamp("2007-04-01")]
    assert (table["status"] == "not_known").all() and table["days_late"].isna().all()


def test_a_report_is_not_late_on_the_day_it_is_due():
    others = given(("audit", "2003-06-30", "2003-07-31", "2003-07-31"))
    for day, status in ((date(2004, 1, 30), "not_yet_due"), (date(2004, 1, 31), "overdue")):
        table = report_calendar(CALENDAR, Reporting(), day, others).set_index(["kind", "period_end"])
        assert table.loc[("semiannual", "2003-12-31"), "status"] == status


def test_when_reports_came():
    reports = given(
        ("semiannual", "2003-12-31", None, "2004-01-30"), ("semiannual", "2004-07-02", None, "2004-08-09"),
        ("quarterly", "2003-09-30", "2003-11-30", "2003-11-15"), ("audit", "2003-12-31", "2004-04-30", None),
        ("audit", "2004-12-31", "2005-04-30", None), ("survey", "2003-12-31", None, "2004-03-01"),
        ("semiannual", "2004-12-31", None, "2005-06-01"),
    )  # fmt: skip
    table = report_calendar(CALENDAR, Reporting(), date(2005, 3, 31), reports).set_index(["kind", "period_end"])
    assert table.loc[("semiannual", "2003-12-31"), "status"] == "on_time"  # the thirtieth day
    late = table.loc[("semiannual", "2004-06-30")]  # the record ends its period two days apart
    assert (late["status"], late["days_late"]) == ("late", 10)
    own = table.loc[("quarterly", "2003-09-30")]
    assert own["due"] == pd.Timestamp("2003-11-30") and own["days_late"] == -15 and own["status"] == "on_time"
    assert table.loc[("audit", "2003-12-31"), ["status", "days_late"]].tolist() == ["overdue", 335]
    assert table.loc[("audit", "2004-12-31"), "status"] == "not_yet_due"
    assert table.loc[("survey", "2003-12-31"), "status"] == "not_known"  # nobody says when it was due
    assert table.loc[("semiannual", "2004-12-31"), "status"] == "overdue"  # delivered after the evaluation
    assert pd.isna(table.loc[("semiannual", "2004-12-31"), "delivered"])
    assert table.loc[("quarterly", "2005-06-30"), "status"] == "not_yet_due"
    assert ("quarterly", pd.Timestamp("2005-09-30")) not in table.index  # due more than six months ahead
    rows = report_summary(table.reset_index()).set_index("kind")
    half = rows.loc["semiannual", ["n", "n_on_time", "n_late", "n_overdue", "n_not_known", "share", "days_late"]].tolist()
    assert half == [3, 1, 1, 1, 0, 1 / 3, 35.0]  # ten days late, sixty overdue
    assert rows.loc["survey", "n_not_known"] == 1 and np.isnan(rows.loc["survey", "share"])
    assert rows.loc["audit", "next_due"] == pd.Timestamp("2005-04-30")


def test_the_final_report_is_known_by_its_kind():
    table = report_calendar(CALENDAR, Reporting(), date(2007, 6, 1), given(("final", "2006-06-30", None, "2007-02-10")))
    assert table.set_index("kind").loc["final", ["status", "days_late"]].tolist() == ["late", 10]
    assert (table["kind"] == "final").sum() == 1 and (table.loc[table["kind"] == "quarterly", "status"] == "overdue").all()
    assert report_summary(table.iloc[:0]).empty


def test_the_revolving_fund_against_its_limit():
    ledger = entries(
        ("2004-01-01", "disbursement", "mif", None, 30.0), ("2004-01-11", "expense", "mif", "1", 20.0),
        ("2004-01-21", "revolving_replenish", "mif", None, 35.0), ("2004-01-31", "expense", "mif", "2", 10.0),
        ("2004-01-31", "expense", "counterpart", "2", 99.0), ("2005-01-01", "disbursement", "mif", None, 999.0),
    )  # fmt: skip
    path = revolving_fund(ledger, BUDGET, 0.10, date(2004, 2, 9))
    assert path["balance_usd"].tolist() == [30, 10, 45, 35] and (path["limit_usd"] == 40).all()
    assert path["over"].tolist() == [False, False, True, False]
    row = revolving_summary(path, date(2004, 2, 9)).iloc[0]
    assert row[["max_usd", "balance_usd", "n_over", "status"]].tolist() == [45, 35, 10, "exceeded"]
    assert row["on"] == pd.Timestamp("2004-01-21") and row["share"] == 10 / 40
    assert revolving_summary(revolving_fund(ledger, BUDGET, 0.12), date(2004, 2, 9)).loc[0, "status"] == "exceeded"
    assert revolving_summary(path.assign(limit_usd=45.0, over=False), date(2004, 2, 9)).loc[0, "status"] == "kept"
    empty = revolving_fund(ledger.iloc[:0], BUDGET, 0.10)
    assert empty.empty and revolving_summary(empty, date(2004, 2, 9)).loc[0, "status"] == "not_known"
    counterpart = BUDGET[BUDGET["source"] == "counterpart"]
    assert revolving_summary(revolving_fund(ledger, counterpart, 0.1), date(2004, 2, 9)).loc[0, "status"] == "not_known"


def test_a_replenishment_that_names_no_source_fills_the_fund_all_the_same():
    ledger = entries(
        ("2004-01-01", "revolving_replenish", None, None, 30.0), ("2004-01-02", "disbursement", "counterpart", None, 9.0)
    )
    assert revolving_fund(ledger, BUDGET, 0.10)["balance_usd"].tolist() == [30]


def test_a_service_that_the_programme_did_not_pay_for_is_no_money():
    condition = frame("conditions", [{"condition_id": "K", "applies_to": "2.1", "met_on": "2004-02-15", "verified": 1}])
    free = services(("A", "2004-02-01", "2.1", 10.0, 0.0), ("B", "2004-03-01", "2.1", 10.0, 5.0))
    row = conditions_table(condition, LEDGER.iloc[:0], date(2004, 6, 30), free).iloc[0]
    assert (row["first_money"], row["status"], row["paid_before_usd"]) == (pd.Timestamp("2004-03-01"), "met", 0)


def test_conditions_before_money():
    names = ("condition_id", "applies_to", "sector", "due_on", "met_on", "verified")
    conditions = frame("conditions", [dict(zip(names, row, strict=True)) for row in (
        ("K1", "first_disbursement", None, "2003-06-01", "2003-06-30", 1),
        ("K2", "first_disbursement", None, None, "2003-07-01", 0),
        ("K3", "1", None, None, "2003-10-10", 1), ("K4", "2.1", "shoes", None, "2004-02-02", 1),
        ("K5", "2.1", "clay", None, "2004-02-02", None), ("K6", "2.2", None, None, None, None),
        ("K7", "4", None, "2005-01-01", None, None), ("K8", "4", None, "2004-01-01", None, None),
        ("K9", "4", None, "2004-01-01", "2004-01-05", 1),
    )])  # fmt: skip
    ledger = entries(
        ("2003-07-01", "disbursement", "mif", None, 80.0), ("2003-10-01", "expense", "mif", "1", 30.0),
        ("2003-10-20", "expense", "mif", "1", 30.0), ("2004-01-15", "expense", "mif", "2", 10.0),
        ("2003-01-01", "expense", "counterpart", "1", 10.0),
    )  # fmt: skip
    given_services = services(("A", "2004-02-01", "2.1", 10.0, 5.0), ("B", "2004-03-01", "2.1", 10.0, 5.0))
    sector = pd.Series({"A": "shoes", "B": "clay"})
    table = conditions_table(conditions, ledger, date(2004, 6, 30), given_services, sector).set_index("condition_id")
    assert table["status"].to_dict() == {
        "K1": "met", "K2": "not_verified", "K3": "met_late", "K4": "met_late", "K5": "not_verified", "K6": "not_met",
        "K7": "pending", "K8": "not_met", "K9": "met_late",
    }  # fmt: skip
    assert table["basis"].tolist()[:6] == ["ledger", "ledger", "ledger", "services", "services", "component"]
    assert table["basis"][6:].isna().all()
    assert table["days_late"].tolist() == [-1, 0, 9, 1, -28, 167, -185, 181, 4]
    assert table.loc["K3", "first_money"] == pd.Timestamp("2003-10-01") and table.loc["K3", "paid_before_usd"] == 30
    assert table["paid_before_usd"].tolist()[3:7] == [5, 0, 10, 0]
    assert table.loc["K2", "paid_before_usd"] == 0  # met on the day of the payment
    assert np.isnan(table.loc["K1", "ledger_before_usd"]) and table.loc["K5", "ledger_before_usd"] == 10
    alone = conditions_table(conditions, ledger, date(2004, 6, 30)).set_index("condition_id")
    assert alone.loc["K4", ["basis", "first_money"]].tolist() == ["component", pd.Timestamp("2004-01-15")]
    early = conditions_table(conditions, ledger, date(2003, 6, 29)).set_index("condition_id")
    assert early.loc["K2", "status"] == "pending" and early.loc["K1", "status"] == "not_met"  # met the day after
    assert conditions_table(conditions.iloc[:0], ledger, date(2004, 6, 30)).empty


# ---- progress


def plan(**change) -> pd.DataFrame:
    """Two activities of component 1: ten days from 1 to 10 January, and twenty from 11 to 30 January, US$ 100 and 300."""
    first = {
        "activity_id": "A1",
        "component": "1",
        "planned_start": "2004-01-01",
        "planned_end": "2004-01-10",
        "actual_start": "2004-01-01",
        "actual_end": "2004-01-20",
        "planned_qty": 4,
        "actual_qty": 3,
        "planned_cost_usd": 100,
    }
    second = {"activity_id": "A2", "component": "1", "planned_start": "2004-01-11", "planned_end": "2004-01-30",
              "actual_start": "2004-01-21", "planned_qty": 10, "unit": "services", "planned_cost_usd": 300}  # fmt: skip
    return frame("activities", [first, second | change])


def at(path: pd.DataFrame, component: str, day: str) -> list[float]:
    row = path[(path["component"] == component) & (path["on"] == pd.Timestamp(day))].iloc[0]
    return row[["planned_usd", "earned_usd", "actual_usd"]].tolist()


def test_planned_earned_and_spent_by_hand():
    spent = entries(
        ("2004-01-05", "expense", "mif", "1", 60.0), ("2004-01-25", "counterpart_contribution", "counterpart", "1", 40.0),
        ("2004-01-25", "expense", "firms", "1", 9.0), ("2004-01-26", "expense", "mif", "evaluation", 500.0),
    )  # fmt: skip
    values = plan_values(plan(actual_qty=5, actual_start="2004-01-11"), date(2004, 1, 20), BUDGET)
    assert values["done"].tolist() == [0.75, 0.5]
    path = progress_path(values, spent, BUDGET, date(2004, 1, 20))
    assert at(path, "1", "2004-01-20") == pytest.approx([100 + 300 * 10 / 20, 75 + 150, 60])
    later = progress_path(
        plan_values(plan(actual_qty=5, actual_start="2004-01-11"), date(2004, 1, 25), BUDGET), spent, BUDGET, date(2004, 1, 25)
    )
    assert at(later, "total", "2004-01-25") == pytest.approx([100 + 300 * 15 / 20, 75 + 150, 100])
    assert at(later, "total", "2004-01-31")[0] == 400 and np.isnan(at(later, "total", "2004-01-31")[1:]).all()
    table = progress_table(values, path, date(2004, 1, 20)).set_index("component")
    row = table.loc["total"]
    assert row[["n", "n_unknown", "total_usd", "basis"]].tolist() == [2, 0, 400, "planned_cost"]
    assert row[["schedule_variance_usd", "cost_variance_usd", "spi", "cpi"]].tolist() == pytest.approx([-25, 165, 0.9, 3.75])
    assert row[["share_earned", "share_spent"]].tolist() == pytest.approx([225 / 400, 60 / 400])


def test_half_of_an_activity_is_earned_half_way():
    path = progress_path(
        plan_values(plan(actual_qty=10, actual_end="2004-02-09"), date(2004, 2, 15)), None, None, date(2004, 2, 15)
    )
    assert at(path, "1", "2004-01-31")[1] == pytest.approx(75 + 300 * 11 / 20)  # 21 January to 9 February: twenty days
    assert np.isnan(at(path, "1", "2004-02-15")[2])  # no ledger


def test_an_activity_that_reports_nothing_has_earned_nothing_and_is_counted():
    values = plan_values(plan(), date(2004, 1, 31))
    table = progress_table(values, progress_path(values, None, None, date(2004, 1, 31)), date(2004, 1, 31)).set_index("component")
    assert table.loc["1", ["earned_usd", "n_unknown"]].tolist() == [75, 1]
    before = plan_values(plan(), date(2004, 1, 20))  # the second has not begun: nothing done is known
    assert before["done"].tolist() == [0.75, 0.0]


@pytest.mark.parametrize(("unit", "done"), [("services", 0.4), ("firms", 0.2), ("courses", 0.1)])
def test_services_tell_how_much_of_a_running_activity_is_done(unit, done):
    rows = [("A", "2004-01-22", "1", 1.0, 1.0, "A2", "E1"), ("A", "2004-01-23", "1", 1.0, 1.0, "A2", "E1"),
            ("B", "2004-01-24", "1", 1.0, 1.0, "A2", "E1"), ("B", "2004-01-25", "1", 1.0, 1.0, "A2", None),
            ("C", "2004-02-25", "1", 1.0, 1.0, "A2", "E2")]  # fmt: skip
    assert plan_values(plan(unit=unit), date(2004, 1, 31), None, services(*rows))["done"][1] == done


def test_without_costs_the_budget_is_shared_alike():
    values = plan_values(plan(planned_cost_usd=None, actual_qty=5), date(2004, 1, 31), BUDGET)
    assert values["weight_usd"].tolist() == [70, 70] and (values["basis"] == "equal_weights").all()  # 140 of component 1
    assert plan_values(plan(planned_cost_usd=None), date(2004, 1, 31))["weight_usd"].isna().all()
    two = pd.concat([plan(planned_cost_usd=None), plan().assign(component="2")], ignore_index=True)
    table = plan_values(two, date(2004, 1, 31), BUDGET)
    path = progress_path(table, None, BUDGET, date(2004, 1, 31))
    assert progress_table(table, path, date(2004, 1, 31)).set_index("component")["basis"].to_dict() == {
        "1": "equal_weights", "2": "planned_cost", "total": "mixed"
    }  # fmt: skip


def test_more_than_planned_earns_no_more_and_an_undated_plan_is_left_out():
    assert plan_values(plan(actual_qty=99), date(2004, 1, 31))["done"].tolist() == [0.75, 1.0]
    assert plan_values(plan(planned_end=None), date(2004, 1, 31))["activity_id"].tolist() == ["A1"]
    assert plan_values(plan(planned_qty=None, actual_end="2004-01-25"), date(2004, 1, 31))["done"][1] == 1  # no quantity: it ended
    none = plan_values(plan().iloc[:0], date(2004, 1, 31))
    assert none.empty and progress_path(none, LEDGER, BUDGET, date(2004, 1, 31)).empty


def test_the_last_quarter_that_has_ended():
    long = plan(
        actual_qty=10, planned_start="2004-03-01", planned_end="2004-04-30", actual_start="2004-03-31", actual_end="2004-04-19"
    )
    values = plan_values(long, date(2004, 7, 5), BUDGET)
    spent = entries(("2004-03-31", "expense", "mif", "1", 30.0), ("2004-04-01", "expense", "mif", "1", 70.0))
    path = progress_path(values, spent, BUDGET, date(2004, 7, 5))
    row = progress_quarter(path, date(2004, 7, 5)).set_index("component").loc["1"]
    assert row["period_end"] == pd.Timestamp("2004-06-30")
    assert row[["planned_usd", "earned_usd", "actual_usd"]].tolist() == pytest.approx([300 * 30 / 61, 300 * 19 / 20, 70])
    assert row[["spi", "cpi"]].tolist() == pytest.approx([61 * 19 / 600, 285 / 70])
    first = progress_quarter(path, date(2004, 3, 31)).set_index("component").loc["total"]  # nothing comes before it
    assert first[["planned_usd", "earned_usd", "actual_usd"]].tolist() == pytest.approx([100 + 300 * 31 / 61, 75 + 15, 30])
    assert progress_quarter(path, date(2004, 3, 30)).empty


def test_progress_never_falls_and_ends_at_the_plan():
    tables, study = sample("final")
    values = plan_values(tables["activities"], study.as_of, tables["budget"], tables["services"])
    path = progress_path(values, tables["ledger"], tables["budget"], study.as_of)
    for _, own in path.groupby("component"):
        for column in ("planned_usd", "earned_usd", "actual_usd"):
            assert (own[column].dropna().diff().dropna() >= -1e-9).all()
        assert own["share_planned"].iloc[-1] == pytest.approx(1) and own["share_earned"].max() <= 1 + 1e-12
    parts = path[path["component"] != "total"].groupby("on")[["planned_usd", "earned_usd"]].sum(min_count=1)
    whole = path[path["component"] == "total"].set_index("on")[["planned_usd", "earned_usd"]]
    pd.testing.assert_frame_equal(parts, whole, check_freq=False)


# ---- evaluation dates


def test_golden_dates():
    binding = due_dates(CALENDAR).query("binding").set_index("event")["on"].dt.strftime("%Y-%m-%d").to_dict()
    golden = {"midterm": "2005-01-01", "execution_end": "2006-07-01", "last_disbursement": "2007-01-01", "final": "2006-10-01"}
    assert golden.items() <= binding.items() and binding["goal_due"] == "2008-07-01"


def test_plans_that_are_not_ready_leave_the_months_to_bind():
    ledger = entries(
        ("2004-01-01", "disbursement", "mif", None, 400.0), ("2004-01-01", "counterpart_contribution", "firms", "1", 900.0)
    )
    rows = due_dates(CALENDAR, ledger, BUDGET, False).query("event == 'midterm'").set_index("rule")
    assert pd.isna(rows.loc["share_disbursed", "on"]) and rows.loc["months_after_first_disbursement", "binding"]
    ready = due_dates(CALENDAR, ledger, BUDGET, date(2004, 3, 1)).query("event == 'midterm'").set_index("rule")
    assert ready.loc["share_disbursed", "on"] == pd.Timestamp("2004-03-01") and ready.loc["share_disbursed", "binding"]
    total = CALENDAR.model_copy(update={"midterm_basis": "total"})
    rest = due_dates(total, ledger.assign(amount_usd=[290.0, 900.0]), BUDGET).query("rule == 'share_disbursed'")
    assert rest["on"].isna().all()  # 290 of 600; what firms add of their own is not the programme's money


@pytest.mark.parametrize(
    ("stage", "as_of", "event", "late"),
    [
        ("midterm", date(2005, 3, 31), "midterm", 89),
        ("final", date(2006, 9, 1), "final", -30),
        ("expost", date(2008, 7, 1), "goal_due", 0),
        ("baseline", date(2004, 6, 30), None, None),
    ],
)
def test_how_late_an_evaluation_comes(stage, as_of, event, late):
    dates = due_dates(CALENDAR)
    timing = evaluation_timing(dates, as_of, stage)
    pd.testing.assert_frame_equal(timing[dates.columns], dates)
    told = timing.dropna(subset=["late_by_days"])
    assert told["event"].tolist() == ([event] if event else []) and told["late_by_days"].tolist() == ([late] if event else [])
    status = timing[timing["binding"]].set_index("event")["status"]
    assert status["project_start"] == "passed" and status["goal_due"] == ("passed" if stage == "expost" else "ahead")
    assert timing.loc[timing["on"].isna(), "status"].tolist() == ["not_known"]


# ---- together


@pytest.mark.parametrize("stage", ["midterm", "final", "expost"])
def test_tables_of_the_sample(stage):
    made = finance_tables(*sample(stage))
    assert list(made) == [
        "budget_sources", "budget_shares", "unassigned", "budget", "budget_years", "disbursement", "counterpart",
        "counterpart_path", "revolving_fund", "revolving", "firm_contributions", "cap", "cap_breaches", "cofinancing",
        "cofinancing_path", "firm_share", "above_schedule", "reports_due", "reports_summary", "conditions_met", "progress",
        "progress_quarter", "progress_path",
    ]  # fmt: skip
    for name, table in made.items():
        assert not table.columns.duplicated().any() and isinstance(table.index, pd.RangeIndex), name
    if stage == "final":
        assert len(made["cap_breaches"]) == 2 and len(made["above_schedule"]) == 3  # as planted
        assert made["cofinancing"].query("by == 'all'")["rate"].item() == pytest.approx(0.4798, abs=5e-4)
    if stage == "midterm":
        here = made["counterpart_path"].set_index("on")
        assert here.loc["2005-01-01", "fulfilment"] == pytest.approx(0.82, abs=0.005)


def test_what_is_not_supplied_has_no_table():
    tables, study = sample("final")
    frames = tables.frames
    bare = {"enterprises": frames["enterprises"], "survey": frames["survey"]}
    assert list(finance_tables(Tables(bare), study)) == ["reports_due", "reports_summary"]
    assert finance_tables(Tables(bare), study.model_copy(update={"calendar": None})) == {}
    half = Tables(bare | {"services": frames["services"], "budget": frames["budget"]})
    made = finance_tables(half, study.model_copy(update={"cofinance": None, "calendar": None}))
    assert list(made) == ["budget_sources", "budget_shares", "firm_contributions"]
    empty = {name: frames[name].iloc[:0] if name not in bare else frames[name] for name in frames}
    assert list(finance_tables(Tables(empty), study)) == ["reports_due", "reports_summary"]
    reports = finance_tables(Tables(bare), study)["reports_due"]
    assert reports.loc[reports["due"] < pd.Timestamp("2007-03-31"), "status"].eq("not_known").all()
    assert reports.set_index("kind").loc["committee", "status"] == "not_yet_due"  # the day after the evaluation
