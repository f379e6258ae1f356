"""What a matched sample adds to an estimate: standard errors by hand, by naive twins, by textbook formulas and by simulation."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pipeval.data.panel import NEVER, Panel
from pipeval.did import matched
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.estimate import estimate
from pipeval.did.inference import pretrend_test
from pipeval.did.matched import adjustment, joined_clusters, refuse_unfit, within_window
from pipeval.did.matched_effect import matched_effect
from pipeval.did.poisson import poisson_att
from pipeval.errors import DataError, DesignError, PipevalWarning
from pipeval.matching.match import match
from pipeval.matching.panel import match_panel
from pipeval.study.match_spec import MatchSpec
from pipeval.study.specs import DidSpec, Outcome

REFERENCE = Path(__file__).parent / "reference"
X = ("x1", "x2")
PAIR, AGAIN = {"method": "nearest"}, {"method": "nearest", "replace": True}


@pytest.fixture(autouse=True)
def few_clusters_are_no_fault_here():
    """Small samples are the point of this file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        yield


def spec_of(**choices) -> MatchSpec:
    return MatchSpec(**({"covariates": X} | choices))


def made(n: int = 80, seed: int = 0, cohorts=(1.0,), slope: float = 1.0) -> tuple[pd.DataFrame, pd.Series]:
    """Firms, about three in ten treated, and an outcome; larger firms vary more."""
    rng = np.random.default_rng([5, seed])
    x = rng.normal(size=(n, 2))
    treated = rng.random(n) < 1 / (1 + np.exp(1.2 - 0.6 * x[:, 0] - 0.3 * x[:, 1]))
    y = slope * (0.5 * x[:, 0] + 0.3 * x[:, 1]) + 0.3 * treated + rng.normal(size=n) * (0.8 + 0.4 * (x[:, 0] > 0))
    ids = pd.Index([f"F{i:04d}" for i in range(n)], name="firm_id")
    columns = {"cohort": np.where(treated, rng.choice(cohorts, n), NEVER), "x1": x[:, 0], "x2": x[:, 1]}
    groups = {"branch": rng.choice(["a", "b"], n), "town": rng.choice(list("pqrs"), n)}
    return pd.DataFrame(columns | groups, index=ids), pd.Series(y, index=ids)


def one(sample, y, covariates=None) -> pd.Series:
    return matched_effect(sample, y, covariates).table.iloc[0]


def arms(sample, y):
    """By firm of a sample of one cohort: weight, outcome, treated, and the weighted mean of each arm."""
    w = sample.weights.droplevel("cohort")
    treated = w.index.isin(sample.sets.loc[sample.sets["role"] == "treated", "firm_id"])
    value = y.reindex(w.index).to_numpy()
    mean = {arm: np.average(value[treated == arm], weights=w[treated == arm]) for arm in (True, False)}
    return w, value, treated, mean


def known_weights(sample, y) -> pd.Series:
    """By firm: influence on the weighted difference in means, weights taken as known."""
    w, value, treated, mean = arms(sample, y)
    total = {arm: w[treated == arm].sum() for arm in (True, False)}
    psi = [(1 if d else -1) * wi * (v - mean[d]) / total[d] for wi, v, d in zip(w, value, treated, strict=True)]
    return pd.Series(psi, index=w.index)


def by_group(psi: pd.Series, group: pd.Series) -> float:
    sums = psi.groupby(group.reindex(psi.index).to_numpy()).sum()
    return float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)))


# ---- pairs and sets: the set is the cluster


def test_pairs_have_the_paired_standard_error():
    firms, y = made()
    sample = match(firms, spec_of(**PAIR))
    difference = y[sample.pairs["treated_id"]].to_numpy() - y[sample.pairs["control_id"]].to_numpy()
    row = one(sample, y)
    assert row["estimate"] == pytest.approx(difference.mean(), abs=1e-12)
    assert row["std_error"] == pytest.approx(difference.std(ddof=1) / np.sqrt(len(difference)), abs=1e-12)
    assert row["df"] == len(difference) - 1


@pytest.mark.parametrize(
    "choices",
    [
        PAIR | {"ratio": 2},
        {"method": "optimal", "ratio": 2},
        {"method": "full"},
        {"method": "full", "estimand": "ate"},
        {"method": "full", "estimand": "atc"},
        PAIR | {"ratio": 2, "ratio_range": (1, 3)},
    ],
    ids=["2:1", "optimal 2:1", "full", "full ate", "full atc", "variable"],
)
def test_sets_are_clusters(choices):
    firms, y = made()
    sample = match(firms, spec_of(**choices))
    set_of = sample.sets.drop_duplicates("firm_id").set_index("firm_id")["set_id"]
    mean = arms(sample, y)[3]
    row = one(sample, y)
    assert row["estimate"] == pytest.approx(mean[True] - mean[False], abs=1e-12)
    assert row["std_error"] == pytest.approx(by_group(known_weights(sample, y), set_of), abs=1e-12)
    assert row["n_clusters"] == sample.sets["set_id"].nunique()


