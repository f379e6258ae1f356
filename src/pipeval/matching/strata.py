"""Cells of several firms on both sides: quantiles of the score, or coarsened values of the covariates.

A stratum is a whole number a firm, −1 for a firm in none; numbers run from 0 without a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..errors import DesignError, Note, warn
from .design_matrix import is_numeric, numbers

Cut = int | Sequence[float]


def subclasses(score: np.ndarray, treated: np.ndarray, cells: np.ndarray, n: int, estimand: str = "att") -> np.ndarray:
    """The stratum of each firm: `n` quantile classes of the score of those for whose effect the estimand asks.

    Parameters
    ----------
    score : array (n_firms,)
        Probability or linear predictor.
    treated : array (n_firms,) of bool
    cells : array (n_firms,) of whole numbers
        Exact cells; classes are cut within each.
    n : int
        Number of classes. A cell that holds fewer treated or controls than this is cut into as many as it has of both.
    estimand : {"att", "atc", "ate"}
        Whose quantiles: of the treated, the controls, or all.

    Returns
    -------
    array (n_firms,) of int
        −1 where a cell lacks an arm.

    Raises
    ------
    DesignError
        When no cell holds `n` treated and `n` controls.

    Notes
    -----
    A class is closed at its lower quantile (linear interpolation between order statistics). Every class gets a firm of each
    arm: into an empty one moves the arm's nearest firm (of equal ones the first) from the side whose classes hold more to
    spare, each class counted by its spare firms over its distance. Equal scores can make fewer classes than asked; noted.

    Examples
    --------
    >>> score = np.array([0.1, 0.2, 0.3, 0.4, 0.15, 0.12, 0.35, 0.22])
    >>> subclasses(score, np.arange(8) < 4, np.zeros(8, int), 2).tolist()
    [0, 0, 1, 1, 0, 0, 1, 0]
    """
    score, treated = np.asarray(score, float), np.asarray(treated, bool)
    cell = np.unique(cells, return_inverse=True)[1]
    in_both = np.minimum(np.bincount(cell, treated), np.bincount(cell, ~treated)).astype(int)
    if n > in_both.max():
        where = "" if len(in_both) == 1 else " in the cell that holds most"
        raise DesignError(
            f"each subclass must hold a treated firm and a control; {n} subclasses were asked for and there are firms of both "
            f"arms for {in_both.max()}{where}. Set match.subclasses to at most that"
        )
    stratum, found = np.full(len(score), -1), 0
    order = np.argsort(cell, kind="stable")
    fewer = 0
    for members in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1):
        most = min(n, in_both[cell[members[0]]])
        if most == 0:
            continue
        inside = _one_cell(score[members], treated[members], most, estimand)
        stratum[members] = found + inside
        found += inside.max() + 1
        fewer += inside.max() + 1 < most
    if fewer:
        text = "equal scores leave fewer subclasses than the {n} asked for, in {cells} exact cells"
        warn(Note("fewer_subclasses", text, {"n": n, "cells": fewer}))
    return stratum


def _one_cell(score: np.ndarray, treated: np.ndarray, n: int, estimand: str) -> np.ndarray:
    focal = np.sort({"att": score[treated], "atc": score[~treated]}.get(estimand, score))
    place = (len(focal) - 1) * np.arange(1, n)  # in whole numbers: a quantile that is a firm's own score must equal it
    below, part = place // n, place % n / n
    edges = focal[below] + part * (focal[np.minimum(below + 1, len(focal) - 1)] - focal[below])
    stratum = np.unique(np.searchsorted(edges, score, side="right"), return_inverse=True)[1]
    for arm in (treated, ~treated):
        own = np.flatnonzero(arm)
        stratum[own] = _filled(stratum[own], score[own], stratum.max() + 1)
    return stratum


def _filled(stratum: np.ndarray, score: np.ndarray, n: int) -> np.ndarray:
    """The classes of one arm's firms after its empty ones have taken a firm from a neighbour."""
    stratum = stratum.copy()
    count = np.bincount(stratum, minlength=n)
    while (count == 0).any():
        empty = int(np.argmin(count))
        spare = np.maximum(count - 1, 0) / np.maximum(np.abs(np.arange(n) - empty), 1)
        left = spare[:empty].sum() >= spare[empty + 1 :].sum() and empty > 0
        if left:
            giver = int(np.flatnonzero(count[:empty])[-1])
            firm = np.flatnonzero(stratum == giver)
            firm = firm[np.argmax(score[firm])]
        else:
            giver = empty + 1 + int(np.flatnonzero(count[empty + 1 :])[0])
            firm = np.flatnonzero(stratum == giver)
            firm = firm[np.argmin(score[firm])]
        stratum[firm] = empty
        count[giver] -= 1
        count[empty] += 1
    return stratum


