"""The register's sums beside official totals of the territory, and those totals beside one another."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from ..data.load import Tables
from ..data.measures import Measures
from ..data.money import deflator, series_values
from ..study.specs import Study

COLUMNS = [
    "territory", "year", "sector", "measure", "source", "figure", "n_firms", "n_known", "territory_total", "register_sum",
    "expanded_sum", "ratio_register", "ratio_expanded", "conversion", "status", "note",
]  # fmt: skip

_FIGURES = {
    "firms": ("firms",),
    "workers": ("workers",),
    "population": ("workers",),
    "gdp": ("sales", "value_added"),
    "sales": ("sales",),
    "exports": ("exports_direct",),
    "value_added": ("value_added",),
}
"""What of the register is read against each total; a total not named here is `not_known`."""

_MONEY = ("sales", "value_added", "exports_direct")
_SCALE = {"": 1.0, "k": 1e3, "m": 1e6}


def territory_table(tables: Tables, measured: Measures, study: Study) -> pd.DataFrame:
    """One row an official total and figure of the register: the base year's sum, as it is and expanded, and its ratio to the total.

    Returns
    -------
    DataFrame
        `territory, year` (of the total), `sector, measure, source, figure` (of the register), `n_firms` (of the register in the
        sector), `n_known` (with the figure), `territory_total, register_sum, expanded_sum` (all in the total's unit),
        `ratio_register, ratio_expanded, conversion, status, note` (as it came with the total).

        `conversion` says how money became comparable: `price_level` (base-year money at the prices of the total's year, by the
        study's deflator), `exchange_rate` (base-year average), `same_year`, `not_deflated`, or `none` for counts. `status`:
        `exceeds_total` (the register's own sum above the total, or the expanded one above it by more than two sources may
        differ), `labour_over_share_of_population`, `plausible`, `not_known`.

    Notes
    -----
    Sums as they are leave out firms without the figure; expanded sums weight each firm by `frame_weight` and let the firms with
    the figure stand for those without. Exports are the direct ones: goods that another firm exports are in its figure. A total
    of physical units is `not_known`: it does not say of which product.
    """
    if "territory_totals" not in tables or tables["territory_totals"].empty:
        return pd.DataFrame(columns=COLUMNS)
    figures = _figures(tables, measured, study)
    rows = []
    for total in tables["territory_totals"].to_dict("records"):
        total = total | {"year": int(total["year"])}
        name, unit = _named(total["measure"], study.programme.currency.lower())
        chosen = figures[_within(figures, total["sector"])]
        rows += [_row(total, unit, figure, chosen, tables, study) for figure in _FIGURES.get(name, ("",))]
    return pd.DataFrame(rows, columns=COLUMNS)


def _named(measure: str, currency: str) -> tuple[str, tuple[str, float] | None]:
    """`exports_usd` is exports in dollars, `gdp_kmxn` gross domestic product in thousands of pesos; other names carry no unit."""
    found = re.fullmatch(rf"(.+)_([km]?)(usd|{re.escape(currency)})", str(measure))
    return (found[1], (found[3], _SCALE[found[2]])) if found else (str(measure), None)


def _within(figures: pd.DataFrame, sector: str) -> pd.Series:
    if sector == "all":
        return pd.Series(True, index=figures.index)
    return (figures["branch"] == sector) | (figures["sector"] == sector)


def _figures(tables: Tables, measured: Measures, study: Study) -> pd.DataFrame:
    """Base-year figures of every firm of the register; money in units of the national currency, current prices."""
    firms = tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id")
    table = firms[["branch", "sector", "frame_weight"]].copy()
    base = measured.nominal.xs(study.baseline.year, level="period") if _surveyed(measured, study) else measured.nominal.iloc[:0]
    base = base.reindex(firms.index) if len(base) else pd.DataFrame(index=firms.index, columns=base.columns, dtype=float)
    table["firms"] = 1.0
    table["workers"] = firms["workers_baseline"].fillna(base["jobs"].astype(float))
    for name in _MONEY:
        table[name] = 1000 * base[name].astype(float)
    return table


def _surveyed(measured: Measures, study: Study) -> bool:
    return study.baseline.year in measured.nominal.index.get_level_values("period")


def _row(total: dict, unit: tuple[str, float] | None, figure: str, chosen: pd.DataFrame, tables: Tables, study: Study) -> list:
    usable = bool(figure) and (figure in _MONEY) == (unit is not None)
    values = chosen[figure] if usable else pd.Series(np.nan, index=chosen.index)
    factor, conversion = _conversion(unit, total["year"], tables, study) if usable else (np.nan, "none")
    known, weight = values.notna(), chosen["frame_weight"]
    plain = float(values[known].sum()) * factor if known.any() else np.nan
    weighted = known & weight.notna()
    whole = weight.sum() / weight[weighted].sum() if weight[weighted].sum() > 0 and weight.notna().all() else np.nan
    expanded = float((values * weight)[weighted].sum()) * whole * factor
    official = float(total["value"]) if total["value"] > 0 else np.nan
    ratios = plain / official, expanded / official
    keys = [total[k] for k in ("territory", "year", "sector", "measure", "source")]
    counts = [len(chosen), int(known.sum())]
    status = _status(ratios, str(total["measure"]), study)
    return [*keys, figure, *counts, official, plain, expanded, *ratios, conversion, status, total["note"]]


def _conversion(unit: tuple[str, float] | None, year: float, tables: Tables, study: Study) -> tuple[float, str]:
    """What to multiply base-year money by to stand beside a total of `year`, and how that was done."""
    if unit is None:
        return 1.0, "none"
    currency, scale = unit
    base, series = study.baseline.year, tables.frames.get("series")
    if currency != study.programme.currency.lower():
        if study.money.fx is None or series is None:
            return np.nan, "not_known"
        return 1 / scale / series_values(series, study.money.fx).get(base, np.nan), "exchange_rate"
    if year == base:
        return 1 / scale, "same_year"
    factors = (
        deflator(series, study.money.deflator, base) if study.money.deflator and series is not None else pd.Series(dtype=float)
    )
    return (1 / scale / factors[year], "price_level") if year in factors else (1 / scale, "not_deflated")


def _status(ratios: tuple[float, float], measure: str, study: Study) -> str:
    rule = study.credibility
    plain, expanded = ratios
    if np.isnan(plain):
        return "not_known"
    if measure == "population":
        return "labour_over_share_of_population" if max(plain, np.nan_to_num(expanded)) > rule.labour_share else "plausible"
    return "exceeds_total" if plain > 1 or expanded > 1 + rule.disagreement else "plausible"


def source_disagreement(tables: Tables, study: Study) -> pd.DataFrame:
    """One row a total that is stated more than once: how far the statements lie apart.

    Returns
    -------
    DataFrame
        `territory, year, sector, measure, basis, n_sources, low, high, spread` (high / low − 1), `status` (agree, disagree).
        `basis` is `sources` for two sources of the same total, `sum_of_parts` for a total over all sectors beside the sum of its
        sectors. A disagreement is shown, not settled.
    """
    columns = ["territory", "year", "sector", "measure", "basis", "n_sources", "low", "high", "spread", "status"]
    if "territory_totals" not in tables or tables["territory_totals"].empty:
        return pd.DataFrame(columns=columns)
    totals = tables["territory_totals"].dropna(subset=["value"])
    rows = []
    for key, part in totals.groupby(["territory", "year", "sector", "measure"]):
        if part["source"].nunique() > 1:
            rows.append([*key, "sources", part["source"].nunique(), part["value"].min(), part["value"].max()])
    parts = _parts(tables)
    for (territory, year, measure), same in totals.groupby(["territory", "year", "measure"]):
        pieces, whole = same[same["sector"].isin(parts)], same[same["sector"] == "all"]
        if len(parts) > 1 and len(whole) and set(pieces["sector"]) == set(parts):
            stated = [*whole["value"], pieces.groupby("sector")["value"].mean().sum()]
            n = pd.concat([whole["source"], pieces["source"]]).nunique()
            rows.append([territory, year, "all", measure, "sum_of_parts", n, min(stated), max(stated)])
    table = pd.DataFrame(rows, columns=columns[:8]).astype({"year": int})
    spread = table["high"] / table["low"].where(table["low"] > 0) - 1
    status = np.where(spread.isna() | (spread > study.credibility.disagreement), "disagree", "agree")
    return table.assign(spread=spread.astype(float), status=pd.Series(status, index=table.index, dtype="str"))


def _parts(tables: Tables) -> list[str]:
    """The codes that split the register: its branches, where totals speak of them, else its sectors."""
    stated = set(tables["territory_totals"]["sector"])
    for column in ("branch", "sector"):
        codes = sorted(tables["enterprises"][column].dropna().unique())
        if codes and set(codes) <= stated:
            return codes
    return []
