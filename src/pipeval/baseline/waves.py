"""How the figures came in: waves and their gaps, when the base was measured, when controls were named, who agreed to give data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.intervals import with_share
from ..data.load import Tables
from ..data.measures import ANSWERED, Measures
from ..study.specs import Study

EVERYONE = "all"
_MONTH = 365.25 / 12


def _register(tables: Tables) -> pd.DataFrame:
    return tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id")


def wave_table(tables: Tables, by: str = "arm", level: float = 0.95) -> pd.DataFrame:
    """One row a year and group of firms: what came back of the survey.

    Parameters
    ----------
    tables : Tables
    by : str
        The column of enterprises that groups firms.
    level : float
        Of the interval.

    Returns
    -------
    DataFrame
        `period`, the group, `n_registered` (firms of the group), `n_surveyed` (with a row of that year), `n_complete, n_partial,
        n_refusal, n_not_found, n_closed, n_recalled` (answered from memory), `n_part_year` (figures of less than twelve months),
        `share` (answered, of the firms registered), `share_low, share_high` (Wilson), `share_recalled` (of those that answered).
    """
    codes = ("complete", "partial", "refusal", "not_found", "closed")
    survey, firms = tables["survey"].drop_duplicates(["firm_id", "ref_year"]), _register(tables)
    survey = survey.assign(group=survey["firm_id"].map(firms[by])).dropna(subset=["group", "ref_year"])
    registered = firms[by].value_counts()
    rows = []
    for (year, group), part in survey.groupby(["ref_year", "group"]):
        answered = part["response"].isin(ANSWERED)
        counts = [int((part["response"] == code).sum()) for code in codes]
        recalled = int((answered & (part["recall_flag"] == 1)).sum())
        short = int((answered & (part["months_covered"] < 12)).sum())
        rows.append([int(year), group, int(registered[group]), len(part), *counts, recalled, short])
    columns = ["period", by, "n_registered", "n_surveyed", *(f"n_{code}" for code in codes), "n_recalled", "n_part_year"]
    table = pd.DataFrame(rows, columns=columns)
    came = table["n_complete"] + table["n_partial"]
    table = with_share(table, came, "n_registered", level)
    return table.assign(share_recalled=(table["n_recalled"] / came.where(came > 0)).astype(float))


def mode_table(tables: Tables) -> pd.DataFrame:
    """One row a year and mode of interview (`period, mode, n, share`) of firms that answered; a mode not noted is `not_known`."""
    survey = tables["survey"]
    answered = survey[survey["response"].isin(ANSWERED)].dropna(subset=["ref_year"])
    keys = [answered["ref_year"].astype(int).rename("period"), answered["mode"].fillna("not_known").rename("mode")]
    table = answered.groupby(keys).size().rename("n").reset_index()
    return table.assign(share=table["n"] / table.groupby("period")["n"].transform("sum"))


def missing_figures(measured: Measures, firms: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row a year, arm and key figure, among firms that answered (`period, arm, measure, n, n_missing, share`).

    Key figures are the measures behind the outcomes of the params; `all` gathers the arms. What the queries set missing counts
    as missing.
    """
    names = list(dict.fromkeys(n for o in study.outcomes for n in (o.measure, o.per) if n and n != "alive"))
    rows = measured.nominal[measured.nominal["status"] == "alive"]
    absent = rows[names].isna().assign(arm=rows.index.get_level_values("firm_id").map(firms["arm"]))
    found = []
    for period, year in absent.groupby(level="period"):
        for arm, part in [(EVERYONE, year), *year.groupby("arm")]:
            found += [[int(period), arm, name, len(part), int(part[name].sum())] for name in names]
    table = pd.DataFrame(found, columns=["period", "arm", "measure", "n", "n_missing"])
    return table.assign(share=(table["n_missing"] / table["n"].where(table["n"] > 0)).astype(float))


