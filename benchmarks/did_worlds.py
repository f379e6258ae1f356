"""Made firm panels whose true effects are known, for `did_coverage.py`: one function a world, arrays in, `World` out.

Six years, 2001 to 2006. Firms enter in 2003, 2004 or 2005, after the last year (2008), or never. Errors are a firm effect and an
AR(1) of .6, larger where `z` is 1; effects differ by cohort, by years since entry and by firm.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipeval import NEVER, Panel

YEARS = np.arange(2001, 2007)
FIRST, LAST = 2001, 2006
COHORTS = (2003, 2004, 2005)
AUTO, NOISE = 0.6, 0.3
COMMON = np.array([0.0, 0.05, 0.10, 0.10, 0.20, 0.25])
LEVEL = {2003: 0.10, 2004: 0.25, 2005: 0.05}
STEP = 0.06


@dataclass(frozen=True, slots=True)
class World:
    """Arrays over firms: cohort, columns of the firms, outcome without the programme, its effect, who is seen (firms, years)."""

    cohort: np.ndarray
    firms: dict[str, np.ndarray]
    untreated: np.ndarray
    effect: np.ndarray
    seen: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def treated(self) -> np.ndarray:
        """Array of bool (firms, years): from entry on."""
        return self.cohort[:, None] <= YEARS

    def outcome(self) -> np.ndarray:
        """What is observed, NaN where it is not."""
        return np.where(self.seen, self.untreated + np.where(self.treated, self.effect, 0.0), np.nan)

    def panel(self, **outcomes: np.ndarray) -> Panel:
        """The panel of these outcomes, by default of `y`."""
        ids = pd.RangeIndex(len(self.cohort), name="firm_id")
        index = pd.MultiIndex.from_product([ids, YEARS], names=["firm_id", "period"])
        columns = {name: values.ravel() for name, values in (outcomes or {"y": self.outcome()}).items()}
        return Panel(pd.DataFrame({"cohort": self.cohort, **self.firms}, index=ids), pd.DataFrame(columns, index=index))


def auto(rng: np.random.Generator, n: int, sd: float | np.ndarray = NOISE) -> np.ndarray:
    """Errors (n, years): a stationary AR(1) with standard deviation `sd`."""
    e = rng.standard_normal((n, len(YEARS)))
    for t in range(1, len(YEARS)):
        e[:, t] = AUTO * e[:, t - 1] + np.sqrt(1 - AUTO**2) * e[:, t]
    return e * np.reshape(sd, (-1, 1))


def since(cohort: np.ndarray) -> np.ndarray:
    """Years since entry (firms, years), −∞ for those that never enter."""
    return YEARS - cohort[:, None]


def mean_effect(cohort: np.ndarray) -> np.ndarray:
    """The mean effect of a cohort by year: a level of its own and a step a year."""
    level = np.select([cohort == g for g in LEVEL], list(LEVEL.values()), 0.0)
    return level[:, None] + STEP * np.maximum(since(cohort), 0.0)


def entered(rng: np.random.Generator, odds: np.ndarray, cohorts: tuple, shares: tuple) -> np.ndarray:
    """Cohorts by a multinomial logit: `odds` moves every cohort alike against never; `shares` at odds 0, never last."""
    utility = np.log(np.array(shares)) + np.outer(odds, np.r_[np.ones(len(shares) - 1), 0.0])
    weight = np.exp(utility)
    drawn = (rng.random((len(odds), 1)) > np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)).sum(axis=1)
    return np.array([*cohorts, NEVER], float)[drawn]


STAGGERED = (*COHORTS, 2008), (0.14, 0.14, 0.14, 0.10, 0.48)


def staggered(rng: np.random.Generator, n: int = 360, spread: float = 0.1, stay: float = 3.2) -> World:
    """Entry, growth and answering depend on `x` and `z`: parallel trends given the covariates, attrition at random given them.

    The frame holds too few firms of large `x`; `weight` makes up for it.
    """
    x, z = rng.normal(-0.3, 1, n), (rng.random(n) < 0.4).astype(float)
    cohort = entered(rng, 0.5 * x + 0.4 * z, *STAGGERED)
    firm = 0.5 * rng.standard_normal(n) + 0.4 * x
    growth = 0.04 * x + 0.03 * z
    untreated = firm[:, None] + COMMON + growth[:, None] * (YEARS - FIRST) + auto(rng, n, NOISE * (0.8 + 0.4 * z))
    effect = mean_effect(cohort) + (0.15 * x + spread * rng.standard_normal(n))[:, None]
    hazard = 1 / (1 + np.exp(stay - 0.5 * x - 0.5 * z))
    gone = (rng.random((n, len(YEARS))) < hazard[:, None]) & (YEARS > 2002)
    return World(cohort, {"x": x, "z": z, "weight": np.exp(0.3 * x)}, untreated, effect, ~np.maximum.accumulate(gone, axis=1))


def rotating(rng: np.random.Generator, n: int = 500) -> World:
    """As `staggered`, but who answers is drawn anew each year, three firms in five: repeated cross-sections."""
    world = staggered(rng, n)
    return World(world.cohort, world.firms, world.untreated, world.effect, rng.random(world.seen.shape) < 0.6)


def plain(rng: np.random.Generator, n: int = 360) -> World:
    """Parallel trends without covariates; firms miss years at random."""
    cohort = entered(rng, np.zeros(n), *STAGGERED)
    untreated = rng.standard_normal(n)[:, None] * 0.5 + COMMON + auto(rng, n, NOISE * (1 + 0.4 * np.isfinite(cohort)))
    effect = mean_effect(cohort) + (0.1 * rng.standard_normal(n))[:, None]
    return World(cohort, {}, untreated, effect, rng.random(untreated.shape) < 0.93)


def on_level(rng: np.random.Generator, n: int = 300) -> World:
    """Firms enter in 2003, the likelier the lower they stood on average in 2001 and 2002: selection on the lagged level."""
    untreated = 0.3 * rng.standard_normal(n)[:, None] + COMMON + auto(rng, n)
    low = -(untreated[:, :2].mean(axis=1) - COMMON[:2].mean())
    cohort = entered(rng, 3 * low, (2003,), (0.3, 0.7))
    effect = mean_effect(cohort) + (0.1 * rng.standard_normal(n))[:, None]
    return World(cohort, {}, untreated, effect, np.ones(untreated.shape, bool))


def amounts(rng: np.random.Generator, n: int = 400) -> World:
    """Amounts with zeros (one in four): growth rates are parallel given `z`; `effect` is an amount, `extra["log_effect"]` its log.

    `extra["expected"]` is the untreated amount that a firm may expect, given its own level.
    """
    z = (rng.random(n) < 0.4).astype(float)
    cohort = entered(rng, 0.4 * z, *STAGGERED)
    level = np.exp(0.4 * rng.standard_normal(n) + 0.3 * z)
    mean = level[:, None] * np.exp(COMMON + 0.05 * z[:, None] * (YEARS - FIRST))
    shock = np.exp(auto(rng, n) - NOISE**2 / 2)
    zero = rng.random(mean.shape) < 0.25
    untreated = np.where(zero, 0.0, mean * shock / 0.75)
    log_effect = mean_effect(cohort) + (0.15 * rng.standard_normal(n))[:, None]
    seen = rng.random(mean.shape) < 0.95
    return World(cohort, {"z": z}, untreated, untreated * np.expm1(log_effect), seen, {"log_effect": log_effect, "expected": mean})


def crossed(rng: np.random.Generator, n: int = 400, ways: tuple[int, int] = (40, 40)) -> World:
    """Shocks shared within municipalities and, across them, within buyers; entry is likelier in some municipalities."""
    town, buyer = rng.integers(0, ways[0], n), rng.integers(0, ways[1], n)
    cohort = entered(rng, 0.7 * rng.standard_normal(ways[0])[town], *STAGGERED)
    shared = auto(rng, ways[0], 0.5 * NOISE)[town] + auto(rng, ways[1], 0.5 * NOISE)[buyer]
    untreated = 0.5 * rng.standard_normal(n)[:, None] + COMMON + shared + auto(rng, n, np.sqrt(0.5) * NOISE)
    effect = mean_effect(cohort) + (0.1 * rng.standard_normal(n))[:, None]
    return World(cohort, {"town": town, "buyer": buyer}, untreated, effect, np.ones(untreated.shape, bool))


def business_clusters(
    rng: np.random.Generator,
    groups: int = 16,
    icc: float = 0.05,
    alone: int = 200,
    untreated_groups: int = 0,
    cohorts: tuple[int, ...] = (),
) -> World:
    """Treated firms in few business clusters of unequal size, that share a part `icc` of their errors; controls stand alone.

    `cluster` is missing for those. `untreated_groups` adds clusters of the same sizes without the programme.
    """
    size = np.resize([3, 4, 5, 6, 8, 10, 14, 22], groups + untreated_groups)
    code = np.repeat(np.arange(len(size)), size)
    entry = np.r_[np.resize(cohorts or COHORTS[: 3 if groups > 8 else 2], groups), np.full(untreated_groups, NEVER)]
    entry = rng.permutation(entry)
    while untreated_groups and not all(np.isinf(entry[np.log2(size).astype(int) == k]).any() for k in range(1, 5)):
        entry = rng.permutation(entry)  # every class of like sizes keeps an untreated cluster to deal with
    n = len(code) + alone
    cluster = np.r_[code.astype(float), np.full(alone, np.nan)]
    cohort = np.r_[entry[code].astype(float), np.full(alone, NEVER)]
    errors = np.sqrt(1 - icc) * auto(rng, n)
    errors[: len(code)] += np.sqrt(icc) * auto(rng, len(size))[code]
    errors[len(code) :] += np.sqrt(icc) * auto(rng, alone)
    untreated = 0.5 * rng.standard_normal(n)[:, None] + COMMON + errors
    effect = mean_effect(cohort) + (0.1 * rng.standard_normal(n))[:, None]
    return World(cohort, {"cluster": cluster}, untreated, effect, np.ones(untreated.shape, bool))


def silent(rng: np.random.Generator, n: int = 400) -> World:
    """Growth depends on `x`, entry does not; who answers in 2006 depends on `x`, otherwise in each arm: at random given `x`."""
    x = rng.standard_normal(n)
    cohort = entered(rng, np.zeros(n), *STAGGERED)
    firm = 0.5 * rng.standard_normal(n) + 0.3 * x
    untreated = firm[:, None] + COMMON + 0.08 * x[:, None] * (YEARS - FIRST) + auto(rng, n)
    effect = mean_effect(cohort) + (0.15 * x + 0.1 * rng.standard_normal(n))[:, None]
    index = np.where(cohort <= LAST, 1.2 + 0.8 * x, 1.0 - 0.5 * x)
    seen = np.ones(untreated.shape, bool)
    seen[:, -1] = rng.random(n) < 1 / (1 + np.exp(-index))
    return World(cohort, {"x": x}, untreated, effect, seen)


def strata(rng: np.random.Generator, edge: bool, n: int = 400) -> World:
    """The programme makes some firms answer in 2006 that otherwise would not. `extra["always"]`: those that answer either way.

    At the `edge` those it makes answer are the firms that do best, so that the truth is Lee's lower bound; else they are like the
    others, so that it lies between the bounds. One firm in ten never answers.
    """
    z = (rng.random(n) < 0.4).astype(float)
    cohort = entered(rng, np.zeros(n), *STAGGERED)
    firm = 0.5 * rng.standard_normal(n)[:, None]
    late = 0.4 * rng.standard_normal(n)
    if edge:  # all that varies is the last year, so that the best firms are the best from whatever base
        untreated, moved = firm + COMMON + np.where(YEARS == LAST, late[:, None], 0.0), late > 0.4 * 1.2816
    else:
        untreated, moved = firm + COMMON + auto(rng, n), rng.random(n) < 0.1
    never = rng.random(n) < 0.1
    seen = np.ones(untreated.shape, bool)
    seen[:, -1] = ~never & (~moved | (cohort <= LAST))
    effect = mean_effect(cohort) + (0.0 if edge else 0.1) * rng.standard_normal((n, 1))
    return World(cohort, {"z": z}, untreated, effect, seen, {"always": ~never & ~moved})


def violated(rng: np.random.Generator, path: dict[int, float], groups: int = 0, n: int = 360) -> World:
    """Parallel trends fail: `path` is the treated's own deviation by years since entry. With `groups`, treated come in clusters."""
    world = business_clusters(rng, groups, 0.1) if groups else plain(rng, n)
    own = np.vectorize(lambda k: path.get(k, 0.0), otypes=[float])(
        np.where(np.isfinite(since(world.cohort)), since(world.cohort), 99)
    )
    return World(world.cohort, world.firms, world.untreated + own, world.effect, world.seen)


