"""Every fault of the files, at once: what breaks the contract, and what should be asked of the firms.

A `blocking` fault makes a correct evaluation impossible (identity, keys, types, impossible designs). A `query` is implausible but
possible: it is listed for the firm, and params say whether the value is kept, set missing, or the firm left out. Each rule is one
function that yields the rows it questions.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..study.specs import Study
from .check_rules import COMPARING, Found, answers
from .contract import TABLES
from .load import FAULT_COLUMNS, Tables
from .money import series_values
from .treatment import classify_size

_NUMBER = "write a number without thousands separators, at most 2⁵³; declare data.decimal and data.separator"
_TEXT = "take out control characters and those that turn the direction of text"
_OF_KIND = {
    "int": _NUMBER.replace("a number", "a whole number"),
    "bool": "write 1 (yes) or 0 (no), or the word in English, Spanish or Portuguese; map others under data.codes",
    "date": "write a date as year-month-day, such as 2004-01-20; the cells of a workbook may be dates",
    "text": _TEXT,
    "id": _TEXT,
}
"""What to write in a column of this kind; any other takes numbers."""

ACTIONS = {
    "type": _NUMBER,
    "unknown_code": "use one of the codes of the data dictionary, or map yours under data.codes",
    "needed": "fill the cell; the table cannot be used without it",
    "missing_column": "add the column, or map your own name for it under data.columns",
    "range": "confirm or correct the value",
    "correction_unfit": "the old value is not the one in the file; correct corrections.csv",
    "duplicate_key": "keep one row of each key",
    "unknown_firm": "add the firm to enterprises, or correct its id",
    "entry_year_missing": "give the year in which the firm's support began; without it the firm is not a control but an error",
    "unit_error": "the figure is about a thousand times off; confirm its unit (thousands)",
    "exports_currency": "direct exports in national money and in US$ disagree; confirm which is wrong",
    "parts_not_sum": "domestic sales, direct and indirect exports must add up to sales within 1 %",
    "va_above_sales": "value added exceeds sales; confirm inputs and the change of inventories",
    "heaped": "round figures year after year; ask for the accounts",
    "partial_year": "the figures cover part of a year; ask for the full year (they are annualised meanwhile)",
    "year_gap": "a year is missing between two others; ask for it",
    "duplicate_firm": "looks like another firm under a second id; keep one",
    "participant_in_controls": "listed as non-participant but received or registered for services; correct the arm",
    "status_mismatch": "the export status does not agree with the amounts; the amounts are used",
    "size_mismatch": "the size class does not agree with the workers",
    "subsidy_cap": "the programme paid more than its cap for one firm",
    "subsidy_rate": "the programme paid a larger share than the schedule allows at that date",
    "service_before_registration": "a service precedes the firm's registration; correct one of the dates",
    "jump": "several times the year before, or a fraction of it; confirm both years or correct one",
    "unit_dollar": "an exchange rate away from the firm's other years; confirm the currency",
    "va_negative": "materials and services bought exceed sales and the change of inventories; confirm them",
    "workers_zero": "sales without a worker; give the workers, unpaid family members included",
    "exports_above_sales": "exports exceed sales; confirm both",
    "founded_late": "sales are reported for years before the foundation; correct the year of foundation",
    "reused_id": "one id seems to be two firms (figures after closure, or a cluster of another branch); give one a new id",
    "workers_mismatch": "workers in the register and in the base-year survey differ several times; confirm which is right",
    "duplicate_suspected": "place, branch, foundation, workers and sales as another firm's in the one year both answered; confirm",
}
"""What to do about each rule's faults."""

KIND = {"duplicate_key": "blocking", "unknown_firm": "blocking", "entry_year_missing": "blocking"}
"""Rules of this module that block; the others are queries."""


def check(tables: Tables, study: Study) -> pd.DataFrame:
    """All faults, those of reading included.

    Returns
    -------
    DataFrame
        `table, row, firm_id, column, rule, kind, value, action`, sorted by firm so that each firm's part can be mailed; `row`
        counts as a spreadsheet does (the header is row 1).
    """
    found = [tables.faults]
    for rule in RULES:
        found += [_faults(*questioned) for questioned in rule(tables, study) if len(questioned[-1])]
    faults = pd.concat([f for f in found if len(f)] or found, ignore_index=True)
    faults = faults.drop_duplicates(["table", "row", "column", "rule"]).assign(firm_id=lambda f: f["firm_id"].fillna(""))
    faults["action"] = [_action(*of, study) for of in zip(faults["rule"], faults["table"], faults["column"], strict=True)]
    order = faults["kind"].map({"blocking": 0, "query": 1})
    ordered = faults.assign(_k=order).sort_values(["_k", "firm_id", "table", "row", "column"])
    return ordered.drop(columns="_k").reset_index(drop=True)


