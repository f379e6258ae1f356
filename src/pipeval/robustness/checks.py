"""Design checks: what has to hold for a difference to be an effect, looked at one by one.

Results: `pass`, `mild`, `fail`, and `not_testable`, which never counts as passed.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.panel import NEVER, Panel
from ..did.aggregate import aggregate
from ..did.att_gt import att_gt
from ..did.estimate import at_reference, compared, estimate
from ..errors import DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..study.specs import Study

GOOD_SMD, TOLERABLE_SMD = 0.10, 0.25
SUPPORT_PASS, SUPPORT_MILD = 0.95, 0.80
ATTRITION_GAP = 0.05
FEW_TREATED_CLUSTERS = 10


def design_checks(
    panel: Panel, sample: MatchedSample, study: Study, found: dict[str, pd.DataFrame], everyone: Panel
) -> pd.DataFrame:
    """One row a check: `check, result, value, rule`.

    Parameters
    ----------
    panel, sample, study
        The firms compared, their matches, the plan.
    found : dict of DataFrame
        Tables of the stages before: `balance`, `pretrend`, `response_test`, `robustness`.
    everyone : Panel
        The panel before anyone left the pool, for the firms that the programme may have reached indirectly.
    """
    rows = [
        ("support", *_support(panel, sample, study)),
        ("balance", *_balance(found["balance"], study)),
        ("pre_trend", *_pre_trend(found["pretrend"], study)),
        ("base_year", *_base_year(found["robustness"], study)),
        ("attrition", *_attrition(found["response_test"], study)),
        ("spillover", *_spillover(everyone, sample, study)),
        ("clusters", *_clusters(panel)),
    ]
    return pd.DataFrame(rows, columns=["check", "result", "value", "rule"])


def _graded(value: float, good: float, tolerable: float) -> str:
    if np.isnan(value):
        return "not_testable"
    return "pass" if value <= good else "mild" if value <= tolerable else "fail"


def _support(panel: Panel, sample: MatchedSample, study: Study) -> tuple[str, float, str]:
    """Share of the treated firms that the headline describes: matched, or inside the common support."""
    entered = panel.firms.index[panel.firms["cohort"] <= study.treatment.reference_year]
    kept = pd.Index(sample.sets["firm_id"]) if study.headline == "matched" else compared(panel, sample, study).firms.index
    share = float(entered.isin(kept).mean())
    return _graded(1 - share, 1 - SUPPORT_PASS, 1 - SUPPORT_MILD), share, "support"


def _balance(balance: pd.DataFrame, study: Study) -> tuple[str, float, str]:
    """Largest standardised difference of a covariate in the sample that carries the headline."""
    carried = "after" if study.headline == "matched" or "weighted" not in set(balance["sample"]) else "weighted"
    after = balance.loc[(balance["sample"] == carried) & (balance["kind"] == "level"), "smd"].abs()
    worst = float(after.max()) if len(after) else np.nan
    return _graded(worst, GOOD_SMD, TOLERABLE_SMD), worst, "balance"


def _pre_trend(pretrend: pd.DataFrame, study: Study) -> tuple[str, float, str]:
    """Smallest p-value among the first outcomes, by Holm; not testable where growth itself was matched on."""
    if any(c.startswith("growth_") for c in (*study.match.covariates, *study.match.exact, *study.did.covariates)):
        return "not_testable", np.nan, "pre_trend_matched"
    first = pretrend[pretrend["primary"] & pretrend["testable"]]
    if first.empty:
        return "not_testable", np.nan, "pre_trend"
    p = min(1.0, float(first["p_value"].min()) * len(first))
    return "fail" if p < 0.05 else "mild" if p < 0.10 else "pass", p, "pre_trend"


def _base_year(grid: pd.DataFrame, study: Study) -> tuple[str, float, str]:
    """How far the first outcome's effect moves when measured from one year earlier, in standard errors of the headline."""
    rows = grid[grid["outcome"] == study.outcomes[0].id].set_index("row")
    if "earlier_base" not in rows.index:
        return "not_testable", np.nan, "base_year"
    move = _move(rows.loc["earlier_base"], rows.loc["headline"])
    return _graded(move, 1.0, 2.0), move, "base_year"


def base_year_move(panel: Panel, sample: MatchedSample, study: Study, headline: pd.Series) -> float:
    """The same number for one headline row; NaN without an earlier year."""
    earlier = study.did.model_copy(update={"anticipation": study.did.anticipation + 1})
    try:
        with collected():
            found = estimate(panel, sample, study, study.outcomes[0], spec=earlier)
    except (DesignError, EstimationError):
        return np.nan
    return _move(at_reference(found, study.treatment.reference_year), headline)


def _move(other: pd.Series, headline: pd.Series) -> float:
    return float(abs(other["estimate"] - headline["estimate"]) / headline["std_error"])


def _attrition(test: pd.DataFrame, study: Study) -> tuple[str, float, str]:
    """Difference in response between the arms in the reference year: small, or not distinguishable from zero."""
    row = test[test["period"] == study.treatment.reference_year]
    if row.empty or np.isnan(row["difference"].iloc[0]):
        return "not_testable", np.nan, "attrition"
    gap, p = float(row["difference"].iloc[0]), row["p_value"].iloc[0]
    if abs(gap) <= ATTRITION_GAP or not p < 0.05:
        return "pass", gap, "attrition"
    return ("mild" if abs(gap) <= 2 * ATTRITION_GAP else "fail"), gap, "attrition"


def _spillover(everyone: Panel, sample: MatchedSample, study: Study) -> tuple[str, float, str]:
    p = spillover_p(everyone, sample, study)
    return ("not_testable" if np.isnan(p) else "mild" if p < 0.05 else "pass"), p, "spillover"


def spillover_p(everyone: Panel, sample: MatchedSample, study: Study) -> float:
    """p-value of the effect on firms reached indirectly, first outcome, against the headline's never-treated firms.

    It can only see a spillover that reaches some untreated firms and not others; NaN without an indirect arm.
    """
    firms = everyone.firms
    if "arm" not in firms or not (firms["arm"] == "indirect").any():
        return np.nan
    controls = firms.index[(firms["arm"] == "nonparticipant") & firms.index.isin(sample.scores.index)]
    reached = firms.index[firms["arm"] == "indirect"]
    start = firms.loc[np.isfinite(firms["cohort"]), "cohort"].min()
    cohort = pd.Series(NEVER, index=firms.index).mask(firms.index.isin(reached), start)
    ring = Panel(firms.assign(cohort=cohort), everyone.outcomes).keep(reached.union(controls), "spillover", "not_compared")
    try:
        with collected():
            effects = aggregate(att_gt(ring, study.outcomes[0].id, study.did), "period")
    except (DesignError, EstimationError):
        return np.nan
    return float(at_reference(effects, study.treatment.reference_year)["p_value"])


def _clusters(panel: Panel) -> tuple[str, float, str]:
    """How many business clusters hold treated firms."""
    if "business_cluster" not in panel.firms:
        return "not_testable", np.nan, "clusters"
    labels = panel.firms.loc[np.isfinite(panel.firms["cohort"]), "business_cluster"]
    if labels.isna().all():
        return "not_testable", np.nan, "clusters"
    return ("pass" if labels.nunique() >= FEW_TREATED_CLUSTERS else "mild"), float(labels.nunique()), "clusters"
