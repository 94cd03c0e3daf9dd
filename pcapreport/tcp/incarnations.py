"""Where one connection of a 4-tuple ends and the next begins.

Almost every 4-tuple has one SYN with one number and needs no look; the few others are walked row by row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import PacketTable
from pcapreport.tcp import sequence
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN
from pcapreport.tcp.tuples import Grouping

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NEAR = 1 << 24
"""Numbers closer than this (16 MiB) to a flow's last one are taken as its continuation."""
MOST_ON_SYN = 1 << 16
"""A SYN carries less data than this (RFC 7413): a SYN-ACK may acknowledge so much more than the SYN."""

_MARKS = SYN | FIN | RST
_REFUSES = RST | ACK
"""With the number 0: a closed port's answer to a SYN (RFC 9293 3.10.7.1)."""


def split_incarnations(packets: PacketTable, groups: Grouping, lower: Bools) -> Ints:
    """Where in `groups.order` (rows of one 4-tuple each) another incarnation begins than the group's first.

    `lower`: per row of the packet table, which end sent it.
    """
    begins: list[int] = []
    starts, stops = _ambiguous(packets, groups, lower)
    sizes = stops - starts
    behind = np.cumsum(sizes)
    rows = groups.order[np.repeat(starts - behind + sizes, sizes) + np.arange(sizes.sum())]
    side = (~lower[rows]).astype(np.uint8).tolist()
    flags, seq, ack, length = (packets[name][rows].tolist() for name in ("flags", "seq", "ack", "payload_len"))
    for start, stop, size in zip(starts.tolist(), behind.tolist(), sizes.tolist(), strict=True):
        of_group = slice(stop - size, stop)
        walker = _Walker(flags[of_group], seq[of_group], ack[of_group], length[of_group], side[of_group])
        begins += [start + at for at in walker.walk()]
    return np.array(begins, np.int64)


def _ambiguous(packets: PacketTable, groups: Grouping, lower: Bools) -> tuple[Ints, Ints]:
    """(starts, stops) of the groups that hold a SYN beside the one that opened them.

    One right behind it from the other side only crosses it (a simultaneous open): no look is needed.
    """
    flags = packets["flags"][groups.order]
    syns = np.flatnonzero((flags & SYN) != 0)
    rows = groups.order[syns]
    start_of = groups.bounds[np.searchsorted(groups.bounds, syns, side="right") - 1]
    from_lower, seq = lower[rows], packets["seq"][rows]
    wanted = _renumbered(start_of * 2 + from_lower, seq)
    bare = np.flatnonzero((flags[syns] & ACK == 0) & (syns != start_of))
    opening = start_of[bare]
    crosses = (syns[bare] == opening + 1) & (flags[opening] & _MARKS == SYN)
    late = (flags[opening] & (SYN | ACK) != SYN) | (from_lower[bare] != lower[groups.order[opening]]) & ~crosses
    wanted[bare[late]] = True
    starts = np.union1d(start_of[wanted], _refused_again(packets, groups, lower, flags))
    return starts, groups.bounds[np.searchsorted(groups.bounds, starts, side="right")]


def _refused_again(packets: PacketTable, groups: Grouping, lower: Bools, flags: npt.NDArray[np.uint16]) -> Ints:
    """The starts of the groups in which a closed port refused SYNs of different numbers, or first asked itself."""
    resets = np.flatnonzero(flags & (SYN | FIN | _REFUSES) == _REFUSES)
    resets = resets[packets["seq"][groups.order[resets]] == 0]
    start_of = groups.bounds[np.searchsorted(groups.bounds, resets, side="right") - 1]
    again: Bools = _renumbered(start_of, packets["ack"][groups.order[resets]])
    again |= (flags[start_of] & (SYN | ACK) == SYN) & (lower[groups.order[resets]] == lower[groups.order[start_of]])
    starts: Ints = start_of[again]
    return starts


