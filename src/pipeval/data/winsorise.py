"""Extreme values drawn in to the quantiles of their group, as params declare before outcomes are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..errors import DesignError, Note, warn

WITHIN = ("branch", "size_class")
"""Columns of the firms within which, year by year, values are extreme or not."""


def winsorised(values: pd.Series, firms: pd.DataFrame, share: float, within: Sequence[str] = WITHIN) -> pd.Series:
    """The values with the lowest and the highest `share` of each group and period set to the quantile there.

    Parameters
    ----------
    values : Series
        By (`firm_id`, `period`); NaN stays NaN.
    firms : DataFrame
        Index `firm_id`; has the columns `within`.
    share : float
        Drawn in at either end.
    within : sequence of str
        Columns that make groups. A group with fewer than 1/share values in a period has no such tail: its values are compared
        with all those that agree on the columns but the last, and so on to all firms of the period; firms with a column missing
        alike. Only a period with fewer than 1/share values is left as it is.

    Returns
    -------
    Series
        As `values`. A note says how many values moved, of how many.

    Raises
    ------
    DesignError
        When the share is not between 0 and a half, or firms lack a column.

    Notes
    -----
    Quantiles interpolate linearly (Hyndman and Fan 1996, type 7). Thresholds are found anew in every period, so that growth is
    not cut with the level; winsorising moves an effect towards that of the firms in the middle.

    Examples
    --------
    >>> index = pd.MultiIndex.from_product([[f"f{i}" for i in range(1, 6)], [1]], names=["firm_id", "period"])
    >>> import warnings; warnings.simplefilter("ignore")
    >>> firms = pd.DataFrame({"branch": "shoes"}, index=[f"f{i}" for i in range(1, 6)])
    >>> winsorised(pd.Series([0.0, 1, 2, 3, 9], index), firms, 0.25, ["branch"]).tolist()
    [1.0, 1.0, 2.0, 3.0, 3.0]
    """
    if not 0 < share < 0.5:
        raise DesignError(f"a share winsorised at either end lies between 0 and 0.5, 0.01 for instance; found {share}")
    absent = [c for c in within if c not in firms]
    if absent:
        raise DesignError(f"winsorising within {list(within)} needs these columns of the firms; not found: {absent}")
    frame = firms[list(within)].reindex(values.index.get_level_values(0)).set_axis(values.index)
    frame = frame.assign(_period=values.index.get_level_values(1), _value=values.to_numpy(float))
    low, high = (np.full(len(values), np.nan) for _ in range(2))
    for depth in range(len(within), -1, -1):
        keys = ["_period", *within[:depth]]
        known = frame[keys].notna().all(axis=1).to_numpy()
        group = frame.groupby(keys, sort=False)["_value"]
        enough = (group.transform("count") >= 1 / share).to_numpy()
        fresh = np.isnan(low) & known & enough
        if fresh.any():
            # a quantile a group, laid on its rows
            low[fresh] = group.transform("quantile", share).to_numpy()[fresh]
            high[fresh] = group.transform("quantile", 1 - share).to_numpy()[fresh]
    drawn = frame["_value"].to_numpy(copy=True)
    inside = ~np.isnan(low)
    drawn[inside] = np.clip(drawn[inside], low[inside], high[inside])
    moved = int((np.abs(drawn - frame["_value"]) > 0).sum())
    if moved:
        text = "{outcome}: {moved} of {n} values were drawn in to the quantiles {share:.1%} and {rest:.1%} of their group and year"
        known = int(frame["_value"].notna().sum())
        found = {"outcome": values.name or "values", "moved": moved, "n": known, "share": share, "rest": 1 - share}
        warn(Note("winsorised", text, found))
    return pd.Series(drawn, index=values.index, name=values.name)
