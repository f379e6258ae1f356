"""A second reading of a study's files, written without the package's reader: what must stand in the tables after `load`.

A cell of the mutated file is accounted for when the loaded table holds its value, or a fault of reading names it, or its row was
not yet known at the evaluation and is counted as masked, or an agreed correction replaced it. Every loaded row is one of the file.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import re
import unicodedata
from pathlib import Path

import pandas as pd
import yaml

from pipeval.data.contract import TABLES

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DAY = re.compile(r"([12]\d{3})-(\d{2})-(\d{2})(?:$|[T ])", re.ASCII)
_TRUTHS = {word: 1.0 for word in "1 1.0 true yes sí si sim verdadero verdadeiro".split()}
_TRUTHS |= {word: 0.0 for word in "0 0.0 false no não nao falso".split()}


def cells_of(path: Path, study) -> list[list] | None:
    """The rows of a table file, the header first, as this second reader sees them; none for a kind it does not read."""
    if path.suffix.lower() == ".csv":
        encoding = "utf-8-sig" if study.data.encoding.lower() in ("utf-8", "utf8") else study.data.encoding
        text = path.read_bytes().decode(encoding)
        csv.field_size_limit(10_000_000)
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=study.data.separator))
    if path.suffix.lower() == ".xlsx":
        from openpyxl import load_workbook

        page = load_workbook(path, data_only=True).worksheets[0]
        return [[cell.value for cell in row] for row in page.iter_rows()]
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.ParquetFile(path).read()
        return [table.column_names, *map(list, zip(*(column.to_pylist() for column in table.columns), strict=True))]
    return None


def value_of(cell: object, kind: str, codes: tuple[str, ...]) -> tuple[object, bool]:
    """The value of a cell of this kind (None when missing) and whether it is of that kind at all."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None, True
    if isinstance(cell, bool):
        cell = int(cell)
    if isinstance(cell, dt.datetime | dt.date | dt.time):
        cell = cell.isoformat()
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
    if not text:
        return None, True
    if kind in ("num", "money", "int"):
        number = float(text) if _NUMBER.fullmatch(text) else math.inf
        return (number, True) if math.isfinite(number) and (kind != "int" or number == round(number)) else (None, False)
    if kind == "bool":
        return _TRUTHS.get(text.lower()), text.lower() in _TRUTHS
    if kind == "date":
        found = _DAY.match(text)
        try:
            return (dt.date(*map(int, found.groups())), True) if found else (None, False)
        except ValueError:
            return None, False
    shown = text in codes if codes else not any(unicodedata.category(c) == "Cc" and c not in "\t\n\r" for c in text)
    return (text, True) if shown else (None, False)


def _same(loaded: object, value: object) -> bool:
    if value is None or loaded is None or loaded is pd.NaT or (isinstance(loaded, float) and math.isnan(loaded)):
        return value is None and (loaded is None or bool(pd.isna(loaded)))
    if isinstance(loaded, pd.Timestamp):
        return loaded.date() == value
    if isinstance(loaded, float):
        return isinstance(value, float) and math.isclose(loaded, value, rel_tol=1e-12)
    return loaded == value


def unaccounted(study, loaded) -> list[str]:
    """What the mutated files say and the loaded tables neither hold nor question; none when every cell is accounted for."""
    from pipeval.data.load import located

    wrong = []
    for name, (path, _sheet) in located(study).items():
        rows = cells_of(path, study)
        if rows is not None:
            wrong += _table(name, rows, study, loaded)
    return wrong


