"""What two-way fixed effects average: every two-by-two comparison of cohorts, with its estimate and its weight."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd

from ..data.panel import NEVER, Panel
from ..errors import DesignError, some

TYPES = ("treated_vs_never", "earlier_vs_later", "later_vs_earlier", "treated_vs_always")


def bacon(panel: Panel, outcome: str) -> pd.DataFrame:
    """One row a comparison of two cohorts: the 2×2 estimate, in units of the outcome, and its share in the coefficient of `twfe`.

    Parameters
    ----------
    panel : Panel
        Every firm with the outcome in every period; firms without any value are passed over.
    outcome : str
        A column of `panel.outcomes`.

    Returns
    -------
    DataFrame
        `treated`, `untreated` (cohorts: the one whose treatment changes and the one that does not while it does; `NEVER` for
        firms untreated throughout, −∞ for firms treated throughout), `type` (`treated_vs_never`, `earlier_vs_later`,
        `later_vs_earlier`, `treated_vs_always`), `estimate, weight` (weights sum to 1), `n_treated, n_control`. Sorted by type
        and cohort. Σ weight · estimate is the coefficient of `post` in `twfe`. `later_vs_earlier` and `treated_vs_always`
        compare with firms already treated: they subtract changes of those firms' effects.

    Raises
    ------
    DesignError
        When a firm misses a period, or no two cohorts can be compared.

    Notes
    -----
    Goodman-Bacon (2021), theorem 1 and equations 7–10. With n_k the number of firms of cohort k and D_k its share of periods
    treated, the weights are, up to their sum,

    * against firms never (or always) treated: n_k n_u D_k (1 − D_k);
    * k against later l, before l starts: n_k n_l (D_k − D_l)(1 − D_k);
    * l against earlier k, after k started: n_k n_l D_l (D_k − D_l).

    Examples
    --------
    >>> rows = [("a", 2, [1, 4, 4]), ("b", 3, [2, 2, 5]), ("c", 0, [1, 2, 3])]
    >>> long = [(f, g, t + 1, y) for f, g, ys in rows for t, y in enumerate(ys)]
    >>> frame = pd.DataFrame(long, columns=["firm", "start", "year", "y"])
    >>> found = bacon(Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"]), "y")
    >>> found[["treated", "untreated", "estimate", "weight"]].round(3).to_dict("split")["data"]
    [[2.0, inf, 1.5, 0.333], [3.0, inf, 1.5, 0.333], [2.0, 3.0, 3.0, 0.167], [3.0, 2.0, 3.0, 0.167]]
    """
    wide = panel.wide(outcome).dropna(axis=1, how="all").dropna(axis=0, how="all")
    if wide.empty:
        raise DesignError(f"outcome '{outcome}' has no value in any period")
    holes = wide.isna().any(axis=1)
    if holes.any():
        raise DesignError(
            f"the decomposition needs every firm in every period; {some(wide.index[holes])} miss some. Keep the others: "
            "panel.keep(panel.wide(outcome).dropna().index, 'bacon', 'not_in_every_period')"
        )
    periods, y = wide.columns.to_numpy(), wide.to_numpy(float)
    cohort = panel.firms["cohort"].reindex(wide.index).to_numpy(float)
    cohort = np.where(cohort > periods.max(), NEVER, np.where(cohort <= periods.min(), -NEVER, cohort))
    groups, count = np.unique(cohort, return_counts=True)
    means = {g: y[cohort == g].mean(axis=0) for g in groups}
    firms = dict(zip(groups, count, strict=True))
    rows = [_pair(k, u, periods, means, firms) for k, u in permutations(groups, 2) if np.isfinite(k)]
    if not rows:
        raise DesignError(
            f"the decomposition needs firms that start within the periods and others to compare with; found cohorts {list(groups)}"
        )
    table = pd.DataFrame(rows, columns=["treated", "untreated", "type", "estimate", "weight", "n_treated", "n_control"])
    table["weight"] /= table["weight"].sum()
    return (
        table.assign(type=pd.Categorical(table["type"], TYPES))
        .sort_values(["type", "treated", "untreated"], ignore_index=True)
        .astype({"type": str})
    )


def _pair(k: float, u: float, periods: np.ndarray, means: dict, firms: dict) -> tuple:
    """The comparison of cohort k, while u does not change its state: the type, the estimate and the weight up to the sum."""
    share = {g: float((periods >= g).mean()) for g in (k, u)}
    if np.isinf(u):
        kind, inside = "treated_vs_never" if u > 0 else "treated_vs_always", np.ones(len(periods), bool)
        weight = share[k] * (1 - share[k])
    elif u > k:
        kind, inside = "earlier_vs_later", periods < u
        weight = (share[k] - share[u]) * (1 - share[k])
    else:
        kind, inside = "later_vs_earlier", periods >= u
        weight = share[k] * (share[u] - share[k])
    change = means[k] - means[u]
    estimate = change[inside & (periods >= k)].mean() - change[inside & (periods < k)].mean()
    return k, u, kind, float(estimate), firms[k] * firms[u] * weight, int(firms[k]), int(firms[u])
