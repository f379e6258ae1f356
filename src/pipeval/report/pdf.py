"""The PDF report, set by typst as PDF/UA-1: tagged, with bookmarks, a title and a language."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from ..errors import PipevalError
from .paper import Paper, epoch, shipped
from .text import in_language


def pdf(paper: Paper) -> Path:
    """Write `report.<language>.pdf`."""
    options = (f"--lua-filter={shipped('typst.lua')}", f"--template={shipped('report.typ')}")
    return set_pdf(paper.pandoc("--to=typst", *options), paper.target("report", "pdf"), paper)


def set_pdf(source: bytes, target: Path, paper: Paper) -> Path:
    """Set Typst as a PDF that a screen reader can read (PDF/UA-1); the same source gives the same bytes.

    `source` names pictures relative to the bundle's folder and finds `accent`, `logo`, `logo-alt`, `author`, `keywords` (a line each)
    and `region` in `sys.inputs`, empty where unknown. Raises `PipevalError` when typst refuses it.
    """
    import typst

    # The Typst file must lie under its root to see figures/; it is removed again.
    with tempfile.NamedTemporaryFile("wb", suffix=".typ", dir=paper.folder, delete=False) as book:
        book.write(source)
    try:
        typst.compile(
            book.name,
            output=str(target),
            root=str(paper.folder),
            timestamp=epoch(paper.bundle),
            ignore_system_fonts=True,
            pdf_standards=["ua-1"],
            sys_inputs=_inputs(paper),
        )
    except RuntimeError as error:
        raise PipevalError(f"{target.name} could not be set: {error}. Please report this with results.json") from error
    finally:
        Path(book.name).unlink()
    return target


def _inputs(paper: Paper) -> dict[str, str]:
    """What the templates take as texts rather than as markup."""
    study, text, look = paper.bundle.study, paper.text, paper.look
    programme = study.get("programme", {})
    place = in_language(programme.get("place", {}), text.language)
    named = [programme.get("id"), place, programme.get("executing_agency"), programme.get("financier")]
    region = re.search(r"_([A-Z]{2})$", text.locale)
    return {
        "accent": look.accent,
        "logo": f"look/{look.logo.name}" if look.logo else "",
        "logo-alt": text.say("web.logo"),
        "author": str(study.get("report", {}).get("author") or ""),
        "keywords": "\n".join(" ".join(str(name).split()) for name in named if name),
        "region": region[1] if region else "",
    }
