"""The evaluation evaluated: draw a programme whose truth is known, run the pipeline on it, and compare.

One draw goes the whole road from tables to the headline estimate; its truth is the mean true effect of exactly the treated firms
that the estimate describes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from ..data.load import Tables
from ..data.measures import measures
from ..data.sample import Knobs, Simulation, series_table, simulate
from ..data.treatment import build_panel
from ..did.aggregate import aggregate
from ..did.estimate import balance_of, by_period, estimate
from ..errors import DesignError, EstimationError, collected
from ..matching.panel import match_controls
from ..matching.pool import comparable
from ..study.specs import DidSpec, Study
from .checks import design_checks

PROCESSES: dict[str, dict] = {
    "default": {},
    "null": {"effect": 0.0},
    "trends by size, age, exporting": {"trend_heterogeneity": 0.02},
    "dip": {"selection_on_shock": -0.3},
    "drift": {"differential_trend": 0.02},
    "spillover on the comparison": {"spill_pool": 0.03},
    "attrition by outcome": {"attrition_bias": 0.10},
}
"""Data-generating processes, as knobs of the sample programme. The identifying assumption holds in the first three."""

HOLDS = ("default", "null", "trends by size, age, exporting")

TRUTH = {"ln_sales": "tau_ln_sales", "ln_va_job": "tau_ln_va_job", "ln_price": "tau_ln_price"}


def seen_tables(drawn: Simulation, study: Study) -> Tables:
    """One draw of the sample programme as an evaluator sees it at `study.as_of`."""
    survey = drawn.survey
    seen = survey[(survey["ref_year"] < study.as_of.year) & ~(survey["interview_on"] > pd.Timestamp(study.as_of))]
    firms = drawn.enterprises
    firms = firms.assign(closed_on=firms["closed_on"].mask(firms["closed_on"] > pd.Timestamp(study.as_of)))
    return Tables({"enterprises": firms, "survey": seen, "series": series_table()})


def recover(
    study: Study,
    knobs: Knobs,
    seeds: Iterable[int],
    designs: dict[str, tuple[str, DidSpec]],
    band: bool = False,
    checks: bool = False,
) -> pd.DataFrame:
    """One row a draw and design: `seed, design, truth, estimate, std_error, conf_low, conf_high, p_value`, NaN where it fails.

    Parameters
    ----------
    study : Study
        Its first outcome is recovered, in its reference year.
    knobs : Knobs
        The process; each seed is one draw of it.
    designs : dict
        Name → (`common_support` or `matched`, the estimator's specification).
    band : bool
        On the first design's row also: whether the simultaneous band holds the whole true path (`band_covered`).
    checks : bool
        On the first design's row also: what the design checks say (`check_<name>`: pass, mild, fail, not_testable).
    """
    outcome = study.outcomes[0]
    rows = []
    for seed in seeds:
        with collected():
            drawn = simulate(replace(knobs, seed=seed, planted_errors=False))
            tables = seen_tables(drawn, study)
            everyone = build_panel(tables, measures(tables, study), study, study.treatment.definition)
            panel = comparable(everyone, study.treatment)
            sample = match_controls(panel, study)
            tau = drawn.truth.set_index(["firm_id", "ref_year"])[TRUTH[outcome.id]].unstack()
            first = len(rows)
            for name, (design, spec) in designs.items():
                rows.append({"seed": seed, "design": name} | _row(panel, sample, study, design, spec, tau))
            rows[first] |= _band(panel, sample, study, tau) if band else {}
            rows[first] |= _checks(everyone, panel, sample, study) if checks else {}
    return pd.DataFrame(rows)


def _row(panel, sample, study: Study, design: str, spec: DidSpec, tau: pd.DataFrame) -> dict:
    names = ("estimate", "std_error", "conf_low", "conf_high", "p_value", "n_treated")
    try:
        effects = by_period(estimate(panel, sample, study, study.outcomes[0], design=design, spec=spec))
    except (DesignError, EstimationError):
        return dict.fromkeys(("truth", *names), np.nan)
    column = int(np.flatnonzero(effects.table["period"] == study.treatment.reference_year)[0])
    truth = tau[study.treatment.reference_year].reindex(effects.firm_id).to_numpy()
    return {"truth": float(effects.treated_weight[:, column] @ truth), **{n: effects.table.at[column, n] for n in names}}


def _band(panel, sample, study: Study, tau: pd.DataFrame) -> dict:
    """Whether the event study's simultaneous band holds every true effect, before and after entry."""
    effects = aggregate(estimate(panel, sample, study, study.outcomes[0]), "event_time").bands(study.did.draws, study.did.seed)
    cohort = panel.firms["cohort"].reindex(effects.firm_id).to_numpy()
    paths = tau.reindex(effects.firm_id)
    inside = []
    for column, row in effects.table.iterrows():
        if row["term"] == "average" or np.isnan(row["band_low"]):
            continue
        described = np.flatnonzero(effects.treated_weight[:, column])
        years = (cohort[described] + row["event_time"]).astype(int)
        true = paths.to_numpy()[described, paths.columns.get_indexer(years)]
        truth = effects.treated_weight[described, column] @ true
        inside.append(row["band_low"] <= truth <= row["band_high"])
    return {"band_covered": float(all(inside))}


def _checks(everyone, panel, sample, study: Study) -> dict:
    """The result of each design check, as `check_<name>`."""
    outcome = study.outcomes[0]
    cells = {outcome.id: estimate(panel, sample, study, outcome)}
    columns = dict.fromkeys((*study.match.covariates, *study.match.exact))
    balance = pd.concat([balance_of(panel, sample, study, c).assign(kind="level") for c in columns])
    table = design_checks(everyone, panel, sample, study, cells, balance)
    return {f"check_{row.check}": row.result for row in table.itertuples()}


def summary(draws: pd.DataFrame) -> pd.DataFrame:
    """One row a design: `draws, failed, mean_truth, bias, sd, mean_std_error, rmse, coverage, rejection`.

    `coverage` is the share of draws whose interval holds the draw's own truth, `rejection` the share with p < 0.05.
    """
    done = draws.dropna(subset=["estimate", "std_error"])
    error = done["estimate"] - done["truth"]
    frame = done.assign(
        error=error,
        square=error**2,
        covered=(done["conf_low"] <= done["truth"]) & (done["truth"] <= done["conf_high"]),
        rejected=done["p_value"] < 0.05,
    )
    table = frame.groupby("design", sort=False).agg(
        draws=("seed", "size"), mean_truth=("truth", "mean"), bias=("error", "mean"), sd=("error", "std"),
        mean_std_error=("std_error", "mean"), rmse=("square", "mean"), coverage=("covered", "mean"), rejection=("rejected", "mean"),
    )  # fmt: skip
    failed = draws["estimate"].isna().groupby(draws["design"], sort=False).sum()
    table.insert(1, "failed", failed)
    return table.assign(rmse=np.sqrt(table["rmse"])).reset_index()
