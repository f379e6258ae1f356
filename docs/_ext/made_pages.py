"""Pages made from the code itself, so that they cannot drift: a line `<!-- made: NAME -->` becomes the text of that name."""

from __future__ import annotations

import argparse
import inspect
import re
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import pipeval
from pipeval import cli, figures
from pipeval.new.words import words
from pipeval.study.logframe import Indicator
from pipeval.study.specs import Study

MARK = re.compile(r"^<!-- made: (\w+) -->$", re.MULTILINE)
_COMMENTED = re.compile(r"^    (\w+): .*?  # (.*)$", re.MULTILINE)
_LIMITS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_NAMED = {"date": "date", "Path": "path"}
_OBJECTS = {
    "data": ("data.panel.Panel",),
    "matching": ("matching.matched.MatchedSample",),
    "effects": ("did.effects.Effects",),
    "report": ("evaluation.Evaluation",),
}
_GROUPS = {
    "data": ("data", "study"),
    "matching": ("matching",),
    "effects": ("did",),
    "report": ("evaluation", "report"),
}
_STAGES = ("proved_data", "baseline", "control_group", "detectable", "programme", "effects", "robustness", "verdicts", "value")


def params() -> str:
    """Every key of a params file: type, default and meaning."""
    told = words("en")
    own = [("study", Study, ("study", "stage", "as_of"))]
    single = tuple(k for k, f in Study.model_fields.items() if _section(f) is None and k not in ("root", *own[0][2]))
    text = [_rows("Which study", Study, "", told, own[0][2]), _rows("Keys without a section", Study, "", told, single)]
    for key, field in Study.model_fields.items():
        model = _section(field)
        if model is not None:
            text += _sections(key, model, told)
    return "\n\n".join(text)


def param_keys() -> list[str]:
    """Every key of a params file with its sections, joined by dots."""

    def below(prefix: str, model: type[BaseModel]) -> Iterable[str]:
        for name, field in model.model_fields.items():
            inner = _section(field)
            yield from ([f"{prefix}{name}"] if inner is None else below(f"{prefix}{name}.", inner))

    return [key for key in below("", Study) if key != "root"]


def logframe() -> str:
    """Every key of an indicator of a log frame."""
    said = {m[1]: m[2] for m in _COMMENTED.finditer(inspect.getsource(Indicator))}
    lines = ["| key | meaning | type | default |", "|---|---|---|---|"]
    for name, field in Indicator.model_fields.items():
        shown = _cell(_type(field.annotation) + _range(field))
        lines.append(f"| `{field.alias or name}` | {_cell(said.get(name, ''))} | {shown} | {_default(field)} |")
    return "\n".join(lines)


def commands() -> str:
    """Every command with its arguments, from the parser that reads them."""
    parser = cli._parser()
    made = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {a.dest: a.help for a in action._choices_actions}
            made += [_command(name, sub, helps.get(name) or "") for name, sub in action.choices.items()]
    return "\n\n".join(made)


def names(group: str) -> str:
    """The public names of a group of floors, and the object that they hand out."""
    homes = {name: home for name, home in sorted(pipeval._HOMES.items()) if home.partition(".")[0] in _GROUPS[group]}
    public = {f"{home}.{name}" for name, home in homes.items()}
    objects = [path for path in _OBJECTS[group] if path not in public]
    entries = [_entry(f"pipeval.{name}", getattr(pipeval, name)) for name in homes]
    return "\n\n".join([_directive("autoclass", f"pipeval.{path}", True) for path in objects] + entries)


def drawn() -> str:
    """Every figure."""
    return "\n\n".join(_directive("autofunction", f"pipeval.figures.{name}") for name in figures.__all__)


def steps() -> str:
    """Every stage, in the order of an evaluation."""
    made = [_directive("autoclass", "pipeval.stages.Stage"), *(_directive("autofunction", f"pipeval.stages.{n}") for n in _STAGES)]
    return "\n\n".join(made)


def decisions() -> str:
    """The decisions as pages below their list."""
    return "```{toctree}\n:hidden:\n:glob:\n\n[0-9]*\n```"


PAGES: dict[str, Callable[[], str]] = {
    "params": params,
    "logframe": logframe,
    "commands": commands,
    "figures": drawn,
    "stages": steps,
    "decisions": decisions,
    **{group: (lambda group=group: names(group)) for group in _GROUPS},
}


