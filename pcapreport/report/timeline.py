"""What happened to a connection in order of time: changes of state, findings, silences and timers, for a ticket.

Made of the result document alone. What one frame brought stands in one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pcapreport.report.model import Certainty, Connection, Finding, LadderRow, Sender, Transition
from pcapreport.report.row_words import caption
from pcapreport.report.wording import SEVERITY_RANK

MOST_EVENTS = 25
"""A longer list is a packet table, and there is one."""
NAMED_RANK = {"error": 0, "warning": 1, "note": 4}
STATES_RANK, SILENCE_RANK = 2, 3


@dataclass(slots=True)
class Event:
    """A row: a segment, a silence or a timer, and what came of it."""

    time_s: float | None
    frame: int | None
    sender: Sender | None = None
    what: tuple[str, str] = ("", "")
    """As a row of the diagram says it: what matters first, then the numbers."""
    states: list[tuple[Sender, str, Certainty]] = field(default_factory=list)
    """Which side entered which state by it."""
    findings: list[Finding] = field(default_factory=list)
    """Those that begin here, the worst first."""
    silence_s: float = 0.0

    @property
    def rank(self) -> tuple[int, float]:
        """What a short list keeps comes first."""
        ranks = [NAMED_RANK[finding.severity] for finding in self.findings]
        ranks += [STATES_RANK] if self.states or (self.frame is None and not self.silence_s) else []
        return min(ranks, default=SILENCE_RANK), -self.silence_s


def timeline(connection: Connection, most: int = MOST_EVENTS) -> tuple[list[Event], int]:
    """The events, at most so many, in order of time; and how many are left out, none of which matters more."""
    events = list(_events(connection))
    kept = sorted(range(len(events)), key=lambda at: (events[at].rank, at))[:most]
    return [events[at] for at in sorted(kept)], len(events) - len(kept)


def _events(connection: Connection) -> Iterator[Event]:
    """All of them, by time; equals by frame."""
    ladder = connection.detail.ladder if connection.detail else []
    of_frame = {frame: row for row in ladder for frame in row.frames}
    by_frame: dict[int, Event] = {}

    def at(frame: int, time_s: float | None) -> Event:
        if frame not in by_frame:
            by_frame[frame] = _segment(frame, time_s, of_frame.get(frame))
        return by_frame[frame]

    for side, change in _changes(connection):
        if change.frame is not None:
            at(change.frame, _moment(change)).states.append((side, change.state, change.certainty))
    for finding in sorted(connection.findings, key=lambda one: SEVERITY_RANK[one.severity]):
        if finding.frames:
            at(min(finding.frames), finding.time_s).findings.append(finding)
    others = [_without_segment(row) for row in ladder if row.kind in ("gap", "event")]
    unframed = [Event(f.time_s, None, findings=[f]) for f in connection.findings if not f.frames]
    yield from sorted((*by_frame.values(), *others, *unframed), key=_place)


def _place(event: Event) -> tuple[float, float]:
    """Where time is not known by the frame, at the end."""
    endless = float("inf")
    return (
        event.time_s if event.time_s is not None else endless,
        event.frame if event.frame is not None else endless,
    )


def _changes(connection: Connection) -> Iterator[tuple[Sender, Transition]]:
    sides: tuple[tuple[Sender, list[Transition]], ...] = (
        ("client", connection.endpoints.client.history),
        ("server", connection.endpoints.server.history),
    )
    for side, history in sides:
        for change in history:
            yield side, change


def _moment(change: Transition) -> float | None:
    earliest, latest = change.entered_s
    return next((time for time in (earliest, change.estimate_s, latest) if time is not None), None)


def _segment(frame: int, time_s: float | None, row: LadderRow | None) -> Event:
    """Of a frame within a burst only what is told of it one by one."""
    if row is None:
        return Event(time_s, frame)
    if row.frames == [frame]:
        return Event(row.time_s, frame, row.sender, caption(row))
    inner = next((one for one in row.inner if one.frame == frame), None)
    if inner is None:
        return Event(time_s if time_s is not None else row.time_s, frame, row.sender)
    return Event(inner.time_s, frame, inner.sender, (inner.flags, f"seq {inner.seq}"))


def _without_segment(row: LadderRow) -> Event:
    length = row.end_s - row.time_s if row.kind == "gap" and row.end_s is not None and row.time_s is not None else 0.0
    return Event(row.time_s, None, what=caption(row), silence_s=length)
