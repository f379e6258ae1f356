"""Choices of a DidSpec beside the plain ones: improved doubly robust, cross-sections, moving covariates, the lag as covariate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.linalg import LinAlgError
from scipy.optimize import root
from test_did import CLOSED, ITERATED, faulty, made, quietly, tiny

from pipeval import match
from pipeval.data.panel import NEVER, Panel
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.covariates import mean_before
from pipeval.did.kernel import CellError, fitted_score, logit, tilting, two_by_two
from pipeval.did.poisson import poisson_att
from pipeval.did.sections import two_samples
from pipeval.errors import DesignError, EstimationError, PipevalWarning
from pipeval.study.match_spec import MatchSpec
from pipeval.study.specs import DidSpec


def draw(n: int = 80, seed: int = 4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    d = (rng.random(n) < 1 / (1 + np.exp(-0.7 * x[:, 1]))).astype(float)
    y = x[:, 1] ** 2 + x[:, 2] + rng.normal(size=n) + d
    return {"y": y, "d": d, "x": x, "w": rng.uniform(0.5, 2, n), "late": (rng.random(n) < 0.5).astype(float)}


def derivative(estimate, w: np.ndarray) -> np.ndarray:
    """∂ estimate / ∂ ln w of every row: what its influence must be."""
    out = np.empty(len(w))
    for i in range(len(w)):
        step = np.zeros(len(w))
        step[i] = 1e-5 * w[i]
        out[i] = (estimate(w + step) - estimate(w - step)) / 2e-5
    return out


# improved doubly robust -----------------------------------------------------------------------------------------------------


def naive_improved(y, d, x, w) -> float:
    """Sant'Anna and Zhao (2020), section 3.1, from its moment conditions."""
    c = d == 0

    def balance(gamma):
        return (w[c] * np.exp(x[c] @ gamma)) @ x[c] - (w * d) @ x

    found = root(balance, np.zeros(x.shape[1]), tol=1e-12)
    assert found.success
    odds = w[c] * np.exp(x[c] @ found.x)
    beta = np.linalg.lstsq(x[c] * np.sqrt(odds)[:, None], y[c] * np.sqrt(odds), rcond=None)[0]
    return float((w * d) @ (y - x @ beta) / (w * d).sum())


def test_improved_doubly_robust_is_its_moment_conditions():
    data = draw()
    y, d, x, w = (data[k] for k in "ydxw")
    att, psi = two_by_two(y, d, x, w, "dr_improved")
    assert att == pytest.approx(naive_improved(y, d, x, w), abs=ITERATED)
    np.testing.assert_allclose(psi, derivative(lambda v: naive_improved(y, d, x, v), w), atol=ITERATED)
    ps, score_psi = tilting(d, x, w)
    np.testing.assert_allclose((w * (1 - d) * ps / (1 - ps)) @ x, (w * d) @ x, rtol=1e-10)
    slope = derivative(lambda v: float(np.log((q := tilting(d, x, v)[0]) / (1 - q))[0]), w)
    np.testing.assert_allclose(score_psi @ x[0], slope, atol=ITERATED)


def test_improved_differs_where_the_logit_is_wrong_and_agrees_where_there_is_nothing_to_balance():
    data = draw()
    y, d, x, w = (data[k] for k in "ydxw")
    assert abs(two_by_two(y, d, x, w, "dr")[0] - two_by_two(y, d, x, w, "dr_improved")[0]) > 1e-4
    one = np.ones((len(y), 1))
    for k in (0, 1):
        np.testing.assert_allclose(two_by_two(y, d, one, w, "dr")[k], two_by_two(y, d, one, w, "dr_improved")[k], atol=CLOSED)


def test_no_odds_can_balance_treated_firms_beyond_all_others():
    """The mean of x among the treated, 3, lies outside the others' range [0, 1], though one treated firm lies inside it."""
    d = np.repeat([1.0, 0.0], [4, 30])
    x = np.column_stack([np.ones(34), np.r_[0.5, 3, 4, 4.5, np.linspace(0, 1, 30)]])
    with pytest.raises(CellError) as found:
        two_by_two(np.arange(34.0), d, x, np.ones(34), "dr_improved")
    assert found.value.kind in ("separation", "no_overlap")
    assert found.value.columns == (1,)
    panel = made()
    firms = panel.firms.assign(far=np.where(panel.firms["cohort"] == 3, 6.0, 0.0) + panel.firms["x1"])
    faulty(EstimationError, "'far'", Panel(firms, panel.outcomes), DidSpec(method="dr_improved", covariates=("far",)))


