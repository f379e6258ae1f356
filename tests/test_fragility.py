"""How far an estimate moves over choices that nobody would defend: each row is a match that could as well have been made."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval import MatchSpec, Panel, match, read_study, stages
from pipeval.did.estimate import at_reference, estimate
from pipeval.did.matched_effect import matched_effect
from pipeval.errors import DesignError, EstimationError, PipevalWarning
from pipeval.matching.panel import match_controls
from pipeval.robustness.fragility import COLUMNS, fragility_summary, fragility_table, fragility_verdict, study_fragility
from pipeval.robustness.rematch import Pool, renamed

ROOT = Path(__file__).resolve().parents[1]
STARS = [
    {"method": "optimal"},
    {"method": "optimal", "ratio": 2},
    {"method": "nearest"},
    {"method": "nearest", "order": "closest"},
    {"method": "nearest", "replace": True, "ratio": 2},
    {"method": "nearest", "distance": "mahalanobis"},
    {"method": "nearest", "estimand": "atc", "replace": True},
    {"method": "full"},
]


@pytest.fixture(autouse=True)
def _notes_are_no_errors():
    """Small pools are noted; what is noted is tested where it arises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        yield


def pool(seed: int, n: int = 80, digits: int | None = None) -> tuple[pd.DataFrame, pd.Series]:
    """Firms a third of which entered, and their change; with few `digits` many firms are equal."""
    rng = np.random.default_rng(seed)
    size, age = rng.normal(size=n), rng.normal(size=n)
    took = rng.random(n) < 1 / (1 + np.exp(1 - 0.7 * size))
    ids = pd.Index([f"F{i:03d}" for i in range(n)], name="firm_id")
    columns = {"size": size, "age": age} if digits is None else {"size": size.round(digits), "age": age.round(digits)}
    firms = pd.DataFrame({"cohort": np.where(took, 1.0, np.inf), **columns}, index=ids)
    return firms, pd.Series(0.5 * size + took + rng.normal(size=n), index=ids)


def spec_of(**choices) -> MatchSpec:
    return MatchSpec(**({"covariates": ("size", "age")} | choices))


def effect_of(y: pd.Series):
    """The difference of weighted means; its error as if controls were fixed."""

    def effect(sample):
        sets = sample.sets.assign(y=y[sample.sets["firm_id"]].to_numpy())
        treated, control = (sets[sets["role"] == role] for role in ("treated", "control"))
        gap = np.average(treated["y"], weights=treated["weight"]) - np.average(control["y"], weights=control["weight"])
        return float(gap), float(treated["y"].std() / np.sqrt(len(treated)))

    return effect


def inferred(y: pd.Series):
    """The same with the error that belongs to the match."""

    def effect(sample):
        row = matched_effect(sample, y).table.iloc[0]
        return float(row["estimate"]), float(row["std_error"])

    return effect


def equal_firms() -> tuple[pd.DataFrame, pd.Series]:
    """Six treated firms, each with four controls equal to it; only the first control by id stood still."""
    size = np.repeat(np.arange(6.0), 5)
    place = np.tile(np.arange(5), 6)
    ids = pd.Index([f"F{i:02d}" for i in range(30)], name="firm_id")
    firms = pd.DataFrame({"cohort": np.where(place == 0, 1.0, np.inf), "size": size}, index=ids)
    y = np.where(place == 0, 10 + 0.1 * size, np.where(place == 1, 0.05 * size, 10.0 + size))
    return firms, pd.Series(y, index=ids)


# ── ties ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("choices", [{"method": "optimal"}, {"method": "nearest"}, {"method": "nearest", "replace": True}])
def test_an_estimate_that_hangs_on_ids_is_fragile(choices):
    firms, y = equal_firms()
    table = fragility_table(effect_of(y), firms, MatchSpec(covariates=("size",), distance="scaled_euclidean", **choices), draws=9)
    ties = table[table["kind"] == "tie_break"]
    assert len(ties) == 9 and (ties["reason"] == "").all()
    if choices["method"] == "nearest":  # of equals the first by id
        assert table.loc[0, "estimate"] == pytest.approx(10 + 0.05 * 2.5, abs=1e-12)
    assert ties["estimate"].nunique() > 4 and ties["moved"].max() > 1 and ties["shared_pairs"].min() < 1
    verdict = fragility_verdict(table)
    assert verdict["fragile"] and verdict["worst"] == "tie_break" and verdict["high"] <= 10.125 + 1e-9


