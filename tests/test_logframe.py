"""Log frames and the calendar: what is read, what is refused, and when things fall due."""

from __future__ import annotations

import copy
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeval.data.contract import TABLES
from pipeval.errors import UsageError
from pipeval.study.calendar import add_months, due_dates, indicator_due
from pipeval.study.lint import CHECKS, DETAILS, lint
from pipeval.study.logframe import LogFrame, read_logframe, shipped_logframes
from pipeval.study.specs import Calendar, Study
from pipeval.verdicts.inputs import column_of
from pipeval.verdicts.remarks import REMARKS

CALENDAR = Calendar(project_start=date(2003, 7, 1), first_disbursement=date(2003, 7, 1))

MINIMAL = {
    "id": "small",
    "title": {"es": "Pequeño", "en": "Small"},
    "goal": {"es": "Fin", "en": "Goal"},
    "purpose": {"es": "Propósito", "en": "Purpose"},
    "sources": {"survey": {"es": "Encuesta", "en": "Survey"}},
    "indicators": [
        {"id": "G1", "level": "goal", "text": {"es": "Ventas", "en": "Sales"}, "kind": "growth", "measure": "sales", "target": 0.1}
    ],
}


def written(folder: Path, **changes) -> Path:
    path = folder / "frame.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | changes, allow_unicode=True), encoding="utf-8")
    return path


def with_indicator(**changes) -> list[dict]:
    return [copy.deepcopy(MINIMAL["indicators"][0]) | changes]


# ---- the shipped log frames


def test_every_indicator_of_the_programme_is_encoded():
    ids = [i.id for i in read_logframe("guanajuato").indicators if not i.derived]
    expected = "G1 G2 G3 G4 P1 P2 P3 P4 P5 C1.1 C1.2 C1.3 C2.1 C2.2 C2.3 C2.4 C2.5 C2.6 C3.1 C3.2 C3.3 C4.1 C4.2"
    assert " ".join(ids) == expected
    implied = [i.id for i in read_logframe("guanajuato").indicators if i.derived]
    assert " ".join(implied) == "C1.1p C2.1s C2.6r C2.5t C2.5m C2.6e C2.7j C2.7x E1 E2"


def test_every_indicator_of_the_generic_log_frame_is_encoded():
    ids = [i.id for i in read_logframe("dini").indicators if not i.derived]
    expected = "P1 P2 P3 C1.1 C1.2 C1.3 C1.4 C1.5 C2.1 C2.2 C2.3 C2.4 C2.5 C2.6 C2.7 C3.1 C3.2 C3.3 C3.4 C4.1 C4.2 C4.3"
    assert " ".join(ids) == expected
    assert [i.id for i in read_logframe("dini").indicators if i.derived] == ["C2.6a", "C2.6b", "C2.8", "C2.9"]


def test_the_shifted_row_of_the_generic_log_frame_is_read_as_printed():
    """2.4 information systems, 2.5 training in environment and safety, 2.6 productivity and costs, 2.7 seal of quality."""
    frame = read_logframe("dini")
    both = frame.indicator("C2.6")
    assert (both.kind, both.of) == ("joint", ("C2.6a", "C2.6b"))
    parts = [frame.indicator(key) for key in both.of]
    assert [(p.measure, p.target, p.direction) for p in parts] == [
        ("value_added", 0.10, "increase"),
        ("unit_cost_index", 0.05, "decrease"),
    ]
    assert frame.indicator("C2.4").target == 2 and frame.indicator("C2.5").where["subject"] == ("environment", "osh")
    assert frame.indicator("C2.7").where == {"quality_seal": (True,)} and frame.indicator("C3.3").consecutive == 2
    persons = {key: frame.indicator(key) for key in ("C1.2", "C1.3")}
    assert {i.distinct for i in persons.values()} == {"person_key"}
    assert persons["C1.2"].where == {"kind": ("official",)} and "entrepreneur" in persons["C1.3"].where["kind"]


