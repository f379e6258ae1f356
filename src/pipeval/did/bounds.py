"""Bounds where firms are missing and nothing is known of why: Lee's for a change, the worst case for a net count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import brentq

from ..data.panel import NEVER, Panel
from ..errors import DataError, DesignError, collected, some, warn
from ..study.specs import DidSpec
from .cells import cluster_labels, sampling_weights, weightless
from .counts import net_count
from .inference import cluster_codes, standard_errors

BOUNDS = [
    "bounds", "lower", "upper", "lower_error", "upper_error", "conf_low", "conf_high", "difference", "trimmed", "share_trimmed",
    "response_treated", "response_control", "n_treated", "n_control", "n_cells", "n_left_out",
]  # fmt: skip


class Stratum(NamedTuple):
    """A cohort at the end of the study: positions of the firms observed in its base period, by arm, and who still was.

    `change` (n,) is over all firms, NaN where an end is missing.
    """

    cohort: float
    base_period: int
    treated: np.ndarray
    control: np.ndarray
    seen_treated: np.ndarray
    seen_control: np.ndarray
    change: np.ndarray


def asked(panel: Panel, outcome: str, spec: DidSpec, period: int) -> Iterator[Stratum]:
    """Each cohort that has entered by `period`, with the firms observed in its base period: its own and those compared with it."""
    wide = panel.wide(outcome).dropna(axis=1, how="all")
    if period not in wide:
        raise DesignError(f"outcome '{outcome}' is not observed in {period}; its periods are {list(wide.columns)}")
    cohort = panel.firms["cohort"].to_numpy(float)
    end = wide[period].to_numpy(float)
    for g in np.unique(cohort[cohort <= period]):
        before = [p for p in wide.columns if p <= g - 1 - spec.anticipation]
        if not before:
            continue
        start = wide[max(before)].to_numpy(float)
        there, change = ~np.isnan(start), end - start
        later = cohort == NEVER if spec.comparison == "never_treated" else cohort > period + spec.anticipation
        rows = np.flatnonzero(there & (cohort == g)), np.flatnonzero(there & later)
        yield Stratum(float(g), int(max(before)), *rows, *(~np.isnan(change[r]) for r in rows), change)


def known_weights(panel: Panel, spec: DidSpec) -> np.ndarray:
    """The sampling weights that `spec` names, over the firms; ones without, 0 where missing."""
    weights = sampling_weights(panel.firms, spec, None)
    return np.ones(len(panel.firms)) if weights is None else weights.reindex(panel.firms.index).fillna(0.0).to_numpy(float)


def known_clusters(firms: pd.DataFrame, spec: DidSpec) -> pd.Series | pd.DataFrame | None:
    """The clusters that `spec` names; firms for `set_id`, as nothing here is matched."""
    return None if spec.cluster == "set_id" else cluster_labels(firms, spec.cluster)


def lee_table(
    panel: Panel, outcome: str, spec: DidSpec, period: int, cells: Sequence[str] = (), level: float | None = None
) -> pd.DataFrame:
    """Lee's bounds on the effect in `period`: a row `plain`, and a row `tightened` by `cells` (columns of the firms).

    Columns as in `lee_bounds`. Each cohort is bounded against its own comparison firms from its own base period, and the
    cohorts are averaged like cells. Nothing is adjusted for covariates, so `difference` is that of plain mean changes. Of `spec`
    comparison, anticipation, weights, level and clusters are read; `cluster: set_id` means firms, as nothing here is matched.
    """
    strata = list(asked(panel, outcome, spec, period))
    if not strata:
        raise DesignError(f"no cohort has entered by {period} with a period before: there is nothing to bound")
    absent = [c for c in cells if c not in panel.firms]
    if absent:
        raise DesignError(f"cells are columns of the panel's firms; not found: {absent}. Columns: {list(panel.firms.columns)}")
    level = spec.level if level is None else level
    codes = cluster_codes(known_clusters(panel.firms, spec), panel.firms.index)
    weightless(panel.firms, spec, None)
    w = known_weights(panel, spec)
    strata = [s._replace(treated=s.treated[w[s.treated] > 0], control=s.control[w[s.control] > 0]) for s in strata]
    rows = [_row("plain", [_arms(s, None) for s in strata], w, codes, level)]
    if cells:
        number = panel.firms.groupby(list(cells), dropna=False, sort=False).ngroup().to_numpy()
        rows.append(_row("tightened", [a for s in strata for a in _split(_arms(s, number))], w, codes, level))
    return pd.DataFrame(rows, columns=BOUNDS)


def lee_bounds(
    change: pd.Series,
    treated: pd.Series,
    cells: pd.Series | None = None,
    weights: pd.Series | None = None,
    clusters: pd.Series | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Bounds on the effect among firms that would answer with and without the programme (Lee 2009, section 3).

    Parameters
    ----------
    change : Series
        By `firm_id`: the outcome's change from base to end, of firms observed at the base; NaN where the end is missing.
    treated : Series of bool
        By `firm_id`.
    cells : Series, optional
        By `firm_id`: a discrete baseline characteristic. A second row bounds within its values and averages, which in large
        samples can only tighten; values with fewer than two answers in an arm are taken together.
    weights : Series, optional
        By `firm_id`, known.
    clusters : Series, optional
        By `firm_id`.
    level : float
        Of the interval.

    Returns
    -------
    DataFrame
        A row `plain` and, with `cells`, a row `tightened`: `bounds, lower, upper, lower_error, upper_error` (standard errors),
        `conf_low, conf_high` (Imbens and Manski 2004: an interval for the effect itself, not for the bounds), `difference` (of the
        answering firms), `trimmed` (treated, control, none), `share_trimmed` (of that arm's answers), `response_treated,
        response_control, n_treated, n_control` (answers), `n_cells`, `n_left_out` (firms of cells with one arm only).

    Raises
    ------
    DataError
        When an id stands twice.
    DesignError
        When an arm has no answers.

    Notes
    -----
    Two assumptions. The programme moves response one way only, the way it goes over all cells; a cell in which it happens to go the
    other way is not trimmed. And among the firms that would answer either way, the treated would have changed like the others:
    parallel trends within that stratum, which parallel trends of all firms do not give. The bounds are on the effect on the
    treated of that stratum.

    Of the arm that answers more, the excess is trimmed from the top for one bound and from the bottom for the other; the firm at
    the quantile is kept in part, so that ties change nothing. With s the share kept, ξ the quantile and μ the trimmed mean,
    an answer's influence on μ is [s(ξ − μ) − (ξ − y)⁺]/s over their number, and dμ/ds = (ξ − μ)/s carries the error of the
    response rates. Cells are averaged by their treated firms that would answer either way. Near equal response the bounds have
    a kink and their errors are on the wide side; with exactly equal response they are those of a difference.

    Examples
    --------
    >>> y = pd.Series([1.0, 2, 3, 4, 1, 2, np.nan, np.nan], index=list("abcdefgh"))
    >>> lee_bounds(y, pd.Series([True] * 4 + [False] * 4, y.index))[["lower", "upper", "trimmed", "share_trimmed"]].values.tolist()
    [[0.0, 2.0, 'treated', 0.5]]
    """
    if not (change.index.is_unique and treated.index.is_unique):
        raise DataError("change and treated are Series by firm_id in which each firm stands once")
    d = treated.reindex(change.index)
    if d.isna().any():
        raise DataError(f"every firm is treated or not; treated is missing for {some(change.index[d.isna()])}")
    y, d = change.to_numpy(float), d.to_numpy(bool)
    w = np.ones(len(y)) if weights is None else weights.reindex(change.index).fillna(0.0).to_numpy(float)
    codes = cluster_codes(clusters, change.index)
    arms = _Arms(np.flatnonzero(d & (w > 0)), np.flatnonzero(~d & (w > 0)), y, None)
    rows = [_row("plain", [arms], w, codes, level)]
    if cells is not None:
        number = pd.factorize(cells.reindex(change.index))[0]
        rows.append(_row("tightened", _split(arms._replace(cell=number)), w, codes, level))
    return pd.DataFrame(rows, columns=BOUNDS)


