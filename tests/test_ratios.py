"""Ratios taken apart, shares within bounds: by hand, by identity, and what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit, logit

from pipeval.data.panel import NEVER, Panel
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.ratios import ratio_effects, ratio_table, share_table
from pipeval.errors import DataError, DesignError, PipevalWarning, collected
from pipeval.study.specs import DidSpec

CLOSED = 1e-8
SPECS = [
    DidSpec(),
    DidSpec(covariates=("x",)),
    DidSpec(method="ipw", covariates=("x",)),
    DidSpec(method="reg", covariates=("x", "kind")),
    DidSpec(comparison="never_treated", base="varying"),
    DidSpec(anticipation=1),
    DidSpec(method="dr_improved", covariates=("x",)),
    DidSpec(method="imputation"),
    DidSpec(sampling="cross_sections"),
]


def quietly(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return call(*args, **options)


def firms_with_gaps(n: int = 160, seed: int = 5) -> Panel:
    """Log value added, log jobs and a share, each missing here and there; cohorts 3, 4 and never over six years."""
    rng = np.random.default_rng(seed)
    cohort, x, t = rng.choice([3.0, 4.0, NEVER], n, p=[0.25, 0.25, 0.5]), rng.normal(size=n), np.arange(1, 7)
    after = t >= cohort[:, None]
    va, jobs = (rng.normal(size=(n, 1)) + e * after + 0.05 * t * x[:, None] + rng.normal(0, 0.3, (n, 6)) for e in (0.3, 0.1))
    share = expit(va - 1)
    for y in (va, jobs):
        y[rng.random((n, 6)) < 0.08] = np.nan
    firms = pd.DataFrame({"cohort": cohort, "x": x, "kind": rng.choice(["a", "b"], n), "area": np.arange(n) % 40})
    columns = {"ln_va": va.ravel(), "ln_jobs": jobs.ravel(), "share": share.ravel()}
    return Panel(firms, pd.DataFrame(columns, index=pd.MultiIndex.from_product([range(n), t])))


def shares(rows: dict[str, tuple]) -> Panel:
    """`rows`: firm -> (cohort, share in period 1, 2, …)."""
    firms = pd.DataFrame({"cohort": {k: float(v[0]) for k, v in rows.items()}})
    long = {(k, t): y for k, v in rows.items() for t, y in enumerate(v[1:], 1)}
    return Panel(firms, pd.DataFrame({"y": list(long.values())}, index=pd.MultiIndex.from_tuples(long), dtype=float))


# ratios ----------------------------------------------------------------------------------------------------------------------


def parts_of(effects, *names):
    rows = {name: np.flatnonzero(effects.table["part"] == name) for name in names}
    return [effects.table["estimate"].to_numpy()[rows[n]] for n in names], [effects.influence[:, rows[n]] for n in names]


@pytest.mark.parametrize("spec", SPECS, ids=range(len(SPECS)))
@pytest.mark.parametrize("by", ["cell", "overall", "event_time"])
def test_the_parts_add_up(spec, by):
    """Estimates and influences alike, though either part is missing for some; each equals att_gt where both are seen."""
    panel = firms_with_gaps()
    effects = quietly(ratio_effects, panel, "ln_va", "ln_jobs", spec, by=by)
    (top, bottom, ratio), (psi_top, psi_bottom, psi) = parts_of(effects, "ln_va", "ln_jobs", "ratio")
    np.testing.assert_allclose(ratio, top - bottom, atol=1e-12)
    np.testing.assert_allclose(psi, psi_top - psi_bottom, atol=1e-12)
    both = Panel(panel.firms, panel.outcomes.dropna())
    twin = quietly(att_gt, both, "ln_va", spec)
    twin = twin if by == "cell" else aggregate(twin, by)
    np.testing.assert_allclose(top, twin.table["estimate"], atol=CLOSED)


def test_on_whoever_answers_each_the_parts_do_not_add_up():
    panel = firms_with_gaps()
    y = panel.outcomes.assign(ratio=panel.outcomes["ln_va"] - panel.outcomes["ln_jobs"])
    naive = {
        c: aggregate(att_gt(Panel(panel.firms, y), c), "overall").table["estimate"].item() for c in ("ln_va", "ln_jobs", "ratio")
    }
    assert abs(naive["ratio"] - (naive["ln_va"] - naive["ln_jobs"])) > 1e-3


def test_a_table_at_a_year():
    panel = firms_with_gaps()
    table = ratio_table(panel, "ln_va", "ln_jobs", year=5).set_index("part")
    assert list(table.index) == ["ln_va", "ln_jobs", "ratio"] and (table["period"] == 5).all()
    share = table["share"]
    assert 1 + share["ratio"] == pytest.approx((1 + share["ln_va"]) / (1 + share["ln_jobs"]), abs=CLOSED)
    np.testing.assert_allclose(table["share_high"], np.expm1(table["conf_high"]), atol=CLOSED)
    assert table["n_treated"].nunique() == 1 and table["n_control"].nunique() == 1
    clusters = panel.firms["area"]
    with pytest.warns(PipevalWarning, match="27 clusters"):  # that hold a treated firm or two controls, in the cell with fewest
        assert (ratio_table(panel, "ln_va", "ln_jobs", clusters=clusters)["n_clusters"] == 40).all()
    with pytest.raises(DesignError, match=r"no effect in 2: the years with treated and comparison firms are \[3, 4, 5, 6\]"):
        ratio_table(panel, "ln_va", "ln_jobs", year=2)


def test_what_a_ratio_needs():
    panel = firms_with_gaps()
    with pytest.raises(DesignError, match="needs two outcomes"):
        ratio_effects(panel, "ln_va", "ln_va")
    with pytest.raises(DesignError, match="'ln_job' is not in the panel; .*ln_jobs"):
        ratio_effects(panel, "ln_va", "ln_job")
    with pytest.raises(DesignError, match="parts do not add up"):
        ratio_effects(panel, "ln_va", "ln_jobs", DidSpec(lag="ancova"))
    apart = panel.outcomes.assign(ln_va=panel.outcomes["ln_va"].where(panel.outcomes["ln_jobs"].isna()))
    with pytest.raises(DesignError, match="never seen together"):
        ratio_effects(Panel(panel.firms, apart), "ln_va", "ln_jobs")


# shares within bounds --------------------------------------------------------------------------------------------------------

HALVES = {"a": (2, 0.2, 0.6), "b": (2, 0.4, 0.7), "c": (NEVER, 0.1, 0.2), "d": (NEVER, 0.3, 0.6), "e": (NEVER, 0.5, 0.4)}


def test_a_counterfactual_share_by_hand():
    """Observed .65, effect .35 − .1, counterfactual .4: the treated's .3 before and the controls' change of .1."""
    panel = shares(HALVES)
    row = quietly(share_table, panel, "y", quietly(att_gt, panel, "y"), by="overall").iloc[0]
    assert row[["observed", "effect", "counterfactual"]].tolist() == pytest.approx([0.65, 0.25, 0.4], abs=CLOSED)
    # the counterfactual is the treated's mean before plus the controls' mean change: influence (.2 − .3)/2 … and (.1 − .1)/3 …
    psi = np.array([-0.05, 0.05, 0, 0.2 / 3, -0.2 / 3])
    std_error = np.sqrt((psi**2).sum() * 5 / 4)
    assert row["std_error"] == pytest.approx(std_error, abs=CLOSED)
    half = stats.t.ppf(0.975, 4) * std_error / (0.4 * 0.6)
    assert row[["conf_low", "conf_high"]].tolist() == pytest.approx(
        [expit(logit(0.4) - half), expit(logit(0.4) + half)], abs=CLOSED
    )
    assert 0 < row["conf_low"] < row["conf_high"] < 1 and not row["outside"]


def test_a_line_that_leaves_the_bounds_is_said():
    panel = shares(HALVES | {"a": (2, 0.95, 1.0), "b": (2, 0.99, 1.0)})
    with collected() as notes:
        table = share_table(panel, "y", att_gt(panel, "y"))
    assert table["outside"].all() and (table["counterfactual"] > 1).all()
    assert table[["conf_low", "conf_high"]].isna().all(axis=None)
    assert "share_out_of_bounds" in {n.key for n in notes}


@pytest.mark.parametrize("spec", [SPECS[1], *SPECS[-2:]], ids=["dr", "imputation", "cross_sections"])
@pytest.mark.parametrize("by", ["cell", "period", "event_time", "cohort", "overall"])
def test_observed_is_the_mean_of_those_described(by, spec):
    panel = firms_with_gaps()
    cells = quietly(att_gt, panel, "share", spec)
    table = quietly(share_table, panel, "share", cells, by=by)
    effects = cells if by == "cell" else aggregate(cells, by)
    np.testing.assert_allclose(table["effect"], effects.table["estimate"], atol=CLOSED)
    np.testing.assert_allclose(table["observed"] - table["effect"], table["counterfactual"], atol=CLOSED)
    inside = table["std_error"].notna()
    assert ((table["conf_low"] < table["counterfactual"]) & (table["counterfactual"] < table["conf_high"]))[inside].all()
    if by == "overall":
        wide, cohort = panel.wide("share"), panel.firms["cohort"]
        seen = [wide.loc[cohort == g, t] for g in (3, 4) for t in range(int(g), 7)]
        assert table["observed"].item() == pytest.approx(pd.concat(seen).mean(), abs=CLOSED)


def test_the_counterfactual_of_a_share_does_not_depend_on_the_effect():
    """Add to treated firms after entry: the observed mean moves, the counterfactual and its uncertainty stay."""
    panel = firms_with_gaps()
    firm, period = (panel.outcomes.index.get_level_values(k) for k in (0, 1))
    after = period >= panel.firms["cohort"].reindex(firm).to_numpy()
    moved = Panel(panel.firms, panel.outcomes.assign(share=panel.outcomes["share"] * np.where(after, 0.5, 1)))
    before, then = (quietly(share_table, p, "share", quietly(att_gt, p, "share"), by="cell") for p in (panel, moved))
    columns = ["counterfactual", "std_error", "conf_low", "conf_high"]
    np.testing.assert_allclose(before[columns], then[columns], atol=CLOSED)
    assert (before["observed"] > then["observed"])[before["phase"] == "post"].all()


def test_what_a_share_is():
    panel = shares({k: (v[0], v[1], 100 * v[2]) for k, v in HALVES.items()})
    effects = quietly(att_gt, panel, "y")
    with pytest.raises(DataError, match=r"between 0 and 1; outcome 'y' does not for 5 firms \(a, b, c, d, e\). In per cent"):
        share_table(panel, "y", effects)
    with pytest.raises(DesignError, match="takes the cells of att_gt"):
        share_table(shares(HALVES), "y", aggregate(effects, "period"))
