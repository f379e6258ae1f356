"""Optimal full matching: every firm that has an admissible partner is in a set of one firm and its several partners."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from .assignment import Lists, beyond, least_total, listed, longer
from .neighbours import Neighbours
from .problem import Problem

Edges = tuple[np.ndarray, np.ndarray]
"""Positions of firms of `seek`, positions of firms of `serve`, a pair an element."""


def full_sets(problem: Problem) -> np.ndarray:
    """The set of each firm: numbers from 0 in the order of the first firm of `seek` in it, −1 without an admissible partner.

    Full matching without restrictions (Rosenbaum 1991; Hansen and Klopfer 2006): each set is a star, one firm of `seek` with one or
    more of `serve` or the reverse; every pair of a centre and another is admissible; the distances from the centres add up to
    the least possible. That is an edge cover of least weight: of a pair both of whose firms are in other pairs too there is
    no need, and what remains without such pairs are stars.

    On a line one pass finds it (`_degrees`); where a caliper is broken by the answer, and off the line, `_sparse` does.

    Examples
    --------
    >>> points = np.array([[0.0], [5.0], [6.0], [0.5], [-1.0], [5.4]])
    >>> full_sets(Problem(np.array([0, 1, 2]), np.array([3, 4, 5]), points, np.zeros(6, int))).tolist()
    [0, 1, 1, 0, 0, 1]
    """
    i, j = _line_cover(problem) if problem.scalar else _sparse(problem)
    i, j = _stars(problem, i, j)
    sets = np.full(len(problem.points), -1)
    if len(i):
        n = len(sets)
        label = connected_components(csr_array((np.ones(len(i), np.int8), (i, j)), shape=(n, n)), directed=False)[1]
        first = np.full(n, n)
        np.minimum.at(first, label[i], i)
        inside = np.r_[i, j]
        sets[inside] = np.searchsorted(np.unique(first[first < n]), first[label[inside]])
    return sets


def _stars(problem: Problem, i: np.ndarray, j: np.ndarray) -> Edges:
    """The pairs without those both of whose firms are in other pairs too, the longest gone first."""
    n = len(problem.points)
    degree = np.bincount(i, minlength=n) + np.bincount(j, minlength=n)
    kept = np.ones(len(i), bool)
    doubtful = np.flatnonzero((degree[i] > 1) & (degree[j] > 1))
    for e in doubtful[np.lexsort((j[doubtful], i[doubtful], -problem.distance(i[doubtful], j[doubtful])))]:
        if degree[i[e]] > 1 and degree[j[e]] > 1:
            degree[i[e]] -= 1
            degree[j[e]] -= 1
            kept[e] = False
    return i[kept], j[kept]


def _line_cover(problem: Problem) -> Edges:
    """The cover on a line, stretch by stretch: no pair leaves a cell or spans a gap wider than the caliper."""
    width = min((w for _, w in problem.calipers), default=np.inf)
    seek, serve = _with_partner(problem)
    firm, seeks = np.r_[seek, serve], np.r_[np.ones(len(seek), bool), np.zeros(len(serve), bool)]
    x = problem.points[firm, 0]
    order = np.lexsort((firm, x, problem.cell[firm]))
    firm, seeks, x = firm[order], seeks[order], x[order]
    cuts = np.flatnonzero((np.diff(problem.cell[firm]) != 0) | (np.diff(x) > width)) + 1
    found: list[Edges] = [(np.zeros(0, int), np.zeros(0, int))]
    for part in np.split(np.arange(len(firm)), cuts) if len(firm) else []:
        a, b = seeks[part], firm[part]
        times = _degrees(x[part], a)
        i, j = np.repeat(b[a], times[a]), np.repeat(b[~a], times[~a])
        if (problem.distance(i, j) > width).any():
            i, j = _sparse(replace(problem, seek=np.sort(b[a]), serve=np.sort(b[~a])))
        found.append((i, j))
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def _with_partner(problem: Problem) -> Edges:
    """The firms of a line that have an admissible partner."""
    width = min((w for _, w in problem.calipers), default=np.inf)
    other = replace(problem, seek=problem.serve, serve=problem.seek)
    return tuple(p.seek[(p.line().nearest() <= width) & np.isfinite(p.line().nearest())] for p in (problem, other))


def _degrees(x: np.ndarray, seeks: np.ndarray) -> np.ndarray:
    """By firm of a line without caliper, sorted: in how many pairs of the cover it is; the pairs follow from the order.

    The surplus at x is the number of pairs that firms of `seek` at or before x still want a partner for, less those that firms
    of `serve` do; the cover costs the integral of |surplus|. With f the least cost as a function of the surplus, convex, a
    stretch adds its length to the slopes above surplus 0 and takes it from those below; a firm that seeks makes it f(d) ← min over
    d′ < d of f(d′), so that slopes that rise become flat and all move up by one; one that serves is the mirror image.
    Where f is least just before each firm is all that is needed to go back from surplus 0 at the end.
    """
    n = len(x)
    least = _least_before(x.tolist(), seeks.tolist())
    times, surplus = np.empty(n, int), 0
    for e in range(n - 1, -1, -1):
        before = min(surplus - 1, least[e]) if seeks[e] else max(surplus + 1, least[e])
        times[e] = abs(surplus - before)
        surplus = before
    return times


def _least_before(x: list[float], seeks: list[bool]) -> list[int]:
    """By firm: the surplus of least cost just before it; of several the highest where it seeks, the lowest where it serves."""
    endless, least = 4 * len(x) + 4, []
    # runs [key, count] outward from surplus 0; a slope is key − x below and key + x above, and turns sign for the mirror image
    sides, held = {True: deque(), False: deque()}, {True: 0, False: 0}
    for here, up in zip(x, seeks, strict=True):
        # as the firm that seeks sees it: `ahead` holds the slopes above surplus 0, `behind` those below; mirrored otherwise
        ahead, behind = sides[up], sides[not up]
        while ahead and ahead[-1][0] + here > 0:
            held[up] -= ahead.pop()[1]
        flat = 0
        if not ahead:
            while behind and behind[0][0] + here < 0:
                flat += behind.popleft()[1]
            if flat:
                behind.appendleft([-here, flat])
        lowest = held[up] if ahead else -flat
        least.append(lowest if up else -lowest)
        ahead.append([-here, endless])
        held[up] += endless
        if behind:
            key, count = behind[0]
            behind[0][1] -= 1
            held[not up] -= 1
            if count == 1:
                behind.popleft()
            ahead.appendleft([-key - 2 * here, 1])
        else:
            ahead.appendleft([-np.inf, 1])  # nobody before it waits: it must
        held[up] += 1
    return least


def _sparse(problem: Problem) -> Edges:
    """The cover off the line: nearest partners, and a matching over the pairs that undercut them.

    Either a firm takes its nearest partner, at the distance μ, or it is half of a pair at a distance below the sum of both
    firms' μ. A pair on neither firm's list is at least as long as the last of each list, hence as half of both together:
    a firm whose list ends before 2μ is allowed to be single at half its last distance, which no pair left out can
    undercut. Where the best matching leaves none of these single it is the best of all; otherwise their lists grow.
    """
    if not len(problem.seek) or not len(problem.serve):
        return np.zeros(0, int), np.zeros(0, int)
    sides = _Side(problem), _Side(replace(problem, seek=problem.serve, serve=problem.seek))
    while True:
        row, column, distance = _on_any_list(*sides)
        single = [side.single() for side in sides]
        helps = distance < single[0][row] + single[1][column]
        row, column, distance = row[helps], column[helps], distance[helps]
        taken = least_total(row, column, distance - single[1][column], single[0])
        matched = taken >= 0, np.isin(np.arange(len(single[1])), taken)
        short = [(cost < side.near) & ~there for cost, side, there in zip(single, sides, matched, strict=True)]
        if not any(part.any() for part in short):
            break
        for side, part in zip(sides, short, strict=True):
            side.lengthen(part)
    alone = [np.flatnonzero(side.there & ~there) for side, there in zip(sides, matched, strict=True)]
    i = np.r_[np.flatnonzero(matched[0]), alone[0], sides[1].nearest[alone[1]]]
    j = np.r_[taken[matched[0]], sides[0].nearest[alone[0]], alone[1]]
    return problem.seek[i], problem.serve[j]


def _on_any_list(one: _Side, other: _Side) -> Lists:
    """The pairs on a list of either side that are shorter than both firms' nearest distances together, once each."""
    row, column, distance = (np.r_[a, b] for a, b in zip(one.lists, (other.lists[1], other.lists[0], other.lists[2]), strict=True))
    helps = distance < one.near[row] + other.near[column]
    row, column, distance = row[helps], column[helps], distance[helps]
    _, first = np.unique(row * len(other.near) + column, return_index=True)
    return row[first], column[first], distance[first]


class _Side:
    """The firms of one side with their lists of nearest partners."""

    __slots__ = ("k", "lists", "near", "nearest", "search", "there")

    def __init__(self, problem: Problem, k: int = 8):
        n = len(problem.seek)
        self.search, self.k = Neighbours(problem), np.full(n, k)
        self.lists = row, place, distance = listed(self.search, np.arange(n), k)
        there, first = np.unique(row, return_index=True)
        self.near, self.nearest, self.there = np.zeros(n), np.full(n, -1), np.zeros(n, bool)
        self.near[there], self.nearest[there], self.there[there] = distance[first], place[first], True

    def single(self) -> np.ndarray:
        """By firm: the distance of its nearest partner, or less while its list is too short to be sure."""
        return np.minimum(self.near, beyond(self.lists, self.k) / 2)

    def lengthen(self, which: np.ndarray) -> None:
        self.k[which] *= 4
        self.lists = longer(self.lists, self.search, which, self.k)
