"""The paper of a comparison: what moved between two reports and why, as HTML and Word, for whoever answers for them.

Comparison → Markdown → pandoc, by the road of the reports: the same comparison gives the same bytes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..batch.index import made as when
from ..report.bundle import Bundle
from ..report.document import cover
from ..report.judgement import listing
from ..report.labels import in_sentence, study_words
from ..report.look import Look
from ..report.paper import Paper
from ..report.text import Text, escape, read_text
from ..report.web import web
from ..report.word_report import word_report
from ..study.files import write_whole
from ..study.specs import Look as LookSpec
from .causes import Causes
from .exhibits import counts, firms_of, numbers, reworded, verdicts, why
from .pages import Headline, Page, code, headlines

if TYPE_CHECKING:
    from .run import Comparison, Identity

_NAMED = 4  # verdicts, estimates, firms and keys that a line of the answer names
_KEY = 12  # characters of a key that are printed


def write_papers(comparison: Comparison, old: Bundle, new: Bundle, folder: Path, languages: Sequence[str]) -> list[Path]:
    """Write `compare.<language>.html` and `compare.<language>.docx` into a folder; returns their paths.

    `languages` defaults to those of the newer report. The papers name firms: they are for the evaluator, and say so.

    Raises `UsageError` for a language without a text file, `PipevalError` when pandoc cannot write.
    """
    chosen, made = new.study.get("report", {}), []
    for language in languages or chosen.get("languages", ["es", "en"]):
        text = read_text(language, chosen.get("locales", {}).get(language, ""))
        page = Page(comparison, old, new, study_words(text, new.study))
        made += _set(page, compared(page), Path(folder))
    return made


def compared(page: Page) -> str:
    """The whole comparison in one language, as Markdown."""
    found, parts = headlines(page), []
    sentences = page.comparison.sentences.get(page.text.language, ())
    sections = {
        "summary": [_lead(page), answer(page, found)],
        "verdicts": verdicts(page),
        "why": why(page),
        "numbers": numbers(page, found),
        "sentences": reworded(page, sentences),
        "counts": counts(page),
    }
    # Where no cell moved there is nothing to show of numbers; sentences may differ all the same.
    shown = ["summary", "why", *(["sentences"] if sentences else [])] if page.comparison.moved.identical else list(sections)
    for name in shown:
        parts += [f"# {page.say(f'heading.{name}')} {{#sec-{name}}}", *sections[name]]
    return "\n\n".join(parts) + "\n"


def answer(page: Page, found: Sequence[Headline]) -> str:
    """The answer in five lines: verdicts, estimates, indicators, why, what stayed. One line where nothing moved."""
    comparison = page.comparison
    if comparison.again and comparison.reproduced:
        lines = [page.say("answer.reproduced", {"cells": page.text.number(comparison.moved.compared, "int")})]
    elif comparison.again and comparison.reproduced is None:
        lines = [page.say("answer.not_run")]
    elif comparison.moved.identical:
        lines = [page.say("answer.identical", {"cells": page.text.number(comparison.moved.compared, "int")}), _why(page)]
    else:
        lines = [page.say("answer.not_reproduced")] if comparison.again else []
        lines += [_verdicts(page), _estimates(page, found), _values(page, found), _why(page), _stayed(page)]
    return "\n".join(f"- {line}" for line in lines if line)


def _lead(page: Page) -> str:
    """What stands beside what, and for whom this paper is."""
    comparison = page.comparison
    values = {"old": _report(comparison.old, page), "new": _report(comparison.new, page)}
    other = (comparison.old.study, comparison.old.stage) != (comparison.new.study, comparison.new.stage)
    said = page.say("lead.again", values) if comparison.again else _beside(page, values)
    return " ".join([said, *([page.say("lead.other")] if other else []), page.say("lead.audience")])


def _beside(page: Page, values: dict[str, str]) -> str:
    """The two reports; where both would be called the same, that once, and when they were made."""
    old, new = page.comparison.old, page.comparison.new
    if values["old"] != values["new"] or old.stage != new.stage:
        return page.say("lead.two", values)
    before, after = (escape(when({"finished": one.made}, page.text)) if one.made else "" for one in (old, new))
    if before and after and before != after:
        return page.say("lead.dated", {"report": values["new"], "before": before, "after": after})
    return page.say("lead.same", {"report": values["new"]})


def _report(one: Identity, page: Page) -> str:
    return page.say("report", {"study": code(one.study), "as_of": escape(page.text.day(one.as_of, "long"))})


def _verdicts(page: Page) -> str:
    moved = page.comparison.moved.verdicts
    if not (moved or page.old.has("verdicts") or page.new.has("verdicts")):
        return page.say("answer.verdicts.absent")
    words = {axis: in_sentence(page.text.heading(axis)) for axis in ("attainment", "evidence")}
    lines = []
    for one in moved[:_NAMED]:
        old, new = (in_sentence(page.text.label(one.axis, v)) if v else page.say("not_judged") for v in (one.old, one.new))
        values = {"indicator": in_sentence(page.indicator(one.indicator)), "axis": words[one.axis], "old": old, "new": new}
        lines.append(page.say("answer.verdict", {k: escape(v) for k, v in values.items()}))
    return page.counted("answer.verdicts", len({v.indicator for v in moved}), {"moved": _joined(lines, len(moved), page)})


def _estimates(page: Page, found: Sequence[Headline]) -> str:
    """Which headline estimates moved, the largest in standard errors first."""
    every = [h for h in found if h.table == "effects"]
    moved = sorted((h for h in every if h.moved), key=lambda h: -abs(h.errors or 0))
    lines = []
    for h in moved[:_NAMED]:
        values = {"outcome": in_sentence(h.label), "old": page.number(h.old, h.kind), "new": page.number(h.new, h.kind)}
        values["errors"] = page.change(None if h.errors is None else abs(h.errors), "num").removeprefix("+")
        lines.append(
            page.say(f"answer.estimate.{'plain' if h.errors is None else 'errors'}", {k: escape(v) for k, v in values.items()})
        )
    values = {"all": page.text.counted(len(every)), "moved": _joined(lines, len(moved), page)}
    return page.counted("answer.estimates", len(moved), values) if every else ""


def _values(page: Page, found: Sequence[Headline]) -> str:
    every = [h for h in found if h.table == "verdicts"]
    moved = [h for h in every if h.moved]
    names = [escape(in_sentence(h.label)) for h in moved[:_NAMED]]
    values = {"all": page.text.counted(len(every)), "moved": _joined(names, len(moved), page)}
    return page.counted("answer.values", len(moved), values) if every else ""


def _why(page: Page) -> str:
    """Whose figures, which decisions, which code and versions; how the change is divided among them."""
    comparison, causes = page.comparison, page.comparison.causes
    if causes is None:
        return page.say("answer.why.unknown")
    lines = [line for line in (_data(causes, page), _decisions(causes, page), _code(causes, page), _versions(causes, page)) if line]
    if not lines:
        return page.say("answer.why.look" if causes.look else "answer.why.none")
    if comparison.moved.identical:
        return page.say("answer.why.idle", {"causes": listing(lines, page.text, escaped=True)})
    lead, how = page.say("answer.why.lead", {"causes": listing(lines, page.text, escaped=True)}), comparison.attribution.how
    return lead if how == "nothing" else f"{lead} {page.say(f'answer.how.{how}')}"


def _data(causes: Causes, page: Page) -> str:
    if "data" not in causes.kinds:
        return ""
    firms = [escape(f) for f in firms_of(causes)]
    if firms:
        return page.counted("answer.firms", len(firms), {"firms": _joined(firms, len(firms), page)})
    tables = sorted({c.table for c in (*causes.cells, *causes.rows)})
    names = [page.file_name(t) for t in tables] or [code(f.name) for f in causes.files]
    return page.say("answer.files", {"files": _joined(names, len(names), page)})


def _decisions(causes: Causes, page: Page) -> str:
    keys = [code(d.key) for d in causes.decisions]
    return page.counted("answer.decisions", len(keys), {"keys": _joined(keys, len(keys), page)}) if keys else ""


def _code(causes: Causes, page: Page) -> str:
    if "code" not in causes.kinds:
        return ""
    named = causes.pipeval
    two = {"old": escape(named.old or "—"), "new": escape(named.new or "—")} if named else {}
    return page.say("answer.pipeval", two) if named else page.counted("answer.modules", max(len(causes.modules), 1))


def _versions(causes: Causes, page: Page) -> str:
    names = [escape(v.name) for v in causes.versions]
    return page.counted("answer.versions", len(names), {"names": _joined(names, len(names), page)}) if names else ""


def _stayed(page: Page) -> str:
    """How many of the compared cells, and which tables, are as they were."""
    moved = page.comparison.moved
    touched = {c.table for c in moved.numbers} | {r.table for r in moved.rows} | ({"verdicts"} if moved.verdicts else set())
    tables = page.old.tables.keys() | page.new.tables.keys()
    same = moved.compared - len(moved.numbers)
    values = {"share": page.text.number(same / moved.compared if moved.compared else None, "pct")}
    values = {k: escape(v) for k, v in values.items()} | {"cells": page.text.number(moved.compared, "int")}
    return page.say("answer.stayed", values | {"tables": len(tables - touched), "all": len(tables)})


def _joined(items: Sequence[str], count: int, page: Page) -> str:
    """The first few of `count` items as a phrase, the others counted; the items are Markdown."""
    shown = list(items[:_NAMED])
    return listing([*shown, *([page.counted("others", count - len(shown))] if count > len(shown) else [])], page.text, escaped=True)


def _set(page: Page, body: str, folder: Path) -> list[Path]:
    """The Markdown through pandoc, in a scratch folder; what was made appears whole in `folder`."""
    stage = page.new.study.get("stage", "final")
    text = _titled(page.text, stage, page.say("title"))
    accent = page.new.study.get("report", {}).get("look", {}).get("accent") or LookSpec().accent
    look = Look(LookSpec(accent=accent).accent)
    facts = [("old", page.comparison.old), ("new", page.comparison.new)]
    shown = [{"name": escape(page.say(f"fact.{name}")), "value": _fact(one, page)} for name, one in facts]
    metadata = cover(page.new, text, look) | {"facts": shown}
    made = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "compare.md").write_text(body, encoding="utf-8", newline="\n")
        (place / "cover.json").write_text(json.dumps(metadata, ensure_ascii=False), encoding="utf-8")
        paper = Paper(place / "compare.md", place / "cover.json", place, page.new, text, look)
        for written in (web(paper), word_report(paper)):
            target = folder / f"compare.{page.text.language}{written.suffix}"
            made.append(write_whole(target, written.read_bytes()))
    return made


def _titled(text: Text, stage: str, title: str) -> Text:
    """The words in which the papers of a study, whatever its stage, are headed as a comparison."""
    return replace(text, entries=text.entries | {f"stage.{stage}": title})


def _fact(one: Identity, page: Page) -> str:
    values = {"study": code(one.study), "as_of": escape(page.text.day(one.as_of)), "pipeval": escape(one.pipeval or "—")}
    return page.say("fact.report" if one.key else "fact.unknown", values | {"key": code(one.key[:_KEY])})
