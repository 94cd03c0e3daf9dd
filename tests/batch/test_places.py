"""Captures and reports at addresses: what is listed, fetched and written, and what is said when it cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pcapreport.batch.urls import is_url, safe_name, shown
from pcapreport.errors import UsageError

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed (the extra `remote`)")

from pcapreport.batch import places  # noqa: E402


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


def names(url: str) -> list[str]:
    return [one.name for one in places.listed(url).files]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("s3://b/k", True), ("memory://x", True), ("zip::s3://b/k.zip", True), ("a/b", False), ("C://x", False),
     ("/tmp/s3://b", False), ("-", False), ("a:b", False), ("file:///tmp", True)],
)  # fmt: skip
def test_what_is_an_address(name: str, expected: bool) -> None:
    assert is_url(name) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sftp://u:p@h/x", "sftp://...@h/x"),
        ("sftp://u:p@ss@h/x", "sftp://...@h/x"),
        ("sftp://u:p/q@h/x: refused", "sftp://...@h/x: refused"),
        ("s3://b/a@b.pcap", "s3://b/a@b.pcap"),
        ("cannot GET http://h/x?sig=1 and zip::https://k:s@h/y", "cannot GET http://h/x?... and zip::https://...@h/y"),
    ],
)
def test_passwords_and_signatures_are_not_shown(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a/b.pcap", "a/b.pcap"), ("../../etc/x", "_../_../etc/x"), ("/x", "_/x"), ("a//b/./c", "a/_/b/_./c"),
     ("..\\x", ".._x"), ("a\0b", "a_b")],
)  # fmt: skip
def test_no_name_leads_out_of_a_folder(name: str, expected: str) -> None:
    assert safe_name(name) == expected


def test_files_are_listed_to_any_depth_in_a_stable_order_and_hostile_names_lead_nowhere(memory: Any) -> None:
    for path in ("/in/b.pcap", "/in/a/c.pcap", "/in/../../up.pcap", "/in/a//d.pcap", "/other/x.pcap"):
        memory.store[path] = memory.open("/scratch", "wb")
    assert sorted(names("memory://in")) == ["_../_../up.pcap", "a/_/d.pcap", "a/c.pcap", "b.pcap"]
    assert names("memory://in/") == names("memory://in")


def test_one_file_is_listed_by_its_last_name(memory: Any) -> None:
    memory.pipe_file("/in/a.pcap", b"12345")
    listing = places.listed("memory://in/a.pcap")
    (one,) = listing.files
    assert listing.one and (one.name, one.remote.path, one.remote.size) == ("a.pcap", "/in/a.pcap", 5)


def test_folders_of_a_server_are_walked_and_one_that_cannot_be_listed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = type(fsspec.filesystem("file"))
    listing = system.ls

    def guarded(self: Any, path: str, **options: Any) -> Any:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return listing(self, path, **options)

    monkeypatch.setattr(system, "ls", guarded)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.pcap").write_bytes(b"x")
    (tmp_path / "closed").mkdir()
    files = places.listed(f"file://{tmp_path}").files
    assert [(one.name, one.closed) for one in files] == [("a/b/x.pcap", False), ("closed", True)]


def test_a_changed_file_has_another_mark(memory: Any) -> None:
    memory.pipe_file("/in/a.pcap", b"one")
    first = places.listed("memory://in").files[0].remote
    assert places.listed("memory://in").files[0].remote == first
    memory.pipe_file("/in/a.pcap", b"two")
    assert places.listed("memory://in").files[0].remote != first


def test_a_time_in_whole_seconds_that_may_come_again_is_no_mark() -> None:
    now = datetime.now(tz=UTC).replace(microsecond=0)
    info = {"name": "/a", "size": 1, "mtime": now}
    assert places._remote("", info).mark is None
    assert places._remote("", {**info, "ETag": '"1"'}).mark is not None
    assert places._remote("", {**info, "mtime": now - timedelta(seconds=60)}).mark is not None


def test_beginnings_are_read_without_the_rest(memory: Any) -> None:
    memory.pipe_file("/in/a", b"0123456789")
    memory.pipe_file("/in/b", b"ab")
    remotes = [one.remote for one in places.listed("memory://in").files]
    gone = remotes[0]._replace(path="/in/gone")
    assert list(places.beginnings([*remotes, gone], 4)) == [b"0123", b"ab", b""]


def test_what_is_fetched_is_gone_afterwards(memory: Any) -> None:
    memory.pipe_file("/in/a", b"0123456789")
    with places.fetched(places.listed("memory://in/a").files[0].remote) as path:
        assert Path(path).read_bytes() == b"0123456789"
    assert not Path(path).exists()


@pytest.mark.parametrize("size", [10, 100])
@pytest.mark.parametrize("kind", ["memory", "file"])
def test_files_are_written_whole_and_in_folders(
    kind: str, size: int, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "AT_ONCE", 50)
    folder = places.Folder("memory://out" if kind == "memory" else f"file://{tmp_path}/out", lambda: ".begun")
    assert folder.stamps() == {}
    for piece in (b"1", b"2"):
        folder.write("a/b.json", [piece] * size)
    folder.write("c", [])
    assert set(folder.stamps()) == {"a/b.json", "c"}
    assert folder.read("a/b.json", tmp_path / "copy") and (tmp_path / "copy").read_bytes() == b"2" * size
    assert not folder.read("absent", tmp_path / "absent") and not (tmp_path / "absent").exists()
    folder.remove("c")
    folder.remove("c")
    assert folder.stamps() == {"a/b.json": folder.stamp("a/b.json")} and folder.names() == ["a"]


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_what_breaks_off_leaves_what_was_there(kind: str, memory: Any, tmp_path: Path) -> None:
    folder = places.Folder("memory://out" if kind == "memory" else f"file://{tmp_path}/out", lambda: ".begun")
    folder.write("a", [b"old"])

    def broken() -> Iterator[bytes]:
        yield b"new"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        folder.write("a", broken())
    assert set(folder.stamps()) == {"a"}
    assert folder.read("a", tmp_path / "copy") and (tmp_path / "copy").read_bytes() == b"old"


def test_a_move_that_fails_leaves_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = places.Folder(f"file://{tmp_path}", lambda: ".begun")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(folder._system), "mv", refuse)
    with pytest.raises(UsageError, match="Permission denied; check the credentials and what they allow"):
        folder.write("a", [b"x"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense://x/y", "nonsense://x/y: Protocol not known: nonsense; check what stands before ://"),
        ("memory://nowhere", "memory://nowhere: no such file or directory; check the address"),
        (
            "ftp://me:secret@127.0.0.1:9/x",
            "ftp://...@127.0.0.1:9/x: Connection refused; check the address, the network",
        ),
    ],
)
def test_errors_are_one_line_without_passwords(url: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        places.listed(url)
    assert words in str(raised.value) and "\n" not in str(raised.value) and "secret" not in str(raised.value)


def test_without_the_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(UsageError, match=r"pip install 'pcapreport\[remote\]'"):
        places.listed("memory://in")


def test_what_the_library_lacks_is_told_as_it_says_it() -> None:
    pytest.importorskip("fsspec")
    try:
        import gcsfs  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        with pytest.raises(UsageError, match=r"gs://b/k: .*gcsfs.*; install with pip what is named there"):
            places.listed("gs://b/k")
