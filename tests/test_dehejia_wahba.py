"""The Lalonde data of Dehejia and Wahba: the experiment's treated men beside men of a survey, against R and the published papers.

185 treated men of the National Supported Work demonstration and 15,992 of the Current Population Survey, from the package
`causaldata`. The experiment's answer is 1,794 dollars (Dehejia and Wahba 1999, 2002). Numbers of R 4.2.2: `glm`, MatchIt
4.7.2 on the specification of Dehejia and Wahba (2002) for the survey.

Where ours differs from R, and why

* R holds earnings at double precision, `causaldata` at single: estimates in dollars agree to 1e-6 of themselves.
* Nearest neighbour with replacement: 181 of 185 pairs are identical. In the other four two men alike in every covariate are
  nearest, and ours takes the one that stands first in the data. R's scores of equal rows may differ in the last bit, which then
  decides. With its four choices in place of ours, its estimate, its 108 controls and its effective sample size come out.
* Without replacement: the same 185 controls, so the same estimate to the last digit; who of several equal men is whose partner
  differs in 26 pairs.
* Entropy balancing and the covariate balancing score are the same weights for the ATT, both exact; R has no number for them
  here, so the test asks for balance.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from causaldata import cps_mixtape, nsw_mixtape
from valid_sample import check_matched_sample

from pipeval.data.panel import NEVER
from pipeval.did.matched_effect import matched_effect
from pipeval.matching.match import match
from pipeval.matching.propensity import propensity
from pipeval.study.match_spec import MatchSpec

EXPERIMENT, NAIVE = 1794.34238185009, -8497.51614813687
"""Differences in mean earnings of 1978: treated less the experiment's controls; less the survey's men."""

SCORE = {
    "constant": -35.2209779344699,
    "age": 2.42522916276535,
    "age2": -0.0672394654151433,
    "age3": 0.000568546996486677,
    "educ": 0.92478468142653,
    "educ2": -0.05720210233575,
    "marr": -1.55647117153553,
    "nodegree": 0.927059170940921,
    "black": 3.85066768257557,
    "hisp": 1.67388505811567,
    "re74": -0.000220299012693758,
    "re75": -0.000196902461120499,
    "u74": 1.74952243649549,
    "u75": 0.00944008175213081,
    "educ_re74": 2.22220345145146e-05,
}
LOG_LIKELIHOOD = -404.159908787049
AGAIN_ATT, AGAIN_USED, AGAIN_ESS = 768.712686837685, 108, 61.2254025044723
ONCE_ATT = 1055.04033201063
ODDS_ATT = 1782.2083436664
TWINS = {"00070": "05501", "00079": "05501", "00120": "04737", "00168": "09820"}
"""Treated man and R's partner, where ours is another man alike in every covariate."""

COLUMNS = tuple(SCORE)[1:]


@pytest.fixture(scope="module")
def men() -> pd.DataFrame:
    """Treated men, then the survey's, each in the order of its file: ids sort like rows."""
    experiment, survey = (table.load_pandas().data.drop(columns="data_id").astype(float) for table in (nsw_mixtape, cps_mixtape))
    found = pd.concat([experiment[experiment["treat"] == 1], survey], ignore_index=True)
    found.index = pd.Index([f"{row:05d}" for row in range(1, len(found) + 1)], name="firm_id")
    return found.assign(
        cohort=np.where(found["treat"] == 1, 1.0, NEVER),
        age2=found["age"] ** 2,
        age3=found["age"] ** 3,
        educ2=found["educ"] ** 2,
        u74=(found["re74"] == 0).astype(float),
        u75=(found["re75"] == 0).astype(float),
        educ_re74=found["educ"] * found["re74"],
    )


@pytest.fixture(scope="module")
def score(men):
    return propensity((men["treat"] == 1).to_numpy(), men[list(COLUMNS)], "logit")


def matched(men, **choices):
    return match(men, MatchSpec(covariates=COLUMNS, **choices))


def test_the_experiment_and_the_naive_comparison(men):
    experiment = nsw_mixtape.load_pandas().data.astype({"re78": float})
    mean = experiment.groupby("treat")["re78"].mean()
    assert mean[1] - mean[0] == pytest.approx(EXPERIMENT, rel=1e-6)
    treated = men["treat"] == 1
    assert treated.sum() == 185 and (~treated).sum() == 15992
    assert men.loc[treated, "re78"].mean() - men.loc[~treated, "re78"].mean() == pytest.approx(NAIVE, rel=1e-8)


def test_the_propensity_score_of_dehejia_and_wahba(men, score):
    found = score.coefficients.set_index("covariate")["estimate"]
    assert list(found.index) == list(SCORE)
    np.testing.assert_allclose(found, list(SCORE.values()), atol=1e-6)
    p, treated = score.scores.to_numpy(), (men["treat"] == 1).to_numpy()
    assert np.log(np.where(treated, p, 1 - p)).sum() == pytest.approx(LOG_LIKELIHOOD, rel=1e-9)


def test_nearest_neighbour_with_replacement(men, score):
    sample = matched(men, method="nearest", replace=True, distance="probability")
    check_matched_sample(sample, men)
    partner = sample.pairs.set_index("treated_id")["control_id"]
    assert len(partner) == 185
    for treated, theirs in TWINS.items():
        ours = partner[treated]
        assert men.loc[ours, list(COLUMNS)].equals(men.loc[theirs, list(COLUMNS)].rename(ours))
        assert ours < theirs and score.scores[ours] == score.scores[theirs]
    theirs = partner.copy()
    theirs.update(pd.Series(TWINS))
    uses = theirs.value_counts()
    assert len(uses) == AGAIN_USED
    assert 185**2 / (uses**2).sum() == pytest.approx(AGAIN_ESS, abs=1e-10)
    earned = men["re78"]
    assert (earned[theirs.index].to_numpy() - earned[theirs].to_numpy()).mean() == pytest.approx(AGAIN_ATT, rel=1e-6)
    row = matched_effect(sample, earned).table.iloc[0]
    assert row["estimate"] == pytest.approx((earned[partner.index].to_numpy() - earned[partner].to_numpy()).mean(), abs=1e-8)
    assert row["conf_low"] < EXPERIMENT < row["conf_high"]


def test_nearest_neighbour_without_replacement(men):
    sample = matched(men, method="nearest", distance="probability")
    check_matched_sample(sample, men)
    row = matched_effect(sample, men["re78"]).table.iloc[0]
    assert row["estimate"] == pytest.approx(ONCE_ATT, rel=1e-8)
    assert row["n_treated"] == row["n_control"] == 185


def test_odds_of_the_score(men):
    row = matched_effect(matched(men, method="ipw"), men["re78"]).table.iloc[0]
    assert row["estimate"] == pytest.approx(ODDS_ATT, rel=1e-6)
    assert row["conf_low"] < EXPERIMENT < row["conf_high"]


@pytest.mark.parametrize("method", ["ebal", "cbps"])
def test_balancing_weights(men, method):
    sample = matched(men, method=method)
    w = sample.weights.droplevel("cohort")
    treated = men.loc[w.index, "treat"] == 1
    x = men.loc[w.index, list(COLUMNS)]
    gap = np.average(x[~treated], axis=0, weights=w[~treated]) - x[treated].mean()
    np.testing.assert_allclose(gap / x[treated].std(), 0, atol=1e-7)
    row = matched_effect(sample, men["re78"]).table.iloc[0]
    assert row["estimate"] == pytest.approx(1583.4539, abs=1e-3)  # not R's: held so that a change is seen
    assert row["conf_low"] < EXPERIMENT < row["conf_high"]
