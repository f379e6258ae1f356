"""Physical against financial progress: what should have been done, what was done, and what was spent, on one scale.

Planned value, earned value and actual cost (ANSI/EIA-748). Each activity's planned cost is spread evenly over its planned dates; it
earns the share of its planned quantity that was done, never more than all of it. What was spent comes from the ledger.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from .budget import line_of, spending
from .outputs import outputs_table

_MONEY = ["planned_usd", "earned_usd", "actual_usd"]


def plan_values(
    activities: pd.DataFrame, as_of: date, budget: pd.DataFrame | None = None, services: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row an activity with a planned end: its weight in US$, its planned dates, how much of it was done, and when.

    Parameters
    ----------
    activities : DataFrame
        `activity_id, component, planned_start, planned_end, actual_start, actual_end, planned_qty, actual_qty, unit,
        planned_cost_usd`.
    as_of : date
        What ended later is not known to have ended.
    budget : DataFrame, optional
        `component, source, budget_usd`: the money of components whose activities state no cost.
    services : DataFrame, optional
        Counted, as in `outputs_table`, for an activity that has begun and reports no quantity yet.

    Returns
    -------
    DataFrame
        `activity_id, component` (its budget line), `weight_usd`, `basis` (*planned_cost*: every activity of the component states
        its cost; *equal_weights*: its budget, shared alike), `planned_start, planned_end, done` (share of the planned quantity, at
        most 1; NaN while a begun activity reports none), `done_from, done_until`. Without a budget equal weights are NaN.
    """
    today = pd.Timestamp(as_of)
    own = activities[pd.to_datetime(activities["planned_end"]).notna()]
    dates = {
        c: pd.to_datetime(own[c]).astype("datetime64[s]") for c in ("planned_start", "planned_end", "actual_start", "actual_end")
    }
    begun, ended = (dates[c].where(dates[c] <= today) for c in ("actual_start", "actual_end"))
    table = pd.DataFrame({"activity_id": own["activity_id"], "component": line_of(own["component"], budget)})
    table["planned_start"] = dates["planned_start"].fillna(dates["planned_end"])
    table["planned_end"] = dates["planned_end"]
    planned = own["planned_qty"].astype(float)
    used = None if services is None else services[pd.to_datetime(services["start_on"]) <= today]
    done = outputs_table(own, as_of, services=used)["share"].set_axis(own.index).clip(0, 1)
    done = done.mask(planned.isna() | (planned == 0), ended.notna().astype(float))  # no quantity planned: done when it has ended
    table["done"] = done.mask(done.isna() & begun.isna() & ended.isna(), 0.0)
    table["done_from"] = begun.fillna(ended).fillna(today)
    table["done_until"] = ended.fillna(today)
    return _weighed(table, own["planned_cost_usd"].astype(float), budget).reset_index(drop=True)


def _weighed(table: pd.DataFrame, cost: pd.Series, budget: pd.DataFrame | None) -> pd.DataFrame:
    """With what each activity counts for: its cost, or an equal part of its component's budget when one cost is not stated."""
    component = table["component"]
    complete = cost.notna().groupby(component).transform("all")
    money = pd.Series(dtype=float) if budget is None else budget.groupby("component")["budget_usd"].sum()
    equal = component.map(money).astype(float) / component.groupby(component).transform("size")
    return table.assign(weight_usd=cost.where(complete, equal), basis=np.where(complete, "planned_cost", "equal_weights"))


def progress_path(plan: pd.DataFrame, ledger: pd.DataFrame | None, budget: pd.DataFrame | None, as_of: date) -> pd.DataFrame:
    """One row a component (and `total`) and month end: planned value, earned value and actual cost since the start.

    Parameters
    ----------
    plan : DataFrame
        As `plan_values` returns it.
    ledger, budget : DataFrame, optional
        What was spent, by component; without a ledger actual cost is NaN.
    as_of : date
        The last point of earned value and actual cost; the plan goes on to its end.

    Returns
    -------
    DataFrame
        `on, component, planned_usd, earned_usd, actual_usd` and, of the component's whole plan, `share_planned, share_earned,
        share_spent`. Earned value and actual cost are NaN after `as_of`. Components without a dated activity have no row, and the
        total leaves their spending out, so that its three lines are about the same things.

    An activity earns evenly between its first and its last day, or `as_of` while it runs; one that has begun and reports no
    quantity has earned nothing yet.
    """
    if plan.empty:
        return pd.DataFrame(columns=["on", "component", *_MONEY, "share_planned", "share_earned", "share_spent"])
    today, days = pd.Timestamp(as_of), _month_ends(plan, as_of)
    weight = plan["weight_usd"].to_numpy(float)
    planned = weight * _passed(plan["planned_start"], plan["planned_end"], days)
    earned = weight * plan["done"].fillna(0.0).to_numpy() * _passed(plan["done_from"], plan["done_until"], days)
    spent = None if ledger is None else spending(ledger, _lines(plan, budget), as_of)
    parts = []
    components = sorted(set(plan["component"]))
    for component in (*components, "total"):
        own = np.ones(len(plan), dtype=bool) if component == "total" else (plan["component"] == component).to_numpy()
        part = pd.DataFrame({"on": days, "component": component})
        part["planned_usd"], part["earned_usd"] = planned[:, own].sum(axis=1), earned[:, own].sum(axis=1)
        part["actual_usd"] = np.nan if spent is None else _spent(spent, components if component == "total" else [component], days)
        part.loc[part["on"] > today, ["earned_usd", "actual_usd"]] = np.nan
        whole = weight[own].sum()
        shares = part[_MONEY] / (whole if whole > 0 else np.nan)
        parts.append(
            part.assign(share_planned=shares["planned_usd"], share_earned=shares["earned_usd"], share_spent=shares["actual_usd"])
        )
    return pd.concat(parts, ignore_index=True)


