"""Segments as a tap sees them -> packet table, connection table, histories, with nothing in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pcapreport.capture.packet_table import COLUMNS, Flag, PacketTable
from pcapreport.settings import Settings
from pcapreport.tcp.connections import ConnectionTable, find_connections
from pcapreport.tcp.histories import reconstruct_all
from pcapreport.tcp.history import ConnectionHistory, EndpointHistory

SECOND = 10**9
START = 1_700_000_000 * SECOND
"""Time of the zero of every capture made here: a real date, so that rounding in floats would show."""

SYN, ACK, FIN, RST, PSH = Flag.SYN, Flag.ACK, Flag.FIN, Flag.RST, Flag.PSH


class Host(NamedTuple):
    """One end: address as a number, port."""

    address: int
    port: int
    version: int = 4


A, B = Host(0xC0000201, 40_000), Host(0xC6336402, 80)
"""192.0.2.1:40000, which connects, and 198.51.100.2:80, unless a test says otherwise."""


class Wire(NamedTuple):
    """One frame; numbers as on the wire."""

    time_ns: int
    src: Host
    dst: Host
    flags: int
    seq: int = 0
    ack: int = 0
    length: int = 0
    window: int = 512


def packets_of(wires: Sequence[Wire], frames: Iterable[int] | None = None) -> PacketTable:
    """A packet table with one row a frame."""
    mask = (1 << 64) - 1
    values: dict[str, list[int]] = {
        "frame": list(frames) if frames is not None else list(range(1, len(wires) + 1)),
        "time_ns": [w.time_ns for w in wires],
        "ip_version": [w.src.version for w in wires],
        "src_hi": [w.src.address >> 64 for w in wires],
        "src_lo": [w.src.address & mask for w in wires],
        "dst_hi": [w.dst.address >> 64 for w in wires],
        "dst_lo": [w.dst.address & mask for w in wires],
        "sport": [w.src.port for w in wires],
        "dport": [w.dst.port for w in wires],
        "flags": [int(w.flags) for w in wires],
        "seq": [w.seq % (1 << 32) for w in wires],
        "ack": [w.ack % (1 << 32) for w in wires],
        "payload_len": [w.length for w in wires],
        "window": [w.window for w in wires],
        "window_scale": [-1] * len(wires),
        "sack": [-1] * len(wires),
    }
    columns = {
        name: np.array(values.get(name, [0] * len(wires)), dtype=column.dtype) for name, column in COLUMNS.items()
    }
    return PacketTable(columns, np.empty((0, 4, 2), np.uint32), ("ethernet",))


def connections_of(wires: Sequence[Wire]) -> ConnectionTable:
    """The connections of these frames."""
    return find_connections(packets_of(wires))


def histories_of(
    wires: Sequence[Wire], capture_end: int | None = None, settings: Settings | None = None
) -> list[ConnectionHistory]:
    """The history of every connection; the capture ends with the last frame unless told otherwise."""
    end = max((w.time_ns for w in wires), default=0) if capture_end is None else capture_end
    return list(reconstruct_all(connections_of(wires), end, settings or Settings()))


def states_of(end: EndpointHistory) -> list[str]:
    """The names of the states, in order."""
    return [str(item.state) for item in end.transitions]
