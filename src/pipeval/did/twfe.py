"""Two-way fixed effects, as a comparison row beside ATT(g,t): with staggered entry it subtracts effects of earlier cohorts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..errors import DesignError, EstimationError, warn
from .effects import TIDY
from .inference import few_clusters, intervals


def twfe(
    panel: Panel,
    outcome: str,
    event_times: Sequence[int] | None = None,
    clusters: pd.Series | None = None,
    unadjusted: bool = False,
    weights: pd.Series | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """One row a regressor: its coefficient in a regression with firm and period effects, in units of the outcome.

    Parameters
    ----------
    event_times : sequence of int, optional
        One dummy each (0 = first treated period); by default a single dummy for every treated period.
    clusters : Series, optional
        Cluster by `firm_id`; by default every firm is its own.
    unadjusted : bool
        Classical standard errors, as textbooks print them, instead of clustered ones.
    weights : Series, optional
        By `firm_id`; firms absent from it leave.

    Returns
    -------
    DataFrame
        `term` (`post` or `event time k`) and the tidy columns. `negative_weight` (for `post`) is the share of treated
        firm-periods whose effect enters with a negative weight (de Chaisemartin and D'Haultfœuille 2020).

    Raises
    ------
    DesignError
        When no observation is treated, or there are fewer than three clusters.
    EstimationError
        When the dummies are collinear with firm and period effects.

    Notes
    -----
    `linearmodels.PanelOLS` with entity and time effects; clustered covariance times G/(G−1)·(N−1)/N (`group_debias`)
    times N/(N−K), K counting terms and periods but not the firm effects, which are nested in the clusters (Cameron and
    Miller 2015, section IIC); t(G−1).
    """
    data = _observed(panel, outcome, weights)
    terms = _dummies(data, event_times)
    within = _within(data, terms)
    _full_rank(data, terms, within)
    fit, groups = _fit(data, terms, clusters, unadjusted)
    df = float(fit.df_resid) if unadjusted else groups - 1.0
    counted = terms.shape[1] + data.index.get_level_values(1).nunique()
    scale = 1.0 if unadjusted else np.sqrt(len(data) / (len(data) - counted))
    columns = intervals(fit.params.to_numpy(), fit.std_errors.to_numpy() * scale, np.full(terms.shape[1], df), level)
    table = pd.DataFrame({"term": list(terms.columns), **columns})
    treated, cohort = data["cohort"] <= data.index.get_level_values(1), data["cohort"]
    counts = {
        "n_treated": int(cohort[treated].index.get_level_values(0).nunique()),
        "n_control": int((cohort > data.index.get_level_values(1).max()).groupby(level=0).first().sum()),
        "n_clusters": groups,
    }
    table = table.assign(**counts)[["term", *TIDY]]
    if event_times is not None:
        return table.assign(negative_weight=np.nan)
    residual = within[terms["post"].to_numpy() == 1, 0]  # the weight of each treated firm-period's effect, up to scale
    return table.assign(negative_weight=float((residual < -1e-12).mean()))


def _observed(panel: Panel, outcome: str, weights: pd.Series | None) -> pd.DataFrame:
    """Firm-periods with an outcome (and a weight), of firms seen at least twice: a single one is absorbed by its own effect."""
    panel.wide(outcome)  # says so when the outcome is not there
    y = panel.outcomes[outcome].dropna().rename("y")
    data = pd.DataFrame({"y": y, "cohort": panel.firms["cohort"].reindex(y.index.get_level_values(0)).to_numpy()})
    firm = data.index.get_level_values(0)
    data["w"] = 1.0 if weights is None else weights.reindex(firm).fillna(0).to_numpy()
    data = data[data["w"] > 0]
    return data[data.groupby(level=0)["y"].transform("size") > 1]


def _dummies(data: pd.DataFrame, event_times: Sequence[int] | None) -> pd.DataFrame:
    event = data.index.get_level_values(1) - data["cohort"]
    if not (event >= 0).any():
        raise DesignError("two-way fixed effects need treated firm-periods; none is observed")
    if event_times is None:
        return pd.DataFrame({"post": (event >= 0).astype(float)})
    return pd.DataFrame({f"event time {k}": (event == k).astype(float) for k in event_times})


def _within(data: pd.DataFrame, columns: pd.DataFrame) -> np.ndarray:
    """Residuals of `columns` (rows, terms) on firm and period dummies, weighted, by alternating projections run to rounding."""
    w = data["w"].to_numpy()
    codes = [pd.factorize(data.index.get_level_values(axis))[0] for axis in (0, 1)]
    mass = [np.bincount(c, w) for c in codes]
    out = columns.to_numpy(float)
    for _ in range(10_000):
        before = out
        for code, total in zip(codes, mass, strict=True):
            sums = np.column_stack([np.bincount(code, w * column) for column in out.T])
            out = out - (sums / total[:, None])[code]
        if np.abs(out - before).max() < 1e-12:
            break
    return out


def _full_rank(data: pd.DataFrame, terms: pd.DataFrame, within: np.ndarray) -> None:
    """Refuse regressors that firm and period effects determine: clustered errors would come out as rubbish with only a warning."""
    within = within * np.sqrt(data["w"].to_numpy())[:, None]
    for j in range(within.shape[1]):
        others = within[:, :j]
        left = within[:, j] - (others @ np.linalg.lstsq(others, within[:, j], rcond=None)[0] if j else 0)
        if left @ left < 1e-9 * max(1.0, float(terms.iloc[:, j].sum())):
            raise EstimationError(
                f"'{terms.columns[j]}' is collinear with firm and period effects or other terms. Likeliest first: "
                "(1) no never-treated or later cohort to compare with; (2) all event times asked for, leave one out; "
                "(3) that event time is not observed"
            )


def _fit(data: pd.DataFrame, terms: pd.DataFrame, clusters: pd.Series | None, unadjusted: bool):
    from linearmodels.panel import PanelOLS  # heavy: only loaded when this row is asked for

    codes = pd.Series(pd.factorize(data.index.get_level_values(0))[0], index=data.index)
    entity = codes.to_numpy()
    index = pd.MultiIndex.from_arrays([entity, data.index.get_level_values(1)], names=["firm_id", "period"])
    if clusters is not None:
        mine = clusters.reindex(data.index.get_level_values(0))
        labels = pd.factorize(mine)[0]
        codes = pd.Series(np.where(labels < 0, labels.max() + 1 + entity, labels), index=data.index)
    groups = int(codes.nunique())
    model = PanelOLS(
        data["y"].set_axis(index), terms.set_axis(index), weights=data["w"].set_axis(index), entity_effects=True, time_effects=True
    )
    if unadjusted:
        return model.fit(), groups
    note = few_clusters(np.array([groups]))
    if note is not None:
        warn(note)
    options = {"group_debias": True, "debiased": False, "auto_df": False, "count_effects": False}  # the caller counts parameters
    return model.fit(cov_type="clustered", clusters=codes.set_axis(index), **options), groups
