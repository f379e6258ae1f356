"""Nearest-neighbour matching on a line: each treated firm in turn takes the nearest control left."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .line import Line

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Arrays of equal length: the treated, its control, and the control's rank in the set (1 = first found)."""


def nearest_without_replacement(on: Line, turn: np.ndarray, ratio: int = 1) -> Pairs:
    """Pairs in which a control serves once: in each of `ratio` rounds every treated firm takes one, in the order of `turn`.

    Of two controls equally near, the one whose `firm_id` comes first. Controls of one value form a group; a group that is used
    up is skipped for ever by following pointers to the next that is not, with path compression (Tarjan 1975): O(n log n) in
    all, however poor the overlap.
    """
    start, group = _groups(on)
    head, end = start[:-1].tolist(), start[1:].tolist()
    value, control = on.c[start[:-1]].tolist(), on.control.tolist()
    # one sentinel beyond each end stands for "nothing left"
    lower, upper = list(range(len(value) + 1)), list(range(len(value) + 1))
    t = on.t.tolist()
    span = _group_spans(on, group, len(value))
    found: tuple[list, list, list] = ([], [], [])
    waiting = turn.tolist()
    for rank in range(1, ratio + 1):
        served = []
        for i in waiting:
            here, low, high = span[0][i], span[1][i], span[2][i]
            left, right = _skip(lower, here + 1) - 1, _skip(upper, here + 1)
            near_left = t[i] - value[left] if left >= low else np.inf
            near_right = value[right] - t[i] if right < high else np.inf
            best = min(near_left, near_right)
            if best > on.width or best == np.inf:
                continue
            if near_left == near_right:
                take = left if control[head[left]] < control[head[right]] else right
            else:
                take = left if near_left < near_right else right
            for store, item in zip(found, (i, control[head[take]], rank), strict=True):
                store.append(item)
            head[take] += 1
            if head[take] == end[take]:
                lower[take + 1], upper[take] = take, take + 1
            served.append(i)
        waiting = served  # a firm that found none finds none later: the pool only shrinks
    return tuple(np.array(column, dtype=int) for column in found)


def nearest_with_replacement(on: Line, ratio: int = 1) -> Pairs:
    """Pairs in which a control may serve many: every treated firm takes its `ratio` nearest, ties by `firm_id`."""
    start, group = _groups(on)
    bounds, value, control = start.tolist(), on.c[start[:-1]].tolist(), on.control.tolist()
    span = _group_spans(on, group, len(value))
    found: tuple[list, list, list] = ([], [], [])
    for i, t in enumerate(on.t.tolist()):
        outward = _outward(t, span[0][i], span[1][i], span[2][i], value, bounds, control)
        for rank, (distance, j) in zip(range(1, ratio + 1), outward, strict=False):
            if distance > on.width:
                break
            for store, item in zip(found, (i, j, rank), strict=True):
                store.append(item)
    return tuple(np.array(column, dtype=int) for column in found)


def _outward(t, here, low, high, value, bounds, control) -> Iterator[tuple[float, int]]:
    left, right = here, here + 1
    while left >= low or right < high:
        near_left = t - value[left] if left >= low else np.inf
        near_right = value[right] - t if right < high else np.inf
        best, members = min(near_left, near_right), []
        if near_left == best:
            members += control[bounds[left] : bounds[left + 1]]
            left -= 1
        if near_right == best:
            members += control[bounds[right] : bounds[right + 1]]
            right += 1
        for j in sorted(members):
            yield best, j


def _groups(on: Line) -> tuple[np.ndarray, np.ndarray]:
    """Where each run of equal controls starts (and the end), and the run of every place."""
    cell_starts = np.zeros(len(on.c) + 1, bool)
    cell_starts[on.first] = True
    new = np.r_[True, np.diff(on.c) != 0] | cell_starts[:-1] if len(on.c) else np.zeros(0, bool)
    cell_ends = on.last[on.last < len(on.c)]
    new[cell_ends] = True
    return np.r_[np.flatnonzero(new), len(on.c)], np.cumsum(new) - 1


def _group_spans(on: Line, group: np.ndarray, n_groups: int) -> tuple[list, list, list]:
    """By treated: the run not above it, the first run of its cell, and one past the last."""
    padded = np.r_[group, n_groups]
    first, last = padded[on.first], padded[on.last]
    here = np.where(on.left >= on.first, padded[np.maximum(on.left, 0)], first - 1)
    return here.tolist(), first.tolist(), last.tolist()


def _skip(pointer: list[int], place: int) -> int:
    while pointer[place] != place:
        pointer[place] = pointer[pointer[place]]
        place = pointer[place]
    return place
