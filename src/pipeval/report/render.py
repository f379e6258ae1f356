"""From a bundle's folder to paper: HTML, Word, PDF and the Excel annex in each language.

bundle → Markdown → pandoc → HTML, DOCX and Typst → PDF. Nothing is fetched; the same bundle gives the same bytes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .annex import annex
from .bundle import Bundle, read_bundle
from .document import cover, markdown
from .drawing import draw
from .labels import study_words
from .look import look_of
from .one_page import summary_maker
from .paper import Paper
from .pdf import pdf
from .text import Text, read_text
from .web import web
from .word_report import word_report


def render(folder: str | Path, languages: Sequence[str] = ()) -> list[Path]:
    """Write `report.<language>.html`, `.docx` and `.pdf` and `annex.<language>.xlsx` into the bundle's folder.

    `languages` defaults to those of the study's params. Figures are drawn into `figures/` on the way.

    Raises `DataError` when the folder holds no valid bundle, `UsageError` for a language without a text file.
    """
    folder = Path(folder).resolve()
    bundle = read_bundle(folder)
    chosen = bundle.study.get("report", {})
    words = [
        study_words(read_text(lang, chosen.get("locales", {}).get(lang, "")), bundle.study)
        for lang in languages or chosen.get("languages", ["es", "en"])
    ]
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        # pandoc works on one language while the figures of the next are drawn.
        papers = (_paper(bundle, text, folder, Path(scratch)) for text in words)
        waiting = [pool.submit(make, paper) for paper in papers for make in (web, word_report, pdf, summary_maker(paper), annex)]
        return [done.result() for done in waiting]


def _paper(bundle: Bundle, text: Text, folder: Path, scratch: Path) -> Paper:
    """Draw the figures and write the Markdown of one language."""
    look = look_of(bundle, folder)
    figures = {name: path.relative_to(folder) for name, path in draw(bundle, folder, text).items()}
    source = scratch / f"report.{text.language}.md"
    source.write_text(markdown(bundle, text, figures), encoding="utf-8", newline="\n")
    metadata = scratch / f"cover.{text.language}.json"
    metadata.write_text(json.dumps(cover(bundle, text, look), ensure_ascii=False), encoding="utf-8")
    return Paper(source, metadata, folder, bundle, text, look)
