"""What an outcome with zeros could reveal, from the years before the programme: the error of an effect that cannot exist."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.panel import NEVER, Panel
from ..errors import DesignError, EstimationError, collected
from ..study.specs import DidSpec
from .poisson import poisson_att


def placebo_error(
    panel: Panel, outcome: str, base_year: int, horizon: int, spec: DidSpec, weights: pd.Series | None = None
) -> float:
    """Standard error of the Poisson effect had every treated firm entered in the base year, in log points.

    Only years up to the base year are read, so the number is known before the programme acts; NaN without a year before
    it. It says how precise the design is, not what the effect is. `weights` are by `firm_id`, such as those of a match. The error
    over one year is multiplied by the root of `horizon`, as if all shocks lasted: too large where some pass.
    """
    years = panel.outcomes.index.get_level_values("period")
    cohort = panel.firms["cohort"]
    before = Panel(panel.firms.assign(cohort=np.where(np.isfinite(cohort), base_year, NEVER)), panel.outcomes[years <= base_year])
    try:
        with collected():
            table = poisson_att(before, outcome, spec, weights, by="period").table
    except (DesignError, EstimationError):
        return float("nan")
    return float(table.loc[table["period"] == base_year, "std_error"].iloc[0] * np.sqrt(horizon))
