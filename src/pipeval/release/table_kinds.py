"""What every table of a report is, and the rule by which it leaves or the reason for which it stays.

A table that is not listed is of no kind and stays at home.
"""

from __future__ import annotations

from dataclasses import dataclass

from .counts import Counts
from .magnitudes import RECIPES


@dataclass(frozen=True)
class Estimates:
    """How a table of model outputs leaves.

    Attributes
    ----------
    arms : tuple of str
        Columns that count the firms of either side.
    whole : bool
        Whether a row without counts is of the outcome's whole sample, whose counts stand in another table.
    variants : bool
        Whether rows are of samples that differ by some firms: of two that differ by few, one stays.
    drop : tuple of str
        Columns that stay at home.
    """

    arms: tuple[str, ...] = ("n_treated", "n_control")
    whole: bool = False
    variants: bool = False
    drop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Programme:
    """Accounts, dates and plans of the programme: the columns that leave, all where none is named."""

    columns: tuple[str, ...] = ()


_SIZES = ("n_treated", "n_control", "n_clusters", "df")
_OWN, _WHOLE, _VARIANTS = Estimates(), Estimates(whole=True), Estimates(variants=True)
ESTIMATES: dict[str, Estimates] = {
    **dict.fromkeys(("att_by_cohort", "att_by_period", "att_gt", "event_study", "bacon", "designs", "margins",
    "ratios", "shares"), _OWN),
    **dict.fromkeys(("effects", "robustness", "contamination", "base_years", "outliers"), _VARIANTS),
    **dict.fromkeys(("subgroups", "dose", "contributions"), Estimates(drop=_SIZES)),
    **dict.fromkeys(
        (
            "attrition_bounds", "balance", "balance_terms", "benchmarks", "comparison", "cost_per_effect", "curve_summary",
            "design_checks", "few_clusters", "hidden_bias", "honest", "multiplicity", "orthogonality", "overall",
            "placebos", "power",
            "pretrend", "propensity", "response_test", "return", "return_break_even", "return_tornado",
            "selective_attrition",
            "sensitivity", "simulated_power", "spillover", "survey_price", "trend_power", "twfe",
        ),
        _WHOLE,
    ),
    "opinion_effect": Estimates(arms=("n_yes", "n_no")),
    "selection": Estimates(arms=("n_served", "n_other")),
    "marginal_change": Estimates(arms=("n",)),
}  # fmt: skip
"""Tables of model outputs."""

_ANSWERS = "n_surveyed = n_complete + n_partial + n_refusal + n_not_found + n_closed"
_WAVES = (
    "n_registered",
    "n_surveyed",
    "n_complete",
    "n_partial",
    "n_refusal",
    "n_not_found",
    "n_closed",
    "n_recalled",
    "n_part_year",
)
_WAVE_SUMS = (_ANSWERS, "n_registered = n_surveyed + ?", "n_complete + n_partial = n_recalled + ?",
              "n_complete + n_partial = n_part_year + ?")  # fmt: skip
