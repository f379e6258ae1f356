"""Planted errors found: makes docs/planted-errors.md. Run from the repository root: `python benchmarks/planted_errors.py`."""

from __future__ import annotations

import runpy
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
SEEDS = 200
CLEAN = 20

HEAD = """# Planted errors found

Made by `python benchmarks/planted_errors.py`, with the counting that the slow tests assert. {seeds} made programmes of {firms} firms carry the errors of
the answer key (`data/sample/planted_errors.csv` in the shipped one); every one is a query, none blocks.

| kind | planted | found |
|---|---|---|
"""


def part(seed: int):
    """One programme: whether each planted error is found, and how many firms are questioned without cause."""
    return runpy.run_path(str(ROOT / "tests" / "test_check.py"))["hits"](seed)


def clean(seed: int) -> float:
    """Firms questioned per firm in a programme without planted errors."""
    return runpy.run_path(str(ROOT / "tests" / "test_check.py"))["false_flags"]([seed])


def main() -> None:
    firms = runpy.run_path(str(ROOT / "tests" / "test_check.py"))["FIRMS"]
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(part, range(SEEDS), chunksize=10))
        flags = list(pool.map(clean, range(SEEDS, SEEDS + CLEAN)))
    table = pd.concat([hit for hit, _ in found]).groupby(level=0).agg(["size", "mean"])
    alarms = sum(n for _, n in found) / (firms * SEEDS)
    lines = [f"| {kind} | {row['size']:,.0f} | {row['mean']:.1%} |" for kind, row in table.iterrows()]
    tail = f"\n\nFirms questioned without cause: {alarms:.3%} of firms beside planted errors, {sum(flags) / CLEAN:.3%} in {CLEAN} clean programmes.\n"
    (ROOT / "docs" / "planted-errors.md").write_text(HEAD.format(seeds=SEEDS, firms=firms) + "\n".join(lines) + tail, encoding="utf-8")


if __name__ == "__main__":
    main()
