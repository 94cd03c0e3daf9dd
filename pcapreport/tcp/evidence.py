"""What the segments of a connection show, in each endpoint's own order of events.

The tap's order is not the endpoint's: a segment on its way to X passes the tap before X acts on it, and X's segments
pass it after X sent them. Two facts put them in X's order. An acknowledgment number of X tells exactly which of the
other side's bytes X had when it sent it. And X's answer to what passed the tap at t cannot pass before
t + (round trip from the tap to X and back), of which the quickest exchange seen is the measure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from pcapreport.capture.packet_table import Flag
from pcapreport.settings import Settings
from pcapreport.tcp.moment import greatest, least

SYN, ACK, FIN, RST = Flag.SYN, Flag.ACK, Flag.FIN, Flag.RST
D_SACK = 1 << 9
"""A mark beside the header's flags: the segment reports that what it acknowledges had come before (RFC 2883)."""
FORGED, GENUINE = 1 << 10, 1 << 11
"""More such marks: what its supposed sender cannot have sent, or not then, and a RST that looks like its own
(forgery.py)."""
FOREIGN = 1 << 30
"""A relative number further off than this belongs to another incarnation (no window reaches that far: RFC 7323 2.2)."""


class Segment(NamedTuple):
    """One segment at the tap; numbers relative to the ISNs, `end` past the last byte, SYN or FIN; time in ns."""

    at: int
    frame: int
    side: int
    flags: int
    seq: int
    end: int
    ack: int
    length: int
    window: int
    since: int | None = None
    """Of an unseen segment: when it can have been sent first; None where nothing tells."""
    unseen: bool = False
    """The capture does not hold it, `frame` and `at` are those of the segment that proves it (see phantoms.py)."""
    guessed: bool = False
    """That it was a FIN, not an octet of data, is a guess."""

    @property
    def earliest(self) -> int | None:
        """When it passed the tap, or can have passed it first."""
        return self.since if self.unseen else self.at

    @property
    def is_syn(self) -> bool:
        """SYN without ACK."""
        return self.flags & (SYN | ACK) == SYN

    @property
    def is_syn_ack(self) -> bool:
        """SYN with ACK."""
        return self.flags & (SYN | ACK) == SYN | ACK


