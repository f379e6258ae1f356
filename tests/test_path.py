"""The path to one year: what it averages by hand, what it refuses, and what is put on it (honest sets, pre-trend power, a line)."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval.data.panel import NEVER, Panel
from pipeval.did.aggregate import aggregate
from pipeval.did.att_gt import att_gt
from pipeval.did.honest import honest_table
from pipeval.did.honest_sets import relative_magnitude_set, smoothness_set
from pipeval.did.path import CARRIED, path_to
from pipeval.did.pretrend_power import detrended, pretrend_power
from pipeval.errors import DesignError, PipevalWarning
from pipeval.study.specs import DidSpec

EXACT = 1e-12


def quietly(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return call(*args, **options)


def made(sizes: dict[float, int], years=range(2001, 2008), never: int = 30, drift: float = 0.0, seed: int = 0) -> Panel:
    """Cohorts of these sizes; effects that grow with time since entry and differ by cohort, noise, a drift of the treated."""
    rng = np.random.default_rng(seed)
    cohort = np.repeat([*sizes, NEVER], [*sizes.values(), never]).astype(float)
    years = np.array(list(years))
    since = years - cohort[:, None]
    y = rng.normal(0, 0.2, (len(cohort), len(years))).cumsum(axis=1) + np.where(since >= 0, 0.3 + 0.1 * since, 0)
    y += np.isfinite(cohort)[:, None] * drift * (years - 2001)
    long = pd.DataFrame(y, columns=years).rename_axis("firm_id").stack().rename_axis(["firm_id", "period"])
    return Panel(pd.DataFrame({"cohort": cohort}).rename_axis("firm_id"), long.rename("y").to_frame())


def cells_of(panel: Panel, **choices):
    return quietly(att_gt, panel, "y", DidSpec(**choices))


def rows_of(effects, phase: str) -> pd.DataFrame:
    table = effects.table[(effects.table["phase"] == phase) & effects.table["event_time"].notna()]
    return table.set_index(table["event_time"].astype(int))


SIZES = {2004: 12, 2005: 20, 2006: 8}


@pytest.mark.parametrize("choices", [{}, {"comparison": "never_treated"}, {"anticipation": 1}])
@pytest.mark.parametrize("year", [2006, 2007])
def test_the_weights_make_up_the_effect_in_the_year(choices, year):
    cells = cells_of(made(SIZES), **choices)
    path, weights = path_to(cells, year)
    after = rows_of(path, "post")
    wanted = aggregate(cells, "period").table.set_index("period").loc[year, "estimate"]
    assert after.index.tolist() == [year - 2006, year - 2005, year - 2004]
    np.testing.assert_allclose(weights, np.array([8, 20, 12]) / 40, atol=EXACT)
    np.testing.assert_allclose(weights @ after["estimate"], wanted, atol=EXACT)
    last = path.table.iloc[-1]
    assert last["term"] == "average" and np.isnan(last["event_time"]) and last["phase"] == "post"
    np.testing.assert_allclose(last["estimate"], wanted, atol=EXACT)
    np.testing.assert_allclose(last["span"], weights @ after["span"], atol=EXACT)


def test_rows_are_the_cells_by_hand():
    """Two firms a cohort, one comparison pair that does not move: every number can be read off."""
    y = {
        "a": (2004, [0, 1, 3, 9, 12]),  # base 2003: −3, −2, 0 | 6, 9
        "b": (2004, [0, 1, 3, 7, 14]),  #            −3, −2, 0 | 4, 11
        "c": (2005, [4, 2, 5, 6, 8]),  # base 2004: −2, −4, −1, 0 | 2
        "d": (2005, [4, 2, 5, 6, 10]),
        "e": (2005, [4, 2, 5, 6, 12]),
        "f": (NEVER, [0, 0, 0, 0, 0]),
        "g": (NEVER, [0, 0, 0, 0, 0]),
    }
    rows = [(f, 2001 + t, c, float(v)) for f, (c, values) in y.items() for t, v in enumerate(values)]
    frame = pd.DataFrame(rows, columns=["firm", "year", "start", "y"]).replace({"start": {NEVER: 0}})
    panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="start", outcomes=["y"])
    rng = np.random.default_rng(0)
    panel = Panel(panel.firms, panel.outcomes + np.where(panel.outcomes.index.get_level_values(0) == "g", 1, 0)[:, None])
    panel = Panel(panel.firms, panel.outcomes.assign(y=panel.outcomes["y"] + 1e-9 * rng.normal(size=len(panel.outcomes))))
    cells = cells_of(panel, comparison="never_treated")
    path, weights = quietly(path_to, cells, 2005)
    np.testing.assert_allclose(weights, [0.6, 0.4], atol=EXACT)
    table = path.table.set_index("event_time")
    # 2005 entered 0 periods before (mean 4), 2004 one (mean 10); before: −3 holds both, −4 the later alone (60 %: left out)
    assert table.index[:-1].tolist() == [-3, -2, -1, 0, 1]
    np.testing.assert_allclose(table.loc[0, "estimate"], 4, atol=1e-6)
    np.testing.assert_allclose(table.loc[1, "estimate"], 10, atol=1e-6)
    np.testing.assert_allclose(table.loc[-2, "estimate"], 0.6 * -1 + 0.4 * -2, atol=1e-6)
    np.testing.assert_allclose(table.loc[-3, "estimate"], 0.6 * -4 + 0.4 * -3, atol=1e-6)
    np.testing.assert_allclose(table["estimate"].iloc[-1], 0.6 * 4 + 0.4 * 10, atol=1e-6)
    assert table.loc[-1, "estimate"] == 0 and table.loc[-1, "phase"] == "base" and np.isnan(table.loc[-1, "std_error"])
    assert table.loc[[-3, -2, 0, 1], "span"].tolist() == [-2, -1, 1, 2]
    assert table.loc[[-3, -2], "n_treated"].tolist() == [5, 5] and table.loc[[0, 1], "n_treated"].tolist() == [3, 2]


def test_influence_is_that_of_the_weighted_cells():
    cells = cells_of(made(SIZES))
    path, weights = path_to(cells, 2006)
    at = (path.table["event_time"] == -2).to_numpy()
    mine = cells.table["event_time"] == -2
    share = cells.table.loc[mine, "weight_treated"] / cells.table.loc[mine, "weight_treated"].sum()
    by_hand = cells.influence[:, mine] @ share.to_numpy()
    np.testing.assert_allclose(path.influence[:, at][:, 0], by_hand, atol=EXACT)
    groups = path.table.loc[at, "n_clusters"].item()
    assert groups == 70 and path.table.loc[at, "std_error"].item() == pytest.approx(
        np.sqrt((by_hand**2).sum() * groups / (groups - 1)), abs=EXACT
    )
    after = path.influence[:, ((path.table["phase"] == "post") & path.table["event_time"].notna()).to_numpy()]
    headline = aggregate(cells, "period")  # the last row is the headline itself, estimated shares and all
    column = np.flatnonzero(headline.table["period"] == 2006)[0]
    np.testing.assert_allclose(path.influence[:, -1], headline.influence[:, column], atol=EXACT)
    assert np.abs(path.influence[:, -1] - after @ weights).max() > 1e-6


@pytest.mark.parametrize(("late", "carried"), [(8, True), (7, False)])
def test_a_period_before_entry_holds_four_fifths_of_the_firms_or_leaves(late, carried):
    """Event time −4 is seen by the cohort of 2005 only: `late` firms of ten."""
    sizes = {2004: 10 - late, 2005: late}
    cells = cells_of(made(sizes))
    path, weights = path_to(cells, 2006)
    assert weights[0] == pytest.approx(late / 10) and (weights[0] >= CARRIED) == carried
    before = rows_of(path, "pre")
    assert before.index.tolist() == ([-4, -3, -2] if carried else [-3, -2])
    if carried:  # the cohorts that are seen, alone
        own = cells.table[(cells.table["event_time"] == -4) & (cells.table["cohort"] == 2005)]["estimate"].item()
        assert before.loc[-4, "estimate"] == pytest.approx(own, abs=EXACT)


def test_what_is_refused():
    with pytest.raises(DesignError, match=r"entered 0, 2 periods before: the path has gaps"):
        path_to(cells_of(made({2004: 10, 2006: 10})), 2006)
    cells = cells_of(made(SIZES))
    with pytest.raises(DesignError, match="no cohort has an effect in 2003"):
        path_to(cells, 2003)
    for wrong in (cells_of(made(SIZES), base="varying"), aggregate(cells, "event_time"), aggregate(cells, "period")):
        with pytest.raises(DesignError, match="base: universal"):
            path_to(wrong, 2006)
    path_to(cells_of(made({2004: 10, 2006: 10})), 2005)  # one cohort has no gap


def target_arrays(path):
    table = path.table
    rows = np.flatnonzero(table["event_time"].notna() & (table["phase"] != "base"))
    last = table.iloc[-1]
    half = stats.t.ppf(0.975, last["df"]) * last["std_error"]
    return table["estimate"].to_numpy()[rows], path.covariance(rows)[0], table["event_time"].to_numpy()[rows].astype(int), half


def test_honest_sets_on_the_path_are_those_of_its_arrays():
    path, weights = path_to(cells_of(made(SIZES)), 2006)
    beta, covariance, event_time, half = target_arrays(path)
    loading = np.append(np.zeros(len(beta) - 3), weights)
    scale = (half / stats.norm.ppf(0.975)) ** 2 / (loading @ covariance @ loading)
    for kind, confidence_set in (("smoothness", smoothness_set), ("relative_magnitude", relative_magnitude_set)):
        table = honest_table(path, kind, [0.0, 0.5], weights)
        assert (table["reason"] == "").all() and (table["estimate"] == path.table["estimate"].iloc[-1]).all()
        for bound, low, high in table[["bound", "conf_low", "conf_high"]].itertuples(index=False):
            wanted = confidence_set(beta, covariance * scale, event_time, weights, bound)
            np.testing.assert_allclose((low, high), wanted, atol=1e-9)
    at_zero = honest_table(path, "relative_magnitude", [0.0], weights).iloc[0]
    np.testing.assert_allclose(
        at_zero[["conf_low", "conf_high"]].astype(float), path.table.iloc[-1][["conf_low", "conf_high"]].astype(float), atol=1e-9
    )


def test_weights_that_do_not_make_up_the_last_row_are_refused():
    path, weights = path_to(cells_of(made(SIZES)), 2006)
    with pytest.raises(DesignError, match="the last row is"):
        honest_table(path, "smoothness", [0.0], weights[::-1].copy())
    with pytest.raises(DesignError, match="one weight for each of the 3 rows"):
        honest_table(path, "smoothness", [0.0], weights[:2])
    with pytest.raises(DesignError, match="one weight for each of the 3 rows"):
        pretrend_power(path, slopes=[0.1], draws=200, weights=weights[:2])


def test_pretrend_power_with_weights():
    path, weights = path_to(cells_of(made(SIZES)), 2006)
    found = pretrend_power(path, slopes=[0.1], draws=20_000, weights=weights).set_index("target")
    assert found.loc["average", "bias"] == pytest.approx(0.1 * weights @ [1, 2, 3], abs=EXACT)
    assert found.loc[["first", "last"], "bias"].tolist() == pytest.approx([0.1, 0.3])
    alike = pretrend_power(path, slopes=[0.1], draws=20_000).set_index("target")
    assert alike.loc["average", "bias"] == pytest.approx(0.2, abs=EXACT)
    pd.testing.assert_frame_equal(found[["power", "slope"]], alike[["power", "slope"]])
    by_power = pretrend_power(path, powers=(0.5, 0.8), draws=200, weights=weights)
    np.testing.assert_allclose(by_power["power"], np.repeat([0.5, 0.8], 3), atol=1e-6)


def test_detrended_takes_the_line_off_the_average_as_off_its_parts():
    path, weights = path_to(cells_of(made(SIZES, drift=0.4), comparison="never_treated"), 2006)
    before, after = rows_of(path, "pre"), rows_of(path, "post")
    slope = (before["span"] * before["estimate"]).sum() / (before["span"] ** 2).sum()
    flat = detrended(path)
    own, average = flat.table.iloc[:-1], flat.table.iloc[-1]
    np.testing.assert_allclose(own["estimate"], after["estimate"] - slope * after["span"], atol=EXACT)
    assert np.isnan(average["event_time"])
    np.testing.assert_allclose(average["estimate"], weights @ own["estimate"], atol=EXACT)
    shares = (
        path.influence[:, -1]
        - path.influence[:, ((path.table["phase"] == "post") & path.table["event_time"].notna()).to_numpy()] @ weights
    )  # what estimated shares add to the average
    np.testing.assert_allclose(flat.influence[:, -1], flat.influence[:, :-1] @ weights + shares, atol=EXACT)
    level, _ = path_to(cells_of(made(SIZES), comparison="never_treated"), 2006)  # without the drift
    np.testing.assert_allclose(flat.table["estimate"], detrended(level).table["estimate"], atol=1e-10)
