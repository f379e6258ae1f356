"""The batch: which studies have to run and why, their reports published one by one, the pages over them made last."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import PipevalError
from ..study.files import write_whole
from .bar import Bar
from .execute import end_children, here
from .inputs import RECORD, Inputs, inputs_of, kept
from .jobs import Job, jobs_of
from .outlived import outlived
from .shelf import shelf_for
from .why import FORCED, reasons

PAPERS = ("report.{}.html", "report.{}.docx", "report.{}.pdf", "summary.{}.pdf", "annex.{}.xlsx")
"""What a report promises in each of its languages."""

_SHOWN, _STOPPED = 5, 130


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one study: exit code 0 and where its report lies, or the code and message of its failure."""

    name: str
    code: int
    message: str
    where: str
    record: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Planned:
    """A job with its inputs and the reasons to run it: none when its report stands."""

    job: Job
    inputs: Inputs | None = None
    why: list[str] = field(default_factory=list)
    code: int = 0
    message: str = ""


def run(
    params: Sequence[str | Path],
    out: str | Path,
    *,
    jobs: int = 1,
    data: Path | None = None,
    timeout: int = 1800,
    force: bool = False,
    dry: bool = False,
    dask: str | None = None,
) -> int:
    """Run the studies whose inputs changed since their last report, at most `jobs` at a time, and print what became of each.

    Parameters
    ----------
    params : sequence of str or Path
        Params files, patterns of them, or `file.yaml::name`.
    out : str or Path
        Folder of the reports, or a URL.
    jobs : int
        Studies at the same time.
    data : Path, optional
        Folder of the data files, instead of the one in params.
    timeout : int
        Seconds that a study may take.
    force : bool
        Run every study, changed or not.
    dry : bool
        Say what would run and why; write nothing.
    dask : str, optional
        Address of a dask scheduler whose workers run the studies.

    Returns
    -------
    int
        0 when all are done, else the exit code of the first that failed, in the order given.

    Raises
    ------
    UsageError
        When two studies have one name, or there is nothing to run: nothing is run then.
    PipevalError
        When another batch writes to the folder, or it cannot be written to.
    """
    work, said = jobs_of(params, data, out)
    for line in said:
        print(line)
    shelf = shelf_for(out)
    if dry or not any(job.study for job in work):
        return _told(_plan(work, shelf, data, force))
    with shelf.hold():
        planned = _plan(work, shelf, data, force, keep=True)
        _announce(planned)
        try:
            done = _all(planned, shelf, jobs, timeout, dask)
        except BaseException:
            with suppress(PipevalError, OSError):
                _pages(shelf, planned, [])
            raise
        code = _report(done, len(planned), shelf)
        try:
            _pages(shelf, planned, done)
        except (PipevalError, OSError) as error:  # the reports are there all the same
            print(f"pipeval: {_words(error)}", file=sys.stderr)
            code = code or getattr(error, "exit_code", 1)
    return code


def _plan(jobs: Sequence[Job], shelf, data: Path | None, force: bool, keep: bool = False) -> list[_Planned]:
    """Each job with its inputs and reasons; with `keep`, inputs of what is to run are put into the store."""
    seen: dict[Path, str] = {}
    planned = []
    for job in jobs:
        if job.study is None:
            planned.append(_Planned(job, code=job.code, message=job.message))
            continue
        try:
            inputs, sources = inputs_of(job.study, job.params, data, seen)
            if keep:
                shelf.settle(job.name, inputs.key)
            why = reasons(inputs, shelf, _papers(job), force)
            if why and keep:
                kept(inputs, sources, shelf.store)
            planned.append(_Planned(job, inputs, why))
        except (PipevalError, OSError) as error:
            planned.append(_Planned(job, code=getattr(error, "exit_code", 1), message=_words(error)))
    return planned