def _table(name: str, rows: list[list], study, loaded) -> list[str]:
    columns = TABLES[name].named(study.programme.currency)
    own = {theirs: ours for ours, theirs in study.data.columns.get(name, {}).items()}
    head = ["" if c is None else str(c).strip() for c in rows[0]]
    frame, faults = loaded.frames[name], loaded.faults[loaded.faults["table"] == name]
    questioned = set(zip(faults["row"], faults["column"], strict=True))
    corrected = set(loaded.corrections["column"]) if len(loaded.corrections) and name in set(loaded.corrections["table"]) else set()
    wrong, full = [], set()
    for number, row in enumerate(rows[1:], 2):
        row = row + [None] * (len(head) - len(row))
        if all(c is None or c == "" for c, h in zip(row, head, strict=False) if h):
            continue
        full.add(number)
        if number not in frame.index:
            if not _later(name, head, row, study, loaded, own):
                wrong.append(f"{name} row {number} is gone")
            continue
        for heading, cell in zip(head, row, strict=False):
            ours = own.get(heading, heading)
            if ours not in columns:
                continue
            column = columns[ours]
            meant = study.data.codes.get(name, {}).get(ours, {})
            text = cell.strip() if isinstance(cell, str) else cell
            value, good = value_of(meant.get(text, text) if isinstance(text, str) else text, column.kind, column.codes)
            held = frame.at[number, ours]
            if (good and _same(held, value)) or (number, ours) in questioned or ours in corrected:
                continue
            if (column.event or column.dated_by) and bool(pd.isna(held)):
                continue  # blanked: it lies after the evaluation
            wrong.append(f"{name} row {number}, {ours}: the file says {str(cell)[:60]!r}, the table holds {str(held)!r}")
    wrong += [f"{name} row {number} stands in no file" for number in frame.index if number not in full]
    return wrong


def _later(name: str, head: list[str], row: list, study, loaded, own: dict) -> bool:
    """Whether a row was not yet known at the evaluation, by its own date or year, and is counted."""
    table, named = TABLES[name], dict(zip([own.get(h, h) for h in head], row, strict=False))
    day = value_of(named.get(table.known_on), "date", ())[0] if table.known_on else None
    year = value_of(named.get(table.year), "num", ())[0] if table.year else None
    later = (day is not None and day > study.as_of) or (
        year is not None and (year >= study.as_of.year or year > loaded.frames["survey"]["ref_year"].max())
    )
    return later and loaded.masked.get(name, 0) > 0


def misread(study, frame, params: Path) -> list[str]:
    """Keys of the params files and of the log frame whose value the study or the log frame does not hold."""
    plan = yaml.safe_load(params.read_bytes())
    while "extends" in plan:
        below = yaml.safe_load((params.parent / plan.pop("extends")).read_bytes())
        plan = _over(below, plan)
    held = study.model_dump(mode="json", by_alias=True)
    plan.get("data", {}).pop("folder", None)  # resolved to a full path
    wrong = [f"params {w}" for w in _differing(plan, held)]
    if str(study.logframe).endswith((".yaml", ".yml")):
        wrong += [
            f"log frame {w}"
            for w in _differing(
                yaml.safe_load((study.root / study.logframe).read_bytes()), frame.model_dump(mode="json", by_alias=True)
            )
        ]
    return wrong


def _over(below: dict, above: dict) -> dict:
    both = {k: _over(below[k], v) if isinstance(v, dict) and isinstance(below.get(k), dict) else v for k, v in above.items()}
    return below | both


def _differing(said: object, held: object, where: str = "") -> list[str]:
    if isinstance(said, dict) and isinstance(held, dict):
        keys = {str(k): v for k, v in held.items()}
        return [w for k, v in said.items() for w in _differing(v, keys.get(str(k), "nothing"), f"{where}.{k}")]
    if isinstance(said, list) and isinstance(held, list) and len(said) == len(held):
        return [w for i, (a, b) in enumerate(zip(said, held, strict=True)) for w in _differing(a, b, f"{where}.{i}")]
    if isinstance(said, dt.date):
        said = said.isoformat()
    alike = type(said) is type(held) or ({type(said), type(held)} == {int, float})
    return [] if alike and said == held else [f"{where.lstrip('.')}: the file says {str(said)[:60]!r}, read as {str(held)[:60]!r}"]
