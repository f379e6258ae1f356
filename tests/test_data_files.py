"""Stata and Parquet: labels read, tables written, and the same content in every format."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from linearmodels.datasets import jobtraining

from pipeval import MatchSpec, Panel, match, matched_effect, write_table
from pipeval.data.contract import TABLES
from pipeval.data.load import conform
from pipeval.data.read import read_file
from pipeval.data.sample import Knobs, sample_programme, write
from pipeval.did.matched_data import matched_data
from pipeval.errors import DataError, DesignError
from pipeval.report.data_files import stata_names
from pipeval.report.text import read_text
from pipeval.study.params import read_study
from pipeval.study.specs import Source

SOURCE = Source(folder="data")
ROOT = Path(__file__).parents[1]
STUDY = read_study(ROOT / "params" / "guanajuato_final.yaml")
ES = read_text("es")


def labelled(tmp_path, data, labels=None, version=118, **options):
    path = tmp_path / f"t{version}.dta"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pd.DataFrame(data).to_stata(path, write_index=False, version=version, value_labels=labels or {}, **options)
    return path


def enterprises(path, codes=None, columns=None):
    data = STUDY.data.model_copy(update={"codes": {"enterprises": codes or {}}, "columns": {"enterprises": columns or {}}})
    faults = []
    frame = conform(read_file(path, None, data), TABLES["enterprises"], STUDY.model_copy(update={"data": data}), faults)
    return frame, [f for f in faults if f["rule"] == "unknown_code"]


ARMS = {"firm_id": ["a", "b", "c"], "arm": [1.0, 2.0, np.nan]}


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ({1: "beneficiary", 2: "indirect"}, {}),  # a word that is a code stands for it
        ({1: "Tratada", 2: "No tratada"}, {"Tratada": "beneficiary", "No tratada": "indirect"}),  # params name the words
        ({1: "Tratada", 2: "No tratada"}, {"1": "beneficiary", "2": "indirect"}),  # or the numbers
        ({1: "Tratada"}, {"Tratada": "beneficiary", "2": "indirect"}),  # labels for some of the numbers only
        ({1: "same", 2: "same", 3: "same"}, {"1": "beneficiary", "2": "indirect"}),  # one word for several numbers
        ({1: "indirect", 2: "beneficiary"}, {"1": "beneficiary", "2": "indirect"}),  # params win over the word
        ({}, {"1": "beneficiary", "2": "indirect"}),
    ],
)
def test_params_name_the_number_or_the_word(tmp_path, words, codes):
    path = labelled(tmp_path, ARMS, {"arm": words} if words else {})
    frame, faults = enterprises(path, {"arm": codes})
    assert frame["arm"].tolist()[:2] == ["beneficiary", "indirect"] and pd.isna(frame["arm"].iloc[2]) and not faults


@pytest.mark.parametrize(
    ("words", "want", "wrong"),
    [
        ({0: "No", 1: "Sí"}, [1, None], 1),
        ({1: "Sí", 2: "No"}, [1, 0], 0),
        ({1: "No", 2: "Sí"}, [0, 1], 0),  # the word wins over the number
        ({1: "agreed", 0: "refused"}, [1, None], 1),  # words that say neither leave the numbers
        ({}, [1, None], 1),
    ],
)
def test_the_labels_of_a_yes_or_no_decide_what_its_numbers_mean(tmp_path, words, want, wrong):
    path = labelled(tmp_path, ARMS | {"consent_data": [1.0, 2.0, np.nan]}, {"consent_data": words} if words else {})
    data, faults = STUDY.data.model_copy(update={"codes": {"enterprises": {"arm": {"1": "indirect", "2": "beneficiary"}}}}), []
    frame = conform(read_file(path, None, data), TABLES["enterprises"], STUDY.model_copy(update={"data": data}), faults)
    assert [None if pd.isna(v) else v for v in frame["consent_data"]] == [*want, None]
    assert len([f for f in faults if f["rule"] == "type"]) == wrong


def test_a_label_that_is_no_code_is_a_fault_and_not_a_guess(tmp_path):
    frame, faults = enterprises(labelled(tmp_path, ARMS, {"arm": {1: "Beneficiary", 2: "indirect"}}))
    assert pd.isna(frame["arm"].iloc[0]) and [f["row"] for f in faults] == [2]


def test_labels_follow_a_renamed_column_and_texts_take_the_word(tmp_path):
    path = labelled(
        tmp_path, {"id": [7.0, 8.0], "grp": [1, 2], "mun": [5, 6]}, {"grp": {1: "indirect", 2: "beneficiary"}, "mun": {5: "León"}}
    )
    frame, faults = enterprises(path, columns={"firm_id": "id", "arm": "grp", "municipality": "mun"})
    assert frame["firm_id"].tolist() == ["7", "8"] and frame["arm"].tolist() == ["indirect", "beneficiary"] and not faults
    assert frame["municipality"].tolist() == ["León", "6"]


def test_ids_keep_their_numbers_whatever_they_are_called(tmp_path):
    path = labelled(tmp_path, {"firm_id": [1, 2], "arm": [1, 1]}, {"firm_id": {1: "Zapatos S.A.", 2: "Botas S.A."}})
    assert enterprises(path, {"arm": {"1": "indirect"}})[0]["firm_id"].tolist() == ["1", "2"]


@pytest.mark.parametrize("version", [114, 117, 118, 119])
def test_versions_dates_and_missing_values(tmp_path, version):
    days = pd.Series(pd.to_datetime(["2004-02-29", None]))
    data = {"firm_id": ["a", "b"], "day": days, "clock": days + pd.Timedelta(hours=7), "n": [1.5, np.nan], "year": days}
    path = labelled(tmp_path, data, version=version, convert_dates={"day": "td", "clock": "tc", "year": "ty"})
    frame = read_file(path, None, SOURCE)
    assert frame["day"].iloc[0] == pd.Timestamp("2004-02-29") and frame["clock"].iloc[0] == pd.Timestamp("2004-02-29 07:00")
    assert frame["year"].iloc[0] == 2004 and frame.iloc[1].drop("firm_id").isna().all()
    assert frame.index.tolist() == [2, 3]


def test_extended_missing_values_are_missing(tmp_path):
    path = labelled(tmp_path, {"firm_id": ["a", "b", "c"], "x": [1.0, np.nan, np.nan]}, {"x": {1: "yes"}})
    raw, plain = path.read_bytes(), np.array(np.nan)
    dot, dot_a = (bytes.fromhex(h) for h in ("000000000000e07f", "000000000001e07f"))  # . and .a as doubles
    assert raw.count(dot) >= 2 and plain.size
    at = raw.rfind(dot)
    path.write_bytes(raw[:at] + dot_a + raw[at + 8 :])
    assert read_file(path, None, SOURCE)["x"].isna().tolist() == [False, True, True]


def test_a_damaged_file_is_refused_in_words(tmp_path):
    path = tmp_path / "enterprises.dta"
    path.write_bytes(b"<stata_dta>nothing")
    with pytest.raises(DataError, match=r"cannot read enterprises\.dta: .*save it again"):
        read_file(path, None, SOURCE)


# ── written ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def stata(path):
    with pd.read_stata(path, iterator=True, convert_categoricals=False) as reader:
        return reader.read(), reader.variable_labels(), reader.value_labels()


def test_a_stata_file_holds_labels_dates_and_missing_values(tmp_path):
    frame = pd.DataFrame(
        {
            "branch": ["leather", "footwear", None],
            "outside": pd.array([True, None, False], dtype="object"),
            "x": [1.5, np.inf, np.nan],
            "on": pd.to_datetime(["2003-01-01", None, "2004-05-06"]),
            "2004 año": [1, 2, 3],
            "note": ["ñ" * 2000, "", None],
        },
        index=pd.Index(["F1", "F2", "F3"], name="firm_id"),
    )
    data, labels, words = stata(write_table(frame, tmp_path / "t.dta", language="es", title="Prueba"))
    assert list(data) == ["firm_id", "branch", "outside", "x", "on", "_2004_ano", "note"]
    assert labels["branch"] == "Rama" and labels["_2004_ano"] == "2004 año [2004 año]"
    assert data["branch"].map(words["branch"]).tolist()[:2] == ["Cuero", "Calzado"] and data["branch"].isna().tolist() == [
        False,
        False,
        True,
    ]
    assert (
        data["outside"].tolist()[::2] == [1, 0] and np.isnan(data["outside"][1]) and set(words["outside"].values()) == {"No", "Sí"}
    )
    assert data["x"].isna().tolist() == [False, True, True] and data["on"][2] == pd.Timestamp("2004-05-06")
    assert data["note"][0] == "ñ" * 2000 and data["firm_id"].tolist() == ["F1", "F2", "F3"]
    assert pd.read_stata(tmp_path / "t.dta", convert_dates=False)["on"][0] == 15_706  # days since 1960


def test_what_stata_would_round_is_kept(tmp_path):
    frame = pd.DataFrame({"rfc": [2**53 + 1, 7], "n": [2**31, 1], "at": pd.to_datetime(["2003-01-01 10:30", None])})
    data = stata(write_table(frame, tmp_path / "t.dta"))[0]
    assert data["rfc"].tolist() == ["9007199254740993", "7"] and data["n"].tolist() == [2**31, 1]
    assert data["at"][0] == pd.Timestamp("2003-01-01 10:30")


@pytest.mark.parametrize("suffix", [".dta", ".parquet"])
def test_what_is_no_data_is_refused_by_name(tmp_path, suffix):
    with pytest.raises(DataError, match=r"'mixed' holds 2 kinds \(int, str\)"):
        write_table(pd.DataFrame({"n": [1, 2], "mixed": [1, "x"]}), tmp_path / f"t{suffix}")
    with pytest.raises(DataError, match="'gap' holds timedelta"):
        write_table(pd.DataFrame({"gap": pd.to_timedelta([1, 2])}), tmp_path / f"t{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_stata_file_without_columns_is_refused(tmp_path):
    with pytest.raises(DataError, match="at least one column"):
        write_table(pd.DataFrame(index=range(2)), tmp_path / "t.dta")


@pytest.mark.parametrize("suffix", [".dta", ".parquet"])
def test_the_same_table_gives_the_same_bytes_and_may_be_empty(tmp_path, suffix):
    frame = pd.DataFrame({"branch": ["leather", "x"], "n": [1, 2]})
    one, two = (write_table(frame, tmp_path / f"{name}{suffix}") for name in "ab")
    assert one.read_bytes() == two.read_bytes() and (suffix != ".dta" or b"01 Jan 2000" in one.read_bytes())
    empty = write_table(frame.iloc[:0], tmp_path / f"c{suffix}")
    read = pd.read_stata if suffix == ".dta" else pd.read_parquet
    assert list(read(empty)) == ["branch", "n"] and len(read(empty)) == 0


@pytest.mark.parametrize(("levels", "held"), [([1, 2], [1.0, 2.0]), ([False, True], [0.0, 1.0]), (["a", "b"], ["a", "b"])])
def test_categories_may_be_missing(tmp_path, levels, held):
    frame = pd.DataFrame({"c": pd.Categorical([levels[0], None, levels[1]], categories=levels)})
    back = pd.read_parquet(write_table(frame, tmp_path / "t.parquet"))["c"]
    assert back.isna().tolist() == [False, True, False] and back.dropna().tolist() == levels
    data = stata(write_table(frame, tmp_path / "t.dta"))[0]["c"]
    assert data[[0, 2]].tolist() == held and (data.isna()[1] or data[1] == "")


def test_codes_with_the_same_word_stay_apart(tmp_path):
    data, _, words = stata(write_table(pd.DataFrame({"design": ["adjusted", "adjusted", "common_support"]}), tmp_path / "t.dta"))
    assert data["design"].nunique() == 2 and len(set(words["design"].values())) == 2


def test_names_for_stata():
    assert stata_names(["a" * 40, "a" * 40 + "b", "A" * 32, "if", "", "str5"]) == [
        "a" * 32,
        "a" * 30 + "_2",
        "A" * 30 + "_3",
        "if_",
        "_v",
        "str5_",
    ]


def test_a_named_series_is_a_table(tmp_path):
    index = pd.MultiIndex.from_tuples([(2004.0, "a"), (2004.0, "b")], names=["cohort", "firm_id"])
    back = pd.read_parquet(write_table(pd.Series([1.0, 0.5], index=index, name="weight"), tmp_path / "w.parquet"))
    assert back.to_dict("list") == {"cohort": [2004.0, 2004.0], "firm_id": ["a", "b"], "weight": [1.0, 0.5]}


def test_labels_written_come_back_as_the_codes_they_stand_for(tmp_path):
    made = sample_programme(Knobs(seed=5, n=40, planted_errors=False))
    for table in ("enterprises", "survey", "services"):
        columns, frame = TABLES[table].named("MXN"), made[table].reset_index(drop=True)
        frame = frame[[c for c in frame if columns[c].kind != "text"]]
        path = write_table(frame, tmp_path / f"{table}.dta", language="es")
        words = {c: {ES.label(c, code): code for code in columns[c].codes} for c in frame if columns[c].codes}
        data = STUDY.data.model_copy(update={"codes": {table: words}, "columns": {}})
        study = STUDY.model_copy(update={"data": data})
        faults = []
        back = conform(read_file(path, None, data), TABLES[table], study, faults)[list(frame)]
        write({table: made[table]}, tmp_path)
        plain = conform(read_file(tmp_path / f"{table}.csv", None, data), TABLES[table], study, [])[list(frame)]
        assert not [f for f in faults if f["rule"] in ("unknown_code", "type")]
        pd.testing.assert_frame_equal(back, plain)


# ── a matched sample goes on elsewhere ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def firms():
    frame = jobtraining.load()
    frame["start"] = frame["year"].where(frame["grant"] == 1).groupby(frame["fcode"]).transform("min")
    return Panel.from_frame(
        frame,
        firm_id="fcode",
        period="year",
        cohort="start",
        outcomes=["lscrap"],
        covariates=["lemploy", "union"],
        base_period=1987,
    )


def test_matched_data_hold_the_weights_of_every_comparison(firms, tmp_path):
    sample = match(firms.firms, MatchSpec(covariates=("lemploy", "union"), method="nearest", ratio=2, replace=True))
    table = matched_data(firms, sample)
    assert not table.duplicated(["match_cohort", "firm_id", "period"]).any() and set(table["period"]) == {1987, 1988, 1989}
    weights = table[table["period"] == 1987].set_index(["match_cohort", "firm_id"])["weight"]
    pd.testing.assert_series_equal(weights.sort_index(), sample.weights, check_names=False, check_index_type=False)
    assert (table.loc[table["role"] == "treated", "cohort"] == table.loc[table["role"] == "treated", "match_cohort"]).all()
    assert np.isinf(table.loc[table["role"] == "control", "cohort"]).all()
    assert table.loc[table["n_sets"] > 1, "set_id"].isna().all() and table.loc[table["n_sets"] == 1, "set_id"].notna().all()
    back, _, words = stata(write_table(table, tmp_path / "m.dta"))
    assert back["cohort"].isna().sum() == (table["role"] == "control").sum() and set(words["role"].values()) == {
        "Treated",
        "Control",
    }


def test_a_weighted_difference_of_the_table_is_the_effect(firms):
    sample = match(firms.firms, MatchSpec(covariates=("lemploy", "union"), method="ebal"), until=1988)
    wide = matched_data(firms, sample).pivot(index=["firm_id", "role", "weight"], columns="period", values="lscrap")
    change = (wide[1988] - wide[1987]).dropna().reset_index(name="change")
    arms = {role: np.average(part["change"], weights=part["weight"]) for role, part in change.groupby("role")}
    effect = matched_effect(sample, (firms.wide("lscrap")[1988] - firms.wide("lscrap")[1987])).table["estimate"].iloc[0]
    assert arms["treated"] - arms["control"] == pytest.approx(effect, abs=1e-8)


def test_what_does_not_belong_together_is_refused(firms):
    sample = match(firms.firms, MatchSpec(covariates=("lemploy",)))
    other = Panel(firms.firms.iloc[:20], firms.outcomes.loc[firms.firms.index[:20]])
    with pytest.raises(DesignError, match="must be in the panel"):
        matched_data(other, sample)
    named = Panel(firms.firms.assign(weight=1.0), firms.outcomes)
    with pytest.raises(DesignError, match=r"1 such name \(weight\)"):
        matched_data(named, sample)
