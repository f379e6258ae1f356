"""Difference-in-differences against numbers stored from R (calls and versions stand in each expected.json).

`did` prints standard errors without the factor G/(G−1); it is taken out here before comparing.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from causaldata import cps_mixtape, nsw_mixtape

from pipeval.data.panel import NEVER, Panel
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.cells import Cell, comparison_firms
from pipeval.did.inference import pretrend_test
from pipeval.did.kernel import logit
from pipeval.did.poisson import poisson_att
from pipeval.did.twfe import twfe
from pipeval.errors import PipevalWarning
from pipeval.study.specs import DidSpec

HERE = Path(__file__).parent / "reference"
CLOSED, ITERATED = 1e-8, 1e-6
COMPARISON = {"nevertreated": "never_treated", "notyettreated": "not_yet_treated"}
ESTIMATORS = [(m, c, x) for m in ("dr", "ipw", "reg") for c in COMPARISON for x in ("none", "x1x2")]


@cache
def expected(case: str) -> dict:
    return json.loads((HERE / case / "expected.json").read_text(encoding="utf-8"))["results"]


@cache
def frame(case: str, file: str) -> pd.DataFrame:
    return pd.read_csv(HERE / case / file)


def panel_of(data: pd.DataFrame) -> Panel:
    names = {"firm_id": "firm", "period": "year", "cohort": "cohort"}
    return Panel.from_frame(data, **names, outcomes=["y", "count"], covariates=["x1", "x2", "w", "region", "cluster"])


@pytest.fixture(scope="module")
def panel() -> Panel:
    return panel_of(frame("did_panel", "panel.csv"))


def spec_of(method: str, comparison: str, x: str, base: str = "varying", anticipation: int = 0) -> DidSpec:
    covariates = () if x == "none" else ("x1", "x2")
    return DidSpec(method=method, comparison=COMPARISON[comparison], covariates=covariates, base=base, anticipation=anticipation)


def quietly(call, *args, **options):
    """The result of `call`, whose warnings another test asks for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return call(*args, **options)


def numbers(values) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in np.atleast_1d(values)], float)


def same(found, wanted, tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(found, float), numbers(wanted), rtol=0, atol=tolerance)


def without_factor(table: pd.DataFrame) -> pd.Series:
    return table["std_error"] * np.sqrt((table["n_clusters"] - 1) / table["n_clusters"])


def same_cells(effects, wanted: dict, tolerance: float) -> None:
    """Every cell that R could estimate; none of ours is missing."""
    known = ~np.isnan(numbers(wanted["att"]))
    index = pd.MultiIndex.from_arrays([wanted["group"], wanted["t"]])[known]
    ours = effects.table.set_index(["cohort", "period"]).reindex(index)
    same(ours["estimate"], numbers(wanted["att"])[known], tolerance)
    same(without_factor(ours), numbers(wanted["se"])[known], tolerance)


def same_wald(effects, wanted: float, tolerance: float) -> None:
    """R's joint statistic, without G/(G−1) of each row, and that ours is the same with it."""
    rows = np.flatnonzero((effects.table["phase"] == "pre") & effects.table["std_error"].notna())
    b, (variance, _) = effects.table["estimate"].to_numpy()[rows], effects.covariance(rows)
    clusters = effects.table["n_clusters"].to_numpy()[rows]
    without = np.sqrt((clusters - 1) / clusters)
    same(b @ np.linalg.solve(variance * np.outer(without, without), b), wanted, tolerance)
    same(pretrend_test(effects)["wald"], b @ np.linalg.solve(variance, b), CLOSED)


def same_summaries(effects, wanted: dict, tolerance: float) -> None:
    summaries = {
        "dynamic": ("event_time", {}),
        "group_agg": ("cohort", {}),
        "calendar": ("period", {}),
        "dynamic_balance_e1": ("event_time", {"balanced_to": 1}),
        "dynamic_window": ("event_time", {"window": (-1, 1)}),
    }
    for key, (by, options) in summaries.items():
        table = aggregate(effects, by, **options).table
        rows, average = table[table["term"] == by], table[table["term"] == "average"]
        same(rows[by], wanted[key]["egt"], 0)
        same(rows["estimate"], wanted[key]["att_egt"], tolerance)
        same(without_factor(rows), wanted[key]["se_egt"], tolerance)
        same(average["estimate"], wanted[key]["overall_att"], tolerance)
        same(without_factor(average), wanted[key]["overall_se"], tolerance)
    overall = aggregate(effects, "overall").table
    same(overall["estimate"], wanted["simple"]["overall_att"], tolerance)
    same(without_factor(overall), wanted["simple"]["overall_se"], tolerance)


