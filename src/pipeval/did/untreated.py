"""The model of untreated outcomes: firm effects, period effects and covariates times periods, by weighted least squares.

Firm effects are taken out by the mean over a firm's untreated periods, so that only periods (times covariates) are solved for and
everything else is one pass over firms, whichever periods each misses. Legend as in `imputation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .covariates import Covariates, explain
from .kernel import SINGULAR, CellError, refuse_collinear

UNKNOWN = 1e-6  # part of a unit by which a prediction may move along a direction that the untreated outcomes leave open


@dataclass(frozen=True, slots=True, eq=False)
class Untreated:
    """Untreated outcomes as firm effects, period effects and covariates times periods, ready to be fitted.

    Attributes
    ----------
    seen : array of bool (n_firms, n_periods)
        The observations fitted.
    w, x : array (n_firms,), (n_firms, k)
        Weights and covariates.
    inverse : array (n_periods · k, n_periods · k)
        A generalised inverse of the moments of periods × covariates about firm means.
    free : array (n_periods · k, r)
        Directions that the observations leave open: a level for each set of periods that share firms, and what lacks firms.
    """

    seen: np.ndarray
    w: np.ndarray
    x: np.ndarray
    inverse: np.ndarray
    free: np.ndarray

    def firm_means(self, values: np.ndarray) -> np.ndarray:
        """Means of `values` (firms, periods) over a firm's untreated periods; 0 without any."""
        return (self.seen * values).sum(axis=1) / np.maximum(self.seen.sum(axis=1), 1)

    def predicted(self, y: np.ndarray) -> np.ndarray:
        """Untreated outcomes (firms, periods) that the model fitted to `y` predicts; meaningful where `known`."""
        centred = self.seen * (y - self.firm_means(y)[:, None])
        theta = (self.inverse @ (centred.T @ (self.w[:, None] * self.x)).ravel()).reshape(y.shape[1], -1)
        path = self.x @ theta.T
        return path + self.firm_means(y - path)[:, None]

    def residuals(self, y: np.ndarray) -> np.ndarray:
        """What the model leaves of `y` where it is fitted, 0 elsewhere."""
        return self.seen * (y - self.predicted(y))

    def known(self) -> np.ndarray:
        """Array of bool (firms, periods): whether the observations determine a firm's untreated outcome."""
        found = np.repeat(self.seen.any(axis=1)[:, None], self.seen.shape[1], axis=1)
        for direction in self.free.T:
            path = self.x @ direction.reshape(self.seen.shape[1], -1).T
            found &= np.abs(path - self.firm_means(path)[:, None]) < UNKNOWN
        return found

    def adjoint(self, share: np.ndarray, column: np.ndarray) -> np.ndarray:
        """What each period × covariate moment adds to means of imputed outcomes: array (rows, periods, k).

        Row r averages the firms with weights `share[:, r]` in period number `column[r]`.
        """
        n_periods, k = self.seen.shape[1], self.x.shape[1]
        presence = self.seen / np.maximum(self.seen.sum(axis=1, keepdims=True), 1)
        target = np.zeros((share.shape[1], n_periods, k))
        for a in range(k):
            part = share * self.x[:, [a]]
            target[:, :, a] = -part.T @ presence
            target[np.arange(len(column)), column, a] += part.sum(axis=0)
        return (target.reshape(len(target), -1) @ self.inverse).reshape(target.shape)


def untreated_model(seen: np.ndarray, w: np.ndarray, x: np.ndarray) -> Untreated:
    """The model of untreated outcomes for these observations (firms, periods), weights and covariates."""
    n_periods, k = seen.shape[1], x.shape[1]
    count = np.maximum(seen.sum(axis=1), 1)
    moments = np.zeros((n_periods, k, n_periods, k))
    for a in range(k):
        for b in range(a, k):
            mass = w * x[:, a] * x[:, b]
            block = np.diag(mass @ seen) - (seen * (mass / count)[:, None]).T @ seen
            moments[:, a, :, b] = moments[:, b, :, a] = block
    moments = moments.reshape(n_periods * k, n_periods * k)
    scale = np.sqrt(np.diag(moments).clip(0))
    scale = np.where(scale > 1e-12 * scale.max(initial=0.0), scale, 1.0)
    values, vectors = np.linalg.eigh(moments / np.outer(scale, scale))
    real = values > SINGULAR * max(values[-1], 1e-300)
    kept, free = vectors[:, real] / scale[:, None], vectors[:, ~real] / scale[:, None]
    return Untreated(seen, w, x, (kept / values[real]) @ kept.T, free / np.abs(free).max(axis=0, initial=1e-300))


def model_columns(cov: Covariates, fitted: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Covariates of all firms with a leading 1; 0 where missing. A category's first level among the fitted firms has no column."""
    columns, names = [np.ones(len(fitted))], ["constant"]
    for j, name in enumerate(cov.names):
        columns.append(np.nan_to_num(cov.numbers[:, j]))
        names.append(name)
    for name, codes, levels in cov.levels:
        reference = codes[fitted & ~cov.missing].min(initial=len(levels))
        for level in (k for k in range(len(levels)) if k != reference):
            columns.append((codes == level).astype(float))
            names.append(f"{name} = {levels[level]}")
    x = np.column_stack(columns)
    inside = x[fitted] * np.sqrt(w[fitted])[:, None]
    used = np.flatnonzero(np.abs(inside).max(axis=0) > 0)  # a level that only treated firms have is told by `known`
    try:
        refuse_collinear(inside[:, used].T @ inside[:, used])
    except CellError as error:
        raise explain(error, [names[j] for j in used], "untreated observations") from None
    return x
