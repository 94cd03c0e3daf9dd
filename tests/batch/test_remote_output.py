"""Whole runs from an address to an address: the same files as in directories, and a second run does the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pcapreport.batch import session
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.runner import local
from pcapreport.batch.urls import Url
from pcapreport.batch.work import Order
from pcapreport.errors import UsageError

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (the extra `remote`)")

from s3_server import s3_server  # noqa: E402

from pcapreport.batch import output, places, remote_output  # noqa: E402

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
GIVEN = {
    "a.pcap": "refused.pcap",
    "deep/er/b": "abort-by-reset.pcap",
    "deep/c.pcapng": "two-taps.pcapng",
    "d.pcap.gz": "compressed.pcap.gz",
}
RECORD = ".pcapreport.sqlite"


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    with s3_server():
        yield fsspec.filesystem("s3", skip_instance_cache=True)


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def put(system: Any, top: str, given: dict[str, str] = GIVEN) -> None:
    for name, sample in given.items():
        system.pipe_file(f"{top}/{name}", (SAMPLES / sample).read_bytes())


def run(source: str, out: str | Path, tell: Any = None, **more: Any) -> list[IndexEntry]:
    formats = more.pop("formats", frozenset(("html", "json")))
    batch = {name: more.pop(name) for name in ("jobs", "workers", "prune") if name in more}
    order = Order(out if isinstance(out, Path) else Url(out), formats, **more)
    return session.run(session.Request((source,), order, **batch), **({"tell": tell} if tell else {}))


def contents(system: Any, top: str) -> dict[str, bytes]:
    system.invalidate_cache()
    return {path.split(f"{top}/", 1)[1]: system.cat_file(path) for path in system.find(top) if RECORD not in path}


def expected(tmp_path: Path) -> dict[str, bytes]:
    for name, sample in GIVEN.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes((SAMPLES / sample).read_bytes())
    run(str(tmp_path / "in"), tmp_path / "out")
    found = (path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != RECORD)
    return {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in found}


def test_from_a_bucket_to_a_bucket_the_files_are_those_of_a_directory(s3: Any, tmp_path: Path) -> None:
    s3.mkdir("bucket")
    put(s3, "bucket/in")
    entries = run("s3://bucket/in", "s3://bucket/out", jobs=2)
    assert {entry.status for entry in entries} == {"ok"}
    assert contents(s3, "bucket/out") == expected(tmp_path)


def test_a_second_run_does_what_is_new_or_changed_and_prunes_what_is_gone(memory: Any) -> None:
    put(memory, "/in")
    run("memory://in", "memory://out")
    before = {path: memory.info(path)["created"] for path in memory.find("/out")}
    memory.pipe_file("/in/a.pcap", (SAMPLES / "abort-by-reset.pcap").read_bytes())
    memory.pipe_file("/in/new.pcap", (SAMPLES / "refused.pcap").read_bytes())
    memory.rm_file("/in/deep/er/b")
    entries = {entry.file: entry.verdict for entry in run("memory://in", "memory://out", prune=True)}
    assert set(entries) == {"a.pcap", "new.pcap", "deep/c.pcapng", "d.pcap.gz"} and "reset" in entries["a.pcap"]
    after = {path: memory.info(path)["created"] for path in memory.find("/out")}
    assert {path for path in before if "deep/er" in path} and not {path for path in after if "deep/er" in path}
    same = {path for path in after if after[path] == before.get(path)}
    assert same == {f"/out/{name}.{kind}" for name in ("deep/c.pcapng", "d.pcap.gz") for kind in ("html", "json")}


def test_an_interrupted_run_is_recorded_there_and_the_next_does_the_rest(memory: Any) -> None:
    put(memory, "/in")
    told: list[str] = []

    def interrupt(entry: IndexEntry) -> None:
        told.append(entry.file)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("memory://in", "memory://out", interrupt)
    index = json.loads(memory.cat_file("/out/index.json"))
    assert {entry["file"] for entry in index["captures"]} == set(told)
    began = {path: memory.info(path)["created"] for path in memory.find("/out") if told[0] in path}
    assert {entry.file for entry in run("memory://in", "memory://out")} == set(GIVEN)
    assert began and {path: memory.info(path)["created"] for path in began} == began


def test_the_record_is_sent_while_a_run_goes_on(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_output, "SEND_EVERY_S", 0.0)
    monkeypatch.setattr(remote_output, "SEND_SHARE", 0)
    put(memory, "/in")
    sizes: list[bool] = []
    run("memory://in", "memory://out", lambda _: sizes.append(memory.exists(f"/out/{RECORD}")))
    assert sizes[-1]


def test_no_file_of_this_machine_is_left(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    put(memory, "/in")
    run("memory://in", "memory://out")
    assert list(tmp_path.iterdir()) == []


def test_neither_reports_nor_index_nor_record_hold_the_password(memory: Any, tmp_path: Path) -> None:
    put(memory, "/user:secret@host/in")
    memory.pipe_file("/user:secret@host/in/broken.pcap", b"")
    for out in ("memory://user:secret@host/out", tmp_path):
        entries = run("memory://user:secret@host/in", out)
        assert len(entries) == len(GIVEN) + 1
    written = [memory.cat_file(path) for path in memory.find("/user:secret@host/out")]
    written += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 20 and not [data for data in written if b"secret" in data]


def test_what_vanishes_or_is_forbidden_costs_only_its_capture(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(memory, "/in")
    get, pipe = type(memory).get_file, type(memory).pipe_file

    def fetch(self: Any, path: str, *more: Any, **options: Any) -> Any:
        if "a.pcap" in path:
            raise PermissionError("Access Denied")
        return get(self, path, *more, **options)

    def write(self: Any, path: str, *more: Any, **options: Any) -> Any:
        if "c.pcapng" in path:
            raise PermissionError("Access Denied")
        return pipe(self, path, *more, **options)

    monkeypatch.setattr(type(memory), "get_file", fetch)
    monkeypatch.setattr(type(memory), "pipe_file", write)
    entries = {entry.file: entry for entry in run("memory://in", "memory://out")}
    assert {name: entry.status for name, entry in entries.items() if entry.status != "ok"} == {
        "a.pcap": "unreadable",
        "deep/c.pcapng": "unreadable",
    }
    assert "cannot be fetched (Access Denied)" in entries["a.pcap"].message
    assert "the output cannot be written (Access Denied)" in entries["deep/c.pcapng"].message


@pytest.mark.parametrize("out", ["s3://nowhere/out", "s3://nowhere"])
def test_a_bucket_that_is_not_there_ends_the_run_before_anything_is_done(out: str, s3: Any) -> None:
    with pytest.raises(UsageError, match="s3://nowhere.*bucket does not exist; check the address"):
        run(str(SAMPLES / "refused.pcap"), out)
    assert not s3.exists("nowhere")


def test_hostile_names_stay_in_the_output(memory: Any, tmp_path: Path) -> None:
    put(memory, "/in", {"../../../up.pcap": "refused.pcap", "x::file:/etc/passwd.pcap": "refused.pcap"})
    entries = run("memory://in", tmp_path / "a" / "b" / "out")
    assert {entry.status for entry in entries} == {"ok"}
    outside = [
        path for path in tmp_path.rglob("*") if path.is_file() and tmp_path / "a" / "b" / "out" not in path.parents
    ]
    assert outside == []


def test_the_command_prints_the_address_of_the_index_and_needs_no_directory(s3: Any, tmp_path: Path) -> None:
    s3.mkdir("command")
    command = [sys.executable, "-m", "pcapreport", "report", str(SAMPLES / "refused.pcap"), "-o", "s3://command/out/"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert (done.returncode, done.stdout) == (0, "s3://command/out/index.html\n"), done.stderr
    assert list(tmp_path.iterdir()) == [] and s3.exists("command/out/refused.pcap.html")


def test_a_dask_worker_killed_in_mid_run_between_buckets(s3: Any, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="distributed is not installed (the extra `cluster`)")
    from dask_cluster import DaskCluster

    from pcapreport.batch import dask_executor

    s3.mkdir("many")
    names = {f"{number}.pcap": "refused.pcap" for number in range(9)}
    put(s3, "many/in", names)
    killed: list[int] = []
    dask = DaskCluster(tmp_path)

    def kill(_: IndexEntry) -> None:
        if not killed:
            with distributed.Client(f"tcp://{dask.address}", set_as_default=False) as client:
                killed.extend(list(client.run(os.getpid).values())[:1])
            os.kill(killed[0], signal.SIGKILL)

    try:
        with dask_executor.cluster(f"dask://{dask.address}") as connect:
            entries = run("s3://many/in", "s3://many/out", kill, workers=connect)
    finally:
        dask.stop()
    assert killed and {entry.status for entry in entries} == {"ok"} and len(entries) == 9
    run("s3://many/in", "s3://many/local", workers=local)
    assert contents(s3, "many/out") == contents(s3, "many/local")


def test_a_server_s_files_that_were_begun_are_swept(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / "sub" / f".pcapreport-{output.machine()}-{gone.pid}-0a.part"
    ours = tmp_path / output.begun_name()
    for path in (left, ours):
        path.write_bytes(b"half")
    remote_output.RemoteOutput(Url(f"file://{tmp_path}")).sweep()
    assert not left.exists() and ours.exists()
    assert places.Folder(f"file://{tmp_path}", lambda: "x").stamps().keys() == {ours.name}
