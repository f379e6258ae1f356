"""Matching by entry cohort: covariates as of the year before entry, controls that enter later, reserves, and what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from pipeval.data.panel import NEVER, Panel
from pipeval.did.att_gt import att_gt
from pipeval.errors import DesignError, PipevalWarning, collected
from pipeval.matching.balance import balance_table
from pipeval.matching.match import match
from pipeval.matching.matched import cohort_values
from pipeval.matching.panel import match_panel
from pipeval.study.match_spec import MatchSpec
from pipeval.study.specs import DidSpec

YEARS = range(2001, 2008)


def made(n: int = 160, seed: int = 0) -> Panel:
    """Firms of cohorts 2004, 2005, 2006 and never; `ln_jobs` moves from year to year, `ln_sales` follows it."""
    rng = np.random.default_rng(seed)
    cohort = rng.choice([2004.0, 2005.0, 2006.0, NEVER], n, p=[0.15, 0.12, 0.1, 0.63])
    ids = pd.Index([f"F{i:04d}" for i in range(n)], name="firm_id")
    firms = pd.DataFrame({"cohort": cohort, "ln_age": rng.normal(size=n), "branch": rng.choice(["a", "b"], n)}, index=ids)
    jobs = rng.normal(3 + 0.3 * np.isfinite(cohort), 0.5, n)[:, None] + rng.normal(0, 0.2, (n, len(YEARS))).cumsum(axis=1)
    after = np.array(YEARS) >= cohort[:, None]
    sales = jobs + 0.3 * after + rng.normal(0, 0.1, jobs.shape)
    tables = {
        name: pd.DataFrame(values, index=ids, columns=list(YEARS)).stack()
        for name, values in (("ln_jobs", jobs), ("ln_sales", sales))
    }
    return Panel(firms, pd.DataFrame(tables).rename_axis(["firm_id", "period"]))


def by_cohort(**choices) -> MatchSpec:
    return MatchSpec(
        **({"covariates": ("base_ln_jobs", "ln_age"), "method": "nearest", "by_cohort": True, "exact": ("branch",)} | choices)
    )


def quiet(panel: Panel, spec: MatchSpec, **choices):
    """The match without its notes on outcome levels, which this file is not about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return match_panel(panel, spec, **choices)


def test_columns_are_of_the_year_before_each_cohort_enters():
    panel = made()
    sample = quiet(panel, by_cohort(covariates=("base_ln_jobs", "growth_ln_sales")))
    jobs, sales = panel.wide("ln_jobs"), panel.wide("ln_sales")
    for g, values in sample.values.groupby(level=0):
        ids = values.index.get_level_values(1)
        np.testing.assert_allclose(values["base_ln_jobs"], jobs.loc[ids, int(g) - 1])
        np.testing.assert_allclose(values["growth_ln_sales"], sales.loc[ids, int(g) - 1] - sales.loc[ids, int(g) - 3])
    assert set(sample.values.index.get_level_values(0)) == {2004, 2005, 2006}


def test_what_happens_after_entry_decides_nothing():
    panel = made()
    rng = np.random.default_rng(1)
    entry = panel.firms["cohort"].reindex(panel.outcomes.index.get_level_values(0)).to_numpy()
    late = panel.outcomes.index.get_level_values(1).to_numpy() >= np.minimum(entry, 2006)
    noise = panel.outcomes + rng.normal(size=panel.outcomes.shape) * late[:, None]
    # of never-treated firms every year up to 2005 is before somebody's entry
    one, other = (quiet(p, by_cohort(), until=2006) for p in (panel, Panel(panel.firms, noise)))
    pd.testing.assert_frame_equal(one.sets, other.sets)


def test_a_firm_serves_one_cohort_and_the_earliest_chooses_first():
    panel = made()
    sample = quiet(panel, by_cohort())
    controls = sample.sets[sample.sets["role"] == "control"]
    assert controls["firm_id"].is_unique
    assert (sample.sets.groupby("set_id")["cohort"].nunique() == 1).all() and sample.sets["cohort"].is_monotonic_increasing
    first = panel.firms[panel.firms["cohort"].isin([2004.0, NEVER])].assign(base_ln_jobs=panel.wide("ln_jobs")[2003])
    alone = match(first, by_cohort(by_cohort=False))
    of_2004 = sample.sets[sample.sets["cohort"] == 2004].reset_index(drop=True)
    pd.testing.assert_frame_equal(of_2004, alone.sets)


