"""Every notebook runs on the sample through papermill, and says what `evaluate` says."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeval.batch.inputs import NOTEBOOKS, notebook_path
from pipeval.cli import main

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))


NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_hold_prose_and_calls_only(name):
    book = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    code = [c for c in book["cells"] if c["cell_type"] == "code"]
    assert all(not c["outputs"] and c["execution_count"] is None for c in code)
    source = "\n".join("".join(c["source"]) for c in code)
    assert "def " not in source and "lambda" not in source
    assert [c for c in code if "parameters" in c["metadata"].get("tags", [])]


def test_the_quickstart_has_ten_cells_and_its_names_exist():
    cells = json.loads((ROOT / "notebooks" / "quickstart.ipynb").read_text(encoding="utf-8"))["cells"]
    assert len(cells) == 10
    source = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    imports = [ast.unparse(n) for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import | ast.ImportFrom)]
    exec("\n".join(imports), {})


@pytest.mark.parametrize("name", ["baseline", "midterm", "final"])
def test_one_argument_in_one_cell_changes_the_study(name, tmp_path):
    """The cell as it stands reads the study of the params; with a change in it, the study with that change."""
    cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    source = next("".join(c["source"]) for c in cells if "".join(c["source"]).startswith("changes = {}"))
    from pipeval import read_study
    from pipeval.report.text import read_text

    known = {
        "read_study": read_study,
        "read_text": read_text,
        "params_path": ROOT / "params" / f"guanajuato_{name}.yaml",
        "data_dir": "",
    }
    exec(source, known)
    plan = known["study"]
    assert plan == read_study(known["params_path"])
    exec(source.replace("changes = {}", 'changes = {"did": {"method": "dr"}, "treatment": {"branches": ["leather"]}}'), known)
    assert (known["study"].did.method, known["study"].treatment.branches) == ("dr", ("leather",))
    assert known["study"].treatment.definition == plan.treatment.definition
    assert 'f"{study.study}_changed" if changes else study.study' in json.dumps(cells).replace('\\"', '"')


@pytest.mark.slow
def test_the_quickstart_runs_and_writes_its_tables(tmp_path):
    command = [sys.executable, "-m", "papermill", str(ROOT / "notebooks" / "quickstart.ipynb"), str(tmp_path / "run.ipynb")]
    subprocess.run([*command, "-k", "python3", "-p", "out_dir", str(tmp_path)], check=True, cwd=tmp_path)
    assert {"event_study.xlsx", "event_study.dta"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("study", ["guanajuato_final", "guanajuato_midterm"])
def test_the_notebook_and_evaluate_give_the_same_results(study, tmp_path):
    """With as many threads, which decide the last bit of a sum, the two roads give the same bytes."""
    params = str(ROOT / "params" / f"{study}.yaml")
    assert main(["run", params, "--out", str(tmp_path / "run")]) == 0
    code = "import sys; from pipeval import evaluate, read_study, save; save(evaluate(read_study(sys.argv[1])), sys.argv[2])"
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-W", "ignore", "-c", code, params, str(tmp_path / "direct")]
    subprocess.run(command, check=True, env=os.environ | threads, cwd=tmp_path)
    assert (tmp_path / "run" / study / "results.json").read_bytes() == (tmp_path / "direct" / "results.json").read_bytes()


@pytest.mark.slow
def test_a_failed_run_leaves_the_last_report_alone(tmp_path, capsys):
    """A params typo is refused by its name; a blocking fault keeps notebook and log, and the old report stays."""
    from pipeval.data.sample import Knobs, sample_programme, write

    (tmp_path / "params").mkdir()
    for name in ("guanajuato.yaml", "guanajuato_final.yaml", "guanajuato.lock.json"):
        (tmp_path / "params" / name).write_text((ROOT / "params" / name).read_text(encoding="utf-8"), encoding="utf-8")
    write(sample_programme(Knobs()), tmp_path / "data" / "sample")
    params, out = str(tmp_path / "params" / "guanajuato_final.yaml"), tmp_path / "reports"
    assert main(["run", params, "--out", str(out)]) == 0
    good = (out / "guanajuato_final" / "results.json").read_bytes()
    enterprises = tmp_path / "data" / "sample" / "enterprises.csv"
    lines = enterprises.read_text(encoding="utf-8").splitlines()
    enterprises.write_text("\n".join([*lines, lines[1]]) + "\n", encoding="utf-8")
    assert main(["run", params, "--out", str(out)]) == 10
    assert "duplicate_key" in capsys.readouterr().err
    assert (out / "guanajuato_final" / "results.json").read_bytes() == good
    assert {p.name for p in (out / "guanajuato_final.failed").iterdir()} == {"notebook.ipynb", "run.log", "run.json"}
    assert not list((out / ".pipeval" / "work").iterdir())


def test_the_shipped_notebook_is_found():
    for stage in NOTEBOOKS:
        assert notebook_path(stage).is_file()


def test_help_answers_without_loading_the_analysis():
    code = "import sys; from pipeval.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\nprint(sorted({'pandas', 'numpy', 'matplotlib', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_every_notebook_is_shipped():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert set(shipped) == {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert all(target == f"pipeval/{source}" for source, target in shipped.items())


@pytest.mark.slow
def test_the_effects_workbench_runs_on_a_frame_of_ones_own(tmp_path):
    """From top to bottom on the sample programme, whose truth the interval holds; then on the same rows as a CSV file."""
    import nbformat
    import numpy as np

    from pipeval.data.sample import Knobs, sample_programme

    tables = sample_programme(Knobs(planted_errors=False))
    frame = tables["survey"].merge(tables["enterprises"], on="firm_id").query("arm != 'indirect' and ref_year <= 2006")
    sales, jobs = (frame[c].where(frame[c] > 0) for c in ("sales_kmxn", "fte"))
    exports = frame["export_direct_kmxn"] + frame["export_indirect_kmxn"]
    frame = frame.assign(ln_sales=np.log(sales), ln_jobs=np.log(jobs), exports=exports)
    frame.to_csv(tmp_path / "own.csv", index=False)
    seen = []
    for path in ("", str(tmp_path / "own.csv")):
        command = [sys.executable, "-m", "papermill", str(ROOT / "notebooks" / "effects.ipynb"), str(tmp_path / "run.ipynb")]
        subprocess.run([*command, "-k", "python3", "-p", "data_path", path], check=True, cwd=tmp_path)
        cells = [c for c in nbformat.read(tmp_path / "run.ipynb", 4)["cells"] if c["cell_type"] == "code"]
        results = [o["data"] for c in cells for o in c["outputs"] if "data" in o]
        assert sum("image/png" in data for data in results) == 3
        seen.append([data["text/plain"] for data in results if "image/png" not in data][1:])
    assert seen[0] == seen[1]


@pytest.mark.slow
def test_the_control_group_workbench_runs_and_writes_the_choice(tmp_path):
    """From top to bottom; the choice stands in the params file, whose comments stay; the workbooks lie where they were asked for."""
    from pipeval import read_study

    (tmp_path / "params").mkdir()
    for name in ("guanajuato.yaml", "guanajuato_final.yaml", "guanajuato.lock.json"):
        (tmp_path / "params" / name).write_text((ROOT / "params" / name).read_text(encoding="utf-8"), encoding="utf-8")
    params, out = tmp_path / "params" / "guanajuato_final.yaml", tmp_path / "out"
    before = params.read_text(encoding="utf-8")
    values = {"params_path": params, "out_dir": out, "data_dir": ROOT / "data" / "sample"}
    options = [word for name, value in values.items() for word in ("-p", name, str(value))]
    command = [sys.executable, "-m", "papermill", str(ROOT / "notebooks" / "control_group.ipynb"), str(tmp_path / "run.ipynb")]
    subprocess.run([*command, "-k", "python3", *options, "-p", "write_choice", "True"], check=True, cwd=tmp_path)
    assert {path.name for path in out.iterdir()} == {"balance.xlsx", "match_map.xlsx"}
    after = params.read_text(encoding="utf-8")
    assert after.startswith(before.splitlines()[0])
    assert read_study(params).match == read_study(ROOT / "params" / "guanajuato_final.yaml").match
