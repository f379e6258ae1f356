"""What the agreement asks for beside results: reports on time, a revolving fund within its limit, conditions met before money.

Semiannual progress reports, the final report and the financier's own come from the donors memorandum 6.1, quarterly management
reports from 6.2, audited annual statements from 5.10, the revolving fund from 5.9, the conditions from 9.1 and 9.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd

from ..study.calendar import add_months, anchors
from ..study.programme_specs import Reporting
from ..study.specs import Calendar
from .budget import until

_AHEAD = 6  # months after the evaluation whose reports are listed too
_SAME = 15  # days by which a period may end apart from the calendar's and still be the same
_ONCE = ("final", "committee")  # one report each: found whatever its period
_COLUMNS = ["kind", "period_end", "due", "delivered", "days_late", "status"]


def report_calendar(calendar: Calendar, reporting: Reporting, as_of: date, reports: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a report that was due by `as_of` or will be within six months after it.

    Quarters and half years count from the start of the project to the last disbursement; the final report and the financier's
    follow the last disbursement. Annual audits and surveys, whose due date no rule of the study gives, come from `reports`, which
    also overrides any due date that the calendar gives.

    Parameters
    ----------
    calendar, reporting
        The dates of the programme and the days allowed.
    as_of : date
        What was delivered later is not known.
    reports : DataFrame, optional
        `kind, period_end, due_on, delivered_on`. A period that ends within fifteen days of the calendar's is the same period.

    Returns
    -------
    DataFrame
        `kind, period_end, due, delivered, days_late` (delivered − due, for one still missing as_of − due; negative when early, NaN
        when not yet due), `status`: *on_time*, *late*, *overdue*, *not_yet_due*, or *not_known* when there are no records of
        reports, or none of its due date.

    Examples
    --------
    >>> calendar = Calendar(project_start=date(2003, 7, 1), first_disbursement=date(2003, 7, 1))
    >>> given = pd.DataFrame({"kind": ["final"], "period_end": ["2007-01-01"], "due_on": [None], "delivered_on": ["2007-02-05"]})
    >>> report_calendar(calendar, Reporting(), date(2007, 3, 1), given).query("kind == 'final'")["days_late"].tolist()
    [5.0]
    """
    rows = [{"kind": kind, "period_end": end, "due": due} for kind, end, due in _derived(calendar, reporting)]
    table = pd.DataFrame(rows, columns=["kind", "period_end", "due"])
    table = table.assign(delivered=pd.NaT, **{c: pd.to_datetime(table[c]) for c in ("period_end", "due")})
    table["delivered"] = table["delivered"].astype("datetime64[s]")
    recorded = reports is not None and len(reports) > 0
    if recorded:
        table = _with_records(table, reports)
    today = pd.Timestamp(as_of)
    table["delivered"] = table["delivered"].where(table["delivered"] <= today)
    near = table["due"].fillna(table["period_end"]) <= pd.Timestamp(add_months(as_of, _AHEAD))
    table = table[near & (table["due"].notna() | (table["period_end"] <= today))]
    table = _judged(table, today, recorded)
    order = {kind: i for i, kind in enumerate(("quarterly", "semiannual", "audit", "survey", "final", "committee"))}
    return table.sort_values(["kind", "period_end"], key=lambda c: c.map(order) if c.name == "kind" else c, ignore_index=True)[
        _COLUMNS
    ]


def _derived(calendar: Calendar, reporting: Reporting) -> Iterator[tuple[str, date, date]]:
    """Kind, last day covered and due date of every report that the calendar asks for."""
    start, last = calendar.project_start, anchors(calendar)["last_disbursement"]
    for kind, months, days in (("quarterly", 3, reporting.quarterly_days), ("semiannual", 6, reporting.semiannual_days)):
        number = 1
        while (end := add_months(start, months * number) - timedelta(days=1)) <= last:
            yield kind, end, end + timedelta(days=days)
            number += 1
    yield "final", last, last + timedelta(days=reporting.final_days)
    yield "committee", last, add_months(last, reporting.committee_months)


