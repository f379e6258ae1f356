"""What everyone says of the programme: participants, inspectors, evaluators, experts and those interviewed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..data.disclosure import FEWEST_SHOWN, guarded
from ..data.load import Tables
from ..data.measures import Measures, outcome_values
from ..study.specs import Study
from .compliance import NORMS, compliance_change, compliance_path, compliance_rates, declared_states, inspected_states
from .findings import STAGES, findings_register, measures_followup
from .followup import followup_firms, opinion_followup, opinion_nonresponse
from .interviews import evidence_register, statements, triangulation
from .opinions import CELL, opinion_flags, satisfaction_shares, satisfaction_table, valid_scores
from .response_groups import opinion_effect, profiles, response_association, response_groups, response_map, response_types
from .rubrics import assessment_gaps, assessment_scores, rubric_agreement, rubric_overview, rubric_scores

COMPLIANCE_BY = ("sector", "size_class")
"""What compliance is told apart by, as the memorandum asks (6.4 v)."""


def voices_tables(
    tables: Tables | Mapping[str, pd.DataFrame], measured: Measures | None, firms: pd.DataFrame, study: Study
) -> dict[str, pd.DataFrame]:
    """The tables of opinions, compliance and qualitative evidence, by name; one that the data cannot give is left out.

    Figures of fewer than five firms are blank (`data.disclosure`).

    Parameters
    ----------
    tables : Tables or mapping
        The checked tables, masked at `study.as_of`.
    measured : Measures or None
        For the change of the first outcome beside opinions; without it that table is left out.
    firms : DataFrame
        Characteristics made from the data by `firm_id`; those of the table enterprises are there anyhow.
    study : Study
        Its stage chooses the wave: that of the same name, else the latest. Waves of later stages are not read.

    Returns
    -------
    dict of DataFrame
        `satisfaction` (waves until now); of the present wave `satisfaction_shares, opinion_flags, opinion_followup,
        followup_firms` (names firms: for the annex alone), `opinion_nonresponse, response_groups, response_types,
        response_association, response_map, opinion_effect`; `compliance, compliance_change, compliance_path`; `rubric_scores,
        rubric_agreement, rubric_overview, assessment_scores, assessment_gaps`; `evidence_register, triangulation, statements`;
        `findings_register, measures_followup`.
    """
    types = _types(tables, firms)
    found = _opinions(tables, measured, types, study) | _compliance(tables, types, study) | _ratings(tables, types, study)
    if "interviews" in tables:
        said = tables["interviews"]
        found |= {
            "evidence_register": evidence_register(said),
            "triangulation": triangulation(said),
            "statements": statements(said),
        }
    if "findings" in tables:
        register = findings_register(tables["findings"], study.as_of, study.stage)
        followed = measures_followup(register, study.stage, study.did.level)
        found |= {"findings_register": register, "measures_followup": followed}
    return guarded({name: table for name, table in found.items() if len(table)})


def _types(tables: Tables | Mapping[str, pd.DataFrame], firms: pd.DataFrame) -> pd.DataFrame:
    """Characteristics of every firm registered: a study's panel may hold fewer firms than were served."""
    register = tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id")
    return register.join(firms[firms.columns.difference(register.columns)])


def present_wave(scores: pd.DataFrame, stage: str) -> str:
    """The wave of the stage, or the latest answered when none has its name.

    >>> rows = pd.DataFrame({"wave": ["midterm"], "answered_on": pd.to_datetime(["2004-11-14"])})
    >>> present_wave(rows, "final")
    'midterm'
    """
    if (scores["wave"] == stage).any():
        return stage
    return scores.sort_values(["answered_on", "wave"], kind="stable", na_position="first")["wave"].iloc[-1]


def _opinions(tables, measured: Measures | None, types: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    if "satisfaction" not in tables:
        return {}
    rules, level = study.opinions, study.did.level
    later = STAGES[STAGES.index(study.stage) + 1 :]
    answers = tables["satisfaction"]
    scores = valid_scores(answers[~answers["wave"].isin(later)])
    if scores.empty:
        return {}
    now = scores[scores["wave"] == present_wave(scores, study.stage)]
    recorded = "services" in tables
    services = tables["services"] if recorded else None
    flags, similar = opinion_flags(now, rules), profiles(now, rules)
    found = {
        "satisfaction": satisfaction_table(scores, services, rules, level),
        "satisfaction_shares": satisfaction_shares(now[now.groupby(CELL)["firm_id"].transform("nunique") >= FEWEST_SHOWN]),
        "opinion_flags": flags,
        "opinion_followup": opinion_followup(now, flags, types, rules.by),
        "followup_firms": followup_firms(now, flags),
        "response_groups": response_groups(now, similar),
        "response_types": response_types(similar, types, rules.by),
        "response_association": response_association(now, types, rules),
        "response_map": response_map(now, types, rules),
    }
    if recorded:
        found["opinion_nonresponse"] = opinion_nonresponse(now, services, types, rules.by)
    if measured is not None:
        found["opinion_effect"] = _beside_outcome(now, measured, study)
    return found


def _beside_outcome(scores: pd.DataFrame, measured: Measures, study: Study) -> pd.DataFrame:
    """`opinion_effect` of the study's first outcome from the base to the reference year, with its name; logs as shares."""
    outcome = study.outcomes[0]
    wide = outcome_values(outcome, measured.headline).unstack()
    years = study.treatment.reference_year, study.baseline.year
    if not set(years) <= set(wide.columns) or outcome.scale in ("level", "poisson"):
        return pd.DataFrame()
    table = opinion_effect(scores, wide[years[0]] - wide[years[1]], study.did.level)
    if outcome.scale == "log":
        moved = ["mean_yes", "mean_no", "difference", "difference_low", "difference_high"]
        table[moved] = np.expm1(table[moved])
    table.insert(0, "outcome", outcome.id)
    return table


def _compliance(tables, types: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    states, found, level = [], {}, study.did.level
    if "compliance" in tables:
        states.append(inspected_states(tables["compliance"], study.baseline.year))
        found["compliance_path"] = compliance_path(tables["compliance"], types, level)
    if set(NORMS.values()) <= set(tables["survey"].columns):
        states.append(declared_states(tables["survey"], study.baseline.year, study.treatment.reference_year))
    states = [part for part in states if len(part)]
    if states:
        together = pd.concat(states, ignore_index=True)
        found["compliance"] = compliance_rates(together, types, COMPLIANCE_BY, level)
        found["compliance_change"] = compliance_change(together, types, COMPLIANCE_BY, level)
    return found


def _ratings(tables, types: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    found = {}
    if "rubrics" in tables:
        scores = rubric_scores(tables["rubrics"])
        agreement = rubric_agreement(tables["rubrics"])
        found |= {"rubric_scores": scores, "rubric_agreement": agreement, "rubric_overview": rubric_overview(scores)}
    if "assessments" in tables:
        scored, level = tables["assessments"], study.did.level
        found["assessment_scores"] = assessment_scores(scored, types, level)
        found["assessment_gaps"] = assessment_gaps(scored, types, level)
    return found