def test_weights_that_only_firms_alike_can_carry_are_refused(monkeypatch):
    """The treated's mean, 1, is the others' maximum: all weight goes to the two at 1, one point, and the Hessian is singular.

    Only rounding can leave it solvable in the last step and singular after it, so that its inverse is made to fail.
    """
    d = np.repeat([1.0, 0.0], [2, 7])
    x = np.column_stack([np.ones(9), [0.5, 1.5, 1, 1, 0, 0, 0, 0, 0]])
    assert np.isfinite(logit(d, x, np.ones(9))[0]).all()  # where there is overlap enough for a logit
    with pytest.raises(CellError) as found:
        tilting(d, x, np.ones(9))
    assert (found.value.kind, found.value.columns) == ("separation", (1,))
    inverse, made_ = np.linalg.inv, []

    def failing(matrix):
        made_.append(matrix)
        if len(made_) > 1:  # the first is the logit's
            raise LinAlgError
        return inverse(matrix)

    data = draw()
    monkeypatch.setattr(np.linalg, "inv", failing)
    with pytest.raises(CellError) as found:
        tilting(data["d"], data["x"], data["w"])
    assert found.value.kind == "separation" and len(made_) == 2


# cross-sections -------------------------------------------------------------------------------------------------------------


def naive_samples(y, late, d, x, w, method: str) -> float:
    """Sant'Anna and Zhao (2020) written out: their four means and, for `dr`, the four that make it locally efficient."""

    def fit(rows):
        return np.linalg.lstsq(x[rows] * np.sqrt(w[rows])[:, None], y[rows] * np.sqrt(w[rows]), rcond=None)[0]

    def mean(values, weight):
        return float(weight @ values / weight.sum())

    ps, _ = fitted_score(d, x, w, method)
    odds = w * (1 - d) * ps / (1 - ps)
    m = {(arm, t): x @ fit((d == arm) & (late == t)) for arm in (0, 1) for t in (0, 1)}
    change = m[0, 1] - m[0, 0]
    if method == "reg":
        return mean(y, w * d * late) - mean(y, w * d * (1 - late)) - mean(change, w * d)
    r = y if method == "ipw" else y - np.where(late == 1, m[0, 1], m[0, 0])
    four = mean(r, w * d * late) - mean(r, w * d * (1 - late)) - (mean(r, odds * late) - mean(r, odds * (1 - late)))
    if method == "ipw":
        return four
    gap = {t: m[1, t] - m[0, t] for t in (0, 1)}
    return four + (mean(gap[1], w * d) - mean(gap[1], w * d * late)) - (mean(gap[0], w * d) - mean(gap[0], w * d * (1 - late)))


@pytest.mark.parametrize("method", ["dr", "ipw", "reg"])
def test_influence_of_cross_sections_is_the_derivative(method):
    data = draw(120)
    y, d, x, w, late = (data[k] for k in ("y", "d", "x", "w", "late"))
    att, psi = two_samples(y, late, d, x, w, method)
    assert att == pytest.approx(naive_samples(y, late, d, x, w, method), abs=CLOSED)
    np.testing.assert_allclose(psi, derivative(lambda v: naive_samples(y, late, d, x, v, method), w), atol=ITERATED)
    assert psi.sum() == pytest.approx(0, abs=CLOSED)


def sections(n: int = 400, seed: int = 3) -> Panel:
    """Every firm seen once, in one of three years."""
    rng = np.random.default_rng(seed)
    cohort, year, x1 = rng.choice([2.0, 3.0, NEVER], n), rng.integers(1, 4, n), rng.normal(size=n)
    y = x1 + 0.2 * year * x1 + 0.5 * (cohort <= year) + rng.normal(size=n)
    firms = pd.DataFrame({"cohort": cohort, "x1": x1, "area": rng.integers(0, 40, n)}).rename_axis("firm_id")
    index = pd.MultiIndex.from_arrays([firms.index, year], names=["firm_id", "period"])
    return Panel(firms, pd.DataFrame({"y": y}, index=index))


