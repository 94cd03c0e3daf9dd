"""IP packets that carry TCP: read what the laboratory must know of them, and forge new ones."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
_LETTERS = ((FIN, "F"), (SYN, "S"), (RST, "R"), (PSH, "P"), (URG, "U"), (ACK, "."))
_NOP, _END, _TIMESTAMPS = 1, 0, 8
MODULUS = 1 << 32


@dataclass(frozen=True)
class Segment:
    """A TCP segment as it stands in a packet."""

    source: str
    source_port: int
    target: str
    target_port: int
    seq: int
    ack: int
    flags: int
    window: int
    length: int
    stamps: tuple[int, int] | None = None

    @property
    def space(self) -> int:
        """How many sequence numbers it takes: data, SYN and FIN."""
        return self.length + bool(self.flags & SYN) + bool(self.flags & FIN)

    @property
    def end(self) -> int:
        """The number behind its last."""
        return (self.seq + self.space) % MODULUS

    @property
    def letters(self) -> str:
        """Flags as tcpdump writes them."""
        return "".join(letter for bit, letter in _LETTERS if self.flags & bit)

    def only(self, flags: int) -> bool:
        """Whether of SYN, FIN, RST and ACK exactly these are set."""
        return self.flags & (SYN | FIN | RST | ACK) == flags


def distance(to: int, since: int) -> int:
    """Signed difference of two sequence numbers."""
    return (to - since + MODULUS // 2) % MODULUS - MODULUS // 2


def read(packet: bytes) -> Segment | None:
    """The segment of an IP packet without extension headers; None for anything but TCP."""
    if packet[0] >> 4 == 4:
        start, end, protocol = (packet[0] & 15) * 4, int.from_bytes(packet[2:4]), packet[9]
        source, target = (socket.inet_ntop(socket.AF_INET, packet[at : at + 4]) for at in (12, 16))
    else:
        start, end, protocol = 40, 40 + int.from_bytes(packet[4:6]), packet[6]
        source, target = (socket.inet_ntop(socket.AF_INET6, packet[at : at + 16]) for at in (8, 24))
    if protocol != socket.IPPROTO_TCP:
        return None
    sport, dport, seq, ack, offset, flags, window = struct.unpack_from(">HHIIBBH", packet, start)
    header = (offset >> 4) * 4
    stamps = _timestamps(packet[start + 20 : start + header])
    return Segment(source, sport, target, dport, seq, ack, flags, window, end - start - header, stamps)


def _timestamps(options: bytes) -> tuple[int, int] | None:
    at = 0
    while at < len(options) and options[at] != _END:
        if options[at] == _NOP:
            at += 1
            continue
        size = options[at + 1]
        if options[at] == _TIMESTAMPS:
            value, echo = struct.unpack_from(">II", options, at + 2)
            return value, echo
        at += max(size, 2)
    return None


def forge(segment: Segment, payload: bytes = b"") -> bytes:
    """An IP packet with this segment; its length is that of the payload."""
    options = b""
    if segment.stamps is not None:
        options = bytes((_NOP, _NOP, _TIMESTAMPS, 10)) + struct.pack(">II", *segment.stamps)
    offset = (20 + len(options)) // 4 << 4
    ports = struct.pack(">HH", segment.source_port, segment.target_port)
    numbers = struct.pack(">IIBBH", segment.seq, segment.ack, offset, segment.flags, segment.window)
    six = ":" in segment.source
    family = socket.AF_INET6 if six else socket.AF_INET
    addresses = socket.inet_pton(family, segment.source) + socket.inet_pton(family, segment.target)
    body = ports + numbers + bytes(4) + options + payload
    total = _checksum(addresses + struct.pack(">II", socket.IPPROTO_TCP, len(body)) + body)
    body = body[:16] + struct.pack(">H", total) + body[18:]
    if six:
        return struct.pack(">IHBB", 6 << 28, len(body), socket.IPPROTO_TCP, 64) + addresses + body
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0x4000, 64, socket.IPPROTO_TCP, 0) + addresses
    return header[:10] + struct.pack(">H", _checksum(header)) + header[12:] + body


def _checksum(content: bytes) -> int:
    content += b"\0" * (len(content) % 2)
    total: int = sum(struct.unpack(f">{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total
