"""Classic pcap files: the file header and the layout of the records.

Source: draft-ietf-opsawg-pcap (file header, link-type word, record header); the 24-byte records of magic
0xa1b2cd34 ("modified", by Alexey Kuznetsov) and the lengths that older files have swapped (versions before 2.3 and
543.0 always, 2.3 perhaps): libpcap, sf-pcap.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from pcapreport.capture import records
from pcapreport.capture.container import Findings, RecordBlock
from pcapreport.capture.gather import Buffer
from pcapreport.capture.model import Interface
from pcapreport.capture.protocols import link_name
from pcapreport.settings import Limits

FILE_HEADER = 24
MICROSECONDS, NANOSECONDS, MODIFIED = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34
_MAGICS = (MICROSECONDS, NANOSECONDS, MODIFIED)

FCS_PRESENT = 0x0400_0000
"""Bit of the link-type word; the top four bits then count the frame check sequence in 16-bit words."""

_SWAPPED_MAJOR = 543
"""Major version that some DG/UX systems wrote, with swapped lengths."""


def byte_order(start: bytes) -> str | None:
    """ "<" or ">" if these are the first bytes of a pcap file, else None."""
    for order in "<>":
        if len(start) >= 4 and struct.unpack_from(order + "I", start)[0] in _MAGICS:
            return order
    return None


def walk(buffer: Buffer, found: Findings, limits: Limits) -> Iterator[RecordBlock]:
    """Blocks of records; what is damaged goes to `found`.

    The buffer starts with a pcap magic number and holds the whole file header.
    """
    return records.walk(buffer, found, _read_header(buffer, found, limits), FILE_HEADER)


def _read_header(buffer: Buffer, found: Findings, limits: Limits) -> records.Layout:
    found.order = byte_order(bytes(buffer[:4])) or "<"
    magic, major, minor, _, _, snaplen, word = struct.unpack_from(found.order + "IHHiIII", buffer)
    fcs_len = 2 * (word >> 28) if word & FCS_PRESENT else 0
    link_type = word & 0xFFFF
    nanoseconds = magic == NANOSECONDS
    resolution = "1e-9" if nanoseconds else "1e-6"
    found.interfaces.append(Interface(link_type, link_name(link_type), snaplen, resolution, fcs_len=fcs_len))
    swapped = (major, minor) < (2, 3) or major == _SWAPPED_MAJOR
    names = ("sec", "fraction", "wire", "cap") if swapped else ("sec", "fraction", "cap", "wire")
    size = 24 if magic == MODIFIED else 16
    return records.Layout(
        header=np.dtype(
            {
                "names": names,
                "formats": [found.order + "u4"] * 4,
                "offsets": [0, 4, 8, 12],
                "itemsize": size,
            }
        ),
        length_at=12 if swapped else 8,
        extra=size,
        most=limits.record(snaplen),
        scale=1 if nanoseconds else 1_000,
        order=found.order,
        swapped_at=12 if (major, minor) == (2, 3) else None,
    )
