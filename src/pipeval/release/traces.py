"""Traces that must not leave the house: paths of this machine, and whatever tells who a firm is. Searched for in finished files."""

from __future__ import annotations

import io
import json
import re
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from ..data.contract import TABLES
from ..errors import DataError

_ARCHIVES = (".docx", ".xlsx", ".whl", ".zip")
_PLACES = re.compile(rb'\b(?:r|ref|sqref|topLeftCell|activeCell|location)="[^"]*"')  # C10 is a cell before it is a cluster
_PRESSED = (".png", ".jpg", ".jpeg", ".pdf")  # holds compressed bytes, in which a short word stands by chance
_SHORTEST, _SHORTEST_PRESSED, _SHORTEST_NAME, _SHORTEST_NUMBER = 3, 8, 5, 7  # characters
_WORD = re.compile(r"\w+")
_TAX_NUMBER = re.compile(r"(?<!\w)[A-ZÑ&]{3,4}\d{6}[A-Z0-9]{3}(?!\w)", re.IGNORECASE)  # Mexico's RFC
_KEYS = ("firm_id", "cluster_id", "provider_id", "designer_id", "person_key", "staff_key", "interview_id", "service_id", "entry_id")
_TELLING = ("name", "comment", "statement_es", "statement_en", "document", "note", "evidence_ref", "rater", "respondent_role")
_PUBLISHED = ("series", "territory_totals", "benchmarks", "budget", "activities", "reports", "conditions")  # no firm stands in them
_LARGEST = 500_000_000  # bytes of a member of an archive


def machine_paths(*folders: Path) -> list[str]:
    """Every way in which the path of one of these folders, the home folder or that of scratch files may be written."""
    roots = [*folders, Path.home(), Path(tempfile.gettempdir())]
    written = set()
    for root in {form for one in roots for form in (one.absolute(), one.resolve())}:
        if len(root.parts) > 1:  # the root of a disk is part of every path
            for form in (str(root), root.as_posix()):
                written |= {form, json.dumps(form)[1:-1], quote(form)}
    return sorted(written)


def paths_in(files: Mapping[str, bytes], written: Iterable[str]) -> dict[str, list[str]]:
    """File → the paths that stand in it, archives opened; files without any are left out."""
    # pictures inside HTML are letters, digits, + and /: there a short path stands by chance
    patterns = {one: re.compile(rb"(?:(?<![\w+/=])|(?<=file://))" + re.escape(one.encode()) + rb"(?![\w.-])") for one in written}
    found = {}
    for name, content in files.items():
        parts = [part for _, part in _members(name, content)]
        hits = [one for one, pattern in patterns.items() if any(pattern.search(part) for part in parts)]
        if hits:
            found[name] = hits
    return found


def telling_words(frames: Mapping[str, pd.DataFrame]) -> set[str]:
    """What tells who a firm is, in the raw tables of a study, normalised: keys, names, comments, columns of one's own, tax numbers.

    Left out are numbers of six digits and fewer and names of four letters and fewer, which stand in any file by chance, and the
    words of the data contract itself, such as the name of a table.
    """
    words: set[str] = set()
    for name, frame in frames.items():
        known = TABLES[name].columns if name in TABLES else ()
        contract = {column.name for column in known}
        for column in frame.columns:
            cells = {_normal(value) for value in frame[column].dropna().unique() if isinstance(value, str)}
            words |= {found for cell in cells for found in map(_normal, _TAX_NUMBER.findall(cell))}
            if name in _PUBLISHED:
                continue
            if column in _KEYS:
                words |= {cell for cell in cells if _key(cell)}
            elif column in _TELLING or (column not in contract and not _is_money(column, contract)):
                words |= {cell for cell in cells if _name(cell)}
            elif name == "corrections" and column in ("key", "old", "new"):
                words |= {part for cell in cells for part in cell.split("|")[:1] if column == "key" and _key(part)}
    return words - _vocabulary()


def words_in(files: Mapping[str, bytes], words: set[str]) -> dict[str, list[str]]:
    """File → the telling words that stand in it as whole words, archives opened; files without any are left out."""
    by_word = {word: frozenset(_WORD.findall(word)) for word in words}
    found = {}
    for name, content in files.items():
        hits: set[str] = set()
        for inner, part in _members(name, content):
            pressed = Path(inner).suffix.lower() in _PRESSED
            text = _normal(f"{inner} {part.decode('utf-8', errors='replace')}")
            held = set(_WORD.findall(text))
            hits |= {
                word
                for word, pieces in by_word.items()
                if pieces <= held
                and (not pressed or len(word) >= _SHORTEST_PRESSED)
                and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)
            }
            hits |= set() if pressed else {_normal(one) for one in _TAX_NUMBER.findall(text)}
        if hits:
            found[name] = sorted(hits)
    return found


def _vocabulary() -> set[str]:
    """The data contract's own words, which tell of no firm: names of tables and columns, codes."""
    columns = [column for table in TABLES.values() for column in table.columns]
    return {_normal(word) for word in (*TABLES, *(c.name for c in columns), *(code for c in columns for code in c.codes))}


def _members(name: str, content: bytes) -> list[tuple[str, bytes]]:
    """A file as it is searched: itself, or what an archive holds, unpacked; a workbook without the places of its cells."""
    if Path(name).suffix.lower() not in _ARCHIVES:
        return [(name, content)]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST:
                raise DataError(
                    f"{name} unpacks to more than {_LARGEST // 1_000_000} MB; a package is searched whole. Make it smaller"
                )
            inside = {member.filename: archive.read(member) for member in archive.infolist()}
    except zipfile.BadZipFile:
        return [(name, content)]
    placed = {inner: _PLACES.sub(b"", part) if inner.startswith("xl/") else part for inner, part in inside.items()}
    return [(name, b""), *placed.items()]


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _key(text: str) -> bool:
    return len(text) >= (_SHORTEST_NUMBER if text.isdigit() else _SHORTEST)


def _name(text: str) -> bool:
    return len(text) >= _SHORTEST_NAME and bool(re.search(r"[^\W\d_]", text))


def _is_money(column: str, contract: set[str]) -> bool:
    """Whether this is a money column of the contract under the name it has in this currency."""
    return any("{cur}" in one and re.fullmatch(re.escape(one).replace(r"\{cur\}", "[a-z]{3}"), column) for one in contract)
