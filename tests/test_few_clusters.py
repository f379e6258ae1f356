"""Inference when clusters are few: against numbers stored from R, naive twins, and what must be refused."""

from __future__ import annotations

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval.data.panel import NEVER, Panel
from pipeval.did import wild
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.cluster_errors import cluster_errors, fitted
from pipeval.did.few_clusters import KINDS, few_clusters_table
from pipeval.did.randomisation import _dealt, _permuted, randomisation_test
from pipeval.did.stacked import blocks, ends_of, stacked_regression
from pipeval.did.wild import wild_bootstrap
from pipeval.errors import DesignError, EstimationError, PipevalWarning, collected
from pipeval.matching.panel import match_panel
from pipeval.study.match_spec import MatchSpec
from pipeval.study.specs import DidSpec

HERE = Path(__file__).parent / "reference"
EXPECTED = json.loads((HERE / "few_clusters" / "expected.json").read_text(encoding="utf-8"))["results"]
CLOSED = 1e-8
INVERSION = 5e-6  # the stored intervals end a secant search that may stop after ten steps; their p-values are exact
KIND = ("CR0", "CR1", "CR2", "CR3")
REG = DidSpec(method="reg", covariates=("x1", "x2"))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.read_csv(HERE / "did_panel" / "panel.csv")


@pytest.fixture(scope="module")
def panel(frame) -> Panel:
    covariates = ["x1", "x2", "w", "region", "cluster"]
    return Panel.from_frame(frame, firm_id="firm", period="year", cohort="cohort", outcomes=["y"], covariates=covariates)


@pytest.fixture(scope="module")
def example(frame):
    """The regression of the stored numbers: y, x, contrast, and the labels."""
    rows = frame[frame["year"].isin([2003, 2006]) & frame["cohort"].isin([0, 2004])]
    wide = rows.pivot(index="firm", columns="year", values="y")
    firms = rows.groupby("firm").first()
    x = np.column_stack([np.ones(len(wide)), firms["cohort"] == 2004, firms["x1"], firms["x2"]]).astype(float)
    return (wide[2006] - wide[2003]).to_numpy(), x, np.array([0.0, 1, 0, 0]), firms[["region", "cluster"]]