@pytest.mark.parametrize("choices", STARS, ids=str)
def test_without_ties_ids_decide_nothing(choices):
    firms, y = pool(1, 60)
    table = fragility_table(inferred(y), firms, spec_of(**choices), draws=3)
    ties = table[table["kind"] == "tie_break"]
    assert len(ties) == 3 and (ties["moved"] == 0).all() and (ties["shared_pairs"] == 1).all()
    for column in ("estimate", "std_error", "n_treated", "n_control"):
        assert (ties[column] == table.loc[0, column]).all()


@pytest.mark.parametrize("choices", STARS, ids=str)
def test_a_tie_break_is_the_match_of_firms_with_other_ids(choices):
    firms, y = pool(3, 60, digits=0)
    spec = spec_of(**choices)
    table = fragility_table(effect_of(y), firms, spec, draws=3, seed=9)
    rng = np.random.default_rng(9)
    for k in range(3):
        ids = firms.index[rng.permutation(len(firms))]
        found = effect_of(y.set_axis(ids))(match(firms.set_axis(ids), spec))
        row = table[table["variant"] == f"ids {k + 1}"].iloc[0]
        assert (row["estimate"], row["std_error"]) == pytest.approx(found, rel=1e-12)
    # where both arms seek, every firm finds its equals whatever they are called
    assert table.loc[table["kind"] == "tie_break", "moved"].max() > 0 or choices["method"] == "full"


def test_a_match_told_in_the_firms_own_ids_is_whole():
    firms, _ = pool(4, digits=0)
    spec = spec_of(method="nearest", backups=2, never_together=(("F000", "F001"), ("F002", "F003", "F004")))
    direct = match(firms, spec)
    sample = renamed(Pool(firms), spec, np.random.default_rng(1).permutation(len(firms)))
    assert sample.spec == spec
    treated = np.isfinite(firms["cohort"])
    for table in (sample.sets, sample.unmatched):
        told = table[table["role"] != "backup"]
        assert ((told["role"] == "treated") == treated[told["firm_id"]].to_numpy()).all()
    everyone = {*sample.sets["firm_id"], *sample.unmatched["firm_id"]}
    assert everyone == set(firms.index) and not set(sample.backups["firm_id"]) & set(sample.sets["firm_id"])
    pd.testing.assert_series_equal(sample.scores, direct.scores, rtol=1e-9)
    pairs = sample.pairs
    for group in spec.never_together:
        assert not (pairs["treated_id"].isin(group) & pairs["control_id"].isin(group)).any()
    size = firms["size"]
    assert (size[pairs["treated_id"]].to_numpy() - size[pairs["control_id"]].to_numpy()).std() < 1  # partners, not strangers


def test_a_group_kept_apart_goes_by_the_new_names_too():
    firms, _ = equal_firms()
    apart = tuple(("F00", f"F{i:02d}") for i in (1, 2, 3))
    spec = MatchSpec(covariates=("size",), distance="scaled_euclidean", never_together=apart)
    for k in range(8):
        sample = renamed(Pool(firms), spec, np.random.default_rng(k).permutation(30))
        assert sample.pairs.set_index("treated_id").loc["F00", "control_id"] == "F04"


