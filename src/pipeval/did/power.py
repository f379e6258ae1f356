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
from .covariates import known_before
from .design_effect import clustered, effective_number

ALONE = {"icc": np.nan, "mates": 0.0, "clusters": np.nan, "lost": 0.0, "horizon": 1}
"""What is true of firms of which nothing else is said: no cluster, and none is lost."""

LEAST = 10
"""Degrees of freedom below which an arm does not tell its own variance."""


def sd_of_change(
    panel: Panel,
    outcome: str,
    horizon: int,
    covariates: Sequence[str] = (),
    weights: pd.Series | None = None,
    before: int | None = None,
    clusters: pd.Series | pd.DataFrame | None = None,
) -> pd.Series:
    """The standard deviation across firms of the outcome's change over `horizon` periods, and how many firms there are to average.

    Only periods before the programme are read. Where they do not span the horizon, the variance of the changes over the
    spans they do have is extended along a straight line in the span.

    Parameters
    ----------
    horizon : int
        Periods between the base and the evaluated period, at least 1.
    covariates : sequence of str
        Columns of the firms, or of the outcomes as they stood in the last period before the programme, whose share of the variance
        is taken out, as the adjusted estimator does.
    weights : Series, optional
        As in `att_gt`; firms without a weight do not count. Weights of a match, by cohort, stand as they are; others are adjusted
        for the covariates as outcome regression does.
    before : int, optional
        First programme period; by default the first cohort. Periods from it on are not read.
    clusters : Series or DataFrame, optional
        Cluster by `firm_id`, two columns for two ways, where the estimate's error is clustered on something larger than the firm; a
        firm without a label stands alone.

    Returns
    -------
    Series
        `sd` (in units of the outcome); `basis` (observed, extrapolated, one_span or none); `spans` (those observed);
        `level` (the treated firms' mean in the last period before); `n_treated` (effective, (Σw)²/Σw²) and `n_control`, observed
        in that period with their covariates, controls that the adjustment gives no weight left out; `effective` (the number of
        equally weighted controls that would tell as much); `reason` (why `sd` is NaN; else empty). With clusters: `icc` (see
        `intraclass`; NaN without), `mates` (how many firms of its cluster a firm of an arm meets there: Σ_c W_c²/Σw² − 1, for
        equal weights Σn_c²/N − 1, the arms as they enter the variance; 0 without), `clusters` (those that count for the degrees of
        freedom; NaN without). `lost` (see `lost_a_year`) and `horizon`.

    Notes
    -----
    Changes are taken from their arm's mean in each pair of periods, firms enter by their squared weights. Of two arms that vary
    unlike, `sd`² is the mean of the variances with weights 1/n₁ and 1/n₀, so that `sd`·√(1/n₁ + 1/n₀) is the error of their
    difference; an arm with fewer than ten degrees of freedom takes the variance of both together. A line through Var(1),
    Var(2), … fits shocks that stay (slope) plus shocks that pass (intercept); a negative slope counts as none. From one span
    alone the variance is taken in proportion to it (all shocks stay), which errs to the safe side unless shocks build up. A
    span that fewer than a tenth as many firms tell as another's is left out.

    Outcome regression weighs controls by s·x(X₀′SX₀)⁻¹x̄₁, s their sampling weights (Chattopadhyay and Zubizarreta 2023):
    covariates take their share out of the variance, and unlike arms cost effective controls.

    What clusters share is learnt from the treated firms' changes over the span nearest to the horizon, each pair of periods from
    its own mean. Of two ways, `mates` are those met in either and `icc` is what they share on average, so that the variances of the
    ways add less that of their crossing (Cameron, Gelbach and Miller 2011). A shock that both arms of a cluster share cancels in
    their difference, which is not counted.
    """
    if horizon < 1:
        raise DesignError(f"horizon is at least one period; found {horizon}")
    cohorts = panel.firms["cohort"].to_numpy(float)
    before = cohorts.min() if before is None else before
    wide = panel.wide(outcome)
    wide = wide.loc[:, wide.columns < before].dropna(axis=1, how="all")
    last = wide.iloc[:, -1] if wide.shape[1] else pd.Series(np.nan, wide.index)
    arms = arm_weights(panel, weights)
    x = _columns(panel, covariates, before)
    observed = last.notna().to_numpy() & ~np.isnan(x).any(axis=1)
    treated, control = (w * observed for w in arms)
    if weights is None or weights.index.nlevels == 1:
        control = _adjusted(x, treated, control)
    compared = panel.keep(panel.firms.index[sum(arms) > 0], stage="power", reason="no_weight")
    found = {"horizon": horizon, "lost": lost_a_year(compared, before)}
    found |= {"icc": np.nan, "mates": 0.0, "clusters": np.nan}
    found |= {"sd": np.nan, "basis": "none", "spans": (), "level": last[treated > 0].mean(), "n_treated": effective_number(treated)}
    found["n_treated"] = int(found["n_treated"]) if found["n_treated"].is_integer() else found["n_treated"]
    found |= {"n_control": int((control != 0).sum()), "effective": effective_number(control)}
    if wide.shape[1] < 2:
        periods = "one period" if wide.shape[1] == 1 else "no period"
        return pd.Series({**found, "reason": f"{periods} before {before:g}: no change without the programme is observed"})
    enters = (treated > 0) | (control != 0)
    arms = [w[enters] for w in (treated, control)]
    changes = _changes(wide[enters], np.column_stack([x[enters], arms[0] > 0]))
    variances = _variances(changes, arms)
    if not variances:
        return pd.Series({**found, "reason": "no two periods before the programme share enough firms"})
    variance, basis = _at(horizon, {span: (_mean(own, arms), df) for span, (own, df) in variances.items()})
    if clusters is not None:
        near = min(variances, key=lambda span: (abs(span - horizon), span))
        rest = np.array([change for span, change, _ in changes if span == near])
        found |= clustered(clusters.reindex(panel.firms.index), enters, rest, arms, variances[near][0])
    return pd.Series({**found, "sd": float(np.sqrt(variance)), "basis": basis, "spans": tuple(sorted(variances)), "reason": ""})


