"""The effect in one period as one contrast of one linear regression, for inference that needs a regression."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.linalg import qr

from ..data.panel import Panel
from ..errors import DesignError, EstimationError
from ..matching.matched import MatchedSample
from ..study.specs import DidSpec
from .att_gt import cohort_weights
from .cells import Cell, comparison_firms, plan
from .covariates import Covariates, cell_columns, covariates_by_cell, explain
from .kernel import SINGULAR, CellError, refuse_collinear
from .matched import refuse_unfit, within_window


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """Arrays of a weighted regression whose `contrast @ beta` is an effect.

    Attributes
    ----------
    y, w : array (n,)
        Change of the outcome (level with `lag: ancova`) of a firm in a cell; its weight, taken as known.
    x : array (n, k)
        The cells' blocks, one after the other.
    firm : array of int (n,)
        Position of the row's firm in `firm_id`; a firm that serves several cohorts stands in several rows.
    treated : array of bool (n,)
        Whether the firm is treated in the cell.
    contrast : array (k,)
        Of the coefficients.
    firm_id : Index
        The firms of the panel.
    """

    y: np.ndarray
    x: np.ndarray
    w: np.ndarray
    firm: np.ndarray
    treated: np.ndarray
    contrast: np.ndarray
    firm_id: pd.Index


class Block(NamedTuple):
    """One cell: which firms, their outcome, treated (0/1), weights, and covariates less their mean among the treated (n, p)."""

    cell: Cell
    rows: np.ndarray
    y: np.ndarray
    d: np.ndarray
    w: np.ndarray
    x: np.ndarray


class Ends(NamedTuple):
    """What does not depend on who is treated: cells, each cell's outcome (NaN where not observed) and covariates, weights."""

    cells: tuple[Cell, ...]
    y: tuple[np.ndarray, ...]
    covariates: tuple[Covariates, ...]
    weigh: dict[float, np.ndarray]


def stacked_regression(
    panel: Panel, outcome: str, spec: DidSpec, period: int, weights: pd.Series | MatchedSample | None = None
) -> Regression:
    """The regression whose contrast is the effect in `period`, averaged over cohorts by treated firms.

    Parameters
    ----------
    panel, outcome, spec, weights
        As in `att_gt`. The weights are taken as known, a matched sample's too.
    period : int
        A period after entry of at least one cohort.

    Returns
    -------
    Regression
        `contrast @ beta` equals the row `period` of `aggregate(att_gt(...), "period")`.

    Raises
    ------
    DesignError
        When the effect is not linear in the outcomes of one regression (methods other than `reg` with covariates,
        cross-sections), or no cohort can be compared in `period`.
    EstimationError
        When covariates are collinear in a cell; it names them.

    Notes
    -----
    A cell is a block: treated, comparison, and covariates less their mean among the treated, with slopes of their own in either
    group, so that the distance between the two constants is the outcome regression's effect exactly. Slopes of the treated
    do not move it and enter only where they leave the treated a residual. Cohort shares and the mean of covariates count as known:
    what is left uncertain is the effect on these treated firms.

    Examples
    --------
    >>> frame = pd.DataFrame({"firm": list("aabbccdd"), "year": [1, 2] * 4, "start": [2, 2, 2, 2, 0, 0, 0, 0]})
    >>> frame["y"] = [1.0, 4, 2, 6, 1, 2, 3, 5]
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> r = stacked_regression(panel, "y", DidSpec(), 2)
    >>> round(float(r.contrast @ np.linalg.lstsq(r.x, r.y, rcond=None)[0]), 8)
    2.0
    """
    ends = ends_of(panel, outcome, spec, period, weights)
    made = blocks(ends, panel.firms["cohort"].to_numpy(float), spec)
    share = np.array([b.w @ b.d for b in made])
    share = share / share.sum()
    designs = [_design(b) for b in made]
    x = np.zeros((sum(len(d) for d in designs), sum(d.shape[1] for d in designs)))
    contrast = np.zeros(x.shape[1])
    row = column = 0
    for design, part in zip(designs, share, strict=True):
        x[row : row + len(design), column : column + design.shape[1]] = design
        contrast[column : column + 2] = part, -part
        row, column = row + len(design), column + design.shape[1]
    y, w, firm, d = (np.concatenate([getattr(b, name) for b in made]) for name in ("y", "w", "rows", "d"))
    return Regression(y, x, w, firm, d == 1, contrast, panel.firms.index)


def refuse_nonlinear(spec: DidSpec) -> None:
    """Refuse what is no contrast of one linear regression.

    Raises
    ------
    DesignError
        With covariates and a method other than `reg`, with cross-sections, with imputation.
    """
    adjusted = bool(spec.covariates) or spec.lag == "ancova"
    if spec.sampling == "cross_sections":
        what = "sampling: cross_sections compares two samples, not changes of firms"
    elif spec.method == "imputation":
        what = "method: imputation fits all untreated years at once"
    elif adjusted and spec.method != "reg":
        what = f"method: {spec.method} weights comparison firms by an estimated score, which the regression would take as known"
    else:
        return
    raise DesignError(
        f"inference with few clusters needs an effect that is linear in the outcomes; {what}. Use method: reg, both_ends, "
        "or no covariates; else the standard errors of att_gt with clustered(labels)"
    )


