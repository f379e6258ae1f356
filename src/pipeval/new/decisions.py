"""What a new study starts from: values that a consultant changes, from a programme's name, currency, language and first day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml

from ..report.text import languages
from ..study.calendar import add_months
from .words import starter

_COUNTRIES = {
    "ARS": "AR", "BOB": "BO", "CLP": "CL", "COP": "CO", "CRC": "CR", "DOP": "DO", "GTQ": "GT", "HNL": "HN",
    "NIO": "NI", "PEN": "PE", "PYG": "PY", "UYU": "UY",
}  # fmt: skip
_HOMES = {"es": "MX", "en": "US", "pt": "BR"}
_TRIGGER = {"midterm": 18, "final": 42, "expost": 66}  # months after the start; an ex-post study follows the year of the goal

_ALWAYS = ("ln_sales", "ln_va_job", "ln_jobs", "export_direct", "survival")


@dataclass(frozen=True, slots=True)
class Choices:
    """What `pipeval new` was asked for."""

    programme: str
    currency: str
    language: str
    stages: tuple[str, ...]
    start: date
    effects: tuple[str, ...] = ()  # outcomes that the log frame names as evidence
    primary: str = "G1"  # an indicator of the log frame with such evidence


def first_year(choices: Choices) -> int:
    """The base year: the last one of which less than half lies in the programme."""
    return choices.start.year if choices.start.month >= 7 else choices.start.year - 1


def stage_dates(choices: Choices, stage: str) -> tuple[int, date]:
    """The year in which a study reads effects, and the day on which it is dated: after the survey of that year.

    >>> made = Choices("x", "MXN", "es", ("baseline", "midterm", "final", "expost"), date(2003, 7, 1))
    >>> [(year, day.isoformat()) for year, day in (stage_dates(made, stage) for stage in made.stages)]
    [(2006, '2004-04-30'), (2004, '2005-03-31'), (2006, '2007-03-31'), (2008, '2009-03-31')]
    """
    if stage == "baseline":
        return stage_dates(choices, "final")[0], date(first_year(choices) + 1, 4, 30)
    trigger = add_months(choices.start, _TRIGGER[stage])
    return trigger.year - 1, max(trigger, date(trigger.year, 3, 31))


def decided(choices: Choices) -> dict[str, Any]:
    """The values that are set from the start, by dotted key; every other key of a study is shown as optional."""
    c, year = choices, first_year(choices)
    shown = [code for code in dict.fromkeys([c.language, "en"]) if code in languages()] or ["es", "en"]
    homes = _HOMES | {"es": _COUNTRIES.get(c.currency, "MX")}
    covariates = ["ln_workers", "ln_age"]
    return {
        "programme.id": c.programme,
        "programme.name": dict.fromkeys([c.language, "es", "en"], c.programme),
        "programme.place": {c.language: "…"},
        "programme.executing_agency": "…",
        "programme.financier": "…",
        "programme.currency": c.currency,
        "data.folder": "data",
        "calendar.project_start": c.start.isoformat(),
        "calendar.first_disbursement": c.start.isoformat(),
        "calendar.execution_months": 36,
        "calendar.disbursement_months": 42,
        "calendar.goal_years": 5,
        "baseline.year": year,
        "baseline.pre_years": [year - 2, year - 1],
        "treatment.definition": "beneficiary",
        "treatment.reference_year": stage_dates(c, "final")[0],
        "money.headline": "real",
        "money.deflator": "inpc" if c.currency == "MXN" else "cpi",
        "money.base_year": year,
        "money.fx": None if c.currency == "USD" else f"fx_{c.currency.lower()}_usd",
        "outcomes": _outcomes(c),
        "match.covariates": covariates,
        "match.method": "optimal",
        "match.exact": ["branch", "size_class"],
        "match.caliper": 0.25,
        "did.method": "reg",
        "did.covariates": [*covariates, "branch"],
        "logframe": "logframe.yaml",
        "report.languages": shown,
        "report.locales": {code: f"{code}_{homes[code]}" if code in homes else code for code in shown},
        "report.look.accent": "#0b3c5d",
    }


def examples(choices: Choices, files: dict[str, str]) -> dict[str, Any]:
    """What optional lines show, by dotted key."""
    last = add_months(choices.start, 42).isoformat()
    filled = {"{programme}": choices.programme, "{last}": last, "{primary}": choices.primary}
    text = starter("params.yaml")
    for mark, said in filled.items():
        text = text.replace(mark, said)
    return {"data.files": files, **yaml.safe_load(text)["examples"]}


def _outcomes(choices: Choices) -> list[dict[str, Any]]:
    rows = yaml.safe_load(starter("params.yaml"))["outcomes"]
    return [row for row in rows if row["id"] in (*_ALWAYS, *choices.effects)]
