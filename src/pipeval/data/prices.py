"""Prices apart from quantities: index numbers of unit values, and a change in value as quantity × mix × price.

Only items sold in both years are compared, so that a changed mix does not pass for a changed price; what entered and what
left is shown as a share of value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..errors import DataError, DesignError, some
from ..study.files import nearest
from ..study.specs import Study
from .load import Tables

ITEM = ("product_line", "market", "unit")
"""What makes an item: a line sold in another market or by another unit is another item."""


def price_indices(lines: pd.DataFrame, base_year: int, items: Sequence[str] = ITEM, by: str | None = None) -> pd.DataFrame:
    """One row a firm (or group of firms) and period: its price level relative to the base year, three ways.

    Parameters
    ----------
    lines : DataFrame
        `firm_id`, `period`, the columns of `items`, `value` and `quantity`; several lines of an item in a period are summed.
    base_year : int
        The period whose prices are 1.
    items : sequence of str
        Columns that make an item within a firm; a missing entry is an entry of its own.
    by : str, optional
        A column constant within a firm: rows are then its groups, over the items of firms with sales in both years.

    Returns
    -------
    DataFrame
        Index (`firm_id` or `by`, `period`); `laspeyres, paasche, fisher`, `n_items` (matched), `entered` (share of the
        period's value in items without a match in the base year) and `left` (share of the base year's value without a match
        in the period). Indices are NaN without a matched item. Lines without a positive value and quantity have no unit value
        and match nothing.

    Raises
    ------
    DataError
        When a column is missing, a value or quantity is negative, or `by` varies within a firm.
    DesignError
        When the base year has no line.

    Notes
    -----
    L = Σ p₁q₀ / Σ p₀q₀, P = Σ p₁q₁ / Σ p₀q₁, F = √(L·P) (Fisher 1922), p = value / quantity. Over a group the sums run over
    all its firms' items, which is the mean of their Laspeyres indices weighted by base-year value.

    Examples
    --------
    >>> rows = [("A", 1, "shoe", 10, 100.0), ("A", 1, "boot", 10, 1000.0), ("A", 2, "shoe", 30, 330.0), ("A", 2, "boot", 5, 600.0)]
    >>> lines = pd.DataFrame(rows, columns=["firm_id", "period", "product_line", "quantity", "value"])
    >>> price_indices(lines, 1, items=["product_line"]).loc[("A", 2), ["laspeyres", "paasche", "fisher"]].round(4).tolist()
    [1.1909, 1.1625, 1.1766]
    """
    matched, totals, row = _compared(lines, base_year, items, by)
    sums = _sums(matched, row)
    return _beside(totals, _indices(sums), sums)


def value_decomposition(lines: pd.DataFrame, base_year: int, items: Sequence[str] = ITEM, by: str | None = None) -> pd.DataFrame:
    """One row a firm (or group) and period: the value of matched items relative to the base year, as quantity × mix × price.

    Parameters
    ----------
    lines, base_year, items, by
        As in `price_indices`. With `unit` among the items, quantities are added only where all matched items have one unit;
        without it they are taken to be in one unit.

    Returns
    -------
    DataFrame
        Index as in `price_indices`; ratios to the base year: `value` of the matched items, `price` (Fisher), `volume`
        (value / price), `quantity` (ratio of total physical quantities) and `mix` (volume / quantity: towards dearer items
        when above 1), these two NaN where units differ; `total`, the value of all items; `entered`, `left` and `n_items`.

    Raises
    ------
    DataError, DesignError
        As in `price_indices`.

    Notes
    -----
    Exact in logs: ln value = ln quantity + ln mix + ln price, and ln total = ln value + ln(1 − left) − ln(1 − entered), where
    an item is matched.

    Examples
    --------
    >>> rows = [("A", 1, "shoe", 10, 100.0), ("A", 1, "boot", 10, 1000.0)]
    >>> rows += [("A", 2, "shoe", 10, 110.0), ("A", 2, "boot", 20, 2200.0)]
    >>> lines = pd.DataFrame(rows, columns=["firm_id", "period", "product_line", "quantity", "value"])
    >>> value_decomposition(lines, 1, items=["product_line"]).loc[("A", 2), ["value", "price", "quantity", "mix"]].round(4).tolist()
    [2.1, 1.1, 1.5, 1.2727]
    """
    matched, totals, row = _compared(lines, base_year, items, by)
    sums = _sums(matched, row)
    table = pd.DataFrame({"value": sums["p1q1"] / sums["p0q0"], "price": _indices(sums)["fisher"]})
    table["volume"] = table["value"] / table["price"]
    quantity = sums["q1"] / sums["q0"]
    if "unit" in items:
        units = matched["unit"].groupby(row).agg(["nunique", "first"])
        quantity = quantity.where((units["nunique"] == 1) & (units["first"] != ""))
    table["quantity"], table["mix"] = quantity, table["volume"] / quantity
    return _beside(totals, table, sums).assign(total=totals["v1"] / totals["v0"].where(totals["v0"] > 0))


def fisher_prices(tables: Tables, study: Study) -> pd.Series:
    """Each firm's price level by year relative to the base year: the Fisher index of its unit values (see `price_indices`)."""
    sales = tables["product_sales"]
    value = sales[f"value_k{study.programme.currency.lower()}"]
    lines = sales.rename(columns={"ref_year": "period"}).assign(value=value)
    if not (lines["period"] == study.baseline.year).any():
        return pd.Series(dtype=float, index=pd.MultiIndex.from_arrays([[], []], names=["firm_id", "period"]))
    return price_indices(lines, study.baseline.year, [c for c in ITEM if c in lines])["fisher"]


