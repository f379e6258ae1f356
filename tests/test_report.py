"""The report is made from a bundle alone: the same numbers, the same bytes, no markup from data, nothing fetched."""

from __future__ import annotations

import re
import sys
import time
import zipfile
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook

from pipeval.data.contract import TABLES
from pipeval.data.support import COMPONENTS
from pipeval.did.bacon import TYPES
from pipeval.did.few_clusters import KINDS as FEW_CLUSTERS
from pipeval.errors import DataError, Note, UsageError
from pipeval.evaluation import evaluate
from pipeval.matching.support import support_note
from pipeval.matching.terms import DENOMINATORS
from pipeval.report.annex import workbook
from pipeval.report.bundle import Bundle, read_bundle, save, spreadsheet_safe
from pipeval.report.document import markdown
from pipeval.report.drawing import _signed, draw
from pipeval.report.judgement import listing, verdict_paragraphs
from pipeval.report.labels import coded, covariate_label
from pipeval.report.remarks import note_lines
from pipeval.report.render import render
from pipeval.report.save import save as save_evaluation
from pipeval.report.sensitivity_sentences import finding
from pipeval.report.sentences import SENTENCES
from pipeval.report.tables import chosen_rows, printed_table, read_layout
from pipeval.report.text import escape, languages, read_text
from pipeval.robustness import findings
from pipeval.robustness.chapter import LEFT_OUT
from pipeval.robustness.curve import MATCHES, METHODS, OUTLIERS, WHOLE
from pipeval.robustness.several import INDEX
from pipeval.study.lint import CHECKS, DETAILS
from pipeval.study.match_spec import MatchSpec
from pipeval.study.params import read_study
from pipeval.study.specs import DidSpec
from pipeval.verdicts.evidence import GRADES
from pipeval.verdicts.remarks import REMARKS

# The tests are collected by importlib, which does not put their folder on the path.
sys.path.insert(0, str(Path(__file__).parent))
from bundle_fixture import CHECKED, HOSTILE, STOPPED, asked_again, full, hidden, study, tiny, whole

ES, EN = read_text("es"), read_text("en")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    folder = save(full(), tmp_path_factory.mktemp("final"))
    render(folder)
    return folder


def test_undefined_is_null_and_comes_back_as_nan(tmp_path):
    frame = pd.DataFrame({"arm": ["a", "b"], "n": [1.5, np.nan], "far": [np.inf, 2.0], "flag": [True, False]})
    back = read_bundle(save(Bundle.build({"study": "x"}, {"t": frame}), tmp_path)).table("t")
    assert back["n"].isna().tolist() == [False, True] and back["n"].dtype == float
    assert np.isnan(back["far"][0]) and back["flag"].tolist() == [True, False]
    assert "NaN" not in (tmp_path / "results.json").read_text()


def test_saving_twice_gives_the_same_bytes(tmp_path):
    first, second = save(full(), tmp_path / "a"), save(read_bundle(tmp_path / "a"), tmp_path / "b")
    for path in first.rglob("*.*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name


def test_a_cell_is_never_a_formula(tmp_path):
    folder = save(full(), tmp_path)
    assert "'=cmd()" in (folder / "tables" / "corrections.csv").read_text()
    assert not re.search(r"(^|,)\"?[=+@]", (folder / "tables" / "corrections.csv").read_text(), re.MULTILINE)
    for row in load_workbook(workbook(full(), EN, tmp_path / "annex.xlsx"))["corrections"].iter_rows():
        assert all(cell.data_type != "f" for cell in row)
    assert spreadsheet_safe(-1.0) == -1.0 and spreadsheet_safe("-1") == "'-1"


def test_a_folder_without_a_valid_bundle_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"results\.json"):
        read_bundle(tmp_path)
    (tmp_path / "results.json").write_text('{"schema_version": "0.9", "study": {}}')
    with pytest.raises(DataError, match="schema_version"):
        read_bundle(tmp_path)


def test_every_language_has_the_same_keys_and_fields():
    assert {"en", "es"} <= set(languages())
    for language in languages():
        words = read_text(language).entries
        assert set(words) == set(EN.entries), language
        for key, sentence in EN.entries.items():
            if not key.startswith("note."):
                assert set(re.findall(r"\{(\w+)\}", sentence)) == set(re.findall(r"\{(\w+)\}", words[key])), (language, key)


def test_impact_is_written_only_where_it_is_demonstrated():
    for words in map(read_text, languages()):
        said = {k for k, v in words.entries.items() if re.search(r"\bimpact", v, re.IGNORECASE)}
        assert said == {"say.verdict.evidence.demonstrated"}


def test_every_remark_and_printed_column_has_words():
    assert {f"code.remarks.{code}" for code in REMARKS} <= set(ES.entries)
    layout = read_layout()
    virtual = {"text", "description"}
    for blocks in layout.sections.values():
        for block in (b for b in blocks if "table" in b):
            name = block.get("name", block["table"])
            assert f"table.{name}.caption" in ES.entries and (f"table.{block['table']}.short" in ES.entries or block["table"] == "")
            for column in set(block.get("columns", ())) - virtual:
                assert ES.has(f"column.{column}") or ES.has(f"table.{name}.column.{column}"), (name, column)


def test_numbers_follow_the_locale_and_not_the_language():
    assert read_text("es", "es_MX").number(1234.56, "dec1") == "1,234.6"
    assert read_text("es", "es_CO").number(1234.56, "dec1") == "1.234,6"
    assert EN.number(-0.0912, "spct") == "−9.1%" and EN.number(0.0004, "p") == "<0.001" and EN.number(0.0316, "p") == "0.032"
    assert EN.number(float("nan")) == "—" and EN.number(-0.0001, "spct") == "0.0%"
    with pytest.raises(UsageError, match="fr"):
        read_text("fr")
    with pytest.raises(UsageError, match="xx_ZZ"):
        read_text("es", "xx_ZZ")


def test_a_verdict_says_both_axes_and_merges_neither():
    words = markdown(full(), EN, {})
    assert "The target is not yet due" in words and "An impact of the programme is demonstrated" in words
    inconclusive = next(p for p in words.split("::::") if "**G2" in p)
    assert "partly met" in inconclusive and "cannot be attributed" in inconclusive and "impact" not in inconclusive
    assert "could have detected an effect of 6\\.8\\%" in inconclusive
    assert "check was not quite passed, so nothing can be taken as demonstrated: earlier trends" in words


def test_the_summary_counts_targets_and_names_the_evidence_in_words():
    words = markdown(full(), EN, {}).split("# The programme")[0].replace("\\", "")
    assert (
        "one is not yet due" in words
        and "one partly reached its target" in words
        and "1 " not in words.split("**Targets.**")[1][:200]
    )
    assert "demonstrated for G1" in words and "an effect of the size that matters ruled out for G3" in words
    undecided = full()
    rows = undecided.tables["verdicts"].rows
    place = undecided.tables["verdicts"].columns.index("evidence")
    undecided.tables["verdicts"].rows = [[*r[:place], "inconclusive", *r[place + 1 :]] for r in rows]
    assert "demonstrated for none of the" in markdown(undecided, EN, {})


