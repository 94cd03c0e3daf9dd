"""The result document, version 1: everything a renderer may show, typed and immutable.

It round-trips through JSON (`encode`, `decode`) and describes itself (`schema`). Times are seconds since the first
packet of the capture, exact to the nanosecond; an open end of an interval is null. Frames are 1-based over all
records, as Wireshark counts. Fields are added, never renamed, within a major version.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SCHEMA_VERSION = "1.0"
RETRANSMISSION_RULES = frozenset(
    (
        "retransmission",
        "fast_retransmission",
        "spurious_retransmission",
        "tail_loss_probe",
        "syn_retransmission",
        "syn_ack_retransmission",
        "fin_retransmission",
    )
)
"""Rules whose frames send bytes, SYN or FIN again; each such frame is under exactly one."""

Side = Literal["client", "server", "network", "capture"]
Sender = Literal["client", "server"]
Severity = Literal["note", "warning", "error"]
Confidence = Literal["high", "medium", "low"]
Certainty = Literal["proven", "supposed", "assumed"]
Interval = tuple[float | None, float | None]
Status = Literal["new", "unchanged"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every part of the document."""


class Tool(Record, frozen=True, kw_only=True):
    """The program that made the document."""

    name: str
    version: str


class Interface(Record, frozen=True, kw_only=True):
    """A capture interface."""

    link_type: int
    link_name: str
    snaplen: int
    resolution: str
    name: str = ""
    description: str = ""
    os: str = ""
    drops: int | None = None


class Problem(Record, frozen=True, kw_only=True):
    """Damage or an oddity of the capture file."""

    code: str
    message: str
    offset: int | None = None
    frame: int | None = None
    skipped: int = 0
    """Bytes passed over before reading went on."""


class Comment(Record, frozen=True, kw_only=True):
    """A comment stored in the capture; frame 0: about the whole."""

    frame: int
    text: str


class Capture(Record, frozen=True, kw_only=True):
    """The evidence: which bytes were read and how sound they are."""

    file: str
    sha256: str
    size_bytes: int
    container: str
    compression: str
    packets: int
    tcp_packets: int
    start: str | None
    """Time of the first packet, ISO 8601, UTC, nine decimals; null without packets."""
    duration_s: float
    complete: bool
    interfaces: list[Interface]
    problems: list[Problem]
    byte_order: str = ""
    comments: list[Comment] = []
    application: str = ""
    os: str = ""
    hardware: str = ""
    other_packets: dict[str, int] = {}
    """Records without a TCP segment, by what they are."""
    other_blocks: dict[str, int] = {}
    """pcapng blocks without a packet that were skipped, by kind."""
    encapsulations: list[str] = []


class Endpoint(Record, frozen=True, kw_only=True):
    """One end of a connection."""

    address: str
    port: int


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


class Alternative(Record, frozen=True, kw_only=True):
    """A competing explanation."""

    explanation: str
    confidence: Confidence


class Finding(Record, frozen=True, kw_only=True):
    """Something that went wrong or is worth knowing, with every frame that shows it."""

    rule: str
    severity: Severity
    confidence: Confidence
    side: Side
    frames: list[int]
    time_s: float | None
    summary: str
    alternatives: list[Alternative] = []
    title: str = ""
    """The rule's name in plain words."""
    filter: str = ""
    """Wireshark display filter that shows the frames."""
    id: str = ""
    """Rule, side and scope: the same in another run about the same hosts; several findings may share it."""
    status: Status | None = None
    """Compared with the baseline, if there is one."""


class Gone(Record, frozen=True, kw_only=True):
    """A finding of the baseline that is no more; the first of those that share its id."""

    id: str
    rule: str
    severity: Severity
    summary: str


class CountChange(Record, frozen=True, kw_only=True):
    """There are more or fewer findings of one id than in the baseline."""

    id: str
    before: int
    now: int