def test_productivity_is_tagged_as_the_principal_indicator():
    for name, key in (("guanajuato", "G2"), ("dini", "P2")):
        tagged = [i.id for i in read_logframe(name).indicators if "principal_indicator" in i.remarks]
        assert tagged == [key]


@pytest.mark.parametrize(
    ("key", "target", "due", "strict"),
    [
        ("G1", 0.10, date(2008, 7, 1), True),
        ("G2", 0.05, date(2008, 7, 1), True),
        ("G3", 0.05, date(2008, 7, 1), True),
        ("P1", 0.05, date(2006, 7, 1), False),
        ("P2", 0.10, date(2006, 7, 1), False),
        ("P3", 30, date(2006, 7, 1), False),
        ("P4", 200, date(2006, 7, 1), False),
        ("C1.1", 20, date(2004, 1, 1), False),
        ("C2.2", 60, date(2006, 7, 1), False),
        ("C3.1", None, date(2004, 7, 1), False),
        ("C3.3", None, date(2003, 11, 1), False),
        ("C4.1", 2, date(2005, 7, 31), False),
        ("C4.2", 4, date(2006, 7, 31), False),
    ],
)
def test_targets_and_due_dates_of_the_programme(key, target, due, strict):
    row = read_logframe("guanajuato").indicator(key)
    assert (row.target, indicator_due(row, CALENDAR), row.strict) == (target, due, strict)


@pytest.mark.parametrize("name", ["guanajuato", "dini", "jobtraining"])
def test_shipped_log_frames_use_known_tables_columns_and_remarks(name):
    frame = read_logframe(name)
    firms = TABLES["enterprises"].named("MXN")
    for row in frame.indicators:
        assert set(row.remarks) <= set(REMARKS), row.id
        assert set(row.needs) <= set(TABLES), row.id
        assert set(row.population) <= set(firms), row.id
        if row.table:
            columns = set(TABLES[row.table].named("MXN"))
            used = {*row.where, *row.filled, row.dated, row.distinct, *(c for w in row.where_all for c in w)} - {None}
            assert used <= columns, row.id
            assert {row.by} - {None} <= columns | set(firms), row.id  # a count of firms may be told apart by what they are
            empty = pd.DataFrame(columns=sorted(columns))
            assert {column_of(empty, c) for c in (row.measure, row.per) if c} <= columns, row.id
            for where in (row.where, *row.where_all):
                for column, codes in where.items():
                    known = TABLES[row.table].named("MXN")[column].codes
                    assert not known or set(codes) <= set(known), (row.id, column)
        assert row.sources and row.due and row.unit, row.id
        assert set(row.text) == {"es", "en", "pt"} and all(t.strip() for t in row.text.values()), row.id


def test_the_illustrative_thresholds_say_so():
    assert all("target_illustrative" in i.remarks for i in read_logframe("jobtraining").indicators)


def test_shipped_names():
    assert shipped_logframes() == ["dini", "guanajuato", "jobtraining"]
    with pytest.raises(UsageError, match="did you mean 'guanajuato'"):
        read_logframe("guanajuatto")


# ---- what is refused


