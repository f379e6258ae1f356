"""One outcome of a study, estimated as params say: on the whole common support, or on matched weights.

`estimate` is the only place where a study's choices meet the estimators; headline, other definitions and robustness
rows call it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..matching.matched import MatchedSample
from ..study.specs import DidSpec, Outcome, Study
from .aggregate import aggregate
from .att_gt import att_gt
from .effects import Effects
from .poisson import poisson_att

Design = Literal["common_support", "matched"]


def common_support(panel: Panel, scores: pd.Series) -> Panel:
    """The firms whose propensity score lies where both arms have firms (min–max rule, Dehejia and Wahba 1999).

    Firms outside leave by the ledger as `off_support`, those without a score as `missing_covariate`.
    """
    score = scores.reindex(panel.firms.index)
    treated = np.isfinite(panel.firms["cohort"])
    arms = [score[treated].dropna(), score[~treated].dropna()]
    low, high = max(a.min() for a in arms), min(a.max() for a in arms)
    reason = pd.Series(np.where(score.isna(), "missing_covariate", "off_support"), index=score.index)
    later = treated & score.isna() & panel.firms["cohort"].gt(panel.periods.max())  # not yet treated: no score, still a comparison
    return panel.keep(score.index[score.between(low, high) | later], stage="support", reason=reason)


def compared(panel: Panel, sample: MatchedSample, study: Study) -> Panel:
    """The firms of the pool that the study compares: those on the common support of the covariates it adjusts for."""
    return common_support(panel, sample.scores) if study.did.covariates else panel


def estimate(
    panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, design: Design | None = None, spec: DidSpec | None = None
) -> Effects:
    """The effect in every cohort and year of one outcome (`att_gt`), or in every year when it is a Poisson outcome.

    On the common support the firms are those of the pool with overlapping scores, and covariates enter the estimator as
    `spec` says; a study that adjusts for nothing compares the whole pool. On matched weights each cohort is compared with its own partners by a difference of weighted means: the match has
    used the covariates; the cluster is the matched set.
    """
    spec = spec or study.did
    matched = (design or study.headline) == "matched"
    if matched:
        spec = spec.model_copy(update={"covariates": ()})
    firms = panel if matched else compared(panel, sample, study)
    weights, clusters = (sample.weights, sample.clusters) if matched else (None, None)
    if outcome.scale == "poisson":
        return poisson_att(firms, outcome.id, spec, weights=weights, clusters=clusters, by="period")
    return att_gt(firms, outcome.id, spec, weights=weights, clusters=clusters)


def at_reference(effects: Effects, year: int) -> pd.Series:
    """The row of the reference year: the mean effect in that year over the treated firms observed."""
    table = by_period(effects).table
    row = table[table["period"] == year]
    return row.iloc[0] if len(row) else pd.Series(np.nan, index=table.columns)


def by_period(effects: Effects) -> Effects:
    """The effects by year, whatever they came as."""
    return aggregate(effects, "period") if "weight_treated" in effects.table else effects


def as_share(value: float, scale: str) -> float:
    """An estimate as a share: log points become per cent, exp(b) − 1; shares and levels stay.

    >>> round(as_share(0.0953, "log"), 3)
    0.1
    """
    return float(np.expm1(value)) if scale in ("log", "poisson") else float(value)