def test_true_cross_sections():
    """Every firm seen once: nobody is at both ends; the cell is the twin's, and its clusters may span the years."""
    panel = sections()
    faulty(DesignError, "without treated firms observed at both ends", panel)
    spec = DidSpec(sampling="cross_sections", covariates=("x1",), comparison="never_treated", base="varying")
    effects = att_gt(panel, "y", spec)
    long = panel.outcomes.reset_index().join(panel.firms, on="firm_id")
    assert len(effects.table) == 4
    for row in effects.table.itertuples():
        cell = long[long["period"].isin([row.period, row.base_period]) & long["cohort"].isin([row.cohort, NEVER])]
        late, d = (cell["period"] == row.period).to_numpy(float), (cell["cohort"] == row.cohort).to_numpy(float)
        x = np.column_stack([np.ones(len(cell)), cell["x1"]])
        naive = naive_samples(cell["y"].to_numpy(), late, d, x, np.ones(len(cell)), "dr")
        assert row.estimate == pytest.approx(naive, abs=ITERATED)
        assert (row.n_treated, row.n_control) == (d.sum(), len(d) - d.sum())
    areas = effects.clustered(panel.firms["area"])
    assert areas.table["n_clusters"].max() == 40
    assert aggregate(effects, "overall").table["std_error"].item() > 0


def test_cross_sections_of_a_whole_panel_are_its_means_and_a_firms_own_level_stays_in_the_error():
    """Without covariates the estimate is that of changes; so is the influence, as each firm's two rows are added."""
    panel = made()
    both, either = att_gt(panel, "y"), att_gt(panel, "y", DidSpec(sampling="cross_sections"))
    np.testing.assert_allclose(either.table["estimate"], both.table["estimate"], atol=CLOSED)
    np.testing.assert_allclose(either.influence, both.influence, atol=CLOSED)
    weights = pd.Series(np.linspace(0.5, 2, len(panel.firms)), panel.firms.index)
    both, either = (att_gt(panel, "y", DidSpec(sampling=s), weights=weights) for s in ("both_ends", "cross_sections"))
    np.testing.assert_allclose(either.table["std_error"], both.table["std_error"], atol=CLOSED)


def test_a_cross_section_needs_both_arms_in_both_samples():
    rows = {f"a{i}": (2, np.nan, 1.0 + i) for i in range(3)} | {f"n{i}": (NEVER, 0.5 * i, 1.0 * i) for i in range(4)}
    faulty(DesignError, "without treated firms", tiny(rows), DidSpec(sampling="cross_sections"))


# covariates that change ---------------------------------------------------------------------------------------------------------


def moving(panel: Panel, seed: int = 9) -> Panel:
    """The panel with a covariate of every firm-period, `size`."""
    rng = np.random.default_rng(seed)
    return Panel(panel.firms, panel.outcomes.assign(size=rng.normal(size=len(panel.outcomes)) + 0.3 * panel.outcomes["y"]))


@pytest.mark.parametrize("base", ["universal", "varying"])
@pytest.mark.parametrize("method", ["dr", "reg", "dr_improved"])
def test_a_moving_covariate_is_read_in_the_base_period_of_the_cell(method, base):
    panel = moving(made())
    comparison = "never_treated" if base == "varying" else "not_yet_treated"  # cells of the same firms from different bases
    spec = DidSpec(method=method, covariates=("x1", "size"), base=base, comparison=comparison)
    effects = att_gt(panel, "y", spec)
    wide = panel.wide("size")
    cells = effects.table[effects.table["phase"] != "base"]
    for base_period in cells["base_period"].unique():
        fixed = Panel(panel.firms.assign(size=wide[base_period]), panel.outcomes[["y"]])
        twin = att_gt(fixed, "y", spec).table
        columns = ["cohort", "period", "estimate", "std_error"]
        mine, theirs = (t.loc[t["base_period"] == base_period, columns] for t in (cells, twin[twin["phase"] != "base"]))
        np.testing.assert_allclose(mine, theirs, atol=ITERATED)
    assert cells["base_period"].nunique() > 2


def test_a_firm_whose_covariate_is_missing_leaves_that_cell_only():
    panel = moving(made())
    outcomes = panel.outcomes.copy()
    never, treated = (panel.firms.index[panel.firms["cohort"] == g][0] for g in (NEVER, 3.0))
    outcomes.loc[[(never, 2), (treated, 2)], "size"] = np.nan
    with pytest.warns(PipevalWarning, match=r"missing covariate: 2 firms"):
        effects = att_gt(Panel(panel.firms, outcomes), "y", DidSpec(covariates=("size",), comparison="never_treated"))
    two, own = (effects.table["base_period"] == 2).to_numpy(), (effects.table["cohort"] == 3).to_numpy()
    assert effects.member[never].tolist() == (~two).tolist()
    assert not effects.member[treated][own].any(), "all cells of cohort 3 start from period 2"
    empty = Panel(panel.firms, outcomes.assign(size=outcomes["size"].where(outcomes.index.get_level_values(1) != 2)))
    faulty(DesignError, "'size' has no value in base period 2", empty, DidSpec(covariates=("size",)))
    flat = Panel(panel.firms, outcomes.assign(size=1.5))
    faulty(EstimationError, "base period 2: .*constant or collinear covariate: 'size'", flat, DidSpec(covariates=("size",)))
    faulty(DesignError, "did you mean", panel, DidSpec(covariates=("x_1",)))


