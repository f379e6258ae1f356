"""Extreme values drawn in, discounted, left out: by hand and against the plain regressions they start from."""

from __future__ import annotations

import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog, root
from scipy.stats import norm

from pipeval import NEVER, Panel
from pipeval.data.load import load
from pipeval.data.measures import measures
from pipeval.data.treatment import build_panel
from pipeval.data.winsorise import winsorised
from pipeval.did.estimate import at_reference, estimate
from pipeval.errors import DesignError, PipevalWarning, collected
from pipeval.matching.match import match
from pipeval.robustness.outliers import _median, leave_one_out, outlier_rows
from pipeval.study.specs import Outcome

# --- winsorising ------------------------------------------------------------------------------------------------------


def column(by_period: dict[int, list[float]], ids=None) -> pd.Series:
    n = len(next(iter(by_period.values())))
    ids = ids or [f"f{i:02d}" for i in range(n)]
    parts = {p: pd.Series(v, pd.Index(ids, name="firm_id"), dtype=float) for p, v in by_period.items()}
    return pd.concat(parts, names=["period"]).swaplevel().rename("y")


def quiet(*arguments, **named) -> pd.Series:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return winsorised(*arguments, **named)


def test_each_group_and_period_has_its_own_quantiles():
    ids = [f"f{i:02d}" for i in range(10)]
    firms = pd.DataFrame({"branch": list("aaaaabbbbb")}, index=ids)
    values = column({1: [0, 1, 2, 3, 100, 1000, 1001, 1002, 1003, 9000], 2: [5.0] * 10}, ids)
    found = quiet(values, firms, 0.2, ["branch"]).unstack()
    by_hand = [0.8, 1, 2, 3, 3 + 0.2 * 97, 1000.8, 1001, 1002, 1003, 1003 + 0.2 * 7997]
    np.testing.assert_allclose(found[1], by_hand, rtol=1e-12)
    assert (found[2] == 5).all()


def test_small_groups_take_wider_ones():
    """At a quarter a group needs four values: size classes have three or one, branch a has four, branch b two, the year six."""
    ids = [f"f{i}" for i in range(6)]
    firms = pd.DataFrame({"branch": list("aaaabb"), "size_class": list("xxxyzz")}, index=ids)
    values = column({1: [0.0, 10, 20, 30, 40, 50]}, ids)
    found = quiet(values, firms, 0.25).to_numpy()
    a, year = np.quantile([0, 10, 20, 30], [0.25, 0.75]), np.quantile(values, [0.25, 0.75])
    np.testing.assert_allclose(found, [a[0], 10, 20, a[1], year[1], year[1]])
    np.testing.assert_allclose(quiet(values[:3], firms, 0.25), [0, 10, 20])  # three values in the year: no such tail


def test_missing_values_and_groups():
    ids = [f"f{i}" for i in range(6)]
    firms = pd.DataFrame({"branch": ["a"] * 5 + [None]}, index=ids)
    values = column({1: [0.0, 1, np.nan, 2, 9, 50]}, ids)
    found = quiet(values, firms, 0.25, ["branch"])
    low, high = np.quantile([0, 1, 2, 9], [0.25, 0.75])
    np.testing.assert_allclose(found, [low, 1, np.nan, 2, high, np.quantile([0, 1, 2, 9, 50], 0.75)])


def test_winsorising_counts_what_moved_and_leaves_order_alone():
    rng = np.random.default_rng(0)
    firms = pd.DataFrame({"branch": rng.choice(["a", "b"], 200), "size_class": "x"}, index=[f"f{i:03d}" for i in range(200)])
    values = column({t: list(rng.standard_t(2, 200)) for t in (1, 2)}, list(firms.index))
    with pytest.warns(PipevalWarning) as caught:
        found = winsorised(values, firms, 0.05)
    note = caught[0].message.note
    assert (note.key, note.values["outcome"], note.values["n"]) == ("winsorised", "y", 400)
    assert note.values["moved"] == (found != values).sum() and 20 <= note.values["moved"] <= 44
    shuffled = values.sample(frac=1, random_state=1)
    pd.testing.assert_series_equal(quiet(shuffled, firms, 0.05).sort_index(), found.sort_index())
    pd.testing.assert_series_equal(quiet(7 - 2 * values, firms, 0.05), 7 - 2 * found)


