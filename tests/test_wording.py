"""What the verdict sentences may say, for every combination of target, evidence, stage, kind, sign and power, in both languages."""

from __future__ import annotations

import itertools
import re

import pandas as pd
import pytest

from pipeval.report.bundle import Bundle
from pipeval.report.judgement import ATTAINMENT, EVIDENCE, answer, verdict_paragraphs
from pipeval.report.labels import in_sentence
from pipeval.report.sentences import SENTENCES
from pipeval.report.text import Text, read_text

NAN = float("nan")
KINDS = ("growth", "count", "transition", "share", "milestone", "difference", "joint")
GRADED = EVIDENCE[:5]

IMPACT = re.compile(r"impact", re.IGNORECASE)
NO_EFFECT = re.compile(
    r"no effect|without effect|did not work|not effective|sin efecto|ningún efecto|no hay efecto|no (tuvo|tiene) efecto|no funcion",
    re.IGNORECASE,
)
JUDGED = {
    "en": re.compile(r"target was (partly )?met|was not met|reached (its|the) target|did not reach", re.IGNORECASE),
    "es": re.compile(r"se cumplió|no se cumplió|alcanzó su meta|no alcanzó", re.IGNORECASE),
}
CAUSE = {
    "en": re.compile(r"contribut|caused|thanks to|because of the programme|demonstrated|proof that|attributable", re.IGNORECASE),
    "es": re.compile(r"contribu|causó|gracias al|debido al programa|demostrad|indicios|atribuible", re.IGNORECASE),
}
EARLY = {"en": "EARLY", "es": "TEMPRANO"}


@pytest.fixture(params=["es", "en"])
def text(request) -> Text:
    return read_text(request.param)


def judged(attainment: str, evidence: str, kind: str, sign: int = 1, power: str = "powered", **changes) -> dict:
    """One row of the verdict table as it would stand there, in numbers that fit its kind and grade."""
    share = kind in ("growth", "share", "difference")
    compared = evidence in GRADED or evidence == "not_assessed"
    single = compared and kind not in ("difference", "joint") and evidence != "not_assessed"
    size = 0.08 if share else 12.3
    level = "component" if kind in ("count", "milestone", "joint") else "purpose"
    row = {
        "id": "P1", "level": level, "text_es": "Indicador", "text_en": "Indicator", "attainment": attainment, "evidence": evidence,
        "baseline": 100.0 if kind == "growth" else NAN, "current": 108.0 if kind == "growth" else NAN,
        "change": sign * 0.08 if kind == "growth" else NAN, "nominal_change": sign * 0.2 if kind == "growth" else NAN,
        "value": (sign * 0.08 if share else 1.0) if attainment != "not_measurable" else NAN,
        "target": 0.1 if share else 2.0, "unit": "share" if share else "firms", "direction": "increase",
        "due": "2008-07-01" if attainment == "not_yet_due" else "2006-07-01",
        "projection": sign * 0.12 if attainment == "not_yet_due" and kind == "growth" else NAN, "n": 139,
        "effect": sign * size if single else NAN, "effect_low": sign * size - 0.05 if single else NAN,
        "effect_high": sign * size + 0.05 if single else NAN, "p_value": 0.031 if single else NAN, "p_adjusted": NAN,
        "mde": {"powered": 0.05, "underpowered": 0.3, "unknown": NAN}[power] if single and share else NAN,
        "relevant_effect": 0.1 if share else 2.0, "gross": 22.4 if kind == "transition" else NAN,
        "expected": 9.7 if kind == "transition" else NAN, "oecd_step": 5.0 if compared else 1.0, "sms": 3.0 if compared else NAN,
        "lights": "", "document": "Minutes" if kind == "milestone" else "", "verified": 0.5 if kind == "milestone" else NAN,
        "remarks": "cannot_detect_target" if power == "underpowered" and evidence == "inconclusive" else "",
    }  # fmt: skip
    if attainment == "not_measurable":
        row |= {"change": NAN, "nominal_change": NAN, "current": NAN}
    return row | changes


