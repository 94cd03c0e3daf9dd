"""What the states were when a capture began in mid-connection, as far as what followed tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pcapreport.tcp.evidence import ACK, FIN, RST, Segment, View
from pcapreport.tcp.history import Certainty, Transition
from pcapreport.tcp.states import State

SUPPOSED = Certainty.SUPPOSED


def first_known(view: View) -> Iterator[Transition]:
    """The endpoint's state at the first sight of it, where no SYN was captured, and what that first segment made of
    it."""
    own, peer = view.own, view.peer
    if own and all(s.flags & RST for s in own):
        yield Transition(State.CLOSED, None, own[0].at, own[0].frame, "E21", SUPPOSED)
        return
    seen = own[0].at if own else None
    if _closed_before(own, peer, view):
        note = "it never closed in this capture: it had closed before, it seems"
        first = peer[0]
        if not first.length and not first.flags & FIN and first.at < own[0].at:  # of what, if not of its FIN?
            yield Transition(State.FIN_WAIT_1, None, first.at, None, "E26", SUPPOSED, note)
            yield Transition(State.FIN_WAIT_2, first.at, view.latest_arrival(first), first.frame, "E12", SUPPOSED)
        else:
            yield Transition(State.FIN_WAIT_2, None, seen, None, "E26", SUPPOSED, note)
    elif _closed_before(peer, own, view):
        note = "the other side never closed in this capture: it had closed before, it seems"
        yield Transition(State.CLOSE_WAIT, None, seen, None, "E26", SUPPOSED, note)
    else:
        note = "the capture starts in mid-connection"
        yield Transition(State.ESTABLISHED, None, seen, None, "E26", SUPPOSED, note)


def _closed_before(own: Sequence[Segment], peer: Sequence[Segment], view: View) -> bool:
    """It acknowledged the other side's FIN, yet sent nothing of its own, no FIN either, in time; or nothing but the
    FIN and its ACKs is left of the connection. Else it may be still to close."""
    fin = next((s for s in peer if s.flags & FIN), None)
    aborts = any(s.flags & (RST | ACK) == RST | ACK for s in own)
    if fin is None or aborts or any(s.end > s.seq for s in own):
        return False
    ack = next((s for s in own if s.flags & (ACK | RST) == ACK and s.ack >= fin.end), None)
    if ack is None:
        return False
    return view.until - ack.at > view.settings.unanswered_ns or not any(s.length for s in peer)
