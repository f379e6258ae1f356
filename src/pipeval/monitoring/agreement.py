"""How far answers agree: those of many firms on one scale, and those of a few raters on many criteria."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd


def agreement(counts) -> float:
    """How united the answers on an ordered scale are: 1 all alike, 0 spread evenly, −1 half at either end.

    Parameters
    ----------
    counts
        Number of answers in each category, in order.

    Returns
    -------
    float
        NaN without an answer or with fewer than three categories.

    Notes
    -----
    van der Eijk (2001), "Measuring agreement in ordered rating scales", Quality & Quantity 35. The distribution is cut into layers,
    each of equal counts in the S categories that it holds. A layer has agreement U · (1 − (S − 1) / (K − 1)), where
    U = ((K − 2) · TU − (K − 1) · TDU) / ((K − 2) · (TU + TDU)) compares the triples of categories that look unimodal (110, 011)
    with those that do not (101). A weighs the layers by the answers they hold.

    Examples
    --------
    >>> agreement([0, 0, 9, 0, 0]), agreement([3, 3, 3, 3, 3]), agreement([5, 0, 0, 0, 5])
    (1.0, 0.0, -1.0)
    >>> round(agreement([30, 40, 210, 130, 530, 50, 10]), 4)
    0.6113
    """
    left = np.asarray(counts, dtype=float).copy()
    total, k = left.sum(), len(left)
    if k < 3 or not total > 0:
        return float("nan")
    found = 0.0
    while (held := left > 0).any():
        depth = left[held].min()
        found += depth * held.sum() / total * _layer(held)
        left = np.where(held, left - depth, 0.0)
    return float(found)


def _layer(held: np.ndarray) -> float:
    """Agreement of a layer from the categories that it holds."""
    k = len(held)
    triples = [tuple(held[list(three)]) for three in combinations(range(k), 3)]
    conforming = sum(three in ((True, True, False), (False, True, True)) for three in triples)
    deviating = triples.count((True, False, True))
    telling = conforming + deviating
    unimodal = ((k - 2) * conforming - (k - 1) * deviating) / ((k - 2) * telling) if telling else 1.0
    return unimodal * (1 - (held.sum() - 1) / (k - 1))


def krippendorff_alpha(ratings: pd.DataFrame) -> float:
    """Agreement of raters on ordered categories beyond chance: 1 perfect, 0 as by chance, below 0 systematic disagreement.

    Parameters
    ----------
    ratings : DataFrame
        One row a thing rated, one column a rater; missing where a rater gave no score. Things with one score are left out.

    Returns
    -------
    float
        NaN without two scores of one thing, or when every score is the same.

    Notes
    -----
    Krippendorff (2011), "Computing Krippendorff's alpha-reliability": 1 − (n − 1) Σ o_ck δ²_ck / Σ n_c n_k δ²_ck over the
    coincidences o_ck, with the ordinal metric δ_ck = Σ_{g=c..k} n_g − (n_c + n_k) / 2. He asks for 0.800; from 0.667 conclusions
    are tentative.

    Examples
    --------
    >>> krippendorff_alpha(pd.DataFrame({"a": [1, 2, 3, 4], "b": [1, 2, 3, 4]}))
    1.0
    """
    values = ratings.to_numpy(float)
    values = values[(~np.isnan(values)).sum(axis=1) >= 2] if values.size else values.reshape(0, 0)
    categories = np.unique(values[~np.isnan(values)])
    if len(categories) < 2:
        return float("nan")
    counts = (values[:, :, None] == categories).sum(axis=1).astype(float)  # things × categories
    shared = counts[:, :, None] * counts[:, None, :] - np.eye(len(categories)) * counts[:, :, None]
    coincidences = (shared / (counts.sum(axis=1) - 1)[:, None, None]).sum(axis=0)
    n_c = coincidences.sum(axis=1)
    rank = np.cumsum(n_c) - n_c / 2
    distance = (rank[:, None] - rank[None, :]) ** 2
    expected = (np.outer(n_c, n_c) * distance).sum()
    return float(1 - (n_c.sum() - 1) * (coincidences * distance).sum() / expected)
