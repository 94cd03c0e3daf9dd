"""Checksums: right, wrong, left to the network card, or not to be told."""

from __future__ import annotations

import struct
from io import BytesIO
from ipaddress import ip_address

import numpy as np
import pytest

from pcapreport.capture import Capture, Checksum, read_capture, verify_checksums

from . import builders as make

SRC, DST, SRC6, DST6 = "10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"


def folded(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def filled(segment: bytes, src: str = SRC, dst: str = DST, partial: bool = False, length: int | None = None) -> bytes:
    """The segment with its checksum, or with that of the pseudo header alone."""
    blank = segment[:16] + b"\0\0" + segment[18:]
    size = len(segment) if length is None else length
    pseudo = ip_address(src).packed + ip_address(dst).packed + struct.pack(">II", size, 6)
    number = folded(pseudo) if partial else 0xFFFF ^ folded(pseudo + blank + bytes(len(blank) & 1))
    return segment[:16] + struct.pack(">H", number) + segment[18:]


def checked(frames: list[bytes], link_type: int = 1, wire_len: int | None = None) -> Capture:
    records = b"".join(make.pcap_record(frame, wire_len=wire_len) for frame in frames)
    return read_capture(BytesIO(make.pcap_header(link_type=link_type) + records), name="x", checksums=True)


def states_of(capture: Capture) -> list[int]:
    assert capture.offloading is not None
    return verify_checksums(capture.table, capture.offloading).tolist()


def verdicts(frames: list[bytes], wire_len: int | None = None) -> list[Checksum]:
    return [Checksum(state) for state in states_of(checked(frames, wire_len=wire_len))]


def over4(segment: bytes, src: str = SRC) -> bytes:
    return make.ethernet(make.ipv4(segment, src=src))


@pytest.mark.parametrize("size", [0, 1, 2, 7, 100, 1459, 1460])
def test_right_and_wrong_over_either_ip_version_and_either_path(size: int) -> None:
    payload = bytes(number & 0xFF for number in range(size))
    good, good6 = filled(make.tcp(payload)), filled(make.tcp(payload), SRC6, DST6)
    bad = good[:4] + bytes([good[4] ^ 1]) + good[5:]
    hop, destination = (struct.pack(">BB", 6, 0) + b"\x01\x04\0\0\0\0" for _ in range(2))
    frames = [
        over4(good) + bytes(6),
        make.ethernet(make.ipv6(good6), 0x86DD),
        make.ethernet(make.ipv6(hop + good6, 0), 0x86DD),
        make.ethernet(make.ipv6(destination + good6, 60), 0x86DD),
        over4(bad),
        make.ethernet(make.ipv4(b"\x06\x04" + bytes(22) + good, 51)),
    ]
    G, B = Checksum.GOOD, Checksum.BAD
    assert verdicts(frames) == [G, G, G, G, B, G]


def test_routing_headers_and_home_addresses_change_what_is_covered() -> None:
    home, final = "2001:db8::50", "2001:db8::60"
    routed = struct.pack(">BBBBI", 6, 2, 0, 1, 0) + ip_address(final).packed + filled(make.tcp(), SRC6, final)
    mobile = struct.pack(">BBBB", 6, 2, 1, 0) + b"\xc9\x10" + ip_address(home).packed + b"\x01\0"
    mobile += filled(make.tcp(), home, DST6)
    frames = [make.ethernet(make.ipv6(routed, 43), 0x86DD), make.ethernet(make.ipv6(mobile, 60), 0x86DD)]
    assert verdicts(frames) == [Checksum.GOOD] * 2


def test_a_sum_of_the_pseudo_header_alone_is_offload_even_once() -> None:
    partial = [filled(make.tcp(b"data"), partial=True), filled(make.tcp(b"data"), partial=True, length=0)]
    assert verdicts([over4(one) for one in [*partial, filled(make.tcp(b"x"))]])[:2] == [Checksum.OFFLOAD] * 2


def test_a_sender_that_is_never_right_offloads_and_one_that_is_sometimes_right_does_not() -> None:
    wrong, right = make.tcp(b"data"), filled(make.tcp(b"data"), src="10.0.0.7")
    never, sometimes = [over4(wrong)] * 3, [over4(right, "10.0.0.7"), *[over4(wrong, "10.0.0.7")] * 3]
    B, G = Checksum.BAD, Checksum.GOOD
    assert verdicts([*never, *sometimes]) == [Checksum.OFFLOAD] * 3 + [G, B, B, B]
    assert verdicts(never[:2]) == [B, B], "two are too few to know a sender by"


def test_a_cut_segment_is_unknown() -> None:
    frame = over4(filled(make.tcp(bytes(100))))
    assert verdicts([frame[:90]], wire_len=len(frame)) == [Checksum.UNKNOWN]


def test_a_reassembled_segment_is_checked_whole() -> None:
    whole = filled(make.tcp(bytes(range(44))))
    frames = [make.ethernet(make.ipv4(whole[:16], fragment=0x2000)), make.ethernet(make.ipv4(whole[16:], fragment=2))]
    assert verdicts(frames) == [Checksum.GOOD]


def test_without_being_asked_nothing_is_verified() -> None:
    capture = make.read(make.pcap([over4(filled(make.tcp()))]))
    assert capture.offloading is None
    assert verify_checksums(capture.table, np.empty(0)).tolist() == [Checksum.UNKNOWN]


def test_many_segments_over_several_windows_are_summed_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcapreport.capture.checksums.WINDOW", 700)
    frames = [over4(filled(make.tcp(bytes(number % 251 for number in range(size))))) for size in range(300)]
    assert set(verdicts(frames)) == {Checksum.GOOD}
