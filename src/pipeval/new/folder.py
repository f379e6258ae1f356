"""`pipeval new`: a working folder in which a consultant starts within five minutes, and what it still waits for."""

from __future__ import annotations

import json
import re
import textwrap
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import yaml

from ..batch.inputs import NOTEBOOKS, notebook_path
from ..data.contract import TABLES
from ..data.forms import WORKBOOK, unfilled, write_blank, write_workbook
from ..data.schema import MINIMUM
from ..errors import PipevalError, UsageError, some
from ..study.files import nearest
from ..study.logframe import shipped_logframes
from ..study.params import read_study
from .decisions import Choices
from .params import common_params, stage_params
from .words import form_words, starter, words

BLANK = "blank"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LONGEST = 40  # characters of a name: it stands in the path of every file of a report
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(1, 10))}
_PARAMS = re.compile(r'params_path = "[^"]*"')


def make_folder(choices: Choices, folder: Path, logframe: str = BLANK) -> list[Path]:
    """Write a working folder: params, log frame, blank tables, notebooks and the order in which to go about it.

    Parameters
    ----------
    choices : Choices
        Name, currency, language, stages and first day of the programme.
    folder : Path
        Where to; a folder that holds anything is refused, so that nothing is ever replaced.
    logframe : str
        `blank`, an example of every kind of indicator, or the name of a shipped log frame, to be edited.

    Returns
    -------
    list of Path
        The files written. Without the package openpyxl the workbook is not among them.

    Raises
    ------
    UsageError
        For a name that cannot name folders on every system, an unknown log frame or language.
    PipevalError
        When the folder holds files or cannot be written.
    """
    folder = Path(folder)
    _check_name(choices.programme)
    told = words(choices.language)
    frame = _logframe(choices, logframe, told)
    choices = replace(choices, **_evidence(frame))
    files = {"logframe.yaml": frame, "README.md": _readme(choices)}
    files[f"params/{choices.programme}.yaml"] = common_params(choices, told, {name: f"{WORKBOOK}::{name}" for name in TABLES})
    files |= {f"params/{choices.programme}_{s}.yaml": stage_params(choices, s, told) for s in choices.stages}
    files |= {f"notebooks/{name}": text for name, text in _notebooks(choices).items()}
    try:
        if folder.is_dir() and (there := sorted(p.name for p in folder.iterdir())):
            raise PipevalError(f"{folder} holds {some(there, 'file')}; nothing is replaced: choose an empty folder with --out")
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise PipevalError(f"cannot write to {folder}: {error.strerror or error}; choose another folder with --out") from None
    tables = write_blank(folder / "data", choices.currency)
    if find_spec("openpyxl") is not None:
        tables.append(write_workbook(folder / "data", form_words(choices.language), choices.currency))
    return [*(folder / name for name in files), *tables]


def next_steps(choices: Choices, folder: Path, files: list[Path]) -> list[str]:
    """What to say when a folder is made, in its language: where it lies, and what comes first."""
    told, folder = words(choices.language), Path(folder)
    book = next((path for path in files if path.name == WORKBOOK), None)
    params, first = folder / "params" / f"{choices.programme}.yaml", f"{choices.programme}_{choices.stages[0]}.yaml"
    tables = told["next.and"].format(one=MINIMUM[0], other=MINIMUM[1])
    return [
        told["next.made"].format(n=len(files), folder=folder),
        f"  1. {told['next.fill'].format(tables=tables, place=book or folder / 'data')}",
        f"  2. {told['next.review'].format(params=params, logframe=folder / 'logframe.yaml')}",
        f"  3. pipeval check {folder / 'params' / first}",
        *([] if book else [told["next.no_book"]]),
    ]


