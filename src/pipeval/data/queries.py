"""What happens to implausible but possible figures until the firm has answered: kept, set missing, or the firm left out."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from ..errors import Note, UsageError, some, warn
from ..study.files import nearest
from ..study.specs import Study
from .check import ACTIONS
from .contract import TABLES
from .load import Tables


def settle_queries(tables: Tables, faults: pd.DataFrame, study: Study) -> Tables:
    """The tables after params have had their say on the queries, rule by rule; a rule they do not name keeps its figures.

    Cells set missing are counted in a note, firms left out are entered in `Tables.dropped`. A cell without which its table cannot be
    used is never blanked.

    Raises
    ------
    UsageError
        When params name a rule that does not exist.
    """
    unknown = [rule for rule in study.queries if rule not in ACTIONS]
    if unknown:
        raise UsageError(f"queries: there is no rule '{unknown[0]}'; {nearest(unknown[0], ACTIONS)}")
    queries = faults[(faults["kind"] == "query") & (faults["row"] > 1)]
    fate = pd.Series([study.queries.get(rule, "keep") for rule in queries["rule"]], index=queries.index, dtype=object)
    blanked = _blank(tables, queries[fate == "set_missing"], study)
    return _leave_out(blanked, queries.loc[fate == "drop_firm", "firm_id"])


def _blank(tables: Tables, queries: pd.DataFrame, study: Study) -> Tables:
    frames, done = {}, []
    for name, rows in queries.groupby("table"):
        columns = TABLES[name].named(study.programme.currency)
        frames[name] = tables[name].copy()
        for row, column, rule in zip(rows["row"], rows["column"], rows["rule"], strict=True):
            if row in frames[name].index and column in frames[name] and not (column in columns and columns[column].needed):
                frames[name].loc[row, column] = None
                done.append(rule)
    if done:
        counts = ", ".join(f"{rule} {n}" for rule, n in pd.Series(done).value_counts().sort_index().items())
        warn(Note("queries_set_missing", "questioned figures set missing until the firms answer: {counts}", {"counts": counts}))
    return tables.with_frames(frames)


def _leave_out(tables: Tables, firm_ids: pd.Series) -> Tables:
    firms = sorted(set(firm_ids) & set(tables["enterprises"]["firm_id"]))
    if not firms:
        return tables
    warn(Note("queries_dropped", "left out until a query is answered: {firms}", {"firms": some(firms)}))
    frames = {name: frame[~frame["firm_id"].isin(firms)] for name, frame in tables.frames.items() if "firm_id" in frame}
    gone = pd.DataFrame({"firm_id": firms, "stage": "queries", "reason": "query"})
    return replace(tables.with_frames(frames), dropped=gone)
