"""What can go wrong, said so that the reader knows what to do next.

Three errors, one for each cause: the files (`DataError`), the design (`DesignError`), the numbers (`EstimationError`), and
`UsageError` for a command or params file that asks for something that does not exist. A `Note` is a result that stays valid but
needs reading: it is raised as a warning where it arises and printed, translated, in the report.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class PipevalError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns for it."""

    exit_code = 1


class UsageError(PipevalError):
    """The command or the params file asks for something that does not exist."""

    exit_code = 2


class DataError(PipevalError):
    """The files break a rule of the data contract; `faults`, when set, lists every fault."""

    exit_code = 10

    def __init__(self, message: str, faults=None):
        super().__init__(message)
        self.faults = faults


class DesignError(PipevalError):
    """The study cannot be estimated as specified."""

    exit_code = 11


class EstimationError(PipevalError):
    """The numbers failed: a singular cell, separation, no convergence."""

    exit_code = 12


class PipevalWarning(UserWarning):
    """The category of every warning this package raises; `note` is what it says."""

    def __init__(self, note: Note):
        super().__init__(str(note))
        self.note = note


@dataclass(frozen=True, slots=True)
class Note:
    """A remark on a valid result.

    `key` names the remark for translation, `text` is its English template and `values` what fills it.

    >>> str(Note("few_clusters", "only {n} clusters", {"n": 3}))
    'only 3 clusters'
    """

    key: str
    text: str
    values: dict = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text.format(**self.values)


def warn(note: Note) -> Note:
    """Raise `note` as a `PipevalWarning` and hand it back, to be kept with the result."""
    warnings.warn(PipevalWarning(note), stacklevel=3)
    return note


@contextmanager
def collected() -> Iterator[list[Note]]:
    """A list that receives, once each, the notes raised inside the block; they are not shown as warnings there.

    >>> with collected() as notes:
    ...     _ = warn(Note("few_clusters", "only {n} clusters", {"n": 3}))
    >>> notes[0].key
    'few_clusters'
    """
    notes: list[Note] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notes
    for warning in caught:
        note = getattr(warning.message, "note", None)
        if note is None:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        elif note not in notes:
            notes.append(note)


def some(ids: Iterable, what: str = "firm") -> str:
    """A count and at most five ids, the way every message names culprits.

    >>> some(["F1", "F2"])
    '2 firms (F1, F2)'
    >>> some(range(7), "row")
    '7 rows (0, 1, 2, 3, 4, …)'
    """
    ids = list(ids)
    shown = ", ".join(str(i) for i in ids[:5]) + (", …" if len(ids) > 5 else "")
    return f"{counted(len(ids), what)} ({shown})"


def counted(count: int, what: str) -> str:
    """A number and its noun.

    >>> counted(1, "query"), counted(2, "query"), counted(0, "fault")
    ('1 query', '2 queries', '0 faults')
    """
    plural = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"{count} {what if count == 1 else plural}"
