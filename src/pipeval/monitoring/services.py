"""What firms received: services, events, firms and persons, each counted by its own key."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from ..data.intervals import with_share
from ..data.support import ASSISTANCE

BY = ("component", "activity_type", "subject", "mode")
TOTAL = "total"


def services_table(
    services: pd.DataFrame, attendance: pd.DataFrame | None = None, by: tuple[str, ...] = BY, level: float = 0.95
) -> pd.DataFrame:
    """One row a component, type, subject and mode: what was given, to whom, at what cost and how good.

    Parameters
    ----------
    services : DataFrame
        One row a service received by a firm, columns of the contract.
    attendance : DataFrame, optional
        `event_id, person_key`: who was at the events.
    by : tuple of str
        Columns that make a row; missing codes form the row *not_known*.
    level : float
        Of the interval.

    Returns
    -------
    DataFrame
        `by`, then `n_services, n_events` (distinct; NaN where no event is named), `n_firms` (distinct), `n_persons` (distinct
        persons at its events, officials too; NaN without attendance), `n_participations` (persons trained, as services say; a
        person at two events counts twice), `days, cost_usd, paid_usd` (by the programme), `programme_share` (paid over cost, of
        services whose amounts are both known), `quality_mean` (of the firms' scores) with `n_quality`, and `share` (services that
        match a need of the plan, of `n_need` with an answer) with Wilson limits.

    Notes
    -----
    The typology by type, subject and mode is that of the common monitoring system of the IDB-MIF productive integration projects
    (2005).

    Examples
    --------
    >>> given = pd.DataFrame({"service_id": ["S1", "S2", "S3"], "firm_id": ["a", "a", "b"], "component": "1",
    ...     "event_id": ["E1", "E2", "E1"], "persons_trained": [2.0, 2.0, 1.0]})
    >>> services_table(given, by=("component",))[["n_services", "n_events", "n_firms", "n_participations"]].to_numpy().tolist()
    [[3.0, 2.0, 2.0, 5.0]]
    """
    table = given(services)
    keys = [table[c].astype(object).where(table[c].notna(), "not_known").rename(c) for c in by]
    rows = {key: _summed(part, attendance) for key, part in table.groupby(keys)} if len(table) else {}
    found = pd.DataFrame.from_dict(rows, orient="index", columns=list(_summed(table, attendance)))
    labels = pd.DataFrame(list(rows), columns=list(by))
    table = pd.concat([labels, found.reset_index(drop=True)], axis=1)
    return with_share(table, "n_matched", "n_need", level).drop(columns="n_matched")


def given(services: pd.DataFrame) -> pd.DataFrame:
    """The services with every column that these tables read, empty where the table lacks it."""
    codes = ("service_id", "firm_id", "activity_id", "event_id", *BY)
    numbers = ("days", "persons_trained", "total_cost_usd", "programme_paid_usd", "quality_score", "need_matched")
    blank = {c: pd.Series(np.nan, index=services.index, dtype=object) for c in codes if c not in services}
    blank |= {c: np.nan for c in numbers if c not in services}
    start = pd.to_datetime(services["start_on"]) if "start_on" in services else pd.NaT
    return services.assign(**blank, start_on=pd.Series(start, index=services.index, dtype="datetime64[s]"))


def _summed(part: pd.DataFrame, attendance: pd.DataFrame | None) -> dict:
    """The counts and sums of some services."""
    events = part["event_id"].dropna().unique()
    both = part[["total_cost_usd", "programme_paid_usd"]].dropna()
    cost = both["total_cost_usd"].sum()
    return {
        "n_services": len(part),
        "n_events": len(events) or np.nan,
        "n_firms": part["firm_id"].nunique(),
        "n_persons": persons(events, attendance),
        "n_participations": part["persons_trained"].sum(min_count=1),
        "days": part["days"].sum(min_count=1),
        "cost_usd": part["total_cost_usd"].sum(min_count=1),
        "paid_usd": part["programme_paid_usd"].sum(min_count=1),
        "programme_share": both["programme_paid_usd"].sum() / cost if cost > 0 else np.nan,
        "quality_mean": part["quality_score"].mean(),
        "n_quality": int(part["quality_score"].notna().sum()),
        "n_need": int(part["need_matched"].notna().sum()),
        "n_matched": part["need_matched"].sum(),
    }


def persons(events, attendance: pd.DataFrame | None) -> float:
    """Distinct persons at these events; NaN where attendance of none of them is recorded."""
    if attendance is None:
        return np.nan
    return attendance.loc[attendance["event_id"].isin(events), "person_key"].nunique() or np.nan


def counted_apart(services: pd.DataFrame, attendance: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a component, and all of them: services, events, firms and persons side by side, so that none stands for another.

    `component` (a component with subcomponents has its own row; *total* is the last), `n_services, n_events, n_firms, n_persons,
    n_participations`, and `n_firms_added`: what adding up the firms of the activities would give, firms counted again in each.
    """
    table = given(services)
    code = table["component"].astype(object)
    whole = code.str.partition(".")[0] if code.notna().any() else code
    parts = {c: table[code == c] for c in sorted(code.dropna().unique())}
    parts |= {c: table[whole == c] for c in sorted(whole.dropna().unique())}
    names = ["n_services", "n_events", "n_firms", "n_persons", "n_participations"]
    rows = []
    for component, part in [*sorted(parts.items()), (TOTAL, table)]:
        activity = part["activity_id"].where(part["activity_id"].notna(), part["activity_type"])
        added = part.groupby(activity)["firm_id"].nunique().sum()
        found = _summed(part, attendance)
        rows.append([component, *(found[n] for n in names), int(added)])
    return pd.DataFrame(rows, columns=["component", *names, "n_firms_added"])


