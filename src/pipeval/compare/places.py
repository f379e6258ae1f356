"""Messages without the places of the machine: a comparison is sent to others, and says nothing of where its files lay."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .attribution import Attribution
from .causes import Causes

if TYPE_CHECKING:
    from .run import Comparison

# What is left when the known folders are out: an absolute path of any other folder, told by its last part.
_POSIX = re.compile(r"(?<![\w.:/\\-])(?:file://)?/(?:[^\s/'\"`:;,()<>|]+/)*(?=[^\s/])")
_WINDOWS = re.compile(r"(?<![\w/\\])(?:[A-Za-z]:|\\\\[^\s\\/]+)[\\/]+(?:[^\s\\/'\"`:;,()<>|]+[\\/]+)*")


def without_places(comparison: Comparison, folders: Iterable[Path]) -> Comparison:
    """The comparison with every path in its messages told from one of these folders, or by its last part if it lies elsewhere."""
    roots = _written(folders)

    def told(messages: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(plain(one, roots) for one in messages)

    why: Attribution = comparison.attribution
    each = tuple(replace(one, message=plain(one.message, roots)) for one in why.each)
    causes: Causes | None = comparison.causes
    return replace(
        comparison,
        messages=told(comparison.messages),
        attribution=replace(why, messages=told(why.messages), each=each),
        causes=causes and replace(causes, messages=told(causes.messages)),
    )


def plain(message: str, roots: Iterable[str]) -> str:
    r"""A message in which nothing says where a file lay.

    >>> plain("/srv/ana maria/reports/small holds no inputs.json; see /usr/lib/python3/csv.py", ["/srv/ana maria/reports"])
    'small holds no inputs.json; see csv.py'
    >>> plain(r"cannot read D:\Ana\data\survey.csv", [])
    'cannot read survey.csv'
    """
    for one in roots:
        for form in (one, one.replace("\\", "\\\\")):
            for mark in {os.sep, "/", "\\\\", "\\"}:
                message = message.replace(form + mark, "")
            message = re.sub(re.escape(form) + r"(?![\w.-])", ".", message)
    return _WINDOWS.sub("", _POSIX.sub("", message))


def _written(folders: Iterable[Path]) -> list[str]:
    """Every way in which the folders are written, the longest first."""
    forms = {str(form) for one in folders for form in (one.absolute(), one.resolve()) if len(form.parts) > 1}
    return sorted(forms, key=lambda form: (-len(form), form))
