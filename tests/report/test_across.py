"""What a document tells for an index over many captures."""

from __future__ import annotations

import io
import struct
from collections import Counter
from pathlib import Path

import pytest

import pcapreport
from pcapreport.report import model

SAMPLES = Path(__file__).parents[2] / "sample_pcaps"
CROWD = SAMPLES / "many-short-connections.pcap"


def across(document: model.Document) -> model.Across:
    assert document.across is not None
    return document.across


def part_of(path: Path, start: int, stop: int, ahead_s: int = 0) -> bytes:
    """The records from `start` up to `stop` of a little-endian pcap, its clock `ahead_s` seconds ahead."""
    data = path.read_bytes()
    out, at, number = bytearray(data[:24]), 24, 0
    while at < len(data):
        seconds, fraction, length, wire = struct.unpack_from("<IIII", data, at)
        if start <= number < stop:
            out += struct.pack("<IIII", seconds + ahead_s, fraction, length, wire) + data[at + 16 : at + 16 + length]
        at, number = at + 16 + length, number + 1
    return bytes(out)


def test_what_hosts_sent_is_what_others_received_and_all_that_was_captured() -> None:
    document = pcapreport.analyze(CROWD)
    talkers = across(document).talkers
    assert document.activity is not None
    assert sum(one.sent_bytes for one in talkers) == sum(one.received_bytes for one in talkers)
    assert sum(one.sent_bytes for one in talkers) == sum(document.activity.bytes)
    assert sum(one.packets for one in talkers) == document.capture.tcp_packets
    by_address = Counter(end.address for c in document.connections for end in (c.client, c.server))
    assert {one.address: one.connections for one in talkers} == by_address
    amounts = [one.sent_bytes + one.received_bytes for one in talkers]
    assert amounts == sorted(amounts, reverse=True)


def test_a_packet_captured_twice_was_sent_once() -> None:
    twice = pcapreport.analyze(SAMPLES / "captured-twice.pcap")
    assert any(finding.rule == "capture_duplicates" for finding in twice.findings)
    assert sum(one.packets for one in across(twice).talkers) == twice.capture.tcp_packets / 2


def test_the_slowest_connections_are_those_of_all() -> None:
    document = pcapreport.analyze(CROWD)
    took = {c.id: c.metrics.handshake_s for c in document.connections if c.metrics.handshake_s is not None}
    slowest = sorted(took, key=lambda number: -took[number])[:3]
    assert [one.connection for one in across(document).slowest_handshakes] == slowest
    assert [one.took_s for one in across(document).slowest_handshakes] == [took[number] for number in slowest]
    waited = {c.id: c.metrics.responses.longest_s for c in document.connections if c.metrics.responses}
    first = across(document).slowest_responses[0]
    assert first.took_s == max(waited.values()) == waited[first.connection]


def test_a_refused_connection_is_neither_slow_nor_known_by_anything() -> None:
    told = across(pcapreport.analyze(SAMPLES / "refused.pcap"))
    assert (told.slowest_handshakes, told.round_trip_s, told.known_by) == ([], None, {})


def test_a_connection_is_known_by_the_same_in_another_capture_at_another_time() -> None:
    whole = pcapreport.analyze(CROWD)
    some = pcapreport.analyze(io.BytesIO(part_of(CROWD, 100, 300, ahead_s=3600)))
    ports = {c.id: (c.client, c.server) for c in whole.connections}
    there = {c.id: (c.client, c.server) for c in some.connections}
    both = across(whole).known_by.keys() & across(some).known_by.keys()
    assert len(both) == len(across(some).known_by) > 10
    for key in both:
        assert ports[across(whole).known_by[key]] == there[across(some).known_by[key]]


def test_incarnations_of_the_same_ports_are_known_apart() -> None:
    document = pcapreport.analyze(SAMPLES / "ports-reused-within-2msl.pcap")
    assert len({(c.client, c.server) for c in document.connections}) == 1 < len(document.connections)
    assert sorted(across(document).known_by.values()) == [c.id for c in document.connections]


def test_of_many_connections_those_are_kept_that_another_capture_would_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    every = set(across(pcapreport.analyze(CROWD)).known_by)
    monkeypatch.setattr("pcapreport.report.across.KNOWN_BY", 5)
    assert set(across(pcapreport.analyze(CROWD)).known_by) == set(sorted(every)[:5])


@pytest.mark.parametrize("sample", ["abort-by-reset.pcap", "loss-with-timeout.pcap", "two-taps.pcapng"])
def test_rules_are_counted_with_the_worst_severity_of_each(sample: str) -> None:
    document = pcapreport.analyze(SAMPLES / sample)
    found = [*document.findings, *(f for c in document.connections for f in c.findings)]
    assert {rule: one.findings for rule, one in document.totals.rules.items()} == Counter(f.rule for f in found)
    worst = {rule: {f.severity for f in found if f.rule == rule} for rule in document.totals.rules}
    rank = ["note", "warning", "error"]
    assert {r: one.severity for r, one in document.totals.rules.items()} == {
        r: max(levels, key=rank.index) for r, levels in worst.items()
    }
