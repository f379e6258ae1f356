"""The tables of the sensitivity chapter: what each check found, outcome by outcome.

`sensitivity.py` holds hidden bias, `checks.py` the design checks that decide what may be claimed; nothing here enters a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor

import pandas as pd

from ..baseline.response import selective_attrition
from ..data.load import Tables
from ..data.panel import Panel
from ..did.attrition import response_weights, selected_on, weighted_effect
from ..did.bacon import bacon
from ..did.bounds import lee_table
from ..did.cells import cluster_labels
from ..did.effects import Effects
from ..did.estimate import prepared
from ..did.few_clusters import few_clusters_table
from ..did.honest import honest_table
from ..did.inference import FEW_CLUSTERS
from ..did.path import path_to
from ..did.pretrend_power import detrended, pretrend_power
from ..errors import DataError, DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..matching.panel import GROWTH
from ..study.specs import DidSpec, Outcome, Study
from .contamination import contamination_rows
from .curve import curve_summary, specification_curve
from .findings import sensitivity_checks
from .outliers import leave_one_out, outlier_rows
from .placebos import base_rows, placebo_rows
from .several import dose_table, spillover_table, subgroup_table

REFUSED = (DataError, DesignError, EstimationError)
LEFT_OUT = ("business_cluster", "branch", "municipality", "firm_id")


def each(outcomes: Iterable[Outcome], run: Callable[[Outcome], pd.DataFrame]) -> pd.DataFrame:
    """`run` for every outcome, stacked with the outcome in front; an outcome that is refused is a row with its reason as `note`."""
    parts = []
    for outcome in outcomes:
        try:
            with collected():
                table = run(outcome)
        except REFUSED as error:
            table = pd.DataFrame([{"note": str(error)}])
        table = table.drop(columns="outcome", errors="ignore")
        table.insert(0, "outcome", outcome.id)
        parts.append(table)
    parts = [p for p in parts if len(p)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["outcome"])


def honest_years(cells: Effects, study: Study, outcome: Outcome) -> pd.DataFrame:
    """One row a kind of departure from parallel trends and bound: the interval of the effect in the reference year.

    `relative_magnitude`: bounds of `sensitivity.relative_magnitudes`; `smoothness`: `sensitivity.smoothness`, shares of the
    relevant effect a year. Columns as `honest_table`; `share` is the smoothness bound as that share.
    """
    if outcome.scale == "poisson":
        raise DesignError("honest sets are for effects that are differences; a Poisson outcome has ratios of totals")
    if any(c.startswith(GROWTH) for c in (*study.match.columns, *study.did.covariates)):
        raise DesignError("growth before entry was matched on or adjusted for: differences before entry are zero by construction")
    path, weights = path_to(cells, study.treatment.reference_year)
    relevant = 0.05 if outcome.relevant_effect is None else abs(outcome.relevant_effect)
    relative = honest_table(path, "relative_magnitude", study.sensitivity.relative_magnitudes, weights)
    shares = study.sensitivity.smoothness
    smooth = honest_table(path, "smoothness", [share * relevant for share in shares], weights)
    return pd.concat([relative, smooth.assign(share=shares)], ignore_index=True)


def trend_table(cells: Effects, study: Study, outcome: Outcome) -> pd.DataFrame:
    """What the pre-trend test could have missed, and the effect less the trend that it saw, in the reference year.

    Rows `missed_50, missed_80`: the straight drift that the test finds with that probability (`slope` a year), the `bias` it brings
    by the reference year and the bias among samples that pass; `detrended`: the effect less each group's own line, with interval.
    """
    if outcome.scale == "poisson":
        raise DesignError("pre-trend power is for effects that are differences")
    path, weights = path_to(cells, study.treatment.reference_year)
    rows = []
    power = pretrend_power(path, powers=(0.5, 0.8), seed=study.sensitivity.seed, weights=weights)
    for r in power[power["target"] == "average"].itertuples():
        named = {"row": f"missed_{round(100 * r.power)}", "slope": r.slope, "bias": r.bias, "note": r.reason or ""}
        rows.append(named | {"bias_given_passed": r.bias_given_passed, "coverage_given_passed": r.coverage_given_passed})
    flat = detrended(path).table
    columns = ["estimate", "std_error", "conf_low", "conf_high", "p_value"]
    rows.append({"row": "detrended", "note": ""} | flat[flat["event_time"].isna()].iloc[0][columns].to_dict())
    return pd.DataFrame(rows)


def cluster_table(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> pd.DataFrame:
    """The headline judged by clusters in every way that few clusters allow (`few_clusters_table`).

    Clusters are business clusters; where firms belong to none, those of the headline's own errors, when they are few.
    """
    if outcome.scale == "poisson":
        raise DesignError("a Poisson effect is not linear in outcomes: its business-cluster row is in the robustness grid")
    firms, spec = prepared(panel, sample, study, outcome)
    weights = sample if study.headline == "matched" else None
    year, choice = study.treatment.reference_year, study.sensitivity
    labels = firms.firms.get("business_cluster")
    if labels is None or labels.isna().all():
        labels = _own_clusters(firms, spec, weights)
    return few_clusters_table(firms, outcome.id, spec, year, labels, weights, choice.permutations, choice.seed)


def _own_clusters(firms: Panel, spec: DidSpec, weights: MatchedSample | None) -> pd.Series:
    """The clusters of the headline's errors by firm; refused when they are not few, or two-way."""
    labels = cluster_labels(firms.firms, spec.cluster) if weights is None else weights.clusters
    labels = pd.Series(firms.firms.index, index=firms.firms.index) if labels is None else labels
    if labels.ndim > 1 or (n := labels.nunique()) >= FEW_CLUSTERS:
        raise DesignError("firms belong to no business cluster" if labels.ndim > 1 else
                          f"firms belong to no business cluster, and the {n} clusters of the errors are not few")  # fmt: skip
    return labels


