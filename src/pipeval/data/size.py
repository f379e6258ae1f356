"""How large a table may be: a file is refused by what it says of itself, before its cells are read."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError

LARGEST_FILE = 300_000_000
"""Bytes of a data file on disk."""

MOST_CELLS = 30_000_000
"""Rows times columns of a table: a million firm-years of thirty columns."""

LARGEST_UNPACKED = 2_000_000_000
"""Bytes of a workbook or Parquet file once unpacked."""

_WAY_OUT = "keep the rows and columns of the data dictionary, or split the programme into studies"


def proved_size(path: Path) -> None:
    """Refuse (`DataError`) a file that is larger on disk than a table of this package."""
    if (size := path.stat().st_size) > LARGEST_FILE:
        raise DataError(f"{path.name}: a data file has at most {LARGEST_FILE:,} bytes; this one has {size:,}: {_WAY_OUT}")


def proved_cells(path: Path, rows: int, columns: int) -> None:
    """Refuse (`DataError`) a table with more cells than one of this package."""
    if rows * columns > MOST_CELLS:
        found = f"this one has {rows:,} rows of {columns:,} columns"
        raise DataError(f"{path.name}: a table has at most {MOST_CELLS:,} cells; {found}: {_WAY_OUT}")


def proved_unpacked(path: Path, size: int) -> None:
    """Refuse (`DataError`) a packed file that would take more than a table of this package takes."""
    if size > LARGEST_UNPACKED:
        raise DataError(f"{path.name}: unpacked, a data file has at most {LARGEST_UNPACKED:,} bytes; this one {size:,}: {_WAY_OUT}")


def proved_csv(path: Path, header: str, separator: str) -> int:
    """The number of lines of a CSV file, refused (`DataError`) when lines times columns are more than a table holds."""
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            lines, last = lines + part.count(b"\n"), part
    lines += not last.endswith(b"\n")
    proved_cells(path, lines, header.count(separator) + 1)
    return lines
