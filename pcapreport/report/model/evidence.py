"""The evidence: which bytes were read, by what, and how sound they are."""

from __future__ import annotations

from pcapreport.report.model.base import Record


class Tool(Record, frozen=True, kw_only=True):
    """The program that made the document."""

    name: str
    version: str
    libraries: dict[str, str] = {}
    """Versions of Python and of what it was made with."""


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
    """Of the file as given."""
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
    content_sha256: str = ""
    """Of the decompressed bytes; "" where the file is not compressed."""
    content_bytes: int = 0
