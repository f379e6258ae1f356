"""Which tables of a report may stand beside a public-use file, and what is blanked in them.

Estimates leave with enough firms on either side, to three digits: they are the report's, and finer ones beside the file would tell
of the firms that the file leaves out. Counts, sums and means leave after small cells, dominance, and second cells. The accounts of
the programme leave. Rows about one firm, tables without a rule and tables that are not listed stay at home. After Hundepool et al.
(2012), chapter 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data.load import Tables
from ..report.bundle import Bundle
from ..study.programme_specs import Privacy
from ..study.specs import Study
from .anonymity import rounded
from .counts import Suppressed, suppressed_counts
from .magnitudes import RECIPES, FirmFigures, suppressed_figures
from .table_kinds import COUNTS, ESTIMATES, PROGRAMME, Estimates, kind_of, reason_to_stay

DIGITS = 3
"""Significant digits of an estimate that leaves."""

_LEAVES = ("left_out", "n_left", "n_left_out", "n_off_support", "n_moved")
_MEANS = ("observed", "counterfactual")
_NUMBERS_OF_ROWS = ("cohort", "period", "base_period", "event_time", "span", "year", "treated", "untreated", "horizon", "base")
_NAMES = ("firm_id", "treated_id", "control_id", "set_id", "service_id", "entry_id", "person_key", "cluster_id", "row_key")


def write_released(bundle: Bundle, tables: Tables | None, study: Study, folder: Path) -> list[dict[str, Any]]:
    """Write the tables that may be released as CSV; one record a table of the report.

    Parameters
    ----------
    bundle : Bundle
        The published report.
    tables : Tables, optional
        The study's tables, proved and settled, from which contributions are computed; without them no sum or mean is released.
    study : Study
        With its `privacy`.
    folder : path
        A new folder.

    Returns
    -------
    list of dict
        `table, kind, fate` (released, withheld), `cells` (released numbers), `suppressed_primary, suppressed_secondary, dominance`
        (counts: cells; estimates, sums and means: rows), `reason` (why it is withheld).
    """
    folder.mkdir()
    own = None if tables is None else FirmFigures(tables, study)
    arms = arms_of(bundle)
    found = []
    for name in sorted(bundle.tables):
        made, reason = _attempted(name, bundle.table(name), study.privacy, own, arms)
        record: dict[str, Any] = {"table": name, "kind": kind_of(name), "fate": "withheld" if made is None else "released"}
        if made is not None:
            made.table.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        cells = 0 if made is None else _numbers(made.table)
        counts = (cells, *((made.primary, made.secondary, made.dominance) if made else (0, 0, 0)))
        names = ("cells", "suppressed_primary", "suppressed_secondary", "dominance")
        found.append(record | dict(zip(names, counts, strict=True)) | {"reason": reason})
    return found


def _numbers(table: pd.DataFrame) -> int:
    return int(table.drop(columns=list(_NUMBERS_OF_ROWS), errors="ignore").select_dtypes("number").notna().sum().sum())


def _attempted(
    name: str, table: pd.DataFrame, privacy: Privacy, own: FirmFigures | None, arms: Mapping[str, int]
) -> tuple[Suppressed | None, str]:
    """The table as it may be released, or none and why."""
    try:
        made = released(name, table, privacy, own, arms)
    except ValueError as fault:
        return None, f"it cannot be made safe: {fault}"
    if made is None:
        return None, reason_to_stay(name) or "no row of it has enough firms"
    return made, ""


def released(
    name: str, table: pd.DataFrame, privacy: Privacy, own: FirmFigures | None = None, arms: Mapping[str, int] | None = None
) -> Suppressed | None:
    """The table as it may be released; none when it stays at home.

    Raises
    ------
    ValueError
        When it has a rule that cannot be kept: its counts do not add up, its sums are not those of the firms.
    """
    if reason_to_stay(name):
        return None
    kind = kind_of(name)
    if table.empty and kind != "programme":
        return None
    if named := [c for c in table if c in _NAMES]:
        raise ValueError(f"it names firms or clusters in {', '.join(named)}")
    if kind == "estimates":
        return _estimates(table, ESTIMATES[name], privacy.min_cell, arms or {})
    if kind == "counts":
        return suppressed_counts(table, COUNTS[name], privacy.min_cell)
    if kind == "magnitudes":
        if own is None:
            raise ValueError("contributions need the tables of the study")
        made = suppressed_figures(RECIPES[name](table, own), privacy)
        return None if made.table.select_dtypes("number").isna().all(axis=None) else made
    columns = [c for c in PROGRAMME[name].columns or table.columns if c in table]
    return Suppressed(table[columns], 0, 0)


def arms_of(bundle: Bundle) -> dict[str, int]:
    """By outcome, the firms of the smaller arm of the headline estimate, or of its forecast; under "" the most."""
    rows = bundle.table("effects")
    rows = rows[rows["headline"].astype(bool)] if len(rows) else bundle.table("power")
    if not len(rows):
        return {}
    fewest = rows.set_index("outcome")[["n_treated", "n_control"]].astype(float).min(axis=1).fillna(0).astype(int)
    return fewest.groupby(level=0).min().to_dict() | {"": int(fewest.max())}


def _estimates(table: pd.DataFrame, rule: Estimates, fewest: int, arms: Mapping[str, int]) -> Suppressed | None:
    """Rows with enough firms on either side, of samples far enough apart, to three digits."""
    keep = _firms_behind(table, rule, arms) >= fewest
    for column in (c for c in _LEAVES if c in table and pd.api.types.is_numeric_dtype(table[c])):
        keep &= ~table[column].between(1, fewest - 1)
    primary = int((~keep).sum())
    if rule.variants:
        keep &= _far_apart(table[keep], rule.arms, fewest).reindex(table.index, fill_value=False)
    if not keep.any():
        return None
    made = table[keep].drop(columns=[c for c in (*_MEANS, *rule.drop) if c in table])
    numbers = [c for c in made.select_dtypes("number") if c not in _NUMBERS_OF_ROWS]
    made = made.assign(**{c: rounded(made[c].astype(float), DIGITS) for c in numbers})
    return Suppressed(made, primary, int((~keep).sum()) - primary)


def _firms_behind(table: pd.DataFrame, rule: Estimates, arms: Mapping[str, int]) -> pd.Series:
    """By row, the firms of the smaller side; those of the outcome's headline where a row is of its whole sample and counts none."""
    outcome = table["outcome"] if "outcome" in table else pd.Series("", index=table.index)
    headline = outcome.fillna("").map(arms).fillna(0.0).astype(float)
    sides = []
    for column in rule.arms:
        if column not in table:
            sides.append(headline)
        else:
            own = table[column].astype(float)
            sides.append(own.fillna(headline) if rule.whole else own.fillna(0.0))
    return np.minimum.reduce(sides) if len(sides) == 1 else pd.concat(sides, axis=1).min(axis=1)


def _far_apart(table: pd.DataFrame, sides: tuple[str, ...], fewest: int) -> pd.Series:
    """Whether a row's sample is that of a row kept before it, or differs from all of these by enough firms on some side."""
    keep = pd.Series(True, index=table.index)
    for _, rows in table.groupby("outcome"):
        kept: list[np.ndarray] = []
        for row, firms in rows[list(sides)].astype(float).iterrows():
            gaps = [np.abs(firms.to_numpy() - other) for other in kept]
            keep[row] = not any((gap > 0).any() and (gap < fewest).all() for gap in gaps)
            kept += [firms.to_numpy()] if keep[row] else []
    return keep
