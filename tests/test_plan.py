"""The plan and its lock: what can be detected before outcomes are seen, what was locked, and every departure from it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy import stats

from pipeval import plan as planning
from pipeval.cli import main
from pipeval.errors import UsageError
from pipeval.plan import COLUMNS, _why_none, detectable_difference, detectable_targets, latest_year, plan
from pipeval.report import plan_page
from pipeval.report.plan_page import page, screen
from pipeval.report.text import languages, read_text
from pipeval.study.lock import (
    DEVIATIONS,
    _beside,
    _over,
    _shared,
    as_lock,
    deviations,
    joined,
    lock_hash,
    locked,
    plan_tables,
    read_lock,
    timing,
    write_lock,
)
from pipeval.study.logframe import LogFrame, read_logframe
from pipeval.study.params import read_study
from pipeval.study.specs import Outcome, Power

ROOT = Path(__file__).resolve().parents[1]
DAY = dt.date(2004, 6, 30)
NOTHING = pd.DataFrame(columns=list(COLUMNS))
SHIPPED = [ROOT / "params" / f"guanajuato_{stage}.yaml" for stage in ("midterm", "final", "expost")]
AGAIN = "the sample's plan is locked anew by `python tests/test_plan.py`"


@pytest.fixture(scope="module")
def final():
    return read_study(SHIPPED[1])


@pytest.fixture(scope="module")
def sample_plan(final):
    return plan(final)


@pytest.fixture
def lock(final, tmp_path):
    return write_lock(tmp_path / "x.lock.json", as_lock(locked(final, read_logframe("guanajuato"), NOTHING, 2003), DAY))


def changed(study, **sections):
    """The study with keys of its sections changed, proved again."""
    content = study.model_dump()
    for name, value in sections.items():
        content[name] = content[name] | value if isinstance(value, dict) else value
    return type(study)(**content, root=study.root)


def rows(table: pd.DataFrame) -> list[tuple]:
    table = table[["key", "locked", "used", "kind", "affects"]].astype(object)
    return list(table.where(table.notna(), None).itertuples(index=False, name=None))


# ── the hash and the file ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_hash_is_that_of_the_canonical_text():
    text = '{"a":[1,0.25,null,true],"b":{"c":"año","d":-2.5e-07}}'
    document = {"b": {"d": -2.5e-7, "c": "año"}, "a": [1, 0.25, None, True]}
    assert lock_hash(document) == hashlib.sha256(text.encode("utf-8")).hexdigest()
    assert lock_hash(document | {"sha256": "anything"}) == lock_hash(document)
    assert lock_hash({**document, "a": [1, 0.25, None, False]}) != lock_hash(document)
    with pytest.raises(ValueError, match="not JSON compliant"):
        lock_hash({"a": float("nan")})


def test_a_decision_is_a_number_or_none():
    """What is no number has no place in a plan, nor in its canonical text."""
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValidationError, match="finite number"):
            Outcome(id="a", measure="sales", label={"en": "x"}, relevant_effect=value)


def test_a_lock_is_read_as_it_was_written(lock, tmp_path):
    path = tmp_path / "x.lock.json"
    assert read_lock(path) == lock and read_lock("x.lock.json", tmp_path) == lock
    assert lock.locked_on == DAY and lock.replaces is None and b"\r" not in path.read_bytes()
    own = {"stage": "final", "as_of": "2007-03-31", "treatment": {"reference_year": 2006}}
    assert lock.studies["guanajuato_final"].decisions == own and lock.decisions["treatment"]["definition"] == "component2"
    mixed = dict(reversed(json.loads(path.read_text(encoding="utf-8")).items()))
    path.write_text(json.dumps(mixed, indent=7), encoding="utf-8")  # another layout of the same content
    assert read_lock(path) == lock
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(mixed, indent=1).replace("\n", "\r\n").encode())  # saved by another editor
    assert read_lock(path) == lock


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["decisions"]["logframe"]["G1"].update(target=0.05),
        lambda d: d["decisions"]["match"].update(caliper=0.5),
        lambda d: d.update(locked_on="2003-01-01"),
        lambda d: d["studies"]["guanajuato_final"].update(latest_year=2001),
        lambda d: d["decisions"].pop("money"),
    ],
)
def test_a_lock_edited_by_hand_is_refused(lock, tmp_path, edit):
    path = tmp_path / "x.lock.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    edit(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UsageError, match=r"x\.lock\.json was changed after it was locked .* Restore the file"):
        read_lock(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"format": NaN}', "NaN is no number"),
        ('{"format": 1, "format": 1}', "the key 'format' stands twice"),
        ("[]", "is not as `pipeval plan` writes it"),
        ('{"format": 2}', "format"),
        ('{"format": 1, "other": 3}', "sha256"),
        (b"\xff\xfe", "is not JSON"),
    ],
)
def test_what_is_no_lock_is_refused(tmp_path, content, said):
    path = tmp_path / "x.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=re.escape(said)):
        read_lock(path)


def test_a_lock_that_is_missing_or_outside(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the lock a\.json: No such file .* Write it with `pipeval plan`"):
        read_lock("a.json", tmp_path)
    with pytest.raises(UsageError, match="stay inside the study folder"):
        read_lock("../a.json", tmp_path)


# ── departures ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_departs_from_itself(lock, final):
    table = deviations(lock, final, read_logframe("guanajuato"))
    assert table.empty and tuple(table.columns) == DEVIATIONS


def test_folders_languages_and_names_are_no_departure(lock, final):
    other = changed(
        final,
        data={"folder": "elsewhere", "files": {"survey": "s.csv"}, "separator": ";", "decimal": ",", "encoding": "latin-1"},
        report={"languages": ("en",), "locales": {"en": "en_GB"}, "author": "A. N. Other"},
        programme={"name": {"en": "Another name"}, "place": {}, "executing_agency": "", "financier": "IDB"},
        outcomes=[o | {"label": {"en": "x"}} for o in final.model_dump()["outcomes"]],
        labels={"branch": {"footwear": {"en": "Shoes"}}},
        plan_lock="params/x.lock.json",
    )
    assert deviations(lock, other.model_copy(update={"root": Path("/")}), read_logframe("guanajuato")).empty


def test_each_departure_is_a_row(lock, final):
    logframe = read_logframe("guanajuato")
    other = changed(
        final, match={"caliper": 0.5}, money={"deflator": "ppi"}, did={"seed": 7}, power={"power": 0.9},
        queries=final.queries | {"heaped": "set_missing"}, cofinance=None, sensitivity={"subgroups": ()},
    )  # fmt: skip
    assert rows(deviations(lock, other, logframe)) == [
        ("money.deflator", "inpc", "ppi", "changed", "estimates"),
        ("match.caliper", "0.25", "0.5", "changed", "estimates"),
        ("did.seed", "20031121", "7", "changed", "estimates"),
        ("power.power", "0.8", "0.9", "changed", "verdicts"),
        ("sensitivity.subgroups", "branch, size_class, exp_status_baseline, owner_gender", "none", "changed", "checks"),
        ("cofinance", "cap_usd: 7500.0; end: 0.3; months: 36; start: 0.7; tolerance: 0.1", "none", "changed", "programme"),
        ("queries.heaped", None, "set_missing", "added", "estimates"),
    ]


def test_outcomes_that_go_or_come_are_one_row_each(lock, final):
    logframe, outcomes = read_logframe("guanajuato"), final.model_dump()["outcomes"]
    extra = {"id": "ln_pay", "measure": "payroll", "label": {"en": "Payroll"}}
    other = changed(final, outcomes=[*outcomes[1:-1], outcomes[-1] | {"untouched": False}, extra])
    found = {r[0]: r[1:] for r in rows(deviations(lock, other, logframe))}
    assert set(found) == {"outcomes.ln_sales", "outcomes.ln_pay", "outcomes.family_workers.untouched", "first_outcome"}
    assert found["outcomes.ln_sales"][1:] == (None, "removed", "estimates") and "measure: sales" in found["outcomes.ln_sales"][0]
    assert found["outcomes.ln_pay"][0] is None and found["outcomes.ln_pay"][2] == "added"
    assert found["outcomes.family_workers.untouched"] == ("true", "false", "changed", "checks")
    assert found["first_outcome"] == ("ln_sales", "ln_va_job", "changed", "checks")


def test_targets_of_the_log_frame(lock, final):
    logframe = read_logframe("guanajuato")
    edited = [
        i.model_copy(update={"target": 0.08, "text": {"es": "x", "en": "y"}}) if i.id == "G1" else i for i in logframe.indicators
    ]
    edited = [i.model_copy(update={"direction": "decrease"}) if i.id == "G3" else i for i in edited if i.id != "P1"]
    other = logframe.model_copy(update={"indicators": tuple(edited)})
    found = {r[0]: r[1:] for r in rows(deviations(lock, final, other))}
    assert set(found) == {"logframe.G1.target", "logframe.G3.direction", "logframe.P1"}
    assert found["logframe.G1.target"] == ("0.1", "0.08", "target_changed", "verdicts")
    assert found["logframe.G3.direction"][2] == "changed" and found["logframe.P1"][2] == "removed"


def test_links_of_the_chain_are_promises_too(lock, final):
    """Whoever could redraw the chain afterwards could make any result fit it."""
    logframe = read_logframe("guanajuato")
    first, second, *rest = logframe.links
    carried = second.model_copy(update={"activity_types": ("fair",), "text": {"es": "x", "en": "y"}})
    turned = first.model_copy(update={"source": first.target, "target": first.source})
    found = {r[0]: r[1:] for r in rows(deviations(lock, final, logframe.model_copy(update={"links": (turned, carried, *rest)})))}
    one, two = (f"logframe.links.{link.source} > {link.target}" for link in (first, second))
    assert set(found) == {one, two, f"logframe.links.{first.target} > {first.source}"}
    assert found[one][2] == "removed" and found[two] == (", ".join(sorted(second.activity_types)), "fair", "changed", "verdicts")


def test_a_key_unknown_on_the_day_is_no_departure_at_its_default(lock, final):
    decisions = json.loads(json.dumps(lock.decisions))
    del decisions["sensitivity"]["permutations"], decisions["opinions"]["fewest"], decisions["credibility"]
    older = lock.model_copy(update={"decisions": decisions})
    logframe = read_logframe("guanajuato")
    assert deviations(older, final, logframe).empty
    used = changed(final, sensitivity={"permutations": 499})
    assert rows(deviations(older, used, logframe))[0][0] == "sensitivity.permutations"
    later = lock.model_copy(update={"decisions": lock.decisions | {"gone": 1}})  # a key that the package no longer has
    assert rows(deviations(later, final, logframe))[0][0] == "gone" and deviations(later, final, logframe)["kind"].tolist() == [
        "removed"
    ]


def test_one_lock_serves_the_studies_of_one_programme(tmp_path):
    logframe, studies = read_logframe("guanajuato"), [read_study(p) for p in SHIPPED]
    content = joined([locked(s, logframe, NOTHING, 2003) for s in studies])
    lock = write_lock(tmp_path / "all.json", as_lock(content, DAY))
    assert {k: s.decisions for k, s in lock.studies.items()} == {
        s.study: {"stage": s.stage, "as_of": str(s.as_of), "treatment": {"reference_year": s.treatment.reference_year}}
        for s in studies
    }
    assert all(deviations(lock, s, logframe).empty for s in studies)
    later = changed(studies[1], treatment={"reference_year": 2007}, as_of="2008-03-31")
    assert deviations(lock, later, logframe)["key"].tolist() == ["as_of", "treatment.reference_year"]
    unplanned = studies[1].model_copy(update={"study": "another"})
    assert rows(deviations(lock, unplanned, logframe)) == [("study", None, "another", "added", "verdicts")]
    assert plan_tables(unplanned.model_copy(update={"plan_lock": "all.json", "root": tmp_path}), logframe)["plan_status"].loc[
        0, ["status", "timing"]
    ].tolist() == ["departed", "not_known"]


def test_what_is_shared_and_what_is_beside_make_the_whole():
    rng = np.random.default_rng(5)

    def tree(depth: int) -> dict:
        keys = rng.choice(list("abcdef"), size=rng.integers(0, 5), replace=False)
        return {str(k): tree(depth - 1) if depth and rng.random() < 0.5 else int(rng.integers(3)) for k in keys}

    for _ in range(300):
        every = [tree(3) for _ in range(int(rng.integers(1, 4)))]
        shared = _shared(every)
        assert all(_over(shared, _beside(t, shared)) == t for t in every)


# ── what the report is told ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("latest", "said"),
    [(None, "not_known"), (2003, "before_outcomes"), (2004, "early_outcomes"), (2005, "early_outcomes"), (2006, "after_outcomes")],
)
def test_timing(final, latest, said):
    assert timing(latest, final) == said


def test_the_tables_of_the_report(final, tmp_path):
    logframe = read_logframe("guanajuato")
    without = plan_tables(final.model_copy(update={"plan_lock": None}), logframe)
    row = without["plan_status"].iloc[0]
    assert (row["status"], row["timing"], row["n_deviations"]) == ("no_lock", "not_known", 0) and without["deviations"].empty
    made = write_lock(tmp_path / "p.json", as_lock(locked(final, logframe, NOTHING, 2006), DAY))
    here = final.model_copy(update={"plan_lock": "p.json", "root": tmp_path})
    row = plan_tables(here, logframe)["plan_status"].iloc[0]
    assert (row["status"], row["timing"], row["latest_year"]) == ("kept", "after_outcomes", 2006)
    assert row["sha256"] == made.sha256[:12] and row["locked_on"] == pd.Timestamp(DAY)
    used = changed(here, match={"caliper": 0.5}, power={"power": 0.9})
    tables = plan_tables(used, logframe)
    row = tables["plan_status"].iloc[0]
    assert (row["status"], row["n_deviations"], row["n_estimates"]) == ("departed", 2, 1)
    assert tables["plan_status"].dtypes.astype(str).to_dict() == without["plan_status"].dtypes.astype(str).to_dict()
    with pytest.raises(UsageError, match="cannot read the lock"):
        plan_tables(final.model_copy(update={"plan_lock": "params/absent.json"}), logframe)


# ── what can be detected ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("rate", "n1", "n0"), [(0.1, 100, 200), (0.0, 60, 60), (0.4, 30, 300), (0.85, 250, 120)])
def test_a_difference_of_shares_is_found_with_the_wanted_probability(rate, n1, n0):
    from statsmodels.stats.proportion import power_proportions_2indep

    d = detectable_difference(rate, n1, n0, Power(alpha=0.05, power=0.8))
    found = power_proportions_2indep(d, rate, nobs1=n1, ratio=n0 / n1, alpha=0.05, return_results=False)
    p1 = rate + d
    both = (n1 * p1 + n0 * rate) / (n1 + n0)
    own, null = np.sqrt(p1 * (1 - p1) / n1 + rate * (1 - rate) / n0), np.sqrt(both * (1 - both) * (1 / n1 + 1 / n0))
    other_side = stats.norm.cdf((-stats.norm.ppf(0.975) * null - d) / own)
    assert found - other_side == pytest.approx(0.8, abs=1e-6)


def test_a_difference_that_cannot_be_found_is_undefined():
    assert np.isnan(detectable_difference(0.5, 0, 10, Power())) and np.isnan(detectable_difference(0.5, 2, 2, Power()))
    assert np.isnan(detectable_difference(1.0, 50, 50, Power())) and np.isnan(detectable_difference(float("nan"), 50, 50, Power()))


def test_transitions_before_the_programme(final):
    indicator = read_logframe("guanajuato").indicator("P3")  # from none or indirect to direct
    status = pd.DataFrame(
        {
            2001: ["none"] * 4 + ["indirect"] * 4 + ["direct", None],
            2003: ["direct", "none", "indirect", None, "direct", *["none"] * 5],
        },
        index=[f"F{k}" for k in range(10)],
    )
    # seven firms could change and are known at both ends; two did, in two years; three years ahead: 1 − (5/7)^1.5
    rate = planning._rate_before(status, indicator, (2003, 3), [*status.index, "F0"], final)
    assert rate == pytest.approx(1 - (5 / 7) ** 1.5, abs=1e-12)
    assert np.isnan(planning._rate_before(status[[2003]], indicator, (2003, 3), list(status.index), final))
    assert np.isnan(planning._rate_before(status, indicator, (2003, 3), ["F8"], final))


def power_rows(**by_outcome) -> pd.DataFrame:
    """Rows as `detectable_table` has them: (scale, mde as a share, source)."""
    return pd.DataFrame(
        [
            {"outcome": k, "scale": s, "horizon": 3, "sd_change": 0.4, "source": source, "n_treated": n, "n_control": 2.0 * n}
            | {"mde_share": m}
            for k, (s, m, source, n) in by_outcome.items()
        ]
    )


def test_targets_against_what_can_be_detected(final):
    logframe = read_logframe("guanajuato")
    kept = ("G1", "G2", "G3", "G4", "P1", "P2", "P3", "P4", "P5", "C2.6r")
    logframe = LogFrame(**(logframe.model_dump() | {"indicators": [logframe.indicator(k).model_dump() for k in kept], "links": ()}))
    power = power_rows(
        ln_sales=("log", 0.09, "observed", 100.0), ln_va_job=("log", 0.07, "observed", 50.0),
        ln_price=("log", np.nan, "none", 40.0),
        export_value_direct=("poisson", np.nan, "placebo", 0.0),
    )  # fmt: skip
    counts = {
        "P3": {"n_treated": 100, "n_control": 200, "rate": 0.1, "horizon": 3},
        "P4": {"n_treated": 100, "n_control": 200, "rate": float("nan"), "horizon": 3},
    }
    table = detectable_targets(logframe, final, power, counts).set_index("indicator")
    assert tuple(table.index) == kept
    said = {"G1": ("yes", ""), "G2": ("no", ""), "G3": ("not_computable", "no_years_before"), "G4": ("not_computable", "parts")}
    said |= {"P1": ("not_computable", "no_firms"), "P2": ("not_computable", "no_outcome"), "P3": ("yes", "")}
    said |= {
        "P4": ("not_computable", "no_years_before"),
        "P5": ("not_compared", "documented"),
        "C2.6r": ("not_compared", "no_comparison"),
    }
    assert {k: (r["detectable"], r["reason"]) for k, r in table.iterrows()} == said
    assert table.loc["P3", "mde"] == pytest.approx(100 * detectable_difference(0.1, 100, 200, final.power))
    # Bloom's formula solved for n at ln 1.05, sd 0.4 and two controls each: close to (z₁ + z₂)² sd² (1 + ½) / ln² 1.05
    rough = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2 * 0.16 * 1.5 / np.log(1.05) ** 2
    assert table.loc["G2", "n_needed"] == pytest.approx(rough, rel=0.01)
    assert table.loc["G2", "n_needed_control"] == 2 * table.loc["G2", "n_needed"]
    n = table.loc["P3", "n_needed"]
    assert detectable_difference(0.1, n, 2 * n, final.power) <= 0.3 < detectable_difference(0.1, n - 1, 2 * (n - 1), final.power)
    assert "infeasible" in table.loc["P4", "remarks"].split(";") and "infeasible" not in table.loc["P3", "remarks"]
    assert table.loc["G4", "remarks"].split(";") == ["due_after", "read_all"]
    assert {"due_after", "treated_are_fewer"} <= set(table.loc["G1", "remarks"].split(";"))


def test_the_joint_row_is_as_detectable_as_its_parts(final):
    logframe = read_logframe("guanajuato")
    for mde, said in ((0.04, "yes"), (0.06, "no")):
        power = power_rows(
            **{k: ("log", m, "observed", 90.0) for k, m in (("ln_sales", 0.05), ("ln_va_job", 0.04), ("ln_price", mde))}
        )
        table = detectable_targets(logframe, final, power).set_index("indicator")
        assert table.loc["G4", "detectable"] == said and table.loc["P3", "reason"] == "no_years_before"


def test_a_row_reached_when_others_are(final):
    base = read_logframe("guanajuato").model_dump()
    own = {"id": "X1", "level": "goal", "kind": "joint", "text": {"es": "x", "en": "x"}, "target": None, "unit": ""}
    for of, said in (
        (["G1", "P5"], ("not_computable", "parts")),
        (["P5", "C1.1"], ("not_compared", "no_comparison")),
        (["G1"], ("yes", "")),
    ):
        logframe = LogFrame(**(base | {"indicators": [*base["indicators"], own | {"of": of}]}))
        table = detectable_targets(logframe, final, power_rows(ln_sales=("log", 0.05, "observed", 90.0))).set_index("indicator")
        assert tuple(table.loc["X1", ["detectable", "reason"]]) == said


def test_a_midterm_says_that_goals_get_no_verdict():
    study = read_study(SHIPPED[0])
    table = detectable_targets(read_logframe("guanajuato"), study, power_rows(ln_sales=("log", 0.05, "observed", 9.0)))
    assert "early_no_verdict" in table.set_index("indicator").loc["G1", "remarks"].split(";")


# ── on the sample ────────────────────────────────────────────────────────────────────────────────────────────────────


def spoilt(folder: Path, target: Path, base: int) -> Path:
    """The sample with other answers after the base year: exchanged between firms, multiplied, or gone; other closings."""
    rng = np.random.default_rng(11)
    shutil.copytree(folder, target)
    for name, year in (("survey", "ref_year"), ("product_sales", "ref_year"), ("customs", "year")):
        table = pd.read_csv(target / f"{name}.csv", dtype=str)
        later = table[year].astype(int) > base
        numbers = [c for c in table if c.endswith("kmxn") or c in ("workers_paid", "quantity", "export_direct_usd", "fob_usd")]
        mixed = table.loc[later].sample(frac=1, random_state=3)
        table.loc[later, numbers] = mixed[numbers].to_numpy()
        gone = table.index[later][rng.random(int(later.sum())) < 0.3]
        table.drop(gone).to_csv(target / f"{name}.csv", index=False)
    firms = pd.read_csv(target / "enterprises.csv", dtype=str)
    firms["closed_on"] = firms["closed_on"].where(firms["closed_on"].str[:4].fillna("0").astype(int) <= base, "2005-02-01")
    firms.to_csv(target / "enterprises.csv", index=False)
    return target


def test_the_plan_reads_nothing_after_the_base_year(final, sample_plan, tmp_path):
    base = final.baseline.year
    folder = spoilt(Path(final.data.folder), tmp_path / "data", base)
    other = plan(read_study(SHIPPED[1], folder))
    for name, table in sample_plan.tables.items():
        assert table.to_csv() == other[name].to_csv(), name
    first, second = ({**p.content()["studies"]["guanajuato_final"], "latest_year": 0} for p in (sample_plan, other))
    assert json.dumps(first) == json.dumps(second) and [str(n) for n in sample_plan.notes] == [str(n) for n in other.notes]
    assert sample_plan.latest_year == 2008


def test_the_latest_year_is_that_of_any_file_of_firms():
    none = pd.DataFrame({"firm_id": ["a"], "ref_year": [2003]})
    frames = {"survey": none, "customs": pd.DataFrame({"firm_id": ["a"], "year": [2006]}), "series": pd.DataFrame({"year": [2020]})}
    assert latest_year(SimpleNamespace(frames=frames)) == 2006  # exports are an outcome, whoever tells of them
    assert latest_year(SimpleNamespace(frames={"survey": none.iloc[:0], "series": frames["series"]})) is None


def test_the_plan_of_the_sample(final, sample_plan, road):
    table = sample_plan["plan_detectable"]
    assert tuple(table.columns) == COLUMNS and table["indicator"].tolist() == [i.id for i in sample_plan.logframe.indicators]
    verdicts = road["judged"]["verdicts"].set_index("id")["relevant_effect"]
    ours = table.set_index("indicator")["relevant_effect"]
    assert ours.drop("G4").equals(verdicts.drop("G4")) or (ours - verdicts).drop("G4").abs().max() < 1e-12
    power = sample_plan["power"].set_index("outcome")["mde_share"]
    told = table[table["outcome"].isin(power.index) & (table["detectable"] != "not_computable")]
    assert len(told) >= 5 and told["mde"].to_numpy() == pytest.approx(power[told["outcome"]].to_numpy())
    assert ((told["mde"] <= told["relevant_effect"]) == (told["detectable"] == "yes")).all()
    assert table.set_index("indicator").loc["P4", "remarks"].split(";")[-1] == "infeasible"
    fails = sample_plan["logframe_lint"].query("result == 'fail'")
    assert ("P4", "feasibility") in set(zip(fails["indicator"], fails["check"]))


def test_the_sample_keeps_its_plan(final, sample_plan):
    logframe = read_logframe("guanajuato")
    for path in sorted((ROOT / "params").glob("guanajuato_*.yaml")):
        study = read_study(path)
        tables = plan_tables(study, logframe)
        assert tables["deviations"].empty, f"{tables['deviations']['key'].tolist()}; {AGAIN}"
        assert tables["plan_status"].loc[0, ["status", "timing"]].tolist() == ["kept", "before_outcomes"]
    lock = read_lock(final.plan_lock, final.root)
    planned = sample_plan.content()["studies"]["guanajuato_final"]["detectable"]
    assert [r["indicator"] for r in planned] == [r["indicator"] for r in lock.studies["guanajuato_final"].detectable], AGAIN
    for ours, theirs in zip(planned, lock.studies["guanajuato_final"].detectable, strict=True):
        for key, value in ours.items():
            assert theirs[key] == (pytest.approx(value, rel=2e-4) if isinstance(value, float) else value), (key, AGAIN)


@pytest.mark.parametrize("language", languages())
def test_the_plan_on_screen_and_on_paper(sample_plan, language):
    text = read_text(language)
    lines = screen(sample_plan, text)
    first = next(line for line in lines if line.startswith("  G1 "))
    pattern = {
        "es": r"  G1 +Ventas reales +meta 10\.0\s%; +esta muestra puede detectar \d+\.\d\s%: +(sí|no)",
        "en": r"  G1 +Real sales +target 10\.0%; +this sample can detect \d+\.\d%: +(yes|no)",
        "pt": r"  G1 +Vendas reais +meta 10,0%; +esta amostra pode detectar \d+,\d%: +(sim|não)",
    }
    assert re.fullmatch(pattern[language], first)
    compared = [line for line in lines if re.match(r"  [GP]\d ", line)]
    ends = {re.search(r"(?<=\s)(sí|yes|no|sim|não)(;.*)?$", line).start() for line in compared}
    assert len(ends) == 1, "verdicts stand below one another"
    made = as_lock(joined([sample_plan.content()]), DAY)
    written = page(sample_plan, made, text)
    assert made.sha256 in written and "{" not in re.sub(r"\{[#.]", "", written)
    assert all(f"{i} " in written or f"{i}:" in written for i in ("G1", "G2", "G3", "G4", "P1", "P2", "P3", "P4"))
    assert "2008" in written  # the files held outcomes: said, not hidden


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def unprinted(monkeypatch):
    """The page as it was written: tests of the command need not wait for Word."""

    def keep(markdown, stem, day, text):
        target = stem.with_name(f"{stem.name}.md")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(markdown, encoding="utf-8")
        return [target]

    monkeypatch.setattr(plan_page, "save_page", keep)


def run(small, *extra: str) -> int:
    return main(["plan", str(small.params), "--out", str(small.root / "out"), "--on", "2004-06-30", *extra])


def test_the_command_writes_a_plan(small, capsys):
    assert run(small) == 0
    said = capsys.readouterr().out
    assert re.search(r"G1 +Sales +target 10\.0%; +this sample can detect .*: +(yes|no)", said) or "cannot be computed" in said
    out = small.root / "out"
    assert sorted(p.name for p in out.iterdir()) == ["small.plan.docx", "small.plan.json", "small.plan.md"]
    lock = read_lock(out / "small.plan.json")
    assert lock.locked_on == DAY and lock.sha256 in said and lock.studies["small"].latest_year == 2005
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    shutil.rmtree(out)
    assert run(small) == 0 and {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert lock.sha256 in (out / "small.plan.md").read_text(encoding="utf-8")


def test_a_plan_is_not_written_over_in_silence(small, capsys, unprinted):
    assert run(small) == 0
    path = small.root / "out" / "small.plan.json"
    first, bytes_before = read_lock(path), path.read_bytes()
    assert run(small, "--on", "2004-07-01") == 0  # the same plan: left alone, whatever the day
    assert path.read_bytes() == bytes_before and "stands as it was locked" in capsys.readouterr().out
    small.planned(match={"covariates": ["ln_workers"], "caliper": 0.3})
    assert run(small) == 2
    said = capsys.readouterr().err
    assert "match.caliper" in said and "--force" in said and "Traceback" not in said and path.read_bytes() == bytes_before
    assert run(small, "--force", "--on", "2004-08-01") == 0
    second = read_lock(path)
    assert second.replaces.sha256 == first.sha256 and second.replaces.locked_on == first.locked_on
    assert first.sha256 in (small.root / "out" / "small.plan.md").read_text(encoding="utf-8")


def test_other_years_in_the_files_are_another_plan(small, capsys, unprinted):
    assert run(small) == 0
    small.tables["survey"] = small.tables["survey"].query("ref_year < 2005")
    small.save()
    assert run(small) == 2 and "its decisions are the same" in capsys.readouterr().err


def test_the_lock_of_the_params_is_the_default_place(small, unprinted):
    small.planned(plan_lock="params/small.lock.json")
    assert run(small) == 0 and (small.root / "params" / "small.lock.json").exists()
    study = small.read()
    tables = plan_tables(study, read_logframe(study.logframe))
    assert tables["plan_status"].loc[0, ["status", "timing"]].tolist() == ["kept", "after_outcomes"]
    small.planned(plan_lock="params/other.json")
    assert run(small, "--lock", str(small.root / "third.json")) == 0 and (small.root / "third.json").exists()


def test_plans_of_several_studies_share_a_lock(small, capsys, unprinted):
    later = small.root / "params" / "later.yaml"
    later.write_text("extends: small.yaml\nstudy: later\ntreatment: {reference_year: 2004}\n", encoding="utf-8")
    assert main(["plan", str(small.params), str(later), "--out", str(small.root / "out"), "--on", "2004-06-30"]) == 0
    lock = read_lock(small.root / "out" / "small.plan.json")
    assert sorted(lock.studies) == ["later", "small"] and lock.studies["later"].decisions["treatment"] == {"reference_year": 2004}
    capsys.readouterr()
    assert main(["plan", str(small.params), str(small.params), "--out", str(small.root / "out")]) == 2
    assert "each study stands once" in capsys.readouterr().err


def test_a_language_of_ones_own(small, capsys, unprinted):
    assert run(small, "--language", "es") == 0
    assert "meta 10.0" in capsys.readouterr().out
    assert (small.root / "out" / "small.plan.md").read_text(encoding="utf-8").startswith("# Plan de análisis previo")


@pytest.mark.parametrize("extra", [["--on", "30/06/2004"], ["--language", "fr"]])
def test_wrong_options(small, capsys, extra):
    with pytest.raises(SystemExit) as stopped:
        run(small, *extra)
    assert stopped.value.code == 2 and "usage: pipeval plan" in capsys.readouterr().err


def test_errors_are_one_message(small, capsys, tmp_path):
    assert main(["plan", str(tmp_path / "absent.yaml")]) == 2
    assert run(small, "--lock", str(small.params)) == 2  # a file that is no lock
    assert run(small, "--data", str(tmp_path / "nowhere")) == 10
    small.cell("enterprises", 0, "arm", "nobody")
    assert run(small) == 10
    small.tables["enterprises"]["arm"] = "nonparticipant"
    small.tables["enterprises"]["entry_year"] = None
    small.save()
    assert run(small) == 11
    said = capsys.readouterr().err
    assert "Traceback" not in said and said.count("pipeval: ") == 5


def test_blocking_faults_after_the_base_year_do_not_stop_a_plan(small, unprinted):
    row = small.tables["survey"].query("ref_year == 2005").index[0]
    assert small.cell("survey", row, "workers_paid", "many").check() == 10
    assert run(small) == 0


def test_the_sample_as_it_stood_when_its_plan_was_locked(tmp_path):
    folder = as_of_the_base_year(tmp_path / "data")
    survey = pd.read_csv(folder / "survey.csv", dtype=str)
    assert survey["ref_year"].max() == "2003" and len(survey) > 1000


# ── the words ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("language", languages())
def test_a_plan_claims_nothing(language):
    said = {k: v for k, v in read_text(language).entries.items() if k.startswith("plan.")}
    assert len(said) > 70 and not [
        k for k, v in said.items() if re.search(r"\b[Ii]mpact|\b[Pp]rove|\b[Pp]rueba que|\b[Pp]rova que", v)
    ]


def test_a_label_missing_in_this_language_is_taken_from_english_else_from_the_first():
    outcome = Outcome(id="a", measure="sales", label={"fr": "Ventes", "en": "Sales"})
    assert plan_page._outcome(outcome, read_text("es")).startswith("Sales (")
    assert plan_page._outcome(outcome.model_copy(update={"label": {"fr": "Ventes"}}), read_text("es")).startswith("Ventes (")


def test_an_indicator_speaks_any_language_its_log_frame_gives(final):
    indicator = read_logframe("guanajuato").indicator("G4")
    made = SimpleNamespace(study=final, logframe=SimpleNamespace(indicator=lambda key: indicator))
    assert plan_page._name({"outcome": None, "indicator": "G4"}, made, read_text("en")) == "Better results on sales, producti…"
    only = indicator.model_copy(update={"text": {"fr": "Mieux que les autres"}})
    made.logframe.indicator = lambda key: only
    assert plan_page._name({"outcome": None, "indicator": "G4"}, made, read_text("en")) == "Mieux que les autres"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "few_clusters"),
        ({"design_effect": 1.0, "clusters": 2.0}, "few_clusters"),
        ({"design_effect": 1.0, "clusters": np.nan}, "not_computable"),  # firms vary, and too few are left
        ({"sd_change": np.nan}, "no_variation"),
        ({"sd_change": np.nan, "source": "none"}, "no_years_before"),
        ({"source": "placebo"}, "few_clusters"),  # the placebo could be made: years before are not what is wanting
        ({"sd_change": np.nan, "source": "placebo"}, "not_computable"),
        ({"n_control": 0}, "no_firms"),
    ],
)
def test_a_target_that_has_no_answer_says_the_true_reason(changes, reason):
    power = {"n_treated": 5, "n_control": 5, "sd_change": 0.3, "source": "observed", "design_effect": np.nan, "clusters": 1.0}
    assert _why_none(power | changes) == reason


def test_every_code_has_words():
    codes = {
        "reason": (
            "no_years_before",
            "no_firms",
            "no_variation",
            "few_clusters",
            "no_target",
            "no_outcome",
            "too_few_firms",
            "parts",
            "not_computable",
        ),
        "remark": (
            "due_after",
            "no_due_date",
            "population_open",
            "direction_assumed",
            "treated_are_fewer",
            "early_no_verdict",
            "infeasible",
            "read_all",
            "read_each",
        ),
        "timing": ("before_outcomes", "early_outcomes", "after_outcomes", "not_known"),
        "detectable": ("yes", "no", "not_computable", "not_compared"),
        "fate": ("keep", "set_missing", "drop_firm"),
    }
    for language in languages():
        text = read_text(language)
        assert all(text.has(f"plan.{group}.{code}") for group, found in codes.items() for code in found)
    with pytest.raises(UsageError):
        read_text("fr")


def as_of_the_base_year(target: Path) -> Path:
    """The sample's files as they stood when its plan was locked: no answers of later years."""
    shutil.copytree(ROOT / "data" / "sample", target)
    for name, year in (("survey", "ref_year"), ("product_sales", "ref_year"), ("customs", "year")):
        table = pd.read_csv(target / f"{name}.csv", dtype=str, keep_default_na=False)
        table[table[year].astype(int) <= 2003].to_csv(target / f"{name}.csv", index=False)
    return target


def lock_the_sample() -> int:
    """Write params/guanajuato.lock.json anew, after a change of the sample's params, log frame or files."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = as_of_the_base_year(Path(scratch) / "data")
        studies = [str(p) for p in sorted((ROOT / "params").glob("guanajuato_*.yaml"))]
        lock = ROOT / "params" / "guanajuato.lock.json"
        lock.unlink(missing_ok=True)
        return main(["plan", *studies, "--lock", str(lock), "--data", str(folder), "--out", scratch, "--on", DAY.isoformat()])


if __name__ == "__main__":
    raise SystemExit(lock_the_sample())
