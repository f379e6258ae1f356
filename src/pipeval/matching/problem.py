"""A matching problem as arrays: who seeks a partner, who may serve as one, how far apart they stand, and who may not meet."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .line import Line, line

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Arrays of equal length: position in `seek`, position in `serve`, rank in the set (1 = found first)."""


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Firms as positions 0 … n − 1 in the order of `firm_id`, which breaks every tie.

    Attributes
    ----------
    seek, serve : arrays of positions, ascending
        Those who get partners, and those who may serve as partners: treated and controls, or controls and treated.
    points : array (n, p)
        The distance of two firms is the Euclidean distance of their rows; one column for a score.
    cell : array (n,) of whole numbers
        Firms meet only where these are equal.
    calipers : tuple of (array (n,), width)
        Firms meet only where the values differ by no more than the width.
    apart : tuple of arrays (n,) of whole numbers
        Firms do not meet where both numbers are equal and not negative.
    """

    seek: np.ndarray
    serve: np.ndarray
    points: np.ndarray
    cell: np.ndarray
    calipers: tuple[tuple[np.ndarray, float], ...] = ()
    apart: tuple[np.ndarray, ...] = field(default=())

    @property
    def scalar(self) -> bool:
        """Whether the firms stand on a line on which nothing but a caliper on that line keeps them apart."""
        axis = self.points[:, 0]
        return self.points.shape[1] == 1 and not self.apart and all(_same(values, axis) for values, _ in self.calipers)

    def line(self) -> Line:
        """The firms on their line, cell by cell, with the narrowest caliper; for a scalar problem only."""
        axis, width = self.points[:, 0], min((w for _, w in self.calipers), default=np.inf)
        return line(axis[self.seek], self.cell[self.seek], axis[self.serve], self.cell[self.serve], width)

    def distance(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Distances of positions `i` from positions `j` (broadcast): the same for the same pair, in whatever order they come."""
        total = np.zeros(np.broadcast(i, j).shape)
        if self.points.shape[1] == 1:
            return np.abs(self.points[i, 0] - self.points[j, 0]) + total
        for column in self.points.T:  # one by one: a matrix product rounds by its place
            total += (column[i] - column[j]) ** 2
        return np.sqrt(total)

    def admissible(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Whether positions `i` and `j` (broadcast) may meet: one cell, inside every caliper, not kept apart."""
        fine = self.cell[i] == self.cell[j]
        for values, width in self.calipers:
            fine &= np.abs(values[i] - values[j]) <= width
        for label in self.apart:
            fine &= (label[i] < 0) | (label[i] != label[j])
        return fine


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one is other or np.array_equal(one, other)
