"""The tables of a public-use file in which all firms of a group are alike: one path, one set of traits, one list of services.

Sales and workers have the mean level of the group's firms that answered and move as their logarithms do on average
(`steady_mean`): the logarithm of a plain mean would follow the largest firm of the group. A year in which too few answered is no
answer. Home sales and exports are the group's shares of its summed sales, so that the parts add up to the whole; what is bought
and paid is the mean share of sales among its firms. In a market in which fewer than half of a group sold, its firms sold nothing:
who exports is a yes or no of most, and the sales stand at home.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd

from ..study.specs import Study
from .anonymity import banded_years, rounded, top_coded
from .grouping import closing_years

GROUP = "release_group"
"""The column of the firms that says who shares a path; standard errors are clustered by it."""

FIRMS = (
    "arm", "sector", "branch", "municipality", "founded_year", "owner_gender", "chamber_member", "workers_baseline", "size_class",
    "cluster_id", "registered_on", "entry_year", "consent_data", "elig_msme", "elig_willing", "elig_export", "elig_env_osh",
    "elig_nondiscrim", "exp_status_baseline", "closed_on",
)  # fmt: skip
"""Columns of the firms that leave; others do where the plan of the study names them."""

_PARTS = ("domestic_sales", "export_direct", "export_indirect")
_MARKETS = dict(zip(("domestic", "direct", "indirect"), _PARTS, strict=True))
_OF_SALES = ("intermediate_inputs", "payroll", "inventory_change", "total_cost", "joint_sales", "joint_purchases")
_MEANS = ("workers_paid", "workers_unpaid", "fte", "unit_cost_index")
_STEADY = ("workers_paid", "fte")
_COUNTS = ("n_destinations", "n_ties")
_YES_NO = ("recall_flag", "quality_seal", "env_compliant", "osh_compliant")
_ANSWERED = ("complete", "partial")
_TEXTS = ("exp_status_baseline", "size_class", "owner_gender", "sector", "branch", "arm")


def fewest_behind(k: int) -> int:
    """How many firms must stand behind a mean: half of k, three at least."""
    return max(3, (k + 1) // 2)


def top_coded_survey(frames: dict[str, pd.DataFrame], study: Study) -> dict[str, pd.DataFrame]:
    """Survey and product sales, every amount of a firm's year scaled as its top-coded sales are; part years made annual."""
    cur, survey = study.programme.currency.lower(), frames["survey"]
    whole, months = f"sales_k{cur}", survey["months_covered"]
    branch = survey["firm_id"].map(frames["enterprises"].set_index("firm_id")["branch"]).astype(object).fillna("")
    group = branch.astype(str) + "|" + survey["ref_year"].map("{:g}".format)
    year = (12 / months).where(months.between(0, 12, inclusive="neither"), 1.0).astype(float)
    sales = survey[whole] * year
    scale = (top_coded(sales, group, study.privacy.top_share) / survey[whole].where(survey[whole] > 0)).fillna(year)
    amounts = [f"{n}_k{cur}" for n in ("sales", *_PARTS, *_OF_SALES)] + ["export_direct_usd", "production_qty"]
    made = survey.assign(**{c: survey[c] * scale for c in amounts}, months_covered=months.where(months.isna(), 12.0))
    made = made.assign(**{c: top_coded(survey[c], group, study.privacy.top_share) for c in ("workers_paid", "fte")})
    frames = frames | {"survey": made}
    if "product_sales" in frames:
        sold, value = frames["product_sales"], f"value_k{cur}"
        factor = survey[["firm_id", "ref_year"]].assign(factor=scale).drop_duplicates(["firm_id", "ref_year"])
        sold = sold.merge(factor, on=["firm_id", "ref_year"])
        frames["product_sales"] = sold.assign(quantity=sold["quantity"] * sold["factor"], **{value: sold[value] * sold["factor"]})
    return frames


def shared(frames: dict[str, pd.DataFrame], groups: pd.Series, study: Study) -> dict[str, pd.DataFrame]:
    """Every table of firms, made of its groups: each firm has what its group has."""
    firms = frames["enterprises"]
    members = groups.rename(GROUP).rename_axis("firm_id").reset_index()
    inside = {n: f.merge(members, on="firm_id") if "firm_id" in f else f for n, f in frames.items()}
    made = {"enterprises": _firms(inside, study), "survey": _survey(inside, study)}
    for name, make in (("product_sales", _products), ("services", _services), ("other_support", _support)):
        if name in frames:
            made[name] = make(inside, made, study)
    spread = {n: members.merge(f, on=GROUP) for n, f in made.items()}
    kept = {n: f if n == "enterprises" else f.drop(columns=GROUP) for n, f in spread.items()}
    order = dict(zip(firms["firm_id"], range(len(firms)), strict=True))
    return {
        n: kept[n].sort_values("firm_id", key=lambda ids: ids.map(order), kind="stable") if n in kept else frames[n] for n in frames
    }


