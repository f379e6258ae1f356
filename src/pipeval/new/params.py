"""Params with a comment on every key, written from the specs themselves: a key that a spec gains stands here at once."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..study.specs import Study
from .decisions import Choices, decided, examples, stage_dates

_OWN = ("study", "stage", "as_of")  # said by each study's own file
_WIDTH = 110
_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def common_params(choices: Choices, words: Mapping[str, str], files: dict[str, str]) -> str:
    """The params that the studies of a programme share: every key of every section, set or commented out.

    Parameters
    ----------
    choices : Choices
        What the folder is made for.
    words : mapping of str to str
        Comments, as `new.words.words` has them.
    files : dict
        Table → sheet of the workbook, shown as the optional line `data.files`.
    """
    values, shown = decided(choices), examples(choices, files)
    lines = _comment(words["file.common"].format(programme=choices.programme), "")
    lines += _comment(words["file.how"], "") + _comment(words["file.never"], "")
    for key, field in Study.model_fields.items():
        if key not in (*_OWN, "root"):
            lines += ["", *_entry(key, field, values, shown, words)]
    return "\n".join(lines) + "\n"


def stage_params(choices: Choices, stage: str, words: Mapping[str, str]) -> str:
    """The params of one study: what it extends, its name, stage and day, and the year in which it reads effects."""
    year, day = stage_dates(choices, stage)
    said = {"study": f"{choices.programme}_{stage}", "stage": stage, "as_of": day.isoformat()}
    lines = [*_comment(words[f"file.{stage}"], ""), "", *_comment(words["file.extends"], ""), f"extends: {choices.programme}.yaml"]
    for key, value in said.items():
        lines += ["", *_comment(_explained(key, Study.model_fields[key], words), ""), _written(key, value)]
    return "\n".join(
        [*lines, "", *_comment(words["params.treatment.reference_year"], ""), _written("treatment", {"reference_year": year}), ""]
    )


def _entry(path: str, field: FieldInfo, values: dict, shown: dict, words: Mapping[str, str], indent: str = "") -> list[str]:
    """The lines of one key: its comment, and the key as it is set or, after a #, as it might be."""
    model, name = _section(field), path.rpartition(".")[2]
    if model is not None and path == "outcomes":
        return [*_comment(words[f"params.{path}"], indent), f"{name}:", *_outcomes(model, values[path], shown, words)]
    if model is not None:
        return _whole_section(path, model, field, values, shown, words, indent)
    comment = _comment(_explained(path, field, words), indent)
    if path in values:
        return [*comment, indent + _written(name, values[path])]
    return [*comment, f"{indent}#{_written(name, shown.get(path, _default(field)))}"]


def _whole_section(
    path: str, model: type[BaseModel], field: FieldInfo, values: dict, shown: dict, words: Mapping[str, str], indent: str
) -> list[str]:
    """A section; one that a study may do without is commented out whole, any other has at least one key set."""
    absent = field.default is None and not any(key.startswith(f"{path}.") for key in values)
    keys = {f"{path}.{name}": inner for name, inner in model.model_fields.items()}
    if not absent and not any(key in values or any(v.startswith(f"{key}.") for v in values) for key in keys):
        first = next(key for key, inner in keys.items() if inner.default is not None)
        values = values | {first: _default(keys[first])}
    lines = [*_comment(words[f"params.{path}"], indent), f"{indent}{'#' if absent else ''}{path.rpartition('.')[2]}:"]
    for key, inner in keys.items():
        lines += _entry(key, inner, values, shown, words, f"{indent}  ")
    return lines


def _outcomes(model: type[BaseModel], rows: list[dict], shown: dict, words: Mapping[str, str]) -> list[str]:
    """The first outcome key by key, the others a line each."""
    values = {f"outcomes.{key}": value for key, value in rows[0].items()}
    lines = []
    for key, field in model.model_fields.items():
        lines += _entry(f"outcomes.{key}", field, values, shown, words, "    ")
    at = next(i for i, line in enumerate(lines) if line.startswith("    id:"))
    lines[at] = f"  - {lines[at].strip()}"
    return lines + [f"  - {_flow(row)}" for row in rows[1:]]


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """The spec that a key holds, or holds a list of."""
    candidates = [field.annotation, *get_args(field.annotation)]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _explained(path: str, field: FieldInfo, words: Mapping[str, str]) -> str:
    """What a key is, what it may be, and what it is when it is left out."""
    told = [words[f"params.{path}"]]
    allowed = " | ".join(_codes(field.annotation)) or _range(field)
    if allowed:
        told.append(f"{words['line.allowed']}: {allowed}.")
    default = _default(field)
    nothing = default is None or default in ("", (), {})
    told.append(
        words["line.needed" if field.is_required() else "line.optional"]
        if nothing
        else f"{words['line.default']}: {_flow(default)}."
    )
    return " ".join(told)


def _codes(annotation: Any) -> list[str]:
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return [_flow(code) for code in get_args(annotation)]
    return [code for inner in get_args(annotation) for code in _codes(inner)]


def _range(field: FieldInfo) -> str:
    limits = [(sign, getattr(limit, name)) for limit in field.metadata for name, sign in _BOUNDS.items() if hasattr(limit, name)]
    return ", ".join(f"{sign} {value:g}" for sign, value in limits)


def _default(field: FieldInfo) -> Any:
    return None if field.default is PydanticUndefined else field.default


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_long_words=False)


def _written(key: str, value: Any) -> str:
    return f"{key}: {_flow(value)}"


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, str) and value and not any(c.isalnum() or c.isspace() or c == "…" for c in value):
        return f"'{value}'"  # a lone mark is read more easily in quotes
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump([plain], default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")).strip()[1:-1]
