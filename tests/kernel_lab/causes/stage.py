"""Where a cause is played: a talk on a path with routers, boxes that forge, and filters that refuse."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field

from kernel_lab.play import Talk
from kernel_lab.segments import ACK, RST, Segment, forge
from kernel_lab.wire import Packet, other

ROUTERS = (5, 7)
"""Between the client and the middle, between the middle and the server."""
ROUTER = {4: "203.0.113.9", 6: "2001:db8:c::9"}


@dataclass
class Stage(Talk):
    """A talk, and what it must tell of its truth."""

    side: str = ""
    hidden_at: tuple[str, ...] = ()
    where: str = ""
    told: dict[str, str] = field(default_factory=dict)

    def blame(self, side: str, where: str, hidden_at: tuple[str, ...] | None = None) -> None:
        """The truth of this play: whose doing, in words where, and at which taps no one could tell."""
        self.side, self.where = side, where
        if hidden_at is not None:
            self.hidden_at = hidden_at

    def forge_reset(
        self, sender: str, flags: int, place: int, *, ttl: int, ip_id: int, window: int, stamps: bool
    ) -> None:
        """A RST in the name of ``sender`` from a box: between client and middle (place 0) or middle and server (1)."""
        last = self.last_of(sender)
        forged = Segment(
            last.source, last.source_port, last.target, last.target_port, last.end,
            last.ack if flags & ACK else 0, flags | RST, window, 0, last.stamps if stamps else None,
        )  # fmt: skip
        hop = place if sender == "A" else 1 - place
        self.lab.wire.insert(sender, restamped(forge(forged), ttl, ip_id), forged, hop, "forged")

    def refuse(self, kind: tuple[int, int], place: int) -> None:
        """A router at a place (as above) tells the client by ICMP that the segment it sent last is refused."""
        quoted = next(p for p in reversed(self.lab.wire.ledger) if p.sender == "A" and p.origin == "tx")
        packet = icmp_error(kind, quoted, self.lab.client.addresses[self.version])
        self.lab.wire.insert("B", packet, quoted.segment, 1 - place, "icmp")

    def other_of(self, side: str) -> str:
        """The opposite side."""
        return other(side)


def as_seen(packet: Packet, tap: str) -> bytes:
    """A packet as it passes a tap: each router on the way there took one from its hop limit."""
    if packet.origin == "injected":
        from_box = {"client": ROUTERS[0] - 2, "middle": 1, "server": ROUTERS[1] - 2}
        passed = from_box[tap]
    else:
        ways = {"client": 0, "middle": ROUTERS[0], "server": sum(ROUTERS)}
        passed = ways[tap] if packet.sender == "A" else sum(ROUTERS) - ways[tap]
    data = packet.data
    ttl = (data[8] if data[0] >> 4 == 4 else data[7]) - passed
    return restamped(data, ttl, int.from_bytes(data[4:6]))


def restamped(packet: bytes, ttl: int, ip_id: int) -> bytes:
    """The packet with another hop limit and, in IPv4, another ID."""
    if packet[0] >> 4 == 6:
        return packet[:7] + bytes((ttl,)) + packet[8:]
    head = bytearray(packet[:20])
    head[4:6] = ip_id.to_bytes(2)
    head[8], head[10:12] = ttl, b"\0\0"
    head[10:12] = checksum(bytes(head)).to_bytes(2)
    return bytes(head) + packet[20:]


def icmp_error(kind: tuple[int, int], quoted: Packet, to: str) -> bytes:
    """An ICMP error of a router about a packet."""
    body = struct.pack(">BBHI", *kind, 0, 0) + quoted.data[: 48 if ":" in to else 28]
    if ":" in to:
        ends = socket.inet_pton(socket.AF_INET6, ROUTER[6]) + socket.inet_pton(socket.AF_INET6, to)
        total = checksum(ends + struct.pack(">II", len(body), socket.IPPROTO_ICMPV6) + body)
        body = body[:2] + total.to_bytes(2) + body[4:]
        return struct.pack(">IHBB", 6 << 28, len(body), socket.IPPROTO_ICMPV6, 64) + ends + body
    body = body[:2] + checksum(body).to_bytes(2) + body[4:]
    ends = socket.inet_aton(ROUTER[4]) + socket.inet_aton(to)
    head = struct.pack(">BBHHHBBH", 0x45, 0xC0, 20 + len(body), 7, 0, 64, socket.IPPROTO_ICMP, 0) + ends
    return head[:10] + checksum(head).to_bytes(2) + head[12:] + body


def checksum(content: bytes) -> int:
    """RFC 1071."""
    content += b"\0" * (len(content) % 2)
    total = sum(struct.unpack(f">{len(content) // 2}H", content))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - int(total)
