"""The plan as it was locked, and every departure from it.

A lock is a JSON file: what was decided, what the sample could detect, when it was locked, and a SHA-256 over all of it, so
that nobody can change it without being seen. One lock serves the evaluations of one programme: a decision that all of
them share stands once under `decisions`, what is a study's own (always its stage, its date `as_of` and its reference year, and
whatever else differs between the studies) stands under `studies.<study>.decisions`. A later run is compared with what was
locked for the study of the same name, key by key; a study that the lock does not know is compared with what all share, and
that it was not planned is a departure of its own.

What does not change a number is not locked: folders, file names and separators, languages, labels, authors, names. What the
user's columns and codes are read as is locked: it decides which figure is an outcome.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field, ValidationError

from .. import __version__
from ..errors import UsageError
from .files import inside, write_whole
from .logframe import LogFrame
from .match_spec import Spec
from .specs import Study

DIGITS = 4
"""Significant digits to which the table of what is detectable is locked: the same on every machine."""

DEVIATIONS = ("section", "key", "locked", "used", "kind", "affects")
_STATUS = (
    "study", "status", "timing", "locked_on", "sha256", "version", "latest_year", "reference_year", "n_deviations", "n_estimates",
)  # fmt: skip
_OWN = (("stage",), ("as_of",), ("treatment", "reference_year"))
_NOT_DECISIONS = {
    "study": True,
    "plan_lock": True,
    "report": True,
    "labels": True,
    "privacy": True,
    "programme": {"name", "place", "executing_agency", "financier"},
    "data": {"folder", "files", "separator", "decimal", "encoding", "extra"},
    "logframe": True,
    "outcomes": {"__all__": {"label"}},
}
_NOT_PROMISES = {"text", "name", "sources", "assumptions", "verification", "remarks", "horizon", "derived", "component", "beside", "needs"}
_OF_ESTIMATES = ("data", "as_of", "baseline", "treatment", "money", "jobs_basis", "outcomes", "headline", "match", "did", "queries")
_AFFECTS = dict.fromkeys(_OF_ESTIMATES, "estimates") | {
    "stage": "verdicts", "calendar": "verdicts", "power": "verdicts", "logframe": "verdicts", "verdicts": "verdicts",
    "study": "verdicts", "sensitivity": "checks", "first_outcome": "checks",
}  # fmt: skip
_AFFECTS_ALONE = {"relevant_effect": "verdicts", "untouched": "checks", "currency": "estimates"}


class LockedStudy(Spec):
    """What was locked for one study beside what all share; `latest_year` is the last year that firms' files held that day."""

    decisions: dict[str, Any]
    latest_year: int | None = None
    detectable: tuple[dict[str, Any], ...] = ()


class Replaced(Spec):
    """The lock that this one took the place of."""

    locked_on: dt.date
    sha256: str


class Lock(Spec):
    """A plan as it was locked."""

    format: Literal[1]
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    locked_on: dt.date
    pipeval: str
    decisions: dict[str, Any]
    studies: dict[str, LockedStudy]
    replaces: Replaced | None = None


def locked(study: Study, logframe: LogFrame, detectable: pd.DataFrame, latest_year: int | None = None) -> dict[str, Any]:
    """What is locked of one study: its decisions, the log frame's promises, what its sample can detect, the package's version.

    Parameters
    ----------
    study, logframe
        What was decided, what was promised.
    detectable : DataFrame
        One row an indicator, from `plan.plan`; numbers are rounded to `DIGITS` significant digits, undefined ones become null.
    latest_year : int, optional
        The last year for which any file holds figures of firms.

    Returns
    -------
    dict
        Plain values, ready for JSON: `pipeval, decisions, studies`. The hash is that of `as_lock`, the date included.
    """
    rows = [{k: _rounded(v) for k, v in row.items()} for row in detectable.to_dict("records")]
    own = {"decisions": {}, "latest_year": latest_year, "detectable": rows}
    return joined([{"pipeval": __version__, "decisions": _decided(study, logframe), "studies": {study.study: own}}])


