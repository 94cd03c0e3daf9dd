"""The best estimate of the moment at which a state was entered, inside the interval that must contain it.

A state that an endpoint enters by sending is entered when its segment leaves: half the round trip between tap and
endpoint before the segment passed the tap. One that it enters by receiving is entered when the segment arrives: half
that round trip after it passed. Half, as a tap cannot tell the way there from the way back.
"""

from __future__ import annotations

from collections.abc import Iterable

from pcapreport.tcp.history import Transition
from pcapreport.tcp.states import TABLE
from pcapreport.tcp.vantage import UNKNOWN_NS

_SENDING = frozenset(rule.id for (_, given), rule in TABLE.items() if given.name.startswith("SEND"))
_RECEIVING = frozenset(rule.id for (_, given), rule in TABLE.items() if given.name.startswith("RECEIVE"))


def estimate(entered: Transition, round_trip: int) -> int | None:
    """When the state was entered, ns; `round_trip` between the tap and that endpoint, ns (UNKNOWN_NS: not measured).

    None where the state was there before the capture, or nothing bounds its beginning.
    """
    earliest, latest, rule = entered.earliest, entered.latest, entered.rule
    if rule in _SENDING and latest is not None and round_trip != UNKNOWN_NS:
        left = latest - round_trip // 2
        return left if earliest is None or left > earliest else earliest
    if earliest is None:
        return None
    if rule in _RECEIVING and round_trip != UNKNOWN_NS:
        arrived = earliest + round_trip // 2
        return arrived if latest is None or arrived < latest else latest
    return None if latest is None else (earliest + latest) // 2


def estimates(history: Iterable[Transition], round_trip: int) -> list[int | None]:
    """Of each state of one endpoint, in order; none before the one in front of it."""
    found: list[int | None] = []
    before: int | None = None
    for entered in history:
        moment = estimate(entered, round_trip)
        if moment is not None:
            before = moment if before is None or moment > before else before
            found.append(before)
        else:
            found.append(None)
    return found
