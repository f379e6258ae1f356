"""Were the controls touched too? The headline with suspect controls left out, and with reached firms let in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ..data.panel import NEVER, Panel
from ..did.effects import Effects
from ..did.estimate import at_reference, compared, estimate, population
from ..did.subgroups import FEWEST, spillover_effects
from ..errors import DesignError, EstimationError, collected
from ..matching.matched import MatchedSample
from ..study.specs import Outcome, Study
from .outliers import attempted

COLUMNS = [
    "row", "outcome", "scale", "estimate", "std_error", "conf_low", "conf_high", "p_value", "df",
    "n_treated", "n_control", "n_left", "note",
]  # fmt: skip


def contamination_rows(panel: Panel, everyone: Panel, sample: MatchedSample, study: Study, outcome: Outcome) -> pd.DataFrame:
    """One row a suspicion of the controls: the effect in the reference year without those it falls on, and how many they are.

    Parameters
    ----------
    panel : Panel
        The firms compared.
    everyone : Panel
        Before anyone left the pool: who took part and who was reached, with `arm, municipality, business_cluster` as far as known.
    sample, study, outcome
        The match and the plan; estimated as the headline is.

    Returns
    -------
    DataFrame
        `row, outcome, scale`, the tidy columns, `n_left` (never-treated firms of the panel that leave; negative where reached firms
        come in; NaN where the row cannot be made) and `note` (why not). Rows:

        * `headline`;
        * `without_other_programmes`: without controls that other programmes support;
        * `without_cluster_municipalities`: without controls in municipalities that hold a participants' business cluster;
        * `without_municipalities`: without controls in any municipality of a participant: only far ones stay;
        * `without_dense_municipalities`: without controls where participants are a larger share of the firms than for the median
          control;
        * `ring_effect`, `dense_effect`: controls in a participant's municipality against those far, and those in dense
          municipalities against the others, as if reached with the first cohort: what spilled over, if places differ in nothing
          else;
        * `indirect_effect`: firms reached indirectly against the controls;
        * `indirect_as_controls`: participants against controls and firms reached together, the naive comparison.

        The last four are estimated by `spillover_effects`, with the study's covariates; a Poisson outcome has none of them.
    """
    rows = {"headline": _row(lambda: estimate(panel, sample, study, outcome, year=study.treatment.reference_year), study, 0)}
    suspects = _suspects(panel, everyone)
    for name, (leave, lacking) in suspects.items():
        rows[name] = {"note": lacking} if lacking else _without(panel, leave, sample, study, outcome)
    rings = {"ring_effect": "without_municipalities", "dense_effect": "without_dense_municipalities"}
    if outcome.scale == "poisson":
        rows |= {name: {"note": "not for a Poisson outcome"} for name in (*rings, "indirect_effect", "indirect_as_controls")}
    else:
        near = {name: suspects[source] for name, source in rings.items()}
        rows |= _spilled(panel, everyone, near, sample, study, outcome)
    named = {"outcome": outcome.id, "scale": outcome.scale, "note": ""}
    return pd.DataFrame([{"row": name, **named, **found} for name, found in rows.items()], columns=COLUMNS)


def _suspects(panel: Panel, everyone: Panel) -> dict[str, tuple[pd.Index, str]]:
    """By row: the never-treated firms of the panel that leave, and why the row cannot be made."""
    firms, known = panel.firms, everyone.firms
    never = np.isinf(firms["cohort"].to_numpy(float))
    took_part = np.isfinite(known["cohort"]) | (known["arm"] == "beneficiary" if "arm" in known else False)
    found = {}

    def suspect(name: str, column: str, touched: Callable[[], pd.Series]) -> None:
        lacking = "" if column in firms and column in known else f"no column {column}"
        found[name] = firms.index[never & touched().to_numpy(bool)] if not lacking else firms.index[:0], lacking

    def beside(participants: pd.Series) -> pd.Series:
        return firms["municipality"].isin(known.loc[participants, "municipality"].dropna())

    def dense() -> pd.Series:
        share = firms["municipality"].map(took_part.groupby(known["municipality"]).mean())
        return share > share[never].median()

    suspect("without_other_programmes", "other_programme", lambda: firms["other_programme"].fillna(False))
    if "business_cluster" in known:
        clustered = took_part & known["business_cluster"].notna()
        suspect("without_cluster_municipalities", "municipality", lambda: beside(clustered))
    else:
        found["without_cluster_municipalities"] = firms.index[:0], "no column business_cluster"
    suspect("without_municipalities", "municipality", lambda: beside(took_part))
    suspect("without_dense_municipalities", "municipality", dense)
    return found


def _without(panel: Panel, leave: pd.Index, sample: MatchedSample, study: Study, outcome: Outcome) -> dict:
    controls = int(np.isinf(panel.firms["cohort"]).sum())
    if controls - len(leave) < FEWEST:
        return {"n_left": len(leave), "note": f"{controls - len(leave)} of {controls} controls would stay"}
    kept = panel.keep(panel.firms.index.difference(leave), stage="robustness", reason="contaminated")
    return _row(lambda: estimate(kept, sample, study, outcome, year=study.treatment.reference_year), study, len(leave))


def _spilled(
    panel: Panel, everyone: Panel, near: dict[str, tuple[pd.Index, str]], sample: MatchedSample, study: Study, outcome: Outcome
) -> dict[str, dict]:
    """The rows that compare untreated firms with each other, and the naive one."""
    inside = population(compared(panel, sample, study) if sample.scores.size else panel, outcome).firms
    controls = inside.index[inside["cohort"] == NEVER]
    treated, start = inside.index.difference(controls), int(inside["cohort"].min())
    used = tuple(c for c in study.did.covariates if c not in outcome.among)
    spec = study.did.changed({"covariates": used} | ({} if outcome.lag is None else {"lag": outcome.lag}))

    def spilled(reached: pd.Index, far: pd.Index) -> pd.DataFrame:
        firms = everyone.keep(treated.union(reached).union(far), "robustness", "not_compared")
        return spillover_effects(firms, outcome.id, reached, far, start, spec, study.treatment.reference_year).table

    rows = {}
    for name, (close, lacking) in near.items():
        ring = controls.intersection(close)
        rows |= {name: {"note": lacking}} if lacking else _terms(lambda r=ring: spilled(r, controls.difference(r)), {name: (0, 0)})
    if "arm" not in everyone.firms:
        return rows | {name: {"note": "no column arm"} for name in ("indirect_effect", "indirect_as_controls")}
    reached = population(everyone, outcome).firms.query("arm == 'indirect'").index
    return rows | _terms(
        lambda: spilled(reached, controls), {"indirect_effect": (0, 0), "indirect_as_controls": (2, -len(reached))}
    )


def _terms(run: Callable[[], pd.DataFrame], wanted: dict[str, tuple[int, int]]) -> dict[str, dict]:
    """Rows by name from the table that `run` makes: the position of the row there, and the controls that leave."""
    try:
        with collected():
            table = run()
    except (DesignError, EstimationError) as error:
        return {name: {"note": str(error)} for name in wanted}
    found = {name: (table.iloc[row], n_left) for name, (row, n_left) in wanted.items()}
    return {
        name: {"note": row["reason"]} if row["reason"] else {**row.reindex(COLUMNS[3:-2]), "n_left": n_left}
        for name, (row, n_left) in found.items()
    }


def _row(run: Callable[[], Effects], study: Study, n_left: int) -> dict:
    """The effect in the reference year, or why there is none."""
    found, note = attempted(lambda: at_reference(run(), study.treatment.reference_year))
    return {"note": note} if note else {**found.reindex(COLUMNS[3:-2]), "n_left": n_left}
