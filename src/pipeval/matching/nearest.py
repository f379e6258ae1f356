"""Nearest-neighbour matching: each firm that seeks takes the nearest it may still have."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from heapq import heapify, heappop, heappush, nsmallest
from typing import Protocol

import numpy as np

from .line import Line
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
    if problem.scalar and reuse == 1 and order != "closest":
        return nearest_without_replacement(problem.line(), turn, quota)
    pool = _OnLine(problem.line(), reuse) if problem.scalar else _InSpace(problem, reuse)
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


def nearest_without_replacement(on: Line, turn: np.ndarray, quota: np.ndarray | int = 1) -> Pairs:
    """Pairs on a line in which a firm serves once.

    A place that is used is skipped for ever by following pointers to the next that is not, with path splitting
    (Tarjan and van Leeuwen 1984): O(n log n) in all, however poor the overlap.
    """
    quota = np.broadcast_to(quota, len(on.t))
    found: tuple[list, list, list] = ([], [], [])
    lower: dict[int, int] = {}  # used place -> a place below it, used or not
    upper: dict[int, int] = {}
    waiting = np.asarray(turn, int)
    for rank in range(1, int(quota.max(initial=0)) + 1):
        waiting = waiting[quota[waiting] >= rank]
        i, j = _round(on, waiting, lower, upper)
        for store, items in zip(found, (i, j, [rank] * len(i)), strict=True):
            store += items
        waiting = np.array(i, int)  # a firm that found none finds none later: the pool only shrinks
    return tuple(np.array(column, dtype=int) for column in found)


def _round(on: Line, turn: np.ndarray, lower: dict[int, int], upper: dict[int, int]) -> tuple[list, list]:
    """One partner each, in turn; one flat loop, because it runs once a firm."""
    c, control, width, runs = memoryview(on.c), memoryview(on.control), on.width, on.runs()
    start = memoryview(runs[0]) if runs else None
    below, above, taken, given, nobody = lower.get, upper.get, [], [], float("inf")
    columns = (turn, on.t[turn], on.left[turn], on.first[turn], on.last[turn])
    for i, t, left, first, last in zip(*map(np.ndarray.tolist, columns), strict=True):
        right = left + 1
        here, there = left, below(left)
        while there is not None:
            left, further = there, below(there)
            if further is not None:
                lower[here] = further
            here, there = there, further
        here, there = right, above(right)
        while there is not None:
            right, further = there, above(there)
            if further is not None:
                upper[here] = further
            here, there = there, further
        near_left = t - c[left] if left >= first else nobody
        near_right = c[right] - t if right < last else nobody
        if (near_left > width and near_right > width) or near_left == near_right == nobody:
            continue
        if near_left <= near_right and start is not None and start[left] != left:
            left = _skip(upper, start[left])  # of equal values the first that is free
        leftward = near_left < near_right or (near_left == near_right and control[left] < control[right])
        place = left if leftward else right
        lower[place], upper[place] = place - 1, place + 1
        taken.append(i)
        given.append(control[place])
    return taken, given


def _skip(pointer: dict[int, int], place: int) -> int:
    """The first place from here on that is not used."""
    there = pointer.get(place)
    while there is not None:
        further = pointer.get(there)
        if further is not None:
            pointer[place] = further
        place, there = there, further
    return place


def nearest_with_replacement(on: Line, quota: np.ndarray | int = 1) -> Pairs:
    """Pairs on a line in which a firm may serve many: each takes its nearest, ties by `firm_id`.

    Two streams, each ascending in distance and then position, are merged: the places to the right, and those to the left run by
    run of equal values.
    """
    quota = np.broadcast_to(quota, len(on.t))
    runs = on.runs() or (np.arange(len(on.c)), np.arange(1, len(on.c) + 1))
    start, end = (np.append(side, 0) for side in runs)
    i = np.flatnonzero((quota > 0) & (on.first < on.last))
    left, right = np.where(on.left[i] >= on.first[i], start[on.left[i]], -1), on.left[i] + 1
    found: list[Pairs] = []
    for rank in range(1, int(quota.max(initial=0)) + 1):
        t, low, high = on.t[i], on.first[i], on.last[i]
        near_left = np.where(left >= low, t - on.c[left], np.inf)
        ahead = np.minimum(right, len(on.c) - 1)
        near_right = np.where(right < high, on.c[ahead] - t, np.inf)
        best = np.minimum(near_left, near_right)
        leftward = (near_left < near_right) | ((near_left == near_right) & (on.control[left] < on.control[ahead]))
        fine = (best <= on.width) & np.isfinite(best)
        found.append((i[fine], on.control[np.where(leftward, left, ahead)][fine], np.full(fine.sum(), rank)))
        inside = left + 1 < end[left]
        onward = np.where(inside, left + 1, np.where(start[left] > low, start[start[left] - 1], -1))
        left, right = np.where(leftward, onward, left), np.where(leftward, right, right + 1)
        fine &= quota[i] > rank
        i, left, right = i[fine], left[fine], right[fine]
    return tuple(np.concatenate(column) for column in zip(*found, strict=True)) if found else (np.zeros(0, int),) * 3


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


class _OnLine:
    """Firms on a line that can still serve; keys are places."""

    def __init__(self, on: Line, reuse: float):
        self.c, self.control, self.width = memoryview(on.c), memoryview(on.control), on.width
        runs = on.runs()
        self.start = memoryview(runs[0]) if runs else range(len(on.c))
        self.seeker = [column.tolist() for column in (on.t, on.left, on.first, on.last)]
        self.left: dict[int, float] = {}
        self.reuse = reuse
        self.lower: dict[int, int] = {}
        self.upper: dict[int, int] = {}

    def expect(self, rows: np.ndarray) -> None:
        pass

    def best(self, i: int, own: Collection[int]) -> tuple[float, int, int] | None:
        t, here, first, last = (column[i] for column in self.seeker)
        left, right = self._leftward(here, first, own), _skip(self.upper, here + 1)
        while right in own:
            right = _skip(self.upper, right + 1)
        sides = [(t - self.c[left], self.control[left], left)] if left >= first else []
        sides += [(self.c[right] - t, self.control[right], right)] if right < last else []
        best = min(sides, default=None)
        return None if best is None or best[0] > self.width else best

    def _leftward(self, place: int, first: int, own: Collection[int]) -> int:
        """The first free place of the nearest run that has one, from `place` downwards; below `first` when there is none."""
        place = _skip(self.lower, place)
        while place >= first:
            head = _skip(self.upper, self.start[place])
            while head in own:
                head = _skip(self.upper, head + 1)
            if head <= place:
                return head
            place = _skip(self.lower, self.start[place] - 1)
        return place

    def take(self, key: int) -> None:
        self.left[key] = self.left.get(key, self.reuse) - 1
        if self.left[key] <= 0:
            self.lower[key], self.upper[key] = key - 1, key + 1

    def free(self, key: int) -> bool:
        return key not in self.lower


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
