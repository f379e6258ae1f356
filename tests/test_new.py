"""A working folder: every key explained, read at once, safe to make, and ready to run when the tables are filled in."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date
from importlib import resources
from pathlib import Path
from typing import get_args

import openpyxl
import pytest
import yaml
from pydantic import BaseModel

from pipeval import machine, stages
from pipeval.batch.inputs import notebook_path
from pipeval.cli import main
from pipeval.data.contract import TABLES
from pipeval.data.forms import WORKBOOK
from pipeval.errors import PipevalError, UsageError, collected
from pipeval.new import STAGES
from pipeval.new.decisions import Choices, first_year, stage_dates
from pipeval.new.folder import make_folder, waiting
from pipeval.new.params import common_params, stage_params
from pipeval.new.words import folder_languages, words
from pipeval.study.logframe import Indicator, read_logframe, shipped_logframes
from pipeval.study.params import read_study
from pipeval.study.specs import Study

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
CHOICES = Choices("agave", "MXN", "es", STAGES, date(2003, 7, 1), ("ln_sales",))
WORDS = machine._said("en")
KEY = re.compile(r"( *)(?:#|- )?([a-z_]+):( .*)?")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new") / "agave"
    make_folder(CHOICES, folder)
    return folder


@pytest.fixture
def light(monkeypatch):
    """Folders without the workbook, which takes a second to write."""
    monkeypatch.setattr("pipeval.new.folder.find_spec", lambda name: None)


def keys(model: type[BaseModel] = Study, above: str = "") -> dict[str, type[BaseModel] | None]:
    """Every key of a study by its dotted name; with the section that it holds, or none."""
    found = {}
    for name, field in model.model_fields.items():
        inner = next(
            (c for c in (field.annotation, *get_args(field.annotation)) if isinstance(c, type) and issubclass(c, BaseModel)), None
        )
        found[above + name] = inner
        found |= keys(inner, f"{above}{name}.") if inner else {}
    return {name: inner for name, inner in found.items() if name != "root"}


def written(text: str) -> dict[str, str]:
    """The keys of a params file by dotted name, set or commented out, each with its line."""
    found, above = {}, []
    for line in text.splitlines():
        key = KEY.fullmatch(line)
        if key is None:
            continue
        depth = len(key[1]) + (2 if line.lstrip().startswith("- ") else 0)
        above = [(d, name) for d, name in above if d < depth]
        found[".".join([*(name for _, name in above), key[2]])] = line
        above.append((depth, key[2]))
    return found


# ── params ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("language", folder_languages())
def test_every_key_is_there_with_its_words_and_in_the_order_of_the_specs(language):
    text = common_params(CHOICES, words(language), {"survey": "forms.xlsx::survey"})
    assert list(written(text)) == [key for key in keys() if key not in ("study", "stage", "as_of")]
    lines = text.splitlines()
    bare = [
        line
        for line, before in zip(lines[1:], lines, strict=False)
        if KEY.fullmatch(line) and "- {" not in line and "# " not in before
    ]
    assert [line for line in bare if not line.startswith("  - id")] == []
    assert max(len(line) for line in lines if re.match(r" *# ", line)) <= 110
    own = stage_params(CHOICES, "final", words(language))
    assert {"study", "stage", "as_of", "extends", "treatment"} == set(yaml.safe_load(own))


def test_the_words_name_no_key_that_is_gone():
    for language in folder_languages():
        named = {key.removeprefix("params.") for key in words(language) if key.startswith("params.")}
        assert named == set(keys())


def test_values_and_defaults_come_from_the_specs():
    text = common_params(CHOICES, words("en"), {})
    lines = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    assert "Values: optimal | nearest | full | subclass | cem | ipw | ebal | cbps. Default: optimal." in lines
    assert "Size of the test. Values: > 0, < 0.5. Default: 0.05." in lines
    assert "Controls a treated firm. Values: ≥ 1. Default: 1." in lines
    assert "\n  #ratio: 1\n" in text and "\n#jobs_basis: headcount\n" in text


@pytest.mark.parametrize("stage", STAGES)
def test_the_folder_reads(made, stage):
    study = read_study(made / "params" / f"agave_{stage}.yaml")
    assert (study.study, study.stage) == (f"agave_{stage}", stage)
    assert (study.treatment.reference_year, study.as_of) == stage_dates(CHOICES, stage)
    assert study.baseline.year == study.money.base_year == 2003 and study.cofinance is None is study.returns
    assert read_logframe(study.logframe, study.root).id == "agave"


def test_each_optional_line_holds_when_its_mark_is_taken_away(made, tmp_path):
    """The first of every section, then the second …; a section that is left out comes whole."""
    lines = (made / "params" / "agave.yaml").read_text(encoding="utf-8").splitlines()
    shutil.copy(made / "params" / "agave_final.yaml", tmp_path / "agave_final.yaml")
    groups, top = {}, 0
    for i, line in enumerate(lines):
        top = i if re.match("#?[a-z]", line) else top
        if re.match(" *#[a-z]", line):
            groups.setdefault(top, []).append(i)
    assert sum(map(len, groups.values())) > 100
    whole = {i for top, group in groups.items() if lines[top].startswith("#") for i in group}
    parts = [group for top, group in groups.items() if not lines[top].startswith("#") or len(group) == 1]
    turns = [{group[turn] for group in parts if turn < len(group)} for turn in range(max(map(len, parts)))]
    for freed in (whole, *turns):
        text = "\n".join(re.sub("^( *)#", r"\1", line) if i in freed else line for i, line in enumerate(lines))
        (tmp_path / "agave.yaml").write_text(text, encoding="utf-8")
        study = read_study(tmp_path / "agave_final.yaml")
        assert (study.cofinance is not None) == (study.returns is not None) == (freed is whole)


def test_dates_follow_the_first_day():
    early = Choices("x", "MXN", "es", STAGES, date(2026, 1, 15))
    assert [stage_dates(early, stage)[0] for stage in STAGES] == [2028, 2026, 2028, 2030]
    assert stage_dates(early, "midterm")[1] == date(2027, 7, 15)  # not before the disbursement that calls for it
    assert stage_dates(early, "baseline")[1] == date(2026, 4, 30)
    for first, base in ((date(2026, 6, 30), 2025), (date(2026, 7, 1), 2026)):
        assert first_year(replace(early, start=first)) == base


@pytest.mark.parametrize(
    ("currency", "language", "locale", "fx"),
    [
        ("MXN", "es", "es_MX", "fx_mxn_usd"),
        ("COP", "es", "es_CO", "fx_cop_usd"),
        ("USD", "es", "es_MX", None),
        ("COP", "en", "en_US", "fx_cop_usd"),
    ],
)
def test_currency_and_language(tmp_path, light, currency, language, locale, fx):
    make_folder(Choices("x", currency, language, ("final",), date(2003, 7, 1)), tmp_path / "x")
    study = read_study(tmp_path / "x" / "params" / "x_final.yaml")
    assert study.report.languages[0] == language and study.report.locales[language] == locale
    assert study.programme.currency == currency and study.money.fx == fx
    assert f"sales_k{currency.lower()}" in (tmp_path / "x" / "data" / "survey.csv").read_text(encoding="utf-8")


# ── the folder ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_the_folder_holds(made):
    assert {p.name for p in made.iterdir()} == {"params", "data", "notebooks", "logframe.yaml", "README.md"}
    assert {p.name for p in (made / "data").iterdir()} == {WORKBOOK, *(f"{name}.csv" for name in TABLES)}
    assert {p.name for p in (made / "params").iterdir()} == {"agave.yaml", *(f"agave_{stage}.yaml" for stage in STAGES)}
    everything = "".join(p.read_text(encoding="utf-8") for p in made.rglob("*") if p.suffix in (".yaml", ".md"))
    assert not re.search(r"\{(programme|first|plans|stages|primary|last)\}|#!", everything)


def test_notebooks_are_on_the_studies_of_the_folder(made, tmp_path, light):
    shipped = notebook_path("final").parent
    assert {p.name for p in (made / "notebooks").iterdir()} == {p.name for p in shipped.glob("*.ipynb")}
    for path in (made / "notebooks").iterdir():
        own, book = path.read_text(encoding="utf-8"), json.loads(path.read_text(encoding="utf-8"))
        assert len(book["cells"]) == len(json.loads((shipped / path.name).read_text(encoding="utf-8"))["cells"])
        named = re.findall(r'params_path = \\"([^"\\]*)\\"', own)
        assert all((path.parent / name).is_file() for name in named) and "guanajuato_" not in "".join(named)
    assert '"params_path = \\"../params/agave_midterm.yaml\\"\\n"' in (made / "notebooks" / "midterm.ipynb").read_text(
        encoding="utf-8"
    )
    make_folder(Choices("x", "MXN", "es", ("midterm",), date(2003, 7, 1)), tmp_path / "x")
    names = {p.name for p in (tmp_path / "x" / "notebooks").iterdir()}
    assert "midterm.ipynb" in names and not names & {"final.ipynb", "baseline.ipynb"}
    assert "x_midterm.yaml" in (tmp_path / "x" / "notebooks" / "control_group.ipynb").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", folder_languages())
def test_the_readme_names_files_that_are_there(tmp_path, light, language):
    make_folder(Choices("x", "MXN", language, ("baseline", "midterm", "final"), date(2003, 7, 1)), tmp_path / "x")
    text = (tmp_path / "x" / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"params/\w+\.yaml|data/forms\.xlsx|logframe\.yaml", text))
    assert len(named) >= 5 and all((tmp_path / "x" / name).is_file() for name in named - {"data/forms.xlsx"})
    assert "pipeval plan params/x_midterm.yaml params/x_final.yaml --out plan" in text


def test_the_example_log_frame_has_an_indicator_of_every_kind(made):
    frame = read_logframe("logframe.yaml", made)
    assert {i.kind for i in frame.indicators} == set(get_args(Indicator.model_fields["kind"].annotation))
    assert {i.level for i in frame.indicators} == {"goal", "purpose", "component"} and set(frame.languages) >= {"es", "en"}
    assert {i.effect for i in frame.indicators} - {None} <= {
        o.id for o in read_study(made / "params" / "agave_final.yaml").outcomes
    }


@pytest.mark.parametrize("name", shipped_logframes())
def test_a_shipped_log_frame_brings_the_outcomes_it_cites(tmp_path, light, name):
    make_folder(Choices("x", "MXN", "en", ("final",), date(2003, 7, 1)), tmp_path / "x", name)
    frame, study = read_logframe("logframe.yaml", tmp_path / "x"), read_study(tmp_path / "x" / "params" / "x_final.yaml")
    assert frame == read_logframe(name)
    cited = {i.effect for i in frame.indicators} - {None}
    assert name == "jobtraining" or cited <= {o.id for o in study.outcomes}  # scrap rates are a column of that survey's own
    shown = next(
        line for line in (tmp_path / "x" / "params" / "x.yaml").read_text(encoding="utf-8").splitlines() if "primary:" in line
    )
    assert frame.indicator(re.search(r"\[(.*)\]", shown)[1]).effect


def test_nothing_is_ever_replaced(tmp_path, light):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(PipevalError, match=r"1 file \(notes\.txt\).*nothing is replaced"):
        make_folder(CHOICES, tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    with pytest.raises(PipevalError, match="cannot write to"):
        make_folder(CHOICES, tmp_path / "mine" / "notes.txt" / "below")
    (tmp_path / "empty").mkdir()
    assert len(make_folder(CHOICES, tmp_path / "empty")) > 35


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("peñón 2", "how about 'penon_2'"),
        ("CON", "Windows keeps"),
        ("lpt1", "Windows keeps"),
        ("../x", "letters without accents"),
        ("a" * 41, "at most 40 characters"),
        ("-x", "letters without accents"),
        ("", "letters without accents"),
        ("x.y", "how about 'x_y'"),
        ("葡萄", "found '葡萄'. Its full name"),
    ],
)
def test_names_that_name_no_folder_everywhere(tmp_path, name, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        make_folder(Choices(name, "MXN", "es", STAGES, date(2003, 7, 1)), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_an_unknown_log_frame_or_language(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'guanajuato'"):
        make_folder(CHOICES, tmp_path / "x", "guanajuatto")
    with pytest.raises(UsageError, match="en, es, pt"):
        words("fr")
    assert not (tmp_path / "x").exists()


def test_without_openpyxl_the_workbook_is_left_out(tmp_path, light, capsys):
    assert main(["new", "x", "--out", str(tmp_path / "x")]) == 0
    assert not (tmp_path / "x" / "data" / WORKBOOK).exists() and "necesita el paquete openpyxl" in capsys.readouterr().out


# ── from the empty folder to a run ───────────────────────────────────────────────────────────────────────────────────


def test_the_empty_folder_says_what_it_waits_for(made, tmp_path, capsys):
    assert main(["check", str(made / "params" / "agave_final.yaml"), "--out", str(tmp_path / "f.csv")]) == 10
    err = capsys.readouterr().err
    assert "fill in first: enterprises and survey" in err and "then series: constant prices need the index 'inpc'" in err
    assert "may stay empty" in err and "Traceback" not in err


def test_rows_in_a_workbook_that_is_not_read_are_pointed_out(made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    book = openpyxl.load_workbook(folder / "data" / WORKBOOK)
    book["enterprises"].append(["F1", "beneficiary"])
    book["survey"].append(["F1", 2003])
    book.save(folder / "data" / WORKBOOK)
    (said,) = waiting(folder / "params" / "agave_final.yaml")
    assert "forms.xlsx holds rows, but the CSV files are read: take away the # of the line `files:`" in said
    params = folder / "params" / "agave.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("\n  #files:", "\n  files:"), encoding="utf-8")
    assert waiting(folder / "params" / "agave_final.yaml") == []


def test_filled_with_the_sample_it_has_no_blocking_fault_and_a_control_group(made, tmp_path):
    """The sample's tables laid over the blank ones: files, plan and log frame hold together up to the matched sample."""
    folder = tmp_path / "filled"
    shutil.copytree(made, folder)
    for path in SAMPLE.glob("*.csv"):
        shutil.copy(path, folder / "data" / path.name)
    params = folder / "params" / "agave_midterm.yaml"
    assert waiting(params) == []
    with collected():
        data = stages.proved_data(read_study(params))
        start = stages.baseline(data, read_study(params))
        group = stages.control_group(data, start, read_study(params))
    assert data["logframe"].id == "agave" and list(group["panel"].outcomes.columns)[:3] == ["ln_sales", "ln_va_job", "ln_jobs"]
    assert 100 <= len(group["sample"].pairs) <= 194


# ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_looking_at_the_machine_imports_nothing_heavy():
    heavy = ("papermill", "nbconvert", "typst", "pypandoc", "openpyxl", "jupyterlab", "pyarrow", "pandas", "babel", "IPython")
    script = (
        f"import sys; from pipeval.machine import machine, told; told(machine()); print([m for m in {heavy} if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_what_is_missing_and_the_one_command(monkeypatch, capsys):
    absent = {"typst"}
    seen = machine.find_spec
    # whatever this machine lacks itself is there for the test
    monkeypatch.setattr(machine, "find_spec", lambda name: None if name in absent else seen(name) or seen("json"))
    assert main(["machine"]) == 1
    out = capsys.readouterr().out
    assert "missing: typst (reports in PDF)" in out and '"pipeval[report]"' in out
    absent |= {"jupyterlab", "pyarrow"}
    assert main(["machine"]) == 1 and 'Install them: python -m pip install "pipeval[lab,parquet]"' in capsys.readouterr().out
    absent -= {"typst", "jupyterlab"}
    assert main(["machine"]) == 0 and 'Install it: python -m pip install "pipeval[parquet]"' in capsys.readouterr().out


FIELD = re.compile(r"\{\w*\}")


@pytest.mark.parametrize("language", folder_languages())
def test_the_closing_words_are_whole_in_every_language(language):
    told = yaml.safe_load((resources.files("pipeval.new") / "starter" / f"{language}.yaml").read_text(encoding="utf-8"))
    english = words("en")
    for section in ("next", "machine"):
        own = {f"{section}.{key}": said for key, said in told[section].items()}
        assert {key: sorted(FIELD.findall(said)) for key, said in own.items()} == {
            key: sorted(FIELD.findall(said)) for key, said in english.items() if key.startswith(f"{section}.")
        }
        alike = {key for key, said in own.items() if said == english[key] and said.strip("{}") not in ("parts",)}
        assert language == "en" or not alike


@pytest.mark.parametrize(
    ("language", "made", "fill", "lacks", "install"),
    [
        (
            "en",
            "files in pan. Next, as its",
            "fill in enterprises and survey in",
            "missing: typst (reports in PDF)",
            "Install it: ",
        ),
        ("es", "archivos en pan. Lo que sigue", "llenar enterprises y survey en", "falta: typst (informes en PDF)", "instalarlo: "),
        (
            "pt",
            "arquivos em pan. O que vem",
            "preencher enterprises e survey em",
            "falta: typst (relatórios em PDF)",
            "instalá-lo: ",
        ),
    ],
)
def test_new_closes_in_the_language_of_the_folder(tmp_path, light, monkeypatch, capsys, language, made, fill, lacks, install):
    seen = machine.find_spec
    monkeypatch.setattr(machine, "find_spec", lambda name: None if name == "typst" else seen(name) or seen("json"))
    monkeypatch.chdir(tmp_path)
    assert main(["new", "pan", "--language", language]) == 0
    out = capsys.readouterr().out
    assert all(
        said in out for said in (made, fill, lacks, install, "pipeval[report]", str(Path("pan") / "params" / "pan_baseline.yaml"))
    )
    english = ("Next,", "fill in", "go through", "This machine", "missing:", "Install", "left out", "free", "can be written")
    assert language == "en" or not [said for said in english if said in out]


def test_each_lack_is_told_in_the_language(tmp_path, monkeypatch):
    """Kernel, folder, disk and path: in Spanish no English word is left."""
    said = machine._said("es")
    monkeypatch.setattr(machine, "_jupyter_homes", lambda: [tmp_path])
    (tmp_path / "kernels" / "python3").mkdir(parents=True)
    (tmp_path / "kernels" / "python3" / "kernel.json").write_text(json.dumps({"argv": ["/elsewhere/python"]}), encoding="utf-8")
    assert machine._kernel(said).detail == f"ejecuta /elsewhere/python, no {sys.executable}"
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1_000_000))
    assert "  falta: disco (1 MB libres); libere espacio: hacen falta 500 MB" in machine.told([machine._room(tmp_path, said)], "es")
    monkeypatch.setattr(machine.sys, "platform", "win32")
    monkeypatch.setattr(machine, "_long_paths", lambda: False)
    assert "como C:\\eval, o" in machine._short_path(Path("/" + "x" * 200), said)[0].remedy


