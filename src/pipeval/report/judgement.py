"""What may be claimed, in words: the answer of the summary and one passage an indicator. Attainment and evidence are never merged.

The word that claims most stands in one template alone, that of the grade *demonstrated*.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from .bundle import Bundle
from .labels import in_sentence, outcome_label
from .tables import formatted, light, results
from .text import Text, by_language, escape, in_language

ATTAINMENT = ("met", "partly_met", "not_met", "not_yet_due", "not_measurable", "infeasible")
EVIDENCE = ("demonstrated", "adverse", "target_ruled_out", "indicative", "inconclusive", "descriptive", "not_assessed")
LEVELS = ("goal", "purpose", "component", "activity")
_UPPER = ("goal", "purpose")
# Readings of the wording and what holds for the whole study; a check that failed or nearly so stays under its indicator.
_HOISTED = ("reading_", "secondary", "target_illustrative", "check_not_testable")
_NAMED = 4  # outcomes that a sentence names
_SHARED_FROM = 3  # a reading that stands under so many indicators is said once, before them


def answer(bundle: Bundle, text: Text) -> list[str]:
    """The answer in a few lines: targets reached, evidence for goals and purposes, what the sample could not have seen."""
    verdicts = bundle.table("verdicts")
    if verdicts.empty:
        ahead = _unseen(bundle, text) if bundle.study.get("stage") == "baseline" else ""
        return [f"- {ahead}"] if ahead else []
    upper = verdicts[verdicts["level"].isin(_UPPER)]
    lower = verdicts[~verdicts["level"].isin(_UPPER)]
    reached = [_attained(rows, f"say.answer.{name}", text) for name, rows in (("upper", upper), ("lower", lower)) if len(rows)]
    lines = [" ".join(reached), _evidenced(upper, bundle, text), _unseen(bundle, text)]
    return ["\n".join(f"- {line}" for line in lines if line)]


def verdict_paragraphs(bundle: Bundle, text: Text, levels: Iterable[str] = LEVELS) -> list[str]:
    """A passage an indicator of these levels, under its level's heading: what was observed, what is attributed, how to read it."""
    rows = [row for row in bundle.table("verdicts").to_dict("records") if row.get("level") in levels]
    kinds = dict(zip(bundle.table("indicators").get("id", ()), bundle.table("indicators").get("kind", ()), strict=True))
    shared = _shared_readings(rows)
    paragraphs = []
    if shared:
        items = [f"- {_remark(code, text).removesuffix('.')} ({escape(', '.join(ids))})." for code, ids in shared.items()]
        paragraphs.append(text.say("say.verdict.shared") + "\n\n" + "\n".join(items))
    for level in (level for level in LEVELS if level in levels):
        here = [row for row in rows if row.get("level") == level]
        if here:
            paragraphs.append(f"## {escape(text.label('level_heading', level))} {{#sec-verdicts-{level}}}")
            paragraphs += [_verdict(row | {"kind": kinds.get(row["id"])}, shared, bundle, text) for row in here]
    return paragraphs


def listing(items: Iterable[str], text: Text, escaped: bool = False) -> str:
    """The items as a phrase: "a, b and c"."""
    items = [i if escaped else escape(i) for i in items]
    separator = "; " if any(", " in i for i in items) else ", "
    if len(items) < 2:
        return "".join(items)
    return separator.join(items[:-1]) + (";" if separator == "; " else "") + f" {text.say('and')} " + items[-1]


def tally(key: str, count: int, text: Text) -> str:
    """A counted phrase, singular or plural."""
    return text.say(f"{key}.{'one' if count == 1 else 'many'}", {"n": text.counted(count)})


def _attained(rows: pd.DataFrame, lead: str, text: Text) -> str:
    """How many reached their target and how many did not; where all fare alike, "each of the three", not "of the three, three"."""
    counts = {code: n for code in ATTAINMENT if (n := int((rows["attainment"] == code).sum()))}
    values = {"n": text.counted(len(rows)), "levels": _levels(rows, text)}
    if len(counts) == 1:
        parts = text.say(f"say.answer.attainment.{next(iter(counts))}.only")
        return text.say(f"{lead}.{'one' if len(rows) == 1 else 'each'}", values | {"parts": parts})
    parts = [tally(f"say.answer.attainment.{code}", n, text) for code, n in counts.items()]
    return text.say(f"{lead}.many", values | {"parts": listing(parts, text, escaped=True)})


