"""A quick, seeded part of the hardening scripts, and what they found: spoilt files, huge ones, kills, refused writes."""

from __future__ import annotations

import io
import os
import struct
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeval.data import read, size
from pipeval.data.load import load
from pipeval.data.read import read_file
from pipeval.errors import DataError, UsageError
from pipeval.study.files import LARGEST_TEXT, read_yaml, write_whole
from pipeval.study.logframe import read_logframe
from pipeval.study.specs import Source

SCRIPTS = Path(__file__).parents[1] / "benchmarks" / "hardening"
SOURCE = Source(folder="data")
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def scripts():
    """The scripts' modules, importable by their names as when one of them is run."""
    sys.path.insert(0, str(SCRIPTS))
    import inputs
    import toy_batch
    import write_errors

    yield {"inputs": inputs, "toy_batch": toy_batch, "write_errors": write_errors}
    sys.path.remove(str(SCRIPTS))


# ── spoilt inputs ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(sys.platform == "win32", reason="the scripts limit memory by the system's means")
def test_a_quick_part_of_the_spoilt_inputs(scripts):
    inputs = scripts["inputs"]
    outcomes = set()
    for number in range(5 * len(inputs.KINDS), 6 * len(inputs.KINDS)):
        kind, outcome, broken = inputs.tried(number, 7, False, plan=False)
        outcomes.add(outcome)
        assert not broken, f"case {number} ({kind}): {broken}"
    assert {"exit 0", "exit 10", "exit 2"} <= outcomes  # neither everything nor nothing is refused


def test_the_second_reading_sees_a_wrong_table(scripts, small):
    """The judge of the campaign: a changed cell, a lost row and a row from nowhere are each named."""
    import second_reading

    study = small.cell("survey", 0, "sales_kmxn", 777.5).read()
    loaded = load(study)
    assert second_reading.unaccounted(study, loaded) == []
    frame = loaded.frames["survey"]
    changed = loaded.with_frames({"survey": frame.assign(sales_kmxn=frame["sales_kmxn"].mask(frame.index == 2, 778.5))})
    assert second_reading.unaccounted(study, changed) == [
        "survey row 2, sales_kmxn: the file says '777.5', the table holds '778.5'"
    ]
    assert second_reading.unaccounted(study, loaded.with_frames({"survey": frame.iloc[1:]})) == ["survey row 2 is gone"]
    more = pd.concat([frame, frame.iloc[:1].set_axis([99])])
    assert second_reading.unaccounted(study, loaded.with_frames({"survey": more})) == ["survey row 99 stands in no file"]
    plan = read_logframe(study.logframe, study.root)
    assert second_reading.misread(study, plan, small.params) == []
    other = study.model_copy(update={"baseline": study.baseline.model_copy(update={"year": 2002})})
    assert second_reading.misread(other, plan, small.params) == ["params baseline.year: the file says '2003', read as '2002'"]


@pytest.mark.parametrize("column", ["response", "ref_year", "firm_id"])
def test_a_survey_without_an_answer_is_checked(small, column, capsys):
    """Lookups among no rows are not numbers; the rules must not stumble before the fault is told."""
    small.tables["survey"][column] = ""
    small.save()
    assert small.check() == 10
    text = "".join(capsys.readouterr())
    assert "needed" in text or "no row known" in text
    assert "unexpected" not in text


def test_a_series_year_that_stands_twice_is_a_fault(small, capsys):
    small.tables["series"] = pd.DataFrame(
        {"series": "fx", "year": [2002, 2003, 2003, 2004, 2005], "value": [9.7, 10.8, 11, 11.3, 10.9]}
    )
    small.tables["survey"] = small.tables["survey"].assign(export_direct_kmxn=108.0, export_direct_usd=10_000.0)
    small.planned(money={"fx": "fx"})
    assert small.check() == 10
    assert "series row 4, series|year: duplicate_key" in capsys.readouterr().out


