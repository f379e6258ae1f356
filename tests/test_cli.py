"""The command line: exit codes, messages without tracebacks, and a report that is whole or not there."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

import pipeval
from pipeval import batch
from pipeval.cli import main
from pipeval.data.sample import Knobs
from pipeval.data.schema import data_dictionary
from pipeval.errors import PipevalError


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["runn"],
        ["run"],
        ["check"],
        ["check", "a", "b"],
        ["run", "x.yaml", "--jobs", "0"],
        ["run", "x.yaml", "--jobs", "two"],
        ["sample", "peru", "--out", "x"],
        ["sample", "guanajuato"],
    ],
)
def test_wrong_commands(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2 and "usage: pipeval" in capsys.readouterr().err


def test_help_and_version(capsys):
    for argv, words in (
        (["--help"], "run studies"),
        (["--version"], f"pipeval {pipeval.__version__}"),
        (["run", "--help"], "--jobs"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(argv)
        assert stopped.value.code == 0 and words in capsys.readouterr().out


@pytest.mark.parametrize("command", ["check", "run"])
def test_params_that_are_missing_a_folder_or_binary(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\x89PNG\x00\xff")
    (tmp_path / "typo.yaml").write_text("studdy: x\n")
    for path, said in (
        ("nothing.yaml", "cannot read"),
        (".", "cannot read"),
        ("binary.yaml", "cannot read"),
        ("typo.yaml", "did you mean 'study'?"),
    ):
        assert main([command, path]) == 2
        err = capsys.readouterr().err
        assert err.startswith("pipeval: ") and said in err and "Traceback" not in err
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("setting", ["effct=0", "effect", "effect=none", "n=inf", "seed=nan"])
def test_wrong_knobs(setting, tmp_path, capsys):
    assert main(["sample", "guanajuato", "--out", str(tmp_path / "x"), "--set", setting]) == 2
    assert f"--set {setting}" in capsys.readouterr().err and not (tmp_path / "x").exists()


@pytest.mark.parametrize("setting", ["n=99", "n=-5", "seed=-1"])
def test_knobs_out_of_reach(setting, tmp_path, capsys):
    assert main(["sample", "guanajuato", "--out", str(tmp_path / "x"), "--set", setting]) == 2
    assert "n from 100 firms up and a seed from 0 up" in capsys.readouterr().err


def test_michigan_has_no_knobs(tmp_path, capsys):
    assert main(["sample", "michigan", "--out", str(tmp_path / "x"), "--set", "effect=0"]) == 2
    assert "no knobs" in capsys.readouterr().err


def test_sample(tmp_path, capsys):
    assert (
        main(
            [
                "sample",
                "guanajuato",
                "--out",
                str(tmp_path / "x"),
                "--set",
                "n=100",
                "--set",
                "effect=0",
                "--set",
                "planted_errors=0",
            ]
        )
        == 0
    )
    assert "28 tables written to" in capsys.readouterr().out
    truth = pd.read_csv(tmp_path / "x" / "truth.csv")
    assert truth["firm_id"].nunique() == 100 and (truth["tau_ln_sales"].fillna(0) == 0).all() and Knobs().effect != 0
    (tmp_path / "file").write_text("")
    assert main(["sample", "guanajuato", "--out", str(tmp_path / "file" / "y"), "--set", "n=100", "--set", "planted_errors=0"]) == 1
    assert "cannot read or write" in capsys.readouterr().err


def test_dictionary(capsys):
    assert main(["dictionary", "--currency", "USD"]) == 0
    assert capsys.readouterr().out == data_dictionary("USD")
    assert main(["dictionary", "--currency", "peso"]) == 2 == main(["dictionary", "--currency", "M$N"])
    assert "three letters" in capsys.readouterr().err


def test_an_unexpected_error_is_one_line_unless_debugged(small, monkeypatch, capsys):
    def broken(*_):
        raise ZeroDivisionError("here")

    monkeypatch.setattr("pipeval.report.faults.check", broken)
    assert main(["check", str(small.params)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "unexpected ZeroDivisionError: here" in err and "--debug" in err
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "check", str(small.params)])


# ── check ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_exit_codes_of_check(small, capsys):
    assert small.check() == 0
    assert small.cell("survey", 0, "sales_kmxn", -5).check() == 0  # a query
    assert "1 queries" in capsys.readouterr().out
    assert small.planned(treatment={"definition": "ta_recipient"}).check() == 11
    assert small.cell("survey", 0, "response", "x").check() == 10  # the files come before the design
    assert small.planned(logframe="guanajuatto").check() == 2
    assert "did you mean 'guanajuato'?" in capsys.readouterr().err


def test_the_table_of_faults_is_grouped_by_firm_and_can_be_mailed(small, capsys):
    small.cell("survey", 0, "sales_kmxn", -5).cell("survey", 9, "response", "=cmd()").cell("survey", 1, "workers_paid", "x")
    assert small.check() == 10
    out, table = capsys.readouterr().out, small.faults()
    assert list(table.columns) == ["table", "row", "firm_id", "column", "rule", "kind", "value", "action"]
    assert table[["firm_id", "row", "rule", "kind"]].to_numpy().tolist() == [
        ["F01", "3", "type", "blocking"],
        ["F03", "11", "unknown_code", "blocking"],
        ["F01", "2", "range", "query"],
    ]
    assert table["action"].ne("").all() and table["value"].tolist() == ["x", "'=cmd()", "-5.0"]
    assert out.count("\nF01\n") + out.startswith("F01\n") == 1 and "2 blocking faults, 1 queries; table saved to" in out


def test_check_writes_beside_where_it_is_called(small, monkeypatch):
    monkeypatch.chdir(small.root)
    assert main(["check", str(small.params)]) == 0 and (small.root / "small.faults.csv").is_file()


def test_data_from_elsewhere(small, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for path in small.data.iterdir():
        path.rename(elsewhere / path.name)
    assert small.check() == 10
    out = str(small.root / "faults.csv")
    assert main(["check", str(small.params), "--data", str(elsewhere), "--out", out]) == 0
    assert main(["check", str(small.params), "--data", str(elsewhere / "nowhere"), "--out", out]) == 10


# ── run: whole or not at all ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def finished(monkeypatch):
    """`pipeval run` with a notebook that is done at once."""

    def execute(study, params, place, data, timeout, tick):
        for name in ("results.json", "report.en.html", "notebook.ipynb", "run.log"):
            (place / name).write_text("new")
        return 0, ""

    monkeypatch.setattr(batch, "_execute", execute)


@pytest.fixture
def failed(monkeypatch):
    def execute(study, params, place, data, timeout, tick):
        for name in ("results.json", "notebook.ipynb", "run.log"):
            (place / name).write_text("half")
        return 12, "the numbers failed"

    monkeypatch.setattr(batch, "_execute", execute)


def good_report(out: Path) -> Path:
    (out / "small").mkdir(parents=True)
    (out / "small" / "results.json").write_text("old")
    return out / "small" / "results.json"


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_a_finished_run_takes_the_place_of_the_last(small, tmp_path, finished, capsys):
    out = tmp_path / "reports"
    kept = good_report(out)
    (out / "small.failed").mkdir()
    assert main(["run", str(small.params), "--out", str(out)]) == 0
    assert kept.read_text() == "new" and names(out) == {"small"}
    assert f"small: {out / 'small'} (report.en.html;" in capsys.readouterr().out


def test_a_failed_run_leaves_the_last_report_alone(small, tmp_path, failed, capsys):
    out = tmp_path / "reports"
    kept = good_report(out)
    assert main(["run", str(small.params), "--out", str(out)]) == 12
    assert kept.read_text() == "old" and names(out) == {"small", "small.failed"}
    assert names(out / "small.failed") == {"notebook.ipynb", "run.log"}
    err = capsys.readouterr().err
    assert "small: the numbers failed" in err and str(out / "small.failed") in err


@pytest.mark.parametrize("writer", ["pathlib.Path.rename", "pathlib.Path.mkdir", "pipeval.batch._swap", "pipeval.batch._execute"])
def test_a_full_disk_leaves_the_last_report_alone(small, tmp_path, finished, monkeypatch, capsys, writer):
    out = tmp_path / "reports"
    kept = good_report(out)
    monkeypatch.setattr(writer, full)
    assert main(["run", str(small.params), "--out", str(out)]) == 1
    monkeypatch.undo()
    assert kept.read_text() == "old" and names(out) == {"small"}
    assert "No space left on device" in capsys.readouterr().err


def test_the_last_report_comes_back_when_the_new_one_cannot_be_moved(small, tmp_path, finished, monkeypatch):
    out = tmp_path / "reports"
    kept = good_report(out)
    rename = Path.rename

    def second_fails(self, target):
        if Path(target).name == "small" and self.name != ".small.old":
            full()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    assert main(["run", str(small.params), "--out", str(out)]) == 1
    assert kept.read_text() == "old" and names(out) == {"small"}


def test_a_file_in_the_way_of_the_reports(small, tmp_path, capsys):
    (tmp_path / "reports").write_text("")
    for out in (tmp_path / "reports", tmp_path / "reports" / "deeper"):
        assert main(["run", str(small.params), "--out", str(out)]) == 1
        assert "cannot write to" in capsys.readouterr().err


def test_two_params_files_of_one_study(small, tmp_path, capsys):
    (small.params.parent / "again.yaml").write_text("extends: small.yaml\n")
    assert main(["run", str(small.params), str(small.params.parent / "again.yaml"), "--out", str(tmp_path / "r")]) == 2
    assert "found twice: ['small']" in capsys.readouterr().err and not (tmp_path / "r").exists()


def test_the_first_failure_gives_the_exit_code(small, tmp_path, monkeypatch, capsys):
    (small.params.parent / "late.yaml").write_text("extends: small.yaml\nstudy: late\n")

    def execute(study, params, place, *_):
        (place / "results.json").write_text("new")
        return (0, "") if study.study == "small" else (11, "no design")

    monkeypatch.setattr(batch, "_execute", execute)
    both = [str(small.params), str(small.params.parent / "late.yaml")]
    assert main(["run", *both, "--out", str(tmp_path / "r"), "--jobs", "2"]) == 11
    assert names(tmp_path / "r") == {"small", "late.failed"}


def child(monkeypatch, script: str):
    """The notebook's process replaced by a script; its arguments are those of papermill."""
    start = batch.subprocess.Popen
    started = []

    def popen(command, **options):
        started.append(start([sys.executable, "-c", script, *command[3:]], **options))
        return started[-1]

    monkeypatch.setattr(batch.subprocess, "Popen", popen)
    return started


