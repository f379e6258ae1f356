"""The stages of an evaluation, in the order of a methods section.

Each stage is a function that takes what was decided and what was found before, and returns a `Stage`: the objects that later
stages need, the tables that the report prints, and the notes that a reader must see. The notebooks call them one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from functools import wraps
from typing import Any

import numpy as np
import pandas as pd

from .baseline.credibility import credibility_tables
from .baseline.indicators import baseline_indicators
from .baseline.response import response_table, response_test, sample_flow
from .data.check import check
from .data.disclosure import guarded
from .data.load import load, require_clean
from .data.measures import measures
from .data.queries import settle_queries
from .data.treatment import build_panel, rules
from .did.aggregate import aggregate
from .did.designs import default_designs, design_table
from .did.detectable import detectable_table
from .did.estimate import balance_of, by_period, estimate
from .did.headline import attempted, effects_table, other_groups, primary_outcomes
from .did.margins import transition_table
from .did.parts import margin_rows, price_rows, ratio_rows, share_rows
from .did.results import banded, before_entry, overall_rows, path_of, pretrend_rows, stacked
from .did.trends import trends_table
from .errors import Note, collected
from .matching.balance import balance_table, match_summary, overlap_table
from .matching.match_map import distance_table, match_map
from .matching.orthogonality import orthogonality_table
from .matching.panel import match_controls
from .matching.pool import comparable, pool_table
from .monitoring.delivery import delivery_tables
from .monitoring.finance import finance_tables
from .monitoring.findings import workshop_rows
from .monitoring.voices import voices_tables
from .robustness.chapter import sensitivity_tables
from .robustness.checks import design_checks
from .robustness.fragility import fragility_summary, study_fragility
from .robustness.grid import robustness_grid, two_way_table
from .robustness.sensitivity import benchmark_table, hidden_bias_table
from .robustness.several import multiplicity_table
from .robustness.simulated_power import simulated_power
from .study.calendar import due_dates, evaluation_timing
from .study.lint import lint
from .study.lock import plan_tables
from .study.logframe import LogFrame, read_logframe, text_columns
from .study.match_spec import PAIRS
from .study.specs import Study
from .verdicts.attainment import Inputs
from .verdicts.judge import aggregator_strip, attained, verdict_table
from .verdicts.net import net_counts
from .verdicts.tracker import tracker_table
from .verdicts.value import value_tables

EARLY = "midterm"


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """What one stage found of a study: objects for the stages after it, tables for the report, notes for the reader."""

    parts: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    notes: tuple[Note, ...]
    study: Study

    def __getitem__(self, name: str):
        return self.tables[name] if name in self.tables else self.parts[name]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{n} ({len(t)})" for n, t in self.tables.items())
        return f"{len(self.tables)} tables: {sizes}" + "".join(f"\nnote: {n}" for n in self.notes)

    def _repr_html_(self) -> str:
        from html import escape

        sizes = ", ".join(f"<code>{escape(n)}</code>&nbsp;{len(t)}" for n, t in self.tables.items())
        notes = "".join(f"<li>{escape(str(n))}</li>" for n in self.notes)
        return f"<p>{len(self.tables)} tables and their rows: {sizes}</p>" + (f"<ul>{notes}</ul>" if notes else "")


def _stage(function: Callable[..., tuple[dict, dict]]) -> Callable[..., Stage]:
    """A function of parts and tables as a stage that also keeps the notes raised inside it."""

    @wraps(function)
    def run(*arguments) -> Stage:
        with collected() as notes:
            parts, tables = function(*arguments)
        return Stage(parts, tables, tuple(notes), next(a for a in arguments if isinstance(a, Study)))

    return run


@_stage
def proved_data(study: Study):
    """Files → proved tables and measures. Blocking faults stop here; queries are treated as params say."""
    tables = load(study)
    faults = check(tables, study)
    require_clean(faults)
    tables = settle_queries(tables, faults, study)
    summary = faults.groupby(["table", "rule", "kind"], as_index=False).size().rename(columns={"size": "n"})
    logframe = read_logframe(study.logframe, study.root)
    found = {
        "indicators": _indicator_table(logframe),
        "gaps": pd.DataFrame({"table": list(tables.gaps), "consequence": list(tables.gaps)}),
        "faults_summary": summary,
        "corrections": tables.corrections,
        "masked": pd.DataFrame(list(tables.masked.items()), columns=["table", "n"]),
    }
    if study.calendar is not None:
        dates = due_dates(study.calendar, *(tables.frames.get(n) for n in ("ledger", "budget")), _plans_ready(tables))
        found["calendar"] = evaluation_timing(dates, study.as_of, study.stage)
    parts = {"tables": tables, "faults": faults, "measures": measures(tables, study), "logframe": logframe}
    return parts, found


def _plans_ready(tables) -> date | bool | None:
    """The day on which the last coordination plan was done; False while one is missing, none where nobody keeps a register."""
    if "milestones" not in tables:
        return None
    done = tables["milestones"].query("indicator_id == 'C1.1'")["done_on"]
    if done.empty:
        return None
    return False if done.isna().any() else done.max().date()


def _indicator_table(logframe: LogFrame) -> pd.DataFrame:
    names = ("id", "level", "component", "kind", "horizon", "base_year", "target", "direction", "unit")
    rows = [{n: getattr(i, n) for n in names} | text_columns(i.text) | text_columns(i.name, "name") for i in logframe.indicators]
    return pd.DataFrame(rows)


@_stage
def baseline(data: Stage, study: Study):
    """The starting point and whether it is to be believed: indicators in the base year, answers, homogeneity, totals, eligibility."""
    everyone = build_panel(data["tables"], data["measures"], study, study.treatment.definition)
    tables = {
        "baseline_indicators": baseline_indicators(data["measures"], everyone.firms, study),
        "response": response_table(data["measures"], everyone.firms),
    }
    return {"everyone": everyone}, guarded(tables) | credibility_tables(
        data["tables"], data["faults"], data["measures"], everyone.firms, study
    )


@_stage
def control_group(data: Stage, start: Stage, study: Study):
    """Who is compared with whom: the pool, the matches, their balance. Outcomes after the base year are not looked at."""
    everyone = start["everyone"]
    panel = comparable(everyone, rules(study, study.treatment.definition))
    sample = match_controls(panel, study)
    columns = [*dict.fromkeys((*study.match.covariates, *study.match.exact))]
    history = [c for c in panel.firms if c.startswith("growth_") and panel.firms[c].notna().any()]
    balance = [
        balance_of(panel, sample, study, n).assign(kind=kind)
        for kind, names in (("level", columns), ("change", history))
        for n in names
    ]
    treated = np.isfinite(panel.firms["cohort"]).reindex(sample.scores.index)
    pairs = study.match.method in (*PAIRS, "full")
    tables = {
        "pool": pool_table(panel, everyone.firms),
        "match_summary": match_summary(sample),
        "unmatched": sample.unmatched.groupby(["role", "reason"], as_index=False).size().rename(columns={"size": "n"}),
        "propensity": sample.propensity,
        "balance": pd.concat(balance, ignore_index=True),
        "balance_terms": balance_table(panel.firms, sample, columns, squares=True, interactions=True),
        "orthogonality": orthogonality_table(panel.firms, sample, columns),
        "pair_distances": distance_table(sample).query("n_pairs > 0"),
        "match_map": match_map(sample, panel.firms, [c for c in columns if c in panel.firms]) if pairs else pd.DataFrame(),
        "overlap": overlap_table(sample.scores, treated, sample.weights) if len(sample.scores) else pd.DataFrame(),
    }
    return {"panel": panel, "sample": sample}, tables


@_stage
def detectable(data: Stage, start: Stage, group: Stage, study: Study, executor: Executor | None = None):
    """What the sample can detect, from the years before the programme: said before any effect is looked at."""
    panel, sample = group["panel"], group["sample"]
    primary = [study.outcome(k) for k in primary_outcomes(data["logframe"], study)]
    tables = {
        "power": detectable_table(panel, sample, study),
        "simulated_power": simulated_power(panel, sample, study, primary, executor),
        "designs": design_table(panel, default_designs(study), study),
    }
    return {}, tables


@_stage
def effects(data: Stage, start: Stage, group: Stage, power: Stage, study: Study):
    """The effects: headline, other design, other treatment definitions; by event time, cohort and year; pre-trends."""
    panel, sample = group["panel"], group["sample"]
    cells = {o.id: attempted(lambda o=o: estimate(panel, sample, study, o)) for o in study.outcomes}
    primary = primary_outcomes(data["logframe"], study)
    several = multiplicity_table(panel, sample, study, {k: cells[k] for k in primary})
    others = other_groups(data["tables"], data["measures"], study)
    rows = effects_table(cells, (panel, sample), others, study)
    for name, table, column in (("mde", power["power"], "mde_share"), ("p_holm", several, "p_holm")):
        rows[name] = rows["outcome"].map(table.set_index("outcome")[column]).where(rows["headline"])
    tables = {"effects": rows, "multiplicity": several}
    kept = {k: e for k, e in cells.items() if e is not None and "weight_treated" in e.table}
    paths = {k: p for k, e in cells.items() if (p := attempted(lambda k=k, e=e: path_of(panel, sample, study, k, e))) is not None}
    earlier = {
        k: e for k, p in paths.items() if (e := attempted(lambda k=k, p=p: before_entry(panel, sample, study, k, p))) is not None
    }
    tables |= {
        "att_gt": stacked({k: e.table for k, e in kept.items()}),
        "att_by_cohort": stacked({k: banded(aggregate(e, "cohort"), study) for k, e in kept.items()}),
        "att_by_period": stacked({k: banded(by_period(e), study) for k, e in cells.items() if e is not None}),
        "event_study": stacked({k: banded(e, study) for k, e in paths.items()}),
        "pretrend": pretrend_rows(cells, earlier, primary),
        "overall": overall_rows(cells, paths),
        "margins": margin_rows(panel, sample, study),
        "ratios": ratio_rows(panel, sample, study),
        "shares": share_rows(panel, study, cells),
        "prices": price_rows(data["tables"], panel, study),
        "trends": trends_table(panel, sample, study),
        "response_test": response_test(panel, study.outcomes[0].id, study.baseline.year),
    }
    analysed = _analysed(cells[study.outcomes[0].id], study)
    tables["sample_flow"] = _flow(data, start, panel, sample, analysed, study)
    tables["firms_not_used"] = _not_used(panel, sample, analysed)
    return {"cells": cells, "paths": paths}, tables


def _analysed(cells, study: Study) -> pd.Index:
    """The firms behind the headline: those in the reference year's cells of the first outcome."""
    if cells is None:
        return pd.Index([])
    here = (cells.table["period"] == study.treatment.reference_year).to_numpy()
    return cells.firm_id[cells.member[:, here].any(axis=1)]


