"""The specification curve on a small panel: its headline row, what it keeps and repeats, and its summary by hand."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval import NEVER, Panel
from pipeval.did.aggregate import aggregate
from pipeval.did.estimate import at_reference, estimate
from pipeval.errors import DesignError, collected
from pipeval.matching.match import match
from pipeval.robustness import curve
from pipeval.robustness.curve import Choice, choices, curve_summary, headline_choice, specification_curve
from pipeval.study.specs import Outcome, Study

YEAR = 2006
NUMBERS = ["estimate", "std_error", "p_value", "conf_low", "conf_high", "n_treated", "n_control"]


def made(seed: int = 1, n: int = 100, unseen: float = 0.0) -> Panel:
    """Years 2001 to 2006, a third of the firms treated from 2004 or 2005 with effect 0.3; some answers are missing."""
    rng = np.random.default_rng(seed)
    ids, years = pd.Index([f"f{i:03d}" for i in range(n)], name="firm_id"), np.arange(2001, 2007)
    cohort = rng.permutation(np.repeat([2004.0, 2005.0, NEVER], [n // 5, n // 8, n - n // 5 - n // 8]))
    y = rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, 6)) + 0.3 * (cohort[:, None] <= years)
    index = pd.MultiIndex.from_product([ids, years], names=["firm_id", "period"])
    outcomes = pd.DataFrame({"y": y.ravel()}, index)[rng.random(6 * n) >= unseen]
    size = rng.normal(size=n)
    branch = rng.choice(["a", "b"], n)
    firms = pd.DataFrame(
        {"cohort": cohort, "size": size, "branch": branch, "size_class": np.where(size > 0, "large", "small")}, ids
    )
    return Panel(firms, outcomes)


def setting(small, panel: Panel, did=None, **changes):
    """Panel, sample, study and outcome, ready for `specification_curve`."""
    study: Study = small.read()
    outcome = Outcome(id="y", measure="sales", scale="level", label={}, relevant_effect=0.3)
    spec = study.match.model_copy(update={"covariates": ("size",), "exact": (), "caliper": None})
    treatment = study.treatment.model_copy(update={"reference_year": YEAR})
    choices = study.did.changed({"method": "reg", "covariates": ("size",)} | (did or {}))
    study = study.model_copy(update={"outcomes": (outcome,), "treatment": treatment, "match": spec, "did": choices} | changes)
    with collected():
        return panel, match(panel.firms, spec, until=YEAR), study, outcome


@pytest.fixture
def few(monkeypatch):
    """One method on one set of firms and no match: the same paths in some twenty rows."""
    monkeypatch.setattr(curve, "METHODS", ("reg",))
    monkeypatch.setattr(curve, "WHOLE", ("common_support",))
    monkeypatch.setattr(curve, "MATCHES", ())


def numbers(row) -> np.ndarray:
    return row[NUMBERS].to_numpy(float)


STUDIES = [
    {},
    {"method": "dr"},
    {"covariates": ()},
    {"method": "imputation"},
    {"comparison": "never_treated"},
    {"lag": "ancova"},
    {"lag": "ancova", "method": "ipw", "covariates": ()},
    {"base": "varying"},
    {"sampling": "balanced"},
    {"sampling": "cross_sections"},
    {"anticipation": 1, "level": 0.9},
]


@pytest.mark.parametrize(
    ("did", "headline"),
    [(did, h) for did in STUDIES for h in ("common_support", "matched") if (did.get("method"), h) != ("imputation", "matched")],
    ids=str,
)
def test_the_headline_row_is_the_headline(small, did, headline):
    panel, sample, study, outcome = setting(small, made(unseen=0.06), did, headline=headline)
    with collected():
        wanted = at_reference(estimate(panel, sample, study, outcome), YEAR)
        row, influence = curve._estimated(panel, study, outcome, headline_choice(study, outcome), curve._Made({"own": sample}, {}))
    np.testing.assert_allclose(numbers(pd.Series(row)), numbers(wanted), rtol=0, atol=1e-12)
    groups = row["n_clusters"]
    if headline == "common_support":
        assert np.sqrt((influence**2).sum() * groups / (groups - 1)) == pytest.approx(row["std_error"], abs=1e-12)


def test_the_curve_holds_the_headline_once_and_is_sorted(small, monkeypatch):
    monkeypatch.setattr(curve, "METHODS", ("ipw",))
    monkeypatch.setattr(curve, "MATCHES", ("own",))
    panel, sample, study, outcome = setting(small, made(), {"method": "ipw"})
    table = specification_curve(panel, sample, study, outcome)
    with collected():
        wanted = at_reference(estimate(panel, sample, study, outcome), YEAR)
    main = table[table["headline"]]
    assert len(main) == 1 and main["note"].item() == "" and main["question"].item() == "same" and np.isnan(main["gap_p"].item())
    np.testing.assert_allclose(numbers(main.iloc[0]), numbers(wanted), rtol=0, atol=1e-12)
    near = table[(table["base"] == "one_earlier") & (table["design"] == "common_support") & (table["note"] == "")]
    near = near[(near["sample"] == "all") & (near["outliers"] == "kept") & (near["adjusted"] == "plan") & (near["method"] == "ipw")]
    with collected():
        cells = (estimate(panel, sample, study, outcome, spec=study.did.changed({"anticipation": k})) for k in (0, 1))
        one, other = (aggregate(c, "period") for c in cells)
    at = [np.flatnonzero(e.table["period"] == YEAR)[0] for e in (one, other)]
    gap = one.influence[:, at[0]] - other.influence[:, at[1]]  # the same firms in both
    values = [e.table["estimate"].iloc[k] for e, k in zip((one, other), at, strict=True)]
    assert near["estimate"].item() == pytest.approx(values[1], abs=1e-12)
    p_value = 2 * stats.norm.sf(abs(values[0] - values[1]) / np.sqrt((gap**2).sum()))
    assert near["gap_p"].item() == pytest.approx(p_value, abs=1e-9)
    assert table["estimate"].is_monotonic_increasing and table["row_key"].is_unique
    assert not table.duplicated(list(Choice._fields)).any()
    assert len(table) == len(choices(panel, study, outcome)) and (table["estimate"] - 0.3).abs().max() < 0.1
    other = table["lag"].eq("ancova") | table["sample"].eq("balanced")
    assert (table.loc[other, "question"] == "other").all() and (table.loc[~other, "question"] == "same").all()


def test_repeats_are_named_and_only_they(small, few):
    """No answer is missing, so the firms seen every year are all firms: each of those rows repeats one of the others."""
    panel, sample, study, outcome = setting(small, made())
    table = specification_curve(panel, sample, study, outcome)
    assert (table.loc[table["sample"] == "balanced", "note"] == "repeats").all()
    distinct = table[table["note"] == ""][["estimate", "std_error"]].round(10)
    assert not distinct.duplicated().any() and (table.loc[table["headline"], "note"] == "").all()
    repeated = table[table["note"] == "repeats"][["estimate", "std_error"]].round(10)
    assert repeated.merge(distinct).shape[0] == len(repeated)
    panel, sample, study, outcome = setting(small, made(unseen=0.05))
    table = specification_curve(panel, sample, study, outcome)
    assert (table.loc[table["sample"] == "balanced", "note"] != "repeats").any()


@pytest.mark.parametrize("workers", [1, 2])
def test_numbers_do_not_depend_on_workers(small, few, workers):
    chosen = setting(small, made(unseen=0.05))
    with ProcessPoolExecutor(workers) as pool:
        pd.testing.assert_frame_equal(specification_curve(*chosen, executor=pool), specification_curve(*chosen), check_exact=True)


def test_known_rows_are_not_made_again(small, few, monkeypatch, tmp_path):
    chosen = setting(small, made(unseen=0.05))
    whole = specification_curve(*chosen)
    whole.to_csv(tmp_path / "curve.csv", index=False, float_format="%.17g")
    made_again = []
    real = curve._estimated

    def counted(firms, study, outcome, choice, made):
        made_again.append(choice)
        return real(firms, study, outcome, choice, made)

    monkeypatch.setattr(curve, "_estimated", counted)
    for known in (whole, pd.read_csv(tmp_path / "curve.csv")):
        pd.testing.assert_frame_equal(specification_curve(*chosen, known=known), whole)
    assert made_again == []
    part = whole.drop(index=[3, 5, 8])
    again = specification_curve(*chosen, known=part)
    pd.testing.assert_frame_equal(again, whole)
    dropped = {tuple(whole.loc[k, list(Choice._fields)]) for k in (3, 5, 8)}
    assert {tuple(c) for c in made_again[1:]} == dropped and len(made_again) == 4  # and the headline, for the gaps
    made_again.clear()
    panel, sample, study, outcome = chosen
    later = Panel(panel.firms, panel.outcomes * 2)  # other data: nothing of it is known
    specification_curve(later, sample, study, outcome, known=whole)
    assert len(made_again) == len(whole) + 1


def test_a_row_that_fails_says_why_and_the_rest_stands(small, few):
    panel, sample, study, outcome = setting(small, made())
    unsized = Panel(panel.firms.drop(columns="size_class"), panel.outcomes)  # winsorising needs it
    table = specification_curve(unsized, sample, study, outcome)
    cut = table["outliers"] != "kept"
    assert table.loc[cut, "note"].str.contains("size_class").all() and table.loc[cut, "estimate"].isna().all()
    assert table.loc[~cut, "estimate"].notna().all()
    with pytest.raises(DesignError):
        late = study.model_copy(update={"treatment": study.treatment.model_copy(update={"reference_year": 2010})})
        specification_curve(panel, sample, late, outcome)


def test_prices_that_all_firms_share_add_no_row(small, few):
    panel, sample, study, outcome = setting(small, made())
    y = panel.outcomes["y"]
    period = y.index.get_level_values("period")
    shared, own = y - 0.1 * period, y - 0.01 * (period - 2001) * (y.index.get_level_values("firm_id") < "f050")
    base = specification_curve(panel, sample, study, outcome)
    pd.testing.assert_frame_equal(specification_curve(panel, sample, study, outcome, {"shared": shared}, known=base), base)
    both = specification_curve(panel, sample, study, outcome, {"shared": shared, "own": own})
    assert both["prices"].value_counts().to_dict() == {"constant": len(base), "own": len(base)}
    by_hand = Panel(panel.firms, panel.outcomes.assign(y=own))
    main = both[(both["prices"] == "own")]
    main = main[(main[list(Choice._fields[:8])] == list(headline_choice(study, outcome)[:8])).all(axis=1)].iloc[0]
    with collected():
        wanted = at_reference(estimate(by_hand, sample, study, outcome), YEAR)
    np.testing.assert_allclose(numbers(main), numbers(wanted), rtol=0, atol=1e-12)


def test_a_poisson_outcome_has_no_curve(small):
    panel, sample, study, outcome = setting(small, made())
    table = specification_curve(panel, sample, study, outcome.model_copy(update={"scale": "poisson"}))
    assert table.empty and {"estimate", "headline", "row_key", *Choice._fields} <= set(table)
    assert curve_summary({"y": table}).empty


def test_the_summary_by_hand():
    rows = [  # estimate, low, high, gap, question, headline, note
        (0.10, 0.02, 0.18, np.nan, "same", True, ""),
        (0.20, 0.10, 0.30, 0.01, "same", False, ""),
        (0.10, 0.02, 0.18, np.nan, "same", False, "repeats"),
        (-0.05, -0.09, -0.01, 0.20, "same", False, ""),  # clear, the other way
        (0.06, -0.01, 0.13, 0.60, "same", False, ""),  # not clear
        (0.90, 0.80, 1.00, 0.00, "other", False, ""),
        (np.nan, np.nan, np.nan, np.nan, "same", False, "failed"),
    ]
    table = pd.DataFrame(rows, columns=["estimate", "conf_low", "conf_high", "gap_p", "question", "headline", "note"])
    found = curve_summary({"y": table}).iloc[0]
    assert found[["outcome", "n_rows", "n_failed", "n_repeated", "n_same"]].tolist() == ["y", 7, 1, 1, 4]
    assert found[["estimate", "median", "low", "high"]].tolist() == pytest.approx([0.10, 0.08, -0.05, 0.20])
    assert found[["same_sign", "significant", "no_gap"]].tolist() == [0.75, 0.5, 0.75]
    assert curve_summary({"y": table.assign(headline=False)}).empty
