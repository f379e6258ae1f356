"""The designs of `did_coverage.py`: a function makes one draw of a world and says how each estimator and inference fared in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import NamedTuple

import did_worlds as worlds
import numpy as np
import pandas as pd
from did_truths import (
    DRAWN,
    LEVEL,
    MANY,
    REPLICATIONS,
    SEED,
    SUMMARIES,
    Row,
    attempt,
    averaged,
    band,
    cell_truth,
    held,
    in_year,
    own_cells,
    point,
    population,
    rejects,
    summarised,
    truth_of,
)
from did_worlds import LAST, World
from scipy import stats

from pipeval import DidSpec, aggregate, att_gt
from pipeval.did.attrition import response_weights, weighted_effect
from pipeval.did.bounds import lee_table
from pipeval.did.cluster_errors import fit_errors, fitted
from pipeval.did.counts import net_count
from pipeval.did.dose import dose_slope, dose_trend
from pipeval.did.effects import Effects, joined
from pipeval.did.honest import _arrays, _event_rows, _target_rows
from pipeval.did.honest_sets import SETS
from pipeval.did.imputation import imputation_leads
from pipeval.did.inference import cluster_codes, pretrend_test
from pipeval.did.margins import margin_effects
from pipeval.did.multiple import holm, romano_wolf, ruled_out, summary_index
from pipeval.did.poisson import poisson_att
from pipeval.did.pretrend_power import detrended
from pipeval.did.randomisation import randomisation_test
from pipeval.did.ratios import ratio_effects, share_table
from pipeval.did.stacked import stacked_regression
from pipeval.did.subgroups import difference_table, equality_test, spillover_effects, subgroup_effects
from pipeval.did.wild import wild_bootstrap
from pipeval.robustness.outliers import outlier_rows
from pipeval.study.specs import Outcome

BOTH = ("x", "z")


def staggered(rng: np.random.Generator) -> list[Row]:
    """Staggered entry, trends and attrition depend on covariates."""
    world = worlds.staggered(rng)
    panel, rows = world.panel(), []
    fits = {
        "reg": (DidSpec(method="reg", covariates=BOTH), {}),
        "dr": (DidSpec(method="dr", covariates=BOTH), {}),
        "dr, never treated": (DidSpec(method="dr", covariates=BOTH, comparison="never_treated"), {}),
        "dr improved": (DidSpec(method="dr_improved", covariates=BOTH), {}),
        "ipw, never treated": (DidSpec(method="ipw", covariates=BOTH, comparison="never_treated"), {}),
        "dr, varying base": (DidSpec(method="dr", covariates=BOTH, base="varying"), {}),
        "dr, balanced": (DidSpec(method="dr", covariates=BOTH, sampling="balanced"), {"rule": "always"}),
        "dr, sampling weights": (DidSpec(method="dr", covariates=BOTH, weights="weight"), {"weighted": True}),
        "imputation": (DidSpec(method="imputation", covariates=BOTH), {"rule": "then"}),
    }
    whole = ("reg", "dr", "dr improved", "ipw, never treated", "imputation")
    for name, (spec, choice) in fits.items():
        truth = truth_of(worlds.staggered, **choice)
        kind = "least" if name == "imputation" else "exact"

        def run(name=name, spec=spec, truth=truth, kind=kind):
            cells = att_gt(panel, "y", spec)
            yield from summarised(name, cells, world, truth, SUMMARIES if name in whole else ("period", "event_time"), kind)
            if name == "dr":
                yield from _tests_before_entry(name, cells)
                row = in_year(aggregate(cells, "period"))
                target = averaged(truth, "period")[LAST]
                out = ruled_out(row["estimate"], row["std_error"], row["df"], target)
                yield rejects(name, f"target ruled out, year {LAST}", out["p_value"])
            if name == "dr, varying base":
                yield rejects(name, "pre-trend test, cells", pretrend_test(cells)["p_value"])

        rows += attempt(run)
    spec = fits["imputation"][0]
    rows += attempt(
        lambda: [rejects("imputation", "pre-trend test, 2 leads", pretrend_test(imputation_leads(panel, "y", 2, spec))["p_value"])]
    )
    plain = DidSpec(method="reg")
    rows += attempt(
        lambda: summarised(
            "reg without covariates", att_gt(panel, "y", plain), world, truth_of(worlds.staggered), ("period",), "shown"
        )
    )
    return rows


def _tests_before_entry(name: str, cells: Effects) -> Iterator[Row]:
    yield rejects(name, "pre-trend test, cells", pretrend_test(cells)["p_value"])
    yield rejects(name, "pre-trend test, event times", pretrend_test(aggregate(cells, "event_time"))["p_value"])


def unconditional(rng: np.random.Generator) -> list[Row]:
    """Staggered entry without covariates, years missed at random: interaction weights, shares known."""
    world = worlds.plain(rng)
    panel, truth = world.panel(), truth_of(worlds.plain)
    never = att_gt(panel, "y", DidSpec(comparison="never_treated"))
    mine = never.table[never.table["event_time"] >= 0][["cohort", "period", "weight_treated"]]
    known = truth.merge(mine.astype(float), on=["cohort", "period"]).assign(mass=lambda t: t["weight_treated"])
    rows = summarised("interaction-weighted (shares known)", never, world, known, known=True)
    rows += summarised("not yet treated, no covariates", att_gt(panel, "y", DidSpec()), world, truth)
    imputed = att_gt(panel, "y", DidSpec(method="imputation"))
    return rows + summarised("imputation, no covariates", imputed, world, truth_of(worlds.plain, "then"), kind="least")


def rotating(rng: np.random.Generator, n: int = 500) -> list[Row]:
    """Who answers is drawn anew each year: repeated cross-sections."""
    world = worlds.rotating(rng, n)
    panel, truth, rows = world.panel(), truth_of(worlds.rotating, "any"), []
    for name, method, comparison in (
        ("reg", "reg", "not_yet_treated"),
        ("dr", "dr", "not_yet_treated"),
        ("ipw, never treated", "ipw", "never_treated"),
    ):
        spec = DidSpec(method=method, covariates=BOTH, sampling="cross_sections", comparison=comparison)
        rows += attempt(partial(_sections, f"cross-sections, {name}", panel, spec, world, truth))
    return rows


def _sections(name: str, panel, spec: DidSpec, world: World, truth: pd.DataFrame) -> list[Row]:
    # the firms described are those seen at either end: no draw has a truth of its own
    by = ("period", "overall", "event_time")
    return [row._replace(own=np.nan) for row in summarised(name, att_gt(panel, "y", spec), world, truth, by)]


def lagged_level(rng: np.random.Generator) -> list[Row]:
    """Selection on the lagged level, where ANCOVA is right and differences are not; and the reverse."""
    world = worlds.on_level(rng)
    panel, truth, rows = world.panel(), truth_of(worlds.on_level), []
    for name, method in (("ANCOVA, reg", "reg"), ("ANCOVA, dr", "dr"), ("ANCOVA, dr improved", "dr_improved")):
        spec = DidSpec(method=method, lag="ancova")
        rows += attempt(
            lambda name=name, spec=spec: summarised(
                name, att_gt(panel, "y", spec), world, truth, ("period", "overall", "event_time")
            )
        )
    rows += summarised("differences", att_gt(panel, "y", DidSpec()), world, truth, ("period",), "shown")
    return rows


def fixed_effect(rng: np.random.Generator) -> list[Row]:
    """Selection on a fixed effect: differences are right, ANCOVA is not."""
    world = worlds.plain(rng)
    high = np.isfinite(world.cohort)[:, None] * 0.6
    world = World(world.cohort, {}, world.untreated + high, world.effect, world.seen)
    cells = att_gt(world.panel(), "y", DidSpec(method="reg", lag="ancova"))
    rows = summarised("ANCOVA, reg", cells, world, truth_of(worlds.plain, "then"), ("period",), "shown")
    return rows + summarised("differences", att_gt(world.panel(), "y", DidSpec()), world, truth_of(worlds.plain), ("period",))


@lru_cache(maxsize=1)
def amounts_truth() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Expected totals by cell with and without the programme; the log effect by cell."""
    whole = population(worlds.amounts)
    mean, log_effect = whole.extra["expected"], whole.extra["log_effect"]
    top, bottom = (cell_truth(whole, whole.seen, values) for values in (mean * np.exp(log_effect), mean))
    return top.assign(bottom=bottom["value"]), cell_truth(whole, whole.seen, log_effect)


