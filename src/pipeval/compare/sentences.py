"""Which sentences of a report read otherwise: two bundles written out in one language, section by section, set side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from ..report.bundle import Bundle
from ..report.document import markdown
from ..report.labels import study_words
from ..report.text import Text

_LEFT_OUT = "sec-provenance"  # hashes and versions: a comparison has a place of its own for them
_HEAD = re.compile(r"^# (?P<title>.*?) \{#(?P<id>[\w-]+)\}$")
_TITLE = re.compile(r"^\*\*(?P<id>[^\s*]+)\. .*\*\*$")
_MARKS = re.compile(r"\[(?P<words>[^\]]*)\](?:\{[^}]*\}|\([^)]*\))|(?<!\\)[*`]+")
_ENDS = re.compile('(?<=[.!?])(?P<close>[)»”"]*)\\s+(?=[¿¡«“("]*[A-ZÁÉÍÓÚÂÊÔÃÕÇÑ0-9])')
_LIKE = 0.34  # part of their words that two sentences share at least to be one that was reworded


def aligned(before: Sequence[str], after: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """What differs between two lists of sentences: those alike in their words side by side, the others alone.

    >>> aligned(["Firms: 6.", "Sales rose by 5%."], ["Firms: 6.", "Sales rose by 7%.", "Two left."])
    [('Sales rose by 5%.', 'Sales rose by 7%.'), (None, 'Two left.')]
    """
    found = []
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind != "equal":
            found += _paired(before[a:b], after[c:d])
    return found


def sentences(body: str) -> dict[str, list[str]]:
    """The sentences of a report's Markdown by section, plain; under an indicator's passage, by section and indicator."""
    found: dict[str, list[str]] = {}
    section = place = ""
    depth = 0  # of fences, inside a table's
    for line in body.splitlines():
        if head := _HEAD.match(line):
            section = place = "" if head["id"] == _LEFT_OUT else plain(head["title"])
        elif depth or line.startswith("::: {#tbl-"):
            depth += 0 if not line.startswith(":::") else -1 if line.strip(":") == "" else 1
        elif title := _TITLE.match(line):
            place = f"{section}: {plain(title['id'])}"
        elif line.startswith("::::") and line.strip(":") == "":
            place = section
        elif section and _is_prose(line):
            found.setdefault(place, []).extend(_split(plain(line)))
    return found


def plain(line: str) -> str:
    """A line of Markdown as it is read: no markup, no escapes.

    >>> plain(r"- **Targets.** Of *all*, 96\\.2 \\% \\(G1\\)")
    'Targets. Of all, 96.2 % (G1)'
    """
    words = _MARKS.sub(lambda m: m["words"] or "", re.sub(r"^(?:- |#+ )", "", line.strip()))
    return re.sub(r"\\(.)", r"\1", words).strip()


def spoken(bundle: Bundle, text: Text) -> dict[str, list[str]]:
    """The sentences of a report in one language, by section; `text` is the language without the study's own words."""
    return sentences(markdown(bundle, study_words(text, bundle.study), {}))


def _is_prose(line: str) -> bool:
    return bool(line.strip()) and not line.startswith((":", "|", "#", "!")) and "{.light" not in line


def _split(line: str) -> list[str]:
    ends = [(m.start() + len(m["close"]), m.end()) for m in _ENDS.finditer(line)]
    starts = [0, *(end for _, end in ends)]
    return [line[a:b].strip() for a, b in zip(starts, [*(stop for stop, _ in ends), len(line)], strict=True)]


def in_order(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    """The sections of both, in the order of the newer one, those that it lacks after the one that they followed."""
    order = list(after)
    for i, section in enumerate(names := list(before)):
        if section not in after:
            previous = next((names[k] for k in range(i - 1, -1, -1) if names[k] in order), None)
            order.insert(order.index(previous) + 1 if previous else 0, section)
    return order


def _paired(before: Sequence[str], after: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """The pairing in order that shares the most words; a sentence too unlike any other stands alone."""
    n, m = len(before), len(after)
    likes = [[_alike(a, b) for b in after] for a in before]
    best = [[0.0] * (m + 1) for _ in range(n + 1)]
    for i in range(n - 1, -1, -1):
        for k in range(m - 1, -1, -1):
            best[i][k] = max(best[i + 1][k], best[i][k + 1], likes[i][k] + best[i + 1][k + 1])
    found, i, k = [], 0, 0
    while i < n and k < m:
        if likes[i][k] and best[i][k] == likes[i][k] + best[i + 1][k + 1]:
            found.append((before[i], after[k]))
            i, k = i + 1, k + 1
        elif best[i][k] == best[i + 1][k]:
            found.append((before[i], None))
            i += 1
        else:
            found.append((None, after[k]))
            k += 1
    return found + [(one, None) for one in before[i:]] + [(None, one) for one in after[k:]]


def _alike(a: str, b: str) -> float:
    """The part of their words that two sentences share (Dice), 0 when it is too small to call them one."""
    one, other = set(re.findall(r"\w+", a.lower())), set(re.findall(r"\w+", b.lower()))
    share = 2 * len(one & other) / max(len(one) + len(other), 1)
    return share if share >= _LIKE else 0.0
