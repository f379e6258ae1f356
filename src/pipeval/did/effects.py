"""Effects: a table of estimates and the influence of every firm on each of them.

The influence is normalised so that estimate − truth ≈ Σᵢ ψᵢ over firms: nothing else is needed for any standard error.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from ..errors import DesignError, Note, some, warn
from .inference import (
    cluster_codes,
    count_clusters,
    counting_clusters,
    covariance,
    critical_value,
    critical_value_normal,
    few_clusters,
    intervals,
    standard_errors,
)

TIDY = (
    "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "df", "n_treated", "n_control", "n_clusters",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """Estimates with their influence; made by `att_gt`, `aggregate`, `poisson_att` and `net_count`.

    Attributes
    ----------
    table : DataFrame
        One row an estimate: its keys, then `estimate, std_error, statistic, p_value, conf_low, conf_high, df,
        n_treated, n_control, n_clusters`; `band_low, band_high` after `bands`. `n_treated` and `n_control` are firms,
        each counted once. `std_error` is NaN with fewer than two treated or two comparison firms, fewer than three
        clusters, no variation, and for the base period.
    influence : array (n_firms, rows)
        A column sums to the sampling error of its estimate.
    treated_weight : array (n_firms, rows)
        The treated firms a row describes; each column sums to 1.
    control : array of bool (n_firms, rows)
        The firms that serve as comparison in a row.
    firm_id : Index
        The firms, in the order of the arrays.
    clusters : Series, DataFrame or None
        Cluster labels by `firm_id`, of one or two ways, behind `std_error`; None: every firm its own.
    level : float
        Of the intervals.
    notes : tuple of Note
        What needs reading beside the numbers.
    """

    table: pd.DataFrame
    influence: np.ndarray = field(repr=False)
    treated_weight: np.ndarray = field(repr=False)
    control: np.ndarray = field(repr=False)
    firm_id: pd.Index = field(repr=False)
    clusters: pd.Series | pd.DataFrame | None = None
    level: float = 0.95
    notes: tuple[Note, ...] = ()

    @property
    def member(self) -> np.ndarray:
        """Array of bool (n_firms, rows): the firms that enter a row."""
        return self.control | (self.treated_weight > 0)

    def clustered(self, labels: pd.Series | pd.DataFrame | None, level: float | None = None) -> Effects:
        """The same estimates with the uncertainty of other clusters.

        Where clusters hold several treated firms, controls that stand alone do not count for the degrees of freedom
        (`counting_clusters`): beside business clusters they say nothing of how such clusters differ.

        Parameters
        ----------
        labels : Series, DataFrame or None
            Cluster by `firm_id`, for instance the matched set; a firm without a label is a cluster of its own; None:
            firms. Two columns: clustered two ways, V₁ + V₂ − V₁₂, with the fewer clusters behind `df` and `n_clusters`.
        level : float, optional
            Of the intervals; by default as before.
        Raises
        ------
        DesignError
            When fewer than three clusters count (of either of two ways), or the labels name none of the firms.
        """
        level = self.level if level is None else level
        codes = cluster_codes(labels, self.firm_id)
        n_clusters = count_clusters(self.member, codes)
        old = self.table
        n_treated, n_control = old["n_treated"].to_numpy(), old["n_control"].to_numpy()
        counting = counting_clusters(self.member, self.treated_weight > 0, codes)
        degrees = counting - 1.0
        reliable = (n_treated >= 2) & (n_control >= 2) & (self.influence != 0).any(axis=0) & (degrees > 0)
        raw, lost = standard_errors(self.influence, codes, self.member)
        std_error = np.where(reliable, raw, np.nan)
        keys = {c: old[c].array for c in old.columns if c not in TIDY and not c.startswith("band_")}  # no index to align: 2 ms
        numbers = intervals(old["estimate"].to_numpy(float), std_error, degrees, level)
        counts = {"n_treated": n_treated, "n_control": n_control, "n_clusters": n_clusters}
        table = pd.DataFrame({**keys, **numbers, **counts})
        kept = tuple(n for n in self.notes if n.key not in ("few_clusters", "no_std_error", "two_ways_lost"))
        notes = [few_clusters(counting), _without_error(table), _replaced(lost & reliable)]
        fresh = tuple(n if n in self.notes else warn(n) for n in notes if n is not None)
        return replace(self, table=table, clusters=labels, level=level, notes=kept + fresh)

    def covariance(self, rows: np.ndarray) -> tuple[np.ndarray, int]:
        """The covariance of some rows (positions), squared standard errors on its diagonal, and the clusters that enter any row."""
        codes, member = cluster_codes(self.clusters, self.firm_id), self.member[:, rows]
        groups = count_clusters(member.any(axis=1, keepdims=True), codes)
        return covariance(self.influence[:, rows], codes, member), int(groups[0])

    def only(self, rows: np.ndarray) -> Effects:
        """The same effects, these rows (positions) alone."""
        arrays = self.influence[:, rows], self.treated_weight[:, rows], self.control[:, rows]
        table = self.table.iloc[rows].reset_index(drop=True)
        return replace(self, table=table, influence=arrays[0], treated_weight=arrays[1], control=arrays[2])

    def bands(self, draws: int = 999, seed: int = 20031121, labels: pd.Series | None = None) -> Effects:
        """The same effects with `band_low, band_high`: intervals that hold for all rows at once with probability `level`.

        Rows without a standard error, and averages, have no band. `labels` recomputes the clusters first.
        """
        effects = self if labels is None else self.clustered(labels)
        table = effects.table
        rows = table["std_error"].notna().to_numpy(copy=True)
        if "term" in table:
            rows = rows & (table["term"] != "average").to_numpy()
        low = np.full(len(table), np.nan)
        high = low.copy()
        if rows.any():
            std_error, estimate = table["std_error"].to_numpy()[rows], table["estimate"].to_numpy()[rows]
            codes = cluster_codes(effects.clusters, effects.firm_id)
            psi, level = effects.influence[:, rows], effects.level
            if codes.ndim == 2:
                critical = critical_value_normal(covariance(psi, codes, effects.member[:, rows]), level, draws, seed)
            else:
                critical = critical_value(psi, std_error, codes, level, draws, seed)
            # the bootstrap takes standard errors as known, its tails are normal: with few clusters those of t are wider
            critical = stats.t.isf(stats.norm.sf(critical), table["df"].to_numpy(float)[rows])
            pointwise = (table["conf_high"] - table["estimate"]).to_numpy()[rows]
            half = np.maximum(critical * std_error, pointwise)
            low[rows], high[rows] = estimate - half, estimate + half
        return replace(effects, table=table.assign(band_low=low, band_high=high))

    def __repr__(self) -> str:
        return f"Effects: {self._size()}\n{self.table.to_string(index=False)}"

    def _repr_html_(self) -> str:
        from html import escape

        notes = "".join(f"<li>{escape(str(note))}</li>" for note in self.notes)
        table = self.table.to_html(index=False, border=0, float_format=lambda v: f"{v:.4g}", na_rep="")
        return f"<p><b>Effects</b>: {self._size()}</p>{table}" + (f"<ul>{notes}</ul>" if notes else "")

    def _size(self) -> str:
        count = len(self.table)
        return f"{count} row{'' if count == 1 else 's'}, {len(self.firm_id)} firms"



def effects_from(
    keys: pd.DataFrame,
    estimate: np.ndarray,
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
    firm_id: pd.Index,
    clusters: pd.Series | None,
    level: float,
    notes: tuple[Note, ...] = (),
) -> Effects:
    """Effects with their inference filled in; `arrays` are influence, treated_weight and control."""
    influence, treated_weight, control = arrays
    counts = {"n_treated": (treated_weight > 0).sum(axis=0), "n_control": control.sum(axis=0)}
    table = pd.DataFrame({**{c: keys[c].array for c in keys}, "estimate": estimate, **counts})
    return Effects(table, influence, treated_weight, control, firm_id, clusters, level, notes).clustered(clusters, level)


def joined(parts: Mapping[Hashable, Effects], key: str) -> Effects:
    """The rows of several effects in one table, the name of each part in the column `key`, over the firms of all of them.

    A firm that is not in a part has no influence on its rows, so joint tests and bands across outcomes or groups hold together.
    Clusters are those of all parts: a firm keeps the label that every part with this firm gives it.

    Raises
    ------
    DesignError
        Without a part, when levels differ, when one part is clustered one way and another two, or when two parts put a firm into
        different clusters: their rows have no common uncertainty.

    Examples
    --------
    >>> from pipeval import Panel, att_gt
    >>> wide = pd.DataFrame({1: [1.0, 2.0, 1.0, 3.0], 2: [4.0, 6.0, 2.0, 4.5]}, index=list("abcd"))
    >>> frame = wide.stack().rename("y").rename_axis(["firm", "year"]).reset_index()
    >>> frame["start"] = frame["firm"].isin(["a", "b"]) * 2
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> import warnings; warnings.simplefilter("ignore")
    >>> joined({"once": att_gt(panel, "y"), "again": att_gt(panel, "y")}, "part").table["part"].tolist()
    ['once', 'once', 'again', 'again']
    """
    if not parts:
        raise DesignError("there is no part to join")
    first = next(iter(parts.values()))
    levels = sorted({part.level for part in parts.values()})
    if len(levels) > 1:
        raise DesignError(f"parts are joined at one level; found {levels}. Use clustered(labels, level=...) before")
    firm_id = first.firm_id
    for part in parts.values():
        firm_id = firm_id.union(part.firm_id)
    arrays = []
    for name in ("influence", "treated_weight", "control"):
        columns = []
        for part in parts.values():
            own = getattr(part, name)
            wide = np.zeros((len(firm_id), own.shape[1]), own.dtype)
            wide[firm_id.get_indexer(part.firm_id)] = own
            columns.append(wide)
        arrays.append(np.column_stack(columns))
    tables = [part.table.assign(**{key: name})[[key, *part.table.columns]] for name, part in parts.items()]
    table = pd.concat(tables, ignore_index=True)
    notes = tuple({str(n): n for part in parts.values() for n in part.notes}.values())
    return Effects(table, *arrays, firm_id, _joined_labels(parts), first.level, notes)


def _joined_labels(parts: Mapping[Hashable, Effects]) -> pd.Series | pd.DataFrame | None:
    """Cluster labels by firm over the firms of all parts; None where every part has firms."""
    given = [part.clusters for part in parts.values()]
    if all(labels is given[0] for labels in given):
        return given[0]
    ways = {labels.shape[1] if isinstance(labels, pd.DataFrame) else 1 for labels in given}
    if len(ways) > 1:
        raise DesignError("parts are clustered one way or two, all alike; found both. Use clustered(labels) before")
    joined_up = []
    for way in range(ways.pop()):
        found = pd.Series(dtype=object)
        for name, part in parts.items():
            labels = part.clusters.iloc[:, way] if isinstance(part.clusters, pd.DataFrame) else part.clusters
            own = pd.Series(None, part.firm_id, dtype=object) if labels is None else labels.astype(object).reindex(part.firm_id)
            own = own.where(own.notna(), None)
            both = own.index.intersection(found.index)
            apart = both[[a != b for a, b in zip(own[both], found[both], strict=True)]]
            if len(apart):
                raise DesignError(
                    f"'{name}' puts {some(apart)} into another cluster than the parts before it: such rows have no common "
                    "uncertainty. Give all parts the same labels, part.clustered(labels)"
                )
            found = pd.concat([found, own[own.index.difference(found.index)]])
        joined_up.append(found)
    if len(joined_up) == 1:
        return joined_up[0]
    columns = next(labels.columns for labels in given)
    return pd.concat(joined_up, axis=1, keys=columns)


def _replaced(lost: np.ndarray) -> Note | None:
    """A note when two-way clustering gave a variance that is not positive."""
    if not lost.any():
        return None
    text = "two-way clusters give no positive variance in {n} row(s); the larger of the one-way variances is used there"
    return Note("two_ways_lost", text, {"n": int(lost.sum())})


def _without_error(table: pd.DataFrame) -> Note | None:
    """A note naming the rows that have an estimate but no standard error, base periods apart."""
    missing = np.isnan(table["std_error"].to_numpy(float)) & ~np.isnan(table["estimate"].to_numpy(float))
    if missing.any() and "phase" in table:
        missing &= (table["phase"] != "base").to_numpy()
    if not missing.any():
        return None
    return Note(
        "no_std_error",
        "{n} row(s) have no standard error: fewer than two treated or comparison firms, fewer than three clusters, or no variation",
        {"n": int(missing.sum())},
    )
