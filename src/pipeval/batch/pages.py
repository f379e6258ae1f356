"""The pages over all reports of a folder: `index.html`, `status.json`, `verdicts.xlsx`, made from the records beside them.

The same records give the same bytes, and pages that would say the same are not written again.

`status.json` holds `schema_version`; `pages` (digests of what the pages were made from and of the two others); `counts`
(`studies`, `reports`, `states`: state → studies, `moved`: verdicts and numbers); and `studies`, by name, each with `study`,
`state`, `stale` (its report was made from other inputs than those there now, also when the attempt to make it again failed),
`stands` (its report was made from the inputs there now; only the last run, asked for by `--force`, failed), `why`, `report` and
`failure`: their `run.json`, or null. A state is `current`, `stale`, `failed`, `missing` (no report) or `unknown` (not in this run).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PipevalError
from ..report.text import by_language, languages, read_text

if TYPE_CHECKING:
    from ..report.bundle import Bundle

INDEX, STATUS, BOOK = "index.html", "status.json", "verdicts.xlsx"
"""The pages, by name."""

SCHEMA_VERSION = "1.1"
"""The version of the shape of `status.json`: a new key adds to the second number, a key that changes or goes to the first."""

NOT_RUN = "not in this run"
"""The reason of a study whose inputs nobody has looked at."""

STATES = ("failed", "missing", "stale", "unknown", "current")
"""What may be true of a study, what needs attention first."""

_TAKEN = (
    "level", "component", "unit", "direction", "attainment", "evidence", "baseline", "current", "value", "target", "change",
    "effect", "effect_low", "effect_high", "p_value", "mde", "due",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one study: its state and the reasons, the record of its report and that of its last failure, if any."""

    study: str
    state: str
    why: tuple[str, ...]
    report: Mapping[str, Any] | None
    failure: Mapping[str, Any] | None

    @property
    def known(self) -> Mapping[str, Any]:
        """The record that describes the study: of its report, else of its failure, else nothing."""
        return self.report or self.failure or {}

    @property
    def stands(self) -> bool:
        """Whether the report holds although the last run of the study failed: one that was only asked for (`--force`)."""
        return self.report is not None and self.failure is not None and not self.why

    @property
    def stale(self) -> bool:
        """Whether there is a report made from other inputs than those there now."""
        return self.report is not None and bool(self.why) and self.why != (NOT_RUN,)


def headline(bundle: Bundle) -> list[dict[str, Any]]:
    """The verdicts of a report as its record keeps them, one dict an indicator, in the order of the log frame.

    `indicator`; `name` and `text`, by language; then columns of the table `verdicts` as they are, None where undefined: `level,
    component, unit, direction, attainment, evidence, baseline, current, value, target, change, effect, effect_low, effect_high,
    p_value, mde, due`. Empty for a study that gives no verdicts.

    >>> from types import SimpleNamespace
    >>> table = SimpleNamespace(columns=["id", "text_en", "attainment", "evidence"], rows=[["G1", "Sales rise", "met", "adverse"]])
    >>> row, = headline(SimpleNamespace(tables={"verdicts": table}))
    >>> row["indicator"], row["text"], row["attainment"], row["evidence"], row["effect"]
    ('G1', {'en': 'Sales rise'}, 'met', 'adverse', None)
    """
    names = {row["id"]: _said(row, "name") for row in _rows(bundle, "indicators")}
    return [
        {"indicator": row["id"], "name": names.get(row["id"], {}), "text": _said(row, "text")} | {c: row.get(c) for c in _TAKEN}
        for row in _rows(bundle, "verdicts")
    ]


def standings(records: Iterable[Mapping[str, Any]], why: Mapping[str, Sequence[str]]) -> list[Standing]:
    """What is known of each study, by name: records of one study joined, with the reasons why its report is stale."""
    reports, failures = {}, {}
    for record in records:
        (failures if record.get("status") == "failed" else reports)[record["study"]] = record
    found = []
    for study in sorted({*reports, *failures, *why}, key=lambda name: (name.casefold(), name)):
        reasons, report, failure = tuple(why.get(study, [NOT_RUN])), reports.get(study), failures.get(study)
        state = "failed" if failure else "missing" if not report else "unknown" if reasons == (NOT_RUN,) else ""
        found.append(Standing(study, state or ("stale" if reasons else "current"), reasons, report, failure))
    return found


