"""Names and texts that would be markup, formulas, commands or paths elsewhere are only text in every page, workbook and package."""

from __future__ import annotations

import ast
import json
import re
import zipfile
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from conftest import ROOT, SmallStudy
from openpyxl import load_workbook

from pipeval.batch.inputs import Store, inputs_of, kept
from pipeval.batch.pages import write_pages
from pipeval.batch.shelf import Shelf
from pipeval.compare.run import compare
from pipeval.errors import PipevalError, collected
from pipeval.evaluation import evaluate
from pipeval.release.package import MANIFEST, package
from pipeval.release.readme import code, plain
from pipeval.report.save import save

HOSTILES = (
    "=cmd|'/C calc'!A0",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "[x](javascript:alert(1)) ![p](http://evil.example/p.png) <http://evil.example> www.evil.example",
    '#read("/etc/passwd") #let x = 1 @ref $a_b$ {title} ${title}',
    "../../../etc/passwd `` ` ``` --> ]]> &lt;b&gt; | a | b |",
    "long" * 1500,
)
HOSTILE = " ".join(HOSTILES[:-1])
RIGHT_TO_LEFT = "\u202e"
MARKUP = {"script", "img", "iframe", "object", "embed", "form", "base", "link", "svg", "math"}


class Parsed(HTMLParser):
    """What a browser would make of a page: its text, its tags, its links, its scripts."""

    def __init__(self, page: str):
        super().__init__()
        self.words, self.tags, self.links, self.scripts, self.handlers, self.open = [], [], [], [], [], []
        self.isolated = []
        self.feed(page)
        self.text = squeezed("".join(self.words))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("img", "meta", "link", "br", "col", "hr", "input"):
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src", "action", "data", "formaction")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        (self.scripts if "script" in self.open else self.words).append(data)
        if RIGHT_TO_LEFT in data:
            self.isolated.append("bdi" in self.open)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("\u00a0", " "))


def proved_page(page: str, scripts: int) -> Parsed:
    """A page that runs nothing but its own scripts and links nowhere but beside itself."""
    found = Parsed(page)
    assert found.tags.count("script") == scripts and not found.handlers
    assert "alert(" not in "".join(found.scripts) and not MARKUP - {"script"} & set(found.tags)
    for link in found.links:
        parts = urlsplit(link)
        assert not parts.scheme and not parts.netloc and not link.startswith("/"), link
        assert ".." not in unquote(parts.path).split("/"), link
    return found


