"""All that is true of a valid matched sample, whatever the method; every test of matching ends here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval.matching.matched import REASONS
from pipeval.study.match_spec import COVARIATE_DISTANCES, PAIRS, STRATA, WEIGHTING


def check_matched_sample(sample, firms: pd.DataFrame, until: float | None = None) -> None:
    """Every statement that holds of `sample`, made of `firms`, by its own spec."""
    spec, sets = sample.spec, sample.sets
    cohort = firms["cohort"].astype(float)
    _everyone_is_accounted_for(sample, firms, cohort, until)
    _sets_are_whole(sets, cohort, until)
    _weights_follow_the_estimand(sample)
    for name in spec.exact if spec.method not in WEIGHTING else ():
        assert (sets.assign(cell=firms[name].reindex(sets["firm_id"]).to_numpy()).groupby("set_id")["cell"].nunique() == 1).all()
    if spec.method in (*PAIRS, "full"):
        _stars(sample, firms, cohort)
    if spec.method in WEIGHTING:
        assert sets["set_id"].nunique() == sets["cohort"].nunique()
    _clusters(sample)


def _everyone_is_accounted_for(sample, firms, cohort, until) -> None:
    out = sample.unmatched.set_index("firm_id")
    assert sorted([*out.index, *sample.sets["firm_id"].unique()]) == sorted(firms.index)
    assert set(out["reason"]) <= set(REASONS)
    assert ((out["role"] == "treated") == np.isfinite(cohort[out.index])).all()
    later = cohort.between(until, np.inf, inclusive="neither") if until is not None else cohort < -np.inf
    need = [c for c in sample.spec.columns if c in firms and c not in sample.spec.antiexact]
    missing = firms[need].isna().any(axis=1) & ~later
    assert set(out.index[out["reason"] == "later_cohort"]) == set(firms.index[later])
    assert set(out.index[out["reason"] == "missing_covariate"]) == set(firms.index[missing])
    if len(sample.scores):
        assert set(sample.scores.index) == set(firms.index[~missing & ~later])
        assert sample.scores.between(0, 1, inclusive="neither").all()


def _sets_are_whole(sets, cohort, until) -> None:
    treated, controls = sets[sets["role"] == "treated"], sets[sets["role"] == "control"]
    assert list(sets.columns) == ["set_id", "cohort", "firm_id", "role", "rank", "distance", "weight"]
    assert sets["set_id"].drop_duplicates().tolist() == list(range(1, sets["set_id"].max() + 1))
    assert set(treated["set_id"]) == set(controls["set_id"]) == set(sets["set_id"])
    assert not sets.duplicated(["set_id", "cohort", "firm_id"]).any()
    assert (treated["cohort"].to_numpy() == cohort[treated["firm_id"]].to_numpy()).all()
    assert np.isfinite(sets["cohort"]).all() and np.isinf(cohort[controls["firm_id"]]).all()
    assert until is None or (sets["cohort"] <= until).all()
    # a control stands for every cohort of its set, and for no other
    assert (set(map(tuple, controls[["set_id", "cohort"]].to_numpy()))) == set(map(tuple, treated[["set_id", "cohort"]].to_numpy()))


def _weights_follow_the_estimand(sample) -> None:
    spec, sets = sample.spec, sample.sets
    total = sets.groupby(["cohort", "role"])["weight"].sum().unstack()
    n = sets.groupby(["cohort", "role"])["firm_id"].nunique().unstack()
    assert (sets["weight"] > 0).all()
    if spec.estimand == "att":
        assert (sets.loc[sets["role"] == "treated", "weight"] == 1).all()
        np.testing.assert_allclose(total["control"], total["treated"])
    if spec.estimand == "atc":
        assert (sets.loc[sets["role"] == "control", "weight"] == 1).all()
        np.testing.assert_allclose(total["treated"], total["control"])
    if spec.estimand in ("ate", "ato"):
        np.testing.assert_allclose(total, np.repeat(n.sum(axis=1).to_numpy()[:, None], 2, axis=1))
    pd.testing.assert_series_equal(sample.weights, sets.groupby(["cohort", "firm_id"])["weight"].sum())
    if spec.method in STRATA:
        of_role = sets.drop_duplicates(["set_id", "firm_id"]).groupby(["set_id", "role"]).size().unstack()
        size = of_role.loc[sets["set_id"]].set_axis(sets.index)
        own = np.where(sets["role"] == "treated", size["treated"], size["control"])
        treated_there = sets[sets["role"] == "treated"].groupby(["set_id", "cohort"]).size()
        there = treated_there.loc[list(zip(sets["set_id"], sets["cohort"], strict=True))].to_numpy()
        is_treated = sets["role"] == "treated"
        expected = {
            "att": np.where(is_treated, 1, there / size["control"]),
            "atc": np.where(is_treated, size["control"] / size["treated"], 1),
            "ate": size.sum(axis=1) / own,
        }[spec.estimand]
        np.testing.assert_allclose(sets["weight"], expected)


def _stars(sample, firms, cohort) -> None:
    spec, sets = sample.spec, sample.sets
    pairs = sample.pairs
    seeks = "control" if spec.estimand == "atc" else "treated"
    a, b = ("control_id", "treated_id") if seeks == "control" else ("treated_id", "control_id")
    by_set = sets.groupby("set_id")
    in_set = sets.drop_duplicates(["set_id", "firm_id"]).groupby(["set_id", "role"]).size().unstack()
    if spec.method == "full":
        assert (in_set.min(axis=1) == 1).all()
        assert not sets.drop_duplicates(["set_id", "firm_id"]).duplicated("firm_id").any()
    else:
        most = spec.ratio_range[1] if spec.ratio_range else spec.ratio
        assert (in_set[seeks] == 1).all() and (in_set.drop(columns=seeks).iloc[:, 0] <= most).all()
        assert ((sets["rank"] == 0) == (sets["role"] == seeks)).all()
        assert (sets["rank"] == by_set.cumcount()).all() and (by_set["distance"].diff().dropna() >= 0).all()
        focal = sets[sets["role"] == seeks]
        assert focal["firm_id"].is_unique and focal["firm_id"].is_monotonic_increasing
        serves = sets[sets["role"] != seeks]["firm_id"].value_counts()
        assert serves.max() <= (spec.reuse or np.inf if spec.replace else 1)
        share = 1 / pairs.groupby("set_id")[b].transform("size")
        from_pairs = pairs.assign(weight=share).groupby(["cohort", b])["weight"].sum()
        own = sample.weights[sample.weights.index.get_level_values(1).isin(pairs[b])]
        np.testing.assert_allclose(own.to_numpy(), from_pairs.to_numpy())
        assert own.index.to_list() == from_pairs.index.to_list()
    gap = naive_distance(sample, firms, pairs[a].to_numpy(), pairs[b].to_numpy())
    np.testing.assert_allclose(pairs["distance"], gap, rtol=1e-6, atol=1e-7)
    assert allowed(sample, firms, pairs[a].to_numpy(), pairs[b].to_numpy()).all()
    _width_is_what_was_asked(sample, firms)
    _reasons_are_true(sample, firms, cohort, seeks)
    if sample.backups is not None:
        back = sample.backups
        assert back["firm_id"].is_unique and not back["firm_id"].isin(sets["firm_id"]).any()
        assert (
            (back["weight"] == 0).all()
            and (back["role"] == "backup").all()
            and (back.groupby("set_id").size() <= spec.backups).all()
        )
        head = sets[sets["role"] == "treated"].set_index("set_id")["firm_id"].loc[back["set_id"]].to_numpy()
        assert allowed(sample, firms, head, back["firm_id"].to_numpy()).all()
        assert set(sample.unmatched.loc[sample.unmatched["reason"] == "reserve", "firm_id"]) == set(back["firm_id"])


def axis_of(sample, firms: pd.DataFrame) -> pd.Series | None:
    """By firm: the score on the scale of the distance and of the caliper."""
    spec = sample.spec
    if spec.distance == "column":
        return firms[spec.distance_column].astype(float)
    if sample.scores.empty:
        return None
    if spec.distance == "probability":
        return sample.scores
    linear = np.log(sample.scores / (1 - sample.scores)) if spec.link == "logit" else stats.norm.ppf(sample.scores)
    return pd.Series(linear, index=sample.scores.index)


def naive_distance(sample, firms: pd.DataFrame, one, other) -> np.ndarray:
    """Distances by their textbook formulas."""
    spec = sample.spec
    if spec.distance not in COVARIATE_DISTANCES:
        axis = axis_of(sample, firms)
        return np.abs(axis[one].to_numpy() - axis[other].to_numpy())
    used = firms.index.difference(sample.unmatched.loc[_out_before(sample), "firm_id"]).sort_values()
    x = pd.get_dummies(firms.loc[used, list(spec.distance_covariates or spec.covariates)]).astype(float)
    treated = np.isfinite(firms.loc[used, "cohort"]).to_numpy()
    if spec.distance == "robust_mahalanobis":
        x = x.rank()
        variance = np.cov(x.T, ddof=1).reshape(x.shape[1], -1)
        untied = np.var(np.arange(1, len(x) + 1), ddof=1)
        scale = np.sqrt(untied / np.diag(variance))
        variance = variance * scale[:, None] * scale
    else:
        centred = np.vstack([x[treated] - x[treated].mean(), x[~treated] - x[~treated].mean()])
        variance = centred.T @ centred / (len(x) - 2)
    if spec.distance == "scaled_euclidean":
        variance = np.diag(np.diag(variance))
    gap = x.loc[one].to_numpy() - x.loc[other].to_numpy()
    return np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", gap, np.linalg.pinv(variance, rcond=1e-10), gap), 0))


def _out_before(sample) -> pd.Series:
    return sample.unmatched["reason"].isin(["later_cohort", "missing_covariate", "off_support"])


def allowed(sample, firms: pd.DataFrame, one, other) -> np.ndarray:
    """Whether pairs keep exact cells, calipers and what is kept apart."""
    spec = sample.spec
    fine = np.ones(len(one), bool)
    for name in spec.exact:
        fine &= firms.loc[one, name].to_numpy() == firms.loc[other, name].to_numpy()
    if spec.caliper is not None:
        axis = axis_of(sample, firms)
        fine &= np.abs(axis[one].to_numpy() - axis[other].to_numpy()) <= sample.caliper + 1e-9
    given = {"probability": sample.scores, "linear_predictor": None if sample.scores.empty else axis_of(sample, firms)}
    for name, width in spec.calipers.items():
        values = given[name] if name in given else firms[name].astype(float)
        fine &= np.abs(values[one].to_numpy() - values[other].to_numpy()) <= width + 1e-12
    for name in spec.antiexact:
        fine &= (firms.loc[one, name].to_numpy() != firms.loc[other, name].to_numpy()) | firms.loc[one, name].isna().to_numpy()
    for group in spec.never_together:
        fine &= ~(pd.Index(one).isin(group) & pd.Index(other).isin(group))
    return fine


def _width_is_what_was_asked(sample, firms) -> None:
    spec = sample.spec
    if spec.caliper is None:
        assert sample.caliper == np.inf
        return
    axis = axis_of(sample, firms)
    matched = axis.drop(sample.unmatched.loc[_out_before(sample), "firm_id"], errors="ignore")
    width = spec.caliper * (1 if spec.caliper_unit == "raw" else matched.std())
    assert sample.caliper == pytest.approx(width, rel=1e-8)


def _reasons_are_true(sample, firms, cohort, seeks: str) -> None:
    """A firm that sought is single for the reason given, and no firm stays single beside a free partner."""
    out = sample.unmatched[~_out_before(sample)]
    pool = firms.index.difference(sample.unmatched.loc[_out_before(sample), "firm_id"])
    serve = pool[(np.isinf(cohort[pool]) == (seeks == "treated")).to_numpy()]
    taken = serve.isin(sample.sets["firm_id"])
    spec = sample.spec
    if spec.method == "full":
        assert not out["reason"].isin(["pool_exhausted"]).any()
    for firm, role, reason in out[["firm_id", "role", "reason"]].itertuples(index=False):
        if role != seeks:
            assert reason in ("not_chosen", "reserve") or spec.method == "full"
            continue
        one = np.full(len(serve), firm, dtype=object)
        cell = np.ones(len(serve), bool)
        for name in spec.exact:
            cell &= (firms.loc[serve, name] == firms.loc[firm, name]).to_numpy()
        fine = allowed(sample, firms, one, serve.to_numpy())
        assert reason in ("no_partner_in_exact_cell", "caliper", "kept_apart", "pool_exhausted")
        assert (reason == "no_partner_in_exact_cell") == (not cell.any())
        assert (reason == "pool_exhausted") == bool(fine.any())
        if not spec.replace:
            assert taken[fine].all()


def _clusters(sample) -> None:
    label, sets = sample.clusters, sample.sets
    assert label.index.is_unique and set(label.index) == set(sets["firm_id"])
    if sample.clusters_are_sets:
        assert (label[sets["firm_id"]].groupby(sets["set_id"].to_numpy()).nunique() == 1).all()
        if sample.spec.method in (*PAIRS, "full"):
            assert label.nunique() == sets["set_id"].nunique()
    else:
        assert (label.index == label).all()
