"""Who was allowed to take part: the size of firms by either classification, and each criterion among those who did."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.intervals import with_share
from ..data.load import Tables
from ..data.measures import Measures
from ..data.treatment import SIZE_BANDS, classify_size
from ..study.specs import Study

SIZES = tuple(SIZE_BANDS)
"""Size classes from the smallest up."""

_CAPS = {"micro": 4.6, "small": 95.0, "medium": 250.0}


def score_size(workers: pd.Series, sales_mmxn: pd.Series) -> pd.Series:
    """Size class by workers and sales together, industry (Mexico, 30 June 2009).

    The class is the smallest whose band of workers holds the firm and whose cap its score does not exceed; the score is a tenth of
    the workers plus nine tenths of yearly sales in million pesos, the caps 4.6 (micro), 95 (small) and 250 (medium). Missing where
    workers or sales are, unless the workers alone make the firm large.

    >>> score_size(pd.Series([8, 8, 40, 300]), pd.Series([4.0, 6.0, 110.0, None])).tolist()
    ['micro', 'small', 'medium', 'large']
    """
    score = 0.1 * workers + 0.9 * sales_mmxn
    by_score = pd.Series(np.searchsorted(list(_CAPS.values()), score.round(9)), index=workers.index)
    by_workers = classify_size(workers).map({size: i for i, size in enumerate(SIZES)})
    rank = by_workers.where(by_workers == len(SIZES) - 1, np.maximum(by_score, by_workers).where(score.notna()))
    return rank.map(dict(enumerate(SIZES))).astype("str").where(rank.notna())


def sizes(tables: Tables, measured: Measures, study: Study) -> pd.DataFrame:
    """One row a firm of the register: its size class in the base year under each rule (index `firm_id`, columns `2002, 2009`).

    Sales are those of the base year in current pesos; in another currency the rule of 2009 says nothing.
    """
    firms = tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id")
    periods = measured.nominal.index.get_level_values("period")
    base = measured.nominal.xs(study.baseline.year, level="period") if study.baseline.year in periods else measured.nominal.iloc[:0]
    if not len(base):
        base = pd.DataFrame(index=firms.index, columns=["jobs", "sales"], dtype=float)
    workers = firms["workers_baseline"].fillna(base["jobs"].reindex(firms.index))
    sales = base["sales"].reindex(firms.index) / 1000
    joint = score_size(workers, sales if study.programme.currency == "MXN" else sales * np.nan)
    return pd.DataFrame({"2002": classify_size(workers), "2009": joint})


def size_table(classes: pd.DataFrame, firms: pd.DataFrame) -> pd.DataFrame:
    """One row a rule, arm and size class (`rule, arm, size_class, n, share`): firms, and their share of those with a class."""
    rows = []
    for rule in classes:
        by_arm = pd.crosstab(firms["arm"], classes[rule].reindex(firms.index)).reindex(columns=list(SIZES), fill_value=0)
        for arm, counts in by_arm.iterrows():
            rows += [[rule, arm, size, int(n), n / counts.sum() if counts.sum() else np.nan] for size, n in counts.items()]
    return pd.DataFrame(rows, columns=["rule", "arm", "size_class", "n", "share"])


def criteria(tables: Tables, classes: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row a firm: whether it meets each criterion (1, 0, or NaN when nobody noted it).

    Columns: those of `eligibility.criteria`, `size` (no larger than params allow under their rule) and `all_criteria` (0 when one
    is not met, 1 when all are, else NaN).
    """
    firms = tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id")
    table = firms.reindex(columns=list(study.eligibility.criteria)).astype(float)  # what no file says is not known
    rank = classes[study.eligibility.size_rule].map({size: i for i, size in enumerate(SIZES)}).reindex(table.index)
    table["size"] = (rank <= SIZES.index(study.eligibility.largest)).astype(float).where(rank.notna())
    whole = table.prod(axis=1).where(table.notna().all(axis=1) | (table == 0).any(axis=1))
    return table.assign(all_criteria=whole.where(~(table == 0).any(axis=1), 0.0))


def eligibility_table(met: pd.DataFrame, arms: pd.Series, level: float = 0.95) -> pd.DataFrame:
    """One row a criterion and arm: how many firms meet it.

    Returns
    -------
    DataFrame
        `criterion, arm, n, n_met, n_not_met, n_not_known, share` (met, of the firms where it is known), `share_low, share_high`
        (Wilson; the firms of a register are read as a sample of those that the same rules would admit).
    """
    rows = []
    for criterion in met:
        for arm, part in met[criterion].groupby(arms.reindex(met.index)):
            rows.append([criterion, arm, len(part), int((part == 1).sum()), int((part == 0).sum()), int(part.isna().sum())])
    table = pd.DataFrame(rows, columns=["criterion", "arm", "n", "n_met", "n_not_met", "n_not_known"])
    return with_share(table, table["n_met"], table["n_met"] + table["n_not_met"], level)


def eligibility_exceptions(met: pd.DataFrame, classes: pd.DataFrame, arms: pd.Series, study: Study) -> pd.DataFrame:
    """One row a firm and criterion that it does not meet (`firm_id, arm, criterion, value`); `value` is 0 or the size class.

    A firm noted as small enough whose size says otherwise stands under `elig_msme` with its class.
    """
    failed = met.drop(columns="all_criteria").stack().loc[lambda s: s == 0]
    table = pd.DataFrame({"firm_id": failed.index.get_level_values(0), "criterion": failed.index.get_level_values(1)})
    by_rule = classes[study.eligibility.size_rule]
    table["value"] = table["firm_id"].map(by_rule).where(table["criterion"] == "size", "0")
    if "elig_msme" in met:
        belied = met.index[(met["elig_msme"] == 1) & (met["size"] == 0)]
        said = pd.DataFrame({"firm_id": belied, "criterion": "elig_msme", "value": by_rule.reindex(belied).to_numpy()})
        table = pd.concat([table, said], ignore_index=True)
    table = table.assign(arm=table["firm_id"].map(arms)).reindex(columns=["firm_id", "arm", "criterion", "value"])
    return table.sort_values(["arm", "firm_id", "criterion"], kind="stable").reset_index(drop=True)


def owners_table(firms: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row an arm and gender of the owners: firms, and their share of those known (`arm, owner_gender, n, share …`)."""
    known = firms["owner_gender"].fillna("not_known")
    table = firms.groupby(["arm", known.rename("owner_gender")]).size().rename("n").reset_index()
    noted = table["n"].where(table["owner_gender"] != "not_known", 0).groupby(table["arm"]).transform("sum")
    k = table["n"].where(table["owner_gender"] != "not_known")
    return with_share(table, k, noted, level)
