"""How well the information system serves: completeness, timeliness, consistency and coverage of its tables; its steps; its team.

The midterm evaluation asks how well monitoring works (Dini, Guaipatín and Rivas 2005); the log frame's P5 asks for updated
information on each sector.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from ..data.contract import TABLES
from ..data.intervals import with_share
from ..data.load import Tables
from ..data.measures import ANSWERED
from ..study.specs import Study

COMPLETE = (0.95, 0.80)
"""Share of the cells that a table should have filled: in columns that are needed, and in others."""

QUERIES = 5.0
"""Queries per 100 rows that a table may have at most."""

EVERY_FIRM = ("survey", "services", "satisfaction")
"""Tables in which every participant should appear; in the others absence may be the truth."""

STEPS = ("users", "needs", "priority_information", "existing", "method", "responsibilities", "formats", "resources")
"""The steps of designing an information system (Dini, Guaipatín and Rivas 2005)."""

STEADY = ("staff", "corrections", "other_support")
"""Tables in which nothing new may be the truth: they are not asked to be fresh."""

CONDITIONAL = {
    "enterprises": ("cluster_id", "cluster_type", "role", "control_listed_on"),
    "services": ("event_id", "persons_trained"),
    "satisfaction": ("comment",),
    "series": ("base",),
    "territory_totals": ("note",),
    "ledger": ("component", "activity_id", "firm_id"),
    "activities": ("indicator_id",),
    "milestones": ("sector",),
    "conditions": ("sector",),
    "compliance": ("plan_provided",),
    "attendance": ("firm_id",),
    "joint_actions": ("value_k", "saving_k"),
    "interviews": ("firm_id",),
    "assessments": ("goal",),
    "reports": ("due_on",),
}
"""Columns that apply to some rows only, by table: empty cells there are not gaps. Money is named without its currency."""

_MONTH = 365.25 / 12


def scorecard(tables: Tables, faults: pd.DataFrame, firms: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row a table supplied: how complete, fresh, consistent and covering it is, and its score.

    Parameters
    ----------
    tables : Tables
        What was read, as known at `study.as_of`.
    faults : DataFrame
        What the check found (`table, row, rule, kind`, …).
    firms : DataFrame
        The register, index `firm_id`: its beneficiaries that have not closed are to be covered.
    study : Study
        Its `as_of`, the months a figure stays fresh (`credibility.freshness_months`), the least response (`assumptions.response`).

    Returns
    -------
    DataFrame
        * `table, n_rows`;
        * `complete_needed, complete_other`: share of cells filled, in columns that the contract needs and in others, among the rows
          that can be asked (survey: answered; enterprises: beneficiaries). Left out: dates of events, which may not have happened,
          columns that apply to some rows only, and columns without any value, which are `n_columns_empty`;
        * `last_on, months_old`: date of the newest row, NaN for a table without dates; `share_recent`: rows dated within the months
          that a figure stays fresh;
        * `queries_per_100`: faults found per 100 rows;
        * `share_covered`: beneficiaries not closed that appear in it (in the survey, that answered), for tables where all should;
        * `n_passed, n_rules, score`: rules kept, rules that apply, and 4 × their ratio. Rules: 95 % of the needed cells filled and
          80 % of the others; the newest row within the fresh months; at most 5 queries per 100 rows; coverage at least the least
          response. An empty table keeps none.
    """
    rows = [_table_row(name, frame, tables, faults, firms, study) for name, frame in tables.frames.items() if name in TABLES]
    return pd.DataFrame(rows)


def _table_row(name: str, frame: pd.DataFrame, tables: Tables, faults: pd.DataFrame, firms: pd.DataFrame, study: Study) -> dict:
    fresh, as_of = study.credibility.freshness_months, pd.Timestamp(study.as_of)
    row = {"table": name, "n_rows": len(frame)} | _completeness(name, frame, study.programme.currency)
    dated = _dates(name, frame)
    newest = dated.max()
    row |= {"last_on": newest, "months_old": (as_of - newest).days / _MONTH if pd.notna(newest) else np.nan}
    row["share_recent"] = ((as_of - dated.dropna()).dt.days / _MONTH <= fresh).mean() if dated.notna().any() else np.nan
    row["queries_per_100"] = 100 * (faults["table"] == name).sum() / len(frame) if len(frame) else np.nan
    row["share_covered"] = _covered(name, frame, firms) if name in EVERY_FIRM else np.nan
    needed, other = row["complete_needed"], row["complete_other"]
    rules = {
        "complete": needed >= COMPLETE[0] and not other < COMPLETE[1] if not np.isnan(needed) else None,
        "fresh": row["months_old"] <= fresh if name not in STEADY and not np.isnan(row["months_old"]) else None,
        "consistent": row["queries_per_100"] <= QUERIES if len(frame) else None,
        "covering": row["share_covered"] >= study.assumptions.response if not np.isnan(row["share_covered"]) else None,
    }
    known = [bool(kept) for kept in rules.values() if kept is not None] or [False]
    return row | {"n_passed": sum(known), "n_rules": len(known), "score": 4 * sum(known) / len(known)}