def quietly(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return call(*args, **options)


@pytest.mark.parametrize("kind", KIND)
@pytest.mark.parametrize("label", ["region", "cluster"])
def test_errors_equal_clubsandwich(example, kind, label):
    y, x, contrast, labels = example
    wanted = EXPECTED[f"{kind}_{label}"]
    estimate, std_error, df = cluster_errors(y, x, np.ones(len(y)), labels[label].to_numpy(), contrast, kind)
    p_value = 2 * stats.t.sf(abs(estimate / std_error), df)
    assert len(y) == EXPECTED["n"]
    np.testing.assert_allclose(
        [estimate, std_error, df, p_value],
        [wanted[name] for name in ("estimate", "se", "df_satterthwaite", "p_satterthwaite")],
        rtol=0,
        atol=CLOSED,
    )


def messy(seed: int = 0):
    """Weights, clusters of all sizes, and a column that is one cluster alone."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(8), [1, 1, 2, 3, 5, 6, 10, 12]))
    x = np.column_stack([np.ones(40), rng.normal(size=40), codes == 7]).astype(float)
    return rng.normal(size=40), x, rng.uniform(0.5, 2, 40), codes, np.array([0.0, 1.0, 0.3])


def power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    kept = np.array([v**exponent if v > 1e-10 else 0.0 for v in values])
    return vectors @ np.diag(kept) @ vectors.T


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("kind", KIND)
def test_errors_equal_whole_matrices(kind, alike):
    y, x, w, codes, contrast = messy()
    if alike:  # two columns that are nearly one in the largest cluster, which has most of the leverage of their difference
        gap = np.random.default_rng(7).normal(size=40) * np.where(codes == 7, 0.02, 0.01)
        x, contrast = np.column_stack([x, x[:, 1] + gap]), np.append(contrast, 1.0)
    bread = np.linalg.inv(x.T @ (w[:, None] * x))
    left = np.eye(40) - x @ bread @ (x * w[:, None]).T
    sums, columns = [], []
    for g in range(8):
        here = codes == g
        if kind == "CR2":
            adjust = power(left[here] @ left[here].T, -0.5)
        elif kind == "CR3":
            root = np.diag(np.sqrt(w[here]))
            adjust = (np.linalg.inv(root) @ power(root @ left[np.ix_(here, here)] @ np.linalg.inv(root), -1) @ root).T
        else:
            adjust = np.eye(here.sum()) * (np.sqrt(8 / 7) if kind == "CR1" else 1)
        p = adjust @ (w[here] * (x[here] @ bread @ contrast))
        sums.append(p @ (left @ y)[here])
        columns.append(left[here].T @ p)
    gram = np.array(columns) @ np.array(columns).T
    _, std_error, df = cluster_errors(y, x, w, codes, contrast, kind)
    np.testing.assert_allclose(std_error, np.sqrt(np.sum(np.square(sums))), rtol=0, atol=CLOSED)
    np.testing.assert_allclose(df, np.trace(gram) ** 2 / (gram**2).sum(), rtol=0, atol=CLOSED)


def test_errors_do_not_depend_on_order_labels_or_rows_without_weight():
    y, x, w, codes, contrast = messy()
    order = np.random.default_rng(1).permutation(40)
    found = cluster_errors(y, x, w, codes, contrast)
    other = cluster_errors(
        np.append(y[order], 99.0),
        np.vstack([x[order], x[:1]]),
        np.append(w[order], 0.0),
        np.append(70 - 3 * codes[order], 5),
        contrast,
    )
    np.testing.assert_allclose(found, other, atol=1e-12)


@pytest.mark.parametrize("kind", KIND)
def test_a_covariate_far_from_zero_costs_no_digits(kind):
    """x and 10⁶ x, x + 1,000 span the same columns: the correlation of a column with the constant is then 1 − 10⁻⁶."""
    y, x, w, codes, _ = messy(5)
    contrast, moved = np.array([0.0, 0.0, 1.0]), x.copy()
    x[codes == 3, 1] *= 1e-3
    moved[:, 1] = 1e6 * (x[:, 1] + 1000)
    np.testing.assert_allclose(
        cluster_errors(y, moved, w, codes, contrast, kind), cluster_errors(y, x, w, codes, contrast, kind), rtol=CLOSED
    )


def test_cr2_on_single_rows_is_welch():
    y = np.array([1.0, 3, 2, 5, 9, 4, 1])
    d = np.array([0.0, 0, 0, 1, 1, 1, 1])
    estimate, std_error, df = cluster_errors(y, np.column_stack([1 - d, d]), np.ones(7), np.arange(7), np.array([-1.0, 1]))
    welch = stats.ttest_ind(y[d == 1], y[d == 0], equal_var=False)
    a, b = y[d == 1].var(ddof=1) / 4, y[d == 0].var(ddof=1) / 3
    assert np.isclose(estimate / std_error, welch.statistic)
    assert np.isclose(std_error, np.sqrt(a + b))
    assert np.isclose(df, (1 / 4 + 1 / 3) ** 2 / (1 / 16 / 3 + 1 / 9 / 2))  # the working model has one variance


@pytest.mark.parametrize(("name", "restricted"), [("WCR", True), ("WCU", False)])
def test_enumerated_bootstrap_equals_fwildclusterboot(example, name, restricted):
    y, x, contrast, labels = example
    wanted = EXPECTED[f"wild_region_{name}_enumerated"]
    fit = fitted(y, x, np.ones(len(y)), labels["region"].to_numpy(), contrast)
    found = wild_bootstrap(fit, restricted=restricted)
    assert found["enumerated"] and found["draws"] == wanted["B"] and found["p_value"] == wanted["p"]
    n, k = x.shape
    assert np.isclose(found["statistic"] * np.sqrt((n - k) / (n - 1)), wanted["t"], rtol=0, atol=CLOSED)  # R's (n−1)/(n−k)
    np.testing.assert_allclose([found["conf_low"], found["conf_high"]], wanted["ci"], rtol=0, atol=INVERSION)


def drawn_by_hand(fit, null, multipliers, restricted) -> tuple[float, float]:
    """The share of draws beyond the sample's t, each regression run."""
    sizes = np.diff(np.append(fit.starts, len(fit.w)))
    codes = np.repeat(np.arange(len(sizes)), sizes)
    y, factor = fit.x @ fit.beta + fit.residual, len(sizes) / (len(sizes) - 1)

    def t(values, target):
        beta = np.linalg.solve((fit.x * fit.w[:, None]).T @ fit.x, fit.x.T @ (fit.w * values))
        sums = np.bincount(codes, fit.w * fit.z * (values - fit.x @ beta))
        return (contrast @ beta - target) / np.sqrt((sums**2).sum() * factor)

    beta, contrast = fit.beta, fit.contrast
    if restricted:
        towards = np.linalg.solve((fit.x * fit.w[:, None]).T @ fit.x, contrast)
        beta = beta - towards * (contrast @ beta - null) / (contrast @ towards)
    centre, residual = fit.x @ beta, y - fit.x @ beta
    drawn = [t(centre + residual * v[codes], contrast @ beta) for v in multipliers]
    return np.mean(np.abs(drawn) > abs(t(y, null)) * (1 + 1e-9)), t(y, null)


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("law", ["rademacher", "webb"])
def test_bootstrap_from_sums_equals_running_each_regression(law, restricted):
    y, x, w, codes, contrast = messy(3)
    fit = fitted(y, x, w, codes, contrast)
    values = wild.RADEMACHER if law == "rademacher" else wild.WEBB
    multipliers = next(wild._multipliers(values, 8, 199, False, 5))
    for null in (0.0, 0.3):
        found = wild_bootstrap(fit, null, law, restricted, 199, 5)
        p_value, statistic = drawn_by_hand(fit, null, multipliers, restricted)
        assert not found["enumerated"]
        assert found["p_value"] == max(p_value, 1 / 200) and np.isclose(found["statistic"], statistic)


def test_blocks_of_draws_join_and_every_combination_comes_once(monkeypatch):
    monkeypatch.setattr(wild, "BLOCK", 40)
    seen = np.vstack(list(wild._multipliers(wild.RADEMACHER, 8, 256, True, 1)))
    assert seen.shape == (256, 8) and len(np.unique(seen, axis=0)) == 256
    assert np.isclose((wild.WEBB**2).mean(), 1) and wild.WEBB.sum() == 0


@pytest.mark.parametrize("restricted", [True, False])
def test_interval_holds_what_the_test_does_not_reject(restricted):
    y, x, w, codes, contrast = messy(2)
    fit = fitted(y, x, w, codes, contrast)
    found = wild_bootstrap(fit, restricted=restricted, level=0.9)
    step = 1e-6
    for end, side in ((found["conf_low"], -1), (found["conf_high"], 1)):
        assert wild_bootstrap(fit, end - side * step, restricted=restricted)["p_value"] > 0.1
        assert wild_bootstrap(fit, end + side * step, restricted=restricted)["p_value"] <= 0.1


def test_three_clusters_leave_the_bootstrap_without_an_interval():
    y, x, w, codes, contrast = messy()
    x = x[:, :2]
    found = wild_bootstrap(fitted(y, x, w, codes % 3, contrast[:2]))
    assert found["draws"] == 8 and found["p_value"] >= 2 / 8
    assert np.isnan(found["conf_low"]) and "0.25" in found["reason"]


def test_one_and_two_clusters_are_refused():
    y, x, w, codes, contrast = messy()
    for groups in (1, 2):
        with pytest.raises(DesignError, match=f"at least three clusters; found {groups}"):
            cluster_errors(y, x[:, :2], w, codes % groups, contrast[:2])
    with pytest.raises(EstimationError, match="determined by others"):
        cluster_errors(y, np.column_stack([x, x[:, 1]]), w, codes, np.append(contrast, 0))


@pytest.mark.parametrize("covariates", [(), ("x1", "x2"), ("x1", "region")])
@pytest.mark.parametrize("lag", ["difference", "ancova"])
@pytest.mark.parametrize("comparison", ["never_treated", "not_yet_treated"])
def test_stacked_regression_is_the_effect(panel, covariates, lag, comparison):
    for base, anticipation, weights in (("universal", 0, None), ("universal", 1, panel.firms["w"]), ("varying", 0, None)):
        if lag == "ancova" and base == "varying":
            continue
        choices = {"base": base, "anticipation": anticipation, "lag": lag, "comparison": comparison}
        spec = DidSpec(method="reg", covariates=covariates, **choices)
        table = aggregate(att_gt(panel, "y", spec, weights), "period").table.set_index("period")
        for period in (2004, 2005, 2006, 2007):
            if period not in table.index:
                continue
            r = stacked_regression(panel, "y", spec, period, weights)
            estimate, _, _ = cluster_errors(r.y, r.x, r.w, r.firm, r.contrast, "CR1")
            np.testing.assert_allclose(estimate, table.loc[period, "estimate"], rtol=0, atol=CLOSED)


def test_stacked_rows_of_a_firm_are_one_cluster_and_without_covariates_the_influence(panel):
    spec = DidSpec(comparison="never_treated")
    r = stacked_regression(panel, "y", spec, 2005)
    assert len(r.y) > len(np.unique(r.firm)) and r.treated.sum() == (panel.firms["cohort"] <= 2005).sum()
    one = Panel(panel.firms[panel.firms["cohort"].isin([2004, NEVER])], panel.outcomes.loc[
        panel.firms.index[panel.firms["cohort"].isin([2004, NEVER])]
    ])  # fmt: skip
    r = stacked_regression(one, "y", spec, 2005)
    row = aggregate(att_gt(one, "y", spec), "period").table.set_index("period").loc[2005]
    found = cluster_errors(r.y, r.x, r.w, r.firm, r.contrast, "CR1")
    np.testing.assert_allclose(found[:2], [row["estimate"], row["std_error"]], rtol=0, atol=CLOSED)


def test_matched_weights_by_cohort_are_weights():
    rng = np.random.default_rng(4)
    ids = pd.Index([f"F{i:03d}" for i in range(120)], name="firm_id")
    cohort = np.where(np.arange(120) < 15, 2004.0, np.where(np.arange(120) < 28, 2005.0, NEVER))
    firms = pd.DataFrame({"cohort": cohort, "ln_age": rng.normal(size=120)}, index=ids)
    years = list(range(2001, 2007))
    values = pd.DataFrame(rng.normal(size=(120, 6)).cumsum(axis=1), index=ids, columns=years).stack()
    panel = Panel(firms, pd.DataFrame({"y": values}).rename_axis(["firm_id", "period"]))
    sample = quietly(match_panel, panel, MatchSpec(covariates=("ln_age",), method="nearest", by_cohort=True, caliper=None))
    for spec in (DidSpec(), DidSpec(method="reg", covariates=("ln_age",))):
        table = quietly(aggregate, quietly(att_gt, panel, "y", spec, sample), "period").table.set_index("period")
        r = stacked_regression(panel, "y", spec, 2006, sample)
        found = cluster_errors(r.y, r.x, r.w, r.firm, r.contrast)
        np.testing.assert_allclose(found[0], table.loc[2006, "estimate"], rtol=0, atol=CLOSED)
    rows = quietly(few_clusters_table, panel, "y", DidSpec(), 2006, sample.clusters, sample).set_index("kind")
    assert "match again" in rows.loc["randomisation", "reason"] and np.isnan(rows.loc["randomisation", "p_value"])
    assert rows["estimate"].std() < 1e-12


@pytest.mark.parametrize(
    "spec",
    [
        DidSpec(method="dr", covariates=("x1",)),
        DidSpec(method="ipw", lag="ancova"),
        DidSpec(method="reg", sampling="cross_sections"),
        DidSpec(method="imputation"),
    ],
)
def test_what_is_not_linear_is_refused(panel, spec):
    with pytest.raises(DesignError, match="linear in the outcomes"):
        stacked_regression(panel, "y", spec, 2006)


def test_periods_without_an_effect_are_refused(panel):
    with pytest.raises(DesignError, match="not observed in period 1999"):
        stacked_regression(panel, "y", DidSpec(), 1999)
    with pytest.raises(DesignError, match="no cohort has treated and comparison firms"):
        stacked_regression(panel, "y", DidSpec(), 2002)


def test_slopes_of_few_treated_firms_leave_them_a_residual(panel):
    few = panel.firms.index[panel.firms["cohort"] == 2004][:3]
    kept = panel.keep(few.append(panel.firms.index[panel.firms["cohort"] == NEVER]), "test", "few")
    r = stacked_regression(kept, "y", REG, 2005)
    row = aggregate(quietly(att_gt, kept, "y", REG), "period").table.set_index("period").loc[2005]
    estimate, std_error, df = cluster_errors(r.y, r.x, r.w, r.firm, r.contrast)
    assert np.isclose(estimate, row["estimate"], rtol=0, atol=CLOSED) and std_error > 0 and df < 3


def small(n_treated: int = 6, n: int = 16, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"F{i:02d}" for i in range(n)], name="firm_id")
    firms = pd.DataFrame({"cohort": np.where(np.arange(n) < n_treated, 2.0, NEVER), "pair": np.arange(n) // 2}, index=ids)
    y = rng.normal(size=(n, 2)) + np.outer(np.arange(n) < n_treated, [0, 1.0])
    outcomes = pd.DataFrame(y, index=ids, columns=[1, 2]).stack().to_frame("y").rename_axis(["firm_id", "period"])
    return Panel(firms, outcomes)


def test_permutations_are_the_estimate_on_the_reassigned_panel():
    panel = small()
    ends, cohort = ends_of(panel, "y", DidSpec(), 2, None), panel.firms["cohort"].to_numpy()
    for codes, scheme in ((np.arange(16), "firms"), (np.arange(16) // 2, "clusters"), (np.r_[0, 0, 0, 0, 1, 1, 2:12], "labels")):
        deal = _dealt(panel.firms, codes, blocks(ends, cohort, DidSpec()), ())
        assert deal.scheme == scheme
        seeds = np.random.SeedSequence(3).spawn(20)
        drawn = _permuted(ends, cohort, codes, deal, DidSpec(), seeds)
        rng = np.random.default_rng(seeds[0])
        new_cohort, new_codes = cohort.copy(), codes.copy()
        for members in deal.classes:
            sources = rng.permutation(members)
            for to, source in zip(members, sources, strict=True):
                here, there = deal.firms[deal.unit == to], deal.firms[deal.unit == source]
                new_cohort[here] = cohort[there]
                if scheme == "labels":
                    new_codes[here] = codes[there]
        again = Panel(panel.firms.assign(cohort=new_cohort), panel.outcomes)
        r = stacked_regression(again, "y", DidSpec(), 2)
        estimate, std_error, _ = cluster_errors(r.y, r.x, r.w, new_codes[r.firm], r.contrast, "CR1")
        np.testing.assert_allclose(drawn[0], estimate / std_error, rtol=0, atol=CLOSED)
        assert (new_cohort == 2.0).sum() == 6


def test_randomisation_does_not_depend_on_workers_and_keeps_strata(panel):
    run = partial(randomisation_test, panel, "y", REG, 2006, permutations=60)
    with ThreadPoolExecutor(2) as pool:
        assert run(executor=pool) == run()
    assert run(strata=("region",))["p_value"] > 0
    assert run(unit="cluster")["scheme"] == "firms"
    with pytest.raises(DesignError, match="strata must be columns"):
        run(strata=("sector",))
    with pytest.raises(DesignError, match="no firm can change its cohort"):
        quietly(randomisation_test, small(), "y", DidSpec(), 2, strata=("cohort",))
    with pytest.raises(DesignError, match="unit must be firm_id"):
        run(unit="sector")


def test_an_effect_without_variation_is_no_evidence():
    panel = small(6, 16)
    flat = Panel(panel.firms, panel.outcomes.assign(y=(panel.outcomes.index.get_level_values(1) == 2) * 1.0))
    with pytest.raises(EstimationError, match="no variation between units"):
        randomisation_test(flat, "y", DidSpec(), 2)
    table = quietly(few_clusters_table, flat, "y", DidSpec(), 2, flat.firms["pair"], permutations=99)
    assert table["p_value"].isna().all() and (table["reason"] != "").all()


def test_randomisation_p_value_is_exact_under_the_null():
    p_values = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        panel = small(4, 10, seed)
        outcomes = panel.outcomes.assign(y=rng.exponential(size=20))
        p_values.append(randomisation_test(Panel(panel.firms, outcomes), "y", DidSpec(), 2, permutations=39)["p_value"])
    assert stats.kstest(p_values, "uniform").pvalue > 0.01 and min(p_values) >= 1 / 40


@pytest.mark.parametrize("changes", [[1.0, 0, 1, 0, 0, 0], [3.0, 2, 0.5, 0.1, 0.2, 0.7]])
def test_permutations_that_tie_or_leave_no_residual_are_as_far_out(changes):
    """Two treated of six: fifteen ways, each as likely. In the first case one of them has an effect of 1 and no residual."""
    ids = pd.Index(list("abcdef"), name="firm_id")
    wide = pd.DataFrame({1: 0.0, 2: changes}, index=ids).stack().to_frame("y").rename_axis(["firm_id", "period"])
    panel = Panel(pd.DataFrame({"cohort": [2.0, 2.0, NEVER, NEVER, NEVER, NEVER]}, index=ids), wide)
    y, far = np.array(changes), []
    for treated in combinations(range(6), 2):
        here = np.isin(range(6), treated)
        gap = y[here].mean() - y[~here].mean()
        error = np.sqrt((y[here].var() / 2 + y[~here].var() / 4) * 6 / 5)
        far.append(abs(gap) / error if error > 1e-12 else np.inf)
    exact = np.mean(np.array(far) >= far[0] * (1 - 1e-9))
    found = randomisation_test(panel, "y", DidSpec(), 2, permutations=600)
    assert found["permutations"] == 600 and abs(found["statistic"]) == pytest.approx(far[0])
    assert found["p_value"] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 600))


def test_another_kind_or_law_is_refused():
    y, x, w, codes, contrast = messy()
    with pytest.raises(DesignError, match="kind is one of CR0, CR1, CR2, CR3; found 'HC1'"):
        cluster_errors(y, x, w, codes, contrast, "HC1")
    with pytest.raises(DesignError, match="rademacher or webb; found 9999 of 'mammen'"):
        wild_bootstrap(fitted(y, x, w, codes, contrast), law="mammen")


def test_table_of_the_programme_with_single_controls(panel):
    labels = panel.firms["cluster"].where(np.isfinite(panel.firms["cohort"]))
    with collected() as notes:
        table = few_clusters_table(panel, "y", REG, 2006, labels, permutations=99).set_index("kind")
        usual = aggregate(att_gt(panel, "y", REG), "period").clustered(labels)
    assert tuple(table.index) == KINDS and (table["reason"] == "").all()
    row = usual.table.set_index("period").loc[2006]
    for name in ("estimate", "std_error", "df", "p_value", "conf_low", "conf_high"):
        assert np.isclose(table.loc["CR1_t", name], row[name], rtol=0, atol=CLOSED)
    assert row["df"] == table["n_clusters_treated"].iloc[0] - 1
    assert table["p_value"].between(0, 1).all() and table["p_value"].std() < 0.05
    inside = table.drop(index="randomisation")
    assert ((inside["conf_low"] < inside["estimate"]) & (inside["estimate"] < inside["conf_high"])).all()
    assert any(n.key == "few_clusters" and n.values["n"] == table["n_clusters_treated"].iloc[0] for n in notes)


def test_eight_clusters_have_p_values_of_eight_clusters(panel):
    table = quietly(few_clusters_table, panel, "y", REG, 2006, panel.firms["region"], permutations=99).set_index("kind")
    assert (table["n_clusters"] == 8).all()
    t = table.loc["CR1", "statistic"]
    normal = 2 * stats.norm.sf(abs(t))
    assert (table["p_value"] > normal).all() and table.loc["CR1_t", "df"] == 7
    assert (table.loc[["CR1", "CR2", "CR3"], "df"] < 7).all()


def test_few_treated_clusters_say_why_rows_are_empty():
    panel = small(6, 40)
    for clusters, empty in ((1, True), (2, True), (3, False)):
        labels = pd.Series(np.arange(6) % clusters, index=panel.firms.index[:6])
        table = quietly(few_clusters_table, panel, "y", DidSpec(), 2, labels, permutations=99).set_index("kind")
        assert (table["n_clusters_treated"] == clusters).all() and (table["n_clusters"] == clusters + 34).all()
        for kind in ("wild_rademacher", "wild_webb"):
            assert np.isnan(table.loc[kind, "p_value"]) == empty
            assert ("MacKinnon and Webb" in table.loc[kind, "reason"]) == empty
        assert np.isnan(table.loc["randomisation", "p_value"]) == empty
        assert table.loc[["CR1", "CR2", "CR3"], "p_value"].isna().all() == (clusters == 1)
        assert np.isnan(table.loc["CR1_t", "p_value"]) == empty  # t(1) says nothing: refused, as anywhere
        assert ((table["reason"] != "") == table["p_value"].isna()).all()
    with pytest.raises(DesignError, match="goes one way"):
        few_clusters_table(panel, "y", DidSpec(), 2, panel.firms[["pair", "cohort"]])
    for groups in (1, 2):
        labels = pd.Series(np.arange(40) % groups, index=panel.firms.index)
        with pytest.raises(DesignError, match="at least three clusters"):
            quietly(few_clusters_table, panel, "y", DidSpec(), 2, labels)


def test_a_cohort_of_one_cluster_is_told(panel):
    cohort = panel.firms["cohort"]
    labels = panel.firms["cluster"].where(cohort.isin([2005, 2006])).mask(cohort == 2004, 99)
    with collected() as notes:
        few_clusters_table(panel, "y", DidSpec(), 2006, labels, permutations=99)
    assert [n.values["n"] for n in notes if n.key == "lone_cluster"] == [1]
