"""The page for a committee: one A4 page that says what was asked, the answer, the verdicts, and where the rest is."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

from ..errors import PipevalError
from .bundle import Bundle
from .document import cover, one_page
from .drawing import FIGURES, STYLE
from .paper import Paper, shipped
from .pdf import set_pdf
from .tables import read_layout
from .text import Text, escape

SIZES = (10, 9.5, 9, 8.5)  # points of the type, from the largest
_WIDTH, _DPI = 4.1, 220  # of the figure: inches, so that its words can be read at half the page's width
_FLATTER, _LEAST = 0.82, 2.0  # its height: of the report's figure, and at least so many inches
_COLUMNS = re.compile(rb"^( +columns: )\(((?:[\d.]+%,? ?)+)\),$", re.MULTILINE)  # of a table, as pandoc writes them
_TEXT, _WIDE = 18, 30  # per cent of a table from which a column may wrap, where another is as wide as the second
_LEFT_OUT = ("place", "author")  # facts of the cover that the page has no room for
_FIGURES = ("effects", "power")


def summary_maker(paper: Paper) -> Callable[[Paper], Path]:
    """What writes the page of this paper: its figures are drawn now, for matplotlib's settings belong to the whole process."""
    return partial(summary, figures=drawn(paper))


def summary(paper: Paper, figures: dict[str, bytes] | None = None) -> Path:
    """Write `summary.<language>.pdf`: one A4 page, PDF/UA-1, in the language of the paper; the same bundle gives the same bytes.

    The type shrinks from 10 to 8.5 points until the page holds everything; then the blocks that the outline calls `optional` leave,
    the last first. What still needs more room, as thirty goals with long names do, goes on overleaf: a verdict is never left out.
    `figures` are pictures (PNG) by name, else they are drawn.
    """
    with tempfile.TemporaryDirectory(dir=paper.folder) as scratch:
        for source in _drafts(paper, drawn(paper) if figures is None else figures, Path(scratch)):
            if _pages(source, paper) == 1:
                break
        return set_pdf(source, paper.target("summary", "pdf"), paper)


def drawn(paper: Paper) -> dict[str, bytes]:
    """The figures of the page as PNG, at the size at which they are read; outcomes without a target stay in the report."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    made, bundle = {}, _aimed_at(paper.bundle)
    words = _words(paper)
    with rc_context(STYLE | {"font.size": 8, "legend.fontsize": 7.5}):
        for name in _FIGURES:
            table, paint = FIGURES[name]
            figure = paint(bundle, words) if bundle.has(table) else None
            if figure is None:
                continue
            figure.set_size_inches(_WIDTH, max(_LEAST, _FLATTER * figure.get_size_inches()[1]))
            figure.set_dpi(_DPI)
            for legend in figure.legends:
                legend.set_ncols(2)
            picture = BytesIO()
            FigureCanvasAgg(figure).print_png(picture, metadata={"Software": None})
            made[name] = picture.getvalue()
    return made


def page_words(text: Text, stage: str) -> Text:
    """The words of the page: those of the report, those of `one_page` laid over them, and over both those of its stage.

    >>> from pipeval.report.text import read_text
    >>> page_words(read_text("en"), "final").say("figure.effects.caption")
    'Effects against their targets'
    """
    entries = dict(text.entries)
    for over in ("one_page.", f"one_page.{stage}."):
        entries |= {key.removeprefix(over): value for key, value in text.entries.items() if key.startswith(over)}
    return replace(text, entries=entries)


def _drafts(paper: Paper, pictures: dict[str, bytes], scratch: Path) -> Iterator[bytes]:
    """The page in Typst, each draft taking less room than the one before."""
    words = _words(paper)
    figures = {name: (scratch / f"{name}.png").relative_to(paper.folder) for name in pictures}
    for name, picture in pictures.items():
        (paper.folder / figures[name]).write_bytes(picture)
    # The full report names the source of each table.
    bundle = paper.bundle.model_copy(update={"provenance": {}})
    optional = sum(block.get("optional", False) for block in read_layout().sections["one_page"])
    last = ""
    for without in range(optional + 1):
        body = one_page(bundle, words, figures, without)
        if body == last:
            continue
        last = body
        for size in SIZES if without == 0 else SIZES[-1:]:
            yield _typst(replace(paper, bundle=bundle, text=words), body, size, scratch)


def _typst(paper: Paper, body: str, size: float, scratch: Path) -> bytes:
    source, metadata = scratch / "one_page.md", scratch / "one_page.json"
    # A page of its own has no side to lie on.
    source.write_text(body.replace(" .data .wide ", " .data "), encoding="utf-8", newline="\n")
    metadata.write_text(json.dumps(_title_block(paper, size), ensure_ascii=False), encoding="utf-8")
    page = replace(paper, source=source, metadata=metadata)
    made = page.pandoc("--to=typst", f"--lua-filter={shipped('typst.lua')}", f"--template={shipped('one_page.typ')}")
    return _COLUMNS.sub(_fitted, made)


def _fitted(columns: re.Match[bytes]) -> bytes:
    """The columns of a table, of which the report's widths are for its page: texts share what the others do not need."""
    parts = [float(part) for part in columns[2].replace(b",", b"").split(b"%")[:-1]]
    parts = [100 * part / sum(parts) for part in parts]
    least = _TEXT if max(parts) > _WIDE else max(parts)
    widths = [f"{part:.0f}fr" if part >= least else "auto" for part in parts]
    return columns[1] + f"({', '.join(widths)},),".encode()


