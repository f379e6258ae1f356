"""How much support each firm received, of which kind, up to a year: the dose, for effects by dose and by component."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..errors import DesignError, Note, some, warn
from ..study.specs import Study
from .load import Tables
from .treatment import treatment

ASSISTANCE = ("ta_individual", "ta_group")
DOSES = ("low", "middle", "high")
COMPONENTS = ("component1", "component2", "both")


def support_table(tables: Tables, study: Study, until: int) -> pd.DataFrame:
    """One row a firm: what it had received from the programme by the end of the year `until`.

    Parameters
    ----------
    tables : Tables
        `services` are read; where none says what the programme paid, the `ledger`: expenses of the programme's source entered for
        the firm.
    study : Study
        Its treatment definition says who is treated.
    until : int
        Services that began, and entries made, later do not count.

    Returns
    -------
    DataFrame
        Index `firm_id`, every enterprise:

        * `received_usd`: paid by the programme for the firm, US$, 0 for a firm without services; NaN where the amount of one of its
          services is not known, or no table says.
        * `n_services`, `days`: received; 0 without services (`days` NaN where those of a service are not known).
        * `component`: component1, component2 or both, as its services were charged; missing for a firm without.
        * `assistance`: yes where it had technical assistance, individual or in a group; else no.
        * `dose`: low, middle, high: thirds by `received_usd` of the firms treated by `until`; ties stay together; else missing.

        `component`, `assistance` and `dose` are ordered categories.

    Raises
    ------
    DesignError
        When the table services is missing.

    Examples
    --------
    >>> from types import SimpleNamespace as Study_  # the treatment section is all that is read
    >>> firms = pd.DataFrame({"firm_id": list("abcd"), "arm": ["beneficiary"] * 3 + ["nonparticipant"]})
    >>> firms["entry_year"] = [2004, 2004, 2004, None]
    >>> services = pd.DataFrame({
    ...     "firm_id": ["a", "b", "b", "c"],
    ...     "start_on": pd.to_datetime(["2004-02-01", "2004-03-01", "2005-03-01", "2007-01-01"]),
    ...     "activity_type": ["workshop", "ta_individual", "training", "fair"], "component": ["1", "2.1", "1", "2"],
    ...     "days": [1.0, 4.0, 2.0, 3.0], "programme_paid_usd": [100.0, 900.0, 300.0, 500.0]})
    >>> study = Study_(treatment=Study_(definition="beneficiary", branches=()))
    >>> table = support_table(Tables({"enterprises": firms, "services": services}), study, 2006)
    >>> table[["received_usd", "n_services", "component", "dose"]].astype(object).fillna("").to_numpy().tolist()
    [[100.0, 1, 'component1', 'middle'], [1200.0, 2, 'both', 'high'], [0.0, 0, '', 'low'], [0.0, 0, '', '']]
    """
    if "services" not in tables:
        raise DesignError("the dose of support needs the table services; supply it, or leave out effects by dose and component")
    firms = pd.Index(tables["enterprises"]["firm_id"], name="firm_id").sort_values()
    services = tables["services"]
    services = services[(services["start_on"].dt.year <= until) & services["firm_id"].isin(firms)]
    by_firm = services.groupby("firm_id")
    table = pd.DataFrame(index=firms)
    table["received_usd"] = _received(tables, services, firms, until)
    table["n_services"] = by_firm.size().reindex(firms, fill_value=0)
    table["days"] = _total(services, "days", firms)
    table["component"] = _component(services, firms)
    helped = firms.isin(services.loc[services["activity_type"].isin(ASSISTANCE), "firm_id"])
    table["assistance"] = pd.Categorical(np.where(helped, "yes", "no"), ["no", "yes"], ordered=True)
    cohort = treatment(tables, study, study.treatment.definition).reindex(firms)
    table["dose"] = _thirds(table["received_usd"].where(cohort <= until))
    return table


def _received(tables: Tables, services: pd.DataFrame, firms: pd.Index, until: int) -> pd.Series:
    """Dollars of the programme by firm, from services, else from the ledger's expenses that name a firm."""
    known = "programme_paid_usd" in services and services["programme_paid_usd"].notna().any()
    if known or services.empty:
        return _total(services, "programme_paid_usd", firms)
    ledger = tables["ledger"] if "ledger" in tables else pd.DataFrame(columns=["firm_id"])
    if "firm_id" not in ledger or ledger["firm_id"].isna().all():
        warn(Note("no_amounts", "neither services nor ledger say what the programme paid for a firm: no dose in money", {}))
        return pd.Series(np.nan, index=firms)
    paid = ledger[(ledger["kind"] == "expense") & (ledger["source"] == "mif") & (ledger["on"].dt.year <= until)]
    return _total(paid[paid["firm_id"].isin(firms)], "amount_usd", firms)


def _total(rows: pd.DataFrame, column: str, firms: pd.Index) -> pd.Series:
    """Sum by firm: 0 without rows, NaN with a row whose value is not known."""
    if rows.empty:
        return pd.Series(0.0, index=firms)
    if column not in rows:
        return pd.Series(np.nan, index=firms).mask(~firms.isin(rows["firm_id"]), 0.0)
    values = rows[column].astype(float)
    unknown = rows.loc[values.isna(), "firm_id"].unique()
    if len(unknown):
        text = "{column} is not known for every service of {firms}: no total for them"
        warn(Note("amount_unknown", text, {"column": column, "firms": some(unknown)}))
    total = values.groupby(rows["firm_id"]).sum().reindex(firms, fill_value=0.0)
    return total.mask(firms.isin(unknown))


def _component(services: pd.DataFrame, firms: pd.Index) -> pd.Categorical:
    """Which component's services a firm had; 2.1 and 2.2 are both component 2, any other component is neither."""
    code = services["component"].astype(object)
    one, two = (firms.isin(services.loc[code.isin(codes), "firm_id"]) for codes in (("1",), ("2", "2.1", "2.2")))
    return pd.Categorical(np.select([one & two, one, two], ["both", *COMPONENTS[:2]], None), COMPONENTS, ordered=True)


def _thirds(amount: pd.Series) -> pd.Categorical:
    """Thirds of what is known, by mid-rank."""
    place = (amount.rank(method="average") - 0.5) / max(int(amount.notna().sum()), 1)
    label = np.select([place <= 1 / 3 + 1e-9, place <= 2 / 3 + 1e-9, place.notna()], DOSES, None)
    return pd.Categorical(label, DOSES, ordered=True)
