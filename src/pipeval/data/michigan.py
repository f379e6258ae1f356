"""The Michigan job-training grants: real firms, to run the same road on.

Holzer, Block, Cheatham and Knott (1993), "Are training subsidies for firms effective? The Michigan experience", Industrial and
Labor Relations Review 46(4). The data come with linearmodels (`linearmodels.datasets.jobtraining`): 157 manufacturing firms,
1987–89.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

YEARS = (1987, 1988, 1989)


def michigan() -> dict[str, pd.DataFrame]:
    """The tables `enterprises` (a row a firm) and `survey` (a row a firm and year), with the columns of `data.contract`.

    A firm enters in the year of its grant: 36 in 1988, 30 in 1989; 91 never had one and are non-participants. Money is in thousand
    current US dollars (`sales_kusd`; `payroll_kusd` is the average salary times employment). Beside the contract: `union` (1 if
    unionised), `scrap_rate` (scrapped items per 100; lower is better), `rework_rate` (reworked items per 100) and
    `training_hours` (hours of training per employee and year). What a firm did not report is missing; `response` is complete
    with sales and employment, and a refusal where neither they nor the scrap rate are reported.

    The 1988 cohort has a single year before its grant, so that its pre-programme trend cannot be tested.

    Examples
    --------
    >>> tables = michigan()
    >>> tables["enterprises"]["entry_year"].value_counts().sort_index().to_dict()
    {1988.0: 36, 1989.0: 30}
    """
    from linearmodels.datasets import jobtraining

    raw = jobtraining.load().sort_values(["fcode", "year"], ignore_index=True)
    return {"enterprises": _enterprises(raw), "survey": _survey(raw)}


def _enterprises(raw: pd.DataFrame) -> pd.DataFrame:
    first = raw.groupby("fcode")
    entry = raw["year"].where(raw["grant"] == 1).groupby(raw["fcode"]).min()
    workers = raw[raw["year"] == YEARS[0]].set_index("fcode")["employ"]
    bounds = np.searchsorted([10, 50, 250], workers.fillna(0))
    size = pd.Series(np.array(["micro", "small", "medium", "large"])[bounds], index=workers.index).mask(workers.isna())
    table = pd.DataFrame(
        {
            "firm_id": entry.index.astype(str).astype("str"),
            "arm": np.where(entry.notna(), "beneficiary", "nonparticipant"),
            "sector": "manufacturing",
            "branch": "manufacturing",
            "workers_baseline": workers,
            "size_class": size,
            "entry_year": entry.astype(float),
            "union": first["union"].first().astype(float),
        }
    )
    return table.astype({"arm": "str", "sector": "str", "branch": "str", "size_class": "str"}).reset_index(drop=True)


def _survey(raw: pd.DataFrame) -> pd.DataFrame:
    complete = raw[["sales", "employ"]].notna().all(axis=1)
    reported = complete.astype(int) + raw[["sales", "employ", "scrap"]].notna().any(axis=1)
    table = pd.DataFrame(
        {
            "firm_id": raw["fcode"].astype(str).astype("str"),
            "ref_year": raw["year"],
            "response": np.array(["refusal", "partial", "complete"])[reported],
            "workers_paid": raw["employ"],
            "sales_kusd": raw["sales"] / 1000,
            "payroll_kusd": raw["avgsal"] * raw["employ"] / 1000,
            "scrap_rate": raw["scrap"],
            "rework_rate": raw["rework"],
            "training_hours": raw["hrsemp"],
        }
    )
    return table.astype({"response": "str"})
