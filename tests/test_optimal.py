"""Optimal pairs and full matching: hand examples, and proof against solvers that see every pair at once."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment

from pipeval.matching import assignment, full, optimal
from pipeval.matching.full import full_sets
from pipeval.matching.nearest import nearest_pairs
from pipeval.matching.problem import Problem


def optimal_pairs(problem: Problem, ratio: int = 1):
    """The pairs as firms rather than as places among those who seek and serve."""
    i, j, rank = optimal.optimal_pairs(problem, ratio)
    return problem.seek[i], problem.serve[j], rank


UNITS = Path(__file__).parent / "reference" / "matchit_units"


def line(seek, serve, width=None) -> Problem:
    """Firms that seek at these values, then firms that serve at those."""
    points = np.r_[seek, serve].astype(float)[:, None]
    n, m = len(seek), len(serve)
    calipers = () if width is None else ((points[:, 0], width),)
    return Problem(np.arange(n), np.arange(n, n + m), points, np.zeros(n + m, int), calipers)


def drawn(seed: int, scalar: bool) -> Problem:
    """A small problem with cells, often with ties, with calipers, with poor overlap; off the line also with labels apart."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 28))
    seeks = rng.random(n) < rng.choice([0.2, 0.5, 0.8])
    seeks[0], seeks[1] = True, False
    points = rng.normal(size=(n, 1 if scalar else int(rng.integers(1, 4))))
    if rng.random() < 0.4:
        points = np.round(points * rng.choice([1, 3]))
    points[seeks] += rng.choice([0, 0.5, 2])
    cell = rng.integers(0, rng.integers(1, 4), n)
    calipers = ((points[:, 0], float(rng.choice([0.2, 0.5, 1, 2]))),) if rng.random() < 0.6 else ()
    if scalar:
        return Problem(np.flatnonzero(seeks), np.flatnonzero(~seeks), points, cell, calipers)
    calipers += ((rng.normal(size=n), float(rng.choice([0.5, 5]))),)
    apart = (rng.integers(-1, 3, n),) if rng.random() < 0.5 else ()
    return Problem(np.flatnonzero(seeks), np.flatnonzero(~seeks), points, cell, calipers, apart)


def every_distance(problem: Problem) -> np.ndarray:
    """Seek × serve, infinite where they may not meet."""
    i, j = problem.seek[:, None], problem.serve[None, :]
    return np.where(problem.admissible(i, j), problem.distance(i, j), np.inf)