# ── other choices ────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS = [
    ({"method": "optimal"}, {"tie_break": 2, "caliper": 1, "link": 1}),
    ({"method": "optimal", "caliper": 0.3}, {"tie_break": 2, "caliper": 4, "link": 1}),
    ({"method": "optimal", "caliper": 0.3, "calipers": {"age": 1.0}}, {"tie_break": 2, "caliper": 8, "link": 1}),
    ({"method": "optimal", "link": "probit"}, {"tie_break": 2, "caliper": 1, "link": 1}),
    ({"method": "nearest"}, {"tie_break": 2, "order": 3, "seed": 2, "caliper": 1, "link": 1}),
    ({"method": "nearest", "order": "data"}, {"tie_break": 2, "row_order": 2, "order": 3, "seed": 2, "caliper": 1, "link": 1}),
    ({"method": "nearest", "order": "random", "seed": 5}, {"tie_break": 2, "order": 4, "seed": 2, "caliper": 1, "link": 1}),
    ({"method": "nearest", "replace": True}, {"tie_break": 2, "caliper": 1, "link": 1}),
    ({"method": "nearest", "replace": True, "reuse": 2}, {"tie_break": 2, "order": 3, "seed": 2, "caliper": 1, "link": 1}),
    ({"method": "nearest", "distance": "mahalanobis", "replace": True}, {"tie_break": 2, "caliper": 1}),
    ({"method": "full"}, {"tie_break": 2, "caliper": 1, "link": 1}),
    ({"method": "subclass", "subclasses": 4}, {"link": 1, "subclasses": 4}),
    ({"method": "subclass", "subclasses": 2}, {"link": 1, "subclasses": 2}),  # 0 and 1 are none
    ({"method": "cem"}, {"cutpoints": 2}),
    ({"method": "ipw"}, {"link": 1, "support": 2}),
    ({"method": "ebal", "support": "crump"}, {"support": 2, "moments": 2}),
    ({"method": "cbps"}, {"support": 2}),
]


@pytest.mark.parametrize(("choices", "kinds"), KINDS, ids=lambda v: str(v) if "method" in v else "")
def test_only_what_the_method_takes_is_varied(choices, kinds):
    firms, y = pool(5, 60)
    table = fragility_table(effect_of(y), firms, spec_of(**choices), draws=2)
    assert table["kind"].value_counts(sort=False).to_dict() == {"headline": 1} | kinds
    assert list(table.columns) == COLUMNS and table["variant"].is_unique and table.loc[0, "kind"] == "headline"
    failed = table["reason"] != ""
    assert (table["estimate"].isna() == failed).all() and failed.sum() <= 2  # moments beyond reach
    pairs = choices["method"] in ("optimal", "nearest", "full")
    assert table.loc[~failed, "shared_pairs"].notna().all() == pairs


@pytest.mark.parametrize(
    ("own", "variant", "choices"),
    [
        ({"method": "nearest"}, "smallest", {"order": "smallest"}),
        ({"method": "nearest", "caliper": 0.4}, "× 0.5", {"caliper": 0.2}),
        ({"method": "optimal"}, "0.25 sd", {"caliper": 0.25}),
        ({"method": "optimal", "calipers": {"age": 1.0}}, "age × 2", {"calipers": {"age": 2.0}}),
        ({"method": "optimal", "caliper": 0.4}, "probit", {"link": "probit"}),
        ({"method": "subclass"}, "5", {"subclasses": 5}),
        ({"method": "cem"}, "+1 bin", {"cutpoints": {"size": 9, "age": 9}}),  # Sturges: ⌈log₂ 80⌉ + 1 = 8
        ({"method": "cem", "cutpoints": {"size": 3, "age": (0.0,)}}, "-1 bin", {"cutpoints": {"size": 2, "age": (0.0,)}}),
        ({"method": "ebal"}, "2", {"moments": 2}),
        ({"method": "ipw"}, "crump", {"support": "crump"}),
    ],
)
def test_a_row_is_the_match_with_that_choice(own, variant, choices):
    firms, y = pool(6)
    spec = spec_of(**own)
    effect = effect_of(y)
    table = fragility_table(effect, firms, spec, draws=1)
    row, first = table[table["variant"] == variant].iloc[0], table.iloc[0]
    sample = match(firms, spec.changed(choices))
    assert (row["estimate"], row["std_error"]) == effect(sample)
    assert (first["estimate"], first["std_error"]) == effect(match(firms, spec))
    assert row["moved"] == abs(row["estimate"] - first["estimate"]) / first["std_error"]
    firms_in = sample.sets.groupby("role")["firm_id"].nunique()
    assert (row["n_treated"], row["n_control"]) == (firms_in["treated"], firms_in["control"])
    if spec.method in ("optimal", "nearest"):
        mine, other = (set(map(tuple, s.pairs[["treated_id", "control_id"]].to_numpy())) for s in (match(firms, spec), sample))
        assert row["shared_pairs"] == pytest.approx(len(mine & other) / len(mine), abs=1e-12)


