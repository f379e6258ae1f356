"""Why a study has to run: what differs between its inputs and those of its last report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from .inputs import Inputs

FORCED = "asked for (--force)"
"""The reason of a study that runs although its report stands."""

_SHOWN = 5


def reasons(inputs: Inputs, shelf, papers: Sequence[str], force: bool = False) -> list[str]:
    """Why this study has to run, as sentences for the screen and its record; none when its report stands."""
    last = shelf.published(inputs.study)
    if last is None:
        return ["no report yet" if shelf.bundle(inputs.study) is None else "the record of the last report cannot be read"]
    if last.key != inputs.key:
        return changed(last, inputs)
    if not shelf.complete(inputs.study, papers):
        return ["papers missing"]
    if not shelf.untouched(inputs.study):
        return ["results changed by hand"]
    return [FORCED] if force else []


def changed(old: Inputs, new: Inputs) -> list[str]:
    """The parts in which two records differ: decisions by dotted key, files by name, code, versions by package."""
    found = [
        (kind, sorted({PurePosixPath(n).name for n in _differing(old.files, new.files) if kind in (_kind(n, old), _kind(n, new))}))
        for kind in ("data", "log frame", "lock", "look")
    ]
    found += [("decisions", decisions(old.decisions, new.decisions))]
    notebook = old.notebook != new.notebook and old.decisions.get("stage") == new.decisions.get("stage")  # each stage has its own
    found += [("code", ["package"] * (old.source != new.source) + ["notebook"] * notebook)]
    found += [("versions", _differing(old.versions, new.versions))]
    told = [f"{kind}: {', '.join(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''}" for kind, names in found if names]
    return told or ["other inputs"]


def decisions(old: Mapping[str, Any], new: Mapping[str, Any], above: str = "") -> list[str]:
    """Dotted keys of the values that differ.

    >>> decisions({"did": {"method": "reg", "level": 0.95}}, {"did": {"method": "dr", "level": 0.95}, "stage": "final"})
    ['did.method', 'stage']
    """
    keys = []
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            keys += decisions(before, after, f"{above}{key}.")
        elif before != after or (key in old) != (key in new):
            keys.append(f"{above}{key}")
    return keys


def _differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return sorted(name for name in set(old) | set(new) if old.get(name) != new.get(name))


def _kind(name: str, record: Inputs) -> str:
    """What a file of the record is to its study."""
    chosen = record.decisions
    named = {chosen.get("logframe"): "log frame", chosen.get("plan_lock"): "lock"}
    named |= dict.fromkeys((chosen.get("report", {}).get("look") or {}).values(), "look")
    return {PureWindowsPath(file).as_posix(): kind for file, kind in named.items() if file}.get(name, "data")
