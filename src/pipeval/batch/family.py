"""A process and all that it started, on systems that keep families of processes in different ways."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import Any

_NEW_GROUP = 0x00000200  # CREATE_NEW_PROCESS_GROUP, which `subprocess` names on Windows only
_PATIENCE = 10  # seconds in which Windows ends a family


def apart(system: str = os.name) -> dict[str, Any]:
    """Options of `Popen` for a process that Ctrl-C at the terminal does not reach: its parent decides when it ends.

    >>> apart("posix"), apart("nt")
    ({'start_new_session': True}, {'creationflags': 512})
    """
    return {"creationflags": _NEW_GROUP} if system == "nt" else {"start_new_session": True}


def end_family(process: int, system: str = os.name) -> None:
    """End a process, by its id, and all that it started, where the system can: on Windows, while the process still runs.

    Elsewhere the kernel of a notebook leads a session of its own, and its parent ends it (`child`).
    """
    if system == "nt":
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(["taskkill", "/T", "/F", "/PID", str(process)], capture_output=True, timeout=_PATIENCE, check=False)
