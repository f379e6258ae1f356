"""Which firms find what useful: firms with similar evaluations, what they have in common, and opinions by kind of firm."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist

from ..data.disclosure import FEWEST_SHOWN
from ..data.intervals import welch
from ..did.multiple import holm
from ..study.programme_specs import Opinions
from .opinions import reasons

PROFILES = {2: ("low", "high"), 3: ("low", "middle", "high"), 4: ("low", "lower_middle", "upper_middle", "high")}
"""Names of the groups, by their number, in the order of their mean score."""

_ORDER = ("low", "lower_middle", "middle", "upper_middle", "high")
_DRAWS, _SEED = 4999, 20031121
_GROUPS = ["wave", "component", "profile", "item", "n_firms", "mean", "silhouette"]
_TYPES = ["wave", "component", "characteristic", "group", "profile", "n", "n_firms", "share", "test", "p_value", "p_holm"]
_ASSOCIATION = ["wave", "component", "item", "characteristic", "n", "n_groups", "statistic", "p_value", "p_holm"]
_MAP = ["wave", "by", "component", "activity_id", "item", "characteristic", "group", "n", "mean", "reason"]


def profiles(scores: pd.DataFrame, rules: Opinions) -> pd.DataFrame:
    """One row a firm, wave and component: `wave, component, firm_id, profile, silhouette`, the firms with similar evaluations.

    Within a component, firms are grouped by their scores from 1 to 5 on the items that at least half of its respondents answered
    (firms with all of them; Ward's method). Of two, three and four groups, those with the largest mean silhouette (Rousseeuw 1987)
    are kept, the fewer where equal; they are named in the order of their mean score. A component with fewer than twice
    `rules.fewest` such firms, or with one answer for all, has no groups.
    """
    found = []
    rated = scores[scores["scale"] == "one_to_five"]
    for (wave, component), part in rated.groupby(["wave", "component"], sort=True):
        wide = part.pivot_table(index="firm_id", columns="item", values="score", aggfunc="mean")
        wide = wide.loc[:, wide.notna().mean() >= 0.5].dropna()
        if len(wide) < 2 * rules.fewest or len(wide.drop_duplicates()) < 3:
            continue
        wide = wide.sort_values(list(wide.columns), kind="stable")  # ties are broken by scores, never by the order of the rows
        label, silhouette = _grouped(wide.to_numpy(float))
        order = wide.mean(axis=1).groupby(label).mean().sort_values().index
        names = dict(zip(order, PROFILES[len(order)], strict=True))
        rows = pd.DataFrame({"firm_id": wide.index, "profile": [names[one] for one in label]})
        found.append(rows.assign(wave=wave, component=component, silhouette=silhouette))
    columns = ["wave", "component", "firm_id", "profile", "silhouette"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def _grouped(points: np.ndarray) -> tuple[np.ndarray, float]:
    """The group of each point and the mean silhouette of the best number of groups."""
    tree, distance = linkage(points, "ward"), cdist(points, points)
    tries = {k: fcluster(tree, k, "maxclust") for k in PROFILES}
    widths = {k: mean_silhouette(distance, label) for k, label in tries.items() if len(np.unique(label)) == k}
    best = max(widths, key=lambda k: (round(widths[k], 10), -k))
    return tries[best], widths[best]


def mean_silhouette(distance: np.ndarray, label: np.ndarray) -> float:
    """How well points lie in their groups: mean of (b − a) / max(a, b), a to their own group and b to the nearest other.

    A point alone in its group counts 0.

    >>> points = np.array([[0.0], [0.0], [10.0], [10.0]])
    >>> mean_silhouette(cdist(points, points), np.array([1, 1, 2, 2]))
    1.0
    """
    groups = np.unique(label)
    inside = label[:, None] == groups
    sums, sizes = distance @ inside, inside.sum(axis=0)
    own_size = inside @ sizes
    own = np.where(inside, sums, 0).sum(axis=1) / np.maximum(own_size - 1, 1)
    other = np.where(inside, np.inf, sums / sizes).min(axis=1)
    larger = np.maximum(own, other)
    width = np.where((own_size > 1) & (larger > 0), (other - own) / np.where(larger > 0, larger, 1), 0.0)
    return float(width.mean())


def response_groups(scores: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """One row a component, group of similar firms and item: `wave, component, profile, item, n_firms, mean, silhouette`.

    `found` comes from `profiles`. The item `all` is the mean over the items from 1 to 5 that the group's firms answered.
    """
    rated = scores[scores["scale"] == "one_to_five"].merge(found, on=["wave", "component", "firm_id"])
    keys = ["wave", "component", "profile"]
    rows = []
    for key, part in rated.groupby(keys, sort=False):
        means = {"all": part["score"].mean()} | part.groupby("item")["score"].mean().to_dict()
        firms = {"all": part["firm_id"].nunique()} | part.groupby("item")["firm_id"].nunique().to_dict()
        rows += [(*key, item, firms[item], mean, part["silhouette"].iloc[0]) for item, mean in means.items()]
    table = pd.DataFrame(rows, columns=_GROUPS)
    return _in_order(table, ["wave", "component"])


def _in_order(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows by those keys, then from the lowest group to the highest."""
    rank = table["profile"].map({name: place for place, name in enumerate(_ORDER)})
    return table.assign(rank=rank).sort_values([*keys, "rank"], kind="stable").drop(columns="rank").reset_index(drop=True)


def response_types(found: pd.DataFrame, types: pd.DataFrame, by: tuple[str, ...]) -> pd.DataFrame:
    """One row a component, characteristic, kind of firm and group: which firms are in the groups with similar evaluations.

    Parameters
    ----------
    found : DataFrame
        From `profiles`.
    types : DataFrame
        The firms' characteristics by `firm_id`.
    by : tuple of str
        Columns of `types`; one that is not there is passed over.

    Returns
    -------
    DataFrame
        `wave, component, characteristic, group` (the kind of firm), `profile, n` (firms of the kind in the group), `n_firms` (firms
        of the kind), `share` (n / n_firms; NaN with fewer than five firms), and for the characteristic as a whole `test` (fisher,
        chi2 or, where a cell expects fewer than five firms, permutation; none for a single kind), `p_value` that kinds are spread
        alike, and `p_holm` over the component's characteristics.
    """
    rows = []
    for (wave, component), part in found.groupby(["wave", "component"], sort=True):
        tested = {}
        for column in (c for c in by if c in types):
            counts = pd.crosstab(part["firm_id"].map(types[column]), part["profile"])
            tested[column] = counts, *independence(counts.to_numpy())
        adjusted = holm(pd.Series({column: p for column, (_, _, p) in tested.items()}, dtype=float))
        for column, (counts, test, p_value) in tested.items():
            whole = {"test": test, "p_value": p_value, "p_holm": adjusted[column]}
            for (group, profile), n in counts.stack().items():
                size = counts.loc[group].sum()
                key = {"wave": wave, "component": component, "characteristic": column, "group": group, "profile": profile}
                rows.append(key | {"n": n, "n_firms": size, "share": n / size if size >= FEWEST_SHOWN else np.nan} | whole)
    return _in_order(pd.DataFrame(rows, columns=_TYPES), _TYPES[:4])


def independence(counts: np.ndarray) -> tuple[str, float]:
    """Test that rows and columns of a table of counts are independent: its name and p-value (NaN for a single row or column).

    Fisher's exact test for two by two; Pearson's chi-squared where every cell expects five or more; else the same statistic with
    the p-value of random tables with these margins (4,999 draws with a fixed seed).

    >>> test, p_value = independence(np.array([[4, 0], [0, 4]]))
    >>> test, round(p_value, 4)
    ('fisher', 0.0286)
    """
    counts = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0] if counts.size else counts
    if min(counts.shape, default=0) < 2:
        return "none", float("nan")
    if counts.shape == (2, 2):
        return "fisher", float(stats.fisher_exact(counts).pvalue)
    expected = stats.contingency.expected_freq(counts)
    if expected.min() >= 5:
        return "chi2", float(stats.chi2_contingency(counts, correction=False).pvalue)
    drawn = stats.random_table(counts.sum(axis=1), counts.sum(axis=0), seed=np.random.default_rng(_SEED)).rvs(_DRAWS)
    statistic = ((counts - expected) ** 2 / expected).sum()
    as_far = ((drawn - expected) ** 2 / expected).sum(axis=(1, 2)) >= statistic - 1e-9
    return "permutation", float((1 + as_far.sum()) / (1 + _DRAWS))


