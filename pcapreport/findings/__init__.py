"""What went wrong or is worth knowing in a capture, with the frames that show it.

A detector is a function from the evidence, a part of the capture that holds whole connections, to findings about them.
It changes nothing, sees no other detector, and judges from the same array passes (`passes.py`) as the others. What only
the capture as a whole shows is summed over its parts (`capture_quality.py`, `tally.py`). `rules.py` is the manual,
`verdict.py` draws the sum.
"""

from __future__ import annotations

from pcapreport.capture.model import Capture
from pcapreport.findings import (
    capture_quality,
    checksums,
    conformance,
    half_closed,
    handshake,
    icmp,
    loss,
    middlebox,
    persistence,
    retransmissions,
    slow,
    teardown,
    time_wait,
    timers,
    window,
    window_edges,
)
from pcapreport.findings.capture_quality import CaptureQuality
from pcapreport.findings.ephemeral_ports import running_out
from pcapreport.findings.model import Detector, Evidence, Finding
from pcapreport.findings.passes import Passes
from pcapreport.findings.scans import Scans
from pcapreport.settings import Settings
from pcapreport.tcp.connections import ConnectionTable
from pcapreport.tcp.families import Histories
from pcapreport.tcp.host_profile import Hosts
from pcapreport.tcp.time_wait_population import TimeWaitPopulation

DETECTORS: tuple[Detector, ...] = (
    capture_quality.midstream,
    capture_quality.one_sided,
    checksums.bad_checksums,
    handshake.openings,
    handshake.reused_ports,
    handshake.reused_numbers,
    icmp.icmp_errors,
    retransmissions.retransmissions,
    persistence.excessive_retransmissions,
    persistence.path_mtu_black_holes,
    loss.out_of_order,
    loss.undecided_order,
    loss.old_duplicates,
    loss.duplicate_acks,
    loss.lost_segments,
    loss.ack_lost_segments,
    loss.missed_syns,
    window.zero_windows,
    window.zero_window_probes,
    slow.slow_responses,
    slow.limited,
    window.keep_alives,
    window.silent_peers,
    window_edges.windows,
    timers.delayed_acks,
    timers.early_keep_alives,
    conformance.impossible_flags,
    conformance.stripped_options,
    conformance.ecn_misuse,
    conformance.missing_challenge_acks,
    middlebox.forged_resets,
    teardown.resets,
    teardown.unanswered_fins,
    half_closed.half_closed,
    time_wait.ledgers,
    time_wait.collisions,
)
"""In the order of the page: is it all there, how it opened, what was lost, who waited, how it ended."""


def find_all(capture: Capture, table: ConnectionTable, histories: Histories, settings: Settings) -> list[Finding]:
    """All findings about a capture in one part: about it as a whole first, then by connection and time."""
    evidence = Evidence(capture, table, histories, Passes.of(table, settings), settings)
    quality = CaptureQuality()
    quality.add(evidence)
    population = TimeWaitPopulation()
    population.add(table, histories)
    ports = running_out(population, population.hosts(), Hosts(capture.openings), settings, capture.first_ns or 0)
    scans = Scans()
    scans.add(evidence)
    crowds = scans.findings(capture, settings)
    return sorted([*quality.findings(capture), *ports, *crowds, *find_in(evidence)], key=_order)


def find_in(evidence: Evidence) -> list[Finding]:
    """The findings about connections, by connection and time."""
    return sorted((finding for detector in DETECTORS for finding in detector(evidence)), key=_order)


def _order(finding: Finding) -> tuple[int, int, int, str]:
    connection = -1 if finding.connection is None else finding.connection
    first = finding.frames[0] if finding.frames else 0
    return connection, finding.time_ns or 0, first, finding.rule
