"""The plan, made before outcomes are seen: what was decided, and which targets of the log frame this sample can detect.

The road is walked as far as the control group, on files from which every answer after the base year has been taken out; what the
sample can detect follows by formula from the years before the programme. Whatever happened later, the plan is the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq

from . import stages
from .data.check import check
from .data.contract import TABLES
from .data.load import Tables, load, require_clean
from .data.measures import measures
from .data.queries import settle_queries
from .did.detectable import detectable_table
from .did.power import firms_needed, lost_a_year
from .errors import Note, collected
from .stages import Stage
from .study.calendar import indicator_due
from .study.lint import lint
from .study.lock import locked
from .study.logframe import Indicator, LogFrame, read_logframe
from .study.specs import Power, Study
from .verdicts.inputs import members, selected, years
from .verdicts.judge import relevant_effect

COLUMNS = (
    "indicator", "kind", "outcome", "unit", "target", "relevant_effect", "mde", "detectable", "reason", "horizon",
    "n_treated", "n_control", "n_needed", "n_needed_control", "remarks",
)  # fmt: skip
_LATEST = dt.date(2999, 12, 31)
_CLOSING = ("closed_on", "exited_on")
_MULTIPLICATIVE = ("log", "poisson")
_ARMS = ("n_treated", "n_control")
_OF_OTHERS = ("difference", "joint")  # kinds that rest on other rows


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is known before outcomes are: tables by name, notes, and the last year that firms' files held that day."""

    study: Study
    logframe: LogFrame
    tables: dict[str, pd.DataFrame]
    notes: tuple[Note, ...]
    latest_year: int | None

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name]

    def __repr__(self) -> str:
        return f"Plan of {self.study.study}: {', '.join(self.tables)}"

    def content(self) -> dict:
        """What is locked of it (`study.lock.locked`): of what is detectable, the rows that are compared."""
        rows = self.tables["plan_detectable"]
        return locked(self.study, self.logframe, rows[rows["detectable"] != "not_compared"], self.latest_year)


def plan(study: Study) -> Plan:
    """The plan of a study, from answers of the base year and before it only.

    Returns
    -------
    Plan
        `plan_detectable`, one row an indicator (see `detectable_targets`); `logframe_lint`; `power`, one row an outcome; `pool`,
        `match_summary` and `balance` of the control group.

    Raises
    ------
    DataError, DesignError, EstimationError
        As `evaluate` does on the way to the control group.
    """
    with collected() as known:
        latest = latest_year(load(study.model_copy(update={"as_of": _LATEST})))
    data = base_data(study)
    start = stages.baseline(data, study)
    group = stages.control_group(data, start, study)
    with collected() as notes:
        power = detectable_table(group["panel"], group["sample"], study)
        counts = _counts(data, start, group, study)
    eligible = {key: int(row["n_treated"]) for key, row in counts.items() if row["n_treated"] == row["n_treated"]}
    tables = {
        "plan_detectable": detectable_targets(data["logframe"], study, power, counts),
        "logframe_lint": lint(data["logframe"], study, eligible, data["tables"].frames),
        "power": power,
    } | {name: group[name] for name in ("pool", "match_summary", "balance")}
    every = {str(n): n for n in (*known, *data.notes, *start.notes, *group.notes, *notes)}
    return Plan(study, data["logframe"], tables, tuple(every.values()), latest)


def latest_year(tables: Tables) -> int | None:
    """The last year for which any table holds figures of firms: answers, sales or customs declarations; none without one."""
    years_held = [frame[year].max() for name, frame in tables.frames.items() if (year := _year_of_firms(name, frame))]
    return max((int(year) for year in years_held if not pd.isna(year)), default=None)


def _year_of_firms(name: str, frame: pd.DataFrame) -> str | None:
    """The column that says of which year a row's figures are, in tables of firms."""
    return TABLES[name].year if "firm_id" in frame else None


def base_data(study: Study) -> Stage:
    """The stage `proved_data` on files that end with the base year: its parts, without its tables."""
    with collected() as notes:
        tables = until_base_year(load(study), study)
        faults = check(tables, study)
        require_clean(faults)
        tables = settle_queries(tables, faults, study)
        logframe = read_logframe(study.logframe, study.root)
        parts = {"tables": tables, "faults": faults, "measures": measures(tables, study), "logframe": logframe}
    return Stage(parts, {}, tuple(notes), study)


