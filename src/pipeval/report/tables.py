"""A table of the bundle as a table of paper: columns chosen, codes worded, numbers formatted, widths fitted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import Any

import pandas as pd
import yaml

from ..data.read import SUFFIXES
from .bundle import Bundle
from .labels import CODED, coded, covariate_label, in_sentence, outcome_label
from .pipes import framed, pipe_table
from .text import Text, by_language, escape, in_language

LEFT_KINDS = ("code", "text", "day", "light", "outcome", "bool", "mixed", "local")
# Texts that come with the data, in the columns <name>_<language>.
PAIRED = ("text", "description", "statement", "action", "criterion")
# Columns that may hold a message of the computation instead of a code.
MESSAGES = ("reason", "note")
# Units in which a value is a share of something, printed as per cent.
SHARE_UNITS = ("percent", "share", "%", "pct")
# How the value of a design check is printed; those not named here are p-values.
CHECK_KINDS = {"support": "pct", "balance": "dec2", "attrition": "dec2", "clusters": "int", "amounts": "dec1"}
UNIT_KINDS = {"months": "dec1", "share": "pct"}
# How another reading of an indicator is printed, by the indicator's kind.
READING_KINDS = {"growth": "spct", "difference": "spct", "share": "pct"}
# Sizes, not changes: printed without a sign.
_SIZES = ("mde", "mde_share", "mde_simulated", "target")
_NO_STUDY = Bundle.build({}, {})


@dataclass(frozen=True, slots=True)
class Layout:
    """The outline as read: sections by stage, the blocks of a section, and how each column is printed."""

    stages: dict[str, list[str]]
    sections: dict[str, list[dict]]
    intervals: dict[str, list[str]]
    kinds: dict[str, str]
    sources: dict[str, list[str]]  # table -> the files of the data contract that its rows are made from


@cache
def read_layout() -> Layout:
    """The shipped outline."""
    text = files("pipeval.report").joinpath("outline.yaml").read_text(encoding="utf-8")
    tree = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    kinds = {column: kind for kind, columns in tree["formats"].items() for column in columns}
    sources = {table: group["files"] for group in tree["sources"] for table in group["tables"]}
    return Layout(tree["stages"], tree["sections"], tree["intervals"], kinds, sources)


@dataclass(frozen=True, slots=True)
class Printed:
    """A table as it is printed: the key of its words, its headings, alignments and cells (Markdown), and what fills its words."""

    name: str
    headings: list[str]
    aligns: list[str]
    rows: list[list[str]]
    values: dict[str, str]


def printed_table(bundle: Bundle, block: dict, text: Text) -> str | None:
    """The Markdown of one table block, or None when nothing is left to print."""
    printed = printed_cells(bundle, block, text)
    if printed is None:
        return None
    pipe = pipe_table(printed.headings, printed.aligns, printed.rows)
    return framed(printed.name, pipe, printed.values, text, source_line(block["table"], bundle, text))


def printed_cells(bundle: Bundle, block: dict, text: Text) -> Printed | None:
    """The headings and cells of one table block, or None when nothing is left to print."""
    frame = with_columns(chosen_rows(results(bundle, block["table"]), block), block, bundle)
    if "spread" in block and not frame.empty:
        frame = spread(frame, block["spread"])
    if frame.empty:
        return None
    pivoted = "pivot" in block
    headings, aligns, rows = _pivoted(frame, block["pivot"], text) if pivoted else _listed(frame, block, bundle, text)
    name = block.get("name", block["table"])
    return Printed(name, headings, aligns, rows, note_values(frame, bundle, text)) if headings else None


def source_line(table: str, bundle: Bundle, text: Text) -> str:
    """Which of the study's files the rows of a table are made of, in words."""
    named, read = bundle.study.get("data", {}).get("files", {}), bundle.provenance.get("inputs", {})
    held = []
    for file in read_layout().sources.get(table, ()):
        names = [PurePath(named[file].partition("::")[0]).name] if file in named else [file + ending for ending in SUFFIXES]
        held += [file] if any(name in read for name in names) else []
    return text.say("source", {"files": "; ".join(text.say(f"source_file.{f}") for f in held)}) if held else ""


def results(bundle: Bundle, name: str) -> pd.DataFrame:
    """The table without the outcomes that the programme cannot move (`untouched`): they are placebos and no results."""
    frame = bundle.table(name)
    placebos = [o["id"] for o in bundle.study.get("outcomes", []) if o.get("untouched")]
    return frame[~frame["outcome"].isin(placebos)] if placebos and "outcome" in frame else frame


