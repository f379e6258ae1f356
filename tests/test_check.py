"""Every rule on a hand-made case; every planted error found; hardly a false alarm."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pipeval.data.check import ACTIONS, check
from pipeval.data.contract import TABLES
from pipeval.data.load import Tables, load
from pipeval.data.read import read_file
from pipeval.data.sample import Knobs, sample_programme
from pipeval.data.sample_errors import COUNTS
from pipeval.errors import DataError
from pipeval.study.params import read_study

EXPOST = read_study(Path(__file__).parents[1] / "params" / "guanajuato_expost.yaml")
RULE = {"sales_in_pesos": "unit_error", "exports_in_usd": "exports_currency", "negative_cost": "range"}


def rules(small) -> list[tuple]:
    """What `check` finds: rule, table, row, column, firm."""
    study = small.save().read()
    found = check(load(study), study)
    assert found["action"].notna().all() and set(found["rule"]) <= set(ACTIONS)
    return [tuple(r) for r in found[["rule", "table", "row", "column", "firm_id"]].to_numpy().tolist()]


# ── rule by rule ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_wrong_with_the_small_study(small):
    assert rules(small) == []


def test_a_thousandfold_figure(small):
    small.cell("survey", 2, "sales_kmxn", 1455.3 * 1000)
    assert rules(small) == [("unit_error", "survey", 4, "sales_kmxn", "F01")]


def test_a_thousandfold_figure_of_a_firm_seen_once(small):
    small.tables["survey"] = small.tables["survey"].drop(index=[44, 45, 46]).reset_index(drop=True)
    small.cell("survey", 44, "sales_kmxn", 5_000_000)
    assert rules(small) == [("unit_error", "survey", 46, "sales_kmxn", "F12")]


def test_parts_and_wholes(small):
    small.tables["survey"] = small.tables["survey"].assign(
        domestic_sales_kmxn=small.tables["survey"]["sales_kmxn"], export_direct_kmxn=0.0, export_indirect_kmxn=0.0
    )
    assert rules(small) == []
    small.cell("survey", 0, "domestic_sales_kmxn", 1195)  # rounding, within one per cent
    small.cell("survey", 1, "domestic_sales_kmxn", 1200)
    assert rules(small) == [("parts_not_sum", "survey", 3, "sales_kmxn", "F01")]


def test_value_added_above_sales(small):
    small.tables["survey"] = small.tables["survey"].assign(intermediate_inputs_kmxn=600.0, inventory_change_kmxn=0.0)
    small.cell("survey", 1, "inventory_change_kmxn", 700)
    assert rules(small) == [("va_above_sales", "survey", 3, "intermediate_inputs_kmxn", "F01")]


def test_status_against_amounts(small):
    small.tables["survey"] = small.tables["survey"].assign(
        export_direct_kmxn=0.0,
        export_indirect_kmxn=0.0,
        domestic_sales_kmxn=small.tables["survey"]["sales_kmxn"],
        exp_status="none",
    )
    small.cell("survey", 1, "exp_status", "direct")
    assert rules(small) == [("status_mismatch", "survey", 3, "exp_status", "F01")]


def test_exports_in_two_currencies(small):
    small.tables["series"] = pd.DataFrame(
        {"series": "fx_mxn_usd", "year": [2002, 2003, 2004, 2005], "value": [9.66, 10.79, 11.29, 10.89]}
    )
    small.tables["survey"] = small.tables["survey"].assign(export_direct_kmxn=107.9, export_direct_usd=10_000.0)
    small.cell("survey", 1, "export_direct_kmxn", 10)  # dollars typed as pesos
    small.planned(money={"fx": "fx_mxn_usd"})
    assert rules(small) == [("exports_currency", "survey", 3, "export_direct_kmxn", "F01")]


def test_round_figures_three_years_running(small):
    for row, value in ((0, 1000), (1, 2000), (2, 1400), (4, 3000), (8, 50), (9, 60), (10, 70), (11, 80)):
        small.cell("survey", row, "sales_kmxn", value)
    assert rules(small) == []
    small.cell("survey", 3, "sales_kmxn", 900)
    assert [r[:3] for r in rules(small)] == [("heaped", "survey", 2), ("heaped", "survey", 3), ("heaped", "survey", 5)]


def test_part_years_and_gaps(small):
    small.tables["survey"]["months_covered"] = 12
    small.cell("survey", 1, "months_covered", 6)
    small.tables["survey"] = small.tables["survey"].drop(index=[9]).reset_index(drop=True)
    assert rules(small) == [("partial_year", "survey", 3, "months_covered", "F01"), ("year_gap", "survey", 11, "ref_year", "F03")]


def test_a_survey_every_second_year_has_no_gaps(small):
    small.tables["survey"] = small.tables["survey"][small.tables["survey"]["ref_year"].isin([2003, 2005])].reset_index(drop=True)
    assert rules(small) == []


def test_a_firm_under_a_second_id(small):
    firms = small.tables["enterprises"].assign(municipality="León", founded_year=1990)
    again = firms.iloc[[4]].assign(firm_id="F13")
    rows = small.tables["survey"].query("firm_id == 'F05'")
    small.tables["enterprises"] = pd.concat([firms, again], ignore_index=True)
    small.tables["survey"] = pd.concat(
        [small.tables["survey"], rows.assign(firm_id="F13", sales_kmxn=rows["sales_kmxn"] * 1.003)], ignore_index=True
    )
    assert rules(small) == [("duplicate_firm", "enterprises", 14, "firm_id", "F13")]
    small.tables["survey"].loc[49:51, "sales_kmxn"] *= 1.4  # alike in one year of four: another firm
    assert rules(small) == []


def test_participants_among_the_controls(small):
    small.tables["services"] = pd.DataFrame(
        {"service_id": ["S1"], "firm_id": "F09", "start_on": "2004-05-01", "activity_type": "workshop"}
    )
    small.tables["enterprises"]["registered_on"] = ["2004-01-05"] * 4 + [None] * 8
    small.cell("enterprises", 10, "registered_on", "2004-01-05")
    assert rules(small) == [
        ("participant_in_controls", "enterprises", 10, "arm", "F09"),
        ("participant_in_controls", "enterprises", 12, "arm", "F11"),
    ]


def test_size_against_workers(small):
    small.tables["enterprises"]["size_class"] = "small"
    small.cell("enterprises", 1, "workers_baseline", 10)
    assert ("size_mismatch", "enterprises", 3, "size_class", "F02") in rules(small) and len(rules(small)) == 1


def test_services_and_the_rules_of_cofinance(small):
    small.tables["enterprises"]["registered_on"] = ["2004-01-05"] * 4 + [None] * 8
    small.tables["services"] = pd.DataFrame(
        {
            "service_id": ["S1", "S2", "S3", "S4"],
            "firm_id": ["F01", "F01", "F02", "F03"],
            "start_on": ["2004-02-01", "2004-03-01", "2005-01-01", "2004-01-04"],
            "activity_type": "workshop",
            "total_cost_usd": [8000, 7000, 1000, 100],
            "programme_paid_usd": [4000, 3501, 750, 50],
        }
    )
    small.planned(
        cofinance={"start": 0.7, "end": 0.3, "months": 36, "cap_usd": 7500, "tolerance": 0.1},
        calendar={"project_start": "2003-07-01", "first_disbursement": "2003-07-01"},
    )
    # F01: 7,501 of 7,500; F02: 75 % after 18 months, when 50 % + 10 % is allowed
    assert rules(small) == [
        ("subsidy_cap", "services", 3, "programme_paid_usd", "F01"),
        ("subsidy_rate", "services", 4, "programme_paid_usd", "F02"),
        ("service_before_registration", "services", 5, "start_on", "F03"),
    ]


def test_a_payment_at_the_edge_of_the_rules_is_no_query(small):
    """Eighty per cent is seventy and ten; the cap is the cap to the cent; a cost that is not noted is the sum of the payments."""
    small.tables["services"] = pd.DataFrame(
        {
            "service_id": ["S1", "S2", "S3", "S4"],
            "firm_id": ["F01", "F02", "F03", "F04"],
            "start_on": "2003-07-01",
            "activity_type": "workshop",
            "total_cost_usd": [1000, 10_000, 10_000, None],
            "programme_paid_usd": [800, 7500, 7500.5, 900],
            "firm_paid_usd": [200, 2500, 2499.5, 100],
        }
    )
    small.planned(
        cofinance={"start": 0.7, "end": 0.3, "months": 36, "cap_usd": 7500, "tolerance": 0.1},
        calendar={"project_start": "2003-07-01", "first_disbursement": "2003-07-01"},
    )
    assert rules(small) == [
        ("subsidy_cap", "services", 4, "programme_paid_usd", "F03"),
        ("subsidy_rate", "services", 5, "programme_paid_usd", "F04"),
    ]


def test_a_jump_is_asked_about_once(small):
    small.cell("survey", 2, "sales_kmxn", 4000)  # F01 in 2004: 1,223 before, back to 1,500 after
    small.cell("survey", 15, "sales_kmxn", 600)  # F04 in 2005: a third of the year before, and nothing after
    assert rules(small) == [("jump", "survey", 4, "sales_kmxn", "F01"), ("jump", "survey", 17, "sales_kmxn", "F04")]
    small.planned(credibility={"jump": 8.0})
    assert rules(small) == []


def test_what_explains_a_jump_is_no_jump(small):
    small.cell("survey", 3, "sales_kmxn", 400)
    small.tables["survey"]["months_covered"] = 12
    small.cell("survey", 3, "months_covered", 3)
    assert rules(small) == [("partial_year", "survey", 5, "months_covered", "F01")]
    small.cell("survey", 3, "months_covered", 12)
    assert [r[0] for r in rules(small)] == ["jump"]
    small.tables["enterprises"]["closed_on"] = ["2005-05-01"] + [None] * 11
    assert rules(small) == []
    small.tables["survey"] = small.tables["survey"].drop(index=2).reset_index(drop=True)  # no year before
    small.tables["enterprises"] = small.tables["enterprises"].drop(columns="closed_on")
    assert [r[0] for r in rules(small)] == ["year_gap"]


def test_workers_jump_by_more_than_a_few(small):
    small.cell("survey", 1, "workers_paid", 3)  # F01: 12 before, nine less
    for row, workers in ((20, 1), (21, 4), (22, 4), (23, 4)):
        small.cell("survey", row, "workers_paid", workers)  # F06: three more
    assert rules(small) == [
        ("workers_mismatch", "enterprises", 2, "workers_baseline", "F01"),
        ("jump", "survey", 3, "workers_paid", "F01"),
        ("workers_mismatch", "enterprises", 7, "workers_baseline", "F06"),
    ]


def test_one_year_in_dollars(small):
    small.tables["series"] = pd.DataFrame(
        {"series": "fx_mxn_usd", "year": [2002, 2003, 2004, 2005], "value": [9.66, 10.79, 11.29, 10.89]}
    )
    small.planned(money={"fx": "fx_mxn_usd"})
    small.cell("survey", 3, "sales_kmxn", 1528 / 10.89).cell("survey", 7, "sales_kmxn", 3200 * 10.89)
    assert rules(small) == [("unit_dollar", "survey", 5, "sales_kmxn", "F01"), ("unit_dollar", "survey", 9, "sales_kmxn", "F02")]
    small.cell("survey", 3, "sales_kmxn", 1528 / 5)
    small.cell("survey", 7, "sales_kmxn", 3200)
    assert [r[0] for r in rules(small)] == ["jump"]
    small.cell("series", 3, "value", 0)  # no rate at all: nothing can look like dollars
    assert "unit_dollar" not in [r[0] for r in rules(small)]


def test_figures_no_firm_can_have(small):
    small.tables["survey"] = small.tables["survey"].assign(
        intermediate_inputs_kmxn=600.0, inventory_change_kmxn=0.0, workers_unpaid=0.0, export_direct_kmxn=10.0
    )
    small.cell("survey", 1, "intermediate_inputs_kmxn", 2000).cell("survey", 5, "workers_paid", 0)
    small.cell("survey", 9, "workers_paid", 0).cell("survey", 9, "workers_unpaid", 2).cell("survey", 13, "export_direct_kmxn", 9000)
    assert rules(small) == [
        ("va_negative", "survey", 3, "intermediate_inputs_kmxn", "F01"),
        ("workers_zero", "survey", 7, "workers_paid", "F02"),
        ("exports_above_sales", "survey", 15, "sales_kmxn", "F04"),
    ]


def test_one_id_for_two_firms(small):
    firms = small.tables["enterprises"].assign(closed_on=[None] * 12, founded_year=1990.0, cluster_id=[None] * 12)
    firms["closed_on"] = ["2004-05-01"] + [None] * 11  # answers for 2005 as well
    firms.loc[1, "founded_year"] = 2003  # sales of 2002
    firms["cluster_id"] = ["C1", "C1", "C2", "C9"] + [None] * 8
    small.tables |= {
        "enterprises": firms,
        "clusters": pd.DataFrame({"cluster_id": ["C1", "C2"], "branch": ["footwear", "leather"]}),
    }
    assert rules(small) == [
        ("reused_id", "survey", 5, "ref_year", "F01"),
        ("founded_late", "enterprises", 3, "founded_year", "F02"),
        ("reused_id", "enterprises", 4, "branch", "F03"),
    ]


def test_twins_of_a_single_year(small):
    firms = small.tables["enterprises"].assign(municipality="León", founded_year=1990)
    again = firms.iloc[[4]].assign(firm_id="F13")
    row = small.tables["survey"].query("firm_id == 'F05' and ref_year == 2003")
    small.tables["enterprises"] = pd.concat([firms, again], ignore_index=True)
    small.tables["survey"] = pd.concat(
        [small.tables["survey"], row.assign(firm_id="F13", sales_kmxn=row["sales_kmxn"] * 1.003)], ignore_index=True
    )
    assert rules(small) == [("duplicate_suspected", "enterprises", 14, "firm_id", "F13")]
    small.cell("enterprises", 12, "workers_baseline", 12)
    assert rules(small) == []


def test_faults_come_in_order_blocking_first_and_by_firm(small):
    small.cell("survey", 40, "response", "x").cell("survey", 0, "sales_kmxn", -1).cell("survey", 7, "response", "y")
    assert [(r[0], r[4]) for r in rules(small)] == [("unknown_code", "F02"), ("unknown_code", "F11"), ("range", "F01")]


# ── planted errors ───────────────────────────────────────────────────────────────────────────────────────────────────


def in_memory(tables: dict[str, pd.DataFrame]) -> Tables:
    """Tables as `load` would hand them over."""
    frames = {}
    for name in set(tables) & set(TABLES):
        columns = TABLES[name].named("MXN")
        frame = tables[name].reindex(columns=list(columns)).set_axis(range(2, len(tables[name]) + 2))
        frames[name] = frame.astype({n: float for n, c in columns.items() if c.kind in ("int", "num", "money", "bool")})
    below = {n: frames[n].index[frames[n][c] < 0] for n, c in (("services", "total_cost_usd"),)}
    faults = [
        {
            "table": n,
            "row": r,
            "firm_id": frames[n].at[r, "firm_id"],
            "column": "total_cost_usd",
            "rule": "range",
            "kind": "query",
            "value": 0,
        }
        for n, rows in below.items()
        for r in rows
    ]
    return Tables(frames, faults=pd.DataFrame(faults, columns=["table", "row", "firm_id", "column", "rule", "kind", "value"]))


FIRMS = 500  # half the sample that is shipped: the rules look at one firm at a time, and it takes half the time


def hits(seed: int) -> tuple[pd.Series, int]:
    """By kind, whether each planted error is found; and how many firms are questioned without cause."""
    made = sample_programme(Knobs(seed=seed, n=FIRMS))
    tables = in_memory(made)
    faults = check(tables, EXPOST)
    assert (faults["kind"] == "query").all()
    firm_of = tables["services"].set_index("service_id")["firm_id"]
    key = made["planted_errors"]
    firm = key["key"].where(~key["key"].str.startswith("S"), key["key"].map(firm_of)).str.split("|").str[0]
    planted = pd.DataFrame({"kind": key["kind"], "rule": key["kind"].replace(RULE), "firm": firm}).drop_duplicates()
    found = set(zip(faults["rule"], faults["firm_id"], strict=True))
    hit = pd.Series([(r, f) in found for r, f in zip(planted["rule"], planted["firm"], strict=True)], index=planted["kind"])
    corrected = set(made["corrections"]["key"].str.split("|").str[0])
    return hit, len(set(faults["firm_id"]) - set(firm) - corrected)


def recall_and_alarms(seeds) -> tuple[pd.Series, float]:
    found = [hits(seed) for seed in seeds]
    recall = pd.concat([h for h, _ in found]).groupby(level=0).agg(["mean", "size"])
    assert set(recall.index) == set(COUNTS)
    assert all(recall.at[kind, "size"] == COUNTS[kind] * len(found) for kind in COUNTS)
    return recall["mean"], sum(n for _, n in found) / (FIRMS * len(found))


def false_flags(seeds) -> float:
    """Firms questioned per firm, in samples without planted errors."""
    found = [
        check(in_memory(sample_programme(Knobs(seed=s, n=FIRMS, planted_errors=False))), EXPOST)["firm_id"].nunique() for s in seeds
    ]
    return sum(found) / (FIRMS * len(found))


def test_planted_errors_are_found():
    recall, alarms = recall_and_alarms([11, 12])
    assert (recall >= 0.9).all(), recall[recall < 0.9]
    assert alarms < 0.02


def test_hardly_a_false_alarm_on_clean_files():
    assert false_flags([11]) < 0.02


@pytest.mark.slow
def test_planted_errors_are_found_over_two_hundred_seeds():
    recall, alarms = recall_and_alarms(range(200))
    assert (recall >= 0.9).all(), recall[recall < 0.9]
    assert alarms < 0.02 and false_flags(range(200, 220)) < 0.02


def test_the_shipped_sample_has_queries_only():
    faults = check(load(EXPOST), EXPOST)
    assert (faults["kind"] == "query").all() and not faults["rule"].isin(
        ["type", "unknown_code", "needed", "missing_column", "correction_unfit"]
    ).any()
    assert {RULE.get(k, k) for k in COUNTS} <= set(faults["rule"])


def test_a_pandas_that_hides_a_stata_header_is_named_and_not_the_file(tmp_path, monkeypatch):
    path = tmp_path / "survey.dta"
    pd.DataFrame({"firm_id": ["a"], "ref_year": [2004]}).to_stata(path, write_index=False)
    reader = type(pd.read_stata(path, iterator=True))
    opened = reader._ensure_open

    def hidden(self):
        opened(self)
        del self._lbllist

    monkeypatch.setattr(reader, "_ensure_open", hidden)
    said = rf"survey\.dta: pandas {pd.__version__} reads Stata files in another way \(_lbllist is gone\); save the table as CSV or"
    with pytest.raises(DataError, match=said):
        read_file(path, None, EXPOST.data)
