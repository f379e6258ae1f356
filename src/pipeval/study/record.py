"""Writing a choice back to the params file: the match that was chosen, and not a byte of anything else."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import yaml

from ..errors import UsageError
from .files import inside, read_yaml
from .match_spec import MatchSpec
from .params import read_study

SECTION = "match"
_WIDTH = 120  # of a line, before a list goes on in the next
_INDENT = 2


def record_match(path: str | Path, spec: MatchSpec) -> None:
    """Write `spec` as the section `match:` of a study's params file, and prove it by reading the study again.

    Options that the section states and that still hold stay as they stand; the others are changed, taken out or added, so that
    it says what differs from the defaults of `MatchSpec`. Every other line, comment and line ending stays byte for byte; a comment
    at the end of a changed line stays, one inside a value that is replaced goes with it. A section in braces is written out in
    lines. A file that extends another and has no section gets a whole one of its own.

    Parameters
    ----------
    path : str or Path
        The params file of a study. A file that it extends is read, never written.
    spec : MatchSpec

    Raises
    ------
    UsageError
        When `spec` is no MatchSpec, the file cannot be read or written, is one mapping in braces, or would not read as this study
        with this match: it then stands as it was. A table of `calipers` or `cutpoints` in the file that is extended cannot be
        taken away by the one that extends it.
    """
    if not isinstance(spec, MatchSpec):
        raise UsageError(
            f"what is written is a MatchSpec; found {type(spec).__name__}. MatchSpec.model_validate makes one of a dict"
        )
    path = Path(path).resolve()
    stated, wanted = read_yaml(path).get(SECTION), _wanted(path, spec)
    raw = path.read_bytes().decode("utf-8")
    text = raw.removeprefix("\ufeff")
    root = yaml.compose(text, yaml.SafeLoader)
    if root.flow_style:
        raise UsageError(f"{path.name} is one mapping in braces; write its sections in lines, so that one can be changed alone")
    ending = "\r\n" if "\r\n" in text else "\n"
    keys = {key.value: (key, value) for key, value in root.value}
    if SECTION not in keys:
        changed = _appended(text, root.end_mark.index, wanted, ending)
    elif isinstance(stated, dict) and not keys[SECTION][1].flow_style:
        changed = _edited(text, keys[SECTION][1], stated, wanted, ending)
    elif isinstance(stated, dict) and _holds(stated, wanted):
        return
    else:
        changed = _written_out(text, *keys[SECTION], wanted, ending)
    if changed != text:
        _replace(path, raw[: len(raw) - len(text)] + changed, spec)


def _wanted(path: Path, spec: MatchSpec) -> dict:
    """The options to be stated: those that are not the default, and those by which a file extended would have it otherwise."""
    below, default = _inherited(path), MatchSpec(covariates=("",)).model_dump(mode="json") | {"covariates": []}
    return {k: v for k, v in spec.model_dump(mode="json").items() if v != default[k] or below.get(k, v) != v}


def _inherited(path: Path) -> dict:
    """The match of the files that `path` extends, the nearest first to be heard."""
    content, found, seen = read_yaml(path), {}, {path}
    while content.get("extends") is not None:
        path = inside(path.parent, str(content["extends"])).resolve()
        if path in seen:
            raise UsageError(f"{path.name} extends itself; take `extends` out of one of the files")
        seen.add(path)
        content = read_yaml(path)
        section = content.get(SECTION)
        found = (section if isinstance(section, dict) else {}) | found
    return found


def _holds(stated: dict, wanted: dict) -> bool:
    return all(stated.get(k) == v for k, v in wanted.items()) and all(_stays(k, v, wanted) for k, v in stated.items())


def _stays(name: str, value: object, wanted: dict) -> bool:
    """Whether a stated option may stay as it stands: it is wanted so, or says the default where nothing else is wanted."""
    if name in wanted:
        return wanted[name] == value
    field = MatchSpec.model_fields.get(name)
    default = None if field is None else field.default
    return field is not None and (list(default) if isinstance(default, tuple) else default) == value


def _lines(options: dict, indent: int, ending: str) -> str:
    """Options as YAML in the way a person writes it: short lists in one line, whole numbers without a point."""
    shape = {"Dumper": _Dumper, "sort_keys": False, "allow_unicode": True, "width": _WIDTH, "indent": _INDENT}
    text = yaml.dump(_plain(options), default_flow_style=None, **shape)
    if text.startswith("{"):  # options with simple values only
        text = yaml.dump(_plain(options), default_flow_style=False, **shape)
    return "".join(" " * indent + line + ending for line in text.splitlines())


class _Dumper(yaml.SafeDumper):
    """Lists in lines stand further in than their key."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def _plain(value):
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return int(value) if whole else value


