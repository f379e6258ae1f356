"""Compare two reports, or a report with what its kept inputs give again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..batch.inputs import Inputs, Store, package_root, read_inputs, store_of
from ..batch.shelf import RUN
from ..errors import DataError, PipevalError
from ..report.bundle import Bundle, read_bundle
from ..report.text import read_text
from ..study.files import write_whole
from .again import TIMEOUT, Rerun, laid_out, package
from .alone import SentenceMoved, sentences_due
from .attribution import Attribution, Workplace, attribute, today
from .causes import Causes, causes, kinds
from .difference import Moved, moved
from .exchange import Side
from .places import without_places

RESULT = "compare.json"
"""The comparison's file."""

SCHEMA_VERSION = "1.0"

NOT_REPRODUCED = 13
"""Exit code: a report made again from its kept inputs is not the same."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which report: the name of its `folder`, the `key` of its inputs, when it was `made` (both empty when not recorded)."""

    study: str
    stage: str
    as_of: str
    pipeval: str
    folder: str
    key: str
    made: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two reports beside each other; `again` when the new one is the old one run again from its kept inputs.

    Attributes
    ----------
    old, new : Identity
        Which reports.
    again : bool
        Whether the old report was run again; `reproduced` then says whether it gave the same (None otherwise).
    same_inputs : bool or None
        Whether both were made from equal inputs; None when one has no record of them.
    moved : Moved
        What moved.
    causes : Causes or None
        What differs between their inputs; None when one has no record, see `messages`.
    attribution : Attribution
        How much of each change is due to what.
    messages : tuple of str
        Everything to be told beside: another study, lost inputs.
    sentences : dict of str to tuple of SentenceMoved
        By language, the sentences of the reports that read otherwise.
    """

    old: Identity
    new: Identity
    again: bool
    reproduced: bool | None
    same_inputs: bool | None
    moved: Moved
    causes: Causes | None
    attribution: Attribution
    messages: tuple[str, ...] = ()
    sentences: dict[str, tuple[SentenceMoved, ...]] = field(default_factory=dict)


def compare(
    old: str | Path, new: str | Path | None = None, *, out: str | Path, languages: Sequence[str] = (), each: bool = False,
    jobs: int = 1, timeout: float = TIMEOUT,
) -> Comparison:  # fmt: skip
    """Compare two reports, write `compare.json` and its papers into `out`, and return the comparison.

    Without `new`, the old report is run again from its kept inputs, with the package it was made with, and compared with itself.

    Parameters
    ----------
    old, new : path
        Folders of reports.
    out : path
        Where the comparison is written.
    languages : sequence of str
        Of the papers; by default those of the newer report.
    each : bool
        Whether each firm, file and key that differs is also exchanged alone.
    jobs, timeout
        Studies run again at the same time, and the seconds that each may take.

    Raises
    ------
    DataError
        When a folder holds no report, or a report to be run again has no record of its inputs.
    UsageError
        When `each` would exchange too many.
    PipevalError
        When the papers cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="pipeval-") as scratch:
        place = Workplace(Path(scratch), jobs, timeout)
        if new is None:
            made, bundles, alone = _again(Path(old), place)
        else:
            made, bundles, alone = _two(Path(old), Path(new), place, each)
    reports = [Path(one) for one in (old, new) if one is not None]
    places = [place.folder, *(folder.parent for folder in reports), *(store_of(folder).folder for folder in reports), Path.home()]
    made = without_places(made, [*places, package_root()])
    made, folder = replace(made, sentences=_sentences(bundles, alone, languages)), Path(out)
    try:
        write_whole(folder / RESULT, as_json(made))
    except OSError as error:
        raise PipevalError(f"cannot write to {folder}: {error.strerror or error}; choose another folder with --out") from None
    from .paper import write_papers

    write_papers(made, *bundles, folder, tuple(made.sentences))
    return made


def _sentences(
    bundles: tuple[Bundle, Bundle], alone: dict[str, Bundle], languages: Sequence[str]
) -> dict[str, tuple[SentenceMoved, ...]]:
    """The sentences that moved, by language; none where nothing but provenance differs."""
    report, found = bundles[1].study.get("report", {}), {}
    same = all(getattr(bundles[0], part) == getattr(bundles[1], part) for part in ("study", "tables", "notes"))
    for language in languages or report.get("languages", ["es", "en"]):
        text = read_text(language, report.get("locales", {}).get(language, ""))
        found[language] = () if same else sentences_due(*bundles, text, alone)
    return found


def as_json(comparison: Comparison) -> bytes:
    """The comparison as `compare.json` holds it; the same comparison gives the same bytes."""
    content = {"schema_version": SCHEMA_VERSION, **asdict(comparison)}
    return (json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, default=str) + "\n").encode()


