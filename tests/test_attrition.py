"""Firms that stop answering: response weights, Lee's and worst-case bounds, the design check; by hand, by naive twins, by draws."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval import NEVER, DidSpec, Panel, aggregate, att_gt
from pipeval.did.attrition import attrition_check, response_weights, selected_on, weighted_effect
from pipeval.did.bounds import imbens_manski, lee_bounds, lee_table, worst_case_counts
from pipeval.did.counts import net_count
from pipeval.errors import DataError, DesignError, PipevalWarning, collected

X = DidSpec(method="reg", covariates=("x",))


def made(seed: int, n: int = 300, cohorts=(2.0, 3.0), effect: float = 0.5) -> Panel:
    """Periods 1 to 4; small firms change less, gain less and, if treated, stop answering (large ones, if not)."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"f{i:04d}" for i in range(n)], name="firm_id")
    x = rng.normal(size=n)
    treated = rng.random(n) < 1 / (1 + np.exp(-0.5 * x))
    cohort = np.where(treated, rng.choice(cohorts, n), NEVER)
    y = 0.3 * rng.normal(size=(n, 4)).cumsum(axis=1) + np.outer(x, [0, 0.2, 0.4, 0.6])
    y += (1 + effect * x)[:, None] * (cohort[:, None] <= np.arange(1, 5))
    y[rng.random(n) < 1 / (1 + np.exp(0.5 + 1.2 * x * np.where(treated, 1, -1))), 3] = np.nan
    outcomes = pd.DataFrame(y, ids, pd.Index(range(1, 5), name="period")).stack().dropna().rename("y").to_frame()
    return Panel(pd.DataFrame({"cohort": cohort, "x": x, "kind": rng.choice(["a", "b"], n)}, ids), outcomes)


