"""Blank tables: what is filled in loads, from CSV and from the workbook; nothing that is there is lost."""

from __future__ import annotations

import datetime as dt

import openpyxl
import pandas as pd
import pytest

from pipeval.data.contract import TABLES
from pipeval.data.forms import WORKBOOK, blank_tables, unfilled, write_blank, write_workbook
from pipeval.data.load import load
from pipeval.errors import PipevalError, UsageError, collected
from pipeval.new.words import folder_languages, form_words

FILLED = ("enterprises", "survey", "series")
FILLED_SHEETS = {"files": {name: f"{WORKBOOK}::{name}" for name in FILLED}}


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    return write_workbook(tmp_path_factory.mktemp("forms"), form_words("es"), "UYU")


def columns():
    return [(name, column) for name, table in TABLES.items() for column in table.columns]


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_table_and_column_of_the_contract_is_there():
    blank = blank_tables("ARS")
    assert list(blank) == list(TABLES)
    for name, table in blank.items():
        assert list(table) == [c.name.replace("{cur}", "ars") for c in TABLES[name].columns] and len(table) == 0


def test_what_is_filled_in_loads(small):
    """The small study written into blank forms, cell by cell, is the small study; the tables left blank are empty, not faults."""
    folder = small.root / "forms"
    assert {path.name for path in write_blank(folder)} == {f"{name}.csv" for name in TABLES}
    assert (folder / "series.csv").read_text(encoding="utf-8") == "series,year,value,base,source,vintage\n"
    for name in ("enterprises", "survey"):
        filled = pd.concat([pd.read_csv(folder / f"{name}.csv", dtype=object), small.tables[name].astype(object)])
        filled.to_csv(folder / f"{name}.csv", index=False)
    with collected():
        plain, found = load(small.read()), load(small.planned(data={"folder": "forms"}).read())
    assert not len(found.faults) and len(found["services"]) == 0
    for name in ("enterprises", "survey"):
        pd.testing.assert_frame_equal(found[name][plain[name].columns], plain[name])


def test_a_file_that_is_there_is_never_replaced(tmp_path):
    (tmp_path / "staff.csv").write_text("kept", encoding="utf-8")
    with pytest.raises(PipevalError, match=r"staff\.csv"):
        write_blank(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["staff.csv"]
    assert (tmp_path / "staff.csv").read_text(encoding="utf-8") == "kept"
    assert [path.name for path in write_blank(tmp_path, names=["ledger"])] == ["ledger.csv"]
    (tmp_path / WORKBOOK).write_text("kept", encoding="utf-8")
    with pytest.raises(PipevalError, match=r"forms\.xlsx"):
        write_workbook(tmp_path, form_words("en"))
    assert (tmp_path / WORKBOOK).read_text(encoding="utf-8") == "kept"


def test_an_unknown_table_and_a_folder_that_cannot_be_made(tmp_path):
    with pytest.raises(UsageError, match="'survey'"):
        blank_tables(names=["survay"])
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PipevalError, match="choose another folder"):
        write_blank(tmp_path / "file" / "below")
    with pytest.raises(PipevalError, match="choose another folder"):
        write_workbook(tmp_path / "file" / "below", form_words("en"), names=["staff"])


def test_tables_without_a_row_are_told_apart(small):
    write_blank(small.data, names=["services", "series"])
    source = small.read().data
    assert unfilled(small.data, source) == ["services", "series"]
    assert unfilled(small.data, source, ["survey", "series", "staff"]) == ["series"]  # no file of staff is no empty table
    small.file("staff.csv", "staff_key,post,started_on\nS1,coordinator,2004-01-01\n")
    assert unfilled(small.data, source) == ["services", "series"]


# ── the workbook ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_workbook_has_a_sheet_a_table_between_a_guide_and_the_codes(workbook):
    book = openpyxl.load_workbook(workbook)
    assert book.sheetnames == ["guía", *TABLES, "códigos"]
    for name, table in TABLES.items():
        sheet = book[name]
        assert [cell.value for cell in sheet[1]] == list(table.named("UYU")) and sheet.max_row == 1
        assert sheet.freeze_panes == "B2"


