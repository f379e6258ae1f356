"""Two-way fixed effects taken apart: against R's bacondecomp and fixest, the castle-doctrine laws, and by hand."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from causaldata import castle

from pipeval.data.panel import NEVER, Panel
from pipeval.did.bacon import bacon
from pipeval.did.twfe import twfe
from pipeval.errors import DesignError, EstimationError, PipevalWarning

HERE = Path(__file__).parent / "reference"
EXPECTED = json.loads((HERE / "did_imputation" / "expected.json").read_text(encoding="utf-8"))["results"]


def reference_panel() -> Panel:
    frame = pd.read_csv(HERE / "did_panel" / "panel.csv")
    return Panel.from_frame(
        frame, firm_id="firm", period="year", cohort="cohort", outcomes=["y"], covariates=["x1", "x2", "region", "w"]
    )


def made(cohorts: list[float], seed: int = 3, n: int = 8, periods: int = 6) -> Panel:
    """`n` firms a cohort over periods 1, 2, …; noise with a firm effect and effects that grow."""
    rng = np.random.default_rng(seed)
    firms = pd.DataFrame({"cohort": np.repeat(cohorts, n)}, index=[f"f{i:03d}" for i in range(n * len(cohorts))])
    t = np.arange(1, periods + 1)
    event = t - firms["cohort"].to_numpy()[:, None]
    y = rng.normal(size=(len(firms), 1)) + rng.normal(size=(len(firms), periods)) + np.where(event >= 0, 1 + event, 0.0)
    outcomes = pd.DataFrame(y, index=firms.index, columns=t).stack().to_frame("y")
    return Panel(firms, outcomes)


def test_every_comparison_is_that_of_bacondecomp():
    found = bacon(reference_panel(), "y")
    wanted = pd.DataFrame(EXPECTED["bacon"]).replace({"untreated": {99999: np.inf}})
    kinds = {
        "Treated vs Untreated": "treated_vs_never",
        "Earlier vs Later Treated": "earlier_vs_later",
        "Later vs Earlier Treated": "later_vs_earlier",
    }
    both = found.merge(wanted.assign(type=wanted["type"].map(kinds)), on=["treated", "untreated", "type"], suffixes=("", "_r"))
    assert len(both) == len(found) == len(wanted) == 9
    np.testing.assert_allclose(both["estimate"], both["estimate_r"], rtol=0, atol=1e-8)
    np.testing.assert_allclose(both["weight"], both["weight_r"], rtol=0, atol=1e-8)


def test_castle_doctrine():
    """Cheng and Hoekstra's states: .0818 (vignette of bacondecomp; its version 0.1.1 under R 4.2.2: 0.0818116169306509).

    Treated from the year the law took effect, the year before the first whole year under it, which `causaldata` marks `post`.
    """
    states = castle.load_pandas().data
    whole_year = states[states["post"] > 0].groupby("sid")["year"].min()
    frame = states.assign(start=states["sid"].map(whole_year - 1).fillna(0))
    panel = Panel.from_frame(frame, firm_id="sid", period="year", cohort="start", outcomes=["l_homicide"])
    found = bacon(panel, "l_homicide")
    assert len(found) == 25
    assert found["estimate"] @ found["weight"] == pytest.approx(0.0818116169306509, abs=1e-6)  # the data hold single precision
    by_type = found.groupby("type")["weight"].sum()
    assert by_type["treated_vs_never"] == pytest.approx(0.908338571129269, abs=1e-8)
    assert by_type["earlier_vs_later"] == pytest.approx(0.0597632516237167, abs=1e-8)
    assert by_type["later_vs_earlier"] == pytest.approx(0.0318981772470145, abs=1e-8)


@pytest.mark.parametrize(
    ("cohorts", "kinds"),
    [
        ([3, 5, NEVER], {"treated_vs_never", "earlier_vs_later", "later_vs_earlier"}),
        ([1, 3, 5], {"treated_vs_always", "earlier_vs_later", "later_vs_earlier"}),
        ([1, 3, 5, NEVER], {"treated_vs_never", "treated_vs_always", "earlier_vs_later", "later_vs_earlier"}),
        ([0, 1, 4, 9], {"treated_vs_never", "treated_vs_always"}),
        ([2, 3], {"earlier_vs_later", "later_vs_earlier"}),
    ],
)
def test_comparisons_add_up_to_two_way_fixed_effects(cohorts, kinds):
    panel = made(cohorts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        whole = twfe(panel, "y").iloc[0]
    found = bacon(panel, "y")
    assert found["weight"].sum() == pytest.approx(1, abs=1e-12) and (found["weight"] > 0).all()
    assert found["estimate"] @ found["weight"] == pytest.approx(whole["estimate"], abs=1e-8)
    assert set(found["type"]) == kinds


def test_each_comparison_is_two_way_fixed_effects_on_its_firms_and_periods():
    panel = made([1, 3, 5, NEVER])
    for row in bacon(panel, "y").itertuples():
        t = panel.outcomes.index.get_level_values("period")
        inside = (
            t < row.untreated if row.type == "earlier_vs_later" else t >= row.untreated if row.treated > row.untreated else t > 0
        )
        firms = panel.firms[panel.firms["cohort"].isin([row.treated, 1.0 if row.untreated == -NEVER else row.untreated])]
        outcomes = panel.outcomes[inside & panel.outcomes.index.get_level_values(0).isin(firms.index)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PipevalWarning)
            alone = twfe(Panel(firms, outcomes), "y")["estimate"].item()
        assert row.estimate == pytest.approx(alone, abs=1e-8), row


def test_growing_effects_are_subtracted_only_where_the_comparison_is_treated():
    panel = made([3, 5, NEVER], n=40)
    table = bacon(panel, "y")
    event = panel.outcomes.index.get_level_values(1) - panel.firms["cohort"].reindex(panel.outcomes.index.get_level_values(0))
    steeper = Panel(panel.firms, panel.outcomes + np.where(event >= 0, event, 0.0)[:, None])
    moved = bacon(steeper, "y")["estimate"] - table["estimate"]
    forbidden = table["type"] == "later_vs_earlier"
    assert (moved[forbidden] < 0).all() and (moved[~forbidden] > 0).all()


def test_holes_are_counted_and_the_message_says_what_to_do():
    panel = made([3, NEVER])
    holed = Panel(panel.firms, panel.outcomes.drop([("f001", 2), ("f009", 5)]))
    with pytest.raises(DesignError, match=r"2 firms \(f001, f009\) miss some.*panel.keep"):
        bacon(holed, "y")
    wide = holed.wide("y").dropna()
    kept = holed.keep(wide.index, "bacon", "not_in_every_period")
    assert bacon(kept, "y")[["n_treated", "n_control"]].iloc[0].tolist() == [7, 7]


def test_nothing_to_compare():
    with pytest.raises(DesignError, match="others to compare with"):
        bacon(made([3]), "y")
    with pytest.raises(DesignError, match="others to compare with"):
        bacon(made([1, NEVER]), "y")
    panel = made([3, NEVER])
    with pytest.raises(DesignError, match="no value"):
        bacon(Panel(panel.firms, panel.outcomes * np.nan), "y")


def test_twfe_with_covariate_trends_is_fixest():
    found = twfe(reference_panel(), "y", covariates=("x1",)).iloc[0]
    wanted = EXPECTED["twfe_cov_firm"]["D"]
    assert found["estimate"] == pytest.approx(wanted["Estimate"], abs=1e-8)
    assert found["std_error"] == pytest.approx(wanted["Std. Error"], abs=1e-8)


def test_twfe_with_categories_is_least_squares_on_dummies():
    panel = reference_panel()
    panel = panel.keep(panel.firms.index[::6], "test", "every_sixth")
    found = twfe(panel, "y", covariates=("region",)).iloc[0]
    data = panel.outcomes.reset_index().merge(panel.firms[["cohort", "region"]], left_on="firm_id", right_index=True)
    data["region"] = data["region"].astype(float)
    post = (data["period"] >= data["cohort"]).astype(float)
    trend = pd.get_dummies(data["period"], dtype=float).mul((data["region"] - 4) / 2, axis=0)
    columns = [post, pd.get_dummies(data["firm_id"], dtype=float), pd.get_dummies(data["period"], dtype=float), trend]
    beta = np.linalg.lstsq(pd.concat(columns, axis=1).to_numpy(), data["y"].to_numpy(), rcond=None)[0]
    assert found["estimate"] == pytest.approx(beta[0], abs=1e-8)
    as_text = Panel(panel.firms.assign(region="r" + panel.firms["region"].astype(str)), panel.outcomes)
    trend = pd.get_dummies(data["period"].astype(str) + data["region"].astype(str), dtype=float)
    beta = np.linalg.lstsq(pd.concat([*columns[:3], trend], axis=1).to_numpy(), data["y"].to_numpy(), rcond=None)[0]
    assert twfe(as_text, "y", covariates=("region",))["estimate"].item() == pytest.approx(beta[0], abs=1e-8)


def test_twfe_covariates_in_an_event_study_keep_one_row_a_dummy():
    found = twfe(reference_panel(), "y", event_times=(0, 1, 2), covariates=("x1", "x2"))
    assert found["term"].tolist() == ["event time 0", "event time 1", "event time 2"]


def test_firms_without_a_covariate_leave_twfe_with_a_note():
    panel = reference_panel()
    firms = panel.firms.assign(x1=panel.firms["x1"].where(panel.firms.index > 3))
    with pytest.warns(PipevalWarning, match=r"missing covariate: 3 firms \(1, 2, 3\)"):
        found = twfe(Panel(firms, panel.outcomes), "y", covariates=("x1",))
    without = panel.keep(panel.firms.index[panel.firms.index > 3], "test", "gone")
    pd.testing.assert_frame_equal(found, twfe(without, "y", covariates=("x1",)))


def test_a_copied_covariate_is_refused_by_name():
    panel = reference_panel()
    firms = panel.firms.assign(copy=2 * panel.firms["x1"] + 1)
    with pytest.raises(EstimationError, match="'copy in 2002' is collinear"):
        twfe(Panel(firms, panel.outcomes), "y", covariates=("x1", "copy"))
