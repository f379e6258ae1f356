"""Randomisation inference: how the effect in one period would look had the cohorts fallen on other firms."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..errors import DesignError, EstimationError, some
from ..study.specs import DidSpec
from .inference import NO_VARIANCE, cluster_codes
from .stacked import Block, Ends, block_scores, blocks, ends_of

CHUNK = 50  # permutations a job
MOST_FAILED = 0.05


class _Deal(NamedTuple):
    """How cohorts are dealt: each of `firms` (positions) is of a `unit`, whose first firm is `first`; units of a class may swap.

    `scheme` is one of those of `randomisation_test`.
    """

    firms: np.ndarray
    unit: np.ndarray
    first: np.ndarray
    classes: list[np.ndarray]
    scheme: Literal["firms", "clusters", "labels"]


def randomisation_test(
    panel: Panel,
    outcome: str,
    spec: DidSpec,
    period: int,
    unit: str | pd.Series = "firm_id",
    strata: Sequence[str] = (),
    permutations: int = 999,
    executor: Executor | None = None,
) -> dict:
    """The share of reassignments of the cohorts with a studentised effect as far from zero as the one observed.

    Parameters
    ----------
    panel, outcome, spec, period
        As in `stacked_regression`, which refuses what is not linear; the seed is `spec.seed`.
    unit : str or Series
        Who was assigned together: `firm_id`, a column of the firms, or labels by firm. A firm without a label is on its own.
    strata : sequence of str
        Columns of the firms; cohorts are dealt again within their combinations only.
    permutations : int
        How many.
    executor : Executor, optional
        Of `concurrent.futures`; the numbers do not depend on it.

    Returns
    -------
    dict
        `estimate`, `statistic` (estimate / CR1 by unit), `p_value` = (1 + #)/(1 + permutations), `permutations` (that could be
        estimated), `scheme` (`firms`, `clusters`, or `labels`).

    Raises
    ------
    DesignError
        Where nothing can be dealt again.
    EstimationError
        When the effect has no variation, or more than one permutation in twenty cannot be estimated.

    Notes
    -----
    The hypothesis is that no firm has any effect. Firms that enter a cell of the period are dealt to again, by one of:

    * `firms`: firms take each other's cohort and keep their label; where firms are the units, or clusters hold treated and
      untreated firms.
    * `clusters`: whole clusters take each other's cohort among those of like size (1, 2–3, 4–7, 8–15 … firms), where each
      such size with treated clusters has untreated ones.
    * `labels`: where it has not, as when comparison firms stand alone, cohort and label move together from firm to firm.
      Sizes stay, but nothing links the firms of a dealt cluster: the test is no longer exact, and holds as far as the
      studentised statistic does not depend on that link.

    MacKinnon and Webb (2020), who compare t with coefficients; Janssen (1997) for studentising.

    Examples
    --------
    >>> frame = pd.DataFrame({"firm": np.repeat(list("abcdefgh"), 2), "year": [1, 2] * 8, "start": np.repeat([2, 0], 8)})
    >>> frame["y"] = [1.0, 6, 2, 8, 1, 5, 4, 9, 2, 3, 3, 3, 1, 2, 2, 4]
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> found = randomisation_test(panel, "y", DidSpec(), 2, permutations=199)
    >>> found["estimate"], found["p_value"] < 0.1, found["scheme"]
    (4.0, True, 'firms')
    """
    return reassigned(ends_of(panel, outcome, spec, period, None), panel.firms, spec, unit, strata, permutations, executor)


def reassigned(
    ends: Ends,
    firms: pd.DataFrame,
    spec: DidSpec,
    unit: str | pd.Series = "firm_id",
    strata: Sequence[str] = (),
    permutations: int = 999,
    executor: Executor | None = None,
) -> dict:
    """`randomisation_test` on what `ends_of` has read, whose weights stay with the firms and are taken as known."""
    cohort = firms["cohort"].to_numpy(float)
    codes = _units(firms, unit)
    deal = _dealt(firms, codes, blocks(ends, cohort, spec), strata)
    estimate, statistic = _studentised(ends, cohort, codes, spec)
    if not np.isfinite(statistic):
        raise EstimationError("the effect has no variation between units: nothing to studentise it by. Look at the outcome")
    seeds = np.random.SeedSequence(spec.seed).spawn(permutations)
    jobs = [seeds[start : start + CHUNK] for start in range(0, permutations, CHUNK)]
    run = map if executor is None else executor.map
    drawn = np.concatenate(list(run(partial(_permuted, ends, cohort, codes, deal, spec), jobs)))
    known = drawn[~np.isnan(drawn)]
    if len(known) < (1 - MOST_FAILED) * permutations:
        raise EstimationError(
            f"{permutations - len(known)} of {permutations} reassignments cannot be estimated: covariates or few firms do not "
            "allow each. Likeliest first: (1) merge rare levels; (2) fewer covariates; (3) strata that keep groups alike"
        )
    beyond = int((np.abs(known) >= np.abs(statistic) * (1 - 1e-10)).sum())
    return {
        "estimate": estimate,
        "statistic": statistic,
        "p_value": (1 + beyond) / (1 + len(known)),
        "permutations": len(known),
        "scheme": deal.scheme,
    }


def _units(firms: pd.DataFrame, unit: str | pd.Series) -> np.ndarray:
    """The number of its unit, a firm."""
    if isinstance(unit, str) and unit != "firm_id" and unit not in firms.columns:
        raise DesignError(f"unit must be firm_id or a column of the panel's firms: {list(firms.columns)}; found '{unit}'")
    labels = firms.get(unit) if isinstance(unit, str) else unit
    return cluster_codes(labels, firms.index)


def _dealt(firms: pd.DataFrame, codes: np.ndarray, made: list[Block], strata: Sequence[str]) -> _Deal:
    """Who may swap with whom."""
    cohort = firms["cohort"].to_numpy(float)
    absent = [s for s in strata if s not in firms.columns]
    if absent:
        raise DesignError(f"strata must be columns of the panel's firms: {list(firms.columns)}; not found: {absent}")
    inside = np.unique(np.concatenate([b.rows for b in made]))
    stratum = np.zeros(len(cohort), int) if not strata else firms.groupby(list(strata), dropna=False).ngroup().to_numpy()
    treated = np.unique(np.concatenate([b.rows[b.d == 1] for b in made]))
    unit = np.unique(codes[inside], return_inverse=True)[1]
    first = inside[np.unique(unit, return_index=True)[1]]
    grouped = len(first) < len(inside)
    alike = (cohort[first][unit] == cohort[inside]).all() and (stratum[first][unit] == stratum[inside]).all()
    sizes = np.log2(np.bincount(unit)).astype(int)
    kind = np.unique(np.column_stack([stratum[first], sizes]), axis=0, return_inverse=True)[1].ravel()
    has = np.isin(first, treated)
    if grouped and alike and all((~has[kind == k]).any() for k in np.unique(kind[has])):
        return _Deal(inside, unit, first, [np.flatnonzero(kind == k) for k in np.unique(kind)], "clusters")
    whole = grouped and (has[unit] == np.isin(inside, treated)).all()
    classes = [np.flatnonzero(stratum[inside] == s) for s in np.unique(stratum[inside])]
    if not any(len(np.unique(cohort[inside[c]])) > 1 for c in classes):
        raise DesignError(
            f"no firm can change its cohort within strata {list(strata)}: treated firms {some(firms.index[treated])} have no "
            "untreated firm beside them. Use fewer strata"
        )
    return _Deal(inside, np.arange(len(inside)), inside, classes, "labels" if whole else "firms")


def _permuted(ends: Ends, cohort, codes, deal: _Deal, spec: DidSpec, seeds) -> np.ndarray:
    """The studentised effect of one job's permutations; NaN where one cannot be estimated."""
    out = np.full(len(seeds), np.nan)
    for j, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        source = np.arange(len(deal.first))
        for members in deal.classes:
            source[members] = rng.permutation(members)
        to, given = deal.firms, deal.first[source][deal.unit]
        new_cohort, new_codes = cohort.copy(), codes
        new_cohort[to] = cohort[given]
        if deal.scheme == "labels":
            new_codes = codes.copy()
            new_codes[to] = codes[given]
        try:
            out[j] = _studentised(ends, new_cohort, new_codes, spec)[1]
        except (EstimationError, DesignError, np.linalg.LinAlgError):
            continue
    return out


def _studentised(ends: Ends, cohort: np.ndarray, codes: np.ndarray, spec: DidSpec) -> tuple[float, float]:
    """The effect, and its distance from zero in standard errors by unit (CR1)."""
    made = blocks(ends, cohort, spec)
    share = np.array([b.w @ b.d for b in made])
    share = share / share.sum()
    scores = [block_scores(b) for b in made]
    estimate = float(share @ [s[0] for s in scores])
    rows = np.concatenate([codes[b.rows] for b in made])
    sums = np.bincount(rows, np.concatenate([p * s[1] for p, s in zip(share, scores, strict=True)]))
    groups = len(np.unique(rows))
    variance = (sums**2).sum() * groups / max(groups - 1, 1)
    scale = NO_VARIANCE * max(np.abs(b.y).max() for b in made)
    if variance <= scale**2:  # an effect without a residual is as far out as can be: dropping it would favour the sample's
        return estimate, np.inf if abs(estimate) > scale else np.nan
    return estimate, float(estimate / np.sqrt(variance))
