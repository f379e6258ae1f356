"""Prices apart from quantities: two items by hand, identities, and what changes nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeval.data.prices import price_indices, value_decomposition
from pipeval.errors import DataError, DesignError

CLOSED = 1e-12
COLUMNS = ["firm_id", "period", "product_line", "market", "unit", "quantity", "value"]
# shoes rise from 10 to 11, boots from 100 to 120; "old" leaves, "new" enters
BY_HAND = [
    ("A", 1, "shoe", "home", "pair", 10, 100.0),
    ("A", 1, "boot", "home", "pair", 10, 1000.0),
    ("A", 1, "old", "home", "pair", 9, 100.0),
    ("A", 2, "shoe", "home", "pair", 30, 330.0),
    ("A", 2, "boot", "home", "pair", 5, 600.0),
    ("A", 2, "new", "home", "pair", 9, 70.0),
]


def lines(rows=BY_HAND) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def many(seed: int = 2, firms: int = 12, years: int = 4) -> pd.DataFrame:
    """Random lines: four items a firm, some missing in some years; firms in two sectors."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"F{i}", t, f"line{k}", "home", "pair", *rng.lognormal([3, 6], 0.5))
        for i in range(firms)
        for t in range(1, years + 1)
        for k in range(4)
        if rng.random() < 0.9
    ]
    table = lines(rows)
    return table.assign(sector=table["firm_id"].str[1:].astype(int) % 2)


def test_three_indices_by_hand():
    row = price_indices(lines(), 1).loc[("A", 2)]
    laspeyres, paasche = (11 * 10 + 120 * 10) / (10 * 10 + 100 * 10), (11 * 30 + 120 * 5) / (10 * 30 + 100 * 5)
    wanted = [laspeyres, paasche, np.sqrt(laspeyres * paasche), 2, 70 / 1000, 100 / 1200]
    assert row[["laspeyres", "paasche", "fisher", "n_items", "entered", "left"]].tolist() == pytest.approx(wanted, rel=CLOSED)
    base = price_indices(lines(), 1).loc[("A", 1)]
    assert base[["laspeyres", "paasche", "fisher", "entered", "left"]].tolist() == pytest.approx([1, 1, 1, 0, 0], abs=CLOSED)


def test_a_value_taken_apart_by_hand():
    """Value .8455 (930/1,100) = quantity 1.75 (35/20) × mix × price 1.1766: the mix moved to the cheap item."""
    row = value_decomposition(lines(), 1).loc[("A", 2)]
    price = np.sqrt((1310 / 1100) * (930 / 800))
    wanted = {"value": 930 / 1100, "price": price, "volume": 930 / 1100 / price, "quantity": 35 / 20}
    wanted |= {"mix": 930 / 1100 / price / (35 / 20), "total": 1000 / 1200, "entered": 0.07, "left": 100 / 1200}
    assert row[list(wanted)].to_dict() == pytest.approx(wanted, rel=CLOSED)
    assert row["mix"] < 0.5


def test_pure_price_pure_mix_pure_quantity():
    start = [("A", 1, "shoe", "home", "pair", 10, 100.0), ("A", 1, "boot", "home", "pair", 10, 1000.0)]
    ends = {
        "price": [("A", 2, "shoe", "home", "pair", 10, 130.0), ("A", 2, "boot", "home", "pair", 10, 1300.0)],
        "mix": [("A", 2, "shoe", "home", "pair", 5, 50.0), ("A", 2, "boot", "home", "pair", 15, 1500.0)],
        "quantity": [("A", 2, "shoe", "home", "pair", 14, 140.0), ("A", 2, "boot", "home", "pair", 14, 1400.0)],
    }
    for moved, rows in ends.items():
        row = value_decomposition(lines(start + rows), 1).loc[("A", 2)]
        for factor in ends:
            assert (abs(row[factor] - 1) > 0.1) == (factor == moved), (moved, factor)


@pytest.mark.parametrize("by", [None, "sector"])
def test_the_factors_multiply(by):
    table = value_decomposition(many(), 1, by=by)
    assert len(table) == (48 if by is None else 8) and table.index.names == [by or "firm_id", "period"]
    np.testing.assert_allclose(table["value"], table["quantity"] * table["mix"] * table["price"], rtol=CLOSED)
    np.testing.assert_allclose(table["total"], table["value"] * (1 - table["left"]) / (1 - table["entered"]), rtol=CLOSED)
    found = price_indices(many(), 1, by=by)
    np.testing.assert_allclose(found["fisher"], table["price"], rtol=CLOSED)


