"""Fires THE TABLE for one endpoint from the segments that can move it.

`inputs` reads the segments as inputs in the endpoint's own order; here the table turns inputs into states. Nothing
raises on a bad segment: what fits nowhere moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pcapreport.language import phrase
from pcapreport.tcp import time_wait
from pcapreport.tcp.evidence import ACK, RST, Segment, View
from pcapreport.tcp.facts import Fact
from pcapreport.tcp.history import Certainty, EndpointHistory, TimeWait, Transition, Withdrawn
from pcapreport.tcp.inputs import facts_of
from pcapreport.tcp.midstream import first_known
from pcapreport.tcp.moment import greatest, least
from pcapreport.tcp.possible import possible_final
from pcapreport.tcp.states import TABLE, Input, State

PROVEN, SUPPOSED, ASSUMED = Certainty.PROVEN, Certainty.SUPPOSED, Certainty.ASSUMED


_SYN_UNSEEN = phrase("its SYN was not captured")
_SYN_ACK_UNSEEN = phrase("its SYN, ACK was not captured")
_ANSWERED_WITH_RST = phrase("answered the SYN with RST")
_RAN_OUT = phrase("2MSL ran out")
_RAN_OUT_OR_REUSED = phrase("2MSL ran out or the ports were reused")

_ORDER_OF_FINS = frozenset(("E9", "E10", "E11"))
_CLOSING = frozenset(("E9", "E10", "E11", "E12", "E13", "E14", "E15", "E16", "E17"))


class Surroundings(NamedTuple):
    """What lies around a connection: what an endpoint's end may depend on."""

    capture_end: int
    """Time of the last frame of the capture, ns."""
    next_syn: Segment | None
    """The SYN (or SYN-ACK) that opened the next incarnation of the 4-tuple; `side` as in this connection."""
    next_accepted: Segment | None
    """The other side's SYN-ACK to it."""


def reconstruct(view: View, surroundings: Surroundings) -> EndpointHistory:
    """The state history of the endpoint that `view` is of."""
    facts, withdrawn = facts_of(view)
    machine = _Machine(view, surroundings, withdrawn)
    machine.start()
    for fact in facts:
        machine.fire(fact)
    machine.finish()
    return machine.result()


