"""What the log frame assumes: which assumptions figures can follow, whether they held, and what it would cost to see more.

The real exchange rate is bilateral, against the country of the foreign prices. It says whether the currency has risen since the
base year, not whether it was too high to begin with, nor what competitors in third countries did.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..data.disclosure import FEWEST_SHOWN
from ..data.measures import ANSWERED
from ..data.money import series_values
from ..study.logframe import LogFrame, text_columns
from ..study.specs import Study
from .flows import last_full_year

FOLLOWED = {
    "peso": "real_exchange_rate", "macro": "real_exchange_rate", "exchange_rate": "real_exchange_rate",
    "information": "response", "survey_made": "response",
    "markets": "sector_exports", "demand": "sector_exports",
    "ability_to_pay": "firm_share", "payment_culture": "firm_share",
    "service_quality": "service_quality", "quality_followed": "service_quality",
}  # fmt: skip
"""The sign that follows an assumption, by the assumption's code in the log frame; any other code cannot be tested by figures."""


UNITS = {"real_exchange_rate": "index", "sector_exports": "index", "service_quality": "score"}

COLUMNS = ("row", "group", "period", "value", "limit", "status", "note")


def real_exchange_rate(series: pd.DataFrame, study: Study) -> pd.Series:
    """The real exchange rate by year, base year = 100: fx × foreign prices / home prices. Below 100: the currency has risen.

    Empty where one of the three series, or its base year, is missing.

    >>> from types import SimpleNamespace as Plan
    >>> rows = [("inpc", 100, 104.69), ("fx", 10.7925, 11.2897), ("us_cpi", 100, 102.66)]
    >>> table = pd.DataFrame([(n, y, v) for n, *pair in rows for y, v in zip((2003, 2004), pair)])
    >>> table.columns = ["series", "year", "value"]
    >>> study = Plan(money=Plan(fx="fx", deflator="inpc"), assumptions=Plan(foreign_prices="us_cpi"), baseline=Plan(year=2003))
    >>> real_exchange_rate(table, study).round(1).to_dict()
    {2003: 100.0, 2004: 102.6}
    """
    names = (study.money.fx, study.assumptions.foreign_prices, study.money.deflator)
    if not set(names) <= set(series["series"]):
        return pd.Series(dtype=float)
    fx, foreign, home = (series_values(series, name) for name in names)
    rate = (fx * foreign / home).dropna()
    base = study.baseline.year
    return 100 * rate / rate[base] if base in rate.index else pd.Series(dtype=float)


def monitor_table(tables: Mapping[str, pd.DataFrame], firms: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row a sign, group and year: its value, the limit beyond which the assumption fails, and whether it held.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Any of `series, survey, territory_totals, services`.
    firms : DataFrame
        Every firm, index `firm_id`, with `arm`.

    Returns
    -------
    DataFrame
        `row`: real_exchange_rate (base year = 100; fails below 100 × (1 − `assumptions.tolerance`)), response (share of firms not
        known to be closed that answered; fails below `assumptions.response`), sector_exports (territory, base year or first year
        = 100; fails as the rate does), firm_share (firms' part of the cost of services; fails more than `cofinance.tolerance` below
        the schedule), service_quality (mean score; fails below `opinions.low`). `group` (arm or sector), `period, value, unit`
        (index, share, score), `limit, status` (holds, broken, not_known), `note`: bilateral_rate, one_year, current_dollars.
    """
    parts = [
        _exchange_rows(tables.get("series"), study),
        _response_rows(tables.get("survey"), firms, study),
        _export_rows(tables.get("territory_totals"), study),
        *_service_rows(tables.get("services"), study),
    ]
    rows = [row for part in parts for row in part]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"period": int, "value": float, "limit": float})
    table.insert(4, "unit", [UNITS.get(name, "share") for name in table["row"]])
    return table


def register_table(logframe: LogFrame, monitor: pd.DataFrame) -> pd.DataFrame:
    """One row an assumption of the log frame: which sign follows it, and what the sign says of its last year.

    Columns `id` (its code), `text_es, text_en` (one a language), `indicators` (that rest on it, joined by semicolons), `followed` (a `row` of
    `monitor_table`; empty), `period`, `status`: holds (in every group), broken (in one at least), not_known, not_testable.
    """
    rows = []
    for code, text in logframe.assumptions.items():
        sign = FOLLOWED.get(code, "")
        status, period = _last(monitor, sign) if sign else ("not_testable", np.nan)
        resting = ";".join(i.id for i in logframe.indicators if code in i.assumptions)
        found = {"id": code, **text_columns(text), "indicators": resting}
        rows.append(found | {"followed": sign, "period": period, "status": status})
    return pd.DataFrame(rows, columns=logframe.worded(("id", "text", "indicators", "followed", "period", "status")))


def context_table(tables: Mapping[str, pd.DataFrame], frame: pd.DataFrame, firms: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row a group, measure and year: how the sector and the firms moved, so that a change is read against its market.

    Parameters
    ----------
    frame : DataFrame
        Measures, index (`firm_id, period`); `sales` are summed over firms with a value in every year.
    firms : DataFrame
        The panel's firms: `cohort`, `municipality`.

    Returns
    -------
    DataFrame
        `group`: treated; comparison_near and comparison_far (firms that took no part, in municipalities with and without treated
        firms: sales taken from neighbours would show in the near ones); of fewer than `FEWEST_SHOWN` firms nothing is shown, since a
        sum would reveal their figures. Else a sector of `territory_totals`, with totals of two years or more. `measure, period,
        n_firms` (NaN for territories), `value, base_100` (base year, else first year = 100), `source`.
    """
    parts = [_firm_rows(frame, firms, study), _territory_rows(tables.get("territory_totals"), study)]
    columns = ["group", "measure", "period", "n_firms", "value", "base_100", "source"]
    rows = [p for p in parts if len(p)]
    return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)


