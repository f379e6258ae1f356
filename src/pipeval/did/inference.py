"""From influence to uncertainty: cluster variances, simultaneous bands, the joint pre-trend test.

Every function reads influence normalised as in `effects`: estimate − truth ≈ Σᵢ ψᵢ, so that a variance is the sum over
clusters of squared cluster sums times G/(G−1), and tests use t(G−1), G the clusters that enter the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq

from ..errors import DesignError, Note, some

if TYPE_CHECKING:
    from .effects import Effects

FEW_CLUSTERS = 30
BLOCK = 250_000  # random signs held at a time: what a processor keeps near
SIGNS = 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) - 1.0  # eight signs for each value of a byte
NOT_APART = 1e-10  # smallest eigenvalue of the correlation of rows below which they repeat each other
NO_VARIANCE = 1e-12  # a standard error below this share of the estimate is rounding, not sampling


def cluster_sums(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Sums of rows within clusters: array (n_clusters, rows). `codes` number the clusters from 0."""
    count = int(codes.max()) + 1 if len(codes) else 0
    if count == len(codes):
        return values[np.argsort(codes)]
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(count))
    return np.add.reduceat(values[order], starts, axis=0)


def cluster_codes(labels: pd.Series | pd.DataFrame | None, firm_id: pd.Index) -> np.ndarray:
    """Whole numbers from 0, one a firm; a firm without a label is a cluster of its own.

    With two ways (a DataFrame of two columns) array (n, 3): the first, the second, and both together.

    Raises
    ------
    DesignError
        When no firm has a label, a firm has two, or labels have other than one or two columns.
    """
    if labels is None:
        return np.arange(len(firm_id))
    if isinstance(labels, pd.DataFrame):
        if labels.shape[1] != 2:
            raise DesignError(
                f"clusters go one way (a Series) or two (a DataFrame of two columns); found {labels.shape[1]} column(s)"
            )
        one, two = (cluster_codes(labels.iloc[:, j], firm_id) for j in (0, 1))
        both = np.unique(np.column_stack([one, two]), axis=0, return_inverse=True)[1].ravel()
        return np.column_stack([one, two, both])
    if not labels.index.is_unique:
        twice = labels.index[labels.index.duplicated()].unique()
        raise DesignError(f"a firm belongs to one cluster; {some(twice)} stand twice in the labels")
    mine = labels.reindex(firm_id)
    if mine.isna().all():
        raise DesignError("cluster labels are a Series by firm_id; none of its ids is a firm of these effects")
    codes = pd.factorize(mine)[0]
    alone = codes < 0
    codes[alone] = codes.max() + 1 + np.arange(alone.sum())
    return codes


