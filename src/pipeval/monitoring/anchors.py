"""Vertical chains by place in them: the anchor firms that buy and set the pace, their suppliers, and what each side puts in."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..data.measures import ANSWERED
from .cooperation import money_column

ROLES = ("anchor", "supplier", "member", "not_known")

COLUMNS = (
    "sector", "role", "n_clusters", "n_firms", "n_beneficiaries", "n_large", "n_served", "paid_usd", "share", "n",
    "n_exporting_base", "n_exporting",
)  # fmt: skip


def chain_roles(
    clusters: pd.DataFrame,
    firms: pd.DataFrame,
    base_year: int,
    services: pd.DataFrame | None = None,
    survey: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row a sector (*all* last) and place in its vertical chains: firms, what they paid, and how many of them export.

    The agreement ranks vertical chains by what large firms contribute (paragraph 7.4): `share` says it. An anchor may be too large
    to be a beneficiary; all firms registered in the chains are counted.

    Parameters
    ----------
    clusters : DataFrame
        `cluster_id, cluster_type`: those of type *vertical* are the chains; a chain counts in the sector of its firms.
    firms : DataFrame
        The register, index `firm_id`: `cluster_id, sector, role, arm, size_class`.
    base_year : int
    services : DataFrame, optional
        `firm_id, firm_paid_usd`.
    survey : DataFrame, optional
        `firm_id, ref_year, response` and direct and indirect exports in national currency.

    Returns
    -------
    DataFrame
        `sector, role` (anchor, supplier, member, not_known), `n_clusters` (chains with such a firm), `n_firms`, `n_beneficiaries`,
        `n_large` (size class large), `n_served, paid_usd` (firms that received a service, and what they paid for it), `share` (of
        what all firms of the chains paid), `n` (firms with exports stated in the base year and in the last one),
        `n_exporting_base, n_exporting` (of them, directly or through others). NaN without the table that would tell.

    Examples
    --------
    >>> chains = pd.DataFrame({"cluster_id": ["C1"], "cluster_type": ["vertical"]})
    >>> firms = pd.DataFrame({"cluster_id": "C1", "sector": "ceramics", "role": ["anchor", "supplier", "supplier"]}, index=[*"abc"])
    >>> paid = pd.DataFrame({"firm_id": ["a", "b"], "firm_paid_usd": [300.0, 100.0]})
    >>> table = chain_roles(chains, firms, 2003, paid)
    >>> table.query("sector == 'all'")[["role", "n_firms", "n_served", "share"]].values.tolist()
    [['anchor', 1, 1.0, 0.75], ['supplier', 2, 1.0, 0.25]]
    """
    wanted = ["cluster_id", "sector", "role", "arm", "size_class"]
    vertical = clusters.loc[clusters["cluster_type"] == "vertical", "cluster_id"] if "cluster_type" in clusters else []
    inside = firms.reindex(columns=wanted).astype(object)
    inside = inside[inside["cluster_id"].isin(vertical)]
    inside["role"] = inside["role"].where(inside["role"].isin(ROLES), "not_known")
    inside = inside.join(_paid(services, inside.index)).join(_exporting(survey, base_year, inside.index))
    rows = []
    for sector in [*sorted(inside["sector"].dropna().unique()), "all"]:
        own = inside if sector == "all" else inside[inside["sector"] == sector]
        total = own["paid"].sum(min_count=1)
        for role in ROLES:
            part = own[own["role"] == role]
            if len(part):
                rows.append([sector, role, *_counts(part), *_sums(part, total)])
    counts = dict.fromkeys(["n_clusters", "n_firms", "n_beneficiaries", "n_large"], int)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(counts)


def _counts(part: pd.DataFrame) -> list[int]:
    took, large = part["arm"] == "beneficiary", part["size_class"] == "large"
    return [part["cluster_id"].nunique(), len(part), int(took.sum()), int(large.sum())]


def _sums(part: pd.DataFrame, total: float) -> list[float]:
    paid = part["paid"].sum(min_count=1)
    seen = part[["base", "last"]].dropna()
    known = part["answered"].notna().any()
    exporting = [float(len(seen)), float(seen["base"].sum()), float(seen["last"].sum())] if known else [np.nan] * 3
    return [part["served"].sum(min_count=1), paid, paid / total if total > 0 else np.nan, *exporting]


def _paid(services: pd.DataFrame | None, ids: pd.Index) -> pd.DataFrame:
    """By firm: 1 if it received a service, and what it paid (US$); all NaN without a table of services."""
    if services is None or not {"firm_id", "firm_paid_usd"} <= set(services.columns):
        return pd.DataFrame({"served": np.nan, "paid": np.nan}, index=ids)
    sums = services.groupby("firm_id")["firm_paid_usd"].sum(min_count=1).astype(float).reindex(ids)
    return pd.DataFrame({"served": ids.isin(services["firm_id"]).astype(float), "paid": sums}, index=ids)


def _exporting(survey: pd.DataFrame | None, base_year: int, ids: pd.Index) -> pd.DataFrame:
    """By firm: does it export in the base year and in the survey's last one (1, 0, NaN)? `answered`: 1 where both years exist."""
    blank = pd.DataFrame({"base": np.nan, "last": np.nan, "answered": np.nan}, index=ids)
    columns = [] if survey is None else [money_column(survey, f"export_{way}_k") for way in ("direct", "indirect")]
    columns = [c for c in columns if c is not None]
    if survey is None or not columns:
        return blank
    rows = survey[survey["response"].isin(ANSWERED)]
    sold = rows[columns].astype(float).sum(axis=1, min_count=1)
    wide = sold.groupby([rows["firm_id"], rows["ref_year"].astype(int)]).first().unstack().reindex(ids)
    later = [year for year in wide if year > base_year and wide[year].notna().any()]
    if base_year not in wide or not later:
        return blank
    ends = {"base": wide[base_year], "last": wide[max(later)]}
    return pd.DataFrame({name: (x > 0).astype(float).where(x.notna()) for name, x in ends.items()}).assign(answered=1.0)
