"""The packet table: one row per TCP segment, one numpy array per column.

`COLUMNS` is the column dictionary: the type, the unit and the caveat of every column. Rows stand in file
order, so `frame` ascends; `time_ns` need not (a capture may step back in time).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""A column; COLUMNS says of what type."""


class Flag:
    """TCP header flags as they stand in the 16-bit offset-and-flags word (RFC 9293 section 3.1, AE: RFC 9768).

    Plain ints, as all bits of columns are: an IntFlag costs a microsecond each time it is asked for, and numpy makes
    64-bit numbers of columns that meet one.
    """

    FIN = 0x001
    SYN = 0x002
    RST = 0x004
    PSH = 0x008
    ACK = 0x010
    URG = 0x020
    ECE = 0x040
    CWR = 0x080
    AE = 0x100


class Option:
    """Which TCP options a segment carried (bit set in column `options`)."""

    MSS = 0x0001
    WINDOW_SCALE = 0x0002
    SACK_PERMITTED = 0x0004
    SACK = 0x0008
    TIMESTAMP = 0x0010
    FAST_OPEN = 0x0020
    MPTCP = 0x0040
    MD5 = 0x0080
    AUTHENTICATION = 0x0100
    USER_TIMEOUT = 0x0200
    EXPERIMENTAL = 0x0400
    OTHER = 0x0800


class OptionMark(IntEnum):
    """How column `option_order` spells an option; the order and the padding of a SYN's options tell systems apart."""

    END = 1
    NOP = 2
    TWO_NOPS = 3
    """Two in a row, as padding to a multiple of four."""
    MSS = 4
    WINDOW_SCALE = 5
    SACK_PERMITTED = 6
    TIMESTAMP = 7
    FAST_OPEN = 8
    MPTCP = 9
    OTHER = 15


class RowNote:
    """What a reader of a row must know about how it was decoded (column `notes`)."""

    DISSECTED = 0x01
    """Decoded by dpkt, not by the vectorised common path."""
    SNAPLEN_CUT = 0x02
    """The capture holds fewer bytes than the segment had; `payload_len` is still that of the headers."""
    NO_IP_LENGTH = 0x04
    """The IP length field was 0 (segmentation offload or jumbogram); lengths come from the wire length."""
    MALFORMED_OPTIONS = 0x08
    """The TCP options break off or overrun; those before the fault were kept."""
    FRAGMENT = 0x10
    """Decoded from the first of several IP fragments, or reassembled."""
    BAD_DATA_OFFSET = 0x20
    """The data offset points past the end of the segment."""
    RESERVED_FLAGS = 0x40
    """One of the three reserved flag bits was set."""
    OVERLAPPING_FRAGMENTS = 0x80
    """Reassembled from fragments that overlap with other content; which of them an endpoint kept is not known."""


class Column(NamedTuple):
    """One entry of the column dictionary."""

    dtype: str
    unit: str
    caveat: str