def worst_case_counts(
    treated: pd.Series, status: pd.Series, success: pd.Series, clusters: pd.Series | None = None, level: float = 0.95
) -> pd.DataFrame:
    """Bounds on a net count when nothing at all is assumed of the firms that did not answer (Manski 1990).

    One row each for `gross`, `expected` and `net` (`did.counts.net_count`): `measure, lower, upper, conf_low, conf_high`
    (Imbens and Manski), `n_described, n_missing_treated, n_missing_control`. The lower bound of the net count takes every silent
    treated firm for a failure and every silent control for a success; the upper bound the reverse. Standardised by baseline
    status, over the same treated firms, as the net count itself.

    Examples
    --------
    >>> ids = list("abcdefgh")
    >>> treated = pd.Series([True] * 4 + [False] * 4, ids)
    >>> success = pd.Series([1, 1, 0, np.nan, 1, 0, 0, np.nan], ids)
    >>> worst_case_counts(treated, pd.Series("none", ids), success)[["measure", "lower", "upper"]].values.tolist()
    [['gross', 2.0, 3.0], ['expected', 1.0, 2.0], ['net', 0.0, 2.0]]
    """
    d, silent = treated.astype(bool), success.reindex(treated.index).isna()
    answers = success.reindex(treated.index).astype(float)
    with collected() as notes:
        low, high = (
            net_count(
                treated, status, answers.mask(silent & d, float(top)).mask(silent & ~d, float(1 - top)), clusters, level
            ).table
            for top in (0, 1)
        )
    for note in notes:
        if note.key == "missing_status":
            warn(note)
    counted = status.reindex(treated.index).notna() & silent
    rows = []
    for (_, one), (_, other) in zip(low.iterrows(), high.iterrows(), strict=True):
        if one["measure"] == "expected":  # the treated firms' gain is largest when controls succeed least
            one, other = other, one
        ends = one["estimate"], other["estimate"]
        conf = imbens_manski(*ends, one["std_error"], other["std_error"], level)
        rows.append([one["measure"], *ends, *conf, one["n_described"], int((counted & d).sum()), int((counted & ~d).sum())])
    columns = ["measure", "lower", "upper", "conf_low", "conf_high", "n_described", "n_missing_treated", "n_missing_control"]
    return pd.DataFrame(rows, columns=columns)


