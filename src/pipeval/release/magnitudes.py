"""Sums and means over firms as they may be released: what each firm contributes is computed anew from the study's tables.

A figure that the contributions do not give back is blank, and so is one of too few firms, one that few firms dominate, and
whatever would give these away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations

import numpy as np
import pandas as pd

from ..baseline.update import figures_of
from ..data.load import Tables
from ..data.measures import Measures, measures
from ..data.treatment import build_panel
from ..errors import collected
from ..monitoring.cofinancing import priced
from ..monitoring.services import BY, given
from ..study.programme_specs import Privacy
from ..study.specs import Study
from .counts import Suppressed
from .suppression import System, hidden

ALL = "all"


@dataclass(frozen=True)
class FirmFigures:
    """The study's proved and settled tables, and what is measured from them for each firm."""

    tables: Tables
    study: Study

    @cached_property
    def measured(self) -> Measures:
        """The measures of every firm and year; what there is to remark of them stands in the report already."""
        with collected():
            return measures(self.tables, self.study)

    @cached_property
    def firms(self) -> pd.DataFrame:
        """Arm, branch and size class by firm."""
        with collected():
            return build_panel(self.tables, self.measured, self.study, self.study.treatment.definition).firms


@dataclass
class Contributed:
    """A table of sums or means with the contributions behind them.

    Attributes
    ----------
    table : DataFrame
        The columns that may leave: keys, the number of firms, figures.
    count : str
        The column with the number of firms.
    additive : bool
        Whether that number adds up as the figures do; a firm may else be counted in several rows.
    behind : dict
        (row, figure column) → what each firm contributes to its sum.
    means : tuple of str
        Figure columns that are means.
    sums : list of (row, rows)
        The whole and its parts.
    alike : list of dict
        For a group of firms, measure → row; one measure may be the sum of two others.
    known_totals : list of rows
        Parts of a total that is told elsewhere.
    """

    table: pd.DataFrame
    count: str
    additive: bool
    behind: dict[tuple, np.ndarray]
    means: tuple[str, ...] = ()
    sums: list[tuple[object, list]] = field(default_factory=list)
    alike: list[dict] = field(default_factory=list)
    known_totals: list[list] = field(default_factory=list)


def dominated(contributions: Sequence[float], rule: tuple[int, float], p: float) -> bool:
    """Whether a sum tells too much of its largest contributor: by the (n, k) rule, or the p% rule.

    >>> dominated([90, 5, 5], (2, 0.85), 0.10), dominated([30, 30, 20, 20], (2, 0.85), 0.10)
    (True, False)
    """
    sizes = np.sort(np.abs(np.asarray(contributions, dtype=float)))[::-1]
    total = sizes.sum()
    if total == 0:
        return False
    return bool(sizes[: rule[0]].sum() > rule[1] * total or sizes[2:].sum() < p * sizes[0])


def suppressed_figures(made: Contributed, privacy: Privacy) -> Suppressed:
    """The table with its unsafe figures blank; a row is blank whole, its number of firms too.

    Raises
    ------
    ValueError
        When a figure cannot be protected.
    """
    table, figures = made.table.copy(), list(dict.fromkeys(c for _, c in made.behind))
    few, heavy, wrong, empty = set(), set(), set(), set()
    for (row, column), parts in made.behind.items():
        empty |= set() if len(parts) else {row}
        few |= {row} if 0 < len(parts) < privacy.min_cell else set()
        heavy |= {row} if dominated(parts, privacy.dominance, privacy.p_percent) else set()
        wrong |= set() if _agrees(table.loc[row], column, parts, made) else {row}
    unsafe = few | heavy | wrong
    system, places, tender = _system(made, figures, privacy.min_cell)
    sensitive, widths = [c in tender for c in range(len(system.values))], [1e-9] * len(system.values)
    for (row, column), cell in places.items():
        sensitive[cell] = row in unsafe
        widths[cell] = float(privacy.min_cell) if column == made.count else max(privacy.p_percent * abs(system.values[cell]), 1e-9)
    blank = hidden(system, sensitive, widths)
    gone = {row for (row, _), cell in places.items() if blank[cell]} | unsafe
    table.loc[sorted(gone | empty), [made.count, *figures]] = np.nan
    return Suppressed(table, len(few | wrong), len(gone - unsafe), len(heavy - few - wrong))