def _completeness(name: str, frame: pd.DataFrame, currency: str) -> dict:
    """Shares of cells filled, in columns that are needed and in others, among the rows that can be asked for them."""
    if name == "survey":
        frame = frame[frame["response"].isin(ANSWERED)]
    elif name == "enterprises":
        frame = frame[frame["arm"] == "beneficiary"]
    columns = {c: spec for c, spec in TABLES[name].named(currency).items() if c in frame}
    empty = [c for c, spec in columns.items() if not spec.needed and frame[c].isna().all()]
    needed = [c for c, spec in columns.items() if spec.needed]
    some_rows = tuple(f"{c}{currency.lower()}" if c.endswith("_k") else c for c in CONDITIONAL.get(name, ()))
    other = [c for c, spec in columns.items() if not (spec.needed or spec.event or c in empty or c in some_rows)]
    shares = [frame[group].notna().to_numpy().mean() if len(frame) and group else np.nan for group in (needed, other)]
    return {"n_columns_empty": len(empty) if len(frame) else np.nan, "complete_needed": shares[0], "complete_other": shares[1]}


def _dates(name: str, frame: pd.DataFrame) -> pd.Series:
    """The date of each row: the day it became known, else the end of its year."""
    spec = TABLES[name]
    if spec.known_on and spec.known_on in frame:
        return pd.to_datetime(frame[spec.known_on])
    if spec.year and spec.year in frame:
        return pd.to_datetime(frame[spec.year].map(lambda y: f"{int(y)}-12-31" if pd.notna(y) else None))
    return pd.Series(pd.NaT, index=frame.index, dtype="datetime64[s]")


def _open(firms: pd.DataFrame) -> pd.DataFrame:
    """Beneficiaries that have not closed."""
    own = firms[firms["arm"] == "beneficiary"]
    return own[own["closed_on"].isna()] if "closed_on" in own else own


def _covered(name: str, frame: pd.DataFrame, firms: pd.DataFrame) -> float:
    seen = frame[frame["response"].isin(ANSWERED)] if name == "survey" else frame
    ids = _open(firms).index
    return float(ids.isin(seen["firm_id"]).mean()) if len(ids) else np.nan


def freshness_table(survey: pd.DataFrame, firms: pd.DataFrame, as_of: date, months: int = 12, level: float = 0.95) -> pd.DataFrame:
    """One row a sector (*all* together): beneficiaries whose latest answer is at most `months` old at `as_of` (indicator P5).

    `sector, n_firms` (beneficiaries not closed), `n_fresh, share, share_low, share_high` (Wilson), `months_old` (median age of the
    latest answer, by interview; firms that never answered have none). No row where no interview is dated.
    """
    if survey["interview_on"].isna().all():
        return with_share(pd.DataFrame(columns=["sector", "n_firms", "n_fresh", "months_old"]), "n_fresh", "n_firms", level)
    own = _open(firms)
    answered = survey[survey["response"].isin(ANSWERED)]
    latest = pd.to_datetime(answered.groupby("firm_id")["interview_on"].max()).reindex(own.index)
    age = (pd.Timestamp(as_of) - latest).dt.days / _MONTH
    sector = own["sector"] if "sector" in own else pd.Series(np.nan, index=own.index, dtype=object)
    rows = []
    for name in [*sorted(sector.dropna().unique()), "all"]:
        part = age if name == "all" else age[sector == name]
        rows.append([name, len(part), int((part <= months).sum()), part.median()])
    return with_share(pd.DataFrame(rows, columns=["sector", "n_firms", "n_fresh", "months_old"]), "n_fresh", "n_firms", level)


def system_steps(rubrics: pd.DataFrame) -> pd.DataFrame:
    """One row a step of the information system's design: how evaluators rate it, 1 (absent) to 4 (complete), at the last rating.

    `step, score` (mean over raters and subjects), `n_raters, rated_on, status`: *in_place* (3 or more), *partly* (2 or more),
    *absent*, or *not_known* where nobody rated it. Ratings are those of the rubric *monitoring* whose criterion is the step.
    """
    own = rubrics[rubrics["rubric"] == "monitoring"]
    rows = []
    for step in STEPS:
        rated = own[own["criterion"] == step]
        last = pd.to_datetime(rated["rated_on"]).max()
        now = rated[pd.to_datetime(rated["rated_on"]) == last]
        score = now["score"].astype(float).mean()
        status = "in_place" if score >= 3 else "partly" if score >= 2 else "absent" if score >= 1 else "not_known"
        rows.append([step, score, now["rater"].nunique(), last, status])
    return pd.DataFrame(rows, columns=["step", "score", "n_raters", "rated_on", "status"])


