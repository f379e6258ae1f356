"""A batch killed at random instants (SIGKILL): after each kill every report is old or new, never half, and a second run ends well.

Run from the repository root: `python benchmarks/hardening/kill.py --kills 200 --seed 1`, and with `--real 10` as many kills
of a batch that executes the notebook. Needs a system with fork.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from small_study import base_files, written
from toy_batch import NAMES, broken_reports, corrected, leftovers, run_toy, studies, token_of


def killed_after(seconds: float, action) -> bool:
    """Fork, let the child do `action`, kill it after so many seconds; whether it was still running then."""
    child = os.fork()
    if child == 0:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            action()
        os._exit(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def toys(kills: int, seed: int) -> list[str]:
    """Kill a batch of toy notebooks at instants spread over its whole run; what went wrong."""
    rng, wrong, killed, tried = random.Random(seed), [], 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder, out = Path(scratch) / "study", Path(scratch) / "reports"
        params = studies(folder)
        run_toy(params, out)  # imports and caches, so that the second run tells how long one takes
        corrected(folder, 0)
        started = time.monotonic()
        wrong += [] if run_toy(params, out)[0] == 0 else ["the first run failed"]
        whole = time.monotonic() - started
        while killed < kills:
            tried += 1
            corrected(folder, tried)
            cut = killed_after(rng.uniform(0, 1.05 * whole), lambda: run_toy(params, out))
            killed += cut
            wrong += [f"kill {tried}: {what}" for what in broken_reports(out, before=True)]
            if tried % 3 == 0 or not cut:  # two kills in a row are harder to mend than one
                code, said = run_toy(params, out)
                found = [token_of(out / name) for name in NAMES]
                wrong += [f"kill {tried}: the next run ended with {code}: {said[-300:]}"] * (code != 0)
                wrong += [f"kill {tried}: the next run gave {found}"] * (set(found) != {f"1{tried:05d}.5"})
                wrong += [f"kill {tried}: left behind: {name}" for name in leftovers(out)]
    print(f"toy notebooks: {killed} kills of {tried} runs of {whole:.2f} s, seed {seed}: {len(wrong)} faults")
    return wrong


def real(kills: int, seed: int) -> list[str]:
    """Kill a batch that executes the notebook; no process of it may stay behind."""
    import psutil

    rng, wrong = random.Random(seed), []
    with tempfile.TemporaryDirectory() as scratch:
        params, out = written(base_files(), Path(scratch) / "study"), Path(scratch) / "reports"
        command = [sys.executable, "-m", "pipeval", "run", str(params), "--out", str(out)]
        started = time.monotonic()
        first = subprocess.run([*command, "--force"], capture_output=True, text=True, check=False)
        whole = time.monotonic() - started
        wrong += [f"the first run failed: {first.stderr[-500:]}"] * (first.returncode != 0)
        for number in range(kills):
            batch = subprocess.Popen([*command, "--force"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.1, 1.0) * whole)
            family = psutil.Process(batch.pid).children(recursive=True) if batch.poll() is None else []
            batch.kill()
            batch.wait()
            alive = psutil.wait_procs(family, timeout=10)[1]
            wrong += [f"real kill {number}: {len(alive)} process(es) stayed behind"] * bool(alive)
            wrong += [f"real kill {number}: no report"] * (not any((p / "results.json").is_file() for p in _places(out)))
        last = subprocess.run(command, capture_output=True, text=True, check=False)
        wrong += [f"the last run failed: {last.stderr[-500:]}"] * (last.returncode != 0)
        wrong += [f"left behind: {p}" for place in ("work", "old") for p in (out / ".pipeval" / place).glob("*")]
    print(f"the real notebook: {kills} kills of runs of {whole:.0f} s, seed {seed}: {len(wrong)} faults")
    return wrong


def _places(out: Path) -> list[Path]:
    return [out / "small", out / ".pipeval" / "old" / "small"]


def main() -> int:
    """Kill, look, run again; 1 when something was half, lost or left behind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--real", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    wrong = toys(chosen.kills, chosen.seed) + (real(chosen.real, chosen.seed) if chosen.real else [])
    print("\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
