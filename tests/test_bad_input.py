"""Bad input ends in a named error that says what to do, or in a correct answer: never in a traceback or another estimate."""

from __future__ import annotations

import os
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from pipeval import NEVER, Panel, att_gt
from pipeval.cli import main
from pipeval.errors import DataError, DesignError, EstimationError, PipevalWarning, collected
from pipeval.study.specs import DidSpec

# ── a data frame of one's own ────────────────────────────────────────────────────────────────────────────────────────


def frame(n=40, treated=16, seed=7, periods=(1, 2, 3)):
    """Firms a… with a covariate x; the first `treated` are treated from period 2 on."""
    rng = np.random.default_rng(seed)
    ids = [f"f{i:02d}" for i in range(n)]
    x, effect = rng.normal(size=n), rng.normal(size=n)
    rows = [
        {
            "firm": f,
            "year": t,
            "start": 2 if i < treated else 0,
            "x": x[i],
            "y": effect[i] + 0.3 * t + 0.5 * x[i] * t + rng.normal(),
        }
        for i, f in enumerate(ids)
        for t in periods
    ]
    return pd.DataFrame(rows)


def panel(table, covariates=("x",), **more):
    names = {"firm_id": "firm", "period": "year", "cohort": "start", "outcomes": ["y"], "covariates": list(covariates)}
    return Panel.from_frame(table, **(names | more))


WITH_X = DidSpec(covariates=("x",))


def estimates(table, spec=WITH_X, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return att_gt(panel(table, **more), "y", spec).table


@pytest.fixture(scope="module")
def good():
    return estimates(frame())


def same(found, good):
    pd.testing.assert_frame_equal(found, good, check_exact=False, rtol=1e-12, atol=1e-12)


def test_duplicate_firm_years():
    table = frame()
    with pytest.raises(DataError, match=r"firm-period stands once.*6 firm-periods \(\('f00', 1\).*…\).*Keep one row"):
        panel(pd.concat([table, table.iloc[:6]]))


def test_cohort_varies_within_a_firm():
    table = frame()
    table.loc[[1, 4], "start"] = [3, 0]
    with pytest.raises(DataError, match=r"one value for a firm.*2 firms \(f00, f01\).*not a yearly treatment dummy"):
        panel(table)


def test_everyone_treated_in_all_periods():
    with pytest.raises(DesignError, match="treated in all periods. Add earlier periods"), warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        att_gt(panel(frame(treated=40).assign(start=1)), "y")


def test_no_one_treated():
    with pytest.raises(DesignError, match="no firm is treated within the periods 1–3"):
        att_gt(panel(frame(treated=0)), "y")


def test_no_never_treated():
    table = frame(treated=20)
    table["start"] = table["start"].where(table["start"] > 0, 3)
    with pytest.raises(DesignError, match="needs never-treated firms and there is none; use comparison: not_yet_treated"):
        att_gt(panel(table), "y", DidSpec(comparison="never_treated"))
    found = estimates(table)  # the later cohort is the comparison until it enters
    assert found.set_index(["cohort", "period"]).loc[(2, 2), "n_control"] == 20 and (2, 3) not in set(
        zip(found.cohort, found.period)
    )


def test_no_comparison_left_for_a_cell():
    table = frame(treated=20)
    table["start"] = table["start"].where(table["start"] > 0, 3)
    with collected() as notes:
        att_gt(panel(table), "y")
    (note,) = [n for n in notes if n.key == "no_comparison"]
    assert "cohort 2, 1→3" in str(note) and "cohort 3, 2→3" in str(note)
    with pytest.raises(DesignError, match="no cell can be estimated.*without comparison firms"), collected():
        att_gt(panel(frame(treated=40)), "y")


def clusters(n):
    ids = frame()["firm"].unique()
    return pd.Series([f"c{(i % 16) * n // 16}" for i in range(len(ids))], index=ids)


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_clusters(n):
    with pytest.raises(DesignError, match=f"at least three clusters; found {n}.*cluster: firm_id"):
        att_gt(panel(frame()), "y", DidSpec(), clusters=clusters(n))


def test_three_clusters_are_warned_of_and_use_t_2():
    with collected() as notes:
        found = att_gt(panel(frame()), "y", DidSpec(), clusters=clusters(3)).table
    assert "as few as 3 clusters; tests use t(2)" in str(next(n for n in notes if n.key == "few_clusters"))
    row = found[found["phase"] == "post"].iloc[0]
    assert row["df"] == 2 and row["std_error"] > 0
    assert (row["conf_high"] - row["estimate"]) / row["std_error"] == pytest.approx(4.302652729911275, rel=1e-8)


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"c": lambda t: 1.0}, "c"),
        ({"z": lambda t: 2 * t["x"] + 1}, "x|z"),
        ({"a": lambda t: (t["x"] > 0) * 1.0, "b": lambda t: (t["x"] <= 0) * 1.0}, "a|b"),
    ],
    ids=["constant", "multiple", "dummies"],
)
def test_constant_or_collinear_covariate(columns, named):
    table = frame().assign(**columns)
    names = ["x", *columns] if "a" not in columns else list(columns)
    with pytest.raises(EstimationError, match=named):
        estimates(table, DidSpec(covariates=tuple(names)), covariates=names)


