"""Who answered, who closed, and who is left at each step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ..data.measures import Measures
from ..data.panel import Panel


def response_table(measured: Measures, firms: pd.DataFrame) -> pd.DataFrame:
    """Response by arm and year.

    Returns
    -------
    DataFrame
        `arm, period, n_registered` (firms of the arm), `n_responding, n_closed, response_rate` (of the firms registered).
    """
    status = measured.headline["status"].unstack().reindex(firms.index)
    rows = [
        {
            "arm": arm,
            "period": period,
            "n_registered": len(part),
            "n_responding": int((part[period] == "alive").sum()),
            "n_closed": int((part[period] == "exited").sum()),
        }
        for arm, part in status.groupby(firms["arm"])
        for period in status.columns
    ]
    table = pd.DataFrame(rows)
    return table.assign(response_rate=table["n_responding"] / table["n_registered"])


def response_test(panel: Panel, outcome: str, base_year: int) -> pd.DataFrame:
    """Whether treated and comparison firms that answered in the base year go on answering alike.

    One row a later year: `period, n_treated, n_control, difference` (treated minus comparison, share still observed),
    `std_error` (unpooled), `p_value` (normal). NaN where an arm has no firm in the base year.
    """
    wide = panel.wide(outcome).notna()
    if base_year not in wide:
        return pd.DataFrame(columns=["period", "n_treated", "n_control", "difference", "std_error", "p_value"])
    there = wide[wide[base_year]]
    treated = np.isfinite(panel.firms.loc[there.index, "cohort"])
    rows = []
    for period in (p for p in wide.columns if p > base_year):
        t, c = there.loc[treated, period], there.loc[~treated, period]
        error = np.sqrt(sum(x.mean() * (1 - x.mean()) / len(x) for x in (t, c))) if len(t) and len(c) else np.nan
        difference = t.mean() - c.mean() if len(t) and len(c) else np.nan
        p = 2 * stats.norm.sf(abs(difference) / error) if error > 0 else np.nan
        rows.append([period, len(t), len(c), difference, error, p])
    return pd.DataFrame(rows, columns=["period", "n_treated", "n_control", "difference", "std_error", "p_value"])


def sample_flow(firms: pd.DataFrame, stages: dict[str, pd.Index]) -> pd.DataFrame:
    """How many firms of each arm reach each stage, from the register to the estimate (`arm, stage, n`).

    >>> firms = pd.DataFrame({"arm": ["beneficiary", "nonparticipant"]}, index=["a", "b"])
    >>> sample_flow(firms, {"register": firms.index, "analysed": pd.Index(["a"])})["n"].tolist()
    [1, 1, 1, 0]
    """
    arms = sorted(firms["arm"].unique())
    rows = [(arm, stage, int((firms.loc[ids, "arm"] == arm).sum())) for stage, ids in stages.items() for arm in arms]
    return pd.DataFrame(rows, columns=["arm", "stage", "n"])


def selective_attrition(panel: Panel, outcome: str, period: int, base_year: int, covariates: Sequence[str] = ()) -> pd.DataFrame:
    """Whether the same kind of firm stops answering in both arms.

    Among the firms observed in the base year, being observed in `period` is regressed on the arm, the covariates and their
    products (centred, so that the arm's coefficient is the difference at their mean).

    Parameters
    ----------
    panel : Panel
    outcome : str
        Observed or not.
    period, base_year : int
        The end and the beginning.
    covariates : sequence of str
        Columns of `panel.firms` known at the base; categories become a column a level. Firms without a value leave.

    Returns
    -------
    DataFrame
        Rows `arm_and_products` (nothing about the arm tells who stops answering), `products` (who stops is the same kind of
        firm), `arm`; then, of the outcome in the base year, those who stopped less those who stayed: `leavers_treated`,
        `leavers_control` and the `leavers_difference` of the two. Columns `test, estimate, std_error, statistic` (t, or F with
        `df1, df2`), `df1, df2, p_value, n_firms, reason` (why it is NaN; empty otherwise).

    Notes
    -----
    Heteroskedasticity-robust (HC1) Wald tests against F(q, n − k), Welch's t for the means. A linear probability model: its test
    of no dependence needs no functional form.

    Examples
    --------
    >>> ids = [f"f{i}" for i in range(8)]
    >>> firms = pd.DataFrame({"cohort": [2.0] * 4 + [np.inf] * 4, "size": [1.0, 2, 3, 4, 1, 2, 3, 4]}, index=ids)
    >>> y = pd.DataFrame({1: [1.0] * 8, 2: [1.0, 1, 1, np.nan, 1, 1, np.nan, np.nan]}, index=ids)
    >>> panel = Panel(firms, y.stack(future_stack=True).to_frame("y"))
    >>> selective_attrition(panel, "y", 2, 1).set_index("test").loc["arm", ["estimate", "std_error"]].round(3).tolist()
    [0.25, 0.382]
    """
    wide = panel.wide(outcome)
    columns = ["test", "estimate", "std_error", "statistic", "df1", "df2", "p_value", "n_firms", "reason"]
    if base_year not in wide or period not in wide:
        return pd.DataFrame(columns=columns)
    there = wide.index[wide[base_year].notna() & panel.firms[list(covariates)].notna().all(axis=1)]
    seen = wide.loc[there, period].notna().to_numpy(float)
    treated = np.isfinite(panel.firms.loc[there, "cohort"].to_numpy(float)).astype(float)
    x = _levels(panel.firms.loc[there, list(covariates)])
    design = np.column_stack([np.ones(len(there)), x, treated, treated[:, None] * x])
    k = x.shape[1]
    rows = [
        {"test": "arm_and_products", **_wald(seen, design, slice(k + 1, 2 * k + 2))},
        {"test": "products", **_wald(seen, design, slice(k + 2, 2 * k + 2))},
        {"test": "arm", **_wald(seen, design, slice(k + 1, k + 2))},
        *_leavers(wide.loc[there, base_year].to_numpy(float), seen == 1, treated == 1),
    ]
    return pd.DataFrame(rows, columns=columns)


def _levels(table: pd.DataFrame) -> np.ndarray:
    """Numbers, anything else as a column a level but the first, all centred; columns that do not vary or repeat others leave."""
    parts = [
        pd.get_dummies(table[c].astype(object).astype(str), drop_first=True)
        if not pd.api.types.is_numeric_dtype(table[c]) or pd.api.types.is_bool_dtype(table[c])
        else table[[c]]
        for c in table
    ]
    x = np.column_stack([np.ones(len(table)), *(p.to_numpy(float) for p in parts)])
    x[:, 1:] = x[:, 1:] - x[:, 1:].mean(axis=0)
    scale = np.sqrt((x**2).mean(axis=0))
    keep = [0]
    for j in range(1, x.shape[1]):
        rest = x[:, j] - x[:, keep] @ np.linalg.lstsq(x[:, keep], x[:, j], rcond=None)[0] if scale[j] > 0 else x[:, j]
        if np.sqrt((rest**2).mean()) > 1e-8 * max(scale[j], 1e-300):
            keep.append(j)
    return x[:, keep[1:]]


def _wald(y: np.ndarray, x: np.ndarray, which: slice) -> dict:
    """The robust test that the coefficients `which` are zero; estimate and error where there is one."""
    n, k = x.shape
    found = {"n_firms": n, "df1": which.stop - which.start, "df2": n - k, "reason": ""}
    if found["df1"] == 0:
        return found | {"reason": "no covariate"}
    if n <= k or np.linalg.matrix_rank(x) < k:
        return found | {"reason": "too few firms for so many covariates"}
    if y.all() or not y.any():
        return found | {"reason": "all answered" if y.all() else "none answered"}
    bread = np.linalg.inv(x.T @ x)
    beta = bread @ x.T @ y
    scores = x * (y - x @ beta)[:, None]
    variance = bread @ (scores.T @ scores) @ bread * n / (n - k)
    b, v = beta[which], variance[which, which]
    if np.linalg.eigvalsh(v)[0] <= 1e-14:
        return found | {"reason": "response does not vary where the test looks"}
    statistic = float(b @ np.linalg.solve(v, b)) / len(b)
    found |= {"statistic": statistic, "p_value": float(stats.f.sf(statistic, len(b), n - k))}
    return found | ({"estimate": float(b[0]), "std_error": float(np.sqrt(v[0, 0]))} if len(b) == 1 else {})


def _leavers(y: np.ndarray, stayed: np.ndarray, treated: np.ndarray) -> list[dict]:
    """Base outcome of those who stopped answering less that of those who stayed, by arm, and the difference of the arms."""
    parts = {}
    for name, arm in (("treated", treated), ("control", ~treated)):
        groups = y[arm & ~stayed], y[arm & stayed]
        enough = min(map(len, groups)) >= 2
        terms = [g.var(ddof=1) / len(g) for g in groups] if enough else [np.nan, np.nan]
        gap = groups[0].mean() - groups[1].mean() if min(map(len, groups)) else np.nan
        parts[name] = gap, terms, [len(g) - 1 for g in groups]
    parts["difference"] = parts["treated"][0] - parts["control"][0], *(parts["treated"][j] + parts["control"][j] for j in (1, 2))
    rows = []
    for name, (gap, terms, freedom) in parts.items():
        error = float(np.sqrt(sum(terms)))
        row = {"test": f"leavers_{name}", "estimate": gap, "std_error": error, "n_firms": sum(freedom) + len(freedom), "reason": ""}
        if not error > 0:
            rows.append(row | {"std_error": np.nan, "reason": "fewer than two firms stopped or stayed"})
            continue
        df = sum(terms) ** 2 / sum(t**2 / f for t, f in zip(terms, freedom, strict=True))
        p = float(2 * stats.t.sf(abs(gap) / error, df))
        rows.append(row | {"statistic": gap / error, "df1": 1, "df2": df, "p_value": p})
    return rows
