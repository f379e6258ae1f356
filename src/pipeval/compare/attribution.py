"""How much of each change is due to data, decisions, code and versions.

One cause: all of the change is its. Several: the old study is run again with one of them exchanged at a time, and what is left
over is due to them together. Versions cannot be exchanged: theirs is what the old study gives today less what it gave, and every
exchange is then measured from what it gives today. Where both reports are of other versions than today's, both are run again.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from ..batch.inputs import Inputs
from ..report.bundle import Bundle, TableData
from ..report.versions import versions
from .again import TIMEOUT, Rerun, package, run_again
from .alone import OtherDue, others
from .causes import CAUSES, kinds, modules_moved, only_notebooks
from .difference import AXES, Moved, VerdictMoved, matched_rows, row_text, verdict_rows
from .exchange import Side, Unit, exchanged, units

EXCHANGEABLE = ("data", "decisions", "code")
"""Causes that can be exchanged; versions cannot."""


@dataclass(frozen=True, slots=True)
class NumberDue:
    """A number's change and its parts, which add up to it; a part is 0 for a cause that did not differ, None when not known."""

    table: str
    row: str
    column: str
    change: float
    data: float | None
    decisions: float | None
    code: float | None
    versions: float | None
    together: float | None


@dataclass(frozen=True, slots=True)
class VerdictDue:
    """A verdict that moved: what it becomes with one cause alone exchanged (None: not known, or not judged then).

    `due` names the causes that alone make it what it is now; empty when only `together` they do.
    """

    indicator: str
    axis: str
    data: str | None
    decisions: str | None
    code: str | None
    versions: str | None
    due: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EachDue:
    """One firm, file or key exchanged alone (`--each`).

    `cause` is `data` or `decisions`; `kind` is `firm`, `file` or `key`; `changes` has, number by number of `Attribution.numbers`,
    what this one alone moves (None: undefined); `verdicts` the same for `Attribution.verdicts`, what the verdict becomes;
    `message` says why it could not be run.
    """

    cause: str
    kind: str
    name: str
    changes: tuple[float | None, ...] = ()
    verdicts: tuple[str | None, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Why each number and verdict moved.

    Attributes
    ----------
    how : str
        `nothing` (nothing moved or no cause differs), `one` (all of it is the one cause's), `exchanged` (each cause exchanged
        alone), `missing` (see `messages`).
    causes : tuple of str
        The causes that differ.
    numbers, verdicts : tuples
        In the order of `Moved.numbers` (those of kind `number` with a change) and `Moved.verdicts`.
    others : tuple of OtherDue
        The other cells of `Moved.numbers`, and `Moved.rows`.
    each : tuple of EachDue
        With `--each`: firms, files and keys exchanged alone.
    each_remainder : tuple
        Of each number, its change less the sum over `each`.
    messages : tuple of str
        Exchanges that could not be run, and why; why the attribution is missing.
    """

    how: str = "nothing"
    causes: tuple[str, ...] = ()
    numbers: tuple[NumberDue, ...] = ()
    verdicts: tuple[VerdictDue, ...] = ()
    others: tuple[OtherDue, ...] = ()
    each: tuple[EachDue, ...] = ()
    each_remainder: tuple[float | None, ...] = ()
    messages: tuple[str, ...] = ()


def attribute(moved: Moved, old: Side, new: Side, place: Workplace, each: bool = False) -> tuple[Attribution, dict[str, Bundle]]:
    """Why the report moved: runs the old study again with one cause exchanged at a time, where more than one differs.

    Returns
    -------
    Attribution
        How much of each change is due to what.
    dict of str to Bundle
        What each cause alone makes of the old study, as far as it could be run; empty where nothing is to be attributed.

    Raises
    ------
    UsageError
        When `each` would exchange too many.
    DataError
        When a package that is needed is not kept.
    """
    targets = _targets(moved, old.bundle, new.bundle)
    causes = kinds(old.record, new.record)
    if not causes or moved.identical:
        return Attribution(causes=causes), {}
    pieces = units(old, new) if each else []
    runs = place.run(_plan(old, new, causes, pieces, place))
    failed = [f"{_NAMES[name]} cannot be run: {made}" for name, made in runs.items() if name in _NAMES and isinstance(made, str)]
    if isinstance(runs.get("base"), str):
        return Attribution("missing", causes, messages=tuple(failed)), {}
    base = runs.get("base", old.bundle)
    if len(causes) > 1 and "code" in causes and "code" not in runs and _same_modules(old, new):
        runs["code"] = base  # notebooks are not run by an exchange
    alone = _alone(causes, runs, base, new.bundle)
    numbers = _parts(targets, (old, new), causes, runs, alone, old.bundle if len(causes) == 1 else base)
    made = {cause: bundle for cause, bundle in alone.items() if not isinstance(bundle, str)}
    found = {cause: _verdicts(bundle) for cause, bundle in made.items()}
    shares = _each(pieces, runs, targets, moved, base, old.bundle)
    drifted = any(number.versions != 0 for number in numbers)
    why = Attribution(
        how="one" if len(causes) == 1 else "exchanged",
        causes=tuple(cause for cause in CAUSES if cause in causes or (cause == "versions" and drifted)),
        numbers=numbers,
        verdicts=tuple(_verdict_due(verdict, found) for verdict in moved.verdicts),
        others=others(moved, made),
        each=shares,
        each_remainder=_remainder(targets, shares),
        messages=(*failed, *_drift(old.record, new.record, runs)),
    )
    return why, made


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where and how studies are run again: a scratch folder, how many at a time, seconds each may take."""

    folder: Path
    jobs: int = 1
    timeout: float = TIMEOUT

    def run(self, work: dict[str, Rerun]) -> dict[str, Bundle | str]:
        """The bundle, or the message of its failure, of each."""
        return run_again(work, self.folder / "runs", self.jobs, self.timeout) if work else {}


_NAMES = {
    "base": "the old study as it was",
    "new": "the new study as it was",
    "data": "the old study with the new data",
    "decisions": "the old study with the new decisions",
    "code": "the old study with the new package",
}
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class _Target:
    """A number whose change is to be explained: where it stands in the old bundle, what it was and is."""

    table: str
    row: str
    column: str
    place: int
    old: float
    new: float


def today() -> dict[str, str]:
    """The versions that a study run now is made with."""
    return {"python": platform.python_version(), **versions()}


def _plan(old: Side, new: Side, causes: tuple[str, ...], pieces: list[Unit], place: Workplace) -> dict[str, Rerun]:
    """What has to be run: see the module."""
    if len(causes) == 1 and not pieces:
        return {}
    before = package(old.record.source, old.store, place.folder / "packages")
    mixes = {
        "data": lambda: Rerun(old.tree.params, new.tree.data, before),
        "decisions": lambda: Rerun(new.tree.params, old.tree.data, before),
        "code": lambda: Rerun(old.tree.params, old.tree.data, package(new.record.source, new.store, place.folder / "packages")),
    }
    exchangeable = [cause for cause in causes if cause in mixes]
    alike = "code" in causes and _same_modules(old, new)
    work = {}
    if old.record.versions != today() and (len(causes) > 1 or pieces):
        work["base"] = Rerun(old.tree.params, old.tree.data, before)
    if len(causes) > 1 and new.record.versions != today():
        after = package(new.record.source, new.store, place.folder / "packages")
        work["new"] = Rerun(new.tree.params, new.tree.data, after)
    if len(exchangeable) > 1:
        work |= {cause: mixes[cause]() for cause in exchangeable if not (cause == "code" and alike)}
    for number, piece in enumerate(pieces):
        tree = exchanged(piece, old, new, place.folder / f"piece{number}")
        work[f"piece{number}"] = Rerun(tree.params, tree.data, before)
    return work


def _same_modules(old: Side, new: Side) -> bool:
    """Whether of the package only notebooks differ, which an exchange does not run."""
    messages: list[str] = []
    modules, _ = modules_moved(old.record, new.record, (old.store, new.store), messages)
    return not messages and only_notebooks(modules)


def _targets(moved: Moved, old: Bundle, new: Bundle) -> list[_Target]:
    places: dict[str, dict[str, int]] = {}
    found = []
    for cell in moved.numbers:
        if cell.change is None:
            continue
        if cell.table not in places:
            pairs, _ = matched_rows(cell.table, old.tables[cell.table], new.tables[cell.table])
            places[cell.table] = {row_text(keys): i for keys, i, _ in pairs if i is not None}
        found.append(_Target(cell.table, cell.row, cell.column, places[cell.table][cell.row], float(cell.old), float(cell.new)))
    return found


def _values(targets: list[_Target], old: Bundle, other: Bundle) -> list[float | None]:
    """The numbers in another bundle, in the rows that match; None where there is none."""
    places: dict[str, dict[int, int]] = {}
    found = []
    for target in targets:
        table = other.tables.get(target.table, TableData(columns=[], rows=[]))
        if target.table not in places:
            pairs, _ = matched_rows(target.table, old.tables[target.table], table)
            places[target.table] = {i: j for _, i, j in pairs if i is not None and j is not None}
        row = places[target.table].get(target.place)
        value = table.rows[row][table.columns.index(target.column)] if row is not None and target.column in table.columns else None
        found.append(float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None)
    return found


def _alone(causes: tuple[str, ...], runs: dict, base: Bundle, new: Bundle) -> dict[str, Bundle | str]:
    """What each cause alone makes of the old study, or why it could not be run."""
    alone: dict[str, Bundle | str] = {cause: runs[cause] for cause in EXCHANGEABLE if cause in runs}
    rest = [cause for cause in causes if cause in EXCHANGEABLE and cause not in alone]
    if rest:  # the only one that can be exchanged: with it, the old study is the new one
        alone[rest[0]] = runs.get("new", new)
    if "versions" in causes:
        alone["versions"] = new if len(causes) == 1 else base
    return alone


def _parts(
    targets: list[_Target],
    sides: tuple[Side, Side],
    causes: tuple[str, ...],
    runs: dict,
    alone: dict[str, Bundle | str],
    base: Bundle,
) -> tuple[NumberDue, ...]:
    """The parts of each change."""
    old, new = sides
    columns = {cause: [0.0] * len(targets) for cause in CAUSES}
    begun = _values(targets, old.bundle, base)
    for cause, made in alone.items():
        if cause not in EXCHANGEABLE:
            continue
        there = [None] * len(targets) if isinstance(made, str) else _values(targets, old.bundle, made)
        columns[cause] = [_less(a, b) for a, b in zip(there, begun, strict=True)]
    if "versions" in causes or "new" in runs:
        columns["versions"] = _versions_part(targets, (old.bundle, new.bundle), begun, runs, len(causes) == 1)
    numbers = []
    for i, target in enumerate(targets):
        shares = {cause: columns[cause][i] for cause in CAUSES}
        numbers.append(
            NumberDue(target.table, target.row, target.column, target.new - target.old, **shares, together=_left(target, shares))
        )
    return tuple(numbers)


def _versions_part(
    targets: list[_Target], bundles: tuple[Bundle, Bundle], begun: list[float | None], runs: dict, only: bool
) -> list[float | None]:
    """What the old study gives today less what it gave, and what the new one gave less what it gives today."""
    if only:
        return [target.new - target.old for target in targets]
    first = [_less(value, target.old) for value, target in zip(begun, targets, strict=True)]
    if "new" not in runs:
        return first
    ended = [None] * len(targets) if isinstance(runs["new"], str) else _values(targets, bundles[0], runs["new"])
    second = [_less(target.new, value) for value, target in zip(ended, targets, strict=True)]
    return [_parted(target, a, b) for target, a, b in zip(targets, first, second, strict=True)]


def _parted(target: _Target, *shares: float | None) -> float | None:
    """The sum of shares of a change; nothing where that is rounding."""
    if None in shares:
        return None
    return 0.0 if abs(sum(shares)) <= _ROUNDING * max(abs(target.old), abs(target.new)) else sum(shares)


def _less(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _left(target: _Target, shares: dict[str, float | None]) -> float | None:
    """What the parts leave over; nothing where that is rounding."""
    return _parted(target, target.new - target.old, *(None if share is None else -share for share in shares.values()))


def _verdicts(bundle: Bundle) -> dict[tuple[str, str], str | None]:
    return {(row["id"], axis): row.get(axis) for row in verdict_rows(bundle) for axis in AXES}


def _verdict_due(verdict: VerdictMoved, found: dict[str, dict]) -> VerdictDue:
    made = {cause: found[cause].get((verdict.indicator, verdict.axis)) if cause in found else None for cause in CAUSES}
    due = tuple(cause for cause in CAUSES if cause in found and made[cause] == verdict.new)
    return VerdictDue(verdict.indicator, verdict.axis, **made, due=due)


def _each(pieces: list[Unit], runs: dict, targets: list[_Target], moved: Moved, base: Bundle, old: Bundle) -> tuple[EachDue, ...]:
    found = []
    begun = _values(targets, old, base)
    for number, piece in enumerate(pieces):
        made = runs[f"piece{number}"]
        if isinstance(made, str):
            found.append(EachDue(piece.cause, piece.kind, piece.name, message=made))
            continue
        changes = tuple(_less(a, b) for a, b in zip(_values(targets, old, made), begun, strict=True))
        said = _verdicts(made)
        found.append(
            EachDue(piece.cause, piece.kind, piece.name, changes, tuple(said.get((v.indicator, v.axis)) for v in moved.verdicts))
        )
    return tuple(found)


def _remainder(targets: list[_Target], shares: tuple[EachDue, ...]) -> tuple[float | None, ...]:
    """Each change less the sum of what each piece that could be run moves."""
    run = [share.changes for share in shares if not share.message]
    if not shares:
        return ()
    return tuple(_left(target, {str(n): changes[i] for n, changes in enumerate(run)}) for i, target in enumerate(targets))


def _drift(old: Inputs, new: Inputs, runs: dict) -> list[str]:
    if not runs or old.versions == today():
        return []
    if old.versions == new.versions:
        return ["both reports were made with other versions than today's, with which the exchanges were run"]
    return []
