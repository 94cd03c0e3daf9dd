"""What a capture adds to an index over many."""

from __future__ import annotations

from pcapreport.report.model.base import Record
from pcapreport.report.model.connection import Endpoint


class Talker(Record, frozen=True, kw_only=True):
    """A host of a capture, and what it said; bytes are those on the wire, all headers included, copies left out."""

    address: str
    connections: int
    packets: int
    """Those that it sent."""
    sent_bytes: int
    received_bytes: int


class SlowConnection(Record, frozen=True, kw_only=True):
    """A connection whose handshake, or whose longest answer, took long."""

    connection: int
    """Its id."""
    client: Endpoint
    server: Endpoint
    took_s: float


class Across(Record, frozen=True, kw_only=True):
    """What makes a capture comparable with others, told in full even where not all connections are listed."""

    talkers: list[Talker]
    """The hosts that sent and received most; at most twenty."""
    hosts: int
    """How many there are."""
    slowest_handshakes: list[SlowConnection]
    """SYN to the segment that completes the handshake, the slowest first; at most three."""
    slowest_responses: list[SlowConnection]
    """By the longest answer of the server."""
    round_trip_s: float | None
    """The median of the round trips that clean handshakes tell (see `round_trips`); null where none does."""
    known_by: dict[str, int]
    """Of at most forty connections what each has in every capture of it (a hash of both endpoints and both initial
    sequence numbers), and its id."""
