"""Who was matched with whom, how far apart they stand, and why everyone else was not used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..study.match_spec import PAIRS
from .balance import judged, refuse_swapped
from .design_matrix import require_columns
from .matched import MatchedSample, pairs_of
from .terms import DENOMINATORS, arms, spreads, terms


def match_map(sample: MatchedSample, firms: pd.DataFrame, columns: Sequence[str] = ()) -> pd.DataFrame:
    """One row a treated firm and a control that share a set, with the firms' own values: what to read before going to the field.

    Parameters
    ----------
    sample : MatchedSample
    firms : DataFrame
        Index `firm_id`; the columns shown.
    columns : sequence of str
        What is shown of both firms: a name, covariates, outcomes before the programme.

    Returns
    -------
    DataFrame
        Pairs and full matching: `set_id, cohort, treated_id, control_id, rank, role` (control, or backup: a ranked reserve),
        `distance, weight` (of the pair: what it adds to the estimate; a set's pairs sum to the weight of its controls; 0 for a
        reserve), and for each column `<column>_treated, <column>_control`. Strata and weightings make no pairs: one row a firm of
        a stratum, `set_id, cohort, firm_id, role, weight` and the columns.

    Raises
    ------
    DesignError
        When a column does not exist.

    Examples
    --------
    >>> from pipeval import MatchSpec, match
    >>> firms = pd.DataFrame(
    ...     {"cohort": [2004, 2004, np.inf, np.inf, np.inf], "size": [3.0, 1.0, 2.0, 1.1, 0.0]},
    ...     index=pd.Index(["a", "b", "c", "d", "e"], name="firm_id"),
    ... )
    >>> sample = match(firms, MatchSpec(covariates=("size",)))
    >>> match_map(sample, firms, ["size"])[["treated_id", "control_id", "size_treated", "size_control"]].to_numpy().tolist()
    [['a', 'c', 3.0, 2.0], ['b', 'd', 1.0, 1.1]]
    """
    refuse_swapped(firms, sample, weights=False)
    columns = list(dict.fromkeys(columns))
    require_columns(firms, columns, "the columns of a match map")
    if not _has_pairs(sample):
        table = sample.sets[["set_id", "cohort", "firm_id", "role", "weight"]].reset_index(drop=True)
        return _beside(table, firms, columns, {"firm_id": ""})
    table = _weighed(sample)
    order = ["set_id", "cohort", "treated_id", "control_id", "rank", "role", "distance", "weight"]
    return _beside(table[order], firms, columns, {"treated_id": "_treated", "control_id": "_control"})


def reason_table(sample: MatchedSample, ledger: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a firm that is not used, with the one reason why: `firm_id, stage, reason`, in the order of `firm_id`.

    Parameters
    ----------
    sample : MatchedSample
    ledger : DataFrame, optional
        `Panel.ledger` (`firm_id, stage, reason`); its stage `pool` says who could not be compared at all.

    Returns
    -------
    DataFrame
        `stage` is `pool` (left before the match; reasons of `matching.pool`) or `match` (reasons of `matching.matched`). A firm
        that both name has left by the pool. Firms in a set of any cohort are not in the table.

    Examples
    --------
    >>> from pipeval import MatchSpec, match
    >>> firms = pd.DataFrame({"cohort": [2004, np.inf, np.inf], "size": [1, 1.5, 0]}, index=pd.Index(list("abc"), name="firm_id"))
    >>> ledger = pd.DataFrame({"firm_id": ["z"], "stage": ["pool"], "reason": ["indirect"]})
    >>> reason_table(match(firms, MatchSpec(covariates=("size",))), ledger).to_numpy().tolist()
    [['c', 'match', 'not_chosen'], ['z', 'pool', 'indirect']]
    """
    parts = [sample.unmatched.assign(stage="match")]
    if ledger is not None:
        parts.insert(0, ledger[ledger["stage"] == "pool"])
    table = pd.concat(
        [part[["firm_id", "stage", "reason"]] for part in parts if len(part)] or [parts[-1][["firm_id", "stage", "reason"]]]
    )
    table = table[~table["firm_id"].isin(sample.sets["firm_id"])].drop_duplicates("firm_id")
    return table.sort_values("firm_id", ignore_index=True)


def distance_table(sample: MatchedSample) -> pd.DataFrame:
    """One row for all pairs, and one a cohort where there are several: how far apart the firms of a pair stand.

    Returns
    -------
    DataFrame
        `cohort` ("all", or the cohort as text), `n_pairs, mean, median, p95, max` of the distances on the scale of `spec.distance`,
        and `caliper`, the width in the score's own unit (infinite without one). Reserves do not count. Without pairs (strata,
        weightings), 0 and NaN.

    Examples
    --------
    >>> from pipeval import MatchSpec, match
    >>> firms = pd.DataFrame({"cohort": [2004, np.inf, np.inf], "size": [1, 1.5, 0]}, index=pd.Index(list("abc"), name="firm_id"))
    >>> spec = MatchSpec(covariates=("size",), distance="column", distance_column="size")
    >>> distance_table(match(firms, spec))[["n_pairs", "mean", "max"]].to_numpy().tolist()
    [[1.0, 0.5, 0.5]]
    """
    pairs = sample.pairs if _has_pairs(sample) else pd.DataFrame({"cohort": [], "distance": []})
    groups = {"all": pairs["distance"]}
    if pairs["cohort"].nunique() > 1:
        groups |= {f"{cohort:g}": part for cohort, part in pairs.groupby("cohort")["distance"]}
    rows = []
    for cohort, distance in groups.items():
        d = distance.to_numpy(float)
        found = (d.mean(), np.median(d), np.quantile(d, 0.95), d.max()) if len(d) else (np.nan,) * 4
        rows.append({"cohort": cohort, "n_pairs": len(d)} | dict(zip(("mean", "median", "p95", "max"), map(float, found))))
    return pd.DataFrame(rows).assign(caliper=float(sample.caliper))


