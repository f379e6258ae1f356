"""Speed of the specification curve: adds its section to docs/speed-did.md, after benchmarks/did.py: `python benchmarks/curve.py`."""

from __future__ import annotations

import os
import re
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import pandas as pd

from pipeval import read_study, stages
from pipeval.robustness.curve import specification_curve

ROOT = Path(__file__).resolve().parents[1]
PAGE, HEADING = ROOT / "docs" / "speed-did.md", "## Specification curve"
TARGET = 60.0


def seconds(run, *arguments, **options) -> tuple[float, float, pd.DataFrame]:
    """CPU seconds of this process, seconds on the clock, and what was found."""
    cpu, clock = time.process_time(), time.perf_counter()
    found = run(*arguments, **options)
    return time.process_time() - cpu, time.perf_counter() - clock, found


def main() -> None:
    warnings.simplefilter("ignore")
    study = read_study(ROOT / "params" / "guanajuato_final.yaml")
    data = stages.proved_data(study)
    group = stages.control_group(data, stages.baseline(data, study), study)
    job = group["panel"], group["sample"], study, study.outcomes[0]
    alone = min((seconds(specification_curve, *job) for _ in range(2)), key=lambda run: run[0])
    with ProcessPoolExecutor(2) as pool:
        seconds(specification_curve, *job, executor=pool)  # the workers import the package
        both = min((seconds(specification_curve, *job, executor=pool) for _ in range(2)), key=lambda run: run[1])
    again = seconds(specification_curve, *job, known=alone[2])
    pd.testing.assert_frame_equal(alone[2], both[2])
    rows = len(alone[2])
    for_500 = 500 * both[1] / rows
    firms, kept = len(group["panel"].firms), "kept" if for_500 <= TARGET else "**missed**"
    text = (
        f"{HEADING}\n\n{rows} rows for one outcome of the sample programme ({firms} firms, six years): {alone[0]:.1f} CPU seconds in one "
        f"process,\n{both[1]:.1f} s on the clock with two workers, equal to the last digit; {again[0]:.2f} s when all rows are known from "
        f"an earlier\ncurve. For 500 rows that is {for_500:.1f} s on two cores (target ≤ {TARGET:g} s: {kept}).\n"
    )
    page = PAGE.read_text(encoding="utf-8")
    page = re.sub(rf"\n{HEADING}\n.*?(?=\n## |\Z)", "", page, flags=re.S).rstrip() + "\n\n" + text
    PAGE.write_text(page, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
