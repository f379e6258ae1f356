"""Thousands of spoilt studies through `pipeval check`, a sample of them through the whole evaluation.

Run from the repository root: `python benchmarks/hardening/inputs.py --cases 10000 --seed 1`. Prints a table of outcomes by kind of
mutation and every case that broke a promise, with the seed that makes it again (`--only NUMBER`).

Promises, for every case: an exit code of the list below and one plain message, never a traceback or an `unexpected` error; an end
within twenty seconds and the memory allowed; the study's files untouched and the table of faults whole; and, when the exit code is
0, tables that hold what a second reading of the spoilt files says, or name the cell as a fault.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import multiprocessing
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from unittest import mock

import binary_tables
import mutations
import psutil
import second_reading
from small_study import base_files, written

CODES = {0, 2, 10, 11, 12}
SECONDS = 20
MEMORY = 3 << 30  # of address space beyond what the worker holds when it starts
KINDS = mutations.KINDS | binary_tables.KINDS


def spoilt(number: int, seed: int) -> tuple[str, dict[str, bytes]]:
    """The kind of a case's mutation and the study's files after it."""
    rng = random.Random(f"{seed}/{number}")
    kind = list(KINDS)[number % len(KINDS)]
    files = dict(base_files())
    KINDS[kind](rng, files)
    return kind, files


def tried(number: int, seed: int, whole: bool, plan: bool = True) -> tuple[str, str, list[str]]:
    """One case: its kind, its outcome, and the promises it broke."""
    kind, files = spoilt(number, seed)
    seen: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="pipeval-") as scratch:
        root = Path(scratch) / "study"
        params = written(files, root)
        code, said, noise = _checked(params, Path(scratch) / "faults.csv", seen, plan)
        broken = [*_plain(code, said), *noise, *_files_kept(root, files, Path(scratch) / "faults.csv")]
        outcome = f"exit {code}"
        if code == 0:
            broken += second_reading.unaccounted(seen["study"], seen["tables"])
            broken += second_reading.misread(seen["study"], seen["logframe"], params)
            if whole:
                outcome, more = _evaluated(seen["study"], Path(scratch) / "bundle")
                broken += more
    return kind, outcome, broken


def _checked(params: Path, table: Path, seen: dict, plan: bool) -> tuple[int, str, list[str]]:
    """The exit code of `pipeval check`, all it printed, and warnings that are not its own; what it read is kept in `seen`."""
    from pipeval.cli import main
    from pipeval.errors import PipevalWarning
    from pipeval.report import faults

    def kept(name, read):
        def inner(*given):
            seen[name] = read(*given)
            return seen[name]

        return mock.patch.object(faults, {"tables": "load", "study": "read_study", "logframe": "read_logframe"}[name], inner)

    with contextlib.ExitStack() as stack:
        for name, read in (("tables", faults.load), ("study", faults.read_study), ("logframe", faults.read_logframe)):
            stack.enter_context(kept(name, read))
        if not plan:
            stack.enter_context(mock.patch.object(faults, "_plan", lambda study: 0))
        out, caught = io.StringIO(), stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(out))
        try:
            code = main(["check", str(params), "--out", str(table)])
        except BaseException:
            return -1, traceback.format_exc(), []
    foreign = [w for w in caught if not issubclass(w.category, PipevalWarning | DeprecationWarning)]
    return code, out.getvalue(), [f"noise: {w.category.__name__}: {str(w.message)[:200]}" for w in foreign[:1]]


def _plain(code: int, said: str) -> list[str]:
    if "Traceback" in said or re.search(r"unexpected [A-Z]\w+:", said) or code == -1:
        return [f"not plain: {said[-400:]}"]
    if code not in CODES and not (code == 1 and "cannot read or write" in said):
        return [f"exit code {code}: {said[-300:]}"]
    if code and not said.strip():
        return [f"exit code {code} without a word"]
    return []


def _files_kept(root: Path, files: dict[str, bytes], table: Path) -> list[str]:
    """Nothing of the study changed, nothing beside it appeared, and the table of faults is whole."""
    there = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    broken = [f"changed or new in the study: {name}" for name in there.keys() ^ files.keys()]
    broken += [f"changed: {name}" for name in there.keys() & files.keys() if there[name] != files[name]]
    if table.exists() and not table.read_bytes().endswith(b"\n"):
        broken.append("the table of faults is not whole")
    return broken + [f"left behind: {p.name}" for p in table.parent.iterdir() if p.name not in ("study", "faults.csv", "bundle")]


def _evaluated(study, folder: Path) -> tuple[str, list[str]]:
    from pipeval.errors import PipevalError, PipevalWarning
    from pipeval.evaluation import evaluate
    from pipeval.report.bundle import read_bundle
    from pipeval.report.save import save

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PipevalWarning)
            save(evaluate(study), folder)
        read_bundle(folder)
    except PipevalError as error:
        return f"evaluate: exit {error.exit_code}", []
    except Exception:
        return "evaluate: unexpected", [f"evaluate: {traceback.format_exc()[-700:]}"]
    return "evaluated", []


def _worker(pipe) -> None:
    import pipeval.cli  # what a case needs is loaded before memory is counted
    import pipeval.evaluation
    import pipeval.report.faults
    import pipeval.report.save  # noqa: F401

    base_files()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if sys.platform == "linux" else 0
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    while (case := pipe.recv()) is not None:
        started = time.process_time()
        try:
            found = tried(*case)
        except Exception:
            found = (list(KINDS)[case[0] % len(KINDS)], "script", [f"the script: {traceback.format_exc()[-700:]}"])
        pipe.send((*found, time.process_time() - started))


class Worker:
    """A process that tries cases one after another and is replaced when one hangs or kills it."""

    def __init__(self) -> None:
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(target=_worker, args=(other,), daemon=True)
        self.process.start()
        other.close()
        self.fresh = True

    def tried(self, case: tuple) -> tuple[str, str, list[str], float]:
        """The case's kind, outcome, broken promises and seconds."""
        kind = list(KINDS)[case[0] % len(KINDS)]
        self.pipe.send(case)
        limit = SECONDS + (180 if case[2] else 0) + (120 if self.fresh else 0)
        used = psutil.Process(self.process.pid).cpu_times().user
        try:
            for _ in range(10 * limit):  # seconds of the processor count, for the machine may be busy with other things
                if self.pipe.poll(1):
                    self.fresh = False
                    return self.pipe.recv()
                if psutil.Process(self.process.pid).cpu_times().user - used > limit:
                    break
            found = (kind, "hang", [f"no end within {limit} seconds"], float(limit))
        except (EOFError, psutil.Error):
            found = (kind, "died", ["the process died"], 0.0)
        self.process.kill()
        self.__init__()
        return found


