"""Packets taken out of real captures: told as missed by the capture; what the network lost is not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from pcapreport.capture import Capture, read_capture
from pcapreport.capture.packet_table import Flag, PacketTable
from pcapreport.findings import find_in
from pcapreport.findings.model import Evidence, Finding, Side
from pcapreport.findings.passes import Passes
from pcapreport.settings import Settings
from pcapreport.tcp.connections import find_connections
from pcapreport.tcp.histories import reconstruct_all

from .test_against_kernels import TAPS, TRUTH

pytestmark = pytest.mark.skipif(not (TRUTH / "runs").is_dir(), reason=f"the kernels' own records are not at {TRUTH}")

EACH = 6
"""Packets taken out of each capture, one at a time."""


def evidence_of(capture: Capture, packets: PacketTable) -> Evidence:
    settings = Settings()
    table = find_connections(packets, settings)
    histories = reconstruct_all(table, capture.last_ns or 0, settings)
    return Evidence(capture, table, histories, Passes.of(table, settings), settings)


def losses(evidence: Evidence, side: Side) -> list[Finding]:
    return [f for f in find_in(evidence) if f.rule in ("lost_segment", "ack_lost_segment") and f.side is side]


def gaps(found: list[Finding]) -> int:
    return sum(len(finding.frames) for finding in found)


def without(packets: PacketTable, frame: int) -> PacketTable:
    keep = packets["frame"] != frame
    columns = {name: column[keep] for name, column in packets.columns.items()}
    return PacketTable(columns, packets.sack_blocks, packets.encapsulations)


def arrived_once(evidence: Evidence) -> Iterator[int]:
    """Some frames with data, FIN or SYN, ACK that were sent once and acknowledged, behind the client's SYN."""
    table, passes = evidence.table, evidence.passes
    for connection in range(len(table)):
        rows = np.arange(table.bounds[connection], table.bounds[connection + 1])
        rows = rows[passes.live[rows] & (table.end[rows] > table.seq[rows])]
        other = {side: rows[table.side[rows] == side] for side in (0, 1)}
        for row in rows[1:].tolist():
            same = other[int(table.side[row])]
            once = np.count_nonzero((table.seq[same] < table.end[row]) & (table.end[same] > table.seq[row])) == 1
            if once and passes.acked_at_end[row] >= table.end[row] and not table.flags[row] & Flag.RST:
                yield int(table.frame[row])


@lru_cache
def captures(tap: str) -> tuple[tuple[str, Capture], ...]:
    paths: list[Path] = sorted((TRUTH / "runs").glob(f"*/{tap}.pcap"))
    return tuple((path.parent.name, read_capture(path)) for path in paths)


@pytest.mark.parametrize("tap", TAPS)
def test_a_whole_capture_missed_nothing(tap: str) -> None:
    for run, capture in captures(tap):
        assert not losses(evidence_of(capture, capture.table), Side.CAPTURE), run


@pytest.mark.parametrize("tap", TAPS)
def test_what_the_capture_missed_is_told_and_not_laid_on_the_network(tap: str) -> None:
    missed, told = 0, 0
    for run, capture in captures(tap):
        whole = evidence_of(capture, capture.table)
        lost = gaps(losses(whole, Side.NETWORK))
        frames = list(arrived_once(whole))
        for frame in frames[:: max(1, len(frames) // EACH)]:
            evidence = evidence_of(capture, without(capture.table, frame))
            missed += 1
            told += bool(losses(evidence, Side.CAPTURE))
            assert gaps(losses(evidence, Side.NETWORK)) <= lost, f"{run} without frame {frame}"
    assert missed > 200
    assert told >= 0.99 * missed
