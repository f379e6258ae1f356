"""A Word file round pandoc: `reference` makes the document that gives styles and page, `finish` completes the result.

The same content gives the same bytes: every entry of a file carries one date, and nothing is numbered by chance.
"""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Callable, Iterable
from functools import cache
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

from ..errors import UsageError
from .word_body import completed
from .word_pages import HOUSE, HOUSE_SIDE, OURS, SIDE, page_of
from .word_styles import W, house_styles, joined, read_styles, w, whole
from .word_xml import literal

Parts = dict[str, bytes]

_R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: the same bytes whenever they are written
_ACCENT = "#0B3C5D"
_LARGEST = 200_000_000  # bytes that an institution's document may unpack to
# What a section keeps of an institution's page; columns, paper trays and the like are not carried over.
_PAGE = ("headerReference", "footerReference", "pgSz", "pgMar", "pgBorders", "pgNumType", "titlePg", "docGrid")

_SECTION = (
    '<w:sectPr><w:headerReference w:type="default" r:id="rIdHouseHeader"/>'
    '<w:footerReference w:type="default" r:id="rIdHouseFooter"/>'
    '<w:pgSz w:w="11906" w:h="16838"/><w:pgMar w:top="1300" w:right="1193" w:bottom="1134" w:left="1193" w:header="624" '
    'w:footer="567" w:gutter="0"/><w:titlePg/></w:sectPr>'
)
_TEXT_WIDTHS = {"": HOUSE, SIDE: HOUSE_SIDE}
_COMPATIBLE = (
    '<w:compat><w:compatSetting w:name="compatibilityMode" w:uri="http://schemas.microsoft.com/office/word" w:val="15"/></w:compat>'
)
_AFTER_COMPATIBLE = (
    "docVars|rsids|mathPr|attachedSchema|themeFontLang|clrSchemeMapping|doNotIncludeSubdocsInStats|doNotAutoCompressPictures"
    "|forceUpgrade|captions|readModeInkLockDown|smartTagType|schemaLibrary|shapeDefaults|doNotEmbedSmartTags|decimalSymbol"
    "|listSeparator"
)


@cache
def default_reference() -> bytes:
    """Pandoc's own reference document."""
    import pypandoc

    command = [pypandoc.get_pandoc_path(), "--print-default-data-file", "reference.docx"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def reference(default: bytes, path: Path, header: tuple[str, str], footer: tuple[str, str], accent: str = _ACCENT) -> Path:
    """Write the reference document: pandoc's own with our styles, page, running header and footer.

    `default` is pandoc's reference.docx; `header` and `footer` are the texts at the left and the right, and the footer's right
    text is followed by the page number; `accent` is the colour of headings and rules.
    """
    parts = _read(BytesIO(default))
    parts["word/styles.xml"] = house_styles(accent)
    overrides, links = "", ""
    kinds = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    for number, side in enumerate(("", SIDE), start=1):
        for part, words in (("header", header), ("footer", footer)):
            parts[f"word/{part}{number}.xml"] = _running(part, words, _TEXT_WIDTHS[side])
            overrides += f'<Override PartName="/word/{part}{number}.xml" ContentType="{kinds}.{part}+xml"/>'
            links += f'<Relationship Id="{OURS}{part.title()}{side}" Type="{_R}/{part}" Target="{part}{number}.xml"/>'
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(b"</Types>", overrides.encode() + b"</Types>")
    rels = "word/_rels/document.xml.rels"
    parts[rels] = parts[rels].replace(b"</Relationships>", links.encode() + b"</Relationships>")
    parts["word/document.xml"] = _blank(_SECTION)
    return _write(parts, path)


def institution_reference(source: Path, path: Path, accent: str) -> Path:
    """Write the reference document of an institution; raises `UsageError` as `institution_parts` does."""
    return _write(institution_parts(source, accent), path)


def institution_parts(source: Path, accent: str) -> Parts:
    """The parts of an institution's document: its styles, theme, page, header and footer, ours where it has no style.

    What is written in the document is not carried over.

    Raises `UsageError` when the file is no Word document that can be read.
    """
    try:
        with zipfile.ZipFile(source) as book:
            unpacked = sum(entry.file_size for entry in book.infolist())
        parts = {} if unpacked > _LARGEST else _read(source)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):  # damaged, packed in another way, locked with a password
        raise UsageError("report.look.word is no Word document; save it again as .docx, without a password") from None
    if unpacked > _LARGEST:
        raise UsageError(f"report.look.word unpacks to more than {_LARGEST // 1_000_000} MB; take its pictures out, or shrink them")
    try:
        section = _last_section(parts["word/document.xml"])
        parts["word/styles.xml"] = joined(parts.get("word/styles.xml", house_styles(accent)), house_styles(accent))
    except (ElementTree.ParseError, AttributeError, KeyError, TypeError, ValueError):
        section = None
    if section is None:
        raise UsageError(
            "report.look.word holds a page that Word can set; none was found in it. "
            "Open it in Word and save it again as Word Document (.docx), not as Strict Open XML"
        )
    return parts | {"word/document.xml": _blank(section)}


