"""The starting point: indicators, response, attrition and the flow of firms, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval import NEVER, Panel
from pipeval.baseline.indicators import baseline_indicators
from pipeval.baseline.response import response_table, response_test, sample_flow, selective_attrition
from pipeval.data.load import load
from pipeval.data.measures import measures


def start(small):
    study = small.save().read()
    tables = load(study)
    firms = tables["enterprises"].set_index("firm_id")
    return measures(tables, study), firms, study


def six(small):
    """Six firms in 2003: two beneficiaries, four others; one of these did not answer."""
    small.tables["enterprises"] = (
        small.tables["enterprises"]
        .iloc[[0, 1, 4, 5, 6, 7]]
        .assign(
            branch=["footwear", "leather", "footwear", "footwear", "leather", "leather"],
            size_class=["micro", "small", "micro", "small", "micro", "micro"],
        )
    )
    rows = (
        small.tables["survey"].query("ref_year == 2003 and firm_id in @small.tables['enterprises'].firm_id").reset_index(drop=True)
    )
    small.tables["survey"] = rows.assign(sales_kmxn=[100.0, 300, 40, 50, 90, 999], workers_paid=[10, 20, 4, 5, 0, 9])
    small.cell("survey", 5, "response", "refusal")
    return small.planned(
        outcomes=[
            {"id": "s", "measure": "sales", "label": {}},
            {"id": "p", "measure": "sales", "per": "jobs", "label": {}},
            {"id": "a", "measure": "alive", "scale": "share", "label": {}},
        ]
    )


def test_indicators_by_hand(small):
    table = baseline_indicators(*start(six(small))).set_index(["measure", "arm", "branch", "size_class"])
    assert set(table.index.get_level_values(0)) == {"sales", "jobs", "sales_per_jobs"} and table.index.is_unique
    both = table.loc[("sales", "beneficiary", "all", "all")]
    assert both.to_dict() == {"n": 2, "mean": 200.0, "median": 200.0, "sd": pytest.approx(np.sqrt(20_000)), "n_missing": 0}
    other = table.loc[("sales", "nonparticipant", "all", "all")]
    assert (other["n"], other["mean"], other["median"], other["n_missing"]) == (3, 60.0, 50.0, 1)
    assert other["sd"] == pytest.approx(np.std([40, 50, 90], ddof=1))
    leather = table.loc[("sales", "nonparticipant", "leather", "micro")]
    assert (leather["n"], leather["mean"], leather["n_missing"]) == (1, 90.0, 1) and np.isnan(leather["sd"])
    per = table.loc[("sales_per_jobs", "nonparticipant", "all", "all")]
    assert (per["n"], per["mean"], per["n_missing"]) == (2, 10.0, 2)  # without jobs there is no ratio
    assert table.loc[("jobs", "beneficiary", "footwear", "all"), "mean"] == 10
    assert (table["n"] + table["n_missing"]).xs("sales").xs(("all", "all"), level=(1, 2)).sum() == 6


def test_indicators_are_in_constant_prices(small):
    small.tables["series"] = pd.DataFrame({"series": "inpc", "year": [2003, 2005], "value": [100.0, 125.0], "base": "2003"})
    six(small).planned(money={"headline": "real", "deflator": "inpc", "base_year": 2005})
    table = baseline_indicators(*start(small)).set_index(["measure", "arm", "branch", "size_class"])
    assert (
        table.at[("sales", "beneficiary", "all", "all"), "mean"] == 250.0
        and table.at[("jobs", "beneficiary", "all", "all"), "mean"] == 15
    )


def test_indicators_without_a_base_year(small):
    small.tables["survey"] = small.tables["survey"].query("ref_year > 2003")
    assert baseline_indicators(*start(small)).empty


def test_survival_alone_has_no_indicator(small):
    small.planned(outcomes=[{"id": "a", "measure": "alive", "scale": "share", "label": {}}])
    assert baseline_indicators(*start(small)).empty


def test_response_by_arm_and_year(small):
    for row, answer in ((3, "refusal"), (7, "closed"), (19, "not_found"), (18, "partial")):
        small.cell("survey", row, "response", answer)
    measured, firms, _ = start(small)
    table = response_table(measured, firms).set_index(["arm", "period"])
    assert table.loc[("beneficiary", 2005)].to_dict() == {"n_registered": 4, "n_responding": 2, "n_closed": 1, "response_rate": 0.5}
    assert table.loc[("nonparticipant", 2005)].to_dict() == {
        "n_registered": 8,
        "n_responding": 7,
        "n_closed": 0,
        "response_rate": 0.875,
    }
    assert table.loc[("nonparticipant", 2004), "n_responding"] == 8


def seen(treated, control):
    """A panel with an outcome in period 1 for all, in period 2 for this many of (answering, asked)."""
    firms, rows = {}, []
    for arm, cohort, (answering, asked) in (("t", 2.0, treated), ("c", NEVER, control)):
        for i in range(asked):
            firms[f"{arm}{i}"] = cohort
            rows += [(f"{arm}{i}", 1, 1.0), (f"{arm}{i}", 2, 1.0 if i < answering else np.nan)]
    firms["late"] = 2.0
    rows += [("late", 1, np.nan), ("late", 2, 1.0)]  # not there in the base year: not asked whether it went on
    outcomes = pd.DataFrame(rows, columns=["firm_id", "period", "y"]).set_index(["firm_id", "period"])
    return Panel(pd.DataFrame({"cohort": pd.Series(firms)}), outcomes)


def test_differential_attrition_by_hand():
    (row,) = response_test(seen((8, 10), (15, 25)), "y", 1).to_dict("records")
    error = np.sqrt(0.8 * 0.2 / 10 + 0.6 * 0.4 / 25)
    assert row == {
        "period": 2,
        "n_treated": 10,
        "n_control": 25,
        "difference": pytest.approx(0.2),
        "std_error": pytest.approx(error, rel=1e-12),
        "p_value": pytest.approx(2 * stats.norm.sf(0.2 / error), rel=1e-12),
    }


def test_no_attrition_and_no_arm_are_undefined_not_zero():
    (row,) = response_test(seen((10, 10), (25, 25)), "y", 1).to_dict("records")
    assert row["difference"] == 0 and np.isnan(row["p_value"])
    (row,) = response_test(seen((0, 0), (15, 25)), "y", 1).to_dict("records")
    assert np.isnan(row["difference"]) and np.isnan(row["std_error"]) and np.isnan(row["p_value"])
    assert response_test(seen((8, 10), (15, 25)), "y", 7).empty


def leaving(seed=0, n=400, slope=0.0, gap=0.0):
    """A panel in which small firms stop answering, in the treated arm by `slope` more and everywhere by `gap` more."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"f{i:03d}" for i in range(n)], name="firm_id")
    d = rng.random(n) < 0.4
    size = rng.normal(size=n)
    firms = pd.DataFrame({"cohort": np.where(d, 2.0, NEVER), "size": size, "kind": rng.choice(["a", "b", "c"], n)}, ids)
    y = pd.DataFrame({1: size + rng.normal(size=n), 2: 1.0}, ids)
    y[2] = y[2].mask(rng.random(n) < np.clip(0.2 - 0.1 * size - d * (slope * size - gap), 0, 1))
    return Panel(firms, y.rename_axis(columns="period").stack().to_frame("y"))


