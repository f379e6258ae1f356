"""The tables and lists of a Word file: as wide as their share of the page, in styles of their own, whole where they are short."""

from __future__ import annotations

from .word_pages import HOUSE, HOUSE_SIDE, Page
from .word_styles import Styles, w
from .word_xml import Element, element, give, properties, style_of

_PANDOC_WIDTH = 7920  # twentieths of a point: the width of the text that pandoc assumes
_SHORT = 14  # rows: a table of no more stays on one page
_SQUEEZED = 1.22  # a table that wants no more than this of an upright page stays there, in smaller type
_TIGHT = 1.05  # a table that wants more than this of its page is set in smaller type
_INDENT = 300  # of each level of a list


def set_lists(body: Element, styles: Styles) -> None:
    """Items of a list in their own style, less indented than pandoc has them."""
    for paragraph in body.iter(w("p")):
        level = paragraph.find(f"{w('pPr')}/{w('numPr')}/{w('ilvl')}")
        if level is not None and style_of(paragraph) in ("", styles.named("Compact")):
            give(paragraph, "pStyle", element(f'<w:pStyle w:val="{styles.named("List Paragraph")}"/>'))
            paragraph.find(f"{w('pPr')}/{w('pStyle')}").set(w("val"), styles.named("List Paragraph"))
            left = _INDENT * (int(level.get(w("val"), "0")) + 1)
            give(paragraph, "ind", element(f'<w:ind w:left="{left}" w:hanging="{_INDENT}"/>'))


def set_tables(body: Element, styles: Styles, page: Page) -> None:
    """Each table as wide as its share of the text, with paragraph styles of its own."""
    ours, mark = styles.named("Table", "table"), None
    for node in list(body.iter()):
        if style_of(node) in ("WideStart", "WideEnd"):
            start, mark = mark, node if style_of(node) == "WideStart" else None
            if mark is None and start is not None and start not in body:
                body.remove(node)
        elif node.tag == w("tbl") and node.find(f"{w('tblPr')}/{w('tblStyle')}").get(w("val")) == ours:
            room = page.upright if mark is None else page.side
            wanted = _share(node) * (HOUSE if mark is None else HOUSE_SIDE) * page.loose
            small = wanted > room * _TIGHT
            if mark is not None and wanted <= _SQUEEZED * page.upright:
                body.remove(mark)
                room, small = page.upright, True
            _fit_table(node, round(min(wanted, room)))
            size = " Small" if small else ""
            for i, row in enumerate(node.findall(w("tr"))):
                _set_row(row, styles.named(("Table Head" if i == 0 else "Table Text") + size))


def _share(table: Element) -> float:
    """The share of the width of its page that pandoc gave a table."""
    width = table.find(f"{w('tblPr')}/{w('tblW')}")
    if width.get(w("type")) == "pct":
        return int(width.get(w("w"))) / 5000
    return sum(int(column.get(w("w"))) for column in table.find(w("tblGrid"))) / _PANDOC_WIDTH


def _fit_table(table: Element, wanted: int) -> None:
    """Widths in the proportions pandoc wrote, in a fixed layout; the caption's words describe the table."""
    properties = table.find(w("tblPr"))
    width, columns = properties.find(w("tblW")), list(table.find(w("tblGrid")))
    taken = [int(column.get(w("w"))) for column in columns]
    widths = [round(value * wanted / max(sum(taken), 1)) for value in taken]
    widths[widths.index(max(widths))] -= max(sum(widths) - wanted, 0)  # rounding never leaves the page
    width.set(w("type"), "dxa")
    width.set(w("w"), str(sum(widths)))
    look = properties.find(w("tblLook"))
    if properties.find(w("tblLayout")) is None:
        properties.insert(list(properties).index(look), element('<w:tblLayout w:type="fixed"/>'))
    for name, value in (("noHBand", "0"), ("noVBand", "1"), ("val", "0420")):
        look.set(w(name), value)
    caption = properties.find(w("tblCaption"))
    if caption is not None:
        caption.set(w("val"), caption.get(w("val"), "").strip())
    for column, value in zip(columns, widths, strict=True):
        column.set(w("w"), str(value))
    for row in table.findall(w("tr")):
        for cell, value in zip(row.findall(w("tc")), widths, strict=False):
            cell.find(w("tcPr")).insert(0, element(f'<w:tcW w:w="{value}" w:type="dxa"/>'))


def _set_row(row: Element, style: str) -> None:
    rule = row.find(w("trPr"))
    if rule is None:
        rule = element("<w:trPr/>")
        row.insert(0, rule)
    rule.insert(0, element("<w:cantSplit/>"))
    for paragraph in row.iter(w("p")):
        properties(paragraph)
        give(paragraph, "pStyle", element(f'<w:pStyle w:val="{style}"/>'))
        paragraph.find(f"{w('pPr')}/{w('pStyle')}").set(w("val"), style)


def hold_together(body: Element, styles: Styles) -> None:
    """Captions stay with what they name, notes with what they explain, short tables whole."""
    note, captions = styles.named("Table Note"), {styles.named("Table Caption"), styles.named("Image Caption")}
    nodes = list(body)
    for node, after in zip(nodes, [*nodes[1:], None], strict=True):
        noted = after is not None and style_of(after) == note
        if node.tag == w("tbl"):
            rows = node.findall(w("tr"))
            held = range(len(rows) - 1) if len(rows) <= _SHORT + 1 else [0, 1, len(rows) - 2]
            for i in [*held, *([len(rows) - 1] if noted else [])]:
                for paragraph in rows[i].iter(w("p")):
                    give(paragraph, "keepNext")
        elif style_of(node) in captions and after is not None and (noted or after.tag == w("tbl")):
            give(node, "keepNext")