def _with_records(table: pd.DataFrame, reports: pd.DataFrame) -> pd.DataFrame:
    """The calendar's rows with what the records say of them, then the records that the calendar does not know."""
    own = pd.DataFrame({"kind": reports["kind"].astype(object), **{c: pd.to_datetime(reports[c]).astype("datetime64[s]")
                        for c in ("period_end", "due_on", "delivered_on")}}).reset_index(drop=True)  # fmt: skip
    used = []
    for row in table.index:
        kind, end = table.at[row, "kind"], table.at[row, "period_end"]
        apart = (own["period_end"] - end).abs().dt.days[(own["kind"] == kind) & ~own.index.isin(used)]
        if apart.notna().any() and (kind in _ONCE or apart.min() <= _SAME):
            found = apart.idxmin()
            used.append(found)
            table.loc[row, "delivered"] = own.at[found, "delivered_on"]
            if pd.notna(own.at[found, "due_on"]):
                table.loc[row, "due"] = own.at[found, "due_on"]
    rest = own.drop(index=used).rename(columns={"due_on": "due", "delivered_on": "delivered"})
    return pd.concat([table, rest], ignore_index=True) if len(rest) else table


def _judged(table: pd.DataFrame, today: pd.Timestamp, recorded: bool) -> pd.DataFrame:
    due, delivered = table["due"], table["delivered"]
    late = (delivered.fillna(today) - due).dt.days
    waiting = delivered.isna() & (due >= today)
    conditions = [waiting, due.isna() | (not recorded), delivered.isna(), late > 0]
    status = np.select([c.to_numpy(bool) for c in conditions], ["not_yet_due", "not_known", "overdue", "late"], "on_time")
    known = pd.Series(np.isin(status, ["on_time", "late", "overdue"]), index=table.index)
    return table.assign(status=status, days_late=late.where(known).astype(float))


def report_summary(reports: pd.DataFrame) -> pd.DataFrame:
    """One row a kind of report: how many fell due and how they came.

    `reports` is as `report_calendar` returns it. Columns `kind, n` (due by the evaluation, or of unknown due date), `n_on_time,
    n_late, n_overdue, n_not_known, share` (on time, of those due and known; NaN without one), `days_late` (median of those late or
    overdue), `next_due`.
    """
    rows = []
    for kind, own in reports.groupby("kind", sort=False):
        counts = own["status"].value_counts()
        known = sum(int(counts.get(s, 0)) for s in ("on_time", "late", "overdue"))
        ahead = own.loc[own["status"] == "not_yet_due", "due"]
        late = own.loc[own["status"].isin(["late", "overdue"]), "days_late"]
        rows.append({
            "kind": kind, "n": len(own) - len(ahead),
            **{f"n_{s}": int(counts.get(s, 0)) for s in ("on_time", "late", "overdue", "not_known")},
            "share": counts.get("on_time", 0) / known if known else np.nan, "days_late": late.median(), "next_due": ahead.min(),
        })  # fmt: skip
    columns = ["kind", "n", "n_on_time", "n_late", "n_overdue", "n_not_known", "share", "days_late", "next_due"]
    return pd.DataFrame(rows, columns=columns)


