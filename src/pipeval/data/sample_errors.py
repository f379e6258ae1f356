"""Errors planted in the sample, with their answer key.

Every error is implausible but possible (a query, never a blocking fault), stands in a firm of its own, and can be found by a rule
that looks at the files alone. The key has one row a cell changed: `table, key, column, kind, true_value`; parts of a row's key are
joined by `|`. An error that moves several cells together (a whole block typed in pesos) has several rows with one key.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from .sample_model import FX, YEARS

COUNTS = {
    "sales_in_pesos": 6,
    "exports_in_usd": 3,
    "parts_not_sum": 4,
    "duplicate_firm": 3,
    "participant_in_controls": 2,
    "va_above_sales": 3,
    "heaped": 4,
    "partial_year": 5,
    "subsidy_cap": 2,
    "subsidy_rate": 3,
    "service_before_registration": 2,
    "negative_cost": 1,
    "year_gap": 2,
}
_SALES = ["sales_kmxn", "domestic_sales_kmxn", "export_direct_kmxn", "export_indirect_kmxn"]
_FLOWS = _SALES[1:] + ["export_direct_usd", "intermediate_inputs_kmxn", "inventory_change_kmxn", "payroll_kmxn", "production_qty"]


class _Planter:
    """Copies of the tables being spoilt, the key so far, and the firms already used."""

    def __init__(self, tables: dict[str, pd.DataFrame], rng: np.random.Generator):
        self.survey = tables["survey"].set_index(tables["survey"]["firm_id"] + "|" + tables["survey"]["ref_year"].astype(str))
        self.services = tables["services"].set_index("service_id", drop=False)
        self.enterprises = tables["enterprises"].set_index("firm_id", drop=False)
        self.rng = rng
        self.used: set[str] = set()
        self.key: list[tuple] = []

    def pick(self, where: pd.DataFrame, count: int) -> list[str]:
        """Index labels of `count` rows of different firms not used before (fewer when there are fewer)."""
        rows = where[~where["firm_id"].isin(self.used)]
        rows = rows.iloc[self.rng.permutation(len(rows))].drop_duplicates("firm_id").iloc[:count]
        self.used |= set(rows["firm_id"])
        return list(rows.index)

    def spoil(self, table: str, key: str, kind: str, values: dict) -> None:
        frame = getattr(self, table)
        for column, value in values.items():
            self.key.append((table, key, column, kind, _text(frame.at[key, column])))
            frame.at[key, column] = value

    def answered(self, first: int = 2002) -> pd.DataFrame:
        return self.survey[(self.survey["response"] == "complete") & (self.survey["ref_year"] >= first)]


def plant_errors(tables: dict[str, pd.DataFrame], rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """The tables with errors planted, their answer key as `planted_errors`, and `corrections` that the firms already agreed."""
    planter = _Planter(tables, rng)
    corrections = _agreed_corrections(planter)
    _spoil_survey(planter)
    _spoil_services(planter)
    duplicates, rows = _duplicates(planter)
    gaps = _gaps(planter)
    survey = pd.concat([planter.survey.drop(index=gaps), *rows]).reset_index(drop=True)
    planted = pd.DataFrame(planter.key, columns=["table", "key", "column", "kind", "true_value"]).astype("str")
    return tables | {
        "enterprises": pd.concat([planter.enterprises, *duplicates], ignore_index=True),
        "survey": survey.sort_values(["firm_id", "ref_year"], ignore_index=True),
        "services": planter.services.reset_index(drop=True),
        "corrections": corrections,
        "planted_errors": planted,
    }


def _spoil_survey(p: _Planter) -> None:
    for key in p.pick(p.answered(), COUNTS["sales_in_pesos"]):
        row = p.survey.loc[key]
        p.spoil("survey", key, "sales_in_pesos", {c: row[c] * 1000 for c in _SALES if row[c] > 0})
    exporters = p.answered()[p.answered()["export_direct_kmxn"] > 50]
    for key in p.pick(exporters, COUNTS["exports_in_usd"]):
        row = p.survey.loc[key]
        rate = FX[np.searchsorted(YEARS, row["ref_year"])]
        p.spoil("survey", key, "exports_in_usd", {"export_direct_kmxn": round(row["export_direct_kmxn"] / rate, 1)})
    mostly = p.answered()[p.answered()["domestic_sales_kmxn"] > 0.4 * p.answered()["sales_kmxn"]]
    for key in p.pick(mostly, COUNTS["parts_not_sum"]):
        wrong = p.survey.at[key, "domestic_sales_kmxn"] * p.rng.choice([p.rng.uniform(0.6, 0.85), p.rng.uniform(1.15, 1.4)])
        p.spoil("survey", key, "parts_not_sum", {"domestic_sales_kmxn": round(wrong, 1)})
    growing = p.answered()[p.answered()["inventory_change_kmxn"] > 0.01 * p.answered()["sales_kmxn"]]
    for key in p.pick(growing, COUNTS["va_above_sales"]):
        typed = round(p.survey.at[key, "intermediate_inputs_kmxn"] / 1000, 1)  # millions typed for thousands
        p.spoil("survey", key, "va_above_sales", {"intermediate_inputs_kmxn": typed})
    for key in p.pick(p.answered(2004), COUNTS["partial_year"]):
        _part_of_a_year(p, key, int(p.rng.integers(3, 9)))
    years = p.answered(2004)[(p.answered(2004)["ref_year"] <= 2007) & (p.answered(2004)["export_direct_kmxn"] == 0)]
    years = years[(years["export_indirect_kmxn"] == 0) & (years["sales_kmxn"] > 100)]
    run = years.groupby("firm_id")["ref_year"].transform("size") == 4
    for key in p.pick(years[run], COUNTS["heaped"]):
        for year in range(2004, 2008):
            _round(p, f"{key.split('|')[0]}|{year}")


def _part_of_a_year(p: _Planter, key: str, months: int) -> None:
    """The figures of some months only, said to be such but not annualised."""
    row = p.survey.loc[key]
    whole = ("export_direct_usd", "production_qty")
    part = {c: round(row[c] * months / 12, 0 if c in whole else 1) for c in _FLOWS if pd.notna(row[c]) and row[c] != 0}
    kept = {c: part.get(c, 0.0) for c in _SALES[1:]}
    p.spoil("survey", key, "partial_year", {"months_covered": float(months), "sales_kmxn": round(sum(kept.values()), 1)} | part)


def _round(p: _Planter, key: str) -> None:
    sales = p.survey.at[key, "sales_kmxn"]
    scale = 10 ** np.floor(np.log10(sales))
    p.spoil("survey", key, "heaped", dict.fromkeys(_SALES[:2], float(max(round(sales / scale), 1) * scale)))


def _spoil_services(p: _Planter) -> None:
    s = p.services
    spent = s.groupby("firm_id")["programme_paid_usd"].transform("sum")
    big = s[(s["activity_type"] == "ta_individual") & (spent > 2000)]
    for key in p.pick(big, COUNTS["subsidy_cap"]):
        row = s.loc[key]
        share = row["programme_paid_usd"] / row["total_cost_usd"]
        paid = row["programme_paid_usd"] + 7500 - spent[key] + p.rng.uniform(300, 1500)
        total = round(paid / share, 2)
        paid = np.floor(total * share * 100) / 100
        p.spoil(
            "services",
            key,
            "subsidy_cap",
            {"total_cost_usd": total, "programme_paid_usd": round(paid, 2), "firm_paid_usd": round(total - paid, 2)},
        )
    small = s[(s["total_cost_usd"] < 1200) & (spent < 5500)]
    for key in p.pick(small, COUNTS["subsidy_rate"]):
        paid = round(s.at[key, "total_cost_usd"] * p.rng.uniform(0.85, 0.95), 2)
        values = {"programme_paid_usd": paid, "firm_paid_usd": round(s.at[key, "total_cost_usd"] - paid, 2)}
        p.spoil("services", key, "subsidy_rate", values)
    registered = s["firm_id"].map(p.enterprises["registered_on"])
    soon = s[(s["activity_type"] == "diagnosis") & (s["start_on"] < registered + pd.Timedelta(days=400))]
    for key in p.pick(soon, COUNTS["service_before_registration"]):
        early = registered[key] - pd.Timedelta(days=int(p.rng.integers(30, 121)))
        end = early + (s.at[key, "end_on"] - s.at[key, "start_on"])
        p.spoil("services", key, "service_before_registration", {"start_on": early, "end_on": end})
    for key in p.pick(small, COUNTS["negative_cost"]):
        p.spoil("services", key, "negative_cost", {"total_cost_usd": -s.at[key, "total_cost_usd"]})
    controls = p.pick(p.enterprises[p.enterprises["arm"] == "nonparticipant"], COUNTS["participant_in_controls"])
    group = s[s["activity_type"] == "workshop"]
    for key, other in zip(p.pick(group, len(controls)), controls, strict=True):  # typed under a control's id
        p.spoil("services", key, "participant_in_controls", {"firm_id": other})


def _duplicates(p: _Planter) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Non-participants registered a second time under a new id, interviewed twice with almost the same figures."""
    answers = p.answered(2001).groupby("firm_id").size()
    e = p.enterprises
    again = e[(e["arm"] == "nonparticipant") & (e["firm_id"].map(answers) >= 5) & e["founded_year"].notna()]
    number, width = len(e), len(e["firm_id"].iloc[0]) - 1
    firms, rows = [], []
    for i, original in enumerate(p.pick(again, COUNTS["duplicate_firm"])):
        new = f"F{number + 1 + i:0{width}d}"
        firms.append(e.loc[[original]].assign(firm_id=new))
        copy = p.survey[p.survey["firm_id"] == original].assign(firm_id=new)
        factor = np.exp(p.rng.normal(0, 0.002, len(copy)))
        money = [c for c in _FLOWS if c.endswith("_kmxn")]
        copy[money] = copy[money].mul(factor, axis=0).round(1)
        copy["sales_kmxn"] = copy[_SALES[1:]].sum(axis=1, skipna=False).round(1)
        rows.append(copy)
        p.key.append(("enterprises", new, "firm_id", "duplicate_firm", original))
    return firms, rows


