"""What the programme cost, by source, and what one output, one firm served and one unit of effect cost.

All money is in US$ of the day it was paid. Firms' own payments for services are a cost like any other.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..study.specs import Study

SOURCES = ("mif", "counterpart", "firms")
DIVISIONS = ("component", "assistance", "per_thousand_usd")


def spending(ledger: pd.DataFrame | None, services: pd.DataFrame | None) -> pd.DataFrame:
    """One row a payment: `period` (year), `source` (mif, counterpart, firms), `component, activity_id, cost_usd`.

    A source's costs are its expenses; the counterpart's contributions stand for them where it has entered no expenses. What
    firms paid is read from `services` (`firm_paid_usd`); from the ledger only where no service says it, or it would count twice.
    Replenishments of the revolving fund and disbursements are transfers, not costs.

    >>> services = pd.DataFrame({"start_on": pd.to_datetime(["2004-02-01"]), "firm_paid_usd": [30.0]})
    >>> spending(None, services)[["period", "source", "cost_usd"]].values.tolist()
    [[2004, 'firms', 30.0]]
    """
    columns = ["period", "source", "component", "activity_id", "cost_usd"]
    parts = [pd.DataFrame(columns=columns).astype({"period": int, "cost_usd": float})]
    paid = _paid_by_firms(services)
    if ledger is not None and len(ledger):
        rows = ledger.reindex(columns=["on", "kind", "source", "component", "activity_id", "amount_usd"])
        spent = rows["kind"] == "expense"
        if not (spent & (rows["source"] == "counterpart")).any():
            spent |= rows["kind"] == "counterpart_contribution"
        if len(paid):
            spent &= rows["source"] != "firms"
        rows = rows[spent & rows["on"].notna()]
        parts.append(rows.assign(period=pd.to_datetime(rows["on"]).dt.year, cost_usd=rows["amount_usd"].astype(float)))
    parts.append(paid)
    parts = [p.reindex(columns=columns).astype({"period": int, "cost_usd": float}) for p in parts if len(p)]
    return (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns).astype({"period": int, "cost_usd": float})
    )


def _paid_by_firms(services: pd.DataFrame | None) -> pd.DataFrame:
    if services is None or "firm_paid_usd" not in services or services["firm_paid_usd"].isna().all():
        return pd.DataFrame()
    rows = services.reindex(columns=["start_on", "component", "activity_id", "firm_paid_usd"]).dropna(
        subset=["firm_paid_usd", "start_on"]
    )
    period = pd.to_datetime(rows["start_on"]).dt.year
    return rows.assign(period=period, source="firms", cost_usd=rows["firm_paid_usd"].astype(float))


def cost_by_component(payments: pd.DataFrame) -> pd.DataFrame:
    """One row a component and source, and the totals (`all`): what was spent.

    A subcomponent (2.1) belongs to its component; payments that name none are `unassigned`. Columns `component, source, cost_usd,
    share` (of all costs).
    """
    columns = ["component", "source", "cost_usd", "share"]
    if payments.empty:
        return pd.DataFrame(columns=columns)
    rows = payments.assign(component=_whole(payments["component"]))
    parts = [
        rows.groupby(["component", "source"], as_index=False)["cost_usd"].sum(),
        rows.groupby("component", as_index=False)["cost_usd"].sum().assign(source="all"),
        rows.groupby("source", as_index=False)["cost_usd"].sum().assign(component="all"),
        pd.DataFrame({"component": ["all"], "source": ["all"], "cost_usd": [rows["cost_usd"].sum()]}),
    ]
    table = pd.concat(parts, ignore_index=True)
    table["share"] = _over(table["cost_usd"], rows["cost_usd"].sum())
    order = {name: place for place, name in enumerate((*SOURCES, "all"))}
    last = table["component"] == "all"
    table = table.assign(last=last, place=table["source"].map(order)).sort_values(["last", "component", "place"])
    return table[columns].reset_index(drop=True)


def cost_per_output(activities: pd.DataFrame, ledger: pd.DataFrame | None, services: pd.DataFrame | None) -> pd.DataFrame:
    """One row an activity: what one unit of its output cost, beside what it was planned to cost.

    `programme_usd` are the ledger's costs that name the activity (`basis`: ledger), else what the programme paid for its services
    (`basis`: services); `firms_usd` what firms paid for them; NaN and `basis` not_known where neither says. `cost_usd` adds the
    two; `unit_cost_usd` divides by the actual, `planned_unit_cost_usd` planned cost by planned quantity: NaN without a quantity.

    >>> plan = pd.DataFrame({"activity_id": ["A1"], "planned_qty": [10.0], "actual_qty": [8.0], "planned_cost_usd": [500.0]})
    >>> ledger = pd.DataFrame({"on": pd.to_datetime(["2004-01-01"]), "kind": "expense", "source": "mif", "activity_id": "A1"})
    >>> cost_per_output(plan, ledger.assign(amount_usd=600.0), None)[["planned_unit_cost_usd", "unit_cost_usd"]].values.tolist()
    [[50.0, 75.0]]
    """
    names = [
        "activity_id",
        "component",
        "description_es",
        "description_en",
        "unit",
        "planned_qty",
        "actual_qty",
        "planned_cost_usd",
    ]
    table = activities.reindex(columns=names).reset_index(drop=True)
    key = table["activity_id"].astype(object)
    booked, charged, own = _by_activity(ledger, services)
    in_ledger = key.map(booked).astype(float)
    table["programme_usd"] = in_ledger.fillna(key.map(charged).astype(float))
    table["firms_usd"] = key.map(own).astype(float)
    table["cost_usd"] = table[["programme_usd", "firms_usd"]].sum(axis=1, min_count=1)
    table["basis"] = np.select([in_ledger.notna(), table["cost_usd"].notna()], ["ledger", "services"], "not_known")
    table["unit_cost_usd"] = _over(table["cost_usd"], table["actual_qty"].astype(float))
    table["planned_unit_cost_usd"] = _over(table["planned_cost_usd"].astype(float), table["planned_qty"].astype(float))
    return table


def _by_activity(ledger: pd.DataFrame | None, services: pd.DataFrame | None) -> tuple[dict, dict, dict]:
    """By activity: the programme's costs as booked, what it paid for services, and what firms paid."""
    payments = spending(ledger, None)
    booked = payments[payments["source"] != "firms"].groupby(payments["activity_id"].astype(object))["cost_usd"].sum()
    empty = pd.Series(dtype=float)
    rows = pd.DataFrame() if services is None else services
    if "activity_id" not in rows:
        rows = pd.DataFrame()
    sums = [
        rows.groupby(rows["activity_id"].astype(object))[name].sum(min_count=1).dropna() if name in rows else empty
        for name in ("programme_paid_usd", "firm_paid_usd")
    ]
    return booked.to_dict(), sums[0].to_dict(), sums[1].to_dict()


