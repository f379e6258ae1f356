"""Imputation: against R's didimputation and did2s, against least squares on dummies, and what must leave it unmoved.

R's standard errors have no factor G/(G−1); its leads have fixest's factor, which counts leads and periods as parameters.
"""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval.data.panel import NEVER, Panel
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.effects import Effects
from pipeval.did.imputation import imputation_cells, imputation_leads
from pipeval.did.inference import pretrend_test
from pipeval.errors import DesignError, EstimationError, Note, PipevalWarning, some
from pipeval.study.specs import DidSpec

HERE = Path(__file__).parent / "reference"
FILES = {"": "did_panel/panel.csv", "unbalanced_": "did_panel_unbalanced/panel_unbalanced.csv"}
EXPECTED = json.loads((HERE / "did_imputation" / "expected.json").read_text(encoding="utf-8"))["results"]
IMPUTATION = DidSpec(method="imputation")


@cache
def reference_panel(case: str) -> Panel:
    frame = pd.read_csv(HERE / FILES[case])
    return Panel.from_frame(frame, firm_id="firm", period="year", cohort="cohort", outcomes=["y"], covariates=["x1", "x2"])


def made(seed: int = 5, n: int = 30, missing: float = 0.15, cohorts=(1.0, 4.0, 5.0, 9.0, NEVER)) -> Panel:
    """Firms over periods 1–6 with holes, a numeric and a categorical covariate, sampling weights, effects that differ."""
    rng = np.random.default_rng(seed)
    index = pd.Index([f"f{i:03d}" for i in range(n)], name="firm_id")
    firms = pd.DataFrame(
        {
            "cohort": rng.permutation(np.resize(np.array(cohorts), n)),
            "size": rng.normal(size=n),
            "kind": rng.choice(list("ab"), n),
            "weight": rng.uniform(0.5, 2, n),
        },
        index=index,
    )
    t = np.arange(1, 7)
    event = t - firms["cohort"].to_numpy()[:, None]
    y = 3 * rng.normal(size=(n, 1)) + rng.normal(0, 0.5, (n, 6)).cumsum(axis=1) + np.where(event >= 0, rng.normal(1, 1, (n, 1)), 0)
    y[rng.random(y.shape) < missing] = np.nan
    return Panel(firms, pd.DataFrame(y, index=index, columns=pd.Index(t, name="period")).stack().dropna().to_frame("y"))


def quiet(function, *arguments, **options) -> Effects:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return function(*arguments, **options)


def cells(panel: Panel, spec: DidSpec = IMPUTATION, **options) -> Effects:
    return quiet(imputation_cells, panel, "y", spec, **options)


def noted(effects: Effects) -> dict[str, Note]:
    return {note.key: note for note in effects.notes}


def plain_error(effects: Effects) -> np.ndarray:
    """Standard errors without our factor G/(G−1)."""
    groups = effects.table["n_clusters"].to_numpy()
    return effects.table["std_error"].to_numpy() * np.sqrt((groups - 1) / groups)


