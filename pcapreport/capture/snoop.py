"""Snoop files, as Solaris and its descendants write them: RFC 1761, data links beyond it from snoop(4)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from pcapreport.capture import records
from pcapreport.capture.container import Findings, RecordBlock
from pcapreport.capture.gather import Buffer
from pcapreport.capture.model import Interface
from pcapreport.capture.protocols import SNOOP_LINK, link_name
from pcapreport.settings import Limits

MAGIC = b"snoop\0\0\0"
FILE_HEADER = 16
VERSION = 2

_LINK_TYPES = {0: 1, 2: 6, 4: 1, 8: 10}
"""Data link of snoop -> link type of pcap: IEEE 802.3 and Ethernet, Token Ring, FDDI."""

_HEADER = np.dtype(
    [("wire", ">u4"), ("cap", ">u4"), ("size", ">u4"), ("drops", ">u4"), ("sec", ">u4"), ("fraction", ">u4")]
)


def version(start: bytes) -> int | None:
    """The version if these are the first bytes of a snoop file, else None."""
    return int(struct.unpack_from(">I", start, 8)[0]) if start.startswith(MAGIC) and len(start) >= 12 else None


def walk(buffer: Buffer, found: Findings, limits: Limits) -> Iterator[RecordBlock]:
    """Blocks of records; what is damaged goes to `found`. The buffer holds the whole file header."""
    found.order = ">"
    data_link = struct.unpack_from(">I", buffer, 12)[0]
    link_type = _LINK_TYPES.get(data_link, SNOOP_LINK + min(data_link, 0xFFFF))
    found.interfaces.append(Interface(link_type, link_name(link_type), 0, "1e-6"))
    layout = records.Layout(header=_HEADER, length_at=8, extra=0, most=limits.record_bytes, scale=1_000, order=">")
    return records.walk(buffer, found, layout, FILE_HEADER)
