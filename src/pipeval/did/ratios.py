"""Ratios taken apart and shares kept within bounds: value added per job is value added less jobs, in logs, on the same firms."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit

from ..data.panel import Panel
from ..data.transformed import refuse_log_of_zero
from ..errors import DataError, DesignError, Note, collected, some, warn
from ..matching.matched import MatchedSample
from ..study.files import nearest
from ..study.specs import DidSpec
from .aggregate import aggregate
from .att_gt import PLAIN, att_gt
from .effects import TIDY, Effects, effects_from, joined

By = Literal["cell", "overall", "cohort", "event_time", "period"]
RATIO = "ratio"


def ratio_effects(
    panel: Panel,
    top: str,
    bottom: str,
    spec: DidSpec = PLAIN,
    weights: pd.Series | MatchedSample | None = None,
    clusters: pd.Series | None = None,
    by: By = "cell",
) -> Effects:
    """Rows for numerator, denominator and ratio (`part`: their names and `ratio`), on the firms and periods where both are seen.

    Parameters
    ----------
    panel, spec, weights, clusters
        As in `att_gt`.
    top, bottom : str
        Outcomes in logs, for instance log value added and log jobs.
    by : str
        `cell`: one row a cohort and period of each part; otherwise the summaries of `aggregate`.

    Returns
    -------
    Effects
        effect(ratio) = effect(top) − effect(bottom), to rounding, row by row. The influence of the three stands side by
        side, so bands and joint tests over them hold.

    Raises
    ------
    DesignError
        When both parts are the same column or one is called `ratio`, a name says log(1 + x) or asinh, or with `lag: ancova`,
        which adjusts each part for its own level before entry: then the parts do not add up.

    Notes
    -----
    The estimators are linear in the outcome once firms, weights and covariates are the same; a ratio and its parts
    estimated on whoever answered each need not add up.

    Examples
    --------
    >>> rows = [("a", 1, 1.0, 0.0), ("a", 2, 1.5, -0.2), ("b", 1, 2.0, 0.0), ("b", 2, 2.3, 0.0)]
    >>> rows += [("c", 1, 1.0, 1.0), ("c", 2, 1.2, 1.1), ("d", 1, 1.0, 1.0), ("d", 2, 1.0, 1.1)]
    >>> frame = pd.DataFrame(rows, columns=["firm", "year", "ln_va", "ln_jobs"])
    >>> frame["start"] = frame["firm"].isin(["a", "b"]) * 2
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["ln_va", "ln_jobs"])
    >>> import warnings; warnings.simplefilter("ignore")
    >>> ratio_effects(panel, "ln_va", "ln_jobs", by="overall").table[["part", "estimate"]].round(3).to_dict("list")
    {'part': ['ln_va', 'ln_jobs', 'ratio'], 'estimate': [0.3, -0.2, 0.5]}
    """
    if len({top, bottom, RATIO}) < 3:
        raise DesignError(f"a ratio needs two outcomes, neither called '{RATIO}'; found '{top}' and '{bottom}'")
    if spec.lag == "ancova":
        raise DesignError("with lag: ancova each part is adjusted for its own level, and parts do not add up; use lag: difference")
    values = {}
    for name in (top, bottom):
        refuse_log_of_zero(name)
        if name not in panel.outcomes:
            raise DesignError(f"outcome '{name}' is not in the panel; {nearest(name, panel.outcomes.columns)}")
        values[name] = panel.outcomes[name]
    both = values[top].notna() & values[bottom].notna()
    if not both.any():
        raise DesignError(f"'{top}' and '{bottom}' are never seen together in a firm and period")
    values[RATIO] = values[top] - values[bottom]
    parts = {}
    with collected() as notes:
        for name in (top, bottom, RATIO):
            outcomes = panel.outcomes.assign(**{name: values[name].where(both)})
            cells = att_gt(Panel(panel.firms, outcomes, panel.ledger), name, spec, weights, clusters)
            parts[name] = cells if by == "cell" else aggregate(cells, by)
    found = joined(parts, "part")
    return replace(found, notes=tuple(warn(n) for n in notes))


def ratio_table(
    panel: Panel,
    top: str,
    bottom: str,
    spec: DidSpec = PLAIN,
    year: int | None = None,
    weights: pd.Series | MatchedSample | None = None,
    clusters: pd.Series | None = None,
) -> pd.DataFrame:
    """Three rows, numerator, denominator and ratio: their effect in a year (or over all) and as a share, exp − 1.

    Takes what `ratio_effects` takes. In shares the parts multiply: 1 + ratio = (1 + top) / (1 + bottom). A ratio that rises
    because its denominator fell is seen here.

    Raises
    ------
    DesignError
        When the year has no effect.

    Examples
    --------
    >>> rows = [("a", 1, 1.0, 0.0), ("a", 2, 1.5, -0.2), ("b", 1, 2.0, 0.0), ("b", 2, 2.3, 0.0)]
    >>> rows += [("c", 1, 1.0, 1.0), ("c", 2, 1.2, 1.1), ("d", 1, 1.0, 1.0), ("d", 2, 1.0, 1.1)]
    >>> frame = pd.DataFrame(rows, columns=["firm", "year", "ln_va", "ln_jobs"])
    >>> frame["start"] = frame["firm"].isin(["a", "b"]) * 2
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["ln_va", "ln_jobs"])
    >>> import warnings; warnings.simplefilter("ignore")
    >>> ratio_table(panel, "ln_va", "ln_jobs").set_index("part")["estimate"].round(6).to_dict()
    {'ln_va': 0.3, 'ln_jobs': -0.2, 'ratio': 0.5}
    """
    effects = ratio_effects(panel, top, bottom, spec, weights, clusters, by="overall" if year is None else "period")
    table = effects.table
    if year is not None:
        years = table["period"].dropna().unique()
        if year not in years:
            raise DesignError(f"no effect in {year}: the years with treated and comparison firms are {[int(y) for y in years]}")
        table = table[table["period"] == year].assign(period=year)
    ends = {"share": "estimate", "share_low": "conf_low", "share_high": "conf_high"}
    table = table.drop(columns="term").reset_index(drop=True)
    return table.assign(**{share: np.expm1(table[end]) for share, end in ends.items()})


def share_table(panel: Panel, outcome: str, effects: Effects, by: By = "period") -> pd.DataFrame:
    """One row a summary: the treated firms' mean share, and what it would have been with an interval within 0 and 1.

    Parameters
    ----------
    panel, outcome
        Those of `effects`; the outcome lies between 0 and 1.
    effects : Effects
        Cells of `att_gt`.
    by : str
        As in `aggregate`, or `cell`.

    Returns
    -------
    DataFrame
        Keys; `observed` (mean of the treated firms described), `effect`, `counterfactual` (observed − effect) with its
        `std_error`, `conf_low, conf_high`, `df`; `outside` when the straight line left the bounds; `n_treated, n_control,
        n_clusters`. The interval is NaN where the counterfactual is not inside the bounds.

    Raises
    ------
    DataError
        When values lie outside 0 and 1; it names the firms.
    DesignError
        When `effects` are not cells of `att_gt`.

    Notes
    -----
    The counterfactual's influence is that of the observed mean less that of the effect. The interval is the delta method on
    the logit: logit(c) ± t·se/(c(1 − c)), mapped back. A line that leaves the bounds says that parallel trends in the share
    itself cannot hold: a note names the rows.

    Examples
    --------
    >>> rows = [("a", 0.2, 0.6), ("b", 0.4, 0.6), ("c", 0.1, 0.2), ("d", 0.3, 0.6), ("e", 0.5, 0.4)]
    >>> long = [(f, t, v[t], 1 if f in "ab" else 0) for f, *v in rows for t in (0, 1)]
    >>> frame = pd.DataFrame(long, columns=["firm", "year", "y", "g"])
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="g", outcomes=["y"])
    >>> import warnings; warnings.simplefilter("ignore")
    >>> table = share_table(panel, "y", att_gt(panel, "y"), by="overall")
    >>> table[["observed", "effect", "counterfactual", "outside"]].round(3).to_dict("records")
    [{'observed': 0.6, 'effect': 0.2, 'counterfactual': 0.4, 'outside': False}]
    """
    wide = panel.wide(outcome).reindex(effects.firm_id)
    beyond = ((wide < 0) | (wide > 1)).any(axis=1)
    if beyond.any():
        raise DataError(
            f"a share lies between 0 and 1; outcome '{outcome}' does not for {some(wide.index[beyond])}. In per cent? Divide by 100"
        )
    if "weight_treated" not in effects.table:
        raise DesignError("share_table takes the cells of att_gt and summarises them itself (by=...)")
    with collected() as notes:
        seen = _observed(wide, effects)
        if by != "cell":
            effects, seen = aggregate(effects, by), aggregate(seen, by)
        keys = effects.table[[c for c in effects.table if c not in TIDY and not c.startswith("band_")]]
        observed, effect = (e.table["estimate"].to_numpy(float) for e in (seen, effects))
        arrays = seen.influence - effects.influence, effects.treated_weight, effects.control
        table = effects_from(keys, observed - effect, arrays, effects.firm_id, effects.clusters, effects.level).table
    low, high = _within_bounds(table, effects.level)
    outside = (table["estimate"] < 0) | (table["estimate"] > 1)
    table = keys.assign(
        observed=observed, effect=effect, counterfactual=table["estimate"], std_error=table["std_error"],
        conf_low=low, conf_high=high, df=table["df"], outside=outside, **table[["n_treated", "n_control", "n_clusters"]],
    )  # fmt: skip
    if outside.any():
        text = "the counterfactual share leaves 0 and 1 in {n} row(s): parallel trends in the share itself cannot hold there"
        notes.append(Note("share_out_of_bounds", text, {"n": int(outside.sum())}))
    for note in notes:
        if note not in effects.notes:
            warn(note)
    return table


def _observed(wide: pd.DataFrame, effects: Effects) -> Effects:
    """The treated firms' mean in the period of each cell, with its influence; firms not seen then are not in it."""
    table = effects.table
    y = wide[table["period"].tolist()].to_numpy(float)
    a = np.where(np.isnan(y), 0.0, effects.treated_weight)
    a = a / np.where(a.any(axis=0), a.sum(axis=0), np.nan)
    y = np.nan_to_num(y)
    mean = (a * y).sum(axis=0)
    keys = table[[c for c in table if c not in TIDY and not c.startswith("band_")]]
    arrays = a * (y - mean), effects.treated_weight, effects.control
    return effects_from(keys, mean, arrays, effects.firm_id, effects.clusters, effects.level)


def _within_bounds(table: pd.DataFrame, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the counterfactual's interval by the delta method on the logit; NaN outside (0, 1)."""
    c = table["estimate"].where((table["estimate"] > 0) & (table["estimate"] < 1)).to_numpy(float)
    half = stats.t.ppf((1 + level) / 2, table["df"]) * table["std_error"].to_numpy() / (c * (1 - c))
    return expit(logit(c) - half), expit(logit(c) + half)
