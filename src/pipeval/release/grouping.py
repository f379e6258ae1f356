"""Which firms share one path in a public-use file: groups of at least k that resemble each other, by MDAV.

Maximum distance to average vector, in the steps of Domingo-Ferrer and Torra (2005), *Data Mining and Knowledge Discovery* 11(2),
after Domingo-Ferrer and Mateo-Sanz (2002), *IEEE Transactions on Knowledge and Data Engineering* 14(1). Firms are grouped within
cells (support, year of entry, closure, branch, export status, size); what is left of a small cell is put to its neighbours, the
last trait first. Support and whether a branch is evaluated are never mixed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..study.specs import Study

_ASSISTANCE = ("ta_individual", "ta_group")
_NEVER_MIXED = 3


def release_groups(frames: Mapping[str, pd.DataFrame], study: Study) -> pd.Series:
    """The number of each firm's group, from 1; firms that have no k − 1 others of the same support are missing."""
    traits = _traits(frames, study)
    paths = _paths(frames, study).reindex(traits.index)
    k, waiting = study.privacy.k, traits.index.sort_values()
    found, number = pd.Series(np.nan, index=traits.index, name="release_group"), 0
    for depth in range(traits.shape[1], _NEVER_MIXED - 1, -1):
        rest = []
        for _, cell in traits.loc[waiting].groupby(list(traits.columns[:depth]), sort=True):
            if len(cell) < k:
                rest += list(cell.index)
                continue
            members = mdav(_standard(paths.loc[cell.index]), k)
            found[cell.index] = members + number + 1
            number += members.max() + 1
        waiting = pd.Index(sorted(rest))
    return found.dropna().astype(int)


def mdav(points: np.ndarray, k: int) -> np.ndarray:
    """Groups of k to 2k − 1 rows that lie near each other, numbered from 0; fewer than 2k rows are one group.

    >>> mdav(np.array([[0.0], [9], [1], [10], [2], [11]]), 3).tolist()
    [0, 1, 0, 1, 0, 1]
    """
    groups, left, number = np.zeros(len(points), dtype=int), np.arange(len(points)), 0
    while len(left) >= 2 * k:
        centre = points[left].mean(axis=0)
        start = far = left[_distances(points[left], centre).argmax()]
        for _ in range(2 if len(left) >= 3 * k else 1):
            nearest = left[_distances(points[left], points[far]).argsort(kind="stable")[:k]]
            groups[nearest], number = number, number + 1
            left = left[~np.isin(left, nearest)]
            far = left[_distances(points[left], points[start]).argmax()]
    groups[left] = number
    return groups


def _distances(points: np.ndarray, point: np.ndarray) -> np.ndarray:
    return ((points - point) ** 2).sum(axis=1)


def _standard(paths: pd.DataFrame) -> np.ndarray:
    """Columns centred and in standard deviations of the cell; a gap is filled from the firm's other years."""
    middle, spread = paths.mean(), paths.std(ddof=0)
    scaled = (paths - middle) / spread.where(spread > 0, 1.0)
    own = scaled.T.groupby(level=0).transform("mean").T
    return scaled.fillna(own).fillna(0.0).to_numpy()


def _traits(frames: Mapping[str, pd.DataFrame], study: Study) -> pd.DataFrame:
    """By firm, as text: arm, evaluated branch, supported as the treatment is defined; then what may be mixed, in order."""
    firms = frames["enterprises"].set_index("firm_id")
    definition, branches = study.treatment.definition, study.treatment.branches
    assisted = pd.Series(np.nan, index=firms.index)
    if definition == "ta_recipient" and "services" in frames:
        given = frames["services"][frames["services"]["activity_type"].isin(_ASSISTANCE)]
        assisted = pd.to_datetime(given["start_on"]).dt.year.groupby(given["firm_id"]).min().reindex(firms.index)
    supported = {"component2": firms["cluster_id"].notna(), "ta_recipient": assisted.notna()}.get(definition, firms["arm"].notna())
    return pd.DataFrame(
        {
            "arm": firms["arm"],
            "evaluated": firms["branch"].isin(branches) if branches else True,
            "supported": supported,
            "entry": assisted.fillna(firms["entry_year"]),
            "closed": closing_years(frames).reindex(firms.index).notna(),
            "branch": firms["branch"],
            "exports": firms["exp_status_baseline"],
            "size": firms["size_class"],
        }
    ).map(lambda value: "" if pd.isna(value) else str(value))


def closing_years(frames: Mapping[str, pd.DataFrame]) -> pd.Series:
    """By firm that closed, the first year in which it is known to be closed."""
    survey, firms = frames["survey"], frames["enterprises"].set_index("firm_id")
    said = survey[survey["response"] == "closed"].groupby("firm_id")["ref_year"].min()
    return said.astype(float).combine_first(pd.to_datetime(firms["closed_on"]).dt.year.astype(float)).dropna()


def _paths(frames: Mapping[str, pd.DataFrame], study: Study) -> pd.DataFrame:
    """What makes firms resemble each other: yearly sales, workers and exporting; age, size and membership at the start."""
    cur, firms = study.programme.currency.lower(), frames["enterprises"].set_index("firm_id")
    levels = {"sales": f"sales_k{cur}", "inputs": f"intermediate_inputs_k{cur}", "workers": "workers_paid"}
    survey = frames["survey"].set_index(["firm_id", "ref_year"])
    answered = survey["response"].isin(("complete", "partial"))
    yearly = {name: np.log(survey[c].where(answered & (survey[c] > 0))) for name, c in levels.items()}
    for market in ("direct", "indirect"):
        exports = survey[f"export_{market}_k{cur}"]
        yearly[market] = (exports > 0).astype(float).where(answered & exports.notna())
    parts = {name: values.astype(float).unstack("ref_year") for name, values in yearly.items()}
    for name in levels:
        parts[f"{name} on average"] = parts[name].mean(axis=1).to_frame("level")
        parts[name] = parts[name].sub(parts[name].mean(axis=1), axis=0)
    parts["start"] = pd.DataFrame(
        {
            "workers": np.log1p(firms["workers_baseline"].astype(float)),
            "age": np.log1p((study.baseline.year - firms["founded_year"].astype(float)).clip(lower=0)),
            "member": firms["chamber_member"].astype(float),
        }
    )
    if "product_sales" in frames:
        parts["line"] = _main_lines(frames["product_sales"], f"value_k{cur}").reindex(firms.index)
    return pd.concat(parts, axis=1)


def _main_lines(sold: pd.DataFrame, value: str) -> pd.DataFrame:
    """By firm, the share of each product line in what it sold over all years: prices compare like with like."""
    by = sold.groupby(["firm_id", "product_line"])[value].sum().unstack(fill_value=0.0)
    total = by.sum(axis=1)
    return by.div(total.where(total > 0), axis=0)
