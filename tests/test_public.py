"""The public-use file: small tables by hand, and small studies through the whole road."""

from __future__ import annotations

import json
import random

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeval.errors import DataError
from pipeval.release import anonymity, averages, public
from pipeval.release.grouping import mdav, release_groups
from pipeval.release.measured import measured
from pipeval.release.risk import disclosed, exposure, linkage
from pipeval.report.bundle import Bundle
from pipeval.study.params import read_study
from pipeval.study.programme_specs import Privacy


def firms(towns: str, branches: str) -> dict[str, pd.DataFrame]:
    ids = [f"F{n}" for n in range(len(towns))]
    table = pd.DataFrame({"firm_id": ids, "municipality": list(towns), "branch": list(branches), "cluster_id": None})
    return {"enterprises": table, "survey": pd.DataFrame({"firm_id": ids, "ref_year": 2003.0, "response": "complete"})}


def road(small, **privacy):
    small.planned(privacy={"quasi_identifiers": ["branch"], "k": 4, **privacy})
    return read_study(small.params)


def empty() -> Bundle:
    return Bundle.build({"study": "small"}, {})


def test_a_rare_place_is_blanked_and_a_rare_branch_leaves():
    rules = Privacy(quasi_identifiers=("branch", "municipality"), k=3)
    frames, blanked, left = anonymity.anonymous(firms("aaabbbcded", "xxxxxxxxxy"), rules)
    assert blanked == {"municipality": 4} and left == ["F9"]
    towns = frames["enterprises"]["municipality"]
    assert towns[:6].tolist() == list("aaabbb") and towns[6:].isna().all() and len(towns) == 9
    assert "F9" not in set(frames["survey"]["firm_id"])


def test_the_pattern_of_answers_may_be_what_tells():
    frames = firms("aaaa", "xxxx")
    frames["survey"].loc[3, "response"] = "refusal"
    frames, _, left = anonymity.anonymous(frames, Privacy(quasi_identifiers=("presence",), k=3))
    assert left == ["F3"] and len(frames["enterprises"]) == 3


def test_a_class_of_one_sensitive_value_leaves():
    rules = Privacy(quasi_identifiers=("branch",), sensitive=("municipality",), k=3, l=2)
    assert anonymity.anonymous(firms("aababb", "xxxyyy"), rules)[2] == []
    assert anonymity.anonymous(firms("aaaabb", "xxxyyy"), rules)[2] == ["F0", "F1", "F2"]


def test_groups_by_hand():
    points = np.array([[0.0], [9], [1], [10], [2], [11]])
    assert mdav(points, 3).tolist() == [0, 1, 0, 1, 0, 1]
    chance = np.random.default_rng(3).normal(size=(47, 3))
    sizes = np.bincount(mdav(chance, 5))
    assert sizes.min() >= 5 and sizes.max() <= 9 and sizes.sum() == 47
    assert mdav(chance[:9], 5).tolist() == [0] * 9


def test_arms_are_never_mixed_and_a_small_cohort_is_joined(small):
    small.cell("enterprises", 3, "entry_year", 2005)
    small.cell("enterprises", 11, "branch", "leather")
    study = road(small)
    tables = public.load(study).frames
    groups = release_groups(tables, study)
    assert groups[["F01", "F02", "F03", "F04"]].nunique() == 1  # one entered a year later
    assert not set(groups[["F01"]]) & set(groups[[f"F{n:02d}" for n in range(5, 12)]])
    assert groups.value_counts().min() >= 4
    assert set(tables["enterprises"]["firm_id"]) - set(groups.index) == {"F12"}  # alone in its branch, and no three left to join


def test_a_path_has_the_mean_level_and_moves_as_logarithms_do():
    rows = [("a", 1, 10.0), ("a", 2, 20.0), ("b", 1, 1000.0), ("b", 2, 1000.0), ("c", 1, 5000.0)]
    given = pd.DataFrame(rows, columns=["firm_id", "ref_year", "x"]).assign(release_group=1)
    path = averages.steady_mean(given, "x", 2)
    both = given[given["firm_id"] != "c"]
    plain = averages.steady_mean(both, "x", 2)
    assert np.log(plain).diff().iloc[1] == pytest.approx(np.log(2) / 2)
    assert plain.mean() == pytest.approx(both.groupby("ref_year")["x"].mean().mean())
    naive = np.log(given.groupby("ref_year")["x"].agg(lambda v: np.exp(np.log(v).mean()))).diff().iloc[1]
    assert naive < -0.9 and abs(np.log(path).diff().iloc[1] - np.log(2) / 2) < 0.5 * abs(naive - np.log(2) / 2)
    assert averages.steady_mean(given, "x", 3).isna().tolist() == [False, True]


