"""Whether sources that speak of the same thing agree: survey and customs, services and ledger, services and attendance, ids.

A disagreement is a question to the information system, not an error of one side: each table shows both.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.intervals import with_share
from .services import given

NEAR = 0.20
"""Two figures of one firm and year agree when they lie within this share of the larger: years close on other days, rates differ."""

REFERENCES = (
    ("survey", "firm_id", "enterprises", "firm_id"),
    ("services", "firm_id", "enterprises", "firm_id"),
    ("customs", "firm_id", "enterprises", "firm_id"),
    ("product_sales", "firm_id", "enterprises", "firm_id"),
    ("satisfaction", "firm_id", "enterprises", "firm_id"),
    ("other_support", "firm_id", "enterprises", "firm_id"),
    ("attendance", "firm_id", "enterprises", "firm_id"),
    ("ledger", "firm_id", "enterprises", "firm_id"),
    ("joint_actions", "firm_id", "enterprises", "firm_id"),
    ("compliance", "firm_id", "enterprises", "firm_id"),
    ("services", "activity_id", "activities", "activity_id"),
    ("services", "provider_id", "providers", "provider_id"),
    ("ledger", "activity_id", "activities", "activity_id"),
    ("satisfaction", "activity_id", "activities", "activity_id"),
    ("attendance", "event_id", "services", "event_id"),
    ("services", "event_id", "attendance", "event_id"),
    ("enterprises", "cluster_id", "clusters", "cluster_id"),
    ("joint_actions", "cluster_id", "clusters", "cluster_id"),
    ("products", "cluster_id", "clusters", "cluster_id"),
    ("products", "designer_id", "providers", "provider_id"),
)
"""Ids of one table that another should hold: table, column, table referred to, its column."""


def export_pairs(survey: pd.DataFrame, customs: pd.DataFrame, rates: pd.Series | None = None) -> pd.DataFrame:
    """One row a firm and year with direct exports in the survey, the customs declarations, or both.

    Parameters
    ----------
    survey : DataFrame
        `firm_id, ref_year, export_direct_usd`; where dollars are missing, the amount in national currency at the year's rate.
    customs : DataFrame
        `firm_id, year, fob_usd`. Only its years are compared, and only up to the survey's last: outside them, silence is not zero.
    rates : Series, optional
        National currency per US dollar, by year.

    Returns
    -------
    DataFrame
        `firm_id, year, survey_usd, customs_usd, ratio` (customs over survey), `reason`: *agrees* (within 20 % of the larger),
        *differs, survey_only, customs_only*, or *no_answer* (declared at customs, no figure in the survey: not a disagreement).

    Examples
    --------
    >>> asked = pd.DataFrame({"firm_id": ["a", "b"], "ref_year": 2004, "export_direct_usd": [100.0, 0.0]})
    >>> declared = pd.DataFrame({"firm_id": ["a", "a", "b"], "year": 2004, "fob_usd": [50.0, 40.0, 7.0]})
    >>> export_pairs(asked, declared)["reason"].tolist()
    ['agrees', 'customs_only']
    """
    said = reported_exports(survey, rates)
    years = customs["year"].dropna()
    inside = years.between(said.index.get_level_values("year").min(), said.index.get_level_values("year").max())
    declared = customs.loc[inside[inside].index].groupby(["firm_id", "year"])["fob_usd"].sum()
    said = said[said.index.get_level_values("year").isin(years[inside].unique())]
    table = pd.DataFrame({"survey_usd": said, "customs_usd": declared}).rename_axis(["firm_id", "year"])
    table["customs_usd"] = table["customs_usd"].fillna(0.0)
    table = table[(table["survey_usd"] > 0) | (table["customs_usd"] > 0)]
    table["ratio"] = table["customs_usd"] / table["survey_usd"].where(table["survey_usd"] > 0)
    gap = (table["customs_usd"] - table["survey_usd"]).abs() <= NEAR * table[["survey_usd", "customs_usd"]].max(axis=1) + 1e-9
    cases = [table["survey_usd"].isna(), table["customs_usd"] == 0, table["survey_usd"] == 0, gap]
    names = ["no_answer", "survey_only", "customs_only", "agrees"]
    table["reason"] = np.select([c.to_numpy(bool) for c in cases], names, "differs")
    return table.reset_index().astype({"year": int}).sort_values(["firm_id", "year"], ignore_index=True)


def reported_exports(survey: pd.DataFrame, rates: pd.Series | None) -> pd.Series:
    """Direct exports in US$ by `firm_id, year`, as the survey says: in dollars, else in national currency at the rate; else NaN."""
    own = survey.drop_duplicates(["firm_id", "ref_year"])
    amount = own.get("export_direct_usd", pd.Series(np.nan, index=own.index))
    local = [c for c in own.columns if c.startswith("export_direct_k")]
    if local and rates is not None:
        amount = amount.fillna(1000 * own[local[0]] / own["ref_year"].map(rates))
    return amount.set_axis(pd.MultiIndex.from_frame(own[["firm_id", "ref_year"]], names=["firm_id", "year"]))


def exports_by_year(pairs: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row a year: exporting firms and their exports in the survey and at customs.

    Columns `year, n_survey` (firms with direct exports in the survey), `n_customs` (at customs, of those the survey has a figure
    for), `n_both, n_survey_only, n_customs_only, n_no_answer, survey_usd, customs_usd` (sums over the same firms: those with a
    figure in the survey), `ratio` (customs over survey), `n` (firms in either), `n_agree, share` (that agree within 20 %) with
    Wilson limits.
    """
    names = [
        "n_survey",
        "n_customs",
        "n_both",
        "n_survey_only",
        "n_customs_only",
        "n_no_answer",
        "survey_usd",
        "customs_usd",
        "ratio",
    ]
    rows = []
    for year, part in pairs.groupby("year"):
        count = part["reason"].value_counts()
        only = [int(count.get(c, 0)) for c in ("survey_only", "customs_only", "no_answer")]
        asked = part[part["reason"] != "no_answer"]
        both = len(asked) - only[0] - only[1]
        sums = [asked["survey_usd"].sum(), asked["customs_usd"].sum()]
        ratio = sums[1] / sums[0] if sums[0] > 0 else np.nan
        rows.append([year, both + only[0], both + only[1], both, *only, *sums, ratio, len(asked), int(count.get("agrees", 0))])
    return with_share(pd.DataFrame(rows, columns=["year", *names, "n", "n_agree"]), "n_agree", "n", level)


