"""Honest sets: HonestDiD's stored numbers, naive twins, closed forms, refusals.

The reference simulates. Its interval under smoothness uses a quantile of |N(t, 1)| from 10⁶ draws (standard error .0021, so half a
length is known to .0065 standard errors of the estimate) and a coarse search over bias; its sets under relative magnitudes use a
critical value from 1,000 draws on a grid of .001.
"""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import brentq, linprog, minimize

from pipeval.data.panel import NEVER, Panel
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.honest import honest_table
from pipeval.did.honest_design import base_period, design_of
from pipeval.did.honest_moments import accepts, least_favourable, moments_of
from pipeval.did.honest_sets import breakdown, folded_quantile, relative_magnitude_set, smoothness_set
from pipeval.errors import DesignError, EstimationError, PipevalWarning
from pipeval.study.specs import DidSpec

HERE = Path(__file__).parent / "reference"
CLOSED, ITERATED = 1e-8, 1e-6
TARGETS = {"first": np.eye(4)[0], "average": np.full(4, 0.25)}


@cache
def reference() -> dict:
    return json.loads((HERE / "honest_did" / "expected.json").read_text(encoding="utf-8"))["results"]


def study() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sigma = np.array(reference()["sigma"])
    return np.array(reference()["betahat"]), (sigma + sigma.T) / 2, np.array(reference()["event_time"])


def quietly(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return call(*args, **options)


# ---------------------------------------------------------------- smoothness


@pytest.mark.parametrize("target", TARGETS)
def test_smoothness_agrees_with_the_reference(target):
    stored, weights = reference()[f"smoothness_flci_{target}"], TARGETS[target]
    low, high = smoothness_set(*study(), weights, 0.0)
    sd = (high - low) / 2 / stats.norm.ppf(0.975)
    for bound, a, z in zip(stored["M"], stored["lb"], stored["ub"], strict=True):
        low, high = smoothness_set(*study(), weights, bound)
        assert (high - low) / 2 == pytest.approx((z - a) / 2, abs=0.0065 * sd)
        assert (high + low) / 2 == pytest.approx((z + a) / 2, abs=0.1 * sd)  # the length hardly depends on the centre


def test_at_bound_zero_the_reference_is_off_by_its_simulated_quantile_alone():
    ratios = []
    for target, weights in TARGETS.items():
        stored = reference()[f"smoothness_flci_{target}"]
        low, high = smoothness_set(*study(), weights, 0.0)
        assert (high + low) / 2 == pytest.approx((stored["ub"][0] + stored["lb"][0]) / 2, abs=1e-5)
        ratios.append((stored["ub"][0] - stored["lb"][0]) / (high - low))
    assert ratios[0] == pytest.approx(ratios[1], abs=1e-5)


def naive_half_length(v: np.ndarray, covariance: np.ndarray, pre: int, bound: float) -> float:
    """Half-length of v′β̂ from the definition: violations are rebuilt from second differences, slope 0 at entry."""
    n = len(v) + 1
    second = np.zeros((n, n))
    for i in range(n - 2):
        second[i, i : i + 3] = 1, -2, 1
    second[n - 2, pre], second[n - 1, pre : pre + 2] = 1, (-1, 1)  # δ is 0 in the base period, and straight on after it
    rebuilt = np.delete(np.linalg.inv(second), pre, axis=0)[:, : n - 2]
    sd = np.sqrt(v @ covariance @ v)
    return sd * folded_quantile(bound * np.abs(v @ rebuilt).sum() / sd, 0.95)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("bound", [0.003, 0.01, 0.05])
def test_no_affine_estimator_is_shorter(target, bound):
    _, covariance, _ = study()
    weights = TARGETS[target]
    at_entry = weights @ np.arange(1, 5)

    def half(free):
        nearest = at_entry - free @ np.array([4.0, 3.0, 2.0])  # a straight line leaves no bias
        return naive_half_length(np.concatenate([free, [nearest], weights]), covariance, 4, bound)

    starts = [np.zeros(3), np.array([0.3, -0.2, 0.1])]
    best = min(
        minimize(half, s, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 1000}).fun for s in starts
    )
    low, high = smoothness_set(*study(), weights, bound)
    assert (high - low) / 2 <= best + ITERATED
    assert (high - low) / 2 == pytest.approx(best, abs=ITERATED)


