"""Which cells of a table are blanked so that none that tells too much can be had from the rest.

The table is a list of cells and a list of sums among them: totals of rows and columns, counts that add up within a row, and parts
that nobody printed. A blank cell is safe when what an outsider can infer of it from all that is printed, by linear programming
over numbers that are not negative, is an interval of the width asked for. After Fischetti and Salazar (2000), *Mathematical
Programming* 87, and Hundepool et al. (2012), chapter 4; second cells are chosen
greedily.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linprog

_TOLERANCE = 1e-6
_FAR = 1e4
"""What stands for no upper end, in units of the largest blank cell."""


@dataclass
class System:
    """Cells and the sums among them.

    Attributes
    ----------
    values : list of float
        True values of the cells.
    printed : list of bool
        Whether the cell stands in the table; of the others, `known` says whether an outsider is taken to know it.
    known : list of bool
    tied : list of int
        Cells of one number are blanked together.
    sums : list of (int, tuple of int)
        The whole and its parts.
    signed : set of int
        Cells of which an outsider does not know that they are not negative.
    """

    values: list[float] = field(default_factory=list)
    printed: list[bool] = field(default_factory=list)
    known: list[bool] = field(default_factory=list)
    tied: list[int] = field(default_factory=list)
    sums: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    signed: set[int] = field(default_factory=set)

    def cell(self, value: float, printed: bool = True, known: bool = True, tied: int | None = None) -> int:
        """Add a cell; its number."""
        self.values.append(float(value))
        self.printed.append(printed)
        self.known.append(known)
        self.tied.append(-len(self.values) if tied is None else tied)
        return len(self.values) - 1

    def adds(self, whole: int, parts: Sequence[int], opened: bool = False) -> int | None:
        """Say that parts make a whole; what is missing becomes a part that is not printed, whose number is returned.

        `opened` says that there is such a part even where it is zero.

        Raises
        ------
        ValueError
            When the parts are more than the whole.
        """
        rest = self.values[whole] - sum(self.values[p] for p in parts)
        slack = 1e-9 * max(1.0, *(abs(self.values[c]) for c in (whole, *parts)))
        if rest < -slack:
            raise ValueError(f"parts are {-rest:g} more than their whole, {self.values[whole]:g}")
        more = [self.cell(max(rest, 0.0), printed=False, known=False)] if opened or rest > slack else []
        self.sums.append((whole, (*parts, *more)))
        return more[0] if more else None


def hidden(system: System, sensitive: Sequence[bool], widths: Sequence[float]) -> np.ndarray:
    """By cell, whether it is blanked: the sensitive ones, what is tied to them, and the second cells that keep them from being had.

    Parameters
    ----------
    system : System
    sensitive : sequence of bool
        The cells that may not be told.
    widths : sequence of float
        The least width of what an outsider may infer of each.

    Raises
    ------
    ValueError
        When a cell cannot be protected by blanking others.

    >>> small = System()
    >>> whole, parts = small.cell(12), [small.cell(2), small.cell(7), small.cell(3000)]
    >>> _ = small.adds(small.cell(3009), parts), small.adds(whole, [parts[0]])
    >>> hidden(small, [False, True, False, False, False, False], [5.0] * 6).tolist()
    [False, True, True, False, False, False]
    """
    blank = ~np.asarray(system.known, dtype=bool)
    tied = np.asarray(system.tied)
    for cell in np.flatnonzero(sensitive):
        blank[tied == tied[cell]] = True
    pending = [c for c in range(len(blank)) if sensitive[c]]
    while pending:
        low, high = interval(system, blank, pending[0])
        if high - low >= (1 - _TOLERANCE) * widths[pending[0]]:
            pending.pop(0)
            continue
        second = _second(system, blank, pending[0])
        if second is None:
            raise ValueError("a small cell cannot be hidden: every other cell of its sums is blank already")
        blank[tied == tied[second]] = True
    return blank & np.asarray(system.printed) & ~_told_anyway(system, blank, sensitive)


def interval(system: System, blank: np.ndarray, cell: int) -> tuple[float, float]:
    """The least and the largest that a blank cell can be, to someone who knows every other cell and every sum."""
    if not blank[cell]:
        return system.values[cell], system.values[cell]
    cells, sums = _around(system, blank, cell)
    place = {c: i for i, c in enumerate(cells)}
    left = np.zeros((len(sums), len(cells)))
    scale = max([abs(system.values[c]) for c in cells] + [1e-9])
    for row, (whole, parts) in enumerate(sums):
        for c, sign in ((whole, -1.0), *((p, 1.0) for p in parts)):
            if blank[c]:
                left[row, place[c]] += sign
    truth = np.array([system.values[c] for c in cells]) / scale
    fits = {"A_eq": left, "b_eq": left @ truth} if len(sums) else {}
    ends = []
    for sign in (1.0, -1.0):
        goal = np.zeros(len(cells))
        goal[place[cell]] = sign
        found = linprog(goal, **fits, bounds=[(-_FAR if c in system.signed else 0, _FAR) for c in cells])
        if found.status != 0:
            raise ValueError(f"what can be inferred of a blank cell is not known: {found.message}")
        ends.append(sign * found.fun * scale)
    return ends[0], ends[1]


def _around(system: System, blank: np.ndarray, cell: int) -> tuple[list[int], list[tuple[int, tuple[int, ...]]]]:
    """The blank cells that hang together with this one through sums, and these sums."""
    cells, taken, grown = {cell}, set(), True
    while grown:
        grown = False
        for number, (whole, parts) in enumerate(system.sums):
            members = {c for c in (whole, *parts) if blank[c]}
            if number not in taken and members & cells:
                taken.add(number)
                cells |= members
                grown = True
    return sorted(cells), [system.sums[n] for n in sorted(taken)]


def _second(system: System, blank: np.ndarray, cell: int) -> int | None:
    """The printed cell to blank next: one whose sums hold a blank already, then one beside this cell, then the smallest."""
    around = _around(system, blank, cell)[1]
    near = {c for whole, parts in around if cell in (whole, *parts) for c in (whole, *parts)}
    every = {c for whole, parts in around for c in (whole, *parts) if system.printed[c] and not blank[c]}
    opened = dict.fromkeys(every, 0)
    for whole, parts in system.sums:
        if not any(blank[c] for c in (whole, *parts)):
            for c in every & {whole, *parts}:
                opened[c] += 1
    return min(every, key=lambda c: (opened[c], c not in near, system.values[c] == 0, abs(system.values[c]), c), default=None)


def _told_anyway(system: System, blank: np.ndarray, sensitive: Sequence[bool]) -> np.ndarray:
    """Blank cells, with all that is tied to them, that anyone can compute: blanking them protects nothing."""
    tied, told = np.asarray(system.tied), np.zeros(len(blank), dtype=bool)
    for group in dict.fromkeys(tied[blank & np.asarray(system.printed)]):
        cells = np.flatnonzero(tied == group)
        if not any(sensitive[c] for c in cells):
            ends = [interval(system, blank, c) for c in cells]
            told[cells] = all(high - low <= _TOLERANCE * max(1.0, abs(high)) for low, high in ends)
    return told