def named_in(study: Study) -> set[str]:
    """Every word of the plan: a column that stands there is needed."""
    plan = study.model_dump(mode="json", include={"match", "did", "sensitivity", "outcomes", "opinions"})
    return set(json.dumps(plan).replace('"', " ").split()) - {"commitment_letter_on", "control_listed_on", "exited_on"}


def most_said(values: pd.Series) -> object:
    """What most of a group say; missing when fewer than half say anything; of equals the first in order."""
    said = values.dropna()
    if 2 * len(said) < len(values) or said.empty:
        return None
    counts = said.value_counts()
    return sorted(counts.index[counts == counts.max()], key=str)[0]


def _firms(frames: dict[str, pd.DataFrame], study: Study) -> pd.DataFrame:
    firms, named, extra = frames["enterprises"], named_in(study), study.data.extra.get("enterprises", {})
    wanted = [c for c in firms if c in FIRMS or c in named or c in extra]
    wanted = [c for c in wanted if c not in ("firm_id", "cluster_id", GROUP)]
    by = firms.groupby(GROUP)
    made = pd.DataFrame({c: by[c].agg(_rule(c, firms[c])) for c in wanted})
    if "size_class" in made and "workers_baseline" in made:
        usual = firms[GROUP].map(made["size_class"])
        alike = firms[(firms["size_class"] == usual) | usual.isna()]
        made["workers_baseline"] = alike.groupby(GROUP)["workers_baseline"].mean().round().where(made["workers_baseline"].notna())
    one = by["municipality"].agg(lambda v: v.iloc[0] if v.nunique(dropna=False) == 1 else None)
    made["municipality"] = one if "municipality" in named else None
    made["founded_year"] = banded_years(made["founded_year"].astype(float))
    member = by["cluster_id"].agg(lambda v: 2 * v.notna().sum() >= len(v))
    made["cluster_id"] = pd.Series(made.index.map("C{}".format), index=made.index, dtype=object).where(member, None)
    made["registered_on"] = _first_day(pd.to_datetime(firms["registered_on"]).dt.year.groupby(firms[GROUP]).agg(most_said))
    made["closed_on"] = _first_day(_closed(frames))
    return made.reset_index()


def _rule(name: str, values: pd.Series) -> Callable[[pd.Series], object]:
    """How a group comes to one value: numbers by their mean; everything else, a yes or no and a year, by the most said."""
    numeric = pd.api.types.is_numeric_dtype(values) and name not in (*_TEXTS, "entry_year")
    if not numeric or values.dropna().isin((0, 1)).all():
        return most_said
    digits = 0 if name == "workers_baseline" else 3
    return lambda v: round(float(v.mean()), digits) if 2 * v.notna().sum() >= len(v) else None


def _closed(frames: dict[str, pd.DataFrame]) -> pd.Series:
    """By group, the middle year of closure where most of its firms closed."""
    firms = frames["enterprises"]
    years = firms["firm_id"].map(closing_years(frames)).groupby(firms[GROUP])
    return years.agg(lambda v: float(np.floor(v.median())) if 2 * v.notna().sum() > len(v) else np.nan)


def _first_day(years: pd.Series) -> pd.Series:
    return years.astype(float).map("{:.0f}-01-01".format, na_action="ignore").astype(object)