def covariate_distance_table(firms: pd.DataFrame, sample: MatchedSample, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """One row a covariate: how far apart the two firms of a pair stand in it. Means may agree where pairs do not.

    Parameters
    ----------
    firms : DataFrame
        Index `firm_id`, unique; `cohort`; the columns.
    sample : MatchedSample
    columns : sequence of str, optional
        As in `balance_table`.

    Returns
    -------
    DataFrame
        `covariate` (`column=level` for an indicator), `pair_distance` (mean absolute difference over all pairs, in the standard
        deviations that `balance_table` divides by; NaN where that is 0), `mean_absolute_difference` (in the column's unit),
        `n_pairs` (both values known). Every pair counts alike; reserves do not. Without pairs, 0 and NaN.

    Raises
    ------
    DesignError
        When a column does not exist.

    Examples
    --------
    >>> from pipeval import MatchSpec, match
    >>> firms = pd.DataFrame({"cohort": [2004, 2004, np.inf], "size": [3.0, 1.0, 2.0]}, index=pd.Index(list("abc"), name="firm_id"))
    >>> covariate_distance_table(firms, match(firms, MatchSpec(covariates=("size",))), ["size"])["pair_distance"].round(3).tolist()
    [0.707]
    """
    refuse_swapped(firms, sample, weights=False)
    firms, columns, apart = judged(firms, sample, columns)
    before = arms(firms, sample)["before"]
    denominator = DENOMINATORS[sample.spec.estimand]
    pairs = sample.pairs if _has_pairs(sample) else pd.DataFrame({"treated_id": [], "control_id": []})
    one, other = (firms.index.get_indexer(pairs[side]) for side in ("treated_id", "control_id"))
    both = (one >= 0) & (other >= 0)
    one, other = one[both], other[both]
    rows = []
    for name, x in terms(firms, [*apart, *columns]):
        gap = np.abs(x[one] - x[other])
        gap = gap[~np.isnan(gap)]
        mean = float(gap.mean()) if len(gap) else np.nan
        known = before.where(~np.isnan(x))
        sd = spreads(x, known.treated.moments(x), known.control.moments(x))[denominator]
        row = {"pair_distance": mean / sd if sd > 0 else np.nan, "mean_absolute_difference": mean, "n_pairs": len(gap)}
        rows.append({"covariate": name} | row)
    return pd.DataFrame(rows)


def _has_pairs(sample: MatchedSample) -> bool:
    return sample.spec.method in (*PAIRS, "full")


def _weighed(sample: MatchedSample) -> pd.DataFrame:
    """Every pair, reserves included, with its share of its set's weight."""
    pairs = sample.pairs.drop(columns="weight").assign(role="control")
    keys = ["set_id", "cohort"]
    sets = sample.sets[[*keys, "firm_id", "role", "weight"]]
    treated = sets[sets["role"] == "treated"]
    whole = treated.groupby(keys)["weight"].sum().rename("whole").reset_index()
    for side, part in (("treated", treated), ("control", sets[sets["role"] == "control"])):
        part = part.drop(columns="role").rename(columns={"firm_id": f"{side}_id", "weight": f"w_{side}"})
        pairs = pairs.merge(part, on=[*keys, f"{side}_id"], how="left")
    pairs = pairs.merge(whole, on=keys, how="left")
    pairs["weight"] = pairs["w_treated"] * pairs["w_control"] / pairs["whole"]
    if sample.backups is None or sample.backups.empty:
        return pairs
    heads = sample.sets[sample.sets["role"] == "treated"]
    reserves = pairs_of(pd.concat([heads, sample.backups])).assign(role="backup", weight=0.0)
    both = pd.concat([pairs, reserves], ignore_index=True)
    return both.sort_values(["set_id", "role", "rank"], key=lambda c: c != "control" if c.name == "role" else c, ignore_index=True)


def _beside(table: pd.DataFrame, firms: pd.DataFrame, columns: list[str], ids: dict[str, str]) -> pd.DataFrame:
    """The table with the firms' values to the right: column by column, the two firms side by side."""
    places = {suffix: firms.index.get_indexer(table[name]) for name, suffix in ids.items()}
    values = {
        f"{column}{suffix}": firms[column].reset_index(drop=True).reindex(place).to_numpy()
        for column in columns
        for suffix, place in places.items()
    }
    return pd.concat([table.reset_index(drop=True), pd.DataFrame(values, index=range(len(table)))], axis=1)
