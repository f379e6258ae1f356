"""The process behind the sample programme: who joins, what would have happened, what the programme adds.

Arrays only, one row a firm and one column a year, so that a Monte Carlo draw costs milliseconds. Levels are thousand pesos of 2003;
the survey writer turns them into current pesos. Every number here is a made-up calibration (see `data/sample/README.md`), except
the public series in `SERIES`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

YEARS = np.arange(2001, 2009)
BASE = 2  # column of 2003
BRANCHES = np.array(["footwear", "leather", "ceramics", "garment"])
SECTORS = np.array(["leather_footwear", "leather_footwear", "ceramics", "garment"])
ARMS = np.array(["beneficiary", "indirect", "nonparticipant"])
STATUSES = np.array(["none", "indirect", "direct"])

INPC = np.array([91.07, 95.65, 100.0, 104.69, 108.86, 112.81, 117.29, 123.30])
FX = np.array([9.3366, 9.6633, 10.7925, 11.2897, 10.8938, 10.9056, 10.9281, 11.1425])
US_CPI_U = np.array([177.1, 179.9, 184.0, 188.9, 195.3, 201.6, 207.342, 215.303])

ARM_COUNTS = np.array([[85, 30, 50, 35], [150, 40, 80, 30], [215, 75, 125, 85]])  # arm × branch, per 1,000 firms
POPULATION_FIRMS = np.array([3500, 1245, 2000, 2600])
POPULATION_WORKERS = np.array([19.1, 9.6, 8.8, 11.9])  # mean workers a firm
LN_WORKERS = np.array([2.75, 2.5, 2.2, 2.6])
SALES_PER_WORKER = np.array([220.0, 360.0, 95.0, 170.0])  # thousand pesos, 2003
VALUE_ADDED_SHARE = np.array([0.36, 0.30, 0.52, 0.40])
UNIT_PRICE = np.array([270.0, 1.6, 45.0, 80.0])  # pesos of 2003 a pair, dm2, piece, piece (footwear: about US$ 25)
GROWTH = np.array(  # real growth a year, branch × 2002…2008
    [
        [-0.02, -0.02, -0.035, -0.02, -0.005, 0.005, -0.01],
        [-0.01, -0.01, -0.02, 0.0, 0.01, 0.01, -0.01],
        [-0.01, -0.01, -0.015, -0.01, 0.0, 0.005, -0.01],
        [-0.03, -0.03, -0.05, -0.05, -0.04, -0.03, -0.04],
    ]
)
FULL_EFFECT = np.array([0.12, 0.12, 0.08, 0.01])  # ln sales at full exposure
RAMP = np.array([0.0, 0.25, 0.65, 1.0])  # share of the effect before entry, in the first, second and every later year
COHORTS = np.array([2004, 2005, 2006])
COHORT_SHARES = np.array([0.60, 0.28, 0.12])
TA_SHARE = 0.40  # of the members of business clusters: 66 of 165
JOBS_ELASTICITY = 0.55
VALUE_ADDED_EXTRA = 0.25
PRICE_EFFECT = 0.30
AR, SHOCK = 0.6, 0.15
SHOCK_SD = SHOCK / np.sqrt(1 - AR**2)
# yearly probabilities without the programme, and what it adds while the firm takes part
NONE_INDIRECT, NONE_DIRECT, INDIRECT_DIRECT = 0.035, 0.008, 0.03
INDIRECT_NONE, DIRECT_INDIRECT, DIRECT_NONE = 0.07, 0.03, 0.02
ADDED = {"none_indirect": 0.09, "none_direct": 0.05, "indirect_direct": 0.10}
ADDED_INDIRECT_ARM = 0.03  # none → indirect of indirect beneficiaries, from 2005
EXPORT_SPELL = np.array([0.35, 0.6, 0.85, 1.0])  # export share of an entrant, by year of the spell


@dataclass(frozen=True, slots=True)
class Knobs:
    """What may be turned in the sample programme.

    Attributes
    ----------
    seed : int
        Seed of every random number.
    n : int
        Firms in the register; the three arms scale from 200 / 300 / 500 in 1,000.
    effect : float
        Multiplies every programme effect, spillovers and export entry included; 0 is the null sample.
    selection_on_shock : float
        Weight in the selection index of the 2003 shock, in standard deviations: −0.3 selects firms in a bad year (a dip).
    differential_trend : float
        Extra growth of beneficiaries in log points a year, in all years: parallel trends fail.
    trend_heterogeneity : float
        Extra growth a year for one standard deviation of ln workers, less half of it for one of ln age, plus it for
        exporters: trends differ between the arms but not given these covariates. Zero by default, so that trends are
        parallel without conditions; 0.02 separates the estimators.
    spill : float
        Effect on ln sales of indirect beneficiaries and of the non-participants inside business clusters.
    spill_pool : float
        The same on all other non-participants: the comparison itself is touched.
    attrition_bias : float
        Extra non-response of beneficiaries for each standard deviation of a bad shock: response depends on the outcome.
    planted_errors : bool
        Whether `sample_programme` plants its errors.

    Examples
    --------
    >>> Knobs(effect=0).n
    1000
    """

    seed: int = 20031121
    n: int = 1000
    effect: float = 1.0
    selection_on_shock: float = 0.0
    differential_trend: float = 0.0
    trend_heterogeneity: float = 0.0
    spill: float = 0.02
    spill_pool: float = 0.0
    attrition_bias: float = 0.0
    planted_errors: bool = True


@dataclass(frozen=True, slots=True)
class Firms:
    """Everything fixed about the firms; one entry a firm. Codes index `BRANCHES`, `ARMS` and `STATUSES`."""

    branch: np.ndarray
    arm: np.ndarray
    ln_workers: np.ndarray
    firm_effect: np.ndarray
    age: np.ndarray
    chamber: np.ndarray
    status: np.ndarray  # in 2003
    entry: np.ndarray  # year, 9999 if never
    ta_year: np.ndarray  # first year of technical assistance, 9999 if never
    cluster: np.ndarray  # number, 0 if none
    weight: np.ndarray


@dataclass(frozen=True, slots=True)
class Paths:
    """What happens to the firms year by year (firms × years), in prices of 2003."""

    tau: np.ndarray  # effect on ln sales
    ln_sales: np.ndarray  # as it happens, without survey error
    ln_jobs: np.ndarray
    status0: np.ndarray  # export status without the programme
    status: np.ndarray
    spell0: np.ndarray  # year of the present export spell without the programme, from 0
    spell: np.ndarray
    closes: np.ndarray  # column of the year in which the firm closes, len(YEARS) if it does not
    shock: np.ndarray


def draw_firms(knobs: Knobs, rng: np.random.Generator) -> tuple[Firms, np.ndarray]:
    """The register with its three arms, and the shocks of its firms (firms × years)."""
    counts = np.maximum(np.round(ARM_COUNTS * knobs.n / 1000).astype(int), 1)
    branch = rng.permutation(np.repeat(np.arange(4), counts.sum(0)))
    n = len(branch)
    ln_workers = np.clip(rng.normal(LN_WORKERS[branch], 0.85), np.log(2), np.log(250))
    ln_workers = np.log(np.round(np.exp(ln_workers)))
    size = (ln_workers - LN_WORKERS[branch]) / 0.85
    effect = rng.normal(0, 0.45, n)
    age = np.clip(np.round(np.exp(rng.normal(2.4, 0.6, n) + 0.12 * size)), 3, 60)
    chamber = rng.random(n) < 1 / (1 + np.exp(-(-0.5 + 0.8 * size)))
    status = _baseline_status(size, effect, rng)
    shock = _shocks(n, rng)
    index = 0.35 * size + 0.55 * effect / 0.45 + 0.80 * (status == 2) + 0.45 * (status == 1) + 0.6 * chamber
    index = index + knobs.selection_on_shock * shock[:, BASE] / SHOCK_SD
    arm = _arms(branch, index, 0.15 * size, counts, rng)
    entry, ta_year, cluster = _participation(branch, arm, rng)
    weight = frame_weights(branch, np.exp(ln_workers))
    return Firms(branch, arm, ln_workers, effect, age, chamber, status, entry, ta_year, cluster, weight), shock


def draw_paths(knobs: Knobs, firms: Firms, shock: np.ndarray, rng: np.random.Generator) -> Paths:
    """Sales, jobs, export status and survival of every firm and year, with and without the programme."""
    n, years = len(firms.arm), len(YEARS)
    tau = true_effects(knobs, firms)
    time = YEARS - YEARS[BASE]
    common = np.concatenate([np.zeros((4, 1)), np.cumsum(GROWTH, axis=1)], axis=1)
    common = (common - common[:, [BASE]])[firms.branch]
    growth = rng.normal(0, 0.03, n) + knobs.differential_trend * (firms.arm == 0)
    growth = growth + knobs.trend_heterogeneity * _trend_index(firms)
    level = firms.ln_workers + np.log(SALES_PER_WORKER[firms.branch]) + firms.firm_effect
    moves = common + growth[:, None] * time + shock
    ln_sales = level[:, None] + moves + tau
    ln_jobs = firms.ln_workers[:, None] + JOBS_ELASTICITY * (moves + tau) + rng.normal(0, 0.10, (n, years))
    chance = rng.random((n, years))
    status0, spell0 = _export_paths(firms, chance, 0.0)
    status, spell = _export_paths(firms, chance, knobs.effect)
    return Paths(tau, ln_sales, ln_jobs, status0, status, spell0, spell, _closures(firms, shock, rng), shock)


def true_effects(knobs: Knobs, firms: Firms) -> np.ndarray:
    """Effect on ln sales of every firm and year: branch effect × ramp × 1.3 with technical assistance, 0.8 without."""
    exposure = _ramp(firms.entry)
    assisted = np.where(firms.ta_year[:, None] <= YEARS, 1.3, 0.8)
    direct = FULL_EFFECT[firms.branch][:, None] * exposure * assisted
    touched = np.where((firms.arm == 1) | ((firms.arm == 2) & (firms.cluster > 0)), knobs.spill, 0.0)
    touched = np.where((firms.arm == 2) & (firms.cluster == 0), knobs.spill_pool, touched)
    spill = touched[:, None] * _ramp(np.full(len(touched), 2004))
    return knobs.effect * np.where((firms.arm == 0)[:, None], direct, spill)


def frame_weights(branch: np.ndarray, workers: np.ndarray) -> np.ndarray:
    """Population firms that each register firm stands for.

    Exponential tilting in ln workers, within each branch, so that the weights add up to the branch's firms and the weighted mean of
    workers is the branch's mean (`POPULATION_FIRMS`, `POPULATION_WORKERS`): the register oversamples larger firms.
    """
    weight = np.empty(len(branch))
    for b in range(4):
        own = branch == b
        ln_workers = np.log(workers[own])
        low, high = -6.0, 6.0
        for _ in range(50):
            tilt = (low + high) / 2
            tilted = np.exp(tilt * ln_workers)
            mean = (tilted * workers[own]).sum() / tilted.sum()
            low, high = (tilt, high) if mean < POPULATION_WORKERS[b] else (low, tilt)
        weight[own] = tilted / tilted.sum() * POPULATION_FIRMS[b]
    return weight


def _baseline_status(size: np.ndarray, effect: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    direct = np.exp(-2.2 + 0.75 * size + 0.3 * effect / 0.45)
    indirect = np.exp(-1.40 + 0.15 * size)
    total = 1 + direct + indirect
    u = rng.random(len(size))
    return np.where(u < direct / total, 2, np.where(u < (direct + indirect) / total, 1, 0))


def _shocks(n: int, rng: np.random.Generator) -> np.ndarray:
    innovation = rng.standard_t(6, (n, len(YEARS))) * SHOCK / np.sqrt(6 / 4)
    shock = np.empty_like(innovation)
    shock[:, 0] = innovation[:, 0] * SHOCK_SD / SHOCK
    for t in range(1, len(YEARS)):
        shock[:, t] = AR * shock[:, t - 1] + innovation[:, t]
    return shock


def _arms(branch, index, index_indirect, counts, rng) -> np.ndarray:
    """Arms drawn branch by branch without replacement, with odds exp(index) (Gumbel keys)."""
    arm = np.full(len(branch), 2)
    for column, (score, code) in enumerate([(index, 0), (index_indirect, 1)]):
        key = score + rng.gumbel(size=len(branch))
        for b in range(4):
            free = np.flatnonzero((branch == b) & (arm == 2))
            arm[free[np.argsort(-key[free])[: counts[column, b]]]] = code
    return arm


def _participation(branch, arm, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entry year, first year of assistance and business cluster; shares are exact within each branch."""
    n = len(branch)
    entry, ta_year, cluster = np.full(n, 9999), np.full(n, 9999), np.zeros(n, int)
    last = 0
    for b in range(4):
        own = rng.permutation(np.flatnonzero((branch == b) & (arm == 0)))
        place = (np.arange(len(own)) + 0.5) / len(own)
        entry[own] = COHORTS[np.searchsorted(np.cumsum(COHORT_SHARES)[:-1], place, side="right")]
        if BRANCHES[b] == "garment":  # Component 1 only: no cluster, no assistance
            continue
        assisted = rng.permutation(own)[: int(round(TA_SHARE * len(own)))]
        ta_year[assisted] = np.minimum(entry[assisted] + (rng.random(len(assisted)) < 0.15), COHORTS[-1])
        count = max(1, round(len(own) / 10.5))
        together = own[np.argsort(entry[own] + 1.2 * rng.random(len(own)))]  # firms of one cluster mostly enter together
        edges = np.linspace(0, len(own), count + 1)
        edges[1:-1] += rng.uniform(-2, 2, count - 1)
        cluster[together] = last + 1 + np.searchsorted(edges[1:-1], np.arange(len(own)), side="right")
        outside = np.flatnonzero((branch == b) & (arm == 2))
        guests = rng.choice(outside, max(1, round(len(outside) * 0.02)), replace=False)
        cluster[guests] = last + 1 + rng.integers(0, count, len(guests))
        last += count
    return entry, ta_year, cluster


