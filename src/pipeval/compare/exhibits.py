"""The parts of a comparison's paper below its answer, as Markdown: verdicts, why, headline numbers, sentences, counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..data.contract import TABLES
from ..report.judgement import listing
from ..report.tables import light
from ..report.text import escape
from .alone import SentenceMoved
from .causes import CAUSES, Causes, DataCell
from .pages import Headline, Page, code

CELLS = 50
"""Cells of the data that are printed; compare.json holds all."""

_SENTENCES = 200  # sentences that are printed; the reports themselves hold all
_NAMED = 5
_ACROSS = 4  # numbers that the table of single firms and keys has room for
_YEARS = ("ref_year", "year", "period")


def verdicts(page: Page) -> list[str]:
    """Which verdicts moved, on which axis, and what alone would have moved them."""
    moved = page.comparison.moved.verdicts
    if not moved:
        return [page.say("verdicts.none" if page.new.has("verdicts") or page.old.has("verdicts") else "verdicts.absent")]
    dues = {(d.indicator, d.axis): d for d in page.comparison.attribution.verdicts}
    exchanged = _exchanged(page)
    rows = []
    for one in moved:
        cells = [light(one.axis, v, page.text) if v else escape(page.say("not_judged")) for v in (one.old, one.new)]
        row = [escape(page.indicator(one.indicator)), escape(page.text.heading(one.axis)), *cells]
        due = dues.get((one.indicator, one.axis))
        rows.append(row + ([_due(due and due.due, page)] if exchanged else []))
    headings = ["indicator", "axis", "old", "new", *(["due"] if exchanged else [])]
    return [page.table("verdicts", headings, ["left"] * len(headings), rows, {})]


def why(page: Page) -> list[str]:
    """What differs between what the reports were made from: data, decisions, code and versions; how the change was divided."""
    causes = page.comparison.causes
    if causes is None:
        return [page.say("why.unknown"), *told(page.comparison.messages, page)]
    if not causes.kinds and not causes.look:
        return [page.say("why.same"), *told([*causes.messages, *page.comparison.messages], page)]
    parts = [page.say(f"how.{page.comparison.attribution.how}", {"causes": cause_list(causes.kinds, page)})]
    for name, made in (("data", _data), ("decisions", _decisions), ("code", _code)):
        content = made(causes, page)
        if content:
            parts += [f"## {page.say(f'heading.{name}')} {{#sec-{name}}}", *content]
    if causes.look:
        named = [_part_of_look(f.name, page) for f in causes.look]
        parts.append(page.counted("look", len(named), {"names": _few(named, page)}))
    return parts + told([*causes.messages, *page.comparison.attribution.messages, *page.comparison.messages], page)


def numbers(page: Page, found: Sequence[Headline]) -> list[str]:
    """The headline numbers that moved, with the parts of their change; then each firm and key alone, if that was asked."""
    attribution, parts = page.comparison.attribution, []
    for table, name in (("effects", "effects"), ("verdicts", "values")):
        rows = [h for h in found if h.table == table and h.moved]
        if rows:
            parts.append(_number_table(name, rows, page))
        elif any(h.table == table for h in found):
            parts.append(page.say(f"{name}.none"))
    if not found:
        parts.append(page.say("headline.absent"))
    if attribution.how == "one" and any(h.moved for h in found):
        parts.append(page.say("one_cause", {"cause": cause_list(attribution.causes, page)}))
    return parts + _each(page, [h for h in found if h.moved and h.due])


def reworded(page: Page, moved: Sequence[SentenceMoved]) -> list[str]:
    """The report's sentences that read otherwise, old beside new, and what alone makes them read so."""
    if not moved:
        return [page.say("sentences.none")]
    exchanged, rows = _exchanged(page), []
    for one in moved[:_SENTENCES]:
        row = [escape(one.section), *(escape(s) if s else "—" for s in (one.old, one.new))]
        rows.append(row + ([_due(one.due, page)] if exchanged else []))
    headings = ["section", "read", "reads", *(["due"] if exchanged else [])]
    made = [page.table("sentences", headings, ["left"] * len(headings), rows, {})]
    return made + ([page.counted("sentences.more", len(moved) - _SENTENCES)] if len(moved) > _SENTENCES else [])


