"""Budget, disbursements, co-financing and outputs, by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from pipeval.monitoring.budget import budget_check, budget_table, disbursement_path
from pipeval.monitoring.outputs import COLUMNS, outputs_table
from pipeval.study.specs import Cofinance

APPROVED = {  # donors memorandum, table 2: MIF, counterpart, printed per cent
    "1": (111_600, 34_600, 7.6),
    "2": (799_400, 684_200, 74.0),
    "3": (0, 275_200, 14.0),
    "4": (41_000, 6_000, 2.0),
    "evaluation": (28_000, 0, 1.4),
    "contingencies": (20_000, 0, 1.0),
}
BUDGET = pd.DataFrame(
    [(c, s, float(a)) for c, row in APPROVED.items() for s, a in zip(("mif", "counterpart"), row, strict=False)],
    columns=["component", "source", "budget_usd"],
)
LEDGER = pd.DataFrame(
    [
        ("2003-07-01", "disbursement", "mif", None, 300_000),
        ("2003-09-01", "expense", "mif", "1", 55_800),
        ("2004-02-01", "expense", "mif", "2.1", 100_000),
        ("2004-02-02", "expense", "mif", "2.2", 99_850),
        ("2004-03-01", "counterpart_contribution", "counterpart", "3", 68_800),
        ("2004-06-01", "expense", "firms", "2.1", 5_000),
        ("2005-01-01", "disbursement", "mif", None, 200_000),
        ("2005-06-01", "expense", "mif", "1", 10_000),
    ],
    columns=["on", "kind", "source", "component", "amount_usd"],
)


def test_four_printed_percentages_do_not_follow_from_the_amounts():
    check = budget_check(BUDGET, {c: row[2] for c, row in APPROVED.items()}).set_index("component")
    assert check.index[~check["agrees"]].tolist() == ["1", "2", "3", "4"]
    np.testing.assert_allclose(check["computed"], [7.31, 74.18, 13.76, 2.35, 1.4, 1.0], atol=1e-9)
    assert check["budget_usd"].sum() == 2_000_000
    assert BUDGET.groupby("source")["budget_usd"].sum().to_dict() == {"mif": 1e6, "counterpart": 1e6}


def test_a_line_without_a_printed_share_is_not_a_disagreement():
    assert budget_check(BUDGET, {"1": 7.3})["agrees"].all()


def test_execution_by_component_and_source():
    table = budget_table(BUDGET, LEDGER, date(2004, 12, 31)).set_index(["component", "source"])
    executed = table["executed_usd"]
    assert executed["1", "mif"] == 55_800  # the expense of 2005 is not yet known
    assert table.loc[("1", "mif"), "share"] == 0.5
    assert executed["2", "mif"] == 199_850  # subcomponents belong to their component
    assert table.loc[("2", "mif"), "share"] == 0.25
    assert table.loc[("3", "counterpart"), "share"] == 0.25  # a contribution is spent as it is made
    assert np.isnan(table.loc[("3", "mif"), "share"])  # no budget, no share
    assert executed["2", "firms"] == 5_000 and table.loc[("2", "firms"), "budget_usd"] == 0
    assert len(table) == 13
    np.testing.assert_allclose(table["budget_share"].sum(), 1)
    assert budget_table(BUDGET, LEDGER).set_index(["component", "source"])["executed_usd"]["1", "mif"] == 65_800


def test_counterpart_expenses_are_not_counted_beside_its_contributions():
    own = pd.DataFrame([("2004-04-01", "expense", "counterpart", "3", 1_000)], columns=LEDGER.columns)
    table = budget_table(BUDGET, pd.concat([LEDGER, own])).set_index(["component", "source"])
    assert table.loc[("3", "counterpart"), "executed_usd"] == 1_000


def test_without_a_ledger_nothing_is_said_to_be_spent():
    table = budget_table(BUDGET)
    assert table["executed_usd"].isna().all() and table["share"].isna().all()


def test_disbursement_path():
    path = disbursement_path(LEDGER, BUDGET)
    mif = path[path["source"] == "mif"]
    assert mif["cumulative_usd"].tolist() == [300_000, 500_000] and mif["share"].tolist() == [0.3, 0.5]
    total = path[path["source"] == "total"]
    assert total["cumulative_usd"].tolist() == [300_000, 368_800, 568_800]
    assert total["share"].iloc[-1] == pytest.approx(0.2844)
    assert disbursement_path(LEDGER, BUDGET, date(2004, 1, 1))["cumulative_usd"].tolist() == [300_000, 300_000]


def test_cofinancing_falls_in_a_straight_line():
    np.testing.assert_allclose(Cofinance().rate(np.array([0, 18, 36, 40])), [0.70, 0.50, 0.30, 0.30])
    assert Cofinance().rate(np.arange(37)).mean() == pytest.approx(0.50)
    assert Cofinance(start=0.8, end=0.2, months=12).rate(6) == pytest.approx(0.5)


def test_outputs_against_plan():
    activities = pd.DataFrame(
        {
            "activity_id": ["A1", "A2", "A3", "A4", "A5"],
            "component": "2",
            "planned_qty": [60, 12, 0, 4, 3],
            "actual_qty": [66, 9, 1, np.nan, np.nan],
            "planned_end": ["2004-06-30", "2004-06-30", "2005-12-31", "2006-12-31", "2004-01-01"],
            "actual_start": ["2004-01-01", "2004-01-01", "2004-10-01", None, None],
            "actual_end": ["2004-05-01", None, "2005-02-01", None, None],
            "status": ["", "", "done", "", "cancelled"],
        },
        index=[10, 11, 12, 13, 14],
    )
    table = outputs_table(activities, date(2005, 1, 31))
    assert table.columns.tolist() == list(COLUMNS)
    assert table["status"].tolist() == ["done", "delayed", "in_progress", "pending", "cancelled"]
    assert table["share"].tolist()[:2] == [1.1, 0.75] and np.isnan(table["share"][2]) and np.isnan(table["share"][3])
    assert pd.isna(table["actual_end"][2])  # it ended the day after the evaluation
