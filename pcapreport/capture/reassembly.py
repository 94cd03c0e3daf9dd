"""IP datagrams put together again from their fragments (RFC 791 section 3.2, RFC 8200 section 4.5)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

from pcapreport.capture.layers import Part

MAX_DATAGRAMS = 1_024
"""Datagrams in the making; beyond it the oldest is given up (an operating system keeps fewer)."""

MAX_DATAGRAM_BYTES = 65_535

MAX_PIECES = 2_048
"""More than a 64 KiB datagram over the smallest MTU of 68 bytes needs."""

MAX_AGE_NS = 60 * 1_000_000_000
"""How long the first fragment waits for the others (RFC 8200 section 4.5); identifications come round again."""


@dataclass(slots=True)
class _Datagram:
    begun_ns: int
    pieces: dict[int, bytes] = field(default_factory=dict)
    held: int = 0
    total: int | None = None

    def joined(self) -> bytes | None:
        """All bytes, or None while some are missing; where pieces overlap the earlier offset wins."""
        if self.total is None or self.held < self.total:
            return None
        whole = bytearray()
        for offset in sorted(self.pieces):
            if offset > len(whole):
                return None
            whole += self.pieces[offset][len(whole) - offset :]
        return bytes(whole[: self.total]) if len(whole) >= self.total else None


class Reassembly:
    """Fragments of all datagrams not yet complete."""

    def __init__(self) -> None:
        self._datagrams: OrderedDict[Hashable, _Datagram] = OrderedDict()

    def add(self, key: Hashable, time_ns: int, offset: int, last: bool, data: bytes) -> Part | None:
        """Take in a wholly captured fragment at this byte offset; the payload once it is complete."""
        if offset + len(data) > MAX_DATAGRAM_BYTES:
            return None
        datagram = self._datagrams.get(key)
        if datagram is None or abs(time_ns - datagram.begun_ns) > MAX_AGE_NS or len(datagram.pieces) >= MAX_PIECES:
            datagram = self._datagrams[key] = _Datagram(time_ns)
        if offset not in datagram.pieces:
            datagram.pieces[offset] = data
            datagram.held += len(data)
        if last:
            datagram.total = offset + len(data)
        whole = datagram.joined()
        if whole is not None:
            del self._datagrams[key]
            return Part(whole, len(whole))
        if len(self._datagrams) > MAX_DATAGRAMS:
            self._datagrams.popitem(last=False)
        return None
