"""What the words of the data contract mean, and the data dictionary made from it.

A column has a kind (`id`, `text`, `code`, `int`, `num`, `money`, `bool`, `date`), may have a range or a list of codes, and is
`needed` when its table cannot be used without it: then the column must exist and no value may be missing. An `event` column is
a date that is blanked when it lies after the evaluation, with the values `dated_by` it. A wrong type or code is a blocking
fault; a value out of range is a query.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, kind, meaning, and why it is monitored."""

    name: str
    kind: str
    meaning: str
    why: str
    codes: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    unit: str = ""
    needed: bool = False
    event: bool = False
    dated_by: str = ""  # the date column of the same row on which this value became known


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its key, columns, and the date or year from which a row is known."""

    name: str
    key: tuple[str, ...]
    meaning: str
    columns: tuple[Column, ...]
    known_on: str | None = None  # rows dated after the evaluation are masked
    year: str | None = None  # rows of years not finished at the evaluation are masked

    def named(self, currency: str) -> dict[str, Column]:
        """Columns by the name they have for a programme in this currency."""
        return {c.name.replace("{cur}", currency.lower()): c for c in self.columns}


COMPONENTS = ("1", "2.1", "2.2", "2", "3", "4", "evaluation", "contingencies")
"""Codes of components: those of a log frame, subcomponents, and the two budget lines outside every component."""

MINIMUM = ("enterprises", "survey")
"""Tables without which nothing runs; any other is a gap that the report states."""


def _allowed(column: Column) -> str:
    if column.codes:
        return " \\| ".join(column.codes)
    if column.low is None and column.high is None:
        return ""
    return f"{'' if column.low is None else format(column.low, 'g')} – {'' if column.high is None else format(column.high, 'g')}"


def data_dictionary(currency: str = "MXN") -> str:
    """The contract as Markdown, one section a table.

    >>> data_dictionary().splitlines()[0]
    '# Data dictionary'
    """
    from .contract import TABLES

    lines = [
        "# Data dictionary",
        "",
        "Made from `pipeval.data.contract`. CSV in UTF-8 with commas, ISO dates and empty cells for missing values; Excel, Stata",
        "and Parquet are read too. A `bool` is 1 or 0, or yes or no in English, Spanish or Portuguese. Money is in thousands at current prices. `needed`: the column must exist and be filled. A wrong",
        "type, code or key is a blocking fault; a value outside its range is a query to the firm.",
        f"Needed to run: {', '.join(MINIMUM)} and a log frame. Any other table missing is a gap that the report states.",
    ]
    for table in TABLES.values():
        lines += ["", f"## {table.name}", "", f"{table.meaning} Key: `{', '.join(table.key)}`.", ""]
        lines += ["| column | kind | unit | values | needed | meaning | why |", "|---|---|---|---|---|---|---|"]
        for name, c in table.named(currency).items():
            unit = c.unit or (f"thousand {currency}" if c.kind == "money" else "")
            lines.append(f"| `{name}` | {c.kind} | {unit} | {_allowed(c)} | {'yes' if c.needed else ''} | {c.meaning} | {c.why} |")
    return "\n".join(lines) + "\n"
