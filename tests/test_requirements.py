"""docs/requirements.yaml: nothing is missing from it, and everything that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import requirements_page
import yaml

from pipeval.stages import Stage
from pipeval.study.logframe import read_logframe
from pipeval.study.specs import Study

ROOT = Path(__file__).resolve().parents[1]
SECTIONS = requirements_page.read()
ENTRIES = {(section, key): entry for section, part in SECTIONS.items() for key, entry in part.items()}
NAMED, WORDS = ("serves", "tables", "tests"), ("is", "from", "position", "reason")
COLUMNS = {*NAMED, *WORDS}


def named(column: str) -> list[str]:
    return sorted({name for entry in ENTRIES.values() for name in entry[column]})


@cache
def names_of_tests(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def numbered(letter: str, last: int) -> list[str]:
    return [f"{letter}{k:02d}" for k in range(1, last + 1)]


def indicators(name: str) -> list[str]:
    return [i.id for i in read_logframe(name).indicators]


def test_every_id_is_there_once_and_in_order():
    wanted = {
        "requirements": numbered("R", 81),
        "positions": numbered("T", 24),
        "guanajuato": indicators("guanajuato"),
        "dini": indicators("dini"),
        "failures": numbered("F", 31),
        "golden": [*"abcdefghijklmno"],
    }
    assert {section: list(part) for section, part in SECTIONS.items()} == wanted
    text = (ROOT / "docs" / "requirements.yaml").read_text(encoding="utf-8")
    assert len(re.findall(r"^  \S+:$", text, re.MULTILINE)) == len(ENTRIES)  # a key written twice would swallow an entry


def test_entries_are_whole_and_served_or_say_why_not():
    for (section, key), entry in ENTRIES.items():
        where = f"{section} {key}"
        assert set(entry) <= COLUMNS and {"is", "serves", "tables", "tests"} <= set(entry), where
        assert ("from" in entry) == (section == "requirements") and ("position" in entry) == (section == "positions"), where
        assert entry["serves"] or len(entry.get("reason", "")) > 40, where
        assert entry["tests"], f"{where}: every promise has a test"
        assert all(len(entry[name]) == len(set(entry[name])) for name in NAMED), where
        assert not any("\n" in entry.get(name, "") or "not served" in entry.get(name, "") for name in WORDS), where


def test_every_function_is_there_public_and_documented():
    assert [name for name in named("serves") if not at_home(*name.rpartition(".")[::2])] == []


def at_home(module: str, member: str) -> bool:
    """Whether the module itself holds this public function or class, and it says what it does."""
    found = getattr(import_module(f"pipeval.{module}"), member, None)
    return callable(found) and bool(found.__doc__) and found.__module__ == f"pipeval.{module}" and "._" not in f".{module}.{member}"


def test_every_test_is_there():
    wrong = [name for name in named("tests") if name.partition("::")[2] not in names_of_tests(name.partition("::")[0])]
    assert wrong == []


def test_the_golden_tests_are_all_named():
    golden = {name for entry in SECTIONS["golden"].values() for name in entry["tests"]}
    assert {f"tests/test_golden.py::{name}" for name in names_of_tests("tests/test_golden.py")} <= golden


def test_decisions_and_documents_are_there():
    for kind, _, name in (table.partition(": ") for table in named("tables") if ": " in table):
        assert kind in ("params", "file")
        assert name in Study.model_fields if kind == "params" else name == "results.json" or (ROOT / name).exists(), name


def test_every_table_is_printed_or_made_of_the_sample(road):
    sections = yaml.safe_load((ROOT / "src/pipeval/report/outline.yaml").read_text(encoding="utf-8"))["sections"]
    blocks = [block for section in sections.values() for block in section if "table" in block]
    printed = {block[key] for block in blocks for key in ("table", "name") if key in block}
    made = {name for part in road.values() if isinstance(part, Stage) for name in part.tables}
    assert {name for name in named("tables") if ": " not in name} - printed - made == set()


def test_the_page_is_up_to_date():
    page = (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8")
    assert page == requirements_page.page(SECTIONS), "run `python tests/requirements_page.py`"
