"""What reading a capture yields, beside its packet table: the evidence about the file itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pcapreport.capture.answers import ANSWER
from pcapreport.capture.icmp import IcmpError
from pcapreport.capture.openings import OPENING
from pcapreport.capture.packet_table import PacketTable
from pcapreport.capture.spill import Parts

if TYPE_CHECKING:
    from pcapreport.capture.frames import Frames


@dataclass(frozen=True, slots=True)
class Interface:
    """One capture interface (a classic pcap file has one)."""

    link_type: int
    link_name: str
    snaplen: int
    """Bytes kept of each packet; 0: unlimited."""
    resolution: str
    """Time resolution as written: "1e-6", "1e-9", "2^-10"."""
    name: str = ""
    description: str = ""
    os: str = ""
    fcs_len: int = 0
    """Bytes of frame check sequence at the end of every frame."""
    drops: int | None = None
    """Packets the capture host says it lost (interface statistics, drop counts of packets); None: not said."""
    filter: str = ""
    """Capture filter: what it does not match is not in the file."""
    hardware: str = ""
    speed: int = 0
    """Bits per second; 0: not said."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Damage or an oddity of the file, with its place."""

    code: str
    message: str
    offset: int | None = None
    """Byte offset in the decompressed stream."""
    frame: int | None = None
    skipped: int = 0
    """Bytes from there on that were not read."""


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture file, read to its end or to its damage."""

    file: str
    sha256: str
    """Of the file as given."""
    """Of the file as given."""
    size_bytes: int
    container: str
    compression: str
    byte_order: str
    packets: int
    """Records of any protocol."""
    first_ns: int | None
    """Time of frame 1 (the zero of all relative times); None for a capture without packets."""
    last_ns: int | None
    """Latest time of any frame."""
    complete: bool
    """False where the file is cut or damaged, so that packets may be missing."""
    interfaces: tuple[Interface, ...]
    problems: tuple[Problem, ...]
    comments: tuple[tuple[int, str], ...]
    """(frame, comment); frame 0: about the section."""
    application: str
    os: str
    hardware: str
    other_packets: Mapping[str, int]
    """Records that gave no row, by what they were: "UDP", "ARP", "IPv4 fragment", "link type 105 (IEEE 802.11)"."""
    table: PacketTable
    """All rows; none where they did not fit into memory: see `tables`."""
    spilled: Parts | None = None
    """The rows that did not fit into memory."""
    steps_back: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 3), np.int64))
    """(n, 3): each frame with a segment whose time is before that of the segment before it, the time, and by how many
    ns."""
    other_blocks: Mapping[str, int] = field(default_factory=dict)
    """pcapng blocks that hold no packet and were skipped, by kind: "name resolution", "custom"."""
    icmp_errors: tuple[IcmpError, ...] = ()
    """What routers and hosts said of segments, in file order; no rows of the table."""
    openings: npt.NDArray[np.void] = field(default_factory=lambda: np.empty(0, OPENING))
    """What each host's SYNs and SYN-ACKs look like, of type openings.OPENING."""
    content_sha256: str = ""
    """Of the decompressed bytes; "" where the file is not compressed."""
    content_bytes: int = 0
    answers: npt.NDArray[np.void] = field(default_factory=lambda: np.empty(0, ANSWER))
    """Which ports answered a SYN, of type answers.ANSWER."""
    offloading: npt.NDArray[np.void] | None = None
    """The senders whose network cards fill in the checksums, for verify_checksums; None: checksums not looked at."""
    frames: Frames | None = None
    """Gives the bytes of single frames, where they were to be kept at hand."""

    @property
    def tcp_packets(self) -> int:
        """Rows of all tables."""
        return len(self.table) if self.spilled is None else self.spilled.rows

    @property
    def encapsulations(self) -> tuple[str, ...]:
        """The paths that the tables' column `encapsulation` numbers."""
        return self.table.encapsulations if self.spilled is None else self.spilled.encapsulations

    def tables(self) -> Iterator[PacketTable]:
        """The rows as tables of whole connections, one where memory holds them; in no particular order otherwise."""
        if self.spilled is None:
            yield self.table
        else:
            yield from (part.take() for part in self.spilled.each())