def test_a_log_frame_of_the_users_own(tmp_path):
    assert read_logframe(written(tmp_path)).indicator("G1").measure == "sales"
    assert read_logframe("frame.yaml", root=tmp_path).id == "small"
    with pytest.raises(UsageError, match="leaves it"):
        read_logframe("../frame.yaml", root=tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indicators": with_indicator(tarjet=1)}, "G1.tarjet: unknown key; did you mean 'target'"),
        ({"indicators": with_indicator(due={"month": 3})}, "G1.due.month: unknown key; did you mean 'months'"),
        ({"indicatrs": []}, "indicatrs: unknown key; did you mean 'indicators'"),
        ({"indicators": with_indicator(kind="growht")}, "'growht' is not known; did you mean 'growth'"),
        ({"indicators": with_indicator(sources=["survy"])}, "did you mean 'survey'"),
        ({"indicators": with_indicator(due={"months": 3, "years": 1})}, "give one of date, months, years"),
        ({"indicators": with_indicator(measure=None)}, "kind growth needs a measure"),
        ({"indicators": with_indicator(kind="transition")}, "kind transition needs from and to"),
        ({"indicators": with_indicator(kind="difference", of=["G2"])}, "of names 'G2'"),
        ({"indicators": with_indicator(kind="joint")}, "kind joint needs of: [indicators]"),
        ({"indicators": with_indicator(kind="count", table="services", each_year=True)}, "name the date with 'dated'"),
        ({"indicators": with_indicator(text={})}, "G1.text: Dictionary should have at least 1 item"),
        ({"indicators": with_indicator(text={"Spanish": "Ventas"})}, "G1.text.Spanish"),
        ({"indicators": with_indicator(from_=["none"])}, "unknown key"),
        ({"indicators": with_indicator() + with_indicator(measure="jobs")}, "found G1 twice"),
        ({"indicators": []}, "at least 1 item"),
    ],
)
def test_faults_are_named_with_the_nearest_key(tmp_path, changes, message):
    with pytest.raises(UsageError) as caught:
        read_logframe(written(tmp_path, **changes))
    assert message in str(caught.value)


def test_a_repeated_key_is_refused(tmp_path):
    path = written(tmp_path)
    path.write_text(path.read_text(encoding="utf-8") + "\nid: twice\n", encoding="utf-8")
    with pytest.raises(UsageError, match="'id' stands twice"):
        read_logframe(path)


def test_an_unknown_indicator_names_the_nearest():
    with pytest.raises(UsageError, match=r"no indicator 'C2\.66'; did you mean 'C2\.6"):
        read_logframe("guanajuato").indicator("C2.66")


def test_a_log_frame_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        read_logframe("dini").indicators[0].target = 1


# ---- lint


def study(stage="final", as_of="2007-03-31", **changes) -> Study:
    base = {
        "study": "lint",
        "stage": stage,
        "as_of": as_of,
        "programme": {"id": "P", "name": {"en": "P"}},
        "data": {"folder": "data"},
        "calendar": CALENDAR.model_dump(),
        "baseline": {"year": 2003},
        "treatment": {"reference_year": 2006},
        "money": {"headline": "real", "deflator": "inpc", "base_year": 2003},
        "outcomes": [{"id": "ln_sales", "measure": "sales", "label": {"en": "Sales"}}],
        "match": {"covariates": ["x"]},
        "logframe": "guanajuato",
    }
    return Study(**(base | changes))


def found(rows: pd.DataFrame) -> dict:
    """What is not in order: (indicator, check) -> detail."""
    wrong = rows[rows["result"] != "ok"]
    return dict(zip(zip(wrong["indicator"], wrong["check"], strict=True), wrong["detail"], strict=True))


def test_lint_finds_the_infeasible_target_and_the_assumed_direction():
    rows = lint(read_logframe("guanajuato"), eligible_counts={"P3": 142, "P4": 115, "C2.2": 165})
    wrong = found(rows)
    assert wrong["P4", "feasibility"] == "eligible=115"
    assert wrong["G3", "direction"] == "direction_assumed"
    assert set(rows.loc[rows["result"] == "fail", "indicator"]) == {"P4"}
    assert ("C2.2", "feasibility") not in wrong
    assert set(rows["check"]) <= set(CHECKS)
    assert {d.partition("=")[0] for d in rows["detail"]} <= set(DETAILS)
    assert not rows.duplicated(["indicator", "check"]).any()


def test_what_is_found_carries_what_to_ask():
    rows = lint(read_logframe("guanajuato"), study(), {"P4": 115})
    in_order = rows["result"] == "ok"
    assert (rows.loc[in_order, "question"] == "").all()
    assert (rows.loc[~in_order, "question"] == "ask_" + rows.loc[~in_order, "detail"]).all()


