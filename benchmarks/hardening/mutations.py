"""Ways to spoil a study's files, each by a seeded generator: kind of mutation → function of a generator and the files."""

from __future__ import annotations

import copy
import csv
import io
import json
import random
from collections.abc import Callable

import yaml

Files = dict[str, bytes]

HOSTILE = (
    "", " ", "\t", "0", "-1", "1e400", "-1e400", "1e308", "1e-320", "nan", "NaN", "inf", "-Infinity", "NULL", "None", "N/A",
    "#N/A", "#REF!", "true", "FALSE", "yes", "1,5", "1.234,5", "1 000", "1_000", "0x10", "1e5", "+5", "5.", ".5", "٣", "１２", "½",
    "²", "1e", "--1", "9" * 400, "18446744073709551617", "-9223372036854775809", "9007199254740993", "=1+1",
    "=cmd|' /C calc'!A0", "@SUM(A1)", "+1-1", "-", "<script>alert(1)</script>", "{{ x }}", "${HOME}", "%s%n", "../../etc/passwd",
    "C:\\con", "a\x00b", "a\x1bb", "a\u202eb", "a\u200bb", "\ufeffF01", "F01 ", "f01", "Ｆ01", "e\u0301", "🏭" * 50, "x" * 40_000,
    "a\nb", "a\r\nb", "a,b", 'a"b', "'a'", "a|b", "a::b", "a;b", "\udcff", "2004-02-30", "2004-2-3", "31/12/2004", "2004",
    "20040101", "1699-01-01", "9999-12-31", "2004-01-01T25:00", "2004-01-01 12:00", "0000-00-00", "2004-01-01x", "12:30",
    "2262-04-12", "1.0", "01", "1900", "2100", "2101", "2003.5", "2003.0", "beneficiary", "Beneficiary", "control",
)  # fmt: skip
"""Cells that are of the wrong kind, of no kind, or look like one."""

VALUES = (
    None, True, False, 0, 1, -1, 2, 3.5, 1e308, float("inf"), float("nan"), 10**30, "", " ", "x", "no", "2004", "0.5",
    "2006-13-01", "2006-03-31", "31/03/2006", [], [1], ["x"], [None], {}, {"x": 1}, {"x": {"x": "x"}}, {1: 2}, {None: "x"},
    {True: "x"}, [[["x"]]], "a" * 5_000, "../out", "/etc/passwd", "C:\\x", "data/\x00", "\u202e", "<b>", "=1+1", "survey",
    "sales", "ln_workers", "dr", "final", "en", "😀", "nan",
)  # fmt: skip
"""Values of every type that a key of a params file may be given."""

TREES = ("params/small.yaml", "params/shared.yaml", "params/logframe.yaml", "params/small.lock.json")
CSV = ("data/enterprises.csv", "data/survey.csv", "data/series.csv", "data/services.csv", "data/corrections.csv")


def rows_of(content: bytes) -> list[list[str]]:
    """The cells of a clean CSV file."""
    return list(csv.reader(io.StringIO(content.decode(errors="surrogateescape"), newline="")))


