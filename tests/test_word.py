"""The Word report: fields, sections, tables, an institution's document; what Word refuses is looked for here."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import docx
import pytest
from bundle_fixture import HOSTILE, whole
from docx.shared import Inches, RGBColor

from pipeval.errors import UsageError
from pipeval.report.look import Look
from pipeval.report.paper import Paper
from pipeval.report.text import read_text
from pipeval.report.word import default_reference, finish, institution_reference, reference, repacked
from pipeval.report.word_report import word_report
from pipeval.report.word_styles import house_styles, joined, numbers_itself, read_styles, speaking

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
WP = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"

# The order of the schema, for what we insert and what pandoc may have put beside it.
ORDER = {
    "pPr": "pStyle keepNext keepLines pageBreakBefore framePr widowControl numPr suppressLineNumbers pBdr shd tabs "
    "suppressAutoHyphens spacing ind contextualSpacing mirrorIndents jc textDirection textAlignment outlineLvl rPr sectPr",
    "rPr": "rStyle rFonts b bCs i iCs caps smallCaps strike color spacing w kern position sz szCs highlight u shd vertAlign lang",
    "tblPr": "tblStyle tblpPr tblOverlap bidiVisual tblStyleRowBandSize tblStyleColBandSize tblW jc tblCellSpacing tblInd "
    "tblBorders shd tblLayout tblCellMar tblLook tblCaption tblDescription",
    "tcPr": "cnfStyle tcW gridSpan hMerge vMerge tcBorders shd noWrap tcMar textDirection tcFitText vAlign hideMark",
    "sectPr": "headerReference footerReference footnotePr endnotePr type pgSz pgMar paperSrc pgBorders lnNumType pgNumType "
    "cols formProt vAlign noEndnote titlePg textDirection bidi rtlGutter docGrid",
    "style": "name aliases basedOn next link autoRedefine hidden uiPriority semiHidden unhideWhenUsed qFormat locked "
    "personal rsid pPr "
    "rPr tblPr trPr tcPr tblStylePr",
    "settings": "zoom embedSystemFonts proofState stylePaneFormatFilter doNotTrackMoves defaultTabStop "
    "drawingGridHorizontalSpacing "
    "drawingGridVerticalSpacing displayHorizontalDrawingGridEvery displayVerticalDrawingGridEvery characterSpacingControl "
    "savePreviewPicture footnotePr endnotePr compat rsids mathPr themeFontLang clrSchemeMapping decimalSymbol listSeparator",
}

BODY = """# Summary {{#sec-summary}}

