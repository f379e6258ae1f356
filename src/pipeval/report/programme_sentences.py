"""Sentences on the programme side: whom it reached, with what money, what participants say, what it returned.

Like those of `sentences`, each takes the bundle and gives Markdown paragraphs, or none when its table is absent.
"""

from __future__ import annotations

import pandas as pd

from .bundle import Bundle
from .labels import in_sentence
from .text import Text, escape


def reached(bundle: Bundle, text: Text) -> list[str]:
    """How many firms were to be reached, registered and served; the second figure for those reached indirectly."""
    rows = bundle.table("coverage")
    if rows.empty:
        return []
    total = rows[rows["sector"] == "all"].set_index("arm")
    if "beneficiary" not in total.index:
        return []
    row, said = total.loc["beneficiary"], []
    numbers = {n: _whole(row.get(n), text) for n in ("planned", "n_registered", "n_served")}
    said.append(text.say("say.reached.planned" if pd.notna(row.get("planned")) else "say.reached.unplanned", numbers))
    if "indirect" in total.index and pd.notna(total.loc["indirect"].get("potential")):
        other = total.loc["indirect"]
        said.append(text.say("say.reached.potential", {n: _whole(other[n], text) for n in ("planned", "potential")}))
    return [" ".join(said)]


def paid(bundle: Bundle, text: Text) -> list[str]:
    """The counterpart against what disbursements call for, and the share of services that the programme paid."""
    said = []
    own = bundle.table("counterpart")
    own = own[own["component"] == "total"] if not own.empty else own
    if not own.empty and pd.notna(own["fulfilment"].iloc[0]):
        row = own.iloc[0]
        ending = "behind" if row["behind"] else "even"
        said.append(text.say(f"say.paid.{ending}", {"fulfilment": _share(row["fulfilment"], text)}))
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
        said.append(text.say(f"say.paid.cap_{key}", {"n": _whole(over, text), "cap": _money(row["cap_usd"], text)}))
    return [" ".join(said)] if said else []


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
    return [*paragraphs, text.say("say.returned", values | {"positive": _share(row["share_positive"], text)})]


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
    said.append(text.say(f"say.departed.{key}", {"n": text.counted(number), "estimates": text.counted(int(row["n_estimates"]))}))
    return [" ".join(said)]


def _whole(value, text: Text) -> str:
    return escape(text.number(value, "int"))


def _share(value, text: Text) -> str:
    return escape(text.number(value, "pct"))


def _money(value, text: Text) -> str:
    return escape(text.number(value, "money"))


SENTENCES = {"reached": reached, "paid": paid, "advanced": advanced, "divided": divided, "returned": returned, "departed": departed}
