"""Reports on a URL: whoever reads meets a whole report, whatever fails and whenever."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("fsspec")

from fsspec.implementations.memory import MemoryFileSystem

from pipeval.batch.inputs import Inputs
from pipeval.batch.remote import RemoteShelf
from pipeval.batch.shelf import shelf_for
from pipeval.errors import PipevalError, UsageError

PAPERS = ["report.en.html"]


def inputs(version: str) -> Inputs:
    return Inputs("alpha", "params/a.yaml", "", {"stage": "final", "v": version}, {}, {}, "n", "s", {"python": "3.11"})


def made(home: Path, version: str, **more: str) -> tuple[Path, dict]:
    """A finished folder whose every file says the version, and its record."""
    place = home / "made" / secrets.token_hex(4)
    (place / "tables").mkdir(parents=True)
    (place / "look").mkdir()
    for name in ("results.json", "report.en.html", "tables/effects.csv", "look/logo.png"):
        (place / name).write_text(version + more.get(name, ""))
    (place / "inputs.json").write_bytes(inputs(version).as_bytes())
    return place, {"study": "alpha", "status": "done", "key": inputs(version).key, "seconds": 1.5}


def failed(home: Path, why: str) -> tuple[Path, dict]:
    place = home / "made" / secrets.token_hex(4)
    place.mkdir(parents=True)
    for name in ("notebook.ipynb", "run.log", "results.json"):
        (place / name).write_text(why)
    return place, {"study": "alpha", "status": "failed", "key": None, "message": why}


@pytest.fixture
def url():
    fs = MemoryFileSystem()
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield "memory://reports"
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def read(url: str, study: str = "alpha") -> dict[str, str] | None:
    """What a reader who follows the pointer meets; a report that is not whole fails here."""
    fs = MemoryFileSystem()
    root = f"/{url.partition('://')[2]}/{study}"
    if not fs.exists(f"{root}/current.json"):
        return None
    pointer = json.loads(fs.cat_file(f"{root}/current.json"))
    folder = f"{root}/{pointer['folder']}"
    found = {path[len(folder) + 1 :]: fs.cat_file(path) for path in fs.find(folder)}
    record = json.loads(found.pop("run.json"))
    assert record == pointer["record"] and record["key"] == pointer["inputs"]["key"]
    assert {name: len(content) for name, content in found.items()} == record["outputs"]
    return {name: content.decode() for name, content in found.items() if name != "inputs.json"}


def last(url: str, study: str = "alpha") -> str | None:
    """What the report before this one, that had other inputs, says; it stays under the URL for whoever compares the two."""
    fs, root = MemoryFileSystem(), f"/{url.partition('://')[2]}/{study}"
    folder = json.loads(fs.cat_file(f"{root}/current.json"))["last"]
    return folder and fs.cat_file(f"{root}/{folder}/results.json").decode()


def folders(url: str, study: str = "alpha") -> set[str]:
    root = f"/{url.partition('://')[2]}/{study}/"
    return {p[len(root) :].split("/")[0] for p in MemoryFileSystem().find(root.rstrip("/"))} - {"current.json"}


# ── publishing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_report_is_published_whole_and_read_back(url, tmp_path):
    shelf = shelf_for(url)
    shelf = RemoteShelf(url, tmp_path)
    assert shelf.published("alpha") is None and shelf.record("alpha") is None and shelf.bundle("alpha") is None
    assert shelf.records() == [] and not shelf.complete("alpha", PAPERS)
    with shelf.hold():
        where = shelf.publish("alpha", *made(tmp_path, "one"))
    assert where.startswith(f"memory://reports/alpha/{inputs('one').key[:12]}-")
    assert set(read(url).values()) == {"one"}
    assert shelf.published("alpha") == inputs("one")
    assert shelf.complete("alpha", PAPERS) and not shelf.complete("alpha", [*PAPERS, "report.es.html"])
    [record] = shelf.records()
    assert record.pop("folder") == where.removeprefix("memory://reports/")
    assert record == shelf.record("alpha") and record["outputs"]["look/logo.png"] == 3
    brought = shelf.bundle("alpha")
    assert sorted(p.relative_to(brought).as_posix() for p in brought.rglob("*") if p.is_file()) == [
        "inputs.json",
        "look/logo.png",
        "results.json",
        "run.json",
    ]
    assert (brought / "results.json").read_text() == "one" and last(url) is None


def test_inputs_stay_in_the_working_folder(url, tmp_path):
    shelf = RemoteShelf(url, tmp_path)
    with shelf.hold():
        shelf.store.put("ab" * 32, b"sales of F07: 1,200")
        shelf.publish("alpha", *made(tmp_path, "one"))
    assert (tmp_path / ".pipeval" / "inputs" / ("ab" * 32)).is_file()
    fs = MemoryFileSystem()
    assert not any(b"F07" in fs.cat_file(path) for path in fs.find("/"))
    assert shelf.workplace("alpha").is_relative_to(tmp_path / ".pipeval" / "work")


def test_a_paper_that_is_gone_or_shortened_makes_the_report_incomplete(url, tmp_path):
    shelf, fs = RemoteShelf(url, tmp_path), MemoryFileSystem()
    with shelf.hold():
        shelf.publish("alpha", *made(tmp_path, "one"))
    [path] = [p for p in fs.find("/reports") if p.endswith("report.en.html")]
    fs.pipe_file(path, b"on")
    assert not shelf.complete("alpha", PAPERS)
    fs.pipe_file(path, b"one")
    assert shelf.complete("alpha", PAPERS)
    fs.rm_file(path)
    assert not shelf.complete("alpha", PAPERS)


def test_the_last_report_of_other_inputs_is_kept_and_older_ones_go(url, tmp_path):
    shelf = RemoteShelf(url, tmp_path)
    with shelf.hold():
        for version in ("one", "two", "two", "two"):
            shelf.publish("alpha", *made(tmp_path, version))
        assert last(url) == "one"
        kept = folders(url)
        assert len(kept) == 3  # the report, the one it replaced, the last of other inputs
        shelf.publish("alpha", *made(tmp_path, "three"))
    assert last(url) == "two"
    assert len(folders(url)) == 2 and len(folders(url) & kept) == 1
    assert set(read(url).values()) == {"three"}


def test_a_failure_stands_beside_the_report_until_the_next_one(url, tmp_path):
    shelf = RemoteShelf(url, tmp_path)
    with shelf.hold():
        shelf.publish("alpha", *made(tmp_path, "one"))
        where = shelf.fail("alpha", *failed(tmp_path, "no convergence"))
        assert where.startswith("memory://reports/alpha.failed/000000000000-")
        records = shelf.records()
        assert [r["status"] for r in records] == ["done", "failed"] and records[1]["message"] == "no convergence"
        names = {p.rsplit("/", 1)[-1] for p in MemoryFileSystem().find("/reports/alpha.failed")}
        assert names == {"notebook.ipynb", "run.log", "run.json", "current.json"}
        assert set(read(url).values()) == {"one"}
        shelf.fail("alpha", *failed(tmp_path, "again"))
        assert [r.get("message") for r in shelf.records()] == [None, "again"]
        shelf.forget_failure("alpha")
        assert [r["status"] for r in shelf.records()] == ["done"] and MemoryFileSystem().find("/reports/alpha.failed") == []
        shelf.forget_failure("alpha")  # there is none
        shelf.fail("alpha", *failed(tmp_path, "a third time"))
        shelf.publish("alpha", *made(tmp_path, "two"))
    assert [r["status"] for r in shelf.records()] == ["done"]
    assert MemoryFileSystem().find("/reports/alpha.failed") == []


def test_a_failure_without_a_report(url, tmp_path):
    shelf = RemoteShelf(url, tmp_path)
    with shelf.hold():
        shelf.fail("alpha", tmp_path / "never made", {"study": "alpha", "status": "failed", "key": None})
    assert [r["status"] for r in shelf.records()] == ["failed"]
    assert shelf.published("alpha") is None


def test_two_batches_on_one_url_are_isolated(url, tmp_path):
    one, two = RemoteShelf(url, tmp_path / "a"), RemoteShelf(url, tmp_path / "b")
    with one.hold(), two.hold():
        one.publish("alpha", *made(tmp_path, "one"))
        two.publish("alpha", *made(tmp_path, "two"))
        assert set(read(url).values()) == {"two"}
        one.publish("alpha", *made(tmp_path, "three"))
        two.publish("beta", *(lambda place, record: (place, record | {"study": "beta"}))(*made(tmp_path, "one")))
    assert set(read(url).values()) == {"three"} and last(url) == "two"
    assert [r["study"] for r in one.records()] == ["alpha", "beta"]


def test_a_report_that_another_batch_is_sending_is_left_alone(url, tmp_path):
    fs = MemoryFileSystem()
    fs.pipe_file("/reports/alpha/0123456789ab-0123456789abcdef/results.json", b"on its way")
    shelf = RemoteShelf(url, tmp_path)
    with shelf.hold():
        for version in ("one", "two", "three"):
            shelf.publish("alpha", *made(tmp_path, version))
    assert fs.cat_file("/reports/alpha/0123456789ab-0123456789abcdef/results.json") == b"on its way"


def test_one_batch_at_a_time_in_a_working_folder(url, tmp_path):
    one, two = RemoteShelf(url, tmp_path), RemoteShelf(url, tmp_path)
    with one.hold(), pytest.raises(PipevalError, match="one batch at a time"), two.hold():
        pass


def test_pages_are_written_by_one_put(url, tmp_path):
    shelf = RemoteShelf(url, tmp_path)
    shelf.write("index.html", b"<html>")
    assert MemoryFileSystem().cat_file("/reports/index.html") == b"<html>"


# ── pointers that were tampered with ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "change",
    [
        {"folder": "../beta"},
        {"folder": None},
        {"before": "../.."},
        {"last": "x"},
        {"version": 2},
        {"record": {"study": 3}},
        {"record": None},
    ],
)
def test_a_pointer_that_is_none_is_not_followed(change, url, tmp_path):
    shelf, fs = RemoteShelf(url, tmp_path), MemoryFileSystem()
    fs.pipe_file("/reports/beta/results.json", b"of another")
    with shelf.hold():
        shelf.publish("alpha", *made(tmp_path, "one"))
        pointer = json.loads(fs.cat_file("/reports/alpha/current.json"))
        fs.pipe_file("/reports/alpha/current.json", json.dumps(pointer | change).encode())
        assert shelf.published("alpha") is None and shelf.record("alpha") is None and shelf.records() == []
        shelf.publish("alpha", *made(tmp_path, "two"))
    assert set(read(url).values()) == {"two"} and fs.cat_file("/reports/beta/results.json") == b"of another"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
def test_a_broken_pointer_is_no_report(content, url, tmp_path):
    MemoryFileSystem().pipe_file("/reports/alpha/current.json", content)
    shelf = RemoteShelf(url, tmp_path)
    assert shelf.published("alpha") is None and shelf.records() == []


def test_inputs_that_do_not_fit_their_key_are_no_record(url, tmp_path):
    shelf, fs = RemoteShelf(url, tmp_path), MemoryFileSystem()
    with shelf.hold():
        shelf.publish("alpha", *made(tmp_path, "one"))
    pointer = json.loads(fs.cat_file("/reports/alpha/current.json"))
    pointer["inputs"]["source"] = "other"
    fs.pipe_file("/reports/alpha/current.json", json.dumps(pointer).encode())
    assert shelf.published("alpha") is None and shelf.bundle("alpha") is not None


# ── failures between any two operations ──────────────────────────────────────────────────────────────────────────────


class Fragile(MemoryFileSystem):
    """A file system that stops at the operation after `left` others; nothing after it is answered."""

    protocol = "memory"
    cachable = False
    left = 10**9
    only_once = False

    def _count(self):
        if Fragile.left <= 0 and not (Fragile.only_once and Fragile.left < 0):
            if Fragile.only_once:
                Fragile.left = -1
            raise Lost("the line is cut")
        Fragile.left -= Fragile.left > 0

    def cat_file(self, path, start=None, end=None, **kwargs):
        self._count()
        return super().cat_file(path, start, end, **kwargs)

    def put_file(self, lpath, rpath, **kwargs):
        self._count()
        super().put_file(lpath, rpath, **kwargs)

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        self._count()
        super().pipe_file(path, value, mode, **kwargs)

    def rm_file(self, path):
        self._count()
        super().rm_file(path)

    def rm(self, path, recursive=False, maxdepth=None):
        for one in sorted(MemoryFileSystem().find(path)):
            self.rm_file(one)

    def find(self, path, maxdepth=None, withdirs=False, detail=False, **kwargs):
        self._count()
        return super().find(path, maxdepth, withdirs, detail, **kwargs)

    def ls(self, path, detail=True, **kwargs):
        self._count()
        return super().ls(path, detail, **kwargs)


class Lost(Exception):
    """What a store says in its own words."""


def fragile(url: str, home: Path, left: int, once: bool = False) -> RemoteShelf:
    shelf = RemoteShelf(url, home)
    shelf.fs = Fragile()
    Fragile.left, Fragile.only_once = left, once
    return shelf


def walked(url: str, tmp_path: Path, left: int, once: bool = False) -> tuple[bool, str, int]:
    """A report `two` replaces `one`, over a failure, with the line cut after `left` operations: whether it was said to be
    published, what a reader meets, and the operations left."""
    MemoryFileSystem.store.clear()
    home = tmp_path / f"{left}{once}"
    shelf = RemoteShelf(url, home)
    with shelf.hold():
        shelf.publish("alpha", *made(home, "zero"))
        shelf.publish("alpha", *made(home, "one"))
        shelf.fail("alpha", *failed(home, "no convergence"))
        cut = fragile(url, home, left, once)
        try:
            cut.publish("alpha", *made(home, "two"))
            done = True
        except PipevalError as error:
            assert "cannot reach memory://reports" in str(error) or "arrive whole" in str(error)
            done = False
    rest, Fragile.left = Fragile.left, 10**9
    [version] = set(read(url).values())
    return done, version, rest


@pytest.mark.parametrize("once", [False, True], ids=["cut for good", "one operation fails"])
def test_every_prefix_of_operations_leaves_a_whole_report(once, url, tmp_path):
    total = 1000 - walked(url, tmp_path, 1000)[2]
    assert total > 10
    seen = []
    for left in range(total):
        done, version, _ = walked(url, tmp_path, left, once)
        seen.append(version)
        assert done == (version == "two"), left
        home = tmp_path / f"{left}{once}"
        # the next batch, on a line that holds, publishes what waits and leaves nothing behind
        shelf = RemoteShelf(url, home)
        with shelf.hold():
            assert shelf.settle("alpha", inputs("two").key) is not done
            assert [r["status"] for r in shelf.records()] == ["done"] and shelf.published("alpha") == inputs("two")
            assert set(read(url).values()) == {"two"} and last(url) == "one"
        with shelf.hold():
            pointer = json.loads(MemoryFileSystem().cat_file("/reports/alpha/current.json"))
            assert folders(url) == {pointer[name] for name in ("folder", "before", "last")}
    assert seen == sorted(seen, key=["one", "two"].index) and set(seen) == {"one", "two"}  # one point in time, never back


class Short(MemoryFileSystem):
    """A file system that says nothing of a file of which it kept the first bytes alone."""

    protocol = "memory"
    cachable = False

    def put_file(self, lpath, rpath, **kwargs):
        whole = Path(lpath).read_bytes()
        self.pipe_file(rpath, whole[:2] if rpath.endswith("effects.csv") else whole)


def test_a_file_that_arrives_short_is_not_published(url, tmp_path):
    shelf = RemoteShelf(url, tmp_path)
    with shelf.hold():
        shelf.publish("alpha", *made(tmp_path, "one"))
        shelf.fs = Short()
        with pytest.raises(
            PipevalError, match=r"arrive whole at memory://reports; not there as sent: 1 file \(tables/effects\.csv\)"
        ):
            shelf.publish("alpha", *made(tmp_path, "two"))
    assert set(read(url).values()) == {"one"}


def test_every_prefix_of_a_failure_leaves_the_report(url, tmp_path):
    versions = []
    for left in range(30):
        MemoryFileSystem.store.clear()
        home = tmp_path / str(left)
        shelf = RemoteShelf(url, home)
        with shelf.hold():
            shelf.publish("alpha", *made(home, "one"))
            try:
                fragile(url, home, left).fail("alpha", *failed(home, "no convergence"))
                said = True
            except PipevalError:
                said = False
        Fragile.left = 10**9
        assert set(read(url).values()) == {"one"}
        versions.append((said, len(shelf.records())))
        shelf.publish("alpha", *made(home, "two"))
        assert len(shelf.records()) == 1
    assert set(versions) == {(False, 1), (True, 2)}


def test_what_waits_and_what_was_sent_are_the_owners_alone(url, tmp_path):
    shelf = RemoteShelf(url, tmp_path)
    before = os.umask(0)
    try:
        shelf.publish("alpha", *made(tmp_path, "one"))
        with pytest.raises(PipevalError, match="waits here; run again"):
            fragile(url, tmp_path, 0).publish("alpha", *made(tmp_path, "two"))
    finally:
        os.umask(before)
        Fragile.left = 10**9
    hidden = tmp_path / ".pipeval" / "sent"
    [one] = hidden.iterdir()
    assert {p.name for p in one.iterdir()} == {"folders.json", "pending"}
    for folder in (hidden.parent, hidden, one):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_what_cannot_be_sent_waits_for_its_inputs_only(url, tmp_path):
    shelf = RemoteShelf(url, tmp_path)
    with shelf.hold():
        with pytest.raises(PipevalError, match="waits here; run again"):
            fragile(url, tmp_path, 0).publish("alpha", *made(tmp_path, "one"))
        Fragile.left = 10**9
        assert not shelf.settle("alpha", inputs("two").key) and not shelf.settle("alpha", inputs("one").key)
    assert read(url) is None


def test_a_key_that_may_only_read_is_found_before_anything_runs(url, tmp_path):
    shelf = fragile(url, tmp_path, 0)
    with pytest.raises(PipevalError, match="the line is cut.*credentials"), shelf.hold():
        raise AssertionError
    Fragile.left = 10**9


def test_an_error_is_not_taken_for_absence(url, tmp_path):
    shelf = RemoteShelf(url, tmp_path)
    with shelf.hold():
        shelf.publish("alpha", *made(tmp_path, "one"))
    cut = fragile(url, tmp_path, 0)
    for ask in (cut.records, lambda: cut.published("alpha"), lambda: cut.complete("alpha", PAPERS)):
        with pytest.raises(PipevalError, match="the line is cut"):
            ask()
    Fragile.left = 1
    with pytest.raises(PipevalError, match="the line is cut"):  # the listing answers, a pointer does not
        cut.records()
    Fragile.left = 10**9


def test_a_bundle_removed_while_it_is_brought_is_followed_anew(url, tmp_path, monkeypatch):
    shelf = RemoteShelf(url, tmp_path)
    with shelf.hold():
        shelf.publish("alpha", *made(tmp_path, "one"))
        sizes, moved = shelf._sizes, []

        def sizes_then_replaced(target):
            found = sizes(target)
            if not moved:
                moved.append(True)
                for version in ("two", "three"):
                    RemoteShelf.publish(shelf, "alpha", *made(tmp_path, version))
            return found

        monkeypatch.setattr(shelf, "_sizes", sizes_then_replaced)
        assert (shelf.bundle("alpha") / "results.json").read_text() == "three"


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_addresses(tmp_path):
    with pytest.raises(UsageError, match="written as a path"):
        RemoteShelf(f"file://{tmp_path}")
    with pytest.raises(UsageError, match="such as s3://bucket/reports; found nothing://x"):
        RemoteShelf("nothing://x")
    assert RemoteShelf("memory://anna:secret@there/reports", tmp_path).url == "memory://there/reports"


def test_fsspec_is_named_when_it_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(PipevalError, match=r'pip install "pipeval\[remote\]"'):
        RemoteShelf("memory://x")


# ── a server ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def s3(tmp_path, monkeypatch):
    """A bucket on a server of this machine."""
    for package in ("s3fs", "boto3", "moto.server"):
        pytest.importorskip(package)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    values = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_DEFAULT_REGION": "us-east-1"}
    values["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ),
    )  # fmt: skip
    try:
        for _ in range(300):
            with socket.socket() as line:
                if not line.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        import boto3

        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        yield client
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_on_a_server(s3, tmp_path):
    shelf = RemoteShelf("s3://bucket/reports", tmp_path)
    assert shelf.records() == []
    with shelf.hold():
        for version in ("one", "two", "three"):
            shelf.publish("alpha", *made(tmp_path, version))
        shelf.fail("alpha", *failed(tmp_path, "no convergence"))
        shelf.write("index.html", b"<html>")
    assert shelf.published("alpha") == inputs("three") and shelf.complete("alpha", PAPERS)
    assert [r["status"] for r in shelf.records()] == ["done", "failed"]
    kept = json.loads(shelf.fs.cat_file("bucket/reports/alpha/current.json"))["last"]
    assert shelf.fs.cat_file(f"bucket/reports/alpha/{kept}/results.json") == b"two"
    assert s3.head_object(Bucket="bucket", Key="reports/index.html")["ContentType"] == "text/html"
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="bucket")["Contents"]]
    assert len({key.split("/")[2] for key in keys if key.startswith("reports/alpha/")}) == 3  # two reports and the pointer
    with (
        pytest.raises(PipevalError, match="cannot reach s3://nowhere/reports"),
        RemoteShelf("s3://nowhere/reports", tmp_path).hold(),
    ):
        pass


def test_a_page_is_read_as_it_was_written():
    shelf = RemoteShelf("memory://pages")
    assert shelf.read("index.html") is None
    shelf.write("index.html", b"<p>")
    assert shelf.read("index.html") == b"<p>"