def test_worst_bias_is_that_of_the_linear_programme():
    _, covariance, _ = study()
    v = np.array([0.1, -0.2, 0.05, 0.0, 0.25, 0.25, 0.25, 0.25])
    v[3] = 2.5 - v[:3] @ [4, 3, 2]
    second = np.array([np.eye(9)[i] - 2 * np.eye(9)[i + 1] + np.eye(9)[i + 2] for i in range(7)])
    second = np.delete(second, 4, axis=1)
    found = linprog(-v, A_ub=np.vstack([second, -second]), b_ub=np.full(14, 0.02), bounds=[(None, None)] * 8)
    sd = np.sqrt(v @ covariance @ v)
    assert naive_half_length(v, covariance, 4, 0.02) == pytest.approx(sd * folded_quantile(-found.fun / sd, 0.95), rel=CLOSED)


def test_smoothness_covers_at_the_edge_exactly_as_stated():
    _, covariance, event_time = study()
    weights, bound = TARGETS["average"], 0.02

    def centre(beta):
        return sum(smoothness_set(beta, covariance, event_time, weights, bound)) / 2

    v = np.array([centre(row) for row in np.eye(8)])  # the centre is linear in β and the length fixed
    low, high = smoothness_set(np.zeros(8), covariance, event_time, weights, bound)
    second = np.delete(np.array([np.eye(9)[i] - 2 * np.eye(9)[i + 1] + np.eye(9)[i + 2] for i in range(7)]), 4, axis=1)
    worst = linprog(-v, A_ub=np.vstack([second, -second]), b_ub=np.full(14, bound), bounds=[(-1, 1)] * 8).x
    sd, bias = np.sqrt(v @ covariance @ v), v @ worst
    coverage = stats.norm.cdf((high - bias) / sd) - stats.norm.cdf((low - bias) / sd)
    assert coverage == pytest.approx(0.95, abs=ITERATED)


def test_one_period_on_each_side():
    beta, covariance = [0.1, 0.5], np.array([[0.01, 0.002], [0.002, 0.02]])
    sd = np.sqrt(0.01 + 0.02 + 2 * 0.002)
    for bound in (0.0, 0.1, 0.7):  # the line through the period before goes on, or turns by M
        half = sd * folded_quantile(bound / sd, 0.9)
        found = smoothness_set(beta, covariance, [-2, 0], [1.0], bound, 0.9)
        np.testing.assert_allclose(found, (0.6 - half, 0.6 + half), atol=CLOSED)


def test_folded_quantile():
    for shift in (0.0, 0.3, 2.0, 40.0):
        c = folded_quantile(shift, 0.95)
        assert stats.norm.cdf(c - shift) - stats.norm.cdf(-c - shift) == pytest.approx(0.95, abs=1e-12)
    assert folded_quantile(-0.3, 0.95) == folded_quantile(0.3, 0.95)


# ---------------------------------------------------------------- relative magnitudes


@pytest.mark.parametrize("target", TARGETS)
def test_relative_magnitudes_agree_with_the_reference(target):
    stored, weights = reference()[f"relative_magnitudes_{target}"], TARGETS[target]
    for bound, a, z in zip(stored["Mbar"], stored["lb"], stored["ub"], strict=True):
        low, high = relative_magnitude_set(*study(), weights, bound)
        # one step of the grid, and .4 % of the length for a .995 quantile from 1,000 draws
        np.testing.assert_allclose((low, high), (a, z), atol=0.001 + 0.004 * (z - a))


