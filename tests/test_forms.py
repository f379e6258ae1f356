"""Blank tables: what is filled in loads; nothing that is there is lost."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeval.data.contract import TABLES
from pipeval.data.forms import blank_tables, write_blank
from pipeval.data.load import load
from pipeval.errors import PipevalError, UsageError, collected


def test_every_table_and_column_of_the_contract_is_there():
    blank = blank_tables("ARS")
    assert list(blank) == list(TABLES)
    for name, table in blank.items():
        assert list(table) == [c.name.replace("{cur}", "ars") for c in TABLES[name].columns] and len(table) == 0


def test_what_is_filled_in_loads(small):
    """The small study written into blank forms, cell by cell, is the small study; the tables left blank are empty, not faults."""
    folder = small.root / "forms"
    assert {path.name for path in write_blank(folder)} == {f"{name}.csv" for name in TABLES}
    assert (folder / "series.csv").read_text(encoding="utf-8") == "series,year,value,base,source,vintage\n"
    for name in ("enterprises", "survey"):
        filled = pd.concat([pd.read_csv(folder / f"{name}.csv", dtype=object), small.tables[name].astype(object)])
        filled.to_csv(folder / f"{name}.csv", index=False)
    with collected():
        plain, found = load(small.read()), load(small.planned(data={"folder": "forms"}).read())
    assert not len(found.faults) and len(found["services"]) == 0
    for name in ("enterprises", "survey"):
        pd.testing.assert_frame_equal(found[name][plain[name].columns], plain[name])


def test_a_file_that_is_there_is_never_replaced(tmp_path):
    (tmp_path / "staff.csv").write_text("kept", encoding="utf-8")
    with pytest.raises(PipevalError, match=r"staff\.csv"):
        write_blank(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["staff.csv"]
    assert (tmp_path / "staff.csv").read_text(encoding="utf-8") == "kept"
    assert [path.name for path in write_blank(tmp_path, names=["ledger"])] == ["ledger.csv"]


def test_an_unknown_table_and_a_folder_that_cannot_be_made(tmp_path):
    with pytest.raises(UsageError, match="'survey'"):
        blank_tables(names=["survay"])
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PipevalError, match="choose another folder"):
        write_blank(tmp_path / "file" / "below")