def test_a_control_of_full_matching_counts_in_every_cohort_of_its_set():
    firms, y = made(cohorts=(1.0, 2.0))
    sample = match(firms, spec_of(method="full"))
    treated = sample.sets[sample.sets["role"] == "treated"]
    n = len(treated)
    naive, effect = dict.fromkeys(sample.sets["set_id"].unique(), 0.0), 0.0
    gap = {}
    for g, rows in sample.sets.groupby("cohort"):
        of = {role: rows[rows["role"] == role] for role in ("treated", "control")}
        mean = {role: np.average(y[part["firm_id"]], weights=part["weight"]) for role, part in of.items()}
        gap[g] = mean["treated"] - mean["control"]
        effect += len(of["treated"]) / n * gap[g]
        for role, sign in (("treated", 1), ("control", -1)):
            for r in of[role].itertuples():
                naive[r.set_id] += sign * r.weight * (y[r.firm_id] - mean[role]) / n
    for r in treated.itertuples():
        naive[r.set_id] += (gap[r.cohort] - effect) / n
    row, sums = one(sample, y), np.array(list(naive.values()))
    assert row["estimate"] == pytest.approx(effect, abs=1e-12)
    assert row["std_error"] == pytest.approx(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)), abs=1e-12)


# ---- with replacement


def naive_peers(sample, y) -> pd.Series:
    """The influence of `adjustment` after matching with replacement, firm by firm: one cohort, every outcome known."""
    w, value, treated, _ = arms(sample, y)
    seeks = treated if sample.spec.estimand == "att" else ~treated
    y_of, w_of = dict(zip(w.index, value, strict=True)), w.to_dict()
    place = {i: np.array([v for k, v in r.items() if k != "cell"]) for i, r in sample.space.to_dict("index").items()}
    serving, seekers = list(w.index[~seeks]), list(w.index[seeks])
    total = {"serve": sum(w_of[i] for i in serving), "seek": sum(w_of[i] for i in seekers)}
    sign = 1.0 if sample.spec.estimand == "att" else -1.0

    def peers(i):
        cell = sample.space["cell"]
        others = [j for j in serving if j != i and cell[j] == cell[i]]
        return sorted(others, key=lambda j: (np.sqrt(((place[i] - place[j]) ** 2).sum()), j))[:8]

    psi, sought, noise = {}, {}, 0.0
    for i in serving:
        near = peers(i)
        gap = y_of[i] - np.mean([y_of[j] for j in near])
        psi[i] = -sign * w_of[i] / total["serve"] * gap * np.sqrt(len(near) / (len(near) + 1))
    for i in seekers:
        near = [y_of[j] for j in peers(i)]
        sought[i] = y_of[i] - np.mean(near)
        noise += (w_of[i] / total["seek"]) ** 2 * np.var(near, ddof=1) / len(near)
    centre = sum(w_of[i] * v for i, v in sought.items()) / total["seek"]
    for i, v in sought.items():
        psi[i] = sign * w_of[i] / total["seek"] * (v - centre)
    spread = sum(psi[i] ** 2 for i in seekers)
    for i in seekers:
        psi[i] *= np.sqrt(1 - noise / spread)
    return pd.Series(psi).reindex(w.index)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"distance": "mahalanobis"},
        {"ratio": 3, "distance": "mahalanobis", "exact": ("branch",)},
        {"estimand": "atc"},
        {"reuse": 2, "distance": "scaled_euclidean"},
    ],
    ids=["score", "mahalanobis", "3:1 exact", "atc", "reuse 2"],
)
def test_influence_after_replacement_equals_a_naive_twin(choices):
    firms, y = made(120)
    sample = match(firms, spec_of(**AGAIN, **choices))
    found, naive = matched_effect(sample, y), naive_peers(sample, y)
    np.testing.assert_allclose(found.influence[:, 0], naive.reindex(found.firm_id), atol=1e-12)
    n = len(naive)
    assert found.table["std_error"].iloc[0] == pytest.approx(np.sqrt((naive**2).sum() * n / (n - 1)), abs=1e-12)


