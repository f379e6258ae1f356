"""The starting point: indicators, response, attrition and the flow of firms, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval import NEVER, Panel
from pipeval.baseline.indicators import baseline_indicators
from pipeval.baseline.response import response_table, response_test, sample_flow
from pipeval.data.load import load
from pipeval.data.measures import measures


def start(small):
    study = small.save().read()
    tables = load(study)
    firms = tables["enterprises"].set_index("firm_id")
    return measures(tables, study), firms, study


def six(small):
    """Six firms in 2003: two beneficiaries, four others; one of these did not answer."""
    small.tables["enterprises"] = (
        small.tables["enterprises"]
        .iloc[[0, 1, 4, 5, 6, 7]]
        .assign(
            branch=["footwear", "leather", "footwear", "footwear", "leather", "leather"],
            size_class=["micro", "small", "micro", "small", "micro", "micro"],
        )
    )
    rows = (
        small.tables["survey"].query("ref_year == 2003 and firm_id in @small.tables['enterprises'].firm_id").reset_index(drop=True)
    )
    small.tables["survey"] = rows.assign(sales_kmxn=[100.0, 300, 40, 50, 90, 999], workers_paid=[10, 20, 4, 5, 0, 9])
    small.cell("survey", 5, "response", "refusal")
    return small.planned(
        outcomes=[
            {"id": "s", "measure": "sales", "label": {}},
            {"id": "p", "measure": "sales", "per": "jobs", "label": {}},
            {"id": "a", "measure": "alive", "scale": "share", "label": {}},
        ]
    )


def test_indicators_by_hand(small):
    table = baseline_indicators(*start(six(small))).set_index(["measure", "arm", "branch", "size_class"])
    assert set(table.index.get_level_values(0)) == {"sales", "jobs", "sales_per_jobs"} and table.index.is_unique
    both = table.loc[("sales", "beneficiary", "all", "all")]
    assert both.to_dict() == {"n": 2, "mean": 200.0, "median": 200.0, "sd": pytest.approx(np.sqrt(20_000)), "n_missing": 0}
    other = table.loc[("sales", "nonparticipant", "all", "all")]
    assert (other["n"], other["mean"], other["median"], other["n_missing"]) == (3, 60.0, 50.0, 1)
    assert other["sd"] == pytest.approx(np.std([40, 50, 90], ddof=1))
    leather = table.loc[("sales", "nonparticipant", "leather", "micro")]
    assert (leather["n"], leather["mean"], leather["n_missing"]) == (1, 90.0, 1) and np.isnan(leather["sd"])
    per = table.loc[("sales_per_jobs", "nonparticipant", "all", "all")]
    assert (per["n"], per["mean"], per["n_missing"]) == (2, 10.0, 2)  # without jobs there is no ratio
    assert table.loc[("jobs", "beneficiary", "footwear", "all"), "mean"] == 10
    assert (table["n"] + table["n_missing"]).xs("sales").xs(("all", "all"), level=(1, 2)).sum() == 6


def test_indicators_are_in_constant_prices(small):
    small.tables["series"] = pd.DataFrame({"series": "inpc", "year": [2003, 2005], "value": [100.0, 125.0], "base": "2003"})
    six(small).planned(money={"headline": "real", "deflator": "inpc", "base_year": 2005})
    table = baseline_indicators(*start(small)).set_index(["measure", "arm", "branch", "size_class"])
    assert (
        table.at[("sales", "beneficiary", "all", "all"), "mean"] == 250.0
        and table.at[("jobs", "beneficiary", "all", "all"), "mean"] == 15
    )


def test_indicators_without_a_base_year(small):
    small.tables["survey"] = small.tables["survey"].query("ref_year > 2003")
    assert baseline_indicators(*start(small)).empty


def test_survival_alone_has_no_indicator(small):
    small.planned(outcomes=[{"id": "a", "measure": "alive", "scale": "share", "label": {}}])
    assert baseline_indicators(*start(small)).empty


def test_response_by_arm_and_year(small):
    for row, answer in ((3, "refusal"), (7, "closed"), (19, "not_found"), (18, "partial")):
        small.cell("survey", row, "response", answer)
    measured, firms, _ = start(small)
    table = response_table(measured, firms).set_index(["arm", "period"])
    assert table.loc[("beneficiary", 2005)].to_dict() == {"n_registered": 4, "n_responding": 2, "n_closed": 1, "response_rate": 0.5}
    assert table.loc[("nonparticipant", 2005)].to_dict() == {
        "n_registered": 8,
        "n_responding": 7,
        "n_closed": 0,
        "response_rate": 0.875,
    }
    assert table.loc[("nonparticipant", 2004), "n_responding"] == 8


def seen(treated, control):
    """A panel with an outcome in period 1 for all, in period 2 for this many of (answering, asked)."""
    firms, rows = {}, []
    for arm, cohort, (answering, asked) in (("t", 2.0, treated), ("c", NEVER, control)):
        for i in range(asked):
            firms[f"{arm}{i}"] = cohort
            rows += [(f"{arm}{i}", 1, 1.0), (f"{arm}{i}", 2, 1.0 if i < answering else np.nan)]
    firms["late"] = 2.0
    rows += [("late", 1, np.nan), ("late", 2, 1.0)]  # not there in the base year: not asked whether it went on
    outcomes = pd.DataFrame(rows, columns=["firm_id", "period", "y"]).set_index(["firm_id", "period"])
    return Panel(pd.DataFrame({"cohort": pd.Series(firms)}), outcomes)


def test_differential_attrition_by_hand():
    (row,) = response_test(seen((8, 10), (15, 25)), "y", 1).to_dict("records")
    error = np.sqrt(0.8 * 0.2 / 10 + 0.6 * 0.4 / 25)
    assert row == {
        "period": 2,
        "n_treated": 10,
        "n_control": 25,
        "difference": pytest.approx(0.2),
        "std_error": pytest.approx(error, rel=1e-12),
        "p_value": pytest.approx(2 * stats.norm.sf(0.2 / error), rel=1e-12),
    }


def test_no_attrition_and_no_arm_are_undefined_not_zero():
    (row,) = response_test(seen((10, 10), (25, 25)), "y", 1).to_dict("records")
    assert row["difference"] == 0 and np.isnan(row["p_value"])
    (row,) = response_test(seen((0, 0), (15, 25)), "y", 1).to_dict("records")
    assert np.isnan(row["difference"]) and np.isnan(row["std_error"]) and np.isnan(row["p_value"])
    assert response_test(seen((8, 10), (15, 25)), "y", 7).empty


def test_the_flow_of_firms():
    firms = pd.DataFrame({"arm": ["beneficiary", "beneficiary", "nonparticipant"]}, index=["a", "b", "c"])
    flow = sample_flow(firms, {"register": firms.index, "surveyed": pd.Index(["b", "c"]), "analysed": pd.Index([])})
    assert flow.pivot(index="arm", columns="stage", values="n").to_dict("index") == {
        "beneficiary": {"register": 2, "surveyed": 1, "analysed": 0},
        "nonparticipant": {"register": 1, "surveyed": 1, "analysed": 0},
    }