def test_faults_of_winsorising_are_said():
    firms = pd.DataFrame({"branch": ["a"]}, index=["f00"])
    with pytest.raises(DesignError, match="between 0 and 0.5"):
        winsorised(column({1: [1.0]}), firms, 0.5, ["branch"])
    with pytest.raises(DesignError, match="not found: \\['size_class'\\]"):
        winsorised(column({1: [1.0]}), firms, 0.1)


def test_an_outcome_is_winsorised_where_params_say_so(small):
    """Twelve firms a year: at 10 % from either end one value of each moves, before base values are taken."""
    small.cell("survey", 1, "sales_kmxn", 9e6)
    plain, drawn_in = ({"id": i, "measure": "sales", "scale": "level", "label": {}} for i in "sw")
    small.planned(outcomes=[plain, drawn_in | {"winsorise": 0.1}])
    study = small.read()
    tables = load(study)
    with collected() as notes:
        panel = build_panel(tables, measures(tables, study), study, "beneficiary")
    wide = panel.wide("s"), panel.wide("w")
    for year in wide[0]:
        low, high = wide[0][year].quantile([0.1, 0.9])
        np.testing.assert_allclose(wide[1][year], wide[0][year].clip(low, high))
    assert wide[0].loc["F01", 2003] == 9e6 and panel.firms.loc["F01", "base_w"] == wide[1].loc["F01", 2003] < 9e6
    assert [n.values["outcome"] for n in notes if n.key == "winsorised"] == ["w"]


# --- rows that count extremes for less --------------------------------------------------------------------------------


def setting(small, n: int = 120, wild: float = 0.0, **changes):
    """Years 2001 to 2005, a third treated from 2004 with effect 0.3; the change of the first treated firm is `wild` off."""
    rng = np.random.default_rng(2)
    years = np.arange(2001, 2006)
    ids = pd.Index([f"f{i:03d}" for i in range(n)], name="firm_id")
    cohort = np.where(np.arange(n) < n // 3, 2004.0, NEVER)
    y = rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, len(years))) + 0.3 * (cohort[:, None] <= years)
    y[0, 3:] += wild
    firms = pd.DataFrame(
        {"cohort": cohort, "size": rng.normal(size=n), "branch": rng.choice(["a", "b"], n), "size_class": "s"}, ids
    )
    firms["group"] = [f"g{i % 4}" if c < NEVER else None for i, c in enumerate(cohort)]
    panel = Panel(firms, pd.DataFrame({"y": y.ravel()}, pd.MultiIndex.from_product([ids, years])))
    study = small.read()
    did = study.did.changed({"method": "reg", "covariates": ("size", "branch")})
    spec = study.match.model_copy(update={"covariates": ("size",), "exact": (), "caliper": None})
    study = study.model_copy(
        update={"outcomes": (Outcome(id="y", measure="sales", scale="level", label={}),), "did": did, "match": spec}
    )
    study = study.model_copy(update=changes)
    with collected():
        return panel, match(panel.firms, spec, until=2005), study, study.outcomes[0]


def test_without_outliers_the_rows_agree(small):
    table = outlier_rows(*setting(small)).set_index("row")
    assert list(table.index) == ["headline", "winsorised", "least_squares", "huber", "median"] and (table["note"] == "").all()
    assert table["estimand"].tolist() == ["mean", "winsorised_mean", "mean", "robust_location", "median"]
    assert table["estimate"].between(0.2, 0.4).all() and table["std_error"].between(0.02, 0.055).all()
    assert ((table["conf_low"] < table["estimate"]) & (table["estimate"] < table["conf_high"])).all()


def test_one_wild_firm_moves_the_mean_and_not_the_middle(small):
    table = outlier_rows(*setting(small, wild=40.0)).set_index("row")
    assert table.loc["headline", "estimate"] > 1.2 and table.loc["least_squares", "estimate"] > 1.2
    assert table.loc[["huber", "median"], "estimate"].between(0.2, 0.4).all()
    assert table.loc["winsorised", "estimate"] < 0.8