# the lag as a covariate ---------------------------------------------------------------------------------------------------------


def test_ancova_by_hand():
    """The coefficient of treated in a regression on treated, the centred mean before and their product (McKenzie 2012)."""
    panel = made()
    spec = DidSpec(method="reg", lag="ancova", comparison="never_treated")
    effects = att_gt(panel, "y", spec)
    assert set(effects.table["phase"]) == {"post"}
    assert (effects.table["base_period"] == effects.table["cohort"] - 1).all()
    wide, cohort = panel.wide("y"), panel.firms["cohort"]
    for row in effects.table.itertuples():
        rows = cohort.isin([row.cohort, NEVER])
        before = wide.loc[rows, [t for t in wide if t < row.cohort]].mean(axis=1)
        d = (cohort[rows] == row.cohort).to_numpy(float)
        centred = before - before[d == 1].mean()
        x = np.column_stack([np.ones(len(d)), d, centred, d * centred])
        beta = np.linalg.lstsq(x, wide.loc[rows, row.period].to_numpy(), rcond=None)[0]
        assert row.estimate == pytest.approx(beta[1], abs=CLOSED)


@pytest.mark.parametrize("method", ["reg", "dr", "ipw", "dr_improved"])
def test_ancova_is_the_two_by_two_on_levels_with_one_column_more(method):
    panel = made()
    effects = att_gt(panel, "y", DidSpec(method=method, lag="ancova", covariates=("x1",), anticipation=1))
    wide, cohort, x1 = panel.wide("y"), panel.firms["cohort"].to_numpy(), panel.firms["x1"]
    assert set(effects.table["phase"]) == {"anticipation", "post"}
    for k, row in enumerate(effects.table.itertuples()):
        rows = (cohort == row.cohort) | (cohort > max(row.period, row.cohort - 2) + 1)
        before = wide[[t for t in wide if t <= row.cohort - 2]].mean(axis=1)
        x = np.column_stack([np.ones(rows.sum()), x1[rows], before[rows]])
        d = (cohort[rows] == row.cohort).astype(float)
        att, psi = two_by_two(wide.loc[rows, row.period].to_numpy(), d, x, np.ones(rows.sum()), method)
        assert row.estimate == pytest.approx(att, abs=ITERATED)
        np.testing.assert_allclose(effects.influence[rows, k], psi, atol=ITERATED)


def test_ancova_needs_one_period_before_and_says_who_has_none():
    panel = made()
    keep = (panel.outcomes.index.get_level_values(0) != 11) | (panel.outcomes.index.get_level_values(1) > 4)
    one = (panel.outcomes.index.get_level_values(0) != 12) | (panel.outcomes.index.get_level_values(1) != 2)
    spec = DidSpec(method="reg", lag="ancova")
    with pytest.warns(PipevalWarning, match=r"missing covariate: 1 firm \(11\)"):
        effects = att_gt(Panel(panel.firms, panel.outcomes[keep & one]), "y", spec)
    assert not effects.member[11].any()
    assert effects.member[12].any(), "a firm seen in one of the periods before enters"
    changes = att_gt(panel, "y", DidSpec(method="reg"))
    assert aggregate(changes, "overall").table["estimate"].item() != aggregate(effects, "overall").table["estimate"].item()


def test_the_mean_before_is_a_firm_effect_where_firms_miss_years():
    """Against least squares on dummies of firms and years; with no gap the plain mean."""
    rng = np.random.default_rng(3)
    level = pd.DataFrame(rng.normal([0.0, 3.0, -2.0, 9.0], size=(12, 4)))
    np.testing.assert_allclose(np.ptp(mean_before(level) - level.mean(axis=1)), 0, atol=CLOSED)
    holes = level.mask(rng.random(level.shape) < 0.3)
    holes.loc[5] = np.nan
    long = holes.stack().dropna()
    firm, year = (pd.get_dummies(long.index.get_level_values(k), drop_first=bool(k)).to_numpy(float) for k in (0, 1))
    fitted = np.linalg.lstsq(np.column_stack([firm, year]), long.to_numpy(), rcond=None)[0][: firm.shape[1]]
    found = mean_before(holes)
    assert np.isnan(found[5])
    np.testing.assert_allclose(np.ptp(found.dropna().to_numpy() - fitted), 0, atol=CLOSED)


