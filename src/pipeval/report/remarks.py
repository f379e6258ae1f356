"""The remarks raised on the way, in the report's language."""

from __future__ import annotations

import re

from .bundle import Bundle
from .labels import coded, covariate_label, outcome_label
from .text import Text, escape

_SOME = re.compile(r"(\d+) (firm|row|cell|cluster|cohort|period)s?( \(.*\))")
_NAMED = re.compile(r"'([a-z][\w=]*)'")  # a column, as a message quotes it
_CELL = re.compile(r"cohort (?P<cohort>\d+) in (?P<period>\d+)")


def note_lines(bundle: Bundle, text: Text) -> list[str]:
    """One line a kind of remark, in the report's language where it knows the kind, else in English."""
    lines, more = {}, {}
    for note in bundle.notes:
        values = {k: _value(k, v, bundle, text) for k, v in note.values.items()}
        if text.has(f"note.{note.key}"):
            line = text.say(f"note.{note.key}", {k: escape(v) for k, v in values.items()})
        else:
            line = escape(_filled(note.text, note.values, values))
        more[note.key] = more.get(note.key, 0) + (note.key in lines)
        lines.setdefault(note.key, line)
    printed = []
    for key, line in lines.items():
        count = more[key]
        words = text.say(f"say.more_notes.{'one' if count == 1 else 'many'}", {"n": text.counted(count)}) if count else ""
        printed.append(f"- {line} {words}".rstrip())
    return ["\n".join(printed)] if printed else []


def _filled(template: str, raw: dict, values: dict) -> str:
    try:
        return template.format(**raw)
    except (KeyError, IndexError, ValueError):
        return f"{template} ({', '.join(f'{k}: {v}' for k, v in values.items())})" if values else template


def _value(name: str, value, bundle: Bundle, text: Text) -> str:
    if isinstance(value, bool) or value is None:
        return text.say("yes" if value else "no") if isinstance(value, bool) else "—"
    if name in ("share", "rest") and isinstance(value, float):
        return text.number(value, "pct")
    if isinstance(value, int | float):
        return str(value) if isinstance(value, int) and 1900 <= value <= 2100 else text.number(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return _worded(name, str(value), bundle, text)


def _worded(name: str, value: str, bundle: Bundle, text: Text) -> str:
    """A text that a floor above composed: names of columns, counts by rule, a count and a few ids, or a message."""
    if name == "rule":
        return text.label("support", value)
    if name == "outcome":
        return outcome_label(value, bundle, text.language)
    if name in ("margin", "group"):
        return coded(name, value, bundle, text)
    if name in ("names", "columns"):
        return ", ".join(_column(code, bundle, text) for code in value.split(", "))
    if name == "counts":
        return "; ".join(f"{text.label('rule', rule)}, {count}" for rule, count in re.findall(r"(\w+) (\d+)", value)) or value
    found = _SOME.fullmatch(value)
    if found:
        noun = text.say(f"some.{found[2]}.{'one' if found[1] == '1' else 'many'}")
        # Which firms they are stands in results.json and in the annex: paper names none.
        which = "" if found[2] in ("firm", "row") else _CELL.sub(lambda m: text.say("cell", m.groupdict()), found[3])
        return f"{found[1]} {noun}{which}"
    worded = _NAMED.sub(lambda m: f"'{_column(m[1], bundle, text)}'", text.reworded(value))
    return text.say("unworded") if name == "reason" and text.reworded(value) == value and text.language != "en" else worded


def _column(code: str, bundle: Bundle, text: Text) -> str:
    label = covariate_label(code, bundle, text)
    return text.heading(code) if label == code else label
