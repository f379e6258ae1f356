"""The batch: a report is whole or not there, nothing is made twice, and nothing that was started stays behind."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil
import pytest

from pipeval.batch import execute, family, jobs, run, shelf
from pipeval.batch.bar import Bar, time_left
from pipeval.batch.inputs import inputs_of, read_inputs, restored, store_of
from pipeval.batch.run import PAPERS
from pipeval.batch.shelf import Shelf
from pipeval.batch.why import changed
from pipeval.cli import main
from pipeval.errors import PipevalError
from pipeval.report.bundle import Bundle, read_bundle, save
from pipeval.study import params
from pipeval.study.params import read_study

PAGES = {"index.html", "status.json", "verdicts.xlsx"}


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def names(folder: Path) -> set[str]:
    """What lies in a folder of reports, but for the pages over them and what is hidden."""
    return {p.name for p in folder.iterdir()} - PAGES - {".pipeval"}


def hidden(out: Path) -> dict[str, set[str]]:
    """What lies in the hidden folders that are empty between runs."""
    places = {name: out / ".pipeval" / name for name in ("work", "old", "last")}
    return {name: {p.name for p in place.iterdir()} if place.is_dir() else set() for name, place in places.items()}


def filled(place: Path, study: str, value: float = 1.0, papers=PAPERS) -> None:
    """A finished report: a bundle of one number, and its papers."""
    table = pd.DataFrame({"id": ["P.1"], "attainment": ["reached"], "evidence": ["supported"], "value": [value]})
    save(Bundle.build({"study": study, "report": {"languages": ["en"]}}, {"verdicts": table}), place)
    for name in [*(paper.format("en") for paper in papers), "notebook.ipynb", "run.log"]:
        (place / name).write_text("new")


class Fake:
    """Runs no notebook: writes a report with this value, or fails with this code; remembers for whom it ran."""

    def __init__(self):
        self.ran, self.value, self.code, self.papers = [], 1.0, {}, PAPERS

    def __call__(self, record, store, place, timeout, tick):
        self.ran.append(record.study)
        made = place / "made"
        made.mkdir()
        restored(record, store, place / "tree")
        tick(0.5)
        filled(made, record.study, self.value, self.papers)
        code = self.code.get(record.study, 0)
        return code, "the numbers failed" if code else ""


@pytest.fixture
def fake(monkeypatch) -> Fake:
    made = Fake()
    monkeypatch.setattr(run, "here", made)
    return made


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "reports"


def batch(small, out, *more) -> int:
    return main(["run", str(small.params), "--out", str(out), *more])


def value(out: Path, study: str = "small") -> float:
    return read_bundle(out / study).table("verdicts")["value"].item()


# ── whole or not at all ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_finished_run_takes_the_place_of_the_last(small, out, fake, capsys):
    assert batch(small, out) == 0 and value(out) == 1.0
    (out / "small.failed").mkdir()
    fake.value = 2.0
    assert batch(small.cell("survey", 0, "sales_kmxn", 1300.5), out) == 0
    assert value(out) == 2.0 and names(out) == {"small"} and not hidden(out)["work"] and not hidden(out)["old"]
    said = capsys.readouterr().out
    assert f"small: {out / 'small'} (report.en.html, " in said and "0 verdicts and 1 number moved\n" in said
    assert "to run, no report yet: small" in said and "to run, data: survey.csv: small" in said
    last = out / ".pipeval" / "last" / "small"
    assert read_bundle(last).table("verdicts")["value"].item() == 1.0 and read_inputs(last).study == "small"


def test_a_failed_run_leaves_the_last_report_alone(small, out, fake, capsys):
    assert batch(small, out) == 0
    fake.code, fake.value = {"small": 12}, 2.0
    assert batch(small, out, "--force") == 12
    assert value(out) == 1.0 and names(out) == {"small", "small.failed"}
    assert names(out / "small.failed") == {"notebook.ipynb", "run.log", "run.json"}
    err = capsys.readouterr().err
    assert "small: the numbers failed" in err and str(out / "small.failed") in err
    record = json.loads((out / "small.failed" / "run.json").read_text())
    assert (record["status"], record["code"], record["message"]) == ("failed", 12, "the numbers failed")
    fake.code = {}
    assert batch(small, out, "--force") == 0 and names(out) == {"small"}


@pytest.mark.parametrize(
    "writer",
    [
        "pathlib.Path.rename",
        "pathlib.Path.mkdir",
        "pipeval.batch.shelf.Shelf.publish",
        "pipeval.batch.run.here",
        "pathlib.Path.write_bytes",
    ],
)
def test_a_full_disk_leaves_the_last_report_alone(small, out, fake, monkeypatch, capsys, writer):
    assert batch(small, out) == 0
    monkeypatch.setattr(writer, full)
    assert batch(small.cell("survey", 0, "sales_kmxn", 1300.5), out) == 1
    monkeypatch.undo()
    assert value(out) == 1.0 and {"small"} <= names(out) <= {"small", "small.failed"}
    assert "No space left on device" in capsys.readouterr().err
    assert Shelf(out).complete("small", [])


def moved_by_none(monkeypatch, target: str, kind=OSError, times: int = 99) -> list[int]:
    """`Path.rename` to a folder of this name fails, as often as said."""
    rename, calls = Path.rename, []

    def refused(self, to):
        if Path(to).name == target and Path(to).parent.name == "reports" and self.parent.name != "old" and len(calls) < times:
            calls.append(1)
            raise kind(errno.EACCES, "in use")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refused)
    return calls


def test_the_last_report_comes_back_and_the_new_one_waits(small, out, fake, monkeypatch, capsys):
    assert batch(small, out) == 0
    monkeypatch.setattr(shelf, "_PAUSE", 0)
    moved_by_none(monkeypatch, "small")
    fake.value = 2.0
    assert batch(small.cell("survey", 0, "sales_kmxn", 1300.5), out) == 1
    assert value(out) == 1.0 and value(out, "small.pending") == 2.0 and not hidden(out)["old"]
    assert "waits in small.pending" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr(run, "here", fake)
    assert batch(small, out) == 0 and fake.ran == ["small", "small"]  # nothing is computed twice
    assert value(out) == 2.0 and names(out) == {"small"}


def test_a_report_that_waits_for_other_inputs_is_dropped(small, out, fake):
    assert batch(small, out) == 0
    shutil.copytree(out / "small", out.parent / "old")
    fake.value = 2.0
    assert batch(small.cell("survey", 0, "sales_kmxn", 1300.5), out) == 0
    (out.parent / "old").rename(out / "small.pending")
    assert batch(small, out) == 0
    assert names(out) == {"small"} and fake.ran == ["small", "small"] and value(out) == 2.0


def test_a_folder_that_is_in_use_for_a_moment(small, out, fake, monkeypatch):
    monkeypatch.setattr(shelf, "_PAUSE", 0)
    calls = moved_by_none(monkeypatch, "small", PermissionError, 3)
    assert batch(small, out) == 0 and len(calls) == 3 and names(out) == {"small"}


@pytest.mark.parametrize("target_stands", [False, True])
def test_a_run_puts_right_what_a_dead_one_left(small, out, fake, target_stands):
    """Killed between two renames: the old report comes back; killed after them: it is cleared."""
    assert batch(small, out) == 0
    (out / ".pipeval" / "old").mkdir(exist_ok=True)
    (shutil.copytree if target_stands else os.rename)(out / "small", out / ".pipeval" / "old" / "small")
    (out / ".pipeval" / "work" / "small.0badf00d" / "made").mkdir(parents=True)
    assert batch(small, out) == 0 and fake.ran == ["small"]
    assert value(out) == 1.0 and not hidden(out)["work"] and not hidden(out)["old"]


def test_a_file_in_the_way_of_the_reports(small, tmp_path, fake, capsys):
    (tmp_path / "reports").write_text("")
    for place in (tmp_path / "reports", tmp_path / "reports" / "deeper"):
        assert batch(small, place) == 1
        assert "cannot write to" in capsys.readouterr().err


def test_the_hidden_folder_is_its_owners_and_says_so(small, out, fake):
    assert batch(small, out) == 0
    kept = out / ".pipeval"
    assert "confidential" in (kept / "README.txt").read_text()
    if os.name == "posix":
        assert kept.stat().st_mode & 0o777 == 0o700


def test_a_second_batch_is_refused_by_name(small, out, fake, capsys):
    with Shelf(out).hold():
        assert batch(small, out) == 1
    said = capsys.readouterr().err
    assert f"process {os.getpid()} on " in said and " since 20" in said and "--out" in said and fake.ran == []
    assert batch(small, out) == 0  # the lock goes with its holder


# ── what runs, and why ───────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_changed_nothing_runs(small, out, fake, capsys):
    assert batch(small, out) == 0
    before = (out / "small" / "run.json").read_bytes()
    capsys.readouterr()
    small.params.write_text("# a comment\n" + small.params.read_text())
    assert batch(small, out) == 0 and fake.ran == ["small"]
    assert capsys.readouterr().out == "up to date: 1 of 1 (small)\n" and (out / "small" / "run.json").read_bytes() == before


def reason(small, out, capsys, *more) -> str:
    """What a dry run says of the small study."""
    before = sorted(out.rglob("*"))
    capsys.readouterr()
    assert batch(small, out, "--dry-run", *more) == 0
    assert sorted(out.rglob("*")) == before
    return capsys.readouterr().out.strip()


def test_every_reason_is_named(small, out, fake, capsys, monkeypatch, tmp_path):
    assert reason(small, out, capsys) == "small: would run (no report yet)" and not out.exists()
    assert batch(small, out) == 0
    assert reason(small, out, capsys) == "small: up to date"
    assert reason(small, out, capsys, "--force") == "small: would run (asked for (--force))"
    small.planned(did={"level": 0.9}, as_of="2006-04-01")
    assert reason(small, out, capsys) == "small: would run (decisions: as_of, did.level)"
    assert batch(small, out) == 0
    small.file("products.csv", "firm_id\n")
    assert reason(small, out, capsys) == "small: would run (data: products.csv)"
    (small.data / "products.csv").unlink()
    monkeypatch.setattr("pipeval.batch.inputs.source_digest", lambda: "0" * 64)
    assert reason(small, out, capsys) == "small: would run (code: package)"
    monkeypatch.undo()
    monkeypatch.setattr("pipeval.batch.inputs.versions", lambda: {"numpy": "1.0"})
    assert reason(small, out, capsys).startswith("small: would run (versions: Babel, PyYAML, linearmodels, matplotlib, numpy, …")
    monkeypatch.undo()
    paper = out / "small" / "report.en.pdf"
    paper.write_text("longer than it was")
    assert reason(small, out, capsys) == "small: would run (papers missing)"
    paper.unlink()
    assert reason(small, out, capsys) == "small: would run (papers missing)"
    (out / "small" / "inputs.json").write_text("{}")
    assert reason(small, out, capsys) == "small: would run (the record of the last report cannot be read)"


def test_a_record_without_sizes_is_no_report(small, out, fake):
    assert batch(small, out) == 0
    for odd in ('{"study": "small"}', "[]", '{"study": "small", "outputs": {}}', "\x00"):
        (out / "small" / "run.json").write_text(odd)
        assert not Shelf(out).complete("small", ["report.en.pdf"])
    assert Shelf(out).records() == []


def test_what_differs_between_two_records(small, tmp_path):
    frame = small.params.parent / "frame.yaml"
    frame.write_text((Path(run.__file__).parents[1] / "logframes" / "jobtraining.yaml").read_text())
    small.planned(logframe="params/frame.yaml")
    old, _ = inputs_of(small.read(), str(small.params))
    assert changed(old, old) == ["other inputs"]
    frame.write_text(frame.read_text() + "\n# a remark\n")
    new, _ = inputs_of(small.read(), str(small.params))
    assert changed(old, new) == ["log frame: frame.yaml"] and old.key != new.key
    small.planned(logframe="./params/frame.yaml")
    dotted, _ = inputs_of(small.read(), str(small.params))
    frame.write_text(frame.read_text() + "\n# another\n")
    assert changed(dotted, inputs_of(small.read(), str(small.params))[0]) == ["log frame: frame.yaml"]
    small.planned(logframe="params/frame.yaml")
    old, _ = inputs_of(small.read(), str(small.params))
    frame.write_text(frame.read_text() + "\n# a third\n")
    shutil.copytree(small.data, tmp_path / "elsewhere")
    given = tmp_path / "elsewhere"
    new, _ = inputs_of(read_study(small.params, given), str(small.params), given)
    assert changed(old, new) == ["data: enterprises.csv, survey.csv", "log frame: frame.yaml"]


def test_another_stage_is_a_decision_and_no_other_code(small):
    old, _ = inputs_of(small.read(), str(small.params))
    new, _ = inputs_of(small.planned(stage="baseline").read(), str(small.params))
    assert old.notebook != new.notebook and changed(old, new) == ["decisions: stage"]


def test_the_record_of_a_run(small, out, fake):
    started = time.time()
    assert batch(small, out) == 0
    record = Shelf(out).record("small")
    assert (record["study"], record["status"], record["code"], record["message"]) == ("small", "done", 0, "")
    assert (record["stage"], record["as_of"], record["languages"]) == ("final", "2006-03-31", ["en"])
    assert (record["why"], record["moved"], record["params"]) == (["no report yet"], None, "params/small.yaml")
    assert record["key"] == read_inputs(out / "small").key and record["started"].endswith("+00:00")
    assert abs(pd.Timestamp(record["finished"]).timestamp() - started) < 60 and 0 <= record["seconds"] < 60
    assert record["papers"] == [paper.format("en") for paper in PAPERS]
    assert record["outputs"]["report.en.pdf"] == 3 and "run.json" not in record["outputs"] and "inputs.json" in record["outputs"]
    assert Shelf(out).records() == [record]


def test_the_revision_of_the_studys_folder(small, monkeypatch):
    run._revision.cache_clear()
    git = ["git", "-C", str(small.root), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert run._revision(small.root) == {"commit": head, "changed": False}
    run._revision.cache_clear()
    small.planned(did={"level": 0.9})
    assert run._revision(small.root) == {"commit": head, "changed": True}
    monkeypatch.setenv("PATH", "")
    run._revision.cache_clear()
    assert run._revision(small.root) is None


def test_every_input_is_kept_before_it_is_used(small, out, fake, monkeypatch):
    """A file saved while the batch runs harms nobody: the study runs from the bytes that its record names."""
    sales = (small.data / "survey.csv").read_bytes()

    def spoils(record, store, place, timeout, tick):
        (small.data / "survey.csv").write_text("spoiled")
        restored(record, store, place / "tree")
        assert (place / "tree" / "data" / "survey.csv").read_bytes() == sales
        (place / "made").mkdir()
        filled(place / "made", record.study)
        return 0, ""

    monkeypatch.setattr(run, "here", spoils)
    assert batch(small, out) == 0
    record = read_inputs(out / "small")
    params, _ = restored(record, store_of(out / "small"), out.parent / "again")
    assert read_study(params).study == "small" and (out.parent / "again" / "data" / "survey.csv").read_bytes() == sales


def test_a_failure_stops_nobody_and_the_first_gives_the_exit_code(small, out, fake, capsys):
    for name in ("late", "third"):
        (small.params.parent / f"{name}.yaml").write_text(f"extends: small.yaml\nstudy: {name}\n")
    (small.params.parent / "broken.yaml").write_text("study: [\n")
    fake.code = {"late": 11, "third": 12}
    files = [str(small.params.parent / f"{name}.yaml") for name in ("small", "late", "third", "broken")]
    assert main(["run", *files, "--out", str(out), "--jobs", "2"]) == 11
    assert names(out) == {"small", "late.failed", "third.failed", "broken.failed"}
    assert main(["run", files[3], files[0], "--out", str(out)]) == 2
    assert sorted(r["study"] for r in Shelf(out).records()) == ["broken", "late", "small", "third"]
    assert "broken.yaml is not valid YAML" in json.loads((out / "broken.failed" / "run.json").read_text())["message"]


def test_what_was_mistyped_leaves_no_folder(small, out, fake, capsys):
    """A file that is not there and a study that no sweep describes are told; they are no failed studies from then on."""
    sweep = small.params.parent / "waves.yaml"
    sweep.write_text("extends: small.yaml\nstudy: waves\nsweep: {level: {high: {did: {level: 0.95}}}}\n")
    typed = [str(small.params), str(small.params.parent / "smal.yaml"), f"{sweep}::waves_hihg", str(small.params.parent)]
    assert main(["run", *typed, "--out", str(out)]) == 2 and names(out) == {"small"} and fake.ran == ["small"]
    said = capsys.readouterr().err
    assert "smal.yaml: cannot read" in said and "did you mean 'waves_high'" in said and "./params: cannot read" in said
    assert "notebook and log" not in said


def test_a_study_that_cannot_be_read_has_no_notebook_to_show(small, out, fake, capsys):
    (small.params.parent / "late.yaml").write_text("extends: small.yaml\nstudy: late\nstage: never\n")
    assert main(["run", str(small.params), str(small.params.parent / "late.yaml"), "--out", str(out)]) == 2
    assert names(out / "late.failed") == {"run.json"} and "notebook and log" not in capsys.readouterr().err


def test_a_study_named_by_two_roads_runs_once(small, out, fake, monkeypatch, capsys):
    monkeypatch.chdir(small.root)
    sweep = small.params.parent / "waves.yaml"
    sweep.write_text("extends: small.yaml\nstudy: waves\nsweep: {level: {high: {did: {level: 0.95}}, low: {did: {level: 0.9}}}}\n")
    typed = ["params/small.yaml", "./params/../params/small.yaml", "params/waves.yaml::waves_low", "params/*.yaml"]
    assert main(["run", *typed, "--out", str(out)]) == 0
    assert fake.ran == ["small", "waves_low", "waves_high"] and "found twice" not in capsys.readouterr().err
    shutil.copy(small.params, small.params.parent / "copy.yaml")
    assert main(["run", "params/small.yaml", "params/copy.yaml", "--out", str(out)]) == 2  # two files, one name: refused as ever


def standing(out) -> dict[str, tuple]:
    content = json.loads((out / "status.json").read_text())
    return {s["study"]: (s["state"], s["stale"], s["why"]) for s in content["studies"]}


def test_an_interruption_makes_no_report_stale_that_stands(small, out, fake, monkeypatch):
    for name in ("late", "third"):
        (small.params.parent / f"{name}.yaml").write_text(f"extends: small.yaml\nstudy: {name}\n")
    files = [str(small.params.parent / f"{name}.yaml") for name in ("small", "late", "third")]
    assert main(["run", *files[:2], "--out", str(out)]) == 0
    (small.params.parent / "late.yaml").write_text("extends: small.yaml\nstudy: late\nas_of: 2006-04-01\n")

    def interrupted(tasks, timeout):
        while not (out / "third").exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    ended = threading.Event()

    def slow(record, store, place, *rest):
        if record.study != "late":
            return fake(record, store, place, *rest)
        assert ended.wait(20)
        (place / "made").mkdir()
        (place / "made" / "run.log").write_text("half")
        return 1, "ended"

    monkeypatch.setattr(run, "here", slow)
    monkeypatch.setattr(run, "end_children", ended.set)
    monkeypatch.setattr(run, "wait", interrupted)
    assert main(["run", *files, "--out", str(out), "--jobs", "2"]) == 130
    states = standing(out)
    assert states["small"] == ("current", False, []) and states["third"] == ("current", False, [])
    assert states["late"] == ("stale", True, ["decisions: as_of"])  # it was stopped, and did not fail
    assert names(out) == {"small", "late", "third"}


def test_a_forced_run_that_fails_does_not_make_the_report_stale(small, out, fake, capsys):
    assert batch(small, out) == 0
    fake.code = {"small": 12}
    assert batch(small, out, "--force") == 12 and standing(out)["small"] == ("failed", False, [])
    made = Shelf(out).record("small")["finished"].replace("T", " ")[:16]
    assert f"the report of {made} UTC stands" in capsys.readouterr().err
    status = json.loads((out / "status.json").read_text())
    assert status["studies"][0]["stands"] and "stands: it was made from these same inputs" in (out / "index.html").read_text()
    fake.code = {}
    assert batch(small, out) == 0 and fake.ran == ["small", "small"]  # nothing to do, and nothing left to say of the failure
    assert standing(out)["small"] == ("current", False, []) and names(out) == {"small"}


def test_a_failure_of_changed_inputs_is_not_said_to_stand(small, out, fake, capsys):
    assert batch(small, out) == 0
    fake.code = {"small": 12}
    assert batch(small.cell("survey", 0, "sales_kmxn", 1300.5), out, "--force") == 12
    assert "stands" not in capsys.readouterr().err and standing(out)["small"] == ("failed", True, ["data: survey.csv"])
    assert not json.loads((out / "status.json").read_text())["studies"][0]["stands"]


def test_what_a_broken_file_left_goes_once_it_reads(small, out, fake):
    """Its failure is called after the file, its study otherwise."""
    late, waves = small.params.parent / "late.yaml", small.params.parent / "waves.yaml"
    late.write_text("study: [\n")
    waves.write_text("extends: small.yaml\nstudy: waves\nsweep: {level: {high: {did: {level: 0.95}}, low: {stage: never}}}\n")
    files = [str(late), str(waves)]
    assert main(["run", *files, "--out", str(out)]) == 2
    assert names(out) == {"late.failed", "waves_high", "waves_low.failed"}
    assert batch(small, out) == 0 and "late.failed" in names(out)  # another file says nothing of it
    late.write_text("extends: small.yaml\nstudy: punctual\n")
    waves.write_text(waves.read_text().replace("low", "lower"))  # of the one that could not be read there is none any more
    assert main(["run", *files, "--out", str(out)]) == 2
    assert names(out) == {"small", "punctual", "waves_high", "waves_lower.failed"}
    assert set(standing(out)) == {"small", "punctual", "waves_high", "waves_lower"}


def test_results_edited_to_the_same_size_are_made_again(small, out, fake, capsys):
    assert batch(small, out) == 0
    results = out / "small" / "results.json"
    good = results.read_bytes()
    results.write_bytes(good.replace(b"1.0", b"9.0", 1))
    assert results.stat().st_size == len(good) and results.read_bytes() != good
    assert reason(small, out, capsys) == "small: would run (results changed by hand)"
    assert batch(small, out) == 0 and fake.ran == ["small", "small"] and results.read_bytes() == good
    record = json.loads((out / "small" / "run.json").read_text())
    del record["results"]  # as a report of an earlier version of this package
    (out / "small" / "run.json").write_text(json.dumps(record))
    assert reason(small, out, capsys) == "small: up to date"


def test_what_nobody_foresaw_stops_one_study_only(small, out, fake, monkeypatch, capsys):
    (small.params.parent / "late.yaml").write_text("extends: small.yaml\nstudy: late\n")

    def broken(record, *rest):
        return fake(record, *rest) if record.study == "small" else {}["gone"]

    monkeypatch.setattr(run, "here", broken)
    assert main(["run", str(small.params.parent / "late.yaml"), str(small.params), "--out", str(out)]) == 1
    assert names(out) == {"small", "late.failed"} and "late: unexpected KeyError: 'gone'" in capsys.readouterr().err


def test_missing_data_fail_one_study_only(small, out, fake, capsys):
    (small.params.parent / "late.yaml").write_text("extends: small.yaml\nstudy: late\ndata: {folder: nowhere}\n")
    assert main(["run", str(small.params), str(small.params.parent / "late.yaml"), "--out", str(out)]) == 10
    assert names(out) == {"small", "late.failed"} and "late: the data folder" in capsys.readouterr().err


def test_one_rename_a_study(tmp_path):
    """A reader between any two steps of publishing sees a whole report, the old or the new."""
    place, seen = Shelf(tmp_path / "r"), []
    rename = Path.rename

    def looked(self, target):
        done = rename(self, target)
        if (tmp_path / "r" / "s").exists():
            seen.append(value(tmp_path / "r", "s"))
        return done

    with place.hold():
        for number in (1.0, 2.0):
            made = place.workplace("s")
            filled(made, "s", number)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Path, "rename", looked)
                place.publish("s", made, {"study": "s", "status": "done", "key": "k"})
    assert seen == [1.0, 2.0]


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────

TOUCHED: list[str] = []
WATCHING: list[bool] = []


def _touched(event: str, arguments: tuple) -> None:
    if WATCHING and event in ("open", "os.mkdir", "os.rename"):
        TOUCHED.extend(str(one) for one in arguments[:2] if isinstance(one, str | os.PathLike))


sys.addaudithook(_touched)  # there is no taking it away again


def test_no_path_is_too_long_for_windows(small, out, fake, monkeypatch):
    """Windows takes 260 characters in all; of a study with the longest name a batch adds 180 to its folder at most."""
    name = "s" * jobs.LONGEST
    plain = filled

    def longest(place, study, value, papers):
        plain(place, study, value, papers)
        for file in ("tables/" + "t" * 56 + ".csv", "figures/return_distribution.pt.png", "look/" + "l" * 55):
            (place / file).parent.mkdir(exist_ok=True)
            (place / file).write_text("new")

    monkeypatch.setattr(sys.modules[__name__], "filled", longest)
    small.planned(study=name)
    TOUCHED.clear()
    WATCHING.append(True)
    try:
        assert batch(small, out) == 0
        fake.value = 2.0
        assert batch(small.cell("survey", 0, "sales_kmxn", 1300.5), out) == 0
        fake.code = {name: 12}
        assert batch(small, out, "--force") == 12
    finally:
        WATCHING.clear()
    added = {path[len(str(out)) :] for path in TOUCHED if path.startswith(str(out))}
    assert any(f".pipeval/old/{name}" in path for path in added) and any(path.startswith("/.pipeval/work/s") for path in added)
    longest_path = max((*added, f"/.pipeval/old/{name}/tables/{'t' * 56}.csv"), key=len)
    assert 150 < len(longest_path) <= jobs.LONGEST + jobs._DEEPEST == 180, longest_path


@pytest.mark.parametrize("name", ["CON", "aux", "com0"])
def test_a_name_that_windows_keeps_is_refused(small, out, fake, capsys, name):
    small.planned(study=name)
    assert batch(small, out) == 2 and fake.ran == [] and not out.exists()
    assert f"a study cannot be called {name}: Windows keeps that name for itself. Change the key `study`" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["con.txt", "small.", "small ", " small", "small/x", "..", "-small", "", "smáll"])
def test_a_name_that_no_folder_should_have_is_refused(small, out, fake, capsys, name):
    small.planned(study=name)
    assert batch(small, out) == 2 and fake.ran == []
    assert "small.yaml: 1 fault\n  study: " in capsys.readouterr().err


def test_the_longest_name_and_one_more_letter(small, out, fake, capsys):
    small.planned(study="s" * 81)
    assert batch(small, out) == 2 and fake.ran == []
    said = capsys.readouterr().err
    assert "at most 80 characters" in said and "this one has 81. Shorten the key `study`" in said


def test_a_sweep_is_laid_out_once_however_many_studies_it_describes(small, out, monkeypatch, capsys):
    calls = Counter()

    def counted(module, name):
        own = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: calls.update([name]) or own(*given))

    for name in ("swept", "read_yaml"):
        counted(params, name)
    points = ", ".join(f"p{i}: {{did: {{level: 0.{900 + i}}}}}" for i in range(60))
    file = small.params.parent / "waves.yaml"
    file.write_text(f"extends: small.yaml\nstudy: waves\nsweep: {{level: {{{points}}}}}\n")
    assert main(["run", str(file), "--out", str(out), "--dry-run"]) == 0
    assert capsys.readouterr().out.count("would run") == 60 and calls == {"swept": 1, "read_yaml": 2}
    assert [read_study(f"{file}::waves_p{i}").did.level for i in (0, 59)] == [0.9, 0.959]
    file.write_text(file.read_text().replace("0.900", "0.800"))  # what is written anew is read anew
    assert read_study(f"{file}::waves_p0").did.level == 0.8 and calls["swept"] == 2


# ── the process of a notebook ────────────────────────────────────────────────────────────────────────────────────────


def child(monkeypatch, script: str) -> list[subprocess.Popen]:
    """The notebook's process replaced by a script; its arguments are those of papermill."""
    monkeypatch.setattr(execute, "CHILD", (sys.executable, "-c", script))
    started, start = [], subprocess.Popen

    def popen(command, **options):
        made = start(command, **options)
        if "-k" in command:
            started.append(made)
        return made

    monkeypatch.setattr(execute.subprocess, "Popen", popen)
    return started