class Comparison(Record, frozen=True, kw_only=True):
    """With an earlier run."""

    file: str
    """Its document; "" where it knew no such capture."""
    new: int
    unchanged: int
    gone: list[Gone]
    new_by_severity: dict[Severity, int]
    counts_changed: list[CountChange]


class WiresharkDifference(Record, frozen=True, kw_only=True):
    """Frames that have one of Wireshark's fields and are called otherwise here, or the other way round."""

    wireshark: bool
    """They have the field; otherwise only this report has what corresponds to it."""
    called: str
    """The rule that names them here; "" where none does."""
    reason: str
    count: int
    frames: list[int]
    """The first ones."""
    filter: str


class WiresharkField(Record, frozen=True, kw_only=True):
    """How often Wireshark marks a segment with one of its fields, and how often this report says the same."""

    field: str
    wireshark: int
    ours: int | None
    """None: nothing here corresponds to it."""
    differences: list[WiresharkDifference]


class OtherWord(Record, frozen=True, kw_only=True):
    """A frame that Wireshark calls otherwise."""

    frame: int
    wireshark: list[str]
    """Its fields without "tcp.analysis."."""
    called: list[str]
    """Rules that name it here."""
    reason: str


class Suppressed(Record, frozen=True, kw_only=True):
    """A rule that the project has switched off or lowered."""

    rule: str
    severity: Literal["off", "note", "warning"]
    reason: str
    findings: int
    """Left out, or told as less severe than they are."""


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


class Series(Record, frozen=True, kw_only=True):
    """One direction of the time-sequence plot. `kind` per point: data, retransmission, ack, window, syn, fin, rst."""

    sender: Sender
    kind: Literal["data", "retransmission", "ack", "window"]
    time_s: list[float]
    value: list[int]
    """Relative sequence number: end of the data, ACK, or window edge."""


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


