"""What an endpoint took of the close that it was sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pcapreport.language import phrase
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN, Segment, View
from pcapreport.tcp.facts import (
    EARLIER,
    RECEIVED,
    SUPPOSED,
    Fact,
    Withdraw,
    arrival,
)
from pcapreport.tcp.moment import greatest
from pcapreport.tcp.states import Input

_NEVER_ACKNOWLEDGED = phrase("FIN sent {times} times, first in frame {frame}, and never acknowledged")


@dataclass
class Closing:
    """The other side's FIN and its ACK of the endpoint's, in the order of the peer's segments."""

    view: View
    withdraw: Withdraw

    def facts(self) -> Iterator[Fact]:
        """The other side's FIN and its ACK of ours, in the order of the peer's segments."""
        view = self.view
        my_fins = [s for s in view.own if s.flags & FIN]
        ack_of_mine = self._ack_of_my_fin(my_fins)
        ack = None if ack_of_mine is None else self._fact_of_ack(ack_of_mine)
        fins, shown = self._taken_fins()
        if not fins:
            if ack is not None:
                yield ack
            return
        acks_first = ack_of_mine is not None and self._before_fin(ack_of_mine, fins)
        if my_fins and not acks_first and self._brings_ack(fins, my_fins, shown):
            yield arrival(self.view, Input.RECEIVE_FIN_AND_ACK_OF_FIN, fins, shown)
            return
        fin = arrival(self.view, Input.RECEIVE_FIN, fins, shown)
        repeated = ack_of_mine is not None and fins[0].at < ack_of_mine.at < fins[-1].at
        repeated |= ack_of_mine is not None and not acks_first and self._held_up(fins[0], ack_of_mine)
        late = shown is not None and self._fin_instead_of_ack(view.own[shown], fins[0])
        if repeated or late or not self._own_fin_excluded or not self._nothing_queued(fins[0]):
            fin = fin._replace(certainty=SUPPOSED)
        if ack is not None and ack_of_mine is not None:
            # The peer's order decides between the two, whatever slot the clock suggests.
            if acks_first or ack_of_mine.at == fins[0].at:
                yield ack._replace(slot=min(ack.slot, fin.slot), order=EARLIER)
            else:
                if fin.certainty is SUPPOSED:  # the later of the two made the step, whichever that was
                    ack = ack._replace(latest=_later(ack.latest, fin.latest))
                fin = fin._replace(order=EARLIER)
                yield ack._replace(slot=max(ack.slot, fin.slot))
        yield fin

    def _fin_instead_of_ack(self, shown: Segment, fin: Segment) -> bool:
        """Its first sign of the peer's FIN is its own FIN, or behind that, later than any ACK waits: an ACK of the
        peer's FIN was lost or missed, and with it, perhaps, a first copy of its own FIN."""
        patience = self.view.opening_delay + self.view.settings.jitter_ns
        closed = shown.flags & FIN or any(s.flags & FIN and shown.seq >= s.end for s in self.view.own)
        return bool(closed) and shown.at > fin.at + patience

    def _low_acks(self, fin: Segment, since: int) -> Iterator[Segment]:
        """What it sent, having heard what passed at `since`, before it had the peer's FIN in order."""
        before = self.view.own[: self.view.first_ack(fin.end)]
        return (s for s in before if s.flags & (ACK | RST) == ACK and not s.unseen and s.at > since + self.view.delay)

    def _before_fin(self, ack: Segment, fins: Sequence[Segment]) -> bool:
        """The ACK of its FIN came first: it passed first, or the peer's FIN still had to wait for data before it."""
        view = self.view
        waits = any(not view.within_a_round_trip(ack.at, s.at) for s in self._low_acks(fins[0], ack.at))
        return ack.at < fins[0].at or waits or self._filled_after(ack, fins[0])

    def _filled_after(self, ack: Segment, fin: Segment) -> bool:
        """Data before the peer's FIN was missing behind the ACK: the endpoint said so, and the peer sent it then."""
        view = self.view
        before = view.own[: view.first_ack(fin.end)]
        missing = [s.ack for s in before if s.flags & (ACK | RST) == ACK and s.at > ack.at and not s.unseen]
        again = (s for s in view.peer if s.at > ack.at and s.length and not s.flags & (FIN | RST))
        return bool(missing) and any(s.seq <= missing[-1] < s.end for s in again)

    def _held_up(self, fin: Segment, ack: Segment) -> bool:
        """The peer's FIN waited for data before it; that it did so until after the ACK is not excluded."""
        return ack.at > fin.at and any(self._low_acks(fin, fin.at))

    @property
    def _own_fin_excluded(self) -> bool:
        """It cannot have sent a FIN that is not here: its SYN is, or data or a FIN sent since, and no number shows more
        than the capture holds."""
        view = self.view
        held = max((s.end for s in view.own if s.end > s.seq and not s.unseen), default=None)
        if held is None:
            return False
        reached = max((s.seq for s in view.own if not s.flags & RST), default=held)
        acked = max((s.ack for s in view.peer if s.flags & (ACK | RST) == ACK), default=0)
        return max(reached, acked) <= held

    def _nothing_queued(self, fin: Segment) -> bool:
        """It had not closed with data still to send when the peer's FIN arrived: it sent none afterwards, or had shown
        an empty queue by then (a close behind queued data is FIN-WAIT-1 long before the FIN is sent)."""
        later = [s for s in self.view.own if s.at >= fin.at]
        if not any(s.length for s in later):
            return True
        closed = min((s.end for s in self.view.own if s.flags & FIN), default=None)
        idle = (s for s in later if not s.length and not s.flags & (SYN | FIN | RST) and s.ack >= fin.end)
        return any(self.view.all_acked(s) and (closed is None or s.seq < closed) for s in idle)

    def _taken_fins(self) -> tuple[list[Segment], int | None]:
        """(copies of the peer's FIN that may have been taken, index of the own segment that shows it).

        No copy where X's later ACKs deny it, or where the peer repeated it and X never answered.
        """
        view = self.view
        fins = [s for s in view.peer if s.flags & FIN]
        if not fins:
            return [], None
        end = max(s.end for s in fins)
        fins = [s for s in fins if s.end == end]
        shown = view.first_ack(end)
        if shown is not None and view.own[shown].at >= fins[0].at:
            return view.not_denied(fins, end) or fins, shown
        if len(fins) > 1 and view.own:
            self.withdraw(_NEVER_ACKNOWLEDGED, fins[0], times=len(fins))
            return [], None
        return view.not_denied(fins[:1], end), None

    def _brings_ack(self, fins: Sequence[Segment], my_fins: Sequence[Segment], shown: int | None) -> bool:
        """The FIN that was taken acknowledges ours as well."""
        wanted = max(s.end for s in my_fins)
        before = [s for s in fins if shown is None or s.at <= self.view.own[shown].at] or fins[:1]
        return before[0].flags & ACK != 0 and before[0].ack >= wanted

    def _ack_of_my_fin(self, my_fins: Sequence[Segment]) -> Segment | None:
        """The segment that brought the ACK of its FIN: the first that it did not answer with the FIN again."""
        if not my_fins:
            return None
        view = self.view
        end = max(s.end for s in my_fins)
        resent = my_fins[-1].at
        earlier = None
        for segment in view.peer:
            acknowledges = segment.flags & ACK and not segment.flags & RST and segment.ack >= end
            if not acknowledges or segment.at < my_fins[0].at:
                continue
            if self._answered_by_nobody(segment):
                return earlier
            if segment.at + view.patience > resent:
                return segment
            earlier = segment
        return None

    def _answered_by_nobody(self, ack: Segment) -> bool:
        """A RST without ACK met an empty ACK: it had been gone when that arrived (RFC 9293 3.10.7.1)."""
        view = self.view
        answer = view.answer_to(ack)
        if ack.length or ack.flags & FIN or answer is None:
            return False
        at_once = view.at_once(ack.at, answer.at) and not any(ack.at < s.at < answer.at for s in view.peer)
        return answer.flags & (RST | ACK) == RST and answer.seq == ack.ack and at_once

    def _fact_of_ack(self, segment: Segment) -> Fact:
        view = self.view
        # If it was lost, one that came before the FIN could be sent again may have brought the same.
        until = segment.at + view.settings.shortest_rto_ns
        same = [s for s in view.peer if segment.at <= s.at <= until and s.flags & ACK and s.ack >= segment.ack]
        latest = view.latest_arrival(same[-1] if same else segment)
        slot = view.slot(segment)
        return Fact(slot, RECEIVED, Input.RECEIVE_ACK_OF_FIN, segment.earliest, latest, segment.frame, SUPPOSED)


def _later(a: int | None, b: int | None) -> int | None:
    """The later of two upper bounds, of which either may be open."""
    return None if a is None or b is None else greatest((a, b))
