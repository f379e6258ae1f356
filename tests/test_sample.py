"""The sample programme: its calibration, its truth, its identities, its planted errors; and the Michigan grants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval.data.contract import TABLES
from pipeval.data.michigan import michigan
from pipeval.data.sample import Knobs, sample_programme, simulate, write
from pipeval.data.sample_errors import COUNTS

SHIPPED = Path(__file__).parents[1] / "data" / "sample"
INPC = {2001: 91.07, 2002: 95.65, 2003: 100.0, 2004: 104.69, 2005: 108.86, 2006: 112.81, 2007: 117.29, 2008: 123.30}
KEYS = {"enterprises": ["firm_id"], "survey": ["firm_id", "ref_year"], "services": ["service_id"]}


@pytest.fixture(scope="module")
def clean():
    return sample_programme(Knobs(planted_errors=False))


@pytest.fixture(scope="module")
def spoilt():
    return sample_programme()


@pytest.fixture(scope="module")
def draws():
    return [simulate(Knobs(seed=s)) for s in range(12)]


def answered(survey):
    return survey[survey["response"].isin(["complete", "partial"])]


def evaluated(firms):
    return firms[(firms["branch"] != "garment")].set_index("firm_id")


def ln_real_sales(drawn):
    s = drawn.survey
    return (
        np.log(s["sales_kmxn"] * 100 / s["ref_year"].map(INPC))
        .set_axis(pd.MultiIndex.from_frame(s[["firm_id", "ref_year"]]))
        .unstack()
    )


def mean_difference(drawn, first, last):
    """Change of ln real sales, cluster members minus non-participants, and the true mean effect on the members observed."""
    firms = evaluated(drawn.enterprises)
    y = ln_real_sales(drawn)
    change = (y[last] - y[first]).reindex(firms.index).dropna()
    treated = change.index[firms.loc[change.index, "arm"] == "beneficiary"]
    control = change.index[firms.loc[change.index, "arm"] == "nonparticipant"]
    tau = drawn.truth.set_index(["ref_year", "firm_id"])["tau_ln_sales"]
    return change[treated].mean() - change[control].mean(), (tau[last][treated] - tau[first][treated]).mean()


# ── calibration ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_arms_branches_and_cohorts(draws):
    want = {
        "beneficiary": [85, 30, 50, 35],
        "indirect": [150, 40, 80, 30],
        "nonparticipant": [215, 75, 125, 85],
    }
    for drawn in draws[:3]:
        e = drawn.enterprises
        counts = pd.crosstab(e["arm"], e["branch"])[["footwear", "leather", "ceramics", "garment"]]
        assert counts.T.to_dict("list") == want
        assert e["sector"].str.replace("leather_footwear", "x").value_counts()["x"] == 595
        cohorts = e["entry_year"].value_counts(normalize=True).sort_index()
        assert cohorts.index.tolist() == [2004, 2005, 2006]
        np.testing.assert_allclose(cohorts, [0.60, 0.28, 0.12], atol=0.015)
        assert e.loc[e["arm"] == "beneficiary", ["entry_year", "registered_on"]].notna().all().all()
        assert e.loc[e["arm"] != "beneficiary", ["entry_year", "registered_on"]].isna().all().all()


@pytest.mark.parametrize("n", [60, 200, 2500])
def test_arms_scale_with_n(n):
    shares = simulate(Knobs(seed=3, n=n)).enterprises["arm"].value_counts(normalize=True)
    assert shares["beneficiary"] == pytest.approx(0.20, abs=0.04)
    assert shares["nonparticipant"] == pytest.approx(0.50, abs=0.04)


def test_business_clusters(draws):
    for drawn in draws:
        e = drawn.enterprises
        members = e[(e["arm"] == "beneficiary") & e["cluster_id"].notna()]
        assert len(members) == 165 and set(members["branch"]) == {"footwear", "leather", "ceramics"}
        sizes = members["cluster_id"].value_counts()
        assert len(sizes) == 16 and sizes.min() >= 5 and sizes.max() <= 15
        assert (members.groupby("cluster_id")["branch"].nunique() == 1).all()
        assert e.loc[e["arm"] == "nonparticipant", "cluster_id"].notna().sum() == 8
        assert e.loc[e["arm"] == "indirect", "cluster_id"].isna().all()


def test_levels_of_the_two_groups(draws):
    rows = []
    for drawn in draws:
        e = drawn.enterprises.set_index("firm_id")
        s2003 = drawn.survey.query("ref_year == 2003").set_index("firm_id")["sales_kmxn"]
        took, pool = e.index[e["arm"] == "beneficiary"], e.index[e["arm"] == "nonparticipant"]
        status = e["exp_status_baseline"]
        rows.append(
            {
                "workers": e["workers_baseline"][took].median(),
                "workers_pool": e["workers_baseline"][pool].median(),
                "sales": s2003[took].median(),
                "sales_pool": s2003[pool].median(),
                "direct": (status[took] == "direct").mean(),
                "indirect": (status[took] == "indirect").mean(),
                "direct_pool": (status[pool] == "direct").mean(),
                "indirect_pool": (status[pool] == "indirect").mean(),
                "ineligible": 1 - e.loc[pool, [c for c in e if c.startswith("elig_")]].all(axis=1).mean(),
            }
        )
    found = pd.DataFrame(rows).mean()
    want = {"workers": 18, "workers_pool": 11.5, "sales": 4500, "sales_pool": 2100, "direct": 0.21, "indirect": 0.22}
    want |= {"direct_pool": 0.075, "indirect_pool": 0.17, "ineligible": 0.18}
    for name, value in want.items():
        assert found[name] == pytest.approx(value, rel=0.12), name


def test_survival_and_response(draws):
    rows = []
    for drawn in draws:
        arm = drawn.enterprises.set_index("firm_id")["arm"]
        then = drawn.survey.query("ref_year == 2006").set_index("firm_id")["response"]
        for name in ("beneficiary", "nonparticipant"):
            own = then[arm.index[arm == name]]
            rows.append((name, (own != "closed").mean(), own.isin(["complete", "partial"]).mean()))
    found = pd.DataFrame(rows, columns=["arm", "alive", "answers"]).groupby("arm").mean()
    np.testing.assert_allclose(found.loc["beneficiary"], [0.87, 0.845], atol=0.02)
    np.testing.assert_allclose(found.loc["nonparticipant"], [0.86, 0.805], atol=0.02)


def test_export_transitions_without_programme(draws):
    truth = pd.concat([d.truth.assign(draw=i) for i, d in enumerate(draws)])
    status = truth.set_index(["draw", "firm_id", "ref_year"])["y0_status"].unstack()
    now, later = np.concatenate([status[y] for y in range(2003, 2008)]), np.concatenate([status[y] for y in range(2004, 2009)])
    share = pd.crosstab(now, later, normalize="index")
    for here, there, want in [
        ("none", "indirect", 0.035),
        ("none", "direct", 0.008),
        ("indirect", "direct", 0.03),
        ("indirect", "none", 0.07),
        ("direct", "indirect", 0.03),
        ("direct", "none", 0.02),
    ]:
        assert share.loc[here, there] == pytest.approx(want, abs=0.006), (here, there)


def test_frame_weights_expand_to_the_population(draws):
    e = draws[0].enterprises
    total = e.groupby("branch")["frame_weight"].sum()
    mean = (e["frame_weight"] * e["workers_baseline"]).groupby(e["branch"]).sum() / total
    for branch, firms, workers in [
        ("footwear", 3500, 19.1),
        ("leather", 1245, 9.6),
        ("ceramics", 2000, 8.8),
        ("garment", 2600, 11.9),
    ]:
        assert total[branch] == pytest.approx(firms, rel=1e-3)
        assert mean[branch] == pytest.approx(workers, rel=1e-3)


def test_noise_of_three_year_changes(draws):
    sd = []
    for drawn in draws:
        y = ln_real_sales(drawn)
        pool = drawn.enterprises.query("arm == 'nonparticipant'")["firm_id"]
        sd.append((y[2006] - y[2003]).reindex(pool).std())
    assert np.mean(sd) == pytest.approx(0.276, abs=0.012)


def test_series_are_the_published_ones(clean):
    series = clean["series"].set_index(["series", "year"])["value"]
    assert series["inpc"].to_dict() == INPC
    inflation = [5.0307, 4.5469, 4.6884, 3.9881, 3.6295, 3.9668, 5.1250]
    np.testing.assert_allclose(100 * series["inpc"].pct_change().dropna(), inflation, atol=0.02)
    assert series["fx_mxn_usd"].tolist() == [9.3366, 9.6633, 10.7925, 11.2897, 10.8938, 10.9056, 10.9281, 11.1425]
    assert series["us_cpi"].tolist() == [96.25, 97.77, 100.0, 102.66, 106.14, 109.57, 112.69, 117.01]
    assert clean["series"]["source"].notna().all()


# ── truth ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_true_effect_of_cluster_members_in_2006(draws):
    for drawn in draws[:4]:
        e = drawn.enterprises
        members = e.loc[(e["arm"] == "beneficiary") & e["cluster_id"].notna(), "firm_id"]
        truth = drawn.truth[drawn.truth["firm_id"].isin(members)]
        assert truth.query("ref_year == 2006")["tau_ln_sales"].mean() == pytest.approx(0.0876, abs=0.004)
        assert (truth.query("ref_year <= 2003")["tau_ln_sales"] == 0).all()


def test_effects_follow_the_rule(draws):
    e = draws[0].enterprises
    truth = draws[0].truth.merge(e, on="firm_id")
    full = truth["branch"].map({"footwear": 0.12, "leather": 0.12, "ceramics": 0.08, "garment": 0.01})
    years = truth["ref_year"] - truth["entry_year"]
    ramp = years.map(lambda k: 0.0 if not k >= 0 else (0.25, 0.65, 1.0)[int(min(k, 2))])
    took = truth["arm"] == "beneficiary"
    factor = (truth["tau_ln_sales"] / (full * ramp))[took & (ramp > 0)].round(4)
    assert set(factor) == {0.8, 1.3}
    ever = factor.groupby(truth["firm_id"]).max() == 1.3
    assert ever.sum() == 66 and not ever[e.loc[(e["branch"] == "garment") & (e["arm"] == "beneficiary"), "firm_id"]].any()
    assert set(truth.loc[(truth["arm"] == "indirect") & (truth["ref_year"] >= 2006), "tau_ln_sales"]) == {0.02}
    outside = (truth["arm"] == "nonparticipant") & truth["cluster_id"].isna()
    assert (truth.loc[outside, "tau_ln_sales"] == 0).all()
    for name, share in [("tau_ln_va", 1.25), ("tau_ln_jobs", 0.55), ("tau_ln_va_job", 0.70), ("tau_ln_price", 0.30)]:
        np.testing.assert_allclose(truth[name], share * truth["tau_ln_sales"], atol=2e-6)


def test_the_null_sample_has_no_effect_of_any_kind():
    truth = simulate(Knobs(seed=5, effect=0.0)).truth
    assert (truth.filter(like="tau_") == 0).all().all()
    assert (truth["y0_status"] == truth["y1_status"]).all()
    assert (truth["y0_export_direct_kmxn"] == truth["y1_export_direct_kmxn"]).all()


def test_the_programme_only_raises_export_status(draws):
    rank = {"none": 0, "indirect": 1, "direct": 2}
    truth = draws[0].truth.merge(draws[0].enterprises[["firm_id", "arm", "entry_year"]], on="firm_id")
    lift = truth["y1_status"].map(rank) - truth["y0_status"].map(rank)
    assert (lift >= 0).all() and (lift[truth["arm"] == "beneficiary"] > 0).sum() > 20
    assert (lift[truth["ref_year"] < truth["entry_year"].fillna(2005)] == 0).all()
    assert (lift[truth["arm"] == "nonparticipant"] == 0).all() and (lift[truth["ref_year"] <= 2003] == 0).all()


@pytest.fixture(scope="module")
def large():
    return simulate(Knobs(seed=8, n=4000))


def test_trends_are_parallel_by_default(large):
    found, true = mean_difference(large, 2003, 2006)
    assert found == pytest.approx(true, abs=0.035) and true > 0.08
    assert mean_difference(large, 2001, 2003)[0] == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize(
    ("knobs", "low", "high"),
    [
        ({"differential_trend": 0.02}, 0.055, 0.065),
        ({"selection_on_shock": -0.3}, 0.01, 0.09),
        ({"trend_heterogeneity": 0.02}, 0.02, 0.07),
        ({"spill_pool": 0.06}, -0.065, -0.055),
        ({"attrition_bias": 0.3}, 0.005, 0.05),
    ],
)
def test_knobs_bias_the_simple_difference(large, knobs, low, high):
    """Against the same draw without the knob, so that chance cancels."""
    plain, true = mean_difference(large, 2003, 2006)
    found, turned = mean_difference(simulate(Knobs(seed=8, n=4000, **knobs)), 2003, 2006)
    assert low < (found - turned) - (plain - true) < high


def test_attrition_bias_loses_beneficiaries():
    def answers(bias):
        drawn = simulate(Knobs(seed=2, attrition_bias=bias))
        took = drawn.enterprises.query("arm == 'beneficiary'")["firm_id"]
        return drawn.survey.query("ref_year == 2006 and response in ['complete', 'partial']")["firm_id"].isin(took).sum()

    assert answers(0.3) < answers(0.0) - 10


# ── identities of the clean sample ───────────────────────────────────────────────────────────────────────────────────


def test_survey_identities(clean):
    rows = answered(clean["survey"])
    parts = rows["domestic_sales_kmxn"] + rows["export_direct_kmxn"] + rows["export_indirect_kmxn"]
    np.testing.assert_allclose(parts, rows["sales_kmxn"], atol=0.051)
    added = rows["sales_kmxn"] + rows["inventory_change_kmxn"] - rows["intermediate_inputs_kmxn"]
    assert (added.dropna() > 0).all() and (added < rows["sales_kmxn"])[added.notna()].all()
    derived = np.select([rows["export_direct_kmxn"] > 0, rows["export_indirect_kmxn"] > 0], ["direct", "indirect"], "none")
    assert (derived == rows["exp_status"]).all()
    rate = rows["ref_year"].map(clean["series"].query("series == 'fx_mxn_usd'").set_index("year")["value"])
    ratio = (1000 * rows["export_direct_kmxn"] / rate / rows["export_direct_usd"])[rows["export_direct_kmxn"] > 50]
    assert ratio.between(0.9, 1.1).all()
    assert (rows["workers_paid"] + rows["workers_unpaid"] >= 1).all() and (rows["months_covered"] == 12).all()


def test_non_response_has_no_figures(clean):
    survey = clean["survey"]
    lost = survey[~survey["response"].isin(["complete", "partial"])]
    assert lost[[c for c in survey if c.endswith("_kmxn")] + ["workers_paid", "exp_status", "months_covered"]].isna().all().all()
    partial = survey[survey["response"] == "partial"]
    assert partial["intermediate_inputs_kmxn"].isna().all() and partial["sales_kmxn"].notna().all()
    assert not survey.duplicated(["firm_id", "ref_year"]).any() and len(survey) == 8000


def test_interviews_follow_the_calendar(clean):
    survey = clean["survey"]
    first = survey[survey["ref_year"] <= 2003]["interview_on"]
    assert first.min() >= pd.Timestamp("2003-11-01") and first.max() <= pd.Timestamp("2004-02-29")
    later = survey[survey["ref_year"] > 2003]
    assert (later["interview_on"].dt.year == later["ref_year"] + 1).all() and later["interview_on"].dt.month.isin([2, 3]).all()
    assert (survey["recall_flag"] == (survey["ref_year"] == 2001)).all()


def test_products_add_up_to_sales(clean):
    product, survey = clean["product_sales"], clean["survey"].set_index(["firm_id", "ref_year"])
    value = product.groupby(["firm_id", "ref_year"])["value_kmxn"].sum()
    np.testing.assert_allclose(value, survey.loc[value.index, "sales_kmxn"], atol=0.35)
    quantity = product.groupby(["firm_id", "ref_year"])["quantity"].sum()
    np.testing.assert_allclose(quantity, survey.loc[quantity.index, "production_qty"], rtol=0.01, atol=4)
    shoes = clean["enterprises"].query("branch == 'footwear'")["firm_id"]
    price = survey.xs(2003, level="ref_year").loc[shoes].eval("1000 * sales_kmxn / production_qty") / 10.7925
    assert price.median() == pytest.approx(25, rel=0.08)  # US$ a pair


def test_services_keep_the_rules(clean):
    services, firms = clean["services"], clean["enterprises"].set_index("firm_id")
    assert set(firms.loc[services["firm_id"], "arm"]) == {"beneficiary"}
    assert (services["start_on"].to_numpy() > firms.loc[services["firm_id"], "registered_on"].to_numpy()).all()
    np.testing.assert_allclose(services["programme_paid_usd"] + services["firm_paid_usd"], services["total_cost_usd"], atol=0.005)
    assert services.groupby("firm_id")["programme_paid_usd"].sum().between(7200, 7500).any()
    assert services.groupby("firm_id")["programme_paid_usd"].sum().max() <= 7500  # the cap binds for some
    months = (services["start_on"] - pd.Timestamp("2003-07-01")).dt.days / 30.4375
    assert (services["programme_paid_usd"] / services["total_cost_usd"] <= 0.70 - 0.40 * (months / 36).clip(0, 1) + 1e-9).all()
    assistance = services[services["activity_type"].str.startswith("ta_")]
    assisted, trained = set(assistance["firm_id"]), set(services.loc[services["activity_type"] == "training", "firm_id"])
    assert 60 <= len(assisted & trained) <= len(assisted) <= 66 and firms.loc[list(assisted), "cluster_id"].notna().all()
    started = assistance.groupby("firm_id")["start_on"].min().dt.year
    truth = clean["truth"].set_index(["firm_id", "ref_year"])["tau_ln_sales"].unstack().loc[started.index]
    full = firms.loc[started.index, "branch"].map({"footwear": 0.12, "leather": 0.12, "ceramics": 0.08})
    first = truth.div(full, axis=0).T[truth.index].apply(lambda s: s / max(s) * 1.3).T  # share of the full effect
    exposure = (first.columns.to_numpy() - firms.loc[started.index, "entry_year"].to_numpy()[:, None]).clip(-1, 2)
    ramp = np.array([0.25, 0.65, 1.0, np.nan])[exposure.astype(int)]
    np.testing.assert_array_equal((first / ramp).round(3).eq(1.3).idxmax(axis=1), started)
    component = services["component"].where(services["component"] != "1")
    assert set(firms.loc[services.loc[component == "2.2", "firm_id"], "branch"]) == {"ceramics"}
    assert (firms.loc[services["firm_id"], "entry_year"].to_numpy() <= services["start_on"].dt.year.to_numpy()).all()


def test_budget_and_ledger(clean):
    budget = clean["budget"].set_index(["component", "source"])["budget_usd"]
    assert budget["2", "mif"] == 799_400 and budget.groupby("source").sum().to_dict() == {"mif": 1e6, "counterpart": 1e6}
    ledger = clean["ledger"]
    mif = ledger[ledger["kind"] == "disbursement"].set_index("on")["amount_usd"].cumsum()
    assert mif[:"2004-11-30"].iloc[-1] < 500_000 < mif[:"2004-12-01"].iloc[-1]
    given = ledger[(ledger["kind"] == "counterpart_contribution") & (ledger["on"] <= "2005-01-01")]["amount_usd"].sum()
    assert given / mif[:"2005-01-01"].iloc[-1] == pytest.approx(0.82, abs=0.005)
    spent = ledger[ledger["kind"] != "disbursement"].groupby(["component", "source"])["amount_usd"].sum()
    assert (spent <= budget[spent.index] + 0.5).all() and (ledger["amount_usd"] > 0).all()
    assert ledger["on"].min() == pd.Timestamp("2003-07-01") and ledger["on"].max() == pd.Timestamp("2007-01-01")


def test_satisfaction_has_something_to_find(clean):
    scores = clean["satisfaction"].query("wave == 'midterm'")
    assert scores["firm_id"].nunique() == 170
    assert scores[~scores["item"].str.startswith("would")]["score"].mean() == pytest.approx(3.9, abs=0.15)
    environment = scores[scores["item"] == "environment"]["score"]
    assert environment.le(2).mean() > 0.3 and environment.ge(4).mean() > 0.3


def test_activities_are_counted_from_the_services(clean):
    plan, services = clean["activities"].set_index("activity_id"), clean["services"]
    assert plan.at["A001", "actual_qty"] == services.query("activity_type == 'diagnosis'")["firm_id"].nunique()
    assert (
        plan.at["A009", "actual_qty"] == services.query("activity_type == 'training' and subject == 'export'")["event_id"].nunique()
    )
    assert set(services["activity_id"]) <= set(plan.index) and plan.at["A012", "actual_qty"] == len(clean["products"])


def test_compliance_rises(clean):
    took = clean["enterprises"].query("arm == 'beneficiary'")["firm_id"]
    rows = answered(clean["survey"])
    rate = rows[rows["firm_id"].isin(took)].groupby("ref_year")["env_compliant"].mean()
    assert rate[2003] == pytest.approx(0.58, abs=0.08) and rate[2006] == pytest.approx(0.74, abs=0.08)


def test_tables_follow_the_contract(spoilt):
    for name in set(spoilt) - {"truth", "planted_errors"}:
        columns = TABLES[name].named("MXN")
        assert set(spoilt[name]) <= set(columns), name
        for column in set(spoilt[name]):
            filled = spoilt[name][column].dropna()
            assert not columns[column].needed or len(filled) == len(spoilt[name]), (name, column)
            assert not columns[column].codes or set(filled) <= set(columns[column].codes), (name, column)
        assert not spoilt[name].duplicated([k for k in TABLES[name].key if k in spoilt[name]]).any(), name


# ── voices and paper ─────────────────────────────────────────────────────────────────────────────────────────────────

VOICES = ("rubrics", "interviews", "assessments", "compliance", "joint_actions", "conditions", "staff", "reports", "benchmarks")


def test_voices_leave_every_other_table_alone(clean, monkeypatch):
    import pipeval.data.sample as module

    monkeypatch.setattr(module, "voices_tables", lambda tables, knobs: {})
    without = sample_programme(Knobs(planted_errors=False))
    assert set(clean) - set(without) == set(VOICES)
    for name, table in without.items():
        pd.testing.assert_frame_equal(table, clean[name])


def test_joint_actions_agree_with_the_clusters(clean):
    actions, clusters = clean["joint_actions"], clean["clusters"].set_index("cluster_id")
    firms = clean["enterprises"].set_index("firm_id")
    events = actions.drop_duplicates(["cluster_id", "on", "type"])
    done = clusters["joint_actions_done"]
    pd.testing.assert_series_equal(events.groupby("cluster_id").size(), done[done > 0].astype(int), check_names=False)
    assert actions.groupby(["cluster_id", "on", "type"]).size().between(2, 4).all()
    assert (firms.loc[actions["firm_id"], "cluster_id"].to_numpy() == actions["cluster_id"].to_numpy()).all()
    assert not (firms.loc[actions["firm_id"], "closed_on"].to_numpy() <= actions["on"].to_numpy()).any()
    sold = actions[actions["type"] == "joint_sale"].groupby("cluster_id")["on"].agg(["min", "max"])
    first = clusters["joint_sale_on"].dropna()
    assert (sold["min"] == first).all() and (sold["max"] == first).all() and len(sold) == len(first)
    assert (actions["on"] >= actions["cluster_id"].map(clusters["formed_on"])).all()
    money = actions["type"].isin(["joint_sale", "joint_purchase"])
    assert (actions["value_kmxn"].notna() == money).all()
    assert (actions["saving_kmxn"].notna() == (actions["type"] == "joint_purchase")).all()
    assert (actions["saving_kmxn"] < 0.2 * actions["value_kmxn"])[actions["saving_kmxn"].notna()].all()


def test_raters_agree_but_on_one_criterion(clean):
    rubrics = clean["rubrics"]
    by = rubrics.groupby(["rubric", "subject", "criterion", "rated_on"])["score"]
    assert (by.size() == 3).all() and (rubrics.groupby(["rubric", "subject", "rated_on"])["rater"].nunique() == 3).all()
    spread = (by.max() - by.min()).groupby("criterion").mean()
    assert spread.idxmax() == "cost_recovery" and spread["cost_recovery"] >= 2 and spread.drop("cost_recovery").max() < 1.2
    assert rubrics["score"].isin([1, 2, 3, 4]).all()
    capacity = rubrics[rubrics["rubric"] == "capacity"].groupby(["subject", "rated_on"])["score"].mean().unstack()
    assert len(capacity) == 3 and (capacity.iloc[:, 1] > capacity.iloc[:, 0]).all()
    dates = rubrics.groupby("rubric")["rated_on"].agg(["min", "max"])
    assert dates.at["readiness", "max"] < pd.Timestamp("2004-01-01") and dates.at["sustainability", "min"] > pd.Timestamp(
        "2006-07-01"
    )
    assert dates.at["capacity", "min"] < pd.Timestamp("2005-03-31") < dates.at["capacity", "max"]


def test_interviews_tell_the_story(clean):
    from pipeval.study.logframe import read_logframe

    talks = clean["interviews"]
    assert 35 <= len(talks) <= 45 and set(talks["kind"]) == set(TABLES["interviews"].named("MXN")["kind"].codes)
    assert set(talks["indicator_id"]) <= {i.id for i in read_logframe("guanajuato").indicators}
    stance = pd.crosstab(talks["indicator_id"], talks["stance"])
    for indicator in ("C2.1", "C2.2", "C2.5", "P3"):
        assert stance.at[indicator, "supports"] > stance.loc[indicator, ["mixed", "contradicts"]].sum()
    assert stance.loc["P4"].idxmax() == "mixed" and stance.loc["G2"].idxmax() == "contradicts"
    firms = clean["enterprises"].set_index("firm_id")
    asked = talks[talks["kind"] == "firm"]
    assert asked["firm_id"].notna().all() and talks.loc[talks["kind"] != "firm", "firm_id"].isna().all()
    assert (talks.groupby("interview_id")[["on", "kind"]].nunique() == 1).all().all()
    assert (asked.groupby("interview_id")["firm_id"].nunique() == 1).all() and asked["firm_id"].nunique() == asked[
        "interview_id"
    ].nunique()
    assert not (firms.loc[asked["firm_id"], "closed_on"].to_numpy() <= asked["on"].to_numpy()).any()
    assert (firms.loc[asked["firm_id"], "entry_year"].to_numpy() <= asked["on"].dt.year.to_numpy()).all()
    early = talks["on"] <= pd.Timestamp("2005-03-31")
    assert early.sum() == 13 and talks[["statement_es", "statement_en"]].notna().all().all()


def test_assessments_gain_and_firms_flatter_themselves_at_first(clean):
    scores = clean["assessments"].copy()
    scores["when"] = np.where(scores["on"] < pd.Timestamp("2005-01-01"), "base", "final")
    assert scores["firm_id"].nunique() == 40 and scores["score"].between(1, 5).all()
    mean = scores.groupby(["factor", "assessor", "when"])["score"].mean().unstack()
    expert = mean.xs("expert", level="assessor")
    assert (expert["final"] > expert["base"]).all() and (expert["final"] - expert["base"]).idxmax() == "cooperation"
    gap = mean.xs("firm", level="assessor") - expert
    assert gap["base"].mean() == pytest.approx(0.45, abs=0.15) and abs(gap["final"].mean()) < 0.25
    assert (scores["goal"].notna() == (scores["assessor"] == "firm")).all()
    assert (scores.groupby(["firm_id", "factor"])["goal"].nunique() == 1).all()
    firms = clean["enterprises"].set_index("firm_id")
    base = scores[scores["when"] == "base"]
    assert (base["on"].to_numpy() > firms.loc[base["firm_id"], "registered_on"].to_numpy()).all()
    closed = firms["closed_on"].reindex(scores["firm_id"]).to_numpy()
    assert not (closed <= scores["on"].to_numpy()).any()


def test_inspections_follow_the_survey(clean):
    seen, survey = clean["compliance"], clean["survey"].set_index(["firm_id", "ref_year"])
    for norm, own in seen.groupby("norm"):
        year = np.where(own["on"].dt.year == 2004, 2003, 2006)
        said = survey[f"{norm}_compliant"].reindex(pd.MultiIndex.from_arrays([own["firm_id"], year])).to_numpy()
        assert (said == own["compliant"].to_numpy()).mean() == pytest.approx(0.95, abs=0.05)
    assert (seen["plan_provided"].notna() == (seen["compliant"] == 0)).all()
    assert seen["firm_id"].nunique() == 80 and seen["on"].max() < pd.Timestamp("2007-03-31")


def test_paper_of_the_programme(clean):
    planned = clean["activities"].groupby("component")["planned_cost_usd"].sum()
    budget = clean["budget"].groupby("component")["budget_usd"].sum()
    assert planned.to_dict() == budget[planned.index].to_dict() and set(budget.index) - set(planned.index) == {
        "evaluation",
        "contingencies",
    }
    conditions = clean["conditions"].set_index("condition_id")
    late = conditions["met_on"] > conditions["due_on"]
    assert late.sum() == 1 and conditions.loc[late, "sector"].tolist() == ["ceramics"] and conditions["met_on"].notna().all()
    reports = clean["reports"]
    half = reports[reports["kind"] == "semiannual"]
    assert (half["delivered_on"] > half["period_end"] + pd.Timedelta(days=31)).sum() == 1
    assert reports["delivered_on"].isna().sum() == 1 and (reports["delivered_on"] > reports["period_end"]).sum() == len(reports) - 1
    holders = clean["staff"].groupby("post")["staff_key"].size()
    assert holders[holders > 1].to_dict() == {"ceramics_coordinator": 2}
    old, new = clean["staff"].query("post == 'ceramics_coordinator'").itertuples()
    assert old.left_on < new.started_on and pd.isna(new.left_on)
    studies = clean["benchmarks"]
    assert studies["study"].str.contains("made up").all() and (studies["source"] == "made for this sample").all()
    assert set(studies["outcome"]) == {"sales", "productivity", "exports", "employment", "survival"}
    assert studies["ci_lo"].isna().sum() == 2 and (studies["ci_lo"] < studies["effect_pct"]).sum() == 6


@pytest.mark.parametrize("seed", [2, 3])
def test_voices_of_a_small_programme(seed):
    small = sample_programme(Knobs(seed=seed, n=60, planted_errors=False))
    for name in VOICES:
        assert len(small[name]) and not small[name].duplicated(list(TABLES[name].key)).any(), name


# ── planted errors ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_number_and_kinds_of_planted_errors(spoilt):
    key = spoilt["planted_errors"].copy()
    key["what"] = key["key"].where(key["kind"] != "heaped", key["key"].str.split("|").str[0])
    assert key.groupby("kind")["what"].nunique().to_dict() == COUNTS
    assert sum(COUNTS.values()) == 40
    firms = key.groupby("kind")["what"].unique()
    survey_firms = [w.split("|")[0] for kind in firms.index for w in firms[kind] if not w.startswith("S")]
    assert len(survey_firms) == len(set(survey_firms))


def test_the_key_lists_exactly_what_was_changed(clean, spoilt):
    listed = {(r.table, r.key, r.column): r.true_value for r in spoilt["planted_errors"].itertuples()}
    agreed = {(r.table, r.key, r.column): (r.old, r.new) for r in spoilt["corrections"].itertuples()}
    changed = set()
    for table, parts in KEYS.items():
        before, after = (t[table].set_index(t[table][parts].astype(str).agg("|".join, axis=1)) for t in (clean, spoilt))
        both = before.index.intersection(after.index)
        for column in before:
            old, new = before.loc[both, column], after.loc[both, column]
            differ = both[(old != new) & ~(old.isna() & new.isna())]
            changed |= {(table, k, column) for k in differ}
            for k in differ:
                true = (
                    old[k].strftime("%Y-%m-%d")
                    if isinstance(old[k], pd.Timestamp)
                    else f"{old[k]:.10g}"
                    if isinstance(old[k], float)
                    else old[k]
                )
                assert true == (listed.get((table, k, column)) or agreed[table, k, column][1])
        gone, new = before.index.difference(after.index), after.index.difference(before.index)
        assert all((table, k, "ref_year") in listed for k in gone)
        assert table == "services" or all(k.split("|")[0] > "F1000" for k in new)
        changed |= {(table, k, "ref_year") for k in gone}
        changed |= {(table, k, "firm_id") for k in new if table == "enterprises"}
    assert changed == set(listed) | set(agreed)


def test_every_kind_is_what_it_says(spoilt):
    key = spoilt["planted_errors"]
    survey = spoilt["survey"].set_index(spoilt["survey"]["firm_id"] + "|" + spoilt["survey"]["ref_year"].astype(str))
    services = spoilt["services"].set_index("service_id")
    firms = spoilt["enterprises"].set_index("firm_id")

    def of(kind):
        return list(dict.fromkeys(key.loc[key["kind"] == kind, "key"]))

    typical = survey.groupby("firm_id")["sales_kmxn"].median()
    assert all(survey.at[k, "sales_kmxn"] > 200 * typical[survey.at[k, "firm_id"]] for k in of("sales_in_pesos"))
    ratio = 1000 * survey["export_direct_kmxn"] / survey["export_direct_usd"]
    assert ratio[of("exports_in_usd")].between(0.9, 1.1).all()
    gap = survey["domestic_sales_kmxn"] + survey["export_direct_kmxn"] + survey["export_indirect_kmxn"] - survey["sales_kmxn"]
    assert (gap[of("parts_not_sum")].abs() > 0.01 * survey.loc[of("parts_not_sum"), "sales_kmxn"]).all()
    assert (survey["inventory_change_kmxn"] > survey["intermediate_inputs_kmxn"])[of("va_above_sales")].all()
    assert survey.loc[of("partial_year"), "months_covered"].between(3, 8).all()
    heaped = survey.loc[of("heaped"), "sales_kmxn"]
    assert (heaped == heaped.map(lambda v: float(f"{v:.0e}"))).all() and len(heaped) == 16
    assert all(
        firms.at[k, "founded_year"] == firms.at[v, "founded_year"]
        for k, v in key.query("kind == 'duplicate_firm'")[["key", "true_value"]].to_numpy()
    )
    assert (firms.loc[services.loc[of("participant_in_controls"), "firm_id"], "arm"] == "nonparticipant").all()
    paid = services.groupby("firm_id")["programme_paid_usd"].sum()
    assert set(paid.index[paid > 7500]) == set(services.loc[of("subsidy_cap"), "firm_id"])
    share = services["programme_paid_usd"] / services["total_cost_usd"]
    assert set(services.index[share > 0.75]) == set(of("subsidy_rate"))
    early = services["start_on"] < services["firm_id"].map(firms["registered_on"])
    assert set(services.index[early]) == set(of("service_before_registration"))
    assert services.index[services["total_cost_usd"] < 0].tolist() == of("negative_cost")
    rows = survey.groupby("firm_id").size()
    assert set(rows.index[rows < 8]) == {k.split("|")[0] for k in of("year_gap")}


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_same_seed_same_bytes(tmp_path, spoilt):
    once = write(spoilt, tmp_path / "a")
    again = write(sample_programme(Knobs()), tmp_path / "b")
    assert [p.name for p in once] == [p.name for p in again]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(once, again, strict=True))
    assert sum(p.stat().st_size for p in once) < 2_500_000
    text = (tmp_path / "a" / "services.csv").read_bytes()
    assert b"\r" not in text and b"nan" not in text.lower().replace(b"finan", b"") and b"2004-01-" in text


def test_the_shipped_sample_is_the_default_one(tmp_path, spoilt):
    for path in write(spoilt, tmp_path):
        made, shipped = pd.read_csv(path, low_memory=False), pd.read_csv(SHIPPED / path.name, low_memory=False)
        pd.testing.assert_frame_equal(made, shipped, rtol=1e-3, atol=0.11)  # the last digit may differ between processors


def test_other_seeds_differ_and_order_does_not_matter():
    a, b = simulate(Knobs(seed=1)), simulate(Knobs(seed=2))
    assert not a.survey["sales_kmxn"].equals(b.survey["sales_kmxn"])
    assert simulate(Knobs(seed=1)).survey.equals(a.survey)


# ── Michigan ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_michigan_counts():
    tables = michigan()
    firms, survey = tables["enterprises"].set_index("firm_id"), tables["survey"]
    assert len(firms) == 157 and len(survey) == 471
    assert firms["entry_year"].value_counts().to_dict() == {1988: 36, 1989: 30} and firms["entry_year"].isna().sum() == 91
    assert ((firms["arm"] == "beneficiary") == firms["entry_year"].notna()).all()
    measures = {
        "sales": (survey["sales_kusd"], (29, 20, 70)),
        "per employee": (survey["sales_kusd"] / survey["workers_paid"], (29, 19, 67)),
        "employment": (survey["workers_paid"], (35, 28, 81)),
        "scrap": (survey["scrap_rate"], (19, 10, 25)),
    }
    for name, (values, want) in measures.items():
        full = values.notna().groupby(survey["firm_id"]).sum() == 3
        entry = firms.loc[full.index[full], "entry_year"]
        assert ((entry == 1988).sum(), (entry == 1989).sum(), entry.isna().sum()) == want, name


def test_michigan_money_is_in_thousands():
    survey = michigan()["survey"]
    assert survey["sales_kusd"].median() == pytest.approx(3000)
    assert (survey.loc[survey["response"] == "refusal", ["sales_kusd", "workers_paid", "scrap_rate"]].isna()).all().all()
    complete = survey["sales_kusd"].notna() & survey["workers_paid"].notna()
    assert (complete == (survey["response"] == "complete")).all()