def note_values(frame: pd.DataFrame, bundle: Bundle, text: Text) -> dict[str, str]:
    """What a table's note may name: the level of its intervals, its first outcome, what its standardised differences divide by."""
    outcomes = frame["outcome"].dropna() if "outcome" in frame else pd.Series(dtype=object)
    known = frame["denominator"].dropna() if "denominator" in frame else pd.Series(dtype=object)
    return {
        "level": text.number(bundle.study.get("did", {}).get("level", 0.95) * 100, "int"),
        "outcome": escape(in_sentence(outcome_label(outcomes.iloc[0], bundle, text.language))) if len(outcomes) else "—",
        "denominator": escape(in_sentence(text.label("denominator", known.iloc[0] if len(known) else "treated"))),
    }


def chosen_rows(frame: pd.DataFrame, block: dict) -> pd.DataFrame:
    """The rows a block prints.

    `where` keeps values and `unlike` leaves them out; `newest` keeps the last of these codes that a row holds; `known` asks for a
    number; `first` keeps the first few codes of a column;
    `several` wants at least two codes in a column, else there is nothing to tell apart and no row is left. `last` moves rows with
    these codes to the end; `together` gathers the rows of a code, in the order in which the codes first appear.
    """
    for column, values in block.get("where", {}).items():
        if column in frame.columns:
            frame = frame[frame[column].isin(values)]
    for column, values in block.get("unlike", {}).items():
        if column in frame.columns:
            frame = frame[~frame[column].isin(values)]
    for column, codes in block.get("newest", {}).items():
        held = [code for code in codes if column in frame.columns and (frame[column] == code).any()]
        frame = frame[frame[column] == held[-1]] if held else frame
    for column in block.get("known", ()):
        # a table of which nothing could be estimated says why and has no column of numbers
        frame = frame[frame[column].notna()] if column in frame.columns else frame.iloc[:0]
    for column, count in block.get("first", {}).items():
        if column in frame.columns:
            frame = frame[frame[column].isin(frame[column].unique()[:count])]
    if "several" in block and frame.get(block["several"], pd.Series(dtype=object)).nunique() < 2:
        return frame.iloc[:0]
    for column, values in block.get("last", {}).items():
        if column in frame.columns:
            frame = frame.sort_values(column, key=lambda c, v=values: c.isin(v), kind="stable")
    if block.get("together") in frame.columns:
        rank = {code: i for i, code in enumerate(dict.fromkeys(frame[block["together"]]))}
        frame = frame.sort_values(block["together"], key=lambda c: c.map(rank), kind="stable")
    return frame


def with_columns(frame: pd.DataFrame, block: dict, bundle: Bundle) -> pd.DataFrame:
    """The rows with the columns that the block takes from another table (`beside`), under the names that it prints (`rename`)."""
    frame = frame.rename(columns=block.get("rename", {}))
    spec = block.get("beside")
    if spec and not frame.empty and bundle.has(spec["table"]):
        other = bundle.table(spec["table"]).rename(columns=spec.get("rename", {}))
        frame = frame.merge(other[[spec["key"], *spec["columns"]]].drop_duplicates(spec["key"]), on=spec["key"], how="left")
    return frame


def spread(frame: pd.DataFrame, spec: dict) -> pd.DataFrame:
    """One row a key, a column for each wanted value and code: `smd` of sample `before` becomes `smd_before`.

    `spec`: key (columns), column (the code), values (`name.code`), order (the codes of the first key, in order), keep (columns that
    hold one value throughout).
    """
    wide = frame[spec["key"]].drop_duplicates()
    for wanted in spec["values"]:
        name, _, code = wanted.partition(".")
        part = frame.loc[frame[spec["column"]] == code, [*spec["key"], name]]
        wide = wide.merge(part.rename(columns={name: f"{name}_{code}"}), on=spec["key"], how="left")
    told = [c for c in wide.columns if c.startswith(spec["tells"])]
    wide = wide[wide[told].notna().any(axis=1)]
    for name in spec.get("keep", ()):
        wide[name] = frame[name].dropna().iloc[0] if name in frame and frame[name].notna().any() else None
    rank = {code: i for i, code in enumerate(spec["order"])}
    return wide.sort_values(spec["key"][0], key=lambda c: c.map(rank), kind="stable")


