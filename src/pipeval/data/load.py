"""From the evaluator's files to tables that follow the contract.

Nothing is dropped in silence: what cannot be read becomes a fault, a table that is not there becomes a gap, what was not yet
known at the evaluation is masked and counted, and agreed corrections are listed.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from ..errors import DataError, UsageError, some
from ..study.files import inside, nearest
from ..study.specs import Study
from .contract import TABLES
from .read import SUFFIXES, prove, read_file, with_labels
from .schema import MINIMUM, Column, Table

_BAD_KEY = {"rule": "range", "kind": "blocking"}  # a year that is none masks its own row, and must be seen all the same

FAULT_COLUMNS = ["table", "row", "firm_id", "column", "rule", "kind", "value"]


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The files as proved tables.

    Attributes
    ----------
    frames : dict
        Table name → DataFrame with every column of the contract; the index is the row in the file.
    gaps : tuple of str
        Tables of the contract that were not supplied.
    faults : DataFrame
        What reading found: one row a cell or column (`table, row, firm_id, column, rule, kind, value`).
    corrections : DataFrame
        The corrections applied.
    masked : dict
        Table name → rows left out because they were not known at the evaluation.
    inputs : dict
        File name → SHA-256 of its bytes.
    dropped : DataFrame
        Firms left out on account of queries (`firm_id, stage, reason`).
    """

    frames: dict[str, pd.DataFrame]
    gaps: tuple[str, ...] = ()
    faults: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=FAULT_COLUMNS))
    corrections: pd.DataFrame = field(default_factory=pd.DataFrame)
    masked: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    dropped: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["firm_id", "stage", "reason"]))

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.frames[name]

    def __contains__(self, name: str) -> bool:
        return name in self.frames

    def __repr__(self) -> str:
        sizes = ", ".join(f"{n} {len(f):,}" for n, f in self.frames.items())
        return f"Tables: {sizes}; not supplied: {', '.join(self.gaps) or 'none'}; {len(self.faults)} faults on reading"

    def with_frames(self, frames: dict[str, pd.DataFrame]) -> Tables:
        """The same tables with some frames exchanged."""
        return replace(self, frames={**self.frames, **frames})


