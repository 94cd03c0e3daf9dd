"""Which captures the given paths name, each once, and what their reports are called."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import struct
import sys
from pathlib import Path

import pytest

from pcapreport.batch.discover import Job, claims_to_be_capture, discover, is_stream, looks_like_capture
from pcapreport.errors import UsageError

PCAP = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1)


def put(path: Path, data: bytes = PCAP) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(*paths: object) -> list[str]:
    return [job.name for job in discover([str(path) for path in paths]).jobs]


def test_a_directory_gives_its_captures_at_any_depth_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b.pcap", "a.pcap", "sub/deeper/c.pcapng", "sub/d.cap"):
        put(tmp_path / name)
    found = discover([str(tmp_path)])
    assert [job.name for job in found.jobs] == ["a.pcap", "b.pcap", "sub/d.cap", "sub/deeper/c.pcapng"]
    assert all(Path(job.source) == tmp_path / job.name for job in found.jobs)
    assert found.skipped == 0


def test_in_a_directory_first_bytes_or_name_make_a_capture_and_the_rest_is_counted(tmp_path: Path) -> None:
    put(tmp_path / "no-suffix")
    put(tmp_path / "claims.pcap", b"text")
    put(tmp_path / "notes.txt", b"text")
    put(tmp_path / "empty", b"")
    found = discover([str(tmp_path)])
    assert [job.name for job in found.jobs] == ["claims.pcap", "no-suffix"]
    assert found.skipped == 2


def test_a_file_named_by_the_user_is_taken_whatever_it_is(tmp_path: Path) -> None:
    assert names(put(tmp_path / "notes.txt", b"text")) == ["notes.txt"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_capture_is_known_by_its_content(tmp_path: Path, pack) -> None:  # type: ignore[no-untyped-def]
    assert looks_like_capture(put(tmp_path / "packed", pack(PCAP)))
    assert not looks_like_capture(put(tmp_path / "other", pack(b"text" * 20)))
    assert not looks_like_capture(put(tmp_path / "cut", pack(PCAP)[:8]))


@pytest.mark.parametrize(
    ("name", "claims"),
    [("a.pcap", True), ("A.PCAPNG", True), ("a.pcap.gz", True), ("a.b.cap.zst", True), ("a.gz", False), ("a", False),
     ("pcap", False), (".pcap", False), ("a.pcap.html", False), ("a.pcap.json", False)],
)  # fmt: skip
def test_a_name_claims_to_be_a_capture_by_its_last_suffix_but_compression(name: str, claims: bool) -> None:
    assert claims_to_be_capture(name) is claims


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="absent: no such file"):
        discover([str(tmp_path / "absent")])


def test_a_file_named_twice_is_one_job_under_the_name_it_had_first(tmp_path: Path) -> None:
    inner = put(tmp_path / "sub" / "a.pcap")
    assert names(tmp_path, inner, tmp_path / "sub" / ".." / "sub" / "a.pcap") == ["sub/a.pcap"]
    assert names(inner, tmp_path) == ["a.pcap"]
    assert names("-", "-") == ["stdin"]


def test_names_that_meet_are_put_below_their_directories(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        put(tmp_path / folder / "a.pcap")
        put(tmp_path / folder / f"only-{folder}.pcap")
    assert names(tmp_path / "one", tmp_path / "two") == [
        "one/a.pcap", "only-one.pcap", "two/a.pcap", "only-two.pcap"
    ]  # fmt: skip


def test_names_that_meet_even_so_are_numbered(tmp_path: Path) -> None:
    for folder in ("x/day", "y/day", "z/day"):
        put(tmp_path / folder / "a.pcap")
    found = names(*(tmp_path / folder for folder in ("x/day", "y/day", "z/day")))
    assert found == ["day/a.pcap", "day/a.pcap-2", "day/a.pcap-3"]


def test_a_report_never_takes_the_place_of_the_index(tmp_path: Path) -> None:
    assert names(put(tmp_path / "index")) == ["index-capture"]
    assert names(put(tmp_path / "index-2")) == ["index-2-capture"]
    assert names(put(tmp_path / "index-findings")) == ["index-findings-capture"]
    assert names(put(tmp_path / "index.pcap")) == ["index.pcap"]


def test_no_name_leads_out_of_the_output_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.pcap")
    monkeypatch.setattr(os.path, "abspath", lambda path: "/" if path == "." else os.path.join("/", path))
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "sub" / "a.pcap")
    assert not any(name.startswith("/") for name in names("a.pcap", "sub/a.pcap"))


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_a_name_that_is_no_utf8_is_written_with_escapes(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff.pcap"
    try:
        Path(os.fsdecode(raw)).write_bytes(PCAP)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (job,) = discover([str(tmp_path)]).jobs
    assert job.name == "\\xff.pcap"
    assert os.fsencode(job.source) == raw


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_in_a_directory_is_left_alone_for_it_might_wait_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pcap")
    os.mkfifo(tmp_path / "b")
    found = discover([str(tmp_path)])
    assert (found.jobs, found.skipped) == ([], 2)
    assert discover([str(tmp_path / "b")]).jobs == [Job(str(tmp_path / "b"), "b")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_only_what_can_be_read_once_is_a_stream(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert is_stream("-") and is_stream(str(tmp_path / "pipe")) and is_stream(os.devnull)
    assert not is_stream(str(put(tmp_path / "file"))) and not is_stream(str(tmp_path / "absent"))


def test_a_link_to_nowhere_that_claims_to_be_a_capture_is_a_job(tmp_path: Path) -> None:
    (tmp_path / "gone.pcap").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path) == ["gone.pcap"]


def test_a_directory_that_cannot_be_listed_is_a_job_so_that_it_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "closed" / "a.pcap")
    put(tmp_path / "open" / "b.pcap")
    real = os.scandir

    def scandir(path: str) -> object:
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert names(tmp_path) == ["closed", "open/b.pcap"]


def test_an_output_directory_among_the_captures_gives_no_captures(tmp_path: Path) -> None:
    put(tmp_path / "a.pcap")
    for name in ("a.pcap.html", "a.pcap.json", "index.html"):
        put(tmp_path / "pcapreport-out" / name, b"<!doctype html>")
    assert names(tmp_path) == ["a.pcap"]
    shutil.rmtree(tmp_path / "pcapreport-out")
    assert names(tmp_path) == ["a.pcap"]


def test_at_an_address_captures_are_known_by_content_and_name_as_in_a_directory(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed (the extra `remote`)")
    capture = PCAP + bytes(5_000)
    for name, data in {
        "plain": capture,
        "packed": bz2.compress(capture),
        "empty.pcap": b"",
        "notes.txt": b"nothing here",
        "deep/er/a.pcap.gz": gzip.compress(capture),
        "notes.gz": gzip.compress(b"nothing here"),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    here, there = discover([str(tmp_path)]), discover([f"file://{tmp_path}"])
    assert [job.name for job in there.jobs] == sorted(job.name for job in here.jobs)
    assert there.skipped == here.skipped == 2
    assert [job.source for job in there.jobs] == [f"file://{tmp_path}/{job.name}" for job in there.jobs]


def test_a_file_at_an_address_is_taken_once_whatever_it_holds(tmp_path: Path) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed (the extra `remote`)")
    (tmp_path / "notes.txt").write_bytes(b"nothing here")
    (tmp_path / "a.pcap").write_bytes(b"")
    found = discover([f"file://{tmp_path}/notes.txt", f"file://{tmp_path}", f"file://{tmp_path}/a.pcap"])
    assert [job.name for job in found.jobs] == ["notes.txt", "a.pcap"]


def test_paths_of_this_machine_need_no_library_for_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    (tmp_path / "a.pcap").write_bytes(b"")
    assert [job.name for job in discover([str(tmp_path)]).jobs] == ["a.pcap"]
    with pytest.raises(UsageError, match="pcapreport.remote."):
        discover(["s3://bucket"])