@pytest.mark.parametrize(("eligible", "result"), [(229, "warn"), (230, "ok"), (30, "warn"), (29, "fail")])
def test_two_targets_may_ask_for_more_firms_than_there_are(eligible, result):
    """P3 asks for 30 and P4 for 200 firms of one population, and no firm counts in both: 230 together."""
    rows = lint(read_logframe("guanajuato"), eligible_counts={"P3": eligible, "P4": 200})
    row = rows[(rows["indicator"] == "P3") & (rows["check"] == "feasibility")]
    assert row["result"].tolist() == [result]
    assert row["detail"].tolist() == [{"warn": "together=P4", "ok": "", "fail": "eligible=29"}[result]]


def test_targets_that_one_firm_can_meet_together_do_not_compete():
    frame = read_logframe("guanajuato")
    both = tuple(i.model_copy(update={"target_statuses": ("direct",)}) if i.id == "P4" else i for i in frame.indicators)
    rows = lint(frame.model_copy(update={"indicators": both}), eligible_counts={"P3": 210, "P4": 210})
    assert rows.loc[rows["check"] == "feasibility", "result"].tolist() == ["ok", "ok"]


def test_the_target_is_feasible_in_a_wider_population():
    rows = lint(read_logframe("guanajuato"), eligible_counts={"P4": 337}).query("indicator == 'P4' and check == 'feasibility'")
    assert rows["result"].tolist() == ["ok"]


@pytest.mark.parametrize(
    ("stage", "as_of", "late"),
    [
        ("final", "2007-03-31", {"G1", "G2", "G3", "G4"}),
        ("midterm", "2005-01-31", {"G1", "G2", "G3", "G4"}),  # what counts is the final evaluation, of 2006-10-01
        ("expost", "2009-03-31", set()),
        ("midterm", "2009-03-31", set()),  # an evaluation that comes later than the final one judges on its own day
        ("final", "2006-06-30", None),
    ],
)
def test_targets_that_fall_due_after_they_are_judged(stage, as_of, late):
    wrong = found(lint(read_logframe("guanajuato"), study(stage, as_of)))
    named = {key for key, check in wrong if check == "timely"}
    assert named == late if late is not None else {"P1", "C2.2"} < named  # the day before they fall due
    if late:
        assert wrong["G1", "timely"] == "due_after_evaluation=2008-07-01"


def test_lint_asks_for_what_the_wording_leaves_open():
    wrong = found(lint(read_logframe("guanajuato"), study()))
    assert ("G1", "prices") not in wrong and wrong["G2", "prices"] == "real_or_nominal"  # only G1 says "in real value"
    assert ("P1", "currency") not in wrong and wrong["G3", "currency"] == "currency_missing"
    assert wrong["P1", "measurable"] == "volume_or_value" and wrong["C1.2", "target"] == "range_as_target"
    assert {key for key, check in wrong if check == "aggregation"} == {"G1", "G2", "G3", "P1", "P2", "C2.7x"}
    assert wrong["G1", "specific"] == "population_assumed"
    generic = found(lint(read_logframe("dini")))
    assert generic["C2.6", "specific"] == generic["C2.6a", "specific"] == "firms_not_named"


def test_firms_that_are_named_are_not_asked_for():
    frame = read_logframe("dini")
    named = [i.model_copy(update={"firms": ("F1",)}) if i.id.startswith("C2.6") else i for i in frame.indicators]
    wrong = found(lint(frame.model_copy(update={"indicators": tuple(named)})))
    assert not [key for key, check in wrong if key.startswith("C2.6") and check == "specific"]


def test_lint_of_the_generic_log_frame_fails_only_the_row_without_a_number():
    rows = lint(read_logframe("dini"), tables=set(TABLES) - {"joint_actions"})
    assert rows[rows["result"] == "fail"][["indicator", "check"]].values.tolist() == [["C3.1", "target"]]
    lacking = rows[rows["detail"] == "table_missing=joint_actions"]
    assert lacking["indicator"].tolist() == ["C2.1", "C2.9"]


