"""The table of effects: every outcome in the reference year, by design and by definition of who is treated."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from ..data.load import Tables
from ..data.measures import Measures
from ..data.panel import Panel
from ..data.treatment import build_panel, rules
from ..errors import DesignError, EstimationError, Note, warn
from ..matching.matched import MatchedSample
from ..matching.panel import match_controls
from ..matching.pool import comparable
from ..study.logframe import LogFrame
from ..study.specs import Outcome, Study
from .effects import Effects
from .estimate import as_share, at_reference, estimate

Group = tuple[Panel, MatchedSample]


def attempted(run: Callable):
    """The result, or none with a note when this outcome cannot be estimated: one outcome must not stop the others."""
    try:
        return run()
    except (DesignError, EstimationError) as error:
        warn(Note("not_estimated", "{reason}", {"reason": str(error)}))
        return None


def primary_outcomes(logframe: LogFrame, study: Study) -> list[str]:
    """The outcomes behind the primary indicators; the study's first outcome where none is named."""
    known = {o.id for o in study.outcomes}
    named = [i.effect for i in logframe.indicators if i.id in study.verdicts.primary and i.effect in known]
    return list(dict.fromkeys(named)) or [study.outcomes[0].id]


def other_groups(tables: Tables, measured: Measures, study: Study) -> dict[str, Group]:
    """The panel and the matches of every other treatment definition, made like the headline's; those that can be made."""

    def group(definition: str) -> Group:
        panel = comparable(build_panel(tables, measured, study, definition), rules(study, definition))
        return panel, match_controls(panel, study)

    others = (d for d in study.treatment.beside if d != study.treatment.definition)
    made = {d: attempted(lambda d=d: group(d)) for d in others}
    return {d: found for d, found in made.items() if found is not None}


def effects_table(cells: Mapping[str, Effects | None], group: Group, others: Mapping[str, Group], study: Study) -> pd.DataFrame:
    """One row a definition, design and outcome: the effect in the reference year.

    Parameters
    ----------
    cells : mapping
        The headline's estimate by outcome; none where there is none.
    group : tuple
        Panel and matches of the headline.
    others : mapping
        The same of other treatment definitions (`other_groups`).

    Returns
    -------
    DataFrame
        `definition, design, outcome, scale, direction, headline, early`, then `estimate, std_error, df, p_value, conf_low,
        conf_high, n_treated, n_control, n_clusters` on the scale of the outcome and `effect, effect_low, effect_high` as shares where that is
        logarithmic.
    """
    other = "matched" if study.headline == "common_support" else "common_support"
    main = study.treatment.definition
    found = [(main, study.headline, o, cells[o.id]) for o in study.outcomes]
    found += [(main, other, o, attempted(lambda o=o: estimate(*group, study, o, design=other))) for o in study.outcomes]
    for definition, theirs in others.items():
        found += [(definition, study.headline, o, attempted(lambda o=o, t=theirs: estimate(*t, study, o))) for o in study.outcomes]
    return pd.DataFrame([_row(*f, study) for f in found])


def _row(definition: str, design: str, outcome: Outcome, cells: Effects | None, study: Study) -> dict:
    row = {
        "definition": definition,
        "design": design,
        "outcome": outcome.id,
        "scale": outcome.scale,
        "direction": outcome.direction,
    }
    row["headline"] = definition == study.treatment.definition and design == study.headline
    row["early"] = study.stage == "midterm"
    names = ("estimate", "std_error", "df", "p_value", "conf_low", "conf_high", "n_treated", "n_control", "n_clusters")
    found = at_reference(cells, study.treatment.reference_year) if cells is not None else pd.Series(dtype=float)
    row |= {n: found.get(n, np.nan) for n in names}
    bounds = {"effect": "estimate", "effect_low": "conf_low", "effect_high": "conf_high"}
    return row | {k: as_share(row[v], outcome.scale) for k, v in bounds.items()}
