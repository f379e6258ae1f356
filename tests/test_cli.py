"""The command line: exit codes, and messages without tracebacks."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pandas as pd
import pytest

import pipeval
from pipeval.cli import main
from pipeval.data.forms import write_blank
from pipeval.data.sample import Knobs
from pipeval.data.schema import data_dictionary
from pipeval.errors import PipevalError
from pipeval.study.params import read_study


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
        ["new"],
        ["new", "x", "--stage", "middle"],
        ["new", "x", "--start", "July"],
        ["new", "x", "--currency", "peso"],
        ["dictionary", "--currency", "peso"],
        ["dictionary", "--currency", "M$N"],
        ["render"],
        ["render", "x", "--language", "xx"],
        ["plan", "x.yaml", "--language", "xx"],
        ["check", "x.yaml", "--language", "xx"],
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
    assert main(["dictionary", "--currency", "usd"]) == 0
    assert capsys.readouterr().out == data_dictionary("USD")


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
    assert "1 query" in capsys.readouterr().out
    assert small.planned(treatment={"definition": "ta_recipient"}).check() == 11
    assert small.cell("survey", 0, "response", "x").check() == 10  # the files come before the design
    assert small.planned(logframe="guanajuatto").check() == 2
    assert "did you mean 'guanajuato'?" in capsys.readouterr().err


def test_the_table_of_faults_has_a_row_each_and_can_be_mailed(small, capsys):
    small.cell("survey", 0, "sales_kmxn", -5).cell("survey", 9, "response", "=cmd()").cell("survey", 1, "workers_paid", "x")
    assert small.check() == 10
    out, table = capsys.readouterr().out, small.faults()
    assert list(table.columns) == ["table", "row", "firm_id", "column", "rule", "kind", "value", "action"]
    assert table[["firm_id", "row", "rule", "kind"]].to_numpy().tolist() == [
        ["F01", "3", "type", "blocking"],
        ["F03", "11", "unknown_code", "blocking"],
        ["F01", "2", "range", "query"],
    ]
    assert table["action"].ne("").all() and table["value"].tolist() == ["x", "'=cmd()", "-5"]
    assert "[blocking] survey row 3, workers_paid: type, found 'x' (firm F01); write a number" in out
    assert "[query] survey row 2, sales_kmxn: range, found -5 (firm F01); confirm" in out
    assert "2 blocking faults, 1 query; table saved to" in out


def test_faults_of_a_kind_and_a_column_are_one_line(small, capsys):
    """Six firms answered in other words: one line with their count, five ids and the words; the table has a row each."""
    rows = {1: "si", 5: "si", 9: "no", 13: "si", 17: "a", 21: "b", 22: "c", 23: "d"}  # four years of each firm, in order
    for row, word in rows.items():
        small.cell("survey", row, "response", word)
    small.cell("enterprises", 0, "registered_on", "31/12/2004").cell("survey", 2, "sales_kmxn", -5).cell(
        "survey", 3, "sales_kmxn", -5
    )
    assert small.check() == 10
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  [")]
    said = "8 rows of 6 firms (F01, F02, F03, F04, F05, …), found 'si' (3 times), 'no', 'a', 'b', 'c', …; use one"
    assert sum("response: unknown_code" in line for line in lines) == 1
    assert any(line.startswith(f"  [blocking] survey, response: unknown_code, {said}") for line in lines)
    assert "  [query] survey, sales_kmxn: range, 2 rows of 1 firm (F01), found -5 (2 times); confirm or correct the value" in lines
    assert small.faults()["row"].tolist() == ["2", "3", "7", "11", "15", "19", "23", "24", "25", "4", "5"]


def test_many_kinds_of_fault_are_cut_and_counted(small, capsys, monkeypatch):
    monkeypatch.setattr("pipeval.report.faults._SHOWN", 1)
    small.cell("survey", 1, "workers_paid", "x").cell("survey", 9, "response", "x").cell("survey", 0, "sales_kmxn", -5).check()
    out = capsys.readouterr().out
    assert out.count("  [") == 1 and "  … and 2 more kinds of fault, in the table\n" in out


def test_dates_and_numbers_of_a_fault_are_plain(small, capsys):
    """Typed cells of a workbook and proved dates show no type: not on screen and not in the table."""
    day, number = pd.Timestamp("2004-05-06"), 1234.5
    frame = small.tables["survey"].astype({"workers_paid": object, "ref_year": object})
    frame.loc[[0, 1], "workers_paid"], frame.loc[2, "ref_year"] = day, number
    (small.data / "survey.csv").unlink()
    frame.to_excel(small.data / "survey.xlsx", index=False)
    assert small.check() == 10
    out = capsys.readouterr().out
    assert "survey, workers_paid: type, 2 rows of 1 firm (F01), found 2004-05-06 (2 times);" in out
    assert "survey row 4, ref_year: type, found 1234.5 (firm F01)" in out
    assert set(small.faults()["value"]) >= {"2004-05-06", "1234.5"} and "Timestamp" not in out and "np." not in out


def test_the_plan_of_a_baseline_needs_no_effect(small, capsys):
    """No firm has been treated yet: nothing to estimate is no fault of a baseline, and is one of a later stage."""
    plan = {"as_of": "2004-04-30", "treatment": {"reference_year": 2004}}
    assert small.planned(stage="final", **plan).check() == 11 and "  plan: " in capsys.readouterr().out
    assert small.planned(stage="baseline", **plan).check() == 0
    out = capsys.readouterr().out
    assert "nothing to estimate" not in out and "  plan: Panel: " in out


def test_blank_tables_stay_beside_tables_of_excel(small, tmp_path, capsys):
    """The blank tables of a new folder are separated by commas; those filled in are not. One with rows is refused."""
    small.planned(data={"separator": ";", "decimal": ",", "encoding": "cp1252"})
    write_blank(tmp_path / "blank", "MXN")
    header = (tmp_path / "blank" / "services.csv").read_bytes()
    small.file("services.csv", header + b"\r\n")
    small.tables["survey"]["accounts_kept"] = 1.0
    for name, table in small.tables.items():
        table.to_csv(small.data / f"{name}.csv", index=False, sep=";", decimal=",", encoding="cp1252", lineterminator="\r\n")
    assert small.check() == 0  # 1,0 is a yes where the decimal sign is a comma
    assert "0 blocking faults" in capsys.readouterr().out
    small.file("services.csv", header.strip() + b"\nF01,2004-05-06\n")
    assert small.check() == 10
    assert "services.csv: one column found" in (said := capsys.readouterr().err) and "or save the file as the others are" in said


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


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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


def test_the_workbook_of_blank_tables(tmp_path, capsys):
    assert main(["dictionary", "--forms", str(tmp_path), "--excel", "--currency", "uyu", "--language", "es"]) == 0
    assert str(tmp_path / "forms.xlsx") in capsys.readouterr().out and [p.name for p in tmp_path.iterdir()] == ["forms.xlsx"]
    with pd.ExcelFile(tmp_path / "forms.xlsx") as book:
        assert book.sheet_names[0] == "guía" and "sales_kuyu" in pd.read_excel(book, sheet_name="survey")
    assert main(["dictionary", "--forms", str(tmp_path), "--excel"]) == 1
    assert "choose an empty folder" in capsys.readouterr().err
    assert (
        main(["dictionary", "--forms", str(tmp_path / "x"), "--excel", "--language", "xx"]) == 2 and not (tmp_path / "x").exists()
    )
    capsys.readouterr()
    assert main(["dictionary", "--excel"]) == 2 and "--forms DIR" in capsys.readouterr().err


# ── new, machine, render ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_folder_and_what_comes_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        main(["new", "agave", "--language", "en", "--stage", "final", "baseline", "--start", "2010-09-01", "--currency", "cop"])
        == 0
    )
    out = capsys.readouterr().out
    assert f"pipeval check {Path('agave') / 'params' / 'agave_baseline.yaml'}" in out and "This machine has: " in out
    assert {p.name for p in (tmp_path / "agave" / "params").iterdir()} == {"agave.yaml", "agave_baseline.yaml", "agave_final.yaml"}
    study = read_study(tmp_path / "agave" / "params" / "agave_final.yaml")
    assert (study.baseline.year, study.treatment.reference_year, study.programme.currency) == (2010, 2013, "COP")
    assert main(["new", "agave"]) == 1 and "nothing is replaced" in capsys.readouterr().err
    assert main(["new", "x", "--language", "xx"]) == 2 and "en, es, pt" in capsys.readouterr().err
    assert main(["new", "peñón"]) == 2 and "'penon'" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["agave"]


def test_render_again(tmp_path, monkeypatch, capsys):
    asked = []

    def render(folder, languages):
        asked.append((folder.name, languages))
        return [folder / f"report.{code}.html" for code in languages or ("es",)]

    monkeypatch.setattr("pipeval.report.render.render", render)
    assert main(["render", str(tmp_path / "a"), str(tmp_path / "b"), "--language", "en", "es", "en"]) == 0
    assert main(["render", str(tmp_path / "a")]) == 0
    assert asked == [("a", ("en", "es")), ("b", ("en", "es")), ("a", ())]
    assert capsys.readouterr().out.splitlines()[0] == f"{tmp_path / 'a'}: report.en.html, report.es.html"


def test_render_needs_a_bundle(tmp_path, capsys):
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert main(["render", str(folder)]) == 10
        assert "none found in" in capsys.readouterr().err


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch, capsys):
    def render(*_):
        raise ModuleNotFoundError("No module named 'typst'", name="typst")

    monkeypatch.setattr("pipeval.report.render.render", render)
    assert main(["render", str(tmp_path)]) == 1
    assert "needs the package typst. `pipeval machine` says how" in capsys.readouterr().err


@pytest.mark.parametrize("day", ["9998-01-01", "0001-07-01", "2003-02-30", "yesterday"])
def test_a_day_that_no_programme_begins_on_is_refused(day, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["new", "cocoa", "--out", str(tmp_path / "cocoa"), "--start", day])
    assert stopped.value.code == 2 and "from 1900 to 2100" in capsys.readouterr().err
    assert not (tmp_path / "cocoa").exists()