def received_table(services: pd.DataFrame, firms: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row a sector and kind of support: registered beneficiaries, and how many received it.

    `received` is *assistance* (technical, alone or in a group), *training*, *assistance_and_training* (the same firm had both, as
    indicator C2.2 asks) and *need_matched* (both, each on a subject that the plan needs). Columns `sector` (*all* together),
    `received, n_served, n_firms` (beneficiaries), `share, share_low, share_high`.
    """
    table = given(services)
    own = firms[firms["arm"] == "beneficiary"]
    sector = own["sector"] if "sector" in own else pd.Series(np.nan, index=own.index, dtype=object)
    helped, trained = table["activity_type"].isin(ASSISTANCE), table["activity_type"] == "training"
    needed = table["need_matched"] == 1
    kinds = {"assistance": [helped], "training": [trained], "assistance_and_training": [helped, trained]}
    if table["need_matched"].notna().any():
        kinds["need_matched"] = [helped & needed, trained & needed]
    rows = []
    for name in [*sorted(sector.dropna().unique()), "all"]:
        ids = own.index if name == "all" else own.index[sector == name]
        for received, conditions in kinds.items():
            had = [ids.isin(table.loc[c, "firm_id"]) for c in conditions]
            rows.append([name, received, int(np.logical_and.reduce(had).sum()), len(ids)])
    return with_share(pd.DataFrame(rows, columns=["sector", "received", "n_served", "n_firms"]), "n_served", "n_firms", level)


def assistance_by_subject(services: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row a subject of technical assistance: services, firms, and how many services matched a need of the plan.

    `subject, n_services, n_firms, days, paid_usd, n_need` (services with an answer), `n_matched, share, share_low, share_high`.
    """
    table = given(services)
    table = table[table["activity_type"].isin(ASSISTANCE)]
    subject = table["subject"].astype(object).where(table["subject"].notna(), "not_known").rename("subject")
    names = ["n_services", "n_firms", "days", "paid_usd", "n_need", "n_matched"]
    rows = [{"subject": key} | _summed(part, None) for key, part in table.groupby(subject)]
    return with_share(pd.DataFrame(rows, columns=["subject", *names]), "n_matched", "n_need", level)


def missions_table(services: pd.DataFrame, firms: pd.DataFrame, activities: pd.DataFrame | None, as_of: date) -> pd.DataFrame:
    """One row a sector and year: trade missions that its firms went on, against those planned.

    A mission is an event; without event ids, an activity and day. `sector, year, n_events, n_firms, planned` (the plan's quantity
    of the missions' activities, spread evenly over the sectors and the calendar years that the plan spans: two a sector and year
    in Guanajuato, memorandum ¶3.8; NaN without a plan), `status`: *reached*, *below*, *in_progress* (the year is not over) or
    *not_known*. Sectors are those whose firms get services of the component that pays for the missions; years run to the end of
    the plan or to `as_of`.
    """
    table = given(services)
    sector = table["firm_id"].map(firms["sector"]) if "sector" in firms else pd.Series(np.nan, index=table.index, dtype=object)
    table = table.assign(sector=sector, year=table["start_on"].dt.year, whole=_whole(table["component"]))
    went = table[table["activity_type"] == "mission"]
    sectors = sorted(table.loc[table["whole"].isin(went["whole"].dropna()) | table["whole"].isna(), "sector"].dropna().unique())
    columns = ["sector", "year", "n_events", "n_firms", "planned", "status"]
    if went.empty or not sectors:
        return pd.DataFrame(columns=columns)
    event = went["event_id"].where(went["event_id"].notna(), went["activity_id"].fillna("") + went["start_on"].astype(str))
    years, each = _plan_of(activities, went, len(sectors))
    last = max(min([as_of.year, *years[-1:]]), int(went["year"].max()))
    years = range(min([*years, int(went["year"].min())]), last + 1)
    rows = []
    for name in sectors:
        for year in years:
            here = (went["sector"] == name) & (went["year"] == year)
            held = event[here].nunique()
            status = "reached" if held >= each else "in_progress" if year == as_of.year else "below"
            rows.append([name, year, held, went.loc[here, "firm_id"].nunique(), each, "not_known" if np.isnan(each) else status])
    return pd.DataFrame(rows, columns=columns)


def _whole(component: pd.Series) -> pd.Series:
    """The component to which a subcomponent belongs."""
    return component.astype(object).map(lambda c: c if pd.isna(c) else str(c).partition(".")[0])


def _plan_of(activities: pd.DataFrame | None, went: pd.DataFrame, n_sectors: int) -> tuple[list[int], float]:
    """The calendar years of the missions' plan, and missions planned for a sector in each of them."""
    if activities is None:
        return [], np.nan
    plan = activities[activities["activity_id"].isin(went["activity_id"].dropna())]
    starts, ends = (pd.to_datetime(plan[c]).dt.year.dropna() for c in ("planned_start", "planned_end"))
    quantity = plan["planned_qty"].sum(min_count=1)
    if starts.empty or ends.empty or not quantity > 0:
        return [], np.nan
    years = list(range(int(starts.min()), int(ends.max()) + 1))
    return years, quantity / (n_sectors * len(years))