def mde(spread: pd.Series, power: Power, relevant_effect: float | None = None, scale: str = "level") -> dict:
    """The minimum detectable effect: the smallest true effect that a test finds with the wanted probability (Bloom 1995).

    (t_{1−α/2} + t_{power}) · sd · √(D · (1/n₁ + 1/n₀) / (1 − a)), from the baseline's spread and never from the estimate. D is the
    design effect, a the share of firms lost by the evaluated period. With n_c firms of an arm in cluster c and ρ the share of a
    change that a cluster's firms have in common, the arm's mean varies 1 + (Σn_c²/N − 1)ρ times as much as were its firms
    independent (Duflo, Glennerster and Kremer 2007, section 4.2; Kish 1965 for unequal sizes), and the t are those of G − 1
    degrees of freedom, G the clusters that count. The cluster sizes are those before firms are lost, which errs to the safe side.

    Parameters
    ----------
    spread : Series
        From `sd_of_change`. Where it says nothing of clusters or loss, firms stand alone and stay.
    power : Power
        Level of the test, wanted probability; `attrition` and `icc` where they are declared rather than learnt.
    relevant_effect : float, optional
        The effect that should be found with its sign, a share on scales `log` and `poisson`, else in units of the outcome.
    scale : str
        Of the outcome. On `poisson` the spread is taken relative to the treated firms' mean.

    Returns
    -------
    dict
        `mde` (log points on scales log and poisson), `sd` (on that scale), `basis`, `n_treated`, `n_control` (before any is lost),
        `effective` (controls that would tell as much with equal weights; they enter the formula as n₀),
        `icc`, `design_effect` (of the variance of the two arms' difference), `clusters` (for the degrees of freedom; NaN where the
        firms count), `attrition` (over the horizon), `firms_needed` (treated firms at the start that would find `relevant_effect`,
        at the same controls per treated firm, in clusters as large) and `reason`. NaN where undefined.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeval.study.specs import Power
    >>> spread = pd.Series({"sd": 0.5, "basis": "observed", "level": 7.0, "n_treated": 100, "n_control": 100.0, "reason": ""})
    >>> found = mde(spread, Power(), relevant_effect=0.25, scale="log")
    >>> round(found["mde"], 3), found["firms_needed"]
    (0.199, 80.0)
    >>> clustered = pd.Series({**spread, "icc": 0.1, "mates": 5.0, "clusters": 40})
    >>> found = mde(clustered, Power(attrition=0.2), relevant_effect=0.25, scale="log")
    >>> found["design_effect"], round(found["attrition"], 3), round(found["mde"], 3), found["firms_needed"]
    (1.5, 0.2, 0.278, 153.0)
    """
    spread = pd.Series(ALONE | spread.to_dict())
    sd, n_treated, n_control = spread["sd"], spread["n_treated"], spread["n_control"]
    effective = spread.get("effective", n_control)
    reason = spread["reason"]
    if scale == "poisson":
        sd = sd / spread["level"] if spread["level"] > 0 else np.nan
    if not reason and not (n_treated > 0 and n_control > 0):
        reason = "no treated or no comparison firm"
    if not reason and sd == 0:
        sd, reason = np.nan, "no variation before the programme"
    target = relevant_effect
    if target is not None and scale in ("log", "poisson"):
        target = np.log1p(target) if target > -1 else None
    icc = spread["icc"] if power.icc is None or np.isnan(spread["clusters"]) else power.icc
    design_effect = 1 + spread["mates"] * icc if spread["mates"] else 1.0
    attrition = 1 - (1 - (spread["lost"] if power.attrition is None else power.attrition)) ** spread["horizon"]
    wide, clusters = sd * np.sqrt(design_effect), spread["clusters"]
    found = detectable(wide, n_treated, effective, power, attrition, clusters)
    if not reason and np.isnan(found) and (sd == sd or clusters < 3):
        reason = _too_little(design_effect, clusters)
    needed = float("nan")
    if target and n_treated > 0 and n_control > 0:
        needed = firms_needed(target, wide, effective / n_treated, power, attrition, clusters / n_treated)
    return {
        "mde": found,
        "sd": float(sd),
        "basis": spread["basis"],
        "n_treated": n_treated,
        "n_control": n_control,
        "effective": float(effective),
        "icc": float(icc),
        "design_effect": float(design_effect),
        "clusters": float(clusters),
        "attrition": float(attrition),
        "firms_needed": needed,
        "reason": reason,
    }