def _not_used(panel, sample, analysed: pd.Index) -> pd.DataFrame:
    """One row a firm and step that it does not pass, with the reason code: the ledger, the match, the headline."""
    single = sample.unmatched.assign(stage="match")[["firm_id", "stage", "reason"]]
    silent = panel.firms.index.difference(analysed)
    silent = pd.DataFrame({"firm_id": silent, "stage": "headline", "reason": "not_observed_or_off_support"})
    return pd.concat([panel.ledger, single, silent], ignore_index=True)


def _flow(data: Stage, start: Stage, panel, sample, analysed: pd.Index, study: Study) -> pd.DataFrame:
    """Firms by arm, from the register to the estimate: each stage holds firms of the one before, matching aside."""
    register = data["tables"]["enterprises"].set_index("firm_id").sort_index()
    status = data["measures"].headline["status"].unstack().reindex(register.index)
    base = study.baseline.year
    answered = status.index[status[base] == "alive"] if base in status else status.index[:0]
    stages = {
        "register": register.index,
        "evaluated": start["everyone"].firms.index,
        "comparable": panel.firms.index,
        "surveyed_base": panel.firms.index.intersection(answered),
        "matched": pd.Index(sample.sets["firm_id"].unique()),
        "analysed": analysed,
    }
    return sample_flow(register, stages)


