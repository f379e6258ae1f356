"""All tables of money and schedule: budget, co-financing, counterpart, progress, reports, conditions."""

from __future__ import annotations

import pandas as pd

from ..data.load import Tables
from ..study.specs import Study
from . import cofinancing as cofinance
from .budget import (
    budget_check,
    budget_sources,
    budget_table,
    budget_years,
    disbursement_path,
    unassigned_entries,
)
from .counterpart import counterpart_path, counterpart_table, firm_contributions
from .obligations import conditions_table, report_calendar, report_summary, revolving_fund, revolving_summary
from .progress import plan_values, progress_path, progress_quarter, progress_table


def finance_tables(tables: Tables, study: Study) -> dict[str, pd.DataFrame]:
    """Table name → table, of those that the data allow; what could not be made is left out.

    With a budget: `budget_sources`, `budget_shares` (when the study states printed percentages). With a ledger: `unassigned`. With
    both: `budget, budget_years, disbursement, counterpart, counterpart_path, revolving_fund, revolving`. With services and
    `study.cofinance`: `cap, cap_breaches` and, with a calendar, `cofinancing, cofinancing_path, firm_share, above_schedule`. With
    either services or ledger: `firm_contributions`. With a calendar: `reports_due, reports_summary`. With conditions and a ledger:
    `conditions_met`. With activities: `progress, progress_quarter, progress_path`.
    """
    made = _budget(tables, study) | _cofinancing(tables, study) | _obligations(tables, study) | _progress(tables, study)
    keep_empty = ("cap_breaches", "above_schedule")  # no row is the finding
    return {name: table for name, table in made.items() if len(table) or name in keep_empty}


def _budget(tables: Tables, study: Study) -> dict[str, pd.DataFrame]:
    budget, ledger = _of(tables, "budget"), _of(tables, "ledger")
    found, as_of = {}, study.as_of
    if budget is not None:
        found["budget_sources"] = budget_sources(budget)
        if study.funds.printed:
            found["budget_shares"] = budget_check(budget, study.funds.printed)
    if ledger is not None:
        found["unassigned"] = unassigned_entries(ledger, as_of)
    if budget is None or ledger is None:
        return found
    fund = revolving_fund(ledger, budget, study.funds.revolving_share, as_of)
    return found | {
        "budget": budget_table(budget, ledger, as_of),
        "budget_years": budget_years(budget, ledger, as_of),
        "disbursement": disbursement_path(ledger, budget, as_of),
        "counterpart": counterpart_table(budget, ledger, as_of, study.funds.lag),
        "counterpart_path": counterpart_path(budget, ledger, as_of, study.funds.lag),
        "revolving_fund": fund,
        "revolving": revolving_summary(fund, as_of),
    }


def _cofinancing(tables: Tables, study: Study) -> dict[str, pd.DataFrame]:
    services, ledger = _of(tables, "services"), _of(tables, "ledger")
    rule, as_of, found = study.cofinance, study.as_of, {}
    if services is not None or ledger is not None:
        found["firm_contributions"] = firm_contributions(services, ledger, as_of)
    if services is None or rule is None:
        return found
    found |= {"cap": cofinance.cap_summary(services, rule, as_of), "cap_breaches": cofinance.cap_breaches(services, rule, as_of)}
    if study.calendar is None:
        return found
    start = study.calendar.project_start
    rows = cofinance.priced(services, rule, start, as_of)
    if rows.empty:
        return found
    cluster = tables["enterprises"].set_index("firm_id")["cluster_id"]
    return found | {
        "cofinancing": cofinance.cofinancing_groups(rows, rule, cluster[~cluster.index.duplicated()]),
        "cofinancing_path": cofinance.cofinancing_path(rows, rule, start, as_of),
        "firm_share": cofinance.firm_share_trend(rows, rule, study.did.level),
        "above_schedule": cofinance.above_schedule(rows, rule),
    }


def _obligations(tables: Tables, study: Study) -> dict[str, pd.DataFrame]:
    found = {}
    if study.calendar is not None:
        found["reports_due"] = report_calendar(study.calendar, study.reporting, study.as_of, _of(tables, "reports"))
        found["reports_summary"] = report_summary(found["reports_due"])
    conditions, ledger = _of(tables, "conditions"), _of(tables, "ledger")
    if conditions is not None and ledger is not None:
        firms = tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id")["sector"]
        found["conditions_met"] = conditions_table(conditions, ledger, study.as_of, _of(tables, "services"), firms)
    return found


def _progress(tables: Tables, study: Study) -> dict[str, pd.DataFrame]:
    activities, budget, ledger = (_of(tables, name) for name in ("activities", "budget", "ledger"))
    if activities is None:
        return {}
    plan = plan_values(activities, study.as_of, budget, _of(tables, "services"))
    if plan.empty:
        return {}
    path = progress_path(plan, ledger, budget, study.as_of)
    return {
        "progress": progress_table(plan, path, study.as_of),
        "progress_quarter": progress_quarter(path, study.as_of),
        "progress_path": path,
    }


def _of(tables: Tables, name: str) -> pd.DataFrame | None:
    """A table that was supplied and holds rows, else none."""
    return tables[name] if name in tables and len(tables[name]) else None
