"""The sensitivity chapter on the shipped sample: tables that agree with one another and the headline, and checks that can fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeval.did.estimate import as_share, at_reference, estimate, prepared
from pipeval.did.imputation import imputation_leads
from pipeval.did.inference import pretrend_test
from pipeval.did.multiple import holm
from pipeval.did.parts import margin_rows, price_rows, ratio_rows, share_rows
from pipeval.did.results import before_entry, overall_rows, path_of, pretrend_rows
from pipeval.did.twfe import twfe
from pipeval.errors import DesignError, collected
from pipeval.robustness.chapter import cluster_table, sensitivity_tables
from pipeval.robustness.findings import PASSED, sensitivity_checks
from pipeval.robustness.several import multiplicity_table, subgroup_table

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def made(road):
    panel, sample = road["group"]["panel"], road["group"]["sample"]
    return road["study"], road["data"], panel, sample, road["found"]["cells"], road["firm"].tables


def test_every_table_speaks_of_the_headline(made):
    _, _, _, _, cells, tables = made
    main = at_reference(cells["ln_sales"], 2006)
    curve = tables["curve"].query("headline and outcome == 'ln_sales'")
    assert len(curve) == 1 and curve["estimate"].item() == pytest.approx(main["estimate"], abs=1e-12)
    assert curve["conf_low"].item() == pytest.approx(main["conf_low"], abs=1e-12)
    tables = {name: t[t["outcome"] == "ln_sales"] for name, t in tables.items() if "outcome" in t}
    assert tables["honest"]["estimate"].to_numpy() == pytest.approx(main["estimate"], abs=1e-12)
    assert tables["few_clusters"]["estimate"].to_numpy() == pytest.approx(main["estimate"], abs=1e-8)
    own = tables["base_years"].query("base == 'own'")
    assert own["estimate"].item() == pytest.approx(main["estimate"], abs=1e-12)
    assert tables["outliers"].query("row == 'headline'")["estimate"].item() == pytest.approx(main["estimate"], abs=1e-12)
    assert tables["contamination"].query("row == 'headline' and outcome == 'ln_sales'")["estimate"].item() == pytest.approx(
        main["estimate"], abs=1e-12
    )
    assert (tables["curve"]["n_treated"] > 50).all() and tables["curve_summary"]["n_failed"].item() == 0


def test_recalled_answers_are_known_and_left_out(made):
    rows = made[-1]["base_years"].query("outcome == 'ln_sales'").set_index("base")
    assert (rows["note"] == "").all()
    assert rows.loc["mean_without_recalled", "estimate"] != rows.loc["mean", "estimate"]


def test_the_weights_of_two_way_fixed_effects_add_up_to_it(made):
    _, _, panel, _, _, tables = made
    table = tables["bacon"].query("outcome == 'ln_sales'")
    wide = panel.wide("ln_sales")
    whole = panel.keep(wide.index[wide.notna().all(axis=1)], "test", "holes")
    with collected():
        one = twfe(whole, "ln_sales").iloc[0]["estimate"]
    assert table["weight"].sum() == pytest.approx(1.0, abs=1e-10)
    assert table["weight"] @ table["estimate"] == pytest.approx(one, abs=1e-8)


def test_a_poisson_outcome_has_the_tables_that_it_can_have(made, road):
    study, data, panel, sample, cells, _ = made
    with collected():
        tables = sensitivity_tables(
            road["start"]["everyone"], panel, sample, study, {"export_value": cells["export_value"]}, data["tables"]
        )
    assert {name for name, t in tables.items() if len(t)} == {"left_out", "contamination", "sensitivity"}
    left = tables["left_out"]
    assert ((left["note"] == "") == left["estimate"].notna()).all() and left["estimate"].notna().mean() > 0.9


def test_what_cannot_be_made_says_why(made):
    study, _, panel, sample, _, _ = made
    wrong = study.model_copy(update={"sensitivity": study.sensitivity.model_copy(update={"subgroups": ("branch", "nowhere")})})
    table = subgroup_table(panel, sample, wrong, study.outcome("ln_sales"))
    assert "nowhere" in table.query("column == 'nowhere'")["note"].item()
    assert table.query("column == 'branch'")["p_equal"].nunique() == 1


def test_each_check_is_a_row_with_a_word_in_both_languages(made):
    table = made[-1]["sensitivity"]
    assert set(table["passed"]) <= set(PASSED.values())
    assert not table.duplicated(["check", "outcome"]).any()
    assert table[["number", "effect", "effect_low", "effect_high"]].notna().any(axis=1).all()
    for language in ("es", "en"):
        text = yaml.safe_load((ROOT / "src" / "pipeval" / "report" / "text" / f"{language}.yaml").read_text(encoding="utf-8"))
        assert set(table["check"]) <= set(text["code"]["check"]), language


def test_the_rows_of_the_checks_are_those_of_the_tables(made):
    _, _, _, _, cells, tables = made
    rows = tables["sensitivity"].query("outcome == 'ln_sales'").set_index("check")
    clusters = tables["few_clusters"].query("outcome == 'ln_sales'").set_index("kind").loc["CR2"]
    assert rows.loc["business_clusters", "number"] == clusters["p_value"]
    assert rows.loc["business_clusters", "n"] == 16
    assert rows.loc["business_clusters", "passed"] == "no"  # .012 by firm, above .05 by business cluster
    lee = tables["attrition_bounds"].query("outcome == 'ln_sales'").set_index("row").loc["lee"]
    assert rows.loc["lee_bounds", "effect_low"] == pytest.approx(np.expm1(lee["lower"]))
    assert rows.loc["curve", "number"] == tables["curve_summary"].query("outcome == 'ln_sales'")["same_sign"].item()
    assert rows.loc["honest_relative_magnitude", "number"] == tables["honest"].query("outcome == 'ln_sales'")["breakdown"].iloc[0]
    main = at_reference(cells["ln_sales"], 2006)
    left = tables["left_out"].query("outcome == 'ln_sales' and by == 'branch'")["estimate"]
    assert rows.loc["without_branch", "effect_low"] == pytest.approx(as_share(left.min(), "log"))
    moved = (left - main["estimate"]).abs().max() / main["std_error"]
    assert rows.loc["without_branch", "number"] == pytest.approx(moved)


@pytest.mark.parametrize(
    ("estimates", "p_value", "passed"),
    [((0.05, 0.08), 0.01, "yes"), ((-0.01, 0.08), 0.01, "no"), ((0.05, 0.50), 0.01, "no"), ((-0.01, 0.08), 0.30, "informative")],
)
def test_leaving_out_passes_or_fails_only_where_there_is_an_effect(made, estimates, p_value, passed):
    study, _, _, _, cells, _ = made
    found = cells["ln_sales"]
    main = at_reference(found, 2006)
    moved = [(e - main["estimate"]) / main["std_error"] for e in estimates]
    table = pd.DataFrame({"outcome": "ln_sales", "by": "branch", "estimate": estimates, "moved": moved})
    noise = 1 if p_value < 0.05 else 3
    blurred = replace(found, influence=noise * found.influence).clustered(None)
    rows = sensitivity_checks(study, {"ln_sales": blurred}, {"left_out": table}).set_index("check")
    assert rows.loc["without_branch", "passed"] == passed


def test_a_ratio_is_its_numerator_less_its_denominator(made):
    study, data, panel, sample, cells, _ = made
    rows = ratio_rows(panel, sample, study).set_index("part")["estimate"]
    assert rows["ratio"] == pytest.approx(rows["numerator"] - rows["denominator"], abs=1e-12)
    margins = margin_rows(panel, sample, study).query("outcome == 'export_value'").set_index("margin")
    assert margins.loc["total", "share"] == pytest.approx(np.expm1(at_reference(cells["export_value"], 2006)["estimate"]))
    prices = price_rows(data["tables"], panel, study).set_index("group")
    assert list(prices.index) == ["comparison", "treated"]
    assert (prices["value"] - prices["price"] * prices["volume"]).abs().max() < 1e-12
    yes = {"export_direct": estimate(panel, sample, study, study.outcome("export_direct"))}
    share = share_rows(panel, study, yes).iloc[0]
    assert share["observed"] - share["effect"] == pytest.approx(share["counterfactual"]) and 0 < share["conf_low"] < 1


def test_several_outcomes_at_once(made):
    study, _, panel, sample, _, _ = made
    keys = ("ln_sales", "ln_va_job")
    both = {k: estimate(panel, sample, study, study.outcome(k)) for k in keys}
    table = multiplicity_table(panel, sample, study, both).set_index("outcome")
    own = table.loc[list(keys)]
    assert own["p_holm"].to_dict() == holm(own["p_value"]).to_dict()
    assert (own["p_romano_wolf"] >= own["p_value"]).all() and (own["p_romano_wolf"] <= own["p_holm"] + 0.03).all()
    assert table.loc["summary_index", "p_value"] < 0.10  # both moved the same way


def test_one_overall_number_a_way_of_averaging(made):
    study, _, panel, sample, cells, _ = made
    path = path_of(panel, sample, study, "ln_sales", cells["ln_sales"])
    table = overall_rows({"ln_sales": cells["ln_sales"]}, {"ln_sales": path})
    assert table["weighting"].tolist() == ["overall", "cohort", "period", "event_time"]
    assert table["estimate"].between(0.03, 0.10).all()
    poisson = path_of(panel, sample, study, "export_value", cells["export_value"])
    assert {"pre", "post"} <= set(poisson.table["phase"])


def test_a_total_that_a_few_firms_carry_fails_its_check(road):
    rows = road["firm"]["design_checks"].query("check == 'amounts'").set_index("outcome")
    assert rows.loc["export_value_direct", "result"] == "fail"
    panel, sample, study = road["group"]["panel"], road["group"]["sample"], road["study"]
    wide = prepared(panel, sample, study, study.outcome("export_value_direct"))[0].wide("export_value_direct")
    cohort = panel.firms["cohort"].reindex(wide.index)
    base = wide.loc[cohort <= 2006, 2003].dropna()
    assert rows.loc["export_value_direct", "value"] == pytest.approx(base.sum() ** 2 / (base**2).sum())
    verdict = road["judged"]["verdicts"].set_index("id").loc["P1"]
    assert verdict["evidence"] == "inconclusive" and "check_fail=amounts" in verdict["remarks"]


def test_without_business_clusters_the_few_clusters_of_the_errors_are_judged(made):
    study, _, panel, sample, cells, _ = made
    bare = replace(panel, firms=panel.firms.drop(columns="business_cluster"))
    quick = study.sensitivity.model_copy(update={"permutations": 99})
    few = study.model_copy(update={"did": study.did.changed({"cluster": "municipality"}), "sensitivity": quick})
    with collected():
        rows = cluster_table(bare, sample, few, study.outcome("ln_sales")).set_index("kind")
        own = at_reference(estimate(bare, sample, few, study.outcome("ln_sales")), 2006)
    assert rows.loc["CR1_t", "n_clusters"] == bare.firms["municipality"].nunique() < 30
    assert rows.loc["CR1_t", "std_error"] == pytest.approx(own["std_error"], rel=1e-9)
    assert rows.loc["CR2", "p_value"] > 0
    with pytest.raises(DesignError, match=r"no business cluster, and the \d{3,} clusters of the errors are not few"):
        cluster_table(bare, sample, study, study.outcome("ln_sales"))


def test_trends_before_entry_of_imputation_are_its_leads(made):
    study, _, panel, sample, _, _ = made
    imputed = study.model_copy(update={"did": study.did.changed({"method": "imputation"})})
    with collected():
        cells = estimate(panel, sample, imputed, study.outcome("ln_sales"))
        path = path_of(panel, sample, imputed, "ln_sales", cells)
        earlier = before_entry(panel, sample, imputed, "ln_sales", path)
        firms, spec = prepared(panel, sample, imputed, study.outcome("ln_sales"))
        leads = pretrend_test(imputation_leads(firms, "ln_sales", 2, spec))  # 2001 to 2003 before the first entry: one for reference
        row = pretrend_rows({"ln_sales": cells}, {"ln_sales": earlier}, []).iloc[0]
        assert not pretrend_rows({"ln_sales": cells}, {"ln_sales": path}, [])["testable"].item()
    assert row["testable"] and row["n_coefficients"] == 2 and row["p_value"] == pytest.approx(leads["p_value"])
    assert before_entry(panel, sample, study, "ln_sales", path) is path
