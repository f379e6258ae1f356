"""Places in vertical chains, by hand: who is in them, who pays, who exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval.monitoring.anchors import COLUMNS, chain_roles

DATA = Path(__file__).resolve().parents[1] / "data" / "sample"

CLUSTERS = pd.DataFrame({"cluster_id": ["V1", "V2", "H"], "cluster_type": ["vertical", "vertical", "horizontal"]})
FIRMS = pd.DataFrame(
    {
        "cluster_id": ["V1", "V1", "V1", "V2", "V2", "H", None],
        "sector": ["shoes", "shoes", "shoes", "clay", "clay", "clay", "clay"],
        "role": ["anchor", "supplier", "supplier", "anchor", None, "member", "anchor"],
        "arm": ["nonparticipant", "beneficiary", "beneficiary", "beneficiary", "beneficiary", "beneficiary", "beneficiary"],
        "size_class": ["large", "small", "micro", "medium", "small", "small", "large"],
    },
    index=pd.Index([*"abcdefg"], name="firm_id"),
)
SERVICES = pd.DataFrame({"firm_id": [*"abbdf"], "firm_paid_usd": [600.0, 100, 100, 200, 999]})
SURVEY = pd.DataFrame(
    [("a", 2003, 5.0, 0), ("a", 2006, 6, 0), ("b", 2003, 0, 0), ("b", 2006, 0, 2), ("c", 2003, 0, 0), ("c", 2005, 0, 9),
     ("d", 2003, 0, 1), ("d", 2006, 0, 0), ("e", 2006, 1, 0)],
    columns=["firm_id", "ref_year", "export_direct_kmxn", "export_indirect_kmxn"],
).assign(response="complete")  # fmt: skip


def table(**changed) -> pd.DataFrame:
    given = {"clusters": CLUSTERS, "firms": FIRMS, "base_year": 2003, "services": SERVICES, "survey": SURVEY} | changed
    return chain_roles(**given).set_index(["sector", "role"])


def test_by_hand():
    """Chains paid 1,000: a 600, b 200, d 200. Of a, b, d with both years, a and d exported before, a and b do now."""
    found = table()
    assert list(found.index) == [
        ("clay", "anchor"), ("clay", "not_known"), ("shoes", "anchor"), ("shoes", "supplier"),
        ("all", "anchor"), ("all", "supplier"), ("all", "not_known"),
    ]  # fmt: skip
    anchors = found.loc[("all", "anchor")]
    assert anchors[["n_clusters", "n_firms", "n_beneficiaries", "n_large", "n_served"]].tolist() == [2, 2, 1, 1, 2]
    assert anchors[["paid_usd", "share", "n", "n_exporting_base", "n_exporting"]].tolist() == [800, 0.8, 2, 2, 1]
    assert [found.loc[(s, "anchor"), "n_large"] for s in ("shoes", "clay")] == [1, 0]
    suppliers = found.loc[("shoes", "supplier")]
    assert suppliers[["n_clusters", "n_firms", "n_served", "paid_usd", "share"]].tolist() == [1, 2, 1, 200, 0.25]
    assert suppliers[["n_beneficiaries", "n_large"]].tolist() == [2, 0]
    assert suppliers[["n", "n_exporting_base", "n_exporting"]].tolist() == [1, 0, 1]
    silent = found.loc[("all", "not_known")]
    assert silent["n_served"] == 0 and np.isnan(silent["paid_usd"]) and silent["n"] == 0
    assert found.loc["all", "share"].sum() == pytest.approx(1)


def test_without_a_table_nothing_is_made_up():
    found = table(services=None, survey=None).loc[("all", "anchor")]
    assert found["n_firms"] == 2 and found[list(COLUMNS[6:])].isna().all()
    only_base = table(survey=SURVEY.query("ref_year == 2003")).loc[("all", "anchor")]
    assert only_base[["n", "n_exporting_base", "n_exporting"]].isna().all() and only_base["share"] == 0.8
    refused = table(survey=SURVEY.assign(response="refusal")).loc[("all", "anchor")]
    assert refused[["n", "n_exporting"]].isna().all()


def test_no_chain_no_row():
    for changed in ({"clusters": CLUSTERS.iloc[2:]}, {"firms": FIRMS.iloc[:0]}, {"clusters": CLUSTERS[["cluster_id"]]}):
        found = chain_roles(**{"clusters": CLUSTERS, "firms": FIRMS, "base_year": 2003} | changed)
        assert list(found) == list(COLUMNS) and found.empty


def test_the_sample_has_its_anchors():
    read = {name: pd.read_csv(DATA / f"{name}.csv") for name in ("clusters", "enterprises", "services", "survey")}
    firms = read["enterprises"].drop_duplicates("firm_id").set_index("firm_id")
    found = chain_roles(read["clusters"], firms, 2003, read["services"], read["survey"]).set_index(["sector", "role"])
    vertical = firms[firms["cluster_type"] == "vertical"]
    assert found.loc["all", "n_firms"].to_dict() == vertical["role"].value_counts().to_dict()
    assert found.loc["all", "share"].sum() == pytest.approx(1)
    mixed = chain_roles(read["clusters"], firms.sample(frac=1, random_state=1), 2003, read["services"], read["survey"])
    pd.testing.assert_frame_equal(mixed.set_index(["sector", "role"]), found)
