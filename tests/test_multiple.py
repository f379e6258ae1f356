"""Several outcomes at once: adjusted p-values, the summary index, joint claims, what an estimate rules out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval.data.panel import NEVER, Panel
from pipeval.did import multiple
from pipeval.did.att_gt import att_gt
from pipeval.did.effects import effects_from
from pipeval.did.inference import multipliers
from pipeval.did.multiple import holm, romano_wolf, ruled_out, sharpened_q, summary_index
from pipeval.errors import DataError, DesignError, PipevalWarning, collected
from pipeval.verdicts.evidence import evidence


def family(values: np.ndarray, estimate=0.0, clusters=None):
    """Effects whose rows are means of the columns of `values` (firms, rows), half of the firms treated."""
    n, rows = values.shape
    treated = np.zeros((n, rows))
    treated[: n // 2] = 2 / n
    influence = (values - values.mean(axis=0)) / n
    keys = pd.DataFrame({"outcome": range(rows)})
    return effects_from(keys, values.mean(axis=0) + estimate, (influence, treated, treated == 0), pd.RangeIndex(n), clusters, 0.95)


def correlated(rng, n: int, rows: int, rho: float) -> np.ndarray:
    return np.sqrt(rho) * rng.normal(size=(n, 1)) + np.sqrt(1 - rho) * rng.normal(size=(n, rows))


def by_grid(p: np.ndarray, step: float) -> np.ndarray:
    """Sharpened q-values by trying every level, as Anderson (2008) prints them."""
    m, order = len(p), np.sort(p)
    found = np.ones(m)
    for q in np.arange(1, 0, -step):
        level = q / (1 + q)
        rejected = max([k for k in range(1, m + 1) if order[k - 1] <= level * k / m], default=0)
        if rejected == 0:
            break
        second = np.inf if rejected == m else level * m / (m - rejected)
        last = max([k for k in range(1, m + 1) if order[k - 1] <= second * k / m], default=0)
        if last:
            found[p <= order[last - 1]] = q
    return found


@pytest.mark.parametrize("seed", range(6))
def test_sharpened_q_is_the_search_over_levels(seed):
    rng = np.random.default_rng(seed)
    p = np.r_[rng.uniform(0, 0.03, 4), rng.uniform(0, 1, 5)]
    exact, searched = sharpened_q(pd.Series(p)).to_numpy(), by_grid(p, 1e-4)
    assert ((searched >= exact - 1e-12) & (searched <= exact + 1.0001e-4)).all()


def test_sharpened_q_by_hand():
    # m = 2: step-up values .02, .02; all rejected at q' = .02, so q = .02/.98
    assert sharpened_q(pd.Series([0.01, 0.02])).tolist() == pytest.approx([0.02 / 0.98] * 2, abs=1e-12)
    q = sharpened_q(pd.Series([0.01, np.nan, 0.02], list("abc")))
    assert q.index.tolist() == list("abc") and np.isnan(q["b"]) and q["a"] == pytest.approx(0.02 / 0.98)
    assert sharpened_q(pd.Series([0.9, 0.95])).tolist() == [1.0, 1.0]
    assert sharpened_q(pd.Series([np.nan])).isna().all()


def test_sharpened_q_can_lie_below_p_where_benjamini_hochberg_cannot():
    p = pd.Series([0.001, 0.002, 0.003, 0.004, 0.045])
    assert sharpened_q(p).iloc[-1] < 0.045 + 0.003 and stats.false_discovery_control(p).max() == pytest.approx(0.045)
    assert sharpened_q(pd.Series([0.001] * 9 + [0.5])).iloc[-1] < 0.5


def test_holm_keeps_order_and_missing():
    assert holm(pd.Series([0.01, np.nan, 0.02, 0.5], list("abcd"))).fillna(-1).tolist() == [0.03, -1, 0.04, 0.5]


def test_romano_wolf_of_one_row_is_its_bootstrap_p_value():
    effects = family(np.random.default_rng(0).normal(size=(80, 1)), 0.25)
    p = romano_wolf(effects, draws=4999)
    assert p.iloc[0] == pytest.approx(effects.table["p_value"].iloc[0], abs=0.02)


def test_romano_wolf_against_a_naive_twin():
    rng = np.random.default_rng(3)
    effects = family(correlated(rng, 30, 4, 0.5), np.array([0.6, 0.0, 0.4, 0.1]))
    draws = 199
    signs = multipliers(30, draws, np.random.default_rng(np.random.SeedSequence(5).spawn(1)[0]))
    t = np.empty((draws, 4))
    for b in range(draws):
        moved = signs[b][:, None] * effects.influence
        centred = moved - moved.mean(axis=0)
        t[b] = np.abs(moved.sum(axis=0) / np.sqrt((centred**2).sum(axis=0) * 30 / 29))
    seen = effects.table["statistic"].abs().to_numpy()
    order, last, expected = np.argsort(-seen), 0.0, np.empty(4)
    for k, row in enumerate(order):
        last = max(last, (1 + (t[:, order[k:]].max(axis=1) >= seen[row]).sum()) / (1 + draws))
        expected[row] = last
    assert romano_wolf(effects, draws=draws, seed=5).to_numpy() == pytest.approx(expected, abs=1e-12)


def test_romano_wolf_never_rejects_a_weaker_row_before_a_stronger_one():
    values = np.random.default_rng(9).normal(size=(60, 5))
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    effects = family(values, np.array([0.200, 0.199, 0.198, 0.197, 0.196]))  # the last step alone would be the smallest
    p = romano_wolf(effects)
    assert (p.diff().dropna() >= 0).all() and p.iloc[-1] > 2 * effects.table["p_value"].iloc[-1]


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_romano_wolf_is_not_above_holm(rho):
    rng = np.random.default_rng(11)
    effects = family(correlated(rng, 120, 5, rho), np.array([0.3, 0.25, 0.2, 0.1, 0.0]))
    p, bound = romano_wolf(effects, draws=4999), holm(effects.table["p_value"])
    assert (p <= bound + 0.02).all()
    assert (p >= effects.table["p_value"] - 0.02).all()
    if rho == 0.95:
        assert p.iloc[3] < 0.75 * bound.iloc[3]  # copies of nearly one outcome are one test


def test_romano_wolf_rejects_a_true_family_as_often_as_it_says():
    hits = 0
    for child in np.random.SeedSequence(7).spawn(300):
        rng = np.random.default_rng(child)
        effects = family(correlated(rng, 60, 5, 0.5))
        hits += romano_wolf(effects, draws=199, seed=int(rng.integers(1 << 30))).min() <= 0.05
    assert abs(hits / 300 - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 300)


def test_romano_wolf_with_few_clusters_has_the_tails_of_t():
    rng = np.random.default_rng(2)
    labels = pd.Series(np.repeat(np.arange(8), 10))
    hits = []
    for _ in range(200):
        values = correlated(rng, 80, 3, 0.3) + rng.normal(size=8)[labels][:, None]
        with collected():
            hits.append(romano_wolf(family(values, clusters=labels), 199).min() <= 0.05)
    assert np.mean(hits) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_romano_wolf_two_ways():
    rng = np.random.default_rng(6)
    values = correlated(rng, 200, 3, 0.5)
    ways = pd.DataFrame({"one": np.arange(200), "two": rng.integers(0, 60, 200)})
    p = romano_wolf(family(values, np.array([0.2, 0.15, 0.0]), ways), 4999)
    one_way = romano_wolf(family(values, np.array([0.2, 0.15, 0.0]), ways["two"]), 4999)
    assert p.to_numpy() == pytest.approx(one_way.to_numpy(), abs=0.02)  # firms inside clusters: two ways are the coarser one


def test_romano_wolf_two_ways_has_the_tails_of_t():
    """One row is its own p-value: t with the fewer clusters, six, less one."""
    rng = np.random.default_rng(6)
    ways = pd.DataFrame({"one": np.arange(120), "two": np.arange(120) % 6})
    with collected():
        effects = family(rng.normal(size=(120, 1)) + np.repeat(rng.normal(size=(20, 6)), 1).reshape(120, 1), 0.25, ways)
    row, draws = effects.table.iloc[0], 20_000
    assert row["df"] == 5 and row["p_value"] < 0.2
    error = np.sqrt(row["p_value"] / draws)
    assert romano_wolf(effects, draws).iloc[0] == pytest.approx(row["p_value"], abs=4 * error)
    assert 2 * stats.norm.sf(abs(row["statistic"])) < row["p_value"] - 8 * error


def test_romano_wolf_one_sided_and_order_of_rows():
    effects = family(np.random.default_rng(4).normal(size=(100, 3)), np.array([0.4, -0.4, 0.0]))
    both = romano_wolf(effects, 1999)
    up = romano_wolf(effects, 1999, one_sided=[1, 1, 1])
    assert up.iloc[0] < both.iloc[0] + 0.005 and up.iloc[1] > 0.9
    assert romano_wolf(effects, 1999, one_sided=[1, -1, 1]).iloc[1] < 0.02
    with pytest.raises(DesignError, match="one_sided holds"):
        romano_wolf(effects, one_sided=[1, 0, 1])
    turned = family(-np.random.default_rng(4).normal(size=(100, 3)), np.array([-0.4, 0.4, 0.0]))
    assert romano_wolf(turned, 1999).tolist() == both.tolist()  # two-sided: signs do not matter


def test_romano_wolf_does_not_depend_on_workers_and_works_in_blocks(monkeypatch):
    effects = family(np.random.default_rng(4).normal(size=(50, 3)), 0.2)
    monkeypatch.setattr(multiple, "BLOCK", 50 * 64)
    alone = romano_wolf(effects, 500)
    with ThreadPoolExecutor(2) as pool:
        assert romano_wolf(effects, 500, executor=pool).tolist() == alone.tolist()
    assert [size for size, _ in multiple._blocks(500, 50, 1)] == [64] * 7 + [52]


def test_romano_wolf_leaves_rows_without_an_error_out():
    values = np.random.default_rng(4).normal(size=(50, 3))
    values[:, 1] = 0.0
    with pytest.warns(PipevalWarning, match="no standard error"):
        effects = family(values, 0.3)
    alone = romano_wolf(family(values[:, [0, 2]], 0.3))
    assert romano_wolf(effects).iloc[[0, 2]].tolist() == alone.tolist() and np.isnan(romano_wolf(effects).iloc[1])


def made_panel(y: dict[str, list], z: dict[str, list], start: dict[str, int]) -> Panel:
    rows = [(f, t, y[f][t - 1], z[f][t - 1]) for f in y for t in (1, 2)]
    outcomes = pd.DataFrame(rows, columns=["firm_id", "period", "y", "z"]).set_index(["firm_id", "period"])
    return Panel(pd.DataFrame({"cohort": {f: start.get(f, NEVER) for f in y}}, dtype=float), outcomes)


def test_summary_index_by_hand():
    # comparison firms b…e in period 1: y −1, 0, 0, 1 (mean 0, variance 2/3); z 8, 10, 12, 10 (mean 10, variance 8/3)
    y = {"a": [1.0, 2.0], "b": [-1.0, 0.0], "c": [0.0, 1.0], "d": [0.0, 0.0], "e": [1.0, np.nan]}
    z = {"a": [12.0, 14.0], "b": [8.0, 8.0], "c": [10.0, np.nan], "d": [12.0, 10.0], "e": [10.0, np.nan]}
    panel = summary_index(made_panel(y, z, {"a": 2}), {"y": 1, "z": -1}, 1)
    # two outcomes share the weight whatever their correlation
    sy, sz = np.sqrt(2 / 3), np.sqrt(8 / 3)
    index = panel.outcomes["index"].unstack()
    assert index.loc["a"].tolist() == pytest.approx([(1 / sy - 2 / sz) / 2, (2 / sy - 4 / sz) / 2], abs=1e-12)
    assert index.loc["c", 2] == pytest.approx(1 / sy, abs=1e-12)  # only y is seen
    assert np.isnan(index.loc["e", 2])
    assert index[1].drop("a").mean() == pytest.approx(0, abs=1e-12)


def test_summary_index_weighs_copies_once():
    rng = np.random.default_rng(0)
    n = 400
    first, other = rng.normal(size=n), rng.normal(size=n)
    frame = pd.DataFrame({"firm": range(n), "year": 1, "start": np.r_[2, np.zeros(n - 1)]})
    frame["y"], frame["copy"], frame["z"] = first, first + 0.05 * rng.normal(size=n), other
    frame = pd.concat([frame, frame.assign(year=2)])
    panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y", "copy", "z"])
    index = summary_index(panel, {"y": 1, "copy": 1, "z": 1}, 1).outcomes["index"].xs(1, level="period")
    slope = np.linalg.lstsq(np.column_stack([first, other, np.ones(n)]), index.to_numpy(), rcond=None)[0]
    assert slope[:2] == pytest.approx([0.5, 0.5], abs=0.06)  # not 2/3 and 1/3


def test_summary_index_does_not_depend_on_units_and_is_one_outcome_when_there_is_one():
    rng = np.random.default_rng(1)
    n = 60
    frame = pd.DataFrame({"firm": np.tile(range(n), 2), "year": np.repeat([1, 2], n), "start": np.tile(np.arange(n) % 2 * 2, 2)})
    frame["y"], frame["z"] = rng.normal(size=2 * n), rng.normal(size=2 * n)
    made = lambda f: Panel.from_frame(f, firm_id="firm", period="year", cohort="start", outcomes=["y", "z"])  # noqa: E731
    one = att_gt(summary_index(made(frame), {"y": 1, "z": 1}, 1), "index").table
    scaled = att_gt(summary_index(made(frame.assign(y=1000 * frame["y"] + 5)), {"y": 1, "z": 1}, 1), "index").table
    assert scaled["estimate"].to_numpy() == pytest.approx(one["estimate"].to_numpy(), abs=1e-10)
    alone = att_gt(summary_index(made(frame), {"z": -1}, 1), "index").table
    plain = att_gt(made(frame), "z").table
    assert alone["statistic"].dropna().to_numpy() == pytest.approx(-plain["statistic"].dropna().to_numpy(), abs=1e-8)


def test_summary_index_refuses_what_has_no_scale():
    y = {f: [float(i), 1.0] for i, f in enumerate("abcde")}
    panel = made_panel(y, {f: [2 * v[0], 1.0] for f, v in y.items()}, {"a": 2})
    with pytest.raises(DataError, match="must not repeat each other"):
        summary_index(panel, {"y": 1, "z": 1}, 1)
    with pytest.raises(DesignError, match=r"not found: 1 name \(x\)"):
        summary_index(panel, {"x": 1}, 1)
    with pytest.raises(DesignError, match="sign of an outcome"):
        summary_index(panel, {"y": 2}, 1)
    with pytest.raises(DesignError, match="found 0"):
        summary_index(panel, {"y": 1}, 7)
    with pytest.raises(DataError, match=r"constant: 1 outcome \(y\)"):
        summary_index(panel, {"y": 1}, 2)


def test_a_negative_weight_is_noted():
    rng = np.random.default_rng(0)
    common = rng.normal(size=200)
    noise = rng.normal(size=(3, 200))
    y = np.array([common + 0.05 * noise[0], common + 0.05 * noise[1] + noise[2], noise[2] + 0.1 * noise[0] + 2 * common])
    frame = pd.DataFrame(y.T, columns=list("yzx")).assign(firm=range(200), year=1, start=0)
    panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=list("yzx"))
    with pytest.warns(PipevalWarning, match="negative weight to x"):
        summary_index(panel, dict.fromkeys("yzx", 1), 1)


@pytest.mark.parametrize("df", [12, np.inf])
def test_what_is_ruled_out(df):
    found = ruled_out(0.02, 0.05, df, 0.10)
    assert found["bound"] == pytest.approx(0.02 + stats.t.ppf(0.95, df) * 0.05, abs=1e-12)
    assert not found["ruled_out"] and found["p_value"] == pytest.approx(stats.t.cdf(-0.08 / 0.05, df), abs=1e-12)
    assert ruled_out(0.02, 0.04, df, 0.10, level=0.90)["ruled_out"]
    down = ruled_out(-0.02, 0.05, df, -0.10, "decrease")
    assert down == {**found, "bound": -found["bound"]}
    for target in np.linspace(0.05, 0.2, 7):  # the bound and the p-value say the same
        one = ruled_out(0.02, 0.05, df, target)
        assert one["ruled_out"] == (one["p_value"] < 0.05) == (one["bound"] < target)
    assert not ruled_out(0.02, 0.05, df, -np.inf)["ruled_out"]


def test_the_verdict_rules_out_by_the_same_rule():
    row = {"estimate": 0.01, "std_error": 0.05, "df": 20, "direction": "increase", "scale": "level"}
    bound = ruled_out(0.01, 0.05, 20, 0.0)["bound"]
    assert evidence(row, None, bound + 1e-9)[0] == "target_ruled_out"
    assert evidence(row, None, bound - 1e-9)[0] == "inconclusive"
