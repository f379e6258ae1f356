"""A batch of forty studies beside the sum of its analyses; then again with nothing changed (Unix).

    python benchmarks/batch.py [--studies 40] [--jobs 2] [--sample 6]

A made programme of 400 firms and one params file with a sweep: branches × log frames × years of reference × languages. The analyses
are what the batch cannot save: `evaluate`, `save` and `render` in one process that has everything imported, timed for a sample
of the studies spread over the sweep, while another process does the same, as in the batch. The overhead is what the batch takes of
`--jobs` cores beyond their sum: processes, kernels, imports, hashing, publishing, pages. Peak memory is that of the batch's own
process, whose children do the work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from pipeval.data.sample import Knobs, sample_programme, write

ROOT = Path(__file__).resolve().parents[1]
ANALYSES = """
import json, sys, time, warnings
from pathlib import Path
from pipeval import evaluate, read_study, render, save
warnings.simplefilter("ignore")
folder, seconds = Path(sys.argv[1]), []
for number, params in enumerate(["warm", *sys.argv[2:]]):
    study = read_study(sys.argv[2] if params == "warm" else params)
    start = time.perf_counter()
    render(save(evaluate(study), folder / str(number)))
    seconds += [] if params == "warm" else [time.perf_counter() - start]
print(json.dumps(seconds))
"""
BATCH = """
import resource, sys
from pipeval.cli import main
code = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
sys.exit(code)
"""


def programme(root: Path, studies: int) -> tuple[Path, list[str]]:
    """The made files and one params file of so many studies; their names as `read_study` takes them."""
    write(sample_programme(Knobs(n=400, planted_errors=0)), root / "data")
    shared = yaml.safe_load((ROOT / "params" / "guanajuato.yaml").read_text(encoding="utf-8"))
    shared.pop("plan_lock")
    shared |= {"study": "batch", "stage": "midterm", "as_of": "2005-03-31", "data": {"folder": "data"}}
    shared["match"] |= {"covariates": ["ln_workers", "ln_age", "exp_status_baseline"], "exact": ["size_class"]}  # in any one branch
    shared["did"]["covariates"] = ["ln_workers", "ln_age", "exp_status_baseline"]
    shared["sensitivity"] = {"permutations": 99, "simulations": 20}
    shared["sweep"] = {
        "branch": {
            "all": {},
            "clothes": {"treatment": {"branches": ["footwear", "leather"]}},
            "footwear": {"treatment": {"branches": ["footwear"]}},
            "shoes_pots": {"treatment": {"branches": ["footwear", "ceramics"]}},
            "leather_pots": {"treatment": {"branches": ["leather", "ceramics"]}},
        },
        "logframe": ["guanajuato", "dini"],
        "wave": {
            "early": {"as_of": "2005-03-31", "treatment": {"reference_year": 2004}},
            "late": {"as_of": "2006-03-31", "treatment": {"reference_year": 2005}},
        },
        "report.languages": [["es"], ["en"]],
    }
    path = root / "params" / "batch.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(shared, allow_unicode=True, sort_keys=False), encoding="utf-8")
    from pipeval.study.params import study_paths

    return path, study_paths(path)[:studies]


def alone(root: Path, names: list[str], jobs: int) -> float:
    """Mean seconds of an analysis, `jobs` processes at a time."""
    shares = [names[k::jobs] for k in range(jobs)]
    commands = [[sys.executable, "-c", ANALYSES, str(root / f"alone{k}"), *share] for k, share in enumerate(shares)]
    with ThreadPoolExecutor(jobs) as pool:
        done = list(pool.map(lambda command: subprocess.run(command, capture_output=True, text=True, check=True), commands))
    seconds = [value for one in done for value in json.loads(one.stdout.splitlines()[-1])]
    return sum(seconds) / len(seconds)


def batch(names: list[str], out: Path, jobs: int) -> tuple[float, int, int]:
    """Seconds of a batch, its peak memory in MB and its exit code."""
    start = time.perf_counter()
    command = [sys.executable, "-c", BATCH, "run", *names, "--out", str(out), "--jobs", str(jobs)]
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    print(done.stderr[-2000:], end="", file=sys.stderr)
    return seconds, int(done.stdout.rsplit("peak", 1)[1]), done.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sample", type=int, default=6)
    options = parser.parse_args()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        _, names = programme(root, options.studies)
        few = batch(names[: options.jobs], root / "few", options.jobs)
        each = alone(root, names[:: max(len(names) // options.sample, 1)][: options.sample], options.jobs)
        whole = batch(names, root / "reports", options.jobs)
        again = batch(names, root / "reports", options.jobs)
    took, sum_of = whole[0] * options.jobs, each * len(names)
    print(f"{len(names)} studies, {options.jobs} at a time: {whole[0]:.0f} s, exit code {whole[2]}")
    print(f"an analysis alone: {each:.1f} s; the batch took {took / sum_of - 1:+.0%} of the sum of the analyses more")
    print(f"again with nothing changed: {again[0]:.2f} s, exit code {again[2]}")
    print(f"memory of the batch's own process: {few[1]} MB with {options.jobs} studies, {whole[1]} MB with {len(names)}")


if __name__ == "__main__":
    main()
