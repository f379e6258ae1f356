"""Nearest neighbours: hand examples, MatchIt's covariate distances, and a naive twin that tries every pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval.errors import DesignError
from pipeval.matching import nearest, neighbours
from pipeval.matching.distances import whiten
from pipeval.matching.nearest import backup_pairs, nearest_pairs, variable_quota
from pipeval.matching.neighbours import Neighbours, why_single
from pipeval.matching.problem import Problem

UNITS = Path(__file__).parent / "reference/matchit_units/units.csv"
REUSES = (1, 2, 3, np.inf)


def on_line(seek, serve, cell=None, width=None, apart=None) -> Problem:
    """Those who seek, then those who serve, at these values."""
    x = np.array([*seek, *serve], float)
    return Problem(
        np.arange(len(seek)),
        np.arange(len(seek), len(x)),
        x[:, None],
        np.zeros(len(x), int) if cell is None else np.array(cell),
        () if width is None else ((x, width),),
        () if apart is None else (np.array(apart),),
    )


def spread(problem: Problem) -> Problem:
    """The same problem in two dimensions, so that the trees answer and not the line."""
    return replace(problem, points=np.c_[problem.points, np.zeros(len(problem.points))])


def pairs_of(problem: Problem, order="data", reuse=1, quota=1, turn=None) -> list[tuple[int, int, int]]:
    n = len(problem.seek)
    turn = np.arange(n) if turn is None else np.array(turn)
    found = nearest_pairs(problem, turn, np.broadcast_to(quota, n), order=order, reuse=reuse)
    return list(zip(*map(np.ndarray.tolist, found), strict=True))


# --- by hand -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[lambda p: p, spread], ids=["line", "trees"])
def shape(request):
    return request.param


def test_each_in_turn_takes_the_nearest_left(shape):
    problem = shape(on_line([5.0, 4.0], [4.4, 6.5]))
    assert pairs_of(problem) == [(0, 0, 1), (1, 1, 1)]  # .6 + 2.5: the first takes what the second needs
    assert pairs_of(problem, turn=[1, 0]) == [(1, 0, 1), (0, 1, 1)]
    assert pairs_of(problem, turn=[1]) == [(1, 0, 1)]


def test_closest_takes_the_shortest_pair_first(shape):
    assert pairs_of(shape(on_line([5.0, 4.0], [4.4, 6.5])), order="closest") == [(1, 0, 1), (0, 1, 1)]


def test_ties_go_to_the_first_id_on_both_sides(shape):
    assert pairs_of(shape(on_line([2.0], [3.0, 1.0, 1.0]))) == [(0, 0, 1)]
    assert pairs_of(shape(on_line([2.0], [1.0, 3.0, 1.0]))) == [(0, 0, 1)]
    assert pairs_of(shape(on_line([2.0], [1.0, 1.0, 3.0])), quota=3) == [(0, 0, 1), (0, 1, 2), (0, 2, 3)]
    assert sorted(pairs_of(shape(on_line([2.0], [1.0, 3.0, 1.0])), quota=3, reuse=np.inf)) == [(0, 0, 1), (0, 1, 2), (0, 2, 3)]
    assert pairs_of(shape(on_line([2.0, 2.0], [3.0, 1.0])), order="closest") == [(0, 0, 1), (1, 1, 1)]


def test_equal_firms_are_used_up_one_after_the_other(shape):
    assert pairs_of(shape(on_line([1.0, 1.0, 1.0], [1.0, 9.0, 1.0]))) == [(0, 0, 1), (1, 2, 1), (2, 1, 1)]


def test_rounds_and_caps(shape):
    problem = shape(on_line([0.0, 0.1], [0.0, 1.0, 2.0]))
    assert pairs_of(problem, quota=2) == [(0, 0, 1), (1, 1, 1), (0, 2, 2)]  # one each before anyone has two
    assert pairs_of(problem, quota=2, reuse=2) == [(0, 0, 1), (1, 0, 1), (0, 1, 2), (1, 1, 2)]
    assert pairs_of(problem, quota=[1, 3], reuse=2) == [(0, 0, 1), (1, 0, 1), (1, 1, 2), (1, 2, 3)]
    assert sorted(pairs_of(problem, quota=[0, 3], reuse=np.inf)) == [(1, 0, 1), (1, 1, 2), (1, 2, 3)]
    assert pairs_of(problem, quota=2, order="closest") == [(0, 0, 1), (1, 1, 1), (1, 2, 2)]


def test_calipers_admit_their_own_width_and_no_more(shape):
    assert pairs_of(shape(on_line([0.0, 0.0], [0.5, 0.75], width=0.5))) == [(0, 0, 1)]
    assert pairs_of(shape(on_line([0.0], [0.5], width=0.25))) == []


def test_a_caliper_on_the_mirror_image_of_the_score_is_the_same_caliper():
    problem = on_line([0.0, 3.0], [0.5, 9.0])
    mirrored = replace(problem, calipers=((-problem.points[:, 0], 0.5),))
    assert not mirrored.scalar
    assert pairs_of(mirrored) == pairs_of(replace(problem, calipers=((problem.points[:, 0], 0.5),))) == [(0, 0, 1)]


def test_a_caliper_on_one_coordinate_of_the_distance():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.4, 2.0]])
    problem = Problem(np.array([0]), np.array([1, 2]), points, np.zeros(3, int), ((points[:, 0], 0.5),))
    assert pairs_of(problem) == [(0, 1, 1)]


def test_cells_are_not_crossed_and_small_ones_are_enough(shape):
    problem = shape(on_line([0.0, 0.0, 0.0], [0.0, 5.0], cell=[1, 2, 3, 2, 1]))
    assert pairs_of(problem) == [(0, 1, 1), (1, 0, 1)]
    assert why_single(problem).tolist() == ["pool_exhausted", "pool_exhausted", "no_partner_in_exact_cell"]


def test_firms_kept_apart():
    problem = on_line([0.0, 0.0, 0.0], [0.0, 1.0], width=4.0, apart=[1, 2, -1, 1, 1])
    assert pairs_of(problem) == [(1, 0, 1), (2, 1, 1)]
    assert why_single(problem).tolist() == ["kept_apart", "pool_exhausted", "pool_exhausted"]
    far = on_line([0.0, 9.0], [0.0], width=4.0, apart=[1, 1, 2])
    assert why_single(far, np.array([1])).tolist() == ["", "caliper"]


def test_variable_quota():
    score = np.array([0.1, 0.9, 0.5, 0.3])
    assert variable_quota(score, True, 2, 1, 4, 99).tolist() == [4, 1, 1, 2]  # 8 in all: 4 + 2 + 1 + 1
    assert variable_quota(score, False, 2, 1, 4, 99).tolist() == [1, 4, 2, 1]
    assert variable_quota(score, True, 2, 1, 4, 6).tolist() == [3, 1, 1, 1]
    assert variable_quota(score, True, 2, 2, 2, 99).tolist() == variable_quota(score, True, 3, 2, 4, 2).tolist() == [2, 2, 2, 2]
    for ratio in (1, 2, 3, 4):
        assert variable_quota(score, True, ratio, 1, 4, 99).sum() == 4 * ratio


def test_backups_are_ranked_unused_and_in_one_set_only(shape):
    problem = shape(on_line([0.0, 0.25, 50.0], [0.0, 0.25, 0.5, 0.75, 9.0], width=1.0))
    pairs = nearest_pairs(problem, np.array([0, 1, 2]), np.ones(3, int), order="data", reuse=1)
    assert [column.tolist() for column in pairs] == [[0, 1], [0, 1], [1, 1]]
    found = backup_pairs(problem, pairs, np.array([1, 2, 0]), 3)
    assert [column.tolist() for column in found] == [[1, 0], [2, 3], [1, 1]]  # the one at 9 stands outside every caliper


# --- covariate distances -----------------------------------------------------------------------------------------------------


def units() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    table = pd.read_csv(UNITS).sort_values("unit", ignore_index=True)
    x = np.column_stack([table[["x1", "x2", "x3", "x4", "exporter"]], pd.get_dummies(table["sector"])]).astype(float)
    return table, x, table["treat"].to_numpy() == 1


MATCHIT = {  # the last pairs of matchit(treat ~ x1 + x2 + x3 + x4 + exporter + sector, distance = …), MatchIt 4.7.2
    "mahalanobis": {"u1488": "u0525", "u1491": "u0281", "u1494": "u0231", "u1499": "u0396"},
    "robust_mahalanobis": {"u1488": "u0525", "u1491": "u0321", "u1494": "u1461", "u1499": "u1098"},
    "scaled_euclidean": {"u1488": "u0525", "u1491": "u0281", "u1494": "u1407", "u1499": "u0396"},
}


@pytest.mark.parametrize("kind", MATCHIT)
def test_last_of_matchits_pairs(kind):
    """In the order of the data each pair depends on all before it, so the last ones prove the others."""
    table, x, treated = units()
    seek, serve = np.flatnonzero(treated), np.flatnonzero(~treated)
    problem = Problem(seek, serve, whiten(x, kind, treated), np.zeros(len(x), int))
    i, j, _ = nearest_pairs(problem, np.arange(len(seek)), np.ones(len(seek), int), order="data", reuse=1)
    names = table["unit"].to_numpy()
    found = dict(zip(names[seek[i]], names[serve[j]], strict=True))
    assert len(found) == 287
    assert {t: found[t] for t in MATCHIT[kind]} == MATCHIT[kind]


def test_mahalanobis_is_the_textbook_formula():
    _, x, treated = units()
    x = x[:, :5]
    points = whiten(x, "mahalanobis", treated)
    pooled = sum((arm.sum() - 1) * np.cov(x[arm], rowvar=False) for arm in (treated, ~treated)) / (len(x) - 2)
    gap = x[:300] - x[700:1000]
    expected = np.sqrt(np.einsum("ij,jk,ik->i", gap, np.linalg.inv(pooled), gap))
    np.testing.assert_allclose(np.linalg.norm(points[:300] - points[700:1000], axis=1), expected, rtol=1e-8)


@pytest.mark.parametrize("kind", ["mahalanobis", "scaled_euclidean", "robust_mahalanobis"])
def test_units_shifts_and_order_do_not_matter(kind):
    _, x, treated = units()
    points = whiten(x, kind, treated)
    other = whiten(x * [1e6, 1e-6, 1, 1, 1, 1, 1, 1, 1] + 7.0, kind, treated)
    gaps = (np.linalg.norm(p[:500] - p[900:1400], axis=1) for p in (points, other))
    np.testing.assert_allclose(*gaps, rtol=1e-6)


def test_equal_rows_are_equal_points_and_surplus_columns_add_nothing():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(60, 3))
    x[40:] = x[rng.integers(0, 40, 20)]
    treated = np.arange(60) % 3 == 0
    for kind in ("mahalanobis", "scaled_euclidean", "robust_mahalanobis"):
        points = whiten(x, kind, treated)
        for row in range(40, 60):
            twin = next(r for r in range(40) if (x[r] == x[row]).all())
            assert (points[twin] == points[row]).all()
    more = np.c_[x, x[:, 0] - 2 * x[:, 1], np.full(60, 0.1)]
    gaps = (
        np.linalg.norm(p[:30] - p[30:], axis=1) for p in (whiten(x, "mahalanobis", treated), whiten(more, "mahalanobis", treated))
    )
    np.testing.assert_allclose(*gaps, rtol=1e-8)
    assert whiten(more, "mahalanobis", treated).shape == (60, 3)


def test_a_rank_ignores_how_far_an_outlier_lies():
    x = np.random.default_rng(2).normal(size=(50, 2))
    wild = x.copy()
    wild[np.argmax(x[:, 0]), 0] = 1e9
    treated = np.arange(50) < 20
    np.testing.assert_array_equal(whiten(wild, "robust_mahalanobis", treated), whiten(x, "robust_mahalanobis", treated))
    points = whiten(x[:9, :1], "robust_mahalanobis", treated[:9])
    assert np.diff(np.sort(points[:, 0])) == pytest.approx(
        np.full(8, np.sqrt(12 / (9 * 10))), rel=1e-12
    )  # untied ranks: n(n + 1)/12


# --- the naive twin ----------------------------------------------------------------------------------------------------------


def small_problems(n: int):
    """Small problems of all kinds, on coarse grids full of ties and on continuous values."""
    for seed in range(n):
        rng = np.random.default_rng(seed)
        a, b = rng.integers(1, 9), rng.integers(1, 14)
        size = a + b + rng.integers(0, 3)
        points = rng.integers(0, 5, (size, rng.integers(1, 4) if seed % 2 else 1)) / 2
        points = rng.normal(size=points.shape) if seed % 3 == 0 else points
        places = rng.permutation(size)
        calipers = {
            1: ((points[:, 0], rng.integers(1, 4) / 2),),
            2: ((points[:, 0], 1.0), (points[:, 0].copy(), 1.5)),
            5: ((-points[:, 0], 0.5), (rng.normal(size=size), 1.0)),
            7: ((rng.normal(size=size), 1.0),),
        }
        apart = {3: (rng.integers(-1, 2, size),), 7: (rng.integers(-1, 2, size), rng.integers(0, 3, size))}
        cell = rng.integers(0, 1 + seed % 3, size) * (1, -7)[seed % 2]
        seek, serve = np.sort(places[:a]), np.sort(places[a : a + b])
        yield seed, Problem(seek, serve, points, cell, calipers.get(seed % 8, ()), apart.get(seed % 8, ()))


def admissible_distances(problem: Problem) -> dict[int, dict[int, float]]:
    """By position in `seek` and `serve`, found without the problem's own rules."""
    table: dict[int, dict[int, float]] = {}
    for a, i in enumerate(problem.seek):
        table[a] = {}
        for b, j in enumerate(problem.serve):
            near = all(abs(x[i] - x[j]) <= width for x, width in problem.calipers)
            free = all(label[i] != label[j] or label[i] < 0 for label in problem.apart)
            if problem.cell[i] == problem.cell[j] and near and free:
                table[a][b] = float(problem.distance(i, j))
    return table


