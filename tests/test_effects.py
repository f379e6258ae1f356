"""Effects: the covariance of rows, some rows alone, and several effects joined with their clusters."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from pipeval.did.effects import Effects, effects_from, joined
from pipeval.did.inference import joint_covariance, pretrend_test
from pipeval.did.subgroups import equality_test
from pipeval.errors import DesignError, Note, PipevalWarning, collected

EXACT = 1e-12


def made(firms, rows: int = 2, clusters=None, seed: int = 0, level: float = 0.95, out: int = 0, notes=()) -> Effects:
    """`rows` estimates over these firms, a third of them treated; the first `out` firms are not in the first row."""
    rng = np.random.default_rng(seed)
    firm_id = pd.Index(firms, name="firm_id")
    n = len(firm_id)
    inside = np.ones((n, rows), bool)
    inside[:out, 0] = False
    treated = (np.arange(n) % 3 == 0)[:, None] & inside
    influence = rng.normal(size=(n, rows)) * inside / n
    arrays = influence, treated / treated.sum(axis=0), inside & ~treated
    with collected():
        return effects_from(pd.DataFrame({"term": range(rows)}), rng.normal(size=rows), arrays, firm_id, clusters, level, notes)


def quietly(call, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return call(*args, **options)


# ---------------------------------------------------------------- covariance, only


def test_covariance_by_hand():
    effects = made(range(12), clusters=pd.Series(np.arange(12) // 2, range(12)), out=2)  # the first row lacks one of six clusters
    sums = effects.influence.reshape(6, 2, 2).sum(axis=1)
    root = np.sqrt([5 / 4, 6 / 5])
    wanted = np.array([[sum(s[i] * s[j] for s in sums) * root[i] * root[j] for j in (0, 1)] for i in (0, 1)])
    found, groups = effects.covariance(np.array([0, 1]))
    np.testing.assert_allclose(found, wanted, atol=EXACT)
    np.testing.assert_allclose(np.sqrt(np.diag(found)), effects.table["std_error"], atol=EXACT)
    assert groups == 6 and effects.table["n_clusters"].tolist() == [5, 6]
    turned, _ = effects.covariance(np.array([1, 0]))
    np.testing.assert_allclose(turned, wanted[::-1, ::-1], atol=EXACT)
    assert effects.covariance(np.array([0]))[1] == 5


def test_covariance_two_ways_is_the_sum_of_three():
    ways = pd.DataFrame({"one": np.arange(60) // 3, "two": np.arange(60) % 12}, index=range(60))
    effects = made(range(60), 3, ways)
    one, two = (quietly(effects.clustered, ways[c]).covariance(np.arange(3))[0] for c in ways)
    both = quietly(effects.clustered, ways["one"] * 100 + ways["two"]).covariance(np.arange(3))[0]
    found, groups = effects.covariance(np.arange(3))
    np.testing.assert_allclose(found, one + two - both, atol=EXACT)
    np.testing.assert_allclose(np.sqrt(np.diag(found)), effects.table["std_error"], atol=EXACT)
    assert groups == 12


def test_rows_alone_are_those_rows():
    effects = made(range(12), 3, notes=(Note("kept", "kept"),))
    some = effects.only(np.array([2, 0]))
    pd.testing.assert_frame_equal(some.table, effects.table.iloc[[2, 0]].reset_index(drop=True))
    for name in ("influence", "treated_weight", "control"):
        np.testing.assert_array_equal(getattr(some, name), getattr(effects, name)[:, [2, 0]])
    assert some.notes == effects.notes and some.firm_id is effects.firm_id and some.level == effects.level
    pd.testing.assert_frame_equal(quietly(some.clustered, None).table, some.table)
    np.testing.assert_allclose(some.covariance(np.arange(2))[0], effects.covariance(np.array([2, 0]))[0], atol=EXACT)


def test_joint_tests_take_the_degrees_of_freedom_of_the_table():
    """Ten treated clusters beside controls that stand alone: t(9) for a row, F(·, 9) for rows together; firms: all that enter."""
    labels = pd.Series(np.arange(90) // 9, range(90)).where(np.arange(90) % 3 == 0)
    firms = made(range(90), 3)
    own = quietly(firms.clustered, labels)
    rows = np.arange(3)
    assert (own.table["df"] == 9).all() and joint_covariance(own, rows)[1] == 9
    assert own.covariance(rows)[1] - 1 == 69
    assert joint_covariance(firms, rows)[1] == firms.covariance(rows)[1] - 1 == 89
    assert equality_test(own)["df2"] == 9 and equality_test(firms)["df2"] == 89
    study = Effects(own.table.assign(phase="pre", span=[-3, -2, -1]), *_arrays(own), own.firm_id, own.clusters)
    assert pretrend_test(study)["df2"] == 9


def _arrays(effects: Effects) -> tuple[np.ndarray, ...]:
    return effects.influence, effects.treated_weight, effects.control


@pytest.mark.parametrize("power", [0.05, 1.0, 0.01])
def test_a_power_out_of_range_is_said(power):
    effects = made(range(30), 1)
    study = Effects(effects.table.assign(phase="pre", span=-2), *_arrays(effects), effects.firm_id)
    with pytest.raises(DesignError, match=r"between the size of the test, 0\.05, and 1"):
        pretrend_test(study, power=power)
    assert pretrend_test(study, power=0.9999)["detectable"] > pretrend_test(study, power=0.0501)["detectable"] > 0


# ---------------------------------------------------------------- joined


def test_joined_rows_over_the_firms_of_all():
    a, b = made(range(9)), made(range(4, 16), 1, seed=1, notes=(Note("b", "of b"),))
    both = joined({"a": a, "b": b}, "outcome")
    assert both.table["outcome"].tolist() == ["a", "a", "b"] and both.table.columns[0] == "outcome"
    assert both.firm_id.tolist() == list(range(16)) and both.clusters is None
    assert [n.values.get("n") for n in both.notes] == [9, None, 12]  # each part's own, once
    for name in ("influence", "treated_weight", "control"):
        wide = getattr(both, name)
        np.testing.assert_array_equal(wide[:9, :2], getattr(a, name))
        np.testing.assert_array_equal(wide[4:, 2:], getattr(b, name))
        assert not wide[9:, :2].any() and not wide[:4, 2].any() and wide.dtype == getattr(a, name).dtype
    again = quietly(both.clustered, None).table
    pd.testing.assert_frame_equal(again[a.table.columns], pd.concat([a.table, b.table], ignore_index=True))


def test_labels_of_all_parts_hold_in_the_joined():
    """The first part knows nothing of firms 12 to 17: their clusters come from the second."""
    labels = pd.Series([f"c{i // 3}" for i in range(18)], range(18))
    a, b = made(range(12), 1, labels[:12]), made(range(6, 18), 1, labels[6:], seed=1)
    both = joined({"a": a, "b": b}, "part")
    assert both.clusters.reindex(range(18)).tolist() == labels.tolist()
    np.testing.assert_allclose(np.sqrt(np.diag(both.covariance(np.arange(2))[0])), both.table["std_error"], atol=EXACT)
    again = quietly(both.clustered, both.clusters)
    np.testing.assert_allclose(again.table["std_error"], both.table["std_error"], atol=EXACT)
    assert again.table["n_clusters"].tolist() == [4, 4]
    turned = joined({"b": b, "a": a}, "part")
    np.testing.assert_allclose(turned.covariance(np.array([1, 0]))[0], both.covariance(np.arange(2))[0], atol=EXACT)


def test_firms_without_a_label_stay_alone_when_joined():
    labels = pd.Series(["x"] * 3 + ["y"] * 3 + ["z"] * 3, range(9))
    a, b = made(range(15), 1, labels), made(range(3, 18), 1, labels.drop(range(3)), seed=1)
    both = joined({"a": a, "b": b}, "part")
    assert both.clusters.reindex(range(9)).tolist() == labels.tolist() and both.clusters.reindex(range(9, 18)).isna().all()
    np.testing.assert_allclose(quietly(both.clustered, both.clusters).table["std_error"], both.table["std_error"], atol=EXACT)


def test_parts_that_disagree_on_a_firm_are_refused():
    labels = pd.Series(np.arange(12) // 2, range(12))
    moved = labels.copy()
    moved[4] = 99
    a, b = made(range(12), 1, labels), made(range(12), 1, moved)
    with pytest.raises(DesignError, match=r"'b' puts 1 firm \(4\) into another cluster"):
        joined({"a": a, "b": b}, "part")
    for one, other in ((a, made(range(12), 1)), (made(range(12), 1), a), (a, made(range(12), 1, labels.drop(7)))):
        with pytest.raises(DesignError, match="into another cluster"):
            joined({"one": one, "other": other}, "part")
    apart = made(range(100, 112), 1)  # no firm in common: nothing to disagree about
    assert joined({"a": a, "b": apart}, "part").clusters.reindex(range(100, 112)).isna().all()


def test_two_way_labels_are_joined_way_by_way():
    ways = pd.DataFrame({"region": np.arange(24) % 4, "group": np.arange(24) // 4}, index=range(24))
    a, b = made(range(16), 1, ways[:16]), made(range(8, 24), 1, ways[8:], seed=1)
    both = joined({"a": a, "b": b}, "part")
    assert both.clusters.columns.tolist() == ["region", "group"]
    np.testing.assert_array_equal(both.clusters.reindex(range(24)).to_numpy(int), ways.to_numpy())
    np.testing.assert_allclose(quietly(both.clustered, both.clusters).table["std_error"], both.table["std_error"], atol=EXACT)
    other = ways.assign(group=lambda w: w["group"].where(w.index != 10, 7))
    with pytest.raises(DesignError, match=r"1 firm \(10\)"):
        joined({"a": a, "b": made(range(8, 24), 1, other[8:])}, "part")
    with pytest.raises(DesignError, match="one way or two"):
        joined({"a": a, "b": made(range(8, 24), 1, ways["region"][8:])}, "part")


def test_levels_must_agree_and_something_must_be_joined():
    with pytest.raises(DesignError, match=r"one level; found \[0\.9, 0\.95\]"):
        joined({"a": made(range(9)), "b": made(range(9), level=0.9)}, "part")
    with pytest.raises(DesignError, match="no part"):
        joined({}, "part")
