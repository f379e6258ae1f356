"""Sensitivity to hidden bias: published examples, naive twins by definition, confounders made to measure, and what is refused."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from pipeval.errors import DataError, DesignError, EstimationError, PipevalWarning, collected
from pipeval.matching.matched import MatchedSample
from pipeval.robustness.confounder import benchmark_bounds, confounder_strength, regression_strength
from pipeval.robustness.hidden_bias import GAMMAS, breaking_gamma, rosenbaum_bounds, set_differences
from pipeval.study.match_spec import MatchSpec

# Lead in the blood of 33 exposed children minus that of their controls (Morton et al. 1982; Rosenbaum 2002, table 4.1).
LEAD = [22, 5, 23, -6, 18, 25, 13, 47, 15, 16, 6, 1, 2, 7, 0, 4, -9, -3, 36, 25, 1, 16, 42, 30, 25, 23, 32, 17, 9, -3, 60, 14, 14]


def naive_p(d: np.ndarray, p: float) -> float:
    """P(T ≥ t) by walking through every assignment of signs."""
    d = d[d != 0]
    ranks = stats.rankdata(np.abs(d))
    t = ranks[d > 0].sum()
    total = 0.0
    for signs in product((0, 1), repeat=len(d)):
        if np.dot(signs, ranks) >= t - 1e-9:
            total += p ** sum(signs) * (1 - p) ** (len(d) - sum(signs))
    return total


def naive_hl(d: np.ndarray, shares: np.ndarray) -> list[float]:
    """Solve T(d − shift) = share × its maximum on the intervals between all Walsh averages; ½(sup{T > μ} + inf{T < μ})."""
    i, j = np.triu_indices(len(d))
    walsh = np.unique((d[i] + d[j]) / 2)
    between = np.r_[walsh[0] - 1, (walsh[1:] + walsh[:-1]) / 2, walsh[-1] + 1]
    t = np.array([stats.rankdata(np.abs(d - shift))[d > shift].sum() for shift in between])
    means = shares * len(d) * (len(d) + 1) / 2
    return [(walsh[np.flatnonzero(t > m + 1e-9)[-1]] + walsh[np.flatnonzero(t < m - 1e-9)[0] - 1]) / 2 for m in means]


class TestRosenbaumBounds:
    def test_lead_in_the_blood(self):
        """Hodges–Lehmann bounds of Rosenbaum (2002), table 4.4; p-values by his formula with the one zero dropped."""
        table = rosenbaum_bounds(LEAD, gammas=(1, 2, 3, 4, 5))
        assert table["hl_low"].tolist() == [15, 10.25, 8, 6.5, 5]
        assert table["hl_high"].tolist() == [15, 19.5, 23, 25, 26.5]
        d = np.array([x for x in LEAD if x], float)
        q = stats.rankdata(np.abs(d))
        for gamma, low, high in zip(table["gamma"], table["p_low"], table["p_high"]):
            for p, found in ((1 / (1 + gamma), low), (gamma / (1 + gamma), high)):
                z = (q[d > 0].sum() - p * q.sum()) / np.sqrt(p * (1 - p) * (q**2).sum())
                assert found == pytest.approx(stats.norm.sf(z), rel=1e-8)
        # with the zero ranked below all others, as he does, his p-values of table 4.2: .0388 at Γ = 4 and .0740 at Γ = 5
        for p, printed in ((4 / 5, 0.0388), (5 / 6, 0.0740)):
            z = ((q + 1)[d > 0].sum() - p * (q + 1).sum()) / np.sqrt(p * (1 - p) * ((q + 1) ** 2).sum())
            assert stats.norm.sf(z) == pytest.approx(printed, abs=6e-5)

    @pytest.mark.parametrize("seed", range(4))
    def test_exact_is_the_definition(self, seed):
        rng = np.random.default_rng(seed)
        d = rng.integers(-4, 8, 11).astype(float)  # ties and zeros
        table = rosenbaum_bounds(d, gammas=(1, 1.7, 4))
        for gamma, low, high in table[["gamma", "p_low", "p_high"]].to_numpy():
            assert low == pytest.approx(naive_p(d, 1 / (1 + gamma)), rel=1e-10)
            assert high == pytest.approx(naive_p(d, gamma / (1 + gamma)), rel=1e-10)

    @pytest.mark.parametrize("n", [12, 25, 26, 200])
    @pytest.mark.parametrize("direction, side", [("increase", "greater"), ("decrease", "less")])
    def test_no_bias_is_the_signed_rank_test(self, n, direction, side):
        d = np.random.default_rng(n).normal(0.1, 1, n)
        other = stats.wilcoxon(d, alternative=side, correction=False, method="exact" if n <= 25 else "asymptotic")
        table = rosenbaum_bounds(d, gammas=(1,), direction=direction)
        assert table["p_low"][0] == table["p_high"][0] == pytest.approx(other.pvalue, rel=1e-8)

    def test_ties_and_zeros_in_a_large_sample(self):
        d = np.random.default_rng(3).integers(-3, 6, 120).astype(float)
        other = stats.wilcoxon(d, zero_method="wilcox", alternative="greater", correction=False, method="asymptotic")
        assert rosenbaum_bounds(d, gammas=(1,))["p_high"][0] == pytest.approx(other.pvalue, rel=1e-8)

    @pytest.mark.parametrize("n", [1, 2, 3, 4, 10, 12, 41])
    @pytest.mark.parametrize("kind", ["normal", "ties", "heavy"])
    def test_hodges_lehmann_is_the_definition(self, n, kind):
        rng = np.random.default_rng(n)
        d = {"normal": rng.normal(size=n), "ties": rng.integers(-2, 4, n) / 4.0, "heavy": rng.standard_cauchy(n) * 1e3}[kind]
        table = rosenbaum_bounds(d, gammas=(*GAMMAS, 4, 9, 50))
        i, j = np.triu_indices(n)
        assert table["hl_low"][0] == pytest.approx(np.median((d[i] + d[j]) / 2), rel=1e-8, abs=1e-12)
        gamma = table["gamma"].to_numpy()
        assert table["hl_low"].tolist() == pytest.approx(naive_hl(d, gamma / (1 + gamma)), rel=1e-8, abs=1e-12)
        assert table["hl_high"].tolist() == pytest.approx(naive_hl(d, 1 / (1 + gamma)), rel=1e-8, abs=1e-12)

    @pytest.mark.parametrize("kind", ["normal", "ties", "lump"])
    def test_hodges_lehmann_of_many_sets(self, kind):
        rng = np.random.default_rng(5)
        d = {
            "normal": rng.normal(size=700),
            "ties": rng.integers(-20, 30, 700) / 10,
            "lump": np.r_[np.zeros(650), rng.normal(size=50)],
        }
        d = d[kind]
        i, j = np.triu_indices(len(d))
        walsh = np.sort((d[i] + d[j]) / 2)[::-1]
        table = rosenbaum_bounds(d, gammas=(1, 2, 3))
        place = len(walsh) * np.array([1 / 2, 2 / 3, 3 / 4])
        expected = [(walsh[int(np.floor(p + 1e-9))] + walsh[int(np.ceil(p - 1e-9)) - 1]) / 2 for p in place]
        assert table["hl_low"].to_numpy() == pytest.approx(expected, abs=1e-12)

    def test_a_greater_bias_widens_both(self):
        d = np.random.default_rng(1).normal(0.3, 1, 80)
        table = rosenbaum_bounds(d)
        assert table["gamma"].tolist() == list(GAMMAS) and GAMMAS[:3] == (1.0, 1.1, 1.2) and GAMMAS[-1] == 3.0
        assert (table[["p_low", "hl_low"]].diff().dropna() <= 0).all(axis=None)
        assert (table[["p_high", "hl_high"]].diff().dropna() >= 0).all(axis=None)
        far = rosenbaum_bounds(d, gammas=(1e9,))
        assert far["p_high"][0] > 0.999 and far["hl_low"][0] == d.min() and far["hl_high"][0] == d.max()

    def test_invariances(self):
        d = np.random.default_rng(2).normal(0.3, 1, 60)
        table = rosenbaum_bounds(d)
        pd.testing.assert_frame_equal(rosenbaum_bounds(d[::-1]), table)
        scaled = rosenbaum_bounds(1000 * d)
        np.testing.assert_allclose(scaled[["p_low", "p_high"]], table[["p_low", "p_high"]], rtol=1e-12)
        np.testing.assert_allclose(scaled[["hl_low", "hl_high"]], 1000 * table[["hl_low", "hl_high"]], rtol=1e-12)
        moved = rosenbaum_bounds(d + 7)
        np.testing.assert_allclose(moved[["hl_low", "hl_high"]], table[["hl_low", "hl_high"]] + 7, rtol=1e-12)
        mirrored = rosenbaum_bounds(-d, direction="decrease")
        np.testing.assert_allclose(mirrored[["p_low", "p_high"]], table[["p_low", "p_high"]])
        np.testing.assert_allclose(mirrored[["hl_low", "hl_high"]], -table[["hl_high", "hl_low"]], rtol=1e-12)

    def test_nothing_to_compare(self):
        zeros = rosenbaum_bounds(np.zeros(5), gammas=(1, 2))
        assert zeros[["p_low", "p_high"]].isna().all(axis=None) and (zeros[["hl_low", "hl_high"]] == 0).all(axis=None)
        assert rosenbaum_bounds([], gammas=(1,)).drop(columns="gamma").isna().all(axis=None)
        one = rosenbaum_bounds([3.0], gammas=(1, 3))
        assert one["p_high"].tolist() == [0.5, 0.75] and one["p_low"].tolist() == [0.5, 0.25]
        assert one["hl_low"].tolist() == one["hl_high"].tolist() == [3, 3]

    def test_refusals(self):
        with pytest.raises(DesignError, match=r"at least 1; found 2 values \(0.5, inf\)"):
            rosenbaum_bounds([1.0], gammas=(0.5, 1, np.inf))
        with pytest.raises(DesignError, match="increase or decrease; found 'up'"):
            rosenbaum_bounds([1.0], direction="up")
        with pytest.raises(EstimationError, match=r"2 positions \(1, 2\) missing or infinite"):
            rosenbaum_bounds([1.0, np.nan, np.inf])


class TestBreakingGamma:
    def test_closed_form_of_an_exact_test(self):
        """All n positive: the greatest p-value is (Γ/(1 + Γ))ⁿ."""
        root = 0.05 ** (1 / 8)
        found = breaking_gamma(np.arange(1.0, 9))
        assert found["gamma"] == pytest.approx(root / (1 - root), rel=1e-8)
        assert found == {"gamma": found["gamma"], "p_value": pytest.approx(0.5**8), "n_sets": 8, "reason": None}

    def test_closed_form_of_a_large_sample(self):
        """All n positive: z = S/√(Γ Σq²)."""
        q = np.arange(1.0, 1001)
        z = stats.norm.isf(0.1)
        found = breaking_gamma(-q, direction="decrease", level=0.9)
        assert found["gamma"] == pytest.approx((q.sum() / z) ** 2 / (q**2).sum(), rel=1e-8)

    @pytest.mark.parametrize("n", [20, 60])
    def test_the_bound_crosses_there(self, n):
        d = np.random.default_rng(n).normal(0.8, 1, n)
        gamma = breaking_gamma(d)["gamma"]
        assert rosenbaum_bounds(d, gammas=(gamma,))["p_high"][0] == pytest.approx(0.05, rel=1e-6)

    def test_reasons(self):
        d = np.random.default_rng(0).normal(0.8, 1, 40)
        against = breaking_gamma(d, direction="decrease")
        assert np.isnan(against["gamma"]) and against["reason"] == "not_significant" and against["p_value"] > 0.99
        nothing = breaking_gamma(np.zeros(4))
        assert np.isnan(nothing["gamma"]) and np.isnan(nothing["p_value"]) and nothing["reason"] == "no_difference"
        assert breaking_gamma([1.0, 2.0, 3.0])["reason"] == "not_significant"  # 1/8 at best
        with pytest.raises(DesignError, match="level must lie between 0 and 1; found 95"):
            breaking_gamma(d, level=95)


def sample_of(rows: list[tuple], method: str = "optimal", **options) -> MatchedSample:
    sets = pd.DataFrame(rows, columns=["set_id", "cohort", "firm_id", "role", "weight"]).assign(rank=0, distance=np.nan)
    spec = MatchSpec(method=method, covariates=("size",), **options)
    nobody = pd.DataFrame(columns=["firm_id", "role", "reason"])
    return MatchedSample(sets, pd.Series(dtype=float), pd.DataFrame(), nobody, spec)


PAIRED = [
    (1, 2004.0, "A", "treated", 1.0),
    (1, 2004.0, "p", "control", 0.5),
    (1, 2004.0, "q", "control", 0.5),
    (2, 2005.0, "B", "treated", 1.0),
    (2, 2005.0, "r", "control", 1.0),
]


class TestSetDifferences:
    def test_by_hand(self):
        change = pd.Series({"A": 5.0, "p": 1.0, "q": 2.0, "B": 3.0, "r": 4.0, "unmatched": 9.0})
        with pytest.warns(PipevalWarning, match="1 of 2 matched sets have several firms on one side"):
            difference, notes = set_differences(sample_of(PAIRED), change)
        assert difference.to_dict() == {1: 3.5, 2: -1.0} and difference.index.name == "set_id"
        assert [(n.key, n.values) for n in notes] == [("sets_of_several", {"several": 1, "kept": 2})]

    def test_what_is_left_of_a_set(self):
        change = pd.Series({"A": 5.0, "p": np.nan, "q": 2.0, "B": 3.0})
        with collected() as raised:
            difference, notes = set_differences(sample_of(PAIRED), change)
        assert difference.to_dict() == {1: 3.0}  # the other control carries the set, which is a pair now
        assert [(n.key, n.values) for n in notes] == [("sets_unobserved", {"left": 1, "n_sets": 2})]
        assert raised == list(notes)

    def test_full_matching_weighs_both_sides(self):
        rows = [
            (1, 2004.0, "A", "treated", 1.0),
            (1, 2005.0, "B", "treated", 1.0),
            (1, 2004.0, "p", "control", 1.0),
            (1, 2005.0, "p", "control", 1.0),
        ]
        with collected():
            difference, _ = set_differences(sample_of(rows, "full"), pd.Series({"A": 1.0, "B": 4.0, "p": 2.0}))
            keys = pd.MultiIndex.from_tuples([(2004.0, "A"), (2005.0, "B"), (2004.0, "p"), (2005.0, "p")])
            by_cohort, _ = set_differences(sample_of(rows, "full"), pd.Series([1.0, 4.0, 2.0, 1.0], index=keys))
        assert difference.to_dict() == {1: 0.5} and by_cohort.to_dict() == {1: 1.0}

    def test_no_notes_for_whole_pairs(self):
        change = pd.Series({"B": 3.0, "r": 4.0})
        assert set_differences(sample_of(PAIRED[3:]), change)[1] == ()

    def test_refusals(self):
        change = pd.Series({"A": 5.0, "p": 1.0, "q": 2.0, "B": 3.0, "r": 4.0})
        with pytest.raises(DesignError, match="method: ipw makes none"):
            set_differences(sample_of(PAIRED, "ipw"), change)
        again = [*PAIRED, (2, 2005.0, "p", "control", 1.0)]
        with pytest.raises(DesignError, match=r"in several: 1 firm \(p\). Match without replacement"):
            set_differences(sample_of(again, "nearest", replace=True), change)
        with pytest.raises(DesignError, match=r"one change; repeated: 1 row \(A\). Give one row for each firm_id"):
            set_differences(sample_of(PAIRED), pd.concat([change, change[["A"]]]))
        with pytest.raises(DesignError, match="none of 2 sets has both"):
            set_differences(sample_of(PAIRED), change[["A", "r"]])
        with pytest.raises(EstimationError, match=r"infinite for 1 firm \(p\)"):
            set_differences(sample_of(PAIRED), change.replace(1.0, np.inf))


class TestConfounderStrength:
    def test_darfur(self):
        """R package sensemakr 0.1.6 on the data of Cinelli and Hazlett (2020), who print .022, 13.9 % and 7.6 %."""
        found = confounder_strength(0.0973158192849558, 0.023256537809811, 783)
        assert found["statistic"] == pytest.approx(4.18444998480823, rel=1e-10)
        assert found["partial_r2"] == pytest.approx(0.0218730933411097, rel=1e-10)
        assert found["robustness_value"] == pytest.approx(0.138776353893588, rel=1e-10)
        assert found["robustness_value_significance"] == pytest.approx(0.0762579655448573, rel=1e-10)

    def test_the_sign_does_not_matter(self):
        measures = ["partial_r2", "robustness_value", "robustness_value_significance"]
        pd.testing.assert_series_equal(confounder_strength(-2, 0.5, 40)[measures], confounder_strength(2, 0.5, 40)[measures])

    def test_part_of_the_estimate(self):
        assert confounder_strength(3, 1, 50, q=0.5)["robustness_value"] == confounder_strength(1.5, 1, 50)["robustness_value"]

    def test_an_estimate_that_is_not_significant(self):
        found = confounder_strength(1, 1, 50)
        assert found["robustness_value_significance"] == 0 and found["robustness_value"] > 0
        assert confounder_strength(0, 1, 50)["robustness_value"] == 0

    @pytest.mark.parametrize("statistic, df", [(4.0, 100), (40.0, 100), (9.0, 5), (2.0, 3), (300.0, 12)])
    def test_significance_is_lost_there_and_not_before(self, statistic, df):
        """Least t over confounders that explain at most r of either, by search over the outcome side."""
        r = confounder_strength(statistic, 1, df)["robustness_value_significance"]
        critical = stats.t.ppf(0.975, df - 1)

        def least(r: float) -> float:
            y = np.linspace(0, r, 200_001)
            return ((statistic - np.sqrt(df * y * r / (1 - r))) / np.sqrt((1 - y) / (1 - r) * df / (df - 1))).min()

        if r == 0:
            assert statistic * np.sqrt((df - 1) / df) <= critical
        else:
            assert least(r) == pytest.approx(critical, rel=1e-6) and least(0.99 * r) > critical

    def test_refusals(self):
        for wrong in ((np.nan, 1, 10), (1, 0, 10), (1, np.nan, 10), (1, 1, 1)):
            with pytest.raises(EstimationError, match="at least 2 degrees of freedom"):
                confounder_strength(*wrong)
        with pytest.raises(DesignError, match="q, the share of the estimate"):
            confounder_strength(1, 1, 10, q=0)
        with pytest.raises(DesignError, match="level must lie between 0 and 1; found 1"):
            confounder_strength(1, 1, 10, level=1)


def made(seed: int = 0, n: int = 90) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    x = pd.DataFrame({"size": rng.normal(3, 1, n), "age": rng.normal(10, 4, n), "year": 2003.0 + rng.integers(0, 3, n)})
    d = (0.4 * (x["size"] - 3) + rng.normal(size=n) > 0).astype(float).to_numpy()
    y = 1.2 * d + 0.5 * x["size"].to_numpy() + 0.1 * x["age"].to_numpy() + rng.normal(size=n)
    return y, d, x


def ssr(y: np.ndarray, *columns) -> float:
    x = np.column_stack([np.ones(len(y)), *columns])
    return float(((y - x @ np.linalg.lstsq(x, y, rcond=None)[0]) ** 2).sum())


def residual(y: np.ndarray, *columns) -> np.ndarray:
    x = np.column_stack([np.ones(len(y)), *columns])
    found = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return found / np.linalg.norm(found)


def with_confounder(y, d, x, r2d: float, r2y: float):
    """Least squares with one more covariate, made to explain exactly these shares of both, against the estimate."""
    own, rest = residual(d, x), residual(y, d, x)
    noise = residual(np.random.default_rng(9).normal(size=len(y)), x, d, y)
    sign = np.sign(sm.OLS(y, sm.add_constant(np.column_stack([d, x]))).fit().params[1])
    z = np.sqrt(r2d) * own + sign * np.sqrt(1 - r2d) * (np.sqrt(r2y) * rest + np.sqrt(1 - r2y) * noise)
    return sm.OLS(y, sm.add_constant(np.column_stack([d, x, z]))).fit()


class TestBenchmarkBounds:
    @pytest.mark.parametrize("columns", [["size"], ["age", "year"]])
    def test_strength_is_the_definition(self, columns):
        y, d, x = made()
        others = x.drop(columns=columns)
        r2d = 1 - ssr(d, x) / ssr(d, others)
        r2y = 1 - ssr(y, d, x) / ssr(y, d, others)
        table = benchmark_bounds(y, d, x, {"it": columns}, multiples=(0.2, 0.5, 1, 3))
        assert table["r2yz_dx"][0] < 1
        for k, dz, yz in table[["multiple", "r2dz_x", "r2yz_dx"]].to_numpy():
            eta = k * r2d**2 / ((1 - k * r2d) * (1 - r2d))
            assert dz == pytest.approx(k * r2d / (1 - r2d), rel=1e-8)
            expected = ((np.sqrt(k) + np.sqrt(eta)) / np.sqrt(1 - eta)) ** 2 * r2y / (1 - r2y)
            assert yz == pytest.approx(min(expected, 1), rel=1e-8)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_such_a_confounder_does_what_the_table_says(self, sign):
        y, d, x = made()
        table = benchmark_bounds(sign * y, d, x, ["size", "age"], multiples=(1, 2))
        assert table[["covariate", "multiple"]].to_numpy().tolist() == [["size", 1], ["size", 2], ["age", 1], ["age", 2]]
        for row in table.itertuples():
            fit = with_confounder(sign * y, d, x, row.r2dz_x, row.r2yz_dx)
            found = [row.estimate, row.std_error, row.conf_low, row.conf_high]
            np.testing.assert_allclose(found, [fit.params[1], fit.bse[1], *fit.conf_int()[1]], rtol=1e-8, atol=1e-10)

    def test_robustness_values_do_what_they_say(self):
        y, d, x = made()
        fit = sm.OLS(y, sm.add_constant(np.column_stack([d, x]))).fit()
        found = confounder_strength(fit.params[1], fit.bse[1], fit.df_resid)
        rv, significance = found["robustness_value"], found["robustness_value_significance"]
        assert with_confounder(y, d, x, rv, rv).params[1] == pytest.approx(0, abs=1e-10)
        assert with_confounder(y, d, x, significance, significance).conf_int()[1, 0] == pytest.approx(0, abs=1e-10)
        assert with_confounder(y, d, x, found["partial_r2"], 1 - 1e-12).params[1] == pytest.approx(0, abs=1e-5)

    def test_invariances(self):
        y, d, x = made()
        table = benchmark_bounds(y, d, x, ["size", "year"])
        order = np.random.default_rng(1).permutation(len(y))
        strength = ["r2dz_x", "r2yz_dx"]
        units = benchmark_bounds(1000 * y + 5, d, x * [10, 1, 1] + [0, 3, -2000], ["size", "year"])
        np.testing.assert_allclose(units[strength], table[strength], rtol=1e-8)
        np.testing.assert_allclose(units.iloc[:, 4:], 1000 * table.iloc[:, 4:], rtol=1e-8)
        shuffled = benchmark_bounds(y[order], d[order], x.iloc[order], ["size", "year"])
        np.testing.assert_allclose(shuffled.iloc[:, 1:], table.iloc[:, 1:], rtol=1e-8)

    def test_no_confounder_can_be_so_strong(self):
        y, d, x = made()
        table = benchmark_bounds(y, d, x, ["size"], multiples=(1, 1000))
        assert table.iloc[0].notna().all() and table.iloc[1, 2:].isna().all()
        strong = y + 50 * x["size"].to_numpy()
        assert benchmark_bounds(strong, d, x, ["size"], multiples=(1,))["r2yz_dx"][0] == 1

    def test_refusals(self):
        y, d, x = made()
        with pytest.raises(DesignError, match="'sise' is not one. Did you mean 'size'"):
            benchmark_bounds(y, d, x, ["sise"])
        with pytest.raises(DesignError, match=r"positive; found 2 values \(0.0, nan\)"):
            benchmark_bounds(y, d, x, ["size"], multiples=(1, 0, np.nan))
        with pytest.raises(EstimationError, match=r"columns before them: 1 column \(double\)"):
            benchmark_bounds(y, d, x.assign(double=2 * x["size"] - x["year"]), ["size"])
        noise = 1e-9 * np.random.default_rng(1).normal(size=len(y))
        with pytest.raises(EstimationError, match=r"1 column \(again\)"):
            benchmark_bounds(y, d, x.assign(again=x["size"] + noise), ["size"])
        with pytest.raises(EstimationError, match=r"1 column \(same\)"):
            benchmark_bounds(y, d, x.assign(same=4.0), ["size"])
        with pytest.raises(EstimationError, match=r"1 column \(treatment\)"):
            benchmark_bounds(y, np.ones(len(y)), x, ["size"])
        for fitted in (3 * d + x["age"].to_numpy(), np.full(len(y), 7.0)):
            with pytest.raises(EstimationError, match="found a perfect fit"):
                benchmark_bounds(fitted, d, x, ["size"])
        with pytest.raises(EstimationError, match="a regression on 5 terms needs at least 7 firms; found 6"):
            benchmark_bounds(y[:6], d[:6], x[:6], ["size"])
        with pytest.raises(EstimationError, match=r"infinite ones in 2 columns \(age, outcome\)"):
            benchmark_bounds(np.r_[np.nan, y[1:]], d, x.assign(age=x["age"].replace(x["age"].iloc[4], np.inf)), ["size"])


class TestRegressionStrength:
    def firms(self):
        y, d, x = made(n=120)
        ids = pd.Index([f"F{i:03}" for i in range(120)], name="firm_id")
        branch = pd.Series(["leather", "footwear", "food"] * 40, index=ids)
        x = x.set_index(ids).drop(columns="year").assign(branch=branch)
        return pd.Series(y, ids) + (branch == "food"), pd.Series(d == 1, ids), x

    def test_the_table(self):
        change, treated, x = self.firms()
        table = regression_strength(change, treated, x, multiples=(1, 2))
        assert table.columns.tolist() == [
            *("covariate", "multiple", "r2_treatment", "r2_outcome", "estimate", "std_error", "conf_low", "conf_high"),
            *("partial_r2", "robustness_value", "robustness_value_significance"),
        ]
        assert table["covariate"].tolist()[1:] == ["size", "size", "age", "age", "branch", "branch"]
        assert pd.isna(table["covariate"][0]) and table["multiple"].tolist() == [0, 1, 2, 1, 2, 1, 2]
        dummies = pd.get_dummies(x, columns=["branch"], drop_first=True, dtype=float)
        fit = sm.OLS(change, sm.add_constant(pd.concat([treated.astype(float).rename("d"), dummies], axis=1))).fit()
        first = table.iloc[0]
        expected = [fit.params["d"], fit.bse["d"], *fit.conf_int().loc["d"]]
        np.testing.assert_allclose(first[["estimate", "std_error", "conf_low", "conf_high"]].astype(float), expected, rtol=1e-8)
        strength = confounder_strength(fit.params["d"], fit.bse["d"], fit.df_resid)
        for name in ("partial_r2", "robustness_value", "robustness_value_significance"):
            assert first[name] == pytest.approx(strength[name], rel=1e-8) and table[name][1:].isna().all()
        # a category counts as a whole
        r2d = 1 - ssr(treated.to_numpy(float), dummies) / ssr(treated.to_numpy(float), dummies[["size", "age"]])
        assert table["r2_treatment"][5] == pytest.approx(r2d / (1 - r2d), rel=1e-8)

    def test_firms_with_something_missing_leave(self):
        change, treated, x = self.firms()
        whole = regression_strength(change[3:], treated, x)
        change.iloc[0], treated, x.loc["F001", "branch"], x.loc["F002", "age"] = np.nan, treated.astype("boolean"), None, np.nan
        with pytest.warns(PipevalWarning, match="3 of 120 firms miss the change or a covariate"):
            table = regression_strength(change, treated, x)
        pd.testing.assert_frame_equal(table, whole)

    def test_without_covariates_it_is_the_difference_of_means(self):
        change, treated, x = self.firms()
        table = regression_strength(change, treated, x[[]])
        assert len(table) == 1
        assert table["estimate"][0] == pytest.approx(change[treated].mean() - change[~treated].mean(), rel=1e-8)

    def test_refusals(self):
        change, treated, x = self.firms()
        with pytest.raises(DesignError, match="treated must be 0 or 1; it is something else for"):
            regression_strength(change, treated.astype(float) * 2, x)
        with pytest.raises(DesignError, match="both arms; found 0 treated and 120 controls"):
            regression_strength(change, treated & False, x)
        with pytest.raises(DesignError, match=r"change must have one row a firm; repeated: 1 firm \(F000\)"):
            regression_strength(pd.concat([change, change[:1]]), treated, x)
        with pytest.raises(DataError, match="covariate 'age' must be finite or missing"):
            regression_strength(change, treated, x.assign(age=x["age"].where(x.index != "F004", np.inf)))


def test_differences_that_are_no_numbers_are_refused():
    for function in (rosenbaum_bounds, breaking_gamma):
        with pytest.raises(EstimationError, match="differences must be numbers"):
            function(["a"])
