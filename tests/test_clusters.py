"""Clusters of one and two ways behind `Effects`: the variance, its repair, joint tests and bands, and what is refused."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeval.data.panel import NEVER, Panel
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.inference import cluster_codes, covariance, critical_value, critical_value_normal, pretrend_test, standard_errors
from pipeval.errors import DesignError, PipevalWarning, collected

N = 300


@pytest.fixture(autouse=True)
def few_clusters_are_no_fault_here():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        yield


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(11)
    ids = pd.Index([f"F{i:03d}" for i in range(N)], name="firm_id")
    firms = pd.DataFrame({
        "cohort": rng.choice([2004.0, 2005.0, NEVER], N, p=[0.2, 0.2, 0.6]),
        "region": rng.integers(0, 15, N),
        "sector": rng.integers(0, 12, N),
    }, index=ids)  # fmt: skip
    years = list(range(2001, 2008))
    shocks = 1.5 * rng.normal(size=(15, 7))[firms["region"]] + 1.5 * rng.normal(size=(12, 7))[firms["sector"]]
    y = pd.DataFrame(rng.normal(size=(N, 7)) + shocks, index=ids, columns=years)
    return Panel(firms, y.stack().to_frame("y").rename_axis(["firm_id", "period"]))


@pytest.fixture(scope="module")
def effects(panel):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return aggregate(att_gt(panel, "y"), "event_time")


def one_way(psi: np.ndarray, labels) -> float:
    sums = pd.Series(psi).groupby(np.asarray(labels)).sum()
    return float((sums**2).sum() * len(sums) / (len(sums) - 1))


def test_two_ways_add_and_their_meeting_is_taken_off(panel, effects):
    two = effects.clustered(panel.firms[["region", "sector"]])
    both = panel.firms["region"].astype(str) + "/" + panel.firms["sector"].astype(str)
    positive = 0
    for k in range(len(two.table)):
        inside = effects.member[:, k]
        parts = [
            one_way(effects.influence[inside, k], labels[inside]) for labels in (panel.firms["region"], panel.firms["sector"], both)
        ]
        if parts[0] == 0:
            assert np.isnan(two.table["std_error"][k])
            continue
        variance = parts[0] + parts[1] - parts[2]
        positive += variance > 0
        assert np.isclose(two.table["std_error"][k] ** 2, variance if variance > 0 else max(parts[:2]), rtol=1e-10)
        assert two.table["df"][k] == min(panel.firms["region"][inside].nunique(), panel.firms["sector"][inside].nunique()) - 1
    assert positive >= 5


def test_a_second_way_that_is_finer_changes_nothing_and_order_does_not_matter(panel, effects):
    labels = panel.firms[["region"]].assign(firm=panel.firms.index)
    one, two = effects.clustered(panel.firms["region"]).table, effects.clustered(labels).table
    np.testing.assert_allclose(two["std_error"], one["std_error"], rtol=1e-10)
    np.testing.assert_array_equal(two["df"], one["df"])
    swapped = effects.clustered(panel.firms[["sector", "region"]]).table
    np.testing.assert_allclose(swapped["std_error"], effects.clustered(panel.firms[["region", "sector"]]).table["std_error"])


def test_firms_without_a_label_stand_alone_in_that_way():
    labels = pd.DataFrame({"a": ["x", "x", None], "b": ["u", None, None]}, index=list("pqr"))
    codes = cluster_codes(labels, pd.Index(list("pqrs")))
    assert [len(np.unique(codes[:, j])) for j in range(3)] == [3, 4, 4]
    with pytest.raises(DesignError, match="two columns"):
        cluster_codes(labels.assign(c=1), pd.Index(list("pqrs")))


def test_a_variance_that_is_not_positive_gives_way_to_the_larger_way(panel, effects):
    grid = pd.DataFrame({"row": np.arange(N) % 10, "column": np.arange(N) // 10 % 5}, index=panel.firms.index)
    board = np.where((grid["row"] + grid["column"]) % 2, 1.0, -1.0)
    influence = np.column_stack([board + 0.01 * (grid["row"] == 0)] * len(effects.table))
    everyone = np.ones_like(effects.control)
    made = replace(effects, influence=influence, control=everyone)
    with collected() as notes:
        two = made.clustered(grid)
    one, other = (made.clustered(grid[name]).table["std_error"] for name in grid)
    np.testing.assert_allclose(two.table["std_error"], np.maximum(one, other))
    assert [n.values["n"] for n in notes if n.key == "two_ways_lost"] == [len(effects.table)]
    assert any(n.key == "two_ways_lost" for n in two.notes)
    assert not any(n.key == "two_ways_lost" for n in two.clustered(None).notes)


def test_two_clusters_in_either_way_are_refused_and_three_are_not(panel, effects):
    firms = panel.firms.assign(half=np.arange(N) % 2, third=np.arange(N) % 3)
    for labels in (firms[["region", "half"]], firms[["half", "region"]], firms["half"]):
        with pytest.raises(DesignError, match="at least three clusters; found 2"):
            effects.clustered(labels)
    with pytest.raises(DesignError, match="no variance at all"):
        effects.clustered(firms.assign(all=1)["all"])
    three = effects.clustered(firms[["region", "third"]])
    shown = three.table["std_error"].notna()
    assert shown.any() and (three.table.loc[shown, "df"] == 2).all()
    assert next(n for n in three.notes if n.key == "few_clusters").values == {"n": 3, "df": 2}


def test_treated_degrees_of_freedom_count_treated_clusters_of_the_fewer_way(panel, effects):
    two = effects.clustered(panel.firms[["region", "sector"]]).table
    for k in np.flatnonzero(two["std_error"].notna()):
        mine = panel.firms[effects.treated_weight[:, k] > 0]
        assert two["df"][k] == min(mine["region"].nunique(), mine["sector"].nunique()) - 1


def test_covariance_has_the_squared_errors_on_its_diagonal(panel, effects):
    rows = effects.table["std_error"].notna().to_numpy()
    member, influence = effects.member[:, rows], effects.influence[:, rows]
    for labels in (None, panel.firms["region"]):
        codes = cluster_codes(labels, effects.firm_id)
        variance = covariance(influence, codes, member)
        np.testing.assert_allclose(np.sqrt(np.diag(variance)), standard_errors(influence, codes, member)[0])
    two = covariance(influence, cluster_codes(panel.firms[["region", "sector"]], effects.firm_id), member)
    assert np.linalg.eigvalsh(two).min() > -1e-12 and np.allclose(two, two.T)


def test_pretrend_two_ways_uses_the_two_way_covariance(panel, effects):
    rows = np.flatnonzero((effects.table["phase"] == "pre") & effects.table["std_error"].notna())[-2:]
    few = replace(
        effects,
        table=effects.table.iloc[rows].reset_index(drop=True),
        influence=effects.influence[:, rows],
        treated_weight=effects.treated_weight[:, rows],
        control=effects.control[:, rows],
    )
    labels = panel.firms[["region", "sector"]]
    two = few.clustered(labels)
    found = pretrend_test(two)
    psi = few.influence
    both = labels["region"] * 100 + labels["sector"]
    inside = few.member.any(axis=1)
    variance = np.zeros((2, 2))
    for sign, mine in ((1, labels["region"]), (1, labels["sector"]), (-1, both)):
        sums = pd.DataFrame(psi[inside]).groupby(mine[inside].to_numpy()).sum().to_numpy()
        variance += sign * sums.T @ sums * len(sums) / (len(sums) - 1)
    assert np.linalg.eigvalsh(variance).min() > 0
    b = two.table["estimate"].to_numpy()
    assert np.isclose(found["wald"], b @ np.linalg.solve(variance, b)) and found["df2"] == 11
    assert pretrend_test(few)["wald"] != found["wald"]


def test_too_many_rows_for_the_clusters_of_a_way_say_so(panel, effects):
    firms = panel.firms.assign(third=np.arange(N) % 3)
    found = pretrend_test(effects.clustered(firms[["region", "third"]]))
    assert np.isnan(found["p_value"]) and "3 clusters cannot tell" in found["reason"]


def test_normal_critical_value_agrees_with_signs_and_with_one_row(effects):
    rows = effects.table["std_error"].notna().to_numpy()
    codes = cluster_codes(None, effects.firm_id)
    influence, std_error = effects.influence[:, rows], effects.table["std_error"].to_numpy()[rows]
    variance = covariance(influence, codes, effects.member[:, rows])
    normal = critical_value_normal(variance, 0.95, 20_000, 1)
    signs = critical_value(influence, std_error, codes, 0.95, 20_000, 1)
    assert abs(normal - signs) < 0.08
    assert abs(critical_value_normal(variance[:1, :1], 0.95, 40_000, 1) - 1.96) < 0.03
    assert critical_value_normal(variance, 0.95, 999, 1) == critical_value_normal(variance, 0.95, 999, 1)
    same = np.ones((3, 3))
    assert abs(critical_value_normal(same, 0.95, 40_000, 1) - 1.96) < 0.03


def test_bands_two_ways_are_wider_than_intervals_and_repeat(panel, effects):
    two = effects.clustered(panel.firms[["region", "sector"]])
    table = two.bands(seed=3).table
    shown = table["band_low"].notna()
    assert shown.any()
    assert (table["band_high"] >= table["conf_high"] - 1e-12)[shown].all() and (table["band_low"] <= table["conf_low"] + 1e-12)[
        shown
    ].all()
    pd.testing.assert_frame_equal(table, two.bands(seed=3).table)
