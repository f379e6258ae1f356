"""The pages over all reports: states, escaping, links, the two axes apart, the same bytes."""

from __future__ import annotations

import json
import re
from io import BytesIO

import pytest
from bundle_fixture import full
from openpyxl import load_workbook

from pipeval.batch.pages import headline, standings, write_pages
from pipeval.errors import PipevalError
from pipeval.release.readme import Contents, readme
from pipeval.report.bundle import Bundle
from pipeval.report.text import read_text


class Shelf:
    def __init__(self):
        self.files, self.wrote = {}, []

    def write(self, name, content):
        self.files[name] = content
        self.wrote.append(name)

    def read(self, name):
        return self.files.get(name)


def record(study, status="done"):
    verdict = {"indicator": "G1", "level": "goal", "unit": "share", "text": {"en": "=Sales <b>rise"}, "name": {}, "value": 0.1}
    return {
        "study": study, "status": status, "message": "", "key": "k", "stage": "final", "as_of": "2007-03-31", "languages": ["en"],
        "finished": "2026-01-02T03:04:05+00:00", "seconds": 90.0, "outputs": {"report.en.html": 1},
        "moved": {"verdicts": 2, "numbers": 5},
        "verdicts": [verdict | {"attainment": "met", "evidence": "inconclusive"}],
    }  # fmt: skip


def test_each_study_has_one_state():
    records = [record("a"), record("b"), record("b", "failed"), record("c"), record("d")]
    found = standings(records, {"a": [], "b": ["data: x"], "c": ["code: package"], "e": ["no report yet"]})
    assert {one.study: (one.state, one.stale) for one in found} == {
        "a": ("current", False), "b": ("failed", True), "c": ("stale", True), "d": ("unknown", False), "e": ("missing", False),
    }  # fmt: skip


def test_pages_are_inert_keep_the_axes_apart_and_are_not_written_twice():
    shelf, records = Shelf(), [record("<script>x"), record("b c")]
    write_pages(shelf, records, {"<script>x": [], "b c": []})
    page = shelf.files["index.html"].decode()
    assert "<script>x" not in page and "<b>rise" not in page
    assert 'href="b%20c/report.en.html"' in page
    assert page.count('light good"><span class="unseen">Attainment: </span>Met<') == 2
    assert page.count('light open"><span class="unseen">Evidence: </span>Inconclusive<') == 2
    status = json.loads(shelf.files["status.json"])
    assert status["counts"]["moved"] == {"verdicts": 4, "numbers": 10} and status["schema_version"] == "1.1"
    row = [cell.value for cell in load_workbook(BytesIO(shelf.files["verdicts.xlsx"])).worksheets[1][2]]
    assert "'=Sales <b>rise" in row and {"Met", "Inconclusive", 0.1} <= set(row)
    first, shelf.wrote = dict(shelf.files), []
    write_pages(shelf, records, {"<script>x": [], "b c": []})
    assert shelf.wrote == []
    shelf.files.pop("verdicts.xlsx")
    write_pages(shelf, records, {"<script>x": [], "b c": []})
    assert shelf.files == first


def test_a_refused_page_leaves_the_others_and_says_so():
    class Full(Shelf):
        def write(self, name, content):
            if name == "verdicts.xlsx":
                raise PermissionError(13, "Permission denied")
            super().write(name, content)

    shelf = Full()
    with pytest.raises(PipevalError, match=r"refused: verdicts.xlsx \(Permission denied\).*published"):
        write_pages(shelf, [record("a")], {"a": []})
    assert set(shelf.files) == {"index.html", "status.json"}


def test_the_page_speaks_the_language_of_most_studies():
    shelf, spanish = Shelf(), [record(name) | {"languages": ["es"]} for name in ("b", "c")]
    write_pages(shelf, [record("a"), *spanish], {})
    assert '<html lang="es"' in shelf.files["index.html"].decode()


def test_a_failure_shows_its_message_and_the_log_that_was_kept():
    shelf = Shelf()
    failed = record("a", "failed") | {
        "message": "the <i>numbers</i> failed",
        "folder": "a.failed",
        "outputs": {"run.log": 3},
        "verdicts": [],
    }
    write_pages(shelf, [record("b"), failed], {"a": ["the <i>numbers</i> failed"], "b": ["data: survey.csv"]})
    page = shelf.files["index.html"].decode()
    assert "the &lt;i&gt;numbers&lt;/i&gt; failed" in page and "<i>numbers" not in page
    assert 'href="a.failed/run.log"' in page and 'href="a.failed/notebook.ipynb"' not in page
    assert "survey.csv" in page and "Failed" in page and "Stale" in page


def test_programmes_stand_apart():
    shelf = Shelf()
    one, other = ({"programme": {"id": key, "name": {"en": name}}} for key, name in (("P1", "Shoes"), ("P2", "Wine & grapes")))
    write_pages(shelf, [record("a") | one, record("b") | other], {"a": [], "b": []})
    page = shelf.files["index.html"].decode()
    assert "Shoes" in page and "Wine &amp; grapes" in page and page.count("G1") == 2


