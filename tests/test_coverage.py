"""The evaluation evaluated: coverage, bias and false alarms over a thousand made programmes (slow)."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval import read_study
from pipeval.data.sample import Knobs
from pipeval.robustness.recovery import recover, summary

ROOT = Path(__file__).resolve().parents[1]
DRAWS = 1000


def _study():
    study = read_study(ROOT / "params" / "guanajuato_final.yaml")
    return study.model_copy(update={"outcomes": study.outcomes[:1]})


def _part(job: tuple[float, int, int]) -> pd.DataFrame:
    effect, first, last = job
    study = _study()
    return recover(study, Knobs(effect=effect), range(first, last), {"headline": (study.headline, study.did)}, band=effect > 0)


def _draws(effect: float, draws: int = DRAWS) -> pd.DataFrame:
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    jobs = [(effect, a, min(a + 50, draws)) for a in range(0, draws, 50)]
    with ProcessPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        return pd.concat(pool.map(_part, jobs), ignore_index=True)


def _near(share: float, nominal: float, draws: int) -> bool:
    return abs(share - nominal) <= 3 * np.sqrt(nominal * (1 - nominal) / draws)


@pytest.mark.slow
def test_the_headline_covers_each_draws_own_truth():
    draws = _draws(1.0)
    row = summary(draws).iloc[0]
    assert row["failed"] == 0
    assert abs(row["bias"]) < 0.005
    assert _near(row["coverage"], 0.95, DRAWS)
    assert draws["band_covered"].mean() >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / DRAWS)


@pytest.mark.slow
def test_a_programme_without_effect_is_found_guilty_as_often_as_stated():
    row = summary(_draws(0.0)).iloc[0]
    assert _near(row["rejection"], 0.05, DRAWS)


def test_a_draw_knows_the_truth_of_the_firms_described():
    """With the true effect in hand, the estimate of a programme without noise in entry is near it: one draw, to keep the road open."""
    study = _study()
    row = recover(study, Knobs(), [7], {"headline": (study.headline, study.did)}, band=True, checks=True).iloc[0]
    assert 0.06 < row["truth"] < 0.11
    assert abs(row["estimate"] - row["truth"]) < 4 * row["std_error"]
