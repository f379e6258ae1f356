"""Strata, weightings and common support: against R, by hand, by property, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from pipeval.errors import DesignError, EstimationError, PipevalWarning, collected
from pipeval.matching import propensity as propensity_module
from pipeval.matching.design_matrix import expand
from pipeval.matching.propensity import propensity
from pipeval.matching.strata import coarsened, subclasses
from pipeval.matching.support import on_support, support_note
from pipeval.matching.weighting import cbps, entropy, ipw

HERE = Path(__file__).parent / "reference"
EXPECTED = json.loads((HERE / "weightit_units/expected.json").read_text(encoding="utf-8"))
UNITS = pd.read_csv(HERE / "matchit_units/units.csv", index_col="unit").rename_axis("firm_id")
COVARIATES = ["x1", "x2", "x3", "x4", "exporter", "sector"]
X, TERMS, _ = expand(UNITS, COVARIATES, drop_first=True)
ALL, _, _ = expand(UNITS, COVARIATES)
D = (UNITS["treat"] == 1).to_numpy()
Y = UNITS["y"].to_numpy()

WEIGHTINGS = {
    "glm_att": lambda d, x: ipw(d, x, "att"),
    "glm_ate": lambda d, x: ipw(d, x, "ate"),
    "glm_ato": lambda d, x: ipw(d, x, "ato"),
    "cbps_att": lambda d, x: cbps(d, x, "att"),
    "cbps_ate": lambda d, x: cbps(d, x, "ate"),
    "ebal_att": lambda d, x: entropy(d, x, "att"),
    "ebal_att_moments2": lambda d, x: entropy(d, x, "att", moments=2),
}
OTHERS = {
    "glm_atc": lambda d, x: ipw(d, x, "atc"),
    "probit_att": lambda d, x: ipw(d, x, "att", "probit"),
    "probit_ate": lambda d, x: ipw(d, x, "ate", "probit"),
    "cbps_atc": lambda d, x: cbps(d, x, "atc"),
    "ebal_ate": lambda d, x: entropy(d, x, "ate"),
    "ebal_atc_moments3": lambda d, x: entropy(d, x, "atc", moments=3),
}
EVERY = WEIGHTINGS | OTHERS


def effect_influence(y, d, weights, derivative=None, influence=None):
    """The weighted difference of means and each firm's influence on it, the estimation of the weights included if given."""
    total = np.where(d, weights[d].sum(), weights[~d].sum())
    one, zero = np.average(y[d], weights=weights[d]), np.average(y[~d], weights=weights[~d])
    by_weight = np.where(d, y - one, zero - y) / total
    psi = weights * by_weight
    return one - zero, psi if derivative is None else psi + influence @ (derivative.T @ by_weight)


def effect(found, y=Y, d=D):
    theta, psi = effect_influence(y, d, found.weights, found.derivative, found.influence)
    return theta, float(np.sqrt(psi @ psi))


def mean(w, x, arm):
    return w[arm] @ x[arm] / w[arm].sum()


def ess(w):
    return w.sum() ** 2 / (w @ w)


def small(n=240, seed=3):
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=n), rng.exponential(size=n), rng.integers(0, 2, n)])
    d = rng.random(n) < special.expit(0.5 * x[:, 0] - 0.3 * x[:, 1] + 0.4 * x[:, 2] - 0.3)
    return d, x, x @ [1.0, -0.5, 2.0] + d + rng.normal(size=n)


# ---- against WeightIt and cobalt


def left_over(case):
    """How far WeightIt's own weights are from balance, where balance is what they solve for: its digits are good to that."""
    return 0.0 if case.startswith("glm") else max(map(abs, EXPECTED["weightit"][case]["balance"]["smd"]))


@pytest.mark.parametrize("case", WEIGHTINGS)
def test_effect_and_effective_sample_of_weightit(case):
    expected, found = EXPECTED["weightit"][case], WEIGHTINGS[case](D, X)
    theta, std_error = effect(found)
    assert theta == pytest.approx(expected["estimate"], abs=1e-6)
    if not case.startswith("ebal"):
        assert std_error == pytest.approx(expected["std_error"], abs=1e-6)
    assert ess(found.weights[~D]) == pytest.approx(expected["ess_control"], rel=max(2 * left_over(case), 1e-6))  # a square
    if "weights" in expected:
        theirs = np.array(expected["weights"])
        for arm in (D, ~D):
            np.testing.assert_allclose(found.weights[arm] / found.weights[arm].sum(), theirs[arm] / theirs[arm].sum(), rtol=1e-6)


