"""What an endpoint sent, as inputs of the state machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pcapreport.language import phrase
from pcapreport.tcp.evidence import ACK, D_SACK, FIN, GENUINE, RST, SYN, Segment, View
from pcapreport.tcp.facts import (
    PROVEN,
    SENT,
    SENT_UNSEEN,
    SUPPOSED,
    Fact,
    Withdraw,
)
from pcapreport.tcp.states import Input

_FOREIGN_RST = phrase("the RST in frame {frame} was not sent by it: its IP ID or TTL is not of its making")
_OLD_FIN = phrase("the FIN in frame {frame} was not sent again: its timestamp is the first one's, long after that")
_FIN_UNSEEN = phrase("its first FIN was not captured; the number of a later ACK shows it")
_STRANGE_RST = phrase("the RST in frame {frame} is not numbered as what it sent: a third party's, it seems")
_UNASKED_RST = phrase("the RST in frame {frame} answers nothing: a third party may have sent it in its name")


@dataclass
class Sending:
    """SYN, SYN-ACK, FIN and RST in its name."""

    view: View
    withdraw: Withdraw

    def facts(self) -> Iterator[Fact]:
        """The first of each kind, and the RST after which it was silent."""
        own = self.view.own
        for segment in self.view.not_sent[:1]:
            self.withdraw(_FOREIGN_RST if segment.flags & RST else _OLD_FIN, segment)
        seen: set[Input] = set()
        for index, segment in enumerate(own):
            flags = segment.flags
            if flags & RST:
                if index > self.view.last_alive and self._own_rst(segment):
                    yield self._sent_rst(index, segment)
                    return
                continue
            kind = Input.SEND_SYN_ACK if segment.is_syn_ack else Input.SEND_SYN if flags & SYN else None
            if flags & FIN:
                kind = Input.SEND_FIN
            if kind is not None and kind not in seen:
                seen.add(kind)
                fact = self._sent_control(index, segment, kind)
                yield self._sent_before(fact, segment) if kind is Input.SEND_FIN else fact

    def _sent_control(self, index: int, segment: Segment, kind: Input) -> Fact:
        earliest: int | None = None
        if kind is Input.SEND_SYN_ACK:
            asked = [s.at for s in self.view.peer if s.is_syn and s.at <= segment.at]
            earliest = min(asked, default=None)
        elif kind is Input.SEND_FIN:
            earliest = self._last_idle(index, segment)
        frame = segment.frame
        if kind is Input.SEND_SYN_ACK and earliest is not None:
            frame = max((s for s in self.view.peer if s.is_syn and s.at <= segment.at), key=lambda s: s.at).frame
        sure = PROVEN
        if segment.unseen or kind is Input.SEND_FIN and not self._peer_still_open(segment):
            sure = SUPPOSED
        return Fact(index, SENT, kind, earliest, segment.at, frame, sure)

    def _sent_before(self, fact: Fact, fin: Segment) -> Fact:
        """Moves a FIN whose first copy was not captured to where it shows: an ACK numbered behind it came before.

        Where that ACK answers the peer's only FIN so far, or its last copy at once, ours had gone before that arrived.
        """
        own = self.view.own
        empty = (i for i, s in enumerate(own[: fact.slot]) if s.seq >= fin.end and not s.length and not s.flags & RST)
        index = next(empty, None)
        if index is None:
            return fact
        shown = own[index]
        fins = [s for s in self.view.peer if s.flags & FIN and s.at <= shown.at]
        answers = bool(fins) and shown.flags & ACK and shown.ack >= fins[-1].end
        again = shown.flags & D_SACK or bool(fins) and not self.view.at_once(fins[-1].at, shown.at)
        at_once = len(fins) == 1 or not again
        order = SENT_UNSEEN if answers and at_once else SENT
        earliest = None if fact.earliest is None else min(fact.earliest, shown.at)
        return Fact(index, order, fact.input, earliest, shown.at, shown.frame, SUPPOSED, _FIN_UNSEEN)

    def _own_rst(self, rst: Segment) -> bool:
        """Whether a RST in its name can be its own: with ACK it stands behind all that it sent, neither past what the
        other side ever acknowledges nor below what it had acknowledged; without it answers a segment, at once (RFC
        9293 3.10.7.1)."""
        view = self.view
        if rst.flags & ACK:
            sent = max((s.end for s in view.own if not s.flags & RST), default=rst.seq)
            acks = [s for s in view.peer if s.flags & (ACK | RST) == ACK]
            past = rst.seq > sent and any(s.at > rst.at for s in acks) and all(s.ack <= sent for s in acks)
            if not past and not any(s.ack > rst.seq and s.at < rst.at for s in acks):
                return True
            self.withdraw(_STRANGE_RST, rst)
            return False
        before = [s for s in view.peer if s.at <= rst.at]
        if not before or view.round_trip is None or self._answers(rst, before[-1]):
            return True
        self.withdraw(_UNASKED_RST, rst)
        return False

    def _answers(self, rst: Segment, asked: Segment) -> bool:
        """A RST without ACK may answer this segment: it came at once, or as late as its answer in the handshake; or it
        has the number that was asked of it with data that nothing else answered."""
        view = self.view
        if view.at_once(asked.at, rst.at) or 4 * (rst.at - asked.at) <= 5 * view.opening_delay:
            return True
        acked = max((s.ack for s in view.own if s.flags & (ACK | RST) == ACK), default=0)
        return asked.end > max(asked.seq, acked) and rst.seq == asked.ack

    def _peer_still_open(self, fin: Segment) -> bool:
        """The capture holds all that the FIN acknowledges, so no FIN of the peer hides among what was missed."""
        peer = [s for s in self.view.peer if not s.unseen]
        if any(s.flags & FIN and s.end <= fin.ack for s in peer):
            return True  # it closes second, and the first FIN is there
        held = max((s.end for s in peer if s.at <= fin.at), default=None)
        if held is None or fin.flags & ACK and fin.ack > held:
            return False
        return any(s.flags & SYN for s in peer) or any(s.end > max(fin.ack, s.seq) for s in peer)

    def _last_idle(self, index: int, fin: Segment) -> int | None:
        """The last moment at which it provably had not closed: nothing waited to be sent, and no FIN followed.

        An empty ACK numbered just below the FIN shows it (a FIN sent before would have raised its number). On the
        capturing host an ACK for everything it had sent shows it as well.
        """
        view = self.view
        for own in reversed(view.own[:index]):
            empty = not own.length and not own.flags & (SYN | FIN | RST) and not own.unseen
            if (
                view.slowest is not None
                and empty
                and (own.seq == fin.end - 1 or own.seq == fin.seq and self.view.all_acked(own))
            ):
                return own.at - view.slowest
        if not view.beside_tap:
            return None
        sent = max((s.end for s in view.own[:index]), default=0)
        acks = [
            s.at for s in view.peer if s.flags & ACK and s.ack >= sent and s.window and s.at + view.patience < fin.at
        ]
        return acks[-1] if acks else None

    def _sent_rst(self, index: int, segment: Segment) -> Fact:
        view = self.view
        first = next(s for s in view.own if s.flags & RST)  # what came after it may be out of order
        # Who aborts is gone before what it had queued leaves, all in one burst.
        before = [s.at for s in view.own if s.at < first.at - view.settings.burst_ns]
        earliest = before[-1] - view.delay if before else None
        behind_all = segment.seq >= self.view.sent_until[index] or not segment.flags & ACK
        sure = PROVEN if segment.flags & GENUINE and behind_all else SUPPOSED
        fact = Fact(index, SENT, Input.SEND_RST, earliest, segment.at, segment.frame, sure)
        for other in view.peer:
            if other.flags & RST and other.at < segment.at + view.patience and other.at + view.delay > segment.at:
                # Each seems to reset the other at once: a third party can have made both (a firewall does).
                return fact._replace(latest=view.latest_arrival(other), certainty=SUPPOSED)
        return fact