def _levels(rows: pd.DataFrame, text: Text) -> str:
    return listing([text.label("level_word", level) for level in LEVELS if (rows["level"] == level).any()], text)


def _evidenced(rows: pd.DataFrame, bundle: Bundle, text: Text) -> str:
    shown = rows["evidence"].isin(EVIDENCE[:5])
    none = shown.any() and not (rows["evidence"] == "demonstrated").any() and bundle.study.get("stage") != "midterm"
    parts = [text.say("say.answer.evidence.none_demonstrated", {"levels": _levels(rows, text)})] if none else []
    names = _names(bundle, text)
    for code in EVIDENCE:
        ids = list(rows.loc[rows["evidence"] == code, "id"])
        if ids:
            parts.append(text.say(f"say.answer.evidence.{code}", {"ids": listing([names.get(i, i) for i in ids], text)}))
    if not parts:
        return ""
    early = "_early" if bundle.study.get("stage") == "midterm" else ""
    return text.say(f"say.answer.evidence.lead{early}", {"parts": "; ".join(parts)})


def _names(bundle: Bundle, text: Text) -> dict[str, str]:
    """The short name that the log frame gives an indicator, with its id: "real sales (G1)"."""
    named = {
        row["id"]: in_language(by_language(row, "name"), text.language) for row in bundle.table("indicators").to_dict("records")
    }
    return {key: f"{name} ({key})" for key, name in named.items() if name}


def first_outcomes(outcomes: list[str], bundle: Bundle, text: Text) -> str:
    """Outcomes as a phrase: the first few by name, the others counted; the tables name all."""
    names = [in_sentence(outcome_label(o, bundle, text.language)) for o in outcomes]
    if len(names) > _NAMED + 1:
        names = [*names[:_NAMED], tally("say.more_outcomes", len(names) - _NAMED, text)]
    return listing(names, text)


def _unseen(bundle: Bundle, text: Text) -> str:
    power = results(bundle, "power")
    if power.empty:
        return ""
    if power["mde_share"].isna().all():
        return text.say("say.answer.power_unknown")
    missed = power.loc[power["detectable"] == False, "outcome"]  # noqa: E712 - the column may hold None
    key = "unseen_ahead" if bundle.study.get("stage") == "baseline" else "unseen"
    if missed.empty:
        return text.say("say.answer.seen")
    return text.say(f"say.answer.{key}", {"outcomes": first_outcomes(list(missed), bundle, text)})


def _codes(row: dict) -> list[str]:
    return [c.strip() for c in str(row.get("remarks") or "").split(";") if c.strip()]