class Metrics(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers of one connection; `client` means sent by the client. Null: not measurable here."""

    client_packets: int
    server_packets: int
    client_bytes: int
    """Payload bytes, each counted once, however often it was sent."""
    server_bytes: int
    client_retransmitted: int
    """Frames that sent bytes, SYN or FIN again."""
    server_retransmitted: int
    handshake_s: float | None
    """SYN to the segment that completes the handshake, as seen at the tap."""
    client_rtt_s: float | None = None
    """Median time from a segment to the client until its acknowledgment, at the tap."""
    server_rtt_s: float | None = None
    client_window_scale: int | None = None
    server_window_scale: int | None = None
    client_mss: int | None = None
    server_mss: int | None = None
    client_isn: int | None = None
    server_isn: int | None = None
    client_min_window: int | None = None
    server_min_window: int | None = None


class Vantage(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Where on the path of one connection the capture was taken. Null: not measurable here."""

    place: Literal["client", "server", "middle", "unknown"]
    client_round_trip_s: float | None = None
    """From the tap to the client and back: its quickest answer."""
    server_round_trip_s: float | None = None
    client_samples: int = 0
    """Answers of the client that it is the quickest of."""
    server_samples: int = 0
    client_ttl: int | None = None
    """TTL or hop limit of its first segment, as captured."""
    server_ttl: int | None = None
    reason: str = ""
    """In words, for connections with a detail."""


class CaptureVantage(Record, frozen=True, kw_only=True):
    """Where the capture was taken, as its connections tell."""

    connections: dict[str, int]
    """How many connections tell which place."""
    host: str
    """Address of the host that it was taken on; "" if that is not known."""
    summary: str


class Connection(Record, frozen=True, kw_only=True):
    """One incarnation of a 4-tuple."""

    id: int
    client: Endpoint
    server: Endpoint
    start_s: float
    end_s: float
    packets: int
    opening: str
    closing: str
    endpoints: Endpoints
    findings: list[Finding]
    metrics: Metrics
    first_frame: int
    last_frame: int
    opener_known_by: str
    """How we know which side is the client."""
    filter: str
    """Wireshark display filter for this connection."""
    severity: Severity | None = None
    """The worst of its findings."""
    anchor: str = ""
    """Stable id on the page, from content."""
    encapsulation: str = ""
    vantage: Vantage | None = None
    detail: Detail | None = None


class Verdict(Record, frozen=True, kw_only=True):
    """One sentence that answers: what happened, who did it, how do we know."""

    text: str
    side: Side | Literal["none", "undecidable"]
    confidence: Confidence
    findings: list[str]
    """Rules it rests on."""
    evidence: list[str] = []
    """Facts with frame numbers, in words."""
    cannot_know: list[str] = []
    """What this capture cannot tell."""


class Crowd(Record, frozen=True, kw_only=True):
    """What a client holds in TIME-WAIT towards one server address and port."""

    address: str
    port: int
    peak: int
    """The most at once: so many of its ports were taken."""
    peak_s: float
    """When that was reached first."""
    first_port: int
    """From here it opens connections: usual for its system, or beyond where it did so."""
    last_port: int
    share: float
    """Peak / ports of this range."""


class Host(Record, frozen=True, kw_only=True):
    """A host that was in TIME-WAIT, and how often at once, as far as the capture shows."""

    address: str
    system: Literal["unknown", "linux", "windows", "macos", "bsd"]
    """A guess from what its SYNs and SYN-ACKs look like."""
    evidence: list[str]
    """For that guess, or why there is none, in words."""
    profile: str
    two_msl_s: float
    time_waits: int
    """How often it entered TIME-WAIT."""
    peak: int
    peak_s: float
    busiest: Crowd | None
    """The server towards which it held most as a client; null where the other sides were the clients."""


class Totals(Record, frozen=True, kw_only=True):
    """Counts over all connections, whether or not the document at hand holds them all."""

    connections: int
    openings: dict[str, int]
    closings: dict[str, int]
    findings: dict[Severity, int]
    """By severity, those about the capture as a whole included."""
    time_waits: int
    """Endpoints that entered TIME-WAIT."""
    retransmitted: int
    """Frames that sent bytes, SYN or FIN again."""


class Document(Record, frozen=True, kw_only=True):
    """The whole result for one capture.

    Saved, it holds all connections; the one that a page is made from may hold only those that the page shows.
    """

    schema_version: str
    tool: Tool
    options: dict[str, Any]
    capture: Capture
    connections: list[Connection]
    findings: list[Finding]
    verdict: Verdict
    totals: Totals
    hosts: list[Host] = []
    """Those that were in TIME-WAIT, the highest peaks first; at most a thousand."""
    connections_shown_in_detail: int = 0
    vantage: CaptureVantage | None = None
    method: list[str] = []
    """How the results were reached, in sentences; limits included."""
    baseline: Comparison | None = None
    suppressed: list[Suppressed] = []
    wireshark: list[WiresharkField] = []
    """Wireshark 4.0's analysis with its usual preferences, compared."""
    rules: dict[str, str] = {}
    """Every rule named in the document (transition rules included) and what it says."""


def spelled(word: str) -> Any:
    """A word of one of the document's closed lists, as a plain string (decoding checks that it is in its list)."""
    return str(word)


def encode(document: Document) -> bytes:
    """The document as deterministic UTF-8 JSON."""
    return msgspec.json.encode(document)


def encode_around(document: Document) -> tuple[bytes, bytes]:
    """The JSON of a document before its connections and after them.

    Inside a JSON string every quote has a backslash before it, so that text from a capture cannot look like the seam.
    """
    before, seam, after = encode(msgspec.structs.replace(document, connections=[])).partition(b'"connections":[]')
    return before + seam[:-1], b"]" + after


def decode(data: bytes) -> Document:
    """A document from its JSON.

    Raises ValueError where the bytes are not one, or one of another major version.
    """
    document = msgspec.json.decode(data, type=Document)
    if document.schema_version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise ValueError(f"its schema_version is {document.schema_version}, this program reads {SCHEMA_VERSION}")
    return document


def schema() -> dict[str, Any]:
    """JSON Schema of the document."""
    return msgspec.json.schema(Document)