def attrition_table(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> pd.DataFrame:
    """What loss of firms could have done: a row weighted for non-response, and Lee's bounds, plain and by a column of the match.

    Columns `row, estimate, std_error, lower, upper` (bounds), `conf_low, conf_high`, `share_trimmed`.
    """
    if outcome.scale == "poisson":
        raise DesignError("closed firms count as zero in a Poisson outcome where it says exits: zero")
    firms, spec = prepared(panel, sample, study, outcome, "common_support")
    year = study.treatment.reference_year
    response = response_weights(firms, outcome.id, spec, year, selected_on(spec, firms, outcome.id))
    weighted = weighted_effect(firms, outcome.id, spec, response).table.iloc[0]
    cells = [c for c in study.match.exact if c in firms.firms][:1]
    bounds = lee_table(firms, outcome.id, spec, year, cells)
    rows = [{"row": "response_weighted", **weighted[["estimate", "std_error", "conf_low", "conf_high"]]}]
    names = {"plain": "lee", "tightened": "lee_tightened"}
    for r in bounds.to_dict("records"):
        rows.append({"row": names[r["bounds"]]} | {k: r[k] for k in ("lower", "upper", "conf_low", "conf_high", "share_trimmed")})
    return pd.DataFrame(rows)


def leaver_table(panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> pd.DataFrame:
    """Whether the same kind of firm stops answering in both arms, `selective_attrition` among the firms of the headline."""
    firms, spec = prepared(panel, sample, study, outcome, "common_support")
    names = tuple(c for c in spec.covariates if c in firms.firms)
    return selective_attrition(firms, outcome.id, study.treatment.reference_year, study.baseline.year, names)


def left_out_table(
    panel: Panel, sample: MatchedSample, study: Study, outcome: Outcome, executor: Executor | None = None
) -> pd.DataFrame:
    """`leave_one_out` for every business cluster, branch and municipality, and for the ten firms that move the headline most."""
    parts = []
    for by in LEFT_OUT:
        if by == "firm_id" or (by in panel.firms and panel.firms[by].notna().any()):
            parts.append(leave_one_out(panel, sample, study, outcome, by, executor))
    return pd.concat(parts, ignore_index=True)


def bacon_table(panel: Panel, study: Study, outcome: Outcome) -> pd.DataFrame:
    """The comparisons inside two-way fixed effects and their weights, on the firms seen every year."""
    if outcome.scale == "poisson":
        raise DesignError("two-way fixed effects are for effects that are differences")
    wide = panel.wide(outcome.id).dropna(axis=1, how="all")
    whole = wide.index[wide.notna().all(axis=1)]
    if whole.empty:
        raise DesignError("no firm is observed in every year")
    return bacon(panel.keep(whole, stage="bacon", reason="not_every_year"), outcome.id)


def sensitivity_tables(
    everyone: Panel,
    panel: Panel,
    sample: MatchedSample,
    study: Study,
    cells: Mapping[str, Effects | None],
    tables: Tables,
    executor: Executor | None = None,
) -> dict[str, pd.DataFrame]:
    """Every table of the chapter, for the outcomes of `cells`: name → table, `outcome` in front of each.

    `curve` and `curve_summary`, `honest`, `trend_power`, `few_clusters`, `attrition_bounds`, `selective_attrition`, `placebos`,
    `base_years`, `left_out`, `outliers`, `contamination`, `subgroups`, `dose`, `spillover`, `bacon`; `sensitivity`, a row a check.
    """
    outcomes = [study.outcome(k) for k, found in cells.items() if found is not None]
    linear = [o for o in outcomes if o.scale != "poisson"]
    firms = (panel, sample, study)
    curves = {o.id: specification_curve(*firms, o, executor=executor) for o in linear}
    found = {
        "curve": each(linear, lambda o: curves[o.id]),
        "curve_summary": curve_summary(curves),
        "honest": each(linear, lambda o: honest_years(cells[o.id], study, o)),
        "trend_power": each(linear, lambda o: trend_table(cells[o.id], study, o)),
        "few_clusters": each(linear, lambda o: cluster_table(*firms, o)),
        "attrition_bounds": each(linear, lambda o: attrition_table(*firms, o)),
        "selective_attrition": each(linear, lambda o: leaver_table(*firms, o)),
        "placebos": each(linear, lambda o: placebo_rows(*firms, o, executor=executor)),
        "base_years": each(linear, lambda o: base_rows(*firms, o)),
        "left_out": each(outcomes, lambda o: left_out_table(*firms, o, executor)),
        "outliers": each(linear, lambda o: outlier_rows(*firms, o)),
        "contamination": each(outcomes, lambda o: contamination_rows(panel, everyone, sample, study, o)),
        "subgroups": each(linear, lambda o: subgroup_table(*firms, o)),
        "dose": each(linear, lambda o: dose_table(*firms, o, tables)),
        "spillover": each(linear, lambda o: spillover_table(everyone, *firms, o)),
        "bacon": each(linear, lambda o: bacon_table(panel, study, o)),
    }
    return found | {"sensitivity": sensitivity_checks(study, cells, found)}
