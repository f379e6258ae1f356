"""The matched sample: who is compared with whom, with which weight, and who is left out and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..errors import DesignError, Note
from ..study.match_spec import PAIRS, STRATA, WEIGHTING, MatchSpec

REASONS = (
    "later_cohort",
    "missing_covariate",
    "off_support",
    "cohort_not_matched",
    "no_partner_in_exact_cell",
    "caliper",
    "kept_apart",
    "pool_exhausted",
    "reserve",
    "not_chosen",
)
"""Why a firm is in no set: it enters after `until`; a covariate is missing; its score lies off the support; nobody of its cohort
could be matched; its exact cell or
stratum holds nobody of the other arm; all there lie outside a caliper; those inside must not share a set with it; those that
may were taken by others; it is a set's reserve; nobody needed it."""


MANY_STRATA = 30
"""From so many strata on, a stratum is a cluster; with fewer, its firms are."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimated:
    """What weights that were estimated owe to their estimation, for one cohort.

    `weight_i(β̂) − weight_i(β) ≈ derivative_i · Σ_l influence_l`.

    Attributes
    ----------
    firm_id : Index
        The firms, in the order of the arrays.
    derivative, influence : arrays or sparse arrays (firms, k)
        Of the weight by the k estimated quantities, and of each firm on them.
    """

    firm_id: pd.Index
    derivative: np.ndarray | sparse.sparray
    influence: np.ndarray | sparse.sparray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MatchedSample:
    """Who is compared with whom. Made by `match` and `match_panel` only.

    Attributes
    ----------
    sets : DataFrame
        One row a firm, set and cohort: `set_id` (1, 2, … in the order of the first firm), `cohort` (for which the row counts:
        that of the set's treated firms), `firm_id`, `role` (treated, control), `rank` (0 the firm that sought partners, 1 the
        first found; in strata and weightings 0 treated, 1 control), `distance` to the partner (NaN for the firm that sought, and
        where there are no pairs), `weight` (see `weights`).
    scores : Series
        By firm of both arms with no covariate missing: the propensity score, a probability. Empty where none could be fitted
        and none was needed.
    propensity : DataFrame
        The model: `covariate, estimate, std_error, statistic, p_value`.
    unmatched : DataFrame
        One row a firm in no set: `firm_id, role, reason` (see `REASONS`).
    spec : MatchSpec
        What was asked for.
    caliper : float
        The caliper on the score, in its own unit; infinite without one. Standard deviations are of all scores that were
        matched (both arms, n − 1).
    backups : DataFrame
        Ranked reserve controls, columns as `sets`, role `backup`, weight 0.
    space : DataFrame or None
        After matching with replacement: by firm in a set, the exact `cell` it stands in and its place `x1, x2, …`, in which
        distances are Euclidean.
    estimated : mapping
        By cohort, for strata and weightings: what the estimation of the weights adds to a sampling error.
    values : DataFrame or None
        After matching by cohort: by (cohort, firm at risk in it) its `cohort` (infinite for a candidate) and the columns matched
        on, as known the year before entry.
    anticipation : int
        After matching by cohort: years before entry in which firms may already react; controls enter later than that.
    notes : tuple of Note
        What needs reading.
    """

    sets: pd.DataFrame
    scores: pd.Series
    propensity: pd.DataFrame
    unmatched: pd.DataFrame
    spec: MatchSpec
    caliper: float = np.inf
    backups: pd.DataFrame | None = None
    space: pd.DataFrame | None = None
    estimated: Mapping[float, Estimated] = field(default_factory=dict)
    values: pd.DataFrame | None = None
    anticipation: int = 0
    notes: tuple[Note, ...] = ()

    @property
    def weights(self) -> pd.Series:
        """By `cohort, firm_id`: a firm's weights summed over the sets of that cohort; the only definition of a weight.

        For the ATT a treated firm weighs 1 and the controls of a set sum to its treated firms; for the ATC the other way round;
        for the ATE each arm of a set sums to the firms of both. Weightings are scaled alike.
        """
        return self.sets.groupby(["cohort", "firm_id"])["weight"].sum()

    @property
    def pairs(self) -> pd.DataFrame:
        """One row a treated firm and a control of one set: `set_id, cohort, treated_id, control_id, rank, distance, weight`.

        Raises
        ------
        DesignError
            For strata and weightings, which make no pairs.
        """
        if self.spec.method not in (*PAIRS, "full"):
            raise DesignError(f"method: {self.spec.method} makes no pairs; see `sets` and `weights`")
        return pairs_of(self.sets)

    @property
    def clusters(self) -> pd.Series:
        """By firm in a set: the cluster that its sampling error belongs to.

        The matched set (`clusters_are_sets`), named by its first `set_id`; sets that share a firm are one cluster, so that no firm
        stands in two (Abadie and Spiess 2022). With replacement, in weightings and few strata the firm itself.
        """
        if not self.clusters_are_sets:
            firms = pd.Index(np.sort(self.sets["firm_id"].unique()), name="firm_id")
            return pd.Series(firms, index=firms, name="firm_id")
        set_code, set_id = pd.factorize(self.sets["set_id"], sort=True)
        firm_code, firm_id = pd.factorize(self.sets["firm_id"], sort=True)
        n = len(set_id)
        edges = (np.ones(len(set_code)), (set_code, n + firm_code))
        size = n + len(firm_id)
        component = connected_components(sparse.coo_array(edges, shape=(size, size)), directed=False)[1]
        first = pd.Series(set_id).groupby(component[:n]).min()
        return pd.Series(first.loc[component[n:]].to_numpy(), index=pd.Index(firm_id, name="firm_id"), name="set_id")

    @property
    def clusters_are_sets(self) -> bool:
        """Whether sampling errors belong to sets: pairs without replacement, full matching, thirty strata or more."""
        if self.spec.method in STRATA:
            return self.sets["set_id"].nunique() >= MANY_STRATA
        return not self.spec.replace and self.spec.method not in WEIGHTING

    def with_backups(self, observed: Sequence) -> MatchedSample:
        """The sample in which a control that is not observed gives way to the first of its set's reserves that is.

        Only whether a firm is observed is read, never what. A set none of whose reserves is observed keeps its control.

        Parameters
        ----------
        observed : sequence of firm ids

        Raises
        ------
        DesignError
            When the match kept no reserves (`backups: 0`).
        """
        if self.backups is None or self.backups.empty:
            raise DesignError("the match kept no reserve controls; set match.backups to 3 or more")
        lost = (self.sets["role"] == "control") & ~self.sets["firm_id"].isin(observed)
        ready = self.backups[self.backups["firm_id"].isin(observed)].sort_values(["set_id", "rank"])
        turn = self.sets[lost].groupby("set_id").cumcount()
        queue = ready.assign(turn=ready.groupby("set_id").cumcount())
        columns = ["set_id", "turn", "firm_id", "distance"]
        found = self.sets.loc[lost, ["set_id"]].assign(turn=turn, row=self.sets.index[lost]).merge(queue[columns], how="inner")
        sets = self.sets.copy()
        gone = sets.loc[found["row"], "firm_id"].to_numpy()
        sets.loc[found["row"], "firm_id"] = found["firm_id"].to_numpy()
        sets.loc[found["row"], "distance"] = found["distance"].to_numpy()
        left = self.unmatched[~self.unmatched["firm_id"].isin(found["firm_id"])]
        out = pd.DataFrame({"firm_id": gone, "role": "control", "reason": "reserve"})
        backups = self.backups[~self.backups["firm_id"].isin(found["firm_id"])]
        return replace(self, sets=sets, unmatched=pd.concat([left, out], ignore_index=True), backups=backups)

    def __repr__(self) -> str:
        n_treated, n_control = self._counts()
        left = self.unmatched.loc[self.unmatched["role"] == "treated", "reason"].value_counts()
        why = ", ".join(f"{reason} {n}" for reason, n in left.items())
        return (
            f"MatchedSample: {n_treated} treated of {n_treated + left.sum()} with {n_control} controls; {design(self.spec)}"
            + (f"; treated left out: {why}" if why else "")
            + "".join(f"\n  note: {note}" for note in self.notes)
        )

    def _repr_html_(self) -> str:
        from html import escape

        n_treated, n_control = self._counts()
        left = self.unmatched.groupby(["role", "reason"]).size().rename("n_firms").reset_index()
        notes = "".join(f"<li>{escape(str(note))}</li>" for note in self.notes)
        return (
            f"<p><b>Matched sample</b>: {n_treated} treated, {n_control} controls. {escape(design(self.spec))}</p>"
            + (f"<ul>{notes}</ul>" if notes else "")
            + self.sets.head(6).to_html(index=False, float_format=lambda v: f"{v:.4g}", na_rep="")
            + "<p>In no set:</p>"
            + left.to_html(index=False)
        )

    def _counts(self) -> tuple[int, int]:
        firms = self.sets.groupby("role")["firm_id"].nunique()
        return int(firms.get("treated", 0)), int(firms.get("control", 0))


def cohort_values(sample: MatchedSample, firms: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """The firms of a match by cohort as a table on which balance can be judged, and their weights.

    One row a cohort and firm at risk in it, index `<cohort>|<firm_id>`: `cohort` (infinite for a control, though it may enter
    later), the columns as known the year before entry, every other column of `firms`.
    """
    values = sample.values
    g, ids = (values.index.get_level_values(k) for k in (0, 1))
    label = pd.Index([f"{c:g}|{i}" for c, i in zip(g, ids, strict=True)], name="firm_id")
    other = firms[[c for c in firms if c not in values]].reindex(ids)
    weights = sample.weights
    of = {key: label[k] for k, key in enumerate(zip(g, ids, strict=True))}
    named = pd.Series(weights.to_numpy(), index=pd.Index([of[key] for key in weights.index], name="firm_id"))
    return pd.concat([values.set_axis(label), other.set_axis(label)], axis=1), named


def design(spec: MatchSpec) -> str:
    """The match in one line: method, distance, ratio, calipers, exact columns, estimand.

    >>> design(MatchSpec(covariates=("size",), method="nearest", ratio=2, caliper=0.2))
    'nearest 1:2 on the linear_predictor, without replacement, caliper 0.2 sd'
    """
    words = spec.method
    if spec.method in PAIRS:
        words += f" 1:{spec.ratio}"
    if spec.method in (*PAIRS, "full"):
        words += f" on the {spec.distance_column or spec.distance}"
    if spec.method in PAIRS:
        words += f", with{'' if spec.replace else 'out'} replacement"
    if spec.caliper is not None:
        words += f", caliper {spec.caliper:g} {spec.caliper_unit}"
    words += "".join(f", {column} within {width:g}" for column, width in spec.calipers.items())
    words += f", exact {', '.join(spec.exact)}" if spec.exact else ""
    words += f", apart {', '.join(spec.antiexact)}" if spec.antiexact else ""
    words += f", support {spec.support}" if spec.support != "none" else ""
    words += ", by cohort" if spec.by_cohort else ""
    return words + (f"; {spec.estimand.upper()}" if spec.estimand != "att" else "")


def pairs_of(sets: pd.DataFrame) -> pd.DataFrame:
    """One row a treated firm and a control (or reserve) of one set, in the order of sets and ranks; `sets` are stars."""
    treated = sets[sets["role"] == "treated"]
    other = sets[sets["role"] != "treated"]
    both = other.merge(treated, on=["set_id", "cohort"], suffixes=("", "_treated"))
    table = pd.DataFrame(
        {
            "set_id": both["set_id"],
            "cohort": both["cohort"],
            "treated_id": both["firm_id_treated"],
            "control_id": both["firm_id"],
            "rank": np.maximum(both["rank"], both["rank_treated"]),
            "distance": both["distance"].fillna(both["distance_treated"]),
            "weight": both["weight"],
        }
    )
    return table.sort_values(["set_id", "rank", "treated_id"], ignore_index=True)


def set_table(
    firms: pd.DataFrame, number: np.ndarray, place: np.ndarray, rank: np.ndarray, distance: np.ndarray, estimand: str
) -> pd.DataFrame:
    """The `sets` table with its weights, from one entry a firm and set.

    Parameters
    ----------
    firms : DataFrame
        In the order of `firm_id`, with `cohort` (infinite: control).
    number, place : arrays of whole numbers
        The set and the position in `firms` of each entry.
    rank, distance : arrays
    estimand : str
        att: treated 1, the controls of a set sum to its treated firms of each cohort; atc the mirror image; ate: both arms sum to
        the firms of the set.
    """
    cohort = firms["cohort"].to_numpy(float)[place]
    is_treated = np.isfinite(cohort)
    n_sets = int(number.max(initial=-1)) + 1
    n1, n0 = (np.bincount(number[arm], minlength=n_sets) for arm in (is_treated, ~is_treated))
    # a control stands once for every cohort among its set's treated firms
    codes, cohorts = pd.factorize(cohort[is_treated], sort=True)
    keys, size = np.unique(number[is_treated] * max(len(cohorts), 1) + codes, return_counts=True)
    key_set, key_cohort = np.divmod(keys, max(len(cohorts), 1))
    first = np.searchsorted(key_set, np.arange(n_sets))
    times = np.diff(np.r_[first, len(key_set)])
    controls = np.flatnonzero(~is_treated)
    copies = times[number[controls]]
    row = np.r_[np.flatnonzero(is_treated), np.repeat(controls, copies)]
    within = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
    key = np.repeat(first[number[controls]], copies) + within
    counted = np.r_[cohort[is_treated], np.asarray(cohorts, float)[key_cohort[key]] if len(key) else np.empty(0)]
    treated_of_cohort = np.r_[np.ones(int(is_treated.sum())), size[key]]
    treated_row, s = is_treated[row], number[row]
    with np.errstate(divide="ignore"):
        by = {
            "att": np.where(treated_row, 1.0, treated_of_cohort / n0[s]),
            "atc": np.where(treated_row, n0[s] / np.maximum(n1[s], 1), 1.0),
            "ate": (n1 + n0)[s] / np.where(treated_row, np.maximum(n1[s], 1), np.maximum(n0[s], 1)),
        }
    order = np.lexsort((place[row], rank[row], counted, s))
    columns = {
        "set_id": s + 1,
        "cohort": counted,
        "firm_id": place[row],
        "role": treated_row.astype(int),
        "rank": rank[row],
        "distance": distance[row],
        "weight": by[estimand],
    }
    columns = {name: values[order] for name, values in columns.items()}
    names = {"firm_id": firms.index.take(columns["firm_id"]), "role": words(["control", "treated"], columns["role"])}
    return pd.DataFrame(columns | names)


def words(texts: Sequence[str], codes: np.ndarray) -> pd.Series:
    """Text by its number: much faster than text by text when there are many rows of few."""
    return pd.Series(pd.array(list(texts), dtype="str").take(codes))