def staff_table(staff: pd.DataFrame, until: date) -> pd.DataFrame:
    """One row a post of the team: how many persons have held it and how long it stood empty, up to `until`.

    `post, unit, n_holders` (distinct), `n_changes` (holders less one), `months` (from its first day to `until`), `vacant_months`
    (days without a holder), `share` (of the time held), `held` (by somebody on `until`). No person is named.

    >>> team = pd.DataFrame({"staff_key": ["p", "q"], "post": "coordinator", "started_on": ["2004-01-01", "2004-04-01"],
    ...                      "left_on": ["2004-02-29", None]})
    >>> staff_table(team, date(2004, 6, 30))[["n_holders", "n_changes", "held"]].to_numpy().tolist()
    [[2, 1, True]]
    """
    own = staff.assign(started_on=pd.to_datetime(staff["started_on"]), left_on=pd.to_datetime(staff.get("left_on")))
    own = own[own["post"].notna() & (own["started_on"] <= pd.Timestamp(until))]
    rows = []
    for post, part in own.groupby("post"):
        first, last = part["started_on"].min(), pd.Timestamp(until)
        days = pd.date_range(first, last)
        ends = part["left_on"].fillna(last)
        held = np.zeros(len(days), dtype=bool)
        for start, end in zip(part["started_on"], ends, strict=True):
            held |= (days >= start) & (days <= end)
        unit = part["unit"].dropna().iloc[-1] if "unit" in part and part["unit"].notna().any() else np.nan
        holders = part["staff_key"].nunique()
        rows.append([post, unit, holders, holders - 1, len(days) / _MONTH, (~held).sum() / _MONTH, held.mean(), bool(held[-1])])
    columns = ["post", "unit", "n_holders", "n_changes", "months", "vacant_months", "share", "held"]
    return pd.DataFrame(rows, columns=columns)


def turnover_table(posts: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row for the team: `n_posts, n_changed` (posts with more than one holder), `share` with Wilson limits, `n_vacant` (now),
    `months` (post-months), `vacant_months` and `changes_per_year` (changes of holder per post and year).

    The stability of the team is critical to a programme of this kind (Dini, Guaipatín and Rivas 2005).
    """
    if posts.empty:
        return pd.DataFrame(columns=["n_posts", "n_changed", "n_vacant", "months", "vacant_months", "changes_per_year", "share"])
    row = {
        "n_posts": len(posts),
        "n_changed": int((posts["n_holders"] > 1).sum()),
        "n_vacant": int((~posts["held"].astype(bool)).sum()),
        "months": posts["months"].sum(),
        "vacant_months": posts["vacant_months"].sum(),
        "changes_per_year": 12 * posts["n_changes"].sum() / posts["months"].sum(),
    }
    return with_share(pd.DataFrame([row]), "n_changed", "n_posts", level)


def other_programmes_table(other_support: pd.DataFrame, firms: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row another programme (*any* of them last) and arm: its firms and what they got, as far as known by the evaluation.

    `programme, arm, n_firms` (distinct), `n_arm` (firms of the arm), `share, share_low, share_high` (Wilson), `amount_usd` (sum;
    NaN where no amount is known). Support that reaches participants and comparison firms alike does not explain a difference
    between them; support that reaches one side more may.
    """
    own = other_support.dropna(subset=["programme"]).assign(arm=lambda t: t["firm_id"].map(firms["arm"]))
    sizes = firms["arm"].value_counts()
    amount = own["amount_usd"] if "amount_usd" in own else pd.Series(np.nan, index=own.index)
    rows = []
    for programme in [*sorted(own["programme"].unique()), "any"] if len(own) else ():
        here = own["programme"].notna() if programme == "any" else own["programme"] == programme
        for arm, size in sizes.sort_index().items():
            mine = here & (own["arm"] == arm)
            rows.append([programme, arm, own.loc[mine, "firm_id"].nunique(), int(size), amount[mine].sum(min_count=1)])
    table = pd.DataFrame(rows, columns=["programme", "arm", "n_firms", "n_arm", "amount_usd"])
    return with_share(table, "n_firms", "n_arm", level)
