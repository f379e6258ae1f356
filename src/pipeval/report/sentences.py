"""Sentences with numbers: each takes the bundle and gives Markdown paragraphs, or none when its table is absent.

No number is computed here that a table does not show; sentences choose and word.
"""

from __future__ import annotations

import pandas as pd

from .bundle import Bundle
from .judgement import answer, first_outcomes, listing, tally
from .labels import covariate_label, in_sentence, outcome_label
from .match_sentences import GOOD_BALANCE, TOLERABLE_BALANCE, cluster_words, design_of, family
from .match_sentences import SENTENCES as OF_MATCH
from .programme_sentences import SENTENCES as OF_PROGRAMME
from .programme_sentences import programme_lines
from .sensitivity_sentences import SENTENCES as OF_SENSITIVITY
from .tables import formatted, results
from .text import Text, escape, in_language

# The sample of the balance table that carries the headline, by effective design.
HEADLINE_SAMPLE = {"adjusted": "weighted", "matched": "after", "plain": "before"}


def asked(bundle: Bundle, text: Text) -> list[str]:
    """What was asked, of whom, between which years."""
    study = bundle.study
    asked_of = [o["id"] for o in study.get("outcomes", []) if not o.get("untouched")]
    values = {
        "treated": escape(text.label("treated", study["treatment"]["definition"])),
        "base_year": str(study["baseline"]["year"]),
        "reference_year": str(study["treatment"]["reference_year"]),
        "outcomes": first_outcomes(asked_of, bundle, text),
    }
    return [text.say(f"say.asked.{_stage(bundle)}", values)]


def headline(bundle: Bundle, text: Text) -> list[str]:
    """Which headline differences can be told from zero, and which cannot."""
    effects = results(bundle, "effects")
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
                "design": escape(in_sentence(text.label("design", design_of(study)))),
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
        "method": escape(text.label("estimator", did.get("method", "dr"))),
        "covariates": listing([in_sentence(covariate_label(c, bundle, text)) for c in _adjusted_for(study)], text),
        "comparison": escape(text.label("comparison", did.get("comparison", "not_yet_treated"))),
        "base": escape(text.label("base", did.get("base", "universal"))),
        "cluster": escape(cluster_words(bundle, text)),
        "level": _level(bundle, text),
        "deflator": escape(text.label("deflator", money.get("deflator"))),
        "money_year": str(money.get("base_year") or ""),
    }
    kind = "real" if money.get("headline") == "real" else "nominal"
    means = f"matched_{family(study)}" if design_of(study) == "matched" else design_of(study)
    imputed = did.get("method") == "imputation" and design_of(study) != "matched"
    means, errors = (f"imputed_{means}", "errors") if imputed else (means, "design")
    design = [text.say(f"say.estimation.{means}", values), text.say(f"say.estimation.{errors}", values)]
    design += _choices(bundle, text)
    amounts = [o["id"] for o in study.get("outcomes", []) if o.get("scale") == "poisson"]
    if amounts:
        names = [in_sentence(outcome_label(o, bundle, text.language)) for o in amounts]
        key = "poisson_weighted" if design_of(study) == "adjusted" else "poisson"
        design.append(text.say(f"say.estimation.{key}", {"outcomes": listing(names, text)}))
    return [" ".join(design), text.say(f"say.estimation.{kind}", values)]


def _choices(bundle: Bundle, text: Text) -> list[str]:
    """A sentence for each choice of the estimation that is not the usual one."""
    study = bundle.study
    did, said = study.get("did", {}), []
    asked_of = [o for o in study.get("outcomes", []) if not o.get("untouched") and o.get("scale") != "poisson"]
    levels = [o["id"] for o in asked_of if (o.get("lag") or did.get("lag", "difference")) == "ancova"]
    if levels:
        names = [in_sentence(outcome_label(o, bundle, text.language)) for o in levels]
        said.append(text.say("say.estimation.choice.ancova", {"outcomes": listing(names, text)}))
    if did.get("sampling", "both_ends") != "both_ends":
        said.append(text.say(f"say.estimation.choice.{did['sampling']}"))
    if did.get("anticipation"):
        said.append(tally("say.estimation.choice.anticipation", did["anticipation"], text))
    if did.get("weights"):
        said.append(text.say("say.estimation.choice.weights", {"column": escape(did["weights"])}))
    return said


