"""The decisions of a study, as frozen values that prove themselves on construction.

Each class is one section of a params file. Unknown keys are refused; what a key means stands beside it.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from ..errors import DesignError
from .files import nearest
from .match_spec import MatchSpec, Spec
from .programme_specs import Assumptions, Coverage, Credibility, Eligibility, Funds, Opinions, Privacy, Reporting, Return


class Programme(Spec):
    """The programme evaluated, as it is named on the cover."""

    id: str
    name: dict[str, str]  # by language code
    place: dict[str, str] = {}
    executing_agency: str = ""
    financier: str = ""
    currency: str = Field("MXN", pattern=r"^[A-Z]{3}$")


class Source(Spec):
    """Where the tables lie and how the user's own names and codes map to the data contract."""

    folder: str  # relative to the study root
    files: dict[str, str] = {}  # table -> file (or "book.xlsx::sheet"); default <table>.csv
    columns: dict[str, dict[str, str]] = {}  # table -> {contract column: the file's column}
    codes: dict[str, dict[str, dict[str, str]]] = {}  # table -> column -> {the file's code: contract code}
    separator: Literal[",", ";", "\t"] = ","
    decimal: Literal[".", ","] = "."
    encoding: str = "utf-8"
    extra: dict[
        Literal["enterprises", "survey"], dict[str, dict[str, str]]
    ] = {}  # table -> numeric column of yours -> {language: label}


class Calendar(Spec):
    """The dates from which every due date is derived (see `study.calendar`)."""

    project_start: date
    first_disbursement: date
    execution_months: int = Field(36, gt=0)
    disbursement_months: int = Field(42, gt=0)
    goal_years: int = Field(5, gt=0)
    last_disbursement: date | None = None  # default: first disbursement + disbursement_months
    midterm_share: float = Field(0.5, gt=0, lt=1)  # share disbursed that triggers the midterm
    midterm_basis: Literal["mif", "total"] = "mif"


class Baseline(Spec):
    """The base year and the years before it."""

    year: int
    pre_years: tuple[int, ...] = ()


class Treatment(Spec):
    """Who counts as treated, and in which branches outcomes are evaluated."""

    definition: Literal["beneficiary", "component2", "ta_recipient"] = "beneficiary"
    beside: tuple[Literal["beneficiary", "component2", "ta_recipient"], ...] = ()
    branches: tuple[str, ...] = ()  # empty: every branch
    reference_year: int


class Money(Spec):
    """How current money becomes constant money."""

    headline: Literal["real", "nominal"] = "real"
    deflator: str | None = "inpc"  # a series of the series table; none only with headline: nominal
    base_year: int | None = None
    fx: str | None = "fx_mxn_usd"  # national currency per US dollar, annual average

    @model_validator(mode="after")
    def _real_needs_a_deflator(self):
        if self.headline == "real" and (self.deflator is None or self.base_year is None):
            raise ValueError("headline: real needs a deflator and a base_year; say headline: nominal to do without")
        return self


