"""What every workbook shares: a value as a cell with its number format, headings, widths, and how a sheet prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from .bundle import Bundle, spreadsheet_safe
from .labels import coded, outcome_label
from .tables import CHECK_KINDS, LEFT_KINDS, READING_KINDS, UNIT_KINDS, effect_kind, read_layout, sided
from .text import NO_CHARACTER, Text
from .word import repacked

PLAIN = "General"
TONES = {"good": ("\u25cf", "00674A"), "fair": ("\u25d0", "8A5A00"), "bad": ("\u25c6", "A3261B"), "open": ("\u25cb", "4C5863")}
"""Sign and colour of a verdict word by its tone; the word alone says everything."""

FACE = "Calibri"
QUIET = "5A6772"
WIDEST = 46  # characters after which a text wraps rather than widen its column
_LONG_TEXT = (200, 80)  # from so many characters on, a column is so wide
_ACROSS = 230  # characters side by side on a turned page that can still be read
_UPRIGHT = 95  # characters side by side on a page of A4 that is not turned
_LONGEST = 32_767  # characters that a cell holds
_DAY = re.compile(r"[12]\d{3}-\d{2}-\d{2}")
_MONTHS = {"es": "80A", "en": "409", "pt": "416"}  # the language of a month's name, as Excel numbers languages
_DIGITS = {"int": 0, "money": 0, "dec1": 1, "dec2": 2, "dec3": 3, "ratio": 3}


def cell(column: str, row: dict[str, Any], bundle: Bundle, text: Text) -> tuple[Any, str]:
    """What a column holds in this row, and its number format: a number in full, a word for a code, a real date, or nothing."""
    label, _ = sided(column, text)
    value, kind = row[column], read_layout().kinds.get(label, "num")
    if value is None or value != value or value == "":
        return None, PLAIN
    if isinstance(value, bool) or (kind == "bool" and not isinstance(value, str)):
        return text.say("yes" if value else "no"), PLAIN
    if isinstance(value, str):
        if _DAY.fullmatch(value) and (kind in ("day", "code") or row.get("key") == "as_of"):
            return _day(value, text)
        return safe(_word(label, value, kind, bundle, text)), PLAIN
    return value, number_format(number_kind(label, row if label == column else {**row, label: value}), value, text)


def number_kind(label: str, row: dict[str, Any]) -> str:
    """How the number of this column is printed, as `Text.number` calls it; a name that is a number stays one (`year`)."""
    kind = read_layout().kinds.get(label, "num")
    if label == "value" and row.get("check"):
        return CHECK_KINDS.get(row["check"], UNIT_KINDS.get(row.get("unit"), "p"))
    if label == "value" and "reading" in row:
        return READING_KINDS.get(row.get("kind"), "num")
    if kind in ("effect", "by_unit"):
        return "year" if str(row.get("key", "")).endswith("_year") else effect_kind(label, row)
    return "year" if kind in LEFT_KINDS or label.endswith("_id") else kind


def number_format(kind: str, value: float, text: Text) -> str:
    """The format in which a spreadsheet shows a number of this kind; the number itself stays whole.

    >>> from pipeval.report.text import read_text
    >>> [number_format(kind, value, read_text("en")) for kind, value in (("pct", 0.5), ("year", 2006), ("num", 12.34))]
    ['0.0%', '0', '#,##0.0']
    """
    if kind in _DIGITS:
        return _decimals(_DIGITS[kind])
    if kind == "year":
        return "0" if float(value).is_integer() else PLAIN
    if kind == "p":
        return f'[<0.0005]"{text.number(0.0001, "p")}";0.000'
    if kind in ("pct", "pct0"):
        return "0.0%"
    if kind in ("spct", "points"):
        mark = f'"{text.say("points")}"' if kind == "points" else ""
        return f"+0.0%{mark};-0.0%{mark};0.0%{mark}"
    size = abs(value)
    return _decimals(0 if size >= 100 or float(value).is_integer() else 1 if size >= 10 else 2 if size >= 1 else 3)


def _decimals(digits: int) -> str:
    return "#,##0" + ("." + "0" * digits if digits else "")


def _day(value: str, text: Text) -> tuple[Any, str]:
    try:
        return datetime.fromisoformat(
            value
        ), f"[$-{_MONTHS[text.language]}]d mmm yyyy" if text.language in _MONTHS else "yyyy-mm-dd"
    except ValueError:
        return value, PLAIN


def _word(label: str, value: str, kind: str, bundle: Bundle, text: Text) -> str:
    if kind == "outcome":
        return outcome_label(value, bundle, text.language)
    if label in ("remarks", "lights"):
        return "; ".join(_one_of_several(label, code.strip(), text) for code in value.split(";"))
    return value if kind == "text" else coded(label, value, bundle, text)


def _one_of_several(column: str, code: str, text: Text) -> str:
    """The words for one of the codes that a cell of `remarks` (`code=value`) or `lights` (`check:result`) lists."""
    if column == "lights":
        check, _, result = code.partition(":")
        return f"{text.label('check', check)}: {text.label('result', result)}"
    name, _, value = code.partition("=")
    key = f"code.remarks.{name}"
    return text.say(key, {"value": value}).replace("*", "").rstrip(".") if text.has(key) else code


def safe(value: Any) -> Any:
    """The value as a cell can hold it: no character that XML forbids, no text that a spreadsheet takes for a formula.

    >>> safe("=1+1"), safe("a\\x07b"), safe(-1.5)
    ("'=1+1", 'ab', -1.5)
    """
    if not isinstance(value, str):
        return value
    return spreadsheet_safe(NO_CHARACTER.sub("", value).strip(" \n")[: _LONGEST - 1])


def put(sheet, row: int, column: int, value: Any, number: str = PLAIN):
    """Write a value into a cell; a text stays a text, even one that reads like Excel's own error values."""
    at = sheet.cell(row, column)
    at.value = safe(value)
    if isinstance(value, str):
        at.data_type = "s"
    elif number != PLAIN:
        at.number_format = number
    return at


