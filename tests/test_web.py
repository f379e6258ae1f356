"""The HTML report as a browser will read it: structure, headings of cells, folded detail, nothing fetched, no markup from data."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from bundle_fixture import HOSTILE, study

from pipeval.report.bundle import Bundle
from pipeval.report.look import Look
from pipeval.report.paper import Paper
from pipeval.report.text import read_text
from pipeval.report.web import web

VOID = {"meta", "link", "img", "br", "hr", "col", "input", "source"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
MARKDOWN = r"""# Executive summary {#sec-summary}

What was asked, in [](#tbl-folded).

- **Targets.** Two of three.
- **Precision.** Small.

::: {#tbl-lights .data width="0.50"}
| Ind | Verdict | Value |
| :----- | :------- | ------: |
| G1 | [Met]{.light .good} | 1 |
| [G1]{.again} | [Not met]{.light .bad} | 2 |
| HOSTILE | [Open]{.light .open} | — |

: Lights

::: note
A note.
:::

:::

::: contents
:::

# Results {#sec-results}

## In detail

:::: fold
::: {#tbl-folded .data .wide width="1.00"}
| Value | Name |
| ------: | :----- |
| 1 | a |

: Folded *numbers*

::: note
Note of the folded.
:::

:::
::::

:::: fold
![Folded picture](figures/p.png){#fig-folded alt="What the picture shows" width="100%"}
::::

![Picture](figures/p.png){#fig-open alt="Alternative \"text\"" width="100%"}

:::: fold
Only words.
::::

::: {#tbl-gaps .data width="1.00"}
| Name | Value |
| :----- | ------: |
|  | 1 |

: A first column with a gap
:::
"""


class Page(HTMLParser):
    """Elements in order: (tag, attributes, open ancestors, own text)."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[dict] = []
        self.open: list[dict] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        element = {
            "tag": tag,
            "attrs": dict(attrs),
            "within": [e["tag"] for e in self.open],
            "text": "",
            "parents": list(self.open),
        }
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1]["tag"] == tag, f"</{tag}> closes {[e['tag'] for e in self.open][-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element["text"] += data

    def all(self, tag: str, **attrs: str) -> list[dict]:
        """The elements of a tag with these attributes (`id_` for id, `class_` for one class among several)."""
        wanted = {k.rstrip("_"): v for k, v in attrs.items()}
        return [e for e in self.elements if e["tag"] == tag and all(_holds(e["attrs"], k, v) for k, v in wanted.items())]

    def inside(self, element: dict, tag: str) -> list[dict]:
        """The elements of a tag within an element."""
        return [e for e in self.elements if e["tag"] == tag and any(p is element for p in e["parents"])]


def _holds(attrs: dict, key: str, value: str) -> bool:
    return value in (attrs.get(key) or "").split() if key == "class" else attrs.get(key) == value


def _write(folder: Path, look: Look | None = None, **cover: object) -> str:
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "p.png").write_bytes(PNG)
    escaped = re.sub(r"([^\w\s])", r"\\\1", HOSTILE)
    (folder / "report.md").write_text(MARKDOWN.replace("HOSTILE", escaped), encoding="utf-8")
    metadata = {
        "title": escaped,
        "subtitle": "Final",
        "lang": "en",
        "facts": [{"name": "Place", "value": escaped}],
        "toc-title": "Contents",
        "word-table": "Table",
        "word-figure": "Figure",
        "word-page": "Page",
        "study": "s",
        "accent": "#7a1f3d",
        "logo": "",
        "decimal": ",",
        "web": {"skip": "Skip", "sort": "Sort", "open_all": "Open", "close_all": "Close", "logo": "Logo"},
    }
    (folder / "cover.json").write_text(json.dumps(metadata | cover), encoding="utf-8")
    bundle = Bundle.build(study(), {})
    paper = Paper(folder / "report.md", folder / "cover.json", folder, bundle, read_text("en"), look or Look("#7a1f3d"))
    return web(paper).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    return _write(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_one_title_and_headings_that_skip_no_level(page):
    levels = [int(e["tag"][1]) for e in page.elements if re.fullmatch("h[1-6]", e["tag"])]
    assert levels == [1, 2, 2, 3]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert [e["text"] for e in page.elements if e["tag"] in ("h2", "h3")] == ["1 Executive summary", "2 Results", "2.1 In detail"]


def test_landmarks_a_skip_link_and_the_language(page):
    assert [len(page.all(tag)) for tag in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    assert page.all("html")[0]["attrs"]["lang"] == "en"
    assert page.all("nav")[0]["attrs"]["aria-label"] == "Contents"
    first = next(e for e in page.elements if e["tag"] == "a")
    assert (first["attrs"]["href"], first["text"]) == ("#content", "Skip")
    assert page.all("main", id_="content")


def test_ids_are_unique_and_every_link_arrives(page):
    ids = [e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]]
    assert len(ids) == len(set(ids))
    links = [e["attrs"]["href"] for e in page.all("a")]
    assert links and all(link.startswith("#") and link[1:] in ids for link in links)
    named = [e["attrs"]["aria-labelledby"] for e in page.elements if "aria-labelledby" in e["attrs"]]
    assert len(named) == 2 and set(named) <= set(ids)
    assert {e["attrs"]["data-name"] for e in page.all("div", class_="scroll")} <= set(ids)


def test_every_table_is_named_once_and_its_headings_have_a_scope(page):
    tables = page.all("table")
    assert len(tables) == 3
    for table in tables:
        captions = page.inside(table, "caption")
        assert len(captions) == (0 if "aria-labelledby" in table["attrs"] else 1)
        heads = page.inside(table, "th")
        assert all(e["attrs"]["scope"] == ("col" if "thead" in e["within"] else "row") for e in heads)
    names = [e["text"] for e in page.all("th", scope="row")]
    # A first column of numbers, or one with a gap, names no row.
    assert names[:2] == ["G1", "G1"] and len(names) == 3


def test_folded_detail_says_its_caption_once_and_holds_its_note(page, html):
    folds = page.all("details", class_="fold")
    assert [page.inside(fold, "summary")[0]["text"] for fold in folds] == [
        "Table\u00a02. Folded numbers",
        "Figure\u00a01. Folded picture",
    ]
    assert html.count("Folded <em>numbers</em>") == 1 and html.count("Folded picture") == 1
    assert "Note of the folded." in folds[0]["text"]
    assert page.inside(folds[0], "table")[0]["attrs"]["id"] == "tbl-folded"
    assert page.inside(folds[1], "figure")[0]["attrs"]["id"] == "fig-folded"
    only_words = next(e for e in page.all("p") if e["text"] == "Only words.")
    assert "details" not in only_words["within"]


def test_a_reference_to_folded_detail_is_a_link_to_it(page):
    link = next(e for e in page.all("a", href="#tbl-folded"))
    assert link["text"] == "Table\u00a02"


def test_every_picture_says_what_it_shows(page):
    assert [e["attrs"]["alt"] for e in page.all("img")] == ["What the picture shows", 'Alternative "text"']
    assert all("figure" in e["within"] for e in page.all("img"))
    assert [e["text"] for e in page.all("figcaption")] == ["Figure\u00a02. Picture"]


def test_a_repeated_cell_stays_for_those_who_listen(page):
    again = page.all("span", class_="again")
    assert [e["text"] for e in again] == ["G1"] and "th" in again[0]["within"]
    assert "table:not(.sorted) .again" in page.all("style")[1]["text"]


def test_a_light_is_a_word_with_a_tone(page):
    lights = page.all("span", class_="light")
    assert [(e["attrs"]["class"], e["text"]) for e in lights] == [
        ("light good", "Met"),
        ("light bad", "Not met"),
        ("light open", "Open"),
    ]
    assert all(set(e["attrs"]) == {"class"} for e in lights)


def test_the_first_page_sets_the_question_and_the_answer_apart(page):
    assert page.all("div", class_="asked")[0]["text"].strip() == "What was asked, in Table\u00a02."
    answer = page.all("div", class_="answer")
    assert len(answer) == 1 and len(page.inside(answer[0], "li")) == 2
    order = [e["attrs"].get("class", e["attrs"].get("id")) for e in page.elements]
    assert order.index("asked") < order.index("answer") < order.index("name-tbl-lights")


def test_nothing_is_fetched(page, html):
    loads = [e["attrs"][k] for e in page.elements for k in ("src", "href", "srcset", "data", "action") if k in e["attrs"]]
    assert all(load.startswith(("#", "data:")) for load in loads)
    sheets = " ".join(e["text"] for e in page.all("style"))
    assert "url(" not in sheets and "@import" not in sheets
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["attrs"]["content"]
    assert policy.startswith("default-src 'none'") and "http" not in policy
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(", page.all("script")[0]["text"])


def test_names_from_data_stay_words(page):
    assert len(page.all("script")) == 1 and "alert" not in page.all("script")[0]["text"]
    assert "<script>alert(1)</script>" in page.all("h1")[0]["text"]
    assert any("<script>alert(1)</script>" in e["text"] for e in page.all("th", scope="row"))
    assert not any("x.y" in (e["attrs"].get("href") or "") for e in page.all("a"))


def test_the_words_and_the_decimal_sign_reach_the_script(page):
    body = page.all("body")[0]["attrs"]
    assert (body["data-decimal"], body["data-sort"]) == (",", "Sort")
    button = page.all("button", class_="open-all")[0]
    assert (button["text"], button["attrs"]["data-close"]) == ("Open", "Close") and "hidden" in button["attrs"]


def test_an_institution_lays_its_look_over_ours(tmp_path):
    style = tmp_path / "house.css"
    style.write_text("h1 { letter-spacing: .123em; }", encoding="utf-8")
    (tmp_path / "look").mkdir()
    (tmp_path / "look" / "logo.png").write_bytes(PNG)
    page = Page(_write(tmp_path, replace(Look("#7a1f3d"), style=style), logo="look/logo.png"))
    sheets = [e["text"] for e in page.all("style")]
    assert "--accent: #7a1f3d" in sheets[0] and "var(--accent" in sheets[1] and ".123em" in sheets[2]
    logo = page.all("img", class_="logo")[0]["attrs"]
    assert logo["alt"] == "Logo" and logo["src"].startswith("data:image/png")
