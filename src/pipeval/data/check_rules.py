"""Rules that compare a firm's figures with its own other years: units, jumps, and figures that cannot be one firm's.

Each yields `rule, table, column, rows` of the rows it questions; `data.check` gathers them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ..study.specs import Study
from .load import Tables
from .measures import ANSWERED
from .money import series_values

Found = Iterator[tuple[str, str, str, pd.DataFrame]]

_NEAR = np.log10(1.5)  # how far from the exchange rate a ratio may lie and still look like one
_FEW = 5  # workers: one more hand triples a workshop, and is no question


def answers(tables: Tables) -> pd.DataFrame:
    """Rows of the survey that hold an answer."""
    survey = tables["survey"]
    return survey[survey["response"].isin(ANSWERED)]


def _amounts(study: Study) -> list[str]:
    """The columns that one answer gives in one unit."""
    cur = study.programme.currency.lower()
    return [f"{name}_k{cur}" for name in ("sales", "domestic_sales", "export_direct", "export_indirect")]


def _sizes(tables: Tables, study: Study) -> pd.DataFrame:
    """One row an answer: `size`, the decimal logarithm of sales, `own`, the firm's median, `years`, how many it has."""
    rows = answers(tables)
    sales = rows[_amounts(study)[0]]
    size = np.log10(sales.where(sales > 0))
    by_firm = size.groupby(rows["firm_id"])
    return pd.DataFrame({"size": size, "own": by_firm.transform("median"), "years": by_firm.transform("count")})