def test_several_effects_read_together_are_worded_as_such():
    bundle = full()
    verdicts, indicators = bundle.table("verdicts"), bundle.table("indicators")
    chosen = verdicts["id"] == "G2"
    verdicts.loc[chosen, ["change", "nominal_change", "effect", "effect_low", "effect_high", "mde"]] = np.nan
    verdicts.loc[chosen, ["value", "target"]] = [0.03, 0.0]
    indicators.loc[indicators["id"] == "G2", "kind"] = "difference"
    again = Bundle.build(bundle.study, {"verdicts": verdicts, "indicators": indicators})
    text = markdown(again, ES, {}).replace("\\", "")
    passage = next(p for p in text.split("::::") if "**G2" in p)
    assert "La menor de las diferencias frente a empresas comparables que se leen juntas es de 3.0\xa0%; meta: > 0." in passage
    assert "En conjunto, la diferencia no puede atribuirse" in passage and "no pudo estimarse" not in passage


def test_the_balance_sentence_speaks_of_the_sample_behind_the_headline():
    rows = [("ln_workers", s, "level", d) for s, d in (("before", 0.6), ("after", 0.31), ("weighted", 0.07))]
    table = pd.DataFrame(rows, columns=["covariate", "sample", "kind", "smd"])
    said = {}
    plain = {"did": {"covariates": [], "method": "dr"}}
    for name, change in (("adjusted", {}), ("matched", {"headline": "matched"}), ("plain", plain)):
        bundle = Bundle.build(study() | change, {"balance": table})
        said[name] = SENTENCES["balance"](bundle, EN)[0].replace("\\", "")
    assert "0.07" in said["adjusted"] and "0.31" not in said["adjusted"] and "by construction" in said["adjusted"]
    assert "0.31" in said["matched"] and "0.07" not in said["matched"]
    assert "0.60" in said["plain"] and not re.search(r"0\.31|0\.07", said["plain"])


def test_the_estimator_named_is_the_one_that_carries_the_headline():
    said = {}
    for name, params in (("adjusted", study()), ("matched", study() | {"headline": "matched"}), ("plain", tiny().study)):
        said[name] = " ".join(SENTENCES["estimation"](Bundle.build(params, {}), EN)).replace("\\", "")
    assert "regression-adjusted" in said["adjusted"] and "workers (log) and branch" in said["adjusted"]
    assert "clustered by firm" in said["adjusted"] and "Poisson" in said["adjusted"]
    assert "weighted means" in said["matched"] and "clustered by matched set" in said["matched"]
    assert "regression" not in said["matched"] and "common support" not in said["matched"]
    assert "plain difference" in said["plain"] and "robust" not in said["plain"] and "takes into account" not in said["plain"]
    assert "característic" in markdown(tiny(), ES, {}) and "tomadas en cuenta" not in markdown(tiny(), ES, {})


def test_every_choice_of_the_estimation_is_told():
    chosen = {
        "method": "imputation",
        "sampling": "balanced",
        "anticipation": 2,
        "weights": "design",
        "cluster": ["branch", "firm_id"],
    }
    told = {
        "en": ("by imputation", "every period", "two years before", "column design", "joined with firm"),
        "es": ("por imputación", "todos los periodos", "dos años antes", "columna design", "unido con empresa"),
    }
    for words in (EN, ES):
        wanted = told[words.language]
        params = study() | {"did": study()["did"] | chosen}
        said = SENTENCES["estimation"](Bundle.build(params, {}), words)[0].replace("\\", "")
        assert all(w in said for w in wanted), said
        assert "not yet" not in said.replace("not yet treated", "") and "Base period" not in said
    levels = study() | {"did": study()["did"] | {"lag": "ancova"}}
    assert "the level before entry is taken as a characteristic" in SENTENCES["estimation"](Bundle.build(levels, {}), EN)[0]
    assert "the level before entry" not in SENTENCES["estimation"](full(), EN)[0]


def _printed(name: str, words=EN) -> str:
    block = next(b for s in read_layout().sections.values() for b in s if b.get("name", b.get("table")) == name)
    return printed_table(full(), block, words).replace("\\", "")


def test_the_checks_are_printed_by_outcome_each_in_its_own_unit():
    table = _printed("design_checks")
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")][2:]
    assert [r[0] for r in rows if r[0]] == list(dict.fromkeys(r[0] for r in rows if r[0]))  # a check is one group of rows
    values = {(r[0], r[2]): r[3] for r in rows}
    assert values["Common support", "whole design"] == "96.4%" and values["Earlier trends", "Real sales"] == "0.031"
    assert values["Attrition", "whole design"] == "0.06" and values["Number of clusters", "whole design"] == "6"
    assert "one year earlier" in table and "None" not in table
    said = SENTENCES["untestable"](full(), EN)[0].replace("\\", "")
    assert "earlier trends (export value) and base year (export value)" in said


def test_the_matched_firms_stand_aside_from_the_flow():
    heading = next(line for line in _printed("sample_flow").splitlines() if line.startswith("| "))
    stages = ["Register", "In evaluated branches", "Comparable", "Base survey", "Analysed", "Matched (aside)"]
    assert [c.strip() for c in heading.split("|")[2:-1]] == stages


def test_other_readings_and_faults_of_the_log_frame_are_in_the_annexes():
    readings, lint = _printed("readings"), _printed("logframe_lint")
    assert "| Closed firms as zero | −3.7%" in readings and "| Exports (US$) | +8.1%" in readings and "| Ceramics | 21" in readings
    assert "exceeds the number that could count: 94" in lint and "| Due date" not in lint
    passage = {
        i: next(p for p in markdown(full(), EN, {}).split("::::") if f"**{i}." in p).replace("\\", "") for i in ("G1", "P1", "G2")
    }
    assert "Counting surviving firms only, the change is +11.2%; with closed firms as zero, −3.7%." in passage["G1"]
    assert "firms only, the change is +10.4%; with closed firms as zero, +9.3%." in passage["P1"]
    assert "surviving" not in passage["G2"]


def test_a_primary_effect_carries_its_adjusted_p_value():
    passages = {i: next(p for p in markdown(full(), EN, {}).split("::::") if f"**{i}." in p) for i in ("G1", "P1")}
    passages = {i: p.replace("\\", "").replace("\u00a0", " ") for i, p in passages.items()}
    assert "p = 0.003; adjusted for the number of primary indicators, p = 0.008" in passages["G1"]
    assert "p = 0.210)" in passages["P1"]


def test_where_less_is_better_the_mark_of_the_target_lies_below_zero():
    assert _signed({"relevant_effect": 0.2, "direction": "decrease"}) == -0.2
    assert _signed({"relevant_effect": 0.2, "direction": "increase"}) == 0.2 and _signed({"direction": "decrease"}) is None


