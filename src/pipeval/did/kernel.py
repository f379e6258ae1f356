"""The 2×2 difference-in-differences on arrays: one estimator, its pieces switched on or off.

Legend: `dy` change of the outcome between the two ends; `d` 1 treated, 0 comparison; `x` covariates, first column 1;
`w` weights; `ps` probability of being treated; `psi` influence, already divided by the number of firms: att − truth ≈ Σ
psi.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.linalg import LinAlgError

Method = Literal["dr", "dr_improved", "ipw", "reg"]

SINGULAR = 1e-10  # smallest eigenvalue of the correlation-like Gram matrix that still counts as full rank
DIVERGED = 20.0  # a linear predictor this far out means a fitted probability within 2e-9 of 0 or 1


class CellError(Exception):
    """A 2×2 cell that cannot be fitted: `kind` (a key of `covariates.REMEDIES`) and the `columns` of x that cause it."""

    def __init__(self, kind: str, columns: tuple[int, ...] = ()):
        super().__init__(kind)
        self.kind = kind
        self.columns = columns


def two_by_two(
    dy: np.ndarray,
    d: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    method: Method = "dr",
    score: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[float, np.ndarray]:
    """The effect on the treated in one cell and each firm's influence on it.

    `dr` weights the comparison firms by the odds of a logit and subtracts their regression; `ipw` switches the
    regression off, `reg` the covariates of the logit. `dr_improved` takes odds that balance the covariates exactly and
    gives the regression those odds as weights. With `x` a column of ones all are the difference of mean changes.

    Parameters
    ----------
    dy, d, w : array (n,)
        Change of the outcome, treated (0/1), positive weights.
    x : array (n, k)
        Covariates, the first column ones.
    score : pair of arrays, optional
        What `fitted_score` returns for the same d, x, w and method, where cells of the same firms share it.

    Returns
    -------
    att : float
        In units of `dy`.
    psi : array (n,)
        Influence, divided by n; sums to zero.

    Raises
    ------
    CellError
        When columns are collinear, a covariate separates treated from comparison, or the logit does not converge.

    Notes
    -----
    Sant'Anna and Zhao (2020), equations 2.4–2.7: the normalised (Hájek) weights of their "traditional" estimator with
    maximum likelihood for the score and weighted least squares for the regression. `reg` is the same formula with a
    constant score: the weighted residuals of the comparison firms then sum to zero. `dr_improved` is their section 3.1:
    the balance of the odds and the normal equations of the regression make both estimation effects vanish identically, so
    the influence needs neither.

    Examples
    --------
    >>> import numpy as np
    >>> dy, d = np.array([3.0, 5.0, 1.0, 2.0]), np.array([1.0, 1.0, 0.0, 0.0])
    >>> att, psi = two_by_two(dy, d, np.ones((4, 1)), np.ones(4))
    >>> float(att), psi.tolist()
    (2.5, [-0.5, 0.5, 0.25, -0.25])
    """
    control = w * (1 - d)
    score_x = score_columns(x, method)
    ps, score_psi = fitted_score(d, x, w, method) if score is None else score
    w_treated, w_control = w * d, control * ps / (1 - ps)
    refuse_lone_weight(w_control, d, score_x)
    residual, ols_psi = dy, None
    if method != "ipw":
        beta, ols_psi = least_squares(dy, x, w_control if method == "dr_improved" else control)
        residual = dy - x @ beta
    sum_treated, sum_control = w_treated.sum(), w_control.sum()
    eta_treated = w_treated @ residual / sum_treated
    eta_control = w_control @ residual / sum_control
    off_control = w_control * (residual - eta_control)
    psi = w_treated * (residual - eta_treated) / sum_treated - off_control / sum_control
    if method != "dr_improved":
        psi -= score_psi @ (off_control @ score_x) / sum_control
    if ols_psi is not None:
        psi -= ols_psi @ ((w_treated @ x) / sum_treated - (w_control @ x) / sum_control)
    return float(eta_treated - eta_control), psi


def score_columns(x: np.ndarray, method: str) -> np.ndarray:
    """The columns of the score: all, or for `reg` the constant alone."""
    return x[:, :1] if method == "reg" else x


def fitted_score(d: np.ndarray, x: np.ndarray, w: np.ndarray, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of being treated as `method` estimates them, and each row's influence on their coefficients (n, k)."""
    return (tilting if method == "dr_improved" else logit)(d, score_columns(x, method), w)


def refuse_lone_weight(w_control: np.ndarray, d: np.ndarray, score_x: np.ndarray) -> None:
    """Raise `CellError` when a score gives all the weight to fewer than two comparison firms, in effective number."""
    few = w_control.sum() ** 2 < 2 * (w_control @ w_control)
    if few and score_x.shape[1] > 1 and np.count_nonzero(w_control) >= 5:
        raise CellError("no_overlap", separating(d, score_x))


