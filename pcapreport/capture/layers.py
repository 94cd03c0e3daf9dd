"""The small vocabulary in which one frame is taken apart: a Part of it, the Trail of layers, and what comes Next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple


class Part(NamedTuple):
    """Bytes of one layer: what is captured of it, and how long it was on the wire (never less)."""

    data: bytes
    length: int

    def skip(self, count: int) -> Part:
        """What follows a header of this size."""
        return Part(self.data[count:], max(0, self.length - count))

    def trim(self, length: int) -> Part:
        """What a length field leaves of it."""
        return Part(self.data[:length], min(self.length, length))

    def number(self, at: int, size: int = 2) -> int:
        """A big-endian number; raises Cut if it is not captured."""
        if at + size > len(self.data):
            raise Cut
        return int.from_bytes(self.data[at : at + size], "big")


class Cut(Exception):
    """A header is not wholly captured."""


class Space(Enum):
    """Number spaces that name a layer."""

    LINK = auto()
    ETHERTYPE = auto()
    PROTOCOL = auto()
    PORT = auto()


class Next(NamedTuple):
    """The layer inside this one."""

    space: Space
    number: int
    part: Part


class Network(NamedTuple):
    """The innermost IP header so far; addresses as bytes."""

    version: int
    src: bytes
    dst: bytes
    ttl: int
    ip_id: int
    checked_src: bytes = b""
    checked_dst: bytes = b""
    """Addresses that the checksum covers, where others than those of the header: home address, final destination."""


@dataclass(slots=True)
class Trail:
    """What was met on the way down one frame."""

    frame: int
    time_ns: int
    path: list[str] = field(default_factory=list)
    network: Network | None = None
    notes: int = 0
    branches: list[Next] = field(default_factory=list)
    """Where else the way leads on from an aggregate, with the same path as the first."""


def outside(path: Sequence[str]) -> str:
    """A path without its innermost IP header, which every segment has."""
    last = max(at for at, name in enumerate(path) if name in ("ipv4", "ipv6"))
    return "/".join([*path[:last], *path[last + 1 :]])


Handler = Callable[[Trail, Part], "Next | str"]
"""Takes one layer: what comes next, or (a word) why no TCP segment does."""

JUMBO, MOST_WITHOUT_JUMBO = 0xC2, 0xFFFF
"""The hop-by-hop option that tells the length of an IPv6 payload longer than its own field can (RFC 2675)."""