ERROR = """
import json, sys
output = {"output_type": "error", "ename": %r, "evalue": "what happened in " + sys.argv[7]}
open(sys.argv[2], "w").write(json.dumps({"cells": [{"outputs": []}, {"outputs": [output]}]}))
sys.exit(1)
"""


@pytest.mark.parametrize(
    ("ename", "code", "said"),
    [
        ("DataError", 10, "small: what happened"),
        ("DesignError", 11, "small: what happened"),
        ("EstimationError", 12, "small: what happened"),
        ("PipevalError", 1, "small: what happened"),
        ("UsageError", 2, "small: what happened"),
        ("KeyError", 1, "small: KeyError: what happened"),
        ("warn", 1, "small: warn: what happened"),
    ],
)
def test_the_error_of_a_notebook_gives_the_exit_code(small, out, monkeypatch, capsys, ename, code, said):
    child(monkeypatch, ERROR % ename)
    assert batch(small, out) == code
    assert f"{said} in params/small.yaml\n" in capsys.readouterr().err  # as its owner knows the file


def test_a_process_that_dies_or_takes_too_long(small, out, monkeypatch, capsys):
    child(monkeypatch, "print('died of it'); raise SystemExit(3)")
    assert batch(small, out) == 1
    assert "did not run to its end: died of it" in capsys.readouterr().err
    assert (out / "small.failed" / "run.log").read_text().strip() == "died of it"
    child(monkeypatch, "import time; print('slow', flush=True); time.sleep(60)")
    monkeypatch.setattr(execute, "_GRACE", 0.1)
    assert batch(small, out, "--timeout", "1") == 1
    assert "took more than 1 seconds and was stopped" in capsys.readouterr().err


