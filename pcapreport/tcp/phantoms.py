"""Segments that the capture does not hold but that others prove: an ACK for what no captured segment carried.

Of each side at most four are added, those that can change a state: its SYN, the first segment behind the handshake,
its FIN, and what acknowledged the other side's FIN together with it. Each stands 1 ns before the segment that proves
it (its witness) and has a window of time instead of a moment: from `since` to `at`.

That a number was acknowledged is certain; whether its last octet was data or a FIN is not. It is taken for a FIN where
the numbers end with it and it came alone, or where nothing of that side was captured and the receiver closed as well:
histories built on it are supposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from pcapreport.settings import Settings
from pcapreport.tcp.evidence import ACK, FIN, FOREIGN, RST, SYN, Segment, handshake_round_trip, of_this_connection


def with_unseen(segments: Sequence[Segment], settings: Settings) -> list[Segment]:
    """Both sides' segments in tap order, with those that they prove."""
    sides = [of_this_connection([s for s in segments if s.side == side]) for side in (0, 1)]
    unseen = [made for side in (0, 1) for made in _Unseen(side, sides[side], sides[1 - side], settings).all()]
    if not unseen:
        return list(segments)
    place = {id(s): i for i, s in enumerate(segments)}
    keyed = [(place[id(witness)], order, made) for order, (made, witness) in enumerate(unseen)]
    before: dict[int, list[Segment]] = {}
    for where, _, made in sorted(keyed, key=lambda item: item[:2]):
        before.setdefault(where, []).append(made)
    return [s for i, own in enumerate(segments) for s in (*before.get(i, ()), own)]


