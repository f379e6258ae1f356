"""The process of one notebook: papermill's own command, which ends, with its kernel, when its standard input does.

However a batch ends, the operating system closes its end of the pipe; nothing that it started stays behind.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

from .family import end_family


def main() -> None:
    """Run papermill with the arguments given, watching standard input."""
    threading.Thread(target=_watch, daemon=True).start()
    from papermill.__main__ import papermill

    sys.argv[0] = "papermill"
    papermill()


def _watch() -> None:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    try:
        import psutil  # comes with the kernel

        for process in psutil.Process().children(recursive=True):
            process.kill()
    except ImportError:
        end_family(os.getpid())
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
