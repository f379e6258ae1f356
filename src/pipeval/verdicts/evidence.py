"""Did the programme cause it? The net effect against the control group, graded.

The grades are tried in this order and the first that fits is given:

1. *demonstrated*: right sign, (Holm-adjusted) p below alpha, no design check failed or mild;
2. *adverse*: wrong sign, p below alpha;
3. *target_ruled_out*: the one-sided 95 % bound lies below the relevant effect;
4. *indicative*: right sign, the 80 % interval excludes zero;
5. *inconclusive*: an estimate, but none of these, or any estimate whose design failed a check.

Without an estimate a row is *descriptive* when none was meant, *not_assessed* when one was. A check that could not be tested
neither passes nor fails: it leaves a remark; an untested pre-trend also bars grade 1. An estimate whose
design failed supports nothing in either direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ..did.multiple import ruled_out

GRADES = ("demonstrated", "adverse", "target_ruled_out", "indicative", "inconclusive", "descriptive", "not_assessed")

_MULTIPLICATIVE = ("log", "poisson")


def evidence(
    row: Mapping | None,
    checks: pd.DataFrame | None,
    relevant_effect: float | None,
    *,
    target: float | None = None,
    mde: float | None = None,
    alpha: float = 0.05,
) -> tuple[str, tuple[str, ...]]:
    """The grade of one estimate, and its remarks.

    Parameters
    ----------
    row : mapping or None
        `estimate, std_error, df, p_value, p_adjusted, direction, scale`; on scales log and poisson the estimate is in log points.
        NaN or absent: `df` is infinite, `p_value` follows from t(df), `p_adjusted` is the p-value.
    checks : DataFrame or None
        `check, result` (pass, mild, fail, not_testable); with `outcome`, a row speaks of that outcome only, of all if empty.
    relevant_effect : float or None
        The smallest effect that matters, positive: a share on scales log and poisson, else in units of the outcome.
    target : float, optional
        A demonstrated effect below it is remarked on. Default: the relevant effect.
    mde : float, optional
        Minimum detectable effect computed from the baseline, in the unit of `relevant_effect`.

    Examples
    --------
    >>> row = {"estimate": 0.10, "std_error": 0.03, "df": 60, "direction": "increase", "scale": "log"}
    >>> evidence(row, None, 0.08)
    ('demonstrated', ())
    >>> evidence(row | {"estimate": -0.01}, None, 0.08)
    ('target_ruled_out', ())
    """
    if row is None or not _usable(row):
        return "not_assessed", ("no_estimate",)
    failed, mild, remarks = _lights(checks, row.get("outcome"))
    sign = -1.0 if row.get("direction") == "decrease" else 1.0
    better, error = sign * float(row["estimate"]), float(row["std_error"])
    df = _or(row.get("df"), np.inf)
    p = _or(row.get("p_value"), float(2 * stats.t.sf(abs(better) / error, df)))
    bar = _threshold(relevant_effect, sign, row.get("scale"))
    if failed:  # an estimate whose design failed supports nothing, in either direction
        return "inconclusive", remarks
    if better > 0 and _or(row.get("p_adjusted"), p) < alpha and not mild:
        small = better < _threshold(relevant_effect if target is None else target, sign, row.get("scale"))
        return "demonstrated", (*remarks, "smaller_than_target") if small else remarks
    if better < 0 and p < alpha:
        return "adverse", remarks
    if ruled_out(better, error, df, bar, level=1 - alpha)["ruled_out"]:
        return "target_ruled_out", remarks
    if better > 0 and better - stats.t.ppf(0.90, df) * error > 0:
        return "indicative", remarks
    cannot = mde is not None and relevant_effect is not None and mde > relevant_effect
    return "inconclusive", (*remarks, "cannot_detect_target") if cannot else remarks


def joint_evidence(
    rows: Sequence[Mapping | None],
    checks: pd.DataFrame | None,
    relevant_effects: Sequence[float | None],
    *,
    alpha: float = 0.05,
) -> tuple[str, tuple[str, ...]]:
    """The grade of "better on all of these": an intersection–union test, each row at `alpha` without adjustment.

    Demonstrated when every row is; adverse when any row is significantly worse; ruled out when the relevant effect of any row is;
    indicative when every row is at least that. Berger (1982), Technometrics 24, 295–300.
    """
    unadjusted = [None if r is None else {**r, "p_adjusted": r.get("p_value")} for r in rows]
    graded = [evidence(r, checks, relevant, alpha=alpha) for r, relevant in zip(unadjusted, relevant_effects, strict=True)]
    grades = [grade for grade, _ in graded]
    remarks = tuple(dict.fromkeys(code for _, codes in graded for code in codes if code != "smaller_than_target"))
    for any_of in ("adverse", "target_ruled_out", "not_assessed"):
        if any_of in grades:
            return any_of, remarks
    if all(grade == "demonstrated" for grade in grades):
        return "demonstrated", remarks
    return ("indicative" if all(grade in ("demonstrated", "indicative") for grade in grades) else "inconclusive"), remarks


def count_row(net: float, net_low: float, net_high: float, level: float = 0.95) -> dict:
    """A net count and its interval as an estimate, so that it is graded by the same rules.

    The interval comes from an influence function and is symmetric: its half width gives the standard error.
    """
    error = (net_high - net_low) / 2 / stats.norm.ppf(0.5 + level / 2)
    return {"estimate": net, "std_error": error, "df": np.inf, "direction": "increase", "scale": "level"}


def _threshold(effect: float | None, sign: float, scale: str | None) -> float:
    """A relevant effect on the estimate's scale, signed so that more is better; nothing is ruled out without one."""
    if effect is None or np.isnan(effect):
        return -np.inf
    if scale not in _MULTIPLICATIVE:
        return effect
    return sign * np.log1p(sign * effect) if sign * effect > -1 else np.inf


def _lights(checks: pd.DataFrame | None, outcome: str | None) -> tuple[bool, bool, tuple[str, ...]]:
    if checks is None or checks.empty:
        return False, False, ()
    rows = checks
    if "outcome" in rows:
        rows = rows[rows["outcome"].isna() | (rows["outcome"] == outcome)]
    remarks = tuple(f"check_{r.result}={r.check}" for r in rows.itertuples() if r.result != "pass")
    unseen = (rows["check"] == "pre_trend") & (rows["result"] == "not_testable")  # nobody has seen that trends were parallel
    return bool((rows["result"] == "fail").any()), bool(((rows["result"] == "mild") | unseen).any()), remarks


def _usable(row: Mapping) -> bool:
    error = _or(row.get("std_error"), np.nan)
    return not np.isnan(_or(row.get("estimate"), np.nan)) and error > 0 and np.isfinite(error)


def _or(value, default: float) -> float:
    return default if value is None or pd.isna(value) else float(value)