def imbens_manski(lower: float, upper: float, lower_error: float, upper_error: float, level: float) -> tuple[float, float]:
    """An interval that holds the effect, anywhere between the bounds, with probability `level` (Imbens and Manski 2004, eq. 6–7).

    An end whose bound has no standard error is NaN.

    >>> [tuple(round(v, 3) for v in imbens_manski(0.0, high, 1.0, 1.0, 0.95)) for high in (0.0, 9.0)]
    [(-1.96, 1.96), (-1.645, 10.645)]
    """
    worst = max((e for e in (lower_error, upper_error) if e > 0), default=np.nan)
    if np.isnan(worst):
        return (np.nan, np.nan)
    width = max(upper - lower, 0.0) / worst
    critical = brentq(lambda c: stats.norm.cdf(c + width) - stats.norm.cdf(-c) - level, 0, 20)
    return lower - critical * lower_error, upper + critical * upper_error


class _Arms(NamedTuple):
    """Positions of the firms observed at the base, by arm; `change` and `cell` are over all firms."""

    treated: np.ndarray
    control: np.ndarray
    change: np.ndarray
    cell: np.ndarray | None


def _arms(stratum: Stratum, cell: np.ndarray | None) -> _Arms:
    return _Arms(stratum.treated, stratum.control, stratum.change, cell)


def _split(arms: _Arms) -> list[_Arms]:
    """The arms cell by cell; cells with fewer than two answers in an arm taken together."""
    seen = ~np.isnan(arms.change)
    size = int(arms.cell.max(initial=-1)) + 2
    counts = [np.bincount(arms.cell[rows[seen[rows]]] + 1, minlength=size) for rows in (arms.treated, arms.control)]
    thin = (counts[0] < 2) | (counts[1] < 2)
    code = np.where(thin[arms.cell + 1], -1, arms.cell)
    inside = np.concatenate([arms.treated, arms.control])
    return [
        _Arms(arms.treated[code[arms.treated] == c], arms.control[code[arms.control] == c], arms.change, None)
        for c in np.unique(code[inside])
    ]


def _row(name: str, parts: list[_Arms], w: np.ndarray, codes: np.ndarray, level: float) -> dict:
    """The bounds of several cells, averaged by their treated firms that would answer either way."""
    whole = [p for p in parts if all((~np.isnan(p.change[r])).any() for r in (p.treated, p.control))]
    left_out = sum(len(p.treated) + len(p.control) for p in parts) - sum(len(p.treated) + len(p.control) for p in whole)
    if not whole:
        raise DesignError(
            "Lee's bounds need answers from treated and comparison firms; an arm has none. Look at the response table"
        )
    more = _answers_more(whole, w)
    found = [_cell(arms, w, more) for arms in whole]
    size = np.array([c.always for c in found])
    share = size / size.sum()
    values = np.array([c.values for c in found])
    average = share @ values  # lower, upper, difference
    influence = sum(
        s * c.influence + np.outer(c.always_of / size.sum(), v - average) for s, c, v in zip(share, found, values, strict=True)
    )
    errors, _ = standard_errors(influence, codes, influence != 0)
    conf = imbens_manski(average[0], average[1], errors[0], errors[1], level)
    answers = {
        k: np.unique(np.concatenate([getattr(p, k)[~np.isnan(p.change[getattr(p, k)])] for p in parts]))
        for k in ("treated", "control")
    }
    return {
        "bounds": name,
        "lower": average[0],
        "upper": average[1],
        "lower_error": errors[0],
        "upper_error": errors[1],
        "conf_low": conf[0],
        "conf_high": conf[1],
        "difference": average[2],
        "trimmed": ("treated", "control")[more] if any(c.share_trimmed for c in found) else "none",
        "share_trimmed": float(share @ [c.share_trimmed for c in found]),
        "response_treated": _share_seen(parts, "treated", w),
        "response_control": _share_seen(parts, "control", w),
        "n_treated": len(answers["treated"]),
        "n_control": len(answers["control"]),
        "n_cells": len(found),
        "n_left_out": left_out,
    }


