"""Controls on a line: the score as the one dimension in which firms are near or far, exact cell by exact cell.

Arrays only, firms as positions. Legend: `t, c` values of treated and controls on the distance scale; `cell` whole numbers, equal
where firms may meet; both sides are given in the order of `firm_id`, which breaks every tie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Treated and controls of all exact cells, ready to be searched.

    Attributes
    ----------
    t, c : arrays
        Values of the treated (as given) and of the controls (sorted).
    control : array
        The control at each place of the line: sorted by cell, value, `firm_id`.
    left : array
        By treated: the last place of its cell whose value is not above its own; `first - 1` when there is none.
    first, last : arrays
        By treated: first place of its cell, and one past its last; equal when the cell holds no control.
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
        """By treated: distance to the nearest control of its cell, used or not; infinite when the cell has none."""
        near = np.full(len(self.t), np.inf)
        for place, there in ((self.left, self.left >= self.first), (self.left + 1, self.left + 1 < self.last)):
            near[there] = np.minimum(near[there], np.abs(self.t[there] - self.c[place[there]]))
        return near


def line(t: np.ndarray, t_cell: np.ndarray, c: np.ndarray, c_cell: np.ndarray, width: float = np.inf) -> Line:
    """The line of these firms; O(n log n), nothing of size treated × control."""
    control = np.lexsort((c, c_cell))  # stable: equal values stay in the order of firm_id
    first = np.searchsorted(c_cell[control], t_cell, side="left")
    last = np.searchsorted(c_cell[control], t_cell, side="right")
    # controls before treated of the same value, so that a place counts the controls not above
    arm = np.r_[np.zeros(len(c), int), np.ones(len(t), int)]
    order = np.lexsort((arm, np.r_[c, t], np.r_[c_cell, t_cell]))
    below = np.cumsum(order < len(c))
    left = np.empty(len(t), int)
    is_treated = order >= len(c)
    left[order[is_treated] - len(c)] = below[is_treated] - 1
    return Line(t, c[control], control, left, first, last, width)
