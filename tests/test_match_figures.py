"""Plots of a match, and tables as files of their own."""

from __future__ import annotations

import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from axes_fixture import drawn, ticks
from docx import Document
from matplotlib.colors import to_hex
from openpyxl import load_workbook

from pipeval.errors import DataError, DesignError, PipevalError, UsageError
from pipeval.figures import densities, ecdf_plot, qq_plot, score_jitter
from pipeval.figures.axes import BLUE, ORANGE, QUIET
from pipeval.matching.balance import balance_table, short_balance
from pipeval.matching.distributions import ecdf_table, quantile_table, score_density_table, score_table
from pipeval.matching.match import match
from pipeval.matching.match_map import match_map, reason_table
from pipeval.report import export
from pipeval.report.export import write_table
from pipeval.report.text import languages, read_text
from pipeval.study.match_spec import MatchSpec

SUFFIXES = (".xlsx", ".tex", ".docx", ".html", ".csv")


@pytest.fixture(scope="module")
def firms() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = 160
    size = rng.normal(3, 1, n)
    treated = rng.uniform(size=n) < 1 / (1 + np.exp(4.2 - size))
    index = pd.Index([f"F{i:03d}" for i in range(n)], name="firm_id")
    branch = rng.choice(["leather", "footwear"], n)
    return pd.DataFrame({"cohort": np.where(treated, 2004.0, np.inf), "ln_workers": size, "branch": branch}, index=index)


@pytest.fixture(scope="module")
def sample(firms):
    return match(firms, MatchSpec(covariates=("ln_workers",), exact=("branch",), caliper=0.2, method="nearest", ratio=2))


# plots


def test_densities_mirror_the_arms(sample):
    ax = drawn(densities, score_density_table(sample))
    before_t, before_c, after_t, after_c = ax.collections
    for shape, above in ((before_t, True), (after_t, True), (before_c, False), (after_c, False)):
        heights = shape.get_paths()[0].vertices[:, 1]
        assert (heights.min() == 0 and heights.max() > 0.1) if above else (heights.max() == 0 and heights.min() < -0.1)
    assert (before_c.get_hatch(), after_c.get_hatch()) == (None, "////")
    assert (to_hex(after_t.get_edgecolor()[0]), to_hex(after_c.get_edgecolor()[0])) == (BLUE.lower(), ORANGE.lower())
    assert not any(label.startswith(("-", "−")) for label in ticks(ax.yaxis))
    assert len({len(label) for label in ticks(ax.xaxis)}) == 1  # the same decimals at every tick


def test_distribution_functions_are_the_table(sample, firms):
    table = ecdf_table(firms, sample, "ln_workers")
    ax = drawn(ecdf_plot, table)
    lines = {line.get_label(): line for line in ax.lines}
    assert set(lines) == {"All comparison firms", "Matched control", "Treated", "Matched treated"}
    rows = table[(table["sample"] == "after") & (table["arm"] == "control")]
    np.testing.assert_allclose(lines["Matched control"].get_ydata(), 100 * rows["share"])
    assert lines["Matched control"].get_drawstyle() == "steps-post" and ax.get_xlabel() == "Workers (log)"


def test_treated_that_all_stay_are_drawn_once(firms):
    everyone = pd.Series(1.0, index=firms.index)
    ax = drawn(ecdf_plot, ecdf_table(firms, everyone, "ln_workers"))
    assert [line.get_label() for line in ax.lines] == ["All comparison firms", "Matched control", "Treated"]


def test_quantiles_lie_where_the_table_says(sample, firms):
    table = quantile_table(firms, sample, "ln_workers", points=9)
    ax = drawn(qq_plot, table)
    before, after = (np.asarray(c.get_offsets()) for c in ax.collections)
    rows = table[table["sample"] == "after"]
    np.testing.assert_allclose(after, rows[["control", "treated"]])
    assert len(before) == 9 and to_hex(ax.collections[0].get_facecolor()[0]) == "#ffffff"
    line = ax.lines[0].get_xydata()
    assert (line[:, 0] == line[:, 1]).all() and ax.get_xlim() == ax.get_ylim()
    flat = quantile_table(firms.assign(same=1.0), sample, "same", points=2)
    assert drawn(qq_plot, flat).get_xlim()[0] < 1 < drawn(qq_plot, flat).get_xlim()[1]