def until_base_year(tables: Tables, study: Study) -> Tables:
    """The tables without what firms answered of, sold in or did after the base year: later rows go, later closings are blanked.

    Who takes part since when, which services were given and which series of prices are published is no outcome and stays.
    """
    base, frames = study.baseline.year, dict(tables.frames)
    for name, frame in tables.frames.items():
        if year := _year_of_firms(name, frame):
            frames[name] = frame[frame[year] <= base]
    firms = frames["enterprises"].copy()
    for column in _CLOSING:
        firms[column] = firms[column].mask(firms[column].dt.year > base)
    frames["enterprises"] = firms
    faults = tables.faults
    places = zip(faults["table"], faults["row"], strict=True)
    kept = np.array([t not in frames or r == 1 or r in frames[t].index for t, r in places], dtype=bool)
    return Tables(frames, tables.gaps, faults.loc[kept], tables.corrections, tables.masked, tables.inputs, tables.dropped)


def detectable_targets(
    logframe: LogFrame, study: Study, power: pd.DataFrame, counts: Mapping[str, Mapping] | None = None
) -> pd.DataFrame:
    """One row an indicator, in the order of the log frame: its target against what the sample can detect.

    Parameters
    ----------
    power : DataFrame
        One row an outcome, from `did.detectable.detectable_table`.
    counts : mapping, optional
        By indicator of kind transition: `n_treated, n_control, rate` (of the transition without the programme, over the horizon),
        `horizon` and `attrition` (share of firms lost by then; none: 0).

    Returns
    -------
    DataFrame
        `indicator, kind, outcome`; `unit` of the numbers (share, points, level, firms); `target`, gross as the log frame has it;
        `relevant_effect`, what the evidence is judged by (the indicator's, else the outcome's, else the target); `mde`, the
        smallest effect found with the power of the params; `detectable` (yes, no, not_computable, not_compared); `reason` (code,
        empty when none is needed); `horizon` in years; `n_treated, n_control`; `n_needed, n_needed_control`, firms of each arm that
        would find the relevant effect, at the same number of controls each; `remarks`, codes joined by semicolons.
    """
    by_outcome = {row["outcome"]: row for row in power.to_dict("records")}
    rows: dict[str, dict] = {}
    for indicator in (i for i in logframe.indicators if i.kind not in _OF_OTHERS):
        rows[indicator.id] = _row(indicator, study, by_outcome, (counts or {}).get(indicator.id))
    for indicator in (i for kind in _OF_OTHERS for i in logframe.indicators if i.kind == kind):
        rows[indicator.id] = _joint(indicator, study, rows)
    table = pd.DataFrame([rows[i.id] for i in logframe.indicators]).reindex(columns=list(COLUMNS))
    numbers = ("target", "relevant_effect", "mde", "horizon", "n_treated", "n_control", "n_needed", "n_needed_control")
    return table.astype(dict.fromkeys(numbers, float) | dict.fromkeys(set(COLUMNS) - set(numbers), "str"))


def detectable_difference(rate: float, n_treated: float, n_control: float, power: Power) -> float:
    """The smallest rise of a share above `rate` that a two-sided test of two proportions finds with the wanted probability.

    d = z₁₋ₐ⸝₂ √(p̄(1 − p̄)(1/n₁ + 1/n₀)) + z_power √(p₁(1 − p₁)/n₁ + p₀(1 − p₀)/n₀), with p₁ = p₀ + d and p̄ the share of both arms
    together (Fleiss, Levin and Paik 2003, chapter 4, without continuity correction). NaN when an arm is empty or even everyone
    would not be found.

    >>> round(detectable_difference(0.10, 100, 200, Power()), 4)
    0.1228
    """
    if not (n_treated > 0 and n_control > 0 and 0 <= rate < 1):
        return float("nan")
    test, find = stats.norm.ppf(1 - power.alpha / 2), stats.norm.ppf(power.power)

    def missing(d: float) -> float:
        more = rate + d
        both = (n_treated * more + n_control * rate) / (n_treated + n_control)
        null = np.sqrt(max(both * (1 - both), 0) * (1 / n_treated + 1 / n_control))
        alone = np.sqrt(max(more * (1 - more), 0) / n_treated + rate * (1 - rate) / n_control)
        return d - test * null - find * alone

    most = 1 - rate
    return float(brentq(missing, 1e-12, most)) if missing(most) > 0 else float("nan")