def test_the_difference_in_response_is_said_with_its_sign():
    caption = {
        words.language: words.say("table.response_test.caption") + words.say("table.response_test.note") for words in (EN, ES)
    }
    assert "participants minus comparison" in caption["en"] and "participants answer more" in caption["en"]
    assert "participantes menos comparación" in caption["es"] and "responden más las participantes" in caption["es"]
    assert "+4.9" in _printed("response_test")


def test_firms_left_out_are_named_in_the_workbook_only(rendered):
    assert "ZZ-F0077" in (rendered / "tables" / "firms_not_used.csv").read_text()
    cells = [c.value for row in load_workbook(rendered / "annex.es.xlsx")["firms_not_used"].iter_rows() for c in row]
    assert {"ZZ-F0077", "Cerró antes de que empezara su apoyo", "Marco de la evaluación"} <= set(cells)
    for words in (ES, EN):
        assert "ZZ" not in re.sub(r"zz\\?_\w+", "", markdown(full(), words, {}))


def test_balance_is_one_row_a_covariate_with_levels_first():
    rows = [("growth_ln_sales", "change", s, 0.1, 0.0, d, 1.1) for s, d in (("before", -0.2), ("after", 0.1))]
    rows += [("ln_workers", "level", s, 2.9, 2.4, d, 0.9) for s, d in (("before", 0.6), ("after", 0.01), ("weighted", -0.08))]
    rows += [("growth_survival", "change", "before", 0.0, 0.0, np.nan, np.nan)]
    names = ["covariate", "kind", "sample", "mean_treated", "mean_control", "smd", "variance_ratio"]
    block = next(b for b in read_layout().sections["control"] if b.get("table") == "balance")
    table = printed_table(Bundle.build(study(), {"balance": pd.DataFrame(rows, columns=names)}), block, ES).replace("\\", "")
    printed = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert [line.split("|")[1].strip() for line in printed] == ["Trabajadores (log)", "Cambio previo: Ventas reales"]
    assert "0.60 | 0.01 | −0.08" in printed[0] and "weighted" not in table


def test_messages_of_the_computation_are_translated_or_left_out():
    assert ES.reworded("one period before 1988: no change without the programme is observed").startswith(
        "sólo se observa un año antes de 1988"
    )
    assert (
        ES.reworded("12 clusters cannot tell 4 pre-programme rows apart")
        == "12 conglomerados no bastan para distinguir 4 coeficientes previos al programa"
    )
    notes = [
        Note("not_estimated", "{reason}", {"reason": "some fault nobody foresaw"}),
        Note("queries_set_missing", "{counts}", {"counts": "unit_error 9, va_above_sales 2"}),
        Note("queries_dropped", "{firms}", {"firms": "1 firm (F0141)"}),
        Note("outside_support", "{names} {n}", {"names": "branch, exp_status_baseline", "n": 3}),
    ]
    text = markdown(Bundle.build(study(), {}, notes), ES, {}).replace("\\", "")
    assert "nobody" not in text and "Posible error de unidades, 9" in text and "1 empresa" in text and "F0141" not in text
    assert "Rama, Situación exportadora inicial" in text


def test_a_column_that_a_message_quotes_has_its_words():
    reason = "cohort 2004 (Poisson): separation: 'exp_status_baseline' tells treated from comparison firms without error, so nobody is like them"
    said = markdown(Bundle.build(study(), {}, [Note("not_estimated", "{reason}", {"reason": reason})]), EN, {}).replace("\\", "")
    assert "'Initial export status'" in said and "exp_status_baseline" not in said


def test_no_code_stands_in_a_printed_report():
    for bundle in (full(), full("midterm"), tiny()):
        for words in (ES, EN):
            text = markdown(bundle, words, {}).replace("\\", "")
            prose = re.sub(r"`[^`]*`|\{[^}]*\}|zz_\w+|\$a_b\$", "", text)
            assert re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", prose) == []
            assert not re.search(r"\b(None|nan|NaN|inf|True|False)\b", prose)


def _options(name: str) -> str:
    """Every value that an option of the match takes."""
    return " ".join(map(str, get_args(MatchSpec.model_fields[name].annotation)))


CODES = {
    "attainment": "met partly_met not_met not_yet_due not_measurable infeasible",
    "evidence": " ".join(GRADES),
    "result": "pass mild fail not_testable ok warn informative",
    "passed": "yes no informative",
    "sample": "before after weighted all balanced without_other_programmes",
    "check": "support balance pre_trend base_year attrition spillover clusters amounts "
    + " ".join(CHECKS)
    + " "
    + " ".join(check for check, *_ in CHECKED),
    "rule": "support balance pre_trend pre_trend_matched base_year attrition spillover clusters amounts",
    "detail": " ".join(code for code in DETAILS if code),
    "reading": "total mean median survivors_only exits_as_zero projection leather_footwear ceramics garment",
    "row": "headline design_matched design_matched_adjusted matched_with_backups design_common_support "
    "method_dr method_ipw method_reg no_covariates earlier_base "
    "average_all_years twfe comparison_never_treated comparison_not_yet_treated business_cluster without_other_programmes "
    "match_without_outcome_level missed_50 missed_80 detrended response_weighted lee lee_tightened winsorised least_squares huber "
    "median without_cluster_municipalities without_municipalities without_dense_municipalities ring_effect dense_effect "
    "indirect_effect indirect_as_controls",
    "status": "done delayed in_progress pending cancelled matched caliper missing_covariate no_partner_in_exact_cell "
    "not_chosen pool_exhausted off_support kept_apart cohort_not_matched later_cohort reserve",
    "reason": "kept_apart cohort_not_matched reserve not_significant no_difference "
    "kept indirect ineligible other_programme same_cluster treated_in_other_programme not_linear "
    "not_estimated later_cohort query outside_branches closed_before_entry other_beneficiary missing_covariate caliper "
    "no_partner_in_exact_cell pool_exhausted not_chosen not_observed_or_off_support off_support not_among in_both_lists "
    "not_seen_always not_every_year contaminated left_out not_matched treated balanced without_other_programmes",
    "test": " ".join(STOPPED),
    "weighting": "overall cohort period event_time",
    "margin": "extensive intensive total",
    "part": "numerator denominator ratio",
    "placebo": "fake_cohort untouched pre_period pre_period_year",
    "base": "own mean own_without_recalled mean_without_recalled year_before one_earlier mean_before universal varying",
    "by": " ".join(LEFT_OUT),
    "type": " ".join(TYPES),
    "division": "dose component assistance trend per_thousand_usd",
    "group": "low middle high no yes per_step slope treated comparison " + " ".join(COMPONENTS),
    "term": "indirect direct direct_naive",
    "estimand": _options("estimand") + " mean winsorised_mean robust_location median",
    "adjusted": "plan short score nothing",
    "lag": "difference ancova",
    "outliers": " ".join(OUTLIERS),
    "question": "same other",
    "basis": "observed extrapolated one_span",
    "outcome": INDEX,
    "stage": "register evaluated comparable surveyed_base matched analysed frame pool support match queries headline outcome",
    "event": "project_start first_disbursement last_disbursement execution_end midterm final goal_due",
    "kind": "count growth difference milestone share transition level change query blocking "
    "headline tie_break row_order order seed caliper link subclasses cutpoints support moments relative_magnitude smoothness "
    + " ".join(FEW_CLUSTERS),
    "role": "treated control backup",
    "covariate": "propensity_score",
    "cohort": "all",
    "denominator": " ".join(DENOMINATORS.values()),
    "variant": "ids rows random bin sd largest smallest closest data logit probit none minmax hull crump",
    "method": " ".join((_options("method"), *METHODS)),
    "estimator": " ".join(get_args(DidSpec.model_fields["method"].annotation)),
    "distance": _options("distance"),
    "link": _options("link"),
    "order": _options("order"),
    "support": _options("support"),
    "moments": _options("moments"),
    "definition": "component2 ta_recipient beneficiary",
    "design": "common_support matched own nearest nearest_two nearest_replaced mahalanobis full cem ebal ipw "
    + " ".join((*WHOLE, *MATCHES)),
}


