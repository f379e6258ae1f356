"""How often the intervals, bands and tests of difference-in-differences hold what they claim: a section of docs/validation.md.

    python benchmarks/did_coverage.py --jobs 2 [--draws 1000] [--only staggered,lee] [--cache folder] [--no-page]

Panels are drawn directly from `did_worlds.py`, 300 to 500 firms over six years, and their true effects are known. A draw has a seed of its
own, so a number does not depend on the number of jobs; finished chunks stay in the cache folder and a run that was cut off goes on where
it stopped (empty the folder after a change of code). A row of the page is an estimator with one way to say how uncertain it is.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import did_worlds as worlds
import numpy as np
import pandas as pd
from did_worlds import LAST, World

from pipeval import DidSpec, aggregate, att_gt
from pipeval.did.attrition import response_weights, weighted_effect
from pipeval.did.bounds import lee_table
from pipeval.did.counts import net_count
from pipeval.did.dose import dose_slope, dose_trend
from pipeval.did.effects import Effects, joined
from pipeval.did.few_clusters import few_clusters_table
from pipeval.did.honest import honest_table
from pipeval.did.imputation import imputation_leads
from pipeval.did.inference import pretrend_test
from pipeval.did.margins import margin_effects
from pipeval.did.multiple import holm, romano_wolf, ruled_out, summary_index
from pipeval.did.poisson import poisson_att
from pipeval.did.pretrend_power import detrended
from pipeval.did.randomisation import randomisation_test
from pipeval.did.ratios import ratio_effects, share_table
from pipeval.did.subgroups import difference_table, equality_test, spillover_effects, subgroup_effects
from pipeval.errors import DesignError, EstimationError, PipevalWarning, warn_none
from pipeval.robustness.outliers import outlier_rows
from pipeval.study.specs import Outcome

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "validation.md"
BEGIN, END = "<!-- did_coverage: begin -->", "<!-- did_coverage: end -->"
SEED, CHUNK, LEVEL, MANY = 20031121, 25, 0.95, 200_000
