"""Bytes in, columns out: containers, the packet table and the two decoders.

This room knows no connection and judges nothing; it says what the file holds and what was damaged.
"""

from __future__ import annotations

from pcapreport.capture.checksums import Checksum, verify_checksums
from pcapreport.capture.icmp import IcmpError
from pcapreport.capture.model import Capture, Interface, Problem
from pcapreport.capture.packet_table import Flag, Option, PacketTable, RowNote
from pcapreport.capture.reader import read_capture
from pcapreport.settings import Limits

__all__ = [
    "Capture",
    "Checksum",
    "Flag",
    "IcmpError",
    "Interface",
    "Limits",
    "Option",
    "PacketTable",
    "Problem",
    "RowNote",
    "read_capture",
    "verify_checksums",
]