def log_ratio(cells: pd.DataFrame, by: str) -> dict:
    """Key of a summary to the log of total over counterfactual total."""
    keys, place = np.unique(np.zeros(len(cells)) if by == "overall" else cells[by].to_numpy(float), return_inverse=True)
    top, bottom = (np.bincount(place, cells[name] * cells["mass"]) for name in ("value", "bottom"))
    return dict(zip(["overall"] if by == "overall" else keys.tolist(), np.log(top / bottom).tolist(), strict=True))


def poisson(rng: np.random.Generator) -> list[Row]:
    """Amounts with zeros: log ratios of totals, and the three margins."""
    world = worlds.amounts(rng)
    panel, rows = world.panel(), []
    totals, logs = amounts_truth()
    fits = {
        "Poisson, covariates": DidSpec(covariates=("z",)),
        "Poisson, covariates, never treated": DidSpec(covariates=("z",), comparison="never_treated"),
    }
    for name, spec in fits.items():
        for by in ("event_time",) if "never" in name else ("period", "overall", "event_time", "cohort"):
            rows += attempt(partial(_poisson_rows, name, panel, spec, totals, by))
    rows += attempt(lambda: _poisson_rows("Poisson without covariates", panel, DidSpec(), totals, "period", "shown")[:1])
    return rows + attempt(lambda: _margins(panel, totals, logs))


