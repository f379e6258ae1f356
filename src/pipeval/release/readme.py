"""The README of a package: what is in it, who may have it, what it needs, how to run it, and which function made which exhibit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..report.bundle import Bundle
from ..report.labels import in_sentence
from ..report.sentences import programme_name
from ..report.text import NO_CHARACTER, Text
from .exhibits import Exhibit

_PARTS = ("run", "requirements", "software", "params", "data", "reports", "licence", "manifest")
# What could be markup, and what readers of Markdown make a link or a character of by themselves: addresses, entities.
_MARKS = re.compile(r"([\\`*_\[\]<>|~$@]|:(?=//)|(?<=www)\.|&(?=#?\w+;))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dataset:
    """One file that was read: the table it holds (or `params`, `logframe`, `lock`, `look`), size, who may have it, source."""

    file: str
    table: str
    rows: int | None
    columns: int | None
    access: str
    source: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Contents:
    """All that the README tells of a package.

    Attributes
    ----------
    bundle : Bundle
        The report that is in it.
    run : dict
        How that report came about (`run.json`): seconds and, where known, the machine.
    versions : dict
        Python and the packages.
    key : str
        The key of the report's inputs; empty in a public package.
    software : str
        File name of the wheel.
    params, tree : str
        The params file in the package, and the folder that it stands in, empty for the package itself.
    datasets : sequence of Dataset
        What was read.
    exhibits : sequence of Exhibit
        Numbered tables and figures.
    seeds : dict
        Dotted key → seed.
    references : sequence of str
        The literature.
    size : int
        Bytes of the package without this file.
    left_out : sequence of str
        Files of the report that stayed at home.
    public : bool
        Whether the data were made anonymous.
    """

    bundle: Bundle
    run: Mapping[str, Any]
    versions: Mapping[str, str]
    key: str
    software: str
    params: str
    tree: str
    datasets: Sequence[Dataset]
    exhibits: Sequence[Exhibit]
    seeds: Mapping[str, int]
    references: Sequence[str]
    size: int
    left_out: Sequence[str]
    public: bool


def readme(contents: Contents, text: Text) -> str:
    """The README in the language of `text`, Markdown; the same contents give the same text."""
    title = text.say("package.title", {"programme": plain(programme_name(contents.bundle, text))})
    notice = text.say("package.notice.public" if contents.public else "package.notice.confidential")
    parts = [f"# {title}", f"> {notice}"]
    for name, write in _SECTIONS.items():
        parts += [f"## {text.say(f'package.section.{name}')}", *write(contents, text)]
    return "\n\n".join(parts) + "\n"


def plain(value: object) -> str:
    """A text as literal Markdown on one line, escaped no further than need be, for the file is read as it is too.

    >>> plain("a|b *c* 5.2")
    'a\\\\|b \\\\*c\\\\* 5.2'
    """
    return _MARKS.sub(r"\\\1", NO_CHARACTER.sub("", " ".join(str(value).split())))


def code(value: object) -> str:
    """A name as code, also inside a table."""
    return f"`{NO_CHARACTER.sub('', ' '.join(str(value).split())).replace('`', chr(39)).replace('|', '/')}`"


def _overview(contents: Contents, text: Text) -> list[str]:
    study = contents.bundle.study
    values = {
        "study": code(study["study"]),
        "stage": text.say(f"stage.{study['stage']}"),
        "as_of": text.day(study["as_of"], "long"),
        "tables": text.number(len(contents.bundle.tables), "int"),
        "exhibits": text.number(len(contents.exhibits), "int"),
        "time": _duration(contents, text),
    }
    rows = [[code(_part_name(part, contents)), text.say(f"package.part.{part}")] for part in _PARTS]
    if contents.public:
        rows.insert(-1, [", ".join(map(code, _risk_pages(contents))), in_sentence(text.say("release.title"))])
    said = [text.say("package.overview", values), _table(_heads(text, "file", "holds"), rows)]
    if contents.left_out:
        said.append(text.say("package.left_out", {"files": ", ".join(map(code, contents.left_out))}))
    return said


def _part_name(part: str, contents: Contents) -> str:
    before = f"{contents.tree}/" if contents.tree else ""
    names = {
        "run": "run.py",
        "requirements": "requirements.txt",
        "software": f"software/{contents.software}",
        "params": before + contents.params,
        "data": before + _data_folder(contents),
        "reports": f"reports/{contents.bundle.study['study']}/",
        "licence": "LICENSE.txt",
        "manifest": "manifest.sha256",
    }
    return names[part]


def _risk_pages(contents: Contents) -> list[str]:
    """The record of the anonymisation: a page in each language of the report, the first without its code, and its numbers."""
    languages = contents.bundle.study.get("report", {}).get("languages", [])
    return ["risk.md", *(f"risk.{language}.md" for language in languages[1:]), "risk.json"]


def _data_folder(contents: Contents) -> str:
    """The first folder of the first data file."""
    files = [d.file.removeprefix(f"{contents.tree}/") for d in contents.datasets if d.access != "decisions"]
    return (files[0].rpartition("/")[0] or ".") + "/" if files else "./"


def _availability(contents: Contents, text: Text) -> list[str]:
    study, absent = contents.bundle.study, text.say("package.not_stated")
    programme = study.get("programme", {})
    named = {
        "agency": programme.get("executing_agency"),
        "financier": programme.get("financier"),
        "author": study.get("report", {}).get("author"),
    }
    lines = [text.say("package.supplied", {key: plain(value) if value else absent for key, value in named.items()})]
    levels = sorted({d.access for d in contents.datasets})
    lines.append(
        "\n".join(f"- **{text.say(f'package.access.{one}')}**: {text.say(f'package.access_means.{one}')}" for one in levels)
    )
    lines.append(text.say("package.rights.public" if contents.public else "package.rights.confidential"))
    return lines


def _datasets(contents: Contents, text: Text) -> list[str]:
    rows = [
        [
            code(d.file),
            plain(text.entries.get(f"source_file.{d.table}") or text.entries.get(f"package.kind.{d.table}") or d.table),
            _count(d.rows, text),
            _count(d.columns, text),
            text.say(f"package.access.{d.access}"),
            plain(d.source) or text.say("package.not_stated"),
            code(d.sha256),
        ]
        for d in contents.datasets
    ]
    heads = _heads(text, "file", "holds", "rows", "columns", "access", "source")
    return [text.say("package.datasets"), _table([*heads, "SHA-256"], rows)]


def _requirements(contents: Contents, text: Text) -> list[str]:
    machine, absent = contents.run.get("machine") or {}, text.say("package.not_recorded")
    memory = machine.get("memory_gb")
    values = {
        "python": plain(contents.versions.get("python", absent)),
        "platform": plain(contents.bundle.provenance.get("platform") or absent),
        "cores": _count(machine.get("cores"), text, absent),
        "memory": f"{text.number(memory, 'dec1')} GB" if memory else absent,
        "time": _duration(contents, text),
        "disk": text.number(max(contents.size / 1e6, 0.1), "dec1"),
    }
    listed = sorted(contents.versions.items(), key=lambda one: one[0].lower())
    pinned = [[plain(n), plain(v)] for n, v in listed if n != "python" and v != "not installed"]
    return [text.say("package.requirements", values), _table(_heads(text, "name", "version"), pinned)]


def _programs(contents: Contents, text: Text) -> list[str]:
    stage = contents.bundle.study["stage"]
    values = {
        "version": plain(contents.bundle.provenance.get("pipeval", "")),
        "notebook": code(f"{'final' if stage == 'expost' else stage}.ipynb"),
        "software": code(f"software/{contents.software}"),
    }
    return [text.say("package.programs", values)]


def _instructions(contents: Contents, text: Text) -> list[str]:
    lines = f"```\npip install -r requirements.txt software/{contents.software}\npython run.py\n```"
    return [text.say("package.before", {"python": plain(contents.versions.get("python", ""))}), lines, text.say("package.after")]


def _exhibits(contents: Contents, text: Text) -> list[str]:
    rows = [
        [
            f"{text.say(f'word.{e.kind}')} {e.number}",
            e.caption,
            code(e.table),
            code(f"pipeval.{e.function}") + (f" ({code(e.stage)})" if e.stage else ""),
        ]
        for e in contents.exhibits
    ]
    return [text.say("package.exhibits"), _table(_heads(text, "exhibit", "caption", "table", "function"), rows)]


def _seeds(contents: Contents, text: Text) -> list[str]:
    return [text.say("package.seeds", {"seeds": ", ".join(f"{code(k)} {v}" for k, v in contents.seeds.items())})]


def _references(contents: Contents, text: Text) -> list[str]:
    return [text.say("package.references"), "\n".join(f"- {work}" for work in contents.references)]


def _licence(contents: Contents, text: Text) -> list[str]:
    return [text.say("package.licence.public" if contents.public else "package.licence.confidential")]


def _citation(contents: Contents, text: Text) -> list[str]:
    study = contents.bundle.study
    author = study.get("report", {}).get("author") or study.get("programme", {}).get("executing_agency")
    values = {
        "author": plain(author or text.say("package.no_author")),
        "year": str(study["as_of"])[:4],
        "programme": plain(programme_name(contents.bundle, text)),
        "stage": text.say(f"stage.{study['stage']}"),
        "study": code(study["study"]),
    }
    key = text.say("package.key", {"key": code(contents.key)}) if contents.key else ""
    return [" ".join(filter(None, [text.say("package.citation", values), key]))]


_SECTIONS = {
    "overview": _overview,
    "instructions": _instructions,
    "availability": _availability,
    "datasets": _datasets,
    "requirements": _requirements,
    "programs": _programs,
    "exhibits": _exhibits,
    "seeds": _seeds,
    "references": _references,
    "licence": _licence,
    "citation": _citation,
}


def _duration(contents: Contents, text: Text) -> str:
    seconds = contents.run.get("seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return text.say("package.not_recorded")
    minutes = seconds >= 90
    return text.say(
        "package.minutes" if minutes else "package.seconds", {"n": text.number(round(seconds / (60 if minutes else 1)), "int")}
    )


def _count(value: int | None, text: Text, absent: str = "—") -> str:
    return absent if value is None else text.number(value, "int")


def _heads(text: Text, *names: str) -> list[str]:
    return [text.say(f"package.column.{name}") for name in names]


def _table(heads: list[str], rows: Iterable[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
