"""Amounts with zeros, such as exports: does the firm sell at all, how much if it did before and after, how much in total.

The three answer different questions and are shown side by side; none is a logarithm of zero.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..data.transformed import refuse_log_of_zero
from ..errors import DesignError, EstimationError, Note, collected, warn
from ..matching.matched import MatchedSample
from ..study.specs import DidSpec
from .aggregate import aggregate
from .att_gt import PLAIN, att_gt
from .effects import TIDY, Effects, joined
from .poisson import amounts, poisson_att

MARGINS = ("extensive", "intensive", "total")


def margin_effects(
    panel: Panel,
    outcome: str,
    spec: DidSpec = PLAIN,
    weights: pd.Series | MatchedSample | None = None,
    clusters: pd.Series | None = None,
    year: int | None = None,
) -> Effects:
    """Three rows (`margin`: extensive, intensive, total) over the same firms, so that joint tests across them hold.

    Parameters
    ----------
    panel, outcome, spec, weights, clusters
        As in `att_gt`; the outcome is an amount of at least 0, closed firms being zero where that is meant.
    year : int, optional
        The row of that year; by default the mean effect after entry.

    Returns
    -------
    Effects
        `extensive`: change in the share of firms with a positive amount (a difference of proportions). `intensive`: change in the
        log amount among firms positive at both ends of a cell. `total`: log ratio of the treated firms' total to its
        counterfactual, zeros included (`poisson_att`). Keys `margin`, `conditional`, and `period` when a year is given.
        A margin that cannot be estimated has no row, and a note says why.

    Raises
    ------
    DesignError
        When the name says log(1 + x) or asinh, no margin can be estimated, or the year has no row.
    EstimationError
        When the outcome is negative.

    Notes
    -----
    The intensive row is `conditional`: which firms are positive after entry is something the programme may move, so it is
    no effect on a fixed group of firms. A programme that brings small sellers in lowers it without hurting anyone. It
    compares both ends of a cell whatever `spec` says: `sampling: cross_sections` and `method: imputation` become
    `both_ends` and `dr` there. The other two rows are effects on all treated firms.
    """
    refuse_log_of_zero(outcome)
    amounts(panel, outcome)
    parts, reasons, notes = {}, {}, []
    with collected() as raised:
        for name in MARGINS:
            try:
                effects = _margin(panel, outcome, name, (spec, weights, clusters), "overall" if year is None else "period")
                parts[name] = _row(effects, name, year)
            except (DesignError, EstimationError) as error:
                reasons[name] = error
    if not parts:
        raise reasons["total"]
    for name, error in reasons.items():
        raised.append(Note("margin_undefined", "{margin} margin not estimated: {reason}", {"margin": name, "reason": str(error)}))
    notes = tuple(warn(n) for n in raised)
    return replace(joined(parts, "margin"), notes=notes)


def margins_table(
    panel: Panel,
    outcome: str,
    spec: DidSpec = PLAIN,
    weights: pd.Series | MatchedSample | None = None,
    clusters: pd.Series | None = None,
    year: int | None = None,
) -> pd.DataFrame:
    """One row a margin: its effect, and what it is as a share.

    Takes what `margin_effects` takes. `conditional` marks the intensive row. `share, share_low, share_high` are the effect as
    a share: of the counterfactual (exp − 1) for intensive and total, of all firms for extensive (0.05: five in a hundred
    firms more). A margin that cannot be estimated is NaN.

    Examples
    --------
    >>> amounts = {"a": [2, 4, 9], "b": [0, 2, 15], "c": [1, 3, 2], "d": [3, 0, 4], "e": [2, 3, 6], "f": [4, 3, 12]}
    >>> rows = [(firm, year, y, 3 if firm in "abf" else 0) for firm, v in amounts.items() for year, y in enumerate(v, 1)]
    >>> frame = pd.DataFrame(rows, columns=["firm", "year", "y", "start"])
    >>> panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    >>> import warnings; warnings.simplefilter("ignore")
    >>> margins_table(panel, "y")[["margin", "conditional", "share"]].round(3).to_dict("list")
    {'margin': ['extensive', 'intensive', 'total'], 'conditional': [False, True, False], 'share': [-0.333, 2.526, 1.4]}
    """
    table = margin_effects(panel, outcome, spec, weights, clusters, year).table
    table = table.set_index("margin").reindex(list(MARGINS)).rename_axis("margin").reset_index()
    table["conditional"] = table["margin"] == "intensive"
    if year is not None:
        table["period"] = year
    ends = {"share": "estimate", "share_low": "conf_low", "share_high": "conf_high"}
    log = table["margin"] != "extensive"
    return table.assign(**{share: np.expm1(table[end]).where(log, table[end]) for share, end in ends.items()})


def transition_table(status: pd.Series, arm: pd.Series, base: int, last: int) -> pd.DataFrame:
    """One row an arm, status in the base year and status in the last: firms seen in both years, and their share.

    Parameters
    ----------
    status : Series
        By (`firm_id`, `period`): for instance none, indirect, direct; missing where not seen.
    arm : Series
        By `firm_id`; firms without an arm are left out.
    base, last : int
        Periods compared.

    Returns
    -------
    DataFrame
        `arm, from, to, n, share`, the share of the arm's firms that started from there. Empty when a period is missing.

    Examples
    --------
    >>> index = pd.MultiIndex.from_product([["a", "b", "c"], [2003, 2006]], names=["firm_id", "period"])
    >>> status = pd.Series(["none", "direct", "none", "none", "none", None], index)
    >>> transition_table(status, pd.Series("treated", ["a", "b", "c"]), 2003, 2006).to_dict("records")[0]
    {'arm': 'treated', 'from': 'none', 'to': 'direct', 'n': 1, 'share': 0.5}
    """
    wide = status.unstack()
    if base not in wide or last not in wide:
        return pd.DataFrame(columns=["arm", "from", "to", "n", "share"])
    both = pd.DataFrame({"arm": arm, "from": wide[base], "to": wide[last]}).dropna()
    table = both.groupby(["arm", "from", "to"], as_index=False, observed=True).size().rename(columns={"size": "n"})
    return table.assign(share=table["n"] / table.groupby(["arm", "from"], observed=True)["n"].transform("sum"))


def _margin(panel: Panel, outcome: str, margin: str, choices: tuple, by: str) -> Effects:
    """The effects on one margin by year or overall; `choices` are spec, weights and clusters."""
    spec, weights, clusters = choices
    if margin == "total":
        return poisson_att(panel, outcome, spec, weights, clusters, by=by)
    y = panel.outcomes[outcome]
    if margin == "extensive":
        y = (y > 0).astype(float).where(y.notna())
    else:
        y = np.log(y.where(y > 0))
        method = "dr" if spec.method == "imputation" else spec.method
        spec = spec.changed({"sampling": "both_ends", "method": method})
    changed = Panel(panel.firms, panel.outcomes.assign(**{outcome: y}), panel.ledger)
    return aggregate(att_gt(changed, outcome, spec, weights, clusters), by)


def _row(effects: Effects, margin: str, year: int | None) -> Effects:
    """The row of a year, or the only row, under the keys of a margin."""
    keys = {"conditional": margin == "intensive"}
    rows = np.arange(1)
    if year is not None:
        found = effects.table["period"]
        rows, keys = np.flatnonzero(found == year), {"period": year} | keys
        if len(rows) == 0:
            years = ", ".join(f"{p:g}" for p in found.dropna())
            raise DesignError(f"no effect in {year}: the years with treated and comparison firms are {years}")
    table = effects.table.iloc[rows][list(TIDY)].assign(**keys)[[*keys, *TIDY]].reset_index(drop=True)
    arrays = {name: getattr(effects, name)[:, rows] for name in ("influence", "treated_weight", "control")}
    return replace(effects, table=table, **arrays)
