"""Which states an endpoint can have come to, beside the one that its history ends with.

Named are those that what the capture shows of it leaves open: its history's supposed steps may not have been taken,
and what it was sent may have moved it without a sign. That an endpoint may vanish without a word is true of all of
them and not repeated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pcapreport.tcp.evidence import ACK, FIN, RST, SYN, View
from pcapreport.tcp.history import Certainty, Transition
from pcapreport.tcp.states import State

_S = State

_INSTEAD = {
    "E9": frozenset((_S.LAST_ACK, _S.CLOSED)),
    "E10": frozenset((_S.CLOSING, _S.TIME_WAIT)),
    "E11": frozenset((_S.FIN_WAIT_1, _S.FIN_WAIT_2, _S.CLOSING, _S.TIME_WAIT)),
    "E12": frozenset((_S.CLOSED,)),
    "E21": frozenset((_S.ESTABLISHED, _S.CLOSE_WAIT, _S.FIN_WAIT_1, _S.FIN_WAIT_2)),
}
"""Where else a supposed entry by this rule may have led: a FIN that the capture missed makes the first closer the
second; a RST may have been another's."""

_SHOWN = frozenset(("E9", "E11"))
"""Rules of which only the state is supposed, not that the segment was sent: there is no going back before it."""


def possible_final(view: View, transitions: Sequence[Transition]) -> frozenset[State]:
    """The states that are possible after the last segment of the capture; all if nothing is known."""
    if not transitions:
        return frozenset(State)
    possible = {transitions[-1].state, *_not_taken(transitions), *_not_shown(view, transitions[-1].state)}
    if not any(not s.unseen for s in view.own) or not any(not s.unseen for s in view.peer):
        possible.add(_S.CLOSED)  # of a direction that was not captured a RST may be missing
    if transitions[0].rule == "E26":
        possible |= _before_the_capture(view, possible)
    return frozenset(possible)


def _not_taken(transitions: Sequence[Transition]) -> Iterator[State]:
    """What it is in if the supposed steps at the end of its history were others, or none."""
    for before, item in zip(reversed(transitions[:-1]), reversed(transitions[1:]), strict=True):
        if item.certainty is Certainty.PROVEN:
            return
        if item.certainty is Certainty.SUPPOSED:
            yield from _INSTEAD.get(item.rule, ())
            if item.rule not in _SHOWN:
                yield before.state


def _not_shown(view: View, final: State) -> Iterator[State]:
    """What it was sent last may have moved it; and a close may wait behind data that is not acknowledged yet."""
    if final is _S.SYN_SENT and any(s.is_syn_ack for s in view.peer):
        yield _S.ESTABLISHED
    elif final is _S.SYN_RECEIVED:
        yield _S.CLOSED  # a request that nobody completes is forgotten in silence
    elif final in (_S.ESTABLISHED, _S.CLOSE_WAIT):
        acked = max((s.ack for s in view.peer if s.flags & (ACK | RST) == ACK), default=0)
        if any(s.end > max(acked, s.seq) for s in view.own if not s.flags & SYN):
            yield _S.FIN_WAIT_1 if final is _S.ESTABLISHED else _S.LAST_ACK


def _before_the_capture(view: View, possible: set[State]) -> set[State]:
    """What a FIN sent before the capture began makes of the states that are possible without."""
    more = set()
    if not any(s.end > s.seq for s in view.own) and _S.CLOSE_WAIT in possible:
        more |= {_S.CLOSING, _S.TIME_WAIT}
    if not any(s.end > s.seq for s in view.own) and _S.ESTABLISHED in possible:
        more |= {_S.FIN_WAIT_1, _S.FIN_WAIT_2}
    if not any(s.end > s.seq and not s.flags & FIN for s in view.peer):
        swap = {_S.ESTABLISHED: _S.CLOSE_WAIT, _S.FIN_WAIT_1: _S.LAST_ACK, _S.FIN_WAIT_2: _S.CLOSED}
        more |= {swap[state] for state in possible if state in swap}
    return more