def counts(page: Page) -> list[str]:
    """How many numbers, texts and rows of each result table moved, and what alone moves any of them."""
    moved = page.comparison.moved
    found: dict[str, Counter] = {}
    for cell in moved.numbers:
        found.setdefault(cell.table, Counter())[cell.kind] += 1
    for row in moved.rows:
        found.setdefault(row.table, Counter())[row.side] += 1
    if moved.verdicts:
        found.setdefault("verdicts", Counter())["text"] += len(moved.verdicts)
    if not found:
        return [page.say("counts.none", {"cells": page.text.number(moved.compared, "int")})]
    kinds, movers, rows = ("number", "text", "added", "removed"), _movers(page), []
    for table, count in sorted(found.items(), key=lambda item: (-sum(item[1].values()), item[0])):
        row = [page.table_name(table), *(page.text.number(count[k], "int") if count[k] else "—" for k in kinds)]
        rows.append(row + ([_due(movers.get(table, ()), page)] if _exchanged(page) else []))
    due = ["due"] if _exchanged(page) else []
    made = [page.table("counts", ["table", *kinds, *due], ["left", *["right"] * 4, *["left"] * len(due)], rows, {})]
    if moved.ambiguous:
        names = _few([page.table_name(t) for t in sorted(moved.ambiguous)], page)
        made.append(page.counted("ambiguous", sum(moved.ambiguous.values()), {"tables": names}))
    return made


def cause_list(causes: Sequence[str], page: Page) -> str:
    """The causes as a phrase, Markdown."""
    return listing([page.say(f"cause.{c}") for c in CAUSES if c in causes], page.text)


def told(messages: Sequence[str], page: Page) -> list[str]:
    """What the comparison itself had to say, as a list; in its own words where there are none of this language."""
    if not messages:
        return []
    lines = [f"- {escape(m)}" for m in dict.fromkeys(messages)]
    return [page.say("messages"), "\n".join(lines)]


def firms_of(causes: Causes) -> list[str]:
    """The firms whose cells or rows differ, in the order of their ids."""
    held = {x.firm_id for x in (*causes.cells, *causes.rows) if x.firm_id}
    return sorted(held | set(causes.firms_added) | set(causes.firms_removed))


def _exchanged(page: Page) -> bool:
    return page.comparison.attribution.how == "exchanged"


def _due(due: Sequence[str] | None, page: Page) -> str:
    """The causes that alone make something what it is now, Markdown."""
    if due is None:
        return "—"
    return cause_list(due, page) if due else escape(page.say("cause.together"))


def _movers(page: Page) -> dict[str, set[str]]:
    """By table, the causes that alone move any number of it or make anything else of it what it is now."""
    why, found = page.comparison.attribution, {}
    for due in why.numbers:
        found.setdefault(due.table, set()).update(c for c in CAUSES if getattr(due, c))
    for table, causes in [*((d.table, d.due) for d in why.others), *(("verdicts", d.due) for d in why.verdicts)]:
        found.setdefault(table, set()).update(causes or ())
    return found


def _part_of_look(name: str, page: Page) -> str:
    """A field of the record in words; a decision or a file by its name."""
    return page.say(f"look_part.{name}") if page.has(f"look_part.{name}") else code(name)


def _few(items: Sequence[str], page: Page) -> str:
    """The first few items as a phrase, the others counted; the items are Markdown."""
    shown = list(items[:_NAMED])
    if len(items) > _NAMED:
        shown.append(page.counted("others", len(items) - _NAMED))
    return listing(shown, page.text, escaped=True)


def _data(causes: Causes, page: Page) -> list[str]:
    parts = []
    for key, firms in (("firms_added", causes.firms_added), ("firms_removed", causes.firms_removed)):
        if firms:
            parts.append(page.counted(key, len(firms), {"firms": _few([escape(f) for f in firms], page)}))
    if causes.cells:
        parts.append(_cell_table(causes.cells, page))
    if corrected := sum(c.corrected for c in causes.cells):
        parts.append(page.counted("corrected", corrected))
    sides = Counter((r.table, r.side) for r in causes.rows)
    if sides:
        items = [f"{page.file_name(t)}: {page.counted(f'rows.{side}', n)}" for (t, side), n in sorted(sides.items())]
        parts.append("\n".join(f"- {item}" for item in items))
    if silent := [code(f.name) for f in causes.files if f.silent]:
        parts.append(page.counted("silent", len(silent), {"files": _few(silent, page)}))
    return parts


def _cell_table(cells: Sequence[DataCell], page: Page) -> str:
    shown = sorted(cells, key=lambda c: (c.firm_id == "", c.firm_id, c.table, c.key, c.column))[:CELLS]
    places = [_place(c, page) for c in shown]
    years = all(re.fullmatch(r"\d{4}", p) for p in places if p)
    rows = [
        [
            escape(c.firm_id) or "—",
            page.file_name(c.table),
            escape(place) or "—",
            page.column_name(c.column, c.table),
            escape(page.exact(c.old, c.column)),
            escape(page.exact(c.new, c.column)),
        ]
        for c, place in zip(shown, places, strict=True)
    ]
    headings = ["firm", "file", "year" if years else "row", "column", "before", "after"]
    more = page.counted("cells.more", len(cells) - CELLS) if len(cells) > CELLS else ""
    return page.table("cells", headings, ["left"] * 4 + ["right"] * 2, rows, {"more": more})