def _too_little(design_effect: float, clusters: float) -> str:
    """Why firms that vary have no minimum detectable effect."""
    if clusters < 3:
        return f"inference needs at least three clusters that count; found {clusters:g}"
    if np.isnan(design_effect):
        return (
            "what firms of a cluster share cannot be told: no two clusters with several treated firms that changed unlike; "
            "declare power.icc"
        )
    return "too few firms are left for a test"


def detectable(
    sd: float, n_treated: float, n_control: float, power: Power, attrition: float = 0.0, clusters: float = float("nan")
) -> float:
    """Bloom's minimum detectable effect in units of `sd`; NaN when `sd` is, an arm is empty or too few firms or clusters are left.

    Parameters
    ----------
    sd : float
        Of the change, times the root of the design effect where firms are clustered.
    n_treated, n_control : float
        Firms at the start, of which a share `attrition` is lost.
    clusters : float
        How many count for the degrees of freedom, at least three; NaN: the firms do.
    """
    n_treated, n_control = n_treated * (1 - attrition), n_control * (1 - attrition)
    df = n_treated + n_control - 2 if np.isnan(clusters) else clusters - 1
    if not (sd == sd and n_treated > 0 and n_control > 0 and df > 0) or clusters < 3:
        return float("nan")
    multiple = stats.t.ppf(1 - power.alpha / 2, df) + stats.t.ppf(power.power, df)
    return float(multiple * sd * np.sqrt(1 / n_treated + 1 / n_control))


def firms_needed(
    effect: float, sd: float, ratio: float, power: Power, attrition: float = 0.0, clusters: float = float("nan")
) -> float:
    """Treated firms needed at the start to detect `effect`, with `ratio` controls each; NaN when `sd` is or the effect is zero.

    `attrition` and `sd` as in `detectable`; `clusters` counts those for each treated firm.

    >>> firms_needed(0.2, 0.5, 1.0, Power()), firms_needed(0.2, 0.5, 1.0, Power(), attrition=0.2)
    (100.0, 124.0)
    """
    if not (sd == sd and effect and attrition < 1):
        return float("nan")

    def excess(n):
        return detectable(sd, n, ratio * n, power, attrition, n * clusters) - abs(effect)

    least = 3 / (1 + ratio) / (1 - attrition) if np.isnan(clusters) else 3 / clusters * (1 + 1e-9)
    most = 10.0 * least
    if excess(least) <= 0:
        return float(np.ceil(least))
    while excess(most) > 0:
        most *= 10
    return float(np.ceil(brentq(excess, least, most)))


def lost_a_year(panel: Panel, before: float) -> float:
    """The share of firms lost in a period between the surveys before `before`: those of which no figure of any outcome follows.

    One survey after another, the share of its firms that come back in none of the later ones; what is left of them all, spread
    evenly over the periods from the first survey to the last. 0 where fewer than two surveys show nothing.
    """
    period = panel.outcomes.index.get_level_values("period")
    known = panel.outcomes[period < before].notna().any(axis=1)
    seen = known[known].unstack("period", fill_value=False).sort_index(axis=1)
    if seen.shape[1] < 2:
        return 0.0
    here = seen.to_numpy()
    later = np.maximum.accumulate(here[:, ::-1], axis=1)[:, ::-1]
    stay = (here[:, :-1] & later[:, 1:]).sum(axis=0) / here[:, :-1].sum(axis=0)
    return float(1 - stay.prod() ** (1 / (seen.columns[-1] - seen.columns[0])))