def _poisson_rows(name: str, panel, spec: DidSpec, totals: pd.DataFrame, by: str, kind: str = "exact") -> list[Row]:
    found, true = poisson_att(panel, "y", spec, by=by), log_ratio(totals, by)
    if by == "overall":
        return [point(name, "overall", found.table.iloc[0], true["overall"], kind=kind)]
    rows = [band(name, f"band by {by.replace('_', ' ')}", found, true, by, kind)]
    if by == "period":
        rows.insert(0, point(name, f"year {LAST}", in_year(found), true[LAST], kind=kind))
    if by == "event_time":
        rows.append(rejects(name, "pre-trend test, event times", pretrend_test(found)["p_value"]))
    return rows


def _margins(panel, totals: pd.DataFrame, logs: pd.DataFrame) -> list[Row]:
    table = margin_effects(panel, "y", DidSpec(covariates=("z",)), year=LAST).table.set_index("margin")
    true = {"extensive": 0.0, "intensive": averaged(logs, "period")[LAST], "total": log_ratio(totals, "period")[LAST]}
    return [point(f"margin: {name}", f"year {LAST}", table.loc[name], value) for name, value in true.items()]


def two_way(rng: np.random.Generator, n: int, ways: int) -> list[Row]:
    """Shocks shared within municipalities and, across them, buyers, as many of either."""
    world = worlds.crossed(rng, n, (ways, ways))
    panel, truth = world.panel(), crossed_truth()
    cells = att_gt(panel, "y", DidSpec(cluster=("town", "buyer")))
    rows = summarised("no covariates", cells, world, truth, ("period", "overall", "event_time"), inference="two-way clusters")
    rows += [
        rejects(
            "no covariates",
            "pre-trend test, event times, two-way clusters",
            pretrend_test(aggregate(cells, "event_time"))["p_value"],
        )
    ]
    rows += summarised(
        "no covariates", cells.clustered(panel.firms["town"]), world, truth, ("period",), "shown", inference="one way"
    )
    rows += summarised("no covariates", cells.clustered(None), world, truth, ("period",), "shown", inference="by firm")
    imputed = att_gt(panel, "y", DidSpec(method="imputation", cluster=("town", "buyer")))
    return rows + summarised("imputation", imputed, world, truth, ("period", "event_time"), "least", inference="two-way clusters")


