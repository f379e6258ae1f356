"""What travels between machines: a study's inputs as one zip, its finished folder as one zip back.

Both are held in memory whole, compressed, once on each machine and once at the scheduler: some megabytes a study. What comes from
another machine is not trusted: every name stays inside the folder, sizes are counted while they are written.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from ..errors import DataError, UsageError
from ..study.files import inside
from .inputs import RECORD, Inputs, Store, read_inputs

LARGEST = 2_000_000_000
"""Bytes that a zip may hold, unpacked."""

MOST = 20_000
"""Files that a zip may hold."""

_PIECE = 1 << 20
_KEPT = "inputs"
_FORBIDDEN = set(':*?"<>|\\') | {chr(code) for code in range(32)}


def packed(record: Inputs, store: Store) -> bytes:
    """The record and the contents it names, as one zip; the same inputs give the same bytes.

    The package itself does not travel: who runs the study must have it.

    Raises
    ------
    DataError
        When a content is not kept, or all of them are too large to travel.
    """
    wanted = record.files | record.written
    try:
        contents = [(f"{_KEPT}/{digest}", store.take(digest)) for digest in sorted(set(wanted.values()))]
    except FileNotFoundError as error:
        digest = Path(error.filename or "").name
        name = next((name for name, one in wanted.items() if one == digest), digest)
        raise DataError(f"a study travels with its kept inputs; {name} is not kept. Run the batch again") from None
    return _zipped([(RECORD, record.as_bytes()), *contents])


def unpacked(content: bytes, into: Path) -> tuple[Inputs, Store]:
    """The record and a store with its contents, laid out in a folder; `restored` proves each content.

    Raises
    ------
    DataError
        When it is not such a zip, a name leaves the folder, or it holds more than is allowed.
    """
    unpacked_folder(content, into)
    return read_inputs(into), Store(into / _KEPT)


def packed_folder(folder: Path) -> bytes:
    """A folder as one zip, without links.

    Raises `DataError` when it is too large to travel.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return _zipped((path.relative_to(folder).as_posix(), path.read_bytes()) for path in files)


def unpacked_folder(content: bytes, into: Path) -> None:
    """Lay a zip out in a folder.

    Raises
    ------
    DataError
        When it is no zip or a broken one, a name leaves the folder, or it holds more than `MOST` files or `LARGEST` bytes.
    """
    into.mkdir(parents=True, exist_ok=True)
    left = LARGEST
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in _proved(archive.infolist()):
                with archive.open(member) as source:
                    left -= _written(source, _place(into, member.filename), left)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise DataError(f"what another machine sent is not a whole zip ({error}). Run the study again") from None


def _zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    made, total = io.BytesIO(), 0
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            total += len(content)
            if total > LARGEST:
                raise DataError(f"at most {LARGEST:,} bytes of a study can travel; {name} passes them. Run it on this machine")
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _proved(members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """The members that are files; a zip with links, too many names or one name twice is refused whole."""
    files = [member for member in members if not member.is_dir()]
    names = [member.filename.casefold() for member in files]
    if len(files) > MOST:
        raise _refused(f"{len(files):,} files, of which at most {MOST:,} are taken")
    if len(set(names)) < len(names):
        raise _refused("one name twice")
    for member in files:
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _refused(f"a link, {member.filename!r}")
    return files


def _place(into: Path, name: str) -> Path:
    """Where a member is written; its name means the same on every system."""
    parts = name.split("/")
    if _FORBIDDEN & set(name) or any(part in ("", ".", "..") or part != part.rstrip(". ") for part in parts):
        raise _refused(f"the name {name!r}")
    try:
        path = inside(into, name)
        path.parent.mkdir(parents=True, exist_ok=True)
    except (UsageError, FileExistsError, NotADirectoryError):
        raise _refused(f"the name {name!r}") from None
    return path


def _written(source, path: Path, left: int) -> int:
    """Bytes written; what the zip says of its sizes is not believed."""
    total = 0
    try:
        target = path.open("xb")
    except FileExistsError:
        raise _refused(f"the name {path.name!r}, which is taken") from None
    with target:
        while piece := source.read(_PIECE):
            total += len(piece)
            if total > left:
                raise _refused(f"more than {LARGEST:,} bytes")
            target.write(piece)
    return total


def _refused(what: str) -> DataError:
    return DataError(
        f"a zip from another machine must hold plain files that stay inside their folder; found {what}. Nothing is kept of it"
    )
