"""Wall time and peak memory of the main job: `python benchmarks/main_job.py [params/…yaml …]` (Unix)."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    params = sys.argv[1:] or [str(ROOT / "params" / "guanajuato_final.yaml")]
    for path in params:
        with tempfile.TemporaryDirectory() as out:
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "pipeval", "run", path, "--out", out], check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{Path(path).stem}: {seconds:.1f} s, peak memory of the largest process {peak:.0f} MB")


if __name__ == "__main__":
    main()