def test_the_regressions_are_what_they_say(small):
    """Least squares, Huber's and the absolute loss minimised anew, and the errors of least squares by an outside program."""
    import statsmodels.api as sm

    panel, sample, study, outcome = setting(small, wild=3.0)
    table = outlier_rows(panel, sample, study, outcome).set_index("row")
    score = sample.scores
    d = np.isfinite(panel.firms["cohort"])
    inside = score.between(max(score[d].min(), score[~d].min()), min(score[d].max(), score[~d].max()))
    firms, wide = panel.firms[inside], panel.wide("y")[inside]
    y = (wide[2005] - wide[2003]).to_numpy()
    x = np.column_stack([np.isfinite(firms["cohort"]), np.ones(len(y)), firms["size"], firms["branch"] == "b"]).astype(float)
    plain = sm.OLS(y, x).fit(cov_type="HC1", use_t=True)
    assert table.loc["least_squares", "estimate"] == pytest.approx(plain.params[0], abs=1e-10)
    assert table.loc["least_squares", "std_error"] == pytest.approx(plain.bse[0], rel=1e-10)
    assert table.loc["least_squares", ["conf_low", "conf_high"]].tolist() == pytest.approx(plain.conf_int()[0].tolist(), abs=1e-9)
    least = [_absolute_loss(y, x, first) for first in ((None, None), (table.loc["median", "estimate"],) * 2)]
    assert least[0] == pytest.approx(least[1], abs=1e-9)  # the minimum may be flat: the estimate lies in it
    assert table.loc["huber", "n_treated"] == x[:, 0].sum() and table.loc["huber", "n_control"] == (1 - x[:, 0]).sum()


def _absolute_loss(y: np.ndarray, x: np.ndarray, first: tuple) -> float:
    """The least sum of absolute residuals, as the linear programme it is, with the first coefficient within `first`."""
    n, k = x.shape
    cost = np.r_[np.zeros(k), np.ones(2 * n)]
    bounds = [first] + [(None, None)] * (k - 1) + [(0, None)] * (2 * n)
    return linprog(cost, A_eq=np.hstack([x, np.eye(n), -np.eye(n)]), b_eq=y, bounds=bounds).fun


def test_the_errors_of_the_median_are_those_of_its_draws():
    """Errors three times as wide among the treated: 120 draws, against the spread of the estimates."""
    rng, found = np.random.default_rng(0), []
    for _ in range(120):
        d = (np.arange(200) < 80).astype(float)
        found.append(_median(0.5 * d + (1 + 2 * d) * rng.normal(size=200), np.column_stack([d, np.ones(200)]))[:2])
    estimate, error = np.array(found).T
    assert abs(estimate.mean() - 0.5) < 4 * estimate.std() / np.sqrt(120)
    assert 0.85 < error.mean() / estimate.std() < 1.2


def test_huber_weighs_residuals_beyond_the_bend_by_their_size(small):
    """Its own first-order conditions, with its own scale: residuals count up to 1.345 median absolute deviations."""
    panel, sample, study, outcome = setting(small, wild=3.0, did=small.read().did.changed({"method": "reg"}))
    found = outlier_rows(panel, sample, study, outcome).set_index("row").loc["huber", "estimate"]
    d = np.isfinite(panel.firms["cohort"]).to_numpy()
    y = (panel.wide("y")[2005] - panel.wide("y")[2003]).to_numpy()

    def conditions(b):
        residual = y - b[0] * d - b[1]
        scale = 1.345 * np.median(np.abs(residual)) / norm.ppf(0.75)
        bent = np.clip(residual, -scale, scale)
        return bent[d].mean(), bent[~d].mean()

    solved = root(conditions, [0.3, 0.0], tol=1e-12)
    assert solved.success and found == pytest.approx(solved.x[0], abs=1e-6)


