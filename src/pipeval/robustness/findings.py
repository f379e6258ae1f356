"""Each sensitivity check as a row: passed yes, no or informative, and the numbers of its one sentence.

These rows inform; none of them enters a verdict (`checks.py` holds those that do). A check about the sign or the significance of an
effect that is not significant in the first place is informative: there is nothing to be robust.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from ..did.effects import Effects
from ..did.estimate import as_share, at_reference
from ..did.multiple import ruled_out
from ..study.specs import Outcome, Study

COLUMNS = ["check", "outcome", "scale", "passed", "number", "effect", "effect_low", "effect_high", "n"]
PASSED = {"pass": "yes", "fail": "no", "informative": "informative", "not_testable": "informative"}
SAME_SIGN = 0.95
MOVED = 1.0
"""Standard errors of the headline that leaving firms out may move it."""


def sensitivity_checks(study: Study, cells: Mapping[str, Effects | None], tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row an outcome and check, from the tables of the chapter.

    Parameters
    ----------
    cells : mapping
        Outcome → its headline estimate.
    tables : mapping
        Name → table, as `chapter.sensitivity_tables` makes them. A table that lacks the outcome, or could not be made for it, gives
        no row.

    Returns
    -------
    DataFrame
        `check, outcome, scale, passed`; `number` (a p-value, a share, a multiple: whatever the check counts), `effect, effect_low,
        effect_high` (as shares on scales log and poisson), `n`. NaN where a check has no such number.
    """
    rows = []
    for key, found in cells.items():
        outcome = study.outcome(key)
        if found is None:
            continue
        main = at_reference(found, study.treatment.reference_year)
        if not main["std_error"] > 0:
            continue
        mine = {name: t[t["outcome"] == key] for name, t in tables.items() if "outcome" in t}
        for check, passed, numbers in _checks(main, outcome, mine):
            rows.append({"check": check, "outcome": key, "scale": outcome.scale, "passed": passed} | numbers)
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


def _checks(main: pd.Series, outcome: Outcome, tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, str, dict]]:
    clear = bool(main["p_value"] < 0.05)
    readers = {  # table: (a column it lacks where it could not be made, reader)
        "trend_power": ("row", _missed), "honest": ("breakdown", _honest), "few_clusters": ("kind", _clusters),
        "attrition_bounds": ("row", _attrition), "selective_attrition": ("test", _leavers),
        "placebos": ("placebo", _placebos), "left_out": ("by", _left_out),
        "outliers": ("row", _outliers), "base_years": ("base", _bases), "contamination": ("row", _contamination),
        "curve_summary": ("same_sign", _curve),
    }  # fmt: skip
    for name, (key, read) in readers.items():
        table = tables.get(name, pd.DataFrame())
        table = table[table[key].notna()] if key in table else table.head(0)
        if len(table):
            yield from read(table, main, outcome, clear)
    if outcome.relevant_effect:
        yield _target(main, outcome)


def _shares(outcome: Outcome, estimate: float, low: float = np.nan, high: float = np.nan) -> dict:
    names = ("effect", "effect_low", "effect_high")
    return {n: as_share(v, outcome.scale) for n, v in zip(names, (estimate, low, high), strict=True)}


def _stands(clear: bool, holds: bool) -> str:
    return ("yes" if holds else "no") if clear else "informative"


def _missed(table: pd.DataFrame, main: pd.Series, outcome: Outcome, clear: bool):
    rows = table.set_index("row")
    missed = rows.reindex(["missed_80"]).iloc[0]
    if missed["bias"] == missed["bias"]:
        unseen = abs(as_share(missed["bias"], outcome.scale))
        least = min(abs(outcome.relevant_effect or 0.0), abs(as_share(main["estimate"], outcome.scale)))
        small = unseen < least  # neither the target nor the effect found could be such a drift
        yield "trend_missed", "yes" if small else "informative", _shares(outcome, missed["bias"]) | {"number": missed["slope"]}
    flat = rows.reindex(["detrended"]).iloc[0]
    if flat["estimate"] == flat["estimate"]:
        numbers = _shares(outcome, flat["estimate"], flat["conf_low"], flat["conf_high"])
        holds = flat["conf_low"] * flat["conf_high"] > 0 and np.sign(flat["estimate"]) == np.sign(main["estimate"])
        yield "group_trends", "yes" if clear and holds else "informative", numbers


def _honest(table: pd.DataFrame, main: pd.Series, outcome: Outcome, clear: bool):
    for kind, rows in table[table["breakdown"].notna()].groupby("kind", sort=False):
        limit = float(rows["breakdown"].iloc[0])
        passed = "yes" if clear and kind == "relative_magnitude" and limit >= 1 else "informative"
        if kind == "smoothness":
            share = rows["share"].to_numpy(float)
            unit = rows["bound"].to_numpy(float)[share > 0] / share[share > 0]
            limit = limit / unit[0] if len(unit) else np.nan
        yield f"honest_{kind}", passed, {"number": limit}


