"""How often the intervals, bands and tests of difference-in-differences hold what they claim: a section of docs/validation.md.

    python benchmarks/did_coverage.py --jobs 2 [--draws 1000] [--only staggered,lee] [--cache folder] [--no-page]

Panels are drawn directly from `did_worlds.py`, 200 to 500 firms over six years, and their true effects are known (`did_truths.py`);
`did_studies.py` says what is judged in each world. A draw has a seed of its own, so a number does not depend on the number of
jobs; finished chunks stay in the cache folder and a run that was cut off goes on where it stopped (empty the folder after a change
of code). `--as-is` draws nothing and makes the page from what the cache holds. A thousand draws take about 55 CPU minutes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from zlib import crc32

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from did_studies import STUDIES
from did_truths import LEVEL, SEED, Row
from scipy import stats

from pipeval.errors import PipevalWarning

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "validation.md"
BEGIN, END = "<!-- did_coverage: begin -->", "<!-- did_coverage: end -->"
CHUNK = 25  # draws of a job


def width(draws: int, nominal: float = LEVEL) -> float:
    """Three binomial standard errors."""
    return 3 * np.sqrt(nominal * (1 - nominal) / draws)


def accepted(kind: str, draws: int) -> tuple[float, float]:
    """The shares of hits that are inside, by kind.

    `exact`: 95 % in large samples; `least`: an interval that errs on the safe side; `size`: a test at 5 %; `most`: a test that errs
    on the safe side; `shown`: its assumption fails here, so any share is.
    """
    w = width(draws)
    low = {"exact": LEVEL - w, "least": LEVEL - w, "size": 1 - LEVEL - w}.get(kind, 0.0)
    high = {"exact": LEVEL + w, "size": 1 - LEVEL + w, "most": 1 - LEVEL + w}.get(kind, 1.0)
    return max(low, 0.0), min(high, 1.0)


def drawn(name: str, first: int, last: int) -> pd.DataFrame:
    """The rows of draws `first` to `last` of a study."""
    key = crc32(name.encode())  # of the name, so that another study moves no seed
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        for number in range(first, last):
            rng = np.random.default_rng(np.random.SeedSequence([SEED, key, number]))
            rows += [(number, *row) for row in STUDIES[name].draw(rng)]
    return pd.DataFrame(rows, columns=["draw", *Row._fields])


def chunk(job: tuple[str, int, int, str]) -> tuple[pd.DataFrame, float]:
    """A chunk from the cache, or drawn and put there whole; CPU seconds."""
    name, first, last, cache = job
    place = Path(cache) / f"{name}-{first:05d}-{last:05d}.csv"
    started = time.process_time()
    if not place.exists():
        table = drawn(name, first, last)
        table.to_csv(place.with_suffix(f".{os.getpid()}"), index=False)
        place.with_suffix(f".{os.getpid()}").replace(place)
    return pd.read_csv(place), time.process_time() - started


def coverage(names: list[str], draws: int, jobs: int, cache: Path) -> dict[str, pd.DataFrame]:
    """All draws of these studies, one table each."""
    cache.mkdir(parents=True, exist_ok=True)
    starts = range(0, draws, CHUNK)
    work = [(name, a, min(a + CHUNK, draws), str(cache)) for a in starts for name in names]
    found, seconds = {name: [] for name in names}, 0.0
    with ProcessPoolExecutor(jobs) as pool:
        for (name, _, last, _), (table, spent) in zip(work, pool.map(chunk, work), strict=True):
            found[name].append(table)
            seconds += spent
            if name == names[-1]:
                print(f"{last} draws of each design; {seconds:.0f} CPU seconds in this run", flush=True)
    return {name: pd.concat(tables, ignore_index=True) for name, tables in found.items()}


def cached(names: list[str], cache: Path) -> dict[str, pd.DataFrame]:
    """The chunks that the cache holds of each study, from its first draw on without a gap."""
    found = {}
    for name in names:
        tables, start = [], 0
        while places := sorted(cache.glob(f"{name}-{start:05d}-*.csv")):
            tables.append(pd.read_csv(places[-1]))
            start = int(places[-1].stem.rsplit("-", 1)[1])
        if tables:
            found[name] = pd.concat(tables, ignore_index=True)
    return found


def judged(rows: pd.DataFrame, draws: int) -> pd.DataFrame:
    """One row an estimator and inference: how often it hit, and whether that is inside the accepted band."""
    out = []
    for (estimator, inference, kind), part in rows.groupby(["estimator", "inference", "kind"], sort=False):
        known, own = part["hit"].dropna(), part["own"].dropna()
        low, high = accepted(kind, max(len(known), 1))
        share, mine = known.mean(), own.mean()
        inside = low <= share <= high and not (kind in ("exact", "least") and mine < LEVEL - width(max(len(own), 1)))
        out.append({
            "estimator": estimator, "inference": inference, "draws": len(known), "failed": draws - len(known),
            "bias": part["deviation"].mean(), "sd": part["deviation"].std(), "mean se": part["std_error"].mean(),
            "share": share, "own": mine, "low": low, "high": high,
            "verdict": "shown" if kind == "shown" else "inside" if inside else "outside", "kind": kind,
        })  # fmt: skip
    return pd.DataFrame(out)


# --- the page ----------------------------------------------------------------------------------------------------------

FEW_BAND = (
    "rows that rest on one cohort have four or five treated clusters, on whose variance not even t(3) is quite right"
)
TWO_WAY = "the critical value takes a variance as known that rests on few clusters each way"
SMALL = (
    "a cohort has about fifty firms, and the variance of several rows together, estimated on so few, is too small; with four times "
    "as many firms the test of cells before entry rejects in 5 %"
)
LAST_TIME = (
    "a quarter of it is the last time since entry, one cohort of some thirty firms still answering, and errors on so few are 7 % too "
    "small; with four times as many firms intervals hold in .947 to .957 of 1,000 draws"
)
OWN = "too long: firms' effects differ, which counts as noise, while the truth is that of these very firms"
REASONS: list[tuple[str, str, str]] = [
    ("few_", "band by event time", FEW_BAND),
    (
        "few_",
        "CR1, Satterthwaite",
        "residuals of few treated clusters of unequal size are too small, and CR1 leaves them so: see CR2",
    ),
    ("few_", "CR1, t(G − 1), single", "clusters of 3 to 22 firms: the largest decide, so that fewer count than there are"),
    ("few_8_00", "CR2", OWN),
    ("few_16_00", "CR2", OWN),
    ("few_", "CR2", "clusters of 3 to 22 firms: the correction takes errors within a cluster as independent, which they are not"),
    ("few_", "wild", "clusters of 3 to 22 firms, five to a cohort: the largest decide, so that fewer count than there are"),
    ("two_way", "band", TWO_WAY),
    ("two_way", "pre-trend", TWO_WAY),
    (
        "dealt_labels",
        "labels",
        "a dealt cluster holds firms that share nothing, while those of a true one do: the test is not exact",
    ),
    ("staggered", "band by", SMALL),
    ("staggered", "mean over event times", LAST_TIME),
    ("staggered", "pre-trend", SMALL),
    ("unconditional", "band by", SMALL),
    (
        "lagged_level",
        "ANCOVA, dr",
        "selection is strong, so that few comparison firms carry the weight of the odds: errors 2 % too small",
    ),
    (
        "honest_16",
        "smoothness",
        "rows of one cohort rest on five clusters, and the interval's weights are chosen by their variance",
    ),
    ("outliers", "median", "the kernel behind the density of errors is wide, so the density is too low and the interval too long"),
]
"""Why a row may be outside: start of the study's key, words of estimator and inference, the reason. The first that fits counts."""


