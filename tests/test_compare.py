"""What moved between two reports, and what differs between their inputs."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tracemalloc
import zipfile

import pandas as pd
import pytest
from bundle_fixture import whole

from pipeval.batch import inputs
from pipeval.batch.inputs import Inputs, Store, inputs_of, kept
from pipeval.compare import causes as reasons
from pipeval.compare.again import laid_out, package, zip_digest
from pipeval.compare.causes import causes, data_names, differences, kinds, parts
from pipeval.compare.difference import OWN_KEYS, RESULTS, WHOLE_KEYS, key_columns, matched_rows, moved, same
from pipeval.errors import DataError
from pipeval.report.bundle import Bundle, TableData
from pipeval.study.params import read_study

VERDICTS = pd.DataFrame({"id": ["G1", "G2"], "attainment": ["reached", "not"], "evidence": ["weak", "weak"], "value": [0.1, 0.2]})


def bundle(**tables) -> Bundle:
    return Bundle.build({"study": "toy"}, {name: pd.DataFrame(table) for name, table in tables.items()})


def changed(old: Bundle, new: Bundle) -> list[tuple]:
    return [(c.table, c.row, c.column, c.old, c.new) for c in moved(old, new).numbers]


def test_numbers_are_found_by_key_not_by_place():
    old = bundle(effects={"outcome": ["sales", "jobs"], "estimate": [0.5, 0.2], "n": [10, 10]})
    new = bundle(effects={"outcome": ["jobs", "sales"], "estimate": [0.2, 0.6], "n": [10, 10]})
    found = moved(old, new)
    assert changed(old, new) == [("effects", "outcome=sales", "estimate", 0.5, 0.6)]
    (cell,) = found.numbers
    assert (cell.kind, cell.keys) == ("number", {"outcome": "sales"})
    assert cell.change == pytest.approx(0.1) and cell.relative == pytest.approx(0.2)
    assert found.compared == 6 and not found.identical and found.rows == () and found.ambiguous == {}


def test_a_change_of_a_negative_number_keeps_its_sign():
    (cell,) = moved(
        bundle(t={"outcome": ["a", "b"], "x": [-2.0, 1.0]}), bundle(t={"outcome": ["a", "b"], "x": [-1.0, 1.0]})
    ).numbers
    assert (cell.change, cell.relative) == (1.0, 0.5)


@pytest.mark.parametrize(
    "a, b, largest, alike",
    [
        (1.0, 1.0 + 5e-10, 0, True),
        (1.0, 1.0 + 2e-9, 0, False),
        (1e-15, -3e-15, 1.0, True),  # a share of 1e-12 of the largest of the column
        (1e-11, -1e-11, 1.0, False),
        (None, None, 0, True),
        (None, 0.0, 0, False),
        (3, 3.0, 0, True),
        (True, 1, 0, False),
        ("a", "b", 0, False),
    ],
)
def test_same(a, b, largest, alike):
    assert same(a, b, largest) is alike


def test_what_becomes_undefined_has_moved_without_a_change():
    old, new = bundle(t={"outcome": ["a", "b"], "p": [0.1, 0.2]}), bundle(t={"outcome": ["a", "b"], "p": [0.1, None]})
    (cell,) = moved(old, new).numbers
    assert (cell.row, cell.old, cell.new, cell.change, cell.kind) == ("outcome=b", 0.2, None, None, "number")


def test_rows_tables_and_columns_that_come_and_go():
    old = bundle(t={"outcome": ["a", "b"], "x": [1.0, 2.0]}, gone={"arm": ["c"], "n": [1]})
    new = bundle(t={"outcome": ["b", "c"], "x": [2.0, 3.0], "extra": [5.0, None]})
    found = moved(old, new)
    assert [(r.table, r.row, r.side) for r in found.rows] == [
        ("gone", "arm=c", "removed"),
        ("t", "outcome=a", "removed"),
        ("t", "outcome=c", "added"),
    ]
    assert changed(old, new) == [("t", "outcome=b", "extra", None, 5.0)]


def test_verdicts_are_told_by_axis_and_not_among_the_numbers():
    old = bundle(verdicts=VERDICTS)
    new = bundle(verdicts=VERDICTS.assign(id=["G1", "G3"], evidence=["strong", "weak"], value=[0.15, 0.2]))
    found = moved(old, new)
    assert [dataclasses.astuple(v) for v in found.verdicts] == [
        ("G1", "evidence", "weak", "strong"),
        ("G2", "attainment", "not", None),
        ("G2", "evidence", "weak", None),
        ("G3", "attainment", None, "not"),
        ("G3", "evidence", None, "weak"),
    ]
    assert changed(old, new) == [("verdicts", "id=G1", "value", 0.1, 0.15)]


def test_a_result_is_never_a_key():
    """A status that moves is a cell that moved, not a row that went and another that came."""
    old = bundle(outputs={"activity_id": ["A1", "A1", "A2"], "status": ["late", "done", "late"], "share": [0.5, 1.0, 0.5]})
    new = bundle(outputs={"activity_id": ["A1", "A1", "A2"], "status": ["done", "done", "late"], "share": [0.9, 1.0, 0.5]})
    found = moved(old, new)
    assert found.rows == () and found.ambiguous == {"outputs": 2}
    assert changed(old, new) == [
        ("outputs", "activity_id=A1, #=1", c, a, b) for c, a, b in (("status", "late", "done"), ("share", 0.5, 0.9))
    ]


def test_rows_of_one_key_are_matched_by_content_first():
    old = bundle(overlap={"low": [0.1, 0.2, 0.3], "n": [1, 2, 3]})
    new = bundle(overlap={"low": [0.1, 0.3], "n": [1, 3]})
    found = moved(old, new)
    assert found.numbers == () and [(r.row, r.side) for r in found.rows] == [("#=2", "removed")]
    assert found.ambiguous == {"overlap": 3}


def test_rows_of_one_key_that_all_changed_are_paired_in_order():
    old, new = bundle(overlap={"low": [0.1, 0.2], "n": [1, 2]}), bundle(overlap={"low": [0.1, 0.2], "n": [5, 6]})
    assert changed(old, new) == [("overlap", "#=1", "n", 1, 5), ("overlap", "#=2", "n", 2, 6)]


def test_a_text_beyond_the_key_is_a_cell():
    """The outcome tells the rows apart: what its unit is has moved, and the row has not."""
    old = bundle(t={"outcome": ["a", "b"], "unit": ["jobs", "jobs"], "n": [1, 2]})
    new = bundle(t={"outcome": ["a", "b"], "unit": ["jobs", "pesos"], "n": [1, 2]})
    assert changed(old, new) == [("t", "outcome=b", "unit", "jobs", "pesos")] and moved(old, new).rows == ()


def test_the_number_of_a_matched_set_says_nothing():
    sets = {
        "cohort": [2004, 2004],
        "treated_id": ["F1", "F2"],
        "control_id": ["F8", "F9"],
        "role": ["control"] * 2,
        "distance": [0.1, 0.2],
    }
    assert moved(bundle(match_map={"set_id": [1, 2], **sets}), bundle(match_map={"set_id": [2, 1], **sets})).identical


def test_years_are_keys_and_counts_are_not():
    table = TableData(columns=["arm", "period", "n", "share"], rows=[["a", 2003.0, 5, 0.1], ["a", 2004.0, 5, 0.2]])
    assert key_columns("t", table) == ["arm", "period"]
    other = TableData(columns=table.columns, rows=[["a", 2004, 6, 0.2], ["a", 2003, 5, 0.1]])
    pairs, unclear = matched_rows("t", table, other)
    assert [(i, j) for _, i, j in pairs] == [(0, 1), (1, 0)] and unclear == 0


# Words that say which row it is; a new column of texts in a result table goes either here or into RESULTS.
KEYS = {
    "activity_id", "activity_type", "adjusted", "applies_to", "area", "arm", "assessor", "base", "branch", "branch_control",
    "branch_treated", "by", "cell", "characteristic", "check", "cluster_id", "cluster_type", "cohort", "column", "comparison",
    "component", "condition_id", "control_id", "country", "covariate", "criterion", "definition", "design", "division", "dose",
    "estimand", "event", "exp_status_baseline", "exp_status_baseline_control", "exp_status_baseline_treated", "factor",
    "finding_id", "firm_id", "from", "group", "horizon", "id", "indicator", "input", "item", "key", "kind", "lag", "left_out",
    "level", "margin", "measure", "method", "mode", "moment", "norm", "on", "outcome", "outliers", "owner_gender", "part",
    "period_end", "phase", "placebo", "population", "post", "prices", "profile", "programme", "provider_id", "quarter",
    "received", "refers_to", "role", "row", "row_key", "rubric", "rule", "sample", "scale", "second", "sector", "sense",
    "service_id", "side", "size_class", "size_class_control", "size_class_treated", "source", "stage", "step", "study", "subject",
    "table", "term", "territory", "test", "to", "treated_id", "type", "unit", "variant", "wave", "weighting", "first", "last",
}  # fmt: skip


def sorted_out(made: Bundle) -> dict[str, int]:
    """Prove that no column of texts is unknown and no result serves as a key; the tables whose rows no key tells apart."""
    unknown, unclear = set(), {}
    for name, table in made.tables.items():
        keys = key_columns(name, table)
        unknown |= {c for c in keys if c not in KEYS | WHOLE_KEYS and name not in OWN_KEYS}
        assert name in OWN_KEYS or not RESULTS & set(keys), name
        _, count = matched_rows(name, table, table)
        if count:
            unclear[name] = count
    assert not unknown
    assert moved(made, made).identical
    return unclear


BY_PLACE = {"overlap", "return_draws_hist", "statements"}
"""Tables of bins, or of remarks: their rows have no name."""


def test_every_column_of_a_report_is_a_key_or_a_result(road):
    stages = [stage for stage in road.values() if hasattr(stage, "tables")]
    made = Bundle.build({"study": "sample"}, {name: table for stage in stages for name, table in stage.tables.items()})
    unclear = sorted_out(made)
    assert set(unclear) <= BY_PLACE, unclear


@pytest.mark.parametrize("stage", ["midterm", "final"])
def test_every_column_of_reports_made_by_hand_is_a_key_or_a_result(stage):
    assert set(sorted_out(whole(stage))) <= BY_PLACE | {"sensitivity", "assumptions"}  # these two without the names they have


def test_the_difference_loads_lightly():
    code = "import sys, pipeval.compare.difference; print([m for m in ('statsmodels', 'scipy', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Causes


def recorded(small, store: Store) -> Inputs:
    record, sources = inputs_of(small.read(), str(small.params))
    kept(record, sources, store)
    return record


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "kept")


def of(old: Inputs, new: Inputs, store: Store, tmp_path):
    trees = tuple(laid_out(record, store, tmp_path / name) for name, record in (("old", old), ("new", new)))
    return causes(old, new, (store, store), trees)


def test_cells_are_named_by_firm_and_corrections_as_such(small, store, tmp_path):
    old = recorded(small, store)
    before = small.tables["survey"].loc[11, "sales_kmxn"]
    small.cell("survey", 3, "sales_kmxn", 1700.0)
    small.tables["corrections"] = pd.DataFrame(
        [
            {
                "table": "survey",
                "key": "F03|2005",
                "column": "sales_kmxn",
                "old": str(before),
                "new": "2500",
                "source": "letter",
                "date": "2006-01-10",
            }
        ]
    )
    found = of(old, recorded(small.save(), store), store, tmp_path)
    assert found.kinds == ("data",) and found.decisions == found.versions == found.modules == ()
    assert [dataclasses.astuple(c) for c in found.cells] == [
        ("survey", "F01", "F01|2005", "sales_kmxn", pytest.approx(1528.1, abs=50), 1700.0, False),
        ("survey", "F03", "F03|2005", "sales_kmxn", before, 2500.0, True),
    ]
    assert [(f.name, f.side, f.silent) for f in found.files] == [
        ("corrections.csv", "added", False),
        ("survey.csv", "changed", False),
    ]
    assert [(c["key"], c["new"], c["date"]) for c in found.corrections] == [("F03|2005", "2500", "2006-01-10")]


def test_firms_and_rows_that_come_and_go(small, store, tmp_path):
    old = recorded(small, store)
    small.tables["enterprises"] = small.tables["enterprises"].query("firm_id != 'F12'")
    small.tables["survey"] = small.tables["survey"].query("firm_id != 'F12'")
    found = of(old, recorded(small.save(), store), store, tmp_path)
    assert found.firms_removed == ("F12",) and found.firms_added == () and found.cells == ()
    assert [(r.table, r.key, r.side) for r in found.rows] == [("enterprises", "F12", "removed")] + [
        ("survey", f"F12|{year}", "removed") for year in (2002, 2003, 2004, 2005)
    ]


def test_a_file_that_changes_no_proved_cell_is_silent(small, store, tmp_path):
    old = recorded(small, store)
    later = small.tables["survey"].query("ref_year == 2005").assign(ref_year=2006)  # not finished at the evaluation: masked
    small.tables["survey"] = pd.concat([small.tables["survey"], later], ignore_index=True)
    found = of(old, recorded(small.save(), store), store, tmp_path)
    assert found.kinds == ("data",) and found.cells == found.rows == ()
    assert [(f.name, f.silent) for f in found.files] == [("survey.csv", True)]


def test_what_params_change_is_not_taken_for_data(small, store, tmp_path):
    old = recorded(small, store)
    found = of(
        old,
        recorded(small.planned(as_of="2005-03-31", did={"method": "reg", "covariates": ["ln_workers"]}), store),
        store,
        tmp_path,
    )
    assert found.kinds == ("decisions",) and found.cells == found.rows == found.files == ()
    assert {(d.key, str(d.old), str(d.new)) for d in found.decisions} == {
        ("as_of", "2006-03-31", "2005-03-31"),
        ("did.method", "dr", "reg"),
        ("did.covariates", "[]", "['ln_workers']"),
    }


def test_the_same_data_in_another_folder_and_other_comments_are_nothing(small, store, tmp_path):
    old = recorded(small, store)
    (small.root / "elsewhere").mkdir()
    for path in small.data.iterdir():
        path.rename(small.root / "elsewhere" / path.name)
    small.plan["data"]["folder"] = "elsewhere"
    small.params.write_text("# a comment\n" + json.dumps(small.plan), encoding="utf-8")
    new = recorded(small, store)
    assert kinds(old, new) == () and old.files != new.files


def test_data_files_are_named_below_the_folder_that_was_given(small, store):
    record = dataclasses.replace(recorded(small, store), data="given_data", files={"given_data/survey/a.csv": "1"})
    assert data_names(record) == {"survey/a.csv": "given_data/survey/a.csv"}
    assert data_names(dataclasses.replace(record, data="")) == {"a.csv": "given_data/survey/a.csv"}


def test_log_frame_by_indicator_and_key(small, store, tmp_path):
    frame = "indicators:\n- {id: G1, target: 0.1, text: {en: Sales}}\n- {id: G2, target: 5, text: {en: Jobs}}\n"
    (small.root / "own.yaml").write_text(frame)
    small.planned(logframe="own.yaml")
    old = recorded(small, store)
    (small.root / "own.yaml").write_text(frame.replace("0.1", "0.2"))
    found = of(old, recorded(small, store), store, tmp_path)
    assert [dataclasses.astuple(d) for d in found.decisions] == [("logframe", "indicators.G1.target", 0.1, 0.2)]
    assert found.kinds == ("decisions",) and found.files == ()


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi")),
        "a: " + "[" * 100_000,
        "a: 1\n" * 100_000,
        "a: !!python/object/apply:os.system [echo]",
    ],
    ids=["references", "depth", "size", "object"],
)
def test_a_log_frame_that_would_fill_the_memory_is_refused(bomb, small, store, tmp_path):
    """What is kept came from elsewhere, as the log frame of any study may: nine references of nine are nine to the ninth texts."""
    (small.root / "own.yaml").write_text("indicators: []\n")
    old = recorded(small.planned(logframe="own.yaml"), store)
    digest = hashlib.sha256(bomb.encode()).hexdigest()
    store.put(digest, bomb.encode())
    new = dataclasses.replace(old, files=old.files | {"own.yaml": digest})
    tracemalloc.start()
    try:
        found = causes(old, new, (store, store), None)
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(d.place, d.key, d.new) for d in found.decisions] == [("logframe", "own.yaml", digest[:12])]
    assert found.messages[0].startswith("what differs in own.yaml is not known: what is kept of it") and used < 60e6
    assert str(tmp_path) not in found.messages[0] and "kept.yaml" not in found.messages[0]


def test_lists_of_entries_are_read_by_id():
    old = {"outcomes": [{"id": "a", "scale": "log"}, {"id": "b", "scale": "log"}], "years": [1, 2]}
    new = {"outcomes": [{"id": "b", "scale": "level"}, {"id": "c", "scale": "log"}], "years": [1, 3]}
    found = {".".join(path): (a, b) for path, a, b in differences(old, new)}
    assert set(found) == {"outcomes.a", "outcomes.b.scale", "outcomes.c", "years"}
    assert found["outcomes.b.scale"] == ("log", "level") and found["years"] == ([1, 2], [1, 3])
    assert reasons.absent(found["outcomes.a"][1]) and reasons.absent(found["outcomes.c"][0])


def test_every_differing_part_has_one_cause(small, store):
    """All fields of the record differ; each difference is one part, and its cause is the one of the design."""
    small.planned(report={"languages": ["en"], "look": {"style": "own.css"}}, logframe="own.yaml")
    (small.root / "own.css").write_text("p {}")
    (small.root / "own.yaml").write_text("indicators: []\n")
    old = recorded(small, store)
    other = json.loads(json.dumps(dataclasses.asdict(old)))
    other |= {"study": "b", "params": "params/b.yaml", "data": "", "notebook": "n", "source": "s"}
    other["decisions"] |= {"did": {**other["decisions"]["did"], "method": "reg"}, "study": "b"}
    other["decisions"]["report"]["author"] = "another"
    other["files"] = dict.fromkeys(old.files, "0" * 64)
    other["written"] = {"params/b.yaml": "1"}
    other["versions"]["numpy"] = "0"
    new = Inputs(**other)
    assert parts(old, new) == {
        "file:enterprises.csv": "data",
        "file:survey.csv": "data",
        "file:own.css": "look",
        "file:own.yaml": "decisions",
        "study": "decisions",
        "decisions.study": "decisions",
        "decisions.did.method": "decisions",
        "decisions.report.author": "look",
        "notebook": "code",
        "source": "code",
        "versions.numpy": "versions",
        "params": "look",
        "written": "look",
    }
    assert kinds(old, new) == ("data", "decisions", "code", "versions")
    for name in dataclasses.asdict(old):
        alone = dataclasses.replace(old, **{name: getattr(new, name)})
        assert (parts(old, alone) == {}) == (getattr(old, name) == getattr(new, name)), name
    assert parts(old, old) == {} and kinds(old, old) == ()


def test_another_wording_of_the_params_is_told_only_where_no_decision_differs(small, store):
    old = recorded(small, store)
    small.params.write_text("# the same decisions\n" + small.params.read_text("utf-8"), "utf-8")
    new = recorded(small, store)
    assert [part.name for part in causes(old, new, (store, store), None).look] == ["written"]
    decided = recorded(small.planned(did={"method": "reg"}), store)
    assert parts(old, decided)["written"] == "look" and causes(old, decided, (store, store), None).look == ()


def test_an_installed_package_and_its_source_are_the_same_code(tmp_path, monkeypatch):
    """A wheel holds every notebook, a source tree none inside the package; only those of the stages enter a report."""
    source, installed = inputs.package_files(), tmp_path / "site" / "pipeval"
    shutil.copytree(inputs.package_root(), installed, ignore=shutil.ignore_patterns("__pycache__", "notebooks"))
    shutil.copytree(inputs.notebook_path("final").parent, installed / "notebooks")
    monkeypatch.setattr(inputs, "package_root", lambda: installed)
    assert {n: p.read_bytes() for n, p in inputs.package_files().items()} == {n: p.read_bytes() for n, p in source.items()}


def test_the_notebook_of_another_stage_is_no_other_code(small, store):
    old = recorded(small, store)
    new = recorded(small.planned(stage="baseline"), store)
    assert old.notebook != new.notebook and kinds(old, new) == ("decisions",)
    assert kinds(old, dataclasses.replace(old, notebook="n")) == ("code",)


# Packages


def patched(store: Store, digest: str, module: str, before: str, after: str) -> str:
    """Keep a copy of a kept package in which one module says something else; its digest."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(store.take(digest))) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == f"pipeval/{module}":
                assert before.encode() in content
                content = content.replace(before.encode(), after.encode())
            new.writestr(name, content)
    with zipfile.ZipFile(made) as archive:
        other = zip_digest(archive)
    store.put(other, made.getvalue())
    return other


