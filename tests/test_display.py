"""`show`: a table on the screen says what the report says, whatever the data hold."""

from __future__ import annotations

import pandas as pd
import pytest
from bundle_fixture import whole

from pipeval import read_study, show
from pipeval.errors import Note
from pipeval.report.document import markdown
from pipeval.report.tables import read_layout
from pipeval.report.text import read_text
from pipeval.stages import Stage


def stage(bundle, notes=()) -> Stage:
    """The fixture's tables as a stage of the final study."""
    return Stage({}, {name: bundle.table(name) for name in bundle.tables}, notes, read_study("params/guanajuato_final.yaml"))


def test_a_table_is_shown_as_the_report_prints_it():
    bundle = whole()
    shown = show(stage(bundle), "budget", language="en")
    printed = markdown(bundle.model_copy(update={"study": bundle.study | {"stage": "final"}}), read_text("en"), {})
    part = printed[printed.index("#tbl-budget ") :]
    rows = [line for line in part[: part.index(":::\n")].splitlines() if line.startswith("| ")]
    assert [f"| {' | '.join(row)} |" for row in shown.rows] == rows[2:]
    assert shown.caption == read_text("en").say("table.budget.caption")


def test_the_language_is_that_of_the_study_unless_another_is_asked_for():
    assert show(stage(whole()), "response").caption == read_text("es").say("table.response.caption")
    assert len(show(stage(whole()), "response").headings) > 2  # years are columns, as in print
    assert show(stage(whole()), "response", language="pt").caption == read_text("pt").say("table.response.caption")


def test_rows_and_columns_can_be_chosen():
    held = stage(whole())
    whole_table = show(held, "coverage", rows="arm == 'beneficiary'", columns=("arm", "n_served"), language="en")
    assert {row[0].strip("[]").split("]")[0] for row in whole_table.rows} == {"Beneficiaries"} and len(whole_table.headings) == 2


def test_rows_that_are_asked_for_are_shown_even_where_the_report_leaves_them_out():
    bundle = whole()
    others = {"pivot", "spread", "unlike", "newest", "known", "first", "several"}
    blocks = [
        b for section in read_layout().sections.values() for b in section if {"where", "table"} <= b.keys() - others == b.keys()
    ]
    held, names = stage(bundle), {b.get("name", b["table"]) for b in blocks if bundle.has(b["table"])}
    asked = {name: len(show(held, name, rows="index >= 0", language="en", longest=10_000).rows) for name in sorted(names)[:8]}
    printed = {name: len(show(held, name, language="en", longest=10_000).rows) for name in asked}
    assert all(asked[name] >= printed[name] for name in asked) and sum(asked.values()) > sum(printed.values())


def test_a_long_table_says_how_long_it_is():
    shown = show(pd.DataFrame({"n_firms": range(1500)}), longest=3)
    assert len(shown.rows) == 3 and shown.notes[0] == "The first 3 of 1,500 rows."
    noted = show(stage(whole()), "verdicts", language="en", longest=1)
    assert len(noted.notes) == 2 and noted.notes[0].startswith("The first 1 of ")


def test_an_absent_table_is_a_sentence():
    nothing = show(stage(whole()), "no_such_table", language="en")
    assert not nothing.headings and "no_such_table" in repr(nothing) and "Nothing to show" in nothing._repr_html_()
    assert "<table" not in nothing._repr_html_()


def test_every_table_of_the_fixture_can_be_shown_in_every_form():
    held = stage(whole())
    for name in held.tables:
        shown = show(held, name, language="en")
        assert repr(shown) and shown._repr_html_() and shown._repr_markdown_(), name


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "**bold** `code`", "a|b", "[x](http://y)", "]{.light .good}"])
def test_what_the_data_say_is_never_markup(hostile):
    html = show(pd.DataFrame({"statement": [hostile], "n": [1]}))._repr_html_()
    assert "<script" not in html and "<a " not in html and "<b>bold" not in html and "<code>" not in html
    assert show(pd.DataFrame({"statement": [hostile], "n": [1]})).rows[0][0] != hostile


def test_lights_are_words_and_shapes():
    html = show(stage(whole()), "verdicts", language="en")._repr_html_()
    assert any(sign in html for sign in "●◐◆○") and "{.light" not in html and "{.again" not in html


def test_a_stage_says_what_it_holds_and_what_has_to_be_known():
    held = Stage(
        {},
        {"a": pd.DataFrame({"x": [1]})},
        (Note("k", "beware of <{what}>", {"what": "b"}),),
        read_study("params/guanajuato_final.yaml"),
    )
    assert "a (1)" in repr(held) and "beware" in repr(held)
    assert "&lt;b&gt;" in held._repr_html_()


def test_the_study_is_one_line_until_it_is_opened():
    html = read_study("params/guanajuato_final.yaml")._repr_html_()
    assert html.startswith("<details><summary>") and "final as of" in html
