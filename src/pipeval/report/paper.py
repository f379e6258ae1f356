"""What every paper needs: the job of one language, pandoc, the shipped templates, the one date."""

from __future__ import annotations

import calendar
import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path

from ..errors import PipevalError
from .bundle import Bundle
from .look import Look
from .text import Text

# Only what the report uses: no raw HTML, TeX, citations or footnotes, so that data can never become markup.
READER = (
    "markdown_strict-raw_html+all_symbols_escapable+pipe_tables+table_captions+fenced_divs+bracketed_spans+header_attributes"
    "+link_attributes+implicit_figures+backtick_code_blocks+four_space_rule"
)


@dataclass(frozen=True, slots=True)
class Paper:
    """One language of a report, ready to be set: its Markdown and the metadata of its cover, and what they were made of."""

    source: Path
    metadata: Path
    folder: Path
    bundle: Bundle
    text: Text
    look: Look

    def target(self, name: str, ending: str) -> Path:
        """Where a paper of this language lies: `<name>.<language>.<ending>`."""
        return self.folder / f"{name}.{self.text.language}.{ending}"

    def pandoc(self, *options: str) -> bytes:
        """The Markdown through pandoc, with the numbering of captions first; what it writes to standard output."""
        common = [
            str(self.source),
            f"--from={READER}",
            "--standalone",
            # Any table is wider than 10 columns, so pandoc takes the widths that the dashes carry.
            "--columns=10",
            "--wrap=none",
            f"--metadata-file={self.metadata}",
            f"--lua-filter={shipped('captions.lua')}",
        ]
        return run_pandoc([*common, *options], self.folder, epoch(self.bundle))


def run_pandoc(arguments: list[str], folder: Path, stamp: int) -> bytes:
    """Run pandoc in a folder; documents carry the date `stamp` (seconds), so the same input gives the same bytes."""
    import pypandoc

    environment = os.environ | {"SOURCE_DATE_EPOCH": str(stamp)}
    command = [pypandoc.get_pandoc_path(), *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise PipevalError(f"pandoc could not write the report: {done.stderr.decode(errors='replace').strip()[:500]}")
    return done.stdout


def shipped(name: str) -> str:
    """The path of a template of the package."""
    return str(files("pipeval.report").joinpath("template", name))


def epoch(bundle: Bundle) -> int:
    """Midnight UTC of the study's as_of: the only date a report carries."""
    day = date.fromisoformat(str(bundle.study.get("as_of", "2000-01-01"))[:10])
    return calendar.timegm(datetime(day.year, day.month, day.day, tzinfo=UTC).timetuple())
