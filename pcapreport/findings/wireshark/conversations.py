"""Rows of the packet table -> conversations as Wireshark has them.

Wireshark keeps one conversation for each 4-tuple, whatever VLAN or tunnel it came through, and begins another one
where a SYN has a sequence number that is not the base of its direction: its ISN, else one below its first sequence
number or the first acknowledgment by the other side, whichever comes first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, PacketTable, RowNote
from pcapreport.tcp.tuples import Grouping, group, tuples_of

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SYN, ACK = np.uint16(Flag.SYN), np.uint16(Flag.ACK)


class Conversations(NamedTuple):
    """`order`: (n,) rows of the packet table; conversation i is order[bounds[i]:bounds[i + 1]], in capture order."""

    order: Ints
    bounds: Ints
    side: npt.NDArray[np.uint8]
    """(n,) 0: the numerically lower endpoint sent it."""
    begun: Ints
    """Conversations that a SYN began on a 4-tuple already known."""
    undivided: Ints
    """Those that are a whole 4-tuple, into which only a walk can tell where others begin."""


def conversations_of(packets: PacketTable) -> Conversations:
    """All conversations of a capture."""
    tuples = tuples_of(packets)
    whole = group(tuples)
    side = (~tuples.lower[whole.order]).view(np.uint8)
    begin, odd = _beginnings(packets, whole, side)
    odd |= _unsound(packets, whole)
    begin = begin[~odd[_group_of(whole, begin)]]
    bounds = np.sort(np.concatenate([whole.bounds, begin]))
    return Conversations(
        whole.order,
        bounds,
        side,
        np.searchsorted(bounds, begin),
        np.searchsorted(bounds, whole.bounds[:-1][odd]),
    )


def _group_of(whole: Grouping, at: Ints) -> Ints:
    found: Ints = np.searchsorted(whole.bounds, at, side="right") - 1
    return found


def _unsound(packets: PacketTable, whole: Grouping) -> Bools:
    """Per group: a TCP header in it is longer than its segment, which Wireshark does not analyze."""
    odd = np.zeros(len(whole.bounds) - 1, bool)
    rows = np.flatnonzero(packets["notes"] & np.uint8(RowNote.BAD_DATA_OFFSET))
    if len(rows):
        odd[_group_of(whole, np.flatnonzero(np.isin(whole.order, rows)))] = True
    return odd


def _beginnings(packets: PacketTable, whole: Grouping, side: npt.NDArray[np.uint8]) -> tuple[Ints, Bools]:
    """(where a SYN begins another conversation; per group: only a walk can tell).

    Where only one side opens, the base of a SYN is the number of the SYN before it. Before the first SYN the first
    row tells it, if that is not a SYN-ACK of the same side and has a number of this direction.
    """
    odd = np.zeros(len(whole.bounds) - 1, bool)
    flags = packets["flags"][whole.order]
    opening = np.flatnonzero(flags & SYN)
    bare = (flags[opening] & ACK) == 0
    syns, answers = opening[bare], opening[~bare]
    first = whole.bounds[_group_of(whole, syns)]
    several = np.zeros(len(odd), bool)
    several[_group_of(whole, syns[syns != first])] = True
    kept = several[_group_of(whole, syns)]
    syns, first = syns[kept], first[kept]
    if not len(syns):
        return syns, odd
    of, seq = _group_of(whole, syns), packets["seq"][whole.order]
    leads = np.append(True, of[1:] != of[:-1])
    odd[of[~leads & (side[syns] != side[np.roll(syns, 1)])]] = True
    answered = np.zeros((len(odd), 2), bool)
    answered[_group_of(whole, answers), side[answers]] = True
    odd[of[answered[of, side[syns]]]] = True
    by_peer = side[first] != side[syns]
    odd[of[leads & by_peer & ((flags[first] & ACK) == 0)]] = True
    told = np.where(by_peer, packets["ack"][whole.order[first]], seq[first]) - np.uint32(1)
    base = np.where(leads, told, seq[np.roll(syns, 1)])
    return syns[(syns != first) & (seq[syns] != base)], odd
