"""The TIME-WAIT ledger of one endpoint: when 2MSL began, what started it anew, when and by what it ended.

2MSL runs from the entry, and again from each segment that the endpoint had to acknowledge (RFC 9293 section 3.10.7.4,
and a retransmitted FIN above all). A new SYN on the same ports ends it early, or finds it run out.
"""

from __future__ import annotations

from pcapreport.tcp import timers
from pcapreport.tcp.evidence import ACK, FIN, RST, SYN, View
from pcapreport.tcp.history import Restart, TimeWait, Transition

EXPIRY, REUSE, RESET, CAPTURE_END = "expiry", "reuse", "reset", "capture-end"


def opened(view: View, entered: Transition, slot: int) -> TimeWait:
    """The ledger of the endpoint that came to TIME-WAIT by `entered`, before its own segment `slot`."""
    restarts = _restarts(view, entered, slot)
    start = (entered.earliest, entered.latest)
    if restarts:
        at = restarts[-1].at
        start = (at, at + 2 * view.delay + view.settings.jitter_ns // 10)
    profile = view.settings.time_wait
    expires = timers.expiry(start, profile)
    return TimeWait(
        (entered.earliest, entered.latest),
        restarts,
        expires,
        profile.name,
        profile.two_msl_ns,
        CAPTURE_END,
        None,
        None,
    )


def _restarts(view: View, entered: Transition, slot: int) -> tuple[Restart, ...]:
    """The segments that reached it in TIME-WAIT and that it acknowledged, or must have: a FIN again."""
    shown = view.own[slot].at if slot < len(view.own) else None
    restarts = []
    for segment in view.peer:
        if shown is None or segment.unseen or segment.flags & (RST | SYN) or segment.at + view.delay <= shown:
            continue
        if segment.at <= entered.earliest if entered.earliest is not None else False:
            continue
        answer = view.slot(segment)
        answered = answer < len(view.own) and view.own[answer].flags & (RST | ACK) == ACK
        if segment.flags & FIN or answered:
            restarts.append(Restart(segment.at, segment.frame))
    return tuple(restarts)


def ended(ledger: TimeWait | None, how: str, at: int | None, frame: int | None) -> TimeWait | None:
    """The ledger with its end."""
    return None if ledger is None else ledger._replace(ended_by=how, ended_at=at, ended_frame=frame)


def surely_over(ledger: TimeWait | None, at: int) -> bool:
    """2MSL has run out by then, even if it began at the last possible moment."""
    return ledger is not None and ledger.expires[1] is not None and ledger.expires[1] <= at


def perhaps_over(ledger: TimeWait | None, at: int) -> bool:
    """2MSL can have run out by then, if it began at the first possible moment."""
    return ledger is not None and ledger.expires[0] is not None and ledger.expires[0] <= at
