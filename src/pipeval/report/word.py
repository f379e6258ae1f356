"""What pandoc leaves open in a Word file: the house styles, the running header, page numbers, table widths, a filled contents.

Two steps round pandoc: `reference` makes the document from which pandoc takes styles and page, `finish` completes the result.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape as xml_escape

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: the same bytes whenever they are written
TEXT_WIDTH = 9520  # twentieths of a point: A4 less its margins
_PANDOC_WIDTH = 7920  # the text width that pandoc assumes

_SECTION = (
    '<w:sectPr><w:headerReference w:type="default" r:id="rIdHeader"/><w:footerReference w:type="default" r:id="rIdFooter"/>'
    '<w:pgSz w:w="11906" w:h="16838"/><w:pgMar w:top="1360" w:right="1193" w:bottom="1190" w:left="1193" w:header="624" '
    'w:footer="567" w:gutter="0"/><w:titlePg/></w:sectPr>'
)


def reference(default: bytes, path: Path, header: tuple[str, str], footer: tuple[str, str]) -> Path:
    """Write the reference document: pandoc's own with our styles, page, running header and footer.

    `default` is pandoc's reference.docx; `header` and `footer` are the texts at the left and the right, and the footer's right
    text is followed by the page number.
    """
    parts = _read(BytesIO(default))
    parts["word/styles.xml"] = files("pipeval.report").joinpath("template", "styles.xml").read_bytes()
    parts["word/header1.xml"] = _running("hdr", "Header", header, numbered=False)
    parts["word/footer1.xml"] = _running("ftr", "Footer", footer, numbered=True)
    kinds = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    overrides = "".join(f'<Override PartName="/word/{p}1.xml" ContentType="{kinds}.{p}+xml"/>' for p in ("header", "footer"))
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(b"</Types>", overrides.encode() + b"</Types>")
    links = "".join(f'<Relationship Id="rId{p.title()}" Type="{_RELATIONS}/{p}" Target="{p}1.xml"/>' for p in ("header", "footer"))
    rels = "word/_rels/document.xml.rels"
    parts[rels] = parts[rels].replace(b"</Relationships>", links.encode() + b"</Relationships>")
    body = re.sub(rb"<w:sectPr>.*?</w:sectPr>", _SECTION.encode(), parts["word/document.xml"], flags=re.DOTALL)
    parts["word/document.xml"] = body
    return _write(parts, path)


def finish(path: Path, facts: list[tuple[str, str]]) -> Path:
    """Complete the Word file in place: cover facts, filled contents, tables as wide as the text with their own text style."""
    parts = _read(path)
    for prefix, uri in re.findall(r'xmlns:(\w+)="([^"]+)"', parts["word/document.xml"][:4000].decode("utf-8", "ignore")):
        ElementTree.register_namespace(prefix, uri)
    root = ElementTree.fromstring(parts["word/document.xml"])
    body = root.find(_w("body"))
    _fill_contents(body)
    _cover_facts(body, facts)
    for table in body.iter(_w("tbl")):
        if table.find(f"{_w('tblPr')}/{_w('tblStyle')}").get(_w("val")) == "Table":
            _fit_table(table)
    parts["word/document.xml"] = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return _write(parts, path)


def repacked(path: Path, changes: dict[str, Callable[[bytes], bytes]]) -> Path:
    """The zip file with these parts changed and every entry dated alike, so that the same content gives the same bytes."""
    parts = _read(path)
    return _write(parts | {name: change(parts[name]) for name, change in changes.items()}, path)


def _w(name: str) -> str:
    return f"{{{W}}}{name}"


def _element(xml: str) -> ElementTree.Element:
    return ElementTree.fromstring(f'<x xmlns:w="{W}">{xml}</x>')[0]


def _fill_contents(body: ElementTree.Element) -> None:
    """Write the headings into the contents field, as links; Word's "update field" adds page numbers."""
    content = next(iter(body.iter(_w("sdtContent"))), None)
    if content is None:
        return
    entries, anchor = [], ""
    for node in body.iter():
        if node.tag == _w("bookmarkStart"):
            anchor = node.get(_w("name"), "")
        elif node.tag == _w("p"):
            style = node.find(f"{_w('pPr')}/{_w('pStyle')}")
            level = {"Heading1": "1", "Heading2": "2"}.get(style.get(_w("val")) if style is not None else "")
            if level:
                entries.append((level, anchor, "".join(_run_text(r) for r in node.iter(_w("r"))).strip()))
    for paragraph in list(content)[1:]:
        content.remove(paragraph)
    begin = '<w:r><w:fldChar w:fldCharType="begin"/></w:r>'
    begin += '<w:r><w:instrText xml:space="preserve">TOC \\o "1-2" \\h \\z \\u</w:instrText></w:r>'
    begin += '<w:r><w:fldChar w:fldCharType="separate"/></w:r>'
    for i, (level, anchor, words) in enumerate(entries):
        run = f'<w:r><w:t xml:space="preserve">{xml_escape(words)}</w:t></w:r>'
        link = f'<w:hyperlink w:anchor="{xml_escape(anchor)}">{run}</w:hyperlink>'
        end = '<w:r><w:fldChar w:fldCharType="end"/></w:r>' if i == len(entries) - 1 else ""
        content.append(_element(f'<w:p><w:pPr><w:pStyle w:val="TOC{level}"/></w:pPr>{begin if i == 0 else ""}{link}{end}</w:p>'))
    content.append(_element('<w:p><w:r><w:br w:type="page"/></w:r></w:p>'))


