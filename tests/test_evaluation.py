"""The whole road on the shipped sample, and what must hold of any evaluation."""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import quick

from pipeval import evaluate, read_study, stages
from pipeval.data.michigan import michigan
from pipeval.data.sample import write
from pipeval.did.detectable import detectable_table
from pipeval.errors import Note
from pipeval.evaluation import Evaluation
from pipeval.robustness.grid import robustness_grid

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def final(road):
    return Evaluation.of(*road.values())


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    folder = tmp_path_factory.mktemp("michigan")
    write(michigan(), folder)
    return evaluate(read_study(ROOT / "params" / "michigan_final.yaml", folder))


def headline(evaluation, outcome: str) -> pd.Series:
    rows = evaluation["effects"].query("headline and outcome == @outcome")
    assert len(rows) == 1
    return rows.iloc[0]


def test_headline_interval_holds_the_truth_of_the_firms_described(final):
    truth = pd.read_csv(ROOT / "data" / "sample" / "truth.csv").query("ref_year == 2006").set_index("firm_id")
    firms = pd.read_csv(ROOT / "data" / "sample" / "enterprises.csv").set_index("firm_id")
    members = firms.query("arm == 'beneficiary' and branch != 'garment'").index
    for outcome, column in {"ln_sales": "tau_ln_sales", "ln_va_job": "tau_ln_va_job", "ln_price": "tau_ln_price"}.items():
        row = headline(final, outcome)
        assert row["conf_low"] < truth.loc[members, column].mean() < row["conf_high"]


def test_every_outcome_is_a_value_or_a_named_gap(final):
    effects = final["effects"].query("headline").set_index("outcome")
    assert list(effects.index) == [o.id for o in final.study.outcomes]
    assert effects["estimate"].notna().all()
    assert set(final["effects"]["definition"]) == {"component2", "ta_recipient", "beneficiary"}


def test_goal_rows_are_not_yet_due_at_the_final(final):
    goals = final["verdicts"].query("level == 'goal'")
    assert (goals["attainment"] == "not_yet_due").all() and goals.loc[goals["id"] != "G4", "interim"].notna().all()
    assert not (goals["evidence"] == "target_ruled_out").any()


@pytest.mark.slow
def test_goal_rows_are_judged_ex_post():
    later = evaluate(read_study(ROOT / "params" / "guanajuato_expost.yaml"))["verdicts"].query("level == 'goal'")
    assert not (later["attainment"] == "not_yet_due").any()


@pytest.mark.slow
def test_the_midterm_sees_nothing_later_and_judges_no_goal():
    found = evaluate(read_study(ROOT / "params" / "guanajuato_midterm.yaml"))
    assert found["att_gt"]["period"].max() == 2004 and found["response"]["period"].max() == 2004
    goals = found["verdicts"].query("level == 'goal'")
    assert set(goals["attainment"]) == {"not_yet_due"} and set(goals["evidence"]) == {"not_assessed"}
    assert found["effects"]["early"].all()


def test_flow_only_shrinks_and_every_firm_of_the_register_is_accounted_for(final):
    flow = final["sample_flow"].pivot(index="arm", columns="stage", values="n").sum()
    assert flow["register"] >= flow["evaluated"] >= flow["comparable"] >= flow["surveyed_base"] >= flow["analysed"] > 0
    assert flow["comparable"] >= flow["matched"]
    pool = final["pool"].set_index("reason")["n"]
    assert pool.drop("treated_in_other_programme").sum() == len(
        stages.baseline(stages.proved_data(final.study), final.study)["everyone"].firms
    )


def test_no_effect_has_an_error_of_zero(final, real):
    for evaluation in (final, real):
        assert not (evaluation["effects"]["std_error"] == 0).any()
        assert not (evaluation["att_gt"].query("phase != 'base'")["std_error"] == 0).any()


def test_mde_does_not_move_with_the_outcome_after_the_programme():
    study = quick(read_study(ROOT / "params" / "guanajuato_final.yaml"))
    data = stages.proved_data(study)
    before = _power(data, study)
    measured = data["measures"].headline
    years = measured.index.get_level_values("period")
    measured.loc[years > 2003, "sales"] = measured.loc[years > 2003, "sales"] * 3
    for one, other in zip(_power(data, study), before, strict=True):
        pd.testing.assert_frame_equal(one, other)


def _power(data, study) -> tuple[pd.DataFrame, pd.DataFrame]:
    start = stages.baseline(data, study)
    found = stages.detectable(data, start, stages.control_group(data, start, study), study)
    return found["power"], found["simulated_power"]


