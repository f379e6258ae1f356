"""Firms that stop answering: weights that let those who answer speak for them, and what attrition could do to an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..baseline.response import response_test
from ..data.panel import NEVER, Panel
from ..errors import DesignError, EstimationError, Note, collected, some, warn
from ..matching.matched import Estimated
from ..study.specs import DidSpec
from .aggregate import aggregate
from .att_gt import att_gt
from .bounds import Stratum, asked, known_clusters, known_weights
from .cells import weightless
from .covariates import Covariates, covariates, missing_covariates
from .effects import Effects, effects_from, joined
from .inference import cluster_codes, standard_errors
from .kernel import CellError, logit

SMALL_GAP, LARGE_GAP = 0.05, 0.10
"""Differences between the arms in the share that still answers: alike up to the first, unlike beyond the second."""

REWRITTEN = ("few_clusters", "no_std_error", "two_ways_lost")
"""Notes on standard errors, which a new row has anew."""

MOVED = 0.5
"""Standard errors by which answering firms, weighted for those who do not, may move the estimate."""


@dataclass(frozen=True, slots=True, eq=False)
class ResponseWeights:
    """One over the estimated probability of being observed at the end, for firms observed at the beginning.

    Attributes
    ----------
    weights : Series
        By `cohort, firm_id`: of the cohort's firms and of those compared with them, observed at both ends.
    estimated : dict
        By cohort: what the estimation adds to a sampling error (`matching.matched.Estimated`).
    period : int
        The end.
    model : DataFrame
        One row a logit: `arm, cohort` (NaN for the treated, all cohorts in one), `n_asked, n_answered, smallest` (probability),
        `left_out` (columns that foretell response without error).
    notes : tuple of Note
    """

    weights: pd.Series
    estimated: dict[float, Estimated]
    period: int
    model: pd.DataFrame
    notes: tuple[Note, ...] = ()


class _Logit(NamedTuple):
    """One arm's response model: rows of firms asked, whether each answered, probabilities, columns and influence on the slopes."""

    rows: np.ndarray
    seen: np.ndarray
    probability: np.ndarray
    x: np.ndarray
    influence: np.ndarray
    left_out: tuple[str, ...]


def response_weights(
    panel: Panel,
    outcome: str,
    spec: DidSpec,
    period: int,
    names: Sequence[str] = (),
    weights: pd.Series | None = None,
) -> ResponseWeights:
    """Inverse-probability-of-response weights for the effects in `period`, cohort by cohort.

    Parameters
    ----------
    panel : Panel
    outcome : str
        Observed or not: that is what the logits explain.
    spec : DidSpec
        Comparison and anticipation: who is compared with a cohort, and from which base period.
    period : int
        The end at which firms must be observed.
    names : sequence of str
        Columns of `panel.firms` on which response may depend, otherwise in each arm. The outcome at the base belongs here:
        `base_<outcome>`.
    weights : Series, optional
        By `firm_id`, known: of the firms themselves; by default the column that `spec.weights` names.

    Returns
    -------
    ResponseWeights
        With `names` empty, one over the response rate of the arm (and, for the treated, of the cohort).

    Raises
    ------
    DesignError
        When the design does not compare the same firms at both ends, no cohort has entered by `period`, or no comparison firm
        answered.

    Notes
    -----
    Asked are the firms observed in the cohort's base period. The treated of all cohorts share a logit with an intercept a
    cohort; the firms compared with a cohort have their own. Right when, within an arm and given `names`, those who stopped
    answering changed like those who went on (Wooldridge 2007). A column that foretells response without error leaves its logit.

    Examples
    --------
    >>> wide = pd.DataFrame({1: [1.0, 2, 1, 3, 2, 4], 2: [4.0, np.nan, 2, 4, 2, np.nan]}, index=list("abcdef"))
    >>> frame = wide.stack().rename("y").rename_axis(["firm", "year"]).reset_index()
    >>> frame["start"] = frame["firm"].map({"a": 2, "b": 2}).fillna(0)
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> response_weights(panel, "y", DidSpec(), 2).weights.round(3).to_dict()
    {(2.0, 'a'): 2.0, (2.0, 'c'): 1.333, (2.0, 'd'): 1.333, (2.0, 'e'): 1.333}
    """
    if spec.sampling != "both_ends" or spec.lag != "difference" or spec.method == "imputation":
        raise DesignError(
            "response weights go with changes of the same firms (sampling: both_ends, lag: difference, method dr, ipw or reg)"
        )
    cov = covariates(panel.firms, names)
    left = [*weightless(panel.firms, spec, weights), *missing_covariates(cov, panel.wide(outcome).to_numpy(), panel.firms.index)]
    w = known_weights(panel, spec) if weights is None else weights.reindex(panel.firms.index).fillna(0.0).to_numpy(float)
    usable = (w > 0) & ~cov.missing
    strata = list(asked(panel, outcome, spec, period))
    if not strata:
        raise DesignError(f"no cohort has entered by {period} with a period before: there is nobody to weight")
    entered = _joined(strata, usable)
    treated = _fitted(cov, entered, np.concatenate([np.full(len(s.treated), s.cohort) for s in strata])[entered.inside], w)
    notes = _said(treated, "treated", np.nan)
    parts, estimated, models = [], {}, [_model_row("treated", np.nan, treated)]
    for stratum in strata:
        here = usable[stratum.control]
        rows, seen = stratum.control[here], stratum.seen_control[here]
        if not seen.any():
            continue
        control = _fitted(cov, _Asked(rows, seen, here), None, w)
        notes += _said(control, "control", stratum.cohort)
        models.append(_model_row("control", stratum.cohort, control))
        estimated[stratum.cohort], part = _weights(panel, stratum.cohort, treated, control, w)
        parts.append(part)
    if not parts:
        raise DesignError(f"no comparison firm observed before entry answered in {period}: there is nobody to weight")
    left += [warn(n) for n in notes]
    return ResponseWeights(pd.concat(parts), estimated, int(period), pd.DataFrame(models), tuple(left))


