"""All that was delivered, gathered: the tables of coverage, services, outputs, clusters, sources and the information system."""

from __future__ import annotations

from datetime import date

import pandas as pd

from ..data.disclosure import guarded
from ..data.load import Tables
from ..data.money import series_values
from ..study.specs import Study
from .anchors import chain_roles
from .clusters import cluster_funnel, cluster_scoreboard, typology_table
from .context import export_trend
from .cooperation import cooperation_table, joint_actions_table
from .coverage import coverage_table, selection_table, served_by_group
from .information import freshness_table, other_programmes_table, scorecard, staff_table, system_steps, turnover_table
from .outputs import activity_matrix, outputs_table
from .services import assistance_by_subject, counted_apart, missions_table, received_table, services_table
from .sources import attendance_pairs, cost_by_component, export_pairs, exports_by_year, id_matches, sources_table


def delivery_tables(tables: Tables, faults: pd.DataFrame, firms: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    """The tables of the monitoring chapter by name; one that the data cannot give, or that would hold no row, is left out.

    Figures of fewer than five firms are blank (`data.disclosure`).

    Parameters
    ----------
    tables : Tables
        What was read, as known at `study.as_of`.
    faults : DataFrame
        What the check found.
    firms : DataFrame
        The register, index `firm_id`, every branch.
    study : Study
        Coverage planned, thresholds, day of the evaluation, level of the intervals.

    Returns
    -------
    dict
        `coverage, served_groups, selection, other_programmes; services, counted_apart, received, assistance, missions; outputs,
        activity_matrix, quarters; clusters, cluster_funnel, typology, chain_roles, joint_actions, cooperation; sources, exports_by_year,
        cost_by_component, id_matches, export_pairs` (by firm: for the annex only)`; export_trend; information,
        freshness, system_steps, staff, turnover`.
    """
    parts = (_reach, _services, _outputs, _clusters, _sources)
    found = {name: table for part in parts for name, table in part(tables, firms, study).items()}
    found |= _information(tables, faults, firms, study)
    return guarded({name: table for name, table in found.items() if len(table)})


def _reach(tables: Tables, firms: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    services, level = tables.frames.get("services"), study.did.level
    found = {"coverage": coverage_table(firms, services, study.coverage, study.as_of, level)}
    if services is not None and len(services):
        found["served_groups"] = served_by_group(firms, services, level)
        found["selection"] = selection_table(firms, services, level)
    if "other_support" in tables:
        found["other_programmes"] = other_programmes_table(tables["other_support"], firms, level)
    return found


def _services(tables: Tables, firms: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    if "services" not in tables or tables["services"].empty:
        return {}
    services, attendance, level = tables["services"], tables.frames.get("attendance"), study.did.level
    return {
        "services": services_table(services, attendance, level=level),
        "counted_apart": counted_apart(services, attendance),
        "received": received_table(services, firms, level),
        "assistance": assistance_by_subject(services, level),
        "missions": missions_table(services, firms, tables.frames.get("activities"), study.as_of),
    }


def _outputs(tables: Tables, firms: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    services, ledger, milestones = (tables.frames.get(n) for n in ("services", "ledger", "milestones"))
    found = {"quarters": quarter_table(services, ledger, milestones, study.as_of)}
    if "activities" in tables:
        own = tables["activities"]
        found["outputs"] = outputs_table(own, study.as_of, study.opinions.low, services)
        others = (tables.frames.get(n) for n in ("satisfaction", "attendance"))
        found["activity_matrix"] = activity_matrix(own, services, ledger, *others)
    return found


def _clusters(tables: Tables, firms: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    services, actions, survey = (tables.frames.get(n) for n in ("services", "joint_actions", "survey"))
    found = {"cooperation": cooperation_table(survey, firms, study.baseline.year, study.did.level)}
    if "clusters" in tables and len(tables["clusters"]):
        own = tables["clusters"]
        found["clusters"] = cluster_scoreboard(own, firms, study.as_of, services, actions)
        found["cluster_funnel"] = cluster_funnel(own, study.as_of)
        found["typology"] = typology_table(own, firms)
        found["chain_roles"] = chain_roles(own, firms, study.baseline.year, services, survey)
    if actions is not None and len(actions):
        found["joint_actions"] = joint_actions_table(actions, tables.frames.get("clusters"))
    return found


def _sources(tables: Tables, firms: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    level, found = study.did.level, {"id_matches": id_matches(tables.frames)}
    rates, pairs, costs, people = _rates(tables, study), None, None, None
    found["export_trend"] = export_trend(tables["survey"], firms, study.baseline.year, rates)
    if "customs" in tables and len(tables["customs"]):
        pairs = export_pairs(tables["survey"], tables["customs"], rates)
        found |= {"export_pairs": pairs, "exports_by_year": exports_by_year(pairs, level)}
    if "services" in tables and "ledger" in tables:
        costs = cost_by_component(tables["services"], tables["ledger"], study.credibility.disagreement)
        found["cost_by_component"] = costs
    if "services" in tables and "attendance" in tables:
        people = attendance_pairs(tables["services"], tables["attendance"])
    return found | {"sources": sources_table(pairs, costs, people, found["id_matches"], level)}


def _rates(tables: Tables, study: Study) -> pd.Series | None:
    """National currency per US dollar, by year."""
    if study.money.fx is None or "series" not in tables or tables["series"].empty:
        return None
    return series_values(tables["series"], study.money.fx)


def _information(tables: Tables, faults: pd.DataFrame, firms: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    level, months = study.did.level, study.credibility.freshness_months
    found = {"information": scorecard(tables, faults, firms, study)}
    found["freshness"] = freshness_table(tables["survey"], firms, study.as_of, months, level)
    if "rubrics" in tables and (tables["rubrics"]["rubric"] == "monitoring").any():
        found["system_steps"] = system_steps(tables["rubrics"])
    if "staff" in tables:
        found["staff"] = staff_table(tables["staff"], _team_until(study))
        found["turnover"] = turnover_table(found["staff"], level)
    return found


def _team_until(study: Study) -> date:
    """The team is followed to the evaluation, or to the last disbursement where that comes first."""
    if study.calendar is None:
        return study.as_of
    plan = study.calendar
    last = plan.last_disbursement
    if last is None:
        last = (pd.Timestamp(plan.first_disbursement) + pd.DateOffset(months=plan.disbursement_months)).date()
    return min(study.as_of, last)


def quarter_table(
    services: pd.DataFrame | None, ledger: pd.DataFrame | None, milestones: pd.DataFrame | None, as_of: date
) -> pd.DataFrame:
    """One row a calendar quarter, from the first entry to `as_of`: what the quarterly management report shows (memorandum ¶6.2).

    `quarter` (2004Q1), `complete` (it had ended by `as_of`), `n_services, n_events, n_firms` (distinct firms served), `n_new_firms`
    (served for the first time), `expense_usd, disbursed_usd` (by the financier), `counterpart_usd, n_milestones` (done). A quarter
    without entries is 0; a column whose table is absent is NaN.

    >>> given = pd.DataFrame({"firm_id": ["a", "a"], "event_id": None, "start_on": pd.to_datetime(["2004-02-01", "2004-07-01"])})
    >>> quarter_table(given, None, None, date(2004, 8, 1))[["quarter", "n_services", "n_new_firms"]].to_numpy().tolist()
    [['2004Q1', 1.0, 1.0], ['2004Q2', 0.0, 0.0], ['2004Q3', 1.0, 0.0]]
    """
    counts: dict[str, pd.Series | None] = {"n_services": None, "n_events": None, "n_firms": None, "n_new_firms": None}
    if services is not None:
        quarter = _quarter(services["start_on"])
        first = pd.to_datetime(services["start_on"]).groupby(services["firm_id"]).min()
        counts |= {
            "n_services": quarter.value_counts(),
            "n_events": services.groupby(quarter)["event_id"].nunique(),
            "n_firms": services.groupby(quarter)["firm_id"].nunique(),
            "n_new_firms": _quarter(first).value_counts(),
        }
    counts |= dict.fromkeys(("expense_usd", "disbursed_usd", "counterpart_usd"))
    if ledger is not None:
        kinds = {"expense_usd": "expense", "disbursed_usd": "disbursement", "counterpart_usd": "counterpart_contribution"}
        for name, kind in kinds.items():
            own = ledger[ledger["kind"] == kind]
            counts[name] = own["amount_usd"].groupby(_quarter(own["on"])).sum()
    counts["n_milestones"] = None if milestones is None else _quarter(milestones["done_on"]).value_counts()
    never = pd.Series(dtype=float, index=pd.PeriodIndex([], freq="Q"))
    table = pd.DataFrame({name: never if c is None or c.empty else c.astype(float) for name, c in counts.items()})
    table = table[table.index.notna() & (table.index <= pd.Period(as_of, "Q"))]
    if table.empty:
        return table.assign(quarter=[], complete=[])
    table = table.reindex(pd.period_range(table.index.min(), pd.Period(as_of, "Q"), freq="Q"))
    table = table.fillna({name: 0.0 for name, c in counts.items() if c is not None})
    ended = table.index.end_time.normalize() <= pd.Timestamp(as_of)
    table.insert(0, "complete", ended)
    table.insert(0, "quarter", table.index.astype(str))
    return table.reset_index(drop=True)


def _quarter(dates: pd.Series) -> pd.Series:
    return pd.to_datetime(dates).dt.to_period("Q").rename("quarter")
