"""A small valid study as bytes, by file name: what the hardening scripts spoil."""

from __future__ import annotations

import contextlib
import io
import tempfile
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

PLAN = {
    "extends": "shared.yaml",
    "study": "small",
    "stage": "final",
    "as_of": "2006-03-31",
    "treatment": {"definition": "beneficiary", "reference_year": 2005},
    "report": {"languages": ["en"], "locales": {"en": "en_US"}, "author": "Evaluator"},
}
SHARED = {
    "programme": {"id": "SMALL", "name": {"en": "A small programme", "es": "Un programa pequeño"}, "currency": "MXN"},
    "data": {"folder": "data", "codes": {"survey": {"exp_status": {"directa": "direct"}}}},
    "calendar": {"project_start": "2003-07-01", "first_disbursement": "2003-07-01", "execution_months": 36},
    "baseline": {"year": 2003, "pre_years": [2002]},
    "money": {"headline": "real", "deflator": "inpc", "base_year": 2003, "fx": "fx_mxn_usd"},
    "outcomes": [
        {"id": "ln_sales", "measure": "sales", "label": {"en": "Sales", "es": "Ventas"}, "relevant_effect": 0.1},
        {"id": "jobs", "measure": "jobs", "scale": "level", "label": {"en": "Jobs", "es": "Empleo"}},
    ],
    "match": {"covariates": ["ln_workers"], "caliper": None},
    "did": {"method": "dr", "draws": 99, "seed": 1},
    "sensitivity": {"permutations": 99, "simulations": 20},
    "logframe": "params/logframe.yaml",
    "cofinance": {"start": 0.7, "end": 0.3, "months": 36, "cap_usd": 7500},
    "queries": {"jump": "keep"},
}
LOGFRAME = {
    "id": "small",
    "title": {"en": "Log frame", "es": "Marco lógico"},
    "goal": {"en": "Firms sell more"},
    "purpose": {"en": "Firms are supported"},
    "components": {"1": {"en": "Services"}},
    "sources": {"S": {"en": "Survey"}},
    "indicators": [
        {"id": "G1", "level": "goal", "text": {"en": "Sales grow by 10 %"}, "kind": "growth", "measure": "sales", "target": 0.1,
         "due": {"months": 36, "from": "project_start"}, "effect": "ln_sales", "sources": ["S"]},
        {"id": "C1", "level": "component", "component": "1", "text": {"en": "Four services"}, "kind": "count", "table": "services",
         "distinct": "firm_id", "target": 4, "due": {"date": "2006-06-30"}},
    ],
}  # fmt: skip


def tables() -> dict[str, pd.DataFrame]:
    """Fourteen firms, five of them supported from 2004, with four years of answers each; services, series and a correction."""
    ids = [f"F{i:02d}" for i in range(1, 15)]
    took = [i < 5 for i in range(14)]
    workers = [12, 25, 18, 30, 21, 11, 14, 17, 20, 24, 28, 33, 40, 16]
    firms = pd.DataFrame(
        {
            "firm_id": ids,
            "arm": ["beneficiary" if t else "nonparticipant" for t in took],
            "branch": "footwear",
            "municipality": ["León", "Guanajuato", "Salamanca", "Irapuato", "Celaya", "León", "Silao"] * 2,
            "entry_year": ["2004" if t else "" for t in took],
            "workers_baseline": workers,
            "registered_on": ["2004-02-15" if t else "" for t in took],
            "chamber_member": [i % 2 for i in range(14)],
        }
    )
    rows = [
        {
            "firm_id": firm,
            "ref_year": year,
            "interview_on": f"{year + 1}-02-{10 + i:02d}",
            "response": "complete",
            "workers_paid": workers[i] + (year - 2002) * (1 + i % 2 + took[i]),
            "sales_kmxn": round(workers[i] * (100 + 3 * i) * 1.05 ** (year - 2002) * (1.1 if took[i] and year > 2003 else 1), 1),
            "exp_status": ["none", "directa", "indirect"][i % 3],
        }
        for i, firm in enumerate(ids)
        for year in (2002, 2003, 2004, 2005)
    ]
    series = [(name, year, value) for name, first, step in (("inpc", 95.65, 4.4), ("fx_mxn_usd", 9.66, 0.6))
              for year, value in zip(range(2002, 2006), [round(first + step * k, 2) for k in range(4)], strict=True)]  # fmt: skip
    services = [(f"S{i}", ids[i], "workshop", f"2004-0{i + 3}-01", 1000.0 + i, 600.0, 400.0 + i) for i in range(5)]
    correction = [("survey", "F03|2003", "workers_paid", "20", "19", "letter", "2004-05-01")]
    return {
        "enterprises": firms,
        "survey": pd.DataFrame(rows),
        "series": pd.DataFrame(series, columns=["series", "year", "value"]).assign(base="2003", source="bank"),
        "services": pd.DataFrame(
            services,
            columns=["service_id", "firm_id", "activity_type", "start_on", "total_cost_usd", "programme_paid_usd", "firm_paid_usd"],
        ),
        "corrections": pd.DataFrame(correction, columns=["table", "key", "column", "old", "new", "source", "date"]),
    }


@cache
def base_files() -> dict[str, bytes]:
    """The study's files: name → bytes, with a lock made of it. The same on every call."""
    files = {
        "params/small.yaml": _yaml(PLAN | {"plan_lock": "params/small.lock.json"}),
        "params/shared.yaml": _yaml(SHARED),
        "params/logframe.yaml": _yaml(LOGFRAME),
    }
    files |= {f"data/{name}.csv": table.to_csv(index=False, lineterminator="\n").encode() for name, table in tables().items()}
    return files | {"params/small.lock.json": _locked(files | {"params/small.yaml": _yaml(PLAN)})}


def written(files: dict[str, bytes], folder: Path) -> Path:
    """The files laid out in a folder; the path of the params file."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "params" / "small.yaml"


def _yaml(content: dict) -> bytes:
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False).encode()


def _locked(files: dict[str, bytes]) -> bytes:
    from pipeval.cli import main

    with tempfile.TemporaryDirectory() as scratch:
        params, lock = written(files, Path(scratch)), Path(scratch) / "lock.json"
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
            code = main(["plan", str(params), "--lock", str(lock), "--out", scratch, "--on", "2004-06-30"])
        if code:
            raise RuntimeError(f"the small study cannot be locked: {said.getvalue()}")
        return lock.read_bytes()
