"""Elements of WordprocessingML: made, read, and given properties in the order of the schema."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.sax.saxutils import escape

from .text import NO_CHARACTER
from .word_styles import Styles, W, w

Element = ElementTree.Element

_PARAGRAPH = (
    *("pStyle", "keepNext", "keepLines", "pageBreakBefore", "widowControl", "numPr", "pBdr", "shd", "tabs", "spacing", "ind"),
    *("contextualSpacing", "jc", "outlineLvl", "rPr", "sectPr"),
)


def element(xml: str) -> Element:
    """The element that this text writes, its prefix `w` declared."""
    return ElementTree.fromstring(f'<x xmlns:w="{W}">{xml}</x>')[0]


def literal(text: object) -> str:
    """A text as XML holds it: markup escaped, characters that XML forbids left out.

    >>> literal("a < b\\x07")
    'a &lt; b'
    """
    return escape(NO_CHARACTER.sub("", str(text)))


def properties(paragraph: Element) -> Element:
    """The properties of a paragraph, made where it has none."""
    found = paragraph.find(w("pPr"))
    if found is None:
        found = Element(w("pPr"))
        paragraph.insert(0, found)
    return found


def give(paragraph: Element, name: str, child: Element | None = None) -> None:
    """A property of a paragraph at the place that the schema gives it; one that it has stays."""
    inside = properties(paragraph)
    if inside.find(w(name)) is not None:
        return
    before = {w(n) for n in _PARAGRAPH[: _PARAGRAPH.index(name)]}
    place = max((i + 1 for i, node in enumerate(inside) if node.tag in before), default=0)
    inside.insert(place, Element(w(name)) if child is None else child)


def style_of(node: Element) -> str:
    """The id of the style of a paragraph; empty for anything else."""
    style = node.find(f"{w('pPr')}/{w('pStyle')}") if node.tag == w("p") else None
    return "" if style is None else style.get(w("val"), "")


def levels_of(styles: Styles) -> dict[str, int]:
    """The ids of the heading styles and their levels."""
    return {styles.named(f"heading {level}"): level for level in range(1, 10)}
