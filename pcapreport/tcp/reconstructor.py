"""Fires THE TABLE for one endpoint from the segments that can move it.

The segments are first read as inputs in the endpoint's own order (`_Reader`), each with the interval in which it took
effect and how sure that is; then the table turns inputs into states (`_Machine`). What later segments contradict is
never fired, and is told in `withdrawn`. Nothing here raises on a bad segment: what fits nowhere moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pcapreport.settings import Settings
from pcapreport.tcp import timers
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN, Segment, View
from pcapreport.tcp.history import Certainty, EndpointHistory, Restart, TimeWait, Transition
from pcapreport.tcp.states import TABLE, Input, State

PROVEN, SUPPOSED, ASSUMED = Certainty.PROVEN, Certainty.SUPPOSED, Certainty.ASSUMED


class Surroundings(NamedTuple):
    """What lies around a connection: what an endpoint's end may depend on."""

    capture_end: int
    """Time of the last frame of the capture, ns."""
    next_syn: Segment | None
    """The SYN (or SYN-ACK) that opened the next incarnation of the 4-tuple; `side` as in this connection."""
    next_accepted: Segment | None
    """The other side's SYN-ACK to it."""


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


def reconstruct(view: View, surroundings: Surroundings) -> EndpointHistory:
    """The state history of the endpoint that `view` is of."""
    reader = _Reader(view)
    facts = sorted(reader.facts(), key=lambda fact: fact[:2])
    machine = _Machine(view, surroundings, reader.withdrawn)
    machine.start()
    for fact in facts:
        machine.fire(fact)
    machine.finish()
    return machine.result()


