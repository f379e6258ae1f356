"""Whole distributions beside each other, before and after matching: scores and covariates as tidy tables, ready to be drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..errors import DesignError
from .balance import by_last, judged
from .design_matrix import is_numeric, numbers
from .matched import MatchedSample
from .terms import Arm, Arms, arms

_KNOTS = 1024


def score_table(sample: MatchedSample) -> pd.DataFrame:
    """One row a firm with a score: its arm, whether it is matched, and its weight.

    Returns
    -------
    DataFrame
        `firm_id, arm` (treated, control), `status` (matched, unmatched), `score` (a probability; where firms are matched cohort by
        cohort and have several, their mean), `weight` (summed over sets and cohorts; 0 for the unmatched), in the order of
        `firm_id`. Empty where the match needed no score.

    Examples
    --------
    >>> from pipeval import MatchSpec, match
    >>> firms = pd.DataFrame(
    ...     {"cohort": [2004, 2004, np.inf, np.inf, np.inf], "size": [3.0, 1.0, 2.0, 1.1, 0.0]},
    ...     index=pd.Index(list("abcde"), name="firm_id"),
    ... )
    >>> score_table(match(firms, MatchSpec(covariates=("size",))))[["firm_id", "arm", "status"]].to_numpy().tolist()[2:]
    [['c', 'control', 'matched'], ['d', 'control', 'matched'], ['e', 'control', 'unmatched']]
    """
    scores = by_last(sample.scores).sort_index()
    weight = sample.sets.groupby("firm_id")["weight"].sum().reindex(scores.index)
    roles = pd.concat([sample.sets[["firm_id", "role"]], sample.unmatched[["firm_id", "role"]]])
    treated = scores.index.isin(roles.loc[roles["role"] == "treated", "firm_id"])
    return pd.DataFrame(
        {
            "firm_id": scores.index,
            "arm": np.where(treated, "treated", "control"),
            "status": np.where(weight.notna(), "matched", "unmatched"),
            "score": scores.to_numpy(float),
            "weight": weight.fillna(0.0).to_numpy(float),
        }
    )


def score_density_table(sample: MatchedSample, points: int = 200) -> pd.DataFrame:
    """One row a point of the score, sample and arm: the density of the score there.

    Parameters
    ----------
    sample : MatchedSample
    points : int
        Points between the lowest and the highest score, both included.

    Returns
    -------
    DataFrame
        `sample` (before, after), `arm` (treated, control), `score, density`. Before, each firm with a score weighs 1; after, as
        matched. An arm with fewer than two distinct scores has no rows.

    Notes
    -----
    A Gaussian kernel with Silverman's width, 0.9 · min(s, IQR/1.34) · n^(−1/5), n the effective sample size; mass that would spill
    over 0 or 1 is reflected, so that a curve covers an area of 1. Scores are gathered on 1,024 knots first.

    Examples
    --------
    >>> from pipeval import MatchSpec, match
    >>> firms = pd.DataFrame(
    ...     {"cohort": [2004, 2004, np.inf, np.inf, np.inf], "size": [3.0, 1.0, 2.0, 1.1, 0.0]},
    ...     index=pd.Index(list("abcde"), name="firm_id"),
    ... )
    >>> table = score_density_table(match(firms, MatchSpec(covariates=("size",))), points=5)
    >>> table.groupby(["sample", "arm"]).size().unique().tolist()
    [5]
    """
    table = score_table(sample)
    grid = np.linspace(table["score"].min(), table["score"].max(), points) if len(table) else np.empty(0)
    parts = []
    for name, weights in (("before", np.ones(len(table))), ("after", table["weight"].to_numpy())):
        for group in ("treated", "control"):
            inside = (table["arm"] == group).to_numpy() & (weights > 0)
            score, weight = table["score"].to_numpy()[inside], weights[inside]
            if len(score) and score.min() < score.max():
                density = _density(score, weight, grid)
                parts.append(pd.DataFrame({"sample": name, "arm": group, "score": grid, "density": density}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["sample", "arm", "score", "density"])


def ecdf_table(firms: pd.DataFrame, sample: MatchedSample | pd.Series, column: str, points: int = 400) -> pd.DataFrame:
    """One row a value, sample and arm: the share of firms whose value is not above it.

    Parameters
    ----------
    firms : DataFrame
        Index `firm_id`, unique; `cohort`; the column.
    sample : MatchedSample or Series
        The sample, or weights by `firm_id` or by `cohort, firm_id`.
    column : str
        A column of numbers.
    points : int
        With more distinct values than this, so many of them, evenly spread over their ranks. The shares are exact.

    Returns
    -------
    DataFrame
        `covariate, sample` (before, after), `arm` (treated, control), `value, share`.

    Raises
    ------
    DesignError
        When the column does not exist, does not hold numbers, or is missing for every firm.

    Examples
    --------
    >>> firms = pd.DataFrame({"cohort": [2004, 2004, np.inf, np.inf], "size": [3.0, 1.0, 2.0, 6.0]}, index=list("abcd"))
    >>> table = ecdf_table(firms, pd.Series(1.0, index=["a", "b", "c"]), "size")
    >>> table[(table["sample"] == "after") & (table["arm"] == "control")]["share"].tolist()
    [0.0, 1.0, 1.0, 1.0]
    """
    x, samples = _column(firms, sample, column)
    values = np.unique(x[~np.isnan(x)])
    if len(values) > points:
        values = values[np.linspace(0, len(values) - 1, points).round().astype(int)]
    parts = []
    for name, group, one in _each(samples):
        ordered, share = _distribution(x, one)
        below = np.r_[0.0, share][np.searchsorted(ordered, values, side="right")] if len(ordered) else np.full(len(values), np.nan)
        parts.append(pd.DataFrame({"covariate": column, "sample": name, "arm": group, "value": values, "share": below}))
    return pd.concat(parts, ignore_index=True)


def quantile_table(firms: pd.DataFrame, sample: MatchedSample | pd.Series, column: str, points: int = 99) -> pd.DataFrame:
    """One row a sample and level: the quantiles of the treated and of the controls, which agree where the distributions do.

    Parameters
    ----------
    firms, sample, column
        As in `ecdf_table`.
    points : int
        Levels 1/(points + 1), …, points/(points + 1).

    Returns
    -------
    DataFrame
        `covariate, sample` (before, after), `level, treated, control`: the smallest value that a share `level` of the weight does
        not exceed.

    Raises
    ------
    DesignError
        When the column does not exist, does not hold numbers, or is missing for every firm.

    Examples
    --------
    >>> firms = pd.DataFrame({"cohort": [2004, 2004, np.inf, np.inf], "size": [3.0, 1.0, 2.0, 6.0]}, index=list("abcd"))
    >>> quantile_table(firms, pd.Series(1.0, index=list("abc")), "size", points=1)[["treated", "control"]].to_numpy().tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    x, samples = _column(firms, sample, column)
    levels = np.arange(1, points + 1) / (points + 1)
    found = {}
    for name, group, one in _each(samples):
        ordered, share = _distribution(x, one)
        place = np.minimum(np.searchsorted(share, levels * (1 - 1e-12)), len(ordered) - 1)  # a share reached but for rounding
        found[name, group] = ordered[place] if len(ordered) else np.full(points, np.nan)
    parts = [
        pd.DataFrame(
            {
                "covariate": column,
                "sample": name,
                "level": levels,
                "treated": found[name, "treated"],
                "control": found[name, "control"],
            }
        )
        for name in samples
    ]
    return pd.concat(parts, ignore_index=True)


