"""What firms of a cluster have in common, and what that does to the error of a difference between two arms."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .inference import cluster_codes, counting_clusters


def effective_number(weights: np.ndarray) -> float:
    """The number of equally weighted firms that would tell as much: (Σw)²/Σw² (Kish 1965).

    >>> effective_number(np.array([1.0, 1.0, 2.0]))
    2.6666666666666665
    """
    return float(weights.sum() ** 2 / (weights @ weights)) if weights.any() else 0.0


def intraclass(values: np.ndarray, groups: np.ndarray, blocks: np.ndarray | None = None) -> float:
    """The share of the variance of `values` that rows of one group have in common, at least 0; NaN when it cannot be told.

    One-way analysis of variance with groups of unequal size, each block (a pair of periods, a branch; by default one) from its own
    mean: (B − W)/(B + (n₀ − 1)W), B and W the mean squares between and within k groups in P blocks, on k − P and N − k degrees of
    freedom, n₀ = (N − Σ_b Σn²/N_b)/(k − P). NaN with as many blocks as groups, with no group of several rows, or without
    variation. A group that lies in several blocks counts as one in each.

    >>> round(intraclass(np.array([1.0, 2.0, 4.0, 5.0, 6.0]), np.array([0, 0, 1, 1, 1])), 4)
    0.8739
    """
    block = np.unique(np.zeros(len(values)) if blocks is None else blocks, return_inverse=True)[1].ravel()
    group = np.unique(groups, return_inverse=True)[1].ravel()
    codes = np.unique(block * (group.max(initial=0) + 1) + group, return_inverse=True)[1].ravel()
    size, rows = np.bincount(codes), np.bincount(block)
    n, k, df = len(codes), len(size), len(size) - len(rows)
    if df < 1 or n <= k:
        return float("nan")
    values = values - (np.bincount(block, values) / rows)[block]
    mean = np.bincount(codes, values) / size
    between = size @ mean**2 / df
    within = ((values - mean[codes]) ** 2).sum() / (n - k)
    typical = (n - (size[codes] / rows[block]).sum()) / df
    total = between + (typical - 1) * within
    return float(max((between - within) / total, 0.0)) if total > 0 else float("nan")


def clustered(
    labels: pd.Series | pd.DataFrame, enters: np.ndarray, changes: np.ndarray, arms: list[np.ndarray], variances: np.ndarray
) -> dict:
    """What clusters do to the error: `icc, mates, clusters`.

    `labels` and `enters` (bool) are of all firms; of those that enter are `changes` (pairs of periods × firms, NaN where a firm
    lacks an end), the weights of treated and control firms (`arms`) and the arms' variances.
    """
    codes = cluster_codes(labels, labels.index)[enters]
    treated, control = arms
    counting = counting_clusters(((treated > 0) | (control != 0))[:, None], (treated > 0)[:, None], codes)[0]
    known = (labels.to_frame() if isinstance(labels, pd.Series) else labels)[enters].notna().to_numpy()
    known = np.column_stack([known, known.all(axis=1)]) if known.shape[1] == 2 else known
    adds = np.array([v / effective_number(w) if w.any() else 0.0 for w, v in zip(arms, variances, strict=True)])
    icc, mates = np.transpose([
        _shared(code, inside & (treated > 0), changes, arms, adds)
        for code, inside in zip(codes.reshape(len(codes), -1).T, known.T, strict=True)
    ])  # fmt: skip
    wider = np.where(mates > 0, icc * mates, 0.0)
    if len(mates) == 3:  # firms met in either way, and what they share; never less than in one
        mates, wider = (max(v[0] + v[1] - np.nan_to_num(v[2]), v[0], v[1]) for v in (mates, wider))
        icc = np.array([min(wider / mates, 1.0) if mates > 0 else np.nan])
    return {"icc": float(icc[0]), "mates": float(np.ravel(mates)[0]), "clusters": float(counting)}


def _shared(
    code: np.ndarray, treated: np.ndarray, changes: np.ndarray, arms: list[np.ndarray], adds: np.ndarray
) -> tuple[float, float]:
    """What treated firms of a cluster have in common, and how many others a firm meets there: of the arms, by what each adds."""
    inside = treated & ~np.isnan(changes)
    place = np.nonzero(inside)
    met = [(np.bincount(code, w) ** 2).sum() / (w @ w) - 1 if w.any() else 0.0 for w in arms]
    mates = float(np.average(met, weights=adds)) if adds.any() else 0.0
    return intraclass(changes[inside], code[place[1]], place[0]), mates if mates > 1e-9 else 0.0