What was asked; see [](#tbl-first) and [](#fig-one).

- one line
- another

{first}

::: contents
:::

# Pages on their side {{#sec-wide}}

One sentence.

{wide}

{wider}

## Upright again {{#sec-after-a-very-long-name-that-goes-on-and-on}}

![What it shows](one.png){{#fig-one alt="Two bars" width="100%"}}

::: note
Source: register.
:::

{last}
"""


def framed(name: str, *, wide: str = "", rows: int = 2, columns: int = 2, note: bool = True, width: str = "1.00") -> str:
    head = "| " + " | ".join(f"Head {i}" for i in range(columns)) + " |"
    rule = "| " + " | ".join([":-------"] * columns) + " |"
    body = "\n".join("| " + " | ".join(["[Met]{.light .good}", *["12"] * (columns - 1)]) + " |" for _ in range(rows))
    under = "\n\n::: note\nWhat it means.\n:::" if note else ""
    return f'::: {{#tbl-{name} .data{wide} width="{width}"}}\n{head}\n{rule}\n{body}\n\n: Caption of {name}{under}\n\n:::'


def png(size: tuple[int, int] = (40, 20)) -> bytes:
    def chunk(tag: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    rows = b"".join(b"\0" + b"\xc0\x30\x20" * size[0] for _ in range(size[1]))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def paper(folder: Path, language: str = "es", look: Look | None = None, body: str | None = None, title: str = "Programa") -> Paper:
    import json

    folder.mkdir(exist_ok=True)
    (folder / "one.png").write_bytes(png())
    text, bundle = read_text(language), whole()
    tables = {
        "first": framed("first"),
        "wide": framed("wide-one", wide=" .wide", columns=14),
        "wider": framed("wide-two", wide=" .wide", columns=14, rows=30),
        "last": framed("last", rows=30, note=False),
    }
    source = folder / "report.md"
    source.write_text(body if body is not None else BODY.format(**tables), encoding="utf-8")
    meta = {
        "title": title,
        "subtitle": "Evaluación final",
        "lang": language,
        "facts": [{"name": "Operación", "value": "TC\\-1"}, {"name": "Lugar", "value": "A \\& B"}],
        "toc-title": text.say("contents"),
        "word-table": text.say("word.table"),
        "word-figure": text.say("word.figure"),
        "accent": "#7a0033",
        "logo": f"look/{look.logo.name}" if look and look.logo else "",
    }
    cover = folder / "cover.json"
    cover.write_text(json.dumps(meta), encoding="utf-8")
    return Paper(source, cover, folder, bundle, text, look or Look("#7a0033"))


def parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as book:
        return {name: book.read(name) for name in book.namelist()}


def body_of(path: Path) -> ElementTree.Element:
    return ElementTree.fromstring(parts(path)["word/document.xml"]).find(f"{W}body")


def style(node: ElementTree.Element) -> str:
    found = node.find(f"{W}pPr/{W}pStyle")
    return "" if found is None else found.get(f"{W}val")


def words(node: ElementTree.Element) -> str:
    return "".join(t.text or "" for t in node.iter(f"{W}t"))


def sections(body: ElementTree.Element) -> list[ElementTree.Element]:
    return list(body.iter(f"{W}sectPr"))


def misplaced(root: ElementTree.Element) -> list[str]:
    faults = []
    for node in root.iter():
        name = node.tag.split("}")[-1]
        if (name in ORDER and node.tag.startswith(W)) or name == "settings":
            order = ORDER[name].split()
            inside = [child.tag.split("}")[-1] for child in node]
            ranks = [order.index(child) for child in inside if child in order]
            single = [
                c for c, n in Counter(inside).items() if n > 1 and c not in ("headerReference", "footerReference", "tblStylePr")
            ]
            unknown = [c for c in inside if c not in order] if name != "settings" else []
            if ranks != sorted(ranks) or single or unknown:
                faults.append(f"{name}: {inside}")
    return faults


def prove(path: Path) -> None:
    """What makes Word say that it found unreadable content."""
    found = parts(path)
    roots = {name: ElementTree.fromstring(part) for name, part in found.items() if name.endswith((".xml", ".rels"))}
    for name in ("word/document.xml", "word/settings.xml"):
        assert not misplaced(roots[name]), misplaced(roots[name])[:3]
    types = {node.get("PartName") or f".{node.get('Extension')}" for node in roots["[Content_Types].xml"]}
    for name in found:
        assert f"/{name}" in types or f".{name.rsplit('.', 1)[-1]}" in types or name == "[Content_Types].xml", name
    for name, root in roots.items():
        if name.endswith(".rels"):
            ids = [node.get("Id") for node in root]
            assert len(ids) == len(set(ids))
            base = Path(name).parent.parent
            for node in root:
                target = node.get("Target")
                if node.get("TargetMode") != "External" and not target.startswith("/"):
                    assert str(base / target).replace("./", "") in found, (name, target)
    document = roots["word/document.xml"]
    known = {node.get("Id") for node in roots["word/_rels/document.xml.rels"]}
    used = {value for node in document.iter() for key, value in node.attrib.items() if key in (f"{R}id", f"{R}embed")}
    assert used <= known
    starts = [(n.get(f"{W}id"), n.get(f"{W}name")) for n in document.iter(f"{W}bookmarkStart")]
    ends = [n.get(f"{W}id") for n in document.iter(f"{W}bookmarkEnd")]
    assert len({i for i, _ in starts}) == len(starts) == len({n for _, n in starts}) and sorted(ends) == sorted(
        i for i, _ in starts
    )
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,39}", name) for _, name in starts)
    names = {name for _, name in starts}
    for node in document.iter(f"{W}instrText"):
        if node.text.split()[0] in ("REF", "PAGEREF"):
            assert node.text.split()[1] in names
    assert {n.get(f"{W}anchor") for n in document.iter(f"{W}hyperlink") if n.get(f"{W}anchor")} <= names
    pictures = [n.get("id") for n in document.iter(f"{WP}docPr")]
    assert len(pictures) == len(set(pictures))
    kinds = Counter(n.get(f"{W}fldCharType") for n in document.iter(f"{W}fldChar"))
    assert kinds["begin"] == kinds["separate"] == kinds["end"]
    styles = {s.get(f"{W}styleId") for s in roots["word/styles.xml"].iter(f"{W}style")}
    named = {n.get(f"{W}val") for n in document.iter() if n.tag in (f"{W}pStyle", f"{W}rStyle", f"{W}tblStyle")}
    assert named <= styles, named - styles
    hung = {n.get(f"{W}val") for n in roots["word/styles.xml"].iter() if n.tag in (f"{W}basedOn", f"{W}next", f"{W}link")}
    assert hung <= styles, hung - styles


SPANISH = {
    "Heading1": "Ttulo1",
    "Heading2": "Ttulo2",
    "Heading3": "Ttulo3",
    "Title": "Ttulo",
    "Normal": "Normal0",
    "TableNormal": "Tablanormal",
    "BodyText": "Textoindependiente",
    "Caption": "Descripcin",
    "Header": "Encabezado",
    "Footer": "Piedepgina",
}


def institution(path: Path, *, numbered: bool = False) -> Path:
    """A bank's document: ids in Spanish, Letter, a header with a picture and a text that is not to be carried over."""
    made = docx.Document()
    made.add_heading("Texto que no se copia", 1)
    page = made.sections[0]
    page.page_width, page.page_height = Inches(8.5), Inches(11)
    page.left_margin = page.right_margin = Inches(1.25)
    page.different_first_page_header_footer = True
    page.first_page_header.paragraphs[0].text = "Carta del banco"
    page.header.paragraphs[0].add_run().add_picture(io.BytesIO(png()), width=Inches(0.6))
    page.header.paragraphs[0].add_run(" Banco de Ejemplo")
    page.footer.paragraphs[0].text = "Pie del banco"
    made.styles["Heading 1"].font.color.rgb = RGBColor(0x80, 0, 0x40)
    book = io.BytesIO()
    made.save(book)
    with zipfile.ZipFile(book) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "word/styles.xml" or re.match(r"word/(document|header\d|footer\d)\.xml", name):
                text = content.decode()
                for ours, theirs in SPANISH.items():
                    text = text.replace(f'w:styleId="{ours}"', f'w:styleId="{theirs}"')
                    text = re.sub(rf'(<w:(?:basedOn|next|link|[pr]Style|tblStyle) w:val="){ours}"', rf'\g<1>{theirs}"', text)
                if numbered:
                    number = '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr>'
                    text = re.sub(r'(<w:style [^>]*w:styleId="Ttulo1">.*?)<w:pPr>', rf"\1{number}", text, count=1, flags=re.DOTALL)
                content = text.encode()
            new.writestr(name, content)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return word_report(paper(tmp_path_factory.mktemp("word")))


def test_word_finds_nothing_to_repair(made):
    prove(made)
    assert b"compatibilityMode" in parts(made)["word/settings.xml"] and b'w:val="15"' in parts(made)["word/settings.xml"]


def test_captions_count_by_field_and_references_follow(made):
    text = read_text("es")
    table, figure = text.say("word.table"), text.say("word.figure")
    body = body_of(made)
    fields = [n.text.strip() for n in body.iter(f"{W}instrText")]
    assert [f for f in fields if f.startswith("SEQ")] == [f"SEQ {name} \\* ARABIC" for name in (table, table, table, figure, table)]
    assert [f for f in fields if f.startswith("REF")] == ["REF _Ref_tbl_first \\h", "REF _Ref_fig_one \\h"]
    asked = next(p for p in body.iter(f"{W}p") if words(p).startswith("What was asked"))
    assert words(asked) == f"What was asked; see {table}\u00a01 and {figure}\u00a01."
    caption = next(p for p in body.iter(f"{W}p") if style(p) == "TableCaption")
    inside, taken = [], False
    for node in caption:
        taken = node.tag == f"{W}bookmarkStart" or (taken and node.tag != f"{W}bookmarkEnd")
        inside += [words(node)] if taken else []
    assert "".join(inside) == f"{table}\u00a01" and words(caption) == f"{table}\u00a01. Caption of first"


def test_the_contents_follow_the_summary_as_links(made):
    body = body_of(made)
    tags = [n.tag for n in body]
    place = tags.index(f"{W}sdt")
    lines = [words(p) for p in body[place].iter(f"{W}p")]
    assert lines == [read_text("es").say("contents"), "1  Summary", "2  Pages on their side", "2.1  Upright again"]
    assert [style(p) for p in body[place].iter(f"{W}p")] == ["TOCHeading", "TOC1", "TOC1", "TOC2"]
    anchors = [n.get(f"{W}anchor") for n in body[place].iter(f"{W}hyperlink")]
    marked = {n.get(f"{W}name") for n in body.iter(f"{W}bookmarkStart")}
    assert len(set(anchors)) == 3 and set(anchors) <= marked
    headings = [words(n) for n in list(body)[:place] if style(n) == "Heading1"]
    assert headings == ["1Summary"]
    following = next(n for n in list(body)[place + 1 :] if style(n) == "Heading1")
    assert following.find(f"{W}pPr/{W}pageBreakBefore") is not None
    assert b"dirty" not in parts(made)["word/document.xml"] and b"updateFields" not in parts(made)["word/settings.xml"]


def test_two_wide_tables_share_a_page_on_its_side_with_their_headings(made):
    body, found = body_of(made), []
    for node in body:
        section = node if node.tag == f"{W}sectPr" else node.find(f"{W}pPr/{W}sectPr")
        found.append((node, section))
    breaks = [i for i, (_, section) in enumerate(found) if section is not None]
    assert len(breaks) == 3
    turned = [found[i][1].find(f"{W}pgSz").get(f"{W}orient") for i in breaks]
    assert turned == [None, "landscape", None]
    sizes = [[int(s.find(f"{W}pgSz").get(f"{W}{side}")) for side in "wh"] for s in sections(body)]
    assert sizes == [[11906, 16838], [16838, 11906], [11906, 16838]]
    inside = [n for n, _ in found[breaks[0] + 1 : breaks[1] + 1]]
    assert words(inside[0]) == "2Pages on their side" and [n.tag for n in inside].count(f"{W}tbl") == 2
    assert words(inside[-1]) == "What it means." and style(inside[-1]) == "TableNote"
    assert all(words(n) for n in inside if n.tag == f"{W}p")  # no paragraph stands empty
    assert [s.find(f"{W}titlePg") is not None for s in sections(body)] == [True, False, False]
    ids = [[n.get(f"{R}id") for n in s if n.tag.endswith("Reference")] for s in sections(body)]
    assert all(len(each) == 2 for each in ids) and ids[0] == ids[2] != ids[1]
    assert b"WideStart" not in parts(made)["word/document.xml"]


@pytest.mark.parametrize(
    ("body", "orients"),
    [
        ("# A\n\nText.\n\n{upright}\n\n{wide}\n", [None, "landscape"]),
        ("# A\n\nOne.\n\nTwo.\n\nThree.\n\nFour.\n\n{bare}\n\n# B\n\nText.\n", [None, "landscape", None]),
        ("# A\n\n{wide}\n\nText.\n\nMore.\n\n{bare}\n", [None, "landscape", None, "landscape"]),
        ("# A\n\n{small}\n\nText.\n", [None]),
        ("# A\n\nText.\n\n{upright}\n\n{bare}\n\nText.\n", [None, "landscape", None]),
        ("# A\n\n:::: fold\n{wide}\n::::\n\nText.\n", [None, "landscape", None]),
    ],
)
def test_a_page_turns_where_a_wide_table_stands(body, orients, tmp_path):
    tables = {
        "wide": framed("w", wide=" .wide", columns=14),
        "bare": framed("b", wide=" .wide", columns=14, note=False),
        "small": framed("s", wide=" .wide", columns=9, width="0.75"),
        "upright": framed("u", note=False),
    }
    path = word_report(paper(tmp_path / "x", body=body.format(**tables)))
    prove(path)
    root = body_of(path)
    assert [s.find(f"{W}pgSz").get(f"{W}orient") for s in sections(root)] == orients
    assert [s.find(f"{W}titlePg") is not None for s in sections(root)] == [True] + [False] * (len(orients) - 1)
    wide = {True: 14452, False: 9520}
    held = iter(o == "landscape" for o in orients)
    now = next(held)
    for node in root:
        if node.tag == f"{W}tbl":
            assert int(node.find(f"{W}tblPr/{W}tblW").get(f"{W}w")) <= wide[now]
        if node.tag == f"{W}p" and node.find(f"{W}pPr/{W}sectPr") is not None:
            now = next(held)
    assert next(held, None) is None


def test_tables_fill_their_page_and_repeat_their_heading(made):
    tables = [n for n in body_of(made) if n.tag == f"{W}tbl"]
    widths = [int(t.find(f"{W}tblPr/{W}tblW").get(f"{W}w")) for t in tables]
    assert [abs(w - full) < 200 for w, full in zip(widths, (9520, 14452, 14452, 9520), strict=True)] == [True] * 4
    for table, width in zip(tables, widths, strict=True):
        grid = [int(c.get(f"{W}w")) for c in table.find(f"{W}tblGrid")]
        assert sum(grid) == width
        rows = table.findall(f"{W}tr")
        assert [r.find(f"{W}trPr/{W}tblHeader") is not None for r in rows] == [True] + [False] * (len(rows) - 1)
        for row in rows:
            assert row.find(f"{W}trPr/{W}cantSplit") is not None
            assert [int(c.find(f"{W}tcPr/{W}tcW").get(f"{W}w")) for c in row.findall(f"{W}tc")] == grid
        assert {style(p) for p in rows[0].iter(f"{W}p")} == {"TableHead"}
        assert {style(p) for r in rows[1:] for p in r.iter(f"{W}p")} == {"TableText"}
        assert table.find(f"{W}tblPr/{W}tblCaption").get(f"{W}val").startswith("Caption of")


def test_nothing_that_belongs_together_is_parted(made):
    tables = [n for n in body_of(made) if n.tag == f"{W}tbl"]
    held = [[r.find(f".//{W}keepNext") is not None for r in t.findall(f"{W}tr")] for t in tables]
    assert held[0] == [True, True, True]  # short, and a note follows
    assert held[2] == [True, True] + [False] * 27 + [True, True]  # long: the heading with its first row, the end with the note
    assert held[3] == [True, True] + [False] * 27 + [True, False]  # long, without a note
    styles = ElementTree.fromstring(parts(made)["word/styles.xml"])
    keeping = {s.get(f"{W}styleId") for s in styles if s.find(f"{W}pPr/{W}keepNext") is not None}
    assert {"Heading1", "Heading2", "Heading3", "TableCaption", "Figure"} <= keeping
    image = next(p for p in body_of(made).iter(f"{W}p") if style(p) == "ImageCaption")
    assert image.find(f"{W}pPr/{W}keepNext") is not None


def test_a_verdict_is_a_sign_a_word_and_a_colour(made):
    body = body_of(made)
    cells = [p for p in body.iter(f"{W}p") if "Met" in words(p)]
    assert {words(c) for c in cells} == {"●\u00a0Met"}
    assert {r.find(f"{W}rPr/{W}rStyle").get(f"{W}val") for c in cells for r in c.iter(f"{W}r")} == {"Lightgood"}


def test_pictures_have_their_words_and_the_document_its_properties(made):
    book = docx.Document(str(made))
    assert [p.get("descr") for p in body_of(made).iter(f"{WP}docPr")] == ["Two bars"]
    core = book.core_properties
    assert core.title.startswith("Integración de cadenas") and core.subject == read_text("es").say("stage.final")
    assert core.language == "es-MX" and core.author and "TC-03-02-01-3-ME" in core.keywords
    assert re.findall(rb"<w:lang [^>]*>", parts(made)["word/styles.xml"]) == [
        b'<w:lang w:val="es-MX" w:eastAsia="es-MX" w:bidi="es-MX"/>'
    ]


def test_the_accent_and_the_logo_are_on_the_title(tmp_path):
    folder = tmp_path / "x"
    (folder / "look").mkdir(parents=True)
    logo = folder / "look" / "logo.png"
    logo.write_bytes(png((400, 100)))
    path = word_report(paper(folder, look=Look("#7a0033", logo=logo)))
    prove(path)
    assert b"7A0033" in parts(path)["word/styles.xml"] and b"0B3C5D" not in parts(path)["word/styles.xml"]
    title = body_of(path)[0]
    anchor = title.find(f".//{WP}anchor")
    extent = anchor.find(f"{WP}extent")
    assert style(title) == "Title" and anchor.find(f"{WP}positionH/{WP}align").text == "right"
    assert int(extent.get("cx")) == 4 * int(extent.get("cy")) == 1_980_000
    assert [child.tag.split("}")[1] for child in anchor] == [
        *("simplePos", "positionH", "positionV", "extent", "effectExtent", "wrapSquare", "docPr", "cNvGraphicFramePr", "graphic")
    ]


@pytest.mark.parametrize("numbered", [False, True])
def test_an_institution_keeps_its_styles_page_header_and_footer(numbered, tmp_path):
    theirs = institution(tmp_path / "bank.docx", numbered=numbered)
    path = word_report(paper(tmp_path / "x", look=Look("#7a0033", word=theirs)))
    prove(path)
    found, book = parts(path), docx.Document(str(path))
    root = body_of(path)
    headings = [p for p in root.iter(f"{W}p") if style(p) == "Ttulo1"]
    assert [words(p) for p in headings] == (
        ["Summary", "Pages on their side"] if numbered else ["1Summary", "2Pages on their side"]
    )
    assert style(root[0]) == "Ttulo" and "Texto que no se copia" not in found["word/document.xml"].decode()
    page = book.sections[0]
    assert (page.page_width, page.page_height) == (Inches(8.5), Inches(11))
    assert page.header.paragraphs[0].text == " Banco de Ejemplo" and page.footer.paragraphs[0].text == "Pie del banco"
    assert page.first_page_header.paragraphs[0].text == "Carta del banco"
    assert any(name.startswith("word/media/image") for name in found) and len(page.header.part.related_parts) == 1
    assert [s.different_first_page_header_footer for s in book.sections] == [True, False, False]
    assert all(s.header.paragraphs[0].text == " Banco de Ejemplo" for s in book.sections)
    widths = [int(t.find(f"{W}tblPr/{W}tblW").get(f"{W}w")) for t in root if t.tag == f"{W}tbl"]
    assert max(widths[0], widths[3]) <= 8640 and widths[0] > 8400 and 12000 < widths[1] <= 12240
    styles = ElementTree.fromstring(found["word/styles.xml"])
    mine = {s.find(f"{W}name").get(f"{W}val"): s for s in styles.iter(f"{W}style")}
    assert mine["heading 1" if "heading 1" in mine else "Heading 1"].find(f".//{W}color").get(f"{W}val") == "800040"
    assert mine["Table Text"].find(f"{W}basedOn").get(f"{W}val") == "Normal0"
    assert mine["Table Caption"].find(f"{W}basedOn").get(f"{W}val") in ("Descripcin", "Caption")
    assert [
        s.get(f"{W}styleId") for s in styles.iter(f"{W}style") if s.get(f"{W}default") and s.get(f"{W}type") == "paragraph"
    ] == ["Normal0"]
    captions = [style(p) for p in root.iter(f"{W}p") if style(p).startswith("TOC")]
    contents = next(n for n in root if n.tag == f"{W}sdt")
    assert captions and contents.find(f".//{W}pageBreakBefore") is not None


def test_a_plain_document_serves_as_a_look(tmp_path):
    theirs = tmp_path / "plain.docx"
    docx.Document().save(str(theirs))
    path = word_report(paper(tmp_path / "x", language="en", look=Look("#7a0033", word=theirs)))
    prove(path)
    assert docx.Document(str(path)).core_properties.language == "en-US"


def test_what_is_no_word_page_is_refused(tmp_path):
    theirs = tmp_path / "strict.docx"
    docx.Document().save(str(theirs))
    strict = b"http://purl.oclc.org/ooxml/wordprocessingml/main"
    repacked(theirs, {"word/document.xml": lambda part: part.replace(W[1:-1].encode(), strict)})
    with pytest.raises(UsageError, match="save it again as Word Document"):
        institution_reference(theirs, tmp_path / "like.docx", "#000000")
    repacked(theirs, {"word/document.xml": lambda part: part[:200]})
    with pytest.raises(UsageError, match="save it again as Word Document"):
        institution_reference(theirs, tmp_path / "like.docx", "#000000")


def test_their_styles_stand_first_and_ours_fill_what_they_lack():
    theirs = (
        f'<w:styles xmlns:w="{W[1:-1]}"><w:docDefaults/>'
        '<w:style w:type="paragraph" w:default="1" '
        'w:styleId="Standard"><w:name w:val="Normal"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="TableText"><w:name w:val="Something else"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="Ttulo1"><w:name w:val="heading 1"/></w:style></w:styles>'
    ).encode()
    both = joined(theirs, house_styles("#123456"))
    assert both.startswith(theirs.removesuffix(b"</w:styles>")) and ElementTree.fromstring(both) is not None
    styles = read_styles(both)
    assert styles.named("Normal") == "Standard" and styles.named("Heading 1") == "Ttulo1"
    assert styles.named("Table Text") == "TableText0" and styles.named("Something else") == "TableText"
    root = ElementTree.fromstring(both)
    head = next(s for s in root.iter(f"{W}style") if s.get(f"{W}styleId") == "TableHead")
    assert head.find(f"{W}basedOn").get(f"{W}val") == "TableText0"
    assert not misplaced(root)
    spoken = speaking(both, "pt-BR")
    assert (
        re.findall(rb'<w:rPrDefault><w:rPr><w:lang w:val="(.*?)"', spoken) == [b"pt-BR"]
        and ElementTree.fromstring(spoken) is not None
    )
    assert not numbers_itself(both)


def test_the_shipped_styles_follow_the_schema():
    root = ElementTree.fromstring(house_styles("#0b3c5d"))
    assert not misplaced(root)
    ids = [s.get(f"{W}styleId") for s in root.iter(f"{W}style")]
    assert len(ids) == len(set(ids))


def test_text_from_the_data_is_never_markup(tmp_path):
    from pipeval.report.text import escape

    table = (
        f'::: {{#tbl-x .data width="1.00"}}\n| A | B |\n| :-- | :-- |\n| {escape(HOSTILE)} | 1 |\n\n: {escape("<w:p> & co")}\n\n:::'
    )
    made = paper(
        tmp_path / "x", body=f"# {escape('<b>&</b>')} {{#sec-a}}\n\n::: contents\n:::\n\n{table}\n", title=escape("A <b>&</b>")
    )
    path = word_report(made)
    prove(path)
    shown = [words(p) for p in body_of(path).iter(f"{W}p")]
    assert "A <b>&</b>" in shown and "1  <b>&</b>" in shown and any(HOSTILE[:20] in line for line in shown)
    assert escape("a\x00\x07b\x1b") == "ab"
    like = reference(default_reference(), tmp_path / "like.docx", ("<a>\x07", "&"), ("", ""))
    with zipfile.ZipFile(like) as book:
        assert words(ElementTree.fromstring(book.read("word/header1.xml"))) == "<a>&"


def test_long_names_of_bookmarks_stay_apart(tmp_path):
    name = "a-name-of-a-table-that-is-longer-than-word-allows"
    body = f"# A\n\nSee [](#tbl-{name}-1), [](#tbl-{name}-2).\n\n{framed(name + '-1')}\n\n{framed(name + '-2')}\n"
    path = word_report(paper(tmp_path / "x", body=body))
    prove(path)
    fields = [n.text.split()[1] for n in body_of(path).iter(f"{W}instrText") if n.text.split()[0] == "REF"]
    assert len(set(fields)) == 2


def test_the_same_paper_gives_the_same_bytes(tmp_path):
    one, two = (word_report(paper(tmp_path / name)) for name in ("x", "y"))
    assert one.read_bytes() == two.read_bytes()


def test_a_document_without_marks_is_completed_all_the_same(tmp_path):
    like = reference(default_reference(), tmp_path / "like.docx", ("left <", "right"), ("foot", "Page"))
    path = finish(like)
    prove(path)
    assert docx.Document(str(path)).sections[0].header.paragraphs[0].text == "left <\tright"


def test_captions_take_their_words_from_the_language(tmp_path):
    path = word_report(replace(paper(tmp_path / "x", language="en")))
    fields = {n.text.split()[1] for n in body_of(path).iter(f"{W}instrText") if n.text.split()[0] == "SEQ"}
    assert fields == {"Table", "Figure"}
