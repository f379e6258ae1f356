"""The tables that may stand beside a public-use file: by hand, by attack, and every table of the sample programme."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from scipy.optimize import linprog

from pipeval.release import table_kinds as kinds
from pipeval.release.counts import Counts, counted, suppressed_counts
from pipeval.release.disclosure_tables import arms_of, released, write_released
from pipeval.release.magnitudes import RECIPES, Contributed, FirmFigures, baseline_means, dominated, suppressed_figures
from pipeval.report.bundle import Bundle
from pipeval.study.programme_specs import Privacy

RULES = Privacy()
VIEWS = {
    "satisfaction_all", "indicators_all", "robustness_others", "cofinancing_clusters", "verdict_components", "compliance_groups",
    "assessment_start", "workshop_sheet", "readiness", "findings_closed", "sensitivity_others", "hidden_bias_regression",
    "lint_questions", "system_steps", "received_sector", "coverage_sector", "baseline_branch", "indicator_evolution",
    "compliance_change_norms", "compliance_norms", "verdict_ground", "verdict_documents", "effects_other", "tracker_all",
    "verdict_summary", "effects_early", "output_variances", "clusters_form", "effects_summary", "inputs",
}  # fmt: skip
"""Names with a caption that are cuts of other tables, or a list of files: none is in a bundle."""


def inferred(cells: dict, sums: list[tuple]) -> dict:
    """What an outsider can say of each unknown cell: cells are numbers or None, sums are (whole, parts), all at least zero."""
    unknown = [c for c, v in cells.items() if v is None]
    left, right = np.zeros((len(sums), len(unknown))), np.zeros(len(sums))
    for row, (whole, parts) in enumerate(sums):
        for cell, sign in ((whole, -1), *((p, 1) for p in parts)):
            if cells[cell] is None:
                left[row, unknown.index(cell)] += sign
            else:
                right[row] -= sign * cells[cell]
    found = {}
    for place, cell in enumerate(unknown):
        goal = np.eye(len(unknown))[place]
        ends = [s * linprog(s * goal, A_eq=left, b_eq=right, bounds=(0, 1e6)).fun for s in (1, -1)]
        found[cell] = tuple(round(e, 6) for e in ends)
    return found


def two_way(counts) -> pd.DataFrame:
    """Rows and columns `a…`, `p…` and their totals `all`, one row a cell."""
    full = np.asarray(counts)
    full = np.vstack([np.hstack([full, full.sum(1, keepdims=True)]), np.append(full.sum(0), full.sum())])
    rows, columns = [f"r{i}" for i in range(len(full) - 1)] + ["all"], [f"c{i}" for i in range(full.shape[1] - 1)] + ["all"]
    return pd.DataFrame(
        [(r, c, float(full[i, j])) for i, r in enumerate(rows) for j, c in enumerate(columns)], columns=["row", "col", "n"]
    )


TWO_WAY = Counts(("row", "col"), ("n",), across={"row": "all", "col": "all"})


def attacked(made: pd.DataFrame) -> dict:
    cells = {(r.row, r.col): None if pd.isna(r.n) else r.n for r in made.itertuples()}
    rows, columns = dict.fromkeys(made["row"]), dict.fromkeys(made["col"])
    sums = [((r, "all"), [(r, c) for c in columns if c != "all"]) for r in rows]
    sums += [(("all", c), [(r, c) for r in rows if r != "all"]) for c in columns]
    return inferred(cells, sums)


def test_a_small_cell_takes_a_rectangle_with_it():
    made = suppressed_counts(two_way([[2, 9, 30], [8, 7, 31], [40, 41, 42]]), TWO_WAY, 5)
    hidden = {(r.row, r.col) for r in made.table.itertuples() if pd.isna(r.n)}
    assert hidden == {("r0", "c0"), ("r0", "c1"), ("r1", "c0"), ("r1", "c1")}
    assert (made.primary, made.secondary) == (1, 3)
    assert attacked(made.table)["r0", "c0"] == (0, 10)  # r1: 15, c0: 10, r0: 11


def test_two_small_cells_of_a_line_protect_each_other_only_when_they_are_enough_together():
    asked = pd.DataFrame({"to": ["x", "y", "z"], "n": [1.0, 2.0, 30.0]})
    assert (
        suppressed_counts(asked, Counts(("to",), ("n",), across={"to": None}), 5).table["n"].isna().all()
    )  # 33 known less 30 is 3
    asked["n"] = [2.0, 3.0, 30.0]
    assert suppressed_counts(asked, Counts(("to",), ("n",), across={"to": None}), 5).table["n"].isna().tolist() == [
        True,
        True,
        False,
    ]


def test_no_small_cell_of_a_random_table_can_be_had():
    chance = np.random.default_rng(7)
    for _ in range(12):
        table = two_way(chance.poisson(chance.choice([2, 9, 20], size=(4, 3))))
        made = suppressed_counts(table, TWO_WAY, 5).table
        small = {(r.row, r.col) for r in table.itertuples() if 0 < r.n < 5}
        found = attacked(made)
        assert small <= set(found)
        for cell in small:
            assert found[cell][1] - found[cell][0] >= 5 - 1e-4
        assert not any(high - low < 1e-6 for low, high in found.values())


def test_counts_that_add_up_within_a_row_hide_together():
    asked = pd.DataFrame({"arm": ["a", "b"], "n": [300.0, 498.0], "n_yes": [287.0, 496.0], "n_no": [13.0, 2.0]})
    made = suppressed_counts(asked, Counts(("arm",), ("n", "n_yes", "n_no"), ("n = n_yes + n_no",)), 5)
    assert made.table.iloc[0].tolist() == ["a", 300, 287, 13]
    assert made.table.iloc[1].isna().tolist() == [False, False, True, True] and (made.primary, made.secondary) == (1, 1)


def test_a_complement_that_nobody_printed_is_a_cell_too():
    rule = Counts(("group",), ("n_firms", "n_served"), ("n_firms = n_served + ?",), {"group": None}, ("n_firms", "n_served"))
    asked = pd.DataFrame({"group": list("xyz"), "n_firms": [50.0, 85.0, 65.0], "n_served": [48.0, 60.0, 40.0]})
    made = suppressed_counts(asked, rule, 5).table
    assert made["n_firms"].notna().all() and made["n_served"].isna().tolist() == [True, False, True]
    cells = {group: None if pd.isna(n) else n for group, n in zip("xyz", made["n_served"], strict=True)}
    assert inferred(cells | {"all": 148.0}, [("all", list("xyz"))])["x"] == (0, 88)  # 148 less 60


def test_a_group_of_too_few_is_blank_whole():
    rule = Counts(("arm", "to"), ("n",), across={"to": None})
    asked = pd.DataFrame({"arm": list("aabb"), "to": list("xyxy"), "n": [1.0, 2.0, 40.0, 50.0]})
    assert suppressed_counts(asked, rule, 5).table["n"].isna().tolist() == [True, True, False, False]


def test_what_does_not_add_up_as_said_is_withheld():
    asked = pd.DataFrame({"n": [10.0], "n_yes": [7.0], "n_no": [2.0]})
    with pytest.raises(ValueError, match="leaves 1 over"):
        suppressed_counts(asked, Counts((), ("n", "n_yes", "n_no"), ("n = n_yes + n_no",)), 5)
    with pytest.raises(ValueError, match="parts are 1 more"):
        suppressed_counts(asked.assign(n_yes=9.0), Counts((), ("n", "n_yes", "n_no"), ("n = n_yes + n_no",)), 5)


def test_stages_are_cells_and_so_is_who_is_lost_between_them():
    rule = Counts(("arm", "stage"), ("n",), nested=(("stage", "later", "first"),))
    asked = pd.DataFrame({"arm": ["a", "a", "b", "b"], "stage": ["first", "later"] * 2, "n": [60.0, 57.0, 60.0, 50.0]})
    assert suppressed_counts(asked, rule, 5).table["n"].isna().tolist() == [False, True, False, False]


def by_hand(contributions: dict[str, list[float]]) -> Contributed:
    """Sums by group and of all groups."""
    every = {**contributions, "all": [x for part in contributions.values() for x in part]}
    table = pd.DataFrame(
        {"group": list(every), "n": [float(len(v)) for v in every.values()], "usd": [sum(v) for v in every.values()]}
    )
    behind = {(i, "usd"): np.array(v) for i, v in enumerate(every.values())}
    return Contributed(table, "n", True, behind, sums=[(len(every) - 1, list(range(len(every) - 1)))])


def test_a_dominated_sum_is_blank_and_a_second_one_with_it():
    even = [10.0] * 8
    made = suppressed_figures(by_hand({"x": [900.0, 50, 10, 10, 10, 10], "y": even, "z": [30.0] * 9}), RULES)
    assert made.table["usd"].isna().tolist() == [True, True, False, False] and made.table["n"].isna().tolist() == [
        True,
        True,
        False,
        False,
    ]
    assert (made.primary, made.secondary, made.dominance) == (0, 1, 1)
    safe = suppressed_figures(by_hand({"x": [15.0] * 6, "y": even, "z": [30.0] * 9}), RULES)
    assert safe.table.notna().all(axis=None) and (safe.primary, safe.secondary, safe.dominance) == (0, 0, 0)
    few = suppressed_figures(by_hand({"x": [15.0] * 4, "y": even, "z": [30.0] * 9}), RULES)
    assert few.table["usd"].isna().tolist() == [True, True, False, False] and (few.primary, few.secondary) == (1, 1)


def test_dominance_is_that_of_the_study():
    assert dominated([90, 5, 5], (2, 0.85), 0.10) and not dominated([30, 30, 20, 20], (2, 0.85), 0.10)
    assert dominated([30, 30, 20, 20], (2, 0.55), 0.10) and not dominated([30, 30, 20, 20], (1, 0.55), 0.10)
    assert dominated([100, 90, 4, 4], (2, 0.99), 0.10) and not dominated([100, 90, 6, 6], (2, 0.99), 0.10)  # p%: 8 < 10 ≤ 12
    assert dominated([5, 5], (2, 0.99), 0.10) and not dominated([0, 0, 0], (2, 0.85), 0.10)
    sums = by_hand({"x": [30.0, 30, 20, 20, 20], "y": [20.0] * 8, "z": [20.0] * 9})
    assert suppressed_figures(sums, RULES).dominance == 0
    assert suppressed_figures(sums, Privacy(dominance=(2, 0.45))).dominance == 1
    assert suppressed_figures(sums, Privacy(p_percent=0.99)).dominance == 0
    assert (
        suppressed_figures(
            by_hand({"x": [80.0, 5, 5, 5, 5], "y": [20.0] * 8, "z": [20.0] * 9}), Privacy(dominance=(1, 0.95), p_percent=0.2)
        ).dominance
        == 1
    )


def test_a_figure_that_contributions_do_not_give_back_is_blank():
    made = by_hand({"x": [15.0] * 6, "y": [10.0] * 8, "z": [30.0] * 9})
    made.table.loc[2, "usd"] += 1
    assert suppressed_figures(made, RULES).table["usd"].isna().tolist() == [False, True, True, False]
    made = by_hand({"x": [15.0] * 6, "y": [10.0] * 8, "z": [30.0] * 9})
    made.table.loc[2, "n"] = 8
    assert suppressed_figures(made, RULES).table["usd"].isna()[2]


def test_a_measure_that_others_add_up_to_does_not_give_a_blank_one_away():
    parts = {"direct": [90.0, 1, 1, 1, 1, 1], "indirect": [10.0] * 6, "other": [12.0, 9, 11, 13, 10, 12]}
    parts["exports"] = [a + b for a, b in zip(parts["direct"], parts["indirect"], strict=True)]
    table = pd.DataFrame({"measure": list(parts), "n": 6.0, "usd": [sum(v) for v in parts.values()]})
    behind = {(i, "usd"): np.array(v) for i, v in enumerate(parts.values())}
    made = Contributed(table, "n", True, behind, alike=[{name: i for i, name in enumerate(parts)}])
    blank = suppressed_figures(made, RULES).table.set_index("measure")["usd"].isna()
    assert blank["direct"] and blank["indirect"] + blank["exports"] == 1 and not blank["other"]


def estimates(**columns) -> pd.DataFrame:
    return pd.DataFrame({"outcome": "y", "estimate": 0.0123456, "n_treated": 50.0, "n_control": 90.0} | columns)


def test_estimates_leave_with_enough_firms_and_three_digits():
    rows = estimates(n_treated=[4.0, 50.0, np.nan], period=[2004.0, 2005.0, 2006.0], observed=1.0)
    made = released("att_by_period", rows, RULES)
    assert made.table.to_dict("list") == {
        "outcome": ["y"],
        "estimate": [0.0123],
        "n_treated": [50],
        "n_control": [90],
        "period": [2005],
    }
    assert made.primary == 2
    assert released("att_by_period", estimates(n_control=[4.0]), RULES) is None
    assert released("left_out", estimates(left_out=["F1"]), RULES) is None and released("never_seen", rows, RULES) is None
    assert "n_treated" not in released("subgroups", estimates(group=["a"]), RULES).table


def test_rows_of_firms_that_differ_by_few_firms_are_not_released_beside_each_other():
    rows = estimates(row=["headline", "same", "less_two", "less_many"], n_treated=[50.0, 50, 48, 40])
    made = released("robustness", rows, RULES)
    assert made.table["row"].tolist() == ["headline", "same", "less_many"] and (made.primary, made.secondary) == (0, 1)
    left = estimates(row=["a", "b"], n_treated=[50.0, 20], n_left=[4.0, 30])
    assert released("contamination", left, RULES).table["row"].tolist() == ["b"]


def test_a_row_without_counts_stands_on_those_of_its_outcomes_headline():
    effects = estimates(outcome=["y", "z", "z"], headline=[True, True, False], n_treated=[50.0, 4.0, 60.0])
    arms = arms_of(Bundle.build({}, {"effects": effects}))
    assert arms == {"y": 50, "z": 4, "": 50}
    rows = pd.DataFrame({"outcome": ["y", "z", "unknown"], "estimate": [0.5, 0.4, 0.3]})
    assert released("overall", rows, RULES, arms=arms).table["outcome"].tolist() == ["y"]
    assert released("effects", rows.assign(n_treated=np.nan, n_control=9.0), RULES, arms=arms) is None


def test_a_listed_table_that_names_firms_is_withheld(tmp_path):
    bundle = Bundle.build(
        {},
        {"effects": estimates(firm_id=["F1"], headline=[True]), "budget": pd.DataFrame({"component": ["1"], "budget_usd": [7.0]})},
    )
    rows = {r["table"]: r for r in write_released(bundle, None, SimpleNamespace(privacy=RULES), tmp_path / "tables")}
    assert rows["effects"]["fate"] == "withheld" and "firm_id" in rows["effects"]["reason"]
    assert rows["budget"] | {"cells": 1, "fate": "released", "reason": "", "kind": "programme"} == rows["budget"]
    assert [p.name for p in (tmp_path / "tables").iterdir()] == ["budget.csv"]


def test_every_table_with_a_caption_has_a_kind():
    captions = yaml.safe_load((ROOT / "src/pipeval/report/text/en.yaml").read_text(encoding="utf-8"))["table"]
    assert {n for n in captions if kinds.kind_of(n) == "unlisted"} == VIEWS
    listed = [*kinds.ESTIMATES, *kinds.COUNTS, *RECIPES, *kinds.PROGRAMME, *kinds.FIRMS, *kinds.NO_RULE]
    assert len(listed) == len(set(listed)) and set(listed) <= set(captions)


def walked(road) -> dict[str, pd.DataFrame]:
    return {n: t for stage in road.values() if hasattr(stage, "tables") for n, t in stage.tables.items()}


@pytest.fixture(scope="module")
def public(road, tmp_path_factory):
    """The released tables of the sample's final report, and the record."""
    folder = tmp_path_factory.mktemp("released") / "tables"
    bundle = Bundle.build({"study": "final"}, walked(road))
    rows = write_released(bundle, road["data"]["tables"], road["study"], folder)
    return bundle, {r["table"]: r for r in rows}, folder


