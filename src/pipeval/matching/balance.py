"""How alike the groups compared are, before and after matching; judged apart from how the match was made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from .design_matrix import expand, require_columns
from .matched import MatchedSample


def balance_table(firms: pd.DataFrame, matched: MatchedSample | pd.Series, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """One row a covariate, before and after matching: how far the treated are from their controls.

    Parameters
    ----------
    firms : DataFrame
        Index `firm_id`; `cohort`; the columns judged. Numbers as they stand, anything else as one indicator a level.
    matched : MatchedSample or Series
        The sample, or weights by `firm_id` or by `cohort, firm_id` (summed over cohorts); firms it does not name weigh 0.
    columns : sequence of str, optional
        What to judge: levels, pre-programme changes, anything in `firms`. By default the propensity score, then the
        covariates and exact variables of the match; with weights, every column but `cohort`.

    Returns
    -------
    DataFrame
        `covariate` (`column=level` for an indicator), `sample` (before, after), `mean_treated, mean_control, sd_treated, smd,
        variance_ratio, ks, ecdf_mean, ecdf_max, n_treated, n_control, ess_treated, ess_control`.

        `sd_treated` is the standard deviation of the treated before matching, √(p(1 − p)) for 0/1, and the denominator of
        `smd` in both rows (NaN when it is 0). `variance_ratio` is treated over control (NaN for 0/1). `ecdf_mean` and
        `ecdf_max` are the mean and the largest distance between the two distribution functions over the distinct values;
        `ks` is the Kolmogorov–Smirnov distance, the same number as `ecdf_max`; for 0/1 all three are the difference in means.
        Counts are firms with positive weight and the value observed; `ess` is Kish's effective sample size of those.

    Raises
    ------
    DesignError
        When a column does not exist.

    Notes
    -----
    "Before" is every treated and never-treated firm of `firms`, but for cohorts after the match's `until`. Weighted variances
    are Σw(x − x̄)² · Σw / ((Σw)² − Σw²). Firms missing the column leave its rows only.

    Examples
    --------
    >>> firms = pd.DataFrame({"cohort": [2004, 2004, np.inf, np.inf], "size": [3.0, 1.0, 2.0, 6.0]}, index=list("abcd"))
    >>> table = balance_table(firms, pd.Series(1.0, index=["a", "b", "c"]))
    >>> table.set_index("sample")["smd"].round(3).to_dict()
    {'before': -1.414, 'after': 0.0}
    """
    firms, columns = _judged(firms, matched, columns)
    weights = _by_firm(matched).reindex(firms.index).fillna(0).to_numpy(float)
    treated = np.isfinite(firms["cohort"].to_numpy(float))
    matrix, terms, _ = expand(firms, columns)
    rows = []
    for term, x in zip(terms, matrix.T, strict=True):
        seen = ~np.isnan(x)
        x, d, after = x[seen], treated[seen], weights[seen]
        binary = bool(np.isin(x, (0.0, 1.0)).all())
        sd = _sd(x[d], binary)
        for sample, w in (("before", np.ones(len(x))), ("after", after)):
            rows.append({"covariate": term, "sample": sample} | _row(x, d, w, sd, binary))
    return pd.DataFrame(rows)


def effective_sample_size(weights: Sequence[float]) -> float:
    """How many equally weighted firms are worth as much as these: (Σw)² / Σw² (Kish 1965); NaN without any weight.

    >>> effective_sample_size([1, 1, 2])
    2.6666666666666665
    """
    w = np.asarray(weights, dtype=float)
    total = (w**2).sum()
    return float(w.sum() ** 2 / total) if total > 0 else np.nan


def overlap_table(
    scores: pd.Series, treated: Sequence[bool] | pd.Series, weights: pd.Series | None = None, bins: int = 20
) -> pd.DataFrame:
    """One row a bin of the score: how many treated and controls lie in it, so that the support can be seen.

    Parameters
    ----------
    scores : Series
        By `firm_id`; any scale.
    treated : sequence of bool or Series
        By position, or by `firm_id`.
    weights : Series, optional
        Matching weights by `firm_id` or `cohort, firm_id`; by default every control weighs 1.
    bins : int
        Bins of equal width between the lowest and the highest score; a bin holds its lower edge, the last both.

    Returns
    -------
    DataFrame
        `bin_low, bin_high, n_treated, n_control, weight_control`.

    Examples
    --------
    >>> scores = pd.Series([0.1, 0.2, 0.9], index=list("abc"))
    >>> overlap_table(scores, [True, False, False], bins=2)[["n_treated", "n_control"]].to_numpy().tolist()
    [[1, 1], [0, 1]]
    """
    scores = scores.dropna()
    if isinstance(treated, pd.Series):
        treated = treated.reindex(scores.index)
    d = np.asarray(treated, dtype=bool)
    w = np.ones(len(scores)) if weights is None else _by_firm(weights).reindex(scores.index).fillna(0).to_numpy(float)
    edges = np.linspace(scores.min(), scores.max(), bins + 1)
    place = np.clip(np.searchsorted(edges, scores.to_numpy(), side="right") - 1, 0, bins - 1)
    return pd.DataFrame(
        {
            "bin_low": edges[:-1],
            "bin_high": edges[1:],
            "n_treated": np.bincount(place[d], minlength=bins),
            "n_control": np.bincount(place[~d], minlength=bins),
            "weight_control": np.bincount(place[~d], weights=w[~d], minlength=bins),
        }
    )


def match_summary(sample: MatchedSample) -> pd.DataFrame:
    """One row a role and status: how many firms are matched, and how many are in no set for which reason.

    Columns `role` (treated, control), `status` (matched, or the reason), `n_firms`, and `ess`, the effective sample size of the
    matched firms' weights (NaN for the others).
    """
    sets = sample.sets.groupby(["role", "firm_id"])["weight"].sum()
    rows = []
    for role in ("treated", "control"):
        rows.append((role, "matched", len(sets[role]), effective_sample_size(sets[role])))
        left = sample.unmatched.loc[sample.unmatched["role"] == role, "reason"].value_counts().sort_index()
        rows += [(role, reason, int(n), np.nan) for reason, n in left.items()]
    return pd.DataFrame(rows, columns=["role", "status", "n_firms", "ess"])


def _judged(firms: pd.DataFrame, matched: MatchedSample | pd.Series, columns) -> tuple[pd.DataFrame, list[str]]:
    if not isinstance(matched, MatchedSample):
        columns = [c for c in firms.columns if c != "cohort"] if columns is None else columns
    else:
        later = matched.unmatched.loc[matched.unmatched["reason"] == "later_cohort", "firm_id"]
        firms = firms[~firms.index.isin(later)]
        if columns is None:
            firms = firms.assign(propensity_score=matched.scores)
            columns = ["propensity_score", *dict.fromkeys([*matched.spec.covariates, *matched.spec.exact])]
    require_columns(firms, ["cohort", *columns], "the columns of a balance table")
    return firms, list(columns)


def _by_firm(matched: MatchedSample | pd.Series) -> pd.Series:
    weights = matched.weights if isinstance(matched, MatchedSample) else matched
    return weights.groupby(level=-1).sum()


def _row(x: np.ndarray, d: np.ndarray, w: np.ndarray, sd: float, binary: bool) -> dict[str, float]:
    kept = w > 0
    mean = [_mean(x[arm], w[arm]) for arm in (d, ~d)]
    gap = mean[0] - mean[1]
    variances = [np.nan if binary else _variance(x[arm & kept], w[arm & kept]) for arm in (d, ~d)]
    ecdf = (abs(gap), abs(gap)) if binary else _ecdf_distance(x, d, w)
    return {
        "mean_treated": mean[0],
        "mean_control": mean[1],
        "sd_treated": sd,
        "smd": gap / sd if sd > 0 else np.nan,
        "variance_ratio": variances[0] / variances[1] if variances[1] > 0 else np.nan,
        "ks": ecdf[1],
        "ecdf_mean": ecdf[0],
        "ecdf_max": ecdf[1],
        "n_treated": int((d & kept).sum()),
        "n_control": int((~d & kept).sum()),
        "ess_treated": effective_sample_size(w[d]),
        "ess_control": effective_sample_size(w[~d]),
    }


def _mean(x: np.ndarray, w: np.ndarray) -> float:
    return float((w * x).sum() / w.sum()) if w.sum() > 0 else np.nan


def _sd(x: np.ndarray, binary: bool) -> float:
    if len(x) < 2:
        return np.nan
    return float(np.std(x) if binary else np.std(x, ddof=1))


def _variance(x: np.ndarray, w: np.ndarray) -> float:
    total = w.sum()
    freedom = total**2 - (w**2).sum()
    return float((w * (x - _mean(x, w)) ** 2).sum() * total / freedom) if len(x) > 1 and freedom > 0 else np.nan


def _ecdf_distance(x: np.ndarray, d: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Mean and maximum, over the distinct values of `x`, of the distance between the arms' weighted distribution functions."""
    totals = w[d].sum(), w[~d].sum()
    if not (totals[0] > 0 and totals[1] > 0):
        return np.nan, np.nan
    order = np.argsort(x, kind="stable")
    step = np.where(d, w / totals[0], -w / totals[1])[order]
    last = np.r_[np.diff(x[order]) != 0, True]  # after the last firm of each value
    distance = np.abs(np.cumsum(step)[last])
    return float(distance.mean()), float(distance.max())
