"""Several studies in one params file, and what `pipeval run`, `check` and `plan` make of their arguments."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from pipeval.batch import jobs
from pipeval.batch.jobs import each_study, jobs_of
from pipeval.cli import main
from pipeval.errors import UsageError
from pipeval.study.params import read_study, study_paths
from pipeval.study.sweep import MOST, chosen, over, swept

WAVES = {"mid": {"did": {"level": 0.9}}, "end": {}}


def content(**sweep) -> dict:
    return {"study": "p", "did": {"method": "dr", "level": 0.95}, "sweep": sweep}


def test_changes_are_laid_over_section_by_section():
    assert over({"a": {"b": 1, "c": [1, 2]}, "d": 1}, {"a": {"c": [3]}, "d": {"e": 2}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 2}}


def test_names_follow_the_axes_in_the_order_written():
    found = swept(content(wave=WAVES, logframe=["own", "dini"]), "p.yaml")
    assert list(found) == ["p_mid_own", "p_mid_dini", "p_end_own", "p_end_dini"]
    assert found["p_mid_dini"] == {"study": "p_mid_dini", "did": {"method": "dr", "level": 0.9}, "logframe": "dini"}
    assert found["p_end_own"]["did"] == {"method": "dr", "level": 0.95}  # the file's own, untouched by its neighbour


def test_values_of_a_dotted_key():
    axes = {"treatment.branches": [["leather", "footwear"], ["leather"]], "x.on": [True, False]}
    found = swept(content(**axes), "p.yaml")
    assert list(found) == ["p_leather-footwear_yes", "p_leather-footwear_no", "p_leather_yes", "p_leather_no"]
    assert found["p_leather_no"]["treatment"] == {"branches": ["leather"]} and found["p_leather_no"]["x"] == {"on": False}


def test_decimals_name_studies():
    found = swept(content(**{"did.level": [0.9, 0.95, 1], "skip": [{"did.level": 1}]}), "p.yaml")
    assert {name: study["did"]["level"] for name, study in found.items()} == {"p_0-9": 0.9, "p_0-95": 0.95}


def test_combinations_left_out():
    found = swept(content(wave=WAVES, logframe=["own", "dini"], skip=[{"wave": "mid", "logframe": "dini"}]), "p.yaml")
    assert list(found) == ["p_mid_own", "p_end_own", "p_end_dini"]
    assert list(swept(content(wave=WAVES, logframe=["own", "dini"], skip=[{"wave": "mid"}]), "p.yaml")) == [
        "p_end_own",
        "p_end_dini",
    ]


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ([], "names at least one axis"),
        ({}, "names at least one axis"),
        ({"skip": []}, "names at least one axis"),
        ({"wave": {}}, "sweep.wave is a mapping from names to sections, or a list of values"),
        ({"wave": {"mid": 3}}, "sweep.wave is a mapping"),
        ({"wave": "mid"}, "sweep.wave is a mapping"),
        ({"wave": {"a b": {}}}, "named by letters, digits, - and _, each once; found 1 name (a b)"),
        ({"x": [-0.5]}, "found 1 name (-0-5). Write the axis as a mapping"),
        ({"x": ["a", "a"]}, "two of them have one name"),
        ({"wave": WAVES, "skip": {"wave": "mid"}}, "sweep.skip is a list of combinations"),
        ({"wave": WAVES, "skip": [{"waive": "mid"}]}, "there is no axis 'waive'; did you mean 'wave'?"),
        ({"wave": WAVES, "skip": [{"wave": "mit"}]}, "the axis wave has no 'mit'; did you mean 'mid'?"),
        ({"wave": WAVES, "skip": [{"wave": "mid"}, {"wave": "end"}]}, "leaves no study"),
        ({"a": {"x_y": {}, "x": {}}, "b": {"z": {}, "y_z": {}}}, "would be called p_x_y_z"),
        ({"a": list(range(MOST + 1))}, "at most 1,000 studies; this one 1,001"),
    ],
)
def test_faults_of_a_sweep_are_named(sweep, said):
    with pytest.raises(UsageError) as found:
        swept({"study": "p", "sweep": sweep}, "p.yaml")
    assert said in str(found.value) and str(found.value).startswith("p.yaml: ")


def test_a_sweep_begins_its_names_with_study():
    with pytest.raises(UsageError, match="needs a key `study`"):
        swept({"sweep": {"wave": WAVES}}, "p.yaml")
    assert len(swept(content(a=list(range(MOST))), "p.yaml")) == MOST


def test_one_study_is_chosen_by_its_name():
    file = content(wave=WAVES)
    assert chosen(file, "p_end", "p.yaml")["study"] == "p_end"
    with pytest.raises(UsageError, match=r"p.yaml describes 2 studies; name one, as in p.yaml::p_mid"):
        chosen(file, "", "p.yaml")
    with pytest.raises(UsageError, match="did you mean 'p_end'"):
        chosen(file, "p_ende", "p.yaml")
    assert chosen({"study": "one"}, "", "p.yaml") == {"study": "one"} == chosen({"study": "one"}, "one", "p.yaml")


# ── on disk ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def sweep(small) -> Path:
    """A sweep of two studies over the small one."""
    path = small.params.parent / "both.yaml"
    path.write_text("extends: small.yaml\nstudy: both\nsweep:\n  level: {low: {did: {level: 0.9}}, high: {did: {level: 0.99}}}\n")
    return path


def test_a_file_of_a_sweep_is_read_by_name(small, sweep):
    assert study_paths(sweep) == [f"{sweep}::both_low", f"{sweep}::both_high"] and study_paths(small.params) == [str(small.params)]
    study = read_study(f"{sweep}::both_high")
    assert (study.study, study.did.level, study.root) == ("both_high", 0.99, small.root)
    assert read_study(f"{sweep}::both_low", changes={"did": {"level": 0.8}}).did.level == 0.8
    with pytest.raises(UsageError, match="name one, as in both.yaml::both_low"):
        read_study(sweep)


def named(found) -> list[str]:
    return [job.name for job in found[0]]


def test_arguments_of_run(small, sweep, monkeypatch):
    monkeypatch.chdir(small.root)
    assert named(jobs_of(["params/*.yaml"], None, "r")) == ["both_low", "both_high", "small"]
    assert named(jobs_of(["params/b*.yaml::both_low"], None, "r")) == ["both_low"]
    assert named(jobs_of(["params/small.yaml", "params/*.yaml"], None, "r")) == ["small", "both_low", "both_high"]  # once each
    ((job,), said) = jobs_of(["params/x*.yaml"], None, "r")
    assert job.code == 2 and "x*.yaml: No such file" in job.message and not job.shelved and said == []


def test_bases_and_log_frames_are_passed_over(small, tmp_path):
    folder = small.params.parent
    base = yaml.safe_load(small.params.read_text())
    stage = base.pop("stage")
    small.params.write_text(yaml.safe_dump(base))
    (folder / "end.yaml").write_text(f"extends: small.yaml\nstudy: end\nstage: {stage}\n")
    frame = Path(jobs.__file__).parents[1] / "logframes" / "jobtraining.yaml"
    (folder / "frame.yaml").write_text(frame.read_text())
    found, said = jobs_of(sorted(map(str, folder.glob("*.yaml"))), None, "r")
    assert [(j.name, j.code) for j in found] == [("end", 0)]
    assert "frame.yaml is passed over: it is a log frame" in said[0] and "small.yaml is passed over: others extend it" in said[1]
    ((alone,), said) = jobs_of([small.params], None, "r")  # nobody extends it here: a study that lacks its stage
    assert alone.code == 2 and "stage: this key is needed" in alone.message and said == []
    with pytest.raises(UsageError, match="there is no study to run\n .*log frame"):
        jobs_of([folder / "frame.yaml"], None, "r")


def test_two_studies_of_one_name_refuse_the_whole(small, tmp_path, capsys):
    (small.params.parent / "again.yaml").write_text("extends: small.yaml\nstudy: Small\n")
    both = [str(small.params), str(small.params.parent / "again.yaml")]
    assert main(["run", *both, "--out", str(tmp_path / "r")]) == 2
    assert "found twice: 2 names (Small, small)" in capsys.readouterr().err and not (tmp_path / "r").exists()


def test_a_file_that_cannot_be_read_takes_no_ones_name(small):
    broken = small.params.parent / "broken.yaml"
    for content, name, shelved in (("stage: middle", "broken", True), ("stage: middle\nstudy: small", "broken.yaml", False)):
        broken.write_text(f"extends: small.yaml\n{content}\n")
        good, bad = jobs_of([small.params, broken], None, "r")[0]
        assert (good.name, good.code, good.shelved) == ("small", 0, True)
        assert (bad.name, bad.code, bad.shelved) == (name, 2, shelved)


@pytest.mark.parametrize("name", ["con", "NUL", "Com1", "lpt9", "a" * 81])
def test_names_that_no_folder_can_have(small, name, tmp_path):
    ((job,), _) = jobs_of([small.planned(study=name).params], None, "r")
    assert job.code == 2 and not job.shelved and ("Windows" in job.message or "at most 80 characters" in job.message)
    assert main(["run", str(small.params), "--out", str(tmp_path / "r")]) == 2 and not (tmp_path / "r").exists()


def test_long_folders_are_refused_on_windows_alone(small, monkeypatch):
    out = os.sep + "x" * 200
    assert jobs_of([small.params], None, out)[0][0].code == 0
    monkeypatch.setattr(jobs.sys, "platform", "win32")
    assert "Windows allows paths of 259 characters" in jobs_of([small.params], None, out)[0][0].message
    assert jobs_of([small.params], None, "s3://" + "x" * 200)[0][0].code == 0 == jobs_of([small.params], None, "r")[0][0].code


def test_check_takes_a_sweep_or_one_of_it(small, sweep, monkeypatch, capsys):
    monkeypatch.chdir(small.root)
    assert main(["check", "params/both.yaml"]) == 0
    assert {p.name for p in small.root.glob("*.faults.csv")} == {"both_low.faults.csv", "both_high.faults.csv"}
    assert main(["check", "params/both.yaml::both_low", "--out", "one.csv"]) == 0 and Path("one.csv").is_file()
    assert main(["check", "params/both.yaml", "--out", "one.csv"]) == 2
    assert "name one, such as params/both.yaml::both_low" in capsys.readouterr().err
    small.cell("survey", 0, "response", "x")
    assert main(["check", "params/both.yaml"]) == 10


def test_plan_takes_a_sweep(small, sweep, monkeypatch):
    from pipeval.report import plan_page

    seen = []
    monkeypatch.setattr(plan_page, "write_plan", lambda params, *_, **__: seen.extend(params) or 0)
    assert main(["plan", str(sweep), str(small.params)]) == 0
    assert seen == [*each_study(sweep), str(small.params)]
