"""Ways to spoil a study whose survey is a workbook, a Stata or a Parquet file."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import random
import zipfile
from functools import cache

import pandas as pd
from mutations import HOSTILE, Files
from small_study import tables

_CELLS = (
    True, False, 0, -1, 3.5, 1e300, 10**15, dt.datetime(2004, 1, 1), dt.date(2004, 1, 1), dt.time(12, 30),
    dt.timedelta(days=40000), "=1+1", "=A2", '=HYPERLINK("http://localhost")', "#DIV/0!", "#N/A", "2004", "1,5", " ", "_x0000_",
    "x" * 30_000, "F01", None,
)  # fmt: skip
_COLUMNS = (
    lambda n: [[1, 2]] * n, lambda n: [{"a": 1}] * n, lambda n: [decimal.Decimal("1.50")] * n, lambda n: [b"\x00\xff"] * n,
    lambda n: pd.date_range("2004-01-01", periods=n, tz="America/Mexico_City"), lambda n: pd.to_timedelta(range(n), unit="D"),
    lambda n: pd.Categorical(["a"] * n), lambda n: pd.array([2**62] * n, dtype="Int64"), lambda n: [True] * n,
    lambda n: [float("inf")] * n, lambda n: [None] * n, lambda n: [dt.date(2004, 1, 1)] * n, lambda n: ["x"] * n,
    lambda n: [2004.0] * n, lambda n: ["2004"] * n,
)  # fmt: skip


@cache
def survey_as(suffix: str) -> bytes:
    """The clean survey as a file of this kind."""
    return _file(_typed(), suffix)


def _typed() -> pd.DataFrame:
    survey = tables()["survey"]
    return survey.assign(interview_on=pd.to_datetime(survey["interview_on"]))


def _file(frame: pd.DataFrame, suffix: str) -> bytes:
    out = io.BytesIO()
    if suffix == "xlsx":
        frame.to_excel(out, index=False, sheet_name="survey")
    elif suffix == "dta":
        frame.to_stata(out, write_index=False, version=118)
    else:
        frame.to_parquet(out, index=False)
    return out.getvalue()


def _replaced(files: Files, content: bytes, suffix: str) -> None:
    files.pop("data/survey.csv", None)
    files[f"data/survey.{suffix}"] = content


def workbook_cells(rng: random.Random, files: Files) -> None:
    """Cells of a workbook become truths, times, formulas, errors, far cells, merged ones."""
    from openpyxl import load_workbook

    book = load_workbook(io.BytesIO(survey_as("xlsx")))
    page = book.active
    for _ in range(rng.choice((1, 1, 3))):
        row, column = rng.randrange(1 if rng.random() < 0.05 else 2, page.max_row + 1), rng.randrange(1, page.max_column + 1)
        value = rng.choice(_CELLS + tuple(h for h in HOSTILE if h.isprintable())[::7])
        page.cell(row, column).value = None if isinstance(value, str) and value.startswith("\udcff") else value
    how = rng.randrange(9)
    if how == 0:
        page.merge_cells(start_row=3, start_column=1, end_row=5, end_column=1)
    elif how == 1:
        book.create_sheet("first", 0)
    elif how == 2:
        page.cell(page.max_row + rng.choice((2, 5_000)), rng.choice((1, 200))).value = "far"
    elif how == 3:
        page.sheet_state = "hidden"
        book.create_sheet("seen")
    out = io.BytesIO()
    book.save(out)
    _replaced(files, out.getvalue(), "xlsx")


def workbook_parts(rng: random.Random, files: Files) -> None:
    """A part of the workbook's archive goes, is emptied, cut or changed, or stands twice."""
    old, out = zipfile.ZipFile(io.BytesIO(survey_as("xlsx"))), io.BytesIO()
    target, how = rng.choice(old.namelist()), rng.randrange(6)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == target:
                at = rng.randrange(len(content))
                flipped = content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]
                content = (b"", content[:at], flipped, b'<!DOCTYPE x [<!ENTITY a "aa">]>' + content, content, None)[how]
            if content is not None:
                new.writestr(name, content)
    _replaced(files, out.getvalue(), "xlsx")


def typed_columns(rng: random.Random, files: Files) -> None:
    """A column of a Parquet file is of an unusual type."""
    frame = _typed()
    name = rng.choice(list(frame))
    frame[name] = rng.choice(_COLUMNS)(len(frame))
    _replaced(files, _file(frame, "parquet"), "parquet")


def binary_bytes(rng: random.Random, files: Files) -> None:
    """Bytes of a workbook, Stata or Parquet file are flipped, cut or zeroed."""
    suffix = rng.choice(("xlsx", "dta", "parquet"))
    content = bytearray(survey_as(suffix))
    how, at = rng.randrange(3), rng.randrange(len(content))
    if how == 0:
        for _ in range(rng.choice((1, 3, 30))):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif how == 1:
        del content[at:]
    else:
        content[at : at + 64] = bytes(len(content[at : at + 64]))
    _replaced(files, bytes(content), suffix)


KINDS = {f.__name__: f for f in (workbook_cells, workbook_parts, typed_columns, binary_bytes)}
