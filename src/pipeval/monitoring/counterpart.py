"""The counterpart's money against what it owes beside the financier's, and what firms add of their own.

Pari passu: by the day on which the financier has disbursed a share of its contribution, the counterpart owes the same share of its
own. The financier's money does not come by component, so that share is asked of every line of the counterpart's budget alike.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from .budget import PAID_IN, line_of, until


def contributions(ledger: pd.DataFrame, budget: pd.DataFrame, as_of: date | None = None) -> pd.DataFrame:
    """One row an entry by which the counterpart paid: `on, component` (its budget line), `amount_usd, in_kind` (1, 0 or NaN).

    Its contributions; where the ledger has none, its expenses stand for them.
    """
    own = until(ledger, as_of)
    own = own[own["source"] == "counterpart"]
    given = own["kind"] == PAID_IN["counterpart"]
    own = own[given if given.any() else own["kind"] == "expense"]
    in_kind = own["in_kind"].astype(float) if "in_kind" in own else pd.Series(np.nan, index=own.index)
    return pd.DataFrame({"on": pd.to_datetime(own["on"]), "component": line_of(own["component"], budget),
                         "amount_usd": own["amount_usd"].astype(float), "in_kind": in_kind})  # fmt: skip


def counterpart_path(budget: pd.DataFrame, ledger: pd.DataFrame, as_of: date, lag: float) -> pd.DataFrame:
    """One row a day on which the financier or the counterpart paid, and one for `as_of`: owed and paid so far.

    Parameters
    ----------
    budget, ledger : DataFrame
        `component, source, budget_usd` and `on, kind, source, component, amount_usd`.
    as_of : date
        Later entries are left out.
    lag : float
        How far, as a share of the contribution, the counterpart may lie behind.

    Returns
    -------
    DataFrame
        `on, share_mif` (disbursed, of its contribution), `share_counterpart` (paid, of its own), `due_usd, paid_usd, fulfilment`
        (paid / due, NaN while nothing is due), `behind` (the counterpart's share lies more than `lag` below the financier's).

    Examples
    --------
    >>> lines = pd.DataFrame({"component": "1", "source": ["mif", "counterpart"], "budget_usd": [100.0, 50.0]})
    >>> ledger = pd.DataFrame({"on": ["2004-01-01", "2004-02-01"], "kind": ["disbursement", "counterpart_contribution"],
    ...                        "source": ["mif", "counterpart"], "component": "1", "amount_usd": [40.0, 15.0]})
    >>> counterpart_path(lines, ledger, date(2004, 2, 1), 0.1)["fulfilment"].tolist()
    [0.0, 0.75]
    """
    promised = budget.groupby("source")["budget_usd"].sum()
    received = _received(ledger, as_of)
    paid = contributions(ledger, budget, as_of).groupby("on")["amount_usd"].sum()
    days = received.index.union(paid.index).union([pd.Timestamp(as_of)]).astype("datetime64[s]")
    table = pd.DataFrame({"on": days})
    table["share_mif"] = _running(received, days) / _positive(promised.get("mif"))
    table["paid_usd"] = _running(paid, days)
    table["share_counterpart"] = table["paid_usd"] / _positive(promised.get("counterpart"))
    table["due_usd"] = table["share_mif"].clip(upper=1) * _positive(promised.get("counterpart"))
    table["fulfilment"] = table["paid_usd"] / table["due_usd"].where(table["due_usd"] > 0)
    table["behind"] = table["share_mif"].clip(upper=1) - table["share_counterpart"] > lag + 1e-12
    return table[["on", "share_mif", "share_counterpart", "due_usd", "paid_usd", "fulfilment", "behind"]]


def counterpart_table(budget: pd.DataFrame, ledger: pd.DataFrame, as_of: date, lag: float) -> pd.DataFrame:
    """One row a component with counterpart money, and one for `total`: owed and paid by `as_of`, in cash and in kind.

    Returns
    -------
    DataFrame
        `component, budget_usd, due_usd` (budget × the financier's disbursed share), `paid_usd, cash_usd, in_kind_usd,
        unspecified_usd` (the entry does not say which), `fulfilment` (paid / due), `share_in_kind` (of what says so), `behind`
        (paid lies below what is due by more than `lag` of the line's budget). A component without a counterpart budget owes
        nothing: its fulfilment is NaN.
    """
    lines = budget[budget["source"] == "counterpart"].groupby("component", sort=False)["budget_usd"].sum()
    promised = _positive(budget.loc[budget["source"] == "mif", "budget_usd"].sum())
    share = np.minimum(1.0, _received(ledger, as_of).sum() / promised)  # NaN without a contribution: nothing can be said to be due
    paid = contributions(ledger, budget, as_of)
    how = paid["in_kind"].map({0.0: "cash_usd", 1.0: "in_kind_usd"}).astype(object).fillna("unspecified_usd")
    sums = paid.groupby(["component", how.rename("how")])["amount_usd"].sum().unstack("how")
    known = [c for c in lines.index if lines[c] > 0]
    sums = sums.reindex(index=[*known, *sums.index.difference(known)], columns=["cash_usd", "in_kind_usd", "unspecified_usd"])
    table = sums.fillna(0.0).rename_axis(columns=None)
    table.insert(0, "budget_usd", lines.reindex(table.index).fillna(0.0))
    table.loc["total"] = table.sum()
    table["due_usd"] = table["budget_usd"] * share
    table["paid_usd"] = table[["cash_usd", "in_kind_usd", "unspecified_usd"]].sum(axis=1)
    table["fulfilment"] = table["paid_usd"] / table["due_usd"].where(table["due_usd"] > 0)
    told = table["cash_usd"] + table["in_kind_usd"]
    table["share_in_kind"] = table["in_kind_usd"] / told.where(told > 0)
    table["behind"] = table["due_usd"] - table["paid_usd"] > lag * table["budget_usd"] + 1e-9
    columns = [
        "budget_usd",
        "due_usd",
        "paid_usd",
        "cash_usd",
        "in_kind_usd",
        "unspecified_usd",
        "fulfilment",
        "share_in_kind",
        "behind",
    ]
    return table[columns].rename_axis("component").reset_index()


def firm_contributions(services: pd.DataFrame | None, ledger: pd.DataFrame | None, as_of: date) -> pd.DataFrame:
    """One row a component, and one for `total`: what firms paid of their own, as the services and as the ledger record it.

    Neither counts towards the counterpart. Columns `component, n_firms` (that paid for a service), `services_usd, share` (of the
    cost of those services with a cost), `ledger_usd` (entries whose source is the firms). NaN where a table is not supplied; the
    two sources need not agree, and the difference is for the audit to explain.
    """
    parts = {}
    if services is not None:
        on = pd.to_datetime(services["start_on"])
        own = services[~(on > pd.Timestamp(as_of)) & (services["firm_paid_usd"] >= 0)]
        own = own.assign(component=line_of(own["component"], None), payer=own["firm_id"].where(own["firm_paid_usd"] > 0))
        own["cost"] = own["total_cost_usd"].where(own["total_cost_usd"] > 0)
        own["of_cost"] = own["firm_paid_usd"].where(own["cost"].notna())
        parts = _by_component(own, {"n_firms": ("payer", "nunique"), "services_usd": ("firm_paid_usd", "sum"),
                                    "of_cost": ("of_cost", "sum"), "cost": ("cost", "sum")})  # fmt: skip
    if ledger is not None:
        own = until(ledger, as_of)
        own = own[own["source"] == "firms"]
        own = own.assign(component=line_of(own["component"], None))
        parts |= _by_component(own, {"ledger_usd": ("amount_usd", "sum")})
    table = pd.DataFrame(parts, dtype=float)
    order = [c for c in table.index if c != "total"] + (["total"] if "total" in table.index else [])
    table = table.reindex(index=order, columns=["n_firms", "services_usd", "of_cost", "cost", "ledger_usd"]).astype(float)
    supplied = [c for c, t in (("n_firms", services), ("services_usd", services), ("ledger_usd", ledger)) if t is not None]
    table[supplied] = table[supplied].fillna(0.0)
    table["share"] = table["of_cost"] / table["cost"].where(table["cost"] > 0)
    return table[["n_firms", "services_usd", "share", "ledger_usd"]].rename_axis("component").reset_index()


def _by_component(rows: pd.DataFrame, sums: dict) -> dict[str, pd.Series]:
    """Each sum by component, with a row `total` over the same entries: firms that paid in two components count once."""
    parts = [rows.groupby("component").agg(**sums), rows.assign(component="total").groupby("component").agg(**sums)]
    return dict(pd.concat(parts).items())


def _received(ledger: pd.DataFrame, as_of: date | None) -> pd.Series:
    """The financier's disbursements by day."""
    own = until(ledger, as_of)
    own = own[(own["source"] == "mif") & (own["kind"] == PAID_IN["mif"])]
    return own.groupby(pd.to_datetime(own["on"]))["amount_usd"].sum()


def _running(amounts: pd.Series, days: pd.DatetimeIndex) -> np.ndarray:
    return amounts.reindex(days).fillna(0.0).cumsum().to_numpy()


def _positive(amount) -> float:
    return float(amount) if amount is not None and amount > 0 else np.nan
