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

from pcapreport.capture.gather import Gather, Ints, groups
from pcapreport.capture.lanes import Lanes
from pcapreport.capture.layers import Network, Part
from pcapreport.capture.model import Capture
from pcapreport.capture.packet_table import Array

COLUMN = "checksum_state"
"""Under this name the states travel with the columns while a capture is read with checksums."""

WINDOW = 1 << 22
"""Bytes whose segments are summed at once; memory is a small multiple of it."""

_TCP = 6


class Checksum(IntEnum):
    """What is known of a segment's checksum."""

    UNKNOWN = 0
    """The segment is not wholly captured, or the checksums were not looked at."""
    GOOD = 1
    BAD = 2
    OFFLOAD = 3
    """Not filled in by the sending host; says nothing about the segment."""


Verdicts = npt.NDArray[np.uint8]


def verify_checksums(capture: Capture, offload_from: int = 3) -> Verdicts:
    """A Checksum for each row of the packet table.

    The capture must have been read with `checksums=True` (else all are UNKNOWN). A sender, as an address on one
    interface, of whose at least `offload_from` checksums none is right, offloads; so does a partial checksum.
    """
    table = capture.table
    if capture.checksums is None:
        return np.zeros(len(table), np.uint8)
    verdicts = capture.checksums.copy()
    names = ("interface", "src_hi", "src_lo", "encapsulation")
    if not (verdicts == Checksum.BAD).any():
        return verdicts
    keys = np.zeros(len(table), np.int64)
    for name in names:
        _, part = np.unique(table[name], return_inverse=True)
        _, keys = np.unique(keys * (int(part.max()) + 1) + part.reshape(-1), return_inverse=True)
    for _, rows in groups(keys.reshape(-1).astype(np.int64)):
        seen = verdicts[rows]
        if np.count_nonzero(seen) >= offload_from and not (seen == Checksum.GOOD).any():
            verdicts[rows[seen == Checksum.BAD]] = Checksum.OFFLOAD
    return verdicts


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
