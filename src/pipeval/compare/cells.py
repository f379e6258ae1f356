"""Cells of the proved tables that differ between two data folders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..data.contract import TABLES
from ..data.load import Tables, load, located
from ..errors import PipevalError, collected
from ..study.params import read_study
from .causes import DataCell, DataRow, FileChange

if TYPE_CHECKING:
    from .again import Tree


def data_moved(old: Tree, new: Tree, files: list[FileChange], messages: list[str]) -> dict[str, Any]:
    """The fields of `Causes` that are about data.

    Both folders are read under the old decisions, so that what params change is not taken for data; where the old decisions
    cannot read the new data, each under its own. When neither can be read, that is a message and only the files are named.
    """
    tables = _both(old, new, messages)
    if tables is None:
        return {"files": tuple(files)}
    before, after, places = tables
    fresh = _fresh(before, after)
    applied = {(c["table"], c["key"], c["column"]) for c in fresh}
    cells, rows = [], []
    for name in sorted(before.frames.keys() | after.frames.keys()):
        if name != "corrections":
            moved_cells, moved_rows = _table_moved(name, before.frames.get(name), after.frames.get(name))
            cells += [c if (c[0], c[2], c[3]) not in applied else (*c, True) for c in moved_cells]
            rows += moved_rows
    touched = {name for name, *_ in (*cells, *rows)} | ({"corrections"} if fresh else set())
    firms = [set(t["enterprises"]["firm_id"].dropna()) for t in (before, after)]
    return {
        "cells": tuple(DataCell(*c) for c in cells),
        "rows": tuple(DataRow(*r) for r in rows),
        "files": tuple(FileChange(f.name, f.side, not (places.get(f.name, set()) & touched)) for f in files),
        "firms_added": tuple(sorted(firms[1] - firms[0])),
        "firms_removed": tuple(sorted(firms[0] - firms[1])),
        "corrections": tuple(fresh),
    }


def _both(old: Tree, new: Tree, messages: list[str]) -> tuple[Tables, Tables, dict[str, set[str]]] | None:
    """Both proved data, and the tables that each file holds."""
    said = ""
    for params in ((old.params, old.params), (old.params, new.params)):
        try:
            studies = [read_study(p, tree.data) for p, tree in zip(params, (old, new), strict=True)]
            with collected():
                before, after = (load(study) for study in studies)
        except PipevalError as error:
            said = said or str(error)
            continue
        if said:
            messages.append(f"cells are compared with each data read under its own params: the old ones say {said}")
        places: dict[str, set[str]] = {}
        for study, tree in zip(studies, (old, new), strict=True):
            for table, (path, _) in located(study).items():
                places.setdefault(path.relative_to(tree.data.resolve()).as_posix(), set()).add(table)
        return before, after, places
    messages.append(f"which cells differ is not known: {said}")
    return None


def _fresh(before: Tables, after: Tables) -> list[dict[str, Any]]:
    """Corrections that only the new data apply."""
    old, new = ([{k: _plain(v) for k, v in row.items()} for row in t.corrections.to_dict("records")] for t in (before, after))
    known = {tuple(c.get(k) for k in ("table", "key", "column", "old", "new")) for c in old}
    return [c for c in new if tuple(c.get(k) for k in ("table", "key", "column", "old", "new")) not in known]


def _table_moved(name: str, old: pd.DataFrame | None, new: pd.DataFrame | None) -> tuple[list[tuple], list[tuple]]:
    before, after = (_keyed(name, frame) for frame in (old, new))
    rows = [(name, _firm(before, key), key, "removed") for key in before.index.difference(after.index)]
    rows += [(name, _firm(after, key), key, "added") for key in after.index.difference(before.index)]
    shared = before.index[before.index.isin(after.index)]
    cells = []
    for column in dict.fromkeys([*before.columns, *after.columns]):
        a, b = (f.loc[shared, column] if column in f else pd.Series(None, index=shared, dtype=object) for f in (before, after))
        a, b = a.astype(object), b.astype(object)
        differ = ~((a == b).fillna(False).astype(bool) | (a.isna() & b.isna()))
        cells += [(name, _firm(after, key), key, column, _plain(a[key]), _plain(b[key])) for key in shared[differ]]
    return sorted(cells, key=lambda c: (c[1], c[2])), sorted(rows, key=lambda r: (r[1], r[2]))


def _keyed(name: str, frame: pd.DataFrame | None) -> pd.DataFrame:
    """The frame under its contract key as text, parts joined by |; a key that stands twice is numbered."""
    if frame is None:
        return pd.DataFrame(index=pd.Index([], dtype=object))
    key = list(_keys(frame[[c for c in TABLES[name].key if c in frame]]))
    count = pd.Series(key, dtype=object).groupby(key).cumcount()
    return frame.set_axis([k if n == 0 else f"{k}#{n + 1}" for k, n in zip(key, count, strict=True)], axis=0)


def _keys(frame: pd.DataFrame) -> Iterator[str]:
    for row in frame.astype(object).itertuples(index=False, name=None):
        plain = [_plain(v) for v in row]
        yield "|".join("" if v is None else str(int(v) if isinstance(v, float) and v.is_integer() else v) for v in plain)


def _firm(frame: pd.DataFrame, key: str) -> str:
    firm = frame.at[key, "firm_id"] if "firm_id" in frame else None
    return "" if firm is None or pd.isna(firm) else str(firm)


def _plain(value: Any) -> Any:
    if value is None or pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat()
    return value.item() if hasattr(value, "item") else value
