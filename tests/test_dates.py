"""Days and quarters on paper: in the form of the report's country, wherever they stand."""

from __future__ import annotations

from datetime import datetime

import pytest

from pipeval.report.bundle import Bundle
from pipeval.report.document import _provenance
from pipeval.report.labels import coded
from pipeval.report.sheets import cell
from pipeval.report.tables import formatted
from pipeval.report.text import read_text

BUNDLE = Bundle.build({}, {})


@pytest.mark.parametrize(
    ("language", "locale", "quarter", "day"),
    [
        ("es", "es_MX", "T3 2004", "31 mar 2005"),
        ("es", "es_CO", "T3 de 2004", "31/03/2005"),
        ("en", "en_US", "Q3 2004", "Mar 31, 2005"),
        ("en", "en_GB", "Q3 2004", "31 Mar 2005"),
        ("pt", "pt_BR", "T3 de 2004", "31 de mar. de 2005"),
    ],
)
def test_a_quarter_and_a_day_by_country(language, locale, quarter, day):
    text = read_text(language, locale)
    assert formatted("quarter", {"quarter": "2004Q3"}, BUNDLE, text).replace("\u00a0", " ") == quarter
    assert text.label("quarter", "2004Q3") == quarter and text.day("2004Q1")[1] == "1"
    assert formatted("first", {"first": "2005-03-31"}, BUNDLE, text) == day  # a column that elsewhere holds codes
    assert formatted("quarter", {"quarter": None}, BUNDLE, text) == "—"


@pytest.mark.parametrize(
    "code", ["2004Q5", "2004Q12", "X2004Q3", "2004-09", "Acta del Consejo 2004-09", "2004-02-31", "T3", "20040331"]
)
def test_what_only_looks_like_a_date_stays(code):
    assert read_text("es").label("evidence_ref", code) == code


def test_dates_inside_a_sentence():
    detail = "ask_due_after_evaluation=2008-07-01"
    assert "vence el 1 de julio de 2008, después" in coded("detail", detail, BUNDLE, read_text("es"))
    assert "on July 1, 2008, after" in coded("detail", detail, BUNDLE, read_text("en"))
    assert "1 de julho de 2008" in coded("detail", detail, BUNDLE, read_text("pt"))
    assert "2004-03-31" not in _provenance(Bundle.build({}, {}, provenance={"as_of": "2004-03-31"}), read_text("es"))


def test_a_worksheet_holds_days_as_days_and_quarters_in_words():
    text = read_text("es")
    assert cell("first", {"first": "2005-02-28"}, BUNDLE, text)[0] == datetime(2005, 2, 28)
    assert cell("quarter", {"quarter": "2004Q3"}, BUNDLE, text)[0] == "T3 2004"
    assert cell("evidence_ref", {"evidence_ref": "2005-02-28"}, BUNDLE, text)[0] == "2005-02-28"  # a text of the files
