"""The wine programme: another country, currency, sector and log frame, from files alone."""

from __future__ import annotations

import importlib.util

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, quick

from pipeval import stages
from pipeval.cli import main
from pipeval.errors import collected
from pipeval.report.bundle import Bundle
from pipeval.report.labels import covariate_label, outcome_label, study_words
from pipeval.report.text import read_text
from pipeval.robustness.checks import design_checks
from pipeval.stages import Stage
from pipeval.study.logframe import read_logframe
from pipeval.study.params import read_study

PARAMS = ROOT / "params" / "wine_final.yaml"
DATA = ROOT / "data" / "wine"


@pytest.fixture(scope="module")
def study():
    return quick(read_study(PARAMS))


@pytest.fixture(scope="module")
def walked(study) -> dict:
    """The road up to the verdicts, without the sensitivity chapter."""
    with collected():
        data = stages.proved_data(study)
        start = stages.baseline(data, study)
        group = stages.control_group(data, start, study)
        power = stages.detectable(data, start, group, study)
        found = stages.effects(data, start, group, power, study)
        cells = {key: found["cells"][key] for key in ("ln_sales", "ln_va_job", "ln_unit_cost")}
        panel, sample = group["panel"], group["sample"]
        checks = design_checks(start["everyone"], panel, sample, study, cells, group["balance"], found["paths"])
        judged = stages.verdicts(data, start, group, power, found, Stage({}, {"design_checks": checks}, (), study), study)
    return {"data": data, "start": start, "found": found, "judged": judged}


def headline(walked, outcome: str) -> pd.Series:
    effects = walked["found"]["effects"]
    return effects[effects["headline"] & (effects["outcome"] == outcome)].iloc[0]


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_check_is_clean(tmp_path, capsys):
    assert main(["check", str(PARAMS), "--out", str(tmp_path / "faults.csv")]) == 0
    assert "0 blocking faults, 0 queries" in capsys.readouterr().out