def _ramp(entry: np.ndarray) -> np.ndarray:
    return RAMP[np.clip(YEARS - entry[:, None] + 1, 0, 3)]


def _trend_index(firms: Firms) -> np.ndarray:
    size = (firms.ln_workers - LN_WORKERS[firms.branch]) / 0.85
    age = (np.log(firms.age) - 2.4) / 0.6
    return size - 0.5 * age + (firms.status > 0)


def _export_paths(firms: Firms, chance: np.ndarray, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """Export status and year of the spell; the same `chance` moves both worlds, so the programme never lowers a status."""
    status = np.repeat(firms.status[:, None], len(YEARS), axis=1)
    spell = np.full(status.shape, 3)
    for t in (1, 0):  # before the baseline the chain runs backwards with the same odds
        status[:, t] = _step(status[:, t + 1], chance[:, t], 0.0, 0.0, 0.0)
    for t in range(BASE + 1, len(YEARS)):
        joined = effect * ((firms.entry <= YEARS[t]) & (YEARS[t] <= 2006) & (firms.branch != 3))
        linked = effect * ((firms.arm == 1) & (2005 <= YEARS[t]) & (YEARS[t] <= 2006))
        up = ADDED["none_indirect"] * joined + ADDED_INDIRECT_ARM * linked
        status[:, t] = _step(status[:, t - 1], chance[:, t], up, ADDED["none_direct"] * joined, ADDED["indirect_direct"] * joined)
        rose = status[:, t] > status[:, t - 1]
        spell[:, t] = np.where(rose, 0, np.minimum(spell[:, t - 1] + 1, 3))
    return status, spell


def _step(now, u, none_indirect, none_direct, indirect_direct) -> np.ndarray:
    """Next status; low `u` goes down, high `u` goes up."""
    to_direct = NONE_DIRECT + none_direct
    from_none = np.where(u > 1 - to_direct, 2, np.where(u > 1 - to_direct - NONE_INDIRECT - none_indirect, 1, 0))
    from_indirect = np.where(u < INDIRECT_NONE, 0, np.where(u > 1 - INDIRECT_DIRECT - indirect_direct, 2, 1))
    from_direct = np.where(u < DIRECT_NONE, 0, np.where(u < DIRECT_NONE + DIRECT_INDIRECT, 1, 2))
    return np.choose(now, [from_none, from_indirect, from_direct])


def _closures(firms: Firms, shock: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Year column of closing: about 3 to 8 % a year from 2004, likelier after a bad year; the programme changes nothing."""
    hazard = 1 / (1 + np.exp(3.05 + 0.45 * shock[:, BASE:-1] / SHOCK_SD + 0.15 * (firms.ln_workers[:, None] - 2.5)))
    fails = rng.random(hazard.shape) < hazard
    return np.where(fails.any(axis=1), BASE + 1 + fails.argmax(axis=1), len(YEARS))