def _row(indicator: Indicator, study: Study, by_outcome: Mapping[str, Mapping], count: Mapping | None) -> dict:
    relevant = relevant_effect(indicator, study)
    row = {"indicator": indicator.id, "kind": indicator.kind, "outcome": indicator.effect or "", "unit": indicator.unit}
    row |= {"target": indicator.target, "relevant_effect": relevant, "reason": "", "remarks": ";".join(_remarks(indicator, study))}
    if indicator.kind == "transition":
        row |= _of_count(relevant, count, study)
    elif indicator.effect is None:
        documented = indicator.kind in ("milestone", "count")
        return row | {"detectable": "not_compared", "reason": "documented" if documented else "no_comparison"}
    elif indicator.effect not in by_outcome:
        return row | {"detectable": "not_computable", "reason": "no_outcome"}
    else:
        row |= _of_outcome(relevant, by_outcome[indicator.effect], study)
    if indicator.kind == "transition" and indicator.target is not None and row.get("n_treated", np.nan) < indicator.target:
        row["remarks"] = ";".join(filter(None, (row["remarks"], "infeasible")))
    return row | _judged(row)


def _judged(row: Mapping) -> dict:
    """Whether the relevant effect is one that the sample can detect; a reason where that cannot be said."""
    mde, relevant = row.get("mde", np.nan), row["relevant_effect"]
    if row["reason"] or pd.isna(mde):
        return {"detectable": "not_computable", "reason": row["reason"] or "not_computable"}
    if relevant is None:
        return {"detectable": "not_computable", "reason": "no_target"}
    return {"detectable": "yes" if mde <= relevant else "no"}


def _of_outcome(relevant: float | None, power: Mapping, study: Study) -> dict:
    scale, outcome = power["scale"], study.outcome(power["outcome"])
    n_treated, n_control = power["n_treated"], power["n_control"]
    needed, reason = np.nan, ""
    if relevant:
        sign = -1.0 if outcome.direction == "decrease" else 1.0
        size = abs(np.log1p(sign * relevant)) if scale in _MULTIPLICATIVE and sign * relevant > -1 else relevant
        if n_treated > 0 and n_control > 0:
            clusters = power.get("clusters", np.nan) / n_treated
            sd = power["sd_change"] * np.sqrt(power.get("design_effect", 1.0))
            effective = power.get("effective", n_control)
            needed = firms_needed(size, sd, effective / n_treated, study.power, power.get("attrition", 0.0), clusters)
    if np.isnan(power["mde_share"]):
        reason = _why_none(power)
    unit = "share" if scale in _MULTIPLICATIVE else "level" if scale == "level" else "points"
    found = {"unit": unit, "mde": power["mde_share"], "horizon": power["horizon"], "reason": reason}
    return found | _firms(n_treated, n_control, needed)


def _of_count(relevant: float | None, count: Mapping | None, study: Study) -> dict:
    """A count of firms that change status: the share that can be detected, in firms."""
    if count is None:
        return {"unit": "firms", "reason": "no_years_before"}
    n_treated, n_control, rate = (count[k] for k in ("n_treated", "n_control", "rate"))
    found = {"unit": "firms", "horizon": count["horizon"], **_firms(n_treated, n_control, np.nan)}
    if not (n_treated > 0 and n_control > 0):
        return found | {"reason": "no_firms"}
    if np.isnan(rate):
        return found | {"reason": "no_years_before"}
    stay = 1 - count.get("attrition", 0.0)
    share = detectable_difference(rate, n_treated * stay, n_control * stay, study.power)
    found |= {"mde": share * n_treated, "reason": "too_few_firms" if np.isnan(share) else ""}
    wanted = relevant / n_treated if relevant else np.nan
    if 0 < wanted <= 1 - rate:
        needed = np.ceil(round(_treated_needed(wanted, rate, n_control / n_treated, study.power) / stay, 6))
        found |= _firms(n_treated, n_control, needed)
    return found


def _why_none(power: Mapping) -> str:
    """Why an outcome has no minimum detectable effect."""
    if not (power["n_treated"] > 0 and power["n_control"] > 0):
        return "no_firms"
    if power["source"] == "none":
        return "no_years_before"
    if power["source"] == "placebo" and not power["sd_change"] > 0:
        return "not_computable"
    if not power["sd_change"] > 0:
        return "no_variation"
    few = np.isnan(power.get("design_effect", 1.0)) or power.get("clusters", np.nan) < 3
    return "few_clusters" if few else "not_computable"  # such as too few firms left


def _firms(n_treated: float, n_control: float, needed: float) -> dict:
    controls = np.ceil(round(needed * n_control / n_treated, 6)) if n_treated > 0 else np.nan
    return {"n_treated": n_treated, "n_control": n_control, "n_needed": needed, "n_needed_control": controls}