def test_the_script_makes_the_shipped_tables():
    spec = importlib.util.spec_from_file_location("make_wine", DATA / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.tables()
    assert {p.stem for p in DATA.glob("*.csv")} == set(made)
    assert sum(p.stat().st_size for p in DATA.iterdir() if p.is_file()) < 250_000
    for name, table in made.items():
        shipped = pd.read_csv(DATA / f"{name}.csv")
        assert shipped.shape == table.shape and list(shipped) == list(table), name
        for column in shipped.select_dtypes("number"):
            # the last digit may differ between processors
            np.testing.assert_allclose(
                shipped[column], table[column].astype(float), rtol=1e-3, atol=0.11, err_msg=f"{name}.{column}"
            )
    assert "pipeval" not in "".join(line for line in (DATA / "make.py").read_text().splitlines() if "import" in line)


def test_tables_agree_with_one_another():
    read = {p.stem: pd.read_csv(p) for p in DATA.glob("*.csv")}
    firms, budget = read["enterprises"].set_index("firm_id"), read["budget"]
    assert pd.crosstab(firms["arm"], firms["branch"])[["wine", "grapes"]].to_numpy().tolist() == [[30, 30], [45, 55]]
    planned = read["activities"].groupby("component")["planned_cost_usd"].sum()
    by_component = budget.groupby("component")["budget_usd"].sum()
    assert all(planned[c] == by_component[str(c)] for c in planned.index)
    spent = read["ledger"].query("kind != 'disbursement'").groupby(["component", "source"])["amount_usd"].sum()
    assert (spent <= budget.set_index(["component", "source"])["budget_usd"][spent.index]).all()
    actions = read["joint_actions"].drop_duplicates(["cluster_id", "on", "type"]).groupby("cluster_id").size()
    done = read["clusters"].set_index("cluster_id")["joint_actions_done"]
    assert actions.reindex(done.index, fill_value=0).tolist() == done.tolist()
    given = read["services"]
    np.testing.assert_allclose(given["programme_paid_usd"] + given["firm_paid_usd"], given["total_cost_usd"], atol=0.005)
    assert (given["start_on"] >= given["firm_id"].map(firms["registered_on"])).all()
    first = given["firm_id"].map(firms["entry_year"])
    assert (given["start_on"].str[:4].astype(int) >= first - 1).all()


# ── the log frame ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_log_frame_is_the_generic_one_edited():
    wine, generic = read_logframe("params/logframe_wine.yaml", ROOT), read_logframe("dini")
    assert [i.id for i in wine.indicators] == [i.id for i in generic.indicators]
    assert wine.indicator("P1").target == 0.15 and generic.indicator("P1").target == 0.20
    assert wine.indicator("C2.7").population["branch"] == ("grapes",)
    assert wine.indicator("C3.3").population["branch"] == ("wine",) and wine.links
    words = " ".join(str(i.text) for i in wine.indicators) + str(wine.title) + str(wine.goal) + str(wine.purpose)
    assert not any(gap in words for gap in ("sector X", "zona Y", "area Y", "X %", "X%"))


def test_every_indicator_gets_a_verdict(walked, study):
    table = walked["judged"]["verdicts"].set_index("id")
    assert len(table) == len(read_logframe("params/logframe_wine.yaml", ROOT).indicators)
    firms, survey = (pd.read_csv(DATA / f"{n}.csv") for n in ("enterprises", "survey"))
    own = firms[firms["arm"] == "beneficiary"]
    assert table.at["P3", "value"] == 60 and table.at["P3", "attainment"] == "met"
    assert table.at["C2.2", "attainment"] == "not_met"  # the bottling plant
    assert table.at["C4.3", "value"] == 3 and table.at["C4.3", "attainment"] == "partly_met"
    growers = own.loc[own["branch"] == "grapes", "firm_id"]
    sealed = survey[survey["firm_id"].isin(growers) & (survey["quality_seal"] == 1) & (survey["ref_year"] == 2016)]
    assert table.at["C2.7", "value"] == sealed["firm_id"].nunique()
    both = survey[
        survey["firm_id"].isin(own["firm_id"]) & survey["ref_year"].isin([2013, 2016]) & (survey["response"] == "complete")
    ]
    real = (
        (both["sales_kuyu"] / both["ref_year"].map({2013: 1.0, 2016: 1.297}))
        .groupby([both["firm_id"], both["ref_year"]])
        .sum()
        .unstack()
    )
    assert table.at["P1", "change"] == pytest.approx((real[2016] / real[2013] - 1).dropna().mean(), abs=1e-8)
    late = survey[survey["firm_id"].isin(own["firm_id"]) & (survey["ref_year"] == 2016)]
    assert table.at["C3.1", "value"] == pytest.approx(late["joint_sales_kuyu"].sum() / late["sales_kuyu"].sum(), abs=1e-8)
    assert set(table["evidence"]) >= {"descriptive"} and table.at["P1", "evidence"] in ("demonstrated", "indicative")


# ── the effect ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_headline_interval_covers_the_truth(walked):
    row = headline(walked, "ln_sales")
    cells = walked["found"]["cells"]["ln_sales"]
    truth = pd.read_csv(DATA / "truth.csv").query("ref_year == 2016").set_index("firm_id")["tau_ln_sales"]
    at = cells.table.index[(cells.table["period"] == 2016) & cells.table["estimate"].notna()]
    weight = cells.treated_weight[:, at] @ cells.table.loc[at, "n_treated"].to_numpy(float)
    true = float((weight / weight.sum()) @ truth.reindex(cells.firm_id).fillna(0.0).to_numpy())
    assert 0.14 < true < 0.18
    assert row["conf_low"] < true < row["conf_high"] and row["conf_low"] > 0
    assert row["conf_high"] - row["conf_low"] < 0.15


def test_unit_costs_fall_and_jobs_rise(walked):
    cost, jobs = headline(walked, "ln_unit_cost"), headline(walked, "ln_jobs")
    assert cost["direction"] == "decrease" and cost["conf_low"] < -0.3 * 0.159 < cost["conf_high"] < 0
    assert jobs["conf_low"] < 0.4 * 0.159 < jobs["conf_high"]


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_codes_of_the_programme_are_worded(study):
    plan = study.model_dump(mode="json")
    bundle = Bundle.build(plan, {})
    es, en = (study_words(read_text(lang), plan) for lang in ("es", "en"))
    assert (es.label("branch", "wine"), en.label("branch", "grapes")) == ("Bodegas", "Vineyards")
    assert covariate_label("branch=grapes", bundle, es) == "Rama: Viñedos"
    assert es.label("measure", "unit_cost_index") == "Costo unitario (año base = 100)"
    assert en.label("deflator", "ipc") == "deflated by the consumer price index of Uruguay"
    assert outcome_label("ln_sales", bundle, "es") == "Ventas reales"
    assert read_text("es").label("branch", "wine") == "wine"  # the shared words are left alone


def test_labels_of_a_study_win_and_fall_back_by_language():
    plan = {"labels": {"branch": {"leather": {"en": "Hides"}, "wine": {"pt": "Vinho"}, "void": {}}}}
    es = study_words(read_text("es"), plan)
    assert es.label("branch", "leather") == "Hides" and es.label("branch", "wine") == "Vinho"
    assert es.label("branch", "void") == "void" and es.label("branch", "footwear") == "Calzado"
    assert study_words(read_text("es"), {}) == read_text("es")


def test_the_plan_speaks_the_studys_own_words(tmp_path):
    assert main(["plan", str(PARAMS), "--out", str(tmp_path), "--on", "2014-06-30"]) == 0
    said = (tmp_path / "wine_final.plan.md").read_text(encoding="utf-8")
    assert "Bodegas y Viñedos" in said and "grapes" not in said