class View:
    """A connection as one endpoint X took part in it: its own segments, the peer's, and when the one met the other."""

    def __init__(self, side: int, segments: Sequence[Segment], until: int, settings: Settings) -> None:
        """`segments`: of both sides in tap order. Those with another incarnation's numbers are left out. `until`: the
        capture's end, ns."""
        mine = of_this_connection([s for s in segments if s.side == side and not s.flags & FORGED])
        self.not_sent = [s for s in segments if s.side == side and s.flags & FORGED]
        """In its name, but not its own."""
        self.side = side
        self.until = until
        self.settings = settings
        self.own = mine
        self.peer = of_this_connection([s for s in segments if s.side != side])
        self.times = [s.at for s in mine]
        samples = self._round_trips()
        self.round_trip = least(samples) if samples else None
        """Tap to X and back, ns: the quickest answer seen; None without a sample."""
        self.delay = 0 if self.round_trip is None else self.round_trip
        self.slowest = greatest(samples) if samples else handshake_round_trip(mine)
        """The slowest answer seen, else all the way there and back: no segment of X took longer from X to the tap, as
        far as the capture shows; None if it shows nothing."""
        self.patience = self.delay + settings.jitter_ns
        """After this long without a trace of it, a segment that passed towards X did not take effect."""

    def _round_trips(self) -> list[int]:
        """Delays from a segment that asks for an ACK to the first one of X that covers it.

        None where it had been sent again by then (Karn's rule), unless there are only such; then from the last copy.
        """
        sent: dict[int, list[int]] = {}
        for segment in self.peer:
            if segment.end > segment.seq and not segment.flags & RST and not segment.unseen:
                number = segment.seq + 1 if segment.flags & SYN else segment.end  # its data may not be sent again
                sent.setdefault(number, []).append(segment.at)
        samples: list[int] = []
        repeated: list[int] = []
        acks = [s for s in self.own if s.flags & ACK and not s.unseen]
        at = 0
        for end in sorted(sent):
            while at < len(acks) and acks[at].ack < end:
                at += 1
            if at == len(acks):
                break
            copies = [time for time in sent[end] if time <= acks[at].at]
            if copies:
                (samples if len(copies) == 1 else repeated).append(acks[at].at - copies[-1])
        return samples or repeated

    def _acks(self, index: int, number: int) -> bool:
        own = self.own[index]
        return bool(own.flags & ACK) and own.ack >= number

    @cached_property
    def opening_delay(self) -> int:
        """How long X took to answer the other side's SYN, ns; without a handshake the quickest answer seen."""
        syn = next((s for s in self.peer if s.flags & SYN and not s.unseen), None)
        answer = next((s for s in self.own if syn is not None and s.ack >= 1 and s.at >= syn.at), None)
        return self.delay if syn is None or answer is None else answer.at - syn.at

    @property
    def beside_tap(self) -> bool:
        """X answers so fast that it must be the host the capture was made on: what passes the tap does arrive."""
        return self.round_trip is not None and self.round_trip < self.settings.beside_tap_ns

    def within_a_round_trip(self, since: int, at: int, slack: int = 0) -> bool:
        """What passed at `at` can have been X's prompt answer to what passed at `since`, or sent before that came: a
        quarter of the quickest round trip, and `slack` ns, are allowed for the path's moods."""
        return 4 * (at - since) <= 5 * self.delay + 4 * slack

    def at_once(self, since: int, at: int) -> bool:
        """X's stack may have answered by itself, without an application or a timer."""
        return self.within_a_round_trip(since, at, self.settings.jitter_ns // (50 if self.beside_tap else 10))

    def slot(self, arrival: Segment) -> int:
        """Index of X's first own segment that can have been sent after `arrival` reached X."""
        return bisect_left(self.times, arrival.at if arrival.unseen else arrival.at + self.delay)

    @cached_property
    def last_alive(self) -> int:
        """Index of the last own segment but RST; -1 without. One that acknowledges less than an earlier one does not
        count: the network held it up, or sent it twice."""
        last, acked = -1, -FOREIGN
        for index, segment in enumerate(self.own):
            if segment.flags & RST:
                continue
            if not segment.flags & ACK or segment.ack >= acked:
                last = index
            if segment.flags & ACK:
                acked = max(acked, segment.ack)
        return last

    def answer_to(self, segment: Segment) -> Segment | None:
        """X's first segment that can be its answer: not much sooner than the quickest round trip."""
        return next((own for own in self.own if 4 * (own.at - segment.at) >= 3 * self.delay), None)

    def first_ack(self, number: int) -> int | None:
        """Index of X's first segment that acknowledges `number`."""
        for index in range(len(self.own)):
            if self._acks(index, number):
                return index
        return None

    def not_denied(self, arrivals: Sequence[Segment], number: int) -> list[Segment]:
        """Without those that X denies: an ACK below `number`, which they would have raised, came too late after."""
        low = [s.at for s in self.own if s.flags & (ACK | RST) == ACK and s.ack < number and not s.unseen]
        return [s for s in arrivals if not low or self.at_once(s.at, low[-1])]

    def unheard(self, since: int) -> bool:
        """The peer repeated data or its FIN after `since` and X never answered: what passed towards X seems not to
        arrive."""
        newest = 0
        for segment in self.peer:
            if segment.at >= since and (segment.length or segment.flags & FIN):
                if segment.end <= newest:
                    return True
                newest = segment.end
        return False

    def all_acked(self, own: Segment) -> bool:
        """The other side had acknowledged, with room to send more, all that went before `own`."""
        known = bisect_right(self.peer_times, own.at - self.delay)
        before = next((s for s in reversed(self.peer[:known]) if s.flags & ACK), None)
        in_order = own.seq >= self.sent_until[bisect_left(self.times, own.at)]
        return before is not None and before.ack >= own.seq and before.window > 0 and in_order

    @cached_property
    def sent_until(self) -> list[int]:
        """Before each own segment, and after the last: the end of what it had sent."""
        return [0, *accumulate((s.end if not s.flags & RST else 0 for s in self.own), max)]

    @cached_property
    def peer_times(self) -> list[int]:
        """When each segment of the peer passed."""
        return [s.at for s in self.peer]

    def latest_arrival(self, arrival: Segment) -> int | None:
        """By when `arrival` had reached X if nothing held it up (an estimate); None if the path was never measured."""
        if arrival.unseen:
            return arrival.at
        if self.round_trip is None:
            return None
        slack = 4 * self.settings.beside_tap_ns if self.beside_tap else self.settings.jitter_ns // 20
        return arrival.at + 2 * self.round_trip + slack


def handshake_round_trip(sent: Sequence[Segment]) -> int | None:
    """From a side's last SYN to its next segment but SYN, that is all the way there and back at least, ns."""
    syn = next((s for s in reversed(sent) if s.flags & SYN), None)
    answer = next((s for s in sent if s.flags & (SYN | ACK | RST) == ACK and not s.unseen), None)
    return None if syn is None or answer is None or syn.unseen or answer.at < syn.at else answer.at - syn.at


def of_this_connection(sent: list[Segment]) -> list[Segment]:
    """One side's segments without those of another incarnation: sent before its SYN, or numbered below or far off it.

    A SYN with another number than the first (stray or forged), or beside FIN or RST, is left out as well.
    """
    sane = [s for s in sent if not s.flags & SYN or s.seq == 0 and not s.flags & (FIN | RST)]
    first_syn = next((i for i, s in enumerate(sane) if s.flags & SYN), None)
    if first_syn is None:
        return [s for s in sane if abs(s.seq) < FOREIGN or s.flags & RST]
    return [s for i, s in enumerate(sane) if s.flags & (SYN | RST) or i > first_syn and 0 <= s.seq < FOREIGN]


def without_false_acks(segments: list[Segment], settings: Settings) -> list[Segment]:
    """Without segments that acknowledge more than the other side ever sent, as its peer's later ACKs show: a third
    party's (RFC 9293 3.10.7.4 answers them with an ACK and drops them; RFC 5961 section 5)."""
    false: set[int] = set()
    for side in (0, 1):
        sent = max((s.end for s in segments if s.side == side and not s.flags & RST), default=None)
        acks = [s for s in segments if s.side != side and s.flags & (ACK | RST) == ACK and abs(s.ack) < FOREIGN]
        for ack in (s for s in acks if sent is not None and s.ack > sent):
            if any(s.ack < ack.ack and s.at > ack.at + settings.jitter_ns for s in acks):
                false.add(id(ack))
    return [s for s in segments if id(s) not in false] if false else segments
