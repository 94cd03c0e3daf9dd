"""IP datagrams put together again from their fragments (RFC 791 section 3.2, RFC 8200 section 4.5)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

from pcapreport.capture.layers import Part

MAX_DATAGRAMS = 1_024
"""Datagrams in the making; beyond it the oldest is given up (an operating system keeps fewer)."""

MAX_DATAGRAM_BYTES = 65_535


@dataclass(slots=True)
class _Datagram:
    pieces: dict[int, bytes] = field(default_factory=dict)
    total: int | None = None

    def joined(self) -> bytes | None:
        """All bytes, or None while some are missing; where pieces overlap the earlier offset wins."""
        if self.total is None:
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

    def add(self, key: Hashable, offset: int, last: bool, data: bytes) -> Part | None:
        """Take in a wholly captured fragment at this byte offset; the payload once it is complete."""
        if offset + len(data) > MAX_DATAGRAM_BYTES:
            return None
        datagram = self._datagrams.setdefault(key, _Datagram())
        datagram.pieces.setdefault(offset, data)
        if last:
            datagram.total = offset + len(data)
        whole = datagram.joined()
        if whole is not None:
            del self._datagrams[key]
            return Part(whole, len(whole))
        if len(self._datagrams) > MAX_DATAGRAMS:
            self._datagrams.popitem(last=False)
        return None