COLUMNS: Mapping[str, Column] = {
    "frame": Column("int64", "1-based record number", "as Wireshark counts; an 802.11 aggregate has a row a segment"),
    "time_ns": Column("int64", "ns since the epoch", "the capture's own clock and resolution; may step back"),
    "wire_len": Column("uint32", "bytes", "the frame's length on the wire, the link header included"),
    "cap_len": Column("uint32", "bytes", "what the file holds of it"),
    "interface": Column("uint16", "index into Capture.interfaces", "numbered over all sections of the file"),
    "encapsulation": Column("uint16", "index into PacketTable.encapsulations", "VLANs and tunnels outside the segment"),
    "ip_version": Column("uint8", "4 or 6", "of the innermost IP header"),
    "src_hi": Column("uint64", "upper 8 bytes of the address", "0 for IPv4"),
    "src_lo": Column("uint64", "lower 8 bytes of the address", "IPv4: the address as a number"),
    "dst_hi": Column("uint64", "upper 8 bytes of the address", "0 for IPv4"),
    "dst_lo": Column("uint64", "lower 8 bytes of the address", "IPv4: the address as a number"),
    "sport": Column("uint16", "port", ""),
    "dport": Column("uint16", "port", ""),
    "ttl": Column("uint8", "hops", "TTL or hop limit as captured, not as sent"),
    "ip_id": Column("uint16", "", "0 for IPv6; RFC 9293 3.8.1 warns against using it alone to find duplicates"),
    "seq": Column("uint32", "raw sequence number", "modulo 2^32"),
    "ack": Column("uint32", "raw acknowledgment number", "meaningless without the ACK flag"),
    "flags": Column("uint16", "bits of Flag", "9 bits; reserved bits are told by RowNote.RESERVED_FLAGS"),
    "window": Column("uint16", "unscaled", "never scaled on a SYN"),
    "urgent": Column("uint16", "offset", "meaningless without the URG flag"),
    "checksum": Column("uint16", "", "as captured; not verified; wrong at a sender that offloads it"),
    "payload_len": Column("uint32", "bytes", "as sent, from the IP length, even where the capture was cut"),
    "mss": Column("uint16", "bytes", "0: absent"),
    "window_scale": Column("int8", "shift count", "-1: absent; as sent, so possibly above 14"),
    "options": Column("uint16", "bits of Option", ""),
    "option_order": Column(
        "uint32", "hex digits, each an OptionMark, first option leftmost", "of a SYN's first eight; 0 elsewhere"
    ),
    "ts_val": Column("uint32", "sender's clock ticks", "0 unless Option.TIMESTAMP"),
    "ts_ecr": Column("uint32", "echoed ticks", "0 unless Option.TIMESTAMP"),
    "sack": Column("int32", "row of PacketTable.sack_blocks", "-1: no SACK block"),
    "mptcp": Column(
        "uint16", "bit n: MPTCP subtype n", "RFC 8684 section 3: 0 MP_CAPABLE, 1 MP_JOIN, 2 DSS, 7 MP_FASTCLOSE"
    ),
    "fast_open": Column("uint8", "bytes of the TCP Fast Open cookie", "0 asks for one; meaningless without its Option"),
    "notes": Column("uint8", "bits of RowNote", ""),
}


@dataclass(frozen=True, slots=True)
class PacketTable:
    """All TCP segments of a capture.

    `columns`: name -> array of n rows, typed as COLUMNS says. `sack_blocks`: uint32 (m, 4, 2), left and right edge
    of up to four SACK blocks in the order sent; both edges 0 where a block is absent. `encapsulations`: paths such as
    "ethernet", "ethernet/vlan 12", "ethernet/ipv4/gre".
    """

    columns: Mapping[str, Array]
    sack_blocks: npt.NDArray[np.uint32]
    encapsulations: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.columns["frame"])

    def __getitem__(self, name: str) -> Array:
        return self.columns[name]

    def some(self, rows: npt.NDArray[np.int64]) -> PacketTable:
        """These rows alone."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return PacketTable(columns, self.sack_blocks, self.encapsulations)

    @classmethod
    def empty(cls) -> PacketTable:
        """A table without rows."""
        columns = {name: np.empty(0, column.dtype) for name, column in COLUMNS.items()}
        return cls(columns, np.empty((0, 4, 2), np.uint32), ())

    @classmethod
    def concatenate(cls, parts: Iterable[PacketTable]) -> PacketTable:
        """One table from blocks that share one `encapsulations` list (the longest one is kept)."""
        tables = [part for part in parts if len(part)]
        if not tables:
            return cls.empty()
        columns = allocated({name: column.dtype for name, column in tables[0].columns.items()}, sum(map(len, tables)))
        for name, column in columns.items():
            np.concatenate([table[name] for table in tables], out=column)
        shift = np.cumsum([0] + [len(table.sack_blocks) for table in tables[:-1]])
        columns["sack"] += np.where(
            columns["sack"] >= 0, np.repeat(shift.astype(np.int32), [len(table) for table in tables]), np.int32(0)
        )
        sack_blocks = np.concatenate([table.sack_blocks for table in tables])
        return cls(columns, sack_blocks, max((table.encapsulations for table in tables), key=len))


def allocated(types: Mapping[str, npt.DTypeLike], count: int) -> dict[str, Array]:
    """Columns of `count` rows yet to be filled, in one piece of memory: large pieces are given large pages."""
    kinds = {name: np.dtype(kind) for name, kind in types.items()}
    sizes = [count * kind.itemsize + -count * kind.itemsize % 8 for kind in kinds.values()]
    memory, start = np.empty(sum(sizes), np.uint8), 0
    columns = {}
    for (name, kind), size in zip(kinds.items(), sizes, strict=True):
        columns[name] = memory[start : start + count * kind.itemsize].view(kind)
        start += size
    return columns