def revolving_fund(ledger: pd.DataFrame, budget: pd.DataFrame, share: float, as_of: date | None = None) -> pd.DataFrame:
    """One row a day on which the financier's money came or was spent: what was advanced and not yet spent, against the limit.

    The fund is the financier's money in the agency's account: its disbursements and the replenishments of the fund (entries
    `revolving_replenish`), less the expenses paid from it. A replenishment is money received in its own right: the same payment is
    entered as one kind or the other, never as both.

    Returns
    -------
    DataFrame
        `on, received_usd, spent_usd` (both since the start), `balance_usd, limit_usd` (`share` of the financier's contribution),
        `over` (the balance at the end of the day is above the limit). The limit is NaN without a contribution.
    """
    entries = until(ledger, as_of)
    mif = entries["source"] == "mif"
    coming = entries["kind"].isin(["disbursement", "revolving_replenish"]) & (mif | entries["source"].isna())
    going = mif & (entries["kind"] == "expense")
    day = pd.to_datetime(entries["on"])
    amount = entries["amount_usd"].astype(float)
    table = pd.DataFrame({"received_usd": amount.where(coming, 0.0), "spent_usd": amount.where(going, 0.0)})
    table = table[coming | going].groupby(day[coming | going]).sum().sort_index().cumsum()
    promised = budget.loc[budget["source"] == "mif", "budget_usd"].sum()
    table["balance_usd"] = table["received_usd"] - table["spent_usd"]
    table["limit_usd"] = share * promised if promised > 0 else np.nan
    table["over"] = table["balance_usd"] > table["limit_usd"] + 0.005
    return table.rename_axis("on").reset_index()


