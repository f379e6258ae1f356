"""One effect beside the ways to say how uncertain it is when treated firms come in few clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from ..data.panel import Panel
from ..errors import DesignError, Note, PipevalError, collected, warn
from ..matching.matched import MatchedSample
from ..study.specs import DidSpec
from .aggregate import aggregate
from .att_gt import att_gt
from .cluster_errors import Fit, fit_errors, fitted
from .inference import FEW_CLUSTERS, NO_VARIANCE, cluster_codes, fewer_than_thirty
from .randomisation import reassigned
from .stacked import Regression, ends_of, stacked_regression
from .wild import wild_bootstrap

ALONE = "one treated cluster: nothing tells how such clusters differ"
STILL = "the outcome does not vary among the firms compared"
LONE = (
    "{n} cohort(s) have treated firms of a single cluster: nothing tells how such clusters differ there, so standard errors leave "
    "those cohorts' part out and are too small"
)
KINDS = ("CR1_t", "CR1", "CR2", "CR3", "wild_rademacher", "wild_webb", "randomisation")


def few_clusters_table(
    panel: Panel,
    outcome: str,
    spec: DidSpec,
    period: int,
    labels: pd.Series,
    weights: pd.Series | MatchedSample | None = None,
    permutations: int = 999,
    seed: int = 20031121,
) -> pd.DataFrame:
    """One row a way to judge the effect in `period`, averaged over cohorts by treated firms.

    Parameters
    ----------
    panel, outcome, spec, period, weights
        As in `stacked_regression`.
    labels : Series
        Cluster by firm. A firm without one, as controls beside business clusters are, is a cluster of its own.
    permutations, seed : int
        Of the randomisation; the seed is also the bootstrap's.

    Returns
    -------
    DataFrame
        `kind`, then `estimate, std_error, df, statistic, p_value, conf_low, conf_high, n_clusters, n_clusters_treated, reason`
        (why numbers are missing; empty otherwise).

        * `CR1_t`: `aggregate(att_gt(...), "period").clustered(labels)`: t(G − 1), G without the controls that stand alone.
          Cohort shares, and what a matched sample adds, count as uncertain here; in the other rows they count as known.
        * `CR1`, `CR2`, `CR3`: `cluster_errors`, Satterthwaite degrees of freedom. Controls that stand alone add to them only as
          far as they add to the variance: with few treated clusters df is near G₁ − 1, less when those differ in size.
        * `wild_rademacher`, `wild_webb`: `wild_bootstrap`, restricted. No df.
        * `randomisation`: `randomisation_test` with `labels` as units. A p-value only: no interval.

    Raises
    ------
    DesignError
        With one or two clusters, or an effect that is not linear (`stacked_regression`).

    Notes
    -----
    With fewer than three treated clusters the bootstrap says nothing (MacKinnon and Webb 2017) and its rows are empty, as is
    randomisation when no untreated clusters stand beside them; with one, so are the others.

    Examples
    --------
    >>> noise = np.random.default_rng(5).normal(0, 1, (24, 2))
    >>> rows = [(i, t, 2 * (i < 12), 3 * (i < 12) * (t == 2) + noise[i, t - 1]) for i in range(24) for t in (1, 2)]
    >>> frame = pd.DataFrame(rows, columns=["firm", "year", "start", "y"])
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> villages = pd.Series(panel.firms.index // 2, panel.firms.index)
    >>> import warnings; warnings.simplefilter("ignore")
    >>> table = few_clusters_table(panel, "y", DidSpec(), 2, villages, permutations=99)
    >>> table.set_index("kind").loc[["CR1_t", "CR2"], ["std_error", "df"]].round(2).to_dict("index")
    {'CR1_t': {'std_error': 0.35, 'df': 11.0}, 'CR2': {'std_error': 0.36, 'df': 10.0}}
    """
    regression = stacked_regression(panel, outcome, spec, period, weights)
    codes = cluster_codes(labels, regression.firm_id)[regression.firm]
    if codes.ndim == 2:
        raise DesignError("inference with few clusters goes one way; give one label a firm, of the way with fewer treated clusters")
    fit = fitted(regression.y, regression.x, regression.w, codes, regression.contrast)
    n_clusters, n_treated = len(np.unique(codes)), len(np.unique(codes[regression.treated]))
    if min(n_clusters, n_treated) < FEW_CLUSTERS:
        warn(fewer_than_thirty(min(n_clusters, n_treated)))
    lone = _lone_cohorts(regression, codes)
    if lone > 0 and n_treated > 1:
        warn(Note("lone_cluster", LONE, {"n": lone}))
    still = fit_errors(fit, "CR1")[0] <= NO_VARIANCE * np.abs(regression.y).max()
    if still:
        return _tabled([{"kind": kind, "reason": STILL} for kind in KINDS], fit.estimate, n_clusters, n_treated)
    rows = [_by_influence(panel, outcome, spec, period, labels, weights)]
    rows += [_by_errors(fit, kind, n_treated, spec.level) for kind in ("CR1", "CR2", "CR3")]
    rows += [_by_bootstrap(fit, law, n_treated, spec.level, seed) for law in ("rademacher", "webb")]
    chosen = spec.changed({"seed": seed})
    rows.append(_by_randomisation(panel, outcome, chosen, period, labels, weights, permutations))
    if n_treated < 3 and rows[-1].get("scheme") == "labels":
        rows[-1] = {"kind": "randomisation", "reason": f"{n_treated} treated cluster(s), and no untreated ones to deal cohorts to"}
    return _tabled(rows, fit.estimate, n_clusters, n_treated)


def _tabled(rows: list[dict], estimate: float, n_clusters: int, n_treated: int) -> pd.DataFrame:
    columns = ["kind", "estimate", "std_error", "df", "statistic", "p_value", "conf_low", "conf_high"]
    table = pd.DataFrame([dict.fromkeys(columns, np.nan) | {"estimate": estimate, "reason": ""} | row for row in rows])
    return table[columns].assign(n_clusters=n_clusters, n_clusters_treated=n_treated, reason=table["reason"])


def _lone_cohorts(regression: Regression, codes: np.ndarray) -> int:
    """Cohorts whose treated firms are all of one cluster."""
    columns = np.flatnonzero(regression.contrast > 0)
    return sum(len(np.unique(codes[regression.x[:, j] == 1])) == 1 for j in columns)


def _by_influence(panel, outcome, spec: DidSpec, period: int, labels, weights) -> dict:
    try:
        with collected():
            effects = aggregate(att_gt(panel, outcome, spec, weights), "period").clustered(labels, spec.level)
    except DesignError as error:  # one or two treated clusters
        return {"kind": "CR1_t", "reason": str(error)}
    row = effects.table[effects.table["period"] == period].iloc[0]
    names = ["estimate", "std_error", "df", "statistic", "p_value", "conf_low", "conf_high"]
    reason = "" if np.isfinite(row["std_error"]) else ALONE
    return {"kind": "CR1_t", **row[names].astype(float).to_dict(), "reason": reason}


def _by_errors(fit: Fit, kind: str, n_treated: int, level: float) -> dict:
    std_error, df = fit_errors(fit, kind)
    row = {"kind": kind, "estimate": fit.estimate}
    if n_treated == 1:
        return row | {"reason": ALONE}
    statistic, half = fit.estimate / std_error, stats.t.ppf((1 + level) / 2, df) * std_error
    p_value = 2 * stats.t.sf(abs(statistic), df)
    ends = {"conf_low": fit.estimate - half, "conf_high": fit.estimate + half}
    return row | {"std_error": std_error, "df": df, "statistic": statistic, "p_value": float(p_value), **ends}


def _by_bootstrap(fit: Fit, law: str, n_treated: int, level: float, seed: int) -> dict:
    kind = f"wild_{law}"
    if n_treated < 3:
        return {
            "kind": kind,
            "reason": f"{n_treated} treated cluster(s): the bootstrap needs three, as the residuals of fewer repeat the effect "
            "(MacKinnon and Webb 2017)",
        }
    found = wild_bootstrap(fit, law=law, level=level, seed=seed)
    std_error, _ = fit_errors(fit, "CR1")
    names = ("statistic", "p_value", "conf_low", "conf_high", "reason")
    return {"kind": kind, "std_error": std_error} | {name: found[name] for name in names}


def _by_randomisation(panel, outcome, spec: DidSpec, period: int, labels, weights, permutations: int) -> dict:
    row = {"kind": "randomisation"}
    if isinstance(weights, MatchedSample) or (weights is not None and weights.index.nlevels > 1):
        return row | {"reason": "weights made for the firms that were treated do not fit a reassignment: match again instead"}
    try:
        with collected():
            found = reassigned(ends_of(panel, outcome, spec, period, weights), panel.firms, spec, labels, permutations=permutations)
    except PipevalError as error:
        return row | {"reason": str(error)}
    return row | {"statistic": found["statistic"], "p_value": found["p_value"], "scheme": found["scheme"]}