@pytest.mark.parametrize("case", ["ebal_att", "ebal_att_moments2"])
def test_standard_error_of_weightits_entropy_balancing_takes_the_target_as_known(case):
    expected, found = EXPECTED["weightit"][case], WEIGHTINGS[case](D, X)
    known = np.where(D[:, None], 0.0, found.influence)
    _, psi = effect_influence(Y, D, found.weights, found.derivative, known)
    assert np.sqrt(psi @ psi) == pytest.approx(expected["std_error"], abs=1e-6)
    assert np.sqrt(psi[~D] @ psi[~D]) == pytest.approx(expected["std_error_control_mean"], abs=1e-6)
    assert effect(found)[1] < expected["std_error"] - 0.01  # the target is shared by both means


@pytest.mark.parametrize("case", WEIGHTINGS)
def test_balance_of_cobalt(case):
    expected, w = EXPECTED["weightit"][case]["balance"], WEIGHTINGS[case](D, X).weights
    binary = [bool(set(column) <= {0.0, 1.0}) for column in ALL.T]

    def sd(arm, w):
        centre, total = mean(w, ALL, arm), w[arm].sum()
        variance = w[arm] @ (ALL[arm] - centre) ** 2 * total / (total**2 - w[arm] @ w[arm])
        return np.sqrt(np.where(binary, centre * (1 - centre), variance))

    one, both = np.ones(len(D)), np.ones(len(D), bool)
    pooled = {"att": sd(D, one), "ate": np.sqrt((sd(D, one) ** 2 + sd(~D, one) ** 2) / 2), "ato": sd(both, w)}[case.split("_")[1]]
    smd = (mean(w, ALL, D) - mean(w, ALL, ~D)) / pooled
    tolerance = max(1.01 * left_over(case), 1e-6)
    np.testing.assert_allclose(smd, expected["smd"], atol=tolerance)
    if case != "glm_ato":  # there cobalt's denominator takes weights to another total
        before = (mean(one, ALL, D) - mean(one, ALL, ~D)) / pooled
        np.testing.assert_allclose(before, expected["smd_before"], atol=1e-8)
    ks = [stats_ks(column, w) for column in ALL.T]
    np.testing.assert_allclose(ks, expected["ks"], atol=tolerance)


def stats_ks(column, w):
    share = w / np.where(D, w[D].sum(), -w[~D].sum())
    return np.abs(pd.Series(share).groupby(column).sum().cumsum()).max()


# ---- the propensity score


def test_probit_takes_the_steps_of_rs_glm_and_goes_on():
    z = np.column_stack([np.ones(len(D)), X])
    beta, before = np.zeros(z.shape[1]), np.inf
    p = (D + 0.5) / 2  # glm's start
    linear = special.ndtri(p)
    while True:
        density = stats.norm.pdf(linear)
        p = special.ndtr(linear)
        weight = density**2 / (p * (1 - p))
        beta = np.linalg.solve((z * weight[:, None]).T @ z, z.T @ (weight * linear + density * (D - p) / (p * (1 - p))))
        linear = z @ beta
        deviance = -2 * special.log_ndtr(np.where(D, linear, -linear)).sum()
        if abs(deviance - before) / (abs(deviance) + 0.1) < 1e-8:
            break
        before = deviance
    np.testing.assert_allclose(special.ndtr(linear), EXPECTED["matchit"]["nn_probit"]["scores"], rtol=0, atol=1e-9)
    fit = propensity(D, UNITS[COVARIATES], "probit")
    np.testing.assert_allclose(fit.scores, special.ndtr(linear), rtol=0, atol=1e-5)
    own = fit.linear.to_numpy()
    mills = np.where(D, 1, -1) * stats.norm.pdf(own) / special.ndtr(np.where(D, own, -own))
    assert np.abs(z.T @ mills).max() < 1e-8  # a maximum, to the last digits
    information = (z * (stats.norm.pdf(own) ** 2 / (fit.scores * (1 - fit.scores))).to_numpy()[:, None]).T @ z
    np.testing.assert_allclose(fit.coefficients["std_error"], np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-8)


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_a_start_on_some_rows_ends_at_the_maximum_of_all(link, monkeypatch):
    rng = np.random.default_rng(5)
    x = pd.DataFrame(rng.normal(size=(3000, 2)), columns=["a", "b"])
    d = rng.random(3000) < special.expit(x["a"] - 2)
    whole = propensity(d, x, link)
    monkeypatch.setattr(propensity_module, "_START_ROWS", 300)
    started = propensity(d, x, link)
    np.testing.assert_allclose(started.linear, whole.linear, rtol=0, atol=1e-12)
    first = np.where(np.arange(3000) % 10 == 0, x["a"] > 1, d)  # separated in the rows of the start only
    assert np.isfinite(propensity(first, x, link).linear).all()


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_score_refuses_separation(link):
    x = pd.DataFrame({"size": [1.0, 2.0, 3.0, 4.0], "age": [1.0, 3.0, 1.0, 2.0]})
    with pytest.raises(EstimationError, match="'size' is never lower among the treated"):
        propensity([False, False, True, True], x, link)


