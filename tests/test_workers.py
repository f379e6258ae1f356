"""Studies on other machines: what travels, who may run them, and what becomes of them when a machine dies."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import signal
import stat
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeval.batch import carry, execute, inputs, workers
from pipeval.batch.carry import packed, packed_folder, unpacked, unpacked_folder
from pipeval.batch.inputs import Inputs, Store, _package, restored, source_digest
from pipeval.batch.run import run
from pipeval.errors import DataError, PipevalError, UsageError
from pipeval.report.versions import versions

FAKE = """
import hashlib, json, os, sys, threading, time
from pathlib import Path

threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
words = sys.argv[3:]
values = {words[i + 1]: words[i + 2] for i, word in enumerate(words) if word == "-r"}
params, out, signs = Path(values["params_path"]), Path(values["out_dir"]), Path(__file__).parent
if os.getppid() <= 1:
    sys.exit(1)  # its worker is gone already: a sign would name another process, which the test would kill
(signs / f"started-{params.stem}-{os.getppid()}").touch()
print("Executing: 50% 1/2 [00:00", flush=True)
while (signs / f"hold-{params.stem}").exists():
    print("Executing: 50% 1/2 [00:00", flush=True)
    time.sleep(0.05)
content = {"of": params.read_text(), "data": hashlib.sha256((params.parent.parent / "data.csv").read_bytes()).hexdigest()}
(out / "tables").mkdir()
(out / "tables" / "effects.csv").write_text("estimate\\n0.1\\n")
if "fails" in params.stem:
    error = {"output_type": "error", "ename": "DesignError", "evalue": "no controls"}
    Path(sys.argv[2]).write_text(json.dumps({"cells": [{"outputs": [error]}], "metadata": {}}))
    sys.exit(1)