def arm_weights(panel: Panel, weights: pd.Series | None) -> tuple[np.ndarray, np.ndarray]:
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


def _adjusted(x: np.ndarray, treated: np.ndarray, control: np.ndarray) -> np.ndarray:
    """The weights with which outcome regression lets the controls stand for the treated firms; negative where it extrapolates."""
    rows = control > 0
    if not (rows.any() and treated.any()):
        return control
    found, s = np.zeros(len(control)), control[rows]
    found[rows] = s * (x[rows] @ np.linalg.pinv(x[rows].T @ (s[:, None] * x[rows])) @ (treated[treated > 0] @ x[treated > 0]))
    return np.where(np.abs(found) > 1e-9 * np.abs(found).max(), found, 0.0)  # a category without a treated firm has no part


def _at(horizon: int, variances: dict[int, tuple[float, float]]) -> tuple[float, str]:
    """The variance of a change over `horizon` periods, and how it was come by; `variances` with their degrees of freedom."""
    spans = sorted(variances)
    known, df = np.array([variances[k] for k in spans]).T
    if horizon in variances:
        return variances[horizon][0], "observed"
    if len(spans) == 1:
        return known[0] * max(horizon / spans[0], 1.0), "one_span"
    slope, start = np.polyfit(spans, known, 1, w=np.sqrt(df))
    if slope < 0:
        return float(np.average(known, weights=df)), "extrapolated"
    return max(start + slope * horizon, known.min()), "extrapolated"


def _columns(panel: Panel, names: Sequence[str], before: float) -> np.ndarray:
    """The covariates as columns after a constant; those of the outcomes as they stood in the last period before the programme."""
    cov = firm_covariates(known_before(panel, names, before), names)
    columns = [np.ones(len(panel.firms)), *cov.numbers.T]
    for _, codes, levels in cov.levels:
        columns += [(codes == k).astype(float) for k in range(1, len(levels))]
    x = np.column_stack(columns)
    return np.where(cov.missing[:, None], np.nan, x)


def _changes(wide: pd.DataFrame, x: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Every two periods that share enough firms: span, residual changes (n,) and their degrees of freedom (n,); NaN without one."""
    y, periods = wide.to_numpy(), wide.columns.to_numpy()
    found = []
    for a in range(len(periods)):
        for b in range(a + 1, len(periods)):
            dy = y[:, b] - y[:, a]
            use = ~np.isnan(dy) & ~np.isnan(x).any(axis=1)
            left, size, _ = np.linalg.svd(x[use], full_matrices=False)
            q = left[:, size > size.max(initial=0) * len(left) * np.finfo(float).eps]
            if use.sum() <= q.shape[1]:
                continue
            rest, free = np.full(len(dy), np.nan), np.full(len(dy), np.nan)
            rest[use] = dy[use] - q @ (q.T @ dy[use])
            rest[np.abs(rest) < 1e-10 * np.abs(y[use][:, [a, b]]).max()] = 0.0  # rounding is no variation
            free[use] = 1 - (q**2).sum(axis=1)
            found.append((int(periods[b] - periods[a]), rest, free))
    return found


def _variances(
    changes: list[tuple[int, np.ndarray, np.ndarray]], arms: list[np.ndarray]
) -> dict[int, tuple[np.ndarray, float]]:
    """Variance of each arm's change (2,) and degrees of freedom by span, pooled over pairs of periods."""
    pooled: dict[int, np.ndarray] = {}
    for span, rest, free in changes:
        sums = [[np.nansum(w**2 * rest**2), np.nansum(w**2 * free), np.nansum(free[w != 0])] for w in arms]
        pooled[span] = pooled.get(span, 0.0) + np.array(sums)
    most = max((sums[:, 2].sum() for sums in pooled.values()), default=0.0)
    found = {}
    for span, (squares, weight, df) in ((span, sums.T) for span, sums in pooled.items()):
        if df.sum() < most / 10:
            continue
        own = np.divide(squares, weight, out=np.zeros(2), where=df > 1e-9)
        found[span] = np.where(df < LEAST, (df @ own) / df.sum(), own), float(df.sum())
    return found


def _mean(own: np.ndarray, arms: list[np.ndarray]) -> float:
    """The arms' variances by what each adds to the error of their difference."""
    return float(np.average(own, weights=[1 / effective_number(w) if w.any() else 0.0 for w in arms]))
