"""Rosenbaum bounds: how far the odds of treatment within a matched set may differ before the effect is no longer shown.

Two firms of a set look alike in all that was measured; a confounder that nobody measured may still make one of them up to Γ times
as likely, in odds, to be the treated one. The regression counterpart is `confounder`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq

from ..errors import DesignError, EstimationError, Note, some, warn
from ..matching.matched import MatchedSample
from ..study.match_spec import PAIRS

GAMMAS = tuple(round(1 + step / 10, 1) for step in range(21))
EXACT_SETS = 25

Direction = Literal["increase", "decrease"]


def rosenbaum_bounds(difference: np.ndarray, gammas: Sequence[float] = GAMMAS, direction: Direction = "increase") -> pd.DataFrame:
    """One row a Γ: the least and the greatest p-value and Hodges–Lehmann estimate that a hidden bias of that size allows.

    Columns `gamma, p_low, p_high, hl_low, hl_high`. The p-values are one-sided, of Wilcoxon's signed-rank test of no effect against
    an effect in `direction`: average ranks, zeros dropped before ranking, exact for up to 25 differences and large-sample without
    continuity correction above. NaN when every difference is zero (p) or there is none (both). The estimates are order statistics
    of the n(n + 1)/2 Walsh averages of all differences, zeros included: Γ = 1 gives their median.

    The bounds are those of matched pairs. For sets with several firms on one side they hold if differences scatter symmetrically
    about the effect when there is no bias, as differences of logarithms about do.

    Parameters
    ----------
    difference : array (sets)
        Treated − mean of its controls; for a difference in differences, of their changes (see `set_differences`).
    gammas : sequence of float
        1 (no hidden bias) or more.
    direction : increase, decrease
        The effect that the programme seeks.

    Raises
    ------
    DesignError
        When a Γ is below 1 or not finite, or the direction is neither of the two.
    EstimationError
        When a difference is missing, infinite or no number.

    Notes
    -----
    Rosenbaum (2002), *Observational Studies*, 2nd ed., section 4.3: within a pair the probability that the firm with the greater
    outcome is the treated one lies between 1/(1 + Γ) and Γ/(1 + Γ). He lets zeros keep the lowest ranks and count for nothing;
    dropped, as here and in most software, they move p-values a little.

    Examples
    --------
    >>> rosenbaum_bounds([3.0, 1.0, 4.0, -1.5, 5.0, 9.0, 2.0], gammas=(1, 2)).round(4)
       gamma   p_low  p_high  hl_low  hl_high
    0    1.0  0.0234  0.0234     3.0      3.0
    1    2.0  0.0023  0.1171     2.0      4.0
    """
    sign, d = _direction(direction), _finite(difference)
    gammas = np.asarray(gammas, dtype=float)
    wrong = gammas[~(np.isfinite(gammas) & (gammas >= 1))]
    if len(wrong):
        raise DesignError(f"every gamma must be a finite number of at least 1; found {some(wrong, 'value')}. 1 is no hidden bias")
    twice_ranks, positive = _signed_ranks(sign * d)
    x = np.sort(d)
    rows = []
    for gamma in gammas:
        p_low, p_high = (_p_value(twice_ranks, positive, p) for p in (1 / (1 + gamma), gamma / (1 + gamma)))
        rows.append((gamma, p_low, p_high, _hodges_lehmann(x, gamma / (1 + gamma)), _hodges_lehmann(x, 1 / (1 + gamma))))
    return pd.DataFrame(rows, columns=["gamma", "p_low", "p_high", "hl_low", "hl_high"], dtype=float)


def breaking_gamma(difference: np.ndarray, direction: Direction = "increase", level: float = 0.95) -> dict:
    """The hidden bias at which the effect stops being significant: the smallest Γ whose greatest p-value exceeds 1 − `level`.

    Keys `gamma`, `p_value` (one-sided, at Γ = 1), `n_sets` (differences that are not zero) and `reason` (why `gamma` is NaN:
    not_significant, no_difference; None otherwise).

    Raises
    ------
    DesignError
        When the direction or the level is not one.
    EstimationError
        When a difference is missing or infinite.

    Examples
    --------
    >>> found = breaking_gamma([3.0, 1.0, 4.0, -1.5, 5.0, 9.0, 2.0])
    >>> round(found["gamma"], 3), found["reason"]
    (1.336, None)
    """
    if not 0 < level < 1:
        raise DesignError(f"level must lie between 0 and 1; found {level:g}. 0.95 is usual")
    twice_ranks, positive = _signed_ranks(_direction(direction) * _finite(difference))
    alpha = 1 - level
    p_value = _p_value(twice_ranks, positive, 0.5)
    found = {"gamma": np.nan, "p_value": p_value, "n_sets": len(twice_ranks), "reason": None}
    if len(twice_ranks) == 0:
        return found | {"reason": "no_difference"}
    if p_value > alpha:
        return found | {"reason": "not_significant"}

    def excess(log_gamma: float) -> float:
        return _p_value(twice_ranks, positive, 1 / (1 + np.exp(-log_gamma))) - alpha

    # a greater Γ always raises the bound, to one half or more
    high = 1.0
    while excess(high) <= 0:
        high *= 2
    return found | {"gamma": float(np.exp(brentq(excess, 0.0, high, xtol=1e-12)))}


def set_differences(sample: MatchedSample, change: pd.Series) -> tuple[pd.Series, tuple[Note, ...]]:
    """By `set_id`: the weighted mean change of its observed treated firms minus that of its observed controls, with what to know.

    A set with nobody observed on one side leaves, with a note of how many did; another note counts the sets with several firms
    on one side, for which the bounds are approximate.

    Parameters
    ----------
    sample : MatchedSample
        Of pairs or full matching.
    change : Series
        Change of the outcome from before to after, NaN where not observed: by `firm_id`, or by `cohort, firm_id` when entry
        cohorts are measured over different years.

    Raises
    ------
    DesignError
        When the method makes no sets, a firm is in several of them (their differences are not independent) or has two changes,
        or no set is observed on both sides.
    EstimationError
        When a change is infinite.
    """
    sets = _own_sets(sample)
    columns = ["firm_id"] if change.index.nlevels == 1 else ["cohort", "firm_id"]
    repeated = change.index[change.index.duplicated()]
    if len(repeated):
        raise DesignError(
            f"a firm must have one change; repeated: {some(repeated, 'row')}. Give one row for each {' and '.join(columns)}"
        )
    keys = sets["firm_id"] if len(columns) == 1 else pd.MultiIndex.from_frame(sets[columns])
    y = change.reindex(keys).to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(y).any():
        firms = sets["firm_id"][np.isinf(y)]
        raise EstimationError(f"changes must be finite or missing; infinite for {some(firms)}: a logarithm of zero? set it missing")
    seen = ~np.isnan(y)
    rows = sets[seen].assign(total=sets["weight"][seen] * y[seen])
    sums = rows.groupby(["set_id", "role"])[["total", "weight"]].sum()
    means = (sums["total"] / sums["weight"]).unstack("role").reindex(columns=["treated", "control"])
    difference = (means["treated"] - means["control"]).dropna().rename("difference")
    n_sets, left = sets["set_id"].nunique(), len(difference)
    if not left:
        raise DesignError(
            f"a set needs a treated firm and a control with an observed change; none of {n_sets} sets has both. Take other years"
        )
    kept = rows[rows["set_id"].isin(difference.index)].drop_duplicates(["set_id", "firm_id"])
    several = int((kept.groupby("set_id").size() > 2).sum())
    return difference, _set_notes(n_sets, n_sets - left, several)


def _signed_ranks(d: np.ndarray) -> tuple[np.ndarray, int]:
    """Twice the average ranks of |d| without zeros, which are whole numbers, and their sum over d > 0."""
    d = d[d != 0]
    twice = np.rint(2 * stats.rankdata(np.abs(d))).astype(int)
    return twice, int(twice[d > 0].sum())


def _p_value(twice_ranks: np.ndarray, positive: int, p: float) -> float:
    """P(T ≥ t) of the signed-rank statistic when each difference is positive with probability `p`."""
    if len(twice_ranks) == 0:
        return np.nan
    if len(twice_ranks) > EXACT_SETS:
        spread = np.sqrt(p * (1 - p) * (twice_ranks.astype(float) ** 2).sum())
        return float(stats.norm.sf((positive - p * twice_ranks.sum()) / spread))
    chance = np.zeros(int(twice_ranks.sum()) + 1)
    chance[0] = 1.0
    for rank in twice_ranks:
        stays = (1 - p) * chance
        stays[rank:] += p * chance[:-rank]
        chance = stays
    return min(float(chance[positive:].sum()), 1.0)


def _hodges_lehmann(x: np.ndarray, share: float) -> float:
    """The shift at which the signed-rank statistic of x − shift equals `share` of its greatest value; `x` sorted.

    The statistic counts the Walsh averages above the shift, so the solution is one of them, or the mean of two neighbours where a
    whole interval solves it.
    """
    if len(x) == 0:
        return np.nan
    n_averages = len(x) * (len(x) + 1) // 2
    count = share * n_averages
    whole = round(count)
    if abs(count - whole) > 1e-9 + 1e-15 * n_averages:  # a share such as 0.6 is not exact
        return _greatest_sum(x, int(np.ceil(count))) / 2
    return (_greatest_sum(x, max(whole, 1)) + _greatest_sum(x, min(whole + 1, n_averages))) / 4


def _greatest_sum(x: np.ndarray, k: int) -> float:
    """The k-th greatest of the sums x_i + x_j, i ≤ j, of sorted `x`: bisection on their count, O(n log n) a step, O(n) memory."""
    n, i = len(x), np.arange(len(x))
    # by i, the sums with j in [start, stop) are still candidates; those beyond are greater than the one sought
    start, stop = i, np.full(n, n)
    while (stop - start).sum() > 2 * n:
        some_left = stop > start
        least = (x[some_left] + x[start[some_left]]).min()
        greatest = (x[some_left] + x[stop[some_left] - 1]).max()
        above = np.clip(np.searchsorted(x, least + (greatest - least) / 2 - x, side="right"), start, stop)
        before = start, stop
        start, stop = (above, stop) if (n - above).sum() >= k else (start, above)
        if (start == before[0]).all() and (stop == before[1]).all():  # ties, or neighbours that rounding cannot tell apart
            return float(greatest)
    width = stop - start
    left = np.repeat(i, width)
    right = np.arange(len(left)) - np.repeat(np.cumsum(width) - width - start, width)
    sums = x[left] + x[right]
    place = len(sums) - (k - int((n - stop).sum()))
    return float(np.partition(sums, place)[place])


def _own_sets(sample: MatchedSample) -> pd.DataFrame:
    """The sets of a match that makes them, each firm in one set only."""
    method = sample.spec.method
    if method not in (*PAIRS, "full"):
        raise DesignError(
            f"differences by set need sets of one firm with its partners; method: {method} makes none. "
            "Use regression_strength, or match with optimal, nearest or full"
        )
    member = sample.sets[["set_id", "firm_id"]].drop_duplicates()
    shared = member.loc[member["firm_id"].duplicated(), "firm_id"].unique()
    if len(shared):
        raise DesignError(
            f"a firm may be in one set only, or the differences are not independent; in several: {some(shared)}. "
            "Match without replacement, or use regression_strength"
        )
    return sample.sets


def _set_notes(n_sets: int, left: int, several: int) -> tuple[Note, ...]:
    notes = []
    if left:
        text = "{left} of {n_sets} matched sets have no observed difference and leave the bounds of hidden bias"
        notes.append(warn(Note("sets_unobserved", text, {"left": left, "n_sets": n_sets})))
    if several:
        text = (
            "{several} of {kept} matched sets have several firms on one side; the bounds of hidden bias take their differences "
            "as symmetric about the effect"
        )
        notes.append(warn(Note("sets_of_several", text, {"several": several, "kept": n_sets - left})))
    return tuple(notes)


def _finite(difference: np.ndarray) -> np.ndarray:
    try:
        d = np.asarray(difference, dtype=float)
    except (TypeError, ValueError):
        raise EstimationError("differences must be numbers, one a set; found something else. See set_differences") from None
    wrong = np.flatnonzero(~np.isfinite(d))
    if len(wrong):
        raise EstimationError(
            f"differences must be finite; found {some(wrong, 'position')} missing or infinite. Leave those sets out"
        )
    return d


def _direction(direction: str) -> float:
    if direction not in ("increase", "decrease"):
        raise DesignError(f"direction must be increase or decrease; found '{direction}'")
    return -1.0 if direction == "decrease" else 1.0