def abadie_imbens(sample, firms, y, points, peers: int = 4) -> float:
    """Their variance (2006, theorem 7) from whole pairs, with outcomes of all controls, matched or not."""
    value, pairs = y.to_numpy(), sample.pairs
    treated, control = (firms.index.get_indexer(pairs[name]) for name in ("treated_id", "control_id"))
    k, n = sample.spec.ratio, len(firms)
    own = np.bincount(treated, value[control], n) / k
    sought = np.unique(treated)
    effect = value[sought] - own[sought]
    times = np.bincount(control, minlength=n)
    used, pool = np.flatnonzero(times), np.flatnonzero(np.isinf(firms["cohort"]))
    distance = ((points[used][:, None] - points[pool][None]) ** 2).sum(axis=2)
    distance[used[:, None] == pool] = np.inf
    near = pool[np.argsort(distance, axis=1, kind="stable")[:, :peers]]
    sigma2 = peers / (peers + 1) * (value[used] - value[near].mean(axis=1)) ** 2
    return float(np.sqrt(effect.var() * len(effect) + ((times**2 - times)[used] / k**2) @ sigma2) / len(effect))


def test_error_after_replacement_is_that_of_abadie_and_imbens():
    """Over 40 samples the mean ratio lies within 3 %: peers among matched controls stand a little further off than among all."""
    ratio = {1: [], 3: []}
    for seed in range(20):
        firms, y = made(600, seed)
        for k in ratio:
            sample = match(firms, spec_of(**AGAIN, ratio=k))
            points = np.log(sample.scores / (1 - sample.scores)).to_numpy()[:, None]
            ratio[k].append((one(sample, y)["std_error"], abadie_imbens(sample, firms, y, points)))
    for found in ratio.values():
        ours, theirs = np.mean(found, axis=0)
        assert ours / theirs == pytest.approx(1, abs=0.03)


def many_outcomes(firms: pd.DataFrame, values: np.ndarray) -> Panel:
    """Columns of `values` as periods 2, 3, …; the two before are zero, so that every cell's change is a column."""
    table = pd.DataFrame(np.column_stack([np.zeros((len(firms), 2)), values]), index=firms.index)
    return Panel(firms, table.stack().rename("y").rename_axis(["firm_id", "period"]).to_frame())


def test_the_noise_of_peers_is_not_counted():
    """With nothing but noise the error is known, Σ w² over both arms; the mean of eight peers would add an eighth of a variance."""
    firms, _ = made(300)
    sample = match(firms, spec_of(**AGAIN, ratio=3, distance="mahalanobis"))
    w = sample.weights.droplevel("cohort")
    treated = np.isfinite(firms["cohort"].reindex(w.index)).to_numpy()
    truth = np.sqrt(((w / np.where(treated, w[treated].sum(), w[~treated].sum())) ** 2).sum())
    panel = many_outcomes(firms, np.random.default_rng(8).normal(size=(300, 300)))
    table = att_gt(panel, "y", DidSpec(), sample).table
    found = table.loc[table["period"] >= 2, "std_error"]
    assert len(found) == 300
    assert np.sqrt((found**2).mean()) == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("ratio", [2, 4])
def test_controls_shared_by_cohorts_are_counted_once(ratio):
    """Over 400 outcomes of one matched sample: the mean standard error against the spread of the estimates."""
    firms, _ = made(160, seed=2, cohorts=(1.0, 2.0))
    sample = match(firms, spec_of(**AGAIN, ratio=ratio))
    used = sample.sets[sample.sets["role"] == "control"].drop_duplicates(["cohort", "firm_id"])
    assert used["firm_id"].duplicated().sum() > 5  # else the test shows nothing
    mean = (0.5 * firms["x1"] + 0.3 * firms["x2"]).to_numpy()[:, None]
    values = mean + np.random.default_rng(4).normal(size=(160, 400))
    table = aggregate(att_gt(many_outcomes(firms, values), "y", DidSpec(), sample), "period").table
    found = table[(table["period"] >= 2) & (table["term"] == "period")]
    assert len(found) == 400
    assert np.sqrt((found["std_error"] ** 2).mean()) == pytest.approx(found["estimate"].std(ddof=1), rel=0.08)


def test_a_firm_on_the_mean_is_still_a_peer():
    """An influence of zero is not absence: with the members of a row handed over, no-change firms tell what is to be expected."""
    firms, y = made(90)
    sample = match(firms, spec_of(**AGAIN, distance="mahalanobis"))
    psi = known_weights(sample, y)
    w, _, treated, _ = arms(sample, y)
    psi[psi.index[~treated][:5]] = 0.0
    adjust = adjustment(sample, psi.index, 1.0)
    column, inside = psi.to_numpy()[:, None], np.ones((len(psi), 1), bool)
    told = adjust(column, w.to_numpy(), treated, inside)
    nearly = column + np.where(column == 0, 1e-13, 0.0)
    np.testing.assert_allclose(told, adjust(nearly, w.to_numpy(), treated), atol=1e-9)
    assert np.abs(told - adjust(column, w.to_numpy(), treated)).max() > 1e-4


# ---- strata


