"""The text of a Word file after pandoc: contents, bookmarks, tables as wide as their page, pages on their side, pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from .word_pages import page_of, turn_pages
from .word_styles import Styles, w
from .word_tables import hold_together, set_lists, set_tables
from .word_xml import Element, element, give, levels_of, style_of

_LOGO = (1_980_000, 612_000)  # the largest logo, width and height in English metric units: 5.5 by 1.7 cm
_WP = "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"
_A = "http://schemas.openxmlformats.org/drawingml/2006/main"


def completed(document: bytes, styles: Styles) -> bytes:
    """The part `word/document.xml` completed; `styles` are those of the same file."""
    for prefix, uri in re.findall(r'xmlns:(\w+)="([^"]+)"', document[:4000].decode("utf-8", "ignore")):
        ElementTree.register_namespace(prefix, uri)
    root = ElementTree.fromstring(document)
    body = root.find(w("body"))
    page = page_of(body.find(w("sectPr")))
    _bookmark_headings(body, styles)
    _fill_contents(body, styles, apart=page.loose > 1)  # how far an institution's type carries the summary is not known
    set_lists(body, styles)
    set_tables(body, styles, page)
    hold_together(body, styles)
    turn_pages(body, styles, page)
    _place_logo(body, styles)
    _number(root)
    return ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)


# ── bookmarks and contents ────────────────────────────────────────────────────────────────────────────────────────────


def _bookmark_headings(body: Element, styles: Styles) -> None:
    """Pandoc's bookmarks, which embrace whole sections and tables, give way to one round the words of each heading."""
    levels, names, last = levels_of(styles), {}, ""
    for node in body.iter():
        if node.tag == w("bookmarkStart") and not node.get(w("name"), "").startswith("_Ref_"):
            last = node.get(w("name"), "")
        elif style_of(node) in levels and last:
            names[last] = _name(last, set(names.values()))
            inside = 1 if node.find(w("pPr")) is not None else 0
            node.insert(inside, element(f'<w:bookmarkStart w:id="0" w:name="{names[last]}"/>'))
            node.append(element('<w:bookmarkEnd w:id="0"/>'))
            last = ""
    ours = {*names.values()}
    for parent in list(body.iter()):
        open_ids = set()
        for node in list(parent):
            if node.tag == w("bookmarkStart"):
                if node.get(w("name"), "").startswith("_Ref_") or node.get(w("name")) in ours:
                    open_ids.add(node.get(w("id")))
                else:
                    parent.remove(node)
            elif node.tag == w("bookmarkEnd"):
                if node.get(w("id")) in open_ids:
                    open_ids.discard(node.get(w("id")))
                else:
                    parent.remove(node)
    for link in body.iter(w("hyperlink")):
        if link.get(w("anchor")) in names:
            link.set(w("anchor"), names[link.get(w("anchor"))])


def _name(identifier: str, taken: set[str]) -> str:
    """A bookmark's name as Word takes it: letters, digits and underscores, at most 40, each once."""
    stem = "_Sec_" + re.sub(r"[^A-Za-z0-9]", "_", identifier.removeprefix("sec-"))[:30]
    return next(name for name in (stem, *(f"{stem}_{i}" for i in range(1, 10_000))) if name not in taken)


def _run_text(run: Element) -> str:
    return "".join("  " if n.tag == w("tab") else n.text or "" for n in run if n.tag in (w("t"), w("tab")))


def _fill_contents(body: Element, styles: Styles, *, apart: bool) -> None:
    """Write the headings into the contents field, as links; the page numbers are fields that Word fills.

    They are left empty: a number can only come from the program that sets the pages, and a field marked as out of date makes Word
    ask a question whenever the file is opened.
    """
    sdt = next(iter(body.iter(w("sdt"))), None)
    if sdt is None:
        return
    content, levels = sdt.find(w("sdtContent")), levels_of(styles)
    entries = []
    for node in body.iter(w("p")):
        mark = node.find(w("bookmarkStart"))
        if levels.get(style_of(node), 9) <= 2 and mark is not None:
            words = "".join(_run_text(run) for run in node.iter(w("r"))).strip()
            entries.append((levels[style_of(node)], mark.get(w("name"), ""), words))
    for heading in content.findall(w("p")):
        give(heading, "pStyle", element(f'<w:pStyle w:val="{styles.named("TOC Heading")}"/>'))
        give(heading, "keepNext")
        if apart:
            give(heading, "pageBreakBefore")
    for i, (level, anchor, words) in enumerate(entries):
        content.append(_entry(styles.named(f"toc {level}"), anchor, words, first=i == 0, last=i == len(entries) - 1))
    after = list(body)[list(body).index(sdt) + 1 :]
    heading = next((node for node in after if node.tag in (w("p"), w("tbl"))), None)
    if heading is not None and heading.tag == w("p"):
        give(heading, "pageBreakBefore")


