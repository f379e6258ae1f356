"""Exact assignment off the line: over the nearest partners of each firm, with proof that no other is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from .neighbours import Neighbours
from .problem import Problem

Lists = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Arrays of equal length: a row, a place in `serve`, their distance."""
_BATCH = 2000  # pairs solved in one call where components are small


def assigned(problem: Problem, ratio: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of firms and of their partners in the pairs of `optimal.optimal_pairs`, by sparse assignment.

    Each firm is offered its nearest admissible partners and, where there are more, the option "someone further away" at the
    distance of the last one offered, which nobody further away can undercut. When the best assignment takes no such option it is
    the best of all; otherwise the firms that took it, and those that compete with them, are offered twice as many. A place that
    stays empty costs more than all distances together, a firm's first place twice that.

    With one partner a firm the two sides are alike, and in each cell the one with fewer firms chooses. The same holds for more
    partners where all who serve are then taken, since nobody is left for a second place. Elsewhere the lists of firms that
    find nobody grow until they hold all they may meet.
    """
    seek, serve, cell = problem.seek, problem.serve, problem.cell
    _, number = np.unique(cell, return_inverse=True)
    n_seek, n_serve = (np.bincount(number[side], minlength=number.max(initial=-1) + 1) for side in (seek, serve))
    few = n_serve < n_seek
    j, i = _growing(replace(problem, seek=serve[few[number[serve]]], serve=seek[few[number[seek]]]), 1)
    if ratio > 1:
        few &= np.bincount(number[j], minlength=len(few)) == n_serve
        i, j = i[few[number[i]]], j[few[number[j]]]
    more = _growing(replace(problem, seek=seek[~few[number[seek]]]), ratio)
    return np.r_[i, more[0]], np.r_[j, more[1]]


def _growing(problem: Problem, ratio: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs from lists that grow until the answer is certain."""
    n = len(problem.seek)
    if not n or not len(problem.serve):
        return np.zeros(0, int), np.zeros(0, int)
    near, k = Neighbours(problem), np.full(n, 4 + 4 * ratio)
    lists = listed(near, np.arange(n), int(k[0]))
    partner, pending = np.full((n, ratio), -1), np.ones(n, bool)
    while pending.any():
        again = _together(lists, pending)
        further = beyond(lists, k)
        partner[again] = _places(lists, again, further, ratio)
        pending = again & np.isfinite(further) & (partner < 0).any(axis=1)
        # those who compete with a firm that looks further will be pushed further themselves
        grows = pending | (_sharing(lists, pending) & np.isfinite(further) & (k < k[pending].max(initial=0)))
        k[grows] *= 2
        lists = longer(lists, near, grows, k)
    i, place = np.nonzero(partner >= 0)
    return problem.seek[i], problem.serve[partner[i, place]]


def listed(near: Neighbours, which: np.ndarray, k: int) -> Lists:
    """The `k` nearest admissible partners of the rows `which` of `seek`; a row with fewer has no more."""
    distance, place = near.nearest(which, k)
    row, rank = np.nonzero(place >= 0)
    return which[row], place[row, rank], distance[row, rank]


def beyond(lists: Lists, k: np.ndarray) -> np.ndarray:
    """By row: the distance that nobody who is not on its list undercuts; infinite when all are on it."""
    last = np.zeros(len(k))
    np.maximum.at(last, lists[0], lists[2])
    return np.where(np.bincount(lists[0], minlength=len(k)) < k, np.inf, last)


def longer(lists: Lists, near: Neighbours, which: np.ndarray, k: np.ndarray) -> Lists:
    """The lists with those of the rows `which` (a mask) brought to the lengths `k`."""
    kept = ~which[lists[0]]
    parts = [tuple(part[kept] for part in lists)]
    parts += [listed(near, np.flatnonzero(which & (k == length)), int(length)) for length in np.unique(k[which])]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def _sharing(lists: Lists, pending: np.ndarray) -> np.ndarray:
    """The rows whose lists hold somebody that a pending row's list holds."""
    row, column, _ = lists
    wanted = np.zeros(column.max(initial=-1) + 1, bool)
    wanted[column[pending[row]]] = True
    shares = np.zeros(len(pending), bool)
    shares[row[wanted[column]]] = True
    return shares


def _together(lists: Lists, pending: np.ndarray) -> np.ndarray:
    """The rows that share a component with a pending one."""
    if pending.all():
        return pending
    label = _components(lists[0], lists[1], len(pending))[: len(pending)]
    wanted = np.zeros(label.max() + 1, bool)
    wanted[label[pending]] = True
    return wanted[label]


def _places(lists: Lists, rows: np.ndarray, further: np.ndarray, ratio: int) -> np.ndarray:
    """Partners (−1: none) of each place of the given rows, array (rows, ratio)."""
    chosen = rows[lists[0]]
    row, column, distance = (part[chosen] for part in lists)
    row, n = (np.cumsum(rows) - 1)[row], int(rows.sum())
    empty = 1.0 + 2.0 * n * ratio * float(distance.max(initial=0.0))
    cost = np.where(np.isfinite(further[rows, None]), further[rows, None], np.r_[2.0, np.ones(ratio - 1)] * empty)
    place = np.add.outer(row * ratio, np.arange(ratio)).ravel()
    return least_total(place, np.repeat(column, ratio), np.repeat(distance, ratio), cost.ravel()).reshape(n, ratio)


def least_total(row: np.ndarray, column: np.ndarray, cost: np.ndarray, single: np.ndarray) -> np.ndarray:
    """By row the column it is matched with, or −1: the least sum of the `cost` of pairs and the `single` cost of other rows.

    `row`, `column`, `cost` list the pairs that may be made, each once; a column serves one row. Components are solved apart.

    >>> least_total(np.array([0, 0, 1]), np.array([7, 9, 7]), np.array([1.0, 2.0, 0.0]), np.array([5.0, 5.0])).tolist()
    [9, 7]
    """
    matched = np.full(len(single), -1)
    if not len(row):
        return matched
    names, column = np.unique(column, return_inverse=True)
    label = _components(row, column, len(single))[row]
    # components in the order of their first row, small ones together: a call has its price, and so has a long array
    size = np.bincount(label, minlength=label.max() + 1)
    batch = (np.cumsum(size) // _BATCH)[label]
    order = np.lexsort((column, row, batch))
    row, column, cost, batch = row[order], column[order], cost[order], batch[order]
    for part in np.split(np.arange(len(row)), np.flatnonzero(np.diff(batch)) + 1):
        r, r_number = np.unique(row[part], return_inverse=True)
        c, c_number = np.unique(column[part], return_inverse=True)
        found = _solved(r_number, c_number, cost[part], single[r], len(c))
        real = found < len(c)
        matched[r[real]] = names[c[found[real]]]
    return matched


def _solved(row: np.ndarray, column: np.ndarray, cost: np.ndarray, single: np.ndarray, n_columns: int) -> np.ndarray:
    """The column of each row; row r stays single in column `n_columns + r`."""
    n = len(single)
    values = np.r_[cost, single]
    # a sparse matrix holds no zeros; every row is matched once, so a constant decides nothing
    values = values - values.min() + (float(np.ptp(cost)) or 1.0)
    where = (np.r_[row, np.arange(n)], np.r_[column, n_columns + np.arange(n)])
    rows, columns = min_weight_full_bipartite_matching(csr_array((values, where), shape=(n, n_columns + n)))
    found = np.empty(n, int)
    found[rows] = columns
    return found


def _components(row: np.ndarray, column: np.ndarray, n_rows: int) -> np.ndarray:
    """The component of every row and, after them, of every column."""
    size = n_rows + int(column.max(initial=-1)) + 1
    return connected_components(
        csr_array((np.ones(len(row), np.int8), (row, n_rows + column)), shape=(size, size)), directed=False
    )[1]
