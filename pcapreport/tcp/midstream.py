"""What the states were when a capture began in mid-connection, as far as what followed tells.

A connection whose SYNs were not captured counts as established until a FIN comes. What that makes of either end depends
on whether the other side's FIN had gone before the capture began. It had not where that side sends data or its FIN
later, or aborts; nor where the FIN's sender aborts after it was acknowledged, as the second to close is gone then.
Where the other side does no more than acknowledge the FIN, its own had most likely gone before: that is assumed, and so
marked. Where it does not even that, or where one's own FIN had gone and nothing tells which was the first, nothing is
said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pcapreport.language import phrase
from pcapreport.tcp.evidence import ACK, FIN, RST, Segment, View
from pcapreport.tcp.history import Certainty, Transition
from pcapreport.tcp.states import State

ASSUMED, SUPPOSED = Certainty.ASSUMED, Certainty.SUPPOSED

_MIDSTREAM = phrase("the capture starts in mid-connection")
_CLOSED_BEFORE = phrase("it never closed in this capture: it had closed before, it seems")
_OTHER_CLOSED_BEFORE = phrase("the other side never closed in this capture: it had closed before, it seems")


def first_known(view: View) -> Iterator[Transition]:
    """The endpoint's state at the first sight of it, where no SYN was captured, and what that first segment made of
    it."""
    own, peer = view.own, view.peer
    if all(s.flags & RST for s in own):
        yield from _unseen(own, peer)
        return
    mine, theirs = _fin(own), _fin(peer)
    if mine is None and theirs is not None:
        had_closed = _had_closed(own, theirs, peer)
    elif mine is not None and theirs is None:
        had_closed = _had_closed(peer, mine, own)
    else:
        first = next(s for s in own if not s.flags & RST)
        both_before = mine is not None and theirs is not None and first.seq >= mine.end and first.ack >= theirs.end
        had_closed = None if both_before else False
    if had_closed is False:
        yield _established(own[0].at)
    elif had_closed and mine is not None:
        yield Transition(State.CLOSE_WAIT, None, own[0].at, None, "E26", ASSUMED, _OTHER_CLOSED_BEFORE)
    elif had_closed:
        yield from _second_fin(view)


def _established(seen: int | None) -> Transition:
    return Transition(State.ESTABLISHED, None, seen, None, "E26", SUPPOSED, _MIDSTREAM)


def _unseen(own: Sequence[Segment], peer: Sequence[Segment]) -> Iterator[Transition]:
    """Of an endpoint that shows nothing of itself but RST: without ACK that answers a segment (RFC 9293 3.10.7.1)."""
    if not own:
        if any(not s.flags & RST for s in peer):
            yield _established(None)
    elif own[0].flags & ACK or any(s.at <= own[0].at for s in peer):
        yield Transition(State.CLOSED, None, own[0].at, own[0].frame, "E21", SUPPOSED)


def _had_closed(silent: Sequence[Segment], fin: Segment, closer: Sequence[Segment]) -> bool | None:
    """The side whose FIN was not captured had closed before; None if nothing tells."""
    if any(s.flags & (RST | ACK) == RST | ACK for s in silent):
        return False
    alive = [s for s in silent if not s.flags & RST]
    sent = max((s.end for s in alive if s.length), default=None)
    if sent is not None:  # unless its numbers go beyond it
        return False if sent >= max(s.seq for s in alive) else None
    ack = next((s for s in alive if s.flags & ACK and s.ack >= fin.end), None)
    if ack is None:
        return None
    return not any(s.flags & (RST | ACK) == RST | ACK and s.at > ack.at for s in closer)


def _second_fin(view: View) -> Iterator[Transition]:
    """Its own FIN had gone before, the other side's came second."""
    first, seen = view.peer[0], view.own[0].at
    if not first.length and not first.flags & FIN and first.at < seen:  # of what, if not of its FIN?
        yield Transition(State.FIN_WAIT_1, None, first.at, None, "E26", ASSUMED, _CLOSED_BEFORE)
        yield Transition(State.FIN_WAIT_2, first.at, view.latest_arrival(first), first.frame, "E12", ASSUMED)
    else:
        yield Transition(State.FIN_WAIT_2, None, seen, None, "E26", ASSUMED, _CLOSED_BEFORE)


def _fin(sent: Sequence[Segment]) -> Segment | None:
    return next((s for s in sent if s.flags & FIN), None)
