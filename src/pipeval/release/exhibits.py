"""Which table of the results each numbered table and figure of a report shows, and which function made it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ..report.bundle import Bundle
from ..report.document import markdown
from ..report.drawing import FIGURES, figures_of
from ..report.tables import read_layout
from ..report.text import Text

_PLACE = re.compile(
    r"^:+ \{#tbl-(?P<table>[\w-]+)|!\[(?P<caption>(?:\\.|[^\]\\])*)\]\([^)]*\)\{#fig-(?P<figure>[\w-]+)", re.MULTILINE
)
_CAPTION = re.compile(r"^: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One numbered table or figure: `kind` (`table`, `figure`), its number and caption on paper, the table of results, who made it.

    `stage` is the function of `pipeval.stages` that asked for it; empty for figures, which are drawn from the finished table.
    """

    kind: str
    number: int
    caption: str
    table: str
    function: str
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Origins:
    """By table its function and the stage that asks for it, by figure its function; the literature by what a study uses."""

    tables: dict[str, str]
    stages: dict[str, str]
    figures: dict[str, str]
    references: tuple[tuple[tuple[str, ...], str], ...]


@cache
def read_origins() -> Origins:
    """The shipped list, `origins.yaml`."""
    tree = yaml.safe_load(files("pipeval.release").joinpath("origins.yaml").read_text(encoding="utf-8"))
    tables = {name: function for stage in tree["tables"].values() for function, names in stage.items() for name in names}
    stages = {name: stage for stage, made in tree["tables"].items() for names in made.values() for name in names}
    figures = {name: function for function, names in tree["figures"].items() for name in names}
    return Origins(tables, stages, figures, tuple((tuple(r["uses"]), r["work"]) for r in tree["references"]))


def exhibits(bundle: Bundle, text: Text, folder: Path) -> list[Exhibit]:
    """The numbered tables and figures of the report that lies in `folder`, in their order, numbered as on paper."""
    shown = figures_of(bundle.study.get("stage", "final"))
    drawn = {name: Path("figures") for name in FIGURES if name in shown and any((folder / "figures").glob(f"{name}.*.png"))}
    printed = markdown(bundle, text, drawn)
    table_of, counts, found = _tables_of(bundle), {"table": 0, "figure": 0}, []
    for place in _PLACE.finditer(printed):
        kind = "table" if place["table"] else "figure"
        counts[kind] += 1
        if kind == "table":
            caption = _CAPTION.search(printed, place.end())
            table = table_of.get(place["table"], "provenance")
            made = read_origins().tables.get(table, "report.save.provenance")
            stage = read_origins().stages.get(table, "")
            found.append(Exhibit(kind, counts[kind], caption[1] if caption else "", table, made, stage))
        else:
            name = place["figure"].replace("-", "_")
            found.append(Exhibit(kind, counts[kind], place["caption"], FIGURES[name][0], read_origins().figures.get(name, "")))
    return found


def references(bundle: Bundle) -> list[str]:
    """The literature on the methods that this study used."""
    return [work for uses, work in read_origins().references if any(_used(use, bundle) for use in uses)]


def seeds(study: dict[str, Any], where: str = "") -> dict[str, int]:
    """The seeds among a study's decisions, by dotted key."""
    found: dict[str, int] = {}
    for key, value in study.items():
        if isinstance(value, dict):
            found |= seeds(value, f"{where}{key}.")
        elif key == "seed":
            found[f"{where}{key}"] = value
    return found


def _tables_of(bundle: Bundle) -> dict[str, str]:
    """The identifier of each table of the outline, and the table of the results that it prints."""
    layout = read_layout()
    blocks = [b for s in layout.stages.get(bundle.study.get("stage", "final"), ()) for b in layout.sections[s]]
    named = [(b.get("name"), b.get("table") or b.get("findings")) for b in blocks]
    return {(name or table).replace("_", "-"): table for name, table in named if table}


def _used(use: str, bundle: Bundle) -> bool:
    section, _, rest = use.partition(".")
    if section == "tables":
        return bundle.has(rest)
    *keys, value = use.split(".")
    found: Any = bundle.study
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found == value
