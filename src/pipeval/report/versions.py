"""The versions of what a report is made with."""

from __future__ import annotations

from functools import cache
from importlib import metadata

_PACKAGES = (
    "numpy", "pandas", "scipy", "statsmodels", "linearmodels", "matplotlib", "seaborn", "pydantic", "PyYAML", "papermill", "typst",
    "pypandoc_binary", "openpyxl", "Babel",
)  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """Package → its installed version, of those on which numbers or looks depend."""
    return {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