def weighted_effect(panel: Panel, outcome: str, spec: DidSpec, response: ResponseWeights) -> Effects:
    """One row: the effect in the period of `response`, with its weights and the uncertainty of their estimation.

    Keys `term, period`. It describes the treated firms observed in their base period, answering or not, rather than those who
    answered.

    Notes
    -----
    With ψᵢ = wᵢ ∂θ/∂wᵢ a firm's own influence, an estimated logit with slopes β adds Σₗ (∂θ/∂β) influenceₗ, and ∂θ/∂β =
    Σᵢ (ψᵢ/wᵢ) ∂wᵢ/∂β (Newey and McFadden 1994, section 6); ψᵢ holds the shares of the cohorts too, which the weights move.

    Examples
    --------
    >>> rows = [(i, t, 2 * (i % 2), i % 3 + (i % 2) * (t == 2)) for i in range(24) for t in (1, 2) if t == 1 or i % 4 or i % 8 == 0]
    >>> frame = pd.DataFrame(rows, columns=["firm", "year", "start", "y"]).assign(size=lambda f: f["firm"] % 5)
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"], covariates=["size"])
    >>> import warnings; warnings.simplefilter("ignore")
    >>> response = response_weights(panel, "y", DidSpec(), 2, ["size"])
    >>> weighted_effect(panel, "y", DidSpec(), response).table[["term", "estimate"]].round(3).to_dict("records")
    [{'term': 'response_weighted', 'estimate': 1.0}]
    """
    period = response.period
    with collected():
        cells = _headline(panel, outcome, spec, period, response.weights)
    table = cells.table[cells.table["event_time"] >= 0]
    if table.empty:
        raise EstimationError(f"no effect in {period} can be estimated on the firms that answered")
    columns = table.index.to_numpy()
    share = (table["weight_treated"] / table["weight_treated"].sum()).to_numpy()
    att = table["estimate"].to_numpy(float)
    treated_weight = cells.treated_weight[:, columns]
    own = cells.influence[:, columns] * share + treated_weight * share * (att - att @ share)
    influence = own.sum(axis=1)
    for column, cohort in enumerate(table["cohort"].astype(float)):
        influence += _of_estimation(response, cohort, own[:, column], cells.firm_id)
    arrays = influence[:, None], (treated_weight @ share)[:, None], cells.control[:, columns].any(axis=1)[:, None]
    keys = pd.DataFrame({"term": ["response_weighted"], "period": [period]})
    told = {str(n): n for n in response.notes}
    told |= {str(n): warn(n) for n in cells.notes if n.key not in REWRITTEN and str(n) not in told}
    labels = known_clusters(panel.firms, spec)
    return effects_from(keys, np.array([att @ share]), arrays, cells.firm_id, labels, spec.level, tuple(told.values()))


