"""The matched sample: who is compared with whom, with which weight, and who is left out and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..errors import Note
from ..study.specs import MatchSpec

REASONS = ("later_cohort", "missing_covariate", "no_partner_in_exact_cell", "caliper", "pool_exhausted", "not_chosen")
"""Why a firm is in no set: it enters after `until`; a covariate is missing; its exact cell holds no control; the nearest control
of its cell lies outside the caliper; those inside were taken by others; a control that nobody needed."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MatchedSample:
    """Matched sets of one treated firm and its controls. Made by `match` only.

    Attributes
    ----------
    sets : DataFrame
        One row a firm in a set: `set_id` (1, 2, … in the order of the treated `firm_id`), `cohort` (of the set's treated firm),
        `firm_id`, `role` (treated, control), `rank` (0 treated, 1 the control found first), `distance` to the treated firm
        on the scale of `spec.distance` (NaN for the treated itself), `weight` (treated 1, each of k controls 1/k).
    scores : Series
        By firm of both arms with no covariate missing: the propensity score.
    propensity : DataFrame
        The model: `covariate, estimate, std_error, statistic, p_value`.
    unmatched : DataFrame
        One row a firm in no set: `firm_id, role, reason` (see `REASONS`).
    spec : MatchSpec
        What was asked for.
    caliper : float
        The caliper on the scale of `spec.distance`: `spec.caliper` times the standard deviation of all scores in the pool
        (both arms, n − 1); infinite without one.
    notes : tuple of Note
        What needs reading.
    """

    sets: pd.DataFrame
    scores: pd.Series
    propensity: pd.DataFrame
    unmatched: pd.DataFrame
    spec: MatchSpec
    caliper: float = np.inf
    notes: tuple[Note, ...] = ()

    @property
    def weights(self) -> pd.Series:
        """By `cohort, firm_id`: a firm's weights summed over the sets of that cohort; a cohort's controls sum to its treated."""
        return self.sets.groupby(["cohort", "firm_id"])["weight"].sum()

    @property
    def pairs(self) -> pd.DataFrame:
        """One row a control in a set: `set_id, treated_id, control_id, rank, distance`."""
        is_treated = self.sets["role"] == "treated"
        treated = self.sets[is_treated].set_index("set_id")["firm_id"]
        controls = self.sets[~is_treated]
        return pd.DataFrame(
            {
                "set_id": controls["set_id"],
                "treated_id": treated.loc[controls["set_id"]].to_numpy(),
                "control_id": controls["firm_id"],
                "rank": controls["rank"],
                "distance": controls["distance"],
            }
        ).reset_index(drop=True)

    @property
    def clusters(self) -> pd.Series:
        """By firm in a set: the cluster its sets belong to, named by its first `set_id`.

        Sets that share a firm are one cluster, so that no firm stands in two; without replacement a cluster is a set.
        """
        set_code, set_id = pd.factorize(self.sets["set_id"], sort=True)
        firm_code, firm_id = pd.factorize(self.sets["firm_id"], sort=True)
        n = len(set_id)
        edges = (np.ones(len(set_code)), (set_code, n + firm_code))
        size = n + len(firm_id)
        component = connected_components(sparse.coo_array(edges, shape=(size, size)), directed=False)[1]
        first = pd.Series(set_id).groupby(component[:n]).min()
        return pd.Series(first.loc[component[n:]].to_numpy(), index=pd.Index(firm_id, name="firm_id"), name="set_id")

    def __repr__(self) -> str:
        n_treated, n_control = self._counts()
        left = self.unmatched.loc[self.unmatched["role"] == "treated", "reason"].value_counts()
        why = ", ".join(f"{reason} {n}" for reason, n in left.items())
        return (
            f"MatchedSample: {n_treated} treated of {n_treated + left.sum()} with {n_control} controls; {self._design()}"
            + (f"; treated left out: {why}" if why else "")
            + "".join(f"\n  note: {note}" for note in self.notes)
        )

    def _repr_html_(self) -> str:
        n_treated, n_control = self._counts()
        left = self.unmatched.groupby(["role", "reason"]).size().rename("n_firms").reset_index()
        notes = "".join(f"<li>{note}</li>" for note in self.notes)
        return (
            f"<p><b>Matched sample</b>: {n_treated} treated, {n_control} controls. {self._design()}</p>"
            + (f"<ul>{notes}</ul>" if notes else "")
            + self.pairs.head().to_html(index=False)
            + "<p>In no set:</p>"
            + left.to_html(index=False)
        )

    def _counts(self) -> tuple[int, int]:
        firms = self.sets.groupby("role")["firm_id"].nunique()
        return int(firms["treated"]), int(firms["control"])

    def _design(self) -> str:
        spec = self.spec
        return (
            f"{spec.method} 1:{spec.ratio} on the {spec.distance}, with{'' if spec.replace else 'out'} replacement"
            + (f", caliper {spec.caliper:g} SD" if spec.caliper is not None else "")
            + (f", exact {', '.join(spec.exact)}" if spec.exact else "")
        )


def sets_from_pairs(
    firms: pd.DataFrame, treated: np.ndarray, control: np.ndarray, rank: np.ndarray, distance: np.ndarray
) -> pd.DataFrame:
    """The `sets` table of these pairs; `treated` and `control` are positions in `firms`, which is in the order of `firm_id`."""
    order = np.lexsort((rank, treated))
    treated, control, rank, distance = treated[order], control[order], rank[order], distance[order]
    head, set_no, size = np.unique(treated, return_inverse=True, return_counts=True)
    number = np.r_[np.arange(len(head)), set_no]
    firm = np.r_[head, control]
    columns = {
        "set_id": number + 1,
        "cohort": firms["cohort"].to_numpy(float)[head[number]],
        "firm_id": firms.index.to_numpy()[firm],
        "role": np.repeat(["treated", "control"], [len(head), len(control)]),
        "rank": np.r_[np.zeros(len(head), int), rank],
        "distance": np.r_[np.full(len(head), np.nan), distance],
        "weight": np.r_[np.ones(len(head)), 1 / size[set_no]],
    }
    by_set = np.lexsort((columns["rank"], number))
    return pd.DataFrame({name: values[by_set] for name, values in columns.items()})
