"""What the theme leaves out for keyboards and screen readers: levels of headings, names of regions, a way into what scrolls."""

from __future__ import annotations

import re
from pathlib import Path

_WIDE = re.compile(r'<div class="(table-wrapper [^"]*)">')
_COMPLETED = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="Pages">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="On this page">',
    "<pre>": '<pre tabindex="0">',
}


def completed(page: str) -> str:
    """A page of HTML with them."""
    for said, meant in _COMPLETED.items():
        page = page.replace(said, meant)
    return _WIDE.sub(r'<div class="\1" tabindex="0">', page)


def _finish(app, exception) -> None:
    if exception is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            path.write_text(completed(path.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def setup(app) -> dict:
    app.connect("build-finished", _finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