def attrition_check(
    panel: Panel, outcome: str, spec: DidSpec, period: int, base_period: int, names: Sequence[str] = ()
) -> tuple[str, float, str]:
    """Whether attrition may have made the estimate: a result (pass, mild, fail, not_testable), a value and the rule's name.

    Two things are looked at: the gap, the difference between the arms in the share that still answers, and the move, by how much
    weighting for non-response shifts the estimate. The estimate is steady when it moves by at most half its standard error.

    * Steady: pass, unless the gap is beyond ten points and significant at 5 %: then mild.
    * Not steady: mild, or fail where the move is more than twice its own standard error and the gap beyond five points.

    Neither depends on how large the effect is, so that an effect of zero can pass. The value is the move in standard errors of the
    estimate. The weights see what foretells response among `names`; what else may have driven it, only bounds (`lee_table`) tell.

    Parameters
    ----------
    panel, outcome, spec, period
        The headline: the firms that it compares, in the reference year. With `cluster: set_id` firms are the clusters.
    base_period : int
        From which response is counted. Firms that enter after `period` count as comparison.
    names : sequence of str
        What response may depend on, see `response_weights`.
    """
    entered = np.where(panel.firms["cohort"] <= period, panel.firms["cohort"], NEVER)
    test = response_test(Panel(panel.firms.assign(cohort=entered), panel.outcomes), outcome, base_period)
    row = test[test["period"] == period]
    if row.empty or np.isnan(row["difference"].iloc[0]):
        return "not_testable", np.nan, "attrition"
    gap, p = float(row["difference"].iloc[0]), float(row["p_value"].iloc[0])
    try:
        with collected():
            cells = aggregate(_headline(panel, outcome, spec, period), "period")
            weighted = weighted_effect(panel, outcome, spec, response_weights(panel, outcome, spec, period, names))
    except (DesignError, EstimationError):
        return "not_testable", np.nan, "attrition"
    column = int(np.flatnonzero(cells.table["period"] == period)[0])
    std_error = float(cells.table["std_error"].iloc[column])
    if not std_error > 0:
        return "not_testable", np.nan, "attrition"
    moved = float(weighted.table["estimate"].iloc[0] - cells.table["estimate"].iloc[column])
    if abs(moved) <= MOVED * std_error:
        result = "mild" if abs(gap) > LARGE_GAP and p < 0.05 else "pass"
    else:
        certain = abs(moved) > 2 * _error_of_move(cells.only([column]), weighted)
        result = "fail" if certain and abs(gap) > SMALL_GAP else "mild"
    return result, moved / std_error, "attrition"


def _headline(panel: Panel, outcome: str, spec: DidSpec, period: int, weights: pd.Series | None = None) -> Effects:
    """The cells of `period`, with the clusters that `spec` names."""
    spec = spec.changed({"cluster": "firm_id"}) if spec.cluster == "set_id" else spec
    return att_gt(panel, outcome, spec, weights, periods=(period,))


def _error_of_move(one: Effects, other: Effects) -> float:
    """Standard error of the difference of two single effects, from their influences firm by firm."""
    both = joined({"one": one, "other": other}, "part")
    codes = cluster_codes(both.clusters, both.firm_id)
    change = (both.influence[:, 1] - both.influence[:, 0])[:, None]
    return float(standard_errors(change, codes, both.member.any(axis=1, keepdims=True))[0][0])


def selected_on(spec: DidSpec, panel: Panel, outcome: str) -> tuple[str, ...]:
    """What response may depend on by default: the covariates of the study and the outcome in the base year, where firms have it."""
    base = f"base_{outcome}"
    known = base in panel.firms and panel.firms[base].nunique() > 2
    return tuple(dict.fromkeys((*(c for c in spec.covariates if c in panel.firms), *((base,) if known else ()))))


class _Asked(NamedTuple):
    """Rows of firms observed at the base, whether each was at the end, and which of the stratum's firms they are."""

    rows: np.ndarray
    seen: np.ndarray
    inside: np.ndarray


def _joined(strata: list[Stratum], usable: np.ndarray) -> _Asked:
    """The treated of all cohorts."""
    rows = np.concatenate([s.treated for s in strata])
    seen = np.concatenate([s.seen_treated for s in strata])
    inside = usable[rows]
    return _Asked(rows[inside], seen[inside], inside)