def _agrees(row: pd.Series, column: str, parts: np.ndarray, made: Contributed) -> bool:
    """Whether the printed figure is the sum, or mean, of the contributions; a blank one has nothing to agree with."""
    if pd.isna(row[column]):
        return True
    again = parts.mean() if column in made.means and len(parts) else parts.sum()
    return bool(np.isclose(row[column], again, rtol=1e-9, atol=1e-6)) and (not made.additive or row[made.count] == len(parts))


def _system(made: Contributed, figures: list[str], fewest: int) -> tuple[System, dict[tuple, int], set[int]]:
    """Cells and sums, the cell of each (row, column), and the parts that nobody printed and that are of too few firms."""
    system, places, tender = System(), {}, set()
    number = {row: i for i, row in enumerate(made.table.index)}
    for (row, column), parts in made.behind.items():
        places[row, column] = system.cell(parts.sum(), tied=number[row])
        system.signed |= {places[row, column]} if (parts < 0).any() else set()
        if made.additive and (row, made.count) not in places:
            places[row, made.count] = system.cell(len(parts), tied=number[row])
    for column in [*figures, made.count] if made.additive else figures:
        for whole, parts in made.sums:
            rest = _adds(system, places[whole, column], [places[p, column] for p in parts])
            short = len(made.behind[whole, figures[0]]) - sum(len(made.behind[p, figures[0]]) for p in parts)
            tender |= {rest} if rest is not None and made.additive and 0 < short < fewest else set()
        for rows in made.known_totals:
            cells = [places[r, column] for r in rows]
            system.sums.append((system.cell(sum(system.values[c] for c in cells), printed=False), tuple(cells)))
    for column in figures:
        cells = [{name: places[row, column] for name, row in rows.items() if (row, column) in places} for rows in made.alike]
        for whole, *parts in _sums_of_measures([{n: system.values[c] for n, c in group.items()} for group in cells]):
            system.sums += [(g[whole], tuple(g[p] for p in parts)) for g in cells if {whole, *parts} <= set(g)]
    return system, places, tender


def _adds(system: System, whole: int, parts: list[int]) -> int | None:
    """The whole and its parts; a difference, of either sign, is a part that nobody printed, whose number is returned."""
    rest, more = system.values[whole] - sum(system.values[c] for c in parts), None
    if abs(rest) > 1e-9 * max(1.0, *(abs(system.values[c]) for c in (whole, *parts))):
        more = system.cell(rest, printed=False, known=False)
        system.signed |= {more} if rest < 0 or whole in system.signed else set()
    system.sums.append((whole, tuple(parts) if more is None else (*parts, more)))
    return more


def _sums_of_measures(groups: list[dict[str, float]]) -> list[tuple[str, str, str]]:
    """The measures that are the sum of two others in every group of firms: exports are direct and indirect ones.

    >>> _sums_of_measures([{"a": 5, "b": 2, "c": 3, "d": 0}, {"a": 4, "b": 4, "c": 0, "d": 1}])
    [('a', 'b', 'c')]
    """
    found = []
    for whole, one, two in permutations(dict.fromkeys(name for group in groups for name in group), 3):
        sets = [(g[whole], g[one], g[two]) for g in groups if {whole, one, two} <= set(g)]
        exact = all(np.isclose(w, x + y, rtol=1e-9, atol=1e-9) for w, x, y in sets)
        if one < two and exact and any(x and y for _, x, y in sets):
            found.append((whole, one, two))
    return found


