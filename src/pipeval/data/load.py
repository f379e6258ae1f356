"""From the evaluator's files to tables that follow the contract.

Nothing is dropped in silence: what cannot be read becomes a fault, a table that is not there becomes a gap, what was not yet
known at the evaluation is masked and counted, and agreed corrections are listed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from ..errors import DataError, some
from ..study.files import inside, nearest
from ..study.specs import Study
from .contract import TABLES
from .read import SUFFIXES, prove, read_file
from .schema import MINIMUM, Column, Table

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
    """
    folder = Path(study.data.folder)
    if not folder.is_dir():
        raise DataError(f"the data folder {study.data.folder} does not exist; correct data.folder or give --data")
    frames, inputs, faults = {}, {}, []
    for name, table in TABLES.items():
        found = _locate(folder, name, study)
        if found is None:
            continue
        path, sheet = found
        inputs[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        frames[name] = conform(read_file(path, sheet, study.data), table, study, faults)
    missing = [name for name in MINIMUM if name not in frames]
    if missing:
        raise DataError(f"an evaluation needs the tables {', '.join(MINIMUM)}; {', '.join(missing)} not found in {folder}")
    corrected = _correct(frames, faults)
    masked = {name: _mask(frames, name, study) for name in list(frames)}
    return Tables(
        frames=frames,
        gaps=tuple(n for n in TABLES if n not in frames and n != "corrections"),
        faults=_fault_frame(faults),
        corrections=corrected,
        masked={n: k for n, k in masked.items() if k},
        inputs=inputs,
    )


def _fault_frame(faults: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(faults, columns=FAULT_COLUMNS)


def _locate(folder: Path, name: str, study: Study) -> tuple[Path, str | None] | None:
    """The file, and sheet, that holds a table: as params say, or <table>.<extension> in the data folder."""
    named = study.data.files.get(name)
    if named is None:
        found = (folder / f"{name}{suffix}" for suffix in SUFFIXES)
        return next(((path, None) for path in found if path.is_file()), None)
    file, _, sheet = named.partition("::")
    path = inside(folder, file)
    if not path.is_file():
        near = nearest(file, sorted(p.name for p in folder.iterdir() if p.suffix.lower() in SUFFIXES))
        raise DataError(f"params give '{file}' for the table {name}, which is not in the data folder; {near}")
    return path, sheet or None


def conform(frame: pd.DataFrame, table: Table, study: Study, faults: list[dict]) -> pd.DataFrame:
    """A raw frame as the contract has it; what does not fit is appended to `faults` and becomes missing."""
    columns = table.named(study.programme.currency)
    columns |= {n: Column(n, "num", label.get("en", n), "") for n, label in study.data.extra.get(table.name, {}).items()}
    yours = study.data.columns.get(table.name, {})
    frame = frame.rename(columns={v: k for k, v in yours.items()})
    spare = [c for c in frame.columns if c not in columns]
    proved = {}
    for name, column in columns.items():
        if name not in frame.columns:
            _absent(table, name, column, spare, faults)
            frame[name] = None
        proved[name], bad = prove(frame[name], column, study.data, study.data.codes.get(table.name, {}).get(name, {}))
        firm = frame["firm_id"] if "firm_id" in frame.columns else pd.Series("", index=frame.index)
        rule = "unknown_code" if column.codes else "type"
        faults += [_cell(table, row, firm, name, rule, "blocking", frame.at[row, name]) for row in frame.index[bad]]
        if column.needed and name in frame.columns:
            empty = frame.index[proved[name].isna() & ~bad]
            faults += [_cell(table, row, firm, name, "needed", "blocking", "") for row in empty]
        for row in frame.index[_outside(proved[name], column)]:
            faults.append(_cell(table, row, firm, name, "range", "query", proved[name][row]))
    return pd.DataFrame(proved, index=frame.index)


def _outside(values: pd.Series, column: Column) -> pd.Series:
    outside = pd.Series(False, index=values.index)
    if column.low is not None:
        outside |= values < column.low
    if column.high is not None:
        outside |= values > column.high
    return outside


def _cell(table: Table, row: int, firm: pd.Series, column: str, rule: str, kind: str, value) -> dict:
    return dict(table=table.name, row=row, firm_id=str(firm.get(row, "")), column=column, rule=rule, kind=kind, value=value)


def _absent(table: Table, name: str, column: Column, spare: list[str], faults: list[dict]) -> None:
    """A column that is not there: a fault when it is needed, a query when another looks like it, else nothing."""
    close = nearest(name, spare)
    if column.needed or close.startswith("did you mean"):
        kind = "blocking" if column.needed else "query"
        faults.append(dict(table=table.name, row=1, firm_id="", column=name, rule="missing_column", kind=kind, value=close))


def _correct(frames: dict[str, pd.DataFrame], faults: list[dict]) -> pd.DataFrame:
    """Apply the agreed corrections in place of the old values; a correction that does not fit is a query."""
    wanted = frames.get("corrections")
    if wanted is None:
        return pd.DataFrame()
    applied = []
    for number, c in wanted.iterrows():
        target = frames.get(c["table"])
        row = None if target is None or c["column"] not in target.columns else _keyed(target, TABLES[c["table"]], c["key"])
        if row is None or not _same(target.at[row, c["column"]], c["old"]):
            where = dict(table="corrections", row=number, firm_id=str(c["key"]).split("|")[0])
            faults.append(where | dict(column=c["column"], rule="correction_unfit", kind="query", value=c["old"]))
            continue
        old = target[c["column"]]
        new = float(c["new"]) if pd.api.types.is_float_dtype(old) else pd.Series([c["new"]]).astype(old.dtype)[0]
        target.loc[row, c["column"]] = new
        applied.append(c)
    return pd.DataFrame(applied, columns=wanted.columns)


def _keyed(frame: pd.DataFrame, table: Table, key: str) -> int | None:
    parts = str(key).split("|")
    if len(parts) != len(table.key):
        return None
    hit = pd.Series(True, index=frame.index)
    for column, part in zip(table.key, parts, strict=True):
        hit &= frame[column].map(lambda v, part=part: _same(v, part))
    return frame.index[hit][0] if hit.sum() == 1 else None


def _same(found, written: str) -> bool:
    if isinstance(found, float) or hasattr(found, "dtype"):
        number = pd.to_numeric(written, errors="coerce")
        return (pd.isna(found) and pd.isna(written)) or bool(number == found)
    return str(found)[: len(str(written))] == str(written) if isinstance(found, pd.Timestamp) else str(found) == str(written)


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
    for name_, column in table.named(study.programme.currency).items():
        if column.event:
            frame[name_] = frame[name_].mask(frame[name_] > as_of)
    frames[name] = frame
    return int(unknown.sum())


def drop_queries(tables: Tables, faults: pd.DataFrame, study: Study) -> Tables:
    """What params say of queries: keep the values, set the questioned cells missing, or leave the firms out."""
    queries = faults[(faults["kind"] == "query") & (faults["row"] > 1)]
    if study.queries == "keep" or queries.empty:
        return tables
    if study.queries == "set_missing":
        frames = {}
        for name, rows in queries.groupby("table"):
            frame = tables[name].copy()
            for row, column in zip(rows["row"], rows["column"], strict=True):
                optional = column in frame and not TABLES[name].named(study.programme.currency).get(column, _FREE).needed
                if optional and row in frame.index:
                    frame.loc[row, column] = None
            frames[name] = frame
        return tables.with_frames(frames)
    firms = sorted(set(queries["firm_id"]) & set(tables["enterprises"]["firm_id"]))
    frames = {n: f[~f["firm_id"].isin(firms)] for n, f in tables.frames.items() if "firm_id" in f}
    gone = pd.DataFrame({"firm_id": firms, "stage": "queries", "reason": "query_dropped"})
    return replace(tables.with_frames(frames), dropped=gone)


_FREE = Column("", "num", "", "")


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
        where = some(dict.fromkeys(f"{t} row {r} {c}".strip() for t, r, c in zip(blocking["table"], blocking["row"], blocking["column"])), "place")
        raise DataError(
            f"the files break the data contract: {by_rule}, in {where}. Run `pipeval check` for the whole list and what to do", blocking
        )