def proved_book(content: bytes) -> list[str]:
    """The texts of a workbook that holds no formula, link or connection."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        assert not [name for name in archive.namelist() if re.search("externalLink|connection|macro|vba|embed", name, re.I)]
        assert not [name for name in archive.namelist() if b'TargetMode="External"' in archive.read(name)]
        assert not [name for name in archive.namelist() if "worksheets/" in name and b"<f>" in archive.read(name)]
    cells = [cell for sheet in load_workbook(BytesIO(content)) for row in sheet.iter_rows() for cell in row if cell.value]
    assert not [cell for cell in cells if cell.data_type == "f" or cell.hyperlink]
    texts = [cell.value for cell in cells if isinstance(cell.value, str)]
    assert not [text for text in texts if text[0] in "=+-@\t\r"]
    return texts


def made_record(i: int, text: str, status: str = "done") -> dict:
    """A record whose every text is hostile, those that only our own code writes too."""
    words, study = {"en": text, "<b>": text}, f"{text}{i}"
    verdict = {"indicator": text, "level": "goal", "unit": text, "text": words, "name": words, "attainment": text, "evidence": text}
    return {
        "study": study, "status": status, "message": text if status == "failed" else "", "key": text, "stage": text, "as_of": text,
        "languages": ["en", text], "finished": text, "seconds": 1.0, "programme": {"id": text, "name": words}, "machine": {},
        "outputs": {"report.en.html": 1, f"report.{text}.html": 1, "run.log": 1}, "moved": {"verdicts": 1, "numbers": 2},
        "verdicts": [verdict | {"due": text, "value": 0.5}], "git": {"commit": text, "changed": True},
    }  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, bytes]:
    texts = [*HOSTILES, HOSTILE]
    records = [made_record(i, text) for i, text in enumerate(texts)]
    records += [made_record(i, text, "failed") for i, text in enumerate(texts)]
    records[-1]["message"] += "\ud800\x00"
    shelf = Shelf(tmp_path_factory.mktemp("pages"))
    write_pages(shelf, records, {record["study"]: [f"data: {text}"] for record, text in zip(records, texts, strict=False)})
    return {name: shelf.read(name) for name in ("index.html", "status.json", "verdicts.xlsx")}


def test_the_page_over_all_reports_runs_and_links_nothing_of_the_names(pages):
    found = proved_page(pages["index.html"].decode(), scripts=1)
    for text in HOSTILES:
        assert found.text.count(squeezed(text)) >= 8


def test_a_text_that_turns_the_direction_of_writing_turns_nothing_beside_it(tmp_path):
    text, shelf = f"fine{RIGHT_TO_LEFT}exe.txt", Shelf(tmp_path)
    record = made_record(0, text) | {"stage": "final", "as_of": "2007-03-31", "finished": "2026-01-02", "languages": ["en"]}
    record["verdicts"][0] |= {"attainment": "met", "evidence": "adverse"}
    failed = made_record(0, text, "failed")
    write_pages(shelf, [record, failed], {record["study"]: [f"data: {text}", text + "!"]})
    found = proved_page(shelf.read("index.html").decode(), scripts=1)
    assert len(found.isolated) >= 10 and all(found.isolated)


def test_a_name_that_climbs_out_of_the_folder_is_no_link(tmp_path):
    shelf, names = Shelf(tmp_path), ["../up", "/root", "//evil.example", "a/./b", "javascript:alert(1)", "fine"]
    write_pages(shelf, [made_record(0, "x") | {"study": name} for name in names], {})
    links = proved_page(shelf.read("index.html").decode(), scripts=1).links
    assert {link.partition("/")[0] for link in links if link.endswith("report.en.html")} == {"fine", "javascript%3Aalert%281%29"}


def test_the_status_file_holds_the_texts_as_they_are(pages):
    status = json.loads(pages["status.json"])
    found = {one["study"]: one for one in status["studies"]}
    for i, text in enumerate(HOSTILES):
        one = found[f"{text}{i}"]
        assert one["failure"]["message"] == text and one["report"]["programme"]["name"]["en"] == text
    assert any(one["failure"]["message"].endswith("\ud800\x00") for one in status["studies"])


def test_the_workbook_over_all_reports_holds_no_formula(pages):
    texts = proved_book(pages["verdicts.xlsx"])
    assert f"'{HOSTILES[0]}" in texts and HOSTILES[1] in texts
    assert not [text for text in texts if len(text) > 32_767]


def words() -> dict[str, str]:
    return {"en": HOSTILE, "es": HOSTILE}


def hostile_study(root: Path, sales: float = 3000.0) -> SmallStudy:
    """A small study whose every free text is hostile, in params, log frame, data, file names and folders."""
    small = SmallStudy(root)
    frame = yaml.safe_load((ROOT / "src/pipeval/logframes/jobtraining.yaml").read_text(encoding="utf-8"))
    frame |= {"title": words(), "goal": words(), "purpose": words(), "reference": HOSTILE, "sources": {"survey": words()}}
    frame |= {"assumptions": {"no_other": words()}}
    for row in frame["indicators"]:
        row |= {"text": words(), "name": words()}
    (root / "params" / "frame [x](y) #read.yaml").write_text(yaml.safe_dump(frame, allow_unicode=True), encoding="utf-8")
    table, survey = "=cmd [x](y) #read $x & `q` {z}.csv", "survey"
    for i, text in enumerate((HOSTILE, *HOSTILES[1:-1], "F<b>&amp;")):
        for name in ("enterprises", "survey"):
            small.tables[name]["firm_id"] = small.tables[name]["firm_id"].replace(f"F{i + 1:02d}", text)
    small.tables["enterprises"]["branch"] = HOSTILE
    small.tables[survey]["sales_kmxn"] = small.tables[survey]["sales_kmxn"].where(lambda s: s.index != 1, sales)
    small.planned(
        stage="baseline", as_of="2004-06-30", sensitivity={"permutations": 99, "simulations": 20},
        programme={"id": HOSTILE, "name": words(), "executing_agency": HOSTILE, "financier": HOSTILE, "place": words()},
        outcomes=[{"id": "ln_sales", "measure": "sales", "label": words()}],
        labels={"branch": {HOSTILE: words()}}, logframe="params/frame [x](y) #read.yaml",
        report={"languages": ["en"], "locales": {"en": "en_US"}, "author": HOSTILE},
        data={"folder": "data", "files": {"enterprises": table}},
    )  # fmt: skip
    (small.data / "enterprises.csv").rename(small.data / table)
    return small


def reported(small: SmallStudy) -> Path:
    """Its report as a batch leaves it."""
    study, out = small.read(), small.root / "reports"
    with collected():
        folder = save(evaluate(study), out / "small")
    record, sources = inputs_of(study, str(small.params))
    kept(record, sources, Store(out / ".pipeval" / "inputs"))
    (folder / "inputs.json").write_bytes(record.as_bytes())
    run = {"study": "small", "seconds": 72.4, "machine": {"system": HOSTILE, "cores": 2, "memory_gb": 1}}
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> tuple[Path, Path]:
    return tuple(reported(hostile_study(tmp_path_factory.mktemp("study") / name, s)) for name, s in (("a", 3000), ("b", 4500)))


@pytest.fixture(scope="module")
def compared(reports, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    compare(*reports, out=folder, languages=["en"])
    return folder


def test_the_paper_of_a_comparison_runs_and_links_nothing_of_the_names(compared):
    page = (compared / "compare.en.html").read_text(encoding="utf-8")
    found = proved_page(page, scripts=page.count("<script>"))
    assert found.text.count(squeezed(HOSTILE)) >= 3  # the programme's name, the answer, the table of cells
    assert not {"em", "h4"} & set(found.tags)


def test_the_word_paper_of_a_comparison_has_no_field_or_link_of_the_names(compared):
    with zipfile.ZipFile(compared / "compare.en.docx") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    trees = {name: ElementTree.fromstring(content) for name, content in parts.items() if name.endswith((".xml", ".rels"))}
    for name, tree in trees.items():
        if name.endswith(".rels"):
            assert not [one for one in tree if one.get("TargetMode") == "External"]
        for one in tree.iter():
            field = (
                (one.text or "") if one.tag.endswith("}instrText") else "".join(v for k, v in one.items() if k.endswith("}instr"))
            )
            assert not re.search(r"cmd|evil|javascript|DDE|INCLUDE|HYPERLINK \"", field), field
    text = squeezed("".join(trees["word/document.xml"].itertext()))
    assert text.count(squeezed(HOSTILE)) >= 3 and not [name for name in parts if "altChunk" in name or "embeddings" in name]


def test_the_file_of_a_comparison_holds_the_texts_as_they_are(compared):
    held = json.loads((compared / "compare.json").read_text(encoding="utf-8"))
    assert {cell["firm_id"] for cell in held["causes"]["cells"]} == {HOSTILE}


def readme_tree(content: bytes, folder: Path) -> dict:
    from pipeval.report.paper import run_pandoc

    (folder / "README.md").write_bytes(content)
    return json.loads(run_pandoc(["-f", "gfm", "-t", "json", "README.md"], folder, 0))


def nodes(tree, kinds: tuple[str, ...]) -> list:
    """Every node of these kinds in pandoc's tree."""
    below = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    own = [tree] if isinstance(tree, dict) and tree.get("t") in kinds else []
    return own + [found for one in below for found in nodes(one, kinds)]