def power(bundle: Bundle, text: Text) -> list[str]:
    """Which targets the sample could have detected."""
    rows = results(bundle, "power")
    if rows.empty:
        return []
    plan = bundle.study.get("power", {})
    values = {
        "power": _round_share(plan.get("power", 0.8), text),
        "alpha": _round_share(plan.get("alpha", 0.05), text),
    }
    if rows["mde_share"].isna().all():
        reasons = [text.reworded(r) for r in dict.fromkeys(rows.get("reason", pd.Series(dtype=object)).dropna()) if r]
        return [text.say("say.power.unknown", {"reason": escape("; ".join(reasons) or "—")})]
    sentences = [text.say("say.power.lead", values), *allowances(rows, bundle.study, text)]
    for flag, key in ((True, "say.power.detectable"), (False, "say.power.undetectable")):
        chosen = rows.loc[rows["detectable"] == flag, "outcome"].unique()
        names = [in_sentence(outcome_label(o, bundle, text.language)) for o in chosen]
        if names:
            sentences.append(text.say(key, {"outcomes": listing(names, text)}))
    return [" ".join(sentences)]


def allowances(rows: pd.DataFrame, study: dict, text: Text) -> list[str]:
    """What the formula of power allows for beside the spread: firms that will be lost, and what the firms of a cluster share."""
    rows = rows.reindex(columns=["mde_share", "attrition", "icc", "design_effect"]).astype(float)
    rows, said = rows[rows["mde_share"].notna()].max(), []
    if rows["attrition"] > 0:
        values = {"attrition": escape(text.number(rows["attrition"], "pct0")), "year": study["treatment"]["reference_year"]}
        said.append(text.say("say.power.lost", values))
    if rows["design_effect"] > 1:
        asked = study["did"]["cluster"]
        names = [text.label("cluster", name) for name in ([asked] if isinstance(asked, str) else asked)]
        sizes = {"icc": text.number(rows["icc"], "dec2"), "effect": text.number(rows["design_effect"], "dec2")}
        said.append(text.say("say.power.clustered", {k: escape(v) for k, v in (sizes | {"cluster": ", ".join(names)}).items()}))
    return said


def balance(bundle: Bundle, text: Text) -> list[str]:
    """The largest standardised difference before and in the sample of the headline, and how many are within the limits."""
    rows = bundle.table("balance")
    if rows.empty:
        return []
    sizes = {s: part.set_index("covariate")["smd"].abs().dropna() for s, part in rows.groupby("sample", sort=False)}
    design = design_of(bundle.study)
    wanted = HEADLINE_SAMPLE[design]
    sentences = []
    for key, sample in (("plain", "before"),) if design == "plain" else (("before", "before"), (wanted, wanted)):
        size = sizes.get(sample, pd.Series(dtype=float))
        if len(size):
            values = {
                "covariate": escape(in_sentence(covariate_label(size.idxmax(), bundle, text))),
                "smd": escape(text.number(float(size.max()), "dec2")),
                "good": str(int((size <= GOOD_BALANCE).sum())),
                "tolerable": str(int((size <= TOLERABLE_BALANCE).sum())),
                "n": str(len(size)),
            }
            sentences.append(text.say(f"say.balance.{key}", values))
    if design == "adjusted" and wanted in sizes and bundle.study.get("did", {}).get("method") == "reg":
        sentences.append(text.say("say.balance.regression"))
    return [" ".join(sentences)]


def pretrend(bundle: Bundle, text: Text) -> list[str]:
    """Which pre-programme trends could be tested, with what result, and what the test could have seen."""
    rows = results(bundle, "pretrend")
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
        names = [in_sentence(outcome_label(o, bundle, text.language)) for o in rows.loc[chosen, "outcome"]]
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
    counts = {"done": share >= 1, "part": (share > 0) & (share < 1), "none": share == 0, "unknown": share.isna()}
    parts = [tally(f"say.outputs.{k}", int(v.sum()), text) for k, v in counts.items() if v.any()]
    return [text.say("say.outputs.lead", {"n": str(len(rows)), "parts": listing(parts, text, escaped=True)})]


def corrective(bundle: Bundle, text: Text) -> list[str]:
    """Activities behind plan and open design remarks: what calls for a corrective measure."""
    items = []
    partly = bundle.study.get("verdicts", {}).get("partly_from", 0.75)
    for row in bundle.table("outputs").to_dict("records"):
        due = str(row.get("planned_end") or "9999") <= str(bundle.study.get("as_of", "9999"))
        behind = due and not (pd.notna(row["share"]) and row["share"] >= partly)
        if behind or row.get("status") in ("delayed", "cancelled"):
            values = {
                c: escape(formatted(c, row, bundle, text)) for c in ("activity_id", "description", "share", "status", "planned_end")
            }
            values["status"] = in_sentence(values["status"])
            key = "unreported" if pd.isna(row["share"]) else "undated" if row["share"] >= 1 else "activity"
            items.append("- " + text.say(f"say.corrective.{key}", values))
    missed = [row for row in results(bundle, "power").to_dict("records") if row.get("detectable") is False]
    if missed:
        named = [_missed(row, bundle, text) for row in missed]
        items.append("- " + text.say("say.corrective.power", {"outcomes": listing(named, text, escaped=True)}))
    return ["\n".join(items)] if items else []


