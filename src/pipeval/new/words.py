"""The words of a working folder: one file a language in `starter/`, English where a language says nothing."""

from __future__ import annotations

from functools import cache
from importlib import resources
from importlib.util import find_spec

import yaml

from ..data.contract import TABLES
from ..errors import UsageError


def folder_languages() -> list[str]:
    """The languages in which a working folder is written.

    >>> folder_languages()
    ['en', 'es', 'pt']
    """
    return sorted(f.name.removesuffix(".yaml") for f in _starter().iterdir() if len(f.name) == 7 and f.name.endswith(".yaml"))


def starter(name: str) -> str:
    """The text of a file of `starter/`."""
    return _starter().joinpath(name).read_text(encoding="utf-8")


@cache
def words(language: str) -> dict[str, str]:
    """Every word of a language by its key: `params.<key>`, `tables.<table>`, `columns.<column>`, and the others by their own.

    >>> words("es")["params.did.level"], words("en")["sheet.guide"]
    ('Nivel de confianza.', 'guide')

    Raises `UsageError` when no file has this language.
    """
    if language not in folder_languages():
        raise UsageError(f"a working folder is written in {', '.join(folder_languages())}; found {language!r}")
    told: dict[str, str] = {}
    for code in ("en", language):
        for section, entries in yaml.load(starter(f"{code}.yaml"), yaml.BaseLoader).items():
            prefix = "" if section == "words" else f"{section}."
            told |= {f"{prefix}{key}": said for key, said in entries.items()}
    return told


def form_words(language: str) -> dict[str, str]:
    """The words of a workbook of blank tables: those of the language, and what its reports call the codes."""
    told = words(language)
    return {f"codes.{key}": said for key, said in _report_codes(language).items()} | told


def _report_codes(language: str) -> dict[str, str]:
    if find_spec("babel") is None:  # without it no report is made, and the codes stay as they are
        return {}
    from ..report.text import languages, read_text

    text = read_text(language if language in languages() else "en")
    asked = {(c.name, code) for table in TABLES.values() for c in table.columns for code in c.codes}
    named = {f"{column}.{code}": text.label(column, code) for column, code in asked}
    return {key: said for key, said in named.items() if said != key.rpartition(".")[2]}


def _starter():
    return resources.files("pipeval.new") / "starter"
