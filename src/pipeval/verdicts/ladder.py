"""On what kind of evidence a verdict rests: OECD's six steps, the Maryland scale, and the design checks behind an estimate.

These stand beside the two axes and never enter them: they describe the method, not what it found.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..study.logframe import Indicator, LogFrame
from ..study.specs import Study
from .attainment import Attained

COUNT_CHECKS = ("attrition", "spillover")
"""Design checks that bear on a net count: it compares firms of one export status, so matching and trends do not enter."""

_SELECTION = ("support", "balance", "pre_trend", "attrition")
_WORST = ("fail", "mild", "not_testable", "pass")
_OWN_VIEW = "benefit_seen"


def rests_on(
    indicator: Indicator,
    logframe: LogFrame,
    study: Study,
    found: Attained,
    rows: Mapping[str, Mapping],
    checks: pd.DataFrame | None,
) -> dict:
    """What one indicator's verdict rests on: `oecd_step` (1–6), `sms` (0–5) and `lights` (`check:result`, joined by semicolons).

    Steps (OECD 2007, six steps): I take-up, counts and changes without a comparison; II opinions of participants; III their own
    view of what the programme changed; IV firms compared with typical ones: nothing adjusts, balance failed, or only the export
    status at the baseline is held equal; V comparable firms: matched or adjusted for; VI selection corrected: comparable firms
    whose support, balance, earlier trends and attrition all pass while no other check fails. NaN where nothing was measured.

    Maryland scale: 0 nothing measured; 1 before and after; 2 a comparison that nothing adjusts or whose design failed a check;
    3 differences in differences against justified comparators. It is the most that a programme without assignment by lot or by
    accident can reach. NaN for outputs: they are counted, not compared.

    A row that reads several others together stands as low as the lowest of them.
    """
    if indicator.of:
        parts = [rests_on(logframe.indicator(key), logframe, study, found, rows, checks) for key in indicator.of]
        lights = pd.DataFrame(
            [light.split(":") for p in parts for light in p["lights"].split(";") if light], columns=["check", "result"]
        )
        lowest = {name: min((p[name] for p in parts), key=lambda v: (not np.isnan(v), v)) for name in ("oecd_step", "sms")}
        return lowest | {"lights": _joined(_worst(lights))}
    row = rows.get(indicator.id)
    if row is None:
        return {"oecd_step": _step_of_figures(indicator, found), "sms": _scale_of_figures(indicator, found), "lights": ""}
    lights = design_lights(checks, row.get("outcome"), COUNT_CHECKS if indicator.kind == "transition" else None)
    adjusted = study.headline == "matched" or bool(study.did.covariates)
    plain = indicator.kind == "transition" or not adjusted
    return {"oecd_step": _step(lights, plain), "sms": 2.0 if plain or "fail" in lights.values() else 3.0, "lights": _joined(lights)}


def design_lights(checks: pd.DataFrame | None, outcome: str | None, only: tuple[str, ...] | None = None) -> dict[str, str]:
    """The result of each design check that speaks of an outcome or of the whole design; the worse where one speaks twice.

    >>> checks = pd.DataFrame({"check": ["support", "balance"], "result": ["pass", "mild"]})
    >>> design_lights(checks, "ln_sales")
    {'support': 'pass', 'balance': 'mild'}
    """
    if checks is None or checks.empty:
        return {}
    rows = checks if only is None else checks[checks["check"].isin(only)]
    if "outcome" in rows:
        rows = rows[rows["outcome"].isna() | (rows["outcome"] == outcome)]
    return _worst(rows)


def _worst(rows: pd.DataFrame) -> dict[str, str]:
    return {check: min(part["result"], key=_WORST.index) for check, part in rows.groupby("check", sort=False)}


def _joined(lights: Mapping[str, str]) -> str:
    return ";".join(f"{check}:{result}" for check, result in lights.items())


def _step(lights: Mapping[str, str], plain: bool) -> float:
    if plain or lights.get("balance") == "fail":
        return 4.0
    corrected = all(lights.get(check) == "pass" for check in _SELECTION) and "fail" not in lights.values()
    return 6.0 if corrected else 5.0


def _step_of_figures(indicator: Indicator, found: Attained) -> float:
    if np.isnan(found.value):
        return np.nan
    if indicator.table == "satisfaction":
        return 3.0 if indicator.where.get("item") == (_OWN_VIEW,) else 2.0
    return 1.0


def _scale_of_figures(indicator: Indicator, found: Attained) -> float:
    if np.isnan(found.value):
        return 0.0
    outcome = indicator.kind in ("growth", "transition") or (indicator.kind == "share" and not np.isnan(found.baseline))
    return 1.0 if outcome and indicator.table is None else np.nan
