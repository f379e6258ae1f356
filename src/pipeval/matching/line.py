"""Firms on a line: the score as the one dimension in which firms are near or far, exact cell by exact cell.

Arrays only, firms as positions. Legend: `t, c` values of those who seek and those who serve on the distance scale; `cell` whole
numbers, equal where firms may meet; both sides are given in the order of `firm_id`, which breaks every tie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Firms in the order of cell, value and position, and the means to say where any value would stand among them.

    Attributes
    ----------
    order : array
        The firm at each place.
    ascending : array
        All values, sorted, whatever the cell.
    levels : array
        The cells there are.
    keys : array or None
        Cell and global rank of each place as one rising number; None where there is one cell at most.
    """

    order: np.ndarray
    ascending: np.ndarray
    levels: np.ndarray
    keys: np.ndarray | None

    def before(self, values: np.ndarray | float, cell: np.ndarray, side: str) -> np.ndarray:
        """How many places lie before `values` in `cell`; side right counts equal values too."""
        n = len(self.ascending)
        rank = np.searchsorted(self.ascending, values, side=side)
        code = np.searchsorted(self.levels, cell)
        known = code < len(self.levels)
        known[known] = self.levels[code[known]] == cell[known]
        if self.keys is None:
            return np.where(known, rank, np.where(code > 0, n, 0))
        return np.searchsorted(self.keys, code * (n + 1) + np.where(known, rank, 0))


def ranked(values: np.ndarray, cell: np.ndarray) -> Ranked:
    """The firms in the order of cell, value and position; O(n log n)."""
    order = rising(values)
    ascending = values[order]
    levels, code = codes(cell)
    if len(levels) < 2:
        return Ranked(order, ascending, levels, None)
    code = code[order]
    place = np.argsort(code.astype(np.uint16) if len(levels) < 65536 else code, kind="stable")
    return Ranked(order[place], ascending, levels, code[place] * (len(order) + 1) + place)


def rising(values: np.ndarray) -> np.ndarray:
    """A stable argsort; the unstable one is four times as fast where few values are equal."""
    order = np.argsort(values)
    ascending = values[order]
    same = np.r_[False, ascending[1:] == ascending[:-1], False] if len(values) else np.zeros(1, bool)
    tied = np.flatnonzero(same[1:] | same[:-1])
    if len(tied) > len(values) // 4:
        return np.argsort(values, kind="stable")
    order[tied] = order[tied[np.lexsort((order[tied], ascending[tied]))]]
    return order


def codes(cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different cells, ascending, and the number of each firm's cell among them."""
    if len(cell) == 0:
        return cell, cell
    low, high = int(cell.min()), int(cell.max())
    if high - low > 4 * len(cell) + 1000:
        return np.unique(cell, return_inverse=True)
    there = np.bincount(cell - low) > 0
    return np.flatnonzero(there) + low, (np.cumsum(there) - 1)[cell - low]


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Those who seek and those who serve, of all exact cells, ready to be searched.

    Attributes
    ----------
    t, c : arrays
        Values of those who seek (as given) and of those who serve (sorted).
    control : array
        The firm that serves at each place of the line: sorted by cell, value, `firm_id`.
    left : array
        By firm that seeks: the last place of its cell whose value is not above its own; `first - 1` when there is none.
    first, last : arrays
        By firm that seeks: first place of its cell, and one past its last; equal when the cell holds nobody who serves.
    width : float
        The caliper on the scale of `t` and `c`; infinite without one.
    """

    t: np.ndarray
    c: np.ndarray
    control: np.ndarray
    left: np.ndarray
    first: np.ndarray
    last: np.ndarray
    width: float

    def nearest(self) -> np.ndarray:
        """By firm that seeks: distance to the nearest of its cell, used or not; infinite when the cell has none."""
        near = np.full(len(self.t), np.inf)
        for place, there in ((self.left, self.left >= self.first), (self.left + 1, self.left + 1 < self.last)):
            near[there] = np.minimum(near[there], np.abs(self.t[there] - self.c[place[there]]))
        return near

    def runs(self) -> tuple[np.ndarray, np.ndarray] | None:
        """By place: the first place and one past the last of its run of equal values in one cell; None where no two are equal."""
        n = len(self.c)
        new = np.ones(n + 1, bool)
        new[1:n] = self.c[1:] != self.c[:-1]
        if new.all():
            return None
        new[self.first[self.first < n]] = True
        new[self.last] = True
        bounds = np.flatnonzero(new)
        size = np.diff(bounds)
        return np.repeat(bounds[:-1], size), np.repeat(bounds[1:], size)


def line(t: np.ndarray, t_cell: np.ndarray, c: np.ndarray, c_cell: np.ndarray, width: float = np.inf) -> Line:
    """The line of these firms; O(n log n), nothing of size treated × control."""
    places = ranked(c, c_cell)
    left = places.before(t, t_cell, "right") - 1
    first = places.before(-np.inf, t_cell, "left")
    last = places.before(np.inf, t_cell, "right")
    return Line(t, c[places.order], places.order, left, first, last, width)