def least_squares(y: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares: coefficients and each row's influence on them (n, k)."""
    xw = x * w[:, None]
    gram = xw.T @ x
    refuse_collinear(gram)
    beta = np.linalg.solve(gram, xw.T @ y)
    return beta, (xw * (y - x @ beta)[:, None]) @ np.linalg.inv(gram)


def logit(d: np.ndarray, x: np.ndarray, w: np.ndarray, iterations: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Fitted probabilities of a weighted logit and each row's influence on its coefficients (n, k).

    Newton steps from zero, halved while the likelihood falls; it stops where a step no longer moves the linear
    predictor.
    """
    if x.shape[1] == 1:
        share = w @ d / w.sum()
        return np.full(len(d), share), (w * (d - share) / (w.sum() * share * (1 - share)))[:, None]
    refuse_collinear((x * w[:, None]).T @ x)
    beta = np.zeros(x.shape[1])
    eta = np.zeros(len(d))
    fit = _likelihood(d, eta, w)
    for _ in range(iterations):
        ps = 1 / (1 + np.exp(-eta))
        hessian = (x * (w * ps * (1 - ps))[:, None]).T @ x
        try:
            step = np.linalg.solve(hessian, x.T @ (w * (d - ps)))
        except LinAlgError:
            raise CellError("separation", separating(d, x)) from None
        size = 1.0
        while (new := _likelihood(d, x @ (beta + size * step), w)) < fit - 1e-10 * abs(fit) and size > 1e-4:
            size /= 2
        beta, fit = beta + size * step, new
        moved = np.abs(x @ step).max()
        eta = x @ beta
        if moved < 1e-8:  # the step is already taken: quadratic convergence leaves about its square
            break
        if np.abs(eta).max() > DIVERGED and _separated(d, eta):
            raise CellError("separation", separating(d, x))
    else:
        raise CellError("no_convergence", separating(d, x))
    ps = 1 / (1 + np.exp(-eta))
    hessian = (x * (w * ps * (1 - ps))[:, None]).T @ x
    return ps, (x * (w * (d - ps))[:, None]) @ np.linalg.inv(hessian)


def tilting(d: np.ndarray, x: np.ndarray, w: np.ndarray, iterations: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose odds balance `x` exactly, Σ w (1 − d) e^{xγ} x = Σ w d x, and each row's influence on γ (n, k).

    Inverse probability tilting (Graham, Pinto and Egel 2012), Newton on its convex criterion Σ w ((1 − d) e^{xγ} − d xγ)
    from the logit. No maximum where the treated's mean lies outside the comparison firms' range: separation.
    """
    start, _ = logit(d, x, w)
    gamma = np.linalg.lstsq(x, np.log(start / (1 - start)), rcond=None)[0] if x.shape[1] > 1 else np.zeros(1)
    control, target = w * (1 - d), (w * d) @ x
    if x.shape[1] == 1:
        gamma = np.log(target / control.sum())

    def criterion(gamma: np.ndarray) -> float:
        return float(control @ np.exp(np.minimum(x @ gamma, 700.0)) - target @ gamma)

    value = criterion(gamma)
    for _ in range(iterations):
        odds = control * np.exp(x @ gamma)
        try:
            step = np.linalg.solve((x * odds[:, None]).T @ x, target - odds @ x)
        except LinAlgError:
            raise CellError("separation", separating(d, x)) from None
        size = 1.0
        while (new := criterion(gamma + size * step)) > value + 1e-10 * abs(value) and size > 1e-6:
            size /= 2
        gamma, value = gamma + size * step, new
        if np.abs(x @ gamma).max() > 2 * DIVERGED:
            raise CellError("separation", separating(d, x))
        if np.abs(x @ step).max() < 1e-8:
            break
    else:
        raise CellError("no_overlap", separating(d, x))
    odds = np.exp(x @ gamma)
    hessian = (x * (control * odds)[:, None]).T @ x
    try:
        inverse = np.linalg.inv(hessian)
    except LinAlgError:  # the firms that carry the weights are too few, or too alike
        raise CellError("separation", separating(d, x)) from None
    return odds / (1 + odds), (x * (w * d - control * odds)[:, None]) @ inverse


def _likelihood(d: np.ndarray, eta: np.ndarray, w: np.ndarray) -> float:
    return float(w @ (d * eta - np.logaddexp(0, eta)))


def _separated(d: np.ndarray, eta: np.ndarray) -> bool:
    """Whether the firms far out on the predictor all lie on their own side: the likelihood has no maximum."""
    far = np.abs(eta) > DIVERGED
    return bool(((eta[far] > 0) == (d[far] == 1)).all())


def separating(d: np.ndarray, x: np.ndarray) -> tuple[int, ...]:
    """Columns of x that alone part treated from comparison: no overlap of ranges, or a 0/1 value that only one group has.

    When no single column does, the one whose group means lie furthest apart in standard deviations.
    """
    treated, control = x[d == 1], x[d == 0]
    found = []
    for j in range(1, x.shape[1]):
        a, b = treated[:, j], control[:, j]
        apart = a.min() >= b.max() or b.min() >= a.max()
        two_valued = len(np.unique(x[:, j])) == 2 and (np.ptp(a) == 0 or np.ptp(b) == 0)
        if apart or two_valued:
            found.append(j)
    if not found and x.shape[1] > 1:
        distance = np.abs(treated.mean(0) - control.mean(0))[1:] / np.maximum(x.std(0)[1:], 1e-300)
        found = [int(np.argmax(distance)) + 1]
    return tuple(found)


def refuse_collinear(gram: np.ndarray) -> None:
    """Raise `CellError` naming the columns that others (or the constant) already determine."""
    scale = np.sqrt(np.diag(gram))
    if (scale == 0).any():
        raise CellError("collinear", tuple(int(j) for j in np.flatnonzero(scale == 0)))
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    if values[0] < SINGULAR:
        involved = np.abs(vectors[:, values < SINGULAR]).max(axis=1) > 1e-4
        raise CellError("collinear", tuple(int(j) for j in np.flatnonzero(involved) if j > 0))