def ends_of(panel: Panel, outcome: str, spec: DidSpec, period: int, weights: pd.Series | MatchedSample | None) -> Ends:
    """The cells after entry in `period` and what they read; see `stacked_regression` for what is refused."""
    refuse_nonlinear(spec)
    wide = panel.wide(outcome).dropna(axis=1, how="all")
    if period not in wide.columns:
        raise DesignError(f"outcome '{outcome}' is not observed in period {period}; it is in {some_periods(wide.columns)}")
    _, covariates_of = covariates_by_cell(panel, spec, wide)
    cells, _ = plan(panel.firms["cohort"].to_numpy(float), wide.columns.to_numpy(), spec)
    if isinstance(weights, MatchedSample):
        refuse_unfit(weights, spec)
        cells, _ = within_window(cells, weights)
        weights = weights.weights
    cells = tuple(c for c in cells if c.phase == "post" and c.period == period)
    late = wide[period].to_numpy(float)
    y = tuple(late if spec.lag == "ancova" else late - wide[c.base_period].to_numpy(float) for c in cells)
    return Ends(cells, y, tuple(map(covariates_of, cells)), cohort_weights(weights, panel.firms))


def some_periods(periods: Iterable) -> str:
    """Periods as a list in words."""
    return ", ".join(str(p) for p in periods) or "none"


def blocks(ends: Ends, cohort: np.ndarray, spec: DidSpec) -> list[Block]:
    """The blocks of the cells for these cohorts; cells without treated or without comparison firms leave.

    Raises
    ------
    DesignError
        When none is left.
    EstimationError
        When covariates are collinear among the comparison firms of a cell.
    """
    made = []
    for cell, y, cov in zip(ends.cells, ends.y, ends.covariates, strict=True):
        own, w = cohort == cell.cohort, ends.weigh[cell.cohort]
        rows = np.flatnonzero(~np.isnan(y) & (w > 0) & ~cov.missing & (own | comparison_firms(cohort, cell, spec)))
        d = own[rows].astype(float)
        if not d.any() or d.all():
            continue
        try:
            stay, x, names, _ = cell_columns(cov, rows, d)
            rows, d = rows[stay], d[stay]
            apart = x[d == 0]
            refuse_collinear((apart * w[rows][d == 0, None]).T @ apart)
        except CellError as error:
            raise explain(error, names, str(cell)) from None
        except EstimationError as error:
            raise EstimationError(f"{cell}: {error}") from None
        w = w[rows]
        made.append(Block(cell, rows, y[rows], d, w, x[:, 1:] - (w * d) @ x[:, 1:] / (w @ d)))
    if not made:
        raise DesignError(
            "no cohort has treated and comparison firms in this period. Choose one after entry in which some firms are untreated"
        )
    return made


def block_scores(block: Block) -> tuple[float, np.ndarray]:
    """A cell's effect and each row's share in its error (n,), as the regression has them: weight × z × residual."""
    apart, psi = block.d == 0, np.zeros(len(block.y))
    x = np.column_stack([np.ones(apart.sum()), block.x[apart]])
    xw = x * block.w[apart, None]
    beta, z = np.linalg.solve(xw.T @ x, np.column_stack([xw.T @ block.y[apart], np.eye(x.shape[1])[0]])).T
    psi[apart] = -(xw @ z) * (block.y[apart] - x @ beta)
    w = block.w[~apart] / block.w[~apart].sum()
    own = _treated_columns(block)
    mean = w @ block.y[~apart]
    residual = block.y[~apart] - mean
    if own.shape[1]:
        residual = residual - own @ np.linalg.solve((own * w[:, None]).T @ own, own.T @ (w * residual))
    psi[~apart] = w * residual
    return float(mean - beta[0]), psi


def _design(block: Block) -> np.ndarray:
    """Treated, comparison, covariates of the comparison firms, covariates of the treated."""
    own = _treated_columns(block)
    wide = np.zeros((len(block.y), own.shape[1]))
    wide[block.d == 1] = own
    apart = (1 - block.d)[:, None]
    return np.hstack([block.d[:, None], apart, block.x * apart, wide])


def _treated_columns(block: Block) -> np.ndarray:
    """The treated firms' covariates without those that others determine; none where they would leave no residual."""
    mine = block.d == 1
    x = block.x[mine]
    if x.shape[1] == 0:
        return x
    scale = np.sqrt(((block.x**2) * block.w[:, None]).sum(axis=0))
    r, order = qr(x * np.sqrt(block.w[mine])[:, None] / scale, mode="r", pivoting=True)
    rank = int((np.abs(np.diag(r)) > np.sqrt(SINGULAR)).sum())
    return x[:, np.sort(order[:rank])] if rank + 1 < len(x) else x[:, :0]