def paragraphs(rows: list[dict], kinds: list[str], text: Text, stage: str = "final") -> dict[str, str]:
    """The passage of each row, by its id."""
    study = {
        "study": "by_hand",
        "stage": stage,
        "as_of": "2007-03-31",
        "did": {"level": 0.95},
        "money": {"headline": "real", "base_year": 2003},
        "outcomes": [],
    }
    ids = [row["id"] for row in rows]
    tables = {"verdicts": pd.DataFrame(rows), "indicators": pd.DataFrame({"id": ids, "kind": kinds})}
    shown = [p for p in verdict_paragraphs(Bundle.build(study, tables), text) if p.startswith(":::: verdict")]
    return {re.search(r"\*\*(\w+)\. ", passage)[1]: passage for passage in shown}


def paragraph(row: dict, kind: str, text: Text, stage: str = "final") -> str:
    return paragraphs([row], [kind], text, stage)[row["id"]]


def bare(paragraph: str) -> str:
    """The sentences without markup and without the two lights, which are labels."""
    lines = [line for line in paragraph.splitlines() if "{.light" not in line and not line.startswith(":::")]
    return re.sub(r"\\(.)", r"\1", " ".join(line for line in lines if line))


def possible(attainment: str, evidence: str, stage: str, kind: str, sign: int, power: str) -> bool:
    """Combinations that the verdict table can hold; what the sample can detect is told of inconclusive rows only."""
    if kind == "milestone" or (kind in ("count", "share") and evidence in GRADED):
        return evidence == "descriptive" and power == "unknown"
    return not (kind == "joint" and attainment == "infeasible") and (evidence == "inconclusive" or power == "unknown")


STAGES = ("midterm", "final", "expost")
POWERS = ("powered", "underpowered", "unknown")
CASES = [c for c in itertools.product(ATTAINMENT, EVIDENCE, STAGES, KINDS, (1, -1), POWERS) if possible(*c)]


@pytest.fixture(scope="module")
def said() -> dict[str, list[tuple[tuple, str, str]]]:
    """Every case with its passage and the bare sentences of it, by language."""
    found: dict[str, list] = {}
    for language, stage in itertools.product(("es", "en"), STAGES):
        cases = {f"P{i}": case for i, case in enumerate(CASES) if case[2] == stage}
        rows = []
        for key, (attainment, evidence, _, kind, sign, power) in cases.items():
            row = judged(attainment, evidence, kind, sign, power, id=key)
            early = ["early"] if stage == "midterm" and evidence in GRADED else []
            rows.append(row | {"remarks": ";".join([c for c in (row["remarks"], *early) if c])})
        shown = paragraphs(rows, [case[3] for case in cases.values()], read_text(language), stage)
        assert set(shown) == set(cases)
        found.setdefault(language, []).extend((cases[key], passage, bare(passage)) for key, passage in shown.items())
    return found


@pytest.mark.parametrize("language", ["es", "en"])
def test_impact_is_said_only_of_what_is_demonstrated(said, language):
    mentioned = {(case[1], case[2] == "midterm") for case, _, words in said[language] if IMPACT.search(words)}
    assert mentioned == {("demonstrated", False)}  # and not yet at the midterm


@pytest.mark.parametrize("language", ["es", "en"])
def test_no_sentence_takes_imprecision_for_absence(said, language):
    assert not [case for case, _, words in said[language] if NO_EFFECT.search(words)]


@pytest.mark.parametrize("language", ["es", "en"])
def test_what_is_not_yet_due_is_neither_met_nor_missed(said, language):
    spoken = [words for case, _, words in said[language] if case[0] == "not_yet_due"]
    assert spoken and not [w for w in spoken if JUDGED[language].search(w)]
    met = [words for case, _, words in said[language] if case[0] == "met"]
    assert met and all(JUDGED[language].search(w) for w in met)


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_comparison_at_the_midterm_is_called_early(said, language):
    for case, _, words in said[language]:
        if case[2] == "midterm" and case[1] in GRADED:
            assert EARLY[language] in words, case
        if case[2] != "midterm":
            assert EARLY[language] not in words, case


@pytest.mark.parametrize("language", ["es", "en"])
def test_what_is_only_described_speaks_of_no_cause(said, language):
    spoken = [words for case, _, words in said[language] if case[1] == "descriptive"]
    assert spoken and not [w for w in spoken if CAUSE[language].search(w)]


