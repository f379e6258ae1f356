"""Whom the programme reached: firms against plan, and who among those registered was served."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from ..data.intervals import welch, with_share
from ..data.support import ASSISTANCE
from ..study.programme_specs import Coverage

ARMS = ("beneficiary", "indirect", "nonparticipant")
GROUPS = ("branch", "size_class", "owner_gender", "group_experience")
"""Characteristics by which the share of firms served is told apart."""

CRITERIA = ("priority_score", "group_experience", "workers_baseline")
"""What the programme ranked its applicants by, and their size."""


def coverage_table(
    firms: pd.DataFrame, services: pd.DataFrame | None, plan: Coverage, as_of: date, level: float = 0.95
) -> pd.DataFrame:
    """One row an arm and sector (`all` together): firms planned, registered, entered and served by `as_of`.

    Parameters
    ----------
    firms : DataFrame
        The register, index `firm_id`: `arm, sector, registered_on, entry_year, commitment_letter_on`.
    services : DataFrame, optional
        `firm_id`, one row a service.
    plan : Coverage
        Firms planned by arm and sector, and the second figure of firms that might benefit indirectly.
    as_of : date
        Firms registered later do not count, nor do entries of later years.
    level : float
        Of the interval.

    Returns
    -------
    DataFrame
        `arm, sector, planned, potential` (the document's second figure, beside the row of all indirect firms; the two are never
        merged), `n_registered, n_committed` (letter of commitment), `n_entered` (their year of entry has begun), `n_served`
        (distinct firms with a service), `progress` (registered over planned), `progress_potential` (over potential), `share`
        (served of registered beneficiaries) with `share_low, share_high` (Wilson). NaN where nothing was planned, or no table says.
        Non-participants served show that the agency reached its comparison firms.

    Examples
    --------
    >>> firms = pd.DataFrame({"arm": ["beneficiary"] * 4, "entry_year": [2004, 2004, 2005, 2006]}, index=list("abcd"))
    >>> table = coverage_table(firms, pd.DataFrame({"firm_id": ["a", "a", "b"]}), Coverage(planned={"beneficiary": {"all": 8}}),
    ...                        date(2005, 6, 30))
    >>> table.iloc[0][["n_registered", "n_entered", "n_served", "progress", "share"]].astype(float).tolist()
    [4.0, 3.0, 2.0, 0.5, 0.5]
    """
    own = _completed(firms, "arm", "sector", "registered_on", "entry_year", "commitment_letter_on")
    own = own[~(pd.to_datetime(own["registered_on"]) > pd.Timestamp(as_of))]
    served = set() if services is None else set(services["firm_id"])
    own = own.assign(
        entered=pd.to_numeric(own["entry_year"]) <= as_of.year,
        committed=pd.to_datetime(own["commitment_letter_on"]) <= pd.Timestamp(as_of),
        served=own.index.isin(list(served)),
    )
    rows = []
    for arm in ARMS:
        part, planned = own[own["arm"] == arm], plan.planned.get(arm, {})
        sectors = sorted({*part["sector"].dropna(), *planned} - {"all"})
        if part.empty and not planned:
            continue
        potential = plan.potential if arm == "indirect" else None
        rows += [_reached(arm, s, part[part["sector"] == s], planned.get(s), None) for s in sectors]
        rows.append(_reached(arm, "all", part, planned.get("all"), potential))
    columns = ["arm", "sector", "planned", "potential", "n_registered", "n_committed", "n_entered", "n_served"]
    table = pd.DataFrame(rows, columns=columns)
    table["n_served"] = table["n_served"] if services is not None else np.nan
    for name, base in (("progress", "planned"), ("progress_potential", "potential")):
        bottom = table[base].astype(float)
        table[name] = table["n_registered"] / bottom.where(bottom > 0)
    meant = table["arm"] == "beneficiary"
    table = with_share(table, "n_served", "n_registered", level)
    shares = ["share", "share_low", "share_high"]
    return table.assign(**{c: table[c].where(meant) for c in shares})


def _reached(arm: str, sector: str, part: pd.DataFrame, planned: int | None, potential: int | None) -> list:
    """A row of the coverage table; a count of a date that no firm of the arm has is not known."""
    known = {
        "committed": part["commitment_letter_on"].notna().any() if len(part) else True,
        "entered": part["entry_year"].notna().any() if len(part) else True,
    }
    counts = [int(part[c].sum()) if known[c] else np.nan for c in ("committed", "entered")]
    planned, potential = (np.nan if x is None else float(x) for x in (planned, potential))
    return [arm, sector, planned, potential, len(part), *counts, int(part["served"].sum())]


def served_by_group(firms: pd.DataFrame, services: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row a kind of support, characteristic and group: registered beneficiaries, and those that received it.

    `received` is *service* (any) or *assistance* (technical assistance); `covariate, group` name the characteristic and its value;
    `n_firms, n_served, share, share_low, share_high` (Wilson). Firms without the characteristic form the group *not_known*.
    """
    own = _completed(firms[firms["arm"] == "beneficiary"], *GROUPS)
    rows = []
    for received, ids in _received(services).items():
        served = pd.Series(own.index.isin(list(ids)), index=own.index)
        for covariate in (c for c in GROUPS if own[c].notna().any()):
            for group, part in served.groupby(_labels(own[covariate])):
                rows.append([received, covariate, group, len(part), int(part.sum())])
    table = pd.DataFrame(rows, columns=["received", "covariate", "group", "n_firms", "n_served"])
    return with_share(table, "n_served", "n_firms", level)


def _labels(values: pd.Series) -> pd.Series:
    """Codes of a characteristic, a yes or no among them, as texts."""
    if values.dtype.kind == "f":
        return values.map({1.0: "yes", 0.0: "no"}).fillna("not_known")
    return values.astype(object).where(values.notna(), "not_known")


def _received(services: pd.DataFrame) -> dict[str, set]:
    helped = services["activity_type"].isin(ASSISTANCE)
    return {"service": set(services["firm_id"]), "assistance": set(services.loc[helped, "firm_id"])}


def selection_table(firms: pd.DataFrame, services: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row a kind of support and ranking criterion: its mean among beneficiaries with the support and without it.

    Whether support followed the ranking of the regulations, which asks for group experience and commitment (memorandum ¶7.4).
    Columns `received, covariate, n_served, n_other, mean_served, mean_other, gap, conf_low, conf_high, p_value` (Welch). NaN
    where a side has fewer than two firms with the figure, or neither side varies.
    """
    own = _completed(firms[firms["arm"] == "beneficiary"], *CRITERIA)
    rows = []
    for received, ids in _received(services).items():
        served = own.index.isin(list(ids))
        for covariate in (c for c in CRITERIA if own[c].notna().any()):
            values = own[covariate].astype(float)
            one, other = values[served].dropna(), values[~served].dropna()
            rows.append([received, covariate, len(one), len(other), one.mean(), other.mean(), *welch(one, other, level)])
    names = "n_served n_other mean_served mean_other gap conf_low conf_high p_value"
    return pd.DataFrame(rows, columns=["received", "covariate", *names.split()])


def _completed(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The frame with these columns, empty where it lacks them."""
    return frame.assign(**{c: np.nan for c in columns if c not in frame})
