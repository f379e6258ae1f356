"""Speed of matching beside other packages: makes docs/speed.md.

    python benchmarks/matching.py [--peers PYTHON] [--only TEXT] [--limit SECONDS] [--memory GB] [--repeats N]

`--peers` is an interpreter that has pymatchit-causal, psmpy, causalml and scikit-learn; one it lacks is a row that says so.
R's MatchIt runs where `Rscript` is on the path. `--only` prints the cases whose name holds the text and leaves the page
alone. Unix.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from matching_case import covariates, firms, whitened

ROOT = Path(__file__).resolve().parents[1]
SMALL, MIDDLE, LARGE = (1_000, 10_000), (10_000, 100_000), (50_000, 1_000_000)
PYTHON, R = "pymatchit-causal", "matchit"
ALL = (PYTHON, "psmpy", "causalml", R)
ONCE = 3.0  # seconds from which a peer is measured once
NAMES = {R: "R MatchIt"}
TITLES = {
    "ps": "Propensity score, 1:1 without replacement, caliper .2 sd",
    "exact": "The same within sector × region (20 cells)",
    "mahalanobis": "Mahalanobis, 7 covariates, 1:1 with replacement",
    "optimal": "Optimal pairs on the score",
    "optimal_caliper": "Optimal pairs on the score, caliper .2 sd",
    "poor": "Poor overlap: the score, without replacement, no caliper, largest first",
    "full": "Full matching on the score",
    "ebal": "Entropy balancing, 28 moments",
    "balance": "Balance table of a matched sample, 20 covariates, before and after",
    "balance_all": "Balance table, 20 covariates, a weight for every firm",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One job at one size; the target is CPU seconds, or a multiple of the first case of that size."""

    job: str
    size: tuple[int, int]
    peers: tuple[str, ...] = ()
    target: float | None = None
    megabytes: float | None = None
    times: float | None = None


CASES = (
    *(Case("ps", size, ALL) for size in (SMALL, MIDDLE)),
    Case("ps", LARGE, ALL, 2.0, 1000),
    *(Case("exact", size, (PYTHON, R)) for size in (SMALL, MIDDLE)),
    Case("exact", LARGE, (PYTHON, R), times=1.5),
    *(Case("mahalanobis", size, ("scikit-learn", PYTHON, R)) for size in (SMALL, MIDDLE)),
    Case("mahalanobis", LARGE, ("scikit-learn", PYTHON, R), 6.0),
    *(Case("optimal", size, (PYTHON, R)) for size in (SMALL, MIDDLE)),
    Case("optimal", LARGE, (PYTHON, R), 6.0),
    Case("optimal_caliper", LARGE, (), 6.0),
    Case("poor", (1_000, 2_000), ALL),
    Case("poor", (10_000, 20_000), (PYTHON, R)),
    Case("poor", (100_000, 200_000), (PYTHON, R), 2.0),
    Case("full", SMALL, (PYTHON, R)),
    Case("full", (10_000, 40_000), (PYTHON, R)),
    Case("ebal", MIDDLE),
    *(Case("balance", size, (PYTHON, R)) for size in (SMALL, MIDDLE)),
    Case("balance", LARGE, (PYTHON, R), 3.0),
    Case("balance_all", MIDDLE, (PYTHON,)),
    Case("balance_all", LARGE, (PYTHON,), 3.0),
)


def measured(case: Case, package: str, options: argparse.Namespace, folder: Path) -> dict:
    """One process: its CPU seconds, peak memory and version, or why it failed."""
    given, found = (folder / f"{case.job}_{case.size[0]}_{name}.npz" for name in ("pipeval", package))
    ours = package == "pipeval"
    asked = {"job": case.job, "n1": case.size[0], "n0": case.size[1], "package": package, "memory": options.memory}
    asked |= {"given": str(given), "found": str(found)}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    # source first for this package, nothing of it for the others
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | threads
    if ours:
        environment["PYTHONPATH"] = str(ROOT / "src")
    command = [sys.executable if ours else options.peers, str(ROOT / "benchmarks" / "matching_case.py"), json.dumps(asked)]
    cpu = int(options.limit) + 20  # the data are made, and a package is imported, in the same process
    limit = partial(resource.setrlimit, resource.RLIMIT_CPU, (cpu, cpu))
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, preexec_fn=limit, timeout=4 * cpu, cwd=folder
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"more than {options.limit:g} s"}
    if done.returncode < 0 or not done.stdout.strip():
        why = done.stderr.strip().splitlines()[-1:]
        killed = done.returncode < 0
        return {"failed": f"more than {options.limit:g} s" if killed else f"failed: {' '.join(why)[:80]}"}
    row = json.loads(done.stdout.strip().splitlines()[-1])
    return row if row.get("seconds", 0) <= options.limit else {"failed": f"more than {options.limit:g} s"}