(out / "results.json").write_text(json.dumps(content))
"""


def of(store: Store, name: str, data: bytes = b"firm_id,sales\nF01,12\n") -> Inputs:
    """The inputs of a made study, kept."""
    written = f"study: {name}\n".encode()
    digests = {content: hashlib.sha256(content).hexdigest() for content in (written, data)}
    for content, digest in digests.items():
        store.put(digest, content)
    own = {"python": platform.python_version(), **versions()}
    return Inputs(
        name, f"params/{name}.yaml", "", {"stage": "final"}, {"data.csv": digests[data]},
        {f"params/{name}.yaml": digests[written]}, "0" * 64, source_digest(), own,
    )  # fmt: skip


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return made.getvalue()


# ── what travels ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_inputs_travel_and_are_laid_out_as_they_were(tmp_path):
    store = Store(tmp_path / "store")
    record = of(store, "alpha")
    store.put("f" * 64, b"of another study")
    content = packed(record, store)
    assert content == packed(record, store)
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == [
        "inputs.json",
        *sorted(f"inputs/{digest}" for digest in (*record.files.values(), *record.written.values())),
    ]
    came, there = unpacked(content, tmp_path / "there")
    params, data = restored(came, there, tmp_path / "tree")
    assert came == record and data is None
    assert Path(params).read_text() == "study: alpha\n" and (tmp_path / "tree" / "data.csv").read_bytes().endswith(b"F01,12\n")


def test_an_input_that_is_not_kept_is_named(tmp_path):
    store = Store(tmp_path / "store")
    record = of(store, "alpha")
    (store.folder / record.files["data.csv"]).unlink()
    with pytest.raises(DataError, match=r"data\.csv is not kept"):
        packed(record, store)


def test_an_input_that_was_changed_on_its_way_is_found(tmp_path):
    store = Store(tmp_path / "store")
    record = of(store, "alpha")
    came, there = unpacked(packed(record, store), tmp_path / "there")
    there.put(record.files["data.csv"], b"firm_id,sales\nF01,99\n")
    with pytest.raises(DataError, match=r"the content kept for data\.csv was changed"):
        restored(came, there, tmp_path / "tree")


def test_a_folder_travels_without_links(tmp_path):
    made = tmp_path / "made"
    (made / "tables").mkdir(parents=True)
    (made / "tables" / "año.csv").write_bytes(b"\x00\xff" * 1000)
    (tmp_path / "secret").write_text("of this machine")
    (made / "link").symlink_to(tmp_path / "secret")
    unpacked_folder(packed_folder(made), tmp_path / "there")
    assert [p.relative_to(tmp_path / "there").as_posix() for p in (tmp_path / "there").rglob("*")] == ["tables", "tables/año.csv"]
    assert (tmp_path / "there" / "tables" / "año.csv").read_bytes() == b"\x00\xff" * 1000


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/x",
        "C:/x",
        "C:x",
        "//host/x",
        "..\\x",
        "a\\x",
        "x:stream",
        "a//x",
        "./x",
        "x.",
        "x ",
        "nul\nx",
        "a/./x",
    ],
)
def test_a_name_that_leaves_its_folder_is_refused(name, tmp_path):
    with pytest.raises(DataError, match="must hold plain files that stay inside their folder"):
        unpacked_folder(zipped((name, b"x")), tmp_path / "there" / "made")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_links_doubles_and_files_that_are_folders_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for number, (members, said) in enumerate(
        [
            ([(link, b"/etc/passwd")], "a link, 'link'"),
            ([("A.csv", b"1"), ("a.csv", b"2")], "one name twice"),
            ([("a", b"1"), ("a/b", b"2")], "the name 'a/b'"),
            ([("a/b", b"1"), ("a", b"2")], "the name 'a'"),
        ]
    ):
        with pytest.raises(DataError, match=said):
            unpacked_folder(zipped(*members), tmp_path / str(number))


def test_sizes_are_bounded_whatever_the_zip_says(tmp_path, monkeypatch):
    monkeypatch.setattr(carry, "LARGEST", 100)
    monkeypatch.setattr(carry, "MOST", 3)
    unpacked_folder(zipped(("a", b"0" * 60), ("b", b"0" * 40)), tmp_path / "fits")
    with pytest.raises(DataError, match="more than 100 bytes"):
        unpacked_folder(zipped(("a", b"0" * 60), ("b", b"0" * 41)), tmp_path / "large")
    with pytest.raises(DataError, match="4 files, of which at most 3"):
        unpacked_folder(zipped(*((name, b"") for name in "abcd")), tmp_path / "many")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "x").write_bytes(b"0" * 101)
    with pytest.raises(DataError, match="at most 100 bytes of a study can travel; x passes them"):
        packed_folder(tmp_path / "made")


def test_what_is_no_zip_or_a_broken_one_is_refused(tmp_path):
    whole = zipped(("a", bytes(range(256)) * 40))
    for number, content in enumerate((b"", b"PK", whole[:-30], whole[:40] + b"\0\0\0\0" + whole[44:])):
        with pytest.raises(DataError, match="is not a whole zip"):
            unpacked_folder(content, tmp_path / str(number))
    with pytest.raises(DataError, match=r"holds no inputs\.json"):
        unpacked(zipped(("a", b"")), tmp_path / "empty")


# ── who may run a study ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_worker_that_differs_says_in_what(monkeypatch):
    own = {"python": platform.python_version(), **versions()}
    assert workers.unfit(source_digest(), own) == ""
    assert workers.unfit("0" * 64, own) == "another source of this package"
    assert workers.unfit(source_digest(), own | {"numpy": "1.0"}) == f"numpy {own['numpy']} instead of 1.0"
    assert workers.unfit(source_digest(), own | {"python": "3.9.1"}).startswith("python 3.")
    monkeypatch.setattr(
        workers,
        "versions",
        type("", (), {"__call__": lambda _: versions() | {"typst": "not installed"}, "cache_clear": lambda _: 0})(),
    )
    assert workers.unfit(source_digest(), own) == 'lacks 1 package (typst): python -m pip install "pipeval[report]"'
    assert workers.unfit(source_digest(), own | {"typst": "not installed"}) == ""  # as here
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    assert "ipykernel" in workers.unfit(source_digest(), own)


def test_a_worker_whose_package_was_replaced_says_so(tmp_path, monkeypatch):
    """It lives on with what it once read; the studies it runs would not."""
    own, source = {"python": platform.python_version(), **versions()}, source_digest()
    assert workers.unfit(source, own) == ""
    (tmp_path / "new.py").write_text("")
    monkeypatch.setattr(inputs, "package_files", lambda: {"new.py": tmp_path / "new.py"})
    said = workers.unfit(source, own)
    monkeypatch.undo()
    assert said == "another source of this package" and workers.unfit(source, own) == ""


def test_a_folder_without_results_is_no_report(tmp_path, monkeypatch):
    there, store = workers.Elsewhere("tcp://nowhere:1"), Store(tmp_path / "store")
    for members, said in (
        ([("notebook.ipynb", b"{}")], (1, "the worker sent a folder without results.json; run the study again")),
        ([("results.json", b"{}")], (0, "")),
    ):
        monkeypatch.setattr(there, "_ran", lambda token, work, members=members: (0, "", zipped(*members)))
        assert there(of(store, "alpha"), store, tmp_path / members[0][0], 60) == said


def test_an_answer_of_another_shape_is_refused():
    assert workers._proved((0, "", b"")) == (0, "", b"") and workers._proved((None, "why", "tcp://x")) == (None, "why", "tcp://x")
    for answer in (None, (0, ""), (0, "", "text"), ("0", "", b""), {"code": 0}):
        with pytest.raises(PipevalError, match="must answer with exit code"):
            workers._proved(answer)


def test_distributed_is_named_when_it_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(PipevalError, match=r'pip install "pipeval\[dask\]"'), workers.Elsewhere("tcp://127.0.0.1:1"):
        pass


# ── a scheduler ──────────────────────────────────────────────────────────────────────────────────────────────────────

quiet = pytest.mark.filterwarnings("ignore")  # of distributed's own sockets and loops


@pytest.fixture
def fake(tmp_path, monkeypatch) -> Path:
    """The folder of the signs that made notebooks give and take; they run in place of the real ones."""
    for remembered in (_package, source_digest):
        remembered.cache_clear()
    signs = tmp_path / "signs"
    signs.mkdir()
    (signs / "fake.py").write_text(FAKE)
    (signs / "preload.py").write_text(
        f"import sys\nfrom pipeval.batch import execute\nexecute.CHILD = (sys.executable, {str(signs / 'fake.py')!r})\n"
    )
    monkeypatch.setattr(execute, "CHILD", (sys.executable, str(signs / "fake.py")))
    return signs


@contextmanager
def cluster(processes: bool = False, n: int = 1, threads: int = 1, preload: Path | None = None):
    distributed = pytest.importorskip("distributed")
    options = {"preload": [str(preload)]} if preload else {}
    if processes:
        source = Path(workers.__file__).parents[2]
        options |= {"env": {"PYTHONPATH": str(source)}}
    import dask

    # a cluster of one's own gives up a nanny whose worker is away for longer; on a busy machine a new one takes as long as that
    lasting = dask.config.set({"distributed.deploy.lost-worker-timeout": "600s"})
    with (
        lasting,
        distributed.LocalCluster(
            n_workers=n,
            threads_per_worker=threads,
            processes=processes,
            protocol="tcp",
            dashboard_address=None,
            silence_logs=50,
            **options,
        ) as made,
    ):
        yield made


def waited(what, seconds: float = 60):
    """What `what` gives as soon as it is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def kill(sign: Path, made) -> int:
    """Kill the worker that a sign names, when it is one of this cluster; its number."""
    number = int(sign.name.rpartition("-")[2])
    assert number in {nanny.pid for nanny in made.workers.values()}
    os.kill(number, signal.SIGKILL)
    return number