def test_the_guide_explains_every_column_in_its_language(workbook):
    guide = openpyxl.load_workbook(workbook)["guía"]
    rows = [[cell.value for cell in row] for row in guide.iter_rows()]
    told = {(row[0], row[1]): row[2:] for row in rows if row[1]}
    assert set(told) - {("tabla", "columna")} == {(n, c.name.replace("{cur}", "uyu")) for n, c in columns()}
    assert told["survey", "sales_kuyu"] == ["ventas", "dinero", "miles de UYU", "≥ 0", None]
    assert told["enterprises", "firm_id"][4] == "sí" and told["survey", "firm_id"][0] == "la empresa"
    assert told["services", "firm_id"][0] == "quién lo recibió"  # the table's own word before the column's
    assert told["survey", "response"][3] == "complete, partial, refusal, not_found, closed"
    assert any("miles de UYU" in str(row[0]) for row in rows)


def test_columns_carry_their_format_list_and_remark(workbook):
    book = openpyxl.load_workbook(workbook)
    sheet, codes = book["enterprises"], book["códigos"]
    place = {cell.value: cell.column_letter for cell in sheet[1]}
    rules = {str(rule.sqref).split(":")[0]: rule for rule in sheet.data_validations.dataValidation}
    kinds = {"firm_id": "@", "arm": "@", "registered_on": "yyyy-mm-dd", "founded_year": "0", "chamber_member": "0"}
    for name, form in kinds.items():
        assert sheet.column_dimensions[place[name]].number_format == form
    arm = rules[f"{place['arm']}2"]
    first, last = (int(part.rpartition("$")[2]) for part in arm.formula1.split("!")[1].split(":"))
    assert arm.type == "list" and [codes.cell(row, 3).value for row in range(first, last + 1)] == list(
        TABLES["enterprises"].columns[1].codes
    )
    assert [codes.cell(first, 1).value, codes.cell(first, 2).value] == ["enterprises", "arm"]
    assert codes.cell(first, 3).number_format == "@"
    assert rules[f"{place['chamber_member']}2"].formula1 == '"1,0"' and rules[f"{place['registered_on']}2"].type == "date"
    year = rules[f"{place['founded_year']}2"]
    assert (year.type, year.formula1, year.formula2, year.errorStyle) == (
        "whole",
        "1800",
        "2100",
        "warning",
    )  # asked about, not refused
    assert f"{place['sector']}2" not in rules
    assert sheet[f"{place['arm']}1"].fill.fgColor.rgb != sheet[f"{place['sector']}1"].fill.fgColor.rgb  # needed, and not
    assert "cómo toca el programa a la empresa" in sheet[f"{place['arm']}1"].comment.text


def test_a_blank_workbook_is_read_as_empty_tables_and_a_filled_one_loads(small):
    path = write_workbook(small.data, form_words("pt"), names=list(FILLED))
    source = small.planned(data=FILLED_SHEETS).read().data
    assert unfilled(small.data, source, FILLED) == ["enterprises", "survey", "series"]
    book = openpyxl.load_workbook(path)
    for name in ("enterprises", "survey"):
        place = {cell.value: cell.column for cell in book[name][1]}
        for number, row in enumerate(small.tables[name].astype(object).to_dict("records"), start=2):
            for column, value in row.items():
                book[name].cell(number, place[column]).value = None if pd.isna(value) else value
    book["enterprises"].cell(2, [c.value for c in book["enterprises"][1]].index("registered_on") + 1).value = dt.datetime(
        2004, 2, 1
    )
    book.save(path)
    assert unfilled(small.data, source, ["survey", "enterprises"]) == []
    with collected():
        plain, found = load(small.planned(data={"files": {}}).read()), load(small.planned(data=FILLED_SHEETS).read())
    assert not len(found.faults)
    assert found["enterprises"]["registered_on"].dropna().tolist() == [pd.Timestamp("2004-02-01")]
    pd.testing.assert_frame_equal(found["survey"], plain["survey"])


# ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("language", [code for code in folder_languages() if code != "en"])
def test_every_table_column_and_code_has_words(language):
    told = form_words(language)
    assert not [name for name in TABLES if not told.get(f"tables.{name}")]
    assert not [(n, c.name) for n, c in columns() if not (told.get(f"columns.{n}.{c.name}") or told.get(f"columns.{c.name}"))]
    known = {c.name for _, c in columns()} | {f"{n}.{c.name}" for n, c in columns()} | set(TABLES)
    spare = [key for key in told if key.startswith(("columns.", "tables.")) and key.split(".", 1)[1] not in known]
    assert not spare
    assert not [(c.name, code) for _, c in columns() for code in c.codes if not told.get(f"codes.{c.name}.{code}")]
