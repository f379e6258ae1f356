"""The house keeps its shape: walls between floors, sizes, names, documents."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import pipeval
from pipeval.data.schema import data_dictionary

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "pipeval"
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {p: ast.parse(p.read_text(encoding="utf-8")) for p in MODULES}
FLOORS = [
    "errors study",
    "data",
    "baseline",
    "matching",
    "did",
    "monitoring",
    "verdicts",
    "robustness",
    "evaluation stages plan",
    "figures report batch compare release cli new machine __main__",
]
FLOOR = {room: level for level, rooms in enumerate(FLOORS, start=1) for room in rooms.split()}
SOURCES = [
    p
    for folder in ("src", "tests", "docs", "params", "notebooks", ".ci", "benchmarks", "data")
    for p in sorted((ROOT / folder).rglob("*"))
]
SOURCES += [p for p in ROOT.iterdir() if p.suffix in (".md", ".toml") or p.name in (".gitignore", "LICENSE")]


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The rooms that a module imports, in functions and for type checking too."""
    rooms = set()
    for node in ast.walk(TREES[path]):
        names = []
        if isinstance(node, ast.ImportFrom):
            depth = len(path.relative_to(PACKAGE).parts) - node.level
            here = path.relative_to(PACKAGE).parts[:depth] if node.level else ()
            module = ".".join([*(("pipeval", *here) if node.level else ()), *filter(None, [node.module])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {n.split(".")[1] for n in names if n.startswith("pipeval.")}
    return rooms & set(FLOOR)


def code_lines(node: ast.AST) -> int:
    """Lines of a function that hold code: neither its docstring, nor comments, nor blank ones."""
    lines = {n.lineno for n in ast.walk(node) if isinstance(n, ast.stmt | ast.expr)}
    lines |= {n.end_lineno for n in ast.walk(node) if isinstance(n, ast.stmt | ast.expr)}
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= set(range(first.lineno, first.end_lineno + 1))
    return len(lines)


def functions():
    return [
        (f"{name_of(p)}: {n.name}", n)
        for p, t in TREES.items()
        for n in ast.walk(t)
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_the_floors_are_those_of_the_design():
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    listed = [re.findall(r"`(\w+)`", line.split("—")[0]) for line in re.findall(r"^\d+\. (.*)$", text, re.M)]
    assert listed == [[r for r in rooms.split() if r not in ("stages", "plan", "machine", "__main__")] for rooms in FLOORS]


@pytest.mark.parametrize("path", [p for p in MODULES if p.name != "__init__.py" or p.parent != PACKAGE], ids=name_of)
def test_walls(path):
    broken = {r for r in imported(path) if FLOOR[r] > FLOOR[room(path)]}
    assert not broken, f"{name_of(path)} is on floor {FLOOR[room(path)]} and imports {sorted(broken)}"


def test_the_reader_of_imports_sees_them_all():
    assert {"errors", "study", "data", "did", "report"} <= imported(PACKAGE / "report" / "faults.py")
    assert "report" in imported(PACKAGE / "cli.py")  # inside a function
    assert {"baseline", "data", "did"} <= imported(PACKAGE / "stages.py")


def test_matching_is_blind_to_outcomes():
    for path in (PACKAGE / "matching").glob("*.py"):
        assert imported(path) <= {"errors", "study", "data", "matching"}
        # pool.py hands a panel on; panel.py reads the years before entry, and test_match_panel proves that it reads no other
        if path.name not in ("pool.py", "panel.py"):
            assert ".outcomes" not in path.read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short(path):
    limit = 400
    assert len(path.read_text(encoding="utf-8").splitlines()) <= limit


def test_functions_are_short():
    sizes = {name: code_lines(node) for name, node in functions()}
    longest = {n: s for n, s in sizes.items() if s > 60}
    assert not longest, longest
    assert np.quantile(list(sizes.values()), 0.9) <= 35


def test_functions_take_few_arguments():
    for name, node in functions():
        a = node.args
        count = len(a.posonlyargs + a.args + a.kwonlyargs) - (bool(a.args) and a.args[0].arg in ("self", "cls"))
        assert count <= 8, f"{name} takes {count}"
        assert a.kwarg is None, f"{name} takes **{a.kwarg and a.kwarg.arg}"


def test_names():
    bad = [n for n, _ in functions() if re.match(r"(get|do)_", n.split(": ")[1])]
    bad += [name_of(p) for p in MODULES if re.search(r"util|helper|manager", p.name)]
    assert not bad


def test_docstrings():
    lacking = [name_of(p) for p in MODULES if p.name != "__init__.py" and not ast.get_docstring(TREES[p])]
    for path, tree in TREES.items():
        public = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and not n.name.startswith("_")]
        lacking += [f"{name_of(path)}: {n.name}" for n in public if not ast.get_docstring(n)]
    # rules of `check` are named by what they find, and their action is the sentence about them
    assert [n for n in lacking if not n.startswith("data/check.py: ")] == []


@pytest.mark.parametrize("name", pipeval.__all__)
def test_public_names_resolve_and_are_shown(name):
    thing = getattr(pipeval, name)
    assert name in dir(pipeval)
    if callable(thing):
        shown = inspect.getdoc(thing) or ""
        methods = [inspect.getdoc(m) or "" for _, m in inspect.getmembers(thing) if callable(m)] if inspect.isclass(thing) else []
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        books = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "notebooks").glob("*.ipynb"))
        assert any(">>>" in text for text in (shown, *methods)) or f"{name}(" in readme + books, f"{name} has no example"