def coarsened(
    x: pd.DataFrame, treated: np.ndarray, cutpoints: Mapping[str, Cut] | None = None, exact: Sequence[str] = ()
) -> np.ndarray:
    """The stratum of each firm: equal in every coarsened covariate and every exact column (Iacus, King & Porro 2012).

    Parameters
    ----------
    x : DataFrame
        One row a firm, the covariates and the exact columns, none missing.
    treated : array (n,) of bool
    cutpoints : mapping of column to int or sequence of float
        Number of bins of equal width, or inner edges, each the lowest value of its bin. Numeric columns without get Sturges'
        number of bins, ⌈log₂ n⌉ + 1; columns that are not numbers are taken by their levels.
    exact : sequence of str
        Columns that are taken by their values, numbers too.

    Returns
    -------
    array (n,) of int
        −1 where treated or controls are missing from the stratum.

    Raises
    ------
    DesignError
        When cutpoints name a column that is no number, or no stratum holds both arms.

    Notes
    -----
    A number whose values all fall into one bin keeps no firms apart; noted.

    Examples
    --------
    >>> x = pd.DataFrame({"size": [1.0, 2.0, 8.0, 9.0, 30.0], "branch": ["a", "a", "b", "b", "a"]})
    >>> coarsened(x, [True, False, True, False, False], {"size": [5, 20]}).tolist()
    [0, 0, 1, 1, -1]
    """
    treated, cutpoints = np.asarray(treated, bool), cutpoints or {}
    code, whole = np.zeros(len(x), np.int64), []
    for name in x.columns:
        own = pd.factorize(x[name])[0] if name in exact else _bins(x[name], cutpoints.get(name))
        if name not in exact and is_numeric(x[name]) and np.ptp(own) == 0:
            whole.append(str(name))
        code = np.unique(code * (own.max() + 1) + own, return_inverse=True)[1]
    if whole:
        text = "all firms fall into one bin of {columns}, which keeps none of them apart"
        warn(Note("one_bin", text, {"columns": ", ".join(whole)}))
    both = (np.bincount(code, treated) > 0) & (np.bincount(code, ~treated) > 0)
    if not both.any():
        raise DesignError(
            f"some stratum must hold treated and control firms; of {len(both)} strata none does. "
            "Give match.cutpoints with fewer bins, or leave out a covariate"
        )
    number = np.where(both, np.cumsum(both) - 1, -1)
    return number[code]


def _bins(column: pd.Series, cut: Cut | None) -> np.ndarray:
    if not is_numeric(column):
        if cut is not None:
            raise DesignError(f"cutpoints are for numbers; '{column.name}' is taken by its levels. Take it out of match.cutpoints")
        return pd.factorize(column)[0]
    values = numbers(column)
    if cut is None:
        cut = int(np.ceil(np.log2(len(values)))) + 1
    if isinstance(cut, int):
        cut = np.linspace(values.min(), values.max(), cut + 1)[1:-1]
    return np.searchsorted(np.unique(np.asarray(cut, float)), values, side="right")