@lru_cache(maxsize=1)
def crossed_truth() -> pd.DataFrame:
    """Of many municipalities, so that the cohorts' shares are those that all of them would have."""
    return cell_truth(whole := worlds.crossed(np.random.default_rng(SEED), MANY, (40_000, 40_000)), whole.seen)


def few(rng: np.random.Generator, groups: int, icc: float, same: bool = False) -> list[Row]:
    """Treated firms in few, unequal business clusters; controls stand alone. The truth is that of the draw's own firms."""
    world = worlds.business_clusters(rng, groups, icc)
    if same:
        world = World(world.cohort, world.firms, world.untreated, np.full(world.effect.shape, 0.2), world.seen)
    panel, spec = world.panel(), DidSpec()
    labels = panel.firms["cluster"]
    cells = att_gt(panel, "y", spec, clusters=labels)
    effects = aggregate(cells, "period")
    own = float(effects.treated_weight[:, effects.table["period"] == LAST][:, 0] @ world.effect[:, -1])
    # other clusters would bring other shares of the cohorts; the firms of this draw do not vary
    kind = "exact" if same else "least"
    rows = [point("no covariates", "CR1, t(G − 1), single controls left out (CR1_t)", in_year(effects), own, own, kind)]
    path, study = averaged(own_cells(cells, world), "event_time"), aggregate(cells, "event_time")
    rows.append(band("no covariates", "band by event time, t(G − 1), single controls left out", study, path, "event_time", kind))
    regression = stacked_regression(panel, "y", spec, LAST)
    codes = cluster_codes(labels, regression.firm_id)[regression.firm]
    fit = fitted(regression.y, regression.x, regression.w, codes, regression.contrast)
    for kind in ("CR1", "CR2", "CR3"):
        error, df = fit_errors(fit, kind)
        half = t_critical(df) * error
        tidy = {"estimate": fit.estimate, "std_error": error, "conf_low": fit.estimate - half, "conf_high": fit.estimate + half}
        rows.append(point("no covariates", f"{kind}, Satterthwaite", tidy, own, own, "least" if kind == "CR3" else "exact"))
    for law in ("rademacher", "webb"):
        found = wild_bootstrap(fit, law=law, draws=REPLICATIONS, seed=int(rng.integers(2**31)))
        tidy = {"estimate": fit.estimate, "std_error": fit_errors(fit, "CR1")[0], **found}
        rows.append(point("no covariates", f"wild bootstrap, {law}", tidy, own, own))
    return rows


def t_critical(df: float) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, df))


def dealt(rng: np.random.Generator, scheme: str, icc: float = 0.2, cohorts: tuple[int, ...] = (2003,)) -> list[Row]:
    """Randomisation under the sharp null, 199 reassignments a draw: of firms, of whole clusters, or of firms with their labels."""
    unit = "firm_id"
    if scheme == "firms":
        world = worlds.plain(rng, 200)
    else:
        choice = {"alone": 0, "untreated_groups": 16} if scheme == "clusters" else {"alone": 150}
        world = worlds.business_clusters(rng, 12, icc, cohorts=cohorts, **choice)
        unit = pd.Series(world.firms["cluster"]).rename_axis("firm_id")
    panel = world.panel(y=np.where(world.seen, world.untreated, np.nan))
    found = randomisation_test(panel, "y", DidSpec(seed=int(rng.integers(2**31))), LAST, unit, permutations=REPLICATIONS)
    return [rejects("no covariates", f"randomisation, {scheme} dealt", found["p_value"])] if found["scheme"] == scheme else []


