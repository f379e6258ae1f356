"""The sections of a Word file: wide tables on pages on their side, header and footer kept."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from .word_styles import Styles, w
from .word_xml import Element, element, give, levels_of, style_of

OURS, SIDE = "rIdHouse", "Side"  # the ids of our own header and footer, and what those of a page on its side add
HOUSE, HOUSE_SIDE = 9520, 14452  # twentieths of a point: the text of our own page, A4 less its margins, upright and on its side
_LOOSE = 1.1  # the type of an institution may run wider than ours
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_LED = 3  # paragraphs between a heading and a wide table that go with it to its page


@dataclass(frozen=True, slots=True)
class Page:
    """A section as it stands upright, the width of its text upright and on its side in twentieths of a point, and how
    much more room its type may want than ours."""

    section: Element
    upright: int
    side: int
    loose: float


def page_of(section: Element) -> Page:
    """The page that the last section of a document describes."""
    size, margins = section.find(w("pgSz")), section.find(w("pgMar"))
    used = sum(int(float(margins.get(w(side), "0"))) for side in ("left", "right", "gutter"))
    long = max(int(float(size.get(w(side)))) for side in ("w", "h"))
    own = int(float(size.get(w("w"))))
    ours = any(str(node.get(_ID, "")).startswith(OURS) for node in section)
    return Page(section, own - used, long - used, 1.0 if ours else _LOOSE)


def _section(page: Page, *, side: bool, first: bool) -> Element:
    """The properties of one section: header and footer of the document, the page upright or on its side."""
    made = copy.deepcopy(page.section)
    size = made.find(w("pgSz"))
    if side:
        short, long = sorted((size.get(w("w")), size.get(w("h"))), key=float)
        for name, value in (("w", long), ("h", short), ("orient", "landscape")):
            size.set(w(name), value)
        for running in (node for name in ("headerReference", "footerReference") for node in made.findall(w(name))):
            if running.get(_ID, "").startswith(OURS):
                running.set(_ID, running.get(_ID) + SIDE)
    if not first:
        for node in [n for n in made if n.tag == w("titlePg") or n.get(w("type")) == "first"]:
            made.remove(node)
        for numbers in made.findall(w("pgNumType")):
            numbers.attrib.pop(w("start"), None)
    return made


def turn_pages(body: Element, styles: Styles, page: Page) -> None:
    """What stands between the marks of a wide table becomes a section on its side; neighbours share one."""
    final, spans = body.find(w("sectPr")), _spans(body, styles)
    first = True
    for start, end in spans:
        before = _before(body, start)
        if before is not None:
            _close(body, before, _section(page, side=False, first=first))
            first = False
        last = _before(body, end)
        ending = all(node in (end, final) for node in list(body)[list(body).index(end) :])
        section = _section(page, side=True, first=first)
        if ending:
            body[list(body).index(final)] = section
            final = section
        else:
            _close(body, last, section)
        first = False
        body.remove(start)
        body.remove(end)
    if spans and final.find(w("pgSz")).get(w("orient")) != "landscape" and not first:
        body[list(body).index(final)] = _section(page, side=False, first=False)


def _spans(body: Element, styles: Styles) -> list[tuple[Element, Element]]:
    """The first and last mark of each run of wide tables, the headings before it drawn in."""
    levels, spans = levels_of(styles), []
    marks = [node for node in body if style_of(node) in ("WideStart", "WideEnd")]
    for start, end in zip(marks[::2], marks[1::2], strict=True):
        _draw_in(body, start, levels)
        place = list(body).index(start)
        if spans and body[place - 1] is spans[-1][1]:
            body.remove(start)
            body.remove(spans[-1][1])
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


def _draw_in(body: Element, start: Element, levels: dict[str, int]) -> None:
    """Move a mark up over the headings before it, and over a few paragraphs between, so that none stays behind alone."""
    nodes = list(body)
    place = nodes.index(start)
    text = place
    while text >= 1 and place - text < _LED and _plain(nodes[text - 1], levels):
        text -= 1
    new = text if text >= 1 and style_of(nodes[text - 1]) in levels else place
    while new >= 1 and style_of(nodes[new - 1]) in levels:
        new -= 1
    if new != place:
        body.remove(start)
        body.insert(new, start)


def _plain(node: Element, levels: dict[str, int]) -> bool:
    return (
        node.tag == w("p") and style_of(node) not in {*levels, "WideStart", "WideEnd"} and node.find(f".//{w('drawing')}") is None
    )


def _before(body: Element, node: Element) -> Element | None:
    place = list(body).index(node)
    return body[place - 1] if place else None


def _close(body: Element, last: Element, section: Element) -> None:
    """End a section with its last paragraph; where it ends with a table, with a paragraph too small to see."""
    if last.tag != w("p") or last.find(f"{w('pPr')}/{w('sectPr')}") is not None:
        small = '<w:p><w:pPr><w:spacing w:before="0" w:after="0" w:line="20" w:lineRule="exact"/></w:pPr></w:p>'
        body.insert(list(body).index(last) + 1, element(small))
        last = body[list(body).index(last) + 1]
    give(last, "sectPr", section)
