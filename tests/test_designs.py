"""Choosing a design before outcomes are seen, and writing the choice into the params file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeval import MatchSpec, Panel, balance_table, match, read_study, stages
from pipeval.did.designs import COLUMNS, WHOLE, default_designs, design_table
from pipeval.did.detectable import detectable_table
from pipeval.did.estimate import compared
from pipeval.errors import DesignError, PipevalWarning, UsageError
from pipeval.study.record import record_match

ROOT = Path(__file__).resolve().parents[1]
PARAMS = ROOT / "params"


@pytest.fixture(autouse=True)
def _notes_are_no_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        yield


@pytest.fixture(scope="module")
def programme():
    """The shipped study and the panel of its firms."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        study = read_study(PARAMS / "guanajuato_final.yaml")
        data = stages.proved_data(study)
        group = stages.control_group(data, stages.baseline(data, study), study)
    return study, group["panel"]


@pytest.fixture(scope="module")
def table(programme):
    study, panel = programme
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PipevalWarning)
        return design_table(panel, default_designs(study), study)


# ── the designs side by side ─────────────────────────────────────────────────────────────────────────────────────────


def test_every_design_is_a_row_in_the_order_given(programme, table):
    study, _ = programme
    assert list(table.columns) == COLUMNS
    assert table["design"].tolist() == [*default_designs(study), WHOLE]
    assert table["method"].tolist() == [s.method for s in default_designs(study).values()] + [""]
    assert (table["reason"] == "").all() and table.drop(columns="method").notna().all().all()
    assert table["share_treated"].between(0, 1).all() and table["share_balanced"].between(0, 1).all()
    assert (table["ess_control"] <= table["n_control"] + 1e-9).all() and (table["smd_mean"] <= table["smd_max"]).all()


def test_the_studys_own_design_is_that_of_its_tables(programme, table):
    study, panel = programme
    sample = match(panel.firms, study.match, until=study.treatment.reference_year)
    row = table.set_index("design").loc["own"]
    columns = [*study.match.covariates, *study.match.exact]
    after = balance_table(panel.firms, sample, columns).query("sample == 'after'").set_index("covariate")
    assert row["smd_max"] == after["smd"].abs().max() and row["worst"] == after["smd"].abs().idxmax()
    assert row["smd_mean"] == pytest.approx(after["smd"].abs().mean(), rel=1e-12)
    assert row["share_balanced"] == (after["smd"].abs() <= 0.1).mean() and row["ks_max"] == after["ks"].max()
    assert (row["n_treated"], row["n_control"]) == (after["n_treated"].max(), after["n_control"].max())
    assert row["ess_control"] == pytest.approx(after["ess_control"].max(), rel=1e-12)
    treated = panel.firms["cohort"] <= study.treatment.reference_year
    assert row["share_treated"] == row["n_treated"] / treated.sum()
    power = detectable_table(panel, sample, study.model_copy(update={"headline": "matched"})).set_index("outcome")
    assert row["mde"] == power.loc[study.outcomes[0].id, "mde"]
    assert row["mde_share"] == power.loc[study.outcomes[0].id, "mde_share"]


def test_the_whole_support_is_that_of_the_headline(programme, table):
    study, panel = programme
    sample = match(panel.firms, study.match, until=study.treatment.reference_year)
    row, kept = table.iloc[-1], compared(panel, sample, study).firms
    assert row["n_treated"] == np.isfinite(kept["cohort"]).sum() and row["n_control"] == np.isinf(kept["cohort"]).sum()
    assert row["n_off_support"] == (compared(panel, sample, study).ledger["reason"] == "off_support").sum() > 0
    assert row["mde"] == detectable_table(panel, sample, study).iloc[0]["mde"]
    before = balance_table(panel.firms, pd.Series(1.0, index=kept.index), [*study.match.covariates, *study.match.exact])
    assert row["smd_max"] == before.query("sample == 'after'")["smd"].abs().max()


