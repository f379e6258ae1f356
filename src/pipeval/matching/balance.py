"""How alike the groups compared are, before and after matching; judged apart from how the match was made."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import pandas as pd
from scipy.special import stdtr

from ..errors import DataError, DesignError, some
from .design_matrix import require_columns
from .matched import MatchedSample, cohort_values
from .terms import DENOMINATORS, Arms, arms, is_binary, spreads, terms

NO_VARIANCE = 1e-20  # of the variance within sets: what is left is rounding
_SHORT = ["mean_treated", "mean_control", "smd"]


def balance_table(
    firms: pd.DataFrame,
    matched: MatchedSample | pd.Series,
    columns: Sequence[str] | None = None,
    *,
    squares: bool = False,
    interactions: bool = False,
) -> pd.DataFrame:
    """One row a covariate, before and after matching: how far the treated are from their controls.

    Parameters
    ----------
    firms : DataFrame
        Index `firm_id`, unique; `cohort`; the columns judged. Numbers as they stand, anything else as one indicator a level.
    matched : MatchedSample or Series
        The sample, or weights by `firm_id` or by `cohort, firm_id` (summed over cohorts); firms it does not name weigh 0.
    columns : sequence of str, optional
        What to judge: levels, pre-programme changes, anything in `firms`. By default the propensity score, then the
        covariates and exact variables of the match; with weights, every column but `cohort`.
    squares, interactions : bool
        Rows for the square `x^2` of each number that is not 0/1, and for the product `x*z` of every two terms (not of two levels
        of one factor; not of the score that stands there by default). One that is constant or repeats another row is left out.

    Returns
    -------
    DataFrame
        `covariate` (`column=level` for an indicator), `sample` (before, after), `mean_treated, mean_control, sd_treated, smd,
        variance_ratio, ks, ecdf_mean, ecdf_max, n_treated, n_control, ess_treated, ess_control, denominator, mean_difference,
        p_value`.

        `smd` is the difference of means over a standard deviation before matching, the same in both rows (NaN when it is 0);
        `denominator` says whose: `treated` for the effect on the treated, `control` for that on the controls, `pooled`,
        √((s₁² + s₀²)/2), for both. `sd_treated` is that of the treated before matching, √(p(1 − p)) for 0/1. `variance_ratio` is
        treated over control (NaN for 0/1). `ecdf_mean` and `ecdf_max` are the mean and the largest distance between the two
        distribution functions over the distinct values; `ks` is the Kolmogorov–Smirnov distance, the same number as `ecdf_max`;
        for 0/1 all three are the difference in means. Counts are firms with positive weight and the value observed; `ess` is
        Kish's effective sample size of those.

        `mean_difference` is treated less control, `p_value` its two-sided test: before, Welch's for unequal variances; after, with
        the weights as they are and a variance robust and clustered by the sample's `clusters` (matched sets, or firms), times
        G/(G − 1), against t(G − 1). **Do not choose a match by it**: a p-value falls with every firm added and rises with every
        firm dropped, so that a worse match may look better; `smd` depends on neither (Imai, King and Stuart 2008).

    Raises
    ------
    DesignError
        When a column does not exist, or holds dates or lists.
    DataError
        When a weight is missing or infinite, or none belongs to one of the firms. Negative weights, those of a regression, enter
        means alone.

    Notes
    -----
    "Before" is every treated and never-treated firm of `firms`, but for cohorts after the match's `until`. "After", a firm counts
    as the treated of its own cohort and as a control of any other. Weighted variances are Σw(x − x̄)² · Σw / ((Σw)² − Σw²). Firms
    missing the column leave its rows only.

    Examples
    --------
    >>> firms = pd.DataFrame({"cohort": [2004, 2004, np.inf, np.inf], "size": [3.0, 1.0, 2.0, 6.0]}, index=list("abcd"))
    >>> table = balance_table(firms, pd.Series(1.0, index=["a", "b", "c"]))
    >>> table.set_index("sample")["smd"].round(3).to_dict()
    {'before': -1.414, 'after': 0.0}
    """
    firms, matched, columns = as_matched(firms, matched, columns)
    firms, columns, apart = judged(firms, matched, columns)
    denominator = DENOMINATORS[matched.spec.estimand] if isinstance(matched, MatchedSample) else "treated"
    samples = arms(firms, matched)
    chosen = chain(terms(firms, apart), terms(firms, columns, squares=squares, interactions=interactions))
    rows = [row for term, x in chosen for row in _rows(term, x, samples, denominator)]
    return pd.DataFrame(rows)


def short_balance(table: pd.DataFrame) -> pd.DataFrame:
    """One row a covariate, for paper: the columns of a balance table that a reader asks for.

    Parameters
    ----------
    table : DataFrame
        From `balance_table`.

    Returns
    -------
    DataFrame
        `covariate, mean_treated_before, mean_control_before, smd_before, mean_treated_after, mean_control_after, smd_after,
        variance_ratio_after, ks_after, p_value_after`, in the order of the table.

    Examples
    --------
    >>> firms = pd.DataFrame({"cohort": [2004, 2004, np.inf, np.inf], "size": [3.0, 1.0, 2.0, 6.0]}, index=list("abcd"))
    >>> table = balance_table(firms, pd.Series(1.0, index=["a", "b", "c"]))
    >>> short_balance(table)[["covariate", "smd_before", "smd_after"]].round(2)
      covariate  smd_before  smd_after
    0      size       -1.41        0.0
    """
    parts = {"before": _SHORT, "after": [*_SHORT, "variance_ratio", "ks", "p_value"]}
    sides = [
        table[table["sample"] == sample].set_index("covariate")[columns].add_suffix(f"_{sample}")
        for sample, columns in parts.items()
    ]
    return pd.concat(sides, axis=1).rename_axis("covariate").reset_index()


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


def as_matched(
    firms: pd.DataFrame, matched: MatchedSample | pd.Series, columns: Sequence[str] | None
) -> tuple[pd.DataFrame, MatchedSample | pd.Series, Sequence[str] | None]:
    """After a match by cohort the firms cohort by cohort, as known the year before entry; otherwise all as it was handed over."""
    refuse_swapped(firms, matched)
    if not isinstance(matched, MatchedSample) or matched.values is None:
        return firms, matched, columns
    columns = [c for c in matched.spec.columns if c in matched.values] if columns is None else columns
    return *cohort_values(matched, firms), columns


def judged(
    firms: pd.DataFrame, matched: MatchedSample | pd.Series, columns: Sequence[str] | None
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The firms and columns a table of balance looks at, and, apart, the score that it adds by default."""
    apart = []
    if not isinstance(matched, MatchedSample):
        columns = [c for c in firms.columns if c != "cohort"] if columns is None else columns
    else:
        later = matched.unmatched.loc[matched.unmatched["reason"] == "later_cohort", "firm_id"]
        firms = firms[~firms.index.isin(later)] if len(later) else firms
        if columns is None:
            spec = matched.spec
            columns = dict.fromkeys([*spec.covariates, *spec.distance_covariates, *spec.exact])
            if len(matched.scores):
                scores = by_last(matched.scores).reindex(firms.index)
                firms, apart = firms.assign(propensity_score=scores.to_numpy()), ["propensity_score"]
    require_columns(firms, ["cohort", *columns], "the columns of a balance table")
    if not firms.index.is_unique:
        repeated = firms.index[firms.index.duplicated()].unique()
        raise DataError(f"each firm stands once in a balance table; repeated: {some(repeated)}. Keep one row of each")
    return firms, list(columns), apart


