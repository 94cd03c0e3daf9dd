"""What an endpoint took of the handshake that it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pcapreport.language import phrase
from pcapreport.tcp.evidence import ACK, D_SACK, FIN, RST, SYN, Segment, View
from pcapreport.tcp.facts import (
    OPENED,
    OPENING,
    PROVEN,
    SUPPOSED,
    Fact,
    Withdraw,
    arrival,
)
from pcapreport.tcp.history import Certainty
from pcapreport.tcp.states import Input

_SYN_ACK_UNSEEN = phrase("the SYN, ACK itself was not captured")
_ACK_UNSEEN = phrase("the ACK of its SYN was not captured")
_NOT_ARRIVED = phrase("frame {frame} acknowledged its SYN, but nothing shows that it arrived")
_NOT_ESTABLISHED = phrase(
    "frame {frame} acknowledged its SYN, but it sent SYN, ACK again in frame {later}: not established by then"
)


@dataclass
class Opening:
    """The other side's SYN, its SYN-ACK, and its ACK of the endpoint's SYN."""

    view: View
    withdraw: Withdraw

    def facts(self) -> Iterator[Fact]:
        """All facts, in no order."""
        yield from self._received_syn()
        yield from self._received_syn_ack()
        yield from self._received_ack_of_syn()

    @cached_property
    def _syns_crossed(self) -> bool:
        """The other side's SYN met its own. Not if it only acknowledged a SYN-ACK: it answers a SYN with SYN-ACK. That
        may be lost, but then its ACK of the SYN-ACK is a D-SACK."""
        own, peer = self.view.own, self.view.peer
        if not any(s.is_syn for s in own) or not any(s.is_syn for s in peer):
            return False
        went_on = next((s for s in own if not s.flags & (SYN | RST)), None)
        if went_on is None or not any(s.is_syn_ack and s.at <= went_on.at for s in peer):
            return True
        return bool(went_on.flags & D_SACK) or any(s.is_syn_ack for s in own)

    def _received_syn(self) -> Iterator[Fact]:
        """A SYN while its own is under way (the SYN that a listener answers is read from the answer)."""
        view = self.view
        if not self._syns_crossed:
            return
        copies = [s for s in view.peer if s.is_syn]
        shown = next((i for i, s in enumerate(view.own) if s.is_syn_ack), None)
        sent = next(i for i, s in enumerate(view.own) if s.is_syn)
        slot = max(view.slot(copies[0]), sent + 1) if shown is None else shown
        yield arrival(self.view, Input.RECEIVE_SYN, copies, shown, OPENING, slot)

    def _received_syn_ack(self) -> Iterator[Fact]:
        view = self.view
        if any(s.is_syn_ack for s in view.own) or self._syns_crossed:
            return
        copies = [s for s in view.peer if s.is_syn_ack and s.ack >= 1]
        if not copies and not any(s.is_syn for s in view.own):
            return
        shown = next((i for i, s in enumerate(view.own) if self._went_on(s)), None)
        if shown is None:
            resent = max((s.at for s in view.own if s.is_syn), default=0)
            copies = [s for s in copies if s.at >= resent]
            # Nothing delays the ACK of a SYN-ACK: who is silent for long has not got it, or its ACKs get lost.
            silent = not any(s.flags & ACK for s in view.own)
            heard = bool(copies) and not (silent and view.until - copies[0].at > view.settings.unanswered_ns)
            if heard and len(copies) == 1 and not any(s.flags & RST for s in view.own):
                yield arrival(self.view, Input.RECEIVE_SYN_ACK, copies, None, OPENING)
        elif copies and copies[0].at <= view.own[shown].at:
            resent = max((s.at for s in view.own[:shown] if s.is_syn), default=0)
            taken = [s for s in copies if s.at + view.patience > resent] or copies
            yield arrival(self.view, Input.RECEIVE_SYN_ACK, taken, shown, OPENING)
        else:
            own = view.own[shown]
            yield Fact(shown, OPENING, Input.RECEIVE_SYN_ACK, None, own.at, own.frame, PROVEN, _SYN_ACK_UNSEEN)

    def _went_on(self, own: Segment) -> bool:
        """Sent by one that had a SYN-ACK. A closed port resets too, with numbers that are not its own (RFC 9293
        3.10.7.1)."""
        if not own.flags & ACK or own.flags & SYN or own.ack < 1:
            return False
        sent = max((s.end for s in self.view.own if not s.flags & RST), default=0)
        return not own.flags & RST or 1 <= own.seq <= sent

    def _received_ack_of_syn(self) -> Iterator[Fact]:
        view = self.view
        answers = [i for i, s in enumerate(view.own) if s.is_syn_ack]
        if not answers and self._syns_crossed:
            answers = [i for i, s in enumerate(view.own) if s.is_syn]
        if not answers:
            return
        first = view.own[answers[0]]
        shown = next((i for i, s in enumerate(view.own) if self._shows_established(s, first)), None)
        if shown is not None:  # a SYN-ACK that passes later was held up by the network
            answers = [i for i in answers if i < shown] or answers[:1]
        last = view.own[answers[-1]]
        base = first.seq + 1
        since = min(s.at for s in view.own if s.flags & SYN)
        copies = [s for s in view.peer if s.flags & ACK and not s.flags & RST and s.ack >= base and s.at >= since]
        late = [s for s in copies if s.at + view.patience > last.at]
        if shown is not None and (not copies or view.own[shown].at < copies[0].at):
            own = view.own[shown]
            sure = self._sure(own, first)
            yield Fact(shown, OPENED, Input.RECEIVE_ACK_OF_SYN, last.at, own.at, own.frame, sure, _ACK_UNSEEN)
        elif late and shown is None and self._never_arrived(late[0]):
            self.withdraw(_NOT_ARRIVED, late[0])
        elif late:
            arrived = late[0]
            slot = max(view.slot(arrived), answers[-1] + 1)
            # An empty ACK may have gone before data that is the first to acknowledge, and not been captured.
            earliest = last.at if arrived.length and last.at < arrived.at else arrived.earliest
            if shown is not None and view.own[shown].at >= arrived.at:
                at, slot = view.own[shown].at, min(slot, shown)
                sure = self._sure(view.own[shown], first)
                yield Fact(slot, OPENED, Input.RECEIVE_ACK_OF_SYN, earliest, at, arrived.frame, sure)
            else:
                fact = arrival(self.view, Input.RECEIVE_ACK_OF_SYN, late, None, OPENED, slot)
                yield fact._replace(earliest=earliest)
        elif copies:
            self.withdraw(_NOT_ESTABLISHED, copies[0], last)

    def _sure(self, own: Segment, syn_ack: Segment) -> Certainty:
        """Whether a segment that shows it established proves that: not if the SYN is not there and may have carried
        data (RFC 7413)."""
        known = syn_ack.is_syn or own.ack > syn_ack.ack or any(s.is_syn and not s.unseen for s in self.view.peer)
        return PROVEN if known else SUPPOSED

    def _never_arrived(self, first: Segment) -> bool:
        """Nothing X sent after its SYN-ACK shows that it took `first` or a later ACK.

        It answered as a closed port does (RST without ACK, RFC 9293 3.10.7.1), or never, though data was repeated.
        An abort (RST with ACK) is an established endpoint's.
        """
        after = [s for s in self.view.own if s.at >= first.at and not s.flags & SYN]
        if after:
            return all(s.flags & (RST | ACK) == RST and s.seq == first.ack for s in after)
        return self.view.unheard(first.at)

    @staticmethod
    def _shows_established(own: Segment, syn_ack: Segment) -> bool:
        """Only an established endpoint sends this; not so after data on the SYN (RFC 7413)."""
        if own.flags & (SYN | RST) or syn_ack.ack > 1:
            return False
        if syn_ack.is_syn:
            return own.ack >= 1
        return own.length > 0 or bool(own.flags & FIN) or own.ack > syn_ack.ack
