"""Speed of difference-in-differences beside other packages: makes docs/speed-did.md.

    python benchmarks/did.py [--peers PYTHON] [--only TEXT] [--limit SECONDS] [--memory GB] [--repeats N]

`--peers` is an interpreter that has diff-diff, csdid, differences, moderndid and pyfixest; one it lacks is a row that says so. `--only`
prints the cases whose name holds the text and leaves the page alone. Unix.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from matching import _machine

ROOT = Path(__file__).resolve().parents[1]
ONCE = 3.0  # seconds from which a peer is measured once
TITLES = {
    "att_gt": "ATT(g,t), doubly robust: 10 years, 5 cohorts, 2 covariates, not yet treated, four summaries with bands of 999 draws",
    "imputation": "Imputation: the same panel without covariates, four summaries",
    "poisson": "Poisson: counts, the overall effect in cohort-time form",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One job at one number of firms; targets in CPU seconds and megabytes."""

    job: str
    n: int
    peers: tuple[str, ...] = ()
    target: float | None = None
    megabytes: float | None = None


ALL = ("diff-diff", "csdid", "differences", "moderndid")
CASES = (
    *(Case("att_gt", n, ALL) for n in (1_000, 10_000)),
    Case("att_gt", 100_000, ALL, 4.0, 600),
    Case("att_gt", 1_000_000),
    *(Case("imputation", n, ("diff-diff",)) for n in (1_000, 10_000)),
    Case("imputation", 100_000, ("diff-diff",), 4.0),
    *(Case("poisson", n, ("pyfixest", "diff-diff")) for n in (1_000, 10_000)),
    Case("poisson", 100_000, ("pyfixest", "diff-diff"), 4.0),
)


def measured(case: Case, package: str, options: argparse.Namespace) -> dict:
    """One process: its CPU seconds, peak memory, estimate and version, or why it failed."""
    asked = {"job": case.job, "n": case.n, "package": package, "memory": options.memory}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
    ours = package == "pipeval"
    # source first for this package, nothing of it for the others
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | threads
    if ours:
        environment["PYTHONPATH"] = str(ROOT / "src")
    command = [sys.executable if ours else options.peers, str(ROOT / "benchmarks" / "did_case.py"), json.dumps(asked)]
    cpu = int(options.limit) + 20  # the data are made, and a package is imported, in the same process
    limit = partial(resource.setrlimit, resource.RLIMIT_CPU, (cpu, cpu))
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, preexec_fn=limit, timeout=4 * cpu)
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {options.limit:g} s"}
    if done.returncode < 0 or not done.stdout.strip():
        why = done.stderr.strip().splitlines()[-1:]
        return {"failed": f"more than {options.limit:g} s" if done.returncode < 0 else f"failed: {' '.join(why)[:80]}"}
    row = json.loads(done.stdout.strip().splitlines()[-1])
    return row if row.get("seconds", 0) <= options.limit else {"failed": f"more than {options.limit:g} s"}


def repeated(case: Case, package: str, options: argparse.Namespace) -> dict:
    """The least CPU seconds of several processes; a slow peer runs once."""
    runs = [measured(case, package, options)]
    while "seconds" in runs[-1] and len(runs) < options.repeats and (package == "pipeval" or runs[0]["seconds"] < ONCE):
        runs.append(measured(case, package, options))
    if "failed" in runs[-1]:
        return runs[-1]
    return min(runs, key=lambda run: run["seconds"]) | {"megabytes": max(run["megabytes"] for run in runs)}


def compared(case: Case, options: argparse.Namespace, hopeless: dict[tuple[str, str], int]) -> list[dict]:
    """One row a package, ours first. A peer that failed at a smaller size is not asked again."""
    rows = [{"package": "pipeval"} | repeated(case, "pipeval", options)]
    for package in case.peers:
        if (case.job, package) in hopeless:
            rows.append({"package": package, "failed": f"not asked: failed on {hopeless[case.job, package]:,}"})
            continue
        row = repeated(case, package, options)
        if "seconds" in row and "seconds" in rows[0]:
            row["ratio"] = row["seconds"] / rows[0]["seconds"]
        elif "failed" in row and "not installed" not in row["failed"]:
            hopeless[case.job, package] = case.n
        rows.append({"package": package} | row)
    return rows


