"""Optimal 1:1 matching on a line: as many pairs as the caliper and the exact cells allow, and of those the least total distance."""

from __future__ import annotations

import numpy as np

from .line import Line


def optimal_pairs(on: Line) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs without replacement: the most possible, then the smallest sum of distances (the problem of Rosenbaum 1989).

    On a line some best assignment has no crossings: two crossing pairs that swap partners are no longer together, and
    neither is longer than the longer before, so no caliper breaks. It is found by going along the line, treated firm by
    treated firm, over the few places each can need (`_windows`). Of all best assignments it is the one whose largest distance
    is least; ties by `firm_id`. Returns arrays of equal length: the treated, its control, and the rank 1.
    """
    treated, places = [], []
    order = np.lexsort((on.t, on.last, on.first))
    edge = (np.diff(on.first[order]) != 0) | (np.diff(on.last[order]) != 0)
    for cell in np.split(order, np.flatnonzero(edge) + 1):
        place = _along(on, cell, *_windows(on, cell))
        treated.append(cell[place >= 0])
        places.append(place[place >= 0])
    i = np.concatenate(treated)
    return i, on.control[np.concatenate(places)], np.ones(len(i), int)


def _along(on: Line, cell: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The place of each treated firm of one cell, given in the order of the line; −1 where it stays single.

    `least[q]` is the least cost of the firms so far with places before `low + q` only; a single firm costs more than all
    distances together, so that pairs count before distance.
    """
    size = high - low
    end = np.cumsum(size)
    places = np.arange(size.sum()) + np.repeat(low - end + size, size)
    distance = np.abs(on.c[places] - np.repeat(on.t[cell], size))
    inside = distance <= on.width
    single = 1.0 + len(cell) * (float(distance[inside].max()) if inside.any() else 0.0)
    distance[~inside] = np.inf
    least, start, steps = np.zeros(1), int(low[0]), []
    for lo, n, stop in zip(low.tolist(), size.tolist(), end.tolist(), strict=True):
        before = least[min(lo - start, len(least) - 1) :]  # a place beyond the last window adds nothing
        cost = np.empty(n + 1)
        cost[: len(before)] = before
        cost[len(before) :] = before[-1]
        taken = cost[:-1] + distance[stop - n : stop]
        cost += single
        np.minimum(cost[1:], taken, out=cost[1:])
        least, start = np.minimum.accumulate(cost), lo
        steps.append((lo, least, stop - n))
    return _traced_back(steps, distance, single)


def _traced_back(steps: list[tuple[int, np.ndarray, int]], distance: np.ndarray, single: float) -> np.ndarray:
    """The choices that lead to the least cost, from the last firm to the first."""
    place = np.full(len(steps), -1)
    end = steps[-1][0] + len(steps[-1][1]) - 1
    for i in range(len(steps) - 1, -1, -1):
        lo, least, offset = steps[i]
        q = min(end - lo, len(least) - 1)
        q -= int(np.searchsorted(least[q::-1], least[q], side="right")) - 1  # the fewest places that cost no more
        end = lo + q
        if q == 0:
            continue
        start, before = (steps[i - 1][0], steps[i - 1][1]) if i else (lo, np.zeros(1))
        if before[min(end - 1 - start, len(before) - 1)] + distance[offset + q - 1] == least[q]:
            end -= 1
            place[i] = end
    return place


def _windows(on: Line, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By treated firm of one cell, in the order of the line: the first place it can need, and one past the last.

    A treated firm goes left past a control only if every control in between is taken by treated firms further right, which go
    left too; a chain of them that ends at J fills all places up to `left[J]`, so that firm i is pushed no further than
    min over J ≥ i of left[J] − (J − i). The right side is the mirror image, from `left + 1`.
    """
    first, last = on.first[cell[0]], on.last[cell[0]]
    turn = np.arange(len(cell))
    slack = on.left[cell] - turn
    # the caliper with a place to spare on both sides: the distance itself decides, not a rounded sum
    near = on.c[first:last]
    reach_low = first - 1 + np.searchsorted(near, on.t[cell] - on.width, side="left")
    reach_high = first + 1 + np.searchsorted(near, on.t[cell] + on.width, side="right")
    low = np.clip(np.maximum(np.minimum.accumulate(slack[::-1])[::-1] + turn, reach_low), first, last)
    high = np.clip(np.minimum(np.maximum.accumulate(slack) + turn + 2, reach_high), low, last)
    return low, high
