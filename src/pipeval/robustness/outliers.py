"""How far a few firms carry the answer: extreme changes drawn in or discounted, and the headline without one firm or group."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import linprog

from ..data.panel import Panel
from ..data.winsorise import WITHIN, winsorised
from ..did.estimate import at_reference, by_period, compared, estimate, population
from ..errors import DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..study.specs import Outcome, Study

OUTLIER_COLUMNS = [
    "row", "outcome", "estimand", "estimate", "std_error", "conf_low", "conf_high", "p_value", "n_treated", "n_control", "note",
]  # fmt: skip
LEFT_OUT_COLUMNS = ["by", "left_out", "n_left_out", "estimate", "std_error", "p_value", "moved", "note"]
SHARE = 0.01
"""Of the changes, drawn in at either end."""
MOST = 10
"""Firms left out one by one: those with the largest influence on the headline."""


def outlier_rows(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> pd.DataFrame:
    """The effect in the reference year when extreme changes count for less; a row a way of counting.

    * `headline`: as the study says; `estimand` mean.
    * `winsorised`: the same on changes from the base year with one per cent drawn in at either end, within branch, size class and
      year; `estimand` winsorised_mean.
    * `least_squares`: the change from the base year on treatment and the study's covariates, one row a firm: the regression that
      the next two make robust; `estimand` mean. Standard errors robust to heteroskedasticity (HC1).
    * `huber`: the same by Huber's M-estimator (1.345, scale by the median absolute deviation); `estimand` robust_location: what
      the middle of the distribution gained. Standard errors take errors as independent, alike and symmetric (Huber 1981).
    * `median`: the same by least absolute deviations; `estimand` median: how far the programme moves the median change of firms
      alike in the covariates. Standard errors are robust to heteroskedasticity (Powell 1991), firms independent.

    The three regressions count every firm alike and as independent: sampling weights, clusters, the weights of a matched sample and
    covariates that vary over years are the headline's only. The last two are other estimands than the headline: they agree with it
    where effects are alike and errors symmetric, and a gap says that a few firms carry the mean, not that the mean is wrong. A row
    that cannot be made keeps its reason as `note`.

    Returns
    -------
    DataFrame
        `row, outcome, estimand, estimate, std_error, conf_low, conf_high, p_value, n_treated, n_control, note`.
    """
    year = study.treatment.reference_year

    def headline(firms: Panel) -> Callable[[], pd.Series]:
        return lambda: at_reference(estimate(firms, sample, study, outcome, year=year), year)

    def regressed(fit: Callable) -> Callable[[], pd.Series]:
        return lambda: _regressed(panel, sample, study, outcome, fit)

    ways = [
        ("headline", "mean", headline(panel)),
        (
            "winsorised",
            "winsorised_mean",
            lambda: at_reference(estimate(_drawn_in(panel, study, outcome), sample, study, outcome), year),
        ),
        ("least_squares", "mean", regressed(_least_squares)),
        ("huber", "robust_location", regressed(_huber)),
        ("median", "median", regressed(_median)),
    ]
    rows = []
    for name, estimand, run in ways:
        found, note = attempted(run)
        rows.append(
            {"row": name, "outcome": outcome.id, "estimand": estimand, **found.reindex(OUTLIER_COLUMNS[3:-1]), "note": note}
        )
    return pd.DataFrame(rows, columns=OUTLIER_COLUMNS)


def leave_one_out(
    panel: Panel,
    sample: MatchedSample,
    study: Study,
    outcome: Outcome,
    by: str = "firm_id",
    executor: Executor | None = None,
) -> pd.DataFrame:
    """The headline without one firm, or one group of firms, at a time; largest move first.

    Parameters
    ----------
    by : str
        `firm_id`: the ten firms with the largest influence. Otherwise a column of the firms (a business cluster, the branch, the
        municipality): each of its values. Every row is estimated anew, not approximated; the match is not made again.
    executor : concurrent.futures executor, optional
        Where rows are estimated; the numbers do not depend on it.

    Returns
    -------
    DataFrame
        `by, left_out` (an id or a value), `n_left_out, estimate, std_error, p_value, moved` (against the headline, in the
        headline's standard errors), `note` (why a row cannot be estimated; empty otherwise).

    Raises
    ------
    DesignError, EstimationError
        When the headline itself cannot be estimated, or firms have no such column.
    """
    year = study.treatment.reference_year
    with collected():
        full = by_period(estimate(panel, sample, study, outcome, year=year))
    column = int(np.flatnonzero(full.table["period"] == year)[0])
    headline = full.table.iloc[column]
    if by == "firm_id":
        size = np.abs(full.influence[:, column])
        first = np.argsort(-size, kind="stable")[:MOST]
        groups = {full.firm_id[i]: [full.firm_id[i]] for i in first if size[i] > 0}
    elif by in panel.firms:
        label = panel.firms.loc[full.firm_id[full.member[:, column]], by].dropna()
        groups = {level: list(firms) for level, firms in label.groupby(label, sort=True).groups.items()}
    else:
        raise DesignError(
            f"firms can be left out by firm_id or a column of the panel; it has no '{by}': {list(panel.firms.columns)}"
        )
    movable = replace(sample, estimated=dict(sample.estimated))  # read-only mappings cannot be sent to another process
    job = partial(_without, panel, movable, study, outcome)
    run = map if executor is None else executor.map
    rows = []
    for (left_out, firms), (found, note) in zip(groups.items(), run(job, groups.values()), strict=True):
        moved = (found.get("estimate", np.nan) - headline["estimate"]) / headline["std_error"]
        numbers = {k: found.get(k, np.nan) for k in ("estimate", "std_error", "p_value")}
        rows.append({"by": by, "left_out": left_out, "n_left_out": len(firms), **numbers, "moved": moved, "note": note})
    table = pd.DataFrame(rows, columns=LEFT_OUT_COLUMNS)
    return table.sort_values("moved", key=np.abs, ascending=False, kind="stable", ignore_index=True)


def attempted(run: Callable[[], pd.Series]) -> tuple[pd.Series, str]:
    """What `run` returns and no reason, or nothing and the reason why it cannot be estimated; its remarks are kept quiet."""
    try:
        with collected():
            return run(), ""
    except (DesignError, EstimationError) as error:
        return pd.Series(dtype=float), str(error)


def _without(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, firms: list) -> tuple[pd.Series, str]:
    kept = panel.firms.index[~panel.firms.index.isin(firms)]

    def run() -> pd.Series:
        smaller = panel.keep(kept, stage="robustness", reason="left_out")
        year = study.treatment.reference_year
        return at_reference(estimate(smaller, sample, study, outcome, year=year), year)

    return attempted(run)


def _drawn_in(panel: Panel, study: Study, outcome: Outcome) -> Panel:
    """The panel with the outcome's changes from the base year winsorised, year by year."""
    wide = panel.wide(outcome.id)
    if study.baseline.year not in wide:
        raise DesignError(f"outcome {outcome.id} is not observed in the base year {study.baseline.year}")
    base = wide[study.baseline.year].reindex(panel.outcomes.index.get_level_values(0)).to_numpy()
    values = panel.outcomes[outcome.id]
    change = winsorised(values - base, panel.firms, SHARE, [c for c in WITHIN if c in panel.firms])
    drawn = (change + base).where(change.notna(), values)
    return Panel(panel.firms, panel.outcomes.assign(**{outcome.id: drawn}), panel.ledger)


def _regressed(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, fit: Callable) -> pd.Series:
    """Treatment's coefficient in a regression of the change from the base to the reference year, one row a firm."""
    if outcome.scale == "poisson":
        raise DesignError("an effect on a total is carried by its largest firms by definition: there is no robust version of it")
    base, year = study.baseline.year, study.treatment.reference_year
    firms = population(compared(panel, sample, study) if sample.scores.size else panel, outcome)
    wide, cohort = firms.wide(outcome.id), firms.firms["cohort"]
    if base not in wide or year not in wide:
        raise DesignError(f"outcome {outcome.id} is not observed in both {base} and {year}")
    names = [c for c in study.did.covariates if c in firms.firms and c not in outcome.among]
    seen = (wide[base].notna() & wide[year].notna() & firms.firms[names].notna().all(axis=1)).to_numpy()
    use = seen & ((cohort <= year) | (cohort > year + study.did.anticipation)).to_numpy()
    treated = (cohort <= year).to_numpy()[use].astype(float)
    levels = [pd.get_dummies(firms.firms.loc[use, names], drop_first=True).to_numpy(float)] if names else []
    x = np.column_stack([treated, np.ones(use.sum()), *levels])
    if np.linalg.matrix_rank(x) < x.shape[1]:
        raise EstimationError("treatment and covariates are collinear among the firms observed in both years; use fewer covariates")
    b, error, df = fit((wide[year] - wide[base]).to_numpy()[use], x)
    critical = stats.t.ppf((1 + study.did.level) / 2, df) * error
    p = 2 * stats.t.sf(abs(b / error), df) if error > 0 else np.nan
    counts = {"n_treated": int(treated.sum()), "n_control": int((1 - treated).sum())}
    return pd.Series(
        {"estimate": b, "std_error": error, "conf_low": b - critical, "conf_high": b + critical, "p_value": p, **counts}
    )


def _least_squares(y: np.ndarray, x: np.ndarray) -> tuple[float, float, int]:
    n, k = x.shape
    bread = np.linalg.inv(x.T @ x)
    beta = bread @ x.T @ y
    own = x @ bread[0] * (y - x @ beta)
    return float(beta[0]), float(np.sqrt(own @ own * n / (n - k))), n - k


def _huber(y: np.ndarray, x: np.ndarray) -> tuple[float, float, int]:
    import statsmodels.api as sm  # heavy: only for these rows

    fit = sm.RLM(y, x, M=sm.robust.norms.HuberT()).fit()
    return float(fit.params[0]), float(fit.bse[0]), len(y) - x.shape[1]


def _median(y: np.ndarray, x: np.ndarray) -> tuple[float, float, int]:
    """Least absolute deviations as a linear programme (its dual, so that memory is linear in firms) and Powell's sandwich.

    The density of the errors at zero comes from a normal kernel with the bandwidth of Hall and Sheather (1988).
    """
    n, k = x.shape
    found = linprog(-y, A_eq=x.T, b_eq=x.sum(axis=0) / 2, bounds=(0, 1), method="highs")
    if not found.success:
        raise EstimationError(f"the median regression found no solution: {found.message}")
    residual = y + x @ found.eqlin.marginals
    z = stats.norm.ppf(0.975)
    width = n ** (-1 / 3) * z ** (2 / 3) * (1.5 * stats.norm.pdf(0) ** 2) ** (1 / 3)
    spread = min(residual.std(), stats.iqr(residual) / 1.34)
    width = spread * (stats.norm.ppf(0.5 + width) - stats.norm.ppf(0.5 - width)) if width < 0.5 else np.nan
    if not width > 0:
        return float(-found.eqlin.marginals[0]), np.nan, n - k
    density = (x * stats.norm.pdf(residual / width)[:, None]).T @ x / width
    first = np.linalg.solve(density, np.eye(k)[0])
    return float(-found.eqlin.marginals[0]), float(np.sqrt(first @ (x.T @ x / 4) @ first)), n - k