def reason(study: str, estimator: str, inference: str) -> str:
    """Why this row may be outside; empty where nothing is known of it."""
    words = f"{estimator}, {inference}"
    return next((why for start, part, why in REASONS if study.startswith(start) and part in words), "")


HEAD = """## Estimators and inference: coverage

Made by `python benchmarks/did_coverage.py --jobs 2` ({draws} draws of each design). Panels of 200 to 500 firms over six years,
drawn afresh each time (`benchmarks/did_worlds.py`): three cohorts, later entrants and firms that never enter; effects that differ
by cohort, by years since entry and by firm; errors of a firm effect and an AR(1) of .6.

`share` is the share of draws in which a 95 % interval holds the truth of the population drawn from, a band all of its path, or in
which a 5 % test rejects a true null. `own firms` is the share in which the interval holds the mean effect of exactly the treated
firms that the estimate describes; as intervals also allow for other firms, it may be larger but not smaller. `accepted` is 95 %
(5 % for tests) and three binomial standard errors, at one end only for methods that err on the safe side; `shown` are methods
whose assumption fails in that design, to show what then happens. `failed` counts draws in which the estimator refused. Bands and
step-downs have 399 multiplier draws here (999 in the report), the wild bootstrap and randomisation 199 (9,999 and 999).
Rows of a design see the same draws, so their deviations move together; of {rows} rows that are right, chance alone puts
{chance:.1f} outside.
"""