def _run_text(run: ElementTree.Element) -> str:
    return "".join("  " if n.tag == _w("tab") else n.text or "" for n in run if n.tag in (_w("t"), _w("tab")))


def _cover_facts(body: ElementTree.Element, facts: list[tuple[str, str]]) -> None:
    """Name and value of each fact of the cover, after the subtitle."""
    place = next((i for i, node in enumerate(body) if node.tag == _w("sdt")), 0)
    for offset, (name, value) in enumerate(facts):
        quiet = '<w:rPr><w:color w:val="5A6772"/></w:rPr>'
        runs = f'<w:r>{quiet}<w:t xml:space="preserve">{xml_escape(name)}: </w:t></w:r><w:r><w:t>{xml_escape(value)}</w:t></w:r>'
        body.insert(place + offset, _element(f'<w:p><w:pPr><w:pStyle w:val="Author"/></w:pPr>{runs}</w:p>'))


def _fit_table(table: ElementTree.Element) -> None:
    """Full text width in the proportions pandoc wrote, fixed layout, and the table's own paragraph styles."""
    properties = table.find(_w("tblPr"))
    width = properties.find(_w("tblW"))
    width.set(_w("type"), "dxa")
    look = properties.find(_w("tblLook"))
    properties.insert(list(properties).index(look), _element('<w:tblLayout w:type="fixed"/>'))
    look.set(_w("noHBand"), "0")
    columns = list(table.find(_w("tblGrid")))
    widths = [round(int(c.get(_w("w"))) * TEXT_WIDTH / _PANDOC_WIDTH) for c in columns]
    width.set(_w("w"), str(sum(widths)))
    for column, value in zip(columns, widths, strict=True):
        column.set(_w("w"), str(value))
    for i, row in enumerate(table.findall(_w("tr"))):
        rule = row.find(_w("trPr"))
        if rule is None:
            rule = _element("<w:trPr/>")
            row.insert(0, rule)
        rule.insert(0, _element("<w:cantSplit/>"))
        for cell, value in zip(row.findall(_w("tc")), widths, strict=False):
            cell.find(_w("tcPr")).insert(0, _element(f'<w:tcW w:w="{value}" w:type="dxa"/>'))
            for style in cell.iter(_w("pStyle")):
                style.set(_w("val"), "TableHead" if i == 0 else "TableText")


def _running(tag: str, style: str, words: tuple[str, str], numbered: bool) -> bytes:
    left, right = (xml_escape(w) for w in words)
    page = (
        '<w:r><w:t xml:space="preserve"> </w:t></w:r><w:fldSimple w:instr="PAGE"><w:r><w:t>1</w:t></w:r></w:fldSimple>'
        if numbered
        else ""
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><w:{tag} xmlns:w="{W}">'
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr>'
        f"<w:r><w:t>{left}</w:t></w:r><w:r><w:tab/></w:r><w:r><w:t>{right}</w:t></w:r>{page}</w:p></w:{tag}>"
    ).encode()


def _read(source: Path | BytesIO) -> dict[str, bytes]:
    with zipfile.ZipFile(source) as book:
        return {name: book.read(name) for name in book.namelist()}


def _write(parts: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in parts.items():
            info = zipfile.ZipInfo(name, _FIRST_DAY)
            info.compress_type = zipfile.ZIP_DEFLATED
            book.writestr(info, content)
    return path
