"""The verdict table: one row an indicator, attainment and evidence side by side and never merged.

`remarks` holds the codes of `verdicts.remarks.REMARKS`, joined by semicolons: how the wording was read (`reading_*`, `read_*`),
what is to be known of the target (`target_*`, `eligible`), of the data (`no_*`, `closed_*`), and of the evidence (`check_*`,
`smaller_than_target`, `cannot_detect_target`, …).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from ..did.estimate import as_share
from ..did.multiple import holm
from ..errors import DesignError, some
from ..study.calendar import indicator_due
from ..study.logframe import Indicator, LogFrame, text_columns
from ..study.specs import Study
from .attainment import Attained, attainment, joined
from .evidence import count_row, evidence, joint_evidence
from .inputs import Inputs
from .ladder import COUNT_CHECKS, rests_on
from .readings import documents

COLUMNS = (
    "id", "level", "component", "text", "attainment", "evidence", "baseline", "current", "change", "nominal_change",
    "value", "target", "unit", "direction", "due", "interim", "projection", "n", "effect", "effect_low", "effect_high", "p_value",
    "p_adjusted", "mde", "relevant_effect", "gross", "expected", "oecd_step", "sms", "lights", "document", "verified", "remarks",
)  # fmt: skip


def verdict_table(
    logframe: LogFrame,
    study: Study,
    inputs: Inputs,
    effects: pd.DataFrame,
    counts: pd.DataFrame | None = None,
    checks: pd.DataFrame | None = None,
    power: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row an indicator of the log frame: what was reached, and what may be attributed to the programme.

    Parameters
    ----------
    logframe, study, inputs
        What was promised, what was decided, what was collected.
    effects : DataFrame
        One row an outcome: `outcome, scale, estimate, std_error`; optional `df, p_value`. Log points on scales log and poisson.
    counts : DataFrame, optional
        One row an indicator of kind transition: `indicator, gross, expected, net, net_low, net_high, n_without_counterfactual`.
    checks : DataFrame, optional
        `check, result` (pass, mild, fail, not_testable), optional `outcome`.
    power : DataFrame, optional
        `outcome, mde`: the minimum detectable effect from the baseline, on the outcome's own scale (log points for log, poisson).

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, `text` in one column a language of the log frame. Effects, intervals and `mde` are shares on scales log and poisson, net firms for counts. `p_adjusted` is
        Holm's over `study.verdicts.primary`, NaN elsewhere. `due` is a date or NaT. Beside the axes, never in them: `oecd_step`,
        `sms` and `lights` (`ladder.rests_on`), `document` and `verified`, the share of the proofs seen (`readings.documents`).

    Raises
    ------
    DesignError
        When `effects` has two rows for one outcome.
    """
    rows = _estimates(logframe, study, effects, counts)
    found = attained(logframe, inputs, study, rows)
    mdes = {} if power is None else power.set_index("outcome")["mde"].to_dict()
    table = pd.DataFrame([_verdict(i, logframe, study, found[i.id], rows, checks, mdes, counts) for i in logframe.indicators])
    table["due"] = pd.to_datetime(table["due"])
    proofs = pd.DataFrame([documents(i, inputs, study) for i in logframe.indicators], columns=["document", "verified"])
    ground = pd.DataFrame([rests_on(i, logframe, study, found[i.id], rows, checks) for i in logframe.indicators])
    return pd.concat([table, proofs, ground], axis=1)[logframe.worded(COLUMNS)]


def attained(logframe: LogFrame, inputs: Inputs, study: Study, estimates: Mapping[str, dict] | None = None) -> dict[str, Attained]:
    """The first axis of every indicator, by id; `estimates`, by indicator id, serve the rows that compare with controls."""
    better = {key: _signed(row) for key, row in (estimates or {}).items()}
    found = {i.id: attainment(i, inputs, study, better) for i in logframe.indicators}
    return found | {i.id: joined(i, found, study) for i in logframe.indicators if i.kind == "joint"}


