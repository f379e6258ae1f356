"""Sentences on the programme side: whom it reached, with what money, what participants say, what it returned.

Like those of `sentences`, each takes the bundle and gives Markdown paragraphs, or none when its table is absent.
"""

from __future__ import annotations

import pandas as pd

from .bundle import Bundle
from .labels import in_sentence
from .text import Text, escape


def programme_lines(bundle: Bundle, text: Text) -> list[str]:
    """The programme side of the summary, at most two lines: whom it reached with what money, and what it returned."""
    delivered = [*_served(bundle, text), *_executed(bundle, text), *_counterpart(bundle, text)]
    lines = {"delivery": delivered, "value": returned(bundle, text)}
    shown = [f"- {text.say(f'say.programme_lines.{name}')} {' '.join(said)}" for name, said in lines.items() if said]
    return ["\n".join(shown)] if shown else []


def reached(bundle: Bundle, text: Text) -> list[str]:
    """How many firms were to be reached, registered and served; the second figure for those reached indirectly."""
    said = _served(bundle, text)
    rows = bundle.table("coverage")
    other = rows[(rows["sector"] == "all") & (rows["arm"] == "indirect")] if said else rows
    if said and len(other) and pd.notna(other["potential"].iloc[0] if "potential" in other else None):
        said.append(text.say("say.reached.potential", {n: _whole(other[n].iloc[0], text) for n in ("planned", "potential")}))
    return [" ".join(said)] if said else []


def _served(bundle: Bundle, text: Text) -> list[str]:
    """How many direct beneficiaries were planned, registered and served."""
    rows = bundle.table("coverage")
    rows = rows[(rows["sector"] == "all") & (rows["arm"] == "beneficiary")] if not rows.empty else rows
    if rows.empty:
        return []
    row = rows.iloc[0]
    numbers = {n: _whole(row.get(n), text) for n in ("planned", "n_registered", "n_served")}
    return [text.say("say.reached.planned" if pd.notna(row.get("planned")) else "say.reached.unplanned", numbers)]


def _executed(bundle: Bundle, text: Text) -> list[str]:
    """How much of the budget was executed, in all."""
    rows = bundle.table("budget")
    if rows.empty:
        return []
    parts = rows["component"].astype(str) != "total"
    whole = rows.loc[parts if parts.any() else ~parts, ["budget_usd", "executed_usd"]].sum(min_count=1)
    if whole.isna().any() or not whole["budget_usd"]:
        return []
    values = {"executed": _money(whole["executed_usd"], text), "budget": _money(whole["budget_usd"], text)}
    return [text.say("say.programme_lines.executed", values | {"share": _share(whole["executed_usd"] / whole["budget_usd"], text)})]


def paid(bundle: Bundle, text: Text) -> list[str]:
    """The counterpart against what disbursements call for, and the share of services that the programme paid."""
    said = _counterpart(bundle, text)
    shared = bundle.table("cofinancing")
    shared = shared[shared["by"] == "all"] if not shared.empty else shared
    if not shared.empty and pd.notna(shared["rate"].iloc[0]):
        row = shared.iloc[0]
        said.append(text.say("say.paid.rate", {n: _share(row[n], text) for n in ("rate", "scheduled")}))
    cap = bundle.table("cap")
    if not cap.empty:
        row = cap.iloc[0]
        over = int(row["n_over"])
        key = {0: "none", 1: "one"}.get(over, "many")
        said.append(text.say(f"say.paid.cap_{key}", {"n": text.counted(over).capitalize(), "cap": _money(row["cap_usd"], text)}))
    return [" ".join(said)] if said else []


def _counterpart(bundle: Bundle, text: Text) -> list[str]:
    """What the counterpart has paid of what disbursements call for."""
    own = bundle.table("counterpart")
    own = own[own["component"] == "total"] if not own.empty else own
    if own.empty or pd.isna(own["fulfilment"].iloc[0]):
        return []
    row = own.iloc[0]
    return [text.say(f"say.paid.{'behind' if row['behind'] else 'even'}", {"fulfilment": _share(row["fulfilment"], text)})]


