"""How strong a confounder that nobody measured must be to change a regression, with the measured covariates as benchmarks.

Strength is partial R²: the share of what the covariates leave of the treatment, and of the outcome, that the confounder explains
(Cinelli and Hazlett 2020). The counterpart for matched sets is `hidden_bias`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats
from scipy.linalg import qr

from ..errors import DesignError, EstimationError, Note, some, warn
from ..matching.design_matrix import expand, require_columns


def confounder_strength(estimate: float, std_error: float, df: float, q: float = 1.0, level: float = 0.95) -> pd.Series:
    """How strong a confounder of a linear regression must be, from the coefficient, its standard error and degrees of freedom.

    Entries `estimate, std_error, df, statistic`; `partial_r2`, of the treatment with the outcome: what a confounder that explains
    all the rest of the outcome must explain of the treatment to take the estimate away; `robustness_value`: what one must explain
    of both to take away the share `q` of it; `robustness_value_significance`: what one must explain of both for the interval of
    `level` to include (1 − q) of the estimate, 0 when it does already.

    The standard error must be the homoskedastic one of least squares: R² has no clustered form.

    Raises
    ------
    DesignError
        When `q` or `level` is out of range.
    EstimationError
        When the estimate is not finite, its standard error not positive, or the degrees of freedom below 2.

    Notes
    -----
    Cinelli and Hazlett (2020), J. R. Statist. Soc. B 82, section 4: f = |t|/√df, RV = ½(√(f⁴ + 4f²) − f²) of q·f, and of q·f − f*
    with f* = t*/√(df − 1) and t* the quantile of t(df − 1). Where q·f·f* > 1 a confounder that is weaker in the outcome than in
    the treatment does more harm, and the value is (q²f² − f*²)/(1 + q²f²), the least of both at which the interval can include it.

    Examples
    --------
    The example of the paper (harm and attitudes to peace in Darfur):

    >>> confounder_strength(0.0973158, 0.0232565, 783)[["partial_r2", "robustness_value", "robustness_value_significance"]].round(4)
    partial_r2                       0.0219
    robustness_value                 0.1388
    robustness_value_significance    0.0763
    dtype: float64
    """
    level = _share(level, "level")
    if not (np.isfinite(q) and q > 0):
        raise DesignError(f"q, the share of the estimate to be explained away, must be positive; found {q:g}. 1 is all of it")
    if not (np.isfinite(estimate) and np.isfinite(std_error) and std_error > 0 and df >= 2):
        raise EstimationError(
            "a confounder is measured against a finite estimate with a positive standard error and at least 2 degrees of freedom; "
            f"found {estimate:g}, {std_error:g} and {df:g}. Compare more firms or fewer covariates"
        )
    statistic = estimate / std_error
    f = q * abs(statistic) / np.sqrt(df)
    critical = stats.t.ppf(0.5 + level / 2, df - 1) / np.sqrt(df - 1)
    loses = 0.0
    if f > critical:
        loses = (f**2 - critical**2) / (1 + f**2) if f * critical > 1 else _robustness(f - critical)
    return pd.Series(
        {
            "estimate": estimate,
            "std_error": std_error,
            "df": df,
            "statistic": statistic,
            "partial_r2": statistic**2 / (statistic**2 + df),
            "robustness_value": _robustness(f),
            "robustness_value_significance": loses,
        },
        dtype=float,
    )


def benchmark_bounds(
    y: np.ndarray,
    d: np.ndarray,
    x: pd.DataFrame,
    benchmarks: Sequence[str] | Mapping[str, Sequence[str]],
    multiples: Sequence[float] = (1, 2, 3),
    level: float = 0.95,
) -> pd.DataFrame:
    """One row a benchmark and multiple k: the estimate left by a confounder up to k times as strong as that covariate.

    Columns `covariate, multiple`; `r2dz_x` and `r2yz_dx`, partial R² of the confounder with the treatment given the covariates, and
    with the outcome given treatment and covariates (1 at most); `estimate, std_error, conf_low, conf_high`, adjusted for it in the
    direction that brings the estimate towards zero and past it, with df − 1 degrees of freedom. NaN where no confounder can be so
    strong. Ordinary least squares of `y` on a constant, `d` and `x` with homoskedastic standard errors, as in the paper.

    Parameters
    ----------
    y, d : arrays (firms)
        Outcome and treatment, finite.
    x : DataFrame (firms × columns)
        Covariates as finite numbers, no constant.
    benchmarks : sequence or mapping
        Columns of `x`; or name → columns that count as one covariate (the indicators of a category).
    multiples : sequence of float
        k, for treatment and outcome alike; positive.

    Raises
    ------
    DesignError
        When a benchmark is not a column of `x`, or a multiple is not positive.
    EstimationError
        When a value is not finite, columns are collinear (named), the outcome is fitted without error, or fewer than 2 degrees
        of freedom are left.

    Notes
    -----
    Cinelli and Hazlett (2020), section 4. With R_D, R_Y the benchmark's own partial R² with treatment and outcome:
    r2dz_x = k R_D/(1 − R_D), η = k R_D²/((1 − k R_D)(1 − R_D)), r2yz_dx = ((√k + √η)/√(1 − η))² R_Y/(1 − R_Y).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> size = rng.normal(size=200)
    >>> d = (size + rng.normal(size=200) > 0).astype(float)
    >>> y = d + 0.2 * size + rng.normal(size=200)
    >>> bounds = benchmark_bounds(y, d, pd.DataFrame({"size": size}), ["size"], multiples=(0.5, 1))
    >>> bounds[["covariate", "multiple", "r2dz_x", "r2yz_dx"]].round(3)
      covariate  multiple  r2dz_x  r2yz_dx
    0      size       0.5   0.225    0.039
    1      size       1.0   0.450    0.094
    """
    groups = dict(benchmarks) if isinstance(benchmarks, Mapping) else {name: [name] for name in benchmarks}
    for columns in groups.values():
        require_columns(x, columns, "benchmarks")
    level, multiples = _share(level, "level"), np.asarray(multiples, dtype=float)
    wrong = multiples[~(np.isfinite(multiples) & (multiples > 0))]
    if len(wrong):
        raise DesignError(f"multiples must be positive; found {some(wrong, 'value')}. 1 is as strong as the benchmark")
    triangle, df = _triangle(y, d, x)
    estimate, std_error = _coefficient(triangle, df)
    rows = []
    for name, columns in groups.items():
        members = x.columns.isin(columns)
        kept = np.r_[True, ~members]  # the constant first
        r2d = _partial_r2(triangle[:, :-1], kept)
        r2y = _partial_r2(triangle, np.r_[kept, True])
        for k in multiples:
            r2dz, r2yz = _confounder(r2d, r2y, k)
            rows.append((name, k, r2dz, r2yz, *_adjusted(estimate, std_error, df, r2dz, r2yz, level)))
    names = ["covariate", "multiple", "r2dz_x", "r2yz_dx", "estimate", "std_error", "conf_low", "conf_high"]
    return pd.DataFrame(rows, columns=names)


def regression_strength(
    change: pd.Series, treated: pd.Series, covariates: pd.DataFrame, multiples: Sequence[float] = (1, 2, 3), level: float = 0.95
) -> pd.DataFrame:
    """How strong a confounder of a regression difference in differences must be, with each covariate as a benchmark.

    Least squares of the change on a constant, the treatment and the covariates; a category is one benchmark, its indicators
    together. First row: `covariate` missing, `multiple` 0, the estimate as it stands with `partial_r2, robustness_value,
    robustness_value_significance` (see `confounder_strength`; NaN below). Then one row a covariate and multiple: `covariate,
    multiple, r2_treatment, r2_outcome, estimate, std_error, conf_low, conf_high` (see `benchmark_bounds`). Homoskedastic standard
    errors, which are not those of the headline.

    Parameters
    ----------
    change, treated : Series by firm_id
        Change of the outcome, and whether the firm is treated (false, true or 0, 1). Firms of `change` that miss any of the three
        leave, with a note.
    covariates : DataFrame by firm_id
        Numbers stand as they are, any other column becomes indicators without the first level.
    multiples : sequence of float
    level : float

    Raises
    ------
    DesignError
        When `treated` is not 0 or 1, or one arm is empty.
    EstimationError
        As `benchmark_bounds`.
    """
    y, d, x = _complete(change, treated, covariates)
    matrix, terms, sources = expand(x, list(x.columns), drop_first=True)
    design = pd.DataFrame(matrix, index=x.index, columns=terms)
    groups = {name: [t for t, s in zip(terms, sources) if s == name] for name in dict.fromkeys(sources)}
    triangle, df = _triangle(y, d, design)
    first = confounder_strength(*_coefficient(triangle, df), df, level=level)
    half = stats.t.ppf(0.5 + level / 2, df) * first["std_error"]
    whole = {
        "covariate": None,
        "multiple": 0.0,
        "r2_treatment": 0.0,
        "r2_outcome": 0.0,
        "conf_low": first["estimate"] - half,
        "conf_high": first["estimate"] + half,
    }
    bounds = benchmark_bounds(y, d, design, groups, multiples, level)
    bounds = bounds.rename(columns={"r2dz_x": "r2_treatment", "r2yz_dx": "r2_outcome"})
    columns = [*bounds.columns, "partial_r2", "robustness_value", "robustness_value_significance"]
    table = pd.DataFrame([whole | first.drop(["df", "statistic"]).to_dict(), *bounds.to_dict("records")], columns=columns)
    return table.astype({"covariate": "str"})


def _robustness(f: float) -> float:
    """The R² with treatment and with outcome that together take away an effect of Cohen's `f`; f²-form that does not cancel."""
    return float(2 * f / (np.sqrt(f**2 + 4) + f)) if f else 0.0


