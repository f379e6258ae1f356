"""A batch of three toy studies: everything is real but the notebook, whose report says which data it read."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pandas as pd
import yaml
from small_study import base_files, written

NAMES = ("alpha", "beta", "gamma")
PAGES = {"index.html", "status.json", "verdicts.xlsx", ".pipeval"}


def studies(folder: Path) -> list[Path]:
    """Three studies on disk that share their data; their params files."""
    files = dict(base_files())
    plan = yaml.safe_load(files.pop("params/small.yaml")) | {"plan_lock": None}
    for name in NAMES:
        files[f"params/{name}.yaml"] = yaml.safe_dump(plan | {"study": name}).encode()
    written(files, folder)
    return [folder / "params" / f"{name}.yaml" for name in NAMES]


def corrected(folder: Path, token: int) -> None:
    """The firms correct a figure: every study has to run again, and its report says `token`."""
    survey = folder / "data" / "survey.csv"
    rows = pd.read_csv(survey, dtype=str, keep_default_na=False)
    rows.loc[0, "sales_kmxn"] = f"1{token:05d}.5"
    survey.write_text(rows.to_csv(index=False), encoding="utf-8")


def toy(record, store, place: Path, timeout: int, tick: Callable[[float], None]) -> tuple[int, str]:
    """Stands for the notebook: a bundle and every promised paper, each of which names the figure that was read."""
    from pipeval.batch.inputs import restored
    from pipeval.batch.run import PAPERS
    from pipeval.report.bundle import Bundle, save

    params, _ = restored(record, store, place / "tree")
    root = Path(params.partition("::")[0]).parent.parent
    token = pd.read_csv(root / "data" / "survey.csv", dtype=str)["sales_kmxn"][0]
    made = place / "made"
    made.mkdir(exist_ok=True)
    table = pd.DataFrame({"id": ["G1"], "attainment": ["reached"], "evidence": ["supported"], "token": [token]})
    save(Bundle.build({"study": record.study, "report": {"languages": ["en"]}}, {"verdicts": table}), made)
    for paper in (*(p.format("en") for p in PAPERS), "notebook.ipynb", "run.log"):
        (made / paper).write_text(f"{token}\n" * 500, encoding="utf-8")
    time.sleep(0.01)
    tick(1.0)
    return 0, ""


def run_toy(params: list[Path], out: Path, force: bool = False) -> tuple[int, str]:
    """The batch with toy notebooks: exit code and what it said. A `PipevalError` is told as the command line tells it."""
    from pipeval.batch import run as batch
    from pipeval.errors import PipevalError

    said = io.StringIO()
    with mock.patch.object(batch, "here", toy), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = batch.run(params, out, force=force)
        except PipevalError as error:
            code = error.exit_code
            print(error)
        except OSError as error:
            code = 1
            print(f"cannot read or write: {error}")
    return code, said.getvalue()


def broken_reports(out: Path, before: bool) -> list[str]:
    """What is wrong with the reports of a folder at any instant: none may be half old, half new, or lost once it was there."""
    wrong = []
    for name in NAMES:
        places = [p for p in (out / name, out / ".pipeval" / "old" / name) if p.is_dir()]
        if not places and before:
            wrong.append(f"{name} is lost")
        for place in places[:1]:
            wrong += [f"{name}: {what}" for what in _half(place)]
    for page in ("status.json",):
        if (out / page).is_file():
            json.loads((out / page).read_bytes())
    return wrong


def token_of(place: Path) -> str:
    """The figure that a published report was made from."""
    return json.loads((place / "results.json").read_bytes())["tables"]["verdicts"]["rows"][0][3]


def _half(place: Path) -> list[str]:
    record = json.loads((place / "run.json").read_bytes())
    token, wrong = token_of(place), []
    for name, size in record["outputs"].items():
        path = place / name
        if not path.is_file() or path.stat().st_size != size:
            wrong.append(f"{name} is not whole")
        elif path.suffix in (".html", ".docx", ".pdf", ".log") and set(path.read_text().split()) != {token}:
            wrong.append(f"{name} is of another run than results.json")
    return wrong


def leftovers(out: Path) -> list[str]:
    """What a finished batch should not have left behind."""
    left = [p.name for p in out.iterdir() if p.name not in (*NAMES, *PAGES)]
    left += [f"{place}/{p.name}" for place in ("work", "old") for p in (out / ".pipeval" / place).glob("*")]
    return left + [p.relative_to(out).as_posix() for p in out.rglob("*.part")]
