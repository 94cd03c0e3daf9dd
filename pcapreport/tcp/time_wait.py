"""The TIME-WAIT ledger of one endpoint: opened at the entry, extended by what restarts it, closed by how it ended.

2MSL counts from the entry, and anew from each segment that the endpoint still answers: a repeated FIN (RFC 9293
section 3.10.7.4), and on Linux old data and a bare ACK as well. How long it lasts is the settings' profile; no segment
shows it.
"""

from __future__ import annotations

from pcapreport.tcp import timers
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN, Segment, View
from pcapreport.tcp.history import Restart, TimeWait
from pcapreport.tcp.moment import greatest
from pcapreport.tcp.timers import Interval


def opened(view: View, entered: Interval, slot: int) -> TimeWait:
    """The ledger of the endpoint that `view` is of. `slot`: index of its first own segment that was sent in
    TIME-WAIT."""
    heard = _heard_in(view, entered[0], slot)
    restarts = tuple(Restart(s.at, s.frame, _what(s)) for s in heard if s.flags & FIN or _answered(view, s))
    profile = view.settings.time_wait
    start = (restarts[-1].at, _arrived(view, restarts[-1].at)) if restarts else entered
    if heard:  # what it did not answer may have arrived and started 2MSL anew, or not
        start = _until(start, _arrived(view, heard[-1].at))
    answers = [s.at for s in view.own[slot + 1 :] if s.flags & (RST | ACK) == ACK]
    if answers:  # TIME-WAIT sends nothing by itself
        start = _until(start, answers[-1])
    expires = timers.expiry(start, profile)
    return TimeWait(entered, restarts, expires, profile.name, profile.two_msl_ns, "capture-end", None, None)


def _until(start: Interval, latest: int) -> Interval:
    """2MSL may have begun as late as this."""
    return start[0], None if start[1] is None else greatest((start[1], latest))


def _heard_in(view: View, entered: int | None, slot: int) -> list[Segment]:
    """The peer's segments that can start 2MSL anew, after the endpoint had shown TIME-WAIT."""
    if slot >= len(view.own):
        return []
    shown = view.own[slot].at
    since = (s for s in view.peer if not s.unseen and not s.flags & (RST | SYN) and s.at + view.delay > shown)
    return [s for s in since if entered is None or s.at > entered]


def _answered(view: View, segment: Segment) -> bool:
    answer = view.answer_to(segment)
    return answer is not None and answer.flags & (RST | ACK) == ACK


def _what(segment: Segment) -> str:
    return "FIN" if segment.flags & FIN else "data" if segment.length else "ACK"


def _arrived(view: View, at: int) -> int:
    return at + 2 * view.delay + view.settings.jitter_ns // 10


def ended(ledger: TimeWait | None, how: str, at: int | None, frame: int | None) -> TimeWait | None:
    """The ledger, where there is one, closed: how, when, and the frame that shows it."""
    return None if ledger is None else ledger._replace(ended_by=how, ended_at=at, ended_frame=frame)


def may_be_over(ledger: TimeWait, at: int) -> bool:
    """2MSL can have run out by then."""
    return ledger.expires[0] is not None and ledger.expires[0] <= at


def is_over(ledger: TimeWait, at: int) -> bool:
    """2MSL has run out by then, if the profile is right."""
    return ledger.expires[1] is not None and ledger.expires[1] <= at