def numbered(value: float, digits: int = 3) -> str:
    return "–" if not np.isfinite(value) else f"{value:.{digits}f}"


def table_of(rows: pd.DataFrame) -> str:
    head = "| estimator | inference | draws | failed | bias | sd | mean se | share | own firms | accepted | verdict |"
    lines = [head, "|---|---|" + "---:|" * 7 + "---|---|"]
    for _, r in rows.iterrows():
        band = "–" if r["kind"] == "shown" else f"{r['low']:.3f}–{r['high']:.3f}"
        numbers = " | ".join(numbered(r[c]) for c in ("bias", "sd", "mean se", "share", "own"))
        lines.append(
            f"| {r['estimator']} | {r['inference']} | {r['draws']} | {r['failed']} | {numbers} | {band} | {r['verdict']} |"
        )
    return "\n".join(lines)


def page(found: dict[str, pd.DataFrame]) -> str:
    """The section, and below each table a sentence for every row that is outside."""
    parts, tables = [], {name: judged(rows, int(rows["draw"].max()) + 1) for name, rows in found.items()}
    counts = sorted({int(rows["draw"].max()) + 1 for rows in found.values()})
    draws = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    every = pd.concat(tables.values())
    counted = every["verdict"].value_counts()
    judged_rows = len(every) - counted.get("shown", 0)
    parts.append(HEAD.format(draws=draws, rows=judged_rows, chance=judged_rows * 2 * stats.norm.sf(3)))
    number = {verdict: counted.get(verdict, 0) for verdict in ("inside", "outside", "shown")}
    parts += [f"{len(every)} rows: " + ", ".join(f"{n} {verdict}" for verdict, n in number.items()) + ".", ""]
    for name, table in tables.items():
        parts += [f"### {STUDIES[name].title}", "", table_of(table), ""]
        for _, r in table[table["verdict"] == "outside"].iterrows():
            why = reason(name, r["estimator"], r["inference"]) or "no reason found yet"
            parts += [f"* *{r['estimator']}, {r['inference']}* ({r['share']:.3f}): {why}.", ""]
    return "\n".join(parts).rstrip() + "\n"


def written(section: str) -> None:
    """Put the section between its markers in the page, at the end when it is not there yet."""
    text = PAGE.read_text(encoding="utf-8")
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n{BEGIN}\n{END}\n"
    before, rest = text.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{section}{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default=",".join(STUDIES), help="studies, separated by commas")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "pipeval-did-coverage")
    parser.add_argument("--as-is", action="store_true", help="draw nothing: what the cache holds")
    parser.add_argument("--no-page", action="store_true", help="print, and leave the page as it is")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    found = cached(names, arguments.cache) if arguments.as_is else coverage(names, arguments.draws, arguments.jobs, arguments.cache)
    section = page(found)
    print(section)
    if not arguments.no_page:
        written(section)


if __name__ == "__main__":
    main()