# ── decisions that no one wrote ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("as_of: 9999-99-99T\nx: !!timestamp '1'", "not valid YAML"),
        ("a: " + "[" * 600, "not valid YAML"),
        ("a: &x [1, 1]\nb: [*x, *x]", "references"),
        ("? [a]\n: 1", "not valid YAML"),
        ("a: 1\nb: 2\na: 3", "the key 'a' stands twice"),
        ("a: 0x" + "f" * 5_000, "a whole number is smaller than"),
        ("study: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("a: " + "x" * LARGEST_TEXT, f"at most {LARGEST_TEXT:,} bytes"),
    ],
)
def test_strange_yaml_is_refused_by_name(tmp_path, text, said):
    path = tmp_path / "odd.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said) as refused:
        read_yaml(path)
    assert "odd.yaml" in str(refused.value) and len(str(refused.value)) < 600


def test_a_key_of_a_log_frame_that_is_no_word(tmp_path):
    path = tmp_path / "frame.yaml"
    path.write_text(yaml.safe_dump({"id": "x", 1: "y"}), encoding="utf-8")
    with pytest.raises(UsageError, match="keys are words; found 1"):
        read_logframe(path)


# ── files too large, refused before they are read ────────────────────────────────────────────────────────────────────


def peak(action) -> int:
    """Bytes that Python held at most during an action that is refused as a file that is too large."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="at most") as refused:
            action()
        assert "split the programme" in str(refused.value)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_larger_than_a_table(tmp_path):
    path = tmp_path / "survey.csv"
    with path.open("wb") as file:
        file.write(b"firm_id,ref_year\n")
        file.truncate(size.LARGEST_FILE + 1)  # a hole: it takes no room on disk
    assert peak(lambda: read_file(path, None, SOURCE)) < MEGABYTE


def test_a_csv_of_more_cells_than_a_table(tmp_path):
    path = tmp_path / "survey.csv"
    columns = 300
    path.write_bytes(b",".join([b"a"] * columns) + b"\n" * (size.MOST_CELLS // columns + 1))
    assert peak(lambda: read_file(path, None, SOURCE)) < 4 * MEGABYTE


def book_of(sheet: bytes) -> bytes:
    """A workbook whose one sheet is this XML."""
    import openpyxl

    clean, out = io.BytesIO(), io.BytesIO()
    openpyxl.Workbook().save(clean)
    with zipfile.ZipFile(clean) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, sheet if name == "xl/worksheets/sheet1.xml" else old.read(name))
    return out.getvalue()


def sheet_of(rows: bytes, after: bytes = b"") -> bytes:
    start = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    return start + rows + b"</sheetData>" + after + b"</worksheet>"


def cell(place: str, value: str) -> bytes:
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'.encode()


def test_a_workbook_that_unpacks_without_end(tmp_path, monkeypatch):
    path = tmp_path / "survey.xlsx"
    path.write_bytes(book_of(sheet_of(b" " * (30 * MEGABYTE))))
    assert path.stat().st_size < MEGABYTE
    monkeypatch.setattr(size, "LARGEST_UNPACKED", 20 * MEGABYTE)
    assert peak(lambda: read_file(path, None, SOURCE)) < 4 * MEGABYTE


def test_a_workbook_with_one_cell_far_away(tmp_path):
    """Two cells, the second in the last row: a sheet of a million rows as wide as its header."""
    path = tmp_path / "survey.xlsx"
    head = b"".join(cell(f"{c}1", c) for c in ("A", "XFD"))
    path.write_bytes(book_of(sheet_of(b'<row r="1">' + head + b'</row><row r="5000">' + cell("A5000", "x") + b"</row>")))
    assert peak(lambda: read_file(path, None, SOURCE)) < 20 * MEGABYTE


def test_a_workbook_that_declares_entities(tmp_path):
    path = tmp_path / "survey.xlsx"
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
    path.write_bytes(book_of(bomb + sheet_of(b'<row r="1">' + cell("A1", "x") + b"</row>")))
    with pytest.raises(DataError, match=r"sheet1.xml declares a document type; open the workbook and save it again"):
        read_file(path, None, SOURCE)


def test_parquet_and_stata_are_refused_by_their_headers(tmp_path, monkeypatch):
    frame = pd.DataFrame({"firm_id": ["a", "b"], "ref_year": [2004, 2005]})
    frame.to_parquet(tmp_path / "survey.parquet")
    frame.to_stata(tmp_path / "survey.dta", write_index=False)
    assert len(read_file(tmp_path / "survey.parquet", None, SOURCE)) == len(read_file(tmp_path / "survey.dta", None, SOURCE)) == 2
    monkeypatch.setattr(size, "MOST_CELLS", 3)
    monkeypatch.setattr(pd, "read_parquet", None)
    for name in ("survey.parquet", "survey.dta"):
        with pytest.raises(DataError, match=rf"{name}: a table has at most 3 cells; this one has 2 rows of 2 columns"):
            read_file(tmp_path / name, None, SOURCE)


def test_a_stata_header_that_lies(tmp_path):
    pd.DataFrame({"firm_id": ["a"], "y": [1.0]}).to_stata(tmp_path / "s.dta", write_index=False, version=118)
    content = bytearray((tmp_path / "s.dta").read_bytes())
    at = content.index(b"<N>") + 3
    content[at : at + 8] = struct.pack("<Q", 2**40)
    (tmp_path / "s.dta").write_bytes(content)
    assert peak(lambda: read_file(tmp_path / "s.dta", None, SOURCE)) < MEGABYTE


# ── what would read as missing, or as another table, without a word ──────────────────────────────────────────────────


def workbook(tmp_path: Path, rows: bytes, after: bytes = b"") -> Path:
    path = tmp_path / "survey.xlsx"
    path.write_bytes(book_of(sheet_of(b'<row r="1">' + cell("A1", "firm_id") + cell("B1", "sales") + b"</row>" + rows, after)))
    return path


@pytest.mark.parametrize("empty", ["", "<v></v>", "<v/>"])
def test_a_formula_without_its_result(tmp_path, empty):
    path = workbook(tmp_path, b'<row r="2">' + cell("A2", "F1") + f'<c r="B2"><f>1+1</f>{empty}</c></row>'.encode())
    with pytest.raises(
        DataError, match=r"the results of formulas must be saved with them; sheet 'Sheet' lacks those of 1 cell \(B2\)"
    ):
        read_file(path, None, SOURCE)


def test_formulas_with_results_and_errors_of_a_spreadsheet(tmp_path):
    rows = b'<row r="2">' + cell("A2", "F1") + b'<c r="B2"><f>1+1</f><v>2</v></c></row>'
    rows += b'<row r="3">' + cell("A3", "F2") + b'<c r="B3" t="str"><f>""</f><v></v></c></row>'
    rows += b'<row r="4">' + cell("A4", "F3") + b'<c r="B4" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
    frame = read_file(workbook(tmp_path, rows), None, SOURCE)
    assert frame["firm_id"].tolist() == ["F1", "F2", "F3"] and frame.index.tolist() == [2, 3, 4]
    assert frame["sales"][2] == 2 and not frame["sales"][3] and frame["sales"][4] == "#DIV/0!"  # a fault in a column of numbers


def test_merged_cells_hold_one_value_for_several_rows(tmp_path):
    rows = b'<row r="2">' + cell("A2", "F1") + b'</row><row r="3">' + cell("B3", "5") + b"</row>"
    path = workbook(tmp_path, rows, b'<mergeCells count="1"><mergeCell ref="A2:A3"/></mergeCells>')
    with pytest.raises(DataError, match=r"merged cells, 1 range \(A2:A3\). Undo the merge"):
        read_file(path, None, SOURCE)


def test_a_quotation_mark_that_holds_the_rows_below(tmp_path):
    path = tmp_path / "survey.csv"
    head = "firm_id,ref_year,response,place,sales\n"
    path.write_text(head + 'F1,2004,complete,"León,1\nF2,2004,complete,Silao,2\nF3,2004,complete,León",3\n', encoding="utf-8")
    with pytest.raises(DataError, match="a quotation mark in row 2 holds the rows below it in one cell"):
        read_file(path, None, SOURCE)
    path.write_text(head + 'F1,2004,complete,"Calle 5, Centro,\nLeón",1\nF2,2004,complete,Silao,2\n', encoding="utf-8")
    frame = read_file(path, None, SOURCE)  # an address of two lines is a text
    assert frame["place"].tolist() == ["Calle 5, Centro,\nLeón", "Silao"]


def test_a_nested_column_is_a_fault_not_a_crash(tmp_path):
    path = tmp_path / "survey.parquet"
    pd.DataFrame({"firm_id": ["a", "b"], "sales": [[1, 2], None]}).to_parquet(path)
    frame = read.read_file(path, None, SOURCE)
    assert isinstance(frame["sales"][2], str) and pd.isna(frame["sales"][3])


# ── names and places ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("folder", ["Evaluación final 2006 (León) 🏭", "فلدر a'b", "x" * 200])
def test_folders_of_any_name(tmp_path, capsys, folder):
    from conftest import SmallStudy

    small = SmallStudy(tmp_path / folder)
    assert small.check() == 0, capsys.readouterr()
    assert small.faults().empty


@pytest.mark.parametrize("odd", ["\x1b", "\u202e"])
def test_what_no_paper_can_show_is_a_fault(small, capsys, odd):
    """A control character would break the workbook of the annex, one that turns the text would turn the sentence around it."""
    small.tables["enterprises"]["municipality"] = "León"
    small.cell("enterprises", 2, "municipality", f"Le{odd}ón")
    assert small.check() == 10
    assert "[blocking] enterprises row 4, municipality: type" in capsys.readouterr().out
    assert small.faults()["action"].str.contains("take out control characters").all()
    small.cell("enterprises", 2, "municipality", "León\tde los Aldama, Gto.\u200e")
    assert small.check() == 0
    small.params.write_text(
        small.params.read_text() + f'labels: {{branch: {{x: {{en: "a\\u{ord(odd):04x}"}}}}}}\n', encoding="utf-8"
    )
    assert small.check() == 2
    assert f"the unprintable character U+{ord(odd):04X}" in capsys.readouterr().err


# ── a batch that is killed, and a disk that refuses ──────────────────────────────────────────────────────────────────


@pytest.fixture
def pages_apart(monkeypatch):
    """The pages over the reports are made from them; here the reports are looked at."""
    from pipeval.batch import pages

    monkeypatch.setattr(pages, "write_pages", lambda shelf, records, why: shelf.write("status.json", b"[]"))


def test_a_single_file_is_whole_or_as_it_was(scripts, tmp_path):
    page = write_whole(tmp_path / "a" / "page.html", b"old and whole")
    refusal = scripts["write_errors"].Refusal(tmp_path / "a", 1, "half")
    with refusal.in_force(), pytest.raises(OSError, match="No space"):
        write_whole(page, b"new and much longer than the old one")
    assert refusal.refused and page.read_bytes() == b"old and whole" and [p.name for p in page.parent.iterdir()] == ["page.html"]
    assert write_whole(page, b"new").read_bytes() == b"new"


@pytest.mark.parametrize("kind", ["ENOSPC", "half"])
def test_a_refused_write_leaves_no_half_report(scripts, pages_apart, kind):
    tried, wrong = scripts["write_errors"].refusals(kind, step=40)
    assert wrong == [] and tried >= 2


def test_half_a_report_would_be_seen(scripts, tmp_path, pages_apart):
    toy = scripts["toy_batch"]
    params, out = toy.studies(tmp_path / "study"), tmp_path / "reports"
    assert toy.run_toy(params, out)[0] == 0
    assert toy.broken_reports(out, before=True) == [] and toy.leftovers(out) == []
    (out / "beta" / "report.en.html").write_text("2\n")
    assert any("report.en.html is not whole" in what for what in toy.broken_reports(out, before=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_clocks_decide_nothing(scripts, pages_apart):
    assert scripts["write_errors"].clocks() == []