ERROR = """
import json, sys
output = {"output_type": "error", "ename": %r, "evalue": "what happened"}
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
def test_the_error_of_a_notebook_gives_the_exit_code(small, tmp_path, monkeypatch, capsys, ename, code, said):
    child(monkeypatch, ERROR % ename)
    assert main(["run", str(small.params), "--out", str(tmp_path / "r")]) == code
    assert said in capsys.readouterr().err


def test_a_process_that_dies_or_takes_too_long(small, tmp_path, monkeypatch, capsys):
    child(monkeypatch, "print('died of it'); raise SystemExit(3)")
    assert main(["run", str(small.params), "--out", str(tmp_path / "r")]) == 1
    assert "did not run to its end: died of it" in capsys.readouterr().err
    assert (tmp_path / "r" / "small.failed" / "run.log").read_text().strip() == "died of it"
    monkeypatch.undo()
    child(monkeypatch, "import time; time.sleep(60)")
    assert main(["run", str(small.params), "--out", str(tmp_path / "r"), "--timeout", "1"]) == 1
    assert "took more than 1 seconds and was stopped" in capsys.readouterr().err


def test_no_process_survives_an_error(small, tmp_path, monkeypatch):
    started = child(monkeypatch, "import time; print('one', flush=True); time.sleep(60)")
    monkeypatch.setattr(batch, "_CELLS", type("Full", (), {"search": full}))
    assert main(["run", str(small.params), "--out", str(tmp_path / "r")]) == 1
    assert started[0].poll() is not None


def test_a_bundle_that_cannot_be_written(small, tmp_path, monkeypatch):
    from pipeval.evaluation import Evaluation
    from pipeval.report.save import save

    found = Evaluation(small.read(), {"flow": pd.DataFrame({"n": [1]})}, (), {})
    (tmp_path / "file").write_text("")
    with pytest.raises(PipevalError, match="cannot write to .*file.*choose another folder"):
        save(found, tmp_path / "file" / "x")
    folder = save(found, tmp_path / "good")
    assert json.loads((folder / "results.json").read_text())["tables"]["flow"]["rows"] == [[1]]
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PipevalError, match="No space left on device"):
        save(found, tmp_path / "full")


def test_blank_tables_are_written_once(tmp_path, capsys):
    assert main(["dictionary", "--forms", str(tmp_path / "forms"), "--currency", "UYU"]) == 0
    assert "sales_kuyu" in (tmp_path / "forms" / "survey.csv").read_text(encoding="utf-8")
    assert main(["dictionary", "--forms", str(tmp_path / "forms")]) != 0
    assert "28 files (enterprises.csv" in capsys.readouterr().err
