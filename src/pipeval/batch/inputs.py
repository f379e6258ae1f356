"""What a report is made from: hashed, so that nothing is made twice; kept, so that it can be made again.

`Inputs` is the record, `Store` holds the bytes, each file once however many reports were made from it. The tree that `restored`
lays out is read by `read_study` like the folder it came from.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import zipfile
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ..data.load import located
from ..errors import DataError, some
from ..report.look import proved_look
from ..report.versions import versions
from ..study.files import inside, write_whole
from ..study.params import params_files
from ..study.specs import Study

RECORD = "inputs.json"
"""The record's file in the folder of a report."""

GIVEN = "given_data"
"""The folder of the kept tree that holds what `--data` named."""

NOTEBOOKS = {"baseline": "baseline.ipynb", "midterm": "midterm.ipynb", "final": "final.ipynb", "expost": "final.ipynb"}
"""The notebook of each stage."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one report is made from.

    Attributes
    ----------
    study : str
        Its name.
    params : str
        The params file in the kept tree, `params/x.yaml` or `params/x.yaml::name`.
    data : str
        The folder of the kept tree that replaces the one in params (`--data`), else empty.
    decisions : dict
        Everything that was decided, resolved: the study as JSON, without where its files lie.
    files : dict
        Data, log frame, lock and look: name in the kept tree → SHA-256.
    written : dict
        Params files as they were written; they decide nothing beyond `decisions`.
    notebook, source : str
        SHA-256 of the stage's notebook, and of the package.
    versions : dict
        Python and the packages that numbers depend on.
    """

    study: str
    params: str
    data: str
    decisions: dict[str, Any]
    files: dict[str, str]
    written: dict[str, str]
    notebook: str
    source: str
    versions: dict[str, str]

    @property
    def key(self) -> str:
        """SHA-256 of all that decides what a report says; how its params were written does not."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("written", "params")}
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def as_bytes(self) -> bytes:
        """The record as it is written: the same inputs give the same bytes."""
        return json.dumps({"key": self.key, **asdict(self)}, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


class Store:
    """Contents by their SHA-256, in a folder; what is not there may be taken from another."""

    def __init__(self, folder: Path, also: Path | None = None):
        self.folder = folder
        self.also = also

    def has(self, digest: str) -> bool:
        """Whether this content is kept."""
        return (self.folder / digest).is_file()

    def put(self, digest: str, content: bytes) -> None:
        """Keep a content."""
        write_whole(self.folder / digest, content)

    def take(self, digest: str) -> bytes:
        """The content; raises `FileNotFoundError` when it is not kept."""
        there = self.also if self.also is not None and not self.has(digest) else self.folder
        return (there / digest).read_bytes()


def inputs_of(
    study: Study, params: str, data: Path | None = None, seen: dict[Path, str] | None = None
) -> tuple[Inputs, dict[str, Path]]:
    """The record of a study's inputs as they lie there now, and the file behind each name in it.

    `seen` remembers hashes between the studies of one batch.

    Raises
    ------
    DataError, UsageError
        When a file that params name is not there.
    """
    seen = {} if seen is None else seen
    file, _, name = str(params).partition("::")
    root = study.root.resolve()
    home = Path(data).resolve() if data else root
    tables = {path.resolve() for path, _ in located(study).values()}
    sources = {_kept_name(path, home, GIVEN if data else ""): path for path in sorted(tables)}
    named = [inside(study.root, study.logframe)] if Path(study.logframe).suffix in (".yaml", ".yml") else []
    named += [inside(study.root, study.plan_lock)] if study.plan_lock is not None else []
    named += proved_look(study).values()
    sources |= {_kept_name(path.absolute(), root): path for path in named if path.is_file()}
    written = {_kept_name(path, root): path for path in params_files(file)}
    record = Inputs(
        study=study.study,
        params=next(iter(written)) + (f"::{name}" if name else ""),
        data=GIVEN if data else "",
        decisions=study.model_dump(mode="json", exclude={"data": {"folder"}}),
        files={one: digest(path, seen) for one, path in sorted(sources.items())},
        written={one: digest(path, seen) for one, path in sorted(written.items())},
        notebook=digest(notebook_path(study.stage), seen),
        source=source_digest(),
        versions={"python": platform.python_version(), **versions()},
    )
    return record, sources | written


def kept(record: Inputs, sources: dict[str, Path], store: Store) -> None:
    """Put the bytes of every input, and the package itself, into the store.

    Raises `DataError` when a file is no longer what the record says.
    """
    for name, wanted in (record.files | record.written).items():
        if not store.has(wanted):
            content = sources[name].read_bytes()
            if hashlib.sha256(content).hexdigest() != wanted:
                raise DataError(f"the files of a study must rest while it runs; {name} changed. Run it again")
            store.put(wanted, content)
    if not store.has(record.source):
        store.put(record.source, source_zip())


def restored(record: Inputs, store: Store, into: Path) -> tuple[str, Path | None]:
    """Lay the kept tree out in a folder; the params file as `read_study` takes it, and the data folder beside it, if one was given.

    Raises
    ------
    DataError
        When a content is not kept, or is not what its name says.
    """
    lacking = []
    for name, wanted in (record.files | record.written).items():
        path = inside(into, name)
        try:
            content = store.take(wanted)
        except FileNotFoundError:
            lacking.append(name)
            continue
        if hashlib.sha256(content).hexdigest() != wanted:
            raise DataError(
                f"a kept input must be what its name says; the content kept for {name} was changed. Run the study again"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    if lacking:
        raise DataError(
            f"a report is made again from its kept inputs, which lie in .pipeval/inputs of its folder of reports; not kept: "
            f"{some(lacking, 'file')}. Put a report that was moved or copied back there, or run the study again"
        )
    file, mark, name = record.params.partition("::")
    return f"{inside(into, file)}{mark}{name}", (into / record.data if record.data else None)


def read_inputs(folder: Path) -> Inputs:
    """The record in the folder of a report.

    Raises `DataError` when there is none, or it is not one.
    """
    path = Path(folder) / RECORD
    try:
        content = json.loads(path.read_bytes())
        key = content.pop("key")
        record = Inputs(**content)
    except FileNotFoundError:
        raise DataError(
            f"{folder} holds no {RECORD}: only a report that `pipeval run` made knows its inputs. Run the study"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is not the record of a report ({error}). Run the study again") from None
    if record.key != key:
        raise DataError(f"{path} was changed: its key does not fit what it says. Run the study again")
    return record


def store_of(folder: Path) -> Store:
    """The store of the reports among which this one lies: `.pipeval/inputs` beside it, or above it."""
    folder = Path(folder).resolve()
    beside = [parent / "inputs" if parent.name == ".pipeval" else parent / ".pipeval" / "inputs" for parent in folder.parents[:3]]
    return Store(next((place for place in beside if place.is_dir()), beside[0]))


def digest(path: Path, seen: dict[Path, str] | None = None) -> str:
    """SHA-256 of a file."""
    if seen is not None and path in seen:
        return seen[path]
    with path.open("rb") as file:
        made = hashlib.file_digest(file, "sha256").hexdigest()
    if seen is not None:
        seen[path] = made
    return made


def notebook_path(stage: str) -> Path:
    """The shipped notebook of a stage, in the installed package or in the source tree."""
    name = NOTEBOOKS[stage]
    installed = package_root() / "notebooks" / name
    return installed if installed.is_file() else package_root().parents[1] / "notebooks" / name


def package_root() -> Path:
    """The folder of the package."""
    return Path(str(resources.files("pipeval")))


def package_files() -> dict[str, Path]:
    """Every file of the package by its name in it, the notebooks of the stages included wherever they lie.

    The other notebooks enter no report, and only an installed package holds them: without them both are the same.
    """
    root = package_root()
    every = {p.relative_to(root).as_posix(): p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    own = {name: path for name, path in every.items() if not name.startswith("notebooks/")}
    return dict(sorted((own | {f"notebooks/{name}": notebook_path(stage) for stage, name in NOTEBOOKS.items()}).items()))


@cache
def _package() -> dict[str, bytes]:
    """The package's contents, read once: its digest and the zip that is kept under it are of the same bytes."""
    return {name: path.read_bytes() for name, path in package_files().items()}


@cache
def source_digest() -> str:
    """SHA-256 over the names and contents of the package's files."""
    every = hashlib.sha256()
    for name, content in _package().items():
        every.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return every.hexdigest()


def source_zip() -> bytes:
    """The package as a zip whose folder `pipeval` can be imported; the same package gives the same bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _package().items():
            archive.writestr(zipfile.ZipInfo(f"pipeval/{name}"), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _kept_name(path: Path, home: Path, below: str = "") -> str:
    name = path.resolve().relative_to(home).as_posix()
    return f"{below}/{name}" if below else name
