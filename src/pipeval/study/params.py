"""From a params file to a `Study`, or to one message that lists every fault."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError

from ..errors import UsageError, counted
from .files import LARGEST_TEXT, inside, nearest, read_yaml
from .specs import Study
from .sweep import chosen, over, swept


def read_study(path: str | Path, data: str | Path | None = None, changes: dict | None = None) -> Study:
    """The study that a params file describes.

    Parameters
    ----------
    path : str or Path
        A YAML file. A key `extends: other.yaml` names a file of the same folder whose values hold unless repeated here. Of a file
        with a `sweep`, which describes several studies, `file.yaml::name` is one. The study root, against which its paths
        resolve, is the folder that holds `params/`, or the file's own folder.
    data : str or Path, optional
        A folder of data files instead of the one in params; the only path that may lie outside the study root.
    changes : dict, optional
        Sections as in the file, laid over it: `{"did": {"method": "dr"}}`. With a locked plan each is a departure that the
        report names.

    Raises
    ------
    UsageError
        When the file cannot be read or breaks the contract; all faults are listed at once.
    """
    file, _, name = str(path).partition("::")
    path = Path(file).resolve()
    whole, studies = _described(_chain(path))
    content = over(chosen(whole, name, path.name, studies), changes or {})
    odd = [k for k in content if not isinstance(k, str)]
    if odd:
        raise UsageError(f"{path.name}: keys are words; found {odd[0]!r}. YAML reads no, yes, on, off as truth values: quote them")
    root = path.parent.parent if path.parent.name == "params" else path.parent
    try:
        study = Study(**content)
    except ValidationError as error:
        faults = [_fault(e) for e in error.errors()]
        if "study" not in content:
            faults.append("a file that others extend is no study by itself; if this is one, give one of those")
        raise UsageError("\n  ".join([f"{path.name}: {counted(error.error_count(), 'fault')}", *faults])) from None
    folder = Path(data).resolve() if data else inside(root, study.data.folder)
    source = study.data.model_copy(update={"folder": str(folder)})
    return study.model_copy(update={"root": root, "data": source})


def study_paths(path: str | Path) -> list[str]:
    """Every study of a params file as `read_study` takes it: the file itself, or `file.yaml::name` for each of its sweep.

    Raises `UsageError` when the file cannot be read or its sweep makes no sense; the studies themselves are not proved.
    """
    file, _, name = str(path).partition("::")
    content, studies = _described(_chain(Path(file).resolve()))
    return [str(path)] if name or "sweep" not in content else [f"{file}::{one}" for one in studies]


def params_files(path: str | Path) -> list[Path]:
    """The params file and those that it extends, nearest first."""
    return [file for file, _ in _chain(Path(str(path).partition("::")[0]).resolve())]


_Chain = tuple[tuple[Path, bytes], ...]
"""A params file and those that it extends, nearest first, each with its bytes."""


def _chain(path: Path) -> _Chain:
    chain: _Chain = ()
    following: Path | None = path
    while following is not None:
        written = _written(following)
        chain = (*chain, (following, written))
        named = _content(following, written).get("extends")
        following = None if named is None else _parent(following, named, tuple(file for file, _ in chain))
    return chain


def _written(path: Path) -> bytes:
    """The bytes of a file; none where `read_yaml` will say why they cannot be had."""
    try:
        return path.read_bytes() if path.stat().st_size <= LARGEST_TEXT else b""
    except OSError:
        return b""


@lru_cache(maxsize=64)
def _content(path: Path, written: bytes) -> dict:
    """What a file of these bytes holds, not to be changed by who asks: each study of a sweep asks for the same.

    Raises `UsageError` when the file cannot be read or was written to meanwhile.
    """
    content = read_yaml(path)
    if _written(path) != written:
        raise UsageError(f"{path} must rest while it is read; it was written to. Run it again")
    return content


@lru_cache(maxsize=8)
def _described(chain: _Chain) -> tuple[dict, dict[str, dict]]:
    """The content of the first file laid over those that it extends, and the studies that this describes; not to be changed."""
    merged: dict = {}
    for file, written in reversed(chain):
        merged = over(merged, {key: value for key, value in _content(file, written).items() if key != "extends"})
    return merged, swept(merged, chain[0][0].name)


def _parent(path: Path, named: object, seen: tuple[Path, ...]) -> Path:
    parent = inside(path.parent, str(named)).resolve()
    if parent in seen:
        raise UsageError(f"{parent.name} extends itself through {' → '.join(p.name for p in seen)}")
    return parent


def _fault(error: dict) -> str:
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key; {nearest(error['loc'][-1], _keys(error['loc'][:-1]))}"
    if error["type"] == "missing":
        return f"{where}: this key is needed"
    found = error.get("input")
    hint = " (YAML reads no, yes, on, off as truth values: quote them)" if isinstance(found, bool) else ""
    shown = f"; found {found!r}" if isinstance(found, str | int | float | bool) else ""
    return f"{where}: {error['msg'].removeprefix('Value error, ')}{shown}{hint}"


def _keys(loc: tuple) -> list[str]:
    """The valid keys of the section at `loc`, walked through the models."""
    model: type[BaseModel] | None = Study
    for step in loc:
        if isinstance(step, int) or model is None:
            continue
        annotation = model.model_fields[step].annotation
        candidates = [annotation, *get_args(annotation)]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
    return [k for k in model.model_fields if k != "root"] if model else []
