"""One outcome of a study, estimated as params say: on the whole common support, or on matched weights.

`estimate` is the only place where a study's choices meet the estimators; headline, other definitions and robustness
rows call it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from scipy.special import logit

from ..data.panel import Panel
from ..errors import DesignError
from ..matching.balance import balance_table
from ..matching.matched import MatchedSample
from ..matching.support import on_support
from ..study.files import nearest
from ..study.specs import DidSpec, Outcome, Study
from .aggregate import aggregate
from .att_gt import att_gt
from .covariates import known_before
from .effects import Effects
from .poisson import poisson_att

Design = Literal["common_support", "pool", "matched", "matched_adjusted"]
SCORE = "matched_score"


def common_support(panel: Panel, scores: pd.Series) -> Panel:
    """The firms whose propensity score lies where both arms have firms (min–max rule, Dehejia and Wahba 1999).

    Firms outside leave by the ledger as `off_support`, those without a score as `missing_covariate`.
    """
    score = scores.reindex(panel.firms.index)
    known = score.notna().to_numpy()
    if not known.any():
        raise DesignError(
            "the headline on the common support needs a propensity score and none could be fitted; match without the covariate "
            "that tells the arms apart, or set headline: matched"
        )
    treated = np.isfinite(panel.firms["cohort"])
    found = on_support(score[known].to_numpy(), treated[known].to_numpy(), "minmax")
    reason = pd.Series(np.where(known, "off_support", "missing_covariate"), index=score.index)
    later = treated & ~known & panel.firms["cohort"].gt(panel.periods.max())  # not yet treated: no score, still a comparison
    inside = later.to_numpy(copy=True)
    inside[known] = found.kept
    return panel.keep(score.index[inside], stage="support", reason=reason)


def compared(panel: Panel, sample: MatchedSample, study: Study) -> Panel:
    """The firms of the pool that the study compares: those on the common support of the covariates it adjusts for."""
    return common_support(panel, sample.scores) if study.did.covariates else panel


def population(panel: Panel, outcome: Outcome) -> Panel:
    """The firms that an outcome speaks of: all, or those with the codes it names.

    Raises
    ------
    DesignError
        When it names a column that firms do not have, or codes that none of them has.
    """
    inside = pd.Series(True, index=panel.firms.index)
    for column, codes in outcome.among.items():
        if column not in panel.firms:
            raise DesignError(f"outcome {outcome.id}: among names '{column}'; {nearest(column, panel.firms.columns)}")
        inside &= panel.firms[column].isin(codes)
    if not inside.any():
        raise DesignError(f"outcome {outcome.id}: no firm of the pool is among {outcome.among}")
    return panel.keep(inside.index[inside], stage="outcome", reason="not_among") if outcome.among else panel


def estimate(
    panel: Panel,
    sample: MatchedSample,
    study: Study,
    outcome: Outcome,
    design: Design | None = None,
    spec: DidSpec | None = None,
    year: int | None = None,
) -> Effects:
    """The effect in every cohort and year of one outcome (`att_gt`), or in every year when it is a Poisson outcome.

    On the common support the firms are those of the pool with overlapping scores, and covariates enter the estimator as
    `spec` says; a study that adjusts for nothing compares the whole pool, as `pool` always does. `matched` compares each cohort
    with its own partners by a difference of weighted means: the match has used the covariates. `matched_adjusted` besides takes
    out by regression what the match left of the score (Abadie and Imbens 2011). Clusters are those of the matched sample, joined
    with those that `spec` names. With `year`, the cells of that year only.
    """
    design = design or study.headline
    firms, spec = prepared(panel, sample, study, outcome, design, spec)
    weights = sample if design.startswith("matched") else None
    if outcome.scale == "poisson":
        return poisson_att(firms, outcome.id, spec, weights=weights, by="period")
    return att_gt(firms, outcome.id, spec, weights=weights, periods=None if year is None else (year,))


def prepared(
    panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, design: Design | None = None, spec: DidSpec | None = None
) -> tuple[Panel, DidSpec]:
    """The firms that `estimate` compares and the choices with which it does, for what asks more of the same comparison."""
    design, spec = design or study.headline, spec or study.did
    matched = design.startswith("matched")
    firms = population(compared(panel, sample, study) if design == "common_support" else panel, outcome)
    used = () if matched else tuple(c for c in spec.covariates if c not in outcome.among)
    spec = spec.changed({"covariates": used} | ({} if outcome.lag is None else {"lag": outcome.lag}))
    if design == "matched_adjusted":
        return _with_score(firms, sample), spec.changed({"covariates": (SCORE,), "method": "reg"})
    return firms, spec


def _with_score(panel: Panel, sample: MatchedSample) -> Panel:
    """The firms in sets, with the linear predictor of their score as a covariate."""
    if sample.scores.empty:
        raise DesignError("the match has no propensity score to adjust for")
    inside = panel.firms.index.intersection(sample.sets["firm_id"].unique())
    kept = panel.keep(inside, stage="matched", reason="not_matched")
    return Panel(kept.firms.assign(**{SCORE: logit(sample.scores.reindex(kept.firms.index))}), kept.outcomes, kept.ledger)


def adjusted_weights(panel: Panel, sample: MatchedSample, study: Study) -> pd.Series | None:
    """By firm compared: the weight that the headline's adjustment gives it (treated 1), so that balance speaks of the headline.

    Outcome regression weighs controls by x̄₁′(X₀′X₀)⁻¹x, negative where it extrapolates (Chattopadhyay and
    Zubizarreta 2023); the other methods by the odds of the score. None where the study adjusts for nothing.
    """
    if study.headline == "matched":
        return sample.weights.groupby(level="firm_id").sum()
    if not study.did.covariates:
        return None
    firms = known_before(compared(panel, sample, study), study.did.covariates, study.baseline.year + 1)
    firms = firms[(firms["cohort"] <= study.treatment.reference_year) | np.isinf(firms["cohort"])]
    treated = np.isfinite(firms["cohort"].to_numpy())
    if study.did.method != "reg":
        score = sample.scores.reindex(firms.index).to_numpy()
        return pd.Series(np.where(treated, 1.0, score / (1 - score)), index=firms.index)
    columns = pd.get_dummies(firms[list(study.did.covariates)], drop_first=True).astype(float)
    known = columns.notna().all(axis=1).to_numpy()
    x = np.column_stack([np.ones(known.sum()), columns[known]])
    d = treated[known]
    control = x[~d] @ np.linalg.pinv(x[~d].T @ x[~d]) @ x[d].mean(axis=0)
    weights = pd.Series(0.0, index=firms.index)
    weights[known] = np.where(d, 1.0, 0.0)
    weights[firms.index[known][~d]] = control
    return weights


def balance_of(panel: Panel, sample: MatchedSample, study: Study, column: str) -> pd.DataFrame:
    """Balance of one column of the firms: `before`, `after` matching, and `weighted` as the headline adjusts.

    Weights of an outcome regression may be negative, so the `weighted` row holds means and `smd` only.
    """
    known = panel.firms[panel.firms[column].notna()]
    matched = balance_table(panel.firms if sample.values is not None else known, sample, [column])
    weights = None if study.headline == "matched" else adjusted_weights(panel, sample, study)
    if weights is None:
        return matched
    adjusted = balance_table(known, weights[weights.index.isin(known.index)], [column])
    adjusted = adjusted[adjusted["sample"] == "after"].assign(sample="weighted")
    return pd.concat([matched, adjusted[["covariate", "sample", "mean_treated", "mean_control", "sd_treated", "smd"]]])


def at_reference(effects: Effects, year: int) -> pd.Series:
    """The row of the reference year: the mean effect in that year over the treated firms observed."""
    table = by_period(effects).table
    row = table[table["period"] == year]
    return row.iloc[0] if len(row) else pd.Series(np.nan, index=table.columns)


def by_period(effects: Effects) -> Effects:
    """The effects by year, whatever they came as: cells are summarised, a summary by year stays as it is."""
    return aggregate(effects, "period") if "weight_treated" in effects.table else effects


def as_share(value: float, scale: str) -> float:
    """An estimate as a share: log points become per cent, exp(b) − 1; shares and levels stay.

    >>> round(as_share(0.0953, "log"), 3)
    0.1
    """
    return float(np.expm1(value)) if scale in ("log", "poisson") else float(value)
