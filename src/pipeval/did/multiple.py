"""Several outcomes, several claims: what may be said of all of them together, and what a single claim rules out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from ..data.panel import Panel
from ..errors import DataError, DesignError, Note, some, warn
from .effects import Effects
from .inference import cluster_codes, cluster_sums, covariance, multipliers

BLOCK = 4_000_000
"""Multipliers held in memory at once."""


def holm(p_values: pd.Series) -> pd.Series:
    """Holm's (1979) adjusted p-values: the chance of any false finding among them stays below the level; NaN stays NaN.

    >>> holm(pd.Series({"G1": 0.01, "G2": 0.04, "G3": 0.03})).round(2).to_dict()
    {'G1': 0.03, 'G2': 0.06, 'G3': 0.06}
    """
    known = p_values.dropna().sort_values(kind="stable")
    steps = np.arange(len(known), 0, -1)
    adjusted = pd.Series(np.minimum(np.maximum.accumulate(known.to_numpy() * steps), 1.0), index=known.index)
    return adjusted.reindex(p_values.index)


def sharpened_q(p_values: pd.Series) -> pd.Series:
    """Sharpened q-values: by hypothesis, the smallest expected share of false findings at which it counts as one; NaN stays NaN.

    Not Benjamini and Hochberg's: a first stage estimates how many hypotheses are true, and only those are paid for. A sharpened
    q-value can lie below its p-value when most hypotheses are rejected. At most 1.

    Notes
    -----
    Benjamini, Krieger and Yekutieli (2006), definition 6, as q-values by Anderson (2008), section 4.3, who searches a grid of
    thousandths; here exactly. With q′ = q/(1+q), stage one rejects the r hypotheses whose step-up value
    a_k = min over j ≥ k of m·p_j/j is at most q′, stage two those with a_k ≤ q′·m/(m − r). So hypothesis k falls at the
    smallest q′ = min over r ≥ 1 of max(a_r, a_k (m − r)/m), and q = q′/(1 − q′).

    Examples
    --------
    >>> sharpened_q(pd.Series([0.01, 0.02, 0.5])).round(4).tolist()
    [0.0309, 0.0309, 0.2]
    """
    known = p_values.dropna().sort_values(kind="stable")
    m = len(known)
    if m == 0:
        return p_values.astype(float)
    rank = np.arange(1, m + 1)
    step_up = np.minimum.accumulate((known.to_numpy(float) * m / rank)[::-1])[::-1]
    # hypotheses × first stages: one row of m at a time, so that memory stays linear
    least = np.array([np.maximum(step_up, a * (m - rank) / m).min() for a in step_up])
    with np.errstate(divide="ignore"):
        q = np.where(least < 0.5, least / (1 - np.minimum(least, 0.5)), 1.0)
    return pd.Series(q, index=known.index).reindex(p_values.index)


def romano_wolf(
    effects: Effects, draws: int = 999, seed: int = 20031121, one_sided: Sequence[float] | None = None, executor=None
) -> pd.Series:
    """By row of `effects`: the p-value adjusted for looking at all of them, which uses how they move together.

    Parameters
    ----------
    effects : Effects
        The family: rows of several outcomes or groups (`effects.joined`), over the same firms.
    draws, seed : int
        Of the multiplier bootstrap.
    one_sided : sequence of +1 or −1, optional
        By row, the direction that counts as a finding; by default either does.
    executor : concurrent.futures.Executor, optional
        Blocks of draws are spread over it; the numbers do not depend on how many workers it has.

    Returns
    -------
    Series
        Index as `effects.table`; NaN where a row has no standard error. The smallest possible value is 1/(1 + draws).

    Raises
    ------
    DesignError
        When `one_sided` has not one +1 or −1 a row.

    Notes
    -----
    Romano and Wolf (2005), step-down with the largest studentised statistic; p-values (1 + #)/(1 + draws) by Romano and Wolf
    (2016), equations 3.1–3.4. A draw multiplies the cluster sums of influence by random signs, the same for every row, and
    studentises anew: with T = Σ w_c s_c its error is the root of (Σ s_c² − T²/G)·G/(G − 1), so that few clusters give the
    heavy tails of t(G − 1). With two-way clusters the statistics are drawn as t, with the covariance of the rows and the
    fewest of their degrees of freedom.

    Examples
    --------
    >>> from pipeval import Panel, att_gt
    >>> rng = np.random.default_rng(1)
    >>> change = rng.normal(size=40) + np.repeat([1.0, 0.0], 20)
    >>> frame = pd.DataFrame({"firm": np.tile(np.arange(40), 2), "year": np.repeat([1, 2], 40)})
    >>> frame["start"] = np.where(frame["firm"] < 20, 2, 0)
    >>> frame["y"], frame["z"] = np.r_[np.zeros(40), change], np.r_[np.zeros(40), rng.normal(size=40)]
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y", "z"])
    >>> from pipeval.did.effects import joined
    >>> both = joined({name: att_gt(panel, name) for name in "yz"}, "outcome")
    >>> romano_wolf(both).round(3).tolist()
    [nan, 0.004, nan, 0.95]
    """
    table = effects.table
    sign = np.ones(len(table)) if one_sided is None else np.asarray(one_sided, float)
    if sign.shape != (len(table),) or not np.isin(sign, (-1.0, 1.0)).all():
        raise DesignError(f"one_sided holds +1 or −1 for each of the {len(table)} rows; found {some(sign, 'value')}")
    statistic = sign * table["statistic"].to_numpy(float)
    statistic = np.abs(statistic) if one_sided is None else statistic
    rows = np.flatnonzero(table["std_error"].notna())
    rows = rows[np.argsort(-statistic[rows], kind="stable")]
    adjusted = np.full(len(table), np.nan)
    if len(rows):
        codes = cluster_codes(effects.clusters, effects.firm_id)
        influence, member = effects.influence[:, rows] * sign[rows], effects.member[:, rows]
        if codes.ndim == 1:
            sums = cluster_sums(influence, codes)[cluster_sums(member.astype(float), codes).any(axis=1)]
            blocks = _blocks(draws, len(sums), seed)
            count = partial(_exceedances, sums, table["n_clusters"].to_numpy(float)[rows], statistic[rows], one_sided is not None)
            run = map if executor is None else executor.map
            exceeded = sum(run(count, *zip(*blocks, strict=True)))
        else:
            df = table["df"].to_numpy(float)[rows].min()
            t = _correlated(covariance(influence, codes, member), df, draws, seed)
            exceeded = _reached(t, statistic[rows], one_sided is not None)
        adjusted[rows] = np.maximum.accumulate((1 + exceeded) / (1 + draws))
    return pd.Series(adjusted, index=table.index, name="p_romano_wolf")


def _blocks(draws: int, n_clusters: int, seed: int) -> list[tuple[int, np.random.SeedSequence]]:
    """Draws and seed of each block, cut by the number of clusters and nothing else."""
    size = int(np.clip(BLOCK // max(n_clusters, 1), 1, draws))
    sizes = [size] * (draws // size) + ([draws % size] if draws % size else [])
    return list(zip(sizes, np.random.SeedSequence(seed).spawn(len(sizes)), strict=True))


def _exceedances(sums, n_clusters, statistic, one_sided: bool, draws: int, seed: np.random.SeedSequence) -> np.ndarray:
    """By row, in descending order of `statistic`: draws in which the largest of its own and the later rows reaches it."""
    total = multipliers(len(sums), draws, np.random.default_rng(seed)) @ sums
    left = np.maximum((sums**2).sum(axis=0) - total**2 / n_clusters, 0.0) * n_clusters / (n_clusters - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(left > 0, total / np.sqrt(left), np.sign(total) * np.inf)
    return _reached(t, statistic, one_sided)


def _reached(t: np.ndarray, statistic: np.ndarray, one_sided: bool) -> np.ndarray:
    largest = np.maximum.accumulate((t if one_sided else np.abs(t))[:, ::-1], axis=1)[:, ::-1]
    return (largest >= statistic).sum(axis=0)


def _correlated(variance: np.ndarray, df: float, draws: int, seed: int) -> np.ndarray:
    """Statistics (draws, rows) that are t(df), correlated as `variance` says: no signs of one set of clusters repeat two ways."""
    values, vectors = np.linalg.eigh(variance)
    root = vectors * np.sqrt(np.maximum(values, 0.0)) / np.sqrt(np.diag(variance))[:, None]
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((draws, len(values))) @ root.T
    return normal / np.sqrt(rng.chisquare(df, draws) / df)[:, None]


def summary_index(panel: Panel, outcomes: Mapping[str, int], base_period: int) -> Panel:
    """The panel with one more outcome, `index`: a mean of the standardised outcomes, for one test of all of them.

    Parameters
    ----------
    panel : Panel
    outcomes : mapping of outcome to +1 or −1
        −1 where less is better, so that a higher index is better throughout.
    base_period : int
        The period in which never-treated firms set the scale: each outcome less their mean then, over their standard deviation.

    Returns
    -------
    Panel
        `index` is in standard deviations of the weighted mean's parts. A firm-period without some of the outcomes averages those
        it has, with their weights; without any it is NaN.

    Raises
    ------
    DesignError
        When an outcome is not in the panel, a sign is neither +1 nor −1, or too few never-treated firms have all outcomes in the
        base period.
    DataError
        When an outcome does not vary among them, or outcomes repeat each other.

    Notes
    -----
    Anderson (2008), section 3.2: weights are the row sums of the inverse covariance matrix of the standardised outcomes, so
    that outcomes which say the same share their weight. Means, standard deviations and weights come from never-treated firms in
    the base period, before any effect, and count as known in what is estimated of the index. A negative weight (an outcome
    that moves less than one for one with others) is noted.

    Examples
    --------
    >>> frame = pd.DataFrame({"firm": list("abcd") * 2, "year": [1] * 4 + [2] * 4, "start": [2, 0, 0, 0] * 2})
    >>> frame["y"], frame["z"] = [1.0, 0, 1, 2, 3, 1, 2, 3], [5.0, 2, 0, 1, 5, 2, 2, 2]
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y", "z"])
    >>> summary_index(panel, {"y": 1, "z": -1}, 1).outcomes["index"].xs(2, level="period").abs().round(9).tolist()
    [1.0, 0.5, 0.0, 0.5]
    """
    names = list(outcomes)
    absent = [n for n in names if n not in panel.outcomes]
    if absent or not names:
        raise DesignError(
            f"an index is made of outcomes of the panel ({', '.join(panel.outcomes)}); not found: {some(absent, 'name')}"
        )
    signs = np.array([outcomes[n] for n in names], float)
    if not np.isin(signs, (-1.0, 1.0)).all():
        raise DesignError("the sign of an outcome in an index is +1 (more is better) or −1")
    values = panel.outcomes[names] * signs
    never = panel.firms.index[np.isinf(panel.firms["cohort"])]
    here = values[values.index.get_level_values("period") == base_period]
    here = here[here.index.get_level_values("firm_id").isin(never)].dropna()
    if len(here) < len(names) + 1:
        raise DesignError(
            f"never-treated firms with all {len(names)} outcomes in {base_period} set the index's scale; found {len(here)}, at "
            f"least {len(names) + 1} are needed. Choose another base_period or fewer outcomes"
        )
    spread = here.std()
    if not (spread > 1e-12 * here.abs().max()).all():
        raise DataError(
            f"every outcome of an index varies in {base_period}; constant: {some(spread.index[~(spread > 0)], 'outcome')}"
        )
    weights = _inverse_weights(np.corrcoef(here.to_numpy(), rowvar=False).reshape(len(names), -1), names)
    standard = ((values - here.mean()) / spread).to_numpy()
    seen = ~np.isnan(standard)
    total = seen @ weights
    index = np.full(len(values), np.nan)
    np.divide(np.where(seen, standard, 0.0) @ weights, total, out=index, where=total > 1e-12)
    return Panel(panel.firms, panel.outcomes.assign(index=index), panel.ledger)


def _inverse_weights(covariance: np.ndarray, names: list[str]) -> np.ndarray:
    """Row sums of the inverse, scaled to sum to 1."""
    if np.linalg.eigvalsh(covariance)[0] < 1e-10:
        raise DataError(
            f"outcomes of an index must not repeat each other; among {', '.join(names)} one is a sum or a copy of others"
        )
    weights = np.linalg.solve(covariance, np.ones(len(names)))
    weights = weights / weights.sum()
    if (weights < 0).any():
        against = [n for n, w in zip(names, weights, strict=True) if w < 0]
        warn(Note("negative_index_weight", "the index gives a negative weight to {names}", {"names": ", ".join(against)}))
    return weights


def ruled_out(
    estimate: float,
    std_error: float,
    df: float,
    target: float,
    direction: Literal["increase", "decrease"] = "increase",
    level: float = 0.95,
) -> dict[str, float | bool]:
    """Whether an effect as large as the target can be ruled out: `ruled_out, bound, p_value`.

    `bound` is the one-sided confidence bound towards the target: the largest effect in its direction that the data allow. `p_value`
    is that of "the effect is the target or beyond", t with `df` degrees of freedom. `target` is on the estimate's scale, its sign
    included: negative for a decrease. Half of the two one-sided tests of Schuirmann (1987): an estimate that is not significant
    says that nothing was found, this says how much was not there.

    >>> found = ruled_out(0.01, 0.03, np.inf, target=0.10)
    >>> found["ruled_out"], round(found["bound"], 4), round(found["p_value"], 5)
    (True, 0.0593, 0.00135)
    """
    sign = -1.0 if direction == "decrease" else 1.0
    better, bar = sign * estimate, sign * target
    bound = better + stats.t.ppf(level, df) * std_error
    return {
        "ruled_out": bool(bound < bar),
        "bound": float(sign * bound),
        "p_value": float(stats.t.cdf((better - bar) / std_error, df)),
    }
