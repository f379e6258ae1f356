"""Estimates as a study's tables: paths, summaries with bands, one overall number, pre-trend tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.panel import Panel
from ..matching.matched import MatchedSample
from ..study.specs import Study
from .aggregate import aggregate
from .effects import Effects
from .estimate import prepared
from .imputation import imputation_leads
from .inference import pretrend_test
from .poisson import poisson_att


def stacked(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One table with the outcome in front."""
    pieces = [t.assign(outcome=k)[["outcome", *t.columns]] for k, t in tables.items()]
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=["outcome"])


def terms(found: Effects) -> pd.DataFrame:
    """The rows of an aggregate that are not averages."""
    table = found.table
    return table[table["term"] != "average"] if "term" in table else table


def path_of(panel: Panel, sample: MatchedSample, study: Study, key: str, cells: Effects | None) -> Effects | None:
    """The effects by time since entry; those of a Poisson outcome are fitted anew, as ratios of totals."""
    if cells is None or "weight_treated" in cells.table:
        return None if cells is None else aggregate(cells, "event_time")
    outcome = study.outcome(key)
    firms, spec = prepared(panel, sample, study, outcome)
    return poisson_att(firms, key, spec, weights=sample if study.headline == "matched" else None, by="event_time")


def before_entry(panel: Panel, sample: MatchedSample, study: Study, key: str, path: Effects) -> Effects:
    """The rows by which trends before entry are judged: those of the path, or of imputation, whose path has none, its leads.

    As many leads as the first cohort has periods before entry, less one for reference.
    """
    outcome = study.outcome(key)
    if study.did.method != "imputation" or outcome.scale == "poisson" or outcome.lag == "ancova":
        return path
    firms, spec = prepared(panel, sample, study, outcome)
    first = firms.firms["cohort"].min() - spec.anticipation
    return imputation_leads(firms, key, max(int((firms.periods < first).sum()) - 1, 1), spec)


def banded(found: Effects, study: Study) -> pd.DataFrame:
    """The rows of a summary, averages apart, with pointwise intervals and simultaneous bands."""
    return terms(found.bands(study.did.draws, study.did.seed))


def overall_rows(cells: dict, paths: dict) -> pd.DataFrame:
    """One number for all years after entry, an outcome and way of averaging: `outcome, weighting`, tidy.

    `overall`: every treated firm and year alike; `event_time, cohort, period`: every time since entry, cohort or year alike.
    """
    rows = []
    for key, found in cells.items():
        if found is None or "weight_treated" not in found.table:
            continue
        ways = {by: aggregate(found, by) for by in ("overall", "cohort", "period")} | {"event_time": paths[key]}
        for by, effects in ways.items():
            row = effects.table[effects.table["term"].isin(["overall", "average"])]
            rows.append(row.assign(outcome=key, weighting=by)) if len(row) else None
    columns = ["outcome", "weighting", "estimate", "std_error", "p_value", "conf_low", "conf_high"]
    return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)


def pretrend_rows(cells: dict, paths: dict, primary: list[str]) -> pd.DataFrame:
    """One row an outcome: the joint test of its rows before entry, `pretrend_test`."""
    rows = []
    for key in cells:
        test = pretrend_test(paths[key]) if key in paths else pd.Series({"reason": "not_estimated"}, dtype=object)
        row = {"outcome": key, "primary": key in primary, "testable": bool(np.isfinite(float(test.get("p_value", np.nan))))}
        row |= {
            "statistic": test.get("statistic"),
            "df": test.get("df1"),
            "df_resid": test.get("df2"),
            "p_value": test.get("p_value"),
        }
        row |= {"n_coefficients": test.get("n_rows"), "detectable_slope": test.get("detectable"), "reason": test.get("reason", "")}
        rows.append(row)
    return pd.DataFrame(rows).astype(
        dict.fromkeys(("statistic", "df", "df_resid", "p_value", "n_coefficients", "detectable_slope"), float)
    )