def responding(rng: np.random.Generator) -> list[Row]:
    """Who answers depends on a covariate, otherwise in each arm: response weights."""
    world = worlds.silent(rng)
    panel = world.panel()
    truth = averaged(truth_of(worlds.silent, "any"), "period")[LAST]
    own = float(world.effect[world.cohort <= LAST, -1].mean())
    rows = []
    for name, spec in (("reg without covariates", DidSpec(method="reg")), ("dr", DidSpec(covariates=("x",)))):

        def run(name=name, spec=spec):
            weighted = weighted_effect(panel, "y", spec, response_weights(panel, "y", spec, LAST, ("x",)))
            yield point(name, "response weights", weighted.table.iloc[0], truth, own)

        rows += attempt(run)
    bare = in_year(aggregate(att_gt(panel, "y", DidSpec(method="reg"), periods=(LAST,)), "period"))
    return [*rows, point("reg without covariates", "as if nobody had left", bare, truth, own, "shown")]


def lee(rng: np.random.Generator, edge: bool) -> list[Row]:
    """Some firms answer only because of the programme: Lee's bounds on the effect of those that answer either way."""
    world = worlds.strata(rng, edge)
    described = world.extra["always"] & (world.cohort <= LAST)
    own, truth = float(world.effect[described, -1].mean()), _always_truth()
    table = lee_table(world.panel(), "y", DidSpec(), LAST, ("z",)).set_index("bounds")
    rows = []
    for name in ("plain", "tightened"):
        row = table.loc[name]
        deviation, error = (row["lower"] - truth, row["lower_error"]) if edge else (np.nan, np.nan)
        rows.append(
            Row(f"Lee bounds, {name}", "Imbens–Manski interval", deviation, error, held(row, truth), held(row, own), "least")
        )
    return rows


@lru_cache(maxsize=1)
def _always_truth() -> float:
    cohort = np.array(worlds.COHORTS, float)
    return float(worlds.mean_effect(cohort)[:, -1].mean())


PATHS = {
    "relative_magnitude": (1.0, {-4: -0.25, -3: -0.2, -2: -0.25, 0: 0.25, 1: 0.5, 2: 0.75, 3: 1.0}),
    "smoothness": (0.03, {k: 0.015 * (k + 1) * (k + 2) for k in range(-6, 5)}),
}


def honest(rng: np.random.Generator, groups: int = 0) -> list[Row]:
    """Trends fail by exactly the bound: sets under relative magnitudes (1) and smoothness."""
    rows = []
    for kind, (bound, path) in PATHS.items():
        world = worlds.violated(rng, path, groups)
        panel = world.panel()
        cells = att_gt(panel, "y", DidSpec(comparison="never_treated"))
        if groups:
            cells = cells.clustered(panel.firms["cluster"])
        study, own = aggregate(cells, "event_time"), averaged(own_cells(cells, world), "event_time")
        # clusters' cohorts are fixed by design
        truth = own if groups else averaged(truth_of(worlds.plain), "event_time")
        for target, key in (("first", 0.0), ("average", "average")):
            rows += attempt(partial(_honest_row, study, kind, bound, target, truth[key], own[key]))
    return rows


def _honest_row(study: Effects, kind: str, bound: float, target: str, truth: float, own: float) -> list[Row]:
    # what `honest_table` does, without the breakdown value, which costs ten times the set
    rows = _event_rows(study.table)
    low, high = SETS[kind](*_arrays(study, rows, _target_rows(study.table, rows, target), LEVEL), bound, LEVEL)
    ends = {"conf_low": low, "conf_high": high}
    return [
        Row(f"honest set, {kind.replace('_', ' ')} {bound:g}", target, np.nan, np.nan, held(ends, truth), held(ends, own), "least")
    ]