@dataclass(slots=True)
class _Reader:
    """Segments -> facts."""

    view: View
    withdrawn: list[str] = field(default_factory=list)

    def facts(self) -> Iterator[Fact]:
        yield from self._sent()
        yield from self._received_syn()
        yield from self._received_syn_ack()
        yield from self._received_ack_of_syn()
        yield from self._received_fin()
        yield from self._received_rst()

    # -- what it sent ------------------------------------------------------------------------------------------

    def _sent(self) -> Iterator[Fact]:
        own = self.view.own
        seen = 0
        last_alive = max((i for i, s in enumerate(own) if not s.flags & RST), default=-1)
        for index, segment in enumerate(own):
            flags = segment.flags
            if flags & RST:
                if index > last_alive:
                    yield self._sent_rst(index, segment)
                    return
                continue
            kind = Input.SEND_SYN_ACK if segment.is_syn_ack else Input.SEND_SYN if flags & SYN else None
            if flags & FIN:
                kind = Input.SEND_FIN
            if kind is None or seen & (bit := 1 << list(Input).index(kind)):
                continue
            seen |= bit
            yield self._sent_control(index, segment, kind)

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
        sure = PROVEN if kind is not Input.SEND_FIN or self._peer_still_open(segment) else SUPPOSED
        return Fact(index, 1, kind, earliest, segment.at, frame, sure)

    def _peer_still_open(self, fin: Segment) -> bool:
        """The capture holds all that the FIN acknowledges, so no FIN of the peer hides among what was missed."""
        peer = self.view.peer
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
            empty = not own.length and not own.flags & (SYN | FIN | RST)
            if empty and (own.seq == fin.end - 1 or own.seq == fin.seq and self._all_acked(own)):
                return own.at - view.slowest
        if not view.beside_tap:
            return None
        sent = max((s.end for s in view.own[:index]), default=0)
        acks = [s.at for s in view.peer if s.flags & ACK and s.ack >= sent and s.window and s.at + view.patience < fin.at]
        return acks[-1] if acks else None

    def _all_acked(self, own: Segment) -> bool:
        """The other side had acknowledged, with room to send more, all that went before `own`."""
        before = [s for s in self.view.peer if s.flags & ACK and s.at + self.view.delay <= own.at]
        return bool(before) and before[-1].ack >= own.seq and before[-1].window > 0

    def _sent_rst(self, index: int, segment: Segment) -> Fact:
        view = self.view
        before = view.own[index - 1] if index else None
        earliest = None if before is None else before.at - view.delay
        fact = Fact(index, 1, Input.SEND_RST, earliest, segment.at, segment.frame, PROVEN)
        for other in view.peer:
            if other.flags & RST and other.at < segment.at + view.patience and other.at + view.delay > segment.at:
                # Each seems to reset the other at once: a third party can have made both (a firewall does).
                return fact._replace(latest=view.latest_arrival(other), certainty=SUPPOSED)
        return fact

    # -- what it received --------------------------------------------------------------------------------------

    def _arrival(
        self, kind: Input, copies: Sequence[Segment], shown: int | None, order: int = 0, slot: int | None = None
    ) -> Fact:
        """The fact that one of `copies` arrived; `shown`: index of the own segment that proves it."""
        view = self.view
        if shown is not None:
            at = view.own[shown].at
            possible = [s for s in copies if s.at <= at] or list(copies[:1])
            cause = [s for s in possible if s.at + view.delay <= at] or possible[:1]
            return Fact(shown if slot is None else slot, order, kind, possible[0].at, at, cause[-1].frame, PROVEN)
        first = copies[0]
        where = len(view.own) if slot is None else slot
        return Fact(where, order, kind, first.at, view.latest_arrival(first), first.frame, SUPPOSED)

    def _taken(self, copies: list[Segment], number: int) -> list[Segment]:
        """Without the copies that X's later ACKs below `number` deny, unless that leaves none."""
        return [s for s in copies if not self.view.denied(s, number)]

    @property
    def _syns_crossed(self) -> bool:
        return any(s.is_syn for s in self.view.own) and any(s.is_syn for s in self.view.peer)

    def _received_syn(self) -> Iterator[Fact]:
        """A SYN while its own is under way (the SYN that a listener answers is read from the answer)."""
        view = self.view
        if not self._syns_crossed:
            return
        copies = [s for s in view.peer if s.is_syn]
        shown = next((i for i, s in enumerate(view.own) if s.is_syn_ack), None)
        slot = view.slot(copies[0]) if shown is None else shown
        yield self._arrival(Input.RECEIVE_SYN, copies, shown, -1, slot)

    def _received_syn_ack(self) -> Iterator[Fact]:
        view = self.view
        if any(s.is_syn_ack for s in view.own) or self._syns_crossed:
            return
        copies = [s for s in view.peer if s.is_syn_ack and s.ack >= 1]
        if not copies and not any(s.is_syn for s in view.own):
            return
        shown = next((i for i, s in enumerate(view.own) if s.flags & ACK and not s.flags & SYN and 1 <= s.ack), None)
        if shown is None:
            resent = max((s.at for s in view.own if s.is_syn), default=0)
            copies = [s for s in copies if s.at >= resent]
            if len(copies) == 1 and not any(s.flags & RST for s in view.own):
                yield self._arrival(Input.RECEIVE_SYN_ACK, copies, None)
        elif copies and copies[0].at <= view.own[shown].at:
            yield self._arrival(Input.RECEIVE_SYN_ACK, copies, shown)
        else:
            own = view.own[shown]
            yield Fact(shown, 0, Input.RECEIVE_SYN_ACK, None, own.at, own.frame, PROVEN, "the SYN, ACK itself was not captured")

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
        if late and shown is None and (view.unheard(late[0].at) or self._turned_away(late[0])):
            self.withdrawn.append(f"frame {late[0].frame} acknowledged its SYN, but nothing shows that it arrived")
        elif late:
            arrived = late[0]
            slot = max(view.slot(arrived), answers[-1] + 1)
            if shown is not None and view.own[shown].at >= arrived.at:
                yield Fact(min(slot, shown), 0, Input.RECEIVE_ACK_OF_SYN, arrived.at, view.own[shown].at, arrived.frame, PROVEN)
            else:
                yield self._arrival(Input.RECEIVE_ACK_OF_SYN, late, None, slot=slot)
        elif copies:
            self.withdrawn.append(
                f"frame {copies[0].frame} acknowledged its SYN, but it sent SYN, ACK again in frame {last.frame}: not established by then"
            )
        elif shown is not None:
            own = view.own[shown]
            note = "the ACK of its SYN was not captured"
            yield Fact(shown, 0, Input.RECEIVE_ACK_OF_SYN, last.at, own.at, own.frame, SUPPOSED, note)

    def _turned_away(self, first: Segment) -> bool:
        """X answered the very first segment after its SYN-ACK as a closed port does (RST without ACK, RFC 9293 3.10.7.1)."""
        answer = next((s for s in self.view.own if s.at >= first.at), None)
        return (
            answer is not None
            and answer.flags & (RST | ACK) == RST
            and answer.seq == first.ack
            and answer.at < first.at + self.view.patience
        )

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
        fins = [s for s in view.peer if s.flags & FIN]
        my_fins = [s for s in view.own if s.flags & FIN]
        ack_of_mine = self._ack_of_my_fin(my_fins)
        if not fins:
            if ack_of_mine is not None:
                yield self._fact_of_ack(ack_of_mine)
            return
        end = max(s.end for s in fins)
        fins = [s for s in fins if s.end == end]
        shown = view.first_ack(end)
        if shown is not None and view.own[shown].at < fins[0].at:
            shown = None
        taken = [s for s in fins if not view.denied(s, end)] or (fins if shown is not None else [])
        if shown is None:
            if len(fins) > 1 and view.own:
                taken = []
                self.withdrawn.append(f"FIN sent {len(fins)} times, first in frame {fins[0].frame}, and never acknowledged")
            taken = taken[:1]
        if not taken:
            if ack_of_mine is not None:
                yield self._fact_of_ack(ack_of_mine)
            return
        both = bool(my_fins) and self._brings_ack(taken, my_fins, shown)
        if both and (ack_of_mine is None or ack_of_mine.at >= taken[0].at):
            yield self._arrival(Input.RECEIVE_FIN_AND_ACK_OF_FIN, taken, shown, 0)
            return
        fin = self._arrival(Input.RECEIVE_FIN, taken, shown, 0)
        if ack_of_mine is not None:
            ack = self._fact_of_ack(ack_of_mine)
            if ack.slot == fin.slot and ack_of_mine.at <= taken[0].at:
                ack = ack._replace(order=-1)
            elif ack_of_mine.at <= taken[0].at and ack.slot > fin.slot:
                ack = ack._replace(slot=fin.slot, order=-1)
            elif ack_of_mine.at > taken[0].at and ack.slot <= fin.slot:
                fin = fin._replace(order=-1)
                ack = ack._replace(slot=fin.slot)
            yield ack
        yield fin

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
        for segment in view.peer:
            if segment.flags & ACK and not segment.flags & RST and segment.ack >= end and segment.at >= my_fins[0].at:
                if segment.at + view.patience > resent:
                    return segment
        return None

    def _fact_of_ack(self, segment: Segment) -> Fact:
        view = self.view
        slot = view.slot(segment)
        return Fact(slot, 0, Input.RECEIVE_ACK_OF_FIN, segment.at, view.latest_arrival(segment), segment.frame, SUPPOSED)

    def _received_rst(self) -> Iterator[Fact]:
        view = self.view
        for segment in view.peer:
            if not segment.flags & RST:
                continue
            slot = max((i + 1 for i, s in enumerate(view.own) if s.at < segment.at + view.patience and not s.flags & RST), default=0)
            slot = max(slot, view.slot(segment)) if not any(s.flags & RST for s in view.own[slot:]) else slot
            if not self._acceptable_rst(segment, slot):
                continue
            alive = next((s for s in view.own if s.at >= segment.at + view.patience and not s.flags & RST), None)
            if alive is not None:
                self.withdrawn.append(
                    f"the RST in frame {segment.frame} did not end it: it went on in frame {alive.frame} (lost, or ignored: RFC 5961)"
                )
                continue
            yield Fact(slot, 2, Input.RECEIVE_RST, self._alive_until(segment), view.latest_arrival(segment), segment.frame, SUPPOSED)
            return

    def _alive_until(self, rst: Segment) -> int | None:
        """From when on it may have been gone: with the RST, or before if it had left the peer without an answer."""
        view = self.view
        last = max((s.at for s in view.own if s.at <= rst.at), default=None)
        asked = [s for s in view.peer if s.at < rst.at - view.patience and (last is None or s.at > last) and not s.flags & RST]
        probes = [s for s in asked if s.end > s.seq or s.seq < max(p.end for p in view.peer if p.at <= s.at)]
        return last if probes and last is not None else rst.at

    def _acceptable_rst(self, segment: Segment, slot: int) -> bool:
        """RFC 9293 3.10.7.3 and 3.10.7.4, as far as the tap can judge: the number lies between what X acknowledged
        and what the peer had sent."""
        view = self.view
        before = view.own[:slot]
        if before and all(s.is_syn for s in before):
            return bool(segment.flags & ACK) and segment.ack >= 1
        acked = max((s.ack for s in before if s.flags & ACK), default=None)
        sent = max((s.end for s in view.peer if not s.flags & RST and s.at <= segment.at), default=None)
        if acked is None or sent is None:
            return True
        return min(acked, sent) <= segment.seq <= max(acked, sent)


