"""The nearest firms that may be met, in any number of dimensions: k-d trees within exact cells, checked against every rule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree

from .line import Ranked, codes, ranked, rising
from .problem import Problem

_FEW = 200  # so many firms are looked at one by one sooner than a tree is asked
_EASY = 4  # and so many for each that the tree would be asked for
_NARROW = 8  # a window that is so small a part of its cell is worth trees of its own
_CELL = 62  # in the place of a level: the tree of the whole cell
_CHUNK = 1_000_000  # pairs held at a time
_SURE = 1 - 1e-12  # the tree's distances and ours differ by roundings
_LARGE = 20_000  # from here on a tree is worth building twice, the second time of points that lie near each other in memory


class Neighbours:
    """The firms that serve, ready to be searched by distance.

    Firms alike in all that a problem knows of them are one node; its members serve in the order of `firm_id`. A search asks the
    tree of a cell for ever more nodes until enough of them may be met; where fewer stand inside a caliper than it would ask
    for, those are looked at one by one. Nothing of size treated × control is held.

    Attributes
    ----------
    problem : Problem
    node : array
        By position in `serve`: its node. Nodes are numbered in the order of their first members.
    members, start : arrays
        Positions in `serve`, node by node; those of node m are `members[start[m]:start[m + 1]]`, ascending.
    open : array of bool
        By node: whether it can still serve; a closed node is not found.
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        self.node, self.members, self.start = _alike(problem)
        self._serve = problem.serve[self.members[self.start[:-1]]]  # by node: the position of its first member
        self.open = np.ones(len(self._serve), bool)
        cell = problem.cell[self._serve]
        self._axes: list[tuple[np.ndarray, float, Ranked]] = [
            (values, width, ranked(values[self._serve], cell)) for values, width in problem.calipers
        ] or [(np.zeros(len(problem.cell)), np.inf, ranked(np.zeros(len(cell)), cell))]
        self._trees: dict[tuple[int, int, int], tuple[cKDTree | None, np.ndarray]] = {}
        self._wasted: dict[tuple[int, int, int], int] = {}
        self._shut = _apart_from_all(problem)

    def nearest(self, which: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """By row of `which` (positions in `seek`): distances and positions in `serve` of the `k` nearest that it may meet.

        Sorted by distance, then position; where there are fewer, filled up with infinity and −1.

        >>> points = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [0.0, -1.0]])
        >>> some = Neighbours(Problem(np.array([0]), np.array([1, 2, 3]), points, np.zeros(4, int)))
        >>> [found.tolist() for found in some.nearest(np.array([0]), 2)]
        [[[1.0, 1.0]], [[1, 2]]]
        """
        row, distance, node, _ = self.within(which, k)
        size = np.minimum(self.start[node + 1] - self.start[node], k)
        row, distance, at = (np.repeat(column, size) for column in (row, distance, self.start[node]))
        serve = self.members[at + _counted(size)]
        order = np.lexsort((serve, distance, row))
        row = row[order]
        rank = _rank(row)
        kept = rank < k
        near, found = np.full((len(which), k), np.inf), np.full((len(which), k), -1)
        near[row[kept], rank[kept]] = distance[order][kept]
        found[row[kept], rank[kept]] = serve[order][kept]
        return near, found

    def within(self, which: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The `k` nearest open nodes that each row of `which` may meet, and all that are as near as the last of them.

        Returns `row` (ascending), `distance` (ascending in a row), `node`, and by row of `which` whether there are no more.
        """
        i = self.problem.seek[which]
        row, key, *window = self._parts(i, *self._windows(i, self._shut[which]), max(_FEW, _EASY * k))
        search = _Search(i[row], *window, k, np.zeros(len(row), bool))
        few = search.size <= max(_FEW, _EASY * k)
        self._look(search, np.flatnonzero(few))
        rest = np.flatnonzero(~few)
        rest = rest[np.lexsort(key[rest].T)]
        for rows in np.split(rest, np.flatnonzero(np.diff(key[rest], axis=0).any(axis=1)) + 1):
            if len(rows):
                self._grow(search, rows[_close_together(self.problem.points[search.i[rows]])], tuple(key[rows[0]].tolist()), k + 1)
        part, distance, node = search.sorted()
        if len(row) == len(i):
            return part, distance, node, search.complete
        whole = np.ones(len(i), bool)
        whole[row[~search.complete]] = False
        together = _Search(i, *(column[:0] for column in window), k, np.zeros(len(i), bool))
        together.keep(np.arange(len(i)), row[part], distance, node, whole)
        return *together.sorted(), together.complete

    def _parts(self, i, axis, low, size, few) -> tuple[np.ndarray, ...]:
        """Windows cut at the edges of blocks on their axis, where they are a small part of their cell.

        A block holds a power of two of places, a quarter to half as many as the window, so that most of what its tree finds is
        inside. Returns the row of each part, the key of its tree (level, axis, block; or _CELL, 0, cell), axis, low, size.
        """
        cell = self.problem.cell[i]
        places = self._axes[0][2]
        everybody = places.before(np.inf, cell, "right") - places.before(-np.inf, cell, "left")
        narrow = (size > few) & (size * _NARROW <= everybody)
        level = np.where(narrow, np.log2(np.maximum(size, 2)).astype(int) - 1, _CELL)
        first, last = low >> level, np.maximum(low, low + size - 1) >> level
        count = last - first + 1
        row = np.repeat(np.arange(len(i)), count)
        level, block = level[row], first[row] + _counted(count)
        start = np.maximum(low[row], block << level)
        end = np.minimum((low + size)[row], (block + 1) << level)
        whole = level == _CELL
        key = np.column_stack([level, np.where(whole, 0, axis[row]), np.where(whole, cell[row], block)])
        return row, key, axis[row], start, end - start

    def _windows(self, i: np.ndarray, shut: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """By position: the caliper that leaves fewest nodes, the first of their places on its axis, and how many they are."""
        cell, low, high = self.problem.cell[i], [], []
        for values, width, places in self._axes:
            reach = width + 4 * np.finfo(float).eps * (np.abs(values[i]) + width)  # the rules decide, not a rounded sum
            low.append(places.before(values[i] - reach, cell, "left"))
            high.append(places.before(values[i] + reach, cell, "right"))
        axis, here = np.argmin(np.array(high) - np.array(low), axis=0), np.arange(len(i))
        low, high = np.array(low)[axis, here], np.array(high)[axis, here]
        return axis, low, np.where(shut, 0, high - low)

    def _look(self, search: _Search, rows: np.ndarray) -> None:
        """Every node in the windows of `rows`, one by one."""
        share = np.cumsum(search.size[rows]) // _CHUNK
        for some in np.split(rows, np.flatnonzero(np.diff(share)) + 1):
            at = np.repeat(np.arange(len(some)), search.size[some])
            place, axis = search.low[some][at] + _counted(search.size[some]), search.axis[some][at]
            node = np.empty(len(at), int)
            for number, (_, _, places) in enumerate(self._axes):
                node[axis == number] = places.order[place[axis == number]]
            fine = self.open[node]
            at, node = at[fine], node[fine]
            seeker, server = search.i[some][at], self._serve[node]
            fine = self.problem.admissible(seeker, server)
            distance = self.problem.distance(seeker[fine], server[fine])
            search.keep(some, at[fine], distance, node[fine], np.ones(len(some), bool))

    def _grow(self, search: _Search, rows: np.ndarray, key: tuple[int, int, int], ask: int) -> None:
        """The nearest nodes of `rows`, all of one tree, which is asked for `ask` nodes a row, then for twice as many, and so on."""
        while len(rows):
            if len(rows) > 1 and len(rows) * ask > 2 * _CHUNK:
                for half in np.array_split(rows, 2):
                    self._grow(search, half, key, ask)
                return
            few = search.size[rows] <= max(_FEW, _EASY * ask)
            self._look(search, rows[few])
            rows = rows[~few]
            tree, nodes = self._tree(key)
            if len(rows) == 0 or tree is None:
                search.complete[rows] = True
                return
            i = search.i[rows]
            reach, near = tree.query(self.problem.points[i], k=np.arange(1, min(ask, len(nodes)) + 1))
            reach = reach[:, -1:] * _SURE if ask < len(nodes) else np.full((len(rows), 1), np.inf)
            node = nodes[near]
            server = self._serve[node]
            distance = self.problem.distance(i[:, None], server)
            fine = (distance < reach) & self.open[node] & self.problem.admissible(i[:, None], server)
            whole = np.isinf(reach[:, 0])
            done = whole | (fine.sum(axis=1) >= search.k)
            at, column = np.nonzero(fine & done[:, None])
            search.keep(rows, at, distance[at, column], node[at, column], whole)
            self._wasted[key] += int((~self.open[node]).sum())
            rows, ask = rows[~done], 2 * ask

    def _tree(self, key: tuple[int, int, int]) -> tuple[cKDTree | None, np.ndarray]:
        """The tree of a cell or block and its nodes; built again without the closed ones once these cost as much as a tree."""
        if key not in self._trees or self._wasted[key] > len(self._trees[key][1]):
            level, axis, block = key
            places = self._axes[axis][2]
            if level == _CELL:
                cell = np.array([block])
                nodes = places.order[int(places.before(-np.inf, cell, "left")[0]) : int(places.before(np.inf, cell, "right")[0])]
            else:
                nodes = places.order[block << level : (block + 1) << level]
            nodes = np.sort(nodes[self.open[nodes]])
            tree = None
            if len(nodes):
                nodes = nodes[_close_together(self.problem.points[self._serve[nodes]])]
                tree = cKDTree(self.problem.points[self._serve[nodes]], balanced_tree=False, compact_nodes=False)
            self._trees[key], self._wasted[key] = (tree, nodes), 0
        return self._trees[key]


@dataclass(slots=True, eq=False)
class _Search:
    """One search: who asks, the window of each, and what was found."""

    i: np.ndarray
    axis: np.ndarray
    low: np.ndarray
    size: np.ndarray
    k: int
    complete: np.ndarray
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)

    def keep(self, rows: np.ndarray, at: np.ndarray, distance: np.ndarray, node: np.ndarray, whole: np.ndarray) -> None:
        """Of the pairs of `rows[at]` and `node`, the `k` nearest and all as near; `whole` says for whom these are all there are."""
        order = np.lexsort((node, distance, at))
        at, distance, node = at[order], distance[order], node[order]
        last = _rank(at) == self.k - 1
        limit = np.full(len(rows), np.inf)
        limit[at[last]] = distance[last]
        kept = distance <= limit[at]
        whole = whole.copy()
        whole[at[~kept]] = False
        self.complete[rows] = whole
        self.found.append((rows[at[kept]], distance[kept], node[kept]))

    def sorted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What was found, row by row."""
        row, distance, node = (np.concatenate(column) for column in zip(*self.found, strict=True))
        order = np.argsort(row, kind="stable")
        return row[order], distance[order], node[order]


def why_single(problem: Problem, single: np.ndarray | None = None) -> np.ndarray:
    """By firm that seeks: what keeps it single, if it is.

    no_partner_in_exact_cell: nobody serves there; caliper: all stand outside one; kept_apart: those inside may not share a set
    with it; pool_exhausted: none of these, so that others took all it could have had.

    Parameters
    ----------
    single : array of positions in `seek`, optional
        The firms asked about; an empty reason for the others. Default: all.

    Examples
    --------
    >>> points = np.array([[0.0], [5.0], [5.0], [5.2]])
    >>> why_single(Problem(np.array([0, 1, 2]), np.array([3]), points, np.array([0, 0, 1, 0]), ((points[:, 0], 1.0),))).tolist()
    ['caliper', 'pool_exhausted', 'no_partner_in_exact_cell']
    """
    which = np.arange(len(problem.seek)) if single is None else np.asarray(single, int)
    reason = np.full(len(problem.seek), "", dtype=object)
    if len(which) == 0:
        return reason
    if problem.scalar:
        near, width = problem.line().nearest()[which], min((w for _, w in problem.calipers), default=np.inf)
        reason[which] = np.select([np.isinf(near), near > width], ["no_partner_in_exact_cell", "caliper"], "pool_exhausted")
        return reason
    reason[which] = "pool_exhausted"
    for rules, why in ((problem, "kept_apart"), (replace(problem, apart=()), "caliper")):
        which = np.delete(which, Neighbours(rules).within(which, 1)[0]) if len(which) else which
        reason[which] = why
    reason[which[~np.isin(problem.cell[problem.seek[which]], problem.cell[problem.serve])]] = "no_partner_in_exact_cell"
    return reason


def _alike(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The node of each position in `serve`, and the members of each node."""
    serve = problem.serve
    columns = [problem.cell[serve], *problem.points[serve].T]
    columns += [values[serve] for values, _ in problem.calipers] + [label[serve] for label in problem.apart]
    key = np.zeros(len(serve), np.uint64)
    for column in columns:
        bits = (column.astype(float) + 0.0).view(np.uint64)  # plus zero: minus zero is equal to zero
        key = (key ^ bits) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    members = rising(key)
    new = np.ones(len(serve) + 1, bool)
    new[1:-1] = key[members][1:] != key[members][:-1]
    if new.all():
        return np.arange(len(serve)), np.arange(len(serve)), np.arange(len(serve) + 1)
    same = ~new[1:-1]
    if any((column[members][1:] != column[members][:-1])[same].any() for column in columns):  # unlike firms with one key
        members = np.lexsort((np.arange(len(serve)), *columns))
        new[1:-1] = np.any([column[members][1:] != column[members][:-1] for column in columns], axis=0)
    first = np.flatnonzero(new)
    size, head = np.diff(first), members[first[:-1]]
    order = np.argsort(head)
    members = members[np.repeat(first[:-1][order], size[order]) + _counted(size[order])]
    node = np.empty(len(serve), int)
    node[members] = np.repeat(np.arange(len(order)), size[order])
    return node, members, np.r_[0, np.cumsum(size[order])]


def _apart_from_all(problem: Problem) -> np.ndarray:
    """By firm that seeks: whether every firm of its cell must be kept apart from it (counted by inclusion and exclusion)."""
    forbidden = np.zeros(len(problem.seek), int)
    if not 0 < len(problem.apart) <= 6:  # more have more subsets than a search is long
        return forbidden > 0
    for size in range(1, len(problem.apart) + 1):
        for labels in combinations(problem.apart, size):
            forbidden -= (-1) ** size * _same(problem, labels)
    return (forbidden > 0) & (forbidden == _same(problem, ()))


def _same(problem: Problem, labels: tuple[np.ndarray, ...]) -> np.ndarray:
    """By firm that seeks: how many of its cell carry all its labels."""
    _, number = codes(problem.cell)
    for label in labels:
        number = codes(number * (label.max(initial=0) + 2) + np.maximum(label, -1) + 1)[1]
    carried = np.all([label >= 0 for label in labels], axis=0) & np.ones(len(number), bool)
    count = np.bincount(number[problem.serve[carried[problem.serve]]], minlength=number.max(initial=0) + 1)
    return np.where(carried[problem.seek], count[number[problem.seek]], 0)


def _close_together(points: np.ndarray) -> np.ndarray:
    """An order in which rows that lie near each other in space lie near each other in memory, for the processor's cache."""
    if len(points) < _LARGE:
        return np.arange(len(points))
    return cKDTree(points, balanced_tree=False, compact_nodes=False).indices


def _counted(size: np.ndarray) -> np.ndarray:
    """0, 1, … within runs of these lengths."""
    return np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)


def _rank(row: np.ndarray) -> np.ndarray:
    """0, 1, … within runs of equal numbers."""
    return np.arange(len(row)) - np.searchsorted(row, row)
