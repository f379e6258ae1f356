"""Opinions, compliance and qualitative evidence: hand-computed examples, properties, and the shipped sample."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeval.data.intervals import wilson
from pipeval.data.load import load
from pipeval.data.measures import measures
from pipeval.errors import collected
from pipeval.monitoring.agreement import agreement, krippendorff_alpha
from pipeval.monitoring.compliance import compliance_change, compliance_path, compliance_rates, declared_states, inspected_states
from pipeval.monitoring.findings import findings_register, measures_followup, workshop_rows
from pipeval.monitoring.followup import followup_firms, opinion_followup, opinion_nonresponse
from pipeval.monitoring.interviews import evidence_register, statements, triangulation
from pipeval.monitoring.opinions import (
    opinion_flags,
    reasons,
    satisfaction_shares,
    satisfaction_table,
    score_counts,
    valid_scores,
)
from pipeval.monitoring.response_groups import (
    independence,
    mean_silhouette,
    opinion_effect,
    profiles,
    response_association,
    response_groups,
    response_map,
    response_types,
)
from pipeval.monitoring.rubrics import assessment_gaps, assessment_scores, rubric_agreement, rubric_overview, rubric_scores
from pipeval.monitoring.voices import present_wave, voices_tables
from pipeval.study.params import read_study
from pipeval.study.programme_specs import Opinions

ROOT = Path(__file__).resolve().parents[1]
RULES = Opinions(fewest=4, by=("branch", "size_class", "colour"))
NAN = float("nan")


def answers(scores, item="usefulness", component="2.1", activity="A1", wave="final", first=1) -> pd.DataFrame:
    """A row a score, from firms F1, F2, … in order."""
    n = len(scores)
    return pd.DataFrame(
        {
            "firm_id": [f"F{first + i}" for i in range(n)],
            "wave": wave,
            "component": component,
            "item": item,
            "score": np.asarray(scores, dtype=float),
            "activity_id": activity,
            "respondent_role": "owner",
            "answered_on": pd.to_datetime(["2006-09-10"] * n).astype("datetime64[s]"),
            "comment": pd.Series([None] * n, dtype="str"),
        }
    )


def served(firms, component="2.1", activity="A1", on="2005-01-01") -> pd.DataFrame:
    start = pd.to_datetime([on] * len(firms))
    return pd.DataFrame({"firm_id": list(firms), "component": component, "activity_id": activity, "start_on": start})


def kinds(n, branch="footwear") -> pd.DataFrame:
    index = pd.Index([f"F{i}" for i in range(1, n + 1)], name="firm_id")
    return pd.DataFrame({"arm": "beneficiary", "branch": branch, "size_class": "micro"}, index=index)


# intervals


def test_wilson_is_the_score_interval():
    low, high = wilson([0, 5, 3, 10], [10, 10, 0, 10])
    z2 = stats.norm.ppf(0.975) ** 2
    assert low[0] == 0 and high[0] == pytest.approx(z2 / (10 + z2), abs=1e-12)
    assert np.isnan(low[2]) and np.isnan(high[2]) and high[3] == 1
    found = stats.binomtest(5, 10).proportion_ci(0.95, "wilson")
    assert (low[1], high[1]) == pytest.approx((found.low, found.high), abs=1e-12)
    found = stats.binomtest(3, 7).proportion_ci(0.8, "wilson")
    assert tuple(map(float, wilson(3, 7, 0.8))) == pytest.approx((found.low, found.high), abs=1e-12)
    assert np.isnan(wilson(np.nan, 4)[0])


# agreement


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([0, 0, 7, 0, 0], 1.0),  # all alike
        ([4, 4, 4, 4, 4], 0.0),  # evenly spread
        ([5, 0, 0, 0, 5], -1.0),  # half at either end
        ([3, 3, 0, 0, 0], 0.75),  # two neighbours: 1 − (2 − 1) / (5 − 1)
        ([1, 1, 1, 0, 0], 0.5),
        ([1, 0, 1, 0, 0], (3 * 2 - 4 * 1) / (3 * 3) * 0.75),  # two triples are 1 1 0, one is 1 0 1
        ([2, 1, 0, 0, 0], 2 / 3 * 0.75 + 1 / 3 * 1),  # two layers: (1 1 0 0 0) holds two of three answers, (1 0 0 0 0) one
        ([30, 40, 210, 130, 530, 50, 10], 0.6113333333333333),  # the example with which the measure was published
    ],
)
def test_agreement_by_layers(counts, expected):
    assert agreement(counts) == pytest.approx(expected, abs=1e-12)
    assert agreement(counts[::-1]) == pytest.approx(expected, abs=1e-12)  # a scale read backwards
    assert agreement(3 * np.array(counts)) == pytest.approx(expected, abs=1e-12)


def test_agreement_is_undefined_without_answers_or_order():
    assert np.isnan(agreement([0, 0, 0, 0, 0])) and np.isnan(agreement([3, 4]))


def test_krippendorff_alpha_is_that_of_the_published_example():
    raters = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
    table = pd.DataFrame(raters).T
    assert krippendorff_alpha(table) == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(table.sample(frac=1, random_state=1)[[2, 0, 3, 1]]) == pytest.approx(
        krippendorff_alpha(table), abs=1e-12
    )
    assert krippendorff_alpha(np.exp(table)) == pytest.approx(krippendorff_alpha(table), abs=1e-12)  # only the order counts


def test_krippendorff_alpha_by_hand():
    # two raters, two things, 1–1 and 1–2: n = 4, n_1 = 3, n_2 = 1; o_12 = o_21 = 1, δ² = ((3 + 1) / 2)² = 4
    assert krippendorff_alpha(pd.DataFrame({"a": [1, 1], "b": [1, 2]})) == pytest.approx(1 - 3 * 2 * 4 / (2 * 3 * 4), abs=1e-12)
    assert krippendorff_alpha(pd.DataFrame({"a": [1, 2], "b": [2, 1]})) < 0
    for undefined in (pd.DataFrame(), pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [2, 2], "b": [2, 2]})):
        assert np.isnan(krippendorff_alpha(undefined))


# satisfaction


def test_satisfaction_by_hand():
    told = pd.concat([answers([1, 2, 4, 5, 5, 3]), answers([1, 1, 0, 1], "would_recommend"), answers([5, 4], "benefit_seen")])
    services = pd.concat(
        [
            served(["F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8"]),
            served(["F9"], activity="A2"),
            served(["F10"], on="2007-01-01"),  # after the wave
            served(["F11"], component="1"),
        ]
    )
    table = satisfaction_table(valid_scores(told), services, RULES).set_index("item")
    row = table.loc["usefulness"]
    scores = np.array([1, 2, 4, 5, 5, 3])
    assert (row["n_asked"], row["n_unserved"], row["n"], row["n_firms"]) == (8, 0, 6, 6)
    assert row["response_rate"] == pytest.approx(6 / 8)
    assert (row["mean"], row["sd"]) == pytest.approx((20 / 6, scores.std(ddof=1)), abs=1e-12)
    half = stats.t.ppf(0.975, 5) * scores.std(ddof=1) / np.sqrt(6)
    assert (row["mean_low"], row["mean_high"]) == pytest.approx((20 / 6 - half, 20 / 6 + half), abs=1e-12)
    assert (row["share"], row["share_bottom"]) == pytest.approx((3 / 6, 2 / 6))
    assert (row["share_low"], row["share_high"]) == pytest.approx(tuple(map(float, wilson(3, 6))))
    assert row["bimodal"] and row["agreement"] == pytest.approx(agreement([1, 1, 1, 1, 2]))
    assert table["step"].to_dict() == {"benefit_seen": "III", "usefulness": "II", "would_recommend": "II"}
    recommend = table.loc["would_recommend"]
    assert recommend["scale"] == "yes_no" and np.isnan(recommend["agreement"]) and not recommend["bimodal"]
    assert recommend["net_promoter"] == pytest.approx(3 / 4 - 1 / 4) and np.isnan(row["net_promoter"])
    assert (recommend["mean_low"], recommend["mean_high"]) == (recommend["share_low"], recommend["share_high"])


def test_recommendation_from_one_to_five_counts_promoters_less_detractors():
    table = satisfaction_table(valid_scores(answers([5, 5, 4, 3, 1], "would_recommend")), None, RULES)
    assert table["net_promoter"].item() == pytest.approx(2 / 5 - 2 / 5)
    table = satisfaction_table(valid_scores(answers([5, 5, 4, 4, 3], "would_recommend")), None, RULES)
    assert table["net_promoter"].item() == pytest.approx(1 / 5)


def test_who_was_asked():
    scores = valid_scores(answers([4, 4, 4]))
    component = pd.concat([served(["F1", "F2"]), served(["F3", "F4"], activity="A2")])
    row = satisfaction_table(scores, component, RULES).iloc[0]
    assert (row["n_asked"], row["response_rate"]) == (4, 3 / 4)  # F3 was not served in A1: the whole component
    row = satisfaction_table(scores, served(["F1"]), RULES).iloc[0]
    assert (row["n_asked"], row["n_unserved"], row["response_rate"]) == (1, 2, 1.0)  # never above one
    row = satisfaction_table(valid_scores(answers([4, 4], component="2")), served(["F1", "F2", "F3"]), RULES).iloc[0]
    assert row["n_asked"] == 3  # its subcomponents
    row = satisfaction_table(scores, None, RULES).iloc[0]
    assert np.isnan(row["n_asked"]) and np.isnan(row["response_rate"])
    row = satisfaction_table(scores, served(["F1"], component="3"), RULES).iloc[0]
    assert row["n_asked"] == 0 and np.isnan(row["response_rate"])


def test_scores_that_cannot_be_read_are_left_out():
    scores = valid_scores(answers([0, 3, NAN, 5]))
    assert scores["score"].tolist() == [3, 5]  # a zero is no score from 1 to 5
    assert valid_scores(answers([0, 1, NAN], "would_pay"))["score"].tolist() == [0, 1]
    assert score_counts(pd.Series([1.5, 4.4, NAN])).tolist() == [0, 1, 0, 1, 0]


def test_who_was_served_on_the_day_of_the_last_answer_was_asked():
    services = pd.concat([served(["F1", "F2"]), served(["F3"], on="2006-09-10"), served(["F4"], on="2006-09-11")])
    assert satisfaction_table(valid_scores(answers([4, 5])), services, RULES).loc[0, "n_asked"] == 3


def test_shares_of_scores():
    table = satisfaction_shares(valid_scores(pd.concat([answers([1, 1, 4, 5]), answers([1, 0], "would_pay")])))
    assert table["n"].tolist() == [2, 0, 0, 1, 1] and table["share"].sum() == pytest.approx(1)
    assert set(table["item"]) == {"usefulness"}


# where to ask again


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([4, 4, 4, 5], []),
        ([3, 3, 3, 3], []),  # a mean at the limit is not low
        ([3, 3, 3, 2], ["low"]),
        ([1, 1, 5, 5], ["split", "disagreement"]),
        ([1, 1, 1, 5], ["low", "split", "disagreement"]),
        ([2, 3, 4, 4], ["split"]),
        ([1, 1, 1], []),  # too few answers
    ],
)
def test_reasons_to_look_again(scores, expected):
    found = reasons(valid_scores(answers(scores)), RULES)
    assert [r for r, _, _ in found] == expected
    values = {r: v for r, v, _ in found}
    if "low" in values:
        assert values["low"] == pytest.approx(np.mean(scores))
    if "split" in values:
        assert values["split"] == pytest.approx(0.25 if scores != [1, 1, 5, 5] else 0.5)


def test_yes_or_no_is_low_at_the_same_place_of_its_scale():
    assert [r[0] for r in reasons(valid_scores(answers([0, 0, 0, 1], "would_pay")), RULES)] == ["low"]
    assert reasons(valid_scores(answers([0, 0, 1, 1], "would_pay")), RULES) == []  # half is the middle, as 3 is of 1 to 5


def test_flags_by_component_and_by_activity():
    told = pd.concat([answers([1, 1, 5, 5]), answers([5] * 12, component="2.2", first=5)])
    flags = opinion_flags(valid_scores(told), RULES)
    assert flags[["by", "component", "reason"]].fillna("-").to_numpy().tolist() == [
        ["component", "2.1", "split"],
        ["component", "2.1", "disagreement"],
    ]  # over both components the activity is neither
    told = pd.concat([answers([2, 2]), answers([2, 2], component="2.2", first=3)])  # too few in each component
    flags = opinion_flags(valid_scores(told), RULES)
    assert flags[["by", "activity_id", "reason", "n"]].to_numpy().tolist() == [["activity", "A1", "low", 4]]


def test_whom_to_interview():
    scores = valid_scores(answers([1, 2, 5, 4, 3, 1, 5, 5, 1, 5]))
    flags = opinion_flags(scores, RULES)
    flags = flags[flags["by"] == "component"]
    firms = followup_firms(scores, flags)
    assert firms[firms["side"] == "low"]["firm_id"].tolist() == ["F1", "F2", "F6", "F9"]
    assert firms[firms["side"] == "high"]["firm_id"].tolist() == ["F10", "F3", "F4", "F7", "F8"]  # F5 scored 3
    types = kinds(10).assign(branch=["leather"] * 5 + ["footwear"] * 5)
    table = opinion_followup(scores, flags, types, RULES.by)
    assert set(table["characteristic"]) == {"branch"}  # one size only, no colour
    low = table[table["side"] == "low"].iloc[0]
    assert (low["n_firms"], low["n"], low["share"]) == (4, 5, 2 / 5)
    high = table[table["side"] == "high"].iloc[0]
    assert (high["group"], high["n_firms"], high["share"]) == ("footwear", 5, 3 / 5)
    only_low = valid_scores(answers([2] * 8 + [4]))
    assert set(followup_firms(only_low, opinion_flags(only_low, RULES))["side"]) == {"low"}  # nobody is divided


def test_a_group_of_four_is_not_shown():
    scores = valid_scores(answers([1, 2, 5, 4, 3, 1, 5, 5, 1]))
    types = kinds(9).assign(branch=["leather"] * 5 + ["footwear"] * 4)
    assert opinion_followup(scores, opinion_flags(scores, RULES), types, RULES.by).empty


def test_non_response_by_kind():
    scores = valid_scores(answers([4, 4, 4]))
    types = kinds(6).assign(branch=["leather", "leather", "footwear", "footwear", "footwear", "footwear"])
    table = opinion_nonresponse(scores, served([f"F{i}" for i in range(1, 7)]), types, ("branch",)).set_index("group")
    assert table.loc["leather", ["n_asked", "n_responding", "response_rate"]].tolist() == [2, 2, 1.0]
    assert table.loc["footwear", ["share_responding", "share_silent"]].tolist() == pytest.approx([1 / 3, 1.0])
    expected = stats.chi2_contingency([[0, 2], [3, 1]], correction=False).pvalue
    assert table["p_value"].tolist() == pytest.approx([expected] * 2)
    everyone = opinion_nonresponse(scores, served(["F1", "F2", "F3"]), types, ("branch",))
    assert everyone["p_value"].isna().all() and everyone["share_silent"].isna().all()


# groups of responses


def two_items(first, second) -> pd.DataFrame:
    return valid_scores(pd.concat([answers(first), answers(second, "timeliness")]))


def test_items_that_half_of_the_firms_answered_tell_groups_apart():
    asked = [1, 1, 1, 2, 5, 5, 5, 4, 1, 1, 2, 1, 5, 5, 4, 5]
    half = pd.concat([answers(asked), answers([1, 1, 2, 1, 5, 5, 4, 5], "timeliness")])
    assert len(profiles(valid_scores(half), RULES)) == 8  # the firms with both items
    fewer = pd.concat([answers(asked), answers([1, 1, 2, 1, 5, 5, 4], "timeliness")])
    assert len(profiles(valid_scores(fewer), RULES)) == len(asked)


def test_firms_with_similar_evaluations():
    scores = two_items([1, 1, 1, 2, 5, 5, 5, 4], [1, 1, 2, 1, 5, 5, 4, 5])
    found = profiles(scores, RULES)
    assert found.set_index("firm_id")["profile"].to_dict() == {f"F{i}": "low" if i < 5 else "high" for i in range(1, 9)}
    shuffled = profiles(scores.sample(frac=1, random_state=3), RULES)
    pd.testing.assert_frame_equal(
        found.sort_values("firm_id", ignore_index=True), shuffled.sort_values("firm_id", ignore_index=True)
    )
    table = response_groups(scores, found).set_index(["profile", "item"])
    assert table.loc[("low", "all"), ["n_firms", "mean"]].tolist() == pytest.approx([4, 10 / 8])
    assert table.loc[("high", "timeliness"), "mean"] == pytest.approx(19 / 4)
    assert table.index[0][0] == "low"


def test_three_groups_are_named_in_order():
    found = profiles(two_items([5, 5, 5, 1, 1, 1, 3, 3, 3], [5, 5, 5, 1, 1, 1, 3, 3, 3]), RULES)
    assert found.set_index("firm_id")["profile"].loc[["F1", "F4", "F7"]].tolist() == ["high", "low", "middle"]
    assert found["silhouette"].unique() == pytest.approx([1.0])


def test_no_groups_without_firms_or_differences():
    assert profiles(two_items([5] * 7, [1] * 7), RULES).empty  # fewer than twice the fewest
    assert profiles(two_items([5] * 9, [1] * 9), RULES).empty  # one answer for all


def test_silhouette_by_hand():
    distance = np.abs(np.subtract.outer([0.0, 1.0, 5.0], [0.0, 1.0, 5.0]))
    # first: a = 1, b = 5; second: a = 1, b = 4; third alone: 0
    assert mean_silhouette(distance, np.array([1, 1, 2])) == pytest.approx((4 / 5 + 3 / 4 + 0) / 3, abs=1e-12)


def test_which_firms_are_in_a_group():
    scores = two_items([1, 1, 1, 2, 5, 5, 5, 4], [1, 1, 2, 1, 5, 5, 4, 5])
    types = kinds(8).assign(branch=["leather"] * 4 + ["footwear"] * 4, size_class=["micro", "small"] * 4)
    table = response_types(profiles(scores, RULES), types, RULES.by)
    branch = table[table["characteristic"] == "branch"]
    assert branch["test"].unique() == ["fisher"] and branch["p_value"].iloc[0] == pytest.approx(2 / 70)
    assert branch["p_holm"].iloc[0] == pytest.approx(4 / 70)  # two characteristics
    assert branch["share"].isna().all() and branch["n_firms"].unique() == [4]  # kinds of four firms are not shown
    assert table[table["characteristic"] == "size_class"]["p_value"].iloc[0] == pytest.approx(1.0)


def test_independence_picks_its_test():
    assert independence(np.array([[10, 20, 30], [30, 20, 10]]))[0] == "chi2"
    name, p_value = independence(np.array([[6, 0, 0], [0, 6, 0], [0, 0, 6]]))
    assert name == "permutation" and p_value < 0.001
    assert independence(np.array([[6, 0, 0], [0, 6, 0], [0, 0, 6]]))[1] == p_value  # seeded
    assert independence(np.array([[2, 1, 1], [2, 1, 1]]))[1] == 1.0
    assert independence(np.array([[3, 4]]))[0] == "none"
    assert independence(np.array([[3, 4], [0, 0]]))[0] == "none"  # an empty row is no row


def test_association_of_score_and_kind():
    scores = valid_scores(answers([1, 2, 1, 2, 5, 4, 5, 4, 3]))
    types = kinds(9).assign(branch=["leather"] * 4 + ["footwear"] * 4 + ["garment"])
    row = response_association(scores, types, RULES).set_index("characteristic").loc["branch"]
    expected = stats.kruskal([1, 2, 1, 2], [5, 4, 5, 4])
    assert (row["n"], row["n_groups"]) == (8, 2)  # one garment firm is too few
    assert (row["statistic"], row["p_value"]) == pytest.approx(tuple(expected))
    assert row["p_holm"] == pytest.approx(row["p_value"])  # size has one kind: no second test
    alike = response_association(valid_scores(answers([3] * 8)), types, RULES)
    assert alike["p_value"].isna().all()


def test_map_of_responses():
    scores = valid_scores(answers([1, 1, 5, 5, 4, 4, 4, 4, 2]))
    types = kinds(9).assign(branch=["leather"] * 4 + ["footwear"] * 4 + ["garment"])
    table = response_map(scores, types, RULES)
    branch = table[(table["by"] == "component") & (table["characteristic"] == "branch")].set_index("group")
    assert branch["reason"].to_dict() == {"footwear": "none", "garment": "few", "leather": "divided"}
    assert branch.loc["leather", "mean"] == 3 and np.isnan(branch.loc["garment", "mean"])
    everyone = table[table["characteristic"] == "all"]
    assert everyone["by"].tolist() == ["component", "activity"] and everyone["n"].tolist() == [9, 9]
    worse = response_map(valid_scores(answers([1, 1, 1, 5])), kinds(4), RULES)
    assert set(worse["reason"]) == {"low_divided"}
    assert set(response_map(valid_scores(answers([2, 2, 2, 3])), kinds(4), RULES)["reason"]) == {"low"}


def test_opinion_beside_the_measured_change():
    scores = valid_scores(pd.concat([answers([5, 4, 4, 3, 2]), answers([2], component="1")]))  # F1 on average 3.5
    change = pd.Series({"F1": 0.1, "F2": 0.3, "F3": 0.2, "F4": 0.0, "F9": 9.0})  # F5 was not seen
    row = opinion_effect(scores, change).iloc[0]
    assert (row["item"], row["n_yes"], row["n_no"], row["basis"]) == ("usefulness", 2, 2, "association")
    assert (row["mean_yes"], row["mean_no"], row["difference"]) == pytest.approx((0.25, 0.05, 0.2))
    half = stats.t.ppf(0.975, 2) * np.sqrt(2 * 0.005 / 2)  # equal variances and sizes: Welch's freedom is 2
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((0.2 - half, 0.2 + half))
    seen = opinion_effect(valid_scores(pd.concat([answers([1, 0], "benefit_seen"), answers([1, 5])])), change).iloc[0]
    assert (seen["item"], seen["mean_yes"], seen["n_no"]) == ("benefit_seen", 0.1, 1) and np.isnan(seen["difference"])


# compliance


def inspections() -> pd.DataFrame:
    rows = [
        ("F1", "2004-03-01", "env", 0, 1),
        ("F1", "2004-09-01", "env", 1, NAN),
        ("F1", "2006-11-01", "env", 1, NAN),
        ("F2", "2004-03-01", "env", 1, NAN),
        ("F2", "2005-05-01", "env", 1, NAN),
        ("F2", "2006-11-01", "env", 0, NAN),
        ("F3", "2006-11-01", "env", 1, NAN),  # never inspected at the start
        ("F1", "2004-03-01", "osh", 1, NAN),
        ("F1", "2006-11-01", "osh", 1, NAN),
    ]
    table = pd.DataFrame(rows, columns=["firm_id", "on", "norm", "compliant", "plan_provided"])
    return table.assign(on=pd.to_datetime(table["on"]))


def test_states_at_the_start_and_now():
    states = inspected_states(inspections(), 2003).set_index(["norm", "firm_id"])
    ends = states[["compliant_base", "compliant_now", "planned"]].fillna(-1)
    assert ends.loc[("env", "F1")].tolist() == [0, 1, 1]  # the first inspection of the start, the last of all
    assert ends.loc[("env", "F2")].tolist() == [1, 0, -1]
    assert ends.loc[("env", "F3")].tolist() == [-1, 1, -1]
    assert ends.loc[("both", "F1")].tolist() == [0, 1, -1] and ("both", "F2") not in ends.index


def test_rates_and_their_change():
    states = inspected_states(inspections(), 2003)
    rates = compliance_rates(states, kinds(3), ("branch", "colour")).set_index(["norm", "by", "moment"])
    row = rates.loc[("env", "all", "base")]
    assert (row["n"], row["share"], row["n_planned"]) == (2, 0.5, 1)
    assert (row["share_low"], row["share_high"]) == pytest.approx(tuple(map(float, wilson(1, 2))))
    assert rates.loc[("env", "branch", "now"), ["n", "share"]].tolist() == pytest.approx([3, 2 / 3])
    assert np.isnan(rates.loc[("env", "all", "now"), "n_planned"])


def paired(gained, lost, kept, never) -> pd.DataFrame:
    ends = [(0, 1)] * gained + [(1, 0)] * lost + [(1, 1)] * kept + [(0, 0)] * never
    table = pd.DataFrame(ends, columns=["compliant_base", "compliant_now"], dtype=float)
    return table.assign(source="survey", norm="env", firm_id=[f"F{i + 1}" for i in range(len(ends))], planned=NAN)


def test_change_is_tested_by_mcnemar():
    row = compliance_change(paired(8, 2, 10, 5), kinds(25), ()).iloc[0]
    assert (row["n"], row["n_gained"], row["n_lost"]) == (25, 8, 2)
    assert (row["share_base"], row["share_now"], row["difference"]) == pytest.approx((12 / 25, 18 / 25, 6 / 25))
    assert row["p_value"] == pytest.approx(2 * sum(stats.binom.pmf(k, 10, 0.5) for k in range(3)))
    b, c, n = 8.5, 2.5, 27.0
    half = stats.norm.ppf(0.975) * np.sqrt((b + c) - (b - c) ** 2 / n) / n
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(((b - c) / n - half, (b - c) / n + half))
    still = compliance_change(paired(0, 0, 3, 2), kinds(5), ()).iloc[0]
    assert np.isnan(still["p_value"]) and still["difference"] == 0


def test_declared_compliance_needs_both_norms():
    survey = pd.DataFrame(
        {
            "firm_id": ["F1", "F1", "F2", "F2"],
            "ref_year": [2003, 2006, 2003, 2006],
            "env_compliant": [0.0, 1.0, 1.0, NAN],
            "osh_compliant": [1.0, 1.0, 1.0, 1.0],
        }
    )
    states = declared_states(survey, 2003, 2006).set_index(["norm", "firm_id"])
    assert states.loc[("both", "F1"), ["compliant_base", "compliant_now"]].tolist() == [0, 1]
    assert states.loc[("both", "F2"), "compliant_base"] == 1 and np.isnan(states.loc[("both", "F2"), "compliant_now"])


def test_path_by_quarter_takes_the_last_inspection_of_a_firm():
    path = compliance_path(inspections(), kinds(3)).set_index(["norm", "quarter"])
    assert path.loc[("env", "2004Q1"), ["n", "share"]].tolist() == [2, 0.5]
    assert path.loc[("env", "2006Q4"), "share"] == pytest.approx(2 / 3)
    twice = pd.concat([inspections(), inspections().iloc[[0]].assign(on=pd.Timestamp("2004-03-20"), compliant=1.0)])
    assert compliance_path(twice, kinds(3)).set_index(["norm", "quarter"]).loc[("env", "2004Q1"), "share"] == 1


# ratings


def ratings() -> pd.DataFrame:
    rows = [
        *(("a", r, s, "2005-02-01") for r, s in (("R1", 1), ("R2", 2))),
        *(("a", r, s, d) for r, s, d in (("R1", 3, "2006-10-01"), ("R2", 4, "2006-10-20"), ("R3", 4, "2006-10-01"))),
        *(("b", r, 2, "2006-10-01") for r in ("R1", "R2")),
    ]
    table = pd.DataFrame(rows, columns=["criterion", "rater", "score", "rated_on"])
    words = {"rubric": "capacity", "subject": "agency", "criterion_es": "uno", "criterion_en": "one", "evidence_ref": None}
    return table.assign(**words, rated_on=pd.to_datetime(table["rated_on"]), score=table["score"].astype(float))


def test_scores_of_the_first_and_last_round():
    table = rubric_scores(ratings()).set_index("criterion")
    a = table.loc["a"]
    assert (a["n_raters"], a["median"], a["lowest"], a["highest"]) == (3, 4, 3, 4)
    assert (a["mean_first"], a["mean_last"], a["score_change"]) == pytest.approx((1.5, 11 / 3, 11 / 3 - 1.5))
    assert (str(a["first"].date()), str(a["last"].date()), a["evidenced"]) == ("2005-02-01", "2006-10-20", 0)
    assert np.isnan(table.loc["b", "mean_first"]) and table.loc["b", "mean_last"] == 2
    overview = rubric_overview(rubric_scores(ratings())).iloc[0]
    assert (overview["n_criteria"], overview["n_improved"], overview["n_worsened"]) == (2, 1, 0)
    assert overview["mean_last"] == pytest.approx(11 / 3)  # over the criterion that was rated both times


def test_ratings_sixty_days_apart_are_one_round():
    table = ratings().iloc[:2].assign(rater="R1")
    for later, n in (("2005-04-02", 1), ("2005-04-03", 2)):
        assert len(rubric_agreement(table.assign(rated_on=pd.to_datetime(["2005-02-01", later])))) == n


def test_agreement_of_raters_by_round():
    table = rubric_agreement(ratings())
    assert table["n_items"].tolist() == [1, 2] and table["n"].tolist() == [2, 5] and table["n_raters"].tolist() == [2, 3]
    expected = krippendorff_alpha(pd.DataFrame({"R1": [3, 2], "R2": [4, 2], "R3": [4, NAN]}))
    assert table["alpha"].iloc[1] == pytest.approx(expected)
    same = pd.concat([ratings().iloc[5:], ratings().iloc[5:].assign(criterion="c", score=4.0)])
    assert rubric_agreement(same)["result"].tolist() == ["pass"]
    assert rubric_agreement(ratings().iloc[5:])["result"].tolist() == ["not_testable"]


def assessed() -> pd.DataFrame:
    rows = []
    for firm, expert, own, goal in (("F1", (1, 3), (2, 3), 3), ("F2", (2, 3), (3, 3), 4), ("F3", (4, None), (4, None), 5)):
        for on, k in (("2004-01-10", 0), ("2006-10-10", 1)):
            if expert[k] is not None:
                rows += [(firm, on, "quality", "expert", expert[k], NAN), (firm, on, "quality", "firm", own[k], goal + k)]
    table = pd.DataFrame(rows, columns=["firm_id", "on", "factor", "assessor", "score", "goal"])
    return table.assign(on=pd.to_datetime(table["on"]), score=table["score"].astype(float))


def test_factors_of_competitiveness():
    table = assessment_scores(assessed(), kinds(3)).set_index("assessor")
    expert = table.loc["expert"]
    assert (expert["n"], expert["mean_first"], expert["mean_last"], expert["score_change"]) == (2, 1.5, 3, 1.5)
    half = stats.t.ppf(0.975, 1) * np.std([2, 1], ddof=1) / np.sqrt(2)
    assert (expert["score_change_low"], expert["score_change_high"]) == pytest.approx((1.5 - half, 1.5 + half))
    assert (expert["n_goal"], expert["goal"], expert["share"]) == (2, 3.5, 0.5)  # the goal set first, by the firm
    assert table.loc["firm", "score_change"] == 0.5
    gaps = assessment_gaps(assessed(), kinds(3)).set_index("moment")
    assert gaps["n"].to_dict() == {"base": 3, "now": 2}
    assert gaps["gap"].to_dict() == pytest.approx({"base": -2 / 3, "now": 0})


# interviews


def interviews() -> pd.DataFrame:
    rows = [
        ("V1", "P1", "firm", "supports"), ("V2", "P1", "firm", "supports"), ("V3", "P1", "agency", "mixed"),
        ("V1", "P2", "firm", "contradicts"), ("V2", "P2", "firm", "contradicts"), ("V3", "P2", "agency", "contradicts"),
        ("V1", "P3", "firm", "supports"), ("V2", "P3", "firm", "supports"), ("V3", "P3", "agency", "contradicts"),
        ("V1", "P4", "firm", "supports"), ("V2", "P4", "firm", "supports"),
        ("V1", "P5", "firm", "supports"), ("V2", "P5", "firm", "mixed"), ("V3", "P5", "firm", "mixed"),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["interview_id", "indicator_id", "kind", "stance"])
    words = {"firm_id": "F1", "on": pd.Timestamp("2006-10-01"), "statement_es": "sí", "statement_en": "yes"}
    return table.assign(**words)


def test_triangulation_of_interviews():
    table = triangulation(interviews()).set_index("id")
    assert table["triangulation"].to_dict() == {
        "P1": "agree_supports",
        "P2": "agree_contradicts",
        "P3": "mixed",
        "P4": "too_few",
        "P5": "mixed",
    }
    assert table.loc["P1", ["n", "n_kinds", "supports", "mixed", "contradicts"]].tolist() == [3, 2, 2, 1, 0]
    register = evidence_register(interviews()).set_index(["id", "kind"])
    assert register.loc[("P3", "firm")].tolist() == [2, 0, 0, 2]
    doubled = pd.concat([interviews(), interviews()])
    assert triangulation(doubled).set_index("id").loc["P4", "triangulation"] == "too_few"  # interviews, not rows


def test_statements_name_nobody():
    table = statements(interviews().assign(statement_en=[None, *["yes"] * 13], statement_es=[None, *["sí"] * 13]))
    assert list(table.columns) == ["id", "kind", "stance", "statement_es", "statement_en"] and len(table) == 13
    assert table[table["id"] == "P3"]["stance"].tolist() == ["supports", "supports", "contradicts"]


# findings


def found() -> pd.DataFrame:
    rows = [
        ("N1", "midterm", 2, "2005-06-30", "closed", "do", None),
        ("N2", "midterm", 3, "2005-09-30", "open", None, "act"),
        ("N3", "final", 1, "2007-06-30", "open", "do", None),
        ("N4", "final", 3, "2006-12-31", "closed", "do", None),
    ]
    table = pd.DataFrame(rows, columns=["finding_id", "stage", "severity", "due_on", "status", "measure_es", "measure"])
    rest = {"area": "a", "statement_es": "x", "statement_en": "x", "evidence_ref": "r", "owner": "o", "measure_en": "do"}
    return table.assign(**rest, due_on=pd.to_datetime(table["due_on"]))


def test_register_of_findings():
    final = findings_register(found(), date(2007, 3, 31), "final")
    assert final[["finding_id", "status"]].to_numpy().tolist() == [
        ["N2", "overdue"],
        ["N4", "closed"],
        ["N1", "closed"],
        ["N3", "open"],
    ]
    assert final["action_es"].tolist() == ["act", "do", "do", "do"]
    early = findings_register(found(), date(2005, 3, 31), "midterm")
    assert early["finding_id"].tolist() == ["N2", "N1"]
    assert early["status"].tolist() == ["open", "open"]  # its date is still to come: nobody can know that it was closed


def test_measures_of_the_midterm_at_the_final():
    table = measures_followup(findings_register(found(), date(2007, 3, 31), "final"), "final")
    assert table[["stage", "severity", "n", "n_closed", "n_overdue", "n_open"]].to_numpy().tolist() == [
        ["midterm", "all", 2, 1, 1, 0],
        ["midterm", "3", 1, 0, 1, 0],
        ["midterm", "2", 1, 1, 0, 0],
    ]
    assert (table["share_low"].iloc[0], table["share_high"].iloc[0]) == pytest.approx(tuple(map(float, wilson(1, 2))))
    assert measures_followup(findings_register(found(), date(2005, 3, 31), "midterm"), "midterm").empty


@pytest.mark.parametrize(
    ("attainment", "evidence", "said", "expected"),
    [
        ("not_measurable", "not_assessed", "agree_supports", "no_data"),
        ("not_yet_due", "demonstrated", "mixed", "on_track"),
        ("met", "demonstrated", "agree_contradicts", "disagreement"),
        ("not_met", "inconclusive", "agree_supports", "disagreement"),
        ("met", "adverse", "agree_supports", "disagreement"),
        ("not_met", "inconclusive", "mixed", "why_missed"),
        ("met", "demonstrated", "mixed", "why_divided"),
        ("met", "inconclusive", "agree_supports", "other_causes"),
        ("met", "demonstrated", "too_few", "hear_more"),
        ("met", "not_assessed", None, "hear_more"),
        ("met", "demonstrated", "agree_supports", "keep_up"),
    ],
)
def test_question_for_the_workshop(attainment, evidence, said, expected):
    verdicts = pd.DataFrame({"id": ["P1"], "component": ["2"], "attainment": [attainment], "evidence": [evidence]})
    heard = None if said is None else pd.DataFrame({"id": ["P1"], "n": [4], "triangulation": [said]})
    row = workshop_rows(verdicts, heard).iloc[0]
    assert row["question"] == expected and row["triangulation"] == (said or "not_asked")


def test_flags_reach_the_indicators_of_their_component():
    flags = opinion_flags(valid_scores(pd.concat([answers([1, 1, 5, 5]), answers([2, 2, 2, 2], "quality")])), RULES)
    verdicts = pd.DataFrame(
        {"id": ["A", "B", "C"], "component": ["2", "2.1", "1"], "attainment": "met", "evidence": "demonstrated"}
    )
    table = workshop_rows(verdicts, None, flags)
    assert table["n_flags"].tolist() == [2, 2, 0] and table["question"].tolist() == ["why_divided", "why_divided", "hear_more"]
    assert workshop_rows(verdicts[["id", "attainment", "evidence"]], None, flags)["n_flags"].tolist() == [0, 0, 0]


# all of it


@pytest.fixture(scope="module")
def sample():
    with collected():
        study = read_study(ROOT / "params" / "guanajuato_final.yaml")
        tables = load(study)
        return tables, measures(tables, study), study


@pytest.fixture(scope="module")
def voices(sample):
    tables, measured, study = sample
    return voices_tables(tables, measured, tables["enterprises"].set_index("firm_id"), study)


def test_the_sample_divides_over_the_environment(voices):
    flags = voices["opinion_flags"]
    assert set(flags["wave"]) == {"final"}
    assert set(flags.loc[flags["reason"] == "split", "item"]) == {"environment"}
    assert {"2.1", "2.2"} == set(flags.loc[flags["by"] == "component", "component"])
    assert set(flags.loc[flags["by"] == "activity", "activity_id"]) == {"A010"}
    firms = voices["followup_firms"]
    asked = voices["opinion_followup"].drop_duplicates(["by", "component", "activity_id", "item", "side"])
    assert asked["n_firms"].sum() == len(firms.drop_duplicates(["by", "component", "activity_id", "item", "side", "firm_id"]))


def test_few_firms_are_not_told_what_they_say_or_break(sample):
    tables, _, study = sample
    few = set(tables["satisfaction"]["firm_id"].unique()[:4])
    left = {n: tables[n][tables[n]["firm_id"].isin(few)] for n in ("satisfaction", "compliance")}
    firms = tables["enterprises"].set_index("firm_id")
    found = voices_tables(dict(tables.frames) | left, None, firms, study)
    assert found["satisfaction"]["mean"].isna().all() and (found["satisfaction"]["n"] > 0).all()
    assert "satisfaction_shares" not in found
    inspected = found["compliance"][found["compliance"]["source"] == "inspection"]
    assert len(inspected) and inspected[["share", "share_low", "n_planned"]].isna().all(axis=None)
    assert found["compliance_change"].query("source == 'inspection'")["n_gained"].isna().all()


def test_what_must_hold_of_the_sample(voices):
    satisfaction = voices["satisfaction"]
    assert set(satisfaction["wave"]) == {"midterm", "final"}
    assert satisfaction["response_rate"].between(0, 1).all()
    for name, table in voices.items():
        assert len(table), name
        if {"share", "share_low", "share_high"} <= set(table):
            known = table.dropna(subset=["share"])
            assert ((known["share_low"] <= known["share"] + 1e-12) & (known["share"] <= known["share_high"] + 1e-12)).all(), name
        if name != "followup_firms":
            assert "firm_id" not in table and "interview_id" not in table and "person_key" not in table, name
    change = voices["compliance_change"]
    np.testing.assert_allclose(
        (change["n_gained"] - change["n_lost"]) / change["n"], change["share_now"] - change["share_base"], atol=1e-12
    )
    shares = voices["satisfaction_shares"].groupby(["component", "item"])["share"].sum()
    np.testing.assert_allclose(shares, 1, atol=1e-12)


def test_a_midterm_reads_nothing_of_the_final(sample):
    tables, _, study = sample
    early = study.model_copy(update={"stage": "midterm", "as_of": date(2005, 3, 31)})
    few = {name: tables[name] for name in ("enterprises", "satisfaction", "findings")}
    few["survey"] = tables["survey"].iloc[:0]
    found = voices_tables(few, None, tables["enterprises"].set_index("firm_id"), early)
    assert set(found["satisfaction"]["wave"]) == {"midterm"} and set(found["opinion_flags"]["wave"]) == {"midterm"}
    assert set(found["findings_register"]["stage"]) == {"midterm"} and "measures_followup" not in found
    assert "opinion_effect" not in found
    first = early.model_copy(update={"stage": "baseline"})
    assert voices_tables(few, None, tables["enterprises"].set_index("firm_id"), first) == {}  # opinions and findings come later


def test_the_wave_of_an_ex_post_study_is_the_latest():
    told = pd.concat([answers([4], wave="midterm").assign(answered_on=pd.Timestamp("2004-11-10")), answers([4], wave="final")])
    assert present_wave(told, "expost") == "final" and present_wave(told, "midterm") == "midterm"
    assert present_wave(told[::-1], "expost") == "final"


def test_what_is_missing_is_left_out(sample):
    tables, measured, study = sample
    firms = tables["enterprises"].set_index("firm_id")
    empty = {name: frame.iloc[:0] for name, frame in tables.frames.items()}
    assert voices_tables(empty, measured, firms.iloc[:0], study) == {}
    bare = {"enterprises": tables["enterprises"], "survey": tables["survey"].drop(columns=["env_compliant"])}
    assert voices_tables(bare, measured, firms, study) == {}
    alone = voices_tables(bare | {"satisfaction": tables["satisfaction"]}, None, firms, study)
    assert "opinion_nonresponse" not in alone and alone["satisfaction"]["n_asked"].isna().all()
    one = tables["satisfaction"].iloc[:1]
    lone = voices_tables(bare | {"satisfaction": one, "services": tables["services"]}, measured, firms, study)
    assert lone["satisfaction"]["sd"].isna().all() and "opinion_flags" not in lone


def test_neither_order_nor_names_of_firms_matter(sample):
    tables, _, study = sample
    firms = tables["enterprises"].set_index("firm_id")
    told, survey = tables["satisfaction"], tables["survey"].iloc[:400]
    usual = {"enterprises": tables["enterprises"], "survey": survey, "satisfaction": told[told["component"] == "2.1"]}
    renamed = {name: f.assign(firm_id="Z" + f["firm_id"].str[::-1]).sample(frac=1, random_state=5) for name, f in usual.items()}
    one, other = (voices_tables(t, None, firms, study) for t in (usual, renamed))
    for name in set(one) - {"followup_firms"}:
        pd.testing.assert_frame_equal(one[name], other[name], check_dtype=False, obj=name)
