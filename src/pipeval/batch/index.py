"""The page over all reports: what each study's state is, its papers, and the verdicts side by side.

Everything that a record holds is text here: it is escaped, and links are relative and percent-encoded.
"""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any
from urllib.parse import quote

from ..report.text import NO_CHARACTER, Text, in_language
from .pages import BOOK, Standing, counted

_TONE = {"current": "good", "stale": "fair", "failed": "bad", "missing": "open", "unknown": "open"}
_PAPERS = {"report": ("html", "docx", "pdf"), "summary": ("pdf",), "annex": ("xlsx",)}
_ABREAST = 6  # studies that stand side by side as columns; more of them stand as rows
_STAGES = ("baseline", "midterm", "final", "expost")
_UPPER = ("goal", "purpose")


def index_page(found: Sequence[Standing], text: Text) -> str:
    """The page as one HTML file that needs no other; the same standings give the same text.

    Studies stand by programme, since an indicator means something within its log frame alone.
    """
    sections = [
        ("failures", _failures([one for one in found if one.failure], text)),
        ("studies", _studies(found, text)),
        ("verdicts", _verdicts(found, text)),
    ]
    kept = [(name, body) for name, body in sections if body]
    template = files("pipeval.report").joinpath("template")
    words = {key: _safe(text.say(f"web.{key}")) for key in ("sort", "ascending", "descending", "restored", "skip")}
    return Template(template.joinpath("index.html").read_text(encoding="utf-8")).substitute(
        words,
        lang=text.language,
        title=_say("title", text),
        kind=_say("kind", text),
        sections=_say("sections", text),
        decimal=text.number(0.5, "dec1")[1],
        style="".join(template.joinpath(name).read_text(encoding="utf-8") for name in ("style.css", "index.css")),
        script=template.joinpath("report.js").read_text(encoding="utf-8"),
        counts=_counts(found, text),
        contents="\n".join(f'<li><a href="#sec-{name}">{_say(name, text)}</a></li>' for name, _ in kept),
        body="\n".join(f'<section id="sec-{name}">\n<h2>{_say(name, text)}</h2>\n{body}\n</section>' for name, body in kept),
        footer=f'<a href="status.json">status.json</a> · <a href="{BOOK}">{BOOK}</a>',
    )


def made(record: Mapping[str, Any], text: Text) -> str:
    """When a report was made, to the minute, as plain text."""
    finished = str(record.get("finished") or "")
    hour = re.match(r"\d{4}-\d{2}-\d{2}T(\d{2}:\d{2})", finished)
    return f"{text.day(finished)} {hour[1]} UTC" if hour else text.day(finished)


def reason(words: str, text: Text) -> str:
    """Why a report is stale, in the language of the page, as plain text; words that no key fits stay as they are."""
    kind, _, names = words.partition(": ")
    key = "batch.why." + re.sub(r"\W+", "_", kind).strip("_").lower()
    return text.say(key, {"names": names}) if text.has(key) and bool(names) == ("{names}" in text.entries[key]) else words


def standing(one: Standing, text: Text) -> str:
    """That the report holds although the last run, which was only asked for, failed; plain text."""
    return text.say("batch.stands", {"made": made(one.report, text)})


def _safe(value: Any) -> str:
    """The value as literal HTML, in an attribute too."""
    return html.escape(NO_CHARACTER.sub("", str(value)))


def _given(value: Any) -> str:
    """A text that others wrote, literal and shut in: one that turns the direction of writing turns nothing beside it."""
    return f"<bdi>{_safe(value)}</bdi>"


def _say(key: str, text: Text, values: dict[str, str] | None = None) -> str:
    return _safe(text.say(f"batch.{key}", values))


def _link(folder: str, name: str, shown: str, label: str = "") -> str:
    """A link to a file of a report; none to a place outside its folder."""
    steps = [*folder.split("/"), *name.split("/")]
    if any(step in ("", ".", "..") for step in steps):
        return shown
    target = "/".join(quote(step, safe="", errors="replace") for step in steps)
    named = f' aria-label="{_safe(label)}"' if label else ""
    return f'<a href="{target}"{named}>{shown}</a>'


