"""Effects that cannot exist: before the programme, among firms never treated, on outcomes out of reach; and other base years."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from ..data.panel import NEVER, Panel
from ..did.att_gt import att_gt
from ..did.effects import Effects, effects_from, joined
from ..did.estimate import at_reference, by_period, compared, estimate, population
from ..did.poisson import poisson_att
from ..errors import DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..matching.panel import GROWTH
from ..study.specs import DidSpec, Outcome, Study
from .outliers import attempted

PLACEBO_COLUMNS = ["placebo", "outcome", "estimate", "std_error", "p_value", "rejected", "draws", "result", "note"]
BASE_COLUMNS = ["base", "outcome", "estimate", "std_error", "conf_low", "conf_high", "p_value", "n_treated", "n_control", "note"]
LEAST_FIRMS = 20
"""Never-treated firms below which pretending that some were treated tells nothing."""
RECALLED = "recall_flag"


def placebo_rows(
    panel: Panel,
    sample: MatchedSample,
    study: Study,
    outcome: Outcome,
    placebos: int = 99,
    executor: Executor | None = None,
) -> pd.DataFrame:
    """Effects where there is none, a row each: what the design finds there is its error.

    * `pre_period_<year>`: all participants pretend to have entered in that year, none later than the base year is read, and the
      effect is that in the last year before the programme. Fails when it differs from zero at 5 %; not testable where growth
      before entry was matched on, which makes it zero by construction. A matched sample's weights count as known there, its sets as
      clusters.
    * `fake_cohort`: `placebos` times, never-treated firms at random pretend to be cohorts of the true shares; `estimate` is the
      mean effect, `std_error` and `p_value` those of the mean over draws, `rejected` the share of draws found significant at 5 %.
      Fails when that share lies more than three binomial standard errors above 5 %: standard errors are then too small for these
      firms.
    * `untouched`: the effect on each outcome that params declare out of the programme's reach. Fails when it differs from zero at
      5 %.

    A placebo passed shows as much as its standard error lets it: `informative` where even the relevant effect of the outcome
    would have passed unseen (80 % power).

    Returns
    -------
    DataFrame
        `placebo, outcome, estimate, std_error, p_value, rejected, draws, result` (pass, fail, informative, not_testable) and
        `note` (why).
    """
    rows = [
        *_pre_periods(panel, sample, study, outcome),
        _fake_cohorts(panel, sample, study, outcome, placebos, executor),
        *_untouched(panel, sample, study),
    ]
    return pd.DataFrame(rows, columns=PLACEBO_COLUMNS)


def base_rows(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> pd.DataFrame:
    """The effect in the reference year measured from other base years; a row a base.

    `own` (the year before entry of each cohort, the headline), `<year>` for every year up to the base year (that year for all
    cohorts), `mean` of those (the average of the effects, their influences averaged firm by firm, so a firm observed in one of the
    years counts), and `own_without_recalled, mean_without_recalled`: the same without answers given from memory, where the
    panel's outcomes carry the column `recall_flag`.

    Participants selected in an unusually bad year look better from it than from the mean (Ashenfelter 1978).

    Returns
    -------
    DataFrame
        `base, outcome, estimate, std_error, conf_low, conf_high, p_value, n_treated, n_control, note`.
    """
    years = _years_before(panel, study, outcome)

    def own(firms: Panel) -> Effects:
        return _reference(by_period(estimate(firms, sample, study, outcome, year=study.treatment.reference_year)), study)

    def mean(firms: Panel) -> Effects:
        return _mean([_from_base(firms, sample, study, outcome, y) for y in _years_before(firms, study, outcome)])

    runs: list[tuple[str, Callable[[], Effects]]] = [("own", partial(own, panel))]
    runs += [(str(y), partial(_from_base, panel, sample, study, outcome, y)) for y in years]
    if len(years) > 1:
        runs.append(("mean", partial(mean, panel)))
    runs.append(("own_without_recalled", lambda: own(_without_recalled(panel, outcome))))
    if len(years) > 1:
        runs.append(("mean_without_recalled", lambda: mean(_without_recalled(panel, outcome))))
    rows = []
    for name, run in runs:
        found, note = attempted(lambda run=run: run().table.iloc[0])
        rows.append({"base": name, "outcome": outcome.id, **found.reindex(BASE_COLUMNS[2:-1]), "note": note})
    return pd.DataFrame(rows, columns=BASE_COLUMNS)


def _years_before(panel: Panel, study: Study, outcome: Outcome) -> list[int]:
    """Years with the outcome, up to the base year and before any cohort may have reacted."""
    wide = panel.wide(outcome.id).dropna(axis=1, how="all")
    last = min(study.baseline.year, panel.firms["cohort"].min() - 1 - study.did.anticipation)
    return [int(y) for y in wide.columns if y <= last]


def _pre_periods(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> list[dict]:
    years = _years_before(panel, study, outcome)
    if len(years) < 2:
        return [_row("pre_period", outcome, note="no two years before the programme")]
    if any(c.startswith(GROWTH) for c in (*study.match.columns, *study.did.covariates)):
        return [_row("pre_period", outcome, note="growth before entry was matched on: zero by construction")]
    rows = []
    for entry in years[1:]:
        found, note = attempted(partial(_pretended, panel, sample, study, outcome, entry, years))
        rows.append(_judged(f"pre_period_{entry}", outcome, found, note, study))
    return rows


def _pretended(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, entry: int, years: list[int]) -> pd.Series:
    """The effect in the last year before the programme, had every participant up to the reference year entered in `entry`."""
    cohort = panel.firms["cohort"]
    entered = (cohort <= study.treatment.reference_year).to_numpy()
    firms = panel.firms.assign(cohort=np.where(entered, float(entry), np.where(np.isfinite(cohort), years[-1] + 1e3, NEVER)))
    before = Panel(firms, panel.outcomes[panel.outcomes.index.get_level_values(1).isin(years)])
    spec = study.did.changed({"anticipation": 0})
    if study.headline == "common_support":
        return at_reference(estimate(before, sample, study, outcome, design="common_support", spec=spec), years[-1])
    own_arm = (sample.sets["role"] == "treated").to_numpy() == sample.sets["firm_id"].isin(firms.index[entered]).to_numpy()
    weights = sample.sets[own_arm].groupby("firm_id")["weight"].sum()  # who enters later is no control when all enter at once
    plain = spec.changed({"covariates": ()})
    return at_reference(_effects(population(before, outcome), outcome, plain, years[-1], weights, sample.clusters), years[-1])


def _effects(panel: Panel, outcome: Outcome, spec: DidSpec, year: int, weights=None, clusters=None) -> Effects:
    spec = spec if outcome.lag is None else spec.changed({"lag": outcome.lag})
    if outcome.scale == "poisson":
        return poisson_att(panel, outcome.id, spec, weights=weights, clusters=clusters, by="period")
    return att_gt(panel, outcome.id, spec, weights=weights, clusters=clusters, periods=(year,))


def _fake_cohorts(
    panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, placebos: int, executor: Executor | None
) -> dict:
    try:
        with collected():
            firms = population(compared(panel, sample, study) if sample.scores.size else panel, outcome)
    except DesignError as error:
        return _row("fake_cohort", outcome, note=str(error))
    cohort = firms.firms["cohort"]
    shares = cohort[cohort <= study.treatment.reference_year].value_counts().sort_index() / len(cohort)
    never = firms.firms.index[cohort == NEVER]
    if len(never) < LEAST_FIRMS:
        return _row("fake_cohort", outcome, note=f"only {len(never)} never-treated firms")
    alone = firms.keep(never, stage="robustness", reason="treated")
    counts = {g: max(round(share * len(never)), 1) for g, share in shares.items()}
    spec = study.did.changed({"covariates": tuple(c for c in study.did.covariates if c not in outcome.among), "cluster": "firm_id"})
    seeds = np.random.SeedSequence(study.sensitivity.seed).spawn(placebos)
    run = map if executor is None else executor.map
    job = partial(_fake, alone, outcome, spec, counts, study.treatment.reference_year)
    found = np.array(list(run(job, seeds)))
    done = found[~np.isnan(found).any(axis=1)]
    if len(done) < placebos / 2:
        return _row("fake_cohort", outcome, note=f"{placebos - len(done)} of {placebos} draws could not be estimated")
    mean, error = done[:, 0].mean(), done[:, 0].std(ddof=1) / np.sqrt(len(done))
    rejected = float((done[:, 1] < 0.05).mean())
    honest = rejected <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / len(done))
    row = _row("fake_cohort", outcome, result="pass" if honest else "fail")
    p = float(2 * stats.t.sf(abs(mean / error), len(done) - 1)) if error > 0 else np.nan
    return row | {"estimate": mean, "std_error": error, "p_value": p, "rejected": rejected, "draws": len(done)}


def _fake(panel: Panel, outcome: Outcome, spec: DidSpec, counts: dict, year: int, seed: np.random.SeedSequence) -> tuple:
    """Estimate and p-value of one draw of cohorts among firms that were never treated; NaN where it cannot be estimated."""
    rng = np.random.default_rng(seed)
    cohort = np.full(len(panel.firms), NEVER)
    drawn = rng.permutation(len(cohort))[: sum(counts.values())]
    cohort[drawn] = np.repeat(list(counts), list(counts.values()))
    found, _ = attempted(
        lambda: at_reference(_effects(Panel(panel.firms.assign(cohort=cohort), panel.outcomes), outcome, spec, year), year)
    )
    return found.get("estimate", np.nan), found.get("p_value", np.nan)


def _untouched(panel: Panel, sample: MatchedSample, study: Study) -> list[dict]:
    rows, year = [], study.treatment.reference_year
    for outcome in (o for o in study.outcomes if o.untouched):
        found, note = attempted(lambda o=outcome: at_reference(estimate(panel, sample, study, o, year=year), year))
        rows.append(_judged("untouched", outcome, found, note, study))
    if not rows:
        rows = [_row("untouched", None, note="no outcome is declared out of the programme's reach (untouched: true)")]
    return rows


def _judged(placebo: str, outcome: Outcome, found: pd.Series, note: str, study: Study) -> dict:
    """A row judged by its p-value, unless its standard error is too large to tell."""
    row = _row(placebo, outcome, note=note) | {k: found.get(k, np.nan) for k in ("estimate", "std_error", "p_value")}
    if not np.isfinite(row["p_value"]):
        return row | {"note": note or "no standard error"}
    if row["p_value"] < 0.05:
        return row | {"result": "fail"}
    relevant, sign = outcome.relevant_effect, -1.0 if outcome.direction == "decrease" else 1.0
    if relevant is not None and outcome.scale in ("log", "poisson"):
        relevant = np.log1p(sign * relevant) if sign * relevant > -1 else None
    z = stats.norm.ppf(1 - study.power.alpha / 2) + stats.norm.ppf(study.power.power)
    weak = relevant is not None and z * row["std_error"] > abs(relevant)
    return row | {"result": "informative" if weak else "pass"}


def _row(placebo: str, outcome: Outcome | None, result: str = "not_testable", note: str = "") -> dict:
    empty = dict.fromkeys(("estimate", "std_error", "p_value", "rejected", "draws"), np.nan)
    return {"placebo": placebo, "outcome": outcome.id if outcome is not None else "", **empty, "result": result, "note": note}


def _from_base(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, base: int) -> Effects:
    """The effect in the reference year with one base year for every cohort: no other year is in the panel."""
    year = study.treatment.reference_year
    ends = panel.outcomes.index.get_level_values(1).isin((base, year))
    return _reference(by_period(estimate(Panel(panel.firms, panel.outcomes[ends]), sample, study, outcome, year=year)), study)


def _reference(effects: Effects, study: Study) -> Effects:
    """The row of the reference year alone."""
    k = np.flatnonzero(effects.table["period"] == study.treatment.reference_year)[:1]
    if len(k) == 0:
        raise EstimationError(f"no effect in {study.treatment.reference_year} can be estimated")
    arrays = effects.influence[:, k], effects.treated_weight[:, k], effects.control[:, k]
    keys = pd.DataFrame({"term": ["period"], "period": [study.treatment.reference_year]})
    estimates = effects.table["estimate"].to_numpy(float)[k]
    return effects_from(keys, estimates, arrays, effects.firm_id, effects.clusters, effects.level)


def _mean(parts: list[Effects]) -> Effects:
    """The average of single effects: estimates, influences and the firms described."""
    every = joined({str(k): part for k, part in enumerate(parts)}, "part")
    arrays = (every.influence.mean(axis=1)[:, None], every.treated_weight.mean(axis=1)[:, None], every.control.any(axis=1)[:, None])
    estimates = np.array([every.table["estimate"].mean()])
    return effects_from(pd.DataFrame({"term": ["mean"]}), estimates, arrays, every.firm_id, every.clusters, every.level)


def _without_recalled(panel: Panel, outcome: Outcome) -> Panel:
    if RECALLED not in panel.outcomes:
        raise DesignError(f"the panel does not say which answers were given from memory: its outcomes have no column {RECALLED}")
    told = panel.outcomes[outcome.id].mask(panel.outcomes[RECALLED] == 1)
    return Panel(panel.firms, panel.outcomes.assign(**{outcome.id: told}), panel.ledger)
