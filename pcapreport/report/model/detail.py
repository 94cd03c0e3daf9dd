"""What the page shows of a notable connection."""

from __future__ import annotations

from typing import Literal

from pcapreport.report.model.base import Record, Sender, Severity
from pcapreport.report.model.wireshark import OtherWord


class Step(Record, frozen=True, kw_only=True):
    """One line of the handshake or teardown table: what the standard expects against what was seen."""

    number: int
    sender: Sender
    segment: str
    """Such as "SYN", "SYN, ACK", "FIN, ACK"."""
    frame: int | None
    """Null: the step was not seen."""
    time_s: float | None
    seq: str
    """In words and numbers: "j = 0 (raw 123456)"."""
    ack: str
    expected: str
    """Such as "ack = j+1 = 1"."""
    observed: str
    ok: bool | None
    """Null: cannot be decided."""
    states: str
    """State of both sides after the step: "client SYN-SENT, server LISTEN"."""


class Segment(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A segment within a folded burst."""

    frame: int
    time_s: float
    sender: Sender
    flags: str
    seq: int
    ack: int | None = None
    length: int = 0


class LadderRow(Record, frozen=True, kw_only=True):
    """One row of the sequence diagram, top to bottom in capture order.

    kind: "segment" (one frame), "burst" (several data frames folded, with the pure ACKs that answer them),
    "gap" (silence worth a mark), "phantom" (a segment an ACK proves but the capture lacks), "event" (no segment: a
    timer expired, the capture ended).
    """

    kind: Literal["segment", "burst", "gap", "phantom", "event"]
    time_s: float | None
    client_state: str
    """State after this row; "" where unknown."""
    server_state: str
    sender: Sender | None = None
    frames: list[int] = []
    count: int = 1
    """Frames in the row (for a burst: data frames)."""
    end_s: float | None = None
    """Time of the last frame of a burst, or the end of a gap."""
    flags: str = ""
    """Such as "SYN, ACK"."""
    seq: int | None = None
    """Relative to the sender's ISN, as Wireshark shows it."""
    ack: int | None = None
    length: int = 0
    """Payload bytes (of all frames of a burst)."""
    window: int | None = None
    """Bytes, scaled where the scale is known."""
    text: str = ""
    """What to write where there is no segment, or beside it."""
    rules: list[str] = []
    """Findings that name a frame of this row."""
    severity: Severity | None = None
    """The worst of them."""
    again_of: int | None = None
    """The frame that this one sends again."""
    lost: bool = False
    """It did not arrive: the other side asked for it, and it was sent again."""
    inner: list[Segment] = []
    """The first segments of a burst."""


class Series(Record, frozen=True, kw_only=True):
    """A curve of one direction.

    Of the time-sequence plot (kinds data, retransmission, ack, window) the values are relative sequence numbers: end of
    the data, ACK, window edge. "flight": bytes sent and not acknowledged at the tap; "offered": the window the other
    side offers, bytes; "rtt": microseconds from a segment of `sender` to its acknowledgment; "rate": new bytes a
    second.
    """

    sender: Sender
    kind: Literal["data", "retransmission", "ack", "window", "flight", "offered", "rtt", "rate"]
    time_s: list[float]
    value: list[int]


class Detail(Record, frozen=True, kw_only=True):
    """What the page shows of a notable connection beyond its histories."""

    ladder: list[LadderRow]
    handshake: list[Step]
    teardown: list[Step]
    series: list[Series]
    ladder_omitted: str = ""
    """What the ladder leaves out, in words; "" if nothing."""
    wireshark: list[OtherWord] = []
    """The first frames that Wireshark calls otherwise."""
    reading: str = ""
    """The connection told in two or three sentences."""
