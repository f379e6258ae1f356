"""A table on the screen as on paper: `show` gives it the headings, words, number formats and note of the report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape as html_escape
from typing import TYPE_CHECKING

import pandas as pd

from .bundle import Bundle
from .labels import study_words
from .pipes import bare, pipe_table
from .tables import Printed, printed_cells, read_layout
from .text import Text, read_text

if TYPE_CHECKING:
    from ..stages import Stage

_LONGEST = 20  # rows that a screen shows at once
_OWN = "table"  # the name of a bare frame
_SIGNS = {"good": "●", "fair": "◐", "bad": "◆", "open": "○"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A table as it is shown: as HTML in a notebook, elsewhere as text. Cells are Markdown; without a table, one sentence."""

    caption: str
    headings: list[str]
    aligns: list[str]
    rows: list[list[str]]
    notes: list[str]

    def __repr__(self) -> str:
        cells = pd.DataFrame([[bare(c) for c in row] for row in self.rows], columns=[bare(h) for h in self.headings])
        table = cells.to_string(index=False) if self.headings else ""
        return "\n".join(part for part in (_plain(self.caption), table, *map(_plain, self.notes)) if part)

    def _repr_markdown_(self) -> str:
        table = pipe_table(self.headings, self.aligns, self.rows) if self.headings else ""
        return "\n\n".join(part for part in (f"**{self.caption}**" if self.caption else "", table, *self.notes) if part)

    def _repr_html_(self) -> str:
        sides = [f' style="text-align: {side}"' for side in self.aligns]
        head = "".join(f'<th scope="col"{s}>{_html(h)}</th>' for h, s in zip(self.headings, sides, strict=True))
        body = "".join(
            "<tr>" + "".join(f"<td{s}>{_html(c)}</td>" for c, s in zip(row, sides, strict=True)) + "</tr>" for row in self.rows
        )
        caption = f'<caption style="text-align: left"><b>{_html(self.caption)}</b></caption>' if self.caption else ""
        table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if self.headings else ""
        return table + "".join(f'<p style="font-size: 0.9em; opacity: 0.85; max-width: 60em">{_html(n)}</p>' for n in self.notes)


def show(
    source: Stage | pd.DataFrame,
    name: str = "",
    *,
    rows: str = "",
    columns: tuple[str, ...] = (),
    language: str = "",
    longest: int = _LONGEST,
) -> Shown:
    """A table with the headings, words, number formats, caption and note that the report gives it.

    Parameters
    ----------
    source : Stage or DataFrame
        What a stage of the evaluation found, or any tidy table of codes and numbers.
    name : str
        Which of the stage's tables, under the name that the stage or the report gives it (`effects`, `effects_other`). For a frame,
        the table whose words it takes.
    rows : str
        Which rows, as in `DataFrame.query`; by default those that the report prints.
    columns : tuple of str
        Which columns, instead of those that the report prints.
    language : str
        By default the first of the study's report; for a frame English.
    longest : int
        How many rows are shown at most; a line says how many there are.

    Returns
    -------
    Shown
        A table that the stage does not hold is one sentence.

    Examples
    --------
    >>> frame = pd.DataFrame({"arm": ["beneficiary"], "n_firms": [1200], "share": [0.125]})
    >>> show(frame)
          Group Firms Share
    Beneficiaries 1,200 12.5%
    """
    table, block = _block(name)
    bundle, text = _words(source, {table, block.get("beside", {}).get("table")}, language)
    frame = bundle.table(table)
    printable = "pivot" in block or any(c in frame for c in block.get("columns", ()))
    if columns or not bundle.study or not printable:
        block = {"table": table, "columns": list(columns or frame.columns)}
    if rows and bundle.has(table):
        chosen = Bundle.build({}, {table: frame.query(rows).reset_index(drop=True)}).tables
        bundle = bundle.model_copy(update={"tables": bundle.tables | chosen})
        block = {
            key: value for key, value in block.items() if key not in ("where", "unlike", "newest", "known", "first", "several")
        }
    printed = printed_cells(bundle, block, text) if bundle.has(table) else None
    if printed is None:
        return Shown("", [], [], [], [text.say("show.absent", {"name": name})])
    return _shown(printed, text, longest)


def _block(name: str) -> tuple[str, dict]:
    """The table that a name means and how the report prints it: the first block of that name, else of that table."""
    blocks = [b for section in read_layout().sections.values() for b in section if "table" in b]
    block = next((b for b in blocks if b.get("name", b["table"]) == name), next((b for b in blocks if b["table"] == name), {}))
    return block.get("table", name or _OWN), block


def _words(source: Stage | pd.DataFrame, tables: set, language: str) -> tuple[Bundle, Text]:
    """What holds these tables and the words they are shown in: those of the stage's study, or English for a bare frame."""
    if isinstance(source, pd.DataFrame):
        return Bundle.build({}, {name: source for name in tables if name}), read_text(language or "en")
    study = source.study.model_dump(mode="json", exclude={"data": {"folder"}})
    language = language or study["report"]["languages"][0]
    bundle = Bundle.build(study, {n: t for n, t in source.tables.items() if n in tables})
    return bundle, study_words(read_text(language, study["report"]["locales"].get(language, "")), study)


def _shown(printed: Printed, text: Text, longest: int) -> Shown:
    key, total = f"table.{printed.name}", len(printed.rows)
    caption = text.say(f"{key}.caption", printed.values) if text.has(f"{key}.caption") else ""
    under = [text.say(f"{key}.note", printed.values)] if text.has(f"{key}.note") else []
    if total > longest:
        count = {"n": text.number(longest, "int"), "total": text.number(total, "int")}
        under.insert(0, text.say("show.more", count))
    return Shown(caption, printed.headings, printed.aligns, printed.rows[:longest], under)


def _plain(markdown: str) -> str:
    return re.sub(r"\\(.)|[*`]", lambda m: m[1] or "", markdown)


def _html(markdown: str) -> str:
    """A cell or a sentence of ours as HTML: emphasis, code and lights; every character of the data is escaped."""
    markdown = re.sub(r"^\[(.*)\]\{\.again\}$", r"\1", markdown)
    light = re.match(r"^\[(.*)\]\{\.light \.(\w+)\}$", markdown)
    if light:
        return f"<b>{_SIGNS[light[2]]}&nbsp;{_html(light[1])}</b>"
    parts = re.split(r"(\\.|\*\*|\*|`)", markdown)
    tags, out = {"**": "b", "*": "i", "`": "code"}, []
    opened: list[str] = []
    for part in parts:
        tag = tags.get(part)
        if tag is None:
            out.append(html_escape(part[1:] if part.startswith("\\") else part))
        elif tag in opened:
            opened.remove(tag)
            out.append(f"</{tag}>")
        else:
            opened.append(tag)
            out.append(f"<{tag}>")
    return "".join(out)
