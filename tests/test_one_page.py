"""The page for a committee: one A4 page in every language and stage, tagged, whatever the data hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pypdf
import pytest
from bundle_fixture import HOSTILE, tiny, whole

from pipeval.report.bundle import Bundle
from pipeval.report.document import one_page
from pipeval.report.labels import study_words
from pipeval.report.look import Look
from pipeval.report.one_page import SIZES, drawn, page_words, summary
from pipeval.report.paper import Paper
from pipeval.report.text import read_text


def paper(bundle: Bundle, folder: Path, language: str = "en") -> Paper:
    text = study_words(read_text(language), bundle.study)
    return Paper(folder / "none.md", folder / "none.json", folder, bundle, text, Look("#0b3c5d"))


def words_of(pdf: Path) -> str:
    return " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(pdf).pages).split())


def sizes_of(pdf: Path) -> set[float]:
    """The sizes of type on the page, in points."""
    found = set()
    pypdf.PdfReader(pdf).pages[0].extract_text(
        visitor_text=lambda text, cm, tm, font, size: found.add(round(size, 2)) if text.strip() else None
    )
    return found


def tags_of(node: object, found: list[dict]) -> list[dict]:
    """Every structure element below this one."""
    node = node.get_object()
    if isinstance(node, list):
        for child in node:
            tags_of(child, found)
    elif isinstance(node, dict):
        found.append(node)
        if "/K" in node:
            tags_of(node["/K"], found)
    return found


def written(block: dict, bundle: Bundle, frame: pd.DataFrame) -> Bundle:
    tables = {name: bundle.table(name) for name in bundle.tables} | {block["table"]: frame}
    return Bundle.build(bundle.study, tables, (), bundle.provenance)


def crowded(rows: int, times: int) -> Bundle:
    """The full bundle with many goal indicators of long names, and measures that are open."""
    bundle = whole()
    verdicts = bundle.table("verdicts")
    one = verdicts.iloc[[0]]
    many = pd.concat([one.assign(id=f"G{i}", text_en=f"Indicator {i} " + "of a long name " * times) for i in range(rows)])
    bundle = written({"table": "verdicts"}, bundle, many)
    measures = bundle.table("findings_register")
    return written({"table": "findings_register"}, bundle, measures.assign(status="open"))


@pytest.mark.parametrize("language", ["es", "en", "pt"])
def test_one_page_in_every_language(tmp_path, language):
    made = summary(paper(whole(), tmp_path, language))
    reader = pypdf.PdfReader(made)
    assert made.name == f"summary.{language}.pdf"
    assert len(reader.pages) == 1
    assert [round(float(side)) for side in reader.pages[0].mediabox[2:]] == [595, 842]
    assert reader.trailer["/Root"]["/Lang"] == language
    said = words_of(made)
    own = page_words(read_text(language), "final")
    for key in ("text.one_answer", "table.verdict_summary.caption", "figure.effects.caption", "page.more"):
        assert own.say(key).removeprefix("## ") in said
    assert "COFOCE" in said and "2007" in said and f"report.{language}.pdf" in said


@pytest.mark.parametrize("stage", ["baseline", "midterm", "final", "expost"])
def test_each_stage_says_what_it_can(tmp_path, stage):
    made = summary(paper(whole(stage), tmp_path))
    said = words_of(made)
    assert len(pypdf.PdfReader(made).pages) == 1
    assert ("EARLY" in said) == (stage == "midterm")
    assert ("What the sample will be able to detect" in said) == (stage == "baseline")
    assert ("was it the programme?" in said) == (stage in ("final", "expost"))
    assert ("against" in said and "targets" in said) or stage == "baseline"


def test_without_a_log_frame_the_effects_stand_instead(tmp_path):
    said = words_of(summary(paper(tiny(), tmp_path)))
    assert "Difference from similar firms without the programme" in said and "Scrap rate" in said
    lower = whole().table("verdicts").query("level not in ['goal', 'purpose']")
    bundle = written({"table": "verdicts"}, whole(), lower)
    said = words_of(summary(paper(bundle, tmp_path)))
    assert "Difference from similar firms" in said and "was it the programme?" not in said


def test_the_tree_of_tags(tmp_path):
    made = summary(paper(whole(), tmp_path))
    root = pypdf.PdfReader(made).trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    tags = tags_of(root["/StructTreeRoot"]["/K"], [])
    names = [str(tag.get("/S")) for tag in tags]
    assert names.count("/H1") == 1 and "/H2" in names and "/Table" in names and "/TH" in names and "/L" in names
    pictures = [tag for tag in tags if tag.get("/S") == "/Figure"]
    assert [tag["/Alt"] for tag in pictures] == [read_text("en").say("figure.effects.alt")]
    assert b"pdfuaid" in root["/Metadata"].get_data()


def test_the_same_bundle_gives_the_same_bytes(tmp_path):
    first = summary(paper(whole(), tmp_path)).read_bytes()
    assert summary(paper(whole(), tmp_path)).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["summary.en.pdf"]


def test_the_type_shrinks_before_anything_leaves(tmp_path):
    assert SIZES[0] in sizes_of(summary(paper(whole(), tmp_path)))
    made = summary(paper(crowded(16, 5), tmp_path))
    assert len(pypdf.PdfReader(made).pages) == 1
    assert SIZES[0] not in sizes_of(made)


def test_blocks_leave_from_the_last(tmp_path):
    job = paper(crowded(22, 5), tmp_path)
    made = summary(job)
    said = words_of(made)
    assert len(pypdf.PdfReader(made).pages) == 1
    assert "Indicator 21" in said
    assert "Recommended and still pending" not in said
    words, figures = page_words(job.text, "final"), {"effects": Path("effects.png")}
    marks = ("tbl-findings-register", "fig-effects", "tbl-verdict-summary")
    held = [[mark in one_page(job.bundle, words, figures, n) for mark in marks] for n in range(4)]
    assert held == [[True, True, True], [False, True, True], [False, False, True], [False, False, True]]


def test_verdicts_that_no_page_holds_go_on_overleaf(tmp_path):
    made = summary(paper(crowded(90, 20), tmp_path))
    assert len(pypdf.PdfReader(made).pages) > 1 and "Indicator 89" in words_of(made)
    assert list(tmp_path.iterdir()) == [made]


def test_hostile_names_are_inert(tmp_path):
    bundle = whole()
    params = bundle.study | {
        "programme": bundle.study["programme"]
        | {"name": {"en": HOSTILE, "es": HOSTILE}, "executing_agency": HOSTILE, "financier": '"]#x'}
    }
    verdicts = bundle.table("verdicts").assign(text_en=HOSTILE)
    tables = {name: bundle.table(name) for name in bundle.tables} | {"verdicts": verdicts}
    said = words_of(summary(paper(Bundle.build(params, tables, (), bundle.provenance), tmp_path)))
    assert said.count("<script>alert(1)</script> *bold* #let @ref $a_b$".replace(" ", "")) == 0
    assert said.replace(" ", "").count(HOSTILE.replace(" ", "")) >= 3
    assert '"]#x' in said


def test_the_look_of_the_institution(tmp_path):
    (tmp_path / "look").mkdir()
    (tmp_path / "look" / "logo.png").write_bytes(drawn(paper(whole(), tmp_path))["effects"])
    job = replace(paper(whole(), tmp_path), look=Look("#7a1f3d", logo=tmp_path / "look" / "logo.png"))
    made = summary(job)
    tags = tags_of(pypdf.PdfReader(made).trailer["/Root"]["/StructTreeRoot"]["/K"], [])
    assert read_text("en").say("web.logo") in [tag.get("/Alt") for tag in tags]
    assert len(pypdf.PdfReader(made).pages) == 1
    assert made.read_bytes() != summary(paper(whole(), tmp_path)).read_bytes()


def test_outcomes_without_a_target_are_not_in_the_figure(tmp_path):
    bundle = whole()
    aimed = [o["id"] for o in bundle.study["outcomes"] if o["relevant_effect"] is not None]
    effects = bundle.table("effects")
    only = written({"table": "effects"}, bundle, effects[effects["outcome"].isin(aimed)])
    assert len(effects["outcome"].unique()) > len(only.table("effects")["outcome"].unique())
    assert drawn(paper(bundle, tmp_path))["effects"] == drawn(paper(only, tmp_path))["effects"]


def test_one_key_stands_under_the_verdicts():
    for language in ("es", "en", "pt"):
        body = one_page(whole(), page_words(study_words(read_text(language), whole().study), "final"), {})
        assert body.count("::: note") >= 1
        assert "{" not in body.replace("{.", "").replace("{#", "")
