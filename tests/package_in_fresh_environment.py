"""Prove a package where nothing of this tree is: a new virtual environment, its two lines of instructions, the comparison.

    python tests/package_in_fresh_environment.py reports/guanajuato_baseline
    python tests/package_in_fresh_environment.py guanajuato_baseline_package     (a package that is there already)

Installs the pinned packages with pip, so it takes minutes and needs wherever pip finds packages. The exit code is that of `run.py`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of a report, or of a package")
    parser.add_argument("--fast", action="store_true", help="without the papers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "package"
        shutil.copytree(_package_of(arguments.folder, Path(scratch)), place)
        environment = Path(scratch) / "environment"
        venv.create(environment, with_pip=True)
        python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
        wheel = next((place / "software").glob("*.whl"))
        lines = [
            ["-m", "pip", "install", "--quiet", "-r", "requirements.txt", str(wheel)],
            ["run.py", *["--fast"] * arguments.fast],
        ]
        for line in lines:
            started = time.monotonic()
            code = subprocess.run([str(python), *line], cwd=place, env=clean, check=False).returncode
            print(f"{' '.join(line)}: exit code {code}, {time.monotonic() - started:.0f} s", flush=True)
            if code:
                return code
    return 0


def _package_of(folder: Path, scratch: Path) -> Path:
    if (folder / "manifest.sha256").is_file():
        return folder
    from pipeval.release.package import package

    return package(folder, scratch / "made").place


if __name__ == "__main__":
    sys.exit(main())
