"""Design checks: what has to hold for a difference to be an effect, looked at one by one.

Results: `pass`, `mild`, `fail`, and `not_testable`, which never counts as passed. A row with an `outcome` speaks of that outcome
only, a row without one of the whole design.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from ..data.panel import Panel
from ..did.aggregate import aggregate
from ..did.attrition import attrition_check, selected_on
from ..did.effects import Effects
from ..did.estimate import by_period, compared, estimate, prepared
from ..did.inference import pretrend_test
from ..did.subgroups import spillover_effects
from ..errors import DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..matching.panel import GROWTH
from ..study.specs import Outcome, Study

GOOD_SMD, TOLERABLE_SMD = 0.10, 0.25
SUPPORT_PASS, SUPPORT_MILD = 0.95, 0.80
FEW_TREATED_CLUSTERS = 10
EFFECTIVE_PASS, EFFECTIVE_MILD = 20, 10

Found = tuple[str, float, str]  # result, value, rule


def design_checks(
    everyone: Panel,
    panel: Panel,
    sample: MatchedSample,
    study: Study,
    cells: dict[str, Effects | None],
    balance: pd.DataFrame,
    paths: Mapping[str, Effects] | None = None,
) -> pd.DataFrame:
    """One row a check, and for those that differ by outcome one row an outcome: `check, outcome, result, value, rule`.

    Parameters
    ----------
    everyone : Panel
        The panel before anyone left the pool, for the firms that the programme may have reached indirectly.
    panel, sample, study
        The firms compared, their matches, the plan.
    cells : dict
        Outcome → its headline estimate by cohort and year; the checks by outcome are made for these.
    balance : DataFrame
        The balance table of the control group.
    paths : mapping, optional
        Outcome → its effects by time since entry; by default those of `cells`, which a Poisson outcome does not hold.
    """
    rows = [
        ("support", None, *_support(panel, sample, study)),
        ("balance", None, *_balance(balance, study)),
        ("attrition", None, *_attrition(panel, sample, study)),
        ("spillover", None, *_spillover(everyone, sample, study)),
        ("clusters", None, *_clusters(panel, study)),
    ]
    for key, found in cells.items():
        outcome = study.outcome(key)
        rows.append(("pre_trend", key, *_pre_trend(found, study, (paths or {}).get(key))))
        rows.append(("base_year", key, *_base_year(found, panel, sample, study, outcome)))
        if outcome.scale == "poisson":
            rows.append(("amounts", key, *_amounts(panel, sample, study, outcome)))
    return pd.DataFrame(rows, columns=["check", "outcome", "result", "value", "rule"])


def _graded(value: float, good: float, tolerable: float) -> str:
    if np.isnan(value):
        return "not_testable"
    return "pass" if value <= good else "mild" if value <= tolerable else "fail"


def _by_p(p: float) -> str:
    return "not_testable" if np.isnan(p) else "pass" if p >= 0.05 else "mild" if p >= 0.01 else "fail"


def _support(panel: Panel, sample: MatchedSample, study: Study) -> Found:
    """Share of the treated firms that the headline describes, matched or inside the common support.

    Not testable where a study adjusts for nothing: the whole pool is compared.
    """
    if study.headline != "matched" and not study.did.covariates:
        return "not_testable", np.nan, "support"
    entered = panel.firms.index[panel.firms["cohort"] <= study.treatment.reference_year]
    kept = pd.Index(sample.sets["firm_id"]) if study.headline == "matched" else compared(panel, sample, study).firms.index
    share = float(entered.isin(kept).mean())
    return _graded(1 - share, 1 - SUPPORT_PASS, 1 - SUPPORT_MILD), share, "support"


def _balance(balance: pd.DataFrame, study: Study) -> Found:
    """Largest standardised difference of a planned covariate in the sample that carries the headline, with the weights it gives.

    An outcome regression balances its own covariates by construction; what it risks is extrapolation, which `support` bounds.
    """
    samples = set(balance["sample"])
    carried = "after" if study.headline == "matched" else "weighted" if "weighted" in samples else "before"
    planned = balance["covariate"].str.split("=").str[0].isin((*study.match.covariates, *study.did.covariates))
    rows = balance.loc[(balance["sample"] == carried) & (balance["kind"] == "level") & planned, "smd"].abs()
    worst = float(rows.max()) if len(rows) else np.nan
    return _graded(worst, GOOD_SMD, TOLERABLE_SMD), worst, "balance"


def _pre_trend(found: Effects | None, study: Study, path: Effects | None) -> Found:
    """p-value of the joint test that nothing differed before entry; not testable where growth itself was matched on."""
    if any(c.startswith(GROWTH) for c in (*study.match.columns, *study.did.covariates)):
        return "not_testable", np.nan, "pre_trend_matched"
    if path is None and (found is None or "weight_treated" not in found.table):
        return "not_testable", np.nan, "pre_trend"
    p = float(pretrend_test(aggregate(found, "event_time") if path is None else path)["p_value"])
    return _by_p(p), p, "pre_trend"


def _base_year(found: Effects | None, panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> Found:
    """p-value of the difference between the headline and the same effect measured from one year earlier.

    Not testable when the earlier base leaves out a cohort: the two would speak of different firms.
    """
    if found is None or "weight_treated" not in found.table:
        return "not_testable", np.nan, "base_year"
    spec = study.did.changed({"anticipation": study.did.anticipation + 1})
    try:
        with collected():
            other = estimate(panel, sample, study, outcome, spec=spec)
    except (DesignError, EstimationError):
        return "not_testable", np.nan, "base_year"
    year = study.treatment.reference_year
    if _cohorts(found, year) != _cohorts(other, year):
        return "not_testable", np.nan, "base_year"
    p = _same(by_period(found), by_period(other), year)
    return _by_p(p), p, "base_year"


def _cohorts(cells: Effects, year: int) -> set[float]:
    return set(cells.table.loc[cells.table["period"] == year, "cohort"])


def _same(one: Effects, other: Effects, year: int) -> float:
    """p-value of equal effects in `year`, from the difference of their influences, firm by firm."""
    column = [int(np.flatnonzero(e.table["period"] == year)[0]) for e in (one, other)]
    influence = pd.Series(one.influence[:, column[0]], one.firm_id) - pd.Series(other.influence[:, column[1]], other.firm_id)
    error = float(np.sqrt((influence.fillna(0) ** 2).sum()))
    gap = one.table.at[column[0], "estimate"] - other.table.at[column[1], "estimate"]
    return float(2 * stats.norm.sf(abs(gap) / error)) if error > 0 else np.nan


def _amounts(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> Found:
    """The effective number of firms behind a total, (Σ y)² / Σ y², least of both arms in the base and the reference year.

    Where a few firms make up a total, its logarithm is far from normal: intervals at 95 % hold the truth in about 85 % of draws
    with fewer than ten effective firms, in 92 % with ten to twenty.
    """
    try:
        firms, _ = prepared(panel, sample, study, outcome)
    except (DesignError, EstimationError):
        return "not_testable", np.nan, "amounts"
    wide, cohort = firms.wide(outcome.id), firms.firms["cohort"]
    years = [y for y in (study.baseline.year, study.treatment.reference_year) if y in wide]
    arms = cohort <= study.treatment.reference_year, np.isinf(cohort)
    totals = [wide.loc[arm, year].dropna() for arm in arms for year in years]
    sizes = [float(y.sum() ** 2 / (y**2).sum()) if (y > 0).any() else np.nan for y in totals]
    if not sizes or np.isnan(sizes).any():
        return "not_testable", np.nan, "amounts"
    fewest = min(sizes)
    return ("pass" if fewest >= EFFECTIVE_PASS else "mild" if fewest >= EFFECTIVE_MILD else "fail"), fewest, "amounts"


def _attrition(panel: Panel, sample: MatchedSample, study: Study) -> Found:
    """What loss of firms does to the first outcome's estimate, `attrition_check`; the value is the move in standard errors."""
    outcome = study.outcomes[0]
    try:
        firms, spec = prepared(panel, sample, study, outcome, "common_support")
    except (DesignError, EstimationError):
        return "not_testable", np.nan, "attrition"
    names = selected_on(spec, firms, outcome.id)
    return attrition_check(firms, outcome.id, spec, study.treatment.reference_year, study.baseline.year, names)