def repeated(case: Case, package: str, options: argparse.Namespace, folder: Path) -> dict:
    """The least and the median CPU seconds of several processes; a slow peer runs once."""
    runs = [measured(case, package, options, folder)]
    while "seconds" in runs[-1] and len(runs) < options.repeats and (package == "pipeval" or runs[0]["seconds"] < ONCE):
        runs.append(measured(case, package, options, folder))
    if "failed" in runs[-1]:
        return runs[-1]
    seconds = [run["seconds"] for run in runs]
    return runs[-1] | {"seconds": min(seconds), "median": median(seconds), "megabytes": max(run["megabytes"] for run in runs)}


def same_job(case: Case, package: str, folder: Path) -> str:
    """What was found beside what we found, measured with one ruler."""
    ours, theirs = (np.load(folder / f"{case.job}_{case.size[0]}_{name}.npz") for name in ("pipeval", package))
    if "smd" in theirs:
        return f"largest difference of an smd {np.abs(theirs['smd'] - ours['smd']).max():.0e}"
    if "number" in theirs:
        (n, mean), (own, own_mean) = (_star_distance(found["number"], ours["axis"]) for found in (theirs, ours))
        return f"{n:,} sets (ours {own:,}), mean distance {mean:.3g} (ours {own_mean:.3g})"
    if case.job == "mahalanobis":
        table = firms(case.job, *case.size)
        points = whitened(table[covariates(table)].to_numpy(), table["treat"].to_numpy() == 1)
    else:
        points = ours["axis"][:, None]
    mean, own_mean = (
        np.sqrt(((points[found["pairs"][:, 0]] - points[found["pairs"][:, 1]]) ** 2).sum(axis=1)).mean() for found in (theirs, ours)
    )
    same = len(set(map(tuple, theirs["pairs"].tolist())) & set(map(tuple, ours["pairs"].tolist()))) / len(ours["pairs"])
    pairs = f"{len(theirs['pairs']):,} pairs" + (
        "" if len(theirs["pairs"]) == len(ours["pairs"]) else f" (ours {len(ours['pairs']):,})"
    )
    return f"{pairs}, {same:.1%} the same, mean distance {mean:.3g} (ours {own_mean:.3g})"


def _star_distance(number: np.ndarray, axis: np.ndarray) -> tuple[int, float]:
    """How many sets, and the mean distance of their firms from the one that stands alone in its arm."""
    inside = np.flatnonzero(number >= 0)
    inside = inside[np.argsort(number[inside], kind="stable")]
    sets = np.split(inside, np.flatnonzero(np.diff(number[inside])) + 1)
    treat = TREAT[0] == 1
    total = count = 0
    for rows in sets:
        arm = rows[treat[rows]] if treat[rows].sum() == 1 else rows[~treat[rows]]
        total += np.abs(axis[rows] - axis[arm[0]]).sum()
        count += len(rows) - 1
    return len(sets), total / count


TREAT: list[np.ndarray] = []
"""The arm of each row of the case in hand."""


def compared(case: Case, options: argparse.Namespace, folder: Path, hopeless: dict[tuple[str, str], str]) -> list[dict]:
    """One row a package, ours first. A peer that failed at a smaller size is not asked again."""
    own = repeated(case, "pipeval", options, folder)
    rows = [{"package": "pipeval"} | own]
    TREAT[:] = [firms(case.job, *case.size)["treat"].to_numpy()]
    for package in case.peers:
        if (case.job, package) in hopeless:
            rows.append({"package": package, "failed": f"not asked: failed on {hopeless[case.job, package]}"})
            continue
        row = repeated(case, package, options, folder)
        if "seconds" in row and "seconds" in own:
            row |= {"ratio": row["seconds"] / own["seconds"], "same": same_job(case, package, folder)}
        elif "failed" in row and "not installed" not in row["failed"]:
            hopeless[case.job, package] = "{:,} / {:,}".format(*case.size)
        rows.append({"package": package} | row)
    return rows


