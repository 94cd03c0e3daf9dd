"""ICMP errors: whom they concern, whether they are to be believed, what they say and what they leave alone."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from time import perf_counter

import pytest
from capture import builders as make

from pcapreport import analyze
from pcapreport.findings.icmp import icmp_errors
from pcapreport.findings.model import Confidence, Finding, Severity

from .scenario import Complaint, Frame, Scenario, load, parse

SCENARIOS = Path(__file__).parent / "scenarios"
OPENED = """
0.000 C > S S 0:0(0)
0.020 S > C S. 0:0(0) ack 1
0.040 C > S . 1:1(0) ack 1
"""


def complaints(scenario: Scenario) -> list[Finding]:
    return list(icmp_errors(scenario.evidence()))


def only(text: str) -> Finding:
    (finding,) = complaints(parse(text, "made"))
    return finding


def of(name: str) -> list[Finding]:
    return complaints(load(SCENARIOS / f"{name}.pkt"))


@pytest.mark.parametrize(
    ("name", "summary", "severity"),
    [
        (
            "icmp_host_unreachable",
            'The router 192.0.2.1 told the client twice "host unreachable" of its SYN to 10.0.0.2:80 (first: frame 2); '
            "the connection did not open.",
            Severity.ERROR,
        ),
        (
            "icmp_port_unreachable",
            'The server\'s host 10.0.0.2 told the client twice "port unreachable" of its segments to 10.0.0.2:80 '
            "(first: frame 7); nothing more was heard of the server.",
            Severity.WARNING,
        ),
        (
            "icmp_fragmentation_heeded",
            "The router 192.0.2.1 told the server twice that its packets are too large for the way to 10.0.0.1:4000, "
            "on which 1,400 bytes are the most (first: frame 7); its segments got smaller (first: frame 9).",
            Severity.NOTE,
        ),
        (
            "icmp_fragmentation_ignored",
            "The router 192.0.2.1 told the server 4 times that its packets are too large for the way to 10.0.0.1:4000 "
            "(first: frame 6); it went on sending packets of 1,500 bytes all the same (first: frame 7).",
            Severity.WARNING,
        ),
        (
            "icmp_forged",
            'The router 198.51.100.7 told the client twice "host unreachable" of its segments to 10.0.0.2:80 '
            "(first: frame 6), but quoted a sequence number that was not in flight: it is stale or forged.",
            Severity.NOTE,
        ),
        (
            "icmp_hop_limit",
            "The router 192.0.2.1 told the client that the hop limit of its SYN to 10.0.0.2:80 ran out there "
            "(frame 2); the connection went on all the same.",
            Severity.NOTE,
        ),
    ],
)
def test_summaries(name: str, summary: str, severity: Severity) -> None:
    first = of(name)[0]
    assert (first.summary, first.severity) == (summary, severity)


def test_confidence_follows_the_number_quoted() -> None:
    assert [finding.confidence for finding in of("icmp_port_unreachable")] == [Confidence.HIGH]
    (forged,) = of("icmp_forged")
    assert forged.confidence is Confidence.LOW and len(forged.alternatives) == 2


@pytest.mark.parametrize("seq", [0, 1, 101])
def test_the_first_outstanding_and_the_next_number_and_a_keep_alives_are_in_flight(seq: int) -> None:
    found = only(f"{OPENED}0.050 C > S P. 1:101(100) ack 1\n0.060 192.0.2.1 ! C {seq} host unreachable")
    assert found.confidence is Confidence.HIGH


@pytest.mark.parametrize("seq", [-1, 102, 2**31])
def test_other_numbers_are_not(seq: int) -> None:
    found = only(f"{OPENED}0.050 C > S P. 1:101(100) ack 1\n0.060 192.0.2.1 ! C {seq} host unreachable")
    assert found.confidence is Confidence.LOW


def test_a_side_that_was_not_captured_leaves_it_open() -> None:
    found = only("0.000 C > S . 1:1(0) ack 1\n0.010 192.0.2.1 ! S 1 host unreachable\n0.020 C > S . 1:1(0) ack 500")
    assert found.confidence is Confidence.MEDIUM


def test_one_forged_among_real_ones_is_told() -> None:
    errors = "0.060 192.0.2.1 ! C 1 host unreachable\n0.070 192.0.2.1 ! C 90000 host unreachable"
    found = only(f"{OPENED}0.050 C > S P. 1:101(100) ack 1\n{errors}")
    assert found.confidence is Confidence.HIGH
    assert found.summary.endswith("; 1 of the 2 quoted a sequence number that was not in flight.")


def test_an_error_about_other_ports_or_without_connections_says_nothing() -> None:
    scenario = load(SCENARIOS / "icmp_host_unreachable.pkt")
    other = [replace(one, port=4001) if isinstance(one, Complaint) else one for one in scenario.frames]
    assert complaints(replace(scenario, frames=other)) == []
    alone = [one for one in scenario.frames if isinstance(one, Complaint)]
    assert complaints(replace(scenario, frames=alone)) == []


def test_of_several_incarnations_the_last_begun_before_is_meant() -> None:
    again = "\n".join(
        f"{start}.0 C > S S {isn}:{isn}(0)\n{start}.1 192.0.2.1 ! C {isn} host unreachable"
        for start, isn in ((1, 0), (200, 70_000), (400, 900_000))
    )
    found = complaints(parse(f"{again}\n500.0 end", "made"))
    assert [(one.connection, one.frames) for one in found] == [(0, (2,)), (1, (4,)), (2, (6,))]


def test_segments_offloaded_before_the_capture_are_no_proof_of_ignoring() -> None:
    text = f"""{OPENED}