@pytest.mark.parametrize("language", ["es", "en"])
def test_only_indications_and_proof_speak_of_a_contribution(said, language):
    claims = {"en": r"signs.*that the programme contributed|contribution of the programme is", "es": r"indicios|queda demostrada"}
    grades = {case[1] for case, _, words in said[language] if re.search(claims[language], words)}
    assert grades == {"demonstrated", "indicative"}


@pytest.mark.parametrize("language", ["es", "en"])
def test_nothing_is_left_unfilled(said, language):
    for case, shown, words in said[language]:
        plain = shown.replace("\\", "")
        assert not re.search(r"\{\w+\}|\bnan\b|\bNone\b|—", plain), (case, plain)
        assert "  " not in words and " ." not in words and " ," not in words and ".." not in words, (case, words)
        assert "()" not in words and ": ;" not in words and ": ." not in words, (case, words)


@pytest.mark.parametrize("language", ["es", "en"])
def test_an_inconclusive_row_says_what_the_sample_could_have_seen(said, language):
    told = {"en": "could have detected an effect of", "es": "podía detectar un efecto de"}[language]
    for case, _, words in said[language]:
        if case[1] == "inconclusive" and case[3] in ("growth",) and case[2] != "midterm":
            assert (told in words) == (case[5] != "unknown"), case
        if case[5] == "underpowered" and case[1] == "inconclusive" and case[3] == "growth":
            assert {"en": "could not have detected", "es": "no podía"}[language] in words.replace("no habría podido", "no podía"), (
                case
            )


# ---- one row at a time


def test_a_count_of_one_is_singular(text):
    one, many = ("1 firm", "22 firms") if text.language == "en" else ("1 empresa", "22 empresas")
    first = bare(paragraph(judged("not_met", "descriptive", "count", value=1.0), "count", text))
    assert re.search(rf"{one}(?!s)", first) and many not in first
    assert many in bare(paragraph(judged("not_met", "descriptive", "count", value=22.0), "count", text))
    none = bare(paragraph(judged("not_met", "descriptive", "count", value=0.0), "count", text))
    assert re.search(r"\b0 (firms|empresas)", none)


def test_an_effect_on_a_count_is_in_firms(text):
    words = bare(paragraph(judged("not_met", "indicative", "transition"), "transition", text))
    assert re.search(r"12\.3 (firms|empresas)", words) and "22.4" in words and "9.7" in words


def test_a_unit_without_words_stands_as_a_number(text):
    words = bare(paragraph(judged("met", "descriptive", "count", unit="parrots"), "count", text))
    assert re.search(r"(Observed value|Valor observado): 1;", words) and "parrots" not in words


def test_a_target_that_was_never_stated_is_not_printed(text):
    for kind in ("share", "growth"):
        row = judged("not_measurable", "descriptive", kind, target=NAN, value=0.02, remarks="target_not_stated")
        row |= {"change": 0.02, "nominal_change": 0.05} if kind == "growth" else {}
        words = bare(paragraph(row, kind, text))
        assert "—" not in words and re.search(r"2\.0\s?%", words.replace("\xa0", " "))
        assert text.say("say.verdict.attainment.no_target") in words
        assert text.say("say.verdict.attainment.not_measurable") not in words


def test_without_a_due_date_none_is_printed(text):
    row = judged("not_yet_due", "not_assessed", "growth", due=None)
    words = bare(paragraph(row, "growth", text, "midterm"))
    assert "—" not in words and text.say("say.verdict.attainment.not_yet_due_undated") in words


@pytest.mark.parametrize(("share", "key"), [(1.0, "seen"), (0.0, "unseen"), (0.5, "partly")])
def test_a_document_is_named_with_whether_it_was_seen(text, share, key):
    row = judged("met", "descriptive", "milestone", document="Acta *7*", verified=share)
    shown = paragraph(row, "milestone", text)
    expected = text.say(f"say.verdict.document.{key}", {"document": "Acta *7*", "share": text.number(share, "pct0")})
    assert expected in bare(shown) and "\\*7\\*" in shown  # a name can never become markup
    two = judged("met", "descriptive", "milestone", document="Acta 7; Acta 8", verified=share)
    said = {"seen": "seen_many", "unseen": "unseen_many"}.get(key, key)
    several = text.say(f"say.verdict.document.{said}", {"document": "Acta 7; Acta 8", "share": text.number(share, "pct0")})
    assert several in bare(paragraph(two, "milestone", text))
    assert text.say("say.verdict.customs", {"share": text.number(0.97, "pct0")}) in bare(
        paragraph(judged("met", "indicative", "growth", verified=0.97), "growth", text)
    )
    assert "Minutes" not in bare(paragraph(judged("met", "descriptive", "milestone", verified=NAN), "milestone", text))


