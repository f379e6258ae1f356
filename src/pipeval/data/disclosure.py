"""How few firms may stand behind a printed figure: with fewer, one of them could be read from it.

The functions that make tables compute every row; what is told of few firms is blanked where tables are gathered for the report.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

FEWEST_SHOWN = 5
"""Firms that a figure needs to be shown."""

_RATES = ("share", "share_low", "share_high")
GUARDED: dict[str, tuple[str | tuple[str, str], tuple[str, ...]]] = {
    "baseline_indicators": ("n", ("mean", "median", "sd")),
    "chain_roles": ("n_firms", ("paid_usd", "share")),
    "territory": ("n_known", ("register_sum", "expanded_sum", "ratio_register", "ratio_expanded")),
    "baseline_update": (
        "n", ("total_base", "total_final", "total_change", "mean_base", "mean_final", "mean_change", "value_change"),
    ),
    "marginal_change": ("n", ("dose_mean", "change_per_unit", "estimate", "std_error", "conf_low", "conf_high", "p_value")),
    "services": ("n_quality", ("quality_mean",)),
    "activity_matrix": ("n_usefulness", ("usefulness",)),
    "joint_actions": ("n_firms", ("joint_value_k", "saving_k", "saving_share")),
    "cooperation": ("n", ("mean_base", "mean", "mean_change", "conf_low", "conf_high")),
    "compliance": ("n", (*_RATES, "n_planned")),
    "compliance_change": (
        "n", ("share_base", "share_now", "n_gained", "n_lost", "difference", "difference_low", "difference_high", "p_value"),
    ),
    "compliance_path": ("n", _RATES),
    "satisfaction": (
        "n_firms", ("mean", "sd", "mean_low", "mean_high", *_RATES, "share_bottom", "net_promoter", "agreement"),
    ),
    "response_groups": ("n_firms", ("mean",)),
    "opinion_effect": (("n_yes", "n_no"), ("mean_yes", "mean_no", "difference", "difference_low", "difference_high")),
    "assessment_scores": (
        "n", ("mean_first", "mean_last", "score_change", "score_change_low", "score_change_high", "goal", *_RATES),
    ),
    "assessment_gaps": ("n", ("mean_expert", "mean_firm", "gap", "gap_low", "gap_high")),
}  # fmt: skip
"""Table → the column that counts firms or answers (the smaller of two), and the figures that are blank when it is below five."""


def guarded(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables, by name, with the figures of fewer than five firms blank (NaN); their counts stay.

    >>> guarded({"compliance_path": pd.DataFrame({"n": [4, 5], "share": [1.0, 0.4]})})["compliance_path"]["share"].tolist()
    [nan, 0.4]
    """
    return {name: _blank(table, *GUARDED[name]) if name in GUARDED else table for name, table in tables.items()}


def _blank(table: pd.DataFrame, n: str | tuple[str, str], figures: tuple[str, ...]) -> pd.DataFrame:
    few = table[[n] if isinstance(n, str) else list(n)].min(axis=1).fillna(0) < FEWEST_SHOWN
    return table.assign(**{c: table[c].astype(float).mask(few, np.nan) for c in figures if c in table}) if few.any() else table
