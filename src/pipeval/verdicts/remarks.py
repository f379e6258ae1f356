"""Every remark that may stand under a verdict: its code and what it says.

A remark is a code, or `code=value` where the value fills the braces. The report translates by code; English stands here. Codes that
begin with `reading_` say how the log frame's wording was read where it left a choice.
"""

from __future__ import annotations

REMARKS: dict[str, str] = {
    # how the wording was read
    "reading_population_direct": "Whose figures is not said: direct beneficiaries in the evaluated branches are meant.",
    "reading_total_of_firms": "Read as the total over firms; mean and median of the firms' own changes stand in the annexes.",
    "reading_mean_of_firms": "Read as the mean of the firms' own changes; total and median stand in the annexes.",
    "reading_real_unstated": "Neither real nor nominal is said: the headline is real, the nominal change stands beside it.",
    "reading_direction_increase": "The log frame says 'change' without a direction: an increase is assumed.",
    "reading_volume_as_value": "Export volume is read as value; direct exports in US dollars stand in the annexes.",
    "reading_low_base": "The base year follows a slump of direct exports: recovery alone raises this figure.",
    "reading_indirect_may_enter": "Firms that exported indirectly at the baseline count when they begin to export directly.",
    "reading_target_equals_all_beneficiaries": "The target is the number of all direct beneficiaries; some already exported.",
    "reading_three_sectors": "Three sectors are counted: leather and footwear, ceramics, garment.",
    "reading_two_sectors": "Each sector means the two with an integration plan: leather and footwear, and ceramics.",
    "reading_smallest_group": "Every sector must reach the target: the smallest count is shown.",
    "reading_range_lower_end": "The log frame gives a range; its lower end is the target.",
    "reading_assistance_and_training": "A firm counts when it received both assistance and training.",
    "reading_firms_not_events": "Firms are counted once, however many services they received.",
    "reading_persons_not_firms": "Persons are counted once, however many events they attended.",
    "reading_participation_not_effect": "Participation is counted; it is not an effect.",
    "reading_one_per_sector": "One milestone is expected in each of the two sectors.",
    "reading_both_limbs": "The indicator has two limbs, productivity and costs; both are needed.",
    "reading_thirty_fixed_beforehand": "The thirty firms must be named before outcomes are read; all beneficiaries are shown.",
    "reading_ongoing_two_years": "Ongoing means two years in a row.",
    "reading_calendar_years": "Each full calendar year up to the due date must reach the target: the smallest count is shown.",
    "reading_at_most": "Financing 50% on average is read as half at most: firms pay at least the other half.",
    "reading_chain_as_exports": "Sales through the export chain are read as exports, direct or through others.",
    "named_firms": "Only the firms named beforehand count: {value}.",
    "read_all": "Read jointly: better on every indicator, each tested at the full level.",
    "read_each": "Read row by row: the weakest row is graded.",
    # the target
    "principal_indicator": "Principal indicator.",
    "target_not_stated": "The log frame states no target.",
    "target_any": "The log frame states no number: one is enough.",
    "target_any_increase": "The text states no number: any increase is enough.",
    "target_from_text": "The target stands in the text of the agreement, not in the log frame.",
    "target_from_eligibility_rule": "The target follows from the rule of eligibility, not from the log frame.",
    "target_illustrative": "The programme set no target: this threshold is illustrative.",
    "eligible": "The target cannot be attained in this population: {value} could count at most.",
    "ahead_of_due": "Reached ahead of its due date.",
    "done_late": "Done after its due date.",
    "no_due_date": "No due date: judged at the evaluation.",
    "judged_in": "Judged on the figures of {value}, when it fell due; the effect is that of the reference year.",
    "early": "EARLY: read during execution.",
    # the data
    "no_data": "There are no data to judge it.",
    "no_table": "The table {value} was not handed over.",
    "no_column": "The column {value} was not handed over.",
    "no_measure": "The measure {value} was not collected.",
    "no_full_year": "No full calendar year has passed yet.",
    "part_unknown": "Cannot be judged without the indicator {value}.",
    "no_milestone_row": "The register of milestones does not mention it.",
    "done_not_verified": "Reported as done without a verified document: {value}; not counted.",
    "no_answer": "Firms without an answer at one of the ends, left out at both: {value}.",
    "closed_as_zero": "Closed firms, counted as zero: {value}.",
    "closed_left_out": "Closed firms, left out: {value}.",
    "closed_not_counted": "Closed firms, not counted as exporters: {value}.",
    "status_unknown": "Firms whose export status at the baseline is unknown: {value}.",
    "zero_base": "Firms with nothing at the base, without a change of their own: {value}.",
    "headline_nominal": "The log frame asks for real values; the study has current prices only.",
    # the evidence
    "smaller_than_target": "The effect is demonstrated but smaller than the target.",
    "cannot_detect_target": "The sample could not have detected an effect of the size that matters.",
    "effect_of_all_treated": "The effect is that on all treated firms, not on this row's firms alone.",
    "no_effect_for_subgroup": "No effect is estimated for this row's firms alone.",
    "no_estimate": "No effect could be estimated.",
    "no_comparison": "Without a comparison group this change is described, not attributed.",
    "secondary": "Secondary: its p-value is not adjusted for the number of outcomes.",
    "early_no_verdict": "EARLY: at the midterm a goal receives no verdict.",
    "check_fail": "Design check failed: {value}.",
    "check_mild": "Design check not quite passed: {value}.",
    "check_not_testable": "Design check that cannot be tested here: {value}.",
    "without_counterfactual": "Firms without a comparable control, for which no net figure can be given: {value}.",
}
"""Remark code → English sentence; `{value}` is what stands after `=`."""


def remark_text(remark: str, sentences: dict[str, str] = REMARKS) -> str:
    """A remark as a sentence.

    >>> remark_text("no_answer=12")
    'Firms without an answer at one of the ends, left out at both: 12.'
    """
    code, _, value = remark.partition("=")
    return sentences[code].format(value=value)
