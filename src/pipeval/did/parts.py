"""Outcomes in their parts, as a study's tables: amounts by margin, ratios by term, shares within bounds, sales by price."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.load import Tables
from ..data.panel import Panel
from ..data.prices import price_indices, value_decomposition
from ..errors import DataError, DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..study.specs import Study
from .effects import Effects
from .estimate import prepared
from .margins import margins_table
from .ratios import ratio_table, share_table

REFUSED = (DataError, DesignError, EstimationError)
NUMBERS = [
    "estimate", "std_error", "p_value", "conf_low", "conf_high", "share", "share_low", "share_high", "n_treated", "n_control",
]  # fmt: skip


def margin_rows(panel: Panel, sample: MatchedSample, study: Study) -> pd.DataFrame:
    """One row an amount with zeros and margin (extensive, intensive, total), in the reference year: `outcome, margin`, numbers."""
    rows = []
    weights = sample if study.headline == "matched" else None
    for outcome in (o for o in study.outcomes if o.scale == "poisson"):
        try:
            with collected():
                firms, spec = prepared(panel, sample, study, outcome)
                table = margins_table(firms, outcome.id, spec, weights, year=study.treatment.reference_year)
        except REFUSED:
            continue
        rows.append(table.assign(outcome=outcome.id))
    columns = ["outcome", "margin", *NUMBERS]
    return pd.concat(rows, ignore_index=True).reindex(columns=columns) if rows else pd.DataFrame(columns=columns)


def ratio_rows(panel: Panel, sample: MatchedSample, study: Study) -> pd.DataFrame:
    """Three rows a ratio on a log scale whose numerator and denominator are outcomes too: `outcome, part`, numbers.

    All three speak of the firms and years in which both terms are known, so the ratio's effect is exactly that of its numerator
    less that of its denominator; it may differ from the headline's, which needs the ratio alone.
    """
    rows = []
    weights = sample if study.headline == "matched" else None
    for outcome in (o for o in study.outcomes if o.per is not None and o.scale == "log"):
        top, bottom = (_log_of(study, measure) for measure in (outcome.measure, outcome.per))
        if top is None or bottom is None:
            continue
        try:
            with collected():
                firms, spec = prepared(panel, sample, study, outcome)
                table = ratio_table(firms, top, bottom, spec, study.treatment.reference_year, weights)
        except REFUSED:
            continue
        part = table["part"].map({top: "numerator", bottom: "denominator"}).fillna("ratio")
        rows.append(table.assign(outcome=outcome.id, part=part))
    columns = ["outcome", "part", *NUMBERS]
    return pd.concat(rows, ignore_index=True).reindex(columns=columns) if rows else pd.DataFrame(columns=columns)


def _log_of(study: Study, measure: str) -> str | None:
    return next((o.id for o in study.outcomes if o.measure == measure and o.per is None and o.scale == "log" and not o.among), None)


def share_rows(panel: Panel, study: Study, cells: dict[str, Effects | None]) -> pd.DataFrame:
    """One row a share or yes/no outcome: what the treated reached and what they would have, `share_table` in the reference year."""
    rows = []
    for key, found in cells.items():
        if found is None or study.outcome(key).scale not in ("share", "yes_no") or "weight_treated" not in found.table:
            continue
        try:
            with collected():
                table = share_table(panel, key, found)
        except REFUSED:
            continue
        rows.append(table[table["period"] == study.treatment.reference_year].assign(outcome=key))
    columns = ["outcome", "observed", "effect", "counterfactual", "conf_low", "conf_high", "outside", "n_treated", "n_control"]
    return pd.concat(rows, ignore_index=True).reindex(columns=columns) if rows else pd.DataFrame(columns=columns)


def price_rows(tables: Tables, panel: Panel, study: Study) -> pd.DataFrame:
    """One row a group (treated, comparison): how the value of what it sold changed since the base year, current prices.

    Columns as `value_decomposition` (value = quantity × mix × price of the items sold in both years; price is Fisher's, between
    `laspeyres` and `paasche`), `group` in front. Firms, not their matches: what happened, not an effect. Quantities of unlike
    units are not added.
    """
    parts = ["value", "price", "laspeyres", "paasche", "volume", "quantity", "mix", "total", "entered", "left"]
    columns = ["group", *parts, "n_items"]
    if "product_sales" not in tables:
        return pd.DataFrame(columns=columns)
    sales, cohort = tables["product_sales"], panel.firms["cohort"]
    group = pd.Series(np.where(np.isinf(cohort), "comparison", "treated"), cohort.index)
    group = group[(cohort <= study.treatment.reference_year) | np.isinf(cohort)]
    lines = sales[sales["firm_id"].isin(group.index)]
    value = lines[f"value_k{study.programme.currency.lower()}"]
    years = study.baseline.year, study.treatment.reference_year
    lines = lines.assign(period=lines["ref_year"], value=value, group=group.reindex(lines["firm_id"]).to_numpy())
    try:
        lines = lines[lines["ref_year"].isin(years)]
        table = value_decomposition(lines, years[0], by="group")
        table = table.join(price_indices(lines, years[0], by="group")[["laspeyres", "paasche"]]).reset_index()
    except REFUSED:
        return pd.DataFrame(columns=columns)
    return table[table["period"] == years[1]].reindex(columns=columns)