def effect(panel: Panel, spec: DidSpec, names=(), weights=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return weighted_effect(panel, "y", spec, response_weights(panel, "y", spec, 4, names, weights))


# --- response weights -------------------------------------------------------------------------------------------------


def test_without_covariates_a_weight_is_one_over_the_response_rate():
    panel = made(1)
    weights = response_weights(panel, "y", DidSpec(), 4).weights
    wide, cohort = panel.wide("y"), panel.firms["cohort"]
    assert set(weights.index.get_level_values("cohort")) == {2.0, 3.0}
    for g in (2.0, 3.0):
        there = wide[g - 1].notna()
        for arm in (cohort == g, cohort == NEVER):
            rate = wide.loc[there & arm, 4].notna().mean()
            own = weights[g].reindex(wide.index[there & arm & wide[4].notna()])
            np.testing.assert_allclose(own, 1 / rate, rtol=1e-9)


def test_response_rates_alone_move_only_the_shares_of_the_cohorts():
    panel = made(2)
    spec = DidSpec(method="reg")
    found = effect(panel, spec).table.iloc[0]
    cells = att_gt(panel, "y", spec).table.query("period == 4").set_index("cohort")["estimate"]
    asked = {g: panel.wide("y").loc[panel.firms["cohort"] == g, g - 1].notna().sum() for g in (2, 3)}
    assert found["estimate"] == pytest.approx(np.average([cells[2], cells[3]], weights=[asked[2], asked[3]]), abs=1e-9)


def test_where_everybody_answers_nothing_changes():
    panel = made(3)
    full = Panel(panel.firms, panel.wide("y").T.ffill().T.stack().rename_axis(["firm_id", "period"]).to_frame("y"))
    found, plain = effect(full, X, ("x", "kind")), aggregate(att_gt(full, "y", X), "period")
    row = plain.table.query("period == 4").iloc[0]
    assert found.table["estimate"][0] == pytest.approx(row["estimate"], abs=1e-12)
    assert found.table["std_error"][0] == pytest.approx(row["std_error"], rel=1e-12)


@pytest.mark.parametrize(("method", "covariates"), [("reg", ()), ("reg", ("x",)), ("dr", ("x", "kind")), ("ipw", ("x",))])
def test_the_influence_is_the_derivative_by_a_firms_own_weight(method, covariates):
    """Weights, response model, regression and shares of the cohorts: all of it, by central differences."""
    panel, spec = made(1, n=160), DidSpec(method=method, covariates=covariates)
    one = pd.Series(1.0, panel.firms.index)
    found = effect(panel, spec, ("x", "kind"), one)
    silent = found.firm_id[panel.wide("y")[4].isna()]
    for firm in [*found.firm_id[:6], *silent[:4]]:
        ends = [effect(panel, spec, ("x", "kind"), one.where(one.index != firm, 1 + h)).table["estimate"][0] for h in (1e-4, -1e-4)]
        mine = found.influence[found.firm_id.get_loc(firm), 0]
        assert mine == pytest.approx((ends[0] - ends[1]) / 2e-4, abs=1e-8)
    assert np.abs(found.influence[found.firm_id.get_indexer(silent), 0]).max() > 1e-4  # those who do not answer have a part in it


@pytest.mark.parametrize("draws", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_weights_let_those_who_answer_speak_for_the_others(draws):
    """Missing at random given x, effects that grow with x: unweighted the answer is that of the large firms."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=400_000)
    truth = 1 + 0.5 * np.average(x, weights=1 / (1 + np.exp(-0.5 * x)))
    held, plain = [], []
    for seed in range(draws):
        panel = made(1000 + seed, n=240, cohorts=(3.0,))
        row = effect(panel, X, ("x",)).table.iloc[0]
        held.append(row["conf_low"] <= truth <= row["conf_high"])
        ends = Panel(panel.firms, panel.outcomes[panel.outcomes.index.get_level_values(1).isin((2, 4))])
        plain.append(att_gt(ends, "y", X).table.query("period == 4")["estimate"].iloc[0])
    assert abs(np.mean(held) - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / draws)
    assert np.mean(plain) - truth > 0.08


def test_a_column_that_foretells_response_leaves_the_model_with_a_note():
    panel = made(4)
    answered = panel.wide("y")[4].notna()
    firms = panel.firms.assign(told=np.where(answered & (panel.firms["kind"] == "a"), "yes", "no"))
    with pytest.warns(PipevalWarning, match="left out of the model of response .*told = yes"):
        found = response_weights(Panel(firms, panel.outcomes), "y", DidSpec(), 4, ("x", "told"))
    assert found.model["left_out"].str.contains("told").all() and [n.key for n in found.notes].count("response_left_out") == 3
    assert found.weights.between(1, 100).all()


@pytest.mark.parametrize("choice", [{"sampling": "cross_sections"}, {"lag": "ancova"}, {"method": "imputation"}])
def test_designs_that_compare_other_firms_are_refused(choice):
    with pytest.raises(DesignError, match="response weights go with changes of the same firms"):
        response_weights(made(1), "y", DidSpec().changed(choice), 4)


def test_nobody_entered_is_said():
    with pytest.raises(DesignError, match="no cohort has entered by 1"):
        response_weights(made(1), "y", DidSpec(), 1)


# --- Lee's bounds -----------------------------------------------------------------------------------------------------


def arms(treated: list[float], control: list[float]) -> tuple[pd.Series, pd.Series]:
    index = pd.Index([f"t{i}" for i in range(len(treated))] + [f"c{i}" for i in range(len(control))])
    return pd.Series([*treated, *control], index, dtype=float), pd.Series([True] * len(treated) + [False] * len(control), index)


def test_lee_by_hand():
    """All five treated answer, two of four controls: half of the treated are trimmed, the third firm kept by half."""
    (row,) = lee_bounds(*arms([5, 1, 3, 2, 4], [1, 3, np.nan, np.nan])).to_dict("records")
    assert row["lower"] == pytest.approx((1 + 2 + 0.5 * 3) / 2.5 - 2, abs=1e-12)
    assert row["upper"] == pytest.approx((5 + 4 + 0.5 * 3) / 2.5 - 2, abs=1e-12)
    assert (row["difference"], row["trimmed"], row["share_trimmed"]) == (1.0, "treated", 0.5)
    assert (row["response_treated"], row["response_control"], row["n_treated"], row["n_control"]) == (1.0, 0.5, 5, 2)


def test_lee_trims_the_controls_when_they_answer_more():
    (row,) = lee_bounds(*arms([1, 3, np.nan, np.nan], [5, 1, 3, 2, 4])).to_dict("records")
    assert row["lower"] == pytest.approx(2 - 4.2) and row["upper"] == pytest.approx(2 - 1.8) and row["trimmed"] == "control"


def draw(seed: int, n: int = 120, response=(0.9, 0.7), digits: int | None = None):
    rng = np.random.default_rng(seed)
    d = rng.random(n) < 0.45
    y = rng.normal(size=n) + d
    y = np.where(rng.random(n) < np.where(d, *response), y if digits is None else y.round(digits), np.nan)
    return arms(list(y[d]), list(y[~d]))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("digits", [None, 0])
def test_lee_is_what_a_naive_twin_finds(seed, digits):
    """Each treated answer written down as often as there are controls asked, so that a whole number of lines is kept."""
    y, d = draw(seed, digits=digits)
    asked, seen = [int((d == k).sum()) for k in (True, False)], [y[d == k].dropna() for k in (True, False)]
    lines = np.sort(np.repeat(seen[0].to_numpy(), asked[1]))
    keep = len(seen[1]) * asked[0]
    low, high = lines[:keep].mean() - seen[1].mean(), lines[-keep:].mean() - seen[1].mean()
    row = lee_bounds(y, d).iloc[0]
    assert (row["lower"], row["upper"]) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_the_errors_are_those_of_lees_third_proposition():
    y, d = draw(11, n=4000)
    row = lee_bounds(y, d).iloc[0]
    n, share = len(y), d.mean()
    a, q = y[~d].notna().mean(), y[d].notna().mean()
    p = 1 - a / q
    answers = np.sort(y[d].dropna())
    kept = answers[: int(np.floor((1 - p) * len(answers)))]
    mean, edge = kept.mean(), kept[-1]
    treated = (kept.var() + (edge - mean) ** 2 * p) / (q * share * (1 - p))
    of_share = (1 - p) ** 2 * ((1 - q) / (share * q) + (1 - a) / ((1 - share) * a))
    control = y[~d].dropna().var(ddof=0) / (a * (1 - share))
    by_hand = np.sqrt((treated + ((edge - mean) / (1 - p)) ** 2 * of_share + control) / n)
    assert row["lower_error"] == pytest.approx(by_hand, rel=2e-3)  # the firm at the quantile, kept in part, is left out by hand


def test_equal_response_leaves_the_difference():
    y, d = arms([5, 1, np.nan, 2], [1, 3, 4, np.nan])
    row = lee_bounds(y, d, cells=pd.Series("one", y.index)).iloc[[0, 1]]
    assert (row["lower"] == row["upper"]).all() and (row["lower"] == row["difference"]).all() and (row["trimmed"] == "none").all()
    error = np.sqrt(sum(np.var(v) / len(v) for v in ([5, 1, 2], [1, 3, 4])) * 6 / 5)
    assert row["lower_error"].iloc[0] == pytest.approx(error, rel=1e-12)
    assert row["conf_low"].iloc[0] == pytest.approx(row["lower"].iloc[0] - stats.norm.ppf(0.975) * error, rel=1e-9)


def test_mirrored_outcomes_mirror_the_bounds():
    y, d = draw(5)
    one, other = lee_bounds(y, d).iloc[0], lee_bounds(-y, d).iloc[0]
    assert (one["lower"], one["lower_error"]) == (pytest.approx(-other["upper"]), pytest.approx(other["upper_error"]))


def test_weights_are_copies():
    y, d = draw(6, n=60)
    twice = pd.Series(np.where(np.arange(len(y)) % 2, 2.0, 1.0), y.index)
    copies = y.index.repeat(twice.astype(int))
    fresh = pd.Index([f"{i}{k}" for k, i in enumerate(copies)])
    other = lee_bounds(y[copies].set_axis(fresh), d[copies].set_axis(fresh)).iloc[0]
    one = lee_bounds(y, d, weights=twice).iloc[0]
    assert (one["lower"], one["upper"]) == (pytest.approx(other["lower"], abs=1e-12), pytest.approx(other["upper"], abs=1e-12))


def test_cells_by_hand_and_tighter():
    """Two cells, the outcome told by the cell: within it nothing is left to trim away."""
    y, d = arms([0, 0, 10, 10], [0, 10, np.nan, np.nan])
    cell = pd.Series(list("aabb") + list("abab"), y.index)
    rows = lee_bounds(pd.concat([y, y.add_prefix("z")]), pd.concat([d, d.add_prefix("z")]), pd.concat([cell, cell.add_prefix("z")]))
    plain, tight = rows.to_dict("records")
    assert (plain["lower"], plain["upper"]) == (-5.0, 5.0) and (tight["lower"], tight["upper"]) == (0.0, 0.0)
    assert tight["n_cells"] == 2 and tight["n_left_out"] == 0


def test_thin_cells_are_taken_together():
    y, d = draw(7)
    cell = pd.Series(["thick"] * len(y), y.index)
    cell.iloc[[0, 1, -1]] = ["alone", "pair", "pair"]
    assert lee_bounds(y, d, cell).set_index("bounds").loc["tightened", ["n_cells", "n_left_out"]].tolist() in ([1, 3], [2, 0])


def test_bounds_hold_the_effect_where_response_depends_on_the_outcome():
    """Treated firms in trouble answer too, thanks to the programme: the difference is wrong, the bounds are not."""
    inside, covered, biased = [], [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        d, u = rng.random(500) < 0.4, rng.normal(size=500)
        always = u + 0.5 * rng.normal(size=500) > -0.8
        y = np.where(always | d & (u > -1.5), u + d, np.nan)
        row = lee_bounds(*arms(list(y[d]), list(y[~d]))).iloc[0]
        inside.append(row["lower"] - 2 * row["lower_error"] <= 1 <= row["upper"] + 2 * row["upper_error"])
        covered.append(row["conf_low"] <= 1 <= row["conf_high"])
        biased.append(row["difference"])
    assert np.mean(covered) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200) and np.mean(inside) > 0.95
    assert np.mean(biased) < 0.9


def test_the_table_of_a_panel_is_the_bounds_of_its_changes():
    panel = made(8, cohorts=(3.0,))
    table = lee_table(panel, "y", DidSpec(), 4, ("kind",))
    wide = panel.wide("y")
    there = wide[2].notna()
    change, treated = (wide[4] - wide[2])[there], (panel.firms["cohort"] == 3)[there]
    pd.testing.assert_frame_equal(table, lee_bounds(change, treated, panel.firms["kind"]))


def test_cohorts_are_averaged_by_their_treated_firms_that_would_answer():
    panel = made(12)
    table = lee_table(panel, "y", DidSpec(), 4).iloc[0]
    parts = []
    for g in (2, 3):
        one = panel.keep(panel.firms.index[panel.firms["cohort"].isin((g, NEVER))], "test", "other")
        row = lee_table(one, "y", DidSpec(), 4).iloc[0]
        asked = panel.wide("y").loc[one.firms.index[one.firms["cohort"] == g], g - 1].notna().sum()
        parts.append((asked * min(row["response_treated"], row["response_control"]), row["lower"], row["upper"], row["trimmed"]))
    assert len({p[3] for p in parts}) == 1
    for k, name in ((1, "lower"), (2, "upper")):
        assert table[name] == pytest.approx(np.average([p[k] for p in parts], weights=[p[0] for p in parts]), abs=1e-12)


def test_the_influence_of_the_average_is_a_derivative_too():
    """Errors of cells and their shares, by a little more weight on one firm at a time (smooth: no firm at a quantile)."""
    y, d = draw(12, n=200)
    cell = pd.Series(np.random.default_rng(3).choice(list("ab"), len(y)), y.index)
    y += 6.0 * (d & (cell == "b"))
    row = lee_bounds(y, d, cell).set_index("bounds").loc["tightened"]
    h, squares = 1e-6, 0.0
    for firm in y.index:
        w = pd.Series(1.0, y.index)
        w[firm] += h
        moved = lee_bounds(y, d, cell, weights=w).set_index("bounds").loc["tightened", "lower"]
        squares += ((moved - row["lower"]) / h) ** 2
    assert row["lower_error"] == pytest.approx(np.sqrt(squares * 200 / 199), rel=1e-3)


def test_a_missing_arm_and_ids_that_stand_twice_are_said():
    with pytest.raises(DesignError, match="an arm has none"):
        lee_bounds(*arms([np.nan], [1.0, 2.0]))
    y, d = arms([1.0, 2.0], [1.0])
    with pytest.raises(Exception, match="each firm stands once"):
        lee_bounds(pd.concat([y, y]), d)
    with pytest.raises(DesignError, match="not found: \\['colour'\\]"):
        lee_table(made(1), "y", DidSpec(), 4, ("colour",))


def test_imbens_and_manski_between_one_and_two_sides():
    low, high = imbens_manski(0.0, 1.0, 1.0, 0.5, 0.95)
    critical = -low
    assert high == pytest.approx(1 + 0.5 * critical) and stats.norm.cdf(critical + 1) - stats.norm.cdf(-critical) == pytest.approx(
        0.95
    )
    assert np.isnan(imbens_manski(0.0, 1.0, np.nan, np.nan, 0.95)).all()


# --- worst case -------------------------------------------------------------------------------------------------------


def test_the_worst_case_by_hand():
    """Statuses a (2 treated, 2 controls) and b (3 treated, 2 controls); one silent treated firm and one silent control, both b."""
    ids = [f"t{i}" for i in range(5)] + [f"c{i}" for i in range(4)]
    treated = pd.Series([True] * 5 + [False] * 4, ids)
    status = pd.Series(list("aabbb") + list("aabb"), ids)
    success = pd.Series([1, 0, 1, 0, np.nan, 0, 0, 1, np.nan], ids)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        table = worst_case_counts(treated, status, success).set_index("measure")
    assert table.loc["gross", ["lower", "upper"]].tolist() == [2.0, 3.0]
    assert table.loc["expected", ["lower", "upper"]].tolist() == [1.5, 3.0]
    assert table.loc["net", ["lower", "upper"]].tolist() == [-1.0, 1.5]
    assert table.loc["net", ["n_described", "n_missing_treated", "n_missing_control"]].tolist() == [5, 1, 1]
    net = table.loc["net"]
    assert net["conf_low"] < net["lower"] and net["upper"] < net["conf_high"]
    assert np.isnan(table.loc["expected", "conf_high"])  # every control of both statuses a success: no variation is no certainty


def test_without_silence_the_worst_case_is_the_net_count():
    rng = np.random.default_rng(1)
    ids = [f"f{i}" for i in range(80)]
    treated, status = pd.Series(rng.random(80) < 0.5, ids), pd.Series(rng.choice(["x", "y"], 80), ids)
    success = pd.Series((rng.random(80) < 0.3).astype(float), ids)
    table, counts = worst_case_counts(treated, status, success), net_count(treated, status, success).table
    for side in ("lower", "upper"):
        np.testing.assert_allclose(table[side], counts["estimate"], atol=1e-12)


def test_a_firm_that_is_neither_treated_nor_not_is_said():
    ids = list("abcd")
    treated = pd.Series([True, None, False, False], ids, dtype=object)
    for count in (net_count, worst_case_counts):
        with pytest.raises(DataError, match=r"treated is missing for 1 firm \(b\)"):
            count(treated, pd.Series("none", ids), pd.Series(1.0, ids))


def test_no_comparison_firm_that_answered_is_said():
    panel = answers(0.0)
    wide = panel.wide("y")
    wide.loc[np.isinf(panel.firms["cohort"]), 2] = np.nan
    with pytest.raises(DesignError, match="there is nobody to weight"):
        response_weights(Panel(panel.firms, wide.stack().to_frame("y")), "y", DidSpec(), 2)


def test_who_leaves_a_weighted_effect_is_said():
    panel = leavers(0.08, 0.2)
    odd = Panel(panel.firms.assign(x=panel.firms["x"].mask(np.arange(600) % 200 == 0)), panel.outcomes)
    spec = DidSpec(method="reg", covariates=("x",))
    with collected() as notes:
        response = response_weights(odd, "y", spec, 2, ("x",))
        found = weighted_effect(odd, "y", spec, response)
    assert [n.key for n in notes] == ["missing_covariate"] == [n.key for n in found.notes]
    assert str(notes[0]).endswith("3 firms (f000, f200, f400)")


# --- the design check -------------------------------------------------------------------------------------------------


def answers(gap: float, effect: float = 1.0, n: int = 400, by_outcome: bool = False) -> Panel:
    """Two periods; controls all answer but one in ten, treated `gap` more or, by outcome, the worst changes first."""
    rng = np.random.default_rng(3)
    d = np.arange(n) < n // 2
    change = rng.normal(0, 0.5, n) + effect * d
    order = np.where(by_outcome, change, rng.random(n))
    silent = np.zeros(n, bool)
    for arm, share in ((d, 0.1 + gap), (~d, 0.1)):
        rows = np.flatnonzero(arm)
        silent[rows[np.argsort(order[rows])[: round(share * len(rows))]]] = True
    ids = pd.Index([f"f{i:03d}" for i in range(n)], name="firm_id")
    y = pd.DataFrame({1: rng.normal(size=n), 2: 0.0}, ids)
    y[2] = np.where(silent, np.nan, y[1] + change)
    return Panel(
        pd.DataFrame({"cohort": np.where(d, 2.0, NEVER), "x": y[1]}, ids), y.rename_axis(columns="period").stack().to_frame("y")
    )


@pytest.mark.parametrize(
    ("panel", "result"),
    [
        (answers(0.0), "pass"),  # the arms answer alike
        (answers(0.15), "mild"),  # they do not, though those who are lost look like the others
        (answers(0.15, n=60), "pass"),  # so large a gap may be chance among sixty firms
        (answers(0.08), "pass"),
        (answers(0.0, effect=0.0), "pass"),  # an effect of zero is judged like any other
        (answers(0.08, effect=0.0), "pass"),
        (answers(0.15, effect=0.0), "mild"),
    ],
)
def test_the_check_asks_for_the_gap_and_the_move_not_for_the_effect(panel, result):
    found, moved, rule = attrition_check(panel, "y", DidSpec(method="reg"), 2, 1, ("x",))
    assert (found, rule) == (result, "attrition") and abs(moved) < 0.5


def leavers(gap: float, strength: float, n: int = 600) -> Panel:
    """Two periods; the change grows with x in either arm, and the treated with the largest x fall silent, `strength` at random."""
    rng = np.random.default_rng(9)
    d, x = np.arange(n) < n // 2, rng.normal(size=n)
    change = x + rng.normal(0, 0.5, n)
    silent = np.zeros(n, bool)
    for arm, share, sign in ((d, 0.2 + gap, 1), (~d, 0.2, -1)):
        rows = np.flatnonzero(arm)
        order = np.argsort(sign * x[rows] * strength + rng.normal(0, 1, len(rows)))
        silent[rows[order[len(rows) - round(share * len(rows)) :]]] = True
    ids = pd.Index([f"f{i:03d}" for i in range(n)], name="firm_id")
    y = pd.DataFrame({1: rng.normal(size=n), 2: 0.0}, ids)
    y[2] = np.where(silent, np.nan, y[1] + change)
    firms = pd.DataFrame({"cohort": np.where(d, 2.0, NEVER), "x": x, "town": rng.choice(list("abcdefghij"), n)}, ids)
    return Panel(firms, y.rename_axis(columns="period").stack().to_frame("y"))


@pytest.mark.parametrize(
    ("gap", "strength", "result"), [(0.0, 0.0, "pass"), (0.0, 1.5, "mild"), (0.08, 0.2, "fail"), (0.12, 1.5, "fail")]
)
def test_an_estimate_that_weighting_moves_is_not_steady(gap, strength, result):
    panel, spec = leavers(gap, strength), DidSpec(method="reg")
    found, moved, _ = attrition_check(panel, "y", spec, 2, 1, ("x",))
    plain = aggregate(att_gt(panel, "y", spec), "period").table.iloc[0]
    weighted = effect_at(panel, spec).table.iloc[0]
    assert found == result and (abs(moved) > 0.5) == (result != "pass")
    assert moved == pytest.approx((weighted["estimate"] - plain["estimate"]) / plain["std_error"], abs=1e-12)


def effect_at(panel: Panel, spec: DidSpec):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return weighted_effect(panel, "y", spec, response_weights(panel, "y", spec, 2, ("x",)))


def test_clusters_of_the_check_are_those_of_the_study_and_sets_are_firms():
    panel = leavers(0.12, 1.5)
    choices = {
        c: attrition_check(panel, "y", DidSpec(method="reg", cluster=c), 2, 1, ("x",)) for c in ("firm_id", "set_id", "town")
    }
    assert choices["set_id"] == choices["firm_id"] and choices["town"][1] != choices["firm_id"][1]


def test_lee_bounds_take_two_way_clusters_and_known_weights():
    panel = leavers(0.12, 0.0)
    rng = np.random.default_rng(0)
    firms = panel.firms.assign(trade=rng.choice(list("pqrstuvw"), len(panel.firms)), w=rng.uniform(0.5, 2, len(panel.firms)))
    panel = Panel(firms, panel.outcomes)
    one = {c: lee_table(panel, "y", DidSpec(cluster=c), 2).iloc[0] for c in ("town", "trade", ("town", "trade"))}
    both = pd.Series(firms["town"] + firms["trade"], firms.index)
    crossed = lee_table(Panel(firms.assign(both=both), panel.outcomes), "y", DidSpec(cluster="both"), 2).iloc[0]
    variance = one["town"]["lower_error"] ** 2 + one["trade"]["lower_error"] ** 2 - crossed["lower_error"] ** 2
    assert one["town", "trade"]["lower_error"] == pytest.approx(np.sqrt(variance), rel=1e-12)
    with pytest.raises(DesignError, match="no column of the panel's firms"):
        lee_table(panel, "y", DidSpec(weights="weight"), 2)
    lost = Panel(firms.assign(w=firms["w"].where(np.arange(len(firms)) % 10 > 0)), panel.outcomes)
    with pytest.warns(PipevalWarning, match="without a value of the weight w: 60 firms"):
        few = lee_table(lost, "y", DidSpec(weights="w"), 2)
    kept = lost.keep(firms.index[np.arange(len(firms)) % 10 > 0], "test", "no_weight")
    pd.testing.assert_frame_equal(few, lee_table(kept, "y", DidSpec(weights="w"), 2))


def test_later_entrants_are_comparison_in_the_check():
    panel = answers(0.15)
    late = panel.firms["cohort"].mask(np.isinf(panel.firms["cohort"]) & (np.arange(400) % 2 == 0), 9.0)
    moved = Panel(panel.firms.assign(cohort=late), panel.outcomes)
    assert attrition_check(moved, "y", DidSpec(method="reg"), 2, 1) == attrition_check(panel, "y", DidSpec(method="reg"), 2, 1)


def test_the_check_is_not_testable_without_a_later_year_or_an_arm():
    panel = answers(0.0)
    assert attrition_check(panel, "y", DidSpec(method="reg"), 5, 1)[0] == "not_testable"
    alone = panel.keep(panel.firms.index[:200], "test", "control")
    assert attrition_check(alone, "y", DidSpec(method="reg"), 2, 1)[0] == "not_testable"


def test_response_depends_on_the_studys_covariates_and_the_base_outcome():
    panel = answers(0.0)
    firms = Panel(panel.firms.assign(base_y=panel.wide("y")[1], size=1.0), panel.outcomes)
    assert selected_on(DidSpec(covariates=("x", "elsewhere")), firms, "y") == ("x", "base_y")
