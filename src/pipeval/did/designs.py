"""Candidate control groups side by side, judged by what was known before the programme and by nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from pydantic import ValidationError

from ..data.panel import NEVER, Panel
from ..errors import DataError, DesignError, EstimationError, collected
from ..matching.balance import balance_table, effective_sample_size
from ..matching.matched import MatchedSample, cohort_values
from ..matching.panel import match_controls
from ..study.match_spec import MatchSpec
from ..study.specs import Outcome, Study
from .detectable import detectable_table
from .estimate import compared

COLUMNS = [
    "design",
    "method",
    "n_treated",
    "share_treated",
    "n_control",
    "ess_control",
    "smd_max",
    "smd_mean",
    "share_balanced",
    "worst",
    "ks_max",
    "n_off_support",
    "mde",
    "mde_share",
    "reason",
]
WHOLE = "common_support"
"""The row in which nobody is matched."""
BALANCED = 0.1
"""Standard deviations up to which a covariate counts as balanced."""


def design_table(
    panel: Panel,
    designs: Mapping[str, MatchSpec],
    study: Study,
    outcome: Outcome | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """One row a candidate match, in the order given, and last the whole support without a match.

    Parameters
    ----------
    panel : Panel
        The firms that may be compared. Outcomes are read up to the base year; a match by cohort reads them up to the year before
        each cohort's entry.
    designs : mapping of name to MatchSpec
        See `default_designs`.
    study : Study
        Base and reference year, adjustment and power.
    outcome : Outcome, optional
        Whose minimum detectable effect is shown; by default the study's first.
    columns : sequence of str, optional
        On which all designs are judged alike; by default every column that one of them reads or the study adjusts for, as far as
        the firms have it.

    Returns
    -------
    DataFrame
        `design` (its name), `method`, `n_treated`, `share_treated` (of the treated up to the reference year, how many are kept),
        `n_control`, `ess_control` (effective number), and after matching `smd_max, smd_mean` (absolute values), `share_balanced`
        (of the rows of `balance_table`, those within 0.1), `worst` (covariate), `ks_max`; `n_off_support`; `mde` (expected minimum
        detectable effect, on the outcome's scale) and `mde_share` (as a share), both as `detectable_table` finds them for this
        design; `reason` (why a design cannot be made, or why its `mde` is unknown; empty otherwise).

        The row `common_support` compares every firm whose score lies where both arms have firms, unweighted; the score is that of
        the first design that has one. A study that adjusts for nothing compares the whole pool. The adjustment for covariates
        enters the row's `mde` and not its balance.

    Raises
    ------
    DesignError
        When `columns` names one that the firms do not have, or a design is called `common_support`.
    """
    if WHOLE in designs:
        raise DesignError(f"'{WHOLE}' names the row without a match, which is always added; call that design otherwise")
    outcome = outcome or study.outcomes[0]
    before = _until_base(panel, study)
    judged = _columns(panel, designs, study) if columns is None else list(columns)
    rows, scored = [], None
    for name, spec in designs.items():
        row = {"design": name, "method": spec.method}
        try:
            with collected():
                sample = match_controls(panel, study, spec)
                scored = sample if scored is None and len(sample.scores) else scored
                power = _detectable(before, sample, study, outcome, "matched")
                found = _counts(sample) | _balance(before, sample, judged) | power
        except (DataError, DesignError, EstimationError) as error:
            found = {"reason": str(error)}
        rows.append(row | found)
    rows.append({"design": WHOLE, "method": ""} | _whole(before, scored, study, outcome, judged))
    table = pd.DataFrame(rows, columns=COLUMNS).fillna({"reason": ""})
    cohort = panel.firms["cohort"]
    table["share_treated"] = table["n_treated"] / int((cohort <= study.treatment.reference_year).sum())
    return table


def default_designs(study: Study) -> dict[str, MatchSpec]:
    """Candidates worth a look beside the study's own match, each with its covariates, exact columns and restrictions.

    `own`; `nearest` (one control each), `nearest_two`, `nearest_replaced` (controls serve again), `mahalanobis` (inside a caliper
    on the score), `full`, `cem`, `ebal`, `ipw`. Weightings take exact columns as covariates. A caliper is the study's, or a
    quarter of a standard deviation of the score. What equals the study's own or cannot be combined with its estimand is left
    out.
    """
    own = study.match
    both = tuple(dict.fromkeys((*own.covariates, *own.exact)))
    shared = ("estimand", "by_cohort", "window", "support")
    anyhow = {name: getattr(own, name) for name in shared} | {"covariates": own.covariates}
    caliper = {"caliper": own.caliper or 0.25, "caliper_unit": own.caliper_unit}
    apart = {name: getattr(own, name) for name in ("exact", "calipers", "antiexact", "never_together")}
    stars = anyhow | caliper | apart
    candidates = {
        "nearest": stars | {"method": "nearest"},
        "nearest_two": stars | {"method": "nearest", "ratio": 2},
        "nearest_replaced": stars | {"method": "nearest", "replace": True},
        "mahalanobis": stars | {"method": "nearest", "distance": "mahalanobis"},
        "full": stars | {"method": "full"},
        "cem": anyhow | {"method": "cem", "exact": own.exact},
        "ebal": anyhow | {"method": "ebal", "covariates": both},
        "ipw": anyhow | {"method": "ipw", "covariates": both},
    }
    found = {"own": own}
    for name, choices in candidates.items():
        try:
            spec = MatchSpec(**choices)
        except ValidationError:
            continue
        if spec != own:
            found[name] = spec
    return found


def _until_base(panel: Panel, study: Study) -> Panel:
    """The panel without outcomes after the base year, and without firms that enter after the reference year."""
    period = panel.outcomes.index.get_level_values("period")
    known = Panel(panel.firms, panel.outcomes[period <= study.baseline.year], panel.ledger)
    cohort = panel.firms["cohort"]
    entered = cohort.index[(cohort <= study.treatment.reference_year) | (cohort == NEVER)]
    return known.keep(entered, stage="designs", reason="later_cohort")


def _columns(panel: Panel, designs: Mapping[str, MatchSpec], study: Study) -> list[str]:
    named = dict.fromkeys(c for spec in designs.values() for c in spec.columns)
    return [c for c in (*named, *(c for c in study.did.covariates if c not in named)) if c in panel.firms]


def _counts(sample: MatchedSample) -> dict:
    weight = sample.sets.groupby(["role", "firm_id"])["weight"].sum()
    return {
        "n_treated": len(weight["treated"]),
        "n_control": len(weight["control"]),
        "ess_control": effective_sample_size(weight["control"]),
        "n_off_support": int((sample.unmatched["reason"] == "off_support").sum()),
    }


def _balance(panel: Panel, sample: MatchedSample | pd.Series, columns: list[str]) -> dict:
    if isinstance(sample, MatchedSample) and sample.values is not None:
        firms, weights = cohort_values(sample, panel.firms)
        table = balance_table(firms, weights, columns)
    else:
        table = balance_table(panel.firms, sample, columns)
    after = table[table["sample"] == "after"].set_index("covariate")
    smd = after["smd"].abs().dropna()
    return {
        "smd_max": smd.max(),
        "smd_mean": smd.mean(),
        "share_balanced": float((smd <= BALANCED).mean()),
        "worst": smd.idxmax() if len(smd) else "",
        "ks_max": after["ks"].max(),
    }


def _detectable(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, headline: str) -> dict:
    row = detectable_table(panel, sample, study.model_copy(update={"headline": headline, "outcomes": (outcome,)})).iloc[0]
    return {name: row[name] for name in ("mde", "mde_share", "reason")}


def _whole(panel: Panel, sample: MatchedSample | None, study: Study, outcome: Outcome, columns: list[str]) -> dict:
    """The firms of the common support as they are; the whole pool where the study adjusts for nothing."""
    if sample is None and study.did.covariates:
        return {"reason": "no design could be made that has a propensity score, by which the support is drawn"}
    try:
        with collected():
            kept = compared(panel, sample, study)
            power = _detectable(panel, sample, study, outcome, WHOLE)
        balance = _balance(panel, pd.Series(1.0, index=kept.firms.index), columns)
    except (DataError, DesignError, EstimationError) as error:
        return {"reason": str(error)}
    n_control = int((kept.firms["cohort"] == NEVER).sum())
    counts = {"n_treated": len(kept.firms) - n_control, "n_control": n_control, "ess_control": float(n_control)}
    return counts | balance | power | {"n_off_support": int((kept.ledger["reason"] == "off_support").sum())}
