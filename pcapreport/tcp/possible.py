"""Which states an endpoint can have come to, beside the one that its history ends with.

While the handshake goes on these are the states before steps that are supposed only. Behind it the state follows from
four questions (RFC 9293 3.3.2): has the endpoint closed, was its FIN acknowledged, has the other side's FIN arrived,
and which of the two came first. Each is answered by what was captured, and left open where the capture would look the
same either way: where a segment can have been on its way, hide in what is shown to be missing, or have gone before the
capture began. That an endpoint may vanish without a word is true of all states and not repeated here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pcapreport.tcp.evidence import ACK, FIN, RST, SYN, Segment, View
from pcapreport.tcp.history import Certainty, Transition
from pcapreport.tcp.states import State

_S = State

_OPENING = frozenset((_S.LISTEN, _S.SYN_SENT, _S.SYN_RECEIVED))
_ABORTING = frozenset((_S.SYN_RECEIVED, _S.ESTABLISHED, _S.FIN_WAIT_1, _S.FIN_WAIT_2, _S.CLOSE_WAIT))
"""Who aborts in these sends a RST (RFC 9293 3.10.5)."""


def possible_final(view: View, transitions: Sequence[Transition], replaced: bool) -> frozenset[State]:
    """The states that are possible after the last segment of the capture; all if nothing is known.

    `replaced`: another connection was asked for on the same ports.
    """
    everything = (*view.own, *view.peer)
    if all(s.flags & RST for s in everything) or not transitions and any(s.flags & SYN for s in everything):
        return frozenset(State)
    final = transitions[-1] if transitions else None
    if final is not None and final.state is _S.CLOSED and final.certainty is Certainty.PROVEN:
        return frozenset((_S.CLOSED,))
    possible = set(_handshake(view, transitions))
    if final is not None:
        possible.add(final.state)
    if _synchronized(view, transitions):
        possible |= set(_Close(view, transitions).states())
    if replaced or _may_be_reset(view) or possible & _ABORTING and _unheard_of(view):
        possible.add(_S.CLOSED)
    return frozenset(possible)


def _handshake(view: View, transitions: Sequence[Transition]) -> Iterator[State]:
    """The states of the handshake that no step out of is proven, and where they lead without a segment."""
    for item in reversed(transitions):
        if item.state in _OPENING:
            yield item.state
        if item.state is _S.SYN_RECEIVED or item.state is _S.SYN_SENT and any(s.is_syn_ack for s in view.peer):
            # A request that nobody completes is forgotten in silence; who closes in SYN-SENT is gone before the
            # SYN-ACK comes (RFC 9293 3.10.4).
            yield _S.CLOSED
        if item.certainty is Certainty.PROVEN:
            return


def _synchronized(view: View, transitions: Sequence[Transition]) -> bool:
    """It can have come past the handshake."""
    if not transitions or any(t.state not in _OPENING and t.state is not _S.CLOSED for t in transitions):
        return True
    states = {item.state for item in transitions}
    if _S.SYN_RECEIVED in states:
        return not _captured(view.peer) or any(s.flags & (SYN | ACK) == ACK for s in view.peer)
    return _S.SYN_SENT not in states or any(s.is_syn_ack for s in view.peer)


def _may_be_reset(view: View) -> bool:
    """A RST in its name was captured, or one to it that it is not known to have survived; or a direction is missing,
    and with it perhaps a RST."""
    if any(s.flags & RST for s in view.not_sent) or any(s.flags & RST for s in view.own):
        return True
    if not _captured(view.own) or not _captured(view.peer):
        return True
    return any(s.flags & RST and s.at + view.patience > view.own[-1].at for s in view.peer)


def _unheard_of(view: View) -> bool:
    """What it sent last can be on its way, or was lost before the tap: it did not answer what asks for an answer, or
    the capture ends too soon to tell."""
    alive = next((s.at for s in reversed(view.own) if not s.flags & RST), 0)
    asked = next((s.at for s in view.peer if s.at > alive and s.end > s.seq), None)
    if asked is not None and view.until - asked > view.patience:
        return True
    return not view.beside_tap and view.until - alive < view.settings.unanswered_ns


def _captured(segments: Sequence[Segment]) -> bool:
    return any(not s.unseen for s in segments)


@dataclass
class _Close:
    """How far the close has come, as far as the capture tells."""

    view: View
    transitions: Sequence[Transition]

    def states(self) -> Iterator[State]:
        """The synchronized states, and CLOSED behind LAST-ACK, that are possible."""
        for closed, acked in self._own_close():
            for heard in self._heard():
                yield from self._states(closed, acked, heard)

    def _states(self, closed: bool, acked: bool, heard: bool) -> Iterator[State]:
        if not closed:
            yield _S.CLOSE_WAIT if heard else _S.ESTABLISHED
        elif not heard:
            yield _S.FIN_WAIT_2 if acked else _S.FIN_WAIT_1
        else:
            if not self._proven(_S.CLOSE_WAIT):
                yield _S.TIME_WAIT if acked else _S.CLOSING
            if not self._proven(_S.FIN_WAIT_1):
                yield _S.CLOSED if acked else _S.LAST_ACK

    def _proven(self, state: State) -> bool:
        return any(t.state is state and t.certainty is Certainty.PROVEN for t in self.transitions)

    def _own_close(self) -> frozenset[tuple[bool, bool]]:
        """(it has closed, its FIN was acknowledged to it)."""
        view = self.view
        fin = _end_of_fin(view.own)
        if fin is not None:
            if self._proven(_S.TIME_WAIT):
                return frozenset(((True, True),))
            # One that is not repeated was acknowledged, even if the capture missed that.
            acked = _acked_by(view.peer) >= fin or self._missed(view.peer, view.own)
            return frozenset(((True, False), (True, acked)))
        if self._missed(view.own, view.peer) or self._closed_before(view.own):
            return frozenset(((False, False), (True, False), (True, True)))
        return frozenset(((False, False), (self._closed_unseen(), False)))

    def _heard(self) -> frozenset[bool]:
        """The other side's FIN has arrived."""
        own, peer = self.view.own, self.view.peer
        fin = _end_of_fin(peer)
        if fin is not None:
            return frozenset((True, _acked_by(own) >= fin))
        return frozenset((False, self._missed(peer, own) or self._closed_before(peer)))

    def _missed(self, sent: Sequence[Segment], heard: Sequence[Segment]) -> bool:
        """The capture lacks segments that this side sent: all, or the last; or it shows that it lacks the other's."""
        if not _captured(sent) or not _captured(heard):
            return _lacks(sent, heard)  # one direction only, and that without gaps
        return self._gaps

    @cached_property
    def _gaps(self) -> bool:
        """The capture missed segments, of whichever side."""
        own, peer = self.view.own, self.view.peer
        if _lacks(own, peer) or _lacks(peer, own):
            return True
        gone = bool(self.transitions) and self.transitions[-1].state is _S.CLOSED
        reset = any(s.flags & RST for s in (*own, *peer))
        return not gone and _left(own, peer, self.view) or not reset and _left(peer, own, self.view)

    def _closed_before(self, sent: Sequence[Segment]) -> bool:
        """The capture began late, and shows nothing of this side that comes before a FIN."""
        if any(s.flags & SYN for s in (*self.view.own, *self.view.peer)):
            return False
        return not any(s.end > s.seq and not s.unseen for s in sent)

    def _closed_unseen(self) -> bool:
        """Its FIN waits behind data that is not acknowledged yet, or is on its way, or gets lost before the tap."""
        view = self.view
        acked = _acked_by(view.peer)
        if any(s.end > max(acked, s.seq) for s in view.own if not s.flags & SYN):
            return True
        return _unheard_of(view)


def _end_of_fin(sent: Sequence[Segment]) -> int | None:
    """The number behind its FIN; None if there is none, or only one that may have been data."""
    return max((s.end for s in sent if s.flags & FIN and not s.guessed), default=None)


def _acked_by(sent: Sequence[Segment]) -> int:
    return max((s.ack for s in sent if s.flags & (ACK | RST) == ACK and not s.unseen), default=0)


def _lacks(sent: Sequence[Segment], heard: Sequence[Segment]) -> bool:
    """Its own numbers, or the other side's ACKs, go beyond what the capture holds of what it sent."""
    captured = [s for s in sent if not s.unseen and not s.flags & RST]
    if not captured:
        return True
    held = max((s.end for s in captured if s.end > s.seq), default=captured[0].seq)
    return max(_acked_by(heard), *(s.seq for s in captured), held) > held


def _left(sent: Sequence[Segment], heard: Sequence[Segment], view: View) -> bool:
    """What it sent last was not acknowledged in the capture, and yet it did not send it again."""
    acked = _acked_by(heard)
    last = [s.at for s in sent if s.end > max(s.seq, acked) and not s.flags & (SYN | RST)]
    return bool(last) and view.until - last[-1] > view.settings.shortest_rto_ns