@_stage
def robustness(data: Stage, start: Stage, group: Stage, found: Stage, study: Study, executor: Executor | None = None):
    """How far the answer depends on choices, and whether what it rests on holds; the sensitivity chapter from the final on."""
    panel, sample = group["panel"], group["sample"]
    judged = [i.effect for i in data["logframe"].indicators if i.effect in found["cells"]]
    judged += [study.returns.outcome] if study.returns else []
    primary = primary_outcomes(data["logframe"], study)
    cells = {key: found["cells"][key] for key in dict.fromkeys([*primary, *judged])}
    fragile = {o.id: study_fragility(panel, sample, study, o) for o in study.outcomes if o.id in primary}
    tables = {
        "design_checks": design_checks(start["everyone"], panel, sample, study, cells, group["balance"], found["paths"]),
        "robustness": robustness_grid(panel, sample, study, primary),
        "twfe": two_way_table(panel, study, primary),
        "hidden_bias": hidden_bias_table(panel, sample, study, primary),
        "benchmarks": benchmark_table(panel, sample, study, primary),
        "fragility": stacked(fragile),
        "fragility_summary": stacked({k: fragility_summary(t) for k, t in fragile.items()}),
    }
    if study.stage != EARLY:
        main = {key: found["cells"][key] for key in primary}
        tables |= sensitivity_tables(start["everyone"], panel, sample, study, main, data["tables"], executor)
    return {}, tables