def test_every_table_of_the_sample_has_a_kind_and_a_fate(public):
    bundle, rows, folder = public
    assert set(rows) == set(bundle.tables) and not [n for n, r in rows.items() if r["kind"] == "unlisted"]
    assert all((r["fate"] == "released") == (not r["reason"]) == (folder / f"{n}.csv").exists() for n, r in rows.items())
    for name in ("effects", "power", "waves", "transitions", "eligibility", "sample_flow", *RECIPES, "budget"):
        assert rows[name]["fate"] == "released", rows[name]
    assert not {r["fate"] for r in rows.values() if r["kind"] == "firms"} - {"withheld"}
    assert not [n for n, r in rows.items() if "cannot be made safe" in r["reason"]]


def test_no_released_table_names_a_firm(public, road):
    ids = set(road["data"]["tables"]["enterprises"]["firm_id"])
    for path in public[2].iterdir():
        table = pd.read_csv(path, dtype=str)
        assert not ids & {v for c in table for v in table[c].dropna()}, path.name


def test_no_small_count_of_the_sample_can_be_had(public):
    bundle, rows, folder = public
    looked = 0
    for name in (n for n in kinds.COUNTS if n in rows and rows[n]["fate"] == "released"):
        told, rule = bundle.table(name), kinds.COUNTS[name]
        written = pd.read_csv(folder / f"{name}.csv")
        system, places = counted(told, rule, 5)
        blank = {c for (row, column), c in places.items() if pd.isna(written.loc[row, column])}
        cells = {c: None if c in blank or not system.known[c] else v for c, v in enumerate(system.values)}
        cells |= {c: None for c in system.assumed if 0 < system.values[c] < 5}
        assert not any(0 < v < 5 for v in cells.values() if v is not None), name
        found = inferred(cells, system.sums) if rows[name]["suppressed_primary"] and len(blank) < 120 else {}
        for cell in (c for c in found if 0 < system.values[c] < 5 and c not in system.assumed):
            assert found[cell][1] - found[cell][0] > 4.99, (name, cell)
            looked += 1
    assert looked > 40