def test_a_weighting_balances_and_pairs_with_replacement_keep_more_firms(table):
    row = table.set_index("design")
    assert row.loc["ebal", "smd_max"] < 1e-6 and row.loc["ebal", "share_treated"] == 1
    assert row.loc["nearest_replaced", "n_treated"] > row.loc["nearest", "n_treated"]
    assert row.loc["nearest_two", "n_control"] > row.loc["nearest", "n_control"]
    assert row.loc["nearest_replaced", "ess_control"] < row.loc["nearest_replaced", "n_control"]
    assert row["mde"].idxmax() == "cem" and row["n_treated"].idxmin() == "cem"  # fewest firms, least power


def after_base(panel: Panel, base: int, change) -> Panel:
    """The panel with its outcomes after the base year changed."""
    outcomes = panel.outcomes.copy()
    later = outcomes.index.get_level_values("period") > base
    outcomes.loc[later] = change(outcomes[later])
    return Panel(panel.firms, outcomes, panel.ledger)


@pytest.mark.parametrize("key", ["ln_sales", "export_value"])
def test_what_happens_after_the_base_year_is_not_read(programme, key):
    study, panel = programme
    outcome, base = study.outcome(key), study.baseline.year
    designs = {name: default_designs(study)[name] for name in (("own", "ipw") if key == "ln_sales" else ("own",))}
    seen = design_table(panel, designs, study, outcome)
    rng = np.random.default_rng(1)
    for change in (
        lambda later: later.to_numpy()[rng.permutation(len(later))],
        lambda later: np.nan,
    ):
        pd.testing.assert_frame_equal(
            design_table(after_base(panel, base, change), designs, study, outcome), seen, check_exact=True
        )
    changed = design_table(after_base(panel, base - 1, lambda later: later * 2), designs, study, outcome)
    assert (changed["mde"] != seen["mde"]).all() and changed["mde"].notna().all()
    kept = [c for c in COLUMNS if not c.startswith("mde")]
    pd.testing.assert_frame_equal(changed[kept], seen[kept])


def test_a_design_that_cannot_be_made_keeps_its_row(programme):
    study, panel = programme
    alone = Panel(panel.firms.assign(own_code=np.arange(len(panel.firms)).astype(str)), panel.outcomes)
    nobody = study.match.changed({"exact": ("own_code",)})
    table = design_table(alone, {"nobody": nobody, "own": study.match}, study, columns=["ln_workers"]).set_index("design")
    assert table.index.tolist() == ["nobody", "own", WHOLE]
    assert "match.exact" in table.loc["nobody", "reason"] and table.loc["nobody", COLUMNS[2:-1]].isna().all()
    assert table.loc["nobody", "method"] == "optimal" and table.loc[["own", WHOLE], "reason"].eq("").all()
    only = design_table(alone, {"nobody": nobody}, study, columns=["ln_workers"]).set_index("design")
    assert "propensity score" in only.loc[WHOLE, "reason"]
    plain = study.model_copy(update={"did": study.did.model_copy(update={"covariates": ()})})
    whole = design_table(alone, {"nobody": nobody}, plain, columns=["ln_workers"]).set_index("design").loc[WHOLE]
    assert whole["reason"] == "" and whole["n_treated"] + whole["n_control"] == len(panel.firms)


def test_an_unknown_power_is_a_reason_and_not_the_end(programme):
    study, panel = programme
    one_year = Panel(panel.firms, panel.outcomes[panel.outcomes.index.get_level_values(1) == study.baseline.year])
    row = design_table(one_year, {"own": study.match}, study).iloc[0]
    assert np.isnan(row["mde"]) and "one period before" in row["reason"] and row["n_treated"] > 0


def test_all_designs_are_judged_on_the_same_columns(programme):
    study, panel = programme
    small = MatchSpec(covariates=("ln_age",))
    table = design_table(panel, {"small": small, "own": study.match}, study).set_index("design")
    sample = match(panel.firms, small, until=study.treatment.reference_year)
    columns = [*study.match.covariates, *study.match.exact]
    after = balance_table(panel.firms, sample, columns).query("sample == 'after'").set_index("covariate")["smd"].abs()
    assert table.loc["small", "worst"] == after.idxmax() and table.loc["small", "smd_max"] == after.max() > 0.3
    only = design_table(panel, {"small": small, "own": study.match}, study, columns=["ln_age"]).set_index("design")
    assert only.loc["small", "smd_max"] < 0.05 and (only["worst"] == "ln_age").all()


