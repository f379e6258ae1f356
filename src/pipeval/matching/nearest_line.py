"""Nearest-neighbour matching on a line, where what is left can be found without looking at what is used."""

from __future__ import annotations

from collections.abc import Collection
from heapq import heappop, heappush

import numpy as np

from .line import Line
from .problem import Pairs


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


def closest_without_replacement(on: Line, turn: np.ndarray, quota: np.ndarray | int = 1) -> Pairs:
    """Pairs on a line in which a firm serves once, the shortest that is still possible first; O(n log n) a round.

    The shortest pair has nobody in between. So of the firms that seek, equal values together, only those next to a firm
    that serves are in the heap, and a pair that is made changes the prospects of its neighbours alone.
    """
    quota, pool = np.broadcast_to(quota, len(on.t)), OnLine(on, 1)
    found: list[tuple[int, int, int]] = []
    waiting = np.asarray(turn, int)
    waiting = waiting[on.first[waiting] < on.last[waiting]]
    for rank in range(1, int(quota.max(initial=0)) + 1):
        waiting = waiting[quota[waiting] >= rank]
        served = _closest_round(on, waiting[np.lexsort((waiting, on.t[waiting], on.first[waiting]))], pool)
        found += [(i, j, rank) for i, j in served]
        waiting = np.array([i for i, _ in served], int)
    return tuple(np.array(found, int).reshape(-1, 3).T)


def _closest_round(on: Line, order: np.ndarray, pool: OnLine) -> list[tuple[int, int]]:
    """One partner each, for firms given in the order of the line."""
    t, first = on.t[order], on.first[order]
    head = np.flatnonzero(np.r_[True, (t[1:] != t[:-1]) | (first[1:] != first[:-1])]) if len(order) else np.zeros(0, int)
    value, cell, member, n = t[head].tolist(), first[head].tolist(), order.tolist(), len(head)
    end, head = [*head[1:].tolist(), len(order)], head.tolist()
    before, after = list(range(-1, n - 1)), list(range(1, n + 1))
    heap: list[tuple[float, int, int, int, int]] = []
    near = [(np.inf, -1)] * n  # by value: distance and place of what its first firm would have
    served = []

    def consider(g: int) -> None:
        if 0 <= g < n and head[g] < end[g]:
            a, b = before[g], after[g]
            above = value[a] if a >= 0 and cell[a] == cell[g] else -np.inf
            below = value[b] if b < n and cell[b] == cell[g] else np.inf
            best = pool.best(member[head[g]], (), above, below)
            near[g] = (np.inf, -1) if best is None else (best[0], best[2])
            if best is not None:
                heappush(heap, (best[0], member[head[g]], best[1], best[2], g))

    for g in range(n):
        consider(g)
    while heap:
        _, i, j, place, g = heappop(heap)
        if head[g] == end[g] or member[head[g]] != i or not pool.free(place):
            continue  # considered again when that changed
        pool.take(place)
        served.append((i, j))
        head[g] += 1
        a, b = before[g], after[g]
        if head[g] == end[g]:
            if a >= 0:
                after[a] = b
            if b < n:
                before[b] = a
        consider(g)
        for other in (a, b):  # whom this pair cost its partner, or who may now reach past g
            if 0 <= other < n and (near[other][1] == place or near[other][0] >= abs(value[other] - value[g])):
                consider(other)
    return served


class OnLine:
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
        """Nothing is looked up ahead."""

    def best(self, i: int, own: Collection[int], above: float = -np.inf, below: float = np.inf) -> tuple[float, int, int] | None:
        """Distance, firm and place of the nearest left for `i` but its own partners, strictly between `above` and `below`."""
        t, here, first, last = (column[i] for column in self.seeker)
        left, right = self._leftward(here, first, own), _skip(self.upper, here + 1)
        while right in own:
            right = _skip(self.upper, right + 1)
        sides = [(t - self.c[left], self.control[left], left)] if left >= first and self.c[left] > above else []
        sides += [(self.c[right] - t, self.control[right], right)] if right < last and self.c[right] < below else []
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
        """The firm at that place serves once more."""
        self.left[key] = self.left.get(key, self.reuse) - 1
        if self.left[key] <= 0:
            self.lower[key], self.upper[key] = key - 1, key + 1

    def free(self, key: int) -> bool:
        """Whether it can serve once more."""
        return key not in self.lower
