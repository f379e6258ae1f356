"""Covariates of firms as columns of a 2×2 cell: numbers standardised, other things as one 0/1 column a level."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..errors import DataError, DesignError, EstimationError, Note, some, warn
from ..study.specs import DidSpec
from .cells import Cell
from .kernel import SINGULAR, CellError

LAG = "mean before entry"

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


def covariates_by_cell(panel: Panel, spec: DidSpec, level: pd.DataFrame) -> tuple[Covariates, Callable[[Cell], Covariates]]:
    """The covariates that never change, and what each cell adds: their value in its base period, the outcome's mean before entry.

    A name that is a column of the outcomes and not of the firms is read in the cell's base period. With `lag: ancova` the mean
    of `level` (the outcome, one row a firm, one column a period) over the periods up to g − 1 − anticipation joins them, see
    `mean_before`; a firm needs one of these periods.
    """
    moving = [n for n in spec.covariates if n not in panel.firms.columns and n in panel.outcomes.columns]
    fixed = covariates(panel.firms, [n for n in spec.covariates if n not in moving])
    wide = {name: panel.wide(name) for name in moving}
    untreated = level.columns.to_numpy() < panel.firms["cohort"].to_numpy(float)[:, None] - spec.anticipation

    @cache
    def at(base_period: int, before: float | None) -> Covariates:
        frame = pd.DataFrame({name: values[base_period] for name, values in wide.items()}, index=level.index)
        empty = [name for name in moving if frame[name].isna().all()]
        if empty:
            raise DesignError(
                f"covariate '{empty[0]}' has no value in base period {base_period}, where it is read. Leave it out, or make its "
                "value in another period a column of the firms"
            )
        try:
            found = _joined(fixed, covariates(frame, moving))
        except EstimationError as error:
            raise EstimationError(f"base period {base_period}: {error}") from None
        if before is None:
            return found
        lag = mean_before(level.where(untreated).loc[:, level.columns <= before])
        return _joined(found, Covariates(_standardised(lag, LAG)[:, None], (LAG,), (), lag.isna().to_numpy()))

    def of(cell: Cell) -> Covariates:
        if not moving and spec.lag == "difference":
            return fixed
        return at(cell.base_period, cell.cohort - 1 - spec.anticipation if spec.lag == "ancova" else None)

    return fixed, of


def known_before(panel: Panel, names: Sequence[str], before: float) -> pd.DataFrame:
    """`panel.firms` with those of `names` that are outcomes, as they stood in the last period earlier than `before`.

    Raises `DesignError` when there is no such period.
    """
    moving = [n for n in names if n not in panel.firms.columns and n in panel.outcomes.columns]
    if moving and panel.periods.min() >= before:
        raise DesignError(f"covariate '{moving[0]}' is read before {before:g} and no period is earlier; leave it out")
    return panel.firms.assign(**{n: (wide := panel.wide(n)).loc[:, wide.columns < before].iloc[:, -1] for n in moving})


def mean_before(level: pd.DataFrame) -> pd.Series:
    """Each firm's mean level over the years in which it is seen, as if it had been seen in all: NaN where it never is.

    A firm that misses a year would stand higher or lower by what that year did to everybody, so years are taken out first: the
    firm effects of level_it = α_i + λ_t + ε_it by least squares, which a comparison of raw years would confuse with who is seen
    in them. Where every firm is seen in every year this is the mean less a constant. The years' effects count as known. Years that
    share no firm have no common level and are compared as they stand.

    Examples
    --------
    >>> level = pd.DataFrame({1: [1.0, 2.0, np.nan], 2: [11.0, 12.0, 12.0]}, index=list("abc"))
    >>> (mean_before(level) - 6).round(9).tolist()
    [0.0, 1.0, 1.0]
    """
    y, seen = level.to_numpy(float), level.notna().to_numpy()
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    y = np.where(seen, y, 0.0)
    about = seen * (y - y.sum(axis=1, keepdims=True) / count)
    moments = np.diag(seen.sum(axis=0)) - (seen / count).T @ seen
    years = np.linalg.pinv(moments, rcond=SINGULAR, hermitian=True) @ about.sum(axis=0)
    effect = (seen * (y - years)).sum(axis=1) / count[:, 0]
    return pd.Series(np.where(seen.any(axis=1), effect, np.nan), level.index)


def _joined(one: Covariates, other: Covariates) -> Covariates:
    return Covariates(
        np.column_stack([one.numbers, other.numbers]),
        one.names + other.names,
        one.levels + other.levels,
        one.missing | other.missing,
    )


def _standardised(column: pd.Series, name: str) -> np.ndarray:
    values = column.to_numpy(float, na_value=np.nan)
    if np.isinf(values).any():
        raise DataError(f"covariate '{name}' must be finite or missing; infinite for {some(column.index[np.isinf(values)])}")
    known = values[~np.isnan(values)]
    spread = known.std() if len(known) else 0.0
    if spread <= 1e-12 * max(1.0, np.abs(known).max(initial=0.0)):
        raise EstimationError("covariates must vary; " + REMEDIES["collinear"].format(names=f"'{name}'"))
    return (values - known.mean()) / spread


def missing_covariates(cov: Covariates, y: np.ndarray, firm_id: pd.Index) -> tuple[Note, ...]:
    """A note naming the firms with outcomes that leave because a covariate is missing."""
    gone = cov.missing & ~np.isnan(y).all(axis=1)
    return tuple(warn(note) for note in without_covariate(firm_id[gone]))


def without_covariate(firm_id: pd.Index) -> list[Note]:
    """A note naming these firms as left out for want of a covariate; none without firms."""
    text = "left out for a missing covariate: {firms}"
    return [Note("missing_covariate", text, {"firms": some(firm_id)})] if len(firm_id) else []


def outside_support(counts: Sequence[dict[str, int]]) -> list[Note]:
    """A note on the comparison firms that `cell_columns` left out, cell by cell; none without any."""
    names = sorted({name for count in counts for name in count})
    if not names:
        return []
    text = "comparison firms with a level of {names} no treated firm has are left out: up to {n} in a cell"
    most = max(sum(count.values()) for count in counts)
    return [Note("outside_support", text, {"names": ", ".join(names), "n": most})]


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