def test_ancova_does_not_take_the_years_a_firm_misses_for_its_level():
    """Treated firms are often not seen in the first year, when everybody stood two lower: no reason to think them larger."""
    rng, found = np.random.default_rng(5), []
    for _ in range(30):
        y = rng.normal(size=(200, 1)) + rng.normal([0.0, 2.0, 2.0, 2.0], 0.7, size=(200, 4))
        treated = y[:, :3].mean(axis=1) < 1.2 + 0.5 * rng.normal(size=200)
        y[rng.random(200) < np.where(treated, 0.6, 0.1), 0] = np.nan
        panel = tiny({i: (4 if treated[i] else NEVER, *y[i]) for i in range(200)})
        found.append(quietly(att_gt, panel, "y", DidSpec(method="reg", lag="ancova")).table["estimate"].iloc[-1])
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(30) + 0.03


def test_years_after_entry_of_earlier_cohorts_do_not_move_the_mean_before():
    panel, spec = made(), DidSpec(method="reg", lag="ancova")
    wide, cohort = panel.wide("y"), panel.firms["cohort"]
    holes = wide.mask(np.random.default_rng(1).random(wide.shape) < 0.1)
    touched = holes + 50.0 * (holes.columns.to_numpy() >= cohort.to_numpy()[:, None]) * (cohort == cohort.min()).to_numpy()[:, None]
    one, other = (quietly(att_gt, Panel(panel.firms, f.stack().to_frame("y")), "y", spec).table for f in (holes, touched))
    late = (one["cohort"] > cohort.min()).to_numpy()
    np.testing.assert_allclose(one["estimate"][late], other["estimate"][late], atol=CLOSED)


def test_ancova_is_unbiased_where_selection_is_on_the_level_before():
    """Firms with a bad year enter: the change regresses to the mean, the lag as covariate takes that out."""
    rng = np.random.default_rng(12)
    n = 4000
    noise = rng.normal(size=(n, 3))
    level = rng.normal(0, 0.5, n)
    y = level[:, None] + noise
    treated = y[:, 1] + y[:, 0] < rng.normal(-0.5, 0.5, n)
    rows = {i: (3 if treated[i] else NEVER, *y[i]) for i in range(n)}
    panel = tiny(rows)
    found = {lag: att_gt(panel, "y", DidSpec(method="reg", lag=lag)).table.iloc[-1] for lag in ("difference", "ancova")}
    assert found["difference"]["estimate"] > 0.3, "no effect at all"
    assert abs(found["ancova"]["estimate"]) < 3 * found["ancova"]["std_error"]


# imputation and matched samples -------------------------------------------------------------------------------------------------


def test_imputation_is_a_method_of_att_gt_but_not_of_a_matched_sample():
    panel = made()
    spec = DidSpec(method="imputation")
    effects = att_gt(panel, "y", spec)
    assert {"cohort", "period", "weight_treated"} <= set(effects.table.columns)
    assert abs(aggregate(effects, "overall").table["estimate"].iloc[0] - 0.3) < 0.2
    firms = panel.firms.assign(cohort=panel.firms["cohort"].replace({4.0: NEVER, 5.0: NEVER}))
    sample = match(firms, MatchSpec(covariates=("x1",), caliper=None))
    with pytest.raises(DesignError, match="method: imputation .*use method: reg"):
        att_gt(Panel(firms, panel.outcomes), "y", spec, weights=sample)


def test_a_second_set_of_odds_by_the_lag_is_refused_on_estimated_weights():
    panel = made()
    firms = panel.firms.assign(cohort=panel.firms["cohort"].replace({4.0: NEVER, 5.0: NEVER}))
    sample = match(firms, MatchSpec(covariates=("x1",), method="ipw", caliper=None))
    one = Panel(firms, panel.outcomes)
    with pytest.raises(DesignError, match="weight matched controls a second time"):
        quietly(att_gt, one, "y", DidSpec(method="dr", lag="ancova"), weights=sample)
    found = quietly(att_gt, one, "y", DidSpec(method="reg", lag="ancova"), weights=sample)
    assert found.table["std_error"].notna().all()
    assert found.clusters is not None or len(found.firm_id)


# what bad input meets, whatever the choices ---------------------------------------------------------------------------------------