@_stage
def programme(data: Stage, start: Stage, study: Study):
    """What was done, with whose money, and what those who took part or looked on say of it."""
    tables, firms = data["tables"], start["everyone"].firms
    register = tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id").sort_index()
    found = delivery_tables(tables, data["faults"], register, study) | finance_tables(tables, study)
    return {}, found | voices_tables(tables, data["measures"], firms, study)


@_stage
def verdicts(data: Stage, start: Stage, group: Stage, power: Stage, found: Stage, firm: Stage, study: Study):
    """What may be claimed: the target reached or not, and the evidence that the programme did it, indicator by indicator."""
    measured = data["measures"]
    inputs = Inputs(real=measured.real, nominal=measured.nominal, firms=start["everyone"].firms, tables=dict(data["tables"].frames))
    controls = group["panel"].firms.index[np.isinf(group["panel"].firms["cohort"])]
    counts = net_counts(data["logframe"], inputs, controls, study)
    headline = found["effects"][found["effects"]["headline"] & found["effects"]["std_error"].notna()]
    table = verdict_table(data["logframe"], study, inputs, headline, counts, firm["design_checks"], power["power"])
    tables = {"verdicts": table, "readings": aggregator_strip(attained(data["logframe"], inputs, study)).dropna(subset=["value"])}
    tables |= {"tracker": tracker_table(data["logframe"], inputs, study)} | plan_tables(study, data["logframe"])
    eligible = counts.dropna(subset=["n_eligible"]).set_index("indicator")["n_eligible"].astype(int).to_dict()
    tables["logframe_lint"] = lint(data["logframe"], study, eligible, data["tables"].frames)
    if measured.nominal["exp_status"].notna().any():
        years = study.baseline.year, study.treatment.reference_year
        tables["transitions"] = transition_table(inputs.real["exp_status"], inputs.firms["arm"], *years)
        tables["new_exporters"] = counts
    return {}, tables


@_stage
def value(data: Stage, start: Stage, power: Stage, found: Stage, firm: Stage, judged: Stage, done: Stage, study: Study):
    """What it cost and returned, how it came about, whether it lasts: the chain, the assumptions, the questions for the workshop."""
    shown = power.tables | found.tables | firm.tables | judged.tables
    said = done.tables.get("triangulation")
    measured, logframe = data["measures"], data["logframe"]
    firms = start["everyone"].firms
    tables = value_tables(data["tables"].frames, measured, firms, shown, judged["verdicts"], said, study, logframe)
    tables["workshop"] = workshop_rows(judged["verdicts"], said, done.tables.get("opinion_flags"))
    return {}, tables
