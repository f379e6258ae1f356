"""Why two reports may differ: the inputs that are not the same, cell by cell and key by key."""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import re
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

from ..batch.inputs import Inputs, Store
from ..errors import UsageError
from ..study.files import read_yaml

if TYPE_CHECKING:
    from .again import Tree

CAUSES = ("data", "decisions", "code", "versions")
"""What can move a number; the look cannot."""


@dataclass(frozen=True, slots=True)
class DataCell:
    """One cell of a proved table; `firm_id` is empty in a table without firms. `corrected`: by `corrections` newly applied."""

    table: str
    firm_id: str
    key: str
    column: str
    old: Any
    new: Any
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class DataRow:
    """One row of a proved table that was `added` or `removed`."""

    table: str
    firm_id: str
    key: str
    side: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that was `added`, `removed` or `changed`; `silent` when no proved cell of it moved."""

    name: str
    side: str
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """A key decided otherwise; `place` is `params`, `logframe` or `lock`; None where a key is not there."""

    place: str
    key: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class VersionChange:
    """A package, or Python, in another version; None where it was not recorded."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Causes:
    """What differs between what two reports were made from.

    Attributes
    ----------
    kinds : tuple of str
        The causes that differ, of `data`, `decisions`, `code`, `versions`.
    cells, rows, files : tuples
        Data: cells and rows of the proved tables (after corrections and masking), and the files behind them.
    firms_added, firms_removed : tuple of str
        Firms that only the new, or only the old data hold.
    corrections : tuple of dict
        Corrections newly applied (`table, key, column, old, new, source, date`).
    decisions : tuple of Decision
        Keys of params, log frame and lock.
    pipeval : VersionChange or None
        The package's own version, when it moved.
    modules : tuple of FileChange
        Files of the package, notebooks among them.
    versions : tuple of VersionChange
        Python and packages.
    look : tuple of FileChange
        What moves no number: files of the look, keys of `report`, how params were written and where data lay.
    messages : tuple of str
        What could not be found out, and why.
    """

    kinds: tuple[str, ...] = ()
    cells: tuple[DataCell, ...] = ()
    rows: tuple[DataRow, ...] = ()
    files: tuple[FileChange, ...] = ()
    firms_added: tuple[str, ...] = ()
    firms_removed: tuple[str, ...] = ()
    corrections: tuple[dict[str, Any], ...] = ()
    decisions: tuple[Decision, ...] = ()
    pipeval: VersionChange | None = None
    modules: tuple[FileChange, ...] = ()
    versions: tuple[VersionChange, ...] = ()
    look: tuple[FileChange, ...] = ()
    messages: tuple[str, ...] = ()


LOOK = "look"
"""Where a difference goes that moves no number."""

_LOGFRAME, _LOCK = "logframe", "lock"
_ABSENT = object()


def parts(old: Inputs, new: Inputs) -> dict[str, str]:
    """Every part of two records that is not the same, and its one cause; `look` for what moves no number.

    A data file is named as below its data folder, so that the same files from another folder are the same.
    """
    found = {f"file:{name}": _cause_of(kind) for kind, name, _, _ in _files(old, new)}
    if old.study != new.study:
        found["study"] = "decisions"
    for path, _, _ in differences(old.decisions, new.decisions):
        found[f"decisions.{dotted(path)}"] = LOOK if path[0] == "report" else "decisions"
    if old.source != new.source:
        found["source"] = "code"
    if old.notebook != new.notebook:  # each stage has its own: another stage is a decision
        found["notebook"] = "code" if old.decisions.get("stage") == new.decisions.get("stage") else "decisions"
    found |= {f"versions.{change.name}": "versions" for change in _versions(old, new)}
    for name in ("params", "data", "written"):
        if getattr(old, name) != getattr(new, name):
            found[name] = LOOK
    return found


def kinds(old: Inputs, new: Inputs) -> tuple[str, ...]:
    """The causes that differ, in the order of `CAUSES`."""
    there = set(parts(old, new).values())
    return tuple(cause for cause in CAUSES if cause in there)