def drifting(rng: np.random.Generator) -> list[Row]:
    """Participants grow faster anyway, on a straight line: rows with the trend taken out."""
    world = worlds.drifting(rng)
    truth = averaged(truth_of(worlds.plain), "event_time")
    study = aggregate(att_gt(world.panel(), "y", DidSpec(comparison="never_treated")), "event_time")
    found = detrended(study)
    rows = [
        point("detrended", "first year", found.table.iloc[0], truth[0.0]),
        point("detrended", "mean over event times", found.table.iloc[-1], truth["average"]),
    ]
    rows.append(band("detrended", "band by event time", found, truth, "event_time"))
    return [*rows, point("not detrended", "mean over event times", study.table.iloc[-1], truth["average"], kind="shown")]


def outcomes(rng: np.random.Generator) -> list[Row]:
    """Five outcomes that move together and that the programme does not move."""
    world, values = worlds.several(rng)
    panel = world.panel(**values)
    family = joined({name: _only_year(aggregate(att_gt(panel, name, periods=(LAST,)), "period")) for name in values}, "outcome")
    adjusted = {
        "Romano–Wolf": romano_wolf(family, DRAWN).min(),
        "Romano–Wolf, one-sided": romano_wolf(family, DRAWN, one_sided=[1] * len(values)).min(),
    }
    rows = [rejects("five nulls: any finding", name, p) for name, p in adjusted.items()]
    rows.append(rejects("five nulls: any finding", "Holm", holm(family.table["p_value"]).min(), "most"))
    rows.append(rejects("five nulls: any finding", "not adjusted", family.table["p_value"].min(), "shown"))
    size = {name: 0.05 * (k + 1) for k, name in enumerate(values)}
    moved = {name: v + np.where(world.treated, size[name], 0.0) for name, v in values.items()}
    index = summary_index(world.panel(**moved), dict.fromkeys(values, 1), worlds.FIRST)
    known = index.outcomes.dropna()
    weight = np.linalg.lstsq(np.column_stack([known[list(values)], np.ones(len(known))]), known["index"], rcond=None)[0][:-1]
    row = in_year(aggregate(att_gt(index, "index", periods=(LAST,)), "period"))
    return [*rows, point("summary index", f"year {LAST}", row, float(weight @ list(size.values())))]


def _only_year(effects: Effects) -> Effects:
    return effects.only(np.flatnonzero(effects.table["period"] == LAST))


def groups(rng: np.random.Generator) -> list[Row]:
    """Three groups of firms: their effects, whether they are equal, the line through them, what is left of it."""
    rows = []
    world = worlds.grouped(rng, 0.1)
    panel = world.panel()
    label = pd.Series(world.firms["group"]).rename_axis("firm_id")
    within = subgroup_effects(panel, "y", label, period=LAST)
    across = subgroup_effects(panel, "y", label, DidSpec(method="reg", covariates=("group",)), within=False, period=LAST)
    true = _group_truth()
    for name, found in (("group, within", within), ("group, against all", across)):
        for k in (0, 2):
            own = float(found.treated_weight[:, k] @ world.effect[:, -1])
            rows.append(point(f"{name}: {k}", f"year {LAST}", found.table.iloc[k], true + 0.1 * k, own))
    rows.append(point("trend over groups", "slope", dose_trend(within, (0, 1, 2)), 0.1))
    world = worlds.grouped(rng, 0.0)
    label = pd.Series(world.firms["group"]).rename_axis("firm_id")
    equal = subgroup_effects(world.panel(), "y", label, period=LAST)
    rows.append(rejects("equal groups", f"equality test, year {LAST}", equality_test(equal)["p_value"]))
    table = difference_table(equal, "rest", DRAWN)
    rows.append(rejects("equal groups", "any difference, Romano–Wolf", table["p_romano_wolf"].min()))
    rows.append(rejects("equal groups", "any difference, Holm", table["p_holm"].min(), "most"))
    return rows


@lru_cache(maxsize=1)
def _group_truth() -> float:
    """Of group 0 in the last year: entry is independent of group given entry at all, so cohorts weigh alike."""
    return float(0.2 + 0.05 * np.mean([LAST - g for g in worlds.COHORTS]))


