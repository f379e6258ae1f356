"""What changes nothing, or changes the estimate as it must: a table of properties by estimator, each tested, true or not.

Panels are made by Hypothesis (derandomised: the same examples every time).
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeval import NEVER, DidSpec, MatchSpec, Panel, aggregate, att_gt, match
from pipeval.did.poisson import poisson_att
from pipeval.did.twfe import twfe

PERIODS = (1, 2, 3, 4)
EXAMPLES = settings(max_examples=2, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
SPECS = {
    "dr": {},
    "improved": {"method": "dr_improved"},
    "ipw": {"method": "ipw"},
    "reg": {"method": "reg"},
    "ancova": {"method": "reg", "lag": "ancova"},
    "sections": {"sampling": "cross_sections"},
    "imputation": {"method": "imputation"},
    "poisson": {},
    "twfe": {},
}
ESTIMATORS = "                         dr  improved  ipw  reg  ancova  sections  imputation  poisson  twfe"
TABLE = {
    "firm_effect":             "yes yes       yes  yes  no      no        yes         no       yes",
    "period_effect":           "yes yes       yes  yes  yes     yes       yes         no       yes",
    "period_effect_and_holes": "yes yes       yes  yes  yes     yes       yes         no       yes",
    "scale":                   "yes yes       yes  yes  yes     yes       yes         no       yes",
    "unit_of_account":         "no  no        no   no   no      no        no          yes      no",
    "order_and_names":         "yes yes       yes  yes  yes     yes       yes         yes      yes",
    "effect_added":            "yes yes       yes  yes  yes     yes       yes         no       yes",
    "growth_multiplied":       "no  no        no   no   no      no        no          yes      no",
    "sample_twice":            "yes yes       yes  yes  yes     yes       yes         yes      yes",
    "always_treated_firms":    "yes yes       yes  yes  yes     yes       yes         yes      no",
    "effect_elsewhere":        "yes yes       yes  yes  yes     yes       yes         yes      -",
    "two_by_two":              "yes yes       yes  yes  no      yes       yes         no       yes",
}  # fmt: skip
"""Whether it holds exactly, with a covariate except in `two_by_two`; two-way fixed effects have no row of a cohort.

