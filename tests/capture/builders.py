"""Capture files and frames made by hand, field by field, so that a test can break any one of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from io import BytesIO
from ipaddress import ip_address

from pcapreport.capture import Capture, read_capture

MICROSECONDS, NANOSECONDS, MODIFIED = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
START = 1_700_000_000
"""Seconds of the first record of every capture made here."""


def pcap_header(
    order: str = "<", magic: int = MICROSECONDS, link_type: int = 1, snaplen: int = 262_144,
    version: tuple[int, int] = (2, 4),
) -> bytes:  # fmt: skip
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link_type)


def pcap_record(
    data: bytes, second: int = START, fraction: int = 0, wire_len: int | None = None, order: str = "<",
    cap_len: int | None = None, modified: bool = False,
) -> bytes:  # fmt: skip
    held = len(data) if cap_len is None else cap_len
    header = struct.pack(order + "IIII", second, fraction, held, len(data) if wire_len is None else wire_len)
    return header + (struct.pack(order + "IHBx", 2, 0x0800, 0) if modified else b"") + data


def pcap(frames: Iterable[bytes], order: str = "<", magic: int = MICROSECONDS, link_type: int = 1) -> bytes:
    """A file with one record a frame, one fraction unit apart."""
    records = [
        pcap_record(frame, fraction=number, order=order, modified=magic == MODIFIED)
        for number, frame in enumerate(frames)
    ]
    return pcap_header(order, magic, link_type) + b"".join(records)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str = "<", options: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, *version, -1) + options, order)


def interface(order: str = "<", link_type: int = 1, snaplen: int = 0, options: bytes = b"") -> bytes:
    return block(1, struct.pack(order + "HHI", link_type, 0, snaplen) + options, order)


def enhanced(
    data: bytes, ticks: int = START * 10**6, index: int = 0, order: str = "<", options: bytes = b"",
    wire_len: int | None = None, cap_len: int | None = None,
) -> bytes:  # fmt: skip
    held, sent = (len(data) if given is None else given for given in (cap_len, wire_len))
    head = struct.pack(order + "IIIII", index, ticks >> 32, ticks & 0xFFFFFFFF, held, sent)
    return block(6, head + data + bytes(-len(data) % 4) + options, order)


def simple(data: bytes, order: str = "<", wire_len: int | None = None) -> bytes:
    sent = len(data) if wire_len is None else wire_len
    return block(3, struct.pack(order + "I", sent) + data + bytes(-len(data) % 4), order)


def obsolete(data: bytes, ticks: int = START * 10**6, index: int = 0, order: str = "<") -> bytes:
    head = struct.pack(order + "HHIIII", index, 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(2, head + data + bytes(-len(data) % 4), order)


def statistics(dropped: int, index: int = 0, order: str = "<") -> bytes:
    counter = option(5, struct.pack(order + "Q", dropped), order)
    return block(5, struct.pack(order + "III", index, 0, 0) + counter, order)


def ethernet(payload: bytes, ethertype: int = 0x0800, vlans: Sequence[int] = ()) -> bytes:
    tags = b"".join(struct.pack(">HH", 0x8100, vlan) for vlan in vlans)
    return bytes(12) + tags + struct.pack(">H", ethertype) + payload


def ipv4(
    payload: bytes, protocol: int = 6, src: str = "10.0.0.1", dst: str = "10.0.0.2", ident: int = 7, ttl: int = 64,
    fragment: int = 0, options: bytes = b"", length: int | None = None,
) -> bytes:  # fmt: skip
    header_len = 20 + len(options)
    total = header_len + len(payload) if length is None else length
    head = struct.pack(">BBHHHBBH", 0x40 | header_len // 4, 0, total, ident, fragment, ttl, protocol, 0)
    return head + ip_address(src).packed + ip_address(dst).packed + options + payload


def ipv6(
    payload: bytes, protocol: int = 6, src: str = "2001:db8::1", dst: str = "2001:db8::2", ttl: int = 64,
    length: int | None = None,
) -> bytes:  # fmt: skip
    head = struct.pack(">IHBB", 6 << 28, len(payload) if length is None else length, protocol, ttl)
    return head + ip_address(src).packed + ip_address(dst).packed + payload


def udp(payload: bytes, sport: int = 5000, dport: int = 5001) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload


def tcp(
    payload: bytes = b"", sport: int = 40_000, dport: int = 80, seq: int = 1, ack: int = 2, flags: int = 0x18,
    window: int = 512, options: bytes = b"", offset: int | None = None, urgent: int = 0,
) -> bytes:  # fmt: skip
    words = 5 + (len(options) + 3) // 4 if offset is None else offset
    head = struct.pack(">HHIIHHHH", sport, dport, seq, ack, words << 12 | flags, window, 0xBEEF, urgent)
    return head + options + bytes(-len(options) % 4) + payload


SEGMENT = ethernet(ipv4(tcp(b"hello")))
"""A plain frame of 59 bytes."""


def read(data: bytes) -> Capture:
    return read_capture(BytesIO(data), name="made.pcap")