def read(tree) -> str:
    """The text of a tree as it is read."""
    if isinstance(tree, list):
        return "".join(map(read, tree))
    kind = tree.get("t") if isinstance(tree, dict) else None
    if kind in ("Str", "Code"):
        return tree["c"] if kind == "Str" else tree["c"][1]
    return " " if kind in ("Space", "SoftBreak", "LineBreak") else read(tree["c"]) if kind and "c" in tree else ""


def test_a_package_holds_names_as_text_and_files_inside_its_folder(reports, tmp_path):
    place = package(reports[0], tmp_path / "out").place
    made = {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
    tree = readme_tree(made["README.md"], tmp_path)
    assert not nodes(tree, ("Link", "Image", "RawInline", "RawBlock", "Math", "Note"))
    leaning = [squeezed(read(one)) for one in nodes(tree, ("Emph",)) if re.search("bold|evil|cmd", read(one))]
    assert len(leaning) == 1 and leaning[0].startswith(HOSTILE)  # the citation's title, set so by us
    headings = nodes(tree, ("Header",))
    assert [one["c"][0] for one in headings] == [1, *[2] * 11] and squeezed(read(headings[0]["c"][2])).startswith(HOSTILE)
    widths = [{len(row[1]) for row in nodes_of_table(one)} for one in nodes(tree, ("Table",))]
    assert len(widths) == 4 and all(len(one) == 1 for one in widths)
    lines = made[MANIFEST].decode().splitlines()
    assert {re.fullmatch("[0-9a-f]{64}  (.+)", line)[1] for line in lines} == made.keys() - {MANIFEST}
    assert "data/=cmd [x](y) #read $x & `q` {z}.csv" in made
    entry = next(one for one in ast.parse(made["run.py"]).body if isinstance(one, ast.Assign) and isinstance(one.value, ast.Tuple))
    assert ast.literal_eval(entry.value) == ("", "params/small.yaml", "", "small")
    assert all(re.fullmatch(r"[\w.-]+==[\w.+-]+", line) for line in made["requirements.txt"].decode().split("\n") if line)


def nodes_of_table(table) -> list:
    """The rows of a table of pandoc's tree."""
    _, _, _, head, bodies, _ = table["c"]
    return [*head[1], *(row for body in bodies for row in body[3])]


@pytest.mark.parametrize("text", HOSTILES[:-1])
def test_a_text_of_a_readme_reads_as_it_was_written(text, tmp_path):
    tree = readme_tree(f"{plain(text)} and mail@evil.example".encode(), tmp_path)
    assert not nodes(tree, ("Image", "RawInline", "RawBlock", "Math", "Emph", "Code"))
    assert squeezed(read(tree["blocks"][0]["c"])).startswith(squeezed(text))


def test_a_file_name_stays_in_its_cell(tmp_path):
    tree = readme_tree(f"| {code('a|b`c`')} | {code('*d*' + chr(10) + '| e')} |\n| - | - |\n".encode(), tmp_path)
    (table,) = nodes(tree, ("Table",))
    assert [[one["c"][1] for one in nodes(cell, ("Code",))] for cell in nodes_of_table(table)[0][1]] == [["a/b'c'"], ["*d* / e"]]


@pytest.mark.parametrize("where", ["params", "data"])
def test_what_turns_the_direction_of_writing_is_refused_at_the_door(where, small):
    if where == "params":
        small.planned(programme={"name": {"en": f"fine{RIGHT_TO_LEFT}exe"}})
    else:
        small.cell("enterprises", 0, "firm_id", f"F{RIGHT_TO_LEFT}01").cell("survey", 0, "firm_id", f"F{RIGHT_TO_LEFT}01")
    with pytest.raises(PipevalError, match=r"U\+202E|unprintable|cannot be printed|firm_id"):
        evaluate(small.read())