def _gaps(p: _Planter) -> list[str]:
    """Rows taken out between two years that are there."""
    gaps = p.pick(p.answered(2004)[p.answered(2004)["ref_year"] <= 2006], COUNTS["year_gap"])
    p.key += [("survey", key, "ref_year", "year_gap", key.split("|")[1]) for key in gaps]
    return gaps


def _agreed_corrections(p: _Planter) -> pd.DataFrame:
    """Two mistakes left in the files because the firms have agreed to their correction."""
    baseline = p.survey[(p.survey["ref_year"] == 2003) & (p.survey["response"] == "complete")]
    (typed,) = p.pick(baseline, 1)
    (old,) = p.pick(p.enterprises[p.enterprises["founded_year"] > 1960], 1)
    rows = [("survey", typed, "intermediate_inputs_kmxn", 10.0), ("enterprises", old, "founded_year", None)]
    agreed = []
    for table, key, column, factor in rows:
        frame = getattr(p, table)
        true = frame.at[key, column]
        wrong = round(true * factor, 1) if factor else true - 100
        frame.at[key, column] = wrong
        agreed.append((table, key, column, _text(wrong), _text(true), "letter of the firm", "2004-06-15"))
    table = pd.DataFrame(agreed, columns=["table", "key", "column", "old", "new", "source", "date"])
    return table.assign(date=pd.to_datetime(table["date"]).astype("datetime64[s]"))


def _text(value) -> str:
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d")
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)
