"""What is measured of a firm and year, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeval.data.load import load
from pipeval.data.measures import fisher_prices, measures, outcome_values
from pipeval.data.money import by_year, deflator, series_values
from pipeval.data.treatment import classify_size
from pipeval.errors import DataError, DesignError, PipevalWarning, collected
from pipeval.study.specs import Outcome

SERIES = pd.DataFrame(
    {
        "series": ["inpc"] * 4 + ["fx_mxn_usd"] * 4,
        "year": [2002, 2003, 2004, 2005] * 2,
        "value": [95.65, 100, 104.69, 108.86, 9.66, 10.79, 11.29, 10.89],
        "base": ["2003"] * 4 + [None] * 4,
    }
)


def measured(small):
    study = small.save().read()
    with collected() as notes:
        found = measures(load(study), study)
    return found, notes


def priced(small, **money):
    small.tables["series"] = SERIES
    return small.planned(money={"headline": "real", "deflator": "inpc", "base_year": 2003, "fx": "fx_mxn_usd"} | money)


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_worked_example_of_the_deflator():
    table = pd.DataFrame({"series": "inpc", "year": [2003, 2006], "value": [100.0, 112.81], "base": "2003"})
    assert 112.81 * deflator(table, "inpc", 2003)[2006] == pytest.approx(100.0, abs=1e-12)
    assert deflator(table, "inpc", 2006)[2003] == pytest.approx(1.1281, abs=1e-12)  # the base year is a choice


def test_mixed_bases_are_refused():
    table = SERIES.assign(base=["2002", "2002", "2003", "2003"] + [None] * 4)
    with pytest.raises(DesignError, match=r"one base year; 'inpc' mixes 2 bases \(2002, 2003\). Chain them"):
        deflator(table, "inpc", 2003)
    assert series_values(table, "fx_mxn_usd")[2003] == 10.79


def test_what_a_deflator_must_be():
    with pytest.raises(DesignError, match="no value for the base year 2001; it has 2002–2005"):
        deflator(SERIES, "inpc", 2001)
    with pytest.raises(DataError, match=r"'inpc' is not in 1 year \(2004\)"):
        deflator(SERIES.assign(value=SERIES["value"].where(SERIES["year"] != 2004, 0)), "inpc", 2003)
    with pytest.raises(DataError, match=r"needs a value for every year of the survey; missing 1 year \(2009\)"):
        by_year(deflator(SERIES, "inpc", 2003), pd.Series([2003, 2009]), "the deflator")


def test_real_and_nominal(small):
    found, _ = measured(priced(small))
    at = ("F01", 2005)
    assert found.nominal.at[at, "sales"] == 1528.1 and found.real.at[at, "sales"] == pytest.approx(1528.1 * 100 / 108.86, rel=1e-12)
    assert found.real.at[("F01", 2003), "sales"] == found.nominal.at[("F01", 2003), "sales"]
    assert found.real.at[at, "jobs"] == found.nominal.at[at, "jobs"] == 12
    assert found.headline is found.real
    found, _ = measured(small.planned(money={"headline": "nominal", "deflator": None, "base_year": None}))
    assert found.headline is found.nominal and found.real["sales"].isna().all() and found.real["jobs"].notna().all()


def test_dollars_at_the_annual_average(small):
    small.tables["survey"] = small.tables["survey"].assign(export_direct_kmxn=100.0, export_direct_usd=9000.0)
    small.tables["survey"].loc[1, "export_direct_kmxn"] = None
    found, _ = measured(priced(small))
    assert found.real.at[("F01", 2005), "exports_usd"] == pytest.approx(100_000 / 10.89)
    assert found.real.at[("F01", 2003), "exports_usd"] == 9000.0  # as reported where there is nothing to convert


# ── a firm's year ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_value_added_jobs_and_exports(small):
    small.tables["survey"] = small.tables["survey"].assign(
        intermediate_inputs_kmxn=500.0,
        inventory_change_kmxn=20.0,
        workers_unpaid=2,
        export_direct_kmxn=30.0,
        export_indirect_kmxn=5.0,
    )
    found, _ = measured(small)
    row = found.nominal.loc[("F01", 2003)]
    assert (row["value_added"], row["jobs"], row["exports"]) == (1260.0 - 500 + 20, 14, 35.0)
    small.tables["survey"] = small.tables["survey"].drop(columns=["inventory_change_kmxn", "workers_unpaid"])
    row = measured(small)[0].nominal.loc[("F01", 2003)]
    assert (row["value_added"], row["jobs"]) == (760.0, 12)
    small.tables["survey"]["fte"] = 9.5
    assert measured(small.planned(jobs_basis="fte"))[0].nominal.at[("F01", 2003), "jobs"] == 9.5


@pytest.mark.parametrize(("months", "factor"), [(6, 2), (11, 12 / 11), (11.5, 12 / 11.5), (12, 1), (None, 1)])
def test_part_years_are_annualised_with_a_note(small, months, factor):
    small.tables["survey"]["months_covered"] = None
    small.cell("survey", 1, "months_covered", months)
    found, notes = measured(small)
    assert (
        found.nominal.at[("F01", 2003), "sales"] == pytest.approx(1260 * factor, rel=1e-12)
        and found.nominal.at[("F01", 2003), "jobs"] == 12
    )
    assert [str(n) for n in notes] == (
        [] if factor == 1 else ["figures of part of a year were annualised (× 12 / months): 1 firm (F01)"]
    )
    assert found.nominal.at[("F01", 2004), "sales"] == 1455.3
    if factor != 1:
        with pytest.warns(PipevalWarning, match="annualised"):
            measures(load(small.read()), small.read())


def test_only_answers_count(small):
    small.cell("survey", 0, "response", "refusal").cell("survey", 1, "response", "partial").cell(
        "survey", 2, "response", "not_found"
    )
    table = measured(small)[0].nominal.loc["F01"]
    assert table["sales"].notna().tolist() == [False, True, False, True]
    assert table["status"].tolist() == ["no_answer", "alive", "no_answer", "alive"]
    np.testing.assert_array_equal(table["alive"], [1, 1, np.nan, 1])


def test_closed_firms_stay_closed(small):
    small.cell("survey", 1, "response", "closed").cell("survey", 2, "response", "not_found")
    small.tables["enterprises"]["closed_on"] = [None, "2003-05-31"] + [None] * 10
    for row in (6, 7):
        small.cell("survey", row, "response", "not_found")
    table = measured(small)[0].nominal
    assert table.loc["F01", "alive"].tolist() == [1, 0, 0, 0] and table.loc["F01", "status"].tolist() == [
        "alive",
        "exited",
        "exited",
        "exited",
    ]
    assert table.loc["F02", "alive"].tolist() == [1, 1, 0, 0]  # alive in the year it closed


def test_export_status_is_that_of_the_amounts(small):
    small.tables["survey"] = small.tables["survey"].assign(export_direct_kmxn=0.0, export_indirect_kmxn=0.0, exp_status="indirect")
    for row, direct, indirect in ((0, 5, 5), (1, 0, 5), (3, None, 5)):
        small.cell("survey", row, "export_direct_kmxn", direct).cell("survey", row, "export_indirect_kmxn", indirect)
    small.cell("survey", 4, "response", "refusal").cell("survey", 4, "export_direct_kmxn", None)
    table = measured(small)[0].nominal["exp_status"]
    assert table["F01"].tolist() == ["direct", "indirect", "none", "indirect"] and pd.isna(table["F02", 2002])


def test_size_classes():
    workers = pd.Series([0, 10, 11, 50, 51, 250, 251, 5000, np.nan])
    assert classify_size(workers).tolist()[:8] == ["micro", "micro", "small", "small", "medium", "medium", "large", "large"]
    assert pd.isna(classify_size(workers).iloc[8])


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_fisher_price_with_a_changed_mix(small):
    rows = [
        ("a", 2003, 10, 100.0),
        ("b", 2003, 10, 1000.0),
        ("a", 2005, 30, 330.0),
        ("b", 2005, 5, 600.0),
        ("new", 2005, 9, 900.0),
        ("old", 2003, 9, 9.0),
    ]
    small.tables["product_sales"] = pd.DataFrame(
        [("F01", y, line, "domestic", q, v) for line, y, q, v in rows],
        columns=["firm_id", "ref_year", "product_line", "market", "quantity", "value_kmxn"],
    )
    study = small.save().read()
    price = fisher_prices(load(study), study)
    laspeyres = (11 * 10 + 120 * 10) / (10 * 10 + 100 * 10)
    paasche = (11 * 30 + 120 * 5) / (10 * 30 + 100 * 5)
    assert price["F01", 2005] == pytest.approx(np.sqrt(laspeyres * paasche), rel=1e-12) and price["F01", 2003] == pytest.approx(1)
    assert price["F01", 2005] > 1.1  # though the mean value of a unit fell, from 55 to 27
    assert measured(small)[0].nominal["price"].notna().sum() == 2


def test_only_the_mix_changed(small):
    rows = [("a", 2003, 10, 100.0), ("b", 2003, 10, 1000.0), ("a", 2005, 90, 900.0), ("b", 2005, 1, 100.0)]
    small.tables["product_sales"] = pd.DataFrame(
        [("F01", y, line, "domestic", q, v) for line, y, q, v in rows],
        columns=["firm_id", "ref_year", "product_line", "market", "quantity", "value_kmxn"],
    )
    study = small.save().read()
    assert fisher_prices(load(study), study)["F01", 2005] == pytest.approx(1, rel=1e-12)


# ── scales ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_scales_of_an_outcome():
    table = pd.DataFrame(
        {"sales": [100.0, 0.0, np.nan, 50.0], "jobs": [10.0, 4, 2, 0], "status": ["alive", "alive", "exited", "no_answer"]}
    )

    def on(scale, per=None, exits="missing"):
        return outcome_values(Outcome(id="x", measure="sales", per=per, scale=scale, exits=exits, label={}), table).tolist()

    nan = pytest.approx(np.nan, nan_ok=True)
    assert on("log") == [np.log(100), nan, nan, np.log(50)] and on("level") == [100, 0, nan, 50]
    assert on("log", per="jobs") == [np.log(10), nan, nan, nan] and on("level", per="jobs") == [10, 0, nan, nan]
    assert (
        on("yes_no") == [1, 0, nan, 1]
        and on("yes_no", exits="zero") == [1, 0, 0, 1]
        and on("poisson", exits="zero") == [100, 0, 0, 50]
    )


def test_a_number_of_ones_own_is_a_measure(small):
    small.tables["survey"]["scrap_rate"] = 1.5
    small.cell("survey", 0, "response", "refusal")
    table = measured(small.planned(data={"extra": {"survey": {"scrap_rate": {"en": "Scrap"}}}}))[0].nominal["scrap_rate"]
    assert table["F01", 2003] == 1.5 and np.isnan(table["F01", 2002])
