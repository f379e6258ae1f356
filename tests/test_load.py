"""From files to tables: formats, mapping, corrections, and what was not yet known."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from pipeval.data.check import check
from pipeval.data.contract import TABLES
from pipeval.data.load import load, require_clean
from pipeval.data.queries import settle_queries
from pipeval.data.read import _plain, prove, read_file
from pipeval.data.sample import Knobs, sample_programme, write
from pipeval.data.schema import Column
from pipeval.errors import DataError, UsageError, collected
from pipeval.study.specs import Source

SOURCE = Source(folder="data")


def proved(values, kind="num", source=SOURCE, recode=None, codes=()):
    column, bad = prove(pd.Series(values), Column("x", kind, "", "", codes=codes), source, recode or {})
    return [None if pd.isna(v) else v for v in column.tolist()], bad.tolist()


# ── one cell ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "values", "want", "bad"),
    [
        ("num", ["1", " 2.50 ", "-3e2", "", None, "x"], [1.0, 2.5, -300.0, None, None, None], [5]),
        ("num", ["9007199254740992", "-1e16", "1e300"], [2.0**53, None, None], [1, 2]),
        ("num", ["inf", "nan", "1e999", "1,5", "1 000", "True"], [None] * 6, [0, 1, 2, 3, 4, 5]),
        ("num", [1, 2.5, np.nan, True, "4"], [1.0, 2.5, None, 1.0, 4.0], []),
        ("int", ["2004", "2004.0", "2004.5", 2005.0], [2004.0, 2004.0, None, 2005.0], [2]),
        ("bool", ["1", "TRUE", "false", "0.0", 1.0, False, "y", ""], [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, None, None], [6]),
        ("bool", ["Yes", "no", "SÍ", "si", "sim", "Não", "nao"], [1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0], []),
        ("bool", ["VERDADERO", "Falso", "verdadeiro", "2", "-1", "x"], [1.0, 0.0, 1.0, None, None, None], [3, 4, 5]),
        ("id", ["F1 ", 101, 101.0, "0101", "", None], ["F1", "101", "101", "0101", None, None], []),
        ("text", ["NA", "None", "nan", "1.50"], ["NA", "None", "nan", "1.50"], []),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_column_as_its_kind(kind, values, want, bad):
    found, wrong = proved(pd.Series(values, dtype=object), kind)
    assert found == want and [i for i, w in enumerate(wrong) if w] == bad


def test_dates():
    texts = ["2004-02-29", "2004-02-29T10:00:00", "2004-02-29 10:00", "2005-02-29", "29/02/2004", "2004-02", "", "0004-02-29"]
    found, wrong = proved(texts, "date")
    assert found == [pd.Timestamp("2004-02-29")] * 3 + [None] * 5 and wrong == [False] * 3 + [True] * 3 + [False, True]
    stamps = pd.Series(pd.to_datetime(["2004-02-29", None])), pd.Series(pd.to_datetime(["2004-02-29", None]).date, dtype=object)
    for typed in stamps:
        assert proved(typed, "date") == ([pd.Timestamp("2004-02-29"), None], [False, False])


def test_decimal_commas_only_where_they_are_declared():
    comma = Source(folder="data", decimal=",", separator=";")
    assert proved(["1,5", "1.5", "2", "1.234,5", 1.5], source=comma) == (
        [1.5, None, 2.0, None, 1.5],
        [False, True, False, True, False],
    )
    assert proved(["1,5", "1.5"]) == ([None, 1.5], [True, False])
    assert proved(["a,b"], "text", comma) == (["a,b"], [False])


def test_codes_of_ones_own():
    assert proved(["B", "N", "n", ""], "code", recode={"B": "beneficiary", "N": ""}, codes=("beneficiary",)) == (
        ["beneficiary", None, None, None],
        [False, False, True, False],
    )
    assert proved(["-99", "5"], recode={"-99": ""}) == ([None, 5.0], [False, False])


def one_by_one(raw, column, source, recode):
    """What `prove` does, cell by cell."""
    truths = {"1": 1.0, "1.0": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "false": 0.0}  # the words are tested above
    good, wrong = [], []
    for value in raw.astype(object):
        text = (value.strip() or None) if isinstance(value, str) else _plain(value)
        text = recode.get(text, text) or None
        found = text
        if text is not None and column.kind in ("num", "money", "int"):
            number = pd.to_numeric(pd.Series([text], dtype=object), errors="coerce").astype(float)[0]
            found = number if np.isfinite(number) and (column.kind != "int" or number == round(number)) else None
        elif text is not None and column.kind == "bool":
            found = truths.get(text.lower())
        elif text is not None and column.kind == "date":
            found = pd.Timestamp(text) if len(text) == 10 and text[4] == text[7] == "-" else None
        elif column.codes:
            found = text if text in column.codes else None
        good.append(found)
        wrong.append(found is None and text is not None)
    return good, wrong


def test_each_distinct_value_is_read_as_if_alone(tmp_path):
    tables = sample_programme(Knobs(seed=4, n=80, planted_errors=False))
    write({n: tables[n] for n in ("survey", "enterprises", "services")}, tmp_path)
    for name in ("survey", "enterprises", "services"):
        raw = read_file(tmp_path / f"{name}.csv", None, SOURCE).iloc[:60]
        raw.iloc[3, :] = "junk"
        for column, meaning in TABLES[name].named("MXN").items():
            if column in raw:
                values, wrong = prove(raw[column], meaning, SOURCE, {"face": "phone"})
                want = one_by_one(raw[column], meaning, SOURCE, {"face": "phone"})
                assert [None if pd.isna(v) else v for v in values] == want[0] and wrong.tolist() == want[1], column


# ── formats ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def made():
    tables = sample_programme(Knobs(seed=5, n=60, planted_errors=False))
    tables["enterprises"].loc[[0, 1, 2], "municipality"] = ["NA", "None", "1.50"]  # texts, whatever a reader makes of them
    return {n: t for n, t in tables.items() if n in ("enterprises", "survey", "series")}


def saved(tables, folder, suffix):
    for name, table in tables.items():
        path = folder / f"{name}{suffix}"
        if suffix == ".xlsx":
            table.to_excel(path, index=False)
        elif suffix == ".dta":
            texts = table.select_dtypes(["str", "object"]).columns
            dates = dict.fromkeys(table.select_dtypes("datetime"), "td")
            table.assign(**{c: table[c].astype(object).where(table[c].notna(), "") for c in texts}).to_stata(
                path, write_index=False, convert_dates=dates, version=118
            )
        elif suffix == ".parquet":
            table.convert_dtypes().to_parquet(path)
        else:
            write({name: table}, folder)


def test_every_format_gives_the_same_tables(small, made, tmp_path):
    pytest.importorskip("pyarrow")
    found = {}
    for suffix in (".csv", ".xlsx", ".dta", ".parquet"):
        folder = tmp_path / suffix[1:]
        folder.mkdir()
        saved(made, folder, suffix)
        study = small.read().model_copy(update={"data": Source(folder=str(folder))})
        found[suffix] = load(study)
    for suffix, tables in found.items():
        assert not len(tables.faults), (suffix, tables.faults)
        for name, frame in tables.frames.items():
            pd.testing.assert_frame_equal(frame, found[".csv"][name], check_exact=True, obj=f"{name}{suffix}")


def test_what_was_read_is_hashed(small):
    content = (small.data / "survey.csv").read_bytes()
    assert load(small.read()).inputs["survey.csv"] == hashlib.sha256(content).hexdigest()


# ── mapping ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_and_codes_of_ones_own(small):
    want = load(small.read())
    small.tables["survey"] = small.tables["survey"].rename(columns={"sales_kmxn": "Ventas", "ref_year": "Año"})
    small.tables["enterprises"] = small.tables["enterprises"].replace({"arm": {"beneficiary": "1", "nonparticipant": "0"}})
    small.planned(
        data={
            "columns": {"survey": {"sales_kmxn": "Ventas", "ref_year": "Año"}},
            "codes": {"enterprises": {"arm": {"1": "beneficiary", "0": "nonparticipant"}}},
        }
    )
    found = load(small.read())
    assert not len(found.faults)
    for name in want.frames:
        pd.testing.assert_frame_equal(found[name], want[name])


def test_a_mapped_column_goes_before_one_that_has_the_name(small):
    small.tables["survey"]["sales_audited"] = small.tables["survey"]["sales_kmxn"] + 1
    small.planned(data={"columns": {"survey": {"sales_kmxn": "sales_audited"}}})
    assert load(small.read())["survey"]["sales_kmxn"].iloc[0] == 1201.0


def test_names_may_be_exchanged(small):
    small.tables["survey"]["fte"] = 7.0
    small.planned(data={"columns": {"survey": {"fte": "workers_paid", "workers_paid": "fte"}}})
    row = load(small.read())["survey"].iloc[0]
    assert (row["fte"], row["workers_paid"]) == (12.0, 7.0)


def test_another_currency(small):
    small.tables["survey"] = small.tables["survey"].rename(columns={"sales_kmxn": "sales_kusd"})
    small.plan["programme"]["currency"] = "USD"
    assert load(small.save().read())["survey"]["sales_kusd"].iloc[0] == 1200.0


def test_numbers_of_ones_own(small):
    small.tables["survey"]["scrap_rate"] = "1.5"
    small.tables["survey"]["unnamed"] = 1
    small.planned(data={"extra": {"survey": {"scrap_rate": {"en": "Scrap rate"}}}})
    survey = load(small.read())["survey"]
    assert survey["scrap_rate"].eq(1.5).all() and "unnamed" not in survey


def test_ids_that_look_like_numbers_are_texts(small):
    for name in small.tables:
        small.tables[name] = small.tables[name].assign(firm_id=small.tables[name]["firm_id"].str[1:])
    small.save()
    tables = load(small.read())
    assert tables["enterprises"]["firm_id"].iloc[0] == "01" and not len(check(tables, small.read()))


def test_rows_are_numbered_as_in_a_spreadsheet(small):
    assert load(small.read())["survey"].index[[0, -1]].tolist() == [2, 49]


# ── what was not yet known ───────────────────────────────────────────────────────────────────────────────────────────


def test_later_rows_and_events_are_masked(small):
    small.tables["enterprises"]["closed_on"] = ["2005-06-30", "2006-05-01"] + [None] * 10
    small.tables["survey"]["interview_on"] = (small.tables["survey"]["ref_year"] + 1).astype(str) + "-02-15"
    small.tables["services"] = pd.DataFrame(
        {
            "service_id": ["S1", "S2"],
            "firm_id": "F01",
            "start_on": ["2004-05-01", "2006-05-01"],
            "end_on": ["2006-06-01"] * 2,
            "activity_type": "workshop",
        }
    )
    tables = load(small.save().read())  # as of 2006-03-31
    assert tables.masked == {"services": 1} and tables["survey"]["ref_year"].max() == 2005
    assert (
        tables["enterprises"]["closed_on"].notna().tolist() == [True] + [False] * 11 and tables["services"]["end_on"].isna().all()
    )
    tables = load(small.planned(as_of="2005-12-31").read())
    assert tables.masked == {"survey": 12, "services": 1} and tables["survey"]["ref_year"].max() == 2004
    assert tables["enterprises"]["closed_on"].notna().sum() == 1
    tables = load(small.planned(as_of="2005-02-14").read())  # the year 2004 is over, its interviews are not
    assert tables["survey"]["ref_year"].max() == 2003 and tables["enterprises"]["closed_on"].isna().all()


def test_a_fault_in_a_row_that_was_not_yet_known_does_not_block(small):
    small.cell("survey", 3, "sales_kmxn", "x")
    assert load(small.read()).faults["row"].tolist() == [5]
    assert load(small.planned(as_of="2005-12-31").read()).faults.empty


def test_prices_of_later_years_do_not_leak(small):
    small.tables["product_sales"] = pd.DataFrame(
        {
            "firm_id": "F01",
            "ref_year": [2003, 2004, 2005],
            "product_line": "a",
            "market": "domestic",
            "quantity": 1,
            "value_kmxn": 2,
        }
    )
    assert load(small.planned(as_of="2005-12-31").read())["product_sales"]["ref_year"].tolist() == [2003, 2004]


def test_the_shipped_midterm_sees_nothing_later():
    from pathlib import Path

    from pipeval.study.params import read_study

    study = read_study(Path(__file__).parents[1] / "params" / "guanajuato_midterm.yaml")
    tables = load(study)
    for name, frame in tables.frames.items():
        table = TABLES[name]
        for column in (c for c in (table.known_on, *(c.name for c in table.columns if c.event)) if c):
            assert not (frame[column] > pd.Timestamp(study.as_of)).any(), (name, column)
        if table.year:
            assert frame[table.year].max() < 2005, name


# ── corrections ──────────────────────────────────────────────────────────────────────────────────────────────────────


def corrected(small, *rows):
    columns = ["table", "key", "column", "old", "new", "date"]
    small.tables["corrections"] = pd.DataFrame([(*r, "2005-01-01")[:6] for r in rows], columns=columns)
    return load(small.save().read())


def test_agreed_corrections_are_applied_and_listed(small):
    before = (small.data / "survey.csv").read_bytes()
    tables = corrected(
        small,
        ("survey", "F01|2003", "sales_kmxn", "1260.0", "1300"),
        ("enterprises", "F02", "branch", "footwear", "leather"),
        ("enterprises", "F01", "entry_year", "2004", "2005"),
    )
    survey = tables["survey"].set_index(["firm_id", "ref_year"])["sales_kmxn"]
    assert survey["F01", 2003] == 1300.0 and survey["F01", 2004] == 1455.3 and survey["F02", 2003] != 1300.0
    assert tables["enterprises"].set_index("firm_id")["branch"].value_counts().to_dict() == {"footwear": 11, "leather": 1}
    assert tables["enterprises"]["entry_year"].iloc[0] == 2005 and tables["enterprises"]["branch"].iloc[1] == "leather"
    assert len(tables.corrections) == 3 and tables.faults.empty
    assert (small.data / "survey.csv").read_bytes() == before


@pytest.mark.parametrize(
    "row",
    [
        ("survey", "F01|2003", "sales_kmxn", "9", "1300"),
        ("survey", "F01|1999", "sales_kmxn", "1260", "1300"),
        ("survey", "F01", "sales_kmxn", "1260", "1300"),
        ("surveys", "F01|2003", "sales_kmxn", "1260", "1300"),
        ("survey", "F01|2003", "sale", "1260", "1300"),
        ("survey", "F01|2003", "sales_kmxn", "1260", "abc"),
        ("survey", "F01|2003", "response", "complete", "done"),
        ("survey", "F01|2003", "sales_kmxn", "1260", "-4"),
        ("services", "S1", "days", "1", "2"),
    ],
)
def test_a_correction_that_does_not_fit_is_a_query(small, row):
    tables = corrected(small, row)
    assert tables.corrections.empty
    assert tables.faults[["table", "row", "rule", "kind"]].to_numpy().tolist() == [["corrections", 2, "correction_unfit", "query"]]
    assert tables["survey"].set_index(["firm_id", "ref_year"])["sales_kmxn"]["F01", 2003] == 1260.0


def test_a_correction_answers_the_query(small):
    small.cell("survey", 1, "sales_kmxn", -1260)
    assert load(small.read()).faults["rule"].tolist() == ["range"]
    assert corrected(small, ("survey", "F01|2003", "sales_kmxn", "-1260", "1260")).faults.empty


def test_a_correction_agreed_later_is_not_known(small):
    tables = corrected(small, ("survey", "F01|2003", "sales_kmxn", "1260", "1300", "2006-04-01"))
    assert tables.corrections.empty and tables.masked == {"corrections": 1} and tables["survey"]["sales_kmxn"].iloc[1] == 1260.0


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def settled(small, **queries):
    study = small.planned(queries=queries).read()
    tables = load(study)
    with collected() as notes:
        found = settle_queries(tables, check(tables, study), study)
    return found, [str(n) for n in notes]


def test_what_params_say_of_queries(small):
    small.cell("survey", 1, "sales_kmxn", -5).cell("survey", 5, "workers_paid", -1)
    kept, notes = settled(small)
    assert kept["survey"]["sales_kmxn"].iloc[1] == -5 and not notes
    blank, notes = settled(small, range="set_missing", heaped="drop_firm")
    assert blank["survey"][["sales_kmxn", "workers_paid"]].isna().sum().tolist() == [1, 1] and len(blank["survey"]) == 48
    assert notes == ["questioned figures set missing until the firms answer: range 2"]
    gone, notes = settled(small, range="drop_firm")
    assert not {"F01", "F02"} & (set(gone["survey"]["firm_id"]) | set(gone["enterprises"]["firm_id"])) and len(gone["survey"]) == 40
    assert gone.dropped.to_numpy().tolist() == [["F01", "queries", "query"], ["F02", "queries", "query"]]
    assert notes == ["left out until a query is answered: 2 firms (F01, F02)"]
    with pytest.raises(UsageError, match="there is no rule 'heapd'; did you mean 'heaped'"):
        settled(small, heapd="keep")


def test_blocking_faults_stop_with_a_count(small):
    for row in range(7):
        small.tables["survey"].loc[row, "response"] = "x"
    study = small.save().read()
    with pytest.raises(
        DataError, match=r"unknown_code \(7\), in 7 places \(survey row 2 response, .*, …\). Run `pipeval check`"
    ) as refused:
        require_clean(check(load(study), study))
    assert len(refused.value.faults) == 7