def doses(rng: np.random.Generator) -> list[Row]:
    """Firms that received more for reasons that are known: the slope over the dose."""
    world = worlds.dosed(rng)
    panel = world.panel()
    row = dose_slope(panel, "y", panel.firms["dose"], LAST, adjust=("x",)).table.iloc[0]
    bare = dose_slope(panel, "y", panel.firms["dose"], LAST).table.iloc[0]
    return [point("dose, adjusted", "slope", row, 0.2), point("dose, not adjusted", "slope", bare, 0.2, kind="shown")]


def bounded(rng: np.random.Generator) -> list[Row]:
    """Shares near zero: the counterfactual share's interval."""
    world = worlds.shares(rng)
    panel = world.panel()
    cells = att_gt(panel, "y")
    true = truth_of(worlds.shares, values="untreated")
    rows = []
    for by in ("period", "overall"):
        table = share_table(panel, "y", cells, by)
        row = (in_year(SimpleNamespace(table=table)) if by == "period" else table.iloc[0]).rename({"counterfactual": "estimate"})
        value = averaged(true, by)[LAST if by == "period" else "overall"]
        rows.append(point("counterfactual share", f"year {LAST}" if by == "period" else by, row, value))
    return rows


def ratios(rng: np.random.Generator) -> list[Row]:
    """A ratio, its numerator and its denominator, in logs."""
    world = worlds.plain(rng)
    first = world.outcome()
    second = np.where(
        world.seen, 0.5 * rng.standard_normal((len(first), 1)) + 0.5 * worlds.COMMON + worlds.auto(rng, len(first)), np.nan
    )
    second = second + np.where(world.treated, 0.5 * world.effect, 0.0)
    second[rng.random(second.shape) < 0.05] = np.nan
    found = ratio_effects(world.panel(va=first, jobs=second), "va", "jobs", by="period")
    value = averaged(truth_of(worlds.plain), "period")[LAST]
    three = found.only(np.flatnonzero(found.table["period"] == LAST)).bands(DRAWN).table.set_index("part")
    true = pd.Series({"va": value, "jobs": 0.5 * value, "ratio": 0.5 * value})
    inside = ((three["band_low"] <= true) & (three["band_high"] >= true)).all()
    rows = [point("ratio", f"year {LAST}", three.loc["ratio"], true["ratio"])]
    return [*rows, Row("ratio and parts", f"band over three, year {LAST}", np.nan, np.nan, float(inside), np.nan, "exact")]


def outliers(rng: np.random.Generator) -> list[Row]:
    """Errors with heavy tails, one effect: rows that discount extreme changes have the same truth."""
    panel = worlds.alike(rng).panel()
    study = SimpleNamespace(
        headline="pool", did=DidSpec(method="reg", covariates=("x",)), treatment=SimpleNamespace(reference_year=LAST),
        baseline=SimpleNamespace(year=2002),
    )  # fmt: skip
    outcome = Outcome(id="y", measure="y", label={"en": "y"})
    table = outlier_rows(panel, SimpleNamespace(scores=np.empty(0)), study, outcome)
    return [point(row["row"], f"year {LAST}", row, 0.2) for _, row in table.iterrows()]


def counts(rng: np.random.Generator) -> list[Row]:
    """Net counts: successes by baseline status, one firm in five silent."""
    n = 300
    status, d = rng.random(n) < 0.4, rng.random(n) < 0.4
    chance = np.array([[0.15, 0.4], [0.35, 0.55]])
    success = (rng.random(n) < chance[d.astype(int), status.astype(int)]).astype(float)
    success[rng.random(n) < np.where(d, 0.15, 0.2 + 0.1 * status)] = np.nan
    table = net_count(pd.Series(d), pd.Series(status.astype(int)), pd.Series(success)).table.set_index("measure")
    size = np.array([(d & ~status).sum(), (d & status).sum()])
    true = {"gross": size @ chance[1], "expected": size @ chance[0], "net": size @ (chance[1] - chance[0])}
    return [point(f"count: {name}", "interval", table.loc[name], float(value)) for name, value in true.items()]


