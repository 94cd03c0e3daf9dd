"""Rows by index, curves, counts and steps, each against the same told row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from connections_by_hand import CLIENT, SERVER, START, Segment, finding, rows_of

from pcapreport.capture import read_capture
from pcapreport.capture.packet_table import Flag
from pcapreport.findings import find_in
from pcapreport.findings.model import Evidence, Finding
from pcapreport.findings.passes import Passes
from pcapreport.report.curves import series
from pcapreport.report.measures import resent_rows, totals
from pcapreport.report.model import RETRANSMISSION_RULES, Series
from pcapreport.report.plots import SEQUENCE
from pcapreport.report.segments import SENDERS, Row, Rows, rows_with, told
from pcapreport.report.steps import handshake_steps, teardown_steps
from pcapreport.report.times import Clock
from pcapreport.settings import SECOND, Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all

SAMPLES = sorted((Path(__file__).parents[2] / "sample_pcaps").glob("*.pcap*"))
CLOCK = Clock(START)
AGAIN = sorted(RETRANSMISSION_RULES)


def evidence_of(path: Path) -> tuple[Evidence, list[Finding]]:
    """All that is known of a capture."""
    capture, chosen = read_capture(path), Settings()
    table = find_connections(capture.table)
    histories = reconstruct_all(table, capture.last_ns or 0, chosen)
    evidence = Evidence(capture, table, histories, Passes.of(table, chosen), chosen)
    return evidence, list(find_in(evidence))


def test_a_row_says_what_the_columns_hold_and_scales_the_window_beside_the_syn() -> None:
    syn = Segment(CLIENT, 0, Flag.SYN, 7, 0, 99, 1_000)
    rows = rows_of([syn, Segment(CLIENT, 5, Flag.ACK, 7, 1, 1, 1_000), Segment(SERVER, 0, Flag.ACK, 7, 1, 6, 1_000)])
    assert len(rows) == 3
    assert rows[0] == Row(START + 7, 1, CLIENT, Flag.SYN, 0, 0, None, 0, 1_000, 1_000, 5_099)
    assert rows[1] == Row(START + 14, 3, CLIENT, Flag.ACK, 1, 6, 1, 5, 4_000, 1_001, 5_001)
    assert rows[-1].window == 1_000 and rows[-1].words == "ACK"
    assert all(type(value) is int for value in rows[1])


def test_all_rows_of_a_frame_are_found_and_frames_of_others_are_not() -> None:
    frame = np.array([3, 5, 5, 5, 9, 10])
    assert rows_with(frame, (5, 9)).tolist() == [1, 2, 3, 4]
    assert rows_with(frame, (1, 4, 10, 12)).tolist() == [5]
    assert rows_with(frame, ()).tolist() == rows_with(frame, (1, 2)).tolist() == rows_with(frame, (77,)).tolist() == []


@pytest.mark.parametrize("count", [50, 5_000])
def test_curves_hold_the_points_of_the_rows_thinned_evenly(count: int) -> None:
    random = np.random.default_rng(count)
    flags = [Flag.ACK] * 9 + [Flag.SYN | Flag.ACK, Flag.RST | Flag.ACK, Flag.RST]
    rows = rows_of(
        [
            Segment(side, length, int(random.choice(flags)), 1_000, i, int(random.integers(0, 9_999)))
            for i, (side, length) in enumerate(random.integers(0, (2, 3), (count, 2)).tolist())
        ]
    )
    found = [finding(rows.frame[3::7].tolist(), AGAIN[0]), finding(rows.frame[::2].tolist(), "another")]
    made = series(rows, resent_rows(rows.frame, found), CLOCK, ([], []), 300)
    assert [s for s in made if s.kind in SEQUENCE] == list(_curves(rows, found[0].frames, 300))


def test_pace_is_what_the_rows_say() -> None:
    rows = rows_of([
        Segment(CLIENT, 0, Flag.SYN, 1_000, 0, 0, 1_000),
        Segment(SERVER, 0, Flag.SYN | Flag.ACK, 1_000, 0, 1, 1_000),
        Segment(CLIENT, 0, Flag.ACK, 1_000, 1, 1, 1_000),
        Segment(CLIENT, 100, Flag.ACK, 1_000, 1, 1, 1_000),
        Segment(CLIENT, 50, Flag.ACK, 1_000, 101, 1, 1_000),
        Segment(SERVER, 0, Flag.ACK, 1_000, 1, 151, 1_000),
    ])  # fmt: skip
    made = {(s.sender, s.kind): s for s in series(rows, resent_rows(rows.frame, []), CLOCK, ([], [(START, 2_000)]))}
    assert made["client", "flight"].value == [0, 0, 100, 150, 0]
    assert made["client", "rtt"].value == [2]
    rate = made["client", "rate"]
    span = (int(rows.time_ns.max()) - int(rows.time_ns.min())) / SECOND / len(rate.value)
    assert sum(rate.value) * span == pytest.approx(150, rel=0.01)
    assert not [key for key in made if key[0] == "server"]


def _curves(rows: Rows, resent: Sequence[int], most: int) -> Iterator[Series]:
    all_rows = [rows[i] for i in range(len(rows))]
    for side in (CLIENT, SERVER):
        data = [row for row in all_rows if row.side == side and row.length]
        answers = [row for row in all_rows if row.side != side and row.ack is not None and not row.flags & Flag.RST]
        points = {
            "data": [(row.time_ns, row.end) for row in data if row.frame not in resent],
            "retransmission": [(row.time_ns, row.end) for row in data if row.frame in resent],
            "ack": [(row.time_ns, row.ack) for row in answers],
            "window": [(row.time_ns, (row.ack or 0) + row.window) for row in answers if not row.flags & Flag.SYN],
        }
        for kind, all_points in points.items():
            step = -(-len(all_points) // (most - 1))
            kept = all_points if len(all_points) <= most else [*all_points[::step], all_points[-1]]
            times = [CLOCK.seconds(time) for time, _ in kept]
            yield Series(sender=SENDERS[side], kind=kind, time_s=times, value=[value for _, value in kept])


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_what_was_sent_again_is_counted_once_on_the_side_that_sent_it(path: Path) -> None:
    evidence, found = evidence_of(path)
    table = evidence.table
    named = [f for f in found if f.rule in AGAIN]
    counts = [0] * (2 * len(table))
    for connection in range(len(table)):
        frames = {frame for f in named if f.connection == connection for frame in f.frames}
        at = table.rows_of(connection)
        for frame, side in zip(table.frame[at].tolist(), table.side[at].tolist(), strict=True):
            counts[2 * connection + side] += frame in frames
    twice = [*found, *named]
    for named_so in (found, twice):
        assert totals(table, named_so).resent.ravel().tolist() == counts


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_steps_name_the_first_segments_of_their_kind(path: Path) -> None:
    evidence, _ = evidence_of(path)
    for connection in range(min(len(evidence.table), 50)):
        rows = told(evidence.table, connection)
        all_rows = [rows[i] for i in range(len(rows))]
        first_syn = next((r.frame for r in all_rows if r.side == CLIENT and r.flags & 0x12 == Flag.SYN), None)
        fins = [next((r.frame for r in all_rows if r.side == side and r.flags & Flag.FIN), None) for side in (0, 1)]
        handshake = handshake_steps(rows, lambda _: ("", ""), CLOCK)
        teardown = teardown_steps(rows, lambda _: ("", ""), CLOCK)
        assert first_syn == next((s.frame for s in handshake if (s.segment, s.sender) == ("SYN", "client")), None)
        told_fins = {step.sender: step.frame for step in teardown if "u = " in step.seq or "w = " in step.seq}
        assert told_fins == {SENDERS[side]: frame for side, frame in enumerate(fins) if frame is not None}