def test_separation_names_the_covariate():
    table = frame()
    table["big"] = (table["start"] > 0) * 10.0 + table["x"]
    with pytest.raises(EstimationError, match="big"):
        estimates(table, DidSpec(covariates=("x", "big")), covariates=["x", "big"])


def test_a_firm_without_a_covariate_leaves_with_a_count(good):
    table = frame()
    table.loc[table["firm"].isin(["f01", "f30"]), "x"] = np.nan
    with collected() as notes:
        found = att_gt(panel(table), "y", DidSpec(covariates=("x",))).table
    assert "missing covariate: 2 firms (f01, f30)" in str(next(n for n in notes if n.key == "missing_covariate"))
    same(found, estimates(table[~table["firm"].isin(["f01", "f30"])]))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_outcome(value):
    table = frame()
    table.loc[4, "y"] = value
    with pytest.raises(DataError, match=r"finite or missing; 1 infinite.*'y'.*\('f01', 2\).*logarithm of zero"):
        panel(table)


def test_text_in_a_number_column():
    table = frame().astype({"y": object})
    table.loc[:6, "y"] = [f"bad{i}" for i in range(7)]
    with pytest.raises(
        DataError, match=r"'y' must hold numbers; found 7 other values \(bad0, bad1, bad2, bad3, bad4, …\) in 7 row"
    ):
        panel(table)


@pytest.mark.parametrize(
    "dtype",
    [
        {"y": "Float64", "year": "Int64", "start": "Int64", "x": "Float64"},
        {"y": "double[pyarrow]", "year": "int64[pyarrow]", "start": "int64[pyarrow]", "firm": "string[pyarrow]"},
        {"firm": "category"},
        {"firm": "category", "start": "category"},
        {"y": object, "start": float, "firm": object},
        {"year": "int8", "start": "uint8"},
    ],
)
def test_types_of_columns_do_not_matter(dtype, good):
    if any("pyarrow" in str(d) for d in dtype.values()):
        pytest.importorskip("pyarrow")
    same(estimates(frame().astype(dtype)), good)


def test_missing_values_of_nullable_types(good):
    table = frame()
    gone = table.index[[3, 50]]
    plain = table.assign(y=table["y"].where(~table.index.isin(gone)))
    same(estimates(plain.convert_dtypes()), estimates(plain))


def test_shuffled_rows_and_unused_categories(good):
    table = frame().sample(frac=1, random_state=3)
    same(estimates(table), good)
    table["firm"] = pd.Categorical(table["firm"], categories=["nobody", *sorted(table["firm"].unique(), reverse=True)])
    same(estimates(table), good)


@pytest.mark.parametrize("code", [np.nan, None, pd.NA, pd.NaT, 0, -1, np.inf], ids=str)
def test_never_treated_in_every_code(code, good):
    table = frame().astype({"start": object})
    table["start"] = [code if v == 0 else v for v in table["start"]]
    same(estimates(table), good)


