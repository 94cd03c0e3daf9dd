"""The TIME-WAIT ledger of one endpoint: opened at the entry, extended by what restarts it, closed by how it ended.

2MSL counts from the entry, and anew from each segment that the endpoint still answers: a repeated FIN (RFC 9293
section 3.10.7.4), and on Linux old data and a bare ACK as well. How long it lasts is the settings' profile; no segment
shows it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pcapreport.tcp import timers
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN, View
from pcapreport.tcp.history import Restart, TimeWait
from pcapreport.tcp.timers import Interval


def opened(view: View, entered: Interval, slot: int) -> TimeWait:
    """The ledger of the endpoint that `view` is of. `slot`: index of its first own segment that was sent in
    TIME-WAIT."""
    restarts = tuple(_restarts(view, entered[0], slot))
    profile = view.settings.time_wait
    start = entered
    if restarts:
        at = restarts[-1].at
        start = (at, at + 2 * view.delay + view.settings.jitter_ns // 10)
    expires = timers.expiry(start, profile)
    return TimeWait(entered, restarts, expires, profile.name, profile.two_msl_ns, "capture-end", None, None)


def _restarts(view: View, entered: int | None, slot: int) -> Iterator[Restart]:
    """The peer's segments that came after the endpoint had shown TIME-WAIT: each FIN, and what it answered by ACK."""
    if slot >= len(view.own):
        return
    shown = view.own[slot].at
    for segment in view.peer:
        if segment.unseen or segment.flags & (RST | SYN) or segment.at + view.delay <= shown:
            continue
        if entered is not None and segment.at <= entered:
            continue
        answer = view.slot(segment)
        answered = answer < len(view.own) and view.own[answer].flags & (RST | ACK) == ACK
        if segment.flags & FIN or answered:
            what = "FIN" if segment.flags & FIN else "data" if segment.length else "ACK"
            yield Restart(segment.at, segment.frame, what)


def ended(ledger: TimeWait | None, how: str, at: int | None, frame: int | None) -> TimeWait | None:
    """The ledger, where there is one, closed: how, when, and the frame that shows it."""
    return None if ledger is None else ledger._replace(ended_by=how, ended_at=at, ended_frame=frame)


def may_be_over(ledger: TimeWait, at: int) -> bool:
    """2MSL can have run out by then."""
    return ledger.expires[0] is not None and ledger.expires[0] <= at


def is_over(ledger: TimeWait, at: int) -> bool:
    """2MSL has run out by then, if the profile is right."""
    return ledger.expires[1] is not None and ledger.expires[1] <= at