def as_csv(rows: list[list[str]], **style) -> bytes:
    """Cells as CSV; a text that UTF-8 cannot hold is written as the bytes it stands for."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n", **style).writerows(rows)
    return out.getvalue().encode(errors="surrogateescape")


def one_cell(rng: random.Random, files: Files, name: str = "") -> None:
    """One cell of a table, the header included, becomes something hostile."""
    name = name or rng.choice(CSV)
    rows = rows_of(files[name])
    at = rng.randrange(0 if rng.random() < 0.05 else 1, len(rows))
    rows[at][rng.randrange(len(rows[at]))] = rng.choice(HOSTILE)
    files[name] = as_csv(rows)


def several_cells(rng: random.Random, files: Files) -> None:
    """Two to forty cells become hostile."""
    for _ in range(rng.choice((2, 5, 40))):
        one_cell(rng, files, rng.choice(CSV[:2]))


def whole_column(rng: random.Random, files: Files) -> None:
    """Every cell of a column becomes the same hostile value, or one of several."""
    name = rng.choice(CSV)
    rows = rows_of(files[name])
    at, values = rng.randrange(len(rows[0])), rng.sample(HOSTILE, rng.choice((1, 3)))
    for row in rows[1:]:
        row[at] = rng.choice(values)
    files[name] = as_csv(rows)


def swapped_cells(rng: random.Random, files: Files) -> None:
    """Two cells of a row change places: each value is plausible, in the wrong column."""
    name = rng.choice(CSV)
    rows = rows_of(files[name])
    row = rng.choice(rows[1:])
    a, b = rng.sample(range(len(row)), 2)
    row[a], row[b] = row[b], row[a]
    files[name] = as_csv(rows)


def columns(rng: random.Random, files: Files) -> None:
    """A column is dropped, renamed, doubled, moved, or one is added."""
    name = rng.choice(CSV)
    rows = rows_of(files[name])
    at, how = rng.randrange(len(rows[0])), rng.choice(("drop", "rename", "double", "move", "add", "spaces", "case", "empty"))
    to = rng.randrange(len(rows[0]) + 1)
    fresh = rng.choice(("firm_id", "notes", "sales", "ref_yaer", "", "Unnamed: 0", "x" * 5_000, "sales_kmxn.1", "closed_on"))
    for number, row in enumerate(rows):
        if how == "drop":
            del row[at]
        elif how in ("double", "move"):
            row.insert(to, row[at] if how == "double" else row.pop(at))
        elif how == "add":
            row.insert(to, rng.choice(HOSTILE) if number else fresh)
        elif number == 0:
            row[at] = {"rename": fresh, "spaces": f" {row[at]} ", "case": row[at].upper(), "empty": ""}[how]
    files[name] = as_csv(rows)


def rows(rng: random.Random, files: Files) -> None:
    """Rows are doubled, deleted, shuffled, cut short, made long, or blank ones stand between."""
    name = rng.choice(CSV)
    head, *body = rows_of(files[name])
    how = rng.choice(("double", "delete", "shuffle", "keep", "short", "long", "blank", "none", "header"))
    at = rng.randrange(len(body))
    if how in ("double", "header", "blank"):
        body.insert(rng.randrange(len(body) + 1), {"double": list(body[at]), "header": list(head), "blank": [""] * len(head)}[how])
    elif how == "delete":
        body = [row for row in body if rng.random() > 0.2]
    elif how == "shuffle":
        rng.shuffle(body)
    elif how in ("keep", "none"):
        body = body[: 0 if how == "none" else rng.randrange(1, 5)]
    elif how == "short":
        body[at] = body[at][: rng.randrange(1, len(head))]
    else:
        body[at] = [*body[at], rng.choice(HOSTILE)]
    files[name] = as_csv([head, *body])


def dialect(rng: random.Random, files: Files) -> None:
    """Another separator, other quotes, other ends of lines, byte-order marks, another encoding."""
    name = rng.choice(CSV)
    cells, text = rows_of(files[name]), files[name].decode()
    how = rng.randrange(12)
    files[name] = {
        0: lambda: as_csv(cells, delimiter=";"),
        1: lambda: as_csv(cells, delimiter="\t"),
        2: lambda: as_csv(cells, delimiter="|"),
        3: lambda: as_csv(cells, quoting=csv.QUOTE_ALL),
        4: lambda: as_csv(cells, quotechar="'", quoting=csv.QUOTE_ALL),
        5: lambda: text.replace("\n", "\r\n").encode(),
        6: lambda: text.replace("\n", "\r").encode(),
        7: lambda: text.encode("utf-8-sig"),
        8: lambda: text.encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-7"))),
        9: lambda: text.encode(rng.choice(("latin-1", "cp1252", "cp850"))),
        10: lambda: b"sep=,\n" + files[name],
        11: lambda: files[name].rstrip(b"\n") + rng.choice((b"", b"\x1a", b"\n\n\n", b",,,\n", b"\n# end\n")),
    }[how]()


def stray_quote(rng: random.Random, files: Files) -> None:
    """A quotation mark, an apostrophe, a separator or the end of a line where none belongs."""
    name = rng.choice(CSV)
    at = rng.randrange(len(files[name]))
    files[name] = files[name][:at] + rng.choice((b'"', b"'", b",", b"\n", b"\r", b'","', b'"\n')) + files[name][at:]


def raw_bytes(rng: random.Random, files: Files) -> None:
    """Bytes of any file are flipped, zeroed, cut, doubled, put in or taken out."""
    name = rng.choice([n for n in files if n.startswith(("data/", "params/"))])
    content = bytearray(files[name])
    at = rng.randrange(len(content))
    how, size = rng.randrange(8), rng.choice((1, 2, 16, 200))
    if how <= 1:
        for _ in range(size if how else 1):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif how == 2:
        del content[at:]
    elif how == 3:
        content[at:at] = rng.randbytes(size)
    elif how == 4:
        del content[at : at + size]
    elif how == 5:
        content[at:at] = content[at : at + size]
    elif how == 6:
        content[at : at + size] = bytes(len(content[at : at + size]))
    else:
        content[at:at] = b"\x00"
    files[name] = bytes(content)


def places(tree: object, path: tuple = ()) -> list[tuple]:
    """Every place of a tree of mappings and lists, its root left out."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in inner for place in ((*path, key), *places(value, (*path, key)))]


