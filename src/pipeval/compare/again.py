"""A study run again from kept inputs, with the package it was run with, in a process of its own."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..batch.inputs import Inputs, Store, package_root, restored, source_digest
from ..errors import DataError, PipevalError
from ..report.bundle import Bundle, read_bundle
from ..study.params import read_study

TIMEOUT = 1800
"""Seconds that one study may take."""

_SCRIPT = """
import os, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()  # nothing comes but the end
params, data, out, said = sys.argv[1:]
try:
    from pipeval import evaluate, read_study, save
    save(evaluate(read_study(params, data)), out)
except Exception as error:
    own = any(kind.__name__ == "PipevalError" for kind in type(error).__mro__)
    with open(said, "w", encoding="utf-8") as file:
        file.write(str(error) if own else f"{type(error).__name__}: {error}")
    os._exit(1)
os._exit(0)  # the thread still waits
"""
_QUIET = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "MPLBACKEND": "Agg", "PYTHONUTF8": "1",
    "PYTHONWARNINGS": "ignore",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tree:
    """A study's inputs, laid out: its params as `read_study` takes them, and the folder of its data."""

    params: str
    data: Path


@dataclass(frozen=True, slots=True)
class Rerun:
    """One study to run: params, the folder of data, and the folder that holds the package."""

    params: str
    data: Path
    source: Path


def laid_out(record: Inputs, store: Store, into: Path) -> Tree:
    """The kept inputs of a report in a folder. Raises `DataError` when one is not kept, `UsageError` when params cannot be read."""
    into.mkdir(parents=True, exist_ok=True)
    params, data = restored(record, store, into)
    return Tree(params, Path(data or read_study(params).data.folder))


def package(digest: str, store: Store, into: Path) -> Path:
    """The folder from which the package of this digest is imported: the present one, or the kept one, unzipped.

    Raises
    ------
    DataError
        When it is not kept, or is not what its digest says.
    """
    if digest == source_digest():
        return package_root().parent
    folder = into / digest
    if not folder.is_dir():
        try:
            with zipfile.ZipFile(io.BytesIO(store.take(digest))) as archive:
                if zip_digest(archive) != digest:
                    raise DataError("a kept package must be what its name says; it was changed. Run the study again")
                archive.extractall(folder)
        except FileNotFoundError:
            raise DataError("the package that a report was made with is not kept any more. Run the study again") from None
        except zipfile.BadZipFile as error:
            raise DataError(f"a kept package cannot be read ({error}). Run the study again") from None
    return folder


def zip_digest(archive: zipfile.ZipFile) -> str:
    """The digest of a package kept as a zip, as `source_digest` gives it of the package itself."""
    every = hashlib.sha256()
    for name in sorted(n.removeprefix("pipeval/") for n in archive.namelist() if not n.endswith("/")):
        every.update(f"{name}\0{hashlib.sha256(archive.read(f'pipeval/{name}')).hexdigest()}\n".encode())
    return every.hexdigest()


def run_again(work: dict[str, Rerun], scratch: Path, jobs: int = 1, timeout: float = TIMEOUT) -> dict[str, Bundle | str]:
    """The bundle of each study, or the message of its failure, at most `jobs` at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        started = {
            name: pool.submit(_one, rerun, scratch / f"made{number}", timeout) for number, (name, rerun) in enumerate(work.items())
        }
        return {name: one.result() for name, one in started.items()}


def _one(rerun: Rerun, out: Path, timeout: float) -> Bundle | str:
    out.mkdir(parents=True, exist_ok=True)
    said = out / "failure.txt"
    path = os.pathsep.join(filter(None, [str(rerun.source), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-P", "-c", _SCRIPT, rerun.params, str(rerun.data), str(out / "bundle"), str(said)]
    environment = os.environ | _QUIET | {"PYTHONPATH": path}
    with (out / "run.log").open("wb") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=out
        )  # its input ends with this process, and so does it
        try:
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            return f"took more than {timeout:g} seconds and was stopped"
        finally:
            child.kill()
            child.stdin.close()
            child.wait()
    if code:
        words = said.read_text(encoding="utf-8") if said.is_file() else _last_line(out / "run.log")
        return words or f"the process ended with code {code}"
    try:
        return read_bundle(out / "bundle")
    except PipevalError as error:
        return str(error)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