# ---- weightings by hand


def test_saturated_score_gives_the_odds_of_each_cell():
    d = np.array([True, False, False, True, True, False])
    x = np.array([[0.0], [0.0], [0.0], [1.0], [1.0], [1.0]])
    np.testing.assert_allclose(ipw(d, x, "att").weights, [1, 0.5, 0.5, 1, 1, 2], atol=1e-9)
    np.testing.assert_allclose(ipw(d, x, "atc").weights, [2, 1, 1, 0.5, 0.5, 1], atol=1e-9)
    np.testing.assert_allclose(ipw(d, x, "ate").weights, [3, 1.5, 1.5, 1.5, 1.5, 3], atol=1e-9)
    np.testing.assert_allclose(ipw(d, x, "ato").weights, [3, 1.5, 1.5, 1.5, 1.5, 3], atol=1e-9)  # 2/3, 1/3, 1/3 … to a sum of 6
    np.testing.assert_allclose(cbps(d, x, "ate").weights, [3, 1.5, 1.5, 1.5, 1.5, 3], atol=1e-9)
    np.testing.assert_allclose(entropy(d, x, "ate").weights, [3, 1.5, 1.5, 1.5, 1.5, 3], atol=1e-9)


def test_two_controls_leave_one_solution():
    d, x = np.array([True, True, False, False]), np.array([[0.5], [1.0], [0.0], [1.0]])
    for found in (entropy(d, x), cbps(d, x)):  # the treated mean .75 = .75 · 1 + .25 · 0
        np.testing.assert_allclose(found.weights, [1, 1, 0.5, 1.5], atol=1e-9)
    np.testing.assert_allclose(entropy(~d, x, "atc").weights, [1, 1, 0.5, 1.5], atol=1e-9)


def test_influence_of_a_difference_of_means():
    theta, psi = effect_influence(np.array([3.0, 5.0, 1.0, 2.0]), np.array([True, True, False, False]), np.ones(4))
    assert theta == 2.5
    np.testing.assert_allclose(psi, [-0.5, 0.5, 0.25, -0.25])


# ---- what holds for every weighting


@pytest.mark.parametrize("case", EVERY)
def test_totals_and_signs(case):
    w = EVERY[case](D, X).weights
    assert (w > 0).all()
    n, n_treated = len(D), int(D.sum())
    totals = {"att": (n_treated, n_treated), "atc": (n - n_treated, n - n_treated), "ate": (n, n), "ato": (n, n)}[
        case.split("_")[1]
    ]
    np.testing.assert_allclose((w[D].sum(), w[~D].sum()), totals, rtol=1e-12)
    if "_att" in case:
        assert (w[D] == 1).all()
    if "_atc" in case:
        assert (w[~D] == 1).all()


def moments_of(x, moments):
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    p = z.shape[1]
    pairs = [(j, k) for j in range(p) for k in range(j, p) if (moments > 1 and j == k) or (moments > 2 and j < k)]
    return np.column_stack([z] + [z[:, j] * z[:, k] for j, k in pairs])


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@pytest.mark.parametrize("moments", [1, 2, 3])
def test_entropy_balances_every_moment(estimand, moments):
    w = entropy(D, X, estimand, moments).weights
    m = moments_of(X, moments)
    target = {"att": m[D], "atc": m[~D], "ate": m}[estimand].mean(axis=0)
    for arm in (D, ~D):
        np.testing.assert_allclose(mean(w, m, arm), target, atol=1e-8)