def twin(problem: Problem, turn: list[int], quota: list[int], order: str, reuse: float) -> list[tuple[int, int, int]]:
    """Every pair looked at, again for every step."""
    table, found, uses = admissible_distances(problem), [], np.zeros(len(problem.serve))
    sets = {i: set() for i in turn}
    for rank in range(1, max(quota) + 1):
        waiting = [i for i in turn if quota[i] >= rank and len(sets[i]) == rank - 1]
        while waiting:
            asking = waiting if order == "closest" else waiting[:1]
            left = [(d, i, j) for i in asking for j, d in table[i].items() if uses[j] < reuse and j not in sets[i]]
            _, i, j = min(left, default=(0, waiting[0], None))
            waiting.remove(i)
            if j is not None:
                sets[i].add(j)
                uses[j] += 1
                found.append((i, j, rank))
            elif order == "closest":
                break
    return found


@pytest.fixture(params=["usual", "cells", "blocks"])
def small_thresholds(request, monkeypatch):
    """Small problems are looked at one by one: here the trees of cells, or of blocks inside calipers, are made to answer too."""
    if request.param == "usual":
        return
    for name, value in (
        ("_FEW", 0),
        ("_EASY", 0),
        ("_LARGE", 2),
        ("_CHUNK", 5),
        ("_NARROW", 0 if request.param == "blocks" else 99),
    ):
        monkeypatch.setattr(neighbours, name, value)
    for name, value in (("_FIRST", 1), ("_BLOCK", 3)):
        monkeypatch.setattr(nearest, name, value)