def _shared_readings(rows: list[dict]) -> dict[str, list[str]]:
    """Remarks that stand under several indicators, with their ids."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for code in _codes(row):
            if code.startswith(_HOISTED):
                found.setdefault(code, []).append(row["id"])
    return {code: ids for code, ids in found.items() if len(ids) >= _SHARED_FROM}


def _verdict(row: dict, shared: dict, bundle: Bundle, text: Text) -> str:
    values = {
        c: escape(formatted(c, row, bundle, text))
        for c in ("baseline", "current", "change", "nominal_change", "target", "due", "effect", "mde", "value", "projection")
    }
    values |= {c: escape(formatted(c, row, bundle, text)) for c in ("effect_ci", "p_value", "p_adjusted", "n")}
    level = text.number(bundle.study.get("did", {}).get("level", 0.95) * 100, "int")
    values |= {"level": level, "money_year": str((bundle.study.get("money") or {}).get("base_year") or "")}
    values["relevant_effect"] = escape(_relevant(row, bundle, text))
    values["p"] = _p_words(row, text)
    for column, number in (("value", row.get("value")), ("effect", None), ("relevant_effect", None)):
        values[column] = _in_units(values[column], number, row, text)
    observed = [text.say(_attainment_key(row, text), values), text.say(_observed_key(row, text), values)]
    if _number(row.get("projection")):
        observed.append(text.say("say.verdict.projection", values))
    lights = f"{light('attainment', row['attainment'], text)} · {light('evidence', row['evidence'], text)}"
    name = escape(formatted("text", row, bundle, text))
    parts = [f"**{escape(row['id'])}. {name}**", lights, " ".join([*observed, *_proofs(row, text)])]
    if row["evidence"] != "descriptive":
        failed = [_remark(code, text) for code in _failed(row)]  # the reason stands beside what it decides, not in the small print
        parts.append(" ".join([*_expected(row, bundle, text), _evidenced_row(row, values, bundle, text), *failed]))
    codes = [code for code in _codes(row) if code not in shared and code not in _failed(row)]
    remarks = [_remark(code, text) for code in codes] + _with_closed(row, bundle, text) + _rests_on(row, text)
    if remarks:
        parts.append(f"::: howto\n{text.say('say.verdict.how_to_read')} {' '.join(remarks)}\n:::")
    return ":::: verdict\n" + "\n\n".join(parts) + "\n::::"


def _in_units(shown: str, number: float | None, row: dict, text: Text) -> str:
    """A number with the word for what it counts, "1 firm" or "22 firms"; shares, and units without a word, as they are.

    An estimate (`number` none) is never exactly one.
    """
    key = f"say.unit.{row.get('unit')}.{'one' if number == 1 else 'many'}"
    return text.say(key, {"n": shown}) if shown != "—" and not _number(row.get("change")) and text.has(key) else shown


def _proofs(row: dict, text: Text) -> list[str]:
    """What proves the row: its documents and whether they were seen, or what customs hold."""
    share = row.get("verified")
    if not _number(share):
        return []
    kind = "seen" if share == 1 else "unseen" if share == 0 else "partly"
    several = kind != "partly" and "; " in str(row.get("document"))
    key = f"say.verdict.document.{kind}{'_many' if several else ''}" if row.get("document") else "say.verdict.customs"
    values = {"document": escape(row.get("document")), "share": escape(text.number(share, "pct0"))}
    return [text.say(key, values)] if text.has(key) else []


def _expected(row: dict, bundle: Bundle, text: Text) -> list[str]:
    """Of a count of firms: how many are estimated in all, and how many would be expected without the programme."""
    if not (_number(row.get("gross")) and _number(row.get("expected"))):
        return []
    shown = {c: escape(formatted(c, row, bundle, text)) for c in ("gross", "expected")}
    return [text.say("say.verdict.net", shown)]


def _evidenced_row(row: dict, values: dict, bundle: Bundle, text: Text) -> str:
    """The sentence of the second axis; at the midterm it says first that it is early, and claims less."""
    key = _evidence_key(row)
    if bundle.study.get("stage") != "midterm" or row["evidence"] == "not_assessed":
        return text.say(key, values)
    early = f"{key}_early"
    return f"{text.say('code.remarks.early')} {text.say(early if text.has(early) else key, values)}"


def _rests_on(row: dict, text: Text) -> list[str]:
    """The kind of evidence, for rows that were compared: OECD's step and the Maryland scale."""
    known = _number(row.get("oecd_step")) and _number(row.get("sms"))
    if not known or row["evidence"] in ("descriptive", "not_assessed"):
        return []
    shown = {"step": escape(text.label("oecd_step", row["oecd_step"])), "sms": escape(text.label("sms", row["sms"]))}
    return [text.say("say.verdict.rests_on", shown)]


def p_words(value: float | None, text: Text) -> str:
    """A p-value as it stands in a sentence: "p = 0.031", "p < 0.001"."""
    number = text.number(value, "p")
    return "p\u00a0" + escape(number if number.startswith("<") else f"=\u00a0{number}").replace("<", "<\u00a0")


