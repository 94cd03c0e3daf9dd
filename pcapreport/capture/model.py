"""What reading a capture yields, beside its packet table: the evidence about the file itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pcapreport.capture.icmp import IcmpError
from pcapreport.capture.packet_table import PacketTable


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
    other_blocks: Mapping[str, int] = field(default_factory=dict)
    """pcapng blocks that hold no packet and were skipped, by kind: "name resolution", "custom"."""
    icmp_errors: tuple[IcmpError, ...] = ()
    """What routers and hosts said of segments, in file order; no rows of the table."""
    checksums: npt.NDArray[np.uint8] | None = None
    """A Checksum for each row of the table, before senders are compared: use verify_checksums. None: not asked for."""