def dense_optimum(problem: Problem, ratio: int) -> tuple[int, int, float]:
    """Firms with a partner, partners, total distance: by a dense assignment in which every place may stay empty, at a price."""
    distance = np.repeat(every_distance(problem), ratio, axis=0)
    n, m = distance.shape
    finite = np.isfinite(distance)
    empty = 1.0 + n * distance[finite].max(initial=0.0)
    cost = np.full((n, m + n), 1e9)
    cost[:, :m][finite] = distance[finite]
    cost[np.arange(n), m + np.arange(n)] = np.where(np.arange(n) % ratio == 0, 2 * empty, empty)
    row, column = linear_sum_assignment(cost)
    row, column = row[column < m], column[column < m]
    return len(np.unique(row // ratio)), len(row), float(distance[row, column].sum())


def value_of_pairs(problem: Problem, pairs, ratio: int) -> tuple[int, int, float]:
    """The same of pairs, after proof that they break no rule."""
    i, j, rank = pairs
    assert np.isin(i, problem.seek).all() and np.isin(j, problem.serve).all()
    assert len(np.unique(j)) == len(j), "a control serves twice"
    assert problem.admissible(i, j).all(), "a caliper is broken or a cell crossed"
    distance = problem.distance(i, j)
    for firm in np.unique(i):
        own = i == firm
        assert own.sum() <= ratio and rank[own].tolist() == list(range(1, own.sum() + 1))
        assert (np.diff(distance[own]) >= 0).all()
    return len(np.unique(i)), len(i), float(distance.sum())


def cost_of_sets(problem: Problem, sets: np.ndarray) -> float:
    """Total distance from the centres, after proof that every firm with a partner is in one star of firms that may meet."""
    distance = every_distance(problem)
    possible = np.isfinite(distance)
    assert ((sets[problem.seek] >= 0) == possible.any(axis=1)).all() and ((sets[problem.serve] >= 0) == possible.any(axis=0)).all()
    total, first = 0.0, []
    for number in range(sets.max() + 1):
        rows, columns = np.flatnonzero(sets[problem.seek] == number), np.flatnonzero(sets[problem.serve] == number)
        assert min(len(rows), len(columns)) == 1, "a set is a star"
        total += distance[np.ix_(rows, columns)].sum()
        first.append(rows[0])
    assert np.isfinite(total) and first == sorted(first)
    return float(total)


def dense_cover(problem: Problem) -> float:
    """Least weight of a cover: nearest partners for all, improved by a dense assignment of pairs that save something."""
    distance = every_distance(problem)
    distance = distance[np.isfinite(distance).any(axis=1)][:, np.isfinite(distance).any(axis=0)]
    if not distance.size:
        return 0.0
    rows, columns = distance.min(axis=1), distance.min(axis=0)
    saved = np.minimum(np.where(np.isfinite(distance), distance, 1e9) - rows[:, None] - columns, 0)
    return float(rows.sum() + columns.sum() + saved[linear_sum_assignment(saved)].sum())


def every_cover(problem: Problem) -> float:
    """The same by trying every set of pairs."""
    distance = every_distance(problem)
    pairs = np.argwhere(np.isfinite(distance))
    best = np.inf
    for taken in product((False, True), repeat=len(pairs)):
        chosen = pairs[list(taken)]
        if all(set(chosen[:, side]) == set(pairs[:, side]) for side in (0, 1)):
            best = min(best, distance[tuple(chosen.T)].sum())
    return float(best)


# --- by hand


def test_greedy_takes_the_near_one_and_optimal_the_least_total():
    problem = line([0, 1], [1, -1.5, 3])  # largest first: 1 takes 1, 0 takes −1.5; in the order of ids 0 takes 1 and 1 takes 3
    greedy = nearest_pairs(problem, np.array([0, 1]), np.ones(2, int), order="data", reuse=1)
    assert problem.serve[greedy[1]].tolist() == [2, 4]  # 1 + 2
    i, j, rank = optimal_pairs(problem)
    assert (i.tolist(), j.tolist(), rank.tolist()) == ([0, 1], [3, 2], [1, 1])  # 1.5 + 0


def test_with_two_partners_coverage_comes_before_distance():
    # the firm at 0 has 0 and 0.1 at hand; that at 1 reaches only 0.1, inside a caliper of 0.9
    problem = line([0, 1], [0, 0.1], 0.9)
    i, j, _ = optimal_pairs(problem, 2)
    assert (i.tolist(), j.tolist()) == ([0, 1], [2, 3])  # not 0.1 in all, with one firm single, but 0.9 and nobody single
    assert optimal_pairs(line([0, 1], [0, 0.1], 0.8), 2)[0].tolist() == [0, 0]


def test_more_partners_come_before_distance():
    # one partner each: (0, 0), (1, 1); a caliper of 1 lets 1 have 2 as well, and 0 then −1
    i, j, rank = optimal_pairs(line([0, 1], [-1, 0, 1, 2], 1.0), 2)
    assert (i.tolist(), j.tolist(), rank.tolist()) == ([0, 0, 1, 1], [3, 2, 4, 5], [1, 2, 1, 2])


def test_a_chain_of_firms_gives_way():
    # inside the caliper everybody is matched only when each takes the left of the two it can reach
    i, j, _ = optimal_pairs(line([1, 2, 3], [0.1, 1.1, 2.1], 0.95))
    assert (i.tolist(), j.tolist()) == ([0, 1, 2], [3, 4, 5])


def test_of_equal_partners_the_first_serves():
    assert optimal_pairs(line([0, 0], [1, 1, 1]))[1].tolist() == [2, 3]
    assert optimal_pairs(line([1, 2], [1, 1, 1, 1, 3, 0]))[1].tolist() == [2, 3]
    assert optimal_pairs(line([5, 5, 5], [5, 5]))[0].tolist() == [0, 1]


def test_full_matching_by_hand():
    # 0 is nearest to 0.5 and −1; 5 and 6 share 5.4
    problem = line([0, 5, 6], [0.5, -1, 5.4])
    assert full_sets(problem).tolist() == [0, 1, 1, 0, 0, 1]
    assert cost_of_sets(problem, full_sets(problem)) == pytest.approx(0.5 + 1 + 0.4 + 0.6, abs=1e-12)


def test_full_matching_does_not_join_what_need_not_be():
    assert full_sets(line([0, 3], [1, 2])).tolist() == [0, 1, 0, 1]  # not 3–1
    assert full_sets(line([0, 0, 1], [0, 1])).tolist() == [0, 0, 1, 0, 1]
    assert full_sets(line([0, 2.5], [1.0, 0.0, 2.5], 0.5)).tolist() == [0, 1, -1, 0, 1]  # 1 has nobody within the caliper


def test_nobody_to_meet():
    for problem in (line([0.0], [5.0], 1.0), replace(line([0, 1], [0, 1]), cell=np.arange(4))):
        assert all(len(column) == 0 for column in optimal_pairs(problem))
        assert (full_sets(problem) == -1).all()
        other = replace(problem, points=np.c_[problem.points, problem.points])
        assert all(len(column) == 0 for column in optimal_pairs(other))
        assert (full_sets(other) == -1).all()


# --- against solvers that see every pair


@pytest.mark.parametrize("scalar", [True, False], ids=["line", "space"])
def test_pairs_equal_a_dense_assignment(scalar):
    for seed in range(400):
        problem, ratio = drawn(seed, scalar), 1 + seed % 3
        ours, best = value_of_pairs(problem, optimal_pairs(problem, ratio), ratio), dense_optimum(problem, ratio)
        assert ours[:2] == best[:2], seed
        assert ours[2] == pytest.approx(best[2], abs=1e-8), seed


@pytest.mark.parametrize("scalar", [True, False], ids=["line", "space"])
def test_full_matching_equals_a_dense_cover(scalar):
    for seed in range(400):
        problem = drawn(seed, scalar)
        assert cost_of_sets(problem, full_sets(problem)) == pytest.approx(dense_cover(problem), abs=1e-8), seed


def test_full_matching_equals_trying_every_cover():
    tried = 0
    for seed in range(300):
        problem = drawn(seed, seed % 2 == 0)
        if 1 < np.isfinite(every_distance(problem)).sum() <= 9:
            tried += 1
            assert cost_of_sets(problem, full_sets(problem)) == pytest.approx(every_cover(problem), abs=1e-8), seed
    assert tried >= 30


@pytest.mark.parametrize(("n", "m", "shift", "width"), [(150, 200, 1.5, None), (150, 200, 1.5, 0.3), (120, 60, 0.0, 0.1)])
def test_longer_lines_equal_a_dense_assignment(n, m, shift, width):
    rng = np.random.default_rng(7)
    problem = line(rng.normal(size=n) + shift, rng.normal(size=m), width)
    for ratio in (1, 2):
        ours, best = value_of_pairs(problem, optimal_pairs(problem, ratio), ratio), dense_optimum(problem, ratio)
        assert ours[:2] == best[:2] and ours[2] == pytest.approx(best[2], abs=1e-8)
    assert cost_of_sets(problem, full_sets(problem)) == pytest.approx(dense_cover(problem), abs=1e-8)


def test_lists_grow_until_the_answer_is_certain():
    """All crowd around a few partners, so that the first lists are too short, on whichever side is the smaller."""
    rng = np.random.default_rng(3)
    points = np.r_[rng.normal(scale=0.1, size=(60, 2)), rng.normal(size=(90, 2))]
    problem = Problem(np.arange(60), np.arange(60, 150), points, np.zeros(150, int))
    for posed, ratio in product((problem, replace(problem, seek=problem.serve, serve=problem.seek)), (1, 2)):
        ours, best = value_of_pairs(posed, optimal_pairs(posed, ratio), ratio), dense_optimum(posed, ratio)
        assert ours[:2] == best[:2] and ours[2] == pytest.approx(best[2], abs=1e-8)
        assert cost_of_sets(posed, full_sets(posed)) == pytest.approx(dense_cover(posed), abs=1e-8)


def test_where_one_pass_along_the_line_does_not_decide_the_other_road_is_taken(monkeypatch):
    calls = []
    for module, name in ((optimal, "assigned"), (full, "_sparse")):
        before = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, before=before, name=name: calls.append(name) or before(*given))
    # the pass would have both firms wait for the two at 6, though only the second reaches them
    i, j, _ = optimal_pairs(line([4, 5], [6, 6], 1.0), 2)
    assert (i.tolist(), j.tolist(), calls) == ([1, 1], [2, 3], ["assigned"])
    # 9 may as well meet 3 at 6, which the caliper forbids, as 14 and leave 3 to 4, at 5 and 1
    seek, serve = [4, 9, 14], [1, 3, 14]
    assert full_sets(line(seek, serve)).tolist() == [0, 1, 2, 0, 1, 2]
    assert calls == ["assigned"]
    assert full_sets(line(seek, serve, 5.0)).tolist() == [0, 1, 1, 0, 0, 1]
    assert calls == ["assigned", "_sparse"]


def test_with_one_partner_the_line_always_decides(monkeypatch):
    monkeypatch.delattr(optimal, "assigned")
    for seed in range(200):
        problem = drawn(seed, True)
        value_of_pairs(problem, optimal_pairs(problem), 1)


# --- properties


@pytest.mark.parametrize("scalar", [True, False], ids=["line", "space"])
def test_optimal_is_never_worse_than_greedy(scalar):
    for seed in range(60):
        problem, ratio = drawn(seed, scalar), 1 + seed % 2
        best = value_of_pairs(problem, optimal_pairs(problem, ratio), ratio)
        turn = np.arange(len(problem.seek))
        i, j, _ = nearest_pairs(problem, turn, np.full(len(turn), ratio), order="data", reuse=1)
        greedy = len(np.unique(i)), len(i), float(problem.distance(problem.seek[i], problem.serve[j]).sum())
        assert best[0] >= greedy[0] and best[1] >= greedy[1]
        if best[:2] == greedy[:2]:
            assert best[2] <= greedy[2] + 1e-9


@pytest.mark.parametrize("columns", [1, 2])
def test_the_order_of_firms_decides_nothing_without_ties(columns):
    rng = np.random.default_rng(11)
    n, m = 40, 90
    points = rng.normal(size=(n + m, columns))
    cell = rng.integers(0, 2, n + m)
    problem = Problem(np.arange(n), np.arange(n, n + m), points, cell, ((points[:, 0], 0.8),))
    new = rng.permutation(n + m)  # firm v of the shuffled problem is firm new[v]
    old = np.argsort(new)
    calipers = ((points[new][:, 0], 0.8),)
    shuffled = Problem(np.sort(old[:n]), np.sort(old[n:]), points[new], cell[new], calipers)
    for ratio in (1, 3):
        i, j, _ = optimal_pairs(problem, ratio)
        a, b, _ = optimal_pairs(shuffled, ratio)
        assert set(zip(i.tolist(), j.tolist(), strict=True)) == set(zip(new[a].tolist(), new[b].tolist(), strict=True))
    sets, again = full_sets(problem), full_sets(shuffled)[old]
    assert ((sets[:, None] == sets) == (again[:, None] == again)).all()


def test_equal_costs_everywhere_are_an_assignment_too():
    """Zeros are distances like any other, though a sparse matrix would drop them."""
    row, column = np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)
    assert sorted(assignment.least_total(row, column, np.zeros(9), np.ones(3)).tolist()) == [0, 1, 2]
    assert assignment.least_total(row, column, np.ones(9), np.zeros(3)).tolist() == [-1, -1, -1]


