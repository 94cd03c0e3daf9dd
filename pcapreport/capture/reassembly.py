"""IP datagrams put together again from their fragments (RFC 791 section 3.2, RFC 8200 section 4.5)."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import NamedTuple

from pcapreport.capture.layers import Part

MAX_DATAGRAMS = 1_024
"""Datagrams in the making; beyond it the oldest is given up (an operating system keeps fewer)."""

MAX_DATAGRAM_BYTES = 65_535

MAX_PIECES = 2_048
"""More than a 64 KiB datagram over the smallest MTU of 68 bytes needs."""

MAX_AGE_NS = 60 * 1_000_000_000
"""How long the first fragment waits for the others (RFC 8200 section 4.5); identifications come round again."""


class Whole(NamedTuple):
    """A datagram's payload put together."""

    part: Part
    overlapping: bool
    """Fragments overlapped with other content (a copy of a fragment is no overlap); see RFC 5722, RFC 1858."""


@dataclass(slots=True)
class _Datagram:
    begun_ns: int
    pieces: dict[int, bytes] = field(default_factory=dict)
    covered: list[tuple[int, int]] = field(default_factory=list)
    """Stretches that the pieces cover, in order, none touching the next."""
    total: int | None = None
    overlapping: bool = False

    def add(self, offset: int, data: bytes) -> None:
        """Take in a piece; of two that begin at the same place the longer is kept, else the first."""
        known = self.pieces.get(offset)
        if known is not None and data.startswith(known[: len(data)]) and known.startswith(data[: len(known)]):
            self.overlapping |= len(known) != len(data)
            if len(known) >= len(data):
                return
        start, stop = offset, offset + len(data)
        first = bisect_left(self.covered, start, key=lambda stretch: stretch[1])
        last = first
        while last < len(self.covered) and self.covered[last][0] <= stop:
            self.overlapping |= self.covered[last][0] < stop and start < self.covered[last][1]
            start, stop = min(start, self.covered[last][0]), max(stop, self.covered[last][1])
            last += 1
        self.covered[first:last] = [(start, stop)]
        if known is None or len(known) < len(data):
            self.pieces[offset] = data

    def joined(self) -> bytes | None:
        """All bytes, or None while some are missing; where pieces overlap the earlier offset wins."""
        if self.total is None or not self.covered or self.covered[0][0] or self.covered[0][1] < self.total:
            return None
        whole = bytearray()
        for offset in sorted(self.pieces):
            whole += self.pieces[offset][len(whole) - offset :] if offset <= len(whole) else b""
        return bytes(whole[: self.total])


class Reassembly:
    """Fragments of all datagrams not yet complete."""

    def __init__(self) -> None:
        self._datagrams: OrderedDict[Hashable, _Datagram] = OrderedDict()

    def add(self, key: Hashable, time_ns: int, offset: int, last: bool, data: bytes) -> Whole | None:
        """Take in a wholly captured fragment at this byte offset; the payload once it is complete."""
        if offset + len(data) > MAX_DATAGRAM_BYTES:
            return None
        datagram = self._datagrams.get(key)
        if datagram is None or abs(time_ns - datagram.begun_ns) > MAX_AGE_NS or len(datagram.pieces) >= MAX_PIECES:
            datagram = self._datagrams[key] = _Datagram(time_ns)
        datagram.add(offset, data)
        if last:
            datagram.total = offset + len(data)
        whole = datagram.joined()
        if whole is not None:
            del self._datagrams[key]
            return Whole(Part(whole, len(whole)), datagram.overlapping)
        if len(self._datagrams) > MAX_DATAGRAMS:
            self._datagrams.popitem(last=False)
        return None