def _all(planned: Sequence[_Planned], shelf, jobs: int, timeout: int, dask: str | None) -> list[Outcome]:
    """Run what has to run; every planned study's outcome, in order."""
    active = [one.job.name for one in planned if one.why]
    expected = {name: (shelf.record(name) or {}).get("seconds") for name in active}
    with _elsewhere(dask) if dask and active else nullcontext(here) as runner:
        slots = max(jobs, getattr(runner, "slots", 1))
        bar = Bar(expected, slots)
        pool, stopped, tasks = ThreadPoolExecutor(slots), threading.Event(), []
        try:
            for one in planned:
                tasks.append(pool.submit(_one, one, shelf, runner, timeout, bar, stopped))
            while wait(tasks, timeout=1).not_done:
                pass  # waiting without end cannot be interrupted on Windows
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            end = getattr(runner, "end", end_children)
            while any(task.running() for task in tasks):
                end()
                time.sleep(0.05)
            raise
        finally:
            pool.shutdown(cancel_futures=True)
            bar.close()
        return [task.result() for task in tasks]


def _elsewhere(address: str):
    from .workers import Elsewhere

    return Elsewhere(address)


def _one(one: _Planned, shelf, runner: Callable, timeout: int, bar: Bar, stopped: threading.Event) -> Outcome:
    """Run one study, or pass on what is known of it already, and put the result on the shelf.

    A study that ends because the batch is `stopped` did not fail: nothing is kept of it.
    """
    name, started, clock = one.job.name, datetime.now(UTC), time.monotonic()
    if not one.why and not one.code:
        return Outcome(name, 0, "", "")
    code, message, place, where = one.code, one.message, None, ""
    record = _record(one, started)
    try:
        if one.job.shelved:
            place = shelf.workplace(name)
        if not one.code:
            code, message = runner(one.inputs, shelf.store, place, timeout, lambda share: bar.tick(name, share))
        if code and stopped.is_set():
            return Outcome(name, _STOPPED, "stopped", "")
        record |= _ended(code, message, clock)
        if code == 0:
            where = _published(one, shelf, place / "made", record)
        elif place is not None:
            where = shelf.fail(name, place / "made", record)
    except Exception as error:  # whatever befalls one study, the others go on
        code, message = getattr(error, "exit_code", 1), _words(error)
        record |= _ended(code, message, clock)
        if place is not None and not stopped.is_set():
            with suppress(PipevalError, OSError):
                where = shelf.fail(name, place / "made", record)
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        if one.why:
            bar.tick(name, 1.0)
    return Outcome(name, code, message, where, record)


def _published(one: _Planned, shelf, made: Path, record: dict[str, Any]) -> str:
    """Complete the record with what the report says and what moved since the last one, and publish."""
    from ..report.bundle import read_bundle
    from .pages import headline

    new = read_bundle(made)
    record |= {"verdicts": headline(new), "moved": _moved(shelf.bundle(one.job.name), new)}
    record |= {"papers": [paper for paper in _papers(one.job) if (made / paper).is_file()]}
    write_whole(made / RECORD, one.inputs.as_bytes())
    return shelf.publish(one.job.name, made, record)


def _moved(last: Path | None, new) -> dict[str, Any] | None:
    """How many verdicts and numbers are not what the replaced report said; None without one that can be read."""
    from ..compare.difference import moved
    from ..report.bundle import read_bundle

    if last is None:
        return None
    try:
        difference = moved(read_bundle(last), new)
    except PipevalError:
        return None
    return {"verdicts": len(difference.verdicts), "numbers": len(difference.numbers)}


def _record(one: _Planned, started: datetime) -> dict[str, Any]:
    """What is known of a run before it begins."""
    study = one.job.study
    return {
        "study": one.job.name,
        "params": one.inputs.params if one.inputs else Path(one.job.params).name,
        "why": one.why,
        "key": one.inputs.key if one.inputs else None,
        "stage": study.stage if study else None,
        "as_of": study.as_of.isoformat() if study else None,
        "languages": list(study.report.languages) if study else [],
        "programme": {"id": study.programme.id, "name": study.programme.name} if study else None,
        "machine": _machine(),
        "started": started.isoformat(timespec="seconds"),
        "papers": [],
        "verdicts": [],
        "moved": None,
        "git": _revision(study.root) if study else None,
    }