CHOICES = {
    "dr": DidSpec(covariates=("x1", "x2")),
    "dr_improved": DidSpec(method="dr_improved", covariates=("x1", "x2")),
    "ipw": DidSpec(method="ipw", covariates=("x1", "x2")),
    "reg": DidSpec(method="reg", covariates=("x1", "x2")),
    "ancova": DidSpec(method="reg", lag="ancova", covariates=("x1", "x2")),
    "sections": DidSpec(sampling="cross_sections", covariates=("x1", "x2")),
    "sections_reg": DidSpec(method="reg", sampling="cross_sections", covariates=("x1", "x2")),
    "never_treated": DidSpec(comparison="never_treated", base="varying", covariates=("x1", "x2")),
    "imputation": DidSpec(method="imputation", covariates=("x1", "x2")),
}
EVERY = pytest.mark.parametrize("spec", CHOICES.values(), ids=CHOICES)


def table_of(panel: Panel, spec: DidSpec) -> pd.DataFrame:
    return quietly(att_gt, panel, "y", spec).table


@EVERY
def test_never_treated_in_every_code_gives_the_same(spec):
    panel = made()
    frame = panel.outcomes.reset_index().join(panel.firms, on="firm_id")
    found = []
    for code in (np.nan, None, pd.NaT, 0, -1, np.inf):
        start = frame["cohort"].astype(object).where(frame["cohort"] < NEVER, code)
        other = Panel.from_frame(
            frame.assign(start=start), firm_id="firm_id", period="period", cohort="start", outcomes=["y"], covariates=["x1", "x2"]
        )
        found.append(table_of(other, spec))
    for other in found[1:]:
        pd.testing.assert_frame_equal(other, found[0], check_exact=True)


@EVERY
def test_five_per_cent_missing_covariates_leave_those_firms_out(spec):
    """Neither an unconditional fit nor another sample: exactly the estimate without the firms, who are named."""
    panel = made()
    gone = panel.firms.index[::20]
    holes = Panel(panel.firms.assign(x1=panel.firms["x1"].where(~panel.firms.index.isin(gone))), panel.outcomes)
    with pytest.warns(PipevalWarning, match=r"missing covariate: 8 firms \(0, 20, 40, 60, 80, …\)"):
        found = att_gt(holes, "y", spec).table
    without = table_of(panel.keep(panel.firms.index.difference(gone), "t", "t"), spec)
    np.testing.assert_allclose(found[["estimate", "std_error"]], without[["estimate", "std_error"]], atol=ITERATED)


@EVERY
def test_collinear_covariates_are_named(spec):
    panel = made()
    bad = Panel(panel.firms.assign(double=1 - 2 * panel.firms["x1"]), panel.outcomes)
    faulty(EstimationError, "'double'", bad, spec.changed({"covariates": ("x1", "double")}))


@pytest.mark.parametrize("lone", [False, True])
@pytest.mark.parametrize("choice", ["dr", "dr_improved", "ipw", "sections", "never_treated"])
def test_no_overlap_is_an_error_not_an_estimate(choice, lone):
    """Cohort 3 lies far above all others in size; or above all but one never-treated firm, which then carries all the weight."""
    panel = made(400)
    far = np.random.default_rng(1).uniform(0, 1, 400) + np.where(panel.firms["cohort"] == 3, 5.0, 0.0)
    if lone:
        far[panel.firms["cohort"].to_numpy().argmax()] = 5.6
    bad = Panel(panel.firms.assign(far=far), panel.outcomes)
    faulty(
        EstimationError, "cohort 3, .*(separation|no overlap): .*'far'", bad, CHOICES[choice].changed({"covariates": ("x1", "far")})
    )


@EVERY
def test_comparison_is_untreated_at_both_ends_with_a_universal_base(spec):
    """A jump of every firm at its own entry moves no row before entry, whichever firms compare."""
    panel = made()
    firm, period = (panel.outcomes.index.get_level_values(k) for k in (0, 1))
    entered = period.to_numpy() >= panel.firms["cohort"].reindex(firm).to_numpy()
    jumped = Panel(panel.firms, panel.outcomes.assign(y=panel.outcomes["y"] + 50 * entered))
    before, after = table_of(panel, spec), table_of(jumped, spec)
    post = (before["phase"] == "post").to_numpy()
    np.testing.assert_allclose(after["estimate"], before["estimate"] + 50 * post, atol=ITERATED)


