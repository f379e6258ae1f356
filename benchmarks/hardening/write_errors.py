"""Every write of a batch refused once, in turn: nothing half-written, a plain message, and the next run mends it.

Run from the repository root: `python benchmarks/hardening/write_errors.py`. For each of ENOSPC, EACCES and EIO, and for a disk that
fills up in the middle of a file, the first, second, third … write, rename or folder of a batch of three studies fails. Then clocks:
the same decisions when time steps back or forward and files carry dates to come. Then two batches at once.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from toy_batch import NAMES, broken_reports, corrected, leftovers, run_toy, studies, token_of

KINDS = ("ENOSPC", "EACCES", "EIO", "half")
_CALLS = ("replace", "rename", "mkdir")


class Refusal:
    """Counts what a batch writes below a folder and refuses one of it."""

    def __init__(self, out: Path, number: int, kind: str):
        self.out, self.number, self.kind = str(out), number, kind
        self.count, self.refused = 0, ""

    def due(self, path: object, what: str) -> bool:
        """Whether this write is the one to refuse."""
        if not str(path).startswith(self.out):
            return False
        self.count += 1
        if self.count == self.number:
            self.refused = f"{what} {Path(str(path)).name}"
        return self.count == self.number

    def error(self, path: object) -> OSError:
        """What the system would say."""
        code = getattr(errno, self.kind, errno.ENOSPC)
        return OSError(code, os.strerror(code), str(path))

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Writes go through this object."""
        with contextlib.ExitStack() as stack:
            for name in _CALLS:
                stack.enter_context(mock.patch.object(os, name, self._call(getattr(os, name), name)))
            stack.enter_context(mock.patch.object(io, "open", self._open(io.open)))
            stack.enter_context(mock.patch("builtins.open", self._open(open)))
            yield

    def _call(self, real, name: str):
        def call(path, *more, **named):
            if self.kind != "half" and self.due(path, name):
                raise self.error(path)
            return real(path, *more, **named)

        return call

    def _open(self, real):
        def opened(path, mode="r", *more, **named):
            writes = set(mode) & set("wxa") and not isinstance(path, int)
            if writes and self.due(path, "open"):
                if self.kind == "half":
                    return _Full(real(path, mode, *more, **named), self.error(path))
                raise self.error(path)
            return real(path, mode, *more, **named)

        return opened


class _Full:
    """A file on a disk that fills up: half of what is written arrives."""

    def __init__(self, file, error: OSError):
        self.file, self.error = file, error

    def write(self, content) -> int:
        """Half of it, then the error."""
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        raise self.error

    def __getattr__(self, name: str):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def refusals(kind: str, step: int) -> tuple[int, list[str]]:
    """Refuse every `step`-th write in turn, from the first until a run needs no more writes; how many, and what went wrong."""
    wrong, tried, number = [], 0, 1
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch) / "study", Path(scratch) / "reports"
        params = studies(folder)
        run_toy(params, out)
        while True:
            corrected(folder, number)
            refusal = Refusal(out, number, kind)
            with refusal.in_force():
                code, said = run_toy(params, out)
            if not refusal.refused:
                return tried, wrong
            tried += 1
            wrong += _after(f"{kind} at {refusal.refused} ({number})", code, said, out)
            code, said = run_toy(params, out)
            found = {token_of(out / name) for name in NAMES}
            if code or found != {f"1{number:05d}.5"} or leftovers(out):
                wrong.append(
                    f"{kind} at {refusal.refused} ({number}): the next run: {code}, {found}, {leftovers(out)}, {said[-200:]}"
                )
            number += step


def _after(where: str, code: int, said: str, out: Path) -> list[str]:
    wrong = [f"{where}: {what}" for what in broken_reports(out, before=True)]
    if code and not said.strip():
        wrong.append(f"{where}: exit code {code} without a word")
    if "Traceback" in said:
        wrong.append(f"{where}: a traceback")
    return wrong


def clocks() -> list[str]:
    """Time that steps back or ahead, and files dated in the future, change no decision."""
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch) / "study", Path(scratch) / "reports"
        params = studies(folder)
        run_toy(params, out)
        real = time.time
        for step in (-(10**8), 10**8):
            for path in [*folder.rglob("*"), *out.rglob("*")]:
                os.utime(path, (real() + step,) * 2)
            with mock.patch.object(time, "time", lambda step=step: real() + step):
                code, said = run_toy(params, out)
            if code or "up to date: 3 of 3" not in said:
                wrong.append(f"clock moved by {step} s: unchanged studies ran again: {said[-300:]}")
            corrected(folder, abs(step) % 97)
            os.utime(folder / "data" / "survey.csv", (1, 1))  # older than every report
            with mock.patch.object(time, "time", lambda step=step: real() - step):
                code, said = run_toy(params, out)
            if code or {token_of(out / name) for name in NAMES} != {f"1{abs(step) % 97:05d}.5"}:
                wrong.append(f"clock moved by {-step} s: a change was not seen: {said[-300:]}")
            corrected(folder, 0)
            run_toy(params, out)
    return wrong


def _batch(params: list[Path], out: Path, queue) -> None:
    queue.put(run_toy(params, out, force=True))


def two_at_once(times: int) -> list[str]:
    """Two batches start on one folder: each ends with code 0, or says that another one writes there; the reports are whole."""
    wrong, fork = [], multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch) / "study", Path(scratch) / "reports"
        params = studies(folder)
        run_toy(params, out)
        for number in range(times):
            queue = fork.Queue()
            pair = [fork.Process(target=_batch, args=(params, out, queue)) for _ in range(2)]
            for one in pair:
                one.start()
            ended = [queue.get(timeout=120) for _ in pair]
            for one in pair:
                one.join()
            refused = [said for code, said in ended if code]
            wrong += [f"pair {number}: {what}" for what in (*broken_reports(out, before=True), *leftovers(out))]
            wrong += [f"pair {number}: both were refused"] * (len(refused) == 2)
            wrong += [f"pair {number}: {said[-200:]}" for said in refused if "writes" not in said and "batch" not in said]
    return wrong


def main() -> int:
    """Refuse, look, run again; 1 when something was half, lost or without a word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=1, help="every so many-th write is refused")
    parser.add_argument("--pairs", type=int, default=10)
    chosen = parser.parse_args()
    wrong = []
    for kind in KINDS:
        tried, found = refusals(kind, chosen.step)
        print(f"{kind}: {tried} writes refused, one a run: {len(found)} faults", flush=True)
        wrong += found
    for what, found in (("clocks", clocks()), (f"{chosen.pairs} pairs of batches at once", two_at_once(chosen.pairs))):
        print(f"{what}: {len(found)} faults")
        wrong += found
    print("\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
