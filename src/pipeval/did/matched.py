"""What a matched sample adds to an influence: how the weights came about, written firm by firm.

An influence with weights taken as known is ψᵢ = wᵢ zᵢ, z linear in the firm's outcome. Three things can be wrong with that:
weights that were estimated, controls that serve several sets, and strata. Each is put right on the influence itself, so that every
summary, cluster, band and joint test after it is right too, whichever estimator made it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..errors import DesignError, Note, warn
from ..matching.matched import MatchedSample
from ..matching.neighbours import Neighbours
from ..matching.problem import Problem
from ..study.match_spec import PAIRS, STRATA
from ..study.specs import DidSpec

PEERS = 8
"""How many nearest firms of the serving arm tell what a firm would do, for the variance after matching with replacement."""

Adjust = Callable[..., np.ndarray]
"""From influence (n, rows), weights (n,), treated (n,) and, where it matters, who is in each row (bool, n, rows) of one cohort's
rows to the influence put right."""


def refuse_unfit(sample: MatchedSample, spec: DidSpec, odds: bool | None = None) -> None:
    """Refuse what cannot be estimated on this sample.

    `odds`: whether the estimator weights controls by odds of its own; by default what `spec` says: `dr`, `dr_improved` and `ipw` do
    as soon as there is a covariate, the mean before entry (`lag: ancova`) counted as one.

    Raises
    ------
    DesignError
        When controls that enter later meet `comparison: never_treated`, or a second set of odds meets weights that are
        estimated or controls that serve again.
    """
    if sample.spec.window is not None and spec.anticipation > sample.anticipation:
        raise DesignError(
            f"the match took controls that enter later (match.window) for {sample.anticipation} year(s) of anticipation; with "
            f"did.anticipation: {spec.anticipation} some would leave their sets. Match again with that anticipation"
        )
    if sample.spec.window is not None and spec.comparison == "never_treated":
        raise DesignError(
            "the match took controls that enter later (match.window), which comparison: never_treated would throw out of their "
            "sets; use comparison: not_yet_treated, or leave out match.window"
        )
    if odds is None:
        odds = spec.method != "reg" and bool(spec.covariates or spec.lag == "ancova")
    if odds and (sample.estimated or sample.spec.replace):
        raise DesignError(
            "odds of its own would let the estimator weight matched controls a second time; with match.method: "
            f"{sample.spec.method}{' and replace' if sample.spec.replace else ''} leave out did.covariates (and lag: ancova), or "
            "adjust by did.method: reg, which a Poisson outcome does not have"
        )


def within_window(cells: list, sample: MatchedSample) -> tuple[list, tuple[Note, ...]]:
    """The cells for which the controls were chosen: after `match.window` years some have entered, and sets are no longer whole."""
    window = sample.spec.window
    kept = cells if window is None else [c for c in cells if c.period <= c.cohort + window]
    if len(kept) == len(cells):
        return cells, ()
    text = "left out, more than match.window = {window} years after entry, when matched controls may have entered too: {n} cell(s)"
    return kept, (warn(Note("beyond_window", text, {"window": window, "n": len(cells) - len(kept)})),)


def broken_sets(sample: MatchedSample, firm_id: pd.Index, treated: np.ndarray, control: np.ndarray) -> tuple[Note, ...]:
    """A note when matched sets lost all their firms of one arm in some cell: they stay with the others (arrays firms × cells)."""
    if sample.spec.method not in (*PAIRS, "full") or sample.spec.replace:
        return ()
    place, number = firm_id.get_indexer(sample.sets["firm_id"]), pd.factorize(sample.sets["set_id"])[0]
    is_treated, inside = (sample.sets["role"] == "treated").to_numpy(), place >= 0
    lost, n = 0, number.max() + 1
    for one, other in zip(treated.T, control.T, strict=True):
        seen = [
            np.bincount(number[inside & arm], here[place[inside & arm]], n) > 0
            for arm, here in ((is_treated, one), (~is_treated, other))
        ]
        lost = max(lost, int((seen[0] != seen[1]).sum()))
    if not lost:
        return ()
    text = (
        "up to {n} of {total} matched sets have firms of one arm only in a cell, the others not being observed; those left stay "
        "in, with their weights"
    )
    return (warn(Note("sets_broken", text, {"n": lost, "total": int(n)})),)


def joined_clusters(sample: MatchedSample, labels: pd.Series) -> pd.Series:
    """Clusters that hold whole matched sets and whole `labels` (by firm, missing for none): the parts connected by either."""
    sets = sample.clusters
    n, code, other = len(sets), pd.factorize(sets)[0], pd.factorize(labels.reindex(sets.index))[0]
    has = other >= 0
    edges = np.r_[np.arange(n), np.flatnonzero(has)], np.r_[n + code, n + code.max() + 1 + other[has]]
    size = n + code.max() + 2 + other.max(initial=-1)
    graph = sparse.coo_array((np.ones(len(edges[0])), edges), shape=(size, size))
    return pd.Series(connected_components(graph, directed=False)[1][:n], index=sets.index, name="cluster")


def adjustment(sample: MatchedSample, firm_id: pd.Index, cohort: float) -> Adjust | None:
    """How the influence of a cohort's rows is put right; None where it is right as it stands.

    * Pairs without replacement and full matching, and thirty strata or more: as it stands; the set is the cluster (Abadie and
      Spiess 2022).
    * Fewer strata: the firm is the cluster, and its influence that of the post-stratified estimator.
    * With replacement: the variance of Abadie and Imbens (2006, theorem 7) in the form of an influence. A firm that serves carries
      its whole weight times its residual from the firms of its arm nearest to it, a firm that sought its difference from those
      nearest to it in the other arm, less the noise in their mean. The noise of its own partners is in their weight, so that
      it adds up rightly when they serve several cohorts too. A matched score counts as known.
    * Weightings: plus the influence on the estimated weights times their derivative (Newey and McFadden 1994, section 6).
    """
    sets = sample.sets[sample.sets["cohort"] == cohort]
    if cohort in sample.estimated:
        return _estimated(sample, firm_id, cohort)
    if sample.spec.replace:
        return _replaced(sample, firm_id, cohort)
    if sample.spec.method in STRATA and not sample.clusters_are_sets:
        label = sets.drop_duplicates("firm_id").set_index("firm_id")["set_id"].reindex(firm_id)
        return _stratified(pd.factorize(label)[0], sample.spec.estimand)
    return None


def _estimated(sample: MatchedSample, firm_id: pd.Index, cohort: float) -> Adjust:
    found = sample.estimated[cohort]
    place = firm_id.get_indexer(found.firm_id)
    here = place >= 0
    weight = sample.sets[sample.sets["cohort"] == cohort].set_index("firm_id")["weight"].reindex(found.firm_id).to_numpy()

    def adjust(psi: np.ndarray, w: np.ndarray, treated: np.ndarray, inside: np.ndarray | None = None) -> np.ndarray:
        # w·∂θ/∂w is the firm's own influence, so ∂θ/∂β = Σ (ψ/w) ∂w/∂β
        by_weight = np.divide(
            psi[place[here]], weight[here, None], out=np.zeros_like(psi[place[here]]), where=weight[here, None] > 0
        )
        slope = found.derivative[here].T @ by_weight
        out = psi.copy()
        out[place[here]] += np.asarray(found.influence[here] @ slope)
        return out

    return adjust


def _replaced(sample: MatchedSample, firm_id: pd.Index, cohort: float) -> Adjust:
    space = sample.space.loc[cohort] if sample.space.index.nlevels == 2 else sample.space
    serving = "control" if sample.spec.estimand == "att" else "treated"
    serves = space.index.isin(sample.sets.loc[sample.sets["role"] == serving, "firm_id"])
    at, own = firm_id.get_indexer(space.index), np.arange(len(space))
    points = space.drop(columns="cell").to_numpy()
    near = Neighbours(Problem(own, own[serves], points, space["cell"].to_numpy())).nearest(own, PEERS + 1)[1]
    near = np.where(near >= 0, own[serves][near], -1)
    near = np.where(near == own[:, None], -1, near)  # itself apart
    near = np.take_along_axis(near, np.argsort(near < 0, axis=1, kind="stable")[:, :PEERS], axis=1)
    place = np.full((len(firm_id), near.shape[1]), -1)
    place[at[at >= 0]] = np.where(near >= 0, at[near], -1)[at >= 0]

    def adjust(psi: np.ndarray, w: np.ndarray, treated: np.ndarray, inside: np.ndarray | None = None) -> np.ndarray:
        seeks = treated if sample.spec.estimand == "att" else ~treated
        out = np.empty_like(psi)
        for k, (column, here) in enumerate(zip(psi.T, _inside(psi, inside), strict=True)):
            out[:, k] = _with_peers(column, w, seeks, place, here & (w > 0))
        return out

    return adjust


def _inside(psi: np.ndarray, inside: np.ndarray | None) -> np.ndarray:
    """The firms of each row (rows, n); a row whose influence is zero throughout, as in the base period, has none."""
    return (psi != 0).T if inside is None else (inside & (psi != 0).any(axis=0)).T


def _with_peers(psi: np.ndarray, w: np.ndarray, seeks: np.ndarray, place: np.ndarray, member: np.ndarray) -> np.ndarray:
    """One row's influence with every firm measured from its nearest firms of the serving arm, `place` (n, J), −1 for none."""
    if not (member & seeks).any() or not (member & ~seeks).any():
        return psi
    z = np.divide(psi, w, out=np.zeros_like(psi), where=member)
    known = (place >= 0) & member[place] & ~seeks[place]
    count = known.sum(axis=1)
    local = np.divide((z[place] * known).sum(axis=1), count, out=np.zeros_like(z), where=count > 0)
    serves = member & ~seeks & (count > 0)
    out = psi.copy()
    out[serves] = (w * (z - local) * np.sqrt(count / (count + 1)))[serves]
    # both arms' z are divided by their arm's weights, the treated with +, the controls with −
    ratio = w[member & ~seeks].sum() / w[member & seeks].sum()
    found = member & seeks & (count > 0)
    out[found] = (w * (z + ratio * local))[found]
    mine = member & seeks
    out[mine] -= w[mine] * out[mine].sum() / w[mine].sum()
    # a mean of J peers has 1/J of their variance: it is no part of the error, which is in the weights of those who serve
    spread = np.where(known, z[place] - local[:, None], 0.0)
    variance = np.divide((spread**2).sum(axis=1), count - 1, out=np.zeros_like(z), where=count > 1)
    noise = ((w * ratio)[found] ** 2 * variance[found] / count[found]).sum()
    total = out[mine] @ out[mine]
    out[mine] *= np.sqrt(max(1 - noise / total, 0.0)) if total > 0 else 1.0
    return out


