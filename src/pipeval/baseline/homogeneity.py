"""Firms of a kind beside one another: whose base-year figures lie far from those of firms of the same branch and size."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.load import Tables
from ..data.measures import ANSWERED
from ..data.money import series_values
from ..data.treatment import SIZE_BANDS
from ..study.specs import Study

LOGARITHMIC = ("sales_per_worker", "value_added_per_worker", "price")
"""Figures compared in logarithms; the share exported is compared as it is."""

_UNITS = {"suspected_unit_thousand": 1000.0, "suspected_unit_thousandth": 1 / 1000}
_COMPARED = ["firm_id", "measure", "arm", "branch", "size_class", "cell", "n", "value", "median", "mad", "robust_z", "reason"]


def base_figures(tables: Tables, faults: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row a firm that answered in the base year: the figures by which like firms are compared.

    Returns
    -------
    DataFrame
        Index `firm_id`; `sales_per_worker` and `value_added_per_worker` in thousands a worker, `price` (the firm's unit values
        against the median of each item among all firms, weighted by value; 1 is the usual price), `export_share` (direct and
        indirect exports in sales). As reported, made annual where they cover part of a year: figures that the check questioned
        and params set missing are put back, since it is these that a reader must see. NaN where a part is missing or there are
        no workers.

    Notes
    -----
    Homogeneity of firms of similar size is asked of a baseline so that an informant's error can be told from a difference.
    """
    cur, base = study.programme.currency.lower(), study.baseline.year
    rows = _as_reported(tables["survey"], faults)
    rows = rows[(rows["ref_year"] == base) & rows["response"].isin(ANSWERED)].drop_duplicates("firm_id").set_index("firm_id")
    part = rows["months_covered"].between(0, 12, inclusive="neither")
    year = (12 / rows["months_covered"]).where(part, 1.0)
    unpaid = rows["workers_unpaid"]
    workers = rows["workers_paid"] + (0 if unpaid.isna().all() else unpaid)
    workers = workers.where(workers > 0)
    sales, stock = rows[f"sales_k{cur}"], rows[f"inventory_change_k{cur}"]
    added = sales - rows[f"intermediate_inputs_k{cur}"] + (0 if stock.isna().all() else stock)
    exports = rows[f"export_direct_k{cur}"] + rows[f"export_indirect_k{cur}"]
    return pd.DataFrame(
        {
            "sales_per_worker": sales * year / workers,
            "value_added_per_worker": added * year / workers,
            "price": _prices(tables, study).reindex(rows.index),
            "export_share": exports / sales.where(sales > 0),
        }
    )


def _as_reported(survey: pd.DataFrame, faults: pd.DataFrame) -> pd.DataFrame:
    """The survey with questioned cells that were set missing put back."""
    questioned = faults[(faults["table"] == "survey") & (faults["kind"] == "query")]
    rows = survey.copy()
    for row, column, value in zip(questioned["row"], questioned["column"], questioned["value"], strict=True):
        number = pd.to_numeric(pd.Series([value]), errors="coerce").iloc[0]
        if row in rows.index and column in rows and pd.isna(rows.at[row, column]) and pd.notna(number):
            rows.loc[row, column] = number
    return rows


def _prices(tables: Tables, study: Study) -> pd.Series:
    """Each firm's base-year prices against the median price of the same item, as a ratio."""
    if "product_sales" not in tables:
        return pd.Series(dtype=float)
    lines = tables["product_sales"]
    value = lines[f"value_k{study.programme.currency.lower()}"]
    lines = lines.assign(value=value)[(lines["ref_year"] == study.baseline.year) & (value > 0) & (lines["quantity"] > 0)]
    item = [lines[c].fillna("") for c in ("product_line", "unit", "market")]
    price = np.log(lines["value"] / lines["quantity"])
    gap = (price - price.groupby(item).transform("median"))[price.groupby(item).transform("size") >= study.credibility.fewest]
    weight = lines.loc[gap.index, "value"]
    firm = lines.loc[gap.index, "firm_id"]
    return np.exp((gap * weight).groupby(firm).sum() / weight.groupby(firm).sum())