def test_a_long_line_needs_neither_time_nor_memory_for_all_pairs():
    rng = np.random.default_rng(5)
    problem = line(rng.normal(size=4_000) + 2, rng.normal(size=8_000))  # half of the controls move along
    i, j, _ = optimal_pairs(problem)
    assert len(i) == 4_000
    assert (np.diff(problem.points[j[np.argsort(problem.points[i, 0], kind="stable")], 0]) >= 0).all()  # no crossing
    assert (full_sets(problem) >= 0).all()


# --- against MatchIt


def test_no_dearer_than_matchit():
    """Its solver stops at a tolerance; ours is exact, so that with the same scores our total is no greater than theirs."""
    units = pd.read_csv(UNITS / "units.csv").set_index("unit")
    expected = json.loads((UNITS / "expected.json").read_text(encoding="utf-8"))
    score, treated = np.array(expected["scores"]["probability"]), units["treat"].to_numpy() == 1
    problem = Problem(np.flatnonzero(treated), np.flatnonzero(~treated), score[:, None], np.zeros(len(score), int))
    for case, ratio, total in (("optimal", 1, 1.3192487816), ("optimal2", 2, 11.1095406261)):
        theirs = [(a, b) for a, chosen in expected["cases"][case]["pairs"].items() for b in chosen.split()]
        a, b = (units.index.get_indexer(side) for side in zip(*theirs, strict=True))
        firms, partners, distance = value_of_pairs(problem, optimal_pairs(problem, ratio), ratio)
        assert (firms, partners) == (treated.sum(), len(a))
        assert distance <= problem.distance(a, b).sum()
        assert distance == pytest.approx(total, abs=1e-8)
    theirs = json.loads((UNITS / "expected_sets.json").read_text(encoding="utf-8"))["cases"]["full"]["subclass"].split()
    numbers = pd.Index(pd.unique(np.asarray(theirs)[treated])).get_indexer(theirs)
    cost = cost_of_sets(problem, full_sets(problem))
    assert cost <= cost_of_sets(problem, numbers)
    assert cost == pytest.approx(1.7226332606, abs=1e-8)
