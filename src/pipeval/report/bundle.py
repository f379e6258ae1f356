"""The bundle: every number of a report, with what was decided and where it came from.

A report is made from this folder alone, so that a number in a sentence and the number in `results.json` are the same number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import DataError, Note

SCHEMA_VERSION = "1.0"

# A spreadsheet reads a text that starts with one of these as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class TableData(BaseModel):
    """One tidy table: column names and rows of plain values (null where a number is undefined)."""

    model_config = ConfigDict(extra="forbid")

    columns: list[str]
    rows: list[list[Any]]


class NoteData(BaseModel):
    """A remark on the results; `text` is its English template, `values` what fills it."""

    model_config = ConfigDict(extra="forbid")

    key: str
    text: str
    values: dict[str, Any] = {}


class Bundle(BaseModel):
    """Everything a report is made of.

    `study` holds the params as JSON, `tables` tidy tables of codes and numbers (no language in them), `notes` the remarks
    raised on the way, `provenance` the inputs' hashes and the versions used.

    >>> frame = pd.DataFrame({"arm": ["treated"], "n": [float("nan")]})
    >>> bundle = Bundle.build({"study": "demo"}, {"flow": frame})
    >>> bundle.tables["flow"].rows
    [['treated', None]]
    >>> bundle.table("flow")["n"].isna().item()
    True
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    study: dict[str, Any]
    tables: dict[str, TableData] = {}
    notes: list[NoteData] = []
    provenance: dict[str, Any] = {}

    @classmethod
    def build(
        cls,
        study: dict,
        tables: dict[str, pd.DataFrame],
        notes: Sequence[Note] = (),
        provenance: dict | None = None,
    ) -> Bundle:
        """The bundle of these frames; an index that carries a name becomes columns."""
        return cls(
            study=_plain(study),
            tables={name: _table_data(frame) for name, frame in tables.items()},
            notes=[NoteData(key=n.key, text=n.text, values=_plain(n.values)) for n in notes],
            provenance=_plain(provenance or {}),
        )

    def table(self, name: str) -> pd.DataFrame:
        """The table as a frame; columns of numbers are floats with NaN where undefined, an absent table is empty."""
        data = self.tables.get(name)
        if data is None:
            return pd.DataFrame()
        values = {c: [row[i] for row in data.rows] for i, c in enumerate(data.columns)}
        return pd.DataFrame({c: _column(v) for c, v in values.items()}, columns=data.columns)

    def has(self, name: str) -> bool:
        """Whether the table is there and has at least one row."""
        return name in self.tables and bool(self.tables[name].rows)


def save(bundle: Bundle, folder: str | Path) -> Path:
    """Write `results.json` and `tables/<name>.csv` into `folder`; the same bundle gives the same bytes.

    CSV cells that a spreadsheet would read as a formula get a leading apostrophe; `results.json` keeps the text as it is.
    """
    folder = Path(folder)
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    content = json.dumps(_plain(bundle.model_dump()), ensure_ascii=False, indent=1, allow_nan=False)
    (folder / "results.json").write_bytes((content + "\n").encode())
    for name in bundle.tables:
        frame = bundle.table(name).map(spreadsheet_safe)
        text = frame.to_csv(index=False, lineterminator="\n")
        (folder / "tables" / f"{name}.csv").write_bytes(text.encode())
    return folder


def read_bundle(folder: str | Path) -> Bundle:
    """The bundle saved in `folder`.

    Raises `DataError` if `results.json` is missing, is not JSON or does not follow the schema.
    """
    path = Path(folder) / "results.json"
    if not path.is_file():
        raise DataError(f"a bundle is a folder with results.json; none found in {folder}. Run the study first")
    try:
        return Bundle.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"]) or "the file"
        raise DataError(
            f"results.json must follow schema {SCHEMA_VERSION}; {error.error_count()} faults, first at {where}: {first['msg']}. "
            "Run the study again with this version"
        ) from error


def spreadsheet_safe(value: Any) -> Any:
    """The value, with an apostrophe before a text that a spreadsheet would read as a formula.

    >>> spreadsheet_safe("=cmd()"), spreadsheet_safe(-1.5), spreadsheet_safe("leather")
    ("'=cmd()", -1.5, 'leather')
    """
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value


def _table_data(frame: pd.DataFrame) -> TableData:
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    rows = [[_plain(v) for v in row] for row in frame.astype(object).itertuples(index=False, name=None)]
    return TableData(columns=[str(c) for c in frame.columns], rows=rows)


def _column(values: list) -> pd.Series | list:
    present = [v for v in values if v is not None]
    if present and all(isinstance(v, int | float) and not isinstance(v, bool) for v in present):
        whole = len(present) == len(values) and all(isinstance(v, int) for v in present)
        return pd.Series(values, dtype="int64" if whole else "float64")
    return pd.Series(values, dtype=object)


def _plain(value: Any) -> Any:
    """JSON's own types: numbers, text, lists, dicts; undefined and infinite become null."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [_plain(v) for v in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool | int | str):
        return value
    return str(value)
