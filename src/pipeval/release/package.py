"""The reproducibility package of a report: a folder that runs by itself and says what is in it.

Everything is put together in memory, searched, and only then written: beside its place, then by one rename.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from importlib.resources import files as resource_files
from pathlib import Path
from typing import Any

from ..batch.inputs import read_inputs
from ..errors import DataError, PipevalError, UsageError, some
from ..report.bundle import read_bundle
from ..report.labels import study_words
from ..report.text import Text, read_text
from ..study.files import write_whole
from .exhibits import exhibits, references, seeds
from .parts import AT_HOME, Parts, own_parts
from .readme import Contents, Dataset, readme
from .software import licence, requirements, wheel, zipped
from .traces import machine_paths, paths_in

MANIFEST = "manifest.sha256"
"""The file that lists every other one with its hash, as `sha256sum -c` reads it."""

_OWN = ("readme.md", "run.py", "requirements.txt", "software", "reports", "license.txt", MANIFEST, "made", "risk.md", "risk.json")


@dataclass(frozen=True, slots=True)
class Packaged:
    """A finished package: its folder or zip, and the inputs, as they were given, in which a path of this machine stands."""

    place: Path
    telling: tuple[str, ...]


def package(
    bundle: str | Path, out: str | Path = ".", *, public: bool = False, zipped_whole: bool = False, language: str = ""
) -> Packaged:
    """Write the reproducibility package of a report: `<out>/<study>_package`, or one zip of it.

    Parameters
    ----------
    bundle : path
        The folder of a report that `pipeval run` made, among the others, so that its kept inputs are found.
    out : path
        The folder of the package; it is made.
    public : bool
        Put the public-use file in the place of the firms' figures, and the report made from it in the place of the original.
    zipped_whole : bool
        One file instead of a folder.
    language : str
        Of the README; the first of the report when empty.

    Returns
    -------
    Packaged
        Where it lies. The same report gives the same bytes, unless it is made public: its identifiers are drawn anew.

    Raises
    ------
    DataError
        When the report does not know its inputs, they are not kept, or a file holds what must not leave.
    UsageError
        When something that is no package stands in its place, or the language has no texts.
    PipevalError
        When it cannot be written.
    """
    folder = Path(bundle).resolve()
    results, record = read_bundle(folder), read_inputs(folder)
    spoken = language or results.study.get("report", {}).get("languages", ["en"])[0]
    text = read_text(spoken, results.study.get("report", {}).get("locales", {}).get(spoken, ""))
    target = Path(out) / f"{record.study}_package{'_public' if public else ''}{'.zip' if zipped_whole else ''}"
    _refuse_other(target)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            if public:
                from .publication import public_parts, refuse_traces

                parts, words = public_parts(folder, record, Path(scratch))
                made = _assembled(parts, Path(scratch) / "report", text, public)
                refuse_traces(made, words, folder)
            else:
                parts = own_parts(folder, record, Path(scratch))
                made = _assembled(parts, folder, text, public)
        if zipped_whole:
            write_whole(target, zipped({f"{target.stem}/{name}": content for name, content in made.items()}))
        else:
            _write(made, target)
        return Packaged(target, tuple(paths_in(parts.tree, machine_paths(Path(bundle).resolve().parent))))
    except OSError as error:
        raise PipevalError(f"cannot write to {out}: {error.strerror or error}; choose another folder with --out") from None


def _assembled(parts: Parts, folder: Path, text: Text, public: bool) -> dict[str, bytes]:
    """Every file of the package of the report in `folder` by name, in order, the report searched for paths of this machine."""
    results = read_bundle(folder)
    text = study_words(text, results.study)
    study, name_and_wheel = results.study["study"], wheel(parts.source)
    below = "inputs" if {name.partition("/")[0].casefold() for name in parts.tree} & set(_OWN) else ""
    report = dict(parts.report)
    written = machine_paths(folder, folder.parent)
    placed = paths_in(report, written)
    left_out = sorted([*(["notebook.ipynb"] if placed.pop("notebook.ipynb", None) else []), *AT_HOME])
    if placed:
        raise DataError(f"a package holds no path of this machine; one stands in {some(placed, 'file')}. Run the study again")
    made = {f"reports/{study}/{name}": content for name, content in report.items() if name not in left_out}
    made |= {f"{below}/{name}" if below else name: content for name, content in parts.tree.items()}
    made |= parts.extra | {f"software/{name_and_wheel[0]}": name_and_wheel[1]}
    made["requirements.txt"] = requirements(parts.versions).encode()
    made["run.py"] = _entry(study, parts, below)
    made["LICENSE.txt"] = _licence(text, public).encode()
    contents = Contents(
        bundle=results,
        run=_run_record(parts.report),
        versions=parts.versions,
        key=parts.key,
        software=name_and_wheel[0],
        params=parts.params.partition("::")[0],
        tree=below,
        datasets=[_moved(one, below) for one in parts.datasets],
        exhibits=exhibits(results, text, folder),
        seeds=seeds(results.study),
        references=references(results),
        size=sum(map(len, made.values())),
        left_out=[] if public else left_out,
        public=public,
    )
    made["README.md"] = readme(contents, text).encode()
    made = dict(sorted(made.items()))
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in made.items()]
    return made | {MANIFEST: "".join(lines).encode()}


def _entry(study: str, parts: Parts, below: str) -> bytes:
    """`run.py` for this study: the shipped program with its four places filled in."""
    program = resource_files("pipeval.release").joinpath("template", "run.py").read_text(encoding="utf-8")
    blank = 'TREE, PARAMS, DATA, STUDY = "", "", "", ""'
    filled = ", ".join(json.dumps(one, ensure_ascii=False) for one in (below, parts.params, parts.data, study))
    return program.replace(blank, f"TREE, PARAMS, DATA, STUDY = {filled}").encode()


def _licence(text: Text, public: bool) -> str:
    kind = "public" if public else "confidential"
    blocks = [text.say("package.licence_code"), licence(), text.say("package.licence_data"), text.say(f"package.rights.{kind}")]
    return "\n\n".join(block.strip() for block in blocks) + "\n"


def _run_record(report: dict[str, bytes]) -> dict[str, Any]:
    try:
        found = json.loads(report.get("run.json", b"{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _moved(one: Dataset, below: str) -> Dataset:
    return Dataset(f"{below}/{one.file}", one.table, one.rows, one.columns, one.access, one.source, one.sha256) if below else one


def _refuse_other(target: Path) -> None:
    """Refuse to replace what is no package of ours."""
    if target.is_dir() and not (target / MANIFEST).is_file():
        raise UsageError(f"a package replaces only a package; {target} is another folder. Move it, or choose one with --out")
    if target.suffix == ".zip" and target.is_dir():
        raise UsageError(f"{target} is a folder; move it, or choose another place with --out")


def _write(made: dict[str, bytes], target: Path) -> None:
    """The folder, whole or not at all: written beside its place, then moved there; what stood there goes last."""
    target.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    part, old = (target.with_name(f".{target.name}.{token}.{end}") for end in ("part", "old"))
    try:
        for name, content in made.items():
            path = part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if target.exists():
            target.rename(old)
        try:
            part.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