def main() -> int:
    """Try the cases and print what came of them; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument(
        "--whole", type=int, default=40, help="every so many-th case that is accepted is evaluated as well; 0: none"
    )
    parser.add_argument(
        "--plan", type=int, default=1, help="every so many-th case has its design tried too; the others stop after the check"
    )
    parser.add_argument("--only", type=int, help="one case, with its files written to ./case")
    chosen = parser.parse_args()
    if chosen.only is not None:
        written(spoilt(chosen.only, chosen.seed)[1], Path("case"))
        print(tried(chosen.only, chosen.seed, False))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    worker, counts, bad, slowest = Worker(), collections.Counter(), 0, 0.0
    with contextlib.suppress(KeyboardInterrupt):  # a campaign that is stopped tells how far it came
        for number in range(chosen.first, chosen.first + chosen.cases):
            turn = number // len(KINDS)
            whole = bool(chosen.whole) and turn % chosen.whole == 0
            kind, outcome, broken, seconds = worker.tried((number, chosen.seed, whole, whole or turn % chosen.plan == 0))
            counts[kind, outcome] += 1
            slowest = max(slowest, seconds if not whole else 0)
            bad += bool(broken)
            if broken:
                print(f"BROKEN case {number} ({kind}, {outcome}): {broken[:3]}", flush=True)
    outcomes = sorted({o for _, o in counts})
    print("| mutation |", " | ".join(outcomes), "|\n|---|" + "---|" * len(outcomes))
    for kind in KINDS:
        print(f"| {kind} |", " | ".join(str(counts[kind, o]) for o in outcomes), "|")
    print(
        f"{counts.total():,} cases, seed {chosen.seed}: {bad} broke a promise; the slowest check took {slowest:.1f} s of processor"
    )
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
