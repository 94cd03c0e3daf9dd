"""TCP checksums: whether they fit, and whether those that do not show corruption or a sender that offloads them.

Checked on request only, since on the host that sends they are usually not filled in yet. Linux then leaves the sum of
the pseudo header in the field, for the NIC to complete (CHECKSUM_PARTIAL, include/linux/skbuff.h); others leave what
was there. So a wrong checksum is called corruption only where the same sender also has right ones.
Source: RFC 9293 section 3.1, RFC 1071.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pcapreport.capture.gather import Gather, Ints
from pcapreport.capture.lanes import Lanes
from pcapreport.capture.layers import Network, Part
from pcapreport.capture.packet_table import Array, PacketTable

COLUMN = "checksum_state"
"""Under this name a capture read with checksums has a column more: a Checksum for each row, senders not compared."""

WINDOW = 1 << 22
"""Bytes whose segments are summed at once; memory is a small multiple of it."""

OFFLOAD_FROM = 3
"""A sender of fewer segments that are all wrong may offload or be unlucky; it is not excused."""

_TCP = 6
_SENDER = np.dtype([("interface", "u2"), ("src_hi", "u8"), ("src_lo", "u8"), ("encapsulation", "u2")])


class Checksum(IntEnum):
    """What is known of a segment's checksum."""

    UNKNOWN = 0
    """The segment is not wholly captured, or the checksums were not looked at."""
    GOOD = 1
    BAD = 2
    OFFLOAD = 3
    """Not filled in by the sending host; says nothing about the segment."""


Verdicts = npt.NDArray[np.uint8]


class Senders:
    """Who sent segments whose checksums were looked at: an address on one interface, under one encapsulation."""

    def __init__(self) -> None:
        self._known = np.empty(0, _SENDER)
        self._counts = np.empty((0, 2), np.int64)
        """(n, 2): segments looked at, and those whose checksums fit."""

    def add(self, table: PacketTable) -> None:
        """Take note of the rows of a table read with checksums."""
        states = table[COLUMN]
        seen = np.stack([states != Checksum.UNKNOWN, states == Checksum.GOOD], axis=1).astype(np.int64)
        both = np.concatenate([self._known, _senders_of(table)])
        self._known, owner = np.unique(both, return_inverse=True)
        counts = np.zeros((len(self._known), 2), np.int64)
        np.add.at(counts, owner.reshape(-1), np.concatenate([self._counts, seen]))
        self._counts = counts

    def offloading(self, least: int = OFFLOAD_FROM) -> npt.NDArray[np.void]:
        """Those of whose checksums, at least `least`, none is right: their network cards fill them in."""
        seen, good = self._counts.T
        chosen: npt.NDArray[np.void] = self._known[(seen >= least) & (good == 0)]
        return chosen


def verify_checksums(table: PacketTable, offloading: npt.NDArray[np.void]) -> Verdicts:
    """A Checksum for each row of a table of the capture whose `offloading` senders are given.

    All are UNKNOWN unless the capture was read with `checksums=True`. What does not fit is called OFFLOAD where its
    sender offloads, and where it is the partial sum that Linux leaves to the network card; else BAD.
    """
    if COLUMN not in table.columns:
        return np.zeros(len(table), np.uint8)
    verdicts = table[COLUMN].copy()
    verdicts[(verdicts == Checksum.BAD) & np.isin(_senders_of(table), offloading)] = Checksum.OFFLOAD
    return verdicts


def _senders_of(table: PacketTable) -> npt.NDArray[np.void]:
    senders = np.empty(len(table), _SENDER)
    for name in _SENDER.names or ():
        senders[name] = table[name]
    return senders


def check_one(network: Network, part: Part) -> Checksum:
    """The checksum of one segment."""
    if len(part.data) < part.length:
        return Checksum.UNKNOWN
    data = part.data + bytes(len(part.data) & 1)
    addresses = (network.checked_src or network.src) + (network.checked_dst or network.dst)
    pseudo = _words(addresses) + _TCP + part.length
    return _state(_words(data) + pseudo, pseudo, _words(addresses) + _TCP, int.from_bytes(data[16:18], "big"))


def _words(data: bytes) -> int:
    return int(np.frombuffer(data, ">u2").sum(dtype=np.int64))


def _state(total: int, pseudo: int, without_length: int, field: int) -> Checksum:
    totals = (np.array([number], np.int64) for number in (total, pseudo, without_length, field))
    return Checksum(int(_states(*totals)[0]))


def _states(total: Ints, pseudo: Ints, without_length: Ints, field: Ints) -> Verdicts:
    """Sums of whole segments, and of their pseudo headers with and without the length (as Windows leaves it)."""
    partial = (field == _folded(pseudo)) | (field == _folded(without_length))
    states = np.where(partial, np.uint8(Checksum.OFFLOAD), np.uint8(Checksum.BAD))
    states[_folded(total) == 0xFFFF] = Checksum.GOOD
    return states


def _folded(total: Ints) -> Ints:
    """16-bit ones' complement sum."""
    for _ in range(4):
        total = (total & 0xFFFF) + (total >> 16)
    return total


def check_many(gather: Gather, lanes: Lanes, columns: Mapping[str, Array]) -> Verdicts:
    """The checksums of segments that begin at these positions."""
    states = np.zeros(len(lanes), np.uint8)
    rows = np.flatnonzero((lanes.end >= lanes.wire_end) & (lanes.wire_end <= gather.size))
    if not len(rows):
        return states
    rows = rows[np.argsort(lanes.at[rows], kind="stable")]
    start, stop = lanes.at[rows], lanes.wire_end[rows]
    without_length = np.full(len(rows), _TCP, np.int64)
    for name in ("src_hi", "src_lo", "dst_hi", "dst_lo"):
        number = columns[name][rows]
        for shift in (48, 32, 16, 0):
            without_length += (number >> np.uint64(shift) & np.uint64(0xFFFF)).astype(np.int64)
    pseudo = without_length + (stop - start)
    total = pseudo + _sums(gather, start, stop)
    states[rows] = _states(total, pseudo, without_length, columns["checksum"][rows].astype(np.int64))
    return states


def _sums(gather: Gather, start: Ints, stop: Ints) -> Ints:
    """Sums of the big-endian 16-bit words between these positions, which ascend; an odd byte is padded with zero."""
    sums = np.zeros(len(start), np.int64)
    first = 0
    while first < len(start):
        begin = int(start[first])
        last = max(first + 1, int(np.searchsorted(start, begin + WINDOW)))
        rows = slice(first, last)
        window = gather.span(begin, int(stop[rows].max()))
        # Running sums over bytes at even and at odd places; a segment's words are differences of these.
        even, odd = (np.concatenate([[0], np.cumsum(window[at::2], dtype=np.int64)]) for at in (0, 1))
        a, b = start[rows] - begin, stop[rows] - begin
        on_even = even[(b + 1) >> 1] - even[(a + 1) >> 1]
        on_odd = odd[b >> 1] - odd[a >> 1]
        high = np.where(a & 1, on_odd, on_even)
        sums[rows] = 256 * high + (on_even + on_odd - high)
        first = last
    return sums
