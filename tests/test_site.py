"""The documentation site: every page is reached, every link leads somewhere, the reference lists what exists."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

import pipeval
from pipeval import figures, stages
from pipeval.cli import _parser

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^(?:```|:::).*?^(?:```|:::)[ \t]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,4} +(.+?)\s*$", re.MULTILINE)


@cache
def _extension(name: str):
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = _extension("made_pages")


@cache
def _page(path: Path) -> str:
    return made.filled(path.read_text(encoding="utf-8"))


def _pages() -> list[Path]:
    return sorted(p for p in DOCS.rglob("*.md") if not any(part.startswith("_") for part in p.relative_to(DOCS).parts))


def _below(page: Path) -> set[Path]:
    """The pages that a page's tables of contents name."""
    found = set()
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```", _page(page), re.MULTILINE | re.DOTALL):
        entries = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith(":")]
        for entry in entries:
            there = sorted(page.parent.glob(f"{entry}.md"))
            assert there, f"{page.relative_to(DOCS)}: the table of contents names {entry}, which is no page"
            found.update(p.resolve() for p in there)
    return found


def _anchors(page: Path) -> set[str]:
    """What links to a place of a page may name, as GitHub and the site write it."""
    plain = _FENCE.sub("", _page(page))
    heads = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", head) for head in _HEADING.findall(plain)]
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def _links(page: Path) -> list[str]:
    return _LINK.findall(_CODE.sub("", _FENCE.sub("", _page(page))))


def test_every_page_is_reached_from_the_index():
    reached, waiting = set(), {DOCS / "index.md"}
    while waiting:
        page = waiting.pop()
        reached.add(page)
        waiting |= _below(page) - reached
    assert {p.relative_to(DOCS) for p in _pages()} == {p.relative_to(DOCS) for p in reached}


@pytest.mark.parametrize("page", _pages(), ids=lambda p: str(p.relative_to(DOCS)))
def test_every_link_leads_somewhere(page):
    for link in _links(page):
        assert not link.startswith("http"), f"{link}: the site is read without a network; say where in words"
        name, _, anchor = link.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.is_relative_to(DOCS), f"{link} leads out of the site"
        assert there.is_file(), f"{link} leads nowhere"
        assert not anchor or anchor in _anchors(there), f"{link}: no such heading in {there.name}"


def test_every_page_has_one_title_and_no_skipped_level():
    for page in _pages():
        levels = [len(m) for m in re.findall(r"^(#+) ", _FENCE.sub("", _page(page)), re.MULTILINE)]
        assert levels[0] == 1 and levels.count(1) == 1, page
        assert all(b <= a + 1 for a, b in pairwise(levels)), page


def _entries(*names: str) -> list[str]:
    text = "".join(_page(DOCS / "reference" / f"{name}.md") for name in names)
    return re.findall(r"^\.\. auto\w+:: (\S+)", text, re.MULTILINE)


def test_every_public_name_has_one_entry():
    listed = _entries("data", "matching", "effects", "report")
    assert sorted(e for e in listed if e.count(".") == 1) == [f"pipeval.{name}" for name in pipeval.__all__]
    assert len(set(listed)) == len(listed)
    assert sorted(_entries("figures")) == [f"pipeval.figures.{name}" for name in figures.__all__]


def test_every_stage_of_the_road_has_an_entry():
    from inspect import getsource

    from pipeval.evaluation import evaluate

    called = set(re.findall(r"stages\.(\w+)\(", getsource(evaluate)))
    assert {f"pipeval.stages.{name}" for name in {*called, "Stage"}} == set(_entries("stages"))
    assert all(hasattr(stages, name) for name in called)


def _table_keys(page: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", _page(DOCS / "reference" / f"{page}.md"), re.MULTILINE)


def test_the_params_page_lists_every_key_with_its_meaning():
    rows = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*?) \| (.*?) \|$", made.params(), re.MULTILINE)
    assert sorted(key for key, *_ in rows) == sorted(made.param_keys())
    assert all(meaning and kind and default for _, meaning, kind, default in rows)
    said = {key: rest for key, *rest in rows}
    assert said["did.level"][1:] == ["number, > 0.5, &lt; 1", "`0.95`"]
    assert said["match.method"][1].startswith("`optimal`, `nearest`")
    assert said["study"][2] == "needed"


def test_every_section_of_the_shipped_params_stands_on_the_page():
    import yaml

    known = set(made.param_keys())
    for path in (ROOT / "params").glob("*.yaml"):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "indicators" in content:
            assert {key for row in content["indicators"] for key in row} <= set(_table_keys("logframe"))
            continue
        for key, value in content.items():
            keys = {f"{key}.{inner}" for inner in value} if isinstance(value, dict) else {key}
            missing = {k for k in keys if k not in known and not any(n.startswith(f"{k}.") for n in known)}
            assert missing <= {"extends", *(k for k in keys if key in known)}, path.name


def test_every_command_and_option_stands_on_the_page():
    page = _page(DOCS / "reference" / "command-line.md")
    commands = next(a for a in _parser()._actions if hasattr(a, "choices") and isinstance(a.choices, dict)).choices
    for name, parser in commands.items():
        _, _, own = page.partition(f"## `pipeval {name}`\n")
        own = own.partition("\n## ")[0]
        assert own, name
        for action in parser._actions:
            for option in action.option_strings:
                assert option in ("-h", "--help") or f"`{option}" in own, f"{name} {option}"


