"""Power by simulation: what is learnt before the programme, what a future is made of, and what is said of the draws."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval import NEVER, Panel
from pipeval.did.detectable import detectable_table
from pipeval.did.estimate import adjusted_weights, at_reference, estimate
from pipeval.errors import DesignError, collected
from pipeval.matching.match import match
from pipeval.robustness import simulated_power as module
from pipeval.robustness.simulated_power import Future, learnt, simulated_power
from pipeval.study.specs import Outcome, Power, Sensitivity

BASE, YEAR = 2003, 2006


def made(seed: int = 1, n: int = 80, lasting: float = 0.3, passing: float = 0.2, clusters: int = 0, icc: float = 0.0) -> Panel:
    """Years 2000 to 2006 of firms that go on by shocks that stay and shocks that pass; a third treated from 2004 or 2005.

    With `clusters`, treated firms are in as many business clusters, which share a part `icc` of the lasting shocks.
    """
    rng = np.random.default_rng(seed)
    ids, years = pd.Index([f"f{i:03d}" for i in range(n)], name="firm_id"), np.arange(2000, 2007)
    cohort = rng.permutation(np.repeat([2004.0, 2005.0, NEVER], [n // 5, n // 8, n - n // 5 - n // 8]))
    group = np.where(np.isfinite(cohort), rng.integers(0, max(clusters, 1), n), clusters + np.arange(n))
    own, shared = rng.normal(size=(n, 7)), rng.normal(size=(clusters + n + 1, 7))[group]
    walk = lasting * (np.sqrt(1 - icc) * own + np.sqrt(icc) * shared)
    y = rng.normal(size=(n, 1)) + walk.cumsum(axis=1) + passing * rng.normal(size=(n, 7))
    index = pd.MultiIndex.from_product([ids, years], names=["firm_id", "period"])
    firms = pd.DataFrame({"cohort": cohort, "size": rng.normal(size=n)}, ids)
    if clusters:
        firms["business_cluster"] = pd.Series(group, ids).where(np.isfinite(cohort))
    return Panel(firms, pd.DataFrame({"y": y.ravel()}, index))


def setting(small, panel: Panel, draws: int = 6, did=None, power=None, **changes):
    study = small.read()
    outcome = Outcome(**{"id": "y", "measure": "sales", "scale": "level", "label": {}, "relevant_effect": 0.3} | changes)
    spec = study.match.model_copy(update={"covariates": ("size",), "exact": (), "caliper": None})
    update = {
        "outcomes": (outcome,),
        "match": spec,
        "did": study.did.changed({"method": "reg"} | (did or {})),
        "treatment": study.treatment.model_copy(update={"reference_year": YEAR}),
        "baseline": study.baseline.model_copy(update={"year": BASE, "pre_years": (2001, 2002)}),
        "sensitivity": Sensitivity().model_copy(update={"simulations": draws}),  # fewer than a study may ask for
        "power": Power(**{"attrition": 0.0} | (power or {})),
    }
    with collected():
        return panel, match(panel.firms, spec, until=YEAR), study.model_copy(update=update), outcome


def run(chosen, executor=None) -> pd.Series:
    panel, sample, study, outcome = chosen
    return simulated_power(panel, sample, study, [outcome], executor).iloc[0]


# ---------------------------------------------------------------- what may be read


@pytest.mark.parametrize("garbage", [np.nan, 1e9])
def test_nothing_after_the_base_year_is_read(small, garbage):
    panel = made(n=40)
    late = panel.outcomes.index.get_level_values("period") > BASE
    spoilt = Panel(panel.firms, panel.outcomes.assign(y=panel.outcomes["y"].mask(late, garbage)))
    gone = Panel(panel.firms, panel.outcomes[~late])
    wanted = run(setting(small, panel))
    for other in (spoilt, gone):
        pd.testing.assert_series_equal(run(setting(small, other)), wanted, check_exact=True)
    early = Panel(panel.firms, panel.outcomes.assign(y=panel.outcomes["y"] * np.where(late, 1, 2)))
    assert run(setting(small, early))["sd_year"] == pytest.approx(2 * wanted["sd_year"])


def test_covariates_that_move_stay_as_they_were(small):
    """A covariate of the outcomes is read in the base year, by simulation, formula and balance alike."""
    panel = made(n=60)
    period = panel.outcomes.index.get_level_values("period")
    z = panel.firms["size"].reindex(panel.outcomes.index.get_level_values("firm_id")).to_numpy()
    wild = Panel(panel.firms, panel.outcomes.assign(z=np.where(period > BASE, 1e9, z)))
    fixed, read = setting(small, panel, did={"covariates": ("size",)}), setting(small, wild, did={"covariates": ("z",)})
    pd.testing.assert_series_equal(run(read), run(fixed), check_exact=False, rtol=1e-9)
    weights = [adjusted_weights(*chosen[:3]) for chosen in (read, fixed)]
    pd.testing.assert_series_equal(*weights)
    rows = [detectable_table(*chosen[:3]).iloc[0] for chosen in (read, fixed)]
    pd.testing.assert_series_equal(*rows)


@pytest.mark.parametrize("workers", [1, 2])
def test_numbers_do_not_depend_on_workers_or_jobs(small, monkeypatch, workers):
    chosen = setting(small, made(n=40))
    wanted = run(chosen)
    monkeypatch.setattr(module, "CHUNK", 4)
    with ProcessPoolExecutor(workers) as pool:
        pd.testing.assert_series_equal(run(chosen, pool), wanted, check_exact=True)
    panel, sample, study, outcome = chosen
    other = study.model_copy(update={"sensitivity": study.sensitivity.model_copy(update={"seed": 1})})
    assert run((panel, sample, other, outcome))["sd_estimate"] != wanted["sd_estimate"]


# ---------------------------------------------------------------- what is learnt


def test_shocks_that_stay_and_shocks_that_pass_are_told_apart(small):
    panel, _, study, _ = setting(small, made(n=4000), power={"icc": 0.4, "attrition": 0.1})
    found = learnt(module._before(panel, study), "y", study)
    assert found.lasting == pytest.approx(0.09, rel=0.1) and found.passing == pytest.approx(0.04, rel=0.1)
    assert found.basis == "observed" and found.shapes.std(ddof=1) == pytest.approx(1, abs=1e-9)
    assert (found.icc, found.attrition, found.silent) == (0.4, 0.1, 0.0)


def test_what_a_cluster_shares_is_learnt(small):
    panel, _, study, _ = setting(small, made(n=6000, clusters=300, icc=0.5, passing=0.0))
    assert learnt(module._before(panel, study), "y", study).icc == pytest.approx(0.5, abs=0.05)
    alone, _, study, _ = setting(small, made(n=600, clusters=60, icc=0.0))
    assert learnt(module._before(alone, study), "y", study).icc < 0.06


def test_loss_is_learnt_from_every_outcome_and_goes_after_what_is_declared(small):
    """Half of the firms are seen no more after 2002, ten of them in this outcome only; from 2000 to 2003 is three years."""
    panel, _, study, _ = setting(small, made(n=100), power={"attrition": None})
    firm, period = (panel.outcomes.index.get_level_values(k) for k in (0, 1))
    gone = firm.isin(panel.firms.index[:50]) & (period > 2002)
    outcomes = panel.outcomes.assign(y=panel.outcomes["y"].mask(gone), z=1.0)
    outcomes.loc[gone & ~firm.isin(panel.firms.index[:10]), "z"] = np.nan
    before = module._before(Panel(panel.firms, outcomes), study)
    assert learnt(before, "y", study).attrition == pytest.approx(1 - 0.6 ** (1 / 3), abs=1e-12)
    declared = study.model_copy(update={"power": Power(attrition=0.07)})
    assert learnt(before, "y", declared).attrition == 0.07


def test_what_cannot_be_learnt_is_a_reason(small):
    panel = made()
    period = panel.outcomes.index.get_level_values("period")
    sparse = Panel(panel.firms, panel.outcomes[period.isin([2001, 2003, 2004, 2005, 2006])])
    assert "two consecutive years" in run(setting(small, sparse))["reason"]
    still = Panel(panel.firms, panel.outcomes.assign(y=1.0))
    assert "does not vary" in run(setting(small, still))["reason"]
    silent = Panel(panel.firms, panel.outcomes[period != BASE])
    row = run(setting(small, silent))
    assert "0 of 6 draws" in row["reason"] and np.isnan(row["power"])
    poisson = run(setting(small, panel, scale="poisson"))
    assert "zeros" in poisson["reason"] and np.isnan(poisson["mde"]) and list(poisson.index) == module.COLUMNS


# ---------------------------------------------------------------- a future


def test_a_future_has_the_variance_the_loss_and_the_clusters_it_should(small):
    panel, _, study, _ = setting(small, made(n=3000, clusters=40))
    before = module._before(panel, study)
    shapes = np.random.default_rng(0).normal(size=5000)
    future = Future(0.09, 0.04, "observed", (shapes - shapes.mean()) / shapes.std(), 0.5, 0.1, 0.2, 0.9)
    drawn = module._continued(before, "y", study, future, np.random.default_rng(3))
    wide = drawn.wide("y")
    assert wide.columns.tolist() == list(range(2000, 2007))
    pd.testing.assert_frame_equal(wide[range(2000, 2004)], before.wide("y"), check_names=False)
    seen = wide[[2004, 2005, 2006]].notna().mean().to_numpy()
    np.testing.assert_allclose(seen, 0.8 * 0.9 ** np.array([1, 2, 3]), atol=0.03)
    never = np.isinf(before.firms["cohort"])
    for year in (2004, 2005, 2006):  # shocks that pass at either end, and one that stays a year
        assert (wide[year] - wide[BASE])[never].std() ** 2 == pytest.approx(0.08 + 0.09 * (year - BASE), rel=0.12)
    treated = before.firms.index[~never]
    change = (wide[2006] - wide[2003]).loc[treated].dropna()
    means = change.groupby(before.firms.loc[change.index, "business_cluster"]).mean()
    assert means.var() > 5 * change.var() / (len(change) / 40)  # alone they would vary by a share 40/n


@pytest.mark.parametrize("did", [{}, {"lag": "ancova"}, {"covariates": ("size",), "method": "dr"}], ids=str)
@pytest.mark.parametrize("effect", [0.25, -1.0])
def test_an_effect_moves_the_estimate_by_itself_and_leaves_the_error(small, did, effect):
    panel, sample, study, outcome = setting(small, made(), did=did)
    before = module._before(panel, study)
    future = learnt(before, "y", study)
    drawn = module._continued(before, "y", study, future, np.random.default_rng(5))
    cohort = drawn.firms["cohort"].reindex(drawn.outcomes.index.get_level_values("firm_id")).to_numpy()
    after = drawn.outcomes.index.get_level_values("period") >= cohort
    moved = Panel(drawn.firms, drawn.outcomes + effect * after[:, None])
    with collected():
        plain, shifted = (at_reference(estimate(p, sample, study, outcome, year=YEAR), YEAR) for p in (drawn, moved))
    assert shifted["estimate"] == pytest.approx(plain["estimate"] + effect, abs=1e-10)
    assert shifted["std_error"] == pytest.approx(plain["std_error"], abs=1e-10)
    seeds = np.random.SeedSequence(study.sensitivity.seed).spawn(1)
    alone = module._draws((before, sample, study, outcome, future, seeds))
    again = module._continued(before, "y", study, future, np.random.default_rng(seeds[0]))
    with collected():
        wanted = at_reference(estimate(again, sample, study, outcome, year=YEAR), YEAR)
    np.testing.assert_array_equal(alone[0], wanted[["estimate", "std_error", "df"]].to_numpy(float))


# ---------------------------------------------------------------- what is said of the draws


@pytest.mark.parametrize(
    ("changes", "found", "at_target"),
    [
        ({"relevant_effect": 0.5}, [0.0, 0.3, -0.2, 0.1], 0.75),  # needed .196·2 − estimate: .392, .092, .592, .292
        ({"relevant_effect": 0.5, "direction": "decrease"}, [0.0, 0.3, -0.2, 0.1], 0.75),  # .392, .692, .192, .492
        ({"relevant_effect": 0.5, "scale": "log"}, [0.0, 0.3, -0.2, 0.1], 0.75),  # ln 1.5 = .405
        ({"relevant_effect": 0.3, "scale": "log", "direction": "decrease"}, [0.0, 0.3, -0.2, 0.1], 0.25),  # −ln .7 = .357
        ({"relevant_effect": 0.33, "scale": "log", "direction": "decrease"}, [0.0, 0.3, -0.2, 0.1], 0.50),  # −ln .67 = .400
    ],
)
def test_power_by_hand(small, changes, found, at_target):
    _, _, study, outcome = setting(small, made(), **changes)
    rows = np.column_stack([found, np.full(4, 0.2), np.full(4, np.inf)])
    row = module._power(rows, outcome, study)
    assert row["power"] == at_target and row["std_error"] == pytest.approx(0.2) and row["size"] == 0
    assert row["sd_estimate"] == pytest.approx(np.std(found, ddof=1))
    critical, sign = stats.norm.ppf(0.975) * 0.2, -1 if changes.get("direction") == "decrease" else 1
    needed = np.sort(critical - sign * np.array(found))
    assert row["mde"] == pytest.approx(needed[3])  # found four times in five: all four draws
    wanted = needed[3] if outcome.scale == "level" else sign * np.expm1(sign * needed[3])
    assert row["mde_share"] == pytest.approx(wanted)
    assert module._power(rows * [3, 1, 1], outcome, study)["size"] == 0.5  # .9 and −.6 beyond .392
    without = outcome.model_copy(update={"relevant_effect": None})
    assert np.isnan(module._power(rows, without, study)["power"])


def test_size_and_error_are_those_of_the_design(small):
    """Draws without an effect: the test rejects about as often as it says and states the error that draws have."""
    row = run(setting(small, made(n=60), 120))
    assert row["draws"] == 120 and row["reason"] == ""
    assert abs(row["size"] - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 120)
    assert row["sd_estimate"] == pytest.approx(row["std_error"], rel=0.2)
    factor = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert row["mde"] == pytest.approx(factor * row["sd_estimate"], rel=0.2)
    assert row["target"] == 0.3 and 0 < row["power"] < 1


@pytest.mark.slow
@pytest.mark.parametrize("clustered", [False, True])
def test_size_with_many_draws(small, clustered):
    """With shocks that clusters share, errors by firm reject too often: the simulation must show it."""
    panel = made(n=120, clusters=12) if clustered else made(n=120)
    row = run(setting(small, panel, 1500, power={"icc": 0.5 if clustered else 0.0}))
    band = 3 * np.sqrt(0.05 * 0.95 / 1500)
    assert row["size"] > 0.05 + 2 * band if clustered else abs(row["size"] - 0.05) < band


def test_a_design_that_cannot_be_estimated_is_not_a_number(small, monkeypatch):
    def refused(*args, **options):
        raise DesignError("no")

    monkeypatch.setattr(module, "estimate", refused)
    row = run(setting(small, made()))
    assert row["reason"] == "the estimate could be made in 0 of 6 draws only" and np.isnan(row["mde"])