def _triangle(y: np.ndarray, d: np.ndarray, x: pd.DataFrame) -> tuple[np.ndarray, int]:
    """The triangular factor of [1, x, d, y], from which every regression among them is read, and the degrees of freedom."""
    columns = [np.ones(len(x)), *x.to_numpy(dtype=float).T, np.asarray(d, dtype=float), np.asarray(y, dtype=float)]
    names = ["constant", *x.columns, "treatment", "outcome"]
    wrong = [name for name, column in zip(names, columns) if not np.isfinite(column).all()]
    if wrong:
        raise EstimationError(f"values must be finite; missing or infinite ones in {some(wrong, 'column')}. Leave those firms out")
    df = len(x) - len(columns) + 1
    if df < 2:
        raise EstimationError(
            f"a regression on {len(columns) - 1} terms needs at least {len(columns) + 1} firms; found {len(x)}. "
            "Take fewer covariates"
        )
    triangle = np.linalg.qr(np.column_stack(columns), mode="r")
    own = np.abs(np.diag(triangle))
    # what is left of a column beside the ones before it, against all of it and against its variation
    depends = (own <= 1e-12 * np.linalg.norm(triangle, axis=0)) | (own <= 1e-8 * np.linalg.norm(triangle[1:], axis=0))
    depends[0] = False
    if depends[:-1].any():
        found = [name for name, is_so in zip(names[:-1], depends) if is_so]
        raise EstimationError(
            "covariates and treatment must not be collinear; constant, or combinations of the columns before them: "
            f"{some(found, 'column')}. Drop them, or join rare categories"
        )
    if depends[-1]:
        raise EstimationError(
            "the outcome must vary beyond what covariates and treatment explain; found a perfect fit. "
            "Is a covariate built from the outcome?"
        )
    return triangle, df