@dataclass(slots=True)
class _Machine:
    """Facts -> transitions."""

    view: View
    around: Surroundings
    withdrawn: list[Withdrawn]
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
        elif any(s.is_syn_ack for s in peer) and not _answered_before(own, peer):
            self._enter(Transition(State.SYN_SENT, None, first.at, first.frame, "E1", SUPPOSED, _SYN_UNSEEN))
        elif any(s.is_syn for s in peer):
            self._answered_without_syn(next(s for s in peer if s.is_syn))
        else:
            self.transitions += first_known(self.view)

    def _answered_without_syn(self, syn: Segment) -> None:
        """The other side's SYN was seen, never a SYN of this side."""
        own = self.view.own
        if own and all(s.flags & RST for s in own):
            self._enter(Transition(State.CLOSED, None, syn.at, own[0].frame, "E21", PROVEN, _ANSWERED_WITH_RST))
        elif own and any(s.ack >= 1 for s in own):
            since, until = syn.at, own[0].at
            self._enter(Transition(State.SYN_RECEIVED, since, until, syn.frame, "E3", SUPPOSED, _SYN_ACK_UNSEEN))
            self._enter(Transition(State.ESTABLISHED, since, until, own[0].frame, "E6", SUPPOSED))

    def _at_most(self, rule: str, certainty: Certainty) -> Certainty:
        """How sure a step can be behind the one before. Where which FIN was the first is supposed or assumed, so is
        what follows from it: that the FINs were sent is not in doubt."""
        first, before = self.transitions[0], self.transitions[-1]
        if first.rule == "E26" and before.certainty is ASSUMED and rule in _CLOSING:
            return ASSUMED
        orderless = rule == "E11" or before.rule in _ORDER_OF_FINS
        return SUPPOSED if before.certainty is SUPPOSED and orderless else certainty

    def _enter(self, transition: Transition) -> None:
        self.transitions.append(transition)

    def fire(self, fact: Fact) -> None:
        """Look the input up in the table; enter the next state if there is one."""
        given, state = fact.input, self.state
        if state is None or self.transitions[0].rule == "E26" and not self.view.own:
            return  # of one that shows nothing of itself, nothing shows what it took
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
        certainty = self._at_most(rule.id, fact.certainty)
        if given is Input.SEND_SYN and before.rule == "E1" and before.state is State.CLOSED:
            self.transitions.pop()
        latest = fact.latest
        if earliest is not None:
            earliest = _first(earliest, latest)
        self._enter(Transition(rule.to, earliest, latest, fact.frame, rule.id, certainty, fact.note))
        if rule.to is State.TIME_WAIT:
            entered = self.transitions[-1]
            self.time_wait = time_wait.opened(self.view, (entered.earliest, entered.latest), fact.slot)
        elif state is State.TIME_WAIT:
            self.time_wait = time_wait.ended(self.time_wait, "reset", fact.earliest, fact.frame)

    def finish(self) -> None:
        """What became of it after its last segment."""
        syn = self.around.next_syn
        if syn is not None and self.state not in (None, State.CLOSED, State.LISTEN):
            self._new_incarnation(syn)
        if self.time_wait is not None and self.state is State.TIME_WAIT:
            earliest, latest = self.time_wait.expires
            if time_wait.is_over(self.time_wait, self.around.capture_end):
                self._enter(Transition(State.CLOSED, earliest, latest, None, "E19", ASSUMED, _RAN_OUT))
                self.time_wait = time_wait.ended(self.time_wait, "expiry", latest, None)
        self._tighten()

    def _new_incarnation(self, syn: Segment) -> None:
        """A SYN on the same ports: whoever sent it, or accepted it, had done with this connection."""
        mine = syn.side == self.view.side
        shown = syn if mine else self.around.next_accepted
        if shown is None:
            return
        before, ledger = self.transitions[-1], self.time_wait if self.state is State.TIME_WAIT else None
        if ledger is not None and time_wait.is_over(ledger, syn.at):
            return  # it was over before; see finish
        if ledger is not None and time_wait.may_be_over(ledger, syn.at):
            earliest = ledger.expires[0]
            self._enter(Transition(State.CLOSED, earliest, shown.at, syn.frame, "E19", SUPPOSED, _RAN_OUT_OR_REUSED))
            self.time_wait = time_wait.ended(ledger, "expiry", shown.at, syn.frame)
            return
        rule = TABLE.get((before.state, Input.NEW_INCARNATION))
        if rule is None:
            return
        last_sign = self.view.own[-1].at - self.view.delay if self.view.own else None
        earliest = _later(before.earliest, last_sign if mine else syn.at)
        self._enter(Transition(State.CLOSED, earliest, shown.at, syn.frame, rule.id, PROVEN, rule.why))
        if ledger is not None:
            self.time_wait = time_wait.ended(ledger, "reuse", shown.at, syn.frame)

    def _tighten(self) -> None:
        """A state is entered no later than the next, and no earlier than the one before."""
        latest: int | None = None
        for index in range(len(self.transitions) - 1, -1, -1):
            item = self.transitions[index]
            latest = _first(item.latest, latest)
            earliest = item.earliest if item.earliest is None else _first(item.earliest, latest)
            self.transitions[index] = item._replace(earliest=earliest, latest=latest)

    def result(self) -> EndpointHistory:
        """The finished history."""
        final = possible_final(self.view, self.transitions, self.around.next_syn is not None)
        return EndpointHistory(tuple(self.transitions), final, self.time_wait, tuple(self.withdrawn))


def _answered_before(own: Sequence[Segment], peer: Sequence[Segment]) -> bool:
    """It had acknowledged the SYN-ACK when the first copy of that was captured."""
    syn_ack = next(s for s in peer if s.is_syn_ack)
    return any(s.flags & (ACK | RST) == ACK and s.ack > syn_ack.seq and s.at < syn_ack.at for s in own)


def _later(a: int | None, b: int | None) -> int | None:
    """The later of two lower bounds, of which either may be open."""
    known = [bound for bound in (a, b) if bound is not None]
    return greatest(known) if known else None


def _first(a: int | None, b: int | None) -> int | None:
    """The earlier of two upper bounds, of which either may be open."""
    known = [bound for bound in (a, b) if bound is not None]
    return least(known) if known else None