def _treated_needed(share: float, rate: float, ratio: float, power: Power) -> float:
    """Treated firms that would find a rise of `share`, with `ratio` controls each."""

    def excess(n: float) -> float:
        found = detectable_difference(rate, n, ratio * n, power)
        return (1.0 if np.isnan(found) else found) - share

    most = 10.0
    while excess(most) > 0:
        most *= 10
    return float(np.ceil(brentq(excess, 1e-3, most))) if excess(1e-3) > 0 else 1.0


def _joint(indicator: Indicator, study: Study, rows: Mapping[str, dict]) -> dict:
    """A row that rests on others: as detectable as the least detectable of them."""
    parts = [rows[key] for key in indicator.of if key in rows]
    states = [p["detectable"] for p in parts]
    row = {"indicator": indicator.id, "kind": indicator.kind, "outcome": "", "unit": indicator.unit, "target": indicator.target}
    if indicator.kind == "joint" and set(states) <= {"not_compared"}:
        return row | {"detectable": "not_compared", "reason": "no_comparison", "remarks": ";".join(_remarks(indicator, study))}
    computed = bool(parts) and set(states) <= {"yes", "no"}
    row["detectable"] = ("no" if "no" in states else "yes") if computed else "not_computable"
    row |= {"reason": "" if computed else "parts"} | {n: min((p.get(n, np.nan) for p in parts), default=np.nan) for n in _ARMS}
    row["horizon"] = max((p.get("horizon", np.nan) for p in parts), default=np.nan)
    how = "all" if indicator.kind == "joint" else indicator.combine or study.verdicts.joint
    return row | {"remarks": ";".join((*_remarks(indicator, study), f"read_{how}"))}


def _remarks(indicator: Indicator, study: Study) -> tuple[str, ...]:
    """What is to be known of a target before anything is measured."""
    due = indicator_due(indicator, study.calendar)
    of_firms = indicator.kind in ("growth", "difference", "transition") or (indicator.kind == "share" and bool(indicator.measure))
    holds = {
        "due_after": due is not None and due > study.as_of,
        "no_due_date": due is None,
        "population_open": of_firms and not indicator.population,
        "direction_assumed": "reading_direction_increase" in indicator.remarks,
        "treated_are_fewer": bool(indicator.effect)
        and study.treatment.definition != "beneficiary"
        and "beneficiary" in indicator.population.get("arm", ()),
        "early_no_verdict": study.stage == "midterm" and indicator.level == "goal",
    }
    return tuple(code for code, found in holds.items() if found)


def _counts(data: Stage, start: Stage, group: Stage, study: Study) -> dict[str, dict]:
    """By indicator of kind transition: firms of each arm that could change status, and how many did before the programme."""
    firms, nominal = start["everyone"].firms, data["measures"].nominal
    cohort = group["panel"].firms["cohort"]
    pool = cohort.index[np.isinf(cohort)]
    status = nominal["exp_status"].astype(object).unstack() if len(nominal) else pd.DataFrame()
    yearly = study.power.attrition
    yearly = lost_a_year(group["panel"], study.baseline.year + 1) if yearly is None else yearly
    rows = {}
    for indicator in (i for i in data["logframe"].indicators if i.kind == "transition"):
        base, now = years(indicator, study)
        base = min(base, study.baseline.year)
        eligible = firms.index[selected(firms, {"exp_status_baseline": indicator.source_statuses})]
        ours, theirs = eligible.intersection(members(indicator, firms)), eligible.intersection(pool)
        rate = _rate_before(status, indicator, (base, max(now - base, 1)), [*members(indicator, firms), *pool], study)
        horizon = max(now - base, 1)
        firms_of = {"n_treated": len(ours), "n_control": len(theirs), "attrition": 1 - (1 - yearly) ** horizon}
        rows[indicator.id] = firms_of | {"rate": rate, "horizon": horizon}
    return rows


def _rate_before(status: pd.DataFrame, indicator: Indicator, reach: tuple[int, int], ids: list[str], study: Study) -> float:
    """The share of firms that made the transition in as many years without the programme; NaN without years before it.

    Counted from the first year before the base year to the base year, and carried to the horizon at the same yearly hazard: too
    high where firms return to their old status.
    """
    base, horizon = reach
    first = next((y for y in sorted(study.baseline.pre_years) if y in status and y < base), None)
    if first is None or base not in status:
        return float("nan")
    pair = status.reindex(pd.Index(ids).unique())[[first, base]].dropna()
    pair = pair[pair[first].isin(indicator.source_statuses)]
    if pair.empty:
        return float("nan")
    share = pair[base].isin(indicator.target_statuses).mean()
    return float(1 - (1 - share) ** (horizon / (base - first)))