def _survey(frames: dict[str, pd.DataFrame], study: Study) -> pd.DataFrame:
    survey, cur, digits = frames["survey"], study.programme.currency.lower(), study.privacy.round_digits
    keys, fewest = [GROUP, "ref_year"], fewest_behind(study.privacy.k)
    answered = survey["response"].isin(_ANSWERED)
    every = survey.groupby(keys)
    gone = every["response"].agg(lambda v: _most_silent(v)).rename("response")
    given = survey[answered]
    behind = given.groupby(keys)["firm_id"].nunique().reindex(gone.index, fill_value=0)
    closed = _closed(frames).reindex(gone.index.get_level_values(0)).to_numpy()
    year = gone.index.get_level_values(1).to_numpy(dtype=float)
    is_closed = pd.Series(year >= closed, index=gone.index)
    made = pd.DataFrame({"response": gone.mask(behind >= fewest, "complete").mask(is_closed, "closed")})
    live = made["response"] == "complete"
    amounts = _amounts(given, cur, fewest).reindex(made.index)
    made = made.join(amounts)
    extra = tuple(study.data.extra.get("survey", {}))
    for name in (*_MEANS, *_COUNTS, *extra):
        made[name] = (steady_mean if name in _STEADY else _mean)(given, name, fewest).reindex(made.index)
    for name in (*_YES_NO, "exp_status"):
        made[name] = (
            given.groupby(keys)[name].agg(lambda v: most_said(v) if v.notna().sum() >= fewest else None).reindex(made.index)
        )
    made["months_covered"] = _mean(given, "months_covered", fewest).reindex(made.index)
    figures = [c for c in made if c != "response"]
    made[figures] = made[figures].where(live, np.nan)
    return _tidy(made, cur, digits, extra).reset_index()


def _most_silent(responses: pd.Series) -> str:
    silent = responses[~responses.isin((*_ANSWERED, "closed"))]
    return str(most_said(silent)) if len(silent) else "not_found"


def _mean(given: pd.DataFrame, name: str, fewest: int) -> pd.Series:
    by = given.groupby([GROUP, "ref_year"])[name]
    return by.mean().astype(float).where(by.count() >= fewest)


def steady_mean(given: pd.DataFrame, name: str, fewest: int) -> pd.Series:
    """By group and year, a figure whose level is the mean of the group's and whose change is the mean relative change of its firms.

    The movement is that of the geometric mean, so that a logarithm changes by what it changes on average among the firms; a factor
    of the group, the same in all years, lifts it to the arithmetic mean. A firm silent in a year keeps its place in the group: its
    mean distance, over its own years, from those who answered. Otherwise a large firm's silence were a fall in sales.

    >>> rows = pd.DataFrame({"firm_id": [*"abab"], "release_group": 1, "ref_year": [1, 1, 2, 2], "x": [1.0, 4, 4, 4]})
    >>> steady_mean(rows, "x", 1).round(6).tolist()
    [2.166667, 4.333333]
    """
    rows = given.loc[given[name] > 0, ["firm_id", GROUP, "ref_year", name]]
    level = np.log(rows[name])
    middle = level.groupby([rows[GROUP], rows["ref_year"]]).transform("mean")
    rows = rows.assign(level=level, place=(level - middle).groupby(rows["firm_id"]).transform("mean"))
    by = rows.groupby([GROUP, "ref_year"])
    here = by["place"].mean()
    group = here.index.get_level_values(0)
    whole = rows.drop_duplicates("firm_id").groupby(GROUP)["place"].mean().reindex(group).to_numpy()
    path = np.exp(by["level"].mean() + whole - here)
    mean = _mean(given, name, fewest)
    path = path.reindex(mean.index).where(mean.notna()).fillna(mean)
    lift = mean.groupby(level=0).sum() / path.groupby(level=0).sum().replace(0.0, np.nan)
    return path * lift.reindex(path.index.get_level_values(0)).fillna(1.0).to_numpy()


def _ratio(given: pd.DataFrame, part: str, whole: str, fewest: int) -> pd.Series:
    """By group and year, the sum of a part as a share of the sum of the whole, over firms that gave both."""
    both = given[given[part].notna() & given[whole].notna()].groupby([GROUP, "ref_year"])
    total = both[whole].sum()
    return (both[part].sum() / total.where(total > 0)).where(both.size() >= fewest)


def _amounts(given: pd.DataFrame, cur: str, fewest: int) -> pd.DataFrame:
    """Sales and what is measured by them, by group and year; parts from firms whose parts add up to the whole."""
    whole, parts = f"sales_k{cur}", [f"{n}_k{cur}" for n in _PARTS]
    sales = steady_mean(given, whole, fewest)
    made = pd.DataFrame({whole: sales})
    summed = given[parts].sum(axis=1, skipna=False)
    adds = given[(summed - given[whole]).abs() <= 0.01 * given[whole] + 0.5].assign(**{whole: summed})
    for part in parts:
        made[part] = sales * _ratio(adds, part, whole, fewest)
    for part in parts[1:]:
        by = adds[part].gt(0).groupby([adds[GROUP], adds["ref_year"]]).mean().reindex(made.index)
        few = (by > 0) & (by < 0.5)
        made.loc[few, parts[0]] += made.loc[few, part]
        made.loc[few, part] = 0.0
    for name in (*(f"{n}_k{cur}" for n in _OF_SALES), "production_qty"):
        shares = given.assign(**{name: given[name] / given[whole].where(given[whole] > 0)})
        made[name] = sales * _mean(shares, name, fewest)
    direct = f"export_direct_k{cur}"
    made["export_direct_usd"] = made[direct] * _ratio(given, "export_direct_usd", direct, fewest)
    made.loc[made[direct] == 0, "export_direct_usd"] = 0.0
    return made


