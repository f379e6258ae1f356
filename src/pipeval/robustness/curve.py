"""The specification curve: every reasonable combination of choices, one row each, with the headline among them.

`robustness_grid` changes one decision at a time; the curve changes them together. Its rows share their data, so the share of rows
that agree describes the choices, and is not the probability of anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from hashlib import sha256
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from .. import __version__
from ..data.panel import Panel
from ..data.winsorise import winsorised
from ..did.designs import default_designs
from ..did.estimate import by_period, compared, estimate
from ..errors import DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..matching.panel import match_controls
from ..study.specs import DidSpec, Outcome, Study

WHOLE = ("common_support", "pool")
MATCHES = ("own", "full", "ebal")
METHODS = ("reg", "dr", "dr_improved", "ipw", "imputation")
OUTLIERS = {"kept": 0.0, "winsorised": 0.01}
FOUND = ("estimate", "std_error", "p_value", "conf_low", "conf_high", "n_treated", "n_control", "gap_p")
SAME_FIRMS = 0.10
"""A row that describes a share more or fewer treated firms than the headline asks another question."""


class Choice(NamedTuple):
    """One row of the curve."""

    design: str  # common_support, pool, or a name of `default_designs`
    method: str
    lag: str
    adjusted: str  # plan, short (the exact columns of the match), score (what a match left of it) or nothing
    comparison: str
    base: str  # the year before entry, or one earlier
    sample: str
    outliers: str
    prices: str


def specification_curve(
    panel: Panel,
    sample: MatchedSample,
    study: Study,
    outcome: Outcome,
    prices: Mapping[str, pd.Series] | None = None,
    known: pd.DataFrame | None = None,
    executor: Executor | None = None,
) -> pd.DataFrame:
    """One row a combination of choices: the effect in the reference year.

    Parameters
    ----------
    panel, sample, study, outcome
        As in `estimate`.
    prices : mapping of name to Series, optional
        The outcome by (firm_id, period) under other deflators. A deflator that all firms share moves every firm's logarithm alike
        and cancels in a difference, so such a series adds no row.
    known : DataFrame, optional
        An earlier curve: rows whose `row_key` it holds are taken from it.
    executor : concurrent.futures.Executor, optional
        Carries the samples out side by side; the numbers do not depend on it.

    Returns
    -------
    DataFrame
        The fields of `Choice`; `estimate, std_error, p_value, conf_low, conf_high, n_treated, n_control`; `gap_p`, the p-value of
        the difference from the headline, firm by firm; `question` (`same`, or `other` where a row describes other firms or another
        effect: ancova, firms seen every year, 10 % more or fewer treated firms); `headline`; `note` (why a row has no
        estimate, or `repeats` an earlier row to the last digit); `row_key`. Sorted by estimate. Empty for a Poisson outcome.

    Notes
    -----
    Simonsohn, Simmons and Nelson (2020). Combinations that mean nothing are left out: without covariates the weightings and
    regressions are one; imputation has its own comparison and base; ancova has no base period; a match takes its own controls;
    never- and not-yet-treated are the same once every cohort has entered.
    """
    if outcome.scale == "poisson":
        return pd.DataFrame(columns=[*Choice._fields, *FOUND, "question", "headline", "note", "row_key"])
    levels = {"constant": None} | {k: v for k, v in (prices or {}).items() if _differs(panel, outcome, v)}
    stamp = _stamp(panel, sample, study, outcome, levels)
    every = choices(panel, study, outcome, tuple(levels))
    keys = {c: sha256(f"{stamp}{c}".encode()).hexdigest()[:16] for c in every}
    old = {} if known is None else _by_key(known)
    together = {}
    for c in every:
        if keys[c] not in old:
            together.setdefault((c.sample, c.prices, c.outliers), []).append(c)
    first, main = every[0], None
    with collected():
        if together:
            main = _estimated(panel, study, outcome, first, _Made({"own": sample}, {}))
    jobs = [(panel, sample, study, outcome, levels[group[1]], mine, main) for group, mine in together.items()]
    done = {c: row for part in (map if executor is None else executor.map)(_part, jobs) for c, row in part}
    done |= {c: {k: old[keys[c]][k] for k in (*FOUND, "note")} for c in every if keys[c] in old}
    rows = [c._asdict() | done[c] | {"headline": c == first, "row_key": keys[c]} for c in every]
    return _finished(pd.DataFrame(rows))


def _by_key(known: pd.DataFrame) -> dict[str, dict]:
    """The rows of an earlier curve, also as read from a file; which of them repeat others is judged anew."""
    note = known["note"].astype(object).where(known["note"].notna(), "").replace("repeats", "")
    return known.assign(note=note).drop_duplicates("row_key").set_index("row_key").to_dict("index")


def _finished(table: pd.DataFrame) -> pd.DataFrame:
    """The rows with their question, repeated ones named, in the order of their estimates."""
    main = table[table["headline"]].iloc[0]
    apart = (table["n_treated"] / main["n_treated"] - 1).abs() > SAME_FIRMS
    other = (table["lag"] != main["lag"]) | (table["sample"] == "balanced") | apart
    numbers = table[["estimate", "std_error"]].round(10)
    repeated = numbers.duplicated() & numbers["estimate"].notna() & ~table["headline"]
    table = table.assign(question=np.where(other & ~table["headline"], "other", "same"))
    table.loc[repeated, "note"] = "repeats"
    return table.sort_values(["estimate", "row_key"], kind="stable", ignore_index=True)


def choices(panel: Panel, study: Study, outcome: Outcome, prices: tuple[str, ...] = ("constant",)) -> list[Choice]:
    """The combinations that mean something, headline first."""
    samples = ["all", "balanced"]
    if "other_programme" in panel.firms and panel.firms["other_programme"].any():
        samples.append("without_other_programmes")
    cuts = list(OUTLIERS) if outcome.scale in ("log", "level") else ["kept"]
    estimators = list(_estimators(panel, study, outcome))
    found = [Choice(*e, kept, cut, price) for kept, cut, price, e in product(samples, cuts, prices, estimators)]
    first = headline_choice(study, outcome)
    return [first, *(c for c in found if c != first)]


def headline_choice(study: Study, outcome: Outcome) -> Choice:
    """The row that the study's own choices are."""
    did, lag = study.did, outcome.lag or study.did.lag
    if study.headline == "matched":
        method = did.method if lag == "ancova" else "reg"  # the mean before is a covariate: methods differ
        return Choice("own", method, lag, "nothing", "own_controls", _base(lag), "all", "kept", "constant")
    adjusted = "plan" if any(c not in outcome.among for c in did.covariates) else "nothing"
    method = did.method if adjusted == "plan" or lag == "ancova" or did.method == "imputation" else "reg"
    comparison = "own_untreated" if method == "imputation" else did.comparison
    return Choice("common_support", method, lag, adjusted, comparison, _base(lag), "all", "kept", "constant")


