"""The package itself as a wheel, built from the source that a report was made with: the same source gives the same bytes."""

from __future__ import annotations

import hashlib
import io
import re
import tomllib
import zipfile
from base64 import urlsafe_b64encode
from importlib import metadata

from ..batch.inputs import package_root
from ..errors import DataError

_STAMP = (1980, 1, 1, 0, 0, 0)
_WHEEL = "Wheel-Version: 1.0\nGenerator: pipeval\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_ENTRY = "[console_scripts]\npipeval = pipeval.cli:main\n"


def wheel(source: bytes) -> tuple[str, bytes]:
    """The file name and the bytes of a wheel of the kept source (a zip whose folder `pipeval` can be imported).

    Raises
    ------
    DataError
        When the zip is not the source of the package.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(source)) as archive:
            files = {name: archive.read(name) for name in sorted(archive.namelist()) if not name.endswith("/")}
        version = re.search(r'^__version__ = "([^"]+)"', files["pipeval/__init__.py"].decode(), re.MULTILINE)[1]
    except (zipfile.BadZipFile, KeyError, TypeError, UnicodeDecodeError):
        raise DataError("the kept source is not a zip of the package; run the study again") from None
    info = f"pipeval-{version}.dist-info"
    files |= {
        f"{info}/METADATA": _metadata(version).encode(),
        f"{info}/WHEEL": _WHEEL.encode(),
        f"{info}/entry_points.txt": _ENTRY.encode(),
        f"{info}/licenses/LICENSE": licence().encode(),
    }
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()
    return f"pipeval-{version}-py3-none-any.whl", zipped(files)


def source_digest_of(source: bytes) -> str:
    """What `batch.inputs.source_digest` says of the package in this zip; empty when it is no zip."""
    every = hashlib.sha256()
    try:
        with zipfile.ZipFile(io.BytesIO(source)) as archive:
            for name in sorted(one.removeprefix("pipeval/") for one in archive.namelist()):
                every.update(f"{name}\0{hashlib.sha256(archive.read(f'pipeval/{name}')).hexdigest()}\n".encode())
    except (zipfile.BadZipFile, KeyError):
        return ""
    return every.hexdigest()


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of these files in the order given, without times: the same files give the same bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, _STAMP)
            member.external_attr = 0o644 << 16
            archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def licence() -> str:
    """The licence of the code, from the source tree or from what was installed with the package."""
    beside = package_root().parents[1] / "LICENSE"
    if _source_project() is not None and beside.is_file():
        return beside.read_text(encoding="utf-8")
    return _installed().read_text("licenses/LICENSE") or _installed().read_text("LICENSE") or ""


def requirements(versions: dict[str, str]) -> str:
    """One line `name==version` for each package that a report was made with; what was not installed is left out."""
    pinned = {name: version for name, version in versions.items() if name != "python" and version != "not installed"}
    return "".join(f"{name}=={pinned[name]}\n" for name in sorted(pinned, key=str.lower))


def _metadata(version: str) -> str:
    """The wheel's own description: what it needs, and the extra that makes papers."""
    project = _source_project()
    if project is None:
        needs, python = _installed().requires or [], _installed().metadata["Requires-Python"]
        summary = _installed().metadata["Summary"]
    else:
        extra = project["optional-dependencies"]["report"]
        needs = [*project["dependencies"], *(f'{need}; extra == "report"' for need in extra)]
        python, summary = project["requires-python"], project["description"]
    wanted = [need for need in needs if "extra ==" not in need or re.search(r"extra == ['\"]report['\"]", need)]
    lines = ["Metadata-Version: 2.1", "Name: pipeval", f"Version: {version}", f"Summary: {summary}", "License: MIT"]
    lines += [f"Requires-Python: {python}", "Provides-Extra: report", *(f"Requires-Dist: {need}" for need in wanted)]
    return "\n".join([*lines, ""])


def _source_project() -> dict | None:
    """What pyproject.toml says, when the package runs from its source tree."""
    try:
        project = tomllib.loads((package_root().parents[1] / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return None
    return project if project.get("name") == "pipeval" else None


def _installed() -> metadata.Distribution:
    try:
        return metadata.distribution("pipeval")
    except metadata.PackageNotFoundError:
        raise DataError(
            "a package holds the software with what it needs; pipeval runs here neither from its source tree nor installed by "
            "pip. Install it, then make the package again"
        ) from None


def _digest(content: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