def _fitted(cov: Covariates, asked_firms: _Asked, cohort: np.ndarray | None, w: np.ndarray) -> _Logit:
    """The logit of one arm, without the columns that part those who answered from the others without error."""
    rows, seen = asked_firms.rows, asked_firms.seen.astype(float)
    x, names = _columns(cov, rows, cohort)
    keep, gone = np.arange(x.shape[1]), []
    while True:
        if seen.all() or not seen.any():
            return _Logit(rows, asked_firms.seen, seen, x[:, :0], np.zeros((len(rows), 0)), tuple(gone))
        try:
            probability, influence = logit(seen, x[:, keep], w[rows])
        except CellError as error:
            wrong = [j for j in error.columns if j > 0][-1 if error.kind == "collinear" else 0 :]
            if not wrong:
                raise EstimationError("the model of response cannot be fitted; use fewer of its columns") from None
            gone += [names[keep[j]] for j in wrong]
            keep = np.delete(keep, wrong)
            continue
        return _Logit(rows, asked_firms.seen, probability, x[:, keep], influence, tuple(gone))


def _columns(cov: Covariates, rows: np.ndarray, cohort: np.ndarray | None) -> tuple[np.ndarray, list[str]]:
    """Constant, numbers, a column a level and, for the treated, a cohort but the first present; with their names."""
    columns, names = [np.ones(len(rows))], ["constant"]
    for j, name in enumerate(cov.names):
        columns.append(cov.numbers[rows, j])
        names.append(name)
    categories = [(name, codes[rows], levels) for name, codes, levels in cov.levels]
    if cohort is not None:
        found, codes = np.unique(cohort, return_inverse=True)
        categories.append(("cohort", codes, found))
    for name, codes, levels in categories:
        for level in np.unique(codes)[1:]:
            columns.append((codes == level).astype(float))
            names.append(f"{name} = {levels[level]}")
    return np.column_stack(columns), names


def _weights(panel: Panel, cohort: float, treated: _Logit, control: _Logit, w: np.ndarray) -> tuple[Estimated, pd.Series]:
    """One cohort's weights, and how they hang on the slopes of both arms: treated of every cohort first, then its controls."""
    ids, own = panel.firms.index, panel.firms["cohort"].to_numpy(float)
    k = treated.x.shape[1], control.x.shape[1]
    derivative, influence = np.zeros((len(ids), sum(k))), np.zeros((len(ids), sum(k)))
    weight = np.zeros(len(ids))
    for part, columns, mine in (
        (treated, slice(0, k[0]), own[treated.rows] == cohort),
        (control, slice(k[0], sum(k)), np.ones(len(control.rows), bool)),
    ):
        influence[part.rows, columns] = part.influence
        here = mine & part.seen
        rows, probability = part.rows[here], part.probability[here]
        weight[rows] = w[rows] / probability
        derivative[rows, columns] = -(weight[rows] * (1 - probability))[:, None] * part.x[here]
    known = weight > 0
    index = pd.MultiIndex.from_product([[cohort], ids[known]], names=["cohort", "firm_id"])
    return Estimated(ids, derivative, influence), pd.Series(weight[known], index=index, name="weight")


def _of_estimation(response: ResponseWeights, cohort: float, own: np.ndarray, firm_id: pd.Index) -> np.ndarray:
    """What the estimated weights of a cohort add to the influence, `own` being the firms' own (n,)."""
    found = response.estimated[cohort]
    weight = response.weights.loc[cohort].reindex(firm_id).to_numpy()
    by_weight = np.divide(own, weight, out=np.zeros_like(own), where=weight > 0)
    place = found.firm_id.get_indexer(firm_id)
    return found.influence[place] @ (found.derivative[place].T @ by_weight)


def _model_row(arm: str, cohort: float, fitted: _Logit) -> dict:
    return {
        "arm": arm,
        "cohort": cohort,
        "n_asked": len(fitted.rows),
        "n_answered": int(fitted.seen.sum()),
        "smallest": float(fitted.probability[fitted.seen].min()) if fitted.seen.any() else np.nan,
        "left_out": ", ".join(fitted.left_out),
    }


def _said(fitted: _Logit, arm: str, cohort: float) -> list[Note]:
    """A note when columns had to leave the model of response."""
    if not fitted.left_out:
        return []
    where = arm if np.isnan(cohort) else f"{arm} of cohort {cohort:g}"
    text = "left out of the model of response ({arm}), which they foretell without error: {columns}"
    return [Note("response_left_out", text, {"arm": where, "columns": some(fitted.left_out, "column")})]
