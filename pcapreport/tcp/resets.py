"""Which of the resets that an endpoint was sent ended it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pcapreport.language import phrase
from pcapreport.tcp.evidence import ACK, FIN, RST, Segment, View
from pcapreport.tcp.facts import (
    RESET,
    SUPPOSED,
    Fact,
    Withdraw,
)
from pcapreport.tcp.states import Input

_WENT_ON = phrase("the RST in frame {frame} did not end it: it went on in frame {later} (lost, or ignored: RFC 5961)")


@dataclass
class Resets:
    """The first RST that it may have taken and after which it sent nothing but RST."""

    view: View
    withdraw: Withdraw

    def facts(self) -> Iterator[Fact]:
        """The first RST that it may have taken and after which it sent nothing but RST."""
        view = self.view
        alive = [s for s in view.own if not s.flags & RST]
        last_alive = view.own[view.last_alive] if view.last_alive >= 0 else None
        told = False
        for segment in view.peer:
            if not segment.flags & RST or not self._acceptable_rst(segment):
                continue
            if last_alive is None or last_alive.at < segment.at + view.patience:
                yield self._fact_of_rst(segment, last_alive)
                return
            if not told:
                after = next(s for s in alive if s.at >= segment.at + view.patience)
                self.withdraw(_WENT_ON, segment, after)
                told = True

    def _fact_of_rst(self, rst: Segment, last_alive: Segment | None) -> Fact:
        """The first RST that can have ended it did, or else one that came after its last sign of life."""
        view = self.view
        again = rst
        if last_alive is not None and last_alive.at > rst.at:
            later = (s for s in view.peer if s.flags & RST and s.at > last_alive.at and self._acceptable_rst(s))
            again = next(later, rst)
        taken = rst
        if last_alive is not None and not view.within_a_round_trip(rst.at, last_alive.at):
            taken = again
        earliest, latest = self._alive_until(rst), view.latest_arrival(again)
        return Fact(self._slot_of_rst(taken), RESET, Input.RECEIVE_RST, earliest, latest, taken.frame, SUPPOSED)

    def _slot_of_rst(self, segment: Segment) -> int:
        """After all that it sent before the RST can have had its effect; RSTs of its own may answer it."""
        view = self.view
        slot = bisect_left(view.times, segment.at + view.patience)
        while slot and view.own[slot - 1].flags & RST and view.own[slot - 1].at >= segment.at + view.delay:
            slot -= 1
        return slot

    def _alive_until(self, rst: Segment) -> int | None:
        """From when on it may have been gone: with the RST, or before if it had left the peer without an answer."""
        view = self.view
        heard = bisect_right(view.times, rst.at)
        if not heard:
            return rst.at
        last, newest = view.own[heard - 1].at, 0
        for segment in view.peer:
            if segment.at >= rst.at - view.patience:
                break
            asks = segment.end > segment.seq or segment.seq < newest
            if asks and segment.at > last and not segment.flags & RST:
                return last
            newest = max(newest, segment.end)
        return rst.at

    def _acceptable_rst(self, segment: Segment) -> bool:
        """RFC 9293 3.10.7.3 and 3.10.7.4, as far as the tap can judge: the number lies between what X acknowledged
        and what the peer had sent."""
        before = bisect_left(self.view.times, segment.at + self.view.patience)
        acked, synchronized = self._acked[before - 1] if before else (None, False)
        if before and not synchronized:
            return bool(segment.flags & ACK) and segment.ack >= 1
        sent = self._sent_by_peer[bisect_right(self.view.peer_times, segment.at) - 1]
        if acked is None:
            return True
        if sent is None:  # of the peer nothing but RST was captured
            return segment.seq >= acked
        # Behind a FIN the number of the FIN itself will do: some stacks reset with it, and Linux takes it if it has
        # not closed first.
        behind_fin = any(s.flags & FIN and s.end == acked for s in self.view.peer)
        behind_fin &= all(s.ack >= acked for s in self.view.own if s.flags & FIN)
        return min(acked, sent) - behind_fin <= segment.seq <= max(acked, sent)

    @cached_property
    def _acked(self) -> list[tuple[int | None, bool]]:
        """After each own segment: (highest number acknowledged, whether it had sent more than SYNs)."""
        highest, synchronized, out = None, False, []
        for own in self.view.own:
            if own.flags & ACK and not own.flags & RST:
                highest = own.ack if highest is None else max(highest, own.ack)
            synchronized |= not own.is_syn and not own.flags & RST
            out.append((highest, synchronized))
        return out

    @cached_property
    def _sent_by_peer(self) -> list[int | None]:
        """After each segment of the peer: the end of what it had sent."""
        highest, out = None, []
        for segment in self.view.peer:
            if not segment.flags & RST:
                highest = segment.end if highest is None else max(highest, segment.end)
            out.append(highest)
        return out
