"""Two-way fixed effects, as a comparison row beside ATT(g,t): with staggered entry it subtracts effects of earlier cohorts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..errors import DesignError, EstimationError, warn
from .att_gt import missing_covariates
from .covariates import Covariates
from .covariates import covariates as firm_covariates
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
    covariates: Sequence[str] = (),
) -> pd.DataFrame:
    """One row a treatment dummy: its coefficient in a regression with firm and period effects, in units of the outcome.

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
    covariates : sequence of str, optional
        Columns of `panel.firms`, each times a dummy for every period but the first: firms unlike one another may grow apart.
        Firms that lack one leave, with a note.

    Returns
    -------
    DataFrame
        `term` (`post` or `event time k`; covariates have no row) and the tidy columns. `negative_weight` (for `post`) is
        the share of treated firm-periods whose effect enters with a negative weight (de Chaisemartin and D'Haultfœuille 2020).

    Raises
    ------
    DesignError
        When no observation is treated, or there are fewer than three clusters.
    EstimationError
        When dummies or covariates are collinear with firm and period effects.

    Notes
    -----
    `linearmodels.PanelOLS` with entity and time effects; clustered covariance times G/(G−1)·(N−1)/N (`group_debias`)
    times N/(N−K), K counting terms and periods but not the firm effects, which are nested in the clusters (Cameron and
    Miller 2015, section IIC); t(G−1).

    Examples
    --------
    >>> rows = [("a", 1, 1.0), ("a", 2, 4.0), ("b", 1, 2.0), ("b", 2, 6.0)]
    >>> rows += [("c", 1, 1.0), ("c", 2, 2.0), ("d", 1, 3.0), ("d", 2, 4.5)]
    >>> frame = pd.DataFrame(rows, columns=["firm", "year", "y"])
    >>> frame["start"] = frame["firm"].isin(["a", "b"]) * 2
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> import warnings; warnings.simplefilter("ignore")
    >>> twfe(panel, "y")[["term", "estimate"]].round(3).to_dict("records")
    [{'term': 'post', 'estimate': 2.25}]
    """
    data, cov = _observed(panel, outcome, weights, covariates)
    terms = _dummies(data, event_times)
    columns = _trends(data, cov).join(terms)
    alone = _full_rank(data, columns, _within(data, columns))
    fit, groups = _fit(data, columns, clusters, unadjusted)
    df = float(fit.df_resid) if unadjusted else groups - 1.0
    counted = columns.shape[1] + data.index.get_level_values(1).nunique()
    scale = 1.0 if unadjusted else np.sqrt(len(data) / (len(data) - counted))
    params, std_errors = fit.params[list(terms)].to_numpy(), fit.std_errors[list(terms)].to_numpy() * scale
    columns = intervals(params, std_errors, np.full(terms.shape[1], df), level)
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
    residual = alone[terms["post"].to_numpy() == 1]  # the weight of each treated firm-period's effect, up to scale
    return table.assign(negative_weight=float((residual < -1e-12).mean()))


def _observed(panel: Panel, outcome: str, weights: pd.Series | None, names: Sequence[str]) -> tuple[pd.DataFrame, Covariates]:
    """Firm-periods with an outcome, a weight and covariates; and these, a row a firm of the panel.

    Of firms seen at least twice: a single observation is absorbed by the firm's own effect.
    """
    wide = panel.wide(outcome)
    cov = firm_covariates(panel.firms, names)
    missing_covariates(cov, wide.to_numpy(), wide.index)
    y = panel.outcomes[outcome].dropna().rename("y")
    y = y[~cov.missing[panel.firms.index.get_indexer(y.index.get_level_values(0))]]
    data = pd.DataFrame({"y": y, "cohort": panel.firms["cohort"].reindex(y.index.get_level_values(0)).to_numpy()})
    firm = data.index.get_level_values(0)
    data["w"] = 1.0 if weights is None else weights.reindex(firm).fillna(0).to_numpy()
    data = data[data["w"] > 0]
    data = data[data.groupby(level=0)["y"].transform("size") > 1]
    return data.assign(row=panel.firms.index.get_indexer(data.index.get_level_values(0))), cov


def _trends(data: pd.DataFrame, cov: Covariates) -> pd.DataFrame:
    """Each covariate times a dummy for every period but the first; a category's first level among these firms has no column."""
    row, period = data["row"].to_numpy(), data.index.get_level_values(1).to_numpy()
    single = {name: cov.numbers[row, j] for j, name in enumerate(cov.names)}
    for name, codes, levels in cov.levels:
        present = np.unique(codes[row])
        single |= {f"{name} = {levels[level]}": (codes[row] == level).astype(float) for level in present[1:]}
    columns = {f"{name} in {t}": values * (period == t) for name, values in single.items() for t in np.unique(period)[1:]}
    return pd.DataFrame(columns, index=data.index)


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


def _full_rank(data: pd.DataFrame, terms: pd.DataFrame, within: np.ndarray) -> np.ndarray:
    """What the other terms leave of the last one, by row.

    Refuses regressors that firm and period effects determine: clustered errors would come out as rubbish with only a warning.
    """
    root = np.sqrt(data["w"].to_numpy())
    basis, triangle = np.linalg.qr(within * root[:, None])
    left = np.append(np.diag(triangle) ** 2, np.zeros(max(0, terms.shape[1] - len(triangle))))
    for name, rest in zip(terms.columns, left, strict=True):
        if rest < 1e-9 * max(1.0, float((terms[name] ** 2).sum())):
            raise EstimationError(
                f"'{name}' is collinear with firm and period effects or other terms. Likeliest first: "
                "(1) no never-treated or later cohort to compare with; (2) all event times asked for, leave one out; "
                "(3) that event time is not observed; (4) a covariate that is constant or follows from others"
            )
    return basis[:, -1] * triangle[-1, -1] / root


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
