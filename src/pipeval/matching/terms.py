"""What a balance table judges and whom it compares, as arrays: the terms of the columns, and the two arms with their weights.

Arms are positions in the order of the firms handed over, so that nothing after this joins on ids again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations

import numpy as np
import pandas as pd

from ..errors import DataError, some
from .design_matrix import expand
from .matched import MatchedSample

DENOMINATORS = {"att": "treated", "atc": "control", "ate": "pooled", "ato": "pooled"}
"""Whose standard deviation, before matching, scales a difference of means, by estimand."""


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """One group: `place` (positions, ascending), `weight` (of each, never 0), `total` Σw, `square` Σw², `n` firms with w > 0."""

    place: np.ndarray
    weight: np.ndarray
    total: float
    square: float
    n: int

    def where(self, seen: np.ndarray) -> Arm:
        """The arm without the firms that are not `seen` (array by position)."""
        inside = seen[self.place]
        return self if inside.all() else arm(self.place[inside], self.weight[inside])

    @property
    def ess(self) -> float:
        """Kish's effective sample size; NaN without any weight."""
        return self.total**2 / self.square if self.square > 0 else np.nan

    def moments(self, x: np.ndarray) -> tuple[float, float]:
        """Weighted mean and variance of `x`, an array by position; NaN where undefined.

        Negative weights, those of a regression, enter the mean alone.
        """
        return self.own_moments(x[self.place])

    def own_moments(self, own: np.ndarray) -> tuple[float, float]:
        """The same of the arm's own values, in the order of `place`."""
        mean = float((self.weight * own).sum() / self.total) if self.total > 0 else np.nan
        if self.n < len(self.weight):
            positive = self.weight > 0
            return mean, arm(self.place[positive], self.weight[positive]).own_moments(own[positive])[1]
        freedom = self.total**2 - self.square
        if self.n < 2 or freedom <= 0:
            return mean, np.nan
        gap = own - mean
        gap *= gap
        gap *= self.weight
        return mean, float(gap.sum() * self.total / freedom)


@dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """Treated and controls in one sample. A firm may stand in both: it enters later than those whose control it is.

    By position: `cluster` (−1: none), `step` (what the firm adds to the treated's distribution function less the controls'), and,
    where every firm stands in one arm and weighs 1, `plain` (whether it is treated; None otherwise). `groups`: clusters with a firm
    of either arm. `alone`: whether each firm is its own cluster, named by its position.
    """

    treated: Arm
    control: Arm
    cluster: np.ndarray
    step: np.ndarray
    groups: int
    plain: np.ndarray | None = None
    alone: bool = False

    def where(self, seen: np.ndarray) -> Arms:
        """Both arms without the firms that are not `seen`."""
        return arms_of(self.treated.where(seen), self.control.where(seen), self.cluster, self.plain, self.alone)

    def by_cluster(self, treated: np.ndarray, control: np.ndarray) -> np.ndarray:
        """Sums by cluster of values of the treated less values of the controls, both in the order of their `place`."""
        if self.alone:
            sums = np.zeros(len(self.cluster))
            sums[self.treated.place] = treated
            sums[self.control.place] -= control
            return sums
        size = int(self.cluster.max()) + 1
        sums = np.bincount(self.cluster[self.treated.place], treated, minlength=size)
        sums -= np.bincount(self.cluster[self.control.place], control, minlength=size)
        return sums


def arm(place: np.ndarray, weight: np.ndarray) -> Arm:
    """The arm of these positions; those of weight 0 are not in it."""
    inside = weight != 0
    if not inside.all():
        place, weight = place[inside], weight[inside]
    return Arm(place, weight, float(weight.sum()), float((weight**2).sum()), int((weight > 0).sum()))


def arms_of(treated: Arm, control: Arm, cluster: np.ndarray, plain: np.ndarray | None = None, alone: bool = False) -> Arms:
    """Two arms as one sample."""
    step = np.zeros(len(cluster))
    if treated.total > 0 and control.total > 0:
        step[treated.place] = treated.weight / treated.total
        step[control.place] -= control.weight / control.total
    there = np.zeros(int(cluster.max(initial=-1)) + 1, bool)
    there[cluster[treated.place]] = True
    there[cluster[control.place]] = True
    return Arms(treated, control, cluster, step, int(there.sum()), plain, alone)


def arms(firms: pd.DataFrame, matched: MatchedSample | pd.Series) -> dict[str, Arms]:
    """The arms `before` and `after` matching.

    Parameters
    ----------
    firms : DataFrame
        Index `firm_id`, unique; `cohort`.
    matched : MatchedSample or Series
        The sample, or weights by `firm_id` or by `cohort, firm_id`; firms it does not name weigh 0.

    Raises
    ------
    DataError
        When a weight is missing or infinite, or none belongs to one of the firms.

    Returns
    -------
    dict of str to Arms
        `before`: every treated firm against every never-treated one, each weighing 1. `after`: weights summed over cohorts. A
        firm counts as the treated of its own cohort and as a control of any other.

    Examples
    --------
    >>> firms = pd.DataFrame({"cohort": [2004, 2004, np.inf]}, index=list("abc"))
    >>> arms(firms, pd.Series(1.0, index=["a", "c"]))["after"].treated.place
    array([0])
    """
    cohort = firms["cohort"].to_numpy(float)
    treated = np.isfinite(cohort)
    alone = np.arange(len(firms))
    ones = np.ones(len(firms))
    before = arms_of(arm(alone[treated], ones[treated]), arm(alone[~treated], ones[~treated]), alone, treated, True)
    place, weight, in_treated = _weighted(firms, matched, cohort)
    known = place >= 0
    place, weight, in_treated = place[known], weight[known], in_treated[known]
    sums = [np.bincount(place[side], weights=weight[side], minlength=len(firms)) for side in (in_treated, ~in_treated)]
    by_set = isinstance(matched, MatchedSample) and matched.clusters_are_sets
    cluster = _clusters(firms, matched) if by_set else alone
    return {"before": before, "after": arms_of(arm(alone, sums[0]), arm(alone, sums[1]), cluster, alone=not by_set)}