_STAGES = (
    ("stage", "evaluated", "register"),
    ("stage", "comparable", "evaluated"),
    ("stage", "surveyed_base", "comparable"),
    ("stage", "matched", "surveyed_base"),
    ("stage", "analysed", "surveyed_base"),
)
_MET = ("n", "n_met", "n_not_met", "n_not_known")
COUNTS: dict[str, Counts] = {
    "waves": Counts(("period", "arm"), _WAVES, _WAVE_SUMS, {"arm": None}),
    "transitions": Counts(("arm", "from", "to"), ("n",), across={"to": None}),
    "consent": Counts(
        ("arm",), ("n", "n_yes", "n_no", "n_not_known", "n_used_without"),
        ("n = n_yes + n_no + n_not_known", "n = n_used_without + ?"), {"arm": None},
    ),
    "control_designation": Counts(
        ("exp_status_baseline",), ("n", "n_before", "n_after", "n_not_known"),
        ("n = n_before + n_after + n_not_known",), {"exp_status_baseline": "all"},
    ),
    "eligibility": Counts(("criterion", "arm"), _MET, ("n = n_met + n_not_met + n_not_known",), {"arm": None}),
    "ineligible_controls": Counts(
        (), ("n", "n_eligible", "n_ineligible", "n_not_known"), ("n = n_eligible + n_ineligible + n_not_known",)
    ),
    "owners": Counts(("arm", "owner_gender"), ("n",), across={"owner_gender": None, "arm": None}),
    "size_rules": Counts(("rule", "arm", "size_class"), ("n",), across={"size_class": None, "arm": None}),
    "sample_flow": Counts(("arm", "stage"), ("n",), nested=_STAGES),
    "pool": Counts(("reason", "arm"), ("n",), across={"reason": None, "arm": None}),
    "match_summary": Counts(("role", "status"), ("n_firms",), across={"status": None}),
    "survey_modes": Counts(("period", "mode"), ("n",), across={"mode": None}),
    "served_groups": Counts(
        ("received", "covariate", "group"), ("n_firms", "n_served"), ("n_firms = n_served + ?",), {"group": None},
        ("n_firms", "n_served"),
    ),
    "freshness": Counts(("sector",), ("n_firms", "n_fresh"), ("n_firms = n_fresh + ?",), {"sector": "all"}),
    "exports_by_year": Counts(
        ("year",), ("n_survey", "n_customs", "n_both", "n_survey_only", "n_customs_only", "n_agree"),
        ("n_survey = n_both + n_survey_only + ?", "n_customs = n_both + n_customs_only + ?", "n_survey = n_agree + ?"),
    ),
    "satisfaction_shares": Counts(("wave", "component", "item", "score"), ("n",), across={"score": None}),
    "opinion_nonresponse": Counts(
        ("wave", "characteristic", "group"), ("n_asked", "n_responding"), ("n_asked = n_responding + ?",), {"group": None},
        ("n_asked", "n_responding"),
    ),
    "missing_figures": Counts(("period", "arm", "measure"), ("n", "n_missing"), ("n = n_missing + ?",), {"arm": "all"}),
    "queries_by_arm": Counts(("rule", "arm"), ("n", "n_firms"), ("n_firms = n + ?",), {"arm": None}),
    "other_programmes": Counts(("programme", "arm"), ("n_firms", "n_arm"), ("n_arm = n_firms + ?",), {"arm": None}),
    "id_matches": Counts(("table", "column", "refers_to"), ("n", "n_found"), ("n = n_found + ?",)),
    "faults_summary": Counts(("table", "rule", "kind"), ("n",), across={"rule": None}),
    "masked": Counts(("table",), ("n",)),
}  # fmt: skip
"""Tables of counts, with the rule by which their counts add up."""

_INDICATOR = ("id", "level", "component", "attainment", "evidence", "target", "unit", "direction", "due", "relevant_effect")
PROGRAMME: dict[str, Programme] = {
    **dict.fromkeys(
        (
            "assumptions", "budget", "budget_shares", "budget_sources", "budget_years", "calendar", "counterpart",
            "counterpart_path",
            "disbursement", "gaps", "indicators", "logframe_lint", "programme_facts", "progress", "progress_path",
            "progress_quarter",
            "reports_due", "reports_summary", "revolving", "revolving_fund", "territory_sources",
        ),
        Programme(),
    ),
    "conditions_met": Programme(("condition_id", "applies_to", "sector", "statement_es", "statement_en", "due",
    "met", "status")),
    "outputs": Programme(("activity_id", "component", "description_es", "description_en", "unit", "planned_qty",
    "planned_end", "status")),
    "tracker": Programme(("id", "level", "component", "kind", "unit", "direction", "period", "due", "planned",
    "target", "status")),
    "verdicts": Programme((*_INDICATOR[:3], "text_es", "text_en", "text_pt", *_INDICATOR[3:])),
}  # fmt: skip
"""Tables of the programme's own accounts and plans, in which no firm stands."""