def test_cbps_and_overlap_weights_balance_means():
    z = moments_of(X, 1)
    for w in (cbps(D, X, "ate").weights, ipw(D, X, "ato").weights):  # overlap weights by the equations of the logit
        np.testing.assert_allclose(mean(w, z, D), mean(w, z, ~D), atol=1e-8)


def test_just_identified_cbps_is_entropy_balancing_on_means():
    for estimand in ("att", "atc"):
        np.testing.assert_allclose(cbps(D, X, estimand).weights, entropy(D, X, estimand).weights, rtol=1e-9)
    z = np.column_stack([np.ones(len(D)), X])
    odds = np.log(cbps(D, X).weights[~D])
    beta = np.linalg.lstsq(z[~D], odds)[0]
    np.testing.assert_allclose(z[~D] @ beta, odds, atol=1e-9)  # they are odds of a logit


def test_entropy_weights_are_nearest_to_equal_ones():
    w = entropy(D, X).weights[~D] / D.sum()
    z = np.column_stack([np.ones((~D).sum()), X[~D]])
    rng = np.random.default_rng(0)
    away = rng.normal(size=len(w))
    away -= z @ np.linalg.lstsq(z, away)[0]  # keeps every balance
    for step in (1e-5, -1e-5):
        other = w + step * away / np.abs(away).max()
        assert (other * np.log(other)).sum() > (w * np.log(w)).sum()


def test_overlap_weights_are_bounded():
    x = np.linspace(-4, 4, 1000)[:, None]
    d = np.random.default_rng(1).random(1000) < special.expit(3 * x[:, 0])
    e = propensity(d, pd.DataFrame(x)).scores.to_numpy()
    w = ipw(d, x, "ato").weights
    np.testing.assert_allclose(w[d] / w[d].sum(), (1 - e[d]) / (1 - e[d]).sum(), rtol=1e-9)
    np.testing.assert_allclose(w[~d] / w[~d].sum(), e[~d] / e[~d].sum(), rtol=1e-9)


@pytest.mark.parametrize("case", EVERY)
def test_unit_and_row_order_change_nothing(case):
    theta, std_error = effect(EVERY[case](D, X))
    moved = EVERY[case](D, X * np.geomspace(1e-6, 1e6, X.shape[1]) + 3.0 * np.geomspace(1e-6, 1e6, X.shape[1]))
    assert effect(moved) == pytest.approx((theta, std_error), rel=1e-7)
    order = np.random.default_rng(7).permutation(len(D))
    shuffled = EVERY[case](D[order], X[order])
    np.testing.assert_allclose(shuffled.weights, EVERY[case](D, X).weights[order], rtol=1e-8)
    assert effect(shuffled, Y[order], D[order]) == pytest.approx((theta, std_error), rel=1e-8)


@pytest.mark.parametrize("case", EVERY)
def test_influence_is_what_one_more_firm_does(case):
    copies = 20
    d, x, y = small(120)
    _, psi = effect_influence(y, d, *as_known(EVERY[case](d, x)))
    known = effect_influence(y, d, EVERY[case](d, x).weights)[1]
    where = np.repeat(np.arange(len(d)), copies)

    def theta(rows):
        return effect(EVERY[case](d[rows], x[rows]), y[rows], d[rows])[0]

    firms = range(0, len(d), 10)
    moved = [copies * (theta(np.append(where, i)) - theta(np.delete(where, i * copies))) / 2 for i in firms]
    np.testing.assert_allclose(psi[firms], moved, atol=0.002 * np.abs(psi).max())
    assert np.abs(known[firms] - moved).max() > 0.1 * np.abs(psi).max()  # and the estimation of the weights counts


def as_known(found):
    return found.weights, found.derivative, found.influence


@pytest.mark.parametrize("estimand", ["att", "atc", "ate", "ato"])
@pytest.mark.parametrize("link", ["logit", "probit"])
def test_derivative_of_odds_weights(estimand, link):
    d, x, _ = small()
    found = ipw(d, x, estimand, link)
    z = np.column_stack([np.ones(len(d)), (x - x.mean(axis=0)) / x.std(axis=0)])
    beta = np.linalg.lstsq(z, propensity(d, pd.DataFrame(x), link).linear.to_numpy())[0]

    def weights(beta):
        e = special.expit(z @ beta) if link == "logit" else special.ndtr(z @ beta)
        one, zero = {
            "att": (1 + 0 * e, e / (1 - e)),
            "atc": ((1 - e) / e, 1 + 0 * e),
            "ate": (1 / e, 1 / (1 - e)),
            "ato": (1 - e, e),
        }[estimand]
        w = np.where(d, one, zero)
        total = {"att": d.sum(), "atc": (~d).sum()}.get(estimand, len(d))
        return w * np.where(d, total / w[d].sum(), total / w[~d].sum())

    np.testing.assert_allclose(found.weights, weights(beta), rtol=1e-8)
    for j, step in enumerate(1e-5 * np.eye(len(beta))):
        np.testing.assert_allclose(found.derivative[:, j], (weights(beta + step) - weights(beta - step)) / 2e-5, atol=1e-7)


