"""How far each business cluster has come, and what its form means for monitoring and for controls."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from .cooperation import money_column

MILESTONES = ("identified", "plan_approved", "formed", "legal", "joint_sale")
"""The road of a cluster; its stage is the furthest milestone reached, whether or not those before it were."""

TYPES = ("horizontal", "vertical", "cluster", "local")
_MONTH = 365.25 / 12


def milestone_dates(clusters: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Which milestones each cluster had reached by `as_of`: index `cluster_id`, one yes-or-no column a milestone.

    The legal form has no date of its own: it counts once the cluster is formed.
    """
    own = clusters.set_index("cluster_id")
    today = pd.Timestamp(as_of)
    done = pd.DataFrame({m: pd.to_datetime(own[f"{m}_on"]) <= today for m in MILESTONES if m != "legal"}, index=own.index)
    done["legal"] = (own["legal_entity"] == 1) & done["formed"]
    return done[list(MILESTONES)]


def cluster_scoreboard(
    clusters: pd.DataFrame,
    firms: pd.DataFrame,
    as_of: date,
    services: pd.DataFrame | None = None,
    joint_actions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row a cluster: members, milestones, joint actions, support received, and time since its plan was approved.

    Parameters
    ----------
    clusters, services, joint_actions : DataFrame
        Tables of the contract. Where `joint_actions` has rows, actions are counted there (an action of several firms on a day is
        one action); otherwise as `clusters` state them.
    firms : DataFrame
        The register, index `firm_id`; members are its beneficiaries that have neither closed nor left by `as_of`.
    as_of : date
        What happened later is not known.

    Returns
    -------
    DataFrame
        `cluster_id, sector, branch, cluster_type, n_members, members_planned, n_milestones` (of five), `stage` (furthest reached,
        *none* before the first), `joint_actions_planned, joint_actions_done, share` (done of planned), `joint_value_k, saving_k`
        (thousand of national currency, current), `cost_usd, paid_usd` (of its members' services, those that left included),
        `months` (since the plan was approved), `months_to_form` (from approval to formation; to `as_of` while not formed),
        `lag_months` (that, minus the median of the clusters with an approved plan; positive is slower), `slower` (lag above zero
        and not formed).

    Examples
    --------
    >>> board = cluster_scoreboard(pd.DataFrame({"cluster_id": ["C1"], "identified_on": ["2003-11-01"], "legal_entity": [1.0]}),
    ...                            pd.DataFrame({"arm": ["beneficiary"], "cluster_id": ["C1"]}, index=["a"]), date(2004, 1, 1))
    >>> board.iloc[0][["n_members", "n_milestones", "stage"]].astype(object).map(str).tolist()
    ['1', '1', 'identified']
    """
    own = _completed(clusters)
    done = milestone_dates(own, as_of)
    table = own.set_index("cluster_id")[["sector", "branch", "cluster_type", "members_planned"]]
    member = firms[(firms["arm"] == "beneficiary") & firms["cluster_id"].notna()] if "cluster_id" in firms else firms.iloc[:0]
    table["n_members"] = _counted(_present(member, as_of), table.index)
    table["n_milestones"] = done.sum(axis=1)
    table["stage"] = [_furthest(row) for row in done.to_numpy()]
    table = table.join(_actions(own, joint_actions))
    table["share"] = table["joint_actions_done"] / table["joint_actions_planned"].where(table["joint_actions_planned"] > 0)
    table = table.join(_support(services, member, table.index)).join(_pace(own, done, as_of))
    columns = ["sector", "branch", "cluster_type", "n_members", "members_planned", "n_milestones", "stage"]
    rest = [c for c in table.columns if c not in columns]
    return table[[*columns, *rest]].sort_index().rename_axis("cluster_id").reset_index()


def _completed(clusters: pd.DataFrame) -> pd.DataFrame:
    """The clusters with every column read here."""
    codes = ("sector", "branch", "cluster_type")
    numbers = ("members_planned", "legal_entity", "joint_actions_planned", "joint_actions_done")
    blank = {c: pd.Series(np.nan, index=clusters.index, dtype=object) for c in codes if c not in clusters}
    blank |= {c: np.nan for c in numbers if c not in clusters}
    blank |= {f"{m}_on": pd.NaT for m in MILESTONES if m != "legal" and f"{m}_on" not in clusters}
    return clusters.assign(**blank)


def _present(member: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Members that have neither closed nor left."""
    gone = pd.Series(False, index=member.index)
    for column in (c for c in ("closed_on", "exited_on") if c in member):
        gone |= pd.to_datetime(member[column]) <= pd.Timestamp(as_of)
    return member[~gone]


def _counted(member: pd.DataFrame, clusters: pd.Index) -> pd.Series:
    return member.groupby("cluster_id").size().reindex(clusters, fill_value=0) if len(member) else pd.Series(0, index=clusters)


def _furthest(row: np.ndarray) -> str:
    return MILESTONES[np.flatnonzero(row)[-1]] if row.any() else "none"


def _actions(clusters: pd.DataFrame, joint_actions: pd.DataFrame | None) -> pd.DataFrame:
    """Joint actions by cluster: planned, done, and their value and saving where each action is on record."""
    own = clusters.set_index("cluster_id")
    table = own[["joint_actions_planned", "joint_actions_done"]].astype(float)
    if joint_actions is None or joint_actions.empty:
        return table.assign(joint_value_k=np.nan, saving_k=np.nan)
    by_cluster = joint_actions.groupby("cluster_id")
    done = joint_actions.drop_duplicates(["cluster_id", "on", "type"]).groupby("cluster_id").size()
    table["joint_actions_done"] = done.reindex(own.index, fill_value=0).astype(float)
    for name, start in (("joint_value_k", "value_k"), ("saving_k", "saving_k")):
        column = money_column(joint_actions, start)
        table[name] = by_cluster[column].sum(min_count=1).reindex(own.index) if column else np.nan
    return table


def _support(services: pd.DataFrame | None, member: pd.DataFrame, clusters: pd.Index) -> pd.DataFrame:
    if services is None:
        return pd.DataFrame({"cost_usd": np.nan, "paid_usd": np.nan}, index=clusters)
    names = {"total_cost_usd": "cost_usd", "programme_paid_usd": "paid_usd"}
    theirs = services.reindex(columns=["firm_id", *names]).rename(columns=names)
    theirs = theirs.assign(cluster_id=theirs["firm_id"].map(member["cluster_id"]))
    return theirs.groupby("cluster_id")[list(names.values())].sum().reindex(clusters, fill_value=0.0)


def _pace(clusters: pd.DataFrame, done: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """Months since approval, from approval to formation, and the lag behind the median cluster."""
    own, today = clusters.set_index("cluster_id"), pd.Timestamp(as_of)
    approved = pd.to_datetime(own["plan_approved_on"]).where(done["plan_approved"])
    formed = pd.to_datetime(own["formed_on"]).where(done["formed"], today)
    table = pd.DataFrame({"months": (today - approved).dt.days / _MONTH, "months_to_form": (formed - approved).dt.days / _MONTH})
    table["lag_months"] = table["months_to_form"] - table["months_to_form"].median()
    return table.assign(slower=(table["lag_months"] > 0) & ~done["formed"])


def cluster_funnel(clusters: pd.DataFrame, as_of: date) -> pd.DataFrame:
    """One row a sector (*all* together) and milestone: clusters that had reached it by `as_of`.

    Columns `sector, stage, n, n_clusters, share` (of the sector's clusters).
    """
    own = _completed(clusters)
    done = milestone_dates(own, as_of)
    sector = own.set_index("cluster_id")["sector"]
    rows = []
    for name in [*sorted(sector.dropna().unique()), "all"]:
        part = done if name == "all" else done[sector == name]
        rows += [[name, m, int(part[m].sum()), len(part)] for m in MILESTONES]
    table = pd.DataFrame(rows, columns=["sector", "stage", "n", "n_clusters"])
    return table.assign(share=table["n"] / table["n_clusters"].where(table["n_clusters"] > 0))


def typology_table(clusters: pd.DataFrame, firms: pd.DataFrame) -> pd.DataFrame:
    """One row a form of cluster present: how many, their firms, and what its appropriability means for monitoring and controls.

    Where the benefits stay with the members (*appropriability* high: horizontal and vertical networks), all participants are
    monitored and firms of the sector may be controls; where they spread (low: clusters, local environments), the beneficiaries are
    all firms of the sector in the area: they are what is monitored, controls come from another area, and results take longer
    (Dini, Guaipatín and Rivas 2005, table 1).

    Columns `cluster_type, n_clusters, n_firms` (beneficiaries in them), `n_others` (other firms registered in them),
    `appropriability, monitor` (*all_participants, sector_area*), `controls` (*same_sector, other_area*).
    """
    inside = firms[firms["cluster_id"].isin(clusters["cluster_id"])] if "cluster_id" in firms else firms.iloc[:0]
    form = clusters.set_index("cluster_id")["cluster_type"] if "cluster_type" in clusters else pd.Series(dtype=object)
    theirs = inside["cluster_id"].map(form) if len(inside) else pd.Series(dtype=object)
    rows = []
    for kind in (t for t in TYPES if (form == t).any()):
        took = inside.loc[theirs == kind, "arm"] == "beneficiary"
        high = kind in ("horizontal", "vertical")
        reading = ["high", "all_participants", "same_sector"] if high else ["low", "sector_area", "other_area"]
        rows.append([kind, int((form == kind).sum()), int(took.sum()), int((~took).sum()), *reading])
    return pd.DataFrame(
        rows, columns=["cluster_type", "n_clusters", "n_firms", "n_others", "appropriability", "monitor", "controls"]
    )
