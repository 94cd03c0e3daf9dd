"""Recorders: turn the frames of a tap into the bytes of a capture file."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from lab.path import Frame

_CLIENT_MAC = bytes.fromhex("02000000000a")
_SERVER_MAC = bytes.fromhex("02000000000b")
_SHORTEST_ETHERNET_FRAME = 60
_FULL_LENGTH = 262144


class Recorder(Protocol):
    """Anything that encodes frames as a capture file."""

    @property
    def suffix(self) -> str:
        """The ending of the file name."""

    def encode(self, frames: Sequence[Frame]) -> bytes:
        """Return the content of the capture file."""


@dataclass(frozen=True)
class Link:
    """A link type: its number in capture files and how it wraps an IP packet."""

    number: int
    wrap: Callable[[Frame], bytes]


def _as_ethernet(frame: Frame, tag: bytes = b"") -> bytes:
    """Add an Ethernet header and, as on a wire, padding to the shortest length."""
    addresses = _SERVER_MAC + _CLIENT_MAC if frame.from_client else _CLIENT_MAC + _SERVER_MAC
    ethertype = b"\x08\x00" if frame.packet[0] >> 4 == 4 else b"\x86\xdd"
    return (addresses + tag + ethertype + frame.packet).ljust(_SHORTEST_ETHERNET_FRAME, b"\x00")


def _as_tagged_ethernet(frame: Frame) -> bytes:
    """Add an Ethernet header with an 802.1Q tag for VLAN 7."""
    return _as_ethernet(frame, b"\x81\x00\x00\x07")


RAW = Link(101, lambda frame: frame.packet)
ETHERNET = Link(1, _as_ethernet)
TAGGED_ETHERNET = Link(1, _as_tagged_ethernet)


@dataclass(frozen=True)
class Pcap:
    """The classic format, in microseconds or nanoseconds and in either byte order."""

    link: Link = RAW
    nanoseconds: bool = False
    snaplen: int = _FULL_LENGTH
    byte_order: str = "<"
    suffix: str = ".pcap"

    def encode(self, frames: Sequence[Frame]) -> bytes:
        """Write the file header and a record for each frame."""
        magic, unit = (0xA1B23C4D, 1) if self.nanoseconds else (0xA1B2C3D4, 1000)
        content = struct.pack(f"{self.byte_order}IHHIIII", magic, 2, 4, 0, 0, self.snaplen, self.link.number)
        for frame in frames:
            seconds, fraction = divmod(frame.time_ns, 10**9)
            wire = self.link.wrap(frame)
            kept = wire[: self.snaplen]
            content += struct.pack(f"{self.byte_order}IIII", seconds, fraction // unit, len(kept), len(wire)) + kept
        return content


@dataclass(frozen=True)
class Interface:
    """An interface of a pcapng file."""

    name: str
    link: Link


@dataclass(frozen=True)
class Pcapng:
    """The next-generation format: nanoseconds, named interfaces, packet comments, interface statistics."""

    interfaces: tuple[Interface, ...]
    suffix: str = ".pcapng"

    def encode(self, frames: Sequence[Frame]) -> bytes:
        """Write the section header, the interfaces, the packets and the statistics."""
        section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
        content = _block(0x0A0D0D0A, section, (3, b"Linux"), (4, b"sample_pcaps/make.py"))
        for interface in self.interfaces:
            description = struct.pack("<HHI", interface.link.number, 0, _FULL_LENGTH)
            content += _block(1, description, (2, interface.name.encode()), (9, b"\x09"))
        content += b"".join(self._packet(frame) for frame in frames)
        return content + b"".join(_statistics(number, frames) for number in range(len(self.interfaces)))

    def _packet(self, frame: Frame) -> bytes:
        wire = self.interfaces[frame.interface].link.wrap(frame)
        head = struct.pack("<I", frame.interface) + _timestamp(frame.time_ns)
        body = head + struct.pack("<II", len(wire), len(wire)) + _padded(wire)
        return _block(6, body, *([(1, frame.comment.encode())] if frame.comment else []))


@dataclass(frozen=True)
class Twice:
    """Every frame recorded twice, a few microseconds apart, as by a mirror port that copies both directions."""

    recorder: Recorder
    apart_ns: int = 4000

    @property
    def suffix(self) -> str:
        """The ending of the file name."""
        return self.recorder.suffix

    def encode(self, frames: Sequence[Frame]) -> bytes:
        """Encode the frames and their copies in the order of time."""
        copies = [replace(frame, time_ns=frame.time_ns + self.apart_ns) for frame in frames]
        return self.recorder.encode(sorted([*frames, *copies], key=lambda frame: frame.time_ns))


@dataclass(frozen=True)
class SplitByVersion:
    """Two interfaces of one machine: IPv4 passes through the first, IPv6 through the second."""

    recorder: Recorder

    @property
    def suffix(self) -> str:
        """The ending of the file name."""
        return self.recorder.suffix

    def encode(self, frames: Sequence[Frame]) -> bytes:
        """Encode the frames, each on the interface of its IP version."""
        return self.recorder.encode([replace(frame, interface=int(frame.packet[0] >> 4 == 6)) for frame in frames])


@dataclass(frozen=True)
class Gzipped:
    """A capture compressed with gzip; the same frames give the same bytes."""

    recorder: Recorder

    @property
    def suffix(self) -> str:
        """The ending of the file name."""
        return self.recorder.suffix + ".gz"

    def encode(self, frames: Sequence[Frame]) -> bytes:
        """Encode the frames and compress the result."""
        return gzip.compress(self.recorder.encode(frames), mtime=0)


def _padded(value: bytes) -> bytes:
    """Fill up to a multiple of four bytes."""
    return value + b"\x00" * (-len(value) % 4)


def _timestamp(time_ns: int) -> bytes:
    """Write a pcapng timestamp: the high half before the low half."""
    return struct.pack("<II", time_ns >> 32, time_ns & 0xFFFFFFFF)


def _block(kind: int, body: bytes, *options: tuple[int, bytes]) -> bytes:
    """Write a pcapng block: its length stands at both ends."""
    for code, value in options:
        body += struct.pack("<HH", code, len(value)) + _padded(value)
    if options:
        body += struct.pack("<HH", 0, 0)
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _statistics(number: int, frames: Sequence[Frame]) -> bytes:
    """Write the Interface Statistics Block of one interface: first and last time, packets received and dropped."""
    times = [frame.time_ns for frame in frames if frame.interface == number]
    body = struct.pack("<I", number) + _timestamp(times[-1])
    return _block(
        5,
        body,
        (2, _timestamp(times[0])),
        (3, _timestamp(times[-1])),
        (4, struct.pack("<Q", len(times))),
        (5, struct.pack("<Q", 0)),
    )
