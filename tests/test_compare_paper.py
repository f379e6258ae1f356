"""The paper of a comparison: what it says of verdicts, estimates, causes and sentences that moved, and of those that did not."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import re
import zipfile

import pandas as pd
import pytest
from bundle_fixture import HOSTILE, full, tiny

from pipeval.compare.alone import OtherDue, SentenceMoved, sentences_due
from pipeval.compare.attribution import Attribution, EachDue, NumberDue, VerdictDue
from pipeval.compare.causes import Causes, DataCell, DataRow, Decision, FileChange, VersionChange
from pipeval.compare.difference import moved
from pipeval.compare.exhibits import CELLS
from pipeval.compare.pages import Page, headlines
from pipeval.compare.paper import answer, compared, write_papers
from pipeval.compare.run import Comparison, Identity
from pipeval.compare.sentences import aligned, plain, sentences
from pipeval.report.bundle import Bundle
from pipeval.report.labels import study_words
from pipeval.report.text import read_text

LANGUAGES = ("es", "en", "pt")


def frame(effect: float = 0.10, std_error: float = 0.04, **columns) -> pd.DataFrame:
    """Two headline effects, of sales and of jobs, and one that is no headline; that of sales is given."""
    rows = [
        {"design": "matched", "outcome": "ln_sales", "scale": "log", "headline": True, "estimate": effect, "effect": effect * 1.1},
        {"design": "matched", "outcome": "jobs", "scale": "log", "headline": True, "estimate": 0.02, "effect": 0.021},
        {"design": "plain", "outcome": "jobs", "scale": "log", "headline": False, "estimate": effect, "effect": effect},
    ]
    return pd.DataFrame([row | {"std_error": std_error} | columns for row in rows])


def judged(attainment: str = "met", evidence: str = "indicative", value: float = 0.12) -> pd.DataFrame:
    """Two indicators: real sales, as given, and consortia, which never move."""
    rows = [
        {
            "id": "G1",
            "level": "goal",
            "attainment": attainment,
            "evidence": evidence,
            "value": value,
            "change": value,
            "unit": "share",
        },
        {"id": "C1", "level": "component", "attainment": "met", "evidence": "descriptive", "value": 3.0, "unit": "firms"},
    ]
    return pd.DataFrame(rows)


def bundle(effects: pd.DataFrame | None = None, verdicts: pd.DataFrame | None = None, **tables) -> Bundle:
    """A bundle of effects and verdicts, and of what else is given."""
    names = {"id": ["G1", "C1"], "name_es": ["ventas reales", "consorcios"], "name_en": ["real sales", "consortia"]}
    found = {"indicators": pd.DataFrame(names), "flow": pd.DataFrame({"arm": ["treated", "control"], "n": [10, 20]}), **tables}
    found |= {"effects": frame() if effects is None else effects, "verdicts": judged() if verdicts is None else verdicts}
    outcomes = [{"id": "ln_sales", "label": {"es": "Ventas reales", "en": "Real sales"}}, {"id": "jobs", "label": {"en": "Jobs"}}]
    study = {"study": "by_hand", "stage": "final", "as_of": "2007-03-31", "outcomes": outcomes}
    return Bundle.build(study | {"programme": {"name": {"en": "A programme"}, "currency": "MXN"}}, found)


def identity(**changes) -> Identity:
    return dataclasses.replace(Identity("by_hand", "final", "2007-03-31", "1.0", "by_hand", "ab" * 32), **changes)


def page_of(old: Bundle, new: Bundle, language: str = "en", causes: Causes | None = None, **changes) -> Page:
    """The page of a comparison that was made without a run: `how` is taken from the causes unless it is given."""
    causes = Causes() if causes is None else causes
    how = {0: "nothing", 1: "one"}.get(len(causes.kinds), "missing")
    given = {"again": False, "reproduced": None, "same_inputs": False, "attribution": Attribution(how, causes.kinds)} | changes
    made = Comparison(old=identity(), new=identity(), moved=moved(old, new), causes=causes, messages=(), **given)
    return Page(made, old, new, study_words(read_text(language), new.study))


def read(markdown: str) -> str:
    """The Markdown as it is read."""
    return "\n".join(re.sub(r"\\(.)", r"\1", line) for line in markdown.splitlines()).replace("\u00a0", " ")


def lines(page: Page) -> list[str]:
    return [plain(line).replace("\u00a0", " ") for line in answer(page, headlines(page)).splitlines()]


def exchanged(old: Bundle, new: Bundle, **changes) -> Attribution:
    """Of each change half is due to data, a quarter to decisions, the rest to both together."""
    cells = [c for c in moved(old, new).numbers if c.change is not None]
    parts = [
        NumberDue(c.table, c.row, c.column, c.change, c.change / 2, c.change / 4, 0.0, 0.0, c.change / 4) for c in cells
    ]  # fmt: skip
    return dataclasses.replace(Attribution("exchanged", ("data", "decisions"), tuple(parts)), **changes)


CORRECTED = Causes(
    kinds=("data",),
    cells=(
        DataCell("survey", "F2", "F2|2006", "sales_kmxn", 12345.25, 1234.525),
        DataCell("survey", "F1", "F1|2005", "sales_kmxn", None, 830.0, True),
        DataCell("enterprises", "F3", "F3", "branch", "footwear", "leather"),
    ),
    files=(FileChange("data/survey.csv", "changed"), FileChange("data/services.csv", "changed", True)),
)


def test_the_answer_names_verdicts_estimates_values_causes_and_what_stayed():
    same = pd.DataFrame({"arm": ["treated"], "n": [5]})
    old, new = bundle(response=same), bundle(frame(0.13), judged("met", "demonstrated", 0.1204), response=same)
    said = lines(page_of(old, new, causes=CORRECTED))
    assert said[0] == "Verdicts. That of one indicator moved: real sales (G1), evidence (was: indicative; is now: demonstrated)."
    # 0.13 - 0.10 is three quarters of the standard error of 0.04; the table prints 1.1 times the estimate
    assert said[1].startswith("Effects. Of the headline effects (two), one moved: real sales, from +11.0% to +14.3% (0.8 standard")
    assert said[2] == "Indicators. Of the observed values of two indicators, one moved: real sales (G1)."
    assert said[3] == "Why. What differs: the data of three firms (F1, F2 and F3). All of the change is due to it."
    # cells: indicators 6, flow 4, response 2, effects 21, verdicts 10 without the axes; 4 of effects and 2 of verdicts moved
    assert said[4:] == ["What stayed. Of the 43 cells compared, 86.0% are the same; of the 5 tables, 3 are so throughout."]


def test_standard_errors_are_those_of_the_old_report():
    old, new = bundle(frame(0.10, 0.04)), bundle(frame(0.13, 0.01))
    sales = next(h for h in headlines(page_of(old, new)) if h.label == "Real sales")
    assert sales.errors == pytest.approx(0.03 / 0.04) and sales.change == pytest.approx(0.033)


def test_what_is_no_headline_is_not_told_as_one():
    found = headlines(page_of(bundle(), bundle(frame(0.13))))
    assert [(h.label, h.moved) for h in found] == [
        ("Real sales", True), ("Jobs", False), ("Real sales (G1)", False), ("Consortia (C1)", False),
    ]  # fmt: skip


def test_an_outcome_that_only_one_report_has_did_not_move():
    found = headlines(page_of(bundle(frame().iloc[:1]), bundle(frame())))
    assert [h.label for h in found if h.table == "effects"] == ["Real sales"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_where_nothing_moved_one_line_says_so(language):
    page = page_of(bundle(), bundle(), language)
    said = compared(page)
    assert len(re.findall("^# ", said, re.M)) == 2 and "tbl-" not in said
    text = read_text(language)
    assert plain(text.say("compare.answer.identical", {"cells": str(page.comparison.moved.compared)})) in lines(page)[0]


def test_a_report_made_again_is_reproduced_or_not():
    old, new = bundle(), bundle(frame(0.13))
    assert lines(page_of(old, old, again=True, reproduced=True))[0].startswith("Reproduced. Made again from its inputs")
    assert lines(page_of(old, new, again=True, reproduced=False))[0].startswith("Not reproduced.")
    failed = page_of(old, old, again=True, reproduced=None)
    failed = dataclasses.replace(failed, comparison=dataclasses.replace(failed.comparison, messages=("not run again: no numpy",)))
    assert lines(failed) == ["Not known. The report could not be made again; the messages say why."]
    assert "not run again: no numpy" in read(compared(failed)) and "identical" not in compared(failed)


def test_verdicts_stand_by_axis_and_say_what_alone_moves_them():
    old, new = bundle(), bundle(verdicts=judged("partly_met", "demonstrated"))
    dues = (
        VerdictDue("G1", "attainment", "partly_met", "met", None, None, ("data",)),
        VerdictDue("G1", "evidence", "indicative", "indicative", None, None, ()),
    )
    page = page_of(old, new, causes=Causes(kinds=("data", "decisions")), attribution=exchanged(old, new, verdicts=dues))
    said = read(compared(page))
    assert "| Real sales (G1) | Attainment | [Met]{.light .good} | [Partly met]{.light .fair} | the data |" in said
    assert lines(page)[0].startswith(
        "Verdicts. That of one indicator moved: real sales (G1), attainment (was: met; is now: partly met)"
    )
    assert "| Real sales (G1) | Evidence | [Indicative]{.light .fair} | [Demonstrated]{.light .good} | only together |" in said


def test_a_verdict_that_came_or_went_is_not_judged_on_the_other_side():
    said = read(compared(page_of(bundle(verdicts=judged().iloc[1:]), bundle())))
    assert "| Real sales (G1) | Attainment | not judged | [Met]{.light .good} |" in said


def test_headline_numbers_carry_their_parts_in_points():
    old, new = bundle(), bundle(frame(0.14), judged(value=0.1204))
    page = page_of(old, new, causes=Causes(kinds=("data", "decisions")), attribution=exchanged(old, new))
    said = read(compared(page))
    assert "| Outcome | Old | New | Change | In standard errors | Data | Decisions | Together |" in said
    assert "| Real sales | +11.0% | +15.4% | +4.4 pp | +1.0 | +2.2 pp | +1.1 pp | +1.1 pp |" in said
    # too small for one decimal: 0.04 points, of which 0.02, 0.01 and 0.01
    assert "| Real sales (G1) | +12.0% | +12.0% | +0.04 pp | +0.02 pp | +0.01 pp | +0.01 pp |" in said


def test_one_cause_needs_no_columns_of_parts():
    said = read(compared(page_of(bundle(), bundle(frame(0.14)), causes=CORRECTED)))
    assert "| Outcome | Old | New | Change | In standard errors |" in said
    assert "All of the change of these numbers is due to one cause: the data." in said


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [(0.0, "spct", "0 pp"), (0.004, "spct", "+0.4 pp"), (-0.0004, "pct", "−0.04 pp"), (1e-9, "points", "<0.001 pp"),
     (-1e-9, "points", "−<0.001 pp"), (1.0, "num", "+1"), (-1234.0, "num", "−1,234"), (0.034, "dec3", "+0.03"), (None, "num", "—"),
     (4e-6, "points", "<0.001 pp"), (6e-6, "points", "+0.001 pp"), (float("nan"), "num", "—"), (150.4, "num", "+150")],
)  # fmt: skip
def test_a_change_has_a_sign_and_the_digits_that_show_it(value, kind, shown):
    assert page_of(bundle(), bundle()).change(value, kind).replace("\u00a0", " ") == shown


def test_cells_stand_by_firm_with_every_digit_and_their_headings():
    said = read(compared(page_of(bundle(), bundle(frame(0.14)), "es", CORRECTED)))
    rows = [line for line in said.splitlines() if re.match(r"\| F\d", line)]
    assert rows == [
        "| F1 | Encuesta | 2005 | Ventas (miles de pesos) | — | 830 |",
        "| F2 | Encuesta | 2006 | Ventas (miles de pesos) | 12,345.25 | 1,234.525 |",
        "| F3 | Empresas | — | Rama | Calzado | Cuero |",
    ]
    assert "| Empresa | Tabla | Año | Dato | Antes | Ahora |" in said
    assert "Una de estas celdas proviene de una corrección acordada con la empresa." in said
    assert "ninguna celda de los datos comprobados: `data/services.csv`." in said


def test_numbers_of_the_data_follow_the_locale():
    page = page_of(bundle(), bundle())
    colombian = dataclasses.replace(page, text=read_text("es", "es_CO"))
    assert colombian.exact(12345.25, "sales_kmxn") == "12.345,25" and page.exact(2006, "ref_year") == "2006"
    assert (page.exact(True, "x"), page.exact(None, "x"), page.exact(-3, "x")) == ("Yes", "—", "−3")


def test_at_most_fifty_cells_are_printed_and_the_rest_counted():
    cells = tuple(DataCell("survey", f"F{i:03d}", f"F{i:03d}|2006", "sales_kmxn", 1, 2) for i in range(CELLS + 3))
    said = read(compared(page_of(bundle(), bundle(frame(0.14)), causes=Causes(kinds=("data",), cells=cells))))
    assert len(re.findall(r"^\| F\d", said, re.M)) == CELLS and "three more cells are in compare.json." in said
    assert "the data of 53 firms (F000, F001, F002, F003 and 49 others)" in said


def test_tables_without_firms_and_rows_are_said():
    causes = Causes(
        kinds=("data",),
        cells=(DataCell("series", "", "inpc|2006", "value", 101.2, 103.4),),
        rows=(DataRow("survey", "F9", "F9|2006", "removed"), DataRow("survey", "F9", "F9|2005", "removed")),
        firms_removed=("F9",),
    )
    said = read(compared(page_of(bundle(), bundle(frame(0.14)), causes=causes)))
    assert re.search(r"\| — \| Series \| .*inpc, 2006 \| Value \| 101.2 \| 103.4 \|", said)
    assert "- Survey: two rows gone" in said and "One firm is no longer in the data: F9." in said


def test_figures_without_a_label_are_named_as_firms_are_asked_and_the_rest_as_code():
    page = page_of(bundle(), bundle())
    assert page.column_name("domestic_sales_kmxn") == "Sales in the country (thousand MXN)"
    assert page.column_name("odd_column") == "`odd_column`"


def test_what_moves_no_number_is_said_in_words():
    look = (FileChange("written", "changed"), FileChange("own.css", "changed"))
    said = read(compared(page_of(bundle(), bundle(frame(0.14)), causes=Causes(kinds=("code",), look=look))))
    assert "two things more differ, and move no number: the wording of the params file and `own.css`." in said.lower()


def test_decisions_have_words_and_their_key():
    decisions = (
        Decision("params", "did.method", "reg", "dr"),
        Decision("params", "match.caliper", 0.25, None),
        Decision("params", "sensitivity.subgroups", ["branch"], ["branch", "odd"]),
        Decision("params", "queries.unit_error", "set_missing", "keep"),
        Decision("logframe", "G1.target", 0.1, 0.12),
    )
    causes = Causes(kinds=("decisions", "versions"), decisions=decisions, versions=(VersionChange("numpy", "2.4.5", None),))
    said = read(compared(page_of(bundle(), bundle(frame(0.14)), causes=causes)))
    assert (
        "| Estimator (`did.method`) | regression-adjusted" in said and "| Matching caliper (`match.caliper`) | 0.25 | — |" in said
    )
    assert "(`sensitivity.subgroups`) | `branch` | `branch`, `odd` |" in said
    assert re.search(r"\| Queried figures: .+ \(`queries.unit_error`\) \| (?!`)", said)
    assert "| Log frame (`G1.target`) | 0.1 | 0.12 |" in said and "- numpy: was 2.4.5, is now —." in said
    assert "five decisions (`did.method`, `match.caliper`, `sensitivity.subgroups`, `queries.unit_error` and one other)" in said


def test_without_a_record_the_reason_is_said():
    page = page_of(bundle(), bundle(frame(0.14)))
    page = dataclasses.replace(page, comparison=dataclasses.replace(page.comparison, causes=None, messages=("no inputs.json",)))
    said = read(compared(page))
    assert lines(page)[3].startswith("Why. Not known:") and "- no inputs.json" in said


def test_single_firms_and_keys_stand_in_columns_of_the_numbers_they_move():
    old, new = bundle(), bundle(frame(0.14), judged("met", "demonstrated"))
    base = exchanged(old, new)
    place = next(i for i, n in enumerate(base.numbers) if n.column == "effect" and "ln_sales" in n.row)
    alone = [0.0] * len(base.numbers)
    alone[place] = 0.022
    each = (
        EachDue("data", "firm", "F1", tuple(alone), ("demonstrated",)),
        EachDue("data", "firm", "F2", tuple(0.0 for _ in alone), ("indicative",)),
        EachDue("decisions", "key", "did.method", message="no such column"),
    )
    rest = tuple(n.change - a for n, a in zip(base.numbers, alone, strict=True))
    page = page_of(
        old, new, causes=Causes(kinds=("data", "decisions")), attribution=dataclasses.replace(base, each=each, each_remainder=rest)
    )
    said = read(compared(page))
    assert "| Firm F1 | +2.2 pp | G1 |" in said and "| Firm F2 | 0 pp | — |" in said
    assert "| What none explains alone | +2.2 pp | — |" in said  # 4.4 points in all
    assert "Estimator (`did.method`) could not be exchanged alone: no such column" in said


def test_where_causes_were_exchanged_tables_and_sentences_say_what_alone_moves_them():
    flow = [pd.DataFrame({"arm": ["treated"], "n": [n], "note": [note]}) for n, note in ((10, "a"), (11, "z"))]
    old, new = bundle(flow=flow[0]), bundle(flow=flow[1], verdicts=judged(evidence="demonstrated"))
    made = exchanged(old, new, others=(OtherDue("flow", "arm=treated", "note", ("code",)),))
    moved = (SentenceMoved("Sales", "One.", "Two.", ("data",)), SentenceMoved("Sales", None, "New.", ()), SentenceMoved("x", "a", "b"))
    said = read(compared(page_of(old, new, attribution=made, sentences={"en": moved, "es": ()})))
    assert "| `flow` | 1 | 1 | — | — | the data, the decisions and the code |" in said
    for row in ("| Sales | One. | Two. | the data |", "| Sales | — | New. | only together |", "| x | a | b | — |"):
        assert row in said
    alone = read(compared(page_of(old, new, sentences={"en": moved})))
    assert "| Sales | One. | Two. |\n" in alone and "| `flow` | 1 | 1 | — | — |\n" in alone


def test_counts_by_table_take_numbers_texts_rows_and_verdicts():
    old = bundle(flow=pd.DataFrame({"arm": ["treated", "control"], "n": [10, 20], "note": ["a", "b"]}))
    new = bundle(
        verdicts=judged(evidence="demonstrated"), flow=pd.DataFrame({"arm": ["treated", "other"], "n": [11, 5], "note": ["z", "b"]})
    )
    said = read(compared(page_of(old, new)))
    assert "| `flow` | 1 | 1 | 1 | 1 |" in said and re.search(r"\| Verdicts? .*\| — \| 1 \| — \| — \|", said)


def test_sentences_are_split_by_section_and_tables_left_out():
    body = (
        "# Results {#sec-results}\n\nSales rose by 5\\.2\\%\\. Jobs (three) did not\\! See *Method*.\n\n::: {#tbl-x .data}\n"
        "| a |\n| - |\n\n: A caption.\n\n::: note\nA note.\n:::\n\n:::\n\n- **Aim.** Two items.\n\n"
        ":::: verdict\n**G1. Sales grow**\n\n"
        "[Met]{.light .good} · [Open]{.light .open}\n\nIt was met.\n\n::: howto\nRead it.\n:::\n::::\n\nAfter all.\n\n"
        "# Provenance {#sec-provenance}\n\nHash: x.\n"
    )
    assert sentences(body) == {
        "Results": ["Sales rose by 5.2%.", "Jobs (three) did not!", "See Method.", "Aim.", "Two items.", "After all."],
        "Results: G1": ["It was met.", "Read it."],
    }


def test_sentences_are_aligned_by_their_words():
    before = ["One stays.", "Sales of firms rose by 5 per cent.", "Nothing else was found here."]
    after = ["One stays.", "A wholly new remark.", "Sales of firms rose by 7 per cent."]
    assert aligned(before, after) == [
        (None, "A wholly new remark."),
        ("Sales of firms rose by 5 per cent.", "Sales of firms rose by 7 per cent."),
        ("Nothing else was found here.", None),
    ]
    assert aligned(before, before) == []


def test_sentences_that_share_about_a_third_of_their_words_are_one_reworded():
    """Of 8 and 9 words 3 in common: 6 of 17, 35 %, is one sentence; of 3 and 3 words one in common, a third, is two."""
    one, other = "Sales rose fast in each of eight years", "Sales rose fast when nobody else wanted them again"
    assert aligned([one], [other]) == [(one, other)]
    assert aligned(["Sales rose fast."], ["Sales were low."]) == [("Sales rose fast.", None), (None, "Sales were low.")]


@pytest.mark.parametrize("language", ["es", "en"])
def test_the_sentences_of_a_report_that_moved(language):
    some = full()
    some = some.model_copy(update={"tables": {n: some.tables[n] for n in ("effects", "indicators", "verdicts")}})
    old, new = some, copy.deepcopy(some)
    assert sentences_due(old, copy.deepcopy(old), read_text(language), {}) == ()
    table = new.tables["verdicts"]
    row = table.rows[0]
    before = dict(zip(table.columns, row, strict=True))
    row[table.columns.index("attainment")] = "partly_met" if before["attainment"] != "partly_met" else "met"
    moved = sentences_due(old, new, read_text(language), {"data": old, "decisions": new})
    assert any(one.section.endswith(f": {before['id']}") for one in moved)
    assert all(one.old != one.new and not re.search(r"[\\*|]|\{\.|:::", f"{one.old}{one.new}") for one in moved)
    assert {one.due for one in moved} == {("decisions",)}
    assert {one.due for one in sentences_due(old, new, read_text(language), {"data": old})} == {()}
    assert {one.due for one in sentences_due(old, new, read_text(language), {})} == {None}


@pytest.mark.parametrize("language", LANGUAGES)
def test_papers_are_made_for_every_language_alike_each_time_and_hold_no_markup_of_the_data(language, tmp_path):
    old, new = tiny(), tiny()
    cells = (DataCell("survey", HOSTILE, f"{HOSTILE}|2006", HOSTILE, HOSTILE, "b"),)
    decisions = (Decision("params", "labels.x", HOSTILE, {"a": [HOSTILE]}),)
    causes = Causes(
        kinds=("data", "decisions"), cells=cells, decisions=decisions, modules=(FileChange("did/kernel.py", "changed"),)
    )
    made = page_of(old, new, language, causes, attribution=Attribution("missing", ("data", "decisions"), messages=(HOSTILE,)))
    digests = []
    for folder in ("one", "two"):
        paths = write_papers(made.comparison, old, new, tmp_path / folder, [language])
        assert [p.name for p in paths] == [f"compare.{language}.html", f"compare.{language}.docx"]
        digests.append([hashlib.sha256(p.read_bytes()).hexdigest() for p in paths])
    assert digests[0] == digests[1] and sorted(p.name for p in (tmp_path / "one").iterdir()) == sorted(p.name for p in paths)
    page = paths[0].read_text(encoding="utf-8")
    title = read_text(language).say("compare.title")
    assert "<script>alert" not in page and 'href="http' not in page and f'lang="{language}"' in page and title in page
    assert page.count("<table") == page.count("<caption") == 2 and "<img" not in page.split("<main")[1]
    with zipfile.ZipFile(paths[1]) as book:
        word = book.read("word/document.xml").decode()
    assert title in word and "HYPERLINK" not in word


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_says_whom_it_is_for_and_never_claims_more(language):
    said = compared(page_of(bundle(), bundle(frame(0.14)), language, CORRECTED))
    assert read_text(language).say("compare.lead.audience") in said
    assert not [v for k, v in read_text(language).entries.items() if k.startswith("compare.") and re.search("impact", v, re.I)]
    assert "—standard" not in said and "{" not in re.sub(r"\{[#.][^}]*\}", "", said)


def test_different_studies_are_said():
    page = page_of(bundle(), bundle(frame(0.14)))
    assert "different studies" not in compared(page)
    other = dataclasses.replace(page.comparison, new=identity(study="another"))
    assert "They are different studies" in compared(dataclasses.replace(page, comparison=other))
