"""New exporters that would not have been: the counts of the log frame, gross and net of what comparison firms did."""

from __future__ import annotations

import pandas as pd

from ..did.bounds import worst_case_counts
from ..did.counts import net_count
from ..errors import DesignError
from ..study.logframe import Indicator, LogFrame
from ..study.specs import Study
from .inputs import Inputs, at, closed_by, members, years

COLUMNS = [
    "indicator", "population", "n_eligible", "n_answered", "gross", "expected", "net", "net_low", "net_high",
    "worst_low", "worst_high", "n_without_counterfactual",
]  # fmt: skip


def net_counts(logframe: LogFrame, inputs: Inputs, pool: pd.Index, study: Study) -> pd.DataFrame:
    """One row an indicator of kind transition: gross count, what the comparison firms lead to expect, and the difference.

    Parameters
    ----------
    pool : Index
        The comparison firms (never treated, in the pool).

    Returns
    -------
    DataFrame
        `indicator, population` (arms), `n_eligible` (firms of the starting statuses), `n_answered, gross, expected, net,
        net_low, net_high`, `worst_low, worst_high` (bounds on the net count whatever silent firms did, `worst_case_counts`),
        `n_without_counterfactual`, in firms; NaN where no status has answers from both arms.
    """
    rows = []
    for indicator in (i for i in logframe.indicators if i.kind == "transition"):
        ids = members(indicator, inputs.firms)
        start, success = changed_status(indicator, inputs, study)
        eligible = start.index[start.isin(indicator.source_statuses)]
        firms = eligible[eligible.isin(ids) | eligible.isin(pool)]
        treated = pd.Series(firms.isin(ids), index=firms)
        row = {
            "indicator": indicator.id,
            "population": "+".join(map(str, indicator.population.get("arm", ()))),
            "n_eligible": int(treated.sum()),
        }
        try:
            table = net_count(treated, start[firms].astype(str), success[firms], level=study.did.level).table.set_index("measure")
        except DesignError:
            rows.append(row)
            continue
        row |= table["estimate"].to_dict() | {"net_low": table.at["net", "conf_low"], "net_high": table.at["net", "conf_high"]}
        worst = worst_case_counts(treated, start[firms].astype(str), success[firms], level=study.did.level).set_index("measure")
        row |= {"worst_low": worst.at["net", "lower"], "worst_high": worst.at["net", "upper"]}
        rows.append(row | {n: int(table.at["net", n]) for n in ("n_answered", "n_without_counterfactual")})
    return (
        pd.DataFrame(rows).reindex(columns=COLUMNS) if rows else pd.DataFrame(columns=COLUMNS, dtype=object).astype({"net": float})
    )


def changed_status(indicator: Indicator, inputs: Inputs, study: Study) -> tuple[pd.Series, pd.Series]:
    """By firm: its status at the baseline, and whether it holds one of the target statuses now (1, 0; NaN when not known).

    A status must hold in each of the last `consecutive` years. A closed firm exports nothing: 0.
    """
    base, now = years(indicator, study)
    firms, frame = inputs.firms, inputs.nominal
    recorded = firms["exp_status_baseline"].astype(object)
    start = recorded.where(recorded.notna(), at(frame, "exp_status", base).astype(object).reindex(firms.index))
    success = pd.Series(1.0, index=firms.index)
    for year in range(now - indicator.consecutive + 1, now + 1):
        status = at(frame, "exp_status", year).astype(object).reindex(firms.index)
        success *= status.isin(indicator.target_statuses).astype(float).where(status.notna())
    closed = closed_by(frame, now).reindex(firms.index).fillna(False).astype(bool)
    return start.dropna(), success.mask(closed & success.isna(), 0.0)