def _weighted(firms: pd.DataFrame, matched: MatchedSample | pd.Series, cohort: np.ndarray):
    """Position, weight and arm of each entry of the weights."""
    if isinstance(matched, MatchedSample):
        sets = matched.sets
        return firms.index.get_indexer(sets["firm_id"]), sets["weight"].to_numpy(float), (sets["role"] == "treated").to_numpy()
    place = firms.index.get_indexer(matched.index.get_level_values(-1))
    own, weight = cohort[place], matched.to_numpy(float, na_value=np.nan)
    wrong = matched.index[~np.isfinite(weight)]
    if len(wrong):
        raise DataError(
            f"every weight must be a finite number; it is missing or infinite for {some(wrong)}. Leave them out, or give 0"
        )
    if len(place) and (place < 0).all():
        raise DataError(
            f"weights must be of firms of the table; of {some(matched.index)} none is. Give them the table's firm_id as index"
        )
    if matched.index.nlevels == 1:
        return place, weight, np.isfinite(own)
    return place, weight, own == matched.index.get_level_values(0).to_numpy(float)


def _clusters(firms: pd.DataFrame, sample: MatchedSample) -> np.ndarray:
    labels = sample.clusters
    place = firms.index.get_indexer(labels.index)
    cluster = np.full(len(firms), -1)
    cluster[place[place >= 0]] = pd.factorize(labels)[0][place >= 0]
    return cluster


def terms(
    firms: pd.DataFrame, columns: Sequence[str], *, squares: bool = False, interactions: bool = False
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of each term: a number as it stands, anything else one indicator a level; then squares, then products.

    Squares (`x^2`) are of numbers that are not 0/1; products (`x*z`) of every two terms but of two levels of one factor. A square
    or product that is constant, or that repeats a term before it value for value, is left out.

    Examples
    --------
    >>> frame = pd.DataFrame({"size": [3, 5, 4], "branch": ["leather", "footwear", "leather"]})
    >>> [name for name, _ in terms(frame, ["size", "branch"], squares=True, interactions=True)]
    ['size', 'branch=footwear', 'branch=leather', 'size^2', 'size*branch=footwear', 'size*branch=leather']
    """
    if not (squares or interactions):
        for column in dict.fromkeys(columns):
            matrix, names, _ = expand(firms, [column])
            yield from zip(names, matrix.T)
        return
    matrix, names, sources = expand(firms, list(dict.fromkeys(columns)))
    single = [np.ascontiguousarray(values) for values in matrix.T]
    yield from zip(names, single)
    made = _products(names, sources, single, squares, interactions)
    met = {_print_of(values) for values in single}
    for name, values in made:
        mark = _print_of(values)
        seen = values[~np.isnan(values)]
        if mark in met or len(seen) == 0 or seen.min() == seen.max():
            continue
        met.add(mark)
        yield name, values


def is_binary(x: np.ndarray) -> bool:
    """Whether nothing but 0 and 1 (and missing) occurs."""
    head = x[:64]
    if not ((head == 0) | (head == 1) | np.isnan(head)).all():
        return False
    return bool(((x == 0) | (x == 1) | np.isnan(x)).all())


def spreads(x: np.ndarray, treated: tuple[float, float], control: tuple[float, float]) -> dict[str, float]:
    """Standard deviations of `treated`, `control` and `pooled`, √((s₁² + s₀²)/2), from each arm's mean and variance.

    √(p(1 − p)) in place of s for 0/1.
    """
    binary = is_binary(x)
    one, other = (mean * (1 - mean) if binary and variance == variance else variance for mean, variance in (treated, control))
    return {"treated": float(np.sqrt(one)), "control": float(np.sqrt(other)), "pooled": float(np.sqrt((one + other) / 2))}


def _products(names: list[str], sources: list[str], single: list[np.ndarray], squares: bool, interactions: bool):
    if squares:
        yield from ((f"{name}^2", values**2) for name, values in zip(names, single) if not is_binary(values))
    if interactions:
        for i, j in combinations(range(len(names)), 2):
            if sources[i] != sources[j]:
                yield f"{names[i]}*{names[j]}", single[i] * single[j]


def _print_of(values: np.ndarray) -> bytes:
    """A fingerprint that equal columns share: −0 as 0, every missing alike."""
    return blake2b(np.where(np.isnan(values), np.nan, values + 0.0).tobytes(), digest_size=16).digest()
