"""Failures that are over although no report took their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import PipevalError
from ..study.params import study_paths
from .jobs import Job


def outlived(
    records: Iterable[Mapping[str, Any]], jobs: Sequence[Job], failing: Iterable[str], standing: Iterable[str]
) -> list[str]:
    """Studies of which a failure is recorded that says nothing any more.

    Either the report stands, as after a run that was only asked for failed and the next one found nothing to do; or its params file
    could not be read, and now can be: the study may be called otherwise than the file, after which the failure was called.

    Parameters
    ----------
    records : iterable of dict
        The `run.json` of reports and failures.
    jobs : sequence of Job
        What this batch read.
    failing, standing : iterable of str
        Studies that failed in this batch, and those whose report stands at its end.
    """
    failing, standing = set(failing), set(standing)
    failures = [r for r in records if r.get("status") == "failed" and r["study"] not in failing]
    return [r["study"] for r in failures if r["study"] in standing or (r.get("key") is None and _reads(str(r.get("params")), jobs))]


def _reads(params: str, jobs: Sequence[Job]) -> bool:
    """Whether the file that could not be read was read in this batch, or describes no study of that name any more."""
    file, _, name = params.partition("::")
    for job in jobs:
        own, _, called = job.params.partition("::")
        if job.study is None or Path(own).name != file:
            continue
        if name in ("", called):
            return True
        try:
            return f"{own}::{name}" not in study_paths(own)
        except PipevalError:
            return False
    return False