def drifting(rng: np.random.Generator, slope: float = 0.05, n: int = 360) -> World:
    """Firms that ever enter grow faster by `slope` a year anyway."""
    world = plain(rng, n)
    drift = np.where(np.isfinite(world.cohort), slope, 0.0)[:, None] * (YEARS - FIRST)
    return World(world.cohort, world.firms, world.untreated + drift, world.effect, world.seen)


def several(rng: np.random.Generator, n: int = 300, k: int = 5) -> tuple[World, dict[str, np.ndarray]]:
    """A world without effects, and `k` outcomes that move together (correlation about .5) and that the programme does not move."""
    world = plain(rng, n)
    shared = auto(rng, n)
    drawn = {f"y{j}": 0.5 * rng.standard_normal((n, 1)) + COMMON + shared + auto(rng, n) for j in range(k)}
    return world, {name: np.where(world.seen, values, np.nan) for name, values in drawn.items()}


def grouped(rng: np.random.Generator, gap: float, n: int = 450) -> World:
    """Three groups of firms in either arm, whose effects lie `gap` apart, and whose trends and chances to enter differ."""
    group = rng.integers(0, 3, n)
    cohort = entered(rng, 0.3 * group, *STAGGERED)
    untreated = 0.5 * rng.standard_normal((n, 1)) + COMMON + 0.03 * group[:, None] * (YEARS - FIRST) + auto(rng, n)
    effect = 0.2 + gap * group[:, None] + 0.1 * rng.standard_normal((n, 1)) + 0.05 * np.maximum(since(cohort), 0.0)
    if gap == 0:  # alike in every cell, so that groups of other cohort shares have the same effect
        effect = 0.2 + 0.1 * rng.standard_normal((n, 1)) + np.zeros(untreated.shape)
    return World(cohort, {"group": group}, untreated, effect, rng.random(untreated.shape) < 0.95)