def baseline_means(table: pd.DataFrame, own: FirmFigures) -> Contributed:
    """Means of the base year by arm, branch and size class; medians stay, being one or two firms' own figures."""
    base = own.measured.headline.xs(own.study.baseline.year, level="period")
    groups = own.firms[["arm", "branch", "size_class"]].reindex(base.index)
    behind, keys = {}, ["measure", "arm", "branch", "size_class"]
    for row in table.index:
        measure, arm, branch, size = table.loc[row, keys]
        chosen = (groups["arm"] == arm) & ((groups["branch"] == branch) | (branch == ALL) & groups["arm"].notna())
        chosen &= (groups["size_class"] == size) | (size == ALL)
        behind[row, "mean"] = _measure(base, measure)[chosen].dropna().to_numpy(float)
    made = Contributed(table[[*keys, "n", "mean"]], "n", True, behind, means=("mean",))
    for _, rows in table.groupby(["measure", "arm"]):
        for column, other in (("branch", "size_class"), ("size_class", "branch")):
            for _, line in rows.groupby(other):
                whole = line.index[line[column] == ALL]
                made.sums += [(whole[0], [r for r in line.index if r != whole[0]])] if len(whole) and len(line) > 1 else []
    made.alike = [dict(zip(rows["measure"], rows.index, strict=True)) for _, rows in table.groupby(keys[1:])]
    return made


def _measure(base: pd.DataFrame, name: str) -> pd.Series:
    if name in base:
        return base[name].astype(float)
    measure, per = next((m, p) for m in base for p in base if f"{m}_per_{p}" == name)
    return base[measure].astype(float) / base[per].where(base[per] > 0)


def updated_totals(table: pd.DataFrame, own: FirmFigures) -> Contributed:
    """Totals of the base and the reference year by arm, of the firms that have both."""
    years = {"total_base": own.study.baseline.year, "total_final": own.study.treatment.reference_year}
    keys, behind = ["measure", "prices", "arm"], {}
    table = table[table["total_base"].notna()]
    for row in table.index:
        name, prices, arm = table.loc[row, keys]
        measure, per = figures_of(own.study)[name]
        values = (own.measured.real if prices == "real" else own.measured.nominal)[measure].astype(float).unstack()
        ends = pd.DataFrame({column: values[year] for column, year in years.items()}).dropna()
        ends = ends[own.firms["arm"].reindex(ends.index) == arm]
        behind |= {(row, column): ends[column].to_numpy() for column in years} if per is None else {}
    made = Contributed(table[[*keys, "n", *years]], "n", True, behind)
    made.alike = [dict(zip(rows["measure"], rows.index, strict=True)) for _, rows in table.groupby(["prices", "arm"])]
    return made


def cofinanced(table: pd.DataFrame, own: FirmFigures) -> Contributed:
    """What services cost and what the programme paid of it, by component; business clusters stay at home."""
    study = own.study
    rows = priced(own.tables["services"], study.cofinance, study.calendar.project_start, study.as_of)
    table = table[table["by"] != "cluster"]
    behind = {}
    for row in table.index:
        by, group = table.loc[row, ["by", "group"]]
        mine = rows if by == ALL else rows[rows[by].astype(object) == group]
        behind |= {(row, c): mine.groupby("firm_id")[c].sum().to_numpy() for c in ("total_usd", "programme_usd")}
    whole, parts = table.index[table["by"] == ALL], list(table.index[table["by"] == "component"])
    columns = ["by", "group", "n_firms", "total_usd", "programme_usd"]
    return Contributed(table[columns], "n_firms", False, behind, sums=[(whole[0], parts)] if len(whole) else [])


def served(table: pd.DataFrame, own: FirmFigures) -> Contributed:
    """What services cost by component, type, subject and mode; totals of the components are told with the shares paid."""
    services = given(own.tables["services"])
    keys = pd.DataFrame({c: services[c].astype(object).where(services[c].notna(), "not_known") for c in BY})
    table, behind = table.astype(dict.fromkeys(BY, object)), {}
    names = {"cost_usd": "total_cost_usd", "paid_usd": "programme_paid_usd"}
    for row in table.index:
        mine = services[(keys == table.loc[row, list(BY)].to_numpy()).all(axis=1)]
        behind |= {(row, c): mine.groupby("firm_id")[name].sum().to_numpy(float) for c, name in names.items()}
    groups = [list(rows.index) for _, rows in table.groupby("component")]
    return Contributed(table[[*BY, "n_firms", *names]], "n_firms", False, behind, known_totals=groups)


RECIPES: dict[str, Callable[[pd.DataFrame, FirmFigures], Contributed]] = {
    "baseline_indicators": baseline_means,
    "baseline_update": updated_totals,
    "cofinancing": cofinanced,
    "services": served,
}
"""Tables of sums and means whose contributions can be computed again."""