def test_no_process_survives_an_error(small, out, monkeypatch):
    started = child(monkeypatch, "import time; print('one', flush=True); time.sleep(60)")
    monkeypatch.setattr(execute, "_GRACE", 0.1)
    monkeypatch.setattr(execute, "_CELLS", type("Full", (), {"search": full}))
    assert batch(small, out) == 1
    assert started[0].poll() is not None


def test_an_interruption_ends_the_notebooks_and_keeps_the_last_report(small, out, fake, monkeypatch, capsys):
    assert batch(small, out) == 0
    monkeypatch.setattr(run, "here", execute.here)
    monkeypatch.setattr(execute, "_GRACE", 0.1)
    started = child(monkeypatch, "import time; print('one', flush=True); time.sleep(60)")

    def interrupted(tasks, timeout):
        while not started:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "wait", interrupted)
    begun = time.monotonic()
    assert batch(small, out, "--force") == 130 and time.monotonic() - begun < 20
    assert all(process.poll() is not None for process in started) and value(out) == 1.0 and not hidden(out)["work"]
    assert names(out) == {"small"} and capsys.readouterr().err == "pipeval: stopped\n"
    assert standing(out)["small"] == ("current", False, [])


TOY = """
import os, pathlib
pathlib.Path(os.environ["KERNEL"]).write_text(str(os.getpid()))
sum(range(10**12))
"""