def test_every_firm_is_a_point_of_its_strip(sample):
    table = score_table(sample)
    ax = drawn(score_jitter, table)
    strips = ax.collections[:4]
    counts = table.groupby(["arm", "status"]).size()
    expected = [("treated", "unmatched"), ("treated", "matched"), ("control", "matched"), ("control", "unmatched")]
    for line, (strip, key) in enumerate(zip(strips, expected, strict=True)):
        points = np.asarray(strip.get_offsets())
        assert len(points) == counts.get(key, 0)
        assert np.abs(points[:, 1] - line).max(initial=0) < 0.301
        assert f"({counts.get(key, 0)})" in ticks(ax.yaxis)[line]
    rows = table[(table["arm"] == "control") & (table["status"] == "matched")]
    assert sorted(np.asarray(strips[2].get_offsets())[:, 0]) == sorted(rows["score"])
    assert [to_hex(s.get_edgecolor()[0]) for s in strips] == [c.lower() for c in (QUIET, BLUE, ORANGE, QUIET)]


def test_a_long_strip_is_thinned_and_says_how_many_there_are():
    n = 4000
    table = pd.DataFrame({"firm_id": range(n), "arm": "control", "status": "matched", "score": np.linspace(0, 1, n), "weight": 1.0})
    ax = drawn(score_jitter, table)
    points = np.asarray(ax.collections[2].get_offsets())
    assert len(points) == 1500 and (points[:, 0].min(), points[:, 0].max()) == (0, 1)
    assert "(4,000)" in ticks(ax.yaxis)[2]


def test_plots_speak_every_language(sample, firms):
    plots = {
        densities: score_density_table(sample),
        ecdf_plot: ecdf_table(firms, sample, "ln_workers"),
        qq_plot: quantile_table(firms, sample, "ln_workers"),
        score_jitter: score_table(sample),
    }
    said = {language: [] for language in languages()}
    for language, words in said.items():
        for function, table in plots.items():
            ax = drawn(function, table, read_text(language))
            legend = [] if function is score_jitter else ax.get_legend_handles_labels()[1]
            words += [ax.get_xlabel(), ax.get_ylabel(), *legend, *(ticks(ax.yaxis) if function is score_jitter else [])]
    assert all(words.count("") == 1 for words in said.values())  # the strips need no name for their axis
    assert not {w for w in said["es"] if w} & {w for w in said["en"] if w}


# tables as files


def written(frame, tmp_path, suffix, **words) -> str:
    """What a reader finds in the file, as one text."""
    path = write_table(frame, tmp_path / f"table{suffix}", **words)
    if suffix == ".xlsx":
        rows = load_workbook(path).active.iter_rows(values_only=True)
        return "\n".join("\t".join("" if v is None else str(v) for v in row) for row in rows)
    if suffix == ".docx":
        document = Document(str(path))
        cells = [cell.text for row in document.tables[0].rows for cell in row.cells]
        return "\n".join([*(p.text for p in document.paragraphs), *cells])
    return path.read_text(encoding="utf-8-sig")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_headings_and_codes_are_words(suffix, firms, sample, tmp_path):
    table = match_map(sample, firms, ["branch", "ln_workers"]).head(3)
    english = written(table, tmp_path, suffix, title="Pairs", note="All of 2004.")
    for words in ("Treated firm", "Branch, control firm", "Workers (log), treated firm", "Control"):
        assert words in english
    assert table["control_id"].iloc[0] in english and "branch_" not in english.replace("branch_treated\tbranch_control", "")
    spanish = written(table, tmp_path, suffix, language="es", title="Parejas", note="Todas de 2004.")
    assert "Empresa tratada" in spanish and ("Calzado" in spanish or "Cuero" in spanish)
    if suffix != ".csv":
        assert "Pairs" in english and "All of 2004." in english and "Todas de 2004." in spanish


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_numbers_are_printed_or_whole(suffix, tmp_path):
    frame = pd.DataFrame(
        {"covariate": ["ln_workers^2", "ln_age*branch=leather"], "smd": [-0.123456, np.nan], "p_value": [0.0001, 0.5]}
    )
    frame["cohort"], frame["n_treated"] = [np.inf, 2004.0], [1234, 5]
    found = written(frame, tmp_path, suffix)
    if suffix in (".xlsx", ".csv"):
        assert "-0.123456" in found and "0.0001" in found and "inf" not in found
    else:
        shown = ("$-$0.12", r"\textless{}0.001") if suffix == ".tex" else ("−0.12", "&lt;0.001" if suffix == ".html" else "<0.001")
        assert all(s in found for s in (*shown, "1,234", "2004")) and ("---" if suffix == ".tex" else "—") in found
    assert "Workers (log)²" in found and "Age (log) × Branch: Leather" in found


