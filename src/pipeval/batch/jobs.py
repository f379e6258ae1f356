"""From what was typed after `pipeval run` to studies: patterns, sweeps, files that are passed over, names that cannot be."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import PipevalError, UsageError, some
from ..study.files import read_yaml
from ..study.params import params_files, read_study, study_paths
from ..study.specs import Study

LONGEST = 80
"""Characters that the name of a study may have."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)  # no folder can be called so on Windows
_WINDOWS_PATH = 259
_DEEPEST = 100  # what a run adds to the folder of the reports beside a study's name: .pipeval/old, tables, a name of 60 characters


@dataclass(frozen=True, slots=True)
class Job:
    """One study to be run, or the reason why it cannot be.

    Attributes
    ----------
    name : str
        Of the study; of the params file, when that could not be read.
    params : str
        `file.yaml` or `file.yaml::name`.
    study : Study or None
        None when it cannot be run.
    code, message : int, str
        Exit code and message of the fault, 0 and empty when there is none.
    """

    name: str
    params: str
    study: Study | None
    code: int = 0
    message: str = ""

    @property
    def shelved(self) -> bool:
        """Whether a folder can have this name."""
        return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name)) and not _unfit(self.name)


def jobs_of(params: Sequence[str | Path], data: Path | None, out: str | Path) -> tuple[list[Job], list[str]]:
    """The jobs that params files, patterns of them and `file.yaml::name` describe, and what is said of files passed over.

    A file that cannot be read is a job with its fault. Passed over are log frames, and files that are no study but that others
    of these extend.

    Raises
    ------
    UsageError
        When two studies have one name (upper and lower case alike), or nothing is left to run.
    """
    files = list(dict.fromkeys(one for given in params for one in _expanded(str(given))))
    made = _named_once({file: _jobs(file, data) for file in files})
    read = [file for file, jobs in made.items() if any(job.study for job in jobs)]
    extended = {parent for file in read for parent in params_files(file)[1:]}
    said = []
    for file in list(made):
        if any(job.study for job in made[file]):
            continue
        if Path(file).resolve() in extended:
            said.append(f"{file} is passed over: others extend it, and it describes no study by itself")
        elif _is_logframe(file):
            said.append(f"{file} is passed over: it is a log frame")
        else:
            continue
        del made[file]
    jobs = [_fit(job, out) for one in made.values() for job in one]
    if not jobs:
        raise UsageError("\n  ".join(["there is no study to run", *said]))
    _once(jobs)
    return _apart(jobs), said


def each_study(params: str | Path) -> list[str]:
    """Every study that an argument names: itself, or `file.yaml::name` for each of a sweep; patterns are expanded.

    Raises `UsageError` when a file cannot be read.
    """
    return [path for file in _expanded(str(params)) for path in study_paths(file)]


def _expanded(given: str) -> list[str]:
    """Windows shells hand patterns on as they are."""
    file, mark, name = given.partition("::")
    if not glob.has_magic(file) or Path(file).exists():
        return [given]
    found = sorted(glob.glob(file))  # noqa: PTH207 (a pattern may be absolute)
    return [f"{one}{mark}{name}" for one in found] or [given]


def _jobs(file: str, data: Path | None) -> list[Job]:
    try:
        paths = study_paths(file)
    except UsageError as error:
        return [Job(_name(file), file, None, error.exit_code, str(error))]
    jobs = []
    for path in paths:
        try:
            study = read_study(path, data)
            jobs.append(Job(study.study, path, study))
        except PipevalError as error:
            jobs.append(Job(_name(path), path, None, error.exit_code, str(error)))
    return jobs


def _named_once(made: dict[str, list[Job]]) -> dict[str, list[Job]]:
    """Files without the studies that those before them name already, by another road or as one of a sweep."""
    known: set[tuple[Path, str]] = set()
    left = {}
    for file, jobs in made.items():
        places = [(Path(job.params.partition("::")[0]).resolve(), job.params.partition("::")[2]) for job in jobs]
        if fresh := [job for job, place in zip(jobs, places, strict=True) if place not in known]:
            left[file] = fresh
        known.update(places)
    return left


def _name(path: str) -> str:
    """What to call a study that cannot be read; what was mistyped is called as it was typed, which names no folder."""
    file, _, name = path.partition("::")
    if not Path(file).is_file():
        return Path(path).name if "." in Path(path).name else f"./{Path(path).name}"
    if name:
        return name if path in _studies(file) else Path(path).name
    try:
        return str(read_yaml(Path(file))["study"])
    except (UsageError, KeyError):
        return Path(file).stem or file


def _studies(file: str) -> list[str]:
    try:
        return study_paths(file)
    except UsageError:
        return []


def _is_logframe(file: str) -> bool:
    try:
        return {"indicators", "goal", "purpose"} <= set(read_yaml(Path(file)))
    except UsageError:
        return False


def _fit(job: Job, out: str | Path) -> Job:
    """The job, or its fault when no folder can have its name."""
    fault = _unfit(job.name)
    if not fault and sys.platform == "win32" and "://" not in str(out):
        length = len(str(Path(out).resolve())) + len(job.name) + _DEEPEST
        if length > _WINDOWS_PATH:
            fault = f"Windows allows paths of {_WINDOWS_PATH} characters; this study's would have {length}. Choose a shorter --out"
    if not fault or job.study is None:
        return job
    return replace(job, study=None, code=UsageError.exit_code, message=fault)


def _unfit(name: str) -> str:
    if len(name) > LONGEST:
        return (
            f"the name of a study has at most {LONGEST} characters, for folders are called after it; this one has {len(name)}. "
            "Shorten the key `study`, or the names in its sweep"
        )
    if _RESERVED.fullmatch(name):
        return f"a study cannot be called {name}: Windows keeps that name for itself. Change the key `study`"
    return ""


def _apart(jobs: Sequence[Job]) -> list[Job]:
    """A study that cannot be read and would be called like another is called by its file, which names no folder."""
    times = Counter(job.name.casefold() for job in jobs)
    alone = [job.study is not None or times[job.name.casefold()] == 1 for job in jobs]
    return [job if free else replace(job, name=Path(job.params).name) for job, free in zip(jobs, alone, strict=True)]


def _once(jobs: Sequence[Job]) -> None:
    """Refuse two studies that would be written to one folder; a file that cannot be read takes no one's name."""
    by_name: dict[str, list[Job]] = {}
    for job in jobs:
        if job.study is not None:
            by_name.setdefault(job.name.casefold(), []).append(job)
    twice = [alike for alike in by_name.values() if len(alike) > 1]
    if twice:
        found = sorted({job.name for alike in twice for job in alike})
        where = ", ".join(os.path.relpath(job.params.partition("::")[0]) for job in twice[0])
        raise UsageError(
            "each study needs a name of its own, upper and lower case alike, for its folder is called after it; "
            f"found twice: {some(found, 'name')}, as in {where}"
        )