def count_clusters(member: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Clusters with at least one firm in each row: array (rows,); of two ways the fewer."""
    if codes.ndim == 2:
        return np.minimum(*(count_clusters(member, codes[:, j]) for j in (0, 1)))
    return (cluster_sums(member.astype(float), codes) > 0).sum(axis=0)


def counting_clusters(member: np.ndarray, treated: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Clusters that count for the degrees of freedom of each row (arrays of bool, firms × rows): array (rows,).

    Those that enter; but where clusters hold several treated firms, a control that stands alone counts for none: it says nothing
    of how such clusters differ. Two ways, the fewer.
    """
    if codes.ndim == 2:
        return np.minimum(*(counting_clusters(member, treated, codes[:, k]) for k in range(2)))
    size, own = (cluster_sums(a.astype(float), codes) for a in (member, treated))
    grouped = (own > 1).any(axis=0)
    return np.where(grouped, ((own > 0) | (size > 1)).sum(axis=0), (size > 0).sum(axis=0))


def standard_errors(influence: np.ndarray, codes: np.ndarray, member: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors by row, and whether two ways had to be replaced by one.

    One way: √(Σ_c (Σ_{i in c} ψᵢ)² · G/(G−1)), NaN with fewer than three clusters (Liang and Zeger 1986). Two ways: V₁ + V₂ −
    V₁₂, each with its own G (Cameron, Gelbach and Miller 2011, equation 2.8); where that is not positive, the larger of V₁ and V₂.
    """
    if codes.ndim == 1:
        return np.sqrt(_variances(influence, codes, member)), np.zeros(influence.shape[1], bool)
    one, two, both = (_variances(influence, codes[:, j], member) for j in range(3))
    variance, largest = one + two - both, np.maximum(one, two)
    lost = (variance <= NO_VARIANCE * largest) & (largest > 0)
    return np.sqrt(np.where(lost, largest, variance)), lost


def _variances(influence: np.ndarray, codes: np.ndarray, member: np.ndarray) -> np.ndarray:
    return (cluster_sums(influence, codes) ** 2).sum(axis=0) * _factor(count_clusters(member, codes))


def _factor(n_clusters: np.ndarray) -> np.ndarray:
    """G/(G−1); NaN with fewer than three clusters."""
    return np.where(n_clusters > 2, n_clusters / np.maximum(n_clusters - 1, 1), np.nan)


def covariance(influence: np.ndarray, codes: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Array (rows, rows): the covariance of the rows, clustered one or two ways, with `standard_errors` squared on its diagonal.

    Two ways need not leave it positive; their negative eigenvalues are set to zero (Cameron, Gelbach and Miller 2011, section
    2.3), which moves the diagonal too.
    """
    if codes.ndim == 1:
        sums = cluster_sums(influence, codes) * np.sqrt(_factor(count_clusters(member, codes)))
        return sums.T @ sums
    one, two, both = (covariance(influence, codes[:, j], member) for j in range(3))
    values, vectors = np.linalg.eigh(one + two - both)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def intervals(estimate: np.ndarray, std_error: np.ndarray, df: np.ndarray, level: float) -> dict[str, np.ndarray]:
    """The tidy columns from `estimate` to `df`: t statistic, two-sided p, interval at `level`.

    A standard error that is only rounding becomes NaN: no variation is no evidence of certainty.
    """
    real = std_error > NO_VARIANCE * np.abs(estimate)
    std_error, df = np.where(real, std_error, np.nan), np.where(real, df, np.nan)
    statistic = estimate / std_error
    half = stats.t.ppf((1 + level) / 2, df) * std_error
    return {
        "estimate": estimate,
        "std_error": std_error,
        "statistic": statistic,
        "p_value": 2 * stats.t.sf(np.abs(statistic), df),
        "conf_low": estimate - half,
        "conf_high": estimate + half,
        "df": df,
    }


def few_clusters(n_clusters: np.ndarray) -> Note | None:
    """A note when inference rests on fewer than thirty clusters.

    Raises
    ------
    DesignError
        When every row has one or two clusters: one gives no variance, two give t(1), whose interval says nothing.
    """
    if n_clusters.size == 0:
        return None
    most = int(n_clusters.max())
    if most <= 2:
        what = (
            "one cluster gives no variance at all"
            if most == 1
            else "two clusters give t(1), an interval 6 times too wide to say anything"
        )
        raise DesignError(
            f"inference needs at least three clusters; found {most}: {what}. Cluster by firm (cluster: firm_id) or more finely"
        )
    fewest = int(n_clusters[n_clusters > 2].min())
    if fewest >= FEW_CLUSTERS:
        return None
    return fewer_than_thirty(fewest)


def fewer_than_thirty(n: int) -> Note:
    """The note on inference that rests on `n` clusters."""
    return Note(
        "few_clusters",
        "standard errors rest on as few as {n} clusters; tests use t({df}) and remain too optimistic when clusters differ in size",
        {"n": n, "df": n - 1},
    )


def multipliers(
    n_clusters: int, draws: int, seed: int | np.random.Generator, law: Literal["rademacher", "mammen"] = "rademacher"
) -> np.ndarray:
    """Array (draws, n_clusters) of independent multipliers with mean 0 and variance 1.

    Rademacher is ±1 with equal odds; Mammen (1993) matches the third moment too.
    """
    rng = np.random.default_rng(seed)
    if law == "rademacher":
        octets = -(-n_clusters // 8)
        drawn = np.frombuffer(rng.bytes(draws * octets), np.uint8)
        return np.take(SIGNS, drawn, axis=0).reshape(draws, 8 * octets)[:, :n_clusters]
    low, high = (1 - np.sqrt(5)) / 2, (1 + np.sqrt(5)) / 2
    return np.where(rng.random((draws, n_clusters)) < high / np.sqrt(5), low, high)


def critical_value(influence: np.ndarray, std_error: np.ndarray, codes: np.ndarray, level: float, draws: int, seed: int) -> float:
    """The sup-t critical value of simultaneous bands (Montiel Olea and Plagborg-Møller 2019) by the multiplier bootstrap.

    Cluster sums of the influence are multiplied by random signs; the value is the `level` quantile of the largest |t|
    over rows. Signs are drawn for some clusters at a time: memory does not grow with draws × clusters.
    """
    sums = cluster_sums(influence, codes)
    sums = sums[sums.any(axis=1)] / std_error
    rng, step = np.random.default_rng(seed), max(BLOCK // draws // 8, 1) * 8
    drawn = np.zeros((draws, sums.shape[1]))
    for start in range(0, len(sums), step):
        block = sums[start : start + step]
        drawn += multipliers(len(block), draws, rng) @ block
    return float(np.quantile(np.abs(drawn).max(axis=1), level, method="higher"))


def critical_value_normal(variance: np.ndarray, level: float, draws: int, seed: int) -> float:
    """The sup-t critical value of simultaneous bands for rows with this covariance (rows, rows), by normal draws.

    For two-way clusters, whose covariance no signs of one set of clusters repeat. Rows without variance do not count.
    """
    values, vectors = np.linalg.eigh(variance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    scale = np.sqrt(np.maximum(np.diag(variance), 0.0))
    rows = scale > 0
    normal = np.random.default_rng(seed).standard_normal((draws, len(values)))
    largest = np.abs(normal @ (root[rows] / scale[rows, None]).T).max(axis=1)
    return float(np.quantile(largest, level, method="higher"))


def pretrend_test(effects: Effects, power: float = 0.80, alpha: float = 0.05) -> pd.Series:
    """The joint test that every pre-programme row is zero, and how steep a trend it would have caught.

    Parameters
    ----------
    effects : Effects
        From `att_gt`, or its event-time aggregate: rows with `phase == "pre"`.
    power, alpha : float
        `detectable` is the slope that a test at `alpha` finds with probability `power`.

    Returns
    -------
    Series
        `statistic` (F = W/q), `df1` (q), `df2` (G − 1), `p_value`, `wald` (W), `detectable` (smallest linear violation of
        parallel trends per period, in units of the outcome, Roth 2022), `n_rows`, `reason` (why it is NaN; empty
        otherwise). A test that finds nothing shows parallel trends only as far as `detectable` is small beside the
        effect.

    Raises
    ------
    DesignError
        When `power` does not lie between `alpha` and 1.

    Notes
    -----
    W = b′V⁻¹b with V and G − 1 by `joint_covariance`. Under a trend of slope γ the rows have mean γ·span, so W is noncentral
    with γ²·span′V⁻¹span.
    """
    rows = np.flatnonzero((effects.table["phase"] == "pre") & effects.table["std_error"].notna())
    empty = {"statistic": np.nan, "df1": len(rows), "df2": np.nan, "p_value": np.nan, "wald": np.nan, "detectable": np.nan}
    if len(rows) == 0:
        return pd.Series({**empty, "n_rows": 0, "reason": "no period before the programme beside the base period"})
    variance, df2 = joint_covariance(effects, rows)
    if not apart(variance, df2):
        return pd.Series(
            {**empty, "n_rows": len(rows), "reason": f"{df2 + 1} clusters cannot tell {len(rows)} pre-programme rows apart"}
        )
    b = effects.table["estimate"].to_numpy()[rows]
    span = effects.table["span"].to_numpy(float)[rows]
    wald = float(b @ np.linalg.solve(variance, b))
    q = len(rows)
    per_slope = float(span @ np.linalg.solve(variance, span))
    found = {
        "statistic": wald / q,
        "df1": q,
        "df2": df2,
        "p_value": float(stats.f.sf(wald / q, q, df2)),
        "wald": wald,
        "detectable": float(np.sqrt(_noncentrality(q, df2, power, alpha) / per_slope)) if per_slope > 0 else np.nan,
    }
    return pd.Series({**found, "n_rows": q, "reason": ""})


def joint_covariance(effects: Effects, rows: np.ndarray) -> tuple[np.ndarray, int]:
    """What joint tests of some rows (positions) rest on: their covariance and the denominator degrees of freedom.

    These are the clusters that enter any of the rows, less one; where the table leaves out controls that stand alone
    (`Effects.clustered`), the fewest of its rows.
    """
    variance, groups = effects.covariance(rows)
    table = effects.table.iloc[rows]
    fewer = table["df"] < table["n_clusters"] - 1
    return variance, int(table["df"][fewer].min()) if fewer.any() else groups - 1


def apart(variance: np.ndarray, df: int) -> bool:
    """Whether rows can be told apart: none without variance or repeating others, and fewer of them than clusters."""
    scale = np.sqrt(np.diag(variance))
    if df < len(variance) or not (scale > 0).all():
        return False
    return bool(np.linalg.eigvalsh(variance / np.outer(scale, scale))[0] >= NOT_APART)


def _noncentrality(df1: int, df2: int, power: float, alpha: float) -> float:
    """The noncentrality at which an F test at `alpha` has this power."""
    if not alpha < power < 1:
        raise DesignError(f"a power lies between the size of the test, {alpha}, and 1; found {power}")
    critical = stats.f.isf(alpha, df1, df2)

    def short(nc):
        return stats.ncf.sf(critical, df1, df2, nc) - power

    most = 1.0
    while short(most) < 0:
        most *= 4
    return brentq(short, 0.0, most)
