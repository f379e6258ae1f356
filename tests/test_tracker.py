"""The indicators year by year beside their path, by hand and over the sample programme, under both log frames."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval import stages
from pipeval.errors import collected
from pipeval.study.logframe import Indicator, LogFrame, read_logframe
from pipeval.study.params import read_study
from pipeval.study.specs import Study
from pipeval.verdicts.inputs import Inputs
from pipeval.verdicts.judge import attained
from pipeval.verdicts.remarks import REMARKS
from pipeval.verdicts.tracker import COLUMNS, STATUSES, tracker_table

ROOT = Path(__file__).parents[1]
NAN = float("nan")
TEXT = {"es": "Indicador", "en": "Indicator"}


def study(stage="final", as_of="2007-03-31", year=2006, **changes) -> Study:
    base = {
        "study": "by_hand",
        "stage": stage,
        "as_of": as_of,
        "programme": {"id": "P", "name": {"en": "P"}},
        "data": {"folder": "data"},
        "calendar": {"project_start": "2003-07-01", "first_disbursement": "2003-07-01"},
        "baseline": {"year": 2003},
        "treatment": {"reference_year": year},
        "money": {"headline": "real", "deflator": "inpc", "base_year": 2003},
        "outcomes": [{"id": "ln_sales", "measure": "sales", "label": TEXT}],
        "match": {"covariates": ["x"]},
        "logframe": "frame.yaml",
    }
    return Study(**(base | changes))


def tracked(indicator: dict, inputs: Inputs, plan: Study) -> pd.DataFrame:
    row = Indicator(**({"id": "C1", "level": "component", "text": TEXT, "unit": "firms"} | indicator))
    frame = LogFrame(id="one", title=TEXT, goal=TEXT, purpose=TEXT, indicators=[row])
    return tracker_table(frame, inputs, plan).set_index("period")


SALES = pd.DataFrame(
    {"sales": [100.0, 104.0, 112.0, 121.0, 50.0, 55.0, 50.0, 44.0], "status": "alive"},
    index=pd.MultiIndex.from_product([["a", "b"], range(2003, 2007)], names=["firm_id", "period"]),
)
FIRMS = pd.DataFrame({"arm": "beneficiary", "kind": ["up", "down"]}, index=pd.Index(["a", "b"], name="firm_id"))
BOOKS = Inputs(SALES, SALES, FIRMS)
GROWTH = {"kind": "growth", "measure": "sales", "unit": "share", "target": 0.10}


def test_growth_runs_along_a_straight_line_to_its_due_year():
    """Firm a: 0, 4, 12, 21 %. Planned for five years: 0, 2, 4, 6 of 10 %; 4 is more than 2 / .75."""
    table = tracked(GROWTH | {"population": {"kind": ["up"]}, "due": {"years": 5}}, BOOKS, study())
    np.testing.assert_allclose(table["value"], [0, 0.04, 0.12, 0.21], atol=1e-12)
    np.testing.assert_allclose(table["planned"], [0, 0.02, 0.04, 0.06], atol=1e-12)
    assert table["status"].tolist() == ["on_path", "ahead", "ahead", "ahead"]
    assert (table["due"] == pd.Timestamp("2008-07-01")).all() and (table["target"] == 0.10).all()
    assert not table["early"].any() and tracked(GROWTH, BOOKS, study("midterm"))["early"].all()


def test_once_due_only_the_target_counts():
    """Due in 2005: 12 % is the target or more; nothing is ahead of a path that has ended."""
    table = tracked(GROWTH | {"population": {"kind": ["up"]}, "due": {"date": date(2005, 12, 31)}, "target": 0.12}, BOOKS, study())
    assert table["planned"].tolist() == pytest.approx([0, 0.06, 0.12, 0.12])
    assert table["status"].tolist() == ["on_path", "behind", "on_path", "on_path"]
    strict = tracked(
        GROWTH | {"population": {"kind": ["up"]}, "due": {"date": date(2005, 12, 31)}, "target": 0.12, "strict": True},
        BOOKS,
        study(),
    )
    assert strict["status"].tolist() == ["on_path", "behind", "behind", "on_path"]


def test_a_fall_that_is_sought_keeps_its_sign():
    """Firm b: 0, +10, 0, −12 %. Sought: −12 % by 2006, so −4, −8 on the way."""
    fall = GROWTH | {"population": {"kind": ["down"]}, "direction": "decrease", "target": 0.12, "due": {"months": 36}}
    table = tracked(fall, BOOKS, study())
    assert table["value"].tolist() == pytest.approx([0, 0.10, 0, -0.12])
    assert table["planned"].tolist() == pytest.approx([0, -0.04, -0.08, -0.12])
    assert table["status"].tolist() == ["on_path", "behind", "behind", "on_path"]


def test_the_band_around_the_path_is_that_of_partly_met():
    """Planned for 2004: 4 % of 12. From 3 to 5⅓ % is on the path with .75, from 3.8 to 4.2 % with .95."""

    def status(sales: float, partly: float) -> str:
        frame = SALES.copy()
        frame.loc[("a", 2004), "sales"] = 100 * (1 + sales)
        plan = study(verdicts={"partly_from": partly})
        row = GROWTH | {"population": {"kind": ["up"]}, "target": 0.12, "due": {"months": 36}}
        return tracked(row, Inputs(frame, frame, FIRMS), plan).at[2004, "status"]

    assert [status(s, 0.75) for s in (0.029, 0.031, 0.052, 0.054)] == ["behind", "on_path", "on_path", "ahead"]
    assert [status(s, 0.95) for s in (0.037, 0.0385, 0.043)] == ["behind", "on_path", "ahead"]


def test_a_path_of_the_log_frames_own():
    path = GROWTH | {"population": {"kind": ["up"]}, "due": {"years": 5}, "path": {2004: 0.05, 2005: 0.20}}
    table = tracked(path, BOOKS, study())
    assert table["planned"].tolist() == pytest.approx([0, 0.05, 0.20, 0.06])
    assert table["status"].tolist() == ["on_path", "on_path", "behind", "ahead"]


def test_without_a_target_or_a_due_date_there_is_no_path():
    for changes in ({"target": None, "due": {"months": 36}}, {}):
        table = tracked(GROWTH | changes, BOOKS, study())
        assert set(table["status"]) == {"no_path"} and table["planned"].isna().all()
    silent = Inputs(SALES.drop((i, 2005) for i in "ab"), SALES, FIRMS)
    assert tracked(GROWTH | {"due": {"months": 36}}, silent, study()).at[2005, "status"] == "not_known"


LETTERS = pd.DataFrame(
    {
        "firm_id": list("abcdef"),
        "signed_on": pd.to_datetime(["2003-12-31", "2004-01-01", "2004-12-31", "2005-06-01", "2006-12-01", "2007-04-01"]),
    }
)
COUNT = {"kind": "count", "table": "letters", "dated": "signed_on", "distinct": "firm_id", "target": 5}


def test_counts_run_up_to_the_end_of_each_year_or_to_the_evaluation():
    """Planned: whole firms of 5 × days since July 2003 / 1,096: 183, 549 and 914 days are 0.8, 2.5 and 4.2."""
    table = tracked(COUNT | {"due": {"months": 36}}, Inputs(SALES, SALES, FIRMS, {"letters": LETTERS}), study())
    assert table["value"].tolist() == [1, 3, 4, 5] and table["planned"].tolist() == [0, 2, 4, 5]
    assert table["status"].tolist() == ["ahead", "ahead", "on_path", "on_path"]
    cut = tracked(COUNT | {"due": {"months": 36}}, Inputs(SALES, SALES, FIRMS, {"letters": LETTERS}), study(as_of="2006-06-30"))
    assert cut.loc[2006, ["value", "planned", "status"]].tolist() == [4, 4, "on_path"]  # a day before it is due


def test_a_change_of_status_is_a_figure_of_a_year_and_a_count_one_of_a_day():
    """Of 9 firms in three years: 3, 6, 9, although the year 2006 ends after the due date; a count is due on its very day."""
    frame = SALES.assign(exp_status="none")
    firms = FIRMS.assign(exp_status_baseline="none")
    row = {"kind": "transition", "from": ["none"], "to": ["direct"], "target": 9, "due": {"months": 36}}
    assert tracked(row, Inputs(frame, frame, firms), study())["planned"].tolist() == [0, 3, 6, 9]
    late = study(as_of="2006-07-01")
    table = tracked(COUNT | {"due": {"months": 36}}, Inputs(SALES, SALES, FIRMS, {"letters": LETTERS}), late)
    assert table.loc[2006, "status"] == "behind"  # 4 of 5 on the day that all are due


def test_a_count_starts_from_its_base_value():
    """From 20 to 60 over 1,096 days: 549 days are 20 + 20.04."""
    row = COUNT | {"due": {"months": 36}, "base_value": 20, "target": 60}
    table = tracked(row, Inputs(SALES, SALES, FIRMS, {"letters": LETTERS}), study())
    assert table["planned"].tolist() == [26, 40, 53, 60]


MILESTONES = pd.DataFrame(
    {
        "indicator_id": "C1",
        "due_on": pd.to_datetime(["2004-07-31", "2005-07-31", "2005-07-31"]),
        "done_on": pd.to_datetime(["2004-08-19", "2005-07-08", None]),
        "verified": pd.array([True, True, None], dtype="boolean"),
    }
)


def test_milestones_are_planned_for_the_days_on_which_they_are_due():
    inputs = Inputs(SALES, SALES, FIRMS, {"milestones": MILESTONES})
    table = tracked({"kind": "milestone", "due": {"date": date(2005, 7, 31)}}, inputs, study())
    assert table["planned"].tolist() == [0, 1, 3, 3] and table["value"].tolist() == [0, 1, 2, 2]
    assert table["status"].tolist() == ["on_path", "on_path", "behind", "behind"]
    assert set(tracked({"kind": "milestone", "due": {"months": 36}}, BOOKS, study())["status"]) == {"not_known"}


def test_a_target_for_each_year_is_read_year_by_year():
    """Two a year: 2004 has two, 2005 one. The halves of 2003 and 2006 are no years of the plan."""
    yearly = COUNT | {"due": {"months": 36}, "each_year": True, "target": 2}
    table = tracked(yearly, Inputs(SALES, SALES, FIRMS, {"letters": LETTERS}), study())
    np.testing.assert_equal(table["planned"].tolist(), [NAN, 2, 2, NAN])
    np.testing.assert_equal(table["value"].tolist(), [NAN, 2, 1, 1])
    assert table["status"].tolist() == ["not_known", "on_path", "behind", "no_path"]


def test_rows_that_read_others_together_are_left_out():
    row = {"id": "G1", "level": "goal", "text": TEXT} | GROWTH
    joint = {"id": "G2", "level": "goal", "text": TEXT, "kind": "joint", "of": ["G1"]}
    frame = LogFrame(id="two", title=TEXT, goal=TEXT, purpose=TEXT, indicators=[row, joint])
    assert set(tracker_table(frame, BOOKS, study())["id"]) == {"G1"}
    only = LogFrame(id="one", title=TEXT, goal=TEXT, purpose=TEXT, indicators=[row])
    nobody = Inputs(SALES[:0], SALES[:0], FIRMS[:0])
    assert set(tracker_table(only, nobody, study())["status"]) == {"not_known"}


# ---- the sample programme


@pytest.fixture(scope="module")
def sample() -> tuple[Inputs, Study]:
    plan = read_study(ROOT / "params" / "guanajuato_final.yaml")
    with collected():
        data = stages.proved_data(plan)
        start = stages.baseline(data, plan)
    measured = data["measures"]
    return Inputs(measured.real, measured.nominal, start["everyone"].firms, dict(data["tables"].frames)), plan


def test_the_tracker_of_the_sample(sample):
    inputs, plan = sample
    table = tracker_table(read_logframe("guanajuato"), inputs, plan)
    assert list(table.columns) == list(COLUMNS) and set(table["status"]) <= set(STATUSES)
    assert not table.duplicated(["id", "period"]).any() and set(table["period"]) == {2003, 2004, 2005, 2006}
    counts = table[(table["kind"] == "count") & (table["id"] != "C2.5m")].groupby("id")["value"]
    assert counts.apply(lambda v: v.is_monotonic_increasing).all()
    last = table[table["period"] == 2006].set_index("id")
    found = attained(read_logframe("guanajuato"), inputs, plan)
    for key in ("G1", "P2", "P3", "C2.6r"):  # the last year is what the verdict reads
        one = found[key]
        assert last.at[key, "value"] == pytest.approx(
            {"growth": one.change, "share": one.current}.get(last.at[key, "kind"], one.value)
        )


def test_the_tracker_knows_nothing_later_than_the_evaluation(sample):
    """Figures of later years and later events move no row of an earlier evaluation."""
    inputs, plan = sample
    early = plan.model_copy(
        update={"as_of": date(2005, 1, 31), "treatment": plan.treatment.model_copy(update={"reference_year": 2004})}
    )
    before = tracker_table(read_logframe("guanajuato"), inputs, early)
    period = inputs.real.index.get_level_values("period")
    masked = Inputs(inputs.real[period <= 2004], inputs.nominal[period <= 2004], inputs.firms, inputs.tables)
    pd.testing.assert_frame_equal(before, tracker_table(read_logframe("guanajuato"), masked, early))
    assert set(before["period"]) == {2003, 2004}


_REASONS = {"target_not_stated", "no_table", "no_column", "no_measure", "no_milestone_row", "part_unknown", "no_estimate"}


@pytest.mark.parametrize("name", ["guanajuato", "dini"])
def test_no_row_is_left_without_a_number_or_a_reason(sample, name):
    inputs, plan = sample
    for key, found in attained(read_logframe(name), inputs, plan).items():
        if found.state == "not_measurable":
            reasons = {r.partition("=")[0] for r in found.remarks}
            assert reasons & _REASONS, key
            assert reasons <= set(REMARKS), key
        elif found.state != "infeasible":
            assert not np.isnan(found.value), key


def test_the_programmes_own_log_frame_is_served_whole(sample):
    inputs, plan = sample
    found = attained(read_logframe("guanajuato"), inputs, plan)
    unread = {key for key, one in found.items() if one.state == "not_measurable"}
    assert unread <= {"G4"}  # here no effects were handed over


def test_the_generic_log_frame_is_served_where_the_sample_has_data(sample):
    """No register of milestones speaks of these documents, and three rows state no target; everything else is read."""
    inputs, plan = sample
    found = attained(read_logframe("dini"), inputs, plan)
    unread = {key for key, one in found.items() if one.state == "not_measurable"}
    documents = {i.id for i in read_logframe("dini").indicators if i.kind == "milestone"}
    assert unread - documents <= {"C2.8", "C2.9", "C3.1", "C2.1"}
    assert not np.isnan(found["C3.1"].value)  # tracked without a target
    for key in ("P1", "P2", "P3", "C1.2", "C1.3", "C2.3", "C2.5", "C2.6", "C2.6a", "C2.6b", "C2.7", "C3.2", "C3.3"):
        assert not np.isnan(found[key].value), key
    fixed = read_logframe("dini").indicator("C2.6b").model_copy(update={"firms": tuple(inputs.firms.index[:30])})
    frame = read_logframe("dini").model_copy(update={"indicators": (fixed,)})
    assert 0 < attained(frame, inputs, plan)["C2.6b"].n <= 30
