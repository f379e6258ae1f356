"""The report as one Markdown text: the outline walked block by block."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from .bundle import Bundle
from .drawing import FIGURES
from .judgement import LEVELS, verdict_paragraphs
from .look import Look
from .pipes import under_exhibit
from .remarks import note_lines
from .sensitivity_sentences import findings_table
from .sentences import SENTENCES, programme_name
from .tables import printed_table, read_layout, source_line
from .text import Text, escape, in_language

# Words of the HTML report's controls.
_WEB = ("skip", "sort", "ascending", "descending", "restored", "open_all", "close_all", "logo")
_HASH = 24  # characters of a hash that are printed: enough to tell files apart, few enough for two columns


def markdown(bundle: Bundle, text: Text, figures: dict[str, Path]) -> str:
    """The body of the report in the language of `text`; `figures` are the drawn ones, by name, relative to the bundle's folder."""
    layout = read_layout()
    parts = []
    for i, section in enumerate(layout.stages[bundle.study.get("stage", "final")]):
        parts += _section(section, layout.sections[section], bundle, text, figures)
        parts += ["::: contents\n:::"] if i == 0 else []  # the answer comes before the contents
    return "\n\n".join(parts) + "\n"


def one_page(bundle: Bundle, text: Text, figures: dict[str, Path], without: int = 0) -> str:
    """The body of the page for a committee: the blocks of the outline's section `one_page`, without what is absent.

    The last `without` of the `optional` blocks that have something to say leave too. A block that stands `instead` of the one
    before it gives way to that one; two blocks in a row that are `half` stand side by side.
    """
    shown = []
    for block in read_layout().sections["one_page"]:
        if not (block.get("instead") and shown and shown[-1][1]):
            shown.append((block, _block(block, bundle, text, figures)[0].strip()))
    shown = [(block, content) for block, content in shown if content]
    gone = [i for i, (block, _) in enumerate(shown) if block.get("optional")][::-1][:without]
    parts = []
    for half, group in groupby((shown[i] for i in range(len(shown)) if i not in gone), key=lambda one: bool(one[0].get("half"))):
        contents = [content for _, content in group]
        sides = [f":::::: {{.verdict}}\n{content}\n::::::" for content in contents]  # a block set by a function of the template
        for i in range(0, len(contents), 2 if half else 1):
            two = "\n\n".join(["::::::: {#pair}", *sides[i : i + 2], ":::::::"])
            parts.append(two if half and i + 1 < len(contents) else contents[i])
    return "\n\n".join(parts) + "\n"


def cover(bundle: Bundle, text: Text, look: Look) -> dict[str, object]:
    """The metadata of the cover, the running header and the captions, each value Markdown; the logo is relative to the bundle."""
    programme = bundle.study.get("programme", {})
    place = programme.get("place", {})
    pairs = [
        ("programme_id", programme.get("id")),
        ("place", in_language(place, text.language)),
        ("executing_agency", programme.get("executing_agency")),
        ("financier", programme.get("financier")),
        ("as_of", text.day(bundle.study.get("as_of"), "long")),
        ("author", bundle.study.get("report", {}).get("author")),
    ]
    return {
        "title": escape(programme_name(bundle, text)),
        "subtitle": text.say(f"stage.{bundle.study.get('stage', 'final')}"),
        "lang": text.language,
        "facts": [{"name": escape(text.label("key", k)), "value": escape(v)} for k, v in pairs if v],
        "toc-title": text.say("contents"),
        "word-table": text.say("word.table"),
        "word-figure": text.say("word.figure"),
        "word-page": text.say("word.page"),
        "study": escape(bundle.study.get("study", "")),
        "accent": look.accent,
        "logo": f"look/{look.logo.name}" if look.logo else "",
        "decimal": text.number(1.5, "dec1")[1],
        "web": {key: text.say(f"web.{key}") for key in _WEB},
    }


def _section(name: str, blocks: list[dict], bundle: Bundle, text: Text, figures: dict[str, Path]) -> list[str]:
    written, absent = [], []
    for block in blocks:
        content, missing = _block(block, bundle, text, figures)
        if content:
            written.append(content)
        elif missing and missing not in absent:
            absent.append(missing)
    head = f"# {text.say(f'section.{name}')} {{#sec-{name}}}"
    if absent:
        items = "; ".join(absent)
        written.append(f"::: gap\n{text.say('gap', {'items': items})}\n:::")
    return [head, *written] if written else []


