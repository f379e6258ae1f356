"""Sentences with numbers: each takes the bundle and gives Markdown paragraphs, or none when its table is absent.

No number is computed here that a table does not show; sentences choose and word.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from .bundle import Bundle
from .tables import SHARE_UNITS, covariate_label, formatted, light, outcome_label
from .text import Text, escape

GOOD_BALANCE, TOLERABLE_BALANCE = 0.10, 0.25
ATTAINMENT = ("met", "partly_met", "not_met", "not_yet_due", "not_measurable", "infeasible")
EVIDENCE = ("demonstrated", "adverse", "target_ruled_out", "indicative", "inconclusive", "descriptive", "not_assessed")


def asked(bundle: Bundle, text: Text) -> list[str]:
    """What was asked, of whom, as of when."""
    study = bundle.study
    outcomes = [outcome_label(o["id"], bundle, text.language) for o in study.get("outcomes", [])]
    values = {
        "programme": escape(programme_name(bundle, text)),
        "as_of": escape(text.day(study.get("as_of"), "long")),
        "treated": escape(text.label("treated", study["treatment"]["definition"])),
        "base_year": str(study["baseline"]["year"]),
        "reference_year": str(study["treatment"]["reference_year"]),
        "outcomes": listing(outcomes, text),
    }
    return [text.say(f"say.asked.{_stage(bundle)}", values)]


def answer(bundle: Bundle, text: Text) -> list[str]:
    """How many indicators met their targets, and for how many an effect of the programme was shown: two lists."""
    verdicts = bundle.table("verdicts")
    if verdicts.empty:
        return []
    paragraphs = [text.say("say.answer.lead", {"n": str(len(verdicts))})]
    for axis, codes in (("attainment", ATTAINMENT), ("evidence", EVIDENCE)):
        parts = []
        for code in codes:
            ids = verdicts.loc[verdicts[axis] == code, "id"]
            if len(ids):
                parts.append(f"{light(axis, code, text)}: {escape(', '.join(ids))}")
        paragraphs.append(f"- **{escape(text.heading(axis))}.** " + "; ".join(parts) + ".")
    return ["\n".join(["\n".join(paragraphs[:1]), "", *paragraphs[1:]])]


def headline(bundle: Bundle, text: Text) -> list[str]:
    """Which headline differences can be told from zero, and which cannot."""
    effects = bundle.table("effects")
    if effects.empty or "headline" not in effects:
        return []
    effects = effects[effects["headline"] == True]  # noqa: E712 - the column may hold None
    clear = (effects["conf_low"] > 0) | (effects["conf_high"] < 0)
    unclear = effects["estimate"].notna() & ~clear
    sentences = []
    if clear.any():
        listed = listing([_effect_words(row, bundle, text) for row in effects[clear].to_dict("records")], text, escaped=True)
        sentences.append(text.say("say.headline.clear", {"effects": listed, "level": _level(bundle, text)}))
    if unclear.any():
        listed = listing([_effect_words(row, bundle, text) for row in effects[unclear].to_dict("records")], text, escaped=True)
        sentences.append(text.say("say.headline.unclear", {"effects": listed}))
    return [" ".join(sentences)] if sentences else []


def effects(bundle: Bundle, text: Text) -> list[str]:
    """How to read an effect."""
    if not bundle.has("effects"):
        return []
    study = bundle.study
    return [
        text.say(
            "say.effects",
            {
                "design": escape(text.label("design", study.get("headline", "common_support"))),
                "reference_year": str(study["treatment"]["reference_year"]),
                "base_year": str(study["baseline"]["year"]),
                "level": _level(bundle, text),
            },
        )
    ]


def estimation(bundle: Bundle, text: Text) -> list[str]:
    """The estimator, its comparison and its standard errors, and what the figures are deflated by."""
    study = bundle.study
    did, money = study.get("did", {}), study.get("money", {})
    values = {
        "method": escape(text.label("method", did.get("method", "dr"))),
        "comparison": escape(text.label("comparison", did.get("comparison", "not_yet_treated"))),
        "base": escape(text.label("base", did.get("base", "universal"))),
        "cluster": escape(text.label("cluster", did.get("cluster", "firm_id"))),
        "level": _level(bundle, text),
        "deflator": escape(text.label("deflator", money.get("deflator"))),
        "money_year": str(money.get("base_year") or ""),
    }
    kind = "real" if money.get("headline") == "real" else "nominal"
    return [text.say("say.estimation.design", values), text.say(f"say.estimation.{kind}", values)]


def power(bundle: Bundle, text: Text) -> list[str]:
    """Which targets the sample could have detected."""
    rows = bundle.table("power")
    if rows.empty:
        return []
    plan = bundle.study.get("power", {})
    values = {
        "power": escape(text.number(plan.get("power", 0.8), "pct")),
        "alpha": escape(text.number(plan.get("alpha", 0.05), "pct")),
    }
    sentences = [text.say("say.power.lead", values)]
    for flag, key in ((True, "say.power.detectable"), (False, "say.power.undetectable")):
        names = [outcome_label(o, bundle, text.language) for o in rows.loc[rows["detectable"] == flag, "outcome"].unique()]
        if names:
            sentences.append(text.say(key, {"outcomes": listing(names, text)}))
    return [" ".join(sentences)]


def balance(bundle: Bundle, text: Text) -> list[str]:
    """The largest standardised difference before and after, and how many covariates are within the limits."""
    rows = bundle.table("balance")
    if rows.empty:
        return []
    sizes = {s: part.set_index("covariate")["smd"].abs().dropna() for s, part in rows.groupby("sample", sort=False)}
    sentences = []
    for sample in ("before", "after"):
        size = sizes.get(sample, pd.Series(dtype=float))
        if len(size):
            values = {
                "covariate": escape(covariate_label(size.idxmax(), bundle, text)),
                "smd": escape(text.number(float(size.max()), "dec2")),
                "good": str(int((size <= GOOD_BALANCE).sum())),
                "tolerable": str(int((size <= TOLERABLE_BALANCE).sum())),
                "n": str(len(size)),
            }
            sentences.append(text.say(f"say.balance.{sample}", values))
    return [" ".join(sentences)]


def pretrend(bundle: Bundle, text: Text) -> list[str]:
    """Which pre-programme trends could be tested, with what result, and what the test could have seen."""
    rows = bundle.table("pretrend")
    if rows.empty:
        return []
    testable = rows["testable"] == True  # noqa: E712 - the column may hold None
    alpha = 1 - bundle.study.get("did", {}).get("level", 0.95)
    sentences = []
    for key, chosen in (
        ("rejected", testable & (rows["p_value"] < alpha)),
        ("kept", testable & ~(rows["p_value"] < alpha)),
        ("untestable", ~testable),
    ):
        names = [outcome_label(o, bundle, text.language) for o in rows.loc[chosen, "outcome"]]
        if names:
            sentences.append(text.say(f"say.pretrend.{key}", {"outcomes": listing(names, text)}))
    return [" ".join(sentences)]


def new_exporters(bundle: Bundle, text: Text) -> list[str]:
    """Gross, expected and net new exporters, one sentence an indicator."""
    paragraphs = []
    for row in bundle.table("new_exporters").to_dict("records"):
        columns = ("gross", "expected", "net", "net_ci", "n_eligible", "n_without_counterfactual")
        values = {c: escape(formatted(c, row, bundle, text)) for c in columns}
        values |= {c: escape(text.label(c, row[c])) for c in ("indicator", "population")}
        key = "say.new_exporters.net" if pd.notna(row["net"]) else "say.new_exporters.gross"
        paragraphs.append("- " + text.say(key, values | {"level": _level(bundle, text)}))
    return ["\n".join(paragraphs)] if paragraphs else []


def budget(bundle: Bundle, text: Text) -> list[str]:
    """How much of the budget was executed, in all and by source."""
    rows = bundle.table("budget")
    if rows.empty:
        return []
    totals = rows[rows["component"].astype(str) == "total"]
    totals = totals if len(totals) else rows[rows["component"].astype(str) != "total"]
    by_source = totals.groupby("source", sort=False)[["budget_usd", "executed_usd"]].sum(min_count=1)
    whole = by_source.sum(min_count=1)
    parts = [
        text.say(
            "say.budget.source",
            {"source": escape(text.label("source", s)), "share": _share(r["executed_usd"], r["budget_usd"], text)},
        )
        for s, r in by_source.iterrows()
    ]
    values = {
        "executed": escape(text.number(whole["executed_usd"], "money")),
        "budget": escape(text.number(whole["budget_usd"], "money")),
        "share": _share(whole["executed_usd"], whole["budget_usd"], text),
        "sources": listing(parts, text, escaped=True),
    }
    return [text.say("say.budget.total", values)]


def outputs(bundle: Bundle, text: Text) -> list[str]:
    """How many activities reached the planned quantity."""
    rows = bundle.table("outputs")
    if rows.empty:
        return []
    share = rows["share"].astype(float)
    counts = {"n": len(rows), "done": (share >= 1).sum(), "part": ((share > 0) & (share < 1)).sum(), "unknown": share.isna().sum()}
    return [text.say("say.outputs", {k: str(int(v)) for k, v in counts.items()})]


def corrective(bundle: Bundle, text: Text) -> list[str]:
    """Activities behind plan and open design remarks: what calls for a corrective measure."""
    items = []
    partly = bundle.study.get("verdicts", {}).get("partly_from", 0.75)
    for row in bundle.table("outputs").to_dict("records"):
        behind = row.get("status") in ("delayed", "pending", "cancelled") or (pd.notna(row["share"]) and row["share"] < partly)
        if behind:
            values = {
                c: escape(formatted(c, row, bundle, text)) for c in ("activity_id", "description", "share", "status", "planned_end")
            }
            items.append("- " + text.say("say.corrective.activity", values))
    for row in bundle.table("power").to_dict("records"):
        if row.get("detectable") is False:
            values = {
                "outcome": escape(outcome_label(row["outcome"], bundle, text.language)),
                "mde": escape(formatted("mde_share", row, bundle, text)),
            }
            items.append("- " + text.say("say.corrective.power", values))
    return ["\n".join(items)] if items else []


def verdict_paragraphs(bundle: Bundle, text: Text) -> list[str]:
    """One paragraph an indicator: what was observed, what may be attributed, what limits it. The two are never merged."""
    return [_verdict(row, bundle, text) for row in bundle.table("verdicts").to_dict("records")]


def note_lines(bundle: Bundle, text: Text) -> list[str]:
    """The remarks raised on the way, in the report's language where it knows them, else in English."""
    lines, more = {}, {}
    for note in bundle.notes:
        values = {k: _note_value(v, text) for k, v in note.values.items()}
        if text.has(f"note.{note.key}"):
            line = text.say(f"note.{note.key}", {k: escape(v) for k, v in values.items()})
        else:
            line = escape(_filled(note.text, note.values, values))
        more[note.key] = more.get(note.key, 0) + (note.key in lines)
        lines.setdefault(note.key, line)
    printed = [
        f"- {line}" + (" " + text.say("say.more_notes", {"n": str(more[key])}) if more[key] else "") for key, line in lines.items()
    ]
    return ["\n".join(printed)] if printed else []


