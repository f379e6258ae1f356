"""Reports on a URL: object storage, or any file system that fsspec knows.

Objects have no rename. A report goes to a folder of its own, which nobody ever changes, and is published by one write of the
study's pointer, `<study>/current.json`; who reads follows the pointer and meets a whole report, the old one or the new one. Inputs
are confidential and are not sent: they stay in `.pipeval` of the working folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import DataError, PipevalError, UsageError, some
from ..study.files import inside, write_whole
from .inputs import RECORD, Inputs, Store, read_inputs
from .shelf import RUN, Shelf, as_json

POINTER = "current.json"
"""The object, in a study's folder, that names the folder of its report."""

VERSION = 1
"""Of the pointer's shape."""

_FOLDER = re.compile(r"[0-9a-f]{12}-[0-9a-f]{16}")  # a pointer comes from elsewhere: nothing else is followed, or removed
_NAMED = ("folder", "before", "last")
_OF_A_BUNDLE = {"results.json", "provenance.json", RECORD, RUN}
_TRIES = 3


class RemoteShelf:
    """The reports under a URL.

    Parameters
    ----------
    url : str
        `s3://bucket/reports`, `az://…`, `gs://…`; credentials come from the environment, as each of them has it.
    home : Path, optional
        The working folder, this one unless told; its `.pipeval` holds the inputs and the lock.

    Raises
    ------
    UsageError
        When no file system answers to the URL.
    PipevalError
        When the package for it is not installed.
    """

    def __init__(self, url: str, home: str | Path = ""):
        self.url = re.sub(r"//[^/@]*@", "//", str(url).rstrip("/"))  # as it is shown: without user and password
        self.fs, self.root = _file_system(str(url), self.url)
        self.home = Shelf(Path(home))
        self._hidden = self.home.out / ".pipeval" / "sent" / hashlib.sha256(self.url.encode()).hexdigest()[:12]
        self._writing = threading.Lock()
        self._scratch: Path | None = None

    @property
    def store(self) -> Store:
        """The contents that reports were made from, in the working folder."""
        return self.home.store

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Write from this working folder, alone. Others may write to the same URL: each report is whole, the later pointer wins.

        Raises
        ------
        PipevalError
            When another batch runs in the working folder, or the URL cannot be written to.
        """
        with self.home.hold():
            probe = f"{self.root}/.pipeval-{secrets.token_hex(8)}"
            with self._reaching():  # an hour's work is not to end at a key that may only read
                self.fs.pipe_file(probe, b"")
                self.fs.rm_file(probe)
            for name in list(self._sent()):
                with suppress(PipevalError):
                    self._clear(name)
            yield

    def published(self, study: str) -> Inputs | None:
        """What the report of a study was made from; None when there is no report, or none whose record can be read."""
        content = (self._pointer(study) or {}).get("inputs")
        if content is None:
            return None
        with tempfile.TemporaryDirectory(prefix="pipeval-") as scratch:
            (Path(scratch) / RECORD).write_bytes(json.dumps(content).encode())
            try:
                return read_inputs(Path(scratch))
            except DataError:
                return None

    def untouched(self, study: str) -> bool:
        """Whether the results are those that were published; nothing under a URL is changed in place, so none is fetched for it."""
        return True

    def complete(self, study: str, papers: Iterable[str]) -> bool:
        """Whether the report holds these papers, and every file with the size that its record says."""
        pointer = self._pointer(study) or {}
        outputs = pointer.get("record", {}).get("outputs")
        if not isinstance(outputs, dict) or not set(papers) <= set(outputs):
            return False
        found = self._sizes(f"{study}/{pointer['folder']}")
        return all(found.get(name) == size for name, size in outputs.items())

    def record(self, study: str) -> dict[str, Any] | None:
        """How the report of a study came about; None when nothing readable says so."""
        return (self._pointer(study) or {}).get("record")

    def records(self) -> list[dict[str, Any]]:
        """How every report and every last failure here came about, by name; `folder` is where it lies under the URL.

        A failure counts until a report is published after it: it says over which report it stood.
        """
        self.fs.invalidate_cache()
        try:
            with self._reaching(absent=True):
                names = sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in self.fs.ls(self.root, detail=False))
                found = self.fs.cat([self._path(name) for name in names], on_error="return") if names else {}
        except FileNotFoundError:
            return []
        pointers = {name: self._met(found.get(self._path(name))) for name in names}
        records = []
        for name, pointer in pointers.items():
            if pointer is None:
                continue
            study = pointer["record"]["study"]
            standing = (pointers.get(study) or {}).get("folder")
            if name == study or (name == f"{study}.failed" and pointer.get("over") == standing):
                records.append(pointer["record"] | {"folder": f"{name}/{pointer['folder']}"})
        return records

    def workplace(self, study: str) -> Path:
        """A new folder on this machine to work in, with a name that no other run knows."""
        return self.home.workplace(study)

    def publish(self, study: str, place: Path, record: dict[str, Any]) -> str:
        """Send a finished folder, move the pointer to it, and say where it lies; only then are older ones removed.

        The one it replaces stays for whoever is reading it, and the last one that had other inputs.

        Raises
        ------
        PipevalError
            When the URL cannot be written to: what it showed, it shows; the new report waits in the working folder.
        """
        outputs = {p.relative_to(place).as_posix(): p.stat().st_size for p in sorted(place.rglob("*")) if p.is_file()}
        outputs.pop(RUN, None)
        record = record | {"outputs": outputs}
        write_whole(place / RUN, as_json(record))
        inputs = json.loads((place / RECORD).read_bytes()) if (place / RECORD).is_file() else None
        try:
            where = self._send(study, place, {"record": record, "inputs": inputs})
        except PipevalError as error:
            raise self._pending(study, place, error) from None
        shutil.rmtree(self._waiting(study), ignore_errors=True)
        with suppress(PipevalError):
            self.forget_failure(study)
        return where

    def settle(self, study: str, key: str) -> bool:
        """Publish the finished folder that could not be sent, when it was made from the inputs of this key; else clear it."""
        waiting = self._waiting(study)
        try:
            record = json.loads((waiting / RUN).read_bytes())
        except (OSError, ValueError):
            record = {}
        if not key or record.get("key") != key:
            shutil.rmtree(waiting, ignore_errors=True)
            return False
        self.publish(study, waiting, record)
        return True

    def fail(self, study: str, place: Path, record: dict[str, Any]) -> str:
        """Send notebook, log and record of a failure, beside the last good report, and say where.

        Raises `PipevalError` when the URL cannot be written to.
        """
        made = self.home.workplace(study)
        for name in ("notebook.ipynb", "run.log"):
            if (place / name).is_file():
                shutil.copy2(place / name, made / name)
        write_whole(made / RUN, as_json(record))
        over = (self._pointer(study) or {}).get("folder")
        try:
            return self._send(f"{study}.failed", made, {"record": record, "inputs": None, "over": over})
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def forget_failure(self, study: str) -> None:
        """Remove what the last failure of a study left. Raises `PipevalError` when the URL cannot be written to."""
        failed = self._pointer(name := f"{study}.failed")
        if failed is not None:
            with self._reaching(), suppress(FileNotFoundError):
                self.fs.rm_file(self._path(name))
            self._clear(name, _named(failed))

    def write(self, name: str, content: bytes) -> None:
        """Write a file that belongs to all reports, by one put.

        Raises `PipevalError` when the URL cannot be written to.
        """
        with tempfile.TemporaryDirectory(prefix="pipeval-") as scratch, self._reaching():
            file = Path(scratch) / Path(name).name  # from a file: stores tell from its name what browsers are to be told
            file.write_bytes(content)
            self.fs.put_file(str(file), f"{self.root}/{name}")

    def read(self, name: str) -> bytes | None:
        """A file that belongs to all reports, as it stands; None when there is none."""
        with suppress(FileNotFoundError):
            return self.fs.cat_file(f"{self.root}/{name}")

    def bundle(self, study: str) -> Path | None:
        """The bundle of a study's report, brought to this machine, if there is one; followed anew when replaced meanwhile."""
        for _ in range(_TRIES):
            folder = (self._pointer(study) or {}).get("folder")
            if folder is None:
                return None
            names = [n for n in self._sizes(f"{study}/{folder}") if n in _OF_A_BUNDLE or n.startswith("look/")]
            if "results.json" not in names:
                continue
            with self._reaching(), suppress(FileNotFoundError):
                return self._brought(f"{study}/{folder}", names)
        return None

    def _send(self, name: str, place: Path, content: dict[str, Any]) -> str:
        """Put a folder under a name that was never used, then move the pointer; nothing is removed before."""
        key = content["record"].get("key") or ""
        folder = f"{key[:12] if re.match('[0-9a-f]{12}', key) else '0' * 12}-{secrets.token_hex(8)}"
        self._note(name, {folder})
        with self._reaching():
            self._put(place, f"{self.root}/{name}/{folder}")
            self._prove(place, f"{name}/{folder}")
            old = self._pointer(name) or {}
            same = old.get("record", {}).get("key") == key or "over" in content
            last = old.get("last") if same else old.get("folder")
            new = {"version": VERSION, "folder": folder, "before": old.get("folder"), "last": last, **content}
            self.fs.pipe_file(self._path(name), as_json(new))
        with suppress(PipevalError):  # published; what cannot be removed now is removed by the next batch
            self._clear(name, _named(old))
        return f"{self.url}/{name}/{folder}"

    def _put(self, place: Path, target: str) -> None:
        files = sorted(path for path in place.rglob("*") if path.is_file())
        self.fs.put([str(path) for path in files], [f"{target}/{path.relative_to(place).as_posix()}" for path in files])

    def _prove(self, place: Path, target: str) -> None:
        """Refuse to publish what did not arrive whole."""
        found = self._sizes(target)
        sent = {path.relative_to(place).as_posix(): path.stat().st_size for path in place.rglob("*") if path.is_file()}
        if lacking := [name for name, size in sorted(sent.items()) if found.get(name) != size]:
            raise PipevalError(f"a report must arrive whole at {self.url}; not there as sent: {some(lacking, 'file')}")

    def _clear(self, name: str, replaced: Iterable[str] = ()) -> None:
        """Remove folders that this working folder sent, or that the pointer named before, and that it names no more."""
        doomed = (set(replaced) | self._sent().get(name, set())) - _named(self._pointer(name))
        self._note(name, doomed)
        for folder in sorted(doomed):
            with self._reaching(), suppress(FileNotFoundError):
                self.fs.invalidate_cache()
                self.fs.rm(f"{self.root}/{name}/{folder}", recursive=True)
            self._note(name, (), {folder})

    def _pending(self, study: str, place: Path, error: PipevalError) -> PipevalError:
        """The finished folder set aside, and what to say of it."""
        waiting = self._waiting(study)
        if waiting != place:
            shutil.rmtree(waiting, ignore_errors=True)
            self._make_hidden()
            waiting.parent.mkdir(exist_ok=True)
            try:
                place.rename(waiting)
            except OSError:
                return error
        return PipevalError(
            f"{error}. The new report is finished and waits here; run again when that is mended: nothing is computed twice"
        )

    def _make_hidden(self) -> None:
        """Folders of finished reports that wait, and of what was sent: their owner's alone."""
        for folder in (self._hidden.parents[1], self._hidden.parent, self._hidden):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _waiting(self, study: str) -> Path:
        return self._hidden / "pending" / study

    def _sent(self) -> dict[str, set[str]]:
        """The folders that this working folder put under the URL and did not remove, by name."""
        try:
            content = json.loads((self._hidden / "folders.json").read_bytes())
            return {str(name): {f for f in folders if _FOLDER.fullmatch(f)} for name, folders in content.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _note(self, name: str, added: Iterable[str], removed: Iterable[str] = ()) -> None:
        """Write down a folder before it is sent, so that whatever a killed batch left can be told and removed."""
        with self._writing:
            self._make_hidden()
            sent = self._sent()
            sent[name] = (sent.get(name, set()) | set(added)) - set(removed)
            content = {one: sorted(folders) for one, folders in sorted(sent.items()) if folders}
            write_whole(self._hidden / "folders.json", as_json(content))

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}/{POINTER}"

    def _pointer(self, name: str) -> dict[str, Any] | None:
        """What the pointer says; None when there is none, or none that can be read."""
        try:
            with self._reaching(absent=True):
                return _read(self.fs.cat_file(self._path(name)))
        except FileNotFoundError:
            return None

    def _sizes(self, target: str) -> dict[str, int]:
        """Every file below a folder and its size, as the store says now."""
        above = f"{self.root}/{target}/"
        self.fs.invalidate_cache()
        try:
            with self._reaching(absent=True):
                found = self.fs.find(above.rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}
        return {path[len(above) :]: entry["size"] for path, entry in found.items() if path.startswith(above)}

    def _brought(self, folder: str, names: Iterable[str]) -> Path:
        """These files of a folder, on this machine. Raises `FileNotFoundError` when it was replaced and cleared meanwhile."""
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="pipeval-"))
            weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        into = self._scratch / secrets.token_hex(4)
        for name in names:
            path = inside(into, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.fs.cat_file(f"{self.root}/{folder}/{name}"))
        return into

    def _met(self, content: Any) -> dict[str, Any] | None:
        """The pointer among what many reads gave; an error other than its absence is not taken for absence."""
        if isinstance(content, Exception) and not isinstance(content, FileNotFoundError | NotADirectoryError):
            with self._reaching():
                raise content
        return _read(content)

    @contextmanager
    def _reaching(self, absent: bool = False) -> Iterator[None]:
        """What goes wrong out there, as an error of this package; with `absent`, a file that is not there is left to the caller."""
        try:
            yield
        except PipevalError:
            raise
        except Exception as error:  # every store has errors of its own
            if absent and isinstance(error, FileNotFoundError):
                raise
            said = " ".join(str(error).split()) or type(error).__name__
            raise PipevalError(
                f"cannot reach {self.url}: {said[:300]}. Look at the address, the network and the credentials in the environment; "
                "what is published there is as it was"
            ) from None


def _file_system(url: str, shown: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ModuleNotFoundError:
        raise PipevalError(f'reports go to {shown} through fsspec: python -m pip install "pipeval[remote]"') from None
    try:
        fs, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise PipevalError(f"reports go to {shown} through a package that is not installed: {error}") from None
    except Exception as error:  # every store reads its addresses in its own way
        raise UsageError(f"--out must be a folder or a URL such as s3://bucket/reports; found {shown}: {error}") from None
    if "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)):
        raise UsageError(f"a folder of this machine is written as a path, not as a URL; found {shown}")
    return fs, root.rstrip("/")


def _read(content: Any) -> dict[str, Any] | None:
    """A pointer as written; None when it is not one."""
    try:
        pointer = json.loads(content)
        known = pointer["version"] == VERSION and isinstance(pointer["record"]["study"], str)
        proved = all(pointer[one] is None or _FOLDER.fullmatch(pointer[one]) for one in _NAMED) and pointer["folder"]
    except (ValueError, TypeError, KeyError):
        return None
    return pointer if known and proved else None


def _named(pointer: dict[str, Any] | None) -> set[str]:
    return {pointer[one] for one in _NAMED if pointer and pointer.get(one)}
