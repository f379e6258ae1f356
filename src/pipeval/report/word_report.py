"""The Word report: pandoc between a reference document and a finishing touch."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from pathlib import Path

from .paper import Paper, epoch, shipped
from .sentences import programme_name
from .word import Parts, default_reference, finish, institution_reference, reference
from .word_styles import numbers_itself, speaking
from .word_xml import literal

_LONGEST = 80  # characters of a programme's name in the running header
_APP = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><Properties xmlns="http://schemas.openxmlformats.org/officeDocument/'
    '2006/extended-properties"><Application>pipeval</Application></Properties>'
)


def word_report(paper: Paper) -> Path:
    """Write `report.<language>.docx`, on the institution's own document where it brought one."""
    target, like = paper.target("report", "docx"), paper.source.with_suffix(".reference.docx")
    _reference(paper, like)
    with zipfile.ZipFile(like) as book:
        numbered = numbers_itself(book.read("word/styles.xml"))
    paper.pandoc(
        "--to=docx",
        f"--lua-filter={shipped('word.lua')}",
        f"--reference-doc={like}",
        *([] if numbered else ["--number-sections"]),
        f"--output={target}",
    )
    return finish(target, [lambda parts: _described(parts, paper)])


def _reference(paper: Paper, like: Path) -> None:
    text, bundle = paper.text, paper.bundle
    if paper.look.word is not None:
        institution_reference(paper.look.word, like, paper.look.accent)
        return
    name, stage = programme_name(bundle, text), text.say(f"stage.{bundle.study.get('stage', 'final')}")
    header = (name if len(name) < _LONGEST else name[: _LONGEST - 2] + "…", stage)
    footer = (bundle.study.get("study", ""), text.say("word.page"))
    reference(default_reference(), like, header, footer, paper.look.accent)


def _described(parts: Parts, paper: Paper) -> Parts:
    """The parts with the language of the report and its properties: title, subject, author, keywords."""
    language = paper.text.locale.replace("_", "-")
    made = {"docProps/core.xml": _core(paper, language).encode(), "docProps/app.xml": _APP.encode()}
    made["word/styles.xml"] = speaking(parts["word/styles.xml"], language)
    if "word/settings.xml" in parts:
        found = re.compile(rb'(<w:themeFontLang\b[^>]*?w:val=")[^"]*')
        made["word/settings.xml"] = found.sub(rb"\g<1>" + language.encode(), parts["word/settings.xml"])
    return parts | made


def _core(paper: Paper, language: str) -> str:
    study, text = paper.bundle.study, paper.text
    programme = study.get("programme", {})
    place = programme.get("place", {})
    keywords = [programme.get("id"), place.get(text.language) or place.get("en"), study.get("study")]
    author = study.get("report", {}).get("author") or programme.get("executing_agency") or "pipeval"
    day = dt.datetime.fromtimestamp(epoch(paper.bundle), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    title, subject = programme_name(paper.bundle, text), text.say(f"stage.{study.get('stage', 'final')}")
    dates = "".join(f'<dcterms:{name} xsi:type="dcterms:W3CDTF">{day}</dcterms:{name}>' for name in ("created", "modified"))
    named = {
        "dc:title": title,
        "dc:subject": subject,
        "dc:creator": author,
        "cp:keywords": "; ".join(str(k) for k in keywords if k),
        "dc:language": language,
        "cp:lastModifiedBy": author,
    }
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><cp:coreProperties '
        'xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        + "".join(f"<{name}>{literal(value)}</{name}>" for name, value in named.items())
        + f"{dates}</cp:coreProperties>"
    )
