"""What participants say: who answered, how high and how united they score, and where to ask again.

An opinion is not an effect. `step` says what kind of evidence an item is on the scale of the OECD framework (2007): II, opinions
of those served; III, their own view of the difference that was made.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.intervals import mean_interval, wilson
from ..study.programme_specs import Opinions
from .agreement import agreement

STEP_III = ("benefit_seen",)
"""Items by which firms judge the difference made to them; any other item is step II."""

SCALE = np.arange(1, 6)
CELL = ["wave", "component", "item"]
_MEASURED = [
    "n", "n_firms", "mean", "sd", "mean_low", "mean_high", "share", "share_low", "share_high", "share_bottom", "net_promoter",
    "agreement", "bimodal",
]  # fmt: skip
_SATISFACTION = [*CELL, "scale", "step", "n_asked", "n_unserved", "response_rate", *_MEASURED]
_FLAGS = ["wave", "by", "component", "activity_id", "item", "n", "reason", "measured", "threshold"]


def valid_scores(satisfaction: pd.DataFrame) -> pd.DataFrame:
    """One row a score that can be read: `firm_id, wave, component, item, activity_id, score, answered_on, scale`.

    An item whose answers never exceed 1 is read as `yes_no` (1 is yes), any other as `one_to_five`, where a zero is no score.
    """
    table = satisfaction[["firm_id", *CELL, "activity_id", "score", "answered_on"]].dropna(subset=["score"])
    highest = table.groupby("item")["score"].transform("max")
    table = table.assign(scale=np.where(highest <= 1, "yes_no", "one_to_five"))
    return table[(table["scale"] == "yes_no") | (table["score"] >= 1)].reset_index(drop=True)


def score_counts(scores: pd.Series) -> np.ndarray:
    """Answers in each of the categories 1 to 5; a score between two counts in the nearer one, halves in the upper.

    >>> score_counts(pd.Series([1, 4, 4.5, 5])).tolist()
    [1, 0, 0, 1, 2]
    """
    nearest = np.floor(scores.dropna().to_numpy(float) + 0.5).astype(int)
    return np.bincount(nearest, minlength=6)[1:6]


def satisfaction_table(scores: pd.DataFrame, services: pd.DataFrame | None, rules: Opinions, level: float = 0.95) -> pd.DataFrame:
    """One row a wave, component and item: who answered and how they score.

    Parameters
    ----------
    scores : DataFrame
        From `valid_scores`.
    services : DataFrame or None
        The services received; without them nobody is known to have been asked.
    rules : Opinions
        How opinions are read.
    level : float
        Of every interval.

    Returns
    -------
    DataFrame
        `wave, component, item, scale, step` (II or III), `n_asked` (firms served by the last answer of the wave: in the activities
        that the item's answers name, where these cover everyone who answered, else in the component), `n_unserved` (firms that
        answered without a recorded service), `response_rate` (of the firms served), `n` (answers), `n_firms`; of the scores
        `mean, sd, mean_low, mean_high` (t; Wilson for yes or no); `share` scoring 4–5, or yes, with Wilson limits
        `share_low, share_high`; `share_bottom` scoring 1–2, or no; `net_promoter` (would_recommend only: yes less no, or 5 less
        1–3, as a share); `agreement` (NaN for yes or no), `bimodal` (at least `split_share` at both ends).
    """
    rows = []
    for key, part in scores.groupby(CELL, sort=True):
        row = dict(zip(CELL, key, strict=True)) | _measured(part, rules, level)
        row |= {"scale": part["scale"].iloc[0], "step": "III" if key[2] in STEP_III else "II"}
        rows.append(row | _response(part, services, _last_day(scores, key[0]), key[1]))
    return pd.DataFrame(rows, columns=_SATISFACTION)


def _measured(part: pd.DataFrame, rules: Opinions, level: float) -> dict:
    """What the scores of one group say."""
    score, n = part["score"], len(part)
    binary = part["scale"].iloc[0] == "yes_no"
    top, bottom = (score > 0, score <= 0) if binary else (score >= 3.5, score < 2.5)
    mean, *limits = mean_interval(score, level)
    low, high = map(float, wilson(top.sum(), n, level))
    promoters = top.mean() - bottom.mean() if binary else (score >= 4.5).mean() - (score < 3.5).mean()
    ends = min(top.mean(), bottom.mean())
    return {
        "n": n,
        "n_firms": part["firm_id"].nunique(),
        "mean": mean,
        "sd": score.std(ddof=1),
        "mean_low": low if binary else limits[0],
        "mean_high": high if binary else limits[1],
        "share": top.mean(),
        "share_low": low,
        "share_high": high,
        "share_bottom": bottom.mean(),
        "net_promoter": promoters if part["item"].iloc[0] == "would_recommend" else np.nan,
        "agreement": np.nan if binary else agreement(score_counts(score)),
        "bimodal": not binary and bool(ends >= rules.split_share),
    }


def _last_day(scores: pd.DataFrame, wave: str) -> pd.Timestamp:
    return scores.loc[scores["wave"] == wave, "answered_on"].max()


def served_firms(services: pd.DataFrame, component: str, day: pd.Timestamp) -> pd.DataFrame:
    """Services of a component, or of its subcomponents, begun by that day; all of them when the day is not known."""
    own = services["component"] == component
    if not own.any():
        own = services["component"].astype(object).str.startswith(f"{component}.", na=False)
    return services[own & (pd.isna(day) | (services["start_on"] <= day))]


def _response(part: pd.DataFrame, services: pd.DataFrame | None, day: pd.Timestamp, component: str) -> dict:
    unknown = {"n_asked": np.nan, "n_unserved": np.nan, "response_rate": np.nan}
    if services is None or services.empty:
        return unknown
    served = served_firms(services, component, day)
    answered = set(part["firm_id"])
    asked = set(served.loc[served["activity_id"].isin(part["activity_id"].dropna()), "firm_id"])
    asked = asked if answered <= asked else set(served["firm_id"])
    if not asked:
        return unknown | {"n_asked": 0, "n_unserved": len(answered)}
    both = len(answered & asked)
    return {"n_asked": len(asked), "n_unserved": len(answered) - both, "response_rate": both / len(asked)}


def satisfaction_shares(scores: pd.DataFrame) -> pd.DataFrame:
    """One row a wave, component, item and score from 1 to 5: `wave, component, item, score, n, share` of the item's answers.

    Items answered by yes or no have no row.
    """
    rated = scores[scores["scale"] == "one_to_five"]
    rows = [
        (*key, int(score), int(count), count / len(part))
        for key, part in rated.groupby(CELL, sort=True)
        for score, count in zip(SCALE, score_counts(part["score"]), strict=True)
    ]
    return pd.DataFrame(rows, columns=[*CELL, "score", "n", "share"])


def reasons(part: pd.DataFrame, rules: Opinions) -> list[tuple[str, float, float]]:
    """Why a group's answers call for another look: (reason, value, threshold); none with fewer answers than `rules.fewest`.

    *low*: the mean is below `rules.low`, a yes-or-no item below the same place on its scale. *split*: at least `split_share` score
    1–2 and as many 4–5; the value is the smaller share. *disagreement*: agreement is below `rules.agreement`.
    """
    if len(part) < rules.fewest:
        return []
    score = part["score"].to_numpy(float)
    mean = float(score.mean())
    if part["scale"].iloc[0] == "yes_no":
        low = float((rules.low - SCALE[0]) / (SCALE[-1] - SCALE[0]))
        return [("low", mean, low)] if mean < low else []
    smaller, agreed = float(min((score >= 3.5).mean(), (score < 2.5).mean())), agreement(score_counts(part["score"]))
    checks = {
        "low": (mean < rules.low, mean, rules.low),
        "split": (smaller >= rules.split_share, smaller, rules.split_share),
        "disagreement": (agreed < rules.agreement, agreed, rules.agreement),
    }
    return [(reason, value, threshold) for reason, (holds, value, threshold) in checks.items() if holds]


def opinion_flags(scores: pd.DataFrame, rules: Opinions) -> pd.DataFrame:
    """One row a reason to look again at an item of a component (`by` component) or of an activity over components (`by` activity).

    Columns `wave, by, component, activity_id, item, n` (answers), `reason` (low, split, disagreement), `measured, threshold`.
    """
    rows = []
    for by, place in (("component", "component"), ("activity", "activity_id")):
        for (wave, where, item), part in scores.groupby(["wave", place, "item"], sort=True):
            row = {"wave": wave, "by": by, place: where, "item": item, "n": len(part)}
            rows += [
                row | {"reason": reason, "measured": value, "threshold": threshold}
                for reason, value, threshold in reasons(part, rules)
            ]
    return pd.DataFrame(rows, columns=_FLAGS).astype({"component": "str", "activity_id": "str"})