def _off_by_a_thousand(tables: Tables, study: Study) -> pd.Series:
    rows, found = answers(tables), _sizes(tables, study)
    per_worker = found["size"] - np.log10(rows["workers_paid"].where(rows["workers_paid"] > 0))
    branch = rows["firm_id"].map(tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id")["branch"])
    peers = per_worker.groupby(branch.fillna("")).transform("median")
    return ((found["size"] - found["own"]).abs() > 1.7) | ((found["years"] < 3) & ((per_worker - peers).abs() > 2))


def _in_dollars(tables: Tables, study: Study) -> pd.Series:
    """Sales that lie an exchange rate away from the firm's other years, which agree among themselves."""
    rows, found = answers(tables), _sizes(tables, study)
    if study.money.fx is None or "series" not in tables:
        return pd.Series(False, index=rows.index)
    rate = rows["ref_year"].map(series_values(tables["series"], study.money.fx))
    rate = np.log10(rate.where(rate > 0))
    gap = found["size"] - found["own"]
    usual = gap.abs() <= np.log10(study.credibility.jump)
    others = usual.groupby(rows["firm_id"]).transform("sum") == found["years"] - 1
    return others & (found["years"] >= 3) & ~usual & (rate > np.log10(study.credibility.jump)) & ((gap.abs() - rate).abs() <= _NEAR)


def units(tables: Tables, study: Study) -> Found:
    """A figure about a thousand times the firm's other years, or its branch's sales per worker."""
    rows, off = answers(tables), _off_by_a_thousand(tables, study)
    for column in _amounts(study):
        yield "unit_error", "survey", column, rows[off & (rows[column] > 0)]


def dollars(tables: Tables, study: Study) -> Found:
    """Sales of one year that look like dollars, or converted twice."""
    column = _amounts(study)[0]
    rows, off = answers(tables), _in_dollars(tables, study) & ~_off_by_a_thousand(tables, study)
    yield "unit_dollar", "survey", column, rows[off]


def jumps(tables: Tables, study: Study) -> Found:
    """Sales or workers more than so many times those of the year before, or the year before so many times these.

    Part years are made annual. A return to the level before a jump is not a second jump, a wrong unit is no jump, and the years in
    which a firm opened or closed are not compared.
    """
    rows = answers(tables)
    firms = tables["enterprises"].drop_duplicates("firm_id").set_index("firm_id")
    closed = pd.to_datetime(firms["closed_on"]).dt.year
    edge = (rows["ref_year"] == rows["firm_id"].map(firms["founded_year"])) | (rows["ref_year"] == rows["firm_id"].map(closed))
    wrong = _off_by_a_thousand(tables, study) | _in_dollars(tables, study)
    part = rows["months_covered"].between(0, 12, inclusive="neither")
    sales = _amounts(study)[0]
    for column in (sales, "workers_paid"):
        values = rows[column] * (12 / rows["months_covered"]).where(part, 1.0) if column == sales else rows[column]
        usable = values.where((values > 0) & ~edge & ~(wrong if column == sales else False))
        yield "jump", "survey", column, rows[_jumped(usable, rows, study, least=0 if column == sales else _FEW)]


def _jumped(values: pd.Series, rows: pd.DataFrame, study: Study, least: float) -> pd.Series:
    ordered = pd.DataFrame({"firm": rows["firm_id"], "year": rows["ref_year"], "x": values, "y": np.log(values)})
    ordered = ordered.sort_values(["firm", "year"])
    step = ordered.groupby("firm")[["x", "y", "year"]].diff()
    change = step["y"].where(step["year"] == 1)
    far = (change.abs() > np.log(study.credibility.jump)) & (step["x"].abs() >= least)
    before = change.where(far).groupby(ordered["firm"]).shift()
    return (far & ~(before * change < 0)).reindex(rows.index)


def figures(tables: Tables, study: Study) -> Found:
    """Figures that one firm can hardly have: value added below zero, sales without workers, exports above sales."""
    rows, cur = answers(tables), study.programme.currency.lower()
    sales = rows[f"sales_k{cur}"]
    added = sales + rows[f"inventory_change_k{cur}"].fillna(0) - rows[f"intermediate_inputs_k{cur}"]
    yield "va_negative", "survey", f"intermediate_inputs_k{cur}", rows[added < 0]
    nobody = (rows["workers_paid"] == 0) & (rows["workers_unpaid"].fillna(0) == 0) & (rows["fte"].fillna(0) == 0)
    yield "workers_zero", "survey", "workers_paid", rows[nobody & (sales > 0)]
    exports = rows[[f"export_direct_k{cur}", f"export_indirect_k{cur}"]].sum(axis=1)
    whole = rows[f"domestic_sales_k{cur}"].notna()  # then the parts are added up anyway
    yield "exports_above_sales", "survey", f"sales_k{cur}", rows[~whole & (exports > 0) & (exports > 1.01 * sales + 0.5)]


def identities_over_time(tables: Tables, study: Study) -> Found:
    """One id that seems to be two firms: figures before foundation or after closure, its cluster's other branch, other workers."""
    firms, rows = tables["enterprises"].drop_duplicates("firm_id"), answers(tables)
    named = firms.set_index("firm_id")
    sold = rows[rows[_amounts(study)[0]] > 0]
    first = sold.groupby("firm_id")["ref_year"].min()
    yield "founded_late", "enterprises", "founded_year", firms[firms["founded_year"] > firms["firm_id"].map(first)]
    gone = rows["firm_id"].map(pd.to_datetime(named["closed_on"]).dt.year).astype(float)
    yield "reused_id", "survey", "ref_year", rows[rows["ref_year"] > gone]
    if "clusters" in tables:
        branch = firms["cluster_id"].map(tables["clusters"].drop_duplicates("cluster_id").set_index("cluster_id")["branch"])
        yield "reused_id", "enterprises", "branch", firms[branch.notna() & firms["branch"].notna() & (branch != firms["branch"])]
    base = rows[rows["ref_year"] == study.baseline.year].drop_duplicates("firm_id").set_index("firm_id")["workers_paid"]
    listed, answered = firms["workers_baseline"].where(firms["workers_baseline"] > 0), firms["firm_id"].map(base[base > 0])
    apart = (np.log(listed / answered).abs() > np.log(study.credibility.jump)) & ((listed - answered).abs() >= _FEW)
    yield "workers_mismatch", "enterprises", "workers_baseline", firms[apart]


def twins(tables: Tables, study: Study) -> Found:
    """A firm alike another in place, branch, foundation, workers and sales, where the survey holds a single year of both."""
    firms, rows, column = tables["enterprises"].drop_duplicates("firm_id"), answers(tables), _amounts(study)[0]
    same = ["municipality", "branch", "founded_year", "workers_baseline"]
    alike = firms[["firm_id", *same]].dropna()
    alike = alike[alike.duplicated(same, keep=False)]
    rows = rows[rows[column] > 0][["firm_id", "ref_year", column]].merge(alike, on="firm_id")
    pairs = rows.merge(rows, on=[*same, "ref_year"], suffixes=("", "_other"))
    pairs = pairs[pairs["firm_id"] > pairs["firm_id_other"]]
    close = np.log(pairs[column] / pairs[f"{column}_other"]).abs() < 0.01
    years = close.groupby([pairs["firm_id"], pairs["firm_id_other"]]).agg(["sum", "size"])
    suspects = years.index[(years["sum"] == 1) & (years["size"] == 1)].get_level_values("firm_id")
    yield "duplicate_suspected", "enterprises", "firm_id", firms[firms["firm_id"].isin(suspects)]


COMPARING = (units, dollars, jumps, figures, identities_over_time, twins)
"""The rules of this module, in order."""
