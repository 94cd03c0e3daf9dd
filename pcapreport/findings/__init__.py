"""Findings."""

from __future__ import annotations

from collections.abc import Sequence

from pcapreport.capture.model import Capture
from pcapreport.findings import loss
from pcapreport.findings.model import Detector, Evidence, Finding
from pcapreport.findings.passes import Passes
from pcapreport.settings import Settings
from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.history import ConnectionHistory

DETECTORS: tuple[Detector, ...] = (
    loss.retransmissions,
    loss.out_of_order,
    loss.old_duplicates,
    loss.duplicate_acks,
    loss.lost_segments,
    loss.ack_lost_segments,
)


def find_all(
    capture: Capture, table: ConnectionTable, histories: Sequence[ConnectionHistory], settings: Settings
) -> list[Finding]:
    """All findings of all detectors, by connection (the capture as a whole first) and time."""
    evidence = Evidence(capture, table, histories, Passes.of(table, settings), settings)
    found = [finding for detector in DETECTORS for finding in detector(evidence)]
    return sorted(found, key=_order)


def _order(finding: Finding) -> tuple[int, int, int, str]:
    connection = -1 if finding.connection is None else finding.connection
    first = finding.frames[0] if finding.frames else 0
    return connection, finding.time_ns or 0, first, finding.rule