NASTY = [
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "<script>alert(1)</script>",
    "a & b_c % $x$ #1 {y} ~ ^ \\input{z} [q]", "| pipe | *bold* `code`", "line\nbreak\x07", "--- \"quoted\" 'text'",
]  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_texts_stay_texts(suffix, tmp_path):
    frame = pd.DataFrame({"firm_id": NASTY, "=1+1": 1.0})
    found = written(frame, tmp_path, suffix, title="=1+1 <b>T</b> & _", note="@N <i> \\x")
    if suffix == ".html":
        assert "<script" not in found and "&lt;script&gt;" in found and "&lt;b&gt;T&lt;/b&gt; &amp;" in found
    elif suffix == ".tex":
        body = found.split(r"\midrule")[1].split(r"\bottomrule")[0]
        rows = body.strip().splitlines()
        assert len(rows) == len(NASTY) and all(re.findall(r"(?<!\\)&", row) == ["&"] and row.endswith(r"1 \\") for row in rows)
        assert r"\textbackslash{}input\{z\}" in found and r"\$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{}" in found
        assert r"a \& b\_c \% " in found and r"{[}q{]}" in found
    elif suffix == ".docx":
        assert "<script>alert(1)</script>" in found and "| pipe | *bold* `code`" in found and "\\input{z}" in found
    else:
        cells = [c.strip('"') for row in found.splitlines() for c in re.split(r"\t|,(?=\d)", row)]
        assert not [c for c in cells if c.startswith(("=", "+", "@", "-"))]
        assert "'=1+1" in found.splitlines()[0]  # a heading too
        assert "'=cmd|" in found and "'@SUM(A1)" in found and "line break" in found
    assert "\x07" not in found


def test_a_formula_stays_inert_in_the_workbook(tmp_path):
    path = write_table(pd.DataFrame({"firm_id": ["=1+1"], "n": [3]}), tmp_path / "t.xlsx", title="[a]:*?/\\ table", note="=2")
    sheet = load_workbook(path).active
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n", "inlineStr"}
    assert sheet["A3"].value == "'=1+1" and sheet["B3"].value == 3 and sheet.title == "a       table"[: len(sheet.title)]
    assert sheet.freeze_panes == "A3" and sheet.auto_filter.ref == "A2:B3" and sheet["B3"].number_format == "#,##0"