def test_a_group_weighs_its_firms_by_base_value():
    rows = many()
    firms, group = price_indices(rows, 1), price_indices(rows, 1, by="sector")
    matched = value_decomposition(rows, 1)["left"]
    start = rows[rows["period"] == 1].groupby("firm_id")["value"].sum()
    weight = (1 - matched.xs(3, level="period")) * start
    mine = firms.xs(3, level="period")["laspeyres"]
    even = [f for f in mine.index if int(f[1:]) % 2 == 0]
    assert group.loc[(0, 3), "laspeyres"] == pytest.approx(np.average(mine[even], weights=weight[even]), rel=CLOSED)


def test_a_group_compares_firms_seen_in_both_years():
    """A firm that did not answer is no item that left."""
    rows = many()
    silent = rows[(rows["firm_id"] != "F2") | (rows["period"] != 3)]
    without = rows[rows["firm_id"] != "F2"]
    pd.testing.assert_series_equal(
        value_decomposition(silent, 1, by="sector").loc[(0, 3)], value_decomposition(without, 1, by="sector").loc[(0, 3)]
    )


def test_neither_units_nor_currency_matter():
    rows = many()
    base = value_decomposition(rows, 1)
    money = value_decomposition(rows.assign(value=rows["value"] * 1000), 1)
    np.testing.assert_allclose(money.astype(float), base.astype(float), rtol=1e-10, atol=1e-12)
    dozens = rows.assign(quantity=rows["quantity"] / np.where(rows["product_line"] == "line1", 12, 1))
    columns = ["value", "price", "volume", "total", "entered", "left"]
    np.testing.assert_allclose(value_decomposition(dozens, 1)[columns], base[columns], rtol=1e-10, atol=1e-12)
    inflated = rows.assign(value=rows["value"] * np.where(rows["period"] > 1, 2, 1))
    later = base.index.get_level_values("period") > 1
    np.testing.assert_allclose(value_decomposition(inflated, 1).loc[later, "price"], 2 * base.loc[later, "price"], rtol=1e-10)
    shuffled = rows.sample(frac=1, random_state=1)
    np.testing.assert_allclose(value_decomposition(shuffled, 1).astype(float), base.astype(float), rtol=1e-10, atol=1e-12)


def test_quantities_of_different_units_are_not_added():
    mixed = lines().assign(unit=["pair", "box", "pair", "pair", "box", "pair"])
    row = value_decomposition(mixed, 1).loc[("A", 2)]
    assert np.isnan(row["quantity"]) and np.isnan(row["mix"])
    assert row["price"] == pytest.approx(np.sqrt((1310 / 1100) * (930 / 800)), rel=CLOSED)
    unsaid = value_decomposition(lines().assign(unit=None), 1).loc[("A", 2)]
    assert np.isnan(unsaid["quantity"]) and unsaid["price"] == row["price"]
    one = value_decomposition(mixed.drop(columns="unit"), 1, items=["product_line", "market"]).loc[("A", 2)]
    assert one["quantity"] == pytest.approx(35 / 20)
    changed = lines().assign(unit=["pair", "pair", "pair", "box", "pair", "pair"])
    assert price_indices(changed, 1).loc[("A", 2), ["fisher", "n_items"]].tolist() == pytest.approx([1.2, 1])  # boots only


def test_lines_of_an_item_are_summed_and_lines_without_a_price_match_nothing():
    split = lines(
        [*BY_HAND[:3], ("A", 2, "shoe", "home", "pair", 10, 130.0), ("A", 2, "shoe", "home", "pair", 20, 200.0), *BY_HAND[4:]]
    )
    pd.testing.assert_frame_equal(value_decomposition(split, 1), value_decomposition(lines(), 1))
    unpriced = lines([*BY_HAND[:5], ("A", 2, "old", "home", "pair", 0, 70.0)])
    row = price_indices(unpriced, 1).loc[("A", 2)]
    assert row["n_items"] == 2 and row["entered"] == pytest.approx(0.07)
    nothing = price_indices(lines([*BY_HAND[:3], BY_HAND[5]]), 1).loc[("A", 2)]
    assert np.isnan(nothing["fisher"]) and nothing[["n_items", "entered", "left"]].tolist() == [0, 1, 1]


def test_faults():
    with pytest.raises(DataError, match=r"lack; for 'market'"):
        price_indices(lines().drop(columns="market"), 1)
    with pytest.raises(DataError, match=r"negative for 1 firm \(A\)"):
        price_indices(lines().assign(value=lambda t: -t["value"]), 1)
    with pytest.raises(DesignError, match="no line in the base year 7; lines cover 1–2"):
        value_decomposition(lines(), 7)
    with pytest.raises(DataError, match=r"'market' varies within 1 firm \(A\)"):
        price_indices(lines().assign(market=["home", "far"] * 3), 1, by="market")