def test_a_design_by_cohort_and_one_trimmed_to_the_support(programme):
    study, panel = programme
    designs = {
        "by_cohort": study.match.changed({"by_cohort": True, "covariates": ("base_ln_sales", "ln_age")}),
        "trimmed": study.match.changed({"support": "minmax"}),
    }
    table = design_table(panel, designs, study).set_index("design")
    assert (table["reason"] == "").all()
    sample = match(panel.firms, designs["trimmed"], until=study.treatment.reference_year)
    assert table.loc["trimmed", "n_off_support"] == (sample.unmatched["reason"] == "off_support").sum() > 0
    assert 0 < table.loc["by_cohort", "share_treated"] < 1 and table.loc["by_cohort", "n_off_support"] == 0


def test_names_and_columns_that_cannot_be():
    study = read_study(PARAMS / "guanajuato_final.yaml")
    firms = pd.DataFrame({"cohort": [2004.0, np.inf]}, index=["a", "b"])
    panel = Panel(firms, pd.DataFrame({"ln_sales": 1.0}, index=pd.MultiIndex.from_product([["a", "b"], [2003]])))
    with pytest.raises(DesignError, match="names the row without a match"):
        design_table(panel, {WHOLE: study.match}, study)
    assert design_table(panel, {}, study)["design"].tolist() == [WHOLE]


def test_default_designs_follow_the_study():
    study = read_study(PARAMS / "michigan_final.yaml")
    found = default_designs(study)
    assert next(iter(found)) == "own" and found["own"] == study.match
    assert found["nearest"].caliper == 0.5 and not found["nearest"].replace and found["mahalanobis"].distance == "mahalanobis"
    assert all(set(s.covariates) == {"ln_workers", "union"} for s in found.values())
    for change in ({"estimand": "atc"}, {"by_cohort": True}, {"exact": ("union",)}, {"caliper": None}):
        other = study.model_copy(update={"match": study.match.changed(change)})
        specs = default_designs(other)
        assert len(specs) >= (6 if other.match.by_cohort else 8) and len({s.model_dump_json() for s in specs.values()}) == len(
            specs
        )
        assert all(s.estimand == other.match.estimand and s.by_cohort == other.match.by_cohort for s in specs.values())
    exact = default_designs(study.model_copy(update={"match": study.match.changed({"exact": ("branch",)})}))
    assert exact["cem"].exact == ("branch",) and exact["ebal"].covariates == ("ln_workers", "union", "branch")
    overlap = MatchSpec(covariates=("ln_workers",), method="ipw", estimand="ato")
    assert list(default_designs(study.model_copy(update={"match": overlap}))) == ["own"]


# ── the choice written down ──────────────────────────────────────────────────────────────────────────────────────────

SPECS = [
    MatchSpec(covariates=("ln_workers",)),
    MatchSpec(covariates=("ln_workers", "ln_age"), method="nearest", ratio=2, caliper=0.2, order="random", seed=7),
    MatchSpec(covariates=("size",), method="cem", cutpoints={"size": (1.0, 2.5)}, exact=("branch",)),
    MatchSpec(
        covariates=("año: de alta", "no", "1"),
        calipers={"año: de alta": 2.0, "#2": 0.125},
        never_together=(("F1", "F2"), ("007", "null")),
        distance="mahalanobis",
        ratio=3,
    ),
    MatchSpec(covariates=tuple(f"a_rather_long_covariate_{k}" for k in range(12)), method="ebal", moments=2, support="crump"),
    MatchSpec(covariates=("x",), caliper=1e-7, caliper_unit="raw", by_cohort=True, window=2, backups=3),
]