def _spillover(everyone: Panel, sample: MatchedSample, study: Study) -> Found:
    """The effect on firms reached indirectly, first outcome, against the headline's never-treated firms.

    It can only see a spillover that reaches some untreated firms and not others, and says that effects leak, not that the
    comparison is wrong: it never fails.
    """
    firms = everyone.firms
    if "arm" not in firms or not (firms["arm"] == "indirect").any():
        return "not_testable", np.nan, "spillover"
    controls = firms.index[(firms["arm"] == "nonparticipant") & firms.index.isin(sample.scores.index)]
    reached = firms.index[firms["arm"] == "indirect"]
    start = int(firms.loc[np.isfinite(firms["cohort"]), "cohort"].min())
    ring = everyone.keep(reached.union(controls), "spillover", "not_compared")
    try:
        with collected():
            found = spillover_effects(
                ring, study.outcomes[0].id, reached, controls, start, study.did, study.treatment.reference_year
            )
    except (DesignError, EstimationError):
        return "not_testable", np.nan, "spillover"
    p = float(found.table["p_value"].iloc[0])
    return ("not_testable" if np.isnan(p) else "mild" if p < 0.05 else "pass"), p, "spillover"


def _clusters(panel: Panel, study: Study) -> Found:
    """How many business clusters hold firms that have entered."""
    if "business_cluster" not in panel.firms:
        return "not_testable", np.nan, "clusters"
    labels = panel.firms.loc[panel.firms["cohort"] <= study.treatment.reference_year, "business_cluster"]
    if labels.isna().all():
        return "not_testable", np.nan, "clusters"
    return ("pass" if labels.nunique() >= FEW_TREATED_CLUSTERS else "mild"), float(labels.nunique()), "clusters"