@quiet
def test_on_threads_of_this_process(fake, tmp_path, monkeypatch, capsys):
    """One cluster for what needs no second process: results, failures, time limits, refusals, an end."""
    store, shares = Store(tmp_path / "store"), []
    with cluster(threads=2) as made:
        address = made.scheduler_address
        with workers.Elsewhere(address) as there:
            assert there.slots == 2
            (fake / "hold-alpha").touch()
            release = threading.Timer(1, (fake / "hold-alpha").unlink)
            release.start()
            assert there(of(store, "alpha"), store, tmp_path / "a", 60, shares.append) == (0, "")
            release.join()
            assert json.loads((tmp_path / "a" / "made" / "results.json").read_text())["of"] == "study: alpha\n"
            assert (tmp_path / "a" / "made" / "tables" / "effects.csv").is_file() and set(shares) == {0.5}
            assert there(of(store, "fails"), store, tmp_path / "f", 60) == (11, "no controls")
            assert (tmp_path / "f" / "made" / "run.log").is_file()
            (fake / "hold-late").touch()
            code, message = there(of(store, "late"), store, tmp_path / "l", 1)
            assert (code, message) == (1, "took more than 1 seconds and was stopped")
            broken = of(store, "broken")
            (store.folder / broken.files["data.csv"]).write_bytes(b"other")
            assert "was changed" in there(broken, store, tmp_path / "b", 60)[1]
            (store.folder / broken.files["data.csv"]).unlink()
            # an end: the call returns, and so does the study at its next sign of life
            (fake / "hold-long").touch()
            with ThreadPoolExecutor(1) as pool:
                under_way = pool.submit(there, of(store, "long"), store, tmp_path / "o", 600)
                waited(lambda: list(fake.glob("started-long-*")))
                there.end()
                with pytest.raises(PipevalError, match="stopped before it was done"):
                    under_way.result(20)
            waited(lambda: not execute._running)
        capsys.readouterr()
        # the worker changes after it was asked: it refuses, and nobody else is there
        monkeypatch.setattr(workers, "_PATIENCE", 1)
        with workers.Elsewhere(address) as there:
            wrong = of(store, "gamma")
            wrong = Inputs(**{name: getattr(wrong, name) for name in wrong.__slots__} | {"source": "0" * 64})
            with pytest.raises(PipevalError, match="at tcp://.* none does: 1 worker .*another source of this package"):
                there(wrong, store, tmp_path / "g", 60)
        assert "is passed over: another source of this package" in capsys.readouterr().err
        monkeypatch.setattr(workers, "_own_versions", lambda: {"python": "3.9.1"})
        monkeypatch.setattr(workers, "unfit", refuses)
        with pytest.raises(PipevalError, match="must run the same package and versions"), workers.Elsewhere(address):
            pass
        [worker] = made.workers.values()
        assert not list(Path(worker.local_directory).glob("pipeval-*"))