def shown_length(value: Any, number: str) -> int:
    """About how many characters a cell takes when it is shown."""
    if value is None:
        return 0
    if isinstance(value, str):
        return max(map(len, value.split("\n")))
    if isinstance(value, datetime):
        return 11
    if "%" in number:
        return len(f"{value * 100:,.1f}") + 2 + 3 * ('"' in number)
    digits = len(number.partition(".")[2]) if number.startswith("#") else 3 if "0.000" in number else 0
    return len(f"{value:,.{digits}f}") if number != PLAIN else len(f"{value:.6g}")


def width(heading: str, name: str, lengths: Sequence[int]) -> float:
    """The width of a column: its longest cell or heading word, within reason; a heading takes up to three lines."""
    words = max((len(w) for w in heading.split()), default=0) * 1.15
    widest = _LONG_TEXT[1] if max(lengths, default=0) > _LONG_TEXT[0] else WIDEST
    return min(widest, max(8, words, len(heading) / 3, min(len(name) * 0.8, 16), *lengths, 0) + 2)


def height(lines: int, size: float = 10) -> float:
    """The height of a row with so many lines of text: a spreadsheet does not work it out when it opens a file."""
    return round(lines * size * 1.36 + 2, 1)


def lines_of(words: str, room: float) -> int:
    """About how many lines a text takes in a column of this width."""
    return sum(max(1, -(-len(line) // max(1, int(room * 1.15)))) for line in words.split("\n"))


def heading_rows(sheet, first: int, headings: Sequence[str], names: Sequence[str], accent: str) -> None:
    """Two rows of headings from row `first` on: words on a coloured ground and, smaller, the columns' names in the data, if any."""
    from openpyxl.styles import Alignment, Font, PatternFill

    bold, ground = Font(name=FACE, size=10, bold=True, color="FFFFFF"), PatternFill("solid", fgColor=accent)
    wrapped = Alignment(wrap_text=True, vertical="bottom")
    for i, words in enumerate(headings, start=1):
        at = put(sheet, first, i, words)
        at.font, at.fill, at.alignment = bold, ground, wrapped
    room = [sheet.column_dimensions[at.column_letter].width for at in sheet[first][: len(headings)]]
    most = max((_heading_lines(words, wide) for words, wide in zip(headings, room, strict=True)), default=1)
    sheet.row_dimensions[first].height = height(most)
    small, pale = Font(name=FACE, italic=True, size=8, color=QUIET), PatternFill("solid", fgColor="EEF2F5")
    for i, name in enumerate(names, start=1):
        at = put(sheet, first + 1, i, name)
        at.font, at.fill = small, pale


def _heading_lines(words: str, room: float) -> int:
    lines, left = 1, room - 1
    for word in words.split():
        if len(word) * 1.1 > left and left < room - 1:
            lines, left = lines + 1, room - 1
        left -= len(word) * 1.1 + 1
    return lines


def fit(sheet, widths: Sequence[float]) -> None:
    """Set the widths of the columns."""
    from openpyxl.utils import get_column_letter

    for i, characters in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(i)].width = round(characters, 1)


def printable(sheet, wide: float, repeated: str, study: str, text: Text) -> None:
    """A4, turned where it needs to be and as wide as the page, or several pages where the type would be too small to read.

    The `repeated` rows stand on every page, the study above and the number of the page below.
    """
    sheet.page_setup.paperSize = 9
    sheet.page_setup.orientation = "landscape" if wide > _UPRIGHT else "portrait"
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = max(1, round(wide / _ACROSS)), 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.print_title_rows = repeated
    if wide > _ACROSS:
        sheet.print_title_cols = "A:A"
    margins = sheet.page_margins
    margins.left = margins.right = 0.5
    margins.top = margins.bottom = 0.75
    sheet.oddHeader.left.text = study[:120].replace("&", "&&")
    sheet.oddHeader.right.text = "&A"
    sheet.oddFooter.right.text = f"{text.say('word.page')} &P / &N"


def save_book(book, path: Path, stamp: datetime, title: str = "") -> Path:
    """Save the workbook under one date, so that the same content gives the same bytes."""
    book.properties.creator, book.properties.title = "pipeval", safe(title)
    book.properties.created = book.properties.modified = stamp
    book.save(path)
    # openpyxl writes the hour of saving, whatever its properties say
    hour = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")
    day = stamp.strftime("%Y-%m-%dT00:00:00Z").encode()
    return repacked(path, {"docProps/core.xml": lambda part: hour.sub(rb"\g<1>" + day, part)})


def sheet_name(wanted: str, taken: Sequence[str]) -> str:
    """A name that Excel accepts for a sheet and that none of those `taken` has: at most 31 characters, upper and lower case alike.

    >>> sheet_name("a/b", ["A b"]), sheet_name("x" * 40, ["x" * 31])[-4:]
    ('a b 2', 'xx 2')
    """
    plain = re.sub(r"[\[\]:*?/\\]", " ", NO_CHARACTER.sub("", wanted)).strip(" '")
    plain = (plain if plain.lower() != "history" else f"{plain} -")[:31].rstrip(" '") or "-"
    used, name, n = {t.lower() for t in taken}, plain, 2
    while name.lower() in used:
        name, n = f"{plain[: 30 - len(str(n))].rstrip()} {n}", n + 1
    return name
