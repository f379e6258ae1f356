"""What a public package is put together from: the public-use file, and the report made by running the study on it.

Nothing of the original report enters: no paper, notebook, figure, hash or provenance. At the end every byte is searched for what
tells who a firm is.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from ..batch.inputs import Inputs, restored, source_zip, store_of
from ..data.load import located
from ..data.read import read_file
from ..errors import DataError, some
from ..evaluation import evaluate
from ..report.bundle import read_bundle
from ..report.render import render
from ..report.save import save
from ..report.versions import versions
from ..study.params import read_study
from ..study.specs import Study
from .parts import Parts, described, report_files
from .public import public_files
from .traces import machine_paths, paths_in, telling_words, words_in

_SOFTWARE = "software/"  # made from the package's source, in which no data stand


def public_parts(folder: Path, record: Inputs, scratch: Path) -> tuple[Parts, set[str]]:
    """The parts of a public package, its report made in `scratch/report`, and the words that it must not hold.

    Raises
    ------
    DataError
        When an input is not kept, or the public-use file cannot be made.
    """
    params, data = restored(record, store_of(folder), scratch / "original")
    study, tree = read_study(params, data), scratch / "public"
    public_files(study, read_bundle(folder), tree)
    name = _params_of(tree, study.study)
    public = read_study(tree / name)
    made = save(evaluate(public), scratch / "report")
    render(made, public.report.languages)
    every = {p.relative_to(tree).as_posix(): p.read_bytes() for p in sorted(tree.rglob("*")) if p.is_file()}
    own = Path(public.data.folder).resolve().relative_to(tree.resolve()).as_posix()
    inside = {n: content for n, content in every.items() if n.startswith(("params/", f"{own}/"))}
    hashes = {n: hashlib.sha256(content).hexdigest() for n, content in inside.items()}
    parts = Parts(
        report=report_files(made),
        tree=inside,
        params=name,
        data="",
        datasets=described(public, tree, hashes, public=True),
        source=source_zip(),
        versions={"python": platform.python_version(), **versions()},
        key="",
        extra={n: content for n, content in every.items() if n not in inside},
    )
    return parts, telling_words(_raw(study))


def refuse_traces(made: Mapping[str, bytes], words: set[str], folder: Path) -> None:
    """Refuse a public package in which a path of this machine or a word that tells who a firm is stands anywhere.

    The words themselves are not repeated: the message may be read by anyone.

    Raises
    ------
    DataError
        Naming the files.
    """
    searched = {name: content for name, content in made.items() if not name.startswith(_SOFTWARE)}
    placed = paths_in(searched, machine_paths(folder, folder.parent))
    if placed:
        raise DataError(f"a public package holds no path of this machine; one stands in {some(placed, 'file')}")
    telling = words_in(searched, words)
    if telling:
        count = len({word for found in telling.values() for word in found})
        raise DataError(
            f"a public package holds nothing that tells who a firm is; {count} such words (identifiers, names, comments, tax "
            f"numbers) of the original stand in {some(telling, 'file')}. Nothing was written. Take the columns that hold them out "
            "of the study, or withhold their tables in params under privacy"
        )


def _params_of(tree: Path, study: str) -> str:
    """The params file of the public study: the one of its name, or the only one."""
    found = sorted(p.relative_to(tree).as_posix() for p in (tree / "params").glob("*.yaml"))
    named = f"params/{study}.yaml"
    if named in found:
        return named
    if len(found) != 1:
        raise DataError(f"a public-use file comes with one params file; found {some(found, 'file')}")
    return found[0]


def _raw(study: Study) -> dict[str, pd.DataFrame]:
    """The original tables as they lie in the files, under the contract's column names where params map them."""
    frames = {}
    for table, (path, sheet) in located(study).items():
        names = {own: name for name, own in study.data.columns.get(table, {}).items()}
        frames[table] = read_file(path, sheet, study.data).rename(columns=names).astype(object)
    return frames
