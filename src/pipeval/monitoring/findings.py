"""Findings and corrective measures: what was found, who must act by when, and what became of it; and the sheet for the workshop."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from ..data.intervals import wilson

STAGES = ("baseline", "midterm", "final", "expost")
"""Evaluations in their order: a finding of a later one is not known to an earlier one."""

CLOSED = ("closed", "done", "complete")
"""Words of the register that mean that a measure was carried out."""

_REGISTER = [
    "finding_id", "stage", "area", "statement_es", "statement_en", "severity", "action_es", "action_en", "owner", "due", "status",
    "evidence_ref",
]  # fmt: skip
_FOLLOWED = ["stage", "severity", "n", "n_closed", "n_overdue", "n_open", "share", "share_low", "share_high"]
_SHEET = ["id", "attainment", "evidence", "triangulation", "n", "n_flags", "question"]


def findings_register(findings: pd.DataFrame, as_of: date, stage: str) -> pd.DataFrame:
    """One row a finding known at this stage: what was found, the measure, who acts by when, and where it stands.

    Parameters
    ----------
    findings : DataFrame
        The table findings.
    as_of : date
        The day of the evaluation.
    stage : str
        The evaluation's stage; findings of later ones are left out, those of a stage not listed in `STAGES` are kept.

    Returns
    -------
    DataFrame
        `finding_id, stage, area, statement_es, statement_en, severity, action_es, action_en, owner, due, status, evidence_ref`,
        the gravest first, then by stage, due date and id. `status` is *closed*, *overdue* (not closed, due before `as_of`) or
        *open*. The register does not say when a measure was closed: one of this same stage whose date is still to come counts as
        open.
    """
    order = {name: place for place, name in enumerate(STAGES)}
    now = order.get(stage, len(STAGES))
    table = findings.rename(columns={"due_on": "due", "measure_es": "action_es", "measure_en": "action_en"}).reindex(
        columns=[*_REGISTER, "measure"]
    )
    table = table[table["stage"].map(order).fillna(-1) <= now]
    for column in ("action_es", "action_en"):
        table[column] = table[column].where(table[column].notna(), table["measure"])
    today, due = pd.Timestamp(as_of), pd.to_datetime(table["due"])
    foretold = (table["stage"] == stage) & (due > today)
    closed = table["status"].isin(CLOSED) & ~foretold
    table["status"] = np.select([closed, due < today], ["closed", "overdue"], "open")
    place = table["stage"].map(order)
    table = table.assign(_place=place).sort_values(["severity", "_place", "due", "finding_id"], ascending=[False, True, True, True])
    return table[_REGISTER].reset_index(drop=True)


def measures_followup(register: pd.DataFrame, stage: str, level: float = 0.95) -> pd.DataFrame:
    """One row an earlier stage and severity (`all` first): what became of the corrective measures asked for then.

    From `findings_register`. `stage, severity, n, n_closed, n_overdue, n_open, share` closed, `share_low, share_high` (Wilson). No
    row at the first stage: nothing was asked for before it.
    """
    asked = register[register["action_es"].notna() | register["action_en"].notna()]
    rows = []
    for earlier in STAGES[: STAGES.index(stage)]:
        own = asked[asked["stage"] == earlier]
        parts = {"all": own} | {str(int(s)): own[own["severity"] == s] for s in sorted(own["severity"].dropna().unique())[::-1]}
        for severity, part in parts.items():
            if len(part):
                counts = [int((part["status"] == status).sum()) for status in ("closed", "overdue", "open")]
                low, high = map(float, wilson(counts[0], len(part), level))
                rows.append((earlier, severity, len(part), *counts, counts[0] / len(part), low, high))
    return pd.DataFrame(rows, columns=_FOLLOWED)


def workshop_rows(
    verdicts: pd.DataFrame, triangulation: pd.DataFrame | None = None, flags: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row an indicator: what the figures say, what interviews say, and the question to put to the principal actors.

    Parameters
    ----------
    verdicts : DataFrame
        `id, attainment, evidence`, optional `component`.
    triangulation : DataFrame, optional
        `id, n, triangulation`, from `interviews.triangulation`.
    flags : DataFrame, optional
        From `opinions.opinion_flags`: items of a component on which opinions are low or divided.

    Returns
    -------
    DataFrame
        `id, attainment, evidence, triangulation` (*not_asked* without interviews), `n` (interviews), `n_flags` (flagged items of
        the indicator's component), `question`: *disagreement* (figures and interviews differ), *why_missed*, *why_divided*
        (opinions or interviews), *other_causes* (reached, but not shown to be the programme's doing), *hear_more* (too few
        interviews), *on_track* (not yet due), *keep_up* (reached, shown and nobody disagrees), *no_data*. The first that applies,
        in this order: no_data, on_track, disagreement, why_missed, why_divided, other_causes, hear_more, keep_up.
    """
    table = verdicts.reindex(columns=["id", "component", "attainment", "evidence"])
    heard = pd.DataFrame(columns=["id", "n", "triangulation"]) if triangulation is None else triangulation
    table = table.merge(heard[["id", "n", "triangulation"]], on="id", how="left")
    table["triangulation"] = table["triangulation"].astype(object).where(table["triangulation"].notna(), "not_asked")
    table["n"] = pd.to_numeric(table["n"]).fillna(0).astype(int)
    items = pd.Series(dtype=float) if flags is None or flags.empty else _flagged_items(flags)
    table["n_flags"] = table["component"].map(items).fillna(0).astype(int)
    table["question"] = [_question(row) for row in table.to_dict("records")]
    return table[_SHEET]


def _flagged_items(flags: pd.DataFrame) -> pd.Series:
    """Flagged items by component; a component also counts those of its subcomponents."""
    own = flags[flags["by"] == "component"].drop_duplicates(["component", "item"])
    counts = own.groupby("component").size()
    above = own.assign(component=own["component"].str.partition(".")[0]).drop_duplicates(["component", "item"])
    return counts.combine_first(above.groupby("component").size())


def _question(row: dict) -> str:
    attained, shown, said = row["attainment"], row["evidence"] == "demonstrated", row["triangulation"]
    against = (said == "agree_contradicts" and (shown or attained == "met")) or (
        said == "agree_supports" and (row["evidence"] in ("adverse", "target_ruled_out") or attained == "not_met")
    )
    answers = {
        "no_data": attained in ("not_measurable", "infeasible") or pd.isna(attained),
        "on_track": attained == "not_yet_due",
        "disagreement": against,
        "why_missed": attained in ("not_met", "partly_met"),
        "why_divided": said == "mixed" or row["n_flags"] > 0,
        "other_causes": attained == "met" and row["evidence"] not in ("demonstrated", "not_assessed"),
        "hear_more": said in ("too_few", "not_asked"),
    }
    return next((question for question, holds in answers.items() if holds), "keep_up")
