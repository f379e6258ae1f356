"""Reading what the user wrote: YAML without surprises, and paths that stay inside the study."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

import yaml

from ..errors import UsageError

_LARGEST = 1_000_000  # bytes; a params file or log frame is a few kilobytes


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key stands once and nothing is repeated by reference."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError(f"references (*{self.peek_event().anchor}) are not used here; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        repeated = {str(k) for k in keys if keys.count(k) > 1}
        if repeated:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: the key {sorted(repeated)[0]!r} stands twice")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict:
    """The mapping that a YAML file holds.

    Raises
    ------
    UsageError
        When the file is missing, too large, not YAML, not a mapping, or repeats a key.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path}: a params file is a few kilobytes; this one has {path.stat().st_size:,} bytes")
        content = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} must hold keys and values; found {type(content).__name__}")
    return content


def nearest(word: str, valid: Iterable[str]) -> str:
    """A hint naming the valid words nearest to `word`.

    >>> nearest("calliper", ["caliper", "ratio"])
    "did you mean 'caliper'? valid: caliper, ratio"
    """
    valid = list(map(str, valid))
    close = difflib.get_close_matches(str(word), valid, 1)
    return (f"did you mean '{close[0]}'? " if close else "") + f"valid: {', '.join(valid)}"


def inside(root: Path, name: str) -> Path:
    """`name` resolved against the study root, refused when it leaves it.

    >>> from pathlib import Path
    >>> inside(Path("/study"), "../other.csv")
    Traceback (most recent call last):
    ...
    pipeval.errors.UsageError: paths in params stay inside the study folder; '../other.csv' leaves it
    """
    windows = PureWindowsPath(name)  # a params file travels: what leaves the folder on one system is refused on all
    parts = windows.parts  # reads both / and \\ as separators
    if windows.is_absolute() or windows.drive or windows.root or ".." in parts or Path(name).is_absolute():
        raise UsageError(f"paths in params stay inside the study folder; {name!r} leaves it")
    path = Path(root).joinpath(*parts)
    try:
        within = path.resolve().is_relative_to(Path(root).resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a zero byte
        raise UsageError(f"{name!r} is not a path: {error}") from None
    if not within:
        raise UsageError(f"paths in params stay inside the study folder; {name!r} leaves it through a link")
    return path