def test_every_code_a_bundle_may_hold_has_a_label():
    wanted = {f"code.{column}.{code}" for column, codes in CODES.items() for code in codes.split()}
    wanted |= {f"code.table.{name}" for name in TABLES} | {
        f"code.consequence.{name}" for name in TABLES if name not in ("enterprises", "survey")
    }
    assert wanted <= set(ES.entries)


def test_only_activities_past_their_date_call_for_a_measure():
    columns = ["activity_id", "description_en", "share", "status", "planned_end"]
    rows = [
        ("A1", "late", 0.2, "in_progress", "2004-06-30"),
        ("A2", "ahead", 0.0, "pending", "2006-06-30"),
        ("A3", "done", 0.9, "done", "2004-06-30"),
    ]
    said = SENTENCES["corrective"](Bundle.build(study("midterm"), {"outputs": pd.DataFrame(rows, columns=columns)}), EN)[0]
    assert "A1" in said and "A2" not in said and "A3" not in said


def test_the_midterm_is_labelled_early_and_judges_no_goal():
    words = markdown(full("midterm"), ES, {})
    assert "TEMPRAN" in words and "tbl-indicator-evolution" in words
    assert words.index("::: early") < words.index("tbl-verdict-summary") and "impacto" not in words


NOTES = (
    "no_score weight_on_one_treated weight_on_one_control fewer_subclasses beyond_window cohort_not_matched sets_unobserved "
    "sets_of_several benchmark_incomplete match_on_growth match_on_outcome_level"
)


def test_every_remark_of_the_match_has_words():
    made = [
        support_note((9, 20), after, "minmax", e)
        for e in ("att", "atc", "ate", "ato")
        for after in ((9, 20), (8, 19), (9, 19), (8, 20))
    ]
    keys = {note.key for note in made if note}
    assert keys >= {"support_att", "support_att_same", "support_atc", "support_atc_same", "support_ate", "support_ato"}
    for words in (ES, EN):
        assert all(words.has(f"note.{key}") for key in (*keys, *NOTES.split()))
        said = "\n".join(note_lines(Bundle.build(study(), {}, [n for n in made if n]), words)).replace("\\", "")
        assert not re.search(r"minmax|[{}—]", said) and ("8 of 9" in said or "8 empresas tratadas, de 9" in said)
    share = Note("weight_on_one_control", "", {"share": 0.234, "n": 40})
    assert "23.4% of the weight of 40" in markdown(Bundle.build(study(), {}, [share]), EN, {}).replace("\\", "")


def test_squares_products_and_variants_are_worded():
    none = Bundle.build({}, {})
    assert covariate_label("ln_age^2", none, EN) == "Age (log)²"
    assert covariate_label("branch=leather*ln_age", none, ES) == "Rama: Cuero × Antigüedad (log)"
    assert coded("dropped", "branch=leather, ln_age", none, EN) == "Branch: Leather, Age (log)"
    shown = [coded("variant", v, none, EN) for v in ("ids 3", "+1 bin", "0.25 sd", "× 0.5", "ln_age × 2", "closest", "8")]
    assert shown == ["Draw 3 of ties", "+1 bin", "0.25 standard deviations", "× 0.5", "Age (log) × 2", "Closest first", "8"]
    said = SENTENCES["balance_terms"](full(), EN)[0].replace("\\", "")
    assert (
        "1 of the 3 squares and products" in said and "2 within 0.25" in said and "0.31 (Branch: Leather × Chamber member)" in said
    )


def _matched(words=EN, **match) -> str:
    chosen = MatchSpec(**({"covariates": ("ln_workers", "ln_age")} | match)).model_dump(mode="json")
    params = study() | {"headline": "matched", "match": chosen}
    tables = {"orthogonality": full().table("orthogonality")}
    said = [line for name in ("estimation", "matching") for line in SENTENCES[name](Bundle.build(params, tables), words)]
    return " ".join(said).replace("\\", "")


EVERY_MATCH = [
    {"method": "optimal", "exact": ("branch",), "caliper": 0.25, "backups": 2},
    {"method": "optimal", "estimand": "atc", "ratio": 2},
    {"method": "nearest", "order": "closest", "ratio": 2, "ratio_range": (1, 3), "caliper": 0.1, "caliper_unit": "raw"},
    {
        "method": "nearest",
        "replace": True,
        "by_cohort": True,
        "window": 2,
        "distance": "mahalanobis",
        "distance_covariates": ("ln_age",),
    },
    {
        "method": "nearest",
        "replace": True,
        "reuse": 3,
        "distance": "column",
        "distance_column": "ln_age",
        "calipers": {"ln_age": 0.5},
    },
    {"method": "full", "antiexact": ("branch",), "never_together": (("a", "b"),), "estimand": "ate"},
    {"method": "subclass", "subclasses": 8, "exact": ("branch",)},
    {"method": "cem", "exact": ("branch",)},
    {"method": "cem", "covariates": (), "exact": ("branch",)},
    *({"method": "ipw", "estimand": e, "support": "crump", "link": "probit"} for e in ("att", "atc", "ate", "ato")),
    *({"method": m, "estimand": e} for m in ("ebal", "cbps") for e in ("att", "atc", "ate")),
]


@pytest.mark.parametrize("match", EVERY_MATCH, ids=lambda m: " ".join(map(str, m.values())))
def test_the_match_is_told_as_it_was_made(match):
    for words, of_sets in ((EN, r"\b(pairs?|sets?|matched set)\b"), (ES, r"\b(parejas?|conjuntos?)\b")):
        said = _matched(words, **match)
        assert "—" not in said and "{" not in said and not re.search(r"\b[a-z]+_[a-z]+\b", said)
        if match["method"] not in ("optimal", "nearest", "full"):
            assert not re.search(of_sets, said)
        assert ("con reemplazo" in said or "with replacement" in said) == bool(match.get("replace"))
        assert ("Abadie" in said) == bool(match.get("replace"))
    by_set = match["method"] in ("optimal", "full") or (match["method"] == "nearest" and not match.get("replace"))
    said = _matched(**match)
    assert ("clustered by matched set" in said) == by_set
    assert ("clustered by stratum" in said) == (match["method"] in ("subclass", "cem"))  # fewer clusters than firms: strata enough
    assert ("weights were estimated" in said) == (match["method"] in ("ipw", "ebal", "cbps"))