_Made = tuple[Comparison, tuple[Bundle, Bundle], dict[str, Bundle]]
"""A comparison, its two bundles, and what each cause alone makes of the old one."""


def _two(old: Path, new: Path, place: Workplace, each: bool) -> _Made:
    bundles = read_bundle(old), read_bundle(new)
    found = moved(*bundles)
    messages = _different(*bundles)
    records = []
    for folder in (old, new):
        try:
            records.append(read_inputs(folder))
        except DataError as error:
            messages.append(str(error))
            records.append(None)
    identities = [_identity(*parts) for parts in zip((old, new), bundles, records, strict=True)]
    if None in records:
        why = Attribution(
            "missing" if found.numbers or found.verdicts else "nothing", messages=tuple(messages[-records.count(None) :])
        )
        return Comparison(*identities, False, None, None, found, None, why, tuple(messages)), bundles, {}
    places = store_of(old).folder, store_of(new).folder
    stores = Store(places[0], places[1]), Store(places[1], places[0])  # a copy of a report may lie far from what it was made from
    trees = []
    for name, record, store in zip(("old", "new"), records, stores, strict=True):
        try:
            trees.append(laid_out(record, store, place.folder / name))
        except PipevalError as error:
            trees.append(None)
            messages.append(f"the inputs of {record.study}: {error}")
    reasons = causes(*records, stores, None if None in trees else tuple(trees))
    same = records[0].key == records[1].key
    if same and not found.identical:
        messages.append("the inputs are equal and the results are not: run either report again alone (`pipeval compare OLD`)")
    sides = [Side(*parts) for parts in zip(bundles, records, stores, trees, strict=True)]
    why, alone = _attributed(found, sides, place, each)
    return Comparison(*identities, False, None, same, found, reasons, why, tuple(messages)), bundles, alone


def _attributed(found: Moved, sides: list[Side], place: Workplace, each: bool) -> tuple[Attribution, dict[str, Bundle]]:
    there = kinds(sides[0].record, sides[1].record)
    if None in (sides[0].tree, sides[1].tree) and (len(there) > 1 or each):
        lost = "the kept inputs of a report are lost, so that nothing can be exchanged"
        return Attribution("missing", there, messages=(lost,)), {}
    try:
        return attribute(found, *sides, place, each)
    except DataError as error:
        return Attribution("missing", there, messages=(str(error),)), {}


def _again(old: Path, place: Workplace) -> _Made:
    """The old report beside what its kept inputs give today; only versions may differ."""
    bundle, record, store = read_bundle(old), read_inputs(old), store_of(old)
    tree = laid_out(record, store, place.folder / "old")
    source = package(record.source, store, place.folder / "packages")
    made = place.run({"again": Rerun(tree.params, tree.data, source)})["again"]
    now = replace(record, versions=today())
    reasons = causes(record, now, (store, store), (tree, tree))
    identity = _identity(old, bundle, record)
    if isinstance(made, str):
        why = Attribution("missing", reasons.kinds, messages=(made,))
        said = (f"not run again: {made}",)
        return Comparison(identity, identity, True, None, None, Moved(), reasons, why, said), (bundle, bundle), {}
    found = moved(bundle, made)
    why, alone = _attributed(found, [Side(bundle, record, store, tree), Side(made, now, store, tree)], place, False)
    messages = []
    if not found.identical and not reasons.kinds:
        messages.append(
            "the versions are those of then and the results are not: another machine, or the report was changed by hand"
        )
    again = _identity(old, made, now, again=True)
    told = tuple(messages)
    both = Comparison(identity, again, True, found.identical, now.key == record.key, found, reasons, why, told)
    return both, (bundle, made), alone


def _different(old: Bundle, new: Bundle) -> list[str]:
    """What is to be said when two different studies are compared."""
    told = []
    for key in ("study", "stage"):
        before, after = old.study.get(key), new.study.get(key)
        if before != after:
            told.append(f"these are two different {'studies' if key == 'study' else 'stages'}: {before} and {after}")
    return told


def _identity(folder: Path, bundle: Bundle, record: Inputs | None, again: bool = False) -> Identity:
    study, version = bundle.study, bundle.provenance.get("pipeval", "")
    said = (str(study.get(key, "")) for key in ("study", "stage", "as_of"))
    made = "" if again else _finished(Path(folder))
    return Identity(*said, str(version), Path(folder).resolve().name, record.key if record else "", made)


def _finished(folder: Path) -> str:
    """When the batch finished a report; empty where no record says so."""
    try:
        return str(json.loads((folder / RUN).read_bytes())["finished"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