def cost_by_component(services: pd.DataFrame, ledger: pd.DataFrame, tolerance: float = 0.10) -> pd.DataFrame:
    """One row a component and year: what the programme paid for services, and its expenses in the ledger.

    Subcomponents count with their component. Columns `component, year, services_usd, ledger_usd` (expenses of the programme's
    source), `difference_usd` (ledger minus services), `ratio` (services over ledger), `status`: *agrees* (within `tolerance` of the
    larger), *ledger_higher* (a component buys more than services: usual), *services_higher* (services paid for that the ledger does
    not show: to be asked), *services_only, ledger_only*. Rows only for components that give services.
    """
    paid, entered = given(services), ledger[(ledger["kind"] == "expense") & (ledger["source"] == "mif")]
    sums = {
        "services_usd": _by_year(paid["component"], paid["start_on"], paid["programme_paid_usd"]),
        "ledger_usd": _by_year(entered["component"], pd.to_datetime(entered["on"]), entered["amount_usd"]),
    }
    table = pd.DataFrame(sums).rename_axis(["component", "year"]).reset_index()
    table = table[table["component"].isin(sums["services_usd"].index.get_level_values(0))].reset_index(drop=True)
    one, other = table["services_usd"], table["ledger_usd"]
    table["difference_usd"] = other - one
    table["ratio"] = one / other.where(other > 0)
    near = (other - one).abs() <= tolerance * table[["services_usd", "ledger_usd"]].max(axis=1) + 1e-9
    cases = [one.isna(), other.isna(), near, other > one]
    names = ["ledger_only", "services_only", "agrees", "ledger_higher"]
    return table.assign(status=np.select([c.to_numpy(bool) for c in cases], names, "services_higher")).astype({"year": int})