def test_an_unknown_name_is_said():
    with pytest.raises(AttributeError, match="has no attribute 'macth'; it has .*match"):
        pipeval.macth  # noqa: B018


def test_every_type_checking_name_is_public():
    names = {a.name for n in ast.walk(TREES[PACKAGE / "__init__.py"]) if isinstance(n, ast.ImportFrom) and n.level for a in n.names}
    assert names == set(pipeval.__all__)


def test_the_data_dictionary_is_up_to_date():
    assert (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8") == data_dictionary()


def test_the_version_is_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == pipeval.__version__


@pytest.mark.parametrize(
    "code",
    ["import pipeval", "from pipeval.cli import main; main(['--help'])", "from pipeval.cli import main; main(['--version'])"],
)
def test_nothing_heavy_is_loaded(code):
    heavy = ["pandas", "numpy", "scipy", "matplotlib", "pydantic", "yaml", "statsmodels", "papermill"]
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit: pass\nprint('loaded:', [m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(PACKAGE.parent), "PATH": ""},
        check=True,
    )
    assert done.stdout.strip().endswith("loaded: []"), done.stdout


# Put together from halves, so that this file does not hold them.
_WORDS = [
    "pyp" + "i.org",
    "files.python" + "hosted",
    "conda" + ".anaconda",
    "cran.r-" + "project",
    "npm" + "js",
    "Cla" + "ude",
    "Anth" + "ropic",
    "TO" + "DO",
    "FIX" + "ME",
]
_PLACES = re.compile(
    r"(?<![\w.:/<])/(?:"
    + "|".join(["ho" + "me", "Us" + "ers", "ro" + "ot", "wo" + "rk", "tm" + "p", "mn" + "t"])
    + r")/\w|\.\./"
    + r"shared|[A-Z]:\\Us"
    + "ers"
)


def test_no_foreign_words_or_places():
    found = []
    for path in SOURCES:
        if (
            path.is_file()
            and path.suffix in (".py", ".md", ".toml", ".yaml", ".ipynb", ".json", ".csv", "")
            and "__pycache__" not in path.parts
        ):
            text = path.read_text(encoding="utf-8")
            found += [f"{path.relative_to(ROOT)}: {w}" for w in _WORDS if re.search(rf"\b{re.escape(w)}", text)]
            found += [f"{path.relative_to(ROOT)}: {m}" for m in _PLACES.findall(text)]
    assert not found, found


def test_notebooks_hold_no_functions_and_no_outputs():
    import json

    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = [c for c in cells if c["cell_type"] == "code"]
        assert not any(c["outputs"] or c["execution_count"] for c in code), path.name
        assert not any(re.search(r"^\s*(def|class) ", "".join(c["source"]), re.M) for c in code), path.name


def test_every_module_can_be_imported():
    for path in MODULES:
        if path.name != "__main__.py":
            importlib.import_module(
                ".".join(["pipeval", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")
            )
