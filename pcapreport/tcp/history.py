"""What the reconstructor says of a connection: immutable, times in ns of capture time, None for an open end."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from pcapreport.language import Text, phrase
from pcapreport.tcp import sequence
from pcapreport.tcp.states import State

WORDS = (
    phrase("proven"),
    phrase("supposed"),
    phrase("assumed"),
    phrase("accepted-by-sequence"),
    phrase("accepted-by-timestamp"),
    phrase("after-expiry"),
    phrase("after-reset"),
    phrase("accepted"),
    phrase("challenged"),
    phrase("refused"),
    phrase("unanswered"),
    phrase("replaced-by-owner"),
    phrase("expiry"),
    phrase("reset"),
    phrase("reuse"),
    phrase("capture-end"),
    phrase("data"),
)
"""Of the lists below, so that translators find them; histories hold the plain words."""


class Certainty(StrEnum):
    """How well a transition is known (see the package's design: observation, not participation)."""

    PROVEN = "proven"
    """Shown by the same or a later segment of that endpoint."""
    SUPPOSED = "supposed"
    """Its cause passed the tap; the endpoint never showed it."""
    ASSUMED = "assumed"
    """By timer or convention, or the likeliest of what a late start leaves open."""


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
    what: str = ""
    """FIN, data or ACK."""


class Meeting(StrEnum):
    """How a SYN and TIME-WAIT got along."""

    HIGHER_SEQUENCE = "accepted-by-sequence"
    NEWER_TIMESTAMP = "accepted-by-timestamp"
    AFTER_EXPIRY = "after-expiry"
    AFTER_RESET = "after-reset"
    ACCEPTED = "accepted"
    """Though neither its number nor its timestamp is newer: TIME-WAIT must have ended before."""
    CHALLENGED = "challenged"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    BY_OWNER = "replaced-by-owner"
    """The host that waited opened the new connection itself."""


class LaterSyn(NamedTuple):
    """A SYN after the entry into TIME-WAIT; numbers raw."""

    frame: int
    at: int
    """ns."""
    meeting: Meeting
    seq: int
    next_seq: int
    """What the SYN's sender would have sent next in the old connection."""
    stamp: int | None
    """TSval; None without timestamps."""
    last_stamp: int | None
    """The latest TSval that the SYN's sender sent in the old connection."""
    may_be_over: bool
    """TIME-WAIT can have run out by then."""
    answer: int | None
    """Frame of what answered."""
    reset: int | None
    """Frame of the RST that answered a challenge."""
    again: int | None
    """ns until the same host's next SYN."""

    @property
    def higher(self) -> bool:
        """Its number is above all of the old connection's."""
        return sequence.distance(self.seq, self.next_seq) > 0

    @property
    def newer(self) -> bool:
        """Its timestamp is newer than the old connection's last."""
        return self.stamp is not None and (
            self.last_stamp is None or sequence.distance(self.stamp, self.last_stamp) > 0
        )


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
    later_syns: tuple[LaterSyn, ...] = ()
    """What met it on the same addresses and ports, and the first that came after it."""


class Withdrawn(NamedTuple):
    """A conclusion that later evidence contradicted."""

    words: str
    """A form with {frame} for the first of the frames that it names, {later} for the second, {times} for the number."""
    frames: tuple[int, ...]
    times: int = 0

    def told(self) -> Text:
        """In words."""
        named = dict(zip(("frame", "later"), self.frames, strict=False))
        return phrase(self.words, **named, **({"times": self.times} if self.times else {}))


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


def with_values(end: EndpointHistory, time: Callable[[int], Any], frame: Callable[[int], Any]) -> EndpointHistory:
    """The history of an endpoint with what `time` and `frame` make of each of its times and frames.

    That may be a column, for many endpoints at once; later SYNs stay as they are.
    """

    def ends(interval: tuple[int | None, int | None]) -> tuple[Any, Any]:
        return maybe(time, interval[0]), maybe(time, interval[1])

    def maybe(make: Callable[[int], Any], value: int | None) -> Any:
        return None if value is None else make(value)

    wait = end.time_wait
    return EndpointHistory(
        tuple(
            one._replace(
                earliest=maybe(time, one.earliest), latest=maybe(time, one.latest), frame=maybe(frame, one.frame)
            )
            for one in end.transitions
        ),
        end.possible_final,
        None
        if wait is None
        else wait._replace(
            entered=ends(wait.entered),
            restarts=tuple(one._replace(at=time(one.at), frame=frame(one.frame)) for one in wait.restarts),
            expires=ends(wait.expires),
            ended_at=maybe(time, wait.ended_at),
            ended_frame=maybe(frame, wait.ended_frame),
        ),
        tuple(note._replace(frames=tuple(map(frame, note.frames))) for note in end.withdrawn),
    )


class ConnectionHistory(NamedTuple):
    """Both ends, and what to call the opening and the closing."""

    client: EndpointHistory
    server: EndpointHistory
    opening: str
    closing: str