def lines_apart(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines of each that the other does not hold."""
    one, two = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return [line for line in one if line not in two], [line for line in two if line not in one]


def written(path: Path, spec: MatchSpec) -> str:
    record_match(path, spec)
    assert read_study(path).match == spec
    assert list(path.parent.glob(".*")) == []  # nothing of the writing is left
    return path.read_bytes().decode()


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.method)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_what_is_written_is_read_again(small, spec, ending):
    small.params.write_bytes(small.params.read_text("utf-8").replace("\n", ending).encode())
    once = written(small.params, spec)
    assert once == written(small.params, spec)  # a second time changes nothing
    assert once.count("\r\n") == (once.count("\n") if ending == "\r\n" else 0)
    start, end = once.index("match:"), once.index("money:")
    for other in (*SPECS, spec):
        last = written(small.params, other)
        assert last.startswith(once[:start]) and last.endswith(once[end:])
    assert (small.read().study, small.read().outcomes) == ("small", read_study(small.params).outcomes)


COMMENTED = """\
# the plan, signed
study: small   # not match: anything
stage: final
as_of: "2006-03-31"
programme: {id: SMALL, name: {en: "match: this is not it", es: x}}
data: {folder: data}
baseline: {year: 2003}
treatment: {definition: beneficiary, reference_year: 2005}
money: {headline: nominal, deflator: null, fx: null}
outcomes:
- {id: ln_sales, measure: sales, label: {en: Sales, es: "match:"}}

# who is compared, agreed in March
match:  # see annex 4
    # size first
    covariates:
    - ln_workers  # in logarithms
    method: nearest      # greedy
    # as wide as Austin says
    caliper: 0.20  # sd

    ratio: 2
    replace: true
# what follows the match
logframe: jobtraining

report: {languages: [en], locales: {en: en_US}}   # the end
# match: {covariates: [old]}
"""


def test_only_what_changes_is_touched(small):
    small.params.write_text(COMMENTED, encoding="utf-8")
    first = read_study(small.params).match
    assert written(small.params, first) == COMMENTED
    text = written(small.params, first.changed({"caliper": 0.5, "replace": False, "exact": ("branch",)}))
    assert lines_apart(COMMENTED, text) == (
        ["    caliper: 0.20  # sd\n", "    replace: true\n"],
        ["    caliper: 0.5  # sd\n", "    exact: [branch]\n"],
    )
    assert "    ratio: 2\n    exact: [branch]\n# what follows the match\n" in text
    small.params.write_text(COMMENTED, encoding="utf-8")
    gone, new = lines_apart(COMMENTED, written(small.params, first.changed({"covariates": ("ln_workers", "ln_age")})))
    assert gone == ["    covariates:\n", "    - ln_workers  # in logarithms\n"]
    assert new == ["    covariates: [ln_workers, ln_age]  # in logarithms\n"]


def test_a_section_in_braces_is_written_out(small):
    start, end = COMMENTED.index("match:  #"), COMMENTED.index("# what follows")
    plan = COMMENTED[:start] + "match: {covariates: [ln_workers],\n  caliper: 0.2}  # annex 4\n" + COMMENTED[end:]
    small.params.write_text(plan, encoding="utf-8")
    same = read_study(small.params).match
    assert written(small.params, same) == plan
    text = written(small.params, same.changed({"caliper": None, "method": "full"}))
    assert "\nmatch:  # annex 4\n  covariates: [ln_workers]\n  method: full\n# what follows" in text


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (lambda text: text.rstrip("\n"), ""),
        (lambda text: text[: text.index("# who is")] + text[text.index("# what follows") :], ""),  # no section yet
        (lambda text: text.replace("match:  #", '"match":  #'), ""),
        (lambda text: "---\n" + text + "...\n", ""),
        (lambda text: "\ufeff" + text, ""),
        (lambda text: text.replace("    caliper: 0.20", "    calliper: 0.20"), ""),  # a wrong option goes
        (lambda text: text[: text.index("    # size")] + text[text.index("# what follows") :], ""),  # a section without options
        (lambda text: text.replace("match:  # see", "? match\n:  # see"), ""),
        (lambda text: text.replace("    ratio: 2", "\tratio: 2"), "not valid YAML"),
        (lambda text: text.replace("stage: final\n", ""), "stage: this key is needed"),
        (lambda text: text + "match: {}\n", "stands twice"),
        (lambda text: "{" + "study: small, match: {covariates: [a]}" + "}", "in braces"),
    ],
)
def test_files_of_every_shape(small, plan, said):
    before = plan(COMMENTED).encode()
    small.params.write_bytes(before)
    spec = SPECS[1]
    if said:
        with pytest.raises(UsageError, match=said):
            record_match(small.params, spec)
        assert small.params.read_bytes() == before and list(small.params.parent.iterdir()) == [small.params]
        return
    text = written(small.params, spec)
    kept = [line for line in COMMENTED.splitlines() if line[:1] not in (" ", "") and not line.startswith(("match", "# who"))]
    assert all(line in text.splitlines() or "\ufeff" + line in text.splitlines() for line in kept)
    assert text.startswith("\ufeff") == before.decode().startswith("\ufeff")


def child_of(small, text: str) -> Path:
    path = small.params.parent / "late.yaml"
    path.write_text("extends: small.yaml\nstudy: late  # a child\n" + text, encoding="utf-8")
    return path


def test_a_file_that_extends_gets_a_section_of_its_own(small):
    small.params.write_text(COMMENTED, encoding="utf-8")
    late = child_of(small, "")
    spec = MatchSpec(covariates=("ln_workers",), caliper=0.3)
    text = written(late, spec)
    # what the parent has and the choice has not is said too: it would hold otherwise
    assert text == (
        "extends: small.yaml\nstudy: late  # a child\nmatch:\n  covariates: [ln_workers]\n  method: optimal\n  caliper: 0.3\n"
        "  ratio: 1\n  replace: false\n"
    )
    assert small.params.read_text("utf-8") == COMMENTED
    same = written(child_of(small, ""), read_study(small.params).match)
    assert same.endswith("match:\n  covariates: [ln_workers]\n  method: nearest\n  caliper: 0.2\n  ratio: 2\n  replace: true\n")
    partly = written(child_of(small, "match: {ratio: 3}\n"), read_study(small.params).match.changed({"ratio": 3, "caliper": 0.4}))
    assert "caliper: 0.4" in partly and "ratio: 3" in partly


def test_a_table_of_the_parent_cannot_be_taken_away(small):
    small.planned(match={"covariates": ["ln_workers"], "calipers": {"ln_workers": 1.0, "ln_age": 2.0}})
    late = child_of(small, "")
    before = late.read_bytes()
    wider = MatchSpec(covariates=("ln_workers",), calipers={"ln_workers": 3.0, "ln_age": 2.0, "size": 1.0})
    with pytest.raises(UsageError, match=r"match\.calipers would differ.*change it there"):
        record_match(late, MatchSpec(covariates=("ln_workers",), calipers={"ln_age": 2.0}))
    assert late.read_bytes() == before
    written(late, wider)


def test_extends_in_a_circle(small):
    late = child_of(small, "")
    small.planned(extends="late.yaml")
    with pytest.raises(UsageError, match="extends itself"):
        record_match(late, SPECS[0])


def test_shipped_studies_take_every_choice(tmp_path):
    folder = tmp_path / "params"
    folder.mkdir()
    for path in PARAMS.glob("*.yaml"):
        (folder / path.name).write_bytes(path.read_bytes())
    for name in ("guanajuato_final", "michigan_final"):
        path = folder / f"{name}.yaml"
        before, study = path.read_bytes().decode(), read_study(path)
        for spec in default_designs(study).values():
            text = written(path, spec)
            assert read_study(path).model_copy(update={"match": study.match}) == study
        gone, _ = lines_apart(before, text)
        assert all(line.startswith("  ") for line in gone)
    assert (folder / "guanajuato.yaml").read_bytes() == (PARAMS / "guanajuato.yaml").read_bytes()
    with pytest.raises(UsageError, match=r"guanajuato\.yaml stands as it was.*\n +study: this key is needed"):
        record_match(folder / "guanajuato.yaml", SPECS[0])


def test_rights_are_kept_and_a_failure_leaves_the_file(small, monkeypatch):
    small.params.chmod(0o640)
    written(small.params, SPECS[1])
    if os.name == "posix":
        assert small.params.stat().st_mode & 0o777 == 0o640
    before = small.params.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UsageError, match="No space left on device; it stands as it was"):
        record_match(small.params, SPECS[0])
    assert small.params.read_bytes() == before and list(small.params.parent.iterdir()) == [small.params]
    with pytest.raises(UsageError, match="cannot read"):
        record_match(small.params.parent / "nothing.yaml", SPECS[0])


def test_only_a_match_spec_is_written(small):
    before = small.params.read_bytes()
    with pytest.raises(UsageError, match="is a MatchSpec; found dict"):
        record_match(small.params, {"method": "nearest"})
    assert small.params.read_bytes() == before