def test_a_score_already_fitted_is_taken():
    d, x, _ = small()
    for link in ("logit", "probit"):
        fit = propensity(d, pd.DataFrame(x), link)
        given, own = ipw(d, x, "ate", link, fit.scores.to_numpy()), ipw(d, x, "ate", link)
        np.testing.assert_allclose(given.weights, own.weights, rtol=1e-9)
        np.testing.assert_allclose(given.influence @ given.derivative.T, own.influence @ own.derivative.T, atol=1e-8)


def test_a_score_of_one_is_refused():
    d, x, _ = small()
    score = np.full(len(d), 0.4)
    score[:3] = 0.0, 1.0, 1.0
    with pytest.raises(EstimationError, match="0 or 1 for 3 firms"):
        ipw(d, x, "ate", score=score)


def test_redundant_moments_are_left_out():
    d, x, _ = small()
    twice = np.column_stack([x, x[:, 0] + 2 * x[:, 1], np.ones(len(d))])
    np.testing.assert_allclose(entropy(d, twice, moments=3).weights, entropy(d, x, moments=3).weights, rtol=1e-6)
    np.testing.assert_allclose(cbps(d, twice, "ate").weights, cbps(d, x, "ate").weights, rtol=1e-8)


def test_nearly_collinear_covariates_are_both_balanced():
    d, x, _ = small()
    x = np.column_stack([x, x[:, 0] + 1e-3 * x[:, 1] ** 2])
    w = entropy(d, x).weights
    np.testing.assert_allclose(mean(w, x, ~d), x[d].mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(mean(w, x[:, 1] ** 2, ~d), (x[d, 1] ** 2).mean(), atol=1e-6)


# ---- what weightings refuse, and note


def test_target_beyond_the_controls_is_refused_by_name():
    d, x, _ = small()
    x[d, 1] += 50
    with pytest.raises(
        EstimationError, match=r"controls reach 'age' \(aimed at .* beyond the largest value\).*match.support: hull"
    ):
        entropy(d, x, names=["size", "age", "exporter"])
    with pytest.raises(EstimationError, match=r"treated firms reach 'age' \(aimed at .* beyond the smallest"):
        entropy(d, x, "atc", names=["size", "age", "exporter"])
    with pytest.raises(EstimationError, match="treated firms reach 'age'"):
        entropy(d, x, "ate", names=["size", "age", "exporter"])
    with pytest.raises(EstimationError, match="'age' is never lower among the treated"):
        cbps(d, x, "ate", names=["size", "age", "exporter"])
    with pytest.raises(EstimationError, match="'age' is never lower among the treated"):
        ipw(d, x, names=["size", "age", "exporter"])


def test_a_level_that_no_treated_firm_has_is_refused():
    d, x, _ = small()
    x[:, 2] = ~d & (x[:, 2] == 1)
    with pytest.raises(EstimationError, match=r"'exporter' \(aimed at the smallest value itself\)"):
        entropy(d, x, names=["size", "age", "exporter"])


def test_moments_out_of_reach_together_only():
    angle = np.arange(40.0)
    x = np.vstack([np.column_stack([np.cos(angle), np.sin(angle)]), [[0.9, 0.9], [0.9, 0.8]]])
    d = np.arange(42) >= 40
    with pytest.raises(EstimationError, match="all means at once: with the others held, "):
        entropy(d, x)


def test_edge_that_no_covariate_shows_alone_is_refused():
    x = np.array([[0.0, 0.0], [2.0, 2.0], [0.7, 0.3], [0.0, 2.0], [2.0, 0.0]])
    d = np.array([False, False, False, True, True])  # aimed at (1, 1), between the first two controls
    with pytest.raises(EstimationError, match="on the edge only, where weights are zero"):
        entropy(d, x)
    x[2] = 0.3, 0.7
    x = np.vstack([x, [0.7, 0.3]])
    entropy(np.r_[d, False], x)


def test_weight_on_one_firm_is_noted():
    x = np.r_[np.zeros(29), 1.0, np.full(5, 0.5)][:, None]
    d = np.arange(35) >= 30
    with collected() as notes:
        found = entropy(d, x)
    assert found.weights[29] == pytest.approx(2.5)
    assert [note.key for note in notes] == ["weight_on_one_control"] == [note.key for note in found.notes]
    assert str(notes[0]) == "one firm carries 50% of the weight of 30 controls: the estimate hangs on it"


def test_an_arm_must_not_be_empty():
    for weigh in (ipw, entropy, cbps):
        with pytest.raises(DesignError, match="treated and control firms"):
            weigh(np.ones(4, bool), np.arange(4.0)[:, None])


# ---- strata


def codes(case):
    return np.array([-1 if c == "-" else int(c) for c in EXPECTED["matchit"][case]["subclass"].split()])


def same_partition(one, other):
    assert ((one < 0) == (other < 0)).all()
    pairs = pd.DataFrame({"one": one, "other": other}).drop_duplicates()
    assert pairs["one"].is_unique and pairs["other"].is_unique


STRATA = {
    "subclass6": ("att", lambda: subclasses(SCORE, D, np.zeros(len(D), int), 6)),
    "subclass5_ate": ("ate", lambda: subclasses(SCORE, D, np.zeros(len(D), int), 5, "ate")),
    "cem": (
        "att",
        lambda: coarsened(UNITS[COVARIATES], D, {"x1": (-1, 0, 1), "x2": (-1, 0, 1), "x3": (0.7, 1, 1.5), "x4": (-0.5, 0.5)}),
    ),
    "exact": ("att", lambda: coarsened(UNITS[["sector", "exporter", "region"]], D, exact=["sector", "exporter", "region"])),
}
SCORE = propensity(D, UNITS[COVARIATES]).scores.to_numpy()


@pytest.mark.parametrize("case", STRATA)
def test_strata_of_matchit(case):
    same_partition(STRATA[case][1](), codes(case))


def test_sturges_number_of_equal_bins_is_the_default():
    rng = np.random.default_rng(2)
    x = pd.DataFrame({"size": rng.uniform(0, 8, 64)})
    x.loc[:1, "size"] = 0.0, 8.0
    d = rng.random(64) < 0.5
    stratum = coarsened(x, d)  # ⌈log₂ 64⌉ + 1 = 7 bins
    same_partition(stratum, coarsened(x, d, {"size": 7}))
    same_partition(stratum, coarsened(x, d, {"size": 8 / 7 * np.arange(1, 7)}))


def test_an_edge_belongs_to_the_bin_above():
    x = pd.DataFrame({"size": [4.9, 5.0, 5.1, 4.0], "branch": ["a", "a", "a", "b"]})
    assert coarsened(x, [True, False, True, False], {"size": [5.0]}).tolist() == [-1, 0, 0, -1]
    assert coarsened(x[["size"]], [True, False, True, False], {"size": [5.0]}).tolist() == [0, 1, 1, 0]


def test_coarsening_refuses():
    x = pd.DataFrame({"size": [1.0, 2.0], "branch": ["a", "b"]})
    with pytest.raises(DesignError, match="'branch' is taken by its levels"):
        coarsened(x, [True, False], {"branch": [1]})
    with pytest.raises(DesignError, match="of 2 strata none does"):
        coarsened(x, [True, False])


def test_every_subclass_gets_both_arms_from_its_neighbours():
    # quartile classes of the treated 1 … 8 hold two each; every control lies in the lowest
    score = np.r_[np.arange(1.0, 9), 0.1, 0.2, 0.3, 0.4]
    treated = np.arange(12) < 8
    stratum = subclasses(score, treated, np.zeros(12, int), 4)
    assert stratum.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 0, 1, 2, 3]
    with pytest.raises(DesignError, match="there are firms of both arms for 4"):
        subclasses(score, treated, np.zeros(12, int), 5)


