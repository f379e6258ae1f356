"""Sentences about what one study says when it is asked more than once: each sensitivity check, several outcomes, parts of one.

No number is computed here that a table does not show; sentences choose and word.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..did.estimate import as_share
from .bundle import Bundle
from .judgement import listing, p_words
from .labels import in_sentence, outcome_label
from .pipes import framed, pipe_table
from .tables import effect_kind, formatted, light, note_values, results, source_line
from .text import Text, escape

_ALPHA = 0.05  # of the tests behind the sensitivity checks
_WIDEST = 84  # characters of a sentence in a cell
_RANK = {"no": 0, "informative": 1, "yes": 2}


def findings_table(bundle: Bundle, block: dict, text: Text) -> str | None:
    """The table of the sensitivity checks: check, whether it passes, one sentence with its numbers.

    `which` of the block: `first`, the first primary outcome, or `others`, each with its outcome in front. Rows of one check are
    one sentence; the least favourable of them decides.
    """
    frame = results(bundle, "sensitivity")
    if frame.empty:
        return None
    first = frame["outcome"].iloc[0]
    alone = block["which"] == "first"
    frame = frame[(frame["outcome"] == first) == alone]
    if frame.empty:
        return None
    rows, last = [], None
    for (outcome, check), part in frame.groupby(["outcome", "check"], sort=False):
        found = part.to_dict("records")
        passed = min((r["passed"] for r in found), key=lambda code: _RANK.get(code, 1))
        name = "" if outcome == last else escape(outcome_label(outcome, bundle, text.language))
        row = [escape(text.label("check", check)), light("passed", passed, text), finding(check, found, bundle, text)]
        rows.append(row if alone else [name, *row])
        last = outcome
    columns = ["check", "passed", "finding"] if alone else ["outcome", "check", "passed", "finding"]
    headings = [escape(text.heading(c)) for c in columns]
    pipe = pipe_table(headings, ["left"] * len(columns), rows, _WIDEST)
    return framed(block["name"], pipe, note_values(frame, bundle, text), text, source_line(block["findings"], bundle, text))


def finding(check: str, rows: list[dict], bundle: Bundle, text: Text) -> str:
    """The sentence of one check on one outcome, from its rows in the table `sensitivity`."""
    row = rows[0]
    values = _values(row, bundle, text)
    key = f"say.finding.{check}"
    if check in ("pre_period", "untouched"):
        source = _placebos(check, row["outcome"], bundle) or rows
        values["items"] = listing([_placebo_item(r, row["scale"], text) for r in source], text, escaped=True)
        values["outcomes"] = _untouched(bundle, text)
        weak = check == "pre_period" and any(r["passed"] == "informative" for r in rows)
        return text.say(key, values) + (" " + text.say("say.finding.weak", values) if weak else "")
    variant = _VARIANTS[check](row, bundle) if check in _VARIANTS else ""
    return text.say(f"{key}.{variant}" if variant else key, values)


def _values(row: dict, bundle: Bundle, text: Text) -> dict[str, str]:
    """What the sentence of a check may name, each as it is printed."""
    shown = {name: formatted(name, row, bundle, text) for name in ("effect", "effect_low", "effect_high")}
    number = row.get("number")
    kind = effect_kind("effect", row)
    slope = as_share(number, row["scale"]) if number == number and number is not None else np.nan
    shown |= {"number_p": text.number(number, "p"), "share": text.number(number, "pct"), "times": text.number(number, "dec2")}
    shown |= {"slope": text.number(slope, kind).removeprefix("+"), "moved": text.number(abs(number) if number else number, "dec2")}
    shown |= {"bias": shown["effect"].removeprefix("+"), "n": _counted(row.get("n"), text)}
    shown |= {"year": str(bundle.study["treatment"]["reference_year"]), "target": _target(row, bundle, text)}
    main = _headline(row["outcome"], bundle)
    shown |= {"estimate": formatted("effect", main, bundle, text), "estimate_p": formatted("p_value", main, bundle, text)}
    curve = _only("curve_summary", row["outcome"], bundle)
    shown["significant"] = text.number(curve.get("significant"), "pct0")
    shown["same"] = text.number(number, "pct0" if number == 1 else "pct")
    values = {name: escape(value) for name, value in shown.items()}
    span = "one" if shown["effect_low"] == shown["effect_high"] else "many"
    return values | {"span": text.say(f"say.finding.span.{span}", values)}


def _counted(number: float | None, text: Text) -> str:
    return text.counted(int(number)) if number is not None and number == number else "—"


def _only(table: str, outcome: str, bundle: Bundle) -> dict:
    """The first row of a table for this outcome; empty when there is none."""
    frame = bundle.table(table)
    frame = frame[frame["outcome"] == outcome] if "outcome" in frame else frame.iloc[:0]
    return frame.iloc[0].to_dict() if len(frame) else {}


def _headline(outcome: str, bundle: Bundle) -> dict:
    frame = bundle.table("effects")
    frame = frame[(frame["outcome"] == outcome) & (frame["headline"] == True)] if len(frame) else frame  # noqa: E712
    return frame.iloc[0].to_dict() if len(frame) else {}


def _declared(outcome: str, bundle: Bundle) -> dict:
    return next((o for o in bundle.study.get("outcomes", []) if o["id"] == outcome), {})


def _target(row: dict, bundle: Bundle, text: Text) -> str:
    declared = _declared(row["outcome"], bundle)
    target = declared.get("relevant_effect")
    if target is None:
        return "—"
    target = -abs(target) if declared.get("direction") == "decrease" else target
    return formatted("effect", {"effect": target, "scale": row["scale"]}, bundle, text)


def _placebos(kind: str, outcome: str, bundle: Bundle) -> list[dict]:
    frame = bundle.table("placebos")
    if frame.empty or "placebo" not in frame:
        return []
    chosen = (frame["outcome"] == outcome) & frame["placebo"].astype(str).str.startswith(kind) & frame["p_value"].notna()
    return frame[chosen].to_dict("records")


def _placebo_item(row: dict, scale: str, text: Text) -> str:
    """A placebo's difference and its p-value; an outcome that should not change stands on its own scale."""
    if "placebo" not in row:
        return p_words(row["number"], text)
    values = {"p": p_words(row["p_value"], text), "year": escape(row["placebo"].removeprefix("pre_period_"))}
    if row["placebo"] == "untouched":
        return text.say("say.finding.item", values | {"effect": escape(text.number(row["estimate"], "dec3"))})
    shown = text.number(as_share(row["estimate"], scale), effect_kind("effect", {"scale": scale}))
    return text.say("say.finding.item_year", values | {"effect": escape(shown)})


