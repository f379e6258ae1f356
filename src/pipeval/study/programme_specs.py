"""The programme's side of a study: who was to be reached, with whose money, how opinions are read, what a return is.

Each class is one section of a params file, like those of `study.specs`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .match_spec import Spec


class Coverage(Spec):
    """How many firms the programme was to reach."""

    planned: dict[Literal["beneficiary", "indirect"], dict[str, int]] = {}  # arm -> sector (or all) -> firms
    potential: int | None = Field(None, ge=0)  # firms that might benefit indirectly, where a document gives a second figure


class Eligibility(Spec):
    """Who may take part."""

    size_rule: Literal["2002", "2009"] = "2002"  # Mexican classification by workers; by workers and sales together
    largest: Literal["micro", "small", "medium", "large"] = "medium"
    criteria: tuple[str, ...] = ("elig_msme", "elig_willing", "elig_export", "elig_env_osh", "elig_nondiscrim")


class Credibility(Spec):
    """When a baseline figure is asked about again."""

    robust_z: float = Field(3.5, gt=0)  # distance from the cell's median, in robust standard deviations
    fewest: int = Field(8, ge=3)  # firms a cell of sector and size needs
    jump: float = Field(3.0, gt=1)  # times the year before
    freshness_months: int = Field(12, gt=0)  # between the base survey and the start of the programme
    disagreement: float = Field(0.10, gt=0, le=1)  # between two sources of one total
    labour_share: float = Field(0.5, gt=0, le=1)  # of the population, at most


class Funds(Spec):
    """What the agreement says of money beside the budget."""

    revolving_share: float = Field(0.10, ge=0, le=1)  # of the financier's contribution
    printed: dict[str, float] = {}  # component -> its per cent of the budget as the approved document prints it
    lag: float = Field(0.10, ge=0, le=1)  # how far the counterpart may lie behind the financier's disbursements


class Reporting(Spec):
    """When reports are due: days after the period they cover; months for the financier's committee."""

    quarterly_days: int = Field(30, gt=0)
    semiannual_days: int = Field(30, gt=0)
    final_days: int = Field(30, gt=0)
    committee_months: int = Field(3, gt=0)


class Opinions(Spec):
    """How opinions of participants are read."""

    low: float = 3.0  # a mean below it is low, on a scale from 1 to 5
    split_share: float = Field(0.25, gt=0, lt=0.5)  # opinions are split when at least this share scores 1–2 and as many 4–5
    agreement: float = Field(0.3, gt=-1, lt=1)  # … or agreement (van der Eijk 2001) is below it
    fewest: int = Field(10, ge=2)  # answers a group needs
    by: tuple[str, ...] = ("branch", "size_class", "exp_status_baseline")


class Return(Spec):
    """What counts as the programme's return."""

    outcome: str  # whose effect is turned into money: a log outcome of a money measure
    surplus_share: float = Field(0.4, gt=0, le=1)  # of the outcome that is income to firms and workers
    discount: float = Field(0.12, ge=0, lt=1)
    horizon_years: int = Field(5, gt=0, le=30)  # after the reference year
    persistence: tuple[float, float, float] = (0.5, 0.8, 1.0)  # of the effect from one year to the next: low, likely, high
    displacement: tuple[float, float, float] = (0.0, 0.25, 0.5)  # share taken from other firms: low, likely, high
    draws: int = Field(5000, ge=200)
    seed: int = 20031121

    @model_validator(mode="after")
    def _ordered(self):
        for name in ("persistence", "displacement"):
            low, likely, high = getattr(self, name)
            if not 0 <= low <= likely <= high <= 1:
                raise ValueError(f"{name}: three shares from 0 to 1 in order: low, likely, high; found {low}, {likely}, {high}")
        return self


class Assumptions(Spec):
    """What the log frame assumes and figures can follow."""

    foreign_prices: str | None = "us_cpi"  # a series, for the real exchange rate against money.fx and money.deflator
    tolerance: float = Field(0.10, gt=0)  # real appreciation against the base year that is called one
    response: float = Field(0.70, gt=0, le=1)  # share of firms that answer, at least
    exports: str = "exports_usd"  # measure of territory_totals that follows the markets


class Privacy(Spec):
    """What a public-use file protects, and how far."""

    quasi_identifiers: tuple[str, ...] = Field(("branch", "municipality", "size_class", "exp_status_baseline"), min_length=1)
    sensitive: tuple[str, ...] = ()  # columns of the firms or of the survey of which every class must hold l values
    k: int = Field(5, ge=3)  # firms of a group, which share all that leaves, and firms alike in the quasi-identifiers, at least
    l: int = Field(1, ge=1)  # noqa: E741 - the literature's letter
    round_digits: int = Field(3, ge=1, le=4)  # significant digits of amounts
    top_share: float = Field(0.02, gt=0, lt=0.2)  # share of a branch's firms whose amounts are replaced by their mean
    min_cell: int = Field(5, ge=3)  # firms behind a released figure, at least
    dominance: tuple[int, float] = (2, 0.85)  # n firms may not hold this share of a sum
    p_percent: float = Field(0.10, gt=0, lt=1)  # no firm may be estimated this closely by the second largest
    withhold: tuple[str, ...] = ()  # tables of the contract that stay at home whatever else is said
