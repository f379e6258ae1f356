"""Covariates of firms as columns of a 2×2 cell: numbers standardised, other things as one 0/1 column a level."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import DataError, DesignError, EstimationError, some
from .kernel import CellError

REMEDIES = {
    "collinear": "constant or collinear covariate: {names}. Likeliest first: (1) drop one of them; (2) a covariate that is the sum "
    "or a copy of others, or constant among these firms; (3) too few comparison firms for so many covariates: use fewer",
    "separation": "separation: {names} tells treated from comparison firms without error, so no comparison firm is like them. "
    "Likeliest first: (1) drop it, or merge its levels; (2) restrict the panel to firms that overlap on it; (3) method: reg "
    "extrapolates instead, where the covariate varies among comparison firms",
    "no_convergence": "the logit did not converge; likeliest cause: {names}. (1) drop or rescale it; (2) look for outliers; "
    "(3) use fewer covariates",
    "no_overlap": "no overlap: fewer than two comparison firms carry all the weight, chiefly because of {names}. (1) drop it; "
    "(2) restrict the panel to firms that overlap on it; (3) match first",
}


@dataclass(frozen=True, slots=True)
class Covariates:
    """`numbers` (n, p) standardised, named `names`; `levels` one (name, codes, levels) a categorical covariate; `missing` (n,)."""

    numbers: np.ndarray
    names: tuple[str, ...]
    levels: tuple[tuple[str, np.ndarray, np.ndarray], ...]
    missing: np.ndarray


def covariates(firms: pd.DataFrame, names: Sequence[str]) -> Covariates:
    """The covariates of all firms; two-valued and non-numeric ones are categories.

    Raises
    ------
    DesignError
        When a name is not a column of `firms`.
    EstimationError
        When a numeric covariate is constant.
    """
    absent = [n for n in names if n not in firms.columns]
    if absent:
        near = difflib.get_close_matches(absent[0], list(map(str, firms.columns)), 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise DesignError(
            f"covariates must be columns of the panel's firms; not found: {absent}{hint} Columns: {list(firms.columns)}"
        )
    missing = np.zeros(len(firms), bool)
    numbers, number_names, levels = [], [], []
    for name in names:
        column = firms[name].infer_objects()
        missing |= column.isna().to_numpy()
        if pd.api.types.is_numeric_dtype(column) and column.nunique() != 2:
            numbers.append(_standardised(column, name))
            number_names.append(name)
        else:
            if not pd.api.types.is_numeric_dtype(column):
                column = column.astype(object).map(str, na_action="ignore")  # levels of mixed types have no order
            codes, found = pd.factorize(column, sort=True)
            levels.append((name, codes, np.asarray(found)))
    stacked = np.column_stack(numbers) if numbers else np.zeros((len(firms), 0))
    return Covariates(stacked, tuple(number_names), tuple(levels), missing)


def _standardised(column: pd.Series, name: str) -> np.ndarray:
    values = column.to_numpy(float, na_value=np.nan)
    if np.isinf(values).any():
        raise DataError(f"covariate '{name}' must be finite or missing; infinite for {some(column.index[np.isinf(values)])}")
    known = values[~np.isnan(values)]
    spread = known.std() if len(known) else 0.0
    if spread <= 1e-12 * max(1.0, np.abs(known).max(initial=0.0)):
        raise EstimationError("covariates must vary; " + REMEDIES["collinear"].format(names=f"'{name}'"))
    return (values - known.mean()) / spread


def cell_columns(cov: Covariates, rows: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str], dict[str, int]]:
    """The columns of one cell: which of `rows` stay, x with intercept, a name per column, comparison firms left out by covariate.

    Comparison firms of a level that no treated firm has carry no weight in an effect on the treated, so they leave; a
    categorical covariate with one level left has no column.

    Raises
    ------
    EstimationError
        When no comparison firm has a level that treated firms have.
    """
    stay = np.ones(len(rows), bool)
    outside = {}
    for name, codes, _ in cov.levels:
        mine = codes[rows]
        out = (d == 0) & ~np.isin(mine, mine[d == 1])
        if out.any():
            outside[name] = int(out.sum())
            stay &= ~out
    rows, d = rows[stay], d[stay]
    columns, names = [np.ones(len(rows))], ["constant"]
    for j, name in enumerate(cov.names):
        columns.append(cov.numbers[rows, j])
        names.append(name)
    for name, codes, levels in cov.levels:
        mine = codes[rows]
        present = np.unique(mine[d == 1])
        lost = present[~np.isin(present, mine[d == 0])]
        if len(lost):
            firms = int(np.isin(mine, lost).sum())
            raise EstimationError(
                "every level of a covariate that treated firms have needs comparison firms; "
                + REMEDIES["separation"].format(
                    names=f"'{name}' = {', '.join(str(levels[k]) for k in lost[:5])} ({firms} treated firms)"
                )
            )
        for level in present[1:]:
            columns.append((mine == level).astype(float))
            names.append(f"{name} = {levels[level]}")
    return stay, np.column_stack(columns), names, outside


def explain(error: CellError, names: list[str], where: str) -> EstimationError:
    """The kernel's complaint in words: which covariates, in which cell, what to do."""
    culprits = ", ".join(f"'{names[j]}'" for j in error.columns) or "the covariates together"
    return EstimationError(f"{where}: " + REMEDIES[error.kind].format(names=culprits))
