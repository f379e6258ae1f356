"""Several studies in one params file: a matrix of choices laid over what they share."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

from ..errors import UsageError, some
from .files import nearest

MOST = 1000
"""Studies that one file may describe."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def over(below: dict, above: dict) -> dict:
    """`above` laid over `below`: mappings key by key, everything else whole.

    >>> over({"did": {"method": "reg", "level": 0.9}}, {"did": {"method": "dr"}})
    {'did': {'method': 'dr', 'level': 0.9}}
    """
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = over(merged[key], value) if both else value
    return merged


def swept(content: dict, file: str) -> dict[str, dict]:
    """The studies that the content of a params file describes: name → its own content, without a sweep.

    `sweep` names axes: a mapping from names to sections that are laid over the rest, or, under a key of params (dots go into
    sections), a list of its values. A study is named after `study` and its place on each axis. `sweep.skip` lists combinations,
    whole or in part, that are left out. A file without a sweep holds the one study of its `study` key, or of an empty name.

    Raises
    ------
    UsageError
        When the sweep cannot be read as that, is empty, or describes more than a thousand studies.

    Examples
    --------
    >>> who = {"all": {}, "ta": {"treatment": {"definition": "ta"}}}
    >>> file = {"study": "wine", "sweep": {"logframe": ["dini", "own"], "who": who}}
    >>> list(swept(file, "wine.yaml"))
    ['wine_dini_all', 'wine_dini_ta', 'wine_own_all', 'wine_own_ta']
    >>> swept(file, "wine.yaml")["wine_own_ta"]
    {'study': 'wine_own_ta', 'logframe': 'own', 'treatment': {'definition': 'ta'}}
    """
    if "sweep" not in content:
        return {str(content.get("study", "")): content}
    shared = {key: value for key, value in content.items() if key != "sweep"}
    axes, skipped = _axes(content["sweep"], file)
    if (size := math.prod(len(points) for points in axes.values())) > MOST:
        raise UsageError(f"{file}: a sweep describes at most {MOST:,} studies; this one {size:,}. Take values or an axis out")
    if not _NAME.fullmatch(str(shared.get("study", ""))):
        raise UsageError(
            f"{file}: a sweep needs a key `study`, with which the names of its studies begin: letters, digits, - and _"
        )
    studies: dict[str, dict] = {}
    for place in itertools.product(*axes.values()):
        at = dict(zip(axes, place, strict=True))
        if any(all(at[axis] == point for axis, point in combination.items()) for combination in skipped):
            continue
        name = "_".join([shared["study"], *place])
        if name in studies:
            raise UsageError(f"{file}: two studies of the sweep would be called {name}; give the points of an axis other names")
        made = shared
        for axis, point in at.items():
            made = over(made, axes[axis][point])
        studies[name] = {**made, "study": name}
    if not studies:
        raise UsageError(f"{file}: sweep.skip leaves no study of the sweep; take a combination out")
    return studies


def chosen(content: dict, name: str, file: str, studies: dict[str, dict] | None = None) -> dict:
    """The content of the study called `name`; without a name, of the only study there is. `studies`: what `swept` gave already.

    Raises `UsageError` when there is no such study, or several and no name.
    """
    studies = swept(content, file) if studies is None else studies
    if not name and len(studies) == 1 and "sweep" not in content:
        return content
    known = list(studies)
    if not name:
        raise UsageError(f"{file} describes {len(known)} studies; name one, as in {file}::{known[0]}")
    if name not in studies:
        raise UsageError(f"{file} describes no study {name!r}; {nearest(name, known[:20])}")
    return studies[name]


def _axes(sweep: Any, file: str) -> tuple[dict[str, dict[str, dict]], list[dict[str, str]]]:
    """Axis → point → what it lays over the file; and the combinations to leave out."""
    if not isinstance(sweep, dict) or not set(sweep) - {"skip"}:
        raise UsageError(f"{file}: sweep names at least one axis: `axis: {{name: {{sections}}}}` or `key: [values]`")
    axes = {str(axis): _points(str(axis), points, file) for axis, points in sweep.items() if axis != "skip"}
    skip = sweep.get("skip", [])
    if not isinstance(skip, list) or not all(isinstance(one, dict) and one for one in skip):
        raise UsageError(f"{file}: sweep.skip is a list of combinations, such as `- {{axis: name}}`")
    combinations = [{str(axis): _slug(point) for axis, point in one.items()} for one in skip]
    for axis, point in (pair for one in combinations for pair in one.items()):
        if axis not in axes:
            raise UsageError(f"{file}: sweep.skip: there is no axis '{axis}'; {nearest(axis, axes)}")
        if point not in axes[axis]:
            raise UsageError(f"{file}: sweep.skip: the axis {axis} has no '{point}'; {nearest(point, axes[axis])}")
    return axes, combinations


def _points(axis: str, points: Any, file: str) -> dict[str, dict]:
    if isinstance(points, dict) and points and all(isinstance(v, dict) or v is None for v in points.values()):
        named = {str(name): sections or {} for name, sections in points.items()}
    elif isinstance(points, list) and points:
        named = {_slug(value): _at(axis.split("."), value) for value in points}
    else:
        raise UsageError(f"{file}: sweep.{axis} is a mapping from names to sections, or a list of values of the key {axis}")
    odd = [name for name in named if not _NAME.fullmatch(name)]
    if odd or len(named) < len(points):
        found = f"found {some(odd, 'name')}" if odd else "two of them have one name"
        raise UsageError(
            f"{file}: the points of sweep.{axis} are named by letters, digits, - and _, each once; {found}. Write the axis as a "
            "mapping from names of your own to sections"
        )
    return named


def _slug(value: Any) -> str:
    """The name of a point that is a value: hyphens join a list and stand for a decimal point, yes and no are written so."""
    if isinstance(value, list):
        return "-".join(_slug(one) for one in value)
    if isinstance(value, float):
        return str(value).replace(".", "-")
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _at(keys: list[str], value: Any) -> dict:
    return {keys[0]: _at(keys[1:], value) if keys[1:] else value}