def compared(figures: pd.DataFrame, firms: pd.DataFrame, tables: Tables, study: Study) -> pd.DataFrame:
    """One row a firm and figure: where it stands in its cell of branch and size.

    Parameters
    ----------
    figures : DataFrame
        As `base_figures` gives them.
    firms : DataFrame
        Index `firm_id`; `arm, branch, size_class`.

    Returns
    -------
    DataFrame
        `firm_id, measure, arm, branch, size_class, cell, n, value, median, mad, robust_z, reason`. `cell` says with whom the
        firm was compared: `branch_size`, `branch` where the cell holds fewer firms than params ask for, `none` where the branch
        does too (then `robust_z` is NaN). `median` is in the figure's unit; `mad` (1.4826 times the median absolute deviation)
        and `robust_z` are of logarithms, for the share of itself. `reason` is empty for a figure that is not remarkable.

    Notes
    -----
    A share of exports is compared among exporters. A figure without a logarithm, or a share above one, needs no comparison:
    it has a reason of its own.
    """
    known = firms[["arm", "branch", "size_class"]].reindex(figures.index)
    long = figures.rename_axis("firm_id").melt(ignore_index=False, var_name="measure", value_name="value").dropna(subset=["value"])
    long = long.join(known).reset_index().reindex(columns=_COMPARED).astype({"cell": "str", "reason": "str"})
    if long.empty:
        return long
    logs = long["measure"].isin(LOGARITHMIC)
    scaled = pd.Series(np.log(long["value"].where(logs & (long["value"] > 0))), index=long.index)
    scaled = scaled.where(logs, long["value"].where(long["value"] > 0))
    placed = _placed(scaled, long, study.credibility.fewest)
    z = (scaled - placed["centre"]) / placed["mad"].where(placed["mad"] > 0)
    long = long.assign(cell=placed["cell"], n=placed["n"], mad=placed["mad"], robust_z=z)
    long["median"] = np.exp(placed["centre"]).where(logs, placed["centre"])
    long["reason"] = _reasons(long, scaled - placed["centre"], tables, study)
    return long.sort_values(["measure", "firm_id"], key=_in_order(figures), kind="stable").reset_index(drop=True)


def _in_order(figures: pd.DataFrame):
    place = {name: i for i, name in enumerate(figures)}
    return lambda column: column.map(place) if column.name == "measure" else column


def _placed(scaled: pd.Series, long: pd.DataFrame, fewest: int) -> pd.DataFrame:
    """Centre, spread and number of the firms that each figure is compared with: its cell's, else its branch's."""
    placed = pd.DataFrame({"cell": "none", "n": 0, "centre": np.nan, "mad": np.nan}, index=long.index)
    for name, keys in (("branch", ["branch"]), ("branch_size", ["branch", "size_class"])):
        group = scaled.groupby([long["measure"], *(long[k] for k in keys)])
        n, centre = group.transform("count"), group.transform("median")
        mad = 1.4826 * (scaled - centre).abs().groupby([long["measure"], *(long[k] for k in keys)]).transform("median")
        enough = n.fillna(0) >= fewest
        found = pd.DataFrame({"cell": name, "n": n, "centre": centre, "mad": mad})
        placed = placed.mask(enough, found)
    return placed.astype({"n": int, "centre": float, "mad": float, "cell": "str"})


def _reasons(long: pd.DataFrame, gap: pd.Series, tables: Tables, study: Study) -> pd.Series:
    """Why a figure is remarkable; empty where it is not."""
    far = long["robust_z"].abs() > study.credibility.robust_z
    side = pd.Series(np.where(gap > 0, "high_", "low_"), index=long.index) + long["measure"]
    reason = side.where(far, "")
    near = long["mad"].clip(upper=np.log(2))
    for code, times in (_UNITS | _dollar(tables, study)).items():
        reach = 2 * near if code in _UNITS else near  # nothing but a unit lies a thousand times off; much else lies ten times off
        fits = far & long["measure"].isin(LOGARITHMIC) & ((gap - np.log(times)).abs() <= reach)
        reason = reason.mask(fits, code)
    reason = reason.mask((long["measure"] == "export_share") & (long["value"] > 1), "exports_above_sales")
    without = long["measure"].isin(LOGARITHMIC) & (long["value"] <= 0)
    nothing = np.where(long["value"] < 0, "negative_" + long["measure"], "zero_" + long["measure"])
    return reason.mask(without, pd.Series(nothing, index=long.index))