def same(one: Effects, other: Effects, columns=("cohort", "period", "estimate", "std_error"), tolerance: float = 1e-9) -> None:
    pd.testing.assert_frame_equal(one.table[list(columns)], other.table[list(columns)], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("case", FILES)
def test_the_mean_effect_is_that_of_didimputation(case):
    found = quiet(aggregate, cells(reference_panel(case)), "overall", shares="known")
    wanted = EXPECTED[case + "imputation_static"]
    assert found.table["estimate"].item() == pytest.approx(wanted["estimate"], abs=1e-8)
    assert plain_error(found).item() == pytest.approx(wanted["std.error"], abs=1e-8)
    if not case:  # the same point from did2s, whose error takes the first step's differently
        assert found.table["estimate"].item() == pytest.approx(EXPECTED["did2s_static"]["Estimate"], abs=1e-8)


@pytest.mark.parametrize("case", FILES)
def test_event_times_are_those_of_didimputation(case):
    found = quiet(aggregate, cells(reference_panel(case)), "event_time", shares="known")
    wanted = pd.DataFrame(EXPECTED[case + "imputation_event"]).astype({"term": float}).set_index("term").loc[0:]
    np.testing.assert_allclose(found.table["estimate"][:-1], wanted["estimate"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(plain_error(found)[:-1], wanted["std.error"], rtol=0, atol=1e-8)


@pytest.mark.parametrize("case", FILES)
def test_leads_are_those_of_didimputation(case):
    panel = reference_panel(case)
    found = imputation_leads(panel, "y", 3)
    wanted = pd.DataFrame(EXPECTED[case + "imputation_event"]).astype({"term": int}).set_index("term").loc[:-1]
    untreated = int((panel.outcomes.index.get_level_values(1) < panel.firms["cohort"].reindex(panel.outcomes.index, level=0)).sum())
    counted = 3 + len(panel.periods)
    factor = np.sqrt((untreated - 1) / (untreated - counted))
    assert found.table["event_time"].tolist() == wanted.index.tolist()
    np.testing.assert_allclose(found.table["estimate"], wanted["estimate"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.table["std_error"] * factor, wanted["std.error"], rtol=0, atol=1e-8)


def dummies(panel: Panel, covariates: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    """The long data and, row by row, dummies of firms and of periods, these also times each covariate."""
    data = panel.outcomes.dropna().reset_index().merge(panel.firms, left_on="firm_id", right_index=True)
    period = pd.get_dummies(data["period"], dtype=float)
    numbers = [data[c] if c != "kind" else (data[c] == "b").astype(float) for c in covariates]
    parts = [pd.get_dummies(data["firm_id"], dtype=float), period, *(period.mul(x, axis=0) for x in numbers)]
    return data, pd.concat(parts, axis=1).to_numpy()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("covariates", [(), ("size",), ("size", "kind")])
@pytest.mark.parametrize("anticipation", [0, 1])
@pytest.mark.parametrize("weighted", [False, True])
def test_cells_are_least_squares_on_dummies(seed, covariates, anticipation, weighted):
    """Brute force: every weight of every observation by the normal equations, on thirty firms with holes."""
    panel = made(seed, n=40)
    spec = DidSpec(method="imputation", covariates=covariates, anticipation=anticipation)
    found = cells(panel, spec, weights=panel.firms["weight"] if weighted else None)
    data, z = dummies(panel, list(covariates))
    w = data["weight"].to_numpy() if weighted else np.ones(len(data))
    y, cohort, period = data["y"].to_numpy(), data["cohort"].to_numpy(), data["period"].to_numpy()
    free = period < cohort - anticipation
    solve = np.linalg.pinv((z[free] * w[free, None]).T @ z[free], rcond=1e-11) @ (z[free] * w[free, None]).T
    theta = solve @ y[free]
    identified = np.abs(z - z @ (solve @ z[free])).max(axis=1) < 1e-7
    residual = y - z @ theta
    for k, row in enumerate(found.table.itertuples()):
        mine = (cohort == row.cohort) & (period == row.period) & identified
        share = np.where(mine, w, 0) / w[mine].sum()
        v = share.copy()
        v[free] -= (share @ z) @ solve
        tau = share @ residual
        epsilon = residual - np.where(mine, tau, 0.0)
        influence = pd.Series(v * epsilon, index=data["firm_id"]).groupby(level=0).sum()
        assert row.estimate == pytest.approx(tau, abs=1e-9)
        np.testing.assert_allclose(found.influence[:, k], influence.reindex(found.firm_id).fillna(0), rtol=0, atol=1e-9)
        assert row.n_treated == mine.sum() and row.weight_treated == pytest.approx(w[mine].sum())
    assert len(found.table) >= 4


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("covariates", [(), ("size",)])
def test_leads_are_least_squares_on_dummies(seed, covariates):
    panel = made(seed, n=40)
    found = quiet(imputation_leads, panel, "y", 2, DidSpec(covariates=covariates), weights=panel.firms["weight"])
    data, z = dummies(panel, list(covariates))
    event = (data["period"] - data["cohort"]).to_numpy()
    free = event < 0
    lead = np.column_stack([(event == k).astype(float) for k in (-2, -1)])
    x, w, y = np.column_stack([lead, z])[free], data["weight"].to_numpy()[free], data["y"].to_numpy()[free]
    solve = np.linalg.pinv((x * w[:, None]).T @ x, rcond=1e-11) @ (x * w[:, None]).T
    beta = solve @ y
    np.testing.assert_allclose(found.table["estimate"], beta[:2], rtol=0, atol=1e-9)
    influence = pd.DataFrame((solve[:2] * (y - x @ beta)).T, index=data["firm_id"][free]).groupby(level=0).sum()
    np.testing.assert_allclose(found.influence, influence.reindex(found.firm_id).fillna(0), rtol=0, atol=1e-9)
    trend = np.where(np.isfinite(event), event, 0.0)[free]
    np.testing.assert_allclose(found.table["span"], (solve @ trend)[:2], rtol=0, atol=1e-9)


def test_one_cohort_with_one_period_before_is_the_two_by_two():
    panel = made(missing=0.0, cohorts=(2.0, NEVER))
    plain = quiet(att_gt, panel, "y", DidSpec(base="varying"))
    same(
        cells(panel), plain, ("cohort", "period", "estimate", "std_error", "n_treated", "n_control", "span", "phase", "base_period")
    )


def test_all_periods_before_entry_are_used():
    """By hand: a firm's level before entry is its mean over both periods, and so is that of its comparison."""
    y = {"a": [1, 3, 10], "b": [2, 4, 8], "c": [0, 1, 4], "d": [5, 6, 8]}
    outcomes = pd.DataFrame(y, index=pd.Index([1, 2, 3], name="period")).rename_axis("firm_id", axis=1).T.stack().to_frame("y")
    found = cells(Panel(pd.DataFrame({"cohort": [3, 3, NEVER, NEVER]}, index=list("abcd")), outcomes))
    assert found.table["estimate"].item() == pytest.approx((8 + 5) / 2 - (3.5 + 2.5) / 2)
    assert found.table[["base_period", "span", "event_time", "phase"]].iloc[0].tolist() == [2, 1, 0, "post"]


def test_firms_treated_throughout_change_nothing():
    panel = made()
    without = panel.keep(panel.firms.index[panel.firms["cohort"] > 1], "test", "always")
    found = cells(panel)
    always = panel.firms.index[panel.firms["cohort"] == 1]
    assert str(noted(found)["never_untreated"]).endswith(f": {some(always)}")
    same(found, cells(without))


def test_an_effect_added_is_found_and_firm_and_period_effects_are_not():
    panel = made()
    firm, period = panel.outcomes.index.get_level_values(0), panel.outcomes.index.get_level_values(1).to_numpy()
    rng = np.random.default_rng(1)
    cohort = panel.firms["cohort"].reindex(firm).to_numpy()
    shift = 100 * pd.Series(rng.normal(size=len(panel.firms)), panel.firms.index).reindex(firm).to_numpy() + np.sqrt(period)
    kind = (panel.firms["kind"].reindex(firm) == "b").to_numpy()
    moved = Panel(panel.firms, panel.outcomes + np.where(period >= cohort, 2.5, 0.0)[:, None] + shift[:, None])
    before, after = cells(panel).table, cells(moved).table
    np.testing.assert_allclose(after["estimate"], before["estimate"] + 2.5, rtol=0, atol=1e-10)
    np.testing.assert_allclose(after["std_error"], before["std_error"], rtol=0, atol=1e-10)
    spec = DidSpec(method="imputation", covariates=("kind",))
    drifting = Panel(panel.firms, panel.outcomes + (kind * period**2)[:, None])
    same(cells(panel, spec), cells(drifting, spec))


def test_order_and_names_of_firms_do_not_matter():
    panel = made()
    names = pd.Series(np.random.default_rng(2).permutation(len(panel.firms)), index=panel.firms.index)
    outcomes = panel.outcomes.reset_index().assign(firm_id=lambda f: f["firm_id"].map(names)).set_index(["firm_id", "period"])
    renamed = Panel(panel.firms.set_axis(names.to_numpy(), axis=0), outcomes.sample(frac=1, random_state=0))
    same(cells(panel), cells(renamed), cells(panel).table.columns)
    same(cells(panel, clusters=panel.firms["kind"] + panel.firms["cohort"].astype(str)), cells(
        renamed, clusters=(panel.firms["kind"] + panel.firms["cohort"].astype(str)).set_axis(names.to_numpy())
    ))  # fmt: skip


def test_every_firm_twice_halves_the_variance_and_weighs_two():
    panel = made()
    names = "again" + panel.firms.index
    again = panel.outcomes.set_index(
        pd.MultiIndex.from_arrays(["again" + panel.outcomes.index.get_level_values(0), panel.outcomes.index.get_level_values(1)])
    )
    double = Panel(pd.concat([panel.firms, panel.firms.set_axis(names, axis=0)]), pd.concat([panel.outcomes, again]))
    one, two = cells(panel), cells(double)
    np.testing.assert_allclose(two.table["estimate"], one.table["estimate"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(plain_error(two), plain_error(one) / np.sqrt(2), rtol=1e-9)
    by_hand = panel.firms["cohort"].eq(4.0) + 1.0
    others = panel.firms.index[panel.firms["cohort"] != 4.0]
    keep = double.firms.index.difference("again" + others)
    same(cells(panel, weights=by_hand), cells(double.keep(keep, "test", "once")), ("cohort", "period", "estimate"))


def test_a_period_in_which_all_are_treated_leaves_with_a_note():
    panel = made(missing=0.0, cohorts=(3.0, 5.0))
    found = cells(panel)
    assert set(found.table["period"]) == {3, 4} and set(found.table["cohort"]) == {3}
    lost = "cohort 3, 2→5, cohort 3, 2→6, cohort 5, 4→5, cohort 5, 4→6"
    assert str(noted(found)["no_comparison"]) == f"left out, without comparison firms: 4 cells ({lost})"
    assert "not_identified" not in noted(found)


def test_a_firm_that_nothing_links_to_the_period_leaves_alone():
    """Periods 1–2 and 3–4 share no untreated firm; only the firm seen untreated in 3 can be compared in period 4."""
    seen = {"a": (1, 2, 4), "b": (3, 4), "b2": (3, 4), "c": (1, 2), "d": (1, 2), "e": (3, 4), "g": (3, 4)}
    rows = [(f, t, 4 if f[0] in "ab" else 0) for f, periods in seen.items() for t in periods]
    frame = pd.DataFrame(rows, columns=["firm", "year", "start"]).assign(y=lambda f: np.arange(len(f)) ** 1.5)
    panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    found = cells(panel)
    assert found.table["n_treated"].tolist() == [2]
    assert str(noted(found)["not_identified"]).endswith(": 1 firm-period (a in 4)")
    same(found, cells(panel.keep(["b", "b2", "c", "d", "e", "g"], "test", "gone")))


def test_a_level_that_only_treated_firms_have_cannot_be_imputed():
    panel = made(missing=0.0, cohorts=(2.0, NEVER))
    odd = panel.firms.index[panel.firms["cohort"] == 2.0][:3]
    firms = panel.firms.assign(kind=panel.firms["kind"].mask(panel.firms.index.isin(odd), "c"))
    found = cells(Panel(firms, panel.outcomes), DidSpec(covariates=("kind",)))
    assert ": 15 firm-periods (" in str(noted(found)["not_identified"])
    same(found, cells(panel.keep(panel.firms.index.difference(odd), "test", "odd"), DidSpec(covariates=("kind",))))


def test_anticipation_moves_what_counts_as_untreated():
    found = cells(made(missing=0.0), DidSpec(method="imputation", anticipation=1)).table
    assert found.query("event_time == -1")["phase"].eq("anticipation").all()
    assert (found["base_period"] == found["cohort"] - 2).all() and (found["span"] == found["event_time"] + 2).all()


def test_firms_that_count():
    """A comparison firm seen untreated once is absorbed by its own effect; one of the cohort is not a comparison."""
    panel = made(n=60)
    never = panel.firms.index[panel.firms["cohort"] == NEVER][0]
    once = (panel.outcomes.index.get_level_values(0) != never) | (panel.outcomes.groupby(level=0).cumcount() == 0).to_numpy()
    panel = Panel(panel.firms, panel.outcomes[once])
    found = cells(panel)
    seen = panel.wide("y").notna() & (panel.periods < panel.firms["cohort"].to_numpy()[:, None])
    for k, row in enumerate(found.table.itertuples()):
        control = (seen.sum(axis=1) > 1) & (panel.firms["cohort"] != row.cohort)
        assert (found.control[:, k] == control.to_numpy()).all()
        assert row.n_control == control.sum()
    assert seen.loc[never].sum() == 1 and not found.member[found.firm_id == never].any()
    np.testing.assert_allclose(found.treated_weight.sum(axis=0), 1)


def test_summaries_bands_and_clusters_work_as_for_any_cells():
    panel = made(n=80, missing=0.0)
    found = cells(panel)
    for by in ("overall", "cohort", "event_time", "period"):
        assert aggregate(found, by).table["std_error"].notna().all()
    post = quiet(aggregate, found, "event_time").bands(draws=99).table
    assert (post["band_low"] <= post["conf_low"] + 1e-12)[:-1].all()
    kinds = panel.firms["kind"] + panel.firms["cohort"].astype(str)
    named = DidSpec(method="imputation", cluster="which")
    by_name = quiet(imputation_cells, Panel(panel.firms.assign(which=kinds), panel.outcomes), "y", named)
    same(by_name, cells(panel, clusters=kinds))
    assert by_name.table["n_clusters"].max() <= kinds.nunique()


def test_the_slope_that_the_leads_would_have_found():
    """A trend of the treated firms' own moves each lead by slope × span, whatever the holes and cohorts."""
    panel = made(n=60, cohorts=(4.0, 5.0, 9.0, NEVER))
    firm, period = panel.outcomes.index.get_level_values(0), panel.outcomes.index.get_level_values(1).to_numpy()
    cohort = panel.firms["cohort"].reindex(firm).to_numpy()
    drift = Panel(panel.firms, panel.outcomes + np.where(np.isfinite(cohort), 0.3 * period, 0.0)[:, None])
    one, other = imputation_leads(panel, "y", 2), imputation_leads(drift, "y", 2)
    np.testing.assert_allclose(other.table["estimate"] - one.table["estimate"], 0.3 * one.table["span"], rtol=0, atol=1e-10)
    test = pretrend_test(one)
    assert test["reason"] == "" and test["n_rows"] == 2 and test["detectable"] > 0


def test_span_with_one_cohort_is_the_distance_from_the_mean_of_earlier_periods():
    table = imputation_leads(made(missing=0.0, cohorts=(5.0, NEVER)), "y", 2).table
    np.testing.assert_allclose(table["span"], [-2 + 3.5, -1 + 3.5])
    assert table[["term", "phase"]].drop_duplicates().to_numpy().tolist() == [["event_time", "pre"]]


def test_without_never_treated_firms_no_common_trend_can_be_tested():
    leads = imputation_leads(made(missing=0.0, cohorts=(4.0, 5.0, 6.0)), "y", 1)
    assert leads.table[["n_treated", "n_control"]].iloc[0].tolist() == [30, 20]
    assert leads.table["span"].tolist() == [0.0]
    assert np.isnan(pretrend_test(leads)["detectable"]) and pretrend_test(leads)["p_value"] > 0


def test_leads_look_only_at_untreated_observations():
    panel = made(missing=0.0, cohorts=(4.0, 5.0, NEVER))
    cohort = panel.firms["cohort"].reindex(panel.outcomes.index.get_level_values(0)).to_numpy()
    moved = Panel(panel.firms, panel.outcomes.where((panel.outcomes.index.get_level_values(1) < cohort)[:, None], 77.0))
    same(imputation_leads(panel, "y", 2), imputation_leads(moved, "y", 2), ("event_time", "estimate", "std_error"))
    early = imputation_leads(panel, "y", 1, DidSpec(anticipation=1))
    assert early.table["event_time"].tolist() == [-2]


@pytest.mark.parametrize(
    ("cohorts", "message"),
    [
        ((NEVER,), "no firm is treated within"),
        ((1.0, NEVER), "never observed untreated"),
        ((1.0,), "observed untreated in two periods"),
    ],
)
def test_designs_without_an_answer(cohorts, message):
    with pytest.raises(DesignError, match=message):
        cells(made(missing=0.0, cohorts=cohorts))


def test_refusals_say_what_to_do():
    panel = made(missing=0.0)
    copied = Panel(panel.firms.assign(copy=1 - 3 * panel.firms["size"]), panel.outcomes)
    with pytest.raises(EstimationError, match="collinear covariate: 'size', 'copy'.*drop one"):
        cells(copied, DidSpec(method="imputation", covariates=("size", "copy")))
    with pytest.raises(DesignError, match="price varies over periods.*panel.firms"):
        cells(Panel(panel.firms, panel.outcomes.assign(price=1.0)), DidSpec(method="imputation", covariates=("price",)))
    with pytest.raises(DesignError, match="Series by firm_id, one a firm"):
        cells(panel, weights=pd.concat({4.0: panel.firms["weight"]}))
    with pytest.raises(DesignError, match="at least 1 period"):
        imputation_leads(panel, "y", 0)
    with pytest.raises(DesignError, match="no value in any period"):
        cells(Panel(panel.firms, panel.outcomes * np.nan))
    with pytest.raises(EstimationError, match="collinear with firm and period effects.*ask for fewer"):
        quiet(imputation_leads, made(missing=0.0, cohorts=(4.0, 5.0)), "y", 4)


def test_firms_without_a_covariate_or_a_weight_leave():
    panel = made()
    firms = panel.firms.assign(size=panel.firms["size"].where(panel.firms.index > "f002"))
    spec = DidSpec(method="imputation", covariates=("size",))
    found = cells(Panel(firms, panel.outcomes), spec)
    assert str(noted(found)["missing_covariate"]) == "left out for a missing covariate: 3 firms (f000, f001, f002)"
    kept = panel.keep(panel.firms.index[panel.firms.index > "f002"], "test", "gone")
    same(found, cells(kept, spec))
    same(cells(panel, weights=pd.Series(1.0, kept.firms.index)), cells(kept))


def test_the_plan_names_weights_and_may_ask_for_firms_seen_always():
    panel = made(n=60)
    always = panel.keep(panel.wide("y").dropna().index, "test", "hole")
    spec = DidSpec(method="imputation", weights="weight")
    same(cells(panel, spec), cells(panel, weights=panel.firms["weight"]))
    same(cells(panel, spec), quiet(att_gt, panel, "y", spec))
    same(cells(panel, spec.changed({"sampling": "balanced"})), cells(always, spec))
    leads = quiet(imputation_leads, panel, "y", 2, DidSpec(sampling="balanced"))
    same(leads, quiet(imputation_leads, always, "y", 2), ("event_time", "estimate", "std_error", "span"))


@pytest.mark.slow
def test_intervals_hold_the_mean_effect():
    """Staggered entry, effects that differ by firm and cohort and grow, errors that remember: 0.95 less three standard errors."""
    held = [_holds(seed) for seed in range(1000)]
    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / len(held))


def _holds(seed: int) -> bool:
    rng = np.random.default_rng(seed)
    n, t = 200, np.arange(1, 8)
    cohort = np.repeat([4.0, 5.0, 6.0, NEVER], n // 4)
    event = t - cohort[:, None]
    errors = rng.normal(size=(n, len(t)))
    for k in range(1, len(t)):
        errors[:, k] = 0.6 * errors[:, k - 1] + 0.8 * errors[:, k]
    grown = np.where(event >= 0, 0.2 * (event + 1) * (cohort[:, None] - 3) + rng.normal(0, 0.5, (n, 1)), 0.0)
    treated = event >= 0
    truth = np.where(treated, 0.2 * (np.where(treated, event, 0) + 1) * np.where(treated, cohort[:, None] - 3, 0), 0)[
        treated
    ].mean()
    index = pd.Index(range(n), name="firm_id")
    y = pd.DataFrame(rng.normal(size=(n, 1)) + errors + grown, index=index, columns=pd.Index(t, name="period"))
    row = quiet(
        aggregate, cells(Panel(pd.DataFrame({"cohort": cohort}, index=index), y.stack().to_frame("y"))), "overall"
    ).table.iloc[0]
    return bool(row["conf_low"] <= truth <= row["conf_high"])
