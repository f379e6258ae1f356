"""The styles of a Word file: ours in an accent colour, an institution's own with ours where it has none, the language they speak.

A style is found by its name, which is English in every Word; its id is whatever Word wrote in the language of its maker.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from xml.etree import ElementTree

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_HOUSE = "0B3C5D"  # the accent as the shipped styles write it
_LINKS = ("basedOn", "next", "link")


def w(name: str) -> str:
    """A name of WordprocessingML with its namespace."""
    return f"{{{W}}}{name}"


@dataclass(frozen=True, slots=True)
class Styles:
    """The ids of the styles of one file, by kind (paragraph, character, table) and name."""

    ids: dict[tuple[str, str], str]

    def named(self, name: str, kind: str = "paragraph") -> str:
        """The id of a style; a name that the file does not know gives the id that pandoc would write."""
        return self.ids.get((kind, name.lower()), name.replace(" ", ""))


def read_styles(part: bytes) -> Styles:
    """The styles of `word/styles.xml`."""
    return Styles({_key(style): style.get(w("styleId"), "") for style in ElementTree.fromstring(part).iter(w("style"))})


def house_styles(accent: str) -> bytes:
    """The shipped styles in an accent colour, `#rrggbb`."""
    styles = files("pipeval.report").joinpath("template", "styles.xml").read_bytes()
    return styles.replace(_HOUSE.encode(), accent.lstrip("#").upper().encode())


def joined(theirs: bytes, ours: bytes) -> bytes:
    """Their styles as they stand, and after them each of ours whose name they lack, hung on their ids."""
    known = read_styles(theirs)
    root = ElementTree.fromstring(theirs)
    defaults = {
        s.get(w("type")): s.get(w("styleId"), "") for s in root.iter(w("style")) if s.get(w("default")) in ("1", "true", "on")
    }
    taken = {style.get(w("styleId")) for style in root.iter(w("style"))}
    new, ids = [], {}
    for style in ElementTree.fromstring(ours).iter(w("style")):
        kind, own = style.get(w("type"), ""), style.get(w("styleId"), "")
        found = known.ids.get(_key(style)) or (defaults.get(kind) if style.get(w("default")) else None)
        ids[own] = found or _free(own, taken)
        if not found:
            taken.add(ids[own])
            new.append(style)
    text = "".join(_hung(style, ids, not defaults.get(style.get(w("type"), ""))) for style in new)
    end = re.search(rb"</(?:\w+:)?styles\s*>\s*$", theirs)
    return theirs[: end.start()] + text.encode() + theirs[end.start() :]


def speaking(styles: bytes, language: str) -> bytes:
    """The styles with `language` (as `es-MX`) as the language of every text that names none of its own."""
    styles = re.sub(rb"<w:lang\b[^>]*/>", b"", styles)
    lang = f'<w:lang w:val="{language}" w:eastAsia="{language}" w:bidi="{language}"/>'.encode()
    empty = re.compile(rb"<w:rPrDefault\s*/>|<w:rPrDefault>\s*<w:rPr\s*/>\s*</w:rPrDefault>")
    styles = empty.sub(b"<w:rPrDefault><w:rPr></w:rPr></w:rPrDefault>", styles)
    inside = re.compile(rb"(<w:rPrDefault>.*?)(</w:rPr>\s*</w:rPrDefault>)", re.DOTALL)
    if inside.search(styles):
        return inside.sub(lambda m: m[1] + lang + m[2], styles, count=1)
    default = b"<w:rPrDefault><w:rPr>" + lang + b"</w:rPr></w:rPrDefault>"
    styles = re.sub(rb"<w:docDefaults\s*/>", b"<w:docDefaults></w:docDefaults>", styles)
    if b"<w:docDefaults>" in styles:
        return styles.replace(b"<w:docDefaults>", b"<w:docDefaults>" + default, 1)
    whole = b"<w:docDefaults>" + default + b"</w:docDefaults>"
    return re.sub(rb"(<w:styles\b[^>]*>)", lambda m: m[1] + whole, styles, count=1)


def whole(styles: bytes) -> bytes:
    """The styles without links to one that is not there: pandoc hangs some of its own on ids that an institution may not have."""
    ids = {style.get(w("styleId"), "").encode() for style in ElementTree.fromstring(styles).iter(w("style"))}
    link = re.compile(rb'<w:(?:basedOn|next|link)\s+w:val="([^"]*)"\s*/>')
    return link.sub(lambda m: m[0] if m[1] in ids else b"", styles)


def numbers_itself(styles: bytes) -> bool:
    """Whether the first heading carries a number by its style, so that none must be written before it."""
    for style in ElementTree.fromstring(styles).iter(w("style")):
        if _key(style) == ("paragraph", "heading 1"):
            return style.find(f"{w('pPr')}/{w('numPr')}") is not None
    return False


def _key(style: ElementTree.Element) -> tuple[str, str]:
    name = style.find(w("name"))
    return style.get(w("type"), ""), "" if name is None else name.get(w("val"), "").lower()


def _free(identifier: str, taken: set) -> str:
    while identifier in taken:
        identifier += "0"
    return identifier


def _hung(style: ElementTree.Element, ids: dict[str, str], default: bool) -> str:
    style.set(w("styleId"), ids[style.get(w("styleId"), "")])
    if not default:
        style.attrib.pop(w("default"), None)
    for link in (node for name in _LINKS for node in style.findall(w(name))):
        link.set(w("val"), ids.get(link.get(w("val"), ""), link.get(w("val"), "")))
    ElementTree.register_namespace("w", W)
    return ElementTree.tostring(style, encoding="unicode").strip()
