"""What interviews say of each indicator: who was heard, on which side, and whether they agree. No person and no firm is named."""

from __future__ import annotations

import pandas as pd

STANCES = ("supports", "mixed", "contradicts")
"""What an interview may say of the claim that the programme brought the change."""

FEWEST = 3
"""Interviews without which nothing is concluded for an indicator."""


def evidence_register(interviews: pd.DataFrame) -> pd.DataFrame:
    """One row an indicator and kind of person heard: `id, kind, supports, mixed, contradicts, n` (interviews)."""
    return _counted(interviews, ["indicator_id", "kind"]).rename(columns={"indicator_id": "id"})


def _counted(interviews: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Interviews by stance; one that speaks twice of an indicator counts once a stance."""
    once = interviews.drop_duplicates([*keys, "interview_id", "stance"])
    counts = once.groupby([*keys, "stance"]).size().unstack("stance").reindex(columns=list(STANCES)).fillna(0).astype(int)
    heard = interviews.groupby(keys)["interview_id"].nunique()
    return counts.assign(n=heard.reindex(counts.index).astype(int)).rename_axis(columns=None).reset_index()


def triangulation(interviews: pd.DataFrame) -> pd.DataFrame:
    """One row an indicator: `id, n` (interviews), `n_kinds` (sides heard), `supports, mixed, contradicts, triangulation`.

    `triangulation` is *agree_supports* when more than half support and none contradicts, *agree_contradicts* when more than half
    contradict and none supports, *too_few* with fewer than three interviews, else *mixed*.

    >>> rows = pd.DataFrame({"interview_id": ["1", "2", "3"], "indicator_id": "P1", "kind": ["firm", "firm", "agency"]})
    >>> triangulation(rows.assign(stance=["supports", "supports", "mixed"]))["triangulation"].item()
    'agree_supports'
    """
    table = _counted(interviews, ["indicator_id"]).rename(columns={"indicator_id": "id"})
    kinds = interviews.groupby("indicator_id")["kind"].nunique()
    table.insert(2, "n_kinds", table["id"].map(kinds).astype(int))
    code = [_code(*row) for row in table[["n", "supports", "contradicts"]].itertuples(index=False)]
    return table.assign(triangulation=code)[["id", "n", "n_kinds", *STANCES, "triangulation"]]


def _code(n: int, supports: int, contradicts: int) -> str:
    if n < FEWEST:
        return "too_few"
    if not contradicts and 2 * supports > n:
        return "agree_supports"
    if not supports and 2 * contradicts > n:
        return "agree_contradicts"
    return "mixed"


def statements(interviews: pd.DataFrame) -> pd.DataFrame:
    """One row a statement: `id, kind, stance, statement_es, statement_en`, without the interview, the firm or the day.

    In the order of indicators, then those that support, are mixed, and contradict; statements without words are left out.
    """
    columns = ["kind", "stance", "statement_es", "statement_en"]
    table = interviews.rename(columns={"indicator_id": "id"})[["id", *columns]].dropna(
        subset=["statement_es", "statement_en"], how="all"
    )
    rank = table["stance"].map({stance: place for place, stance in enumerate(STANCES)})
    return table.assign(rank=rank).sort_values(["id", "rank", *columns], kind="stable").drop(columns="rank").reset_index(drop=True)