def _compared(lines: pd.DataFrame, base_year: int, items: Sequence[str], by: str | None) -> tuple[pd.DataFrame, pd.DataFrame, list]:
    """Items with a unit value in the base year and in the period; value of all lines by row in either; what makes a row."""
    lines, row = _proved(lines, base_year, items, by), [by or "firm_id", "period"]
    item = [*dict.fromkeys(["firm_id", *([by] if by else []), *items])]
    priced = lines[(lines["value"] > 0) & (lines["quantity"] > 0)]
    priced = priced.groupby([*item, "period"], as_index=False, observed=True)[["value", "quantity"]].sum()
    base = priced[priced["period"] == base_year].drop(columns="period")
    matched = priced.merge(base, on=item, suffixes=("1", "0"))
    firm = [*dict.fromkeys(["firm_id", row[0]])]
    value = lines.groupby([*firm, "period"], as_index=False, observed=True)["value"].sum()
    start = value[value["period"] == base_year].drop(columns="period")
    totals = value.merge(start, on=firm, suffixes=("1", "0")).rename(columns={"value1": "v1", "value0": "v0"})
    return matched, totals.groupby(row, observed=True)[["v1", "v0"]].sum(), [matched[c] for c in row]


def _proved(lines: pd.DataFrame, base_year: int, items: Sequence[str], by: str | None) -> pd.DataFrame:
    """The columns used, proved: missing item keys are a level of their own, periods whole numbers."""
    columns = list(dict.fromkeys(["firm_id", "period", *items, *([by] if by else []), "value", "quantity"]))
    missing = [c for c in columns if c not in lines]
    if missing:
        raise DataError(
            f"price lines need {some(missing, 'column')} that they lack; for '{missing[0]}', {nearest(missing[0], lines.columns)}"
        )
    lines = lines[columns].astype({"value": float, "quantity": float, "period": int})
    negative = (lines["value"] < 0) | (lines["quantity"] < 0)
    if negative.any():
        raise DataError(
            f"values and quantities are at least 0; they are negative for {some(lines.loc[negative, 'firm_id'].unique())}"
        )
    if not (lines["period"] == base_year).any():
        raise DesignError(f"no line in the base year {base_year}; lines cover {lines['period'].min()}–{lines['period'].max()}")
    if by and by != "firm_id":
        varying = lines.groupby("firm_id", observed=True)[by].nunique(dropna=False)
        if (varying > 1).any():
            raise DataError(f"a firm belongs to one group; '{by}' varies within {some(varying.index[varying > 1])}")
    keys = {c: lines[c].astype(object).where(lines[c].notna(), "") for c in items}
    return lines.assign(**keys)


def _sums(matched: pd.DataFrame, row: list) -> pd.DataFrame:
    """Σ p·q over the matched items of each row, and their quantities."""
    q0, q1 = matched["quantity0"], matched["quantity1"]
    terms = {
        "p0q0": matched["value0"],
        "p1q1": matched["value1"],
        "p1q0": matched["value1"] / q1 * q0,
        "p0q1": matched["value0"] / q0 * q1,
        "q0": q0,
        "q1": q1,
        "n_items": 1,
    }
    return pd.DataFrame(terms, index=matched.index).groupby(row, observed=True).sum()


def _indices(sums: pd.DataFrame) -> pd.DataFrame:
    laspeyres, paasche = sums["p1q0"] / sums["p0q0"], sums["p1q1"] / sums["p0q1"]
    return pd.DataFrame({"laspeyres": laspeyres, "paasche": paasche, "fisher": np.sqrt(laspeyres * paasche)})


def _beside(totals: pd.DataFrame, table: pd.DataFrame, sums: pd.DataFrame) -> pd.DataFrame:
    """The table with a row wherever there are sales in both years, and the shares of value without a match."""
    table, sums = table.reindex(totals.index), sums.reindex(totals.index).fillna(0)
    lone = {"entered": (totals["v1"], sums["p1q1"]), "left": (totals["v0"], sums["p0q0"])}
    shares = {name: (1 - met / value.where(value > 0)).clip(lower=0) for name, (value, met) in lone.items()}
    return table.assign(n_items=sums["n_items"].astype(int), **shares)