def test_how_to_pages_are_short_and_listed():
    pages = {p.name for p in (DOCS / "how-to").glob("*.md")} - {"index.md"}
    assert pages == set(_links(DOCS / "how-to" / "index.md"))
    for name in pages:
        assert len((DOCS / "how-to" / name).read_text(encoding="utf-8").split()) <= 400, name


def _blocks(language: str) -> list[tuple[str, str]]:
    pages = [DOCS / "tutorial.md", *sorted((DOCS / "how-to").glob("*.md"))]
    found = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(page.name, block) for page in pages for block in found.findall(page.read_text(encoding="utf-8"))]


def test_params_shown_in_how_to_pages_are_params():
    import yaml

    from pipeval.study.sweep import swept

    known = set(made.param_keys())

    def keys(value, prefix=""):
        for key, inner in value.items():
            path = f"{prefix}{key}"
            yield from keys(inner, f"{path}.") if any(k.startswith(f"{path}.") for k in known) else [path]

    blocks = _blocks("yaml")
    assert len(blocks) >= 4
    for name, block in blocks:
        content = yaml.safe_load(block)
        for study in swept(content, name).values():  # what a sweep lays over the file are params too
            assert set(keys(study)) <= known, name


def test_changes_shown_are_proved_by_the_study():
    from ast import literal_eval

    from pipeval import read_study

    text = (DOCS / "how-to" / "change-a-decision.md").read_text(encoding="utf-8")
    shown = re.findall(r"`(\{.*?\})` \|", text) + re.findall(r"^changes = (\{.*?\})  ", text, re.MULTILINE)
    assert len(shown) == 6
    for changes in map(literal_eval, shown):
        read_study(ROOT / "params" / "guanajuato_final.yaml", changes=changes)


def test_names_imported_in_how_to_pages_exist():
    from importlib import import_module

    blocks = _blocks("python")
    assert len(blocks) >= 5
    for name, block in blocks:
        compile(block, name, "exec")
        for home, names in re.findall(r"^from (pipeval\S*) import (.+)$", block, re.MULTILINE):
            assert all(hasattr(import_module(home), one) for one in names.split(", ")), name


def test_commands_shown_are_understood():
    shown = [line for _, block in _blocks("") for line in block.splitlines() if line.startswith("pipeval ")]
    assert len(shown) >= 6
    for line in shown:
        _parser().parse_args(line.split()[1:])


def test_the_decisions_are_all_listed():
    folder = DOCS / "decisions"
    assert {p.name for p in folder.glob("[0-9]*.md")} == set(_links(folder / "README.md"))


def test_thresholds_of_the_verdict_page_are_those_of_the_code():
    from pipeval.did.attrition import LARGE_GAP, MOVED, SMALL_GAP
    from pipeval.robustness import checks
    from pipeval.study.specs import Power, Verdicts

    rows = {
        line.split("|")[1].split(":")[0].strip(): line for line in _page(DOCS / "verdicts.md").splitlines() if line.startswith("|")
    }
    assert f"≥ {checks.SUPPORT_PASS:.0%}".replace("%", " %") in rows["support"]
    assert f"≥ {checks.SUPPORT_MILD:.0%}".replace("%", " %") in rows["support"]
    assert f"≤ {checks.GOOD_SMD:.2f}" in rows["balance"] and f"≤ {checks.TOLERABLE_SMD:.2f}" in rows["balance"]
    assert f"≥ {checks.EFFECTIVE_PASS}" in rows["amounts"] and f"≥ {checks.EFFECTIVE_MILD}" in rows["amounts"]
    assert f"≥ {checks.FEW_TREATED_CLUSTERS}" in rows["clusters"]
    assert (MOVED, LARGE_GAP, SMALL_GAP) == (0.5, 0.10, 0.05)
    assert all(said in rows["attrition"] for said in ("half a standard error", "over 10 points", "over 5 points"))
    text = _page(DOCS / "verdicts.md")
    assert f"`power.alpha`, {Power().alpha} unless" in text and f"{Verdicts().partly_from} unless" in text


