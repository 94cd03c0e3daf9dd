"""A second run does only what is new: by bytes, by options, and never more trusting than that."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcapreport.batch import manifest, session
from pcapreport.batch.index import IndexEntry
from pcapreport.batch.work import Order

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"


@pytest.fixture
def request_(tmp_path: Path) -> session.Request:
    """A run over two captures."""
    captures = tmp_path / "captures"
    captures.mkdir()
    for name in ("refused.pcap", "abort-by-reset.pcap"):
        shutil.copy(SAMPLES / name, captures)
    order = Order(tmp_path / "out", frozenset(("json", "md")), effective={"format": "json"})
    return session.Request((str(captures),), order)


def done(request: session.Request, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The captures that a run over the same directory does afresh."""
    handed: list[str] = []
    real = session.run_jobs

    def spy(jobs: Any, *rest: Any) -> Any:
        handed.extend(job.name for job in jobs)
        return real(jobs, *rest)

    monkeypatch.setattr(session, "run_jobs", spy)
    entries = session.run(request)
    monkeypatch.setattr(session, "run_jobs", real)
    assert {entry.file for entry in entries} == {"refused.pcap", "abort-by-reset.pcap"}
    return sorted(handed)


ALL = ["abort-by-reset.pcap", "refused.pcap"]
Patch = pytest.MonkeyPatch


def test_a_second_run_does_nothing_and_writes_the_same_index(request_: session.Request, monkeypatch: Patch) -> None:
    assert done(request_, monkeypatch) == ALL
    first = (request_.order.out / "index.json").read_bytes()
    assert done(request_, monkeypatch) == []
    assert (request_.order.out / "index.json").read_bytes() == first


def test_changed_bytes_are_done_again_alone(request_: session.Request, monkeypatch: Patch) -> None:
    session.run(request_)
    capture = Path(request_.paths[0]) / "refused.pcap"
    status = capture.stat()
    capture.write_bytes(capture.read_bytes() + b"\0")
    os.utime(capture, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert done(request_, monkeypatch) == ["refused.pcap"]
    os.utime(capture, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert done(request_, monkeypatch) == ["refused.pcap"]
    assert done(request_, monkeypatch) == []


def test_a_capture_that_grows_while_it_is_read_is_done_again(request_: session.Request, monkeypatch: Patch) -> None:
    capture = Path(request_.paths[0]) / "refused.pcap"

    def grow(entry: IndexEntry) -> None:
        if entry.file == capture.name:
            capture.write_bytes(capture.read_bytes() + b"\0")

    session.run(request_, grow)
    assert done(request_, monkeypatch) == ["refused.pcap"]


def test_a_capture_that_vanishes_after_it_was_read_does_no_harm(request_: session.Request) -> None:
    capture = Path(request_.paths[0]) / "refused.pcap"
    entries = session.run(request_, lambda entry: capture.unlink(missing_ok=True))
    assert len(entries) == 2
    assert (request_.order.out / "index.json").exists()


def test_other_options_do_all_again(request_: session.Request, monkeypatch: Patch) -> None:
    session.run(request_)
    other = replace(request_.order, effective={"format": "json", "time_wait": "bsd"})
    assert done(replace(request_, order=other), monkeypatch) == ALL


def test_an_edited_template_does_all_again(request_: session.Request, tmp_path: Path, monkeypatch: Patch) -> None:
    templates = tmp_path / "mine"
    templates.mkdir()
    request = replace(request_, order=replace(request_.order, templates=templates))
    session.run(request)
    assert done(request, monkeypatch) == []
    (templates / "style.css").write_text("body { color: red }")
    assert done(request, monkeypatch) == ALL


def test_force_does_all_again_and_remembers_it(request_: session.Request, monkeypatch: Patch) -> None:
    session.run(request_)
    assert done(replace(request_, force=True), monkeypatch) == ALL
    assert done(request_, monkeypatch) == []


@pytest.mark.parametrize("suffix", ["json", "md"])
def test_a_report_that_was_deleted_is_written_again(suffix: str, request_: session.Request, monkeypatch: Patch) -> None:
    session.run(request_)
    (request_.order.out / f"refused.pcap.{suffix}").unlink()
    assert done(request_, monkeypatch) == ["refused.pcap"]
    assert (request_.order.out / f"refused.pcap.{suffix}").exists()


def test_what_could_not_be_read_is_tried_again(request_: session.Request, monkeypatch: Patch) -> None:
    capture = Path(request_.paths[0]) / "refused.pcap"
    capture.write_bytes(b"")
    session.run(request_)
    assert done(request_, monkeypatch) == ["refused.pcap"]


def test_damage_is_remembered_and_told_again(request_: session.Request, monkeypatch: Patch) -> None:
    capture = Path(request_.paths[0]) / "refused.pcap"
    capture.write_bytes(capture.read_bytes()[:-1])
    session.run(request_)
    assert done(request_, monkeypatch) == []
    assert session.exit_code(session.run(request_), "never") == 3


@pytest.mark.parametrize("junk", [b"", b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 4_000])
def test_a_broken_record_counts_as_nothing_done_and_is_replaced(
    junk: bytes, request_: session.Request, monkeypatch: Patch
) -> None:
    session.run(request_)
    (request_.order.out / manifest.FILE).write_bytes(junk)
    assert done(request_, monkeypatch) == ALL
    assert done(request_, monkeypatch) == []


def test_a_record_with_other_columns_counts_as_nothing_done(request_: session.Request, monkeypatch: Patch) -> None:
    request_.order.out.mkdir()
    database = sqlite3.connect(request_.order.out / manifest.FILE)
    database.execute("create table done (other text)")
    database.close()
    assert done(request_, monkeypatch) == ALL


def test_a_record_that_another_run_holds_is_not_deleted(request_: session.Request, monkeypatch: Patch) -> None:
    session.run(request_)
    real = sqlite3.connect
    monkeypatch.setattr(manifest.sqlite3, "connect", lambda path, timeout: real(path, timeout=0))
    holder = real(request_.order.out / manifest.FILE)
    holder.execute("begin exclusive")
    assert done(request_, monkeypatch) == ALL
    holder.rollback()
    holder.close()
    assert done(request_, monkeypatch) == []