def counted(found: Sequence[Standing]) -> dict[str, Any]:
    """How many studies, reports, studies of each state, and verdicts and numbers that moved since the reports before."""
    moved = [one.report.get("moved") or {} for one in found if one.report]
    return {
        "studies": len(found),
        "reports": sum(one.report is not None for one in found),
        "states": {state: sum(one.state == state for one in found) for state in STATES},
        "moved": {kind: sum(of.get(kind) or 0 for of in moved) for kind in ("verdicts", "numbers")},
    }


def write_pages(shelf, records: Sequence[Mapping[str, Any]], why: Mapping[str, Sequence[str]]) -> None:
    """Write the pages over all reports of a shelf, unless those there say the same already.

    Parameters
    ----------
    shelf : Shelf
        Where they go.
    records : list of dict
        The `run.json` of every report and every last failure.
    why : dict
        Study → why it would have to run now: nothing for one that is up to date, `not in this run` for one nobody has looked at.

    Raises
    ------
    PipevalError
        When a page cannot be written, as on Windows while a spreadsheet has it open. The others are written all the same.
    """
    from .index import index_page
    from .workbook import roll_up

    found = standings(records, why)
    language = _language(found)
    status = _status(found)
    made_from = hashlib.sha256(b"\0".join([status, language.encode(), _makers(language)])).hexdigest()
    if _stands(shelf, made_from):
        return
    text = read_text(language)
    pages = {INDEX: index_page(found, text).encode(), BOOK: roll_up(found, text)}
    digests = {"made_from": made_from} | {name: hashlib.sha256(content).hexdigest() for name, content in pages.items()}
    pages[STATUS] = _status(found, digests)
    refused = []
    for name, content in pages.items():
        try:
            shelf.write(name, content)
        except (OSError, PipevalError) as error:
            refused.append(f"{name} ({getattr(error, 'strerror', None) or error})")
    if refused:
        raise PipevalError(
            f"the pages over the reports must be writable; refused: {', '.join(refused)}. Close the programs that have them open "
            "and run the batch again: the reports themselves are published, and nothing is computed twice"
        )


def _language(found: Sequence[Standing]) -> str:
    """The language that most studies report in; of several, the one that most name first."""
    shipped = languages()
    spoken = [[code for code in one.known.get("languages") or [] if code in shipped] for one in found]
    every, first = Counter(code for codes in spoken for code in set(codes)), Counter(codes[0] for codes in spoken if codes)
    return min(every, key=lambda code: (-every[code], -first[code], code), default="en")


def _status(found: Sequence[Standing], digests: Mapping[str, str] | None = None) -> bytes:
    """The content of `status.json`."""
    studies = [
        {
            "study": one.study,
            "state": one.state,
            "stale": one.stale,
            "stands": one.stands,
            "why": one.why,
            "report": one.report,
            "failure": one.failure,
        }
        for one in found
    ]
    content = {"schema_version": SCHEMA_VERSION, "pages": digests or {}, "counts": counted(found), "studies": studies}
    # A surrogate, which no text in UTF-8 can hold, becomes the escape that JSON has for it.
    indent = 1 if digests else None  # what is only hashed is written by the fast writer
    return json.dumps(content, indent=indent, sort_keys=True, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


@cache
def _makers(language: str) -> bytes:
    """A digest of everything beside the records that decides what the pages look like."""
    here, report = Path(__file__).parent, files("pipeval.report")
    sources = [here / name for name in ("pages.py", "index.py", "workbook.py")]
    sources += [report / "sheets.py", report / "tables.py", report / "text.py", report / "text" / f"{language}.yaml"]
    sources += [report / "template" / name for name in ("index.html", "index.css", "style.css", "report.js")]
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).digest()


def _stands(shelf, made_from: str) -> bool:
    """Whether the pages on the shelf were made from the same, and are as they were written."""
    try:
        digests = json.loads(shelf.read(STATUS) or b"{}").get("pages", {})
        if digests.get("made_from") != made_from:
            return False
        return all(hashlib.sha256(shelf.read(name) or b"").hexdigest() == digests.get(name) for name in (INDEX, BOOK))
    except (OSError, ValueError, AttributeError):
        return False


def _rows(bundle: Bundle, table: str) -> list[dict[str, Any]]:
    data = bundle.tables.get(table)
    return [dict(zip(data.columns, row, strict=True)) for row in data.rows] if data else []


def _said(row: Mapping[str, Any], column: str) -> dict[str, str]:
    return {language: words for language, words in by_language(row, column).items() if isinstance(words, str) and words}
