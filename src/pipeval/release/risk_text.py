"""The page on disclosure risk, in a language of the study: what was measured, done, lost, and what is not protected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..report.text import Text
from ..study.specs import Study


def risk_page(record: dict[str, Any], study: Study, text: Text) -> str:
    """`risk.md`: the record of a release as a page."""
    sections = (
        ("measures", _measures(record, text)),
        ("classes", _classes(record, text)),
        ("groups", _groups(record, study, text)),
        ("headline", _headline(record, study, text)),
        ("loss", _loss(record, text)),
        ("removed", _removed(record, text)),
        ("tables", _tables(record, text)),
        ("limits", text.say("release.limits")),
    )
    blocks = [f"# {text.say('release.title')}", text.say("release.opening", _intro(record, study, text))]
    for name, body in sections:
        if body:
            blocks += [f"## {text.say(f'release.section.{name}')}", body]
    return "\n\n".join(blocks) + "\n"


def _intro(record: dict[str, Any], study: Study, text: Text) -> dict[str, str]:
    names = ", ".join(f"`{n}`" for n in record["quasi_identifiers"])
    return {
        "study": study.study,
        "names": names,
        "k": str(record["k"]),
        "l": str(record["l"]),
        "firms": text.number(record["after"]["n_firms"], "int"),
    }


def _measures(record: dict[str, Any], text: Text) -> str:
    kinds = {"n_firms": "int", "share_unique": "pct", "smallest_class": "int", "expected_found": "dec1"}
    rows = [
        [text.say(f"release.measure.{n}"), *(text.number(record[s][n], kind) for s in ("before", "after"))]
        for n, kind in kinds.items()
    ]
    rows.append([text.say("release.measure.k_everything"), "—", text.number(record["measured"]["k_everything"], "int")])
    rows.append([text.say("release.measure.l"), "—", text.number(record["measured"]["l"], "int")])
    return _table([text.say("release.column.measure"), *_sides(text)], rows)


def _classes(record: dict[str, Any], text: Text) -> str:
    spans = record["before"]["firms_by_class"]
    rows = [
        [span.replace("-", "–"), *(text.number(record[s]["firms_by_class"][span], "int") for s in ("before", "after"))]
        for span in spans
    ]
    return _table([text.say("release.column.class"), *_sides(text)], rows)


def _groups(record: dict[str, Any], study: Study, text: Text) -> str:
    groups = record["groups"]
    values = {
        "number": text.number(groups["number"], "int"),
        "smallest": text.number(groups["smallest"], "int"),
        "largest": text.number(groups["largest"], "int"),
        "mean": text.number(groups["mean"], "dec1"),
        "linked": text.number(record["linked_by_amounts"], "pct"),
        "bound": text.number(1 / record["k"], "pct"),
        "disclosed": text.number(record["disclosed"], "pct"),
        "near": text.number(study.privacy.p_percent, "pct0"),
    }
    return "\n\n".join(text.say(f"release.{key}", values) for key in ("groups", "linkage", "attribute"))


def _headline(record: dict[str, Any], study: Study, text: Text) -> str:
    if not record["headline"]:
        return ""
    labels = {o.id: o.label.get(text.language) or next(iter(o.label.values())) for o in study.outcomes}
    rows = []
    for one in record["headline"]:
        sides = [one[side].get(c) for c in ("estimate", "std_error") for side in ("report", "public")]
        count = text.number(one["public"].get("n_clusters"), "int")
        rows.append(
            [labels.get(one["outcome"], one["outcome"]).replace("|", "\\|"), *(text.number(v, "dec3") for v in sides), count]
        )
    names = ("outcome", "estimate_report", "estimate_public", "error_report", "error_public", "groups")
    return "\n\n".join([text.say("release.headline"), _table([text.say(f"release.column.{n}") for n in names], rows)])


def _loss(record: dict[str, Any], text: Text) -> str:
    blocks = []
    if record["figures"]:
        names = ("figure", "mean_before", "mean_after", "sd_before", "sd_after")
        rows = [[f"`{r['figure']}`", *(text.number(r[n]) for n in names[1:])] for r in record["figures"]]
        blocks.append(_table([text.say(f"release.column.{n}") for n in names], rows))
    if record["correlations"]:
        rows = [
            [" × ".join(f"`{n}`" for n in r["pair"]), *(text.number(r[s], "dec2") for s in ("before", "after"))]
            for r in record["correlations"]
        ]
        blocks += [text.say("release.correlations"), _table([text.say("release.column.pair"), *_sides(text)], rows)]
    return "\n\n".join(blocks)


def _removed(record: dict[str, Any], text: Text) -> str:
    blanked = ", ".join(f"`{name}` {text.number(n, 'int')}" for name, n in record["blanked"].items() if n) or "—"
    removed = (
        "; ".join(f"`{table}`: " + ", ".join(f"`{c}`" for c in columns) for table, columns in record["removed_columns"].items())
        or "—"
    )
    values = {
        "blanked": blanked,
        "columns": removed,
        "left": text.number(record["firms_left_out"], "int"),
        "alone": text.number(record["firms_without_group"], "int"),
        "withheld": ", ".join(f"`{n}`" for n in record["withheld"]) or "—",
    }
    lines = [text.say(f"release.{key}", values) for key in ("coarsened", "blanked", "left", "columns", "withheld")]
    return "\n".join(f"- {line}" for line in lines)


def _tables(record: dict[str, Any], text: Text) -> str:
    released = [one for one in record["tables"] if one["fate"] == "released"]
    names = ("cells", "suppressed_primary", "suppressed_secondary", "dominance")
    rows = [[f"`{t['table']}`", *(text.number(t[n], "int") for n in names)] for t in released]
    away = ", ".join(f"`{t['table']}`" for t in record["tables"] if t["fate"] != "released") or "—"
    table = [_table([text.say(f"release.column.{n}") for n in ("table", *names)], rows)] if rows else []
    return "\n\n".join([*table, text.say("release.tables_withheld", {"tables": away})])


def _sides(text: Text) -> list[str]:
    return [text.say("release.column.before"), text.say("release.column.after")]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