def survey_dates_table(tables: Tables, study: Study) -> pd.DataFrame:
    """One row an observation on when the base was measured: how old it was, and whether the programme had begun.

    Returns
    -------
    DataFrame
        `check, n` (firms it rests on), `value, unit` (months or share), `limit` (NaN where there is none), `status`:
        `within, beyond, observed` (no limit is set), `not_known`.

        `months_year_to_interview`: from the end of the base year to the median interview. `interviewed_before_year_end`: share
        interviewed before the year they speak of was over. `months_interview_to_start`: from the median interview to the start
        of the programme, negative when it came after. `months_year_to_start`: from the end of the base year to the start.
        `interviewed_after_start`: share interviewed after the start. `served_before_interview`: participants that had received
        a service before they were asked about the base year.

    Notes
    -----
    That a base more than twelve months old should be looked at again is an observation of the guide for the Fund's projects,
    not a test: `beyond` asks for a second look and condemns nothing.
    """
    survey = tables["survey"]
    asked = survey[(survey["ref_year"] == study.baseline.year) & survey["response"].isin(ANSWERED)]
    asked = asked.drop_duplicates("firm_id").set_index("firm_id")["interview_on"].dropna()
    start = pd.Timestamp(study.calendar.project_start) if study.calendar else pd.NaT
    year_end = pd.Timestamp(study.baseline.year, 12, 31)
    middle = asked.sort_values().iloc[(len(asked) - 1) // 2] if len(asked) else pd.NaT
    served = _first_service(tables).reindex(asked.index)
    beneficiary = _register(tables)["arm"].reindex(asked.index) == "beneficiary"
    limit, known = float(study.credibility.freshness_months), pd.notna(start)
    rows = [
        ["months_year_to_interview", len(asked), (middle - year_end) / pd.Timedelta(days=_MONTH), "months", limit],
        ["interviewed_before_year_end", len(asked), (asked <= year_end).mean(), "share", np.nan],
        ["months_interview_to_start", len(asked), (start - middle) / pd.Timedelta(days=_MONTH), "months", limit],
        ["months_year_to_start", 0, (start - year_end) / pd.Timedelta(days=_MONTH), "months", limit],
        ["interviewed_after_start", len(asked), (asked >= start).mean() if known else np.nan, "share", np.nan],
        ["served_before_interview", int(beneficiary.sum()), (served < asked)[beneficiary].mean(), "share", np.nan],
    ]
    if "services" not in tables:
        rows[-1][2] = np.nan
    table = pd.DataFrame(rows, columns=["check", "n", "value", "unit", "limit"]).astype({"value": float})
    status = np.select(
        [table["value"].isna(), table["limit"].isna(), table["value"] > table["limit"]],
        ["not_known", "observed", "beyond"],
        "within",
    )
    return table.assign(status=pd.Series(status, dtype="str"))


def _first_service(tables: Tables) -> pd.Series:
    if "services" not in tables:
        return pd.Series(dtype="datetime64[s]")
    return tables["services"].groupby("firm_id")["start_on"].min()


def designation_table(tables: Tables, study: Study) -> pd.DataFrame:
    """One row an export status in the base year: whether controls were named before outcomes were known.

    Returns
    -------
    DataFrame
        `exp_status_baseline` (`all` first), `n` (non-participants), `n_before, n_after` (named before the first interview about
        a year later than the base year, or on or after it), `n_not_known` (no date), `share` (before, of those with a date),
        `share_low, share_high` (Wilson), `date` (that first interview).

    Notes
    -----
    A control chosen when its outcome can be seen may have been chosen for it. Firms without exports are needed in the base year
    because an annual survey of exporters cannot show who begins to export.
    """
    firms, survey = _register(tables), tables["survey"]
    later = survey[(survey["ref_year"] > study.baseline.year) & survey["response"].isin(ANSWERED)]["interview_on"]
    first = later.min() if later.notna().any() else pd.NaT
    outside = firms[firms["arm"] == "nonparticipant"]
    listed = outside["control_listed_on"]
    status = outside["exp_status_baseline"].fillna("not_known")
    rows = []
    for code, part in [(EVERYONE, listed), *listed.groupby(status)]:
        before, after = int((part < first).sum()), int((part >= first).sum())
        rows.append([code, len(part), before, after, len(part) - before - after])
    table = pd.DataFrame(rows, columns=["exp_status_baseline", "n", "n_before", "n_after", "n_not_known"])
    table = with_share(table, "n_before", table["n_before"] + table["n_after"], study.did.level)
    return table.assign(date=first.strftime("%Y-%m-%d") if pd.notna(first) else "")


def consent_table(tables: Tables, level: float = 0.95) -> pd.DataFrame:
    """One row an arm: firms that agreed to give data, and firms whose answers are used though they did not.

    `arm, n, n_yes, n_no, n_not_known, share` (of those known), `share_low, share_high` (Wilson), `n_used_without` (answered the
    survey at least once without having agreed; firms without a note are not counted).
    """
    firms = _register(tables)
    survey = tables["survey"]
    answered = set(survey.loc[survey["response"].isin(ANSWERED), "firm_id"])
    rows = []
    for arm, part in firms.groupby("arm"):
        said = part["consent_data"]
        used = int(part.index[said == 0].isin(answered).sum())
        rows.append([arm, len(part), int((said == 1).sum()), int((said == 0).sum()), int(said.isna().sum()), used])
    table = pd.DataFrame(rows, columns=["arm", "n", "n_yes", "n_no", "n_not_known", "n_used_without"])
    return with_share(table, "n_yes", table["n_yes"] + table["n_no"], level)
