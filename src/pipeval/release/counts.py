"""Tables of counts as they may be released: small cells blank, and a second cell wherever a blank one could be recomputed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .suppression import System, hidden


@dataclass(frozen=True)
class Counts:
    """How a table counts.

    Attributes
    ----------
    keys : tuple of str
        Columns that say what a row is of.
    cells : tuple of str
        Columns that count; every other column stays at home, shares above all.
    sums : tuple of str
        What adds up within a row: `n = n_yes + n_no`; `n = n_yes + ?` has a part that is not printed.
    across : mapping
        Key column → the code of its total.
    told : tuple of str
        Columns whose total is taken to be known from elsewhere where the table prints none; the first of `cells` when not named.
    nested : tuple of (str, str, str)
        Key column, a code of it and another: the firms of the one are among those of the other.
    """

    keys: tuple[str, ...]
    cells: tuple[str, ...]
    sums: tuple[str, ...] = ()
    across: Mapping[str, str | None] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    nested: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Suppressed:
    """A table and what is blank in it."""

    table: pd.DataFrame
    primary: int
    secondary: int
    dominance: int = 0


def suppressed_counts(table: pd.DataFrame, rule: Counts, fewest: int) -> Suppressed:
    """The table with its keys and counts; counts from one up to the fewest are blank, and what would give them away.

    Raises
    ------
    ValueError
        When counts do not add up as the rule says, or cannot be protected.

    >>> asked = pd.DataFrame({"arm": ["a", "b"], "n": [50.0, 80.0], "n_yes": [48.0, 30.0]})
    >>> suppressed_counts(asked, Counts(("arm",), ("n", "n_yes"), ("n = n_yes + ?",)), 5).table["n_yes"].tolist()
    [nan, 30.0]
    """
    system, places = counted(table, rule, fewest)
    small = [0 < v < fewest for v in system.values]
    # a total that nobody printed and that is small is not known from elsewhere either
    system.known = [k and (p or not s) for k, p, s in zip(system.known, system.printed, small, strict=True)]
    asked = [s and not (not p and c in system.assumed) for c, (s, p) in enumerate(zip(small, system.printed, strict=True))]
    blank = hidden(system, asked, [float(fewest)] * len(small))
    made = table[[c for c in (*rule.keys, *rule.cells) if c in table]].copy()
    for (row, column), cell in places.items():
        if blank[cell]:
            made.loc[row, column] = np.nan
    primary = sum(blank[c] and small[c] for c in places.values())
    return Suppressed(made, int(primary), int(blank.sum()) - int(primary))


@dataclass
class CountSystem(System):
    """Cells of counts; `assumed` are the totals taken to be known from elsewhere."""

    assumed: set[int] = field(default_factory=set)


def counted(table: pd.DataFrame, rule: Counts, fewest: int) -> tuple[CountSystem, dict[tuple, int]]:
    """The cells and sums of a table of counts, and the cell of each place (row, column).

    Raises
    ------
    ValueError
        When counts do not add up as the rule says.
    """
    system = CountSystem()
    places = {
        (row, column): system.cell(value)
        for column in rule.cells
        if column in table
        for row, value in table[column].items()
        if pd.notna(value)
    }
    for text in rule.sums:
        _within_rows(system, places, table, text)
    for column, total in rule.across.items():
        if column in table:
            _across_rows(system, places, table, rule, (column, total))
    for column, part, whole in rule.nested:
        _among(system, places, table, rule, (column, part, whole))
    return system, places


def _within_rows(system: CountSystem, places: dict, table: pd.DataFrame, text: str) -> None:
    left, right = ([name.strip() for name in side.split("+")] for side in text.split("="))
    for row in table.index:
        wholes = [places[row, c] for c in left if (row, c) in places]
        parts = [places[row, c] for c in right if (row, c) in places]
        if len(wholes) < len(left) or not parts:
            continue
        whole = wholes[0]
        if len(wholes) > 1:
            whole = system.cell(sum(system.values[w] for w in wholes), printed=False, known=False)
            system.sums.append((whole, tuple(wholes)))
        rest = system.adds(whole, parts, opened="?" in right)
        if rest is not None and "?" not in right and len(parts) == len(right):
            raise ValueError(f"'{text}' leaves {system.values[rest]:g} over")


def _across_rows(system: CountSystem, places: dict, table: pd.DataFrame, rule: Counts, by: tuple[str, str | None]) -> None:
    column, total = by
    others = [k for k in rule.keys if k in table and k != column]
    for rows in [part.index for _, part in table.groupby(others, dropna=False)] if others else [table.index]:
        for name in rule.cells:
            cells = {row: places[row, name] for row in rows if (row, name) in places}
            wholes = [c for row, c in cells.items() if total is not None and table.loc[row, column] == total]
            parts = [c for c in cells.values() if c not in wholes]
            if not parts:
                continue
            if not wholes and name in (rule.told or rule.cells[:1]):
                wholes = [system.cell(sum(system.values[p] for p in parts), printed=False, known=True)]
                system.assumed.add(wholes[0])
            if wholes:
                system.adds(wholes[0], parts)


def _among(system: CountSystem, places: dict, table: pd.DataFrame, rule: Counts, nested: tuple[str, str, str]) -> None:
    column, part, whole = nested
    for _, rows in table.groupby([k for k in rule.keys if k != column], dropna=False):
        stages = dict(zip(rows[column], rows.index, strict=True))
        for name in rule.cells:
            pair = [places.get((stages.get(stage), name)) for stage in (whole, part)]
            if None not in pair:
                system.adds(pair[0], [pair[1]], opened=True)
