"""What a study could detect, from pre-programme data only: never from its own estimate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq

from ..data.panel import Panel
from ..errors import DesignError
from ..study.specs import Power
from .att_gt import cohort_weights
from .covariates import covariates as firm_covariates


def sd_of_change(
    panel: Panel,
    outcome: str,
    horizon: int,
    covariates: Sequence[str] = (),
    weights: pd.Series | None = None,
    before: int | None = None,
) -> pd.Series:
    """The standard deviation across firms of the outcome's change over `horizon` periods, and how many firms there are to average.

    Only periods before the programme are read. Where they do not span the horizon, the variance of the changes over the
    spans they do have is extended along a straight line in the span.

    Parameters
    ----------
    horizon : int
        Periods between the base and the evaluated period, at least 1.
    covariates : sequence of str
        Columns of `panel.firms` whose share of the variance is taken out, as the adjusted estimator does.
    weights : Series, optional
        As in `att_gt`; firms without a weight do not count, and weighted controls count by their effective number.
    before : int, optional
        First programme period; by default the first cohort. Periods from it on are not read.

    Returns
    -------
    Series
        `sd` (in units of the outcome); `basis` (observed, extrapolated, one_span or none); `spans` (those observed);
        `level` (the treated firms' mean in the last period before); `n_treated` and `n_control` (effective, (Σw)²/Σw²),
        observed in that period; `reason` (why `sd` is NaN; else empty).

    Notes
    -----
    Changes are taken from their mean in each pair of periods. A line through Var(1), Var(2), … fits shocks that stay
    (slope) plus shocks that pass (intercept); a negative slope counts as none. From one span alone the variance is
    taken in proportion to it (all shocks stay), which errs to the safe side.
    """
    if horizon < 1:
        raise DesignError(f"horizon is at least one period; found {horizon}")
    cohorts = panel.firms["cohort"].to_numpy(float)
    before = cohorts.min() if before is None else before
    wide = panel.wide(outcome)
    wide = wide.loc[:, wide.columns < before].dropna(axis=1, how="all")
    last = wide.iloc[:, -1] if wide.shape[1] else pd.Series(np.nan, wide.index)
    treated, control = (w * last.notna().to_numpy() for w in _weights(panel, weights))
    found = {"sd": np.nan, "basis": "none", "spans": (), "level": last[treated > 0].mean(), "n_treated": _effective(treated)}
    found["n_treated"] = int(found["n_treated"]) if found["n_treated"].is_integer() else found["n_treated"]
    found["n_control"] = _effective(control)
    if wide.shape[1] < 2:
        periods = "one period" if wide.shape[1] == 1 else "no period"
        return pd.Series({**found, "reason": f"{periods} before {before:g}: no change without the programme is observed"})
    enters = (treated > 0) | (control > 0)
    variances = _variances(wide[enters], _columns(panel, covariates)[enters])
    if not variances:
        return pd.Series({**found, "reason": "no two periods before the programme share enough firms"})
    variance, basis = _at(horizon, variances)
    return pd.Series({**found, "sd": float(np.sqrt(variance)), "basis": basis, "spans": tuple(sorted(variances)), "reason": ""})


def mde(spread: pd.Series, power: Power, relevant_effect: float | None = None, scale: str = "level") -> dict:
    """The minimum detectable effect: the smallest true effect that a test finds with the wanted probability (Bloom 1995).

    (t_{1−α/2} + t_{power}) · sd · √(1/n₁ + 1/n₀), from the baseline's spread and never from the estimate.

    Parameters
    ----------
    spread : Series
        From `sd_of_change`.
    power : Power
        Level of the test and wanted probability.
    relevant_effect : float, optional
        The effect that should be found with its sign, a share on scales `log` and `poisson`, else in units of the outcome.
    scale : str
        Of the outcome. On `poisson` the spread is taken relative to the treated firms' mean.

    Returns
    -------
    dict
        `mde` (log points on scales log and poisson), `sd` (on that scale), `basis`, `n_treated`, `n_control`,
        `firms_needed` (treated firms that would find `relevant_effect`, at the same controls per treated firm) and
        `reason`. NaN where undefined.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeval.study.specs import Power
    >>> spread = pd.Series({"sd": 0.5, "basis": "observed", "level": 7.0, "n_treated": 100, "n_control": 100.0, "reason": ""})
    >>> found = mde(spread, Power(), relevant_effect=0.25, scale="log")
    >>> round(found["mde"], 3), found["firms_needed"]
    (0.199, 80.0)
    """
    sd, n_treated, n_control = spread["sd"], spread["n_treated"], spread["n_control"]
    reason = spread["reason"]
    if scale == "poisson":
        sd = sd / spread["level"] if spread["level"] > 0 else np.nan
    if not reason and not (n_treated > 0 and n_control > 0):
        reason = "no treated or no comparison firm"
    target = relevant_effect
    if target is not None and scale in ("log", "poisson"):
        target = np.log1p(target) if target > -1 else None
    ratio = n_control / n_treated if n_treated else 0.0
    return {
        "mde": detectable(sd, n_treated, n_control, power),
        "sd": float(sd),
        "basis": spread["basis"],
        "n_treated": n_treated,
        "n_control": n_control,
        "firms_needed": firms_needed(target, sd, ratio, power) if target and ratio else float("nan"),
        "reason": reason,
    }


def detectable(sd: float, n_treated: float, n_control: float, power: Power) -> float:
    """Bloom's minimum detectable effect in units of `sd`; NaN when `sd` is or an arm is empty."""
    df = n_treated + n_control - 2
    if not (sd == sd and n_treated > 0 and n_control > 0 and df > 0):
        return float("nan")
    multiple = stats.t.ppf(1 - power.alpha / 2, df) + stats.t.ppf(power.power, df)
    return float(multiple * sd * np.sqrt(1 / n_treated + 1 / n_control))


def firms_needed(effect: float, sd: float, ratio: float, power: Power) -> float:
    """Treated firms needed to detect `effect`, with `ratio` controls each; NaN when `sd` is or the effect is zero.

    >>> firms_needed(0.2, 0.5, 1.0, Power())
    100.0
    """
    if not (sd == sd and effect):
        return float("nan")

    def excess(n):
        return detectable(sd, n, ratio * n, power) - abs(effect)

    least, most = 3 / (1 + ratio), 10.0
    if excess(least) <= 0:
        return float(np.ceil(least))
    while excess(most) > 0:
        most *= 10
    return float(np.ceil(brentq(excess, least, most)))


def _weights(panel: Panel, weights: pd.Series | None) -> tuple[np.ndarray, np.ndarray]:
    """Each firm's weight as treated and as control (summed over cohorts it is compared with)."""
    cohort = panel.firms["cohort"].to_numpy(float)
    by_cohort = cohort_weights(weights, panel.firms)
    own = np.zeros(len(cohort))
    for g, w in by_cohort.items():
        own = np.where(cohort == g, w, own)
    treated = np.where(np.isfinite(cohort), own, 0.0)
    if weights is not None and weights.index.nlevels == 2:
        own = sum(w for g, w in by_cohort.items() if np.isfinite(g))
    return treated, np.where(np.isinf(cohort), own, 0.0)


def _effective(weights: np.ndarray) -> float:
    """The number of equally weighted firms that would tell as much: (Σw)²/Σw²."""
    return float(weights.sum() ** 2 / (weights @ weights)) if weights.any() else 0.0


def _at(horizon: int, variances: dict[int, float]) -> tuple[float, str]:
    """The variance of a change over `horizon` periods, and how it was come by."""
    spans = sorted(variances)
    if horizon in variances:
        return variances[horizon], "observed"
    if len(spans) == 1:
        return variances[spans[0]] * max(horizon / spans[0], 1.0), "one_span"
    slope, start = np.polyfit(spans, [variances[k] for k in spans], 1)
    if slope < 0:
        return float(np.mean(list(variances.values()))), "extrapolated"
    return max(start + slope * horizon, min(variances.values())), "extrapolated"


def _columns(panel: Panel, names: Sequence[str]) -> np.ndarray:
    cov = firm_covariates(panel.firms, names)
    columns = [np.ones(len(panel.firms)), *cov.numbers.T]
    for _, codes, levels in cov.levels:
        columns += [(codes == k).astype(float) for k in range(1, len(levels))]
    x = np.column_stack(columns)
    return np.where(cov.missing[:, None], np.nan, x)


def _variances(wide: pd.DataFrame, x: np.ndarray) -> dict[int, float]:
    """Residual variance of the change by span, pooled over pairs of periods."""
    y, periods = wide.to_numpy(), wide.columns.to_numpy()
    squares, freedom = {}, {}
    for a in range(len(periods)):
        for b in range(a + 1, len(periods)):
            dy = y[:, b] - y[:, a]
            use = ~np.isnan(dy) & ~np.isnan(x).any(axis=1)
            beta, _, rank, _ = np.linalg.lstsq(x[use], dy[use], rcond=None) if use.any() else (None, None, 0, None)
            if use.sum() <= rank:
                continue
            span = int(periods[b] - periods[a])
            rest = dy[use] - x[use] @ beta
            squares[span] = squares.get(span, 0.0) + rest @ rest
            freedom[span] = freedom.get(span, 0) + int(use.sum()) - rank
    return {span: squares[span] / freedom[span] for span in squares}