def _stratified(stratum: np.ndarray, estimand: str) -> Adjust:
    n = int(stratum.max()) + 1

    def adjust(psi: np.ndarray, w: np.ndarray, treated: np.ndarray, inside: np.ndarray | None = None) -> np.ndarray:
        out = np.zeros_like(psi)
        for k, (column, here) in enumerate(zip(psi.T, _inside(psi, inside), strict=True)):
            out[:, k] = _post_stratified(column, w, treated, stratum, (n, estimand), here & (w > 0) & (stratum >= 0))
        return out

    return adjust


def _post_stratified(psi, w, treated, stratum, design: tuple[int, str], member) -> np.ndarray:
    """One row's influence as that of Σ share of stratum × difference within it: firms from their arm's mean, shares estimated."""
    n, estimand = design
    if not (member & treated).any() or not (member & ~treated).any():
        return psi
    z = np.divide(psi, w, out=np.zeros_like(psi), where=member)
    out, gap, total = np.zeros_like(psi), np.zeros(n), {}
    for arm in (True, False):
        mine = member & (treated == arm)
        s, total[arm] = stratum[mine], w[mine].sum()
        count = np.bincount(s, minlength=n)
        mean = np.bincount(s, z[mine], n) / np.maximum(count, 1)
        factor = np.sqrt(count / np.maximum(count - 1, 1))
        out[mine] = w[mine] * (z[mine] - mean[s]) * factor[s]
        gap += total[arm] * mean  # of the stratum's effect over the overall one: both arms' z carry their sign
    carries = member & {"att": treated, "atc": ~treated, "ate": np.ones(len(w), bool)}[estimand]
    share = np.where(carries, w if estimand != "ate" else 1.0, 0.0)[carries]
    off = gap[stratum[carries]]
    out[carries] += share / share.sum() * (off - share @ off / share.sum())  # where outcomes are missing, arms' shares differ
    return out
