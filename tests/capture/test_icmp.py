"""ICMP errors about TCP: evidence of its own, by either path."""

from __future__ import annotations

import struct

import pytest

from pcapreport.capture import IcmpError

from . import builders as make
from .builders import START, read

QUOTED = make.ipv4(make.tcp(seq=77, sport=40_000, dport=80)[:8], src="10.0.0.1", dst="10.0.0.9", length=1500)
OPTIONS6 = make.ipv6(b"\x06\0" + bytes(6) + make.tcp(seq=77, sport=40_000, dport=80), 60)
QUOTED6 = make.ipv6(make.tcp(seq=77, sport=40_000, dport=80), length=1440)


def error4(kind: int, code: int, rest: bytes = bytes(4), quoted: bytes = QUOTED) -> bytes:
    return make.ethernet(make.ipv4(bytes([kind, code, 0, 0]) + rest + quoted, 1, src="192.0.2.1", dst="10.0.0.1"))


def error6(kind: int, code: int, rest: bytes = bytes(4), quoted: bytes = QUOTED6) -> bytes:
    return make.ethernet(make.ipv6(bytes([kind, code, 0, 0]) + rest + quoted, 58, src="2001:db8::9"), 0x86DD)


def only(frame: bytes) -> IcmpError:
    capture = read(make.pcap([make.SEGMENT, frame]))
    assert len(capture.table) == 1 and sum(capture.other_packets.values()) == 1
    (error,) = capture.icmp_errors
    return error


def test_every_field_of_an_error() -> None:
    assert only(error4(3, 3)) == IcmpError(
        frame=2, time_ns=START * 10**9 + 1000, sender="192.0.2.1", kind="port unreachable", type=3, code=3, mtu=0,
        length=1500, src="10.0.0.1", dst="10.0.0.9", sport=40_000, dport=80, seq=77,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "kind", "mtu"),
    [
        (error4(3, 0), "network unreachable", 0),
        (error4(3, 1), "host unreachable", 0),
        (error4(3, 4, struct.pack(">HH", 0, 1400)), "fragmentation needed", 1400),
        (error4(3, 4), "fragmentation needed", 0),
        (error4(3, 13), "communication prohibited", 0),
        (error4(3, 99), "destination unreachable", 0),
        (error4(4, 0), "source quench", 0),
        (error4(5, 1), "redirect", 0),
        (error4(11, 0), "time exceeded (hop limit)", 0),
        (error4(11, 1), "time exceeded (reassembly)", 0),
        (error4(12, 0), "parameter problem", 0),
        (error6(1, 0), "no route to destination", 0),
        (error6(1, 4), "port unreachable", 0),
        (error6(2, 0, struct.pack(">I", 1280)), "packet too big", 1280),
        (error6(3, 0), "time exceeded (hop limit)", 0),
        (error6(2, 0, quoted=OPTIONS6), "packet too big", 0),
    ],
)  # fmt: skip
def test_errors_are_told_in_words(frame: bytes, kind: str, mtu: int) -> None:
    error = only(frame)
    assert error.length in (1500, 1480, len(OPTIONS6))
    assert (error.kind, error.mtu, error.seq, error.sport) == (kind, mtu, 77, 40_000)


@pytest.mark.parametrize(
    "frame",
    [
        error4(8, 0),
        error4(0, 0),
        error4(3, 3, quoted=make.ipv4(make.udp(b"x"), 17)),
        error4(3, 3, quoted=make.ipv4(make.tcp(), fragment=0x0003)),
        error4(3, 3, quoted=QUOTED[:24]),
        error4(3, 3, quoted=b""),
        error6(135, 0),
        error6(1, 4, quoted=make.ipv6(struct.pack(">BBHI", 6, 0, 80, 9) + make.tcp(), 44)),
    ],
)
def test_what_quotes_no_segment_is_only_counted(frame: bytes) -> None:
    capture = read(make.pcap([frame]))
    assert capture.icmp_errors == ()
    assert set(capture.other_packets) <= {"ICMP", "ICMPv6"}
    assert capture.packets == 1


def test_an_error_inside_of_a_tunnel_and_with_a_tag_is_found() -> None:
    inner = error4(3, 3)[14:]
    assert only(make.ethernet(make.ipv4(inner, 4))).kind == "port unreachable"
    assert only(make.ethernet(inner, vlans=[7])).kind == "port unreachable"
