"""What a package is put together from: the report as published, the tree of its inputs, the files described."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..batch.inputs import Inputs, restored, store_of
from ..data.contract import TABLES
from ..data.load import located
from ..data.read import read_file
from ..errors import DataError
from ..study.params import read_study
from ..study.specs import Study
from .readme import Dataset
from .software import source_digest_of

AT_HOME = ("run.log",)
"""Files of a report that never leave: they say where things lay on the machine that ran."""

_PERSONS = ("firm_id", "person_key", "staff_key")
_PUBLISHED = ("series", "territory_totals", "benchmarks")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a package is put together from.

    Attributes
    ----------
    report : dict
        Files of the report by their name in it.
    tree : dict
        Files that the study reads, by their name in its tree.
    params, data : str
        The params file in the tree, as `read_study` takes it, and the folder that replaces the one in params, if any.
    datasets : list of Dataset
        The files of the tree, described.
    source : bytes
        The package itself, as kept.
    versions : dict
        Python and the packages that the report was made with.
    key : str
        The key of the inputs; empty in a public package.
    extra : dict
        Further files, such as the record of the anonymisation.
    """

    report: dict[str, bytes]
    tree: dict[str, bytes]
    params: str
    data: str
    datasets: list[Dataset]
    source: bytes
    versions: dict[str, str]
    key: str
    extra: dict[str, bytes]


def described(study: Study, tree: Path, hashes: dict[str, str], public: bool = False) -> list[Dataset]:
    """The files of a study's tree as the README lists them: data by table, then params, log frame, lock and look."""
    found, agency = [], study.programme.executing_agency
    for table, (path, sheet) in located(study).items():
        frame = read_file(path, sheet, study.data)
        name = path.resolve().relative_to(tree.resolve()).as_posix()
        column = study.data.columns.get(table, {}).get("source", "source")
        said = [str(one) for one in frame[column].dropna().unique()[:3]] if column in frame and table in _PUBLISHED else []
        shown = f"{name}::{sheet}" if sheet else name
        access = "anonymised" if public and _access(table) == "confidential" else _access(table)
        found.append(Dataset(shown, table, len(frame), len(frame.columns), access, "; ".join(said) or agency, hashes[name]))
    listed = {one.file.partition("::")[0] for one in found}
    rest = [
        Dataset(n, _kind(n, study), None, None, "decisions", study.report.author, h) for n, h in hashes.items() if n not in listed
    ]
    return found + sorted(rest, key=lambda one: one.file)


def report_files(folder: Path) -> dict[str, bytes]:
    """The files of a published report by name, without the log; the notebook without the times and places of its run."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in AT_HOME:
            content = path.read_bytes()
            found[name] = _quiet_notebook(content) if path.suffix == ".ipynb" else content
    return found


def own_parts(folder: Path, record: Inputs, scratch: Path) -> Parts:
    """The parts of a package of the report as it is; the kept inputs are laid out in `scratch/tree`.

    Raises
    ------
    DataError
        When an input or the software is not kept, or is not what it was.
    """
    store = store_of(folder)
    params, data = restored(record, store, scratch / "tree")
    try:
        source = store.take(record.source)
    except FileNotFoundError:
        raise DataError("a package holds the software that made the report; its source is not kept. Run the study again") from None
    if source_digest_of(source) != record.source:
        raise DataError("the kept source must be the one that made the report; it was changed. Run the study again")
    hashes = record.files | record.written
    study = read_study(params, data)
    tree = {name: (scratch / "tree" / name).read_bytes() for name in sorted(hashes)}
    datasets = described(study, scratch / "tree", hashes)
    return Parts(report_files(folder), tree, record.params, record.data, datasets, source, record.versions, record.key, {})


def _quiet_notebook(content: bytes) -> bytes:
    """A notebook without what papermill notes of its run: times, and places on the machine."""
    try:
        book = json.loads(content)
        for holder in (book, *book["cells"]):
            holder["metadata"].pop("papermill", None)
            holder["metadata"].pop("execution", None)
    except (ValueError, KeyError, TypeError):
        raise DataError("the notebook of a report must be one; notebook.ipynb is not. Run the study again") from None
    return (json.dumps(book, indent=1, ensure_ascii=False) + "\n").encode()


def _access(table: str) -> str:
    names = {column.name for column in TABLES[table].columns}
    if names & set(_PERSONS) or table == "corrections":
        return "confidential"
    return "published" if table in _PUBLISHED else "programme"


def _kind(name: str, study: Study) -> str:
    """What a file is that holds no data: the keys of the params that may name it, in turn."""
    for kind, named in (("logframe", study.logframe), ("lock", study.plan_lock)):
        if named and Path(named).as_posix() == name:
            return kind
    return "params" if Path(name).suffix.lower() in (".yaml", ".yml") else "look"