def _end(text: str, node: yaml.Node) -> int:
    """Where the last character of a value stands: a block's own end mark lies beyond the comments after it."""
    while not isinstance(node, yaml.ScalarNode) and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    return len(text[: node.end_mark.index].rstrip()) if node.end_mark.index > node.start_mark.index else node.end_mark.index


def _line(text: str, position: int) -> tuple[int, int]:
    """Where the line of a position begins, and where the next one does."""
    end = text.find("\n", position)
    return text.rfind("\n", 0, position) + 1, len(text) if end < 0 else end + 1


def _appended(text: str, end: int, wanted: dict, ending: str) -> str:
    head = text[:end]
    gap = ending if head and not head.endswith("\n") else ""
    return head + gap + f"{SECTION}:{ending}" + _lines(wanted, _INDENT, ending) + text[end:]


def _written_out(text: str, key: yaml.Node, value: yaml.Node, wanted: dict, ending: str) -> str:
    """The section anew; what follows it on its last line, a comment, stays behind its name."""
    end = _end(text, value)
    after = _line(text, end)[1]
    rest = text[end:after].rstrip("\r\n")
    return text[: key.end_mark.index] + ":" + rest + ending + _lines(wanted, _INDENT, ending) + text[after:]


def _edited(text: str, section: yaml.Node, stated: dict, wanted: dict, ending: str) -> str:
    """The section option by option; worked from the last to the first, so that positions hold."""
    indent = section.value[0][0].start_mark.column
    after = _line(text, _end(text, section))[1]
    missing = {k: v for k, v in wanted.items() if k not in stated}
    if missing:
        gap = "" if text[:after].endswith("\n") else ending
        text = text[:after] + gap + _lines(missing, indent, ending) + text[after:]
    for key, value in reversed(section.value):
        name, start, end = key.value, key.start_mark.index, _end(text, value)
        if _stays(name, stated[name], wanted):
            continue
        if name in wanted:
            text = text[:start] + _lines({name: wanted[name]}, indent, ending).strip() + text[end:]
        else:
            text = text[: _line(text, start)[0]] + text[_line(text, end)[1] :]
    return text


def _replace(path: Path, text: str, spec: MatchSpec) -> None:
    """Put `text` in the place of the file in one step, once it has been read as this study with this match."""
    trial = None
    try:
        handle, name = tempfile.mkstemp(suffix=".yaml", prefix=f".{path.stem}-", dir=path.parent)
        trial = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
        shutil.copymode(path, trial)
        _prove(path, trial, spec)
        os.replace(trial, path)  # noqa: PTH105 - the atomic one by name
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}; it stands as it was") from None
    finally:
        if trial is not None:
            trial.unlink(missing_ok=True)


def _prove(path: Path, trial: Path, spec: MatchSpec) -> None:
    try:
        found, before, after = read_study(trial).match, read_yaml(path), read_yaml(trial)
    except UsageError as error:
        said = str(error).replace(trial.name, path.name)
        raise UsageError(f"{path.name} stands as it was, because with this match it does not read as a study: {said}") from None
    wrong = [k for k in MatchSpec.model_fields if getattr(found, k) != getattr(spec, k)]
    other = {k: v for k, v in before.items() if k != SECTION} != {k: v for k, v in after.items() if k != SECTION}
    if wrong or other:
        what = ", ".join(f"{SECTION}.{k}" for k in wrong) or "another section"
        raise UsageError(
            f"{path.name} stands as it was: written and read again, {what} would differ from what was chosen. A table of a file "
            f"that it extends cannot be taken away here; change it there, or write the section '{SECTION}' by hand"
        )
