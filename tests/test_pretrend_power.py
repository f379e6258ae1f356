"""What a pre-trend test could have missed, and effects less a trend of the treated: closed forms and hand computation."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval.data.panel import NEVER, Panel
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.inference import pretrend_test
from pipeval.did.pretrend_power import detrended, pretrend_power
from pipeval.errors import DesignError, PipevalWarning
from pipeval.study.specs import DidSpec

CLOSED, ITERATED = 1e-8, 1e-6


def quietly(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return call(*args, **options)


def panel(n: int = 120, periods: int = 6, entry: float = 4, seed: int = 4, drift: float = 0.0, cohorts=()) -> Panel:
    """One cohort (or `cohorts`) of a third of the firms, persistent errors, a drift of the treated."""
    rng = np.random.default_rng(seed)
    cohort = np.where(np.arange(n) < n // 3, entry, NEVER)
    for k, other in enumerate(cohorts, 1):
        cohort[k * n // 10 : (k + 1) * n // 10] = other
    y = np.cumsum(rng.normal(0, 0.3, (n, periods)), axis=1) + rng.normal(0, 0.2, (n, periods))
    y += np.isfinite(cohort)[:, None] * (drift * np.arange(periods) + 0.5 * (np.arange(1, periods + 1) >= cohort[:, None]))
    long = pd.DataFrame(y, columns=range(1, periods + 1)).rename_axis("firm_id").stack().rename_axis(["firm_id", "period"])
    return Panel(pd.DataFrame({"cohort": cohort}).rename_axis("firm_id"), long.rename("y").to_frame())


def event_study(made: Panel, **choices):
    return quietly(lambda: aggregate(att_gt(made, "y", DidSpec(**choices)), "event_time"))


# ---------------------------------------------------------------- power


def test_slopes_are_those_that_the_test_detects():
    effects = event_study(panel())
    table = pretrend_power(effects, powers=(0.5, 0.8), draws=200)
    assert table["target"].tolist() == ["first", "average", "last"] * 2
    for power, rows in table.groupby("power"):
        slope = pretrend_test(effects, power=power)["detectable"]
        np.testing.assert_allclose(rows["slope"], slope, rtol=CLOSED)
        np.testing.assert_allclose(rows["bias"], slope * np.array([1, 2, 3]), rtol=CLOSED)
    np.testing.assert_allclose(table["power"], [0.5] * 3 + [0.8] * 3, atol=ITERATED)
    back = pretrend_power(effects, slopes=table["slope"].unique(), draws=200)
    pd.testing.assert_frame_equal(table, back)
    assert (table["reason"] == "").all()


def test_power_from_the_simulation_is_that_of_the_formula():
    """With one row before entry both rules are the same t test, so the simulated power must be the closed form."""
    effects = event_study(panel(60, periods=4, entry=3))
    table = pretrend_power(effects, powers=(0.3, 0.5, 0.8), draws=40_000)
    np.testing.assert_allclose(table["power_rows"], table["power"], atol=4 * np.sqrt(0.25 / 40_000))
    np.testing.assert_allclose(table["bias_given_rows_passed"], table["bias_given_passed"], rtol=1e-12)
    np.testing.assert_allclose(table["coverage_given_rows_passed"], table["coverage_given_passed"], rtol=1e-12)


def test_bias_given_passed_with_one_row_before():
    """Truncated normal: E[b₊ | |b₋| ≤ c] = bias + cov/var · (E[b₋ | |b₋| ≤ c] − slope·span₋), with many clusters."""
    effects = event_study(panel(3000, periods=3, entry=3))
    rows = np.flatnonzero(effects.table["event_time"].isin([-2, 0]))
    covariance, groups = effects.covariance(rows)
    assert groups == 3000 and effects.table["span"].iloc[rows].tolist() == [-1, 1]
    draws = 200_000
    table = pretrend_power(effects, powers=(0.5,), draws=draws)
    slope, sd = table["slope"].iloc[0], np.sqrt(covariance[0, 0])
    critical = stats.t.ppf(0.975, groups - 1) * sd
    law = stats.truncnorm((-critical + slope) / sd, (critical + slope) / sd, loc=-slope, scale=sd)
    expected = slope + covariance[0, 1] / covariance[0, 0] * (law.mean() + slope)
    error = np.sqrt(covariance[1, 1] / (draws * 0.5))
    assert table["bias_given_passed"].iloc[0] == pytest.approx(expected, abs=4 * error)
    assert abs(expected - slope) > 20 * error  # what passing adds is far from nothing here
    x = np.linspace(-critical, critical, 20_001)
    given = stats.norm(
        slope + covariance[0, 1] / covariance[0, 0] * (x + slope), np.sqrt(covariance[1, 1] - covariance[0, 1] ** 2 / sd**2)
    )
    half = stats.t.ppf(0.975, groups - 1) * np.sqrt(covariance[1, 1])
    covered = np.trapezoid(law.pdf(x) * (given.cdf(half) - given.cdf(-half)), x)
    assert table["coverage_given_passed"].iloc[0] == pytest.approx(covered, abs=4 * np.sqrt(0.25 / (draws * 0.5)))


def test_few_clusters_use_the_t_and_f_laws():
    """Eight clusters, no violation: test and interval share the estimated scale; coverage given passing is an integral over it."""
    effects = event_study(panel(64, periods=3, entry=3))
    effects = quietly(effects.clustered, pd.Series(np.arange(64) % 8, effects.firm_id))
    covariance, groups = effects.covariance(np.flatnonzero(effects.table["event_time"].isin([-2, 0])))
    rho = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    node, mass = np.polynomial.legendre.leggauss(60)
    c = stats.t.ppf(0.975, groups - 1) * np.sqrt(stats.chi2.ppf((node + 1) / 2, groups - 1) / (groups - 1))
    law = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]])
    both = np.array([law.cdf([k, k]) - 2 * law.cdf([k, -k]) + law.cdf([-k, -k]) for k in c])
    draws = 40_000
    table = pretrend_power(effects, slopes=[0.0], draws=draws)
    assert groups == 8
    expected = (mass * both).sum() / 2 / 0.95
    assert table["coverage_given_passed"].iloc[0] == pytest.approx(expected, abs=4 * np.sqrt(0.05 / draws))


def test_without_a_violation_intervals_cover():
    effects = event_study(panel())
    table = pretrend_power(effects, slopes=[0.0, 1e6], draws=20_000)
    none, huge = table.iloc[:3], table.iloc[3:]
    assert (none["power"] == 0.05).all() and (none["bias"] == 0).all()
    np.testing.assert_allclose(none["power_rows"], 0.07, atol=0.03)  # two correlated rows at 5 % each
    assert (none["coverage_given_passed"] > 0.94).all()
    assert (np.abs(none["bias_given_passed"]) < 0.005).all()
    assert huge["bias_given_passed"].isna().all() and huge["coverage_given_passed"].isna().all()  # no sample passes
    np.testing.assert_allclose(huge["power"], 1)


def test_seeded_and_symmetric():
    effects = event_study(panel())
    one, again, other = (pretrend_power(effects, slopes=[0.1], draws=500, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, again)
    assert (one["bias_given_passed"] != other["bias_given_passed"]).all()
    plus, minus = (pretrend_power(effects, slopes=[s], draws=100_000) for s in (0.1, -0.1))
    np.testing.assert_allclose(plus["bias_given_passed"], -minus["bias_given_passed"], atol=0.003)
    np.testing.assert_allclose(plus["power"], minus["power"], rtol=1e-12)


def test_varying_base_reads_spans():
    table = pretrend_power(event_study(panel(), base="varying"), slopes=[0.1], draws=200)
    np.testing.assert_allclose(table["bias"], [0.1, 0.2, 0.3], rtol=CLOSED)


def test_reasons():
    effects = event_study(panel(periods=4, entry=2))
    for table in (pretrend_power(effects), pretrend_power(effects, slopes=[0.1, 0.2])):
        assert table["bias"].isna().all() and len(table) == 2
        assert table["reason"].str.contains("no period before").all()
    assert pretrend_power(effects, slopes=[0.1])["slope"].tolist() == [0.1]
    effects = event_study(panel(30, periods=8, entry=7))
    few = quietly(effects.clustered, pd.Series(np.arange(30) % 4, effects.firm_id))
    assert pretrend_power(few)["reason"].str.contains("4 clusters cannot tell 5").all()
    with pytest.raises(DesignError, match="size of the test"):
        pretrend_power(event_study(panel()), powers=(0.5, 1.0))
    cells = quietly(att_gt, panel(), "y")
    before = quietly(aggregate, cells, "event_time", window=(-3, -2))
    with pytest.raises(DesignError, match="no effect to be biased"):
        pretrend_power(before)


# ---------------------------------------------------------------- detrended


def test_detrended_by_hand():
    """Treated less control: −2.0, −0.5 | 0 | 1.5, 4.0 at event times −3, −2 | −1 | 0, 1.

    The line through 0 has slope (2·2.0 + 1·0.5)/(4 + 1) = 0.9; after it 1.5 − 0.9 = 0.6 and 4.0 − 1.8 = 2.2.
    """
    gap = np.array([-2.0, -0.5, 0.0, 1.5, 4.0])
    wobble = np.array([0.3, -0.3])
    y = np.vstack([gap + np.outer(wobble, [1, 2, 0, 1, 3]), np.outer(wobble, [2, 1, 0, 2, 1])])
    long = pd.DataFrame(y, columns=range(1, 6)).rename_axis("firm_id").stack().rename_axis(["firm_id", "period"])
    firms = pd.DataFrame({"cohort": [4.0, 4.0, NEVER, NEVER]}).rename_axis("firm_id")
    effects = event_study(Panel(firms, long.rename("y").to_frame()))
    table = quietly(detrended, effects).table
    assert table["term"].tolist() == ["event_time", "event_time", "average"]
    np.testing.assert_allclose(table["estimate"], [0.6, 2.2, 1.4], atol=CLOSED)
    assert table["event_time"].tolist()[:2] == [0, 1] and (table["phase"] == "post").all()
    assert (table[["n_treated", "n_control"]] == 2).all(axis=None)


def test_detrended_is_the_estimate_on_firms_less_their_own_line():
    """With one cohort, no covariates and no firm missing: take each firm's line through its base period from its outcomes."""
    made = panel(cohorts=(), drift=0.2)
    wide = made.wide("y")
    ahead = np.arange(1, 7) - 3.0
    change = wide.sub(wide[3], axis=0).to_numpy()
    slope = change[:, :2] @ ahead[:2] / (ahead[:2] ** 2).sum()
    straight = pd.DataFrame(wide.to_numpy() - np.outer(slope, ahead), index=wide.index, columns=wide.columns)
    long = straight.stack().rename_axis(["firm_id", "period"]).rename("y").to_frame()
    expected = event_study(Panel(made.firms, long))
    rows = (expected.table["phase"] == "post").to_numpy()
    found = quietly(detrended, event_study(made))
    np.testing.assert_allclose(found.influence, expected.influence[:, rows], atol=CLOSED)
    pd.testing.assert_frame_equal(found.table, expected.table[rows].reset_index(drop=True), rtol=CLOSED)
    assert found.table["std_error"].iloc[2] > event_study(made).table["std_error"].iloc[5]  # the slope's own error counts


def test_a_straight_line_of_the_treated_is_taken_out_whole():
    made = (panel(drift=d, cohorts=(3.0, 5.0)) for d in (0.0, 0.7))
    plain, tilted = (detrended(event_study(m, comparison="never_treated")) for m in made)
    np.testing.assert_allclose(plain.table["estimate"], tilted.table["estimate"], atol=CLOSED)
    np.testing.assert_allclose(plain.table["std_error"], tilted.table["std_error"], atol=CLOSED)
    clustered = event_study(panel(cohorts=(3.0, 5.0))).clustered(pd.Series(np.arange(120) % 40, range(120)))
    assert (detrended(clustered).table["n_clusters"] == 40).all()


def test_detrended_needs_both_sides():
    with pytest.raises(DesignError, match="before entry"):
        detrended(event_study(panel(periods=4, entry=2)))
    cells = quietly(att_gt, panel(), "y")
    with pytest.raises(DesignError, match="no row after entry"):
        detrended(quietly(aggregate, cells, "event_time", window=(-3, -1)))