class _Unseen:
    """What one side must have sent beside its captured segments; `heard`: the other side's, which prove it."""

    def __init__(self, side: int, sent: list[Segment], heard: list[Segment], settings: Settings) -> None:
        self.side = side
        self.settings = settings
        self.sent = [s for s in sent if not s.flags & RST]
        self.heard = [s for s in heard if s.flags & ACK and not s.flags & RST]
        self.asked = [s for s in heard if s.flags & SYN]
        self.theirs = heard
        first = self.sent[0].seq if self.sent else 0
        self.held = max((s.end for s in self.sent if s.end > s.seq), default=first)
        """Up to where the capture holds what it sent."""

    def all(self) -> list[tuple[Segment, Segment]]:
        """(segment, its witness), in the order sent."""
        if not self.heard or not (self.asked or self.sent):
            return []
        found = [self._syn(), self._first(), self._ack_of_fin(), self._earlier_fin() or self._fin()]
        return [item for item in found if item is not None]

    def _made(self, witness: Segment, since: int | None, flags: int, seq: int, end: int, ack: int) -> Segment:
        length = end - seq - bool(flags & SYN) - bool(flags & FIN)
        at = witness.at - 2 + bool(flags & FIN)  # ns, so that what the witness brings comes after it
        return Segment(at, witness.frame, self.side, flags, seq, end, ack, length, 1, since, True, bool(flags & FIN))

    def _syn(self) -> tuple[Segment, Segment] | None:
        """Its SYN-ACK, where the other side sent a SYN and later an ACK for this side's; or its SYN, where the other
        side answered that with its own SYN as SYN-ACK (a simultaneous open)."""
        if any(s.flags & SYN for s in self.sent) or not self.asked or not self.asked[0].is_syn:
            return None
        crossed = next((s for s in self.asked if s.is_syn_ack), None)
        witness = crossed or next((s for s in self.heard if s.ack >= 1), None)
        if witness is None:
            return None
        if crossed is not None:
            return self._made(witness, None, SYN, 0, 1, 0), witness
        return self._made(witness, self.asked[0].at, SYN | ACK, 0, 1, max(s.end for s in self.asked)), witness

    def _first(self) -> tuple[Segment, Segment] | None:
        """Its first segment behind the handshake, where none was captured before the other side had got one."""
        if not self.asked:
            return None
        witness = next((s for s in self.heard if not s.flags & SYN and self._shows_more(s)), None)
        if witness is None or any(s.at <= witness.at and not s.flags & SYN for s in self.sent):
            return None
        since = next((s.at for s in self.theirs if s.flags & (SYN | ACK) == SYN | ACK), None)
        if since is None:
            since = self.asked[0].at
        if witness.ack > 1 and (self._shown_fin is None or self._shown_fin[0] != witness.ack):
            return self._made(witness, since, ACK, 1, witness.ack, 1), witness
        return self._made(witness, since, ACK, 1, 1, 1), witness

    def _shows_more(self, segment: Segment) -> bool:
        """It is only sent to one who has sent more than a SYN."""
        answers = [s for s in self.asked if s.flags & ACK]
        if not answers:
            return segment.ack > 1
        if segment.ack > answers[0].ack:
            return True
        fast_open = answers[0].ack > 1  # such a listener sends data, even its FIN, before the third segment (RFC 7413)
        return not fast_open and (segment.length > 0 or bool(segment.flags & FIN))

    @cached_property
    def _shown_fin(self) -> tuple[int, Segment, Segment] | None:
        """(the number behind a FIN of its own that was not captured, the witness, the sign before that).

        Signs are the other side's ACKs, and its own numbers: an empty segment stands behind all that went before.
        """
        if any(s.flags & FIN for s in self.sent):
            return None
        signs = [(s, s.ack) for s in self.heard] + [(s, s.seq) for s in self.sent]
        signs.sort(key=lambda sign: sign[0].at)
        last = max(number for _, number in signs)
        where = next(i for i, (_, number) in enumerate(signs) if number == last)
        if last <= max(self.held, 1) or not where:
            return None
        witness, before = signs[where][0], signs[where - 1][0]
        if before.side == self.side and self._keeps_alive(before, last):
            return None
        alone = last - max(self.held, *(number for _, number in signs[:where])) == 1
        closed = not self.sent and any(s.flags & FIN and s.at <= witness.at for s in self.theirs)
        return (last, witness, before) if alone or closed else None

    def _keeps_alive(self, probe: Segment, number: int) -> bool:
        """An empty segment without news, one below the number that its peer answers with, where nothing shows what it
        had sent by then: a keep-alive rather than the octet before a FIN (RFC 9293 3.8.4)."""
        unknown = not self.asked and all(s.end == s.seq for s in self.sent)
        news = any(s.ack < probe.ack for s in self.sent if s.at < probe.at)
        return unknown and not news and not probe.length and probe.seq == number - 1

    def _earlier_fin(self) -> tuple[Segment, Segment] | None:
        """Its FIN, where the other side acknowledged it before the copies that were captured passed."""
        fin = next((s for s in self.sent if s.flags & FIN), None)
        witness = None if fin is None else next((s for s in self.heard if s.ack >= fin.end), None)
        if fin is None or witness is None or witness.at >= fin.at or witness.ack >= FOREIGN:
            return None
        made = self._made(witness, None, FIN | ACK, fin.end - 1, fin.end, min(fin.ack, self._knew(witness)))
        return made._replace(guessed=False), witness

    def _fin(self) -> tuple[Segment, Segment] | None:
        if self._shown_fin is None:
            return None
        end, witness, before = self._shown_fin
        return self._made(witness, before.at, FIN | ACK, end - 1, end, self._knew(witness)), witness

    def _ack_of_fin(self) -> tuple[Segment, Segment] | None:
        """An ACK of the other side's FIN: its own FIN came later than a delayed ACK can have waited, or the other side
        did not repeat its FIN when it should have."""
        way = handshake_round_trip(self.theirs)
        fins = [s for s in self.theirs if s.flags & FIN]
        if self._shown_fin is None or way is None or not fins or any(s.ack >= fins[0].end for s in self.sent):
            return None
        fin, (end, witness, _) = fins[-1], self._shown_fin
        if witness.at - fin.at >= way + self.settings.jitter_ns // 2:
            return self._made(witness, fin.at, ACK, end - 1, end - 1, fin.end), witness
        if self._knew(witness) >= fin.end:
            return None
        later = next((s for s in self.heard if s.at - fin.at >= way + self.settings.shortest_rto_ns), None)
        return None if later is None else (self._made(later, fin.at, ACK, end, end, fin.end), later)

    def _knew(self, witness: Segment) -> int:
        """What it acknowledged with its FIN: the other side's FIN too, if that had the time to come and go."""
        known = max((s.end for s in self.theirs if not s.flags & (FIN | RST) and s.at <= witness.at), default=1)
        fin = next((s for s in self.theirs if s.flags & FIN), None)
        if fin is None or fin.at >= witness.at:
            return known
        opener = any(s.is_syn for s in self.theirs)  # who accepts may have thought before its first segment
        way = handshake_round_trip(self.theirs) if opener else None
        return fin.end if way is None or 8 * (witness.at - fin.at) >= 7 * way else fin.end - 1
