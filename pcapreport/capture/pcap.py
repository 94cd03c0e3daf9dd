"""Classic pcap files: walk the records.

Source: draft-ietf-opsawg-pcap (file header, link-type word, record header); the 24-byte records of magic
0xa1b2cd34 ("modified", by Alexey Kuznetsov) and the swapped lengths of files older than version 2.3: libpcap,
sf-pcap.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pcapreport.capture.container import BLOCK_RECORDS, Damage, Findings, RecordBlock, number_frames
from pcapreport.capture.gather import Buffer, Gather
from pcapreport.capture.limits import Limits
from pcapreport.capture.model import Interface
from pcapreport.capture.protocols import link_name

FILE_HEADER = 24
MICROSECONDS, NANOSECONDS, MODIFIED = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
_MAGICS = (MICROSECONDS, NANOSECONDS, MODIFIED)

FCS_PRESENT = 0x0400_0000
"""Bit of the link-type word; the top four bits then count the frame check sequence in 16-bit words."""


def byte_order(start: bytes) -> str | None:
    """ "<" or ">" if these are the first bytes of a pcap file, else None."""
    for order in "<>":
        if len(start) >= 4 and struct.unpack_from(order + "I", start)[0] in _MAGICS:
            return order
    return None


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the records of this file are written."""

    order: str
    record_header: int
    length_at: int
    """Where in the record header the captured length stands."""
    most: int
    """Captured length above which a record is damage."""
    scale: int
    """Nanoseconds in a unit of the time's fraction."""

    @property
    def dtype(self) -> np.dtype[np.void]:
        names = ("sec", "fraction", "cap", "wire") if self.length_at == 8 else ("sec", "fraction", "wire", "cap")
        return np.dtype([(name, self.order + "u4") for name in names])


def walk(buffer: Buffer, found: Findings, limits: Limits) -> Iterator[RecordBlock]:
    """Blocks of records up to the end or to the first damage, which goes to `found`.

    The buffer starts with a pcap magic number and holds the whole file header.
    """
    layout = _read_header(buffer, found, limits)
    gather = Gather(buffer)
    position, sound = FILE_HEADER, True
    while sound and position < len(buffer):
        offsets, position, fault = _chase(buffer, position, layout)
        if offsets:
            yield _records(gather, np.array(offsets, np.int64), layout, found)
        if fault:
            found.damage(fault, position)
        sound = not fault


def _read_header(buffer: Buffer, found: Findings, limits: Limits) -> _Layout:
    found.order = byte_order(bytes(buffer[:4])) or "<"
    magic, major, minor, _, _, snaplen, word = struct.unpack_from(found.order + "IHHiIII", buffer)
    fcs_len = 2 * (word >> 28) if word & FCS_PRESENT else 0
    link_type = word & 0xFFFF
    nanoseconds = magic == NANOSECONDS
    resolution = "1e-9" if nanoseconds else "1e-6"
    found.interfaces.append(Interface(link_type, link_name(link_type), snaplen, resolution, fcs_len=fcs_len))
    return _Layout(
        order=found.order,
        record_header=24 if magic == MODIFIED else 16,
        length_at=12 if (major, minor) < (2, 3) else 8,
        most=max(snaplen, limits.record_bytes),
        scale=1 if nanoseconds else 1_000,
    )


def _chase(buffer: Buffer, position: int, layout: _Layout) -> tuple[list[int], int, Damage | None]:
    """Follow the captured lengths over up to BLOCK_RECORDS records.

    Returns the positions of whole records, where reading stopped, and the damage there. The loop is the only per-record
    Python of the common path: it reads one number a record and nothing else.
    """
    offsets: list[int] = []
    append = offsets.append
    unpack = struct.Struct(layout.order + "I").unpack_from
    header, length_at, most = layout.record_header, layout.length_at, layout.most
    size = len(buffer)
    last = size - header
    for _ in range(BLOCK_RECORDS):
        if position > last:
            break
        length = unpack(buffer, position + length_at)[0]
        if length > most:
            return offsets, position, Damage("absurd_length", f"record claims {length} captured bytes, over {most}")
        append(position)
        position += header + length
    if position > size:
        lacking, position = position - size, offsets.pop()
        return offsets, position, Damage("record_cut", f"the last record lacks {lacking} bytes; it is not counted")
    if last < position < size:
        return offsets, position, Damage("record_header_cut", f"{size - position} of {header} bytes of a record header")
    return offsets, position, None


def _records(gather: Gather, offsets: np.ndarray, layout: _Layout, found: Findings) -> RecordBlock:
    headers = gather.headers(layout.dtype, offsets)
    fraction = headers["fraction"].astype(np.int64) * layout.scale
    block = RecordBlock(
        frame=number_frames(found, len(offsets)),
        offset=offsets + layout.record_header,
        cap_len=headers["cap"].astype(np.int64),
        wire_len=headers["wire"].astype(np.int64),
        time_ns=headers["sec"].astype(np.int64) * 1_000_000_000 + fraction,
        interface=np.zeros(len(offsets), np.int64),
    )
    found.oddity(
        "time_fraction_overflow", "time stamps whose fraction is a second or more", block.frame[fraction >= 10**9]
    )
    found.oddity(
        "captured_above_wire", "more bytes captured than were on the wire", block.frame[block.cap_len > block.wire_len]
    )
    return block
