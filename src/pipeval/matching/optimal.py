"""Optimal matching of one to k: as many firms with a partner as possible, then as many partners, then the least total distance."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from .assignment import assigned
from .line import Line
from .problem import Problem


def optimal_pairs(problem: Problem, ratio: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs without replacement, up to `ratio` a firm, of least total distance (Rosenbaum 1989).

    Three aims, each within the one before: the most firms of `seek` with a partner, the most partners in all, the least sum of
    distances. They agree, because a further partner for one firm never has to take the last one of another (the coverable firms
    are the independent sets of a transversal matroid).

    On a line the answer comes from one pass (`_Slopes`); elsewhere, and where a caliper meets a ratio above 1 in a way that the
    pass cannot express, from a sparse assignment (`assignment.assigned`).

    Parameters
    ----------
    problem : Problem
    ratio : int
        Most partners a firm.

    Returns
    -------
    arrays of equal length
        Positions of the firms (as `problem.seek` holds them), positions of their partners (as `problem.serve` does), rank within a
        set, 1 for the nearest (ties by position); sorted by firm and rank.

    Notes
    -----
    Among several best answers the choice follows values and positions only; of firms with one value those that come first are
    served, and of partners with one value those that come first serve.

    Examples
    --------
    Greedy in the order of ids pairs 0 with 2, at 1, and leaves 1 a partner at 2; the best total is 1 + 0.

    >>> points = np.array([[0.0], [1.0], [1.0], [-1.0], [3.0]])
    >>> problem = Problem(np.array([0, 1]), np.array([2, 3, 4]), points, np.zeros(5, int))
    >>> [column.tolist() for column in optimal_pairs(problem)]
    [[0, 1], [1, 0], [1, 1]]
    """
    if not problem.scalar:
        return _ranked(problem, *assigned(problem, ratio))
    on = problem.line()
    i, place = _on_line(on, ratio)
    broken = np.abs(on.t[i] - on.c[place]) > on.width
    i, j = problem.seek[i], problem.serve[on.control[place]]
    if broken.any():
        cells = np.unique(problem.cell[i[broken]])
        kept = ~np.isin(problem.cell[i], cells)
        seek, serve = (side[np.isin(problem.cell[side], cells)] for side in (problem.seek, problem.serve))
        again = assigned(replace(problem, seek=seek, serve=serve), ratio)
        i, j = np.r_[i[kept], again[0]], np.r_[j[kept], again[1]]
    return _ranked(problem, i, j)


