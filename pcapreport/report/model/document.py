"""The whole result for one capture, to and from JSON."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pcapreport.language import LANGUAGES, as_string, phrase
from pcapreport.message import Message
from pcapreport.report.model.across import Across
from pcapreport.report.model.base import Record, Severity
from pcapreport.report.model.connection import Connection, TimeSpent
from pcapreport.report.model.evidence import Capture, Tool
from pcapreport.report.model.findings import Comparison, Finding, Page, Suppressed, Verdict
from pcapreport.report.model.lab import Lab
from pcapreport.report.model.wireshark import WiresharkField

SCHEMA_VERSION = "1.0"


class CaptureVantage(Record, frozen=True, kw_only=True):
    """Where the capture was taken, as its connections tell."""

    connections: dict[str, int]
    """How many connections tell which place."""
    host: str
    """Address of the host that it was taken on; "" if that is not known."""
    summary: str


class Activity(Record, frozen=True, kw_only=True):
    """TCP traffic in equal spans from the capture's first packet on."""

    span_s: float
    packets: list[int]
    bytes: list[int]
    """On the wire, all headers included."""


class RoundTrips(Record, frozen=True, kw_only=True):
    """How many connections opened with which round trip (SYN to the segment behind the SYN, ACK)."""

    up_to_ms: list[float | None]
    """Upper limits, ascending; null: longer than all."""
    connections: list[int]


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
    held_from_s: list[float] = []
    """For the first hosts: since when it held each number of `held`, thinned."""
    held: list[int] = []


class RuleCount(Record, frozen=True, kw_only=True):
    """Findings of one rule."""

    findings: int
    severity: Severity
    """Of the worst of them."""


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
    time_ledger: TimeSpent | None = None
    """Of all connections together."""
    rules: dict[str, RuleCount] = {}
    """Findings by rule, those about the capture as a whole included."""


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
    messages: dict[str, Message] = {}
    """How texts of this document were made, by their English: with this a renderer says them in another language."""
    wireshark: list[WiresharkField] = []
    """Wireshark 4.0's analysis with its usual preferences, compared."""
    activity: Activity | None = None
    round_trips: RoundTrips | None = None
    across: Across | None = None
    """For an index over many captures."""
    rules: dict[str, str] = {}
    """Every rule named in the document (transition rules included) and what it says."""
    manual: dict[str, Page] = {}
    """Of the rules of findings named in it."""
    meta: dict[str, str] = {}
    """What the user said of the case."""
    lab: Lab | None = None
    """Of one connection, where a laboratory report was asked for."""

    @property
    def language(self) -> str:
        """That it was asked to be shown in; its own texts are English."""
        wanted = self.options.get("lang")
        return wanted if wanted in LANGUAGES else LANGUAGES[0]

    def spoken_in(self, language: str) -> Document:
        """The same, to be shown in another language."""
        return msgspec.structs.replace(self, options={**self.options, "lang": language})


def encode(document: Document) -> bytes:
    """The document as deterministic UTF-8 JSON."""
    return encoder().encode(document)


def encoder() -> msgspec.json.Encoder:
    """What encodes any part of a document; a text is the string that it is."""
    return msgspec.json.Encoder(enc_hook=as_string)


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
        raise ValueError(
            phrase(
                "its schema_version is {version}, this program reads {readable}",
                version=document.schema_version,
                readable=SCHEMA_VERSION,
            )
        )
    return document


def schema() -> dict[str, Any]:
    """JSON Schema of the document."""
    return msgspec.json.schema(Document)
