"""The HTML report: one file that opens without a network."""

from __future__ import annotations

from pathlib import Path

from .paper import Paper, shipped


def web(paper: Paper) -> Path:
    """Write `report.<language>.html`; an institution's style sheet is laid over ours."""
    target = paper.target("report", "html")
    styles = [f"--css={path}" for path in (shipped("style.css"), paper.look.style) if path]
    paper.pandoc(
        "--to=html5",
        f"--lua-filter={shipped('web.lua')}",
        f"--template={shipped('report.html')}",
        *styles,
        f"--variable=script:{shipped('report.js')}",
        "--embed-resources",
        "--section-divs",
        # The title is the one heading of level 1.
        "--shift-heading-level-by=1",
        "--toc",
        "--toc-depth=3",
        "--number-sections",
        f"--output={target}",
    )
    return target