def _coefficient(triangle: np.ndarray, df: int) -> tuple[float, float]:
    """Coefficient of the treatment and its homoskedastic standard error."""
    spread = abs(triangle[-1, -1]) / np.sqrt(df)
    return float(triangle[-2, -1] / triangle[-2, -2]), float(spread / abs(triangle[-2, -2]))


def _partial_r2(triangle: np.ndarray, kept: np.ndarray) -> float:
    """Partial R² of the last column with the columns that are not `kept`, given those that are."""
    order = np.r_[np.flatnonzero(kept), np.flatnonzero(~kept), triangle.shape[1] - 1]
    last = qr(triangle[:, order], mode="r")[0][:, -1]
    explained = (last[kept.sum() : len(kept)] ** 2).sum()
    return float(explained / (explained + last[len(kept)] ** 2))


def _confounder(r2d: float, r2y: float, k: float) -> tuple[float, float]:
    """Partial R² with treatment and outcome of a confounder `k` times as strong as a benchmark; NaN when there is none."""
    r2dz = k * r2d / (1 - r2d)
    if r2dz >= 1:
        return np.nan, np.nan
    eta = k * r2d**2 / ((1 - k * r2d) * (1 - r2d))  # below 1 whenever r2dz is
    return r2dz, min((np.sqrt(k) + np.sqrt(eta)) ** 2 / (1 - eta) * r2y / (1 - r2y), 1.0)


def _adjusted(
    estimate: float, std_error: float, df: int, r2dz: float, r2yz: float, level: float
) -> tuple[float, float, float, float]:
    """The estimate beside a confounder of that strength: estimate, std_error, conf_low, conf_high."""
    bias = std_error * np.sqrt(df * r2yz * r2dz / (1 - r2dz))
    left = (1 if estimate >= 0 else -1) * (abs(estimate) - bias)
    error = std_error * np.sqrt((1 - r2yz) / (1 - r2dz) * df / (df - 1))
    half = stats.t.ppf(0.5 + level / 2, df - 1) * error
    return left, error, left - half, left + half


def _complete(change: pd.Series, treated: pd.Series, covariates: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Outcome, treatment and covariates of the firms that have all three; both arms must be there."""
    for table, what in ((change, "change"), (treated, "treated"), (covariates, "covariates")):
        if not table.index.is_unique:
            raise DesignError(f"{what} must have one row a firm; repeated: {some(table.index[table.index.duplicated()])}. Keep one")
    x, d = covariates.reindex(change.index), treated.reindex(change.index)
    whole = change.notna() & d.notna() & x.notna().all(axis=1)
    y, d, x = change[whole].to_numpy(dtype=float), d[whole].to_numpy(dtype=float), x[whole]
    other = x.index[(d != 0) & (d != 1)]
    if len(other):
        raise DesignError(f"treated must be 0 or 1; it is something else for {some(other)}. Code treated firms 1, others 0")
    if not 0 < d.sum() < len(d):
        raise DesignError(
            f"a regression needs firms of both arms; found {int(d.sum())} treated and {int((1 - d).sum())} controls "
            "with all values. Check the treatment and what is missing"
        )
    missing = len(change) - len(y)
    if missing:
        text = "{missing} of {n_firms} firms miss the change or a covariate and leave the benchmarks of hidden bias"
        warn(Note("benchmark_incomplete", text, {"missing": missing, "n_firms": len(change)}))
    return y, d, x


def _share(value: float, what: str) -> float:
    if not 0 < value < 1:
        raise DesignError(f"{what} must lie between 0 and 1; found {value:g}. 0.95 is usual")
    return value