def _light(tone: str, words: str, said_before: str = "") -> str:
    unseen = f'<span class="unseen">{said_before}: </span>' if said_before else ""
    return f'<span class="light {tone}">{unseen}{words}</span>'


def _counts(found: Sequence[Standing], text: Text) -> str:
    counts = counted(found)
    shown = {
        "studies": counts["studies"],
        "reports": counts["reports"],
        "failed": counts["states"]["failed"],
        "stale": counts["states"]["stale"],
        "moved": counts["moved"]["verdicts"],
    }
    return "\n".join(
        f"<div><dt>{_say(f'count.{key}', text)}</dt><dd>{text.number(n, 'int')}</dd></div>" for key, n in shown.items()
    )


def _failures(failed: Sequence[Standing], text: Text) -> str:
    if not failed:
        return ""
    items = []
    for one in failed:
        papers = " ".join(_kept_papers(one, text))
        message = _given(one.failure.get("message") or "—")
        items.append(f"<li><p><strong>{_given(one.study)}</strong> {papers}</p><p>{message}</p></li>")
    return f'<ul class="failures">\n{"".join(items)}\n</ul>\n<div class="note"><p>{_say("failures_note", text)}</p></div>'


def _kept_papers(one: Standing, text: Text) -> list[str]:
    """Links to what a failure left: its log and its notebook, where it came so far."""
    record = one.failure
    left = record.get("outputs", ["run.log", "notebook.ipynb"] if record.get("key") else [])
    names = (("run.log", "log"), ("notebook.ipynb", "notebook"))
    folder = str(record.get("folder") or f"{one.study}.failed")
    return [_paper(folder, name, f"paper.{word}", one.study, text) for name, word in names if name in left]


def _paper(folder: str, name: str, key: str, whose: str, text: Text) -> str:
    words = text.say(f"batch.{key}")
    return _link(folder, name, _safe(words), f"{words}, {whose}")


def _folder(one: Standing) -> str:
    return str(one.report.get("folder") or one.study)


def _programmes(found: Sequence[Standing], text: Text) -> list[tuple[str, list[Standing]]]:
    """Studies by programme, each with its name; within one by stage, date and name."""
    groups: dict[tuple[str, str], list[Standing]] = {}
    for one in found:
        programme = one.known.get("programme") or {}
        name = in_language(programme.get("name") or {}, text.language, str(programme.get("id") or ""))
        groups.setdefault((str(programme.get("id") or ""), name), []).append(one)
    return [(key[1], sorted(groups[key], key=_order)) for key in sorted(groups, key=lambda key: (not key[0], key))]


def _order(one: Standing) -> tuple:
    stage = one.known.get("stage")
    return _STAGES.index(stage) if stage in _STAGES else 9, str(one.known.get("as_of") or ""), one.study.casefold(), one.study


