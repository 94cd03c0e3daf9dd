"""What the reconstructor says of a connection: immutable, times in ns of capture time, None for an open end."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from pcapreport.tcp.states import State


class Certainty(StrEnum):
    """How well a transition is known (see the package's design: observation, not participation)."""

    PROVEN = "proven"
    """Shown by the same or a later segment of that endpoint."""
    SUPPOSED = "supposed"
    """Its cause passed the tap; the endpoint never showed it."""
    ASSUMED = "assumed"
    """By timer or convention."""


class Transition(NamedTuple):
    """A state and when it was entered: some time in [earliest, latest]."""

    state: State
    earliest: int | None
    latest: int | None
    frame: int | None
    rule: str
    certainty: Certainty
    note: str = ""


class Restart(NamedTuple):
    """A segment that started 2MSL anew."""

    at: int
    frame: int


class TimeWait(NamedTuple):
    """The TIME-WAIT ledger of one endpoint. `expires` counts from the entry or the last restart."""

    entered: tuple[int | None, int | None]
    restarts: tuple[Restart, ...]
    expires: tuple[int | None, int | None]
    profile: str
    two_msl: int
    ended_by: str
    """expiry, reset, reuse or capture-end."""
    ended_at: int | None
    ended_frame: int | None


class Withdrawn(NamedTuple):
    """A conclusion that later evidence contradicted; `words` has a {} for each of the frames it names."""

    words: str
    frames: tuple[int, ...]

    def __str__(self) -> str:
        return self.words.format(*self.frames)


class EndpointHistory(NamedTuple):
    """One endpoint's states, first to last."""

    transitions: tuple[Transition, ...]
    possible_final: frozenset[State]
    time_wait: TimeWait | None
    withdrawn: tuple[Withdrawn, ...]

    @property
    def final(self) -> State | None:
        """The last state named; None if the capture says nothing of this endpoint."""
        return self.transitions[-1].state if self.transitions else None


class ConnectionHistory(NamedTuple):
    """Both ends, and what to call the opening and the closing."""

    client: EndpointHistory
    server: EndpointHistory
    opening: str
    closing: str
