"""Were the controls touched too? Rows without suspect controls, and with reached firms let in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeval.data.panel import NEVER, Panel
from pipeval.did.estimate import at_reference, estimate
from pipeval.errors import collected
from pipeval.matching.panel import match_controls
from pipeval.robustness.contamination import COLUMNS, contamination_rows
from pipeval.study.specs import Study

ROWS = [
    "headline",
    "without_other_programmes",
    "without_cluster_municipalities",
    "without_municipalities",
    "without_dense_municipalities",
    "ring_effect",
    "dense_effect",
    "indirect_effect",
    "indirect_as_controls",
]


def made(spill: float = 0.0, n: int = 240) -> Panel:
    """Participants in places 0–3 of six, more of them in 0 and 1; controls of those places, and firms reached, gain `spill`."""
    rng = np.random.default_rng(0)
    arm = np.resize(["beneficiary", "nonparticipant", "nonparticipant", "indirect"], n)
    took = arm == "beneficiary"
    place = np.where(took, rng.choice([0, 0, 1, 1, 2, 3], n), rng.integers(0, 6, n))
    firms = pd.DataFrame(
        {
            "cohort": np.where(took, 2004.0, NEVER),
            "arm": arm,
            "municipality": [f"M{p}" for p in place],
            "business_cluster": [f"C{p}" if t and p < 2 else None for t, p in zip(took, place, strict=True)],
            "other_programme": rng.random(n) < 0.1,
            "ln_workers": rng.normal(3, 0.5, n),
        },
        index=pd.Index([f"F{i:03d}" for i in range(n)], name="firm_id"),
    )
    near = ~took & (place < 4)
    years = np.arange(2002, 2006)
    y = rng.normal(0, 0.05, (n, 4)) + rng.normal(0, 1, (n, 1)) + 0.05 * (years - 2002)
    y += (years >= 2004) * (0.2 * took + spill * (near | (arm == "indirect")))[:, None]
    outcomes = pd.DataFrame(y, firms.index, pd.Index(years, name="period")).stack(future_stack=True).rename("ln_sales").to_frame()
    return Panel(firms, outcomes)


PLAN = {
    "study": "small",
    "stage": "final",
    "as_of": "2006-03-31",
    "programme": {"id": "SMALL", "name": {"en": "A small programme"}},
    "data": {"folder": "data"},
    "baseline": {"year": 2003},
    "treatment": {"definition": "beneficiary", "reference_year": 2005},
    "money": {"headline": "nominal", "deflator": None, "fx": None},
    "outcomes": [{"id": "ln_sales", "measure": "sales", "label": {"en": "Sales"}}],
    "match": {"covariates": ["ln_workers"], "caliper": None},
    "did": {"covariates": ["ln_workers"], "method": "reg"},
    "logframe": "jobtraining",
}


def compare(everyone: Panel, **sections):
    study = Study.model_validate(PLAN | sections)
    panel = everyone.keep(everyone.firms.index[everyone.firms["arm"] != "indirect"], "pool", "indirect")
    with collected():
        sample = match_controls(panel, study)
    return panel, sample, study


@pytest.fixture(scope="module")
def clean():
    everyone = made()
    panel, sample, study = compare(everyone)
    return everyone, panel, sample, study, contamination_rows(panel, everyone, sample, study, study.outcomes[0])


def test_each_row_is_the_headline_without_those_controls(clean):
    everyone, panel, sample, study, table = clean
    assert table.columns.tolist() == COLUMNS and table["row"].tolist() == ROWS
    rows = table.set_index("row")
    firms = panel.firms
    never = np.isinf(firms["cohort"])
    took = firms["arm"] == "beneficiary"
    clustered = firms.loc[took & firms["business_cluster"].notna(), "municipality"]
    leave = {
        "headline": never & False,
        "without_other_programmes": never & firms["other_programme"],
        "without_cluster_municipalities": never & firms["municipality"].isin(clustered),
        "without_municipalities": never & firms["municipality"].isin(firms.loc[took, "municipality"]),
    }
    for name, gone in leave.items():
        with collected():
            cells = estimate(panel.keep(firms.index[~gone], "test", "gone"), sample, study, study.outcomes[0])
            expected = at_reference(cells, 2005)
        assert rows.at[name, "n_left"] == gone.sum() and rows.at[name, "note"] == ""
        for column in ("estimate", "std_error", "p_value", "n_control"):
            assert rows.at[name, column] == pytest.approx(expected[column], abs=1e-12), (name, column)
    n_left = rows["n_left"]
    assert 0 < n_left["without_other_programmes"] < n_left["without_cluster_municipalities"] < n_left["without_municipalities"]
    reached = (everyone.firms["arm"] == "indirect").sum()
    assert n_left["indirect_as_controls"] == -reached and rows.at["indirect_effect", "n_treated"] <= reached


def test_without_spillover_nothing_moves(clean):
    rows = clean[-1].set_index("row")
    assert ((rows["estimate"] - rows.at["headline", "estimate"]).abs() < 0.03)[ROWS[:5]].all()
    assert (rows.loc[["ring_effect", "dense_effect", "indirect_effect"], "p_value"] > 0.01).all()


def test_spillover_is_seen_and_far_controls_put_it_right():
    everyone = made(spill=0.1)
    panel, sample, study = compare(everyone)
    rows = contamination_rows(panel, everyone, sample, study, study.outcomes[0]).set_index("row")
    assert rows.at["ring_effect", "estimate"] == pytest.approx(0.1, abs=0.03)
    assert rows.at["ring_effect", "p_value"] < 0.001
    assert rows.at["without_municipalities", "estimate"] == pytest.approx(0.2, abs=0.03)
    assert rows.at["headline", "estimate"] < 0.17
    assert rows.at["indirect_as_controls", "estimate"] < rows.at["headline", "estimate"]


def test_dense_places_are_those_above_the_median_control(clean):
    everyone, panel, *_, table = clean
    share = (everyone.firms["arm"] == "beneficiary").groupby(everyone.firms["municipality"]).mean()
    controls = panel.firms[np.isinf(panel.firms["cohort"])]
    mine = controls["municipality"].map(share)
    assert table.set_index("row").at["without_dense_municipalities", "n_left"] == (mine > mine.median()).sum() > 0


def test_a_row_that_cannot_be_made_says_why():
    everyone = made()
    bare = Panel(everyone.firms[["cohort", "arm", "ln_workers"]], everyone.outcomes)
    panel, sample, study = compare(bare)
    rows = contamination_rows(panel, bare, sample, study, study.outcomes[0]).set_index("row")
    assert rows["note"].tolist()[:7] == [
        "",
        "no column other_programme",
        "no column business_cluster",
        "no column municipality",
        "no column municipality",
        "no column municipality",
        "no column municipality",
    ]
    assert rows["estimate"].notna().tolist() == [True] + [False] * 6 + [True] * 2
    assert rows.loc[rows["estimate"].isna(), "n_left"].isna().all()


def test_too_few_controls_left_is_no_estimate():
    everyone = made()
    one_place = Panel(everyone.firms.assign(municipality="León"), everyone.outcomes)
    panel, sample, study = compare(one_place)
    rows = contamination_rows(panel, one_place, sample, study, study.outcomes[0]).set_index("row")
    assert rows.at["without_municipalities", "note"] == "0 of 120 controls would stay"
    assert rows.at["without_municipalities", "n_left"] == 120 and np.isnan(rows.at["without_municipalities", "estimate"])
    assert rows.at["without_dense_municipalities", "n_left"] == 0  # no place is denser than the only one
    assert rows.at["ring_effect", "note"] != ""


def test_a_poisson_outcome_has_no_rows_among_the_untreated():
    everyone = made()
    levels = Panel(everyone.firms, np.exp(everyone.outcomes))
    outcome = {"id": "ln_sales", "measure": "sales", "scale": "poisson", "label": {"en": "Sales"}}
    panel, sample, study = compare(levels, outcomes=[outcome])
    rows = contamination_rows(panel, levels, sample, study, study.outcomes[0]).set_index("row")
    assert rows["note"].tolist()[5:] == ["not for a Poisson outcome"] * 4 and rows["estimate"].iloc[:5].notna().all()


def test_a_match_without_scores_takes_the_whole_pool(clean):
    """Exact matching fits no propensity score: there is no common support to keep to, and the rows are made all the same."""
    everyone, panel, sample, study, _ = clean
    bare = replace(sample, scores=sample.scores.iloc[:0])
    table = contamination_rows(panel, everyone, bare, study.model_copy(update={"headline": "matched"}), study.outcomes[0])
    rows = table.set_index("row").loc[["headline", "indirect_effect"]]
    assert rows["estimate"].notna().all() and (rows["note"] == "").all()
