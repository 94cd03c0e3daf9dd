"""However little memory is allowed, the report is the same."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from pcapreport.capture import read_capture
from pcapreport.capture.spill import Parts
from pcapreport.errors import UnreadableCapture
from pcapreport.pipeline import analyze, read_within, report_on
from pcapreport.report import model
from pcapreport.report.build import DocumentOptions
from pcapreport.report.html import CONNECTION_ROWS, render_html
from pcapreport.settings import BYTES_PER_ROW, DEFAULT_READING, Settings
from pcapreport.tcp.tuples import endpoint_hash

ROOT = Path(__file__).parents[1]
SAMPLES = sorted(path for path in (ROOT / "sample_pcaps").iterdir() if ".pcap" in path.name)
RUNS = ROOT / "tests" / "kernel_lab" / "verdict_runs"
OTHERS = ROOT / ".." / "shared" / "captures" / "files"
LITTLE = 20_000


def told(path: Path, memory: int | None) -> tuple[bytes, str]:
    capture = read_within(memory, path, "a.pcap", DEFAULT_READING)
    report = report_on(capture, Settings(), DocumentOptions(details=3, listed=CONNECTION_ROWS))
    if capture.tcp_packets * BYTES_PER_ROW > LITTLE:
        assert (capture.spilled is None) == (memory is None)
    return b"".join(report.json()), render_html(report.document)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_is_told_the_same_from_parts(path: Path) -> None:
    assert told(path, LITTLE) == told(path, None)


@pytest.mark.parametrize("name", ["syn_flood-0", "syn_flood-1", "port_scan-0", "port_scan-1", "port_filtered-0"])
def test_what_takes_many_connections_to_tell_is_told_the_same_from_parts(name: str) -> None:
    path = RUNS / name / "client.pcap.gz"
    assert told(path, LITTLE) == told(path, None)


@pytest.mark.skipif(not OTHERS.is_dir(), reason=f"the captures of others are not at {OTHERS}")
def test_the_captures_of_others_are_told_the_same_from_parts() -> None:
    looked_at = 0
    for path in sorted(OTHERS.rglob("*")):
        if not path.is_file() or path.stat().st_size > 1 << 20:
            continue
        try:
            whole = told(path, None)
        except UnreadableCapture:
            continue
        assert told(path, LITTLE) == whole, path.name
        looked_at += 1
    assert looked_at > 100


def test_the_saved_document_and_the_one_in_memory_are_equal() -> None:
    path = next(path for path in SAMPLES if path.name.startswith("time-wait"))
    capture = read_capture(path, name="a.pcap")
    report = report_on(capture, Settings(), DocumentOptions())
    assert model.decode(b"".join(report.json())) == report.document
    assert model.encode(report.document) == b"".join(report.json())


def test_rows_come_back_from_their_files_whole_and_in_order() -> None:
    table = read_capture(SAMPLES[0]).table
    parts = Parts(7, endpoint_hash)
    parts.add(table)
    parts.add(table)
    found = [part.take() for part in parts.each()]
    assert sum(map(len, found)) == 2 * len(table) == parts.rows
    hashes = [endpoint_hash(part) for part in found]
    for part, own, following in zip(found, hashes, [*hashes[1:], np.array([2**64 - 1], np.uint64)], strict=True):
        assert own.max() <= following.min()
        half = len(part) // 2
        assert (np.diff(part["frame"][:half].astype(np.int64)) > 0).all()
        blocks = part.sack_blocks[part["sack"][part["sack"] >= 0]]
        assert len(blocks) == (part["sack"] >= 0).sum()


def test_one_report_after_another_takes_no_more_memory() -> None:
    """A page's template and its document refer to each other, so only the cycle collector frees them."""

    def connections() -> int:
        gc.collect()
        return sum(isinstance(one, model.Connection) for one in gc.get_objects())

    before = connections()
    for _ in range(3):
        render_html(analyze(ROOT / "sample_pcaps" / "many-short-connections.pcap"))
    assert connections() == before
    assert gc.get_freeze_count() == 0