def _renumbered(flow: Ints, seq: npt.NDArray[np.uint32]) -> Bools:
    """Which SYNs have another number than the SYN before them of the same flow."""
    by_flow = np.argsort(flow, kind="stable")
    ordered, numbers = flow[by_flow], seq[by_flow]
    renumbered = np.zeros(len(flow), bool)
    renumbered[by_flow[1:][(ordered[1:] == ordered[:-1]) & (numbers[1:] != numbers[:-1])]] = True
    return renumbered


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
    """By side: the row that its numbers have come to."""
    over: bool = False
    fins: int = 0
    answered: bool = False
    asked_for: list[int | None] = field(default_factory=lambda: [None, None])
    """By side: the number of the SYN that its SYN-ACK answers."""

    refused: int | None = None
    """What the last RST of a closed port acknowledged."""

    def walk(self) -> list[int]:
        """The rows that begin another incarnation."""
        begins = []
        for i, flags in enumerate(self.flags):
            if not flags & _MARKS:
                self.last[self.side[i]] = i
                continue
            if flags & RST and self._refuses_another(i) or i and flags & SYN and self._begins_new(i):
                begins.append(i)
                self.isn, self.last = [None, None], [None, None]
                self.over, self.fins, self.answered, self.asked_for = False, 0, False, [None, None]
                self.refused = self.ack[i] if flags & RST else None
            self._note(i, flags)
        return begins

    def _refuses_another(self, i: int) -> bool:
        """A closed port's answer to a SYN that is not in the capture: not to the last one refused, nor to one seen."""
        if self.flags[i] & (SYN | FIN | _REFUSES) != _REFUSES or self.seq[i]:
            return False
        side, asked = self.side[i], self.refused
        self.refused = self.ack[i]
        if self._asked_for(1 - side, self.isn[1 - side], (self.ack[i] - 1) % sequence.MODULUS):
            return False
        if self.over:
            return asked is not None and asked != self.ack[i]
        last = self.last[side]
        return last is not None and bool(self.flags[last] & SYN) and self.last[1 - side] is None

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
            self.last[side] = i

    def _begins_new(self, i: int) -> bool:
        side, other = self.side[i], 1 - self.side[i]
        mine, theirs = self.isn[side], self.isn[other]
        if mine == self.seq[i]:
            return self.fins == 3 and self._answered_anew(i)  # else sent again
        if self._asked_for(side, self.seq[i], self.asked_for[other]):
            return False  # captured after the SYN-ACK that answers it
        if self.flags[i] & ACK:
            return self._answer_begins_new(i, mine, theirs)
        if mine is None and self.last[side] is None and theirs is not None and not self.answered and not self.over:
            return False  # the SYNs cross: a simultaneous open
        if self._taken_up(i):
            return True
        return self.over or not self._old_goes_on(i) and not self._challenged_in_vain(i)

    def _answer_begins_new(self, i: int, mine: int | None, theirs: int | None) -> bool:
        """A SYN-ACK with a number of its own: a new incarnation only where no SYN that was captured asked for it."""
        side = self.side[i]
        asked = self._asked_for(1 - side, theirs, (self.ack[i] - 1) % sequence.MODULUS)
        if asked or mine is None and self.last[side] is None:
            return False
        return self.over or not self._old_goes_on(i)

    def _asked_for(self, side: int, syn: int | None, answered: int | None) -> bool:
        """A SYN-ACK that acknowledges all up to `answered` answers that SYN of `side`; with the data on it, as long as
        `side` has sent nothing else."""
        if syn is None or answered is None:
            return False
        last = self.last[side]
        opening = last is None or self.flags[last] & SYN
        return syn == answered or bool(opening) and 0 <= sequence.distance(answered, syn) < MOST_ON_SYN

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

    def _answered_anew(self, i: int) -> bool:
        """The other side answers this SYN with another number than the old connection's, and is believed: it is no old
        duplicate, whose answer would be reset."""
        side, number = self.side[i], None
        for j in range(i + 1, len(self.flags)):
            flags, answers = self.flags[j], self.side[j] != side
            if number is None and flags & SYN:
                if not answers and self.seq[j] == self.seq[i]:
                    continue  # a copy, or sent again
                if not answers or not flags & ACK or self.seq[j] == self.isn[1 - side]:
                    return False
                number = self.seq[j]
            elif number is not None and not answers:
                return not flags & RST and self.ack[j] == (number + 1) % sequence.MODULUS
        return False

    def _old_goes_on(self, i: int) -> bool:
        """The side that seems to have sent this SYN goes on with the old connection's numbers, not with the SYN's."""
        side = self.side[i]
        last, following = self.last[side], self._next_plain[side][i]
        if last is None or following is None:
            return False
        behind_last = abs(sequence.distance(self.seq[following], self.seq[last] + self.length[last]))
        behind_syn = sequence.distance(self.seq[following], self.seq[i] + 1)
        return behind_last < NEAR and not 0 <= behind_syn < behind_last

    def _challenged_in_vain(self, i: int) -> bool:
        """The other side answered this SYN with an ACK of the old numbers (RFC 5961 section 4), and who had sent it
        neither reset that nor sent the SYN again: a third party's."""
        side, last = self.side[i], self.last[self.side[i]]
        challenge = self._next_plain[1 - side][i]
        if last is None or challenge is None or not self.flags[challenge] & ACK:
            return False
        old = abs(sequence.distance(self.ack[challenge], self.seq[last] + self.length[last])) < NEAR
        asks_on = any(self.side[j] == side and self.flags[j] & (SYN | RST) for j in range(i + 1, len(self.flags)))
        return old and not asks_on

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
