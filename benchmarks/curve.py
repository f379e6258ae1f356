"""Speed of the specification curve: writes its section of docs/speed-did.md: `python benchmarks/curve.py`."""

from __future__ import annotations

import os
import re
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import pandas as pd

from pipeval import Panel, read_study, stages
from pipeval.robustness.curve import specification_curve
from pipeval.study.specs import Study

ROOT = Path(__file__).resolve().parents[1]
ROWS = 500  # at least
APART = 0.01  # how much faster, in logs a year, prices rise from one branch to the next under the second deflator
PAGE, HEADING = ROOT / "docs" / "speed-did.md", "## Specification curve"
TARGET = 60.0


def seconds(run, *arguments, **options) -> tuple[float, float, pd.DataFrame]:
    """CPU seconds of this process, seconds on the clock, and what was found."""
    cpu, clock = time.process_time(), time.perf_counter()
    found = run(*arguments, **options)
    return time.process_time() - cpu, time.perf_counter() - clock, found


def by_branch(panel: Panel, study: Study) -> dict[str, pd.Series]:
    """The first outcome under a second, made deflator that differs by branch: every choice of the curve is met under both."""
    own = panel.outcomes[study.outcomes[0].id]
    branch = pd.factorize(panel.firms["branch"].reindex(own.index.get_level_values("firm_id")), sort=True)[0]
    return {"by_branch": own - APART * branch * (own.index.get_level_values("period") - study.money.base_year)}


def main() -> None:
    warnings.simplefilter("ignore")
    study = read_study(ROOT / "params" / "guanajuato_final.yaml")
    data = stages.proved_data(study)
    group = stages.control_group(data, stages.baseline(data, study), study)
    job = group["panel"], group["sample"], study, study.outcomes[0], by_branch(group["panel"], study)
    alone = min((seconds(specification_curve, *job) for _ in range(2)), key=lambda run: run[0])
    with ProcessPoolExecutor(2) as pool:
        seconds(specification_curve, *job, executor=pool)  # the workers import the package
        both = min((seconds(specification_curve, *job, executor=pool) for _ in range(2)), key=lambda run: run[1])
    again = seconds(specification_curve, *job, known=alone[2])
    pd.testing.assert_frame_equal(alone[2], both[2])
    rows = len(alone[2])
    if rows < ROWS:
        raise SystemExit(f"the curve must have at least {ROWS} rows to be measured against its target; it has {rows}")
    firms, kept = len(group["panel"].firms), "kept" if both[1] <= TARGET else "**missed**"
    text = (
        f"{HEADING}\n\n{rows} rows for one outcome of the sample programme ({firms} firms, six years), under its own deflator and "
        f"under a second one\nthat differs by branch, made for this measurement: {alone[0]:.1f} CPU seconds in one process; "
        f"**{both[1]:.1f} s on the clock with two\nprocesses** on two cores (target for {ROWS} rows ≤ {TARGET:g} s: {kept}), "
        f"equal to the last digit; {again[0]:.2f} s when all rows\nare known from an earlier curve.\n"
    )
    page = PAGE.read_text(encoding="utf-8")
    page = re.sub(rf"\n{HEADING}\n.*?(?=\n## |\Z)", "", page, flags=re.S).rstrip() + "\n\n" + text
    PAGE.write_text(page, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
