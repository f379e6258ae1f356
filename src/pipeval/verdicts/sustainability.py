"""What may last when the support ends, in three senses: firms that act together, an agency that can carry on, what was learnt.

A fourth group says whether the effect itself lasts. Each row is a sign, none is a proof: `direction` compares it with an earlier
value and nothing adds the rows up. A legal form shows that papers were signed; its row is descriptive only.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..data.intervals import wilson
from ..did.estimate import as_share
from ..study.specs import Study
from .costs import spending

MATERIAL = 0.10
"""A change of a number, as a share of the earlier one, from which it counts as a change; shares are judged by their interval."""

FEWEST = 10
"""Services that a year needs for its figures per service: the few of a first or closing year carry a whole office."""

SENSES = {"association": "associative", "budget": "agency", "demand": "agency", "fees": "agency", "knowledge": "knowledge"}
"""The sense to which a criterion of the sustainability rubric belongs."""

COLUMNS = ("sense", "row", "value", "before", "unit", "n", "share_low", "share_high", "direction", "note")
YEAR = pd.DateOffset(months=12)


def sustainability_table(
    tables: Mapping[str, pd.DataFrame], frame: pd.DataFrame, firms: pd.DataFrame, paths: pd.DataFrame | None, study: Study
) -> pd.DataFrame:
    """One row a sign of lasting results.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Any of `joint_actions, clusters, rubrics, services, satisfaction, ledger, survey`.
    frame : DataFrame
        Measures, index (`firm_id, period`): `sales, joint_sales, exp_status`.
    firms : DataFrame
        The panel's firms: `cohort`, `cluster_id`.
    paths : DataFrame, optional
        Effects by time since entry of the outcome judged: `outcome, event_time, estimate, conf_low, conf_high, n_treated`.
    study : Study
        `as_of`, the reference year, the level of intervals.

    Returns
    -------
    DataFrame
        `sense` (associative, agency, knowledge, effect), `row`, `value`, `before` (the earlier value), `unit` (share, score, usd,
        actions), `n` (what the value is counted over), `share_low, share_high` (Wilson, shares only), `direction` (better,
        worse, same, not_known), `note` (descriptive: says nothing of lasting). A sign that the data do not give is left out.
    """
    rows = [
        *_associative(tables, frame, firms, study),
        *_agency(tables),
        *_knowledge(tables, study),
        *_lasting(frame, firms, paths, study),
    ]
    numbers = ["value", "before", "n", "share_low", "share_high"]
    return pd.DataFrame([r for r in rows if r is not None], columns=list(COLUMNS)).astype(dict.fromkeys(numbers, float))


def direction(value: float, before: float, low: float = np.nan, high: float = np.nan, lower_is_better: bool = False) -> str:
    """Which way a sign moved: by the interval of the value where there is one, else by `MATERIAL`.

    >>> direction(0.5, 0.2, 0.3, 0.7), direction(3.1, 3.0), direction(90.0, 120.0, lower_is_better=True)
    ('better', 'same', 'better')
    """
    if not np.isfinite([value, before]).all():
        return "not_known"
    if np.isfinite([low, high]).all():
        moved = int(low > before) - int(high < before)
    else:
        step = MATERIAL * abs(before)
        moved = int(value > before + step) - int(value < before - step)
    moved = -moved if lower_is_better else moved
    return {1: "better", -1: "worse", 0: "same"}[moved]


def _sign(sense: str, row: str, value: float, before: float, unit: str, n: float, note: str = "", lower: bool = False) -> dict:
    found = {"sense": sense, "row": row, "value": value, "before": before, "unit": unit, "n": n, "note": note}
    return found | {"direction": "not_known" if note else direction(value, before, lower_is_better=lower)}


def _share(sense: str, row: str, counted: tuple[float, float], before: float, study: Study, note: str = "") -> dict | None:
    """A row of a share `counted` as (k, n); none when nothing could be counted."""
    k, n = counted
    if not n > 0:
        return None
    low, high = (float(end) for end in wilson(k, n, study.did.level))
    found = {"sense": sense, "row": row, "value": k / n, "before": before, "unit": "share", "n": n}
    moved = "not_known" if note else direction(k / n, before, low, high)
    return found | {"share_low": low, "share_high": high, "direction": moved, "note": note}


def _associative(tables: Mapping[str, pd.DataFrame], frame: pd.DataFrame, firms: pd.DataFrame, study: Study) -> list[dict | None]:
    rows, clusters, year = [], tables.get("clusters"), study.treatment.reference_year
    formed = pd.Index([])
    if clusters is not None and len(clusters):
        formed = pd.Index(clusters.loc[clusters["formed_on"].notna(), "cluster_id"].astype(object))
    actions = tables.get("joint_actions")
    if actions is not None and len(actions):
        now, before = _two_years(actions, "on", study)
        done = [part.drop_duplicates(["cluster_id", "on", "type"]) for part in (now, before)]
        rows.append(_sign("associative", "joint_actions", len(done[0]), len(done[1]), "actions", now["cluster_id"].nunique()))
        if len(formed):
            acting = [len(formed.intersection(pd.Index(p["cluster_id"].astype(object).unique()))) for p in (now, before)]
            rows.append(_share("associative", "clusters_acting", (acting[0], len(formed)), acting[1] / len(formed), study))
    joint = [_joint_sales(frame, firms, y) for y in (year, year - 1)]
    if len(joint[0]):
        shares = [_ratio(j["joint_sales"].sum(), j["sales"].sum()) for j in joint]
        rows.append(_sign("associative", "joint_sales_share", *shares, "share", len(joint[0])))
        sold = clusters.loc[clusters["joint_sale_on"].notna(), "cluster_id"] if clusters is not None else []
        selling = [j.loc[j["joint_sales"] > 0, "cluster_id"] for j in joint]
        still = [len(set(sold) & set(s.dropna())) for s in selling]
        rows.append(_share("associative", "clusters_selling", (still[0], len(sold)), _ratio(still[1], len(sold)), study))
    if len(formed):
        legal = clusters.set_index("cluster_id").loc[formed, "legal_entity"].dropna().astype(float)
        rows.append(_share("associative", "legal_form", (legal.sum(), len(legal)), np.nan, study, note="descriptive"))
    return rows + _rubric(tables, "associative")


def _agency(tables: Mapping[str, pd.DataFrame]) -> list[dict | None]:
    rows, rubrics = [], tables.get("rubrics")
    if rubrics is not None and (rubrics["rubric"] == "capacity").any():
        now, before, n = _first_and_last(rubrics[rubrics["rubric"] == "capacity"])
        rows.append(_sign("agency", "capacity_score", now, before, "score", n))
    services, ledger = tables.get("services"), tables.get("ledger")
    if services is not None and ledger is not None and "programme_paid_usd" in services:
        own = spending(ledger, None)
        spent = own[own["source"] != "firms"].groupby("period")["cost_usd"].sum()
        by_year = services.groupby(pd.to_datetime(services["start_on"]).dt.year)
        part = pd.DataFrame({"n": by_year.size(), "paid": by_year["programme_paid_usd"].sum(min_count=1)})
        part = part[part["n"] >= FEWEST]
        part = part.assign(each=(spent.reindex(part.index) - part["paid"]) / part["n"]).dropna(subset=["each"])
        if len(part) > 1:
            ends = part["each"].iloc[-1], part["each"].iloc[-2]
            rows.append(_sign("agency", "overhead_per_service", *ends, "usd", part["n"].iloc[-1], lower=True))
    return rows + _rubric(tables, "agency")


def _knowledge(tables: Mapping[str, pd.DataFrame], study: Study) -> list[dict | None]:
    rows, services = [], tables.get("services")
    if services is not None and len(services):
        rows += _bought_again(services, study)
    answers = tables.get("satisfaction")
    if answers is not None and (answers["item"] == "would_pay").any():
        own = answers[(answers["item"] == "would_pay") & answers["score"].notna()].sort_values("answered_on")
        waves = own["wave"].drop_duplicates()
        last, first = (own[own["wave"] == waves.iloc[end]]["score"] for end in (-1, 0))
        before = float(first.mean()) if len(waves) > 1 else np.nan
        rows.append(_share("knowledge", "would_pay", (last.sum(), len(last)), before, study))
    return rows + _rubric(tables, "knowledge")


def _bought_again(services: pd.DataFrame, study: Study) -> list[dict | None]:
    """Firms that bought a service more than a year after their first, and what share of the cost they paid, then and at first."""
    table = services.assign(on=pd.to_datetime(services["start_on"]))
    first = table.groupby("firm_id")["on"].transform("min")
    known = table[first + 2 * YEAR <= pd.Timestamp(study.as_of)]
    later = known[known["on"] > first.reindex(known.index) + YEAR]
    again = later["firm_id"].nunique()
    rows = [_share("knowledge", "bought_again", (again, known["firm_id"].nunique()), np.nan, study)]
    if not {"firm_paid_usd", "total_cost_usd"} <= set(table.columns):
        return rows
    early = known[known["firm_id"].isin(later["firm_id"]) & (known["on"] <= first.reindex(known.index) + YEAR)]
    paid = [_firm_share(part.groupby("firm_id")) for part in (later, early)]
    both = pd.concat(paid, axis=1, keys=["later", "early"]).dropna()
    rows.append(_share("knowledge", "bought_again_dearer", ((both["later"] > both["early"]).sum(), len(both)), np.nan, study))
    year = table["on"].dt.year
    by_year = _firm_share(table[year.groupby(year).transform("size") >= FEWEST].groupby(year)).dropna()
    if len(by_year) > 1:
        n = table.loc[year == by_year.index[-1], "firm_id"].nunique()
        rows.append(_sign("knowledge", "firm_share", by_year.iloc[-1], by_year.iloc[0], "share", n))
    return rows


def _lasting(frame: pd.DataFrame, firms: pd.DataFrame, paths: pd.DataFrame | None, study: Study) -> list[dict | None]:
    rows = []
    if paths is not None and len(paths) and "event_time" in paths:
        path = paths[(paths["event_time"] >= 0) & paths["estimate"].notna()].sort_values("event_time")
        scale = study.outcome(path["outcome"].iloc[0]).scale if len(path) else ""
        if len(path) > 1:
            first, last = path.iloc[0], path.iloc[-1]
            row = _sign(
                "effect", "effect_last", *(as_share(r["estimate"], scale) for r in (last, first)), "share", last["n_treated"]
            )
            apart = int(last["estimate"] > first["conf_high"]) - int(last["estimate"] < first["conf_low"])
            rows.append(row | {"direction": {1: "better", -1: "worse", 0: "same"}[apart]})
    rows.append(_kept_exporting(frame, firms, study))
    return rows


def _kept_exporting(frame: pd.DataFrame, firms: pd.DataFrame, study: Study) -> dict | None:
    """Of treated firms without exports in the base year that began after entry, before the last year: two years in a row."""
    year, base = study.treatment.reference_year, study.baseline.year
    if "exp_status" not in frame or "cohort" not in firms:
        return None
    cohort = firms["cohort"].astype(float)
    cohort = cohort[cohort <= year]
    status = frame["exp_status"].astype(object).unstack("period").reindex(index=cohort.index, columns=range(base, year + 1))
    supported = np.arange(base + 1, year + 1) >= cohort.to_numpy()[:, None]
    exports = status.loc[:, base + 1 :].isin(["direct", "indirect"]).to_numpy() & supported
    began = (status[base] == "none").to_numpy() & exports[:, :-1].any(axis=1)
    both = (exports[:, 1:] & exports[:, :-1]).any(axis=1)
    return _share("effect", "exporting_two_years", (int((began & both).sum()), int(began.sum())), np.nan, study)


def _rubric(tables: Mapping[str, pd.DataFrame], sense: str) -> list[dict]:
    """A row a criterion of the sustainability rubric that belongs to this sense: its mean score, against the first one given."""
    rubrics = tables.get("rubrics")
    if rubrics is None or rubrics.empty:
        return []
    own, rows = rubrics[rubrics["rubric"] == "sustainability"], []
    for criterion, part in own.groupby(own["criterion"].astype(object)):
        if SENSES.get(criterion) == sense:
            now, before, n = _first_and_last(part)
            rows.append(_sign(sense, f"rubric_{criterion}", now, before, "score", n))
    return rows


def _first_and_last(rubric: pd.DataFrame) -> tuple[float, float, int]:
    """Mean last and first score over what was rated at both; without a second date, the score and NaN."""
    scores = rubric.assign(score=rubric["score"].astype(float)).groupby(["subject", "criterion", "rated_on"])["score"].mean()
    wide = scores.groupby(level=["subject", "criterion"]).agg(["first", "last", "size"])
    twice = wide[wide["size"] > 1]
    if twice.empty:
        return float(wide["last"].mean()), np.nan, len(wide)
    return float(twice["last"].mean()), float(twice["first"].mean()), len(twice)


def _two_years(table: pd.DataFrame, column: str, study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the twelve months up to the evaluation, and of the twelve before."""
    end, on = pd.Timestamp(study.as_of), pd.to_datetime(table[column])
    start = end - YEAR
    return table[(on > start) & (on <= end)], table[(on > start - YEAR) & (on <= start)]


def _joint_sales(frame: pd.DataFrame, firms: pd.DataFrame, year: int) -> pd.DataFrame:
    """Treated firms with sales in that year: `sales, joint_sales, cluster_id`."""
    if not {"sales", "joint_sales"} <= set(frame.columns) or "cohort" not in firms:
        return pd.DataFrame(columns=["sales", "joint_sales", "cluster_id"])
    treated = firms[firms["cohort"].astype(float) <= year]
    now = frame[frame.index.get_level_values("period") == year].droplevel("period").reindex(treated.index)
    cluster = treated["cluster_id"] if "cluster_id" in treated else pd.Series(None, treated.index, dtype=object)
    return now[["sales", "joint_sales"]].astype(float).assign(cluster_id=cluster).dropna(subset=["sales", "joint_sales"])


def _firm_share(groups) -> pd.Series:
    paid, cost = (groups[name].sum(min_count=1) for name in ("firm_paid_usd", "total_cost_usd"))
    return paid / cost.where(cost > 0)


def _ratio(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom > 0 else np.nan
