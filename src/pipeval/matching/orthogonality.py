"""Whether the columns together still tell who was treated: one joint test before and one after matching."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from .balance import as_matched, judged
from .matched import MatchedSample
from .terms import Arms, arms, terms

DEPENDENT = 1e-7
"""A term is dropped when those before it leave less than this share of its (weighted) standard deviation unexplained."""


def orthogonality_table(
    firms: pd.DataFrame, matched: MatchedSample | pd.Series, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """One row a sample, before and after matching: do the columns together predict who was treated?

    Parameters
    ----------
    firms : DataFrame
        Index `firm_id`, unique; `cohort`; the columns.
    matched : MatchedSample or Series
        The sample, or weights by `firm_id` or by `cohort, firm_id`.
    columns : sequence of str, optional
        As in `balance_table`, without the score, which is made of the others.

    Returns
    -------
    DataFrame
        `sample` (before, after), `statistic` (F), `df` (terms tested), `df_resid`, `p_value`, `n_treated, n_control, n_clusters`,
        `dropped` (the terms left out because those before them imply them, joined by commas). NaN where there are fewer clusters
        than terms, or nothing left to test.

    Raises
    ------
    DesignError
        When a column does not exist.

    Notes
    -----
    Least squares of treatment on the terms with a constant and the weights of the sample; firms with a term missing leave. The
    covariance is robust and, after matching, clustered by the sample's `clusters` (matched sets, or firms), times G/(G − 1);
    F = b′V⁻¹b / k with k and G − 1 degrees of freedom. A term is left out when those before it leave less than 1e-7 of its standard
    deviation. The estimation of the weights themselves is not counted.

    The test describes; it does not choose. Its p-value grows as firms are dropped, and treatment and controls of a matched set are
    alike by construction, so that it rejects less often than its level after a good match (Imai, King and Stuart 2008; Hansen and
    Bowers 2008). Judge by `smd`.

    Examples
    --------
    >>> firms = pd.DataFrame({"cohort": [2004.0] * 3 + [np.inf] * 3, "size": [3.0, 1, 2, 2.5, 1, 6]}, index=list("abcdef"))
    >>> table = orthogonality_table(firms, pd.Series(1.0, index=["a", "b", "d", "e"]))
    >>> table[["sample", "df", "n_treated", "n_control"]].to_numpy().tolist()
    [['before', 1, 3, 3], ['after', 1, 2, 2]]
    """
    firms, matched, columns = as_matched(firms, matched, columns)
    firms, columns, _ = judged(firms, matched, columns)
    made = list(terms(firms, columns))
    names = [name for name, _ in made]
    matrix = np.empty((len(firms), len(made)), order="F")
    for j, (_, values) in enumerate(made):
        matrix[:, j] = values
    complete = ~np.isnan(matrix).any(axis=1)
    samples = {name: pair.where(complete) for name, pair in arms(firms, matched).items()}
    return pd.DataFrame([{"sample": name} | _joint(matrix, names, pair) for name, pair in samples.items()])


def orthogonality_test(firms: pd.DataFrame, matched: MatchedSample | pd.Series, columns: Sequence[str] | None = None) -> pd.Series:
    """The joint test of `orthogonality_table` as one series: `statistic_before, …, statistic_after, …`; read its cautions there.

    Examples
    --------
    >>> firms = pd.DataFrame({"cohort": [2004.0] * 3 + [np.inf] * 3, "size": [3.0, 1, 2, 2.5, 1, 6]}, index=list("abcdef"))
    >>> bool(orthogonality_test(firms, pd.Series(1.0, index=["a", "b", "d", "e"]))["p_value_after"] > 0.5)
    True
    """
    table = orthogonality_table(firms, matched, columns).set_index("sample")
    values = {f"{column}_{sample}": table.loc[sample, column] for sample in table.index for column in table.columns}
    return pd.Series(values, dtype=object)


def _joint(matrix: np.ndarray, names: list[str], pair: Arms) -> dict:
    place = np.r_[pair.treated.place, pair.control.place]
    w = np.r_[pair.treated.weight, pair.control.weight]
    d = np.r_[np.ones(len(pair.treated.place)), np.zeros(len(pair.control.place))]
    code, cluster = pd.factorize(pair.cluster[place])
    groups = len(cluster)
    found = {"statistic": np.nan, "df": 0, "df_resid": groups - 1, "p_value": np.nan}
    counts = {"n_treated": pair.treated.n, "n_control": pair.control.n, "n_clusters": groups}
    if not (pair.treated.total > 0 and pair.control.total > 0):
        return found | counts | {"dropped": ""}
    x = np.empty((len(place), len(names)), order="F")
    for j, column in enumerate(matrix.T):
        x[:, j] = column[place]
        x[:, j] -= (w * x[:, j]).sum() / w.sum()
    basis, kept = _independent(x, w)
    dropped = ", ".join(name for name, stays in zip(names, kept) if not stays)
    k = basis.shape[1]
    if 0 < k < groups:
        # the F statistic does not depend on the basis: b of the orthonormal one is its product with treatment
        b = basis.T @ (w * (d - (w @ d) / w.sum()))
        residual = d - (w @ d) / w.sum() - basis @ b
        scores = w * residual
        sums = np.column_stack([np.bincount(code, column * scores, minlength=groups) for column in basis.T])
        variance = sums.T @ sums * groups / (groups - 1)
        if np.linalg.matrix_rank(variance, hermitian=True) == k:
            f = float(b @ np.linalg.solve(variance, b)) / k
            found = {"statistic": f, "df": k, "df_resid": groups - 1, "p_value": float(fdtrc(k, groups - 1, f))}
    return found | {"df": k} | counts | {"dropped": dropped}


def _independent(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal columns under the weights (Σw·qq′ = I) spanning those of `x` (centred), and which of `x` they were made of."""
    basis, kept = np.empty((len(x), x.shape[1]), order="F"), np.zeros(x.shape[1], bool)
    for j in range(x.shape[1]):
        size = np.sqrt((w * x[:, j] ** 2).sum())
        left, made = x[:, j].copy(), basis[:, : kept.sum()]
        for _ in range(2):  # once more, for the rounding of the first
            left -= made @ (made.T @ (w * left))
        norm = np.sqrt((w * left**2).sum())
        if size > 0 and norm > DEPENDENT * size:
            basis[:, kept.sum()] = left / norm
            kept[j] = True
    return basis[:, : kept.sum()], kept
