"""A table as Markdown: dashes that carry the widths of its columns, a number, a caption, a note and a source."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .text import Text

_WIDEST = 48  # characters after which a column wraps rather than grows
_PAGE, _LANDSCAPE = 112, 170  # characters of table text that fit side by side on a page, upright and on its side
_TIGHT = 1.1  # how far beyond the page the longest words may go before the table is laid on its side
_NARROWEST = 0.45  # of the text width: a narrower table is stretched to it


def framed(name: str, pipe: str, values: dict[str, str], text: Text, source: str = "") -> str:
    """A pipe table with its number, its caption, its note and its source; caption and note are filled with `values`."""
    taken = pipe.splitlines()[1].count("-")
    wide, page = (" .wide", _LANDSCAPE) if taken > _TIGHT * _PAGE else ("", _PAGE)
    width = min(1.0, max(_NARROWEST, taken / page))
    lines = [f'::: {{#tbl-{name.replace("_", "-")} .data{wide} width="{width:.2f}"}}', pipe, ""]
    lines += [f": {text.say(f'table.{name}.caption', values)}", ""]
    note = under_exhibit(text.say(f"table.{name}.note", values) if text.has(f"table.{name}.note") else "", source)
    return "\n".join([*lines, *([note, ""] if note else []), ":::", ""])


def under_exhibit(note: str, source: str) -> str:
    """What stands under a table or a figure: how to read it, and where it comes from."""
    return f"::: note\n{' '.join(part for part in (note, source) if part)}\n:::" if note or source else ""


def pipe_table(headings: Sequence[str], aligns: Sequence[str], rows: Sequence[Sequence[str]], widest: int = _WIDEST) -> str:
    """A pipe table whose dashes carry the relative widths of the columns; one wider than `widest` characters wraps."""
    widths = _widths([[bare(c) for c in row] for row in (headings, *rows)], widest)
    rule = [":" + "-" * w if a == "left" else "-" * w + ":" for w, a in zip(widths, aligns, strict=True)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (headings, rule, *rows))


def bare(cell: str) -> str:
    """The cell as it is read; a verdict light takes the room of its sign too."""
    word = re.sub(r"^\[(.*)\]\{\.light[^}]*\}$", lambda m: "\u25cf\u00a0\u00a0" + m[1].replace(" ", "\u00a0") + "\u00a0", cell)
    word = re.sub(r"^\[(.*)\]\{\.again\}$", r"\1", word)
    return re.sub(r"\\(.)", r"\1", word)


def _widths(rows: Sequence[Sequence[str]], widest: int) -> list[int]:
    """Characters for each column: what its longest line wants, cut back to its longest word where the page is too narrow.

    Where even the longest words do not fit side by side on an upright page, the table is as wide as one on its side.
    """
    need, want = [], []
    for heading, *cells in zip(*rows, strict=True):
        words = [len(w) * 1.12 for w in heading.split()] + [len(w) for cell in cells for w in cell.split(" ")]
        need.append(min(max(words, default=3), 20) + 2)
        want.append(max(need[-1], min(max((len(c) for c in cells), default=3), widest) + 2))
    page = _LANDSCAPE if sum(need) > _TIGHT * _PAGE else _PAGE
    spare, wish = page - sum(need), sum(want) - sum(need)
    share = 1.0 if wish <= max(spare, 0) else max(spare, 0) / wish
    return [max(3, round(n + share * (w - n))) for n, w in zip(need, want, strict=True)]