def _tidy(made: pd.DataFrame, cur: str, digits: int, extra: tuple[str, ...]) -> pd.DataFrame:
    """Rounded figures whose parts add up; export status as the amounts say."""
    whole, parts = f"sales_k{cur}", [f"{n}_k{cur}" for n in _PARTS]
    numbers = [*made.columns[made.columns.str.contains(f"_k{cur}$")], "export_direct_usd", "production_qty", *_MEANS, *extra]
    made = made.assign(**{c: rounded(made[c].astype(float), digits) for c in numbers})
    made[whole] = made[parts].sum(axis=1).where(made[parts].notna().all(axis=1), made[whole]).round(6)
    known = made[parts[1:]].notna().all(axis=1)
    by_amount = np.select([made[parts[1]] > 0, made[parts[2]] > 0], ["direct", "indirect"], "none")
    made["exp_status"] = pd.Series(by_amount, index=made.index, dtype=object).where(known, made["exp_status"])
    return made.assign(**{c: made[c].astype(float).round() for c in _COUNTS})


def _products(frames: dict[str, pd.DataFrame], made: dict[str, pd.DataFrame], study: Study) -> pd.DataFrame:
    """Quantity and value of the lines that enough firms of a group sold in a year, scaled to the group's sales of the market."""
    cur, digits, sold = study.programme.currency.lower(), study.privacy.round_digits, frames["product_sales"]
    value, keys = f"value_k{cur}", [GROUP, "ref_year", "product_line", "unit", "market"]
    by = sold.groupby(keys, dropna=False)
    lines = by[["quantity", value]].sum().where(by["firm_id"].nunique() >= fewest_behind(study.privacy.k)).dropna().reset_index()
    survey = made["survey"].rename(columns={f"{p}_k{cur}": m for m, p in _MARKETS.items()})
    known = survey.melt([GROUP, "ref_year"], list(_MARKETS), "market", "sales").dropna()
    lines = lines.merge(known, on=[GROUP, "ref_year", "market"])
    total = lines.groupby([GROUP, "ref_year", "market"])[value].transform("sum")
    factor = lines["sales"] / total.where(total > 0)
    scaled = lines.assign(**{c: rounded(lines[c] * factor, digits + 1) for c in ("quantity", value)})
    return scaled[(scaled["quantity"] > 0) & scaled[value].notna()][[*keys, "quantity", value]]


def _services(frames: dict[str, pd.DataFrame], made: dict[str, pd.DataFrame], study: Study) -> pd.DataFrame:
    """Kinds of service that at least half of a group's firms had, in the year of most; not before the group's registration."""
    rows = frames["services"].assign(year=pd.to_datetime(frames["services"]["start_on"]).dt.year)
    kinds = _of_half(rows, ["activity_type", "component"], frames["enterprises"])
    firms = made["enterprises"].set_index(GROUP)
    start = pd.to_datetime(firms["registered_on"]).dt.year.reindex(kinds[GROUP]).to_numpy()
    years = kinds["year"].astype(float).clip(lower=pd.Series(start, index=kinds.index).fillna(-np.inf))
    return kinds.assign(start_on=_first_day(years), service_id="")[[GROUP, "service_id", "start_on", "activity_type", "component"]]


def _support(frames: dict[str, pd.DataFrame], made: dict[str, pd.DataFrame], study: Study) -> pd.DataFrame:
    """Other support that at least half of a group's firms had."""
    rows = frames["other_support"].assign(programme="other", year=pd.to_datetime(frames["other_support"]["start_on"]).dt.year)
    found = _of_half(rows, ["programme"], frames["enterprises"])
    return found.assign(start_on=_first_day(found["year"]))[[GROUP, "programme", "start_on"]]


def _of_half(rows: pd.DataFrame, kinds: list[str], firms: pd.DataFrame) -> pd.DataFrame:
    by = rows.groupby([GROUP, *kinds], dropna=False)
    found = by.agg(n=("firm_id", "nunique"), year=("year", most_said)).reset_index()
    return found[2 * found["n"] >= found[GROUP].map(firms.groupby(GROUP).size())].drop(columns="n")
