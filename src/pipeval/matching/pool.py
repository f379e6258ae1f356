"""Who may be compared: firms that the programme touched otherwise, or something else did, leave before anything is matched."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..errors import DataError, some
from ..study.specs import Treatment

REASONS = (
    "in_both_lists",
    "other_beneficiary",
    "indirect",
    "same_cluster",
    "other_programme",
    "ineligible",
    "outside_branches",
)
"""Why a firm may not be compared, in the order in which the reasons are looked for: a firm leaves by the first that holds."""


def comparable(panel: Panel, rules: Treatment, controls_only: Sequence[str] = ("other_programme", "ineligible")) -> Panel:
    """The panel of the firms that may be compared; the others leave by the ledger, stage `pool`, by the first reason that holds.

    A treated firm is one with a finite cohort: a member of the treatment definition. The reasons, and the columns of
    `panel.firms` they read; a reason whose column is absent is not applied:

    * `in_both_lists` (column of that name, true): never-treated, yet suspected to stand in a participants' list too.
    * `other_beneficiary` (`arm` = beneficiary): never-treated under this definition, but touched by the programme.
    * `indirect` (`arm` = indirect): never-treated, reached through others.
    * `same_cluster` (`business_cluster`): never-treated, in the business cluster of a treated firm or another beneficiary.
    * `other_programme` (column of that name, true): in another programme.
    * `ineligible` (`eligible`, false): could not have taken part. Not known is not ineligible.
    * `outside_branches` (`branch`): either arm, when `rules.branches` names branches and this is none of them.

    Parameters
    ----------
    panel : Panel
    rules : Treatment
        Its `branches` are the branches in which outcomes are evaluated; none means all.
    controls_only : sequence of str
        Which of `other_programme, ineligible` let only never-treated firms leave. By default both: a treated firm in another
        programme stays and is counted (`pool_table`).

    Examples
    --------
    >>> firms = pd.DataFrame(
    ...     {"cohort": [2004, np.inf, np.inf], "arm": ["beneficiary", "indirect", "nonparticipant"]},
    ...     index=pd.Index(["a", "b", "c"], name="firm_id"),
    ... )
    >>> outcomes = pd.DataFrame({"y": 1.0}, index=pd.MultiIndex.from_product([list("abc"), [2003]], names=["firm_id", "period"]))
    >>> comparable(Panel(firms, outcomes), Treatment(reference_year=2004)).ledger.to_numpy().tolist()
    [['b', 'pool', 'indirect']]
    """
    found = _reasons(panel.firms, rules.branches, set(controls_only))
    return panel.keep(found.index[found == ""], stage="pool", reason=found)


def pool_table(panel: Panel, before: pd.DataFrame) -> pd.DataFrame:
    """One row a reason and arm: how many firms left the pool and how many stay, the waterfall of contamination.

    Parameters
    ----------
    panel : Panel
        What `comparable` returned.
    before : DataFrame
        `Panel.firms` as it was handed to `comparable`: those who left are no longer in the panel.

    Returns
    -------
    DataFrame
        `reason` (those of `REASONS` in order, then `treated_in_other_programme`: treated firms that stay though in another
        programme, then `kept`, which includes them), `arm` (the column `arm`; treated or never_treated without one), `n`.
    """
    left = panel.ledger.loc[panel.ledger["stage"] == "pool"].set_index("firm_id")["reason"]
    arm = before["arm"].astype(str) if "arm" in before else _history(before)
    status = pd.Series("kept", index=before.index).where(~before.index.isin(left.index), left.reindex(before.index))
    also = _true(before, "other_programme") & np.isfinite(before["cohort"].to_numpy(float)) & (status == "kept").to_numpy()
    rows = pd.DataFrame(
        {
            "reason": np.r_[status.to_numpy(object), np.full(also.sum(), "treated_in_other_programme", object)],
            "arm": np.r_[arm.to_numpy(object), arm.to_numpy(object)[also]],
        }
    )
    counts = rows.groupby(["reason", "arm"]).size().rename("n").reset_index()
    place = {reason: k for k, reason in enumerate([*REASONS, "treated_in_other_programme", "kept"])}
    return counts.sort_values(["reason", "arm"], key=lambda s: s.map(place) if s.name == "reason" else s, ignore_index=True)


def _reasons(firms: pd.DataFrame, branches: Sequence[str], controls_only: set[str]) -> pd.Series:
    """By firm: the first reason to leave, or nothing."""
    never = np.isinf(firms["cohort"].to_numpy(float))
    arm = firms["arm"].astype(str).to_numpy() if "arm" in firms else np.full(len(firms), "")
    everyone = np.ones(len(firms), bool)
    holds = {
        "in_both_lists": never & _true(firms, "in_both_lists"),
        "other_beneficiary": never & (arm == "beneficiary"),
        "indirect": never & (arm == "indirect"),
        "same_cluster": never & _beside_participants(firms, ~never | (arm == "beneficiary")),
        "other_programme": (never if "other_programme" in controls_only else everyone) & _true(firms, "other_programme"),
        "ineligible": (never if "ineligible" in controls_only else everyone) & ~_true(firms, "eligible", missing=True),
        "outside_branches": _outside(firms, branches),
    }
    return pd.Series(np.select([holds[r] for r in REASONS], REASONS, ""), index=firms.index)


def _beside_participants(firms: pd.DataFrame, participant: np.ndarray) -> np.ndarray:
    if "business_cluster" not in firms:
        return np.zeros(len(firms), bool)
    cluster = firms["business_cluster"]
    return (cluster.isin(cluster[participant].dropna()) & cluster.notna()).to_numpy()


def _outside(firms: pd.DataFrame, branches: Sequence[str]) -> np.ndarray:
    if not branches or "branch" not in firms:
        return np.zeros(len(firms), bool)
    return ~firms["branch"].isin(list(branches)).to_numpy()


def _true(firms: pd.DataFrame, column: str, missing: bool = False) -> np.ndarray:
    """Where a yes-or-no column says yes; `missing` is what a missing value counts as."""
    if column not in firms:
        return np.full(len(firms), missing)
    values = firms[column].astype(object).fillna(missing)
    other = ~values.isin([True, False])  # the word "false" is true to Python
    if other.any():
        raise DataError(f"column '{column}' must hold yes or no as true and false; it does not for {some(firms.index[other])}")
    return values.astype(bool).to_numpy()


def _history(firms: pd.DataFrame) -> pd.Series:
    never = np.isinf(firms["cohort"].to_numpy(float))
    return pd.Series(np.where(never, "never_treated", "treated"), index=firms.index)