def test_parts_add_up_and_too_few_answers_are_none(small):
    for n in (0, 1):
        small.cell("survey", 4 * n + 1, "response", "refusal")
        small.cell("survey", 4 * n + 1, "sales_kmxn", None)
    table = small.tables["survey"]
    shares = [0.5 + 0.01 * n for n in range(len(table))]
    table["domestic_sales_kmxn"] = [None if pd.isna(s) else s * w for s, w in zip(table["sales_kmxn"], shares, strict=True)]
    table["export_direct_kmxn"] = table["sales_kmxn"].astype(float) - table["domestic_sales_kmxn"].astype(float)
    table["export_indirect_kmxn"] = 0.0
    small.save()
    study = road(small)
    frames, record = public.anonymised(public.load(study).frames, study, random.Random(1))
    survey, pairs = frames["survey"].set_index(["firm_id", "ref_year"]), record["pairs"]
    alive = survey[survey["response"] == "complete"]
    parts = alive[["domestic_sales_kmxn", "export_direct_kmxn", "export_indirect_kmxn"]].sum(axis=1)
    assert np.allclose(parts, alive["sales_kmxn"], atol=1e-6)
    took = small.tables["survey"][:16].astype({"sales_kmxn": float})  # the four that took part
    mean = took[took["ref_year"] != 2003].groupby("ref_year")["sales_kmxn"].mean().mean()
    assert alive.loc[pairs["F03"], "sales_kmxn"].mean() == pytest.approx(mean, rel=0.1)
    assert (alive["export_direct_kmxn"] > 0).all() and (alive["export_indirect_kmxn"] == 0).all()
    assert survey.loc[(pairs["F01"], 2003), "response"] == "refusal"  # two of four answered
    assert np.isnan(survey.loc[(pairs["F03"], 2003), "sales_kmxn"]) and np.isnan(survey.loc[(pairs["F03"], 2003), "workers_paid"])


def test_what_few_of_a_group_export_stands_at_home():
    rows = [(f, 1, 100.0, 100.0 - x, x, 0.0) for f, x in zip("abcde", (50.0, 20.0, 0.0, 0.0, 0.0), strict=True)]
    names = ["firm_id", "ref_year", "sales_kmxn", "domestic_sales_kmxn", "export_direct_kmxn", "export_indirect_kmxn"]
    given = pd.DataFrame(rows, columns=names).assign(release_group=1, export_direct_usd=np.nan, production_qty=np.nan)
    given = given.assign(**{f"{n}_kmxn": np.nan for n in averages._OF_SALES})
    few = averages._amounts(given, "mxn", 3).iloc[0]
    assert few["export_direct_kmxn"] == 0 and few["domestic_sales_kmxn"] == pytest.approx(100)
    given.loc[2, ["domestic_sales_kmxn", "export_direct_kmxn"]] = [80.0, 20.0]
    most = averages._amounts(given, "mxn", 3).iloc[0]
    assert most["export_direct_kmxn"] == pytest.approx(18) and most["domestic_sales_kmxn"] == pytest.approx(82)


def test_the_public_file_is_read_checked_and_holds_no_old_name(small, tmp_path):
    out = tmp_path / "public"
    record = public.public_files(road(small), empty(), out, random.Random(1))
    assert record["measured"] == {"k": 12, "k_everything": 4, "l": 1, "n_groups": 3, "n_firms": 12}
    study = read_study(out / "params" / "small.yaml")
    assert study.did.cluster == "release_group" and study.data.extra["enterprises"]["release_group"]["en"]
    assert not public.load(study).frames["enterprises"]["release_group"].isna().any()
    assert not [p for p in out.rglob("*") if p.is_file() and b"F0" in p.read_bytes()]
    again = tmp_path / "again"
    public.public_files(road(small), empty(), again, random.Random(1))
    assert (out / "data/survey.csv").read_bytes() == (again / "data/survey.csv").read_bytes()
    sold = pd.read_csv(out / "data/survey.csv")["sales_kmxn"]
    assert (sold == anonymity.rounded(sold, 3)).all()
    assert record["linked_by_amounts"] <= 1 / 4 + 1e-9 and json.loads((out / "risk.json").read_text())["k"] == 4


def test_every_language_of_the_study_has_its_page(small, tmp_path):
    small.planned(report={"languages": ["es", "en"], "locales": {"es": "es_MX", "en": "en_US"}})
    public.public_files(road(small), empty(), tmp_path / "public", random.Random(1))
    spanish, english = ((tmp_path / "public" / name).read_text(encoding="utf-8") for name in ("risk.md", "risk.en.md"))
    assert spanish.startswith("# Riesgo") and english.startswith("# Disclosure risk")
    assert spanish.count("\n## ") == english.count("\n## ") >= 5 and "{" not in english + spanish


