"""Value for money and what may last: every table of the programme's return, chain, sustainability and assumptions."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ..data.measures import Measures
from ..study.logframe import LogFrame
from ..study.specs import Study
from .assumptions import context_table, monitor_table, register_table, survey_price
from .chain import chain_table
from .comparison import comparison_table
from .costs import cost_tables
from .evidence import evidence
from .flows import programme_flows
from .ladder import design_lights
from .returns import return_tables, yearly_gain
from .sustainability import sustainability_table


def value_tables(
    tables: Mapping[str, pd.DataFrame],
    measured: Measures,
    firms: pd.DataFrame,
    found: Mapping[str, pd.DataFrame],
    verdicts: pd.DataFrame,
    triangulation: pd.DataFrame | None,
    study: Study,
    logframe: LogFrame,
) -> dict[str, pd.DataFrame]:
    """Every table of this floor that the data allow, by name; what they cannot give is left out.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        The tables as loaded.
    measured : Measures
        What was measured of each firm and year.
    firms : DataFrame
        The panel's firms, index `firm_id`: the columns of the enterprises table and `cohort`.
    found : mapping of str to DataFrame
        Any of `effects, att_by_period, event_study, power, dose, design_checks, new_exporters`.
    verdicts : DataFrame
        The verdict table.
    triangulation : DataFrame or None
        `id, triangulation, contradicts`: what interviews say of each indicator.

    Returns
    -------
    dict of str to DataFrame
        `costs, cost_per_output, cost_per_firm, cost_per_effect, contributions` (`verdicts.costs`); `return, return_years,
        return_tornado, return_break_even, return_draws_hist, return_assumptions` (`verdicts.returns`; not at the midterm);
        `comparison`; `chain`; `sustainability`; `assumptions_monitor, assumptions, context, survey_price`
        (`verdicts.assumptions`).
    """
    found = {name: table for name, table in found.items() if table is not None}
    flows = programme_flows(tables, measured, firms, found, study) if study.stage != "midterm" else None
    made, gain = {}, None
    if flows is not None:
        gain = yearly_gain(flows[0], study)
        made = return_tables(*flows, study, outcome_grade(study, verdicts, logframe, found))
    made = cost_tables(tables, found, study, gain) | made
    if "benchmarks" in tables and "event_study" in found:
        made["comparison"] = comparison_table(tables["benchmarks"], found["event_study"], study)
    made["chain"] = chain_table(logframe, verdicts, tables.get("services"), found.get("dose"), triangulation, study.power.alpha)
    paths = found.get("event_study")
    key = study.returns.outcome if study.returns else study.outcomes[0].id
    paths = None if paths is None else paths[paths["outcome"] == key]
    made["sustainability"] = sustainability_table(tables, measured.headline, firms, paths, study)
    made["assumptions_monitor"] = monitor_table(tables, _every_firm(tables, firms), study)
    made["assumptions"] = register_table(logframe, made["assumptions_monitor"])
    made["context"] = context_table(tables, measured.headline, firms, study)
    if "power" in found:
        made["survey_price"] = survey_price(found["power"], tables.get("budget"))
    return {name: table for name, table in made.items() if len(table)}


def outcome_grade(study: Study, verdicts: pd.DataFrame, logframe: LogFrame, found: Mapping[str, pd.DataFrame]) -> str:
    """The evidence grade of the return's outcome: of the indicator whose evidence it is, else by the same rules.

    Without design checks an outcome that no indicator rests on is *not_assessed*; where they say nothing of its trend before the
    programme, that trend is untested, which bars *demonstrated*.
    """
    key = study.returns.outcome
    grades = verdicts.drop_duplicates("id").set_index("id")["evidence"]
    own = [i.id for i in logframe.indicators if i.effect == key and i.id in grades.index and grades[i.id] not in _UNGRADED]
    if own:
        return str(grades[own[0]])
    headline = found["effects"][(found["effects"]["outcome"] == key) & found["effects"]["headline"].astype(bool)]
    if headline.empty or found.get("design_checks") is None:
        return "not_assessed"
    outcome, checks = study.outcome(key), found["design_checks"]
    if "pre_trend" not in design_lights(checks, key):
        unseen = pd.DataFrame({"check": ["pre_trend"], "outcome": [key], "result": ["not_testable"]})
        checks = pd.concat([checks.reindex(columns=unseen.columns).astype(object), unseen], ignore_index=True)
    row = headline.iloc[0].to_dict() | {"direction": outcome.direction}
    return evidence(row, checks, outcome.relevant_effect, alpha=study.power.alpha)[0]


_UNGRADED = ("descriptive", "not_assessed")


def _every_firm(tables: Mapping[str, pd.DataFrame], firms: pd.DataFrame) -> pd.DataFrame:
    if "enterprises" not in tables:
        return firms
    every = tables["enterprises"].drop_duplicates("firm_id")
    return every.set_index("firm_id")
