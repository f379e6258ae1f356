"""Letters to firms: what each is asked, nothing of anyone else, nothing that could become markup; answers load as corrections."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from conftest import ROOT

from pipeval.cli import main
from pipeval.data.check import ACTIONS, check
from pipeval.data.contract import TABLES
from pipeval.data.load import load
from pipeval.errors import UsageError
from pipeval.report.letters import AGENCY, answer_sheet, firm_rules, query_letters, study_letters, write_letters
from pipeval.report.text import languages, read_text
from pipeval.study.params import read_study


def asked(small, language="en"):
    study = small.save().read()
    tables = load(study)
    faults = check(tables, study)
    return query_letters(faults, tables, study, language), answer_sheet(faults, tables, study), faults, study


def spoilt(small):
    """F01's sales a thousandfold in 2004; F02 with sales and no workers in 2003; F09 a control that received a service."""
    small.cell("survey", 2, "sales_kmxn", 1455.25 * 1000).cell("survey", 5, "workers_paid", 0)
    small.tables["services"] = pd.DataFrame(
        {"service_id": ["S1"], "firm_id": "F09", "start_on": "2004-05-01", "activity_type": "workshop"}
    )
    return small


def test_one_letter_a_firm_and_one_to_the_agency(small):
    letters, sheet, faults, _ = asked(spoilt(small))
    assert set(faults["rule"]) == {"unit_error", "workers_zero", "participant_in_controls"}
    assert list(letters) == ["F01", "F02", AGENCY]
    assert "| 2004 | Total sales (thousand MXN) | 1,455,250 | Is the amount in thousands?" in letters["F01"].replace("\\", "")
    assert "| 2003 | Paid workers | 0 | There are sales but no worker." in letters["F02"]
    assert "F02" not in letters["F01"] and "F01" not in letters["F02"]
    assert "F09" in letters[AGENCY] and "F01" not in letters[AGENCY]
    assert sheet.to_numpy().tolist() == [
        ["survey", "F01|2004", "sales_kmxn", "1455250", "1455250", "", ""],
        ["survey", "F02|2003", "workers_paid", "0", "0", "", ""],
        ["enterprises", "F09", "arm", "nonparticipant", "nonparticipant", "", ""],
    ]


def test_the_same_letter_in_spanish(small):
    letters, *_ = asked(spoilt(small), "es")
    assert letters["F01"].startswith("# Empresa F01\n")
    assert "Ventas totales (miles de MXN)" in letters["F01"] and "¿La cantidad está en miles?" in letters["F01"]
    assert "Organismo" not in letters["F01"] and "organismo ejecutor" in letters[AGENCY]


