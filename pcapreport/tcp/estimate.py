"""The best estimate of the moment at which a state was entered, inside the interval that must contain it.

A state that an endpoint enters by sending is entered when its segment leaves: half the round trip between tap and
endpoint before the segment passed the tap. One that it enters by receiving is entered when the segment arrives: half
that round trip after it passed. Half, as a tap cannot tell the way there from the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pcapreport.tcp.history import Transition
from pcapreport.tcp.states import TABLE

_SENDING = frozenset(rule.id for (_, given), rule in TABLE.items() if given.name.startswith("SEND"))
_RECEIVING = frozenset(rule.id for (_, given), rule in TABLE.items() if given.name.startswith("RECEIVE"))

_NEVER = -(1 << 63)


def estimates(
    history: Iterable[Transition],
    round_trip: int,
    measured: bool,
    greater: Callable[[Any, Any], Any] = max,
    lesser: Callable[[Any, Any], Any] = min,
) -> list[int | None]:
    """When each state of one endpoint was entered, ns; none before the one in front of it.

    `round_trip`: between the tap and that endpoint, ns, if it was `measured`. None where the state was there before the
    capture, or nothing bounds its beginning. For many endpoints at once whose histories differ in nothing but times,
    give columns of times and of round trips, and what compares columns.
    """
    found: list[int | None] = []
    one_way = round_trip // 2
    before: int = _NEVER
    for _, earliest, latest, _, rule, _, _ in history:
        if measured and latest is not None and rule in _SENDING:
            moment = latest - one_way
            if earliest is not None:
                moment = greater(moment, earliest)
        elif earliest is None:
            found.append(None)
            continue
        elif measured and rule in _RECEIVING:
            moment = earliest + one_way
            if latest is not None:
                moment = lesser(moment, latest)
        elif latest is not None:
            moment = earliest + (latest - earliest) // 2
        else:
            found.append(None)
            continue
        before = greater(moment, before)
        found.append(before)
    return found