def _untouched(bundle: Bundle, text: Text) -> str:
    declared = [o["id"] for o in bundle.study.get("outcomes", []) if o.get("untouched")]
    # a label may say in brackets that nothing should change, as the sentence does
    names = [outcome_label(o, bundle, text.language).partition(" (")[0] for o in declared]
    return listing([in_sentence(n) for n in names], text)


def _trend_seen(row: dict, bundle: Bundle) -> str:
    p = _only("pretrend", row["outcome"], bundle).get("p_value")
    return "untested" if p is None or p != p else "rejected" if p < _ALPHA else "kept"


def _zero_inside(row: dict, bundle: Bundle) -> str:
    return "open" if row["effect_low"] * row["effect_high"] <= 0 else "clear"


def _bounds(row: dict, bundle: Bundle) -> str:
    return "same" if np.isclose(row["effect_low"], row["effect_high"], rtol=0, atol=5e-4) else _zero_inside(row, bundle)


def _leavers(row: dict, bundle: Bundle) -> str:
    return "other" if row["number"] < _ALPHA else "same"


def _one_or_many(row: dict, bundle: Bundle) -> str:
    return "one" if row["n"] == 1 else "many"


def _limit(row: dict, bundle: Bundle) -> str:
    """How far the departures that the effect bears go: not at all, to a number, or without end (JSON keeps no infinity)."""
    if row["number"] == row["number"]:
        return "limit" if row["number"] > 0 else "zero"
    frame = bundle.table("honest")
    kind = row["check"].removeprefix("honest_")
    mine = frame[(frame["outcome"] == row["outcome"]) & (frame["kind"] == kind)] if len(frame) else frame
    return "unbounded" if len(mine) and (mine["excludes_zero"] == True).all() else "unknown"  # noqa: E712


def _ruled_out(row: dict, bundle: Bundle) -> str:
    down = _declared(row["outcome"], bundle).get("direction") == "decrease"
    return ("below" if down else "above") + ("_out" if row["number"] < _ALPHA else "_in")


_VARIANTS = {
    "trend_missed": _trend_seen,
    "group_trends": _zero_inside,
    "honest_relative_magnitude": _limit,
    "honest_smoothness": _limit,
    "lee_bounds": _bounds,
    "selective_attrition": _leavers,
    "base_years": _one_or_many,
    "target_ruled_out": _ruled_out,
}