def cost_per_firm(payments: pd.DataFrame, services: pd.DataFrame) -> pd.DataFrame:
    """One row a component and one for all (`all`): firms served, and what a firm and a service cost.

    `cost_usd` is all that was spent on the component, overheads and firms' own payments included; a row `all` adds components,
    evaluation and contingencies. Columns `component, n_firms, n_services, cost_usd, cost_per_firm_usd, cost_per_service_usd`. A
    component that served no firm is left out.
    """
    rows = services.reindex(columns=["firm_id", "component"])
    rows = rows.assign(component=_whole(rows["component"]))
    spent = payments.assign(component=_whole(payments["component"])).groupby("component")["cost_usd"].sum()
    found = []
    for name, own in (*rows.groupby("component"), ("all", rows)):
        if own.empty:
            continue
        cost = float(payments["cost_usd"].sum()) if name == "all" else float(spent.get(name, np.nan))
        found.append({"component": name, "n_firms": own["firm_id"].nunique(), "n_services": len(own), "cost_usd": cost or np.nan})
    table = pd.DataFrame(found, columns=["component", "n_firms", "n_services", "cost_usd"])
    table["cost_per_firm_usd"] = _over(table["cost_usd"], table["n_firms"].astype(float))
    table["cost_per_service_usd"] = _over(table["cost_usd"], table["n_services"].astype(float))
    return table


def cost_per_unit(cost: float, effect: float, low: float, high: float) -> dict[str, float | str]:
    """The cost of one unit of effect and its interval, from a fixed cost and the effect's interval.

    The cost is known and the effect is not, so Fieller's interval (1954) of their ratio is the cost over the effect's limits. When
    the effect may be zero the cost has no upper limit: NaN and the note `no_upper`. When it may only be zero or worse there is
    no cost per unit at all (`no_gain`).

    >>> cost_per_unit(1000.0, 10.0, 5.0, 20.0)
    {'cost_per_unit_usd': 100.0, 'cost_low_usd': 50.0, 'cost_high_usd': 200.0, 'note': ''}
    >>> cost_per_unit(1000.0, 10.0, -5.0, 25.0)["note"]
    'no_upper'
    """
    row = {
        "cost_per_unit_usd": cost / effect if effect > 0 else np.nan,
        "cost_low_usd": np.nan,
        "cost_high_usd": np.nan,
        "note": "",
    }
    if not np.isfinite([cost, effect, low, high]).all() or cost <= 0:
        return row | {"cost_per_unit_usd": np.nan, "note": "not_known"}
    if high <= 0:
        return row | {"note": "no_gain"}
    if low <= 0:
        return row | {"cost_low_usd": cost / high, "note": "no_upper"}
    return row | {"cost_low_usd": cost / high, "cost_high_usd": cost / low}