class Outcome(Spec):
    """One outcome: a measure, optionally per another measure, on a scale.

    `scale`: log (of positive values), level, share, yes_no (1 where the measure is positive), poisson (levels with zeros;
    effects as per cent of the counterfactual).
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    measure: str
    per: str | None = None
    scale: Literal["log", "level", "share", "yes_no", "poisson"] = "log"
    direction: Literal["increase", "decrease"] = "increase"
    label: dict[str, str]
    exits: Literal["missing", "zero"] = "missing"  # what a closed firm counts as
    among: dict[str, tuple[str, ...]] = {}  # only firms with these codes: column of the firms -> codes
    relevant_effect: float | None = None  # smallest effect that matters, as a share (log, poisson) or in units
    winsorise: float | None = Field(None, gt=0, lt=0.25)  # share drawn in at either end, within branch, size class and year
    lag: Literal["difference", "ancova"] | None = None  # instead of did.lag, for a ratio that is noisy from year to year
    untouched: bool = False  # an outcome that the programme cannot move: a placebo

    @property
    def in_money(self) -> bool:
        """Whether an effect on it is a share of a sum of money."""
        return self.scale in ("log", "poisson") and self.per is None and self.measure in IN_MONEY

    @field_validator("scale", mode="before")
    @classmethod
    def _no_log_of_one_plus(cls, scale):
        if str(scale).lower().replace("_", "") in ("log1p", "ln1p", "asinh", "arcsinh", "ihs", "logplusone"):
            raise ValueError(
                f"scale: {scale} is refused: with zeros its effect depends on the currency unit and can take any size. Use "
                "poisson (per cent of the counterfactual total), yes_no (any at all?) or log (those above zero in both years)"
            )
        return scale

    @model_validator(mode="after")
    def _coherent(self):
        if self.scale in ("yes_no", "poisson") and self.per:
            raise ValueError(f"outcome {self.id}: scale {self.scale} takes no 'per'")
        if self.exits == "zero" and (self.scale == "log" or self.per):
            raise ValueError(
                f"outcome {self.id}: neither a logarithm nor a ratio can hold a closed firm as zero; use poisson or level"
            )
        return self


IN_MONEY = (
    "sales", "domestic_sales", "exports", "exports_direct", "exports_indirect", "value_added", "inputs", "payroll",
    "joint_sales",
)  # fmt: skip
"""Measures in thousand of the currency, whose total is money (a price is money too, but its total means nothing)."""


class DidSpec(Spec):
    """How effects are estimated and how uncertain they are said to be."""

    method: Literal["dr", "dr_improved", "ipw", "reg", "imputation"] = "dr"
    covariates: tuple[str, ...] = ()  # columns of the firms, or of the outcomes: their value in the base period of a cell
    # firms seen at both ends of a cell, in every period, or at either end
    sampling: Literal["both_ends", "balanced", "cross_sections"] = "both_ends"
    lag: Literal["difference", "ancova"] = "difference"  # the level before entry: subtracted, or a covariate
    comparison: Literal["not_yet_treated", "never_treated"] = "not_yet_treated"
    base: Literal["universal", "varying"] = "universal"
    anticipation: int = Field(0, ge=0)
    cluster: str | tuple[str, str] = "firm_id"  # firm_id, set_id (matched sets) or a column of the firms; two: two-way
    weights: str | None = None  # a column of the firms: sampling weights, taken as known
    level: float = Field(0.95, gt=0.5, lt=1)
    draws: int = Field(999, ge=99)  # multiplier bootstrap
    seed: int = 20031121

    @model_validator(mode="after")
    def _coherent(self):
        faults = {
            "method: imputation fits one untreated model to all untreated firm-periods: it takes neither comparison, base, "
            "sampling nor lag": self.method == "imputation"
            and (
                (self.comparison, self.base, self.lag) != ("not_yet_treated", "universal", "difference")
                or self.sampling == "cross_sections"
            ),
            "lag: ancova regresses levels on the mean before entry: it goes with sampling: both_ends and base: universal": self.lag
            == "ancova"
            and (self.sampling == "cross_sections" or self.base != "universal"),
            "cluster: two-way clusters are two columns of the firms": isinstance(self.cluster, tuple)
            and bool({"firm_id", "set_id"} & set(self.cluster)),
            "sampling: cross_sections goes with method: dr, ipw or reg": self.sampling == "cross_sections"
            and self.method not in ("dr", "ipw", "reg"),
        }
        for text, found in faults.items():
            if found:
                raise ValueError(text)
        return self

    def changed(self, choices: dict) -> DidSpec:
        """The same choices but these, proved again; a combination that means nothing is a `DesignError`.

        >>> DidSpec(method="reg").changed({"lag": "ancova"}).lag
        'ancova'
        """
        try:
            return type(self)(**(self.model_dump() | choices))
        except ValidationError as error:
            raise DesignError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None


class Power(Spec):
    """What "can detect" means: a two-sided test at `alpha` that finds the effect with probability `power`.

    `attrition` and `icc` hold for formula and simulation alike; where they are not declared, they are learnt before the programme.
    """

    alpha: float = Field(0.05, gt=0, lt=0.5)
    power: float = Field(0.80, gt=0.5, lt=1)
    attrition: float | None = Field(None, ge=0, lt=1)  # firms lost a year; none: as between the surveys before the programme
    icc: float | None = Field(None, ge=0, lt=1)  # share of a shock that a cluster shares; none: as before the programme


class Sensitivity(Spec):
    """How far the robustness chapter goes."""

    relative_magnitudes: tuple[float, ...] = (0.5, 1.0, 2.0)  # violations after entry, as multiples of the largest before
    smoothness: tuple[float, ...] = (0.0, 0.1, 0.25)  # change of a trend's slope a year, as a share of the relevant effect
    subgroups: tuple[str, ...] = ()  # columns of the firms by which effects are told apart
    permutations: int = Field(999, ge=99)
    simulations: int = Field(200, ge=20)  # draws of power by simulation
    seed: int = 20031121


class Verdicts(Spec):
    """Rules of the two axes."""

    partly_from: float = Field(0.75, gt=0, le=1)
    primary: tuple[str, ...] = ()  # indicators judged with Holm's adjustment
    joint: Literal["each", "all"] = "all"  # how "better than the control group" on several indicators is read


class Cofinance(Spec):
    """The share of a service's cost that the programme pays, falling in a straight line, and its cap per firm."""

    start: float = Field(0.70, ge=0, le=1)
    end: float = Field(0.30, ge=0, le=1)
    months: int = Field(36, gt=0)
    cap_usd: float = Field(7500, gt=0)
    tolerance: float = Field(0.10, ge=0, le=1)  # how far above the line one payment may lie before it is questioned

    def rate(self, month):
        """The share that the programme pays, `month` months into the project: a straight line, then flat.

        >>> [round(float(Cofinance().rate(m)), 2) for m in (0, 18, 36, 48)]
        [0.7, 0.5, 0.3, 0.3]
        """
        from numpy import clip

        return self.start + (self.end - self.start) * clip(month / self.months, 0, 1)


