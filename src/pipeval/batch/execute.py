"""One study's notebook, run in a process of its own.

`execute` takes and gives plain values, for a worker on another machine calls it as well.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import errors
from ..errors import PipevalError
from ..study.files import write_whole
from .family import apart, end_family
from .inputs import Inputs, Store, notebook_path, package_root, restored

CHILD = (sys.executable, "-m", "pipeval.batch.child")
"""What runs a notebook; papermill's arguments follow."""

_CELLS = re.compile(r"(\d+)/(\d+) \[")
_GRACE = 3  # seconds in which a process that was told to end may end its kernel
_running: set[subprocess.Popen] = set()


def execute(
    params: str, stage: str, place: Path, data: Path | None, timeout: int, tick: Callable[[float], None] | None = None
) -> tuple[int, str]:
    """Run the notebook of a stage in a folder and say how it ended: exit code 0, or the code and message of its failure.

    Parameters
    ----------
    params : str
        A params file, `file.yaml` or `file.yaml::name`, in a tree laid out by `restored`.
    stage : str
        Which notebook.
    place : Path
        The folder for the report, which is there and empty. Afterwards nothing in it says where the tree or the folder lay.
    data : Path, optional
        The folder of data files that replaces the one in params.
    timeout : int
        Seconds after which the notebook is stopped.
    tick : callable, optional
        Is told the share of cells done.
    """
    place, notebook = Path(place).resolve(), Path(place).resolve() / "notebook.ipynb"
    values = {"params_path": params, "out_dir": str(place), "data_dir": str(Path(data).resolve()) if data else ""}
    options = [word for name, value in values.items() for word in ("-r", name, value)]
    command = [*CHILD, str(notebook_path(stage)), str(notebook), "-k", "python3", *options]
    code, late = _ran(command, place, timeout, tick or (lambda share: None))
    if late:
        code, message = 1, f"took more than {timeout} seconds and was stopped"
    elif code == 0 and (place / "results.json").is_file():
        message = ""
    else:
        code, message = _failure(notebook, place / "run.log")
    return code, _tidied(place, [_root(params), notebook_path(stage).parent], message)


def here(record: Inputs, store: Store, place: Path, timeout: int, tick: Callable[[float], None] | None = None) -> tuple[int, str]:
    """Run a study on this machine, from its inputs laid out in `place/tree`; the report is made in `place/made`.

    What `run` needs of anything that runs studies elsewhere is this signature, and how many it takes at the same time.
    """
    made = place / "made"
    made.mkdir(parents=True)
    params, data = restored(record, store, place / "tree")
    return execute(params, record.decisions["stage"], made, data, timeout, tick)


def end_children() -> None:
    """End every notebook that this process runs; `execute` then returns in the thread that called it."""
    for child in list(_running):
        _end(child)


def _ran(command: list[str], place: Path, timeout: int, tick: Callable[[float], None]) -> tuple[int, bool]:
    """Exit code of the child, and whether its time was over; its output goes to `run.log`."""
    late = threading.Event()
    with (place / "run.log").open("w", encoding="utf-8") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environment(), text=True,
            encoding="utf-8", errors="replace", cwd=place, **apart(),
        )  # fmt: skip
        _running.add(child)
        watch = threading.Timer(timeout, lambda: (late.set(), _end(child)))
        watch.daemon = True
        watch.start()
        try:
            for line in child.stdout:
                log.write(line)
                if cells := _CELLS.search(line):
                    tick(int(cells[1]) / int(cells[2]))
            code = child.wait()
        finally:  # a full disk must not leave the notebook running
            watch.cancel()
            _end(child)
            child.stdout.close()
            _running.discard(child)
    return code, late.is_set()


def _end(child: subprocess.Popen) -> None:
    """End the child and its kernel: close the input that it watches; kill it when that does not end it."""
    if child.poll() is None:
        end_family(child.pid)
    with suppress(OSError):
        child.stdin.close()
    try:
        child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _environment() -> dict[str, str]:
    """The child's environment: one thread, so that sums do not depend on the machine, and the package that the record names."""
    made = os.environ | {
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "MPLBACKEND": "Agg",
        "JUPYTER_PREFER_ENV_PATH": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONUTF8": "1",
    }  # fmt: skip
    above = package_root().resolve().parent
    if above.name not in ("site-packages", "dist-packages"):  # a source tree, found by a road that the child may not know
        made["PYTHONPATH"] = os.pathsep.join(filter(None, [str(above), os.environ.get("PYTHONPATH", "")]))
    return made


def _failure(notebook: Path, log: Path) -> tuple[int, str]:
    """Exit code and message of the error a notebook stopped at."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        output = next(o for c in cells for o in c.get("outputs", []) if o["output_type"] == "error")
    except (OSError, ValueError, KeyError, StopIteration):
        tail = log.read_text(encoding="utf-8").strip().splitlines()[-1:] if log.is_file() else []
        return 1, f"the notebook did not run to its end: {' '.join(tail) or 'no message'}"
    kind = getattr(errors, output["ename"], None)
    if isinstance(kind, type) and issubclass(kind, PipevalError):
        return kind.exit_code, output["evalue"]
    return 1, f"{output['ename']}: {output['evalue']}"


def _root(params: str) -> Path:
    """The study root of a params file, as `read_study` finds it."""
    file = Path(params.partition("::")[0])
    return file.parent.parent if file.parent.name == "params" else file.parent


def _tidied(place: Path, away: list[Path], message: str) -> str:
    """Take the folders of the run out of notebook, log and message: a path is told from the study's root, as its owner knows it."""
    roots = sorted({str(path) for one in (*away, place) for path in (one, one.resolve())}, key=len, reverse=True)

    def plain(text: str) -> str:
        for one in roots:
            text = text.replace(one + os.sep, "").replace(one.replace("\\", "\\\\") + "\\\\", "")
            text = text.replace(one, ".").replace(one.replace("\\", "\\\\"), ".")
        return text

    notebook, log = place / "notebook.ipynb", place / "run.log"
    if log.is_file():
        write_whole(log, plain(log.read_text(encoding="utf-8")).encode())
    try:
        book = json.loads(notebook.read_bytes())
    except (OSError, ValueError):
        return plain(message)
    if isinstance(book, dict):
        book.get("metadata", {}).pop("papermill", None)
        write_whole(notebook, json.dumps(_each(book, plain), indent=1, ensure_ascii=False).encode() + b"\n")
    return plain(message)


def _each(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with every text in it changed."""
    if isinstance(value, dict):
        return {key: _each(one, change) for key, one in value.items()}
    if isinstance(value, list):
        return [_each(one, change) for one in value]
    return change(value) if isinstance(value, str) else value