def cost_per_effect(cost: float, effects: pd.DataFrame, counts: pd.DataFrame | None, gain: Mapping | None = None) -> pd.DataFrame:
    """One row a headline effect that lies on a scale of per cent or points, one a net count, one for the added value in money.

    Parameters
    ----------
    cost : float
        All costs, US$.
    effects : DataFrame
        Headline rows: `outcome, scale, effect, effect_low, effect_high` (shares).
    counts : DataFrame, optional
        `indicator, net, net_low, net_high` (firms).
    gain : mapping, optional
        `outcome, gain, gain_low, gain_high` of one year and `cost_usd`, all costs, both in constant US$: added value is never set
        against dollars of other years.

    Returns
    -------
    DataFrame
        `row` (the outcome or indicator), `unit` (percentage_point, net_exporter, usd_a_year), `cost_usd, gain, gain_low,
        gain_high` (the effect in that unit), `cost_per_unit_usd, cost_low_usd, cost_high_usd, note` (`cost_per_unit`). All costs
        stand against each effect: rows are not to be added up. Dollars of the day they were paid, constant ones in usd_a_year.
    """
    found = []
    for row in effects.to_dict("records"):
        if row["scale"] in ("log", "poisson", "share", "yes_no"):
            sign = -1.0 if row.get("direction") == "decrease" else 1.0
            ends = sorted(100 * sign * row[n] for n in ("effect_low", "effect_high"))
            found.append((row["outcome"], "percentage_point", 100 * sign * row["effect"], *ends))
    for row in [] if counts is None else counts.to_dict("records"):
        found.append((row["indicator"], "net_exporter", row["net"], row["net_low"], row["net_high"]))
    if gain is not None:
        found.append((gain["outcome"], "usd_a_year", gain["gain"], gain["gain_low"], gain["gain_high"]))
    columns = [
        "row",
        "unit",
        "cost_usd",
        "gain",
        "gain_low",
        "gain_high",
        "cost_per_unit_usd",
        "cost_low_usd",
        "cost_high_usd",
        "note",
    ]
    rows = []
    for name, unit, effect, low, high in found:
        spent = gain["cost_usd"] if unit == "usd_a_year" else cost
        ends = {"row": name, "unit": unit, "cost_usd": spent, "gain": effect, "gain_low": low, "gain_high": high}
        rows.append(ends | cost_per_unit(spent, effect, low, high))
    return pd.DataFrame(rows, columns=columns)


def contributions(dose: pd.DataFrame) -> pd.DataFrame:
    """One row an outcome and kind of support: the effect among the firms that had it, read as an association.

    The rows of the table of doses by component, by assistance and per thousand US$. Firms were not given their support at random:
    `reading` is association throughout. Columns `outcome, division, group, estimate, conf_low, conf_high, p_value, n_treated,
    reading`.
    """
    columns = ["outcome", "division", "group", "estimate", "conf_low", "conf_high", "p_value", "n_treated"]
    rows = dose.reindex(columns=columns)
    rows = rows[rows["division"].isin(DIVISIONS) & rows["estimate"].notna()]
    return rows.assign(reading="association").reset_index(drop=True)


def cost_tables(tables: Mapping[str, pd.DataFrame], found: Mapping[str, pd.DataFrame], study: Study, gain: Mapping | None) -> dict:
    """What the data allow of `costs`, `cost_per_output`, `cost_per_firm`, `cost_per_effect` and `contributions`."""
    ledger, services, activities = (tables.get(n) for n in ("ledger", "services", "activities"))
    payments = spending(ledger, services)
    made = {"costs": cost_by_component(payments)}
    if activities is not None and (ledger is not None or services is not None):
        table = cost_per_output(activities, ledger, services)
        made["cost_per_output"] = table if table[["cost_usd", "planned_cost_usd"]].notna().any(axis=None) else table.iloc[:0]
    if services is not None and len(payments):
        made["cost_per_firm"] = cost_per_firm(payments, services)
    effects = found.get("effects")
    if effects is not None and len(payments) and study.stage != "midterm":
        untouched = [o.id for o in study.outcomes if o.untouched]
        headline = effects[effects["headline"].astype(bool) & ~effects["outcome"].isin(untouched) & effects["std_error"].notna()]
        counts = found.get("new_exporters")
        counts = None if counts is None or "net" not in counts else counts.dropna(subset=["net"])
        made["cost_per_effect"] = cost_per_effect(float(payments["cost_usd"].sum()), headline, counts, gain)
    if found.get("dose") is not None and "division" in found["dose"]:
        made["contributions"] = contributions(found["dose"])
    return {name: table for name, table in made.items() if len(table)}


def _whole(component: pd.Series) -> pd.Series:
    """A subcomponent's component; `unassigned` where none is named."""
    code = component.astype(object).where(component.notna(), "unassigned").astype(str)
    return code.str.partition(".")[0]


def _over(top: pd.Series, bottom: pd.Series | float) -> pd.Series:
    if not isinstance(bottom, pd.Series):
        return top / (bottom if bottom > 0 else np.nan)
    return top / bottom.where(bottom > 0)