def _ranked(problem: Problem, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs in the order of firms and ranks."""
    order = np.lexsort((j, problem.distance(i, j), i))
    i, j = i[order], j[order]
    start = np.flatnonzero(np.r_[True, np.diff(i) != 0]) if len(i) else np.zeros(0, int)
    rank = np.arange(len(i)) - np.repeat(start, np.diff(np.r_[start, len(i)])) + 1
    return np.searchsorted(problem.seek, i), np.searchsorted(problem.serve, j), rank


def _on_line(on: Line, ratio: int) -> tuple[np.ndarray, np.ndarray]:
    """Treated (as given to `line`) and places of their partners.

    On a line some best answer has no crossings: two pairs that cross and swap partners are no longer together, and neither is
    longer than the longer before, so no caliper breaks, and every firm keeps its number of partners. Places of one firm stand at
    one point, so that the same holds for k of them. Hence it is enough to know how many partners each firm has and which
    controls serve: the pairs follow from the order.
    """
    order = np.lexsort((on.t, on.first))
    order = order[on.first[order] < on.last[order]]
    partners, serves = np.zeros(len(on.t), int), np.zeros(len(on.c), bool)
    edges = np.flatnonzero(np.diff(on.first[order])) + 1
    for cell in np.split(order, edges) if len(order) else []:
        near = _needed(on, cell, ratio)
        partners[cell], serves[near] = _one_cell(on.t[cell], on.c[near], on.width, ratio)
    if (runs := on.runs()) is not None:  # of controls alike, those that come first
        serves = _first_come(runs[0], serves.astype(int)) > 0
    return np.repeat(order, partners[order]), np.flatnonzero(serves)


def _needed(on: Line, cell: np.ndarray, ratio: int) -> np.ndarray:
    """The places that the firms of one cell, given in the order of the line, can need.

    A firm's partner is to the left past a control only if every control in between serves firms further right, which go left too; a
    chain of them that ends at slot J fills all places up to `left[J]`, so that slot i is pushed no further than
    min over J ≥ i of left[J] − (J − i). The right side is the mirror image, from `left + 1`.
    """
    first, last = on.first[cell[0]], on.last[cell[0]]
    turn = np.arange(len(cell) * ratio)
    slack = np.repeat(on.left[cell], ratio) - turn
    low = np.clip(np.minimum.accumulate(slack[::-1])[::-1] + turn, first, last) - first
    high = np.clip(np.maximum.accumulate(slack) + turn + 2, first, last) - first
    opened = np.bincount(low, minlength=last - first + 1) - np.bincount(np.maximum(high, low), minlength=last - first + 1)
    return first + np.flatnonzero(np.cumsum(opened)[:-1] > 0)


def _one_cell(t: np.ndarray, c: np.ndarray, width: float, ratio: int) -> tuple[np.ndarray, np.ndarray]:
    """How many partners each of the sorted `t` has, and which of the sorted `c` serve."""
    value = np.r_[c, t]
    event = np.lexsort((np.arange(len(value)), value))
    slopes, narrow = _Slopes(len(c), len(t), ratio), np.isfinite(width)
    arm = event >= len(c)
    spare = _within(c, value[event], np.cumsum(~arm) - ~arm, width)
    waiting = ratio * _within(t, value[event], np.cumsum(arm) - arm, width)
    for x, e, most_spare, most_waiting in zip(value[event].tolist(), event.tolist(), spare.tolist(), waiting.tolist(), strict=True):
        if narrow:
            slopes.narrow(x, most_spare, most_waiting)
        if e < len(c):
            slopes.control(x, e)
        else:
            slopes.firm(x, e - len(c))
    below = np.frombuffer(slopes.kept, dtype=np.uint8)
    partners = below[len(c) :].reshape(len(t), ratio).sum(axis=1, dtype=int)
    return _first_come(t, partners), _first_come(c, 1 - below[: len(c)].astype(int)) > 0


def _within(values: np.ndarray, x: np.ndarray, before: np.ndarray, width: float) -> np.ndarray:
    """By event at `x`, after `before` of the sorted `values`: how many of those are no further back than `width`."""
    start = np.searchsorted(values, x - width)  # 0 without a caliper
    padded = np.r_[-np.inf, values, np.inf]
    # the distance itself decides, not the rounded x − width
    while (wrong := (start > 0) & (x - padded[start] <= width)).any():
        start -= wrong
    while (wrong := x - padded[start + 1] > width).any():
        start += wrong
    return np.maximum(before - start, 0)


def _first_come(value: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The counts, dealt out anew among equal values: evenly, and what remains to those that come first."""
    if not len(value):
        return count
    start = np.flatnonzero(np.r_[True, np.diff(value) != 0])
    size = np.diff(np.r_[start, len(value)])
    total = np.repeat(np.add.reduceat(count, start), size)
    turn, size = np.arange(len(value)) - np.repeat(start, size), np.repeat(size, size)
    return total // size + (turn < total % size)


class _Slopes:
    """The least cost of everything met so far as a function of the surplus, kept by its slopes: one pass solves a line.

    Surplus at x: places of partners still to be found for firms at or before x, less controls kept for firms after x. Every
    crossing of a stretch of the line costs its length, so the total distance is the integral of |surplus|. The least cost f is
    convex. A stretch adds its length to every slope above surplus 0 and takes it from every slope below. A control, which may serve
    or not, is one more slope of 0 (f(d) ← min(f(d), f(d + 1))); a place that may be filled is one more slope of minus what an
    unfilled one costs, infinitely much, and twice that for a firm's first place (f(d) ← min(f(d) + cost, f(d − 1))). In the end the
    surplus is 0, and the slopes below it are those taken: places that are filled and controls that do not serve.

    Infinite costs are never added up: a slope is kept as a level (control 0, further place 1, first place 2) and a finite rest,
    the rest as a key that holds still while the line moves (`rest + x` below surplus 0, `rest − x` above). Each new slope goes
    where one deque meets the next, so the pass is linear once the values are sorted. A first place with rest ≤ 0 below and a
    control with rest ≥ 0 above never come back: they are only counted.

    A caliper bounds the surplus: at x there wait at most the places of firms within the width, and the controls kept are
    at most those within the width (`narrow` takes the slopes beyond out). With one place a firm that is all the caliper
    asks: were the firm that waits longest out of reach, some firm within reach would be single, and waiting in its stead would be
    shorter. With more it may not be all, when the one to give way would lose its only partner to a firm that has one already;
    the pairs then show it.

    Related: Aggarwal, Bar-Noy, Khuller, Kravets and Schieber (1995), Efficient minimum cost matching using quadrangle inequality.
    """

    __slots__ = ("above", "below", "kept", "n_above", "n_below", "n_controls", "ratio")

    def __init__(self, n_controls: int, n_firms: int, ratio: int):
        self.n_controls, self.ratio = n_controls, ratio
        self.kept = bytearray(n_controls + n_firms * ratio)  # by slope: 1 while it is below surplus 0
        # outward from surplus 0: controls; further places (rest > 0); further places (rest <= 0); first places; those only counted
        self.below, self.n_below = (deque(), deque(), deque(), deque()), 0
        # outward from surplus 0: first places; further places (rest < 0); further places (rest >= 0); controls; those only counted
        self.above, self.n_above = (deque(), deque(), deque(), deque()), 0

    def control(self, x: float, e: int) -> None:
        """The next on the line is a control."""
        first, spent, further, controls = self.above
        if not (first or spent or further) and (not controls or controls[0][0] + x >= 0):
            self.below[0].append((x, e))
            self.kept[e] = 1
            return
        self.n_above += 1
        key, slope = (first or spent or further or controls).popleft()
        self.kept[slope] = 1
        further = slope >= self.n_controls and (slope - self.n_controls) % self.ratio
        self.below[0 if slope < self.n_controls else 1 if further else 3].append((key + x + x, slope))

    def firm(self, x: float, number: int) -> None:
        """The next on the line is a firm with its places."""
        controls, further, spent, first = self.below
        while first and first[0][0] <= x:
            first.popleft()
            self.n_below += 1
        place = self.n_controls + number * self.ratio
        if highest := controls or further or spent or first:
            self.n_below += 1
            self.kept[place] = 1
            self._lift(x, highest)
        else:
            self.above[0].appendleft((-x, place))
        for slot in range(place + 1, place + self.ratio):
            while further and further[0][0] <= x:
                spent.append(further.popleft())
            if highest := controls or further:
                spent.append((x, slot))
                self.kept[slot] = 1
                self._lift(x, highest)
            else:
                self._settle(x)
                self.above[2].appendleft((-x, slot))

    def _lift(self, x: float, highest: deque) -> None:
        """The highest slope below surplus 0 becomes the lowest above it."""
        key, slope = highest.pop()
        self.kept[slope] = 0
        further = slope >= self.n_controls and (slope - self.n_controls) % self.ratio
        self.above[3 if slope < self.n_controls else 1 if further else 0].appendleft((key - x - x, slope))

    def _settle(self, x: float) -> None:
        """Further places above surplus 0 change sides as their rest grows."""
        _, spent, further, _ = self.above
        while spent and spent[-1][0] + x >= 0:
            further.appendleft(spent.pop())

    def narrow(self, x: float, spare: int, waiting: int) -> None:
        """Bound the surplus just before x: no less than −`spare`, no more than `waiting`."""
        controls = self.above[3]
        while controls and controls[-1][0] + x >= 0:
            controls.pop()
            self.n_above += 1
        self.n_above, cut = _counted_first(self.above, self.n_above, waiting)
        for _ in range(cut):
            next(filter(None, reversed(self.above))).pop()
        first = self.below[3]
        while first and first[0][0] <= x:
            first.popleft()
            self.n_below += 1
        self.n_below, cut = _counted_first(self.below, self.n_below, spare)
        for _ in range(cut):
            next(filter(None, reversed(self.below))).popleft()


def _counted_first(held: tuple[deque, ...], counted: int, most: int) -> tuple[int, int]:
    """How many of the counted slopes stay, and how many of those held go, for no more than `most` in all."""
    excess = max(0, sum(map(len, held)) + counted - most)
    gone = min(excess, counted)
    return counted - gone, excess - gone
