"""What the array passes read of each row, and the row before it in either direction."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, PacketTable
from pcapreport.findings.wireshark.conversations import Bools, Conversations, Ints
from pcapreport.tcp import sequence

Numbers = npt.NDArray[np.uint32]

FIN, SYN, RST, ACK = (np.uint16(flag) for flag in (Flag.FIN, Flag.SYN, Flag.RST, Flag.ACK))
ROOM = 38
"""Bits that `Rows.reached` has for the unwrapped numbers of a conversation: 128 GiB each way. The rest of the 64 hold
the number of the conversation, 33 million of them: more than a table in memory has."""


class Rows(NamedTuple):
    """Arrays of n rows, those of a conversation together; all numbers raw but in `reached`.

    `own`, `peer`: the row before in the same and in the other direction, or -1. `reached`: the highest end of the
    direction up to and with this row, unwrapped, and above it the conversation's number, so that it never descends
    in `highest[side]`; its low 32 bits are the raw number. `next`, `peer_next`: the raw highest ends before the row,
    0 if there are none.
    """

    conversation: Ints
    start: Ints
    side: npt.NDArray[np.uint8]
    time_ns: Ints
    seq: Numbers
    ack: Numbers
    flags: npt.NDArray[np.uint16]
    length: Numbers
    window: Numbers
    end: Numbers
    own: Ints
    peer: Ints
    reached: Ints
    highest: tuple[Ints, Ints]
    next: Numbers
    peer_next: Numbers
    advances: Bools
    """The row sets a new highest end of its direction."""

    def has(self, flag: np.uint16) -> Bools:
        """Which rows have any of these flags."""
        found: Bools = (self.flags & flag) != 0
        return found


def rows_of(packets: PacketTable, conversations: Conversations) -> tuple[Rows, Bools]:
    """(the rows; which of them lie too far from the others of their direction for `reached` to hold)."""
    order, side = conversations.order, conversations.side
    sizes = np.diff(conversations.bounds)
    conversation = np.repeat(np.arange(len(sizes)), sizes)
    start = np.repeat(conversations.bounds[:-1], sizes)
    own, peer = _rows_before(side, start)
    seq, flags, length = packets["seq"][order], packets["flags"][order], packets["payload_len"][order]
    taken = length + ((flags & (SYN | FIN)) != 0)
    floor = conversation << ROOM
    ends = _unwrapped(seq, own, conversation * 2 + side)
    ends += taken
    far = np.abs(ends) >> (ROOM - 1) != 0
    ends += floor
    floor -= 1 << (ROOM - 1)
    highest = tuple(np.maximum.accumulate(np.where(side == way, ends, floor)) for way in (0, 1))
    reached = np.where(side == 0, *highest)
    before = reached[own]
    known = own >= 0
    advances = (ends > before) | ~known
    far |= known & (np.abs(ends - before) >= sequence.HALF)
    rows = Rows(
        conversation=conversation,
        start=start,
        side=side,
        time_ns=packets["time_ns"][order],
        seq=seq,
        ack=packets["ack"][order],
        flags=flags,
        length=length,
        window=packets["window"][order].astype(np.uint32),
        end=seq + taken.astype(np.uint32),
        own=own,
        peer=peer,
        reached=reached,
        highest=(highest[0], highest[1]),
        next=np.where(known, before, 0).astype(np.uint32),
        peer_next=np.where(peer >= 0, reached[peer], 0).astype(np.uint32),
        advances=advances,
    )
    return rows, far


def _rows_before(side: npt.NDArray[np.uint8], start: Ints) -> tuple[Ints, Ints]:
    """(the row before of the same side, of the other side), or -1."""
    rows = np.arange(len(side))
    latest = []
    for way in (0, 1):
        until = np.empty(len(side), np.int64)
        until[:1] = -1
        np.maximum.accumulate(np.where(side[:-1] == way, rows[:-1], -1), out=until[1:])
        until[until < start] = -1
        latest.append(until)
    return np.where(side == 0, *latest), np.where(side == 0, *latest[::-1])


def _unwrapped(seq: Numbers, own: Ints, flow: Ints) -> Ints:
    """The numbers of each direction unwrapped, its first one as it is, so that the low 32 bits are the raw number."""
    first = np.flatnonzero(own < 0)
    anchor = np.zeros(flow[-1] // 2 * 2 + 2, np.int64)
    anchor[flow[first]] = first
    base = seq[anchor]
    unwrapped = sequence.relative(seq, base, flow, anchor)
    unwrapped += base[flow]
    return unwrapped
