"""Effects that cannot exist, and the base years: by hand on panels whose truth is known."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import pytest

from pipeval import NEVER, Panel
from pipeval.did.estimate import at_reference, estimate
from pipeval.errors import collected
from pipeval.matching.match import match
from pipeval.matching.panel import match_panel
from pipeval.robustness.placebos import base_rows, placebo_rows
from pipeval.study.specs import Outcome, Sensitivity, Study


def made(seed: int = 1, n: int = 160, drift: float = 0.0, dip: float = 0.0, trend: float = 0.0) -> Panel:
    """Years 2001 to 2006, a third of the firms treated from 2004 or 2005 with effect 0.3; `other` is never touched."""
    rng = np.random.default_rng(seed)
    years = np.arange(2001, 2007)
    ids = pd.Index([f"f{i:03d}" for i in range(n)], name="firm_id")
    cohort = rng.permutation(np.repeat([2004.0, 2005.0, NEVER], [n // 5, n // 8, n - n // 5 - n // 8]))
    treated = np.isfinite(cohort)[:, None]
    walk = rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, len(years)))
    y = walk + 0.3 * (cohort[:, None] <= years) + drift * treated * (years - 2001) - dip * treated * (years == 2003)
    other = rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, len(years))) + trend * treated * (years >= 2004)
    outcomes = pd.DataFrame(
        {"y": y.ravel(), "other": other.ravel()}, index=pd.MultiIndex.from_product([ids, years], names=["firm_id", "period"])
    )
    firms = pd.DataFrame({"cohort": cohort, "size": rng.normal(size=n), "branch": rng.choice(["a", "b"], n)}, ids)
    return Panel(firms, outcomes)


def plan(small, **changes) -> Study:
    study = small.read()
    outcomes = (
        Outcome(id="y", measure="sales", scale="level", label={}, relevant_effect=0.3),
        Outcome(id="other", measure="sales", scale="level", label={}, untouched=True),
    )
    treatment = study.treatment.model_copy(update={"reference_year": 2006})
    baseline = study.baseline.model_copy(update={"pre_years": (2001, 2002)})
    did = study.did.changed({"method": "reg"})
    wanted = {"outcomes": outcomes, "treatment": treatment, "baseline": baseline, "did": did, "sensitivity": Sensitivity()}
    return study.model_copy(update=wanted | changes)


def setting(small, panel: Panel, **changes):
    study = plan(small, **changes)
    spec = study.match.model_copy(update={"covariates": ("size",), "exact": (), "caliper": None})
    study = study.model_copy(update={"match": spec})
    with collected():
        return panel, match(panel.firms, spec, until=2006), study, study.outcomes[0]


def test_an_honest_design_passes_its_placebos(small):
    table = placebo_rows(*setting(small, made()), placebos=40).set_index("placebo")
    assert list(table.index) == ["pre_period_2002", "pre_period_2003", "fake_cohort", "untouched"]
    assert (table["result"] == "pass").all() and (table["note"] == "").all()
    assert table.loc["untouched", "outcome"] == "other" and table.loc["fake_cohort", "draws"] == 40
    assert table["estimate"].abs().max() < 0.06


def test_the_pretended_entry_is_the_difference_up_to_the_base_year(small):
    panel = made(2)
    table = placebo_rows(*setting(small, panel), placebos=2).set_index("placebo")
    wide, treated = panel.wide("y"), np.isfinite(panel.firms["cohort"])
    for entry in (2002, 2003):
        change = wide[2003] - wide[entry - 1]
        assert table.loc[f"pre_period_{entry}", "estimate"] == pytest.approx(
            change[treated].mean() - change[~treated].mean(), abs=1e-12
        )


def test_nothing_after_the_base_year_is_read_before_it(small):
    panel = made(3)
    later = panel.outcomes.index.get_level_values(1) > 2003
    spoilt = Panel(panel.firms, panel.outcomes.mask(pd.Series(later, panel.outcomes.index), 9e9, axis=0))
    rows = [placebo_rows(*setting(small, p), placebos=2).iloc[:2] for p in (panel, spoilt)]
    pd.testing.assert_frame_equal(*rows)


def test_drift_and_a_touched_placebo_are_caught(small):
    table = placebo_rows(*setting(small, made(drift=0.15, trend=0.2)), placebos=10).set_index("placebo")
    assert table.loc[["pre_period_2002", "pre_period_2003", "untouched"], "result"].tolist() == ["fail"] * 3
    assert table.loc["fake_cohort", "result"] == "pass"  # drift of the treated does not touch those never treated


def test_a_placebo_too_weak_to_tell_is_only_informative(small):
    panel, sample, study, outcome = setting(small, made())
    weak = outcome.model_copy(update={"relevant_effect": 0.001})
    assert placebo_rows(panel, sample, study, weak, placebos=2)["result"].iloc[:2].tolist() == ["informative"] * 2


def test_too_many_false_findings_fail(small, monkeypatch):
    """Twelve of 99 draws found significant are more than three binomial errors above one in twenty; eleven are not."""
    arguments = setting(small, made())
    for found, result in ((11, "pass"), (12, "fail")):
        draws = iter([(0.1 * (-1) ** k, 0.01 if k < found else 0.5) for k in range(99)])
        monkeypatch.setattr("pipeval.robustness.placebos._fake", lambda *_, draws=draws: next(draws))
        row = placebo_rows(*arguments).set_index("placebo").loc["fake_cohort"]
        assert (row["result"], row["rejected"], row["draws"]) == (result, pytest.approx(found / 99), 99)
        assert row["estimate"] == pytest.approx(0.1 / 99)


def test_draws_do_not_depend_on_who_makes_them(small):
    arguments = setting(small, made())
    with ProcessPoolExecutor(2) as pool:
        pd.testing.assert_frame_equal(placebo_rows(*arguments, placebos=6, executor=pool), placebo_rows(*arguments, placebos=6))


def test_what_cannot_be_tested_says_why(small):
    panel = made()
    few = panel.keep(
        panel.firms.index[np.isfinite(panel.firms["cohort"])][:20].append(panel.firms.index[np.isinf(panel.firms["cohort"])][:12]),
        "test",
        "x",
    )
    short = Panel(few.firms, few.outcomes[few.outcomes.index.get_level_values(1) >= 2003])
    panel, sample, study, outcome = setting(small, short)
    table = placebo_rows(panel, sample, study.model_copy(update={"outcomes": (outcome,)}), outcome)
    assert (table["result"] == "not_testable").all()
    assert table["note"].tolist() == [
        "no two years before the programme",
        "only 12 never-treated firms",
        "no outcome is declared out of the programme's reach (untouched: true)",
    ]


def test_a_matched_design_compares_the_matched(small):
    panel, sample, study, outcome = setting(small, made(5), headline="matched")
    table = placebo_rows(panel, sample, study, outcome, placebos=2).set_index("placebo")
    weight = sample.weights.groupby(level="firm_id").sum()
    change = (panel.wide("y")[2003] - panel.wide("y")[2002]).reindex(weight.index)
    treated = np.isfinite(panel.firms.loc[weight.index, "cohort"])
    by_hand = [np.average(change[arm], weights=weight[arm]) for arm in (treated, ~treated)]
    assert table.loc["pre_period_2003", "estimate"] == pytest.approx(by_hand[0] - by_hand[1], abs=1e-12)


def test_a_control_that_enters_later_is_no_control_when_all_enter_at_once(small):
    panel, _, study, outcome = setting(small, made(5), headline="matched")
    spec = study.match.model_copy(update={"by_cohort": True, "window": 0, "covariates": ("size",)})
    with collected():
        sample = match_panel(panel, spec)
    serves = sample.sets[sample.sets["role"] == "control"].set_index("firm_id")["weight"]
    later = serves.index.isin(panel.firms.index[np.isfinite(panel.firms["cohort"])])
    assert later.any() and (~later).any()
    found = placebo_rows(panel, sample, study, outcome, placebos=2).set_index("placebo").loc["pre_period_2003", "estimate"]
    change = panel.wide("y")[2003] - panel.wide("y")[2002]
    treated = sample.sets.loc[sample.sets["role"] == "treated", "firm_id"]
    controls = serves[~later]
    by_hand = change[treated].mean() - np.average(change[controls.index], weights=controls)
    assert found == pytest.approx(by_hand, abs=1e-12)


# --- base years -------------------------------------------------------------------------------------------------------


def test_base_years_by_hand(small):
    panel, sample, study, outcome = setting(small, made(6, dip=0.2))
    table = base_rows(panel, sample, study, outcome).set_index("base")
    assert list(table.index) == ["own", "2001", "2002", "2003", "mean", "own_without_recalled", "mean_without_recalled"]
    wide, treated = panel.wide("y"), np.isfinite(panel.firms["cohort"])
    for year in (2001, 2002, 2003):
        change = wide[2006] - wide[year]
        assert table.loc[str(year), "estimate"] == pytest.approx(change[treated].mean() - change[~treated].mean(), abs=1e-12)
    change = wide[2006] - wide[[2001, 2002, 2003]].mean(axis=1)
    arms = change[treated], change[~treated]
    assert table.loc["mean", "estimate"] == pytest.approx(arms[0].mean() - arms[1].mean(), abs=1e-12)
    error = np.sqrt(sum(a.var(ddof=0) / len(a) for a in arms) * len(change) / (len(change) - 1))
    assert table.loc["mean", "std_error"] == pytest.approx(
        error, rel=1e-9
    )  # the influence of the average is that of the average base
    with collected():
        headline = at_reference(estimate(panel, sample, study, outcome), 2006)
    assert table.loc["own", "estimate"] == pytest.approx(headline["estimate"], abs=1e-12)
    assert table.loc["2003", "estimate"] - table.loc["2001", "estimate"] == pytest.approx(0.2, abs=0.06)  # a dip flatters


def test_recalled_answers_leave_where_the_panel_knows_them(small):
    panel = made(7)
    flagged = panel.outcomes.assign(recall_flag=(panel.outcomes.index.get_level_values(1) == 2001).astype(float))
    known = Panel(panel.firms, flagged)
    panel, sample, study, outcome = setting(small, panel)
    unknown = base_rows(panel, sample, study, outcome).set_index("base")
    assert unknown["note"].str.contains("no column recall_flag").sum() == 2 and unknown["estimate"].isna().sum() == 2
    table = base_rows(known, sample, study, outcome).set_index("base")
    assert (table["note"] == "").all()
    assert table.loc["own_without_recalled", "estimate"] == pytest.approx(table.loc["own", "estimate"], abs=1e-12)
    two = np.mean([table.loc[y, "estimate"] for y in ("2002", "2003")])
    assert table.loc["mean_without_recalled", "estimate"] == pytest.approx(two, abs=1e-12)
