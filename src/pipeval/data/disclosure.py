"""How few firms may stand behind a printed figure: with fewer, one of them could be read from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

FEWEST_SHOWN = 5
"""Firms that a figure needs to be shown."""


def shown(table: pd.DataFrame, n: str, columns: Sequence[str]) -> pd.DataFrame:
    """The table with these figures blank where fewer than five firms, by the column `n`, stand behind a row; counts stay.

    >>> shown(pd.DataFrame({"n": [4, 5], "mean": [1.0, 2.0]}), "n", ["mean"])["mean"].tolist()
    [nan, 2.0]
    """
    enough = table[n].fillna(0) >= FEWEST_SHOWN
    return table.assign(**{c: table[c].where(enough, np.nan) for c in columns})