def finish(path: Path, steps: Iterable[Callable[[Parts], Parts]] = ()) -> Path:
    """Complete the Word file in place: contents, captions, tables, pages on their side; then `steps` on its parts."""
    parts = _read(path)
    parts["word/document.xml"] = completed(parts["word/document.xml"], read_styles(parts["word/styles.xml"]))
    parts["word/styles.xml"] = whole(parts["word/styles.xml"])
    if "word/settings.xml" in parts:
        parts["word/settings.xml"] = _up_to_date(parts["word/settings.xml"])
    for step in steps:
        parts = step(parts)
    return _write(parts, path)


def repacked(path: Path, changes: dict[str, Callable[[bytes], bytes]]) -> Path:
    """The zip file with these parts changed and every entry dated alike, so that the same content gives the same bytes."""
    parts = _read(path)
    return _write(parts | {name: change(parts[name]) for name, change in changes.items()}, path)


def _up_to_date(settings: bytes) -> bytes:
    """The settings of today's Word, so that the file does not open in compatibility mode."""
    settings = re.sub(rb"<w:compat\s*/>|<w:compat>.*?</w:compat>", b"", settings, flags=re.DOTALL)
    place = re.search(rf"<\w+:(?:{_AFTER_COMPATIBLE})\b".encode(), settings) or re.search(rb"</w:settings\s*>", settings)
    return settings[: place.start()] + _COMPATIBLE.encode() + settings[place.start() :]


def _last_section(document: bytes) -> str | None:
    """The page of the last section of a document, in the order in which it stands there; nothing where it has none."""
    ElementTree.register_namespace("w", W)
    ElementTree.register_namespace("r", _R)
    body = ElementTree.fromstring(document).find(w("body"))
    section = body.find(w("sectPr"))
    if section is None or section.find(w("pgSz")) is None or section.find(w("pgMar")) is None or page_of(section).upright < 1:
        return None
    for node in [n for n in section if n.tag.removeprefix(f"{{{W}}}") not in _PAGE]:
        section.remove(node)
    section.attrib.clear()
    return ElementTree.tostring(section, encoding="unicode")


def _blank(section: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
        f'<w:document xmlns:w="{W}" xmlns:r="{_R}"><w:body><w:p/>{section}</w:body></w:document>'
    ).encode()


def _running(part: str, words: tuple[str, str], width: int) -> bytes:
    """A header, or a footer with the number of the page, on a text of this width."""
    tag, (left, right) = {"header": "hdr", "footer": "ftr"}[part], map(literal, words)
    page = '<w:r><w:t xml:space="preserve"> </w:t></w:r><w:fldSimple w:instr="PAGE"><w:r><w:t>1</w:t></w:r></w:fldSimple>'
    return (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><w:{tag} xmlns:w="{W}"><w:p><w:pPr>'
        f'<w:pStyle w:val="{part.title()}"/><w:tabs><w:tab w:val="right" w:pos="{width}"/></w:tabs></w:pPr>'
        f"<w:r><w:t>{left}</w:t></w:r><w:r><w:tab/></w:r><w:r><w:t>{right}</w:t></w:r>"
        f"{page if part == 'footer' else ''}</w:p></w:{tag}>"
    ).encode()


def _read(source: Path | BytesIO) -> Parts:
    with zipfile.ZipFile(source) as book:
        return {name: book.read(name) for name in book.namelist()}


def _write(parts: Parts, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, content in parts.items():
            info = zipfile.ZipInfo(name, _FIRST_DAY)
            info.compress_type = zipfile.ZIP_DEFLATED
            book.writestr(info, content)
    return path