0.050 S > C . 1:2921(2920) ack 1
0.060 192.0.2.1 ! S 1 mtu 1400 fragmentation needed
0.300 S > C . 1:2921(2920) ack 1
0.320 C > S . 1:1(0) ack 2921"""
    assert "all the same" in only(text).summary
    assert "went on sending" not in only(text).summary


@pytest.mark.parametrize("name", [path.stem for path in sorted(SCENARIOS.glob("icmp_*.pkt"))])
def test_other_results_of_the_connection_do_not_change(name: str) -> None:
    """But that a SYN without an answer was filtered, where the error says so."""
    scenario = load(SCENARIOS / f"{name}.pkt")
    silent = [one for one in scenario.frames if isinstance(one, Frame)]
    numbers = [number for number, one in enumerate(scenario.frames, 1) if isinstance(one, Frame)]
    without = [
        (one.rule, tuple(numbers[frame - 1] for frame in one.frames), one.side)
        for one in replace(scenario, frames=silent).findings()
    ]
    told = scenario.findings()
    others = [(one.rule, one.frames, one.side) for one in told if not one.rule.startswith("icmp_")]
    unnamed = [("syn_unanswered", f, "server") if r == "syn_filtered" else (r, f, s) for r, f, s in others]
    assert without == unnamed


def test_an_ipv6_packet_too_big_in_a_capture_file_reaches_the_document() -> None:
    client, server, router = "2001:db8::1", "2001:db8::2", "2001:db8::9"

    def sent(by_client: bool, flags: int, seq: int, ack: int, payload: int = 0) -> bytes:
        src, dst, ports = (client, server, (4_000, 80)) if by_client else (server, client, (80, 4_000))
        segment = make.tcp(bytes(payload), *ports, seq=seq, ack=ack, flags=flags)
        return make.ethernet(make.ipv6(segment, src=src, dst=dst), 0x86DD)

    large = sent(False, 0x10, 501, 201, 1_440)
    too_big = b"\x02\0\0\0" + (1_280).to_bytes(4, "big") + large[14:1_246]
    frames = [
        sent(True, 0x02, 100, 0), sent(False, 0x12, 500, 101), sent(True, 0x18, 101, 501, 100), large,
        make.ethernet(make.ipv6(too_big, 58, src=router, dst=server), 0x86DD),
        sent(False, 0x10, 501, 201, 1_220), sent(True, 0x10, 201, 1_721),
    ]  # fmt: skip
    (connection,) = analyze(BytesIO(make.pcap(frames))).connections
    (found,) = [one for one in connection.findings if one.rule == "icmp_fragmentation_needed"]
    assert (found.frames, found.severity, found.confidence, found.side) == ([5], "note", "high", "network")
    assert found.summary == (
        "The router 2001:db8::9 told the server that its packets are too large for the way to [2001:db8::1]:4000, "
        "on which 1,280 bytes are the most (frame 5); its segments got smaller (first: frame 6)."
    )


def test_very_many_errors_take_linear_time() -> None:
    """A hundred thousand errors: about as many connections, and about one connection from as many addresses."""
    frames: list[Frame | Complaint] = []
    syn = load(SCENARIOS / "syn_unanswered.pkt").frames[0]
    assert isinstance(syn, Frame)
    count = 5_000
    for number in range(count):
        frames.append(replace(syn, time_ns=syn.time_ns + number, port=1_024 + number))
        frames.append(
            Complaint(syn.time_ns + number, "192.0.2.1", "C", 1_000, "host unreachable", 0, 40, 1_024 + number)
        )
    for number in range(count):
        sender = f"198.51.{number >> 8}.{number & 255}"
        frames.append(replace(syn, time_ns=syn.time_ns + count + number, flags=0x10, seq=2_000 + number))
        frames.append(Complaint(syn.time_ns + count + number, sender, "C", 1_001, "fragmentation needed", 0, 40))
    evidence = Scenario("many", frames).evidence()
    start = perf_counter()
    found = list(icmp_errors(evidence))
    assert len(found) == 2 * count
    assert perf_counter() - start < 15