def test_the_clusters_of_the_study_join_those_of_the_match():
    params = study() | {"headline": "matched", "did": study()["did"] | {"cluster": "business_cluster"}}
    said = " ".join(SENTENCES["estimation"](Bundle.build(params, {}), EN))
    assert "clustered by matched set, joined with business cluster" in said
    weighting = params | {"match": {"method": "ebal", "covariates": ["ln_age"]}}
    assert "clustered by business cluster" in " ".join(SENTENCES["estimation"](Bundle.build(weighting, {}), EN))


def test_the_designs_are_shown_with_the_one_that_the_plan_chose():
    table, said = _printed("designs"), SENTENCES["designs"](full(), EN)[0].replace("\\", "")
    assert "five ways" in said and "chose optimal matching, the row “As planned”" in said and "common support, and adjust" in said
    assert "| As planned" in table and "no variation before the programme" in table and "9.4%" in table and "91.5%" in table
    foreign = _printed("designs", ES)
    assert "Sin variación antes del programa" in foreign and "Mensaje del cálculo" in foreign and "fault" not in foreign
    matched = Bundle.build(study() | {"headline": "matched"}, {"designs": full().table("designs")})
    assert "rest on that row" in SENTENCES["designs"](matched, EN)[0]


def test_the_balance_table_names_what_its_differences_divide_by():
    rows = [("ln_workers", "level", s, 2.9, 2.4, 0.1, 0.9, "control") for s in ("before", "after")]
    names = ["covariate", "kind", "sample", "mean_treated", "mean_control", "smd", "variance_ratio", "denominator"]
    block = next(b for b in read_layout().sections["control"] if b.get("table") == "balance")
    bundle = Bundle.build(study(), {"balance": pd.DataFrame(rows, columns=names)})
    assert "before matching (controls)" in printed_table(bundle, block, EN).replace("\\", "")
    assert "(empresas tratadas)" in _printed("balance", ES)


def test_a_fragile_estimate_is_a_warning_and_a_steady_one_is_not():
    steady = SENTENCES["fragility"](full(), EN)[0].replace("\\", "")
    assert "No such choice" in steady and "0.63 standard errors (real sales, width of the caliper)" in steady
    table = hidden()["fragility_summary"]
    table.loc[table["outcome"] == "ln_va_job", ["moved", "low", "high"]] = [1.32, -0.021, 0.046]
    fragile = Bundle.build(study(), {"fragility_summary": table})
    said = SENTENCES["fragility"](fragile, EN)
    assert len(said) == 1 and "**Warning.**" in said[0] and "real sales" not in said[0]
    assert "value added per job, width of the caliper (−0.021 to 0.046; up to 1.32 standard errors)" in said[0].replace("\\", "")
    assert "**Advertencia.**" in SENTENCES["fragility"](fragile, ES)[0]
    assert SENTENCES["fragility"](Bundle.build(study(), {"fragility_summary": table.assign(moved=np.nan)}), EN) == []


def _hidden(match=None, **columns) -> str:
    tables = hidden()
    tables["hidden_bias"] = tables["hidden_bias"].assign(**columns)
    params = study() | ({"match": match} if match else {})
    return "\n".join(SENTENCES["hidden_bias"](Bundle.build(params, tables), EN)).replace("\\", "")


def test_hidden_bias_claims_no_more_than_the_tables_show():
    said = _hidden()
    assert "real sales, Γ = 1.15" in said and "12.3% and 2.7%" in said and "does not say whether it exists" in said
    assert "In value added per job and average sales price the matched sets show no difference" in said
    assert "In value added per job the estimate of the regression cannot be told from zero" in said
    # the strongest characteristic takes most of the estimate away, whatever its sign
    assert "real sales, 0.063 (0.013 to 0.133), as strong as chamber member" in said
    assert "average sales price, −0.021 (−0.091 to 0.029), as strong as chamber member" in said
    nothing = _hidden(gamma=np.nan, reason="not_significant", robustness_value_significance=0.0)
    assert "Γ" not in nothing and "yardstick" not in nothing and nothing.count("nothing to explain away") == 2
    weights = _hidden({"method": "ebal"}, n_sets=0, gamma=np.nan, reason="differences by set need …")
    assert "gives it none" in weights and "nothing to explain away" in weights and not re.search(r"\bsets?\b", weights)
    unseen = _hidden(gamma=np.nan, reason="a set needs a treated firm …")
    assert "could not be computed" in unseen and "Matched sets" not in unseen


def test_the_yardstick_is_printed_for_one_outcome_and_the_sets_only_where_there_are_any():
    table = _printed("benchmarks")
    assert "Outcome: real sales." in table and table.count("| Chamber member") == 1
    block = next(b for b in read_layout().sections["robustness"] if b.get("table") == "hidden_bias" and "name" not in b)
    empty = hidden()["hidden_bias"].assign(hodges_lehmann=np.nan, n_sets=0)
    assert printed_table(Bundle.build(study(), {"hidden_bias": empty}), block, EN) is None


def test_who_was_matched_with_whom_is_in_the_workbook_in_words(rendered):
    sheet = load_workbook(rendered / "annex.es.xlsx")["match_map"]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    sides = ("empresa tratada", "empresa de control")
    assert rows[2][8:] == [f"{name}, {side}" for name in ("Trabajadores (log)", "Rama") for side in sides]
    assert (
        rows[4][2:6] == ["ZZ-F0001", "ZZ-F0895", 1, "Control"] and rows[5][5] == "De reserva" and rows[4][10:] == ["Cuero", "Cuero"]
    )
    book = load_workbook(rendered / "annex.es.xlsx")
    assert book["pair_distances"]["A5"].value == "Todas" and book["balance_terms"]["A7"].value == "Trabajadores (log)²"
    assert {"designs", "orthogonality", "fragility", "fragility_summary", "hidden_bias", "benchmarks"} <= set(book.sheetnames)


def _found(check: str, words=EN, tables=None, **changes) -> str:
    """The sentence of one check on real sales, its row changed."""
    bundle = full()
    if tables:
        frames = {name: bundle.table(name) for name in bundle.tables} | tables
        bundle = Bundle.build(bundle.study, frames)
    rows = bundle.table("sensitivity").query("outcome == 'ln_sales' and check == @check").to_dict("records")
    rows = [row | changes for row in rows]
    return finding(check, rows, bundle, words).replace("\\", "").replace("\u00a0", " ")