@dataclass(slots=True)
class _Machine:
    """Facts -> transitions."""

    view: View
    around: Surroundings
    withdrawn: list[str]
    transitions: list[Transition] = field(default_factory=list)
    time_wait: TimeWait | None = None

    @property
    def state(self) -> State | None:
        return self.transitions[-1].state if self.transitions else None

    def start(self) -> None:
        """The state at the first sight of the endpoint."""
        own, peer = self.view.own, self.view.peer
        everything = sorted([*own, *peer], key=lambda s: s.at)
        if not everything:
            return
        first = everything[0]
        if any(s.is_syn for s in own):
            self._enter(Transition(State.CLOSED, None, None, None, "E1", ASSUMED))
        elif any(s.is_syn_ack for s in own):
            asked = next((s for s in peer if s.is_syn), None)
            self._enter(Transition(State.LISTEN, None, asked.at if asked else first.at, None, "E2", ASSUMED))
        elif any(s.is_syn_ack for s in peer):
            self._enter(Transition(State.SYN_SENT, None, first.at, first.frame, "E1", SUPPOSED, "its SYN was not captured"))
        elif any(s.is_syn for s in peer):
            self._answered_without_syn(next(s for s in peer if s.is_syn))
        elif not all(s.flags & RST for s in everything):
            self._enter(Transition(State.ESTABLISHED, None, first.at, None, "E26", SUPPOSED, "the capture starts in mid-connection"))

    def _answered_without_syn(self, syn: Segment) -> None:
        """The other side's SYN was seen, never a SYN of this side."""
        own = self.view.own
        if own and all(s.flags & RST for s in own):
            self._enter(Transition(State.CLOSED, None, syn.at, own[0].frame, "E21", PROVEN, "answered the SYN with RST"))
        elif own and any(s.ack >= 1 for s in own):
            self._enter(
                Transition(State.SYN_RECEIVED, syn.at, own[0].at, syn.frame, "E3", SUPPOSED, "its SYN, ACK was not captured")
            )
            self._enter(Transition(State.ESTABLISHED, syn.at, own[0].at, own[0].frame, "E6", SUPPOSED))

    def _enter(self, transition: Transition) -> None:
        self.transitions.append(transition)

    def fire(self, fact: Fact) -> None:
        """Look the input up in the table; enter the next state if there is one."""
        given, state = fact.input, self.state
        if state is None:
            return
        if given is Input.RECEIVE_FIN_AND_ACK_OF_FIN and state in (State.CLOSING, State.LAST_ACK):
            given = Input.RECEIVE_ACK_OF_FIN
        if given is Input.RECEIVE_FIN and state is State.SYN_RECEIVED:
            return
        if given is Input.SEND_RST and state is State.CLOSED:
            return
        rule = TABLE.get((state, given))
        if rule is None:
            return
        before = self.transitions[-1]
        earliest = _later(before.earliest, fact.earliest)
        if given is Input.SEND_SYN and before.rule == "E1" and before.state is State.CLOSED:
            self.transitions.pop()
        latest = fact.latest
        if earliest is not None and latest is not None and earliest > latest:
            earliest = latest
        self._enter(Transition(rule.to, earliest, latest, fact.frame, rule.id, fact.certainty, fact.note))
        if rule.to is State.TIME_WAIT:
            self._open_time_wait(fact)
        elif state is State.TIME_WAIT:
            self._end_time_wait("reset", fact.earliest, fact.frame)

    def _open_time_wait(self, fact: Fact) -> None:
        view, entered = self.view, self.transitions[-1]
        shown = view.own[fact.slot].at if fact.slot < len(view.own) else None
        restarts = []
        for segment in view.peer:
            if shown is None or segment.flags & (RST | SYN) or segment.at + view.delay <= shown:
                continue
            if segment.at <= entered.earliest if entered.earliest is not None else False:
                continue
            answer = view.slot(segment)
            answered = answer < len(view.own) and view.own[answer].flags & (RST | ACK) == ACK
            if segment.flags & FIN or answered:
                restarts.append(Restart(segment.at, segment.frame))
        self.time_wait = self._ledger((entered.earliest, entered.latest), tuple(restarts))

    def _ledger(self, entered: tuple[int | None, int | None], restarts: tuple[Restart, ...]) -> TimeWait:
        profile = self.view.settings.time_wait
        start = entered
        if restarts:
            at = restarts[-1].at
            start = (at, at + 2 * self.view.delay + self.view.settings.jitter_ns // 10)
        expires = timers.expiry(start, profile)
        return TimeWait(entered, restarts, expires, profile.name, profile.two_msl_ns, "capture-end", None, None)

    def _end_time_wait(self, how: str, at: int | None, frame: int | None) -> None:
        if self.time_wait is not None:
            self.time_wait = self.time_wait._replace(ended_by=how, ended_at=at, ended_frame=frame)

    def finish(self) -> None:
        """What became of it after its last segment."""
        syn = self.around.next_syn
        if syn is not None and self.state not in (None, State.CLOSED, State.LISTEN):
            self._new_incarnation(syn)
        if self.time_wait is not None and self.state is State.TIME_WAIT:
            earliest, latest = self.time_wait.expires
            if latest is not None and latest <= self.around.capture_end:
                self._enter(Transition(State.CLOSED, earliest, latest, None, "E19", ASSUMED, "2MSL ran out"))
                self._end_time_wait("expiry", latest, None)
        self._tighten()

    def _new_incarnation(self, syn: Segment) -> None:
        """A SYN on the same ports: whoever sent it, or accepted it, had done with this connection."""
        mine = syn.side == self.view.side
        shown = syn if mine else self.around.next_accepted
        if shown is None:
            return
        expires = self.time_wait.expires if self.time_wait is not None and self.state is State.TIME_WAIT else (None, None)
        if expires[1] is not None and expires[1] <= syn.at:
            return
        if expires[0] is not None and expires[0] <= syn.at:
            self._enter(Transition(State.CLOSED, expires[0], shown.at, syn.frame, "E19", SUPPOSED, "2MSL ran out or the ports were reused"))
            self._end_time_wait("expiry", shown.at, syn.frame)
            return
        rule = TABLE[self.state, Input.NEW_INCARNATION] if self.state is not None else None
        if rule is None:
            return
        before = self.transitions[-1]
        earliest = before.earliest if mine else syn.at
        own_last = self.view.own[-1].at - self.view.delay if self.view.own else None
        if mine and own_last is not None:
            earliest = _later(own_last, earliest)
        was_time_wait = self.state is State.TIME_WAIT
        self._enter(Transition(State.CLOSED, earliest, shown.at, syn.frame, rule.id, PROVEN, rule.why))
        if was_time_wait:
            self._end_time_wait("reuse", shown.at, syn.frame)

    def _tighten(self) -> None:
        """A state is entered no later than the next, and no earlier than the one before."""
        latest: int | None = None
        for index in range(len(self.transitions) - 1, -1, -1):
            item = self.transitions[index]
            if latest is not None and (item.latest is None or item.latest > latest):
                item = item._replace(latest=latest)
            if item.earliest is not None and item.latest is not None and item.earliest > item.latest:
                item = item._replace(earliest=item.latest)
            self.transitions[index] = item
            latest = item.latest if item.latest is not None else latest

    def result(self) -> EndpointHistory:
        """The finished history."""
        final = {self.state} if self.state is not None else set(State)
        if len(self.transitions) > 1 and self.transitions[-1].certainty is SUPPOSED:
            final.add(self.transitions[-2].state)
        return EndpointHistory(tuple(self.transitions), frozenset(final), self.time_wait, tuple(self.withdrawn))


def _later(a: int | None, b: int | None) -> int | None:
    """The later of two lower bounds, of which either may be open."""
    if a is None or b is None:
        return b if a is None else a
    return max(a, b)