def cells(case: Case, row: dict, base: float | None) -> list[str]:
    """One line of the page."""
    start = ["{:,} / {:,}".format(*case.size) if row["package"] == "pipeval" else "", NAMES.get(row["package"], row["package"])]
    if "failed" in row:
        return [*start, row["failed"], "", "", "", ""]
    target = ""
    if row["package"] == "pipeval" and (case.target or (case.times and base)):
        bound = case.target or case.times * base
        kept = row["seconds"] <= bound and row["megabytes"] <= (case.megabytes or np.inf)
        words = f"≤ {case.target:g} s" if case.target else f"≤ {case.times:g} × the first table's"
        target = words + (f", < {case.megabytes / 1000:g} GB" if case.megabytes else "") + (": kept" if kept else ": **missed**")
    ratio = f"{row['ratio']:,.1f} ×" if "ratio" in row else ""
    seconds = f"{row['seconds']:.3g}" + (f" ({row['median']:.3g})" if "median" in row else "")
    return [*start, seconds, f"{row['megabytes']:,.0f}", ratio, row.get("same", ""), target]


HEAD = """# Speed of matching

Made by `python benchmarks/matching.py` on {day}: {machine}, {cores} cores, Python {python}, numpy {numpy}, scipy {scipy},
pandas {pandas}; one thread a process. Versions of the others: {versions}.

CPU seconds of the whole public call: for `pipeval` from a data frame with text ids to the `MatchedSample`, the propensity model
included. Every number is the least of up to {repeats} processes, in brackets their median, because the machine was shared with
other work, which slows even CPU seconds; a peer that takes more than {once:g} s ran once. MB is the peak of the whole process:
Python, the imports and the made data are in it (about 200 MB before the first firm). A ratio is a peer's seconds over ours **in the
same run**. Peers had {limit:g} s and {memory:g} GB; one that failed at a size is not asked at a larger one.

Each peer does the same job on the same made firms; the column "same job" says how nearly. Where scores are fitted to another
tolerance, single pairs differ, and of optimal matchings with one total any is right: there the mean distance tells. scikit-learn
finds the neighbours alone: no score, no result object; pymatchit-causal's Mahalanobis distance has another covariance.
psmpy and causalml go by the order of rows, so they were handed the rows in the order in which firms choose (not timed); psmpy
penalises its score. Of pymatchit-causal's balance, means, variance ratios and Kolmogorov–Smirnov distances are in the time; it
has no clustered p-values, no eCDF means and no effective sizes.

Nothing of size treated × control is ever held: one such array would take {square:,.0f} GB at 50,000 / 1,000,000.
"""


def page(results: list[tuple[Case, list[dict]]], options: argparse.Namespace) -> str:
    versions = {NAMES.get(r["package"], r["package"]): r["version"] for _, rows in results for r in rows if "version" in r}
    versions.pop("pipeval", None)
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
        square=LARGE[0] * LARGE[1] * 8 / 1e9,
    )
    first = {case.size: rows[0].get("seconds") for case, rows in results if case.job == "ps"}
    parts = [head]
    for job, title in TITLES.items():
        lines = [cells(case, row, first.get(case.size)) for case, rows in results if case.job == job for row in rows]
        if lines:
            parts += [
                f"## {title}\n",
                table(["treated / controls", "package", "CPU s", "MB", "ratio", "same job", "target"], lines),
            ]
    return "\n".join(parts)


def table(names: list[str], lines: list[list[str]]) -> str:
    rows = [names, ["---", "---", "---:", "---:", "---:", "---", "---"], *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _machine() -> str:
    try:
        named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        return named[0].split(":")[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--only", default="", help="cases whose job holds this text; printed, and the page left alone")
    parser.add_argument("--limit", type=float, default=120.0, help="CPU seconds a call may take")
    parser.add_argument("--memory", type=float, default=8.0, help="GB a process may ask for")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    results, hopeless = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for case in (case for case in CASES if options.only in case.job):
            results.append((case, compared(case, options, Path(folder), hopeless)))
            for row in results[-1][1]:
                print(case.job, *case.size, {name: value for name, value in row.items() if name != "version"}, flush=True)
            if not options.only:  # a run that is cut short leaves what it measured
                (ROOT / "docs" / "speed.md").write_text(page(results, options), encoding="utf-8")
    if options.only:
        print(page(results, options))


if __name__ == "__main__":
    main()