def _by_year(component: pd.Series, on: pd.Series, amount: pd.Series) -> pd.Series:
    known = component.notna() & on.notna() & amount.notna()
    whole = component[known].astype(object).astype(str).str.partition(".")[0] if known.any() else component[known].astype(object)
    return amount[known].astype(float).groupby([whole.rename("component"), on[known].dt.year.rename("year")]).sum()


def attendance_pairs(services: pd.DataFrame, attendance: pd.DataFrame) -> pd.DataFrame:
    """One row an event and firm: persons trained as services say, and persons on the attendance list.

    `event_id, firm_id, services_n, attendance_n, reason` (*agrees, differs, services_only, attendance_only*). Only events known to
    both tables, and persons that came for a firm (officials have none).
    """
    used = given(services).dropna(subset=["event_id", "firm_id"])
    came = attendance.dropna(subset=["event_id", "firm_id"])
    events = set(used["event_id"]) & set(attendance["event_id"].dropna())
    used, came = used[used["event_id"].isin(list(events))], came[came["event_id"].isin(list(events))]
    keys = ["event_id", "firm_id"]
    sums = {
        "services_n": used.groupby(keys)["persons_trained"].sum(min_count=1).dropna(),
        "attendance_n": came.groupby(keys)["person_key"].nunique().astype(float),
    }
    table = pd.DataFrame(sums).rename_axis(keys)
    one, other = table["services_n"], table["attendance_n"]
    cases = [other.isna(), one.isna(), one == other]
    reason = np.select([c.to_numpy(bool) for c in cases], ["services_only", "attendance_only", "agrees"], "differs")
    return table.assign(reason=reason).reset_index()


def id_matches(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row an id that refers to another table: distinct ids, and how many the other table holds.

    `table, column, refers_to, n, n_found, share`. References whose table is absent or whose ids are all empty are left out.
    """
    rows = []
    for table, column, other, key in REFERENCES:
        if table not in frames or other not in frames or column not in frames[table] or key not in frames[other]:
            continue
        ids = pd.Index(frames[table][column].dropna().unique())
        if len(ids) and frames[other][key].notna().any():
            rows.append([table, column, other, len(ids), int(ids.isin(frames[other][key].dropna()).sum())])
    found = pd.DataFrame(rows, columns=["table", "column", "refers_to", "n", "n_found"])
    return found.assign(share=found["n_found"] / found["n"])


def sources_table(
    exports: pd.DataFrame | None, costs: pd.DataFrame | None, people: pd.DataFrame | None, ids: pd.DataFrame, level: float = 0.95
) -> pd.DataFrame:
    """One row a comparison of two sources: how many units were compared and agree, and both totals.

    `comparison` (*exports*: firm and year; *costs*: component and year, in agreement when the ledger covers the services;
    *persons*: event and firm; *ids*: distinct ids, found in the table that they refer to), `first, second` (the two sources), `n,
    n_agree, share, share_low, share_high` (Wilson), `first_total, second_total, ratio` (second over first, of units that both
    sources could know). Comparisons that the data do not allow are left out.
    """
    rows = []
    if exports is not None and len(exports):
        own = exports[exports["reason"] != "no_answer"]
        rows.append(["exports", "survey", "customs", *_agreeing(own["reason"] == "agrees", own["survey_usd"], own["customs_usd"])])
    if costs is not None and len(costs):
        covered = costs["status"].isin(["agrees", "ledger_higher", "ledger_only"])
        rows.append(["costs", "services", "ledger", *_agreeing(covered, costs["services_usd"], costs["ledger_usd"])])
    if people is not None and len(people):
        same = people["reason"] == "agrees"
        rows.append(["persons", "services", "attendance", *_agreeing(same, people["services_n"], people["attendance_n"])])
    if len(ids):
        rows.append(["ids", "all", "all", int(ids["n"].sum()), int(ids["n_found"].sum()), np.nan, np.nan])
    columns = ["comparison", "first", "second", "n", "n_agree", "first_total", "second_total"]
    table = with_share(pd.DataFrame(rows, columns=columns), "n_agree", "n", level)
    return table.assign(ratio=table["second_total"] / table["first_total"].where(table["first_total"] > 0))


def _agreeing(agrees: pd.Series, first: pd.Series, second: pd.Series) -> list:
    return [len(agrees), int(agrees.sum()), first.sum(), second.sum()]