def aggregator_strip(found: Mapping[str, Attained]) -> pd.DataFrame:
    """One row an indicator and other reading (`total, mean, median, survivors_only, exits_as_zero`, group, measure): its value."""
    rows = [(key, reading, value) for key, one in found.items() for reading, value in one.strip.items()]
    return pd.DataFrame(rows, columns=["id", "reading", "value"])


def relevant_effect(indicator: Indicator, study: Study) -> float | None:
    """The smallest effect that matters: the indicator's, else the outcome's, else the target; never zero.

    >>> from types import SimpleNamespace as Row
    >>> study = Row(outcomes=(Row(id="ln_sales", relevant_effect=0.1),))
    >>> relevant_effect(Row(effect="ln_sales", relevant_effect=None, target=0.15), study)
    0.1
    """
    outcome = next((o.relevant_effect for o in study.outcomes if o.id == indicator.effect), None)
    return next((value for value in (indicator.relevant_effect, outcome, indicator.target) if value), None)


def _estimates(logframe: LogFrame, study: Study, effects: pd.DataFrame, counts: pd.DataFrame | None) -> dict[str, dict]:
    """The estimate that is each indicator's evidence, by indicator id, with p-values and Holm's adjustment of the primary ones."""
    twice = effects["outcome"][effects["outcome"].duplicated()]
    if len(twice):
        found = some(twice.unique(), "outcome")
        raise DesignError(f"a verdict rests on one estimate; effects hold two rows for {found}. Keep the headline's")
    by_outcome = {row["outcome"]: row for row in effects.to_dict("records")}
    direction = {o.id: o.direction for o in study.outcomes}
    rows = {}
    for indicator in logframe.indicators:
        if indicator.effect in by_outcome:
            rows[indicator.id] = {**by_outcome[indicator.effect], "direction": direction.get(indicator.effect, indicator.direction)}
    if counts is not None:
        known = {i.id for i in logframe.indicators if i.kind == "transition"}
        for row in counts.to_dict("records"):
            if row["indicator"] in known:
                rows[row["indicator"]] = count_row(row["net"], row["net_low"], row["net_high"])
    for row in rows.values():
        row["df"] = np.inf if pd.isna(row.get("df", np.nan)) else row["df"]
        if pd.isna(row.get("p_value", np.nan)):
            row["p_value"] = float(2 * stats.t.sf(abs(row["estimate"] / row["std_error"]), row["df"]))
    primary = [i for i in study.verdicts.primary if i in rows]
    adjusted = holm(pd.Series({i: rows[i]["p_value"] for i in primary}, dtype=float))
    return {key: row | {"p_adjusted": adjusted.get(key, np.nan)} for key, row in rows.items()}


def _verdict(
    indicator: Indicator,
    logframe: LogFrame,
    study: Study,
    found: Attained,
    rows: Mapping[str, dict],
    checks: pd.DataFrame | None,
    mdes: Mapping[str, float],
    counts: pd.DataFrame | None,
) -> dict:
    row = rows.get(indicator.id)
    relevant = relevant_effect(indicator, study)
    mde = _mde(indicator, row, mdes)
    grade, remarks = _grade(indicator, logframe, study, rows, checks, mde)
    low, high = _interval(row, study.did.level)
    net = _count_of(indicator, counts)
    if net.get("n_without_counterfactual", 0) > 0:
        remarks += (f"without_counterfactual={int(net['n_without_counterfactual'])}",)
    return {
        "id": indicator.id, "level": indicator.level, "component": indicator.component,
        **text_columns(indicator.text), "attainment": found.state, "evidence": grade,
        "baseline": found.baseline, "current": found.current, "change": found.change, "nominal_change": found.nominal_change,
        "value": found.value, "target": found.target,
        "unit": indicator.unit, "direction": indicator.direction,
        "due": found.due, "interim": found.interim, "projection": found.strip.get("projection", np.nan),
        "n": found.n or np.nan,
        "effect": as_share(row["estimate"], row["scale"]) if row else np.nan, "effect_low": low, "effect_high": high,
        "p_value": row["p_value"] if row else np.nan, "p_adjusted": row["p_adjusted"] if row else np.nan,
        "mde": mde, "relevant_effect": np.nan if relevant is None else relevant,
        "gross": net.get("gross", np.nan), "expected": net.get("expected", np.nan),
        "remarks": ";".join(dict.fromkeys((*found.remarks, *remarks))),
    }  # fmt: skip


