"""One incarnation of a 4-tuple, and its numbers."""

from __future__ import annotations

from typing import Literal

from pcapreport.report.model.base import Record, Severity
from pcapreport.report.model.detail import Detail
from pcapreport.report.model.findings import Finding
from pcapreport.report.model.history import Endpoints


class Endpoint(Record, frozen=True, kw_only=True):
    """One end of a connection."""

    address: str
    port: int


class TimeSpent(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Where time went, in seconds; of one connection it adds up to its duration."""

    handshake_s: float = 0.0
    client_s: float = 0.0
    """The client's application, which could have sent."""
    server_s: float = 0.0
    network_s: float = 0.0
    """Transfer at the pace of the network."""
    recovery_s: float = 0.0
    """Up to each segment that was sent again."""
    client_window_s: float = 0.0
    """The client's receive window was closed."""
    server_window_s: float = 0.0
    close_s: float = 0.0
    idle_s: float = 0.0
    """Both sides had said all."""
    unknown_s: float = 0.0


class Responses(Record, frozen=True, kw_only=True):
    """How long the server's answers took: from the last data of the client to the first of the server, at the tap."""

    count: int
    median_s: float
    p95_s: float
    longest_s: float
    longest_request_frame: int
    longest_response_frame: int


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
    time_ledger: TimeSpent | None = None
    responses: Responses | None = None
    """Null: the server answered nothing."""


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
