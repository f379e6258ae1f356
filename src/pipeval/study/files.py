"""Reading what the user wrote: YAML without surprises, and paths that stay inside the study."""

from __future__ import annotations

import copy
import difflib
import os
import re
import threading
from collections.abc import Hashable, Iterable
from functools import lru_cache
from pathlib import Path, PureWindowsPath

import yaml

from ..errors import UsageError

LARGEST_TEXT = 250_000
"""Bytes of a params file or log frame: they are a few kilobytes, and a hundred times that is no decision that anyone wrote."""

_WHOLE = 2**63  # no number of a decision is larger

UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
"""Characters that no paper can show: control characters, and those that turn the direction of the text after them."""


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key stands once and nothing is repeated by reference."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError(f"references (*{self.peek_event().anchor}) are not used here; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k, deep=True) for k, _ in node.value]
        seen: set = set()
        for key in keys:
            if not isinstance(key, Hashable):
                raise yaml.YAMLError(f"line {node.start_mark.line + 1}: keys are words; found {type(key).__name__}")
            if key in seen:
                raise yaml.YAMLError(f"line {node.start_mark.line + 1}: the key {str(key)!r} stands twice")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node):
        value = super().construct_yaml_int(node)
        if abs(value) >= _WHOLE:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: a whole number is smaller than {_WHOLE:,}")
        return value

    def construct_yaml_str(self, node):
        text = super().construct_yaml_str(node)
        if odd := UNPRINTABLE.search(text):
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: a text holds the unprintable character U+{ord(odd[0]):04X}")
        return text


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.construct_yaml_str)


def read_yaml(path: Path) -> dict:
    """The mapping that a YAML file holds.

    Raises
    ------
    UsageError
        When the file is missing, too large, not YAML, not a mapping, or repeats a key.
    """
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_TEXT:
            size = f"at most {LARGEST_TEXT:,} bytes; this one has {path.stat().st_size:,}"
            raise UsageError(f"{path}: a params file is a few kilobytes, {size}. Give the file that holds decisions, not data")
        content = copy.deepcopy(_parsed(path.read_text(encoding="utf-8-sig")))
    except UsageError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    except Exception as error:  # beside YAMLError: too deep, or what a date, a number or a key that is none makes the parser raise
        raise UsageError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} must hold keys and values; found {type(content).__name__}")
    return content


@lru_cache(maxsize=64)
def _parsed(text: str):
    """A batch reads the file that its studies extend once a study; it is the same text every time."""
    return yaml.load(text, _Loader)


def write_whole(path: str | Path, content: bytes) -> Path:
    """Write a file so that it is there whole or as it was before; folders on the way are made. Raises `OSError`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")  # beside it: a move within one disk
    try:
        scratch.write_bytes(content)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return path


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