def test_every_part_named_is_one_of_the_extras():
    import tomllib

    extras = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    listed = {extra: {re.split("[>=<]", need)[0] for need in needs} for extra, needs in extras.items()}
    for part in machine.machine():
        if part.extra and part.name in machine._PARTS:
            assert part.name in listed[part.extra], part.name


@pytest.mark.parametrize(
    ("command", "good"), [("python", True), ("python3.exe", True), (sys.executable, True), ("/elsewhere/bin/python", False)]
)
def test_the_kernel_must_be_this_python(tmp_path, monkeypatch, command, good):
    home = tmp_path / "share" / "jupyter" / "kernels" / "python3"
    home.mkdir(parents=True)
    (home / "kernel.json").write_text(json.dumps({"argv": [command, "-m", "ipykernel_launcher"]}), encoding="utf-8")
    monkeypatch.setattr(machine, "_jupyter_homes", lambda: [tmp_path / "nowhere", tmp_path / "share" / "jupyter"])
    part = machine._kernel(WORDS)
    assert part.good is good and (good or ("/elsewhere/bin/python" in part.detail and "ipykernel install" in part.remedy))


def test_a_damaged_kernel_a_folder_and_a_disk(tmp_path, monkeypatch):
    home = tmp_path / "kernels" / "python3"
    home.mkdir(parents=True)
    (home / "kernel.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr(machine, "_jupyter_homes", lambda: [tmp_path])
    assert machine._kernel(WORDS).good  # the kernel of this Python stands in
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1_000_000))
    lines = machine.told(machine.machine(tmp_path / "not" / "there"))
    assert "  missing: disk (1 MB free); make room: 500 MB are wanted" in lines

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refused)
    assert any("cannot be written: Permission denied" in line for line in machine.told(machine.machine(tmp_path)))


def test_long_paths_are_a_matter_of_windows(tmp_path, monkeypatch):
    deep = Path("/" + "x" * 200)
    assert machine._short_path(deep, WORDS) == []
    monkeypatch.setattr(machine.sys, "platform", "win32")
    monkeypatch.setattr(machine, "_long_paths", lambda: False)
    assert [part.good for part in machine._short_path(deep, WORDS)] == [False] and machine._short_path(Path("/x"), WORDS) == []
    monkeypatch.setattr(machine, "_long_paths", lambda: True)
    assert machine._short_path(deep, WORDS) == []