def joined(contents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One content for several studies: what all decided alike stands once, the rest under each."""
    whole = {key: _over(c["decisions"], own["decisions"]) for c in contents for key, own in c["studies"].items()}
    shared = _shared(list(whole.values()))
    for path in _OWN:
        _without(shared, path)
    studies = {key: dict(own) for c in contents for key, own in c["studies"].items()}
    for key, own in studies.items():
        own["decisions"] = _beside(whole[key], shared)
    return {"pipeval": contents[0]["pipeval"], "decisions": shared, "studies": studies}


def lock_hash(document: dict[str, Any]) -> str:
    """SHA-256 over the canonical JSON (sorted keys, no spaces, UTF-8, no NaN) of all but the hash itself.

    >>> lock_hash({"b": 1, "a": [2]}) == lock_hash({"a": [2], "b": 1, "sha256": "any"})
    True
    """
    content = {k: v for k, v in document.items() if k != "sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def as_lock(content: dict[str, Any], locked_on: dt.date, replaces: Lock | None = None) -> Lock:
    """What `locked` or `joined` made as a lock of that day, with its hash, in the place of another or of none."""
    gone = None if replaces is None else {"locked_on": replaces.locked_on.isoformat(), "sha256": replaces.sha256}
    document = {"format": 1, "locked_on": locked_on.isoformat(), "replaces": gone, **content}
    return Lock(**document, sha256=lock_hash(document))


def write_lock(path: str | Path, lock: Lock) -> Lock:
    """Write a lock to a file, and hand it back.

    Raises
    ------
    UsageError
        When the file cannot be written.
    """
    path, text = Path(path), json.dumps(lock.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    try:
        write_whole(path, f"{text}\n".encode())
    except OSError as error:
        raise UsageError(f"cannot write the lock {path}: {error.strerror or error}; choose another place with --lock") from None
    return lock


def read_lock(path: str | Path, root: str | Path | None = None) -> Lock:
    """The lock that a file holds; with `root`, a file inside that folder.

    Raises
    ------
    UsageError
        When there is no such file, it is no lock, or its hash does not match its content.
    """
    name, path = str(path), Path(path) if root is None else inside(Path(root), str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors put a mark in front
        document = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except OSError as error:
        raise UsageError(
            f"cannot read the lock {name}: {error.strerror or error}. Write it with `pipeval plan`, or take plan_lock out of params"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the lock {name} is not JSON: {error}. Restore the file as `pipeval plan` wrote it") from None
    try:
        lock = Lock.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise UsageError(
            f"the lock {name} is not as `pipeval plan` writes it: {where}: {first['msg']}. Restore the file, or lock anew"
        ) from None
    if lock_hash(document) != lock.sha256:
        raise UsageError(
            f"the lock {name} was changed after it was locked on {lock.locked_on}: its hash does not match its content. Restore "
            "the file; a change of plan is made in the params and is reported as a deviation, or is locked anew with "
            "`pipeval plan --force`, which leaves a trace"
        )
    return lock


def deviations(lock: Lock, study: Study, logframe: LogFrame) -> pd.DataFrame:
    """One row a decision that differs from the plan as locked; empty when none does.

    Returns
    -------
    DataFrame
        `section` (of the params, or logframe), `key` (the dotted path), `locked` and `used` (as text; missing where there was
        none), `kind` (added, removed, changed, target_changed), `affects`: estimates, verdicts, checks (of robustness) or
        programme (what is told of execution and money).

    Notes
    -----
    A key that the lock does not hold because the package did not know it that day is no departure while it stands at its default.
    """
    own = lock.studies.get(study.study)
    used, chosen = _decided(study, logframe), _decided(study, logframe, chosen=True)
    rows = []
    if own is None:
        for path in _OWN:
            _without(used, path)
        rows.append((("study",), None, study.study, "added"))
    before = _over(lock.decisions, own.decisions if own else {})
    rows += _differences(before, used, chosen)
    table = [
        {"section": path[0], "key": ".".join(path), "locked": _shown(a, kind == "added"), "used": _shown(b, kind == "removed")}
        | {"kind": kind, "affects": _affected(path)}
        for path, a, b, kind in rows
    ]
    return pd.DataFrame(table, columns=list(DEVIATIONS), dtype="str")


def plan_tables(study: Study, logframe: LogFrame) -> dict[str, pd.DataFrame]:
    """What a report says of the plan: `plan_status`, one row, and `deviations`, one row a decision that differs.

    `plan_status` holds `study`; `status` (kept, departed, no_lock); `timing`: what the files held on the day of locking
    (before_outcomes: nothing after the base year; early_outcomes: years after it, but not yet the reference year;
    after_outcomes: the reference year, so that it is no pre-analysis plan; not_known); `locked_on`; `sha256` (the first 12
    digits); `version` of the package; `latest_year` in the files of firms; `reference_year`; `n_deviations`, of them
    `n_estimates` that affect estimates.

    Raises
    ------
    UsageError
        When the params name a lock that cannot be read or was changed.
    """
    row = {"study": study.study, "status": "no_lock", "timing": "not_known", "locked_on": pd.NaT}
    row |= {"sha256": None, "version": None, "latest_year": float("nan"), "reference_year": study.treatment.reference_year}
    departures = pd.DataFrame(columns=list(DEVIATIONS), dtype="str")
    if study.plan_lock is not None:
        lock = read_lock(study.plan_lock, study.root)
        departures = deviations(lock, study, logframe)
        own = lock.studies.get(study.study)
        year = own.latest_year if own else None
        row |= {"status": "departed" if len(departures) else "kept", "timing": timing(year, study)}
        row |= {"locked_on": pd.Timestamp(lock.locked_on), "sha256": lock.sha256[:12], "version": lock.pipeval}
        row["latest_year"] = float("nan") if year is None else year
    row |= {"n_deviations": len(departures), "n_estimates": int((departures["affects"] == "estimates").sum())}
    kinds = {"locked_on": "datetime64[s]", "latest_year": float, "sha256": "str", "version": "str"}
    return {"plan_status": pd.DataFrame([row], columns=list(_STATUS)).astype(kinds), "deviations": departures}


def timing(latest_year: int | None, study: Study) -> str:
    """What was known when the plan was locked, from the last year that firms' files held that day."""
    if latest_year is None:
        return "not_known"
    if latest_year <= study.baseline.year:
        return "before_outcomes"
    return "early_outcomes" if latest_year < study.treatment.reference_year else "after_outcomes"


def _decided(study: Study, logframe: LogFrame, chosen: bool = False) -> dict[str, Any]:
    """The decisions as nested plain values; `chosen`: only those that are not at their default."""
    content = study.model_dump(mode="json", exclude=_NOT_DECISIONS, exclude_defaults=chosen)
    extra = {table: sorted(columns) for table, columns in study.data.extra.items()}
    if extra or not chosen:
        content.setdefault("data", {})["extra"] = extra
    content["outcomes"] = {o["id"]: {k: v for k, v in o.items() if k != "id"} for o in content["outcomes"]}
    content["first_outcome"] = study.outcomes[0].id
    rows = (i.model_dump(mode="json", by_alias=True, exclude=_NOT_PROMISES, exclude_defaults=chosen) for i in logframe.indicators)
    links = {f"{link.source} > {link.target}": sorted(link.activity_types) for link in logframe.links}
    content["logframe"] = {"id": logframe.id, "links": links} | {row.pop("id"): row for row in rows}
    return content


def _differences(before: dict, used: dict, chosen: dict, path: tuple[str, ...] = ()) -> Iterator[tuple]:
    for key in [*used, *sorted(k for k in before if k not in used)]:
        here, a, b = (*path, key), before.get(key), used.get(key)
        if key not in before:
            if key in chosen:
                yield here, None, b, "added"
        elif key not in used:
            yield here, a, None, "removed"
        elif isinstance(a, dict) and isinstance(b, dict):
            below = chosen.get(key)
            yield from _differences(a, b, below if isinstance(below, dict) else {}, here)
        elif a != b:
            yield here, a, b, "target_changed" if path[:1] == ("logframe",) and key == "target" else "changed"


def _affected(path: tuple[str, ...]) -> str:
    if path[0] in ("outcomes", "programme") and path[-1] in _AFFECTS_ALONE:
        return _AFFECTS_ALONE[path[-1]]
    return _AFFECTS.get(path[0], "programme")


def _shown(value: Any, absent: bool = False) -> str | None:
    if absent:
        return None
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(str(_shown(v)) for v in value) or "none"
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if v not in (None, [], {}, False, "")}
        return "; ".join(f"{k}: {_shown(v)}" for k, v in sorted(kept.items())) or "none"
    return str(value)


