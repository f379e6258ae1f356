"""From an evaluation to its bundle on disk, with where every number came from."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path

from .. import __version__
from ..errors import PipevalError
from ..evaluation import Evaluation
from ..study.specs import Study
from .bundle import Bundle
from .bundle import save as save_bundle
from .look import bring
from .versions import versions


def save(evaluation: Evaluation, folder: str | Path) -> Path:
    """Write the bundle: `results.json` (every number of the report), `tables/*.csv`, `provenance.json`, and `look/`, if any.

    Raises
    ------
    PipevalError
        When the folder cannot be written.
    UsageError
        When a file of `report.look` is missing or is not what its name says.
    """
    folder = Path(folder)
    study = evaluation.study.model_dump(mode="json", exclude={"data": {"folder"}})
    origin = provenance(evaluation.study, evaluation.inputs)
    bundle = Bundle.build(study, evaluation.tables, evaluation.notes, origin)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_bundle(bundle, folder)
        bring(evaluation.study, folder)
        (folder / "provenance.json").write_text(json.dumps(origin, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise PipevalError(f"cannot write to {folder}: {error.strerror or error}; choose another folder") from None
    return folder


def provenance(study: Study, inputs: dict[str, str]) -> dict:
    """What a second person needs to make the same numbers: SHA-256 of inputs and plan, versions, platform."""
    return {
        "study": study.study,
        "as_of": study.as_of.isoformat(),
        "study_hash": study_hash(study),
        "inputs": dict(sorted(inputs.items())),
        "pipeval": __version__,
        "packages": versions(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "seed": study.did.seed,
    }


def study_hash(study: Study) -> str:
    """SHA-256 of everything that was decided; where the files lie does not enter."""
    content = study.model_dump_json(exclude={"data": {"folder"}})
    return hashlib.sha256(content.encode()).hexdigest()
