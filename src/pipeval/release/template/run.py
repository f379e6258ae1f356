"""Make the report of this package again from its own files, and say whether the results are the same.

    python run.py            results, papers and the comparison
    python run.py --fast     results and the comparison, without the papers

Exit codes: 0 reproduced, 13 not reproduced, others as `pipeval` gives them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE, PARAMS, DATA, STUDY = "", "", "", ""
CLOSE = 1e-9
"""Two numbers are the same when they differ by less than this share of their size: sums depend on the processor that far."""


def main(argv: list[str] | None = None) -> int:
    """Make the report again beside the packaged one, compare, and return the exit code."""
    parser = argparse.ArgumentParser(description="Make the report again and compare its results with the packaged ones.")
    parser.add_argument("--out", type=Path, default=HERE / "made", help="folder of the new report (default: made)")
    parser.add_argument("--fast", action="store_true", help="leave the papers out")
    arguments = parser.parse_args(argv)
    for line in [*changed_files(HERE), *other_versions(HERE)]:
        print(f"note: {line}")
    made = arguments.out / STUDY
    code = make(made, papers=not arguments.fast)
    if code:
        return code
    old, new = (json.loads((folder / "results.json").read_text(encoding="utf-8")) for folder in (HERE / "reports" / STUDY, made))
    cells, moved = differences(old, new)
    for line in moved[:40]:
        print(f"differs: {line}")
    if moved:
        print(f"not reproduced: {len(moved):,} differences in {cells:,} cells; the new results lie in {made}")
        return 13
    print(f"reproduced: {len(old['tables'])} tables, {cells:,} cells the same; the new report lies in {made}")
    return 0


def make(made: Path, papers: bool = True) -> int:
    """Evaluate the packaged study and write its results, and papers, into a folder; 0, or the exit code of what failed."""
    # One thread, as when the report was made: the order of a sum decides its last digit. Before numpy is loaded.
    os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "Agg"})
    from pipeval import evaluate, read_study, render, save
    from pipeval.errors import PipevalError

    root = HERE / TREE
    try:
        study = read_study(f"{root / PARAMS}", root / DATA if DATA else None)
        folder = save(evaluate(study), made)
        if papers:
            render(folder, study.report.languages)
    except PipevalError as error:
        print(f"pipeval: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def changed_files(folder: Path) -> list[str]:
    """What the manifest says of files that are no longer as packaged, a line each."""
    lines = (folder / "manifest.sha256").read_text(encoding="utf-8").splitlines()
    found = []
    for digest, _, name in (line.partition("  ") for line in lines):
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            found.append(f"{name} is not as packaged")
    return found


def other_versions(folder: Path) -> list[str]:
    """The packages that are here in another version than the report was made with, a line each."""
    found = []
    for line in (folder / "requirements.txt").read_text(encoding="utf-8").splitlines():
        name, mark, wanted = line.partition("==")
        if not mark:
            continue
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            here = "not installed"
        if here != wanted:
            found.append(f"the report was made with {name} {wanted}; here: {here}")
    return found


def differences(old: dict, new: dict) -> tuple[int, list[str]]:
    """How many cells were compared, and a line for each that differs; where the results came from is left out."""
    cells, moved = 0, []
    for key in sorted(set(old["study"]) | set(new["study"])):
        if old["study"].get(key) != new["study"].get(key):
            moved.append(f"decision {key}: {old['study'].get(key)} -> {new['study'].get(key)}")
    for name in sorted(set(old["tables"]) | set(new["tables"])):
        if name not in old["tables"] or name not in new["tables"]:
            moved.append(f"table {name}: only in the {'packaged' if name in old['tables'] else 'new'} results")
            continue
        counted, lines = table_differences(name, old["tables"][name], new["tables"][name])
        cells, moved = cells + counted, moved + lines
    said = [sorted(json.dumps(note, sort_keys=True) for note in one["notes"]) for one in (old, new)]
    if len(said[0]) != len(said[1]) or not all(_same_note(a, b) for a, b in zip(*said)):
        moved.append(f"notes: {len(said[0])} -> {len(said[1])}, or other words")
    return cells, moved


def table_differences(name: str, old: dict, new: dict) -> tuple[int, list[str]]:
    """The same for one table: its columns, its rows in their order, its cells."""
    if old["columns"] != new["columns"] or len(old["rows"]) != len(new["rows"]):
        shapes = [f"{len(one['rows'])} x {len(one['columns'])}" for one in (old, new)]
        return 0, [f"table {name}: {shapes[0]} -> {shapes[1]} rows x columns"]
    moved = []
    for row, (before, after) in enumerate(zip(old["rows"], new["rows"]), start=1):
        for column, a, b in zip(old["columns"], before, after):
            if not same(a, b):
                moved.append(f"table {name}, row {row}, {column}: {a} -> {b}")
    return len(old["columns"]) * len(old["rows"]), moved


def same(a: object, b: object) -> bool:
    """Whether two values are equal, numbers up to `CLOSE` of their size."""
    numbers = [isinstance(one, int | float) and not isinstance(one, bool) for one in (a, b)]
    return math.isclose(a, b, rel_tol=CLOSE, abs_tol=1e-12) if all(numbers) else not any(numbers) and a == b


def _same_note(a: str, b: str) -> bool:
    one, other = json.loads(a), json.loads(b)
    values = [note.pop("values", {}) for note in (one, other)]
    return one == other and values[0].keys() == values[1].keys() and all(same(values[0][k], values[1][k]) for k in values[0])


if __name__ == "__main__":
    sys.exit(main())
