"""The base brought up to date: what each figure was, what it is in the reference year, and how much per unit of support."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from ..data.load import Tables
from ..data.measures import MONEY, Measures
from ..study.specs import Study

PER_THOUSAND, PER_DAY = "per_thousand_usd", "per_day"
"""Units of support: a thousand dollars that the programme paid; a day of service."""


def figures_of(study: Study) -> dict[str, tuple[str, str | None]]:
    """The figures followed: the params' measures of firms, alone or one per another, by the name they have in tables."""
    named = [(o.measure, o.per) for o in study.outcomes if o.measure not in ("alive", "recall_flag")]
    named += [(measure, None) for measure in ("sales", "jobs", "exports", "exports_usd")]
    return {f"{m}_per_{per}" if per else m: (m, per) for m, per in dict.fromkeys(named)}


def _values(table: pd.DataFrame, measure: str, per: str | None) -> pd.Series:
    values = table[measure].astype(float)
    return values / table[per].where(table[per] > 0) if per else values


def _both_ends(measured: Measures, study: Study, name: str, prices: str) -> pd.DataFrame:
    """`before` and `after` of the firms that have both, index `firm_id`."""
    table = measured.nominal if prices != "real" else measured.real
    periods = table.index.get_level_values("period")
    years = {"before": study.baseline.year, "after": study.treatment.reference_year}
    if not set(years.values()) <= set(periods):
        return pd.DataFrame(columns=list(years), dtype=float)
    values = _values(table, *figures_of(study)[name]).unstack()
    return pd.DataFrame({end: values[year] for end, year in years.items()}).dropna()


def _prices(measure: str, study: Study) -> tuple[str, ...]:
    """The price bases of a measure, that of the headline first; without a deflator there are no constant prices."""
    if measure not in MONEY:
        return ("current_usd",) if measure == "exports_usd" else ("none",)
    return ("nominal",) if study.money.deflator is None else ("real", "nominal")


def baseline_update(measured: Measures, firms: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row a figure, price basis and arm: the base year, the reference year and the change between them.

    Returns
    -------
    DataFrame
        `measure, prices` (`real, nominal, current_usd`, or `none` for what is no money), `arm, n` (firms with the figure in
        both years), `total_base, total_final, total_change` (NaN for figures per job and for price levels, which do not add up),
        `mean_base, mean_final, mean_change`, `value_change` (final to base: of totals, else of means; NaN for a base of zero).
        Money in thousands of the national currency; `exports_usd` in dollars.

    Notes
    -----
    What changed, not what the programme changed: arms differ in more than the programme. Firms that closed or fell silent are
    in neither end.
    """
    rows = []
    for name, (measure, per) in _known(measured, study).items():
        for prices in _prices(measure, study):
            ends = _both_ends(measured, study, name, prices)
            for arm, part in ends.groupby(firms["arm"].reindex(ends.index)):
                rows.append([name, prices, arm, len(part), *_change(part, additive=per is None and measure != "price")])
    columns = ["total_base", "total_final", "total_change", "mean_base", "mean_final", "mean_change", "value_change"]
    return pd.DataFrame(rows, columns=["measure", "prices", "arm", "n", *columns])


def _known(measured: Measures, study: Study) -> dict[str, tuple[str, str | None]]:
    numbers = set(measured.nominal.select_dtypes("number"))
    return {k: v for k, v in figures_of(study).items() if {c for c in v if c} <= numbers}


def _change(part: pd.DataFrame, additive: bool) -> list[float]:
    before, after = part["before"], part["after"]
    sums = [before.sum(), after.sum(), after.sum() - before.sum()] if additive else [np.nan] * 3
    means = [before.mean(), after.mean(), after.mean() - before.mean()]
    return [*sums, *means, means[1] / means[0] if means[0] > 0 else np.nan]


def doses(tables: Tables, firms: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row a participant: support received up to the end of the reference year (`per_thousand_usd, per_day`).

    A participant without a service received nothing; one with a service whose amount, or date, is not known has NaN.
    """
    services = tables["services"]
    services = services[~(services["start_on"].dt.year > study.treatment.reference_year)]
    received = pd.DataFrame({PER_THOUSAND: services["programme_paid_usd"] / 1000, PER_DAY: services["days"]})
    received = received.where(services["start_on"].notna())
    total = received.groupby(services["firm_id"]).sum(skipna=False)
    members = firms.index[firms["arm"] == "beneficiary"]
    found = total.reindex(members)
    found.loc[~members.isin(total.index)] = 0.0
    return found


def marginal_change(measured: Measures, firms: pd.DataFrame, tables: Tables, study: Study) -> pd.DataFrame:
    """One row a figure and unit of support, among participants: the change per unit, and how change goes with support.

    Returns
    -------
    DataFrame
        `measure, prices` (real where it is money, nominal without a deflator), `dose` (`per_thousand_usd, per_day`), `n`
        (participants with the figure in both years), `dose_mean`, `change_per_unit` (total change by total support), `estimate`
        (slope of a firm's change on its support, least squares), `std_error` (HC1), `conf_low, conf_high` (t, n − 2), `p_value`,
        `reading` (always `association`). NaN where support does not vary, or fewer than three firms are left.

    Notes
    -----
    Neither number is an effect: firms that grow may ask for more support. `change_per_unit` credits the programme with the
    whole change, whatever else happened.
    """
    columns = [
        "measure",
        "prices",
        "dose",
        "n",
        "dose_mean",
        "change_per_unit",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
        "p_value",
    ]
    if "services" not in tables:
        return pd.DataFrame(columns=[*columns, "reading"])
    support, rows = doses(tables, firms, study), []
    for name, (measure, _) in _known(measured, study).items():
        prices = _prices(measure, study)[0]
        ends = _both_ends(measured, study, name, prices)
        change = (ends["after"] - ends["before"]).reindex(support.index)
        for dose in (PER_THOUSAND, PER_DAY):
            both = pd.DataFrame({"x": support[dose], "y": change}).dropna()
            rows.append(
                [name, prices, dose, len(both), *_slope(both["x"].to_numpy(float), both["y"].to_numpy(float), study.did.level)]
            )
    return pd.DataFrame(rows, columns=columns).assign(reading="association")


def _slope(x: np.ndarray, y: np.ndarray, level: float) -> list[float]:
    """Mean of x, total of y by total of x, slope, its HC1 error, limits and p-value."""
    if not len(x):
        return [np.nan] * 7
    ratio = y.sum() / x.sum() if x.sum() > 0 else np.nan
    gap = x - x.mean()
    if len(x) < 3 or not (gap**2).sum() > 1e-12 * max((x**2).sum(), 1e-300):
        return [x.mean(), ratio, *[np.nan] * 5]
    slope = (gap * y).sum() / (gap**2).sum()
    left = y - y.mean() - slope * gap
    error = np.sqrt((gap**2 * left**2).sum() * len(x) / (len(x) - 2)) / (gap**2).sum()
    reach = stats.t.ppf(0.5 + level / 2, len(x) - 2) * error
    p = 2 * stats.t.sf(abs(slope) / error, len(x) - 2) if error > 0 else np.nan
    return [x.mean(), ratio, slope, error, slope - reach, slope + reach, p]