class Look(Spec):
    """What an institution brings to the papers: files of the study's folder, and a colour."""

    word: str | None = None  # a Word document whose styles, header, footer and page are taken
    style: str | None = None  # a style sheet, laid over that of the HTML report
    logo: str | None = None  # PNG or JPEG, on every cover
    accent: str = Field("#0b3c5d", pattern="^#[0-9a-fA-F]{6}$")  # headings and rules; dark enough to be read on white

    @model_validator(mode="after")
    def _kinds(self):
        for key, endings in LOOK_FILES.items():
            name = getattr(self, key)
            if name is not None and not name.lower().endswith(endings):
                raise ValueError(f"look.{key} must end in {' or '.join(endings)}; found {name}")
        red, green, blue = (int(self.accent[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
        contrast = 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
        if contrast < 4.5:
            found = f"{self.accent} does by {contrast:.1f}"
            raise ValueError(f"look.accent must stand out from white by 4.5 to 1 (WCAG 2.1, 1.4.3); {found}")
        return self


LOOK_FILES = {"word": (".docx",), "style": (".css",), "logo": (".png", ".jpg", ".jpeg")}


class Report(Spec):
    """Languages and locales of the report: two choices, not one."""

    languages: tuple[str, ...] = Field(("es", "en"), min_length=1)
    locales: dict[str, str] = {"es": "es_MX", "en": "en_US"}
    author: str = ""
    look: Look = Look()


class Study(Spec):
    """Everything that was decided before outcomes were read: the pre-analysis plan."""

    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    stage: Literal["baseline", "midterm", "final", "expost"]
    as_of: date
    programme: Programme
    data: Source
    calendar: Calendar | None = None
    baseline: Baseline
    treatment: Treatment
    money: Money
    jobs_basis: Literal["headcount", "fte"] = "headcount"
    outcomes: tuple[Outcome, ...] = Field(min_length=1)
    headline: Literal["common_support", "matched"] = "common_support"
    match: MatchSpec
    did: DidSpec = DidSpec()
    power: Power = Power()
    sensitivity: Sensitivity = Sensitivity()
    logframe: str  # the name of a shipped log frame, or a file of the study
    verdicts: Verdicts = Verdicts()
    cofinance: Cofinance | None = None
    coverage: Coverage = Coverage()
    eligibility: Eligibility = Eligibility()
    credibility: Credibility = Credibility()
    funds: Funds = Funds()
    reporting: Reporting = Reporting()
    opinions: Opinions = Opinions()
    returns: Return | None = None
    assumptions: Assumptions = Assumptions()
    privacy: Privacy = Privacy()
    plan_lock: str | None = None  # file of the study that holds the plan as locked before outcomes were seen
    queries: dict[
        str, Literal["keep", "set_missing", "drop_firm"]
    ] = {}  # rule of the check -> what happens to its cells; default keep
    labels: dict[str, dict[str, dict[str, str]]] = {}  # column -> code -> {language: word}, for codes of your own
    report: Report = Report()
    root: Path = Field(Path(), exclude=True)  # the folder that holds params/; set by the reader

    @model_validator(mode="after")
    def _outcomes_once(self):
        ids = [o.id for o in self.outcomes]
        if len(set(ids)) < len(ids):
            raise ValueError(f"outcomes: each id once; found {sorted(i for i in set(ids) if ids.count(i) > 1)} twice")
        if self.returns is not None and self.returns.outcome not in ids:
            raise ValueError(f"returns.outcome: '{self.returns.outcome}' is no outcome; {nearest(self.returns.outcome, ids)}")
        if self.returns is not None and not self.outcome(self.returns.outcome).in_money:
            outcome = self.outcome(self.returns.outcome)
            what = f"{outcome.scale} of {outcome.measure}{' per ' + outcome.per if outcome.per else ''}"
            good = ", ".join(o.id for o in self.outcomes if o.in_money) or "add one, such as a log of sales or value_added"
            raise ValueError(
                "returns.outcome: only a log or Poisson outcome of a money measure can be turned into money; "
                f"found {outcome.id} ({what}). Outcomes that can: {good}"
            )
        return self

    def _repr_html_(self) -> str:
        from html import escape

        from yaml import safe_dump

        size = f"base year {self.baseline.year}, {len(self.outcomes)} outcomes"
        lead = f"<b>{escape(self.study)}</b>: {self.stage} as of {self.as_of}, {size}"
        plan = escape(safe_dump(self.model_dump(mode="json"), allow_unicode=True, sort_keys=False))
        return f"<details><summary>{lead}</summary><pre>{plan}</pre></details>"

    def outcome(self, key: str) -> Outcome:
        """The outcome with this id."""
        return next(o for o in self.outcomes if o.id == key)
