"""The money of a programme year by year: what its effect is worth and what it cost, in constant US$.

A year's benefit is the effect (as a share) × the treated firms' counterfactual level × `surplus_share` × (1 − displacement). What
the firms had is known and what they would have had is not: a larger effect means a lower counterfactual, so that a draw of the
effect never contradicts the level observed. Up to the reference year each year has its own estimate; after it the reference
year's decays by `persistence` a year. One draw moves every year's estimate by the same number of its standard errors: what errs
in one year errs in all. Costs are all costs of the programme, of the financier, the counterpart and the firms, whoever was
served; benefits are those of the treated firms only, so that what others gained is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from ..data.measures import Measures
from ..data.money import series_values
from ..study.programme_specs import Return
from ..study.specs import Outcome, Study
from .costs import spending


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """What the return is computed from, all money in constant US$.

    Attributes
    ----------
    effects : DataFrame
        Index `period`, the years with treated firms up to the reference year, the last: `estimate, std_error` (log points),
        `level_usd` (the treated firms' counterfactual).
    costs : Series
        By year.
    df : float
        Degrees of freedom of the reference year's estimate; infinite: normal.
    """

    effects: pd.DataFrame
    costs: pd.Series
    df: float = np.inf

    @property
    def reference_year(self) -> int:
        return int(self.effects.index[-1])

    def years(self, horizon: int) -> np.ndarray:
        """From the first cost or effect to the horizon, or to the last cost if it is later."""
        first = min([*self.effects.index, *self.costs.index])
        return np.arange(first, max([self.reference_year + horizon, *self.costs.index]) + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Values of what is uncertain, one a draw: standard errors by which effects move, persistence, displacement."""

    z: np.ndarray
    persistence: np.ndarray
    displacement: np.ndarray


def draws(spec: Return, df: float) -> Draws:
    """`spec.draws` values of each uncertain input: t (normal if `df` is infinite), and two triangular distributions."""
    rng = np.random.default_rng(spec.seed)
    z = rng.standard_t(df, spec.draws) if np.isfinite(df) else rng.standard_normal(spec.draws)
    return Draws(z, _triangular(spec.persistence, spec.draws, rng), _triangular(spec.displacement, spec.draws, rng))


def central(spec: Return) -> Draws:
    """One draw: the estimates as they are, likely persistence and displacement."""
    return Draws(np.zeros(1), np.array([spec.persistence[1]]), np.array([spec.displacement[1]]))


def benefits(flows: Flows, spec: Return, drawn: Draws, shift: float = 0.0) -> np.ndarray:
    """One row a draw, one column a year (`flows.years`): the benefit in constant US$.

    A year's effect of θ log points has added (1 − exp(−θ)) of the level observed. `shift` moves every year's effect by so many log
    points. A year without an estimate has no benefit.

    >>> effects = pd.DataFrame({"estimate": [np.log(1.1)], "std_error": 0.0, "level_usd": 1000.0}, index=[2006])
    >>> spec = Return(outcome="y", horizon_years=1, surplus_share=0.5)
    >>> benefits(Flows(effects, pd.Series({2006: 10.0})), spec, central(spec)).round(6).tolist()
    [[37.5, 30.0]]
    """
    years, end = flows.years(spec.horizon_years), flows.reference_year
    table = flows.effects.reindex(years)
    estimate, error = (table[c].to_numpy(float) for c in ("estimate", "std_error"))
    observed = (table["level_usd"] * np.exp(table["estimate"])).fillna(0.0).to_numpy(float)
    added = np.where(np.isnan(estimate), 0.0, -np.expm1(-(estimate + shift + drawn.z[:, None] * np.nan_to_num(error)))) * observed
    later = np.clip(years - end, 0, None)
    lasting = drawn.persistence[:, None] ** later * ((years >= end) & (later <= spec.horizon_years))
    gain = np.where(years < end, added, lasting * added[:, years == end])
    return gain * spec.surplus_share * (1 - drawn.displacement[:, None])


def outlays(flows: Flows, spec: Return) -> np.ndarray:
    """Costs by year of `flows.years`, constant US$."""
    return flows.costs.reindex(flows.years(spec.horizon_years), fill_value=0.0).to_numpy(float)


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """How the levels and costs of `Flows` came about.

    `firms`: by year, `n_firms` (treated and not closed), `n_responding` (with a value); `fx`: national currency per US$ in
    `base_year`; `cost_current_usd`: costs by year in dollars of the day; `notes`: codes.
    """

    firms: pd.DataFrame
    fx: float
    base_year: int
    cost_current_usd: pd.Series
    notes: tuple[str, ...]


def programme_flows(
    tables: Mapping[str, pd.DataFrame],
    measured: Measures,
    firms: pd.DataFrame,
    found: Mapping[str, pd.DataFrame],
    study: Study,
) -> tuple[Flows, Levels] | None:
    """The flows of a study's return and how they came about; None where the study asks for none or data are missing.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        `series` (exchange rate, foreign prices), `ledger`, `services`.
    measured : Measures
        Levels at the study's headline prices, thousand of the currency.
    firms : DataFrame
        The panel's firms, index `firm_id`, with `cohort`.
    found : mapping of str to DataFrame
        `effects` (headline row: `estimate, std_error, df`) and `att_by_period` (`outcome, period, estimate, std_error`).

    Notes
    -----
    Level of a year: sum over responding treated firms / exp(effect) × treated firms not closed / responding ones, converted at
    the exchange rate of the base year of prices. Costs in US$ of the day × foreign prices of the base year / of their year.
    """
    if study.returns is None:
        return None
    outcome = study.outcome(study.returns.outcome)
    effects = _effects(outcome.id, found, study)
    base = study.money.base_year or study.baseline.year
    fx = _rate(tables.get("series"), study, base)
    payments = spending(tables.get("ledger"), tables.get("services"))
    if effects is None or np.isnan(fx) or payments.empty:
        return None
    counted = _counted(measured.headline, firms, outcome, study.treatment.reference_year)
    table, df = effects
    every = table.reindex(counted.index)
    counted = counted.assign(level=counted["total"] * np.exp(-every["estimate"]) * counted["n_firms"] / counted["n_responding"])
    every = every.assign(level_usd=1000 * counted["level"] / fx)
    if not np.isfinite(every["level_usd"].get(study.treatment.reference_year, np.nan)):
        return None
    current = payments.groupby("period")["cost_usd"].sum()
    costs, notes = _constant(current, tables.get("series"), study, base)
    if every["estimate"].isna().any():
        notes += ("year_without_estimate",)
    if study.money.headline == "nominal":
        notes += ("current_prices",)
    return Flows(every, costs, df), Levels(counted[["n_firms", "n_responding"]], fx, base, current, notes)


def _effects(key: str, found: Mapping[str, pd.DataFrame], study: Study) -> tuple[pd.DataFrame, float] | None:
    """By year, `estimate, std_error`; the reference year's from the headline row, with its degrees of freedom."""
    headline, years = found.get("effects"), found.get("att_by_period")
    if headline is None or "headline" not in headline:
        return None
    row = headline[(headline["outcome"] == key) & headline["headline"].astype(bool)]
    if row.empty or row[["estimate", "std_error"]].iloc[0].isna().any():
        return None
    end = study.treatment.reference_year
    table = pd.DataFrame(columns=["estimate", "std_error"], dtype=float)
    if years is not None and "period" in years:
        own = years[(years["outcome"] == key) & (years["period"] < end)]
        table = own.assign(period=own["period"].astype(int)).set_index("period")[["estimate", "std_error"]]
    table.loc[end] = row[["estimate", "std_error"]].iloc[0].astype(float)
    df = float(row["df"].iloc[0]) if "df" in row else np.nan
    return table.sort_index(), np.inf if np.isnan(df) else df


def _counted(frame: pd.DataFrame, firms: pd.DataFrame, outcome: Outcome, end: int) -> pd.DataFrame:
    """By year from the first cohort to `end`: firms treated and not closed, those with a value, and the sum of their values."""
    for column, codes in outcome.among.items():
        firms = firms[firms[column].isin(codes)] if column in firms else firms
    cohort = firms["cohort"].astype(float)
    treated = cohort[cohort <= end]
    years = range(int(treated.min()), end + 1) if len(treated) else range(end, end + 1)
    rows = []
    for year in years:
        ids = treated.index[treated <= year]
        now = frame[frame.index.get_level_values("period") == year].droplevel("period").reindex(ids)
        closed = now["status"] == "exited" if "status" in now else pd.Series(False, index=ids)
        values = now[outcome.measure].astype(float)
        values = values[values > 0] if outcome.scale == "log" else values.dropna()
        rows.append((year, int((~closed).sum()), len(values), float(values.sum())))
    table = pd.DataFrame(rows, columns=["period", "n_firms", "n_responding", "total"]).set_index("period")
    return table.assign(n_responding=table["n_responding"].where(table["n_responding"] > 0))


def _rate(series: pd.DataFrame | None, study: Study, year: int) -> float:
    """National currency per US$ in that year; NaN when it is not known."""
    if study.programme.currency == "USD":
        return 1.0
    if study.money.fx is None or series is None or study.money.fx not in set(series["series"]):
        return np.nan
    return float(series_values(series, study.money.fx).get(year, np.nan))


def last_full_year(study: Study) -> int:
    """The last year that had ended on the day of the evaluation: annual averages of later ones were not known."""
    return (study.as_of + timedelta(days=1)).year - 1


def _constant(current: pd.Series, series: pd.DataFrame | None, study: Study, base: int) -> tuple[pd.Series, tuple[str, ...]]:
    """Costs at US prices of the base year; as they are, with a note, where the index is missing for one of the years.

    A year that had not ended by the evaluation has the last index known.
    """
    name = study.assumptions.foreign_prices
    if name is None or series is None or name not in set(series["series"]):
        return current, ("current_dollars",)
    index = series_values(series, name)
    known = index[index.index <= last_full_year(study)]
    if known.empty or base not in known.index:
        return current, ("current_dollars",)
    years = current.index.to_series().clip(upper=known.index[-1])
    factor = known[base] / years.map(known)
    return (current, ("current_dollars",)) if factor.isna().any() else (current * factor, ())


def _triangular(ends: tuple[float, float, float], n: int, rng: np.random.Generator) -> np.ndarray:
    low, likely, high = ends
    return rng.triangular(low, likely, high, n) if high > low else np.full(n, likely)