def decisions(rng: random.Random, files: Files) -> None:
    """Keys of params, log frame or lock get a value of another type, go, or change their name."""
    name = rng.choice(TREES)
    tree = yaml.safe_load(files[name])
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        path = rng.choice(places(tree) or [()])
        if not path:
            break
        holder = tree
        for step in path[:-1]:
            holder = holder[step]
        how = rng.choice(("value", "value", "value", "delete", "rename", "add", "own"))
        if how == "value":
            holder[path[-1]] = copy.deepcopy(rng.choice(VALUES))
        elif how == "own":  # a value that stands elsewhere in the file
            other = tree
            for step in rng.choice(places(tree)):
                other = other[step]
            holder[path[-1]] = copy.deepcopy(other)
        elif how == "delete" or isinstance(holder, list):
            del holder[path[-1]]
        else:
            value = holder.pop(path[-1]) if how == "rename" else copy.deepcopy(rng.choice(VALUES))
            holder[rng.choice((f"{path[-1]}x", "study", "extra", "", 1, None, True, "sweep", "extends"))] = value
    as_json = name.endswith(".json")
    files[name] = (json.dumps(tree, default=str) if as_json else yaml.safe_dump(tree, allow_unicode=True)).encode(errors="replace")


YAML_TEXTS = (
    "a: &a [x,x,x]\nb: &b [*a,*a,*a]\n", "<<: {study: x}\n", "[" * 2_000, "{a: " * 500, "? ? ? ?\n",
    "study: !!python/object/apply:os.system ['x']\n", "study: !!binary aGk=\n", "%YAML 9.9\n---\nstudy: x\n",
    "---\nstudy: x\n---\nstudy: y\n", "\tstudy: x\n", "study: 'x\n", "study: |\n  x\n", "k" * 100_000 + ": 1\n",
    "- " * 3_000 + "x\n", "study: 0o7777777777777777777\n", "as_of: 2006-03-31\n", "as_of: 9999-99-99\n",
    "as_of: 2006-03-31T01:02:03+99:00\n", "study: 1:2:3:4:5\n", "x: 1e\n", "x: .inf\n", "x: !!int 'a'\n", "x: !!timestamp '1'\n",
    "\ufeffstudy: x\n", "\x00", "\x07", "null", "5", "[]", "'text'", "# nothing\n", "study: small\nstudy: small2\n", "=: 1\n",
    "x: =\n", "sweep: {}\n", "sweep: {logframe: [dini, own]}\n", "extends: small.yaml\n", "extends: [1]\n", "? [a]\n: 1\n",
    "? {a: 1}\n: 1\n",
)  # fmt: skip
"""Texts that a YAML reader meets seldom."""


def yaml_text(rng: random.Random, files: Files) -> None:
    """A params file or log frame is preceded, followed or replaced by a strange text."""
    name = rng.choice(TREES[:3])
    text, how = rng.choice(YAML_TEXTS).encode(), rng.randrange(3)
    files[name] = (text + files[name], files[name] + text, text)[how]


def absent(rng: random.Random, files: Files) -> None:
    """A file is not there, is empty, is another one of the study, or stands under another name."""
    name = rng.choice(list(files))
    how = rng.randrange(4)
    content = files.pop(name)
    if how == 1:
        files[name] = b""
    elif how == 2:
        files[name] = files[rng.choice(list(files))]
    elif how == 3:
        files[rng.choice((name.upper(), name + ".bak", name.replace(".csv", ".CSV"), name.replace(".csv", ".xlsx")))] = content


KINDS: dict[str, Callable[[random.Random, Files], None]] = {
    f.__name__: f
    for f in (
        one_cell, several_cells, whole_column, swapped_cells, columns, rows, dialect, stray_quote, raw_bytes,
        decisions, yaml_text, absent,
    )
}  # fmt: skip
"""The mutations of texts; those of workbooks, Stata and Parquet files stand in `binary_tables`."""
