"""What only many connections together show: SYN floods, and hosts that try ports or hosts one after the other.

A flood is told by SYNs to one address and port that are never followed up, each sent once: real clients whose server
is down repeat theirs. A scan is told by its targets, of which most refuse or stay silent. The client's own ports count
for neither, nor does it matter how often a client turns to the same port.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pcapreport.capture.model import Capture
from pcapreport.findings.attempts import (
    HALF_OPEN,
    HOST,
    OPENED,
    PERSISTENT,
    SERVER,
    SILENT,
    Table,
    attempts_of,
    densest,
    grouped,
)
from pcapreport.findings.model import Alternative, Confidence, Evidence, Finding, Side
from pcapreport.findings.rules import RULES
from pcapreport.findings.wording import address, duration, frames
from pcapreport.language import Text, counted, joined, phrase
from pcapreport.settings import (
    FLOOD_SHARE,
    SCAN_FAILED_SHARE,
    Settings,
)
from pcapreport.tcp import addresses
from pcapreport.tcp.connections import Endpoint

BUSY = Alternative(phrase("Clients that give up at once meet an overloaded server."), Confidence.LOW)
PEERS = Alternative(
    phrase("A peer-to-peer program or a monitor that tries many hosts, most of them gone."), Confidence.LOW
)


class Scans:
    """The attempts of a capture, taken part by part."""

    def __init__(self) -> None:
        self._parts: list[Table] = []

    def add(self, evidence: Evidence) -> None:
        """Take note of the openings of whole connections."""
        self._parts.append(attempts_of(evidence))

    def join(self, other: Scans) -> None:
        """And those of later parts."""
        self._parts += other._parts

    def findings(self, capture: Capture, settings: Settings) -> list[Finding]:
        """Floods, then scans, once all of the capture was added."""
        if sum(map(len, self._parts)) < min(settings.flood_syns, settings.scan_targets):
            return []
        attempts = np.concatenate(self._parts)
        judged = (attempts["result"] == OPENED) | (attempts["at"] <= (capture.last_ns or 0) - settings.unanswered_ns)
        attempts = attempts[judged]
        return [*_floods(attempts, settings), *_scans(attempts, settings)]


def _floods(attempts: Table, settings: Settings) -> Iterator[Finding]:
    """Each address and port that was flooded."""
    targets = grouped(attempts, (*SERVER, "port"))
    for start, stop in _large(targets.bounds, settings.flood_syns):
        to_it = targets.attempts[start:stop]
        loose = to_it[(to_it["result"] == HALF_OPEN) | (to_it["result"] == SILENT)]
        if len(loose) < settings.flood_syns:
            continue
        low, high = densest(loose["at"], settings.flood_window_ns)
        first, last = int(loose["at"][low]), int(loose["at"][high - 1])
        among = int(np.count_nonzero((to_it["at"] >= first) & (to_it["at"] <= last)))
        if high - low >= settings.flood_syns and high - low >= FLOOD_SHARE * among:
            yield _flood(loose, first, last, high - low, among)


def _flood(loose: Table, first: int, last: int, most: int, among: int) -> Finding:
    one = loose[0]
    sources = len(grouped(loose, HOST).bounds) - 1
    numbers = np.sort(loose["frame"]).tolist()
    summary = phrase(
        "A SYN flood at {target}: {most:,} of {all:,} connections within {time} were begun and never completed, each "
        "with one SYN, from {origin} ({frames}).",
        target=address(Endpoint(_text(one, SERVER), int(one["port"]))),
        most=most,
        all=among,
        time=duration(last - first),
        origin=phrase("{sources:,} addresses", sources=sources) if sources > 1 else _text(one, HOST),
        frames=frames(numbers, 2),
    )
    return _about("syn_flood", numbers, int(loose["at"][0]), summary, Confidence.HIGH, (BUSY,))


def _scans(attempts: Table, settings: Settings) -> Iterator[Finding]:
    """Each host that scanned."""
    hosts = grouped(attempts, HOST)
    for start, stop in _large(hosts.bounds, settings.scan_targets):
        of_host = hosts.attempts[start:stop]
        targets = grouped(of_host, (*SERVER, "port"))
        firsts = targets.attempts[targets.bounds[:-1]]
        reached = np.minimum.reduceat(targets.attempts["result"], targets.bounds[:-1]) == OPENED
        failed = np.sort(firsts[~reached], order="at")
        if len(failed) < settings.scan_targets:
            continue
        low, high = densest(failed["at"], settings.scan_window_ns)
        begun, ended = failed["at"][low], failed["at"][high - 1]
        among = int(np.count_nonzero((firsts["at"] >= begun) & (firsts["at"] <= ended)))
        if high - low >= settings.scan_targets and high - low >= SCAN_FAILED_SHARE * among:
            yield _scan(failed, low, high, among)


def _scan(failed: Table, low: int, high: int, among: int) -> Finding:
    seen = failed[low:high]
    numbers = np.sort(failed["frame"]).tolist()
    summary = phrase(
        "{host} scanned: it tried {targets} within {time}, of which {results} ({frames}).",
        host=_text(seen[0], HOST),
        targets=_tried(seen, among),
        time=duration(int(seen["at"][-1] - seen["at"][0])),
        results=joined(_results(seen)),
        frames=frames(numbers, 2),
    )
    return _about("port_scan", numbers, int(failed["at"][0]), summary, Confidence.HIGH, (PEERS,))


def _tried(seen: Table, among: int) -> Text:
    """What was tried, `among` targets in all."""
    servers, ports = len(grouped(seen, SERVER).bounds) - 1, len(np.unique(seen["port"]))
    if servers == 1:
        return counted(among, "{n:,} port of {host}", "{n:,} ports of {host}", host=_text(seen[0], SERVER))
    if ports == 1:
        return counted(among, "port {port} of {n:,} host", "port {port} of {n:,} hosts", port=int(seen[0]["port"]))
    return counted(
        among,
        "{n:,} target ({servers:,} hosts, {ports:,} ports)",
        "{n:,} targets ({servers:,} hosts, {ports:,} ports)",
        servers=servers,
        ports=ports,
    )


def _results(seen: Table) -> Iterator[Text]:
    """What came of it, in numbers."""
    silent = int(np.count_nonzero((seen["result"] == SILENT) | (seen["result"] == PERSISTENT)))
    half = int(np.count_nonzero(seen["result"] == HALF_OPEN))
    refused = len(seen) - silent - half
    if refused:
        yield phrase("{number:,} refused", number=refused)
    if silent:
        yield phrase("{number:,} stayed silent", number=silent)
    if half:
        yield counted(half, "{n:,} was left half-open", "{n:,} were left half-open")


def _large(bounds: np.typing.NDArray[np.int64], least: int) -> Iterator[tuple[int, int]]:
    """Start and stop of the groups of at least so many."""
    chosen = np.flatnonzero(np.diff(bounds) >= least)
    yield from zip(bounds[chosen].tolist(), bounds[chosen + 1].tolist(), strict=True)


def _text(attempt: np.void, names: tuple[str, ...]) -> str:
    version, high, low = (int(attempt[name]) for name in names)
    return addresses.text_of(version, high, low)


def _about(
    rule: str,
    numbers: list[int],
    time_ns: int,
    summary: str,
    confidence: Confidence,
    alternatives: tuple[Alternative, ...],
) -> Finding:
    severity = RULES[rule].severity
    return Finding(rule, severity, confidence, Side.CLIENT, tuple(numbers), time_ns, summary, None, alternatives)
