"""A whole run where no network is: `pipeval run` of the small study in a network namespace with nothing but loopback.

Run from the repository root: `python benchmarks/hardening/network.py`. Needs Linux and the right to make a network namespace
(`unshare -rn`, or root); where the machine forbids it, that is said and the exit code is 2. Kernels talk over
loopback, which stays.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from small_study import base_files, written

_PROBE = "import socket; s = socket.socket(); s.settimeout(3); s.connect(('192.0.2.1', 80))"


def namespace() -> list[str]:
    """The command that runs a shell line without a network; empty when this machine allows none."""
    for way in (["unshare", "-rn"], ["unshare", "-n"]):
        command = [*way, "sh", "-c"]
        if (
            shutil.which("unshare")
            and subprocess.run([*command, "ip link set lo up"], capture_output=True, check=False).returncode == 0
        ):
            return command
    return []


def main() -> int:
    """Run, and say what came of it: 0 when the report is whole and nothing could be reached."""
    command = namespace()
    if not command:
        print("this machine allows no network namespace; nothing was tried")
        return 2
    python = shlex.quote(sys.executable)
    with tempfile.TemporaryDirectory() as scratch:
        params, out = written(base_files(), Path(scratch) / "study"), Path(scratch) / "reports"
        reached = f"{python} -c {shlex.quote(_PROBE)} 2>/dev/null && echo REACHED"
        line = f"ip link set lo up; {reached}; {python} -m pipeval run {params} --out {out}"
        done = subprocess.run([*command, line], capture_output=True, text=True, check=False)
        print(done.stdout + done.stderr)
        papers = sorted(p.name for p in (out / "small").glob("*.*")) if (out / "small").is_dir() else []
    whole = done.returncode == 0 and "REACHED" not in done.stdout and "report.en.pdf" in papers
    print(f"exit code {done.returncode}; {'' if whole else 'NOT '}whole: {', '.join(papers)}")
    return int(not whole)


if __name__ == "__main__":
    sys.exit(main())
