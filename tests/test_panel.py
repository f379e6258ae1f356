"""The panel: what it keeps, who leaves, and how it shows itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeval import NEVER, Panel
from pipeval.errors import DataError, DesignError


@pytest.fixture
def panel():
    frame = pd.DataFrame(
        {
            "id": ["b", "b", "a", "a", "c"],
            "t": [2, 1, 1, 2, 1],
            "start": [2, 2, 0, 0, np.nan],
            "y": [3.0, 1.0, 1.0, np.nan, 5.0],
            "size": [4, 4, 2, 2, 9],
        }
    )
    return Panel.from_frame(frame, firm_id="id", period="t", cohort="start", outcomes=["y"], covariates=["size"])


def test_tables_of_a_panel(panel):
    assert panel.firms.to_dict("index") == {
        "a": {"cohort": NEVER, "size": 2},
        "b": {"cohort": 2.0, "size": 4},
        "c": {"cohort": NEVER, "size": 9},
    }
    assert panel.outcomes.index.tolist() == [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 1)]
    assert panel.periods.tolist() == [1, 2] and panel.firms.index.name == "firm_id"
    np.testing.assert_array_equal(panel.wide("y"), [[1, np.nan], [1, 3], [5, np.nan]])
    assert repr(panel) == "Panel: 3 firms (1 treated, 2 never treated), periods 1–2, outcomes y"


def test_whoever_leaves_is_in_the_ledger(panel):
    fewer = panel.keep(["a", "b"], stage="pool", reason="indirect").keep(
        ["b"], stage="support", reason=pd.Series({"a": "off_support"})
    )
    assert fewer.ledger.to_numpy().tolist() == [["c", "pool", "indirect"], ["a", "support", "off_support"]]
    assert fewer.firms.index.tolist() == ["b"] and fewer.outcomes.index.get_level_values(0).unique().tolist() == ["b"]
    assert len(panel.firms) == 3 and panel.ledger.empty


def test_an_outcome_that_is_not_there(panel):
    with pytest.raises(DesignError, match="outcome 'z' is not in the panel; it has y"):
        panel.wide("z")


def test_the_frame_is_left_as_it_was():
    frame = pd.DataFrame({"id": ["a", "b"], "t": [1, 1], "start": [0, 2], "y": [1, 2]})
    before = frame.copy(deep=True)
    panel = Panel.from_frame(frame, firm_id="id", period="t", cohort="start", outcomes=["y"])
    panel.outcomes["y"] = 0.0
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("periods", [[2003.5, 2004.5], ["2003", "2004"], pd.to_datetime(["2003-01-01", "2004-01-01"])])
def test_periods_are_whole_numbers(periods):
    firms = pd.DataFrame({"cohort": [2004.0, NEVER]}, index=["a", "b"])
    index = pd.MultiIndex.from_product([firms.index, periods])
    with pytest.raises(DataError, match="periods are whole numbers; found 2 periods"):
        Panel(firms, pd.DataFrame({"y": 1.0}, index=index))
    whole = Panel(firms, pd.DataFrame({"y": 1.0}, index=pd.MultiIndex.from_product([firms.index, [2003.0, 2004.0]])))
    assert whole.periods.tolist() == [2003, 2004] and whole.periods.dtype.kind == "i"