def test_an_empty_class_is_filled_from_the_side_with_more_to_spare():
    score = np.r_[np.arange(1.0, 7), 0.1, 0.2, 5.1, 5.2, 5.3]
    treated = np.arange(11) < 6  # classes {1, 2}, {3, 4}, {5, 6}; controls 2, 0, 3
    assert subclasses(score, treated, np.zeros(11, int), 3)[6:].tolist() == [0, 0, 1, 2, 2]
    score[10] = 0.3  # 3, 0, 2
    assert subclasses(score, treated, np.zeros(11, int), 3)[6:].tolist() == [0, 0, 2, 2, 1]


def test_only_firms_to_spare_count_for_a_side():
    # controls 1, 1, 0, 0, 3 in the five classes: more of them near on the left, but none there to spare
    score = np.r_[np.arange(1.0, 11), 1.1, 3.1, 9.1, 9.2, 9.3]
    treated = np.arange(15) < 10
    assert subclasses(score, treated, np.zeros(15, int), 5)[10:].tolist() == [0, 1, 2, 3, 4]


def test_subclasses_stay_inside_cells():
    rng = np.random.default_rng(4)
    score, treated, cell = rng.random(90), rng.random(90) < 0.4, np.repeat([5, 2, 9], [60, 28, 2])
    treated[-2:] = True  # the cell 9 has no control
    stratum = subclasses(score, treated, cell, 4)
    assert (stratum[cell == 9] == -1).all()
    found = pd.DataFrame({"s": stratum, "cell": cell, "treated": treated})[stratum >= 0]
    assert (found.groupby("s")["cell"].nunique() == 1).all()
    assert (found.groupby("s")["treated"].nunique() == 2).all()
    assert sorted(found["s"].unique()) == list(range(8))