@pytest.mark.parametrize("choice", [c for c in CHOICES if c != "never_treated"])
def test_an_already_treated_cohort_does_not_delete_the_last_one(choice):
    panel = made()
    everyone = panel.keep(panel.firms.index[panel.firms["cohort"] < NEVER], "t", "t")
    extra = everyone.firms.head(10).set_axis(range(5000, 5010)).assign(cohort=1.0)
    rows = everyone.outcomes.loc[everyone.firms.index[:10]].reset_index()
    rows["firm_id"] = rows["firm_id"].map(dict(zip(everyone.firms.index[:10], extra.index, strict=True)))
    more = Panel(
        pd.concat([everyone.firms, extra]).rename_axis("firm_id"),
        pd.concat([everyone.outcomes, rows.set_index(["firm_id", "period"])]),
    )
    columns = ["cohort", "period", "estimate", "std_error", "n_control"]
    one, other = (table_of(p, CHOICES[choice])[columns] for p in (everyone, more))
    pd.testing.assert_frame_equal(one, other, rtol=ITERATED)
    assert (one.set_index(["cohort", "period"]).loc[(3, 3), "n_control"] >= (everyone.firms["cohort"] > 3).sum() - 1).all()


# summaries ----------------------------------------------------------------------------------------------------------------------


def test_cross_sections_of_a_matched_sample_need_its_sets_as_clusters():
    panel = made()
    firms = panel.firms.assign(cohort=panel.firms["cohort"].replace({4.0: NEVER, 5.0: NEVER}))
    spec = DidSpec(sampling="cross_sections")
    pairs = match(firms, MatchSpec(covariates=("x1",), caliper=None))
    whole, either = (quietly(att_gt, Panel(firms, panel.outcomes), "y", s, weights=pairs) for s in (DidSpec(), spec))
    np.testing.assert_allclose(either.table["std_error"], whole.table["std_error"], atol=CLOSED)
    again = match(firms, MatchSpec(covariates=("x1",), method="nearest", replace=True, caliper=None))
    with pytest.raises(DesignError, match="use sampling: both_ends"):
        quietly(att_gt, Panel(firms, panel.outcomes), "y", spec, weights=again)


def test_a_base_period_does_not_dilute_the_event_time_of_another_cohort():
    """Period 3 is not observed: cohort 4's base stands at event time −2, where cohort 3 has an estimate."""
    panel = made()
    outcomes = panel.outcomes[panel.outcomes.index.get_level_values(1) != 3]
    cells = quietly(att_gt, Panel(panel.firms, outcomes), "y")
    at = cells.table[cells.table["event_time"] == -2]
    assert set(at["phase"]) == {"base", "pre"}
    real = at[at["phase"] == "pre"]
    events = quietly(aggregate, cells, "event_time").table.set_index("event_time")
    mean = np.average(real["estimate"], weights=real["weight_treated"])
    assert events.loc[-2, "estimate"] == pytest.approx(mean, abs=CLOSED) and events.loc[-2, "phase"] == "pre"


def test_known_shares_leave_the_estimate_and_drop_their_part_of_the_error():
    effects = att_gt(made(), "y")
    for by in ("overall", "event_time", "cohort", "period"):
        known, estimated = (aggregate(effects, by, shares=s) for s in ("known", "estimated"))
        np.testing.assert_allclose(known.table["estimate"], estimated.table["estimate"], atol=CLOSED)
    overall, theirs = aggregate(effects, "overall", shares="known"), aggregate(effects, "overall")
    post = (effects.table["phase"] == "post").to_numpy()
    share = effects.table["weight_treated"].to_numpy() * post / effects.table["weight_treated"][post].sum()
    np.testing.assert_allclose(overall.influence[:, 0], effects.influence @ share, atol=CLOSED)
    part = effects.treated_weight @ (share * (effects.table["estimate"].to_numpy() - overall.table["estimate"].item()))
    np.testing.assert_allclose(theirs.influence[:, 0] - overall.influence[:, 0], part, atol=CLOSED)


# who enters, with which weights and clusters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["dr", "imputation"])
def test_balanced_keeps_the_firms_seen_in_every_period_and_names_the_others(method):
    panel = made()
    holes = Panel(panel.firms, panel.outcomes.drop(index=[(3, 2), (3, 4), (8, 6)]))
    with pytest.warns(PipevalWarning, match=r"not observed in every period: 2 firms \(3, 8\)"):
        found = att_gt(holes, "y", DidSpec(method=method, sampling="balanced", covariates=("x1",)))
    without = att_gt(panel.keep(panel.firms.index.difference([3, 8]), "t", "t"), "y", DidSpec(method=method, covariates=("x1",)))
    pd.testing.assert_frame_equal(found.table, without.table)
    assert "not_seen_always" in {n.key for n in found.notes}
    alternating = panel.outcomes[(panel.outcomes.index.get_level_values(0) + panel.outcomes.index.get_level_values(1)) % 2 == 0]
    faulty(DesignError, "firms with 'y' in all periods", Panel(panel.firms, alternating), DidSpec(sampling="balanced"))


