"""The golden list a to n: figures that anybody can work out by hand, beside what the package says of them."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from linearmodels.panel import PanelOLS

from pipeval import DidSpec, MatchSpec, Panel, att_gt, match, read_study, save, stages
from pipeval.cli import main
from pipeval.data.load import load
from pipeval.data.measures import measures
from pipeval.data.money import deflator, series_values
from pipeval.data.panel import NEVER
from pipeval.data.sample import Knobs
from pipeval.did.detectable import detectable_table
from pipeval.did.poisson import poisson_att
from pipeval.did.twfe import twfe
from pipeval.errors import DesignError, collected
from pipeval.evaluation import Evaluation
from pipeval.monitoring.budget import budget_check, budget_sources
from pipeval.robustness.recovery import recover
from pipeval.study.calendar import due_dates
from pipeval.study.specs import Calendar, Cofinance, Outcome

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample"


# ── a, b, c, d: arithmetic of the agreement ──────────────────────────────────────────────────────────────────────────


def test_a_budget():
    """Table 2 by hand: 146.2 of 2,000 is 7.31 %, not 7.6; four of the six printed shares are not what the amounts give."""
    approved = {"1": (111_600, 34_600), "2": (799_400, 684_200), "3": (0, 275_200), "4": (41_000, 6_000)}
    approved |= {"evaluation": (28_000, 0), "contingencies": (20_000, 0)}
    printed = {"1": 7.6, "2": 74.0, "3": 14.0, "4": 2.0, "evaluation": 1.4, "contingencies": 1.0}
    budget = pd.read_csv(SAMPLE / "budget.csv", dtype={"component": str})
    paid = budget.pivot_table(index="component", columns="source", values="budget_usd", aggfunc="sum", fill_value=0)
    assert {c: (paid.at[c, "mif"], paid.at[c, "counterpart"]) for c in approved} == approved
    assert sum(m for m, _ in approved.values()) == sum(c for _, c in approved.values()) == 1_000_000
    check = budget_check(budget, printed).set_index("component")
    by_hand = {c: round(100 * sum(pair) / 2_000_000, 2) for c, pair in approved.items()}
    assert by_hand == {"1": 7.31, "2": 74.18, "3": 13.76, "4": 2.35, "evaluation": 1.4, "contingencies": 1.0}
    assert check["computed"].round(2).to_dict() == by_hand
    assert sorted(check.index[~check["agrees"]]) == ["1", "2", "3", "4"]
    shares = (100 * budget_sources(budget).set_index("component")["share_mif"]).round(1)
    assert shares[list(approved)].tolist() == [76.3, 53.9, 0.0, 87.2, 100.0, 100.0]


def test_b_calendar():
    dates = due_dates(Calendar(project_start=date(2003, 7, 1), first_disbursement=date(2003, 7, 1)))
    found = dates[dates["binding"]].set_index("event")["on"].dt.date.to_dict()
    assert found["midterm"] == date(2005, 1, 1)  # eighteen months
    assert found["execution_end"] == date(2006, 7, 1)  # thirty-six
    assert found["last_disbursement"] == date(2007, 1, 1)  # forty-two
    assert found["final"] == date(2006, 10, 1)  # three before the last disbursement
    assert found["goal_due"] == date(2008, 7, 1)  # five years


def test_c_cofinancing():
    """A straight line from .70 to .30 over 36 months loses .4/36 a month; its mean is that of its ends."""
    rule = Cofinance()
    assert [float(rule.rate(m)) for m in (0, 9, 18, 36, 42)] == pytest.approx([0.70, 0.60, 0.50, 0.30, 0.30], abs=1e-12)
    assert [float(rule.rate(a) - rule.rate(b)) for a, b in pairwise(range(37))] == pytest.approx([0.4 / 36] * 36, abs=1e-12)
    months = (np.arange(3600) + 0.5) / 100
    assert float(np.mean(rule.rate(months))) == pytest.approx(0.50, abs=1e-12)
    assert rule.cap_usd == 7500


def test_d_deflator():
    series = pd.read_csv(SAMPLE / "series.csv", dtype={"base": str})
    assert 112.81 * deflator(series, "inpc", 2003)[2006] == pytest.approx(100, abs=1e-10)
    assert series_values(series, "fx_mxn_usd")[2003] == 10.7925


def test_d_dollars(small):
    """10,792.5 pesos of 2003 are 1,000 dollars of that year."""
    survey = small.tables["survey"].assign(export_direct_kmxn=10.7925, export_indirect_kmxn=0.0)
    small.tables["survey"] = survey
    found = _measured(_priced(small))
    assert found.nominal.at[("F01", 2003), "exports_usd"] == pytest.approx(1000, abs=1e-8)


# ── f, g: one estimate three ways; the rules of a match ──────────────────────────────────────────────────────────────


def test_f_two_by_two():
    """Changes 3, 5 of the treated and 1, 2, 0 of the others: 4 − 1 = 3, by hand, as a coefficient and in two other packages."""
    before, after = [10.0, 20, 30, 40, 50], [13.0, 25, 31, 42, 50]
    treated = np.array([1, 1, 0, 0, 0])
    frame = pd.DataFrame({"firm": [*range(5)] * 2, "year": [1] * 5 + [2] * 5, "y": before + after})
    frame["d"] = treated[frame["firm"]] * (frame["year"] == 2)
    panel = Panel.from_frame(
        frame.assign(cohort=np.where(treated[frame["firm"]] == 1, 2.0, np.inf)),
        firm_id="firm", period="year", cohort="cohort", outcomes=["y"],
    )  # fmt: skip
    with collected():
        ours = att_gt(panel, "y", DidSpec()).table.set_index("period").loc[2]
        regression = twfe(panel, "y").iloc[0]
        linear = PanelOLS.from_formula("y ~ d + EntityEffects + TimeEffects", frame.set_index(["firm", "year"]))
        choices = {"debiased": False, "auto_df": False, "count_effects": False}
        linear = linear.fit(cov_type="clustered", cluster_entity=True, group_debias=True, **choices)
    dummies = pd.get_dummies(frame[["firm", "year"]].astype(str), drop_first=True).astype(float)
    design = sm.add_constant(pd.concat([frame[["d"]].astype(float), dummies], axis=1))
    ols = sm.OLS(frame["y"], design).fit(cov_type="cluster", cov_kwds={"groups": frame["firm"], "use_correction": False})
    assert ours["estimate"] == pytest.approx(3, abs=1e-10)
    assert regression["estimate"] == pytest.approx(3, abs=1e-10)
    assert [linear.params["d"], ols.params["d"]] == pytest.approx([3, 3], abs=1e-10)
    # changes less their mean: ±1 of two, 0, ±1 of three; squares 2/4 and 2/9, times G/(G − 1) = 5/4
    by_hand = np.sqrt((2 / 4 + 2 / 9) * 5 / 4)
    assert ours["std_error"] == pytest.approx(by_hand, abs=1e-10)
    assert linear.std_errors["d"] * np.sqrt(10 / 9) == pytest.approx(
        by_hand, abs=1e-8
    )  # with (N − 1)/N of ten rows beside G/(G − 1)
    assert ols.bse["d"] * np.sqrt(5 / 4) == pytest.approx(by_hand, abs=1e-8)


@pytest.mark.parametrize("method", ["optimal", "nearest"])
def test_g_no_control_twice_within_caliper_and_cell(method):
    """Pairs are looked at one by one, with a score fitted by another package."""
    rng = np.random.default_rng(30)
    n = 240
    firms = pd.DataFrame({"cohort": NEVER, "size": rng.normal(size=n), "branch": rng.choice(["a", "b", "c"], n)})
    firms.index = pd.Index([f"F{k:03d}" for k in range(n)], name="firm_id")
    firms.loc[rng.random(n) < 1 / (1 + np.exp(1.2 - firms["size"])), "cohort"] = 2004.0
    spec = MatchSpec(covariates=("size",), exact=("branch",), method=method, distance="linear_predictor", caliper=0.25)
    sample = match(firms, spec)
    sets = sample.sets.pivot(index="set_id", columns="role", values="firm_id")
    assert len(sets) > 20 and sets.notna().all().all()
    assert not sets["control"].duplicated().any() and not sets["treated"].duplicated().any()
    own = sm.Logit(np.isfinite(firms["cohort"]).astype(float), sm.add_constant(firms["size"])).fit(disp=0)
    line = pd.Series(own.fittedvalues, index=firms.index)
    width = 0.25 * line.std(ddof=1)
    gap = (line.loc[sets["treated"]].to_numpy() - line.loc[sets["control"]].to_numpy()).__abs__()
    assert (gap <= width + 1e-6).all() and gap.max() > 0.5 * width
    assert (firms.loc[sets["treated"], "branch"].to_numpy() == firms.loc[sets["control"], "branch"].to_numpy()).all()


# ── i, j: what must not matter ───────────────────────────────────────────────────────────────────────────────────────


def _made(seed: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = 60
    entry = np.repeat([2004.0, 2005.0, np.inf, np.inf], n // 4)
    size = rng.normal(3, 0.5, n) + 0.2 * np.isfinite(entry)
    rows = pd.DataFrame({"firm": np.repeat([f"F{k:02d}" for k in range(n)], 4), "year": [2003, 2004, 2005, 2006] * n})
    rows["cohort"], rows["size"] = np.repeat(entry, 4), np.repeat(size, 4)
    rows["sales"] = np.exp(2 + rows["size"] + 0.05 * (rows["year"] - 2003) + rng.normal(0, 0.2, 4 * n))
    rows["exports"] = np.where(rng.random(4 * n) < 0.5, rows["sales"] * rng.random(4 * n), 0.0)
    return rows


def _effects(rows: pd.DataFrame) -> np.ndarray:
    """Effects by cohort and year of ln sales, doubly robust, and of exports as per cent of what they would have been."""
    frame = rows.assign(ln_sales=np.log(rows["sales"]))
    panel = Panel.from_frame(
        frame, firm_id="firm", period="year", cohort="cohort", outcomes=["ln_sales", "exports"], covariates=["size"]
    )
    with collected():
        found = [att_gt(panel, "ln_sales", DidSpec(covariates=("size",))), poisson_att(panel, "exports", DidSpec())]
    tables = [e.table.query("period >= cohort") for e in found]
    return np.concatenate([t[["estimate", "std_error"]].to_numpy(float).ravel() for t in tables])


def test_i_log_of_one_plus_is_refused():
    with pytest.raises(ValueError, match="poisson"):
        Outcome(id="y", measure="exports", scale="log1p", label={"en": "Exports"})
    frame = _made().assign(log1p_exports=lambda t: np.log1p(t["exports"]))
    with pytest.raises(DesignError, match="any size"):
        panel = Panel.from_frame(frame, firm_id="firm", period="year", cohort="cohort", outcomes=["log1p_exports"])
        att_gt(panel, "log1p_exports", DidSpec())


def test_i_unit_order_and_names_change_nothing():
    rows = _made()
    plain = _effects(rows)
    assert len(plain) == 20 and np.isfinite(plain).all()  # five cells each, estimate and error
    in_pesos = _effects(rows.assign(sales=1000 * rows["sales"], exports=1000 * rows["exports"]))
    shuffled = _effects(rows.sample(frac=1, random_state=9))
    named = _effects(rows.assign(firm=rows["firm"].map(lambda f: f"Z{(int(f[1:]) * 37) % 60:02d}")))
    for other in (in_pesos, shuffled, named):
        np.testing.assert_allclose(other, plain, rtol=1e-7, atol=1e-9)


def test_j_firm_effects_and_common_shocks_change_nothing():
    rows = _made()
    firm = rows["firm"].str[1:].astype(int) % 7
    common = rows["year"].map({2003: 0.0, 2004: -0.4, 2005: 0.9, 2006: 0.3})
    plain = _effects(rows)
    both = _effects(rows.assign(sales=rows["sales"] * np.exp(firm + common)))
    np.testing.assert_allclose(both[:10], plain[:10], rtol=1e-7, atol=1e-9)
    added = rows.assign(sales=rows["sales"] * np.exp(0.25 * (rows["year"] >= rows["cohort"])))
    np.testing.assert_allclose((_effects(added) - plain)[:10:2], 0.25, atol=1e-9)


def _priced(small, factor: float = 1.0):
    """The small study in constant pesos of 2003; prices of 2005 times `factor`, in the index too."""
    index = {2002: 95.65, 2003: 100.0, 2004: 104.69, 2005: 108.86 * factor}
    rows = [("inpc", y, v, "2003") for y, v in index.items()] + [("fx_mxn_usd", y, 10.7925, "") for y in index]
    small.tables["series"] = pd.DataFrame(rows, columns=["series", "year", "value", "base"])
    survey = small.tables["survey"]
    small.tables["survey"] = survey.assign(
        sales_kmxn=survey["sales_kmxn"].where(survey["ref_year"] != 2005, survey["sales_kmxn"] * factor)
    )
    return small.planned(money={"headline": "real", "deflator": "inpc", "base_year": 2003, "fx": "fx_mxn_usd"})


def _measured(small):
    study = small.read()
    with collected():
        return measures(load(study), study)


def test_j_prices_scaled_with_their_deflator(small):
    once = _measured(_priced(small))
    again = _measured(_priced(small, 1.37))
    np.testing.assert_allclose(again.real["sales"], once.real["sales"], rtol=1e-12)
    moved = (again.nominal["sales"] / once.nominal["sales"]).xs(2005, level="period")
    np.testing.assert_allclose(moved, 1.37, rtol=1e-12)


# ── h: matching on the level of the outcome ──────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_h_matching_on_the_level_is_biased():
    """Base-year sales among the columns of a match find controls whose year was unusual and passes: the effect swells.

    Sampling error falls out of the difference of the two matches; the match without the level is within its own error of the truth.
    """
    study = read_study(ROOT / "params" / "guanajuato_final.yaml")
    study = study.model_copy(update={"outcomes": study.outcomes[:1]})
    level = study.match.model_copy(update={"covariates": (*study.match.covariates, "base_ln_sales")})
    plain = {"matched": ("matched", study.did.model_copy(update={"covariates": ()}))}
    with_level, without = (
        recover(study.model_copy(update={"match": spec}), Knobs(), range(60), plain) for spec in (level, study.match)
    )
    off = without["estimate"] - without["truth"]
    assert abs(off.mean()) < 3 * off.std() / np.sqrt(60)
    swollen = with_level["estimate"] - without["estimate"]
    assert swollen.mean() > 3 * swollen.std() / np.sqrt(60)
    assert swollen.mean() > 0.1 * without["truth"].mean()


# ── m, n: again, and refused by name ─────────────────────────────────────────────────────────────────────────────────


def _digest(study, folder: Path) -> tuple[str, dict]:
    """The road up to the effects, saved: hash of the results file, and where they came from."""
    with collected():
        data = stages.proved_data(study)
        start = stages.baseline(data, study)
        group = stages.control_group(data, start, study)
        power = stages.Stage({}, {"power": detectable_table(group["panel"], group["sample"], study)}, (), study)
        found = stages.effects(data, start, group, power, study)
        save(Evaluation.of(study, data, start, group, power, found), folder)
    return hashlib.sha256((folder / "results.json").read_bytes()).hexdigest(), json.loads((folder / "provenance.json").read_text())


def test_m_the_same_inputs_give_the_same_results(small, tmp_path):
    first, origin = _digest(small.read(), tmp_path / "a")
    again, _ = _digest(small.read(), tmp_path / "b")
    assert first == again
    small.cell("survey", 0, "sales_kmxn", 1234.5)
    other, changed = _digest(small.read(), tmp_path / "c")
    assert other != first
    moved = {name for name in origin["inputs"] if origin["inputs"][name] != changed["inputs"][name]}
    assert len(moved) == 1 and "survey" in moved.pop()
    assert origin["study_hash"] == changed["study_hash"]


def test_n_a_wrong_key_is_named_before_anything_runs(small, tmp_path, capsys):
    small.planned(treatment={"refrence_year": 2005})
    assert main(["run", str(small.params), "--out", str(tmp_path / "out")]) != 0
    said = capsys.readouterr().err
    assert "refrence_year" in said and "reference_year" in said
    assert not (tmp_path / "out" / "small").exists()
