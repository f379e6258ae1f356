"""From a bundle's folder to paper: HTML, Word and PDF in each language, and the Excel annex once.

bundle → Markdown → pandoc → HTML, DOCX and Typst → PDF. Nothing is fetched; the same bundle gives the same bytes.
"""

from __future__ import annotations

import calendar
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path

from ..errors import PipevalError
from .annex import annex
from .bundle import Bundle, read_bundle
from .document import cover, markdown
from .figures import draw
from .labels import study_words
from .sentences import programme_name
from .text import Text, read_text
from .word import finish, reference

# Only what the report uses: no raw HTML, TeX, citations or footnotes, so that data can never become markup.
_READER = (
    "markdown_strict-raw_html+all_symbols_escapable+pipe_tables+table_captions+fenced_divs+bracketed_spans+header_attributes"
    "+link_attributes+implicit_figures+backtick_code_blocks+four_space_rule"
)


def render(folder: str | Path, languages: Sequence[str] = ()) -> list[Path]:
    """Write `report.<language>.html`, `.docx` and `.pdf` and `annex.xlsx` into the bundle's folder.

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
        waiting = [pool.submit(*job) for text in words for job in _prepared(bundle, text, folder, Path(scratch))]
        book = annex(bundle, words[0], folder / "annex.xlsx")
        return [*(done.result() for done in waiting), book]


def _prepared(bundle: Bundle, text: Text, folder: Path, scratch: Path) -> list[tuple]:
    """Draw the figures and write the Markdown of one language; what remains is one job a format."""
    drawn = draw(bundle, folder, text)
    figures = {name: path.relative_to(folder) for name, path in drawn.items()}
    source = scratch / f"report.{text.language}.md"
    source.write_text(markdown(bundle, text, figures), encoding="utf-8", newline="\n")
    title = scratch / f"cover.{text.language}.json"
    title.write_text(json.dumps(cover(bundle, text), ensure_ascii=False), encoding="utf-8")
    return [(form, source, title, folder, bundle, text) for form in (_html, _docx, _pdf)]


def _html(source: Path, title: Path, folder: Path, bundle: Bundle, text: Text) -> Path:
    target = folder / f"report.{text.language}.html"
    style = _shipped("style.css")
    options = [
        "--to=html5",
        f"--template={_shipped('report.html')}",
        f"--css={style}",
        "--embed-resources",
        "--toc",
        "--toc-depth=2",
    ]
    _pandoc([*_common(source, title), *options, "--number-sections", f"--output={target}"], folder, bundle)
    return target


def _docx(source: Path, title: Path, folder: Path, bundle: Bundle, text: Text) -> Path:
    target = folder / f"report.{text.language}.docx"
    name, stage = programme_name(bundle, text), text.say(f"stage.{bundle.study.get('stage', 'final')}")
    like = source.with_suffix(".reference.docx")
    reference(
        _default_reference(),
        like,
        (name if len(name) < 80 else name[:78] + "…", stage),
        (bundle.study.get("study", ""), text.say("word.page")),
    )
    options = ["--to=docx", f"--reference-doc={like}", "--toc", "--toc-depth=2", "--number-sections", f"--output={target}"]
    _pandoc([*_common(source, title), *options], folder, bundle)
    return finish(target, _facts(title))


def _pdf(source: Path, title: Path, folder: Path, bundle: Bundle, text: Text) -> Path:
    import typst

    target = folder / f"report.{text.language}.pdf"
    options = ["--to=typst", f"--template={_shipped('report.typ')}"]
    body = _pandoc([*_common(source, title), *options], folder, bundle)
    # The Typst file must lie under its root to see figures/; it is removed again.
    with tempfile.NamedTemporaryFile("wb", suffix=".typ", dir=folder, delete=False) as book:
        book.write(body)
    try:
        typst.compile(book.name, output=str(target), root=str(folder), timestamp=_epoch(bundle), ignore_system_fonts=True)
    except RuntimeError as error:
        raise PipevalError(
            f"the PDF of '{text.language}' could not be set: {error}. Please report this with results.json"
        ) from error
    finally:
        Path(book.name).unlink()
    return target


def _common(source: Path, title: Path) -> list[str]:
    # Any table is wider than 10 columns, so pandoc takes the widths that the dashes carry.
    return [
        str(source),
        f"--from={_READER}",
        "--standalone",
        "--columns=10",
        "--wrap=none",
        f"--metadata-file={title}",
        f"--lua-filter={_shipped('captions.lua')}",
    ]


def _facts(title: Path) -> list[tuple[str, str]]:
    import re

    facts = json.loads(title.read_text(encoding="utf-8"))["facts"]
    return [(re.sub(r"\\(.)", r"\1", f["name"]), re.sub(r"\\(.)", r"\1", f["value"])) for f in facts]


def _pandoc(arguments: list[str], folder: Path, bundle: Bundle) -> bytes:
    import pypandoc

    environment = os.environ | {"SOURCE_DATE_EPOCH": str(_epoch(bundle))}
    done = subprocess.run([pypandoc.get_pandoc_path(), *arguments], cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise PipevalError(f"pandoc could not write the report: {done.stderr.decode(errors='replace').strip()[:500]}")
    return done.stdout


@cache
def _default_reference() -> bytes:
    import pypandoc

    command = [pypandoc.get_pandoc_path(), "--print-default-data-file", "reference.docx"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def _shipped(name: str) -> str:
    return str(files("pipeval.report").joinpath("template", name))


def _epoch(bundle: Bundle) -> int:
    """Midnight UTC of the study's as_of: the only date a report carries."""
    day = date.fromisoformat(str(bundle.study.get("as_of", "2000-01-01"))[:10])
    return calendar.timegm(datetime(day.year, day.month, day.day, tzinfo=UTC).timetuple())