def test_every_sensitivity_check_has_a_sentence_with_its_numbers():
    assert list(asked_again()["sensitivity"].columns) == findings.COLUMNS
    source = Path(findings.__file__).read_text(encoding="utf-8")
    named = set(re.findall(r'yield "(\w+)"', source)) | set(re.findall(r'return "(\w+)", "informative"', source))
    assert named <= {check for check, *_ in CHECKED} and len(named) > 8
    for words in (EN, ES):
        for check in dict.fromkeys(check for check, *_ in CHECKED):
            said = _found(check, words)
            assert "—" not in said and "{" not in said and said.endswith("."), (check, said)
    assert "a drift of 3.8% a year, worth 9.8% by 2006, would have passed unseen one time in five" in _found("trend_missed")
    assert "from 0.003 to 0.058; the interval becomes −0.3% to +14.5%" in _found("business_clusters")
    assert "99.5% give an effect of the same sign" in _found("curve") and "is not a probability" in _found("curve")
    assert "the effect is +9.2%" in _found("contamination") and "lies between +5.5% and +8.1%" in _found("without_branch")
    assert "gives −3.7% (2003: p = 0.090). Such estimates are too imprecise" in _found("pre_period")
    assert "gives p = 0.351 and p = 0.092." in _found("pre_period", tables={"placebos": pd.DataFrame()})


def test_what_a_check_says_follows_its_number():
    assert "as long as departures from parallel trends after entry stay below 0.35 times" in _found("honest_relative_magnitude")
    assert "cannot be told from zero even with exactly parallel" in _found("honest_relative_magnitude", number=0.0)
    # JSON keeps no infinity: it comes back as NaN, and the intervals say which NaN it is
    assert "could not be computed" in _found("honest_smoothness", number=np.nan)
    assert "however large" in _found("honest_relative_magnitude", number=np.nan)
    assert "cannot be told from zero" in _found("group_trends") and "cannot" not in _found("group_trends", effect_low=0.01)
    assert "both sides of zero" in _found("lee_bounds", effect_low=-0.01) and "both sides" not in _found("lee_bounds")
    assert "nothing is trimmed" in _found("lee_bounds", effect_low=0.0621, effect_high=0.0621)
    assert "sees little" in _found("selective_attrition") and "other kinds" in _found("selective_attrition", number=0.01)
    assert "(four readings)" in _found("base_years") and "another base year" in _found("base_years", n=1.0)
    assert "the target of +5.0% is not" in _found("target_ruled_out")
    assert "so is the target of +5.0%" in _found("target_ruled_out", number=0.01)
    rejected = full().table("pretrend").assign(p_value=0.01)
    assert "already differed before entry" in _found("trend_missed", tables={"pretrend": rejected})


def test_one_row_a_check_and_the_least_favourable_decides():
    for words in (EN, ES):
        informs, no = words.label("passed", "informative"), words.label("passed", "no")
        text = markdown(full(), words, {}).replace("\\", "")
        body = text.split("#tbl-sensitivity .data")[1].split(":::")[0]
        rows = [[c.strip() for c in line.split("|")[1:-1]] for line in body.splitlines() if line.startswith("| ")][2:]
        assert len(rows) == len({check for check, *_ in CHECKED})
        passed = {row[0]: row[1] for row in rows}
        assert passed[words.label("check", "pre_period")] == f"[{informs}]{{.light .open}}"
        assert passed[words.label("check", "business_clusters")] == f"[{no}]{{.light .bad}}"
        others = text.split("#tbl-sensitivity-others")[1].split(":::")[0]
        assert others.count("| " + words.label("check", "curve")) == 1  # the second outcome alone
    assert "tbl-sensitivity" not in markdown(full("midterm"), EN, {})


def test_a_check_that_could_not_be_made_leaves_no_empty_table():
    refused = pd.DataFrame({"outcome": ["ln_sales"], "note": ["firms belong to no business cluster"]})
    made = ("few_clusters", "trend_power", "honest", "attrition_bounds", "placebos", "base_years", "outliers", "bacon", "subgroups")
    for words in (EN, ES):
        text = markdown(Bundle.build(study(), dict.fromkeys(made, refused)), words, {})
        assert not re.search(r"^\|\s*\|$", text, re.MULTILINE) and "CR2" not in text
        assert not any(f"#tbl-{name.replace('_', '-')}" in text for name in made)
    assert "CR2" in SENTENCES["few_clusters"](full(), EN)[0]


def test_a_placebo_outcome_is_no_result():
    placebo = {"id": "relatives", "measure": "x", "scale": "level", "direction": "increase", "untouched": True}
    params = study() | {"outcomes": [*study()["outcomes"], placebo | {"label": {"en": "Unpaid relatives (should not change)"}}]}
    bundle = full()
    frames = {name: bundle.table(name) for name in bundle.tables}
    for name in ("effects", "pretrend", "power", "att_by_period", "shares"):
        row = frames[name].iloc[:1].assign(outcome="relatives")
        frames[name] = pd.concat([row, frames[name]], ignore_index=True)
    text = markdown(Bundle.build(params, frames), EN, {}).replace("\\", "").replace("\u00a0", " ")
    said = [line for line in text.splitlines() if "npaid relatives" in line]
    assert len(said) == 2 and all("Where there can be no effect (unpaid relatives) we found" in line for line in said)
    assert "we found −0.027 (p = 0.520)" in said[0]


def test_power_parts_and_prices_are_said_in_a_sentence():
    said = {
        n: " ".join(SENTENCES[n](full(), EN)).replace("\\", "") for n in ("simulated_power", "multiplicity", "ratios", "prices")
    }
    assert "real sales, 10.5% (target 10%: 78% of the time)" in said["simulated_power"]
    assert "200 simulated" in said["simulated_power"] and "export" not in said["simulated_power"]
    assert (
        "p-values of the two primary outcomes are" in said["multiplicity"]
        and "0.009 (Holm) and 0.006 (Romano–Wolf) instead of 0.003" in said["multiplicity"]
    )
    assert "the difference is 0.08 standard deviations (p\u00a0=\u00a00.036)" in said["multiplicity"]
    assert "+6.3% is that on value added, +9.3%, set against that on jobs, +2.7%" in said["ratios"]
    assert "less in the denominator" not in said["ratios"]
    fewer = Bundle.build(study(), {"ratios": full().table("ratios").assign(share_high=-0.01)})
    assert "less in the denominator" in SENTENCES["ratios"](fewer, EN)[0]
    assert "treated, +18.0% (+12.9% in prices, +2.0% in quantity, +2.5% from the mix)" in said["prices"]
    assert "+3.9% (+11.0% in prices, −6.4% in volume)" in said["prices"]
    table = _printed("power")
    assert "| 10.5%" in table and "| 77.5%" in table
    margins = _printed("margins")
    assert "+20.3\u00a0pp" in margins and "−1.0%" in margins and "conditional" in margins
    shares = _printed("shares")
    assert "| 18.4% | 13.1% to 25.2% | +12.2" in shares and "| 101.0% | —" in shares
    assert "| never |" in _printed("bacon") and "| always |" in _printed("bacon")


