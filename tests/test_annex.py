"""The Excel annex: order, numbers, formats, links, and texts that stay texts."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from datetime import datetime
from xml.etree import ElementTree

import pandas as pd
import pytest
from bundle_fixture import HOSTILE, full, study
from openpyxl import load_workbook

from pipeval.report import tables
from pipeval.report.annex import workbook
from pipeval.report.bundle import Bundle
from pipeval.report.document import markdown
from pipeval.report.sheets import number_format, safe, sheet_name
from pipeval.report.tables import read_layout
from pipeval.report.text import read_text

EN, ES = read_text("en"), read_text("es")


@pytest.fixture(scope="module")
def printed():
    return markdown(full(), EN, {})


@pytest.fixture(scope="module")
def book(tmp_path_factory, printed):
    return load_workbook(workbook(full(), EN, tmp_path_factory.mktemp("annex") / "annex.en.xlsx", printed))


def made(tmp_path, tables, text=EN, printed="", **changes):
    bundle = Bundle.build(study() | changes, {n: pd.DataFrame(t) for n, t in tables.items()}, provenance={"seed": 1})
    return load_workbook(workbook(bundle, text, tmp_path / "a.xlsx", printed))


def test_every_table_has_a_sheet_in_the_order_of_the_report(book):
    bundle, layout = full(), read_layout()
    names = [n for n in bundle.tables if bundle.has(n)]
    assert len(book.sheetnames) == len(names) + 4
    outline = [b.get("table") or b.get("findings") for s in layout.stages["final"] for b in layout.sections[s]]
    wanted = [n for n in dict.fromkeys(outline) if n in names]
    assert book.sheetnames[1 : len(wanted) + 1] == [n[:31] for n in wanted]
    assert {n[:31] for n in names} <= set(book.sheetnames)


def test_the_contents_give_the_numbers_of_the_report_and_lead_to_each_sheet(book, printed):
    rows = {row[2].value: row for row in book.worksheets[0].iter_rows(min_row=6)}
    assert set(rows) == set(book.sheetnames[1:-3])
    order = re.findall(r"^:+ \{#tbl-([\w-]+)", printed, re.MULTILINE)
    assert rows["budget"][0].value == str(order.index("budget") + 1) and rows["budget"][4].value
    assert rows["firms_not_used"][0].value is None
    for name, row in rows.items():
        assert row[1].hyperlink.location == row[2].hyperlink.location == f"'{name}'!A1"
        assert book[name]["A1"].hyperlink.location == f"'{book.sheetnames[0]}'!A1"
        assert row[3].value == len(full().tables[name].rows)
    assert book["budget"]["A1"].value == f"Table {rows['budget'][0].value}. {rows['budget'][1].value}"
    assert book["budget"]["A2"].value == rows["budget"][5].value


def test_a_sheet_is_headed_frozen_filtered_and_prints(book):
    sheet = book["budget"]
    columns = full().tables["budget"].columns
    assert [c.value for c in sheet[3]][: len(columns)] == [EN.heading(c, "budget") for c in columns]
    assert [c.value for c in sheet[4]][: len(columns)] == columns
    assert sheet.freeze_panes == "A5" and sheet.auto_filter.ref.startswith("A4:") and sheet["C5"].number_format == "#,##0"
    for one in book.worksheets:
        assert one.page_setup.paperSize == 9 and one.page_setup.fitToHeight == 0 and one.sheet_properties.pageSetUpPr.fitToPage
        assert one.print_title_rows and one.oddFooter.right.text.endswith("&P / &N")
        assert "<b>&&</b>" in one.oddHeader.left.text  # & alone would be an order to Excel


def test_what_is_only_true_of_the_printed_excerpt_is_not_said(tmp_path):
    rows = {"outcome": ["ln_sales", "jobs"], "weighting": ["simple"] * 2, "estimate": [0.1, 0.2], "conf_low": [0.0, 0.1]}
    note = made(tmp_path, {"overall": rows})["overall"]["A2"].value
    assert "real sales" not in note and note.startswith("On the scale of estimation; 95% intervals.")
    note = made(tmp_path, {"overall": {k: v[:1] for k, v in rows.items()}})["overall"]["A2"].value
    assert note.startswith("Outcome: real sales.")
    gt = {"outcome": ["jobs"], "cohort": [2004], "estimate": [0.1]}
    assert "annex" not in made(tmp_path, {"att_gt": gt})["att_gt"]["A2"].value


def test_numbers_keep_their_digits_and_show_what_paper_shows(tmp_path):
    rows = {
        "outcome": ["ln_sales", "exports_directly", "jobs"], "scale": ["log", "share", "level"],
        "effect": [0.0912345, -0.05, 12.5], "p_value": [0.0001, 0.5, None], "n_treated": [1234, 5, 6], "cohort": [2004, 2005, 2006],
        "due": ["2004-02-29", None, "2004-03-01"], "headline": [True, False, None], "share": [0.5, None, 1.0],
    }  # fmt: skip
    sheet = made(tmp_path, {"effects": rows}, ES)["effects"]
    shown = {sheet.cell(4, j).value: [sheet.cell(i, j) for i in (5, 6, 7)] for j in range(1, len(rows) + 1)}
    assert [c.value for c in shown["effect"]] == [0.0912345, -0.05, 12.5]
    assert [c.number_format for c in shown["effect"]] == ["+0.0%;-0.0%;0.0%", '+0.0%"\u00a0pp";-0.0%"\u00a0pp";0.0%"\u00a0pp"', "#,##0.0"]
    assert shown["p_value"][0].number_format == '[<0.0005]"<0.001";0.000' and shown["p_value"][2].value is None
    assert shown["n_treated"][0].number_format == "#,##0" and shown["cohort"][0].number_format == "0"
    assert shown["due"][0].value == datetime(2004, 2, 29) and shown["due"][0].number_format == "[$-80A]d mmm yyyy"
    assert [c.value for c in shown["headline"]] == ["Sí", "No", None] and shown["share"][0].number_format == "0.0%"
    assert shown["outcome"][0].value == "Ventas reales"


def test_a_verdict_is_a_word_with_a_sign_and_a_colour(tmp_path):
    sheet = made(tmp_path, {"verdicts": {"id": ["G1", "G2"], "attainment": ["met", "not_met"]}})["verdicts"]
    good, bad = sheet["B5"], sheet["B6"]
    assert (good.value, bad.value) == (EN.label("attainment", "met"), EN.label("attainment", "not_met"))
    assert good.number_format == '"● "@' and bad.number_format == '"◆ "@'
    assert good.font.color.rgb[-6:] == "00674A" and bad.font.color.rgb[-6:] == "A3261B" and good.font.bold


def test_a_text_in_two_languages_is_one_column(tmp_path):
    table = {"indicators": {"id": ["G1"], "text_es": ["Las ventas"], "text_en": ["Sales"]}}
    for words, name, value in ((ES, "text_es", "Las ventas"), (EN, "text_en", "Sales")):
        sheet = made(tmp_path, table, words)["indicators"]
        assert [c.value for c in sheet[4][:3]] == ["id", name, None] and sheet["B5"].value == value
        assert sheet["B3"].value == words.heading("text", "indicators")


HARMFUL = ["=cmd()|'x'!A1", "+1", "-1+2", "@SUM(A1)", "\t=1", "#N/A", "a\x07b", HOSTILE, "x" * 40_000]


def test_no_text_becomes_a_formula_an_error_or_a_broken_file(tmp_path):
    tables = {"'=1+1[x]/:*?" * 4: {"=heading": HARMFUL, "text": range(9)}, "'=1+1[x]/:*?" * 4 + "b": {"n": [1]}}
    programme = study()["programme"] | {"name": {"en": "=1+1 &P"}}
    book = made(tmp_path, tables, programme=programme)
    assert all(len(n) <= 31 and not re.search(r"[\[\]:*?/\\]", n) for n in book.sheetnames)
    assert len({n.lower() for n in book.sheetnames}) == len(book.sheetnames) == 6
    for sheet in book:
        for cell in (c for row in sheet.iter_rows() for c in row if c.value is not None):
            assert cell.data_type in ("s", "n", "d") and not (isinstance(cell.value, str) and cell.value[0] in "=+-@\t")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as parts:
        for name in (n for n in parts.namelist() if n.endswith((".xml", ".rels"))):
            content = parts.read(name)
            ElementTree.fromstring(content)
            assert b"<f>" not in content and b"TargetMode" not in content, name
    assert book["Contents"].oddHeader.left.text == "=1+1 &&P"
    long = made(tmp_path, tables, programme=programme | {"name": {"en": "x" * 119 + "&P"}})["Contents"]
    assert long.oddHeader.left.text == "x" * 119 + "&&"
    assert safe("=1") == "'=1" and len(safe("x" * 40_000)) < 32_767


def test_definitions_codes_and_provenance_close_the_book(book):
    definitions, codes, origin = (book[n] for n in book.sheetnames[-3:])
    named = {row[0].value: [c.value for c in row[1:5]] for row in definitions.iter_rows(min_row=4)}
    assert set(full().tables["budget"].columns) <= set(named) and "budget" in named["executed_usd"][3]
    words = {(row[0].value, row[1].value): row[2].value for row in codes.iter_rows(min_row=4)}
    assert words["attainment", "met"] == EN.label("attainment", "met") and ("outcome", "ln_sales") in words
    assert {key.split(":")[0] for (key, _) in origin.iter_rows(min_row=4, max_col=2, values_only=True)} >= {
        EN.label("provenance", k) for k in full().provenance
    }


def test_an_empty_bundle_is_a_book_all_the_same(tmp_path):
    book = made(tmp_path, {"budget": {"n": []}})
    assert len(book.sheetnames) == 4 and book.worksheets[0]["A6"].value is None


def test_a_wide_table_turns_the_page_and_keeps_its_first_column(tmp_path):
    wide = {f"column_number_{i}": [1.5] for i in range(40)}
    book = made(tmp_path, {"wide": wide, "narrow": {"n": [1]}})
    assert book["wide"].page_setup.orientation == "landscape" and book["wide"].freeze_panes == "B5"
    assert book["wide"].page_setup.fitToWidth > 1 and book["wide"].print_title_cols == "$A:$A"
    assert book["narrow"].page_setup.orientation == "portrait" and book["narrow"].freeze_panes == "A5"


@pytest.mark.parametrize(
    ("files", "read", "n"),
    [
        ({}, ["survey.csv"], 1),
        ({}, ["survey.dta", "enterprises.parquet"], 2),
        ({"survey": "wave 2/answers.xlsx::Hoja1"}, ["answers.xlsx", "enterprises.csv"], 2),
        ({"survey": "answers.csv"}, ["survey.csv"], 0),
    ],
)
def test_a_source_is_named_whatever_its_file_is_called(monkeypatch, files, read, n):
    layout = replace(read_layout(), sources={"effects": ["survey", "enterprises"]})
    monkeypatch.setattr(tables, "read_layout", lambda: layout)
    bundle = Bundle.build({"data": {"files": files}}, {}, provenance={"inputs": dict.fromkeys(read, "")})
    said = tables.source_line("effects", bundle, EN)
    assert [EN.say(f"source_file.{f}") in said for f in ("survey", "enterprises")].count(True) == n
    assert bool(said) == bool(n)


def test_names_and_formats():
    assert sheet_name("History", []) != "History" and sheet_name("A", ["a"]) == "A 2" and sheet_name("''", []) == "-"
    assert len(sheet_name("y" * 50, ["y" * 31, "y" * 29 + " 2"])) <= 31
    assert number_format("p", 0.2, read_text("es", "es_CO")) == '[<0.0005]"<0,001";0.000'
    assert [number_format("num", v, EN) for v in (1234.5, 12.34, 1.5, 0.123, 3.0)] == [
        "#,##0", "#,##0.0", "#,##0.00", "#,##0.000", "#,##0",
    ]  # fmt: skip