def formatted(column: str, row: dict, bundle: Bundle, text: Text) -> str:
    """One value as it is printed, plain text: a word, a number with its unit, or a dash where undefined."""
    layout = read_layout()
    if column == "effect_cell":
        return _effect_with_interval(row, bundle, text)
    if column in layout.intervals:
        low, high = (formatted(c, row, bundle, text) for c in layout.intervals[column])
        return "—" if "—" in (low, high) else text.say("interval", {"low": low, "high": high})
    kind, value = layout.kinds.get(column, "num"), row.get(column)
    if column in CODED and isinstance(value, str) and value:
        return coded(column, value, bundle, text)
    if column == "untreated" and value != value:
        return text.label(column, "always" if row.get("type") == "treated_vs_always" else "never")
    if column in PAIRED and (words := by_language(row, column)):
        return in_language(words, text.language, str(row.get(column) or ""))
    if column == "value" and row.get("key") == "as_of":
        return text.day(value, "long")
    if column == "target" and value == 0:
        return text.say("above_zero")
    if column == "value" and row.get("check"):
        return _check_value(row, text)
    if column == "value" and "reading" in row:
        return text.number(value, READING_KINDS.get(row.get("kind"), "num"))
    if column in ("target", "relevant_effect") and _sought_down(row):
        return text.number(-abs(value), effect_kind("target", row))
    if column == "value" and _number(row.get("change")):
        return formatted("change", row, bundle, text)  # `value` is the change in the direction that is sought
    if kind in ("effect", "by_unit") and not isinstance(value, str):
        if isinstance(value, int) and str(row.get("key", "")).endswith("_year"):
            return str(value)
        number = text.number(value, effect_kind(column, row))
        number = number.removeprefix("+") if column in _SIZES else number
        return number + _points_mark(column, row, value, text)
    return _worded(kind, column, value, bundle, text)


def effect_kind(column: str, row: dict) -> str:
    """The number format of an effect, a target or an indicator value, from the row's scale or unit."""
    scale = "share" if row.get("margin") == "extensive" else row.get("scale")
    if column == "target" and scale not in ("share", "yes_no", "level"):
        whole = abs(row.get(column) or 0) * 1000 % 10 < 1e-6
        unit = row.get("unit", "share")
        return ("pct0" if whole else "pct") if unit in SHARE_UNITS else "num"
    if column in ("baseline", "current"):
        return "pct" if row.get("unit") in SHARE_UNITS and abs(row.get(column) or 0) <= 1 and _is_share(row) else "num"
    if column in ("change", "nominal_change"):
        return "spct"
    if column in ("value", "interim", "projection"):
        changed = isinstance(row.get("change"), float) and row["change"] == row["change"]
        return ("spct" if changed else "pct") if row.get("unit") in SHARE_UNITS else "num"
    if scale is not None:
        signed = column not in _SIZES
        return {"level": "num", "share": "points", "yes_no": "points"}.get(scale, "spct" if signed else "pct")
    if row.get("unit") is not None and row.get("unit") not in SHARE_UNITS:
        return "dec1" if column.startswith("effect") else "num"
    return "spct" if column.startswith("effect") else "pct"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _sought_down(row: dict) -> bool:
    """Whether a share is meant to fall: its target is printed with its sign."""
    return row.get("direction") == "decrease" and row.get("unit") in SHARE_UNITS and _number(row.get("target"))


def sided(column: str, text: Text) -> tuple[str, str]:
    """A column of a match map as the column that it shows and whose firm's: `branch_treated` is (`branch`, `treated`).

    A column that has words or a format of its own is nobody's: the second is empty.
    """
    own = column in read_layout().kinds or text.has(f"column.{column}")
    if own or not column.endswith(("_treated", "_control")):
        return column, ""
    name, _, side = column.rpartition("_")
    return name, side


def heading(column: str, text: Text, table: str = "") -> str:
    """The printed heading of a column of any table, those of a match map told apart by firm."""
    label, side = sided(column, text)
    if not side:
        return text.heading(column, table)
    name = covariate_label(label, _NO_STUDY, text) if text.has(f"code.covariate.{label}") else text.heading(label)
    return text.say(f"column.of_{side}", {"name": name})


def light(column: str, code: Any, text: Text) -> str:
    """A verdict word with its colour class; the word alone says everything."""
    word = escape(text.label(column, code))
    return f"[{word}]{{.light .{_tone(str(code))}}}" if word else "—"


def _tone(code: str) -> str:
    good = ("met", "demonstrated", "pass", "ok", "yes")
    bad = ("not_met", "adverse", "target_ruled_out", "infeasible", "fail", "no")
    fair = ("partly_met", "indicative", "mild", "warn")
    return "good" if code in good else "bad" if code in bad else "fair" if code in fair else "open"


def _is_share(row: dict) -> bool:
    return row.get("kind") in ("share", "rate") or row.get("change") is None


def _check_value(row: dict, text: Text) -> str:
    kind, value = CHECK_KINDS.get(row["check"], UNIT_KINDS.get(row.get("unit"), "p")), row.get("value")
    return text.number(value, kind) + (text.say("points") if kind == "points" and _number(value) else "")


def _points_mark(column: str, row: dict, value: Any, text: Text) -> str:
    points = effect_kind(column, row) == "points" and isinstance(value, int | float) and value == value
    return text.say("points") if points else ""


