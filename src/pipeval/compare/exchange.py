"""What differs between two sets of inputs, one firm, one file or one key at a time, laid out to be run."""

from __future__ import annotations

import copy
import csv
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..batch.inputs import Inputs, Store
from ..data.contract import TABLES
from ..data.load import located
from ..errors import UsageError, some
from ..report.bundle import Bundle
from ..study.files import inside
from ..study.params import read_study
from ..study.specs import Study
from .again import Tree, laid_out
from .causes import absent, data_names, differences, dotted, file_kind

MOST = 24
"""Firms, files and keys that `--each` exchanges."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two reports: its bundle, the record of its inputs, where they are kept and where they are laid out."""

    bundle: Bundle
    record: Inputs
    store: Store
    tree: Tree


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing to exchange: its cause (`data`, `decisions`), kind (`firm`, `file`, `key`) and name.

    `parts` are the pieces of data it takes (file, firm; the whole file where the firm is None), `path` the key of params.
    """

    cause: str
    kind: str
    name: str
    parts: tuple[tuple[str, str | None], ...] = ()
    path: tuple[str, ...] = ()


def units(old: Side, new: Side) -> list[Unit]:
    """What can be exchanged alone, firms first.

    Firms of tables and of `corrections` that come as CSV are exchanged by their rows; any other file as a whole.

    Raises
    ------
    UsageError
        When there are more than `MOST`.
    """
    found = [*_data_units(old, new), *_decision_units(old.record, new.record)]
    names = [unit.name for unit in found]
    if len(found) > MOST:
        raise UsageError(
            f"--each exchanges at most {MOST} firms, files and keys; these reports differ in more: {some(names, 'difference')}. "
            "Compare without --each, or reports between which less changed"
        )
    return found


def exchanged(unit: Unit, old: Side, new: Side, into: Path) -> Tree:
    """The old inputs with this one thing as in the new ones."""
    if unit.cause == "data":
        shutil.copytree(old.tree.data, into / "data")
        for name, firm in unit.parts:
            _exchange_file(name, firm, old, new, into / "data")
        return Tree(old.tree.params, into / "data")
    tree = laid_out(old.record, old.store, into)
    for name, digest in new.record.files.items():
        if (unit.kind, name) == ("file", unit.name) or (unit.path in (("logframe",), ("plan_lock",)) and _decides(new, name)):
            path = inside(into, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(new.store.take(digest))
    return Tree(_with_key(unit, old, new, tree), tree.data) if unit.path else tree


def _data_units(old: Side, new: Side) -> Iterator[Unit]:
    before, after = data_names(old.record), data_names(new.record)
    study = read_study(old.tree.params, old.tree.data)
    tables = _tables(study, old.tree.data)
    tables |= {
        name: held
        for name, held in _tables(read_study(old.tree.params, new.tree.data), new.tree.data).items()
        if name not in tables
    }
    firms: dict[str, list[tuple[str, str | None]]] = {}
    whole = []
    for name in sorted(before.keys() | after.keys()):
        digests = [r.files.get(names.get(name, "")) for r, names in ((old.record, before), (new.record, after))]
        if digests[0] == digests[1]:
            continue
        held = tables.get(name, [])
        apart = None not in digests or held == ["corrections"]  # of which a first or a last one is a file that comes or goes
        touched = _firms_touched(name, held, study, old, new) if apart else None
        for firm in touched or ():
            firms.setdefault(firm, []).append((name, firm))
        if not touched:
            whole.append(name)
    yield from (Unit("data", "firm", firm, tuple(parts)) for firm, parts in sorted(firms.items()) if firm)
    yield from (Unit("data", "file", name, ((name, ""),)) for name, _ in firms.get("", []))
    yield from (Unit("data", "file", name, ((name, None),)) for name in whole)


def _decision_units(old: Inputs, new: Inputs) -> Iterator[Unit]:
    for path, _, _ in differences(old.decisions, new.decisions):
        if path[0] not in ("study", "report"):
            yield Unit("decisions", "key", dotted(path), path=path)
    for name in sorted(old.files.keys() & new.files.keys()):
        if old.files[name] != new.files[name] and file_kind(old, name) == file_kind(new, name) in ("logframe", "lock"):
            yield Unit("decisions", "file", name)


def _decides(side: Side, name: str) -> bool:
    return file_kind(side.record, name) in ("logframe", "lock")


def _tables(study: Study, folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, (path, _) in located(study).items():
        found.setdefault(path.relative_to(folder).as_posix(), []).append(table)
    return found


def _firms_touched(name: str, tables: list[str], study: Study, old: Side, new: Side) -> list[str] | None:
    """Firms whose rows differ; none when the file cannot be taken apart by firm."""
    if len(tables) != 1 or not name.lower().endswith(".csv"):
        return None
    try:
        (header, before), (other, after) = (_rows(inside(side.tree.data, name), study) for side in (old, new))
    except (UnicodeDecodeError, csv.Error):
        return None
    header, other = header or other, other or header
    if header != other or (place := _firm_of(tables[0], header, study)) is None:
        return None
    groups = [_by_firm(rows, place) for rows in (before, after)]
    return sorted(firm for firm in groups[0] | groups[1] if groups[0].get(firm) != groups[1].get(firm))


def _firm_of(table: str, header: list[str], study: Study) -> tuple[int, int | None] | None:
    """Where a row names its firm: the column, and for a correction also that of the table it corrects."""
    own = study.data.columns.get(table, {})
    if table == "corrections":
        columns = [own.get(c, c) for c in ("key", "table")]
        return (header.index(columns[0]), header.index(columns[1])) if set(columns) <= set(header) else None
    column = own.get("firm_id", "firm_id")
    known = any(c.name == "firm_id" for c in TABLES[table].columns)
    return (header.index(column), None) if known and column in header else None


def _by_firm(rows: list[list[str]], place: tuple[int, int | None]) -> dict[str, list[list[str]]]:
    groups: dict[str, list[list[str]]] = {}
    for row in rows:
        groups.setdefault(_firm(row, place), []).append(row)
    return groups


def _firm(row: list[str], place: tuple[int, int | None]) -> str:
    column, table = place
    cell = row[column].strip() if column < len(row) else ""
    if table is None:
        return cell
    corrected = TABLES.get(row[table].strip()) if table < len(row) else None
    return cell.split("|")[0] if corrected is not None and corrected.key[0] == "firm_id" else ""


def _rows(path: Path, study: Study) -> tuple[list[str], list[list[str]]]:
    if not path.is_file():
        return [], []
    with path.open(encoding=_encoding(study), newline="") as file:
        rows = list(csv.reader(file, delimiter=study.data.separator))
    return ([c.strip() for c in rows[0]], rows[1:]) if rows else ([], [])


def _encoding(study: Study) -> str:
    named = study.data.encoding
    return "utf-8-sig" if named.lower().replace("_", "-") in ("utf-8", "utf8") else named


def _exchange_file(name: str, firm: str | None, old: Side, new: Side, folder: Path) -> None:
    """One file as in the new data, or only the rows of one firm of it."""
    target, source = inside(folder, name), inside(new.tree.data, name)
    if firm is None:
        target.unlink(missing_ok=True)
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        return
    study = read_study(old.tree.params, old.tree.data)
    (header, rows), (other, after) = _rows(target, study), _rows(source, study)
    header = header or other
    held = _tables(study, old.tree.data).get(name, ["corrections"])
    place = _firm_of(held[0], header, study)
    theirs = [row for row in after if _firm(row, place) == firm]
    first = next((i for i, row in enumerate(rows) if _firm(row, place) == firm), len(rows))
    kept = [row for row in rows[first:] if _firm(row, place) != firm]
    made = io.StringIO(newline="")
    csv.writer(made, delimiter=study.data.separator, lineterminator="\n").writerows([header, *rows[:first], *theirs, *kept])
    target.write_bytes(made.getvalue().encode(_encoding(study)))


def _with_key(unit: Unit, old: Side, new: Side, tree: Tree) -> str:
    """A params file beside the old one that says the old decisions with one key as in the new ones."""
    content: dict[str, Any] = copy.deepcopy(old.record.decisions)
    content["data"] = {**content["data"], "folder": "data"}
    value = next(b for path, _, b in differences(old.record.decisions, new.record.decisions) if path == unit.path)
    section: Any = content
    for key in unit.path[:-1]:
        section = section[_place(section, key)]
    last = _place(section, unit.path[-1])
    if absent(value):
        del section[last]
    elif last is None:
        section.append(value)
    else:
        section[last] = value
    path = Path(tree.params.partition("::")[0]).with_name("exchanged.yaml")
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return str(path)


def _place(section: Any, key: str) -> Any:
    """Where a key stands in a section; in a list, the place of the entry of that id, None when it has none."""
    return next((i for i, v in enumerate(section) if v["id"] == key), None) if isinstance(section, list) else key
