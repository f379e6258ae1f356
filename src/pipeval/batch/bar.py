"""A progress bar over all studies with the time that is left, on a terminal only."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping

_WIDTH = 30


def time_left(share: Mapping[str, float], expected: Mapping[str, float], passed: float, jobs: int) -> float | None:
    """Seconds until all studies are done; None while nothing tells.

    Parameters
    ----------
    share : mapping
        Study → share of it that is done.
    expected : mapping
        Study → seconds it took last time, of those that were run before; the others are taken for the mean of these.
    passed : float
        Seconds since the start; what is done so far tells the pace when no study was run before.
    jobs : int
        Studies at the same time.

    Examples
    --------
    >>> time_left({"a": 1.0, "b": 0.5, "c": 0.0}, {"a": 10, "b": 20}, 15, 1)
    25.0
    >>> time_left({"a": 0.25, "b": 0.25}, {}, 30, 2)
    90.0
    """
    if expected:
        mean = sum(expected.values()) / len(expected)
        left = {name: expected.get(name, mean) * (1 - done) for name, done in share.items()}
        return max(max(left.values(), default=0.0), sum(left.values()) / jobs)
    total = sum(share.values()) / len(share) if share else 1.0
    return passed * (1 - total) / total if total else None


class Bar:
    """What is written over and over on the terminal while studies run.

    Parameters
    ----------
    expected : mapping
        Study → seconds it took last time, or None.
    jobs : int
        Studies at the same time.
    """

    def __init__(self, expected: Mapping[str, float | None], jobs: int):
        self._share = dict.fromkeys(expected, 0.0)
        self._expected = {name: seconds for name, seconds in expected.items() if seconds}
        self._jobs, self._live, self._lock = jobs, sys.stderr.isatty(), threading.Lock()
        self._started = time.monotonic()

    def tick(self, name: str, share: float) -> None:
        """Say that this share of a study is done."""
        with self._lock:
            self._share[name] = share
            if self._live and self._share:
                sys.stderr.write(f"\r{self.line(time.monotonic() - self._started)}\x1b[K")
                sys.stderr.flush()

    def line(self, passed: float) -> str:
        """The bar as it stands, so many seconds after the start."""
        total = sum(self._share.values()) / len(self._share)
        width = int(_WIDTH * total)
        done = sum(share == 1.0 for share in self._share.values())
        left = time_left(self._share, self._expected, passed, self._jobs)
        told = "" if left is None or total == 1.0 else f", about {_duration(left)} left"
        return f"[{'█' * width}{'·' * (_WIDTH - width)}] {total:4.0%}  {done}/{len(self._share)} studies{told}"

    def close(self) -> None:
        """Leave the line."""
        if self._live and self._share:
            sys.stderr.write("\n")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(1, round(seconds))} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
