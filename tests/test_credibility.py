"""The baseline's credibility, by hand: like firms, territory, eligibility, waves, update; and the whole over the sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from scipy import stats

from pipeval.baseline.credibility import credibility_tables, queries_by_arm
from pipeval.baseline.eligibility import criteria, eligibility_exceptions, eligibility_table, score_size, size_table, sizes
from pipeval.baseline.homogeneity import base_figures, compared, homogeneity_table, outlying_firms
from pipeval.baseline.territory import source_disagreement, territory_table
from pipeval.baseline.update import baseline_update, doses, marginal_change
from pipeval.baseline.waves import (
    consent_table,
    designation_table,
    missing_figures,
    mode_table,
    survey_dates_table,
    wave_table,
)
from pipeval.data.check import check
from pipeval.data.disclosure import guarded
from pipeval.data.intervals import mean_interval, welch, wilson
from pipeval.data.load import load
from pipeval.data.measures import measures
from pipeval.data.queries import settle_queries
from pipeval.errors import collected
from pipeval.stages import proved_data
from pipeval.study.params import read_study

NAN = float("nan")
FX = pd.DataFrame({"series": "fx_mxn_usd", "year": [2002, 2003, 2004, 2005], "value": [9.66, 10.0, 11.29, 10.89]})
PRICES = pd.DataFrame({"series": "inpc", "year": [2002, 2003, 2004, 2005], "value": [80.0, 100.0, 110.0, 125.0]})
REAL = {"headline": "real", "deflator": "inpc", "base_year": 2003, "fx": "fx_mxn_usd"}


def read(small):
    """Study, tables, faults, measures and the register of the small study as it stands."""
    study = small.save().read()
    tables = load(study)
    with collected():
        measured = measures(tables, study)
    return study, tables, check(tables, study), measured, tables["enterprises"].set_index("firm_id")


# ── homogeneity ──────────────────────────────────────────────────────────────────────────────────────────────────────


def alike(values, sizes_=None, branch="footwear"):
    """Figures of firms f0, f1, … and their register."""
    ids = [f"f{i:02d}" for i in range(len(values))]
    figures = pd.DataFrame({"sales_per_worker": values}, index=ids, dtype=float)
    firms = pd.DataFrame({"arm": "beneficiary", "branch": branch, "size_class": sizes_ or "micro"}, index=ids)
    return figures, firms


def test_a_robust_score_by_hand(small):
    study, tables, *_ = read(small)
    figures, firms = alike(np.exp([1.0, 2, 3, 4, 5, 6, 7, 8, 60]))
    scored = compared(figures, firms, tables, study).set_index("firm_id")
    # median of the logs 5, absolute deviations 4 3 2 1 0 1 2 3 55: median 2
    assert scored["mad"].unique() == pytest.approx([1.4826 * 2])
    assert scored.at["f08", "robust_z"] == pytest.approx(55 / (1.4826 * 2), rel=1e-12)
    assert scored.at["f00", "robust_z"] == pytest.approx(-4 / (1.4826 * 2), rel=1e-12)
    assert scored["median"].unique() == pytest.approx([np.exp(5)])
    assert scored["reason"].tolist() == [""] * 8 + ["high_sales_per_worker"]
    table = homogeneity_table(scored.reset_index(), study)
    row = table.iloc[0]
    assert len(table) == 1 and row["cell"] == "branch_size" and (row["n"], row["n_firms"], row["n_flagged"]) == (9, 9, 1)
    assert row["limit_high"] == pytest.approx(np.exp(5 + 3.5 * 1.4826 * 2))
    assert row["limit_low"] == pytest.approx(np.exp(5 - 3.5 * 1.4826 * 2))
    assert np.log([row["fence_low"], row["fence_high"]]) == pytest.approx([3 - 1.5 * 4, 7 + 1.5 * 4])  # quartiles of the logs 3, 7
    assert outlying_firms(scored.reset_index())["firm_id"].tolist() == ["f08"]


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (1000, "suspected_unit_thousand"),
        (1 / 1000, "suspected_unit_thousandth"),
        (1 / 10, "suspected_unit_dollar"),
        (10, "suspected_converted_twice"),
        (100, "high_sales_per_worker"),
        (1 / 100, "low_sales_per_worker"),
    ],
)
def test_wrong_units_are_told_from_other_outliers(small, times, reason):
    small.tables["series"] = FX
    small.planned(money={"fx": "fx_mxn_usd"})
    study, tables, *_ = read(small)
    values = [100 * 1.1**i for i in range(-4, 5)]
    figures, firms = alike([*values, 100 * times])
    found = outlying_firms(compared(figures, firms, tables, study))
    assert found[["firm_id", "reason"]].to_numpy().tolist() == [["f09", reason]]


def test_small_cells_fall_back_to_the_branch_and_small_branches_are_not_judged(small):
    study, tables, *_ = read(small)
    figures, firms = alike([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 4e9], ["micro"] * 8 + ["small", "small"])
    other, few = alike([1.0, 5e9], branch="leather")
    other.index, few.index = ["g0", "g1"], ["g0", "g1"]
    scored = compared(pd.concat([figures, other]), pd.concat([firms, few]), tables, study).set_index("firm_id")
    assert scored.loc[["f00", "f08", "g1"], "cell"].tolist() == ["branch_size", "branch", "none"]
    assert scored.loc[["f00", "f08", "g1"], "n"].tolist() == [8, 10, 0]
    assert scored.at["f08", "median"] == pytest.approx(np.sqrt(5 * 6)) and np.isnan(scored.at["g1", "robust_z"])
    assert scored.index[scored["reason"] != ""].tolist() == ["f09"]
    table = homogeneity_table(scored.reset_index(), study)
    assert table[["size_class", "cell", "n", "n_firms", "n_flagged"]].to_numpy().tolist() == [
        ["micro", "branch_size", 8, 8, 0],
        ["all", "branch", 10, 2, 1],
    ]
    assert table["share_flagged"].tolist() == [0, 0.5]


def test_figures_without_a_logarithm_have_reasons_of_their_own(small):
    study, tables, *_ = read(small)
    figures, firms = alike([1.0, 2, 3, 4, 5, 6, 7, 8, 0, -1])
    figures["export_share"] = [0.1, 0.2, 0.3, 0.15, 0.25, 0.12, 0.22, 0.17, 0, 1.2]
    found = outlying_firms(compared(figures, firms, tables, study))
    assert found[["measure", "firm_id", "reason"]].to_numpy().tolist() == [
        ["sales_per_worker", "f08", "zero_sales_per_worker"],
        ["sales_per_worker", "f09", "negative_sales_per_worker"],
        ["export_share", "f09", "exports_above_sales"],
    ]


def test_a_firm_alike_in_all_is_no_outlier(small):
    study, tables, *_ = read(small)
    scored = compared(*alike([5.0] * 9), tables, study)
    assert scored["robust_z"].isna().all() and (scored["reason"] == "").all() and (scored["mad"] == 0).all()


def test_base_figures_put_questioned_ones_back_and_annualise(small):
    small.tables["survey"] = small.tables["survey"].assign(
        months_covered=12.0, workers_unpaid=0.0, intermediate_inputs_kmxn=400.0, export_direct_kmxn=60.0, export_indirect_kmxn=0.0
    )
    small.cell("survey", 1, "sales_kmxn", 1_260_000).cell("survey", 5, "months_covered", 6)  # F01 and F02 in 2003
    small.cell("survey", 9, "workers_paid", 0)
    small.planned(queries={"unit_error": "set_missing"})
    study, tables, faults, *_ = read(small)
    with collected():
        settled = settle_queries(tables, faults, study)
    assert np.isnan(settled["survey"].loc[3, "sales_kmxn"])
    figures = base_figures(settled, faults, study)
    sales = small.tables["survey"].set_index(["firm_id", "ref_year"])["sales_kmxn"].astype(float)
    assert len(figures) == 12 and figures.at["F01", "sales_per_worker"] == pytest.approx(1_260_000 / 12)
    assert figures.at["F02", "sales_per_worker"] == pytest.approx(2 * sales["F02", 2003] / 25)
    assert figures.at["F02", "value_added_per_worker"] == pytest.approx(2 * (sales["F02", 2003] - 400) / 25)
    assert np.isnan(figures.at["F03", "sales_per_worker"]) and figures.at["F03", "export_share"] == pytest.approx(
        60 / sales["F03", 2003]
    )
    assert figures["price"].isna().all()


def test_prices_are_compared_item_by_item(small):
    rows = [(f"F{i:02d}", "shoe", 10.0, 10.0 * p) for i, p in enumerate([1, 2, 3, 4, 5, 6, 7, 8, 9], start=1)]
    rows += [(f"F{i:02d}", "boot", 10.0, 1000.0) for i in range(1, 9)] + [("F09", "boot", 10.0, 4000.0), ("F09", "rare", 1.0, 1e6)]
    small.tables["product_sales"] = pd.DataFrame(rows, columns=["firm_id", "product_line", "quantity", "value_kmxn"]).assign(
        ref_year=2003, market="domestic", unit="pair"
    )
    study, tables, faults, *_ = read(small)
    price = base_figures(tables, faults, study)["price"]
    # shoes: median 5 a pair; boots: 100. F09: shoes 90 at 9/5, boots 4,000 at 4; the item of one firm is not compared
    assert price["F09"] == pytest.approx(np.exp((90 * np.log(9 / 5) + 4000 * np.log(4)) / 4090))
    assert price["F05"] == pytest.approx(1) and np.isnan(price["F10"])


# ── territory ────────────────────────────────────────────────────────────────────────────────────────────────────────


def totals(*rows):
    columns = ["sector", "measure", "value", "source", "year"]
    return pd.DataFrame([[*r, 2003] if len(r) == 4 else r for r in rows], columns=columns).assign(territory="T", note="n")


def territory(small, *rows, weights=2.0):
    small.tables["enterprises"]["frame_weight"] = weights
    small.tables["territory_totals"] = totals(*rows)
    study, tables, _, measured, _ = read(small)
    return territory_table(tables, measured, study)


def test_sums_against_totals_by_hand(small):
    small.tables["survey"] = small.tables["survey"].assign(export_direct_kmxn=10.0, export_indirect_kmxn=99.0)
    small.tables["series"] = pd.concat([FX, PRICES])
    small.planned(money=REAL)
    sales = small.tables["survey"].query("ref_year == 2003")["sales_kmxn"].sum()
    found = territory(
        small,
        ("all", "firms", 20, "a"),
        ("footwear", "workers", 300, "a"),
        ("all", "population", 1000, "a"),
        ("all", "gdp_kmxn", sales, "a", 2005),
        ("all", "exports_usd", 24_000, "a"),
        ("all", "exports_musd", 0.024, "a"),
        ("all", "production_units", 5, "a"),
        ("leather", "firms", 0, "a"),
    )
    rows = {(r.measure, r.figure): r for r in found.iloc[:-1].itertuples()}
    firms = rows["firms", "firms"]
    assert (firms.register_sum, firms.expanded_sum, firms.ratio_register, firms.ratio_expanded) == (12, 24, 0.6, 1.2)
    assert (firms.status, firms.conversion, firms.year) == ("exceeds_total", "none", 2003)
    workers = rows["workers", "workers"]
    assert (workers.register_sum, workers.expanded_sum, workers.status) == (272, 544, "exceeds_total")
    people = rows["population", "workers"]
    assert people.ratio_register == pytest.approx(0.272) and people.status == "labour_over_share_of_population"
    gdp = rows["gdp_kmxn", "sales"]
    assert gdp.ratio_register == pytest.approx(1.25) and gdp.conversion == "price_level"  # at prices of 2005
    assert rows["gdp_kmxn", "value_added"].status == "not_known"
    dollars = rows["exports_usd", "exports_direct"]  # 12 firms × 10 thousand pesos at 10 pesos
    assert dollars.register_sum == pytest.approx(12_000) and dollars.ratio_expanded == pytest.approx(1)
    assert dollars.status == "plausible" and dollars.conversion == "exchange_rate"
    assert rows["exports_musd", "exports_direct"].ratio_expanded == pytest.approx(1)
    assert rows["production_units", ""].status == "not_known"
    assert found.iloc[-1]["status"] == "not_known" and found.iloc[-1]["n_firms"] == 0


def test_expanded_sums_let_firms_that_answered_stand_for_the_silent(small):
    for row in (1, 5):
        small.cell("survey", row, "response", "refusal")
    small.tables["survey"]["sales_kmxn"] = 100.0
    found = territory(small, ("all", "sales_kmxn", 2700, "a"), weights=[1.0] * 4 + [3.0] * 8)  # 1.04 times: sources differ by more
    row = found.iloc[0]
    assert (row["n_firms"], row["n_known"], row["register_sum"]) == (12, 10, 1000)
    assert row["expanded_sum"] == pytest.approx(100 * (4 + 24)) and row["status"] == "plausible"


def test_without_weights_or_rates_nothing_is_made_up(small):
    found = territory(
        small, ("all", "firms", 13, "a"), ("all", "exports_usd", 13, "a"), ("all", "sales_kmxn", 9e9, "a", 2005), weights=None
    )
    assert found["expanded_sum"].isna().all() and found["ratio_register"].round(3).tolist()[0] == round(12 / 13, 3)
    assert found["status"].tolist() == ["plausible", "not_known", "plausible"]
    assert found["conversion"].tolist() == ["none", "not_known", "not_deflated"]


def test_sources_that_disagree_are_shown(small):
    small.tables["enterprises"]["branch"] = ["footwear"] * 6 + ["leather"] * 6
    small.tables["territory_totals"] = totals(
        ("footwear", "workers", 60, "a"),
        ("footwear", "workers", 72, "b"),
        ("leather", "workers", 40, "a"),
        ("all", "workers", 100, "c"),
        ("all", "firms", 10, "c"),
        ("footwear", "firms", 5, "a"),
    )
    study, tables, *_ = read(small)
    found = source_disagreement(tables, study)
    assert found[["sector", "basis", "n_sources", "low", "high", "status"]].to_numpy().tolist() == [
        ["footwear", "sources", 2, 60, 72, "disagree"],
        ["all", "sum_of_parts", 3, 100, 106, "agree"],
    ]
    assert found["spread"].tolist() == pytest.approx([0.2, 0.06])


# ── eligibility ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_score_of_2009():
    workers = pd.Series([10, 10, 11, 50, 50, 51, 250, 250, 251, 5, 5])
    sales = pd.Series([4.0, 4.001, 0.1, 100.0, 101.0, 1.0, 250.0, 251.0, 1.0, np.nan, 300.0])
    # scores: 4.6 | 4.6009 | 1.19 by workers small | 95 | 95.9 | workers medium | 250 | 250.9 | workers large | unknown | 270.5
    assert score_size(workers, sales).tolist()[:9] == [
        "micro",
        "small",
        "small",
        "small",
        "medium",
        "medium",
        "medium",
        "large",
        "large",
    ]
    assert score_size(workers, sales).isna().tolist() == [False] * 9 + [True, False]
    assert score_size(workers, sales).iloc[-1] == "large"
    assert score_size(pd.Series([np.nan]), pd.Series([3.0])).isna().all()


def eligible(small):
    firms = small.tables["enterprises"].assign(elig_msme=1.0, elig_willing=1.0, elig_export=np.nan)
    firms.loc[[1, 8], "elig_willing"] = 0
    firms.loc[[0, 4], "elig_export"] = 1
    firms.loc[3, "workers_baseline"] = 300
    small.tables["enterprises"] = firms
    small.planned(eligibility={"criteria": ["elig_msme", "elig_willing", "elig_export"]})
    study, tables, _, measured, register = read(small)
    classes = sizes(tables, measured, study)
    return criteria(tables, classes, study), classes, register, study


def test_the_audit_counts_met_not_met_and_not_known(small):
    met, _, register, _ = eligible(small)
    audit = eligibility_table(met, register["arm"]).set_index(["criterion", "arm"])
    counts = ["n", "n_met", "n_not_met", "n_not_known"]
    assert audit.loc[("elig_willing", "beneficiary"), counts].tolist() == [4, 3, 1, 0]
    assert audit.loc[("elig_export", "beneficiary"), counts].tolist() == [4, 1, 0, 3]
    assert audit.loc[("size", "beneficiary"), counts].tolist() == [4, 3, 1, 0]
    assert audit.loc[("all_criteria", "beneficiary"), counts].tolist() == [4, 1, 2, 1]  # one meets all, two fail one, one unknown
    assert audit.loc[("all_criteria", "nonparticipant"), counts].tolist() == [8, 1, 1, 6]
    row = audit.loc[("elig_willing", "nonparticipant")]
    low, high = wilson(7, 8)
    assert row[["share", "share_low", "share_high"]].tolist() == pytest.approx([7 / 8, low, high])


def test_exceptions_name_firm_criterion_and_value(small):
    met, classes, register, study = eligible(small)
    found = eligibility_exceptions(met, classes, register["arm"], study)
    assert found.to_numpy().tolist() == [
        ["F02", "beneficiary", "elig_willing", "0"],
        ["F04", "beneficiary", "elig_msme", "large"],
        ["F04", "beneficiary", "size", "large"],
        ["F09", "nonparticipant", "elig_willing", "0"],
    ]


def test_sizes_by_both_rules_stand_beside_one_another(small):
    _, classes, register, _ = eligible(small)
    table = size_table(classes, register).set_index(["rule", "arm", "size_class"])["n"]
    assert table["2002", "beneficiary"].to_dict() == {"micro": 0, "small": 3, "medium": 0, "large": 1}
    assert table["2002"].sum() == table["2009"].sum() == 12
    small.planned(programme={"currency": "USD"})
    small.tables["survey"] = small.tables["survey"].rename(columns={"sales_kmxn": "sales_kusd"})
    study, tables, _, measured, _ = read(small)
    assert sizes(tables, measured, study)["2009"].dropna().tolist() == ["large"]  # by its workers alone


# ── waves ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_waves_by_hand(small):
    survey = small.tables["survey"].assign(mode="mail", months_covered=12.0, recall_flag=0.0)
    survey.loc[[1, 5], "response"] = ["partial", "refusal"]
    survey.loc[[1, 5, 9], "recall_flag"] = 1  # what a firm that refused remembers is no answer
    survey.loc[1, "months_covered"] = 6
    survey.loc[13, "mode"] = None
    small.tables["survey"] = survey.drop(index=[45])
    _, tables, *_ = read(small)
    table = wave_table(tables).set_index(["period", "arm"])
    row = table.loc[(2003, "beneficiary")]
    names = ["n_registered", "n_surveyed", "n_complete", "n_partial", "n_refusal", "n_recalled", "n_part_year"]
    assert row[names].tolist() == [4, 4, 2, 1, 1, 2, 1]
    low, high = wilson(3, 4)
    assert row[["share", "share_low", "share_high", "share_recalled"]].tolist() == pytest.approx([0.75, low, high, 2 / 3])
    other = table.loc[(2003, "nonparticipant")]
    assert (other["n_registered"], other["n_surveyed"], other["share"]) == (8, 7, 7 / 8)
    modes = mode_table(tables).set_index(["period", "mode"])
    assert modes.loc[(2003, "not_known"), "n"] == 1 and modes.loc[(2003, "mail"), "share"] == pytest.approx(9 / 10)


def test_missing_figures_among_those_that_answered(small):
    small.cell("survey", 1, "sales_kmxn", None).cell("survey", 5, "response", "refusal")
    study, _, _, measured, register = read(small)
    table = missing_figures(measured, register, study).set_index(["period", "arm", "measure"])
    assert table.loc[(2003, "beneficiary", "sales"), ["n", "n_missing"]].tolist() == [3, 1]
    assert table.loc[(2003, "all", "sales"), "share"] == pytest.approx(1 / 11)


def test_freshness_by_hand(small):
    survey = small.tables["survey"].assign(interview_on="2006-01-15")
    base = survey["ref_year"] == 2003
    survey.loc[base, "interview_on"] = ["2003-12-31"] * 3 + ["2004-03-01"] * 9
    small.tables["survey"] = survey
    small.tables["services"] = pd.DataFrame(
        {
            "service_id": ["S1", "S2"],
            "firm_id": ["F01", "F04"],
            "start_on": ["2003-11-01", "2004-03-01"],  # the second on the day of the interview
            "activity_type": "workshop",
        }
    )
    small.planned(calendar={"project_start": "2005-04-01", "first_disbursement": "2005-04-01"})
    study, tables, *_ = read(small)
    table = survey_dates_table(tables, study).set_index("check")
    month = 365.25 / 12
    assert table.at["months_year_to_interview", "value"] == pytest.approx(61 / month)
    assert table.at["months_interview_to_start", "value"] == pytest.approx(396 / month)
    assert table.at["months_year_to_start", "value"] == pytest.approx(457 / month)
    assert table.loc[["months_year_to_interview", "months_interview_to_start"], "status"].tolist() == ["within", "beyond"]
    assert table.loc["interviewed_before_year_end", ["n", "value", "status"]].tolist() == [12, 0.25, "observed"]
    assert table.at["interviewed_after_start", "value"] == 0
    assert table.loc["served_before_interview", ["n", "value"]].tolist() == [4, 0.25]


def test_freshness_without_dates_is_not_known(small):
    study, tables, *_ = read(small)
    table = survey_dates_table(tables, study)
    assert table["value"].isna().all() and (table["status"] == "not_known").all()


def test_controls_are_named_before_outcomes_are_known(small):
    small.tables["survey"]["interview_on"] = (small.tables["survey"]["ref_year"] + 1).astype(str) + "-02-01"
    small.tables["enterprises"] = small.tables["enterprises"].assign(
        control_listed_on=[None] * 4 + ["2004-01-01"] * 5 + ["2005-02-01", "2006-01-01", None],
        exp_status_baseline=["none"] * 10 + ["direct", "direct"],
    )
    study, tables, *_ = read(small)
    table = designation_table(tables, study).set_index("exp_status_baseline")
    assert table.loc["all", ["n", "n_before", "n_after", "n_not_known"]].tolist() == [8, 5, 2, 1]
    assert table.loc["direct", ["n", "n_before", "n_after", "n_not_known"]].tolist() == [2, 0, 1, 1]
    assert table.at["all", "share"] == pytest.approx(5 / 7) and set(table["date"]) == {"2005-02-01"}


def test_consent_and_answers_used_without_it(small):
    small.tables["enterprises"]["consent_data"] = [1, 1, 0, None] + [1] * 7 + [0]
    small.tables["survey"].loc[44:, "response"] = "refusal"
    _, tables, *_ = read(small)
    table = consent_table(tables).set_index("arm")
    assert table.loc["beneficiary", ["n", "n_yes", "n_no", "n_not_known", "n_used_without"]].tolist() == [4, 2, 1, 1, 1]
    assert table.loc["nonparticipant", ["n_no", "n_used_without", "share"]].tolist() == [1, 0, 7 / 8]


def test_queries_by_arm_count_firms(small):
    small.cell("survey", 2, "sales_kmxn", 1455.3 * 1000).cell("survey", 10, "workers_paid", 0).cell("survey", 11, "workers_paid", 0)
    _, _, faults, _, register = read(small)
    table = queries_by_arm(faults, register).set_index(["rule", "arm"])
    assert table.loc[("workers_zero", "beneficiary"), ["n", "n_firms"]].tolist() == [1, 4]
    assert table.loc[("unit_error", "nonparticipant"), ["n", "share"]].tolist() == [0, 0]


# ── update ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def updated(small):
    outcomes = [
        {"id": "s", "measure": "sales", "label": {"en": "s"}},
        {"id": "p", "measure": "sales", "per": "jobs", "label": {"en": "p"}},
        {"id": "alive", "measure": "alive", "scale": "share", "label": {"en": "a"}},
    ]
    survey = small.tables["survey"]
    survey["workers_paid"] = 10
    for firm, before, after in (("F01", 100.0, 250.0), ("F02", 200.0, 375.0), ("F03", 300.0, 500.0)):
        for year, value in ((2002, before), (2003, before), (2004, after), (2005, after)):
            survey.loc[(survey["firm_id"] == firm) & (survey["ref_year"] == year), "sales_kmxn"] = value
    survey.loc[(survey["firm_id"] == "F04") & (survey["ref_year"] == 2005), "response"] = "refusal"
    small.tables["series"] = pd.concat([FX, PRICES])
    small.planned(money=REAL, outcomes=outcomes)
    return small


def test_base_and_final_by_hand(small):
    study, _, _, measured, register = read(updated(small))
    table = baseline_update(measured, register, study).set_index(["measure", "prices", "arm"])
    names = ["n", "total_base", "total_final", "total_change", "mean_base", "mean_final", "mean_change", "value_change"]
    assert table.loc[("sales", "nominal", "beneficiary"), names].tolist() == pytest.approx(
        [3, 600, 1125, 525, 200, 375, 175, 1.875]
    )
    assert table.loc[("sales", "real", "beneficiary"), names].tolist() == pytest.approx([3, 600, 900, 300, 200, 300, 100, 1.5])
    per = table.loc[("sales_per_jobs", "real", "beneficiary"), names].tolist()
    assert np.isnan(per[1:4]).all() and [per[0], *per[4:]] == pytest.approx([3, 20, 30, 10, 1.5])
    assert set(table.index.get_level_values("measure")) == {"sales", "sales_per_jobs", "jobs"}
    assert table.loc["jobs"].index.get_level_values("prices").unique().tolist() == ["none"]


def test_change_per_unit_of_support_by_hand(small):
    updated(small).tables["services"] = pd.DataFrame(
        {
            "service_id": ["S1", "S2", "S3", "S4", "S5"],
            "firm_id": ["F01", "F02", "F02", "F03", "F04"],
            "start_on": ["2004-02-01", "2004-02-01", "2004-05-01", "2006-01-15", "2004-02-01"],
            "activity_type": "workshop",
            "programme_paid_usd": [1000.0, 1000.0, 2000.0, 9000.0, 9000.0],
            "days": [10.0, 5.0, 15.0, 9.0, 9.0],
        }
    )
    study, tables, _, measured, register = read(small)
    support = doses(tables, register, study)
    assert support["per_thousand_usd"].tolist() == [1, 3, 0, 9]  # F03's service lies after the reference year
    table = marginal_change(measured, register, tables, study).set_index(["measure", "dose"])
    row = table.loc[("sales", "per_thousand_usd")]
    # changes in constant money 100, 100, 100: 300 over 4 thousand dollars, and no slope
    assert row[["n", "dose_mean", "change_per_unit", "estimate"]].tolist() == pytest.approx([3, 4 / 3, 75, 0], abs=1e-9)
    assert row["prices"] == "real" and row["reading"] == "association"


def test_support_that_is_not_known_is_not_none(small):
    updated(small).tables["services"] = pd.DataFrame(
        {
            "service_id": ["S1", "S2", "S3", "S4"],
            "firm_id": ["F01", "F01", "F02", "F03"],
            "start_on": ["2004-02-01", "2004-03-01", None, "2005-12-31"],  # the last day of the reference year counts
            "activity_type": "workshop",
            "programme_paid_usd": [1000.0, None, 2000.0, 500.0],
            "days": [1.0, 2.0, 3.0, 4.0],
        }
    )
    study, tables, _, _, register = read(small)
    support = doses(tables, register, study)
    assert support["per_thousand_usd"].fillna(-1).tolist() == [-1, -1, 0.5, 0]  # an amount, a date missing; F04 had no service
    assert support["per_day"].fillna(-1).tolist() == [3, -1, 4, 0]


def test_prices_do_not_add_up(small):
    outcomes = [{"id": "p", "measure": "price", "label": {"en": "p"}}]
    study, _, _, measured, register = read(updated(small).planned(outcomes=outcomes))
    priced = replace(measured, nominal=measured.nominal.assign(price=2.0), real=measured.real.assign(price=2.0))
    rows = baseline_update(priced, register, study).query("measure == 'price'")
    assert rows["total_base"].isna().all() and rows["mean_base"].tolist() == [2.0] * len(rows) and len(rows) > 0


def test_without_a_deflator_changes_are_in_current_money(small):
    updated(small).planned(money=REAL | {"headline": "nominal", "deflator": None})
    small.tables["services"] = pd.DataFrame(
        {
            "service_id": ["S1"],
            "firm_id": "F01",
            "start_on": ["2004-02-01"],
            "activity_type": "workshop",
            "programme_paid_usd": 1000.0,
        }
    )
    study, tables, _, measured, register = read(small)
    change = marginal_change(measured, register, tables, study).set_index(["measure", "dose"]).loc[("sales", "per_thousand_usd")]
    assert change[["prices", "n", "change_per_unit"]].tolist() == ["nominal", 3, 525]
    table = baseline_update(measured, register, study)
    assert set(table["prices"]) == {"nominal", "none"} and (table["n"] > 0).all()


def test_a_criterion_that_no_file_notes_is_not_known(small):
    small.planned(eligibility={"criteria": ["elig_msme", "elig_unheard_of"]})
    small.tables["enterprises"]["elig_msme"] = 1
    study, tables, _, measured, _ = read(small)
    met = criteria(tables, sizes(tables, measured, study), study)
    assert met.columns.tolist() == ["elig_msme", "elig_unheard_of", "size", "all_criteria"]
    assert met[["elig_unheard_of", "all_criteria"]].isna().all(axis=None) and (met["elig_msme"] == 1).all()


def test_intervals_have_the_level_of_the_study(small):
    study, tables, faults, measured, register = read(small)
    wide = credibility_tables(tables, faults, measured, register, study)
    narrow = credibility_tables(
        tables, faults, measured, register, study.model_copy(update={"did": study.did.model_copy(update={"level": 0.5})})
    )
    for name in ("waves", "eligibility"):
        known = wide[name]["share"].notna()
        width, half = (t["share_high"] - t["share_low"] for t in (wide[name], narrow[name]))
        assert known.any() and (half < width)[known].all()


def test_shares_of_none_and_of_all_have_exact_ends():
    n = np.arange(1, 400)
    assert (wilson(0 * n, n)[0] == 0).all() and (wilson(n, n)[1] == 1).all()
    assert (wilson(0 * n, n)[1] > 0).all() and (wilson(n, n)[0] < 1).all()


def test_means_and_differences_have_the_intervals_of_student_and_welch():
    one, other = pd.Series([1.0, 4, 2, 8, NAN]), pd.Series([3.0, 3.5, 9])
    known = stats.ttest_1samp(one.dropna(), 0).confidence_interval(0.9)
    assert mean_interval(one, 0.9) == pytest.approx((3.75, known.low, known.high))
    found = stats.ttest_ind(one.dropna(), other, equal_var=False)
    limits = found.confidence_interval(0.9)
    gap = one.mean() - other.mean()
    assert welch(one.dropna(), other, 0.9) == pytest.approx((gap, limits.low, limits.high, found.pvalue))
    assert np.isnan(mean_interval(one[:1], 0.9)[1:]).all() and np.isnan(mean_interval(pd.Series([2.0, 2.0]), 0.9)[1:]).all()
    assert welch(one[:1], other, 0.9)[0] == pytest.approx(1 - other.mean()) and np.isnan(welch(one[:1], other, 0.9)[1:]).all()
    assert np.isnan(welch(pd.Series([2.0, 2.0]), pd.Series([3.0, 3.0]), 0.9)[1:]).all()


def test_figures_of_few_firms_are_not_told():
    rates = pd.DataFrame({"n": [4, 5], "share": [0.5, 0.4], "share_low": [0.1, 0.1], "share_high": [0.9, 0.8], "n_planned": [1, 2]})
    told = guarded({"compliance": rates, "waves": rates})
    assert told["compliance"].iloc[0, 1:].isna().all() and told["compliance"].iloc[1].tolist() == rates.iloc[1].tolist()
    assert told["compliance"]["n"].tolist() == [4, 5] and told["waves"] is rates
    beside = pd.DataFrame({"n_yes": [9, 9], "n_no": [4, 9], "mean_yes": 0.1, "mean_no": 0.2})
    assert guarded({"opinion_effect": beside})["opinion_effect"]["mean_yes"].isna().tolist() == [True, False]


def test_a_total_of_few_firms_is_not_told(small):
    small.tables["territory_totals"] = totals(("footwear", "workers", 90, "a"), ("all", "workers", 900, "a"))
    small.tables["enterprises"]["branch"] = ["footwear"] * 4 + ["leather"] * 8
    study, tables, faults, measured, register = read(small)
    table = credibility_tables(tables, faults, measured, register, study)["territory"].set_index("sector")
    assert np.isnan(table.at["footwear", "register_sum"]) and table.at["footwear", "n_known"] == 4
    assert table.at["all", "register_sum"] > 0 and table.at["footwear", "status"] == "plausible"


def test_the_slope_is_least_squares_with_robust_errors():
    from pipeval.baseline.update import _slope

    x, y = np.array([0.0, 1, 2, 3, 7]), np.array([1.0, 0, 4, 3, 9])
    design = np.column_stack([np.ones(5), x])
    bread = np.linalg.inv(design.T @ design)
    beta = bread @ design.T @ y
    left = y - design @ beta
    error = np.sqrt((bread @ (design.T * left**2) @ design @ bread)[1, 1] * 5 / 3)
    mean, ratio, slope, std_error, low, high, p = _slope(x, y, 0.95)
    assert (mean, ratio, slope, std_error) == pytest.approx((2.6, 17 / 13, beta[1], error), abs=1e-12)
    assert (low, high) == pytest.approx((beta[1] - stats.t.ppf(0.975, 3) * error, beta[1] + stats.t.ppf(0.975, 3) * error))
    assert p == pytest.approx(2 * stats.t.sf(beta[1] / error, 3))
    assert np.isnan(_slope(np.ones(4), y[:4], 0.95)[2:]).all() and np.isnan(_slope(x[:0], y[:0], 0.95)).all()
    assert np.isnan(_slope(np.zeros(4), y[:4], 0.95)[1])


# ── all together ─────────────────────────────────────────────────────────────────────────────────────────────────────

ALWAYS = {"queries_by_arm", "waves", "missing_figures", "baseline_update", "size_rules", "eligibility", "ineligible_controls"}


def test_the_smallest_study_leaves_out_what_it_cannot_give(small):
    small.cell("survey", 10, "workers_paid", 0)
    study, tables, faults, measured, register = read(small)
    found = credibility_tables(tables, faults, measured, register, study)
    assert set(found) == {*ALWAYS, "homogeneity"}
    assert all(len(t) for t in found.values())


def test_frames_without_rows(small):
    small.tables |= {
        "territory_totals": totals(("all", "firms", 20, "a")),
        "services": pd.DataFrame({"service_id": ["S1"], "firm_id": "F01", "start_on": "2004-05-01", "activity_type": "workshop"}),
    }
    study, tables, faults, measured, register = read(small)
    bare = tables.with_frames({name: frame.iloc[:0] for name, frame in tables.frames.items()})
    nothing = replace(measured, nominal=measured.nominal.iloc[:0], real=measured.real.iloc[:0])
    assert credibility_tables(bare, faults.iloc[:0], nothing, register.iloc[:0], study) == {}
    unasked = tables.with_frames({"survey": tables["survey"].iloc[:0]})
    found = credibility_tables(unasked, faults.iloc[:0], nothing, register, study)
    assert set(found) == {"territory", "size_rules", "eligibility", "ineligible_controls"}


def test_the_sample_programme():
    study = read_study(ROOT / "params" / "guanajuato_final.yaml")
    with collected():
        data = proved_data(study)
        register = data["tables"]["enterprises"].set_index("firm_id")
        found = credibility_tables(data["tables"], data["faults"], data["measures"], register, study)
    assert set(found) >= ALWAYS | {
        "homogeneity", "homogeneity_firms", "territory", "territory_sources", "waves_exporters", "survey_modes", "survey_dates",
        "control_designation", "consent", "marginal_change", "owners", "eligibility_exceptions",
    }  # fmt: skip
    firms = found["territory"].query("measure == 'firms'").set_index("sector")
    assert firms.loc["all", "register_sum"] == len(data["tables"]["enterprises"]) and (firms["status"] == "plausible").all()
    split = found["territory_sources"].set_index("measure")
    assert split.loc["firms", ["low", "high"]].tolist() == [9000, 9345]
    assert split.loc["workers", ["low", "high"]].tolist() == [120_000, 127_500]
    listed = found["homogeneity_firms"]
    assert len(listed) < 0.03 * 1000 and "suspected_unit_thousand" in set(listed["reason"])
    assert found["survey_dates"].set_index("check").at["interviewed_after_start", "value"] == 1
    audit = found["eligibility"].set_index(["criterion", "arm"])
    assert audit.loc[("all_criteria", "beneficiary"), "n_not_met"] == 0
    outside = found["ineligible_controls"].iloc[0]
    register = data["tables"]["enterprises"].query("arm == 'nonparticipant'")
    failing = (register[list(study.eligibility.criteria)] == 0).any(axis=1).sum()
    assert outside["n_ineligible"] == failing and outside["n"] == len(register)
    update = found["baseline_update"].query("measure == 'sales'").set_index(["arm", "prices"])["value_change"].unstack()
    assert (update["nominal"] > update["real"]).all()
