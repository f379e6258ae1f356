"""The look that an institution brings: its Word reference document, style sheet, logo and colour, kept in the bundle."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ..errors import DataError, UsageError
from ..study.files import inside
from ..study.specs import LOOK_FILES, Study
from ..study.specs import Look as LookSpec
from .bundle import Bundle
from .word import institution_parts

_STARTS = {".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff", ".jpeg": b"\xff\xd8\xff"}
_LARGEST = 20_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Look:
    """What a bundle's papers look like: files of its folder `look`, absent where nothing was brought, and the accent colour."""

    accent: str
    word: Path | None = None
    style: Path | None = None
    logo: Path | None = None


def proved_look(study: Study) -> dict[str, Path]:
    """The files of `report.look` by what they are, before a study is run that would fail on them at its end.

    Raises `UsageError` when a file lies outside the study's folder, is missing, is too large or is not of its kind.
    """
    named = {key: getattr(study.report.look, key) for key in LOOK_FILES}
    found = {key: inside(study.root, name) for key, name in named.items() if name is not None}
    for key, source in found.items():
        _prove(key, named[key], source)
    return found


def bring(study: Study, folder: Path) -> None:
    """Copy the files of `report.look` into `folder/look`, named by what they are; what lay there before goes.

    Raises `UsageError` as `proved_look` does.
    """
    found, target = proved_look(study), folder / "look"
    shutil.rmtree(target, ignore_errors=True)
    for key, source in found.items():
        target.mkdir(exist_ok=True)
        shutil.copyfile(source, target / f"{key}{source.suffix.lower()}")


def look_of(bundle: Bundle, folder: Path) -> Look:
    """The look of a bundle that lies in `folder`; its files are proved again, for anyone may have sent it.

    Raises `DataError` when the bundle's own words on its look do not hold or a file is gone, `UsageError` as `proved_look` does.
    """
    try:
        chosen = LookSpec(**bundle.study.get("report", {}).get("look", {}))
    except ValidationError as error:
        said = error.errors()[0]["msg"]
        raise DataError(f"the look in results.json must be one that params may name; {said}. Run the study again") from None
    files = {}
    for key in LOOK_FILES:
        if (name := getattr(chosen, key)) is not None:
            files[key] = folder / "look" / f"{key}{Path(name).suffix.lower()}"
            if not files[key].is_file():
                raise DataError(f"a bundle keeps the files of its look; there is no look/{files[key].name}. Run the study again")
            _prove(key, name, files[key])
    return Look(chosen.accent, **files)


def _prove(key: str, name: str, source: Path) -> None:
    what = f"report.look.{key}"
    if not source.is_file():
        raise UsageError(f"{what} names a file of the study's folder; there is none at {name}")
    if source.stat().st_size > _LARGEST:
        raise UsageError(f"{what}: {name} is larger than {_LARGEST // 1_000_000} MB; make it smaller")
    if key == "word":
        institution_parts(source, LookSpec().accent)
    if key == "logo" and not source.read_bytes().startswith(_STARTS[source.suffix.lower()]):
        raise UsageError(f"{what}: {name} is not the picture that its ending says; save it again as PNG or JPEG")
    if key == "style":
        _prove_style(what, name, source)


def _prove_style(what: str, name: str, source: Path) -> None:
    try:
        style = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{what}: {name} is not UTF-8 text; save it again as UTF-8") from None
    reaching = [word for word in ("@import", "http:", "https:", "url(", "</") if word in style.lower()]
    if reaching:
        raise UsageError(f"{what}: the report opens offline, so a style sheet fetches nothing; {name} holds {', '.join(reaching)}")
