"""Docstrings are plain text with a few marks; what reStructuredText would read into them (|, *, a closing _) is escaped."""

from __future__ import annotations

import re

_CODE = re.compile(r"(`+.*?`+|\*\*[^*\s][^*]*\*\*)")
_BULLET = re.compile(r"(\s*\* )(.*)")
_MARKS = re.compile(r"(?<!\\)([|*]|_(?!\w))")


def escaped(lines: list[str]) -> list[str]:
    """The lines with marks escaped outside code, examples and bullets.

    >>> escaped(["|x| of `a|b` is y_ *", "* one | two", ">>> 2 * 3"])
    ['\\\\|x\\\\| of `a|b` is y\\\\_ \\\\*', '* one \\\\| two', '>>> 2 * 3']
    """
    text = _joined_code(lines)
    told, example = [], False
    for line in text:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        told.append(line if example else _prose(line))
    return told


def _joined_code(lines: list[str]) -> list[str]:
    """Code that runs over the end of a line is closed there and opened again on the next."""
    made, odd = [], False
    for line in lines:
        if not line.strip():
            odd = False
        here = f"{line[: len(line) - len(line.lstrip())]}`{line.lstrip()}" if odd else line
        odd = here.replace("``", "").count("`") % 2 == 1
        made.append(f"{here}`" if odd else here)
    return made


def _prose(line: str) -> str:
    bullet = _BULLET.fullmatch(line)
    mark, rest = bullet.groups() if bullet else ("", line)
    parts = _CODE.split(rest)
    return mark + "".join(part if i % 2 else _MARKS.sub(r"\\\1", part) for i, part in enumerate(parts))


def _process(app, what, name, obj, options, lines: list[str]) -> None:
    lines[:] = escaped(lines)


def setup(app) -> dict:
    app.connect("autodoc-process-docstring", _process, priority=400)  # before the sections are read
    return {"parallel_read_safe": True, "parallel_write_safe": True}
