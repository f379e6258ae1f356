"""The page docs/requirements.md from docs/requirements.yaml: `python tests/requirements_page.py` writes it."""

from __future__ import annotations

from pathlib import Path

import yaml

DOCS = Path(__file__).resolve().parents[1] / "docs"

TITLES = {
    "requirements": "Requirements of the two founding documents",
    "positions": "Where the documents contradict themselves or leave a choice: the position held",
    "guanajuato": "Indicators of the programme's log frame (`guanajuato`)",
    "dini": "Indicators of the generic log frame (`dini`)",
    "failures": "Failures that critics point out, and what guards against each",
    "golden": "Golden list: figures known beforehand",
}

HEAD = """# What is asked, and what serves it

Made from `docs/requirements.yaml` by `python tests/requirements_page.py`; `tests/test_requirements.py` proves that every
function, table and test named here exists. A is the donors memorandum TC-03-02-01-3-ME, cited by paragraph; B is Dini, Guaipatín
and Rivas (2005), cited by chapter. Functions are those of the package `pipeval`, tests those of the folder `tests`. A table stands
in a report under that name, or in its annex workbook; `params` and `file` name a decision or a document instead. *But* says what a
function does not do, and why.
"""


def read() -> dict[str, dict[str, dict]]:
    """The sections of the source: section → id → entry."""
    return yaml.safe_load((DOCS / "requirements.yaml").read_text(encoding="utf-8"))


def page(sections: dict[str, dict[str, dict]]) -> str:
    """The page as Markdown, one table a section."""
    parts = [HEAD, _count(sections)]
    for section, entries in sections.items():
        held = ["position"] if section == "positions" else []
        stands = ["from"] if section == "requirements" else []
        names = ["id", "what is asked", *stands, *held, "function", "table", "test"]
        rows = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
        rows += [f"| {' | '.join([key, *_cells(entry, stands, held)])} |" for key, entry in entries.items()]
        parts.append(f"## {TITLES[section]}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _count(sections: dict[str, dict[str, dict]]) -> str:
    entries = [(key, entry) for part in sections.values() for key, entry in part.items()]
    unserved = [key for key, entry in entries if not entry["serves"]]
    partly = sum("reason" in entry for _, entry in entries) - len(unserved)
    return f"{len(entries)} entries; {partly} with a reservation; without a function: {', '.join(unserved) or 'none'}.\n"


def _cells(entry: dict, stands: list[str], held: list[str]) -> list[str]:
    asked = entry["is"] + (f" *But:* {entry['reason']}" if "reason" in entry else "")
    texts = [asked, *(str(entry[name]) for name in (*stands, *held))]
    names = [f"`{name}`" for name in entry["serves"]], [f"`{name}`" for name in entry["tables"]]
    tests = [f"`{test.removeprefix('tests/')}`" for test in entry["tests"]]
    return [text.replace("|", "\\|") for text in (*texts, *(", ".join(x) or "–" for x in (*names, tests)))]


if __name__ == "__main__":
    (DOCS / "requirements.md").write_text(page(read()), encoding="utf-8")