def _column(firms: pd.DataFrame, sample: MatchedSample | pd.Series, column: str) -> tuple[np.ndarray, dict[str, Arms]]:
    firms, _, _ = judged(firms, sample, [column])
    if not is_numeric(firms[column]):
        raise DesignError(
            f"a distribution is drawn of numbers; '{column}' holds {firms[column].dtype}. See its levels in balance_table"
        )
    x = numbers(firms[column])
    if np.isnan(x).all():
        raise DesignError(f"a distribution needs values; '{column}' is missing for all {len(x)} firms. Choose another column")
    return x, {name: pair.where(~np.isnan(x)) for name, pair in arms(firms, sample).items()}


def _each(samples: dict[str, Arms]):
    return (
        (name, group, one)
        for name, pair in samples.items()
        for group, one in (("treated", pair.treated), ("control", pair.control))
    )


def _distribution(x: np.ndarray, one: Arm) -> tuple[np.ndarray, np.ndarray]:
    """Values in order and the share of the weight up to each."""
    order = np.argsort(x[one.place], kind="stable")
    return x[one.place][order], np.cumsum(one.weight[order]) / one.total if len(order) else np.empty(0)


def _density(score: np.ndarray, weight: np.ndarray, grid: np.ndarray) -> np.ndarray:
    w = weight / weight.sum()
    order = np.argsort(score, kind="stable")
    quarter = score[order][np.minimum(np.searchsorted(np.cumsum(w[order]), [0.25, 0.75]), len(score) - 1)]
    sd = np.sqrt((w * (score - (w * score).sum()) ** 2).sum())
    size = 1 / (w**2).sum()
    width = 0.9 * min(s for s in (sd, np.diff(quarter)[0] / 1.34) if s > 0) * size**-0.2
    # each score is shared by the two knots it lies between, in proportion
    knots = np.linspace(score.min(), score.max(), _KNOTS)
    along = (score - knots[0]) / (knots[1] - knots[0])
    left = np.minimum(along.astype(int), _KNOTS - 2)
    mass = np.bincount(left, weights=w * (left + 1 - along), minlength=_KNOTS)
    mass += np.bincount(left + 1, weights=w * (along - left), minlength=_KNOTS)
    total = np.zeros(len(grid))
    for mirrored in (knots, -knots, 2 - knots):
        z = (grid[:, None] - mirrored[None, :]) / width
        total += np.exp(-0.5 * z**2) @ mass
    return total / (width * np.sqrt(2 * np.pi))
