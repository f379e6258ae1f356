"""Where reports lie: each study's folder appears whole, by one rename, and is known by what stands in it.

A second place of the same shape, for URLs, is `remote.RemoteShelf`; `shelf_for` picks.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ..errors import DataError, PipevalError
from ..study.files import write_whole
from .inputs import RECORD, Inputs, Store, digest, read_inputs

RUN = "run.json"
"""The file, in the folder of a report or a failure, that says how it came about."""

RESULTS = "results.json"
"""The file of a report that holds its numbers; its SHA-256 stands in `run.json`."""

_HIDDEN = ".pipeval"
_NOTICE = """This folder belongs to pipeval. It holds copies of every file that the reports beside it were made from, which are
confidential data of firms, and the report before each. Send reports, never this folder.

Without it reports cannot be made again as they were, and their differences cannot be explained; the reports themselves stay.
"""
_TRIES, _PAUSE = 5, 0.2  # a paper open in another program holds its folder on Windows; virus scanners let go within a second
_WORD = 16  # characters of a study's name that the folder it is worked on in begins with
_FAR = 1 << 30  # the byte that is locked: beyond the text, which others may then read on Windows too


class Shelf:
    """The reports of a folder.

    Parameters
    ----------
    out : Path
        The folder; it is made when a batch first holds it.
    """

    def __init__(self, out: str | Path):
        self.out = Path(out).resolve()
        self._hidden = self.out / _HIDDEN

    @property
    def store(self) -> Store:
        """The contents that reports were made from."""
        return Store(self._hidden / "inputs")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Write here, alone: the operating system holds the lock, and what a dead run left is put right first.

        Raises
        ------
        PipevalError
            When another batch writes here, or the folder cannot be written to.
        """
        try:
            self._hidden.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (self._hidden / "README.txt").is_file():
                write_whole(self._hidden / "README.txt", _NOTICE.encode())
            lock = (self._hidden / "lock").open("a+b")
        except OSError as error:
            said = error.strerror or error
            raise PipevalError(f"cannot write to {self.out}: {said}; choose another folder with --out") from None
        with lock:
            _take(lock, self.out)
            self._recover()
            try:
                yield
            finally:
                _clear(self._hidden / "work")

    def published(self, study: str) -> Inputs | None:
        """What the report of a study was made from; None when there is no report, or none whose record can be read."""
        try:
            return read_inputs(self.out / study)
        except DataError:
            return None

    def untouched(self, study: str) -> bool:
        """Whether the results of the report are those that were published; what has no digest in its record is not doubted."""
        wanted = (self.record(study) or {}).get("results")
        try:
            return wanted is None or digest(self.out / study / RESULTS) == wanted
        except OSError:
            return False

    def complete(self, study: str, papers: Iterable[str]) -> bool:
        """Whether the report holds these papers, and every file with the size that its record says."""
        outputs = (self.record(study) or {}).get("outputs")
        if not isinstance(outputs, dict) or not set(papers) <= set(outputs):
            return False
        try:
            return all((self.out / study / name).stat().st_size == size for name, size in outputs.items())
        except OSError:
            return False

    def record(self, study: str) -> dict[str, Any] | None:
        """How the report of a study came about, as written; None when nothing readable says so."""
        return _read_run(self.out / study)

    def records(self) -> list[dict[str, Any]]:
        """How every report and every last failure here came about, by name."""
        try:
            folders = sorted(p for p in self.out.iterdir() if p.is_dir() and not p.name.startswith("."))
        except OSError:
            return []
        found = {folder.name: _read_run(folder) for folder in folders}
        return [r for name, r in found.items() if r is not None and name in (r["study"], f"{r['study']}.failed")]

    def workplace(self, study: str) -> Path:
        """A new folder to work in, with a name that no other run knows."""
        place = self._hidden / "work" / f"{study[:_WORD]}.{secrets.token_hex(4)}"  # short: Windows counts every character
        place.mkdir(parents=True)
        return place

    def publish(self, study: str, place: Path, record: dict[str, Any]) -> str:
        """Put a finished folder in the place of the last report, with its record, and say where it lies.

        At no moment is there half a report under the study's name; the results of the one replaced are kept as `last`.

        Raises
        ------
        PipevalError
            When the last report cannot be moved, as on Windows while one of its papers is open: the new one waits beside it.
        OSError
            When the disk refuses before that; the last report is untouched.
        """
        target = self.out / study
        outputs = {p.relative_to(place).as_posix(): p.stat().st_size for p in sorted(place.rglob("*")) if p.is_file()}
        outputs.pop(RUN, None)
        results = {"results": digest(place / RESULTS)} if RESULTS in outputs else {}
        write_whole(place / RUN, as_json(record | {"outputs": outputs} | results))
        self._keep_last(study, record.get("key"))
        try:
            self._exchange(place, target)
        except OSError as error:
            raise self._pending(study, place, error) from None
        for other in (f"{study}.failed", f"{study}.pending"):
            shutil.rmtree(self.out / other, ignore_errors=True)
        return str(target)

    def settle(self, study: str, key: str) -> bool:
        """Publish the finished folder that could not be moved, when it was made from the inputs of this key; else clear it."""
        waiting = self.out / f"{study}.pending"
        record = _read_run(waiting)
        if record is None or record.get("key") != key:
            shutil.rmtree(waiting, ignore_errors=True)
            return False
        self.publish(study, waiting, record)
        return True

    def fail(self, study: str, place: Path, record: dict[str, Any]) -> str:
        """Keep notebook, log and record of a failure beside the last good report, and say where."""
        target, made = self.out / f"{study}.failed", self.workplace(study)
        for name in ("notebook.ipynb", "run.log"):
            if (place / name).is_file():
                shutil.copy2(place / name, made / name)
        write_whole(made / RUN, as_json(record))
        shutil.rmtree(target, ignore_errors=True)
        _rename(made, target)
        return str(target)

    def forget_failure(self, study: str) -> None:
        """Remove what the last failure of a study left."""
        shutil.rmtree(self.out / f"{study}.failed", ignore_errors=True)

    def write(self, name: str, content: bytes) -> None:
        """Write a file that belongs to all reports: whole, or as it was before."""
        write_whole(self.out / name, content)

    def read(self, name: str) -> bytes | None:
        """A file that belongs to all reports, as it stands; None when there is none."""
        try:
            return (self.out / name).read_bytes()
        except FileNotFoundError:
            return None

    def bundle(self, study: str) -> Path | None:
        """The folder of a study's report, when there is one."""
        folder = self.out / study
        return folder if (folder / RESULTS).is_file() else None

    def _keep_last(self, study: str, key: str | None) -> None:
        """The results, records and look of the report about to be replaced, unless it was made from the same."""
        target, before = self.out / study, self.published(study)
        if before is None or before.key == key or self.bundle(study) is None:
            return
        made = self.workplace(study)
        for name in (RESULTS, RECORD, RUN):
            if (target / name).is_file():
                shutil.copy2(target / name, made / name)
        if (target / "look").is_dir():
            shutil.copytree(target / "look", made / "look")
        kept = self._hidden / "last" / study
        kept.parent.mkdir(exist_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        _rename(made, kept)

    def _exchange(self, place: Path, target: Path) -> None:
        old = self._hidden / "old" / target.name
        old.parent.mkdir(exist_ok=True)
        if target.exists():  # else a run that was killed just here has left the last good report there
            shutil.rmtree(old, ignore_errors=True)
            _rename(target, old)
        try:
            _rename(place, target)
        except OSError:
            if old.exists():
                _rename(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def _pending(self, study: str, place: Path, error: OSError) -> Exception:
        """The finished folder set aside, and what to say of it."""
        waiting = self.out / f"{study}.pending"
        if waiting != place:
            try:
                shutil.rmtree(waiting, ignore_errors=True)
                place.rename(waiting)
            except OSError:
                return error
        said = error.strerror or error
        return PipevalError(
            f"the new report is finished but the folder of the last one cannot be moved ({said}): is one of its papers open in "
            f"another program? The new one waits in {waiting.name}. Close it and run again: nothing is computed twice"
        )

    def _recover(self) -> None:
        """Put right what a run that was killed has left."""
        for old in _entries(self._hidden / "old"):
            target = self.out / old.name
            if target.exists():
                shutil.rmtree(old, ignore_errors=True)
            else:
                _rename(old, target)
        for folder in (self.out, self._hidden, self._hidden / "inputs"):
            for part in folder.glob(".*.part"):  # a single file that was being written
                part.unlink(missing_ok=True)
        _clear(self._hidden / "work")


def shelf_for(out: str | Path):
    """The shelf of a folder, or of a URL (`s3://…`)."""
    if "://" in str(out):
        from .remote import RemoteShelf

        return RemoteShelf(str(out))
    return Shelf(Path(out))


def as_json(content: dict[str, Any]) -> bytes:
    """A record as it is written."""
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _read_run(folder: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((folder / RUN).read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("study"), str) else None


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _clear(folder: Path) -> None:
    for entry in _entries(folder):
        shutil.rmtree(entry, ignore_errors=True)


def _rename(source: Path, target: Path) -> None:
    """Rename, trying again for a second when another program holds the folder."""
    for left in reversed(range(_TRIES)):
        try:
            source.rename(target)
            return
        except PermissionError:
            if not left:
                raise
            time.sleep(_PAUSE)


def _take(lock: IO[bytes], out: Path) -> None:
    """Lock the open file until it is closed or this process ends, and write into it who holds it."""
    try:
        _lock(lock)
    except (BlockingIOError, PermissionError):
        lock.seek(0)
        held = lock.read().decode(errors="replace").strip() or "another process"
        raise PipevalError(
            f"one batch at a time writes to {out}; there is {held}. Wait until it ends, or choose another folder with --out"
        ) from None
    except OSError as error:
        raise PipevalError(f"cannot lock {out} ({error.strerror or error}); choose a folder on another disk with --out") from None
    started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    with suppress(OSError):  # a full disk: the lock holds without its label
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()} since {started}".encode())
        lock.flush()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(_FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
