"""From a params file to a study: what is refused, and that all faults are said at once."""

from __future__ import annotations

import sys
from pathlib import Path, PureWindowsPath

import pytest

from pipeval.errors import UsageError
from pipeval.study.files import inside, nearest, read_yaml
from pipeval.study.params import read_study

SHIPPED = Path(__file__).parents[1] / "params"


def fault(small, text: str, old: str = "") -> str:
    """The message with which the plan is refused when `old` is replaced by `text` (or `text` is appended)."""
    plan = small.params.read_text("utf-8")
    assert old in plan
    small.params.write_text(plan.replace(old, text) if old else plan + text, encoding="utf-8")
    with pytest.raises(UsageError) as refused:
        read_study(small.params)
    assert refused.value.exit_code == 2
    return str(refused.value)


def test_the_shipped_studies_read():
    for path in [*sorted(SHIPPED.glob("guanajuato_*.yaml")), SHIPPED / "michigan_final.yaml"]:
        study = read_study(path)
        assert study.study == path.stem and study.root == SHIPPED.parent and Path(study.data.folder).is_absolute()


def test_extends_lays_one_file_over_another(small):
    small.planned(treatment={"definition": "component2"})
    (small.params.parent / "late.yaml").write_text("extends: small.yaml\nstudy: late\ntreatment: {reference_year: 2004}\n")
    late, first = read_study(small.params.parent / "late.yaml"), small.read()
    assert late.study == "late" and late.treatment.reference_year == 2004
    assert late.treatment.definition == first.treatment.definition == "component2" and late.outcomes == first.outcomes


def test_a_circle_of_extends(small):
    assert (
        "extends itself through small.yaml → other.yaml"
        in [
            (small.params.parent / "other.yaml").write_text("extends: small.yaml\n"),
            fault(small, "\nextends: other.yaml\n"),
        ][1]
    )


def test_extends_stays_in_its_folder(small):
    assert "leaves it" in fault(small, "\nextends: ../data/x.yaml\n")


def test_unknown_keys_name_the_nearest(small):
    found = fault(small, "match:\n  calliper: 0.2", "match:")
    assert "match.calliper: unknown key; did you mean 'caliper'?" in found
    assert "headlin: unknown key; did you mean 'headline'?" in fault(small, "\nheadlin: matched\n")


def test_all_faults_at_once(small):
    small.planned(
        as_of="soon",
        stage="finale",
        baseline={"yaer": 2003},
        outcomes=[{"id": "A", "measure": "sales", "label": {}, "scale": "ln"}],
    )
    found = fault(small, "\n")
    assert "small.yaml: 6 faults" in found
    for words in (
        "as_of:",
        "stage: Input should be 'baseline', 'midterm', 'final' or 'expost'; found 'finale'",
        "baseline.yaer",
        "outcomes.0.id",
        "outcomes.0.scale",
    ):
        assert words in found


def test_missing_keys(small):
    found = fault(small, "", "logframe: jobtraining\n")
    assert "logframe: this key is needed" in found and "others extend" not in found
    with pytest.raises(UsageError, match="3 faults\n  study: this key is needed\n[^§]*no study by itself; if this is one, give one of"):
        read_study(SHIPPED / "guanajuato.yaml")


@pytest.mark.parametrize("text", ["no", "[no]", "[en, off]"])
def test_a_language_that_yaml_reads_as_false(small, text):
    small.plan.pop("report")
    small.save()
    found = fault(small, f"\nreport: {{languages: {text}}}\n")
    assert ("report.languages" in found and "quote them" in found) or text == "no"


def test_a_key_that_yaml_reads_as_false(small):
    assert "keys are words; found False" in fault(small, "\nno: 1\n")
    small.save()
    small.plan.pop("report")
    small.save()
    assert "report.locales" in fault(small, "\nreport: {locales: {no: nb_NO}}\n")


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("2006-03-31", False),
        ("'2006-03-31'", False),
        ("2006-03-31 12:00:00", True),
        ("2006-02-31", True),
        ("2006", True),
        ("31.03.2006", True),
        ("yes", True),
    ],
)
def test_dates_quoted_or_not(small, text, refused):
    if refused:
        assert "as_of" in fault(small, f"as_of: {text}", "as_of: '2006-03-31'") or text == "2006-02-31"
    else:
        small.params.write_text(small.params.read_text("utf-8").replace("'2006-03-31'", text), encoding="utf-8")
        assert str(small.read().as_of) == "2006-03-31"