@cache
def _machine() -> dict[str, Any]:
    """What the reports are made on; memory only where the system says."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    return {"system": platform.system(), "cores": os.cpu_count(), "memory_gb": pages and round(pages / 2**30, 1)}


def _ended(code: int, message: str, clock: float) -> dict[str, Any]:
    return {
        "status": "failed" if code else "done",
        "code": code,
        "message": message,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - clock, 1),
    }


def _papers(job: Job) -> list[str]:
    return [paper.format(language) for language in job.study.report.languages for paper in PAPERS]


@cache
def _revision(root: Path) -> dict[str, Any] | None:
    """The git revision of a study's folder, and whether it was changed since; None where git knows nothing of it."""
    said = []
    for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "."]):
        try:
            done = subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        said.append(done.stdout.strip())
    return {"commit": said[0], "changed": bool(said[1])}


def _pages(shelf, planned: Sequence[_Planned], done: Sequence[Outcome]) -> None:
    """Make the pages over all reports here; a study that was not run, or did not end well, is stale for its reasons."""
    from .pages import write_pages

    records = shelf.records()
    over = outlived(records, [o.job for o in planned], [o.name for o in done if o.code], [o.name for o in done if not o.code])
    for name in over:
        shelf.forget_failure(name)
    records = [r for r in records if r.get("status") != "failed" or r["study"] not in over]
    kept_names = {(r["study"], r["status"]) for r in records if "status" in r}
    records += [o.record for o in done if o.code and o.record and (o.name, "failed") not in kept_names]
    ended = {o.name: o for o in done}
    why = {record["study"]: ["not in this run"] for record in records}
    for one in planned:
        fresh = one.job.name in ended and ended[one.job.name].code == 0
        why[one.job.name] = [] if fresh else _still(one, shelf)
    write_pages(shelf, records, why)


def _still(one: _Planned, shelf) -> list[str]:
    """Why the report that stands there now does not hold, whatever was asked for: nothing when it was made from these inputs."""
    return reasons(one.inputs, shelf, _papers(one.job)) if one.inputs else [one.message]


def _told(planned: Sequence[_Planned]) -> int:
    """Print what would run and why."""
    for one in planned:
        if one.code:
            print(f"pipeval: {one.job.name}: {one.message}", file=sys.stderr)
        else:
            print(f"{one.job.name}: " + (f"would run ({'; '.join(one.why)})" if one.why else "up to date"))
    return next((one.code for one in planned if one.code), 0)


def _announce(planned: Sequence[_Planned]) -> None:
    """Print the reasons for which studies run, each once."""
    by_reason: dict[str, list[str]] = {}
    for one in planned:
        if one.why:
            by_reason.setdefault("; ".join(one.why), []).append(one.job.name)
    for reason, names in by_reason.items():
        print(f"to run, {reason}: {_named(names)}", flush=True)


def _report(done: Sequence[Outcome], total: int, shelf) -> int:
    """Print what became of each study and return the exit code."""
    standing = [one for one in done if one.record is None]
    if standing:
        print(f"up to date: {len(standing)} of {total} ({_named([one.name for one in standing])})")
    for one in done:
        if one.code:
            kept_at = f"\n  notebook and log: {one.where}" if one.where and one.record["key"] else ""
            print(f"pipeval: {one.name}: {one.message}{kept_at}{_stands(one, shelf)}", file=sys.stderr)
        elif one.record is not None:
            papers = ", ".join(one.record["papers"])
            moved = _moved_words(one.record["moved"])
            print(f"{one.name}: {one.where} ({papers}; {one.record['seconds']:.0f} s){moved}")
    return next((one.code for one in done if one.code), 0)


def _stands(one: Outcome, shelf) -> str:
    """That the report holds although the run that was only asked for failed."""
    if not one.record or one.record["why"] != [FORCED]:
        return ""
    made = str((shelf.record(one.name) or {}).get("finished", "")).replace("T", " ")[:16]
    return f"\n  the report of {made} UTC stands: it was made from the same inputs, and only --force asked for another"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _moved_words(moved: Mapping[str, int] | None) -> str:
    if not moved or not any(moved.values()):
        return ""
    counts = " and ".join(f"{moved[kind]} {kind[:-1] if moved[kind] == 1 else kind}" for kind in ("verdicts", "numbers"))
    return f"; since the last report {counts} moved"


def _words(error: Exception) -> str:
    if isinstance(error, PipevalError):
        return str(error)
    if not isinstance(error, OSError):
        return f"unexpected {type(error).__name__}: {error}"
    said = error.strerror or error
    return f"cannot write: {said} ({error.filename or 'the folder of reports'}); the last good report is untouched"