def leaking(rng: np.random.Generator) -> list[Row]:
    """Firms reached without support: their own effect, and the effect on beneficiaries against firms that nothing reached."""
    world = worlds.leaking(rng)
    panel, reached = world.panel(), world.firms["reached"]
    ids = panel.firms.index
    controls = ids[~reached & np.isinf(world.cohort)]
    table = spillover_effects(panel, "y", ids[reached], controls, 2004, period=LAST).table.set_index("term")
    direct = averaged(truth_of(worlds.plain), "period")[LAST]
    rows = [point("spillover: indirect", f"year {LAST}", table.loc["indirect"], 0.1)]
    rows.append(point("spillover: direct", f"year {LAST}", table.loc["direct"], direct))
    return [*rows, point("spillover: direct, naive", f"year {LAST}", table.loc["direct_naive"], direct, kind="shown")]


class Study(NamedTuple):
    """A title, one draw, and what the design is."""

    title: str
    draw: Callable[[np.random.Generator], list[Row]]


STUDIES = {
    "staggered": Study("Staggered entry, trends and attrition depend on covariates", staggered),
    "unconditional": Study("Staggered entry, no covariates, years missed at random", unconditional),
    "rotating": Study("Repeated cross-sections, 500 firms", rotating),
    "rotating_1500": Study("Repeated cross-sections, 1,500 firms", partial(rotating, n=1500)),
    "lagged_level": Study("Selection on the lagged level", lagged_level),
    "fixed_effect": Study("Selection on a fixed effect", fixed_effect),
    "poisson": Study("Amounts with zeros", poisson),
    "two_way": Study("Shocks shared two ways, 40 clusters each, 400 firms", partial(two_way, n=400, ways=40)),
    "two_way_100": Study("Shocks shared two ways, 100 clusters each, 1,000 firms", partial(two_way, n=1000, ways=100)),
    **{
        f"few_{g}_{int(100 * icc):02d}": Study(f"{g} treated clusters, ICC {icc:g}", partial(few, groups=g, icc=icc))
        for g in (8, 16)
        for icc in (0.0, 0.05, 0.2)
    },
    "few_16_same": Study("16 treated clusters, ICC 0.05, one effect for all", partial(few, groups=16, icc=0.05, same=True)),
    "dealt_firms": Study("Randomisation of firms, no effect", partial(dealt, scheme="firms")),
    "dealt_clusters": Study(
        "Randomisation of whole clusters, 12 of 28 treated, ICC 0.2, no effect", partial(dealt, scheme="clusters")
    ),
    **{
        f"dealt_labels_{int(100 * icc):02d}": Study(
            f"Randomisation where controls stand alone, 12 treated clusters, ICC {icc:g}, no effect",
            partial(dealt, scheme="labels", icc=icc),
        )
        for icc in (0.05, 0.2)
    },
    "dealt_labels_3": Study(
        "Randomisation where controls stand alone, three cohorts of 4 clusters each, ICC 0.2, no effect",
        partial(dealt, scheme="labels", cohorts=worlds.COHORTS),
    ),
    "responding": Study("Attrition at random given a covariate, otherwise in each arm", responding),
    "lee": Study("Attrition moved by the programme, truth inside the bounds", partial(lee, edge=False)),
    "lee_edge": Study("Attrition moved by the programme, truth at the lower bound", partial(lee, edge=True)),
    "honest": Study("Trends fail by exactly the bound", honest),
    "honest_16": Study("Trends fail by exactly the bound, 16 treated clusters", partial(honest, groups=16)),
    "drifting": Study("Participants on a straight line of their own", drifting),
    "outcomes": Study("Several outcomes", outcomes),
    "groups": Study("Groups of firms", groups),
    "doses": Study("Doses", doses),
    "bounded": Study("Shares", bounded),
    "ratios": Study("Ratios", ratios),
    "outliers": Study("Heavy tails, one effect", outliers),
    "counts": Study("Net counts", counts),
    "leaking": Study("Spillover", leaking),
}