def _block(block: dict, bundle: Bundle, text: Text, figures: dict[str, Path]) -> tuple[str, str]:
    """The Markdown of a block and, where there is none, the name of what is missing (empty: nothing to tell)."""
    content, missing = _content(block, bundle, text, figures)
    return (f":::: fold\n{content}\n::::" if content and block.get("fold") else content), missing


def _content(block: dict, bundle: Bundle, text: Text, figures: dict[str, Path]) -> tuple[str, str]:
    stage = bundle.study.get("stage", "final")
    if stage not in block.get("stages", [stage]) or ("unless" in block and bundle.has(block["unless"])):
        return "", ""
    if "table" in block:
        table = printed_table(bundle, block, text)
        return table or "", "" if block.get("optional") or bundle.has(block["table"]) else text.say(f"table.{block['table']}.short")
    if "findings" in block:
        return findings_table(bundle, block, text) or "", ""
    if "figure" in block:
        return _figure(block["figure"], bundle, text, figures), ""
    if "say" in block:
        return "\n\n".join(SENTENCES[block["say"]](bundle, text)), ""
    if "text" in block:
        wanted = block.get("needs", [])
        return text.say(f"text.{block['text']}") if not wanted or any(bundle.has(t) for t in wanted) else "", ""
    if "notes" in block:
        lines = note_lines(bundle, text)
        return "\n\n".join([text.say("text.notes"), *lines]) if lines else "", ""
    if "verdicts" in block:
        return "\n\n".join(verdict_paragraphs(bundle, text, block.get("levels", LEVELS))), "" if bundle.has(
            "verdicts"
        ) else text.say("table.verdicts.short")
    return _provenance(bundle, text), ""


def _figure(name: str, bundle: Bundle, text: Text, figures: dict[str, Path]) -> str:
    if name not in figures:
        return ""
    alt = escape(text.say(f"figure.{name}.alt")).replace('"', "'")
    caption = text.say(f"figure.{name}.caption")
    image = f'![{caption}]({figures[name].as_posix()}){{#fig-{name.replace("_", "-")} alt="{alt}" width="100%"}}'
    note = text.say(f"figure.{name}.note") if text.has(f"figure.{name}.note") else ""
    return "\n\n".join(part for part in (image, under_exhibit(note, source_line(FIGURES[name][0], bundle, text))) if part)


def _provenance(bundle: Bundle, text: Text) -> str:
    """One line a fact, the packages in a row, the inputs as a table of files and hashes."""
    lines, tables = [], []
    for key, value in bundle.provenance.items():
        label = escape(text.label("provenance", key))
        if key == "inputs" and value:
            tables.append(_hashes(value, text))
        elif isinstance(value, dict):
            lines.append(f"- {label}: {escape(', '.join(f'{k} {v}' for k, v in value.items()))}")
        else:
            lines.append(f"- {label}: {escape(text.day(value, 'long')) if key == 'as_of' else _code(value)}")
    return "\n\n".join(["\n".join(lines), *tables])


def _hashes(inputs: dict, text: Text) -> str:
    """Files and the beginnings of their hashes, two side by side."""
    cells = [f"{escape(name)} | {_code(str(value)[:_HASH])}" for name, value in inputs.items()]
    half = -(-len(cells) // 2)
    cells += [" | "] * (2 * half - len(cells))
    head = f"| {' | '.join([escape(text.label('provenance', 'file')), 'SHA-256'] * 2)} |"
    rule = "| " + " | ".join([":" + "-" * 26, ":" + "-" * 30] * 2) + " |"
    rows = [f"| {left} | {right} |" for left, right in zip(cells[:half], cells[half:], strict=True)]
    table = "\n".join([head, rule, *rows])
    return f'::: {{#tbl-inputs .data width="1.00"}}\n{table}\n\n: {text.say("table.inputs.caption", {"n": str(_HASH)})}\n\n:::'


def _code(value: object) -> str:
    shown = str(value).replace("`", "'").replace("|", "/")
    return f"`{shown}`" if shown.strip() else "—"
