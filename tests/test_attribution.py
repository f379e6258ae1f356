"""How much of a change is due to data, decisions, code and versions, by hand-computed studies."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import tempfile

import pandas as pd
import pytest
from test_compare import patched

from pipeval import evaluate, save
from pipeval.batch.inputs import Store, inputs_of, kept, package_root, read_inputs
from pipeval.cli import main
from pipeval.compare import again, attribution, paper, places, run, screen
from pipeval.compare.again import Rerun, run_again
from pipeval.compare.attribution import today
from pipeval.compare.difference import RowMoved
from pipeval.compare.pages import Page
from pipeval.compare.screen import why
from pipeval.data.load import load
from pipeval.errors import DataError, UsageError
from pipeval.report.bundle import Bundle, read_bundle
from pipeval.report.bundle import save as save_bundle
from pipeval.report.text import read_text
from pipeval.study.params import read_study


def computed(params, data, source, versions=None) -> Bundle:
    """A study that can be computed by hand: sales of 2005 (s), did.level (l), a package that says `twice` or not (c)."""
    study = read_study(params, data)
    if study.treatment.definition == "ta_recipient":
        raise DataError("a definition that these data cannot have")
    survey = load(study)["survey"]
    sales = survey.loc[survey["ref_year"] == 2005, "sales_kmxn"].sum()
    code = 2 if "# twice" in (source / "pipeval" / "__init__.py").read_text() else 1
    drift = 7 if (versions or today()) != today() else 0
    numbers = {"sum": sales + 100 * study.did.level + 10 * code - drift, "product": sales * study.did.level * code}
    numbers["product"] *= 2 if (versions or {}).get("numpy") == "0.3" else 1  # a version in which effects were counted twice
    numbers = dict(reversed(numbers.items())) if study.did.method == "reg" else numbers  # rows in another order
    numbers["sum"] += 1000 * (len(study.outcomes) - 1)
    effects = pd.DataFrame({"outcome": list(numbers), "estimate": list(numbers.values())})
    said = pd.DataFrame({"id": ["G1"], "attainment": ["reached"], "evidence": ["strong" if study.did.level > 0.95 else "weak"]})
    strong = study.did.level > 0.95
    rows = [{"name": "size", "remarks": f"{sales:.0f} sold", "share": 1.0 if strong else None}]
    found = pd.DataFrame([*rows, *([{"name": "strong", "remarks": "level", "share": 1.0}] if strong else [])])
    tables = {"effects": effects, "verdicts": said, "found": found}
    return Bundle.build(study.model_dump(mode="json"), tables, provenance={"pipeval": "0"})


class Desk:
    """Where reports of the small study are published, as a batch leaves them."""

    def __init__(self, small):
        self.small, self.folder = small, small.root / "reports"
        self.store, self.runs = Store(self.folder / ".pipeval" / "inputs"), []

    def publish(self, name, twice=False, notebook=False, **versions):
        record, sources = inputs_of(self.small.read(), str(self.small.params))
        kept(record, sources, self.store)
        source = package_root().parent
        if twice:
            other = patched(self.store, record.source, "__init__.py", "__version__ =", "# twice\n__version__ =")
            record = dataclasses.replace(record, source=other)
            source = again.package(other, self.store, self.small.root / "unzipped")
        if notebook:
            other = patched(self.store, record.source, "notebooks/final.ipynb", "{", "{ ")
            record = dataclasses.replace(record, source=other, notebook="ab" * 32)
        record = dataclasses.replace(record, versions=record.versions | versions)
        folder = self.folder / name
        save_bundle(computed(self.small.params, None, source, record.versions), folder)
        (folder / "inputs.json").write_bytes(record.as_bytes())
        return folder

    def run(self, work, scratch, jobs, timeout):
        made = {}
        for name, one in work.items():
            self.runs.append(name)
            try:
                made[name] = computed(one.params, one.data, one.source)
            except DataError as error:
                made[name] = str(error)
        return made

    def compare(self, old, new=None, each=False):
        return run.compare(old, new, out=self.folder.parent / "out", each=each)


@pytest.fixture
def desk(small, monkeypatch) -> Desk:
    made = Desk(small)
    monkeypatch.setattr(attribution, "run_again", made.run)
    monkeypatch.setattr(paper, "write_papers", lambda *parts: [])
    monkeypatch.setattr(run, "sentences_due", lambda *parts: ())
    return made


def due(comparison) -> dict[str, tuple]:
    return {
        n.row.removeprefix("outcome="): tuple(
            None if v is None else round(v, 6) for v in (n.change, n.data, n.decisions, n.code, n.versions, n.together)
        )
        for n in comparison.attribution.numbers
    }


def more(small, amount=100.0, row=3):
    """Sales of one firm in 2005 (row 3 is F01, 7 is F02) up by an amount."""
    return small.cell("survey", row, "sales_kmxn", small.tables["survey"].loc[row, "sales_kmxn"] + amount)


def sales(small) -> float:
    return small.tables["survey"].query("ref_year == 2005")["sales_kmxn"].astype(float).sum()


def test_equal_inputs_are_identical(desk):
    made = desk.compare(desk.publish("old"), desk.publish("new"))
    assert made.moved.identical and made.same_inputs and made.attribution.how == "nothing" and desk.runs == []


def test_one_cause_takes_all_without_a_run(desk, small):
    old = desk.publish("old")
    made = desk.compare(old, desk.publish("new") if more(small) else None)
    assert made.attribution.how == "one" and desk.runs == [] and made.same_inputs is False
    old_value, new_value = (small.tables["survey"].loc[3, "sales_kmxn"] - less for less in (100, 0))
    assert why(made.causes) == ["data: 1 cell in 1 firm (F01)", f"  survey F01|2005 sales_kmxn: {old_value} → {new_value}"]
    assert due(made) == {"sum": (100, 100, 0, 0, 0, 0), "product": (95, 95, 0, 0, 0, 0)}


def test_two_causes_add_up_and_the_rest_is_together(desk, small):
    old = desk.publish("old")
    before = sales(small)
    more(small)
    small.planned(did={"level": 0.99})
    made = desk.compare(old, desk.publish("new"))
    assert sorted(desk.runs) == ["data", "decisions"] and made.attribution.how == "exchanged"
    found = due(made)
    assert found["sum"] == (104, 100, 4, 0, 0, 0)
    # (s + 100) 0.99 - s 0.95 = 100 x 0.95 + s x 0.04 + 100 x 0.04
    assert found["product"] == (round(99 + before * 0.04, 6), 95, round(before * 0.04, 6), 0, 0, 4)
    (verdict,) = made.attribution.verdicts
    assert (verdict.axis, verdict.data, verdict.decisions, verdict.due) == ("evidence", "weak", "strong", ("decisions",))


def test_rows_texts_and_numbers_that_come_are_due_to_what_alone_brings_them(desk, small):
    old = desk.publish("old")
    more(small)
    small.planned(did={"level": 0.99})
    new = desk.publish("new")
    made = desk.compare(old, new)
    others = {(o.table, o.row, o.column): o.due for o in made.attribution.others}
    assert others == {
        ("found", "name=size", "remarks"): ("data",),
        ("found", "name=size", "share"): ("decisions",),
        ("found", "name=strong", ""): ("decisions",),
    }
    back = desk.compare(new, old)
    assert [(r.side, o.due) for r, o in zip(back.moved.rows, back.attribution.others[2:], strict=True)] == [
        ("removed", ("decisions",))
    ]
    one = desk.compare(old, old)
    assert one.attribution.others == () and one.sentences == {"en": ()}


def test_numbers_of_an_exchange_are_found_by_their_row(desk, small):
    """Of the other method the rows come in another order, which moves nothing."""
    old = desk.publish("old")
    more(small)
    small.planned(did={"method": "reg"})
    made = desk.compare(old, desk.publish("new"))
    assert sorted(desk.runs) == ["data", "decisions"]
    assert due(made) == {"sum": (100, 100, 0, 0, 0, 0), "product": (95, 95, 0, 0, 0, 0)}


def test_each_is_measured_from_what_the_old_study_gives_today(desk, small):
    old = desk.publish("old", numpy="0.1")
    more(more(small, 100), 30, row=7)
    made = desk.compare(old, desk.publish("new", numpy="0.1"), each=True)
    assert made.attribution.how == "one" and due(made)["sum"] == (130, 130, 0, 0, 0, 0)
    place = [n.row for n in made.attribution.numbers].index("outcome=sum")
    assert {e.name: round(e.changes[place], 6) for e in made.attribution.each} == {"F01": 100, "F02": 30}
    assert made.attribution.each_remainder[place] == pytest.approx(0)


def test_firms_are_exchanged_wherever_their_rows_stand(desk, small):
    """A survey by year: the rows of a firm are not together."""
    small.tables["survey"] = small.tables["survey"].sort_values("ref_year", kind="stable", ignore_index=True)
    small.save()
    old = desk.publish("old")
    more(more(small, 100, row=36), 30, row=37)
    made = desk.compare(old, desk.publish("new"), each=True)
    place = [n.row for n in made.attribution.numbers].index("outcome=sum")
    assert {e.name: round(e.changes[place], 6) for e in made.attribution.each} == {"F01": 100, "F02": 30}


def test_a_key_that_cannot_be_exchanged_alone_is_said_and_left_out_of_the_sum(desk, small):
    old = desk.publish("old")
    more(small)
    new = desk.publish("new")
    small.planned(treatment={"definition": "ta_recipient"})
    record, sources = inputs_of(small.read(), str(small.params))
    kept(record, sources, desk.store)
    (new / "inputs.json").write_bytes(record.as_bytes())
    made = desk.compare(old, new, each=True)
    place = [n.row for n in made.attribution.numbers].index("outcome=sum")
    firm, key = made.attribution.each
    assert firm.name == "F01" and round(firm.changes[place], 6) == 100 and not firm.message
    assert key.name == "treatment.definition" and key.changes == () and key.message == "a definition that these data cannot have"
    assert made.attribution.each_remainder[place] == 0


@pytest.mark.parametrize("comes", [True, False], ids=["one that comes", "one that goes"])
def test_an_entry_of_a_list_is_exchanged_alone(comes, desk, small):
    one = small.plan["outcomes"]
    both = [*one, {"id": "staff", "measure": "jobs", "label": {"en": "Staff", "es": "Personal"}}]
    old = desk.publish("old") if small.planned(outcomes=one if comes else both) else None
    more(small)
    small.planned(outcomes=both if comes else one)
    made = desk.compare(old, desk.publish("new"), each=True)
    place = [n.row for n in made.attribution.numbers].index("outcome=sum")
    alone = {"F01": 100, "outcomes.staff": 1000 if comes else -1000}
    assert {e.name: round(e.changes[place], 6) for e in made.attribution.each} == alone
    assert due(made)["sum"] == (sum(alone.values()), *alone.values(), 0, 0, 0)


def test_code_is_exchanged_with_its_package(desk, small):
    old = desk.publish("old")
    before = sales(small)
    more(small)
    made = desk.compare(old, desk.publish("new", twice=True))
    assert sorted(desk.runs) == ["code", "data"]
    assert due(made)["sum"] == (110, 100, 0, 10, 0, 0)
    assert due(made)["product"][1:] == (95, 0, round(before * 0.95, 6), 0, 95)
    assert [m.name for m in made.causes.modules] == ["__init__.py"]


def test_versions_are_what_the_old_study_gives_today_less_what_it_gave(desk, small):
    old = desk.publish("old", numpy="0.1")
    more(small)
    small.planned(did={"level": 0.99})
    made = desk.compare(old, desk.publish("new"))
    assert sorted(desk.runs) == ["base", "data", "decisions"]
    assert due(made)["sum"] == (111, 100, 4, 0, 7, 0)
    assert [(v.name, v.old) for v in made.causes.versions] == [("numpy", "0.1")]


def test_versions_beside_one_cause_need_the_old_study_alone(desk, small):
    old = desk.publish("old", numpy="0.1")
    more(small)
    made = desk.compare(old, desk.publish("new"))
    assert desk.runs == ["base"] and due(made)["sum"] == (107, 100, 0, 0, 7, 0)


def test_both_reports_of_other_days_are_run_again(desk, small):
    old = desk.publish("old", numpy="0.1")
    more(small)
    made = desk.compare(old, desk.publish("new", numpy="0.2"))
    assert sorted(desk.runs) == ["base", "new"] and due(made)["sum"] == (100, 100, 0, 0, 0, 0)


def test_what_the_day_moves_between_two_reports_of_equal_versions_is_not_together(desk, small):
    """Both of numpy 0.3, in which the product was twice what it is today: only versions can have done that."""
    old = desk.publish("old", numpy="0.3")
    before = sales(small)
    more(small)
    small.planned(did={"level": 0.99})
    made = desk.compare(old, desk.publish("new", numpy="0.3"))
    assert sorted(desk.runs) == ["base", "data", "decisions", "new"] and made.causes.kinds == ("data", "decisions")
    found = due(made)
    assert found["sum"] == (104, 100, 4, 0, 0, 0)  # 7 less then in both
    # today: 100 x 0.95, s x 0.04 and 100 x 0.04; then twice all of it
    today_alone = round(99 + before * 0.04, 6)
    assert found["product"] == pytest.approx((2 * today_alone, 95, before * 0.04, 0, today_alone, 4))
    assert made.attribution.causes == ("data", "decisions", "versions")
    assert any("other versions than today's" in message for message in made.attribution.messages)


def test_versions_that_move_nothing_are_no_cause(desk, small):
    old = desk.publish("old", numpy="0.2")
    more(small)
    small.planned(did={"level": 0.99})
    made = desk.compare(old, desk.publish("new", numpy="0.2"))
    assert made.attribution.causes == ("data", "decisions") and due(made)["sum"] == (104, 100, 4, 0, 0, 0)


def test_a_notebook_is_code_that_moves_nothing(desk, small, capsys):
    old = desk.publish("old")
    made = desk.compare(old, desk.publish("new", notebook=True))
    assert made.causes.kinds == ("code",) and made.moved.identical and desk.runs == []
    assert [m.name for m in made.causes.modules] == ["notebooks/final.ipynb"]
    assert [m for m in made.causes.messages if "only notebooks differ" in m]
    more(small)
    made = desk.compare(old, desk.publish("new", notebook=True))
    assert made.causes.kinds == ("data", "code") and desk.runs == ["data"]  # no run for the notebook
    assert due(made) == {"sum": (100, 100, 0, 0, 0, 0), "product": (95, 95, 0, 0, 0, 0)}
    assert not [m for m in desk.compare(old, desk.publish("new", twice=True)).causes.messages if "notebooks" in m]


@pytest.mark.slow
def test_a_package_that_computes_otherwise_is_told_from_data_by_real_evaluations(small, monkeypatch):
    """Each aggregated effect times 1.5 in the new package; sales of 2005 of one of four treated firms times exp(0.4).

    The effect is that of 2005, a mean of four firms: alone, the data move it by 0.4 / 4, the package by half of it.
    """
    desk = Desk(small)
    monkeypatch.setattr(paper, "write_papers", lambda *parts: [])
    monkeypatch.setattr(run, "sentences_due", lambda *parts: ())
    small.planned(stage="midterm", sensitivity={"permutations": 99, "simulations": 20})
    old, new = desk.publish("old"), None
    save(evaluate(small.read()), old)
    before = small.tables["survey"].loc[3, "sales_kmxn"]
    small.cell("survey", 3, "sales_kmxn", before * math.exp(0.4))
    new = desk.publish("new")
    record = read_inputs(new)
    other = patched(
        desk.store, record.source, "did/aggregate.py", "    return estimate, (influence,", "    return 1.5 * estimate, (influence,"
    )
    source = again.package(other, desk.store, small.root / "unzipped")
    made = run_again({"new": Rerun(str(small.params), small.data, source)}, small.root / "runs")["new"]
    save_bundle(made, new)
    (new / "inputs.json").write_bytes(dataclasses.replace(record, source=other).as_bytes())
    told = desk.compare(old, new)
    assert told.causes.kinds == ("data", "code") and [m.name for m in told.causes.modules] == ["did/aggregate.py"]
    assert told.attribution.messages == () and told.attribution.how == "exchanged"
    (cell,) = [
        c for c in told.moved.numbers if (c.table, c.column, c.keys.get("design")) == ("effects", "estimate", "common_support")
    ]
    (share,) = [n for n in told.attribution.numbers if (n.table, n.row, n.column) == (cell.table, cell.row, cell.column)]
    assert (share.data, share.code, share.together) == pytest.approx((0.1, cell.old / 2, 0.05), rel=1e-6)
    assert share.versions == share.decisions == 0 and cell.change == pytest.approx(cell.old / 2 + 0.15, rel=1e-6)


def test_an_exchange_that_cannot_be_run_is_said(desk, small):
    old = desk.publish("old")
    more(small)
    new = desk.publish("new")
    small.planned(treatment={"definition": "ta_recipient"})
    record, sources = inputs_of(small.read(), str(small.params))
    kept(record, sources, desk.store)
    (new / "inputs.json").write_bytes(record.as_bytes())
    made = desk.compare(old, new)
    assert due(made)["sum"] == (100, 100, None, 0, 0, None)
    assert made.attribution.messages == (
        "the old study with the new decisions cannot be run: a definition that these data cannot have",
    )


def test_each_firm_and_key_alone(desk, small):
    old = desk.publish("old")
    more(more(small, 100), 30, row=7)
    value = small.tables["survey"].loc[11, "sales_kmxn"]
    small.tables["corrections"] = pd.DataFrame(
        [
            {
                "table": "survey",
                "key": "F03|2005",
                "column": "sales_kmxn",
                "old": str(value),
                "new": str(value + 5),
                "source": "",
                "date": "2006-01-10",
            }
        ]
    )
    small.planned(did={"level": 0.99, "method": "reg"})
    made = desk.compare(old, desk.publish("new"), each=True)
    each = {(e.cause, e.kind, e.name): [round(c, 6) for c in e.changes] for e in made.attribution.each}
    names = [n.row for n in made.attribution.numbers]
    place = names.index("outcome=sum")
    assert {key: changes[place] for key, changes in each.items()} == {
        ("data", "firm", "F01"): 100,
        ("data", "firm", "F02"): 30,
        ("data", "firm", "F03"): 5,
        ("decisions", "key", "did.method"): 0,
        ("decisions", "key", "did.level"): 4,
    }
    rest = dict(zip(names, made.attribution.each_remainder, strict=True))
    assert rest["outcome=sum"] == 0.0 and rest["outcome=product"] == pytest.approx(135 * 0.04)
    assert {e.name: e.verdicts for e in made.attribution.each}["did.level"] == ("strong",)


def test_a_correction_of_one_firm_is_exchanged_by_its_key(desk, small):
    values = {f: small.tables["survey"].loc[row, "sales_kmxn"] for f, row in (("F01", 3), ("F02", 7))}
    rows = [
        {"table": "survey", "key": f"{f}|2005", "column": "sales_kmxn", "old": str(v), "new": str(v + 1), "date": "2006-01-10"}
        for f, v in values.items()
    ]
    small.tables["corrections"] = pd.DataFrame(rows)
    old = desk.publish("old") if small.save() else None
    small.tables["corrections"].loc[1, "new"] = str(values["F02"] + 50)
    made = desk.compare(old, desk.publish("new") if small.save() else None, each=True)
    (one,) = made.attribution.each
    assert (one.kind, one.name) == ("firm", "F02") and max(one.changes) == pytest.approx(49)
    assert [(c.firm_id, c.corrected) for c in made.causes.cells] == [("F02", True)]


def test_too_many_to_exchange_are_refused(desk, small):
    old = desk.publish("old")
    small.tables["enterprises"]["priority_score"] = range(12)  # another column: the whole file
    for key in ("level", "draws", "seed"):
        small.planned(did={key: {"level": 0.9, "draws": 500, "seed": 1}[key]})
    desk.publish("new")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UsageError, match=r"at most 3 .* differ in more: 4 differences"):
        patch.setattr("pipeval.compare.exchange.MOST", 3)
        desk.compare(old, desk.folder / "new", each=True)


def test_a_report_made_again_is_the_same_or_not(desk, small, capsys):
    old = desk.publish("old")
    made = desk.compare(old)
    assert made.again and made.reproduced and made.moved.identical and desk.runs == ["again"]
    content = json.loads((old / "results.json").read_text())
    content["tables"]["effects"]["rows"][0][1] += 1
    (old / "results.json").write_text(json.dumps(content))
    assert main(["compare", str(old), "--out", str(small.root / "out")]) == run.NOT_REPRODUCED == 13
    said = capsys.readouterr().out
    assert "not reproduced" in said and "estimate sum" in said and "(-1)" in said


def test_other_versions_are_why_a_report_is_not_the_same(desk):
    made = desk.compare(desk.publish("old", numpy="0.1"))
    assert made.reproduced is False and due(made) == {"sum": (7, 0, 0, 0, 7, 0)}


def test_without_a_record_there_is_still_a_difference(desk, small):
    old = desk.publish("old")
    (old / "inputs.json").unlink()
    made = desk.compare(old, desk.publish("new") if more(small) else None)
    assert len(made.moved.numbers) == 3 and made.causes is None and made.attribution.how == "missing"
    assert "holds no inputs.json" in made.attribution.messages[0]
    with pytest.raises(DataError, match=r"holds no inputs.json"):
        desk.compare(old)


def test_a_lost_store_is_said(desk, small):
    old = desk.publish("old")
    more(small)
    small.planned(did={"level": 0.99})
    new = desk.publish("new")
    for path in desk.store.folder.iterdir():
        path.unlink()
    made = desk.compare(old, new)
    assert made.attribution.how == "missing" and made.causes.kinds == ("data", "decisions") and made.moved.numbers
    assert any("not kept" in message for message in made.messages)


def test_a_copied_report_takes_its_inputs_from_where_the_other_lies(desk, small, tmp_path):
    """Old reports lie in archives; the folder of the reports that replaced them still holds what they were made from."""
    old = desk.publish("old")
    shutil.move(old, away := tmp_path / "archive" / "deeper" / "and" / "deeper" / "old")
    with pytest.raises(DataError, match=r"not kept: .*Put a report that was moved or copied back there"):
        desk.compare(away)
    before = small.tables["survey"].loc[3, "sales_kmxn"]
    more(small)
    small.planned(did={"level": 0.99})
    made = desk.compare(away, desk.publish("new"))
    assert made.attribution.how == "exchanged" and [(c.old, c.new) for c in made.causes.cells] == [(before, before + 100)]
    assert made.messages == ()


def test_rows_alone_name_no_table(desk, small):
    found = desk.compare(desk.publish("old"), desk.publish("new"))
    moved = dataclasses.replace(found.moved, rows=(RowMoved("flow", "arm=a", {"arm": "a"}, "added"),))
    told = screen.summary(dataclasses.replace(found, moved=moved))
    assert f"0 of {moved.compared:,} cells moved; rows: 1 added, 0 removed" in told


def test_two_studies_may_be_compared_and_it_is_said(desk, small):
    old = desk.publish("old")
    small.planned(study="other")
    assert "these are two different studies: small and other" in desk.compare(old, desk.publish("new")).messages


def test_the_json_is_sorted_and_the_same_each_time(desk, small):
    old, out = desk.publish("old"), small.root / "out" / "compare.json"
    more(small)
    new = desk.publish("new")
    desk.compare(old, new)
    first = out.read_bytes()
    desk.compare(old, new)
    content = json.loads(first)
    assert first == out.read_bytes() and list(content) == sorted(content) and content["schema_version"] == "1.0"
    assert content["causes"]["cells"][0]["firm_id"] == "F01" and str(small.root) not in first.decode()


def test_no_place_of_this_machine_stands_in_a_comparison(desk, small, monkeypatch):
    """Messages are written where files lie; what is sent to others says nothing of it."""
    old = desk.publish("old")
    more(small)
    new = desk.publish("new")
    out = small.root / "out" / "compare.json"
    small.planned(did={"level": 0.99})
    third = desk.publish("third")

    def fails(work, scratch, jobs, timeout):
        return {n: f"cannot read {one.data}/survey.csv of {scratch}, nor /srv/shared disk/x.csv" for n, one in work.items()}

    monkeypatch.setattr(attribution, "run_again", fails)
    told = desk.compare(old, third).attribution.messages
    assert told[0].startswith("the old study with the new data cannot be run: cannot read ") and "survey.csv of" in told[0]
    both = [out.read_text()]
    (new / "inputs.json").unlink()
    assert desk.compare(old, new).messages[0].startswith("new holds no inputs.json: only a report that")
    both.append(out.read_text())
    (new / "inputs.json").write_text("{}")
    assert desk.compare(old, new).messages[0].startswith("new/inputs.json is not the record of a report")
    both.append(out.read_text())
    (desk.store.folder / read_inputs(third).files["data/survey.csv"]).unlink()
    desk.compare(old, third)
    both.append(out.read_text())
    for written in both:
        assert str(small.root) not in written and tempfile.gettempdir() not in written and "/srv" not in written


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("and/or 3/4 of a/b", "and/or 3/4 of a/b"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("no file: '/var/x/y.csv'", "no file: 'y.csv'"),
        ("file:///srv/ana/y.csv", "y.csv"),
        (r"D:\\Firms\\Ana\\y.csv, \\server\share\y.csv", "y.csv, y.csv"),
        ("/srv/ana maria/study", "."),
        ("/srv/ana maria/study2/y.csv", "ana maria/study2/y.csv"),
        ("/srv/ana maria/study/data/y.csv", "data/y.csv"),
    ],
)
def test_a_message_is_told_without_places(message, left):
    assert places.plain(message, ["/srv/ana maria/study"]) == left


def test_two_reports_of_one_name_are_told_apart(desk, small):
    old, new = desk.publish("old"), desk.publish("new")
    for folder, day in ((old, "02"), (new, "03")):
        folder.with_name(f"{day}").mkdir()
        folder.rename(folder.with_name(day) / "small")
        (folder.with_name(day) / "small" / "run.json").write_text(json.dumps({"finished": f"2026-01-{day}T03:04:05+00:00"}))
    pair = [desk.folder / day / "small" for day in ("02", "03")]
    made = desk.compare(*pair)
    assert screen.summary(made)[0] == "small: made 2026-01-02 03:04 UTC → 2026-01-03 03:04 UTC"
    later = dataclasses.replace(made, new=dataclasses.replace(made.new, as_of="2007-03-31"))
    assert screen.summary(later)[0] == "small: as of 2006-03-31 → 2007-03-31"
    undated = [dataclasses.replace(one, made="") for one in (made.old, made.new)]
    told = dataclasses.replace(made, old=undated[0], new=dataclasses.replace(undated[1], key="ab" * 32))
    assert screen.summary(told)[0] == f"small: inputs {made.old.key[:12]} → {'ab' * 6}"
    assert screen.summary(dataclasses.replace(made, old=undated[0], new=undated[1]))[0] == "small: two reports"
    assert screen.summary(desk.compare(pair[0]))[0] == "small → run again"
    for language in ("en", "es", "pt"):
        for one, times in ((made, 2), (told, 0)):  # dated, or not
            page = Page(one, *map(read_bundle, pair), read_text(language))
            lead = paper._lead(page)
            assert lead.count("`small`") == 1 and lead.count("UTC") == times


def test_a_child_process_runs_the_package_it_is_given(small, tmp_path):
    """A package of three functions stands for an old one: it is that one that runs, and its failure is told in its words."""
    home = tmp_path / "source" / "pipeval"
    home.mkdir(parents=True)
    (home / "__init__.py").write_text(
        "import json, os\nclass PipevalError(Exception): pass\ndef read_study(params, data): return params\n"
        "def evaluate(study):\n    if 'bad' in study: raise PipevalError('the design cannot be')\n    if 'worse' in study: 1 / 0\n"
        "    if 'slow' in study: import time; time.sleep(60)\n    return study\n"
        "def save(found, folder):\n    os.makedirs(folder)\n"
        "    json.dump({'study': {'study': found}}, open(os.path.join(folder, 'results.json'), 'w'))\n"
    )
    work = {name: Rerun(name, tmp_path, home.parent) for name in ("good", "bad", "worse")}
    made = run_again(work, tmp_path / "runs", jobs=2, timeout=60)
    assert made["good"].study == {"study": "good"}
    assert made["bad"] == "the design cannot be" and made["worse"] == "ZeroDivisionError: division by zero"
    slow = run_again({"slow": Rerun("slow", tmp_path, home.parent)}, tmp_path / "slow", timeout=0.5)
    assert slow == {"slow": "took more than 0.5 seconds and was stopped"}