def test_contributions_give_back_what_is_printed(public, road):
    bundle, rows, folder = public
    own = FirmFigures(road["data"]["tables"], road["study"])
    table = bundle.table("baseline_indicators")
    made = baseline_means(table, own)
    shown = table["mean"].notna()
    assert all(np.isclose(table.loc[r, "mean"], made.behind[r, "mean"].mean()) for r in table.index[shown])
    written = pd.read_csv(folder / "baseline_indicators.csv")
    assert list(written) == ["measure", "arm", "branch", "size_class", "n", "mean"]  # a median is a firm's own figure
    for row in written.index[written["mean"].notna()]:
        assert len(made.behind[row, "mean"]) >= 5 and not dominated(made.behind[row, "mean"], (2, 0.85), 0.10)
    assert 100 < written["mean"].notna().sum() < shown.sum() and rows["baseline_indicators"]["dominance"] > 0
    assert set(pd.read_csv(folder / "cofinancing.csv")["by"]) == {"all", "component"}


def test_blank_means_cannot_be_had_from_totals(public):
    written = pd.read_csv(public[2] / "baseline_indicators.csv")
    lines = written.groupby(["measure", "arm"])
    for (measure, arm), rows in lines:
        for column, other in product(("branch", "size_class"), repeat=2):
            if column != other:
                for label, line in rows.groupby(other):
                    whole = line[line[column] == "all"]
                    gone = line.loc[line[column] != "all", "mean"].isna().sum()
                    assert whole["mean"].isna().any() or gone != 1, (measure, arm, other, label)
