"""What the study will be able to find, by running its own estimate on futures made from the years before the programme."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ..data.panel import Panel
from ..did.estimate import as_share, at_reference, estimate, population
from ..did.covariates import known_before
from ..did.design_effect import intraclass
from ..did.power import sd_of_change
from ..errors import DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..study.specs import Outcome, Study

CHUNK = 20
COLUMNS = [
    "outcome", "scale", "draws", "basis", "sd_year", "persistence", "autocorrelation", "icc", "attrition", "silent",
    "sd_estimate", "std_error", "size", "target", "power", "mde", "mde_share", "reason",
]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Future:
    """How firms go on without the programme, learnt from the years before it.

    `lasting` and `passing` are variances of a year's shocks that stay and of those that pass, `basis` how they were come by;
    `shapes` standardised yearly changes to draw from; `icc` the share of a shock that firms of a business cluster have in common;
    `attrition` the chance that a firm falls silent for good in a year, `silent` that one answers without this figure.
    """

    lasting: float
    passing: float
    basis: str
    shapes: np.ndarray
    icc: float
    attrition: float
    silent: float
    autocorrelation: float


def simulated_power(
    panel: Panel,
    sample: MatchedSample,
    study: Study,
    outcomes: Sequence[Outcome],
    executor: Executor | None = None,
) -> pd.DataFrame:
    """One row an outcome: how often the headline estimate would find the target, and the effect it would find four times in five.

    Each draw keeps the firms and their years up to the base year as they are, continues every firm from there with shocks as
    those before (in size, duration and what clusters share), lets firms fall silent, and runs `estimate` as the study
    will. A constant effect moves such an estimate by itself and leaves its error, so one set of draws tells the power at every
    effect. Shocks do not depend on covariates, so an adjustment gains nothing here: the power errs low.

    Parameters
    ----------
    panel, sample, study
        As in `estimate`; outcomes after the base year are not read.
    outcomes : sequence of Outcome
        Poisson outcomes have no yearly changes to draw from: their row says so, and `detectable_table` has a placebo's error.
    executor : concurrent.futures.Executor, optional
        Carries draws out side by side; the numbers do not depend on it.

    Returns
    -------
    DataFrame
        `outcome, scale, draws, basis` (observed, or extrapolated when the years before are fewer than those to come, or one_span),
        `sd_year` (of a yearly change), `persistence` (share of its variance that stays), `autocorrelation` (of the level from year
        to year), `icc` and `attrition` (declared in params, or learnt), `silent` (answers without this figure), `sd_estimate` (over
        draws), `std_error` (mean of those the estimate states), `size` (rejections without an effect), `target`, `power` (at the
        target), `mde` (on the outcome's scale), `mde_share`, `reason` (why a row has no numbers).

    Notes
    -----
    Yearly changes give the lasting and the passing part by the line through the variances of changes over one, two, … years, as
    `sd_of_change`; with one span only, all of it is taken to last. The number of rejections has a binomial error of
    √(p (1 − p) / draws).
    """
    return pd.DataFrame([_row(panel, sample, study, o, executor) for o in outcomes], columns=COLUMNS)


def _row(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, executor: Executor | None) -> dict:
    row = {"outcome": outcome.id, "scale": outcome.scale, "target": outcome.relevant_effect, "reason": ""}
    if outcome.scale == "poisson":
        return row | {"reason": "amounts with zeros: see the placebo error"}
    draws = study.sensitivity.simulations
    try:
        with collected():
            before = _before(population(panel, outcome), study)
            future = learnt(before, outcome.id, study)
        seeds = np.random.SeedSequence(study.sensitivity.seed).spawn(draws)
        jobs = [(before, sample, study, outcome, future, seeds[k : k + CHUNK]) for k in range(0, draws, CHUNK)]
        found = np.concatenate(list((map if executor is None else executor.map)(_draws, jobs)))
    except (DesignError, EstimationError) as error:
        return row | {"reason": str(error)}
    found = found[~np.isnan(found).any(axis=1)]
    if len(found) < 0.9 * draws:
        return row | {"reason": f"the estimate could be made in {len(found)} of {draws} draws only"}
    row |= {
        "draws": len(found),
        "basis": future.basis,
        "sd_year": float(np.sqrt(future.lasting + 2 * future.passing)),
        "persistence": future.lasting / (future.lasting + 2 * future.passing),
    }
    row |= {name: getattr(future, name) for name in ("autocorrelation", "icc", "attrition", "silent")}
    return row | _power(found, outcome, study)


def _power(found: np.ndarray, outcome: Outcome, study: Study) -> dict:
    estimate_, error, df = found.T
    critical = stats.t.ppf(1 - study.power.alpha / 2, df)
    sign = -1.0 if outcome.direction == "decrease" else 1.0

    needed = critical * error - sign * estimate_  # the effect that would have been found in this draw
    mde = float(np.quantile(needed, study.power.power, method="higher"))
    target = outcome.relevant_effect
    scaled = None if target is None else abs(target)
    if scaled is not None and outcome.scale == "log":
        scaled = abs(np.log1p(sign * scaled)) if sign * scaled > -1 else None
    return {
        "sd_estimate": float(estimate_.std(ddof=1)),
        "std_error": float(error.mean()),
        "size": float((np.abs(estimate_) > critical * error).mean()),
        "power": np.nan if scaled is None else float((needed < scaled).mean()),
        "mde": mde,
        "mde_share": sign * as_share(sign * mde, outcome.scale),
    }


def _before(panel: Panel, study: Study) -> Panel:
    """The panel as it stood in the base year: later years are not there to be read, and covariates that move stay as they were."""
    period = panel.outcomes.index.get_level_values("period")
    known = panel.outcomes[period <= study.baseline.year]
    return Panel(known_before(panel, study.did.covariates, study.baseline.year + 1), known, panel.ledger)


def learnt(before: Panel, outcome: str, study: Study) -> Future:
    """What the years before the programme tell of a firm's next ones.

    Raises
    ------
    DesignError
        When there is no yearly change before the programme, or it does not vary.
    """
    wide = before.wide(outcome)
    years = [y for y in wide.columns if y - 1 in wide.columns]
    if not years:
        raise DesignError("power by simulation needs two consecutive years before the programme; there are none with this outcome")
    changes = pd.concat({y: wide[y] - wide[y - 1] for y in years}).dropna()
    span = max(2, study.treatment.reference_year - study.baseline.year)
    once, over = (sd_of_change(before, outcome, h, before=study.baseline.year + 1) for h in (1, span))
    if not once["sd"] > 0:
        raise DesignError("the outcome does not vary from year to year before the programme")
    lasting = float(np.clip((over["sd"] ** 2 - once["sd"] ** 2) / (span - 1), 0.0, once["sd"] ** 2))
    branch = before.firms["branch"].reindex(changes.index.get_level_values(1)).to_numpy() if "branch" in before.firms else None
    groups = changes.groupby([changes.index.get_level_values(0), *([] if branch is None else [branch])])
    residual = changes - groups.transform("mean")
    pairs = pd.concat([wide[[y - 1, y]].set_axis(["a", "b"], axis=1).dropna() for y in years])
    return Future(
        lasting=lasting,
        passing=(once["sd"] ** 2 - lasting) / 2,
        basis=over["basis"],
        shapes=(residual / residual.std()).to_numpy(),
        icc=_icc(residual, groups.ngroup().to_numpy(), before.firms) if study.power.icc is None else study.power.icc,
        attrition=once["lost"] if study.power.attrition is None else study.power.attrition,
        silent=float(wide[study.baseline.year].isna().mean()) if study.baseline.year in wide else 0.0,
        autocorrelation=float(pairs.corr().iloc[0, 1]),
    )


def _icc(residual: pd.Series, blocks: np.ndarray, firms: pd.DataFrame) -> float:
    """The share of the yearly change that firms of one business cluster have in common, in each year and branch."""
    if "business_cluster" not in firms or firms["business_cluster"].isna().all():
        return 0.0
    cluster = firms["business_cluster"].reindex(residual.index.get_level_values(1)).to_numpy()
    inside = pd.notna(cluster)
    groups = np.unique(cluster[inside].astype(str), return_inverse=True)[1]
    return float(np.nan_to_num(intraclass(residual.to_numpy()[inside], groups, blocks[inside])))


def _draws(job: tuple) -> np.ndarray:
    """Estimate, standard error and degrees of freedom of some draws."""
    before, sample, study, outcome, future, seeds = job
    rows = []
    with collected():
        for seed in seeds:
            panel = _continued(before, outcome.id, study, future, np.random.default_rng(seed))
            try:
                row = at_reference(
                    estimate(panel, sample, study, outcome, year=study.treatment.reference_year), study.treatment.reference_year
                )
            except (DesignError, EstimationError):
                row = {"estimate": np.nan, "std_error": np.nan, "df": np.nan}
            rows.append([row["estimate"], row["std_error"], row["df"]])
    return np.array(rows, float)


def _continued(before: Panel, outcome: str, study: Study, future: Future, rng: np.random.Generator) -> Panel:
    """The panel with a future drawn for every firm, up to the reference year."""
    wide = before.wide(outcome)
    base, last = study.baseline.year, study.treatment.reference_year
    years = np.arange(base + 1, last + 1)
    n = len(wide)
    cluster, _ = pd.factorize(before.firms.get("business_cluster", pd.Series(index=wide.index, dtype=object)))
    alone = cluster < 0
    cluster = np.where(alone, cluster.max(initial=-1) + 1 + np.cumsum(alone), cluster)
    level = wide[base].to_numpy() if base in wide else np.full(n, np.nan)
    # the base year's own passing shock is in its level and will be gone
    path = level - np.sqrt(future.passing) * _shocks(future, cluster, rng)
    stays = np.ones(n, bool)
    columns = {}
    for year in years:
        path = path + np.sqrt(future.lasting) * _shocks(future, cluster, rng)
        stays &= rng.random(n) >= future.attrition
        seen = stays & (rng.random(n) >= future.silent)
        columns[int(year)] = np.where(seen, path + np.sqrt(future.passing) * _shocks(future, cluster, rng), np.nan)
    both = pd.concat([wide, pd.DataFrame(columns, index=wide.index)], axis=1)
    long = both.stack(future_stack=True).dropna().rename(outcome).rename_axis(["firm_id", "period"])
    return Panel(before.firms, long.to_frame(), before.ledger)


def _shocks(future: Future, cluster: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Standardised shocks, one a firm: what its cluster shares, and its own, drawn from the yearly changes seen."""
    own = rng.choice(future.shapes, len(cluster))
    shared = rng.standard_normal(cluster.max() + 1)[cluster]
    return np.sqrt(future.icc) * shared + np.sqrt(1 - future.icc) * own
