"""Net counts: how many treated firms reached a status that they would not have reached anyway."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..errors import DataError, DesignError, Note, some, warn
from .effects import Effects, effects_from


def net_count(
    treated: pd.Series, status: pd.Series, success: pd.Series, clusters: pd.Series | None = None, level: float = 0.95
) -> Effects:
    """Three rows (gross, expected, net): the treated firms' successes, those expected without the programme, and the difference.

    Within each baseline status the controls' success rate is what the treated would have had; it is applied to the same
    treated firms. Non-response is weighted away within arm and status. All three rows speak of the same firms: treated
    firms of a status in which both arms have answers.

    Parameters
    ----------
    treated : Series of bool
        By `firm_id`: treated or control; firms that are neither do not belong here.
    status : Series
        By `firm_id`: status at the baseline (for instance not exporting, exporting indirectly); missing leaves with a
        note.
    success : Series
        By `firm_id`: 1 reached, 0 not, NaN not observed.
    clusters : Series, optional
        By `firm_id`.
    level : float
        Of the intervals.

    Returns
    -------
    Effects
        Keys `measure`, `n_described` (treated firms described), `n_answered` (of them with an answer),
        `n_without_counterfactual` (treated firms of a status without answering controls),
        `gross_without_counterfactual` (their successes, weighted: no net effect may be claimed for them) and
        `n_without_answer` (treated firms of a status in which no treated firm answered). Unit: firms.

    Raises
    ------
    DataError
        When success is other than 0, 1 or missing, treated is missing, or an id stands twice.
    DesignError
        When no status has answers from both arms.

    Notes
    -----
    With N_s treated firms and n_1s, n_0s answers of status s: gross Σ N_s p̂_1s, expected Σ N_s p̂_0s (direct
    standardisation to the treated); influences N_s (y − p̂_1s)/n_1s and N_s (y − p̂_0s)/n_0s. Identified when controls
    of the same baseline status show what the treated would have done, and answers are missing at random within arm and
    status.

    Examples
    --------
    >>> import pandas as pd, warnings; warnings.simplefilter("ignore")
    >>> ids = list("abcdefgh")
    >>> treated = pd.Series([True] * 4 + [False] * 4, ids)
    >>> success = pd.Series([1, 1, 0, float("nan"), 1, 0, 0, 0], ids)
    >>> net_count(treated, pd.Series("none", ids), success).table[["measure", "estimate"]].round(3).to_dict("list")
    {'measure': ['gross', 'expected', 'net'], 'estimate': [2.667, 1.0, 1.667]}
    """
    if not (treated.index.is_unique and status.index.is_unique and success.index.is_unique):
        raise DataError("treated, status and success are Series by firm_id in which each firm stands once")
    if treated.isna().any():
        raise DataError(f"every firm is treated or not; treated is missing for {some(treated.index[treated.isna()])}")
    frame = pd.DataFrame(
        {"d": treated.astype(bool), "s": status.reindex(treated.index), "y": success.reindex(treated.index).astype(float)}
    )
    wrong = frame["y"].notna() & ~frame["y"].isin([0.0, 1.0])
    if wrong.any():
        raise DataError(f"success is 1, 0 or missing; found {sorted(frame.loc[wrong, 'y'].unique())[:5]}")
    notes = []
    if frame["s"].isna().any():
        notes.append(
            warn(Note("missing_status", "left out for a missing baseline status: {n} firms", {"n": int(frame["s"].isna().sum())}))
        )
        frame = frame[frame["s"].notna()]
    cells = _cells(frame)
    both = cells[(cells["n1"] > 0) & (cells["n0"] > 0) & (cells["N"] > 0)]
    if len(both) == 0:
        raise DesignError("a net count needs a baseline status in which both treated and controls answered; there is none")
    here = frame[frame["s"].isin(both.index) & frame["y"].notna()]
    own = both.loc[here["s"]]
    d, y = here["d"].to_numpy(), here["y"].to_numpy()
    size = own["N"].to_numpy(float)
    gross = np.where(d, size * (y - own["p1"].to_numpy()) / own["n1"].to_numpy(), 0.0)
    expected = np.where(d, 0.0, size * (y - own["p0"].to_numpy()) / own["n0"].to_numpy())
    described = np.where(d, size / own["n1"].to_numpy(), 0.0) / both["N"].sum()
    lone = cells[(cells["N"] > 0) & (cells["n0"] == 0)]
    keys = pd.DataFrame({"measure": ["gross", "expected", "net"]}).assign(
        n_described=int(both["N"].sum()),
        n_answered=int(both["n1"].sum()),
        n_without_counterfactual=int(lone["N"].sum()),
        gross_without_counterfactual=float((lone["N"] * lone["p1"]).sum()) if len(lone) else 0.0,
        n_without_answer=int(cells.loc[cells["n1"] == 0, "N"].sum()),
    )
    totals = both["N"] @ both["p1"], both["N"] @ both["p0"]
    estimate = np.array([*totals, totals[0] - totals[1]], float)
    arrays = (
        np.column_stack([gross, expected, gross - expected]),
        np.column_stack([described] * 3),
        np.column_stack([~d] * 3),
    )
    return effects_from(keys, estimate, arrays, here.index.rename("firm_id"), clusters, level, tuple(notes))


def _cells(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a baseline status: N treated firms, answers n1 and n0, success rates p1 and p0."""
    arms = {k: frame[frame["d"] == bool(k)].groupby("s")["y"] for k in (0, 1)}
    table = pd.DataFrame(
        {"N": arms[1].size(), "n1": arms[1].count(), "n0": arms[0].count(), "p1": arms[1].mean(), "p0": arms[0].mean()}
    )
    return table.fillna({"N": 0, "n1": 0, "n0": 0})
