"""Where one connection of a 4-tuple ends and the next begins.

Almost every 4-tuple has one SYN with one number and needs no look; the few others are walked row by row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, PacketTable
from pcapreport.tcp import sequence
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN

Ints = npt.NDArray[np.int64]

NEAR = 1 << 24
"""Numbers closer than this (16 MiB) to a flow's last one are taken as its continuation."""


def split_incarnations(packets: PacketTable, order: Ints, group: Ints, lower: npt.NDArray[np.bool_]) -> Ints:
    """Per row of `order` (sorted by 4-tuple, then frame) the number of its incarnation within the 4-tuple."""
    part = np.zeros(len(order), np.int64)
    flags, seq = packets["flags"][order], packets["seq"][order]
    for start, stop in _ambiguous_groups(flags, seq, group, lower):
        rows = slice(start, stop)
        walker = _Walker(
            flags[rows].tolist(),
            seq[rows].tolist(),
            packets["ack"][order[rows]].tolist(),
            packets["payload_len"][order[rows]].tolist(),
            (~lower[rows]).astype(int).tolist(),
        )
        part[rows] = walker.walk()
    return part


def _ambiguous_groups(
    flags: npt.NDArray[np.uint16], seq: npt.NDArray[np.uint32], group: Ints, lower: npt.NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """(start, stop) of the groups that hold a SYN beside the one that opened them."""
    syns = np.flatnonzero((flags & Flag.SYN) != 0)
    if not len(syns):
        return []
    flow = group * 2 + lower
    by_flow = syns[np.argsort(flow[syns], kind="stable")]
    again = flow[by_flow][1:] == flow[by_flow][:-1]
    renumbered = by_flow[1:][again & (seq[by_flow][1:] != seq[by_flow][:-1])]
    bare = syns[(flags[syns] & Flag.ACK) == 0]
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    late = bare[~np.isin(bare, starts)]
    late = late[
        (flags[starts[group[late]]] & (Flag.SYN | Flag.ACK) != Flag.SYN) | (lower[late] != lower[starts[group[late]]])
    ]
    wanted = np.unique(np.concatenate([group[renumbered], group[late]]))
    ends = np.append(starts[1:], len(group))
    return [(int(starts[g]), int(ends[g])) for g in wanted]


@dataclass
class _Walker:
    """Walks the rows of one 4-tuple; `side` is 0 or 1, whichever end."""

    flags: list[int]
    seq: list[int]
    ack: list[int]
    length: list[int]
    side: list[int]
    isn: list[int | None] = field(default_factory=lambda: [None, None])
    last: list[int | None] = field(default_factory=lambda: [None, None])
    over: bool = False
    fins: int = 0
    answered: bool = False
    asked_for: list[int | None] = field(default_factory=lambda: [None, None])
    """By side: the number of the SYN that its SYN-ACK answers."""

    def walk(self) -> list[int]:
        """The incarnation number of each row."""
        parts, current = [], 0
        for i, flags in enumerate(self.flags):
            if flags & SYN and i and self._begins_new(i):
                current += 1
                self.isn, self.last = [None, None], [None, None]
                self.over, self.fins, self.answered, self.asked_for = False, 0, False, [None, None]
            self._note(i, flags)
            parts.append(current)
        return parts

    def _note(self, i: int, flags: int) -> None:
        side = self.side[i]
        if flags & SYN:
            if flags & ACK:
                self.answered = True
                self.asked_for[side] = (self.ack[i] - 1) % sequence.MODULUS
            if self.isn[side] is None or flags & ACK:
                self.isn[side] = self.seq[i]
        if flags & RST:
            self.over = True
            return
        if flags & FIN:
            self.fins |= 1 << side
            self.over |= self.fins == 3
        if not flags & SYN or self.isn[side] == self.seq[i]:
            self.last[side] = (self.seq[i] + self.length[i]) % sequence.MODULUS

    def _begins_new(self, i: int) -> bool:
        side, other = self.side[i], 1 - self.side[i]
        mine, theirs = self.isn[side], self.isn[other]
        if mine == self.seq[i] or self.asked_for[other] == self.seq[i]:
            return False  # sent again, or captured after the SYN-ACK that answers it
        if self.flags[i] & ACK:
            return self._answer_begins_new(i, mine, theirs)
        if mine is None and self.last[side] is None and theirs is not None and not self.answered and not self.over:
            return False  # the SYNs cross: a simultaneous open
        if self._taken_up(i):
            return True
        return self.over or not self._old_goes_on(i)

    def _answer_begins_new(self, i: int, mine: int | None, theirs: int | None) -> bool:
        """A SYN-ACK with a number of its own: a new incarnation only where no SYN asked for it."""
        if theirs is not None or mine is None and self.last[self.side[i]] is None:
            return False
        return self.over or not self._old_goes_on(i)

    def _taken_up(self, i: int) -> bool:
        """The other side answers this very SYN (SYN-ACK, or RST from a closed port)."""
        wanted, most = self.seq[i] + 1, self.length[i]
        for j in range(i + 1, len(self.flags)):
            flags = self.flags[j]
            if self.side[j] == self.side[i]:
                if flags & SYN and self.seq[j] != self.seq[i] and not flags & ACK:
                    return False
            elif flags & (SYN | RST) and flags & ACK and 0 <= sequence.distance(self.ack[j], wanted) <= most:
                return True
        return False

    def _old_goes_on(self, i: int) -> bool:
        """The side that seems to have sent this SYN goes on with the old connection's numbers."""
        side = self.side[i]
        last, following = self.last[side], self._next_plain[side][i]
        return last is not None and following is not None and abs(sequence.distance(self.seq[following], last)) < NEAR

    @cached_property
    def _next_plain(self) -> tuple[list[int | None], list[int | None]]:
        """Per side and row the next row of that side with neither SYN nor RST."""
        tables: tuple[list[int | None], list[int | None]] = ([], [])
        following: list[int | None] = [None, None]
        for i in range(len(self.flags) - 1, -1, -1):
            for side in (0, 1):
                tables[side].append(following[side])
            if not self.flags[i] & (SYN | RST):
                following[self.side[i]] = i
        return tables[0][::-1], tables[1][::-1]
