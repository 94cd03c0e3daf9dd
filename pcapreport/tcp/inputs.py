"""Reads an endpoint's segments as inputs of the state machine: what it sent, and what it took of what it was sent.

Each input carries the interval in which it took effect and how sure that is. What later segments contradict is not
given at all, and told in `withdrawn`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from pcapreport.tcp.evidence import ACK, D_SACK, FIN, GENUINE, RST, SYN, Segment, View
from pcapreport.tcp.history import Certainty, Withdrawn
from pcapreport.tcp.states import Input

PROVEN, SUPPOSED = Certainty.PROVEN, Certainty.SUPPOSED

OPENING, OPENED, SENT_UNSEEN, EARLIER, RECEIVED, SENT, RESET = range(7)
"""Order of inputs that fall before the same own segment: as connections go, and sending last."""


class Fact(NamedTuple):
    """One input of the machine: it took effect at some time in [earliest, latest]."""

    slot: int
    """Before the endpoint's own segment of this index."""
    order: int
    input: Input
    earliest: int | None
    latest: int | None
    frame: int | None
    certainty: Certainty
    note: str = ""


@dataclass
class InputReader:
    """Segments -> facts of one endpoint."""

    view: View
    withdrawn: list[Withdrawn] = field(default_factory=list)

    def facts(self) -> Iterator[Fact]:
        """All facts, in no order; `withdrawn` is complete once they are read."""
        yield from self._sent()
        yield from self._received_syn()
        yield from self._received_syn_ack()
        yield from self._received_ack_of_syn()
        yield from self._received_fin()
        yield from self._received_rst()

    def _withdraw(self, words: str, *named: Segment) -> None:
        self.withdrawn.append(Withdrawn(words, tuple(segment.frame for segment in named)))

    # -- what it sent ------------------------------------------------------------------------------------------

    def _sent(self) -> Iterator[Fact]:
        own = self.view.own
        for rst in self.view.forged[:1]:
            self._withdraw("the RST in frame {} was not sent by it: its IP ID or TTL is not of its making", rst)
        seen: set[Input] = set()
        last_alive = max((i for i, s in enumerate(own) if not s.flags & RST), default=-1)
        for index, segment in enumerate(own):
            flags = segment.flags
            if flags & RST:
                if index > last_alive and self._own_rst(segment):
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
        note = "its first FIN was not captured; the number of a later ACK shows it"
        earliest = None if fact.earliest is None else min(fact.earliest, shown.at)
        return Fact(index, order, fact.input, earliest, shown.at, shown.frame, SUPPOSED, note)

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
            self._withdraw("the RST in frame {} is not numbered as what it sent: a third party's, it seems", rst)
            return False
        before = [s for s in view.peer if s.at <= rst.at]
        if not before or view.round_trip is None or view.at_once(before[-1].at, rst.at):
            return True
        self._withdraw("the RST in frame {} answers nothing: a third party may have sent it in its name", rst)
        return False

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
                and (own.seq == fin.end - 1 or own.seq == fin.seq and self._all_acked(own))
            ):
                return own.at - view.slowest
        if not view.beside_tap:
            return None
        sent = max((s.end for s in view.own[:index]), default=0)
        acks = [
            s.at for s in view.peer if s.flags & ACK and s.ack >= sent and s.window and s.at + view.patience < fin.at
        ]
        return acks[-1] if acks else None

    def _all_acked(self, own: Segment) -> bool:
        """The other side had acknowledged, with room to send more, all that went before `own`."""
        known = bisect_right(self._peer_times, own.at - self.view.delay)
        before = next((s for s in reversed(self.view.peer[:known]) if s.flags & ACK), None)
        in_order = own.seq >= self._sent_until[bisect_left(self.view.times, own.at)]
        return before is not None and before.ack >= own.seq and before.window > 0 and in_order

    def _sent_rst(self, index: int, segment: Segment) -> Fact:
        view = self.view
        first = next(s for s in view.own if s.flags & RST)  # what came after it may be out of order
        # Who aborts is gone before what it had queued leaves, all in one burst.
        before = [s.at for s in view.own if s.at < first.at - view.settings.burst_ns]
        earliest = before[-1] - view.delay if before else None
        behind_all = segment.seq >= self._sent_until[index] or not segment.flags & ACK
        sure = PROVEN if segment.flags & GENUINE and behind_all else SUPPOSED
        fact = Fact(index, SENT, Input.SEND_RST, earliest, segment.at, segment.frame, sure)
        for other in view.peer:
            if other.flags & RST and other.at < segment.at + view.patience and other.at + view.delay > segment.at:
                # Each seems to reset the other at once: a third party can have made both (a firewall does).
                return fact._replace(latest=view.latest_arrival(other), certainty=SUPPOSED)
        return fact

    # -- what it received --------------------------------------------------------------------------------------

    def _arrival(
        self, kind: Input, copies: Sequence[Segment], shown: int | None, order: int = RECEIVED, slot: int | None = None
    ) -> Fact:
        """The fact that one of `copies` arrived; `shown`: index of the own segment that proves it."""
        view = self.view
        if shown is not None:
            at = view.own[shown].at
            possible = [s for s in copies if s.at <= at] or list(copies[:1])
            cause = [s for s in possible if s.at + view.delay <= at] or possible[:1]
            guessed = view.own[shown].guessed or cause[-1].guessed
            return Fact(
                shown if slot is None else slot,
                order,
                kind,
                possible[0].earliest,
                at,
                cause[-1].frame,
                SUPPOSED if guessed else PROVEN,
            )
        first = copies[0]
        where = len(view.own) if slot is None else slot
        return Fact(where, order, kind, first.earliest, view.latest_arrival(first), first.frame, SUPPOSED)

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
        yield self._arrival(Input.RECEIVE_SYN, copies, shown, OPENING, slot)

    def _received_syn_ack(self) -> Iterator[Fact]:
        view = self.view
        if any(s.is_syn_ack for s in view.own) or self._syns_crossed:
            return
        copies = [s for s in view.peer if s.is_syn_ack and s.ack >= 1]
        if not copies and not any(s.is_syn for s in view.own):
            return
        shown = next((i for i, s in enumerate(view.own) if s.flags & ACK and not s.flags & SYN and s.ack >= 1), None)
        if shown is None:
            resent = max((s.at for s in view.own if s.is_syn), default=0)
            copies = [s for s in copies if s.at >= resent]
            # Nothing delays the ACK of a SYN-ACK: who is silent for long has not got it, or its ACKs get lost.
            silent = not any(s.flags & ACK for s in view.own)
            heard = bool(copies) and not (silent and view.until - copies[0].at > view.settings.unanswered_ns)
            if heard and len(copies) == 1 and not any(s.flags & RST for s in view.own):
                yield self._arrival(Input.RECEIVE_SYN_ACK, copies, None, OPENING)
        elif copies and copies[0].at <= view.own[shown].at:
            resent = max((s.at for s in view.own[:shown] if s.is_syn), default=0)
            taken = [s for s in copies if s.at + view.patience > resent] or copies
            yield self._arrival(Input.RECEIVE_SYN_ACK, taken, shown, OPENING)
        else:
            own = view.own[shown]
            note = "the SYN, ACK itself was not captured"
            yield Fact(shown, OPENING, Input.RECEIVE_SYN_ACK, None, own.at, own.frame, PROVEN, note)

    def _received_ack_of_syn(self) -> Iterator[Fact]:
        view = self.view
        answers = [i for i, s in enumerate(view.own) if s.is_syn_ack]
        if not answers and self._syns_crossed:
            answers = [i for i, s in enumerate(view.own) if s.is_syn]
        if not answers:
            return
        first, last = view.own[answers[0]], view.own[answers[-1]]
        base = first.seq + 1
        since = min(s.at for s in view.own if s.flags & SYN)
        copies = [s for s in view.peer if s.flags & ACK and not s.flags & RST and s.ack >= base and s.at >= since]
        late = [s for s in copies if s.at + view.patience > last.at]
        shown = next((i for i, s in enumerate(view.own) if self._shows_established(s, first)), None)
        if shown is not None and (not copies or view.own[shown].at < copies[0].at):
            own = view.own[shown]
            note = "the ACK of its SYN was not captured"
            yield Fact(shown, OPENED, Input.RECEIVE_ACK_OF_SYN, last.at, own.at, own.frame, PROVEN, note)
        elif late and shown is None and self._never_arrived(late[0]):
            self._withdraw("frame {} acknowledged its SYN, but nothing shows that it arrived", late[0])
        elif late:
            arrived = late[0]
            slot = max(view.slot(arrived), answers[-1] + 1)
            # An empty ACK may have gone before data that is the first to acknowledge, and not been captured.
            earliest = last.at if arrived.length and last.at < arrived.at else arrived.earliest
            if shown is not None and view.own[shown].at >= arrived.at:
                at, slot = view.own[shown].at, min(slot, shown)
                yield Fact(slot, OPENED, Input.RECEIVE_ACK_OF_SYN, earliest, at, arrived.frame, PROVEN)
            else:
                fact = self._arrival(Input.RECEIVE_ACK_OF_SYN, late, None, OPENED, slot)
                yield fact._replace(earliest=earliest)
        elif copies:
            self._withdraw(
                "frame {} acknowledged its SYN, but it sent SYN, ACK again in frame {}: not established by then",
                copies[0],
                last,
            )

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

    def _received_fin(self) -> Iterator[Fact]:
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
            yield self._arrival(Input.RECEIVE_FIN_AND_ACK_OF_FIN, fins, shown)
            return
        fin = self._arrival(Input.RECEIVE_FIN, fins, shown)
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
                fin = fin._replace(order=EARLIER)
                yield ack._replace(slot=max(ack.slot, fin.slot))
        yield fin

    def _fin_instead_of_ack(self, shown: Segment, fin: Segment) -> bool:
        """Its first sign of the peer's FIN is its own FIN, later than any ACK waits: an ACK of the peer's FIN was lost
        or missed, and with it, perhaps, a first copy of its own FIN."""
        patience = self.view.opening_delay + self.view.settings.jitter_ns
        return bool(shown.flags & FIN) and shown.at > fin.at + patience

    def _low_acks(self, fin: Segment, since: int) -> Iterator[Segment]:
        """What it sent, having heard what passed at `since`, before it had the peer's FIN in order."""
        before = self.view.own[: self.view.first_ack(fin.end)]
        return (s for s in before if s.flags & (ACK | RST) == ACK and not s.unseen and s.at > since + self.view.delay)

    def _before_fin(self, ack: Segment, fins: Sequence[Segment]) -> bool:
        """The ACK of its FIN came first: it passed first, or the peer's FIN still had to wait for data before it."""
        view = self.view
        waits = any(not view.within_a_round_trip(ack.at, s.at) for s in self._low_acks(fins[0], ack.at))
        return ack.at < fins[0].at or waits

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
        return any(self._all_acked(s) and (closed is None or s.seq < closed) for s in idle)

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
            self._withdraw(f"FIN sent {len(fins)} times, first in frame {{}}, and never acknowledged", fins[0])
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
        slot = view.slot(ack)
        if ack.length or ack.flags & FIN or slot >= len(view.own):
            return False
        answer = view.own[slot]
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

    def _received_rst(self) -> Iterator[Fact]:
        """The first RST that it may have taken and after which it sent nothing but RST."""
        view = self.view
        alive = [s for s in view.own if not s.flags & RST]
        last_alive = alive[-1] if alive else None
        told = False
        for segment in view.peer:
            if not segment.flags & RST or not self._acceptable_rst(segment):
                continue
            if last_alive is None or last_alive.at < segment.at + view.patience:
                yield self._fact_of_rst(segment, last_alive)
                return
            if not told:
                after = next(s for s in alive if s.at >= segment.at + view.patience)
                words = "the RST in frame {} did not end it: it went on in frame {} (lost, or ignored: RFC 5961)"
                self._withdraw(words, segment, after)
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
        sent = self._sent_by_peer[bisect_right(self._peer_times, segment.at) - 1]
        if acked is None or sent is None:
            return True
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
    def _sent_until(self) -> list[int]:
        """Before each own segment, and after the last: the end of what it had sent."""
        return [0, *accumulate((s.end if not s.flags & RST else 0 for s in self.view.own), max)]

    @cached_property
    def _peer_times(self) -> list[int]:
        return [s.at for s in self.view.peer]

    @cached_property
    def _sent_by_peer(self) -> list[int | None]:
        """After each segment of the peer: the end of what it had sent."""
        highest, out = None, []
        for segment in self.view.peer:
            if not segment.flags & RST:
                highest = segment.end if highest is None else max(highest, segment.end)
            out.append(highest)
        return out