@pytest.mark.parametrize("anticipation", [0, 1])
@pytest.mark.parametrize("base", ["varying", "universal"])
@pytest.mark.parametrize(("method", "comparison", "x"), ESTIMATORS)
def test_cells_and_summaries(panel, method, comparison, x, base, anticipation):
    wanted = expected("did_panel")[f"{method}_{comparison}_{x}_{base}_ant{anticipation}"]
    tolerance = CLOSED if x == "none" or method == "reg" else ITERATED
    effects = att_gt(panel, "y", spec_of(method, comparison, x, base, anticipation))
    assert len(effects.table) == len(wanted["att"])
    same_cells(effects, wanted, tolerance)
    same_summaries(effects, wanted, tolerance)
    if anticipation == 0:
        same_wald(effects, wanted["W"], max(tolerance, 1e-7))


@pytest.mark.parametrize("method", ["dr", "ipw", "reg"])
def test_sampling_weights(panel, method):
    wanted = expected("did_panel_weights")[f"{method}_weights"]
    effects = att_gt(panel, "y", spec_of(method, "notyettreated", "x1x2"), weights=panel.firms["w"])
    same_cells(effects, wanted, CLOSED if method == "reg" else ITERATED)
    same_summaries(effects, wanted, CLOSED if method == "reg" else ITERATED)


@pytest.mark.parametrize(("method", "comparison", "x"), ESTIMATORS)
def test_balanced_part_of_an_unbalanced_panel(method, comparison, x):
    data = frame("did_panel_unbalanced", "panel_unbalanced.csv")
    full = data[data.groupby("firm")["year"].transform("size") == 7]
    wanted = expected("did_panel_unbalanced")[f"{method}_{comparison}_{x}_balanced_only"]
    tolerance = CLOSED if x == "none" or method == "reg" else ITERATED
    effects = att_gt(panel_of(full), "y", spec_of(method, comparison, x))
    same_cells(effects, wanted, tolerance)
    same_summaries(effects, wanted, tolerance)


@pytest.mark.parametrize("base", ["varying", "universal"])
@pytest.mark.parametrize("x", ["none", "x1x2"])
@pytest.mark.parametrize("method", ["dr", "ipw", "reg"])
def test_no_never_treated_and_a_cohort_treated_from_the_start(method, x, base):
    """R lets the cohort of 2001 delete that of 2006, so its numbers are ours without the firms of 2006."""
    panel = panel_of(frame("did_panel_all_treated", "panel_all_treated.csv"))
    wanted = expected("did_panel_all_treated")[f"{method}_notyettreated_{x}_{base}"]
    without = panel.keep(panel.firms.index[panel.firms["cohort"] != 2006], "test", "last cohort")
    spec = spec_of(method, "notyettreated", x, base)
    effects = quietly(att_gt, without, "y", spec)
    assert "always_treated" in {n.key for n in effects.notes}
    same_cells(effects, wanted, CLOSED if x == "none" or method == "reg" else ITERATED)
    whole = quietly(att_gt, panel, "y", spec)
    last = whole.table[(whole.table["cohort"] == 2005) & (whole.table["period"] == 2005)]
    assert last["n_control"].item() == 76, "the firms of 2006 compare with those of 2005 until they enter"


def with_the_sign_of_r(effects, panel, spec):
    """The influence of `dr` with covariates as DRDID 1.2.3 has it.

    It adds what the estimation of the base period's regression contributes where the derivative subtracts it: twice
    that term is the whole difference. `test_did.test_influence_of_cross_sections_is_the_derivative` shows that ours is the
    derivative.
    """
    wide, firms, influence = panel.wide("y"), panel.firms, effects.influence.copy()
    for k, row in enumerate(effects.table.itertuples()):
        cell = Cell(row.cohort, row.period, row.base_period, row.phase)
        own = (firms["cohort"] == row.cohort).to_numpy()
        here = own | comparison_firms(firms["cohort"].to_numpy(), cell, spec)
        seen = [(here & wide[t].notna()).to_numpy() for t in (row.base_period, row.period)]
        firm = np.concatenate([np.flatnonzero(s) for s in seen])
        early, d = np.arange(len(firm)) < seen[0].sum(), own[firm]
        x = np.column_stack([np.ones(len(firm)), firms[["x1", "x2"]].to_numpy(float)[firm]])
        ps, _ = logit(d.astype(float), x, np.ones(len(firm)))
        odds = np.where(d, 0.0, ps / (1 - ps)) * early
        base = firm[early & ~d]
        design, y = x[early & ~d], wide[row.base_period].to_numpy()[base]
        residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        gap = x[d & early].mean(axis=0) - odds @ x / odds.sum()
        np.add.at(influence[:, k], base, -2 * residual * (design @ np.linalg.solve(design.T @ design, gap)))
    return replace(effects, influence=influence).clustered(None)