def test_rows_decide_who_chooses_first_only_where_the_match_says_so():
    firms, y = pool(8, 60)
    spec = spec_of(method="nearest", order="data", caliper=0.5)
    table = fragility_table(effect_of(y), firms, spec, draws=3)
    ties, rows = (table[table["kind"] == kind] for kind in ("tie_break", "row_order"))
    assert (ties["moved"] == 0).all() and rows["moved"].max() > 0  # other ids leave the rows where they are
    panel = Panel(firms, pd.DataFrame({"y": y.to_numpy()}, index=pd.MultiIndex.from_product([firms.index, [0]])))
    pd.testing.assert_frame_equal(table, fragility_table(effect_of(y), panel, spec, draws=3))


def test_seeds_are_drawn_and_repeatable():
    firms, y = pool(8, 60)
    spec = spec_of(method="nearest", caliper=0.5)
    one, same, other = (fragility_table(effect_of(y), firms, spec, draws=3, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    drawn = [t.loc[t["kind"] == "seed", "estimate"].tolist() for t in (one, other)]
    assert len(set(drawn[0])) > 1 and drawn[0] != drawn[1]


def test_a_row_that_cannot_be_made_stays_with_its_reason():
    firms = pd.DataFrame({"cohort": [1.0, 1.0, *[np.inf] * 4], "size": [1.0, 2.0, 1.6, 1.4, 3.0, 0.0]}, index=list("abcdef"))
    y = pd.Series([3.0, 4.0, 1.0, 2.0, 1.0, 0.0], index=firms.index)
    spec = MatchSpec(covariates=("size",), caliper=0.45, calipers={"size": 0.5})
    table = fragility_table(effect_of(y), firms, spec, draws=2).set_index("variant")
    failed = table.loc["size × 0.5"]
    assert "no firm found a partner" in failed["reason"] and failed[["estimate", "moved", "n_treated"]].isna().all()
    assert table.loc[["size × 1.25", "ids 1"], "reason"].eq("").all()
    counted = fragility_summary(table.reset_index()).set_index("kind").loc["caliper"]
    assert counted["n_failed"] >= 1 and counted["n"] + counted["n_failed"] == 8


def test_an_effect_that_fails_is_a_reason_and_a_headline_that_fails_an_error():
    firms, y = pool(9)
    calls = []

    def effect(sample):
        calls.append(sample)
        if sample.spec.link == "probit":
            raise EstimationError("no convergence")
        return effect_of(y)(sample)

    table = fragility_table(effect, firms, spec_of(caliper=0.3), draws=2)
    assert table.loc[table["kind"] == "link", "reason"].tolist() == ["no convergence"]
    assert len(calls) <= 6  # the headline, four calipers, one link: what is the same sample is not estimated again
    with pytest.raises(DesignError, match="no firm found a partner|nobody|inside"):
        fragility_table(effect, firms, spec_of(calipers={"size": 1e-12}))
    with pytest.raises(DesignError, match="hand the panel over"):
        fragility_table(effect, firms, spec_of(by_cohort=True))


# ── the judgement ────────────────────────────────────────────────────────────────────────────────────────────────────


def rows_of(*rows: tuple) -> pd.DataFrame:
    names = ["kind", "variant", "estimate", "moved", "shared_pairs"]
    return pd.DataFrame(rows, columns=names).assign(reason="").reindex(columns=COLUMNS)


def test_verdict_and_summary_by_hand():
    table = rows_of(
        ("headline", "", 1.0, 0.0, 1.0),
        ("tie_break", "ids 1", 1.2, 0.4, 0.9),
        ("tie_break", "ids 2", 0.9, 0.2, 0.7),
        ("caliper", "× 2", 1.6, 1.2, 0.5),
        ("caliper", "× 0.5", np.nan, np.nan, np.nan),
        ("link", "probit", np.nan, np.nan, np.nan),
    )
    assert fragility_verdict(table).to_dict() == {
        "worst": "caliper", "low": 0.9, "high": 1.6, "moved": 1.2, "n": 3, "fragile": True, "reason": "",
    }  # fmt: skip
    summary = fragility_summary(table).set_index("kind")
    assert list(summary.index) == ["tie_break", "caliper", "link"]
    assert summary.loc["tie_break"].tolist() == [2, 0, 0.9, 1.2, 0.4, 0.7]
    assert summary.loc["caliper"].tolist() == [1, 1, 1.6, 1.6, 1.2, 0.5]
    assert summary.loc["link", ["n", "n_failed"]].tolist() == [0, 1] and summary.loc["link", ["low", "moved"]].isna().all()
    table.loc[3, "moved"] = 1.0
    assert not fragility_verdict(table)["fragile"]


def test_nothing_varied_is_not_robust_but_unknown():
    found = fragility_verdict(rows_of(("headline", "", 1.0, 0.0, 1.0)))
    assert found["worst"] == "" and np.isnan(found["moved"]) and found["n"] == 0
    assert found["fragile"] is None and found["reason"] == "not_varied"


def test_without_a_standard_error_nothing_is_said_to_move():
    firms, y = pool(10)
    table = fragility_table(lambda sample: (effect_of(y)(sample)[0], float("nan")), firms, spec_of(caliper=0.3), draws=2)
    assert table["estimate"].notna().all() and table["moved"].isna().all()


# ── a study ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def programme():
    """The shipped study, its panel and its match."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        study = read_study(ROOT / "params" / "guanajuato_final.yaml")
        data = stages.proved_data(study)
        group = stages.control_group(data, stages.baseline(data, study), study)
    return study, group["panel"], group["sample"]


def test_the_shipped_study(programme):
    study, panel, sample = programme
    table = study_fragility(panel, sample, study, study.outcomes[0], draws=3)
    row = at_reference(estimate(panel, sample, study, study.outcomes[0], design="matched"), study.treatment.reference_year)
    assert table.loc[0, ["estimate", "std_error"]].tolist() == row[["estimate", "std_error"]].tolist()
    assert (table["reason"] == "").all() and set(table["kind"]) == {"headline", "tie_break", "caliper", "link"}
    wide = match_controls(panel, study, study.match.changed({"caliper": study.match.caliper * 2}))
    row = at_reference(estimate(panel, wide, study, study.outcomes[0], design="matched"), study.treatment.reference_year)
    assert table.set_index("variant").loc["× 2", "estimate"] == row["estimate"]


def test_an_outcome_that_cannot_be_estimated_is_one_row(programme):
    study, panel, sample = programme
    early = Panel(panel.firms, panel.outcomes[panel.outcomes.index.get_level_values(1) < 2003])
    table = study_fragility(early, sample, study, study.outcomes[0])
    assert len(table) == 1 and table.loc[0, "kind"] == "headline" and "nothing to estimate" in table.loc[0, "reason"]
    assert not fragility_verdict(table)["fragile"] and fragility_verdict(table)["n"] == 0 and fragility_summary(table).empty


def test_a_study_matched_by_cohort(programme):
    study, panel, _ = programme
    choices = {"by_cohort": True, "covariates": ("base_ln_sales", "ln_age"), "method": "nearest", "replace": True}
    spec = study.match.changed(choices)
    sample = match_controls(panel, study, spec)
    table = study_fragility(panel, sample, study, study.outcomes[0], draws=2)
    row = at_reference(estimate(panel, sample, study, study.outcomes[0], design="matched"), study.treatment.reference_year)
    assert table.loc[0, "estimate"] == row["estimate"] and (table["reason"] == "").all()
    ties = table[table["kind"] == "tie_break"]  # sales are not tied
    assert (ties["moved"] == 0).all() and (ties["std_error"] == table.loc[0, "std_error"]).all()
    told = renamed(Pool(panel, study.treatment.reference_year), spec, np.random.default_rng(1).permutation(len(panel.firms)))
    pd.testing.assert_frame_equal(told.values.sort_index(), sample.values.sort_index())
    assert told.weights.to_dict() == sample.weights.to_dict()


@pytest.mark.parametrize(("moved", "estimate", "reason"), [(np.nan, 1.2, "no_std_error"), (np.nan, np.nan, "not_varied")])
def test_what_cannot_be_judged_is_neither_fragile_nor_steady(moved, estimate, reason):
    found = fragility_verdict(rows_of(("headline", "", 1.0, np.nan, 1.0), ("tie_break", "ids 1", estimate, moved, 0.9)))
    assert found["fragile"] is None and found["reason"] == reason and np.isnan(found["moved"])


def test_draws_are_counted_from_0():
    firms, _ = pool(10)
    with pytest.raises(DesignError, match="must be 0 or more; found -1"):
        fragility_table(lambda sample: (0.0, 1.0), firms, MatchSpec(covariates=("x",)), draws=-1)
