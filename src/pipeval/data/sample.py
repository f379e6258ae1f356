"""A programme that knows its own truth: the Guanajuato production chains, simulated.

`simulate` draws the register, the survey and the truth for Monte Carlo work; `sample_programme` adds every other table that an
evaluator would be handed, and plants errors with an answer key; `write` puts tables on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .sample_accounts import budget_table, ledger_table, plan_table, series_table, territory_table
from .sample_errors import plant_errors
from .sample_model import Firms, Knobs, draw_firms, draw_paths
from .sample_programme import (
    activities_table,
    attendance_table,
    clusters_table,
    customs_table,
    other_support_table,
    product_sales_table,
    products_table,
    providers_table,
    satisfaction_table,
    services_table,
)
from .sample_survey import enterprises_table, survey_table, truth_table
from .sample_voices import voices_tables

_DEFAULT = Knobs()


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """One draw: the register (a row a firm), the survey (a row a firm and year) and the truth (a row a firm and year)."""

    enterprises: pd.DataFrame
    survey: pd.DataFrame
    truth: pd.DataFrame


def simulate(knobs: Knobs = _DEFAULT) -> Simulation:
    """One draw of the sample programme, without planted errors.

    Columns follow `data.contract`; money is in thousand current pesos, effects in `truth` in log points. With the default knobs
    trends are parallel without conditions, while participants are larger, export more and sell more per worker (selection on size,
    export status, chamber membership and the firm's fixed effect).

    Examples
    --------
    >>> drawn = simulate(Knobs(seed=1))
    >>> drawn.enterprises["arm"].value_counts().to_dict()
    {'nonparticipant': 500, 'indirect': 300, 'beneficiary': 200}
    """
    return _draw(knobs)[0]


def sample_programme(knobs: Knobs = _DEFAULT) -> dict[str, pd.DataFrame]:
    """Every table of the sample programme by name, as in `data.contract`, with `truth` beside them.

    With `planted_errors` (the default) the tables hold about forty errors, `planted_errors` is their answer key and `corrections`
    holds two agreed corrections; without, `enterprises` and `survey` are those of `simulate` and neither table is there.

    Examples
    --------
    >>> tables = sample_programme(Knobs(seed=1, n=200))
    >>> tables["budget"]["budget_usd"].sum()
    np.float64(2000000.0)
    >>> tables["planted_errors"]["kind"].nunique()
    13
    """
    drawn, firms = _draw(knobs)
    rng = np.random.default_rng([knobs.seed, 1])
    enterprises, survey = drawn.enterprises, drawn.survey
    services = services_table(enterprises, firms.ta_year, rng)
    clusters = clusters_table(enterprises, rng)
    tables = {
        "enterprises": enterprises,
        "survey": survey,
        "product_sales": product_sales_table(enterprises, survey, rng),
        "services": services,
        "other_support": other_support_table(enterprises, rng),
        "providers": providers_table(),
        "series": series_table(),
        "territory_totals": territory_table(),
        "budget": budget_table(),
        "ledger": ledger_table(rng),
        "activities": activities_table(services),
        "clusters": clusters,
        "products": products_table(clusters, rng),
        "satisfaction": satisfaction_table(enterprises, services, rng),
        "milestones": plan_table("milestones"),
        "findings": plan_table("findings"),
        "customs": customs_table(enterprises, survey, rng),
        "attendance": attendance_table(services, rng),
        "truth": drawn.truth,
    }
    tables |= voices_tables(tables, knobs)
    return plant_errors(tables, rng) if knobs.planted_errors else tables


def write(tables: dict[str, pd.DataFrame], folder: Path | str) -> list[Path]:
    """Write each table as `<name>.csv`: UTF-8, commas, ISO dates, empty cells for missing, 1/0 for yes/no.

    The same tables give the same bytes on every system. A column of whole numbers is written without decimals.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        plain = table.assign(**{c: _whole(table[c]) for c in table.columns if pd.api.types.is_float_dtype(table[c])})
        plain.to_csv(path, index=False, encoding="utf-8", lineterminator="\n", date_format="%Y-%m-%d")
        paths.append(path)
    return paths


def _whole(column: pd.Series) -> pd.Series:
    filled = column.dropna()
    return column.astype("Int64") if (filled == filled.round()).all() else column


def _draw(knobs: Knobs) -> tuple[Simulation, Firms]:
    rng = np.random.default_rng(knobs.seed)
    firms, shock = draw_firms(knobs, rng)
    paths = draw_paths(knobs, firms, shock, rng)
    enterprises = enterprises_table(firms, paths, rng)
    return Simulation(enterprises, survey_table(knobs, firms, paths, rng), truth_table(firms, paths)), firms