def revolving_summary(path: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """One row: the highest balance of the revolving fund, when, and for how long it lay above its limit.

    `path` is as `revolving_fund` returns it. Columns `limit_usd, max_usd, on` (of the highest balance), `balance_usd` (at `as_of`),
    `n_over` (days above the limit; a balance stands until the next entry), `share` (of the days since the first entry), `status`:
    *kept*, *exceeded*, or *not_known* without entries or limit.
    """
    if path.empty or path["limit_usd"].isna().all():
        row = {"limit_usd": np.nan, "max_usd": np.nan, "on": pd.NaT, "balance_usd": np.nan, "n_over": np.nan, "share": np.nan}
        return pd.DataFrame([row | {"status": "not_known"}])
    days = pd.to_datetime(path["on"])
    until_next = (days.shift(-1).fillna(pd.Timestamp(as_of) + pd.Timedelta(days=1)) - days).dt.days
    over = int(until_next[path["over"]].sum())
    highest = path["balance_usd"].idxmax()
    row = {"limit_usd": path["limit_usd"].iloc[-1], "max_usd": path.at[highest, "balance_usd"], "on": days[highest],
           "balance_usd": path["balance_usd"].iloc[-1], "n_over": over, "share": over / until_next.sum()}  # fmt: skip
    return pd.DataFrame([row | {"status": "exceeded" if path["over"].any() else "kept"}])


def conditions_table(
    conditions: pd.DataFrame,
    ledger: pd.DataFrame,
    as_of: date,
    services: pd.DataFrame | None = None,
    sector: pd.Series | None = None,
) -> pd.DataFrame:
    """One row a condition of disbursement: was it met, with a document that was seen, before the first money it holds up?

    Money of a component is its first expense from the financier in the ledger. A ledger that does not know subcomponents, or
    sectors, is helped by the services that the programme paid for; where these are silent too, the whole component's first expense
    stands.

    Parameters
    ----------
    conditions : DataFrame
        `condition_id, applies_to, sector, statement_es, statement_en, due_on, met_on, document, verified`.
    ledger : DataFrame
        `on, kind, source, component, amount_usd`.
    as_of : date
        Later entries, and conditions met later, are not known.
    services : DataFrame, optional
        `firm_id, start_on, component, programme_paid_usd`.
    sector : Series, optional
        The sector of each firm, by `firm_id`.

    Returns
    -------
    DataFrame
        `condition_id, applies_to, sector, statement_es, statement_en, due, met, first_money, basis` (ledger, services or component;
        empty without money), `days_late` (met, or `as_of` while not met, − first money, or − due where no money has flowed; below
        zero: in time), `paid_before_usd` (money that flowed before it was met), `ledger_before_usd` (expenses that the ledger books
        to its whole component before it was met; NaN for the first disbursement), `status`: *met*; *not_verified* (in time, but its
        document was not seen); *met_late*; *not_met*; *pending* (not met, nothing has flowed and it is not yet due).
    """
    today = pd.Timestamp(as_of)
    money = _gated(ledger, services, sector, as_of)
    rows = []
    for c in conditions.to_dict("records"):
        own, basis = _held_up(c["applies_to"], c["sector"], money)
        due, met = pd.to_datetime(c["due_on"]), pd.to_datetime(c["met_on"])
        met = met if met <= today else pd.NaT
        first = own["on"].min() if len(own) else pd.NaT
        needed = due if pd.isna(first) else first
        rows.append({name: c[name] for name in ("condition_id", "applies_to", "sector", "statement_es", "statement_en")} | {
            "due": due, "met": met, "first_money": first, "basis": basis,
            "days_late": ((today if pd.isna(met) else met) - needed).days if pd.notna(needed) else np.nan,
            "paid_before_usd": float(own.loc[~(own["on"] >= met), "amount_usd"].sum()),
            "ledger_before_usd": _booked_before(c["applies_to"], met, money),
            "status": _condition_status(met, needed, today, c["verified"] == 1),
        })  # fmt: skip
    columns = ["condition_id", "applies_to", "sector", "statement_es", "statement_en", "due", "met", "first_money", "basis",
               "days_late", "paid_before_usd", "ledger_before_usd", "status"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(**{c: pd.to_datetime(table[c]).astype("datetime64[s]") for c in ("due", "met", "first_money")})


def _booked_before(component: str, met: pd.Timestamp, money: pd.DataFrame) -> float:
    if component == "first_disbursement":
        return np.nan
    whole = money["component"].map(lambda c: str(c).partition(".")[0]) == str(component).partition(".")[0]
    return float(money.loc[whole & (money["basis"] == "ledger") & ~(money["on"] >= met), "amount_usd"].sum())


def _condition_status(met: pd.Timestamp, needed: pd.Timestamp, today: pd.Timestamp, verified: bool) -> str:
    if pd.isna(met):
        return "not_met" if needed <= today else "pending"
    if met > needed:
        return "met_late"
    return "met" if verified else "not_verified"


def _gated(ledger: pd.DataFrame, services: pd.DataFrame | None, sector: pd.Series | None, as_of: date) -> pd.DataFrame:
    """Every payment that a condition may hold up: `on, component, sector, amount_usd, basis`."""
    entries = until(ledger, as_of)
    entries = entries[(entries["source"] == "mif") & entries["kind"].isin(["disbursement", "expense"])]
    component = entries["component"].astype(object).where(entries["kind"] == "expense", "first_disbursement")
    parts = [pd.DataFrame({"on": pd.to_datetime(entries["on"]), "component": component, "sector": None,
                           "amount_usd": entries["amount_usd"], "basis": "ledger"})]  # fmt: skip
    if services is not None:
        on = pd.to_datetime(services["start_on"])
        own = services[(services["programme_paid_usd"] > 0) & (on <= pd.Timestamp(as_of))]
        where = None if sector is None else own["firm_id"].map(sector).astype(object)
        parts.append(pd.DataFrame({"on": on[own.index], "component": own["component"].astype(object), "sector": where,
                                   "amount_usd": own["programme_paid_usd"], "basis": "services"}))  # fmt: skip
    return pd.concat([p.astype({"on": "datetime64[s]", "component": object, "sector": object, "amount_usd": float}) for p in parts])


def _held_up(component: str, sector, money: pd.DataFrame) -> tuple[pd.DataFrame, str | None]:
    """The payments that a condition holds up, from the source that knows them best."""
    named = money["component"].astype(str)
    inside = (named == component) | named.str.startswith(f"{component}.")
    ledger, services = money["basis"] == "ledger", money["basis"] == "services"
    ways = {"ledger": inside & ledger, "services": inside & services}
    if isinstance(sector, str) and sector != "all":  # the ledger knows no sectors
        ways = {"services": inside & services & (money["sector"] == sector), "ledger": inside & ledger}
    ways["component"] = ledger & (named == str(component).partition(".")[0]) & ("." in str(component))
    for basis, chosen in ways.items():
        if chosen.any():
            return money[chosen], basis
    return money.iloc[:0], None