def simulated_power(bundle: Bundle, text: Text) -> list[str]:
    """What the whole estimate would find, run on simulated years: the effect that it detects, beside the target."""
    rows = results(bundle, "simulated_power")
    rows = rows[rows["mde_share"].notna()] if len(rows) else rows
    if rows.empty:
        return []
    items = []
    for row in rows.to_dict("records"):
        values = {
            "outcome": escape(in_sentence(outcome_label(row["outcome"], bundle, text.language))),
            "mde": escape(formatted("mde_share", row, bundle, text)),
            "target": escape(formatted("target", row, bundle, text)),
            "power": escape(text.number(row["power"], "pct0")),
        }
        known = "item" if row["power"] == row["power"] else "item_without_target"
        items.append(text.say(f"say.simulated_power.{known}", values))
    draws = escape(text.number(rows["draws"].max(), "int"))
    return [text.say("say.simulated_power.lead", {"items": listing(items, text, escaped=True), "draws": draws})]


def multiplicity(bundle: Bundle, text: Text) -> list[str]:
    """The primary outcomes judged as one family, and the index that adds them up."""
    rows = results(bundle, "multiplicity")
    if rows.empty:
        return []
    family, index = rows[rows["p_holm"].notna()], rows[rows["outcome"] == "summary_index"]
    said = []
    if len(family) > 1:
        items = [text.say("say.multiplicity.item", _adjusted(row, bundle, text)) for row in family.to_dict("records")]
        values = {"n": text.counted(len(family)), "items": listing(items, text, escaped=True)}
        said.append(text.say("say.multiplicity.family", values))
    for row in index.to_dict("records"):
        values = {"estimate": escape(text.number(row["estimate"], "dec2")), "p": p_words(row["p_value"], text)}
        said.append(text.say("say.multiplicity.index", values))
    return [" ".join(said)] if said else []


def _adjusted(row: dict, bundle: Bundle, text: Text) -> dict[str, str]:
    shown = {name: text.number(row[name], "p") for name in ("p_value", "p_holm", "p_romano_wolf")}
    return {name: escape(value) for name, value in shown.items()} | {
        "outcome": escape(in_sentence(outcome_label(row["outcome"], bundle, text.language)))
    }


def few_clusters(bundle: Bundle, text: Text) -> list[str]:
    """Which row to read where firms belong to few business clusters."""
    rows = results(bundle, "few_clusters")
    known = "p_value" in rows and rows.loc[rows["outcome"] == rows["outcome"].iloc[0], "p_value"].notna().any()
    return [text.say("say.few_clusters")] if known else []


def ratios(bundle: Bundle, text: Text) -> list[str]:
    """Where the effect on a ratio comes from: its numerator or its denominator."""
    rows, paragraphs = results(bundle, "ratios"), []
    for outcome, part in rows.groupby("outcome", sort=False) if len(rows) else ():
        parts = part.set_index("part")["share"]
        if not {"ratio", "numerator", "denominator"} <= set(parts.index):
            continue
        values = {name: escape(text.number(parts[name], "spct")) for name in ("ratio", "numerator", "denominator")}
        declared = _declared(outcome, bundle)
        values |= {"outcome": escape(in_sentence(outcome_label(outcome, bundle, text.language)))}
        values |= {name: escape(in_sentence(text.label("measure", declared.get(key)))) for name, key in _TERMS.items()}
        fell = part.loc[part["part"] == "denominator", "share_high"].iloc[0] < 0
        paragraphs.append(text.say("say.ratios.fell" if fell else "say.ratios.kept", values))
    return paragraphs


_TERMS = {"top": "measure", "bottom": "per"}


def prices(bundle: Bundle, text: Text) -> list[str]:
    """How the value of what was sold in both years changed: prices, and volume or quantity and mix."""
    rows = bundle.table("prices")
    if rows.empty or rows["price"].isna().all():
        return []
    items = []
    for row in rows[rows["price"].notna()].sort_values("group", ascending=False).to_dict("records"):
        values = {c: escape(text.number(row[c], "ratio")) for c in ("value", "price", "volume", "quantity", "mix")}
        values["group"] = escape(in_sentence(text.label("group", row["group"])))
        items.append(text.say("say.prices.units" if pd.notna(row["quantity"]) else "say.prices.item", values))
    years = {"base_year": str(bundle.study["baseline"]["year"]), "year": str(bundle.study["treatment"]["reference_year"])}
    return [text.say("say.prices.lead", years | {"items": "; ".join(items)})]


SENTENCES = {
    "simulated_power": simulated_power,
    "multiplicity": multiplicity,
    "few_clusters": few_clusters,
    "ratios": ratios,
    "prices": prices,
}