def polyhedron(s: int, sign: float, bound: float) -> np.ndarray:
    """A δ ≤ 0 for the oracle's design, from the definition: steps after the base against step `s` before it."""
    levels = np.insert(np.eye(8), 4, 0, axis=0)
    steps = np.diff(levels, axis=0)
    return np.array([k * step - bound * sign * steps[s] for step in steps[4:] for k in (1, -1)])


def least_slack(moments: np.ndarray, scale: np.ndarray, after: np.ndarray, weights: np.ndarray, theta: float) -> float:
    """min η such that `moments` − after·τ ≤ scale·η for some τ with weights·τ = theta, by linear programming."""
    rows = np.column_stack([-after, -scale])
    equal = np.append(weights, 0.0)[None]
    found = linprog(np.append(np.zeros(4), 1), rows, -moments, equal, [theta], bounds=[(None, None)] * 5)
    return found.fun


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("s", "sign", "bound"), [(0, 1.0, 0.5), (1, -1.0, 1.0), (3, 1.0, 2.0)])
def test_the_moments_are_the_dual_of_the_linear_programme(target, s, sign, bound):
    beta, covariance, event_time = study()
    weights, rng = TARGETS[target], np.random.default_rng(5)
    moments = moments_of(design_of(beta, covariance, event_time, weights, bound, 0.95), s, sign, bound)
    rows = polyhedron(s, sign, bound)
    scale = np.sqrt(np.diag(rows @ covariance @ rows.T))
    pair = np.stack([np.append(np.zeros(4), weights), sign * (np.eye(9)[s + 1] - np.eye(9)[s])[[0, 1, 2, 3, 5, 6, 7, 8]]])
    for draw in rng.multivariate_normal(beta, covariance, 25):
        theta = rng.normal(0, 0.2)
        y, x = pair @ draw
        found = (moments.loading @ np.array([y - theta, x])).max()
        assert found == pytest.approx(least_slack(rows @ draw, scale, rows[:, 4:], weights, theta), abs=CLOSED)


def test_the_least_favourable_critical_value():
    rng = np.random.default_rng(3)
    for target, weights in TARGETS.items():
        moments = moments_of(design_of(*study(), weights, 1.0, 0.95), 2, 1.0, 1.0)
        drawn = rng.multivariate_normal([0, 0], moments.covariance, 400_000) @ moments.loading.T
        critical = least_favourable(moments, 0.95)
        assert (drawn.max(axis=1) <= critical).mean() == pytest.approx(0.95, abs=4 * np.sqrt(0.05 * 0.95 / 400_000)), target


def naive_accepts(moments, theta: float, critical: float) -> bool:
    """The hybrid test by its definition: the truncation points are searched along the direction of the binding moment."""
    values = moments.loading @ (moments.point - np.array([theta, 0.0]))
    joint = moments.loading @ moments.covariance @ moments.loading.T
    star = int(values.argmax())
    if values[star] > critical:
        return False
    along = joint[:, star] / joint[star, star]
    rest = values - along * values[star]

    def binds(t):
        return (rest + along * t).max() <= t + 1e-12

    def end(far):
        inside, outside = values[star], far
        if binds(far):
            return far
        for _ in range(200):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if binds(middle) else (inside, middle)
        return inside

    sd = np.sqrt(joint[star, star])
    low, high = end(-50.0) / sd, min(end(50.0), critical) / sd
    size = (0.05 - 0.005) / (1 - 0.005)
    return values[star] / sd <= max(0.0, stats.truncnorm.ppf(1 - size, low, high))


def test_the_test_against_its_naive_twin():
    rng = np.random.default_rng(8)
    for s, sign, bound in [(0, 1.0, 0.5), (1, -1.0, 1.0), (3, 1.0, 2.0), (2, 1.0, 1.0)]:
        moments = moments_of(design_of(*study(), TARGETS["average"], bound, 0.95), s, sign, bound)
        critical = least_favourable(moments, 0.995)
        theta = moments.point[0] + rng.uniform(-0.4, 0.4, 60)
        assert accepts(moments, theta, critical, 0.95).tolist() == [naive_accepts(moments, t, critical) for t in theta]