def test_sampling_weights_are_a_column_of_the_firms():
    panel = made()
    weighted = Panel(panel.firms.assign(w=np.linspace(0.5, 2, len(panel.firms))), panel.outcomes)
    named = att_gt(weighted, "y", DidSpec(weights="w", covariates=("x1",)))
    given = att_gt(weighted, "y", DidSpec(covariates=("x1",)), weights=weighted.firms["w"])
    pd.testing.assert_frame_equal(named.table, given.table)
    faulty(DesignError, "'x9' is no column", panel, DidSpec(weights="x9"))
    firms = weighted.firms.assign(cohort=panel.firms["cohort"].replace({4.0: NEVER, 5.0: NEVER}))
    sample = match(firms, MatchSpec(covariates=("x1",), caliper=None))
    with pytest.raises(DesignError, match="weight a matched sample a second time"):
        att_gt(Panel(firms, panel.outcomes), "y", DidSpec(weights="w"), weights=sample)


@pytest.mark.parametrize("method", ["dr", "imputation", "poisson"])
def test_firms_without_a_weight_leave_with_a_note(method):
    panel = made()
    rng = np.random.default_rng(2)
    w = pd.Series(rng.uniform(0.5, 2, len(panel.firms)), panel.firms.index)
    w.iloc[[3, 8]] = np.nan
    weighted = Panel(panel.firms.assign(w=w), np.exp(panel.outcomes))
    spec, estimator = (DidSpec(weights="w"), poisson_att) if method == "poisson" else (DidSpec(method=method, weights="w"), att_gt)
    with pytest.warns(PipevalWarning, match="without a value of the weight w: 2 firms"):
        found = estimator(weighted, "y", spec)
    assert "missing_weight" in {n.key for n in found.notes}
    assert not found.member[found.firm_id.get_indexer(w.index[[3, 8]])].any()
    twin = quietly(estimator, weighted, "y", spec.changed({"weights": None}), w.dropna())
    np.testing.assert_allclose(found.table["estimate"], twin.table["estimate"], atol=CLOSED)
    plain = quietly(estimator, weighted, "y", spec.changed({"weights": None}))
    assert not np.allclose(found.table["estimate"], plain.table["estimate"], atol=1e-4)


def test_two_columns_are_two_way_clusters():
    panel = made()
    two = Panel(panel.firms.assign(sector=np.arange(len(panel.firms)) % 12), panel.outcomes)
    found = quietly(att_gt, two, "y", DidSpec(cluster=("area", "sector")))
    twin = quietly(att_gt(two, "y").clustered, two.firms[["area", "sector"]])
    pd.testing.assert_frame_equal(found.table, twin.table)
    bands = quietly(aggregate(found, "event_time").bands)
    rows = bands.table[bands.table["band_low"].notna()]
    assert (rows["band_high"] >= rows["conf_high"]).all()
    firms = two.firms.assign(cohort=panel.firms["cohort"].replace({4.0: NEVER, 5.0: NEVER}))
    sample = match(firms, MatchSpec(covariates=("x1",), caliper=None))
    with pytest.raises(DesignError, match="joins its sets with one column"):
        att_gt(Panel(firms, panel.outcomes), "y", DidSpec(cluster=("area", "sector")), weights=sample)


@pytest.mark.parametrize("spec", [DidSpec(covariates=("x1",)), DidSpec(method="imputation")], ids=["dr", "imputation"])
def test_only_the_periods_asked_for(spec):
    panel = made()
    whole, one = att_gt(panel, "y", spec), att_gt(panel, "y", spec, periods=(5,))
    rows = (whole.table["period"] == 5).to_numpy()
    pd.testing.assert_frame_equal(one.table, whole.table[rows].reset_index(drop=True))
    np.testing.assert_array_equal(one.influence, whole.influence[:, rows])
    faulty(DesignError, "no cell can be estimated", panel, spec, periods=(19,))


def test_critical_value_does_not_depend_on_how_clusters_are_cut(monkeypatch):
    """A block of all clusters and blocks of eight: the same law; and few draws over many firms stay small in memory."""
    effects = aggregate(att_gt(made(), "y"), "event_time")
    wide = effects.bands(draws=4999).table["band_high"]
    monkeypatch.setattr("pipeval.did.inference.BLOCK", 1)
    narrow = effects.bands(draws=4999).table["band_high"]
    half = (wide - effects.table["estimate"]).dropna()
    np.testing.assert_allclose((narrow - effects.table["estimate"]).dropna() / half, 1, atol=0.03)