def _table(name: str, classes: str, caption: str, head: str, rows: Sequence[str]) -> str:
    return (
        f'<div class="scroll" data-name="name-{name}"><table class="data {classes}"><caption><span id="name-{name}">'
        f"<strong>{caption}</strong></span></caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def _captioned(caption: str, programme: str) -> str:
    return f"{caption} · {_given(programme)}" if programme else caption


def _studies(found: Sequence[Standing], text: Text) -> str:
    columns = ("study", "stage", "as_of", "state", "why", "moved", "made", "minutes", "papers")
    right = ' style="text-align: right;"'
    head = "".join(f'<th scope="col"{right if c == "minutes" else ""}>{_heading(c, text)}</th>' for c in columns)
    parts = []
    for i, (programme, group) in enumerate(_programmes(found, text)):
        caption = _captioned(_say("studies_caption", text), programme)
        parts.append(_table(f"studies-{i}", "studies", caption, head, [_study_row(one, text) for one in group]))
    here = [one for one in found if one.report and not one.report.get("folder")]  # of reports under a URL no last one lies beside
    moved = [one.study for one in here if any((one.report.get("moved") or {}).values())]
    command = f"pipeval compare {shlex.quote(f'.pipeval/last/{moved[0]}')} {shlex.quote(moved[0])}" if moved else ""
    hint = (
        f"<p>{_say('compare_note', text, {'command': '{}'}).replace('{}', f'<code>{_given(command)}</code>')}</p>" if moved else ""
    )
    return "\n".join(parts) + f'\n<div class="note"><p>{_say("studies_note", text)}</p>{hint}</div>'


def _heading(column: str, text: Text) -> str:
    """The heading of a column: the page's own words, else those of the reports."""
    return _safe(text.entries.get(f"batch.column.{column}") or text.heading(column))


def _study_row(one: Standing, text: Text) -> str:
    record, report = one.known, one.report
    seconds = record.get("seconds")
    minutes = text.number(seconds / 60, "dec1") if isinstance(seconds, int | float) else "—"
    state = _light(_TONE[one.state], _say(f"state.{one.state}", text))
    cells = [
        ("", _safe(text.label("stage", record.get("stage"))) or "—"),
        ("", _safe(text.day(record.get("as_of")))),
        (' class="state"', state),
        (' class="why"', _why(one, text)),
        ("", _moved(report, text) if report else "—"),
        ("", _safe(made(report, text)) if report else "—"),
        (' style="text-align: right;"', minutes if report else "—"),
        (' class="papers"', _papers(one, text)),
    ]
    name = f'<th scope="row">{_named(one, text)}</th>'
    return f"<tr>{name}{''.join(f'<td{kind}>{content}</td>' for kind, content in cells)}</tr>"


def _named(one: Standing, text: Text) -> str:
    """The study's name, a link to its report in the language of the page, or else in its first."""
    name = _given(one.study)
    spoken = _languages(one)
    language = text.language if text.language in spoken else next(iter(spoken), "")
    return _link(_folder(one), f"report.{language}.html", name) if language else name


def _languages(one: Standing) -> list[str]:
    """The languages in which the report can be opened, in the order of the study."""
    if not one.report:
        return []
    outputs = one.report.get("outputs") or one.report.get("papers") or ()
    spoken = [str(code) for code in one.report.get("languages") or []]
    return [code for code in spoken if f"report.{code}.html" in outputs]


def _why(one: Standing, text: Text) -> str:
    if one.state == "unknown":
        return "—"
    message = one.failure.get("message") if one.failure else None
    words = [_given(reason(why, text)) for why in one.why if why != message]
    words += [_safe(standing(one, text))] if one.stands else []
    words += [f'<a href="#sec-failures">{_say("failures", text)}</a>'] if one.failure else []  # its message stands there
    return f"<ul>{''.join(f'<li>{said}</li>' for said in words)}</ul>" if len(words) > 1 else "".join(words) or "—"


def _moved(report: Mapping[str, Any], text: Text) -> str:
    moved = report.get("moved")
    if moved is None:
        return _say("first", text)
    counts = {kind: _counted(kind, moved.get(kind) or 0, text) for kind in ("verdicts", "numbers")}
    return _say("moved", text, counts) if any(moved.values()) else _say("moved_nothing", text)


def _counted(kind: str, count: int, text: Text) -> str:
    return text.say(f"batch.moved_{kind}.{'one' if count == 1 else 'many'}", {"n": text.number(count, "int")})


def _papers(one: Standing, text: Text) -> str:
    """Links to the papers of a report, a line a language, then its notebook and log; those of a failure in a line of their own."""
    lines = []
    if one.report:
        outputs, folder = one.report.get("outputs") or one.report.get("papers") or (), _folder(one)
        for code in [str(code) for code in one.report.get("languages") or []]:
            names = [(kind, end, f"{kind}.{code}.{end}") for kind, ends in _PAPERS.items() for end in ends]
            whose = f"{code.upper()}, {one.study}"
            links = [_paper(folder, name, f"paper.{kind}_{end}", whose, text) for kind, end, name in names if name in outputs]
            lines += [f"<b>{_safe(code.upper())}</b> {' '.join(links)}"] if links else []
        names = (("notebook.ipynb", "notebook"), ("run.log", "log"))
        lines.append(" ".join(_paper(folder, name, f"paper.{word}", one.study, text) for name, word in names if name in outputs))
    if one.failure and (left := _kept_papers(one, text)):
        lines.append(f"{_light('bad', _say('state.failed', text))} {' '.join(left)}")
    return "".join(f"<span>{line}</span>" for line in lines if line) or "—"


def _verdicts(found: Sequence[Standing], text: Text) -> str:
    parts = []
    for i, (programme, group) in enumerate(_programmes(found, text)):
        judged = [one for one in group if one.report and one.report.get("verdicts")]
        if judged:
            parts.append(_side_by_side(f"verdicts-{i}", programme, judged, text))
    if not parts:
        return f"<p>{_say('no_verdicts', text)}</p>" if any(one.report for one in found) else ""
    more = _say("verdicts_more", text, {"workbook": "{}"}).replace("{}", f'<a href="{BOOK}">{BOOK}</a>')
    return "\n".join([f'<div class="note"><p>{_say("verdicts_note", text)} {more}</p></div>', *parts])


def _side_by_side(name: str, programme: str, judged: Sequence[Standing], text: Text) -> str:
    """The verdicts of one programme's studies: indicators as rows, or studies as rows where they are many."""
    every = {one.study: {_identity(row): row for row in one.report["verdicts"]} for one in judged}
    shown = [key for key in _union(every) if key[1] in _UPPER]
    caption = _captioned(_say("verdicts_caption" if shown else "verdicts_caption_all", text), programme)
    shown = shown or _union(every)
    cells = {(study, key): _two(rows.get(key), text) for study, rows in every.items() for key in shown}
    if len(judged) > _ABREAST:
        head = [_heading("study", text), *(_indicator(key, every, text) for key in shown)]
        rows = [[_headed(one, text, link=True), *(cells[one.study, key] for key in shown)] for one in judged]
    else:
        head = [_heading("indicator", text), *(_headed(one, text) for one in judged)]
        rows = [[_indicator(key, every, text, whole=True), *(cells[one.study, key] for one in judged)] for key in shown]
    heads = "".join(f'<th scope="col">{words}</th>' for words in head)
    body = [
        f'<tr><th scope="row">{first}</th>' + "".join(f'<td class="two">{c}</td>' for c in rest) + "</tr>" for first, *rest in rows
    ]
    return _table(name, "verdicts", caption, heads, body)


def _identity(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """What makes two studies' indicators the same: id, level, and the words of the log frame."""
    words = row.get("text") or {}
    return str(row.get("indicator")), str(row.get("level")), "\0".join(f"{code}:{words[code]}" for code in sorted(words))


def _union(every: Mapping[str, Mapping[tuple, Any]]) -> list[tuple]:
    """The indicators of all studies in the order of their log frames; one that a later study adds stands after its neighbour."""
    order: list[tuple] = []
    for rows in every.values():
        place = 0
        for key in rows:
            if key not in order:
                order.insert(place, key)
            place = order.index(key) + 1
    return order


def _indicator(key: tuple, every: Mapping[str, Mapping[tuple, Any]], text: Text, whole: bool = False) -> str:
    """An indicator's id and short name; `whole` for the words of the log frame."""
    row = next(rows[key] for rows in every.values() if key in rows)
    said = in_language(row.get("text") or {}, text.language)
    name = said if whole else in_language(row.get("name") or {}, text.language) or said
    return f'{_given(key[0])}<span class="quiet">{_given(name)}</span>' if name else _given(key[0])


def _headed(one: Standing, text: Text, link: bool = False) -> str:
    """A study as a heading: its name, its stage and date and, unless it is up to date, its state; a button cannot hold a link."""
    name = _named(one, text) if link else _given(one.study)
    stage = f"{text.label('stage', one.known.get('stage'))}, {text.day(one.known.get('as_of'))}"
    state = _light(_TONE[one.state], _say(f"state.{one.state}", text)) if one.state in ("failed", "stale") else ""
    return f'{name}<span class="quiet">{_safe(stage)}</span>{state}'


def _two(row: Mapping[str, Any] | None, text: Text) -> str:
    """Attainment and evidence, two words with their lights, one above the other."""
    from ..report.tables import _tone

    if row is None:
        return "—"
    lights = [
        _light(_tone(str(row[axis])), _safe(text.label(axis, row[axis])), _heading(axis, text))
        for axis in ("attainment", "evidence")
        if row.get(axis)
    ]
    return "".join(lights) or "—"