def test_accepted_values_are_an_interval_whose_ends_are_exact():
    for weights in TARGETS.values():
        low, high = relative_magnitude_set(*study(), weights, 1.0)
        grid = np.linspace(low, high, 1501)
        edge = np.array([low - 1e-7, high + 1e-7])
        inside, beyond = np.zeros(1501, bool), np.zeros(2, bool)
        for s in range(4):
            for sign in (1.0, -1.0):
                moments = moments_of(design_of(*study(), weights, 1.0, 0.95), s, sign, 1.0)
                critical = least_favourable(moments, 0.995)
                inside |= accepts(moments, grid, critical, 0.95)
                beyond |= accepts(moments, edge, critical, 0.95)
        assert inside.all() and not beyond.any()


def test_closed_form_when_the_step_before_is_large():
    """One period on each side, a step of 100 standard errors: far from the other side the test is one-sided and truncated above."""
    x, y, bound = 1.0, 0.3, 0.5
    covariance = np.diag([0.01**2, 0.1**2])
    sd = np.sqrt(0.1**2 + (bound * 0.01) ** 2)
    rho = ((bound * 0.01) ** 2 - 0.1**2) / sd**2
    kappa, law = 0.005, stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]])
    critical = brentq(lambda c: law.cdf([c, c]) - (1 - kappa), 1, 6)
    size = (0.05 - kappa) / (1 - kappa)
    half = bound * x + sd * stats.norm.ppf((1 - size) * stats.norm.cdf(critical))
    found = relative_magnitude_set([-x, y], covariance, [-2, 0], [1.0], bound)
    np.testing.assert_allclose(found, (y - half, y + half), atol=ITERATED)


@pytest.mark.parametrize("target", TARGETS)
def test_at_bound_zero_the_set_is_the_ordinary_interval(target):
    found = relative_magnitude_set(*study(), TARGETS[target], 0.0)
    stored = reference()[f"original_{target}"]
    np.testing.assert_allclose(found, (stored["lb"], stored["ub"]), atol=CLOSED)
    np.testing.assert_allclose(relative_magnitude_set(*study(), TARGETS[target], 1e-7), found, atol=1e-6)