def refuse_swapped(firms: pd.DataFrame, matched: MatchedSample | pd.Series, weights: bool = True) -> None:
    """Raise unless `firms` is a table and `matched` a sample, or weights where those do."""
    if not isinstance(firms, pd.DataFrame) or not isinstance(matched, (MatchedSample, pd.Series) if weights else MatchedSample):
        raise DesignError(
            f"firms is a DataFrame and the sample a MatchedSample{', or weights as a Series' if weights else ''}; found "
            f"{type(firms).__name__} and {type(matched).__name__}. Hand each over in its own place; of a panel, its firms"
        )


def by_last(values: pd.Series) -> pd.Series:
    """By firm, where they are by cohort and firm: the mean over cohorts."""
    return values if values.index.nlevels == 1 else values.groupby(level=-1).mean()


def _by_firm(matched: MatchedSample | pd.Series) -> pd.Series:
    weights = matched.weights if isinstance(matched, MatchedSample) else matched
    return weights.groupby(level=-1).sum()


def _rows(term: str, x: np.ndarray, samples: dict[str, Arms], denominator: str) -> list[dict]:
    """The rows of one term, before and after; sorted once for both."""
    missing = np.isnan(x)
    if missing.any():
        samples = {name: pair.where(~missing) for name, pair in samples.items()}
    binary = is_binary(x)
    own = {name: (x[pair.treated.place], x[pair.control.place]) for name, pair in samples.items()}
    moments = {
        name: (pair.treated.own_moments(own[name][0]), pair.control.own_moments(own[name][1])) for name, pair in samples.items()
    }
    sd = spreads(x, *moments["before"])
    line = None if binary else _Line(x, len(x) - int(missing.sum()))
    rows = []
    for name, pair in samples.items():
        means, variances = zip(*moments[name], strict=True)
        gap = means[0] - means[1]
        ecdf = (abs(gap), abs(gap)) if binary else _ecdf_distance(line, own[name][0], pair)
        rows.append(
            {
                "covariate": term,
                "sample": name,
                "mean_treated": means[0],
                "mean_control": means[1],
                "sd_treated": sd["treated"],
                "smd": gap / sd[denominator] if sd[denominator] > 0 else np.nan,
                "variance_ratio": variances[0] / variances[1] if variances[1] > 0 and not binary else np.nan,
                "ks": ecdf[1],
                "ecdf_mean": ecdf[0],
                "ecdf_max": ecdf[1],
                "n_treated": pair.treated.n,
                "n_control": pair.control.n,
                "ess_treated": pair.treated.ess,
                "ess_control": pair.control.ess,
                "denominator": denominator,
                "mean_difference": gap,
                "p_value": _welch(gap, variances, pair) if name == "before" else _clustered(own[name], means, pair),
            }
        )
    return rows


