"""Captures and reports on an SFTP server: the same files as in directories, whole or not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pcapreport.batch import session
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.urls import Url
from pcapreport.batch.work import Order
from pcapreport.errors import UsageError

pytest.importorskip("fsspec", reason="fsspec is not installed (the extra `remote`)")

from sftp_server import PASSWORD, sftp_server  # noqa: E402

from pcapreport.batch import places  # noqa: E402

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
GIVEN = {"a.pcap": "refused.pcap", "deep/er/b": "abort-by-reset.pcap", "deep/c.pcapng": "two-taps.pcapng"}
RECORD = ".pcapreport.sqlite"


def put(sample: str, target: Path, hours: int) -> None:
    """A capture that was recorded so long ago: SFTP tells times in seconds, in which much may happen."""
    shutil.copy(SAMPLES / sample, target)
    os.utime(target, (time.time() - 3600 * hours,) * 2)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """What the server keeps."""
    for name, sample in GIVEN.items():
        (tmp_path / "server" / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        put(sample, tmp_path / "server" / "in" / name, hours=2)
    return tmp_path / "server"


@pytest.fixture
def server(top: Path) -> Iterator[str]:
    with sftp_server(top) as address:
        yield address


def run(source: str, out: str | Path, **more: object) -> list[IndexEntry]:
    order = Order(out if isinstance(out, Path) else Url(out), frozenset(("html", "json")))
    return session.run(session.Request((source,), order, **more))  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_from_a_server_to_a_server_the_files_are_those_of_a_directory(server: str, top: Path, tmp_path: Path) -> None:
    entries = run(f"{server}/in", f"{server}/out/of/night", jobs=2)
    assert {entry.file: entry.status for entry in entries} == dict.fromkeys(GIVEN, "ok")
    run(str(top / "in"), tmp_path / "here")
    assert contents(top / "out" / "of" / "night") == contents(tmp_path / "here")
    assert not [name for name in contents(top) if name.endswith(".part")]


def test_a_second_run_does_what_is_new_and_prunes_what_is_gone(
    server: str, top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(f"{server}/in", f"{server}/out")
    before = {name: (top / "out" / name).stat().st_mtime_ns for name in contents(top / "out")}
    put("abort-by-reset.pcap", top / "in" / "a.pcap", hours=1)
    monkeypatch.setattr(places, "RECENT_S", 0.0)  # as if it were later
    (top / "in" / "deep" / "er" / "b").unlink()
    entries = {entry.file: entry.verdict for entry in run(f"{server}/in", f"{server}/out", prune=True)}
    assert set(entries) == {"a.pcap", "deep/c.pcapng"} and "reset" in entries["a.pcap"]
    after = {name: (top / "out" / name).stat().st_mtime_ns for name in contents(top / "out")}
    assert {name for name in before if "er/b" in name} and not {name for name in after if "er/b" in name}
    assert {name for name, at in after.items() if before.get(name) == at} == {
        "deep/c.pcapng.html", "deep/c.pcapng.json",
    }  # fmt: skip


def test_a_wrong_password_is_one_line_without_it(server: str) -> None:
    with pytest.raises(UsageError, match="check the credentials") as raised:
        run(f"{server.replace(PASSWORD, 'wrong-one')}/in", f"{server}/out")
    assert "wrong-one" not in str(raised.value) and "\n" not in str(raised.value)


def test_a_host_that_is_not_known_is_refused_where_that_is_asked_for(server: str, top: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pcapreport", "report", f"{server}/in", "-o", str(tmp_path / "out")]
    env = {**os.environ, "FSSPEC_SFTP_HOST_KEY_POLICY": "reject"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "not found in known_hosts" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and PASSWORD not in done.stderr