def dosed(rng: np.random.Generator, n: int = 360) -> World:
    """Larger firms get more, and grow faster anyway; `dose` raises the effect by .2 a unit, the same for all."""
    x = rng.standard_normal(n)
    cohort = entered(rng, np.zeros(n), *STAGGERED)
    dose = np.maximum(1.5 + 0.4 * x + 0.5 * rng.standard_normal(n), 0.1)
    untreated = 0.5 * rng.standard_normal((n, 1)) + COMMON + 0.05 * x[:, None] * (YEARS - FIRST) + auto(rng, n)
    effect = mean_effect(cohort) + 0.2 * dose[:, None]
    return World(cohort, {"x": x, "dose": dose}, untreated, effect, rng.random(untreated.shape) < 0.95)


def shares(rng: np.random.Generator, n: int = 360) -> World:
    """An outcome between 0 and 1 whose untreated mean moves alike in both arms; the treated stand close to the lower end."""
    cohort = entered(rng, np.zeros(n), *STAGGERED)
    low = np.where(np.isfinite(cohort), 0.02, 0.2)
    level = low + 0.25 * rng.random(n)
    untreated = level[:, None] + 0.3 * COMMON + 0.015 * np.clip(auto(rng, n, 1.0), -1.3, 1.3)
    effect = 0.3 * mean_effect(cohort) + 0.02 * rng.standard_normal((n, 1)).clip(-2, 2)
    return World(cohort, {}, untreated, np.maximum(effect, 0.0), rng.random(untreated.shape) < 0.95)


def alike(rng: np.random.Generator, n: int = 300) -> World:
    """One entry in 2003, one effect for all, symmetric heavy tails: mean, winsorised mean, location, median agree."""
    x = rng.standard_normal(n)
    cohort = entered(rng, 0.5 * x, (2003,), (0.35, 0.65))
    untreated = 0.5 * rng.standard_normal((n, 1)) + COMMON + 0.03 * x[:, None] * (YEARS - FIRST)
    untreated = untreated + 0.2 * rng.standard_t(4, (n, len(YEARS)))
    return World(
        cohort,
        {"x": x, "branch": np.resize(["a", "b"], n)},
        untreated,
        np.full(untreated.shape, 0.2),
        np.ones(untreated.shape, bool),
    )


def leaking(rng: np.random.Generator, n: int = 360) -> World:
    """Firms that the programme reached without support (`reached`) gain half as much from 2004 on."""
    world = plain(rng, n)
    reached = np.isinf(world.cohort) & (rng.random(n) < 0.4)
    untreated = world.untreated + np.where(reached[:, None] & (YEARS >= 2004), 0.1, 0.0)
    return World(world.cohort, {"reached": reached}, untreated, world.effect, world.seen)