def test_equal_scores_make_fewer_subclasses_and_say_so():
    score, treated = np.repeat([0.2, 0.8], 6), np.tile([True, False], 6)
    with pytest.warns(PipevalWarning, match="fewer subclasses than the 4 asked for"):
        stratum = subclasses(score, treated, np.zeros(12, int), 4)
    assert stratum.tolist() == [0] * 6 + [1] * 6


# ---- common support


def test_minmax_leaves_whom_matchit_discards():
    found = on_support(SCORE, D, "minmax")
    out = EXPECTED["matchit"]["discard_both"]["discarded"]
    assert ((~found.kept & D).sum(), (~found.kept & ~D).sum()) == (out["Treated"], out["Control"])
    np.testing.assert_array_equal(found.kept, pd.Series(SCORE).between(found.low, found.high))
    assert {found.low, found.high} <= set(SCORE)


def test_hull_trims_those_for_whose_effect_is_asked():
    score, treated = np.array([0.1, 0.3, 0.5, 0.2, 0.4, 0.7]), np.array([False, False, False, True, True, True])
    assert on_support(score, treated, "hull", "att").kept.tolist() == [True] * 5 + [False]
    assert on_support(score, treated, "hull", "atc").kept.tolist() == [False] + [True] * 5
    assert on_support(score, treated, "hull", "ate").kept.tolist() == [False, True, True, True, True, False]
    assert on_support(score, treated).kept.all() and on_support(score, treated).low == -np.inf


def test_crump_solves_its_equation():
    rng = np.random.default_rng(8)
    score = special.expit(rng.normal(-1.5, 2.0, 4000))
    found = on_support(score, rng.random(4000) < score, "crump")
    g = 1 / (score * (1 - score))
    edge = 1 / (found.low * (1 - found.low))
    assert edge == pytest.approx(2 * g[g <= edge].mean(), rel=1e-12)
    assert (found.kept == (g <= edge)).all() and found.high == 1 - found.low and 0 < (~found.kept).sum() < 4000
    cuts = np.sort(g)  # and no other cut leaves less variance
    assert g[found.kept].sum() / found.kept.sum() ** 2 == pytest.approx(
        (np.cumsum(cuts) / np.arange(1, 4001) ** 2).min(), rel=1e-12
    )


def test_crump_by_hand():
    # g = 4, 4, 4, 4, 101.01…: beyond twice the mean 23.4; without the last 1 / (α (1 − α)) = 8
    score, treated = np.array([0.5, 0.5, 0.5, 0.5, 0.01]), np.array([True, False, True, False, False])
    found = on_support(score, treated, "crump")
    assert found.low == pytest.approx(0.5 - np.sqrt(1 / 8), abs=1e-12)
    assert found.kept.tolist() == [True] * 4 + [False]
    score[-1] = 0.0
    assert on_support(score, treated, "crump").kept.tolist() == [True] * 4 + [False]
    score[-1] = 0.3  # g = 4.76 < 2 · 4.15: nobody leaves
    found = on_support(score, treated, "crump")
    assert found.kept.all() and (found.low, found.high) == (0, 1)


