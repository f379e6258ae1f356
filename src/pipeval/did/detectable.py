"""What a study's sample can detect, outcome by outcome, from the years before the programme and from nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..matching.matched import MatchedSample
from ..study.specs import Outcome, Study
from .cells import cluster_labels, sampling_weights
from .estimate import as_share, compared, population
from .placebo import placebo_error
from .power import arm_weights, mde, sd_of_change


def detectable_table(panel: Panel, sample: MatchedSample, study: Study) -> pd.DataFrame:
    """One row an outcome: the minimum detectable effect of the headline design in the reference year.

    Columns `outcome, scale, horizon` (years), `sd_change` (of the change over the horizon), `source` (observed, extrapolated,
    one_span, placebo, none), `mde` (on the outcome's scale), `n_treated, n_control` (at the start), `effective` (controls after
    weights and adjustment), `icc, design_effect, clusters` (NaN, 1, NaN where the study clusters on firms or matched sets),
    `attrition` (share of firms lost by the reference year), `firms_needed` (treated firms, at the same controls each), `reason`
    (why `mde` is NaN), `mde_share` (as a share), `target` (the relevant effect), `detectable`.
    """
    matched = study.headline == "matched"
    firms = panel if matched else compared(panel, sample, study)
    cohort = firms.firms["cohort"]
    entered = cohort.index[(cohort <= study.treatment.reference_year) | np.isinf(cohort)]
    firms = firms.keep(entered, stage="power", reason="later_cohort")
    return pd.DataFrame([_row(firms, o, study, sample.weights if matched else None) for o in study.outcomes])


def _row(firms: Panel, outcome: Outcome, study: Study, weights: pd.Series | None) -> dict:
    """The minimum detectable effect of one outcome: `mde` on its own scale, `mde_share` as a share."""
    horizon = study.treatment.reference_year - study.baseline.year
    firms = population(firms, outcome)
    covariates = tuple(c for c in study.did.covariates if c not in outcome.among)
    spec = study.did.changed({"covariates": covariates})
    matched = weights is not None
    weights = weights if matched else sampling_weights(firms.firms, spec, None)
    clusters = None if spec.cluster in ("firm_id", "set_id") else cluster_labels(firms.firms, spec.cluster)
    spread = sd_of_change(firms, outcome.id, horizon, covariates, weights, study.baseline.year + 1, clusters)
    if outcome.scale == "poisson":
        spec = spec.changed({"cluster": "firm_id"}) if clusters is None else spec
        by_firm = None
        if matched:  # the match has used the covariates
            spec, by_firm = spec.changed({"covariates": ()}), pd.Series(sum(arm_weights(firms, weights)), firms.firms.index)
        error = placebo_error(firms, outcome.id, study.baseline.year, horizon, spec, by_firm)
        spread = _of_placebo(spread, error)
    sign, target = -1.0 if outcome.direction == "decrease" else 1.0, outcome.relevant_effect
    wanted = None if target is None else sign * target
    if outcome.scale == "poisson" and wanted is not None:
        wanted = np.log1p(wanted) if wanted > -1 else None
    found = mde(spread, study.power, wanted, "level" if outcome.scale == "poisson" else outcome.scale)
    share = sign * as_share(sign * found["mde"], outcome.scale)
    known = target is not None and not np.isnan(share)
    row = {
        "outcome": outcome.id,
        "scale": outcome.scale,
        "horizon": horizon,
        "sd_change": found.pop("sd"),
        "source": found.pop("basis"),
    }
    return row | found | {"mde_share": share, "target": target, "detectable": bool(share <= target) if known else None}


def _of_placebo(spread: pd.Series, error: float) -> pd.Series:
    """The spread that makes the formula give a placebo's error, which is clustered already."""
    spread = spread.copy()
    spread["mates"], error = 0.0, 0.0 if error < 1e-10 else error  # log points: rounding is no variation
    both = spread["n_treated"] > 0 and spread["effective"] > 0
    spread["sd"] = error / np.sqrt(1 / spread["n_treated"] + 1 / spread["effective"]) if both else np.nan
    if error == error:
        spread["basis"], spread["reason"] = "placebo", ""
    elif both and not spread["reason"] and not spread["clusters"] < 3:
        spread["basis"], spread["reason"] = "placebo", "no placebo estimate could be made"
    return spread