def test_selective_attrition_is_the_robust_regression_of_another_program():
    import statsmodels.api as sm

    panel = leaving()
    table = selective_attrition(panel, "y", 2, 1, ("size", "kind")).set_index("test")
    seen = panel.wide("y")[2].notna().astype(float)
    x = np.column_stack([panel.firms["size"], panel.firms["kind"] == "b", panel.firms["kind"] == "c"]).astype(float)
    x, d = x - x.mean(axis=0), np.isfinite(panel.firms["cohort"]).to_numpy(float)
    fit = sm.OLS(seen.to_numpy(), np.column_stack([np.ones(len(d)), x, d, d[:, None] * x])).fit(cov_type="HC1", use_t=True)
    for test, which in {"arm_and_products": [4, 5, 6, 7], "products": [5, 6, 7], "arm": [4]}.items():
        wald = fit.wald_test(np.eye(8)[which], use_f=True, scalar=True)
        assert table.loc[test, "statistic"] == pytest.approx(float(wald.statistic), rel=1e-9)
        assert table.loc[test, "p_value"] == pytest.approx(float(wald.pvalue), rel=1e-8)
        assert table.loc[test, ["df1", "df2"]].tolist() == [len(which), 392]
    assert table.loc["arm", ["estimate", "std_error"]].tolist() == pytest.approx([fit.params[4], fit.bse[4]], rel=1e-9)


