"""`pipeval check`: every fault of a study's files and of its plan, on screen and in a table that can be mailed."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import stages
from ..data.check import check
from ..data.load import load
from ..did.estimate import estimate
from ..errors import DesignError, EstimationError, PipevalError, collected, counted, some
from ..evaluation import BASELINE
from ..study.files import write_whole
from ..study.lint import lint
from ..study.logframe import read_logframe
from ..study.params import read_study
from ..study.specs import Study
from .bundle import spreadsheet_safe
from .look import proved_look

_SHOWN = 40  # lines
_VALUES = 5  # of a line


def check_study(params: str | Path, data: Path | None, out: Path | None) -> int:
    """Check files and plan, print the faults by kind and column, save them row by row, and return the exit code."""
    study = read_study(params, data)
    read_logframe(study.logframe, study.root)
    proved_look(study)
    tables = load(study)
    faults = check(tables, study)
    path = out or Path(f"{study.study}.faults.csv")
    try:
        write_whole(
            path,
            faults.map(spreadsheet_safe)
            .assign(value=lambda f: f["value"].map(written))
            .to_csv(index=False, lineterminator="\n")
            .encode(),
        )
    except OSError as error:
        raise PipevalError(f"cannot write {path}: {error.strerror}; choose another place with --out") from None
    blocking = int((faults["kind"] == "blocking").sum())
    _show(faults)
    print(f"{study.study}: {counted(blocking, 'blocking fault')}, {counted(len(faults) - blocking, 'query')}; table saved to {path}")
    if tables.gaps:
        print(f"  not supplied: {', '.join(tables.gaps)}")
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
    for outcome in study.outcomes if study.stage != BASELINE else ():  # at the baseline no effect is estimated
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
    """Print a line for each kind of fault of a column; what blocks comes first."""
    groups = list(faults.groupby(["kind", "table", "column", "rule"], sort=False, dropna=False))
    for (kind, table, column, rule), rows in groups[:_SHOWN]:
        print(f"  [{kind}] {_told(table, column, rule, rows)}; {rows['action'].iloc[0]}")
    if len(groups) > _SHOWN:
        print(f"  … and {len(groups) - _SHOWN} more kinds of fault, in the table")


def _told(table: str, column: str, rule: str, rows: pd.DataFrame) -> str:
    """What is wrong and where: one row by its number, several by their count and at most five firms, or rows without a firm."""
    firms = [firm for firm in dict.fromkeys(rows["firm_id"]) if firm]
    if len(rows) == 1:
        where, who = f"{table} row {rows['row'].iloc[0]}, {column}: {rule}", f" (firm {firms[0]})" if firms else ""
        return f"{where}{_found(rows)}{who}"
    who = some(firms or rows["row"], "firm" if firms else "row")
    who = f"{len(rows)} rows of {who}" if firms and len(firms) < len(rows) else who
    return f"{table}, {column}: {rule}, {who}{_found(rows)}"


def _found(rows: pd.DataFrame) -> str:
    """At most five of the values, the commonest first, texts between quotation marks; empty cells are not worth a word."""
    quoted = rows["rule"].iloc[0] != "missing_column"  # there the value is what to think of
    shown = [repr(value) if quoted and isinstance(value, str) and value else written(value) for value in rows["value"]]
    times = Counter(filter(None, shown))
    values = [f"{value} ({n} times)" if n > 1 else value for value, n in times.most_common()]
    found = f"{', '.join(values[:_VALUES])}{', …' if len(values) > _VALUES else ''}"
    return f"{', found ' if quoted else ', '}{found}" if values else ""


def written(value: Any) -> str:
    """A cell as plain text: a date as year-month-day, a number with its digits, empty when it is missing.

    >>> written(pd.Timestamp("2003-07-01")), written(np.float64(-5)), written(1234.5), written(float("nan")), written("a")
    ('2003-07-01', '-5', '1234.5', '', 'a')
    """
    if isinstance(value, str):
        return value
    if value is None or pd.isna(value):
        return ""
    if isinstance(value, datetime | np.datetime64):
        return pd.Timestamp(value).isoformat().removesuffix("T00:00:00")
    return f"{value:.15g}" if isinstance(value, float | np.floating) else str(value)
