"""Floods and scans are told from busy clients, dead servers and short captures; filters from silent hosts."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from itertools import count
from typing import Any

from pcapreport import analyze

SYN, RST, ACK, FIN = 2, 4, 16, 1
CLIENT, SERVER = 0x0A000001, 0x0A0000C8
Frame = tuple[float, int, int, int, int, int, int, int]


def capture(frames: list[Frame]) -> bytes:
    """A raw-IP capture of (time, source, port, target, port, flags, seq, ack)."""
    content = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    for at, source, sport, target, dport, flags, seq, ack in sorted(frames):
        tcp = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 64240, 0, 0)
        packet = struct.pack(">BBHHHBBHII", 0x45, 0, 40, 0, 0x4000, 64, 6, 0, source, target) + tcp
        content += struct.pack("<IIII", int(at), round(at % 1 * 1e6), len(packet), len(packet)) + packet
    return content


def syn(at: float, port: int, target: int = SERVER, to: int = 80, source: int = CLIENT) -> list[Frame]:
    return [(at, source, port, target, to, SYN, 1000, 0)]


def refused(at: float, port: int, to: int, target: int = SERVER) -> list[Frame]:
    return [*syn(at, port, target, to), (at + 0.01, target, to, CLIENT, port, RST | ACK, 0, 1001)]


def answered(at: float, port: int, to: int = 80, source: int = CLIENT) -> list[Frame]:
    ends = (source, port, SERVER, to)
    back = (SERVER, to, source, port)
    return [
        (at, *ends, SYN, 1000, 0),
        (at + 0.01, *back, SYN | ACK, 5000, 1001),
        (at + 0.02, *ends, ACK, 1001, 5001),
        (at + 0.03, *ends, FIN | ACK, 1001, 5001),
        (at + 0.04, *back, FIN | ACK, 5001, 1002),
        (at + 0.05, *ends, ACK, 1002, 5002),
    ]


def judged(frames: Iterator[list[Frame]] | list[list[Frame]], end: float = 30) -> Any:
    whole = [frame for some in frames for frame in some]
    return analyze(BytesIO(capture([*whole, *answered(end, 60_000, 8_080)])), name="made.pcap")


def overall(document: Any) -> list[str]:
    return [one.rule for one in document.findings]


def test_a_flood_from_many_sources_is_named_before_its_silent_syns() -> None:
    document = judged(syn(number / 50, 1024 + number, source=0xC0000000 + number) for number in range(300))
    assert overall(document) == ["syn_flood"]
    assert document.verdict.side == "client"
    assert "A SYN flood at 10.0.0.200:80: 300 of 300" in document.verdict.text
    assert "from 300 addresses (frames 1, 2 and 298 more)" in document.verdict.text
    singles = [one for connection in document.connections for one in connection.findings]
    assert {one.rule for one in singles} >= {"syn_filtered"} or {one.rule for one in singles} >= {"syn_unanswered"}


def test_a_flood_from_one_source_counts_as_well_where_users_get_through_seldom() -> None:
    flood = (syn(number / 50, 1024 + number, source=0xC0000001) for number in range(300))
    users = (answered(number / 5, 40_000 + number) for number in range(30))
    assert overall(judged([*flood, *users])) == ["syn_flood"]


def test_clients_of_a_dead_server_who_repeat_their_syns_are_no_flood() -> None:
    starts = [(number, number / 50) for number in range(300)]
    clients = [syn(at, 1024 + n, source=0xC0000000 + n) for n, start in starts for at in (start, start + 1)]
    assert overall(judged(clients)) == []


def test_many_users_who_get_through_are_no_flood() -> None:
    assert overall(judged(answered(number / 50, 1024 + number) for number in range(400))) == []


def test_ports_tried_one_after_the_other_are_a_scan() -> None:
    document = judged(refused(number / 10, 40_000 + number, 1 + number) for number in range(50))
    assert overall(document) == ["port_scan"]
    assert document.verdict.side == "client"
    assert "it tried 50 ports of 10.0.0.200 within 4.9 s, of which 50 refused" in document.verdict.text


def test_hosts_tried_on_one_port_are_a_scan() -> None:
    document = judged(syn(number / 10, 40_000 + number, 0x0A000100 + number, 22) for number in range(50))
    assert overall(document) == ["port_scan"]
    assert "port 22 of 50 hosts" in document.verdict.text


def test_a_client_that_opens_one_refusing_port_again_and_again_is_no_scan() -> None:
    assert overall(judged(refused(number / 10, 40_000 + number, 81) for number in range(80))) == []


def test_a_client_of_many_ports_that_answer_is_no_scan() -> None:
    open_ports = (answered(number / 10, 40_000 + number, 1000 + number) for number in range(40))
    closed = (refused(number / 10, 50_000 + number, 2000 + number) for number in range(25))
    assert overall(judged([*open_ports, *closed])) == []


def test_ports_tried_over_hours_are_no_scan() -> None:
    slow = (refused(number * 60.0, 40_000 + number, 1 + number) for number in range(50))
    assert overall(judged(slow, end=4_000)) == []


def test_a_silent_port_of_a_host_that_answers_elsewhere_is_filtered() -> None:
    numbers = count(40_000)
    document = judged([refused(0, next(numbers), 81), syn(1, next(numbers), to=82)])
    rules = {one.rule: one for connection in document.connections for one in connection.findings}
    assert rules["syn_filtered"].side == "network"
    assert "port 81 of that host answers (frame 2)" in rules["syn_filtered"].summary
    assert "syn_unanswered" not in rules


def test_a_port_that_answered_others_is_not_filtered() -> None:
    document = judged([answered(0, 40_000), refused(0.5, 40_002, 81), syn(1, 40_001)])
    rules = {one.rule for connection in document.connections for one in connection.findings}
    assert "syn_unanswered" in rules
    assert "syn_filtered" not in rules