class _Line:
    """The values of one term in order, and where each distinct one ends; missing values are none of them."""

    def __init__(self, x: np.ndarray, n: int):
        self.x, self.ordered = x, np.sort(x)[:n]  # missing values are sorted last
        ends = np.ones(n, bool)  # after the last firm of each value
        np.not_equal(self.ordered[1:], self.ordered[:-1], out=ends[:-1])
        self.ends = None if ends.all() else np.flatnonzero(ends)  # None: at every place

    def at_ends(self, values: np.ndarray) -> np.ndarray:
        return values if self.ends is None else values[self.ends]

    def counted(self) -> np.ndarray:
        """How many firms stand up to each end."""
        return np.arange(1, len(self.ordered) + 1) if self.ends is None else self.ends + 1


def _ecdf_distance(line: _Line, treated: np.ndarray, pair: Arms) -> tuple[float, float]:
    """Mean and maximum, over the distinct values, of the distance between the arms' weighted distribution functions."""
    n1, n0 = pair.treated.total, pair.control.total
    if not (n1 > 0 and n0 > 0):
        return np.nan, np.nan
    if pair.plain is not None:  # counts do, without looking weights up
        places = np.searchsorted(line.ordered, np.sort(treated))  # sorted: neighbours are looked up together
        distance = line.at_ends(np.cumsum(np.bincount(places, minlength=len(line.ordered)))) * (1 / n1 + 1 / n0)
        distance -= line.counted() / n0
    else:
        distance = line.at_ends(np.cumsum(_steps(line, pair.step)))
    np.abs(distance, out=distance)
    return float(distance.mean()), float(distance.max())


def _steps(line: _Line, step: np.ndarray) -> np.ndarray:
    """By place on the line: the step of the firms there; of equal values it stands at the first, or firm by firm."""
    x, n = line.x, len(line.ordered)
    moving = np.flatnonzero(step)
    if 4 * len(moving) < n:  # looking a few up is quicker than ordering all
        moving = moving[np.argsort(x[moving])]
        return np.bincount(np.searchsorted(line.ordered, x[moving]), weights=step[moving], minlength=n)
    return step[np.argsort(x)[:n]]


def _welch(gap: float, variances: Sequence[float], pair: Arms) -> float:
    """Two-sided p-value of a difference of means with unequal variances, degrees of freedom by Welch and Satterthwaite."""
    parts = [v / one.n for v, one in zip(variances, (pair.treated, pair.control)) if one.n > 1]
    total = sum(parts)
    if len(parts) < 2 or not total > 0:
        return np.nan
    df = total**2 / sum(part**2 / (one.n - 1) for part, one in zip(parts, (pair.treated, pair.control)))
    return _two_sided(gap, total, df)


def _clustered(own: tuple[np.ndarray, np.ndarray], means: tuple[float, float], pair: Arms) -> float:
    """Two-sided p-value of a weighted difference of means, its influence summed by cluster; `own`: the values of each arm."""
    if not (pair.treated.total > 0 and pair.control.total > 0):
        return np.nan
    influence, alone = [], 0.0
    for one, values, mean in zip((pair.treated, pair.control), own, means, strict=True):
        part = values - mean
        part *= one.weight / one.total
        alone += float(np.einsum("i,i", part, part))  # no matrix product: its threads wait for each other
        influence.append(part)
    sums = pair.by_cluster(*influence)
    sums *= sums
    groups, total = pair.groups, float(sums.sum())
    if groups < 2 or not total > NO_VARIANCE * alone:  # the firms of every set are equal but for rounding
        return np.nan
    total *= groups / (groups - 1)
    return _two_sided(means[0] - means[1], total, groups - 1)


def _two_sided(gap: float, variance: float, df: float) -> float:
    return float(2 * stdtr(df, -abs(gap) / np.sqrt(variance)))