def _grade(
    indicator: Indicator,
    logframe: LogFrame,
    study: Study,
    rows: Mapping[str, dict],
    checks: pd.DataFrame | None,
    mde: float,
) -> tuple[str, tuple[str, ...]]:
    """The second axis, with what the stage and the indicator's kind allow."""
    if study.stage == "midterm" and indicator.level == "goal":
        return "not_assessed", ("early_no_verdict",)
    early = ("early",) if study.stage == "midterm" else ()
    if indicator.kind == "joint" and not any(logframe.indicator(key).effect for key in indicator.of):
        return "descriptive", ()
    if indicator.kind in ("difference", "joint"):
        grade, remarks = _joint(indicator, logframe, study, rows, checks)
        return grade, (*remarks, *early)
    if indicator.effect is None and indicator.kind != "transition":
        change = indicator.kind == "growth" or (indicator.kind == "share" and indicator.table in (None, "survey"))
        return "descriptive", ("no_comparison",) if change else ()
    row = rows.get(indicator.id)
    power = None if np.isnan(mde) else mde
    relevant, alpha = relevant_effect(indicator, study), study.power.alpha
    if indicator.kind == "transition" and checks is not None:
        checks = checks[checks["check"].isin(COUNT_CHECKS)]
    grade, remarks = evidence(row, checks, relevant, target=indicator.target, mde=power, alpha=alpha)
    if grade == "target_ruled_out" and _waiting(indicator, study):
        grade, remarks = evidence(row, checks, None, target=indicator.target, mde=power, alpha=alpha)
    if row is not None and indicator.id not in study.verdicts.primary:
        remarks += ("secondary",)
    return grade, (*remarks, *early)


def _waiting(indicator: Indicator, study: Study) -> bool:
    """Whether the target speaks of a later day, so that today's effect cannot rule it out."""
    due = indicator_due(indicator, study.calendar)
    return due is not None and due > study.as_of


def _joint(indicator: Indicator, logframe: LogFrame, study: Study, rows: Mapping[str, dict], checks) -> tuple[str, tuple[str, ...]]:
    parts = [logframe.indicator(key) for key in indicator.of]
    # "better than the control group" asks for a difference above zero: no size is ruled out unless the row states one
    relevant = [indicator.relevant_effect or (relevant_effect(p, study) if indicator.kind == "joint" else None) for p in parts]
    relevant = [None] * len(parts) if _waiting(indicator, study) else relevant
    estimates, alpha = [rows.get(p.id) for p in parts], study.power.alpha
    if indicator.kind == "joint" or (indicator.combine or study.verdicts.joint) == "all":
        return joint_evidence(estimates, checks, relevant, alpha=alpha)
    graded = [evidence(row, checks, effect, alpha=alpha) for row, effect in zip(estimates, relevant, strict=True)]
    order = ("adverse", "not_assessed", "target_ruled_out", "inconclusive", "indicative", "demonstrated")
    return min(graded, key=lambda one: order.index(one[0]))


def _mde(indicator: Indicator, row: dict | None, mdes: Mapping[str, float]) -> float:
    if row is None or indicator.effect not in mdes:
        return np.nan
    sign = -1.0 if row["direction"] == "decrease" else 1.0
    return sign * as_share(sign * mdes[indicator.effect], row["scale"])


def _interval(row: dict | None, level: float) -> tuple[float, float]:
    if not row:
        return np.nan, np.nan
    half = stats.t.ppf(0.5 + level / 2, row["df"]) * row["std_error"]
    return as_share(row["estimate"] - half, row["scale"]), as_share(row["estimate"] + half, row["scale"])


def _signed(row: dict) -> float:
    effect = as_share(row["estimate"], row["scale"])
    return -effect if row["direction"] == "decrease" else effect


def _count_of(indicator: Indicator, counts: pd.DataFrame | None) -> dict:
    if counts is None:
        return {}
    found = counts[counts["indicator"] == indicator.id].to_dict("records")
    return found[0] if found else {}