def causes(old: Inputs, new: Inputs, stores: tuple[Store, Store], trees: tuple[Tree, Tree] | None) -> Causes:
    """What differs between what two reports were made from; `trees` are their inputs laid out, None when they are lost.

    What cannot be found out because a kept content is lost or cannot be read is said in `messages`.
    """
    from .cells import data_moved

    messages: list[str] = []
    files = list(_files(old, new))
    data = [FileChange(name, _side(a, b)) for kind, name, a, b in files if kind == "data"]
    seen = data_moved(*trees, data, messages) if data and trees else {"files": tuple(data)}
    decisions = [Decision("params", dotted(path), _shown(a), _shown(b)) for path, a, b in _decided(old, new)]
    for kind, name, a, b in files:
        if kind in (_LOGFRAME, _LOCK):
            decisions += _inside(kind, name, (a, b), stores, messages)
    known = len(messages)
    modules, version = modules_moved(old, new, stores, messages)
    if "code" in kinds(old, new) and len(messages) == known and only_notebooks(modules):
        messages.append("of the package only notebooks differ; the modules that compute every number are the same")
    idle = {"written"} if decisions else set()  # another decision is another wording
    others = [part for part, cause in parts(old, new).items() if cause == LOOK and part not in idle]
    look = [FileChange(part.removeprefix("file:"), "changed") for part in others]
    return Causes(
        kinds=kinds(old, new),
        decisions=tuple(decisions),
        modules=modules,
        pipeval=version,
        versions=_versions(old, new),
        look=tuple(look),
        messages=tuple(messages),
        **seen,
    )


