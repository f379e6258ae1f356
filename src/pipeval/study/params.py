"""From a params file to a `Study`, or to one message that lists every fault."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError

from ..errors import UsageError
from .files import inside, nearest, read_yaml
from .specs import Study


def read_study(path: str | Path, data: str | Path | None = None) -> Study:
    """The study that a params file describes.

    Parameters
    ----------
    path : str or Path
        A YAML file. A key `extends: other.yaml` names a file of the same folder whose values hold unless repeated here.
        The study root, against which its paths resolve, is the folder that holds `params/`, or the file's own folder.
    data : str or Path, optional
        A folder of data files instead of the one in params; the only path that may lie outside the study root.

    Raises
    ------
    UsageError
        When the file cannot be read or breaks the contract; all faults are listed at once.
    """
    path = Path(path).resolve()
    content = _merged(path, ())
    odd = [k for k in content if not isinstance(k, str)]
    if odd:
        raise UsageError(f"{path.name}: keys are words; found {odd[0]!r}. YAML reads no, yes, on, off as truth values: quote them")
    root = path.parent.parent if path.parent.name == "params" else path.parent
    try:
        study = Study(**content)
    except ValidationError as error:
        faults = "\n".join(f"  {_fault(e)}" for e in error.errors())
        raise UsageError(f"{path.name}: {error.error_count()} fault(s)\n{faults}") from None
    folder = Path(data).resolve() if data else inside(root, study.data.folder)
    source = study.data.model_copy(update={"folder": str(folder)})
    return study.model_copy(update={"root": root, "data": source})


def _merged(path: Path, seen: tuple[Path, ...]) -> dict:
    if path in seen:
        raise UsageError(f"{path.name} extends itself through {' → '.join(p.name for p in seen)}")
    content = read_yaml(path)
    parent = content.pop("extends", None)
    if parent is None:
        return content
    return _over(_merged(inside(path.parent, str(parent)).resolve(), (*seen, path)), content)


def _over(below: dict, above: dict) -> dict:
    """`above` laid over `below`: mappings key by key, everything else whole."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _over(merged[key], value) if both else value
    return merged


def _fault(error: dict) -> str:
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key; {nearest(error['loc'][-1], _keys(error['loc'][:-1]))}"
    if error["type"] == "missing":
        return f"{where}: this key is needed"
    found = error.get("input")
    hint = " (YAML reads no, yes, on, off as truth values: quote them)" if isinstance(found, bool) else ""
    shown = f"; found {found!r}" if isinstance(found, str | int | float | bool) else ""
    return f"{where}: {error['msg'].removeprefix('Value error, ')}{shown}{hint}"


def _keys(loc: tuple) -> list[str]:
    """The valid keys of the section at `loc`, walked through the models."""
    model: type[BaseModel] | None = Study
    for step in loc:
        if isinstance(step, int) or model is None:
            continue
        annotation = model.model_fields[step].annotation
        candidates = [annotation, *get_args(annotation)]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
    return [k for k in model.model_fields if k != "root"] if model else []