def waiting(params: str | Path, data: Path | None = None) -> list[str]:
    """What a study still waits for, as sentences: the tables to fill in first, and the others that are empty.

    None once `enterprises` and `survey` hold rows.
    """
    study = read_study(params, data)
    folder = Path(study.data.folder)
    if not folder.is_dir():
        return []
    first = unfilled(folder, study.data, MINIMUM)
    if not first:
        return []
    book = folder / WORKBOOK
    if not study.data.files and book.is_file():
        sheets = study.data.model_copy(update={"files": {name: f"{WORKBOOK}::{name}" for name in MINIMUM}})
        if len(unfilled(folder, sheets, MINIMUM)) < len(MINIMUM):
            return [f"{book} holds rows, but the CSV files are read: take away the # of the line `files:` under `data:` in params"]
    empty = unfilled(folder, study.data)
    prices = study.money.headline == "real" and "series" in empty
    said = [f"fill in first: {' and '.join(first)} ({folder / WORKBOOK} or {folder / (first[0] + '.csv')} …)"]
    said += (
        [f"then series: constant prices need the index '{study.money.deflator}'; or say money.headline: nominal"] if prices else []
    )
    others = [name for name in empty if name not in (*MINIMUM, *(("series",) if prices else ()))]
    said += [f"may stay empty, and the report says so: {', '.join(others)}"] if others else []
    return said


def _check_name(name: str) -> None:
    if name.lower() in _RESERVED:
        raise UsageError(f"{name!r} is a name that Windows keeps for a device; choose another for the programme")
    if len(name) > _LONGEST:
        raise UsageError(
            f"a programme's short name has at most {_LONGEST} characters; found {len(name)}. Its full name goes into params"
        )
    if _NAME.fullmatch(name):
        return
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")
    hint = f"; how about {plain!r}" if _NAME.fullmatch(plain) and plain.lower() not in _RESERVED else ""
    raise UsageError(
        "a programme's short name names files and folders: letters without accents, digits, - and _; "
        f"found {name!r}{hint}. Its full name, with accents, goes into params"
    )


def _logframe(choices: Choices, name: str, told: Mapping[str, str]) -> str:
    """The text of the log frame: the example with its comments, or a shipped one under a remark."""
    if name == BLANK:
        lines = starter("logframe.yaml").replace("{programme}", choices.programme).splitlines()
        return "\n".join(_commented(line, choices, told) for line in lines) + "\n"
    if name not in shipped_logframes():
        raise UsageError(f"--logframe: {nearest(name, [BLANK, *shipped_logframes()])}; found {name!r}")
    shipped = (resources.files("pipeval") / "logframes" / f"{name}.yaml").read_text(encoding="utf-8")
    return f"{_commented('#! shipped', choices, told)}\n{shipped}"


def _commented(line: str, choices: Choices, told: Mapping[str, str]) -> str:
    """A line of the template; `#! key` is the comment of that key."""
    mark = re.fullmatch(r"( *)#! (\w+)", line)
    if mark is None:
        return line
    said, indent = told[f"logframe.{mark[2]}"].format(programme=choices.programme), f"{mark[1]}# "
    return textwrap.fill(said, 110, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def _evidence(frame: str) -> dict:
    """The outcomes that the log frame names as evidence, and an indicator that does."""
    rows = [row for row in yaml.safe_load(frame)["indicators"] if row.get("effect")]
    return {"effects": tuple(row["effect"] for row in rows), "primary": rows[0]["id"]} if rows else {}


def _readme(choices: Choices) -> str:
    last = choices.stages[-1]
    files = [f"params/{choices.programme}_{stage}.yaml" for stage in choices.stages]
    filled = {"programme": choices.programme, "stages": ", ".join(choices.stages), "first": choices.stages[0], "plans": files[-1]}
    filled["plans"] = (
        " ".join(f for f, s in zip(files, choices.stages, strict=True) if s in ("midterm", "final"))
        or f"params/{choices.programme}_{last}.yaml"
    )
    text = starter(f"readme.{choices.language}.md")
    for key, value in filled.items():
        text = text.replace(f"{{{key}}}", value)
    return text


def _notebooks(choices: Choices) -> dict[str, str]:
    """The shipped notebooks, each on the study of its stage, or on the last one."""
    made = {}
    for path in sorted(notebook_path("final").parent.glob("*.ipynb")):
        own = [stage for stage in choices.stages if NOTEBOOKS[stage] == path.name]
        book = json.loads(path.read_text(encoding="utf-8"))
        if path.name in NOTEBOOKS.values() and not own:
            continue
        study = f'params_path = "../params/{choices.programme}_{(own or choices.stages)[-1]}.yaml"'
        for cell in book["cells"]:
            if "parameters" in cell.get("metadata", {}).get("tags", []):
                whole = "".join(cell["source"])
                cell["source"] = _PARAMS.sub(lambda _, study=study: study, whole).splitlines(keepends=True)
        made[path.name] = json.dumps(book, ensure_ascii=False, indent=1) + "\n"
    return made
