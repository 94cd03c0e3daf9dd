"""What a laboratory report tells of one connection: its steps, its header fields, its measurements, its questions."""

from __future__ import annotations

from pcapreport.report.model.base import Record, Sender


class LabField(Record, frozen=True, kw_only=True):
    """A field of a TCP header as captured."""

    name: str
    bits: int
    value: str
    meaning: str
    hex: str = ""
    """Its bytes, where it takes whole ones; "" where they were not captured or are not to be shown."""


class LabPacket(Record, frozen=True, kw_only=True):
    """One segment taken apart."""

    title: str
    frame: int
    time_s: float
    sender: Sender
    filter: str
    flags: str
    """Such as "SYN, ACK"."""
    length: int
    """Payload bytes."""
    fields: list[LabField]
    client_state: str
    """After the segment; "" where unknown."""
    server_state: str


class LabStep(Record, frozen=True, kw_only=True):
    """One step of the opening or the release, in words."""

    text: str
    frame: int | None
    """Null: not captured."""
    client_state: str
    server_state: str


class LabProcess(Record, frozen=True, kw_only=True):
    """The opening or the release of the connection."""

    kind: str
    """The variant: three-way, fast-open, four-segments, three-segments, simultaneous, reset, half-closed, ..."""
    variant: str
    """What it is and how it differs from the textbook, in words."""
    steps: list[LabStep]
    packets: list[LabPacket]
    remarks: list[str] = []
    """Why it went so, in sentences."""


class LabSample(Record, frozen=True, kw_only=True):
    """A data segment and its round trip; the estimates are null where there is no sample yet."""

    frame: int
    seq: int
    """Relative."""
    raw_seq: int
    length: int
    sent_s: float
    ack_frame: int | None
    """The first segment that acknowledges all of it."""
    acked_s: float | None
    sample_rtt_s: float | None
    """Null where it was sent again (Karn) or never acknowledged."""
    estimated_rtt_s: float | None = None
    """Textbook: the first sample, then 7/8 of the estimate and 1/8 of the sample."""
    dev_rtt_s: float | None = None
    """Textbook: 0, then 3/4 of it and 1/4 of |sample - new estimate|."""
    timeout_s: float | None = None
    """Textbook: estimate + 4 x deviation."""
    srtt_s: float | None = None
    """RFC 6298 section 2."""
    rttvar_s: float | None = None
    rto_s: float | None = None
    """SRTT + 4 x RTTVAR, before the least of 1 s that the RFC asks for."""


class LabTransfer(Record, frozen=True, kw_only=True):
    """The data of the side that sent more, and how it was acknowledged."""

    sender: Sender
    segments: int
    """With data sent for the first time, copies left out."""
    bytes: int
    """Each counted once."""
    samples: list[LabSample]
    """Of the first segments."""
    typical_length: int
    """The most frequent payload length."""
    mss: int | None
    """That the receiver offered."""
    first_s: float
    """When the first data segment passed the tap."""
    last_ack_s: float | None
    """When the last new acknowledgment of data did."""
    throughput: float | None
    """Bytes a second from the first data segment to the last new acknowledgment; null where that takes no time."""
    acknowledgments: int
    """That acknowledged new data."""
    covered: dict[str, int]
    """How many of them acknowledged "1", "2" or "more" data segments."""
    typical_acknowledged: int | None
    """The most frequent number of bytes that one of them acknowledged."""
    duplicate_acks: int
    sent_again: list[int]
    """Frames."""
    least_window: int | None
    """Of the receiver, bytes, scaled; null where the scale is not known."""
    least_window_frame: int | None


class LabQuestion(Record, frozen=True, kw_only=True):
    """A question as laboratory sheets ask it, answered from the capture."""

    id: str
    topic: str
    text: str
    answers: list[str]
    """In sentences; "cannot be decided from this capture" and why is one of them where it cannot."""
    how: str
    """How the answer is read off the capture."""
    decided: bool
    frames: list[int] = []
    filter: str = ""
    values: dict[str, int | float | str] = {}
    """What an answer has to hold, by name."""
    tolerance: float = 0.0
    """By how much of itself a number of `values` may differ."""


class Lab(Record, frozen=True, kw_only=True):
    """The laboratory report's own part of the document."""

    connection: int
    """Its number."""
    parts: dict[str, bool]
    """Whether the connection shows its handshake, data, teardown and time_wait."""
    opening: LabProcess
    release: LabProcess
    transfer: LabTransfer | None
    questions: list[LabQuestion]
    summary: list[str]
    segments: str = ""
    """The same for captures with the same segments, however they were saved."""
    connections: list[str] = []
    """Of the first connections, what each has in every capture."""
