"""The words for what tables hold: outcomes, characteristics and the codes made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..study.specs import Study
from .bundle import Bundle
from .text import Text, escape, in_language, read_text

# Columns whose codes are made of others, such as `branch=leather`.
CODED = ("covariate", "worst", "dropped", "detail", "reading", "variant", "placebo", "group", "left_out")
# Columns of firms whose codes may stand as a group or as what was left out.
_GROUPS = ("group", "branch", "size_class", "exp_status_baseline")


def study_words(text: Text, study: Mapping[str, Any]) -> Text:
    """The words of a language with those of the study laid over them.

    A study names codes of its own (`labels`: column → code → word by language) and the numbers that it adds to the survey and the
    register (`data.extra`), which stand as measures and as covariates. A word missing in this language is taken from English, else
    from the first language given.

    >>> own = {"labels": {"branch": {"wine": {"es": "Vino", "en": "Wine"}}}}
    >>> study_words(read_text("es"), own).label("branch", "wine")
    'Vino'
    """
    added = {column: words for table in study.get("data", {}).get("extra", {}).values() for column, words in table.items()}
    named = {"measure": added, "covariate": added}
    for column, codes in study.get("labels", {}).items():
        named[column] = {**named.get(column, {}), **codes}
    own = {
        f"code.{column}.{code}": in_language(words, text.language)
        for column, codes in named.items()
        for code, words in codes.items()
    }
    return replace(text, entries=text.entries | {key: word for key, word in own.items() if word})


def study_text(study: Study, language: str) -> Text:
    """The words of a language in the study's locale, with the study's own laid over them."""
    return study_words(read_text(language, study.report.locales.get(language, "")), study.model_dump(mode="json"))


def outcome_label(key: Any, bundle: Bundle, language: str) -> str:
    """The study's own words for an outcome, or those for an index of several; its id when it has none."""
    for outcome in bundle.study.get("outcomes", []):
        if outcome["id"] == key:
            return in_language(outcome.get("label", {}), language, str(key))
    return read_text(language).label("outcome", key)


def in_sentence(label: str) -> str:
    """A label as it stands inside a sentence: its first letter small, unless it begins with an acronym.

    >>> in_sentence("Real sales"), in_sentence("GDP")
    ('real sales', 'GDP')
    """
    return label[:1].lower() + label[1:] if label[1:2].islower() else label


def covariate_label(code: str, bundle: Bundle, text: Text) -> str:
    """The words for a term of a balance table: a covariate's own, and those made of them.

    `column=level` is "Column: level", `growth_x` the earlier change of outcome x, `x^2` a square and `x*z` a product. Without a
    study, what stands before `=` is a column only if it has words; else the sign belongs to the name.
    """
    code = str(code)
    if code.endswith("^2"):
        return covariate_label(code.removesuffix("^2"), bundle, text) + "²"
    if "*" in code:
        return " × ".join(covariate_label(part, bundle, text) for part in code.split("*"))
    column, _, level = code.partition("=")
    known = text.has(f"code.covariate.{column}") or text.has(f"column.{column}") or (bundle.study and column)
    if level and known:
        name = text.label("covariate", column) if text.has(f"code.covariate.{column}") else text.heading(column)
        return f"{name}: {text.label(column, level)}"
    if column.startswith("growth_"):
        return text.say("growth", {"outcome": outcome_label(column.removeprefix("growth_"), bundle, text.language)})
    return text.label("covariate", code)


def figure_name(column: str, currency: str, text: Text) -> str:
    """A column of the survey or the register as a firm would call it, Markdown; empty where there are no words.

    >>> figure_name("domestic_sales_kmxn", "MXN", read_text("en"))
    'Sales in the country (thousand MXN)'
    """
    key = f"letter.figure.{column.removesuffix(f'_k{currency.lower()}')}"
    return text.say(key, {"currency": escape(currency)}) if text.has(key) else ""


def coded(column: str, value: str, bundle: Bundle, text: Text) -> str:
    """The words for a code as this bundle means it: `detail` may be `code=value`, `reading` a measure or a branch."""
    if column in ("covariate", "worst"):
        return covariate_label(value, bundle, text)
    if column == "dropped":
        return ", ".join(covariate_label(term, bundle, text) for term in value.split(", "))
    if column == "variant":
        return _variant(value, bundle, text)
    if column == "placebo" and value.startswith("pre_period_"):
        return text.say("code.placebo.pre_period_year", {"value": value.removeprefix("pre_period_")})
    if column in ("group", "left_out"):
        return text.label(next((c for c in _GROUPS if text.has(f"code.{c}.{value}")), column), value)
    if column == "detail":
        code, _, rest = value.partition("=")
        words = ", ".join(text.label("table", text.day(name, "long")) for name in rest.split(", "))
        return text.say(f"code.detail.{code}", {"value": words}) if text.has(f"code.detail.{code}") else value
    if column == "reading" and not text.has(f"code.reading.{value}"):
        first, _, year = value.partition(" ")
        return f"{coded(column, first, bundle, text)} {year}" if year.isdigit() else text.label("measure", value)
    return text.label(column, value)


def _variant(value: str, bundle: Bundle, text: Text) -> str:
    """The words for a variant of a match: `ids 3`, `+1 bin`, `0.25 sd`, `ln_age × 2`, or a code."""
    first, _, rest = value.partition(" ")
    for code, other in ((first, rest), (rest, first)):
        if rest and text.has(f"code.variant.{code}"):
            return text.say(f"code.variant.{code}", {"value": other})
    return f"{covariate_label(first, bundle, text)} {rest}" if rest and first != "×" else text.label("variant", value)
