"""Where Wireshark and this report call a frame differently, the report says why, and the counts add up."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pcapreport.findings.wireshark import Mark
from pcapreport.findings.wireshark_comparison import (
    COUNTERPARTS,
    MOST_FRAMES,
    REASONS,
    Compared,
    Reason,
    WiresharkComparison,
)
from pcapreport.pipeline import analyze, read_within, report_on
from pcapreport.report.build import DocumentOptions
from pcapreport.report.html import render_html
from pcapreport.settings import DEFAULT_READING, Settings

from .scenario import Scenario, load

SCENARIOS = Path(__file__).parent / "scenarios"
SAMPLES = Path(__file__).parents[2] / "sample_pcaps"


def compared(scenario: Scenario) -> Compared:
    return Compared.of(scenario.evidence(), [one for one in scenario.findings() if one.connection is not None])


def told(scenario: Scenario) -> set[tuple[str, bool, str, Reason, tuple[int, ...]]]:
    part = compared(scenario)
    return {
        (str(one.field.name), one.wireshark, one.called, one.reason, tuple(sorted(part.evidence.table.frame[rows])))
        for one, rows in part.differences()
        if one.reason is not Reason.ORDINARY
    }


@pytest.mark.parametrize(
    ("name", "differences"),
    [
        ("probe_01_clean", set()),
        ("probe_03_simultaneous_close", set()),
        ("probe_04_time_wait_restart", {("DUPLICATE_ACK", True, "", Reason.ANSWER, (13,))}),
        ("probe_05_half_close", set()),
        ("probe_06_simultaneous_open", {("RETRANSMISSION", True, "", Reason.CROSSING, (3, 4))}),
        ("probe_08_time_wait_collision", {
            ("LOST_SEGMENT", True, "", Reason.ANEW, (15,)),
            ("ACK_LOST_SEGMENT", True, "", Reason.PASSED, (16,)),
            ("ACK_LOST_SEGMENT", True, "time_wait_collision", Reason.STRANGE, (12,)),
        }),
        ("probe_10_captured_twice", {
            ("RETRANSMISSION", True, "", Reason.COPY, (2, 4, 8, 10, 12, 14)),
            ("DUPLICATE_ACK", True, "", Reason.COPY, (6, 16)),
        }),
        ("probe_11_window_probe_byte", {
            ("LOST_SEGMENT", True, "", Reason.PASSED, (13,)),
            ("ACK_LOST_SEGMENT", True, "", Reason.PASSED, (12, 14)),
        }),
    ],
)  # fmt: skip
def test_what_wireshark_says_falsely_has_its_reason(name: str, differences: set[tuple[object, ...]]) -> None:
    assert told(load(SCENARIOS / f"{name}.pkt")) == differences


def test_the_reasons_of_loss_and_order_are_told() -> None:
    seen = {reason for path in SCENARIOS.glob("*.pkt") for *_, reason, _ in told(load(path))}
    assert seen >= {Reason.OLD, Reason.LATE, Reason.AGAIN, Reason.UNSEEN, Reason.OTHER_KIND}


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.pkt")), ids=lambda path: path.stem)
def test_the_counts_differ_by_what_is_explained(path: Path) -> None:
    comparison = WiresharkComparison()
    comparison.add(compared(load(path)))
    for mark in COUNTERPARTS:
        only = [
            sum(n for d, n in comparison.counts.items() if d.field is mark and d.wireshark == w) for w in (False, True)
        ]
        assert comparison.wireshark[mark] - only[1] == comparison.ours[mark] - only[0]
    assert all(len(frames) <= MOST_FRAMES for frames in comparison.frames.values())


def test_every_mark_is_compared_and_every_reason_has_its_words() -> None:
    assert set(COUNTERPARTS) == set(Mark)
    assert set(REASONS) == set(Reason)


def test_without_findings_all_that_wireshark_says_differs() -> None:
    scenario = load(SCENARIOS / "fast_retransmission.pkt")
    part = Compared.of(scenario.evidence(), [])
    assert not part.ours.any()
    differing = np.zeros(len(part.words), np.uint32)
    for one, rows in part.differences():
        differing[rows] |= np.uint32(one.field)
    assert (differing == (part.words & 0xFFFF)).all()


def test_the_page_shows_counts_reasons_and_frames() -> None:
    document = analyze(SAMPLES / "captured-twice.pcap")
    fields = {field.field: field for field in document.wireshark}
    again = fields["tcp.analysis.retransmission"]
    assert (again.ours, again.wireshark) == (0, sum(one.count for one in again.differences))
    assert {one.reason for one in again.differences} == {REASONS[Reason.COPY]}
    (connection,) = document.connections
    assert connection.detail is not None
    assert {one.frame for one in connection.detail.wireshark} >= set(again.differences[0].frames)
    page = render_html(document)
    assert "Compared with Wireshark" in page
    assert f"without a finding here: {REASONS[Reason.COPY]}." in page
    assert "that Wireshark calls otherwise" in page


def test_a_capture_without_tcp_has_no_such_part() -> None:
    empty = bytes.fromhex("d4c3b2a1 02000400 00000000 00000000 ffff0000 01000000")
    document = analyze(io.BytesIO(empty), name="empty.pcap")
    assert document.wireshark == []
    assert "Compared with Wireshark" not in render_html(document)


def test_it_is_the_same_from_parts() -> None:
    path = next((SAMPLES.parent / "tests" / "kernel_lab" / "runs" / "many_short-0").glob("middle.pcap.gz"))
    documents = [
        report_on(read_within(memory, path, "a.pcap", DEFAULT_READING), Settings(), DocumentOptions()).document
        for memory in (None, 20_000)
    ]
    assert documents[0].wireshark == documents[1].wireshark
    counts = Counter({field.field: field.wireshark for field in documents[0].wireshark})
    assert counts.total() > 0
