"""What the TCP of each endpoint went through."""

from __future__ import annotations

from typing import Literal

from pcapreport.report.model.base import Certainty, Interval, Record


class Transition(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of a state history."""

    state: str
    entered_s: Interval
    estimate_s: float | None = None
    """The likeliest moment within the interval; null where the state was there before the capture."""
    frame: int | None
    """The frame that caused or shows it; null for a timer or a convention."""
    rule: str
    certainty: Certainty
    note: str = ""


class TimeWaitRestart(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A segment that started 2MSL anew."""

    at_s: float
    frame: int
    segment: str = ""
    """FIN (sent again), data (sent again) or ACK; each of which was answered."""


class LaterSyn(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A SYN on the same addresses and ports after the entry into TIME-WAIT, and what became of it."""

    frame: int
    at_s: float
    verdict: Literal[
        "accepted-by-sequence",
        "accepted-by-timestamp",
        "after-expiry",
        "after-reset",
        "accepted",
        "challenged",
        "refused",
        "unanswered",
        "replaced-by-owner",
    ]
    text: str
    seq: int
    """Raw, as all numbers here."""
    next_seq: int
    """What its sender would have sent next in the old connection."""
    ts_val: int | None = None
    last_ts_val: int | None = None
    """The latest that its sender sent in the old connection; null without timestamps."""
    answer_frame: int | None = None
    reset_frame: int | None = None


class TimeWait(Record, frozen=True, kw_only=True):
    """The TIME-WAIT ledger of one endpoint."""

    entered_s: Interval
    restarts: list[TimeWaitRestart]
    expires_s: Interval
    profile: str
    two_msl_s: float
    ended_by: Literal["expiry", "reset", "reuse", "capture-end"]
    ended_s: float | None = None
    ended_frame: int | None = None
    later_syns: list[LaterSyn] = []
    """Those that met it, and the first one after it."""


class EndpointHistory(Record, frozen=True, kw_only=True, omit_defaults=True):
    """What one endpoint's TCP went through."""

    history: list[Transition]
    possible_final_states: list[str]
    time_wait: TimeWait | None
    withdrawn: list[str] = []
    """Conclusions that later evidence contradicted, in words."""


class Endpoints(Record, frozen=True, kw_only=True):
    """Both ends."""

    client: EndpointHistory
    server: EndpointHistory