def _clusters(table: pd.DataFrame, main: pd.Series, outcome: Outcome, clear: bool):
    row = table[(table["kind"] == "CR2") & table["p_value"].notna()]
    if len(row):
        row = row.iloc[0]
        numbers = _shares(outcome, row["estimate"], row["conf_low"], row["conf_high"])
        counted = {"number": row["p_value"], "n": row["n_clusters_treated"]}
        yield "business_clusters", "yes" if (row["p_value"] < 0.05) == clear else "no", numbers | counted


def _attrition(table: pd.DataFrame, main: pd.Series, outcome: Outcome, clear: bool):
    rows = table.set_index("row")
    if "response_weighted" in rows.index:
        row = rows.loc["response_weighted"]
        moved = float(row["estimate"] - main["estimate"]) / float(main["std_error"])
        numbers = _shares(outcome, row["estimate"], row["conf_low"], row["conf_high"]) | {"number": moved}
        yield "response_weighted", "yes" if abs(moved) <= 0.5 else "no", numbers
    if "lee" in rows.index and rows.loc["lee", "lower"] == rows.loc["lee", "lower"]:
        low, high = rows.loc["lee", ["lower", "upper"]].astype(float)
        holds = clear and low * high > 0 and np.sign(low) == np.sign(main["estimate"])
        yield "lee_bounds", "yes" if holds else "informative", _shares(outcome, np.nan, low, high)


def _leavers(table: pd.DataFrame, main: pd.Series, outcome: Outcome, clear: bool):
    row = table[table["test"] == "products"]
    if len(row) and np.isfinite(row["p_value"].iloc[0]):
        p = float(row["p_value"].iloc[0])
        yield "selective_attrition", "yes" if p >= 0.05 else "no", {"number": p, "n": row["n_firms"].iloc[0]}


def _placebos(table: pd.DataFrame, main: pd.Series, outcome: Outcome, clear: bool):
    early = table["placebo"].str.startswith("pre_period")
    worst = table[early & table["p_value"].notna()].nsmallest(1, "p_value")  # of several pretended entries
    for row in pd.concat([worst, table[~early]]).to_dict("records"):
        if row["result"] == "not_testable":
            continue
        kind = "pre_period" if row["placebo"].startswith("pre_period") else row["placebo"]
        number = row["rejected"] if kind == "fake_cohort" else row["p_value"]
        effect = {} if kind == "untouched" else _shares(outcome, row["estimate"])  # another outcome, on another scale
        yield kind, PASSED[row["result"]], {"number": number, "n": row["draws"]} | effect


def _left_out(table: pd.DataFrame, main: pd.Series, outcome: Outcome, clear: bool):
    for by, rows in table[table["estimate"].notna()].groupby("by", sort=False):
        low, high, most = rows["estimate"].min(), rows["estimate"].max(), rows["moved"].abs().max()
        holds = low * high > 0 and most <= MOVED
        yield f"without_{by}", _stands(clear, holds), _shares(outcome, np.nan, low, high) | {"number": most, "n": len(rows)}


def _outliers(table: pd.DataFrame, main: pd.Series, outcome: Outcome, clear: bool):
    rows = table[table["row"].isin(["winsorised", "huber", "median"]) & table["estimate"].notna()]
    if len(rows):
        low, high = rows["estimate"].min(), rows["estimate"].max()
        same = (np.sign(rows["estimate"]) == np.sign(main["estimate"])).all()
        yield "outliers", _stands(clear, bool(same)), _shares(outcome, np.nan, low, high)


def _bases(table: pd.DataFrame, main: pd.Series, outcome: Outcome, clear: bool):
    rows = table[(table["base"] != "own") & table["estimate"].notna()]
    if len(rows):
        low, high = rows["estimate"].min(), rows["estimate"].max()
        same = (np.sign(rows["estimate"]) == np.sign(main["estimate"])).all()
        yield "base_years", _stands(clear, bool(same)), _shares(outcome, np.nan, low, high) | {"n": len(rows)}


def _contamination(table: pd.DataFrame, main: pd.Series, outcome: Outcome, clear: bool):
    rows = table[table["row"].str.startswith("without_") & table["estimate"].notna() & (table["n_left"] > 0)]
    if len(rows):
        low, high = rows["estimate"].min(), rows["estimate"].max()
        moved = float((rows["estimate"] - main["estimate"]).abs().max() / main["std_error"])
        yield "contamination", "yes" if moved <= MOVED else "no", _shares(outcome, np.nan, low, high) | {"number": moved}


def _curve(table: pd.DataFrame, main: pd.Series, outcome: Outcome, clear: bool):
    row = table.iloc[0]
    numbers = _shares(outcome, row["median"], row["low"], row["high"]) | {"number": row["same_sign"], "n": row["n_same"]}
    yield "curve", _stands(clear, row["same_sign"] >= SAME_SIGN), numbers


def _target(main: pd.Series, outcome: Outcome) -> tuple[str, str, dict]:
    """Whether an effect as large as the relevant one can be ruled out: a bound on the effect, one-sided 95 %."""
    target = outcome.relevant_effect
    scaled = np.log1p(target) if outcome.scale in ("log", "poisson") else target
    found = ruled_out(main["estimate"], main["std_error"], main["df"], scaled, outcome.direction)
    numbers = {"number": found["p_value"]} | _shares(outcome, found["bound"])
    return "target_ruled_out", "informative", numbers
