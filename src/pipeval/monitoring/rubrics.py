"""Ordinal ratings: what evaluators think of institutions and sectors, and what experts and firms think of the firms."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.intervals import mean_interval, wilson
from .agreement import krippendorff_alpha

ROUND_DAYS = 60
"""Ratings of one rubric with no more than these days between them belong to one round."""

_CRITERION = ["rubric", "subject", "criterion"]
_SCORES = [
    *_CRITERION, "criterion_es", "criterion_en", "n_raters", "median", "lowest", "highest", "mean_first", "mean_last",
    "score_change", "first", "last", "evidenced",
]  # fmt: skip
_AGREEMENT = ["rubric", "last", "n_raters", "n_items", "n", "alpha", "result"]
_OVERVIEW = [
    "rubric", "subject", "n_criteria", "mean_first", "mean_last", "score_change", "n_improved", "n_worsened", "first", "last",
]  # fmt: skip
_ASSESSED = [
    "arm", "assessor", "factor", "n", "mean_first", "mean_last", "score_change", "score_change_low", "score_change_high",
    "n_goal", "goal", "share", "share_low", "share_high",
]  # fmt: skip
_GAPS = ["arm", "factor", "moment", "n", "mean_expert", "mean_firm", "gap", "gap_low", "gap_high"]


def _rounds(ratings: pd.DataFrame) -> pd.DataFrame:
    """The ratings with the number of their round and its last day (`last`)."""
    table = ratings.dropna(subset=["score", "rated_on"]).sort_values(["rubric", "rated_on"], kind="stable")
    apart = table.groupby("rubric")["rated_on"].diff() > pd.Timedelta(days=ROUND_DAYS)
    table = table.assign(round=apart.groupby(table["rubric"]).cumsum())
    return table.assign(last=table.groupby(["rubric", "round"])["rated_on"].transform("max"))


def rubric_scores(ratings: pd.DataFrame) -> pd.DataFrame:
    """One row a rubric, subject and criterion: what raters gave in the last round, and how it moved since the first.

    Parameters
    ----------
    ratings : DataFrame
        The table rubrics. Ratings of a rubric up to 60 days apart form a round.

    Returns
    -------
    DataFrame
        `rubric, subject, criterion, criterion_es, criterion_en`; of the last round `n_raters, median, lowest, highest`;
        `mean_first` (NaN when there was one round), `mean_last, score_change`; `first, last` (the days those rounds ended),
        `evidenced` (share of the last round's ratings that name their evidence). Scores run from 1 (absent) to 4 (complete).
    """
    rows = []
    for key, part in _rounds(ratings).groupby(_CRITERION, sort=True):
        early, late = part[part["round"] == part["round"].min()], part[part["round"] == part["round"].max()]
        moved = early["round"].iloc[0] != late["round"].iloc[0]
        words = {c: part[c].dropna().iloc[-1] if part[c].notna().any() else None for c in ("criterion_es", "criterion_en")}
        rows.append(
            dict(zip(_CRITERION, key, strict=True))
            | words
            | {
                "n_raters": late["rater"].nunique(),
                "median": late["score"].median(),
                "lowest": late["score"].min(),
                "highest": late["score"].max(),
                "mean_first": early["score"].mean() if moved else np.nan,
                "mean_last": late["score"].mean(),
                "first": early["last"].iloc[0] if moved else pd.NaT,
                "last": late["last"].iloc[0],
                "evidenced": late["evidence_ref"].notna().mean(),
            }
        )
    table = pd.DataFrame(rows, columns=_SCORES)
    return table.assign(score_change=table["mean_last"] - table["mean_first"])


def rubric_agreement(ratings: pd.DataFrame) -> pd.DataFrame:
    """One row a rubric and round: how far its raters agree.

    `rubric, last` (day the round ended), `n_raters, n_items` (subjects and criteria with two ratings or more), `n` (their ratings),
    `alpha` (Krippendorff's alpha for ordered categories), `result`: pass from 0.800, mild from 0.667 (his limits), else fail;
    not_testable when it is not defined.
    """
    rows = []
    for (rubric, _), part in _rounds(ratings).groupby(["rubric", "round"], sort=True):
        wide = part.pivot_table(index=["subject", "criterion"], columns="rater", values="score", aggfunc="last")
        wide = wide[wide.notna().sum(axis=1) >= 2]
        alpha = krippendorff_alpha(wide)
        result = "not_testable" if np.isnan(alpha) else "pass" if alpha >= 0.8 else "mild" if alpha >= 0.667 else "fail"
        n_raters = int(wide.notna().any().sum())
        rows.append((rubric, part["last"].iloc[0], n_raters, len(wide), int(wide.notna().sum().sum()), alpha, result))
    return pd.DataFrame(rows, columns=_AGREEMENT)


def rubric_overview(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a rubric and subject: the mean over criteria, first and last, and how many criteria improved or worsened.

    From `rubric_scores`. `rubric, subject, n_criteria, mean_first, mean_last` (over the same criteria where both are known),
    `score_change, n_improved, n_worsened, first, last`.
    """
    rows = []
    for (rubric, subject), part in scores.groupby(["rubric", "subject"], sort=True):
        moved = part.dropna(subset=["score_change"])
        same = moved if len(moved) else part
        dates = part["first"].min(), part["last"].max()
        better, worse = int((moved["score_change"] > 1e-9).sum()), int((moved["score_change"] < -1e-9).sum())
        means = moved["mean_first"].mean(), same["mean_last"].mean(), moved["score_change"].mean()
        rows.append((rubric, subject, len(part), *means, *((better, worse) if len(moved) else (np.nan, np.nan)), *dates))
    return pd.DataFrame(rows, columns=_OVERVIEW)


def _ends(assessments: pd.DataFrame, types: pd.DataFrame) -> pd.DataFrame:
    """One row a firm, factor and assessor: score at the first and, if there is a later one, the last assessment; the first goal."""
    rows = assessments.dropna(subset=["score", "on"]).sort_values("on", kind="stable")
    found = rows.groupby(["firm_id", "factor", "assessor"]).agg(
        base=("score", "first"), now=("score", "last"), first=("on", "min"), last=("on", "max")
    )
    found["now"] = found["now"].where(found["last"] > found["first"])
    goal = rows.groupby(["firm_id", "factor"])["goal"].first()
    found = found.join(goal).reset_index()
    return found.assign(arm=found["firm_id"].map(types["arm"]))


def assessment_scores(assessments: pd.DataFrame, types: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row an arm, assessor and factor of competitiveness: its score at the start and now, and goals reached.

    Parameters
    ----------
    assessments : DataFrame
        The table assessments, scores from 1 to 5.
    types : DataFrame
        The firms by `firm_id`, with their `arm`.
    level : float
        Of every interval.

    Returns
    -------
    DataFrame
        `arm, assessor` (expert, firm), `factor, n` (firms scored at both ends), `mean_first, mean_last, score_change` with its
        interval `score_change_low, score_change_high` (t); `n_goal` (of them, firms that stated a goal), `goal` (mean of the first
        goals stated), `share` that now score their goal or more, `share_low, share_high` (Wilson).
    """
    rows = []
    both = _ends(assessments, types).dropna(subset=["base", "now"])
    for key, part in both.groupby(["arm", "assessor", "factor"], sort=True):
        aimed = part.dropna(subset=["goal"])
        reached = (aimed["now"] >= aimed["goal"]).sum()
        low, high = map(float, wilson(reached, len(aimed), level))
        share = reached / len(aimed) if len(aimed) else np.nan
        change = mean_interval(part["now"] - part["base"], level)
        rows.append(
            (*key, len(part), part["base"].mean(), part["now"].mean(), *change, len(aimed), aimed["goal"].mean(), share, low, high)
        )
    return pd.DataFrame(rows, columns=_ASSESSED)


def assessment_gaps(assessments: pd.DataFrame, types: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row an arm, factor and moment: what experts score less what firms score themselves, among firms scored by both then.

    `arm, factor, moment` (base, now), `n, mean_expert, mean_firm, gap, gap_low, gap_high` (paired, t). Where the gap is positive,
    experts think more of the firms than these of themselves.
    """
    rows = []
    ends = _ends(assessments, types)
    for moment in ("base", "now"):
        wide = ends.pivot_table(index=["arm", "factor", "firm_id"], columns="assessor", values=moment)
        wide = wide.reindex(columns=["expert", "firm"]).dropna()
        for (arm, factor), part in wide.groupby(level=["arm", "factor"], sort=True):
            gap = mean_interval(part["expert"] - part["firm"], level)
            rows.append((arm, factor, moment, len(part), part["expert"].mean(), part["firm"].mean(), *gap))
    return pd.DataFrame(rows, columns=_GAPS).sort_values(["arm", "factor", "moment"], kind="stable", ignore_index=True)