@pytest.mark.parametrize(
    "convert",
    [pd.to_datetime, lambda s: pd.to_datetime(s).dt.date, lambda s: pd.PeriodIndex(s, freq="Y")],
    ids=["stamp", "date", "period"],
)
def test_dates_are_their_years(convert, good):
    table = frame()
    table["year"] = convert((table["year"] + 2000).astype(str) + "-06-30")
    starts = convert(pd.Series(["2002-06-30"] * len(table)))
    table["start"] = pd.Series(starts).where((table["start"] > 0), pd.NaT)
    found = estimates(table)
    assert found["cohort"].unique().tolist() == [2002]
    np.testing.assert_allclose(found["estimate"], good["estimate"], rtol=1e-12)


@pytest.mark.parametrize("value", [-np.inf, 2.5, -2.5])
def test_a_cohort_that_is_no_period(value):
    table = frame().astype({"start": float})
    table.loc[table["firm"] == "f03", "start"] = value
    with pytest.raises(DataError, match=r"whole period or NEVER; it is not for 1 firm \(f03\)"):
        panel(table)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.5, "soon"])
def test_a_period_that_is_none(value):
    table = frame().astype({"year": object})
    table.loc[4, "year"] = value
    with pytest.raises(DataError, match="year' must hold .*numbers"):
        panel(table)


def test_missing_and_repeated_columns_of_a_frame():
    with pytest.raises(DataError, match="1 column .outcome_y. that it lacks"):
        panel(frame(), outcomes=["outcome_y"])
    with pytest.raises(DataError, match="did you mean 'start'"):
        panel(frame(), cohort="strat")
    table = frame()
    with pytest.raises(DataError, match="repeats 1 column"):
        panel(pd.concat([table, table[["y"]]], axis=1))
    with pytest.raises(DataError, match="the frame is empty"):
        panel(table.iloc[:0])
    with pytest.raises(DataError, match=r"needs a firm id; 1 row \(3\)"):
        panel(table.assign(firm=table["firm"].where(table.index != 3)))


def test_a_covariate_that_varies_is_read_at_the_base_period():
    table = frame()
    table["z"] = table["x"] + table["year"]
    with pytest.raises(DataError, match=r"'z' varies within 40 firms.*give base_period"):
        panel(table, covariates=["z"])
    with pytest.raises(DataError, match="base_period 9, not in the frame .1–3."):
        panel(table, covariates=["z"], base_period=9)
    one = panel(table, covariates=["z"], base_period=1)
    assert one.firms.at["f00", "z"] == pytest.approx(table.at[0, "x"] + 1)


def test_a_panel_that_is_wrong_cannot_be_built():
    firms = pd.DataFrame({"cohort": [2.0, NEVER]}, index=["a", "b"])
    outcomes = pd.DataFrame({"y": [1.0, 2.0]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 1)]))
    assert Panel(firms, outcomes).outcomes.index.names == ["firm_id", "period"]
    for bad_firms, bad_outcomes, said in [
        (firms.rename(columns={"cohort": "start"}), outcomes, "lacks"),
        (pd.concat([firms, firms.iloc[:1]]), outcomes, "1 firm"),
        (firms.assign(cohort=[np.nan, 2]), outcomes, r"missing for 1 firm \(a\)"),
        (firms.iloc[:1], outcomes, r"1 firm \(b\) have none"),
        (firms, outcomes.droplevel(1), "indexed by firm_id and period"),
        (firms, outcomes.assign(y=["1", "many"]), "must hold numbers"),
    ]:
        with pytest.raises(DataError, match=said):
            Panel(bad_firms, bad_outcomes)


# ── files, at the command line ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def refused(small, capsys):
    """Run `pipeval check`; the exit code must be this and the message, without a traceback, must say these things."""

    def run(code: int, *said: str):
        found = small.check()
        out, err = capsys.readouterr()
        assert found == code, out + err
        assert "Traceback" not in out + err and "unexpected" not in err
        for words in said:
            assert words in out + err, out + err
        return out + err

    return run


def test_the_small_study_is_clean(small, refused):
    refused(0, "0 blocking faults, 0 queries", "4 treated, 8 never treated", "not supplied: product_sales, services, ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        ("﻿".encode(), "it is empty"),
        (b"\x00\xff\xfe\x80", "is not utf-8 text"),
    ],
)
def test_empty_or_binary_file(small, refused, content, said):
    small.file("survey.csv", content)
    refused(10, "survey.csv", said)


