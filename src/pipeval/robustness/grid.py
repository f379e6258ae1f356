"""How far the answer depends on choices: the headline again, with one decision changed at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from ..data.panel import Panel
from ..did.aggregate import aggregate
from ..did.effects import Effects
from ..did.estimate import at_reference, by_period, compared, estimate, population
from ..did.twfe import twfe
from ..errors import DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..matching.panel import LEVEL, match_controls
from ..study.specs import Outcome, Study

COLUMNS = [
    "row",
    "outcome",
    "scale",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "p_value",
    "df",
    "n_treated",
    "n_control",
    "note",
]


def robustness_grid(panel: Panel, sample: MatchedSample, study: Study, primary: Sequence[str]) -> pd.DataFrame:
    """One row a choice and primary outcome: the effect in the reference year had that choice been made.

    A row that cannot be estimated stays, with NaN and the reason as its `note`; which choices exist is `_rows`.
    """
    rows = []
    for outcome in (o for o in study.outcomes if o.id in primary):
        for name, run in _rows(panel, sample, study, outcome):
            try:
                with collected():
                    found, note = run(), ""
            except (DesignError, EstimationError) as error:
                found, note = pd.Series(dtype=float), str(error)
            rows.append({"row": name, "outcome": outcome.id, "scale": outcome.scale, **found.reindex(COLUMNS[3:-1]), "note": note})
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> Iterator[tuple[str, Callable[[], pd.Series]]]:
    """The choices, headline first. Poisson outcomes have no covariates and one base, so those rows are left out for them."""
    year, spec = study.treatment.reference_year, study.did

    def changed(key: str, value) -> Callable[[], pd.Series]:
        return lambda: at_reference(estimate(panel, sample, study, outcome, spec=spec.changed({key: value})), year)

    def of(firms: Panel) -> Callable[[], pd.Series]:
        return lambda: at_reference(estimate(firms, sample, study, outcome), year)

    other = "matched" if study.headline == "common_support" else "common_support"
    yield "headline", of(panel)
    yield f"design_{other}", lambda: at_reference(estimate(panel, sample, study, outcome, design=other), year)
    if outcome.scale != "poisson" and spec.covariates:
        adjusted = "matched_adjusted"
        yield f"design_{adjusted}", lambda: at_reference(estimate(panel, sample, study, outcome, design=adjusted), year)
    if sample.backups is not None and len(sample.backups):
        yield "matched_with_backups", lambda: at_reference(_with_backups(panel, sample, study, outcome), year)
    if outcome.scale != "poisson" and spec.covariates:
        for method in ("dr", "reg", "ipw"):
            if method != spec.method:
                yield f"method_{method}", changed("method", method)
        yield "no_covariates", changed("covariates", ())
    if outcome.scale != "poisson":
        yield "earlier_base", changed("anticipation", spec.anticipation + 1)
        yield "average_all_years", lambda: aggregate(estimate(panel, sample, study, outcome), "overall").table.iloc[0]
        yield "twfe", lambda: _two_way(panel, sample, study, outcome)
    swap = "never_treated" if spec.comparison == "not_yet_treated" else "not_yet_treated"
    yield f"comparison_{swap}", changed("comparison", swap)
    if "business_cluster" in panel.firms and panel.firms["business_cluster"].notna().any():
        yield "business_cluster", lambda: _business_cluster(panel, sample, study, outcome)
    if "other_programme" in panel.firms and panel.firms["other_programme"].any():
        yield "without_other_programmes", of(_without_other_programmes(panel))
    levels = [c for c in study.match.columns if c.startswith(LEVEL)]
    if levels:
        without = study.match.without(levels, instead=("ln_workers",))
        yield (
            "match_without_outcome_level",
            lambda: at_reference(estimate(panel, match_controls(panel, study, without), study, outcome), year),
        )


def _with_backups(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> Effects:
    """The matched design in which a control not observed in the reference year gives way to its set's first reserve that is."""
    wide, year = panel.wide(outcome.id), study.treatment.reference_year
    seen = wide.index[wide[year].notna()] if year in wide else wide.index[:0]
    return estimate(panel, sample.with_backups(seen), study, outcome, design="matched")


def _without_other_programmes(panel: Panel) -> Panel:
    helped = panel.firms["other_programme"].astype(bool)
    return panel.keep(panel.firms.index[~helped], stage="robustness", reason="other_programme")


def _business_cluster(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> pd.Series:
    """The headline with errors by business cluster; degrees of freedom from the clusters that hold treated firms."""
    effects = by_period(estimate(panel, sample, study, outcome))
    return at_reference(effects.clustered(panel.firms["business_cluster"]), study.treatment.reference_year)


def _two_way(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> pd.Series:
    """Two-way fixed effects with one treatment dummy, for comparison only: its weights can be negative under staggered entry."""
    return twfe(population(compared(panel, sample, study), outcome), outcome.id).iloc[0]


def two_way_table(panel: Panel, study: Study, primary: Sequence[str]) -> pd.DataFrame:
    """Two-way fixed effects on every firm of the pool, for comparison with textbooks and older reports only.

    One row a primary outcome and term (`post`: one dummy; `event time k`: one dummy a year since entry): `outcome, term, estimate,
    std_error` (by firm), `classical_error` (as textbooks print it), `p_value, negative_weight`.
    """
    periods, cohorts = panel.periods, panel.firms["cohort"]
    entered = cohorts[cohorts <= periods.max()]
    times = [int(k) for k in range(int(periods.max() - entered.min()) + 1)]
    rows = []
    for outcome in (o for o in study.outcomes if o.scale == "log" and o.id in primary):
        for terms in (None, times):
            try:
                with collected():
                    by_firm = twfe(panel, outcome.id, terms)
                    classical = twfe(panel, outcome.id, terms, unadjusted=True)["std_error"].to_numpy()
            except (DesignError, EstimationError):
                continue
            rows.append(by_firm.assign(outcome=outcome.id, classical_error=classical))
    columns = ["outcome", "term", "estimate", "std_error", "classical_error", "p_value", "negative_weight"]
    return pd.concat(rows, ignore_index=True).reindex(columns=columns) if rows else pd.DataFrame(columns=columns)