def post_stratified(firms, y, stratum: pd.Series, estimand: str) -> tuple[float, float]:
    """Estimate and standard error of Σ share × difference within strata, shares estimated; factor n/(n − 1) over firms."""
    treated = np.isfinite(firms["cohort"].reindex(stratum.index)).to_numpy()
    value = y.reindex(stratum.index).to_numpy()
    carries = {"att": treated, "atc": ~treated, "ate": np.ones(len(treated), bool)}[estimand]
    share, effect, within = [], [], 0.0
    for s in sorted(stratum.unique()):
        here = (stratum == s).to_numpy()
        a, b = value[here & treated], value[here & ~treated]
        share.append((here & carries).sum() / carries.sum())
        effect.append(a.mean() - b.mean())
        within += share[-1] ** 2 * (a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    share, effect = np.array(share), np.array(effect)
    total = share @ effect
    between = share @ (effect - total) ** 2 / carries.sum()
    n = len(stratum)
    return total, np.sqrt((within + between) * n / (n - 1))


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
@pytest.mark.parametrize(
    "choices", [{"method": "subclass", "subclasses": 4}, {"method": "cem", "covariates": (), "exact": ("town",)}]
)
def test_few_strata_have_the_post_stratified_error(choices, estimand):
    firms, y = made(200)
    sample = match(firms, spec_of(**choices, estimand=estimand))
    stratum = sample.sets.set_index("firm_id")["set_id"]
    assert not sample.clusters_are_sets
    total, error = post_stratified(firms, y, stratum, estimand)
    found = matched_effect(sample, y)
    assert found.table["estimate"].iloc[0] == pytest.approx(total, abs=1e-12)
    assert found.table["std_error"].iloc[0] == pytest.approx(error, abs=1e-10)
    assert found.influence[:, 0].sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("estimand", ["att", "atc", "ate"])
def test_many_strata_are_clusters(estimand):
    firms, y = made(500, seed=1)
    sample = match(firms, spec_of(method="cem", cutpoints={"x1": 9, "x2": 9}, estimand=estimand))
    assert sample.sets["set_id"].nunique() >= 30
    stratum = sample.sets.set_index("firm_id")["set_id"]
    assert one(sample, y)["std_error"] == pytest.approx(by_group(known_weights(sample, y), stratum), abs=1e-12)


# ---- weightings


WEIGHTIT = {
    "glm_att": {"method": "ipw"},
    "glm_ate": {"method": "ipw", "estimand": "ate"},
    "glm_ato": {"method": "ipw", "estimand": "ato"},
    "cbps_att": {"method": "cbps"},
    "cbps_ate": {"method": "cbps", "estimand": "ate"},
}


@pytest.mark.parametrize("case", WEIGHTIT)
def test_weightings_have_weightits_m_estimation_error(case):
    units = pd.read_csv(REFERENCE / "matchit_units/units.csv", index_col="unit").rename_axis("firm_id")
    stored = json.loads((REFERENCE / "weightit_units/expected.json").read_text(encoding="utf-8"))["weightit"]
    firms = units.assign(cohort=np.where(units["treat"] == 1, 2004.0, NEVER))
    columns = ("x1", "x2", "x3", "x4", "exporter", "sector")
    row = one(match(firms, MatchSpec(covariates=columns, **WEIGHTIT[case])), units["y"])
    n = len(units)
    assert row["estimate"] == pytest.approx(stored[case]["estimate"], abs=1e-6)
    assert row["std_error"] * np.sqrt((n - 1) / n) == pytest.approx(stored[case]["std_error"], abs=1e-6)
    if case == "cbps_att":  # the same estimator; WeightIt's own error of entropy balancing takes its target as known
        again = one(match(firms, MatchSpec(covariates=columns, method="ebal")), units["y"])
        assert again["estimate"] == pytest.approx(row["estimate"], abs=1e-6)
        assert again["std_error"] == pytest.approx(row["std_error"], abs=1e-6)


def staggered(n: int = 60, seed: int = 0, zeros: bool = False, gaps: float = 0.0) -> Panel:
    """Firms of cohorts 2003, 2004 and never, 2001–2005; amounts if `zeros`; a share `gaps` of the outcomes missing."""
    rng = np.random.default_rng([9, seed])
    firms, _ = made(n, seed, cohorts=(2003.0, 2004.0))
    years = np.arange(2001, 2006)
    level = 0.4 * firms["x1"].to_numpy()[:, None] * (years - 2001) / 4 + rng.normal(0, 0.3, (n, len(years))) + 1
    value = level + 0.3 * (years >= firms["cohort"].to_numpy()[:, None])
    value = np.where(rng.random(value.shape) < 0.2, 0.0, np.exp(value)) if zeros else value
    value[rng.random(value.shape) < gaps] = np.nan
    long = pd.DataFrame(value, index=firms.index, columns=years).stack().dropna()
    return Panel(firms, long.rename("y").rename_axis(["firm_id", "period"]).to_frame())


def one_cohort(panel: Panel) -> Panel:
    firms = panel.firms.assign(cohort=np.where(np.isfinite(panel.firms["cohort"]), 2003.0, NEVER))
    return Panel(firms, panel.outcomes)


def with_estimated_part(estimator, panel: Panel, sample, step: float = 1e-6) -> np.ndarray:
    """Influence with weights as known plus that on the estimated ones, the slope by central differences of the estimate."""
    plain = sample.weights
    fixed = estimator(panel, plain)
    total = fixed.influence.copy()
    for g, part in sample.estimated.items():
        for k in range(part.derivative.shape[1]):
            shift = (
                pd.Series(part.derivative[:, k], index=pd.MultiIndex.from_product([[g], part.firm_id]))
                .reindex(plain.index)
                .fillna(0.0)
            )
            up, down = (estimator(panel, plain + sign * step * shift).table["estimate"].to_numpy() for sign in (1, -1))
            slope = np.nan_to_num((up - down) / (2 * step))
            total[fixed.firm_id.get_indexer(part.firm_id)] += np.outer(part.influence[:, k], slope)
    return total


def plain_did(panel, weights):
    return att_gt(panel, "y", DidSpec(), weights)


def adjusted_did(panel, weights):
    return att_gt(panel, "y", DidSpec(method="reg", covariates=("x2",)), weights)


def amounts(panel, weights):
    return poisson_att(panel, "y", DidSpec(), weights)


@pytest.mark.parametrize("estimator", [plain_did, adjusted_did, amounts])
@pytest.mark.parametrize("choices", [{"method": "ipw"}, {"method": "ebal"}, {"method": "cbps"}], ids=lambda c: c["method"])
def test_estimated_weights_enter_by_their_derivative(choices, estimator):
    panel = staggered(zeros=estimator is amounts, gaps=0.1)
    sample = match(panel.firms, spec_of(**choices))
    found = estimator(panel, sample)
    assert not np.allclose(found.influence, estimator(panel, sample.weights).influence, atol=1e-4)
    np.testing.assert_allclose(found.influence, with_estimated_part(estimator, panel, sample), atol=1e-7)


@pytest.mark.parametrize("estimator", [plain_did, adjusted_did, amounts])
@pytest.mark.parametrize("estimand", ["ate", "ato"])
def test_estimated_weights_of_both_arms(estimator, estimand):
    panel = one_cohort(staggered(zeros=estimator is amounts))
    sample = match(panel.firms, spec_of(method="ipw", estimand=estimand))
    np.testing.assert_allclose(estimator(panel, sample).influence, with_estimated_part(estimator, panel, sample), atol=1e-7)


def test_amounts_with_odds_against_the_jackknife():
    panel = one_cohort(staggered(60, zeros=True))
    spec = spec_of(method="ipw")

    def total(part: Panel):
        return poisson_att(part, "y", weights=match(part.firms, spec), by="overall")

    found, ids = total(panel), panel.firms.index[::3]
    left = [total(Panel(panel.firms.drop(i), panel.outcomes.drop(i, level="firm_id"))).table["estimate"].iloc[0] for i in ids]
    jackknife = found.table["estimate"].iloc[0] - np.array(left)
    ours = found.influence[found.firm_id.get_indexer(ids), 0]
    assert np.corrcoef(jackknife, ours)[0, 1] > 0.99
    assert np.sqrt((ours**2).sum()) == pytest.approx(np.sqrt((jackknife**2).sum()), rel=0.1)


def test_amounts_of_pairs_are_those_of_their_weights_clustered_by_set():
    panel = staggered(zeros=True)
    sample = match(panel.firms, spec_of(**PAIR))
    found = poisson_att(panel, "y", weights=sample, by="period").table
    plain = poisson_att(panel, "y", weights=sample.weights, clusters=sample.clusters, by="period").table
    pd.testing.assert_frame_equal(found, plain)


POISSON = {
    "pairs": PAIR,
    "replacement": AGAIN,
    "two with replacement": AGAIN | {"ratio": 2},
    "few strata": {"method": "subclass", "subclasses": 3},
    "odds": {"method": "ipw"},
    "full": {"method": "full"},
}


@pytest.mark.parametrize("choices", POISSON.values(), ids=POISSON)
def test_amounts_have_the_error_of_their_linear_part(choices):
    """One cohort, two years: log of a ratio of means moves like each arm's amounts over their mean, whatever the match."""
    firms, y = made(150, cohorts=(2.0,))
    later = made(150, seed=1)[1]
    wide = np.exp(pd.DataFrame({1: y, 2: 0.8 * y + 0.5 * later}).rename_axis(index="firm_id", columns="period"))
    sample = match(firms, spec_of(**choices))
    w = sample.weights.droplevel("cohort").reindex(wide.index).fillna(0.0)
    linear = wide.copy()
    for arm in (np.isinf(firms["cohort"]), np.isfinite(firms["cohort"])):
        linear[arm] = wide[arm] / np.average(wide[arm], axis=0, weights=w[arm])

    def long(frame):
        return Panel(firms, frame.stack().to_frame("y"))

    found = poisson_att(long(wide), "y", weights=sample)
    twin = att_gt(long(linear), "y", DidSpec(), sample)
    np.testing.assert_allclose(found.influence[:, 0], twin.influence[:, 1], atol=1e-9)
    assert found.table["std_error"].iloc[0] == pytest.approx(twin.table["std_error"].iloc[1], rel=1e-8)
    known = poisson_att(long(wide), "y", weights=sample.weights, clusters=sample.clusters).table["std_error"].iloc[0]
    put_right = choices.get("replace") or choices["method"] in ("subclass", "ipw")
    assert (abs(known / found.table["std_error"].iloc[0] - 1) > 1e-3) == bool(put_right)


@pytest.mark.parametrize("choices", [AGAIN, {"method": "subclass", "subclasses": 3}], ids=["replacement", "few strata"])
def test_amounts_of_two_cohorts_keep_the_shares_of_the_cohorts(choices):
    """Over several cohorts a cohort's part of the influence has a mean of its own, which no match made and none may take out."""
    panel = staggered(120, zeros=True)
    sample = match(panel.firms, spec_of(**choices))
    row = poisson_att(panel, "y", weights=sample, by="overall")
    plain = poisson_att(panel, "y", weights=sample.weights, by="overall")
    assert row.table["estimate"].iloc[0] == plain.table["estimate"].iloc[0]
    cohort = panel.firms["cohort"].to_numpy()
    for g in (2003.0, 2004.0):
        ours, known = (e.influence[cohort == g, 0].sum() for e in (row, plain))
        assert ours == pytest.approx(known, abs=1e-9)
    assert 0.7 < row.table["std_error"].iloc[0] / plain.table["std_error"].iloc[0] < 1.4


def test_amounts_take_no_odds_on_top_of_a_match_that_made_its_own():
    panel = staggered(90, zeros=True)
    for choices in (AGAIN, {"method": "ipw"}):
        sample = match(panel.firms, spec_of(**choices))
        for method in ("reg", "dr"):
            with pytest.raises(DesignError, match="a second time"):
                poisson_att(panel, "y", DidSpec(method=method, covariates=("x2",)), sample)
    pairs = match(panel.firms, spec_of(**PAIR))
    assert poisson_att(panel, "y", DidSpec(covariates=("x2",)), pairs).table["std_error"].notna().all()


# ---- panels


DESIGNS = {
    "pairs": PAIR,
    "replacement": AGAIN,
    "full": {"method": "full"},
    "subclass": {"method": "subclass", "subclasses": 3},
    "ipw": {"method": "ipw"},
    "ebal": {"method": "ebal"},
    "pairs by cohort": PAIR | {"by_cohort": True, "window": 0},
    "replacement by cohort": AGAIN | {"by_cohort": True},
    "ipw by cohort": {"method": "ipw", "by_cohort": True},
}


@pytest.mark.parametrize("design", DESIGNS)
def test_a_staggered_panel_with_gaps(design):
    panel, spec = staggered(120, gaps=0.12), spec_of(**DESIGNS[design])
    sample = match_panel(panel, spec) if spec.by_cohort else match(panel.firms, spec)
    found = att_gt(panel, "y", DidSpec(), sample)
    table = found.table
    assert set(table["cohort"]) == {2003, 2004}
    base = (table["phase"] == "base").to_numpy()
    assert (found.influence[:, base] == 0).all() and base.sum() == 2
    assert table.loc[~base, "std_error"].gt(0).all()
    assert np.isfinite(found.influence).all()
    if not spec.replace:
        np.testing.assert_allclose(found.influence.sum(axis=0), 0, atol=1e-10)
    plain = att_gt(panel, "y", DidSpec(), sample.weights).table
    kept = plain.merge(table[["cohort", "period"]])
    np.testing.assert_allclose(table["estimate"], kept["estimate"], atol=1e-12)
    for by in ("overall", "cohort", "event_time", "period"):
        summary = aggregate(found, by)
        assert summary.table["std_error"].dropna().gt(0).all()
    events = aggregate(found, "event_time").bands(draws=99)
    wide, narrow = events.table["band_high"] - events.table["band_low"], events.table["conf_high"] - events.table["conf_low"]
    shown = wide.notna()
    assert shown.sum() >= 3 and (wide[shown] >= narrow[shown] - 1e-12).all()
    assert 0 <= pretrend_test(found)["p_value"] <= 1


def test_missing_outcomes_leave():
    firms, y = made(120)
    for choices in DESIGNS["pairs"], AGAIN, {"method": "ipw"}, {"method": "subclass", "subclasses": 3}:
        sample = match(firms, spec_of(**choices))
        some = y.copy()
        some[sample.sets["firm_id"].unique()[::7]] = np.nan
        w, value, treated, _ = arms(sample, some)
        kept = ~np.isnan(value)
        mean = [np.average(value[kept & (treated == arm)], weights=w[kept & (treated == arm)]) for arm in (True, False)]
        row = one(sample, some)
        assert row["estimate"] == pytest.approx(mean[0] - mean[1], abs=1e-12)
        assert row["n_treated"] + row["n_control"] == kept.sum()
    with pytest.raises(DesignError):
        one(sample, y.where(np.isinf(firms["cohort"])))


# ---- clusters


def sets_of(*groups) -> SimpleNamespace:
    return SimpleNamespace(clusters=pd.Series({i: number for number, group in enumerate(groups) for i in group}))


def test_joined_clusters_by_hand():
    sets = sets_of("ab", "cd", "ef", "gh")
    labels = pd.Series({"a": "north", "c": "north", "e": "south", "f": "south", "h": None, "z": "north"})
    found = joined_clusters(sets, labels)
    groups = sorted("".join(part.index) for _, part in found.groupby(found))
    assert groups == ["abcd", "ef", "gh"]
    chain = joined_clusters(sets, pd.Series({"b": 1, "c": 1, "d": 2, "e": 2, "f": 3, "g": 3}))
    assert chain.nunique() == 1
    alone = joined_clusters(sets, pd.Series({"z": 1}))
    assert alone.nunique() == 4 and alone["a"] == alone["b"]


def test_a_cluster_column_of_the_study_joins_sets():
    panel = staggered(90)
    town = pd.Series([f"t{i % 45:02d}" for i in range(90)], index=panel.firms.index)
    panel = Panel(panel.firms.assign(town=town), panel.outcomes)
    outcome = Outcome(id="y", measure="y", scale="level", label={"en": "y"})
    study = SimpleNamespace(did=DidSpec(cluster="town"), headline="matched")
    for choices in ({"method": "ipw"}, AGAIN, PAIR):
        sample = match(panel.firms, spec_of(**choices))
        found = estimate(panel, sample, study, outcome)
        by_firm = estimate(panel, sample, SimpleNamespace(did=DidSpec(), headline="matched"), outcome)
        np.testing.assert_allclose(found.influence, by_firm.influence, atol=1e-15)
        joined = found.clusters
        whole = pd.DataFrame({"joined": joined, "town": town.reindex(joined.index), "set": sample.clusters})
        assert (whole.groupby("town")["joined"].nunique() == 1).all() and (whole.groupby("set")["joined"].nunique() == 1).all()
        assert joined.nunique() < sample.clusters.nunique()


# ---- what is refused


def test_refuse_unfit():
    firms, _ = made()
    plain, dr = DidSpec(), DidSpec(covariates=("x1",))
    weighted, again, pairs = (match(firms, spec_of(**c)) for c in ({"method": "ipw"}, AGAIN, PAIR))
    for sample in (weighted, again):
        for method in ("dr", "ipw"):
            with pytest.raises(DesignError, match="a second time"):
                refuse_unfit(sample, DidSpec(method=method, covariates=("x1",)))
        refuse_unfit(sample, DidSpec(method="reg", covariates=("x1",)))
        refuse_unfit(sample, DidSpec(method="reg", lag="ancova"))
        refuse_unfit(sample, plain)
        with pytest.raises(DesignError, match="a second time"):
            refuse_unfit(sample, DidSpec(lag="ancova"))
    refuse_unfit(pairs, dr)
    panel = staggered(90)
    late = match_panel(panel, spec_of(**PAIR, by_cohort=True, window=1))
    with pytest.raises(DesignError, match=r"match\.window"):
        att_gt(panel, "y", DidSpec(comparison="never_treated"), late)
    with pytest.raises(DesignError, match=r"match\.window"):
        poisson_att(staggered(90, zeros=True), "y", DidSpec(comparison="never_treated"), late)
    with pytest.raises(DesignError, match="att_gt"):
        matched_effect(late, pd.Series(1.0, index=panel.firms.index))


def test_cells_beyond_the_window_leave_with_a_note():
    panel = staggered(90)
    late = match_panel(panel, spec_of(**PAIR, by_cohort=True, window=1))
    found = att_gt(panel, "y", DidSpec(), late)
    assert found.table["event_time"].max() == 1
    assert [n.values for n in found.notes if n.key == "beyond_window"] == [{"window": 1, "n": 1}]
    cells, notes = within_window(["anything"], match_panel(panel, spec_of(**PAIR, by_cohort=True)))
    assert cells == ["anything"] and notes == ()


# ---- adjustment for what the match left


@pytest.mark.parametrize(
    "choices", [AGAIN, PAIR, {"method": "full"}, {"method": "ipw"}], ids=["replacement", "pairs", "full", "ipw"]
)
def test_bias_correction_is_a_weighted_regression_among_controls(choices):
    firms, y = made(120)
    sample = match(firms, spec_of(**choices))
    w, value, treated, _ = arms(sample, y)
    x = np.column_stack([np.ones(len(w)), firms.loc[w.index, list(X)]])
    root = np.sqrt(w.to_numpy()[~treated])
    beta = np.linalg.lstsq(x[~treated] * root[:, None], value[~treated] * root, rcond=None)[0]
    by_hand = np.average(value[treated] - x[treated] @ beta, weights=w[treated])
    assert one(sample, y, firms[list(X)])["estimate"] == pytest.approx(by_hand, abs=1e-8)


def test_bias_correction_finds_a_linear_effect_exactly():
    firms, _ = made(120)
    y = 2 * firms["x1"] - firms["x2"] + 0.7 * np.isfinite(firms["cohort"]) + 3
    for choices in (AGAIN | {"distance": "mahalanobis"}, PAIR, {"method": "subclass", "subclasses": 3}):
        assert one(match(firms, spec_of(**choices)), y, firms[list(X)])["estimate"] == pytest.approx(0.7, abs=1e-10)


# ---- properties


EVERY = [PAIR, AGAIN, {"method": "full"}, {"method": "subclass", "subclasses": 3}, {"method": "ipw"}, {"method": "cbps"}]


@pytest.mark.parametrize("choices", EVERY, ids=lambda c: "again" if "replace" in c else c["method"])
def test_constant_shift_and_unit(choices):
    firms, y = made(120)
    sample = match(firms, spec_of(**choices))
    plain = one(sample, y)
    higher = one(sample, y + 5 * np.isfinite(firms["cohort"]) + 11)
    assert higher["estimate"] == pytest.approx(plain["estimate"] + 5, abs=1e-10)
    assert higher["std_error"] == pytest.approx(plain["std_error"], abs=1e-10)
    unit = one(sample, 1000 * y)
    assert unit["estimate"] == pytest.approx(1000 * plain["estimate"], rel=1e-10)
    assert unit["std_error"] == pytest.approx(1000 * plain["std_error"], rel=1e-10)
    shuffled = one(match(firms.sample(frac=1, random_state=1), spec_of(**choices)), y.sample(frac=1, random_state=2))
    assert shuffled["std_error"] == pytest.approx(plain["std_error"], abs=1e-10)


@pytest.mark.parametrize(
    "choices", [PAIR, {"method": "ipw"}, {"method": "ebal"}, {"method": "cem", "covariates": (), "exact": ("branch",)}]
)
def test_every_firm_twice_halves_the_variance(choices):
    firms, y = made(200)
    spec = spec_of(**choices)
    again = [table.rename(index="{}~".format) for table in (firms, y)]
    twice = match(pd.concat([firms, again[0]]).rename_axis("firm_id"), spec)
    small, large = one(match(firms, spec), y), one(twice, pd.concat([y, again[1]]))
    assert large["estimate"] == pytest.approx(small["estimate"], abs=1e-8)
    factor = [row["n_clusters"] / (row["n_clusters"] - 1) for row in (small, large)]
    expected = small["std_error"] * np.sqrt(factor[1] / factor[0] / 2)
    tolerance = 0.01 if spec.method == "cem" else 1e-8  # n − 1 within strata is not halved
    assert large["std_error"] == pytest.approx(expected, rel=tolerance)


def test_peers_are_eight():
    assert matched.PEERS == 8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: (y.to_numpy(), None, 0.95), "y is a Series by firm_id; found ndarray"),
        (lambda y: (pd.concat([y, y]), None, 0.95), "each firm stands once in y; repeated"),
        (lambda y: (y.astype(str), None, 0.95), "y holds numbers"),
        (lambda y: (y, None, 95), "level is a share between 0.5 and 1, 0.95 for instance; found 95"),
        (lambda y: (y, y.rename("cohort"), 0.95), "cannot be called 'cohort'"),
    ],
)
def test_what_is_no_outcome_is_refused(change, said):
    panel = one_cohort(staggered())
    sample = match(panel.firms, spec_of(**PAIR))
    with pytest.raises((DataError, DesignError), match=said):
        matched_effect(sample, *change(panel.wide("y").iloc[:, -1]))