def test_modules_that_changed_are_named(small, store, tmp_path):
    old = recorded(small, store)
    other = patched(store, old.source, "__init__.py", '__version__ = "', '__version__ = "9.')
    new = dataclasses.replace(old, source=other)
    found = of(old, new, store, tmp_path)
    assert found.kinds == ("code",) and [(m.name, m.side) for m in found.modules] == [("__init__.py", "changed")]
    assert found.pipeval is not None and found.pipeval.new == f"9.{found.pipeval.old}"
    assert (package(other, store, tmp_path / "packages") / "pipeval" / "cli.py").is_file()


def test_a_kept_package_is_proved(small, store, tmp_path):
    old = recorded(small, store)
    with zipfile.ZipFile(io.BytesIO(store.take(old.source))) as archive:
        assert zip_digest(archive) == old.source
    store.put("1" * 64, store.take(old.source))
    with pytest.raises(DataError, match="must be what its name says"):
        package("1" * 64, store, tmp_path)
    with pytest.raises(DataError, match="is not kept any more"):
        package("2" * 64, store, tmp_path)


def test_a_lost_input_is_said(small, store, tmp_path):
    record = recorded(small, store)
    (store.folder / record.files["data/survey.csv"]).unlink()
    with pytest.raises(DataError, match=r"not kept: 1 file \(data/survey.csv\)"):
        laid_out(record, store, tmp_path / "tree")


def test_data_that_cannot_be_read_are_said(small, store, tmp_path):
    old = recorded(small, store)
    new = recorded(small.file("survey.csv", "firm_id;ref_year\n"), store)
    found = of(old, new, store, tmp_path)
    assert found.kinds == ("data",) and found.cells == () and [f.name for f in found.files] == ["survey.csv"]
    assert "which cells differ is not known" in found.messages[0]


def test_read_study_reads_the_laid_out_tree(small, store, tmp_path):
    tree = laid_out(recorded(small, store), store, tmp_path / "tree")
    assert read_study(tree.params, tree.data).study == "small" and tree.data == tmp_path / "tree" / "data"