def _p_words(row: dict, text: Text) -> str:
    """The p-value and, for a primary indicator, the one adjusted for their number."""
    shown = {column: p_words(row.get(column), text) for column in ("p_value", "p_adjusted")}
    adjusted = _number(row.get("p_adjusted"))
    values = {"p": shown["p_value"], "adjusted": shown["p_adjusted"]}
    return text.say("say.verdict.p_adjusted" if adjusted else "say.verdict.p", values)


def _with_closed(row: dict, bundle: Bundle, text: Text) -> list[str]:
    """The change without closed firms beside the change with them as zero, where the data tell the two apart."""
    readings = bundle.table("readings")
    if readings.empty or not _number(row.get("change")):
        return []
    mine = readings[readings["id"] == row["id"]].set_index("reading")["value"]
    survivors, zero = mine.get("survivors_only", row["change"]), mine.get("exits_as_zero", row["change"])
    if not {"survivors_only", "exits_as_zero"} & set(mine.index) or not (_number(survivors) and _number(zero)):
        return []
    values = {"survivors": escape(text.number(survivors, "spct")), "zero": escape(text.number(zero, "spct"))}
    return [text.say("say.verdict.closed", values)]


def _relevant(row: dict, bundle: Bundle, text: Text) -> str:
    """The effect that matters as the target is printed: signed where less is better."""
    return formatted("target", row | {"target": row.get("relevant_effect")}, bundle, text)


def _remark(remark: str, text: Text) -> str:
    """A remark `code` or `code=value` as a sentence; one that no language file knows prints as it is."""
    code, _, value = remark.partition("=")
    key = f"code.remarks.{code}"
    column = "check" if code.startswith("check_") else "measure" if code in ("no_measure", "no_column") else "table"
    return text.say(key, {"value": escape(in_sentence(text.label(column, value)))}) if text.has(key) else escape(remark)


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _joint(row: dict) -> bool:
    """Whether the row reads several effects together: it has a grade and a value, but no effect of its own."""
    graded = row["evidence"] not in ("descriptive", "not_assessed")
    return row.get("kind") in ("difference", "joint") and not _number(row.get("effect")) and graded


def _attainment_key(row: dict, text: Text) -> str:
    """The sentence of the first axis; a target that was never stated, or a due date, is not spoken of as if it were."""
    key = f"say.verdict.attainment.{row['attainment']}"
    if row["attainment"] == "not_yet_due" and pd.isna(row.get("due")):
        return f"{key}_undated"
    unstated = row["attainment"] == "not_measurable" and "target_not_stated" in _codes(row)
    return "say.verdict.attainment.no_target" if unstated else key


def _observed_key(row: dict, text: Text) -> str:
    key = f"say.verdict.observed.{_observed(row)}"
    key = key if text.has(key) else "say.verdict.observed.value"
    return f"{key}_only" if not _number(row.get("target")) and text.has(f"{key}_only") else key


def _observed(row: dict) -> str:
    if row.get("kind") in ("difference", "joint") and _number(row.get("value")):
        return row["kind"]
    if pd.notna(row.get("change")):
        nominal = row.get("nominal_change")
        return "change_nominal" if pd.notna(nominal) and nominal != row["change"] else "change"
    if _number(row.get("value")):
        return "value"
    return "current" if pd.notna(row.get("current")) else "nothing"


def _evidence_key(row: dict) -> str:
    grade = row["evidence"]
    if _joint(row):
        return f"say.verdict.joint.{grade}"
    if grade == "not_assessed" or pd.isna(row.get("effect")):
        return f"say.verdict.evidence.{'not_assessed' if grade == 'not_assessed' else 'without_number'}"
    told = grade != "inconclusive" or (pd.notna(row.get("mde")) and not _failed(row))
    return f"say.verdict.evidence.{grade}" + ("" if told else "_without_mde")


def _failed(row: dict) -> list[str]:
    """The design checks that failed, where they are why a row is inconclusive: then precision is not the reason."""
    return [code for code in _codes(row) if code.startswith("check_fail")] if row["evidence"] == "inconclusive" else []
