"""An input of the state machine as a fact about one endpoint: what took effect, when, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pcapreport.tcp.evidence import Segment, View
from pcapreport.tcp.history import Certainty
from pcapreport.tcp.states import Input

PROVEN, SUPPOSED = Certainty.PROVEN, Certainty.SUPPOSED

OPENING, OPENED, SENT_UNSEEN, EARLIER, RECEIVED, SENT, RESET = range(7)
"""Order of inputs that fall before the same own segment: as connections go, and sending last."""


class Fact(NamedTuple):
    """One input of the machine: it took effect at some time in [earliest, latest]."""

    slot: int
    """Before the endpoint's own segment of this index."""
    order: int
    input: Input
    earliest: int | None
    latest: int | None
    frame: int | None
    certainty: Certainty
    note: str = ""


class Withdraw(Protocol):
    """Takes back a conclusion; `words`: the form of history.Withdrawn."""

    def __call__(self, words: str, *named: Segment, times: int = 0) -> None: ...


def arrival(
    view: View,
    kind: Input,
    copies: Sequence[Segment],
    shown: int | None,
    order: int = RECEIVED,
    slot: int | None = None,
) -> Fact:
    """The fact that one of `copies` arrived; `shown`: index of the own segment that proves it."""
    if shown is not None:
        at = view.own[shown].at
        possible = [s for s in copies if s.at <= at] or list(copies[:1])
        cause = [s for s in possible if s.at + view.delay <= at] or possible[:1]
        guessed = view.own[shown].guessed or cause[-1].guessed
        return Fact(
            shown if slot is None else slot,
            order,
            kind,
            possible[0].earliest,
            at,
            cause[-1].frame,
            SUPPOSED if guessed else PROVEN,
        )
    first = copies[0]
    where = len(view.own) if slot is None else slot
    return Fact(where, order, kind, first.earliest, view.latest_arrival(first), first.frame, SUPPOSED)