def _month_ends(plan: pd.DataFrame, as_of: date) -> pd.DatetimeIndex:
    """The month ends from the first planned or actual day to the plan's end, with the day of the evaluation among them."""
    first = min(plan["planned_start"].min(), plan["done_from"].min())
    last = max(plan["planned_end"].max(), pd.Timestamp(as_of))
    ends = pd.period_range(first, last, freq="M").end_time.normalize()
    return ends.union([pd.Timestamp(as_of)]).astype("datetime64[s]")


def _passed(start: pd.Series, end: pd.Series, days: pd.DatetimeIndex) -> np.ndarray:
    """Share of each span, both ends included, that has passed at the end of each day: days × spans."""
    since = (days.to_numpy()[:, None] - start.to_numpy()[None, :]) / np.timedelta64(1, "D") + 1
    length = np.maximum((end - start).dt.days.to_numpy() + 1.0, 1.0)
    return np.clip(since / length, 0.0, 1.0)


def _lines(plan: pd.DataFrame, budget: pd.DataFrame | None) -> pd.DataFrame:
    """The components that spending may be booked to: those of the budget, or without one those of the plan."""
    return plan[["component"]] if budget is None else budget


def _spent(spent: pd.DataFrame, components: list[str], days: pd.DatetimeIndex) -> np.ndarray:
    own = spent[spent["component"].isin(components) & (spent["source"] != "firms")].assign(on=lambda t: pd.to_datetime(t["on"]))
    own = own.sort_values("on")
    total = np.concatenate([[0.0], own["amount_usd"].cumsum().to_numpy()])
    return total[np.searchsorted(own["on"].to_numpy(), days.to_numpy(), side="right")]


def progress_table(plan: pd.DataFrame, path: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """One row a component, and `total`: where it stands on the day of the evaluation, in time and in money.

    Parameters
    ----------
    plan, path : DataFrame
        As `plan_values` and `progress_path` return them.
    as_of : date
        The day that is read.

    Returns
    -------
    DataFrame
        `component, basis` (*mixed* for a total of both), `n` (activities), `n_unknown` (begun, quantity not reported: they count as
        nothing done), `total_usd` (the whole plan), `planned_usd, earned_usd, actual_usd, schedule_variance_usd` (earned −
        planned), `cost_variance_usd` (earned − actual), `spi` (earned / planned), `cpi` (earned / actual), `share_earned,
        share_spent`. An index is NaN where its denominator is zero.
    """
    here = path[path["on"] == pd.Timestamp(as_of)].drop(columns="share_planned", errors="ignore")
    unknown = plan.assign(unknown=plan["done"].isna())
    both = pd.concat([unknown, unknown.assign(component="total")])
    groups = both.groupby("component", sort=False)
    basis = groups["basis"].agg(lambda b: b.iloc[0] if b.nunique() == 1 else "mixed")
    table = pd.DataFrame({"basis": basis, "n": groups.size(), "n_unknown": groups["unknown"].sum().astype(int),
                          "total_usd": groups["weight_usd"].sum(min_count=1)})  # fmt: skip
    table = here.merge(table, left_on="component", right_index=True, how="left")
    table["schedule_variance_usd"] = table["earned_usd"] - table["planned_usd"]
    table["cost_variance_usd"] = table["earned_usd"] - table["actual_usd"]
    table["spi"] = table["earned_usd"] / table["planned_usd"].where(table["planned_usd"] > 0)
    table["cpi"] = table["earned_usd"] / table["actual_usd"].where(table["actual_usd"] > 0)
    columns = ["component", "basis", "n", "n_unknown", "total_usd", *_MONEY, "schedule_variance_usd", "cost_variance_usd",
               "spi", "cpi", "share_earned", "share_spent"]  # fmt: skip
    return table[columns].reset_index(drop=True)


def progress_quarter(path: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """One row a component, and `total`: what was to be done, was done and was spent in the last calendar quarter ended by `as_of`.

    `path` is as `progress_path` returns it. Columns `component, period_end, planned_usd, earned_usd, actual_usd` (of the quarter
    alone), `spi, cpi`. No row when no quarter has ended since the plan began. For the quarterly management report (donors
    memorandum 6.2).
    """
    end = (pd.Timestamp(as_of) + pd.Timedelta(days=1)).to_period("Q") - 1
    days = [p.end_time.normalize() for p in (end - 1, end)]
    rows = path[path["on"] == days[1]].set_index("component")[_MONEY]
    before = path[path["on"] == days[0]].set_index("component")[_MONEY].reindex(rows.index)
    table = (rows - before.fillna(0.0)).reset_index()
    table.insert(1, "period_end", days[1])
    table["spi"] = table["earned_usd"] / table["planned_usd"].where(table["planned_usd"] > 0)
    table["cpi"] = table["earned_usd"] / table["actual_usd"].where(table["actual_usd"] > 0)
    return table
