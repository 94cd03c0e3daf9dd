"""What Wireshark can say of a segment: its `tcp.analysis.*` fields as bits of one number."""

from __future__ import annotations

from enum import IntFlag

import numpy as np
import numpy.typing as npt


class Mark(IntFlag):
    """The field `tcp.analysis.` + name in lower case is present; see `fields_of`."""

    RETRANSMISSION = 0x0001
    """Also set beside the next two, as Wireshark's field is."""
    FAST_RETRANSMISSION = 0x0002
    SPURIOUS_RETRANSMISSION = 0x0004
    OUT_OF_ORDER = 0x0008
    LOST_SEGMENT = 0x0010
    ACK_LOST_SEGMENT = 0x0020
    DUPLICATE_ACK = 0x0040
    ZERO_WINDOW = 0x0080
    ZERO_WINDOW_PROBE = 0x0100
    ZERO_WINDOW_PROBE_ACK = 0x0200
    KEEP_ALIVE = 0x0400
    KEEP_ALIVE_ACK = 0x0800
    WINDOW_UPDATE = 0x1000
    WINDOW_FULL = 0x2000
    REUSED_PORTS = 0x4000


NUMBER_SHIFT = 16
"""From this bit on stands the number of a duplicate ACK, up to LARGEST_NUMBER."""
LARGEST_NUMBER = 0xFFFF

FIELDS = tuple((mark, f"tcp.analysis.{str(mark.name).lower()}") for mark in Mark)


def fields_of(word: int) -> list[str]:
    """The fields present in an element of `analysis`, as Wireshark spells them and for use in its filters."""
    return [field for mark, field in FIELDS if word & mark]


def duplicate_ack_number(word: int) -> int:
    """`tcp.analysis.duplicate_ack_num` of an element of `analysis`; 0 for what is no duplicate ACK."""
    return word >> NUMBER_SHIFT


def numbered(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """The bits that say so many duplicate ACKs."""
    bits: npt.NDArray[np.uint32] = np.minimum(numbers, LARGEST_NUMBER).astype(np.uint32) << np.uint32(NUMBER_SHIFT)
    return bits
