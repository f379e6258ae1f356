"""Every file that a run promises is there, is not empty, and opens: `python tests/promised_outputs.py reports`."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

STUDIES = ("guanajuato_baseline", "guanajuato_midterm", "guanajuato_final", "guanajuato_expost", "michigan_final", "wine_final")
VERDICT_WORDS = {"es": "Evidencia", "en": "Evidence", "pt": "Evidência"}
PAPERS = ("report.{}.html", "report.{}.docx", "report.{}.pdf", "summary.{}.pdf", "annex.{}.xlsx")


def look_at(folder: Path) -> list[str]:
    """What is wrong with one study's folder."""
    import docx
    import openpyxl
    import pypdf

    from pipeval.report.bundle import read_bundle

    faults = []
    if not (folder / "results.json").is_file():
        return [f"{folder}: no results.json"]
    bundle = read_bundle(folder)
    languages = bundle.study["report"]["languages"]
    names = ["notebook.ipynb", "provenance.json", "run.log", *(name.format(lang) for lang in languages for name in PAPERS)]
    missing = [n for n in names if not (folder / n).is_file() or (folder / n).stat().st_size == 0]
    if missing:
        return [f"{folder}: missing or empty: {', '.join(missing)}"]
    for kind in ("tables/*.csv", "figures/*.png"):
        if not list(folder.glob(kind)):
            faults.append(f"{folder}: no {kind}")
    for language in languages:
        if len(pypdf.PdfReader(folder / f"summary.{language}.pdf").pages) != 1:
            faults.append(f"{folder}: summary.{language}.pdf is not one page")
        openpyxl.load_workbook(folder / f"annex.{language}.xlsx", read_only=True).close()
    for language in languages:
        word = VERDICT_WORDS[language]
        pages = len(pypdf.PdfReader(folder / f"report.{language}.pdf").pages)
        if pages < 3:
            faults.append(f"{folder}: report.{language}.pdf has {pages} pages")
        html = (folder / f"report.{language}.html").read_text(encoding="utf-8")
        outside = re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//[^"'\s>]+|url\(\s*["']?https?:""", html)
        if outside:
            faults.append(f"{folder}: report.{language}.html refers to {outside[:3]}")
        with zipfile.ZipFile(folder / f"report.{language}.docx") as archive:
            if archive.testzip():
                faults.append(f"{folder}: report.{language}.docx is damaged")
        tables = docx.Document(str(folder / f"report.{language}.docx")).tables
        if "verdicts" in bundle.tables and not any(word in cell.text for t in tables for cell in t.rows[0].cells):
            faults.append(f"{folder}: report.{language}.docx holds no verdict table")
    return faults


if __name__ == "__main__":
    found = [fault for study in STUDIES for fault in look_at(Path(sys.argv[1]) / study)]
    print("\n".join(found) or f"{len(STUDIES)} studies, every promised output opens")
    sys.exit(bool(found))