def _worded(kind: str, column: str, value: Any, bundle: Bundle, text: Text) -> str:
    missing = value is None or value != value
    if kind == "outcome":
        return text.say("whole_design") if missing else outcome_label(value, bundle, text.language)
    if kind == "bool":
        return "—" if missing else text.say("yes" if value else "no")
    if kind == "day":
        # A date does not break across lines.
        shown = text.day(value) if isinstance(value, str) else text.number(value, "year")
        return "—" if missing else shown.replace(" ", "\u00a0")
    if kind in ("code", "light", "text"):
        return "—" if missing or value == "" else _word(column, value, text) if kind != "text" else str(value)
    if isinstance(value, str):
        return text.label(column, value)
    if isinstance(value, bool):
        return text.say("yes" if value else "no")
    return text.number(value, kind)


def _word(column: str, value: Any, text: Text) -> str:
    """The word for a code; an English message that no template fits is not printed in another language."""
    word = text.label(column, value)
    word = word[:1].upper() + word[1:] if column in MESSAGES and word != value else word
    return text.say("unworded") if word == value and " " in str(value) and text.language != "en" and column in MESSAGES else word


def _effect_with_interval(row: dict, bundle: Bundle, text: Text) -> str:
    effect = formatted("effect", row, bundle, text)
    return effect if effect == "—" else f"{effect} ({formatted('effect_ci', row, bundle, text)})"


def _listed(frame: pd.DataFrame, block: dict, bundle: Bundle, text: Text) -> tuple[list[str], list[str], list[list[str]]]:
    layout, name = read_layout(), block.get("name", block["table"])
    columns = [c for c in block["columns"] if _present(c, frame, layout) and not _all_empty(c, frame)]
    rows = []
    for row in frame.to_dict("records"):
        rows.append(
            [light(c, row.get(c), text) if layout.kinds.get(c) == "light" else _cell(c, row, bundle, text) for c in columns]
        )
    _blank_repeats(rows, columns, layout)
    aligns = [
        "left" if layout.kinds.get(c, "num") in LEFT_KINDS or (c == "value" and block["table"] == "programme_facts") else "right"
        for c in columns
    ]
    own = {c: name if text.has(f"table.{name}.column.{c}") else block["table"] for c in columns}
    return [escape(text.heading(c, own[c])) for c in columns], aligns, rows


def _cell(column: str, row: dict, bundle: Bundle, text: Text) -> str:
    """The cell as Markdown; the name of a column of the data stands as code unless it has words."""
    shown = formatted(column, row, bundle, text)
    if column == "column" and shown and not text.has(f"code.measure.{shown}"):
        return "`" + shown.replace("`", "'").replace("|", "/") + "`"
    return escape(text.label("measure", shown) if column == "column" else shown)


def _blank_repeats(rows: list[list[str]], columns: list[str], layout: Layout) -> None:
    """Mark the first cell where it repeats the row above, and the rule beside it: paper leaves both out, to show the groups."""
    grouping = bool(columns) and (columns[0] == "id" or layout.kinds.get(columns[0]) in ("code", "outcome"))
    if not grouping or len({row[0] for row in rows}) == len(rows):
        return
    last = None
    for row in rows:
        if row[0] == last:
            row[0] = _again(row[0])
            if columns[1:2] == ["rule"]:
                row[1] = _again(row[1])
        else:
            last = row[0]


def _again(cell: str) -> str:
    return f"[{cell}]{{.again}}" if cell else ""


def _present(column: str, frame: pd.DataFrame, layout: Layout) -> bool:
    if column in PAIRED and column not in frame:
        return any(c.startswith(f"{column}_") for c in frame.columns)
    needed = {"effect_cell": ["effect", "effect_low", "effect_high"]}.get(column) or layout.intervals.get(column, [column])
    return set(needed) <= set(frame.columns)


def _all_empty(column: str, frame: pd.DataFrame) -> bool:
    return column in frame.columns and bool((frame[column].isna() | (frame[column].astype(object) == "")).all())


def _pivoted(frame: pd.DataFrame, pivot: dict, text: Text) -> tuple[list[str], list[str], list[list[str]]]:
    codes = list(dict.fromkeys(frame[pivot["column"]]))
    keys = pivot["rows"]
    kind = read_layout().kinds.get(pivot["value"], "num")
    rows = []
    for key, part in frame.groupby(keys, sort=False):
        numbers = part.set_index(pivot["column"])[pivot["value"]]
        cells = [text.number(numbers.get(c, pivot.get("absent")), kind) for c in codes]
        rows.append([escape(text.label(k, v)) for k, v in zip(keys, key, strict=True)] + [escape(c) for c in cells])
    _blank_repeats(rows, keys, read_layout())
    headings = [escape(text.heading(k)) for k in keys] + [escape(text.label(pivot["column"], c)) for c in codes]
    return headings, ["left"] * len(keys) + ["right"] * len(codes), rows