def response_association(scores: pd.DataFrame, types: pd.DataFrame, rules: Opinions) -> pd.DataFrame:
    """One row an item and characteristic: whether kinds of firms score it alike.

    `wave, component, item, characteristic, n` (answers), `n_groups` (kinds with at least `rules.fewest` answers; others are left
    out), `statistic` and `p_value` of Kruskal and Wallis (1952), `p_holm` over all rows of the wave. NaN with fewer than two such
    kinds or when all answers are one.
    """
    rows = []
    for key, part in scores.groupby(["wave", "component", "item"], sort=True):
        for column in (c for c in rules.by if c in types):
            groups = [g["score"] for _, g in part.groupby(part["firm_id"].map(types[column])) if len(g) >= rules.fewest]
            told = len(groups) > 1 and pd.concat(groups).nunique() > 1
            statistic, p_value = stats.kruskal(*groups) if told else (np.nan, np.nan)
            rows.append((*key, column, sum(map(len, groups)), len(groups), statistic, p_value))
    table = pd.DataFrame(rows, columns=_ASSOCIATION[:-1])
    return table.assign(p_holm=table.groupby("wave")["p_value"].transform(holm) if len(table) else table["p_value"])


def response_map(scores: pd.DataFrame, types: pd.DataFrame, rules: Opinions) -> pd.DataFrame:
    """One row an item and kind of firm, by component and by activity over components: which firms find what useful.

    `wave, by` (component or activity), `component, activity_id, item, characteristic, group, n` (answers), `mean` (of scores from 1
    to 5; NaN with fewer than `rules.fewest`), `reason` by `opinions.reasons`: few, low, divided (split or in disagreement),
    low_divided or none. The characteristic `all` holds every firm.
    """
    rows = []
    rated = scores[scores["scale"] == "one_to_five"]
    kinds = {"all": pd.Series("all", index=rated.index)} | {c: rated["firm_id"].map(types[c]) for c in rules.by if c in types}
    for by, place in (("component", "component"), ("activity", "activity_id")):
        for column, kind in kinds.items():
            for (wave, where, item, group), part in rated.groupby(["wave", place, "item", kind.rename("group")], sort=True):
                few = len(part) < rules.fewest
                why = "few" if few else _short([reason for reason, _, _ in reasons(part, rules)])
                mean = np.nan if few else part["score"].mean()
                row = {"wave": wave, "by": by, place: where, "item": item, "characteristic": column, "group": group}
                rows.append(row | {"n": len(part), "mean": mean, "reason": why})
    return pd.DataFrame(rows, columns=_MAP).astype({"component": "str", "activity_id": "str"})