def _action(rule: str, table: str, column: str, study: Study) -> str:
    columns = TABLES[table].named(study.programme.currency) if rule == "type" else {}
    return _OF_KIND.get(columns[column].kind, _NUMBER) if column in columns else ACTIONS[rule]


def _faults(rule: str, table: str, column: str, rows: pd.DataFrame) -> pd.DataFrame:
    firm = rows.get("firm_id", "")
    value = rows.get(column, "")
    kind = KIND.get(rule, "query")
    faults = pd.DataFrame({"row": rows.index, "firm_id": firm, "value": value}, index=rows.index)
    return faults.assign(table=table, column=column, rule=rule, kind=kind).reindex(columns=FAULT_COLUMNS)


def keys(tables: Tables, study: Study) -> Found:
    """A key that stands twice: the later rows."""
    for name, frame in tables.frames.items():
        key = list(TABLES[name].key)
        needed = [c.name for c in TABLES[name].columns if c.name in key and c.needed]  # where one is missing, that is the fault
        yield "duplicate_key", name, "|".join(key), frame[frame.duplicated(key) & frame[needed].notna().all(axis=1)]


def firms_known(tables: Tables, study: Study) -> Found:
    """Rows of a firm that is not in the register."""
    known = set(tables["enterprises"]["firm_id"])
    for name, frame in tables.frames.items():
        if name != "enterprises" and "firm_id" in frame:
            strangers = set(frame["firm_id"].dropna().unique()) - known
            yield "unknown_firm", name, "firm_id", frame[frame["firm_id"].isin(strangers)] if strangers else frame.iloc[:0]


def entry_years(tables: Tables, study: Study) -> Found:
    """Beneficiaries without an entry year: not controls but errors."""
    firms = tables["enterprises"]
    yield "entry_year_missing", "enterprises", "entry_year", firms[(firms["arm"] == "beneficiary") & firms["entry_year"].isna()]


def export_currency(tables: Tables, study: Study) -> Found:
    """Direct exports in national money and in dollars more than half a log point apart at the annual average rate."""
    if study.money.fx is None or "series" not in tables:
        return
    rows, column = answers(tables), f"export_direct_k{study.programme.currency.lower()}"
    rate = rows["ref_year"].map(series_values(tables["series"], study.money.fx))
    ratio = 1000 * rows[column] / rate / rows["export_direct_usd"].where(rows["export_direct_usd"] > 0)
    yield "exports_currency", "survey", column, rows[(np.log(ratio.where(ratio > 0)).abs() > 0.5) | (ratio == 0)]


def identities(tables: Tables, study: Study) -> Found:
    """Sales that are not the sum of their parts, value added above sales, a status that the amounts belie."""
    rows, cur = answers(tables), study.programme.currency.lower()
    sales = rows[f"sales_k{cur}"]
    parts = rows[[f"domestic_sales_k{cur}", f"export_direct_k{cur}", f"export_indirect_k{cur}"]].sum(axis=1, skipna=False)
    yield "parts_not_sum", "survey", f"sales_k{cur}", rows[(parts - sales).abs() > 0.01 * sales + 0.5]
    added = sales + rows[f"inventory_change_k{cur}"].fillna(0) - rows[f"intermediate_inputs_k{cur}"]
    yield "va_above_sales", "survey", f"intermediate_inputs_k{cur}", rows[added > sales * 1.001]
    amounts = rows[[f"export_direct_k{cur}", f"export_indirect_k{cur}"]].notna().all(axis=1)
    direct, indirect = rows[f"export_direct_k{cur}"] > 0, rows[f"export_indirect_k{cur}"] > 0
    derived = pd.Series(np.select([direct, indirect], ["direct", "indirect"], "none"), index=rows.index)
    yield "status_mismatch", "survey", "exp_status", rows[amounts & rows["exp_status"].notna() & (rows["exp_status"] != derived)]


