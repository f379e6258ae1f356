"""Studies to reports: each params file runs its notebook through papermill in a process of its own.

A study is written to a temporary folder and renamed when it is whole; a study that fails leaves the last good report alone and
keeps its notebook and log in `<study>.failed/`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from . import errors
from .errors import PipevalError, UsageError

NOTEBOOKS = {"baseline": "baseline.ipynb", "midterm": "midterm.ipynb", "final": "final.ipynb", "expost": "final.ipynb"}
"""The notebook of each stage."""

_CELLS = re.compile(r"(\d+)/(\d+) \[")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one study: exit code 0 and its folder, or the code and message of its failure."""

    name: str
    code: int
    message: str
    folder: Path
    seconds: float


def notebook_path(stage: str) -> Path:
    """The shipped notebook of a stage, in the installed package or in the source tree."""
    name = NOTEBOOKS[stage]
    installed = Path(str(resources.files("pipeval"))) / "notebooks" / name
    return installed if installed.is_file() else Path(__file__).resolve().parents[2] / "notebooks" / name


def run(params: list[Path], out: Path, *, jobs: int = 1, data: Path | None = None, timeout: int = 1800) -> int:
    """Run studies, at most `jobs` at a time, and print where each report lies.

    Returns
    -------
    int
        0 when all are done, else the exit code of the first that failed, in the order given.

    Raises
    ------
    UsageError
        When a params file cannot be read, or two describe the same study: nothing is run then.
    """
    from .study.params import read_study

    studies = [read_study(p, data) for p in params]
    names = [s.study for s in studies]
    if len(set(names)) < len(names):
        raise UsageError(f"each study needs a name of its own; found twice: {sorted({n for n in names if names.count(n) > 1})}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipevalError(f"cannot write to {out}: {error.strerror}; choose another folder with --out") from None
    bar = _Bar(names)
    with ThreadPoolExecutor(jobs) as pool:
        work = [
            pool.submit(_one, s, p.resolve(), out.resolve(), data, timeout, bar.tick) for s, p in zip(studies, params, strict=True)
        ]
        done = [w.result() for w in work]
    bar.close()
    for result in done:
        if result.code == 0:
            files = ", ".join(sorted(p.name for p in result.folder.glob("report.*")))
            print(f"{result.name}: {result.folder} ({files}; {result.seconds:.0f} s)")
        else:
            print(f"pipeval: {result.name}: {result.message}\n  notebook and log: {result.folder}", file=sys.stderr)
    return next((r.code for r in done if r.code), 0)


def _one(study, params: Path, out: Path, data: Path | None, timeout: int, tick: Callable) -> Outcome:
    started = time.monotonic()
    target = out / study.study
    place = None
    try:
        place = out / f".{study.study}.{os.getpid()}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        code, message = _execute(study, params, place, data, timeout, tick)
        if code == 0:
            _swap(place, target)
        else:
            target = out / f"{study.study}.failed"
            _keep_failure(place, target)
    except OSError as error:
        code, message = 1, f"cannot write: {error.strerror or error} ({error.filename or out}); the last good report is untouched"
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        tick(study.study, 1.0)
    return Outcome(study.study, code, message, target, time.monotonic() - started)


def _execute(study, params: Path, place: Path, data: Path | None, timeout: int, tick: Callable) -> tuple[int, str]:
    notebook = place / "notebook.ipynb"
    command = [sys.executable, "-m", "papermill", str(notebook_path(study.stage)), str(notebook), "-k", "python3"]
    command += [
        "-r",
        "params_path",
        str(params),
        "-r",
        "out_dir",
        str(place),
        "-r",
        "data_dir",
        str(Path(data).resolve()) if data else "",
    ]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "MPLBACKEND": "Agg",
        "JUPYTER_PREFER_ENV_PATH": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONUTF8": "1",
    }  # fmt: skip
    with (place / "run.log").open("w", encoding="utf-8") as log:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, text=True,
            encoding="utf-8", errors="replace", cwd=place,
        )  # fmt: skip
        watch = threading.Timer(timeout, child.kill)
        watch.start()
        try:
            for line in child.stdout:
                log.write(line)
                if cells := _CELLS.search(line):
                    tick(study.study, int(cells[1]) / int(cells[2]))
            code = child.wait()
            late = not watch.is_alive()
        finally:  # a full disk must not leave the notebook running
            watch.cancel()
            child.kill()
            child.stdout.close()
            child.wait()
    if late:
        return 1, f"took more than {timeout} seconds and was stopped"
    return (0, "") if code == 0 and (place / "results.json").is_file() else _failure(notebook, place / "run.log")


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


def _swap(place: Path, target: Path) -> None:
    """Put a finished folder in the place of the last one; at no moment is there half a report under the study's name."""
    old = target.with_name(f".{target.name}.old")
    if target.exists():  # else a run that was killed just here has left the last good report under the old name
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    try:
        place.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(target.with_name(f"{target.name}.failed"), ignore_errors=True)


def _keep_failure(place: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name in ("notebook.ipynb", "run.log"):
        if (place / name).is_file():
            shutil.copy2(place / name, target / name)


class _Bar:
    """A progress bar over all studies, on a terminal only."""

    def __init__(self, names: list[str]):
        self.share = dict.fromkeys(names, 0.0)
        self.live = sys.stderr.isatty()
        self.lock = threading.Lock()

    def tick(self, name: str, share: float) -> None:
        with self.lock:
            self.share[name] = share
            if self.live:
                total = sum(self.share.values()) / len(self.share)
                width = int(30 * total)
                done = sum(s == 1.0 for s in self.share.values())
                sys.stderr.write(f"\r[{'█' * width}{'·' * (30 - width)}] {total:4.0%}  {done}/{len(self.share)} studies ")
                sys.stderr.flush()

    def close(self) -> None:
        if self.live:
            sys.stderr.write("\n")