def _dollar(tables: Tables, study: Study) -> dict[str, float]:
    """How far off a figure is that was given in dollars, or converted twice."""
    if study.money.fx is None or "series" not in tables:
        return {}
    rate = series_values(tables["series"], study.money.fx).get(study.baseline.year, np.nan)
    return {"suspected_unit_dollar": 1 / rate, "suspected_converted_twice": rate} if rate > 1 else {}


def homogeneity_table(scored: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row a figure and group of like firms: how alike they are in the base year.

    Parameters
    ----------
    scored : DataFrame
        As `compared` gives it.

    Returns
    -------
    DataFrame
        `measure, branch, size_class, cell, n` (firms compared), `median, mad, limit_low, limit_high` (beyond which a firm is
        listed), `fence_low, fence_high` (quartiles less and plus one and a half times their distance, Tukey 1977),
        `n_flagged, share_flagged`. Sizes compared within the whole branch stand in one row under the size `all`; groups too
        small to compare have no row. Limits are in the figure's unit.
    """
    columns = [
        "measure",
        "branch",
        "size_class",
        "cell",
        "n",
        "median",
        "mad",
        "limit_low",
        "limit_high",
        "fence_low",
        "fence_high",
    ]
    rows = scored[(scored["cell"] != "none") & (scored["value"] > 0)]
    rows = rows.assign(group=rows["size_class"].where(rows["cell"] == "branch_size", "all"))
    order = {name: i for i, name in enumerate((*dict.fromkeys(scored["measure"]), *SIZE_BANDS, "all"))}
    rows = rows.sort_values(["measure", "branch", "group"], key=lambda c: c if c.name == "branch" else c.map(order), kind="stable")
    found = []
    for (measure, branch, size, cell), part in rows.groupby(["measure", "branch", "group", "cell"], sort=False):
        peers = part if cell == "branch_size" else scored[(scored["measure"] == measure) & (scored["branch"] == branch)]
        reach = study.credibility.robust_z * part["mad"].iloc[0]
        low, high = _fences(peers["value"], measure in LOGARITHMIC)
        median = part["median"].iloc[0]
        ends = (median * np.exp(-reach), median * np.exp(reach)) if measure in LOGARITHMIC else (median - reach, median + reach)
        row = [measure, branch, size, cell, part["n"].iloc[0], median, part["mad"].iloc[0], *ends, low, high]
        found.append([*row, len(part), int((part["reason"] != "").sum())])
    table = pd.DataFrame(found, columns=[*columns, "n_firms", "n_flagged"])
    return table.assign(share_flagged=table["n_flagged"] / table["n_firms"].where(table["n_firms"] > 0))


def _fences(values: pd.Series, logs: bool) -> tuple[float, float]:
    values = values[values > 0]
    scaled = np.log(values) if logs else values
    first, third = scaled.quantile(0.25), scaled.quantile(0.75)
    low, high = first - 1.5 * (third - first), third + 1.5 * (third - first)
    return (float(np.exp(low)), float(np.exp(high))) if logs else (float(low), float(high))


def outlying_firms(scored: pd.DataFrame) -> pd.DataFrame:
    """One row a firm and figure that is far from like firms, the farthest first within each figure.

    `measure, firm_id, arm, branch, size_class, cell, value, median, robust_z, reason`.
    """
    columns = ["measure", "firm_id", "arm", "branch", "size_class", "cell", "value", "median", "robust_z", "reason"]
    listed = scored[scored["reason"] != ""]
    order = {m: i for i, m in enumerate(dict.fromkeys(scored["measure"]))}
    listed = listed.assign(_m=listed["measure"].map(order), _z=-listed["robust_z"].abs())
    return listed.sort_values(["_m", "_z", "firm_id"], kind="stable").reindex(columns=columns).reset_index(drop=True)