def test_what_comes_from_files_never_becomes_markup(small):
    firm = "=F*0*<b>[x](y)|1"
    for name in ("enterprises", "survey"):
        small.tables[name]["firm_id"] = small.tables[name]["firm_id"].replace("F01", firm)
    small.cell("survey", 2, "sales_kmxn", 1_455_000)
    small.plan["programme"]["name"] = {"en": "A <script>alert(1)</script> | programme"}
    letters, sheet, *_ = asked(small)
    letter = letters[firm]
    assert "<b>" not in letter and "<script>" not in letter and "*0*" not in letter and "](y)" not in letter
    row = next(line for line in letter.splitlines() if line.startswith("| 2004"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 6  # five cells, whatever the id holds
    assert sheet["key"].tolist() == [f"{firm}|2004"]


def test_formulas_stay_texts_in_the_sheet(small, tmp_path):
    study = small.read()
    sheet = pd.DataFrame(
        [["survey", "=F01|2004", "sales_kmxn", "-12.5", "@cmd", "", ""]],
        columns=["table", "key", "column", "old", "new", "source", "date"],
    )
    write_letters(tmp_path / "x", {}, sheet, study, "en", formats=("md",))
    for read in (pd.read_csv, pd.read_excel):
        found = read(tmp_path / "x" / ("answers.csv" if read is pd.read_csv else "answers.xlsx"), dtype=str)
        assert found.loc[0, ["key", "old", "new"]].tolist() == ["'=F01|2004", "-12.5", "'@cmd"]
    assert "no open questions" in (tmp_path / "x" / "letters.en.md").read_text()


@pytest.mark.parametrize("name", ["answers.csv", "answers.xlsx"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_answers_load_as_corrections(small, tmp_path, name, decimal):
    spoilt(small)
    separator = ";" if decimal == "," else ","
    small.planned(data={"decimal": decimal, "separator": separator})
    for table, frame in small.tables.items():
        frame.infer_objects().to_csv(small.data / f"{table}.csv", index=False, sep=separator, decimal=decimal)
    study = small.read()
    tables = load(study)
    faults = check(tables, study)
    sheet = answer_sheet(faults, tables, study)
    write_letters(tmp_path / "x", {}, sheet, study, "en", formats=())
    options = {"sep": separator} if name.endswith("csv") else {}
    answers = (pd.read_csv if options else pd.read_excel)(tmp_path / "x" / name, dtype=str, keep_default_na=False, **options)
    answers.loc[0, ["new", "source", "date"]] = [f"1455{decimal}25", "letter", "2005-01-10"]  # the others are left as they came
    if options:
        answers.to_csv(small.data / "corrections.csv", index=False, sep=separator)
    else:
        answers.to_excel(small.data / "corrections.xlsx", index=False)
    again = load(study)
    assert again.faults.empty and len(again.corrections) == 3
    assert again["survey"].loc[4, "sales_kmxn"] == 1455.25
    pd.testing.assert_series_equal(again["survey"]["workers_paid"], tables["survey"]["workers_paid"])
    assert set(check(again, study)["rule"]) == {"workers_zero", "participant_in_controls"}


def worded(language: str, part: str) -> dict[str, str]:
    start = f"letter.{part}."
    return {k.removeprefix(start): v for k, v in read_text(language).entries.items() if k.startswith(start)}


@pytest.mark.parametrize("language", languages())
def test_every_rule_has_its_question(language):
    ask, agency = worded(language, "ask"), worded(language, "agency")
    assert not ask.keys() & agency.keys() and ask.keys() | agency.keys() == ACTIONS.keys()
    assert firm_rules(read_text(language)) == list(ask)


@pytest.mark.parametrize("language", languages())
def test_every_figure_of_a_firm_has_a_name(language):
    named = worded(language, "figure")
    assert {c.name.removesuffix("_k{cur}") for c in TABLES["survey"].columns} <= named.keys()
    numbers = [c.name for c in TABLES["services"].columns if c.kind in ("num", "int") and c.low is not None]
    assert set(numbers) <= named.keys()


STATISTICS = {
    "en": "median|average|standard|outlier|control group",
    "es": "mediana|promedio|estándar|atípic|grupo de control",
    "pt": "mediana|média|padrão|atípic|grupo de controle",
}


@pytest.mark.parametrize("language", languages())
def test_letters_hold_no_statistics(language):
    said = [v for k, v in read_text(language).entries.items() if re.match(r"letter\.(\w+$|ask\.)", k)]
    assert len(said) > 30 and not re.search(STATISTICS[language], " ".join(said))


@pytest.mark.parametrize("language", languages())
def test_a_letter_in_every_language_there_is(small, language):
    letters, *_ = asked(spoilt(small), language)
    assert list(letters) == ["F01", "F02", AGENCY]
    words = read_text(language)
    assert letters["F01"].startswith(f"# {words.say('letter.heading', {'firm': 'F01'})}\n")
    assert words.say("letter.ask.unit_error") in letters["F01"] and "—" not in letters["F01"]


def test_a_name_missing_in_this_language_is_taken_from_english_else_from_the_first(small):
    small.plan["programme"]["name"] = {"fr": "Filière cuir", "en": "Leather programme"}
    assert "Leather programme" in asked(spoilt(small), "es")[0]["F01"]
    small.plan["programme"]["name"] = {"fr": "Filière cuir"}
    assert "Filière cuir" in asked(small, "es")[0]["F01"]


def test_an_unknown_language_or_format(small, tmp_path):
    with pytest.raises(UsageError, match="en, es"):
        asked(small, "fr")
    with pytest.raises(UsageError, match="docx or md"):
        write_letters(tmp_path, {}, pd.DataFrame(columns=["table"]), small.read(), "en", formats=("pdf",))


def test_the_sample_on_paper(tmp_path):
    import docx

    params = ROOT / "params" / "guanajuato_final.yaml"
    written = study_letters(params, None, tmp_path / "letters", "es")
    assert [p.name for p in written] == ["letters.es.md", "letters.es.docx", "answers.csv", "answers.xlsx"]
    book = docx.Document(tmp_path / "letters" / "letters.es.docx")
    headings = [p for p in book.paragraphs if p.style.name == "Heading 1"]
    study = read_study(params)
    faults = check(load(study), study)
    firms = sorted(set(faults.loc[faults["rule"].isin(firm_rules(read_text("es"))), "firm_id"]))
    assert [h.text for h in headings] == [*(f"Empresa {f}" for f in firms), "Preguntas al organismo ejecutor"]
    assert ["pageBreakBefore" in h._p.xml for h in headings] == [False] + [True] * len(firms)
    assert len(book.tables) == len(headings)
    assert not re.search(r"\{\w+\}", "\n".join(p.text for p in book.paragraphs))


def test_the_command(small, capsys):
    spoilt(small)
    small.cell("survey", 5, "workers_paid", 0)
    folder = small.root / "letters"
    assert main(["check", str(small.params), "--out", str(small.root / "f.csv"), "--letters", str(folder), "--language", "es"]) == 0
    assert "2 letters to firms" in capsys.readouterr().out
    assert sorted(p.name for p in folder.iterdir()) == ["answers.csv", "answers.xlsx", "letters.es.docx", "letters.es.md"]
    small.file("params", b"")
    assert main(["check", str(small.params), "--letters", str(small.data / "params" / "x")]) == 1
    assert "choose another folder with --letters" in capsys.readouterr().err