def differences(old: Any, new: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Where two plain values differ: the path of keys, and both values; lists of entries that have an `id` are read by it.

    >>> one = {"did": {"method": "reg"}, "outcomes": [{"id": "sales", "scale": "log"}]}
    >>> two = {"did": {"method": "dr"}, "outcomes": [{"id": "sales", "scale": "level"}]}
    >>> [(".".join(path), a, b) for path, a, b in differences(one, two)]
    [('did.method', 'reg', 'dr'), ('outcomes.sales.scale', 'log', 'level')]
    """
    a, b = _by_id(old), _by_id(new)
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a | b:
            yield from differences(a.get(key, _ABSENT), b.get(key, _ABSENT), (*path, str(key)))
    elif a is _ABSENT or b is _ABSENT or type(a) is not type(b) or a != b:
        yield path, old, new


def dotted(path: tuple[str, ...]) -> str:
    """A path of keys as it is written: `did.method`."""
    return ".".join(path)


def absent(value: Any) -> bool:
    """Whether a value of `differences` stands for a key that is not there."""
    return value is _ABSENT


def file_kind(record: Inputs, name: str) -> str:
    """What a kept file is: `logframe`, `lock`, `look` or `data`."""
    decided = record.decisions
    named = {decided.get("logframe"): _LOGFRAME, decided.get("plan_lock"): _LOCK}
    named |= dict.fromkeys((decided.get("report") or {}).get("look", {}).values(), LOOK)
    return {PureWindowsPath(file).as_posix(): kind for file, kind in named.items() if file}.get(name, "data")


def data_names(record: Inputs) -> dict[str, str]:
    """Data files by their name below the data folder → their name in the kept tree."""
    names = [name for name in record.files if file_kind(record, name) == "data"]
    below = record.data or (posixpath.commonpath([posixpath.dirname(name) or "." for name in names]) if names else "")
    return {posixpath.relpath(name, below or "."): name for name in names}


def _files(old: Inputs, new: Inputs) -> Iterator[tuple[str, str, str | None, str | None]]:
    """Files that differ: kind, name, digest before and after."""
    sides = []
    for record in (old, new):
        kept = {("data", name): record.files[at] for name, at in data_names(record).items()}
        others = {(file_kind(record, name), name): value for name, value in record.files.items()}
        sides.append(kept | {key: value for key, value in others.items() if key[0] != "data"})
    before, after = sides
    for kind, name in sorted(before.keys() | after.keys()):
        a, b = before.get((kind, name)), after.get((kind, name))
        if a != b:
            yield kind, name, a, b


def _cause_of(kind: str) -> str:
    return "decisions" if kind in (_LOGFRAME, _LOCK) else kind


def _side(old: str | None, new: str | None) -> str:
    return "added" if old is None else "removed" if new is None else "changed"


def _decided(old: Inputs, new: Inputs) -> list[tuple[tuple[str, ...], Any, Any]]:
    return [found for found in differences(old.decisions, new.decisions) if found[0][0] != "report"]


def _inside(kind: str, name: str, digests: tuple, stores: tuple[Store, Store], messages: list[str]) -> list[Decision]:
    """What a log frame or a lock says otherwise, key by key."""
    contents = []
    for digest, store in zip(digests, stores, strict=True):
        try:
            contents.append({} if digest is None else _read(store.take(digest)))
        except FileNotFoundError:
            messages.append(f"what differs in {name} is not known: its content is not kept any more")
            return [Decision(kind, name, *(d and d[:12] for d in digests))]
        except (OSError, UsageError) as error:
            messages.append(f"what differs in {name} is not known: {error}")
            return [Decision(kind, name, *(d and d[:12] for d in digests))]
    found = [Decision(kind, dotted(path), _shown(a), _shown(b)) for path, a, b in differences(*contents)]
    return found or [Decision(kind, name, *(d and d[:12] for d in digests))]


def _read(content: bytes) -> Any:
    """A kept log frame or lock, read as a study reads it: a few kilobytes, nothing repeated by reference."""
    with tempfile.TemporaryDirectory(prefix="pipeval-") as scratch:
        file = Path(scratch) / "kept.yaml"
        file.write_bytes(content)
        try:
            return json.loads(json.dumps(read_yaml(file), default=str))
        except UsageError as error:
            raise UsageError(str(error).replace(str(file), "what is kept of it")) from None


def _by_id(value: Any) -> Any:
    entries = isinstance(value, list) and value and all(isinstance(v, dict) and isinstance(v.get("id"), str) for v in value)
    if not entries:
        return value
    named = {v["id"]: v for v in value}
    return named if len(named) == len(value) else value


def _shown(value: Any) -> Any:
    return None if value is _ABSENT else value


def _versions(old: Inputs, new: Inputs) -> tuple[VersionChange, ...]:
    names = sorted(old.versions | new.versions, key=lambda name: (name != "python", name.lower()))
    pairs = ((name, old.versions.get(name), new.versions.get(name)) for name in names)
    return tuple(VersionChange(*pair) for pair in pairs if pair[1] != pair[2])


def only_notebooks(modules: tuple[FileChange, ...]) -> bool:
    """Whether no changed file of the package is a module: notebooks call the modules, and compute nothing themselves."""
    return all(change.name.startswith("notebooks/") for change in modules)


def modules_moved(
    old: Inputs, new: Inputs, stores: tuple[Store, Store], messages: list[str]
) -> tuple[tuple[FileChange, ...], VersionChange | None]:
    """The package's files that changed, and its version when that did; `messages` is told when a kept package cannot be read."""
    if old.source == new.source:
        return (), None
    contents, versions = [], []
    for record, store in ((old, stores[0]), (new, stores[1])):
        try:
            with zipfile.ZipFile(io.BytesIO(store.take(record.source))) as archive:
                names = sorted(archive.namelist())
                contents.append({n.removeprefix("pipeval/"): hashlib.sha256(archive.read(n)).hexdigest() for n in names})
                said = re.search(r'__version__ = "([^"]+)"', archive.read("pipeval/__init__.py").decode())
        except (OSError, zipfile.BadZipFile, KeyError) as error:
            messages.append(f"which modules of the package changed is not known: a kept package cannot be read ({error})")
            return (), None
        versions.append(said and said[1])
    before, after = contents
    changed = sorted(n for n in before | after if before.get(n) != after.get(n))
    modules = tuple(FileChange(n, _side(before.get(n), after.get(n))) for n in changed)
    return modules, None if versions[0] == versions[1] else VersionChange("pipeval", *versions)