def _base(lag: str) -> str:
    return "mean_before" if lag == "ancova" else "year_before"


def _estimators(panel: Panel, study: Study, outcome: Outcome) -> Iterator[tuple[str, ...]]:
    """Design, method, lag, adjustment, comparison and base: the first six fields of a choice."""
    bases = ("year_before", "one_earlier")
    cohort = panel.firms["cohort"]
    later = np.isfinite(cohort) & (cohort > study.treatment.reference_year + study.did.anticipation)
    swap = ("not_yet_treated", "never_treated") if later.any() else (study.did.comparison,)
    sets = {"plan": study.did.covariates, "short": _short(study), "nothing": ()}
    sets = {k: tuple(c for c in v if c not in outcome.among) for k, v in sets.items()}
    for design, (adjusted, names) in product(WHOLE, sets.items()):
        if adjusted != "nothing" and not names:
            continue
        for method in METHODS if names else ("reg", "imputation"):
            if method == "imputation":
                yield from ((design, method, "difference", adjusted, "own_untreated", b) for b in bases)
            else:
                yield from ((design, method, "difference", adjusted, c, b) for c, b in product(swap, bases))
        yield from ((design, "reg", "ancova", adjusted, c, "mean_before") for c in swap)
    made = default_designs(study)
    for design in (d for d in MATCHES if d in made):
        for adjusted in ("nothing",) if design == "ebal" else ("nothing", "score"):
            yield from ((design, "reg", "difference", adjusted, "own_controls", b) for b in bases)