def _title_block(paper: Paper, size: float) -> dict[str, object]:
    """The metadata of the report's cover, and what only this page says; each value is Markdown."""
    text = paper.text
    report, annex = (f"`{paper.target(*name).name}`" for name in (("report", "pdf"), ("annex", "xlsx")))
    metadata = cover(paper.bundle, text, paper.look)
    left_out = [escape(text.label("key", key)) for key in _LEFT_OUT]
    return metadata | {
        "facts": [fact for fact in metadata["facts"] if fact["name"] not in left_out],
        "accent": paper.look.accent.removeprefix("#"),
        "size": f"{size:g}",
        "kind": text.say("page.of"),
        "more": text.say("page.more"),
        "there": text.say("page.there", {"report": report, "annex": annex}),
        "logo-alt": text.say("web.logo"),
    }


def _words(paper: Paper) -> Text:
    return page_words(paper.text, paper.bundle.study.get("stage", "final"))


def _aimed_at(bundle: Bundle) -> Bundle:
    """The bundle with the effects of outcomes that have a target only, where any has one."""
    aimed = [o["id"] for o in bundle.study.get("outcomes", []) if o.get("relevant_effect") is not None]
    tables = dict(bundle.tables)
    for name in ("effects", "power"):
        held = tables.get(name)
        if held is None or "outcome" not in held.columns:
            continue
        at = held.columns.index("outcome")
        rows = [row for row in held.rows if row[at] in aimed]
        if rows:
            tables[name] = held.model_copy(update={"rows": rows})
    return bundle.model_copy(update={"tables": tables})


def _pages(source: bytes, paper: Paper) -> int:
    """How many pages typst makes of it."""
    import typst

    with tempfile.NamedTemporaryFile("wb", suffix=".typ", dir=paper.folder, delete=False) as draft:
        draft.write(source)
    try:
        found = typst.query(draft.name, "<pages>", field="value", one=True, root=str(paper.folder), ignore_system_fonts=True)
    except RuntimeError as error:
        raise PipevalError(
            f"the summary of '{paper.text.language}' could not be set: {error}. Please report this with results.json"
        ) from error
    finally:
        Path(draft.name).unlink()
    return int(json.loads(found))
