"""A small study on disk, made of hand-written tables, that a test can spoil."""

from __future__ import annotations

import copy
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeval import stages
from pipeval.cli import main
from pipeval.errors import collected
from pipeval.study.params import read_study
from pipeval.study.specs import Study

ROOT = Path(__file__).resolve().parents[1]
collect_ignore = ["browser"]  # scripts that need a browser; run by hand, see docs/reports.md

PLAN = {
    "study": "small",
    "stage": "final",
    "as_of": "2006-03-31",
    "programme": {"id": "SMALL", "name": {"en": "A small programme", "es": "Un programa pequeño"}, "currency": "MXN"},
    "data": {"folder": "data"},
    "baseline": {"year": 2003},
    "treatment": {"definition": "beneficiary", "reference_year": 2005},
    "money": {"headline": "nominal", "deflator": None, "fx": None},
    "outcomes": [{"id": "ln_sales", "measure": "sales", "label": {"en": "Sales", "es": "Ventas"}}],
    "match": {"covariates": ["ln_workers"], "caliper": None},
    "logframe": "jobtraining",
    "report": {"languages": ["en"], "locales": {"en": "en_US"}},
}


def enterprises() -> pd.DataFrame:
    """Twelve firms: four beneficiaries from 2004, eight that never took part."""
    ids = [f"F{i:02d}" for i in range(1, 13)]
    took = [True] * 4 + [False] * 8
    return pd.DataFrame(
        {
            "firm_id": ids,
            "arm": ["beneficiary" if t else "nonparticipant" for t in took],
            "branch": "footwear",
            "entry_year": [2004 if t else None for t in took],
            "workers_baseline": [12, 25, 18, 30, 11, 14, 17, 20, 24, 28, 33, 40],
        }
    ).astype({"entry_year": "Int64"})


def survey() -> pd.DataFrame:
    """Four years of each firm; sales grow by 5 % a year, by 10 % more after entry."""
    rows = [
        {
            "firm_id": f.firm_id,
            "ref_year": year,
            "response": "complete",
            "workers_paid": f.workers_baseline,
            "sales_kmxn": round(f.workers_baseline * (100 + i) * 1.05 ** (year - 2002) * (1.1 if i < 4 and year > 2003 else 1), 1),
        }
        for i, f in enumerate(enterprises().itertuples())
        for year in (2002, 2003, 2004, 2005)
    ]
    return pd.DataFrame(rows)


class SmallStudy:
    """A params file and its tables in a folder; every method that spoils something hands back the study."""

    def __init__(self, root: Path):
        self.root, self.data, self.params = root, root / "data", root / "params" / "small.yaml"
        self.data.mkdir(parents=True)
        self.params.parent.mkdir()
        self.plan = copy.deepcopy(PLAN)
        self.tables = {"enterprises": enterprises(), "survey": survey()}
        self.save()

    def save(self) -> SmallStudy:
        self.params.write_text(yaml.safe_dump(self.plan, allow_unicode=True), encoding="utf-8")
        for name, table in self.tables.items():
            table.to_csv(self.data / f"{name}.csv", index=False)
        return self

    def planned(self, **sections) -> SmallStudy:
        """Sections of the plan changed: mappings key by key, everything else whole."""
        for key, value in sections.items():
            self.plan[key] = self.plan[key] | value if isinstance(value, dict) and key in self.plan else value
        return self.save()

    def cell(self, table: str, row: int, column: str, value) -> SmallStudy:
        """One cell changed; `row` counts from 0."""
        self.tables[table] = self.tables[table].astype({column: object}) if column in self.tables[table] else self.tables[table]
        self.tables[table].loc[row, column] = value
        return self.save()

    def file(self, name: str, content: str | bytes) -> SmallStudy:
        """One data file with this content."""
        (self.data / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return self

    def read(self):
        return read_study(self.params)

    def check(self) -> int:
        """The exit code of `pipeval check`; its table is `faults()`."""
        return main(["check", str(self.params), "--out", str(self.root / "faults.csv")])

    def faults(self) -> pd.DataFrame:
        return pd.read_csv(self.root / "faults.csv", keep_default_na=False, dtype=str)


@pytest.fixture
def small(tmp_path) -> SmallStudy:
    return SmallStudy(tmp_path)


def quick(study: Study) -> Study:
    """The study with fewer draws, where nothing but simulation error depends on them."""
    fewer = study.sensitivity.model_copy(update={"permutations": 99, "simulations": 20})
    return study.model_copy(update={"sensitivity": fewer})


@pytest.fixture(scope="session")
def road() -> dict:
    """The final evaluation of the sample programme, stage by stage, walked once for all tests that look at it."""
    study = quick(read_study(ROOT / "params" / "guanajuato_final.yaml"))
    with collected():
        data = stages.proved_data(study)
        start = stages.baseline(data, study)
        group = stages.control_group(data, start, study)
        power = stages.detectable(data, start, group, study)
        found = stages.effects(data, start, group, power, study)
        firm = stages.robustness(data, start, group, found, study)
        judged = stages.verdicts(data, start, group, power, found, firm, study)
        done = stages.programme(data, start, study)
        worth = stages.value(data, start, power, found, firm, judged, done, study)
    names = ("study", "data", "start", "group", "power", "found", "firm", "judged", "done", "worth")
    return dict(zip(names, (study, data, start, group, power, found, firm, judged, done, worth), strict=True))