def test_leavers_against_stayers_by_hand():
    panel = leaving(3)
    table = selective_attrition(panel, "y", 2, 1).set_index("test")
    base, stays, d = panel.wide("y")[1], panel.wide("y")[2].notna(), np.isfinite(panel.firms["cohort"])
    for name, arm in (("treated", d), ("control", ~d)):
        welch = stats.ttest_ind(base[arm & ~stays], base[arm & stays], equal_var=False)
        row = table.loc[f"leavers_{name}"]
        assert row["estimate"] == pytest.approx(base[arm & ~stays].mean() - base[arm & stays].mean(), rel=1e-12)
        assert [row["statistic"], row["p_value"], row["df2"]] == pytest.approx([welch.statistic, welch.pvalue, welch.df], rel=1e-9)
    gap = table.loc["leavers_treated", "estimate"] - table.loc["leavers_control", "estimate"]
    error = np.hypot(*table.loc[["leavers_treated", "leavers_control"], "std_error"])
    assert table.loc["leavers_difference", ["estimate", "std_error"]].tolist() == pytest.approx([gap, error], rel=1e-12)


def test_who_stops_answering_is_told_from_how_many():
    level = selective_attrition(leaving(1, n=1500, gap=0.15), "y", 2, 1, ("size",)).set_index("test")["p_value"]
    kind = selective_attrition(leaving(1, n=1500, slope=0.15), "y", 2, 1, ("size",)).set_index("test")["p_value"]
    assert level["arm"] < 1e-3 < 0.05 < level["products"] and kind["products"] < 1e-3 and kind["arm_and_products"] < 1e-3


def test_the_size_of_the_test_is_its_level():
    p = [selective_attrition(leaving(s, n=200), "y", 2, 1, ("size", "kind"))["p_value"].iloc[[0, 1]] for s in range(100)]
    assert (np.mean(np.array(p) < 0.05, axis=0) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)).all()


def test_selective_attrition_that_cannot_be_tested_says_why():
    full = seen((10, 10), (25, 25))
    table = selective_attrition(full, "y", 2, 1).set_index("test")
    assert table.loc[["arm", "products"], "reason"].tolist() == ["all answered", "no covariate"] and table["p_value"].isna().all()
    assert selective_attrition(full, "y", 2, 7).empty
    few = Panel(full.firms.assign(size=range(len(full.firms))).iloc[:5], full.outcomes.loc[full.firms.index[:5]])
    assert (
        selective_attrition(few, "y", 2, 1, ("size",)).set_index("test").loc["arm", "reason"]
        == "too few firms for so many covariates"
    )


def test_the_flow_of_firms():
    firms = pd.DataFrame({"arm": ["beneficiary", "beneficiary", "nonparticipant"]}, index=["a", "b", "c"])
    flow = sample_flow(firms, {"register": firms.index, "surveyed": pd.Index(["b", "c"]), "analysed": pd.Index([])})
    assert flow.pivot(index="arm", columns="stage", values="n").to_dict("index") == {
        "beneficiary": {"register": 2, "surveyed": 1, "analysed": 0},
        "nonparticipant": {"register": 1, "surveyed": 1, "analysed": 0},
    }
