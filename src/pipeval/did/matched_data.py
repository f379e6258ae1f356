"""A panel and its match as one table, to go on with in another program."""

from __future__ import annotations

import pandas as pd

from ..data.panel import Panel
from ..errors import DesignError, some
from ..matching.matched import MatchedSample

_OURS = ["firm_id", "period", "match_cohort", "cohort", "role", "weight", "set_id", "n_sets"]


def matched_data(panel: Panel, sample: MatchedSample) -> pd.DataFrame:
    """One row a firm and period, and a cohort for which it counts: its weight beside its covariates and outcomes.

    Parameters
    ----------
    panel : Panel
    sample : MatchedSample
        Of firms of this panel.

    Returns
    -------
    DataFrame
        `firm_id, period`; `match_cohort`: the treated firms' cohort for which the row counts; `cohort`: the firm's own, infinite if
        never treated; `role` (treated, control); `weight` (`sample.weights`); `set_id`: its matched set, missing where it stands in
        several of that cohort, which `n_sets` counts; then the firm's covariates and the outcomes, NaN where not observed. A
        control of several cohorts has its rows once for each, so that the table holds every comparison that the match made.

    Raises
    ------
    DesignError
        When firms of the match are not in the panel, or a column of the panel bears one of the names above.

    Examples
    --------
    >>> import numpy as np
    >>> from pipeval import MatchSpec, match
    >>> ids = pd.Index(list("abcd"), name="firm_id")
    >>> firms = pd.DataFrame({"cohort": [2, 2, np.inf, np.inf], "size": [1.0, 3.0, 1.1, 2.8]}, index=ids)
    >>> y = pd.DataFrame({"y": [1.0, 2.0, 3.0, 5.0]}, index=pd.MultiIndex.from_product([ids, [2]]))
    >>> panel = Panel(firms, y)
    >>> table = matched_data(panel, match(panel.firms, MatchSpec(covariates=("size",))))
    >>> table[["firm_id", "period", "role", "weight", "set_id"]].to_numpy().tolist()[2:]
    [['c', 2, 'control', 1.0, 1.0], ['d', 2, 'control', 1.0, 2.0]]
    """
    covariates = panel.firms.drop(columns="cohort")
    taken = [c for c in (*covariates, *panel.outcomes) if c in _OURS]
    if taken:
        raise DesignError(
            f"matched data name their columns {', '.join(_OURS)}; the panel has {some(taken, 'such name')}. Rename them"
        )
    strangers = pd.Index(sample.sets["firm_id"].unique()).difference(panel.firms.index)
    if len(strangers):
        raise DesignError(f"every firm of the match must be in the panel; {some(strangers)} are not. Match on panel.firms")
    sets = sample.sets.rename(columns={"cohort": "match_cohort"})
    rows = sets.groupby(["match_cohort", "firm_id"], sort=True).agg(
        role=("role", "first"), weight=("weight", "sum"), set_id=("set_id", "first"), n_sets=("set_id", "nunique")
    )
    rows["set_id"] = rows["set_id"].astype(float).where(rows["n_sets"] == 1)
    rows = rows.reset_index().merge(panel.firms[["cohort"]], left_on="firm_id", right_index=True, how="left")
    table = rows.merge(panel.outcomes.reset_index(), on="firm_id", how="inner", suffixes=("", "_outcome"))
    table = table.merge(covariates, left_on="firm_id", right_index=True, how="left", suffixes=("_outcome", ""))
    order = [*_OURS, *covariates, *(c for c in table if c not in _OURS and c not in covariates)]
    return table.sort_values(["match_cohort", "firm_id", "period"], ignore_index=True)[order]
