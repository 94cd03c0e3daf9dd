"""A second run does only what is new: by bytes, by options, and never more trusting than that."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcapreport.batch import manifest, sameness, session
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

    def spy(jobs: Any, *rest: Any, **more: Any) -> Any:
        handed.extend(job.name for job in jobs)
        return real(jobs, *rest, **more)

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


def test_the_index_is_written_again_if_it_is_not_as_it_was(request_: session.Request) -> None:
    session.run(request_)
    page, table = request_.order.out / "index.html", request_.order.out / "index.csv"
    first = page.stat().st_mtime_ns
    session.run(request_)
    assert page.stat().st_mtime_ns == first
    table.unlink()
    session.run(request_)
    assert table.exists() and page.stat().st_mtime_ns > first
    page.write_text("somebody's own")
    session.run(request_)
    assert page.read_text().startswith("<!")
    (Path(request_.paths[0]) / "refused.pcap").rename(Path(request_.paths[0]) / "z.pcap")
    session.run(request_)
    assert "z.pcap" in page.read_text()


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


def old(path: Path) -> None:
    """Last changed long ago, as most captures are."""
    os.utime(path, ns=(10**18, 10**18))


def digests(monkeypatch: Patch) -> list[str]:
    """The captures that are hashed from now on."""
    hashed: list[str] = []
    real = sameness.digest_of
    monkeypatch.setattr(sameness, "digest_of", lambda job: hashed.append(job.name) or real(job))
    return hashed


def test_only_what_looks_changed_is_hashed(request_: session.Request, monkeypatch: Patch) -> None:
    for path in Path(request_.paths[0]).iterdir():
        old(path)
    session.run(request_)
    hashed = digests(monkeypatch)
    assert done(request_, monkeypatch) == [] and hashed == []
    capture = Path(request_.paths[0]) / "refused.pcap"
    os.utime(capture, ns=(10**18, 11 * 10**17))
    assert done(request_, monkeypatch) == [] and hashed == ["refused.pcap"]
    assert done(request_, monkeypatch) == [] and hashed == ["refused.pcap"], "its new time was not remembered"


def test_a_change_within_one_tick_of_the_clock_is_noticed(request_: session.Request, monkeypatch: Patch) -> None:
    session.run(request_)
    capture = Path(request_.paths[0]) / "refused.pcap"
    status, data = capture.stat(), bytearray(capture.read_bytes())
    data[30] ^= 1
    capture.write_bytes(data)
    os.utime(capture, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert done(request_, monkeypatch) == ["refused.pcap"]


def test_a_capture_that_was_replaced_by_another_of_the_same_look_is_noticed(
    request_: session.Request, monkeypatch: Patch
) -> None:
    capture = Path(request_.paths[0]) / "refused.pcap"
    old(capture)
    session.run(request_)
    data = bytearray(capture.read_bytes())
    data[30] ^= 1
    other = capture.with_suffix(".new")
    other.write_bytes(data)
    old(other)
    other.replace(capture)
    assert done(request_, monkeypatch) == ["refused.pcap"]


def test_another_version_of_the_program_or_the_document_does_all_again(
    request_: session.Request, monkeypatch: Patch
) -> None:
    session.run(request_)
    for name in ("__version__", "SCHEMA_VERSION"):
        monkeypatch.setattr(manifest, name, "0.0")
        assert done(request_, monkeypatch) == ALL
        assert done(request_, monkeypatch) == []


def test_a_report_that_a_power_cut_left_empty_is_written_again(request_: session.Request, monkeypatch: Patch) -> None:
    session.run(request_)
    (request_.order.out / "refused.pcap.json").write_bytes(b"")
    assert done(request_, monkeypatch) == ["refused.pcap"]


def test_a_renamed_capture_gets_a_report_under_its_own_name(request_: session.Request, tmp_path: Path) -> None:
    session.run(request_)
    (Path(request_.paths[0]) / "refused.pcap").rename(Path(request_.paths[0]) / "again.pcap")
    session.run(request_)
    assert b'"file":"again.pcap"' in (tmp_path / "out" / "again.pcap.json").read_bytes().replace(b'": "', b'":"')


def stale(request: session.Request) -> tuple[list[str], list[str]]:
    """Names that a run tells as stale, and those in its index."""
    told: list[str] = []
    session.run(request, stale=lambda reports, removed: told.extend(report.name for report in reports))
    return told, json.loads((request.order.out / "index.json").read_bytes()).get("stale", [])


def present(request: session.Request) -> list[str]:
    paths = (path for path in request.order.out.rglob("*") if path.is_file() and path.name != manifest.FILE)
    return sorted(path.relative_to(request.order.out).as_posix() for path in paths)


INDEX = ["index.csv", "index.html", "index.json"]
KEPT = ["abort-by-reset.pcap.json", "abort-by-reset.pcap.md", *INDEX]


def test_reports_of_deleted_captures_are_told_and_only_they_are_pruned(request_: session.Request) -> None:
    session.run(request_)
    (Path(request_.paths[0]) / "refused.pcap").unlink()
    assert stale(request_) == (["refused.pcap"], ["refused.pcap"])
    before = present(request_)
    assert "refused.pcap.json" in before
    (request_.order.out / "refused.pcap.html").write_text("the user's own")
    assert stale(replace(request_, prune=True)) == (["refused.pcap"], [])
    assert present(request_) == sorted([*KEPT, "refused.pcap.html"])
    assert stale(request_) == ([], [])


def test_a_report_that_somebody_changed_is_not_pruned(request_: session.Request) -> None:
    session.run(request_)
    (Path(request_.paths[0]) / "refused.pcap").unlink()
    (request_.order.out / "refused.pcap.md").write_text("with the user's notes")
    assert stale(replace(request_, prune=True)) == (["refused.pcap"], ["refused.pcap"])
    assert present(request_) == sorted([*KEPT, "refused.pcap.md"])


def test_reports_of_captures_below_other_paths_are_not_stale(request_: session.Request, tmp_path: Path) -> None:
    session.run(request_)
    (tmp_path / "others").mkdir()
    shutil.copy(SAMPLES / "refused.pcap", tmp_path / "others" / "other.pcap")
    other = replace(request_, paths=(str(tmp_path / "others"),), prune=True)
    assert stale(other) == ([], [])
    single = replace(request_, paths=(str(tmp_path / "captures" / "refused.pcap"),), prune=True)
    assert stale(single) == ([], [])
    assert set(KEPT) < set(present(request_))


def test_the_report_of_a_capture_that_cannot_be_read_any_more_is_stale(request_: session.Request) -> None:
    session.run(request_)
    (Path(request_.paths[0]) / "refused.pcap").write_bytes(b"no capture")
    assert stale(request_) == (["refused.pcap"], ["refused.pcap"])
    stale(replace(request_, prune=True))
    assert present(request_) == sorted(KEPT)


def test_folders_that_pruning_leaves_empty_go_too(request_: session.Request) -> None:
    deep = Path(request_.paths[0]) / "a" / "b" / "deep.pcap"
    deep.parent.mkdir(parents=True)
    shutil.copy(SAMPLES / "refused.pcap", deep)
    session.run(request_)
    deep.unlink()
    stale(replace(request_, prune=True))
    assert not (request_.order.out / "a").exists() and request_.order.out.exists()


def test_a_record_that_names_files_elsewhere_removes_nothing(request_: session.Request, tmp_path: Path) -> None:
    session.run(request_)
    precious = tmp_path / "precious.md"
    precious.write_text("mine")
    stamp = [precious.stat().st_size, precious.stat().st_mtime_ns]
    database = sqlite3.connect(request_.order.out / manifest.FILE)
    with database:
        told = ("../precious", json.dumps({"md": stamp}), "refused.pcap")
        database.execute("update done set name = ?, files = ? where name = ?", told)
    database.close()
    stale(replace(request_, prune=True))
    assert precious.exists()