def programme_name(bundle: Bundle, text: Text) -> str:
    """The programme's name in the report's language, plain text."""
    names = bundle.study.get("programme", {}).get("name", {})
    return names.get(text.language) or names.get("en") or next(iter(names.values()), bundle.study.get("study", ""))


def listing(items: Iterable[str], text: Text, escaped: bool = False) -> str:
    """The items as a phrase: "a, b and c"."""
    items = [i if escaped else escape(i) for i in items]
    separator = "; " if any(", " in i for i in items) else ", "
    if len(items) < 2:
        return "".join(items)
    return separator.join(items[:-1]) + (";" if separator == "; " else "") + f" {text.say('and')} " + items[-1]


def _verdict(row: dict, bundle: Bundle, text: Text) -> str:
    values = {
        c: escape(formatted(c, row, bundle, text))
        for c in ("baseline", "current", "change", "nominal_change", "target", "due", "effect", "mde", "value", "projection")
    }
    values |= {c: escape(formatted(c, row, bundle, text)) for c in ("effect_ci", "p_value", "p_adjusted", "relevant_effect", "n")}
    values |= {"level": _level(bundle, text), "money_year": str((bundle.study.get("money") or {}).get("base_year") or "")}
    values["relevant_effect"] = escape(text.number(row.get("relevant_effect"), "pct" if row.get("unit") in SHARE_UNITS else "num"))
    sentences = [text.say(f"say.verdict.attainment.{row['attainment']}", values), text.say(_observed_key(row), values)]
    if _number(row.get("projection")):
        sentences.append(text.say("say.verdict.projection", values))
    sentences.append(text.say(_evidence_key(row), values))
    for code in filter(None, str(row.get("remarks") or "").split(";")):
        sentences.append(_remark(code.strip(), text))
    lights = f"{light('attainment', row['attainment'], text)} · {light('evidence', row['evidence'], text)}"
    name = escape(formatted("text", row, bundle, text))
    return f"::: verdict\n**{escape(row['id'])}. {name}**\n\n{lights}\n\n{' '.join(sentences)}\n:::"


