"""Nearest-neighbour matching: each firm that seeks takes the nearest it may still have."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from heapq import heapify, heappop, heappush, nsmallest
from typing import Protocol

import numpy as np

from .nearest_line import OnLine, closest_without_replacement, nearest_with_replacement, nearest_without_replacement
from .neighbours import Neighbours
from .problem import Pairs, Problem

_BLOCK = 512  # firms whose neighbours are looked up at once
_FIRST = 8  # how many each


def nearest_pairs(problem: Problem, turn: np.ndarray, quota: np.ndarray, *, order: str, reuse: float) -> Pairs:
    """Pairs in which each firm that seeks takes the nearest it may meet.

    Parameters
    ----------
    problem : Problem
    turn : array of positions in `seek`
        The order in which they choose; firms left out get nobody.
    quota : array by position in `seek`
        How many partners each may take.
    order : str
        closest: at every step the pair of least distance that is still possible; ties by the firm that seeks, then by the one
        that serves. Anything else: in the order of `turn`.
    reuse : float
        How often a firm may serve: 1 without replacement, infinity with.

    Returns
    -------
    Pairs
        In rounds: in each, every firm takes one more. With infinite reuse no firm is in another's way, and each takes its
        nearest. Never one partner twice in a set. Of partners equally near, the one whose `firm_id` sorts first.

    Examples
    --------
    >>> score = np.array([0.0, 1.0, 1.5, 5.0])
    >>> one = Problem(np.array([0, 1]), np.array([2, 3]), score[:, None], np.zeros(4, int))
    >>> i, j, rank = nearest_pairs(one, np.array([0, 1]), np.array([1, 1]), order="data", reuse=1)
    >>> i.tolist(), j.tolist()
    ([0, 1], [0, 1])
    >>> i, j, rank = nearest_pairs(one, np.array([0, 1]), np.array([1, 1]), order="closest", reuse=1)
    >>> i.tolist(), j.tolist()
    ([1, 0], [0, 1])
    """
    turn, quota = np.asarray(turn, int), np.asarray(quota, int)
    if np.isinf(reuse):
        asked = np.zeros_like(quota)
        asked[turn] = quota[turn]
        return nearest_with_replacement(problem.line(), asked) if problem.scalar else _all_nearest(problem, asked)
    if problem.scalar and reuse == 1:
        return (closest_without_replacement if order == "closest" else nearest_without_replacement)(problem.line(), turn, quota)
    pool = OnLine(problem.line(), reuse) if problem.scalar else _InSpace(problem, reuse)
    return (_closest if order == "closest" else _in_turn)(pool, turn, quota, reuse)


def variable_quota(score: np.ndarray, is_higher: bool, ratio: float, low: int, high: int, n_serve: int) -> np.ndarray:
    """How many partners each firm may take, `ratio` on average: some `high`, one the remainder, the others `low`.

    Those that resemble the other arm most get most: where there are few partners further ones would lie far away, and an optimal
    number of partners is at one of the two ends for all but one firm (Ming and Rosenbaum 2001).

    Parameters
    ----------
    score : array
        Of the firms that seek.
    is_higher : bool
        Whether they score higher on average than the firms that serve: then those with the highest scores get fewest.
    n_serve : int
        The firms that serve: no more partners are given out, but `low` each.

    Examples
    --------
    >>> variable_quota(np.array([0.9, 0.1, 0.5, 0.4]), True, 2, 1, 4, 100).tolist()
    [1, 4, 1, 2]
    """
    n = len(score)
    extra = max(min(round(ratio * n), n_serve) - low * n, 0)
    quota = np.full(n, low)
    from_most = np.argsort(score if is_higher else -score, kind="stable")
    full, rest = divmod(extra, high - low) if high > low else (0, 0)
    quota[from_most[:full]] = high
    quota[from_most[full : full + 1]] += rest
    return quota


def backup_pairs(problem: Problem, pairs: Pairs, turn: np.ndarray, n: int) -> Pairs:
    """Ranked reserve partners: up to `n` a set, each the nearest left that no set uses, each in reserve for one set only.

    Parameters
    ----------
    problem : Problem
    pairs : Pairs
        Of any method.
    turn : array of positions in `seek`
        The order in which sets choose, one reserve each in every round.

    Examples
    --------
    >>> score = np.array([0.0, 0.1, 0.3, 0.2])
    >>> one = Problem(np.array([0]), np.array([1, 2, 3]), score[:, None], np.zeros(4, int))
    >>> [column.tolist() for column in backup_pairs(one, ([0], [0], [1]), [0], 5)]
    [[0, 0], [2, 1], [1, 2]]
    """
    free = np.setdiff1d(np.arange(len(problem.serve)), pairs[1])
    turn = np.asarray(turn, int)[np.isin(turn, pairs[0])]
    rest = replace(problem, serve=problem.serve[free])
    i, j, rank = nearest_pairs(rest, turn, np.full(len(problem.seek), n), order="data", reuse=1)
    return i, free[j], rank


def _all_nearest(problem: Problem, quota: np.ndarray) -> Pairs:
    i = np.flatnonzero(quota)
    _, found = Neighbours(problem).nearest(i, int(quota.max(initial=1)))
    row, rank = np.nonzero((found >= 0) & (np.arange(found.shape[1]) < quota[i][:, None]))
    return i[row], found[row, rank], rank + 1


class _Pool(Protocol):
    """Firms that can still serve; a key stands for one of them."""

    def expect(self, rows: np.ndarray) -> None:
        """These firms will ask next."""

    def best(self, i: int, own: Collection[int]) -> tuple[float, int, int] | None:
        """Distance, position in `serve` and key of the nearest firm left for `i`, but its own partners."""

    def take(self, key: int) -> None:
        """That firm serves once more."""

    def free(self, key: int) -> bool:
        """Whether that firm can serve once more."""


def _in_turn(pool: _Pool, turn: np.ndarray, quota: np.ndarray, reuse: float) -> Pairs:
    found, own, waiting = [], _own(turn, reuse), turn
    for rank in range(1, int(quota.max(initial=0)) + 1):
        waiting, served = waiting[quota[waiting] >= rank], []
        for at in range(0, len(waiting), _BLOCK):
            block = waiting[at : at + _BLOCK]
            pool.expect(block)
            for i in block.tolist():
                best = pool.best(i, own[i])
                if best is None:
                    continue
                pool.take(best[2])
                served.append((i, best[1], rank))
                if reuse > 1:
                    own[i].add(best[2])
        found += served
        waiting = np.array([i for i, _, _ in served], int)
    return tuple(np.array(found, int).reshape(-1, 3).T)


def _closest(pool: _Pool, turn: np.ndarray, quota: np.ndarray, reuse: float) -> Pairs:
    found, own, waiting = [], _own(turn, reuse), np.sort(turn)
    for rank in range(1, int(quota.max(initial=0)) + 1):
        waiting, served = waiting[quota[waiting] >= rank], []
        pool.expect(waiting)
        heap = [(best[0], i, *best[1:]) for i in waiting.tolist() if (best := pool.best(i, own[i])) is not None]
        heapify(heap)
        while heap:
            _, i, j, key = heappop(heap)
            if pool.free(key):
                pool.take(key)
                served.append((i, j, rank))
                if reuse > 1:
                    own[i].add(key)
            elif (best := pool.best(i, own[i])) is not None:
                heappush(heap, (best[0], i, *best[1:]))
        found += served
        waiting = np.array(sorted(i for i, _, _ in served), int)
    return tuple(np.array(found, int).reshape(-1, 3).T)


def _own(turn: np.ndarray, reuse: float) -> dict[int, Collection[int]]:
    """By firm: the keys of its partners; nobody needs to know them where a firm serves once."""
    return dict.fromkeys(turn.tolist(), ()) if reuse == 1 else {i: set() for i in turn.tolist()}


class _InSpace:
    """Firms in space that can still serve; keys are positions in `serve`.

    Each firm that asks holds a list of the nodes nearest to it, complete up to the last distance in it, and goes down it past
    those that were closed meanwhile. At its end a longer list is asked for, together with those of the others that need one.
    """

    def __init__(self, problem: Problem, reuse: float):
        self.near = Neighbours(problem)
        self.node, self.start, self.members = (memoryview(a) for a in (self.near.node, self.near.start, self.near.members))
        self.open = memoryview(self.near.open)
        self.left = [reuse] * len(problem.serve)
        self.head = self.near.start[:-1].tolist()
        self.lists: dict[int, tuple[list[float], list[int], bool]] = {}
        self.at: dict[int, int] = {}

    def expect(self, rows: np.ndarray) -> None:
        self.lists, self.at = {}, {}
        self._look_up(rows, _FIRST)

    def _look_up(self, rows: np.ndarray, k: int) -> None:
        row, distance, node, complete = self.near.within(rows, k)
        bounds, distance, node = np.searchsorted(row, np.arange(len(rows) + 1)).tolist(), distance.tolist(), node.tolist()
        for n, (i, whole) in enumerate(zip(rows.tolist(), complete.tolist(), strict=True)):
            self.lists[i] = distance[bounds[n] : bounds[n + 1]], node[bounds[n] : bounds[n + 1]], whole
            self.at[i] = 0

    def best(self, i: int, own: Collection[int]) -> tuple[float, int, int] | None:
        while True:
            distances, nodes, complete = self.lists[i]
            at, found = self._past_closed(i), None
            for distance, node in zip(distances[at:], nodes[at:], strict=True):
                if found is not None and distance > found[0]:
                    break
                j = self._first(node, own)
                if j >= 0 and (found is None or j < found[1]):
                    found = distance, j, j
            if found is not None or complete:
                return found
            self._longer(i)

    def _past_closed(self, i: int) -> int:
        nodes, at = self.lists[i][1], self.at[i]
        while at < len(nodes) and not self.open[nodes[at]]:
            at += 1
        self.at[i] = at
        return at

    def _longer(self, i: int) -> None:
        """New lists for `i` and for all whose lists hold no open node: twice as long as the one that was not enough."""
        short = [r for r, (_, nodes, whole) in self.lists.items() if r != i and not whole and self._past_closed(r) == len(nodes)]
        if len(short) > _BLOCK:  # those that may be next to ask
            short = nsmallest(_BLOCK // 4, short, key=lambda r: self.lists[r][0][-1:])
        self._look_up(np.array([i, *short]), 2 * max(len(self.lists[r][1]) for r in (i, *short)))

    def _first(self, node: int, own: Collection[int]) -> int:
        """The first member of a node that can still serve and is none of `own`; −1 without one."""
        head, end = self.head[node], self.start[node + 1]
        while head < end and self.left[self.members[head]] <= 0:
            head += 1
        self.head[node] = head
        while head < end and (self.left[self.members[head]] <= 0 or self.members[head] in own):
            head += 1
        return self.members[head] if head < end else -1

    def take(self, key: int) -> None:
        self.left[key] -= 1
        if self.left[key] <= 0 and self._first(self.node[key], ()) < 0:
            self.open[self.node[key]] = False

    def free(self, key: int) -> bool:
        return self.left[key] > 0
