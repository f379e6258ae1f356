"""Blank tables of the data contract: what a coordinator fills in, on a screen or by hand."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from ..errors import PipevalError, UsageError, some
from ..study.files import nearest
from .contract import TABLES


def blank_tables(currency: str = "MXN", names: Collection[str] = ()) -> dict[str, pd.DataFrame]:
    """Each table of the contract without a row, by name; all of them, or those named.

    Columns are named as the files have them for a programme in this currency. What each one means and why it is kept is told by
    `data.schema.data_dictionary`.

    Raises
    ------
    UsageError
        When a name is no table of the contract.

    Examples
    --------
    >>> list(blank_tables("UYU", ["other_support"])["other_support"])
    ['firm_id', 'programme', 'start_on', 'amount_usd']
    >>> "sales_kuyu" in blank_tables("UYU")["survey"]
    True
    """
    unknown = sorted(set(names) - set(TABLES))
    if unknown:
        raise UsageError(f"no such table of the contract: {some(unknown, 'table')}; {nearest(unknown[0], TABLES)}")
    return {name: pd.DataFrame(columns=list(table.named(currency))) for name, table in TABLES.items() if not names or name in names}


def write_blank(folder: str | Path, currency: str = "MXN", names: Collection[str] = ()) -> list[Path]:
    """Write each blank table as `<name>.csv` into a folder: the header and no row. A file that is there already is never touched.

    Raises
    ------
    PipevalError
        When a file is there already, or the folder cannot be written.
    """
    folder = Path(folder)
    files = {folder / f"{name}.csv": table for name, table in blank_tables(currency, names).items()}
    there = [path.name for path in files if path.exists()]
    if there:
        raise PipevalError(f"a blank table would replace a file of {folder}: {some(there, 'file')}; choose an empty folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, table in files.items():
            table.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
    except OSError as error:
        raise PipevalError(f"cannot write to {folder}: {error.strerror or error}; choose another folder") from None
    return list(files)