Additive effects of firms go with differences and with firms' own effects; a mean of levels before entry keeps them.
"""

CASES = [
    pytest.param(name, method, answer == "yes", id=f"{name}-{method}")
    for name, row in TABLE.items()
    for method, answer in zip(ESTIMATORS.split(), row.split(), strict=True)
    if answer != "-"
]


def made(seed: int, missing: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Firms and positive outcomes of a made panel: cohorts 3, 4 and never, a covariate that moves the trend."""
    rng = np.random.default_rng(seed)
    n = 60
    index = pd.Index([f"f{i:02d}" for i in range(n)], name="firm_id")
    firms = pd.DataFrame({"cohort": rng.permutation(np.repeat([3.0, 4.0, NEVER], n // 3)), "size": rng.normal(size=n)}, index=index)
    wide = rng.normal(size=(n, 1)) + rng.normal(0, 0.4, (n, len(PERIODS))).cumsum(axis=1) + 0.1 * np.outer(firms["size"], PERIODS)
    wide = np.exp(wide / 2)
    wide[rng.random(wide.shape) < missing] = np.nan
    outcomes = pd.DataFrame(wide, index=index, columns=pd.Index(PERIODS, name="period")).stack().to_frame("y")
    return firms, outcomes.dropna()


def estimates(method: str, firms: pd.DataFrame, outcomes: pd.DataFrame, covariates=("size",)) -> pd.DataFrame:
    """The cells of an estimator, base periods apart; `twfe` has one row, of no cohort."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        panel = Panel(firms, outcomes)
        if method == "twfe":
            return twfe(panel, "y", covariates=covariates).assign(cohort=0, phase="post")
        spec = DidSpec(**SPECS[method], covariates=covariates)
        table = (poisson_att if method == "poisson" else att_gt)(panel, "y", spec).table
    return table[table["phase"] != "base"].reset_index(drop=True)


def agree(one, other) -> bool:
    return len(one) == len(other) and np.allclose(one, other, rtol=1e-7, atol=1e-8, equal_nan=True)


def unchanged(method: str, one, other, scale: float = 1.0, shift: float = 0.0, covariates=("size",)) -> bool:
    """Whether estimates are `scale` times what they were, plus `shift` after entry, and errors `scale` times."""
    before, after = (estimates(method, *panel, covariates) for panel in (one, other))
    moved = before["estimate"] * scale + shift * (before["phase"] == "post")
    return agree(moved, after["estimate"]) and agree(before["std_error"] * scale, after["std_error"])


def of_firm(firms, outcomes, values) -> np.ndarray:
    return pd.Series(values, firms.index).reindex(outcomes.index.get_level_values(0)).to_numpy()


def after_entry(firms, outcomes, cohort: float | None = None) -> np.ndarray:
    own = of_firm(firms, outcomes, firms["cohort"])
    return (outcomes.index.get_level_values(1).to_numpy() >= own) & ((own == cohort) if cohort else True)


def twice(firms, outcomes):
    names = {name: f"{name}x" for name in firms.index}
    return pd.concat([firms, firms.rename(index=names)]), pd.concat([outcomes, outcomes.rename(index=names, level=0)])


def firm_effect(method, rng, seed):
    firms, outcomes = made(seed, missing=0.05)
    moved = outcomes["y"] + of_firm(firms, outcomes, rng.uniform(0, 5, len(firms)))
    return unchanged(method, (firms, outcomes), (firms, outcomes.assign(y=moved)))


def period_effect(method, rng, seed, missing=0.0):
    firms, outcomes = made(seed, missing)
    moved = outcomes["y"] + rng.uniform(0, 5, 4)[outcomes.index.get_level_values(1) - 1]
    return unchanged(method, (firms, outcomes), (firms, outcomes.assign(y=moved)))


def period_effect_and_holes(method, rng, seed):
    return period_effect(method, rng, seed, missing=0.05)


def scale(method, rng, seed):
    firms, outcomes = made(seed)
    return unchanged(method, (firms, outcomes), (firms, outcomes * 250), scale=250)


def unit_of_account(method, rng, seed):
    firms, outcomes = made(seed)
    return unchanged(method, (firms, outcomes), (firms, outcomes * 250))


def order_and_names(method, rng, seed):
    firms, outcomes = made(seed)
    shuffled = firms.iloc[rng.permutation(len(firms))], outcomes.iloc[rng.permutation(len(outcomes))]
    names = dict(zip(firms.index, rng.permutation(10_000)[: len(firms)], strict=True))
    renamed = firms.rename(index=names), outcomes.rename(index=names, level=0)
    return unchanged(method, (firms, outcomes), shuffled) and unchanged(method, (firms, outcomes), renamed)


def effect_added(method, rng, seed):
    firms, outcomes = made(seed)
    moved = outcomes["y"] + 0.7 * after_entry(firms, outcomes)
    return unchanged(method, (firms, outcomes), (firms, outcomes.assign(y=moved)), shift=0.7)


def growth_multiplied(method, rng, seed):
    firms, outcomes = made(seed)
    moved = outcomes["y"] * np.exp(0.7 * after_entry(firms, outcomes))
    return unchanged(method, (firms, outcomes), (firms, outcomes.assign(y=moved)), shift=0.7)


def sample_twice(method, rng, seed):
    """The same estimate; the error times √½, up to the factors that count clusters and columns."""
    one = made(seed)
    before, after = estimates(method, *one), estimates(method, *twice(*one))
    ratio = (after["std_error"] / before["std_error"]).dropna()
    if method == "twfe":  # (N − 1)/(N − K) beside G/(G − 1)
        return agree(before["estimate"], after["estimate"]) and np.allclose(ratio, np.sqrt(0.5), rtol=0.03)
    g, gg = (t["n_clusters"][t["std_error"].notna()].astype(float) for t in (before, after))
    wanted = np.sqrt(gg / (gg - 1) / (g / (g - 1)) / 2)
    return agree(before["estimate"], after["estimate"]) and np.allclose(ratio, wanted, rtol=1e-6)


def always_treated_firms(method, rng, seed):
    firms, outcomes = made(seed)
    extra, rows = firms.head(8).rename(index=lambda k: f"z{k}"), outcomes.loc[firms.index[:8]].rename(lambda k: f"z{k}", level=0)
    more = pd.concat([firms, extra.assign(cohort=1.0)]), pd.concat([outcomes, rows * 3])
    return unchanged(method, (firms, outcomes), more)


def effect_elsewhere(method, rng, seed):
    """What happens to cohort 3 after its entry moves no estimate of another cohort."""
    firms, outcomes = made(seed)
    moved = outcomes.assign(y=outcomes["y"] + 5 * after_entry(firms, outcomes, 3.0) * outcomes["y"])
    before, after = (estimates(method, firms, o) for o in (outcomes, moved))
    others = before["cohort"] != 3
    return agree(before.loc[others, "estimate"], after.loc[others, "estimate"]) and others.any()


def two_by_two(method, rng, seed):
    """One cohort, two periods, no covariate: the difference of mean changes."""
    firms, outcomes = made(seed)
    firms = firms[firms["cohort"] != 4]
    pair = outcomes[outcomes.index.get_level_values(1).isin([2, 3])].loc[firms.index]
    change = pair["y"].unstack().diff(axis=1)[3]
    means = change.groupby(np.isfinite(firms["cohort"])).mean()
    return agree(estimates(method, firms, pair, ())["estimate"], [means[True] - means[False]])


@pytest.mark.parametrize(("name", "method", "holds"), CASES)
@EXAMPLES
@given(seed=st.integers(0, 10_000))
def test_property(name, method, holds, seed):
    assert globals()[name](method, np.random.default_rng(seed + 1), seed) == holds


@EXAMPLES
@given(seed=st.integers(0, 10_000))
def test_an_overall_mean_moves_with_its_cells(seed):
    firms, outcomes = made(seed, missing=0.05)
    moved = outcomes.assign(y=outcomes["y"] + 0.7 * after_entry(firms, outcomes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, after = (aggregate(att_gt(Panel(firms, o), "y"), "overall").table for o in (outcomes, moved))
    np.testing.assert_allclose(after["estimate"], before["estimate"] + 0.7, atol=1e-9)
    np.testing.assert_allclose(after["std_error"], before["std_error"], rtol=1e-7)


@EXAMPLES
@given(seed=st.integers(0, 10_000))
def test_pairs_do_not_depend_on_the_order_of_rows(seed):
    firms, _ = made(seed)
    firms = firms.assign(cohort=firms["cohort"].replace(4.0, NEVER))
    shuffled = firms.iloc[np.random.default_rng(seed).permutation(len(firms))]
    for spec in (
        MatchSpec(covariates=("size",), caliper=0.5),
        MatchSpec(covariates=("size",), method="nearest", ratio=2, replace=True),
    ):
        pd.testing.assert_frame_equal(match(firms, spec).pairs, match(shuffled, spec).pairs)
