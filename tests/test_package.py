"""The reproducibility package: complete, the same every time, installable, and it reproduces; nothing of this machine in it."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from conftest import SmallStudy

from pipeval.batch.inputs import Store, inputs_of, kept, source_digest, source_zip
from pipeval.cli import main
from pipeval.errors import DataError, UsageError, collected
from pipeval.evaluation import evaluate
from pipeval.release import package as packaging
from pipeval.release.exhibits import exhibits, read_origins, references, seeds
from pipeval.release.package import MANIFEST, package
from pipeval.release.readme import plain
from pipeval.release.software import requirements, source_digest_of, wheel
from pipeval.release.template import run as entry
from pipeval.release.traces import machine_paths, paths_in, telling_words, words_in
from pipeval.report.bundle import Bundle, read_bundle
from pipeval.report.document import markdown
from pipeval.report.save import save
from pipeval.report.tables import read_layout
from pipeval.report.text import read_text

NOTEBOOK = {
    "metadata": {"kernelspec": {"name": "python3"}, "papermill": {"output_path": "far/away", "start_time": "2026-01-01"}},
    "cells": [
        {"cell_type": "code", "metadata": {"papermill": {"duration": 1.0}, "tags": ["parameters"]}, "outputs": [], "source": "1"}
    ],
}


def reported(root: Path) -> Path:
    """The report of a small study as a batch leaves it: bundle, notebook, log, record; inputs kept beside it."""
    small = SmallStudy(root)
    few = {"permutations": 99, "simulations": 20}
    small.planned(stage="baseline", as_of="2004-06-30", sensitivity=few)  # the quickest stage
    small.planned(programme={"executing_agency": "Agency <of> firms"})
    study = small.read()
    out = root / "reports"
    with collected():
        folder = save(evaluate(study), out / "small")
    record, sources = inputs_of(study, str(small.params))
    kept(record, sources, Store(out / ".pipeval" / "inputs"))
    (folder / "inputs.json").write_bytes(record.as_bytes())
    (folder / "run.json").write_text(json.dumps({"study": "small", "seconds": 72.4}), encoding="utf-8")
    (folder / "notebook.ipynb").write_text(json.dumps(NOTEBOOK), encoding="utf-8")
    (folder / "run.log").write_text(f"wrote {folder}", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    return reported(tmp_path_factory.mktemp("study"))


@pytest.fixture
def report(original, tmp_path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(original.parent, tmp_path / "reports")
    return tmp_path / "reports" / "small"


@pytest.fixture(scope="module")
def made(original, tmp_path_factory) -> Path:
    return package(original, tmp_path_factory.mktemp("out")).place


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_package_holds_what_it_must(made, original):
    names = set(contents(made))
    assert made.name == "small_package"
    assert {"README.md", "run.py", "requirements.txt", "LICENSE.txt", MANIFEST, "params/small.yaml"} <= names
    assert {"data/enterprises.csv", "data/survey.csv", "reports/small/results.json", "reports/small/inputs.json"} <= names
    assert (made / "reports/small/results.json").read_bytes() == (original / "results.json").read_bytes()
    assert len([n for n in names if n.startswith("software/pipeval-") and n.endswith("-py3-none-any.whl")]) == 1
    assert "reports/small/run.log" not in names
    assert "MIT License" in (made / "LICENSE.txt").read_text(encoding="utf-8")


def test_the_manifest_names_every_other_file_with_its_hash(made):
    lines = (made / MANIFEST).read_text(encoding="utf-8").splitlines()
    said = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    assert said == {n: hashlib.sha256(c).hexdigest() for n, c in contents(made).items() if n != MANIFEST}
    assert entry.changed_files(made) == []


def test_the_same_report_gives_the_same_bytes(original, made, tmp_path):
    again = package(original, tmp_path / "deep" / "er").place
    assert contents(again) == contents(made)
    zips = [package(original, tmp_path / name, zipped_whole=True).place for name in ("a", "b")]
    assert zips[0].name == "small_package.zip"
    assert zips[0].read_bytes() == zips[1].read_bytes()
    with zipfile.ZipFile(zips[0]) as archive:
        assert {n: archive.read(n) for n in archive.namelist()} == {f"small_package/{n}": c for n, c in contents(made).items()}


def test_the_readme_answers_what_a_reviewer_asks(made):
    text = (made / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# A small programme: reproducibility package\n\n> **Not for publication.**")
    assert text.count("\n## ") == 11
    row = next(line for line in text.splitlines() if line.startswith("| `data/survey.csv`"))
    digest = hashlib.sha256((made / "data/survey.csv").read_bytes()).hexdigest()
    assert row == rf"| `data/survey.csv` | survey of firms | 48 | 5 | confidential | Agency \<of\> firms | `{digest}` |"
    assert "Financier: not stated. Author of the evaluation: not stated." in text
    assert "time: 72 seconds" in text
    assert "cores: not recorded" in text
    assert "`did.seed` 20031121" in text
    assert f"pip install -r requirements.txt software/{next((made / 'software').iterdir()).name}" in text
    assert "`run.log`" in text
    assert "- Rosenbaum, P. (2010). *Design of Observational Studies*. Springer." in text
    assert "Callaway" not in text  # a baseline study estimates no effect


def test_the_readme_speaks_the_language_asked_for(original, tmp_path):
    for language, word in (("es", "No apto para publicación"), ("pt", "Não se destina a publicação")):
        text = (package(original, tmp_path, language=language).place / "README.md").read_text(encoding="utf-8")
        assert word in text
        assert not re.search(r"(?<![$\w])\{\w+\}|not stated", text)


def test_exhibits_are_numbered_as_on_paper(original):
    bundle, text = read_bundle(original), read_text("en", "en_US")
    found = exhibits(bundle, text, original)
    printed = re.findall(r"^:+ \{#tbl-", markdown(bundle, text, {}), re.MULTILINE)
    assert [e.number for e in found if e.kind == "table"] == list(range(1, len(printed) + 1))
    balance = next(e for e in found if e.table == "balance")
    assert (balance.function, balance.stage) == ("did.estimate.balance_of", "control_group")
    assert found[-1].table == "provenance"
    assert all(e.caption and e.table and e.function for e in found)


def test_figures_are_listed_when_they_were_drawn(report):
    bundle, text = read_bundle(report), read_text("en", "en_US")
    assert not [e for e in exhibits(bundle, text, report) if e.kind == "figure"]
    (report / "figures").mkdir()
    for name in ("overlap", "balance", "trends"):  # a baseline study shows no trends
        (report / "figures" / f"{name}.es.png").write_bytes(b"")
    figures = [(e.number, e.table, e.function) for e in exhibits(bundle, text, report) if e.kind == "figure"]
    assert figures == [(1, "overlap", "figures.matches.overlap"), (2, "balance", "figures.matches.love_plot")]


def test_every_table_and_figure_has_an_origin_that_exists(road):
    from pipeval.report.drawing import FIGURES

    origins = read_origins()
    stages = [stage for stage in road.values() if hasattr(stage, "tables")]
    assert {name for stage in stages for name in stage.tables} <= set(origins.tables)
    printed = {b.get("table") or b.get("findings") for section in read_layout().sections.values() for b in section} - {None}
    assert printed <= set(origins.tables)
    assert set(origins.figures) == set(FIGURES)
    for function in {*origins.tables.values(), *origins.figures.values()}:
        module, _, name = function.rpartition(".")
        assert callable(getattr(importlib.import_module(f"pipeval.{module}"), name)), function
    road_stages = {"start": "baseline", "group": "control_group", "power": "detectable", "found": "effects", "firm": "robustness"}
    road_stages |= {"data": "proved_data", "judged": "verdicts", "done": "programme", "worth": "value"}
    for key, stage in road_stages.items():
        assert {origins.stages[name] for name in road[key].tables} == {stage}, stage


def test_references_follow_what_a_study_uses():
    table = pd.DataFrame({"n": [1]})
    works = references(Bundle.build({"did": {"method": "imputation"}}, {"attrition_bounds": table}))
    assert [w.split(",")[0] for w in works] == ["Borusyak", "Lee"]
    assert seeds({"did": {"seed": 1, "draws": 99}, "a": {"b": {"seed": 2}}, "list": [1]}) == {"did.seed": 1, "a.b.seed": 2}


def test_the_wheel_is_one(tmp_path):
    name, content = wheel(source_zip())
    assert wheel(source_zip())[1] == content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = next(n.partition("/")[0] for n in archive.namelist() if ".dist-info/" in n)
        assert name == f"{info.removesuffix('.dist-info')}-py3-none-any.whl"
        record = archive.read(f"{info}/RECORD").decode().splitlines()
        assert sorted(line.split(",")[0] for line in record) == sorted(archive.namelist())
        said = archive.read(f"{info}/METADATA").decode()
        archive.extractall(tmp_path)
    assert "Requires-Dist: numpy>=" in said
    assert "Requires-Dist: papermill>=2.6; extra == " in said
    assert "jupyterlab" not in said
    assert (tmp_path / "pipeval" / "notebooks" / "final.ipynb").is_file()
    with pytest.raises(DataError, match="not a zip of the package"):
        wheel(b"PK nothing")


def test_the_wheel_can_be_made_where_the_package_was_installed(monkeypatch, tmp_path):
    from pipeval.release import software

    class Installed:
        requires = ("numpy>=2.0", 'papermill>=2.6; extra == "report"', 'sphinx; extra == "docs"')
        metadata = {"Requires-Python": ">=3.11", "Summary": "A summary"}  # noqa: RUF012

        def read_text(self, name):
            return "MIT License" if name == "licenses/LICENSE" else None

    monkeypatch.setattr(software, "package_root", lambda: tmp_path / "site-packages" / "pipeval")
    monkeypatch.setattr(software.metadata, "distribution", lambda name: Installed())
    with zipfile.ZipFile(io.BytesIO(wheel(source_zip())[1])) as archive:
        said = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
        assert archive.read(next(n for n in archive.namelist() if n.endswith("licenses/LICENSE"))) == b"MIT License"
    assert "Requires-Dist: numpy>=2.0\n" in said
    assert "sphinx" not in said


def test_requirements_are_names_and_versions():
    versions = {"python": "3.11.7", "numpy": "2.4.6", "Babel": "2.18", "typst": "not installed"}
    assert requirements(versions) == "Babel==2.18\nnumpy==2.4.6\n"


def test_the_digest_of_a_kept_source_is_that_of_the_package():
    assert source_digest_of(source_zip()) == source_digest()
    assert source_digest_of(b"no zip") == ""


def _run(place: Path, site: Path) -> tuple[int, str]:
    environment = os.environ | {"PYTHONPATH": str(site), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "run.py", "--fast"]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def test_it_runs_by_itself_and_reproduces(made, tmp_path):
    """All but the new environment: the wheel unpacked in the place of an installation, the program in a process of its own."""
    place, site = tmp_path / "elsewhere", tmp_path / "site"
    shutil.copytree(made, place)
    with zipfile.ZipFile(next((place / "software").iterdir())) as archive:
        archive.extractall(site)
    code, said = _run(place, site)
    assert code == 0, said
    assert re.search(r"^reproduced: \d+ tables, [\d,]+ cells the same", said, re.MULTILINE)
    assert "note:" not in said
    assert (place / "made" / "small" / "results.json").is_file()


def test_what_is_not_reproduced_is_named(made, tmp_path, monkeypatch, capsys):
    place = tmp_path / "elsewhere"
    shutil.copytree(made, place)
    (place / "data" / "survey.csv").write_text("firm_id\n", encoding="utf-8")
    old = json.loads((place / "reports/small/results.json").read_text(encoding="utf-8"))
    table = next(iter(old["tables"]))

    def another(folder, papers=True):
        folder.mkdir(parents=True)
        rows = [["changed", *row[1:]] for row in old["tables"][table]["rows"]]
        new = old | {"tables": old["tables"] | {table: old["tables"][table] | {"rows": rows}}, "provenance": {}}
        (folder / "results.json").write_text(json.dumps(new), encoding="utf-8")
        return 0

    for name, value in {"HERE": place, "STUDY": "small", "make": another}.items():
        monkeypatch.setattr(entry, name, value)
    assert entry.main(["--out", str(tmp_path / "made"), "--fast"]) == 13
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "note: data/survey.csv is not as packaged"
    first = old["tables"][table]
    n = len(first["rows"])
    assert said[1] == f"differs: table {table}, row 1, {first['columns'][0]}: {first['rows'][0][0]} -> changed"
    assert said[-1].startswith(f"not reproduced: {n} differences in ")
    monkeypatch.setattr(entry, "make", lambda folder, papers=True: 10)
    assert entry.main(["--out", str(tmp_path / "other")]) == 10


def test_what_counts_as_a_difference():
    def results(value, rows=1, note=1.0):
        table = {"columns": ["id", "x"], "rows": [["a", value]] * rows}
        notes = [{"key": "k", "text": "t", "values": {"n": note}}]
        return {"study": {"study": "s"}, "tables": {"t": table}, "notes": notes, "provenance": {"python": str(value)}}

    assert entry.differences(results(1.0), results(1.0 + 1e-10)) == (2, [])
    assert entry.differences(results(None), results(None)) == (2, [])
    assert entry.differences(results(1.0), results(1.00000001)) == (2, ["table t, row 1, x: 1.0 -> 1.00000001"])
    assert entry.differences(results(1), results(True))[1] == ["table t, row 1, x: 1 -> True"]
    assert entry.differences(results(1.0), results(None))[1] == ["table t, row 1, x: 1.0 -> None"]
    assert entry.differences(results(1.0), results(1.0, rows=2))[1] == ["table t: 1 x 2 -> 2 x 2 rows x columns"]
    assert entry.differences(results(1.0), results(1.0, note=2.0))[1] == ["notes: 1 -> 1, or other words"]
    assert entry.differences(results(1.0), results(1.0) | {"tables": {}})[1] == ["table t: only in the packaged results"]
    assert entry.differences(results(1.0), results(1.0) | {"study": {}})[1] == ["decision study: s -> None"]


def test_other_versions_are_named(tmp_path):
    (tmp_path / "requirements.txt").write_text("numpy==0.1\nno-such-package==1.0\n", encoding="utf-8")
    here, absent = entry.other_versions(tmp_path)
    assert here.startswith("the report was made with numpy 0.1; here: 2")
    assert absent == "the report was made with no-such-package 1.0; here: not installed"


def test_nothing_of_this_machine_is_in_it(made, original):
    assert paths_in(contents(made), machine_paths(original.parent)) == {}
    notebook = json.loads((made / "reports/small/notebook.ipynb").read_text(encoding="utf-8"))
    assert notebook["metadata"] == {"kernelspec": {"name": "python3"}}
    assert notebook["cells"][0]["metadata"] == {"tags": ["parameters"]}


def test_a_notebook_that_tells_places_stays_at_home(report, tmp_path):
    book = NOTEBOOK | {"cells": [NOTEBOOK["cells"][0] | {"source": f"params_path = '{report.parent}/runs/x.yaml'"}]}
    (report / "notebook.ipynb").write_text(json.dumps(book), encoding="utf-8")
    folder = package(report, tmp_path / "out").place
    assert not (folder / "reports/small/notebook.ipynb").exists()
    assert "`notebook.ipynb`, `run.log`" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_report_that_tells_places_is_refused_and_nothing_is_left(report, tmp_path):
    with zipfile.ZipFile(report / "report.en.docx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f"<t>{report.parent}/x</t>")
    with pytest.raises(DataError, match=r"no path of this machine; one stands in 1 file \(report\.en\.docx\)"):
        package(report, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_inputs_that_tell_places_are_said(report, tmp_path, capsys):
    assert main(["package", str(report), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "it holds confidential figures of firms and is not for publication" in said
    assert "as it was given" not in said


def test_paths_are_found_however_they_are_written(tmp_path):
    place = Path("/srv/data of ana")
    written = machine_paths(place)
    told = {"a.txt": b"in /srv/data of ana/x", "b.html": b'href="file:///srv/data%20of%20ana/x"', "c.txt": b"/srv/data of anabel"}
    assert set(paths_in(told, written)) == {"a.txt", "b.html"}
    assert paths_in({"d.html": b"base64,AAAA/srv/data%20of%20ana/x"}, written) == {}


def test_words_that_tell_a_firm_are_found():
    firms = pd.DataFrame({"firm_id": ["GT-001", "7"], "branch": ["leather", "leather"], "rfc": ["ABC010203XY1", "none"]})
    firms["owner"] = ["Ana María Núñez", "x"]
    firms["municipality"] = ["León", "León (XYZ990101AB1)"]  # a tax number is found in any column
    firms["seen_in"] = ["services", "beneficiary"]  # words of the contract tell of no firm
    frames = {"enterprises": firms, "series": pd.DataFrame({"series": ["consumer prices"]})}
    words = telling_words(frames)
    assert words == {"gt-001", "abc010203xy1", "xyz990101ab1", "ana maría núñez"}
    files = {"a.csv": b"firm,GT-001\n", "b.md": "ANA MARÍA NÚÑEZ".encode(), "c.csv": b"GT-0012,leather,7"}
    assert words_in(files, words) == {"a.csv": ["gt-001"], "b.md": ["ana maría núñez"]}
    assert words_in({"x.txt": b"tax number XAXX010101000."}, set()) == {"x.txt": ["xaxx010101000"]}
    with zipfile.ZipFile(made := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sheet.xml", "<v>GT-001</v>" * 50)
    assert words_in({"annex.xlsx": made.getvalue()}, words) == {"annex.xlsx": ["gt-001"]}
    assert words_in({"GT-001.txt": b""}, words) == {"GT-001.txt": ["gt-001"]}
    assert words_in({"p.png": b"\x89PNG GT-001 "}, words) == {}
    placed = io.BytesIO()
    with zipfile.ZipFile(placed, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", '<c r="C10" t="s"><v>3</v></c><hyperlink ref="C10"/>')
        archive.writestr("xl/media/a.png", b"\x89PNG c10 ")
    assert words_in({"annex.xlsx": placed.getvalue()}, {"c10"}) == {}  # the place of a cell is no business cluster


def test_only_a_package_is_replaced(original, tmp_path):
    (tmp_path / "small_package").mkdir()
    (tmp_path / "small_package" / "thesis.docx").write_bytes(b"x")
    with pytest.raises(UsageError, match="replaces only a package"):
        package(original, tmp_path)
    assert (tmp_path / "small_package" / "thesis.docx").is_file()


def test_a_package_is_written_whole_or_not_at_all(original, tmp_path, monkeypatch):
    first = package(original, tmp_path).place
    (first / "old.txt").write_text("from before", encoding="utf-8")
    real, calls = Path.write_bytes, []

    def full(path, content):
        calls.append(path)
        if len(calls) > 5:
            raise OSError(28, "No space left on device")
        return real(path, content)

    before = contents(first)
    monkeypatch.setattr(packaging.tempfile, "TemporaryDirectory", packaging.tempfile.TemporaryDirectory)
    monkeypatch.setattr(packaging, "_write", _with(packaging._write, full, monkeypatch))
    assert main(["package", str(original), "--out", str(tmp_path)]) == 1
    monkeypatch.undo()
    assert contents(first) == before
    assert [p.name for p in tmp_path.iterdir()] == ["small_package"]
    package(original, tmp_path)
    assert not (first / "old.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["small_package"]


def _with(write, writer, monkeypatch):
    """`write` with another way of writing files, only while it runs."""

    def run(made, target):
        with monkeypatch.context() as inner:
            inner.setattr(Path, "write_bytes", writer)
            write(made, target)

    return run


@pytest.mark.parametrize("lost", ["source", "data"])
def test_what_is_not_kept_is_said(report, tmp_path, lost):
    record = json.loads((report / "inputs.json").read_text(encoding="utf-8"))
    digest = record["source"] if lost == "source" else record["files"]["data/survey.csv"]
    (report.parent / ".pipeval" / "inputs" / digest).unlink()
    with pytest.raises(DataError, match="source is not kept" if lost == "source" else r"not kept: 1 file \(data/survey\.csv\)"):
        package(report, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_changed_source_is_refused(report, tmp_path):
    record = json.loads((report / "inputs.json").read_text(encoding="utf-8"))
    with zipfile.ZipFile(report.parent / ".pipeval" / "inputs" / record["source"], "a") as archive:
        archive.writestr("pipeval/more.py", "x = 1")
    with pytest.raises(DataError, match="the one that made the report"):
        package(report, tmp_path / "out")


def test_a_bundle_without_its_record_cannot_be_packaged(report, tmp_path):
    (report / "inputs.json").unlink()
    with pytest.raises(DataError, match=r"holds no inputs\.json"):
        package(report, tmp_path / "out")


def test_a_tree_that_would_hide_the_packages_own_files_moves_down(tmp_path):
    small = SmallStudy(tmp_path / "study")
    (small.root / "data").rename(small.root / "reports")
    small.plan["data"] = {"folder": "reports"}
    small.params.write_text(__import__("yaml").safe_dump(small.plan), encoding="utf-8")
    record, sources = inputs_of(small.read(), str(small.params))
    kept(record, sources, Store(tmp_path / ".pipeval" / "inputs"))
    folder = tmp_path / "small"
    with collected():
        save_empty(folder, small)
    (folder / "inputs.json").write_bytes(record.as_bytes())
    made = package(folder, tmp_path / "out").place
    assert (made / "inputs" / "reports" / "survey.csv").is_file()
    assert (made / "inputs" / "params" / "small.yaml").is_file()
    program = (made / "run.py").read_text(encoding="utf-8")
    assert 'TREE, PARAMS, DATA, STUDY = "inputs", "params/small.yaml", "", "small"' in program
    assert "| `inputs/reports/survey.csv` |" in (made / "README.md").read_text(encoding="utf-8")


def save_empty(folder: Path, small: SmallStudy) -> None:
    """A bundle of that study without any table."""
    from pipeval.report.bundle import save as save_bundle

    study = small.read().model_dump(mode="json", exclude={"data": {"folder"}})
    save_bundle(Bundle.build(study, {}), folder)


def test_texts_of_others_stay_texts():
    assert plain("a|b <script> [x](y) `z` 5.2_1\n") == r"a\|b \<script\> \[x\](y) \`z\` 5.2\_1"


@pytest.fixture
def published(monkeypatch):
    """Packages made public with a stand-in for the public-use file: the small study, its firms renamed; a list of spoilers."""
    spoil = []

    def public_files(study, results, out):
        small = SmallStudy(out)
        small.plan = small.plan | {"stage": "baseline", "as_of": "2004-06-30", "report": {"languages": ["en"]}}
        small.plan["sensitivity"] = {"permutations": 99, "simulations": 20}
        for name, table in small.tables.items():
            small.tables[name] = table.assign(firm_id=table["firm_id"].str.replace("F", "P"))
        small.save()
        (out / "risk.md").write_text("# Risk", encoding="utf-8")
        for change in spoil:
            change(out)

    stand_in = types.ModuleType("pipeval.release.public")
    stand_in.public_files = public_files
    monkeypatch.setitem(sys.modules, "pipeval.release.public", stand_in)
    monkeypatch.delitem(sys.modules, "pipeval.release.publication", raising=False)
    monkeypatch.setattr("pipeval.report.render.render", lambda folder, languages: [])
    yield spoil
    sys.modules.pop("pipeval.release.publication", None)


def test_a_public_package_holds_nothing_of_the_original(original, published, tmp_path, capsys):
    assert main(["package", str(original), "--out", str(tmp_path), "--public"]) == 0
    assert "read risk.md before you publish it" in capsys.readouterr().out
    files = contents(tmp_path / "small_package_public")
    assert {"risk.md", "data/survey.csv", "params/small.yaml", "reports/small/results.json"} <= set(files)
    assert not [n for n in files if n.endswith(("inputs.json", "run.json", "run.log", ".ipynb"))]
    old = json.loads((original / "inputs.json").read_bytes())
    whole = b"".join(content for name, content in files.items() if not name.startswith("software/"))
    assert not [d for d in (old["key"], *old["files"].values(), *old["written"].values()) if d.encode() in whole]
    assert b"F01" not in whole
    readme = files["README.md"].decode()
    assert "cannot be told by name" in readme
    assert "Not for publication" not in readme
    assert "| 12 | 5 | anonymised |" in readme
    assert "Key of its inputs" not in readme


@pytest.mark.parametrize("name", ["risk.md", "data/clusters.csv", "tables/effects.csv"])
def test_a_public_package_with_one_trace_is_refused(original, published, tmp_path, name):
    def leak(out):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("cluster_id,name,note\nC1,x,as F07 said\n", encoding="utf-8")

    published.append(leak)
    with pytest.raises(DataError, match=rf"1 such words .* stand in 1 file \({name}\)") as error:
        package(original, tmp_path / "out", public=True)
    assert "F07" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_public_package_tells_no_place(original, published, tmp_path):
    published.append(lambda out: (out / "risk.md").write_text(f"from {original}", encoding="utf-8"))
    with pytest.raises(DataError, match=r"no path of this machine; one stands in 1 file \(risk\.md\)"):
        package(original, tmp_path / "out", public=True)