@pytest.mark.parametrize(("method", "comparison", "x"), ESTIMATORS)
def test_an_unbalanced_panel_as_repeated_cross_sections(method, comparison, x):
    panel = panel_of(frame("did_panel_unbalanced", "panel_unbalanced.csv"))
    wanted = expected("did_panel_unbalanced")[f"{method}_{comparison}_{x}_unbalanced"]
    tolerance = CLOSED if x == "none" or method == "reg" else ITERATED
    spec = spec_of(method, comparison, x).changed({"sampling": "cross_sections"})
    effects = att_gt(panel, "y", spec)
    size = effects.table["cohort"].map(panel.firms["cohort"].value_counts())
    assert (effects.table["n_treated"] == size).all(), "all are seen in either period: our weights are R's, the cohort's firms"
    if method == "dr" and x == "x1x2":
        effects = with_the_sign_of_r(effects, panel, spec)
    same_cells(effects, wanted, tolerance)
    same_summaries(effects, wanted, tolerance)
    same_wald(effects, wanted["W"], max(tolerance, 1e-7))


def test_both_ends_of_an_unbalanced_panel():
    """The naive twin: firms seen at both ends of a cell, differences of means, Welch-like influence."""
    data = frame("did_panel_unbalanced", "panel_unbalanced.csv")
    wide = data.pivot(index="firm", columns="year", values="y")
    cohort = data.groupby("firm")["cohort"].first()
    table = att_gt(panel_of(data), "y").table
    for row in table[table["phase"] != "base"].itertuples():
        change = (wide[row.period] - wide[row.base_period]).dropna()
        who = cohort[change.index]
        treated = change[who == row.cohort]
        control = change[((who == 0) | (who > max(row.period, row.base_period))) & (who != row.cohort)]
        n = len(treated) + len(control)
        squares = [((c - c.mean()) ** 2).sum() / len(c) ** 2 for c in (treated, control)]
        assert (row.n_treated, row.n_control) == (len(treated), len(control))
        same(row.estimate, treated.mean() - control.mean(), CLOSED)
        same(row.std_error, np.sqrt(sum(squares) * n / (n - 1)), CLOSED)
    assert table["n_treated"].nunique() > 5, "the panel has holes"


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("twfe_iid", {"unadjusted": True}),
        ("twfe_firm", {}),
        ("twfe_region", {"clusters": "region"}),
        ("twfe_cluster24", {"clusters": "cluster"}),
        ("twfe_weighted_firm", {"weights": "w"}),
    ],
)
def test_two_way_fixed_effects(panel, key, options):
    given = {k: panel.firms[v] if isinstance(v, str) else v for k, v in options.items()}
    row = quietly(twfe, panel, "y", **given).iloc[0]
    wanted = expected("did_fixed_effects")[key]["D"]
    same(row["estimate"], wanted["Estimate"], CLOSED)
    same(row["std_error"], wanted["Std. Error"], CLOSED)
    same(row["p_value"], wanted["Pr(>|t|)"], CLOSED)


def test_two_way_fixed_effects_by_event_time(panel):
    wanted = expected("did_fixed_effects")["event_study_twfe"]
    found = twfe(panel, "y", [int(k.removeprefix("rel::")) for k in wanted])
    same(found["estimate"], [v["Estimate"] for v in wanted.values()], CLOSED)
    same(found["std_error"], [v["Std. Error"] for v in wanted.values()], CLOSED)


def test_interaction_weighted_event_study(panel):
    """Sun and Abraham: cells of never-treated comparison, shares known.

    fixest multiplies the variance by G/(G − 1) · (N − 1)/(N − K): N = 2,100 rows, K = 18 cells + 7 years, the firm effects being
    nested in the clusters.
    """
    wanted = expected("did_fixed_effects")
    cells = att_gt(panel, "y", DidSpec(comparison="never_treated"))
    for key, by in (("sunab_event", "event_time"), ("sunab_att", "overall"), ("sunab_cohort", "cohort")):
        table = aggregate(cells, by, shares="known").table
        table = table[(table["term"] == by) & table["std_error"].notna()]
        same(table["estimate"], [v["Estimate"] for v in wanted[key].values()], CLOSED)
        g = table["n_clusters"]
        ours = without_factor(table) * np.sqrt(300 / 299 * 2099 / (2100 - 18 - 7))
        assert g.max() <= 300
        same(ours, [v["Std. Error"] for v in wanted[key].values()], CLOSED)
        if by != "event_time":
            known, estimated = (aggregate(cells, by, shares=s).table["std_error"].iloc[-1] for s in ("known", "estimated"))
            assert known != estimated


def test_two_way_fixed_effects_unbalanced():
    found = twfe(panel_of(frame("did_panel_unbalanced", "panel_unbalanced.csv")), "y").iloc[0]
    wanted = expected("did_fixed_effects")["unbalanced_twfe_firm"]["D"]
    same(found[["estimate", "std_error"]], [wanted["Estimate"], wanted["Std. Error"]], CLOSED)