def test_the_grades_of_the_verdict_page_are_those_of_the_code():
    from pipeval.verdicts.attainment import STATES
    from pipeval.verdicts.evidence import GRADES

    words = {
        "target_ruled_out": "target-size effect ruled out",
        "descriptive": "descriptive only",
    }
    text = _page(DOCS / "verdicts.md")
    for code in (*STATES, *GRADES):
        assert f"*{words.get(code, code.replace('_', ' '))}*" in text, code


def test_the_example_of_the_verdict_page_is_the_sample(road):
    table = road["judged"]["verdicts"].set_index("id")
    text = " ".join(_page(DOCS / "verdicts.md").partition("## An example")[2].partition("\n## ")[0].split())

    def said(value: float, digits: int = 1) -> str:
        return f"{'−' if value < 0 else ''}{abs(value):,.{digits}f}"

    rows = dict(re.findall(r"\*\*(\w\d), .*?\*\*(.*?)(?=\*\*\w\d, |$)", text))
    assert list(rows) == ["G1", "G2", "P2", "P1", "P4"]
    for key in ("G1", "G2", "P2"):
        row = table.loc[key]
        numbers = [said(100 * row[name]) for name in ("effect", "effect_low", "effect_high")]
        assert f"{numbers[0]} % (95 %: {numbers[1]} to {numbers[2]})" in rows[key].replace(" % (−", " % (95 %: −"), key
        assert said(100 * abs(row["change"])) in rows[key], key
        assert row["attainment"] == {"G1": "not_yet_due", "G2": "not_yet_due", "P2": "not_met"}[key]
    assert [table.at[key, "evidence"] for key in rows] == [
        "demonstrated", "indicative", "target_ruled_out", "inconclusive", "demonstrated",
    ]  # fmt: skip
    assert f"{said(table.at['G1', 'p_adjusted'], 3)[1:]}," in rows["G1"] and said(table.at["G1", "baseline"] / 1000) in rows["G1"]
    assert f"+{said(100 * table.at['P1', 'effect'], 0)} %" in rows["P1"] and "amounts" in table.at["P1", "remarks"]
    last = table.loc["P4"]
    numbers = [said(last[name]) for name in ("gross", "expected", "effect", "effect_low", "effect_high")]
    assert all(number in rows["P4"] for number in numbers) and "eligible=94" in last["remarks"]


def test_docstrings_are_escaped_outside_code():
    escaped = _extension("plain_docstrings").escaped
    assert escaped(["|x| of `a|b` is y_ *", "* one | two", ">>> 2 * 3", "6 | 7", "", "**bold** a_b"]) == [
        "\\|x\\| of `a|b` is y\\_ \\*", "* one \\| two", ">>> 2 * 3", "6 | 7", "", "**bold** a_b",
    ]  # fmt: skip
    assert escaped(["see `one,", "  two` and |"]) == ["see `one,`", "  `two` and \\|"]


def test_what_scrolls_can_be_reached_by_keyboard():
    completed = _extension("accessible").completed
    page = '<pre>x</pre><div class="table-wrapper colwidths-auto docutils"><p class="caption" role="heading">a</p></div>'
    once = completed(page)
    assert once.count('tabindex="0"') == 2 and 'role="heading" aria-level="2"' in once
    assert completed(once) == once


def test_site_is_not_committed():
    assert "/site/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


@pytest.mark.slow
def test_site_builds_without_a_warning_and_asks_nobody(tmp_path):
    for name in ("sphinx", "myst_parser", "furo", "latex2mathml"):
        pytest.importorskip(name)
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-d",
        str(tmp_path / "doctrees"),
        str(DOCS),
        str(tmp_path / "site"),
    ]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(_pages())
    loads = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"([^\"]+)\"|<link\b[^>]*\bhref=\"([^\"]+)\"|@import|url\(\s*[\"']?https?:"
    )
    for page in pages:
        for found in loads.finditer(page.read_text(encoding="utf-8")):
            assert not (found[1] or found[2] or found[0]).startswith(("http", "//", "@import", "url(")), f"{page.name}: {found[0]}"
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"@import\s+[\"']?(?:url\()?[\"']?https?:|url\(\s*[\"']?https?:", sheet.read_text(encoding="utf-8")), (
            sheet
        )
    methods = (tmp_path / "site" / "methods.html").read_text(encoding="utf-8")
    assert methods.count("<math") > 80 and not re.search(r"<script[^>]*mathjax", methods, re.IGNORECASE)