def test_of_two_solutions_crump_takes_the_one_of_less_variance():
    score = np.r_[np.full(2, 0.5), np.full(20, 0.5 - np.sqrt(0.25 - 1 / 12)), 0.001]  # g = 4, 12, 1001; 8 and 22.5 solve
    found = on_support(score, np.arange(23) % 2 == 0, "crump")
    assert found.kept.sum() == 22
    assert 1 / (found.low * found.high) == pytest.approx(2 * (2 * 4 + 20 * 12) / 22, rel=1e-12)


def test_support_refuses_an_empty_arm():
    with pytest.raises(DesignError, match="0 of 2 treated and"):
        on_support(np.array([0.8, 0.9, 0.1, 0.2]), np.array([True, True, False, False]), "hull")
    with pytest.raises(DesignError, match="found 2 and 0"):
        on_support(np.array([0.8, 0.9]), np.array([True, True]), "hull")


def test_what_trimming_does_is_said():
    assert support_note((5, 9), (5, 9), "minmax", "att") is None
    note = support_note((287, 1213), (281, 1205), "minmax", "att")
    assert note.key == "support_att" and str(note).endswith(
        "now that on the 281 treated firms of 287 that have comparable controls, not on all 287"
    )
    assert str(support_note((5, 9), (5, 7), "minmax", "att")).endswith("the effect is still that on all 5 treated firms")
    assert "on the 7 controls of 9 that have comparable treated firms" in str(support_note((5, 9), (5, 7), "minmax", "atc"))
    assert "on the 11 firms of 14 that the other side can be compared with" in str(support_note((5, 9), (4, 7), "crump", "ate"))


@pytest.mark.parametrize("cut", [None, 1, [100.0]])
def test_a_number_in_one_bin_keeps_nobody_apart_and_says_so(cut):
    x = pd.DataFrame({"size": [1.0, 2, 3, 4] if cut else [5.0] * 4, "age": [1.0, 9, 1, 9]})
    with collected() as notes:
        stratum = coarsened(x, np.array([True, True, False, False]), {"age": 2} | ({"size": cut} if cut else {}))
    assert stratum.tolist() == [0, 1, 0, 1]
    assert [(n.key, n.values) for n in notes] == [("one_bin", {"columns": "size"})]


@pytest.mark.parametrize("link", ["logit", "probit"])
@pytest.mark.parametrize(("seed", "edge"), [(18, "most"), (29, "least")])
def test_scores_stay_inside_and_units_change_nothing(link, seed, edge):
    x = -np.exp(np.random.default_rng(seed).normal(size=40) * 3)
    d = np.arange(40) < 20
    fits = {unit: propensity(d, pd.DataFrame({"x": x * unit}), link) for unit in (1.0, 1e5, 1e200, 1e-200)}
    for unit, fit in fits.items():
        assert fit.scores.gt(0).all() and fit.scores.lt(1).all()
        np.testing.assert_allclose(fit.scores, fits[1.0].scores, rtol=1e-6, atol=1e-12)
        ours, first = (f.coefficients.set_index("covariate").loc["x"] for f in (fit, fits[1.0]))
        np.testing.assert_allclose(
            [ours["estimate"] * unit, ours["std_error"] * unit], first[["estimate", "std_error"]].tolist(), rtol=1e-6
        )
        np.testing.assert_allclose(ours["p_value"], first["p_value"], rtol=1e-6)
    if edge == "least":
        assert fits[1.0].scores.min() == np.finfo(float).tiny
        certain = (fits[1.0].scores == np.finfo(float).tiny).sum()
        with pytest.raises(EstimationError, match=f"0 or 1 for {certain} firms"):
            ipw(d, x[:, None], "ate", link, score=fits[1.0].scores.to_numpy())
    elif link == "probit":
        assert fits[1.0].scores.max() == np.nextafter(1, 0)
        with pytest.raises(EstimationError, match="0 or 1 for 1 firms"):
            ipw(d, x[:, None], "att", link, score=fits[1.0].scores.to_numpy())


def test_a_covariate_that_varies_by_rounding_only_is_called_so():
    x = pd.DataFrame({"x": 1 + np.arange(20) % 3 * 1e-14})
    with pytest.raises(DesignError, match="more than rounding; 'x' does not"):
        propensity(np.arange(20) < 10, x)