def survey_price(power: pd.DataFrame, budget: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row an outcome: how many firms a survey would need to see its target, beside what the evaluation may spend.

    Columns `outcome, scale, target, mde_share, n_treated, n_control` (as surveyed), `treated_needed, control_needed` (at as many
    controls a treated firm as now), `extra_firms` (both arms; 0 where the target can be seen), `ratio` (treated firms needed to
    those there are: above 1 no survey of this programme alone can do it), `evaluation_usd` (the budget's line evaluation).

    >>> power = pd.DataFrame({"outcome": ["y"], "target": [0.05], "mde_share": [0.1], "n_treated": [100], "n_control": [150.0]})
    >>> survey_price(power.assign(firms_needed=400.0))[["treated_needed", "control_needed", "extra_firms", "ratio"]].values.tolist()
    [[400.0, 600.0, 750.0, 4.0]]
    """
    rows = power.reindex(columns=["outcome", "scale", "target", "mde_share", "n_treated", "n_control", "firms_needed"])
    rows = rows.dropna(subset=["target", "firms_needed"]).reset_index(drop=True)
    table = rows.rename(columns={"firms_needed": "treated_needed"})
    numbers = table.drop(columns=["outcome", "scale"]).astype(float)
    each = numbers["n_control"] / numbers["n_treated"].where(numbers["n_treated"] > 0)
    table["control_needed"] = np.ceil(numbers["treated_needed"] * each)
    more = (numbers["treated_needed"] - numbers["n_treated"]).clip(lower=0)
    table["extra_firms"] = more + (table["control_needed"] - numbers["n_control"]).clip(lower=0).where(more > 0, 0.0)
    table["ratio"] = numbers["treated_needed"] / numbers["n_treated"].where(numbers["n_treated"] > 0)
    lines = None if budget is None else budget.loc[budget["component"].astype(object) == "evaluation", "budget_usd"]
    table["evaluation_usd"] = np.nan if lines is None or lines.empty else float(lines.sum())
    return table


def _exchange_rows(series: pd.DataFrame | None, study: Study) -> list[tuple]:
    rate = pd.Series(dtype=float) if series is None else real_exchange_rate(series, study)
    limit = 100 * (1 - study.assumptions.tolerance)
    shown = rate[(rate.index >= study.baseline.year) & (rate.index <= last_full_year(study))]
    return [("real_exchange_rate", "all", y, v, limit, _held(v, limit), "bilateral_rate") for y, v in shown.items()]


def _response_rows(survey: pd.DataFrame | None, firms: pd.DataFrame, study: Study) -> list[tuple]:
    if survey is None or "arm" not in firms:
        return []
    rows = survey[(survey["ref_year"] >= study.baseline.year) & (survey["response"] != "closed")]
    answered = rows["response"].isin(ANSWERED)
    share = answered.groupby([rows["firm_id"].map(firms["arm"]).rename("arm"), rows["ref_year"]]).mean()
    limit = study.assumptions.response
    return [("response", arm, year, value, limit, _held(value, limit), "") for (arm, year), value in share.items()]


def _export_rows(totals: pd.DataFrame | None, study: Study) -> list[tuple]:
    if totals is None:
        return []
    rows, limit = [], 100 * (1 - study.assumptions.tolerance)
    note = "current_dollars" if study.assumptions.exports.endswith("_usd") else ""
    for sector, own in totals[totals["measure"] == study.assumptions.exports].groupby("sector"):
        value = own.groupby("year")["value"].mean()
        if len(value) == 1:
            rows.append(("sector_exports", sector, value.index[0], 100.0, limit, "not_known", "one_year"))
            continue
        index = _base_100(value, study.baseline.year)
        after = index[index.index > study.baseline.year]
        rows += [("sector_exports", sector, y, v, limit, _held(v, limit), note) for y, v in after.items()]
    return rows


def _service_rows(services: pd.DataFrame | None, study: Study) -> list[list[tuple]]:
    if services is None or services.empty:
        return []
    year, low = pd.to_datetime(services["start_on"]).dt.year, study.opinions.low
    quality = services["quality_score"].astype(float).groupby(year).mean().dropna() if "quality_score" in services else pd.Series()
    parts = [[("service_quality", "all", y, v, low, _held(v, low), "") for y, v in quality.items()]]
    if study.cofinance is None or study.calendar is None or not {"firm_paid_usd", "total_cost_usd"} <= set(services.columns):
        return parts
    month = (pd.to_datetime(services["start_on"]) - pd.Timestamp(study.calendar.first_disbursement)).dt.days / 30.4375
    due = (1 - study.cofinance.rate(month)) * services["total_cost_usd"]
    sums = (
        pd.DataFrame({"paid": services["firm_paid_usd"], "due": due, "cost": services["total_cost_usd"]})
        .dropna()
        .groupby(year)
        .sum()
    )
    sums = sums[sums["cost"] > 0]
    share, limit = sums["paid"] / sums["cost"], sums["due"] / sums["cost"] - study.cofinance.tolerance
    parts.append([("firm_share", "all", y, share[y], limit[y], _held(share[y], limit[y]), "") for y in sums.index])
    return parts


def _firm_rows(frame: pd.DataFrame, firms: pd.DataFrame, study: Study) -> pd.DataFrame:
    if "sales" not in frame or "cohort" not in firms:
        return pd.DataFrame()
    end = study.treatment.reference_year
    first = min((study.baseline.year, *study.baseline.pre_years))
    years = [y for y in range(first, end + 1) if (frame.index.get_level_values("period") == y).any()]
    sales = frame["sales"].astype(float).unstack("period").reindex(index=firms.index, columns=years)
    whole = sales[sales.notna().all(axis=1)]
    treated = firms["cohort"].astype(float).reindex(whole.index) <= end
    place = firms["municipality"] if "municipality" in firms else pd.Series(None, firms.index, dtype=object)
    near = place.reindex(whole.index).isin(place[firms["cohort"].astype(float) <= end].dropna())
    never = np.isinf(firms["cohort"].astype(float).reindex(whole.index))
    if "arm" in firms:
        never &= (firms["arm"].reindex(whole.index) == "nonparticipant").to_numpy()
    parts = []
    for group, own in {"treated": treated, "comparison_near": never & near, "comparison_far": never & ~near}.items():
        if own.sum() >= FEWEST_SHOWN:
            value = whole[own].sum()
            rows = pd.DataFrame(
                {"period": value.index, "value": value.to_numpy(), "base_100": _base_100(value, study.baseline.year).to_numpy()}
            )
            parts.append(rows.assign(group=group, measure="sales", n_firms=float(own.sum()), source="survey"))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _territory_rows(totals: pd.DataFrame | None, study: Study) -> pd.DataFrame:
    parts = []
    for (sector, measure, source), own in [] if totals is None else totals.groupby(["sector", "measure", "source"]):
        value = own.groupby("year")["value"].mean()
        if len(value) > 1:
            index = _base_100(value, study.baseline.year).to_numpy()
            rows = pd.DataFrame({"period": value.index, "value": value.to_numpy(), "base_100": index})
            parts.append(rows.assign(group=sector, measure=measure, n_firms=np.nan, source=source))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _base_100(value: pd.Series, base: int) -> pd.Series:
    start = value[base] if base in value.index else value.iloc[0]
    return 100 * value / (start if start > 0 else np.nan)


def _held(value: float, limit: float) -> str:
    return "not_known" if np.isnan(value) or np.isnan(limit) else "holds" if value >= limit else "broken"


def _last(monitor: pd.DataFrame, sign: str) -> tuple[str, float]:
    """The state of a sign in the last year that any group has it, and that year."""
    rows = monitor[(monitor["row"] == sign) & (monitor["status"] != "not_known")]
    if rows.empty:
        return "not_known", np.nan
    year = rows["period"].max()
    states = set(rows.loc[rows["period"] == year, "status"])
    return ("broken" if "broken" in states else "holds"), float(year)
