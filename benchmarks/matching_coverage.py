"""How often the intervals of each control group hold the truth: one row a design, printed as Markdown.

    python benchmarks/matching_coverage.py [draws [linear|curved|varying]]

Three made worlds. In all, chance to be treated and outcome depend on the same covariates, and errors are larger for larger firms.
`linear`: the outcome is linear in the covariates; `curved`: it is not, and no regression here knows its form. In both the effect is .3 for
every firm, so that every estimand has the same truth. `varying`: as linear, and the effect grows with size; the truth is the mean effect on the
treated, so that only designs that keep every treated firm stand there. All designs of a world see the same draws. Beside coverage stand the
bias and the mean standard error over the standard deviation of the estimates: a ratio above 1 errs on the safe side.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd

from pipeval import NEVER, MatchSpec, match
from pipeval.did.matched_effect import matched_effect
from pipeval.errors import DesignError, EstimationError

EFFECT, SLOPE, FIRMS, SEED = 0.3, 0.4, 600, 20031121
WORLDS = ("linear", "curved", "varying")
COVARIATES = ("size", "age", "exporter")
PAIR = {"method": "nearest", "caliper": 0.2}
AGAIN = {"method": "nearest", "replace": True}
DESIGNS = {
    "nearest 1:1, caliper .2": (PAIR, False),
    "nearest 1:1, caliper .2, adjusted": (PAIR, True),
    "optimal 1:1, caliper .2": ({"method": "optimal", "caliper": 0.2}, False),
    "optimal 1:2, caliper .2, adjusted": ({"method": "optimal", "caliper": 0.2, "ratio": 2}, True),
    "Mahalanobis 1:1, caliper .2": (PAIR | {"distance": "mahalanobis"}, False),
    "replacement 1:1 on the score": (AGAIN, False),
    "replacement 1:1 Mahalanobis": (AGAIN | {"distance": "mahalanobis"}, False),
    "replacement 1:1 Mahalanobis, bias-corrected": (AGAIN | {"distance": "mahalanobis"}, True),
    "replacement 1:3 Mahalanobis, bias-corrected": (AGAIN | {"distance": "mahalanobis", "ratio": 3}, True),
    "full": ({"method": "full"}, False),
    "full, caliper .2, adjusted": ({"method": "full", "caliper": 0.2}, True),
    "subclass 6": ({"method": "subclass"}, False),
    "subclass 6, adjusted": ({"method": "subclass"}, True),
    "cem 4 bins": ({"method": "cem", "cutpoints": {"size": 4, "age": 4, "exporter": 2}}, False),
    "cem 8 bins": ({"method": "cem", "cutpoints": {"size": 8, "age": 8, "exporter": 2}}, False),
    "exact on 4 cells": ({"method": "cem", "covariates": (), "exact": ("exporter", "old")}, False),
    "odds (ATT)": ({"method": "ipw"}, False),
    "odds (ATE)": ({"method": "ipw", "estimand": "ate"}, False),
    "overlap weights (ATO)": ({"method": "ipw", "estimand": "ato"}, False),
    "entropy balancing": ({"method": "ebal"}, False),
    "entropy balancing, variances": ({"method": "ebal", "moments": 2}, False),
    "covariate-balancing score": ({"method": "cbps"}, False),
}


def firms_of(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """Size, age, exporting and treatment of `n` firms."""
    size, age, exporter = rng.normal(size=n), rng.normal(size=n), rng.random(n) < 0.4
    odds = -1.4 + 0.5 * size + 0.3 * age + 0.5 * exporter
    return size, age, exporter, rng.random(n) < 1 / (1 + np.exp(-odds))


def truth(world: str) -> float:
    """The mean effect on the treated."""
    if world != "varying":
        return EFFECT
    size, _, _, treated = firms_of(np.random.default_rng(SEED), 4_000_000)
    return EFFECT + SLOPE * float(size[treated].mean())


def draw(rng: np.random.Generator, world: str) -> tuple[pd.DataFrame, pd.Series]:
    """One sample of firms, about one in four treated, and their change."""
    size, age, exporter, treated = firms_of(rng, FIRMS)
    mean = 0.4 * size + 0.2 * age + 0.3 * exporter + (0.25 * (size**2 - 1) - 0.2 * size * age if world == "curved" else 0)
    effect = EFFECT + (SLOPE * size if world == "varying" else 0)
    y = mean + effect * treated + rng.normal(size=FIRMS) * (0.8 + 0.4 * (size > 0))
    columns = {"cohort": np.where(treated, 1.0, NEVER), "size": size, "age": age, "exporter": exporter, "old": age > 0}
    ids = pd.Index([f"F{i:04d}" for i in range(FIRMS)], name="firm_id")
    return pd.DataFrame(columns, index=ids), pd.Series(y, index=ids)


def keeps_all(choices: dict) -> bool:
    """Whether a design describes every treated firm."""
    return "caliper" not in choices and choices["method"] != "cem" and choices.get("estimand", "att") == "att"


def rows(draws: int, world: str) -> pd.DataFrame:
    """One row a design: estimates over `draws` samples."""
    designs = {name: d for name, d in DESIGNS.items() if world != "varying" or keeps_all(d[0])}
    found, true = {name: [] for name in designs}, truth(world)
    for number in range(draws):
        firms, y = draw(np.random.default_rng([SEED, WORLDS.index(world), number]), world)
        for name, (choices, adjusted) in designs.items():
            spec = MatchSpec(**({"covariates": COVARIATES} | choices))
            covariates = firms[list(COVARIATES)].astype(float) if adjusted else None
            try:
                row = matched_effect(match(firms, spec), y, covariates).table.iloc[0]
            except (DesignError, EstimationError):
                continue  # weights that cannot balance: counted as not estimated
            found[name].append(row[["estimate", "std_error", "conf_low", "conf_high"]].to_numpy(float))
    out = []
    for name, values in found.items():
        estimate, error, low, high = np.array(values).T
        held = (low <= true) & (high >= true)
        # what the interval would hold were the estimator centred: the standard error apart from the bias
        bias = estimate.mean() - true
        centred = (low - bias <= true) & (high - bias >= true)
        out.append(
            (name, len(values), bias, estimate.std(ddof=1), error.mean() / estimate.std(ddof=1), held.mean(), centred.mean())
        )
    return pd.DataFrame(out, columns=["design", "draws", "bias", "sd", "error / sd", "coverage", "coverage, centred"])


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    warnings.simplefilter("ignore")
    for world in sys.argv[2:] or WORLDS:
        table = rows(draws, world)
        print(f"\n### Outcome {world}, {FIRMS} firms, {draws} draws\n")
        print("| " + " | ".join(table.columns) + " |")
        print("|---|" + "---:|" * (len(table.columns) - 1))
        for row in table.itertuples(index=False):
            print(f"| {row[0]} | {row[1]} | {row[2]:.3f} | {row[3]:.3f} | {row[4]:.2f} | {row[5]:.3f} | {row[6]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