def test_textbook_numbers_of_the_michigan_firms():
    """Wooldridge, example 14.1: −.2523 (.1506) and −.4216 (.2102) for ln scrap; one dummy for both years gives −.2787."""
    from linearmodels.datasets import jobtraining

    data = jobtraining.load()
    data["start"] = data["fcode"].map(data[data["grant"] == 1].groupby("fcode")["year"].min())
    panel = Panel.from_frame(data, firm_id="fcode", period="year", cohort="start", outcomes=["lscrap"])
    found = twfe(panel, "lscrap", event_times=(0, 1), unadjusted=True)
    assert found[["estimate", "std_error"]].round(4).to_numpy().tolist() == [[-0.2523, 0.1506], [-0.4216, 0.2102]]
    assert round(twfe(panel, "lscrap", unadjusted=True)["estimate"].item(), 4) == -0.2787


def test_pooled_poisson_by_cohort_and_period(panel):
    """fixest multiplies by (N−1)/(N−K), N = 2,100 rows and K = 9 cells + 4 cohorts + 7 years − 1."""
    wanted = expected("did_fixed_effects")["pooled_poisson_cohort_time"]
    table = poisson_att(panel, "count").table
    rows = [wanted[f"cell::{c}_{t}"] for c, t in zip(table["cohort"], table["period"], strict=True)]
    assert len(rows) == len(wanted)
    same(table["estimate"], [r["Estimate"] for r in rows], ITERATED)
    same(table["std_error"] * np.sqrt(2099 / 2081), [r["Std. Error"] for r in rows], ITERATED)


@pytest.mark.parametrize(
    ("outcome", "spec", "att", "std_error"),
    [
        (
            "lscrap",
            DidSpec(method="dr", covariates=("union",), base="varying"),
            [-0.336732817547102, -0.439245582198757, -0.187518083066162, -0.182088150911861],
            [0.161183165629083, 0.302004361360807, 0.179009189142173, 0.112683728890477],
        ),
        (
            "lemploy",
            DidSpec(method="ipw", covariates=("union",), comparison="never_treated", base="varying"),
            [0.0326068757910983, 0.0222529452274345, -0.0545128318111308, 0.0588204160064925],
            [0.0511477412513957, 0.083263407360626, 0.0416903645483151, 0.0479982119520892],
        ),
    ],
)
def test_the_michigan_firms_in_did(outcome, spec, att, std_error):
    """R `did` 2.3.0 on the balanced part. The data package stores single precision: seven digits are all that can agree."""
    from linearmodels.datasets import jobtraining

    data = jobtraining.load()
    data["start"] = data["fcode"].map(data[data["grant"] == 1].groupby("fcode")["year"].min())
    data = data[data[outcome].notna()]
    data = data[data.groupby("fcode")["year"].transform("size") == 3]
    names = {"firm_id": "fcode", "period": "year", "cohort": "start"}
    panel = Panel.from_frame(data, **names, outcomes=[outcome], covariates=["union"])
    table = quietly(att_gt, panel, outcome, spec).table
    same(table["estimate"], att, 5e-7)
    same(without_factor(table), std_error, 5e-7)


def test_improved_doubly_robust_on_the_training_experiment():
    """185 men trained beside 15,992 of a survey, earnings of 1975 and 1978: moderndid 0.2.0, `drdid_imp_panel`, on these data.

    The example of DRDID's manual (−901.2703, error 393.6127) compares the 425 controls of the whole experiment, of whom the
    package `causaldata` holds 260; on the manual's own data moderndid and `two_by_two` both give that estimate to 1e-11.
    """
    men = pd.concat([nsw_mixtape.load_pandas().data.query("treat == 1"), cps_mixtape.load_pandas().data], ignore_index=True)
    columns = ["age", "educ", "black", "marr", "nodegree", "hisp", "re74"]
    men = men[["treat", "re75", "re78", *columns]].astype(float).rename_axis("man").reset_index()
    men["cohort"] = np.where(men["treat"] == 1, 2.0, NEVER)
    long = pd.concat([men.assign(wave=k, earned=men[name]) for k, name in ((1, "re75"), (2, "re78"))], ignore_index=True)
    panel = Panel.from_frame(long, firm_id="man", period="wave", cohort="cohort", outcomes=["earned"], covariates=columns)
    row = quietly(att_gt, panel, "earned", DidSpec(method="dr_improved", covariates=tuple(columns))).table.query("period == 2")
    assert (row["n_treated"].item(), row["n_control"].item()) == (185, 15992)
    assert row["estimate"].item() == pytest.approx(1869.5254449637323, rel=1e-11)
    g = 185 + 15992
    assert row["std_error"].item() * np.sqrt((g - 1) / g) == pytest.approx(644.9335992938812, rel=1e-6)
