"""Who pays for services: the share that the programme bears, its planned fall, and the cap per firm.

The programme pays a share of training and technical assistance that falls in a straight line, half of the cost on average in each
cluster, up to a cap per firm (donors memorandum 4.3). A rate is the programme's money over the cost of the same services, summed
before it is divided, so that a dear service counts for more than a cheap one.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
from scipy.stats import t as student

from ..study.specs import Cofinance

_MONTH = 30.4375  # days
_FEWEST = 3  # quarters behind a slope


def priced(services: pd.DataFrame, rule: Cofinance, start: date, as_of: date | None = None) -> pd.DataFrame:
    """One row a service whose cost and subsidy are known: what it cost, who paid, and what the schedule asks of its day.

    Parameters
    ----------
    services : DataFrame
        `service_id, firm_id, start_on, component, total_cost_usd, programme_paid_usd, firm_paid_usd`. A cost that is not recorded
        is the sum of the two payments.
    rule : Cofinance
        The schedule.
    start : date
        The day from which its months count.
    as_of : date, optional
        Later services are left out.

    Returns
    -------
    DataFrame
        `service_id, firm_id, component, on, total_usd, programme_usd, rate, scheduled`. Services without a date, with a cost of
        zero or less, or with a negative or unknown subsidy have no row.
    """
    paid = services["programme_paid_usd"].astype(float)
    cost = services["total_cost_usd"].astype(float).fillna(paid + services["firm_paid_usd"].astype(float))
    on = pd.to_datetime(services["start_on"])
    good = (cost > 0) & (paid >= 0) & on.notna()
    if as_of is not None:
        good &= on <= pd.Timestamp(as_of)
    table = services[["service_id", "firm_id", "component"]].assign(on=on, total_usd=cost, programme_usd=paid)[good]
    months = (table["on"] - pd.Timestamp(start)).dt.days / _MONTH
    scheduled = np.asarray(rule.rate(months.to_numpy(float)), dtype=float)
    return table.assign(rate=table["programme_usd"] / table["total_usd"], scheduled=scheduled).reset_index(drop=True)


def cofinancing_path(rows: pd.DataFrame, rule: Cofinance, start: date, as_of: date) -> pd.DataFrame:
    """One row a calendar quarter from the start of the programme to `as_of`: the share that it paid, beside the schedule.

    Parameters
    ----------
    rows : DataFrame
        As `priced` returns them.
    rule, start, as_of
        The schedule, its first day, and the date of the evaluation.

    Returns
    -------
    DataFrame
        `period_end` (last day of the quarter), `scheduled` (at the middle of the quarter), `rate` (paid by the programme),
        `firm_share` (1 − rate), `total_usd, programme_usd, n` (services), `n_firms`. Rate and firm share are NaN in a quarter
        without services.

    Examples
    --------
    >>> rows = pd.DataFrame({"on": pd.to_datetime(["2003-07-02", "2003-08-01"]), "firm_id": ["A", "B"], "total_usd": [100.0, 300.0],
    ...                      "programme_usd": [70.0, 130.0]})
    >>> cofinancing_path(rows, Cofinance(), date(2003, 7, 1), date(2003, 9, 30))["rate"].tolist()
    [0.5]
    """
    quarters = pd.period_range(pd.Timestamp(start), pd.Timestamp(as_of), freq="Q")
    own = pd.PeriodIndex(rows["on"], freq="Q")
    sums = rows.groupby(own).agg(
        total_usd=("total_usd", "sum"),
        programme_usd=("programme_usd", "sum"),
        n=("total_usd", "size"),
        n_firms=("firm_id", "nunique"),
    )
    table = sums.reindex(quarters).fillna(0.0)
    ends = quarters.end_time.normalize()
    middle = quarters.start_time + (ends - quarters.start_time) / 2
    months = (middle - pd.Timestamp(start)).days.to_numpy() / _MONTH
    table["scheduled"] = rule.rate(np.maximum(months, 0.0))
    table["rate"] = table["programme_usd"] / table["total_usd"].where(table["total_usd"] > 0)
    table["firm_share"] = 1 - table["rate"]
    table["period_end"] = ends
    columns = ["period_end", "scheduled", "rate", "firm_share", "total_usd", "programme_usd", "n", "n_firms"]
    return table[columns].astype({"n": int, "n_firms": int}).reset_index(drop=True)


def cofinancing_groups(rows: pd.DataFrame, rule: Cofinance, cluster: pd.Series | None = None) -> pd.DataFrame:
    """One row for all services, a component and a cluster: the average share that the programme paid, against its two yardsticks.

    Parameters
    ----------
    rows : DataFrame
        As `priced` returns them.
    rule : Cofinance
        The schedule, whose mean is the average asked of each cluster.
    cluster : Series, optional
        Business cluster by `firm_id`; without it no row a cluster.

    Returns
    -------
    DataFrame
        `by` (all, component, cluster), `group, n` (services), `n_firms, total_usd, programme_usd, rate, average` (asked: the mean
        of the schedule), `difference` (rate − average), `scheduled` (the schedule on the days of these services, weighted by cost),
        `status` of the rate against `scheduled`: *within*, *above* or *below* by more than the tolerance.

    While the programme still runs the average lies above the one asked, because the share has only begun to fall: `scheduled` is
    the fair yardstick then.
    """
    rows = rows.assign(all="all", cluster=pd.NA if cluster is None else rows["firm_id"].map(cluster))
    rows["scheduled_usd"] = rows["scheduled"] * rows["total_usd"]
    parts = []
    for by in ("all", "component", "cluster"):
        own = rows[rows[by].notna()]
        part = own.groupby(own[by].astype(object), sort=True).agg(
            n=("total_usd", "size"), n_firms=("firm_id", "nunique"), total_usd=("total_usd", "sum"),
            programme_usd=("programme_usd", "sum"), scheduled_usd=("scheduled_usd", "sum"),
        )  # fmt: skip
        parts.append(part.rename_axis("group").reset_index().assign(by=by))
    table = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
    table["rate"] = table["programme_usd"] / table["total_usd"]
    table["average"] = (rule.start + rule.end) / 2
    table["difference"] = table["rate"] - table["average"]
    table["scheduled"] = table["scheduled_usd"] / table["total_usd"]
    off = table["rate"] - table["scheduled"]
    table["status"] = np.select([off > rule.tolerance + 1e-9, off < -rule.tolerance - 1e-9], ["above", "below"], "within")
    columns = ["by", "group", "n", "n_firms", "total_usd", "programme_usd", "rate", "average", "difference", "scheduled", "status"]
    return table[columns]


def firm_share_trend(rows: pd.DataFrame, rule: Cofinance, level: float = 0.95) -> pd.DataFrame:
    """One row for all services and a component: how fast the share that firms pay rises, by quarter, and the demand beside it.

    The share is the firms' money over the cost of the quarter; its slope is the least-squares line over the quarters with services,
    each counted once. It says what firms were made to pay and still bought, not what they would pay without the programme.

    Returns
    -------
    DataFrame
        `by, group, n_quarters, share_first, share_last` (first and last quarter), `change_quarter, change_low, change_high` (slope
        and its t interval), `scheduled_change` (what the schedule alone would give in the same quarters), `demand` (services in the
        last half of the quarters over those in the first half). Slopes are NaN below three quarters.
    """
    found = []
    for by in ("all", "component"):
        keys = pd.Series("all", index=rows.index) if by == "all" else rows["component"].astype(object)
        for group, own in rows.groupby(keys, sort=True):
            found.append({"by": by, "group": group} | _slope(own, rule, level))
    columns = [
        "by",
        "group",
        "n_quarters",
        "share_first",
        "share_last",
        "change_quarter",
        "change_low",
        "change_high",
        "scheduled_change",
        "demand",
    ]
    return pd.DataFrame(found, columns=columns)


def _slope(rows: pd.DataFrame, rule: Cofinance, level: float) -> dict:
    quarter = pd.PeriodIndex(rows["on"], freq="Q")
    weighted = rows.assign(asked=(1 - rows["scheduled"]) * rows["total_usd"])
    sums = weighted.groupby(quarter)[["total_usd", "programme_usd", "asked"]].sum()
    x = np.array([p.ordinal for p in sums.index], dtype=float)
    y = 1 - (sums["programme_usd"] / sums["total_usd"]).to_numpy()
    found = {"n_quarters": len(x), "share_first": y[0], "share_last": y[-1], "demand": _demand(quarter)}
    if len(x) < _FEWEST:
        return found | dict.fromkeys(("change_quarter", "change_low", "change_high", "scheduled_change"), np.nan)
    centred = x - x.mean()
    slope = centred @ y / (centred @ centred)
    left = y - y.mean() - slope * centred
    error = np.sqrt(left @ left / (len(x) - 2) / (centred @ centred))
    half = student.ppf(0.5 + level / 2, len(x) - 2) * error
    asked = centred @ (sums["asked"] / sums["total_usd"]).to_numpy() / (centred @ centred)
    return found | {"change_quarter": slope, "change_low": slope - half, "change_high": slope + half, "scheduled_change": asked}


def _demand(quarter: pd.PeriodIndex) -> float:
    """Services in the later half of the quarters over those in the earlier half; a quarter in the middle counts for neither."""
    number = np.array([p.ordinal for p in quarter])
    middle = (number.min() + number.max()) / 2
    early = (number < middle).sum()
    return float((number > middle).sum() / early) if early else np.nan


def subsidy_by_firm(services: pd.DataFrame, as_of: date | None = None) -> pd.DataFrame:
    """One row a firm: what the programme has paid for its services (`programme_usd`), in how many (`n`), and since when (`on`)."""
    on = pd.to_datetime(services["start_on"])
    own = services if as_of is None else services[~(on > pd.Timestamp(as_of))]
    own = own[own["programme_paid_usd"].notna() & own["firm_id"].notna()]
    table = own.assign(on=on).groupby("firm_id").agg(
        programme_usd=("programme_paid_usd", "sum"), n=("programme_paid_usd", "size"), on=("on", "min")
    )  # fmt: skip
    return table.reset_index()


def cap_breaches(services: pd.DataFrame, rule: Cofinance, as_of: date | None = None) -> pd.DataFrame:
    """One row a firm for which the programme has paid more than the cap: `firm_id, programme_usd, excess_usd, n` (services).

    >>> services = pd.DataFrame({"firm_id": ["A", "A", "B"], "start_on": "2004-01-01", "programme_paid_usd": [5e3, 3e3, 7.5e3]})
    >>> cap_breaches(services, Cofinance())["excess_usd"].tolist()
    [500.0]
    """
    firms = subsidy_by_firm(services, as_of)
    firms = firms.assign(excess_usd=firms["programme_usd"] - rule.cap_usd)
    over = firms[firms["excess_usd"] > 0.005]  # half a cent: amounts are rounded
    return over.sort_values("excess_usd", ascending=False, ignore_index=True)[["firm_id", "programme_usd", "excess_usd", "n"]]


def cap_summary(services: pd.DataFrame, rule: Cofinance, as_of: date | None = None) -> pd.DataFrame:
    """One row: how the programme's money per firm is spread below, at and above the cap.

    Columns `n_firms` (with a subsidy), `cap_usd, mean_usd, median_usd, max_usd, n_near` (at the cap or closer to it than the
    tolerance, as a share of the cap), `n_over` (above it), `share` (of the firms near or over). Amounts are NaN without firms.
    """
    paid = subsidy_by_firm(services, as_of)["programme_usd"]
    paid = paid[paid > 0]
    over = paid > rule.cap_usd + 0.005
    near = (paid >= (1 - rule.tolerance) * rule.cap_usd) & ~over
    row = {
        "n_firms": len(paid), "cap_usd": rule.cap_usd, "mean_usd": paid.mean(), "median_usd": paid.median(), "max_usd": paid.max(),
        "n_near": int(near.sum()), "n_over": int(over.sum()), "share": (near | over).mean() if len(paid) else np.nan,
    }  # fmt: skip
    return pd.DataFrame([row])


def above_schedule(rows: pd.DataFrame, rule: Cofinance) -> pd.DataFrame:
    """One row a service that the programme subsidised beyond the schedule by more than the tolerance.

    Columns `service_id, firm_id, on, component, rate, scheduled, difference` (rate − scheduled), `excess_usd` (what was paid above
    the schedule), the largest excess first.
    """
    over = rows[rows["rate"] > rows["scheduled"] + rule.tolerance + 1e-9]
    over = over.assign(difference=over["rate"] - over["scheduled"])
    over = over.assign(excess_usd=over["difference"] * over["total_usd"]).sort_values("excess_usd", ascending=False)
    columns = ["service_id", "firm_id", "on", "component", "rate", "scheduled", "difference", "excess_usd"]
    return over[columns].reset_index(drop=True)
