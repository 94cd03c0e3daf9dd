"""The little that the path must know of a packet: is it TCP, which flags, how much data."""

from __future__ import annotations

from dataclasses import dataclass

_TCP = 6
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10


@dataclass(frozen=True)
class Segment:
    """The flags and the payload length of a TCP segment."""

    flags: int
    payload: int

    @classmethod
    def of_packet(cls, packet: bytes) -> Segment | None:
        """Read an IP packet without extension headers; None if it does not carry TCP."""
        if packet[0] >> 4 == 4:
            protocol, start, end = packet[9], (packet[0] & 15) * 4, int.from_bytes(packet[2:4])
        else:
            protocol, start, end = packet[6], 40, 40 + int.from_bytes(packet[4:6])
        if protocol != _TCP:
            return None
        return cls(packet[start + 13], end - start - (packet[start + 12] >> 4) * 4)


def anything(segment: Segment) -> bool:
    """Match every segment."""
    return True


def syn(segment: Segment) -> bool:
    """Match a SYN, with or without ACK."""
    return bool(segment.flags & _SYN)


def data(segment: Segment) -> bool:
    """Match a segment that carries data."""
    return segment.payload > 0


def pure_ack(segment: Segment) -> bool:
    """Match an ACK that carries neither data nor SYN, FIN or RST."""
    return segment.payload == 0 and segment.flags & (_ACK | _SYN | _FIN | _RST) == _ACK