def test_lint_of_an_unfinished_row():
    bare = LogFrame(**MINIMAL)
    rows = lint(bare).set_index("check")
    assert rows.loc["due", "result"] == "fail"
    warned = rows.index[rows["result"] == "warn"]
    assert set(warned) == {"specific", "measurable", "aggregation", "prices", "currency", "base_year", "source"}


# ---- calendar


def test_dates_of_the_programme():
    dates = due_dates(CALENDAR)
    binding = dates[dates["binding"]].set_index("event")["on"]
    expected = {
        "project_start": "2003-07-01",
        "first_disbursement": "2003-07-01",
        "midterm": "2005-01-01",
        "execution_end": "2006-07-01",
        "final": "2006-10-01",
        "last_disbursement": "2007-01-01",
        "goal_due": "2008-07-01",
    }
    assert binding.dt.strftime("%Y-%m-%d").to_dict() == expected
    assert dates.loc[~dates["binding"], "on"].isna().all()


LEDGER = pd.DataFrame(
    {
        "on": pd.to_datetime(["2003-07-01", "2004-03-01", "2004-12-15", "2004-05-01", "2004-01-10"]),
        "kind": ["disbursement", "disbursement", "disbursement", "counterpart_contribution", "expense"],
        "source": ["mif", "mif", "mif", "counterpart", "mif"],
        "amount_usd": [100.0, 400.0, 1.0, 900.0, 999.0],
    }
)
BUDGET = pd.DataFrame({"component": ["1", "1"], "source": ["mif", "counterpart"], "budget_usd": [1000.0, 1000.0]})


@pytest.mark.parametrize(
    ("basis", "plans", "on", "binds"),
    [
        ("mif", None, "2004-12-15", True),  # 500 of 1,000 is not more than half; 501 is
        ("total", None, "2004-05-01", True),  # 1,400 of 2,000
        ("total", date(2004, 8, 1), "2004-08-01", True),
        ("total", date(2005, 3, 1), "2005-03-01", False),  # plans too late: eighteen months bind
    ],
)
def test_the_earlier_midterm_trigger_binds(basis, plans, on, binds):
    calendar = CALENDAR.model_copy(update={"midterm_basis": basis})
    rows = due_dates(calendar, LEDGER, BUDGET, plans).query("event == 'midterm'").set_index("rule")
    assert rows.loc["share_disbursed", "on"] == pd.Timestamp(on)
    assert rows["binding"].to_dict() == {"months_after_first_disbursement": not binds, "share_disbursed": binds}


def test_a_stated_last_disbursement_moves_the_final_evaluation():
    calendar = CALENDAR.model_copy(update={"last_disbursement": date(2007, 5, 31)})
    on = due_dates(calendar).set_index("event")["on"]
    assert on["final"] == pd.Timestamp("2007-02-28") and on["execution_end"] == pd.Timestamp("2006-07-01")


@pytest.mark.parametrize(
    ("day", "months", "then"),
    [
        (date(2003, 8, 31), 1, date(2003, 9, 30)),
        (date(2003, 12, 31), 2, date(2004, 2, 29)),
        (date(2004, 12, 31), 2, date(2005, 2, 28)),
        (date(2003, 12, 15), 12, date(2004, 12, 15)),
        (date(2004, 3, 31), -1, date(2004, 2, 29)),
        (date(2004, 1, 1), -1, date(2003, 12, 1)),
    ],
)
def test_months_end_where_the_month_ends(day, months, then):
    assert add_months(day, months) == then


def test_due_dates_count_from_their_own_anchor():
    row = read_logframe("dini").indicator("C3.2")
    late = CALENDAR.model_copy(update={"execution_months": 40})
    assert indicator_due(row, late) == date(2006, 11, 1)
    assert indicator_due(row, None) is None
    assert indicator_due(read_logframe("guanajuato").indicator("C4.2"), None) == date(2006, 7, 31)
