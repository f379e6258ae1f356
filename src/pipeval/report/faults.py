"""`pipeval check`: every fault of a study's files and of its plan, on screen and in a table that can be mailed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from .. import stages
from ..data.check import check
from ..data.load import load
from ..did.estimate import estimate
from ..errors import DesignError, EstimationError, PipevalError, collected
from ..study.lint import lint
from ..study.logframe import read_logframe
from ..study.params import read_study
from ..study.specs import Study
from .bundle import spreadsheet_safe

_SHOWN = 40


def check_study(params: Path, data: Path | None, out: Path | None) -> int:
    """Check files and plan, print the faults firm by firm, save them, and return the exit code."""
    study = read_study(params, data)
    read_logframe(study.logframe, study.root)
    tables = load(study)
    faults = check(tables, study)
    path = out or Path(f"{study.study}.faults.csv")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(faults.map(spreadsheet_safe).to_csv(index=False, lineterminator="\n").encode())
    except OSError as error:
        raise PipevalError(f"cannot write {path}: {error.strerror}; choose another place with --out") from None
    blocking = int((faults["kind"] == "blocking").sum())
    _show(faults)
    print(f"{study.study}: {blocking} blocking faults, {len(faults) - blocking} queries; table saved to {path}")
    for name in tables.gaps:
        print(f"  not supplied: {name}")
    if blocking:
        return 10
    return _plan(study)


def _plan(study: Study) -> int:
    """Whether the plan can be carried out on these files: treated firms, a pool, pairs, and every outcome estimable.

    No estimate is printed: a plan is checked before effects are looked at.
    """
    data = stages.proved_data(study)
    lint_rows = lint(data["logframe"], study, tables=data["tables"].frames).query("result == 'fail'")
    for row in lint_rows.to_dict("records"):
        print(f"  log frame: {row['indicator']}: {row['check']}: {row['detail']}")
    code = 0
    try:
        start = stages.baseline(data, study)
        group = stages.control_group(data, start, study)
    except (DesignError, EstimationError) as error:
        print(f"  plan: {error}")
        return error.exit_code
    for outcome in study.outcomes:
        try:
            with collected():
                estimate(group["panel"], group["sample"], study, outcome)
        except (DesignError, EstimationError) as error:
            print(f"  plan: {outcome.id}: {error}")
            code = code or error.exit_code
    for note in (*data.notes, *start.notes, *group.notes):
        print(f"  note: {note}")
    print(f"  plan: {group['panel']!r}; {group['sample']!r}")
    return code


def _show(faults: pd.DataFrame) -> None:
    for firm, rows in list(faults.groupby("firm_id", sort=False))[:_SHOWN]:
        print(f"{firm or 'file'}")
        for f in rows.to_dict("records"):
            print(f"  [{f['kind']}] {f['table']} row {f['row']}, {f['column']}: {f['rule']}, found {f['value']!r}; {f['action']}")
    rest = faults["firm_id"].nunique() - _SHOWN
    if rest > 0:
        print(f"… and {rest} more firms, in the table")