def test_latex_is_set_in_booktabs(tmp_path):
    frame = pd.DataFrame({"covariate": ["ln_age"], "smd": [0.1]})
    lines = write_table(frame, tmp_path / "t.tex", title="Balance").read_text(encoding="utf-8").splitlines()
    assert lines == [
        r"\begin{table}", r"\centering", r"\caption{Balance}", r"\begin{tabular}{lr}", r"\toprule",
        r"Characteristic & Std. diff. \\", r"\midrule", r"Age (log) & 0.10 \\", r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip


def test_a_wide_table_turns_the_page(firms, sample, tmp_path):
    table = balance_table(firms, sample)
    wide = write_table(table, tmp_path / "wide.docx", language="es")
    narrow = write_table(table[["covariate", "sample", "smd"]], tmp_path / "narrow.docx", language="es")
    sections = [Document(str(p)).sections[0] for p in (wide, narrow)]
    assert sections[0].page_width > sections[0].page_height and sections[1].page_width < sections[1].page_height
    for path, section in ((wide, sections[0]), (narrow, sections[1])):
        widths = [int(w) for w in re.findall(r'gridCol w:w="(\d+)"', zipfile.ZipFile(path).read("word/document.xml").decode())]
        room = section.page_width.twips - section.left_margin.twips - section.right_margin.twips
        assert 0.9 * room < sum(widths) <= 1.01 * room
    sizes = [Document(str(p)).styles["Table Text"].font.size.pt for p in (wide, narrow)]
    assert sizes[0] < sizes[1] == 8


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_table_gives_the_same_bytes(suffix, tmp_path):
    frame = pd.DataFrame({"covariate": ["ln_age"], "smd": [0.1]})
    one = write_table(frame, tmp_path / "deep" / f"one{suffix}", title="T").read_bytes()
    assert write_table(frame, tmp_path / f"two{suffix}", title="T").read_bytes() == one
    assert [p.name for p in (tmp_path / "deep").iterdir()] == [f"one{suffix}"]  # nothing left beside it


def test_an_index_with_a_name_becomes_a_column(tmp_path):
    frame = pd.DataFrame({"n": [1]}, index=pd.Index(["a"], name="firm_id"))
    assert write_table(frame, tmp_path / "t.csv").read_text(encoding="utf-8-sig").splitlines() == ["Firm,N", "a,1"]


def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch):
    frame = pd.DataFrame({"n": [1]})
    with pytest.raises(DataError, match=r"\.xlsx, \.tex, \.docx, \.html, \.csv; found 't\.pdf'"):
        write_table(frame, tmp_path / "t.pdf")
    with pytest.raises(UsageError, match="languages must be among"):
        write_table(frame, tmp_path / "t.csv", language="xx")
    (tmp_path / "file").write_text("")
    with pytest.raises(PipevalError, match="choose another folder"):
        write_table(frame, tmp_path / "file" / "t.csv")
    monkeypatch.setattr(export, "_SHEET_ROWS", 0)
    with pytest.raises(DataError, match="holds 0 rows; the table has 1"):
        write_table(frame, tmp_path / "t.xlsx")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_table(pd.DataFrame({"n": [1]}), tmp_path / "t.csv")
    before = path.read_bytes()

    def broken(paper, target):
        target.write_text("half")
        raise OSError("disk full")

    monkeypatch.setitem(export._WRITERS, ".csv", broken)
    with pytest.raises(PipevalError, match="disk full"):
        write_table(pd.DataFrame({"n": [2]}), path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_reasons_are_written_as_words(sample, tmp_path):
    found = written(reason_table(sample), tmp_path, ".csv")
    assert "Not chosen" in found and "not_chosen" not in found


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (pd.Series([1.0]), "a table is a DataFrame; found Series"),
        ({"a": [1]}, "found dict"),
        (pd.DataFrame([[1, 2]], columns=["n", "n"]), r"repeated: 1 name \(n\)"),
        (pd.DataFrame({"n": [1]}, index=pd.Index(["a"], name="n")), r"repeated: 1 name \(n\)"),
        (pd.DataFrame({"n": [[1, 2]]}), r"lists or tables in 1 column \(n\)"),
    ],
)
def test_what_is_no_plain_table_is_not_written(table, said, tmp_path):
    with pytest.raises(DataError, match=said):
        write_table(table, tmp_path / "t.csv")
    assert not list(tmp_path.iterdir())


def test_a_sign_in_a_name_is_no_level(tmp_path):
    frame = pd.DataFrame({"covariate": ["=1+1", "a=b", "branch=leather"]})
    lines = write_table(frame, tmp_path / "t.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[1:] == ["'=1+1", "a=b", "Branch: Leather"]


def test_a_column_without_a_value_is_not_drawn(sample, firms):
    empty = firms.assign(nothing=np.nan)
    for table in (ecdf_table, quantile_table):
        with pytest.raises(DesignError, match="'nothing' is missing for all"):
            table(empty, sample, "nothing")
    table = quantile_table(firms, sample, "ln_workers", points=2).assign(treated=np.nan, control=np.nan)
    with pytest.raises(DataError, match="found none for 'Workers"):
        drawn(qq_plot, table)


@pytest.mark.parametrize("suffix", [".docx", ".tex"])
@pytest.mark.parametrize("language", ["en", "es"])
def test_a_short_balance_table_is_for_readers(sample, firms, suffix, language, tmp_path):
    text = written(short_balance(balance_table(firms, sample)), tmp_path, suffix, language=language)
    assert (
        "_after" not in text.replace("\\", "") and {"en": "Mean treated, matched", "es": "Media control, empar."}[language] in text
    )