def test_every_remark_raised_in_the_source_has_words():
    keys = set()
    for path in Path(findings.__file__).parents[1].rglob("*.py"):
        if "report" not in path.parts:
            keys |= set(re.findall(r'\bNote\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    assert len(keys) > 40
    for words in (EN, ES):
        assert sorted(k for k in keys if not words.has(f"note.{k}")) == []


def test_what_a_remark_names_is_worded():
    drawn = {"outcome": "ln_sales", "moved": 12, "n": 900, "share": 0.01, "rest": 0.99}
    notes = [Note("winsorised", "", drawn), Note("margin_undefined", "", {"margin": "intensive", "reason": "few firms"})]
    notes += [Note("no_group_effect", "", {"group": "ceramics", "reason": "few firms"})]
    said = note_lines(Bundle.build(study(), {}, notes), EN)[0].replace("\\", "")
    assert "(Real sales): 12 of 900, to the quantiles 1.0% and 99.0%" in said and "(Ceramics): few firms" in said
    assert "Intensive: amount of those" in said


def test_absent_tables_become_one_gap_sentence_a_section():
    for words in (EN, ES):
        text = markdown(tiny(), words, {})
        sections = re.split(r"^# ", text, flags=re.MULTILINE)[1:]
        assert all(s.count("::: gap") <= 1 for s in sections)
        assert "tbl-effects-summary" in text and re.search(r"−26\\\.7\u00a0?\\%", text)
    empty = Bundle.build(study(), {}, (), {})
    assert "::: gap" in markdown(empty, EN, {})


def test_notes_fall_back_on_english_and_repeat_once():
    notes = [
        Note("few_clusters", "x {n} {df}", {"n": 6, "df": 5}),
        Note("few_clusters", "x {n} {df}", {"n": 4, "df": 3}),
        Note("new", "said {a}", {"a": 1}),
    ]
    text = markdown(Bundle.build(study(), {}, notes), ES, {})
    assert (
        text.count("Los errores estándar se apoyan") == 1
        and ES.say("say.more_notes.one").strip("()") in text.replace("\\", "")
        and "said 1" in text
    )


def test_hostile_text_is_escaped_in_a_table():
    table = printed_table(full(), {"table": "corrections", "columns": ["table", "source"]}, EN)
    assert escape(HOSTILE) in table and "<script>" not in table
    assert listing(["a", "b", "c"], ES) == "a, b y c"


def test_each_format_holds_the_verdict_table_and_no_markup_from_data(rendered):
    for language, words in (("es", "No concluyente"), ("en", "Inconclusive")):
        html = (rendered / f"report.{language}.html").read_text()
        assert words in html and "&lt;script&gt;" in html
        assert len(re.findall("<script", html)) == 1  # ours, at the end of the page
        assert not re.search(r'(src|href)="(https?:)?//', html) and "url(http" not in html
        assert not re.search(r"<img(?![^>]*alt=\"[^\"]+\")[^>]*>", html)
        with zipfile.ZipFile(rendered / f"report.{language}.docx") as book:
            body = book.read("word/document.xml").decode()
            assert words in body and 'descr="' in body and "TOC1" in body
        assert (rendered / f"report.{language}.pdf").read_bytes().startswith(b"%PDF")


def test_captions_are_numbered_in_order(rendered):
    html = (rendered / "report.en.html").read_text()
    for word in ("Table", "Figure"):
        numbers = [int(n) for n in re.findall(rf"<strong>{word}\s(\d+)\.</strong>", html)]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) > 5


def test_the_annex_is_the_same_bytes_at_another_hour(tmp_path):
    first = workbook(full(), ES, tmp_path / "a.xlsx").read_bytes()
    time.sleep(2.1)  # a zip keeps time in steps of two seconds
    assert workbook(full(), ES, tmp_path / "b.xlsx").read_bytes() == first
    assert load_workbook(tmp_path / "b.xlsx").properties.modified.year == 2007


def test_rendering_twice_gives_the_same_bytes(tmp_path):
    first, second = save(tiny(), tmp_path / "a"), save(tiny(), tmp_path / "b")
    made = render(first, ["en"])
    render(second, ["en"])
    for path in [*made, *(first / "figures").glob("*.png")]:
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes(), path.name


OTHER_MATCHES = {
    "ebal": ({"exact": (), "caliper": None}, "entropy balancing", "clustered by firm"),
    "full": ({}, "full matching", "clustered by matched set"),
    "nearest": ({"replace": True}, "with replacement", "Abadie and Imbens"),
}


@pytest.mark.slow
@pytest.mark.parametrize("method", OTHER_MATCHES)
def test_a_report_on_another_match_is_true_of_it(method, tmp_path):
    choices, name, errors = OTHER_MATCHES[method]
    root = Path(__file__).parents[1]
    planned = read_study(root / "params" / "guanajuato_final.yaml")
    chosen = planned.match.changed({"method": method} | choices)
    folder = save_evaluation(evaluate(planned.model_copy(update={"headline": "matched", "match": chosen})), tmp_path)
    render(folder, ["en"])
    html = (folder / "report.en.html").read_text()
    said = " ".join(re.sub(r"<[^>]+>", " ", html.split("<main")[-1]).split())
    assert name in said and errors in said and "rest on that row" in said
    if method == "ebal":
        assert not re.search(r"\b(matched sets?|pairs)\b", said) and "gives it none" in said
    assert not re.search(r"Message of the computation|\b(nan|None)\b", said)


def _printed_tables(bundle: Bundle, words) -> dict[str, str]:
    """The Markdown of every table that the report of this bundle prints, by name."""
    text = markdown(bundle, words, {})
    found = re.findall(r"::: \{#tbl-([\w-]+) [^}]*\}\n(.*?)\n:::\n?", text, re.DOTALL)
    assert len({name for name, _ in found}) == len(found), "a table is printed twice"
    return dict(found)


@pytest.mark.parametrize("stage", ["baseline", "midterm", "final", "expost"])
def test_the_programme_side_is_printed_in_words_and_headings_differ(stage):
    for words in (ES, EN):
        tables = _printed_tables(whole(stage), words)
        tables.pop("inputs", None)  # two files stand side by side
        for name, table in tables.items():
            headings = [cell.strip() for cell in table.splitlines()[0].strip("|").split(" | ")]
            assert len(set(headings)) == len(headings), (name, headings)
        prose = re.sub(r"`[^`]*`|\{[^}]*\}|zz_\w+|\$a_b\$", "", markdown(whole(stage), words, {}).replace("\\", ""))
        keys = set(whole(stage).table("deviations")["key"])  # names of params, as their file has them
        assert set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", prose)) <= {part for key in keys for part in key.split(".")}
        assert not re.search(r"\b(nan|NaN|inf|True|False)\b|\| None \|", prose)
        assert not re.search(r"\bF\d{4}\b", prose), "paper names no firm"


def test_every_table_of_the_outline_is_in_the_fixture_and_in_the_annex(tmp_path):
    bundle, layout = whole(), read_layout()
    asked = {block["table"] for blocks in layout.sections.values() for block in blocks if "table" in block}
    assert asked - set(bundle.tables) <= {"system_steps"}  # only where the system itself was rated
    book = load_workbook(workbook(bundle, ES, tmp_path / "annex.xlsx"))
    assert {name[:31] for name in bundle.tables if bundle.has(name)} <= set(book.sheetnames)


def test_every_figure_of_the_programme_side_is_drawn(tmp_path):
    wanted = {"s_curve", "cofinancing_path", "counterpart_path", "satisfaction", "response_map"}
    wanted |= {"return_distribution", "tornado", "benchmark_forest"}
    for words in (ES, EN):
        drawn = draw(whole(), tmp_path, words)
        assert wanted <= set(drawn)
        assert all(path.stat().st_size > 1000 for path in drawn.values())


def test_the_summary_gives_delivery_and_return_in_two_lines_at_most():
    said = SENTENCES["programme_lines"]
    lines = said(whole(), EN)[0].splitlines()
    assert [line.split("**")[1] for line in lines] == ["Delivery.", "Return."]
    assert "200 direct beneficiaries" in lines[0] and "US$" in lines[0] and "net present value" in lines[1]
    assert "million" in lines[0] and SENTENCES["in_short"](whole(), EN)[0].endswith("\n".join(lines))
    assert [line.split("**")[1] for line in said(whole(), ES)[0].splitlines()] == ["Ejecución.", "Rendimiento."]
    assert len(said(whole(without=("return", "coverage")), EN)[0].splitlines()) == 1
    assert said(whole(without=("return", "coverage", "budget", "counterpart")), EN) == []
    effects = whole().table("return").assign(note="what_if")
    unsure = Bundle.build(study(), {"return": effects})
    assert "what-if" in said(unsure, EN)[0]


def _with(table: str, **columns) -> Bundle:
    return Bundle.build(study(), {table: whole().table(table).assign(**columns)})


def test_sentences_of_the_programme_side_count_in_words():
    cap = {n: SENTENCES["paid"](_with("cap", n_over=n), EN)[0] for n in (0, 1, 2)}
    assert cap[0].startswith("No firm received") and cap[1].startswith("One firm received")
    assert cap[2].startswith("Two firms received")
    late = SENTENCES["paid"](_with("counterpart", behind=True), ES)[0]
    assert "rezagada" in late and "rezagada" not in SENTENCES["paid"](_with("counterpart", behind=False), ES)[0]
    kept = SENTENCES["departed"](_with("plan_status", n_deviations=0, n_estimates=0), EN)[0]
    one = SENTENCES["departed"](_with("plan_status", n_deviations=1, n_estimates=1), EN)[0]
    many = SENTENCES["departed"](_with("plan_status", n_deviations=3, n_estimates=2), EN)[0]
    assert "kept without change" in kept and "moves" not in kept
    assert "One decision differs" in one and "one moves estimates" in one
    assert "Three decisions differ" in many and "two move estimates" in many
    assert "moves no estimate" in SENTENCES["departed"](_with("plan_status", n_deviations=3, n_estimates=0), EN)[0]
    assert "No plan was fixed" in SENTENCES["departed"](_with("plan_status", status="no_lock"), EN)[0]
    flags = whole().table("opinion_flags").assign(by="component", component="2.1", item="environment")
    scores = whole().table("satisfaction")
    words = [
        SENTENCES["divided"](Bundle.build(study(), {"satisfaction": scores, "opinion_flags": f}), EN)[0] for f in (flags, flags[:0])
    ]
    assert "on one point" in words[0] and words[1].startswith("In no component")
    two = pd.concat([flags, flags.assign(item="design")])
    assert "these points" in SENTENCES["divided"](Bundle.build(study(), {"satisfaction": scores, "opinion_flags": two}), EN)[0]
    unplanned = SENTENCES["reached"](_with("coverage", planned=np.nan, potential=np.nan), EN)[0]
    assert "No number of direct beneficiaries was fixed" in unplanned and "potential" not in unplanned
    assert "potential" in SENTENCES["reached"](whole(), EN)[0]
    for name in ("reached", "paid", "advanced", "divided", "returned", "departed", "programme_lines"):
        assert SENTENCES[name](Bundle.build(study(), {}), ES) == []


def test_a_block_may_keep_the_newest_round_and_the_levels_it_judges():
    frame = pd.DataFrame({"wave": ["final", "midterm", "final"], "n": [1, 2, 3]})
    order = {"newest": {"wave": ["midterm", "final", "expost"]}}
    assert chosen_rows(frame, order)["n"].tolist() == [1, 3]
    assert chosen_rows(frame[1:2], order)["n"].tolist() == [2]
    assert len(chosen_rows(frame.assign(wave="other"), order)) == 3
    upper = "\n".join(verdict_paragraphs(full(), EN, ["goal", "purpose"]))
    lower = "\n".join(verdict_paragraphs(full(), EN, ["component", "activity"]))
    assert "**G1." in upper and "**C2\\.2." not in upper and "**C2\\.2." in lower and "**G1." not in lower


def test_when_the_baseline_was_measured_is_told_in_months_and_shares():
    rows = [
        ("months_interview_to_start", 9, -6.01, "months", 12.0, "within"),
        ("interviewed_after_start", 9, 0.5, "share", np.nan, "observed"),
    ]
    frame = pd.DataFrame(rows, columns=["check", "n", "value", "unit", "limit", "status"])
    block = next(b for b in read_layout().sections["credibility"] if b.get("table") == "survey_dates")
    table = printed_table(Bundle.build(study("baseline"), {"survey_dates": frame}), block, EN)
    assert "| −6.0 |" in table.replace("\\", "") and "| 50.0% |" in table.replace("\\", "")


def test_a_baseline_study_misses_no_verdict_and_says_what_it_will_not_see():
    text = markdown(whole("baseline", without=("verdicts", "effects", "sample_flow")), EN, {})
    assert EN.say("say.answer.unseen_ahead", {"outcomes": "x"}).split("x")[0] in text.replace("\\", "")
    assert EN.entries["table.verdicts.short"] not in "".join(re.findall(r"::: gap\n(.*?)\n:::", text, re.DOTALL))


def test_an_activity_without_a_quantity_has_no_progress_to_speak_of():
    outputs = full().table("outputs").assign(share=np.nan, planned_end="2005-01-01", status="delayed")
    said = SENTENCES["corrective"](Bundle.build(study(), {"outputs": outputs}), EN)[0]
    assert "no quantity reported (delayed;" in said and "—" not in said


def test_a_reading_of_a_group_and_a_year_is_worded():
    assert coded("reading", "leather_footwear 2004", full(), EN) == "Leather and footwear 2004"