def _entry(style: str, anchor: str, words: str, *, first: bool, last: bool) -> Element:
    def mark(kind: str) -> str:
        return f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'

    def instruction(text: str) -> str:
        return f'<w:r><w:instrText xml:space="preserve"> {text} </w:instrText></w:r>'

    begin = mark("begin") + instruction('TOC \\o "1-2" \\h \\z \\u') + mark("separate") if first else ""
    page = "<w:r><w:tab/></w:r>" + mark("begin") + instruction(f"PAGEREF {anchor} \\h") + mark("separate") + mark("end")
    number, _, title = words.rpartition("  ")
    lead = f'<w:r><w:t xml:space="preserve">{escape(number)}  </w:t></w:r>' if number else ""
    text = f'{lead}<w:r><w:t xml:space="preserve">{escape(title)}</w:t></w:r>'
    link = f'<w:hyperlink w:anchor={quoteattr(anchor)} w:history="1">{text}{page}</w:hyperlink>'
    keep = "" if last else "<w:keepNext/>"  # the contents stand on one page, that of the summary only where they fit
    return element(f'<w:p><w:pPr><w:pStyle w:val="{style}"/>{keep}</w:pPr>{begin}{link}{mark("end") if last else ""}</w:p>')


# ── pictures and numbers ──────────────────────────────────────────────────────────────────────────────────────────────


def _place_logo(body: Element, styles: Styles) -> None:
    """The logo in the title stands free at the right margin, no larger than a letterhead's."""
    title = next((node for node in body if style_of(node) == styles.named("Title")), None)
    drawing = None if title is None else title.find(f".//{w('drawing')}")
    inline = None if drawing is None else drawing.find(f"{{{_WP}}}inline")
    if inline is None:
        return
    extent, inner = inline.find(f"{{{_WP}}}extent"), inline.find(f".//{{{_A}}}xfrm/{{{_A}}}ext")
    size = int(extent.get("cx")), int(extent.get("cy"))
    scale = min(_LOGO[0] / size[0], _LOGO[1] / size[1])
    for node in (extent, inner):
        node.set("cx", str(round(size[0] * scale)))
        node.set("cy", str(round(size[1] * scale)))
    anchor = ElementTree.fromstring(
        f'<wp:anchor xmlns:wp="{_WP}" distT="0" distB="0" distL="180000" distR="0" simplePos="0" relativeHeight="1" behindDoc="0" '
        'locked="0" layoutInCell="1" allowOverlap="0"><wp:simplePos x="0" y="0"/>'
        '<wp:positionH relativeFrom="margin"><wp:align>right</wp:align></wp:positionH>'
        '<wp:positionV relativeFrom="margin"><wp:align>top</wp:align></wp:positionV></wp:anchor>'
    )
    picture = inline.find(f"{{{_WP}}}docPr")
    picture.set("descr", "Logo")
    effect = inline.find(f"{{{_WP}}}effectExtent")
    wrap = ElementTree.fromstring(f'<wp:wrapSquare xmlns:wp="{_WP}" wrapText="bothSides"/>')
    frame = ElementTree.fromstring(f'<wp:cNvGraphicFramePr xmlns:wp="{_WP}"/>')
    graphic = inline.find(f"{{{_A}}}graphic")
    for node in (extent, effect, wrap, picture, frame, graphic):
        if node is not None:
            anchor.append(node)
    drawing.remove(inline)
    drawing.append(anchor)


def _number(root: Element) -> None:
    """One number for each bookmark and one for each picture, in their order."""
    opened, count = {}, 0
    for node in root.iter():
        if node.tag == w("bookmarkStart"):
            count += 1
            opened[node.get(w("id"))] = str(count)
            node.set(w("id"), str(count))
        elif node.tag == w("bookmarkEnd"):
            node.set(w("id"), opened.pop(node.get(w("id")), "0"))
    _count(root, lambda tag: tag.endswith("}docPr"))


def _count(root: Element, chosen: Callable[[str], bool]) -> None:
    for i, node in enumerate((n for n in root.iter() if chosen(n.tag)), start=1):
        node.set("id", str(i))
