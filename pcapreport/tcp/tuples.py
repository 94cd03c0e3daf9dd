"""Rows of the packet table -> groups of one 4-tuple (of one IP version), both directions together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import PacketTable
from pcapreport.tcp import hashing
from pcapreport.tcp.hashing import Ints, Numbers

Bools = npt.NDArray[np.bool_]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_PORT_BITS = np.uint64(16)
_VERSION_6 = np.uint64(0xD6E8FEB86659FD93)
"""Parts IPv6 hashes from IPv4 ones."""


class Grouping(NamedTuple):
    """Rows of the packet table, group after group; those of one group in capture order."""

    order: Ints
    """(n,): rows."""
    bounds: Ints
    """(g + 1,): group i is order[bounds[i]:bounds[i + 1]]."""

    def of_each(self) -> Ints:
        """(n,): the group of each row of `order`."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))

    def rearranged(self, groups: Ints) -> Grouping:
        """The same groups in this order."""
        sizes = np.diff(self.bounds)[groups]
        bounds = _running(sizes)
        moved = np.repeat(self.bounds[:-1][groups] - bounds[:-1], sizes)
        moved += np.arange(len(moved))
        return Grouping(self.order[moved], bounds)


class Tuples(NamedTuple):
    """What the rows' 4-tuples are, the same for both directions but for `lower`."""

    lower: Bools
    """The numerically lower endpoint is the sender."""
    hashes: Numbers
    columns: list[Numbers]
    """Equal in all of these: the same 4-tuple."""


def endpoint_hash(packets: PacketTable) -> Numbers:
    """Per row a hash of its 4-tuple, the same for both directions and whatever other rows are in the table.

    So rows may be parted by it, and connections found in each part are numbered as if all had been together.
    """
    return tuples_of(packets).hashes


def tuples_of(packets: PacketTable) -> Tuples:
    """The 4-tuples of all rows."""
    src, dst = (_endpoints(packets, way, port) for way, port in (("src", "sport"), ("dst", "dport")))
    low, high = np.minimum(src, dst), np.maximum(src, dst)
    hashes = hashing.mixed([low, high])
    six = packets["ip_version"] != 4
    if not six.any():
        return Tuples(src <= dst, hashes, [low, high])
    hashes[six] ^= _VERSION_6
    lower = _lower_sends(packets)
    columns = [packets["ip_version"].astype(np.uint64)]
    for a, b in (("src_hi", "dst_hi"), ("src_lo", "dst_lo"), ("sport", "dport")):
        columns.append(np.where(lower, packets[a], packets[b]).astype(np.uint64))
        columns.append(np.where(lower, packets[b], packets[a]).astype(np.uint64))
    return Tuples(lower, hashes, columns)


def _endpoints(packets: PacketTable, way: str, port: str) -> Numbers:
    """One number of address and port: all of both for IPv4, so that it says which is lower; a hash for IPv6."""
    high, number = packets[f"{way}_hi"], packets[f"{way}_lo"]
    if high.any():
        number = number ^ high * _FACTOR
    rotated: Numbers = number << _PORT_BITS
    rotated |= number >> (np.uint64(64) - _PORT_BITS)
    rotated ^= packets[port]
    return rotated


def _lower_sends(packets: PacketTable) -> Bools:
    lower: Bools = packets["sport"] <= packets["dport"]
    for a, b in (("src_lo", "dst_lo"), ("src_hi", "dst_hi")):
        lower = (packets[a] < packets[b]) | ((packets[a] == packets[b]) & lower)
    return lower


def group(tuples: Tuples) -> Grouping:
    """Rows of one 4-tuple together, groups by ascending `endpoint_hash`."""
    order, differs = hashing.sorted_by(tuples.hashes)
    parted = _changes(tuples.columns, order)
    clashes = parted & ~differs
    if clashes.any():  # 4-tuples with (nearly) one hash: their rows are sorted by the 4-tuple itself
        run = np.concatenate([[0], np.cumsum(differs)])
        at = np.flatnonzero(np.isin(run, run[1:][clashes]))
        rows = order[at]
        order[at] = rows[np.lexsort([*(column[rows] for column in tuples.columns), tuples.hashes[rows]])]
        parted = _changes(tuples.columns, order)
    ends = [0, len(order)] if len(order) else [0]
    return Grouping(order, np.concatenate([ends[:1], np.flatnonzero(parted) + 1, ends[1:]]).astype(np.int64))


def _changes(columns: list[Numbers], order: Ints) -> Bools:
    """Per row of `order` but the first: it differs from the row before in any column."""
    differs = np.zeros(max(len(order) - 1, 0), bool)
    for column in columns:
        ordered = column[order]
        differs |= ordered[1:] != ordered[:-1]
    return differs


def _running(sizes: Ints) -> Ints:
    """Bounds of groups of these sizes."""
    bounds = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(sizes, out=bounds[1:])
    return bounds