def test_rules_between_keys(small):
    for section, said in [
        ({"money": {"headline": "real", "deflator": "inpc"}}, "needs a deflator and a base_year"),
        ({"match": {"method": "optimal", "replace": True}}, "method: optimal takes no 'replace'; it belongs to nearest"),
        ({"outcomes": [{"id": "a", "measure": m, "label": {}} for m in ("sales", "jobs")]}, "each id once; found ['a'] twice"),
        ({"outcomes": [{"id": "a", "measure": "sales", "label": {}, "exits": "zero"}]}, "use poisson or level"),
    ]:
        before = dict(small.plan)
        assert said in fault(small.planned(**section), "\n")
        small.plan = before


# ── YAML ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "the key 'a' stands twice"),
        ("x:\n  a: 1\n  a: 1\n", "the key 'a' stands twice"),
        ("a: &a [1, 1]\nb: [*a, *a]\n", "references (*a) are not used here"),
        ("a: &a {b: *a}\n", "references"),
        ("base: &b {x: 1}\nc:\n  <<: *b\n", "references"),
        ("a: [1, 2\n", "is not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", "is not valid YAML"),
        ("{a: 1}: 2\n", "is not valid YAML"),
        ("[" * 3000, "is not valid YAML"),
        ("a: 2004-02-31\n", "is not valid YAML"),
        ("- a\n- b\n", "must hold keys and values; found list"),
        ("", "must hold keys and values; found NoneType"),
        ("a: 1\n---\nb: 2\n", "is not valid YAML"),
        (b"\x00\x01\x02\xff", "cannot read"),
        (b"a: \x00", "is not valid YAML"),
        ("ñ: 1\n".encode("latin-1"), "cannot read"),
        (b"a: 1\n" * 250_000, "a params file is a few kilobytes"),
    ],
)
def test_yaml_without_surprises(tmp_path, content, said):
    path = tmp_path / "x.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as refused:
        read_yaml(path)
    assert said in str(refused.value) and "x.yaml" in str(refused.value)


def test_a_bom_is_read(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(tmp_path / "x.yaml") == {"a": 1}


def test_a_file_that_is_missing_or_a_folder(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.yaml", tmp_path / "x.yaml" / "y.yaml"):
        with pytest.raises(UsageError, match="cannot read"):
            read_yaml(path)


# ── paths ────────────────────────────────────────────────────────────────────────────────────────────────────────────


OUTSIDE = [
    "C:\\x",
    "C:/x",
    "C:x",
    "c:\\data\\..\\x",
    "\\\\server\\share\\x",
    "//server/share/x",
    "..\\x",
    "a\\..\\..\\x",
    "../x",
    "a/../../x",
    "/etc/passwd",
    "\\x",
    "\\\\?\\C:\\x",
    "a/..",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_paths_outside_are_refused_on_every_system(tmp_path, name):
    with pytest.raises(UsageError, match="stay inside the study folder"):
        inside(tmp_path, name)


def test_separators_of_both_systems_mean_the_same(tmp_path):
    assert (
        inside(tmp_path, "data\\wave 1\\survey.csv")
        == tmp_path / "data" / "wave 1" / "survey.csv"
        == inside(tmp_path, "data/wave 1/survey.csv")
    )
    assert inside(tmp_path, ".") == tmp_path
    assert PureWindowsPath("data\\survey.csv").parts == ("data", "survey.csv")


def test_a_path_that_is_none(tmp_path):
    with pytest.raises(UsageError, match="is not a path"):
        inside(tmp_path, "a\0b")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    root.mkdir(), other.mkdir()
    (root / "out").symlink_to(other)
    (root / "round").symlink_to(root / "round")
    (root / "real").mkdir()
    (root / "in").symlink_to(root / "real")
    with pytest.raises(UsageError, match="leaves it through a link"):
        inside(root, "out/x.csv")
    assert inside(root, "in/x.csv") == root / "in" / "x.csv"
    try:  # whether a circle is an error depends on the version of Python; the file is then not found
        inside(root, "round")
    except UsageError as error:
        assert "is not a path" in str(error)


@pytest.mark.parametrize("name", ["../data", "C:\\data", "/"])
def test_a_data_folder_outside(small, name):
    assert "stay inside the study folder" in fault(small.planned(data={"folder": name}), "\n")


def test_data_may_be_given_from_outside(small, tmp_path):
    assert read_study(small.params, tmp_path).data.folder == str(tmp_path)
    assert read_study(small.params).data.folder == str(small.data.resolve())


def test_nearest():
    assert nearest("sale", ["sales", "jobs"]) == "did you mean 'sales'? valid: sales, jobs"
    assert nearest("zzz", ["sales", "jobs"]) == "valid: sales, jobs"