def test_matches_do_not_move_with_the_outcome_after_the_programme():
    study = read_study(ROOT / "params" / "guanajuato_final.yaml")
    data = stages.proved_data(study)
    pairs = [_pairs(data, study)]
    measured = data["measures"].headline
    late = measured.index.get_level_values("period") > 2003
    shuffled = np.random.default_rng(1).permutation(measured.loc[late, "sales"].to_numpy())
    measured.loc[late, "sales"] = shuffled
    pairs.append(_pairs(data, study))
    pd.testing.assert_frame_equal(*pairs)


def _pairs(data, study) -> pd.DataFrame:
    return stages.control_group(data, stages.baseline(data, study), study)["sample"].pairs


def test_matching_on_the_outcome_level_is_loud_and_brings_its_comparison_row():
    study = read_study(ROOT / "params" / "guanajuato_final.yaml")
    study = study.model_copy(
        update={
            "outcomes": study.outcomes[:1],
            "match": study.match.model_copy(update={"covariates": (*study.match.covariates, "base_ln_sales")}),
        }
    )
    data = stages.proved_data(study)
    start = stages.baseline(data, study)
    group = stages.control_group(data, start, study)
    assert "match_on_outcome_level" in {n.key for n in group.notes}
    rows = robustness_grid(group["panel"], group["sample"], study, ["ln_sales"]).set_index("row")
    assert np.isfinite(rows.loc["match_without_outcome_level", "estimate"])


def test_michigan_gives_the_textbook_rows(real):
    rows = real["twfe"].query("outcome == 'ln_scrap'").set_index("term")[["estimate", "classical_error"]].round(4)
    assert rows.loc["event time 0"].tolist() == [-0.2523, 0.1506]
    assert rows.loc["event time 1"].tolist() == [-0.4216, 0.2102]
    assert rows.loc["post", "estimate"] == -0.2787


def test_michigan_says_what_cannot_be_tested(real):
    assert {"services", "budget", "ledger"} <= set(real["gaps"]["table"])
    power = real["power"]
    assert power["mde"].isna().all() and power["reason"].str.contains("one period before 1988").all()
    checks = real["design_checks"].set_index("check")["result"]
    assert checks["spillover"] == "not_testable" and checks["clusters"] == "not_testable"


def test_business_cluster_row_has_the_degrees_of_freedom_of_the_treated_clusters(final):
    row = final["robustness"].query("row == 'business_cluster' and outcome == 'ln_sales'").iloc[0]
    clusters = final["design_checks"].query("check == 'clusters'")["value"].iloc[0]
    assert row["df"] == clusters - 1


def test_outcome_regression_balances_its_covariates(final):
    rows = final["balance"].query("sample == 'weighted' and covariate in ['ln_workers', 'ln_age']")
    assert (rows["smd"].abs() < 0.02).all()  # not exactly zero: firms without a covariate leave


def test_net_counts_are_judged_by_the_checks_that_bear_on_them(final):
    rows = final["verdicts"].set_index("id").loc[["P3", "P4"]]
    assert not rows["remarks"].str.contains("check_[a-z_]+=(?:balance|support|pre_trend)").any()


def test_notes_are_kept_once(final):
    texts = [str(n) for n in final.notes]
    assert len(set(texts)) == len(texts) and all(isinstance(n, Note) for n in final.notes)


def test_currency_unit_changes_no_effect(tmp_path):
    """Sales in pesos instead of thousands: every log effect stays."""
    study = read_study(ROOT / "params" / "guanajuato_final.yaml")
    study = study.model_copy(update={"outcomes": study.outcomes[:2]})
    estimates = []
    for factor in (1.0, 1000.0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = stages.proved_data(study)
            for frame in (data["measures"].headline, data["measures"].nominal):
                if factor != 1.0:
                    frame[["sales", "value_added"]] *= factor
            start = stages.baseline(data, study)
            group = stages.control_group(data, start, study)
            power = stages.Stage({}, {"power": detectable_table(group["panel"], group["sample"], study)}, (), study)
            found = stages.effects(data, start, group, power, study)
        estimates.append(found["effects"].query("headline")["estimate"].to_numpy())
    np.testing.assert_allclose(estimates[0], estimates[1], rtol=1e-9)


def test_the_final_evaluation_is_dated_after_its_trigger(final):
    due = final["calendar"].query("event == 'final'")["on"].iloc[0]
    assert due.date() == datetime.date(2006, 10, 1) < final.study.as_of


def test_no_stage_writes_over_anothers_table(road):
    names = [name for stage in road.values() if isinstance(stage, stages.Stage) for name in stage.tables]
    assert len(names) == len(set(names)), sorted({n for n in names if names.count(n) > 1})
