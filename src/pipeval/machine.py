"""What this machine has and lacks: optional parts, the notebook kernel, room on the disk. Nothing heavy is imported to find out."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from .new.words import words

INSTALL = 'python -m pip install "pipeval[{extras}]"'
_REPORT = ("papermill", "ipykernel", "pypandoc_binary", "typst", "openpyxl", "Babel")
_PARTS = {
    "papermill": ("papermill", "notebook"),
    "ipykernel": ("ipykernel", "notebook"),
    "pypandoc_binary": ("pypandoc", "paper"),
    "typst": ("typst", "pdf"),
    "openpyxl": ("openpyxl", "excel"),
    "Babel": ("babel", "country"),
    "jupyterlab": ("jupyterlab", "bench"),
    "pyarrow": ("pyarrow", "parquet"),
}
"""Package → the module that shows it is there, and the word for its use."""

_ROOM = 500  # megabytes: a study with its figures takes some twenty, a notebook run as much again
_LONGEST = 100  # characters that a report's deepest file adds to the folder
_WINDOWS_PATH = 260


@dataclass(frozen=True, slots=True)
class Part:
    """One thing looked at: whether it is there, what is lacking when not, and the extra or the deed that helps."""

    name: str
    good: bool
    detail: str
    extra: str = ""  # of the package: report, lab, parquet
    remedy: str = ""

    @property
    def needed(self) -> bool:
        """Whether a report cannot be made without it."""
        return self.extra not in ("lab", "parquet")


def machine(folder: Path | None = None, language: str = "en") -> list[Part]:
    """What was looked at, in the order in which it is wanted: packages, kernel, folder, room, length of paths.

    Raises `UsageError` for a language in which no working folder is written.
    """
    folder, said = Path(folder or Path()).resolve(), _said(language)
    return [
        *_packages(said),
        _pandoc(said),
        _kernel(said),
        _writable(folder, said),
        _room(folder, said),
        *_short_path(folder, said),
    ]


def told(parts: list[Part], language: str = "en") -> list[str]:
    """The lines that say it: what is there in one, a line for each thing that is not, and the command that helps.

    >>> told([Part("openpyxl", True, "3.1"), Part("typst", False, "reports in PDF", "report")])[1:]
    ['  missing: typst (reports in PDF)', 'Install it: python -m pip install "pipeval[report]"']
    >>> told([Part("openpyxl", True, "3.1")], "es")
    ['Esta computadora tiene: openpyxl 3.1', 'No falta nada.']
    """
    said = _said(language)
    good = ", ".join(f"{part.name} {part.detail}".strip() for part in parts if part.good)
    lines = [said["has"].format(parts=good or said["none"])]
    lacking = [part for part in parts if not part.good]
    for part in lacking:
        lines.append(f"  {said['missing'].format(part=part.name)} ({part.detail}){'; ' + part.remedy if part.remedy else ''}")
    wanted = {part.extra for part in lacking} - {""}
    extras = [extra for extra in ("report", "lab", "parquet") if extra in wanted and not (extra == "report" and "lab" in wanted)]
    if extras:
        install = said["install_one" if len(lacking) == 1 else "install_all"]
        lines.append(install.format(command=INSTALL.format(extras=",".join(extras))))
    elif not lacking:
        lines.append(said["nothing"])
    return lines


def _said(language: str) -> dict[str, str]:
    """The words of this module in a language."""
    return {key.removeprefix("machine."): said for key, said in words(language).items() if key.startswith("machine.")}


def _packages(said: Mapping[str, str]) -> Iterator[Part]:
    for package, (module, use) in _PARTS.items():
        extra = "report" if package in _REPORT else "parquet" if package == "pyarrow" else "lab"
        there = find_spec(module) is not None
        yield Part(package, there, _version(package) if there else said[f"use.{use}"], extra)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _pandoc(said: Mapping[str, str]) -> Part:
    """pandoc itself, which the package pypandoc may come without."""
    spec = find_spec("pypandoc")
    homes = [Path(place) / "files" for place in (spec.submodule_search_locations or [] if spec else [])]
    there = shutil.which("pandoc") or any((home / name).is_file() for home in homes for name in ("pandoc", "pandoc.exe"))
    return Part("pandoc", bool(there), "" if there else said["use.paper"], "report")


def _kernel(said: Mapping[str, str]) -> Part:
    """Whether the kernel `python3` runs this very Python; a kernel of another installation does not know pipeval."""
    name = said["kernel"].format(name="python3")
    for home in _jupyter_homes():
        try:
            command = json.loads((home / "kernels" / "python3" / "kernel.json").read_text(encoding="utf-8"))["argv"][0]
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            continue
        own = Path(command).name.lower().removesuffix(".exe") in ("python", "python3") and not Path(command).is_absolute()
        if own or _same(command):
            return Part(name, True, "")
        remedy = said["kernel.remedy"].format(command="python -m ipykernel install --sys-prefix --name python3")
        return Part(name, False, said["kernel.other"].format(command=command, python=sys.executable), "", remedy)
    if find_spec("ipykernel") is not None:  # Jupyter falls back on the kernel of its own Python
        return Part(name, True, "")
    return Part(name, False, said["use.notebook"], "report")


def _same(command: str) -> bool:
    """Whether a command is this Python by its folder: followed to its end, every environment's Python is the system's."""
    return os.path.normcase(Path(command).parent) == os.path.normcase(Path(sys.executable).parent)


def _jupyter_homes() -> list[Path]:
    """Where Jupyter looks for kernels: this environment first, as `pipeval run` has it, then the user's own."""
    homes = [Path(sys.prefix) / "share" / "jupyter"]
    if "APPDATA" in os.environ:
        homes.append(Path(os.environ["APPDATA"]) / "jupyter")
    home = Path.home()
    homes += [home / "Library" / "Jupyter"] if sys.platform == "darwin" else []
    return [*homes, Path(os.environ.get("XDG_DATA_HOME", home / ".local" / "share")) / "jupyter"]


def _writable(folder: Path, said: Mapping[str, str]) -> Part:
    try:
        with tempfile.TemporaryFile(dir=_nearest(folder)):
            return Part(said["folder"], True, said["folder.good"])
    except OSError as error:
        bad = said["folder.bad"].format(folder=folder, reason=error.strerror)
        return Part(said["folder"], False, bad, "", said["folder.remedy"])


def _room(folder: Path, said: Mapping[str, str]) -> Part:
    free = shutil.disk_usage(_nearest(folder)).free / 1e6
    detail = said["disk.free"].format(room=f"{free / 1000:.0f} GB" if free >= 10_000 else f"{free:.0f} MB")
    return Part(said["disk"], free >= _ROOM, detail, "", "" if free >= _ROOM else said["disk.remedy"].format(room=f"{_ROOM} MB"))


def _short_path(folder: Path, said: Mapping[str, str]) -> list[Part]:
    """On Windows, whether the deepest file of a report has a path that Windows takes."""
    if sys.platform != "win32" or len(str(folder)) + _LONGEST < _WINDOWS_PATH:
        return []
    remedy = said["path.remedy"].format(example="C:\\eval")
    return [] if _long_paths() else [Part(said["path"], False, said["path.long"].format(folder=folder), "", remedy)]


def _long_paths() -> bool:
    try:
        import winreg

        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            return winreg.QueryValueEx(key, "LongPathsEnabled")[0] == 1
    except OSError:
        return False


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())
