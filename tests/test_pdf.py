"""The PDF report: tagged as PDF/UA-1 asks, its first page the answer, the same bytes each time, and data never markup."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pypdf
import pytest
from bundle_fixture import whole

from pipeval.report.bundle import Bundle
from pipeval.report.document import cover, markdown
from pipeval.report.drawing import draw
from pipeval.report.look import Look
from pipeval.report.paper import Paper
from pipeval.report.pdf import pdf
from pipeval.report.text import read_text

WORDS = {"es": ("Resumen ejecutivo", "Contenido", "Página"), "en": ("Executive summary", "Contents", "Page")}


def made(folder: Path, language: str = "en", bundle: Bundle | None = None) -> Path:
    """The PDF of a bundle, in a folder of its own."""
    bundle, text, look = bundle or whole(), read_text(language), Look("#0b3c5d")
    figures = {name: path.relative_to(folder) for name, path in draw(bundle, folder, text).items()}
    source, metadata = folder / "report.md", folder / "cover.json"
    source.write_text(markdown(bundle, text, figures), encoding="utf-8")
    metadata.write_text(json.dumps(cover(bundle, text, look)), encoding="utf-8")
    return pdf(Paper(source, metadata, folder, bundle, text, look))


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """The fixture's report in two languages, read."""

    @cache
    def of(language: str) -> pypdf.PdfReader:
        return pypdf.PdfReader(made(tmp_path_factory.mktemp(language), language))

    return of


def tags(book: pypdf.PdfReader) -> list[pypdf.generic.DictionaryObject]:
    """Every element of the structure tree."""
    found, waiting = [], [book.trailer["/Root"]["/StructTreeRoot"]]
    while waiting:
        node = waiting.pop().get_object()
        if isinstance(node, pypdf.generic.ArrayObject):
            waiting.extend(node)
        elif isinstance(node, pypdf.generic.DictionaryObject):
            if "/S" in node:
                found.append(node)
            if "/K" in node:
                waiting.append(node["/K"])
    return found


@pytest.mark.parametrize("language", ["es", "en"])
def test_the_document_says_what_it_is(papers, language):
    book = papers(language)
    root = book.trailer["/Root"]
    assert root["/Lang"].startswith(language) and root["/MarkInfo"]["/Marked"] and root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert book.metadata.title and b"pdfuaid" in root["/Metadata"].get_data()


def test_figures_have_words_and_tables_have_headings(papers):
    kinds = tags(papers("en"))
    figures = [tag for tag in kinds if tag["/S"] == "/Figure"]
    assert figures and all(tag.get("/Alt") for tag in figures)
    assert {"/Table", "/TH", "/TD", "/H1", "/H2", "/Caption", "/TOC"} <= {tag["/S"] for tag in kinds}


@pytest.mark.parametrize("language", ["es", "en"])
def test_the_first_page_holds_question_answer_and_verdicts(papers, language):
    text, (summary, contents, _) = read_text(language), WORDS[language]
    first, second = (papers(language).pages[i].extract_text() for i in (0, 1))
    assert summary in first and text.say("table.verdict_summary.caption")[:20] in first
    assert contents in second and contents not in first


def test_bookmarks_are_the_headings(papers):
    book = papers("en")

    def names(entries) -> list[str]:
        return [name for e in entries for name in (names(e) if isinstance(e, list) else [e.title])]

    marked = names(book.outline)
    assert any("Executive summary" in name for name in marked) and any("Provenance" in name for name in marked)


@pytest.mark.parametrize("language", ["es", "en"])
def test_pages_are_numbered_in_order(papers, language):
    """Where typst's layout does not settle, page numbers are the first to be wrong."""
    book, word = papers(language), WORDS[language][2]
    count = len(book.pages)
    feet = [" ".join(page.extract_text().split()) for page in book.pages]
    assert [n for n, foot in enumerate(feet, start=1) if f"{word} {n} / {count}" not in foot] == []


def test_a_wide_table_lies_on_its_side(papers):
    sides = [float(page.mediabox.width) > float(page.mediabox.height) for page in papers("es").pages]
    source = markdown(whole(), read_text("es"), {})
    assert any(sides) == (".wide" in source)


def test_the_same_bundle_gives_the_same_bytes(tmp_path):
    folders = [tmp_path / name for name in ("one", "another")]
    for folder in folders:
        folder.mkdir()
    assert made(folders[0]).read_bytes() == made(folders[1]).read_bytes()


def test_names_from_data_are_never_typst(tmp_path):
    hostile = '#panic("x") $1^2$ @ref <label> *b* _i_ = [c] // d "e" \\ #import "a"'
    programme = {"programme": whole().study["programme"] | {"name": {"en": hostile}, "financier": hostile}}
    book = pypdf.PdfReader(made(tmp_path, "en", whole().model_copy(update={"study": whole().study | programme})))
    first = book.pages[0].extract_text().replace("\n", " ")
    assert '#panic("x")' in first and "$1^2$" in first and "@ref" in first and "<label>" in first