def test_rows_that_cannot_be_made_keep_their_reason(small):
    panel, sample, study, outcome = setting(small)
    counts = outcome.model_copy(update={"scale": "poisson"})
    positive = Panel(panel.firms, np.exp(panel.outcomes))
    table = outlier_rows(positive, sample, study, counts).set_index("row")
    assert table.loc["headline", "note"] == "" and np.isfinite(table.loc["headline", "estimate"])
    assert table.loc[["least_squares", "huber", "median"], "note"].str.contains("no robust version").all()
    absent = outlier_rows(
        panel, sample, study.model_copy(update={"baseline": study.baseline.model_copy(update={"year": 1999})}), outcome
    )
    assert absent.set_index("row").loc["winsorised", "note"].startswith("outcome y is not observed in the base year 1999")


# --- leave one out ----------------------------------------------------------------------------------------------------


def test_the_wild_firm_leads_the_list(small):
    panel, sample, study, outcome = setting(small, wild=10.0)
    table = leave_one_out(panel, sample, study, outcome)
    assert len(table) == 10 and table["left_out"].iloc[0] == "f000" and (table["n_left_out"] == 1).all()
    with collected():
        full = at_reference(estimate(panel, sample, study, outcome), 2005)
        rest = panel.keep(panel.firms.index.drop("f000"), "test", "wild")
        without = at_reference(estimate(rest, sample, study, outcome), 2005)
    assert table["estimate"].iloc[0] == pytest.approx(without["estimate"], abs=1e-12)
    assert table["moved"].iloc[0] == pytest.approx((without["estimate"] - full["estimate"]) / full["std_error"], abs=1e-12)
    assert table["moved"].abs().is_monotonic_decreasing


def test_the_ten_are_those_that_move_it_most(small):
    """Every firm left out in turn, exactly: the influence picks the right ten but for ties in the last places."""
    panel, sample, study, outcome = setting(small, n=60, did=small.read().did.changed({"method": "reg"}))
    table = leave_one_out(panel, sample, study, outcome)
    change, d = panel.wide("y")[2005] - panel.wide("y")[2003], np.isfinite(panel.firms["cohort"])

    def effect(keep):
        return change[keep & d].mean() - change[keep & ~d].mean()

    exact = pd.Series({i: abs(effect(change.index != i) - effect(change.notna())) for i in change.index}).nlargest(12)
    assert set(table["left_out"]) <= set(exact.index) and set(exact.index[:8]) <= set(table["left_out"])


def test_groups_are_left_out_whole(small):
    panel, sample, study, outcome = setting(small)
    table = leave_one_out(panel, sample, study, outcome, by="group").set_index("left_out")
    assert sorted(table.index) == ["g0", "g1", "g2", "g3"] and (table["by"] == "group").all()
    assert table["n_left_out"].between(8, 10).all()  # of ten, those on the common support
    with collected():
        rest = panel.keep(panel.firms.index[panel.firms["group"] != "g2"], "test", "g2")
        assert table.loc["g2", "estimate"] == pytest.approx(at_reference(estimate(rest, sample, study, outcome), 2005)["estimate"])


def test_a_group_without_which_nothing_is_left_keeps_its_reason(small):
    panel, sample, study, outcome = setting(small)
    all_treated = Panel(panel.firms.assign(arm=np.where(np.isfinite(panel.firms["cohort"]), "t", "c")), panel.outcomes)
    table = leave_one_out(all_treated, sample, study, outcome, by="arm").set_index("left_out")
    assert table["estimate"].isna().all() and (table["note"] != "").all()
    with pytest.raises(DesignError, match="it has no 'colour'"):
        leave_one_out(panel, sample, study, outcome, by="colour")


def test_who_estimates_does_not_matter(small):
    arguments = setting(small)
    with ProcessPoolExecutor(2) as pool:
        pd.testing.assert_frame_equal(leave_one_out(*arguments, by="group", executor=pool), leave_one_out(*arguments, by="group"))


def test_a_matched_design_can_lose_a_firm_too(small):
    panel, sample, study, outcome = setting(small, wild=10.0, headline="matched")
    table = leave_one_out(panel, sample, study, outcome)
    assert table["left_out"].iloc[0] == "f000" and (table["note"] == "").all()
