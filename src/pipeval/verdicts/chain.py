"""The causal chain, link by link: was the cause delivered, did the consequence come, and what ties the one to the other.

The states, in this order; the first that fits is given:

1. *not_known*: cause or consequence is not measurable, or not yet due and without evidence of its own;
2. *broken*: the cause was not delivered; or it was, and the effect on the consequence is adverse or below what matters, or the
   consequence was missed and nothing compares it with other firms;
3. *supported*: the cause was delivered whole, the consequence is demonstrated against the control group, no interview contradicts,
   more support does not go with less effect, and where the link names the services that carry it some were given;
4. *consistent*: cause and consequence are there, the consequence reached or at least indicative, and nothing contradicts;
5. *weak*: anything else: delivered in part, inconclusive, or contradicted by interviews or by the dose.

A cause that fell short of its target, but whose own effect is demonstrated or indicative, counts as delivered in part.
A chain is not an experiment: even a supported link is consistent with its cause, and could have another.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..study.logframe import LogFrame, text_columns

STATES = ("supported", "consistent", "weak", "broken", "not_known")
REACHED, MISSED = ("met", "partly_met"), ("not_met", "infeasible")
SHOWN = ("demonstrated", "indicative")
COMPARED = (*SHOWN, "inconclusive", "adverse", "target_ruled_out")
UNKNOWN = ("not_measurable", "")
COLUMNS = (
    "from", "to", "text", "delivered", "reached", "evidence", "n_services", "n_firms", "dose_estimate", "dose_p",
    "triangulation", "status",
)  # fmt: skip


def chain_table(
    logframe: LogFrame,
    verdicts: pd.DataFrame,
    services: pd.DataFrame | None = None,
    dose: pd.DataFrame | None = None,
    triangulation: pd.DataFrame | None = None,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """One row a link of the log frame: what became of its two ends, and how well they hold together.

    Parameters
    ----------
    verdicts : DataFrame
        `id, attainment, evidence`.
    services : DataFrame, optional
        `firm_id, activity_type`: how much of what carries the link was given.
    dose : DataFrame, optional
        `outcome, division, group, estimate, p_value`; the slope `per_thousand_usd` of the consequence's outcome is read.
    triangulation : DataFrame, optional
        `id, triangulation, contradicts` (interviews that contradict): *agree_contradicts* speaks against the link of which the
        indicator is the consequence; a single voice against it bars *supported*.
    alpha : float
        Level at which a dose relation speaks against a link.

    Returns
    -------
    DataFrame
        `from, to, text_es, text_en` (one a language), `delivered, reached` (attainment of cause and consequence), `evidence` (of the consequence),
        `n_services, n_firms` (of the link's activity types; NaN where it names none), `dose_estimate` (per US$ 1,000, an
        association), `dose_p`, `triangulation` (not_known without interviews), `status` (`STATES`).
    """
    rows = []
    state = verdicts.drop_duplicates("id").set_index("id")
    heard = pd.DataFrame(columns=["id"]) if triangulation is None else triangulation
    heard = heard.drop_duplicates("id").set_index("id").reindex(columns=["triangulation", "contradicts"])
    for link in logframe.links:
        given = _given(link.activity_types, services)
        slope = _slope(logframe.indicator(link.target).effect, dose)
        ends = {
            "delivered": _code(state, link.source, "attainment"),
            "reached": _code(state, link.target, "attainment"),
            "evidence": _code(state, link.target, "evidence"),
        }
        said = _code(heard, link.target, "triangulation") or "not_known"
        voices = heard["contradicts"].get(link.target, 0)
        falls = slope["dose_p"] < alpha and slope["dose_estimate"] * _sign(logframe, link.target) < 0
        row = {"from": link.source, "to": link.target, **text_columns(link.text)}
        cause, against = _code(state, link.source, "evidence"), falls or said == "agree_contradicts"
        doubted = bool(pd.notna(voices) and voices > 0) or given["n_services"] == 0
        status = link_status(**ends, cause=cause, against=against, doubted=doubted)
        rows.append(row | ends | given | slope | {"triangulation": said, "status": status})
    return pd.DataFrame(rows, columns=logframe.worded(COLUMNS))


def link_status(delivered: str, reached: str, evidence: str, cause: str = "", against: bool = False, doubted: bool = False) -> str:
    """What may be said of one link: attainment of its cause and consequence, evidence of the consequence and of the `cause`.

    `against`: interviews or the dose relation speak against it; `doubted`: a single interview does, or what was to carry the
    link was never given.

    >>> link_status("met", "met", "demonstrated"), link_status("met", "met", "demonstrated", against=True)
    ('supported', 'weak')
    >>> link_status("not_met", "met", "demonstrated"), link_status("met", "not_yet_due", "descriptive")
    ('broken', 'not_known')
    """
    came = cause in SHOWN
    if delivered in UNKNOWN or (delivered == "not_yet_due" and not came):
        return "not_known"
    if delivered not in REACHED and not came:
        return "broken"
    if reached in UNKNOWN or (reached == "not_yet_due" and evidence not in COMPARED):
        return "not_known"
    if evidence in ("adverse", "target_ruled_out") or (reached in MISSED and evidence not in COMPARED):
        return "broken"
    if against:
        return "weak"
    if delivered == "met" and evidence == "demonstrated" and not doubted:
        return "supported"
    return "consistent" if evidence in SHOWN or (reached in REACHED and evidence != "inconclusive") else "weak"


def _code(state: pd.DataFrame, key: str, column: str) -> str:
    value = state[column].get(key, "") if column in state else ""
    return "" if pd.isna(value) else str(value)


def _sign(logframe: LogFrame, key: str) -> int:
    return -1 if logframe.indicator(key).direction == "decrease" else 1


def _given(types: tuple[str, ...], services: pd.DataFrame | None) -> dict[str, float]:
    if not types or services is None or not {"activity_type", "firm_id"} <= set(services.columns):
        return {"n_services": np.nan, "n_firms": np.nan}
    own = services[services["activity_type"].astype(object).isin(types)]
    return {"n_services": float(len(own)), "n_firms": float(own["firm_id"].nunique())}


def _slope(outcome: str | None, dose: pd.DataFrame | None) -> dict[str, float]:
    """The slope of the effect over the amount received, where it was estimated."""
    nothing = {"dose_estimate": np.nan, "dose_p": np.nan}
    if outcome is None or dose is None or not {"outcome", "division", "estimate", "p_value"} <= set(dose.columns):
        return nothing
    rows = dose[(dose["outcome"] == outcome) & (dose["division"] == "per_thousand_usd") & dose["estimate"].notna()]
    return nothing if rows.empty else {"dose_estimate": float(rows["estimate"].iloc[0]), "dose_p": float(rows["p_value"].iloc[0])}