def load(study: Study) -> Tables:
    """Read, map, prove, correct and mask the study's tables.

    Raises
    ------
    DataError
        When a file cannot be read at all, or a table without which nothing runs is missing.
    UsageError
        When params map a table or column that the contract does not know.
    """
    _names_known(study)
    frames, inputs, faults = {}, {}, []
    for name, (path, sheet) in located(study).items():
        raw = read_file(path, sheet, study.data)  # refuses a file that is too large before it is read whole
        with path.open("rb") as file:
            inputs[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
        frames[name] = conform(raw, TABLES[name], study, faults)
    missing = [name for name in MINIMUM if name not in frames]
    if missing:
        where = study.data.folder
        raise DataError(f"an evaluation needs the tables {', '.join(MINIMUM)}; {', '.join(missing)} not found in {where}")
    masked = {"corrections": _mask(frames, "corrections", study)} if "corrections" in frames else {}
    corrected = _correct(frames, study, faults)
    masked |= {name: _mask(frames, name, study) for name in list(frames) if name != "corrections"}
    if empty := [name for name in MINIMUM if frames[name].empty]:
        known = f" known on {study.as_of}" if any(masked[name] for name in empty) else ""
        holds = "holds" if len(empty) == 1 else "hold"
        raise DataError(f"an evaluation needs firms and their answers; {' and '.join(empty)} {holds} no row{known}")
    return Tables(
        frames=frames,
        gaps=tuple(n for n in TABLES if n not in frames and n != "corrections"),
        faults=_fault_frame(
            [f for f in faults if f["row"] == 1 or f["row"] in frames[f["table"]].index or _BAD_KEY.items() <= f.items()]
        ),
        corrections=corrected,
        masked={n: k for n, k in masked.items() if k},
        inputs=inputs,
    )


def _fault_frame(faults: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(faults, columns=FAULT_COLUMNS)


def _names_known(study: Study) -> None:
    """Refuse a mapping of what does not exist: it would be passed over in silence."""
    for section, mapped in (("files", study.data.files), ("columns", study.data.columns), ("codes", study.data.codes)):
        for name, columns in mapped.items():
            if name not in TABLES:
                raise UsageError(f"data.{section}: there is no table '{name}'; {nearest(name, TABLES)}")
            known = [*TABLES[name].named(study.programme.currency), *study.data.extra.get(name, {})]
            for column in columns if section != "files" else ():
                if column not in known:
                    raise UsageError(f"data.{section}.{name}: there is no column '{column}'; {nearest(column, known)}")


def located(study: Study) -> dict[str, tuple[Path, str | None]]:
    """The file of each table that is there, and the sheet in it when params name one.

    Raises `DataError` when the data folder, or a file that params name, is not there.
    """
    folder = Path(study.data.folder)
    if not folder.is_dir():
        raise DataError(f"the data folder {study.data.folder} does not exist; correct data.folder or give --data")
    found = {name: _locate(folder, name, study) for name in TABLES}
    return {name: place for name, place in found.items() if place is not None}


def _locate(folder: Path, name: str, study: Study) -> tuple[Path, str | None] | None:
    """The file, and sheet, that holds a table: as params say, or <table>.<extension> in the data folder."""
    named = study.data.files.get(name)
    if named is None:
        there = (f"{name}{suffix}" for suffix in SUFFIXES if (folder / f"{name}{suffix}").is_file())
        return next(((inside(folder, file), None) for file in there), None)
    file, _, sheet = named.partition("::")
    path = inside(folder, file)
    if not path.is_file():
        near = nearest(file, sorted(p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES))
        raise DataError(f"params give '{file}' for the table {name}, which is not in the data folder; {near}")
    return path, sheet or None


def conform(frame: pd.DataFrame, table: Table, study: Study, faults: list[dict]) -> pd.DataFrame:
    """A raw frame as the contract has it; what does not fit is appended to `faults` and becomes missing."""
    extra = study.data.extra.get(table.name, {})
    columns = table.named(study.programme.currency)
    columns |= {n: Column(n, "num", label.get("en", n), "") for n, label in extra.items()}
    labels, own = frame.attrs.get("labels", {}), study.data.columns.get(table.name, {})
    frame = _renamed(frame, table, study)
    absent = [n for n in columns if n not in frame.columns]
    spare = {c: difflib.get_close_matches(c, absent, 1) for c in frame.columns if c not in columns}
    codes = study.data.codes.get(table.name, {})
    proved, wrong = {}, {}
    for name, column in columns.items():
        raw = frame[name] if name in frame.columns else pd.Series(None, index=frame.index, dtype=object)
        meant = with_labels(codes.get(name, {}), column, labels.get(own.get(name, name), {}))
        proved[name], wrong[name] = prove(raw, column, study.data, meant)
    firm = (proved["firm_id"] if "firm_id" in proved else pd.Series("", index=frame.index)).fillna("")
    for name, column in columns.items():
        if name not in frame.columns:
            _absent(table, name, spare, faults, needed=column.needed or name in extra)
            continue
        rule = "unknown_code" if column.codes else "type"
        bad = wrong[name]
        faults += [
            _cell(table, row, firm, name, rule, "blocking", _with_hint(frame.at[row, name], column)) for row in frame.index[bad]
        ]
        if column.needed:
            faults += [_cell(table, row, firm, name, "needed", "blocking", "") for row in frame.index[proved[name].isna() & ~bad]]
        kind = "blocking" if name in table.key else "query"
        outside = frame.index[_outside(proved[name], column)]
        faults += [_cell(table, row, firm, name, "range", kind, proved[name][row]) for row in outside]
    return pd.DataFrame(proved, index=frame.index)


def _renamed(frame: pd.DataFrame, table: Table, study: Study) -> pd.DataFrame:
    """The frame with the user's own column names exchanged for the contract's."""
    yours = study.data.columns.get(table.name, {})
    for name, own in yours.items():
        if own not in frame.columns:
            raise DataError(
                f"params say that {table.name}.{name} is the column '{own}', which the file lacks; {nearest(own, frame.columns)}"
            )
    taken = [name for name, own in yours.items() if name in frame.columns and name != own and name not in yours.values()]
    return frame.drop(columns=taken).rename(columns={own: name for name, own in yours.items()})


def _with_hint(value, column: Column):
    """A wrong cell as it is shown; beside an unknown code, the nearest one."""
    close = nearest(value, column.codes) if column.codes else ""
    return f"{value}; {close}" if close.startswith("did you mean") else value


def _outside(values: pd.Series, column: Column) -> pd.Series:
    low = values < column.low if column.low is not None else pd.Series(False, index=values.index)
    return low | (values > column.high) if column.high is not None else low


def _cell(table: Table, row: int, firm: pd.Series, column: str, rule: str, kind: str, value) -> dict:
    return {
        "table": table.name,
        "row": row,
        "firm_id": str(firm.get(row, "")),
        "column": column,
        "rule": rule,
        "kind": kind,
        "value": value,
    }


def _absent(table: Table, name: str, spare: dict[str, list[str]], faults: list[dict], needed: bool) -> None:
    """A column that is not there: a fault when it is needed, a query when one of yours looks most like it, else nothing."""
    like = [own for own, matches in spare.items() if name in matches]
    if needed or like:
        kind = "blocking" if needed else "query"
        close = f"did you mean '{like[0]}'?" if like else f"other columns: {', '.join(spare) or 'none'}"
        faults.append(
            {"table": table.name, "row": 1, "firm_id": "", "column": name, "rule": "missing_column", "kind": kind, "value": close}
        )


def _correct(frames: dict[str, pd.DataFrame], study: Study, faults: list[dict]) -> pd.DataFrame:
    """Apply the agreed corrections in place of the old values; a correction that does not fit is a query."""
    wanted = frames.get("corrections")
    if wanted is None:
        return pd.DataFrame()
    applied = []
    for number, c in wanted.iterrows():
        place = _place(frames, c, study)
        if place is None:
            where = {"table": "corrections", "row": number, "firm_id": str(c["key"]).split("|")[0]}
            faults.append(where | {"column": c["column"], "rule": "correction_unfit", "kind": "query", "value": c["old"]})
            continue
        row, column = place
        target = frames[c["table"]]
        target[c["column"]] = target[c["column"]].mask(target.index == row, _as_kind([c["new"]], column, study).iloc[0])
        questioned = {"table": c["table"], "row": row, "column": c["column"], "rule": "range"}
        faults[:] = [f for f in faults if not questioned.items() <= f.items()]
        applied.append(c)
    return pd.DataFrame(applied, columns=wanted.columns)


def _place(frames: dict[str, pd.DataFrame], c: pd.Series, study: Study) -> tuple[int, Column] | None:
    """The row and column that a correction names; none when it names no row, or the old or the new value does not fit."""
    if c["table"] not in frames:
        return None
    table, frame = TABLES[c["table"]], frames[c["table"]]
    columns, parts = table.named(study.programme.currency), str(c["key"]).split("|")
    if c["column"] not in columns or len(parts) != len(table.key):
        return None
    hit = pd.Series(True, index=frame.index)
    for name, part in zip(table.key, parts, strict=True):
        hit &= frame[name] == _as_kind([part], columns[name], study).iloc[0]
    column = columns[c["column"]]
    values = _as_kind([c["old"], c["new"]], column, study)
    fits = values.isna().to_list() == [pd.isna(c["old"]), pd.isna(c["new"])] and not _outside(values.iloc[1:], column).any()
    if hit.sum() != 1 or not fits:
        return None
    found = frame.loc[hit, c["column"]].iloc[0]
    same = found == values.iloc[0] or (pd.isna(found) and pd.isna(values.iloc[0]))
    return (frame.index[hit][0], column) if same else None


def _as_kind(texts: list[str | None], column: Column, study: Study) -> pd.Series:
    return prove(pd.Series(texts, dtype=object), column, study.data, {})[0]


def _mask(frames: dict[str, pd.DataFrame], name: str, study: Study) -> int:
    """Take out what was not known at the evaluation: later rows go, later events are blanked. Rows taken out are counted."""
    table, frame, as_of = TABLES[name], frames[name], pd.Timestamp(study.as_of)
    unknown = pd.Series(False, index=frame.index)
    if table.known_on:
        unknown |= frame[table.known_on] > as_of
    if table.year:
        unknown |= frame[table.year] >= as_of.year
        if table.known_on is None and name != "survey" and "survey" in frames and "firm_id" in frame:
            unknown |= frame[table.year] > frames["survey"]["ref_year"].max()
    frame = frame[~unknown].copy()
    columns = table.named(study.programme.currency)
    for value, column in ((n, c) for n, c in columns.items() if c.dated_by):
        frame[value] = frame[value].mask(frame[column.dated_by] > as_of)
    for event in (n for n, c in columns.items() if c.event):
        frame[event] = frame[event].mask(frame[event] > as_of)
    frames[name] = frame
    return int(unknown.sum())


def require_clean(faults: pd.DataFrame) -> None:
    """Refuse to go on over blocking faults.

    Raises
    ------
    DataError
        Naming the rules broken, with the table of faults attached.
    """
    blocking = faults[faults["kind"] == "blocking"]
    if len(blocking):
        by_rule = ", ".join(f"{rule} ({n})" for rule, n in blocking["rule"].value_counts().items())
        where = some(
            dict.fromkeys(f"{t} row {r} {c}".strip() for t, r, c in zip(blocking["table"], blocking["row"], blocking["column"])),
            "place",
        )
        raise DataError(
            f"the files break the data contract: {by_rule}, in {where}. Run `pipeval check` for the whole list and what to do",
            blocking,
        )