def _remark(remark: str, text: Text) -> str:
    """A remark `code` or `code=value` as a sentence; one that no language file knows prints as it is."""
    code, _, value = remark.partition("=")
    key = f"code.remarks.{code}"
    words = text.label("check", value) if code.startswith("check_") else text.label("table", value)
    return text.say(key, {"value": escape(words)}) if text.has(key) else escape(remark)


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _observed_key(row: dict) -> str:
    if pd.notna(row.get("change")):
        nominal = row.get("nominal_change")
        both = pd.notna(nominal) and nominal != row["change"]
        return "say.verdict.observed.change_nominal" if both else "say.verdict.observed.change"
    if _number(row.get("value")):
        return "say.verdict.observed.value"
    return "say.verdict.observed.current" if pd.notna(row.get("current")) else "say.verdict.observed.nothing"


def _evidence_key(row: dict) -> str:
    grade = row["evidence"]
    if grade in ("descriptive", "not_assessed") or pd.isna(row.get("effect")):
        plain = grade if grade in ("descriptive", "not_assessed") else "without_number"
        return f"say.verdict.evidence.{plain}"
    return f"say.verdict.evidence.{grade}" + ("" if pd.notna(row.get("mde")) or grade != "inconclusive" else "_without_mde")


def _effect_words(row: dict, bundle: Bundle, text: Text) -> str:
    values = {"outcome": outcome_label(row["outcome"], bundle, text.language)}
    values |= {c: formatted(c, row, bundle, text) for c in ("effect", "effect_ci")}
    return text.say("say.headline.item", {k: escape(v) for k, v in values.items()})


def _filled(template: str, raw: dict, values: dict) -> str:
    try:
        return template.format(**raw)
    except (KeyError, IndexError, ValueError):
        return f"{template} ({', '.join(f'{k}: {v}' for k, v in values.items())})" if values else template


def _note_value(value, text: Text) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float):
        return str(value) if isinstance(value, int) and 1900 <= value <= 2100 else text.number(value)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _share(part: float, whole: float, text: Text) -> str:
    return escape(text.number(part / whole if whole else float("nan"), "pct"))


def _level(bundle: Bundle, text: Text) -> str:
    return text.number(bundle.study.get("did", {}).get("level", 0.95) * 100, "int")


def _stage(bundle: Bundle) -> str:
    return bundle.study.get("stage", "final")


SENTENCES = {
    "asked": asked,
    "answer": answer,
    "headline": headline,
    "effects": effects,
    "estimation": estimation,
    "power": power,
    "balance": balance,
    "pretrend": pretrend,
    "new_exporters": new_exporters,
    "budget": budget,
    "outputs": outputs,
    "corrective": corrective,
}
