"""Several outcomes, several groups, several doses: what one study says when it is asked more than one question."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..data.load import Tables
from ..data.panel import NEVER, Panel
from ..data.support import support_table
from ..did.att_gt import att_gt
from ..did.dose import dose_slope, dose_trend
from ..did.effects import Effects, joined
from ..did.estimate import at_reference, by_period, prepared
from ..did.multiple import holm, romano_wolf, sharpened_q, summary_index
from ..did.subgroups import difference_table, equality_test, spillover_effects, subgroup_effects
from ..errors import DataError, DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..study.specs import Outcome, Study

REFUSED = (DataError, DesignError, EstimationError)
TIDY = ["estimate", "std_error", "df", "p_value", "conf_low", "conf_high", "n_treated", "n_control"]
INDEX = "summary_index"


def multiplicity_table(panel: Panel, sample: MatchedSample, study: Study, cells: dict[str, Effects | None]) -> pd.DataFrame:
    """One row an outcome of `cells` and one for their summary index: p-values on their own and among the others.

    Columns `outcome, estimate, std_error, p_value, p_holm, p_romano_wolf` (family-wise), `q_sharpened` (false discoveries). The
    index (Anderson 2008) is in standard deviations of the comparison firms, one test of all: outside the family.
    """
    year = study.treatment.reference_year
    rows = {}
    for key, found in cells.items():
        if found is not None:
            effects = by_period(found)
            place = np.flatnonzero(effects.table["period"] == year)
            if len(place) and np.isfinite(effects.table["std_error"].iloc[place[0]]):
                rows[key] = effects.only(place[:1])
    columns = ["outcome", "estimate", "std_error", "p_value", "p_holm", "p_romano_wolf", "q_sharpened"]
    if not rows:
        return pd.DataFrame(columns=columns)
    family = joined(rows, "outcome")
    with collected():
        stepped = romano_wolf(family, study.did.draws, study.did.seed)
    table = family.table[["outcome", "estimate", "std_error", "p_value"]].copy()
    table["p_holm"], table["p_romano_wolf"] = holm(table["p_value"]), np.maximum(stepped.to_numpy(), table["p_value"])
    table["q_sharpened"] = sharpened_q(table["p_value"])
    index = _index_row(panel, sample, study, list(rows))
    return pd.concat([table, index], ignore_index=True)[columns] if len(index) else table[columns]


def _index_row(panel: Panel, sample: MatchedSample, study: Study, keys: Sequence[str]) -> pd.DataFrame:
    """The effect on the summary index of the outcomes that are differences, among the firms of the headline.

    A price index is 1 in the base year for every firm: what does not vary there has no standard deviation to be measured in.
    """
    base = panel.outcomes.xs(study.baseline.year, level="period")
    linear = [o for o in map(study.outcome, keys) if o.scale != "poisson" and not o.among and base[o.id].nunique() > 1]
    if len(linear) < 2:
        return pd.DataFrame()
    signs = {o.id: 1 if o.direction == "increase" else -1 for o in linear}
    try:
        with collected():
            firms, spec = prepared(panel, sample, study, linear[0])
            scored = summary_index(firms, signs, study.baseline.year)
            weights = sample if study.headline == "matched" else None
            row = at_reference(att_gt(scored, "index", spec, weights), study.treatment.reference_year)
    except REFUSED:
        return pd.DataFrame()
    return pd.DataFrame([{"outcome": INDEX, **row[["estimate", "std_error", "p_value"]]}])


def subgroup_table(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> pd.DataFrame:
    """One row a column of `sensitivity.subgroups` and value: the effect among those firms, and whether effects differ.

    Columns `column, group`, tidy, `p_equal` (that all groups of the column have one effect), `difference` (from the rest),
    `p_difference` (Holm within the column), `note`.
    """
    year, parts = study.treatment.reference_year, []
    for column in study.sensitivity.subgroups:
        try:
            with collected():
                firms, spec = prepared(panel, sample, study, outcome, "common_support")
                if column not in firms.firms:
                    raise DesignError(f"sensitivity.subgroups names '{column}', which firms do not have")
                left = spec.changed({"covariates": tuple(c for c in spec.covariates if c != column)})
                effects = subgroup_effects(firms, outcome.id, firms.firms[column].dropna().astype(str), left, period=year)
                parts.append(_compared(effects).assign(column=column))
        except REFUSED as error:
            parts.append(pd.DataFrame([{"column": column, "group": "", "note": str(error)}]))
    columns = ["column", "group", *TIDY, "p_equal", "difference", "p_difference", "note"]
    return pd.concat(parts, ignore_index=True).reindex(columns=columns) if parts else pd.DataFrame(columns=columns)


def _compared(effects: Effects) -> pd.DataFrame:
    table = effects.table
    equal = equality_test(effects)
    against = difference_table(effects, against="rest").set_index("group").reindex(table["group"])
    return table[["group", *TIDY]].assign(
        p_equal=equal["p_value"],
        difference=against["estimate"].to_numpy(),
        p_difference=against["p_holm"].to_numpy(),
        note=table["reason"],
    )


def dose_table(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, tables: Tables) -> pd.DataFrame:
    """One row a way to divide the support received: effects by dose, component and assistance, and the slope over the amount.

    Each group of participants is set against all comparison firms. Firms were not assigned their dose: differences between groups
    are associations, adjusted for the study's covariates (strong parallel trends, Callaway, Goodman-Bacon and Sant'Anna 2024).

    Columns `division` (dose, component, assistance, trend, per_thousand_usd), `group`, tidy, `p_equal`, `note`.
    """
    columns = ["division", "group", *TIDY, "p_equal", "note"]
    if "services" not in tables:
        return pd.DataFrame(columns=columns)
    year, parts = study.treatment.reference_year, []
    support = support_table(tables, study, year)
    try:
        firms, spec = prepared(panel, sample, study, outcome, "common_support")
    except REFUSED:
        return pd.DataFrame(columns=columns)
    entered = firms.firms.index[firms.firms["cohort"] <= year]
    for division in ("dose", "component", "assistance"):
        groups = support[division].reindex(entered).dropna()
        groups = groups.cat.remove_unused_categories() if len(groups) else groups
        if groups.nunique() < 2:
            continue
        try:
            with collected():
                effects = subgroup_effects(firms, outcome.id, groups, spec, within=False, period=year)
                rows = effects.table[["group", *TIDY]].assign(division=division, p_equal=equality_test(effects)["p_value"])
                parts.append(rows.assign(note=effects.table["reason"]))
                if division == "dose":
                    trend = dose_trend(effects, direction=outcome.direction)
                    parts.append(pd.DataFrame([{"division": "trend", "group": "per_step", **trend.reindex(TIDY)}]))
        except REFUSED as error:
            parts.append(pd.DataFrame([{"division": division, "group": "", "note": str(error)}]))
    try:
        with collected():
            amount = support["received_usd"].reindex(entered).dropna() / 1000
            slope = dose_slope(firms, outcome.id, amount, year, spec).table.iloc[0]
        parts.append(pd.DataFrame([{"division": "per_thousand_usd", "group": "slope", **slope.reindex(TIDY)}]))
    except REFUSED as error:
        parts.append(pd.DataFrame([{"division": "per_thousand_usd", "group": "slope", "note": str(error)}]))
    table = pd.concat(parts, ignore_index=True).reindex(columns=columns)
    return table.assign(group=table["group"].astype(str), note=table["note"].fillna(""))


def spillover_table(everyone: Panel, panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> pd.DataFrame:
    """Three rows, `spillover_effects` of the first cohort's year: indirect, direct, and direct with reached firms as controls.

    Empty where no firm was reached indirectly, and for a Poisson outcome.
    """
    columns = ["term", *TIDY, "note"]
    firms = everyone.firms
    if "arm" not in firms or not (firms["arm"] == "indirect").any() or outcome.scale == "poisson":
        return pd.DataFrame(columns=columns)
    controls = panel.firms.index[(panel.firms["cohort"] == NEVER) & panel.firms.index.isin(sample.scores.index)]
    reached = firms.index[firms["arm"] == "indirect"]
    start = int(firms.loc[np.isfinite(firms["cohort"]), "cohort"].min())
    try:
        with collected():
            found = spillover_effects(everyone, outcome.id, reached, controls, start, study.did, study.treatment.reference_year)
    except REFUSED as error:
        return pd.DataFrame([{"term": "indirect", "note": str(error)}]).reindex(columns=columns)
    return found.table.rename(columns={"reason": "note"}).reindex(columns=columns)