def cells(case: Case, row: dict) -> list[str]:
    """One line of the page."""
    start = [f"{case.n:,}" if row["package"] == "pipeval" else "", row["package"]]
    if "failed" in row:
        return [*start, row["failed"], "", "", "", ""]
    target = ""
    if row["package"] == "pipeval" and case.target:
        kept = row["seconds"] <= case.target and row["megabytes"] <= (case.megabytes or np.inf)
        words = f"≤ {case.target:g} s" + (f", ≤ {case.megabytes:g} MB" if case.megabytes else "")
        target = words + (": kept" if kept else ": **missed**")
    ratio = f"{row['ratio']:,.1f} ×" if "ratio" in row else ""
    found = f"{row['estimate']:.5f} ({row['std_error']:.5f})"
    return [*start, f"{row['seconds']:.3g}", f"{row['megabytes']:,.0f} ({row['data']:,.0f})", ratio, found, target]


HEAD = """# Speed of difference-in-differences

Made by `python benchmarks/did.py` on {day}: {machine}, {cores} cores, Python {python}, numpy {numpy}, scipy {scipy}, pandas
{pandas}; one thread a process. Versions of the others: {versions}.

CPU seconds of the whole public call from a long data frame; for `pipeval` that is `Panel.from_frame`, the cells, the summaries and
their bands. Imports and the making of the data are not in the seconds. Every number is the least of up to {repeats} processes,
because the machine was shared with other work, which slows even CPU seconds; a peer that takes more than {once:g} s ran once. MB is
the peak of the whole process, in brackets what it was before the call, with Python, numpy, pandas and the made frame. A ratio is a
peer's seconds over ours **in the same run**. Peers had {limit:g} s and {memory:g} GB; one that failed at a size is not asked again.

The column "overall" is the estimate (standard error): the same where the estimand is, as for `att_gt` and imputation. pyfixest's
Poisson has firm and year effects and one dummy; diff-diff's has a dummy for every cohort and year.
"""


def page(results: list[tuple[Case, list[dict]]], options: argparse.Namespace) -> str:
    versions = {r["package"]: r["version"] for _, rows in results for r in rows if "version" in r and r["package"] != "pipeval"}
    head = HEAD.format(
        day=date.today().isoformat(),
        machine=_machine(),
        cores=os.cpu_count(),
        python=platform.python_version(),
        numpy=np.__version__,
        scipy=version("scipy"),
        pandas=pd.__version__,
        versions=", ".join(f"{name} {number}" for name, number in versions.items()) or "none was found",
        repeats=options.repeats,
        once=ONCE,
        limit=options.limit,
        memory=options.memory,
    )
    parts = [head]
    for job, title in TITLES.items():
        lines = [cells(case, row) for case, rows in results if case.job == job for row in rows]
        if lines:
            names = ["firms", "package", "CPU s", "MB (before)", "ratio", "overall", "target"]
            rows = [names, ["---:", "---", "---:", "---:", "---:", "---", "---"], *lines]
            parts += [f"## {title}\n", "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--only", default="", help="cases whose job holds this text; printed, and the page left alone")
    parser.add_argument("--limit", type=float, default=60.0, help="CPU seconds a call may take")
    parser.add_argument("--memory", type=float, default=8.0, help="GB a process may ask for")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    results, hopeless = [], {}
    for case in (case for case in CASES if options.only in case.job):
        results.append((case, compared(case, options, hopeless)))
        for row in results[-1][1]:
            print(case.job, case.n, {name: value for name, value in row.items() if name != "version"}, flush=True)
        if not options.only:  # a run that is cut short leaves what it measured
            (ROOT / "docs" / "speed-did.md").write_text(page(results, options), encoding="utf-8")
    if options.only:
        print(page(results, options))


if __name__ == "__main__":
    main()