class _Cell(NamedTuple):
    """One cell: its lower bound, upper bound and difference with their influence (n, 3), the weight of the treated firms that
    would answer either way with its own by firm, and the share of the arm's answers that was trimmed."""

    values: np.ndarray
    influence: np.ndarray
    always: float
    always_of: np.ndarray
    share_trimmed: float


def _answers_more(parts: list[_Arms], w: np.ndarray) -> int:
    """The arm that the programme makes answer more, one for all cells: 0 the treated, 1 the controls."""
    gap = sum(
        w[p.treated].sum() * np.subtract(*(np.average(~np.isnan(p.change[r]), weights=w[r]) for r in (p.treated, p.control)))
        for p in parts
    )
    return 0 if gap > 0 else 1


def _cell(arms: _Arms, w: np.ndarray, more: int) -> _Cell:
    seen = ~np.isnan(arms.change)
    n, rows = len(w), (arms.treated, arms.control)
    rate = [np.average(seen[r], weights=w[r]) for r in rows]
    of_rate = np.zeros((n, 2))
    for k, r in enumerate(rows):
        of_rate[r, k] = w[r] * (seen[r] - rate[k]) / w[r].sum()
    kept = rate[1 - more] / rate[more]
    even = bool(kept > 1 - 1e-12)
    of_kept = np.zeros(n) if even else kept * (of_rate[:, 1 - more] / rate[1 - more] - of_rate[:, more] / rate[more])
    ends = np.zeros((2, 3)), np.zeros((n, 2, 3))  # by arm: lowest, highest, all
    for k, r in enumerate(rows):
        answers = r[seen[r]]
        share = kept if k == more and not even else 1.0
        for j, (sign, s) in enumerate(((1, share), (-1, share), (1, 1.0))):
            mean, of_mean, slope = _lowest(sign * arms.change[answers], w[answers], s)
            ends[0][k, j] = sign * mean
            ends[1][answers, k, j] = sign * of_mean
            if s < 1:
                ends[1][:, k, j] += sign * slope * of_kept
    values, influence = (e[..., 0, [0, 1, 2]] - e[..., 1, [1, 0, 2]] for e in ends)
    total = w[arms.treated].sum()
    always_of = np.zeros(n)
    fewer = int(rate[1] < rate[0])
    always_of[arms.treated] = w[arms.treated] * (rate[1] if fewer else seen[arms.treated])
    if fewer:
        always_of += total * of_rate[:, 1]
    return _Cell(values, influence, float(total * min(rate)), always_of, 0.0 if even else float(1 - kept))


def _lowest(y: np.ndarray, w: np.ndarray, share: float) -> tuple[float, np.ndarray, float]:
    """The mean of the lowest `share` of the weight, each answer's influence on it at a given share, and its slope in the share."""
    order = np.argsort(y, kind="stable")
    total = w.sum()
    before = np.r_[0.0, np.cumsum(w[order])[:-1]]
    inside = np.clip(share * total - before, 0.0, w[order])  # the answer at the quantile enters in part
    last = np.flatnonzero(inside > 1e-12 * total)[-1]
    edge, mean = y[order[last]], float(inside @ y[order] / (share * total))
    influence = w / total * (share * (edge - mean) - np.maximum(edge - y, 0.0)) / share
    return mean, influence, float((edge - mean) / share)


def _share_seen(parts: list[_Arms], arm: str, w: np.ndarray) -> float:
    """The share of an arm's firms, over all cells, that still answered."""
    rows = np.concatenate([getattr(p, arm) for p in parts])
    seen = np.concatenate([~np.isnan(p.change[getattr(p, arm)]) for p in parts])
    return float(np.average(seen, weights=w[rows])) if len(rows) else np.nan