def test_candidates_may_enter_after_the_window_and_are_dropped_when_they_do():
    panel = made(seed=3)
    few = panel.keep(panel.firms.index[np.isfinite(panel.firms["cohort"]) | (panel.firms["ln_age"] > 0.9)], "test", "thinned")
    sample = quiet(few, by_cohort(exact=(), window=0))
    controls = sample.sets[sample.sets["role"] == "control"]
    entry = few.firms["cohort"].reindex(controls["firm_id"]).to_numpy()
    later = np.isfinite(entry)
    assert later.any() and (entry > controls["cohort"]).all()
    with collected() as notes:
        effects = att_gt(few, "ln_sales", DidSpec(), sample)
    assert any("more than match.window = 0 years after entry" in str(n) for n in notes)
    assert (effects.table["period"] <= effects.table["cohort"]).all()
    assert set(sample.sets.loc[sample.sets["role"] == "treated", "firm_id"]) & set(controls["firm_id"])
    # in its own cohort such a firm is treated, in the earlier one a control: never both in one cell
    assert not (effects.control & (effects.treated_weight > 0)).any()
    with pytest.raises(DesignError, match=r"match\.window.*comparison: never_treated would throw out"):
        att_gt(few, "ln_sales", DidSpec(comparison="never_treated"), sample)


def test_anticipation_moves_base_year_and_window():
    panel = made(seed=4)
    sample = quiet(panel, by_cohort(window=0), anticipation=1)
    values = sample.values.loc[2006.0]
    np.testing.assert_allclose(values["base_ln_jobs"], panel.wide("ln_jobs").loc[values.index, 2004])
    first = sample.values.loc[2004.0].index
    assert (
        not panel.firms["cohort"].reindex(first).isin([2005.0]).any() and panel.firms["cohort"].reindex(first).isin([2006.0]).any()
    )


def test_reserves_are_ranked_and_step_in():
    panel = made(260, seed=5)
    sample = quiet(panel, by_cohort(backups=3, caliper=1.0))
    plain = quiet(panel, by_cohort(caliper=1.0))
    pd.testing.assert_frame_equal(sample.sets, plain.sets)  # every cohort has its controls before anybody is reserved
    assert sample.backups["firm_id"].is_unique and sample.backups.groupby("set_id").size().max() == 3
    assert not sample.backups["firm_id"].isin(sample.sets["firm_id"]).any()
    first = sample.backups[sample.backups["set_id"].isin(sample.backups.query("rank == 2")["set_id"])].iloc[0]
    control = sample.sets.query("set_id == @first.set_id and role == 'control'")["firm_id"].iloc[0]
    seen = panel.firms.index.drop([control, first["firm_id"]])
    after = sample.with_backups(seen)
    second = sample.backups.query("set_id == @first.set_id and rank == 2")["firm_id"].iloc[0]
    assert after.sets.query("set_id == @first.set_id and role == 'control'")["firm_id"].tolist() == [second]
    assert after.unmatched.set_index("firm_id")["reason"][control] == "reserve"
    assert len(after.sets) == len(sample.sets) and after.weights.sum() == pytest.approx(sample.weights.sum())
    pd.testing.assert_frame_equal(sample.with_backups(panel.firms.index).sets, sample.sets)
    with pytest.raises(DesignError, match="kept no reserve controls"):
        quiet(panel, by_cohort()).with_backups(seen)


def test_balance_is_judged_on_what_was_matched():
    panel = made(seed=6)
    sample = quiet(panel, by_cohort(caliper=0.5))
    frame, weights = cohort_values(sample, panel.firms)
    table = balance_table(frame, weights, ["base_ln_jobs", "ln_age"]).set_index(["covariate", "sample"])
    pd.testing.assert_frame_equal(
        balance_table(panel.firms, sample, ["base_ln_jobs", "ln_age"]).set_index(["covariate", "sample"]), table
    )
    assert set(balance_table(panel.firms, sample)["covariate"]) == {"base_ln_jobs", "ln_age", "branch=a", "branch=b"}
    wanted = sample.values.loc[list(zip(sample.sets["cohort"], sample.sets["firm_id"], strict=True)), "base_ln_jobs"].to_numpy()
    for role, column in (("treated", "mean_treated"), ("control", "mean_control")):
        mine = (sample.sets["role"] == role).to_numpy()
        by_hand = np.average(wanted[mine], weights=sample.sets["weight"][mine])
        assert table.loc[("base_ln_jobs", "after"), column] == pytest.approx(by_hand)