def _shared(decided: Sequence[dict]) -> dict:
    """What all hold alike, level by level."""
    first, *others = decided
    shared = {}
    for key, value in first.items():
        found = [d[key] for d in others if key in d]
        if len(found) < len(others):
            continue
        if all(isinstance(v, dict) for v in (value, *found)):
            shared[key] = _shared([value, *found])
        elif all(v == value for v in found):
            shared[key] = value
    return shared


def _beside(whole: dict, shared: dict) -> dict:
    """What of `whole` is not in `shared`, so that `_over(shared, _beside(whole, shared))` is `whole` again."""
    own = {}
    for key, value in whole.items():
        if key not in shared:
            own[key] = value
        elif isinstance(value, dict) and (below := _beside(value, shared[key])):
            own[key] = below
    return own


def _over(below: dict, above: dict) -> dict:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _over(merged[key], value) if both else value
    return merged


def _without(tree: dict, path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        tree = tree.get(key, {})
    tree.pop(path[-1], None)


def _rounded(value: Any) -> Any:
    """A cell as it is locked: plain, undefined as null, numbers to `DIGITS` significant digits."""
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return None
    if isinstance(value, str | bool):
        return value
    number = float(f"{float(value):.{DIGITS}g}")
    return int(number) if number.is_integer() else number


def _no_constant(name: str):
    raise ValueError(f"{name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping whose keys stand once: of a key written twice a reader may see the one that does not count."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} stands twice")
    return found