def _missed(row: dict, bundle: Bundle, text: Text) -> str:
    name = in_sentence(outcome_label(row["outcome"], bundle, text.language))
    return f"{escape(name)} ({escape(formatted('mde_share', row, bundle, text))})"


def untestable(bundle: Bundle, text: Text) -> list[str]:
    """What could not be tested with the data at hand: checks, earlier trends by cohort, power, and what absent tables leave out."""
    sentences = []
    checks = bundle.table("design_checks")
    if len(checks) and (checks["result"] == "not_testable").any():
        names = _named_checks(checks[checks["result"] == "not_testable"], bundle, text)
        sentences.append(text.say("say.untestable.checks", {"checks": listing(names, text)}))
    cells = bundle.table("att_gt")
    if {"cohort", "phase"} <= set(cells.columns):
        without = [str(int(c)) for c, rows in cells.groupby("cohort") if not (rows["phase"] == "pre").any()]
        if without:
            sentences.append(text.say("say.untestable.cohorts", {"cohorts": listing(without, text)}))
    power_rows = results(bundle, "power")
    if len(power_rows) and power_rows["mde_share"].isna().all():
        sentences.append(text.say("say.untestable.power"))
    gaps = len(bundle.table("gaps"))
    if gaps:
        sentences.append(text.say("say.untestable.gaps." + ("one" if gaps == 1 else "many"), {"n": text.counted(gaps)}))
    return [" ".join([text.say("say.untestable.lead"), *sentences])] if sentences else []


def programme_name(bundle: Bundle, text: Text) -> str:
    """The programme's name in the report's language, plain text."""
    names = bundle.study.get("programme", {}).get("name", {})
    return in_language(names, text.language, bundle.study.get("study", ""))


def _effect_words(row: dict, bundle: Bundle, text: Text) -> str:
    values = {"outcome": in_sentence(outcome_label(row["outcome"], bundle, text.language))}
    values |= {c: formatted(c, row, bundle, text) for c in ("effect", "effect_ci")}
    return text.say("say.headline.item", {k: escape(v) for k, v in values.items()})


def _named_checks(rows: pd.DataFrame, bundle: Bundle, text: Text) -> list[str]:
    """Each check once, with the outcomes it speaks of."""
    names = []
    for check, part in rows.groupby("check", sort=False):
        outcomes = [o for o in part.get("outcome", ()) if isinstance(o, str)]
        words = listing([in_sentence(outcome_label(o, bundle, text.language)) for o in outcomes], text, escaped=True)
        names.append(in_sentence(text.label("check", check)) + (f" ({words})" if words else ""))
    return names


def _adjusted_for(study: dict) -> list[str]:
    """The characteristics that the headline takes into account."""
    if design_of(study) == "matched":
        match = study.get("match", {})
        return list(dict.fromkeys((*match.get("covariates", ()), *match.get("exact", ()))))
    return list(study.get("did", {}).get("covariates", ()))


def _share(part: float, whole: float, text: Text) -> str:
    return escape(text.number(part / whole if whole else float("nan"), "pct"))


def _round_share(value: float, text: Text) -> str:
    """A share that somebody chose, without decimals where it is a whole per cent: "80%", "2.5%"."""
    return escape(text.number(value, "pct0" if abs(round(value * 100) - value * 100) < 1e-9 else "pct"))


def _level(bundle: Bundle, text: Text) -> str:
    return text.number(bundle.study.get("did", {}).get("level", 0.95) * 100, "int")


def _stage(bundle: Bundle) -> str:
    return bundle.study.get("stage", "final")


def in_short(bundle: Bundle, text: Text) -> list[str]:
    """The answer in five lines: targets, contribution, precision, delivery, return; those that the bundle can give, in one list."""
    lines = [line for part in (answer(bundle, text), programme_lines(bundle, text)) for line in part]
    return ["\n".join(lines)] if lines else []


SENTENCES = (
    {
        "asked": asked,
        "in_short": in_short,
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
        "untestable": untestable,
    }
    | OF_MATCH
    | OF_PROGRAMME
    | OF_SENSITIVITY
)