def filled(text: str) -> str:
    """A page with its marks replaced."""
    return MARK.sub(lambda mark: PAGES[mark[1]](), text)


def _sections(path: str, model: type[BaseModel], told: dict[str, str]) -> list[str]:
    inner = {f"{path}.{k}": _section(f) for k, f in model.model_fields.items() if _section(f) is not None}
    plain = tuple(k for k, f in model.model_fields.items() if _section(f) is None)
    text = [_rows(f"`{path}`", model, f"{path}.", told, plain, told.get(f"params.{path}", ""))]
    for key, below in inner.items():
        text += _sections(key, below, told)
    return text


def _rows(title: str, model: type[BaseModel], prefix: str, told: dict[str, str], keys: Iterable[str], lead: str = "") -> str:
    lines = [f"## {title}", "", lead, "", "| key | meaning | type | default |", "|---|---|---|---|"]
    for key in keys:
        field = model.model_fields[key]
        meaning = told.get(f"params.{prefix}{key}", "").partition(" TO USE")[0]  # what follows is about the line in the file
        lines.append(
            f"| `{prefix}{key}` | {_cell(meaning)} | {_cell(_type(field.annotation) + _range(field))} | {_default(field)} |"
        )
    return "\n".join(lines)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """The spec that a key holds, or holds a list of."""
    candidates = [field.annotation, *get_args(field.annotation)]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _type(annotation: Any) -> str:
    """A type in words; codes as they are written."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join("tab" if code == "\t" else f"`{code}`" for code in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(a) for a in inner if a is not type(None))
    if origin is tuple:
        return f"list of {_type(inner[0])}" if inner[-1] is Ellipsis else f"{len(inner)} values: {', '.join(map(_type, inner))}"
    if origin is dict:
        return f"{_type(inner[0])} → {_type(inner[1])}"
    return _PLAIN.get(annotation) or _NAMED.get(getattr(annotation, "__name__", ""), "section")


def _range(field: FieldInfo) -> str:
    limits = [f"{sign} {getattr(m, name):g}" for m in field.metadata for name, sign in _LIMITS.items() if hasattr(m, name)]
    return f", {', '.join(limits)}" if limits else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default if field.default is not PydanticUndefined else field.get_default(call_default_factory=True)
    if value is None or value in ("", (), {}):
        return "none"
    shown = list(value) if isinstance(value, tuple) else value
    return f"`{shown}`" if isinstance(shown, str) else f"`{str(shown).replace(chr(39), '')}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _command(name: str, parser: argparse.ArgumentParser, told: str) -> str:
    lines = [f"## `pipeval {name}`", "", f"{told[:1].upper()}{told[1:]}.", "", "| argument | meaning |", "|---|---|"]
    for action in parser._actions:
        if action.dest != "help":
            lines.append(f"| {_argument(action)} | {_cell(action.help or '')}{_choices(action)} |")
    return "\n".join(lines) if len(lines) > 6 else "\n".join(lines[:3])


def _argument(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.dest.upper()}`{' …' if action.nargs == '+' else ''}"
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return f"`{action.option_strings[0]}{value}`{' …' if action.nargs == '+' else ''}"


def _choices(action: argparse.Action) -> str:
    return f" ({', '.join(f'`{c}`' for c in action.choices)})" if action.choices else ""


def _entry(path: str, found: Any) -> str:
    if not callable(found):
        return _directive("autodata", path)
    if isinstance(found, type):
        return _directive("autoclass", path, not issubclass(found, BaseModel))
    return _directive("autofunction", path)


def _directive(kind: str, path: str, members: bool = False) -> str:
    options = "\n   :members:" if members else ""
    return f"```{{eval-rst}}\n.. {kind}:: {path}{options}\n```"


def _read(app, docname: str, source: list[str]) -> None:
    source[0] = filled(source[0])


def _outdated(app, env, added, changed, removed) -> list[str]:
    """Pages with a mark are read anew each time: what they are made of is not among the files that Sphinx watches."""
    folder = Path(app.srcdir)
    return [d for d in env.found_docs if (f := folder / f"{d}.md").is_file() and MARK.search(f.read_text(encoding="utf-8"))]


def setup(app) -> dict:
    app.connect("source-read", _read)
    app.connect("env-get-outdated", _outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