def heaping(tables: Tables, study: Study) -> Found:
    """Sales of one significant digit, from a hundred thousand up, in three or more years of a firm."""
    rows, column = answers(tables), f"sales_k{study.programme.currency.lower()}"
    sales = rows[column].where(rows[column] >= 100)
    rounded = sales % 10 ** np.floor(np.log10(sales)) == 0
    yield "heaped", "survey", column, rows[rounded & (rounded.groupby(rows["firm_id"]).transform("sum") >= 3)]


def years(tables: Tables, study: Study) -> Found:
    """Part years, and years missing between two others."""
    survey = tables["survey"]
    yield "partial_year", "survey", "months_covered", survey[survey["months_covered"].between(0, 12, inclusive="left")]
    ordered = survey.sort_values(["firm_id", "ref_year"])
    step = ordered.groupby("firm_id")["ref_year"].diff()
    usual = np.sort(survey["ref_year"].dropna().unique())
    follows = dict(zip(usual[1:], np.diff(usual), strict=True))
    yield "year_gap", "survey", "ref_year", ordered[step > ordered["ref_year"].map(follows).fillna(np.inf)]


def duplicate_firms(tables: Tables, study: Study) -> Found:
    """A firm whose place, branch and figures of most years, at least two, repeat another's; the one listed later is questioned."""
    firms, rows = tables["enterprises"], answers(tables)
    column = f"sales_k{study.programme.currency.lower()}"
    rows = rows[rows[column] > 0].merge(
        firms.drop_duplicates("firm_id")[["firm_id", "municipality", "branch", "founded_year"]].dropna(), on="firm_id"
    )
    same = ["municipality", "branch", "founded_year", "ref_year"]
    pairs = rows[["firm_id", column, *same]].merge(rows[["firm_id", column, *same]], on=same, suffixes=("", "_other"))
    pairs = pairs[pairs["firm_id"] > pairs["firm_id_other"]]
    alike = np.log(pairs[column] / pairs[f"{column}_other"]).abs() < 0.01
    years = alike.groupby([pairs["firm_id"], pairs["firm_id_other"]]).agg(["sum", "mean"])
    suspects = years.index[(years["sum"] >= 2) & (years["mean"] > 0.5)].get_level_values("firm_id")
    yield "duplicate_firm", "enterprises", "firm_id", firms[firms["firm_id"].isin(suspects)]


def arms(tables: Tables, study: Study) -> Found:
    """Non-participants with an entry year, a registration or a service."""
    firms = tables["enterprises"]
    served = set(tables["services"]["firm_id"]) if "services" in tables else set()
    took_part = firms["registered_on"].notna() | firms["entry_year"].notna() | firms["firm_id"].isin(served)
    yield "participant_in_controls", "enterprises", "arm", firms[(firms["arm"] == "nonparticipant") & took_part]


def sizes(tables: Tables, study: Study) -> Found:
    """A size class that the workers belie."""
    firms = tables["enterprises"]
    both = firms["size_class"].notna() & firms["workers_baseline"].notna()
    by_workers = classify_size(firms["workers_baseline"])
    yield "size_mismatch", "enterprises", "size_class", firms[both & (by_workers != firms["size_class"])]


def services(tables: Tables, study: Study) -> Found:
    """Services before registration, above the cap of a firm, or above the scheduled share."""
    if "services" not in tables:
        return
    rows = tables["services"]
    registered = rows["firm_id"].map(tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id")["registered_on"])
    yield "service_before_registration", "services", "start_on", rows[rows["start_on"] < registered]
    rule = study.cofinance
    if rule is None or study.calendar is None:
        return
    paid = rows["programme_paid_usd"].groupby(rows["firm_id"]).transform("sum")
    last = ~rows.iloc[::-1].duplicated("firm_id").iloc[::-1]
    yield (
        "subsidy_cap",
        "services",
        "programme_paid_usd",
        rows[(paid > rule.cap_usd + 0.005) & last],
    )  # half a cent: amounts are rounded
    months = (rows["start_on"] - pd.Timestamp(study.calendar.project_start)).dt.days / 30.4375
    allowed = rule.rate(months)
    cost = rows["total_cost_usd"].fillna(rows["programme_paid_usd"] + rows["firm_paid_usd"])
    share = rows["programme_paid_usd"] / cost.where(cost > 0)
    yield "subsidy_rate", "services", "programme_paid_usd", rows[share > allowed + rule.tolerance + 1e-9]  # 0.80 is 0.70 + 0.10


RULES = (
    keys, firms_known, entry_years, export_currency, identities, heaping, years, duplicate_firms, arms, sizes, services, *COMPARING,
)  # fmt: skip
