"""Whether firms work together: joint actions and what they save, and ties between firms before and now."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.intervals import mean_interval

TIES = ("n_ties", "joint_sales", "joint_purchases")


def money_column(table: pd.DataFrame, start: str) -> str | None:
    """The column of money in thousands whose name begins so, whatever the currency; none when the table lacks it.

    >>> money_column(pd.DataFrame(columns=["firm_id", "value_kmxn"]), "value_k")
    'value_kmxn'
    """
    return next((c for c in table.columns if c.startswith(start) and len(c) == len(start) + 3), None)


def joint_actions_table(joint_actions: pd.DataFrame, clusters: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a sector (*all* together) and kind of joint action: actions, clusters, firms, value, and saving on purchases.

    `sector, type, n` (actions: one of several firms counts once), `n_clusters, n_firms, joint_value_k, saving_k` (thousand of
    national currency, current), `saving_share` (of the value, where both are known).
    """
    form = clusters.set_index("cluster_id")["sector"] if clusters is not None else pd.Series(dtype=object)
    sector = joint_actions["cluster_id"].map(form).astype(object)
    value, saving = (money_column(joint_actions, start) for start in ("value_k", "saving_k"))
    blank = pd.Series(np.nan, index=joint_actions.index)
    table = joint_actions.assign(value=joint_actions[value] if value else blank, saving=joint_actions[saving] if saving else blank)
    kinds = table["type"].astype(object).where(table["type"].notna(), "not_known")
    rows = []
    for name in [*sorted(sector.dropna().unique()), "all"]:
        own = table if name == "all" else table[sector == name]
        rows += [[name, kind, *_joint(part)] for kind, part in own.groupby(kinds)]
    names = ["n", "n_clusters", "n_firms", "joint_value_k", "saving_k", "saving_share"]
    return pd.DataFrame(rows, columns=["sector", "type", *names])


def _joint(part: pd.DataFrame) -> list:
    both = part[["value", "saving"]].dropna()
    share = both["saving"].sum() / both["value"].sum() if both["value"].sum() > 0 else np.nan
    actions = len(part.drop_duplicates(["cluster_id", "on", "type"]))
    sums = [part["value"].sum(min_count=1), part["saving"].sum(min_count=1)]
    return [actions, part["cluster_id"].nunique(), part["firm_id"].nunique(), *sums, share]


def cooperation_table(survey: pd.DataFrame, firms: pd.DataFrame, base_year: int, level: float = 0.95) -> pd.DataFrame:
    """One row an arm and sign of cooperation: its mean in the base year and in the last one, among firms that answered both.

    `arm, measure` (*n_ties*: firms cooperated with; *joint_sales, joint_purchases*: share of firms that have any), `base_period,
    period, n` (firms with both answers), `mean_base, mean, mean_change, conf_low, conf_high` (t over the changes; NaN under two
    firms or without spread). A change before and after, without a counterfactual.
    """
    rows = []
    for measure in TIES:
        column = measure if measure == "n_ties" else money_column(survey, f"{measure}_k")
        if column is None or column not in survey:
            continue
        known = survey.dropna(subset=[column])
        later = known.loc[known["ref_year"] > base_year, "ref_year"]
        if later.empty:
            continue
        wide = known.pivot_table(index="firm_id", columns="ref_year", values=column, aggfunc="first")
        if base_year not in wide:
            continue
        pair = wide[[base_year, later.max()]].dropna().set_axis(["base", "now"], axis=1)
        pair = pair if measure == "n_ties" else (pair > 0).astype(float)
        arm = firms["arm"].reindex(pair.index)
        rows += [[a, measure, base_year, int(later.max()), *_change(part, level)] for a, part in pair.groupby(arm)]
    names = ["n", "mean_base", "mean", "mean_change", "conf_low", "conf_high"]
    return pd.DataFrame(rows, columns=["arm", "measure", "base_period", "period", *names])


def _change(pair: pd.DataFrame, level: float) -> list:
    return [len(pair), pair["base"].mean(), pair["now"].mean(), *mean_interval(pair["now"] - pair["base"], level)]