def _short(found: list[str]) -> str:
    divided = bool({"split", "disagreement"} & set(found))
    return "_".join((["low"] if "low" in found else []) + (["divided"] if divided else [])) or "none"


def opinion_effect(scores: pd.DataFrame, change: pd.Series, level: float = 0.95) -> pd.DataFrame:
    """One row a wave and item: the change of an outcome in firms that see a benefit less that in firms that do not.

    Parameters
    ----------
    scores : DataFrame
        From `opinions.valid_scores`. The item is benefit_seen, or usefulness in a wave that did not ask it; a firm sees a benefit
        when its mean over components is yes (more than a half), or 4 or more.
    change : Series
        Of the outcome, by `firm_id`.
    level : float
        Of the interval (Welch).

    Returns
    -------
    DataFrame
        `wave, item, n_yes, n_no` (firms with a change), `mean_yes, mean_no, difference, difference_low, difference_high, basis`:
        always association, since satisfied firms may have grown for other reasons. NaN where either side has fewer than two firms.
    """
    rows = []
    for wave, part in scores.groupby("wave", sort=True):
        item = "benefit_seen" if (part["item"] == "benefit_seen").any() else "usefulness"
        asked = part[part["item"] == item]
        if asked.empty:
            continue
        sees = asked.groupby("firm_id")["score"].mean() > (0.5 if asked["scale"].iloc[0] == "yes_no" else 4 - 1e-9)
        moved = change.reindex(sees.index).dropna()
        yes, no = moved[sees[moved.index]], moved[~sees[moved.index]]
        row = {"wave": wave, "item": item, "n_yes": len(yes), "n_no": len(no), "mean_yes": yes.mean(), "mean_no": no.mean()}
        names, told = ("difference", "difference_low", "difference_high"), min(len(yes), len(no)) > 1
        found = welch(yes, no, level)[:3] if told else (np.nan,) * 3
        rows.append(row | dict(zip(names, found, strict=True)) | {"basis": "association"})
    columns = ["wave", "item", "n_yes", "n_no", "mean_yes", "mean_no", "difference", "difference_low", "difference_high", "basis"]
    return pd.DataFrame(rows, columns=columns)