def advanced(bundle: Bundle, text: Text) -> list[str]:
    """What should have been done by now, what was done, and what was spent."""
    rows = bundle.table("progress")
    rows = rows[rows["component"] == "total"] if not rows.empty else rows
    if rows.empty or pd.isna(rows["spi"].iloc[0]):
        return []
    row = rows.iloc[0]
    planned = row["planned_usd"] / row["total_usd"] if row["total_usd"] else float("nan")
    values = {"planned": planned, "earned": row["share_earned"], "spent": row["share_spent"]}
    return [text.say("say.advanced", {n: _share(v, text) for n, v in values.items()})]


def divided(bundle: Bundle, text: Text) -> list[str]:
    """On what participants' opinions are low or divided: to be asked about again."""
    if not bundle.has("satisfaction"):
        return []
    flags = bundle.table("opinion_flags")
    flags = flags[flags["by"] == "component"] if not flags.empty else flags
    if flags.empty:
        return [text.say("say.divided.none")]
    places = flags[["component", "item"]].drop_duplicates().itertuples(index=False)
    names = [f"{in_sentence(text.label('item', item))} ({text.label('component', part)})" for part, item in places]
    listed = "; ".join(escape(name) for name in names)
    return [text.say(f"say.divided.{'one' if len(names) == 1 else 'many'}", {"items": listed})]


def returned(bundle: Bundle, text: Text) -> list[str]:
    """The net present value with its range, and whether it is more than a what-if calculation."""
    rows = bundle.table("return")
    value = rows[rows["measure"] == "npv_usd"] if not rows.empty else rows
    if value.empty:
        return []
    row = value.iloc[0]
    paragraphs = [text.say("text.what_if")] if row.get("note") == "what_if" else []
    values = {n: _money(row[c], text) for n, c in (("central", "central"), ("low", "drawn_low"), ("high", "drawn_high"))}
    said = text.say("say.returned", values | {"positive": _share(row["share_positive"], text)})
    return [*paragraphs, said.replace("US$\u00a0−", "−US$\u00a0")]  # the sign stands before the currency


def departed(bundle: Bundle, text: Text) -> list[str]:
    """Whether there was a plan before outcomes were seen, and whether it was kept."""
    rows = bundle.table("plan_status")
    if rows.empty:
        return []
    row = rows.iloc[0]
    if row["status"] == "no_lock":
        return [text.say("say.departed.no_lock")]
    said = [text.say(f"say.departed.{row['timing']}", {"day": escape(text.day(row["locked_on"], "long"))})]
    number = int(row["n_deviations"])
    key = {0: "kept", 1: "one"}.get(number, "many")
    moved = int(row["n_estimates"])
    which = {0: "moved_none", 1: "moved_one"}.get(moved, "moved_many")
    values = {"n": text.counted(number).capitalize(), "estimates": text.counted(moved)}
    said += [text.say(f"say.departed.{k}", values) for k in ([key, which] if number else [key])]
    return [" ".join(said)]


def _whole(value, text: Text) -> str:
    return escape(text.number(value, "int"))


def _share(value, text: Text) -> str:
    return escape(text.number(value, "pct"))


def _money(value, text: Text) -> str:
    """An amount as it stands in a sentence: from a hundred thousand up in millions, whose digits a reader can keep."""
    if pd.notna(value) and abs(value) >= 1e5:
        return text.say("million", {"n": escape(text.number(value / 1e6, "dec2"))})
    return escape(text.number(value, "money"))


SENTENCES = {
    "programme_lines": programme_lines,
    "reached": reached,
    "paid": paid,
    "advanced": advanced,
    "divided": divided,
    "returned": returned,
    "departed": departed,
}
