"""The words and the numbers of paper: sentences by language, formats by locale.

A language is one file, `text/<language>.yaml`. Templates are Markdown; what fills them is escaped, so that a firm's name can
never become markup. Babel writes numbers by locale, which is chosen apart from the language: es_MX writes 1,234.5, es_CO 1.234,5.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from ..errors import UsageError

DEFAULT_LOCALES = {"es": "es_MX", "en": "en_US", "pt": "pt_BR"}
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~^$@&\"':=%/])")
NO_CHARACTER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What no file can hold: characters that XML forbids."""
_FIELD = re.compile(r"\{(\w+)\}")
_QUARTER = re.compile(r"([12]\d{3})Q([1-4])")
_DATED = re.compile(rf"[12]\d{{3}}-\d{{2}}-\d{{2}}|{_QUARTER.pattern}")


@dataclass(frozen=True, slots=True)
class Text:
    """The words of one language and the number formats of one locale."""

    language: str
    locale: str
    entries: dict[str, str]

    def has(self, key: str) -> bool:
        """Whether the language file holds this key."""
        return key in self.entries

    def say(self, key: str, values: dict[str, str] | None = None) -> str:
        """The sentence of `key` with its fields filled; `values` are ready for Markdown already."""
        if key not in self.entries:
            raise UsageError(f"text/{self.language}.yaml must hold '{key}'; it does not. Add the key to every language file")
        return _FIELD.sub(lambda m: str((values or {}).get(m[1], "—")), self.entries[key])

    def label(self, column: str, value: Any) -> str:
        """The printed word for a code, plain text; a day or a quarter by locale, any other code without a label as it is."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        code = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
        word = self.entries.get(f"code.{column}.{code}") or self.entries.get(f"code.{code}")
        return word or (self.day(code) if _DATED.fullmatch(code) else self.reworded(code))

    def reworded(self, sentence: str) -> str:
        """A sentence that a floor above wrote in English, in this language; one that no template of `raw` fits stays as it is.

        >>> read_text("es").reworded("no variation before the programme")
        'sin variación antes del programa'
        """
        if " " in sentence:
            for key, pattern in _raw_patterns():
                found = pattern.fullmatch(sentence)
                if found:
                    return self.say(key, found.groupdict())
        return sentence

    def counted(self, number: int) -> str:
        """A small count as a word, a larger one in digits.

        >>> read_text("en").counted(3), read_text("en").counted(26)
        ('three', '26')
        """
        return self.entries.get(f"count.{number}") or self.number(number, "int")

    def heading(self, column: str, table: str = "") -> str:
        """The printed heading of a column, plain text."""
        own = self.entries.get(f"table.{table}.column.{column}")
        return own or self.entries.get(f"column.{column}") or column.replace("_", " ")

    def number(self, value: Any, kind: str = "num") -> str:
        """A number as it is printed; undefined is a dash.

        `kind`: int, dec1, dec2, dec3, num (decimals by its size), pct (a share as per cent; pct0 without decimals),
        spct (signed), ratio (to an earlier value: 1.05 is +5.0 per cent), points (a share as percentage points), p (p-value),
        money (no decimals), year.

        >>> words = read_text("es", "es_MX")
        >>> words.number(1234567.4, "money"), words.number(0.0912, "spct"), words.number(0.0004, "p")
        ('1,234,567', '+9.1\\xa0%', '<0.001')
        >>> read_text("es", "es_CO").number(1234.5, "dec1")
        '1.234,5'
        """
        if value is None or isinstance(value, str) or not math.isfinite(value):
            return "—" if not isinstance(value, str) else value
        return _written(float(value), kind, self.locale).replace("-", "−")

    def day(self, value: str | date | None, style: str = "medium") -> str:
        """A date, or a quarter such as 2004Q3, by locale; a text that is neither prints as it is.

        >>> [read_text(language).day("2004Q3") for language in ("es", "en", "pt")]
        ['T3 2004', 'Q3 2004', 'T3 de 2004']
        """
        from babel.dates import format_date, format_skeleton

        if not value:
            return "—"
        if isinstance(value, str):
            if quarter := _QUARTER.fullmatch(value):
                return format_skeleton("yQQQ", date(int(quarter[1]), 3 * int(quarter[2]), 1), locale=self.locale)
            try:
                value = date.fromisoformat(value[:10])
            except ValueError:
                return str(value)
        return format_date(value, format=style, locale=self.locale)


@cache
def read_text(language: str, locale: str = "") -> Text:
    """The words of a language.

    Raises `UsageError` when there is no file of that language or Babel does not know the locale.
    """
    from babel import Locale, UnknownLocaleError

    locale = locale or DEFAULT_LOCALES.get(language, language)
    source = files("pipeval.report").joinpath("text", f"{language}.yaml")
    if not source.is_file():
        raise UsageError(f"languages must be among {', '.join(languages())}; found '{language}'. Add text/{language}.yaml")
    try:
        Locale.parse(locale)
    except (UnknownLocaleError, ValueError) as error:
        raise UsageError(f"locales must be known to Babel, such as es_MX; found '{locale}'") from error
    # BaseLoader leaves every key and value a text: `on`, `no` and `2003` would otherwise change type.
    tree = yaml.load(source.read_text(encoding="utf-8"), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    return Text(language, locale, _flat(tree))


@cache
def _raw_patterns() -> list[tuple[str, re.Pattern]]:
    """The English sentences of `raw` as patterns: a field stands for any text."""
    raw = {k: v for k, v in read_text("en").entries.items() if k.startswith("raw.")}
    return [(k, re.compile(_FIELD.sub(r"(?P<\1>.+?)", re.sub(r"[().?+*|]", r"\\\g<0>", v)))) for k, v in raw.items()]


def languages() -> list[str]:
    """The languages for which a file is shipped."""
    folder = files("pipeval.report").joinpath("text")
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def in_language(words: Mapping[str, Any], language: str, otherwise: str = "") -> str:
    """The words in this language, else in English, else in the first language given; `otherwise` when there are none.

    >>> in_language({"es": "Cuero", "en": "Leather"}, "pt"), in_language({"es": "Cuero"}, "pt"), in_language({}, "pt", "leather")
    ('Leather', 'Cuero', 'leather')
    """
    given = {code: said for code, said in words.items() if isinstance(said, str) and said}
    return given.get(language) or given.get("en") or next(iter(given.values()), otherwise)


def by_language(row: Mapping[str, Any], column: str) -> dict[str, Any]:
    """What a row of a table says in columns by language, such as `text_es` and `text_en`: language → value.

    >>> by_language({"id": "G1", "text_es": "Ventas", "text_en": "Sales", "text": ""}, "text")
    {'es': 'Ventas', 'en': 'Sales'}
    """
    ends = {name: name.removeprefix(f"{column}_") for name in row if str(name).startswith(f"{column}_")}
    return {end: row[name] for name, end in ends.items() if re.fullmatch("[a-z]{2,3}", end)}


def escape(text: Any) -> str:
    """The text as literal Markdown: what could be markup is escaped, line ends become spaces, what no file can hold goes.

    >>> escape("=a|b *c*")
    '\\\\=a\\\\|b \\\\*c\\\\*'
    """
    line = re.sub(r"[^\S\u00a0]+", " ", "" if text is None else str(text)).strip()
    line = NO_CHARACTER.sub("", line)
    return _PUNCTUATION.sub(r"\\\1", line)


def _written(value: float, kind: str, locale: str) -> str:
    from babel.numbers import format_decimal, format_percent

    if kind == "p":
        return "<" + format_decimal(0.001, "0.000", locale) if value < 0.0005 else format_decimal(value, "0.000", locale)
    if kind == "year":
        return str(int(value))
    if kind == "ratio":
        value, kind = value - 1, "spct"
    if kind in ("pct", "pct0", "spct", "points"):
        rounded = round(value * 100, 1) + 0.0
        sign = "+" if kind not in ("pct", "pct0") and rounded > 0 else ""
        if kind == "points":
            return sign + format_decimal(rounded, "#,##0.0", locale)
        # Spanish sets the sign apart, whatever the country; Babel does so for Spain only.
        digits = "#,##0" if kind == "pct0" else "#,##0.0"
        return sign + format_percent(rounded / 100, digits + ("\u00a0%" if locale.startswith("es") else "%"), locale)
    decimals = {"int": 0, "money": 0, "dec1": 1, "dec2": 2, "dec3": 3}.get(kind, _digits(value))
    rounded = round(value, decimals) + 0.0
    return format_decimal(rounded, "#,##0" + ("." + "0" * decimals if decimals else ""), locale)


def _digits(value: float) -> int:
    if value == int(value) or abs(value) >= 100:
        return 0
    return 1 if abs(value) >= 10 else 2 if abs(value) >= 1 or round(value, 2) == value else 3


def _flat(tree: dict, prefix: str = "") -> dict[str, str]:
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value.replace("US$ {", "US$\u00a0{")  # no line ends between a currency and its amount
    return flat