def _place(cell: DataCell, page: Page) -> str:
    """Where in its table a cell stands, without the firm: its year, and the other parts of its key with their headings."""
    values = cell.key.split("|")
    names = TABLES[cell.table].key if cell.table in TABLES else ()
    named = zip(names if len(names) == len(values) else [""] * len(values), values, strict=True)
    rest = [(name, value) for name, value in named if value and (name, value) != ("firm_id", cell.firm_id)]
    bare = ("", *_YEARS)
    return ", ".join(v if n in bare or not page.text.has(f"column.{n}") else f"{page.text.heading(n)}: {v}" for n, v in rest)


def _decisions(causes: Causes, page: Page) -> list[str]:
    if not causes.decisions:
        return []
    rows = [[page.decision_name(d.key, d.place), page.decided(d.key, d.old), page.decided(d.key, d.new)] for d in causes.decisions]
    return [page.table("decisions", ["decision", "before", "after"], ["left"] * 3, rows, {})]


def _code(causes: Causes, page: Page) -> list[str]:
    lines = []
    if causes.pipeval is not None:
        lines.append(page.say("code.pipeval", _two(causes.pipeval.old, causes.pipeval.new)))
    if causes.modules:
        lines.append(
            page.counted("code.modules", len(causes.modules), {"names": _few([code(m.name) for m in causes.modules], page)})
        )
    lines += [page.say("code.version", {"name": escape(v.name)} | _two(v.old, v.new)) for v in causes.versions]
    return ["\n".join(f"- {line}" for line in lines)] if lines else []


def _two(old: str | None, new: str | None) -> dict[str, str]:
    return {"old": escape(old) if old else "—", "new": escape(new) if new else "—"}


def _number_table(name: str, rows: Sequence[Headline], page: Page) -> str:
    """Old, new and change of headline numbers; the parts where causes were exchanged, columns of zeros left out."""
    attribution = page.comparison.attribution
    parts = [c for c in CAUSES if c in attribution.causes] + ["together"] if attribution.how == "exchanged" else []
    errors = ["errors"] if name == "effects" else []
    cells = []
    for h in rows:
        row = [escape(h.label), *(escape(page.number(v, h.kind)) for v in (h.old, h.new)), escape(page.change(h.change, h.kind))]
        row += [escape(page.change(h.errors, "num"))] if errors else []
        cells.append(row + [escape(page.change(getattr(h.due, part), h.kind)) if h.due else "—" for part in parts])
    headings = ["outcome" if errors else "indicator", "old", "new", "change", *errors, *parts]
    return page.table(name, headings, ["left", *["right"] * (len(headings) - 1)], cells, {})


def _each(page: Page, found: Sequence[Headline]) -> list[str]:
    """What each firm, file and key moves when it alone is exchanged, for the first few headline numbers that moved."""
    attribution = page.comparison.attribution
    if not attribution.each:
        return []
    places = {id(due): i for i, due in enumerate(attribution.numbers)}
    shown = [(h, places[id(h.due)]) for h in found[:_ACROSS] if id(h.due) in places]
    rows = []
    for one in attribution.each:
        changes = [escape(page.change(one.changes[i] if i < len(one.changes) else None, h.kind)) for h, i in shown]
        rows.append([_each_name(one.kind, one.name, page), *changes, _alone(one.verdicts, page)])
    rest = [attribution.each_remainder[i] if i < len(attribution.each_remainder) else None for _, i in shown]
    rows.append(
        [escape(page.say("remainder")), *(escape(page.change(r, h.kind)) for r, (h, _) in zip(rest, shown, strict=True)), "—"]
    )
    headings = ["alone", *(h.label for h, _ in shown), "verdicts"]
    headings = [escape(page.say(f"column.{h}") if h in ("alone", "verdicts") else h) for h in headings]
    made = page.framed("each", headings, ["left", *["right"] * len(shown), "left"], rows, {})
    failed = [{"name": _each_name(e.kind, e.name, page), "message": escape(e.message)} for e in attribution.each if e.message]
    said = [page.say("each.failed", one) for one in failed]
    return [f"## {page.say('heading.each')} {{#sec-each}}", made, *said]


def _each_name(kind: str, name: str, page: Page) -> str:
    return page.decision_name(name, "params") if kind == "key" else f"{escape(page.say(f'each.{kind}'))} {escape(name)}"


def _alone(verdicts: Sequence[Any], page: Page) -> str:
    """The indicators whose verdict one change alone makes what it is now."""
    moved = page.comparison.moved.verdicts
    ids = [m.indicator for m, v in zip(moved, verdicts, strict=False) if v is not None and v == m.new]
    return escape(", ".join(dict.fromkeys(ids))) or "—"
