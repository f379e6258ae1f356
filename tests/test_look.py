"""The look that an institution brings is proved, copied into the bundle, and read from there."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import docx
import pytest
from bundle_fixture import whole

from pipeval.batch.run import run
from pipeval.errors import DataError, UsageError
from pipeval.report import word
from pipeval.report.faults import check_study
from pipeval.report.look import bring, look_of
from pipeval.report.word import repacked
from pipeval.study.params import read_study

ROOT = Path(__file__).resolve().parents[1]
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


def study(root: Path, **look):
    """The final study, its files in `root`, with this look."""
    plan = read_study(ROOT / "params" / "guanajuato_final.yaml", changes={"report": {"look": look}})
    return plan.model_copy(update={"root": root})


def document(path: Path) -> Path:
    """A Word document."""
    docx.Document().save(str(path))
    return path


def test_files_of_the_look_travel_in_the_bundle(tmp_path):
    (tmp_path / "logo.PNG").write_bytes(PNG)
    (tmp_path / "ours.css").write_text("h1 { color: #123456 }", encoding="utf-8")
    document(tmp_path / "bank.docx")
    plan = study(tmp_path, logo="logo.PNG", style="ours.css", word="bank.docx", accent="#123456")
    out = tmp_path / "bundle"
    out.mkdir()
    bring(plan, out)
    bundle = whole().model_copy(update={"study": plan.model_dump(mode="json")})
    look = look_of(bundle, out)
    assert {p.name for p in (out / "look").iterdir()} == {"logo.png", "style.css", "word.docx"}
    assert (look.logo, look.style, look.word) == tuple(out / "look" / n for n in ("logo.png", "style.css", "word.docx"))
    assert look.accent == "#123456"
    for ending in ("jpg", "jpeg"):
        (tmp_path / f"photo.{ending}").write_bytes(b"\xff\xd8\xff\xe0" + bytes(20))
        bring(study(tmp_path, logo=f"photo.{ending}"), out)
        assert [p.name for p in (out / "look").iterdir()] == [f"logo.{ending}"]
    bring(study(tmp_path), out)
    assert not (out / "look").exists()
    with pytest.raises(DataError, match=r"no look/word\.docx\. Run the study again"):
        look_of(bundle, out)


def test_a_bundle_from_anyone_is_proved_before_it_is_set(tmp_path):
    def named(**look):
        return whole().model_copy(update={"study": {"report": {"look": look}}})

    assert look_of(named(), tmp_path).accent == "#0b3c5d" and look_of(named(), tmp_path).style is None
    with pytest.raises(DataError, match="results.json must be one that params may name"):
        look_of(named(accent="#0b3c5d}</style><script>alert(1)</script>"), tmp_path)
    (tmp_path / "look").mkdir()
    (tmp_path / "look" / "style.css").write_text("h1 { background: URL(file:///etc/passwd) }", encoding="utf-8")
    with pytest.raises(UsageError, match="fetches nothing"):
        look_of(named(style="a.css"), tmp_path)


def test_a_document_that_word_reads_and_we_cannot_is_refused_before_the_study_runs(tmp_path, monkeypatch):
    path = document(tmp_path / "bank.docx")

    def says(match):
        with pytest.raises(UsageError, match=match):
            bring(study(tmp_path, word="bank.docx"), tmp_path)

    repacked(path, {"word/document.xml": lambda part: part.replace(b'w:w="12240"', b'w:w="21cm"')})
    says("holds a page that Word can set")
    repacked(document(path), {"word/document.xml": lambda part: part.replace(b'w:w="12240"', b'w:w="1000"')})
    says("holds a page that Word can set")
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("word/theme.xml", "<w/>")
    says("holds a page that Word can set")
    with zipfile.ZipFile(document(path), "a") as book:
        monkeypatch.setattr(word, "_LARGEST", sum(entry.file_size for entry in book.infolist()))
        bring(study(tmp_path, word="bank.docx"), tmp_path)
        book.writestr("word/media/a.bin", bytes(1), zipfile.ZIP_DEFLATED)
    says("unpacks to more than")


def test_a_study_is_not_run_towards_a_look_that_is_not_there(tmp_path, capsys):
    params = Path(shutil.copytree(ROOT / "params", tmp_path / "params")) / "a.yaml"
    params.write_text("extends: guanajuato_final.yaml\nreport: {look: {logo: no.png}}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"there is none at no\.png"):
        check_study(params, None, tmp_path / "faults.csv")
    assert run([params], tmp_path / "out", data=ROOT / "data" / "sample") == UsageError.exit_code
    assert "there is none at no.png" in capsys.readouterr().err
    assert not (tmp_path / "out" / "a").exists()