def test_child_and_kernel_end_with_a_batch_that_is_killed(small, out, tmp_path):
    """SIGKILL leaves no time for goodbyes; the kernel is busy in C and would not look up by itself."""
    cells = [{"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None, "source": TOY}]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (tmp_path / "toy.ipynb").write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))
    script = "import sys, pathlib; from pipeval.batch import execute; from pipeval.cli import main\n"
    script += f"execute.notebook_path = lambda stage: pathlib.Path({str(tmp_path / 'toy.ipynb')!r})\n"
    script += f"main(['run', {str(small.params)!r}, '--out', {str(out)!r}])"
    told = tmp_path / "kernel"
    environment = os.environ | {"KERNEL": str(told), "PYTHONPATH": str(Path(run.__file__).parents[2])}
    killed = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = time.monotonic()
    while not (told.is_file() and told.read_text()):
        assert killed.poll() is None and time.monotonic() - begun < 60
        time.sleep(0.05)
    family = psutil.Process(killed.pid).children(recursive=True)
    assert int(told.read_text()) in {p.pid for p in family} and len(family) >= 2
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    _gone, alive = psutil.wait_procs(family, timeout=5)
    for process in alive:
        process.kill()
    assert not alive
    with Shelf(out).hold():  # the lock is free again, and what was under way is cleared
        assert names(out) == set() and not hidden(out)["work"]


@pytest.mark.skipif(os.name != "posix", reason="signals are sent otherwise on Windows")
def test_ctrl_c_leaves_the_last_report_and_nothing_else(small, out, fake, tmp_path):
    assert batch(small, out) == 0
    script = "import signal, sys; from pipeval.batch import execute; from pipeval.cli import main\n"
    script += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs inherit that it is ignored
    busy = "import os, pathlib, time; pathlib.Path(os.environ['BEGUN']).touch(); time.sleep(300)"
    script += f"execute.CHILD = (sys.executable, '-c', {busy!r}); execute._GRACE = 0.1\n"
    script += f"sys.exit(main(['run', {str(small.params)!r}, '--out', {str(out)!r}, '--force']))"
    environment = os.environ | {"BEGUN": str(tmp_path / "begun"), "PYTHONPATH": str(Path(run.__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True) as held:
        begun = time.monotonic()
        try:
            while not (tmp_path / "begun").is_file():
                assert held.poll() is None and time.monotonic() - begun < 120
                time.sleep(0.05)
            held.send_signal(signal.SIGINT)
            _, said = held.communicate(timeout=120)  # the notebook would take longer
        finally:
            held.kill()
    assert held.returncode == 130 and said == "pipeval: stopped\n"
    assert names(out) == {"small"} and value(out) == 1.0 and not hidden(out)["work"]
    assert standing(out)["small"] == ("current", False, [])


def test_on_windows_a_notebook_is_ended_with_its_kernel(monkeypatch):
    """There a process has no session: what it started is found by its id, and only while it lives."""
    ran, order = [], []
    monkeypatch.setattr(family.subprocess, "run", lambda command, **options: ran.append(command))
    family.end_family(4321, "posix")
    assert ran == [] and family.apart("posix") == {"start_new_session": True}
    family.end_family(4321, "nt")
    assert ran == [["taskkill", "/T", "/F", "/PID", "4321"]]
    assert family.apart("nt") == {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP: Ctrl-C is the batch's to answer

    class Child:
        pid, code, stdin = 7, None, io.StringIO()

        def poll(self):
            return self.code

        def wait(self, timeout=None):
            order.append("waited")

    child = Child()
    monkeypatch.setattr(execute, "end_family", lambda pid: order.append((pid, child.stdin.closed)))
    execute._end(child)
    assert order == [(7, False), "waited"] and child.stdin.closed  # before it is told to end, while the kernel is its child
    child.code = 0
    execute._end(child)
    assert order == [(7, False), "waited", "waited"]  # an id that is free again may be another process's


def test_taskkill_that_is_missing_or_hangs_is_no_error(monkeypatch):
    for error in (FileNotFoundError(2, "taskkill"), subprocess.TimeoutExpired("taskkill", 10)):

        def fails(*_, error=error, **__):
            raise error

        monkeypatch.setattr(family.subprocess, "run", fails)
        family.end_family(1, "nt")


@pytest.mark.slow
def test_the_real_notebook_leaves_no_trace_of_where_it_ran(small, out):
    assert batch(small, out) == 0
    report = out / "small"
    for name in ("notebook.ipynb", "run.log", "results.json", "report.en.html", "run.json", "inputs.json", "provenance.json"):
        assert str(small.root) not in (report / name).read_text(encoding="utf-8"), name
    book = json.loads((report / "notebook.ipynb").read_text())
    assert 'params_path = "params/small.yaml"' in "".join("".join(c["source"]) for c in book["cells"])
    assert "papermill" not in book["metadata"]
    before = (report / "results.json").read_bytes()
    assert batch(small, out, "--force") == 0 and (report / "results.json").read_bytes() == before
    assert Shelf(out).record("small")["moved"] == {"verdicts": 0, "numbers": 0}


# ── the bar ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_time_left():
    assert time_left({"a": 0.0, "b": 0.0}, {"a": 100, "b": 20}, 0, 2) == 100  # the longest decides
    assert time_left({"a": 0.5, "new": 0.0}, {"a": 100}, 50, 1) == 150  # a new one is taken for the mean
    assert time_left({"a": 0.0}, {}, 10, 1) is None and time_left({"a": 1.0}, {}, 10, 1) == 0
    bar = Bar({"a": 60.0, "b": 60.0, "c": None}, 1)
    assert bar.line(0) == f"[{'·' * 30}]   0%  0/3 studies, about 3 min left"
    for name in "ab":
        bar.tick(name, 1.0)
    assert bar.line(100) == f"[{'█' * 20}{'·' * 10}]  67%  2/3 studies, about 1 min left"
    bar.tick("c", 0.75)
    assert bar.line(100).endswith("about 15 s left")
    bar.tick("c", 1.0)
    assert bar.line(100).endswith("100%  3/3 studies")


def test_no_bar_without_a_terminal(capsys):
    bar = Bar({"a": None}, 1)
    bar.tick("a", 1.0)
    bar.close()
    assert capsys.readouterr().err == ""


def test_publishing_needs_room_for_the_record(tmp_path, monkeypatch):
    place = Shelf(tmp_path / "r")
    with place.hold():
        made = place.workplace("s")
        filled(made, "s")
        monkeypatch.setattr(shelf, "write_whole", full)
        with pytest.raises(OSError, match="No space"):
            place.publish("s", made, {"study": "s"})
        monkeypatch.undo()
        assert place.bundle("s") is None and place.record("s") is None
    with pytest.raises(PipevalError, match="cannot lock|cannot write"):
        (tmp_path / "r" / ".pipeval" / "lock").unlink()
        (tmp_path / "r" / ".pipeval" / "lock").mkdir()
        with place.hold():
            pass
