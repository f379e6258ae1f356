"""Common support: which firms have anyone comparable on the other side, by their probability of treatment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import DesignError, Note

Rule = Literal["none", "minmax", "hull", "crump"]


@dataclass(frozen=True, slots=True, eq=False)
class Support:
    """Who stays, and between which scores.

    Attributes
    ----------
    kept : array (n,) of bool
        Whether the firm stays.
    low, high : float
        The limits of the score, both inside the support; minus and plus infinity under `none`.
    """

    kept: np.ndarray
    low: float
    high: float


def on_support(score: np.ndarray, treated: np.ndarray, rule: Rule = "none", estimand: str = "att") -> Support:
    """Which firms lie on the common support of treated and controls.

    Parameters
    ----------
    score : array (n,)
        Probability of treatment.
    treated : array (n,) of bool
    rule : {"none", "minmax", "hull", "crump"}
        `minmax`: every firm outside the scores that both arms reach leaves. `hull`: only firms for whose effect the estimand
        asks leave, those outside the interval of the other arm's scores (att: treated; atc: controls; ate and ato: both).
        `crump`: every firm with a score nearer to 0 or 1 than α leaves.
    estimand : {"att", "atc", "ate", "ato"}
        Read by `hull` only.

    Raises
    ------
    DesignError
        When an arm is empty, before or after.

    Notes
    -----
    Crump, Hotz, Imbens & Mitnik (2009), the subpopulation whose mean effect is estimated best when residuals vary alike: with
    g = 1 / (e (1 − e)), α solves 1 / (α (1 − α)) = 2 E[g | g ≤ 1 / (α (1 − α))], and nobody leaves when the largest g is at
    most twice the mean. Of several solutions the one of least variance Σ g / (number kept)² is taken.

    Examples
    --------
    >>> score, treated = np.array([0.1, 0.3, 0.5, 0.2, 0.4, 0.7]), np.array([False, False, False, True, True, True])
    >>> on_support(score, treated, "minmax").kept.tolist()
    [False, True, True, True, True, False]
    >>> on_support(score, treated, "hull").kept.tolist()
    [True, True, True, True, True, False]
    """
    score, treated = np.asarray(score, float), np.asarray(treated, bool)
    if treated.all() or not treated.any():
        raise DesignError(f"common support needs treated and control firms; found {treated.sum()} and {(~treated).sum()}")
    low, high = _limits(score, treated, rule, estimand)
    kept = (score >= low) & (score <= high)
    if rule == "hull" and estimand in ("att", "atc"):
        kept |= treated == (estimand == "atc")
    n_treated, n_control = int((kept & treated).sum()), int((kept & ~treated).sum())
    if not (n_treated and n_control):
        raise DesignError(
            f"some treated firms and some controls must lie on the common support; between scores {low:.3g} and {high:.3g} "
            f"(support: {rule}) there are {n_treated} of {treated.sum()} treated and {n_control} of {(~treated).sum()} controls. "
            "Compare the covariates of the arms; leave out the one that tells them apart, or take match.support: none"
        )
    return Support(kept, low, high)


def _limits(score: np.ndarray, treated: np.ndarray, rule: str, estimand: str) -> tuple[float, float]:
    one, other = score[treated], score[~treated]
    if rule == "minmax" or (rule == "hull" and estimand not in ("att", "atc")):
        return float(max(one.min(), other.min())), float(min(one.max(), other.max()))
    if rule == "hull":
        reach = other if estimand == "att" else one
        return float(reach.min()), float(reach.max())
    if rule == "crump":
        alpha = _crump(score)
        return alpha, 1.0 - alpha
    return -np.inf, np.inf


def _crump(score: np.ndarray) -> float:
    """The optimal α; 0 when nobody need leave."""
    with np.errstate(divide="ignore"):
        g = np.sort(1.0 / (score * (1.0 - score)))
    n = np.arange(1, len(g) + 1)
    mean = np.cumsum(g) / n
    if g[-1] <= 2 * mean[-1] < np.inf:
        return 0.0
    solves = (g <= 2 * mean) & (np.append(g[1:], np.inf) > 2 * mean)
    k = np.flatnonzero(solves)[np.argmin((mean / n)[solves])]
    return float(0.5 - np.sqrt(0.25 - 0.5 / mean[k]))


_ASKED = {"att": "treated firms", "atc": "controls", "ate": "firms", "ato": "firms"}


def support_note(before: tuple[int, int], after: tuple[int, int], rule: Rule, estimand: str) -> Note | None:
    """What trimming does to the question answered, in words; None when nobody left.

    Parameters
    ----------
    before, after : (int, int)
        Number of treated firms and of controls.
    rule : {"none", "minmax", "hull", "crump"}
    estimand : {"att", "atc", "ate", "ato"}

    Examples
    --------
    >>> print(support_note((287, 1213), (281, 1205), "minmax", "att"))  # doctest: +NORMALIZE_WHITESPACE
    common support (minmax): 6 of 287 treated firms and 8 of 1213 controls leave; the effect is now that on the 281 treated
    firms of 287 that have comparable controls, not on all 287
    """
    if tuple(before) == tuple(after):
        return None
    counts = {"att": (before[0], after[0]), "atc": (before[1], after[1])}
    total, stay = counts.get(estimand, (sum(before), sum(after)))
    values = {
        "rule": rule,
        "treated_out": before[0] - after[0],
        "treated": before[0],
        "controls_out": before[1] - after[1],
        "controls": before[1],
        "stay": stay,
        "total": total,
    }
    left = "common support ({rule}): {treated_out} of {treated} treated firms and {controls_out} of {controls} controls leave; "
    if stay == total:
        text = left + f"the effect is still that on all {{total}} {_ASKED[estimand]}"
        return Note(f"support_{estimand}_same", text, values)
    partner = {"att": "that have comparable controls", "atc": "that have comparable treated firms"}.get(
        estimand, "that the other side can be compared with"
    )
    text = left + f"the effect is now that on the {{stay}} {_ASKED[estimand]} of {{total}} {partner}, not on all {{total}}"
    return Note(f"support_{estimand}", text, values)
