"""The effect on one column, a change or a level, straight from a matched sample."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.panel import NEVER, Panel
from ..errors import DataError, DesignError, collected, some, warn
from ..matching.matched import MatchedSample
from ..study.specs import DidSpec
from .aggregate import aggregate
from .att_gt import att_gt
from .effects import Effects


def matched_effect(sample: MatchedSample, y: pd.Series, covariates: pd.DataFrame | None = None, level: float = 0.95) -> Effects:
    """One row: the weighted difference in means of `y` between treated and controls of a matched sample.

    Parameters
    ----------
    sample : MatchedSample
    y : Series
        By `firm_id`: a change over time (then this is a difference-in-differences) or the level of a cross-section. Firms
        without a value leave.
    covariates : DataFrame, optional
        By `firm_id`: what a weighted regression among the controls takes out of both arms because the match left it unequal;
        after matching with replacement the bias correction of Abadie and Imbens (2011).
    level : float
        Of the interval.

    Returns
    -------
    Effects
        One row, `term` overall. Several cohorts are averaged by their treated firms.

    Raises
    ------
    DataError
        When `y` is no column of numbers by firm, or a firm stands in it twice.
    DesignError
        When an arm has no value, or controls enter later (`match.window`), which needs `att_gt`.
    EstimationError
        When covariates are collinear among the controls.

    Notes
    -----
    Standard errors as `did.matched.adjustment` says. No bootstrap is offered: the naive one is not valid after matching with
    replacement (Abadie and Imbens 2008).

    Examples
    --------
    >>> from pipeval import MatchSpec, match
    >>> ids = pd.Index(list("abcdef"), name="firm_id")
    >>> firms = pd.DataFrame({"cohort": [1, 1, 1, np.inf, np.inf, np.inf], "size": [1.0, 2.0, 4.0, 3.9, 2.2, 1.1]}, index=ids)
    >>> sample = match(firms, MatchSpec(covariates=("size",), distance="mahalanobis"))
    >>> import warnings; warnings.simplefilter("ignore")
    >>> row = matched_effect(sample, pd.Series([3.0, 4.0, 8.0, 5.0, 2.0, 1.0], index=ids)).table.iloc[0]
    >>> round(float(row["estimate"]), 3), round(float(row["std_error"]), 3)
    (2.333, 0.333)
    """
    if sample.spec.window is not None:
        raise DesignError("controls of this match enter later (match.window), so one column cannot hold the effect; use att_gt")
    value, covariates = _proved(y, covariates, level)
    sets = sample.sets
    firm_id = pd.Index(np.sort(sets["firm_id"].unique()), name="firm_id")
    entered = sets[sets["role"] == "treated"].drop_duplicates("firm_id").set_index("firm_id")["cohort"]
    firms = pd.DataFrame({"cohort": entered.reindex(firm_id).fillna(NEVER)})
    if covariates is not None:
        firms = firms.join(covariates)
    value = value.reindex(firm_id)
    ends = {int(entered.min()) - 1: value * 0.0, int(entered.max()): value}
    outcomes = pd.concat(ends, names=["period"]).swaplevel().rename("y").to_frame()
    spec = DidSpec(method="reg", covariates=() if covariates is None else tuple(covariates.columns), level=level)
    with collected() as notes:
        found = aggregate(att_gt(Panel(firms, outcomes), "y", spec, sample), "overall")
    for note in notes:
        if note.key != "base_moved":  # the other end is zero by construction, not a year
            warn(note)
    return found


def _proved(y: pd.Series, covariates: pd.DataFrame | pd.Series | None, level: float) -> tuple[pd.Series, pd.DataFrame | None]:
    """The column as floats and the covariates as a table, both by firm."""
    if not isinstance(y, pd.Series):
        raise DataError(f"y is a Series by firm_id; found {type(y).__name__}. pd.Series(values, index=firms.index) makes one")
    if not y.index.is_unique:
        raise DataError(f"each firm stands once in y; repeated: {some(y.index[y.index.duplicated()].unique())}")
    value = pd.to_numeric(y.astype(object), errors="coerce").astype(float)
    words = y.index[value.isna() & y.notna()]
    if len(words) or (not pd.api.types.is_numeric_dtype(y) and y.dtype != object):
        raise DataError(f"y holds numbers; it holds {y.dtype} for {some(words if len(words) else y.index)}")
    if not 0.5 < level < 1:
        raise DesignError(f"level is a share between 0.5 and 1, 0.95 for instance; found {level}")
    table = covariates.to_frame() if isinstance(covariates, pd.Series) else covariates
    if table is not None and "cohort" in table:
        raise DesignError("a covariate cannot be called 'cohort', which is when firms entered; rename it")
    return value, table
