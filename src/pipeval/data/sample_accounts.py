"""The sample programme's plan and money.

Series and territory totals are real and say where they come from; the budget is the approved one; entries, dates and findings are
made.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
import pandas as pd

from .sample_model import FX, INPC, US_CPI_U, YEARS

BUDGET = {
    ("1", "mif"): 111_600, ("1", "counterpart"): 34_600, ("2", "mif"): 799_400, ("2", "counterpart"): 684_200, ("3", "mif"): 0,
    ("3", "counterpart"): 275_200, ("4", "mif"): 41_000, ("4", "counterpart"): 6_000, ("evaluation", "mif"): 28_000,
    ("evaluation", "counterpart"): 0, ("contingencies", "mif"): 20_000, ("contingencies", "counterpart"): 0,
}  # fmt: skip
DISBURSED = [  # date, cumulative share of the MIF contribution
    ("2003-07-01", 0.08), ("2003-10-15", 0.13), ("2004-02-10", 0.21), ("2004-05-12", 0.29), ("2004-08-10", 0.38),
    ("2004-10-20", 0.46), ("2004-12-01", 0.53), ("2005-03-15", 0.61), ("2005-06-14", 0.70), ("2005-10-11", 0.79),
    ("2006-02-14", 0.87), ("2006-06-13", 0.93), ("2006-10-10", 0.97), ("2006-12-28", 0.986),
]  # fmt: skip
COUNTERPART_LAG = [(0, 0.75), (18, 0.82), (30, 0.92), (42, 0.97)]  # month, contributed as a share of what pari passu asks for
_NUMBERS = [
    "planned_qty", "actual_qty", "planned_cost_usd", "quality_score", "sequence", "verified", "severity",
    "start", "midterm", "final", "effect_pct", "ci_lo", "ci_hi", "horizon_years",
]  # fmt: skip
_DONORS = "Donors memorandum TC-03-02-01-3-ME, Table 1"
_QUARTERS = [f"{y}-{m:02d}-01" for y in (2003, 2004, 2005, 2006, 2007) for m in (1, 4, 7, 10)][3:17]  # 2003-10-01 … 2007-01-01


def series_table() -> pd.DataFrame:
    """Price indices (2003 = 100) and the exchange rate, annual averages."""
    index = 100 * US_CPI_U / US_CPI_U[2]
    rows = [
        ("inpc", INPC, "2003", "Consumer price index of Mexico (Banco de México, INEGI), annual average"),
        ("fx_mxn_usd", FX, "", "Pesos per US dollar, annual average (Banco de México)"),
        ("us_cpi", index.round(2), "2003", "CPI-U, all items, annual average (U.S. Bureau of Labor Statistics)"),
    ]
    parts = [
        pd.DataFrame(
            {"series": name, "year": YEARS, "value": values, "base": base, "source": source, "vintage": "final annual average"}
        )
        for name, values, base, source in rows
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(base=table["base"].astype("str").mask(table["base"] == ""))


def territory_table() -> pd.DataFrame:
    """Totals of Guanajuato as the donors memorandum states them; its sources disagree, and both readings are kept."""
    sectors = [
        ("footwear", 3500, 67000, 152e6),
        ("leather", 1245, 12000, 143e6),
        ("ceramics", 2000, 17500, 55e6),
        ("garment", 2600, 31000, 347e6),
    ]
    rows = []
    for sector, firms, workers, exports in sectors:
        note = "15,000 to 20,000 in the source; the middle is taken" if sector == "ceramics" else ""
        rows += [(2002, sector, "firms", firms, _DONORS, ""), (2002, sector, "workers", workers, _DONORS, note)]
        rows += [(2002, sector, "exports_usd", exports, _DONORS, "")]
    text = "Donors memorandum TC-03-02-01-3-ME, ¶2.4"
    rows += [(2002, "all", "firms", 9000, text, "'almost 9,000'; Table 1 adds up to 9,345")]
    rows += [(2002, "all", "workers", 120000, text, "'about 120,000'; Table 1 adds up to 127,500")]
    start = "Donors memorandum TC-03-02-01-3-ME, ¶2.1"
    rows += [(2002, "all", "population", 4_600_000, start, "the whole state")]
    gdp = round(4_600_000 * 4100 * FX[1] / 1000)
    rows += [
        (
            2002,
            "all",
            "gdp_kmxn",
            gdp,
            start,
            "4.6 million inhabitants × US$ 4,100, at the 2002 exchange rate; whole state, all sectors",
        )
    ]
    pairs = "pairs of footwear exported"
    rows += [
        (2001, "footwear", "production_units", 16e6, _DONORS, pairs),
        (2002, "footwear", "production_units", 6e6, _DONORS, pairs),
    ]
    table = pd.DataFrame(rows, columns=["year", "sector", "measure", "value", "source", "note"])
    table.insert(0, "territory", "Guanajuato")
    return table.assign(value=table["value"].astype(float), note=table["note"].astype("str").mask(table["note"] == ""))


def budget_table() -> pd.DataFrame:
    """The approved budget in US$ (donors memorandum, Table 2), component by source."""
    return pd.DataFrame([(c, s, float(v)) for (c, s), v in BUDGET.items()], columns=["component", "source", "budget_usd"])


def ledger_table(rng: np.random.Generator) -> pd.DataFrame:
    """Disbursements of the MIF, expenses from them and counterpart contributions, by quarter and component."""
    rows, before = [], 0.0
    for on, share in DISBURSED:
        rows.append((on, "disbursement", "mif", None, round((share - before) * 1e6, 2), 0))
        before = share
    for source, kind in (("mif", "expense"), ("counterpart", "counterpart_contribution")):
        for component in ("1", "2", "3", "4", "evaluation", "contingencies"):
            total = BUDGET[component, source]
            done = np.array([_executed(component, source, on) for on in _QUARTERS]) * total
            for on, amount in zip(_QUARTERS, np.diff(done, prepend=0.0), strict=True):
                if amount >= 1:
                    last = (np.datetime64(on) - rng.integers(1, 4)) if source == "mif" else np.datetime64(on)
                    rows.append(
                        (str(last), kind, source, component, round(amount, 2), int(source == "counterpart" and component == "3"))
                    )
    table = pd.DataFrame(rows, columns=["on", "kind", "source", "component", "amount_usd", "in_kind"])
    table["on"] = pd.to_datetime(table["on"]).astype("datetime64[s]")
    table = table.sort_values(["on", "kind", "component"], ignore_index=True)
    table.insert(0, "entry_id", [f"L{i:04d}" for i in range(1, len(table) + 1)])
    return table.assign(in_kind=table["in_kind"].astype(float), document=[f"V-{i:04d}" for i in range(1, len(table) + 1)])


def plan_table(name: str) -> pd.DataFrame:
    """One of the shipped tables of the plan (a file of `sample_plan`), dates and numbers as such."""
    with resources.files(__package__).joinpath("sample_plan", f"{name}.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype="str")
    for column in table.columns.intersection(_NUMBERS):
        table[column] = table[column].astype(float)
    for column in table.columns[table.columns.str.contains(r"_(?:on|start|end)$")]:
        table[column] = pd.to_datetime(table[column]).astype("datetime64[s]")
    return table


def _executed(component: str, source: str, on: str) -> float:
    """Share of a budget line executed by a date."""
    month = (np.datetime64(on) - np.datetime64("2003-07-01")).astype(float) / 30.4375
    if source == "counterpart":
        share = np.interp(
            np.datetime64(on).astype(float), [np.datetime64(d).astype(float) for d, _ in DISBURSED], [s for _, s in DISBURSED]
        )
        if on <= "2005-01-01":  # steps, not a line, until the midterm: what had been disbursed by then
            share = max(s for d, s in DISBURSED if d <= on)
        return share * np.interp(month, *zip(*COUNTERPART_LAG, strict=True))
    x = np.clip(month / 42, 0, 1)
    smooth = 3 * x**2 - 2 * x**3
    steps = {"evaluation": 0.45 * (month > 20) + 0.5 * (month > 41), "contingencies": 0.2 * (month > 15) + 0.4 * (month > 30)}
    return {"1": min(1.0, x / 0.35), "2": 0.975 * smooth, "3": x, "4": 0.95 * max(0.0, (x - 0.3) / 0.7)}.get(
        component, steps.get(component, 0.0)
    )
