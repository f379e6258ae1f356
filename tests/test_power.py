"""Power by formula: what may be read, how firms are counted, and the effect that is wanted, sign and scale included."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval import NEVER, Panel
from pipeval.did.detectable import detectable_table
from pipeval.did.placebo import placebo_error
from pipeval.did.poisson import poisson_att
from pipeval.did.power import detectable, firms_needed, sd_of_change
from pipeval.errors import collected
from pipeval.matching.match import match
from pipeval.study.specs import DidSpec, Outcome, Power

BASE, YEAR = 2003, 2005


def made(n: int = 60, seed: int = 0) -> Panel:
    """Years 2001 to 2005; `y` a random walk in logs, `sold` an amount with zeros; a third treated from 2004; weights 1 and 3."""
    rng = np.random.default_rng(seed)
    ids, years = pd.Index([f"f{i:03d}" for i in range(n)], name="firm_id"), np.arange(2001, 2006)
    cohort = rng.permutation(np.repeat([2004.0, NEVER], [n // 3, n - n // 3]))
    y = rng.normal(0, 0.2, (n, 5)).cumsum(axis=1)
    sold = rng.gamma(2, 5, (n, 5)) * (rng.random((n, 1)) < 0.8)
    index = pd.MultiIndex.from_product([ids, years], names=["firm_id", "period"])
    firms = pd.DataFrame({"cohort": cohort, "size": rng.normal(size=n), "weight": np.tile([1.0, 3.0], n // 2)}, ids)
    return Panel(firms, pd.DataFrame({"y": y.ravel(), "sold": sold.ravel()}, index))


def row_of(small, panel: Panel, did=None, **changes) -> pd.Series:
    study = small.read()
    outcome = Outcome(**{"id": "y", "measure": "sales", "scale": "log", "label": {}, "relevant_effect": 0.2} | changes)
    spec = study.match.model_copy(update={"covariates": ("size",), "exact": (), "caliper": None})
    update = {"outcomes": (outcome,), "match": spec, "did": study.did.changed({"method": "reg"} | (did or {}))}
    update["treatment"] = study.treatment.model_copy(update={"reference_year": YEAR})
    with collected():
        sample = match(panel.firms, spec, until=YEAR)
        return detectable_table(panel, sample, study.model_copy(update=update)).iloc[0]


def test_the_table_by_hand_and_from_the_years_before_alone(small):
    panel = made()
    row = row_of(small, panel)
    wide = panel.wide("y")
    sd = (wide[2003] - wide[2001]).std()
    assert (row["horizon"], row["source"], row["n_treated"], row["n_control"]) == (2, "observed", 20, 40)
    assert row["sd_change"] == pytest.approx(sd, abs=1e-12)
    multiple = stats.t.ppf(0.975, 58) + stats.t.ppf(0.8, 58)
    assert row["mde"] == pytest.approx(multiple * sd * np.sqrt(1 / 20 + 1 / 40), abs=1e-12)
    assert row["mde_share"] == pytest.approx(np.expm1(row["mde"])) and row["detectable"] == (row["mde_share"] <= 0.2)
    late = panel.outcomes.index.get_level_values("period") > BASE
    spoilt = Panel(panel.firms, panel.outcomes * np.where(late, 1e9, 1)[:, None])
    pd.testing.assert_series_equal(row_of(small, spoilt), row)


def test_a_decrease_is_a_decrease(small):
    """A fall by 20 % is −ln .8 = .223 log points, a rise by 20 % only .182."""
    up, down = (row_of(small, made(), direction=d) for d in ("increase", "decrease"))
    assert up["mde"] == down["mde"] and down["mde_share"] == pytest.approx(-np.expm1(-down["mde"]))
    assert up["firms_needed"] == firms_needed(np.log(1.2), up["sd_change"], 2.0, Power())
    assert down["firms_needed"] == firms_needed(np.log(0.8), up["sd_change"], 2.0, Power()) < up["firms_needed"]


def test_weights_count_firms_by_what_they_tell(small):
    panel = made()
    row = row_of(small, panel, {"weights": "weight"})
    w, treated = panel.firms["weight"], np.isfinite(panel.firms["cohort"])
    wanted = [(w[arm].sum() ** 2 / (w[arm] ** 2).sum()) for arm in (treated, ~treated)]
    assert [row["n_treated"], row["n_control"]] == pytest.approx(wanted) and row["mde"] > row_of(small, panel)["mde"]
    alike = panel.firms["weight"] * 0 + 7
    found = sd_of_change(panel, "y", 2, weights=alike)
    assert found["n_treated"] == 20 and isinstance(found["n_treated"], int) and found["n_control"] == pytest.approx(40)


def test_amounts_with_zeros_have_the_error_of_a_placebo(small):
    panel = made()
    years = panel.outcomes.index.get_level_values("period")
    before = Panel(panel.firms.assign(cohort=panel.firms["cohort"].replace(2004.0, BASE)), panel.outcomes[years <= BASE])
    with collected():
        table = poisson_att(before, "sold", DidSpec(), by="period").table.set_index("period")
    one = table.loc[BASE, "std_error"]
    assert placebo_error(panel, "sold", BASE, 1, DidSpec()) == pytest.approx(one, abs=1e-12)
    assert placebo_error(panel, "sold", BASE, 4, DidSpec()) == pytest.approx(2 * one, abs=1e-12)
    assert np.isnan(placebo_error(panel, "sold", 2001, 1, DidSpec()))  # no year before it
    row = row_of(small, panel, id="sold", scale="poisson")
    multiple = stats.t.ppf(0.975, 58) + stats.t.ppf(0.8, 58)
    assert row["source"] == "placebo" and row["mde"] == pytest.approx(multiple * np.sqrt(2) * one, rel=1e-9)
    assert row["firms_needed"] == firms_needed(np.log(1.2), row["sd_change"], 2.0, Power())


def test_firms_needed_detect_what_they_are_needed_for():
    for effect, ratio in ((0.2, 1.0), (-0.1, 2.0), (0.5, 0.5)):
        n = firms_needed(effect, 0.5, ratio, Power())
        assert detectable(0.5, n, ratio * n, Power()) <= abs(effect) < detectable(0.5, n - 1, ratio * (n - 1), Power())
    assert np.isnan(firms_needed(0.0, 0.5, 1.0, Power())) and np.isnan(detectable(0.5, 1, 1, Power()))