def test_a_header_without_rows(small, refused):
    small.tables = {n: t.iloc[:0] for n, t in small.tables.items()}
    small.save()
    refused(10, "enterprises and survey hold no row")


def test_a_table_whose_rows_are_all_of_later_years(small, refused):
    small.tables["survey"]["ref_year"] = 2008
    small.save()
    refused(10, "survey holds no row known on 2006-03-31")


def test_missing_columns_name_the_nearest(small, refused):
    small.tables["survey"] = small.tables["survey"].rename(columns={"ref_year": "ref_yaer", "sales_kmxn": "sales_mxn"})
    small.save()
    text = refused(10, "missing_column", "did you mean 'ref_yaer'", "did you mean 'sales_mxn'", "1 blocking fault, 1 query")
    assert text.count("[blocking]") == 1


def test_byte_order_mark_is_read(small, refused):
    for name in small.tables:
        content = (small.data / f"{name}.csv").read_bytes()
        small.file(f"{name}.csv", b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    refused(0, "0 blocking faults")


def semicolons(small):
    for name, table in small.tables.items():
        table.to_csv(small.data / f"{name}.csv", index=False, sep=";", decimal=",")


def test_semicolons_and_decimal_commas(small, refused):
    from pipeval.data.load import load

    want = load(small.read())["survey"]
    semicolons(small)
    refused(10, "its separator seems ';': set data.separator")
    small.planned(data={"separator": ";"})
    semicolons(small)
    firms = "48 rows of 12 firms (F01, F02, F03, F04, F05, …)"
    refused(10, f"[blocking] survey, sales_kmxn: type, {firms}, found '1200,0'", "declare data.decimal")
    small.planned(data={"decimal": ","})
    semicolons(small)
    refused(0, "0 blocking faults")
    pd.testing.assert_frame_equal(load(small.read())["survey"], want)


def test_a_full_stop_in_a_decimal_comma_file_is_no_number(small, refused):
    small.planned(data={"separator": ";", "decimal": ","}).cell("survey", 0, "sales_kmxn", "1.200")
    semicolons(small)
    refused(10, "found '1.200'", "without thousands separators")


def test_text_that_is_no_number(small, refused):
    texts = ["1,200.5", "1 200", "12k", "inf", "nan", "1e999", "#N/A", "=1+1", "1_000", "0x1F", "-"]
    small.tables["survey"] = small.tables["survey"].astype({"sales_kmxn": object})
    small.tables["survey"].loc[: len(texts) - 1, "sales_kmxn"] = texts
    small.save()
    refused(
        10,
        "[blocking] survey, sales_kmxn: type, 11 rows of 3 firms (F01, F02, F03), "
        "found '1,200.5', '1 200', '12k', 'inf', 'nan', …; write a number",
    )
    assert small.faults()["value"].tolist() == [f"'{t}" if t[0] in "=-" else t for t in texts]
    assert small.faults()["firm_id"].value_counts().to_dict() == {"F01": 4, "F02": 4, "F03": 3}


def test_a_huge_number_is_questioned_and_beyond_whole_units_it_is_none(small, refused):
    small.cell("survey", 3, "sales_kmxn", str(2**53 - 1))
    refused(0, "[query] survey row 5, sales_kmxn: unit_error")
    small.cell("survey", 3, "sales_kmxn", "1e300")
    refused(10, "[blocking] survey row 5, sales_kmxn: type, found '1e300'", "at most 2⁵³")


@pytest.mark.parametrize("year", ["20004", "204", "2004.5", "two"])
def test_a_year_that_is_none(small, refused, year):
    small.cell("survey", 3, "ref_year", year)
    refused(10, "survey row 5, ref_year")


def test_wrong_encoding(small, refused):
    small.tables["enterprises"]["municipality"] = "León"
    small.save()
    small.file("enterprises.csv", (small.data / "enterprises.csv").read_text("utf-8").encode("latin-1"))
    refused(10, "enterprises.csv is not utf-8 text; set data.encoding", "latin-1")
    small.planned(data={"encoding": "latin-1"})
    small.file("enterprises.csv", (small.data / "enterprises.csv").read_text("utf-8").encode("latin-1"))
    refused(0)
    small.planned(data={"encoding": "latin-9000"})
    refused(10, "latin-9000")


def test_dates_that_are_not_iso(small, refused):
    texts = ["31/12/2004", "12-31-2004", "2004", "2004-02-31", "2004-1-5", "soon", "2004-05-06x", "20040506"]
    small.tables["enterprises"]["registered_on"] = texts + [None] * 4
    small.save()
    refused(10, "enterprises, registered_on: type, 8 firms (F01, ", "'2004-02-31', '2004-1-5', …; write a date as year-month-day")
    assert small.faults()["value"].tolist() == texts


def test_unknown_codes_name_the_nearest(small, refused):
    small.cell("enterprises", 5, "arm", "nonparticipants").cell("survey", 0, "response", "done")
    refused(
        10,
        "enterprises row 7, arm: unknown_code, found \"nonparticipants; did you mean 'nonparticipant'?",
        "survey row 2, response: unknown_code",
    )


def test_a_beneficiary_without_entry_year(small, refused):
    small.cell("enterprises", 1, "entry_year", None)
    refused(10, "entry_year_missing", "F02", "not a control but an error")


def test_a_firm_that_no_one_knows(small, refused):
    small.cell("survey", 7, "firm_id", "F99")
    refused(10, "unknown_firm, found 'F99' (firm F99); add the firm to enterprises")


def test_rows_without_a_firm_are_shown(small, refused):
    small.cell("survey", 7, "firm_id", None)
    refused(10, "survey row 9, firm_id: needed; fill the cell")


def test_duplicate_keys(small, refused):
    small.tables["survey"] = pd.concat([small.tables["survey"], small.tables["survey"].iloc[:2]])
    small.tables["enterprises"] = pd.concat([small.tables["enterprises"], small.tables["enterprises"].iloc[:1]])
    small.save()
    refused(
        10,
        "[blocking] enterprises row 14, firm_id: duplicate_key",
        "survey, firm_id|ref_year: duplicate_key, 2 rows of 1 firm (F01); keep",
        "keep one row",
    )


def test_duplicated_columns(small, refused):
    table = small.tables["survey"]
    pd.concat([table, table[["sales_kmxn"]]], axis=1).to_csv(small.data / "survey.csv", index=False)
    refused(10, "survey.csv: each column stands once; 'sales_kmxn' stands twice")
    (small.data / "survey.csv").unlink()
    with pd.ExcelWriter(small.data / "survey.xlsx") as book:
        pd.concat([table, table[["sales_kmxn"]]], axis=1).to_excel(book, index=False)
    refused(10, "survey.xlsx: each column stands once; 'sales_kmxn' stands twice")


def test_rows_of_different_length(small, refused):
    text = (small.data / "survey.csv").read_text()
    small.file("survey.csv", text.replace("F01,2003,complete,12,", "F01,2003,complete,12,1,2,"))
    refused(10, "cannot read survey.csv", "line 3")


def test_blank_rows_keep_the_numbers_of_the_others(small, refused):
    text = (small.data / "survey.csv").read_text().splitlines()
    text[3:3] = ["", ",,,,"]
    small.file("survey.csv", "\n".join(text).replace("F01,2005,complete,12", "F01,2005,complete,dozen") + "\n\n")
    refused(10, "survey row 7, workers_paid: type, found 'dozen'", "1 blocking fault")


def test_no_data_folder(small, refused):
    small.planned(data={"folder": "elsewhere"})
    refused(10, "elsewhere does not exist; correct data.folder or give --data")


def test_no_survey(small, refused):
    (small.data / "survey.csv").unlink()
    refused(10, "needs the tables enterprises, survey; survey not found")


def test_a_file_that_params_name_is_not_there(small, refused):
    small.planned(data={"files": {"survey": "surve.csv"}})
    refused(10, "params give 'surve.csv' for the table survey", "did you mean 'survey.csv'?")


def test_a_mapping_of_what_does_not_exist(small, refused):
    small.planned(data={"files": {"surveys": "survey.csv"}})
    refused(2, "data.files: there is no table 'surveys'; did you mean 'survey'?")
    small.planned(data={"files": {}, "columns": {"survey": {"sales_kusd": "ventas"}}})
    refused(2, "data.columns.survey: there is no column 'sales_kusd'; did you mean 'sales_kmxn'?")
    small.planned(data={"columns": {"survey": {"sales_kmxn": "ventas"}}})
    refused(10, "survey.sales_kmxn is the column 'ventas', which the file lacks")
    small.planned(data={"columns": {}, "extra": {"survey": {"scrap_rate": {"en": "Scrap"}}}})
    refused(10, "scrap_rate: missing_column")


def test_a_sheet_that_is_not_there(small, refused):
    pytest.importorskip("openpyxl")
    with pd.ExcelWriter(small.data / "book.xlsx") as book:
        for name, table in small.tables.items():
            table.to_excel(book, sheet_name=name, index=False)
        pd.DataFrame().to_excel(book, sheet_name="blank", index=False)
    small.planned(data={"files": {"enterprises": "book.xlsx::enterprises", "survey": "book.xlsx::survey"}})
    refused(0, "0 blocking faults, 0 queries")
    small.planned(data={"files": {"survey": "book.xlsx::surveys"}})
    refused(10, "book.xlsx has no sheet 'surveys'; it has enterprises, survey, blank")
    small.planned(data={"files": {"survey": "book.xlsx::blank"}})
    refused(10, "the sheet is empty")


@pytest.mark.parametrize("suffix", [".xlsx", ".dta", ".parquet"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"firm_id,arm\nF01,beneficiary\n"])
def test_damaged_files(small, refused, suffix, content):
    (small.data / "survey.csv").unlink()
    small.file(f"survey{suffix}", content)
    refused(10, f"cannot read survey{suffix}", "save it again")


def test_another_kind_of_file(small, refused):
    small.file("survey.ods", b"").planned(data={"files": {"survey": "survey.ods"}})
    refused(10, "survey.ods: tables come as .csv, .xlsx, .dta, .parquet")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_table_that_is_a_link_out_of_the_folder(small, refused, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "survey.csv"
    (small.data / "survey.csv").rename(outside)
    (small.data / "survey.csv").symlink_to(outside)
    refused(2, "'survey.csv' leaves it through a link")


# ── designs that cannot be carried out ───────────────────────────────────────────────────────────────────────────────


def test_no_treated_firm_in_the_branches(small, refused):
    small.planned(treatment={"definition": "component2", "branches": ["garment"]})
    refused(11, "plan: no firm is treated under the definition 'component2'")


def test_no_comparison_firm(small, refused):
    small.tables["enterprises"] = small.tables["enterprises"].assign(arm="beneficiary", entry_year=2004)
    small.save()
    assert "plan:" in refused(11)


def test_a_measure_that_does_not_exist(small, refused):
    small.planned(outcomes=[{"id": "ln_sales", "measure": "slaes", "label": {"en": "Sales"}}])
    refused(11, "there is no measure 'slaes'; did you mean 'sales'?")


def test_constant_prices_without_a_series(small, refused):
    small.planned(money={"headline": "real", "deflator": "inpc", "base_year": 2003})
    refused(11, "constant prices need the table series with 'inpc'")
    small.tables["series"] = pd.DataFrame({"series": "inpc", "year": [2002, 2003], "value": [95.65, 100.0], "base": "2003"})
    small.save()
    refused(10, "needs a value for every year of the survey; missing 2 years (2004, 2005)")
    small.planned(money={"deflator": "ipc"})
    refused(11, "params name the series 'ipc', which the series table lacks; did you mean 'inpc'?")


def test_separation_in_the_match(small, refused):
    small.tables["enterprises"]["workers_baseline"] = [100, 110, 120, 130, 2, 3, 4, 5, 6, 7, 8, 9]
    small.save()
    refused(12, "plan:", "ln_workers")


# ── output that cannot be written ────────────────────────────────────────────────────────────────────────────────────


def test_a_table_of_faults_that_cannot_be_written(small, capsys):
    for place in (small.root, small.data / "survey.csv" / "faults.csv"):
        assert main(["check", str(small.params), "--out", str(place)]) == 1
        text = capsys.readouterr().err
        assert "cannot write" in text and "choose another place with --out" in text


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="every folder can be written")
def test_a_read_only_folder(small, capsys):
    closed = small.root / "closed"
    closed.mkdir(mode=0o500)
    assert main(["check", str(small.params), "--out", str(closed / "faults.csv")]) == 1
    assert "cannot write" in capsys.readouterr().err
