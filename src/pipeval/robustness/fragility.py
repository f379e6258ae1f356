"""How far the estimate depends on choices that nobody would defend: which of two equal firms, in which order, how wide a caliper.

A choice of design can be argued for; that a firm stands higher in a file cannot. Where an estimate moves by more than its own
standard error over such choices, the standard error does not say how uncertain it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from pydantic import ValidationError

from ..data.panel import Panel
from ..did.estimate import at_reference, estimate
from ..errors import DataError, DesignError, EstimationError, collected
from ..matching.design_matrix import is_numeric
from ..matching.matched import MatchedSample
from ..study.match_spec import PAIRS, SCORES, WEIGHTING, MatchSpec
from ..study.specs import Outcome, Study
from .rematch import Pool, renamed

Effect = Callable[[MatchedSample], tuple[float, float]]
"""From a matched sample to an estimate and its standard error."""

SEED = 20031121
COLUMNS = ["kind", "variant", "estimate", "std_error", "n_treated", "n_control", "shared_pairs", "moved", "reason"]
FRAGILE = 1.0
"""A match is fragile when a choice that nobody would defend moves the estimate by more of its standard errors than this."""

WIDTHS = (0.5, 0.8, 1.25, 2.0)
"""What a caliper is multiplied by."""
FIRST_CALIPER = 0.25
"""Standard deviations of the score, where the match has no caliper."""


class _Variant(NamedTuple):
    """One choice: another spec, other names for the firms, or another order of the rows (positions)."""

    kind: str
    name: str
    spec: MatchSpec
    names: np.ndarray | None = None
    rows: np.ndarray | None = None


def fragility_table(
    effect: Effect,
    firms: pd.DataFrame | Panel,
    spec: MatchSpec,
    *,
    draws: int = 20,
    seed: int = SEED,
    until: float | None = None,
    anticipation: int = 0,
    headline: MatchedSample | None = None,
) -> pd.DataFrame:
    """One row a way in which the same match could as well have been made: what the estimate would have been.

    Parameters
    ----------
    effect : function
        From a matched sample to (estimate, std_error), the same for every row.
    firms : DataFrame or Panel
        As for `match`; a panel for a spec by cohort.
    spec : MatchSpec
        The match of the headline.
    draws : int
        Rows of each kind that is drawn: tie_break, row_order, seed.
    seed : int
        Of those draws.
    until, anticipation
        As for `match` and `match_panel`.
    headline : MatchedSample, optional
        The sample of the headline; by default it is made from `firms` and `spec`.

    Returns
    -------
    DataFrame
        `kind`, `variant`, `estimate, std_error`, `n_treated, n_control` (firms in a set), `shared_pairs` (share of the headline's
        pairs that are pairs here too; NaN for strata and weightings), `moved` (the distance from the headline's estimate in the
        headline's standard errors), `reason` (why the row could not be made; empty otherwise).

        Kinds, each where the method takes it: `headline`; `tie_break` (the firms' ids dealt out anew, which decides between firms
        equally near); `row_order` (rows shuffled, for `order: data`); `order` and `seed` (who chooses first); `caliper` (every
        width, and one where there is none); `link` (probit for logit); `subclasses`; `cutpoints` (a bin more or fewer);
        `support` (trimming, for weightings); `moments`.

    Raises
    ------
    DataError, DesignError, EstimationError
        When the headline itself cannot be made; DesignError when `draws` is negative.

    Examples
    --------
    >>> ids = list("abcdefgh")
    >>> size = [1.0, 2.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    >>> firms = pd.DataFrame({"cohort": [1.0, 1.0] + [np.inf] * 6, "size": size}, index=ids)
    >>> change = pd.Series([5.0, 5.0, 0.0, 2.0, 4.0, 0.0, 2.0, 4.0], index=ids)
    >>> def effect(sample):
    ...     by_role = sample.sets.groupby("role")["firm_id"].apply(lambda ids: change[ids].mean())
    ...     return by_role["treated"] - by_role["control"], 1.0
    >>> table = fragility_table(effect, firms, MatchSpec(covariates=("size",), distance="mahalanobis"), draws=9)
    >>> table.loc[table["kind"] == "tie_break", "estimate"].nunique() > 2
    True
    """
    _refuse_negative(draws)
    pool = Pool(firms, until, anticipation)
    with collected():
        first = pool.matched(spec) if headline is None else headline
        held = effect(first)
    ids = pool.table.index
    links, seen = _links(first, ids), {_signature(first, ids): held}
    rows = [_row(_Variant("headline", "", spec), first, held, held) | {"shared_pairs": 1.0 if len(links) else np.nan}]
    for variant in _variants(pool.table, spec, first, draws, np.random.default_rng(seed)):
        try:
            with collected():
                sample = _made(pool, variant)
                signature = _signature(sample, ids)
                if signature is None or signature not in seen:
                    seen[signature] = effect(sample)
            row = _row(variant, sample, seen[signature], held)
            row["shared_pairs"] = float(np.isin(links, _links(sample, ids)).mean()) if len(links) else np.nan
        except (DataError, DesignError, EstimationError) as error:
            row = {"kind": variant.kind, "variant": variant.name, "reason": str(error)}
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS).fillna({"reason": ""})


def study_fragility(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, draws: int = 20) -> pd.DataFrame:
    """The `fragility_table` of a study's matched design: the effect on one outcome in the reference year.

    Parameters
    ----------
    panel : Panel
        The firms that may be compared.
    sample : MatchedSample
        The study's, from `match_controls`; its own spec is varied.
    study, outcome
    draws : int
        As in `fragility_table`.

    Returns
    -------
    DataFrame
        As `fragility_table`; the row `headline` alone, with its reason, where the matched design cannot be estimated.
    """
    _refuse_negative(draws)
    year = study.treatment.reference_year

    def effect(one: MatchedSample) -> tuple[float, float]:
        row = at_reference(estimate(panel, one, study, outcome, design="matched"), year)
        return float(row["estimate"]), float(row["std_error"])

    choices = {"until": year, "anticipation": study.did.anticipation, "headline": sample}
    try:
        return fragility_table(effect, panel, sample.spec, draws=draws, **choices)
    except (DesignError, EstimationError) as error:
        return pd.DataFrame([{"kind": "headline", "variant": "", "reason": str(error)}], columns=COLUMNS)


def fragility_summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row a kind of choice: `kind, n` (rows made), `n_failed`, `low, high` (of the estimate), `moved` (the largest),
    `shared_pairs` (the smallest); NaN where no row of the kind could be made.
    """
    varied = table[table["kind"] != "headline"]
    made = varied["estimate"].notna()
    by_kind = varied.assign(made=made, failed=~made).groupby("kind", sort=False)
    found = by_kind.agg(
        n=("made", "sum"),
        n_failed=("failed", "sum"),
        low=("estimate", "min"),
        high=("estimate", "max"),
        moved=("moved", "max"),
        shared_pairs=("shared_pairs", "min"),
    )
    return found.reset_index()


def fragility_verdict(table: pd.DataFrame) -> pd.Series:
    """What the table says in one row: fragile when some row lies more than one standard error of the headline away from it.

    Values `worst` (the kind that moves the estimate most; empty where nothing was varied), `low, high` (of the estimate, the
    headline included), `moved` (the largest distance in the headline's standard errors), `n` (rows with such a distance besides
    the headline), `fragile` (None where nothing can be judged), `reason` (why not: `no_std_error`, the headline's is missing or
    0; `not_varied`, no other row could be made; empty otherwise).
    """
    unknown = "no_std_error" if table.loc[table["kind"] != "headline", "estimate"].notna().any() else "not_varied"
    varied = table[(table["kind"] != "headline") & table["moved"].notna()]
    worst = varied.loc[varied["moved"].idxmax()] if len(varied) else None
    moved = np.nan if worst is None else float(worst["moved"])
    values = {
        "worst": "" if worst is None else worst["kind"],
        "low": float(table["estimate"].min()),
        "high": float(table["estimate"].max()),
        "moved": moved,
        "n": len(varied),
        "fragile": bool(moved > FRAGILE) if len(varied) else None,
        "reason": "" if len(varied) else unknown,
    }
    return pd.Series(values, dtype=object)


def _refuse_negative(draws: int) -> None:
    if draws < 0:
        raise DesignError(f"draws, the number of rows of each kind that is drawn, must be 0 or more; found {draws}")


def _variants(
    firms: pd.DataFrame, spec: MatchSpec, sample: MatchedSample, draws: int, rng: np.random.Generator
) -> Iterator[_Variant]:
    """Every choice that the method takes; what the spec refuses is not a choice."""
    if spec.method in (*PAIRS, "full"):
        for k in range(draws):
            yield _Variant("tie_break", f"ids {k + 1}", spec, names=rng.permutation(len(firms)))
    if spec.method == "nearest" and spec.order == "data" and not spec.by_cohort and (not spec.replace or spec.reuse is not None):
        for k in range(draws):
            yield _Variant("row_order", f"rows {k + 1}", spec, rows=rng.permutation(len(firms)))
    seeds = rng.integers(2**31, size=draws).tolist()
    for kind, name, changes in (*_turns(spec, seeds), *_widths(spec), *_others(firms, spec, sample)):
        try:
            yield _Variant(kind, name, spec.changed(changes))
        except ValidationError:
            continue


def _turns(spec: MatchSpec, seeds: list[int]) -> Iterator[tuple[str, str, dict]]:
    """Who chooses first, where somebody can be forestalled."""
    if spec.method != "nearest" or (spec.replace and spec.reuse is None):
        return
    own = {"seed": MatchSpec.model_fields["seed"].default}
    for order in ("largest", "smallest", "closest", "data"):
        if order != spec.order:
            yield "order", order, {"order": order} | own
    for k, seed in enumerate(seeds):
        yield "seed", f"random {k + 1}", {"order": "random", "seed": seed}


def _widths(spec: MatchSpec) -> Iterator[tuple[str, str, dict]]:
    if spec.caliper is None:
        yield "caliper", f"{FIRST_CALIPER:g} sd", {"caliper": FIRST_CALIPER}
    for factor in WIDTHS:
        if spec.caliper is not None:
            yield "caliper", f"× {factor:g}", {"caliper": spec.caliper * factor}
        for name, width in spec.calipers.items():
            yield "caliper", f"{name} × {factor:g}", {"calipers": spec.calipers | {name: width * factor}}


def _others(firms: pd.DataFrame, spec: MatchSpec, sample: MatchedSample) -> Iterator[tuple[str, str, dict]]:
    by_score = spec.method in ("ipw", "subclass") or (spec.method in (*PAIRS, "full") and spec.distance in SCORES)
    if by_score:
        yield "link", *(("probit", {"link": "probit"}) if spec.link == "logit" else ("logit", {"link": "logit"}))
    if spec.method == "subclass":
        for step in (-2, -1, 1, 2):
            yield "subclasses", str(spec.subclasses + step), {"subclasses": spec.subclasses + step}
    if spec.method == "cem":
        bins = _bins(firms, spec, sample)
        for step in (-1, 1):
            fewer = {name: max(n + step, 1) for name, n in bins.items()}
            yield "cutpoints", f"{step:+d} bin", {"cutpoints": spec.cutpoints | fewer}
    if spec.method in WEIGHTING:
        for rule in ("none", "minmax", "crump"):
            if rule != spec.support:
                yield "support", rule, {"support": rule}
    if spec.method == "ebal":
        for moments in (1, 2, 3):
            if moments != spec.moments:
                yield "moments", str(moments), {"moments": moments}


def _bins(firms: pd.DataFrame, spec: MatchSpec, sample: MatchedSample) -> dict[str, int]:
    """The number of bins of each number that is cut into bins; edges that were chosen are none."""
    entered = len(firms) - int(sample.unmatched["reason"].isin(["later_cohort", "missing_covariate", "off_support"]).sum())
    sturges = int(np.ceil(np.log2(entered))) + 1
    as_number = [c for c in spec.covariates if c not in spec.exact and (c not in firms or is_numeric(firms[c]))]
    return {c: n for c in as_number if isinstance(n := spec.cutpoints.get(c, sturges), int)}


def _made(pool: Pool, variant: _Variant) -> MatchedSample:
    if variant.rows is not None:
        return pool.shuffled(variant.rows).matched(variant.spec)
    return pool.matched(variant.spec) if variant.names is None else renamed(pool, variant.spec, variant.names)


def _row(variant: _Variant, sample: MatchedSample, found: tuple[float, float], held: tuple[float, float]) -> dict:
    firms = sample.sets.drop_duplicates(["role", "firm_id"])["role"].value_counts()
    return {
        "kind": variant.kind,
        "variant": variant.name,
        "estimate": float(found[0]),
        "std_error": float(found[1]),
        "n_treated": int(firms.get("treated", 0)),
        "n_control": int(firms.get("control", 0)),
        "moved": abs(float(found[0]) - float(held[0])) / float(held[1]) if held[1] > 0 else np.nan,
        "reason": "",
    }


def _heads(sample: MatchedSample, ids: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """By row of the sets: the position in `ids` of the firm in the middle of its set, and of the firm itself."""
    sets, firm = sample.sets, ids.get_indexer(sample.sets["firm_id"])
    middle = (sets["rank"] == 0).to_numpy()
    number = sets["set_id"].to_numpy(int)
    head = np.zeros(number.max(initial=0) + 1, int)
    head[number[middle]] = firm[middle]
    return head[number], firm


def _links(sample: MatchedSample, ids: pd.Index) -> np.ndarray:
    """Every pair as one number; none for strata and weightings."""
    if sample.spec.method not in (*PAIRS, "full"):
        return np.empty(0, int)
    head, firm = _heads(sample, ids)
    return np.unique((head * len(ids) + firm)[(sample.sets["rank"] > 0).to_numpy()])


def _signature(sample: MatchedSample, ids: pd.Index) -> bytes | None:
    """What an estimate takes from a sample, the numbers of its sets apart: of samples alike in it the estimate is made once.

    None where weights were estimated.
    """
    if sample.spec.method not in (*PAIRS, "full"):
        return None
    head, firm = _heads(sample, ids)
    cohort, weight = (sample.sets[c].to_numpy(float) for c in ("cohort", "weight"))
    order = np.lexsort((firm, head, cohort))
    parts = [values[order] for values in (cohort, weight, head, firm)]
    if sample.space is not None:
        parts += [sample.space.reset_index(drop=True).to_numpy(float)]
    return b"".join(part.tobytes() for part in parts)