@pytest.mark.parametrize(
    ("language", "one", "many", "stands"),
    [
        ("en", "1 verdict, 1 number", "2 verdicts, 0 numbers", "The report of"),
        ("es", "1 veredicto, 1 cifra", "2 veredictos, 0 cifras", "sigue siendo válido"),
        ("pt", "1 veredicto, 1 número", "2 veredictos, 0 números", "continua válido"),
    ],
)
def test_what_moved_is_counted_in_the_singular_and_the_plural(language, one, many, stands):
    spoken = {"languages": [language]}
    few = record("a") | spoken | {"moved": {"verdicts": 1, "numbers": 1}}
    more = record("b") | spoken | {"moved": {"verdicts": 2, "numbers": 0}}
    shelf = Shelf()
    write_pages(shelf, [few, more, record("a", "failed") | spoken], {"a": [], "b": []})
    page = shelf.files["index.html"].decode()
    assert f"<td>{one}</td>" in page and f"<td>{many}</td>" in page
    assert page.count(stands) == 1  # of the study that failed although its report holds
    rows = list(load_workbook(BytesIO(shelf.files["verdicts.xlsx"])).worksheets[0].values)
    assert [stands in str(row) for row in rows if row[0] in ("a", "b")] == [True, False]
    assert [s["stands"] for s in json.loads(shelf.files["status.json"])["studies"]] == [True, False]


def page_of(*records, why=None):
    shelf = Shelf()
    write_pages(shelf, records, {one["study"]: [] for one in records} if why is None else why)
    return shelf.files["index.html"].decode()


def test_a_store_that_refuses_one_page_still_gets_the_others():
    class Far(Shelf):
        def write(self, name, content):
            if name == "index.html":
                raise PipevalError("cannot reach s3://bucket")
            super().write(name, content)

    shelf = Far()
    with pytest.raises(PipevalError, match=r"refused: index.html \(cannot reach s3://bucket\)\."):
        write_pages(shelf, [record("a")], {"a": []})
    assert set(shelf.files) == {"verdicts.xlsx", "status.json"}


def test_the_message_of_a_failure_stands_once():
    failed = record("a", "failed") | {"message": "no such column", "outputs": {}, "verdicts": []}
    page = page_of(record("a"), failed, why={"a": ["data: survey.csv"]})
    assert page.count("no such column") == 1 and 'href="a.failed/' not in page
    assert '<li><bdi>data: survey.csv</bdi></li><li><a href="#sec-failures">What failed</a></li>' in page
    assert page_of(failed, why={"a": ["no such column"]}).count("no such column") == 1


def test_reasons_are_told_of_stale_studies_and_no_others():
    names = {"a": ["decisions: did.method"], "b": ["not in this run"], "c": []}
    page = page_of(*map(record, names), why=names)
    cells = dict(zip(names, re.findall(r'<td class="why">(.*?)</td>', page), strict=True))
    assert cells == {"a": "<bdi>decisions: did.method</bdi>", "b": "—", "c": "—"}
    spanish = [record(name) | {"languages": ["es"]} for name in names]
    assert "decisiones: did.method" in page_of(*spanish, why=names)


@pytest.mark.parametrize(("studies", "heads"), [(6, 7), (7, 2)])
def test_more_than_six_studies_stand_as_rows(studies, heads):
    page = page_of(*(record(f"s{i}") for i in range(studies)))
    table = page[page.index('class="data verdicts"') :]
    head, body = table[: table.index("</thead>")], table[table.index("<tbody>") : table.index("</tbody>")]
    assert head.count('<th scope="col">') == heads and body.count('<th scope="row">') == (1 if studies == 6 else 7)
    assert body.count('<td class="two">') == studies


def test_the_comparison_that_is_proposed_is_one_that_can_be_made():
    still = record("a") | {"moved": {"verdicts": 0, "numbers": 0}}
    assert "<code><bdi>pipeval compare .pipeval/last/b b</bdi></code>" in page_of(still, record("b"))
    assert "pipeval compare" not in page_of(still, record("c") | {"moved": None})
    far = record("b") | {"folder": "b/0123-4567"}
    page = page_of(far)
    assert "pipeval compare" not in page and 'href="b/0123-4567/report.en.html"' in page


def test_a_record_keeps_the_verdicts_of_its_report_in_their_order():
    bundle = full()
    found, table = headline(bundle), bundle.table("verdicts")
    assert [row["indicator"] for row in found] == table["id"].tolist()
    first = next(row for row in found if row["effect"] is not None)
    held = table.set_index("id").loc[first["indicator"]]
    for column in ("attainment", "evidence", "level", "unit", "value", "target", "effect", "effect_low", "mde"):
        assert first[column] == held[column] or (first[column] is None and held[column] != held[column])
    assert set(first["text"]) == {"en", "es"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("languages", "pages"),
    [(["es", "en"], "`risk.md`, `risk.en.md`, `risk.json`"), (["en"], "`risk.md`, `risk.json`"), ([], "`risk.md`, `risk.json`")],
)
def test_the_readme_of_a_public_package_lists_the_record_of_its_risk(languages, pages):
    bundle = Bundle.build({"study": "a", "stage": "final", "as_of": "2007-03-31", "report": {"languages": languages}}, {})
    given = {"run": {}, "versions": {}, "key": "", "software": "x.whl", "params": "params/a.yaml", "tree": "", "datasets": []}
    given |= {"exhibits": [], "seeds": {}, "references": [], "size": 1, "left_out": []}
    for language, held in (("en", "disclosure risk of"), ("es", "riesgo de"), ("pt", "risco de")):
        text = readme(Contents(bundle, **given, public=True), read_text(language))
        assert f"| {pages} | {held}" in text
        assert "risk." not in readme(Contents(bundle, **given, public=False), read_text(language))
