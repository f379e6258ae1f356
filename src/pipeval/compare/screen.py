"""A comparison in a few lines on the screen: verdicts first, then headline estimates, counts, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..errors import some
from .causes import CAUSES, Causes
from .difference import CellMoved
from .run import Comparison

_SHOWN = 12
_CELLS = 5
_KEY = 12  # characters of a key that are printed


def summary(comparison: Comparison) -> list[str]:
    """The lines that `pipeval compare` prints."""
    found = comparison.moved
    lines = [_heading(comparison)]
    if comparison.again:
        lines.append({True: "reproduced", False: "not reproduced", None: "could not be run again"}[comparison.reproduced])
    if found.identical and not (comparison.again and comparison.reproduced is None):
        lines.append(f"nothing moved: {found.compared:,} cells are the same")
    lines += [f"verdict {v.indicator} {v.axis}: {v.old or 'none'} → {v.new or 'none'}{_due(v, comparison)}" for v in found.verdicts]
    estimates = [c for c in found.numbers if c.table == "effects" and c.column == "estimate" and c.change is not None]
    lines += [_estimate(c, comparison) for c in estimates[:_SHOWN]]
    if len(estimates) > _SHOWN:
        lines.append(f"and {len(estimates) - _SHOWN} more estimates")
    if not found.identical:
        if not found.verdicts:
            lines.append("no verdict moved")
        tables = Counter(c.table for c in found.numbers)
        where = f", in {some(tables, 'table')}" if tables else ""
        lines.append(f"{len(found.numbers):,} of {found.compared:,} cells moved{where}; rows: {_rows(comparison)}")
    if comparison.causes is not None:
        lines += why(comparison.causes)
    told = [*comparison.messages, *comparison.attribution.messages, *(comparison.causes.messages if comparison.causes else ())]
    return [*lines, *dict.fromkeys(told)]


def _heading(comparison: Comparison) -> str:
    """Which two reports; where both are called alike, the name once and what tells them apart."""
    old, new = comparison.old, comparison.new
    if comparison.again:
        return f"{old.folder} → run again"
    if old.folder != new.folder:
        return f"{old.folder} → {new.folder}"
    for kind, a, b in (
        ("as of", old.as_of, new.as_of),
        ("made", _minute(old.made), _minute(new.made)),
        ("pipeval", old.pipeval, new.pipeval),
        ("inputs", old.key[:_KEY], new.key[:_KEY]),
    ):
        if a and b and a != b:
            return f"{old.folder}: {kind} {a} → {b}"
    return f"{old.folder}: two reports"


def _minute(moment: str) -> str:
    return f"{moment.replace('T', ' ')[:16]} UTC" if moment else ""


def why(causes: Causes) -> list[str]:
    """What differs between the inputs, one line a cause."""
    lines = []
    if "data" in causes.kinds:
        firms = sorted({c.firm_id for c in (*causes.cells, *causes.rows) if c.firm_id})
        parts = [f"{_count(causes.cells, 'cell')} in {some(firms)}"] if firms else [_count(causes.cells, "cell")]
        if causes.corrections:
            parts.append(f"{_count(causes.corrections, 'new correction')}")
        if causes.rows:
            parts.append(f"{_count(causes.rows, 'row')} added or removed")
        if silent := [f.name for f in causes.files if f.silent]:
            parts.append(f"without any proved cell: {some(silent, 'file')}")
        lines.append(f"data: {', '.join(parts)}")
        if len(causes.cells) <= _CELLS:
            lines += [f"  {c.table} {c.key} {c.column}: {_said(c.old)} → {_said(c.new)}" for c in causes.cells]
    if "decisions" in causes.kinds:
        keys = [d.key if d.place == "params" else f"{d.place} {d.key}" for d in causes.decisions]
        lines.append(f"decisions: {some(keys, 'key')}")
    if "code" in causes.kinds:
        version = f", version {causes.pipeval.old} → {causes.pipeval.new}" if causes.pipeval else ""
        lines.append(f"code: {some((m.name for m in causes.modules), 'file')}{version}")
    if "versions" in causes.kinds:
        lines.append(f"versions: {', '.join(f'{v.name} {v.old} → {v.new}' for v in causes.versions)}")
    return lines or ["the inputs are the same"]


def _estimate(cell: CellMoved, comparison: Comparison) -> str:
    due = next(
        (n for n in comparison.attribution.numbers if (n.table, n.row, n.column) == (cell.table, cell.row, cell.column)), None
    )
    parts = []
    if due is not None and comparison.attribution.how == "exchanged":
        for cause in (*(c for c in CAUSES if c in comparison.attribution.causes), "together"):
            value = getattr(due, cause)
            parts.append(f"{cause} {'not known' if value is None else format(value, '+.4g')}")
    shares = f"; due to {', '.join(parts)}" if parts else ""
    name = " ".join(str(v) for v in cell.keys.values())
    return f"estimate {name}: {cell.old:.4g} → {cell.new:.4g} ({cell.change:+.4g}{shares})"


def _due(verdict, comparison: Comparison) -> str:
    found = next((v for v in comparison.attribution.verdicts if (v.indicator, v.axis) == (verdict.indicator, verdict.axis)), None)
    if found is None:
        return ""
    return f" (due to {', '.join(found.due)})" if found.due else " (only together)"


def _rows(comparison: Comparison) -> str:
    sides = Counter(row.side for row in comparison.moved.rows)
    return f"{sides['added']} added, {sides['removed']} removed"


def _said(value: object) -> str:
    return "empty" if value is None else str(value)


def _count(items: Sequence, word: str) -> str:
    return f"{len(items):,} {word}{'' if len(items) == 1 else 's'}"
