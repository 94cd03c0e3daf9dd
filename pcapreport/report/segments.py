"""One connection's rows, ready to be told: relative numbers, scaled windows, flags in words."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcapreport.capture.packet_table import Flag, Option, PacketTable
from pcapreport.findings.wording import flag_words
from pcapreport.report.model import Sender
from pcapreport.tcp.connections import CLIENT, SERVER, ConnectionTable

Ints = npt.NDArray[np.int64]

SENDERS: tuple[Sender, Sender] = ("client", "server")
CONTROL = Flag.SYN | Flag.FIN | Flag.RST
FEW = 500
"""Rows that are gone through one by one sooner than by passes over arrays."""


class Row(NamedTuple):
    """A segment as the report speaks of it; `window` in bytes, scaled where the scale is known."""

    time_ns: int
    frame: int
    side: int
    flags: int
    seq: int
    end: int
    ack: int | None
    length: int
    window: int
    raw_seq: int
    raw_ack: int

    @property
    def words(self) -> str:
        """Its flags in words."""
        return flag_words(self.flags)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one connection in capture order; a `Row` is made when it is asked for.

    The arrays of n rows are views of the connection table's columns and mean what they mean there: `window` is
    unscaled, `ack` 0 without the ACK flag. A frame can stand in several rows (an 802.11 aggregate).
    """

    time_ns: Ints
    frame: Ints
    side: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint16]
    seq: Ints
    end: Ints
    ack: Ints
    length: Ints
    window: Ints
    packet: Ints
    """Index into `packets`."""
    packets: PacketTable
    scales: tuple[int | None, int | None]
    """Window shift of client and server: 0 where a side declined, None where its SYN was not captured."""

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, index: int) -> Row:
        flags, side, packet = self.flags.item(index), self.side.item(index), self.packet.item(index)
        return Row(
            self.time_ns.item(index),
            self.frame.item(index),
            side,
            flags,
            self.seq.item(index),
            self.end.item(index),
            self.ack.item(index) if flags & Flag.ACK else None,
            self.length.item(index),
            self.window.item(index) << self.shift(side, flags),
            self.packets["seq"].item(packet),
            self.packets["ack"].item(packet),
        )

    def shift(self, side: int, flags: int) -> int:
        """How far the window of such a segment is shifted (RFC 7323 section 2.2: not at all on a SYN)."""
        return 0 if flags & Flag.SYN else self.scales[side] or 0


def told(table: ConnectionTable, connection: int) -> Rows:
    """The rows of a connection."""
    at = table.rows_of(connection)
    return Rows(
        table.time_ns[at],
        table.frame[at],
        table.side[at],
        table.flags[at],
        table.seq[at],
        table.end[at],
        table.ack[at],
        table.length[at],
        table.window[at],
        table.row[at],
        table.packets,
        window_scales(table, connection),
    )


def rows_with(frame: Ints, wanted: Collection[int]) -> Ints:
    """Which rows of a connection's frame column have one of the wanted numbers, ascending."""
    if not len(wanted):
        return np.empty(0, np.int64)
    if len(frame) <= FEW:
        among = wanted if isinstance(wanted, Set) else frozenset(wanted)
        return np.array([row for row, number in enumerate(frame.tolist()) if number in among], np.int64)
    numbers = np.fromiter(wanted, np.int64, len(wanted))
    if (frame[1:] < frame[:-1]).any():  # rows were put right: see tap_order
        return np.flatnonzero(np.isin(frame, numbers))
    start = int(np.searchsorted(frame, numbers.min()))
    stop = int(np.searchsorted(frame, numbers.max(), "right"))
    return start + np.flatnonzero(np.isin(frame[start:stop], numbers))


def window_scales(table: ConnectionTable, connection: int) -> tuple[int | None, int | None]:
    """Each side's window shift (RFC 7323 section 2.2: only if both SYNs carry the option, and 14 at most)."""
    at = table.rows_of(connection)
    syn = (table.flags[at] & Flag.SYN) != 0
    found: list[int | None] = [None, None]
    for side in (CLIENT, SERVER):
        positions = np.flatnonzero(syn & (table.side[at] == side))
        if len(positions):
            row = table.row[at][positions[-1]]
            offered = int(table.packets["options"][row]) & Option.WINDOW_SCALE
            found[side] = min(int(table.packets["window_scale"][row]), 14) if offered else -1
    client, server = found[CLIENT], found[SERVER]
    if client is None or server is None:
        return (
            (None if client is None else 0, None if server is None else 0) if -1 in (client, server) else (None, None)
        )
    return (client, server) if client >= 0 and server >= 0 else (0, 0)