_EXTREME = "a row is of one cluster, or holds the extreme of one firm"
_FEW = "interviews, raters, posts and clusters are so few that a row is of one of them"
_LEAVES_OUT = "each row leaves out some firms: two of them beside each other tell of these"
_SAME = "counts firms of another table that is released, cut otherwise"
_PARTS = "the rule by which its counts add up is not known"
_NO_RECIPE = "what each firm contributes cannot be computed again"
FIRMS: dict[str, str] = {
    **dict.fromkeys(
        (
            "above_schedule", "cap_breaches", "corrections", "eligibility_exceptions", "export_pairs",
            "firms_not_used", "followup_firms",
            "homogeneity_firms", "match_map",
        ),
        "rows are about one firm",
    ),
    **dict.fromkeys(("clusters", "pair_distances", "overlap", "cap"), _EXTREME),
    **dict.fromkeys(
        (
            "assumptions_monitor", "chain", "chain_roles", "cluster_funnel", "evidence_register",
            "findings_register", "measures_followup",
            "missions", "readings", "rubric_agreement", "rubric_overview", "rubric_scores", "staff", "statements",
            "sustainability",
            "triangulation", "turnover", "typology", "workshop",
        ),
        _FEW,
    ),
    **dict.fromkeys(("curve", "fragility", "fragility_summary", "left_out"), _LEAVES_OUT),
    **dict.fromkeys(("plan_status", "deviations"), "it is of the original's lock, whose hash is that of its plan"),
}  # fmt: skip
"""Tables with rows about one firm, or so few that they come to that: why."""

NO_RULE: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("coverage", "received", "response", "unmatched", "waves_exporters"), ("counts", _SAME)),
    **dict.fromkeys(
        (
            "compliance", "compliance_change", "compliance_path", "counted_apart", "information", "joint_actions",
            "new_exporters",
            "opinion_flags", "opinion_followup", "quarters", "response_association", "response_groups", "response_map",
            "response_types", "return_draws_hist", "satisfaction", "survey_dates", "unassigned",
        ),
        ("counts", _PARTS),
    ),
    **dict.fromkeys(
        (
            "activity_matrix", "assessment_gaps", "assessment_scores", "assistance", "cofinancing_path", "context",
            "cooperation",
            "cost_by_component", "cost_per_firm", "cost_per_output", "costs", "export_trend", "firm_share",
            "homogeneity", "prices",
            "return_assumptions", "return_years", "sources", "territory", "trends",
        ),
        ("magnitudes", _NO_RECIPE),
    ),
    "firm_contributions": ("magnitudes", "it is what is left of the cost of services, which are released"),
}  # fmt: skip
"""Tables of counts and of sums that stay at home: kind and why."""

NOT_LISTED = "it is not listed"


def kind_of(name: str) -> str:
    """What a table is: `estimates`, `counts`, `magnitudes`, `programme`, `firms`, or `unlisted`.

    >>> kind_of("effects"), kind_of("match_map"), kind_of("never_seen")
    ('estimates', 'firms', 'unlisted')
    """
    for kind, names in (
        ("estimates", ESTIMATES), ("counts", COUNTS), ("magnitudes", RECIPES), ("programme", PROGRAMME), ("firms", FIRMS),
    ):  # fmt: skip
        if name in names:
            return kind
    return NO_RULE[name][0] if name in NO_RULE else "unlisted"


def reason_to_stay(name: str) -> str:
    """Why a table stays at home whatever it holds; empty when there is a rule for it."""
    if name in NO_RULE:
        return NO_RULE[name][1]
    return FIRMS.get(name, NOT_LISTED if kind_of(name) == "unlisted" else "")