@pytest.mark.usefixtures("small_thresholds")
@pytest.mark.parametrize("order", ["data", "closest"])
def test_pairs_are_those_of_the_naive_twin(order):
    scalar = 0
    for seed, problem in small_problems(64):
        scalar += problem.scalar
        rng = np.random.default_rng(seed + 10**6)
        n = len(problem.seek)
        turn, quota = rng.permutation(n), rng.integers(0, 4, n) if seed % 5 == 0 else np.full(n, 1 + seed % 3)
        turn = turn[: 1 + n // 2] if seed % 7 == 0 else turn
        for reuse in REUSES:
            ours = pairs_of(problem, order, reuse, quota, turn)
            theirs = twin(problem, turn.tolist(), quota.tolist(), order, reuse)
            assert (ours == theirs) if reuse < np.inf else (sorted(ours) == sorted(theirs)), (seed, reuse)
    assert 20 < scalar < 50


@pytest.mark.usefixtures("small_thresholds")
def test_neighbours_and_reasons_are_those_of_the_naive_twin():
    for seed, problem in small_problems(64):
        every = np.arange(len(problem.seek))
        table = admissible_distances(problem)
        inside = admissible_distances(replace(problem, apart=()))
        there = admissible_distances(replace(problem, apart=(), calipers=()))
        reasons = why_single(problem)
        for k in (1, 3):
            distance, found = Neighbours(problem).nearest(every, k)
            for i in every:
                expected = sorted((d, j) for j, d in table[i].items())[:k]
                expected += [(np.inf, -1)] * (k - len(expected))
                assert list(zip(distance[i], found[i], strict=True)) == expected, (seed, i)
        for i in every:
            reason = "kept_apart" if inside[i] else "caliper" if there[i] else "no_partner_in_exact_cell"
            assert reasons[i] == ("pool_exhausted" if table[i] else reason), (seed, i)


def larger_problem(seed: int, p: int) -> Problem:
    rng = np.random.default_rng(seed)
    points = np.round(rng.normal(size=(1600, p)), 1 + seed % 3)
    score, label = rng.normal(size=1600), rng.integers(0, 5, 1600)
    seek = np.sort(rng.permutation(1600)[:300])
    serve = np.setdiff1d(np.arange(1600), seek)
    return Problem(seek, serve, points, rng.integers(0, 2, 1600), ((score, 0.4),) if seed % 2 else (), (label,) if seed % 3 else ())


@pytest.mark.parametrize("p", [1, 3])
@pytest.mark.parametrize("seed", range(6))
def test_no_rule_is_broken_and_every_choice_was_the_nearest_left(seed, p):
    problem = larger_problem(seed, p)
    every = np.arange(len(problem.seek))
    i, j, rank = nearest_pairs(problem, every[::-1], np.full(len(every), 2), order="data", reuse=1)
    assert len(np.unique(j)) == len(j) and problem.admissible(problem.seek[i], problem.serve[j]).all()
    left = np.ones(len(problem.serve), bool)
    for a, b in zip(i, j, strict=True):
        may = np.flatnonzero(left & problem.admissible(problem.seek[a], problem.serve))
        distance = problem.distance(problem.seek[a], problem.serve[may])
        assert may[np.argmin(distance)] == b
        left[b] = False
    for a in every[np.bincount(i, minlength=len(every)) == 0]:
        assert not (left & problem.admissible(problem.seek[a], problem.serve)).any()
    assert set(rank.tolist()) == {1, 2}


def test_a_line_gives_the_pairs_of_space():
    """The two engines, line and trees, on one problem of a thousand firms in which partners are scarce."""
    rng = np.random.default_rng(3)
    x = np.round(rng.normal(size=1000) + np.r_[np.full(400, 1.5), np.zeros(600)], 2)
    problem = on_line(x[:400], x[400:], cell=rng.integers(0, 3, 1000), width=0.8)
    for order in ("data", "closest"):
        for reuse in REUSES:
            assert sorted(pairs_of(problem, order, reuse, 2)) == sorted(pairs_of(spread(problem), order, reuse, 2)), (order, reuse)


@pytest.mark.parametrize("kind", ["mahalanobis", "robust_mahalanobis", "scaled_euclidean"])
def test_where_nothing_varies_every_firm_is_as_near(kind):
    treated = np.array([True, True, False, False])
    assert whiten(np.ones((4, 2)), kind, treated).tolist() == [[0.0]] * 4


@pytest.mark.parametrize("kind", ["mahalanobis", "scaled_euclidean"])
def test_a_column_that_tells_the_arms_apart_and_varies_in_neither_is_refused(kind):
    treated = np.array([True, True, False, False, False])
    x = np.column_stack([treated, [1.0, 2.0, 1.0, 2.0, 3.0], np.ones(5)])
    with pytest.raises(DesignError, match=r"different between them: 1 column \(zone\)"):
        whiten(x, kind, treated, ["zone", "size", "one"])
    with pytest.raises(DesignError, match=r"1 column \(0\)"):
        whiten(x, kind, treated)
    assert whiten(x, "robust_mahalanobis", treated).shape == (5, 2)


@pytest.mark.parametrize("kind", ["mahalanobis", "robust_mahalanobis", "scaled_euclidean"])
@pytest.mark.parametrize("unit", [2.0**660, 2.0**-660])
def test_a_unit_whose_square_is_no_number_changes_nothing(kind, unit):
    x, treated = np.random.default_rng(4).normal(size=(30, 2)), np.arange(30) < 12
    np.testing.assert_array_equal(whiten(x * [unit, 1], kind, treated), whiten(x, kind, treated))
