"""How strong a confounder that nobody measured would have to be, outcome by outcome: the study's tables of hidden bias."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data.panel import NEVER, Panel
from ..did.estimate import compared, population
from ..errors import DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..study.specs import Outcome, Study
from .confounder import regression_strength
from .hidden_bias import breaking_gamma, rosenbaum_bounds, set_differences

REFUSED = (DesignError, EstimationError)


def hidden_bias_table(panel: Panel, sample: MatchedSample, study: Study, primary: Sequence[str]) -> pd.DataFrame:
    """One row a primary outcome that is a difference: what hidden bias its matched sets and its regression withstand.

    Columns `outcome, n_sets` (with a difference), `hodges_lehmann` (of the sets, no bias), `p_signed_rank` (one-sided, no bias),
    `gamma` (the odds ratio of treatment within a set at which that p-value passes 5 %, Rosenbaum 2002), `reason` (why there is
    none), `partial_r2`, `robustness_value` and `robustness_value_significance` (the partial R² with treatment and with outcome
    that a confounder needs to bring the regression's estimate to zero, or to lose its significance, Cinelli and Hazlett 2020),
    `note` (why the regression has none).

    Differences are of the change from the year before entry to the reference year; the regression is that of `benchmark_table`.
    """
    rows = []
    for outcome in _differences(study, primary):
        row = {"outcome": outcome.id} | _sets(panel, sample, study, outcome) | _regression(panel, sample, study, outcome)
        rows.append(row)
    columns = ["outcome", "n_sets", "hodges_lehmann", "p_signed_rank", "gamma", "reason", "partial_r2", "robustness_value"]
    return pd.DataFrame(rows, columns=[*columns, "robustness_value_significance", "note"])


def benchmark_table(panel: Panel, sample: MatchedSample, study: Study, primary: Sequence[str]) -> pd.DataFrame:
    """One row a primary outcome, covariate and multiple: the estimate had a confounder so many times as strong been left out.

    Least squares of the change since the base year on treatment and the study's covariates, among the firms compared; columns as
    `confounder.regression_strength`, with `outcome` in front.
    """
    found = []
    for outcome in _differences(study, primary):
        try:
            with collected():
                table = regression_strength(*_regressed(panel, sample, study, outcome))
        except REFUSED:
            continue
        found.append(table[table["covariate"].notna()].assign(outcome=outcome.id))
    columns = ["outcome", "covariate", "multiple", "r2_treatment", "r2_outcome", "estimate", "std_error", "conf_low", "conf_high"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def _differences(study: Study, primary: Sequence[str]) -> list[Outcome]:
    return [o for o in study.outcomes if o.id in primary and o.scale != "poisson"]


def _sets(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> dict:
    try:
        with collected():
            difference, _ = set_differences(sample, _change_since_entry(population(panel, outcome), sample, study, outcome))
            found = breaking_gamma(difference.to_numpy(), outcome.direction)
            first = rosenbaum_bounds(difference.to_numpy(), (1.0,), outcome.direction).iloc[0]
    except REFUSED as error:
        return {"n_sets": 0, "reason": str(error)}
    return {
        "n_sets": len(difference),
        "hodges_lehmann": first["hl_low"],
        "p_signed_rank": found["p_value"],
        "gamma": found["gamma"],
        "reason": found["reason"] or "",
    }


def _change_since_entry(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> pd.Series:
    """By cohort and firm: the change from the year before the cohort entered to the reference year; not of later entrants."""
    wide, cohort = panel.wide(outcome.id), panel.firms["cohort"]
    year, parts = study.treatment.reference_year, {}
    for g in np.unique(sample.sets["cohort"]):
        before = wide.columns[wide.columns <= g - 1 - study.did.anticipation]
        if g <= year and len(before) and year in wide:
            stays = (cohort == g) | (cohort > year) | (cohort == NEVER)
            parts[g] = (wide[year] - wide[before.max()])[stays]
    if not parts:
        raise DesignError("no matched cohort is observed both before it entered and in the reference year")
    return pd.concat(parts, names=["cohort", "firm_id"])


def _regressed(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> tuple[pd.Series, pd.Series, pd.DataFrame]:
    firms = population(compared(panel, sample, study), outcome)
    year, base = study.treatment.reference_year, study.baseline.year
    cohort, wide = firms.firms["cohort"], firms.wide(outcome.id)
    if base not in wide or year not in wide:
        raise DesignError(f"the change needs the base year {base} and the reference year {year}")
    inside = (cohort <= year) | (cohort == NEVER)
    names = [c for c in (study.did.covariates or study.match.covariates) if c in firms.firms and c not in outcome.among]
    return (wide[year] - wide[base])[inside].dropna(), np.isfinite(cohort[inside]), firms.firms.loc[inside, names]


def _regression(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> dict:
    try:
        with collected():
            first = regression_strength(*_regressed(panel, sample, study, outcome)).iloc[0]
    except REFUSED as error:
        return {"note": str(error)}
    return {name: first[name] for name in ("partial_r2", "robustness_value", "robustness_value_significance")} | {"note": ""}
