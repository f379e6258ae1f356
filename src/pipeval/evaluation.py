"""The whole road, from a study to an evaluation: read this first.

`evaluate` is one line a stage, in the order of a methods section; `stages` holds what each does.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import pandas as pd

from . import stages
from .errors import Note
from .stages import Stage
from .study.specs import Study

BASELINE = "baseline"
"""The stage that ends with what the sample can detect: no outcome after the base year is read."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Everything that was found: tables by name (codes and numbers, no language in them), notes, inputs.

    `report.save.save` writes it as a bundle; a report is made from that alone.
    """

    study: Study
    tables: dict[str, pd.DataFrame]
    notes: tuple[Note, ...]
    inputs: dict[str, str]

    @classmethod
    def of(cls, study: Study, data: Stage, *later: Stage) -> Evaluation:
        """The evaluation that these stages make up."""
        every = (data, *later)
        tables = {name: table for stage in every for name, table in stage.tables.items() if len(table)}
        facts = {"programme_facts": _facts(study)}
        return cls(study, facts | tables, _notes(every), dict(data["tables"].inputs))

    def __getitem__(self, name: str) -> pd.DataFrame:
        return self.tables[name]

    def __repr__(self) -> str:
        return f"Evaluation of {self.study.study} as of {self.study.as_of}: {', '.join(self.tables)}"


def evaluate(study: Study, executor: Executor | None = None) -> Evaluation:
    """From a study to its evaluation.

    An `executor` (of `concurrent.futures`) shares out what is done many times over; the numbers do not depend on it.

    Raises
    ------
    DataError, DesignError, EstimationError
        When the files break the contract, the design cannot be carried out, or the numbers fail.
    """
    data = stages.proved_data(study)
    start = stages.baseline(data, study)
    group = stages.control_group(data, start, study)
    power = stages.detectable(data, start, group, study, executor)
    done = stages.programme(data, start, study)
    if study.stage == BASELINE:
        return Evaluation.of(study, data, start, group, power, done)
    found = stages.effects(data, start, group, power, study)
    firm = stages.robustness(data, start, group, found, study, executor)
    judged = stages.verdicts(data, start, group, power, found, firm, study)
    worth = stages.value(data, start, power, found, firm, judged, done, study)
    return Evaluation.of(study, data, start, group, power, done, found, firm, judged, worth)


def _notes(every: tuple[Stage, ...]) -> tuple[Note, ...]:
    """Every note once, in the order in which it arose."""
    return tuple({str(note): note for stage in every for note in stage.notes}.values())


def _facts(study: Study) -> pd.DataFrame:
    programme = study.programme
    facts = {
        "programme_id": programme.id,
        "executing_agency": programme.executing_agency,
        "financier": programme.financier,
        "currency": programme.currency,
        "base_year": study.baseline.year,
        "reference_year": study.treatment.reference_year,
        "as_of": study.as_of.isoformat(),
    }
    return pd.DataFrame([(k, v) for k, v in facts.items() if v != ""], columns=["key", "value"])