def _short(study: Study) -> tuple[str, ...]:
    """The covariates in which matches are exact, where they are fewer than the plan's."""
    return study.match.exact if set(study.match.exact) != set(study.did.covariates) else ()


def _part(job: tuple) -> list[tuple[Choice, dict]]:
    """The rows of one sample, deflator and treatment of outliers."""
    panel, sample, study, outcome, values, mine, main = job
    rows, made = [], _Made({"own": sample} if mine[0].sample == "all" else {}, {})
    with collected():
        try:
            firms, nobody = _firms(panel, outcome, values, mine[0])
        except DesignError as error:
            firms, nobody = panel, str(error)
        for choice in mine:
            found, note = {}, nobody
            if not nobody:
                try:
                    row, influence = _estimated(firms, study, outcome, choice, made)
                    found = row | {"gap_p": _gap(row, influence, main)}
                except (DesignError, EstimationError) as error:
                    note = str(error)
            rows.append((choice, {k: found.get(k, np.nan) for k in FOUND} | {"note": note}))
    return rows


def _gap(row: dict, influence: pd.Series, main: tuple[dict, pd.Series]) -> float:
    """p-value of no difference from the headline, from the difference of influences."""
    error = float(np.sqrt((influence.sub(main[1], fill_value=0.0) ** 2).sum()))
    gap = abs(row["estimate"] - main[0]["estimate"])
    return float(2 * stats.norm.sf(gap / error)) if error > 1e-9 * abs(row["std_error"]) else np.nan


def _firms(panel: Panel, outcome: Outcome, values: pd.Series | None, choice: Choice) -> tuple[Panel, str]:
    """The panel with this sample, deflator and treatment of outliers; or why there is none."""
    outcomes = panel.outcomes
    if values is not None:
        outcomes = outcomes.assign(**{outcome.id: values.reindex(outcomes.index)})
    if OUTLIERS[choice.outliers]:
        outcomes = outcomes.assign(**{outcome.id: winsorised(outcomes[outcome.id], panel.firms, OUTLIERS[choice.outliers])})
    firms = panel if outcomes is panel.outcomes else Panel(panel.firms, outcomes, panel.ledger)
    if choice.sample == "balanced":
        inside = firms.wide(outcome.id).dropna(axis=1, how="all").notna().all(axis=1)
    elif choice.sample == "without_other_programmes":
        inside = ~firms.firms["other_programme"].astype(bool)
    else:
        return firms, ""
    if not inside.any():
        return firms, "no firm is left in this sample"
    return firms.keep(inside.index[inside], stage="robustness", reason=choice.sample), ""


class _Made(NamedTuple):
    """What has been made once for the rows of one sample: matches by design, and the firms of the common support."""

    matches: dict[str, MatchedSample]
    support: dict[str, Panel]


