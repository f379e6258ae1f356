"""Whom to ask again: those who did not answer, and those whose answers are low or divided."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from ..data.disclosure import FEWEST_SHOWN
from .opinions import served_firms

_PLACE = ["wave", "by", "component", "activity_id", "item"]
_FOLLOWUP = [*_PLACE, "side", "n_firms", "characteristic", "group", "n", "share"]
_FIRMS = ["firm_id", *_PLACE, "side", "score"]
_SILENT = [
    "wave", "characteristic", "group", "n_asked", "n_responding", "response_rate", "share_responding", "share_silent", "p_value",
]  # fmt: skip


def followup_firms(scores: pd.DataFrame, flags: pd.DataFrame) -> pd.DataFrame:
    """One row a firm to be interviewed about a flagged item: for the annex, since it names firms.

    Columns `firm_id, wave, by, component, activity_id, item, side` (low: scored 1–2 or no; high: 4–5 or yes, asked too where
    opinions are divided), `score`.
    """
    found = []
    for key, part in flags.groupby(_PLACE, dropna=False, sort=False):
        place = dict(zip(_PLACE, key, strict=True))
        rows = _flagged(scores, place)
        divided = part["reason"].isin(["split", "disagreement"]).any()
        side = _sides(rows)
        rows = rows.assign(**place, side=side)[side.isin(["low", "high"] if divided else ["low"])]
        found.append(rows[_FIRMS])
    table = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=_FIRMS)
    return table.sort_values([*_PLACE, "side", "firm_id"], kind="stable").reset_index(drop=True)


def opinion_followup(scores: pd.DataFrame, flags: pd.DataFrame, types: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    """One row a flagged item, side and characteristic of the firms: how many to interview, and among which firms most of them are.

    Parameters
    ----------
    scores, flags : DataFrame
        From `opinions.valid_scores` and `opinions.opinion_flags`.
    types : DataFrame
        The firms' characteristics by `firm_id`.
    by : tuple of str
        Columns of `types`; one that is not there is passed over.

    Returns
    -------
    DataFrame
        `wave, by, component, activity_id, item, side, n_firms` (to interview), `characteristic, group` (the group with the largest
        share on that side, among groups with five answers and a fifth of all), `n` (its answers), `share` (of these on that side).
        A characteristic with a single such group has no row.
    """
    rows, firms = [], followup_firms(scores, flags)
    for key, part in firms.groupby([*_PLACE, "side"], dropna=False, sort=False):
        place = dict(zip([*_PLACE, "side"], key, strict=True))
        answers = _flagged(scores, place)
        on_side = _sides(answers) == place["side"]
        for column in (c for c in by if c in types):
            kind = answers["firm_id"].map(types[column])
            groups = on_side.groupby(kind).agg(["size", "mean"])
            groups = groups[groups["size"] >= max(0.2 * len(answers), FEWEST_SHOWN)]
            if len(groups) > 1:
                groups = groups.sort_values("mean", ascending=False, kind="stable")
                most = {
                    "characteristic": column,
                    "group": groups.index[0],
                    "n": groups["size"].iloc[0],
                    "share": groups["mean"].iloc[0],
                }
                rows.append(place | {"n_firms": part["firm_id"].nunique()} | most)
    return pd.DataFrame(rows, columns=_FOLLOWUP)


def _flagged(scores: pd.DataFrame, place: dict) -> pd.DataFrame:
    """The answers behind a flag."""
    column = "component" if place["by"] == "component" else "activity_id"
    own = (scores["wave"] == place["wave"]) & (scores["item"] == place["item"]) & (scores[column] == place[column])
    return scores[own]


def _sides(rows: pd.DataFrame) -> pd.Series:
    binary = rows["scale"] == "yes_no"
    low = np.where(binary, rows["score"] <= 0, rows["score"] < 2.5)
    high = np.where(binary, rows["score"] > 0, rows["score"] >= 3.5)
    return pd.Series(np.select([low, high], ["low", "high"], "middle"), index=rows.index)


def opinion_nonresponse(scores: pd.DataFrame, services: pd.DataFrame, types: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    """One row a wave, characteristic and group: the firms served that answered beside those that did not.

    `n_asked` counts the firms served in the components on which opinions were asked, by the wave's last answer; `n_responding`
    those that gave any answer; `share_responding, share_silent` are the group's shares among those who answered and those who did
    not; `p_value` tests that both are alike over all groups of the characteristic (Pearson's chi-squared; NaN when all or none
    answered).
    """
    rows = []
    for wave, part in scores.groupby("wave", sort=True):
        day = part["answered_on"].max()
        served = pd.Index(
            np.unique(np.concatenate([served_firms(services, c, day)["firm_id"] for c in part["component"].unique()]))
        )
        answered = served.isin(part["firm_id"])
        for column in (c for c in by if c in types):
            counts = pd.crosstab(types[column].reindex(served).to_numpy(), answered).reindex(columns=[False, True], fill_value=0)
            tested = len(counts) > 1 and (counts.sum() > 0).all()
            p_value = stats.chi2_contingency(counts, correction=False).pvalue if tested else np.nan
            for group, (silent, spoke) in zip(counts.index, counts.to_numpy(), strict=True):
                shares = spoke / (spoke + silent), _of(spoke, counts[True].sum()), _of(silent, counts[False].sum())
                rows.append((wave, column, group, spoke + silent, spoke, *shares, p_value))
    return pd.DataFrame(rows, columns=_SILENT)


def _of(part: float, whole: float) -> float:
    return part / whole if whole else np.nan
