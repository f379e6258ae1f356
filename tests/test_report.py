"""The report is made from a bundle alone: the same numbers, the same bytes, no markup from data, nothing fetched."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook

from pipeval.errors import DataError, Note, UsageError
from pipeval.report.annex import annex
from pipeval.report.bundle import Bundle, read_bundle, save, spreadsheet_safe
from pipeval.report.document import markdown
from pipeval.report.render import render
from pipeval.report.sentences import listing
from pipeval.report.tables import printed_table, read_layout
from pipeval.report.text import escape, languages, read_text
from pipeval.verdicts.remarks import REMARKS

# The tests are collected by importlib, which does not put their folder on the path.
sys.path.insert(0, str(Path(__file__).parent))
from bundle_fixture import HOSTILE, full, study, tiny

ES, EN = read_text("es"), read_text("en")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    folder = save(full(), tmp_path_factory.mktemp("final"))
    render(folder)
    return folder


def test_undefined_is_null_and_comes_back_as_nan(tmp_path):
    frame = pd.DataFrame({"arm": ["a", "b"], "n": [1.5, np.nan], "far": [np.inf, 2.0], "flag": [True, False]})
    back = read_bundle(save(Bundle.build({"study": "x"}, {"t": frame}), tmp_path)).table("t")
    assert back["n"].isna().tolist() == [False, True] and back["n"].dtype == float
    assert np.isnan(back["far"][0]) and back["flag"].tolist() == [True, False]
    assert "NaN" not in (tmp_path / "results.json").read_text()


def test_saving_twice_gives_the_same_bytes(tmp_path):
    first, second = save(full(), tmp_path / "a"), save(read_bundle(tmp_path / "a"), tmp_path / "b")
    for path in first.rglob("*.*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name


def test_a_cell_is_never_a_formula(tmp_path):
    folder = save(full(), tmp_path)
    assert "'=cmd()" in (folder / "tables" / "corrections.csv").read_text()
    assert not re.search(r"(^|,)\"?[=+@]", (folder / "tables" / "corrections.csv").read_text(), re.MULTILINE)
    for row in load_workbook(annex(full(), EN, tmp_path / "annex.xlsx"))["corrections"].iter_rows():
        assert all(cell.data_type != "f" for cell in row)
    assert spreadsheet_safe(-1.0) == -1.0 and spreadsheet_safe("-1") == "'-1"


def test_a_folder_without_a_valid_bundle_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"results\.json"):
        read_bundle(tmp_path)
    (tmp_path / "results.json").write_text('{"schema_version": "0.9", "study": {}}')
    with pytest.raises(DataError, match="schema_version"):
        read_bundle(tmp_path)


def test_every_language_has_the_same_keys_and_fields():
    assert languages() == ["en", "es"]
    assert set(ES.entries) == set(EN.entries)
    for key, sentence in EN.entries.items():
        if not key.startswith("note."):
            assert set(re.findall(r"\{(\w+)\}", sentence)) == set(re.findall(r"\{(\w+)\}", ES.entries[key])), key


def test_impact_is_written_only_where_it_is_demonstrated():
    for words in (ES, EN):
        said = {k for k, v in words.entries.items() if re.search(r"\bimpact", v, re.IGNORECASE)}
        assert said == {"say.verdict.evidence.demonstrated"}


def test_every_remark_and_printed_column_has_words():
    assert {f"code.remarks.{code}" for code in REMARKS} <= set(ES.entries)
    layout = read_layout()
    virtual = {"text", "description"}
    for blocks in layout.sections.values():
        for block in (b for b in blocks if "table" in b):
            name = block.get("name", block["table"])
            assert f"table.{name}.caption" in ES.entries and (f"table.{block['table']}.short" in ES.entries or block["table"] == "")
            for column in set(block.get("columns", ())) - virtual:
                assert ES.has(f"column.{column}") or ES.has(f"table.{name}.column.{column}"), (name, column)


def test_numbers_follow_the_locale_and_not_the_language():
    assert read_text("es", "es_MX").number(1234.56, "dec1") == "1,234.6"
    assert read_text("es", "es_CO").number(1234.56, "dec1") == "1.234,6"
    assert EN.number(-0.0912, "spct") == "−9.1%" and EN.number(0.0004, "p") == "<0.001" and EN.number(0.0316, "p") == "0.032"
    assert EN.number(float("nan")) == "—" and EN.number(-0.0001, "spct") == "0.0%"
    with pytest.raises(UsageError, match="fr"):
        read_text("fr")
    with pytest.raises(UsageError, match="xx_ZZ"):
        read_text("es", "xx_ZZ")


def test_a_verdict_says_both_axes_and_merges_neither():
    words = markdown(full(), EN, {})
    assert "The target is not yet due" in words and "An impact of the programme is demonstrated" in words
    inconclusive = next(p for p in words.split(":::") if "**G2" in p)
    assert "partly met" in inconclusive and "cannot be attributed" in inconclusive and "impact" not in inconclusive
    assert "could have detected an effect of 6\\.8\\%" in inconclusive
    assert "check not quite passed: Earlier trends" in words


def test_the_midterm_is_labelled_early_and_judges_no_goal():
    words = markdown(full("midterm"), ES, {})
    assert "TEMPRAN" in words and "tbl-indicator-evolution" in words
    assert words.index("::: early") < words.index("tbl-verdict-summary") and "impacto" not in words


def test_absent_tables_become_one_gap_sentence_a_section():
    for words in (EN, ES):
        text = markdown(tiny(), words, {})
        sections = re.split(r"^# ", text, flags=re.MULTILINE)[1:]
        assert all(s.count("::: gap") <= 1 for s in sections)
        assert "tbl-effects-summary" in text and "−26\\.7\\%" in text
    empty = Bundle.build(study(), {}, (), {})
    assert "::: gap" in markdown(empty, EN, {})


def test_notes_fall_back_on_english_and_repeat_once():
    notes = [
        Note("few_clusters", "x {n} {df}", {"n": 6, "df": 5}),
        Note("few_clusters", "x {n} {df}", {"n": 4, "df": 3}),
        Note("new", "said {a}", {"a": 1}),
    ]
    text = markdown(Bundle.build(study(), {}, notes), ES, {})
    assert text.count("Los errores estándar se apoyan") == 1 and "(y 1 observaciones más" in text and "said 1" in text


def test_hostile_text_is_escaped_in_a_table():
    table = printed_table(full(), {"table": "corrections", "columns": ["table", "source"]}, EN)
    assert escape(HOSTILE) in table and "<script>" not in table
    assert listing(["a", "b", "c"], ES) == "a, b y c"


def test_each_format_holds_the_verdict_table_and_no_markup_from_data(rendered):
    for language, words in (("es", "No concluyente"), ("en", "Inconclusive")):
        html = (rendered / f"report.{language}.html").read_text()
        assert words in html and "<script" not in html and "&lt;script&gt;" in html
        assert not re.search(r'(src|href)="(https?:)?//', html) and "url(http" not in html
        assert not re.search(r"<img(?![^>]*alt=\"[^\"]+\")[^>]*>", html)
        with zipfile.ZipFile(rendered / f"report.{language}.docx") as book:
            body = book.read("word/document.xml").decode()
            assert words in body and 'descr="' in body and "TOC1" in body
        assert (rendered / f"report.{language}.pdf").read_bytes().startswith(b"%PDF")


def test_captions_are_numbered_in_order(rendered):
    html = (rendered / "report.en.html").read_text()
    for word in ("Table", "Figure"):
        numbers = [int(n) for n in re.findall(rf"<strong>{word}\s(\d+)\.</strong>", html)]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 5


def test_the_annex_has_a_sheet_a_table_and_a_frozen_heading(rendered):
    book = load_workbook(rendered / "annex.xlsx")
    assert len(book.sheetnames) == len(full().tables) + 1
    assert all(sheet.freeze_panes == "A2" for sheet in book)
    assert book["budget"]["C2"].number_format == "#,##0"


def test_rendering_twice_gives_the_same_bytes(tmp_path):
    first, second = save(tiny(), tmp_path / "a"), save(tiny(), tmp_path / "b")
    made = render(first, ["en"])
    render(second, ["en"])
    for path in [*made, *(first / "figures").glob("*.png")]:
        if path.suffix != ".xlsx":
            assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name