def _estimated(firms: Panel, study: Study, outcome: Outcome, choice: Choice, made: _Made) -> tuple[dict, pd.Series]:
    """One estimate: its row and its influence by firm."""
    name = "own" if choice.design in WHOLE else choice.design
    if name not in made.matches:
        made.matches[name] = match_controls(firms, study, default_designs(study)[name])
    sample, design = made.matches[name], "pool"
    if choice.design == "common_support":
        if choice.design not in made.support:
            made.support[choice.design] = compared(firms, sample, study)
        firms = made.support[choice.design]
    elif choice.design in MATCHES:
        design = "matched_adjusted" if choice.adjusted == "score" else "matched"
    year = study.treatment.reference_year
    plain = outcome.model_copy(update={"lag": None})
    effects = by_period(estimate(firms, sample, study, plain, design=design, spec=_spec(study, choice), year=year))
    column = np.flatnonzero(effects.table["period"] == year)
    if len(column) == 0:
        raise DesignError(f"no effect in the reference year {year}: no cohort is observed then and in its base")
    return effects.table.iloc[column[0]].to_dict(), pd.Series(effects.influence[:, column[0]], effects.firm_id)


def _spec(study: Study, choice: Choice) -> DidSpec:
    did, sets = study.did, {"plan": study.did.covariates, "short": _short(study)}
    own = {} if choice.comparison.startswith("own") else {"comparison": choice.comparison}
    earlier = did.anticipation + (choice.base == "one_earlier")
    levels = choice.lag == "difference" and choice.method in ("dr", "ipw", "reg")
    sampling = did.sampling if levels or did.sampling == "balanced" else "both_ends"
    plain = {"comparison": "not_yet_treated", "base": "universal", "sampling": sampling}
    made = {"method": choice.method, "lag": choice.lag, "anticipation": earlier, "covariates": sets.get(choice.adjusted, ())}
    return did.changed(plain | own | made)


def _differs(panel: Panel, outcome: Outcome, values: pd.Series) -> bool:
    """Whether a deflator moves firms apart: one that adds the same to all firms of a year cancels."""
    gap = (panel.outcomes[outcome.id] - values.reindex(panel.outcomes.index)).dropna()
    spread = gap.groupby(level="period").agg(lambda g: g.max() - g.min())
    return bool(len(spread) and spread.max() > 1e-9)


def _stamp(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, levels: Mapping) -> str:
    """What a row depends on beside its own choice, as one string."""
    state = sha256(
        __version__.encode()
        + study.model_dump_json(exclude={"report", "data", "root"}).encode()
        + outcome.model_dump_json().encode()
    )
    others = [v.to_frame() for v in levels.values() if v is not None]
    for table in (panel.firms, panel.outcomes[[outcome.id]], sample.sets, *others):
        state.update(pd.util.hash_pandas_object(table.astype(str), index=True).to_numpy().tobytes())
    return state.hexdigest()


def curve_summary(curves: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row an outcome: how many different ways of asking the headline's question there are, and how far their answers agree.

    Columns `outcome, n_rows` (asked), `n_failed, n_repeated, n_same` (distinct rows of the same question), `estimate` (headline),
    `median, low, high` (of the distinct rows), and as shares of them `same_sign`, `significant` (same sign and an interval without
    zero), `no_gap` (not to be told from the headline at 5 %).
    """
    rows = []
    for key, table in curves.items():
        done = table[(table["note"] == "") & (table["question"] == "same")]
        main = done[done["headline"]]
        if main.empty:
            continue
        main = main.iloc[0]
        same = np.sign(done["estimate"]) == np.sign(main["estimate"])
        clear = (done["conf_low"] > 0) | (done["conf_high"] < 0)
        close = ~(done["gap_p"] < 0.05)
        rows.append({
            "outcome": key, "n_rows": len(table), "n_failed": int(table["estimate"].isna().sum()),
            "n_repeated": int((table["note"] == "repeats").sum()), "n_same": len(done), "estimate": main["estimate"],
            "median": done["estimate"].median(), "low": done["estimate"].min(), "high": done["estimate"].max(),
            "same_sign": same.mean(), "significant": (same & clear).mean(), "no_gap": close.mean(),
        })  # fmt: skip
    columns = ["outcome", "n_rows", "n_failed", "n_repeated", "n_same", "estimate", "median", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "same_sign", "significant", "no_gap"])
