"""Invariances of the linear estimators, on panels that Hypothesis makes (derandomised: the same examples every time)."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeval import NEVER, DidSpec, MatchSpec, Panel, aggregate, att_gt, match

PERIODS = (1, 2, 3, 4)
EXAMPLES = settings(max_examples=15, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
METHODS = ("reg", "dr", "ipw")


def made(seed: int, missing: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Firms and outcomes of a made panel: cohorts 3, 4 and never, a covariate that moves the trend."""
    rng = np.random.default_rng(seed)
    n = 60
    index = pd.Index([f"f{i:02d}" for i in range(n)], name="firm_id")
    firms = pd.DataFrame({"cohort": rng.permutation(np.repeat([3.0, 4.0, NEVER], n // 3)), "size": rng.normal(size=n)}, index=index)
    wide = rng.normal(size=(n, 1)) + rng.normal(0, 0.4, (n, len(PERIODS))).cumsum(axis=1) + 0.1 * np.outer(firms["size"], PERIODS)
    wide[rng.random(wide.shape) < missing] = np.nan
    outcomes = pd.DataFrame(wide, index=index, columns=pd.Index(PERIODS, name="period")).stack().to_frame("y")
    return firms, outcomes.dropna()


def estimates(firms: pd.DataFrame, outcomes: pd.DataFrame, method: str, by: str = "event_time") -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells = att_gt(Panel(firms, outcomes), "y", DidSpec(method=method, covariates=("size",)))
        return aggregate(cells, by).table[["estimate", "std_error"]].reset_index(drop=True)


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, rtol=1e-7, atol=1e-9)


seeds = st.integers(0, 10_000)


@pytest.mark.parametrize("method", METHODS)
@EXAMPLES
@given(seed=seeds)
def test_firm_and_period_effects_change_nothing(method, seed):
    firms, outcomes = made(seed, missing=0.05)
    rng = np.random.default_rng(seed + 1)
    firm = pd.Series(rng.normal(0, 5, len(firms)), firms.index).reindex(outcomes.index.get_level_values(0)).to_numpy()
    period = pd.Series(rng.normal(0, 5, 4), PERIODS).reindex(outcomes.index.get_level_values(1)).to_numpy()
    moved = outcomes.assign(y=outcomes["y"] + firm + period)
    same(estimates(firms, outcomes, method), estimates(firms, moved, method))


@pytest.mark.parametrize("method", METHODS)
@EXAMPLES
@given(seed=seeds, factor=st.floats(0.01, 1000))
def test_estimates_and_errors_scale_with_the_outcome(method, seed, factor):
    firms, outcomes = made(seed)
    same(estimates(firms, outcomes, method) * factor, estimates(firms, outcomes * factor, method))


@pytest.mark.parametrize("method", METHODS)
@EXAMPLES
@given(seed=seeds)
def test_order_of_rows_and_names_of_firms_change_nothing(method, seed):
    firms, outcomes = made(seed)
    rng = np.random.default_rng(seed + 2)
    shuffled = firms.iloc[rng.permutation(len(firms))], outcomes.iloc[rng.permutation(len(outcomes))]
    names = dict(zip(firms.index, rng.permutation(10_000)[: len(firms)], strict=True))
    renamed = firms.rename(index=names), outcomes.rename(index=names, level=0)
    base = estimates(firms, outcomes, method)
    same(base, estimates(*shuffled, method))
    same(base, estimates(*renamed, method))


@pytest.mark.parametrize("method", METHODS)
@EXAMPLES
@given(seed=seeds, c=st.floats(-3, 3))
def test_an_effect_added_after_entry_is_found_whole(method, seed, c):
    firms, outcomes = made(seed)
    cohort = firms["cohort"].reindex(outcomes.index.get_level_values(0)).to_numpy()
    after = outcomes.index.get_level_values(1).to_numpy() >= cohort
    base = estimates(firms, outcomes, method, by="overall")
    moved = estimates(firms, outcomes.assign(y=outcomes["y"] + c * after), method, by="overall")
    np.testing.assert_allclose(moved["estimate"] - base["estimate"], c, atol=1e-9)
    np.testing.assert_allclose(moved["std_error"], base["std_error"], rtol=1e-7)


@pytest.mark.parametrize("method", METHODS)
@EXAMPLES
@given(seed=seeds)
def test_a_sample_taken_twice_has_the_same_estimate_and_a_smaller_error(method, seed):
    firms, outcomes = made(seed)
    twin = {name: f"{name}x" for name in firms.index}
    twice = pd.concat([firms, firms.rename(index=twin)]), pd.concat([outcomes, outcomes.rename(index=twin, level=0)])
    base, double = estimates(firms, outcomes, method, by="overall"), estimates(*twice, method, by="overall")
    np.testing.assert_allclose(double["estimate"], base["estimate"], rtol=1e-7)
    n = len(firms)
    ratio = np.sqrt((2 * n / (2 * n - 1)) / (n / (n - 1)) / 2)  # √½ up to the factor G/(G − 1)
    np.testing.assert_allclose(double["std_error"] / base["std_error"], ratio, rtol=1e-6)


@EXAMPLES
@given(seed=seeds)
def test_pairs_do_not_depend_on_the_order_of_rows(seed):
    firms, _ = made(seed)
    firms = firms.assign(cohort=firms["cohort"].replace(4.0, NEVER))
    shuffled = firms.iloc[np.random.default_rng(seed).permutation(len(firms))]
    for spec in (
        MatchSpec(covariates=("size",), caliper=0.5),
        MatchSpec(covariates=("size",), method="nearest", ratio=2, replace=True),
    ):
        pd.testing.assert_frame_equal(match(firms, spec).pairs, match(shuffled, spec).pairs)
