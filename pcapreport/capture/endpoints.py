"""The two endpoints of a segment, whichever of them sent it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import PacketTable


def lower_endpoint_sent(packets: PacketTable) -> npt.NDArray[np.bool_]:
    """Per row: the numerically lower endpoint is the sender."""
    src = (packets["src_hi"], packets["src_lo"], packets["sport"])
    dst = (packets["dst_hi"], packets["dst_lo"], packets["dport"])
    lower = src[2] <= dst[2]
    for a, b in ((src[1], dst[1]), (src[0], dst[0])):
        lower = (a < b) | ((a == b) & lower)
    return lower


def endpoint_columns(packets: PacketTable, lower: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.uint64]]:
    """IP version, then lower and upper endpoint, the same for both directions."""
    columns = [packets["ip_version"].astype(np.uint64)]
    for a, b in (("src_hi", "dst_hi"), ("src_lo", "dst_lo"), ("sport", "dport")):
        columns.append(np.where(lower, packets[a], packets[b]).astype(np.uint64))
        columns.append(np.where(lower, packets[b], packets[a]).astype(np.uint64))
    return columns


def mixed(columns: Sequence[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each row of `columns` (multiply and shift, as in splitmix64)."""
    hashed = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        hashed = (hashed ^ column) * np.uint64(0xBF58476D1CE4E5B9)
        hashed ^= hashed >> np.uint64(29)
    return hashed


def endpoint_hash(packets: PacketTable) -> npt.NDArray[np.uint64]:
    """64 bits for each row, the same for both directions of a 4-tuple."""
    return mixed(endpoint_columns(packets, lower_endpoint_sent(packets)))