@pytest.mark.parametrize("table, column", [("survey", "sales_kmxn"), ("survey", "quality_seal"), ("enterprises", "elig_msme")])
def test_what_was_written_is_measured_again_and_nothing_is_left(small, tmp_path, monkeypatch, table, column):
    """One cell of one firm that differs, in any table, is a class of one."""
    made = public.anonymised

    def spoilt(*given):
        frames, record = made(*given)
        frames[table] = frames[table].astype({column: object})
        frames[table].loc[0, column] = 1
        return frames, record

    monkeypatch.setattr(public, "anonymised", spoilt)
    with pytest.raises(DataError, match="k 1 over all released columns"):
        public.public_files(road(small), empty(), tmp_path / "public", random.Random(1))
    assert not [p for p in tmp_path.iterdir() if "public" in p.name]


def test_l_is_measured_in_what_was_written(small, tmp_path):
    small.tables["enterprises"]["owner_gender"] = ["f"] * 4 + ["m"] * 8
    study = road(small.save(), sensitive=["owner_gender"], l=2)
    assert public.public_files(study, empty(), tmp_path / "two", random.Random(1))["measured"]["l"] == 2
    assert measured(tmp_path / "two" / "data", Privacy(quasi_identifiers=("arm",), sensitive=("owner_gender",)))["l"] == 1
    study = road(small, sensitive=["owner_gender"], l=3)
    with pytest.raises(DataError, match="needs firms"):
        public.public_files(study, empty(), tmp_path / "three", random.Random(1))
    assert not (tmp_path / "three").exists()


def test_a_log_frame_that_names_a_firm_is_refused(small, tmp_path):
    shipped = public.Path(averages.__file__).parents[1] / "logframes" / "jobtraining.yaml"
    (small.root / "params" / "own.yaml").write_text(
        shipped.read_text(encoding="utf-8") + "\n# agreed with F07-A\n", encoding="utf-8"
    )
    table = small.tables["enterprises"]
    old = dict(zip(table["firm_id"], table["firm_id"], strict=True)) | {"F07": "F07-A"}
    small.tables = {n: f.assign(firm_id=f["firm_id"].map(old)) for n, f in small.tables.items()}
    small.planned(logframe="params/own.yaml")
    with pytest.raises(DataError, match="logframe.yml"):
        public.public_files(road(small), empty(), tmp_path / "public", random.Random(1))
    assert not (tmp_path / "public").exists()


def test_numbers_of_ones_own_are_grouped_and_the_plan_is_not_locked(small, tmp_path):
    table = small.tables["enterprises"]
    table["exports_plan"], small.tables["survey"]["own_count"] = range(1, 13), 2.0
    small.planned(
        data={"extra": {"enterprises": {"exports_plan": {"en": "Plan"}}, "survey": {"own_count": {"en": "Own"}}}},
        queries={"duplicate_firm": "keep"},
    )
    public.public_files(road(small), empty(), tmp_path / "public", random.Random(1))
    plan = yaml.safe_load((tmp_path / "public/params/small.yaml").read_text(encoding="utf-8"))
    assert set(plan["data"]["extra"]["enterprises"]) == {"exports_plan", "release_group"} and "queries" not in plan
    firms = pd.read_csv(tmp_path / "public/data/enterprises.csv")
    assert firms.loc[firms["arm"] == "beneficiary", "exports_plan"].tolist() == [2.5] * 4
    assert set(pd.read_csv(tmp_path / "public/data/survey.csv")["own_count"]) == {2.0}


def test_an_outcome_without_its_table_is_refused_by_name(small):
    small.file(
        "product_sales.csv", "firm_id,ref_year,product_line,unit,market,quantity,value_kmxn\nF01,2003,shoes,pair,domestic,1,2\n"
    )
    small.planned(outcomes=[{"id": "ln_price", "measure": "price", "label": {"en": "Price"}}])
    study = road(small, withhold=["product_sales"])
    with pytest.raises(DataError, match="ln_price"):
        public.refuse_unmade(study, public.load(study))


def test_linkage_counts_ties_as_chance(small):
    study = road(small)
    original = public.load(study).frames
    same = {f: f for f in original["enterprises"]["firm_id"]}
    assert linkage(original, original, same, study) == 1.0 and disclosed(original, original, same, study) == 1.0
    flat = {**original, "survey": original["survey"].assign(sales_kmxn=5.0, workers_paid=1.0)}
    assert linkage(original, flat, same, study) == pytest.approx(1 / 12) and disclosed(original, flat, same, study) == 0.0


def test_expected_findings_are_one_a_class():
    found = exposure(firms("aaabbc", "xxxxxx"), ("municipality",))
    assert found["expected_found"] == pytest.approx(3) and found["share_unique"] == pytest.approx(1 / 6)
    assert found["firms_by_class"] == {"1": 1, "2-4": 5, "5-9": 0, "10-19": 0, "20+": 0} and found["smallest_class"] == 1
