"""The path that leads to one year's effect: by time since entry, for exactly the firms that the year describes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..errors import DesignError
from .aggregate import weighted
from .effects import Effects, effects_from

CARRIED = 0.80
"""Share of the firms described that must be seen in a period before entry for it to tell their trend."""


def path_to(cells: Effects, year: int) -> tuple[Effects, np.ndarray]:
    """One row a time since entry, and the weights with which the rows after entry make up the effect in `year`.

    Parameters
    ----------
    cells : Effects
        From `att_gt` with a universal base.
    year : int

    Returns
    -------
    Effects
        Keys `term, event_time, phase, span`. After entry the row e holds the cohort that entered e periods before `year`; before
        it, the mean over those same cohorts in those same shares, as far as at least 80 % of them are seen there. The last row,
        whose event time is NaN, is the effect in `year`.
    array (rows after entry,)
        weights @ estimates is the effect in `year`.

    Raises
    ------
    DesignError
        Without an effect in `year`; when the cells are not those of `att_gt` with a universal base; when cohorts enter with
        gaps, so that the times since entry are not consecutive.

    Notes
    -----
    A departure from parallel trends bounded by time since entry (Rambachan and Roth 2023) is then one of this effect, on the
    assumption that it depends on the time since entry alone, not on the cohort. The last row knows that shares are estimated; the
    others take them as they are.
    """
    table = cells.table
    if "weight_treated" not in table or "base" not in set(table["phase"]):
        raise DesignError(
            "the path to a year needs every row measured from one base period: att_gt with base: universal; a varying base, "
            "imputation and ancova have none"
        )
    here = table[(table["period"] == year) & (table["phase"] == "post")].sort_values("event_time")
    if here.empty:
        raise DesignError(f"no cohort has an effect in {year}")
    share = here.set_index("cohort")["weight_treated"] / here["weight_treated"].sum()
    times = here["event_time"].to_numpy(int)
    if (np.diff(times) != 1).any():
        raise DesignError(f"cohorts in {year} entered {', '.join(map(str, times))} periods before: the path has gaps")
    columns, keys = [], []
    mine = table["cohort"].isin(share.index) & table["std_error"].notna()
    for (time, phase), rows in table[mine & table["phase"].isin(["pre", "anticipation"])].groupby(["event_time", "phase"]):
        part = share.reindex(rows["cohort"]).to_numpy()
        if part.sum() >= CARRIED:
            columns.append(pd.Series(part / part.sum(), index=rows.index))
            keys.append((int(time), phase, float(rows["span"] @ (part / part.sum()))))
    columns += [pd.Series(1.0, index=[k]) for k in here.index]
    keys += [(int(r.event_time), "post", float(r.span)) for r in here.itertuples()]
    base = int(table.loc[(table["phase"] == "base") & table["cohort"].isin(share.index), "event_time"].max())
    columns += [pd.Series(share.to_numpy(), index=here.index), pd.Series(0.0, index=here.index[:1])]
    keys += [(np.nan, "post", float(here["span"] @ share.to_numpy())), (base, "base", 0.0)]
    shares = np.column_stack([c.reindex(table.index).fillna(0.0).to_numpy() for c in columns])
    influence, treated = cells.influence @ shares, cells.treated_weight @ shares
    control = cells.control.astype(float) @ (shares > 0) > 0
    estimate = np.nan_to_num(table["estimate"].to_numpy(float)) @ shares
    whole = weighted(cells, here.index.to_numpy(), share.to_numpy()[:, None])[1][0]
    influence[:, len(keys) - 2] = whole[:, 0]  # with what the shares' own estimation adds, as in the headline
    found = pd.DataFrame(keys, columns=["event_time", "phase", "span"])
    found.insert(0, "term", np.where(found["event_time"].isna(), "average", "event_time"))
    order = np.lexsort((found["event_time"].fillna(np.inf),))
    arrays = influence[:, order], treated[:, order], control[:, order]
    path = effects_from(found.iloc[order], estimate[order], arrays, cells.firm_id, cells.clusters, cells.level, cells.notes)
    return path, share.to_numpy()