def test_the_kind_of_evidence_stands_under_what_was_compared_only(text):
    sign = {"en": "Maryland", "es": "Maryland"}[text.language]
    assert sign in bare(paragraph(judged("met", "indicative", "growth"), "growth", text))
    for evidence in ("descriptive", "not_assessed"):
        assert sign not in bare(paragraph(judged("met", evidence, "growth"), "growth", text))


def test_rows_read_together_have_sentences_of_their_own(text):
    for kind in ("difference", "joint"):
        for evidence in GRADED:
            words = bare(paragraph(judged("partly_met", evidence, kind), kind, text))
            assert text.say(f"say.verdict.joint.{evidence}") in words
        met = bare(paragraph(judged("met", "not_assessed", kind), kind, text))
        assert text.say("say.verdict.evidence.not_assessed") in met


def test_the_answer_claims_no_more_than_its_rows(text):
    rows = [judged("met", grade, "growth", id=f"P{i}", level="purpose") for i, grade in enumerate(EVIDENCE)]
    study = {"study": "by_hand", "stage": "final", "did": {"level": 0.95}, "outcomes": []}
    short = "\n".join(answer(Bundle.build(study, {"verdicts": pd.DataFrame(rows)}), text))
    assert not IMPACT.search(short) and not NO_EFFECT.search(short)
    assert re.search(r"(demonstrated for|demostrada en|demostrad\w+ (en|para)) P0", short)


def test_a_failed_check_and_not_precision_is_named_as_the_reason(text):
    row = judged("not_met", "inconclusive", "growth", remarks="check_fail=amounts")
    shown = paragraph(row, "growth", text)
    reason = text.say("code.remarks.check_fail", {"value": in_sentence(text.label("check", "amounts"))})
    assert reason in bare(shown.split("::: howto")[0]) and bare(shown).count(reason) == 1
    assert text.number(0.05, "pct") not in bare(shown.split("::: howto")[0])  # what the sample could have seen


def test_where_all_fare_alike_the_answer_counts_them_once(text):
    study = {"study": "by_hand", "stage": "final", "did": {"level": 0.95}, "outcomes": []}
    told = {
        "en": {1: "The only purpose indicator reached its target.", 2: "Each of the two purpose indicators reached its target."},
        "es": {1: "el único indicador de", 2: "En los dos indicadores de"},
    }[text.language]
    for number, words in told.items():
        rows = [judged("met", "indicative", "growth", id=f"P{i}", level="purpose") for i in range(number)]
        assert words in "\n".join(answer(Bundle.build(study, {"verdicts": pd.DataFrame(rows)}), text))
    rows = [judged(a, "indicative", "growth", id=a, level="purpose") for a in ("met", "not_met")]
    short = "\n".join(answer(Bundle.build(study, {"verdicts": pd.DataFrame(rows)}), text))
    assert {"en": "one reached its target and one did not", "es": " y una no"}[text.language] in short


def test_a_chosen_share_has_no_idle_decimals_and_a_loss_has_its_sign_first(text):
    power = pd.DataFrame({"design": "adjusted", "outcome": ["ln_sales"], "mde_share": [0.1], "detectable": [True], "reason": [""]})
    study = {"study": "by_hand", "stage": "final", "power": {"power": 0.8, "alpha": 0.025}, "outcomes": []}
    said = SENTENCES["power"](Bundle.build(study, {"power": power}), text)[0].replace("\\", "").replace("\xa0", "")
    assert "80%" in said and "2.5%" in said and "80.0" not in said
    drawn = {"measure": "npv_usd", "central": 9e5, "drawn_low": -1.2e6, "drawn_high": 3e6, "share_positive": 0.7, "note": ""}
    said = SENTENCES["returned"](Bundle.build(study, {"return": pd.DataFrame([drawn])}), text)[0]
    assert "−US$\xa01.20" in said.replace("\\", "") and "US$\xa0−" not in said  # and no line ends between them