@pytest.mark.parametrize("confidence_set", [smoothness_set, relative_magnitude_set])
def test_invariances(confidence_set):
    beta, covariance, event_time = study()
    weights, unit = TARGETS["average"], 7.0 if confidence_set is smoothness_set else 1.0
    low, high = confidence_set(beta, covariance, event_time, weights, 0.5)
    np.testing.assert_allclose(confidence_set(-beta, covariance, event_time, weights, 0.5), (-high, -low), atol=ITERATED)
    scaled = confidence_set(7 * beta, 49 * covariance, event_time, weights, 0.5 * unit)
    np.testing.assert_allclose(scaled, (7 * low, 7 * high), atol=7 * ITERATED)
    shifted = beta + 2.0 * np.array([0, 0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_allclose(confidence_set(shifted, covariance, event_time, weights, 0.5), (low + 2, high + 2), atol=ITERATED)
    lengths = [np.diff(confidence_set(beta, covariance, event_time, weights, b))[0] for b in (0.0, 0.1, 0.4, 1.0, 3.0)]
    assert (np.diff(lengths) > 0).all()


def test_a_straight_line_changes_nothing_under_smoothness():
    beta, covariance, event_time = study()
    for bound in (0.0, 0.02):
        found = smoothness_set(beta + 0.3 * (event_time + 1), covariance, event_time, TARGETS["first"], bound)
        np.testing.assert_allclose(found, smoothness_set(beta, covariance, event_time, TARGETS["first"], bound), atol=ITERATED)


def test_relative_magnitudes_cover_at_the_edge():
    """Two periods on each side, every step after the base as large as the largest before: the end of what is allowed."""
    rng = np.random.default_rng(2)
    covariance = 0.01 * (0.5 + 0.5 * np.eye(4))
    violation = np.array([0.3, 0.1, 0.2, 0.4])  # steps −.2, −.1 | .2, .2
    draws = rng.multivariate_normal(violation, covariance, 300)
    accepted = np.zeros(300, bool)
    for s, sign in [(0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)]:
        design = design_of(violation, covariance, [-3, -2, 0, 1], [0.0, 1.0], 1.0, 0.95)
        moments = moments_of(design, s, sign, 1.0)
        critical = least_favourable(moments, 0.995)
        steps = sign * (np.eye(3, 2)[s + 1] - np.eye(3, 2)[s])
        for i, draw in enumerate(draws):
            point = np.array([draw[3], steps @ draw[:2]])
            accepted[i] |= accepts(moments._replace(point=point), np.zeros(1), critical, 0.95)[0]
    assert accepted.mean() >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 300)
    low, high = relative_magnitude_set(draws[0], covariance, [-3, -2, 0, 1], [0.0, 1.0], 1.0)
    assert accepted[0] == (low <= 0 <= high)


def test_breakdown():
    beta, covariance, event_time = study()
    for kind, confidence_set in (("smoothness", smoothness_set), ("relative_magnitude", relative_magnitude_set)):
        limit = breakdown(kind, beta, covariance, event_time, TARGETS["first"])
        assert 0 < limit < 0.1
        assert confidence_set(beta, covariance, event_time, TARGETS["first"], limit)[0] == pytest.approx(0, abs=ITERATED)
        assert confidence_set(beta, covariance, event_time, TARGETS["first"], 0.9 * limit)[0] > 0
        assert breakdown(kind, -beta, covariance, event_time, TARGETS["first"]) == pytest.approx(limit, rel=1e-5)
        assert breakdown(kind, 0 * beta, covariance, event_time, TARGETS["first"]) == 0
    assert breakdown("relative_magnitude", [1e-9, 1e3], np.diag([1e-18, 1e-4]), [-2, 0], [1.0]) == np.inf


# ---------------------------------------------------------------- what bad input meets


def test_base_period():
    assert base_period(np.array([-2, 0])) == -1 and base_period(np.array([-4, -3, -1, 0, 1])) == -2
    for times, said in [
        ([0, 1, 2], "no period before"),
        ([-3, -2], "nothing follows"),
        ([-2, -1, 0], "base is listed"),
        ([-4, -2, 0], "-3, -1"),
        ([0, -2], "increasing"),
        ([-2.5, 0], "whole"),
        ([], "whole"),
    ]:
        with pytest.raises(DesignError, match=said):
            base_period(np.array(times))


@pytest.mark.parametrize("confidence_set", [smoothness_set, relative_magnitude_set])
def test_arrays_that_cannot_be(confidence_set):
    beta, covariance, event_time = study()
    weights = TARGETS["first"]
    for bound in (-0.1, np.nan, np.inf):
        with pytest.raises(DesignError, match="at least 0"):
            confidence_set(beta, covariance, event_time, weights, bound)
    with pytest.raises(DesignError, match="for 4 rows"):
        confidence_set(beta, covariance, event_time, weights[:2], 0.1)
    with pytest.raises(DesignError, match="not all 0"):
        confidence_set(beta, covariance, event_time, 0 * weights, 0.1)
    with pytest.raises(EstimationError, match=r"1 event time \(-4\)"):
        confidence_set(np.where(event_time == -4, np.nan, beta), covariance, event_time, weights, 0.1)
    with pytest.raises(EstimationError, match="without an estimate or a standard error"):
        confidence_set(beta, covariance * (event_time != 2), event_time, weights, 0.1)
    twin = np.arange(8)
    twin[0] = 1
    with pytest.raises(EstimationError, match="singular"):
        confidence_set(beta[twin], covariance[np.ix_(twin, twin)], event_time, weights, 0.1)


# ---------------------------------------------------------------- on effects


@cache
def oracle_panel() -> Panel:
    frame = pd.read_csv(HERE / "did_panel" / "panel.csv")
    return Panel.from_frame(frame, firm_id="firm", period="year", cohort="cohort", outcomes=["y"], covariates=["x1", "x2"])


def event_study(**choices):
    spec = DidSpec(covariates=("x1", "x2"), **choices)
    return quietly(lambda: aggregate(att_gt(oracle_panel(), "y", spec), "event_time"))


def test_the_covariance_is_the_reference_times_g_over_g_less_one():
    effects = event_study()
    rows = np.flatnonzero(effects.table["event_time"].isin(reference()["event_time"]))
    covariance, groups = effects.covariance(rows)
    assert groups == 300
    np.testing.assert_allclose(effects.table["estimate"].to_numpy()[rows], reference()["betahat"], atol=CLOSED)
    own = effects.table["n_clusters"].to_numpy()[rows]  # later cohorts leave the comparison of early rows
    factor = np.sqrt((own - 1) / own)
    np.testing.assert_allclose(covariance * np.outer(factor, factor), reference()["sigma"], atol=CLOSED)


@pytest.mark.parametrize("target", ["first", "average", 2])
def test_honest_table(target):
    effects = event_study()
    table = honest_table(effects, "relative_magnitude", [0, 0.5, 2.0], target)
    rows = effects.table
    own = rows[rows["event_time"].eq({"first": 0}.get(target, target))] if target != "average" else rows[rows["term"] == "average"]
    np.testing.assert_allclose(
        table.loc[0, ["conf_low", "conf_high"]].astype(float), own[["conf_low", "conf_high"]].iloc[0], atol=CLOSED
    )
    assert table["estimate"].to_numpy() == pytest.approx(own["estimate"].iloc[0])
    assert (table["reason"] == "").all() and (np.diff(table["conf_low"]) < 0).all()
    assert [bool(e) for e in table["excludes_zero"]] == (table["bound"] < table["breakdown"]).tolist()
    if target != 2:
        stored = reference()[f"relative_magnitudes_{target}"]
        np.testing.assert_allclose(
            table.loc[2, ["conf_low", "conf_high"]].astype(float), (stored["lb"][3], stored["ub"][3]), rtol=0.02
        )


def test_honest_table_under_smoothness():
    table = honest_table(event_study(), "smoothness", [0, 0.01], "first", level=0.9)
    assert list(table) == ["kind", "bound", "estimate", "conf_low", "conf_high", "excludes_zero", "breakdown", "reason"]
    wider = honest_table(event_study(), "smoothness", [0, 0.01], "first")
    assert (table["conf_low"] > wider["conf_low"]).all() and (table["breakdown"] > wider["breakdown"]).all()
    beta, _, event_time = study()
    effects = event_study()
    covariance, _ = effects.covariance(np.flatnonzero(effects.table["event_time"].isin(event_time)))
    df = effects.table.loc[effects.table["event_time"] == 0, "df"].item()
    scale = (stats.t.ppf(0.975, df) / stats.norm.ppf(0.975)) ** 2
    expected = smoothness_set(beta, covariance * scale, event_time, TARGETS["first"], 0.01)
    np.testing.assert_allclose(wider.loc[1, ["conf_low", "conf_high"]].astype(float), expected, atol=ITERATED)


def reason_for(effects, kind="relative_magnitude") -> str:
    table = honest_table(effects, kind, [0.5, 1])
    assert table[["conf_low", "conf_high", "breakdown"]].isna().all(axis=None) and table["excludes_zero"].isna().all()
    assert table["estimate"].notna().all() and table["bound"].tolist() == [0.5, 1]
    assert table["reason"].nunique() == 1
    return table["reason"].iloc[0]


@pytest.mark.parametrize("kind", ["smoothness", "relative_magnitude"])
def test_reasons(kind):
    assert "base: universal" in reason_for(event_study(base="varying"), kind)
    plain = quietly(att_gt, oracle_panel(), "y")
    assert "no period before" in reason_for(quietly(aggregate, plain, "event_time", window=(-1, 3)), kind)
    effects = event_study()
    blind = effects.influence.copy()
    blind[:, 1] = 0  # event time −4 without variation
    frozen = quietly(lambda: type(effects)(effects.table, blind, *arrays(effects)).clustered(None))
    assert "[-4] have no standard error" in reason_for(frozen, kind)
    twice = effects.influence.copy()
    twice[:, 1] = 2 * twice[:, 2]
    repeated = quietly(lambda: type(effects)(effects.table, twice, *arrays(effects)).clustered(None))
    assert "singular" in reason_for(repeated, kind)
    for clusters in (6, 15, 16):  # eight event times
        few = quietly(effects.clustered, pd.Series(np.arange(300) % clusters, effects.firm_id))
        assert (honest_table(few, kind, [0])["reason"].str.contains(f"{clusters} clusters of treated firms")).all() == (clusters < 16)
    own = pd.Series(np.arange(300) % 15, effects.firm_id).where((effects.treated_weight > 0).any(axis=1))
    assert "15 clusters of treated firms" in reason_for(quietly(effects.clustered, own), kind)  # controls alone do not count


def arrays(effects) -> tuple:
    return effects.treated_weight, effects.control, effects.firm_id


def test_a_moved_base_is_refused():
    frame = pd.read_csv(HERE / "did_panel" / "panel.csv")
    holed = frame[~frame["year"].eq(2004)]  # the base of cohort 2005
    panel = Panel.from_frame(holed, firm_id="firm", period="year", cohort="cohort", outcomes=["y"])
    effects = quietly(lambda: aggregate(att_gt(panel, "y"), "event_time"))
    assert "one base period for all cohorts" in reason_for(effects)


def test_anticipation_has_no_weight_and_is_said():
    effects = event_study(anticipation=1)
    with pytest.warns(PipevalWarning, match="anticipation"):
        table = honest_table(effects, "relative_magnitude", [1.0])
    rows = np.flatnonzero(effects.table["phase"].isin(["pre", "anticipation", "post"]) & effects.table["event_time"].notna())
    assert effects.table["event_time"].iloc[rows].tolist() == [-5, -4, -3, -1, 0, 1, 2, 3]
    covariance, _ = effects.covariance(rows)
    scale = (stats.t.ppf(0.975, 299) / stats.norm.ppf(0.975)) ** 2
    beta = effects.table["estimate"].to_numpy()[rows]
    expected = relative_magnitude_set(beta, covariance * scale, [-5, -4, -3, -1, 0, 1, 2, 3], [0, 1, 0, 0, 0], 1.0)
    np.testing.assert_allclose(table.loc[0, ["conf_low", "conf_high"]].astype(float), expected, atol=CLOSED)


def test_questions_that_make_no_sense():
    effects = event_study()
    for args, said in [
        (("relative", [1.0]), "smoothness"),
        (("smoothness", [-1.0]), "at least 0"),
        (("smoothness", [np.nan]), "at least 0"),
        (("smoothness", [0.1], 9), r"\[0, 1, 2, 3\]"),
        (("smoothness", [0.1], "last"), "found last"),
    ]:
        with pytest.raises(DesignError, match=said):
            honest_table(effects, *args)
    cells = quietly(att_gt, oracle_panel(), "y")
    for wrong in (cells, quietly(aggregate, cells, "cohort")):
        with pytest.raises(DesignError, match="one row an event time"):
            honest_table(wrong, "smoothness", [0.1])


def test_one_period_after_entry():
    frame = pd.read_csv(HERE / "did_panel" / "panel.csv")
    frame = frame[frame["cohort"].isin([0, 2006]) & (frame["year"] <= 2006)]
    panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="cohort", outcomes=["y"])
    assert np.isin(panel.firms["cohort"], [2006, NEVER]).all()
    effects = quietly(lambda: aggregate(att_gt(panel, "y"), "event_time"))
    for kind in ("smoothness", "relative_magnitude"):
        first, average = (honest_table(effects, kind, [0.0, 0.5], t) for t in ("first", "average"))
        assert (first["reason"] == "").all()
        pd.testing.assert_frame_equal(first, average)