def test_everyone_has_a_set_or_a_reason():
    panel = made(seed=7)
    for spec in (by_cohort(caliper=0.3), by_cohort(window=1), by_cohort(replace=True), by_cohort(method="ebal", exact=())):
        sample = quiet(panel, spec, until=2005)
        out = sample.unmatched
        assert not out.duplicated(["firm_id", "role"]).any()
        assert set(out["firm_id"]) | set(sample.sets["firm_id"]) == set(panel.firms.index)
        treated = panel.firms.index[panel.firms["cohort"] <= 2005]
        served = set(sample.sets.loc[sample.sets["role"] == "treated", "firm_id"])
        assert served | set(out.loc[out["role"] == "treated", "firm_id"]) >= set(treated)
        later = panel.firms.index[panel.firms["cohort"] == 2006]
        taken = sample.sets.loc[sample.sets["role"] == "control", "firm_id"]
        assert set(out.loc[out["reason"] == "later_cohort", "firm_id"]) == set(later) - set(taken)


def test_a_cohort_that_cannot_be_matched_is_named():
    panel = made(seed=8)
    only = panel.firms.assign(branch=np.where(panel.firms["cohort"] == 2005, "c", panel.firms["branch"]))
    with pytest.warns(PipevalWarning, match="cohort 2005 is not matched: no firm found a partner"):
        sample = match_panel(Panel(only, panel.outcomes), by_cohort(covariates=("ln_age",)))
    assert set(sample.sets["cohort"]) == {2004, 2006}
    left = sample.unmatched.set_index("firm_id").loc[only.index[only["cohort"] == 2005], "reason"]
    assert set(left) == {"cohort_not_matched"}
    with pytest.raises(DesignError, match="no entry cohort could be matched"):
        quiet(Panel(only.assign(cohort=only["cohort"].where(only["cohort"] == 2005, NEVER)), panel.outcomes), by_cohort())
    with pytest.raises(DesignError, match="set match.by_cohort: true"):
        match_panel(panel, MatchSpec(covariates=("ln_age",)))
    with pytest.raises(DesignError, match="use match_panel"):
        match(panel.firms, by_cohort(covariates=("ln_age",)))


def test_what_makes_no_sense_is_refused_before_any_cohort_is_matched():
    panel = made(seed=8)
    with pytest.raises(DesignError, match="anticipation is 0 years or more and lags 1 or more; found -3 and 2"):
        quiet(panel, by_cohort(), anticipation=-3)
    with pytest.raises(DesignError, match="'base_ln_job' is not one. Did you mean 'base_ln_jobs'"):
        quiet(panel, by_cohort(covariates=("base_ln_job",)))
    with pytest.raises(DesignError, match="no firm enters up to 2001; cohorts are 3 cohorts"):
        quiet(panel, by_cohort(), until=2001)
    with pytest.raises(DesignError, match=r"never_together lists firm ids; 1 firm \(F9999\)"):
        quiet(panel, by_cohort(never_together=(("F0001", "F9999"),)))
    with pytest.raises(DesignError, match="with did.anticipation: 1 some would leave their sets"):
        att_gt(panel, "ln_sales", DidSpec(anticipation=1), quiet(panel, by_cohort(window=1)))


def test_firms_never_together_of_one_cohort_bind_the_others_to_nothing():
    panel = made(seed=11)
    two = panel.firms.index[panel.firms["cohort"] == 2004][:2].tolist()
    free, bound = quiet(panel, by_cohort()), quiet(panel, by_cohort(never_together=(tuple(two),)))
    pd.testing.assert_frame_equal(free.sets, bound.sets)
    pairs = free.pairs.iloc[0]
    apart = quiet(panel, by_cohort(never_together=((pairs["treated_id"], pairs["control_id"]),)))
    assert not ((apart.pairs["treated_id"] == pairs["treated_id"]) & (apart.pairs["control_id"] == pairs["control_id"])).any()


def test_matching_on_levels_and_growth_is_noted_once():
    panel = made(seed=9)
    with pytest.warns(PipevalWarning) as caught:
        sample = match_panel(panel, by_cohort(covariates=("base_ln_sales", "growth_ln_sales")))
    assert [n.key for n in sample.notes] == ["match_on_outcome_level", "match_on_growth"] and len(caught) == 2
