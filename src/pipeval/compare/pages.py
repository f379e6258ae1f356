"""What the paper of a comparison is made of: two bundles, what moved between them, and the words and numbers to say it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..report.bundle import Bundle
from ..report.labels import figure_name, outcome_label
from ..report.pipes import framed, pipe_table
from ..report.tables import effect_kind, results
from ..report.text import Text, by_language, escape, in_language
from .attribution import NumberDue
from .difference import CellMoved

if TYPE_CHECKING:
    from .run import Comparison

_POINTS = ("pct", "pct0", "spct", "points")  # numbers whose changes are told in percentage points
_WIDEST = 64  # characters after which a column wraps: sentences stand beside each other
_LONGEST = 90  # characters of a decision's value that are printed
_FINEST = 0.001  # percentage points: below it a change is only said to be smaller
# The words that a decision's values have where its own name has none.
_VALUES = {"did.method": "estimator", "headline": "design", "treatment.definition": "treated", "treatment.branches": "branch"}


@dataclass(frozen=True, slots=True)
class Headline:
    """A number that the report leads with: an outcome's effect, or the value of an indicator.

    `kind` is how it is printed, `change` what it moved by (0: not at all; None: undefined in one of the reports), `errors` the same
    in standard errors of the old estimate, `due` its parts.
    """

    table: str
    label: str
    kind: str
    old: Any
    new: Any
    moved: bool
    change: float | None
    errors: float | None = None
    due: NumberDue | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One language of a comparison."""

    comparison: Comparison
    old: Bundle
    new: Bundle
    text: Text

    @property
    def points(self) -> str:
        """The mark of percentage points."""
        return self.text.say("points")

    def has(self, key: str) -> bool:
        """Whether there are words for this key of a comparison."""
        return self.text.has(f"compare.{key}")

    def say(self, key: str, values: Mapping[str, Any] | None = None) -> str:
        """A sentence of a comparison; `values` are ready for Markdown."""
        return self.text.say(f"compare.{key}", {name: str(value) for name, value in (values or {}).items()})

    def counted(self, key: str, count: int, values: Mapping[str, Any] | None = None) -> str:
        """A sentence with a count: none, one or many, where there are words for them."""
        form = "none" if not count and self.has(f"{key}.none") else "one" if count == 1 else "many"
        return self.say(f"{key}.{form}", {"n": self.text.counted(count)} | dict(values or {}))

    def number(self, value: Any, kind: str) -> str:
        """A result as the report prints it."""
        if not _known(value):
            return "—"
        return self.text.number(value, kind) + (self.points if kind == "points" else "")

    def change(self, value: float | None, kind: str) -> str:
        """A change with its sign, in percentage points where the number is a percentage, with as many digits as show it."""
        if not _known(value):
            return "—"
        share = kind in _POINTS
        size, unit = (abs(value) * 100 if share else abs(value)), self.points if share else ""
        if not size:
            return self.text.number(0, "int") + unit
        if size < _FINEST / 2:
            return ("−" if value < 0 else "") + "<" + self.text.number(_FINEST, "dec3") + unit
        whole = not share and (size >= 100 or float(size).is_integer())
        forms = ("int",) if whole else ("dec1", "dec2", "dec3")
        shown = next(s for form in (*forms, "dec3") if re.search("[1-9]", s := self.text.number(size, form)))
        return ("+" if value > 0 else "−") + shown + unit

    def exact(self, value: Any, column: str) -> str:
        """A cell of the data as it stands in the files, with every digit; a code in words, a date by locale."""
        from babel.numbers import format_decimal

        if value is None or value != value or value == "":
            return "—"
        if isinstance(value, bool):
            return self.text.say("yes" if value else "no")
        if isinstance(value, int | float):
            grouped = "0" if column.endswith("year") else "#,##0.##########"
            return format_decimal(value, grouped, self.text.locale).replace("-", "−")
        if re.fullmatch(r"\d{4}-\d\d-\d\d", str(value)):
            return self.text.day(str(value))
        return self.text.label(column, value)

    def table(self, name: str, headings: list[str], aligns: list[str], rows: list[list[str]], values: dict[str, str]) -> str:
        """A numbered table; headings are keys of `compare.column`."""
        return self.framed(name, [escape(self.say(f"column.{one}")) for one in headings], aligns, rows, values)

    def framed(self, name: str, headings: list[str], aligns: list[str], rows: list[list[str]], values: dict[str, str]) -> str:
        """A numbered table whose headings are Markdown; its caption and note are `compare.table.<name>`."""
        words = {k.replace("compare.table.", "table.compare_"): v for k, v in self.text.entries.items() if k.startswith("compare.")}
        text = replace(self.text, entries=self.text.entries | words)
        return framed(f"compare_{name}", pipe_table(headings, aligns, rows, _WIDEST), values, text)

    def file_name(self, table: str) -> str:
        """What a table of the study's files is called, Markdown; its name as code where it has no words."""
        return escape(self.text.say(f"code.table.{table}")) if self.text.has(f"code.table.{table}") else code(table)

    def table_name(self, table: str) -> str:
        """What a result table is called, Markdown; its name as code where it has no words."""
        for key in (f"table.{table}.short", f"table.{table}.caption"):
            words = self.text.entries.get(key, "")
            if words and "{" not in words:
                return escape(words[:1].upper() + words[1:])
        return code(table)

    def column_name(self, column: str, table: str = "") -> str:
        """What a column is called, Markdown; its name as code where it has no words."""
        for key in (f"code.measure.{column}", f"table.{table}.column.{column}", f"column.{column}", f"code.covariate.{column}"):
            if self.text.has(key):
                return escape(self.text.say(key))
        return figure_name(column, self.new.study["programme"]["currency"], self.text) or code(column)

    def decision_name(self, key: str, place: str) -> str:
        """A decision in words where there are any, its dotted key beside, Markdown."""
        if place == "params":
            section = key.partition(".")[0]
            known = next((k for k in (f"decision.{key}", f"section.{section}") if self.has(k)), "")
            words = self.say(known) if known else ""
            if section == "queries" and "." in key:
                words = f"{words}: {self.text.label('rule', key.partition('.')[2])}"
        else:
            words = self.say(f"place.{place}")
        return f"{escape(words)} ({code(key)})" if words else code(key)

    def decided(self, key: str, value: Any) -> str:
        """What was decided, Markdown: in words where there are any, else as it stands in the file."""
        if value is None:
            return "—"
        if isinstance(value, bool | int | float):
            return escape(self.exact(value, key))
        if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
            return ", ".join(self.decided(key, v) for v in value)
        if isinstance(value, str):
            column = _VALUES.get(key) or ("fate" if key.startswith("queries.") else key.rpartition(".")[2])
            word = self.text.entries.get(f"code.{column}.{value}") or self.text.entries.get(f"plan.{column}.{value}")
            return escape(word) if word else escape(self.text.day(value)) if _is_day(value) else code(value)
        shown = json.dumps(value, ensure_ascii=False, sort_keys=True)
        return code(shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…")

    def indicator(self, key: str) -> str:
        """The short name of an indicator with its id, plain text."""
        for bundle in (self.new, self.old):
            for row in bundle.table("indicators").to_dict("records"):
                if row.get("id") == key and (name := in_language(by_language(row, "name"), self.text.language)):
                    return f"{name[:1].upper()}{name[1:]} ({key})"
        return key


def headlines(page: Page) -> list[Headline]:
    """The effects of the headline, then the values of the indicators that both reports have, in their order in the new one."""
    found = []
    for table, wanted in (("effects", "effect"), ("verdicts", "value")):
        frame = results(page.new, table)
        if table == "effects" and "headline" in frame:
            frame = frame[frame["headline"] == True]  # noqa: E712 - the column may hold None
        cells = [c for c in page.comparison.moved.numbers if c.table == table and c.kind == "number"]
        lone = [r.keys for r in page.comparison.moved.rows if r.table == table]
        dues = {(d.table, d.row, d.column): d for d in page.comparison.attribution.numbers}
        for row in (r for r in frame.to_dict("records") if not any(_is_row(r, keys) for keys in lone)):
            known = _known(row.get(wanted)) or table == "verdicts"
            column = wanted if known else "estimate"
            own = {c.column: c for c in cells if _is_row(row, c.keys)}
            if column in own or _known(row.get(column)):
                found.append(_headline(page, table, column, row, own, dues))
    return found


def code(value: Any) -> str:
    """A name of files or params as code, in one line of a table."""
    shown = re.sub(r"\s+", " ", str(value)).replace("`", "'").replace("|", "/").strip()
    return f"`{shown}`" if shown else "—"


def _headline(page: Page, table: str, column: str, row: dict, own: dict[str, CellMoved], dues: dict) -> Headline:
    cell = own.get(column)
    if table == "effects":
        label, kind = outcome_label(row["outcome"], page.new, page.text.language), effect_kind("effect", row)
        kind = "dec3" if column == "estimate" else kind
    else:
        label, kind = page.indicator(str(row["id"])), effect_kind("value", row)
    old, new = (cell.old, cell.new) if cell else (row.get(column), row.get(column))
    due = dues.get((table, cell.row, column)) if cell else None
    change = cell.change if cell else 0.0
    return Headline(table, label, kind, old, new, cell is not None, change, _in_errors(page, table, row, own), due)


def _in_errors(page: Page, table: str, row: dict, own: dict[str, CellMoved]) -> float | None:
    """The change of an estimate in standard errors that it had before."""
    cell = own.get("estimate")
    if table != "effects" or cell is None or not _known(cell.change):
        return None
    error = own["std_error"].old if "std_error" in own else row.get("std_error")
    return cell.change / error if _known(error) and error else None


def _is_row(row: dict, keys: Mapping[str, Any]) -> bool:
    return all(_same(row[k], v) for k, v in keys.items() if k in row)


def _same(a: Any, b: Any) -> bool:
    return a == b or (not _known(a) and not _known(b) and not isinstance(a, str) and not isinstance(b, str)) or str(a) == str(b)


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _is_day(value: str) -> bool:
    return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", value))