def refuses(source, wanted) -> str:
    return "another machine"


@quiet
def test_addresses_without_a_scheduler(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "_CONNECT", 0.5)
    with (
        pytest.raises(PipevalError, match="no dask scheduler answers at tcp://127.0.0.1:9"),
        workers.Elsewhere("tcp://127.0.0.1:9"),
    ):
        pass
    with pytest.raises(UsageError, match="must be the address of a scheduler"), workers.Elsewhere("nothing://x"):
        pass
    with cluster(n=0) as made, pytest.raises(PipevalError, match="has no workers"), workers.Elsewhere(made.scheduler_address):
        pass


@pytest.mark.slow  # closing a scheduler under a study takes it half a minute
@quiet
def test_a_scheduler_that_is_lost_ends_what_is_under_way_and_what_follows(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_CONNECT", 2)
    store = Store(tmp_path / "store")
    (fake / "hold-alpha").touch()
    with cluster() as made, workers.Elsewhere(made.scheduler_address) as there:
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(there, of(store, "alpha"), store, tmp_path / "a", 600)
            waited(lambda: list(fake.glob("started-alpha-*")))
            made.close()
            with pytest.raises(PipevalError, match=r"the scheduler at tcp://.* was lost .*what is done is not run twice"):
                under_way.result(60)
        with pytest.raises(PipevalError, match="was lost"):
            there(of(store, "beta"), store, tmp_path / "b", 60)
        execute.end_children()


@pytest.mark.slow
@quiet
def test_a_worker_killed_half_way_loses_nothing(fake, tmp_path):
    """Four studies on two workers, one of which is killed under a study: all end well, with the same bytes as here."""
    store, names = Store(tmp_path / "store"), ["alpha", "beta", "gamma", "delta"]
    (fake / "hold-alpha").touch()
    with (
        cluster(processes=True, n=2, preload=fake / "preload.py") as made,
        workers.Elsewhere(made.scheduler_address) as there,
        ThreadPoolExecutor(2) as pool,
    ):
        assert there.slots == 2
        runs = {name: pool.submit(there, of(store, name), store, tmp_path / "far" / name, 300) for name in names}
        [sign] = waited(lambda: list(fake.glob("started-alpha-*")))
        killed = kill(sign, made)
        (fake / "hold-alpha").unlink()
        assert {name: one.result(120) for name, one in runs.items()} == dict.fromkeys(names, (0, ""))
    by = {sign.name.rpartition("-")[2] for sign in fake.glob("started-alpha-*")}
    assert len(by) == 2 and str(killed) in by
    for name in names:
        assert execute.here(of(store, name), store, tmp_path / "near" / name, 300) == (0, "")
        far, near = ((tmp_path / where / name / "made" / "results.json").read_bytes() for where in ("far", "near"))
        assert far == near


@quiet
def test_a_study_that_takes_its_workers_with_it_fails_alone(fake, tmp_path):
    """Workers tell each start of a study: at the fourth, three died under it."""
    store = Store(tmp_path / "store")
    (fake / "hold-deadly").touch()
    with cluster() as made, workers.Elsewhere(made.scheduler_address) as there, ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(there, of(store, "deadly"), store, tmp_path / "d", 300)
        [token] = waited(lambda: list(there._starts))
        for _ in range(workers.DEATHS - 1):
            there._heard((0, {"token": token, "share": None}))
        time.sleep(1.5)
        assert not under_way.done()
        there._heard((0, {"token": token, "share": None}))
        with pytest.raises(PipevalError, match="3 workers died while they ran it"):
            under_way.result(20)
        assert there(of(store, "alpha"), store, tmp_path / "a", 300) == (0, "")


@pytest.mark.slow
@quiet
def test_a_study_that_kills_each_worker_it_is_given_fails_by_name(fake, tmp_path):
    """Real deaths, at once after each start, of one worker that its nanny starts anew; the next study runs on the last one."""
    store, seen = Store(tmp_path / "store"), set()
    (fake / "hold-deadly").touch()
    with (
        cluster(processes=True, n=1, preload=fake / "preload.py") as made,
        workers.Elsewhere(made.scheduler_address) as there,
        ThreadPoolExecutor(1) as pool,
    ):
        under_way = pool.submit(there, of(store, "deadly"), store, tmp_path / "d", 600)
        for _ in range(workers.DEATHS):
            [sign] = waited(lambda: set(fake.glob("started-deadly-*")) - seen, 120)
            seen.add(sign)
            kill(sign, made)
        with pytest.raises(PipevalError, match=r"workers died while they ran it"):
            under_way.result(120)
        (fake / "hold-deadly").unlink()
        assert there(of(store, "alpha"), store, tmp_path / "a", 300) == (0, "")


@pytest.mark.parametrize("comes", [True, False], ids=["one comes and dies between looks", "none comes"])
def test_only_time_without_any_worker_counts_as_such(comes, monkeypatch):
    """No look ever finds a worker; starts of the study say that there were some."""
    pytest.importorskip("distributed")
    there, begun = workers.Elsewhere("tcp://nowhere:1"), time.monotonic()
    monkeypatch.setattr(workers, "_LOOK", 0)
    monkeypatch.setattr(workers, "_PATIENCE", 0.5)
    monkeypatch.setattr(there, "_alive", dict)
    there._client = SimpleNamespace(status="running")

    def result(timeout):
        time.sleep(0.02)
        there._starts["t"] = int((time.monotonic() - begun) / 0.3) if comes else 0
        raise TimeoutError

    said = "3 workers died" if comes else "no worker has been left at tcp://nowhere:1 for 0.5 seconds"
    with pytest.raises(PipevalError, match=said):
        there._answer(SimpleNamespace(result=result), "t", None)


@pytest.mark.slow
@quiet
def test_a_worker_with_another_package_is_passed_over(fake, tmp_path, capsys):
    distributed = pytest.importorskip("distributed")
    source, store = Path(workers.__file__).parents[2], Store(tmp_path / "store")
    other = tmp_path / "other" / "src"
    shutil.copytree(source / "pipeval", other / "pipeval", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(source.parent / "notebooks", other.parent / "notebooks")
    (other / "pipeval" / "errors.py").write_text((source / "pipeval" / "errors.py").read_text() + "# changed\n")
    # a process that is started takes over the search path of this one, before which its environment counts for nothing
    (fake / "other.py").write_text(f"import sys\nsys.path.insert(0, {str(other)!r})\n" + (fake / "preload.py").read_text())
    spec = {
        number: {"cls": distributed.Nanny, "options": {"nthreads": 1, "preload": [str(fake / name)], "name": number}}
        for number, name in ((0, "preload.py"), (1, "other.py"))
    }
    scheduler = {"cls": distributed.Scheduler, "options": {"dashboard_address": None, "port": 0}}
    made = distributed.SpecCluster(workers=spec, scheduler=scheduler, silence_logs=50)
    with made, workers.Elsewhere(made.scheduler_address) as there:
        assert there.slots == 1 and capsys.readouterr().err.count("is passed over: another source of this package") == 1
        for name in ("alpha", "beta", "gamma"):
            assert there(of(store, name), store, tmp_path / name, 300) == (0, "")
    assert len({sign.name.rpartition("-")[2] for sign in fake.glob("started-*")}) == 1


@pytest.mark.slow
@quiet
def test_a_real_study_says_the_same_there_and_here(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small.planned(stage="baseline", as_of="2004-06-30")  # the shortest notebook
    small.planned(sensitivity={"permutations": 99, "simulations": 20})
    assert run([str(small.params)], tmp_path / "near") == 0
    with cluster(processes=True, n=1) as made:
        assert run([str(small.params)], tmp_path / "far", dask=made.scheduler_address) == 0
    near, far = ((tmp_path / where / "small") for where in ("near", "far"))
    tables = sorted(p.relative_to(near) for p in near.rglob("*.csv"))
    assert tables
    for name in ("results.json", "inputs.json", *tables):
        assert (near / name).read_bytes() == (far / name).read_bytes(), name
    assert {p.relative_to(near).as_posix() for p in near.rglob("*")} == {p.relative_to(far).as_posix() for p in far.rglob("*")}
    assert run([str(small.params)], tmp_path / "far") == 0
    assert json.loads((far / "run.json").read_text())["why"] == ["no report yet"]
